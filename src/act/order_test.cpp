#include "act/order.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "base/sim.hpp"

namespace bavn::act {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;

SigningKey key(char c) {
  std::array<char, 32> seed;
  seed.fill(c);
  return SigningKey::from_seed(seed);
}

struct World {
  World() {
    EXPECT_TRUE(sim.files().make_dirs("/node"));
    EXPECT_TRUE(new_mandate(
        sim.files(), at,
        {{101},
         "København",
         "Europe/Copenhagen",
         "Leo Leader",
         "director",
         leader.public_key(),
         {{.name = "Bo Example", .of = "CERT", .key = bo.public_key().text(), .second_only = false, .hours = {}},
          {.name = "Cy Example", .of = "CERT", .key = cy.public_key().text(), .second_only = false, .hours = {}},
          {.name = "Anna Example",
           .of = "København",
           .key = anna.public_key().text(),
           .second_only = true,
           .hours = {}}}},
        sim.now()));
    EXPECT_TRUE(sign_mandate(sim.files(), at, leader, sim.now()));
  }
  std::string text() { return read_file(sim.files(), at.mandate, 1 << 20).value(); }
  /// Edits the mandate; signed again when asked to.
  void edit(const std::string& from, const std::string& to, bool sign = true) {
    auto t = text();
    const auto where = t.find(from);
    ASSERT_NE(where, std::string::npos) << from;
    t.replace(where, from.size(), to);
    ASSERT_TRUE(replace_file(sim.files(), at.mandate, t));
    ASSERT_TRUE(!sign || sign_mandate(sim.files(), at, leader, sim.now()));
  }
  std::string why_not() {
    std::string all;
    for (const auto& f : check_mandate(sim.files(), at, {101}, sim.now()).findings)
      if (f.blocks) all += f.what + "\n";
    return all;
  }
  SignedOrder order(std::initializer_list<const SigningKey*> by, std::string_view action = "call_me",
                    std::string_view target = "", MunicipalityId of = {101}) {
    auto made = new_order(sim, of, action, target, "mass mail from two mailboxes", 60min).value();
    for (const auto* k : by) EXPECT_TRUE(sign_order(made, *k));
    return made;
  }
  Outcome take(const SignedOrder& o) { return take(o.text()); }
  Outcome take(const std::string& text) {
    Outcome outcome;
    EXPECT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(outcome, desk.take(tx, text));
      return {};
    }));
    return outcome;
  }
  bool refused(const SignedOrder& o, std::string_view because) {
    const auto calls = called.size();
    const auto outcome = take(o);
    EXPECT_NE(outcome.reason.find(because), std::string::npos) << outcome.reason;
    EXPECT_TRUE(outcome.proof.empty());
    return !outcome.done && called.size() == calls;
  }

  Sim sim{1};
  MandateFiles at = MandateFiles::in("/node");
  SigningKey leader = key('l'), bo = key('b'), cy = key('c'), anna = key('a'), stranger = key('s'), node = key('n');
  std::unique_ptr<store::State> state =
      store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}}).value();
  std::vector<CallMeAsk> called;
  OrderDesk desk{sim, at, {101}, node, [this](store::Tx&, const CallMeAsk& ask) -> Result<std::size_t> {
                   called.push_back(ask);
                   return 2;
                 }};
};

TEST(Mandate, ANewOneAllowsOnlyTheCallAndHoldsOnceSigned) {
  World w;
  const auto check = check_mandate(w.sim.files(), w.at, {101}, w.sim.now());
  EXPECT_TRUE(check.holds()) << w.why_not();
  for (const auto& rule : check.mandate->rules)
    EXPECT_EQ(rule.mode, rule.action == "call_me" ? Mode::act : Mode::off) << rule.action;
  EXPECT_EQ(check.mandate->people.size(), 3U);
  EXPECT_EQ(
      new_mandate(w.sim.files(), w.at, {{101}, "X", "Europe/Oslo", "L", "", w.leader.public_key(), {}}, w.sim.now())
          .error()
          .code,
      Code::conflict);
}

