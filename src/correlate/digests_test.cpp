#include "correlate/digests.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/sim.hpp"
#include "correlate/digest_keys.hpp"
#include "net/json_views.hpp"

namespace bavn::correlate {

namespace {

using namespace std::chrono_literals;

class Towns : public Members {
 public:
  std::vector<Member> all() const override { return {}; }
  std::optional<Member> of(MunicipalityId) const override { return std::nullopt; }
  std::optional<MunicipalityId> of_domain(std::string_view domain) const override {
    if (domain.starts_with("town") && domain.ends_with(".example"))
      return MunicipalityId{static_cast<std::uint16_t>(std::atoi(std::string(domain.substr(4)).c_str()))};
    return std::nullopt;
  }
};

std::string digest_of(std::string_view what, std::int64_t epoch) {
  return to_hex(blake2b256(fmt::format("{} {}", what, epoch)).substr(0, 16));
}

struct Sent {
  std::uint16_t to = 0;
  std::string kind, json;
};

struct DigestBookTest : testing::Test {
  Sim sim{1};
  Metrics metrics;
  Towns towns;
  std::vector<Sent> down, spread;
  std::unique_ptr<store::State> state;
  std::unique_ptr<DigestBook> book;
  DigestBookOptions options;
  int reports = 0;

  Down to_nodes() {
    return [this](store::Tx&, std::optional<MunicipalityId> to, std::string_view kind,
                  const std::string& json) -> Result<void> {
      down.push_back({to ? to->value : std::uint16_t{0}, std::string(kind), json});
      return {};
    };
  }
  void start() {
    auto opened = store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}});
    ASSERT_TRUE(opened) << to_string(opened.error());
    state = std::move(*opened);
    auto made = DigestBook::open(
        sim, *state, towns, to_nodes(),
        [this](store::Tx&, std::string_view, std::string_view kind, const std::string& json) -> Result<void> {
          spread.push_back({0, std::string(kind), json});
          return {};
        },
        options, metrics);
    ASSERT_TRUE(made) << to_string(made.error());
    book = std::move(*made);
    state->start();
  }
  void TearDown() override {
    if (state) state->stop();
  }
  Report report(std::uint16_t town, std::string_view kind, std::string_view body) {
    return {.node = fmt::format("node-{}", town),
            .id = std::to_string(++reports),
            .kind = std::string(kind),
            .municipality = MunicipalityId{town},
            .at = sim.now(),
            .received = sim.now(),
            .body = body};
  }
  Result<std::vector<Group>> take(std::uint16_t town, std::string_view kind, const std::string& body) {
    std::vector<Group> groups;
    const auto r = report(town, kind, body);
    auto done = state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(groups, book->take(tx, r));
      return {};
    });
    if (!done) return std::unexpected(done.error());
    return groups;
  }
  event::DigestItem item(std::string_view what, std::vector<std::int64_t> epochs, std::string domain = {}) {
    event::DigestItem i;
    for (const auto e : epochs) i.digests.push_back(digest_of(what, e));
    i.kind = "url";
    i.first_us = micros(sim.now());
    i.mails = 1;
    i.sender_domain = std::move(domain);
    return i;
  }
  Result<std::vector<Group>> tell(std::uint16_t town, std::string_view what, std::vector<std::int64_t> epochs = {1},
                                  std::string domain = {}) {
    event::DigestBatch b;
    b.items = {item(what, epochs, std::move(domain))};
    b.epochs = std::move(epochs);
    return take(town, "digest", net::to_json(b));
  }
  Group group(const std::string& digest) {
    std::optional<Group> found;
    EXPECT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(found, book->group_of(tx, digest));
      return {};
    }));
    EXPECT_TRUE(found);
    return found.value_or(Group{});
  }
  void want(const std::string& id) {
    EXPECT_TRUE(state->write_now([&](store::Tx& tx) { return book->want_reveal(tx, id, "candidate"); }));
  }
  event::RevealRequest asked(std::size_t i) {
    auto r = net::from_json<event::RevealRequest>(down.at(i).json, net::Unknown::refuse);
    EXPECT_TRUE(r);
    return *r;
  }
  static event::Revealed answer(const event::RevealRequest& r, std::string host = "evil.example",
                                std::string path = "/login/#") {
    event::Revealed a;
    a.request = r.request;
    a.digest = r.digest;
    a.state = "revealed";
    a.kind = "url";
    a.scheme = "http";
    a.host = std::move(host);
    a.path = std::move(path);
    return a;
  }
};

