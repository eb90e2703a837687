#include "app/hub_core.hpp"

#include <gtest/gtest.h>

#include "app/testing.hpp"

namespace bavn::app {
namespace {

using namespace std::chrono_literals;

TEST(HubCore, MakesItsBaseOfTheDayInVirtualTime) {
  TempFolder folder;
  Sim sim(3);
  Metrics metrics;
  auto hub = HubCore::open(sim, metrics, testing::hub_options(sim, folder.path()));
  ASSERT_TRUE(hub) << to_string(hub.error());
  (*hub)->start();
  const auto owner = event::Scope::local_owner();
  match::indicators::LoadOptions defaults;
  ASSERT_TRUE((*hub)->publish_indicators(owner, "bad.example\nworse.example\n", "list.txt", defaults));
  const auto bases = [&] {
    const auto tip = (*hub)->state().read([&](store::Reader& r) { return (*hub)->beacon().tip(r, "base/all"); });
    return tip ? *tip : 0;
  };
  sim.advance(23h);
  EXPECT_EQ(bases(), 0U);
  sim.advance(2h);
  EXPECT_EQ(bases(), 1U) << "the timer hub.base made it, nobody waited for anybody";
  sim.advance(24h);
  EXPECT_EQ(bases(), 1U) << "nothing new, no new base";
  ASSERT_TRUE((*hub)->publish_indicators(owner, "third.example\n", "list.txt", defaults));
  std::optional<Result<std::size_t>> made;
  (*hub)->make_base({}, [&](Result<std::size_t> n) { made = std::move(n); });
  ASSERT_TRUE(sim.run_until([&] { return made.has_value(); }));
  ASSERT_TRUE(*made) << to_string(made->error());
  EXPECT_EQ(**made, 3U);
  EXPECT_EQ(bases(), 2U);
  const auto waits = (*hub)->make_base_now();
  ASSERT_FALSE(waits);
  EXPECT_EQ(waits.error().code, Code::unavailable);
}

TEST(HubCore, ABaseOnItsWayWhenTheHubStopsIsToldSo) {
  TempFolder folder;
  Sim sim(4);
  Metrics metrics;
  auto hub = HubCore::open(sim, metrics, testing::hub_options(sim, folder.path()));
  ASSERT_TRUE(hub) << to_string(hub.error());
  (*hub)->start();
  int told = 0;
  (*hub)->make_base({}, [&](Result<std::size_t> n) {
    EXPECT_FALSE(n);
    ++told;
  });
  hub->reset();
  sim.advance(1min);
  EXPECT_EQ(told, 1);
}

}  // namespace
}  // namespace bavn::app