TEST(Mandate, EachChangeNeedsTheLeadersSignatureAgain) {
  World w;
  w.edit("per_hour = 6", "per_hour = 60", false);
  EXPECT_NE(w.why_not().find("changed after Leo Leader signed"), std::string::npos);
  EXPECT_EQ(sign_mandate(w.sim.files(), w.at, w.bo, w.sim.now()).error().code, Code::forbidden);
  ASSERT_TRUE(sign_mandate(w.sim.files(), w.at, w.leader, w.sim.now()));
  EXPECT_EQ(w.why_not(), "");
  ASSERT_TRUE(w.sim.files().unlink(w.at.signature));
  EXPECT_NE(w.why_not().find("not signed"), std::string::npos);
}

TEST(Mandate, AnotherLeaderMustBePinnedHereByHand) {
  World w;
  w.edit(w.leader.public_key().text(), w.stranger.public_key().text(), false);
  EXPECT_EQ(sign_mandate(w.sim.files(), w.at, w.stranger, w.sim.now()).error().code, Code::forbidden);
  EXPECT_NE(w.why_not().find("not the one pinned"), std::string::npos);
  ASSERT_TRUE(w.sim.files().unlink(w.at.leader));
  ASSERT_TRUE(sign_mandate(w.sim.files(), w.at, w.stranger, w.sim.now()));
  EXPECT_EQ(w.why_not(), "");
}

TEST(Mandate, WhatCannotWorkIsSaidWithLineAndFix) {
  const std::vector<std::array<std::string, 3>> cases{
      {"mode = \"act\"", "mode = \"akt\"", "is \"off\", \"ask\" or \"act\""},
      {"per_hour = 6", "per_hours = 6", "per_hour is missing"},
      {"per_hour = 6", "per_hour = 6\nlimit = 3", "does not know \"limit\""},
      {"hours = \"00:00-24:00\"", "hours = \"always\"", "not a time of day"},
      {"[action.call_me]", "[action.call_mee]", "did you mean \"call_me\""},
      {"Europe/Copenhagen", "Europe/Kopenhagen", "time zone"},
      {"version = 1", "version = one", "mandate.toml:"},
      {"accounts = []", "accounts = [7]", "list of account names"},
      {"\nmay = \"second\"", "\nmay = \"both\"", "\"order\" or \"second\""},
  };
  for (const auto& [from, to, said] : cases) {
    World w;
    w.edit(from, to, false);
    EXPECT_NE(w.why_not().find(said), std::string::npos) << to << "\n" << w.why_not();
  }
}

TEST(Mandate, WhatMustNotBeIsRefusedEvenWhenSigned) {
  World w;
  w.edit("(not in this version)\nmode = \"off\"", "\nmode = \"act\"\nper_hour = 1");
  EXPECT_NE(w.why_not().find("cannot do that yet"), std::string::npos);
  World same;
  same.edit(same.cy.public_key().text(), same.bo.public_key().text());
  EXPECT_NE(same.why_not().find("stands in the mandate twice"), std::string::npos);
  World own;
  own.edit(own.cy.public_key().text(), own.leader.public_key().text());
  EXPECT_NE(own.why_not().find("leader's key"), std::string::npos);
  World old;
  old.sim.advance(days{366});
  EXPECT_NE(old.why_not().find("ended"), std::string::npos);
  World foreign;
  EXPECT_FALSE(check_mandate(foreign.sim.files(), foreign.at, {147}, foreign.sim.now()).holds());
}

TEST(Order, TwoPeopleCallTheDutyContactAndTheNodeProvesIt) {
  World w;
  const auto order = w.order({&w.bo, &w.cy});
  const auto outcome = w.take(order);
  ASSERT_TRUE(outcome.done) << outcome.reason;
  ASSERT_EQ(w.called.size(), 1U);
  EXPECT_EQ(w.called[0].people, (std::vector<std::string>{"Bo Example", "Cy Example"}));
  EXPECT_EQ(w.called[0].reason, "mass mail from two mailboxes");
  EXPECT_TRUE(proof_holds(outcome.proof, w.node.public_key()));
  EXPECT_FALSE(proof_holds(outcome.proof, w.bo.public_key()));
  auto changed = outcome.proof;
  changed.replace(changed.find("call_me"), 7, "call_us");
  EXPECT_FALSE(proof_holds(changed, w.node.public_key()));
  EXPECT_EQ(w.state
                ->read([](store::Reader& db) {
                  return db.one<std::string>("SELECT who FROM audit WHERE action = 'order.done'");
                })
                .value(),
            "Bo Example and Cy Example");
}

