#include "alerts/reader.hpp"

#include <algorithm>
#include <boost/describe.hpp>

#include "base/json_writer.hpp"

namespace bavn::alerts {

using event::Right;
using event::Scope;

BOOST_DESCRIBE_STRUCT(Alert, (),
                      (id, municipality, tenant, kind, rule, title, level, action, concern_kind, concern, count,
                       first_seen_us, last_seen_us, opened_at_us, updated_at_us, state, place, rank, state_by,
                       state_at_us, state_why))
BOOST_DESCRIBE_STRUCT(Example, (),
                      (finding, segment, frame, line, line_hash, source, format, happened_at_us, received_at_us,
                       fields))

namespace {

#define BAVN_ALERT_COLUMNS                                                                                    \
  "id, municipality, tenant, kind, rule, title, level, action, concern_kind, concern, count, first_seen_us, " \
  "last_seen_us, opened_at_us, updated_at_us, state, place, rank, state_by, state_at_us, state_why"

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

Error no_alert(std::int64_t id) {
  return {Code::not_found, "there is no alert " + std::to_string(id), {}};
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
  return state_.read([&](store::Reader& db) -> Result<AlertList> {
    AlertList out;
    BAVN_TRY(const auto municipalities, db.all<MunicipalityRow>("SELECT DISTINCT municipality FROM alert"));
    for (const MunicipalityRow& m : municipalities) {
      const MunicipalityId id{static_cast<std::uint16_t>(m.municipality)};
      if (!scope.sees(id) || (filter.municipality && *filter.municipality != id)) continue;
      BAVN_TRY(
          auto rows,
          db.all<Alert>(
              "SELECT " BAVN_ALERT_COLUMNS
              " FROM alert WHERE municipality = :m AND (:state = '' OR state = :state) AND (:place = '' OR place = "
              ":place) AND (:rule = '' OR rule = :rule) AND (:before = 0 OR id < :before) ORDER BY CASE WHEN "
              ":before = 0 THEN rank ELSE 0 END DESC, id DESC LIMIT :limit",
              {{"m", m.municipality},
               {"state", filter.state},
               {"place", filter.place},
               {"rule", filter.rule},
               {"before", filter.before_id},
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

Result<void> AlertReader::change(const Scope& scope, std::int64_t id, std::string state, std::string why) {
  BAVN_CHECK(need(scope, Right::alert_write, "change alerts"));
  if (why.size() > 2000) return fail(Code::bad_input, "a reason of at most 2000 bytes is wanted");
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(auto alert, tx.one<Alert>("SELECT " BAVN_ALERT_COLUMNS " FROM alert WHERE id = :id", {{"id", id}}));
    const MunicipalityId of{static_cast<std::uint16_t>(alert ? alert->municipality : 0)};
    if (!alert || !scope.sees(of)) return std::unexpected(no_alert(id));
    if (alert->state == "closed")
      return fail(Code::conflict, "alert " + std::to_string(id) + " was closed by " + alert->state_by);
    if (alert->state == state)
      return fail(Code::conflict, "alert " + std::to_string(id) + " is " + state + " already, by " + alert->state_by);
    BAVN_CHECK(tx.exec(
        "UPDATE alert SET state = :state, state_by = :who, state_at_us = :now, state_why = :why, updated_at_us = "
        ":now WHERE id = :id",
        {{"state", state}, {"who", scope.who()}, {"now", tx.now()}, {"why", why}, {"id", id}}));
    std::string detail;
    JsonWriter w(detail);
    w.object().member("state", state).member("why", why).member("rule", alert->rule).end();
    BAVN_CHECK(tx.audit({scope.who(), "alert." + state, std::to_string(id), detail}));
    return tx.emit("alert.updated", std::to_string(id), detail, of);
  });
}

Result<void> AlertReader::acknowledge(const Scope& scope, std::int64_t id, std::string_view why) {
  return change(scope, id, "acknowledged", std::string(why));
}

Result<void> AlertReader::close(const Scope& scope, std::int64_t id, std::string_view why) {
  if (why.empty()) return fail(Code::bad_input, "closing an alert needs a reason: what it was");
  return change(scope, id, "closed", std::string(why));
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
