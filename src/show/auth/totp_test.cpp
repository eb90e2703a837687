#include "show/auth/totp.hpp"

#include <gtest/gtest.h>

namespace bavn::show::auth {
namespace {

const std::string kSecret = "12345678901234567890";

Instant at_second(std::int64_t s) {
  return Instant(std::chrono::seconds(s));
}

TEST(Totp, TheVectorsOfRfc6238) {  // appendix B, the rows of SHA1
  const std::pair<std::int64_t, const char*> rows[] = {{59, "94287082"},         {1111111109, "07081804"},
                                                       {1111111111, "14050471"}, {1234567890, "89005924"},
                                                       {2000000000, "69279037"}, {20000000000, "65353130"}};
  for (const auto& [second, code] : rows) EXPECT_EQ(totp_code(kSecret, totp_step(at_second(second)), 8), code);
}

TEST(Totp, AClockThatIsAStepOffIsTakenAndNoMore) {
  const std::int64_t step = totp_step(at_second(1'700'000'000));
  const auto at = [&](std::int64_t steps) { return at_second((step + steps) * 30 + 7); };
  const std::string code = totp_code(kSecret, step);
  EXPECT_EQ(totp_match(kSecret, code, at(0), 0), step);
  EXPECT_EQ(totp_match(kSecret, code, at(1), 0), step);
  EXPECT_EQ(totp_match(kSecret, code, at(-1), 0), step);
  EXPECT_FALSE(totp_match(kSecret, code, at(2), 0));
  EXPECT_FALSE(totp_match(kSecret, code, at(-2), 0));
}

TEST(Totp, ACodeCountsOnce) {
  const std::int64_t step = totp_step(at_second(1'700'000'000));
  const std::string code = totp_code(kSecret, step);
  EXPECT_FALSE(totp_match(kSecret, code, at_second(step * 30), step));
  EXPECT_FALSE(totp_match(kSecret, code, at_second(step * 30), step + 1));
  EXPECT_FALSE(totp_match(kSecret, "", at_second(step * 30), 0));
  EXPECT_FALSE(totp_match(kSecret, code + "0", at_second(step * 30), 0));
}

TEST(Totp, TheAppGetsWhatItCanRead) {
  EXPECT_EQ(totp_uri(kSecret, "Bavn Ager", "Åse"),
            "otpauth://totp/Bavn%20Ager:%C3%85se?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Bavn%20Ager");
}

}  // namespace
}  // namespace bavn::show::auth