TEST(Order, CountsOnceForEver) {
  World w;
  const auto order = w.order({&w.bo, &w.cy});
  ASSERT_TRUE(w.take(order).done);
  EXPECT_TRUE(w.refused(order, "an order counts once"));
  auto more = order;
  ASSERT_TRUE(sign_order(more, w.anna));
  EXPECT_TRUE(w.refused(more, "an order counts once"));
}

TEST(Order, OneSignatureOneTwiceOrAStrangersIsNotEnough) {
  World w;
  EXPECT_TRUE(w.refused(w.order({}), "two different people"));
  EXPECT_TRUE(w.refused(w.order({&w.bo}), "this has 1"));
  EXPECT_TRUE(w.refused(w.order({&w.bo, &w.stranger}), "not in the mandate"));
  EXPECT_TRUE(w.refused(w.order({&w.bo, &w.leader}), "not in the mandate"));
  auto twice = w.order({&w.bo});
  EXPECT_EQ(sign_order(twice, w.bo).error().code, Code::conflict);
  twice.signatures.push_back(twice.signatures[0]);
  EXPECT_TRUE(w.refused(twice, "this has 1"));
}

TEST(Order, TwoKeysOfOnePersonAreOnePerson) {
  World w;
  w.edit("name = \"Cy Example\"", "name = \"BO EXAMPLE\"");
  EXPECT_TRUE(w.refused(w.order({&w.bo, &w.cy}), "this has 1"));
}

TEST(Order, TheDutyContactCountsAsSecondAndOnlyInItsHours) {
  World w;
  w.edit("\nmay = \"second\"", "\nmay = \"second\"\nhours = \"17:00-07:00\"");
  EXPECT_TRUE(w.refused(w.order({&w.bo, &w.anna}), "at this hour"));  // 10:00 in Copenhagen
  w.sim.advance(13h);                                                 // 23:00
  EXPECT_TRUE(w.take(w.order({&w.bo, &w.anna})).done);
  World only;
  only.edit("\nmay = \"order\"", "\nmay = \"second\"");
  EXPECT_TRUE(only.refused(only.order({&only.bo, &only.anna}), "none of those who signed may order"));
}

TEST(Order, ChangedAfterSigningNothingOfItHolds) {
  World w;
  for (const auto& [from, to] :
       std::vector<std::pair<std::string, std::string>>{{"mass mail", "more mail"}, {"order-", "ordre-"}}) {
    auto order = w.order({&w.bo, &w.cy});
    order.order.replace(order.order.find(from), from.size(), to);
    EXPECT_TRUE(w.refused(order, "does not fit this order"));
  }
  // one person's signature of another order
  auto one = w.order({&w.bo}), other = w.order({&w.cy});
  one.signatures.push_back(other.signatures[0]);
  EXPECT_TRUE(w.refused(one, "Cy Example does not fit"));
}

TEST(Order, EarlyLateEndlessAndForeignOnesAreRefused) {
  World w;
  EXPECT_TRUE(w.refused(w.order({&w.bo, &w.cy}, "call_me", "", {147}), "for municipality 147"));
  const auto order = w.order({&w.bo, &w.cy});
  w.sim.jump_clock(-2h);
  EXPECT_TRUE(w.refused(order, "begins"));
  w.sim.jump_clock(2h);
  w.sim.advance(61min);
  EXPECT_TRUE(w.refused(order, "ended"));
  EXPECT_FALSE(new_order(w.sim, {101}, "call_me", "", "r", std::chrono::minutes(25 * 60)));
  EXPECT_FALSE(new_order(w.sim, {101}, "call_me", "", " ", 5min));
}

