// Digests over a whole community under Sim: stewards, hub, nodes; overlap of epochs, a revoked node, reveals.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>

#include "base/sim.hpp"
#include "correlate/digest_keys.hpp"
#include "correlate/digests.hpp"
#include "net/json_views.hpp"
#include "notice/digest_desk.hpp"

namespace bavn::app {

namespace {

using namespace std::chrono_literals;

class Towns : public correlate::Members {
 public:
  std::vector<correlate::Member> all() const override { return {}; }
  std::optional<correlate::Member> of(MunicipalityId) const override { return std::nullopt; }
  std::optional<MunicipalityId> of_domain(std::string_view domain) const override {
    if (!domain.starts_with("town") || !domain.ends_with(".example")) return std::nullopt;
    return MunicipalityId{static_cast<std::uint16_t>(std::atoi(std::string(domain.substr(4)).c_str()))};
  }
};

struct Way {
  std::size_t node = 0;  // from or to
  std::string kind, json;
};

struct CommunityTest : ::testing::Test {
  Sim sim{11};
  Metrics metrics;
  Towns towns;
  SigningKey anna = SigningKey::from_seed({1}), bo = SigningKey::from_seed({2});
  SealKey anna_opens = SealKey::random(), bo_opens = SealKey::random();
  std::vector<event::Steward> stewards{{"Anna", anna.public_key(), anna_opens.address()},
                                       {"Bo", bo.public_key(), bo_opens.address()}};
  event::StewardsKeys keys;

  struct Node {
    std::unique_ptr<store::State> state;
    std::unique_ptr<notice::DigestDesk> desk;
    bool away = false, revoked = false;
    std::deque<Way> waiting;  // entries while it is away
  };
  std::vector<Node> nodes;
  std::unique_ptr<store::State> hub;
  std::unique_ptr<correlate::DigestBook> book;
  std::unique_ptr<correlate::DigestKeyShelf> shelf;
  std::deque<Way> up, down;
  std::size_t bytes_up = 0;
  std::vector<correlate::Group> groups;
  int mails = 0;

