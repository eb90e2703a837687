#include "alerts/reader.hpp"

#include <algorithm>
#include <boost/describe.hpp>
#include <map>
#include <tuple>

#include "base/json_writer.hpp"
#include "base/text.hpp"

namespace bavn::alerts {

using event::Right;
using event::Scope;

BOOST_DESCRIBE_STRUCT(Alert, (),
                      (id, municipality, tenant, kind, rule, title, level, action, concern_kind, concern, count,
                       first_seen_us, last_seen_us, opened_at_us, updated_at_us, state, place, rank, state_by,
                       state_at_us, state_why, was))
BOOST_DESCRIBE_STRUCT(AlertNote, (), (at_us, by_whom, kind, text, was))
BOOST_DESCRIBE_STRUCT(Example, (),
                      (finding, segment, frame, line, line_hash, source, format, happened_at_us, received_at_us,
                       fields))

namespace {

#define BAVN_ALERT_COLUMNS                                                                                    \
  "id, municipality, tenant, kind, rule, title, level, action, concern_kind, concern, count, first_seen_us, " \
  "last_seen_us, opened_at_us, updated_at_us, state, place, rank, state_by, state_at_us, state_why, was"

// What a filter asks of a row. The level is asked by its rank, so that indicators with an action have a place among them.
#define BAVN_ALERT_WHERE                                                                                           \
  " WHERE municipality = :m AND (:state = '' OR state = :state) AND (:place = '' OR place = :place) AND (:rule = " \
  "'' OR rule = :rule) AND rank >= :least AND (:text = '' OR instr(lower(title), :text) > 0 OR "                   \
  "instr(lower(concern), :text) > 0)"

struct MunicipalityRow {
  std::int64_t municipality = 0;
};
BOOST_DESCRIBE_STRUCT(MunicipalityRow, (), (municipality))

struct Counts {
  std::int64_t queue = 0, over_budget = 0, counted = 0;
};
BOOST_DESCRIBE_STRUCT(Counts, (), (queue, over_budget, counted))

struct LifeRow {
  std::string rule, title, level, state, why, by_whom;
  std::int64_t since_us = 0, added_at_us = 0, present = 0, measured_until_us = 0, days = 0, alerts = 0, findings = 0,
               not_listed = 0;
};
BOOST_DESCRIBE_STRUCT(LifeRow, (),
                      (rule, title, level, state, why, by_whom, since_us, added_at_us, present, measured_until_us, days,
                       alerts, findings, not_listed))

Result<void> need(const Scope& scope, Right right, const char* doing) {
  if (scope.may(right)) return {};
  return fail(Code::forbidden, scope.who() + " may not " + doing);
}

struct GroupRow {
  std::string rule, title, level, kind;
  std::int64_t alerts = 0, open = 0, count = 0, first_seen_us = 0, last_seen_us = 0, rank = 0;
};
BOOST_DESCRIBE_STRUCT(GroupRow, (), (rule, title, level, kind, alerts, open, count, first_seen_us, last_seen_us, rank))
struct ConcernRow {
  std::string concern;
};
BOOST_DESCRIBE_STRUCT(ConcernRow, (), (concern))

Result<void> write_note(store::Tx& tx, std::int64_t alert, const AlertNote& n) {
  BAVN_CHECK(tx.exec(
      "INSERT INTO alert_note (alert, at_us, by_whom, kind, text, was) VALUES (:alert, :at, :who, :kind, :text, :was)",
      {{"alert", alert}, {"at", n.at_us}, {"who", n.by_whom}, {"kind", n.kind}, {"text", n.text}, {"was", n.was}}));
  return {};
}

Error no_alert(std::int64_t id) {
  return {Code::not_found, "there is no alert " + std::to_string(id), {}};
}

/// The rank that rank_of() gives a rule of this level.
Result<std::int64_t> least_rank(std::string_view level) {
  if (level.empty()) return std::int64_t{-1};
  if (level != "informational" && level != "low" && level != "medium" && level != "high" && level != "critical")
    return fail(Code::bad_input, "a level is informational, low, medium, high or critical", std::string(level));
  event::Finding f;
  f.rule_level = level;
  return std::int64_t{rank_of(f)};
}

bool newer(const Alert& a, const Alert& b) {
  return a.id > b.id;
}
bool worth_more(const Alert& a, const Alert& b) {
  return std::pair(a.rank, a.id) > std::pair(b.rank, b.id);
}

}  // namespace

Result<AlertList> AlertReader::list(const Scope& scope, const AlertFilter& filter) const {
  BAVN_CHECK(need(scope, Right::alert_read, "read alerts"));
  const std::int64_t limit = std::clamp<std::int64_t>(filter.limit, 0, 1000);
  BAVN_TRY(const std::int64_t least, least_rank(filter.least_level));
  const std::string text = to_lower(filter.text);
  return state_.read([&](store::Reader& db) -> Result<AlertList> {
    AlertList out;
    BAVN_TRY(const auto municipalities, db.all<MunicipalityRow>("SELECT DISTINCT municipality FROM alert"));
    for (const MunicipalityRow& m : municipalities) {
      const MunicipalityId id{static_cast<std::uint16_t>(m.municipality)};
      if (!scope.sees(id) || (filter.municipality && *filter.municipality != id)) continue;
      BAVN_TRY(
          auto rows,
          db.all<Alert>(
              "SELECT " BAVN_ALERT_COLUMNS " FROM alert" BAVN_ALERT_WHERE
              " AND (:before = 0 OR id < :before) AND (:rank < 0 OR rank < :rank OR (rank = :rank AND id < :id)) ORDER "
              "BY CASE WHEN :before = 0 THEN rank ELSE 0 END DESC, id DESC LIMIT :limit",
              {{"m", m.municipality},
               {"state", filter.state},
               {"place", filter.place},
               {"rule", filter.rule},
               {"least", least},
               {"text", text},
               {"before", filter.before_id},
               {"rank", filter.after ? filter.after->first : -1},
               {"id", filter.after ? filter.after->second : 0},
               {"limit", limit}}));
      out.alerts.insert(out.alerts.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
      BAVN_TRY(const auto counts,
               db.one<Counts>(
                   "SELECT coalesce(sum(place = 'queue'), 0) AS queue, coalesce(sum(place = 'over_budget'), 0) AS "
                   "over_budget, coalesce(sum(place = 'counted'), 0) AS counted FROM alert WHERE municipality = :m AND "
                   "state = 'open'",
                   {{"m", m.municipality}}));
      if (counts) {
        out.queue += counts->queue;
        out.over_budget += counts->over_budget;
        out.counted += counts->counted;
      }
    }
    std::sort(out.alerts.begin(), out.alerts.end(), filter.before_id != 0 ? newer : worth_more);
    if (out.alerts.size() > static_cast<std::size_t>(limit)) out.alerts.resize(static_cast<std::size_t>(limit));
    return out;
  });
}

Result<std::vector<AlertGroup>> AlertReader::groups(const Scope& scope, const AlertFilter& filter) const {
  BAVN_CHECK(need(scope, Right::alert_read, "read alerts"));
  constexpr std::size_t kMost = 500, kConcerns = 5;
  BAVN_TRY(const std::int64_t least, least_rank(filter.least_level));
  const std::string text = to_lower(filter.text);
  return state_.read([&](store::Reader& db) -> Result<std::vector<AlertGroup>> {
    std::map<std::string, AlertGroup> by_rule;
    BAVN_TRY(const auto municipalities, db.all<MunicipalityRow>("SELECT DISTINCT municipality FROM alert"));
    for (const MunicipalityRow& m : municipalities) {
      const MunicipalityId id{static_cast<std::uint16_t>(m.municipality)};
      if (!scope.sees(id) || (filter.municipality && *filter.municipality != id)) continue;
      BAVN_TRY(const auto rows,
               db.all<GroupRow>(
                   "SELECT rule, max(title) AS title, max(level) AS level, max(kind) AS kind, count(*) AS alerts, "
                   "sum(state = 'open') AS open, sum(count) AS count, min(first_seen_us) AS first_seen_us, "
                   "max(last_seen_us) AS last_seen_us, max(rank) AS rank FROM alert" BAVN_ALERT_WHERE
                   " GROUP BY rule ORDER BY max(rank) DESC, count(*) DESC LIMIT 500",
                   {{"m", m.municipality},
                    {"state", filter.state},
                    {"place", filter.place},
                    {"rule", filter.rule},
                    {"least", least},
                    {"text", text}}));
      for (const GroupRow& r : rows) {
        AlertGroup& g = by_rule[r.rule];
        const bool fresh = g.rule.empty();
        g.rule = r.rule;
        g.title = r.title;
        g.level = r.level;
        g.kind = r.kind;
        g.alerts += r.alerts;
        g.open += r.open;
        g.count += r.count;
        g.first_seen_us = fresh ? r.first_seen_us : std::min(g.first_seen_us, r.first_seen_us);
        g.last_seen_us = std::max(g.last_seen_us, r.last_seen_us);
        g.rank = std::max(g.rank, r.rank);
        BAVN_TRY(const auto concerns,
                 db.all<ConcernRow>("SELECT concern FROM alert" BAVN_ALERT_WHERE " ORDER BY id DESC LIMIT 5",
                                    {{"m", m.municipality},
                                     {"state", filter.state},
                                     {"place", filter.place},
                                     {"rule", r.rule},
                                     {"least", least},
                                     {"text", text}}));
        for (const ConcernRow& c : concerns)
          if (g.concerns.size() < kConcerns) g.concerns.push_back(c.concern);
      }
    }
    std::vector<AlertGroup> out;
    for (auto& [rule, g] : by_rule) out.push_back(std::move(g));
    std::sort(out.begin(), out.end(), [](const AlertGroup& a, const AlertGroup& b) {
      return std::tuple(a.rank, a.open, a.last_seen_us) > std::tuple(b.rank, b.open, b.last_seen_us);
    });
    if (out.size() > kMost) out.resize(kMost);
    return out;
  });
}

Result<std::vector<AlertNote>> AlertReader::notes(const Scope& scope, std::int64_t id) const {
  BAVN_CHECK(find(scope, id));
  return state_.read([&](store::Reader& db) {
    return db.all<AlertNote>("SELECT at_us, by_whom, kind, text, was FROM alert_note WHERE alert = :id ORDER BY id",
                             {{"id", id}});
  });
}

Result<AlertNote> AlertReader::note(const Scope& scope, std::int64_t id, std::string_view text) {
  constexpr std::size_t kMostNotes = 1000;  // of one alert
  BAVN_CHECK(need(scope, Right::alert_write, "write notes"));
  if (trim(text).empty()) return fail(Code::bad_input, "the note is empty", "/text");
  if (text.size() > 4000) return fail(Code::bad_input, "a note has at most 4000 bytes", "/text");
  AlertNote made;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto alert, tx.one<MunicipalityRow>("SELECT municipality FROM alert WHERE id = :id", {{"id", id}}));
    const MunicipalityId of{static_cast<std::uint16_t>(alert ? alert->municipality : 0)};
    if (!alert || !scope.sees(of)) return std::unexpected(no_alert(id));
    BAVN_TRY(const auto n, tx.number("SELECT count(*) FROM alert_note WHERE alert = :id", {{"id", id}}));
    if (n >= static_cast<std::int64_t>(kMostNotes))
      return fail(Code::conflict, "alert " + std::to_string(id) + " has as many notes as one may have");
    made = {micros(tx.now()), scope.who(), "note", std::string(trim(text)), {}};
    BAVN_CHECK(write_note(tx, id, made));
    BAVN_CHECK(tx.audit({scope.who(), "alert.noted", std::to_string(id), "{}"}));
    return tx.emit("alert.updated", std::to_string(id), R"({"state":"noted"})", of);
  }));
  return made;
}

