#include "match/sigma/correlation.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <set>

#include "base/hash.hpp"
#include "match/sigma/distinct_sketch.hpp"
#include "match/sigma/load.hpp"
#include "match/sigma/test_support.hpp"

namespace bavn::match::sigma {
namespace {

using namespace std::chrono_literals;
using Fields = std::multimap<std::string, std::string>;

class Record final : public RecordView {
 public:
  explicit Record(const Fields& fields) : fields_(fields) {}
  void for_each(std::string_view field, const Visit& visit) const override {
    for (const auto& [name, value] : fields_)
      if (name == field && !visit(value, ValueKind::string)) return;
  }
  void for_any(const Visit&) const override {}

 private:
  const Fields& fields_;
};

constexpr auto kStart = std::chrono::sys_days{std::chrono::year{2024} / 10 / 1} + 9h;

/// Three rules a, b, c and what the test adds.
RuleSet rules(std::string_view correlations) {
  std::string yaml;
  for (const char* name : {"a", "b", "c"})
    yaml += std::string("title: Rule ") + name + "\nname: " + name +
            "\nlogsource: {product: test}\ndetection: {s: {kind: " + name + "}, condition: s}\n---\n";
  yaml += correlations;
  auto set = load_text(yaml);
  EXPECT_TRUE(set.has_value());
  for (const auto& r : set->refused) ADD_FAILURE() << r.title << ": " << r.reason;
  return std::move(*set);
}

/// One engine with its findings.
class Bench {
 public:
  explicit Bench(std::string_view correlations, CorrelationOptions options = {})
      : set(rules(correlations)), engine(set, options) {}

  Bench& hit(std::string_view rule, std::chrono::microseconds after, const Fields& fields = {{"user", "anna"}},
             std::string municipality = "m") {
    engine.on_hit(rule_index(rule), {kStart + after}, Record(fields), {std::move(municipality), "json", "test", ++line},
                  sink());
    return *this;
  }
  std::uint32_t rule_index(std::string_view name) const {
    for (std::uint32_t i = 0; i < set.rules.size(); ++i)
      if (set.rules[i].meta.name == name) return i;
    ADD_FAILURE() << name;
    return 0;
  }
  CorrelationEngine::Sink sink() {
    return [this](const CorrelationFinding& f) { findings.push_back(f); };
  }
  std::size_t count() const { return findings.size(); }

  RuleSet set;
  CorrelationEngine engine;
  std::vector<CorrelationFinding> findings;
  std::uint64_t line = 0;
};

std::string correlation(std::string_view type, std::string_view rule_names, std::string_view timespan,
                        std::string_view condition, std::string_view more = "") {
  std::string s = "title: Under test\ncorrelation:\n  type: " + std::string(type) + "\n  rules: [" +
                  std::string(rule_names) + "]\n  group-by: [user]\n  timespan: " + std::string(timespan) + "\n";
  if (!condition.empty()) s += "  condition: {" + std::string(condition) + "}\n";
  return s + std::string(more);
}

// ---- event_count -----------------------------------------------------------------------------------------------------------

TEST(EventCount, FiresAtTheEventThatReachesTheThreshold) {
  Bench b(correlation("event_count", "a", "10m", "gte: 3"));
  b.hit("a", 0s).hit("a", 1min);
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 2min);
  ASSERT_EQ(b.count(), 1U);
  const auto& f = b.findings[0];
  EXPECT_EQ(f.measured, 3);
  EXPECT_FALSE(f.approximate);
  EXPECT_EQ(f.group, (std::vector<std::pair<std::string, std::string>>{{"user", "anna"}}));
  EXPECT_EQ(f.first.t, kStart);
  EXPECT_EQ(f.last.t, kStart + 2min);
  ASSERT_EQ(f.contributing.size(), 3U);
  EXPECT_EQ(f.contributing[2].where.line, 3U);
  EXPECT_EQ(f.contributing[2].where.file, "test");
}

TEST(EventCount, GreaterIsNotGreaterOrEqual) {
  Bench b(correlation("event_count", "a", "10m", "gt: 2"));
  b.hit("a", 0s).hit("a", 1s);
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 2s);
  EXPECT_EQ(b.count(), 1U);
}

TEST(EventCount, TheWindowSlidesAndIsNotCutAtFullMinutes) {
  Bench b(correlation("event_count", "a", "10m", "gte: 2"));
  b.hit("a", 9min + 59s).hit("a", 10min + 1s);
  EXPECT_EQ(b.count(), 1U);
}

TEST(EventCount, EventsExactlyOneTimespanApartAreInOneWindowAndNoMore) {
  Bench b(correlation("event_count", "a", "10m", "gte: 2"));
  b.hit("a", 0s).hit("a", 10min);
  EXPECT_EQ(b.count(), 1U);
  Bench late(correlation("event_count", "a", "10m", "gte: 2"));
  late.hit("a", 0s).hit("a", 10min + 1us);
  EXPECT_EQ(late.count(), 0U);
}

TEST(EventCount, GroupsDoNotMixAndCaseDoesNotSplitThem) {
  Bench b(correlation("event_count", "a", "10m", "gte: 2"));
  b.hit("a", 0s, {{"user", "anna"}}).hit("a", 1s, {{"user", "bo"}});
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 2s, {{"user", "ANNA"}});
  ASSERT_EQ(b.count(), 1U);
  EXPECT_EQ(b.findings[0].group[0].second, "anna");
}

TEST(EventCount, TwoMunicipalitiesNeverMeetInOneGroup) {
  Bench b(correlation("event_count", "a", "10m", "gte: 2"));
  b.hit("a", 0s, {{"user", "anna"}}, "north").hit("a", 1s, {{"user", "anna"}}, "south");
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 2s, {{"user", "anna"}}, "south");
  ASSERT_EQ(b.count(), 1U);
  EXPECT_EQ(b.findings[0].municipality, "south");
}

TEST(EventCount, SeveralGroupFieldsAreOneKeyAndPartsDoNotRunTogether) {
  Bench b(
      "title: t\ncorrelation: {type: event_count, rules: [a], group-by: [user, host], timespan: 10m, condition: {gte: "
      "2}}");
  b.hit("a", 0s, {{"user", "ab"}, {"host", "c"}}).hit("a", 1s, {{"user", "a"}, {"host", "bc"}});
  b.hit("a", 2s, {{"user", "ab"}, {"host", "d"}});
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 3s, {{"user", "ab"}, {"host", "c"}});
  EXPECT_EQ(b.count(), 1U);
}

