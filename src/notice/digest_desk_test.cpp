#include "notice/digest_desk.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "net/json_views.hpp"

namespace bavn::notice {

namespace {

using namespace std::chrono_literals;
constexpr MunicipalityId kTown{101};

struct Told {
  std::string kind, json;
};

struct DigestDeskTest : testing::Test {
  Sim sim{3};
  Metrics metrics;
  SigningKey anna = SigningKey::from_seed({1}), bo = SigningKey::from_seed({2});
  SealKey anna_opens = SealKey::random(), bo_opens = SealKey::random();
  std::vector<event::Steward> stewards{{"Anna", anna.public_key(), anna_opens.address()},
                                       {"Bo", bo.public_key(), bo_opens.address()}};
  event::StewardsKeys keys;
  std::unique_ptr<store::State> state;
  std::unique_ptr<DigestDesk> desk;
  std::deque<Told> told;
  SealAddress address = SealKey::random().address();
  int mails = 0;

  void open(DigestDeskOptions options) {
    options.digests.learn_hours = 0;
    if (keys.epochs.empty()) {
      ASSERT_TRUE(event::make_epochs(keys, stewards, {.from = sim.now() - 1h}));
    }
    if (!state) {
      auto opened = store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}});
      ASSERT_TRUE(opened) << to_string(opened.error());
      state = std::move(*opened);
    }
    auto community = std::make_shared<Community>();
    ASSERT_TRUE(community->add("town.example", kTown));
    ASSERT_TRUE(community->add("other.example", MunicipalityId{147}));
    community->add_own(kTown);
    auto own = node_seal_key(sim.files(), "digest.key", "town");
    ASSERT_TRUE(own) << to_string(own.error());
    address = own->address();
    auto made = DigestDesk::open(
        sim, *state, community, std::move(*own), stewards,
        [this](store::Tx&, std::string_view kind, std::string_view json, MunicipalityId of,
               event::Tlp) -> Result<void> {
          EXPECT_EQ(of, kTown);
          told.push_back({std::string(kind), std::string(json)});
          return {};
        },
        options, metrics);
    ASSERT_TRUE(made) << to_string(made.error());
    desk = std::move(*made);
  }
  void start(DigestDeskOptions options = {}) {
    open(options);
    state->start();
  }
  void TearDown() override {
    if (state) state->stop();
  }
  Result<void> entry(std::string_view kind, const std::string& json) {
    return state->write_now([&](store::Tx& tx) { return desk->take_entry(tx, kind, json, kTown); });
  }
  Result<void> key(std::int64_t epoch) {
    return entry("digest_key",
                 net::to_json(event::seal_to_node(*event::open_epoch(keys, epoch, anna_opens), address, anna)));
  }
  void mail(std::string url, int recipients = 1, bool again = false) {
    event::MailFact m;
    m.head.municipality = kTown;
    m.head.source = event::FactSource::mail_copy;
    m.head.happened = m.head.received = sim.now();
    m.sender = "bo@other.example";
    for (int i = 0; i < recipients; ++i) m.recipients.push_back(fmt::format("p{}@town.example", i));
    m.message_id = fmt::format("{}@x", ++mails);
    m.urls = {std::move(url)};
    desk->feed(m, sim.now(), again);
    if (auto unit = desk->take()) {
      EXPECT_TRUE(state->write_now(std::move(unit)));
    }
  }
  std::string last_digest() {
    for (auto at = told.rbegin(); at != told.rend(); ++at)
      if (at->kind == "digest") {
        const auto b = net::from_json<event::DigestBatch>(at->json, net::Unknown::refuse);
        EXPECT_TRUE(b);
        return b->items.at(0).digests.back();
      }
    return {};
  }
  Result<void> ask(std::string request, std::string digest) {
    const event::RevealRequest r{.request = std::move(request),
                                 .digest = std::move(digest),
                                 .reason = "candidate",
                                 .epoch = 1,
                                 .until_us = micros(sim.now() + 15min)};
    return entry("reveal", net::to_json(r));
  }
  event::Revealed answered() {
    EXPECT_EQ(told.back().kind, "revealed");
    const auto r = net::from_json<event::Revealed>(told.back().json, net::Unknown::refuse);
    EXPECT_TRUE(r);
    return r.value_or(event::Revealed{});
  }
  std::vector<AskedReveal> list() {
    auto l = state->read([](store::Reader& db) { return DigestReveals::list(db, kTown); });
    EXPECT_TRUE(l) << (l ? "" : to_string(l.error()));
    return l.value_or(std::vector<AskedReveal>{});
  }
};

