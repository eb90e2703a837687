#include "beacon/spool.hpp"

#include <fmt/format.h>

#include "base/log.hpp"
#include "beacon/reports.hpp"
#include "beacon/testing.hpp"

namespace bavn::beacon {
namespace {

using namespace testing;

constexpr MunicipalityId kAarhus{751};

struct Bench {
  explicit Bench(SpoolOptions options) : spool(sim, *state, options) {}
  void report(std::string_view kind, const std::string& json) {
    const auto written =
        state->write_now([&](store::Tx& tx) { return spool.report(tx, kind, json, kAarhus, event::Tlp::amber); });
    ASSERT_TRUE(written) << to_string(written.error());
  }
  std::optional<Batch> next() {
    std::optional<Batch> batch;
    EXPECT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(batch, spool.next(tx, "hub.example.org:443"));
      return {};
    }));
    return batch;
  }
  void acknowledged(const Batch& b, const std::vector<RefusedItem>& refused = {}) {
    ASSERT_TRUE(state->write_now([&](store::Tx& tx) { return spool.acknowledged(tx, b.id, refused); }));
  }
  std::vector<std::string> kinds() {
    return state->read([](store::Reader& r) { return r.all<std::string>("SELECT kind FROM spool ORDER BY id"); })
        .value();
  }
  Sim sim{1};
  std::unique_ptr<store::State> state =
      std::move(*store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}}));
  Spool spool;
};

std::string counts(int from, int to, int n) {
  return fmt::format(R"({{"from_us":{},"to_us":{},"counts":{{"events":{}}}}})", from, to, n);
}

TEST(Spool, ABatchStaysTheSameHoweverOftenItIsSent) {
  Bench b({});
  b.report("alert", R"({"n":1})");
  const auto first = b.next();
  b.report("sighting", R"({"n":2})");
  const auto again = b.next();
  ASSERT_TRUE(first && again);
  EXPECT_EQ(first->id, again->id);
  EXPECT_EQ(first->body, again->body);
  b.acknowledged(*first);
  b.acknowledged(*first);  // said twice
  const auto second = b.next();
  ASSERT_TRUE(second);
  EXPECT_NE(second->id, first->id);
  b.acknowledged(*second);
  EXPECT_FALSE(b.next());
  EXPECT_EQ(b.spool.state().waiting, 0);
  EXPECT_EQ(b.spool.state().waiting_bytes, 0);
}

TEST(Spool, AlertsGoFirstEvenBeforeABatchThatWaits) {
  Bench b({.batch_items = 2});
  for (int i = 0; i < 4; ++i) b.report("counts", counts(i, i + 1, 1));
  b.report("alert", R"({"n":1})");
  const auto mixed = b.next();  // most important first: the alert and one count
  ASSERT_TRUE(mixed);
  EXPECT_EQ(read_batch(mixed->body).value().items[0].kind, "alert");
  b.acknowledged(*mixed);
  const auto low = b.next();
  b.report("alert", R"({"n":2})");
  const auto alert = b.next();
  ASSERT_TRUE(low && alert);
  EXPECT_NE(low->id, alert->id);
  EXPECT_EQ(read_batch(alert->body).value().items.size(), 1U);
  EXPECT_EQ(b.next()->id, alert->id);
  b.acknowledged(*alert);
  EXPECT_EQ(b.next()->id, low->id);
}