TEST_F(DigestBookTest, MunicipalitiesThatSeeOneThingAreOneGroup) {
  start();
  const auto first = tell(1, "a");
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_TRUE(first->empty());  // one municipality without signs is nothing to look at
  sim.advance(20min);
  const auto second = tell(2, "a");
  ASSERT_TRUE(second && second->size() == 1);
  EXPECT_EQ(second->at(0).seen.size(), 2U);
  EXPECT_EQ(second->at(0).seen[0].municipality.value, 1);
  ASSERT_TRUE(tell(2, "a"));  // again counts once
  ASSERT_TRUE(tell(3, "b"));
  EXPECT_EQ(group(digest_of("a", 1)).seen.size(), 2U);
  sim.advance(7h);
  ASSERT_TRUE(tell(4, "a"));
  EXPECT_EQ(group(digest_of("a", 1)).seen.size(), 1U);  // the others are out of the window
}

TEST_F(DigestBookTest, BothEpochsOfOverlapAreOneGroup) {
  start();
  ASSERT_TRUE(tell(1, "a", {1}));
  ASSERT_TRUE(tell(2, "a", {1, 2}));
  const auto third = tell(3, "a", {2});
  ASSERT_TRUE(third && third->size() == 1);
  EXPECT_EQ(third->at(0).seen.size(), 3U);
}

TEST_F(DigestBookTest, GroupsThatGrewApartAreJoinedByOneRecordThatHasBoth) {
  start();
  ASSERT_TRUE(tell(1, "a", {1}));
  ASSERT_TRUE(tell(2, "a", {2}));
  const auto old = group(digest_of("a", 2)).id;
  EXPECT_NE(group(digest_of("a", 1)).id, old);
  const auto joined = tell(3, "a", {1, 2});
  ASSERT_TRUE(joined && joined->size() == 1);
  EXPECT_EQ(joined->at(0).seen.size(), 3U);
  EXPECT_EQ(group(digest_of("a", 1)).id, group(digest_of("a", 2)).id);
  std::optional<Group> by_old;
  ASSERT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(by_old, book->group(tx, old));
    return {};
  }));
  ASSERT_TRUE(by_old);  // who knew it by the id it lost finds it
  EXPECT_EQ(by_old->id, group(digest_of("a", 1)).id);
}

TEST_F(DigestBookTest, ARogueNodeCannotMakeTwoThingsOne) {
  start();
  ASSERT_TRUE(tell(1, "a", {1, 2}));
  ASSERT_TRUE(tell(2, "b", {1, 2}));
  event::DigestBatch forged;
  forged.epochs = {1, 2};
  forged.items = {item("a", {1, 2})};
  forged.items[0].digests[1] = digest_of("b", 2);
  ASSERT_TRUE(take(9, "digest", net::to_json(forged)));
  EXPECT_NE(group(digest_of("a", 1)).id, group(digest_of("b", 1)).id);
  EXPECT_EQ(book->refusals().at("digest/join"), 1U);
  // a known digest under another epoch's name
  forged.epochs = {1};
  forged.items[0].digests = {digest_of("b", 2)};
  ASSERT_TRUE(take(9, "digest", net::to_json(forged)));
  EXPECT_EQ(book->refusals().at("digest/epoch"), 1U);
  EXPECT_EQ(group(digest_of("b", 1)).seen.size(), 1U);
}

