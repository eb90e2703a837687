#include "match/sigma/lint.hpp"

#include <gtest/gtest.h>

#include "match/sigma/explain.hpp"
#include "match/sigma/load.hpp"

namespace bavn::match::sigma {
namespace {

RuleSet rules(const std::string& detections) {
  auto set = load_text(detections);
  EXPECT_TRUE(set);
  return set ? *std::move(set) : RuleSet{};
}

std::string rule(const std::string& product, const std::string& detection) {
  return "title: t\nlogsource: {product: " + product + "}\ndetection: " + detection + "\n---\n";
}

TEST(SigmaLint, NamesRulesThatNoSourceCanFeed) {
  const auto set =
      rules(rule("known", "{s: {A: 1}, condition: s}") +                             // fine
            rule("elsewhere", "{s: {A: 1}, condition: s}") +                         // log source
            rule("known", "{s: {A: 1, Gone: 2}, condition: s}") +                    // an AND that cannot hold
            rule("known", "{s: [{A: 1}, {Gone: 2}], condition: s}") +                // an OR that can
            rule("known", "{s: {A: 1}, f: {Gone: 2}, condition: s and not f}") +     // a filter that never filters
            rule("known", "{s: {A: 1, Gone: null}, condition: s}") +                 // is_null always holds
            rule("known", "{s: {A: 1}, f: {Gone: null}, condition: s and not f}") +  // and its negation never
            rule("known", "{s: {A|fieldref: Gone}, condition: s}") +                 // both fields are needed
            rule("known", "{k: ['word'], condition: k}"));                           // keywords need no field
  ASSERT_EQ(set.rules.size(), 9U);
  const Provided provided{[](const LogSource& l) { return l.product == "known"; },
                          [](const LogSource&, std::string_view field) { return field == "A"; }};
  const auto never = can_never_match(set, provided);
  ASSERT_EQ(never.size(), 4U);
  EXPECT_EQ(never[0].rule, 1U);
  EXPECT_EQ(never[0].why, "no known format delivers product=elsewhere");
  EXPECT_EQ(never[1].rule, 2U);
  EXPECT_EQ(never[1].missing_fields, std::vector<std::string>{"Gone"});
  EXPECT_EQ(never[2].rule, 6U);
  EXPECT_EQ(never[3].rule, 7U);
}

TEST(SigmaExplain, ShowsTheFoldedCondition) {
  const auto set =
      rules(rule("p",
                 "{s: {Image|endswith: '\\rar.exe', Line: 'a*b?', N|gt: 5, T|hour|lt: 6, X|re|i: 'y+', Z: null}, "
                 "f: {User|cased: 'Bob', Ip|cidr: 10.0.0.0/8, A|fieldref: B}, condition: s and not f}"));
  ASSERT_EQ(set.rules.size(), 1U);
  EXPECT_EQ(explain(set, set.rules[0].condition),
            "all of\n"
            "  Image ends with '\\rar.exe'\n"
            "  Line is like 'a*b?'\n"
            "  N > 5\n"
            "  hour of T (UTC) < 6\n"
            "  X matches /y+/i\n"
            "  Z is null\n"
            "  not all of\n"
            "    User = 'Bob' (case counts)\n"
            "    Ip is in 10.0.0.0/8\n"
            "    A = the field B\n");
}

TEST(SigmaExplain, CutsLongListsAndNamesCorrelations) {
  const auto set = rules(
      "title: R\nname: r\nlevel: low\nlogsource: {product: p, service: s}\ndetection: {s: {A: [1, 2, 3, 4]}, "
      "condition: s}\n---\n"
      "title: C\ncorrelation: {type: event_count, rules: [r], group-by: [U], timespan: 5m, condition: {gte: 10}}\n");
  ASSERT_EQ(set.correlations.size(), 1U);
  const std::string text = explain(set, set.rules[0], 2);
  EXPECT_NE(text.find("and 2 more"), std::string::npos) << text;
  EXPECT_NE(text.find("feeds the correlation: C"), std::string::npos) << text;
  EXPECT_NE(text.find("product=p service=s"), std::string::npos) << text;
  const std::string correlation = explain(set, set.correlations[0]);
  EXPECT_NE(correlation.find("event_count within 300 s, gte 10"), std::string::npos) << correlation;
  EXPECT_NE(correlation.find("for each U"), std::string::npos) << correlation;
}

}  // namespace
}  // namespace bavn::match::sigma
