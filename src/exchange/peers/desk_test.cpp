#include "exchange/peers/desk.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"
#include "net/sim.hpp"

namespace bavn::exchange {
namespace {

namespace mi = match::indicators;
using namespace std::chrono_literals;

/// A puller of a made-up language: GET list?after=N answers lines "DOMAIN", its ETag is kept.
void pull_lines(const std::shared_ptr<Pull>& pull, PullDone done) {
  auto ask = pull->request(net::Method::get, "list");
  if (!ask) return done(std::unexpected(ask.error()));
  if (!pull->peer.cursor.empty()) ask->headers.set("If-None-Match", pull->peer.cursor);
  pull->client.send(std::move(*ask), pull->queue,
                    [pull, done = std::move(done)](Result<net::ClientReply> reply) mutable {
                      if (!reply) return done(std::unexpected(reply.error()));
                      Pulled result;
                      result.cursor = pull->peer.cursor;
                      if (reply->status == 304) return done(result);
                      if (reply->status != 200) return done(std::unexpected(error_of(*reply, "list")));
                      std::vector<Delivered> all;
                      std::string_view body = reply->body;
                      while (!body.empty()) {
                        const auto end = std::min(body.find('\n'), body.size());
                        auto i = pull->library.defaults_of(pull->peer.id);
                        if (!i) return done(std::unexpected(i.error()));
                        i->kind = event::Kind::domain;
                        i->value = std::string(body.substr(0, end));
                        all.push_back({*i, "line"});
                        body.remove_prefix(std::min(end + 1, body.size()));
                      }
                      if (const auto taken = pull->library.publish(pull->peer.id, std::move(all), "list"); !taken)
                        return done(std::unexpected(taken.error()));
                      if (const auto* etag = reply->headers.find("ETag")) result.cursor = *etag;
                      result.newest = pull->runtime.now() + std::chrono::hours(1000);  // its clock lies
                      done(std::move(result));
                    });
}

class PeerDeskTest : public ::testing::Test {
 protected:
  void SetUp() override {
    queue = sim.queue({.name = "partner"});
    router.get("/feed/list", net::Needs::anyone, [this](const net::Request& q) {
      ++asked;
      const auto* auth = q.headers.find("Authorization");
      seen_auth = auth == nullptr ? "" : *auth;
      if (status != 200) return net::text("not today", "text/plain", status);
      const auto* etag = q.headers.find("If-None-Match");
      if (etag != nullptr && *etag == "\"1\"") return net::text("", "text/plain", 304);
      auto reply = net::text("evil.example\nworse.example\ngentofte.example\n");
      reply.headers.set("ETag", "\"1\"");
      return reply;
    });
    auto started = net::SimServer::start(sim, router, "partner.example:443", queue);
    ASSERT_TRUE(started) << to_string(started.error());
    server = std::move(*started);
    open();
  }
  void TearDown() override {
    if (state) state->stop();
  }
  void open() {
    state = store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}}).value();
    DeskParts parts{.runtime = sim,
                    .state = *state,
                    .client = client.get(),
                    .settings = nullptr,
                    .pullers = {{"misp_feed", pull_lines}}};
    parts.publish = [this](const event::Scope& scope, std::vector<mi::Indicator> all,
                           std::string_view) -> Result<void> {
      publisher = scope.who();
      published.insert(published.end(), all.begin(), all.end());
      return {};
    };
    parts.withdraw = [this](const event::Scope&, std::span<const mi::Removal> all) -> Result<std::uint64_t> {
      withdrawn.assign(all.begin(), all.end());
      return all.size();
    };
    parts.of_peer = [](store::Reader&, std::string_view peer) -> Result<std::vector<mi::Removal>> {
      return std::vector<mi::Removal>{{event::Kind::domain, "evil.example", std::string(peer)}};
    };
    parts.read = [this](store::Reader&, const LibraryAsk& ask) -> Result<std::vector<Known>> {
      std::vector<Known> page;
      for (const auto& k : book)
        if (k.indicator.tlp <= ask.ceiling && std::pair(k.changed, k.id) > std::pair(ask.after, ask.after_id) &&
            page.size() < ask.limit)
          page.push_back(k);
      return page;
    };
    parts.never_blocked = [](const event::Observable& o) -> std::optional<std::string> {
      if (o.value == "gentofte.example") return "a member's own domain";
      return std::nullopt;
    };
    auto opened = PeerDesk::open(std::move(parts));
    ASSERT_TRUE(opened) << to_string(opened.error());
    desk = std::move(*opened);
    state->start();
    ASSERT_TRUE(desk->start());
  }
  std::int64_t add(NewPeer p) {
    const auto id = desk->add(owner, p);
    EXPECT_TRUE(id) << to_string(id.error());
    return id.value_or(0);
  }
  static NewPeer feed() {
    NewPeer p;
    p.name = "Sector feed";
    p.kind = "misp_feed";
    p.url = "https://partner.example/feed";
    p.sign_in = "key";
    p.secret = "their key";
    p.every_minutes = 60;
    return p;
  }
  Peer peer(std::int64_t id) {
    auto s = desk->show(owner, id);
    EXPECT_TRUE(s) << to_string(s.error());
    return s ? s->peer : Peer{};
  }
  Code refused(const NewPeer& p) {
    const auto id = desk->add(owner, p);
    EXPECT_FALSE(id);
    return id ? Code::corrupt : id.error().code;
  }

  Sim sim{1};
  event::Scope owner = event::Scope::local_owner();
  std::unique_ptr<net::Client> client = net::sim_client(sim, {.address = "192.0.2.1"});
  net::Router router;
  QueueId queue{};
  int asked = 0, status = 200;
  std::string seen_auth, publisher;
  std::vector<mi::Indicator> published;
  std::vector<mi::Removal> withdrawn;
  std::vector<Known> book;
  std::unique_ptr<net::SimServer> server;
  std::unique_ptr<store::State> state;
  std::unique_ptr<PeerDesk> desk;
};

