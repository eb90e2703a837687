#pragma once
// What the hub makes of reports: sender notices go on to their receivers at once, things that belong together become campaigns, campaigns
// become candidates, suspicions, or are lit without a person when a trigger is live and nothing brakes. Everything within the caller's Tx.
//   candidate   shown to no one (in a pilot: to the analyst), counted by cause
//   suspicion   signs from two of four groups (identity, payload, harm, intelligence); `waiting` when the shift's places are taken
//   lit         only a sender notice or a member's burst, plus payload or harm; or a person's confirm()
// Outbox (subject = campaign id as text): candidate.opened, suspicion.opened, suspicion.waits, campaign.opened (it left the candidates),
// campaign.updated, campaign.lit (again when it was over and more mails come), campaign.over, campaign.false, campaign.merged {into};
// call.wanted {municipality, reason, about, campaign, night} and call.withheld (subject = municipality). trigger.changed {mode, why} (subject
// = trigger). docs/correlating.md.
// Triggers begin in Options::first_mode, "shadow" unless set: what they would have lit is written down and shown to the analyst, not sent.
// replayed() makes a trigger live. Simulations that replay the past set first_mode to "live".
// Life: after State, Members; before State::start(); gone after State::stop(). Thread rules: take() and what has a Tx inside units;
// counts from any thread.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "correlate/group.hpp"
#include "correlate/members.hpp"
#include "correlate/options.hpp"
#include "correlate/report.hpp"

namespace bavn::correlate {

/// Is this revealed thing a trusted indicator? kind: url, domain, sha256. The name of the list, or empty. Called inside the Tx: be quick.
using Intelligence = std::function<std::string(store::Tx& tx, std::string_view kind, std::string_view value)>;

class Correlator {
 public:
  /// members and metrics outlive it. digests: what takes "digest" and "revealed"; without it they are refused.
  static Result<std::unique_ptr<Correlator>> open(Runtime& runtime, store::State& state, const Members& members,
                                                  Down down, Options options, Metrics& metrics,
                                                  Digests* digests = nullptr, Intelligence known = {});
  ~Correlator();

  /// sender_notice, takeover, burst, harm, digest, revealed. bad_input and forbidden refuse the report for good, with the reason: it is
  /// counted (refusals()). A report taken twice has its effect once.
  static bool takes(std::string_view kind);
  Result<void> take(store::Tx& tx, const Report& report);

  // What people decide. who: for the record.
  /// real or not: not real withdraws Message-IDs, puts out what was lit, and counts against its trigger and against who reported.
  Result<void> judge(store::Tx& tx, std::int64_t campaign, bool real, std::string_view who, std::string_view why = {});
  /// Lit by a person, whatever the mode.
  Result<void> confirm(store::Tx& tx, std::int64_t campaign, std::string_view who);
  /// A municipality says of a notice (its id as in SenderIds): yes, it is an attack. A second sign. yes = false is taken from the sender's
  /// municipality only, and means that nothing is lit without a person.
  Result<void> answer(store::Tx& tx, std::string_view notice, MunicipalityId of, bool yes, std::string_view who);
  /// A person says that both are one attack. The id that is left: of the one that was lit first, else the older one.
  Result<std::int64_t> merge(store::Tx& tx, std::int64_t campaign, std::int64_t other, std::string_view who,
                             std::string_view why);
  /// Over: nothing more comes.
  Result<void> close(store::Tx& tx, std::int64_t campaign, std::string_view who);
  /// trigger: sender_notice, burst. mode: shadow, live, confirm.
  Result<void> set_mode(store::Tx& tx, std::string_view trigger, std::string_view mode, std::string_view who,
                        std::string_view why);
  /// What a replay of the past found. Makes a trigger in shadow live when it was long and wide enough and nothing was false; else conflict.
  Result<void> replayed(store::Tx& tx, std::string_view trigger, std::int64_t days, std::int64_t municipalities,
                        std::int64_t false_warnings, std::string_view who);
  /// After a false notice a municipality's word alone lights nothing until somebody says so.
  Result<void> trust(store::Tx& tx, MunicipalityId of, std::string_view who, std::string_view why);

  /// Few are connected (Options::pilot_below): candidates are shown to the analyst (campaigns() of state candidate), and to nobody else.
  bool is_pilot() const;

  /// Refused since the start, by "kind/reason". Kept in the table corr_refused too.
  std::map<std::string, std::uint64_t> refusals() const;

  struct Inner;

 private:
  explicit Correlator(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::correlate
