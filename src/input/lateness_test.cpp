#include "input/lateness.hpp"

#include <gtest/gtest.h>

#include <chrono>

namespace bavn::input {
namespace {

using namespace std::chrono_literals;

const Instant kNow = from_micros(1'767'225'600'000'000);

TEST(Lateness, IsThatOfTheNewestRecordWhateverComesLateBesideIt) {
  Lateness late;
  EXPECT_EQ(late.seconds(), -1);
  late.saw(kNow - 2h, kNow);
  EXPECT_EQ(late.seconds(), 7200);
  late.saw(kNow - 24h * 6, kNow + 60s);
  EXPECT_EQ(late.seconds(), 7260) << "a mail of last week that comes now says nothing of the source";
  late.saw(kNow + 100s, kNow + 120s);
  EXPECT_EQ(late.seconds(), 20);
  late.saw(Instant{}, kNow + 24h);
  EXPECT_EQ(late.seconds(), 20) << "what has no time changes nothing";
}

TEST(Lateness, ARecordFromTheFutureHidesNoLaterLag) {
  Lateness late;
  late.saw(kNow + 24h * 365, kNow);
  EXPECT_EQ(late.seconds(), 0);
  late.saw(kNow - 1h, kNow + 3h);
  EXPECT_EQ(late.seconds(), 3 * 3600);
}

}  // namespace
}  // namespace bavn::input
