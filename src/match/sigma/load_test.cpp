#include "match/sigma/load.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "match/sigma/cache.hpp"
#include "match/sigma/test_support.hpp"

namespace bavn::match::sigma {
namespace {

namespace fs = std::filesystem;

std::string rule(const std::string& name, const std::string& detection) {
  return fmt::format("title: {0}\nname: {0}\nlogsource: {{product: test}}\ndetection: {1}\n", name, detection);
}

std::string correlation(const std::string& name, const std::string& body) {
  return fmt::format("title: {0}\nname: {0}\ncorrelation: {{{1}}}\n", name, body);
}

RuleSet loaded(const std::string& text) {
  auto set = load_text(text);
  EXPECT_TRUE(set);
  return set ? *std::move(set) : RuleSet{};
}

std::string only_reason(const std::string& text) {
  const auto set = loaded(text);
  EXPECT_EQ(set.refused.size(), 1U);
  return set.refused.empty() ? "" : set.refused[0].reason;
}

class TemporaryFolder {
 public:
  TemporaryFolder() : path_(fs::temp_directory_path() / fmt::format("bavn_sigma_{}_{}", ::getpid(), ++count_)) {
    fs::create_directories(path_);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { fs::remove_all(path_); }
  std::string write(const std::string& name, const std::string& text) const {
    fs::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
    return (path_ / name).string();
  }
  std::string path(const std::string& name = "") const { return (path_ / name).string(); }

 private:
  static inline int count_ = 0;
  fs::path path_;
};

TEST(SigmaLoad, SameTestsOfSeveralRulesAreOnePredicate) {
  const auto set = loaded(rule("a", "{s: {A: X, B|contains: y}, condition: s}") + "---\n" +
                          rule("b", "{s: {A: x, B: [x, y]}, condition: s}"));
  ASSERT_EQ(set.rules.size(), 2U);
  EXPECT_EQ(set.predicates.size(), 4U);  // A=x, B contains y, B=x, B=y
}

TEST(SigmaLoad, TheConditionIsFlatWithoutDoubles) {
  const auto set =
      loaded(rule("a", "{s: {A: 1, B: 2}, t: {B: 2, C: [3, 3]}, condition: (s and (t and s)) and not not t}"));
  ASSERT_EQ(set.rules.size(), 1U);
  const Node& n = set.rules[0].condition;
  EXPECT_EQ(n.kind, Node::Kind::all_of);
  ASSERT_EQ(n.children.size(), 3U);
  for (const auto& c : n.children) EXPECT_EQ(c.kind, Node::Kind::leaf);
}

TEST(SigmaLoad, TheDescriptionOfARuleIsKept) {
  const auto set = loaded(
      "title: T\nid: i-1\nname: n\nstatus: test\nlevel: high\ndescription: d\nauthor: a\ndate: 2025-01-02\nmodified: "
      "2025-02-03\n"
      "tags: [attack.t1059, attack.execution]\nreferences: https://example.org/x\nfalsepositives: [none]\nfields: [A, "
      "B]\n"
      "logsource: {product: Windows, category: Process_Creation, service: S, definition: D}\ndetection: {s: {A: 1}, "
      "condition: s}\n");
  ASSERT_EQ(set.rules.size(), 1U);
  const Rule& r = set.rules[0];
  EXPECT_EQ(r.meta.id, "i-1");
  EXPECT_EQ(r.meta.level, Level::high);
  EXPECT_EQ(r.meta.tags.size(), 2U);
  EXPECT_EQ(r.meta.references, std::vector<std::string>{"https://example.org/x"});
  EXPECT_EQ(r.meta.fields.size(), 2U);
  EXPECT_EQ(r.meta.modified, "2025-02-03");
  EXPECT_EQ(r.logsource.product, "windows");
  EXPECT_EQ(r.logsource.category, "process_creation");
  EXPECT_EQ(r.logsource.definition, "D");
  EXPECT_TRUE(set.warnings.empty());
}

TEST(SigmaLoad, AnUnknownLevelAndAMissingTitleAreWarnings) {
  const auto set = loaded("name: n\nlevel: huge\nlogsource: {product: x}\ndetection: {s: {A: 1}, condition: s}\n");
  ASSERT_EQ(set.rules.size(), 1U);
  EXPECT_EQ(set.warnings.size(), 2U);
  EXPECT_EQ(set.rules[0].meta.title, "n");
}

TEST(SigmaLoad, OneBrokenDocumentDoesNotHideTheOthersAndIsNamedByLine) {
  const auto set = loaded(rule("a", "{s: {A: 1}, condition: s}") + "---\ntitle: broken\ndetection: [}\n---\n" +
                          rule("b", "{s: {A: 1}, condition: t}") + "---\n" + rule("c", "{s: {A: 1}, condition: s}"));
  EXPECT_EQ(set.rules.size(), 2U);
  ASSERT_EQ(set.refused.size(), 2U);
  EXPECT_EQ(set.refused[0].line, 7U);
  EXPECT_EQ(set.refused[1].title, "b");
  EXPECT_EQ(set.refused[1].line, 12U);
}

TEST(SigmaCorrelation, AllTypesAndTheirPartsAreRead) {
  const std::string base =
      rule("r1", "{s: {A: 1}, condition: s}") + "---\n" + rule("r2", "{s: {A: 2}, condition: s}") + "---\n";
  const auto set = loaded(
      base +
      correlation("ec",
                  "type: event_count, rules: [r1, r2], group-by: [h], timespan: 90m, condition: {gt: 100, lte: 200}") +
      "---\n" + correlation("vc", "type: value_count, rules: r1, timespan: 1d, condition: {field: [U, V], gte: 3}") +
      "---\n" +
      correlation("t",
                  "type: temporal, rules: [r1, r2], group-by: [ip], timespan: 10s, aliases: {ip: {r1: src, r2: dst}}") +
      "---\n" + correlation("to", "type: temporal_ordered, rules: [r1, r2], timespan: 1w, condition: r1 and not r2") +
      "---\n" + correlation("vs", "type: value_sum, rules: [r1], timespan: 1h, condition: {field: bytes, gt: 1.5}") +
      "---\n" + correlation("va", "type: value_avg, rules: [r1], timespan: 1h, condition: {field: bytes, lt: 5}") +
      "---\n" +
      correlation(
          "vp",
          "type: value_percentile, rules: [r1], timespan: 1h, condition: {field: bytes, neq: 5, percentile: 95}") +
      "---\n" + correlation("vm", "type: value_median, rules: [r1], timespan: 1h, condition: {field: bytes, eq: 5}"));
  for (const auto& r : set.refused) ADD_FAILURE() << r.title << ": " << r.reason;
  ASSERT_EQ(set.correlations.size(), 8U);
  const auto& ec = set.correlations[0];
  EXPECT_EQ(ec.type, CorrelationType::event_count);
  EXPECT_EQ(ec.timespan, std::chrono::minutes(90));
  ASSERT_EQ(ec.bounds.size(), 2U);
  EXPECT_TRUE(ec.bounds[0].holds(101) && !ec.bounds[0].holds(100));
  EXPECT_TRUE(ec.bounds[1].holds(200) && !ec.bounds[1].holds(201));
  EXPECT_EQ(set.correlations[1].fields, (std::vector<std::string>{"U", "V"}));
  EXPECT_TRUE(set.correlations[1].group_by.empty());
  const auto& t = set.correlations[2];
  EXPECT_EQ(t.field_in("ip", 0), "src");
  EXPECT_EQ(t.field_in("ip", 1), "dst");
  EXPECT_EQ(t.field_in("other", 1), "other");
  const auto& to = set.correlations[3];
  EXPECT_EQ(to.timespan, std::chrono::days(7));
  ASSERT_TRUE(to.has_expression);
  EXPECT_EQ(to.expression.kind, Node::Kind::all_of);
  EXPECT_EQ(to.expression.children[0].predicate, 0U);
  EXPECT_EQ(to.expression.children[1].children[0].predicate, 1U);
  EXPECT_EQ(set.correlations[6].percentile, 95);
  EXPECT_EQ(set.correlations[7].type, CorrelationType::value_percentile);
  EXPECT_EQ(set.correlations[7].percentile, 50);
}

TEST(SigmaCorrelation, ReferredRulesAreQuietUnlessGenerateIsSet) {
  const std::string base = rule("r1", "{s: {A: 1}, condition: s}") + "---\n" + rule("r2", "{s: {A: 2}, condition: s}") +
                           "---\n" + rule("r3", "{s: {A: 3}, condition: s}") + "---\n";
  const auto set =
      loaded(base + correlation("c1", "type: event_count, rules: [r1], timespan: 1m, condition: {gte: 2}") + "---\n" +
             correlation("c2", "type: event_count, rules: [r2], timespan: 1m, condition: {gte: 2}, generate: true") +
             "---\n" + correlation("c3", "type: temporal_ordered, rules: [c1, r3], timespan: 1m"));
  ASSERT_EQ(set.correlations.size(), 3U);
  EXPECT_FALSE(set.rules[0].reports);
  EXPECT_TRUE(set.rules[1].reports);
  EXPECT_FALSE(set.rules[2].reports);
  EXPECT_FALSE(set.correlations[0].reports);
  EXPECT_TRUE(set.correlations[1].reports);
  EXPECT_TRUE(set.correlations[2].reports);
  EXPECT_EQ(set.correlations[2].rules[0].is_correlation, true);
  EXPECT_EQ(set.correlations[2].rules[0].index, 0U);
  EXPECT_EQ(set.correlations[0].correlations, std::vector<std::uint32_t>{2});
  EXPECT_EQ(set.rules[2].correlations, std::vector<std::uint32_t>{2});
}

TEST(SigmaCorrelation, ARefusedOneTakesItsDependantsWithItAndKeepsItsRulesQuiet) {
  const auto set = loaded(rule("r1", "{s: {A: 1}, condition: s}") + "---\n" +
                          correlation("c1", "type: event_count, rules: [r1, gone], timespan: 1m, condition: {gte: 2}") +
                          "---\n" + correlation("c2", "type: temporal, rules: [c1, r1], timespan: 1m") + "---\n" +
                          correlation("c3", "type: event_count, rules: [r1], timespan: 1m, condition: {gte: 2}"));
  ASSERT_EQ(set.correlations.size(), 1U);
  EXPECT_EQ(set.correlations[0].meta.name, "c3");
  ASSERT_EQ(set.refused.size(), 2U);
  EXPECT_NE(set.refused[0].reason.find("'gone', which is not loaded"), std::string::npos);
  EXPECT_NE(set.refused[1].reason.find("'c1', which was refused"), std::string::npos);
  EXPECT_FALSE(set.rules[0].reports);
  EXPECT_EQ(set.rules[0].correlations, std::vector<std::uint32_t>{0});
  EXPECT_FALSE(set.warnings.empty());
}

TEST(SigmaCorrelation, CirclesAreRefused) {
  const auto set = loaded(correlation("c1", "type: temporal, rules: [c2], timespan: 1m") + "---\n" +
                          correlation("c2", "type: temporal, rules: [c1], timespan: 1m") + "---\n" +
                          correlation("c3", "type: temporal, rules: [c3], timespan: 1m"));
  EXPECT_TRUE(set.correlations.empty());
  ASSERT_EQ(set.refused.size(), 3U);
  for (const auto& r : set.refused) EXPECT_NE(r.reason.find("circle"), std::string::npos) << r.reason;
}

TEST(SigmaCorrelation, ALongChainIsReadWithoutRecursion) {
  std::string text = rule("c0", "{s: {A: 1}, condition: s}");
  for (int i = 1; i <= 20'000; ++i)
    text +=
        "---\n" + correlation(fmt::format("c{}", i), fmt::format("type: temporal, rules: [c{}], timespan: 1m", i - 1));
  EXPECT_EQ(loaded(text).correlations.size(), 20'000U);
}

TEST(SigmaCorrelation, MistakesAreExplained) {
  const std::string r = rule("r", "{s: {A: 1}, condition: s}") + "---\n";
  const auto reason = [&](const std::string& body) { return only_reason(r + correlation("c", body)); };
  EXPECT_NE(reason("rules: [r], timespan: 1m").find("has no type"), std::string::npos);
  EXPECT_NE(reason("type: event_counts, rules: [r], timespan: 1m").find("is unknown"), std::string::npos);
  EXPECT_NE(reason("type: event_count, rules: [r], timespan: 1m").find("needs a condition"), std::string::npos);
  EXPECT_NE(reason("type: event_count, rules: [r], condition: {gte: 1}").find("has no timespan"), std::string::npos);
  EXPECT_NE(reason("type: event_count, rules: [r], timespan: 1.5h, condition: {gte: 1}").find("is not understood"),
            std::string::npos);
  EXPECT_NE(reason("type: event_count, rules: [r], timespan: 0m, condition: {gte: 1}").find("is not understood"),
            std::string::npos);
  EXPECT_NE(reason("type: event_count, rules: [r], timespan: 99999999999d, condition: {gte: 1}").find("longer than"),
            std::string::npos);
  EXPECT_NE(reason("type: event_count, rules: [], timespan: 1m, condition: {gte: 1}").find("refers to no rule"),
            std::string::npos);
  EXPECT_NE(reason("type: event_count, rules: [r], timespan: 1m, condition: {ge: 1}").find("has no 'ge'"),
            std::string::npos);
  EXPECT_NE(reason("type: event_count, rules: [r], timespan: 1m, condition: {gte: x}").find("is no number"),
            std::string::npos);
  EXPECT_NE(reason("type: event_count, rules: [r], timespan: 1m, condition: gte 1").find("is a map"),
            std::string::npos);
  EXPECT_NE(reason("type: value_sum, rules: [r], timespan: 1m, condition: {gte: 1}").find("needs 'field'"),
            std::string::npos);
  EXPECT_NE(
      reason("type: value_sum, rules: [r], timespan: 1m, condition: {gte: 1, field: [a, b]}").find("takes one field"),
      std::string::npos);
  EXPECT_NE(reason("type: value_percentile, rules: [r], timespan: 1m, condition: {gte: 1, field: a, percentile: 101}")
                .find("0 to 100"),
            std::string::npos);
  EXPECT_NE(reason("type: temporal, rules: [r], timespan: 1m, groupby: [x]").find("did you mean 'group-by'"),
            std::string::npos);
  EXPECT_NE(reason("type: temporal, rules: [r], timespan: 1m, aliases: {x: {q: y}}").find("none of its rules"),
            std::string::npos);
  EXPECT_NE(reason("type: temporal, rules: [r], timespan: 1m, condition: r and q").find("is not defined"),
            std::string::npos);
}

TEST(SigmaCorrelation, ANameInTheSameFileComesFirstAndAnAmbiguousOneIsRefused) {
  const std::pair<std::string, std::string> texts[] = {
      {"a.yml", rule("login", "{s: {A: 1}, condition: s}")},
      {"b.yml", rule("login", "{s: {A: 2}, condition: s}") + "---\n" +
                    correlation("here", "type: event_count, rules: [login], timespan: 1m, condition: {gte: 2}")},
      {"c.yml", correlation("elsewhere", "type: event_count, rules: [login], timespan: 1m, condition: {gte: 2}")}};
  const auto set = load_texts(texts);
  ASSERT_TRUE(set);
  ASSERT_EQ(set->correlations.size(), 1U);
  EXPECT_EQ(set->correlations[0].rules[0].index, 1U);
  ASSERT_EQ(set->refused.size(), 1U);
  EXPECT_NE(set->refused[0].reason.find("several rules"), std::string::npos);
}

TEST(SigmaLoad, FoldersAreSearchedAndOtherFilesLeftAlone) {
  const TemporaryFolder folder;
  folder.write("a.yml", rule("a", "{s: {A: 1}, condition: s}"));
  folder.write("deep/er/b.YAML", rule("b", "{s: {A: 1}, condition: s}"));
  folder.write("notes.txt", "not a rule");
  const std::string paths[] = {folder.path(), folder.path("a.yml")};
  const auto set = load(paths);
  ASSERT_TRUE(set);
  EXPECT_EQ(set->rules.size(), 2U);
  EXPECT_EQ(set->files, 2U);  // a.yml is named twice and read once
  const std::string missing[] = {folder.path("nowhere")};
  EXPECT_FALSE(load(missing));
}

TEST(SigmaCache, IsUsedWhileNothingChangedAndMadeAnewWhenAnythingDid) {
  const TemporaryFolder folder;
  folder.write("rules/a.yml", rule("a", "{s: {A|expand: '%p%', B|re|i: x+}, condition: s}"));
  const std::string paths[] = {folder.path("rules")};
  Options options{folder.write("placeholders", "p = 1\n"), folder.path("cache")};
  const auto from_cache = [&] {
    const auto set = load(paths, options);
    EXPECT_TRUE(set);
    return set && set->from_cache;
  };
  EXPECT_FALSE(from_cache());
  EXPECT_TRUE(from_cache());
  folder.write("placeholders", "p = 2\n");
  EXPECT_FALSE(from_cache());
  EXPECT_TRUE(from_cache());
  folder.write("rules/b.yml", rule("b", "{s: {A: 1}, condition: s}"));
  EXPECT_FALSE(from_cache());
  EXPECT_TRUE(from_cache());
  folder.write("rules/b.yml", rule("b", "{s: {A: 12}, condition: s}"));
  EXPECT_FALSE(from_cache());
  fs::remove(folder.path("rules/b.yml"));
  EXPECT_FALSE(from_cache());
  fs::last_write_time(folder.path("rules/a.yml"), fs::file_time_type::clock::now() - std::chrono::hours(1));
  EXPECT_FALSE(from_cache());
}

TEST(SigmaCache, ADamagedOneIsIgnoredWithAWarningAndReplaced) {
  const TemporaryFolder folder;
  folder.write("rules/a.yml", rule("a", "{s: {A: 1, B|re: x+}, condition: s}"));
  const std::string paths[] = {folder.path("rules")};
  Options options{"", folder.path("cache")};
  ASSERT_TRUE(load(paths, options));
  const std::string good = testing::read_text(folder.path("cache"));
  for (std::size_t at = 0; at < good.size(); at += 3) {
    for (const bool cut : {false, true}) {
      std::string bad = cut ? good.substr(0, at) : good;
      if (!cut) bad[at] = static_cast<char>(bad[at] ^ 0x41);
      folder.write("cache", bad);
      const auto set = load(paths, options);
      ASSERT_TRUE(set);
      EXPECT_FALSE(set->from_cache) << "byte " << at;
      EXPECT_EQ(set->rules.size(), 1U);
    }
  }
  folder.write("cache", "nonsense");
  const auto set = load(paths, options);
  ASSERT_TRUE(set);
  EXPECT_EQ(set->warnings.size(), 1U);
  EXPECT_TRUE(load(paths, options)->from_cache);
}

TEST(SigmaCache, OneThatCannotBeWrittenIsAWarning) {
  const TemporaryFolder folder;
  folder.write("a.yml", rule("a", "{s: {A: 1}, condition: s}"));
  const std::string paths[] = {folder.path("a.yml")};
  Options options{"", folder.path("no/such/folder/cache")};
  const auto set = load(paths, options);
  ASSERT_TRUE(set);
  EXPECT_EQ(set->warnings.size(), 1U);
}

TEST(SigmaCache, BringsBackEverything) {
  const auto set = loaded(
      "title: R\nid: i\nname: r\nlevel: low\ntags: [x.y]\nlogsource: {product: p, service: s}\n"
      "detection: {s: {A|cidr: 10.0.0.0/8, B|fieldref|endswith: C, D|hour|gt: 3, E|lt: 4, F: 'a*b', G: null}, "
      "condition: s}\n---\n" +
      correlation("c", "type: temporal, rules: [r], timespan: 1m, aliases: {x: {r: q}}, condition: r") +
      "---\ntitle: F\nlogsource: {product: p}\nfilter: {rules: any, s: {X: 1}, condition: not s}\n---\ntitle: bad\n");
  ASSERT_EQ(set.correlations.size(), 1U);
  const std::string bytes = encode_cache(set, "key");
  const auto back = decode_cache(bytes, "key");
  ASSERT_TRUE(back) << to_string(back.error());
  EXPECT_EQ(encode_cache(*back, "key"), bytes);
  EXPECT_EQ(back->rules[0].condition, set.rules[0].condition);
  EXPECT_EQ(back->rules[0].meta.tags, set.rules[0].meta.tags);
  EXPECT_EQ(back->filters.size(), 1U);
  EXPECT_EQ(back->refused.size(), 1U);
  EXPECT_EQ(decode_cache(bytes, "other").error().code, Code::not_found);
}

}  // namespace
}  // namespace bavn::match::sigma