TEST_F(DigestDeskTest, WhatTheHubAsksIsRevealedByItselfOnce) {
  start();
  ASSERT_TRUE(key(1));
  mail("evil.example/login/6f9619ff-8b86-d011-b42d-00cf4fc964ff?user=jens");
  const auto digest = last_digest();
  ASSERT_EQ(digest.size(), 32U);
  ASSERT_TRUE(ask("7-101", digest));
  const auto a = answered();
  EXPECT_EQ(a.state, "revealed");
  EXPECT_EQ(a.host, "evil.example");
  EXPECT_EQ(a.path, "/login/*");
  EXPECT_EQ(a.sender_domains, std::vector<std::string>{"other.example"});
  EXPECT_FALSE(told.back().json.contains("jens"));
  const auto n = told.size();
  ASSERT_TRUE(ask("7-101", digest));
  EXPECT_EQ(told.size(), n);
  ASSERT_TRUE(ask("8-101", std::string(32, 'a')));
  EXPECT_EQ(answered().state, "gone");
  ASSERT_EQ(list().size(), 2U);
}

TEST_F(DigestDeskTest, AskCountsAsNoAfterTenMinutesAndShowsWhatItCost) {
  start({.reveals = {.ask = true}});
  ASSERT_TRUE(key(1));
  mail("evil.example/login", 3);
  ASSERT_TRUE(ask("7-101", last_digest()));
  EXPECT_EQ(answered().state, "asked");
  sim.advance(9min);
  mail("evil.example/login", 40);
  EXPECT_EQ(list().at(0).state, "asked");
  sim.advance(2min);
  EXPECT_EQ(answered().state, "declined");
  auto row = list().at(0);
  EXPECT_EQ(row.state, "late");
  EXPECT_EQ(row.mails, 3);
  EXPECT_EQ(row.mails_since, 40);  // what came while nobody said yes
  EXPECT_EQ(row.what, "evil.example/login");
  EXPECT_EQ(row.answered_us - row.asked_us, 600'000'000);
  // a late yes still counts while the hub waits
  ASSERT_TRUE(state->write_now(
      [&](store::Tx& tx) { return desk->reveals().answer(tx, kTown, "7-101", true, "Anna Example"); }));
  EXPECT_EQ(answered().state, "revealed");
  EXPECT_FALSE(state->write_now(
      [&](store::Tx& tx) { return desk->reveals().answer(tx, kTown, "7-101", false, "Anna Example"); }));
  EXPECT_EQ(list().at(0).who, "Anna Example");
}

TEST_F(DigestDeskTest, APersonsNoIsSentAtOnceAndIsTheEnd) {
  start({.reveals = {.ask = true}});
  ASSERT_TRUE(key(1));
  mail("evil.example/login");
  ASSERT_TRUE(ask("7-101", last_digest()));
  ASSERT_TRUE(state->write_now(
      [&](store::Tx& tx) { return desk->reveals().answer(tx, kTown, "7-101", false, "Anna Example"); }));
  EXPECT_EQ(answered().state, "declined");
  const auto n = told.size();
  sim.advance(1h);
  EXPECT_EQ(told.size(), n);  // the timer is gone
  EXPECT_EQ(list().at(0).state, "declined");
  EXPECT_FALSE(state->write_now(
      [&](store::Tx& tx) { return desk->reveals().answer(tx, kTown, "7-101", true, "Anna Example"); }));
}

TEST_F(DigestDeskTest, KeysOutliveARestartSealed) {
  start();
  EXPECT_EQ(desk->trouble(sim.now()), "digests.trouble.no_key");
  ASSERT_TRUE(key(1));
  ASSERT_TRUE(key(1));
  EXPECT_EQ(desk->trouble(sim.now() + std::chrono::days(20)), "digests.trouble.ends_soon");
  EXPECT_EQ(desk->trouble(sim.now()), "");
  mail("evil.example/a");
  const auto before = told.size();
  const auto payload =
      state->read([](store::Reader& db) { return db.one<std::string>("SELECT payload FROM node_digest_key"); });
  ASSERT_TRUE(payload && *payload);
  const auto raw = event::open_epoch(keys, 1, anna_opens);
  EXPECT_FALSE((**payload).contains(raw->key.reveal()));
  std::string saved;
  ASSERT_TRUE(desk->save(saved));
  state->stop();
  auto held = std::move(state);
  desk.reset();
  state = std::move(held);
  open({});
  ASSERT_TRUE(desk->load(saved));
  EXPECT_EQ(desk->keyring().keys()->all().size(), 1U);
  EXPECT_EQ(desk->trouble(sim.now()), "");
  EXPECT_EQ(before, told.size());
}

