#include "warn/node_desk.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "net/json_views.hpp"
#include "warn/desk_inner.hpp"
#include "warn/exposure.hpp"

namespace bavn::warn {

BOOST_DESCRIBE_STRUCT(HuntFound, (), (hits, recipients, clicks, first_hit, looked_in, cannot_see))

namespace {

constexpr std::string_view kLook = "warn.look", kRemind = "warn.remind_here", kAskAgain = "warn.ask_again";
constexpr std::size_t kEntryBytes = 64U << 10U;
constexpr std::size_t kMostObservables = 400;
constexpr std::array<std::string_view, 4> kSeverities{"low", "medium", "high", "critical"};

constexpr Setting kSettings[] = {
    {"warn.look_back",
     Unit::days,
     std::int64_t{14},
     {1, 400},
     "How long before the first delivery the own history is searched; in October 2024 the first click was a day "
     "earlier.",
     Restart::yes},
    {"warn.look_again",
     Unit::none,
     std::string_view{"1 6 24 72"},
     {0, 100},
     "Hours after which history is searched again, because the audit log comes up to 90 minutes late and some sources "
     "a day.",
     Restart::yes},
    {"warn.remind_here",
     Unit::minutes,
     std::int64_t{30},
     {1, 1440},
     "People here are reminded of a warning that concerns them when nobody said that it was seen; each further "
     "reminder "
     "takes four times as long.",
     Restart::yes},
    {"warn.remind_here_most",
     Unit::none,
     std::int64_t{3},
     {0, 10},
     "Reminders of one warning here; more would teach people to look away.",
     Restart::yes},
    {"warn.tell_from",
     Unit::none,
     std::string_view{"medium"},
     {3, 8},
     "Least severity at which people are told of a warning that was not seen here (low, medium, high, critical); what "
     "was seen here is always told.",
     Restart::yes},
    {"warn.urgent_from",
     Unit::none,
     std::string_view{"high"},
     {3, 8},
     "Least severity at which every way is used, SMS included, before it is known whether it concerns us; a night call "
     "a month is what the alarm budget allows.",
     Restart::yes},
    {"warn.rule_days",
     Unit::days,
     std::int64_t{180},
     {1, 1000},
     "How long a standing answer about a product holds; what was true half a year ago is asked anew.",
     Restart::yes},
};

struct Row {
  std::string warning;
  MunicipalityId municipality;
  std::string campaign;
  std::int64_t version = 0;
  std::string state, severity, entry;
  Instant taken_at_us;
  std::int64_t search = 0;
  Instant search_from_us;
  std::int64_t looks = 0;
  bool looked = false;
  std::string found, trouble;
  std::int64_t warned_at_us = 0;
  std::optional<std::int64_t> list_fetched_us, blocked_us, ended_us;
  std::string seen_by;
  std::int64_t seen_at_us = 0;
  std::string told_severity;
  bool told_hits = false;
  std::string told_end;
  std::int64_t messages = 0, reminders = 0;
  std::string answered;
};
BOOST_DESCRIBE_STRUCT(Row, (),
                      (warning, municipality, campaign, version, state, severity, entry, taken_at_us, search,
                       search_from_us, looks, looked, found, trouble, warned_at_us, list_fetched_us, blocked_us,
                       ended_us, seen_by, seen_at_us, told_severity, told_hits, told_end, messages, reminders,
                       answered))

constexpr std::string_view kRows =
    "SELECT warning, municipality, campaign, version, state, severity, entry, taken_at_us, search, search_from_us, "
    "looks, looked, found, trouble, warned_at_us, list_fetched_us, blocked_us, ended_us, seen_by, seen_at_us, "
    "told_severity, told_hits, told_end, messages, reminders, answered FROM warning_here ";

struct PurgeRow {
  std::string notice;
  std::int64_t purged = 0, purge_left = 0;
  std::optional<std::int64_t> emptied_us;
};
BOOST_DESCRIBE_STRUCT(PurgeRow, (), (notice, purged, purge_left, emptied_us))

struct AskRow {
  std::string question;
  MunicipalityId municipality;
  std::string ask;
  bool withdrawn = false;
  std::int64_t reminders = 0;
  std::string state;
  std::int64_t systems = 0;
  std::string answered_by;
  std::int64_t answered_at_us = 0;
};
BOOST_DESCRIBE_STRUCT(AskRow, (),
                      (question, municipality, ask, withdrawn, reminders, state, systems, answered_by, answered_at_us))
constexpr std::string_view kAsks =
    "SELECT question, municipality, ask, withdrawn, reminders, state, systems, answered_by, answered_at_us FROM "
    "exposure_here ";

std::string subject(std::string_view warning, MunicipalityId m) {
  return fmt::format("{}/{}", warning, m.value);
}
struct Subject {
  std::string warning;
  MunicipalityId municipality;
};
std::optional<Subject> parse_subject(std::string_view s) {
  const auto slash = s.rfind('/');
  if (slash == std::string_view::npos) return std::nullopt;
  unsigned n = 0;
  for (const char c : s.substr(slash + 1)) n = ascii_digit(c) && n < 100'000 ? n * 10 + unsigned(c - '0') : 100'000;
  if (n >= 65'536) return std::nullopt;
  return Subject{std::string(s.substr(0, slash)), {static_cast<std::uint16_t>(n)}};
}

std::size_t rank(std::string_view severity) {
  return static_cast<std::size_t>(std::find(kSeverities.begin(), kSeverities.end(), severity) - kSeverities.begin());
}

bool ended(std::string_view state) {
  return state == "over" || state == "withdrawn";
}

bool one_of(std::string_view s, std::initializer_list<std::string_view> all) {
  return std::find(all.begin(), all.end(), s) != all.end();
}

/// The hub signed it; a fault there must still not become a fault here.
Result<event::WarningEntry> read_entry(std::string_view payload) {
  if (payload.size() > kEntryBytes) return fail(Code::bad_input, "a warning of more than 64 KiB");
  BAVN_TRY(auto e, net::from_json<event::WarningEntry>(payload, net::Unknown::ignore));
  if (e.id.empty() || e.id.size() > 100 || e.campaign.size() > 100 || e.version < 1)
    return fail(Code::bad_input, "a warning without id or version");
  if (!one_of(e.state, {"sent", "updated", "over", "withdrawn"}))
    return fail(Code::bad_input, "a warning's state is sent, updated, over or withdrawn", "/state");
  if (rank(e.severity) == kSeverities.size())
    return fail(Code::bad_input, "a warning's severity is not known", "/severity");
  if (e.look_for.size() > kMostObservables)
    return fail(Code::bad_input, "a warning that looks for too much", "/look_for");
  if (e.texts.size() > 6) return fail(Code::bad_input, "a warning in too many languages", "/texts");
  for (auto& t : e.texts) {
    if (!language_of(t.language) || t.do_now.size() != t.reasons.size() || t.do_now.size() > 30)
      return fail(Code::bad_input, "a warning's text is not whole", "/texts");
    t.title = harmless(t.title, 200);
    t.summary = harmless_lines(t.summary, 4000);
    t.for_employees = harmless_lines(t.for_employees, 4000);
    t.sms = harmless(t.sms, 160);
    for (auto& line : t.do_now) line = harmless(line, 600);
    for (auto& line : t.reasons) line = harmless(line, 600);
  }
  return e;
}

const event::WarningText* text_in(const event::WarningEntry& e, Language language) {
  for (const auto& t : e.texts)
    if (language_of(t.language) == language) return &t;
  return e.texts.empty() ? nullptr : &e.texts.front();
}

}  // namespace

std::string state_of(const Known& k) {
  // What was emptied was seen, whatever the logs show.
  if (k.purged > 0 && k.purge_left == 0) return "purged";
  if (k.found.hits > 0 || k.purged > 0 || k.purge_left > 0) return "seen_here";
  if (!k.looked) return k.failed ? "failed" : "received";
  return k.found.looked_in.empty() ? "cannot_know" : "not_seen";
}

std::span<const Setting> node_desk_settings() {
  return kSettings;
}

std::vector<store::RetentionRule> node_desk_retention() {
  std::vector<store::RetentionRule> rules;
  rules.push_back({"warning_here", 400, "warnings of the year before are compared with those of this year",
                   [](store::Tx& tx, Instant before) -> Result<std::int64_t> {
                     BAVN_CHECK(
                         tx.exec("DELETE FROM warning_purge WHERE changed_at_us < :before", {{"before", before}}));
                     BAVN_CHECK(tx.exec("DELETE FROM exposure_here WHERE taken_at_us < :before", {{"before", before}}));
                     return tx.exec(
                         "DELETE FROM warning_here WHERE (warning, municipality) IN (SELECT warning, "
                         "municipality FROM warning_here WHERE taken_at_us < :before LIMIT 1000)",
                         {{"before", before}});
                   }});
  return rules;
}

struct NodeDesk::Inner {
  NodeDeskParts parts;
  Settings own = Settings::defaults(kSettings);
  QueueId queue{};
  std::vector<std::chrono::hours> again;

