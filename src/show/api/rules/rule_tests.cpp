#include "show/api/rules/rule_tests.hpp"

#include <algorithm>

#include "base/content.hpp"
#include "base/files.hpp"
#include "base/text.hpp"
#include "match/hotpath/matcher.hpp"
#include "match/sigma/correlation.hpp"
#include "net/json_value.hpp"

namespace bavn::show::api {

namespace {

constexpr std::size_t kMostTests = 4U << 20U;  // bytes of one file of tests
constexpr std::size_t kMostOfARule = 200;      // tests that are run at once

std::string tests_file(const std::string& file) {
  return file.substr(0, file.rfind('.')) + ".tests.ndjson";
}

/// "sigma:ID" -> "ID".
std::string_view bare_id(std::string_view id) {
  const auto colon = id.find(':');
  return colon == std::string_view::npos ? id : id.substr(colon + 1);
}

bool is_meant(const RuleTest& test, const match::sigma::Meta& m) {
  return test.rule.empty() || test.rule == m.id || test.rule == m.title || test.rule == m.name;
}

}  // namespace

std::optional<std::string> rule_file(const std::string& file, std::size_t most) {
  if (file.empty()) return std::nullopt;
  if (const auto embedded = content::file(file)) {
    if (embedded->size() > most) return std::nullopt;
    return std::string(*embedded);
  }
  DiskFiles files;
  auto text = read_file(files, file, most);
  if (!text) return std::nullopt;
  return std::move(*text);
}

std::size_t count_rule_tests(const std::string& file) {
  const auto text = rule_file(tests_file(file), kMostTests);
  if (!text) return 0;
  std::size_t n = 0;
  for (const std::string_view line : split(*text, '\n')) n += trim(line).empty() ? 0 : 1;
  return n;
}

std::vector<RuleTest> rule_tests_of(const std::string& file, std::string_view id, std::string_view title) {
  std::vector<RuleTest> out;
  const auto text = rule_file(tests_file(file), kMostTests);
  if (!text) return out;
  for (const std::string_view line : split(*text, '\n')) {
    if (trim(line).empty() || out.size() >= kMostOfARule) continue;
    RuleTest t;
    const auto document = net::JsonDocument::parse(line);
    if (!document) {
      t.name = "(no test)";
      t.refused = document.error().what;
      out.push_back(std::move(t));
      continue;
    }
    const net::JsonValue v = document->root();
    t.name = v["test"].text_or("(no name)");
    t.rule = v["rule"].text_or("");
    if (!t.rule.empty() && t.rule != bare_id(id) && t.rule != title) continue;
    t.expect = v["expect"].boolean().value_or(false);
    if (!v["expect"].boolean() || !v["events"].is_array()) t.refused = "expect and events are wanted";
    for (const net::JsonValue e : v["events"]) {
      const auto as_text = e.text();
      t.events += as_text ? std::string(*as_text) : e.to_text();
      t.events += '\n';
    }
    out.push_back(std::move(t));
  }
  return out;
}

RuleTestResult run_rule_test(hunt::Engine& engine, const std::string& file, const RuleTest& test, Instant now) {
  namespace sigma = match::sigma;
  RuleTestResult out;
  if (!test.refused.empty()) {
    out.refused = test.refused;
    return out;
  }
  const sigma::RuleSet& set = engine.rules();
  formats::ReaderOptions ro;
  ro.reference = now;
  hunt::Worker worker(engine, ro);
  sigma::CorrelationOptions co;
  co.replay = true;
  sigma::CorrelationEngine correlations(set, co);
  event::EventBatch batch;
  batch.raw = test.events;
  worker.process(batch, {0, test.events.size(), 1});
  const auto counts = [&](const sigma::Meta& m) { return m.file == file && is_meant(test, m); };
  const bool has_correlation =
      std::any_of(set.correlations.begin(), set.correlations.end(), [&](const auto& c) { return counts(c.meta); });
  for (const auto& h : worker.hits()) {
    if (counts(set.rules[h.rule].meta) && (!has_correlation || !test.rule.empty())) out.hit = true;
    if (!correlations.wants(h.rule)) continue;
    const auto& r = batch.records[h.record];
    correlations.on_hit(h.rule, HappenedAt{from_micros(r.happened_us)},
                        match::hotpath::BatchRecordView(engine.plan(), batch, r), {"", "", file, r.line},
                        [](const sigma::CorrelationFinding&) {});
  }
  correlations.finish([&](const sigma::CorrelationFinding& found) {
    out.hit = out.hit || counts(set.correlations[found.correlation].meta);
  });
  if (!batch.refusals.empty()) out.refused = std::string("an event was refused: ") + batch.refusals[0].reason;
  out.ok = out.hit == test.expect && out.refused.empty();
  return out;
}

}  // namespace bavn::show::api