TEST_F(DigestBookTest, AFloodIsCutAndSaidOnce) {
  options.per_day = 1'000;
  start();
  for (int b = 0; b < 6; ++b) {
    event::DigestBatch batch;
    batch.epochs = {1};
    for (int i = 0; i < 300; ++i) batch.items.push_back(item(fmt::format("{}-{}", b, i), {1}));
    ASSERT_TRUE(take(7, "digest", net::to_json(batch)));
  }
  EXPECT_EQ(book->refusals().at("digest/flood"), 800U);
  const auto count = [&](std::string_view sql) {
    return state->read([&](store::Reader& db) { return db.number(sql); }).value_or(-1);
  };
  EXPECT_EQ(count("SELECT count(*) FROM hub_digest_group"), 1'000);
  EXPECT_EQ(count("SELECT count(*) FROM domain_event WHERE kind = 'digest.flood'"), 1);
  ASSERT_TRUE(tell(8, "0-0"));  // others are heard
  EXPECT_EQ(group(digest_of("0-0", 1)).seen.size(), 2U);
  sim.advance(24h);
  ASSERT_TRUE(tell(7, "tomorrow"));
  EXPECT_EQ(group(digest_of("tomorrow", 1)).seen.size(), 1U);
}

TEST_F(DigestBookTest, BadBatchesAreRefusedWithAReason) {
  start();
  const auto refused = [&](auto change) {
    event::DigestBatch b;
    b.epochs = {1, 2};
    b.items = {item("a", {1, 2})};
    change(b);
    const auto r = take(1, "digest", net::to_json(b));
    return !r && r.error().code == Code::bad_input;
  };
  EXPECT_TRUE(refused([](auto& b) { b.epochs.clear(); }));
  EXPECT_TRUE(refused([](auto& b) { b.epochs = {2, 1}; }));
  EXPECT_TRUE(refused([](auto& b) { b.epochs = {0, 1}; }));
  EXPECT_TRUE(refused([](auto& b) { b.items[0].digests.pop_back(); }));
  EXPECT_TRUE(refused([](auto& b) { b.items[0].digests[1] = b.items[0].digests[0]; }));
  EXPECT_TRUE(refused([](auto& b) { b.items[0].digests[0] = "https://evil.example/x?q=secret#aaaa"; }));
  EXPECT_TRUE(refused([](auto& b) { b.items[0].digests[0][0] = 'G'; }));
  EXPECT_TRUE(refused([](auto& b) { b.items[0].kind = "<b>"; }));
  EXPECT_TRUE(refused([](auto& b) { b.items[0].mails = -1; }));
  EXPECT_TRUE(refused([](auto& b) { b.items[0].support = {"jens@town.example"}; }));
  EXPECT_TRUE(refused([](auto& b) { b.items[0].signs = {{"magic", "click", 0, ""}}; }));
  EXPECT_TRUE(refused([](auto& b) { b.items[0].signs = {{"harm", "<script>", 0, ""}}; }));
  EXPECT_TRUE(refused([](auto& b) { b.items.resize(600, b.items[0]); }));
  EXPECT_FALSE(take(1, "digest", "{}"));
  EXPECT_FALSE(refused([](auto&) {}));
}

TEST_F(DigestBookTest, ANodesClockAndWordsDoNotReachFar) {
  start();
  event::DigestBatch b;
  b.epochs = {1};
  b.items = {item("a", {1}, "nobody.example")};
  b.items[0].first_us = micros(sim.now()) + 3'600'000'000;
  b.items[0].signs = {{"payload", "login_form", 0, "<script>alert(1)</script>"}};
  const auto groups = take(1, "digest", net::to_json(b));
  ASSERT_TRUE(groups && groups->size() == 1);
  const auto& g = groups->at(0);
  EXPECT_LE(g.first_us, micros(sim.now()));
  EXPECT_TRUE(g.sender_domains.empty());  // of no member
  EXPECT_EQ(g.signs.at(0).sign.detail, "");
  EXPECT_GE(g.signs.at(0).sign.at_us, micros(sim.now() - 8 * 24h));
  ASSERT_TRUE(tell(2, "a", {1}, "town5.example"));
  EXPECT_EQ(group(digest_of("a", 1)).sender_domains, std::vector<std::string>{"town5.example"});
}

TEST_F(DigestBookTest, ThreeAreAskedAndTheirAnswerIsShown) {
  start();
  for (std::uint16_t t = 1; t <= 5; ++t) {
    ASSERT_TRUE(tell(t, "a"));
    sim.advance(1s);
  }
  const auto id = group(digest_of("a", 1)).id;
  want(id);
  want(id);
  ASSERT_EQ(down.size(), 3U);
  EXPECT_EQ(down[0].kind, "reveal");
  EXPECT_EQ(down[0].to, 1);
  EXPECT_EQ(asked(0).digest, digest_of("a", 1));
  const auto groups = take(1, "revealed", net::to_json(answer(asked(0))));
  ASSERT_TRUE(groups) << to_string(groups.error());
  ASSERT_EQ(groups->size(), 1U);
  ASSERT_TRUE(groups->at(0).revealed);
  EXPECT_EQ(groups->at(0).revealed->host, "evil.example");
  EXPECT_EQ(groups->at(0).revealed->path, "/login/#");
  const auto seen = state->read([&](store::Reader& db) { return book->host_first_seen(db, "evil.example"); });
  ASSERT_TRUE(seen && *seen);
  EXPECT_EQ(micros(**seen), groups->at(0).first_us);
  sim.advance(1h);
  EXPECT_EQ(down.size(), 3U);  // nobody else is asked
}

TEST_F(DigestBookTest, WhoDoesNotAnswerIsPassedOver) {
  start();
  for (std::uint16_t t = 1; t <= 6; ++t) {
    ASSERT_TRUE(tell(t, "a"));
    sim.advance(1s);
  }
  want(group(digest_of("a", 1)).id);
  auto no = answer(asked(0));
  no = event::Revealed{};
  no.request = asked(0).request;
  no.digest = asked(0).digest;
  no.state = "declined";
  ASSERT_TRUE(take(1, "revealed", net::to_json(no)));
  EXPECT_EQ(down.size(), 4U);  // the next one is asked at once
  no.request = asked(1).request;
  no.state = "asked";
  ASSERT_TRUE(take(2, "revealed", net::to_json(no)));
  EXPECT_EQ(down.size(), 4U);  // a person may still answer
  sim.advance(16min);
  EXPECT_EQ(down.size(), 6U);
  sim.advance(16min);
  EXPECT_EQ(down.size(), 6U);
  ASSERT_TRUE(tell(7, "a"));  // who comes later is asked
  EXPECT_EQ(down.size(), 7U);
  ASSERT_TRUE(take(7, "revealed", net::to_json(answer(asked(6)))));
  // a late yes counts as well, and a no may become one
  ASSERT_TRUE(take(2, "revealed", net::to_json(answer(asked(1)))));
  EXPECT_TRUE(group(digest_of("a", 1)).revealed);
}

TEST_F(DigestBookTest, ARogueNodeCannotMakeTheHubShowWhatItMayNot) {
  start();
  for (std::uint16_t t = 1; t <= 3; ++t) ASSERT_TRUE(tell(t, "a"));
  want(group(digest_of("a", 1)).id);
  const auto refused = [&](auto change, std::uint16_t town = 1) {
    auto a = answer(asked(0));
    change(a);
    const auto r = take(town, "revealed", net::to_json(a));
    return !r && (r.error().code == Code::bad_input || r.error().code == Code::forbidden);
  };
  for (const std::string path :
       {"/a?token=1", "/login/jens@town1.example", "/reset/eyJhbGciOiJIUzI1NiJ9", "/3xYzAbC9", "/<script>alert(1)",
        "/%3Cscript%3E", "/a\nb", "login", "/a#b c", "/a%2F..%2F", "/010190123456", "/\xE2\x80\xAE"})
    EXPECT_TRUE(refused([&](auto& a) { a.path = path; })) << path;
  for (const std::string host :
       {"10.0.0.1", "intranet", "evil.example/x", "Evil.example", "evil.example:0", "*.dk", "<b>.example", ""})
    EXPECT_TRUE(refused([&](auto& a) { a.host = host; })) << host;
  EXPECT_TRUE(refused([](auto& a) { a.scheme = "javascript"; }));
  EXPECT_TRUE(refused([](auto& a) { a.kind = "attachment"; }));
  EXPECT_TRUE(refused([](auto& a) { a.file_name = "x.html"; }));
  EXPECT_TRUE(refused([](auto& a) { a.state = "maybe"; }));
  EXPECT_TRUE(refused([](auto& a) { a.sender_domains.assign(50, "town2.example"); }));
  EXPECT_TRUE(refused([](auto& a) { a.digest = digest_of("b", 1); }));
  EXPECT_TRUE(refused([](auto& a) { a.request = "1-99"; }));
  EXPECT_TRUE(refused([](auto&) {}, 2));  // somebody else's question
  EXPECT_FALSE(group(digest_of("a", 1)).revealed);
  const auto rows = state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM hub_digest_shown"); });
  EXPECT_EQ(rows.value_or(-1), 0);
  EXPECT_TRUE(take(1, "revealed", net::to_json(answer(asked(0)))));
}

TEST_F(DigestBookTest, WhatIsDisputedIsShownWhenMostAgree) {
  start();
  for (std::uint16_t t = 1; t <= 6; ++t) {
    ASSERT_TRUE(tell(t, "a"));
    sim.advance(1s);
  }
  want(group(digest_of("a", 1)).id);
  ASSERT_TRUE(take(1, "revealed", net::to_json(answer(asked(0), "microsoft.com", "/"))));
  EXPECT_EQ(group(digest_of("a", 1)).revealed->host, "microsoft.com");
  ASSERT_TRUE(take(2, "revealed", net::to_json(answer(asked(1)))));
  EXPECT_FALSE(group(digest_of("a", 1)).revealed);  // one against one
  sim.advance(16min);
  EXPECT_GT(down.size(), 3U);  // others are asked
  ASSERT_TRUE(take(3, "revealed", net::to_json(answer(asked(2)))));
  ASSERT_TRUE(group(digest_of("a", 1)).revealed);
  EXPECT_EQ(group(digest_of("a", 1)).revealed->host, "evil.example");
}

TEST_F(DigestBookTest, RelatedGroupsShareSupport) {
  start();
  event::DigestBatch b;
  b.epochs = {1};
  b.items = {item("a", {1}), item("b", {1}), item("c", {1})};
  b.items[0].support = {digest_of("host", 1)};
  b.items[1].support = {digest_of("host", 1), digest_of("subject", 1)};
  ASSERT_TRUE(take(1, "digest", net::to_json(b)));
  const auto related = state->read([&](store::Reader& db) { return book->related(db, "1"); });
  ASSERT_TRUE(related);
  EXPECT_EQ(*related, std::vector<std::string>{"2"});
}

TEST_F(DigestBookTest, FiveMunicipalitiesMakeABulkSenderHarmless) {
  start();
  const auto learnt = [&](std::uint16_t town, std::string domain) {
    event::HarmlessList l;
    l.domains = {{domain, micros(sim.now() - 20 * 24h), 0}};
    const auto body = net::to_json(l);
    const auto r = report(town, "harmless", body);
    return state->write_now([&](store::Tx& tx) { return book->take_harmless(tx, r); });
  };
  for (std::uint16_t t = 1; t <= 4; ++t) ASSERT_TRUE(learnt(t, "nyhed.example"));
  sim.advance(1h);
  EXPECT_TRUE(spread.empty());
  ASSERT_TRUE(learnt(4, "nyhed.example"));
  ASSERT_TRUE(learnt(5, "nyhed.example"));
  for (std::uint16_t t = 1; t <= 9; ++t)
    for (const auto* never : {"gmail.com", "town3.example", "bio.link", "dk", "nonsense", "x.nyhed.example"})
      ASSERT_TRUE(learnt(t, never));
  sim.advance(1h);
  ASSERT_EQ(spread.size(), 1U);
  const auto list = net::from_json<event::HarmlessList>(spread[0].json, net::Unknown::refuse);
  ASSERT_TRUE(list);
  ASSERT_EQ(list->domains.size(), 1U);
  EXPECT_EQ(list->domains[0].domain, "nyhed.example");
  EXPECT_EQ(list->domains[0].municipalities, 5);
  ASSERT_TRUE(state->write_now(
      [&](store::Tx& tx) { return book->strike(tx, "nyhed.example", "Anna Example", "a campaign came from it"); }));
  ASSERT_EQ(spread.size(), 2U);
  EXPECT_TRUE(spread[1].json.contains("\"domains\":[]"));
  ASSERT_TRUE(learnt(6, "nyhed.example"));
  sim.advance(1h);
  EXPECT_EQ(spread.size(), 2U);  // it does not come back by itself
}

TEST_F(DigestBookTest, WhatOneMunicipalityAloneSawIsForgottenAfterAWeek) {
  start();
  ASSERT_TRUE(tell(1, "lone"));
  ASSERT_TRUE(tell(1, "both"));
  ASSERT_TRUE(tell(2, "both"));
  sim.advance(8 * 24h);
  auto retention = store::Retention::open(*state, DigestBook::retention());
  ASSERT_TRUE(retention);
  ASSERT_TRUE((*retention)->retain(sim.now()));
  const auto count = [&] {
    return state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM hub_digest"); }).value_or(-1);
  };
  EXPECT_EQ(count(), 1);
  sim.advance(90 * 24h);
  ASSERT_TRUE((*retention)->retain(sim.now()));
  EXPECT_EQ(count(), 0);
}

// ---- the shelf of keys ------------------------------------------------------------------------------------------------------------------

struct KeyShelfTest : DigestBookTest {
  SigningKey anna = SigningKey::from_seed({1}), bo = SigningKey::from_seed({2});
  SealKey anna_opens = SealKey::random(), bo_opens = SealKey::random();
  std::vector<event::Steward> stewards{{"Anna", anna.public_key(), anna_opens.address()},
                                       {"Bo", bo.public_key(), bo_opens.address()}};
  std::vector<SealKey> nodes;
  event::StewardsKeys keys;
  std::unique_ptr<DigestKeyShelf> shelf;

  void set_up(std::size_t towns_connected) {
    start();
    for (std::size_t i = 0; i < towns_connected; ++i) nodes.push_back(SealKey::random());
    ASSERT_TRUE(event::make_epochs(keys, stewards, {.from = sim.now()}));
    shelf = std::make_unique<DigestKeyShelf>(to_nodes(), stewards);
    for (std::size_t i = 0; i < nodes.size(); ++i) address(i);
  }
  void address(std::size_t i) {
    const auto body = net::to_json(event::DigestAddress{nodes[i].address().text()});
    const auto r = report(static_cast<std::uint16_t>(i + 1), "digest_address", body);
    ASSERT_TRUE(state->write_now([&](store::Tx& tx) { return shelf->take_address(tx, r); }));
  }
  std::vector<event::SealedKey> sealed() {
    std::vector<event::SealedKey> all;
    for (const auto& e : keys.epochs)
      for (const auto& n : nodes)
        all.push_back(event::seal_to_node(*event::open_epoch(keys, e.epoch, bo_opens), n.address(), bo));
    return all;
  }
  Result<std::int64_t> install(const std::vector<event::SealedKey>& all) {
    std::int64_t n = 0;
    auto done = state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(n, shelf->install(tx, all, "Anna"));
      return {};
    });
    if (!done) return std::unexpected(done.error());
    return n;
  }
};

