// bavn hunt: observables, indicators, rules or text over the history of a data folder.
#include "hunt/hunt.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <set>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"

namespace bavn::app {

namespace {

Result<event::Observable> observable(std::string_view value, const std::string& kind) {
  const auto o = kind.empty() ? event::guess(value) : event::canonical(kind, event::refang(value));
  if (o) return *o;
  return fail(
      Code::bad_input,
      kind.empty()
          ? fmt::format("'{}' could be no observable; name its kind with --kind (account, subject, file_name ...)",
                        value)
      : event::parse_kind(kind) || iequals(kind, "hash")
          ? fmt::format("'{}' is no {}", value, kind)
          : fmt::format(
                "--kind '{}' is none: domain, url, ip, cidr, hash, email, account, subject, file_name, user_agent ...",
                kind));
}

Result<std::vector<event::Observable>> wanted(const HuntOptions& options) {
  if (options.kinds.size() > 1 && options.kinds.size() != options.observables.size())
    return fail(Code::bad_input, "--kind once for all observables, or once for each");
  std::vector<event::Observable> out;
  for (std::size_t i = 0; i < options.observables.size(); ++i) {
    BAVN_TRY(auto o, observable(options.observables[i],
                                options.kinds.empty() ? "" : options.kinds[std::min(i, options.kinds.size() - 1)]));
    out.push_back(std::move(o));
  }
  return out;
}

Result<void> read_instant(const std::string& text, const char* option, std::int64_t& out) {
  if (text.empty()) return {};
  auto t = parse_time(text);
  if (!t) t = parse_epoch(text);
  if (!t)
    return fail(Code::bad_input,
                fmt::format("{} '{}': a time like 2024-10-01T12:00:00Z or 2024-10-01 is wanted", option, text));
  out = micros(*t);
  return {};
}

void print(const hunt::RecordHit& hit, bool json) {
  const auto time = [](std::int64_t us) { return us == 0 ? std::string("-") : format_time(from_micros(us)); };
  if (!json) {
    fmt::print("{} {} {}/{}:{} {} | {}\n", time(hit.happened_us != 0 ? hit.happened_us : hit.received_us),
               hit.frame.source.name, hit.frame.segment, hit.frame.frame, hit.record + 1,
               hit.observable != nullptr ? hit.observable->value : "text", hit.line);
    return;
  }
  std::string out;
  JsonWriter w(out);
  w.object();
  if (hit.observable != nullptr)
    w.key("observable")
        .object()
        .member("kind", event::to_string(hit.observable->kind))
        .member("value", hit.observable->value)
        .end();
  w.member("source", hit.frame.source.name).member("municipality", std::to_string(hit.frame.source.municipality.value));
  w.member("format", hit.frame.format).member("file", fmt::format("{}/{}", hit.frame.segment, hit.frame.frame));
  w.member("line", static_cast<std::uint64_t>(hit.record) + 1);
  if (hit.happened_us != 0) w.member("happened_at", format_time(from_micros(hit.happened_us)));
  w.member("received_at", format_time(from_micros(hit.received_us))).member("raw", hit.line).end();
  fmt::print("{}\n", out);
}

void print(const event::Finding& f, bool json) {
  std::string line;
  if (json) event::append_json(line, f);
  else if (f.kind == event::FindingKind::indicator)
    line = fmt::format("{:<13} {}:{} {} {} ({})", "indicator", f.file, f.line, f.indicator_kind, f.indicator_value,
                       f.indicator_source);
  else line = fmt::format("{:<13} {}:{} {}", f.rule_level.empty() ? "-" : f.rule_level, f.file, f.line, f.rule_title);
  fmt::print("{}\n", line);
}

void summary(const hunt::HuntReport& r, const std::vector<double>& ms, std::size_t asked, bool json) {
  if (json) {
    std::string out;
    JsonWriter w(out);
    w.object().key("summary").object();
    w.member("hits", r.hits)
        .member("asked", static_cast<std::uint64_t>(asked))
        .member("found", r.found)
        .member("frames_read", r.frames);
    w.member("events_read", r.records).member("frames_unreadable", r.unreadable).member("stopped", r.stopped);
    w.member("milliseconds", ms.back()).key("rounds_milliseconds").array();
    for (const double m : ms) w.value(m);
    w.end().key("not_by_index").array();
    for (const auto& o : r.not_by_index) w.value(o.value);
    w.end().end().end();
    fmt::print(stderr, "{}\n", out);
    return;
  }
  fmt::print(stderr, "{}{} hits; {} events in {} frames read in {:.1f} ms\n", r.stopped ? "stopped: " : "", r.hits,
             r.records, r.frames, ms.back());
  if (asked > 1) fmt::print(stderr, "{} of {} observables were seen\n", r.found, asked);
  if (ms.size() > 1) fmt::print(stderr, "rounds, ms: {:.1f}\n", fmt::join(ms, " "));
  if (r.unreadable != 0)
    fmt::print(stderr, "{} damaged frames were not read; `bavn doctor` says which\n", r.unreadable);
  for (const auto& o : r.not_by_index)
    fmt::print(stderr, "'{}' cannot be asked by the index: everything was read\n", o.value);
}

/// A source that never delivered has no hits for another reason than that nothing happened.
void say_if_unknown(const std::string& source, const history::History& history, const event::Scope& owner) {
  std::set<std::string> names;
  for (const auto& segment : history.segments(owner)) {
    const auto frames = history.frames(owner, segment, {});
    if (!frames) continue;
    for (const auto& f : *frames) names.insert(f.info.source.name);
  }
  if (names.contains(source)) return;
  std::vector<std::string> first(names.begin(),
                                 std::next(names.begin(), std::min<std::ptrdiff_t>(20, std::ssize(names))));
  fmt::print(stderr, "nothing of a source '{}' is kept here; there are: {}{}\n", source, fmt::join(first, ", "),
             names.size() > first.size() ? ", ..." : "");
}

}  // namespace

int hunt_command(const HuntOptions& options) {
  const bool for_observables = !options.observables.empty(), for_text = !options.text.empty();
  const bool for_rules = !options.rules.empty() || options.builtin_rules, for_indicators = !options.indicators.empty();
  if (for_observables + for_text + (for_rules || for_indicators) != 1) {
    fmt::print(stderr, "one of --observable, --text, or --rules and --indicators is wanted\n");
    return kUsage;
  }
  const auto observables = wanted(options);
  if (!observables) return failed(observables.error());
  hunt::HuntOptions ho;
  if (const auto ok = read_instant(options.from, "--from", ho.filter.from_us); !ok) return failed(ok.error());
  if (const auto ok = read_instant(options.to, "--to", ho.filter.until_us); !ok) return failed(ok.error());
  if (ho.filter.from_us > ho.filter.until_us)
    return failed({Code::bad_input, "--from lies after --to: nothing can have happened between them", options.from});
  ho.filter.source = options.source;
  if (options.limit != 0) ho.limit = options.limit;
  ho.jobs = threads_for(options.jobs);

  StopOnSignal stop;
  ho.stop = stop.token();
  hunt::EngineOptions eo;
  eo.rules = options.rules;
  eo.builtin_rules = options.builtin_rules;
  eo.placeholders_file = options.placeholders;
  eo.indicators = options.indicators;
  eo.allow = options.allow;
  auto data = open_data(options.data, eo, false);
  if (!data) return failed(data.error());
  hunt::Engine& engine = *(*data)->engine;
  Runtime& runtime = (*data)->runtime;
  const history::History& history = *(*data)->history;
  const event::Scope owner = event::Scope::local_owner();

  std::vector<double> ms;
  std::optional<Result<hunt::HuntReport>> report;
  for (unsigned round = 0; round < std::max(1U, options.repeat) && !ho.stop.stop_requested(); ++round) {
    const bool show = round == 0;
    const auto record = [&](const hunt::RecordHit& h) {
      if (show) print(h, options.json);
    };
    const auto finding = [&](const event::Finding& f) {
      if (show) print(f, options.json);
    };
    Progress progress(options.json || options.quiet);
    ho.progress = [&](const hunt::HuntProgress& p) {
      progress.show([&] {
        return fmt::format("{} of {} frames, {} events, {} hits", p.frames_done, p.frames, p.records, p.hits);
      });
    };
    const Duration start = runtime.steady();
    if (for_observables) report = hunt::hunt_observables(engine, history, owner, *observables, ho, record);
    else if (for_text) report = hunt::hunt_text(engine, history, owner, options.text, ho, record);
    else if (for_rules) report = hunt::hunt_rules(engine, runtime, history, owner, ho, finding);
    else report = hunt::hunt_indicators(engine, runtime, history, owner, ho, finding);
    ms.push_back(std::chrono::duration<double, std::milli>(runtime.steady() - start).count());
    if (!*report) break;
  }
  std::fflush(stdout);
  if (!report) return kPartly;
  if (!*report) return failed(report->error());
  if (!options.source.empty() && (*report)->hits == 0) say_if_unknown(options.source, history, owner);
  if (!options.quiet) summary(**report, ms, observables->size(), options.json);
  return (*report)->unreadable != 0 || (*report)->stopped ? kPartly : kDone;
}

}  // namespace bavn::app
