#include "event/batch.hpp"

#include <gtest/gtest.h>

namespace bavn::event {

TEST(Unescape, EveryEscapeOneByOne) {
  const auto u = [](std::string_view s) {
    std::string out;
    append_unescaped(out, s);
    return out;
  };
  EXPECT_EQ(u(R"(a\nb)"), "a\nb");
  EXPECT_EQ(u(R"(\t\r\b\f)"), "\t\r\b\f");
  EXPECT_EQ(u(R"(\"\\\/)"), "\"\\/");
  EXPECT_EQ(u(R"(\u00e6)"), "\xC3\xA6");
  EXPECT_EQ(u(R"(\ud83d\ude00)"), "\xF0\x9F\x98\x80");
  EXPECT_EQ(u(R"(\ud83dx)"), "\xEF\xBF\xBDx");
  EXPECT_EQ(u(R"(\u12)"), "\\u12");
  EXPECT_EQ(u("end\\"), "end\\");
}

}  // namespace bavn::event