TEST(Order, WhatTheMandateDoesNotAllowIsNotDone) {
  World w;
  EXPECT_TRUE(w.refused(w.order({&w.bo, &w.cy}, "purge"), "\"purge\" is not in the mandate"));
  EXPECT_TRUE(w.refused(w.order({&w.bo, &w.cy}, "format_disk"), "not in the mandate"));
  w.edit("accounts = []", "accounts = [\"Mayor@example.org\"]");
  EXPECT_TRUE(w.refused(w.order({&w.bo, &w.cy}, "call_me", " mayor@EXAMPLE.org"), "protected account"));
  w.edit("hours = \"00:00-24:00\"", "hours = \"20:00-06:00\"");
  EXPECT_TRUE(w.refused(w.order({&w.bo, &w.cy}), "at this hour"));
  ASSERT_TRUE(w.sim.files().unlink(w.at.mandate));
  EXPECT_TRUE(w.refused(w.order({&w.bo, &w.cy}), "there is no mandate"));
}

TEST(Order, TheLimitOfAnHourHolds) {
  World w;
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(w.take(w.order({&w.bo, &w.cy})).done);
  EXPECT_TRUE(w.refused(w.order({&w.bo, &w.cy}), "6 times an hour"));
  w.sim.advance(61min);
  EXPECT_TRUE(w.take(w.order({&w.bo, &w.cy})).done);
}

TEST(Order, NonsenseIsRefusedAndWrittenDown) {
  World w;
  for (const std::string text : {"", "{}", "[]", "{\"order\":\"{}\",\"signatures\":[]}", "\xff\xfe"}) {
    const auto outcome = w.take(text);
    EXPECT_FALSE(outcome.done);
    EXPECT_NE(outcome.reason.find("cannot be read"), std::string::npos);
  }
  EXPECT_FALSE(w.take(std::string(100'000, 'x')).done);
  EXPECT_EQ(w.state
                ->read([](store::Reader& db) {
                  return db.number("SELECT count(*) FROM audit WHERE action = 'order.refused'");
                })
                .value(),
            6);
  EXPECT_EQ(w.state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM act_nonce"); }).value(), 0)
      << "nonsense fills no table";
}

TEST(Order, AFailedCallIsSaidAndNotProved) {
  World w;
  OrderDesk mute(w.sim, w.at, {101}, w.node, [](store::Tx&, const CallMeAsk&) -> Result<std::size_t> {
    return fail(Code::not_found, "no duty contact");
  });
  Outcome outcome;
  const auto order = w.order({&w.bo, &w.cy}).text();
  ASSERT_TRUE(w.state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(outcome, mute.take(tx, order));
    return {};
  }));
  EXPECT_FALSE(outcome.done);
  EXPECT_EQ(outcome.reason, "no duty contact");
}

TEST(MandateTest, IsDueEveryMonthAndPassesWhenThePersonAnswers) {
  World w;
  const auto tests = [&] {
    return w.state->read([&](store::Reader& db) { return OrderDesk::tests(db, w.sim.now()); }).value();
  };
  EXPECT_TRUE(tests().overdue);
  std::int64_t id = 0;
  ASSERT_TRUE(w.state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(id, OrderDesk::start_test(tx));
    return {};
  }));
  EXPECT_TRUE(tests().overdue);
  for (const auto& about : {std::string("other:1"), "mandate_test:" + std::to_string(id + 7)})
    ASSERT_TRUE(w.state->write_now([&](store::Tx& tx) { return OrderDesk::on_confirmed(tx, about); }));
  EXPECT_TRUE(tests().overdue);
  for (int i = 0; i < 2; ++i)
    ASSERT_TRUE(w.state->write_now(
        [&](store::Tx& tx) { return OrderDesk::on_confirmed(tx, "mandate_test:" + std::to_string(id)); }));
  EXPECT_FALSE(tests().overdue);
  EXPECT_EQ(tests().passed, w.sim.now());
  w.sim.advance(days{32});
  EXPECT_TRUE(tests().overdue);
}

}  // namespace
}  // namespace bavn::act
