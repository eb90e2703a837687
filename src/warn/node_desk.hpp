#pragma once
// Warnings at a node: each is taken once, looked for in the own history at once and again when late logs have come in, answered with what can be
// known here and no more, and told to the people of the municipality.
// State of an answer: "received" until the first look is done; then "seen_here" (hits n of what this node can see), "not_seen" (in the logs named
// in looked_in), "cannot_know" (no log here could show it), "purged" (copies were emptied, none is left), "failed" (the look failed, with trouble).
// Outbox: "warning.taken", "warning.seen_here", "warning.acknowledged", "exposure.open", (subject "<id>/<municipality>").
// Life: open before State::start(), gone after State::stop(). Thread rules: any thread; changes inside the caller's Tx.
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/catalogue.hpp"
#include "base/ids.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "event/notices.hpp"
#include "event/scope.hpp"
#include "event/tlp.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"
#include "warn/case.hpp"

namespace bavn::warn {

struct HuntAsk {
  std::string warning;
  MunicipalityId municipality;
  std::vector<event::NamedObservable> look_for;  // canonical
  Instant from, to;                              // when it happened
};
/// looked_in: kinds of logs here that could show one of these. cannot_see: kinds that could and are missing here.
struct HuntFound {
  std::int64_t hits = 0, recipients = 0, clicks = 0;
  std::optional<Instant> first_hit;
  std::vector<std::string> looked_in, cannot_see;
};
/// Asynchronous; `then` once, from any thread, never after the desk is gone (end hunts first).
using Hunt = std::function<void(HuntAsk, std::move_only_function<void(Result<HuntFound>)> then)>;

/// What people of the municipality are to be told, in all languages; the app picks a person's own and their ways. See app/warning_delivery.hpp.
struct Delivery {
  std::string about;  // "warning:<id>": proofs are found by it
  MunicipalityId municipality;
  std::string severity;
  bool urgent = false;  // by every way, to the duty contact; else by mail and webhook alone
  bool taken = false;   // details only by ways outside the municipality's own mail; that mail says only `call_only`
  struct Words {
    std::string language, subject, body, sms, call_only_subject, call_only;
  };
  std::vector<Words> words;  // da, nb, en
  Instant until;             // pointless afterwards
};
/// How many messages are on their way; 0: nobody could be told, which the answer shows as warned_us = 0.
using Deliver = std::function<Result<std::size_t>(store::Tx&, const Delivery&)>;
using Tell =
    std::function<Result<void>(store::Tx&, std::string_view kind, std::string_view json, MunicipalityId, event::Tlp)>;

struct NodeDeskParts {
  Runtime& runtime;
  store::State& state;
  const Catalogue& texts;
  std::vector<MunicipalityId> municipalities;
  Hunt hunt;
  Deliver deliver;
  Tell tell;
  const Settings* settings =
      nullptr;  // of node_desk_settings(), or of a table that holds them; null: defaults. Must outlive the desk
};
std::span<const Setting> node_desk_settings();
std::vector<store::RetentionRule> node_desk_retention();

struct WarningHere {
  std::string id;
  MunicipalityId municipality;
  event::WarningEntry entry;
  event::WarningAnswer answer;
  std::int64_t taken_us = 0, next_look_us = 0, looks = 0;  // next_look: 0: none
  std::string seen_by;                                     // the person who said so; empty: nobody yet
  std::int64_t seen_us = 0, messages = 0, reminders = 0;
  std::string trouble;  // of the last look
};
BOOST_DESCRIBE_STRUCT(WarningHere, (),
                      (id, municipality, entry, answer, taken_us, next_look_us, looks, seen_by, seen_us, messages,
                       reminders, trouble))

struct QuestionHere {
  event::ExposureAsk ask;
  MunicipalityId municipality;
  std::string state, by;  // state: empty: not answered; by: who, or "rule: <text>"
  std::int64_t systems = 0, answered_us = 0;
};
BOOST_DESCRIBE_STRUCT(QuestionHere, (), (ask, municipality, state, by, systems, answered_us))

/// What this municipality says of a product beforehand: answers questions by itself while it is fresh.
struct ExposureRule {
  std::int64_t id = 0;
  MunicipalityId municipality;
  std::string product, state, by;  // state: have, have_mended, do_not_have
  std::int64_t systems = 0, checked_us = 0;
};
BOOST_DESCRIBE_STRUCT(ExposureRule, (), (id, municipality, product, state, by, systems, checked_us))

class NodeDesk {
 public:
  static Result<std::unique_ptr<NodeDesk>> open(NodeDeskParts parts);
  ~NodeDesk();

  // From the hub. to: the stream's municipality; empty: every one of this node's. The same or an older version changes nothing.
  Result<void> take(store::Tx& tx, std::string_view payload, std::optional<MunicipalityId> to);  // "warning"
  Result<void> take_question(store::Tx& tx, std::string_view payload,
                             std::optional<MunicipalityId> to);  // "exposure_ask"

  // From the app.
  /// The first message about it was delivered to a person here.
  Result<void> told(store::Tx& tx, std::string_view id, MunicipalityId municipality, Instant at);
  /// Totals so far for a sender notice, counted by the purge; may come before the warning. emptied: when the last copy was gone.
  Result<void> purged(store::Tx& tx, std::string_view notice, MunicipalityId municipality, std::int64_t purged,
                      std::int64_t left, std::optional<Instant> emptied);
  /// A block list that held the warning's entries was fetched; an entry was seen to block, or a person says so.
  Result<void> list_fetched(store::Tx& tx, std::string_view campaign, Instant at);
  Result<void> block_confirmed(store::Tx& tx, std::string_view campaign, MunicipalityId municipality, Instant at);
  Result<void> sessions_ended(store::Tx& tx, std::string_view id, MunicipalityId municipality, Instant at);
  /// This municipality's own accounts are in others' hands: details go outside its mail from now on.
  Result<void> mark_taken(store::Tx& tx, MunicipalityId municipality, bool taken, std::string_view who,
                          std::string_view why);
  /// Looks again now (a new source came, late logs).
  Result<void> look_again(store::Tx& tx, std::string_view id, MunicipalityId municipality);

  // From people.
  Result<void> acknowledge(store::Tx& tx, std::string_view id, MunicipalityId municipality, std::string_view who);
  Result<void> answer_question(store::Tx& tx, std::string_view id, MunicipalityId municipality, std::string_view state,
                               std::int64_t systems, std::string_view who);
  Result<std::int64_t> add_rule(store::Tx& tx, const ExposureRule& rule, std::string_view who);
  Result<void> remove_rule(store::Tx& tx, std::int64_t id, std::string_view who);

  // Reading.
  Result<std::vector<WarningHere>> list(const event::Scope& scope, std::int64_t limit = 100) const;
  Result<WarningHere> show(const event::Scope& scope, std::string_view id, MunicipalityId municipality) const;
  Result<bool> taken(store::Reader& db, MunicipalityId municipality) const;
  Result<std::vector<QuestionHere>> questions(const event::Scope& scope) const;
  Result<std::vector<ExposureRule>> rules(const event::Scope& scope) const;

  struct Inner;

 private:
  explicit NodeDesk(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

/// What can be said at most, of what was found: the one place that decides the state of an answer.
struct Known {
  bool looked = false, failed = false;
  HuntFound found;
  std::int64_t purged = 0, purge_left = 0;
};
std::string state_of(const Known& known);

}  // namespace bavn::warn
