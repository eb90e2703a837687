#pragma once
// Warnings at the hub: draft -> sent -> updated -> over, or withdrawn. Each change that nodes must know is a version, published once in the
// caller's transaction. Answers come back, reminders go out until there is one, minutes are counted; partners' machines hear by webhook.
// Who may know what: the sender's domain only when that member agreed; hits and clicks of a municipality are for the hub's own people.
// Outbox: "warning.drafted", "warning.sent", "warning.updated", "warning.over", "warning.withdrawn", "warning.answered",
// "warning.unanswered" (after the last reminder; detail {"municipality": n}), "exposure.asked", "exposure.answered" (subject = id).
// Life: open before State::start(), gone after State::stop(). Thread rules: any thread; changes inside the caller's Tx.
#include <functional>
#include <map>
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
#include "net/client.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"
#include "warn/case.hpp"

namespace bavn::warn {

/// What a node reported; the same members as beacon::Report.
struct Report {
  std::string node, id, kind;
  MunicipalityId municipality{};
  Instant at, received;  // the node's clock, ours
  std::string_view body;
};

/// To one municipality, or to all. Inside the Tx.
using Down = std::function<Result<void>(store::Tx&, std::optional<MunicipalityId> to, std::string_view kind,
                                        const std::string& json)>;

struct Listener {
  MunicipalityId id;
  std::string name;
};
/// Every member that has a node now: who is expected to answer. Called inside units.
using Roster = std::function<Result<std::vector<Listener>>(store::Reader&)>;

/// A municipality has not answered: its people are to be reached by the hub's own ways, outside its mail when `taken`.
struct Reminder {
  std::string warning;
  MunicipalityId municipality;
  std::int64_t nth = 1;  // from 1
  std::string severity;
  bool taken = false;
  std::vector<event::WarningText> texts;
};
/// How many messages are on their way; 0: there is nobody to tell. Empty function: the outbox alone says so.
using Remind = std::function<Result<std::size_t>(store::Tx&, const Reminder&)>;

struct DeskParts {
  Runtime& runtime;
  store::State& state;
  const Catalogue& texts;
  Down down;
  Roster roster;
  Remind remind{};
  net::Client* client = nullptr;  // for subscriptions; null: there are none
  const Settings* settings =
      nullptr;  // of desk_settings(), or of a table that holds them; null: defaults. Must outlive the desk
};
std::span<const Setting> desk_settings();
std::vector<store::RetentionRule> desk_retention();

/// Minutes of a case, from the first delivery; empty: not yet.
struct CaseMinutes {
  std::optional<double> drafted, sent, first_warned, all_warned, emptied, ended;
};

struct WarningRow {
  std::string id, campaign, state, severity, tlp;
  std::int64_t version = 0;
  std::int64_t first_seen_us = 0, drafted_us = 0, sent_us = 0, changed_us = 0;
  bool lit_by_itself = false;
  std::string title;                                    // in the language asked for
  std::int64_t asked = 0, answered = 0, seen_here = 0;  // municipalities
};
BOOST_DESCRIBE_STRUCT(WarningRow, (),
                      (id, campaign, state, severity, tlp, version, first_seen_us, drafted_us, sent_us, changed_us,
                       lit_by_itself, title, asked, answered, seen_here))

/// Which ones: newest change first.
struct WarningFilter {
  std::string state;           // empty: all
  std::int64_t before_us = 0;  // paging: those that changed before, or then and have a later id
  std::string after_id{};
  std::int64_t limit = 100;
};

/// What a list of campaigns says of a campaign's warning.
struct WarningSum {
  std::string id, state;
  std::int64_t version = 0, asked = 0, answered = 0, seen_here = 0, clicks = 0, purged = 0, purge_left = 0;
  std::int64_t first_warned_us = 0, all_warned_us = 0, emptied_us = 0, ended_us = 0;  // 0: not (yet)
};

struct ReminderRow {
  MunicipalityId municipality;
  std::int64_t nth = 0, at_us = 0, messages = 0;
};
BOOST_DESCRIBE_STRUCT(ReminderRow, (), (municipality, nth, at_us, messages))

struct AnswerView {
  MunicipalityId municipality;
  std::string name;
  std::int64_t received_us = 0, reminders = 0;  // received: the newest answer; 0: none
  std::optional<event::WarningAnswer> answer;
  std::optional<double> minutes_to_warned, minutes_to_emptied, minutes_to_ended;  // from the first delivery there
};
BOOST_DESCRIBE_STRUCT(AnswerView, (),
                      (municipality, name, received_us, reminders, answer, minutes_to_warned, minutes_to_emptied,
                       minutes_to_ended))
BOOST_DESCRIBE_STRUCT(CaseMinutes, (), (drafted, sent, first_warned, all_warned, emptied, ended))

struct VersionRow {
  std::int64_t version = 0, at_us = 0;
  std::string state, by, why;
};
BOOST_DESCRIBE_STRUCT(VersionRow, (), (version, at_us, state, by, why))

struct WarningView {
  WarningRow warning;
  Case about;
  std::vector<event::WarningText> texts;
  CaseMinutes minutes;
  std::vector<VersionRow> versions;
  std::vector<AnswerView> answers;     // of municipalities that the scope sees
  std::vector<std::string> own_words;  // languages whose text a person wrote
  std::map<std::string, std::int64_t>
      by_answer;  // every municipality counted once, by its answer's state; "silent": none
};
BOOST_DESCRIBE_STRUCT(WarningView, (), (warning, about, texts, minutes, versions, answers, own_words, by_answer))

/// One municipality in one quarter.
struct QuarterSummary {
  MunicipalityId municipality;
  std::string name;
  std::int64_t warnings = 0, answered = 0, by_person = 0, concerned = 0;  // concerned: it was seen there
  std::int64_t hits = 0, clicks = 0, purged = 0, purge_left = 0;
  std::optional<double> median_minutes_to_warned, median_minutes_to_emptied, median_minutes_to_ended;
};
BOOST_DESCRIBE_STRUCT(QuarterSummary, (),
                      (municipality, name, warnings, answered, by_person, concerned, hits, clicks, purged, purge_left,
                       median_minutes_to_warned, median_minutes_to_emptied, median_minutes_to_ended))

struct Subscription {
  std::int64_t id = 0;
  std::string name, url, tlp, by;  // tlp: the narrowest marking it gets
  std::int64_t made_us = 0, last_good_us = 0, waiting = 0;
  std::string trouble;  // of the last attempt; empty: it worked
  bool stopped = false;
};
BOOST_DESCRIBE_STRUCT(Subscription, (), (id, name, url, tlp, by, made_us, last_good_us, waiting, trouble, stopped))

struct Question {  // about a product that is being attacked
  std::string product, versions, cve, why, fixed_in;
  std::vector<MunicipalityId> to;  // empty: everybody
  Duration valid = std::chrono::days{7};
};
struct ExposureAnswerView {
  MunicipalityId municipality;
  std::string name, state;  // empty: no answer
  std::int64_t systems = 0, received_us = 0;
};
BOOST_DESCRIBE_STRUCT(ExposureAnswerView, (), (municipality, name, state, systems, received_us))
struct ExposureView {
  event::ExposureAsk ask;
  std::string by;
  std::int64_t asked = 0, have = 0, have_mended = 0, do_not_have = 0, do_not_know = 0, systems = 0;
  std::vector<ExposureAnswerView> answers;  // of municipalities that the scope sees
};
BOOST_DESCRIBE_STRUCT(ExposureView, (), (ask, by, asked, have, have_mended, do_not_have, do_not_know, systems, answers))

class Desk {
 public:
  static Result<std::unique_ptr<Desk>> open(DeskParts parts);
  ~Desk();

