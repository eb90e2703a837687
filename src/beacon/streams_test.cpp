// Hub and nodes together in virtual time: what was promised, under weather, restarts and bad input.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "beacon/testing.hpp"

namespace bavn::beacon {
namespace {

using namespace testing;

constexpr MunicipalityId kAarhus{751}, kOdense{461}, kRoskilde{265};

std::vector<std::string> payloads(const std::vector<Got>& all) {
  std::vector<std::string> out;
  for (const auto& g : all) out.push_back(g.payload);
  return out;
}

/// What is still on its way gets there: everything the hub has is at the node, everything the node had to say is at the hub.
bool settled(TestHub& hub, TestNode& node) {
  const auto status = node.beacon->status();
  if (status.up.waiting > 0) return false;
  for (const auto& stream : {std::string("urgent/all"), fmt::format("urgent/{}", node.municipalities[0].value),
                             std::string("bulk/all"), std::string("base/all")}) {
    const auto at = node.state->read([&](store::Reader& r) {
      return r.number("SELECT coalesce(max(seq), 0) FROM beacon_cursor WHERE stream = :s", {{"s", stream}});
    });
    if (static_cast<std::uint64_t>(at.value_or(0)) != hub.tip(stream)) return false;
  }
  return hub.state->read([](store::Reader& r) { return r.number("SELECT count(*) FROM beacon_waiting"); })
             .value_or(1) == 0;
}

TEST(Streams, ANodeGetsWhatWasPublishedBeforeAndAfterItCame) {
  Sim sim(1);
  TestHub hub(sim);
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "one"}));
  ASSERT_TRUE(hub.urgent(kAarhus, {.kind = "order", .payload = "for Aarhus"}));
  ASSERT_TRUE(hub.bulk("all", {.kind = "indicators", .payload = "bulk one"}));
  TestNode aarhus(sim, hub, "aarhus", {kAarhus}), odense(sim, hub, "odense", {kOdense});
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, aarhus) && settled(hub, odense); }, 1min));
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "two"}));
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, aarhus) && settled(hub, odense); }, 1s));
  EXPECT_EQ(payloads(aarhus.got("urgent%")), (std::vector<std::string>{"one", "for Aarhus", "two"}));
  EXPECT_EQ(payloads(odense.got("urgent%")), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(payloads(aarhus.got("bulk%")), (std::vector<std::string>{"bulk one"}));
  EXPECT_EQ(aarhus.beacon->status().down.state, Following::live);
  EXPECT_EQ(hub.beacon->streams_open(), 2U);
}

TEST(Streams, AnAudienceHearsItsOwnBulkOnly) {
  Sim sim(2);
  TestHub hub(sim);
  TestNode health(sim, hub, "health", {kAarhus}, {"health"}), other(sim, hub, "other", {kOdense});
  ASSERT_TRUE(hub.bulk("health", {.kind = "indicators", .payload = "hospital"}));
  ASSERT_TRUE(sim.run_until([&] { return !health.got().empty(); }, 1min));
  sim.advance(1min);
  EXPECT_EQ(payloads(health.got()), (std::vector<std::string>{"hospital"}));
  EXPECT_TRUE(other.got().empty());
  std::optional<int> status;
  other.tap->send({.url = "https://hub.example.org/beacon/v1/bulk/health/1"}, sim.queue({.name = "t"}),
                  [&](Result<net::ClientReply> r) { status = r ? r->status : -1; });
  ASSERT_TRUE(sim.run_until([&] { return status.has_value(); }));
  EXPECT_EQ(*status, 404);
}

TEST(Streams, ThePublishersOwnIdIsPublishedOnce) {
  Sim sim(3);
  TestHub hub(sim);
  for (int i = 0; i < 3; ++i) {
    const auto p = hub.urgent(std::nullopt, {.kind = "warning", .payload = "once", .id = "w-1"});
    ASSERT_TRUE(p);
    EXPECT_EQ(p->seq, 1U);
    EXPECT_EQ(p->again, i > 0);
    ASSERT_TRUE(hub.bulk("all", {.kind = "rules", .payload = "once", .id = "r-1"}));
  }
  sim.advance(5s);
  EXPECT_EQ(hub.items("bulk/all").size(), 1U);
  EXPECT_FALSE(hub.urgent(std::nullopt, {.kind = "warning", .payload = std::string(70'000, 'x')}));
  EXPECT_FALSE(hub.urgent(std::nullopt, {.kind = "Not A Kind", .payload = ""}));
  EXPECT_FALSE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "", .not_before = sim.now() + 1h}));
}

TEST(Streams, WhatATxUndoesIsNotPublished) {
  Sim sim(4);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  EXPECT_FALSE(hub.state->write_now([&](store::Tx& tx) -> Result<void> {
    EXPECT_TRUE(hub.beacon->urgent(tx, std::nullopt, {.kind = "warning", .payload = "never"}));
    return fail(Code::conflict, "changed my mind");
  }));
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "yes"}));
  ASSERT_TRUE(sim.run_until([&] { return !node.got().empty(); }, 1min));
  EXPECT_EQ(payloads(node.got()), (std::vector<std::string>{"yes"}));
}