TEST_F(DigestDeskTest, KeysOfNobodyOrOfOthersAreRefused) {
  start();
  const auto epoch = event::open_epoch(keys, 1, anna_opens);
  EXPECT_EQ(
      entry("digest_key", net::to_json(event::seal_to_node(*epoch, address, SigningKey::from_seed({9})))).error().code,
      Code::forbidden);
  EXPECT_EQ(
      entry("digest_key", net::to_json(event::seal_to_node(*epoch, SealKey::random().address(), anna))).error().code,
      Code::forbidden);
  EXPECT_FALSE(entry("digest_key", "{}"));
  EXPECT_FALSE(entry("digest_key", std::string(10'000, ' ')));
  EXPECT_FALSE(entry("something", "{}"));
  ASSERT_TRUE(key(1));
  event::StewardsKeys others;
  ASSERT_TRUE(event::make_epochs(others, stewards, {.from = sim.now()}));
  EXPECT_EQ(entry("digest_key", net::to_json(event::seal_to_node(*event::open_epoch(others, 1, bo_opens), address, bo)))
                .error()
                .code,
            Code::conflict);
  EXPECT_EQ(metrics.counter("digest_key_refused").value(), 5U);
}

TEST_F(DigestDeskTest, AReserveBeginsWhenItComesAndEndsWhatWasBefore) {
  start();
  ASSERT_TRUE(key(1));
  mail("evil.example/a");
  sim.advance(1h);
  ASSERT_TRUE(key(4));  // the first reserve
  const auto in_force = desk->keyring().keys()->in_force(sim.now());
  ASSERT_EQ(in_force.size(), 1U);
  EXPECT_EQ(in_force[0]->epoch, 4);
  mail("evil.example/b");
  std::set<std::vector<std::int64_t>> epochs;
  for (const auto& t : told)
    if (t.kind == "digest") epochs.insert(net::from_json<event::DigestBatch>(t.json, net::Unknown::refuse)->epochs);
  EXPECT_EQ(epochs, (std::set<std::vector<std::int64_t>>{{1}, {4}, {1, 4}}));
  sim.advance(33 * 24h);
  EXPECT_TRUE(desk->keyring().keys()->in_force(sim.now()).empty());
}

TEST_F(DigestDeskTest, WhatCameOutBeforeACrashDoesNotComeOutAgain) {
  start();
  ASSERT_TRUE(key(1));
  std::string saved;
  ASSERT_TRUE(desk->save(saved));
  mail("evil.example/a");
  mail("evil.example/b");
  const auto n = told.size();
  ASSERT_TRUE(desk->load(saved));
  mails = 0;
  mail("evil.example/a", 1, true);
  mail("evil.example/b", 1, true);
  EXPECT_EQ(told.size(), n);
  mail("evil.example/c");
  EXPECT_EQ(told.size(), n + 1);
}

TEST_F(DigestDeskTest, TheAddressIsToldOnceAndTheHarmlessListIsKept) {
  start();
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(state->write_now([&](store::Tx& tx) { return desk->tell_address(tx, kTown); }));
  EXPECT_EQ(told.size(), 1U);
  EXPECT_EQ(told[0].kind, "digest_address");
  ASSERT_TRUE(
      entry("harmless", R"({"version":1,"domains":[{"domain":"nyhed.example","since_us":1,"municipalities":5}]})"));
  EXPECT_FALSE(entry("harmless", "nonsense"));
}

TEST_F(DigestDeskTest, WhatIsOldIsForgottenButItsCostStays) {
  start({.reveals = {.ask = true}});
  ASSERT_TRUE(key(1));
  mail("evil.example/a", 2);
  ASSERT_TRUE(ask("7-101", last_digest()));
  mail("evil.example/a", 5);
  sim.advance(40 * 24h);
  auto retention = store::Retention::open(*state, DigestReveals::retention());
  ASSERT_TRUE(retention);
  ASSERT_TRUE((*retention)->retain(sim.now()));
  EXPECT_EQ(state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM node_digest"); }).value_or(-1),
            0);
  EXPECT_EQ(list().at(0).mails_since, 5);
}

}  // namespace

}  // namespace bavn::notice