TEST(EventCount, AnEventWithoutTheGroupFieldIsNotCountedAndThatIsSeen) {
  Bench b(correlation("event_count", "a", "10m", "gte: 1"));
  b.hit("a", 0s, {{"host", "x"}}).hit("a", 1s, {{"user", ""}});
  EXPECT_EQ(b.count(), 0U);
  EXPECT_EQ(b.engine.stats().of[0].missing_group, 2U);
  EXPECT_EQ(b.engine.stats().of[0].missing_field, "user");
}

TEST(EventCount, AListInAGroupFieldCountsForEachOfItsValues) {
  Bench b(correlation("event_count", "a", "10m", "gte: 2"));
  b.hit("a", 0s, {{"user", "anna"}, {"user", "bo"}}).hit("a", 1s, {{"user", "bo"}});
  ASSERT_EQ(b.count(), 1U);
  EXPECT_EQ(b.findings[0].group[0].second, "bo");
}

TEST(EventCount, WithoutGroupByThereIsOneGroup) {
  Bench b("title: t\ncorrelation: {type: event_count, rules: [a, b], timespan: 10m, condition: {gte: 2}}");
  b.hit("a", 0s, {{"user", "x"}}).hit("b", 1s, {{"user", "y"}});
  EXPECT_EQ(b.count(), 1U);
}

TEST(EventCount, AnEpisodeGivesOneFindingAndTheNextOneAnother) {
  Bench b(correlation("event_count", "a", "10m", "gte: 3"));
  for (int i = 0; i < 60; ++i) b.hit("a", i * 1min);
  EXPECT_EQ(b.count(), 1U);
  EXPECT_GT(b.engine.stats().of[0].repeated, 0U);
  for (int i = 0; i < 3; ++i) b.hit("a", 3h + i * 1min);
  EXPECT_EQ(b.count(), 2U);
}

TEST(EventCount, ARateAroundTheThresholdDoesNotStormButMayWhenAsked) {
  const auto run = [](Rearm rearm) {
    Bench b(correlation("event_count", "a", "10m", "gte: 3"), {.rearm = rearm});
    // Every six minutes two, then one: the count goes 3, 2, 3, 2 ...
    for (int i = 0; i < 20; ++i) b.hit("a", i * 5min + 1s * (i % 3));
    return b.count();
  };
  EXPECT_EQ(run(Rearm::after_quiet), 1U);
  EXPECT_GE(run(Rearm::every_event), run(Rearm::when_false));
  EXPECT_GT(run(Rearm::every_event), 5U);
}

TEST(EventCount, WhenFalseFiresAgainAsSoonAsItWasFalse) {
  Bench b(correlation("event_count", "a", "10m", "gte: 2"), {.rearm = Rearm::when_false});
  b.hit("a", 0s).hit("a", 1min).hit("a", 2min);  // true since the second
  EXPECT_EQ(b.count(), 1U);
  b.hit("a", 12min + 1s).hit("a", 13min);  // false between: only one was left
  EXPECT_EQ(b.count(), 2U);
}

TEST(EventCount, ALateEventFillsAWindowInThePast) {
  Bench b(correlation("event_count", "a", "10m", "gte: 3"), {.allowed_lateness = 2h});
  b.hit("a", 0s).hit("a", 4min).hit("a", 90min);
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 2min);
  ASSERT_EQ(b.count(), 1U);
  EXPECT_EQ(b.findings[0].last.t, kStart + 4min);
}

TEST(EventCount, WhatIsLaterThanAllowedIsNotCountedAndThatIsSeen) {
  Bench b(correlation("event_count", "a", "10m", "gte: 3"), {.allowed_lateness = 1h});
  b.hit("a", 0s).hit("a", 4min).hit("a", 90min).hit("a", 2min);
  EXPECT_EQ(b.count(), 0U);
  EXPECT_EQ(b.engine.stats().too_late, 1U);
}

TEST(EventCount, ARecordFromTheFutureDoesNotMakeEverythingLate) {
  Bench b(correlation("event_count", "a", "10m", "gte: 2"));
  b.engine.clock(kStart);
  b.hit("a", 24h * 3650).hit("a", 0s).hit("a", 1s);
  EXPECT_EQ(b.count(), 1U);
  EXPECT_EQ(b.engine.stats().from_future, 1U);
  EXPECT_EQ(b.engine.stats().too_late, 0U);
}

TEST(EventCount, ARecordWithoutTimeIsNotCountedAndThatIsSeen) {
  Bench b(correlation("event_count", "a", "10m", "gte: 1"));
  b.engine.on_hit(0, {}, Record(Fields{{"user", "anna"}}), {}, b.sink());
  EXPECT_EQ(b.count(), 0U);
  EXPECT_EQ(b.engine.stats().without_time, 1U);
}

// ---- conditions that need the end of a window -----------------------------------------------------------------------------

TEST(WindowEnd, FewerThanIsJudgedWhenTheWindowIsOver) {
  Bench b(correlation("event_count", "a", "10m", "lt: 3"), {.allowed_lateness = 1min});
  b.hit("a", 0s).hit("a", 1min);
  EXPECT_EQ(b.count(), 0U);
  b.engine.advance({kStart + 11min}, b.sink());
  EXPECT_EQ(b.count(), 0U) << "a late event may still come";
  b.engine.advance({kStart + 11min + 1us}, b.sink());
  ASSERT_EQ(b.count(), 1U);
  EXPECT_EQ(b.findings[0].measured, 2);
}

TEST(WindowEnd, ABurstIsNotFewerThanOnItsWayUpOrDown) {
  Bench b(correlation("event_count", "a", "10m", "lt: 3"), {.allowed_lateness = 0s});
  for (int i = 0; i < 10; ++i) b.hit("a", i * 1s);
  b.engine.finish(b.sink());
  EXPECT_EQ(b.count(), 0U);
}

TEST(WindowEnd, EqualMeansThisManyInTheWholeWindow) {
  for (const int n : {4, 5, 6}) {
    Bench b(correlation("event_count", "a", "10m", "eq: 5"), {.allowed_lateness = 0s});
    for (int i = 0; i < n; ++i) b.hit("a", i * 1s);
    b.engine.finish(b.sink());
    EXPECT_EQ(b.count(), n == 5 ? 1U : 0U) << n;
  }
}

TEST(WindowEnd, NotEqualAndRangesAndLessOrEqual) {
  const auto fires = [](std::string_view condition, int n) {
    Bench b(correlation("event_count", "a", "10m", condition), {.allowed_lateness = 0s});
    for (int i = 0; i < n; ++i) b.hit("a", i * 1s);
    b.engine.finish(b.sink());
    return b.count() == 1;
  };
  EXPECT_TRUE(fires("neq: 3", 2));
  EXPECT_FALSE(fires("neq: 3", 3));
  EXPECT_TRUE(fires("gt: 2, lte: 4", 4));
  EXPECT_TRUE(fires("gt: 2, lte: 4", 3));
  EXPECT_FALSE(fires("gt: 2, lte: 4", 2));
  EXPECT_FALSE(fires("gt: 2, lte: 4", 5));
  EXPECT_TRUE(fires("lte: 2", 2));
  EXPECT_FALSE(fires("lte: 2", 3));
}