TEST(Streams, LargeBulkBecomesSegmentsOfAtMostFourMebibytes) {
  Sim sim(5);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  for (int i = 0; i < 12; ++i) {
    std::string payload(900'000, '\0');
    for (auto& c : payload) c = static_cast<char>('a' + sim.random_below(26));
    ASSERT_TRUE(hub.bulk("all", {.kind = "indicators", .payload = std::move(payload)}));
  }
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, node) && node.got().size() == 12; }, 5min));
  EXPECT_GE(hub.tip("bulk/all"), 3U);
  EXPECT_EQ(payloads(node.got()), payloads(hub.items("bulk/all")));
}

TEST(Streams, ARevokedNodeIsCutAtOnceAndHearsNothingMore) {
  Sim sim(6);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  ASSERT_TRUE(sim.run_until([&] { return node.beacon->status().down.state == Following::live; }, 1min));
  hub.members.facts["c-node"].revoked = true;
  hub.beacon->cut("c-node");
  ASSERT_TRUE(sim.run_until([&] { return hub.beacon->streams_open() == 0; }, 1s));
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "not for you"}));
  sim.advance(10min);
  EXPECT_TRUE(node.got().empty());
  EXPECT_EQ(hub.beacon->streams_open(), 0U);
  EXPECT_NE(node.beacon->status().down.text.find("refuses this node's certificate"), std::string::npos)
      << node.beacon->status().down.text;
}

TEST(Streams, ARevokedNodeIsCutByTheNextTickWhoeverForgotToSaySo) {
  Sim sim(7);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  ASSERT_TRUE(sim.run_until([&] { return hub.beacon->streams_open() == 1; }, 1min));
  hub.members.facts["c-node"].revoked = true;
  EXPECT_TRUE(sim.run_until([&] { return hub.beacon->streams_open() == 0; }, 16s));
}

TEST(Streams, ANewNodeStartsFromTheBase) {
  Sim sim(8);
  TestHub hub(sim);
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(hub.bulk("all", {.kind = "indicators", .payload = fmt::format("old {}", i)}));
    sim.advance(3s);
  }
  ASSERT_EQ(hub.tip("bulk/all"), 5U);
  ASSERT_TRUE(
      replace_file(sim.files(), "/base-1", std::string(3'000'000, 'x') + "\nold 0\nold 1\nold 2\nold 3\nold 4\n"));
  std::optional<Result<Published>> published;
  hub.beacon->base("all", "/base-1", {{"rules", "in force"}}, 5,
                   [&](Result<Published> p) { published = std::move(p); });
  ASSERT_TRUE(sim.run_until([&] { return published.has_value(); }));
  ASSERT_TRUE(*published) << to_string(published->error());
  ASSERT_TRUE(hub.bulk("all", {.kind = "indicators", .payload = "new"}));
  TestNode node(sim, hub, "node", {kAarhus});
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, node); }, 5min));
  EXPECT_EQ(node.bases, 1);
  EXPECT_EQ(node.base_lines().size(), 6U);
  EXPECT_EQ(payloads(node.got()), (std::vector<std::string>{"in force", "new"}));
  // A guest on the hub's machine takes the file where it is.
  TestNode guest(sim, hub, "guest", {kOdense});
  guest.end();
  guest.shared_bases = {"/hub/beacon"};
  guest.begin();
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, guest); }, 5min));
  EXPECT_TRUE(guest.last_base.file.starts_with("/hub/beacon/"));
  EXPECT_TRUE(node.last_base.file.starts_with("/node/beacon/"));
  // The file of a base that the disk spoiled is not believed.
  guest.end();
  sim.files().flip_bit(node.last_base.file, 100, 3);
  TestNode late(sim, hub, "late", {kRoskilde});
  late.end();
  late.shared_bases = {"/node/beacon"};
  late.begin();
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, late); }, 5min));
  EXPECT_TRUE(late.last_base.file.starts_with("/late/beacon/"));
}

