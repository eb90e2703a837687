#include "app/simulate/scenario.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "app/simulate/fields.hpp"
#include "app/simulate/towns.hpp"
#include "base/content.hpp"

namespace bavn::app::simulate {
namespace {

std::string read(const std::string& path) {
  std::ifstream in(std::string(BAVN_SOURCE_DIR) + "/" + path);
  std::ostringstream all;
  all << in.rdbuf();
  return all.str();
}

TEST(Scenario, EveryFaultIsNamedWithLineAndFix) {
  for (const std::string name : {"wrong", "wrong_more", "wrong_places", "wrong_zone"}) {
    const auto file = read_scenario(read("src/app/simulate/tests/" + name + ".yaml"));
    std::string got;
    for (const auto& f : file.faults) {
      got += to_string(f, name + ".yaml") + "\n";
      EXPECT_FALSE(f.fix.empty()) << f.what;
      EXPECT_GT(f.line, 0U) << f.what;
    }
    // `UPDATE_GOLDEN=1 app_tests` writes it anew; the difference is reviewed like code.
    const std::string golden = "src/app/simulate/tests/" + name + ".expected";
    if (std::getenv("UPDATE_GOLDEN") != nullptr) std::ofstream(std::string(BAVN_SOURCE_DIR) + "/" + golden) << got;
    EXPECT_EQ(got, read(golden));
  }
}

TEST(Scenario, WhoIsNamedIsAmongThoseThatAreDrawn) {
  const auto file = read_scenario(
      "name: x\nstart: 2024-10-25T06:00:00Z\nmunicipalities: 5\nattacks:\n"
      "  - {name: a, steps: [{do: takeover, account: a.b@Odense}]}\n");
  EXPECT_TRUE(file.faults.empty());
  for (std::uint64_t seed = 1; seed < 20; ++seed) {
    const Towns towns(file.scenario, seed);
    EXPECT_EQ(towns.size(), 5U);
    EXPECT_NE(towns.account("a.b@Odense", "a").first, Towns::kNone) << seed;
  }
}

TEST(Scenario, AllThatComeWithBavnAreRight) {
  int seen = 0;
  for (const auto path : content::list("content/scenarios/")) {
    if (!path.ends_with(".yaml") || path.find("/benign/") != std::string_view::npos) continue;
    ++seen;
    const auto file = read_scenario(*content::file(path));
    for (const auto& f : file.faults) ADD_FAILURE() << to_string(f, path);
    EXPECT_FALSE(file.scenario.about.empty()) << path;
    EXPECT_FALSE(file.scenario.expect.empty() &&
                 std::all_of(file.scenario.attacks.begin(), file.scenario.attacks.end(),
                             [](const auto& a) { return a.outcome.empty(); }) &&
                 file.scenario.name != "mixed_attacks")
        << path << " expects nothing: it cannot fail";
  }
  EXPECT_GE(seen, 16);
}

TEST(Scenario, TheCatalogueOfQuietMailHoldsTheKindsOfTheField) {
  const Benign b = everyday();
  double a_day = 0;
  for (const auto& k : b.kinds) {
    a_day += k.per_day;
    EXPECT_FALSE(k.name.empty());
    EXPECT_TRUE(k.from == "outside" || k.from == "member_person" || k.from == "member_function") << k.name;
    EXPECT_EQ(k.from == "outside", !k.senders.empty()) << k.name;
    EXPECT_LE(k.towns_low, k.towns_high) << k.name;
    EXPECT_LE(k.people_low, k.people_high) << k.name;
    EXPECT_FALSE(k.mail.subjects.empty()) << k.name;
  }
  EXPECT_NEAR(a_day, 300, 100);
  EXPECT_GE(b.events.size(), 8U);
}

TEST(Scenario, TheDocumentationHoldsEveryField) {
  const std::string docs = read("docs/scenarios.md"), fields = explain_scenario();
  EXPECT_NE(docs.find(fields), std::string::npos)
      << "docs/scenarios.md is not what `bavn simulate --explain` says; replace its tables";
}

TEST(Scenario, NoBytesMakeItFall) {
  const std::string whole = read("content/scenarios/2024-10.yaml");
  for (std::size_t cut = 0; cut < whole.size(); cut += 37) (void)read_scenario(std::string_view(whole).substr(0, cut));
  std::string spoiled = whole;
  for (std::size_t at = 0; at < spoiled.size(); at += 11) {
    const char before = spoiled[at];
    for (const char c : {'\0', '\xff', ':', '[', '&'}) {
      spoiled[at] = c;
      (void)read_scenario(spoiled);
    }
    spoiled[at] = before;
  }
  EXPECT_FALSE(read_scenario("").faults.empty());
  EXPECT_FALSE(read_scenario("[1, 2]").faults.empty());
  EXPECT_FALSE(read_scenario(std::string(9'000'000, 'x')).faults.empty());
}

TEST(Scenario, DurationsAreReadAsTheyAreWritten) {
  using namespace std::chrono_literals;
  EXPECT_EQ(parse_duration("90s"), Duration(90s));
  EXPECT_EQ(parse_duration("-24h"), Duration(-24h));
  EXPECT_EQ(parse_duration("1.5 h"), Duration(90min));
  EXPECT_EQ(parse_duration("3d"), Duration(72h));
  EXPECT_EQ(parse_duration("0"), Duration(0));
  for (const char* bad : {"", "h", "5", "5 weeks", "1e99d", "--3h", "5m5m"}) EXPECT_FALSE(parse_duration(bad)) << bad;
  for (const Duration d : {Duration(90s), Duration(24h), Duration(5min), Duration(250ms), Duration(0)})
    EXPECT_EQ(parse_duration(format_duration(d)), d) << format_duration(d);
}

}  // namespace
}  // namespace bavn::app::simulate