TEST(Spool, BatchesHaveABoundedSize) {
  Bench b({.batch_bytes = 10'000});
  for (int i = 0; i < 10; ++i) b.report("alert", fmt::format(R"({{"x":"{}"}})", std::string(3000, 'a')));
  std::size_t batches = 0;
  while (const auto batch = b.next()) {
    EXPECT_LE(batch->body.size(), 10'500U);
    b.acknowledged(*batch);
    ++batches;
  }
  EXPECT_EQ(batches, 4U);
}

TEST(Spool, AboveHalfOfItsSizeCountsAddUpAndHealthIsReplaced) {
  Bench b({.limit_bytes = 8'000});
  b.report("alert", fmt::format(R"({{"x":"{}"}})", std::string(4500, 'a')));
  b.report("counts", counts(10, 20, 5));
  b.report("counts", counts(20, 30, 7));
  b.report("health", R"({"ok":true})");
  b.report("health", R"({"ok":false})");
  const auto bodies = b.state
                          ->read([](store::Reader& r) {
                            return r.all<std::string>("SELECT body FROM spool WHERE kind <> 'alert' ORDER BY id");
                          })
                          .value();
  EXPECT_EQ(bodies, (std::vector<std::string>{counts(10, 30, 12), R"({"ok":false})"}));
  EXPECT_EQ(b.spool.state().merged, 2);
  EXPECT_EQ(b.spool.state().dropped_counted, 0);
}

TEST(Spool, AtItsLimitCountsGoThenSightingsAndAlertsNever) {
  Bench b({.limit_bytes = 5'000});
  for (int i = 0; i < 5; ++i) b.report("counts", fmt::format(R"({{"other shape":{}}})", i));
  for (int i = 0; i < 5; ++i) b.report("sighting", R"({"s":1})");
  for (int i = 0; i < 40; ++i) b.report("alert", R"({"a":1})");
  auto kinds = b.kinds();
  EXPECT_EQ(std::count(kinds.begin(), kinds.end(), "alert"), 40);
  EXPECT_EQ(std::count(kinds.begin(), kinds.end(), "counts"), 0);
  EXPECT_EQ(std::count(kinds.begin(), kinds.end(), "sighting"), 0);
  EXPECT_EQ(b.spool.state().dropped_counted, 5);
  EXPECT_EQ(b.spool.state().dropped_evidence, 5);
  b.report("counts", counts(1, 2, 3));  // nothing may be dropped for it
  EXPECT_EQ(b.spool.state().dropped_counted, 6);
  EXPECT_EQ(b.spool.state().waiting, 40);
}

TEST(Spool, WhatTheHubNeverTakesIsSplitUntilTheOneItemIsFound) {
  Bench b({});
  for (int i = 0; i < 8; ++i) b.report("alert", fmt::format(R"({{"n":{}}})", i));
  int sent = 0, taken = 0;
  while (const auto batch = b.next()) {
    ASSERT_LT(++sent, 50);
    if (batch->body.contains(R"({"n":5})")) {
      ASSERT_TRUE(
          b.state->write_now([&](store::Tx& tx) { return b.spool.split(tx, batch->id, "it makes the hub ill"); }));
    } else {
      taken += static_cast<int>(batch->items);
      b.acknowledged(*batch);
    }
  }
  EXPECT_EQ(taken, 7);
  EXPECT_EQ(b.spool.state().refused, 1);
  EXPECT_EQ(b.state
                ->read([](store::Reader& r) {
                  return r.number("SELECT count(*) FROM left_item WHERE refused = 'it makes the hub ill'");
                })
                .value(),
            1);
}

TEST(Spool, WhatIsNoReportIsRefusedAtOnce) {
  Bench b({});
  for (const auto* json : {"", "[]", "{", "1", R"({"a":1,"a":2})"})
    EXPECT_FALSE(b.state->write_now([&](store::Tx& tx) {
      return b.spool.report(tx, "alert", json, kAarhus, event::Tlp::red);
    })) << json;
  EXPECT_FALSE(
      b.state->write_now([&](store::Tx& tx) { return b.spool.report(tx, "Alert!", "{}", kAarhus, event::Tlp::red); }));
  EXPECT_FALSE(b.state->write_now([&](store::Tx& tx) {
    return b.spool.report(tx, "alert", R"({"x":")" + std::string(300'000, 'x') + R"("})", kAarhus, event::Tlp::red);
  }));
}

TEST(Batches, ReadWhatWasWrittenAndCountsAreNotRounded) {
  const ReportItem item{"ab-1",
                        "counts",
                        kAarhus,
                        event::Tlp::amber_strict,
                        from_micros(1'727'769'600'000'001),
                        R"({"n":9007199254740993})"};
  const auto batch = read_batch(write_batch("b1", {write_item(item)}));
  ASSERT_TRUE(batch) << to_string(batch.error());
  ASSERT_EQ(batch->items.size(), 1U);
  EXPECT_EQ(batch->items[0].body, item.body);
  EXPECT_EQ(batch->items[0].tlp, item.tlp);
  EXPECT_EQ(batch->items[0].at, item.at);
}

TEST(Pings, ReadWhatTheyWrote) {
  const Witness w{{7, hash_of("head")}, from_micros(5), std::string(64, 's')};
  const Ping ping{
      from_micros(1), -20, 30, "1.0", "all is well", key_of('k').public_key().text(), AuditHead{3, hash_of("own")}, w};
  const auto again = read_ping(write_ping(ping));
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(again->offset_us, -20);
  EXPECT_EQ(again->audit, ping.audit);
  EXPECT_EQ(again->witness->head, w.head);
  const auto pong = read_pong(write_pong({from_micros(1), from_micros(2), "", AuditHead{3, hash_of("own")}, w}));
  ASSERT_TRUE(pong);
  EXPECT_EQ(pong->witness->signature, w.signature);
  EXPECT_FALSE(read_pong("<html>"));
  EXPECT_FALSE(read_ping(R"({"sent_us":9223372036854775807,"round_trip_us":1})"));
}

TEST(Node, AFullDiskIsSaidNothingIsLostAndNothingLeavesUnnoted) {
  log::Capture quiet;
  Sim sim(50);
  TestHub hub(sim);
  TestNode node(sim, hub, "node", {kAarhus}, {},
                {.path = ":memory:", .schema = {"core", "node"}, .max_page_count = 400});
  ASSERT_TRUE(node.state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("CREATE TABLE filler (b BLOB) STRICT"));
    return {};
  }));
  ASSERT_TRUE(node.report("alert", R"({"n":"before"})", kAarhus));
  ASSERT_TRUE(sim.run_until([&] { return hub.heard().size() == 1; }, 1min));
  while (node.state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("INSERT INTO filler (b) VALUES (:b)", {{"b", store::Blob{std::string(2000, 'x')}}}));
    return {};
  })) {
  }
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(hub.urgent(std::nullopt, {.kind = "warning", .payload = std::string(30'000, 'w')}));
  sim.advance(5min);
  EXPECT_LT(node.got().size(), 20U);
  EXPECT_NE(node.beacon->status().down.text, "");
  const auto requests = node.tap->sent.size();
  sim.advance(5min);
  const auto listed = node.beacon->left_us().requests(event::Scope::local_owner(), 0, 100'000).value().size();
  EXPECT_EQ(listed, node.tap->sent.size());
  (void)requests;
  ASSERT_TRUE(node.state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("DELETE FROM filler"));
    return {};
  }));
  ASSERT_TRUE(sim.run_until([&] { return node.got().size() == 20; }, 30min)) << node.beacon->status().down.text;
  ASSERT_TRUE(node.report("alert", R"({"n":"after"})", kAarhus));
  ASSERT_TRUE(sim.run_until([&] { return hub.heard().size() == 2; }, 5min));
}

}  // namespace
}  // namespace bavn::beacon