TEST(Streams, ATrimmedLogTellsWhoComesLateWhatIsMissed) {
  Sim sim(9);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "one"}));
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, node); }, 1min));
  node.end();
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "old"}));
  hub.end();
  HubOptions short_memory;
  short_memory.keep_urgent = std::chrono::days{1};
  sim.advance(48h);
  hub.begin(short_memory);
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "new"}));
  sim.advance(2h);
  EXPECT_EQ(hub.state->read([](store::Reader& r) { return r.number("SELECT count(*) FROM beacon_entry"); }).value(), 2);
  node.begin();
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, node); }, 5min));
  EXPECT_EQ(payloads(node.got()), (std::vector<std::string>{"one", "new"}));
  EXPECT_EQ(node.beacon->status().down.missed, 5U);
}

TEST(Streams, ANewEpochIsFollowedAndTheOldHubIsNot) {
  Sim sim(10);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "epoch 1"}));
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, node); }, 1min));
  hub.end();
  hub.epoch = 2;
  hub.begin();
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "epoch 2"}));
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, node); }, 5min));
  EXPECT_EQ(payloads(node.got()), (std::vector<std::string>{"epoch 1", "epoch 2"}));
  EXPECT_EQ(node.beacon->status().down.epoch, 2U);
  hub.end();
  // The same log opened by the hub of before: it may not write.
  const auto old = HubBeacon::open(
      sim, *hub.state, hub.members, hub.metrics,
      {std::make_shared<SigningKey>(key_of('b')), 1, {statement(hub.root, key_of('b').public_key(), 1)}},
      {.folder = "/old"});
  ASSERT_FALSE(old);
  EXPECT_EQ(old.error().code, Code::conflict);
  // A whole old hub that comes back from a copy: its greeting is refused.
  TestHub before(sim, 1);
  before.members.facts = hub.members.facts;
  ASSERT_TRUE(before.urgent(std::nullopt, {.kind = "order", .payload = "of an old hub"}));
  sim.advance(10min);
  EXPECT_EQ(node.got().size(), 2U);
  EXPECT_NE(node.beacon->status().down.text.find("old hub"), std::string::npos) << node.beacon->status().down.text;
}

TEST(Streams, AForkIsSaidToThePeopleKeptAndReportedAndSurvivesARestart) {
  Sim sim(11);
  auto hub = std::make_unique<TestHub>(sim);
  TestNode node(sim, *hub, "node", {kAarhus});
  ASSERT_TRUE(hub->urgent(std::nullopt, {.kind = "warning", .payload = "one"}));
  ASSERT_TRUE(sim.run_until([&] { return settled(*hub, node); }, 1min));
  const auto facts = hub->members.facts;
  hub.reset();
  hub = std::make_unique<TestHub>(sim);  // the same keys, another history
  hub->members.facts = facts;
  ASSERT_TRUE(hub->urgent(std::nullopt, {.kind = "warning", .payload = "another one"}));
  ASSERT_TRUE(hub->urgent(std::nullopt, {.kind = "order", .payload = "on top of it"}));
  ASSERT_TRUE(sim.run_until([&] { return node.beacon->status().down.state == Following::forked; }, 10min));
  sim.advance(1min);
  EXPECT_EQ(payloads(node.got()), (std::vector<std::string>{"one"}));
  EXPECT_EQ(node.number("SELECT count(*) FROM beacon_follow WHERE fork_stream = 'urgent/all' AND length(fork_known) > "
                        "100 AND length(fork_offered) > 100"),
            1);
  EXPECT_EQ(node.number("SELECT count(*) FROM domain_event WHERE kind = 'beacon.fork'"), 1);
  EXPECT_EQ(node.number("SELECT count(*) FROM audit WHERE action = 'fork'"), 1);
  ASSERT_EQ(hub->heard().size(), 1U);
  EXPECT_EQ(hub->heard()[0].kind, "fork");
  node.end();
  node.begin();
  sim.advance(10min);
  EXPECT_EQ(node.got().size(), 1U);
  EXPECT_EQ(node.beacon->status().down.state, Following::forked);
  ASSERT_TRUE(node.report("alert", R"({"still":"reported"})", kAarhus));
  ASSERT_TRUE(sim.run_until([&] { return hub->heard().size() == 2; }, 1min));
  node.beacon->settle_fork("Ms Example");
  ASSERT_TRUE(sim.run_until([&] { return node.got().size() == 3; }, 5min));
  EXPECT_EQ(payloads(node.got()), (std::vector<std::string>{"one", "another one", "on top of it"}));
  EXPECT_EQ(node.number("SELECT count(*) FROM audit WHERE action = 'fork_settled' AND who = 'Ms Example'"), 1);
}

