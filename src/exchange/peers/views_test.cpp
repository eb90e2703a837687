#include "exchange/peers/views.hpp"

#include <gtest/gtest.h>

#include "match/indicators/load.hpp"

namespace bavn::exchange {
namespace {

namespace mi = match::indicators;

TEST(CsvView, IsReadBackAsItWas) {
  std::vector<Known> all(3);
  all[0].indicator = {.kind = event::Kind::url,
                      .value = "evil.example/a,b?q=\"x\"",
                      .source = "NorCERT: ESET",
                      .confidence = 77,
                      .tlp = event::Tlp::amber_strict,
                      .valid_from = from_micros(1'700'000'000'000'000),
                      .valid_until = from_micros(1'900'000'000'000'000),
                      .action = mi::Action::block,
                      .comment = "said \"so\",\nlate"};
  all[1].indicator = {.kind = event::Kind::domain,
                      .value = "evil.example",
                      .source = "a",
                      .tlp = event::Tlp::clear,
                      .comment = "plain"};
  all[2].indicator = {
      .kind = {}, .value = "[domain-name:value = 'x.example']", .source = "a", .tlp = event::Tlp::green, .comment = ""};
  const auto text = csv_view().write(all, {});
  ASSERT_TRUE(text);
  std::vector<mi::Indicator> back;
  const auto report = mi::load_bytes(*text, "list.csv", [&](const mi::Indicator& i) -> Result<void> {
    back.push_back(i);
    return {};
  });
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_EQ(report->refused_count(), 0U);
  ASSERT_EQ(back.size(), 3U);
  for (std::size_t n = 0; n < 3; ++n) {
    EXPECT_EQ(back[n].kind, all[n].indicator.kind);
    EXPECT_EQ(back[n].value, all[n].indicator.value);
    EXPECT_EQ(back[n].source, all[n].indicator.source);
    EXPECT_EQ(back[n].tlp, all[n].indicator.tlp);
    EXPECT_EQ(back[n].action, all[n].indicator.action);
    EXPECT_EQ(back[n].confidence, all[n].indicator.confidence);
    EXPECT_EQ(back[n].valid_until, all[n].indicator.valid_until);
  }
}

TEST(CsvView, ACommentIsNoFormula) {
  std::vector<Known> all(1);
  all[0].indicator = {.kind = event::Kind::domain, .value = "evil.example", .source = "a", .comment = "=HYPERLINK(1)"};
  const auto text = csv_view().write(all, {});
  ASSERT_TRUE(text);
  EXPECT_NE(text->find(", =HYPERLINK"), std::string::npos) << *text;
}

}  // namespace
}  // namespace bavn::exchange
