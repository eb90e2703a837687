#include "alerts/book.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "alerts/reader.hpp"
#include "base/sim.hpp"

namespace bavn::alerts {
namespace {

using namespace std::chrono_literals;

constexpr std::int64_t kHour = 3600LL * 1'000'000;
constexpr std::int64_t kDay = 24 * kHour;

class BookTest : public ::testing::Test {
 protected:
  BookTest() {
    auto opened = store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}});
    EXPECT_TRUE(opened) << to_string(opened.error());
    state = std::move(*opened);
    reader = std::make_unique<AlertReader>(*state, budget);
  }
  AlertBook book() const { return AlertBook(budget); }
  static Found finding(const std::string& rule, const std::string& who, std::int64_t at_us, std::uint32_t line = 1,
                       const std::string& level = "high") {
    Found f;
    f.finding.rule_id = rule;
    f.finding.rule_title = "rule " + rule;
    f.finding.rule_level = level;
    f.finding.format = "json";
    f.finding.happened_at = from_micros(at_us);
    f.finding.fields = {{"User", who}};
    f.place = {1, 0, line};
    f.municipality = MunicipalityId{101};
    f.tenant = TenantId{1};
    f.source = "test";
    f.concern = {"account", who};
    f.first_us = f.last_us = f.received_us = at_us;
    return f;
  }
  void record(std::vector<Found> found) {
    const auto ok = state->write_now([&](store::Tx& tx) { return book().record(tx, found); });
    ASSERT_TRUE(ok) << to_string(ok.error());
  }
  void load(const std::vector<RuleInfo>& rules) {
    const auto ok = state->write_now([&](store::Tx& tx) { return book().rules_loaded(tx, rules); });
    ASSERT_TRUE(ok) << to_string(ok.error());
  }
  void day(std::int64_t n) {
    const auto ok = state->write_now([&](store::Tx& tx) { return book().seen_records(tx, n, 1000); });
    ASSERT_TRUE(ok) << to_string(ok.error());
  }
  AlertList list(AlertFilter filter = {}) {
    auto found = reader->list(owner, filter);
    EXPECT_TRUE(found) << to_string(found.error());
    return found ? *found : AlertList{};
  }
  RuleRow rule(const std::string& name) {
    const auto rows = reader->rules(owner);
    EXPECT_TRUE(rows) << to_string(rows.error());
    for (const RuleRow& r : *rows)
      if (r.rule == name) return r;
    ADD_FAILURE() << "no rule " << name;
    return {};
  }
  std::int64_t now() const { return micros(sim.now()); }

  Sim sim{1};
  Budget budget;
  std::unique_ptr<store::State> state;
  std::unique_ptr<AlertReader> reader;
  event::Scope owner = event::Scope::local_owner();
};

TEST_F(BookTest, FindingsOfOneRuleAndAccountAreOneAlertWithCountFirstAndLastSeen) {
  record({finding("a", "kari", now() - kHour, 1), finding("a", "ola", now(), 2), finding("a", "kari", now(), 3)});
  record({finding("a", "kari", now() + kHour, 4)});
  const auto all = list();
  ASSERT_EQ(all.alerts.size(), 2U);
  const auto kari =
      std::find_if(all.alerts.begin(), all.alerts.end(), [](const Alert& a) { return a.concern == "kari"; });
  EXPECT_EQ(kari->count, 3);
  EXPECT_EQ(kari->first_seen_us, now() - kHour);
  EXPECT_EQ(kari->last_seen_us, now() + kHour);
  const auto found = reader->find(owner, kari->id);
  ASSERT_TRUE(found);
  ASSERT_EQ(found->second.size(), 3U);
  EXPECT_EQ(found->second[2].line, 4);
  EXPECT_EQ(found->second[0].fields, R"({"User":"kari"})");
}

TEST_F(BookTest, FindingsFurtherApartThanTheWindowAreTwoAlerts) {
  record({finding("a", "kari", now())});
  record({finding("a", "kari", now() + 23 * kHour, 2)});
  record({finding("a", "kari", now() + 48 * kHour, 3)});
  const auto all = list();
  ASSERT_EQ(all.alerts.size(), 2U);
  EXPECT_EQ(all.alerts[0].count + all.alerts[1].count, 3);
}