TEST_F(PeerDeskTest, APartnerIsAskedAtOnceThenRegularlyAndWhatItGivesIsInItsName) {
  const auto id = add(feed());
  sim.advance(10s);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(seen_auth, "their key");
  ASSERT_EQ(published.size(), 3U);
  EXPECT_EQ(publisher, "peer:Sector feed");
  EXPECT_EQ(published[0].source, "Sector feed");
  EXPECT_EQ(published[0].action, mi::Action::warn);
  EXPECT_LE(published[0].valid_until, sim.now() + 24h * 90);
  EXPECT_GT(published[0].valid_until, sim.now() + 24h * 89);
  EXPECT_EQ(published[2].action, mi::Action::watch) << "a member's own domain is only watched for";
  const Peer p = peer(id);
  EXPECT_EQ(p.state, "ok");
  EXPECT_EQ(p.taken, 3);
  EXPECT_EQ(p.demoted, 1);
  EXPECT_EQ(p.cursor, "\"1\"");
  EXPECT_LE(p.newest, sim.now()) << "a clock that runs ahead hides nothing";
  const auto dropped = desk->dropped(owner, id, "", 0, 10);
  ASSERT_TRUE(dropped);
  ASSERT_EQ(dropped->size(), 1U);
  EXPECT_EQ(dropped->front().object, "line (a member's own domain)");
  sim.advance(1h);
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(published.size(), 3U) << "304: nothing new";
}

TEST_F(PeerDeskTest, OneThatIsAddedPausedIsNotAskedBeforeItIsResumed) {
  const auto id = desk->add(owner, feed(), true);
  ASSERT_TRUE(id) << to_string(id.error());
  EXPECT_EQ(peer(*id).state, "paused");
  EXPECT_EQ(state->read([](store::Reader& r) { return r.number("SELECT count(*) FROM timer"); }).value_or(-1), 0);
  ASSERT_TRUE(desk->pause(owner, *id, false));
  EXPECT_EQ(peer(*id).state, "new");
}