  // Life cycle. who: goes into the audit log. conflict: this step is not possible from its state.
  /// The id. conflict when the campaign has a warning that is not over.
  Result<std::string> draft(store::Tx& tx, const Case& c, std::string_view who);
  Result<void> send(store::Tx& tx, std::string_view id, std::string_view who);
  /// What is known now. A version goes out when it changes what somebody would do (what is looked for, severity, advice, confirmed); counts alone
  /// are only kept. Versions are warn.update_gap apart; what comes earlier waits for its timer.
  Result<void> update(store::Tx& tx, std::string_view id, const Case& c, std::string_view who);
  Result<void> over(store::Tx& tx, std::string_view id, std::string_view who, std::string_view why);
  Result<void> withdraw(store::Tx& tx, std::string_view id, std::string_view who, std::string_view why);
  /// A person's own words instead of the template's, in one language, from now on. The next version carries them; a sent warning gets one at once.
  Result<void> set_text(store::Tx& tx, std::string_view id, const event::WarningText& text, std::string_view who);
  /// For "campaign.lit" and "campaign.updated": drafts and sends, or updates what is there. Idempotent. The id.
  Result<std::string> light(store::Tx& tx, const Case& c, std::string_view who);
  /// "campaign.updated" before anything was lit: nothing happens when the campaign has no warning.
  Result<void> keep_up(store::Tx& tx, const Case& c, std::string_view who);
  /// Of a campaign, the one that is not over; empty: none.
  Result<std::optional<std::string>> of_campaign(store::Reader& db, std::string_view campaign) const;

