#include "app/simulate/world.hpp"

#include <gtest/gtest.h>

#include "app/simulate/scenario.hpp"

namespace bavn::app::simulate {
namespace {

// October 2024's numbers with fewer municipalities around: the whole way, from the sender's node noticing to the receiver's mailboxes.
constexpr std::string_view kOctober = R"(
name: october_small
start: 2024-10-25T06:00:00Z
lasts: 8h
quiet_days: 1d
past_days: 5d
municipalities: 4
benign: {scale: 0.1}
people: {click_rate: 0.0025, report_rate: 0}
purge: {mandate: all}
attacks:
  - name: gentofte
    at: -1h
    outcome: warned
    steps:
      - {id: taken, do: takeover, account: mette.krogh@Gentofte}
      - id: wave
        do: mail
        account: mette.krogh@Gentofte
        after: taken
        wait: 1h
        to: [{towns: Lyngby-Taarbæk, mails: 791}, {towns: 2, mails: 60}]
        mail: {subjects: [Faktura, Betaling], links: ["https://bio.link/orbes"], login_form: true, wordings: 4}
)";

TEST(World, All791OfOctoberAreFoundMovedUndoneAndMovedAgainEachCountedInTheMailboxes) {
  const auto file = read_scenario(kOctober);
  for (const auto& f : file.faults) ADD_FAILURE() << to_string(f, "october");
  const auto outcome = World(file.scenario, 1, true).run();
  ASSERT_TRUE(outcome) << outcome.error().what;
  EXPECT_TRUE(outcome->as_expected);
  EXPECT_EQ(outcome->purges.size(), 3U);
  bool lyngby = false;
  for (const auto& p : outcome->purges) {
    EXPECT_EQ(p.found, p.delivered) << p.town;
    EXPECT_EQ(p.removed, p.delivered) << p.town << p.why;
    EXPECT_EQ(p.left, 0) << p.town;
    ASSERT_TRUE(p.again) << p.town;
    EXPECT_EQ(p.again->undone, p.delivered) << p.town << p.again->trouble;
    EXPECT_EQ(p.again->there, p.delivered) << p.town;
    EXPECT_EQ(p.again->redone, p.delivered) << p.town << p.again->trouble;
    EXPECT_EQ(p.again->left, 0) << p.town;
    if (p.town != "Lyngby-Taarbæk") continue;
    lyngby = true;
    EXPECT_EQ(p.delivered, 791);
  }
  EXPECT_TRUE(lyngby);
  const std::string text = report_text(*outcome, file.scenario);
  EXPECT_NE(
      text.find("Lyngby-Taarbæk               791     791     791       0       0     791     791     791       0"),
      std::string::npos)
      << text;
}

TEST(World, AWarningReachesEveryNodeOverAWireThatIsCutOften) {
  std::string text(kOctober);
  text.replace(text.find("lasts: 8h"), 9, "lasts: 3h");
  text +=
      "wire: {delay: 1s..20s, cut: 0.1, duplicate: 0.1}\nexpect: {warnings_missed: \"== 0\", warnings_doubled: \"== "
      "0\"}\n";
  const auto file = read_scenario(text);
  ASSERT_TRUE(file.faults.empty());
  const auto outcome = World(file.scenario, 1).run();
  ASSERT_TRUE(outcome) << outcome.error().what;
  EXPECT_EQ(outcome->get("warnings_missed"), 0);
  EXPECT_EQ(outcome->get("warnings_doubled"), 0);
  EXPECT_GE(outcome->get("warnings").value_or(0), 1);
}

}  // namespace
}  // namespace bavn::app::simulate
