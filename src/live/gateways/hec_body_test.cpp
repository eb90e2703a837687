#include "live/gateways/hec_body.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

#include "base/json_writer.hpp"

namespace bavn::live::testing {
namespace {

// What decides where an event ends are quotes and backslashes, wherever a block of 64 bytes begins.
TEST(HecBody, EventsComeOutAsTheyWentInWhateverStandsInTheirTexts) {
  std::mt19937 random(20241025);
  constexpr std::string_view kPieces[] = {"\\", "\"", "{", "}", "[", "]", ":", ",", "æ", " ", "text", "\\\\\\\\\\\\\\"};
  for (int round = 0; round < 400; ++round) {
    std::vector<std::string> events;
    std::string body;
    for (int n = 0; n < 8; ++n) {
      std::string text;
      for (auto pieces = random() % 60; pieces > 0; --pieces) text += kPieces[random() % std::size(kPieces)];
      std::string& event = events.emplace_back("{\"a\":");
      append_json_string(event, text);
      event += ",\"b\":[{\"c\":[1,2]},null]}";
      body.append(random() % 70, ' ');
      if (random() % 2 == 0) body += "{\"event\": " + event + " , \"ignored\" :{\"event\":1}}";
      else body += "{\"ignored\":[\",\"],\"event\":" + event + "\n}";
    }
    const auto lines = read_hec_events(body, {});
    ASSERT_TRUE(lines) << body;
    std::string expected;
    for (const std::string& event : events) expected += event + "\n";
    ASSERT_EQ(lines->lines, expected) << body;
  }
}

TEST(HecBody, OneEventThatIsNoJsonIsNamedAndTheBodyIsNotTaken) {
  const std::string good = R"({"event":{"a":1},"host":"h"})";
  for (const std::string_view bad :
       {R"({"event":{"a":1}]})", R"({"event":{"a":"})", R"({"event":"a\"})", R"({"event":{"a":1},,"host":1})",
        R"(["event"])", "x", R"({"event":})", R"({event:1})", R"({"event":1]})"}) {
    const auto lines = read_hec_events(good + good + std::string(bad) + good, {});
    ASSERT_FALSE(lines) << bad;
    EXPECT_EQ(lines.error().code, 6) << bad;
    EXPECT_EQ(lines.error().event, 2) << bad;
  }
  const auto none = read_hec_events(good + R"({"time":1, "event" : null})", {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, 12);
  EXPECT_EQ(none.error().event, 1);
}

}  // namespace
}  // namespace bavn::live::testing
