// bavn alerts: what was found, on the command line, over the state of a data folder; a running node may go on beside it.
#include <fmt/format.h>

#include <filesystem>

#include "alerts/reader.hpp"
#include "app/commands.hpp"
#include "app/data.hpp"
#include "store/state.hpp"

namespace bavn::app {

namespace {

std::string short_time(std::int64_t us) {
  return us == 0 ? "-" : format_time(from_micros(us / 1'000'000 * 1'000'000));
}

void print_alert(const alerts::Alert& a) {
  fmt::print("{:>6}  {:<13} {:<13} {:<12} {:>7} x  {} .. {}  {} [{} {}]\n", a.id, a.level.empty() ? a.action : a.level,
             a.place, a.state, a.count, short_time(a.first_seen_us), short_time(a.last_seen_us), a.title,
             a.concern_kind, a.concern);
}

int list(alerts::AlertReader& reader, const event::Scope& scope, const AlertsOptions& options) {
  alerts::AlertFilter filter;
  filter.state = options.state;
  filter.place = options.place;
  filter.limit = options.limit;
  const auto found = reader.list(scope, filter);
  if (!found) return failed(found.error());
  if (options.json) {
    std::string out;
    for (const alerts::Alert& a : found->alerts) {
      out.clear();
      append_json(out, a);
      fmt::print("{}\n", out);
    }
  } else {
    for (const alerts::Alert& a : found->alerts) print_alert(a);
  }
  fmt::print(stderr, "{} open in the queue, {} beyond its budget, {} of rules that only count\n", found->queue,
             found->over_budget, found->counted);
  return kDone;
}

int show(alerts::AlertReader& reader, const event::Scope& scope, const AlertsOptions& options, std::int64_t id) {
  const auto found = reader.find(scope, id);
  if (!found) return failed(found.error());
  const auto& [alert, examples] = *found;
  if (options.json) {
    std::string out;
    append_json(out, alert, examples);
    fmt::print("{}\n", out);
    return kDone;
  }
  print_alert(alert);
  fmt::print("rule {}; municipality {}\n", alert.rule, alert.municipality);
  if (!alert.state_by.empty())
    fmt::print("{} by {} at {}: {}\n", alert.state, alert.state_by, short_time(alert.state_at_us), alert.state_why);
  for (const alerts::Example& e : examples)
    fmt::print("  {}  {} {}/{}:{}  {}\n", short_time(e.happened_at_us), e.source, e.segment, e.frame, e.line, e.fields);
  return kDone;
}

int rules_of(alerts::AlertReader& reader, const event::Scope& scope, const AlertsOptions& options) {
  const auto found = reader.rules(scope);
  if (!found) return failed(found.error());
  for (const alerts::RuleRow& r : *found) {
    if (options.json) {
      std::string out;
      append_json(out, r);
      fmt::print("{}\n", out);
    } else {
      fmt::print("{:<10} {:>8} alerts a day  {:>10.1f} findings  {:<13} {}  ({})\n", r.state,
                 r.rate_known ? fmt::format("{:.1f}", r.alerts_per_day) : fmt::format("?{:.1f}", r.alerts_per_day),
                 r.findings_per_day, r.level, r.title, r.why);
    }
  }
  return kDone;
}

}  // namespace

int alerts_command(const AlertsOptions& options) {
  const std::string path = options.data + "/state.db";
  if (!std::filesystem::exists(path)) {
    fmt::print(stderr, "{}: there is no state of a node here; `bavn node` makes one\n", path);
    return kFailed;
  }
  Threads runtime;
  auto state = store::State::open(runtime, {.path = path, .schema = {"core", "node"}});
  if (!state) return failed(state.error());
  alerts::AlertReader reader(**state, alerts::Budget{});
  const event::Scope scope = event::Scope::local_owner();
  if (options.action == "list") return list(reader, scope, options);
  if (options.action == "rules") return rules_of(reader, scope, options);
  if (options.action == "rule") {
    const auto ok = reader.set_rule(scope, options.id, options.state, options.why);
    return ok ? kDone : failed(ok.error());
  }
  std::int64_t id = 0;
  for (const char c : options.id) id = c >= '0' && c <= '9' && id < 1'000'000'000'000 ? id * 10 + (c - '0') : -1;
  if (id < 0 || options.id.empty()) {
    fmt::print(stderr, "'{}' is no alert's number; `bavn alerts list` shows them\n", options.id);
    return kUsage;
  }
  if (options.action == "show") return show(reader, scope, options, id);
  const auto ok =
      options.action == "ack" ? reader.acknowledge(scope, id, options.why) : reader.close(scope, id, options.why);
  return ok ? kDone : failed(ok.error());
}

}  // namespace bavn::app