TEST_F(BookTest, WhatHappensAfterAnAlertWasClosedIsANewOneAndWhatHappenedBeforeIsNot) {
  record({finding("a", "kari", now())});
  const std::int64_t id = list().alerts[0].id;
  ASSERT_FALSE(reader->close(owner, id, "")) << "closing needs a reason";
  ASSERT_TRUE(reader->close(owner, id, "a drill"));
  EXPECT_EQ(reader->close(owner, id, "again").error().code, Code::conflict);
  record({finding("a", "kari", now() - kHour, 2)});
  ASSERT_EQ(list().alerts.size(), 1U);
  EXPECT_EQ(list().alerts[0].count, 2);
  sim.advance(1h);
  record({finding("a", "kari", now(), 3)});
  EXPECT_EQ(list().alerts.size(), 2U);
}

TEST_F(BookTest, ARuleCountsUntilItsRateIsKnownAndThenItsAlertsTakeTheirPlaces) {
  load({{"sigma:quiet", "quiet", "medium"}, {"sigma:loud", "loud", "medium"}, {"sigma:worst", "worst", "critical"}});
  const std::int64_t first = now() / kDay;
  for (int d = 0; d < 7; ++d) {
    std::vector<Found> found{finding("quiet", "kari", now(), 1, "medium")};
    for (int n = 0; n < 8; ++n) found.push_back(finding("loud", "user" + std::to_string(n), now(), 2, "medium"));
    record(found);
    day(first + d);
    if (d < 6) {
      EXPECT_EQ(rule("sigma:quiet").state, "count_only");
      sim.advance(24h);
    }
  }
  EXPECT_EQ(rule("sigma:quiet").state, "live");
  EXPECT_TRUE(rule("sigma:quiet").rate_known);
  EXPECT_NEAR(rule("sigma:quiet").alerts_per_day, 1.0, 0.01);
  EXPECT_EQ(rule("sigma:loud").state, "count_only") << "eight alerts a day are above the budget of three";
  EXPECT_EQ(rule("sigma:worst").state, "live") << "critical rules need not be counted first";
  AlertFilter counted;
  counted.place = "queue";
  const auto queue = list(counted);
  ASSERT_EQ(queue.alerts.size(), 1U);
  EXPECT_EQ(queue.alerts[0].rule, "sigma:quiet");
  EXPECT_GT(queue.counted, 0);
}

TEST_F(BookTest, ARuleThatBreaksItsBudgetIsDemotedAndComesBackByAPerson) {
  load({{"sigma:storm", "storm", "critical"}});
  ASSERT_EQ(rule("sigma:storm").state, "live");
  std::vector<Found> found;
  for (int n = 0; n < 16; ++n) found.push_back(finding("storm", "user" + std::to_string(n), now(), 1, "critical"));
  record(found);
  EXPECT_EQ(rule("sigma:storm").state, "demoted");
  record({finding("storm", "one more", now(), 2, "critical")});
  AlertFilter counted;
  counted.place = "counted";
  EXPECT_EQ(list(counted).alerts.size(), 1U) << "what comes after is counted, not lost";
  ASSERT_TRUE(reader->set_rule(owner, "sigma:storm", "live", "it was the drill of Tuesday"));
  record({finding("storm", "and one", now(), 3, "critical")});
  EXPECT_EQ(rule("sigma:storm").state, "live");
  EXPECT_EQ(rule("sigma:storm").by_whom, owner.who());
  const auto noted =
      state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM audit WHERE action LIKE 'rule.%'"); });
  ASSERT_TRUE(noted) << to_string(noted.error());
  EXPECT_EQ(*noted, 2);
}

