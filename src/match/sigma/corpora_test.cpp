// All collected public rules load or say why; the events that SigmaHQ keeps for its rules match them.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <map>

#include "base/text.hpp"
#include "match/sigma/load.hpp"
#include "match/sigma/test_support.hpp"

namespace bavn::match::sigma {
namespace {

using testing::corpora;
using testing::YamlRecord;

double seconds_of(auto&& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

#define NEED_CORPUS(name, folder)    \
  const auto name = corpora(folder); \
  if (name.empty()) GTEST_SKIP() << "the collected corpora are not here: set BAVN_CORPORA to their folder"

TEST(SigmaCorpora, EveryPublicRuleLoadsUnlessItNeedsPlaceholders) {
  NEED_CORPUS(root, "detection/sigmahq-rules");
  const std::string paths[] = {(root / "rules").string(), (root / "rules-compliance").string(),
                               (root / "rules-emerging-threats").string(), (root / "rules-threat-hunting").string(),
                               (root / "rules-placeholder").string()};
  const auto set = load(paths);
  ASSERT_TRUE(set) << to_string(set.error());
  EXPECT_GT(set->rules.size(), 2300U);
  for (const auto& r : set->refused)
    EXPECT_NE(r.reason.find("placeholder"), std::string::npos) << r.file << ":" << r.line << ": " << r.reason;
  EXPECT_LT(set->refused.size(), 30U);
  EXPECT_EQ(set->rules.size() + set->refused.size(), set->files);
  fmt::print("{} rules, {} refused, {} predicates, {} warnings\n", set->rules.size(), set->refused.size(),
             set->predicates.size(), set->warnings.size());
}

TEST(SigmaCorpora, ObsoleteRulesAreRefusedWithAReasonThatSaysWhatToDo) {
  NEED_CORPUS(root, "detection/sigmahq-rules/unsupported");
  const std::string paths[] = {root.string()};
  const auto set = load(paths);
  ASSERT_TRUE(set) << to_string(set.error());
  EXPECT_EQ(set->rules.size() + set->refused.size(), set->files);
  EXPECT_GT(set->refused.size(), 50U);
  for (const auto& r : set->refused) {
    EXPECT_FALSE(r.reason.empty());
    EXPECT_GT(r.line, 0U) << r.file;
    EXPECT_FALSE(r.title.empty()) << r.file;
    if (std::getenv("BAVN_SHOW") != nullptr)
      fmt::print("{}:{}: {}\n", r.file.substr(root.string().size()), r.line, r.reason);
  }
  for (const auto& r : set->rules) {
    const std::string text = testing::read_text(r.meta.file);
    for (const auto line : split(text, '\n')) {
      if (trim(line).starts_with("condition:")) {
        EXPECT_EQ(line.find('|'), std::string_view::npos) << r.meta.file;
      }
    }
  }
}

TEST(SigmaCorpora, TheSpecificationsExamplesLoad) {
  NEED_CORPUS(root, "detection/sigma-specification/tests");
  const std::string whole[] = {(root / "spec_text_correlation_09.yml").string()};
  const auto set = load(whole);
  ASSERT_TRUE(set);
  EXPECT_TRUE(set->refused.empty());
  ASSERT_EQ(set->correlations.size(), 2U);
  ASSERT_EQ(set->rules.size(), 2U);
  EXPECT_EQ(set->correlations[0].type, CorrelationType::temporal_ordered);
  EXPECT_EQ(set->correlations[0].timespan, std::chrono::minutes(10));
  EXPECT_TRUE(set->correlations[0].reports);
  EXPECT_FALSE(set->correlations[1].reports);
  EXPECT_FALSE(set->rules[0].reports);
  // The others refer to rules that the specification does not print: refused for that and for nothing else.
  const std::string folder[] = {root.string()};
  const auto all = load(folder);
  ASSERT_TRUE(all);
  for (const auto& r : all->refused) {
    const bool expected = r.reason.find("not loaded") != std::string::npos ||
                          r.reason.find("has no type") != std::string::npos ||
                          r.reason.find("already used") != std::string::npos ||
                          r.reason.find("is the name of several") != std::string::npos;
    EXPECT_TRUE(expected) << r.file << ":" << r.line << ": " << r.reason;
  }
}

TEST(SigmaCorpora, HayabusaCorrelationsLoad) {
  NEED_CORPUS(root, "detection/hayabusa-correlations");
  const std::string folder[] = {root.string()};
  const auto set = load(folder);
  ASSERT_TRUE(set);
  EXPECT_EQ(set->correlations.size(), 2U);
  for (const auto& r : set->refused) ADD_FAILURE() << r.file << ":" << r.line << ": " << r.reason;
}

// evtx_dump JSON: Event.System and Event.EventData become the flat fields that rules name.
YamlRecord windows_record(const Yaml& event, Yaml& flat) {
  flat.kind = Yaml::Kind::map;
  const Yaml* root = event.find("Event");
  if (root == nullptr) root = &event;
  const auto put = [&](const std::string& key, const Yaml& value) {
    flat.keys.push_back(key);
    flat.items.push_back(value);
  };
  for (const char* part : {"EventData", "UserData"}) {
    const auto walk = [&](auto&& self, const Yaml& y) -> void {
      for (std::size_t i = 0; i < y.keys.size(); ++i) {
        if (y.items[i].is_map()) self(self, y.items[i]);
        else put(y.keys[i], y.items[i]);
      }
    };
    if (const Yaml* data = root->find(part)) walk(walk, *data);
  }
  if (const Yaml* system = root->find("System")) {
    for (std::size_t i = 0; i < system->keys.size(); ++i) {
      const Yaml& v = system->items[i];
      const Yaml* text = v.is_map() ? v.find("#text") : &v;
      if (text != nullptr) put(system->keys[i], *text);
      if (const Yaml* attributes = v.find("#attributes"))
        for (std::size_t k = 0; k < attributes->keys.size(); ++k)
          put(system->keys[i] + "_" + attributes->keys[k], attributes->items[k]);
    }
  }
  return YamlRecord(flat);
}

TEST(SigmaCorpora, TheEventsThatSigmaHqKeepsForItsRulesMatchThem) {
  NEED_CORPUS(rules, "detection/sigmahq-rules");
  NEED_CORPUS(data, "detection/sigmahq-regression");
  const std::string paths[] = {(rules / "rules").string(), (rules / "rules-emerging-threats").string(),
                               (rules / "rules-threat-hunting").string()};
  const auto set = load(paths);
  ASSERT_TRUE(set);
  std::map<std::string, const Rule*> by_id;
  for (const auto& r : set->rules) by_id[r.meta.id] = &r;
  std::size_t tested = 0, absent = 0;
  std::vector<std::string> missed;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(data)) {
    if (entry.path().extension() != ".ndjson" || entry.path().filename() == "manifest.ndjson") continue;
    const auto found = by_id.find(entry.path().stem().string());
    if (found == by_id.end()) {
      ++absent;
      continue;
    }
    ++tested;
    const std::string text = testing::read_text(entry.path());
    bool matched = false;
    for (const auto line : split(text, '\n')) {
      if (trim(line).empty()) continue;
      const auto documents = read_yaml(line);
      ASSERT_TRUE(documents && documents->size() == 1 && documents->front().root) << entry.path();
      Yaml flat;
      const auto record = windows_record(*documents->front().root, flat);
      matched = matched || matches(*set, *found->second, record);
    }
    if (!matched) missed.push_back(entry.path().string());
  }
  fmt::print("{} rules with events tested, {} without their rule here\n", tested, absent);
  EXPECT_GT(tested, 50U);
  EXPECT_TRUE(missed.empty()) << missed.size() << " missed, the first: " << missed.front();
}

TEST(SigmaCorpora, LoadingIsFastAndFasterFromTheCache) {
  NEED_CORPUS(root, "detection/sigmahq-rules");
  const std::string paths[] = {root.string()};
  const auto cache = std::filesystem::temp_directory_path() / fmt::format("bavn_sigma_cache_{}", ::getpid());
  Options options;
  options.cache_file = cache.string();
  Result<RuleSet> cold = fail(Code::not_found, ""), warm = fail(Code::not_found, "");
  const double cold_s = seconds_of([&] { cold = load(paths, options); });
  const double warm_s = seconds_of([&] { warm = load(paths, options); });
  ASSERT_TRUE(cold && warm);
  EXPECT_FALSE(cold->from_cache);
  EXPECT_TRUE(warm->from_cache);
  EXPECT_EQ(cold->rules.size(), warm->rules.size());
  [[maybe_unused]] const double per_3000 = 3000.0 / static_cast<double>(cold->rules.size());
  fmt::print("{} rules: cold {:.3f} s, from the cache {:.3f} s ({} MB)\n", cold->rules.size(), cold_s, warm_s,
             std::filesystem::file_size(cache) / 1'000'000);
#ifndef BAVN_SANITIZED
  EXPECT_LT(cold_s * per_3000, 30.0);  // the aim is 3 s and 0.5 s on a machine that does nothing else
  EXPECT_LT(warm_s, cold_s);
#endif
  std::filesystem::remove(cache);
}

}  // namespace
}  // namespace bavn::match::sigma