TEST(Streams, AnEntryItsHandlerRefusesIsEvidenceAndTheStreamGoesOn) {
  Sim sim(12);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "settings", .payload = "refuse-me"}));
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "fine"}));
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, node) && hub.heard().size() == 1; }, 1min));
  EXPECT_EQ(payloads(node.got()),
            (std::vector<std::string>{"fine"}));  // what the handler wrote before it refused is undone
  EXPECT_EQ(node.number("SELECT count(*) FROM beacon_evidence"), 1);
  EXPECT_EQ(hub.heard()[0].kind, "refused_entry");
}

TEST(Streams, AHandlerThatIsNotReadyIsAskedAgainAndNothingIsLost) {
  Sim sim(13);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  node.failing = true;
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "one"}));
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "two"}));
  sim.advance(2min);
  EXPECT_TRUE(node.got().empty());
  EXPECT_GT(node.handed, 3);
  EXPECT_NE(node.beacon->status().down.text.find("not ready"), std::string::npos);
  node.failing = false;
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, node); }, 2min));
  EXPECT_EQ(payloads(node.got()), (std::vector<std::string>{"one", "two"}));
}

TEST(Streams, WhoAnswersNonsenseIsRefusedWithTheReasonAndNothingIsLost) {
  Sim sim(14);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  hub.server.reset();
  net::Router portal;  // what a captive portal does
  int asked = 0;
  const auto page = [&](const net::Request&) {
    ++asked;
    return net::text("<html><body>Please sign in</body></html>", "text/html");
  };
  portal.get("/beacon/v1/stream", net::Needs::anyone, page);
  portal.post("/beacon/v1/ping", net::Needs::anyone, page);
  portal.post("/beacon/v1/reports", net::Needs::anyone, page);
  auto server = net::SimServer::start(sim, portal, TestHub::kAddress, hub.handlers);
  ASSERT_TRUE(server);
  ASSERT_TRUE(node.report("alert", R"({"n":1})", kAarhus));
  sim.advance(30min);
  const auto status = node.beacon->status();
  EXPECT_NE(status.down.text.find("not a hub"), std::string::npos) << status.down.text;
  EXPECT_NE(status.up_trouble.find("not the hub"), std::string::npos) << status.up_trouble;
  EXPECT_EQ(status.up.waiting, 1);
  EXPECT_LT(asked, 300);  // pauses grow
  server->reset();
  hub.listen();
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = "one"}));
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, node); }, 5min));
  EXPECT_EQ(hub.heard().size(), 1U);
  EXPECT_EQ(node.got().size(), 1U);
}

TEST(Reports, AnItemForAnotherMunicipalityIsRefusedAloneWithTheReason) {
  Sim sim(20);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus, kOdense});
  ASSERT_TRUE(node.report("alert", R"({"n":1})", kAarhus));
  ASSERT_TRUE(node.report("alert", R"({"n":2})", kRoskilde));
  ASSERT_TRUE(node.report("alert", R"({"n":3})", kOdense));
  ASSERT_TRUE(node.report("alert", R"({"n":"refuse-me"})", kOdense));
  ASSERT_TRUE(sim.run_until([&] { return node.beacon->status().up.waiting == 0; }, 1min));
  std::vector<std::string> bodies;
  for (const auto& h : hub.heard()) bodies.push_back(h.body);
  EXPECT_EQ(bodies, (std::vector<std::string>{R"({"n":1})", R"({"n":3})"}));
  EXPECT_EQ(node.beacon->status().up.refused, 2);
  const auto left = node.beacon->left_us().items(event::Scope::local_owner()).value();
  ASSERT_EQ(left.size(), 4U);
  EXPECT_FALSE(left[3].refused);
  ASSERT_TRUE(left[2].refused);
  EXPECT_NE(left[2].refused->find("265"), std::string::npos);
  for (const auto& item : left) EXPECT_TRUE(item.acknowledged_us);
}

