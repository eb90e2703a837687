#pragma once
// What came of a run: the figures that scenarios set limits to, the same by attack, by trigger and by log, and how they are printed.
// Life: values. Thread rules: any thread.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/simulate/scenario.hpp"

namespace bavn::app::simulate {

/// What one trigger did: takeover, sender_notice, burst, digest, suspicion, warning.
struct TriggerOutcome {
  std::int64_t about_real = 0, about_harmless = 0;  // notices, candidates, suspicions, warnings
  std::int64_t attacks_found = 0;                   // real attacks it found
  std::optional<double> first_minutes;              // from the first mail of the first real attack it found
};

/// What one log told first.
struct SourceOutcome {
  std::int64_t notices = 0;                           // that rest on it
  std::int64_t towns = 0;                             // that have it
  std::string late;                                   // as the scenario says
  std::optional<double> first_minutes, late_minutes;  // late: how late the log was when it counted, median
};

struct AttackOutcome {
  std::string name;
  bool real = true;
  std::string wanted, got;  // outcome: warned, suspected, noticed, silent
  bool as_wanted = true;
  std::string trigger;  // what lit the warning
  std::optional<double> minutes_to_notice, minutes_to_message_ids, minutes_to_suspicion, minutes_to_warning;
  std::int64_t mails = 0, delivered = 0, outside = 0, delivered_before_warning = 0;
  std::int64_t clicks = 0, clicks_before_warning = 0, would_click = 0, accounts_taken = 0, reports = 0;
  std::int64_t removed_by_machine = 0, removed_by_people = 0, left = 0;
  double clicks_share = 1;  // of all mails: how many are opened in time to click, had everybody been a clicker
  double share_model = 1;   // the same from the curve alone: what the model of field research predicts for these times
};

/// `--purge-again`: put back, and moved out a second time.
struct PurgedAgain {
  std::int64_t undone = 0, there = 0, redone = 0, left = 0;
  std::string trouble;
};

/// One municipality's mails of one notice. In mailboxes: counted there, not as the purge says.
struct PurgeOutcome {
  std::string town, code, notice, sender, state, why;
  std::int64_t delivered = 0;  // of attacks, from that sender, to mailboxes here
  std::int64_t found = 0, removed = 0, gone = 0,
               left = 0;  // by the own trace; gone: people were faster; left in mailboxes
  std::optional<PurgedAgain> again;
};

struct Met {
  Expectation expectation;
  std::optional<double> got;
  bool met = false;
};

struct Outcome {
  std::string scenario, about, note;  // note: what of the product was not in this run; empty: everything
  std::uint64_t seed = 0;
  std::int64_t municipalities = 0;
  double simulated_hours = 0, quiet_hours = 0, wall_seconds = 0, cpu_seconds = 0, megabytes = 0;
  std::map<std::string, double, std::less<>> figures;  // those that exist
  std::vector<AttackOutcome> attacks;
  std::map<std::string, TriggerOutcome, std::less<>> by_trigger;
  std::map<std::string, SourceOutcome, std::less<>> by_source;
  std::map<std::string, std::int64_t, std::less<>> candidates_by_cause, refused;
  std::vector<std::string> false_warnings;  // what each was about
  std::map<std::string, std::uint64_t, std::less<>> mail_outs;
  std::uint64_t facts = 0, benign_mails = 0, odd_events = 0;
  std::int64_t real_attacks = 0;
  std::vector<PurgeOutcome> purges;
  std::vector<Met> expectations;
  std::optional<RealCase> real_case;
  bool as_expected = true;

  void set(std::string_view figure, double value) { figures[std::string(figure)] = value; }
  std::optional<double> get(std::string_view figure) const {
    const auto found = figures.find(figure);
    return found == figures.end() ? std::nullopt : std::optional(found->second);
  }
};

/// Compares with what the scenario expects; sets expectations and as_expected.
void judge(Outcome& outcome, const Scenario& scenario);

std::string report_text(const Outcome& outcome, const Scenario& scenario);
/// One JSON object on one line.
std::string report_json(const Outcome& outcome, const Scenario& scenario);

/// Wilson's interval at 95 % for `good` of `all`.
struct Interval {
  double low = 0, share = 0, high = 1;
};
Interval wilson(std::int64_t good, std::int64_t all);
/// Precision and recall of each trigger over many runs.
std::string table_of(const std::vector<Outcome>& runs, bool json);

}  // namespace bavn::app::simulate
