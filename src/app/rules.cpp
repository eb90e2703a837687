// bavn rules check|list|test|explain
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "app/commands.hpp"
#include "base/content.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "formats/binder.hpp"
#include "hunt/engine.hpp"
#include "match/sigma/correlation.hpp"
#include "match/sigma/explain.hpp"

namespace bavn::app {

namespace fs = std::filesystem;
namespace sigma = match::sigma;

namespace {

int check(const hunt::Engine& engine, double seconds, bool json) {
  const sigma::RuleSet& set = engine.rules();
  std::size_t never = 0, no_witness = 0;
  for (const auto& r : set.refused) {
    if (json) {
      std::string out;
      JsonWriter w(out);
      w.object()
          .member("kind", "refused")
          .member("file", r.file)
          .member("line", r.line)
          .member("id", r.id)
          .member("title", r.title);
      w.member("reason", r.reason).end();
      fmt::print("{}\n", out);
    } else {
      fmt::print("refused      {}:{}: {}\n", r.file, r.line, r.reason);
    }
  }
  for (std::size_t i = 0; i < set.rules.size(); ++i) {
    const sigma::Rule& r = set.rules[i];
    std::string missing;
    const bool can = hunt::deliverable(engine.catalogue(), r.logsource, missing);
    const bool witness = engine.program().has_witness(static_cast<std::uint32_t>(i));
    never += !can;
    no_witness += !witness;
    if (can && witness) continue;
    if (json) {
      std::string out;
      JsonWriter w(out);
      w.object()
          .member("kind", !can ? "never_matches" : "no_witness")
          .member("file", r.meta.file)
          .member("line", r.meta.line);
      w.member("id", r.meta.id).member("title", r.meta.title);
      w.member("reason", !can ? "no known format delivers " + missing
                              : std::string("every record of its log source must be looked at"))
          .end();
      fmt::print("{}\n", out);
    } else if (!can) {
      fmt::print("never        {}:{}: no known format delivers {} ({})\n", r.meta.file, r.meta.line, missing,
                 r.meta.title);
    } else {
      fmt::print("slow         {}:{}: no test in it must hold for a match, so every record of {} is looked at ({})\n",
                 r.meta.file, r.meta.line, hunt::describe(r.logsource), r.meta.title);
    }
  }
  for (const auto& w : set.warnings)
    if (!json) fmt::print("warning      {}:{}: {}\n", w.file, w.line, w.what);
  if (json) {
    std::string out;
    JsonWriter w(out);
    w.object()
        .member("kind", "summary")
        .member("files", static_cast<std::uint64_t>(set.files))
        .member("rules", static_cast<std::uint64_t>(set.rules.size()));
    w.member("correlations", static_cast<std::uint64_t>(set.correlations.size()))
        .member("filters", static_cast<std::uint64_t>(set.filters.size()));
    w.member("refused", static_cast<std::uint64_t>(set.refused.size()))
        .member("never_match", static_cast<std::uint64_t>(never));
    w.member("without_witness", static_cast<std::uint64_t>(no_witness))
        .member("seconds", seconds)
        .member("from_cache", set.from_cache)
        .end();
    fmt::print("{}\n", out);
  } else {
    fmt::print(
        "{} rules, {} correlations, {} filters from {} files in {:.2f} s{}; {} refused, {} can never match, {} without "
        "a witness\n",
        set.rules.size(), set.correlations.size(), set.filters.size(), set.files, seconds,
        set.from_cache ? " (cache)" : "", set.refused.size(), never, no_witness);
  }
  return set.refused.empty() ? kDone : kPartly;
}

int list(const hunt::Engine& engine, bool json) {
  const auto row = [&](const sigma::Meta& m, const std::string& source, const char* kind) {
    if (json) {
      std::string out;
      JsonWriter w(out);
      w.object()
          .member("kind", kind)
          .member("id", m.id)
          .member("title", m.title)
          .member("level", sigma::to_string(m.level));
      w.member("logsource", source).member("file", m.file).member("line", m.line).end();
      fmt::print("{}\n", out);
    } else {
      fmt::print("{:<36} {:<13} {:<40} {}\n", m.id, sigma::to_string(m.level), source, m.title);
    }
  };
  for (const auto& r : engine.rules().rules) row(r.meta, hunt::describe(r.logsource), "rule");
  for (const auto& c : engine.rules().correlations)
    row(c.meta, fmt::format("correlation {}", sigma::to_string(c.type)), "correlation");
  return kDone;
}

void explain_json(const hunt::Engine& engine, std::size_t i) {
  const sigma::RuleSet& set = engine.rules();
  const sigma::Rule& r = set.rules[i];
  std::string out, missing;
  JsonWriter w(out);
  w.object().member("kind", "rule").member("id", r.meta.id).member("title", r.meta.title).member("file", r.meta.file);
  w.member("line", r.meta.line).member("logsource", hunt::describe(r.logsource));
  w.member("never_matches", !hunt::deliverable(engine.catalogue(), r.logsource, missing));
  w.member("condition", sigma::explain(set, r.condition, 40)).key("witness").array();
  for (const auto p : engine.program().witnesses(static_cast<std::uint32_t>(i)))
    w.value(sigma::explain(set.predicates[p]));
  w.end().end();
  fmt::print("{}\n", out);
}

void explain_json(const sigma::RuleSet& set, const sigma::Correlation& c) {
  std::string out;
  JsonWriter w(out);
  w.object().member("kind", "correlation").member("id", c.meta.id).member("title", c.meta.title);
  w.member("file", c.meta.file).member("line", c.meta.line).member("type", sigma::to_string(c.type));
  w.member("timespan_seconds", static_cast<std::int64_t>(c.timespan.count())).key("group_by").array();
  for (const auto& g : c.group_by) w.value(g);
  w.end().key("conditions").array();
  for (const auto& b : c.bounds) w.value(fmt::format("{} {}", sigma::to_string(b.compare), b.value));
  w.end().key("refers_to").array();
  for (const auto& ref : c.rules)
    w.value(ref.is_correlation ? set.correlations[ref.index].meta.title : set.rules[ref.index].meta.title);
  w.end().end();
  fmt::print("{}\n", out);
}

int explain(const hunt::Engine& engine, const std::string& id, bool json) {
  const sigma::RuleSet& set = engine.rules();
  for (std::size_t i = 0; i < set.rules.size(); ++i) {
    const sigma::Rule& r = set.rules[i];
    if (r.meta.id != id && !iequals(r.meta.title, id) && r.meta.name != id) continue;
    if (json) {
      explain_json(engine, i);
      return kDone;
    }
    fmt::print("{} ({})\n{}:{}\nlog source: {}\n", r.meta.title, r.meta.id, r.meta.file, r.meta.line,
               hunt::describe(r.logsource));
    std::string missing;
    if (!hunt::deliverable(engine.catalogue(), r.logsource, missing))
      fmt::print("NEVER MATCHES: no known format delivers {}\n", missing);
    fmt::print("condition:\n");
    const std::string condition = sigma::explain(set, r.condition, 40);
    for (const auto line : split(condition, '\n'))
      if (!line.empty()) fmt::print("  {}\n", line);
    const auto& witnesses = engine.program().witnesses(static_cast<std::uint32_t>(i));
    if (witnesses.empty()) {
      fmt::print("witness: none; every record of its log source is looked at\n");
    } else {
      fmt::print("witness (one of these must hold; only then the rule is looked at):\n");
      for (std::size_t k = 0; k < std::min<std::size_t>(witnesses.size(), 40); ++k)
        fmt::print("  {}\n", sigma::explain(set.predicates[witnesses[k]]));
      if (witnesses.size() > 40) fmt::print("  ... {} more\n", witnesses.size() - 40);
    }
    return kDone;
  }
  for (const auto& c : set.correlations) {
    if (c.meta.id != id && !iequals(c.meta.title, id) && c.meta.name != id) continue;
    if (json) {
      explain_json(set, c);
      return kDone;
    }
    fmt::print("{} ({})\n{}:{}\ncorrelation {} within {} s\n", c.meta.title, c.meta.id, c.meta.file, c.meta.line,
               sigma::to_string(c.type), c.timespan.count());
    fmt::print("group by: {}\n", fmt::join(c.group_by, ", "));
    for (const auto& b : c.bounds) fmt::print("condition: {} {}\n", sigma::to_string(b.compare), b.value);
    for (const auto& ref : c.rules)
      fmt::print("refers to: {}\n",
                 ref.is_correlation ? set.correlations[ref.index].meta.title : set.rules[ref.index].meta.title);
    return kDone;
  }
  for (const auto& r : set.refused)
    if (r.id == id || iequals(r.title, id)) {
      if (json) {
        std::string out;
        JsonWriter w(out);
        w.object().member("kind", "refused").member("id", r.id).member("title", r.title).member("file", r.file);
        w.member("line", r.line).member("reason", r.reason).end();
        fmt::print("{}\n", out);
        return kDone;
      }
      fmt::print("{}:{}: refused: {}\n", r.file, r.line, r.reason);
      return kDone;
    }
  fmt::print(stderr, "there is no rule '{}' here; `bavn rules list` shows them\n", id);
  return kFailed;
}

// One line of a .tests.ndjson: {"test":..,"expect":bool,"events":[{...} or "text line"],"rule":id or title (when the file beside holds several)}
int test(hunt::Engine& engine, const RulesOptions& options) {
  const sigma::RuleSet& set = engine.rules();
  std::map<std::string, std::pair<std::string, std::string>> files;  // rule file -> (tests' name, text)
  std::set<std::string> rule_files;
  for (const auto& r : set.rules) rule_files.insert(r.meta.file);
  for (const auto& c : set.correlations) rule_files.insert(c.meta.file);
  unsigned run = 0, failed = 0, untested = 0;
  const auto fail = [&](const std::string& file, std::uint64_t line, std::string_view name, std::string_view why) {
    ++failed;
    if (!options.json) {
      fmt::print("FAILED {}:{}: {}{}{}\n", file, line, name, name.empty() ? "" : ": ", why);
      return;
    }
    std::string out;
    JsonWriter w(out);
    w.object().member("kind", "failed").member("file", file).member("line", line).member("test", name);
    w.member("reason", why).end();
    fmt::print("{}\n", out);
  };
  for (const std::string& f : rule_files) {
    const std::string tests = f.substr(0, f.rfind('.')) + ".tests.ndjson";
    std::ifstream in(tests, std::ios::binary);
    if (!in) {
      ++untested;
      continue;
    }
    std::string line;
    std::size_t number = 0;
    while (std::getline(in, line)) {
      ++number;
      if (trim(line).empty()) continue;
      ++run;
      simdjson::dom::parser parser;
      simdjson::dom::element doc;
      bool expect = false;
      simdjson::dom::array events;
      std::string_view name = "", wanted_rule = "";
      if (parser.parse(line).get(doc) != simdjson::SUCCESS || doc["expect"].get(expect) != simdjson::SUCCESS ||
          doc["events"].get(events) != simdjson::SUCCESS) {
        fail(tests, number, "", "not a test: {\"test\":..,\"expect\":true|false,\"events\":[..]} is wanted");
        continue;
      }
      if (doc["test"].get(name) != simdjson::SUCCESS) name = "(no name)";
      if (doc["rule"].get(wanted_rule) != simdjson::SUCCESS) wanted_rule = "";
      std::string bytes;
      for (auto e : events) {  // an object, or the line of a text log as a string
        std::string_view text_line;
        bytes += e.get(text_line) == simdjson::SUCCESS ? std::string(text_line) : simdjson::minify(e);
        bytes += '\n';
      }
      formats::ReaderOptions ro;
      ro.reference = system_now();
      hunt::Worker worker(engine, ro);
      sigma::CorrelationOptions co;
      co.replay = true;
      sigma::CorrelationEngine correlations(set, co);
      event::EventBatch batch;
      batch.raw = bytes;
      worker.process(batch, {0, bytes.size(), 1});
      bool hit = false;
      const auto counts = [&](const sigma::Meta& m) {
        return m.file == f &&
               (wanted_rule.empty() || wanted_rule == m.id || wanted_rule == m.title || wanted_rule == m.name);
      };
      const bool has_correlation =
          std::any_of(set.correlations.begin(), set.correlations.end(), [&](const auto& c) { return counts(c.meta); });
      for (const auto& h : worker.hits()) {
        const auto& rule = set.rules[h.rule];
        if (counts(rule.meta) && (!has_correlation || (!wanted_rule.empty()))) hit = true;
        if (correlations.wants(h.rule)) {
          const auto& r = batch.records[h.record];
          correlations.on_hit(h.rule, HappenedAt{from_micros(r.happened_us)},
                              match::hotpath::BatchRecordView(engine.plan(), batch, r), {"", "", tests, r.line},
                              [](const sigma::CorrelationFinding&) {});
        }
      }
      correlations.finish([&](const sigma::CorrelationFinding& found) {
        hit = hit || counts(set.correlations[found.correlation].meta);
      });
      const bool broken = !batch.refusals.empty();
      if (hit == expect && !broken) continue;
      fail(tests, number, name,
           broken   ? fmt::format("event refused: {}", batch.refusals[0].reason)
           : expect ? "should match, does not"
                    : "should not match, does");
    }
  }
  for (const auto& r : set.refused) fail(r.file, r.line, "", r.reason);
  if (!options.json) fmt::print("{} rule tests, {} failed; {} rule files have no tests\n", run, failed, untested);
  if (options.json) {
    std::string out;
    JsonWriter w(out);
    w.object()
        .member("kind", "summary")
        .member("tests", run)
        .member("failed", failed)
        .member("files_without_tests", untested)
        .end();
    fmt::print("{}\n", out);
  }
  return failed != 0 || run == 0 ? kFailed : kDone;
}

}  // namespace

int rules(const RulesOptions& options) {
  hunt::EngineOptions eo;
  eo.rules = options.paths;
  eo.builtin_rules = options.builtin_rules;
  eo.placeholders_file = options.placeholders;
  eo.rule_cache = options.rule_cache;
  const auto start = std::chrono::steady_clock::now();
  auto engine = hunt::Engine::open(eo);
  if (!engine) {
    fmt::print(stderr, "{}\n", to_string(engine.error()));
    return kFailed;
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (options.action == "list") return list(**engine, options.json);
  if (options.action == "explain") return explain(**engine, options.id, options.json);
  if (options.action == "test") return test(**engine, options);
  return check(**engine, seconds, options.json);
}

}  // namespace bavn::app