TEST(Reports, AnItemHasItsEffectOnceHoweverOftenItIsSent) {
  Sim sim(21);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  sim.set_weather({.min_delay = 1ms, .max_delay = 300ms, .cut = 0.25, .duplicate = 0.25});
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(node.report("alert", fmt::format(R"({{"n":{}}})", i), kAarhus));
    sim.advance(Duration{static_cast<std::int64_t>(sim.random_below(2'000'000))});
  }
  ASSERT_TRUE(sim.run_until([&] { return node.beacon->status().up.waiting == 0; }, 2h));
  std::vector<std::string> bodies;
  std::set<std::string> different;
  for (const auto& h : hub.heard()) different.insert(h.body);
  EXPECT_EQ(hub.heard().size(), 200U);
  EXPECT_EQ(different.size(), 200U);
}

TEST(Reports, AQuotaIsSaidAndHonouredAndNothingIsLost) {
  Sim sim(22);
  TestHub hub(sim);
  hub.end();
  HubOptions few;
  few.items_a_day = 10;
  hub.begin(few);
  TestNode node(sim, hub, "node", {kAarhus});
  node.end();
  node.spool_options.batch_items = 5;
  node.begin();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(node.report("sighting", fmt::format(R"({{"n":{}}})", i), kAarhus));
  sim.advance(10min);
  EXPECT_EQ(hub.heard().size(), 10U);
  EXPECT_NE(node.beacon->status().up_trouble.find("429"), std::string::npos) << node.beacon->status().up_trouble;
  ASSERT_TRUE(node.report("alert", R"({"n":"alert"})", kAarhus));  // may take twice the quota, and goes first
  sim.advance(2h);
  EXPECT_EQ(hub.heard().size(), 11U);
  sim.advance(24h);
  EXPECT_EQ(hub.heard().size(), 21U);
}

TEST(Reports, ABatchThatIsNoneIsRefused) {
  Sim sim(23);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  const QueueId queue = sim.queue({.name = "t"});
  for (const auto* body :
       {"", "{", "[]", R"({"batch":"a"})", R"({"batch":"a","items":[]})", R"({"batch":"A b","items":[{}]})",
        R"({"batch":"a","items":[{"id":"1"}]})",
        R"({"batch":"a","items":[{"id":"1","kind":"alert","municipality":-1,"tlp":"red","at_us":1,"body":{}}]})",
        R"({"batch":"a","items":[{"id":"1","kind":"alert","municipality":751,"tlp":"pink","at_us":1,"body":{}}]})",
        R"({"batch":"a","items":[{"id":"1","kind":"alert","municipality":751,"tlp":"red","at_us":1,"body":[]}]})"}) {
    std::optional<int> status;
    node.tap->send({.method = net::Method::post, .url = "https://hub.example.org/beacon/v1/reports", .body = body},
                   queue, [&](Result<net::ClientReply> r) { status = r ? r->status : -1; });
    ASSERT_TRUE(sim.run_until([&] { return status.has_value(); }));
    EXPECT_EQ(*status, 400) << body;
  }
  EXPECT_TRUE(hub.heard().empty());
}

TEST(Reports, AWeekWithoutTheHubLosesNothingAndIsCaughtUpManyTimesFasterThanItCame) {
  Sim sim(24);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  sim.set_weather({.min_delay = 5ms, .max_delay = 40ms});
  ASSERT_TRUE(sim.run_until([&] { return node.beacon->status().down.state == Following::live; }, 1min));
  sim.set_reachable(TestHub::kAddress, false);
  const auto week = std::chrono::hours{24 * 7};
  int sent = 0, published = 0;
  for (int minute = 0; minute < 7 * 24 * 60; minute += 10) {
    for (int i = 0; i < 10; ++i, ++sent)
      ASSERT_TRUE(node.report(i == 0 ? "alert" : "sighting", fmt::format(R"({{"n":{}}})", sent), kAarhus));
    if (minute % 60 == 0) {
      ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = fmt::format("w{}", published++)}));
      ASSERT_TRUE(hub.bulk("all", {.kind = "indicators", .payload = fmt::format("i{}", published)}));
    }
    sim.advance(10min);
  }
  EXPECT_EQ(node.beacon->status().up.waiting, sent);
  sim.set_reachable(TestHub::kAddress, true);
  const auto began = sim.now();
  const auto real = std::chrono::steady_clock::now();
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, node); }, 24h));
  const double virtual_seconds = static_cast<double>((sim.now() - began).count()) / 1e6;
  const double real_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - real).count();
  const double ratio = std::chrono::duration<double>(week).count() / virtual_seconds;
  std::printf(
      "a week without hub: %d reports and %d entries caught up in %.1f s of virtual time (pauses included): %.0f x "
      "real time; %.2f s of "
      "computing: %.0f reports/s\n",
      sent, 2 * published, virtual_seconds, ratio, real_seconds, sent / real_seconds);
  EXPECT_GT(ratio, 20);
  EXPECT_EQ(hub.heard().size(), static_cast<std::size_t>(sent));
  EXPECT_EQ(hub.heard()[0].kind, "alert");
  EXPECT_EQ(node.got("urgent%").size(), static_cast<std::size_t>(published));
  EXPECT_EQ(node.got("bulk%").size(), static_cast<std::size_t>(published));
}