TEST_F(BookTest, TheQueueOfAShiftHasTwentyPlacesAndTheWorstComeFirst) {
  for (int n = 0; n < 25; ++n) record({finding("m" + std::to_string(n), "kari", now(), 1, "medium")});
  auto all = list();
  EXPECT_EQ(all.queue, 20);
  EXPECT_EQ(all.over_budget, 5);
  Found block = finding("", "ola", now(), 2, "");
  block.finding.kind = event::FindingKind::indicator;
  block.finding.indicator_kind = "domain";
  block.finding.indicator_value = "bad.example.org";
  block.finding.indicator_source = "cert";
  block.finding.action = "block";
  record({block, finding("c", "kari", now(), 3, "critical"), finding("l", "kari", now(), 4, "low")});
  all = list();
  EXPECT_EQ(all.queue, 20);
  EXPECT_EQ(all.over_budget, 8) << "nothing is gone: 28 alerts are somewhere";
  EXPECT_EQ(all.alerts[0].action, "block");
  EXPECT_EQ(all.alerts[0].place, "queue");
  EXPECT_EQ(all.alerts[1].level, "critical");
  EXPECT_EQ(all.alerts[1].place, "queue");
  const auto tasks = reader->page_tasks(owner, MunicipalityId{101});
  ASSERT_TRUE(tasks);
  EXPECT_EQ(tasks->alerts.size(), 5U);
  EXPECT_EQ(tasks->over_budget, 8);
  sim.advance(8h);
  record({finding("next", "kari", now(), 5, "low")});
  EXPECT_EQ(list().queue, 21) << "the next shift has its own places";
}

TEST_F(BookTest, ACountingRuleHasABoundedListAndAnUnboundedCount) {
  budget.counted_rows = 10;
  load({{"sigma:a", "a", "low"}});
  for (int n = 0; n < 30; ++n) record({finding("a", "user" + std::to_string(n), now(), 1, "low")});
  EXPECT_EQ(list().alerts.size(), 10U);
  day(now() / kDay);
  EXPECT_EQ(rule("sigma:a").not_listed, 20);
  EXPECT_NEAR(rule("sigma:a").findings_per_day, 30.0, 0.01);
}

TEST_F(BookTest, WhoDoesNotSeeAMunicipalityDoesNotSeeItsAlerts) {
  record({finding("a", "kari", now())});
  const std::int64_t id = list().alerts[0].id;
  const auto rights =
      static_cast<std::uint32_t>(event::Right::alert_read) | static_cast<std::uint32_t>(event::Right::alert_write);
  const event::Scope other("other", {MunicipalityId{301}}, rights, event::Tlp::red);
  const event::Scope reading("reader", {MunicipalityId{101}}, static_cast<std::uint32_t>(event::Right::alert_read),
                             event::Tlp::red);
  const event::Scope nobody("nobody", {MunicipalityId{101}}, 0, event::Tlp::red);
  EXPECT_TRUE(reader->list(other, {})->alerts.empty());
  EXPECT_EQ(reader->find(other, id).error().code, Code::not_found);
  EXPECT_EQ(reader->close(other, id, "mine").error().code, Code::not_found);
  EXPECT_TRUE(reader->find(reading, id));
  EXPECT_EQ(reader->acknowledge(reading, id, "").error().code, Code::forbidden);
  EXPECT_EQ(reader->list(nobody, {}).error().code, Code::forbidden);
}

TEST_F(BookTest, OneCallAtNightAMonthAndTheSecondIsWrittenDownAsNotMade) {
  const auto claim = [&] {
    bool may = false;
    EXPECT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(may, book().claim_night_call(tx, MunicipalityId{101}, 1));
      return {};
    }));
    return may;
  };
  EXPECT_TRUE(claim());
  EXPECT_FALSE(claim());
  sim.advance(24h * 31);
  EXPECT_TRUE(claim());
}

TEST(FindingId, DependsOnRuleAndPlaceAlone) {
  event::Finding f;
  f.rule_id = "a";
  const std::string id = finding_id(f, {1, 2, 3});
  EXPECT_EQ(id.size(), 32U);
  f.found_at = from_micros(5);
  EXPECT_EQ(finding_id(f, {1, 2, 3}), id);
  EXPECT_NE(finding_id(f, {1, 2, 4}), id);
  EXPECT_NE(finding_id(f, {1, 23, 3}), finding_id(f, {12, 3, 3}));
  f.rule_id = "b";
  EXPECT_NE(finding_id(f, {1, 2, 3}), id);
}

}  // namespace
}  // namespace bavn::alerts
