#include "warn/desk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "net/json_views.hpp"
#include "warn/desk_inner.hpp"

namespace bavn::warn {

namespace {

constexpr std::string_view kUpdate = "warn.update", kRemind = "warn.remind";
constexpr std::size_t kEntryBytes = 60U << 10U;  // the beacon's entry holds 64 KiB
constexpr std::size_t kAnswerBytes = 16U << 10U, kMostLogs = 32;
constexpr std::int64_t kMostCount = 1'000'000'000;

constexpr Setting kSettings[] = {
    {"warn.update_gap",
     Unit::seconds,
     std::int64_t{120},
     {0, 86'400},
     "Time between two versions of a warning; rotating links would otherwise be a stream of news that nobody reads.",
     Restart::yes},
    {"warn.remind_after",
     Unit::minutes,
     std::int64_t{15},
     {1, 1440},
     "A municipality whose node has not answered a warning for so long is reached by the hub's own ways; each further "
     "reminder takes four times as long.",
     Restart::yes},
    {"warn.remind_most",
     Unit::none,
     std::int64_t{3},
     {0, 10},
     "Reminders of one warning to one municipality; who did not answer the third time will not answer the tenth.",
     Restart::yes},
    {"warn.push_days",
     Unit::days,
     std::int64_t{3},
     {1, 30},
     "How long a partner's machine is tried; an older warning reaches it as history, not as news.",
     Restart::yes},
};

struct TownRow {
  std::string warning;
  MunicipalityId municipality;
  std::string name;
  std::int64_t reminders = 0;
  std::optional<std::string> answer;
  std::optional<std::int64_t> at_us, received_at_us, ended_at_us;
};
BOOST_DESCRIBE_STRUCT(TownRow, (), (warning, municipality, name, reminders, answer, at_us, received_at_us, ended_at_us))

constexpr std::string_view kTowns =
    "SELECT warning, municipality, name, reminders, answer, at_us, received_at_us, ended_at_us FROM warning_town ";
constexpr std::string_view kRows =
    "SELECT id, campaign, state, severity, tlp, version, about, published, own_words, first_seen_us, drafted_at_us, "
    "sent_at_us, published_at_us, changed_at_us FROM warning ";

bool ended(std::string_view state) {
  return state == "over" || state == "withdrawn";
}
bool out(std::string_view state) {
  return state == "sent" || state == "updated";
}

/// Would anybody do something else than before?
bool matters(const Case& before, const Case& now) {
  const auto same = [](const auto& a, const auto& b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& x, const auto& y) { return x.kind == y.kind && x.value == y.value; });
  };
  return before.severity != now.severity || before.lit_by_itself != now.lit_by_itself || before.tlp != now.tlp ||
         before.may_be_named != now.may_be_named || before.from_domain != now.from_domain ||
         before.subjects != now.subjects || before.notices != now.notices || !same(before.look_for, now.look_for) ||
         advice_for(before) != advice_for(now);
}

Result<Case> case_of(const std::string& json) {
  return net::from_json<Case>(json, net::Unknown::ignore);
}

std::optional<event::WarningAnswer> answer_of(const std::optional<std::string>& json) {
  if (!json) return std::nullopt;
  auto read = net::from_json<event::WarningAnswer>(*json, net::Unknown::ignore);
  return read ? std::optional(std::move(*read)) : std::nullopt;
}

std::optional<double> minutes(std::int64_t from_us, std::int64_t to_us) {
  if (from_us <= 0 || to_us <= 0) return std::nullopt;
  return std::round(static_cast<double>(std::max<std::int64_t>(0, to_us - from_us)) / 60e6 * 100) / 100;
}

struct TownTimes {
  std::optional<double> warned, emptied, ended;
};
/// From the first delivery in that municipality; when it never saw one, from the first anywhere.
TownTimes times_of(const TownRow& town, const std::optional<event::WarningAnswer>& a, std::int64_t first_seen_us) {
  TownTimes t;
  const std::int64_t from = a && a->first_hit_us > 0 ? a->first_hit_us : first_seen_us;
  if (a) t.warned = minutes(from, a->warned_us);
  if (a && a->purged > 0 && a->purge_left == 0) t.emptied = minutes(from, a->emptied_us);
  std::int64_t end = town.ended_at_us.value_or(0);
  if (a && a->ended_us) end = end == 0 ? *a->ended_us : std::min(end, *a->ended_us);
  t.ended = minutes(from, end);
  return t;
}

std::optional<double> median(std::vector<double> v) {
  if (v.empty()) return std::nullopt;
  std::sort(v.begin(), v.end());
  const std::size_t n = v.size();
  return n % 2 == 1 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

const event::WarningText* in_language(const std::vector<event::WarningText>& texts, Language language) {
  for (const auto& t : texts)
    if (t.language == to_string(language)) return &t;
  return nullptr;
}

/// Never kept: what is not one of the states, numbers below zero, words that are no words.
Result<event::WarningAnswer> read_answer(std::string_view body) {
  if (body.size() > kAnswerBytes)
    return fail(Code::bad_input, fmt::format("an answer of {} bytes: at most {}", body.size(), kAnswerBytes));
  BAVN_TRY(auto a, net::from_json<event::WarningAnswer>(body, net::Unknown::ignore));
  static const std::set<std::string_view> kStates{"received",    "seen_here", "not_seen",
                                                  "cannot_know", "purged",    "failed"};
  if (!kStates.contains(a.state))
    return fail(Code::bad_input, "an answer's state is not one of those there are", "/state");
  if (a.version < 1) return fail(Code::bad_input, "an answer names the version it answers", "/version");
  for (const std::int64_t n : {a.hits, a.recipients, a.clicks, a.purged, a.purge_left})
    if (n < 0 || n > kMostCount) return fail(Code::bad_input, "a count of an answer is below zero or beyond belief");
  for (const std::int64_t t : {a.first_hit_us, a.warned_us, a.emptied_us})
    if (t < 0) return fail(Code::bad_input, "a time of an answer is before 1970");
  for (auto* logs : {&a.looked_in, &a.cannot_see}) {
    if (logs->size() > kMostLogs) logs->resize(kMostLogs);
    for (auto& l : *logs) l = harmless(l, 40);
  }
  a.by = a.by == "person" ? "person" : "machine";
  return a;
}

}  // namespace

std::string new_id(Runtime& runtime, std::string_view prefix) {
  std::array<std::byte, 12> bytes{};
  runtime.random(bytes);
  return std::string(prefix) + to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::string note(std::string_view key, std::string_view value) {
  std::string json;
  JsonWriter(json).object().member(key, value).end();
  return json;
}

Result<std::string> line_of(std::string_view text, std::string_view what, std::size_t limit) {
  auto line = harmless(text, limit);
  if (line.empty()) return fail(Code::bad_input, fmt::format("{} is missing", what));
  return line;
}

event::Tlp tlp_of(std::string_view marking) {
  std::string s(marking);
  std::replace(s.begin(), s.end(), '_', '+');
  return event::parse_tlp(s).value_or(event::Tlp::red);
}

Phase phase_of(std::string_view state) {
  if (state == "updated") return Phase::updated;
  if (state == "over") return Phase::over;
  if (state == "withdrawn") return Phase::withdrawn;
  return Phase::sent;
}

Result<event::WarningEntry> entry_of(const Catalogue& texts, const Desk::Inner::Row& row, const Case& about,
                                     std::string_view state, Instant now,
                                     const std::vector<event::WarningText>& own_words) {
  event::WarningEntry e;
  e.id = row.id;
  e.campaign = about.campaign;
  e.version = row.version;
  e.state = state;
  e.severity = about.severity;
  e.tlp = about.tlp;
  e.first_seen_us = about.first_seen_us;
  e.sent_us = micros(now);
  if (about.may_be_named) e.from_domain = about.from_domain;
  e.look_for = about.look_for;
  e.notices = about.notices;
  e.texts = texts_of(texts, about, phase_of(state));
  if (!ended(state))
    for (auto& t : e.texts)
      for (const auto& own : own_words)
        if (own.language == t.language) t = own;
  e.municipalities = about.municipalities;
  e.mails = about.mails;
  e.lit_by_itself = about.lit_by_itself;
  while (net::to_json(e).size() > kEntryBytes) {
    if (e.look_for.empty()) return fail(Code::bad_input, "the texts are too long for one warning: shorten them");
    e.look_for.resize(e.look_for.size() * 3 / 4);
  }
  return e;
}

std::span<const Setting> desk_settings() {
  return kSettings;
}

std::vector<store::RetentionRule> desk_retention() {
  std::vector<store::RetentionRule> rules;
  const std::string old =
      "(SELECT id FROM warning WHERE changed_at_us < :before AND state NOT IN ('sent', 'updated') LIMIT 1000)";
  rules.push_back(
      {"warning", 1100, "a case is compared with those of the three years before, as the yearly report does",
       [old](store::Tx& tx, Instant before) -> Result<std::int64_t> {
         for (const char* table : {"warning_town", "warning_version", "warning_reminder"})
           BAVN_CHECK(tx.exec("DELETE FROM " + std::string(table) + " WHERE warning IN " + old, {{"before", before}}));
         return tx.exec("DELETE FROM warning WHERE id IN " + old, {{"before", before}});
       }});
  rules.push_back({"exposure", 400, "who ran what is asked anew after a year",
                   [](store::Tx& tx, Instant before) -> Result<std::int64_t> {
                     const std::string gone =
                         "(SELECT id FROM exposure_question WHERE asked_at_us < :before LIMIT 1000)";
                     BAVN_CHECK(tx.exec("DELETE FROM exposure_answer WHERE question IN " + gone, {{"before", before}}));
                     return tx.exec("DELETE FROM exposure_question WHERE id IN " + gone, {{"before", before}});
                   }});
  rules.push_back(store::retention_rule(
      "warning_push", 90, "what partners took, and what not, is asked about within a quarter",
      "DELETE FROM warning_push WHERE id IN (SELECT id FROM warning_push WHERE made_at_us < :before LIMIT 10000)"));
  return rules;
}

Desk::Inner::Inner(DeskParts p)
    : parts(std::move(p)), own(Settings::defaults(kSettings)), runtime(parts.runtime), state(parts.state) {}

Desk::Desk(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
Desk::~Desk() = default;

Result<std::unique_ptr<Desk>> Desk::open(DeskParts parts) {
  if (!parts.down || !parts.roster) return fail(Code::bad_input, "a warning desk needs a way down and a roster");
  auto inner = std::make_unique<Inner>(std::move(parts));
  Inner* i = inner.get();
  i->state.on_timer_tx(std::string(kUpdate), [i](store::Tx& tx, const store::Timer& t) -> Result<void> {
    auto row = i->row_of(tx, t.subject);
    if (!row || !out(row->state)) return {};
    return i->settle(tx, *row, "bavn");
  });
  i->state.on_timer_tx(std::string(kRemind), [i](store::Tx& tx, const store::Timer& t) { return i->remind(tx, t); });
  if (i->parts.client != nullptr) {
    i->queue = i->runtime.queue({.name = "warn_push", .threads = 1, .limit = 10'000});
    i->state.on_job_async(
        "warn.push", i->queue, [i](const store::Job& job, store::Done done) { i->deliver(job, std::move(done)); },
        100'000, 8);
  }
  return std::unique_ptr<Desk>(new Desk(std::move(inner)));
}

Result<Desk::Inner::Row> Desk::Inner::row_of(store::Reader& db, std::string_view id) const {
  BAVN_TRY(auto row, db.one<Row>(std::string(kRows) + "WHERE id = :id", {{"id", id}}));
  if (!row) return fail(Code::not_found, fmt::format("there is no warning {}", harmless(id, 60)));
  return std::move(*row);
}

Result<std::optional<std::string>> Desk::of_campaign(store::Reader& db, std::string_view campaign) const {
  return db.one<std::string>("SELECT id FROM warning WHERE campaign = :c AND state IN ('draft', 'sent', 'updated')",
                             {{"c", campaign}});
}

Result<std::string> Desk::draft(store::Tx& tx, const Case& c, std::string_view who) {
  BAVN_TRY(const Checked ok, checked(c));
  BAVN_TRY(const auto there, of_campaign(tx, ok.c.campaign));
  if (there)
    return fail(Code::conflict, fmt::format("campaign {} has the warning {}: update that", ok.c.campaign, *there));
  const std::string id = new_id(inner_->runtime, "w-");
  BAVN_CHECK(tx.exec(
      "INSERT INTO warning (id, campaign, state, severity, tlp, version, about, own_words, first_seen_us, "
      "drafted_at_us, changed_at_us) VALUES (:id, :campaign, 'draft', :severity, :tlp, 0, :about, '[]', :first, :now, "
      ":now)",
      {{"id", id},
       {"campaign", ok.c.campaign},
       {"severity", ok.c.severity},
       {"tlp", ok.c.tlp},
       {"about", net::to_json(ok.c)},
       {"first", ok.c.first_seen_us},
       {"now", tx.now()}}));
  if (ok.left_out > 0) log::warn("warning_left_out", {{"warning", id}, {"observables", ok.left_out}});
  BAVN_CHECK(tx.audit({std::string(who), "warning.drafted", "warning:" + id, note("campaign", ok.c.campaign)}));
  BAVN_CHECK(tx.emit("warning.drafted", id, note("campaign", ok.c.campaign)));
  return id;
}

Result<void> Desk::Inner::publish(store::Tx& tx, Row& row, std::string_view to_state, std::string_view who,
                                  std::string_view why) {
  BAVN_TRY(const Case about, case_of(row.about));
  BAVN_TRY(const auto own_words, net::from_json<std::vector<event::WarningText>>(row.own_words, net::Unknown::ignore));
  row.version += 1;
  row.state = to_state;
  BAVN_TRY(const auto entry, entry_of(parts.texts, row, about, to_state, tx.now(), own_words));
  const std::string json = net::to_json(entry);
  BAVN_CHECK(tx.exec(
      "UPDATE warning SET state = :state, version = :v, published = about, sent_at_us = coalesce(sent_at_us, :now), "
      "published_at_us = :now, changed_at_us = :now WHERE id = :id",
      {{"state", to_state}, {"v", row.version}, {"now", tx.now()}, {"id", row.id}}));
  BAVN_CHECK(tx.exec(
      "INSERT INTO warning_version (warning, version, at_us, state, made_by, why, entry) VALUES (:w, :v, :now, :state, "
      ":who, :why, :entry)",
      {{"w", row.id},
       {"v", row.version},
       {"now", tx.now()},
       {"state", to_state},
       {"who", who},
       {"why", why},
       {"entry", json}}));
  // Who is asked: everybody who has a node when it goes out; later versions ask those who came meanwhile.
  BAVN_TRY(const auto roster, parts.roster(tx));
  for (const auto& l : roster) {
    if (!about.to.empty() && !std::binary_search(about.to.begin(), about.to.end(), l.id)) continue;
    BAVN_CHECK(tx.exec(
        "INSERT INTO warning_town (warning, municipality, name, asked_at_us) VALUES (:w, :m, :name, :now) ON CONFLICT "
        "(warning, municipality) DO NOTHING",
        {{"w", row.id}, {"m", l.id}, {"name", harmless(l.name, 80)}, {"now", tx.now()}}));
  }
  if (about.to.empty()) {
    BAVN_CHECK(parts.down(tx, std::nullopt, "warning", json));
  } else {
    for (const MunicipalityId m : about.to) BAVN_CHECK(parts.down(tx, m, "warning", json));
  }
  if (parts.client != nullptr && about.to.empty()) BAVN_CHECK(push(tx, row, about, to_state));
  if (ended(to_state)) {
    BAVN_CHECK(tx.clear_timer(kRemind, row.id));
    BAVN_CHECK(tx.clear_timer(kUpdate, row.id));
  } else if (row.version == 1 && settings().integer("warn.remind_most") > 0) {
    BAVN_CHECK(tx.set_timer(tx.now() + settings().duration("warn.remind_after"), kRemind, row.id));
  }
  const std::string kind = "warning." + std::string(to_state);
  std::string detail;
  JsonWriter(detail).object().member("campaign", row.campaign).member("version", row.version).member("why", why).end();
  BAVN_CHECK(tx.audit({std::string(who), kind, "warning:" + row.id, detail}));
  return tx.emit(kind, row.id, detail);
}

Result<void> Desk::send(store::Tx& tx, std::string_view id, std::string_view who) {
  BAVN_TRY(auto row, inner_->row_of(tx, id));
  if (row.state != "draft")
    return fail(Code::conflict, fmt::format("the warning {} is {}: only a draft can be sent", row.id, row.state));
  return inner_->publish(tx, row, "sent", who, "");
}

Result<void> Desk::Inner::settle(store::Tx& tx, Row& row, std::string_view who) {
  BAVN_TRY(const Case now, case_of(row.about));
  BAVN_TRY(const Case before, case_of(row.published.value_or(row.about)));
  if (!matters(before, now)) return {};
  const Instant earliest = from_micros(row.published_at_us.value_or(0)) + settings().duration("warn.update_gap");
  if (tx.now() < earliest) return tx.set_timer(earliest, kUpdate, row.id);
  BAVN_CHECK(tx.clear_timer(kUpdate, row.id));
  return publish(tx, row, "updated", who, "");
}

Result<void> Desk::update(store::Tx& tx, std::string_view id, const Case& c, std::string_view who) {
  BAVN_TRY(auto row, inner_->row_of(tx, id));
  if (ended(row.state))
    return fail(Code::conflict, fmt::format("the warning {} is {}: draft a new one", row.id, row.state));
  BAVN_TRY(Checked ok, checked(c));
  if (ok.c.campaign != row.campaign)
    return fail(Code::bad_input, fmt::format("the warning {} is of campaign {}", row.id, row.campaign), "campaign");
  BAVN_TRY(const Case before, case_of(row.about));
  // Whom a warning went to, and that a person confirmed it, is not taken back by an update.
  if (out(row.state)) ok.c.to = before.to;
  if (!before.lit_by_itself) ok.c.lit_by_itself = false;
  // The first delivery only moves back, as earlier mail is found.
  if (before.first_seen_us > 0 && (ok.c.first_seen_us == 0 || ok.c.first_seen_us > before.first_seen_us))
    ok.c.first_seen_us = before.first_seen_us;
  if (ok.c.subjects.empty()) ok.c.subjects = before.subjects;  // chosen by a person; the machine knows none
  const std::string about = net::to_json(ok.c);
  if (about == row.about) return {};
  row.about = about;
  row.severity = ok.c.severity;
  row.tlp = ok.c.tlp;
  BAVN_CHECK(tx.exec(
      "UPDATE warning SET about = :about, severity = :severity, tlp = :tlp, first_seen_us = :first, changed_at_us = "
      ":now WHERE id = :id",
      {{"about", about},
       {"severity", row.severity},
       {"tlp", row.tlp},
       {"first", ok.c.first_seen_us},
       {"now", tx.now()},
       {"id", row.id}}));
  if (who != "bavn") BAVN_CHECK(tx.audit({std::string(who), "warning.changed", "warning:" + row.id, "{}"}));
  return out(row.state) ? inner_->settle(tx, row, who) : Result<void>{};
}

Result<void> Desk::Inner::end(store::Tx& tx, std::string_view id, std::string_view to_state, std::string_view who,
                              std::string_view why) {
  BAVN_TRY(auto row, row_of(tx, id));
  BAVN_TRY(const auto reason, line_of(why, "the reason"));
  if (ended(row.state)) return fail(Code::conflict, fmt::format("the warning {} is {} already", row.id, row.state));
  if (row.state == "draft") {
    if (to_state == "over")
      return fail(Code::conflict, fmt::format("the warning {} was never sent: withdraw the draft", row.id));
    BAVN_CHECK(tx.exec("UPDATE warning SET state = 'withdrawn', changed_at_us = :now WHERE id = :id",
                       {{"now", tx.now()}, {"id", row.id}}));
    BAVN_CHECK(tx.audit({std::string(who), "warning.withdrawn", "warning:" + row.id, note("why", reason)}));
    return tx.emit("warning.withdrawn", row.id, note("why", reason));
  }
  return publish(tx, row, to_state, who, reason);
}

Result<void> Desk::over(store::Tx& tx, std::string_view id, std::string_view who, std::string_view why) {
  return inner_->end(tx, id, "over", who, why);
}

Result<void> Desk::withdraw(store::Tx& tx, std::string_view id, std::string_view who, std::string_view why) {
  return inner_->end(tx, id, "withdrawn", who, why);
}

Result<void> Desk::set_text(store::Tx& tx, std::string_view id, const event::WarningText& text, std::string_view who) {
  BAVN_TRY(auto row, inner_->row_of(tx, id));
  if (ended(row.state)) return fail(Code::conflict, fmt::format("the warning {} is {}", row.id, row.state));
  const auto language = language_of(text.language);
  if (!language) return fail(Code::bad_input, "a text is in da, nb or en", "language");
  if (text.do_now.size() != text.reasons.size())
    return fail(Code::bad_input, "every advice has its reason: as many reasons as lines of advice", "reasons");
  event::WarningText t;
  t.language = to_string(*language);
  BAVN_TRY(t.title, line_of(text.title, "the title", 150));
  t.summary = harmless_lines(text.summary, 2000);
  t.for_employees = harmless_lines(text.for_employees, 2000);
  t.sms = harmless(text.sms, 157);
  if (t.summary.empty() || t.for_employees.empty() || t.sms.empty())
    return fail(Code::bad_input, "a text has a summary, a text for all employees and an SMS");
  for (std::size_t i = 0; i < std::min<std::size_t>(text.do_now.size(), 15); ++i) {
    t.do_now.push_back(harmless(text.do_now[i], 300));
    t.reasons.push_back(harmless(text.reasons[i], 300));
  }
  BAVN_TRY(auto own, net::from_json<std::vector<event::WarningText>>(row.own_words, net::Unknown::ignore));
  std::erase_if(own, [&](const auto& o) { return o.language == t.language; });
  own.push_back(std::move(t));
  row.own_words = net::to_json(own);
  BAVN_TRY(const Case about, case_of(row.about));
  BAVN_CHECK(entry_of(inner_->parts.texts, row, about, row.state, tx.now(), own));  // does it fit?
  BAVN_CHECK(tx.exec("UPDATE warning SET own_words = :own, changed_at_us = :now WHERE id = :id",
                     {{"own", row.own_words}, {"now", tx.now()}, {"id", row.id}}));
  BAVN_CHECK(tx.audit({std::string(who), "warning.text", "warning:" + row.id, note("language", to_string(*language))}));
  return out(row.state) ? inner_->publish(tx, row, "updated", who, "new words") : Result<void>{};
}

Result<std::string> Desk::light(store::Tx& tx, const Case& c, std::string_view who) {
  BAVN_TRY(const auto there, of_campaign(tx, c.campaign));
  if (!there) {
    BAVN_TRY(const auto id, draft(tx, c, who));
    BAVN_CHECK(send(tx, id, who));
    return id;
  }
  BAVN_CHECK(update(tx, *there, c, who));
  BAVN_TRY(const auto row, inner_->row_of(tx, *there));
  if (row.state == "draft") BAVN_CHECK(send(tx, *there, who));
  return *there;
}

Result<void> Desk::keep_up(store::Tx& tx, const Case& c, std::string_view who) {
  BAVN_TRY(const auto there, of_campaign(tx, c.campaign));
  return there ? update(tx, *there, c, who) : Result<void>{};
}

// ---- answers and reminders ------------------------------------------------------------------------------------------------------------

Result<void> Desk::take_answer(store::Tx& tx, const Report& r) {
  BAVN_TRY(const auto answer, read_answer(r.body));
  const auto row = inner_->row_of(tx, answer.warning);
  if (!row) return fail(Code::bad_input, "an answer to a warning that is not there");
  if (answer.version > row->version)
    return fail(Code::bad_input,
                fmt::format("an answer to version {} of {}, which has {}", answer.version, row->id, row->version));
  BAVN_TRY(const auto town, tx.one<TownRow>(std::string(kTowns) + "WHERE warning = :w AND municipality = :m",
                                            {{"w", row->id}, {"m", r.municipality}}));
  if (!town) {
    BAVN_TRY(const Case about, case_of(row->about));
    if (!about.to.empty()) return fail(Code::forbidden, "an answer to a warning that did not go there");
    BAVN_CHECK(
        tx.exec("INSERT INTO warning_town (warning, municipality, name, asked_at_us) VALUES (:w, :m, :name, :now)",
                {{"w", row->id},
                 {"m", r.municipality},
                 {"name", fmt::format("{:04}", r.municipality.value)},
                 {"now", tx.now()}}));
  }
  const std::string json = net::to_json(answer);
  if (town && town->answer) {
    if (micros(r.at) < town->at_us.value_or(0)) return {};  // an older word that came later
    const auto before = answer_of(town->answer);
    if (before && before->version > answer.version) return {};
    if (*town->answer == json) return {};
  }
  BAVN_CHECK(tx.exec(
      "UPDATE warning_town SET answer = :answer, at_us = :at, received_at_us = :received WHERE warning = :w AND "
      "municipality = :m",
      {{"answer", json}, {"at", r.at}, {"received", r.received}, {"w", row->id}, {"m", r.municipality}}));
  std::string detail;
  JsonWriter(detail).object().member("state", answer.state).member("hits", answer.hits).end();
  return tx.emit("warning.answered", row->id, detail, r.municipality);
}

Result<void> Desk::note_ended(store::Tx& tx, std::string_view id, MunicipalityId municipality, Instant at,
                              std::string_view who) {
  BAVN_TRY(
      const auto changed,
      tx.exec("UPDATE warning_town SET ended_at_us = :at WHERE warning = :w AND municipality = :m AND (ended_at_us "
              "IS NULL OR ended_at_us > :at)",
              {{"at", at}, {"w", id}, {"m", municipality}}));
  if (changed == 0) {
    BAVN_TRY(const auto there, tx.number("SELECT count(*) FROM warning_town WHERE warning = :w AND municipality = :m",
                                         {{"w", id}, {"m", municipality}}));
    return there > 0 ? Result<void>{}
                     : fail(Code::not_found,
                            fmt::format("{} did not go to municipality {:04}", harmless(id, 60), municipality.value));
  }
  return tx.audit({std::string(who), "warning.sessions_ended", "warning:" + std::string(id),
                   fmt::format("{{\"municipality\":{}}}", municipality.value)});
}

Result<void> Desk::mark_taken(store::Tx& tx, MunicipalityId municipality, bool taken, std::string_view who) {
  BAVN_TRY(const auto changed,
           taken ? tx.exec("INSERT INTO warning_taken (municipality, since_us, said_by) VALUES (:m, :now, :who) ON "
                           "CONFLICT (municipality) DO NOTHING",
                           {{"m", municipality}, {"now", tx.now()}, {"who", who}})
                 : tx.exec("DELETE FROM warning_taken WHERE municipality = :m", {{"m", municipality}}));
  if (changed == 0) return {};
  return tx.audit({std::string(who), taken ? "municipality.taken" : "municipality.ours_again",
                   fmt::format("municipality:{}", municipality.value), "{}"});
}

Result<void> Desk::Inner::remind(store::Tx& tx, const store::Timer& timer) {
  auto row = row_of(tx, timer.subject);
  if (!row || !out(row->state)) return {};
  BAVN_TRY(const auto silent,
           tx.all<TownRow>(std::string(kTowns) + "WHERE warning = :w AND answer IS NULL AND given_up = 0 ORDER BY "
                                                 "municipality",
                           {{"w", row->id}}));
  const std::int64_t most = settings().integer("warn.remind_most");
  std::optional<event::WarningEntry> entry;
  std::int64_t rounds = 0;
  bool more = false;
  for (const auto& town : silent) {
    if (town.reminders >= most) {
      BAVN_CHECK(tx.exec("UPDATE warning_town SET given_up = 1 WHERE warning = :w AND municipality = :m",
                         {{"w", row->id}, {"m", town.municipality}}));
      BAVN_CHECK(tx.emit("warning.unanswered", row->id, fmt::format("{{\"municipality\":{}}}", town.municipality.value),
                         town.municipality));
      continue;
    }
    if (!entry) {
      BAVN_TRY(const auto last,
               tx.one<std::string>("SELECT entry FROM warning_version WHERE warning = :w AND version = :v",
                                   {{"w", row->id}, {"v", row->version}}));
      if (!last) return {};
      BAVN_TRY(entry, net::from_json<event::WarningEntry>(*last, net::Unknown::ignore));
    }
    BAVN_TRY(const auto taken,
             tx.number("SELECT count(*) FROM warning_taken WHERE municipality = :m", {{"m", town.municipality}}));
    std::size_t sent = 0;
    if (parts.remind) {
      const auto reached =
          parts.remind(tx, {row->id, town.municipality, town.reminders + 1, row->severity, taken > 0, entry->texts});
      if (reached) sent = *reached;
      else log::warn("warning_not_reminded", {{"warning", row->id}, {"reason", reached.error().what}});
    }
    BAVN_CHECK(tx.exec("UPDATE warning_town SET reminders = reminders + 1 WHERE warning = :w AND municipality = :m",
                       {{"w", row->id}, {"m", town.municipality}}));
    BAVN_CHECK(tx.exec(
        "INSERT OR REPLACE INTO warning_reminder (warning, municipality, nth, at_us, messages) VALUES (:w, :m, :n, "
        ":now, :sent)",
        {{"w", row->id},
         {"m", town.municipality},
         {"n", town.reminders + 1},
         {"now", tx.now()},
         {"sent", static_cast<std::int64_t>(sent)}}));
    BAVN_CHECK(tx.audit({"bavn", "warning.reminded", "warning:" + row->id,
                         fmt::format("{{\"municipality\":{},\"messages\":{}}}", town.municipality.value, sent)}));
    rounds = std::max(rounds, town.reminders + 1);
    more = true;
  }
  if (!more) return {};
  return tx.set_timer(tx.now() + settings().duration("warn.remind_after") *
                                     static_cast<int>(std::pow(4, std::min<std::int64_t>(rounds, 6))),
                      kRemind, row->id);
}

// ---- reading --------------------------------------------------------------------------------------------------------------------------

namespace {

struct Counted {
  std::int64_t asked = 0, answered = 0, seen_here = 0;
};
Counted counted(const std::vector<TownRow>& towns) {
  Counted n;
  for (const auto& t : towns) {
    ++n.asked;
    const auto a = answer_of(t.answer);
    if (!a) continue;
    ++n.answered;
    if (a->hits > 0) ++n.seen_here;
  }
  return n;
}

Result<WarningRow> view_of(store::Reader& db, const Desk::Inner::Row& row, const std::vector<TownRow>& towns,
                           const Catalogue& texts, Language language) {
  (void)db;
  BAVN_TRY(const Case about, case_of(row.about));
  WarningRow v;
  v.id = row.id;
  v.campaign = row.campaign;
  v.state = row.state;
  v.severity = row.severity;
  v.tlp = row.tlp;
  v.version = row.version;
  v.first_seen_us = row.first_seen_us;
  v.drafted_us = row.drafted_at_us;
  v.sent_us = row.sent_at_us.value_or(0);
  v.changed_us = row.changed_at_us;
  v.lit_by_itself = about.lit_by_itself;
  const auto made = texts_of(texts, about, phase_of(row.state));
  if (const auto* t = in_language(made, language)) v.title = t->title;
  BAVN_TRY(const auto own, net::from_json<std::vector<event::WarningText>>(row.own_words, net::Unknown::ignore));
  if (const auto* t = in_language(own, language); t != nullptr && !ended(row.state)) v.title = t->title;
  const Counted n = counted(towns);
  v.asked = n.asked;
  v.answered = n.answered;
  v.seen_here = n.seen_here;
  return v;
}

Result<std::vector<TownRow>> towns_of(store::Reader& db, std::string_view warning) {
  return db.all<TownRow>(std::string(kTowns) + "WHERE warning = :w ORDER BY municipality", {{"w", warning}});
}

/// A draft has asked nobody yet: whom it would ask if it went out now.
Result<void> fill_draft(store::Reader& db, const DeskParts& parts, const Desk::Inner::Row& row, WarningRow& v) {
  if (row.state != "draft") return {};
  BAVN_TRY(const Case about, case_of(row.about));
  BAVN_TRY(const auto roster, parts.roster(db));
  v.asked = std::ranges::count_if(roster, [&](const Listener& l) {
    return about.to.empty() || std::ranges::find(about.to, l.id) != about.to.end();
  });
  return {};
}

CaseMinutes minutes_of(const Desk::Inner::Row& row, const std::vector<TownRow>& towns) {
  CaseMinutes m;
  const std::int64_t from = row.first_seen_us;
  m.drafted = minutes(from, row.drafted_at_us);
  m.sent = minutes(from, row.sent_at_us.value_or(0));
  std::int64_t first = 0, last = 0, emptied = 0, end = 0;
  bool all_warned = !towns.empty(), all_empty = true;
  for (const auto& t : towns) {
    const auto a = answer_of(t.answer);
    if (a && a->warned_us > 0) {
      first = first == 0 ? a->warned_us : std::min(first, a->warned_us);
      last = std::max(last, a->warned_us);
    } else {
      all_warned = false;
    }
    if (a && (a->hits > 0 || a->purged > 0 || a->purge_left > 0)) {
      if (a->purged == 0 || a->purge_left > 0 || a->emptied_us == 0) all_empty = false;
      emptied = std::max(emptied, a->emptied_us);
    }
    end = std::max(end, t.ended_at_us.value_or(0));
    if (a && a->ended_us) end = std::max(end, *a->ended_us);
  }
  m.first_warned = minutes(from, first);
  if (all_warned) m.all_warned = minutes(from, last);
  if (all_empty) m.emptied = minutes(from, emptied);
  m.ended = minutes(from, end);
  return m;
}

bool may_see(const event::Scope& scope, const Desk::Inner::Row& row) {
  return tlp_of(row.tlp) <= scope.ceiling();
}

}  // namespace

Result<std::vector<WarningRow>> Desk::list(const event::Scope& scope, Language language, std::int64_t limit) const {
  return list(scope, language, WarningFilter{.state = {}, .limit = limit});
}

Result<std::vector<WarningRow>> Desk::list(const event::Scope& scope, Language language,
                                           const WarningFilter& filter) const {
  return inner_->state.read([&](store::Reader& db) -> Result<std::vector<WarningRow>> {
    BAVN_TRY(const auto rows,
             db.all<Inner::Row>(std::string(kRows) +
                                    "WHERE (:state = '' OR state = :state) AND (:before = 0 OR changed_at_us < :before "
                                    "OR (changed_at_us = :before AND id > :after)) ORDER BY changed_at_us DESC, id "
                                    "LIMIT :n",
                                {{"state", filter.state},
                                 {"before", filter.before_us},
                                 {"after", filter.after_id},
                                 {"n", std::clamp<std::int64_t>(filter.limit, 1, 10'000)}}));
    std::vector<WarningRow> views;
    for (const auto& row : rows) {
      if (!may_see(scope, row)) continue;
      BAVN_TRY(const auto towns, towns_of(db, row.id));
      BAVN_TRY(auto view, view_of(db, row, towns, inner_->parts.texts, language));
      BAVN_CHECK(fill_draft(db, inner_->parts, row, view));
      views.push_back(std::move(view));
    }
    return views;
  });
}

Result<WarningView> Desk::show(const event::Scope& scope, std::string_view id, Language titled) const {
  return inner_->state.read([&](store::Reader& db) -> Result<WarningView> {
    BAVN_TRY(const auto row, inner_->row_of(db, id));
    if (!may_see(scope, row)) return fail(Code::not_found, fmt::format("there is no warning {}", harmless(id, 60)));
    BAVN_TRY(const auto towns, towns_of(db, row.id));
    WarningView v;
    BAVN_TRY(v.warning, view_of(db, row, towns, inner_->parts.texts, titled));
    BAVN_CHECK(fill_draft(db, inner_->parts, row, v.warning));
    BAVN_TRY(const auto words, net::from_json<std::vector<event::WarningText>>(row.own_words, net::Unknown::ignore));
    for (const auto& t : words) v.own_words.push_back(t.language);
    for (const auto& t : towns) {
      const auto a = answer_of(t.answer);
      ++v.by_answer[a ? a->state : "silent"];
    }
    BAVN_TRY(v.about, case_of(row.about));
    if (row.version > 0) {
      BAVN_TRY(const auto last,
               db.one<std::string>("SELECT entry FROM warning_version WHERE warning = :w AND version = :v",
                                   {{"w", row.id}, {"v", row.version}}));
      BAVN_TRY(auto entry, net::from_json<event::WarningEntry>(last.value_or(""), net::Unknown::ignore));
      v.texts = std::move(entry.texts);
    } else {
      BAVN_TRY(const auto own, net::from_json<std::vector<event::WarningText>>(row.own_words, net::Unknown::ignore));
      BAVN_TRY(auto entry, entry_of(inner_->parts.texts, row, v.about, row.state, inner_->runtime.now(), own));
      v.texts = std::move(entry.texts);
    }
    v.minutes = minutes_of(row, towns);
    BAVN_TRY(v.versions,
             db.all<VersionRow>("SELECT version, at_us, state, made_by AS by, why FROM warning_version WHERE "
                                "warning = :w ORDER BY version",
                                {{"w", row.id}}));
    for (const auto& t : towns) {
      if (!scope.sees(t.municipality)) continue;
      AnswerView a;
      a.municipality = t.municipality;
      a.name = t.name;
      a.received_us = t.received_at_us.value_or(0);
      a.reminders = t.reminders;
      a.answer = answer_of(t.answer);
      const auto times = times_of(t, a.answer, row.first_seen_us);
      a.minutes_to_warned = times.warned;
      a.minutes_to_emptied = times.emptied;
      a.minutes_to_ended = times.ended;
      v.answers.push_back(std::move(a));
    }
    return v;
  });
}

Result<std::vector<QuarterSummary>> Desk::summary(const event::Scope& scope, int year, int quarter) const {
  if (year < 2000 || year > 9999 || quarter < 1 || quarter > 4)
    return fail(Code::bad_input, "a quarter is a year and 1 to 4: 2024-4");
  const auto first_day = [](int y, int q) {
    return Instant{std::chrono::days{days_from_civil(y + (q - 1) / 4, static_cast<unsigned>((q - 1) % 4 * 3 + 1), 1)}};
  };
  const Instant from = first_day(year, quarter), to = first_day(year, quarter + 1);
  return inner_->state.read([&](store::Reader& db) -> Result<std::vector<QuarterSummary>> {
    struct Sums {
      QuarterSummary s;
      std::vector<double> warned, emptied, ended;
    };
    std::map<MunicipalityId, Sums> by_town;
    BAVN_TRY(
        const auto rows,
        db.all<Inner::Row>(std::string(kRows) + "WHERE sent_at_us >= :from AND sent_at_us < :to ORDER BY sent_at_us",
                           {{"from", from}, {"to", to}}));
    for (const auto& row : rows) {
      if (!may_see(scope, row)) continue;
      BAVN_TRY(const auto towns, towns_of(db, row.id));
      for (const auto& t : towns) {
        if (!scope.sees(t.municipality)) continue;
        Sums& sums = by_town[t.municipality];
        QuarterSummary& s = sums.s;
        s.municipality = t.municipality;
        s.name = t.name;
        ++s.warnings;
        const auto a = answer_of(t.answer);
        const auto times = times_of(t, a, row.first_seen_us);
        if (times.warned) sums.warned.push_back(*times.warned);
        if (times.emptied) sums.emptied.push_back(*times.emptied);
        if (times.ended) sums.ended.push_back(*times.ended);
        if (!a) continue;
        ++s.answered;
        if (a->by == "person") ++s.by_person;
        if (a->hits > 0) ++s.concerned;
        s.hits += a->hits;
        s.clicks += a->clicks;
        s.purged += a->purged;
        s.purge_left += a->purge_left;
      }
    }
    std::vector<QuarterSummary> out;
    for (auto& [id, sums] : by_town) {
      sums.s.median_minutes_to_warned = median(std::move(sums.warned));
      sums.s.median_minutes_to_emptied = median(std::move(sums.emptied));
      sums.s.median_minutes_to_ended = median(std::move(sums.ended));
      out.push_back(std::move(sums.s));
    }
    return out;
  });
}

Result<Desk::Next> Desk::next(const event::Scope& scope, std::string_view id) const {
  return inner_->state.read([&](store::Reader& db) -> Result<Next> {
    BAVN_TRY(auto row, inner_->row_of(db, id));
    if (!may_see(scope, row)) return fail(Code::not_found, fmt::format("there is no warning {}", harmless(id, 60)));
    BAVN_TRY(const Case about, case_of(row.about));
    BAVN_TRY(const auto own, net::from_json<std::vector<event::WarningText>>(row.own_words, net::Unknown::ignore));
    Next next;
    if (!ended(row.state)) row.version += 1;
    BAVN_TRY(next.entry,
             entry_of(inner_->parts.texts, row, about, row.version > 1 && out(row.state) ? "updated" : row.state,
                      inner_->runtime.now(), own));
    next.bytes = net::to_json(next.entry).size();
    BAVN_TRY(const auto roster, inner_->parts.roster(db));
    for (const auto& l : roster)
      next.reaches += about.to.empty() || std::binary_search(about.to.begin(), about.to.end(), l.id) ? 1 : 0;
    return next;
  });
}

Result<std::vector<WarningSum>> Desk::sums_of(store::Reader& db, std::string_view campaign) const {
  BAVN_TRY(const auto rows,
           db.all<Inner::Row>(std::string(kRows) + "WHERE campaign = :c ORDER BY drafted_at_us DESC, id LIMIT 100",
                              {{"c", campaign}}));
  std::vector<WarningSum> sums;
  for (const auto& row : rows) {
    BAVN_TRY(const auto towns, towns_of(db, row.id));
    WarningSum s;
    s.id = row.id;
    s.state = row.state;
    s.version = row.version;
    const Counted n = counted(towns);
    s.asked = n.asked;
    s.answered = n.answered;
    s.seen_here = n.seen_here;
    bool all_warned = !towns.empty(), all_empty = true;
    for (const auto& t : towns) {
      const auto a = answer_of(t.answer);
      s.ended_us = std::max(s.ended_us, t.ended_at_us.value_or(0));
      if (!a || a->warned_us == 0) all_warned = false;
      if (!a) continue;
      s.clicks += a->clicks;
      s.purged += a->purged;
      s.purge_left += a->purge_left;
      if (a->warned_us > 0)
        s.first_warned_us = s.first_warned_us == 0 ? a->warned_us : std::min(s.first_warned_us, a->warned_us);
      s.all_warned_us = std::max(s.all_warned_us, a->warned_us);
      if (a->hits > 0 || a->purged > 0 || a->purge_left > 0) {
        if (a->purged == 0 || a->purge_left > 0 || a->emptied_us == 0) all_empty = false;
        s.emptied_us = std::max(s.emptied_us, a->emptied_us);
      }
      if (a->ended_us) s.ended_us = std::max(s.ended_us, *a->ended_us);
    }
    if (!all_warned) s.all_warned_us = 0;
    if (!all_empty) s.emptied_us = 0;
    sums.push_back(std::move(s));
  }
  return sums;
}

Result<std::vector<ReminderRow>> Desk::reminders(const event::Scope& scope, std::string_view id) const {
  BAVN_TRY(auto rows, inner_->state.read([&](store::Reader& db) {
    return db.all<ReminderRow>(
        "SELECT municipality, nth, at_us, messages FROM warning_reminder WHERE warning = :w ORDER BY at_us, "
        "municipality LIMIT 1000",
        {{"w", id}});
  }));
  std::erase_if(rows, [&](const ReminderRow& r) { return !scope.sees(r.municipality); });
  return rows;
}

Result<Case> Desk::about(store::Reader& db, std::string_view id) const {
  BAVN_TRY(const auto row, inner_->row_of(db, id));
  return case_of(row.about);
}

Result<bool> Desk::taken(store::Reader& db, MunicipalityId municipality) const {
  BAVN_TRY(const auto n,
           db.number("SELECT count(*) FROM warning_taken WHERE municipality = :m", {{"m", municipality}}));
  return n > 0;
}

}  // namespace bavn::warn