TEST(Clock, AWrongClockIsMeasuredMarkedAndReported) {
  Sim sim(30);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  sim.set_weather({.min_delay = 10ms, .max_delay = 30ms});
  ASSERT_TRUE(sim.run_until([&] { return node.beacon->status().clock_offset.has_value(); }, 1min));
  EXPECT_FALSE(node.beacon->status().clock_marked);
  EXPECT_LT(std::abs(node.beacon->status().clock_offset->count()), 30'000);
  EXPECT_FALSE(clock_is_wrong(4'900'000, 0));
  EXPECT_TRUE(clock_is_wrong(-5'100'000, 0));
  EXPECT_FALSE(clock_is_wrong(5'100'000, 1'000'000));
}

TEST(Witness, EachSignsTheOthersAuditHeadEveryHour) {
  Sim sim(31);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  ASSERT_TRUE(hub.state->write_now([](store::Tx& tx) { return tx.audit({"someone", "something", "thing", "{}"}); }));
  sim.advance(3h);
  ASSERT_TRUE(node.state->write_now([](store::Tx& tx) { return tx.audit({"someone", "something", "thing", "{}"}); }));
  sim.advance(3h);
  EXPECT_GE(node.number("SELECT count(*) FROM audit_witness WHERE chain = 'self' AND party = 'hub'"), 1);
  EXPECT_GE(node.number("SELECT count(*) FROM audit_witness WHERE chain = 'hub' AND party = 'self'"), 1);
  const auto at_hub = [&](std::string_view sql) {
    return hub.state->read([&](store::Reader& r) { return r.number(sql); }).value_or(-1);
  };
  EXPECT_GE(at_hub("SELECT count(*) FROM audit_witness WHERE chain = 'self' AND party = 'node'"), 1);
  EXPECT_GE(at_hub("SELECT count(*) FROM audit_witness WHERE chain = 'node' AND party = 'hub'"), 1);
  EXPECT_EQ(at_hub("SELECT count(*) FROM audit WHERE action = 'audit_rewritten'"), 0);
  // The node's log loses its last entries: the hub notices at the next hour.
  ASSERT_TRUE(node.state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("DELETE FROM audit WHERE seq > 0"));
    return {};
  }));
  sim.advance(2h);
  EXPECT_GE(at_hub("SELECT count(*) FROM audit WHERE action = 'audit_rewritten' AND subject = 'node'"), 1);
}