  void open(std::size_t n, notice::DigestDeskOptions options = {}) {
    options.digests.learn_hours = 0;
    auto state = store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}});
    ASSERT_TRUE(state) << to_string(state.error());
    hub = std::move(*state);
    const auto to_node = [this](store::Tx&, std::optional<MunicipalityId> to, std::string_view kind,
                                const std::string& json) -> Result<void> {
      down.push_back({to ? to->value - 1U : 0U, std::string(kind), json});
      return {};
    };
    const auto to_all = [this](store::Tx&, std::string_view, std::string_view kind,
                               const std::string& json) -> Result<void> {
      for (std::size_t i = 0; i < nodes.size(); ++i) down.push_back({i, std::string(kind), json});
      return {};
    };
    auto made = correlate::DigestBook::open(sim, *hub, towns, to_node, to_all, {}, metrics);
    ASSERT_TRUE(made) << to_string(made.error());
    book = std::move(*made);
    shelf = std::make_unique<correlate::DigestKeyShelf>(to_node, stewards);
    hub->start();
    auto community = std::make_shared<notice::Community>();
    for (std::size_t i = 1; i <= n; ++i)
      ASSERT_TRUE(community->add(fmt::format("town{}.example", i), MunicipalityId{static_cast<std::uint16_t>(i)}));
    nodes.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
      auto opened = store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}});
      ASSERT_TRUE(opened) << to_string(opened.error());
      nodes[i].state = std::move(*opened);
      auto desk = notice::DigestDesk::open(
          sim, *nodes[i].state, community, SealKey::random(), stewards,
          [this, i](store::Tx&, std::string_view kind, std::string_view json, MunicipalityId,
                    event::Tlp) -> Result<void> {
            up.push_back({i, std::string(kind), std::string(json)});
            bytes_up += json.size();
            return {};
          },
          options, metrics);
      ASSERT_TRUE(desk) << to_string(desk.error());
      nodes[i].desk = std::move(*desk);
      nodes[i].state->start();
      ASSERT_TRUE(nodes[i].state->write_now([&](store::Tx& tx) { return nodes[i].desk->tell_address(tx, of(i)); }));
    }
    pump();
    ASSERT_TRUE(event::make_epochs(keys, stewards, {.from = sim.now()}));
    const auto addresses = hub->read([](store::Reader& db) { return correlate::DigestKeyShelf::addresses(db); });
    ASSERT_TRUE(addresses);
    std::vector<event::SealedKey> sealed;
    for (const auto& e : keys.epochs)
      for (const auto& a : *addresses)
        sealed.push_back(
            event::seal_to_node(*event::open_epoch(keys, e.epoch, bo_opens), *SealAddress::parse(a.address), bo));
    ASSERT_TRUE(hub->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(const auto count, shelf->install(tx, sealed, "Bo"));
      EXPECT_EQ(count, static_cast<std::int64_t>(sealed.size()));
      return {};
    }));
    pump();
  }
  void TearDown() override {
    for (auto& n : nodes)
      if (n.state) n.state->stop();
    if (hub) hub->stop();
  }
  static MunicipalityId of(std::size_t i) { return MunicipalityId{static_cast<std::uint16_t>(i + 1)}; }

  /// Carries what waits, both ways, until nothing does.
  void pump() {
    while (!up.empty() || !down.empty()) {
      if (!up.empty()) {
        const Way w = std::move(up.front());
        up.pop_front();
        const correlate::Report r{.node = fmt::format("node-{}", w.node),
                                  .id = std::to_string(++mails),
                                  .kind = w.kind,
                                  .municipality = of(w.node),
                                  .at = sim.now(),
                                  .received = sim.now(),
                                  .body = w.json};
        const auto done = hub->write_now([&](store::Tx& tx) -> Result<void> {
          if (w.kind == "digest_address") return shelf->take_address(tx, r);
          if (w.kind == "harmless") return book->take_harmless(tx, r);
          BAVN_TRY(auto changed, book->take(tx, r));
          for (auto& g : changed) {
            if (g.seen.size() >= 3) BAVN_CHECK(book->want_reveal(tx, g.id, "candidate"));
            groups.push_back(std::move(g));
          }
          return {};
        });
        EXPECT_TRUE(done) << w.kind << ": " << to_string(done.error());
      } else {
        Way w = std::move(down.front());
        down.pop_front();
        Node& n = nodes.at(w.node);
        if (n.revoked) continue;
        if (n.away) {
          n.waiting.push_back(std::move(w));
          continue;
        }
        const auto done =
            n.state->write_now([&](store::Tx& tx) { return n.desk->take_entry(tx, w.kind, w.json, of(w.node)); });
        EXPECT_TRUE(done) << w.kind << ": " << to_string(done.error());
      }
    }
  }
  void back(std::size_t i) {
    nodes[i].away = false;
    for (auto& w : nodes[i].waiting) down.push_back(std::move(w));
    nodes[i].waiting.clear();
    pump();
  }
  void mail(std::size_t i, std::string url) {
    event::MailFact m;
    m.head.municipality = of(i);
    m.head.source = event::FactSource::mail_copy;
    m.head.happened = m.head.received = sim.now();
    m.sender = "someone@town1.example";
    m.recipients = {fmt::format("jens.hansen{}@town{}.example", i, i + 1)};
    m.message_id = fmt::format("{}@x", ++mails);
    m.urls = {std::move(url)};
    nodes[i].desk->feed(m, sim.now(), false);
    if (auto unit = nodes[i].desk->take()) {
      EXPECT_TRUE(nodes[i].state->write_now(std::move(unit)));
    }
    pump();
  }
  const correlate::Group* last() const { return groups.empty() ? nullptr : &groups.back(); }
};

TEST_F(CommunityTest, ThreeMunicipalitiesSeeOneThingAndTheHubLearnsWhatItIs) {
  open(4);
  mail(0, "bio.link/orbes?u=1");
  mail(1, "bio.link/orbes?u=2");
  EXPECT_EQ(last() == nullptr ? 0U : last()->seen.size(), 2U);
  EXPECT_FALSE(last()->revealed);
  mail(2, "bio.link/orbes?u=3");
  ASSERT_TRUE(last() != nullptr && last()->revealed);
  EXPECT_EQ(last()->seen.size(), 3U);
  EXPECT_EQ(last()->revealed->host, "bio.link");
  EXPECT_EQ(last()->revealed->path, "/orbes");
  EXPECT_EQ(last()->sender_domains, std::vector<std::string>{"town1.example"});
  const auto known = hub->read(
      [](store::Reader& db) { return db.number("SELECT count(*) FROM hub_digest_shown WHERE path LIKE '%u=%'"); });
  EXPECT_EQ(known.value_or(-1), 0);
}

TEST_F(CommunityTest, ACampaignOverTheChangeOfEpochIsOne) {
  open(4);
  sim.advance(30 * 24h - 1h);
  mail(0, "evil.example/login/1");  // the first epoch alone
  sim.advance(2h);
  mail(1, "evil.example/login/2");  // both
  EXPECT_EQ(last()->seen.size(), 2U);
  sim.advance(48h - 30min);
  // who saw it in the overlap goes on under the second epoch, which is all the others have now
  mail(2, "evil.example/login/3");
  mail(1, "evil.example/login/4");
  ASSERT_NE(last(), nullptr);
  EXPECT_EQ(
      hub->read([](store::Reader& db) { return db.number("SELECT count(*) FROM hub_digest_group"); }).value_or(-1), 1);
  EXPECT_EQ(hub->read([](store::Reader& db) { return db.number("SELECT count(*) FROM hub_digest_seen"); }).value_or(-1),
            3);
}

