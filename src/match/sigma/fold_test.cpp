#include "match/sigma/fold.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/text.hpp"
#include "match/sigma/rule.hpp"

namespace bavn::match::sigma {
namespace {

// The obvious way, with copies.
bool like_slowly(std::string_view v, std::string_view p) {
  if (p.empty()) return v.empty();
  if (p.front() == kAnyRun) return like_slowly(v, p.substr(1)) || (!v.empty() && like_slowly(v.substr(1), p));
  if (v.empty()) return false;
  return (p.front() == kAnyOne || p.front() == v.front()) && like_slowly(v.substr(1), p.substr(1));
}

std::size_t find_probed(std::string_view value, const std::string& folded) {
  Predicate p;
  p.value = folded;
  p.derive();
  return find_folded(value, folded, p.rare_byte, p.rarer_pair);
}

TEST(Fold, KeepsTheLengthOfEveryCharacterAndMakesNoAsciiOfOthers) {
  for (std::uint32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) continue;
    std::string before, after;
    append_utf8(before, c);
    append_utf8(after, lower_code_point(c));
    ASSERT_EQ(before.size(), after.size()) << std::hex << c;
    ASSERT_EQ(lower_code_point(lower_code_point(c)), lower_code_point(c)) << std::hex << c;
  }
}

TEST(Fold, ComparesAndFindsAsFoldingTheWholeValueWould) {
  std::mt19937 random(7);
  static const char* const kParts[] = {"a", "B", "c", "\\",   " ",    "æ",  "Ø", "å", "é", "Ж",
                                       "ж", "İ", "i", "\xFF", "\xC3", "😀", "z", "Z", "."};
  const auto text = [&](std::size_t most) {
    std::string s;
    for (std::size_t n = random() % (most + 1); n > 0; --n) s += kParts[random() % std::size(kParts)];
    return s;
  };
  for (int round = 0; round < 200'000; ++round) {
    const std::string value = text(40);
    std::string needle = text(4);
    if (random() % 2 == 0 && !value.empty()) {  // a piece that is there
      const std::size_t from = random() % value.size();
      needle = value.substr(from, 1 + random() % 12);
    }
    if (!is_valid_utf8(needle) || needle.empty()) continue;
    const std::string folded = to_lower_utf8(needle), whole = to_lower_utf8(value);
    ASSERT_EQ(find_probed(value, folded), whole.find(folded)) << value << " / " << needle;
    ASSERT_EQ(equals_folded(value, folded), whole == folded) << value << " / " << needle;
    if (value.size() >= folded.size()) {
      ASSERT_EQ(equals_folded(std::string_view(value).substr(0, folded.size()), folded), whole.starts_with(folded))
          << value << " / " << needle;
    }
  }
}

TEST(Fold, WildcardsDecideAsTheObviousWayDoes) {
  std::mt19937 random(11);
  for (int round = 0; round < 100'000; ++round) {
    std::string value, pattern;
    for (std::size_t n = random() % 10; n > 0; --n) value += static_cast<char>('a' + random() % 3);
    for (std::size_t n = random() % 7; n > 0; --n) {
      const auto kind = random() % 5;
      pattern += kind == 0 ? kAnyRun : kind == 1 ? kAnyOne : static_cast<char>('a' + random() % 3);
    }
    ASSERT_EQ(like(value, pattern, false), like_slowly(value, pattern)) << value;
    ASSERT_EQ(like(value, pattern, true), like_slowly(value, pattern)) << value;
  }
}

TEST(Fold, WildcardsCountCharactersAndNotBytes) {
  const std::string any(1, kAnyOne), run(1, kAnyRun);
  EXPECT_TRUE(like("GRØD", "gr" + any + "d", false));
  EXPECT_TRUE(like("x ÆØÅ", run + any + "øå", false));
  EXPECT_TRUE(like("ÆØÅ", "æ" + run + any, false));
  EXPECT_FALSE(like("Æ", "æ" + run + any, false));
  EXPECT_TRUE(like("a😀b", "a" + any + "b", true));
  EXPECT_TRUE(like("xx ÆæA b", run + "æ" + any + "a" + run, false));
  EXPECT_FALSE(like("xx Ææ b", run + "æ" + any + "a" + run, false));
  EXPECT_TRUE(like("\xC3\xA6\x80", run + any + any, false));
  EXPECT_FALSE(like("abc", "ab" + run + "bc", false));
}

TEST(Fold, ManyWildcardsCostNoExponentialTime) {
  std::string pattern;
  for (int i = 0; i < 30; ++i) (pattern += kAnyRun) += 'a';
  pattern += 'b';
  EXPECT_FALSE(like(std::string(5'000, 'a'), pattern, false));
}

}  // namespace
}  // namespace bavn::match::sigma
