#include "net/content_coding.hpp"

#include <gtest/gtest.h>

namespace bavn::net {

TEST(ContentCoding, ReadsBackWhatItWrote) {
  for (const std::size_t n : {0U, 1U, 1000U, 1'000'000U}) {
    std::string text(n, 'x');
    for (std::size_t i = 0; i < n; i += 7) text[i] = static_cast<char>(i);
    EXPECT_TRUE(gunzip(gzip(text), n).value() == text) << n;
    EXPECT_TRUE(unzstd(zstd(text), n).value() == text) << n;
    if (n == 0) continue;
    EXPECT_EQ(gunzip(gzip(text), n - 1).error().where, "413") << n;
    EXPECT_EQ(unzstd(zstd(text), n - 1).error().where, "413") << n;
  }
}

TEST(ContentCoding, EveryCutIsNoticed) {
  const std::string text = "the quick brown fox jumps over the lazy dog, again and again and again";
  for (const bool is_gzip : {true, false}) {
    const std::string packed = is_gzip ? gzip(text) : zstd(text);
    for (std::size_t n = 0; n < packed.size(); ++n) {
      const auto part = std::string_view(packed).substr(0, n);
      const auto r = is_gzip ? gunzip(part, 1000) : unzstd(part, 1000);
      ASSERT_FALSE(r) << n;
      EXPECT_EQ(r.error().code, Code::bad_input);
    }
  }
}

}  // namespace bavn::net
