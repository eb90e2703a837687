// The specification as data: every file in cases/ holds rules with events that must match and must not (format: strings.yml).
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <optional>

#include "match/sigma/cache.hpp"
#include "match/sigma/load.hpp"
#include "match/sigma/test_support.hpp"

namespace bavn::match::sigma {
namespace {

namespace fs = std::filesystem;
using testing::YamlRecord;

struct Case {
  std::string file;
  std::string name;
  Yaml yaml;
};

void PrintTo(const Case& c, std::ostream* out) {
  *out << c.file << ": " << c.name;
}

std::vector<Case> all_cases() {
  std::vector<Case> out;
  for (const auto& entry : fs::directory_iterator(BAVN_SOURCE_DIR "/src/match/sigma/cases")) {
    auto documents = read_yaml(testing::read_text(entry.path()));
    if (!documents) continue;
    for (auto& d : *documents) {
      Case c{entry.path().filename().string(), fmt::format("broken document at line {}", d.line), {}};
      if (d.root) c.yaml = *std::move(d.root);
      if (const Yaml* name = c.yaml.find("name")) c.name = name->text;
      out.push_back(std::move(c));
    }
  }
  std::sort(out.begin(), out.end(),
            [](const Case& a, const Case& b) { return std::tie(a.file, a.name) < std::tie(b.file, b.name); });
  return out;
}

std::string indented(const std::string& text) {
  std::string out = "    ";
  for (const char c : text) {
    out += c;
    if (c == '\n') out += "    ";
  }
  return out;
}

RuleSet load_case(const Case& c) {
  Options options;
  const fs::path placeholders = fs::temp_directory_path() / fmt::format("bavn_placeholders_{}", ::getpid());
  if (const Yaml* p = c.yaml.find("placeholders")) {
    std::ofstream(placeholders) << p->text;
    options.placeholders_file = placeholders.string();
  }
  const Yaml* documents = c.yaml.find("documents");
  const Yaml* detection = c.yaml.find("detection");
  std::string text = documents != nullptr ? documents->text
                                          : "title: x\nlogsource: {product: test}\ndetection:\n" +
                                                indented(detection != nullptr ? detection->text : "");
  auto set = load_text(text, options);
  fs::remove(placeholders);
  EXPECT_TRUE(set);
  return set ? *std::move(set) : RuleSet{};
}

class SigmaCase : public ::testing::TestWithParam<Case> {};

TEST_P(SigmaCase, DoesAsItSays) {
  const Case& c = GetParam();
  ASSERT_TRUE(c.yaml.is_map()) << c.name;
  const RuleSet set = load_case(c);
  if (const Yaml* refused = c.yaml.find("refused")) {
    ASSERT_EQ(set.refused.size(), 1U);
    EXPECT_NE(set.refused[0].reason.find(refused->text), std::string::npos) << set.refused[0].reason;
    EXPECT_GT(set.refused[0].line, 0U);
    return;
  }
  for (const auto& r : set.refused) ADD_FAILURE() << r.line << ": " << r.reason;
  ASSERT_EQ(set.rules.size(), 1U);
  // What was compiled and what comes back from the cache must decide alike.
  const auto again = decode_cache(encode_cache(set, "k"), "k");
  ASSERT_TRUE(again) << to_string(again.error());
  std::size_t events = 0;
  for (const char* key : {"match", "no_match"}) {
    const Yaml* list = c.yaml.find(key);
    ASSERT_TRUE(list != nullptr && list->is_list()) << "each case has both: " << key;
    for (const auto& event : list->items) {
      ++events;
      const YamlRecord record(event);
      const bool expected = key[0] == 'm';
      EXPECT_EQ(matches(set, set.rules[0], record), expected) << key << " event in line " << event.line;
      EXPECT_EQ(matches(*again, again->rules[0], record), expected)
          << key << " event in line " << event.line << " (from the cache)";
    }
  }
  EXPECT_GT(events, 1U);
  if (const Yaml* warns = c.yaml.find("warns")) {
    EXPECT_TRUE(std::any_of(set.warnings.begin(), set.warnings.end(),
                            [&](const Warning& w) { return w.what.find(warns->text) != std::string::npos; }));
  } else {
    for (const auto& w : set.warnings) ADD_FAILURE() << "warns: " << w.what;
  }
}

INSTANTIATE_TEST_SUITE_P(Specification, SigmaCase, ::testing::ValuesIn(all_cases()));

TEST(SigmaCases, AllFilesAreThere) {
  EXPECT_GT(all_cases().size(), 100U);
}

}  // namespace
}  // namespace bavn::match::sigma
