#include "base/time.hpp"

#include <gtest/gtest.h>

#include <random>

namespace bavn {

TEST(Time, ReadsWhatLogsWrite) {
  const auto is = [](std::string_view in, std::string_view out) {
    auto t = parse_time(in);
    ASSERT_TRUE(t) << in;
    EXPECT_EQ(format_time(*t), out) << in;
  };
  is("2024-10-01T12:00:00Z", "2024-10-01T12:00:00Z");
  is("2024-10-01 12:00:00", "2024-10-01T12:00:00Z");
  is("2024-10-01T12:00:00.1234567Z", "2024-10-01T12:00:00.123456Z");
  is("2024-10-01T12:00:00+02:00", "2024-10-01T10:00:00Z");
  is("2021-01-27T01:28:11.488362+0100", "2021-01-27T00:28:11.488362Z");
  is("2024-02-29", "2024-02-29T00:00:00Z");
  is("1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000Z");
  for (std::string_view bad :
       {"", "x", "2024-13-01T00:00:00Z", "2024-10-01T25:00:00Z", "2024-10-01T12", "2024-10-01T12:00:00Q"})
    EXPECT_FALSE(parse_time(bad)) << bad;
}

TEST(Time, TheFormReadInOneGoIsReadAsAnyOther) {
  // With Z it is read eight bytes at a time, with an offset one by one.
  std::mt19937 random(1);
  for (int i = 0; i < 200'000; ++i) {
    std::string s = "2024-10-01T12:00:00.123456789";
    s.resize(random() % 3 == 0 ? 19 : 19 + random() % 11);
    for (char& c : s)
      if (c >= '0' && c <= '9' && random() % 4 == 0) c = static_cast<char>('0' + random() % 10);
    if (random() % 3 == 0)
      s[random() % s.size()] = static_cast<char>(random() % 2 == 0 ? random() : '0' + random() % 12);
    EXPECT_EQ(parse_time(s + "Z"), parse_time(s + "+00:00")) << s;
  }
}

TEST(Time, TellsEpochUnitsApartBySize) {
  for (std::string_view s : {"1578529839", "1578529839000", "1578529839000000", "1578529839000000000", "1578529839.0"})
    EXPECT_EQ(format_time(*parse_epoch(s)), "2020-01-09T00:30:39Z") << s;
  EXPECT_FALSE(parse_epoch("12a"));
  EXPECT_FALSE(parse_epoch("99999999999999999999999"));
}

TEST(Time, ReadsTheAmericanAndTheCtimeForm) {
  const auto at = parse_time("2022-08-22T18:11:52Z");
  EXPECT_EQ(parse_time("8/22/2022 6:11:52 PM"), at);
  EXPECT_EQ(parse_time("22-08-2022 18:11:52"), at);
  EXPECT_EQ(parse_time("22.08.2022 18.11.52"), at);
  EXPECT_EQ(parse_time("22.08.2022 18:11"), parse_time("2022-08-22T18:11:00Z"));
  EXPECT_FALSE(parse_time("22-08.2022 18:11:52"));
  EXPECT_FALSE(parse_time("31-13-2022 18:11:52"));
  EXPECT_EQ(parse_time("08/22/2022, 6:11:52.000 PM"), at);
  EXPECT_EQ(parse_time("8/2/2022 12:00:01 AM"), parse_time("2022-08-02T00:00:01Z"));
  EXPECT_EQ(parse_time("8/2/2022 12:00:01.25 pm"), parse_time("2022-08-02T12:00:01.25Z"));
  EXPECT_EQ(parse_time("Mon Aug 22 18:11:52 2022"), at);
  EXPECT_EQ(parse_time("Tue Aug  2 18:11:52 2022"), parse_time("2022-08-02T18:11:52Z"));
  EXPECT_EQ(parse_time("Tue Aug   2 18:11:52 2022"), parse_time("2022-08-02T18:11:52Z"));
  for (const char* bad : {"22/8/2022 6:11:52 PM", "8/22/2022 18:11:52", "8/22/2022 13:11:52 PM", "8/22/2022 6:11:52 XM",
                          "8/22/2022 6:11:52. PM", "Mon Foo 22 18:11:52 2022", "Mon Aug 22 18:11:52 22",
                          "Mon Aug 32 18:11:52 2022", "/////////////////////", "    Mon      "})
    EXPECT_FALSE(parse_time(bad)) << bad;
}

}  // namespace bavn