Result<AlertList> AlertReader::page_tasks(const Scope& scope, MunicipalityId municipality) const {
  AlertFilter filter;
  filter.state = "open";
  filter.place = "queue";
  filter.municipality = municipality;
  filter.limit = budget_.page_tasks;
  return list(scope, filter);
}

Result<std::pair<Alert, std::vector<Example>>> AlertReader::find(const Scope& scope, std::int64_t id) const {
  BAVN_CHECK(need(scope, Right::alert_read, "read alerts"));
  return state_.read([&](store::Reader& db) -> Result<std::pair<Alert, std::vector<Example>>> {
    BAVN_TRY(auto alert, db.one<Alert>("SELECT " BAVN_ALERT_COLUMNS " FROM alert WHERE id = :id", {{"id", id}}));
    if (!alert || !scope.sees(MunicipalityId{static_cast<std::uint16_t>(alert->municipality)}))
      return std::unexpected(no_alert(id));
    BAVN_TRY(auto examples,
             db.all<Example>(
                 "SELECT finding, segment, frame, line, line_hash, source, format, happened_at_us, received_at_us, "
                 "fields FROM alert_example WHERE alert = :id ORDER BY segment, frame, line",
                 {{"id", id}}));
    return std::pair(std::move(*alert), std::move(examples));
  });
}

