#include "app/setup_desk.hpp"

#include <gtest/gtest.h>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "base/temp_folder.hpp"
#include "net/sim.hpp"
#include "tenants/people.hpp"

namespace bavn::app {
namespace {

struct SetupDeskTest : testing::Test {
  SetupDeskTest() {
    state->start();
    desk = std::make_unique<SetupDesk>(SetupDeskParts{.runtime = sim,
                                                      .state = *state,
                                                      .client = *client,
                                                      .folder = folder.path(),
                                                      .name = "n1",
                                                      .municipality = MunicipalityId{157}});
  }
  show::api::SetupStep step() const {
    for (const auto& s : desk->view().steps)
      if (s.id == "duty_contact") return s;
    return {};
  }

  log::Capture quiet;
  TempFolder folder;
  Sim sim{1};
  std::unique_ptr<net::Client> client = net::sim_client(sim, {.address = "192.0.2.9"});
  std::unique_ptr<store::State> state =
      store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}}).value();
  std::unique_ptr<SetupDesk> desk;
};

TEST_F(SetupDeskTest, ADutyContactWrittenDownElsewhereIsSeen) {
  EXPECT_EQ(step().state, "todo");
  EXPECT_FALSE(step().asks.empty());
  tenants::People people(sim, *state);  // as `bavn contact add` does it, beside the page
  const auto owner = event::Scope::local_owner();
  const auto anna = people.add(owner, {MunicipalityId{157}, "Anna Example", "", "da"}).value();
  EXPECT_EQ(step().state, "todo") << "somebody who is not on duty";
  ASSERT_TRUE(people.give_role(owner, anna, tenants::Role::duty_contact));
  EXPECT_EQ(step().state, "done");
  EXPECT_EQ(step().says, "Anna Example");
  EXPECT_TRUE(step().asks.empty());
  ASSERT_TRUE(people.take_role(owner, anna, tenants::Role::duty_contact));
  EXPECT_EQ(step().state, "todo") << "and seen to be gone";
}

TEST_F(SetupDeskTest, ThatSomebodyShallBeCalledOnceStandsUntilAWayHasAnswered) {
  const auto owner = event::Scope::local_owner();
  ASSERT_TRUE(desk->run(owner, "duty_contact", {{"name", "Bo Example"}, {"phone", "+45 11 22 33 44"}}, false));
  EXPECT_EQ(step().state, "attention") << "no message could be sent";
  const tenants::People people(sim, *state);
  const auto duty = people.duty_contacts(owner, MunicipalityId{157}).value();
  ASSERT_EQ(duty.size(), 1U);
  ASSERT_EQ(duty[0].ways.size(), 1U);
  ASSERT_TRUE(state->write_now([&](store::Tx& tx) { return tenants::People::confirm_way(tx, duty[0].ways[0].id); }));
  EXPECT_EQ(step().state, "done");
}

}  // namespace
}  // namespace bavn::app
