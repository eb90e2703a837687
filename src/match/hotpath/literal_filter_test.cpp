// The filter never misses a literal, wherever it stands and however it is written, and lets ordinary records by.
#include "match/hotpath/literal_filter.hpp"

#include <gtest/gtest.h>

#include <random>

namespace bavn::match::hotpath {
namespace {

/// narrow: as on a machine without AVX-512.
LiteralFilter filter_of(const std::vector<std::string>& literals, bool narrow = false) {
  LiteralFilter f;
  for (const auto& l : literals) f.add(l);
  f.seal();
  if (narrow) f.forget_avx512();
  return f;
}

std::string in_any_case(std::string s, std::mt19937_64& random) {
  for (char& c : s)
    if (c >= 'a' && c <= 'z' && random() % 2 == 0) c = static_cast<char>(c - 32);
  return s;
}

TEST(LiteralFilter, FindsEveryLiteralAtEveryPlaceOfEveryLength) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 40; ++round) {
    std::vector<std::string> literals;
    for (std::uint64_t n = 1 + random() % 60; n-- > 0;) {
      std::string l;
      for (std::uint64_t k = 3 + random() % (round % 2 == 0 ? 4 : 30); k-- > 0;)
        l += "abcdefghijklmnopqrstuvwxyz0123456789:.-_ &|;"[random() % 44];
      literals.push_back(l);
    }
    const LiteralFilter f = filter_of(literals), narrow = filter_of(literals, true);
    if (!f.usable()) GTEST_SKIP() << "this machine has no AVX2: there is no filter";
    for (const std::string& l : literals)
      for (const std::size_t size : {l.size(), l.size() + 1, std::size_t{60}, std::size_t{64}, std::size_t{67},
                                     std::size_t{68}, std::size_t{131}, std::size_t{200}}) {
        if (size < l.size()) continue;
        for (std::size_t at = 0; at + l.size() <= size; ++at) {
          std::string text(size, '#');
          text.replace(at, l.size(), in_any_case(l, random));
          ASSERT_TRUE(f.may_contain(text)) << l << " at " << at << " of " << size;
          ASSERT_TRUE(narrow.may_contain(text)) << l << " at " << at << " of " << size;
        }
      }
  }
}

TEST(LiteralFilter, LetsOrdinaryRecordsBy) {
  const LiteralFilter f = filter_of({"sekurlsa::", "kerberos::golden", "gentilkiwi.com", "mimidrv.sys", "\\u00"});
  if (!f.usable()) GTEST_SKIP() << "this machine has no AVX2: there is no filter";
  EXPECT_FALSE(f.may_contain(""));
  EXPECT_FALSE(f.may_contain("k"));
  EXPECT_FALSE(f.may_contain(
      R"({"EventID":1,"Channel":"Microsoft-Windows-Sysmon/Operational","Image":"C:\\Windows\\System32\\cmd.exe","User":"EXAMPLE\\user","CommandLine":"cmd /c echo kiwi sekurlsa: gentilkiw.com"})"));
  EXPECT_TRUE(f.may_contain(R"({"CommandLine":"SEKURLSA::logonpasswords"})"));
  EXPECT_TRUE(f.may_contain(R"({"CommandLine":"\u0073ekurlsa"})"));
}

TEST(LiteralFilter, BothWidthsSayTheSameOfTextWithoutALiteral) {
  std::mt19937_64 random(3);
  const std::vector<std::string> literals = {"sekurlsa::", "kerberos::golden", "\\u00", "a|b", "mimidrv.sys"};
  const LiteralFilter f = filter_of(literals), narrow = filter_of(literals, true);
  if (!f.usable()) GTEST_SKIP() << "this machine has no AVX2: there is no filter";
  for (int round = 0; round < 20'000; ++round) {
    // exactly as large as it is, so that a sanitizer sees what is read behind it; bytes beyond ASCII and pieces of literals among them
    std::string text(random() % 200, '#');
    for (char& c : text) c = random() % 3 == 0 ? static_cast<char>(random()) : "sekurla:b|\\u0mi."[random() % 17];
    text.shrink_to_fit();
    bool there = false;
    std::string lower = text;
    for (char& c : lower) c = static_cast<char>(c | 0x20);
    for (std::string l : literals) {
      for (char& c : l) c = static_cast<char>(c | 0x20);
      there = there || lower.find(l) != std::string::npos;
    }
    ASSERT_EQ(narrow.may_contain(text), there) << text;
    ASSERT_EQ(f.may_contain(text), there) << text;
  }
}

TEST(LiteralFilter, FindsLiteralsBeyondAscii) {
  const std::vector<std::string> literals = {"\u00e6\u00f8\u00e5", "\u4e2d\u6587", "\xff\xfe\xfd"};
  for (const bool narrow : {false, true}) {
    const LiteralFilter f = filter_of(literals, narrow);
    ASSERT_EQ(f.usable(), __builtin_cpu_supports("avx2") != 0);
    if (!f.usable()) continue;  // then nothing asks it
    for (const std::string& l : literals)
      for (const std::size_t at : {std::size_t{0}, std::size_t{61}, std::size_t{140 - l.size()}}) {
        std::string text(140, '#');
        text.replace(at, l.size(), l);
        EXPECT_TRUE(f.may_contain(text)) << l << " at " << at << (narrow ? ", AVX2" : "");
      }
  }
}

TEST(LiteralFilter, IsNotUsableForLiteralsOfTwoBytes) {
  EXPECT_FALSE(filter_of({"ab", "abcdef"}).usable());
  EXPECT_FALSE(filter_of({}).usable());
}

}  // namespace
}  // namespace bavn::match::hotpath