Result<std::vector<RuleRow>> AlertReader::rules(const Scope& scope) const {
  BAVN_CHECK(need(scope, Right::alert_read, "read the rules' rates"));
  return state_.read([&](store::Reader& db) -> Result<std::vector<RuleRow>> {
    BAVN_TRY(
        const auto rows,
        db.all<LifeRow>(
            "WITH d AS (SELECT day FROM alert_day ORDER BY day DESC LIMIT 30) SELECT l.rule, l.title, l.level, "
            "l.state, l.why, "
            "l.by_whom, l.since_us, l.added_at_us, l.present, l.measured_until_us, (SELECT count(*) FROM d) AS days, "
            "coalesce(sum(n.alerts), 0) AS alerts, coalesce(sum(n.findings), 0) AS findings, "
            "coalesce(sum(n.not_listed), 0) AS "
            "not_listed FROM alert_rule l LEFT JOIN alert_rule_day n ON n.rule = l.rule AND n.day IN (SELECT day FROM "
            "d) "
            "GROUP BY l.rule ORDER BY alerts DESC, l.rule"));
    std::vector<RuleRow> out;
    for (const LifeRow& r : rows) {
      RuleRow o;
      o.rule = r.rule;
      o.title = r.title;
      o.level = r.level;
      o.state = r.state;
      o.why = r.why;
      o.by_whom = r.by_whom;
      o.since_us = r.since_us;
      o.added_at_us = r.added_at_us;
      o.present = r.present;
      o.days = r.days;
      if (r.days != 0) {
        o.alerts_per_day = static_cast<double>(r.alerts) / static_cast<double>(r.days);
        o.findings_per_day = static_cast<double>(r.findings) / static_cast<double>(r.days);
      }
      o.not_listed = r.not_listed;
      o.rate_known = r.measured_until_us != 0 && r.days >= budget_.days_to_know;
      out.push_back(std::move(o));
    }
    return out;
  });
}