TEST_F(CommunityTest, ARevokedNodeMeansANewKeyAtOnceAndWhatGoesOnStaysOneGroup) {
  open(5);
  mail(0, "evil.example/login/1");
  mail(1, "evil.example/login/1");
  nodes[2].away = true;
  nodes[4].revoked = true;
  ASSERT_TRUE(hub->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto epoch, shelf->revoked(tx, "node-4", "Anna"));
    EXPECT_EQ(epoch, 4);
    return {};
  }));
  pump();
  for (const std::size_t i : {0U, 1U, 3U}) {
    const auto in_force = nodes[i].desk->keyring().keys()->in_force(sim.now());
    ASSERT_EQ(in_force.size(), 1U);
    EXPECT_EQ(in_force[0]->epoch, 4);
  }
  EXPECT_EQ(nodes[4].desk->keyring().keys()->in_force(sim.now()).at(0)->epoch,
            1);                     // the revoked one has only what is worth nothing now
  mail(3, "evil.example/login/9");  // under the new key alone
  mail(0, "evil.example/other");    // its next word tells what goes on again, old and new together
  mail(2, "evil.example/login/7");  // has not heard yet: the old key
  back(2);
  mail(2, "evil.example/third");
  EXPECT_EQ(hub->read([](store::Reader& db) {
                 return db.number(
                     "SELECT count(*) FROM hub_digest_seen s JOIN hub_digest d ON d.grp = s.grp AND d.epoch = 4 GROUP "
                     "BY s.grp ORDER BY "
                     "count(*) DESC LIMIT 1");
               })
                .value_or(-1),
            4);
}

TEST_F(CommunityTest, AMunicipalityThatAsksPeopleDoesNotHoldUpTheOthers) {
  open(5, {.reveals = {.ask = true}});
  for (std::size_t i = 0; i < 5; ++i) {
    mail(i, "evil.example/login");
    sim.advance(1s);
  }
  EXPECT_FALSE(last()->revealed);
  // one of the three that were asked says yes in the ninth minute
  sim.advance(9min);
  ASSERT_TRUE(nodes[1].state->write_now(
      [&](store::Tx& tx) { return nodes[1].desk->reveals().answer(tx, of(1), "1-2", true, "Anna Example"); }));
  pump();
  ASSERT_TRUE(last()->revealed);
  EXPECT_EQ(last()->revealed->host, "evil.example");
  sim.advance(10min);
  pump();
  const auto late = nodes[0].state->read([](store::Reader& db) { return notice::DigestReveals::list(db, of(0)); });
  ASSERT_TRUE(late);
  EXPECT_EQ(late->at(0).state, "late");
}

TEST_F(CommunityTest, NobodyAnswersAndOthersAreAsked) {
  open(5, {.reveals = {.ask = true}});
  for (std::size_t i = 0; i < 5; ++i) mail(i, "evil.example/login");
  sim.advance(11min);  // three said no by the clock: the next two are asked at once
  pump();
  EXPECT_EQ(hub->read([](store::Reader& db) { return db.number("SELECT count(*) FROM hub_digest_ask"); }).value_or(-1),
            5);
  sim.advance(1h);
  pump();
  EXPECT_EQ(hub->read([](store::Reader& db) {
                 return db.number("SELECT count(*) FROM hub_digest_group WHERE reveal = 'unanswered'");
               })
                .value_or(-1),
            1);
}

TEST_F(CommunityTest, WhatFiveLearntAsHarmlessTheSixthNeedNotTell) {
  open(6);
  const auto newsletter = [&](std::size_t i, std::string url) {
    event::MailFact m;
    m.head.municipality = of(i);
    m.head.source = event::FactSource::mail_copy;
    m.sender = "brev@nyhed.example";
    m.signed_by = "nyhed.example";
    m.list_id = "liste";
    m.recipients = {"p@town1.example"};
    m.message_id = fmt::format("{}@n", ++mails);
    m.urls = {std::move(url)};
    nodes[i].desk->feed(m, sim.now(), false);
    if (auto unit = nodes[i].desk->take()) {
      EXPECT_TRUE(nodes[i].state->write_now(std::move(unit)));
    }
    pump();
  };
  for (std::size_t i = 0; i < 5; ++i) newsletter(i, "nyhed.example/a");
  sim.advance(15 * 24h);
  for (std::size_t i = 0; i < 5; ++i) newsletter(i, "nyhed.example/b");
  sim.advance(1h);
  pump();
  const auto told = bytes_up;
  newsletter(5, "nyhed.example/c");
  EXPECT_EQ(bytes_up, told);
}

}  // namespace

}  // namespace bavn::app