TEST(LeftUs, NothingLeavesThatTheListDoesNotHold) {
  Sim sim(40);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus});
  sim.set_weather({.min_delay = 1ms, .max_delay = 100ms, .cut = 0.05, .duplicate = 0.05});
  // Marks that lie in the node's own data and are never reported.
  const std::vector<std::string> marks = {"Subject: Merger of the two schools", "Ingrid Exampledatter",
                                          "ingrid.e@example.org"};
  ASSERT_TRUE(node.state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("CREATE TABLE raw_log (line TEXT) STRICT"));
    for (const auto& m : marks) BAVN_CHECK(tx.exec("INSERT INTO raw_log (line) VALUES (:m)", {{"m", m}}));
    return tx.audit({"Ingrid Exampledatter", "read_mail", "ingrid.e@example.org",
                     R"({"subject":"Subject: Merger of the two schools"})"});
  }));
  ASSERT_TRUE(hub.bulk("all", {.kind = "indicators", .payload = "i"}));
  ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "settings", .payload = "refuse-me"}));
  const std::string shared = R"({"text":"shared by a person: \"quoted\" \u00e6\u00f8\u00e5 </script>"})";
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(node.report(i % 2 ? "alert" : "counts", i == 7 ? shared : fmt::format(R"({{"n":{}}})", i), kAarhus));
    sim.advance(30s);
  }
  sim.set_weather({});
  ASSERT_TRUE(sim.run_until([&] { return settled(hub, node); }, 1h));
  const auto requests = node.beacon->left_us().requests(event::Scope::local_owner(), 0, 100'000).value();
  const auto items = node.beacon->left_us().items(event::Scope::local_owner(), 0, 100'000).value();
  std::multiset<std::string> listed;
  for (const auto& r : requests) listed.insert(r.method + " " + r.host + r.path + " " + r.body_hash);
  std::set<std::string> texts;
  for (const auto& i : items) texts.insert(i.text);
  std::size_t in_batches = 0;
  for (const auto& sent : node.tap->sent) {
    const auto path = sent.url.substr(std::string("https://hub.example.org").size());
    const std::string line =
        fmt::format("{} {}{} {}", net::to_string(sent.method), TestHub::kAddress, path.substr(0, path.find('?')),
                    sent.body.empty() ? "" : to_hex(view(hash_of(std::string_view(sent.body)))));
    const auto found = listed.find(line);
    ASSERT_NE(found, listed.end()) << line;
    listed.erase(found);
    std::string everything = sent.url + sent.body;
    for (const auto& [name, value] : sent.headers.all()) everything += name + value;
    for (const auto& mark : marks) EXPECT_EQ(everything.find(mark), std::string::npos) << mark;
    if (!path.starts_with("/beacon/v1/reports")) continue;
    // The batch is its envelope and the texts of the list, nothing else.
    std::string rest = sent.body;
    ASSERT_TRUE(rest.starts_with(R"({"batch":")") && rest.ends_with("]}"));
    rest = rest.substr(rest.find('[') + 1);
    rest.resize(rest.size() - 2);
    while (!rest.empty()) {
      const auto item =
          std::find_if(texts.begin(), texts.end(), [&](const std::string& t) { return rest.starts_with(t); });
      ASSERT_NE(item, texts.end()) << rest;
      ++in_batches;
      rest = rest.substr(item->size());
      if (!rest.empty()) {
        ASSERT_EQ(rest[0], ',');
        rest = rest.substr(1);
      }
    }
  }
  EXPECT_TRUE(listed.empty());  // and the list invents nothing
  EXPECT_GE(in_batches, 50U);
  EXPECT_EQ(items.size(), hub.heard().size());
  for (const auto& i : items) EXPECT_TRUE(i.acknowledged_us) << i.text;

  std::string exported;
  ASSERT_TRUE(node.beacon->left_us().export_ndjson(event::Scope::local_owner(), from_micros(0), sim.now() + 1h,
                                                   [&](std::string_view line) -> Result<void> {
                                                     exported += line;
                                                     return {};
                                                   }));
  EXPECT_EQ(static_cast<std::size_t>(std::count(exported.begin(), exported.end(), '\n')),
            items.size() + requests.size());
  EXPECT_NE(exported.find("shared by a person"), std::string::npos);
  const event::Scope stranger("stranger", {kOdense}, static_cast<std::uint32_t>(event::Right::left_us_read),
                              event::Tlp::red);
  EXPECT_TRUE(node.beacon->left_us().items(stranger).value().empty());
  EXPECT_FALSE(node.beacon->left_us().items(event::Scope("nobody", {kAarhus}, 0, event::Tlp::red)));
  ASSERT_TRUE(node.state->write_now([&](store::Tx& tx) -> Result<void> {
    EXPECT_GT(node.beacon->left_us().forget(tx, sim.now() + 1h).value_or(0), 50);
    return {};
  }));
  EXPECT_TRUE(node.beacon->left_us().items(event::Scope::local_owner()).value().empty());
}

// ---- everything at once, by seeds

void publish_base(Sim& sim, TestHub& hub, int n) {
  hub.beacon->seal_now("all", [&sim, &hub, n](Result<std::uint64_t> sealed) {
    const std::uint64_t tip = sealed.value_or(0);
    if (tip == 0 || !hub.beacon) return;
    std::string content;
    for (const auto& item : hub.items("bulk/all", tip)) content += item.payload + "\n";
    const std::string file = fmt::format("/base-{}", n);
    EXPECT_TRUE(replace_file(sim.files(), file, content));
    hub.beacon->base("all", file, {}, tip, [](auto&&) {});
  });
}

