#include "live/hunt_back.hpp"

#include "live/testing.hpp"
#include "match/indicators/base.hpp"

namespace bavn::live::testing {
namespace {

namespace mi = match::indicators;
using namespace std::chrono_literals;

mi::Indicator address(const std::string& ip, const std::string& source = "partner") {
  mi::Indicator i;
  i.kind = event::Kind::ipv4;
  i.value = ip;
  i.source = source;
  return i;
}

class HuntBackTest : public ::testing::Test {
 protected:
  void SetUp() override { open(); }
  void TearDown() override { back.reset(); }
  void open() {
    back.reset();
    node.open();
    auto opened = HuntBack::open(node.sim, *node.state, *node.pipeline, alerts::AlertBook({}));
    ASSERT_TRUE(opened) << to_string(opened.error());
    back = std::move(*opened);
    if (!started) back->subscribe();
    if (!started) node.state->start();
    started = true;
    back->start();
  }
  /// Sends from address 192.0.2.n, an hour ago.
  void sent(const std::string& who, std::uint64_t n) {
    ASSERT_TRUE(node.give(delivery(record(node.now() - 3'600'000'000, "Send", who, n))));
    node.settle();
  }
  void becomes_known(const std::vector<mi::Indicator>& added) {
    ASSERT_TRUE(node.pipeline->engine()->indicators().add(added));
    ASSERT_TRUE(node.state->write_now([&](store::Tx& tx) { return HuntBack::wanted(tx, added); }));
  }
  void looked() {
    ASSERT_TRUE(node.sim.run_until([&] { return back->idle(); }, 1h));
    node.settle();
  }
  SimNode node;
  std::unique_ptr<HuntBack> back;
  bool started = false;
};

TEST_F(HuntBackTest, WhatCameBeforeTheSignWasKnownBecomesAnAlertLikeWhatComesAfterIt) {
  sent("kari", 7);
  sent("ola", 8);
  node.sim.advance(1min);
  becomes_known({address("192.0.2.7")});
  looked();
  EXPECT_EQ(told(*node.state).findings, 1);
  node.sim.advance(1min);
  sent("kari", 7);  // after it: live matching's
  EXPECT_EQ(told(*node.state).findings, 2);
  EXPECT_EQ(told(*node.state).by_title.size(), 1U) << "one alert";
  EXPECT_EQ(back->stats().signs, 1U);
  EXPECT_EQ(back->stats().frames, 1U) << "only what the index names is read";
}

TEST_F(HuntBackTest, WhatLiveMatchingHadIsNotCountedAgain) {
  ASSERT_TRUE(node.pipeline->engine()->indicators().add(address("192.0.2.7", "first")));
  sent("kari", 7);
  ASSERT_EQ(told(*node.state).findings, 1);
  node.sim.advance(1min);
  becomes_known({address("192.0.2.7", "second")});  // another source says it too: its own finding
  looked();
  EXPECT_EQ(told(*node.state).findings, 2);
  becomes_known({address("192.0.2.7", "first")});  // said once more
  looked();
  EXPECT_EQ(told(*node.state).findings, 2);
}

TEST_F(HuntBackTest, AStopForgetsNothing) {
  sent("kari", 7);
  node.sim.advance(1min);
  back.reset();  // nobody looks now
  becomes_known({address("192.0.2.7")});
  node.sim.advance(1min);
  EXPECT_EQ(told(*node.state).findings, 0);
  open();
  ASSERT_TRUE(node.pipeline->engine()->indicators().add(address("192.0.2.7")));
  looked();
  EXPECT_EQ(told(*node.state).findings, 1);
}

TEST_F(HuntBackTest, OfANewBaseOnlyWhatTheOldOneDidNotHaveIsLookedFor) {
  const auto base = [&](const std::string& name, int count) {
    mi::IndicatorBuilder builder;
    for (int n = 1; n <= count; ++n)
      EXPECT_TRUE(builder.add(address("192.0.2." + std::to_string(n % 250 + 1), "list " + std::to_string(n / 250))));
    const auto built = builder.build();
    const std::string file = node.folder.path + "/" + name;
    EXPECT_TRUE(built->save(file));
    EXPECT_TRUE(node.pipeline->engine()->indicators().start_over(built, {}, {}));
    return file;
  };
  sent("kari", 7);
  node.sim.advance(1min);
  const std::string old = base("old", 3);  // 192.0.2.2 to .4
  ASSERT_TRUE(node.state->write_now([&](store::Tx& tx) { return HuntBack::wanted_base(tx, old, ""); }));
  looked();
  EXPECT_EQ(back->stats().signs, 3U);
  EXPECT_EQ(told(*node.state).findings, 0);
  const std::string now = base("now", 4000);  // more than one turn looks for
  ASSERT_TRUE(node.state->write_now([&](store::Tx& tx) { return HuntBack::wanted_base(tx, now, old); }));
  looked();
  EXPECT_EQ(back->stats().signs, 4000U) << "each once";
  EXPECT_EQ(told(*node.state).findings, 16) << "of each of the 16 lists that has the address";
  // A base that is gone when its turn comes is said and passed over.
  ASSERT_TRUE(node.state->write_now([&](store::Tx& tx) { return HuntBack::wanted_base(tx, now + "x", now); }));
  looked();
}

TEST_F(HuntBackTest, WhatTheIndexCannotAnswerIsCounted) {
  sent("kari", 7);
  mi::Indicator pattern;  // every record holds it that has no such name: there is no sign to ask for
  pattern.value = "[domain-name:value != 'x.example']";
  pattern.source = "partner";
  becomes_known({pattern});
  looked();
  EXPECT_EQ(back->stats().not_by_index, 1U);
}

}  // namespace
}  // namespace bavn::live::testing
