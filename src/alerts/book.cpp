#include "alerts/book.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/describe.hpp>
#include <map>
#include <set>

#include "base/json_writer.hpp"

namespace bavn::alerts {

namespace {

constexpr std::int64_t kHour = 3600LL * 1'000'000;
constexpr std::int64_t kDay = 24 * kHour;
constexpr std::int64_t kShift = 8 * kHour;
constexpr std::size_t kShownFields = 4096;  // bytes of an example's fields

std::int64_t day_of(std::int64_t us) {
  return us >= 0 ? us / kDay : -((-us + kDay - 1) / kDay);
}

int level_number(std::string_view level) {
  constexpr std::string_view kLevels[] = {"informational", "low", "medium", "high", "critical"};
  const auto* it = std::find(std::begin(kLevels), std::end(kLevels), level);
  return it == std::end(kLevels) ? -1 : static_cast<int>(it - std::begin(kLevels));
}

struct KnownAlert {
  std::int64_t id = 0, count = 0, first_seen_us = 0, last_seen_us = 0, told_count = 0, state_at_us = 0;
  std::string state, place;
};
BOOST_DESCRIBE_STRUCT(KnownAlert, (), (id, count, first_seen_us, last_seen_us, told_count, state_at_us, state, place))

struct Ranked {
  std::int64_t id = 0, rank = 0;
};
BOOST_DESCRIBE_STRUCT(Ranked, (), (id, rank))

struct RuleLife {
  std::string rule, title, level, state;
  std::int64_t measured_until_us = 0, judged_from_day = 0;
};
BOOST_DESCRIBE_STRUCT(RuleLife, (), (rule, title, level, state, measured_until_us, judged_from_day))

struct Text {
  std::string rule;
};
BOOST_DESCRIBE_STRUCT(Text, (), (rule))

struct Rate {
  std::int64_t days = 0, alerts = 0, most = 0;
};
BOOST_DESCRIBE_STRUCT(Rate, (), (days, alerts, most))

std::string fields_json(const event::Finding& f) {
  std::string out;
  JsonWriter w(out);
  w.object();
  for (const auto& [name, value] : f.fields) {
    if (out.size() + name.size() + value.size() > kShownFields) break;
    w.member(name, value);
  }
  w.end();
  return out;
}

std::string event_json(const std::string& rule, const std::string& level, std::string_view place,
                       std::string_view state, std::int64_t count) {
  std::string out;
  JsonWriter w(out);
  w.object().member("rule", rule).member("level", level).member("place", place).member("state", state);
  w.member("count", count).end();
  return out;
}

/// Findings of one alert out of one unit.
struct Bundle {
  const Found* first = nullptr;  // the strings of the alert
  std::vector<const Found*> all;
};

}  // namespace

Result<void> AlertBook::record(store::Tx& tx, std::span<const Found> found) const {
  const std::int64_t now = micros(tx.now());
  // In order of time within a key, so that late findings of one unit do not make two alerts.
  std::map<std::string, Bundle> by_key;
  for (const Found& f : found) {
    Bundle& b = by_key[alert_key(f)];
    if (b.first == nullptr) b.first = &f;
    b.all.push_back(&f);
  }
  std::map<std::string, std::string> states;  // of rules
  std::map<std::string, std::map<std::int64_t, std::pair<std::uint64_t, std::uint64_t>>>
      days;  // rule, day: findings, alerts
  std::map<std::pair<std::string, std::int64_t>, std::uint64_t> not_listed;
  std::set<std::string> busy;
  const std::int64_t window = budget_.window_hours * kHour;

  for (auto& [key, bundle] : by_key) {
    const Found& head = *bundle.first;
    const std::string rule = rule_of(head.finding);
    auto known_state = states.find(rule);
    if (known_state == states.end()) {
      BAVN_TRY(
          auto row,
          tx.one<RuleLife>("SELECT rule, title, level, state, measured_until_us, judged_from_day FROM alert_rule WHERE "
                           "rule = :rule",
                           {{"rule", rule}}));
      std::string state = row ? row->state : "live";
      if (!row) {  // a list of indicators, first seen now: lists are live from the start
        BAVN_CHECK(
            tx.exec("INSERT INTO alert_rule (rule, title, level, state, since_us, why, by_whom, added_at_us, "
                    "present, measured_until_us) VALUES (:rule, :title, '', 'live', :now, :why, 'bavn', :now, 1, :now)",
                    {{"rule", rule},
                     {"title", head.finding.kind == event::FindingKind::indicator ? head.finding.indicator_source
                                                                                  : head.finding.rule_title},
                     {"why", std::string("first seen in a finding")},
                     {"now", now}}));
      }
      known_state = states.emplace(rule, std::move(state)).first;
    }
    const bool live = known_state->second == "live";
    std::stable_sort(bundle.all.begin(), bundle.all.end(),
                     [](const Found* a, const Found* b) { return a->first_us < b->first_us; });
    for (const Found* f : bundle.all) {
      auto& of_day = days[rule][day_of(f->first_us)];
      of_day.first += f->count;
      // The alert it belongs to: the latest of its key that is near in time, and that was not closed before it happened.
      BAVN_TRY(auto joined,
               tx.one<KnownAlert>(
                   "SELECT id, count, first_seen_us, last_seen_us, told_count, state_at_us, state, place FROM alert "
                   "WHERE key = :key AND first_seen_us - :window <= :last AND last_seen_us + :window >= :first "
                   "AND (state <> 'closed' OR state_at_us >= :first) ORDER BY id DESC LIMIT 1",
                   {{"key", key}, {"window", window}, {"first", f->first_us}, {"last", f->last_us}}));
      if (joined && day_of(joined->last_seen_us) != day_of(f->first_us) &&
          day_of(joined->first_seen_us) != day_of(f->first_us))
        ++of_day.second;  // the same alert on another day
      std::int64_t id = 0;
      if (joined) {
        id = joined->id;
        const std::int64_t count = joined->count + static_cast<std::int64_t>(f->count);
        const bool tell = joined->place != "counted" && count >= 2 * joined->told_count;
        BAVN_CHECK(
            tx.exec("UPDATE alert SET count = :count, first_seen_us = min(first_seen_us, :first), last_seen_us = "
                    "max(last_seen_us, :last), updated_at_us = :now, told_count = :told WHERE id = :id",
                    {{"count", count},
                     {"first", f->first_us},
                     {"last", f->last_us},
                     {"now", now},
                     {"told", tell ? count : joined->told_count},
                     {"id", id}}));
        if (tell)
          BAVN_CHECK(tx.emit("alert.updated", std::to_string(id),
                             event_json(rule, f->finding.rule_level, joined->place, joined->state, count),
                             f->municipality));
      } else {
        ++of_day.second;
        if (!live) {
          BAVN_TRY(
              const std::int64_t rows,
              tx.number(
                  "SELECT count(*) FROM alert WHERE rule = :rule AND place = 'counted' AND updated_at_us >= :since",
                  {{"rule", rule}, {"since", now - kDay}}));
          if (rows >= budget_.counted_rows) {
            not_listed[{rule, day_of(f->first_us)}] += f->count;
            continue;
          }
        }
        const event::Finding& x = f->finding;
        const bool indicator = x.kind == event::FindingKind::indicator;
        const int rank = rank_of(x);
        BAVN_CHECK(tx.exec(
            "INSERT INTO alert (key, municipality, tenant, kind, rule, title, level, action, concern_kind, concern, "
            "count, "
            "first_seen_us, last_seen_us, opened_at_us, updated_at_us, told_count, state, place, rank, shift, "
            "state_by, "
            "state_at_us, state_why) VALUES (:key, :municipality, :tenant, :kind, :rule, :title, :level, :action, "
            ":concern_kind, :concern, :count, :first, :last, :now, :now, :count, 'open', 'counted', :rank, -1, '', 0, "
            "'')",
            {{"key", key},
             {"municipality", f->municipality},
             {"tenant", f->tenant},
             {"kind", std::string(indicator                                   ? "indicator"
                                  : x.kind == event::FindingKind::correlation ? "correlation"
                                                                              : "sigma")},
             {"rule", rule},
             {"title", indicator ? x.indicator_kind + " " + x.indicator_value : x.rule_title},
             {"level", x.rule_level},
             {"action", x.action},
             {"concern_kind", f->concern.kind},
             {"concern", f->concern.value},
             {"count", static_cast<std::int64_t>(f->count)},
             {"first", f->first_us},
             {"last", f->last_us},
             {"now", now},
             {"rank", rank}}));
        id = tx.last_id();
        if (live) {
          BAVN_CHECK(give_place(tx, id, rank));
          BAVN_TRY(auto placed,
                   tx.one<KnownAlert>("SELECT id, count, first_seen_us, last_seen_us, told_count, state_at_us, "
                                      "state, place FROM alert WHERE id = :id",
                                      {{"id", id}}));
          BAVN_CHECK(tx.emit("alert.opened", std::to_string(id),
                             event_json(rule, x.rule_level, placed->place, "open", static_cast<std::int64_t>(f->count)),
                             f->municipality));
        }
      }
      // Examples: the first ones stay.
      BAVN_CHECK(tx.exec(
          "INSERT INTO alert_example (alert, finding, segment, frame, line, line_hash, source, format, happened_at_us, "
          "received_at_us, fields) SELECT :alert, :finding, :segment, :frame, :line, :hash, :source, :format, "
          ":happened, "
          ":received, :fields WHERE (SELECT count(*) FROM alert_example WHERE alert = :alert) < :limit ON CONFLICT DO "
          "NOTHING",
          {{"alert", id},
           {"finding", finding_id(f->finding, f->place)},
           {"segment", f->place.segment},
           {"frame", f->place.frame},
           {"line", f->place.line},
           {"hash", static_cast<std::int64_t>(f->line_hash)},
           {"source", f->source},
           {"format", f->finding.format},
           {"happened", f->finding.happened_at},
           {"received", f->received_us},
           {"fields", fields_json(f->finding)},
           {"limit", budget_.examples}}));
    }
  }
  for (const auto& [rule, of_rule] : days)
    for (const auto& [day, n] : of_rule) {
      const auto hidden = not_listed.find({rule, day});
      BAVN_CHECK(tx.exec(
          "INSERT INTO alert_rule_day (rule, day, findings, alerts, not_listed) VALUES (:rule, :day, :findings, "
          ":alerts, :hidden) ON CONFLICT (rule, day) DO UPDATE SET findings = findings + :findings, alerts = "
          "alerts + :alerts, not_listed = not_listed + :hidden",
          {{"rule", rule},
           {"day", day},
           {"findings", static_cast<std::int64_t>(n.first)},
           {"alerts", static_cast<std::int64_t>(n.second)},
           {"hidden", hidden == not_listed.end() ? std::int64_t{0} : static_cast<std::int64_t>(hidden->second)}}));
      if (n.second != 0 && states[rule] == "live") busy.insert(rule);
    }
  for (const std::string& rule : busy) BAVN_CHECK(judge(tx, rule));
  return {};
}

/// A new alert of a live rule takes a place of this shift, or that of the least of them when it is worth more.
Result<void> AlertBook::give_place(store::Tx& tx, std::int64_t alert, int rank) const {
  const std::int64_t shift = micros(tx.now()) / kShift;
  BAVN_TRY(const std::int64_t taken,
           tx.number("SELECT count(*) FROM alert WHERE shift = :shift AND place = 'queue'", {{"shift", shift}}));
  bool fits = taken < budget_.queue_per_shift;
  if (!fits) {
    // What somebody has begun to work on keeps its place; of equals the older one does.
    BAVN_TRY(auto least,
             tx.one<Ranked>("SELECT id, rank FROM alert WHERE shift = :shift AND place = 'queue' AND state = 'open' "
                            "ORDER BY rank, id DESC LIMIT 1",
                            {{"shift", shift}}));
    if (least && least->rank < rank) {
      BAVN_CHECK(tx.exec("UPDATE alert SET place = 'over_budget', shift = -1 WHERE id = :id", {{"id", least->id}}));
      BAVN_CHECK(tx.emit("alert.updated", std::to_string(least->id), R"({"place":"over_budget"})"));
      fits = true;
    }
  }
  BAVN_CHECK(tx.exec("UPDATE alert SET place = :place, shift = :shift WHERE id = :id",
                     {{"place", std::string(fits ? "queue" : "over_budget")},
                      {"shift", fits ? shift : std::int64_t{-1}},
                      {"id", alert}}));
  return {};
}

Result<void> AlertBook::seen_records(store::Tx& tx, std::int64_t day, std::uint64_t records) const {
  BAVN_TRY(const std::int64_t known, tx.number("SELECT count(*) FROM alert_day WHERE day = :day", {{"day", day}}));
  BAVN_CHECK(
      tx.exec("INSERT INTO alert_day (day, records) VALUES (:day, :n) ON CONFLICT (day) DO UPDATE SET records = "
              "records + :n",
              {{"day", day}, {"n", static_cast<std::int64_t>(records)}}));
  if (known == 0) BAVN_CHECK(judge_rules(tx));
  return {};
}

Result<void> AlertBook::rules_loaded(store::Tx& tx, std::span<const RuleInfo> rules) const {
  const std::int64_t now = micros(tx.now());
  BAVN_CHECK(tx.exec("UPDATE alert_rule SET present = 0 WHERE rule NOT LIKE 'indicators:%'"));
  BAVN_TRY(const std::int64_t days, tx.number("SELECT count(*) FROM alert_day"));
  for (const RuleInfo& r : rules) {
    const int level = level_number(r.level), at_once = level_number(budget_.live_at_once);
    const bool live = at_once >= 0 && level >= at_once;
    BAVN_CHECK(tx.exec(
        "INSERT INTO alert_rule (rule, title, level, state, since_us, why, by_whom, added_at_us, present, "
        "measured_until_us) "
        "VALUES (:rule, :title, :level, :state, :now, :why, 'bavn', :now, 1, :measured) ON CONFLICT (rule) DO UPDATE "
        "SET "
        "title = :title, level = :level, present = 1",
        {{"rule", r.rule},
         {"title", r.title},
         {"level", r.level},
         {"state", std::string(live ? "live" : "count_only")},
         {"why", live ? "rules of level " + budget_.live_at_once + " and above are live at once (alerts.live_at_once)"
                      : std::string("new: it counts until its rate is known")},
         {"now", now},
         {"measured", days == 0 ? now : std::int64_t{0}}}));  // without history there is nothing to measure
  }
  return {};
}

Result<std::vector<std::string>> AlertBook::to_measure(store::Reader& db) {
  BAVN_TRY(const auto rows,
           db.all<Text>("SELECT rule FROM alert_rule WHERE present = 1 AND measured_until_us = 0 ORDER BY "
                        "rule"));
  std::vector<std::string> out;
  for (const Text& t : rows) out.push_back(t.rule);
  return out;
}

Result<void> AlertBook::measured(store::Tx& tx, std::span<const std::string> rules,
                                 std::span<const Measured> days) const {
  for (const Measured& m : days)
    BAVN_CHECK(
        tx.exec("INSERT INTO alert_rule_day (rule, day, findings, alerts, not_listed) VALUES (:rule, :day, :findings, "
                ":alerts, 0) ON CONFLICT (rule, day) DO UPDATE SET findings = findings + :findings, alerts = alerts + "
                ":alerts",
                {{"rule", m.rule},
                 {"day", m.day},
                 {"findings", static_cast<std::int64_t>(m.findings)},
                 {"alerts", static_cast<std::int64_t>(m.alerts)}}));
  for (const std::string& rule : rules) {
    BAVN_CHECK(tx.exec("UPDATE alert_rule SET measured_until_us = :now WHERE rule = :rule",
                       {{"now", tx.now()}, {"rule", rule}}));
    BAVN_CHECK(judge(tx, rule));
  }
  return {};
}

Result<void> AlertBook::judge_rules(store::Tx& tx) const {
  BAVN_TRY(const auto rows,
           tx.all<Text>("SELECT rule FROM alert_rule WHERE present = 1 AND state IN ('count_only', 'live')"));
  for (const Text& t : rows) BAVN_CHECK(judge(tx, t.rule));
  return {};
}

Result<void> AlertBook::judge(store::Tx& tx, const std::string& rule) const {
  BAVN_TRY(
      auto life,
      tx.one<RuleLife>(
          "SELECT rule, title, level, state, measured_until_us, judged_from_day FROM alert_rule WHERE rule = :rule",
          {{"rule", rule}}));
  if (!life || life->state == "demoted") return {};
  // Over the newest 30 days of which there are records.
  BAVN_TRY(
      auto rate,
      tx.one<Rate>(
          "WITH d AS (SELECT day FROM alert_day WHERE day >= :from ORDER BY day DESC LIMIT 30), n AS (SELECT d.day, "
          "coalesce(r.alerts, 0) AS alerts FROM d LEFT JOIN alert_rule_day r ON r.day = d.day AND r.rule = :rule) "
          "SELECT count(*) AS days, coalesce(sum(alerts), 0) AS alerts, (SELECT coalesce(max(alerts), 0) FROM "
          "alert_rule_day WHERE rule = :rule AND day "
          ">= :from) AS most FROM n",
          {{"rule", rule}, {"from", life->judged_from_day}}));
  if (!rate) return {};
  const double per_day = rate->days == 0 ? 0 : static_cast<double>(rate->alerts) / static_cast<double>(rate->days);
  const bool known = life->measured_until_us != 0 && rate->days >= budget_.days_to_know;
  std::string state, why;
  if (life->state == "count_only") {
    if (!known || per_day > static_cast<double>(budget_.rule_per_day) || rate->most > budget_.rule_burst) return {};
    state = "live";
    why = fmt::format("its rate is known: {:.1f} alerts a day over {} days, at most {} on one", per_day, rate->days,
                      rate->most);
  } else if (rate->most > budget_.rule_burst) {
    state = "demoted";
    why = fmt::format("{} alerts on one day, {} are allowed (alerts.rule_burst)", rate->most, budget_.rule_burst);
  } else if (known && per_day > static_cast<double>(budget_.rule_per_day)) {
    state = "demoted";
    why = fmt::format("{:.1f} alerts a day over {} days, {} are allowed (alerts.rule_per_day)", per_day, rate->days,
                      budget_.rule_per_day);
  } else {
    return {};
  }
  BAVN_CHECK(
      tx.exec("UPDATE alert_rule SET state = :state, since_us = :now, why = :why, by_whom = 'bavn' WHERE rule = :rule",
              {{"state", state}, {"now", tx.now()}, {"why", why}, {"rule", rule}}));
  std::string detail;
  JsonWriter w(detail);
  w.object().member("state", state).member("why", why).end();
  BAVN_CHECK(tx.audit({"bavn", "rule." + state, rule, detail}));
  BAVN_CHECK(tx.emit("rule.changed", rule, detail));
  if (state == "live") {  // what it counted in the last day asks for attention now, as far as there are places
    BAVN_TRY(const auto waiting,
             tx.all<Ranked>("SELECT id, rank FROM alert WHERE rule = :rule AND place = 'counted' AND state = "
                            "'open' AND updated_at_us >= :since ORDER BY id LIMIT 100",
                            {{"rule", rule}, {"since", micros(tx.now()) - kDay}}));
    for (const Ranked& a : waiting) {
      BAVN_CHECK(give_place(tx, a.id, static_cast<int>(a.rank)));
      BAVN_CHECK(tx.emit("alert.opened", std::to_string(a.id), R"({"place":"queue"})"));
    }
  }
  return {};
}

Result<bool> AlertBook::claim_night_call(store::Tx& tx, MunicipalityId municipality, std::int64_t alert) const {
  BAVN_TRY(const std::int64_t made,
           tx.number("SELECT count(*) FROM alert_call WHERE municipality = :m AND made = 1 AND at_us >= :since",
                     {{"m", municipality}, {"since", micros(tx.now()) - 30 * kDay}}));
  const bool may = made < budget_.night_calls_per_month;
  BAVN_CHECK(tx.exec("INSERT INTO alert_call (municipality, alert, at_us, made) VALUES (:m, :alert, :now, :made)",
                     {{"m", municipality}, {"alert", alert}, {"now", tx.now()}, {"made", may}}));
  return may;
}

}  // namespace bavn::alerts