void one_seed(std::uint64_t seed) {
  SCOPED_TRACE(fmt::format("seed {}", seed));
  Sim sim(seed);
  TestHub hub(sim);
  std::vector<std::unique_ptr<TestNode>> nodes;
  const MunicipalityId ids[] = {kAarhus, kOdense, kRoskilde};
  for (int i = 0; i < 3; ++i)
    nodes.push_back(std::make_unique<TestNode>(sim, hub, fmt::format("n{}", i), std::vector{ids[i]}));
  sim.set_weather({.min_delay = 1ms, .max_delay = 200ms, .cut = 0.03, .duplicate = 0.05});
  std::map<std::string, std::vector<std::string>> urgent;
  std::vector<std::string> bulk;
  std::map<std::string, std::multiset<std::string>> reported;
  for (int step = 0; step < 40; ++step) {
    const auto dice = sim.random_below(100);
    auto& node = *nodes[sim.random_below(3)];
    const std::string text = fmt::format("{}", step);
    if (dice < 20) {
      ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = text}));
      urgent["urgent/all"].push_back(text);
    } else if (dice < 35) {
      ASSERT_TRUE(hub.urgent(node.municipalities[0], {.kind = "order", .payload = text}));
      urgent[fmt::format("urgent/{}", node.municipalities[0].value)].push_back(text);
    } else if (dice < 55) {
      ASSERT_TRUE(hub.bulk("all", {.kind = "indicators", .payload = text}));
      bulk.push_back(text);
    } else if (dice < 60) {
      publish_base(sim, hub, step);
    } else if (dice < 85) {
      const std::string json = fmt::format(R"({{"n":{}}})", step);
      ASSERT_TRUE(node.report(dice % 2 ? "alert" : "sighting", json, node.municipalities[0]));
      reported[node.name].insert(json);
    } else if (dice < 92) {
      node.end();
      sim.advance(Duration{static_cast<std::int64_t>(sim.random_below(20'000'000))});
      node.begin();
    } else if (dice < 96) {
      hub.end();
      sim.advance(Duration{static_cast<std::int64_t>(sim.random_below(20'000'000))});
      hub.begin();
    } else {
      sim.set_reachable(TestHub::kAddress, false);
      sim.advance(Duration{static_cast<std::int64_t>(sim.random_below(20'000'000))});
      sim.set_reachable(TestHub::kAddress, true);
    }
    sim.advance(Duration{static_cast<std::int64_t>(sim.random_below(1'500'000))});
  }
  sim.set_weather({});
  ASSERT_TRUE(sim.run_until(
      [&] { return std::all_of(nodes.begin(), nodes.end(), [&](auto& n) { return settled(hub, *n); }); }, 30min));
  for (auto& node : nodes) {
    SCOPED_TRACE(node->name);
    for (const auto& stream : {std::string("urgent/all"), fmt::format("urgent/{}", node->municipalities[0].value)})
      EXPECT_EQ(payloads(node->got(stream)), urgent[stream]) << stream;
    auto have = node->base_lines();
    for (const auto& g : node->got("bulk/all")) have.push_back(g.payload);
    EXPECT_EQ(have, bulk);
    EXPECT_FALSE(node->beacon->status().down.state == Following::forked) << node->beacon->status().down.text;
  }
  std::map<std::string, std::multiset<std::string>> heard;
  for (const auto& h : hub.heard()) heard[h.node].insert(h.body);
  EXPECT_EQ(heard, reported);
}

TEST(Streams, ExactlyOnceAndInOrderWhateverTheWeather) {
  const char* wish = std::getenv("BAVN_SEEDS");
#ifdef BAVN_SANITIZED
  constexpr std::uint64_t usual = 60;
#else
  constexpr std::uint64_t usual = 200;
#endif
  const std::uint64_t seeds = wish ? std::strtoull(wish, nullptr, 10) : usual;
  const char* first = std::getenv("BAVN_FIRST_SEED");
  const std::uint64_t from = first ? std::strtoull(first, nullptr, 10) : 1;
  log::set_level(log::Level::error);
  for (std::uint64_t seed = from; seed < from + seeds && !::testing::Test::HasFailure(); ++seed) one_seed(seed);
  log::set_level(log::Level::info);
}

}  // namespace
}  // namespace bavn::beacon