TEST_F(PeerDeskTest, OneThatDoesNotAnswerIsTriedWithGrowingPausesAndComesBack) {
  status = 503;
  const auto id = add(feed());
  sim.advance(10s);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(peer(id).state, "away");
  EXPECT_EQ(peer(id).error, "the partner answered 503 to list: not today");
  sim.advance(1h);
  EXPECT_GE(asked, 5) << "1, 2, 4, 8, 16 minutes";
  EXPECT_LE(asked, 7);
  const int before = asked;
  sim.advance(24h);
  EXPECT_LE(asked, before + 8) << "at most every six hours in the end";
  status = 200;
  ASSERT_TRUE(desk->pull_now(owner, id));
  sim.advance(10s);
  EXPECT_EQ(peer(id).state, "ok");
  EXPECT_EQ(peer(id).failures, 0);
  EXPECT_EQ(peer(id).error, "");
}

TEST_F(PeerDeskTest, OneThatRefusesIsAskedOnceADayAndSaysSo) {
  status = 401;
  const auto id = add(feed());
  sim.advance(23h);
  EXPECT_EQ(asked, 1);
  EXPECT_EQ(peer(id).state, "refused");
  sim.advance(2h);
  EXPECT_EQ(asked, 2);
}

TEST_F(PeerDeskTest, APausedOneIsNotAskedAndGivesNothing) {
  const auto id = add(feed());
  sim.advance(10s);
  ASSERT_TRUE(desk->pause(owner, id, true));
  EXPECT_FALSE(desk->pause(owner, id, true));
  sim.advance(48h);
  EXPECT_EQ(asked, 1);
  EXPECT_FALSE(desk->pull_now(owner, id));
  EXPECT_FALSE(desk->library().publish(id, {}, "x"));
  ASSERT_TRUE(desk->pause(owner, id, false));
  sim.advance(10s);
  EXPECT_EQ(asked, 2);
}

TEST_F(PeerDeskTest, AddressesInsideTheNetworkAreRefusedWhenTheyAreWritten) {
  for (const char* url :
       {"https://127.0.0.1/", "https://10.0.0.5:8443/feed", "https://[::1]/", "https://169.254.169.254/latest",
        "https://0x7f000001/", "https://2130706433/", "http://partner.example/", "https://[::ffff:10.0.0.1]/"}) {
    NewPeer p = feed();
    p.url = url;
    EXPECT_EQ(refused(p), Code::forbidden) << url;
  }
  for (const char* url :
       {"ftp://partner.example/", "https://user:pw@partner.example/", "partner.example", "https://a b/"}) {
    NewPeer p = feed();
    p.url = url;
    EXPECT_EQ(refused(p), Code::bad_input) << url;
  }
}

TEST_F(PeerDeskTest, WhatCannotBeDoneIsRefusedWithAReason) {
  NewPeer p = feed();
  p.kind = "taxii";
  EXPECT_EQ(refused(p), Code::bad_input) << "no puller speaks it here";
  p = feed();
  p.name = "a: b";
  EXPECT_EQ(refused(p), Code::bad_input) << "the source of its indicators would be somebody else's";
  p = feed();
  p.kinds = {"colour"};
  EXPECT_EQ(refused(p), Code::bad_input);
  p = feed();
  p.sectors = {"Health!"};
  EXPECT_EQ(refused(p), Code::bad_input);
  p = feed();
  p.secret = "two\nlines";
  EXPECT_EQ(refused(p), Code::bad_input) << "it would become another header";
  add(feed());
  EXPECT_EQ(refused(feed()), Code::conflict);
  const event::Scope reader("person:9", {}, static_cast<std::uint32_t>(event::Right::tenants_read), event::Tlp::amber);
  EXPECT_EQ(desk->add(reader, feed()).error().code, Code::forbidden);
  EXPECT_EQ(desk->list(reader).error().code, Code::forbidden) << "one municipality's person";
}

TEST_F(PeerDeskTest, ASecretDoesNotFollowToAnotherAddress) {
  const auto id = add(feed());
  NewPeer p = feed();
  p.secret.reset();
  p.url = "https://elsewhere.example/";
  const auto moved = desk->change(owner, id, p, "");
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().where, "/secret");
  p.url = feed().url;
  p.ceiling = event::Tlp::amber;
  const auto version = desk->show(owner, id)->version;
  ASSERT_TRUE(desk->change(owner, id, p, version));
  EXPECT_EQ(desk->change(owner, id, p, version).error().where, "/version") << "somebody was faster";
  EXPECT_TRUE(desk->show(owner, id)->has_secret);
}

