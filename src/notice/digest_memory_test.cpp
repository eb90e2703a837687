#include "notice/digest_memory.hpp"

#include <gtest/gtest.h>

#include <map>

#include "base/hash.hpp"

namespace bavn::notice {

namespace {

std::uint64_t thing(std::uint64_t n) {
  return hash64({reinterpret_cast<const char*>(&n), sizeof n}, 7);
}

TEST(NoveltyMemory, AThingIsNewOnceInNinetyDays) {
  NoveltyMemory m;
  EXPECT_FALSE(m.see(1, 20'000).known);
  EXPECT_TRUE(m.see(1, 20'000).known);
  EXPECT_TRUE(m.see(1, 20'090).known);
  const auto later = m.see(1, 20'180);
  EXPECT_TRUE(later.known);
  EXPECT_EQ(later.first_day, 20'000);
  EXPECT_EQ(later.before, 3U);
  EXPECT_FALSE(m.look(1, 20'271).known);
  EXPECT_FALSE(m.see(1, 20'271).known);
  EXPECT_EQ(m.see(1, 20'271).first_day, 20'271);
}

TEST(NoveltyMemory, ItKnowsWhatAPlainMapKnows) {
  NoveltyMemory m(1'000'000, 90);
  std::map<std::uint64_t, std::uint16_t> plain;
  std::uint64_t n = 0x9E3779B97F4A7C15ULL;
  for (int i = 0; i < 200'000; ++i) {
    n = n * 6364136223846793005ULL + 1442695040888963407ULL;
    const auto t = thing((n >> 33U) % 30'000);
    const auto day = static_cast<std::uint16_t>(20'000 + i / 500);
    const auto at = plain.find(t);
    const bool known = at != plain.end() && day - at->second <= 90;
    ASSERT_EQ(m.see(t, day).known, known) << i;
    plain[t] = day;
  }
  EXPECT_EQ(m.forgotten(), 0U);
}

TEST(NoveltyMemory, FullItForgetsTheOldestAndSaysSo) {
  NoveltyMemory m(10'000, 90);
  for (std::uint64_t i = 0; i < 30'000; ++i) m.see(thing(i), static_cast<std::uint16_t>(20'000 + i / 1000));
  EXPECT_LE(m.size(), 10'000U);
  EXPECT_LE(m.bytes(), 16U * 32'768U);
  EXPECT_GT(m.forgotten(), 0U);
  EXPECT_TRUE(m.look(thing(29'999), 20'029).known);
  EXPECT_FALSE(m.look(thing(0), 20'029).known);
  EXPECT_EQ(m.size() + m.forgotten(), 30'000U);
}

TEST(NoveltyMemory, ADayWithMoreThanFitsDoesNotGrow) {
  NoveltyMemory m(1000, 90);
  for (std::uint64_t i = 0; i < 100'000; ++i) m.see(thing(i), 20'000);
  EXPECT_LE(m.size(), 1000U);
  EXPECT_GT(m.forgotten(), 90'000U);
}

TEST(NoveltyMemory, WhatIsOverMakesRoomFirst) {
  NoveltyMemory m(10'000, 90);
  for (std::uint64_t i = 0; i < 9'000; ++i) m.see(thing(i), 20'000);
  for (std::uint64_t i = 0; i < 9'000; ++i) m.see(thing(100'000 + i), 20'091);
  EXPECT_EQ(m.forgotten(), 0U);
}

TEST(NoveltyMemory, SavedItIsTheSame) {
  NoveltyMemory m(50'000, 90);
  for (std::uint64_t i = 0; i < 20'000; ++i) m.see(thing(i % 7000), static_cast<std::uint16_t>(20'000 + i / 400));
  std::string bytes;
  ByteWriter w(bytes);
  m.save(w);
  NoveltyMemory again(50'000, 90);
  ByteReader r(bytes);
  ASSERT_TRUE(again.load(r));
  EXPECT_EQ(r.left(), 0U);
  EXPECT_EQ(again.size(), m.size());
  EXPECT_EQ(again.since_day(), 20'000);
  for (std::uint64_t i = 0; i < 7000; ++i)
    ASSERT_EQ(again.look(thing(i), 20'060).before, m.look(thing(i), 20'060).before);
  for (std::size_t cut : {std::size_t{0}, std::size_t{1}, std::size_t{6}, bytes.size() - 1}) {
    ByteReader part(std::string_view(bytes).substr(0, cut));
    EXPECT_FALSE(again.load(part));
  }
  EXPECT_EQ(again.size(), m.size());
}

}  // namespace

}  // namespace bavn::notice
