#include "store/retention.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "store/audit.hpp"

namespace bavn::store {

namespace {

constexpr std::string_view kTimer = "store.retention";
constexpr std::chrono::hours kDay{24};

}  // namespace

RetentionRule retention_rule(std::string name, std::int64_t days, std::string reason, std::string sql) {
  return {std::move(name), days, std::move(reason),
          [sql = std::move(sql)](Tx& tx, Instant before) { return tx.exec(sql, {{"before", before}}); }};
}

std::vector<RetentionRule> core_retention() {
  std::vector<RetentionRule> rules;
  rules.push_back(
      retention_rule("announced", 7, "a consumer that was given an event may want it again after its own restore",
                     "DELETE FROM domain_event WHERE seq IN (SELECT seq FROM domain_event WHERE at_us < :before "
                     "AND seq <= (SELECT coalesce(min(seq), 0) FROM consumer) ORDER BY seq LIMIT 10000)"));
  rules.push_back(retention_rule("announced_unseen", 90, "a consumer that is away for a quarter of a year is gone",
                                 "DELETE FROM domain_event WHERE seq IN (SELECT seq FROM domain_event "
                                 "WHERE at_us < :before ORDER BY seq LIMIT 10000)"));
  rules.push_back(retention_rule(
      "jobs_failed", 90, "what was given up is looked at within a quarter of a year or never",
      "DELETE FROM job WHERE id IN (SELECT id FROM job WHERE failed = 1 AND made_us < :before LIMIT 10000)"));
  rules.push_back(retention_rule(
      "kept_replies", 1, "a request is sent again within a day or is a new one",
      "DELETE FROM kept_reply WHERE rowid IN (SELECT rowid FROM kept_reply WHERE at_us < :before LIMIT 10000)"));
  rules.push_back({"audit", 5 * 365, "who did what must be answerable for as long as a claim may be raised",
                   [](Tx& tx, Instant before) { return audit::forget_before(tx, before); }});
  return rules;
}

Result<std::unique_ptr<Retention>> Retention::open(State& state, std::vector<RetentionRule> rules) {
  auto names = rules;
  std::ranges::sort(names, {}, &RetentionRule::name);
  const auto twice = std::ranges::adjacent_find(names, {}, &RetentionRule::name);
  if (twice != names.end()) return fail(Code::conflict, "retention class registered twice", twice->name);
  BAVN_CHECK(state.write_now([&](Tx& tx) -> Result<void> {
    for (const RetentionRule& r : rules)
      BAVN_CHECK(
          tx.exec("INSERT INTO retention_class (name, days, reason) VALUES (:name, :days, :reason) "
                  "ON CONFLICT (name) DO UPDATE SET reason = excluded.reason",
                  {{"name", r.name}, {"days", r.days}, {"reason", r.reason}}));
    return {};
  }));
  return std::unique_ptr<Retention>(new Retention(state, std::move(rules)));
}

Result<std::vector<std::pair<std::string, std::int64_t>>> Retention::retain(Instant now) {
  BAVN_TRY(const auto kept, classes());
  std::vector<std::pair<std::string, std::int64_t>> gone;
  for (const RetentionRule& rule : rules_) {
    const auto c = std::ranges::find(kept, rule.name, &RetentionClass::name);
    if (c == kept.end()) return fail(Code::not_found, "the retention class is gone from its table", rule.name);
    const Instant before = now - kDay * c->days;
    std::int64_t all = 0;
    // Each call is a unit of its own, so that others write between them.
    for (std::int64_t n = -1; n != 0;) {
      BAVN_CHECK(state_.write_now([&](Tx& tx) -> Result<void> {
        BAVN_TRY(n, rule.forget(tx, before));
        return {};
      }));
      all += n;
    }
    if (all > 0) gone.emplace_back(rule.name, all);
  }
  if (gone.empty()) return gone;
  std::string detail;
  JsonWriter w(detail);
  w.object();
  for (const auto& [name, n] : gone) w.member(name, n);
  w.end();
  BAVN_CHECK(state_.write_now([&](Tx& tx) { return tx.audit({"bavn", "retention.ran", "state", detail}); }));
  return gone;
}

Result<void> Retention::start(QueueId queue) {
  state_.on_timer(std::string(kTimer), queue, [this](const Timer& t) -> Result<void> {
    Instant now{};
    BAVN_CHECK(state_.write_now([&](Tx& tx) {
      now = tx.now();
      return tx.set_timer(now + kDay, t.kind, t.subject);
    }));
    if (const auto gone = retain(now); !gone)
      log::error("retention_failed", {{"reason", to_string(gone.error())}, {"again", "tomorrow"}});
    return {};
  });
  return state_.write_now([](Tx& tx) -> Result<void> {
    BAVN_TRY(const auto n, tx.number("SELECT count(*) FROM timer WHERE kind = :k", {{"k", kTimer}}));
    return n > 0 ? Result<void>() : tx.set_timer(tx.now(), kTimer, "state");
  });
}

Result<std::vector<RetentionClass>> Retention::classes() const {
  return state_.read(
      [](Reader& r) { return r.all<RetentionClass>("SELECT name, days, reason FROM retention_class ORDER BY name"); });
}

Result<void> Retention::set_days(std::string_view who, std::string_view name, std::int64_t days) {
  if (days < 1 || days > 36'500)
    return fail(Code::bad_input, "a number of days between 1 and 36500 is wanted", std::string(name));
  return state_.write_now([&](Tx& tx) -> Result<void> {
    BAVN_TRY(const auto before,
             tx.one<std::int64_t>("SELECT days FROM retention_class WHERE name = :name", {{"name", name}}));
    if (!before) return fail(Code::not_found, "no retention class has this name", std::string(name));
    BAVN_CHECK(tx.exec("UPDATE retention_class SET days = :days WHERE name = :name", {{"days", days}, {"name", name}}));
    return tx.audit({std::string(who), "retention.changed", std::string(name),
                     fmt::format(R"({{"before":{},"after":{}}})", *before, days)});
  });
}

}  // namespace bavn::store