TEST_F(PeerDeskTest, WhatIsTooNarrowEndedOrNonsenseIsDroppedObjectByObject) {
  const auto id = add(feed());
  const Instant now = sim.now();
  const auto one = [&](std::string value, std::string object) {
    Delivered d;
    d.indicator.kind = event::Kind::domain;
    d.indicator.value = std::move(value);
    d.object = std::move(object);
    return d;
  };
  std::vector<Delivered> all = {one("red.example", "1"),  one("strict.example", "2"), one("over.example", "3"),
                                one("no domain", "4"),    one("good.example", "5"),   one("", "6"),
                                one("ahead.example", "7")};
  all[0].indicator.tlp = event::Tlp::red;
  all[1].indicator.tlp = event::Tlp::amber_strict;
  all[2].indicator.valid_until = now - 1s;
  all[4].indicator.source = "ESET";
  all[4].indicator.action = mi::Action::block;
  all[4].indicator.valid_until = now + 24h * 9000;
  all[6].indicator.valid_from = now + 24h * 365;
  const auto taken = desk->library().publish(id, all, "event 1");
  ASSERT_TRUE(taken) << to_string(taken.error());
  EXPECT_EQ(taken->published, 2U);
  EXPECT_EQ(taken->dropped, 5U);
  ASSERT_EQ(published.size(), 2U);
  EXPECT_EQ(published[0].source, "Sector feed: ESET") << "nobody publishes in another's name";
  EXPECT_EQ(published[0].action, mi::Action::warn) << "no stronger than we let it";
  EXPECT_EQ(published[0].valid_until, now + 24h * 90);
  EXPECT_EQ(published[1].valid_from, now);
  const auto counts = desk->drop_counts(owner, id);
  ASSERT_TRUE(counts);
  std::map<std::string, std::int64_t> by;
  for (const auto& c : *counts) by[c.reason] = c.count;
  EXPECT_EQ(by["its TLP is narrower than what may go to the municipalities"], 2);
  EXPECT_EQ(by["it ended before it came"], 1);
  EXPECT_EQ(by["it is nothing that can be looked for"], 1);
  EXPECT_EQ(by["its value is empty or too long"], 1);
  EXPECT_EQ(desk->dropped(owner, id, "", 0, 100)->size(), 6U) << "and the one whose clock runs ahead";
}