  explicit Inner(NodeDeskParts p) : parts(std::move(p)) {}
  const Settings& settings() const { return parts.settings != nullptr ? *parts.settings : own; }

  std::vector<MunicipalityId> meant(std::optional<MunicipalityId> to) const {
    std::vector<MunicipalityId> out;
    for (const auto m : parts.municipalities)
      if (!to || *to == m) out.push_back(m);
    return out;
  }
  Result<std::optional<Row>> row_of(store::Reader& db, std::string_view warning, MunicipalityId m) const {
    return db.one<Row>(std::string(kRows) + "WHERE warning = :w AND municipality = :m", {{"w", warning}, {"m", m}});
  }
  Result<Row> there(store::Reader& db, std::string_view warning, MunicipalityId m) const {
    BAVN_TRY(auto row, row_of(db, warning, m));
    if (!row) return fail(Code::not_found, fmt::format("there is no warning {} here", harmless(warning, 60)));
    return std::move(*row);
  }

  Result<void> take_for(store::Tx& tx, const event::WarningEntry& entry, MunicipalityId m);
  Result<void> look(store::Tx& tx, std::string_view warning, MunicipalityId m);
  Result<void> schedule(store::Tx& tx, const Row& row);
  void hunt(const store::Job& job, store::Done done);
  Result<void> hunted(store::Tx& tx, const Subject& s, std::int64_t search, const Result<HuntFound>& found);
  Result<event::WarningAnswer> answer_of(store::Reader& db, const Row& row) const;
  Result<void> answer(store::Tx& tx, const Row& row);
  Result<void> refresh(store::Tx& tx, std::string_view warning, MunicipalityId m);
  enum class Tone : std::uint8_t { news, found, again };
  Result<void> tell_people(store::Tx& tx, Row& row, Tone tone);
  Result<bool> is_taken(store::Reader& db, MunicipalityId m) const;
  Result<void> remind(store::Tx& tx, const store::Timer& timer);