Result<void> AlertReader::change(const Scope& scope, std::int64_t id, std::string state, std::string why,
                                 std::string was) {
  BAVN_CHECK(need(scope, Right::alert_write, "change alerts"));
  if (why.size() > 2000) return fail(Code::bad_input, "a reason of at most 2000 bytes is wanted", "/why");
  if (!was.empty() && was != "attack" && was != "test" && was != "harmless" && was != "false")
    return fail(Code::bad_input, "an alert was attack, test, harmless or false", "/was");
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(auto alert, tx.one<Alert>("SELECT " BAVN_ALERT_COLUMNS " FROM alert WHERE id = :id", {{"id", id}}));
    const MunicipalityId of{static_cast<std::uint16_t>(alert ? alert->municipality : 0)};
    if (!alert || !scope.sees(of)) return std::unexpected(no_alert(id));
    if (alert->state == "closed")
      return fail(Code::conflict, "alert " + std::to_string(id) + " was closed by " + alert->state_by);
    if (alert->state == state)
      return fail(Code::conflict, "alert " + std::to_string(id) + " is " + state + " already, by " + alert->state_by);
    BAVN_CHECK(
        tx.exec("UPDATE alert SET state = :state, state_by = :who, state_at_us = :now, state_why = :why, was = :was, "
                "updated_at_us = :now WHERE id = :id",
                {{"state", state}, {"who", scope.who()}, {"now", tx.now()}, {"why", why}, {"was", was}, {"id", id}}));
    BAVN_CHECK(write_note(tx, id, {micros(tx.now()), scope.who(), state, why, was}));
    std::string detail;
    JsonWriter w(detail);
    w.object().member("state", state).member("why", why).member("rule", alert->rule);
    if (!was.empty()) w.member("was", was);
    w.end();
    BAVN_CHECK(tx.audit({scope.who(), "alert." + state, std::to_string(id), detail}));
    return tx.emit("alert.updated", std::to_string(id), detail, of);
  });
}

Result<void> AlertReader::acknowledge(const Scope& scope, std::int64_t id, std::string_view why) {
  return change(scope, id, "acknowledged", std::string(why), {});
}

