// The filter never misses a literal, wherever it stands and however it is written, and lets ordinary records by.
#include "match/hotpath/literal_filter.hpp"

#include <gtest/gtest.h>

#include <random>

namespace bavn::match::hotpath {
namespace {

LiteralFilter filter_of(const std::vector<std::string>& literals) {
  LiteralFilter f;
  for (const auto& l : literals) f.add(l);
  f.seal();
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
    const LiteralFilter f = filter_of(literals);
    if (!f.usable()) GTEST_SKIP() << "this machine has no AVX2: there is no filter";
    for (const std::string& l : literals)
      for (const std::size_t size : {l.size(), l.size() + 1, std::size_t{60}, std::size_t{64}, std::size_t{67},
                                     std::size_t{68}, std::size_t{131}, std::size_t{200}}) {
        if (size < l.size()) continue;
        for (std::size_t at = 0; at + l.size() <= size; ++at) {
          std::string text(size, '#');
          text.replace(at, l.size(), in_any_case(l, random));
          ASSERT_TRUE(f.may_contain(text)) << l << " at " << at << " of " << size;
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

TEST(LiteralFilter, IsNotUsableForLiteralsOfTwoBytes) {
  EXPECT_FALSE(filter_of({"ab", "abcdef"}).usable());
  EXPECT_FALSE(filter_of({}).usable());
}

}  // namespace
}  // namespace bavn::match::hotpath
