#pragma once
// The alert book, writing side: findings grouped into alerts, rules counted before they may ask for attention, places in the queue given
// by rank within the budget. Every call runs inside the caller's transaction: a finding and the cursor that says it was taken share one.
// Announces alert.opened {rule, level, place, count} and alert.updated (a place or state changed, or the count doubled).
// Life: plain value over its budget. Thread rules: calls belong to the state's writer.
#include <span>
#include <string>
#include <vector>

#include "alerts/budget.hpp"
#include "alerts/found.hpp"
#include "store/state.hpp"

namespace bavn::alerts {

struct RuleInfo {
  std::string rule;  // as rule_of()
  std::string title, level;
};

class AlertBook {
 public:
  explicit AlertBook(Budget budget) : budget_(std::move(budget)) {}
  const Budget& budget() const { return budget_; }

  Result<void> record(store::Tx& tx, std::span<const Found> found) const;
  /// Records that came in, by the day they happened on: what rates are measured over. New days let rules' rates be looked at again.
  Result<void> seen_records(store::Tx& tx, std::int64_t day, std::uint64_t records) const;
  /// What is loaded now: new rules begin as count_only (live from `live_at_once` on), those gone are marked.
  Result<void> rules_loaded(store::Tx& tx, std::span<const RuleInfo> rules) const;
  /// Rules to measure on history received before they were added.
  static Result<std::vector<std::string>> to_measure(store::Reader& db);
  struct Measured {
    std::string rule;
    std::int64_t day = 0;
    std::uint64_t findings = 0, alerts = 0;
  };
  /// What reading history again gave for rules that are new; then their rates are known as far as there is history.
  Result<void> measured(store::Tx& tx, std::span<const std::string> rules, std::span<const Measured> days) const;
  /// Count-only rules whose rate is known and fits become live; live ones that break their budget are demoted.
  Result<void> judge_rules(store::Tx& tx) const;

  /// True: the call may be made, and is written down. False: the month's budget is used up; that is written down too.
  Result<bool> claim_night_call(store::Tx& tx, MunicipalityId municipality, std::int64_t alert) const;

 private:
  Result<void> judge(store::Tx& tx, const std::string& rule) const;
  Result<void> give_place(store::Tx& tx, std::int64_t alert, int rank) const;
  Budget budget_;
};

}  // namespace bavn::alerts