TEST(WindowEnd, ALateEventIsInTheWindowItBelongsTo) {
  Bench b(correlation("event_count", "a", "10m", "eq: 3"), {.allowed_lateness = 30min});
  b.hit("a", 5min).hit("a", 6min).hit("a", 30min).hit("a", 4min);
  b.engine.advance({kStart + 14min + 30min + 1us}, b.sink());
  ASSERT_EQ(b.count(), 1U);
  EXPECT_EQ(b.findings[0].first.t, kStart + 4min);
}

// ---- value_* ---------------------------------------------------------------------------------------------------------------

Fields with(std::string field, std::string value) {
  return {{"user", "anna"}, {std::move(field), std::move(value)}};
}

TEST(ValueCount, CountsDifferentValuesNotEvents) {
  Bench b(correlation("value_count", "a", "10m", "field: ip, gte: 3"));
  for (int i = 0; i < 50; ++i) b.hit("a", i * 1s, with("ip", i % 2 ? "192.0.2.1" : "192.0.2.2"));
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 51s, with("ip", "192.0.2.3"));
  ASSERT_EQ(b.count(), 1U);
  EXPECT_EQ(b.findings[0].measured, 3);
}

TEST(ValueCount, ValuesLeaveTheWindow) {
  Bench b(correlation("value_count", "a", "10m", "field: ip, gte: 3"));
  b.hit("a", 0s, with("ip", "1")).hit("a", 6min, with("ip", "2")).hit("a", 11min, with("ip", "3"));
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 12min, with("ip", "1"));
  EXPECT_EQ(b.count(), 1U);
}

TEST(ValueCount, SeveralFieldsCountDifferentPairs) {
  Bench b(correlation("value_count", "a", "10m", "field: [ip, agent], gte: 3"));
  b.hit("a", 0s, {{"user", "anna"}, {"ip", "1"}, {"agent", "x"}})
      .hit("a", 1s, {{"user", "anna"}, {"ip", "2"}, {"agent", "x"}});
  b.hit("a", 2s, {{"user", "anna"}, {"ip", "1"}, {"agent", "x"}});
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 3s, {{"user", "anna"}, {"ip", "1"}});
  EXPECT_EQ(b.engine.stats().of[0].missing_value, 1U);
  b.hit("a", 4s, {{"user", "anna"}, {"ip", "2"}, {"agent", "y"}});
  EXPECT_EQ(b.count(), 1U);
}

TEST(ValueCount, AListOfRecipientsCountsEachOfThem) {
  Bench b(correlation("value_count", "a", "10m", "field: to, gte: 3"));
  b.hit("a", 0s, {{"user", "anna"}, {"to", "a@example.org"}, {"to", "b@example.org"}, {"to", "A@example.org"}});
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 1s, {{"user", "anna"}, {"to", "c@example.org"}});
  EXPECT_EQ(b.count(), 1U);
}