TEST_F(PeerDeskTest, TheListOfWhatWasDroppedIsBoundedAndTheCountsAreExact) {
  const auto id = add(feed());
  for (int turn = 0; turn < 5; ++turn) {
    std::vector<Dropped> many;
    for (int i = 0; i < 5000; ++i) many.push_back({"object", std::to_string(i), "a cycle"});
    ASSERT_TRUE(desk->library().dropped(id, many));
  }
  std::vector<Dropped> strange;
  for (int i = 0; i < 500; ++i) strange.push_back({"object", "x", "reason " + std::to_string(i)});
  ASSERT_TRUE(desk->library().dropped(id, strange));
  const auto rows = state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM exchange_dropped"); });
  EXPECT_EQ(*rows, 10'000);
  EXPECT_EQ(peer(id).dropped, 25'500);
  const auto counts = desk->drop_counts(owner, id);
  ASSERT_TRUE(counts);
  EXPECT_LE(counts->size(), 201U);
  std::int64_t sum = 0;
  for (const auto& c : *counts) sum += c.count;
  EXPECT_EQ(sum, 25'500);
  EXPECT_EQ(counts->front().reason, "a cycle");
  EXPECT_EQ(counts->front().count, 25'000);
}

TEST_F(PeerDeskTest, AFileIsImportedInAPartnersNameAndEachLineThatIsNotTakenIsListed) {
  const auto id = add(feed());
  const std::string csv =
      "kind,value,tlp\ndomain,good.example,green\ndomain,no "
      "domain,green\ncolour,red,green\ndomain,secret.example,red\n";
  const auto dry = desk->import(owner, id, csv, "wave.csv", std::nullopt, true);
  ASSERT_TRUE(dry) << to_string(dry.error());
  EXPECT_TRUE(published.empty()) << "nothing is published by trying";
  EXPECT_EQ(peer(id).dropped, 0);
  const auto done = desk->import(owner, id, csv, "wave.csv", std::nullopt, false);
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_EQ(done->format, "csv");
  EXPECT_EQ(done->read, 2U);
  EXPECT_EQ(done->taken.published, 1U);
  EXPECT_EQ(done->taken.dropped, 3U);
  EXPECT_EQ(done->taken.list.size(), 3U);
  EXPECT_EQ(dry->taken.list.size(), done->taken.list.size());
  EXPECT_EQ(published.size(), 1U);
  EXPECT_EQ(peer(id).dropped, 3);
}

TEST_F(PeerDeskTest, APatternThatIsKeptAndNotLookedForIsListed) {
  const auto done = desk->import(
      owner, add(feed()),
      R"({"type":"bundle","objects":[{"type":"indicator","pattern_type":"stix","valid_from":"2020-01-01T00:00:00Z",)"
      R"("pattern":"[domain-name:value = 'a.example'] FOLLOWEDBY [domain-name:value = 'b.example']"}]})",
      "bundle.json", event::Tlp::green, false);
  ASSERT_TRUE(done) << to_string(done.error());
  EXPECT_EQ(done->taken.published, 1U);
  EXPECT_EQ(done->taken.dropped, 0U);
  ASSERT_EQ(done->taken.list.size(), 1U);
  EXPECT_EQ(done->taken.list[0].reason, "its pattern is kept and not looked for: uses FOLLOWEDBY");
}

TEST_F(PeerDeskTest, APartnerGetsWhatItsCeilingKindsAndSectorsAllow) {
  for (int i = 1; i <= 30; ++i) {
    Known k;
    k.id = i;
    k.indicator.kind = i % 2 == 0 ? event::Kind::domain : event::Kind::url;
    k.indicator.value = std::to_string(i);
    k.indicator.tlp = i % 3 == 0 ? event::Tlp::amber : event::Tlp::green;
    k.changed = from_micros(1'000'000);  // all of the same instant: nothing is lost between pages
    if (i % 5 == 0) k.sectors = {"health"};
    book.push_back(k);
  }
  Partner p;
  p.name = "Reader";
  p.ceiling = event::Tlp::green;
  p.kinds = {"domain"};
  LibraryAsk ask;
  ask.ceiling = event::Tlp::red;
  ask.limit = 3;
  std::vector<std::int64_t> got;
  for (;;) {
    const auto page = desk->for_partner(p, ask);
    ASSERT_TRUE(page);
    for (const auto& k : *page) got.push_back(k.id);
    if (page->size() < 3) break;
    ask.after = page->back().changed;
    ask.after_id = page->back().id;
  }
  EXPECT_EQ(got, (std::vector<std::int64_t>{2, 4, 8, 14, 16, 22, 26, 28}));
}

TEST_F(PeerDeskTest, WhoIsRemovedIsGoneWithItsKeysAndIfWantedItsIndicators) {
  const auto id = add(feed());
  const auto key = desk->keys().issue(owner, id, "theirs", true, false);
  ASSERT_TRUE(key);
  net::Request q;
  q.headers.set("Authorization", key->key);
  ASSERT_TRUE(desk->keys().partner_of(q));
  ASSERT_TRUE(desk->remove(owner, id, true));
  EXPECT_EQ(desk->keys().partner_of(q).error().code, Code::forbidden);
  ASSERT_EQ(withdrawn.size(), 1U);
  EXPECT_EQ(desk->show(owner, id).error().code, Code::not_found);
  sim.advance(48h);
  EXPECT_LE(asked, 1) << "and nobody asks it again";
}

}  // namespace
}  // namespace bavn::exchange
