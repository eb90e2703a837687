#include "input/sources/syslog/framing.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace bavn::input::sources::syslog {
namespace {

using Messages = std::vector<std::string>;

Messages messages(std::string_view bytes, std::size_t step = 1000, std::size_t max = 1000) {
  Messages out;
  Framer framer(max);
  const auto take = [&](std::string_view m) { out.emplace_back(m); };
  for (std::size_t at = 0; at < bytes.size(); at += step) framer.feed(bytes.substr(at, step), take);
  framer.finish(take);
  return out;
}

TEST(SyslogFraming, CountedMessagesMayHoldLineEnds) {
  EXPECT_EQ(messages("10 <34>1 a\nbc5 <1> x"), (Messages{"<34>1 a\nbc", "<1> x"}));
}

TEST(SyslogFraming, LinesEndAtTheLineEndAndTheLastOneWithTheConnection) {
  EXPECT_EQ(messages("<34>one\n<35>two\r\n<36>three"), (Messages{"<34>one", "<35>two\r", "<36>three"}));
}

TEST(SyslogFraming, BothKindsMayBeMixedAndCutAnywhere) {
  using namespace std::string_view_literals;
  const std::string_view bytes = "<1>a\n8 <2>12345\n<3>b\n4 <4>c\0\0<5>d\n2026-01-01 no priority\n"sv;
  const Messages want = {"<1>a", "<2>12345", "<3>b", "<4>c", "<5>d", "2026-01-01 no priority"};
  for (std::size_t step = 1; step < 70; ++step) EXPECT_EQ(messages(bytes, step), want) << step;
}

TEST(SyslogFraming, WhatIsTooLongIsSkippedCountedAndTheNextIsRead) {
  for (const std::size_t step : {1U, 7U, 1000U}) {
    EXPECT_EQ(messages("<1>" + std::string(50, 'x') + "\n<2>b\n", step, 20), Messages{"<2>b"});
    EXPECT_EQ(messages("53 <1>" + std::string(50, 'x') + "4 <2>b", step, 20), Messages{"<2>b"});
  }
  Framer framer(20);
  framer.feed("999999999 <1>", [](std::string_view) {});
  EXPECT_EQ(framer.stats().too_long, 1U);
  EXPECT_EQ(framer.waiting(), 0U) << "nothing is kept for a message that will not be taken";
}

TEST(SyslogFraming, ACountedMessageThatIsCutOffIsNoMessage) {
  Framer framer(100);
  framer.feed("10 <1>", [](std::string_view) { FAIL(); });
  EXPECT_FALSE(framer.finish([](std::string_view) { FAIL(); }));
}

}  // namespace
}  // namespace bavn::input::sources::syslog