TEST(ValueCount, BeyondTheExactBoundItIsEstimatedAndSaysSo) {
  Bench b(correlation("value_count", "a", "1h", "field: ip, gte: 20000"), {.max_events = 1000, .exact_values = 1000});
  for (int i = 0; i < 30'000; ++i) b.hit("a", i * 1ms, with("ip", std::to_string(i)));
  ASSERT_EQ(b.count(), 1U);
  EXPECT_TRUE(b.findings[0].approximate);
  EXPECT_NEAR(static_cast<double>(b.findings[0].contributing.back().where.line), 20'000, 2'500);
  EXPECT_EQ(b.engine.stats().of[0].merged, 1U);
  EXPECT_LT(b.engine.stats().bytes, 600'000U);
}

TEST(ValueCount, ManySightingsOfFewValuesStayExactAndSmall) {
  Bench b(correlation("value_count", "a", "1h", "field: ip, gte: 11"), {.max_events = 1000, .exact_values = 1000});
  for (int i = 0; i < 50'000; ++i) b.hit("a", i * 10ms, with("ip", std::to_string(i % 10)));
  EXPECT_EQ(b.count(), 0U);
  EXPECT_LT(b.engine.stats().bytes, 200'000U);
  b.hit("a", 501s, with("ip", "new"));
  ASSERT_EQ(b.count(), 1U);
  EXPECT_FALSE(b.findings[0].approximate);
  EXPECT_EQ(b.findings[0].measured, 11);
}

TEST(DistinctSketch, EstimatesWithinAFewPercentAndForgetsWhatLeftTheWindow) {
  DistinctSketch s;
  for (int i = 0; i < 100'000; ++i) s.add(i, hash64(std::to_string(i)));
  EXPECT_NEAR(s.estimate(0), 100'000, 8'000);
  EXPECT_NEAR(s.estimate(90'000), 10'000, 1'000);
  EXPECT_NEAR(s.estimate(99'900), 100, 25);
  EXPECT_EQ(s.estimate(100'000), 0);
}

TEST(ValueSum, AddsUpAndDropsWhatLeavesTheWindow) {
  Bench b(correlation("value_sum", "a", "1h", "field: bytes, gt: 1000"));
  b.hit("a", 0s, with("bytes", "600")).hit("a", 61min, with("bytes", "400.5"));
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 62min, with("bytes", " 700 "));
  ASSERT_EQ(b.count(), 1U);
  EXPECT_DOUBLE_EQ(b.findings[0].measured, 1100.5);
}

TEST(ValueSum, WhatIsNoNumberIsNotAddedAndThatIsSeen) {
  Bench b(correlation("value_sum", "a", "1h", "field: bytes, gte: 0"));
  b.hit("a", 0s, with("bytes", "many")).hit("a", 0s, with("bytes", "nan")).hit("a", 0s, with("bytes", "12x"));
  EXPECT_EQ(b.count(), 0U);
  EXPECT_EQ(b.engine.stats().of[0].not_a_number, 3U);
}

TEST(ValueAverage, IsTheAverageOfTheWholeWindowNotOfItsFirstEvent) {
  Bench low(correlation("value_avg", "a", "1h", "field: bytes, gt: 500"));
  low.hit("a", 0s, with("bytes", "900")).hit("a", 1min, with("bytes", "90"));
  low.engine.finish(low.sink());
  EXPECT_EQ(low.count(), 0U);
  Bench high(correlation("value_avg", "a", "1h", "field: bytes, gt: 500"));
  high.hit("a", 0s, with("bytes", "900")).hit("a", 1min, with("bytes", "190"));
  high.engine.finish(high.sink());
  ASSERT_EQ(high.count(), 1U);
  EXPECT_DOUBLE_EQ(high.findings[0].measured, 545);
}

TEST(ValuePercentile, OfNumbersIsTheNearestRank) {
  const auto measured = [](std::string_view percentile) {
    Bench b(correlation("value_percentile", "a", "1h", "field: ms, gte: 0, percentile: " + std::string(percentile)));
    for (int i = 1; i <= 100; ++i) b.hit("a", i * 1s, with("ms", std::to_string(101 - i)));
    b.engine.finish(b.sink());
    return b.findings.at(0).measured;
  };
  EXPECT_EQ(measured("50"), 50);
  EXPECT_EQ(measured("95"), 95);
  EXPECT_EQ(measured("99.5"), 100);
  EXPECT_EQ(measured("0"), 1);
}

TEST(ValuePercentile, OfTextsIsTheirShareAsInTheSpecificationsExample) {
  Bench b(correlation("value_percentile", "a", "1d", "field: image, lte: 1"));
  for (int i = 0; i < 199; ++i) b.hit("a", i * 1s, with("image", i % 2 ? "C:\\a.exe" : "C:\\b.exe"));
  b.hit("a", 200s, with("image", "C:\\rare.exe"));
  b.engine.finish(b.sink());
  ASSERT_EQ(b.count(), 1U);
  EXPECT_DOUBLE_EQ(b.findings[0].measured, 0.5);
  ASSERT_EQ(b.findings[0].contributing.size(), 1U);
  EXPECT_EQ(b.findings[0].contributing[0].where.line, 200U);
  Bench few(correlation("value_percentile", "a", "1d", "field: image, lte: 1"));
  few.hit("a", 0s, with("image", "x")).hit("a", 1s, with("image", "y"));
  few.engine.finish(few.sink());
  EXPECT_EQ(few.count(), 0U);
}

// ---- temporal --------------------------------------------------------------------------------------------------------------

TEST(Temporal, NeedsEveryRuleWithinTheTimespanInAnyOrder) {
  Bench b(correlation("temporal", "a, b, c", "5m", ""));
  b.hit("c", 0s).hit("a", 1min).hit("a", 2min);
  EXPECT_EQ(b.count(), 0U);
  b.hit("b", 5min);
  ASSERT_EQ(b.count(), 1U);
  EXPECT_EQ(b.findings[0].measured, 3);
  Bench late(correlation("temporal", "a, b, c", "5m", ""));
  late.hit("c", 0s).hit("a", 1min).hit("b", 5min + 1s);
  EXPECT_EQ(late.count(), 0U);
}

TEST(Temporal, GroupByIsEnforced) {
  Bench b(correlation("temporal", "a, b", "5m", ""));
  b.hit("a", 0s, {{"user", "anna"}}).hit("b", 1s, {{"user", "bo"}});
  EXPECT_EQ(b.count(), 0U);
}

TEST(Temporal, AConditionCountsHowManyOfTheRules) {
  Bench b(correlation("temporal", "a, b, c", "5m", "gte: 2"));
  b.hit("a", 0s).hit("a", 1s);
  EXPECT_EQ(b.count(), 0U);
  b.hit("c", 2s);
  EXPECT_EQ(b.count(), 1U);
}

TEST(Temporal, AnExpressionChoosesAmongTheRules) {
  const std::string rule =
      "title: t\ncorrelation: {type: temporal, rules: [a, b, c], group-by: [user], timespan: 5m, condition: a and (b "
      "or c)}";
  Bench b(rule);
  b.hit("b", 0s).hit("c", 1s);
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 2s);
  EXPECT_EQ(b.count(), 1U);
}

TEST(Temporal, AnExpressionWithNotWaitsForTheEndOfTheWindow) {
  const std::string rule =
      "title: t\ncorrelation: {type: temporal, rules: [a, b], group-by: [user], timespan: 5m, condition: a and not b}";
  Bench alone(rule, {.allowed_lateness = 0s});
  alone.hit("a", 0s);
  EXPECT_EQ(alone.count(), 0U);
  alone.engine.advance({kStart + 6min}, alone.sink());
  EXPECT_EQ(alone.count(), 1U);
  Bench both(rule, {.allowed_lateness = 0s});
  both.hit("a", 0s).hit("b", 4min);
  both.engine.advance({kStart + 6min}, both.sink());
  EXPECT_EQ(both.count(), 0U);
}

TEST(Temporal, AliasesBindDifferentFieldsOfDifferentRules) {
  const std::string rule = R"(
title: t
correlation:
  type: temporal
  rules: [a, b]
  group-by: [internal, remote]
  timespan: 10s
  aliases:
    internal: {a: destination.ip, b: source.ip}
    remote: {a: source.ip, b: destination.ip}
)";
  Bench b(rule);
  b.hit("a", 0s, {{"destination.ip", "10.0.0.1"}, {"source.ip", "192.0.2.1"}});
  b.hit("b", 1s, {{"destination.ip", "10.0.0.1"}, {"source.ip", "192.0.2.1"}});
  EXPECT_EQ(b.count(), 0U);
  b.hit("b", 2s, {{"source.ip", "10.0.0.1"}, {"destination.ip", "192.0.2.1"}});
  ASSERT_EQ(b.count(), 1U);
  EXPECT_EQ(b.findings[0].group[0], (std::pair<std::string, std::string>("internal", "10.0.0.1")));
}

TEST(TemporalOrdered, TheOrderIsEnforced) {
  Bench wrong(correlation("temporal_ordered", "a, b, c", "10m", ""));
  wrong.hit("c", 0s).hit("b", 1min).hit("a", 2min);
  EXPECT_EQ(wrong.count(), 0U);
  wrong.hit("b", 3min);
  EXPECT_EQ(wrong.count(), 0U);
  wrong.hit("c", 4min);
  ASSERT_EQ(wrong.count(), 1U);
  ASSERT_EQ(wrong.findings[0].contributing.size(), 3U);
  EXPECT_EQ(wrong.findings[0].first.t, kStart + 2min);
}

TEST(TemporalOrdered, TheWholeChainMustFitInTheTimespan) {
  Bench b(correlation("temporal_ordered", "a, b, c", "10m", ""));
  b.hit("a", 0s).hit("b", 6min).hit("c", 12min);
  EXPECT_EQ(b.count(), 0U);
}

TEST(TemporalOrdered, EventsOfTheSameInstantCountAsOrdered) {
  Bench b(correlation("temporal_ordered", "a, b", "10m", ""));
  b.hit("b", 1s).hit("a", 1s);
  EXPECT_EQ(b.count(), 1U);
}

TEST(TemporalOrdered, OneEventIsNotTwoSteps) {
  Bench b(correlation("temporal_ordered", "a, b", "10m", ""));
  b.hit("a", 1s);
  --b.line;  // the same record
  b.hit("b", 1s);
  EXPECT_EQ(b.count(), 0U);
  b.hit("b", 2s);
  EXPECT_EQ(b.count(), 1U);
}

TEST(TemporalOrdered, AnEarlierEventServesWhenTheLaterOneIsTheNextStepItself) {
  Bench b(correlation("temporal_ordered", "a, b", "10m", ""));
  b.hit("a", 1s);
  b.hit("a", 2s);
  --b.line;
  b.hit("b", 2s);
  EXPECT_EQ(b.count(), 1U);
}

TEST(TemporalOrdered, AStepThatArrivesLateCompletesTheChain) {
  Bench b(correlation("temporal_ordered", "a, b, c", "10m", ""), {.allowed_lateness = 2h});
  b.hit("a", 0s).hit("c", 5min).hit("b", 80min);
  EXPECT_EQ(b.count(), 0U);
  b.hit("b", 3min);
  ASSERT_EQ(b.count(), 1U);
  EXPECT_EQ(b.findings[0].last.t, kStart + 5min);
}

TEST(TemporalOrdered, MuchNoiseBetweenTheStepsIsThinnedAndLosesNothing) {
  Bench b(correlation("temporal_ordered", "a, b, c", "1h", ""), {.max_events = 100});
  b.hit("a", 0s);
  for (int i = 0; i < 5000; ++i) b.hit("b", 1s + i * 100ms);
  EXPECT_LT(b.engine.stats().bytes, 50'000U);
  b.hit("c", 20min);
  ASSERT_EQ(b.count(), 1U);
  EXPECT_FALSE(b.findings[0].approximate);
}

// ---- chains ----------------------------------------------------------------------------------------------------------------

constexpr std::string_view kGuessing = R"(
title: Then a success
correlation: {type: temporal_ordered, rules: [many, b], group-by: [user], timespan: 1h}
---
title: Many failures
name: many
correlation: {type: event_count, rules: [a], group-by: [host], timespan: 10m, condition: {gte: 3}}
)";

TEST(TemporalOrdered, AWaveThatComesNewestFirstEndsAsInOrderAndCostsAboutAsMuch) {
  const auto of = [](bool newest_first, bool chain_holds) {
    auto b = std::make_unique<Bench>(correlation("temporal_ordered", "a, b", "2h", ""));
    const auto began = std::chrono::steady_clock::now();
    if (chain_holds) b->hit("a", 0s);
    for (int i = 0; i < 4000; ++i) b->hit("b", std::chrono::seconds(1 + (newest_first ? 3999 - i : i)));
    const auto took = std::chrono::steady_clock::now() - began;
    std::printf("%s, %s: %lld us\n", newest_first ? "newest first" : "in order",
                chain_holds ? "holds" : "does not hold",
                static_cast<long long>(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
    return b;
  };
  const auto in_order = of(false, true), newest_first = of(true, true);
  EXPECT_EQ(of(false, false)->count() + of(true, false)->count(), 0U);
  ASSERT_EQ(in_order->count(), 1U);
  ASSERT_EQ(newest_first->count(), 1U) << "one episode, whichever end of it was seen first";
  EXPECT_EQ(newest_first->findings[0].first.t, kStart);
  // Rules of which one is enough are not held up by the other's absence.
  Bench any(correlation("temporal_ordered", "a, b", "2h", "gte: 1"));
  any.hit("b", 1s);
  EXPECT_EQ(any.count(), 1U);
}

TEST(Chain, AResultIsAnEventForTheNextWithTheFieldsOfItsLastEvent) {
  Bench b(kGuessing);
  // The inner one groups by host only: the user comes from its events.
  for (int i = 0; i < 3; ++i) b.hit("a", i * 1s, {{"user", "anna"}, {"host", "pc1"}});
  EXPECT_EQ(b.count(), 0U) << "the inner one does not report by itself";
  b.hit("b", 10min, {{"user", "bo"}});
  EXPECT_EQ(b.count(), 0U);
  b.hit("b", 11min, {{"user", "Anna"}});
  ASSERT_EQ(b.count(), 1U);
  EXPECT_EQ(b.findings[0].group[0].second, "anna");
}

TEST(Chain, AConditionThatStaysTrueStillLeadsToTheNextStepHoursLater) {
  Bench b(kGuessing);
  for (int i = 0; i < 300; ++i) b.hit("a", i * 1min, {{"user", "anna"}, {"host", "pc1"}});
  b.hit("b", 301min, {{"user", "anna"}});
  EXPECT_EQ(b.count(), 1U);
}

TEST(Chain, TheSuccessBeforeTheFailuresIsNoChain) {
  Bench b(kGuessing);
  b.hit("b", 0s, {{"user", "anna"}});
  for (int i = 1; i < 9; ++i) b.hit("a", i * 1s, {{"user", "anna"}, {"host", "pc1"}});
  EXPECT_EQ(b.count(), 0U);
}

TEST(Chain, GenerateLetsTheInnerOneReportToo) {
  Bench b(std::string(kGuessing) +
          "\n---\ntitle: Hosts\ncorrelation: {type: value_count, rules: [many], timespan: 1h, generate: true, "
          "condition: {field: host, gte: 2}}\n");
  for (const char* host : {"pc1", "pc2"})
    for (int i = 0; i < 3; ++i) b.hit("a", i * 1s, {{"user", "anna"}, {"host", host}});
  std::multiset<std::string> titles;
  for (const auto& f : b.findings) titles.insert(b.set.correlations[f.correlation].meta.title);
  EXPECT_EQ(titles, (std::multiset<std::string>{"Hosts", "Many failures", "Many failures"}));
}

TEST(Chain, WhatIsCountedCountsOnceAnEpisode) {
  Bench b(R"(
title: Three bursts
correlation: {type: event_count, rules: [burst], group-by: [user], timespan: 1d, condition: {gte: 3}}
---
title: Burst
name: burst
correlation: {type: event_count, rules: [a], group-by: [user], timespan: 1m, condition: {gte: 2}}
)");
  for (int i = 0; i < 30; ++i) b.hit("a", i * 1s);
  b.hit("a", 1h).hit("a", 1h + 1s);
  EXPECT_EQ(b.count(), 0U);
  b.hit("a", 2h).hit("a", 2h + 1s);
  EXPECT_EQ(b.count(), 1U);
}

TEST(Chain, AnInnerThatIsJudgedAtTheEndOfItsWindowIsNotTooLate) {
  Bench b(R"(
title: Quiet, then b
correlation: {type: temporal_ordered, rules: [quiet, b], group-by: [user], timespan: 30m}
---
title: Quiet
name: quiet
correlation: {type: event_count, rules: [a], group-by: [user], timespan: 10m, condition: {lt: 2}}
)",
          {.allowed_lateness = 0s});
  b.hit("a", 0s).hit("b", 5min).hit("b", 15min);
  b.engine.finish(b.sink());
  EXPECT_EQ(b.count(), 1U);
}

TEST(Chain, TheSpecificationsExampleWorksFromItsText) {
  const auto file = testing::corpora("detection/sigma-specification");
  if (file.empty()) GTEST_SKIP() << "the corpora are not here: set BAVN_CORPORA";
  auto set = load_text(testing::read_text(file / "tests/spec_text_correlation_09.yml"));
  ASSERT_TRUE(set.has_value());
  ASSERT_TRUE(set->refused.empty()) << set->refused[0].reason;
  ASSERT_EQ(set->correlations.size(), 2U);
  CorrelationEngine engine(*set);
  std::vector<std::string> titles;
  std::uint64_t line = 0;
  const auto event = [&](std::string_view rule, std::chrono::seconds after, const char* user) {
    for (std::uint32_t i = 0; i < set->rules.size(); ++i)
      if (set->rules[i].meta.name == rule)
        engine.on_hit(
            i, {kStart + after}, Record(Fields{{"User", user}}), {"m", "windows_event", "x", ++line},
            [&](const CorrelationFinding& f) { titles.push_back(set->correlations[f.correlation].meta.title); });
  };
  event("successful_login", 0s, "anna");
  for (int i = 0; i < 10; ++i) event("failed_login", 10s + i * 1s, i < 9 ? "anna" : "bo");
  event("successful_login", 30s, "anna");
  EXPECT_TRUE(titles.empty());
  event("failed_login", 31s, "anna");
  event("successful_login", 32s, "bo");
  EXPECT_TRUE(titles.empty());
  event("successful_login", 33s, "anna");
  EXPECT_EQ(titles, std::vector<std::string>{"Correlation - Multiple Failed Logins Followed by Successful Login"});
}

// ---- bounds ----------------------------------------------------------------------------------------------------------------

TEST(Memory, StaysBelowItsCapByForgettingTheLongestUntouchedGroupAndCountsThat) {
  Bench b(correlation("event_count", "a", "1d", "gte: 3"), {.max_memory = 200'000});
  b.hit("a", 0s, {{"user", "kept"}}).hit("a", 1s, {{"user", "kept"}});
  for (int i = 0; i < 5000; ++i) {
    b.hit("a", 2s, {{"user", "u" + std::to_string(i)}});
    EXPECT_LE(b.engine.stats().bytes, 200'000U);
    if (i == 100) b.engine.advance({kStart + 3s}, b.sink());
  }
  EXPECT_GT(b.engine.stats().evicted, 3000U);
  EXPECT_EQ(b.engine.stats().of[0].evicted, b.engine.stats().evicted);
  b.hit("a", 3s, {{"user", "kept"}});
  EXPECT_EQ(b.count(), 0U) << "its first two were forgotten; the counter says so";
  b.hit("a", 4s, {{"user", "kept"}}).hit("a", 5s, {{"user", "kept"}});
  EXPECT_EQ(b.count(), 1U);
}

TEST(Memory, GroupsInWhichNothingCanHappenAreForgotten) {
  Bench b(correlation("event_count", "a", "10m", "gte: 3"), {.allowed_lateness = 1h});
  for (int i = 0; i < 1000; ++i) b.hit("a", i * 1s, {{"user", std::to_string(i)}});
  EXPECT_EQ(b.engine.stats().groups, 1000U);
  b.engine.advance({kStart + 3h}, b.sink());
  EXPECT_EQ(b.engine.stats().groups, 0U);
  EXPECT_EQ(b.engine.stats().expired, 1000U);
  EXPECT_EQ(b.engine.stats().evicted, 0U);
}

TEST(Memory, AGroupBeyondItsEventLimitMergesAndSaysSo) {
  Bench b(correlation("event_count", "a", "1h", "gte: 1000000"), {.max_events = 100});
  // The limit follows the threshold; a sum has none.
  Bench s(correlation("value_sum", "a", "1h", "field: n, gte: 5000"), {.max_events = 2500});
  for (int i = 0; i < 5000; ++i) s.hit("a", i * 1ms, with("n", "1"));
  EXPECT_EQ(s.count(), 1U);
  for (int i = 0; i < 9'000; ++i) s.hit("a", 5s + i * 1ms, with("n", "1"));
  EXPECT_EQ(s.engine.stats().of[0].merged, 1U);
  EXPECT_LT(s.engine.stats().bytes, 1'500'000U);
}

TEST(Replay, TheOrderOfFilesDoesNotMatterAndNothingIsTooLate) {
  const auto run = [](bool reversed) {
    Bench b(correlation("temporal_ordered", "a, b, c", "10m", ""), {.replay = true});
    std::vector<std::pair<const char*, std::chrono::seconds>> events{
        {"a", 0s}, {"b", 60s}, {"c", 120s}, {"a", 86'400s}, {"c", 86'401s}};
    if (reversed) std::ranges::reverse(events);
    for (const auto& [rule, at] : events) b.hit(rule, at);
    EXPECT_EQ(b.count(), 0U);
    b.engine.finish(b.sink());
    EXPECT_EQ(b.engine.stats().too_late, 0U);
    return b.count();
  };
  EXPECT_EQ(run(false), 1U);
  EXPECT_EQ(run(true), 1U);
}

TEST(Replay, MoreThanMemoryHoldsIsPlayedInPartsAndWhatComesTooLateIsCounted) {
  Bench b(correlation("event_count", "a", "1m", "gte: 50"), {.replay = true, .max_memory = 100'000});
  for (int i = 0; i < 2000; ++i) b.hit("a", i * 1s);
  EXPECT_LE(b.engine.stats().held_back, 1000U);
  b.hit("a", 1s);
  b.engine.finish(b.sink());
  EXPECT_EQ(b.count(), 1U);
  EXPECT_EQ(b.engine.stats().too_late, 1U);
}

TEST(Finding, NamesTheGroupTheMeasureAndTheEvents) {
  Bench b(correlation("event_count", "a", "10m", "gte: 2", "level: high\nid: 7d9c1c4e-7d1a-4f0a-9c0e-0b8a7c1d2e3f\n"));
  b.hit("a", 0s).hit("a", 1s);
  ASSERT_EQ(b.count(), 1U);
  const auto f = to_finding(b.set, b.findings[0], kStart + 1h);
  EXPECT_EQ(f.kind, event::FindingKind::correlation);
  EXPECT_EQ(f.rule_level, "high");
  EXPECT_EQ(f.line, 2U);
  EXPECT_EQ(f.happened_at, kStart + 1s);
  const std::map<std::string, std::string> fields(f.fields.begin(), f.fields.end());
  EXPECT_EQ(fields.at("user"), "anna");
  EXPECT_EQ(fields.at("measured"), "2");
  EXPECT_EQ(fields.at("first"), "2024-10-01T09:00:00Z");
  EXPECT_EQ(fields.at("event.1"), "2024-10-01T09:00:00Z test:1 a");
}

TEST(Finding, NamesABoundedNumberOfEventsTheOldestAndTheNewest) {
  Bench b(correlation("event_count", "a", "1h", "gte: 100"), {.max_contributing = 6});
  for (int i = 0; i < 100; ++i) b.hit("a", i * 1s);
  ASSERT_EQ(b.count(), 1U);
  std::vector<std::uint64_t> lines;
  for (const auto& c : b.findings[0].contributing) lines.push_back(c.where.line);
  EXPECT_EQ(lines, (std::vector<std::uint64_t>{1, 2, 3, 98, 99, 100}));
  EXPECT_EQ(b.findings[0].events, 100U);
}

// ---- state -----------------------------------------------------------------------------------------------------------------

TEST(State, BytesThatAreCutChangedOrMadeUpAreRefusedAndChangeNothing) {
  Bench b(correlation("value_count", "a", "10m", "field: ip, gte: 3"));
  b.hit("a", 0s, with("ip", "1")).hit("a", 1s, with("ip", "2"));
  std::string bytes;
  ASSERT_TRUE(b.engine.save(bytes).has_value());
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(b.engine.load(bytes.substr(0, n)).has_value());
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x20);
    const auto r = b.engine.load(changed);
    ASSERT_FALSE(r.has_value()) << i;
    EXPECT_EQ(r.error().code, Code::corrupt);
  }
  EXPECT_FALSE(b.engine.load("").has_value());
  b.hit("a", 2s, with("ip", "3"));
  EXPECT_EQ(b.count(), 1U) << "the state of before is still there";
  EXPECT_TRUE(b.engine.load(bytes).has_value());
}

/// Changes bytes and makes the checksum right again: what a fuzzer does, in the plain test.
TEST(State, ContentThatDoesNotFitTogetherNeverBreaksTheEngine) {
  Bench b(correlation("value_count", "a", "10m", "field: ip, gte: 3"), {.max_events = 8, .exact_values = 8});
  for (int i = 0; i < 40; ++i) b.hit("a", i * 1s, with("ip", std::to_string(i)));
  std::string bytes;
  ASSERT_TRUE(b.engine.save(bytes).has_value());
  rc::check("changed bytes are refused or usable", [&] {
    std::string changed = bytes;
    const auto n = *rc::gen::inRange(1, 6);
    for (int i = 0; i < n; ++i)
      changed[*rc::gen::inRange<std::size_t>(0, changed.size() - 8)] = *rc::gen::arbitrary<char>();
    if (*rc::gen::inRange(0, 4) == 0)
      changed.erase(*rc::gen::inRange<std::size_t>(5, changed.size() - 8), *rc::gen::inRange<std::size_t>(1, 60));
    if (changed.size() < 16) return;
    const std::uint64_t sum = hash64(std::string_view(changed).substr(0, changed.size() - 8), 0x62766E63);
    for (std::size_t i = 0; i < 8; ++i) changed[changed.size() - 8 + i] = static_cast<char>(sum >> (8 * i));
    Bench other(correlation("value_count", "a", "10m", "field: ip, gte: 3"));
    if (!other.engine.load(changed)) return;
    other.hit("a", 41s, with("ip", "x"));
    std::string again;
    RC_ASSERT(other.engine.save(again).has_value());
    RC_ASSERT(Bench(correlation("value_count", "a", "10m", "field: ip, gte: 3")).engine.load(again).has_value());
  });
}

TEST(State, GroupsOfACorrelationThatChangedAreDroppedAndCounted) {
  Bench before(correlation("event_count", "a", "10m", "gte: 3"));
  before.hit("a", 0s);
  std::string bytes;
  ASSERT_TRUE(before.engine.save(bytes).has_value());
  Bench after(correlation("event_count", "a", "20m", "gte: 3"));
  ASSERT_TRUE(after.engine.load(bytes).has_value());
  EXPECT_EQ(after.engine.stats().groups, 0U);
  EXPECT_EQ(after.engine.stats().unknown_state, 1U);
}

TEST(State, WhileHitsAreHeldBackItCannotBeSaved) {
  Bench b(correlation("event_count", "a", "10m", "gte: 3"), {.replay = true});
  b.hit("a", 0s);
  std::string bytes;
  EXPECT_FALSE(b.engine.save(bytes).has_value());
}

// ---- properties ------------------------------------------------------------------------------------------------------------

constexpr std::string_view kAll = R"(
title: count
correlation: {type: event_count, rules: [a, b], group-by: [user], timespan: 20s, condition: {gte: 4}}
---
title: exactly
correlation: {type: event_count, rules: [a], group-by: [user], timespan: 20s, condition: {eq: 3}}
---
title: values
name: values
correlation: {type: value_count, rules: [a, b], group-by: [user], timespan: 20s, condition: {field: n, gte: 3}}
---
title: sum
correlation: {type: value_sum, rules: [c], group-by: [user], timespan: 20s, condition: {field: n, gt: 9}}
---
title: average
correlation: {type: value_avg, rules: [a, c], group-by: [user], timespan: 20s, condition: {field: n, gte: 3}}
---
title: median
correlation: {type: value_percentile, rules: [a, c], group-by: [user], timespan: 20s, condition: {field: n, gte: 3, percentile: 50}}
---
title: together
correlation: {type: temporal, rules: [a, b, c], group-by: [user], timespan: 20s}
---
title: in order
correlation: {type: temporal_ordered, rules: [a, b, c], group-by: [user], timespan: 20s}
---
title: chain
correlation: {type: temporal_ordered, rules: [values, c], group-by: [user], timespan: 40s, generate: true}
)";

struct Step {
  int rule, user, n, gap;
};

std::vector<Step> steps(int longest_gap) {
  return *rc::gen::scale(3.0, rc::gen::container<std::vector<Step>>(rc::gen::map(
                                  rc::gen::tuple(rc::gen::inRange(0, 3), rc::gen::inRange(0, 2), rc::gen::inRange(0, 6),
                                                 rc::gen::inRange(0, longest_gap)),
                                  [](const std::tuple<int, int, int, int>& t) {
                                    return Step{std::get<0>(t), std::get<1>(t), std::get<2>(t), std::get<3>(t)};
                                  })));
}

struct Event {
  const char* rule;
  std::chrono::seconds at;
  Fields fields;
};

std::vector<Event> events(const std::vector<Step>& all) {
  static constexpr const char* kNames[] = {"a", "b", "c"};
  std::vector<Event> out;
  std::chrono::seconds at{};
  for (const Step& s : all) {
    at += std::chrono::seconds{s.gap};
    out.push_back({kNames[s.rule], at, {{"user", std::to_string(s.user)}, {"n", std::to_string(s.n)}}});
  }
  return out;
}

std::string told(const Bench& b, std::size_t from = 0) {
  std::string s;
  for (std::size_t i = from; i < b.findings.size(); ++i) {
    event::append_json(s, to_finding(b.set, b.findings[i], kStart));
    s += '\n';
  }
  return s;
}

TEST(State, SavingAndLoadingAnywhereGivesTheSameFindingsAsAnUninterruptedRun) {
  EXPECT_TRUE(rc::check("save and load are not noticed", [] {
    const auto all = events(steps(12));
    const CorrelationOptions options{.allowed_lateness = 5s, .max_events = 6, .exact_values = 4, .hash_seed = 7};
    Bench whole(kAll, options);
    for (const auto& e : all) whole.hit(e.rule, e.at, e.fields);
    whole.engine.finish(whole.sink());

    std::string parts, bytes;
    std::uint64_t line = 0;
    std::size_t i = 0;
    do {
      Bench part(kAll, options);
      part.line = line;
      if (!bytes.empty()) RC_ASSERT(part.engine.load(bytes).has_value());
      const std::size_t end = std::min(all.size(), i + *rc::gen::inRange<std::size_t>(1, 8));
      for (; i < end; ++i) part.hit(all[i].rule, all[i].at, all[i].fields);
      if (i == all.size()) part.engine.finish(part.sink());
      else RC_ASSERT(part.engine.save(bytes).has_value());
      parts += told(part);
      line = part.line;
    } while (i < all.size());
    RC_ASSERT(parts == told(whole));
  }));
}

/// The definition, written down as slowly as possible: for each event the window that ends with it.
TEST(Properties, FindingsInOrderAreThoseOfTheDefinition) {
  EXPECT_TRUE(rc::check("every_event fires exactly where the definition holds", [] {
    const auto all = events(steps(9));
    Bench b(kAll, {.allowed_lateness = 0s, .rearm = Rearm::every_event});
    for (const auto& e : all) b.hit(e.rule, e.at, e.fields);
    std::multiset<std::pair<std::string, std::int64_t>> got, wanted;
    static const std::set<std::string> kRising{"count", "values", "sum", "together", "in order"};
    for (const auto& f : b.findings) {
      const auto& title = b.set.correlations[f.correlation].meta.title;
      if (kRising.contains(title)) got.emplace(title + f.group[0].second, 0);
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      const std::string user = all[i].fields.find("user")->second;
      std::size_t ab = 0;
      double sum = 0;
      std::set<std::string> values, kinds;
      std::size_t chain = 0;  // steps of a, b, c done so far; ties count as ordered
      std::vector<const Event*> window;
      for (std::size_t k = 0; k <= i; ++k)
        if (all[k].fields.find("user")->second == user && all[k].at >= all[i].at - 20s) window.push_back(&all[k]);
      std::ranges::stable_sort(window, [](const Event* x, const Event* y) {
        return std::pair(x->at, x->rule[0]) < std::pair(y->at, y->rule[0]);
      });
      for (const Event* e : window) {
        const std::string n = e->fields.find("n")->second;
        if (e->rule[0] != 'c') {
          ++ab;
          values.insert(n);
        } else {
          sum += std::stod(n);
        }
        kinds.insert(e->rule);
        if (chain < 3 && e->rule[0] == static_cast<char>('a' + static_cast<int>(chain))) ++chain;
      }
      const bool is_c = all[i].rule[0] == 'c';
      if (!is_c && ab >= 4) wanted.emplace("count" + user, 0);
      if (!is_c && values.size() >= 3) wanted.emplace("values" + user, 0);
      if (is_c && sum > 9) wanted.emplace("sum" + user, 0);
      if (kinds.size() == 3) wanted.emplace("together" + user, 0);
      if (chain == 3) wanted.emplace("in order" + user, 0);
    }
    RC_CLASSIFY(wanted.size() > 5, "more than five");
    RC_ASSERT(got == wanted);
  }));
}

TEST(Properties, WithinTheAllowedLatenessTheOrderOfArrivalDoesNotChangeWhoIsFound) {
  EXPECT_TRUE(rc::check("shuffled arrival finds the same groups", [] {
    const auto all = events(steps(12));
    std::vector<std::size_t> order(all.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[*rc::gen::inRange<std::size_t>(0, i)]);
    const auto found = [&](bool shuffled) {
      Bench b(kAll, {.allowed_lateness = 24h});
      for (std::size_t i = 0; i < all.size(); ++i) {
        const Event& e = all[shuffled ? order[i] : i];
        b.hit(e.rule, e.at, e.fields);
      }
      b.engine.finish(b.sink());
      std::set<std::string> s;
      for (const auto& f : b.findings) s.insert(b.set.correlations[f.correlation].meta.title + f.group[0].second);
      return s;
    };
    RC_ASSERT(found(true) == found(false));
  }));
}

TEST(Properties, ReplayOfAnyArrivalGivesExactlyTheSameFindings) {
  EXPECT_TRUE(rc::check("replay sorts", [] {
    const auto all = events(steps(12));
    std::vector<std::size_t> order(all.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[*rc::gen::inRange<std::size_t>(0, i)]);
    const auto found = [&](bool shuffled) {
      Bench b(kAll, {.replay = true});
      for (std::size_t i = 0; i < all.size(); ++i) {
        const std::size_t k = shuffled ? order[i] : i;
        b.line = k;
        b.hit(all[k].rule, all[k].at, all[k].fields);
      }
      b.engine.finish(b.sink());
      return told(b);
    };
    RC_ASSERT(found(true) == found(false));
  }));
}

}  // namespace
}  // namespace bavn::match::sigma