TEST_F(KeyShelfTest, PeriodsGoDownAtOnceAndReservesStay) {
  set_up(3);
  const auto all = sealed();
  const auto n = install(all);
  ASSERT_TRUE(n) << to_string(n.error());
  EXPECT_EQ(*n, 15);
  EXPECT_EQ(down.size(), 9U);  // three periods for three nodes
  EXPECT_EQ(install(all).value_or(-1), 0);
  EXPECT_EQ(down.size(), 9U);
  const auto mine = net::from_json<event::SealedKey>(down[0].json, net::Unknown::refuse);
  ASSERT_TRUE(mine);
  EXPECT_TRUE(event::open_sealed(*mine, nodes[static_cast<std::size_t>(down[0].to - 1)], stewards));
  const auto standing = state->read([](store::Reader& db) { return DigestKeyShelf::standing(db); });
  ASSERT_TRUE(standing) << to_string(standing.error());
  ASSERT_EQ(standing->size(), 5U);
  EXPECT_EQ(standing->at(0).sent, 3);
  EXPECT_EQ(standing->at(4).sent, 0);
}

TEST_F(KeyShelfTest, ARevokedNodeMeansAReserveForAllOthersAtOnce) {
  set_up(3);
  ASSERT_TRUE(install(sealed()));
  down.clear();
  std::optional<std::int64_t> epoch;
  ASSERT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(epoch, shelf->revoked(tx, "node-2", "Anna"));
    return {};
  }));
  EXPECT_EQ(epoch, 4);
  ASSERT_EQ(down.size(), 2U);
  for (const auto& d : down) {
    EXPECT_NE(d.to, 2);
    EXPECT_TRUE(d.json.contains("\"replaces\":true"));
    EXPECT_FALSE(
        event::open_sealed(*net::from_json<event::SealedKey>(d.json, net::Unknown::refuse), nodes[1], stewards));
  }
  const auto revoke = [&](std::string node) {
    std::optional<std::int64_t> e;
    EXPECT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(e, shelf->revoked(tx, node, "Anna"));
      return {};
    }));
    return e;
  };
  EXPECT_EQ(revoke("node-77"), 0);            // it never had a key
  EXPECT_EQ(revoke("node-3"), 5);             // the second reserve
  EXPECT_EQ(revoke("node-1"), std::nullopt);  // none is left, and that is said
  const auto said = state->read([](store::Reader& db) {
    return db.number("SELECT count(*) FROM domain_event WHERE kind = 'digest_keys.no_reserve'");
  });
  EXPECT_EQ(said.value_or(-1), 1);
}

