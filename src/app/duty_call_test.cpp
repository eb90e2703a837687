#include "app/duty_call.hpp"

#include <gtest/gtest.h>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "net/sim.hpp"
#include "tenants/people.hpp"

namespace bavn::app {
namespace {

using namespace std::chrono_literals;

struct NoCarrier final : notify::MailCarrier {
  void send(notify::Mail, QueueId, std::move_only_function<void(Result<std::string>)> then) override { then("250"); }
};

struct DutyCallTest : ::testing::Test {
  Sim sim{1};  // begins at 2024-10-01T08:00:00Z, ten in the morning in Copenhagen
  log::Capture quiet;
  const Catalogue texts = Catalogue::embedded();
  NoCarrier carrier;
  std::unique_ptr<net::Client> client = net::sim_client(sim, {.address = "192.0.2.9"});
  std::unique_ptr<store::State> state =
      store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}}).value();
  std::unique_ptr<notify::Notify> notify = notify::Notify::open(sim, *state, *client, &carrier, texts, {}).value();
  DutyCall duty{*notify, texts, {.municipality_name = "Gentofte", .zone = "Europe/Copenhagen"}};

  void add_contact() {
    tenants::People people(sim, *state);
    const auto owner = event::Scope::local_owner();
    const auto anna = people.add(owner, {{157}, "Anna Example", "", "da"}).value();
    ASSERT_TRUE(people.give_role(owner, anna, tenants::Role::duty_contact));
    ASSERT_TRUE(people.add_way(owner, anna, {tenants::WayKind::mail, "anna@private.example.org", true}));
  }
  std::size_t call(const std::string& account, bool taken) {
    std::size_t sent = 0;
    EXPECT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(sent, duty.call(tx, {{157}, account, taken, 1426}));
      return {};
    }));
    return sent;
  }
  std::vector<std::string> withheld() {
    return state
        ->read([](store::Reader& r) { return r.all<std::string>("SELECT withheld FROM duty_call ORDER BY id"); })
        .value();
  }
};

TEST_F(DutyCallTest, ADayHasOneCallAboutAnAccountAndASecondWhenItGetsWorse) {
  add_contact();
  EXPECT_EQ(call("bo@gentofte.example", false), 1U);
  EXPECT_EQ(call("bo@gentofte.example", false), 0U);
  EXPECT_EQ(call("bo@gentofte.example", true), 1U) << "now it looks taken";
  EXPECT_EQ(call("bo@gentofte.example", true), 0U);
  sim.advance(25h);
  EXPECT_EQ(call("bo@gentofte.example", true), 1U);
}

TEST_F(DutyCallTest, AtNightItRingsOnceAMonthAndOnlyForATakenAccount) {
  add_contact();
  sim.advance(16h);  // two at night
  EXPECT_EQ(call("bo@gentofte.example", false), 0U);
  EXPECT_EQ(call("bo@gentofte.example", true), 1U);
  EXPECT_EQ(call("cy@gentofte.example", true), 0U);
  EXPECT_EQ(withheld(), (std::vector<std::string>{"it is night, and the account shows no sign of a takeover", "",
                                                  "this month's night call was made already"}));
}

TEST_F(DutyCallTest, NobodyToCallIsWrittenDown) {
  EXPECT_EQ(call("bo@gentofte.example", true), 0U);
  ASSERT_EQ(withheld().size(), 1U);
  EXPECT_TRUE(withheld()[0].starts_with("nobody can be called"));
}

}  // namespace
}  // namespace bavn::app
