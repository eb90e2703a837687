#include "app/night_call.hpp"

#include <gtest/gtest.h>

#include <regex>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "net/sim.hpp"

namespace bavn::app {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;

struct Catcher final : notify::MailCarrier {
  explicit Catcher(Sim& s) : sim(s) {}
  void send(notify::Mail mail, QueueId queue, std::move_only_function<void(Result<std::string>)> then) override {
    mails.push_back(std::move(mail));
    (void)sim.after(100ms, queue, [then = std::move(then)]() mutable { then("250 Ok"); });
  }
  Sim& sim;
  std::vector<notify::Mail> mails;
};

TEST(NightCall, AnOrderOfTwoPeopleReachesTheDutyContactAndTheMonthlyTestComesBack) {
  Sim sim(1);
  log::Capture quiet;
  const auto leader = SigningKey::random(), bo = SigningKey::random(), cy = SigningKey::random(),
             node = SigningKey::random();
  const auto at = act::MandateFiles::in("/node");
  ASSERT_TRUE(sim.files().make_dirs("/node"));
  ASSERT_TRUE(act::new_mandate(
      sim.files(), at,
      {{101},
       "København",
       "Europe/Copenhagen",
       "Leo Leader",
       "",
       leader.public_key(),
       {{.name = "Bo Example", .of = {}, .key = bo.public_key().text(), .second_only = false, .hours = {}},
        {.name = "Cy Example", .of = {}, .key = cy.public_key().text(), .second_only = false, .hours = {}}}},
      sim.now()));
  ASSERT_TRUE(act::sign_mandate(sim.files(), at, leader, sim.now()));

  const auto texts = Catalogue::embedded();
  Catcher catcher(sim);
  const auto client = net::sim_client(sim, {.address = "192.0.2.9"});
  const auto state = store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}}).value();
  const auto night = NightCall::open(sim, *state, *client, &catcher, texts, node,
                                     {"/node", {101}, "København", "Europe/Copenhagen", {}})
                         .value();
  state->start();
  tenants::People people(sim, *state);
  const auto owner = event::Scope::local_owner();
  const auto anna = people.add(owner, {{101}, "Anna Example", "", "da"}).value();
  ASSERT_TRUE(people.give_role(owner, anna, tenants::Role::duty_contact));
  ASSERT_TRUE(people.add_way(owner, anna, {tenants::WayKind::mail, "anna@private.example.org", true}));

  auto order = act::new_order(sim, {101}, "call_me", "", "mass mail from two mailboxes", 60min).value();
  ASSERT_TRUE(act::sign_order(order, bo));
  ASSERT_TRUE(act::sign_order(order, cy));
  act::Outcome outcome;
  ASSERT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(outcome, night->take(tx, order.text()));
    return {};
  }));
  EXPECT_TRUE(outcome.done) << outcome.reason;
  EXPECT_TRUE(act::proof_holds(outcome.proof, node.public_key()));
  sim.advance(1min);
  ASSERT_EQ(catcher.mails.size(), 1U);
  EXPECT_EQ(catcher.mails[0].subject, "RING NU: København");

  // The test goes out by itself until it is answered, then after a month.
  const auto tests = [&] {
    return state->read([&](store::Reader& db) { return act::OrderDesk::tests(db, sim.now()); }).value();
  };
  EXPECT_TRUE(tests().overdue);
  sim.advance(days{3} + 1h);
  ASSERT_EQ(catcher.mails.size(), 4U);
  std::smatch code;
  ASSERT_TRUE(std::regex_search(catcher.mails[3].text, code, std::regex("[A-Z2-7]{4}-[A-Z2-7]{4}")));
  ASSERT_TRUE(night->notify().confirm(code.str()));
  sim.advance(1min);
  EXPECT_FALSE(tests().overdue);
  const auto before = catcher.mails.size();
  sim.advance(days{29});
  EXPECT_EQ(catcher.mails.size(), before);
  sim.advance(days{4});
  EXPECT_GT(catcher.mails.size(), before);
  EXPECT_TRUE(tests().overdue);
  state->stop();
}

}  // namespace
}  // namespace bavn::app