TEST_F(KeyShelfTest, ANodeThatComesLateGetsWhatWasSealedToIt) {
  set_up(2);
  nodes.push_back(SealKey::random());
  ASSERT_TRUE(install(sealed()));
  EXPECT_EQ(down.size(), 6U);
  address(2);
  EXPECT_EQ(down.size(), 9U);
  address(2);
  EXPECT_EQ(down.size(), 9U);
}

TEST_F(KeyShelfTest, ForgedAndContradictingKeysAreRefused) {
  set_up(1);
  const auto epoch = event::open_epoch(keys, 1, anna_opens);
  ASSERT_TRUE(epoch);
  EXPECT_FALSE(install({event::seal_to_node(*epoch, nodes[0].address(), SigningKey::from_seed({9}))}));
  ASSERT_TRUE(install(sealed()));
  event::StewardsKeys others;
  ASSERT_TRUE(event::make_epochs(others, stewards, {.from = sim.now()}));
  const auto other = event::open_epoch(others, 1, anna_opens);
  ASSERT_TRUE(other);
  const auto refused = install({event::seal_to_node(*other, SealKey::random().address(), anna)});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::conflict);
  const auto body = net::to_json(event::DigestAddress{nodes[0].address().text()});
  const auto r = report(9, "digest_address", body);
  EXPECT_FALSE(state->write_now([&](store::Tx& tx) { return shelf->take_address(tx, r); }));  // another node's address
}

}  // namespace

}  // namespace bavn::correlate