  Result<void> take_question_for(store::Tx& tx, const event::ExposureAsk& ask, MunicipalityId m);
  Result<void> deliver_question(store::Tx& tx, const event::ExposureAsk& ask, MunicipalityId m);
  Result<void> answer_ask(store::Tx& tx, std::string_view question, MunicipalityId m, std::string_view state,
                          std::int64_t systems, std::string_view by);
  Result<void> ask_again(store::Tx& tx, const store::Timer& timer);
};

NodeDesk::NodeDesk(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
NodeDesk::~NodeDesk() = default;

Result<std::unique_ptr<NodeDesk>> NodeDesk::open(NodeDeskParts parts) {
  if (!parts.tell) return fail(Code::bad_input, "a node's desk for warnings needs a way up");
  auto inner = std::make_unique<Inner>(std::move(parts));
  Inner* i = inner.get();
  std::int64_t before = 0;
  for (const auto word : split(i->settings().text("warn.look_again"), ' ')) {
    if (trim(word).empty()) continue;
    std::int64_t hours = 0;
    for (const char c : trim(word)) hours = ascii_digit(c) && hours < 10'000 ? hours * 10 + (c - '0') : 100'000;
    if (hours <= before || hours > 9000 || i->again.size() == 12)
      return fail(Code::bad_input, "warn.look_again is at most 12 hours in rising order, like \"1 6 24 72\"",
                  "warn.look_again");
    i->again.emplace_back(hours);
    before = hours;
  }
  for (const auto* name : {"warn.tell_from", "warn.urgent_from"})
    if (rank(i->settings().text(name)) == kSeverities.size())
      return fail(Code::bad_input, fmt::format("{} is low, medium, high or critical", name), name);
  store::State& state = i->parts.state;
  i->queue = i->parts.runtime.queue({.name = "warn_look", .threads = 1, .limit = 10'000});
  state.on_job_async(
      std::string(kLook), i->queue, [i](const store::Job& job, store::Done done) { i->hunt(job, std::move(done)); }, 20,
      2);
  state.on_timer_tx(std::string(kLook), [i](store::Tx& tx, const store::Timer& t) -> Result<void> {
    const auto s = parse_subject(t.subject);
    return s ? i->look(tx, s->warning, s->municipality) : Result<void>{};
  });
  state.on_timer_tx(std::string(kRemind), [i](store::Tx& tx, const store::Timer& t) { return i->remind(tx, t); });
  state.on_timer_tx(std::string(kAskAgain), [i](store::Tx& tx, const store::Timer& t) { return i->ask_again(tx, t); });
  return std::unique_ptr<NodeDesk>(new NodeDesk(std::move(inner)));
}

Result<void> NodeDesk::take(store::Tx& tx, std::string_view payload, std::optional<MunicipalityId> to) {
  BAVN_TRY(const auto entry, read_entry(payload));
  for (const auto m : inner_->meant(to)) BAVN_CHECK(inner_->take_for(tx, entry, m));
  return {};
}

Result<void> NodeDesk::Inner::take_for(store::Tx& tx, const event::WarningEntry& entry, MunicipalityId m) {
  BAVN_TRY(const auto before, row_of(tx, entry.id, m));
  if (before && before->version >= entry.version) return {};  // again, or an older one that came late
  const std::string json = net::to_json(entry);
  bool new_things = !before && !entry.look_for.empty();
  if (before) {
    BAVN_TRY(const auto old, net::from_json<event::WarningEntry>(before->entry, net::Unknown::ignore));
    for (const auto& o : entry.look_for)
      new_things = new_things || std::none_of(old.look_for.begin(), old.look_for.end(),
                                              [&](const auto& p) { return p.kind == o.kind && p.value == o.value; });
  }
  BAVN_CHECK(tx.exec(
      "INSERT INTO warning_here (warning, municipality, campaign, version, state, severity, entry, taken_at_us) VALUES "
      "(:w, :m, :c, :v, :state, :severity, :entry, :now) ON CONFLICT (warning, municipality) DO UPDATE SET version = "
      "excluded.version, state = excluded.state, severity = excluded.severity, entry = excluded.entry",
      {{"w", entry.id},
       {"m", m},
       {"c", entry.campaign},
       {"v", entry.version},
       {"state", entry.state},
       {"severity", entry.severity},
       {"entry", json},
       {"now", tx.now()}}));
  const std::string name = subject(entry.id, m);
  BAVN_CHECK(tx.audit({"hub", "warning.taken", "warning:" + name,
                       fmt::format("{{\"version\":{},\"state\":\"{}\"}}", entry.version, entry.state)}));
  BAVN_CHECK(tx.emit("warning.taken", name,
                     fmt::format("{{\"version\":{},\"state\":\"{}\"}}", entry.version, entry.state), m));
  BAVN_TRY(auto row, there(tx, entry.id, m));
  if (ended(entry.state)) {
    BAVN_CHECK(tx.clear_timer(kRemind, name));
    if (entry.state == "withdrawn") BAVN_CHECK(tx.clear_timer(kLook, name));
  } else if (new_things) {
    // What is new is searched for from the start again: now, and when late logs have come in.
    BAVN_CHECK(tx.exec(
        "UPDATE warning_here SET search = search + 1, search_from_us = :now WHERE warning = :w AND municipality = :m",
        {{"now", tx.now()}, {"w", entry.id}, {"m", m}}));
    BAVN_CHECK(look(tx, entry.id, m));
  } else if (!before) {
    // Nothing that a log could show: said so at once.
    BAVN_CHECK(tx.exec("UPDATE warning_here SET looked = 1, found = :found WHERE warning = :w AND municipality = :m",
                       {{"found", net::to_json(HuntFound{})}, {"w", entry.id}, {"m", m}}));
    BAVN_TRY(row, there(tx, entry.id, m));
  }
  const bool of_us = row.told_hits || rank(row.severity) >= rank(settings().text("warn.tell_from"));
  const bool worse = row.told_severity.empty() || rank(row.severity) > rank(row.told_severity);
  // The end is told to whoever was told the beginning; else once, and again when it gets worse.
  if (ended(row.state) ? !row.told_severity.empty() && row.told_end != row.state : of_us && worse)
    BAVN_CHECK(tell_people(tx, row, Tone::news));
  return refresh(tx, entry.id, m);
}

// ---- looking back ---------------------------------------------------------------------------------------------------------------------

Result<void> NodeDesk::Inner::look(store::Tx& tx, std::string_view warning, MunicipalityId m) {
  BAVN_TRY(const auto row, row_of(tx, warning, m));
  if (!row || row->state == "withdrawn") return {};
  std::string payload;
  JsonWriter(payload).object().member("search", row->search).end();
  return tx.add_job(kLook, subject(warning, m), payload);
}

Result<void> NodeDesk::Inner::schedule(store::Tx& tx, const Row& row) {
  if (row.state == "withdrawn") return {};
  for (const auto after : again)
    if (row.search_from_us + after > tx.now())
      return tx.set_timer(row.search_from_us + after, kLook, subject(row.warning, row.municipality));
  return {};
}

void NodeDesk::Inner::hunt(const store::Job& job, store::Done done) {
  const auto s = parse_subject(job.subject);
  if (!s) return done({});
  const auto row = parts.state.read([&](store::Reader& db) { return row_of(db, s->warning, s->municipality); });
  if (!row) return done(std::unexpected(row.error()));
  if (!*row || (*row)->state == "withdrawn") return done({});
  const auto entry = net::from_json<event::WarningEntry>((*row)->entry, net::Unknown::ignore);
  if (!entry) return done({});
  // Of a search that something new came after: the newer one is on its way.
  if (const auto payload = net::JsonDocument::parse(job.payload);
      payload && payload->root()["search"].integer().value_or(0) < (*row)->search)
    return done({});
  const auto finish = [this, s = *s, search = (*row)->search](Result<HuntFound> found, store::Done then) {
    std::optional<Error> failed;
    if (!found) failed = found.error();
    parts.state.write(
        [this, s, search, found = std::move(found)](store::Tx& tx) { return hunted(tx, s, search, found); },
        [failed, then = std::move(then)](Result<void> written) mutable {
          if (written && failed) return then(std::unexpected(std::move(*failed)));  // tried again, with growing pauses
          then(std::move(written));
        });
  };
  if (!parts.hunt) return finish(HuntFound{}, std::move(done));
  const Instant now = parts.runtime.now();
  const Instant first = entry->first_seen_us > 0 ? from_micros(entry->first_seen_us) : (*row)->taken_at_us;
  parts.hunt(
      {s->warning, s->municipality, entry->look_for, std::min(first, now) - settings().duration("warn.look_back"), now},
      [finish, done = std::move(done)](Result<HuntFound> found) mutable { finish(std::move(found), std::move(done)); });
}

Result<void> NodeDesk::Inner::hunted(store::Tx& tx, const Subject& s, std::int64_t search,
                                     const Result<HuntFound>& found) {
  BAVN_TRY(auto row, row_of(tx, s.warning, s.municipality));
  if (!row) return {};
  if (row->search != search) return {};  // something new came meanwhile: the newer search is on its way
  if (found) {
    HuntFound f = *found;
    for (std::int64_t* n : {&f.hits, &f.recipients, &f.clicks}) *n = std::clamp<std::int64_t>(*n, 0, 1'000'000'000);
    for (auto* logs : {&f.looked_in, &f.cannot_see}) {
      std::sort(logs->begin(), logs->end());
      logs->erase(std::unique(logs->begin(), logs->end()), logs->end());
      if (logs->size() > 32) logs->resize(32);
    }
    BAVN_CHECK(tx.exec(
        "UPDATE warning_here SET looks = looks + 1, looked = 1, found = :found, trouble = '' WHERE warning = :w AND "
        "municipality = :m",
        {{"found", net::to_json(f)}, {"w", s.warning}, {"m", s.municipality}}));
  } else {
    log::warn("warning_look_failed", {{"warning", s.warning}, {"reason", found.error().what}});
    BAVN_CHECK(tx.exec("UPDATE warning_here SET trouble = :why WHERE warning = :w AND municipality = :m",
                       {{"why", harmless(found.error().what, 300)}, {"w", s.warning}, {"m", s.municipality}}));
  }
  BAVN_TRY(row, row_of(tx, s.warning, s.municipality));
  BAVN_CHECK(schedule(tx, *row));
  if (found && found->hits > 0 && !row->told_hits && !ended(row->state)) {
    BAVN_CHECK(tx.emit("warning.seen_here", subject(s.warning, s.municipality),
                       fmt::format("{{\"hits\":{}}}", found->hits), s.municipality));
    BAVN_CHECK(tell_people(tx, *row, Tone::found));
  }
  return refresh(tx, s.warning, s.municipality);
}

Result<void> NodeDesk::look_again(store::Tx& tx, std::string_view id, MunicipalityId municipality) {
  BAVN_TRY(const auto row, inner_->there(tx, id, municipality));
  if (row.state == "withdrawn") return fail(Code::conflict, "this warning was withdrawn");
  return inner_->look(tx, id, municipality);
}

// ---- answers --------------------------------------------------------------------------------------------------------------------------

Result<event::WarningAnswer> NodeDesk::Inner::answer_of(store::Reader& db, const Row& row) const {
  event::WarningAnswer a;
  a.warning = row.warning;
  a.version = row.version;
  Known k;
  k.looked = row.looked;
  k.failed = !row.trouble.empty();
  if (!row.found.empty()) {
    BAVN_TRY(k.found, net::from_json<HuntFound>(row.found, net::Unknown::ignore));
  }
  BAVN_TRY(const auto entry, net::from_json<event::WarningEntry>(row.entry, net::Unknown::ignore));
  for (const auto& notice : entry.notices) {
    BAVN_TRY(const auto p, db.one<PurgeRow>("SELECT notice, purged, purge_left, emptied_us FROM warning_purge WHERE "
                                            "notice = :n AND municipality = :m",
                                            {{"n", notice}, {"m", row.municipality}}));
    if (!p) continue;
    k.purged += p->purged;
    k.purge_left += p->purge_left;
    a.emptied_us = std::max(a.emptied_us, p->emptied_us.value_or(0));
  }
  a.state = state_of(k);
  a.hits = k.found.hits;
  a.recipients = k.found.recipients;
  a.clicks = k.found.clicks;
  a.first_hit_us = k.found.first_hit ? micros(*k.found.first_hit) : 0;
  a.warned_us = row.warned_at_us;
  a.purged = k.purged;
  a.purge_left = k.purge_left;
  if (k.purge_left > 0) a.emptied_us = 0;  // not the last one yet
  a.list_fetched_us = row.list_fetched_us;
  a.blocked_us = row.blocked_us;
  a.ended_us = row.ended_us;
  a.looked_in = k.found.looked_in;
  a.cannot_see = k.found.cannot_see;
  a.by = row.seen_by.empty() ? "machine" : "person";
  return a;
}

Result<void> NodeDesk::Inner::answer(store::Tx& tx, const Row& row) {
  BAVN_TRY(const auto a, answer_of(tx, row));
  const std::string json = net::to_json(a);
  if (json == row.answered) return {};
  BAVN_CHECK(tx.exec("UPDATE warning_here SET answered = :json WHERE warning = :w AND municipality = :m",
                     {{"json", json}, {"w", row.warning}, {"m", row.municipality}}));
  return parts.tell(tx, "warning_answer", json, row.municipality, event::Tlp::amber_strict);
}

Result<void> NodeDesk::Inner::refresh(store::Tx& tx, std::string_view warning, MunicipalityId m) {
  BAVN_TRY(const auto row, row_of(tx, warning, m));
  return row ? answer(tx, *row) : Result<void>{};
}

Result<void> NodeDesk::told(store::Tx& tx, std::string_view id, MunicipalityId municipality, Instant at) {
  BAVN_TRY(const auto n, tx.exec("UPDATE warning_here SET warned_at_us = :at WHERE warning = :w AND municipality = :m "
                                 "AND (warned_at_us = 0 OR warned_at_us > :at)",
                                 {{"at", at}, {"w", id}, {"m", municipality}}));
  return n > 0 ? inner_->refresh(tx, id, municipality) : Result<void>{};
}

Result<void> NodeDesk::purged(store::Tx& tx, std::string_view notice, MunicipalityId municipality, std::int64_t purged,
                              std::int64_t left, std::optional<Instant> emptied) {
  if (purged < 0 || left < 0) return fail(Code::bad_input, "a count below zero");
  BAVN_CHECK(tx.exec(
      "INSERT INTO warning_purge (notice, municipality, purged, purge_left, emptied_us, changed_at_us) VALUES (:n, :m, "
      ":purged, :left, :emptied, :now) ON CONFLICT (notice, municipality) DO UPDATE SET purged = excluded.purged, "
      "purge_left = excluded.purge_left, emptied_us = excluded.emptied_us, changed_at_us = excluded.changed_at_us",
      {{"n", notice},
       {"m", municipality},
       {"purged", purged},
       {"left", left},
       {"emptied", emptied},
       {"now", tx.now()}}));
  BAVN_TRY(const auto rows, tx.all<Row>(std::string(kRows) + "WHERE municipality = :m AND instr(entry, :n) > 0",
                                        {{"m", municipality}, {"n", "\"" + std::string(notice) + "\""}}));
  for (const auto& row : rows) {
    BAVN_CHECK(inner_->answer(tx, row));
    // More was in the mailboxes than the history held when it was searched: the wave goes on. The same search, now.
    HuntFound found;
    if (!row.found.empty()) {
      BAVN_TRY(found, net::from_json<HuntFound>(row.found, net::Unknown::ignore));
    }
    if (row.looked && purged + left > found.hits) BAVN_CHECK(inner_->look(tx, row.warning, row.municipality));
  }
  return {};
}

Result<void> NodeDesk::list_fetched(store::Tx& tx, std::string_view campaign, Instant at) {
  BAVN_TRY(const auto rows,
           tx.all<Row>(std::string(kRows) + "WHERE campaign = :c AND list_fetched_us IS NULL", {{"c", campaign}}));
  for (const auto& row : rows) {
    BAVN_CHECK(tx.exec("UPDATE warning_here SET list_fetched_us = :at WHERE warning = :w AND municipality = :m",
                       {{"at", at}, {"w", row.warning}, {"m", row.municipality}}));
    BAVN_CHECK(inner_->refresh(tx, row.warning, row.municipality));
  }
  return {};
}

Result<void> NodeDesk::block_confirmed(store::Tx& tx, std::string_view campaign, MunicipalityId municipality,
                                       Instant at) {
  BAVN_TRY(const auto rows,
           tx.all<Row>(std::string(kRows) + "WHERE campaign = :c AND municipality = :m AND blocked_us IS NULL",
                       {{"c", campaign}, {"m", municipality}}));
  for (const auto& row : rows) {
    BAVN_CHECK(tx.exec("UPDATE warning_here SET blocked_us = :at WHERE warning = :w AND municipality = :m",
                       {{"at", at}, {"w", row.warning}, {"m", row.municipality}}));
    BAVN_CHECK(inner_->refresh(tx, row.warning, row.municipality));
  }
  return {};
}

Result<void> NodeDesk::sessions_ended(store::Tx& tx, std::string_view id, MunicipalityId municipality, Instant at) {
  BAVN_CHECK(inner_->there(tx, id, municipality));
  BAVN_CHECK(
      tx.exec("UPDATE warning_here SET ended_us = :at WHERE warning = :w AND municipality = :m AND (ended_us IS "
              "NULL OR ended_us > :at)",
              {{"at", at}, {"w", id}, {"m", municipality}}));
  return inner_->refresh(tx, id, municipality);
}

// ---- people ---------------------------------------------------------------------------------------------------------------------------

Result<bool> NodeDesk::Inner::is_taken(store::Reader& db, MunicipalityId m) const {
  BAVN_TRY(const auto n, db.number("SELECT count(*) FROM warning_taken_here WHERE municipality = :m", {{"m", m}}));
  return n > 0;
}

Result<bool> NodeDesk::taken(store::Reader& db, MunicipalityId municipality) const {
  return inner_->is_taken(db, municipality);
}

Result<void> NodeDesk::mark_taken(store::Tx& tx, MunicipalityId municipality, bool taken, std::string_view who,
                                  std::string_view why) {
  if (inner_->meant(municipality).empty())
    return fail(Code::not_found, fmt::format("municipality {:04} is not of this node", municipality.value));
  BAVN_TRY(const auto reason, line_of(why, "the reason"));
  BAVN_TRY(
      const auto changed,
      taken ? tx.exec("INSERT INTO warning_taken_here (municipality, since_us, said_by, why) VALUES (:m, :now, :who, "
                      ":why) ON CONFLICT (municipality) DO NOTHING",
                      {{"m", municipality}, {"now", tx.now()}, {"who", who}, {"why", reason}})
            : tx.exec("DELETE FROM warning_taken_here WHERE municipality = :m", {{"m", municipality}}));
  if (changed == 0) return {};
  return tx.audit({std::string(who), taken ? "municipality.taken" : "municipality.ours_again",
                   fmt::format("municipality:{}", municipality.value), note("why", reason)});
}

Result<void> NodeDesk::Inner::tell_people(store::Tx& tx, Row& row, Tone tone) {
  BAVN_TRY(const auto entry, net::from_json<event::WarningEntry>(row.entry, net::Unknown::ignore));
  BAVN_TRY(const auto a, answer_of(tx, row));
  Delivery d;
  d.about = "warning:" + row.warning;
  d.municipality = row.municipality;
  d.severity = row.severity;
  d.urgent = tone != Tone::news || rank(row.severity) >= rank(settings().text("warn.urgent_from"));
  if (ended(row.state)) d.urgent = false;
  BAVN_TRY(d.taken, is_taken(tx, row.municipality));
  d.until = tx.now() + std::chrono::hours{24};
  for (const Language language : {Language::da, Language::nb, Language::en}) {
    const auto* t = text_in(entry, language);
    if (t == nullptr) continue;
    const auto say = [&](std::string_view key, Catalogue::Values values = {}) {
      return parts.texts.say(language, "warn." + std::string(key), values);
    };
    const std::string here = answer_line(parts.texts, language, a);
    Delivery::Words w;
    w.language = to_string(language);
    w.subject = tone == Tone::found   ? say("tell.found", {{"title", t->title}})
                : tone == Tone::again ? say("tell.again", {{"title", t->title}})
                                      : t->title;
    if (tone == Tone::again) w.body = say("tell.again_text") + "\n\n";
    if (!ended(row.state)) w.body += say("tell.here", {{"answer", here}}) + "\n\n";
    w.body += printed(parts.texts, *t);
    w.sms =
        tone == Tone::news || a.hits == 0
            ? t->sms
            : say("tell.found_sms", {{"answer", say("answer.seen_here_short",
                                                    {{"mails", parts.texts.count(language, "warn.mails", a.hits)}})}});
    w.call_only_subject = say("call.subject", {{"severity", say("severity." + row.severity)}});
    w.call_only = say("call.text");
    d.words.push_back(std::move(w));
  }
  std::size_t sent = 0;
  if (parts.deliver) {
    const auto made = parts.deliver(tx, d);
    // Nobody to tell is a gap in the contact cards, not a reason to lose the warning; the answer and the page show it.
    if (made) sent = *made;
    else log::warn("warning_not_told", {{"warning", row.warning}, {"reason", made.error().what}});
  }
  row.told_severity = row.severity;
  if (tone == Tone::found || a.hits > 0) row.told_hits = true;
  if (ended(row.state)) row.told_end = row.state;
  BAVN_CHECK(tx.exec(
      "UPDATE warning_here SET told_severity = :severity, told_hits = :hits, told_end = :end, messages = messages + :n "
      "WHERE warning = :w AND municipality = :m",
      {{"severity", row.told_severity},
       {"hits", row.told_hits},
       {"end", row.told_end},
       {"n", sent},
       {"w", row.warning},
       {"m", row.municipality}}));
  BAVN_CHECK(tx.audit({"bavn", "warning.told", "warning:" + subject(row.warning, row.municipality),
                       fmt::format("{{\"messages\":{}}}", sent)}));
  // Only what concerns us is asked about again.
  if (row.told_hits && row.seen_by.empty() && !ended(row.state) && tone != Tone::again &&
      settings().integer("warn.remind_here_most") > 0)
    return tx.set_timer(tx.now() + settings().duration("warn.remind_here"), kRemind,
                        subject(row.warning, row.municipality));
  return {};
}

Result<void> NodeDesk::Inner::remind(store::Tx& tx, const store::Timer& timer) {
  const auto s = parse_subject(timer.subject);
  if (!s) return {};
  BAVN_TRY(auto row, row_of(tx, s->warning, s->municipality));
  const std::int64_t most = settings().integer("warn.remind_here_most");
  if (!row || ended(row->state) || !row->seen_by.empty() || row->reminders >= most) return {};
  BAVN_CHECK(tell_people(tx, *row, Tone::again));
  BAVN_CHECK(tx.exec("UPDATE warning_here SET reminders = reminders + 1 WHERE warning = :w AND municipality = :m",
                     {{"w", s->warning}, {"m", s->municipality}}));
  if (row->reminders + 1 >= most) return {};
  return tx.set_timer(tx.now() + settings().duration("warn.remind_here") * (row->reminders == 0 ? 4 : 16), kRemind,
                      timer.subject);
}

Result<void> NodeDesk::acknowledge(store::Tx& tx, std::string_view id, MunicipalityId municipality,
                                   std::string_view who) {
  BAVN_TRY(const auto row, inner_->there(tx, id, municipality));
  BAVN_TRY(const auto name, line_of(who, "the name", 100));
  if (!row.seen_by.empty()) return {};
  BAVN_CHECK(
      tx.exec("UPDATE warning_here SET seen_by = :who, seen_at_us = :now WHERE warning = :w AND municipality = :m",
              {{"who", name}, {"now", tx.now()}, {"w", id}, {"m", municipality}}));
  const std::string about = subject(id, municipality);
  BAVN_CHECK(tx.clear_timer(kRemind, about));
  BAVN_CHECK(tx.audit({name, "warning.acknowledged", "warning:" + about, "{}"}));
  BAVN_CHECK(tx.emit("warning.acknowledged", about, "{}", municipality));
  // Who says "seen" was told, by whatever way.
  BAVN_CHECK(
      tx.exec("UPDATE warning_here SET warned_at_us = :now WHERE warning = :w AND municipality = :m AND "
              "warned_at_us = 0",
              {{"now", tx.now()}, {"w", id}, {"m", municipality}}));
  return inner_->refresh(tx, id, municipality);
}

// ---- reading --------------------------------------------------------------------------------------------------------------------------

namespace {

Result<WarningHere> here_of(store::Reader& db, const Row& row, event::WarningAnswer answer) {
  WarningHere h;
  h.id = row.warning;
  h.municipality = row.municipality;
  BAVN_TRY(h.entry, net::from_json<event::WarningEntry>(row.entry, net::Unknown::ignore));
  h.answer = std::move(answer);
  h.taken_us = micros(row.taken_at_us);
  h.looks = row.looks;
  BAVN_TRY(const auto due, db.one<std::int64_t>("SELECT due_us FROM timer WHERE kind = :k AND subject = :s",
                                                {{"k", kLook}, {"s", subject(row.warning, row.municipality)}}));
  h.next_look_us = due.value_or(0);
  h.seen_by = row.seen_by;
  h.seen_us = row.seen_at_us;
  h.messages = row.messages;
  h.reminders = row.reminders;
  h.trouble = row.trouble;
  return h;
}

}  // namespace

Result<std::vector<WarningHere>> NodeDesk::list(const event::Scope& scope, std::int64_t limit) const {
  return inner_->parts.state.read([&](store::Reader& db) -> Result<std::vector<WarningHere>> {
    BAVN_TRY(const auto rows,
             db.all<Row>(std::string(kRows) + "ORDER BY taken_at_us DESC, warning, municipality LIMIT :n",
                         {{"n", std::clamp<std::int64_t>(limit, 1, 10'000)}}));
    std::vector<WarningHere> all;
    for (const auto& row : rows) {
      if (!scope.sees(row.municipality)) continue;
      BAVN_TRY(auto answer, inner_->answer_of(db, row));
      BAVN_TRY(auto here, here_of(db, row, std::move(answer)));
      if (tlp_of(here.entry.tlp) <= scope.ceiling()) all.push_back(std::move(here));
    }
    return all;
  });
}

Result<WarningHere> NodeDesk::show(const event::Scope& scope, std::string_view id, MunicipalityId municipality) const {
  return inner_->parts.state.read([&](store::Reader& db) -> Result<WarningHere> {
    const auto none = fail(Code::not_found, fmt::format("there is no warning {} here", harmless(id, 60)));
    BAVN_TRY(const auto row, inner_->row_of(db, id, municipality));
    if (!row || !scope.sees(municipality)) return none;
    BAVN_TRY(auto answer, inner_->answer_of(db, *row));
    BAVN_TRY(auto here, here_of(db, *row, std::move(answer)));
    if (tlp_of(here.entry.tlp) > scope.ceiling()) return none;
    return here;
  });
}

// ---- exposure -------------------------------------------------------------------------------------------------------------------------

namespace {

constexpr std::array kAskAgainAfter{std::chrono::hours{24}, std::chrono::hours{72}};

struct RuleRow {
  std::int64_t id = 0;
  std::string product, state, made_by;
  std::int64_t systems = 0;
};
BOOST_DESCRIBE_STRUCT(RuleRow, (), (id, product, state, made_by, systems))

/// "Citrix NetScaler" answers for "NetScaler ADC and Citrix NetScaler Gateway": every word of the rule stands in the question.
bool answers(std::string_view rule, std::string_view product) {
  const std::string lower = to_lower_utf8(product);
  std::size_t words = 0;
  const std::string of_rule = to_lower_utf8(rule);
  for (const auto word : split(of_rule, ' ')) {
    if (trim(word).empty()) continue;
    ++words;
    const auto at = (" " + lower + " ").find(" " + std::string(trim(word)) + " ");
    if (at == std::string::npos) return false;
  }
  return words > 0;
}

Result<event::ExposureAsk> read_ask(std::string_view payload) {
  if (payload.size() > 16U << 10U) return fail(Code::bad_input, "a question of more than 16 KiB");
  BAVN_TRY(auto ask, net::from_json<event::ExposureAsk>(payload, net::Unknown::ignore));
  if (ask.id.empty() || ask.id.size() > 100) return fail(Code::bad_input, "a question without an id", "/id");
  ask.product = harmless(ask.product, 120);
  ask.versions = harmless(ask.versions, 120);
  ask.cve = harmless(ask.cve, 60);
  ask.why = harmless_lines(ask.why, 1000);
  ask.fixed_in = harmless(ask.fixed_in, 120);
  if (ask.product.empty()) return fail(Code::bad_input, "a question about nothing", "/product");
  return ask;
}

}  // namespace

Result<void> NodeDesk::take_question(store::Tx& tx, std::string_view payload, std::optional<MunicipalityId> to) {
  BAVN_TRY(const auto ask, read_ask(payload));
  for (const auto m : inner_->meant(to)) BAVN_CHECK(inner_->take_question_for(tx, ask, m));
  return {};
}

Result<void> NodeDesk::Inner::take_question_for(store::Tx& tx, const event::ExposureAsk& ask, MunicipalityId m) {
  const std::string name = subject(ask.id, m);
  if (ask.withdrawn) {
    BAVN_CHECK(tx.clear_timer(kAskAgain, name));
    BAVN_CHECK(tx.exec("UPDATE exposure_here SET withdrawn = 1, ask = :ask WHERE question = :q AND municipality = :m",
                       {{"ask", net::to_json(ask)}, {"q", ask.id}, {"m", m}}));
    return {};
  }
  BAVN_TRY(const auto made,
           tx.exec("INSERT INTO exposure_here (question, municipality, ask, taken_at_us) VALUES (:q, :m, "
                   ":ask, :now) ON CONFLICT (question, municipality) DO NOTHING",
                   {{"q", ask.id}, {"m", m}, {"ask", net::to_json(ask)}, {"now", tx.now()}}));
  if (made == 0) return {};
  BAVN_TRY(const auto rules,
           tx.all<RuleRow>("SELECT id, product, state, made_by, systems FROM exposure_rule WHERE municipality = :m AND "
                           "checked_at_us > :since ORDER BY length(product) DESC, id",
                           {{"m", m}, {"since", tx.now() - settings().duration("warn.rule_days")}}));
  for (const auto& r : rules)
    if (answers(r.product, ask.product)) return answer_ask(tx, ask.id, m, r.state, r.systems, "rule: " + r.product);
  BAVN_CHECK(tx.emit("exposure.open", name, "{}", m));
  BAVN_CHECK(deliver_question(tx, ask, m));
  return tx.set_timer(tx.now() + kAskAgainAfter[0], kAskAgain, name);
}

Result<void> NodeDesk::Inner::deliver_question(store::Tx& tx, const event::ExposureAsk& ask, MunicipalityId m) {
  if (!parts.deliver) return {};
  Delivery d;
  d.about = "question:" + ask.id;
  d.municipality = m;
  d.severity = "medium";
  d.until = from_micros(ask.until_us);
  BAVN_TRY(d.taken, is_taken(tx, m));
  for (const Language language : {Language::da, Language::nb, Language::en}) {
    const auto say = [&](std::string_view key, Catalogue::Values values = {}) {
      return parts.texts.say(language, "warn." + std::string(key), values);
    };
    std::string why = ask.why;
    if (!ask.cve.empty()) why += (why.empty() ? "" : "\n") + ask.cve;
    why += (why.empty() ? "" : "\n") +
           (ask.fixed_in.empty() ? say("exposed.not_fixed") : say("exposed.fixed", {{"fixed", ask.fixed_in}}));
    Delivery::Words w;
    w.language = to_string(language);
    w.subject = say("exposed.subject", {{"product", ask.product}});
    w.body = say("exposed.text", {{"product", ask.product},
                                  {"versions", ask.versions},
                                  {"why", why},
                                  {"id", ask.id},
                                  {"when", day_and_time(parts.texts, language, from_micros(ask.until_us))}});
    w.sms = say("exposed.sms", {{"product", harmless(ask.product, 60)}});
    w.call_only_subject = say("call.subject", {{"severity", say("severity.medium")}});
    w.call_only = say("call.text");
    d.words.push_back(std::move(w));
  }
  if (const auto made = parts.deliver(tx, d); !made)
    log::warn("question_not_told", {{"question", ask.id}, {"reason", made.error().what}});
  return {};
}

Result<void> NodeDesk::Inner::answer_ask(store::Tx& tx, std::string_view question, MunicipalityId m,
                                         std::string_view state, std::int64_t systems, std::string_view by) {
  BAVN_CHECK(
      tx.exec("UPDATE exposure_here SET state = :state, systems = :n, answered_by = :by, answered_at_us = :now WHERE "
              "question = :q "
              "AND municipality = :m",
              {{"state", state}, {"n", systems}, {"by", by}, {"now", tx.now()}, {"q", question}, {"m", m}}));
  BAVN_CHECK(tx.clear_timer(kAskAgain, subject(question, m)));
  BAVN_CHECK(
      tx.audit({std::string(by), "exposure.answered", "question:" + subject(question, m), note("state", state)}));
  return parts.tell(tx, "exposed",
                    net::to_json(event::ExposedAnswer{std::string(question), std::string(state), systems}), m,
                    event::Tlp::amber_strict);
}

Result<void> NodeDesk::Inner::ask_again(store::Tx& tx, const store::Timer& timer) {
  const auto s = parse_subject(timer.subject);
  if (!s) return {};
  BAVN_TRY(const auto row, tx.one<AskRow>(std::string(kAsks) + "WHERE question = :q AND municipality = :m",
                                          {{"q", s->warning}, {"m", s->municipality}}));
  if (!row || row->withdrawn || !row->state.empty()) return {};
  BAVN_TRY(const auto ask, net::from_json<event::ExposureAsk>(row->ask, net::Unknown::ignore));
  if (micros(tx.now()) >= ask.until_us) return {};
  BAVN_CHECK(deliver_question(tx, ask, s->municipality));
  BAVN_CHECK(tx.exec("UPDATE exposure_here SET reminders = reminders + 1 WHERE question = :q AND municipality = :m",
                     {{"q", s->warning}, {"m", s->municipality}}));
  const auto done = static_cast<std::size_t>(row->reminders) + 1;
  return done < kAskAgainAfter.size() ? tx.set_timer(tx.now() + kAskAgainAfter[done], kAskAgain, timer.subject)
                                      : Result<void>{};
}

Result<void> NodeDesk::answer_question(store::Tx& tx, std::string_view id, MunicipalityId municipality,
                                       std::string_view state, std::int64_t systems, std::string_view who) {
  if (!exposure_state(state))
    return fail(Code::bad_input, "an answer is have, have_mended, do_not_have or do_not_know", "state");
  if (systems < 0 || systems > 1'000'000)
    return fail(Code::bad_input, "a number of systems is 0 to 1,000,000", "systems");
  BAVN_TRY(const auto row, tx.one<AskRow>(std::string(kAsks) + "WHERE question = :q AND municipality = :m",
                                          {{"q", id}, {"m", municipality}}));
  if (!row) return fail(Code::not_found, fmt::format("there is no question {} here", harmless(id, 60)));
  if (row->withdrawn) return fail(Code::conflict, "this question was withdrawn");
  return inner_->answer_ask(tx, id, municipality, state, systems, who);
}

Result<std::int64_t> NodeDesk::add_rule(store::Tx& tx, const ExposureRule& rule, std::string_view who) {
  if (inner_->meant(rule.municipality).empty())
    return fail(Code::not_found, fmt::format("municipality {:04} is not of this node", rule.municipality.value));
  BAVN_TRY(const auto product, line_of(rule.product, "the product", 120));
  if (rule.state == "do_not_know" || !exposure_state(rule.state))
    return fail(Code::bad_input, "a standing answer is have, have_mended or do_not_have", "state");
  if (rule.systems < 0 || rule.systems > 1'000'000)
    return fail(Code::bad_input, "a number of systems is 0 to 1,000,000", "systems");
  BAVN_CHECK(tx.exec(
      "INSERT INTO exposure_rule (municipality, product, state, systems, made_by, checked_at_us) VALUES (:m, :product, "
      ":state, :n, :who, :now) ON CONFLICT (municipality, product) DO UPDATE SET state = excluded.state, systems = "
      "excluded.systems, made_by = excluded.made_by, checked_at_us = excluded.checked_at_us",
      {{"m", rule.municipality},
       {"product", product},
       {"state", rule.state},
       {"n", rule.systems},
       {"who", who},
       {"now", tx.now()}}));
  BAVN_CHECK(tx.audit({std::string(who), "exposure.rule", "product:" + product, note("state", rule.state)}));
  return tx.number("SELECT id FROM exposure_rule WHERE municipality = :m AND product = :p",
                   {{"m", rule.municipality}, {"p", product}});
}

Result<void> NodeDesk::remove_rule(store::Tx& tx, std::int64_t id, std::string_view who) {
  BAVN_TRY(const auto gone, tx.exec("DELETE FROM exposure_rule WHERE id = :id", {{"id", id}}));
  if (gone == 0) return fail(Code::not_found, fmt::format("there is no standing answer {}", id));
  return tx.audit({std::string(who), "exposure.rule_removed", fmt::format("rule:{}", id), "{}"});
}

Result<std::vector<QuestionHere>> NodeDesk::questions(const event::Scope& scope) const {
  return inner_->parts.state.read([&](store::Reader& db) -> Result<std::vector<QuestionHere>> {
    BAVN_TRY(const auto rows, db.all<AskRow>(std::string(kAsks) + "ORDER BY taken_at_us DESC, question LIMIT 200"));
    std::vector<QuestionHere> all;
    for (const auto& row : rows) {
      if (!scope.sees(row.municipality)) continue;
      QuestionHere q;
      BAVN_TRY(q.ask, net::from_json<event::ExposureAsk>(row.ask, net::Unknown::ignore));
      q.municipality = row.municipality;
      q.state = row.state;
      q.by = row.answered_by;
      q.systems = row.systems;
      q.answered_us = row.answered_at_us;
      all.push_back(std::move(q));
    }
    return all;
  });
}

Result<std::vector<ExposureRule>> NodeDesk::rules(const event::Scope& scope) const {
  BAVN_TRY(auto all, inner_->parts.state.read([&](store::Reader& db) {
    return db.all<ExposureRule>(
        "SELECT id, municipality, product, state, made_by AS by, systems, checked_at_us AS "
        "checked_us FROM exposure_rule ORDER BY municipality, product");
  }));
  std::erase_if(all, [&](const auto& r) { return !scope.sees(r.municipality); });
  return all;
}

}  // namespace bavn::warn
