#include "base/aead.hpp"

#include <gtest/gtest.h>

namespace bavn {
namespace {

TEST(Aead, OpensOnlyWithTheSameKeyTheSameHeaderAndUntouchedBytes) {
  const Key key = Key::random();
  for (const std::string& plain : {std::string(), std::string("x"), std::string(100000, 'y')}) {
    std::string sealed = "kept";
    seal(sealed, key, "header", plain);
    const std::string_view body = std::string_view(sealed).substr(4);
    ASSERT_EQ(body.size(), plain.size() + kSealOverhead);
    EXPECT_EQ(unseal(key, "header", body).value(), plain);
    EXPECT_EQ(unseal(key, "other", body).error().code, Code::corrupt);
    EXPECT_EQ(unseal(Key::random(), "header", body).error().code, Code::corrupt);
    for (std::size_t i = 0; i < body.size(); i += 1 + body.size() / 97) {
      std::string broken(body);
      broken[i] = static_cast<char>(broken[i] ^ 1);
      EXPECT_FALSE(unseal(key, "header", broken)) << i;
    }
    EXPECT_FALSE(unseal(key, "header", body.substr(0, body.size() - 1)));
  }
  EXPECT_FALSE(unseal(key, "", "short"));
}

TEST(Aead, TheSameTextIsNeverSealedToTheSameBytes) {
  const Key key = Key::random();
  std::string a, b;
  seal(a, key, "", "text");
  seal(b, key, "", "text");
  EXPECT_NE(a, b);
}

}  // namespace
}  // namespace bavn