Result<void> AlertReader::close(const Scope& scope, std::int64_t id, std::string_view why, std::string_view was) {
  if (why.empty()) return fail(Code::bad_input, "closing an alert needs a reason: what it was", "/why");
  return change(scope, id, "closed", std::string(why), std::string(was));
}

Result<void> AlertReader::set_rule(const Scope& scope, std::string_view rule, std::string_view state,
                                   std::string_view why) {
  BAVN_CHECK(need(scope, Right::alert_write, "change rules"));
  if (state != "live" && state != "count_only" && state != "demoted")
    return fail(Code::bad_input, "a rule can be live, count_only or demoted, not '" + std::string(state) + "'");
  if (why.empty()) return fail(Code::bad_input, "changing a rule by hand needs a reason");
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(
        const std::int64_t changed,
        tx.exec("UPDATE alert_rule SET state = :state, since_us = :now, why = :why, by_whom = :who WHERE rule = :rule",
                {{"state", std::string(state)},
                 {"now", tx.now()},
                 {"why", std::string(why)},
                 {"who", scope.who()},
                 {"rule", std::string(rule)}}));
    if (changed == 0) return fail(Code::not_found, "there is no rule '" + std::string(rule) + "'");
    // Back by a person: what it gave until today does not demote it again.
    if (state == "live")
      BAVN_CHECK(tx.exec("UPDATE alert_rule SET judged_from_day = :day WHERE rule = :rule",
                         {{"day", micros(tx.now()) / (24LL * 3600 * 1'000'000) + 1}, {"rule", std::string(rule)}}));
    std::string detail;
    JsonWriter w(detail);
    w.object().member("state", state).member("why", why).end();
    BAVN_CHECK(tx.audit({scope.who(), "rule." + std::string(state), std::string(rule), detail}));
    return tx.emit("rule.changed", rule, detail);
  });
}

namespace {

std::string time_text(std::int64_t us) {
  return us == 0 ? std::string() : format_time(from_micros(us));
}

void members(JsonWriter& w, const Alert& a) {
  w.member("id", a.id).member("municipality", a.municipality).member("tenant", a.tenant).member("kind", a.kind);
  w.member("rule", a.rule).member("title", a.title).member("level", a.level);
  if (!a.action.empty()) w.member("action", a.action);
  w.key("concern").object().member("kind", a.concern_kind).member("value", a.concern).end();
  w.member("count", a.count)
      .member("first_seen", time_text(a.first_seen_us))
      .member("last_seen", time_text(a.last_seen_us));
  w.member("opened_at", time_text(a.opened_at_us)).member("updated_at", time_text(a.updated_at_us));
  w.member("state", a.state).member("place", a.place).member("rank", a.rank);
  if (!a.state_by.empty())
    w.member("state_by", a.state_by).member("state_at", time_text(a.state_at_us)).member("state_why", a.state_why);
}

}  // namespace

void append_json(std::string& out, const Alert& a) {
  JsonWriter w(out);
  w.object();
  members(w, a);
  w.end();
}

void append_json(std::string& out, const Alert& a, const std::vector<Example>& examples) {
  JsonWriter w(out);
  w.object();
  members(w, a);
  w.key("examples").array();
  for (const Example& e : examples) {
    w.object()
        .member("finding", e.finding)
        .member("segment", e.segment)
        .member("frame", e.frame)
        .member("line", e.line);
    w.member("source", e.source).member("format", e.format).member("happened_at", time_text(e.happened_at_us));
    w.member("received_at", time_text(e.received_at_us)).key("fields").raw(e.fields).end();
  }
  w.end().end();
}

void append_json(std::string& out, const AlertList& list) {
  JsonWriter w(out);
  w.object().member("queue", list.queue).member("over_budget", list.over_budget).member("counted", list.counted);
  w.key("alerts").array();
  for (const Alert& a : list.alerts) {
    w.object();
    members(w, a);
    w.end();
  }
  w.end().end();
}

void append_json(std::string& out, const RuleRow& r) {
  JsonWriter w(out);
  w.object().member("rule", r.rule).member("title", r.title).member("level", r.level).member("state", r.state);
  w.member("why", r.why)
      .member("by", r.by_whom)
      .member("since", time_text(r.since_us))
      .member("loaded", r.present != 0);
  w.member("rate_known", r.rate_known).member("days", r.days).member("alerts_per_day", r.alerts_per_day);
  w.member("findings_per_day", r.findings_per_day).member("not_listed", r.not_listed).end();
}

}  // namespace bavn::alerts
