#pragma once
// The alarm budget (mission 2.6) and the lives of rules, as settings with their reasons.
#include <cstdint>
#include <span>
#include <string>

#include "base/settings.hpp"

namespace bavn::alerts {

std::span<const Setting> settings();

struct Budget {
  std::int64_t queue_per_shift = 20;
  std::int64_t page_tasks = 5;
  std::int64_t night_calls_per_month = 1;
  std::int64_t rule_per_day = 3;          // alerts of one rule and day, on average, to be live
  std::int64_t rule_burst = 15;           // of one rule on one day, before it is demoted
  std::int64_t days_to_know = 7;          // days of records before a rate is known
  std::int64_t window_hours = 24;         // findings further apart are two alerts
  std::int64_t examples = 10;             // kept for each alert
  std::int64_t counted_rows = 200;        // alerts that a rule may have in a day while it only counts
  std::string live_at_once = "critical";  // rules of this level and above need not be counted first
  static Budget from(const Settings& settings);
};

}  // namespace bavn::alerts
