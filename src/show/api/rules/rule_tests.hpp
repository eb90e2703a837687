#pragma once
// The tests beside a rule's file: RULE.tests.ndjson, each line {"test","expect","events":[...],"rule"?}. Of rules that come with Bavn they are
// part of the binary; of others they lie on disk. Plain functions; any thread. `bavn rules test` reads the same files.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "hunt/engine.hpp"

namespace bavn::show::api {

struct RuleTest {
  std::string name, rule;  // rule: id, title or name; empty: any of the file
  bool expect = false;
  std::string events;   // lines
  std::string refused;  // why this line is no test
};
struct RuleTestResult {
  bool hit = false, ok = false;
  std::string refused;  // an event of it that could not be read
};

/// The file's text, embedded or on disk; nothing when it is not there or longer than `most`.
std::optional<std::string> rule_file(const std::string& file, std::size_t most);
std::size_t count_rule_tests(const std::string& file);
/// Those of the file that are about this rule. id: as rule_of() of alerts writes it.
std::vector<RuleTest> rule_tests_of(const std::string& file, std::string_view id, std::string_view title);
RuleTestResult run_rule_test(hunt::Engine& engine, const std::string& file, const RuleTest& test, Instant now);

}  // namespace bavn::show::api
