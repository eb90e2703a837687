#pragma once
// Alerts for people: lists, one alert with its examples, acknowledging and closing (audited), rules with their rates and states.
// Every call takes a Scope; what it does not see is not there (not_found), what it may not do is forbidden.
// Thread rules: any thread, but not the state's writer. Life: the State outlives it.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "alerts/budget.hpp"
#include "alerts/found.hpp"
#include "event/scope.hpp"
#include "store/state.hpp"

namespace bavn::alerts {

struct Alert {
  std::int64_t id = 0;
  std::int64_t municipality = 0, tenant = 0;
  std::string kind, rule, title, level, action, concern_kind, concern;
  std::int64_t count = 0, first_seen_us = 0, last_seen_us = 0, opened_at_us = 0, updated_at_us = 0;
  std::string state;  // open, acknowledged, closed
  std::string place;  // queue, over_budget, counted
  std::int64_t rank = 0;
  std::string state_by;
  std::int64_t state_at_us = 0;
  std::string state_why;
  std::string was;  // of a closed one, as a person said: attack, test, harmless, false; empty: nobody said
};

/// What a person wrote: a note, or the reason of a change.
struct AlertNote {
  std::int64_t at_us = 0;
  std::string by_whom, kind, text, was;  // kind: note, acknowledged, closed
};

/// The alerts of one rule together.
struct AlertGroup {
  std::string rule, title, level, kind;
  std::int64_t alerts = 0, open = 0, count = 0, first_seen_us = 0, last_seen_us = 0, rank = 0;
  std::vector<std::string> concerns;  // the newest few
};

struct Example {
  std::string finding;
  std::int64_t segment = 0, frame = 0, line = 0;
  std::int64_t line_hash = 0;
  std::string source, format;
  std::int64_t happened_at_us = 0, received_at_us = 0;
  std::string fields;  // JSON object
};

struct AlertFilter {
  std::string state, place, rule;  // empty: any
  std::optional<MunicipalityId> municipality;
  std::string least_level;                                     // this level and above
  std::string text;                                            // in title or concern, ASCII case ignored
  std::int64_t before_id = 0;                                  // paging by id, newest first; 0: by rank, from the top
  std::optional<std::pair<std::int64_t, std::int64_t>> after;  // by rank: behind this (rank, id)
  std::int64_t limit = 100;
};

struct AlertList {
  std::vector<Alert> alerts;
  std::int64_t queue = 0, over_budget = 0, counted = 0;  // open ones the scope sees, shown or not
};

struct RuleRow {
  std::string rule, title, level, state, why, by_whom;
  std::int64_t since_us = 0, added_at_us = 0, present = 0;
  std::int64_t days = 0;      // of records that the rate is over
  double alerts_per_day = 0;  // distinct concerns
  double findings_per_day = 0;
  std::int64_t not_listed = 0;
  bool rate_known = false;
};

class AlertReader {
 public:
  AlertReader(store::State& state, Budget budget) : state_(state), budget_(std::move(budget)) {}

  Result<AlertList> list(const event::Scope& scope, const AlertFilter& filter) const;
  Result<std::pair<Alert, std::vector<Example>>> find(const event::Scope& scope, std::int64_t id) const;
  /// The few things a municipality is asked to look at today; the rest is counted in `over_budget`.
  Result<AlertList> page_tasks(const event::Scope& scope, MunicipalityId municipality) const;
  Result<std::vector<RuleRow>> rules(const event::Scope& scope) const;

  /// At most 500 rules, the most urgent first.
  Result<std::vector<AlertGroup>> groups(const event::Scope& scope, const AlertFilter& filter) const;
  /// Oldest first.
  Result<std::vector<AlertNote>> notes(const event::Scope& scope, std::int64_t id) const;

  Result<void> acknowledge(const event::Scope& scope, std::int64_t id, std::string_view why);
  /// was: attack, test, harmless, false (the rule is wrong here), or empty.
  Result<void> close(const event::Scope& scope, std::int64_t id, std::string_view why, std::string_view was = {});
  Result<AlertNote> note(const event::Scope& scope, std::int64_t id, std::string_view text);
  /// A person's decision: count_only, live or demoted.
  Result<void> set_rule(const event::Scope& scope, std::string_view rule, std::string_view state, std::string_view why);

 private:
  Result<void> change(const event::Scope& scope, std::int64_t id, std::string state, std::string why, std::string was);
  store::State& state_;
  Budget budget_;
};

void append_json(std::string& out, const Alert& a);
void append_json(std::string& out, const Alert& a, const std::vector<Example>& examples);
void append_json(std::string& out, const AlertList& list);
void append_json(std::string& out, const RuleRow& r);

}  // namespace bavn::alerts