  // Answers. bad_input, not_found, forbidden: refused with its reason.
  Result<void> take_answer(store::Tx& tx, const Report& report);   // "warning_answer"
  Result<void> take_exposed(store::Tx& tx, const Report& report);  // "exposed"
  /// Sessions of accounts there were ended: told by an order's outcome or by a person.
  Result<void> note_ended(store::Tx& tx, std::string_view id, MunicipalityId municipality, Instant at,
                          std::string_view who);
  /// That municipality's accounts are in others' hands: reminders go outside its mail.
  Result<void> mark_taken(store::Tx& tx, MunicipalityId municipality, bool taken, std::string_view who);

  // Reading. Answers of municipalities that the scope does not see are counted, never shown.
  Result<std::vector<WarningRow>> list(const event::Scope& scope, Language language, std::int64_t limit = 100) const;
  Result<std::vector<WarningRow>> list(const event::Scope& scope, Language language, const WarningFilter& filter) const;
  Result<WarningView> show(const event::Scope& scope, std::string_view id, Language titled = Language::en) const;
  /// The entry as it would go out now, and how many bytes it has.
  struct Next {
    event::WarningEntry entry;
    std::size_t bytes = 0, reaches = 0;
  };
  Result<Next> next(const event::Scope& scope, std::string_view id) const;
  /// Every warning that was made for a campaign, newest first. No texts are made: cheap.
  Result<std::vector<WarningSum>> sums_of(store::Reader& db, std::string_view campaign) const;
  /// Of those that the scope sees.
  Result<std::vector<ReminderRow>> reminders(const event::Scope& scope, std::string_view id) const;
  /// What it is about, as it is known now.
  Result<Case> about(store::Reader& db, std::string_view id) const;
  Result<bool> taken(store::Reader& db, MunicipalityId municipality) const;
  Result<std::vector<QuarterSummary>> summary(const event::Scope& scope, int year, int quarter) const;

  // Exposure (mission 4.6).
  Result<std::string> ask(store::Tx& tx, const Question& question, std::string_view who);
  Result<void> withdraw_question(store::Tx& tx, std::string_view id, std::string_view who);
  Result<std::vector<ExposureView>> questions(const event::Scope& scope) const;

  // Partners' machines (Standard Webhooks).
  struct NewSubscription {
    std::int64_t id = 0;
    std::string secret;  // shown once
  };
  Result<NewSubscription> subscribe(store::Tx& tx, std::string_view name, std::string_view url, std::string_view tlp,
                                    std::string_view who);
  Result<void> unsubscribe(store::Tx& tx, std::int64_t id, std::string_view who);
  Result<std::vector<Subscription>> subscriptions() const;

  struct Inner;

 private:
  explicit Desk(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::warn
