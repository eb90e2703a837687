#include "alerts/budget.hpp"

namespace bavn::alerts {

namespace {

constexpr Setting kSettings[] = {
    {"alerts.queue_per_shift",
     Unit::none,
     std::int64_t{20},
     {1, 1000},
     "Alerts that may take a place in the queue in a shift of 8 hours; what a person can look at with care.",
     Restart::yes},
    {"alerts.page_tasks",
     Unit::none,
     std::int64_t{5},
     {1, 100},
     "Alerts shown as tasks on a municipality's page; more would not be done.",
     Restart::yes},
    {"alerts.night_calls_per_month",
     Unit::none,
     std::int64_t{1},
     {0, 31},
     "Calls at night a municipality and month; who is woken for nothing twice does not answer the third time.",
     Restart::yes},
    {"alerts.rule_per_day",
     Unit::none,
     std::int64_t{3},
     {1, 1000},
     "Alerts a day that a rule may give on average to be live; twenty such rules fill the queue.",
     Restart::yes},
    {"alerts.rule_burst",
     Unit::none,
     std::int64_t{15},
     {1, 10000},
     "Alerts that a live rule may give on one day before it only counts; one attack on many is below it.",
     Restart::yes},
    {"alerts.days_to_know",
     Unit::days,
     std::int64_t{7},
     {1, 90},
     "Days of records before a rule's rate is known; a week has every kind of day.",
     Restart::yes},
    {"alerts.window",
     Unit::hours,
     std::int64_t{24},
     {1, 720},
     "Findings of one rule and concern further apart than this are two alerts.",
     Restart::yes},
    {"alerts.examples", Unit::none, std::int64_t{10}, {1, 100}, "Findings kept by place for each alert.", Restart::yes},
    {"alerts.counted_rows",
     Unit::none,
     std::int64_t{200},
     {0, 100000},
     "Alerts a day that are listed of a rule that only counts; the rest is a number.",
     Restart::yes},
    {"alerts.live_at_once",
     Unit::none,
     std::string_view("critical"),
     {0, 20},
     "Rules of this level and above need not be counted first: critical, high, medium, low, informational, or none.",
     Restart::yes},
};

}  // namespace

std::span<const Setting> settings() {
  return kSettings;
}

Budget Budget::from(const Settings& s) {
  Budget b;
  b.queue_per_shift = s.integer("alerts.queue_per_shift");
  b.page_tasks = s.integer("alerts.page_tasks");
  b.night_calls_per_month = s.integer("alerts.night_calls_per_month");
  b.rule_per_day = s.integer("alerts.rule_per_day");
  b.rule_burst = s.integer("alerts.rule_burst");
  b.days_to_know = s.integer("alerts.days_to_know");
  b.window_hours = s.integer("alerts.window");
  b.examples = s.integer("alerts.examples");
  b.counted_rows = s.integer("alerts.counted_rows");
  b.live_at_once = s.text("alerts.live_at_once");
  return b;
}

}  // namespace bavn::alerts
