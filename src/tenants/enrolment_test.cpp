#include "tenants/enrolment.hpp"

#include <gtest/gtest.h>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "net/sim.hpp"
#include "tenants/code.hpp"
#include "tenants/directory.hpp"
#include "tenants/routes.hpp"

namespace bavn::tenants {
namespace {

using namespace std::chrono_literals;
using event::Scope;
using std::chrono::days;

constexpr const char* kHub = "hub.example.org:8443";

// The hub's clock is its own, so that a node's can be wrong: it is the Sim's plus an offset.
class SkewedClock final : public Runtime {
 public:
  explicit SkewedClock(Runtime& real) : real_(real) {}
  Duration skew{0};
  Instant now() const override { return real_.now() + skew; }
  Duration steady() const override { return real_.steady(); }
  QueueId queue(QueueOptions options) override { return real_.queue(std::move(options)); }
  bool post(QueueId queue, Task task) override { return real_.post(queue, std::move(task)); }
  TimerId after(Duration delay, QueueId queue, Task task) override {
    return real_.after(delay, queue, std::move(task));
  }
  bool cancel(TimerId timer) override { return real_.cancel(timer); }
  void random(std::span<std::byte> out) override { real_.random(out); }
  Links& links() override { return real_.links(); }
  Files& files() override { return real_.files(); }

 private:
  Runtime& real_;
};

struct Hub {
  Hub(Sim& sim, const std::string& folder, const std::string& address = kHub) {
    EXPECT_TRUE(Trust::init(sim, folder, {"hub.example.org"}));
    trust = std::make_unique<Trust>(Trust::open(sim, folder).value());
    state = store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}}).value();
    directory = Directory::open(sim, *state, *trust).value();
    add_enrolment_routes(router, sim, *trust, *directory);
    router.authenticate([this](const net::Request& r) { return authenticate_node(*directory, r); });
    queue = sim.queue({.name = "hub"});
    server = net::SimServer::start(sim, router, address, queue).value();
  }
  NewCode admit(std::vector<MunicipalityId> of, const std::string& name = {}, const std::string& by = {}) {
    return directory->admit(owner, {of, by, name}, kHub).value();
  }
  std::vector<std::string> audit() {
    return state->read([](store::Reader& db) { return db.all<std::string>("SELECT action FROM audit ORDER BY seq"); })
        .value();
  }

  Scope owner = Scope::local_owner();
  std::unique_ptr<Trust> trust;
  std::unique_ptr<store::State> state;
  std::unique_ptr<Directory> directory;
  net::Router router;
  QueueId queue;
  std::unique_ptr<net::SimServer> server;
};

struct Machine {
  Machine(Sim& s, std::string f) : sim(s), clock(s), folder(std::move(f)) { reopen(); }
  void reopen() {
    enrolment = nullptr;
    auto opened = Enrolment::open(clock, *client, queue, folder);
    ASSERT_TRUE(opened) << to_string(opened.error());
    enrolment = std::move(*opened);
  }
  Result<void> enrol(const std::string& code) {
    std::optional<Result<void>> done;
    enrolment->enrol(code, "machine", [&](Result<void> r) { done = std::move(r); });
    EXPECT_TRUE(sim.run_until([&] { return done.has_value(); }));
    return *done;
  }
  Result<void> renew() {
    std::optional<Result<void>> done;
    enrolment->renew_now([&](Result<void> r) { done = std::move(r); });
    EXPECT_TRUE(sim.run_until([&] { return done.has_value(); }));
    return *done;
  }
  Sim& sim;
  SkewedClock clock;
  std::string folder;
  QueueId queue = sim.queue({.name = "node"});
  std::unique_ptr<net::Client> client = net::sim_client(sim, {.address = "192.0.2.50", .tls = true});
  std::unique_ptr<Enrolment> enrolment;
};

TEST(Enrolment, ACodeMakesAMachineTheNodeOfItsMunicipality) {
  Sim sim(1);
  Hub hub(sim, "/hub");
  Machine machine(sim, "/node");
  EXPECT_EQ(machine.enrolment->status().state, EnrolmentState::none);
  const auto made = hub.admit({{101}});
  ASSERT_TRUE(machine.enrol(made.code));

  const auto identity = machine.enrolment->identity();
  ASSERT_NE(identity, nullptr);
  EXPECT_EQ(identity->hub, kHub);
  EXPECT_EQ(identity->name, "København");
  EXPECT_EQ(identity->municipalities, std::vector<MunicipalityId>{{101}});
  EXPECT_EQ(identity->root, hub.trust->root());
  EXPECT_EQ(identity->until - identity->issued, Duration(days{30}));
  EXPECT_EQ(machine.enrolment->status().renewal_due - identity->issued, Duration(days{20}));

  const auto scope = hub.directory->scope_of(identity->serial);
  ASSERT_TRUE(scope);
  EXPECT_EQ(scope->rights(),
            static_cast<std::uint32_t>(event::Right::follow) | static_cast<std::uint32_t>(event::Right::report));
  EXPECT_TRUE(scope->sees({101}));
  EXPECT_FALSE(scope->sees({147}));
  const auto node = hub.directory->node(hub.owner, made.node).value();
  EXPECT_EQ(node.state, NodeState::enrolled);
  EXPECT_EQ(node.serial, identity->serial);
  EXPECT_EQ(node.sign_key, machine.enrolment->sign_key().public_key().text());
  EXPECT_EQ(hub.audit(), (std::vector<std::string>{"node.admitted", "code.made", "node.enrolled"}));

  machine.reopen();  // a restart
  EXPECT_EQ(machine.enrolment->identity()->serial, identity->serial);
  EXPECT_EQ(machine.enrol(made.code).error().code, Code::conflict);
}

TEST(Enrolment, TheSecretOfACodeIsKeptNowhere) {
  Sim sim(1);
  Hub hub(sim, "/hub");
  const auto code = EnrolmentCode::parse(hub.admit({{101}}).code).value();
  const auto digest =
      hub.state->read([](store::Reader& db) { return db.one<store::Blob>("SELECT digest FROM enrolment_code"); })
          .value();
  EXPECT_EQ(digest->bytes, EnrolmentCode::digest(code.secret));
  EXPECT_NE(digest->bytes, code.secret);
}

TEST(Enrolment, ASharedOperatorsNodeSeesItsMunicipalitiesAndNoOther) {
  Sim sim(1);
  Hub hub(sim, "/hub");
  Machine machine(sim, "/node");
  EXPECT_EQ(hub.directory->admit(hub.owner, {{{101}, {147}}, "", ""}, kHub).error().code, Code::bad_input);
  ASSERT_TRUE(machine.enrol(hub.admit({{101}, {147}}, "shared", "Joint IT").code));
  const auto scope = hub.directory->scope_of(machine.enrolment->identity()->serial).value();
  EXPECT_TRUE(scope.sees({101}) && scope.sees({147}));
  EXPECT_FALSE(scope.sees({151}));
  EXPECT_EQ(machine.enrolment->identity()->by, "Joint IT");
  // 147 cannot be taken over by somebody else's node
  EXPECT_EQ(hub.directory->admit(hub.owner, {{{147}}, "Other", "other"}, kHub).error().code, Code::conflict);
}

TEST(Enrolment, EveryBadCodeIsRefusedWithItsReason) {
  Sim sim(1);
  log::Capture quiet;
  Hub hub(sim, "/hub");
  Machine first(sim, "/first"), second(sim, "/second");
  const auto why = [&](const std::string& code) { return second.enrol(code).error(); };

  const auto made = hub.admit({{101}});
  ASSERT_TRUE(first.enrol(made.code));
  EXPECT_EQ(why(made.code).code, Code::conflict);
  EXPECT_NE(why(made.code).what.find("was used"), std::string::npos);

  auto unknown = EnrolmentCode::parse(made.code).value();
  unknown.secret[0] = static_cast<char>(unknown.secret[0] ^ 1);
  EXPECT_NE(why(unknown.text()).what.find("does not know this enrolment code"), std::string::npos);

  const auto late = hub.admit({{147}});
  sim.advance(days{8});
  EXPECT_NE(why(late.code).what.find("expired"), std::string::npos);

  const auto replaced = hub.directory->new_code(hub.owner, late.node, kHub).value();
  const auto newest = hub.directory->new_code(hub.owner, late.node, kHub).value();
  EXPECT_NE(why(replaced.code).what.find("withdrawn"), std::string::npos);
  EXPECT_NE(why("bavn1.nonsense").what.find("missing"), std::string::npos);
  EXPECT_EQ(second.enrolment->identity(), nullptr);
  EXPECT_TRUE(second.enrol(newest.code));
}

TEST(Enrolment, AnotherHubsRootIsNoticedBeforeAnythingIsSent) {
  Sim sim(1);
  log::Capture quiet;
  Hub impostor(sim, "/impostor");  // answers at the hub's address
  Hub real(sim, "/real", "elsewhere.example.org:1");
  Machine machine(sim, "/node");
  const auto code = real.admit({{101}}).code;  // says kHub
  const auto refused = machine.enrol(code);
  EXPECT_EQ(refused.error().code, Code::forbidden);
  EXPECT_NE(refused.error().what.find("fingerprint"), std::string::npos);
  EXPECT_TRUE(impostor.audit().empty());
}

TEST(Enrolment, AWrongClockIsNamedAsSuch) {
  for (const Duration skew : {Duration(-days{3}), Duration(days{400}), Duration(10min)}) {
    Sim sim(1);
    Hub hub(sim, "/hub");
    Machine machine(sim, "/node");
    const auto code = hub.admit({{101}}).code;
    machine.clock.skew = skew;
    const auto refused = machine.enrol(code);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().what.find("clock"), std::string::npos);
    EXPECT_NE(refused.error().what.find(skew > 0s ? "ahead of" : "behind"), std::string::npos);
    machine.clock.skew = 0s;
    EXPECT_TRUE(machine.enrol(code)) << "the code was not used up";
  }
}

TEST(Enrolment, AHubThatDoesNotAnswerCostsNothing) {
  Sim sim(1);
  Hub hub(sim, "/hub");
  Machine machine(sim, "/node");
  const auto code = hub.admit({{101}}).code;
  sim.set_reachable(kHub, false);
  EXPECT_NE(machine.enrol(code).error().what.find("reachable"), std::string::npos);
  sim.set_reachable(kHub, true);
  EXPECT_TRUE(machine.enrol(code));
}

// Whatever link is cut, whichever answer is lost: the same code works until it worked, and gives one certificate.
TEST(Enrolment, LostAnswersAreAskedForAgain) {
  std::size_t retried = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    Sim sim(seed);
    log::Capture quiet;
    Hub hub(sim, "/hub");
    Machine machine(sim, "/node");
    const auto made = hub.admit({{101}});
    sim.set_weather({.min_delay = 1ms, .max_delay = 300ms, .cut = 0.2, .duplicate = 0.2});
    std::size_t tries = 0;
    for (bool done = false; !done; ++tries) {
      ASSERT_LT(tries, 100U);
      if (tries % 3 == 2) machine.reopen();
      const auto result = machine.enrol(made.code);
      done = result.has_value();
      EXPECT_TRUE(done || result.error().code == Code::unavailable) << result.error().what;
    }
    retried += tries > 1;
    EXPECT_EQ(hub.state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM certificate"); }).value(),
              1);
  }
  EXPECT_GT(retried, 10U);
}

TEST(Enrolment, GuessingIsStopped) {
  Sim sim(1);
  log::Capture quiet;
  Hub hub(sim, "/hub");
  Machine machine(sim, "/node");
  const auto made = hub.admit({{101}});
  auto guess = EnrolmentCode::parse(made.code).value();
  for (int i = 0; i < 10; ++i) {
    guess.secret[3] = static_cast<char>(guess.secret[3] + 1);
    EXPECT_NE(machine.enrol(guess.text()).error().what.find("does not know"), std::string::npos);
  }
  EXPECT_NE(machine.enrol(made.code).error().what.find("too many wrong codes"), std::string::npos);
  sim.advance(16min);
  EXPECT_TRUE(machine.enrol(made.code));
}

TEST(Renewal, HappensByItselfAfterTwentyOfThirtyDaysForYears) {
  Sim sim(1);
  Hub hub(sim, "/hub");
  Machine machine(sim, "/node");
  ASSERT_TRUE(machine.enrol(hub.admit({{101}}).code));
  machine.enrolment->start();
  std::vector<std::string> seen;
  machine.enrolment->on_change([&](std::shared_ptr<const NodeIdentity> identity) { seen.push_back(identity->serial); });
  const auto first = machine.enrolment->identity()->serial;
  sim.advance(days{19} + 23h);
  EXPECT_EQ(machine.enrolment->identity()->serial, first);
  sim.advance(3h);
  EXPECT_NE(machine.enrolment->identity()->serial, first);
  EXPECT_TRUE(hub.directory->scope_of(first))
      << "the old one holds until it ends: connections move over in their own time";
  sim.advance(days{2 * 365});
  EXPECT_EQ(machine.enrolment->status().state, EnrolmentState::enrolled);
  EXPECT_TRUE(hub.directory->scope_of(machine.enrolment->identity()->serial));
  EXPECT_NEAR(static_cast<double>(seen.size()), 750 / 20.0, 2.0);
  EXPECT_FALSE(hub.directory->scope_of(first));
  machine.reopen();
  EXPECT_EQ(machine.enrolment->identity()->serial, seen.back());
}

TEST(Renewal, AHubAwayForAWeekIsNoTrouble) {
  Sim sim(1);
  log::Capture quiet;
  Hub hub(sim, "/hub");
  Machine machine(sim, "/node");
  ASSERT_TRUE(machine.enrol(hub.admit({{101}}).code));
  machine.enrolment->start();
  sim.advance(days{18});
  sim.set_reachable(kHub, false);
  sim.advance(days{7});
  EXPECT_EQ(machine.enrolment->status().state, EnrolmentState::late);
  EXPECT_GT(machine.enrolment->status().failures, 10U);
  sim.set_reachable(kHub, true);
  sim.advance(2h);
  EXPECT_EQ(machine.enrolment->status().state, EnrolmentState::enrolled);
  EXPECT_EQ(machine.enrolment->status().failures, 0U);
}

TEST(Renewal, AHubAwayTooLongEndsInClearWordsAndANewCodeHelps) {
  Sim sim(1);
  log::Capture quiet;
  Hub hub(sim, "/hub");
  Machine machine(sim, "/node");
  const auto made = hub.admit({{101}});
  ASSERT_TRUE(machine.enrol(made.code));
  machine.enrolment->start();
  sim.set_reachable(kHub, false);
  sim.advance(days{31});
  EXPECT_EQ(machine.enrolment->status().state, EnrolmentState::expired);
  EXPECT_NE(machine.enrolment->status().text.find("new code"), std::string::npos);
  sim.set_reachable(kHub, true);
  sim.advance(2h);
  EXPECT_NE(machine.enrolment->status().text.find("expired"), std::string::npos)
      << "an expired certificate renews nothing";
  EXPECT_EQ(hub.directory->node(hub.owner, made.node)->state, NodeState::expired);
  ASSERT_TRUE(machine.enrol(hub.directory->new_code(hub.owner, made.node, kHub)->code));
  EXPECT_EQ(machine.enrolment->status().state, EnrolmentState::enrolled);
}

TEST(Renewal, LostAnswersGiveTheSameCertificateAgain) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    Sim sim(seed);
    log::Capture quiet;
    Hub hub(sim, "/hub");
    Machine machine(sim, "/node");
    ASSERT_TRUE(machine.enrol(hub.admit({{101}}).code));
    sim.set_weather({.min_delay = 1ms, .max_delay = 300ms, .cut = 0.3, .duplicate = 0.2});
    int tries = 0;
    while (!machine.renew()) ASSERT_LT(++tries, 200);
    EXPECT_EQ(hub.state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM certificate"); }).value(),
              2);
  }
}

TEST(Revocation, WorksAtOnceAndIsSaidAtTheNode) {
  Sim sim(1);
  log::Capture quiet;
  Hub hub(sim, "/hub");
  Machine machine(sim, "/node");
  const auto made = hub.admit({{101}});
  ASSERT_TRUE(machine.enrol(made.code));
  machine.enrolment->start();
  const auto serial = machine.enrolment->identity()->serial;
  EXPECT_FALSE(hub.directory->revoked(serial));
  std::vector<std::string> cut;
  hub.directory->on_revoked([&](const std::string& s) { cut.push_back(s); });
  ASSERT_TRUE(hub.directory->revoke_node(hub.owner, made.node, "laptop stolen"));
  EXPECT_EQ(cut, std::vector<std::string>{serial});
  EXPECT_TRUE(hub.directory->revoked(serial));
  EXPECT_TRUE(hub.directory->revoked("00ff"));
  EXPECT_NE(hub.directory->scope_of(serial).error().what.find("revoked"), std::string::npos);
  EXPECT_EQ(machine.renew().error().code, Code::forbidden);
  EXPECT_EQ(machine.enrolment->status().state, EnrolmentState::refused);
  EXPECT_NE(machine.enrolment->status().text.find("revoked"), std::string::npos);
  EXPECT_EQ(hub.directory->node(hub.owner, made.node)->state, NodeState::revoked);
  // after a restart of the hub, too
  const auto again = Directory::open(sim, *hub.state, *hub.trust).value();
  EXPECT_TRUE(again->revoked(serial));
  ASSERT_TRUE(machine.enrol(hub.directory->new_code(hub.owner, made.node, kHub)->code));
  EXPECT_EQ(machine.enrolment->status().state, EnrolmentState::enrolled);
}

TEST(Revocation, OfOneCertificateLeavesTheNodesOthers) {
  Sim sim(1);
  log::Capture quiet;
  Hub hub(sim, "/hub");
  Machine machine(sim, "/node");
  ASSERT_TRUE(machine.enrol(hub.admit({{101}}).code));
  const auto old = machine.enrolment->identity()->serial;
  ASSERT_TRUE(machine.renew());
  ASSERT_TRUE(hub.directory->revoke_certificate(hub.owner, old, "replaced"));
  EXPECT_TRUE(hub.directory->revoked(old));
  EXPECT_FALSE(hub.directory->revoked(machine.enrolment->identity()->serial));
  EXPECT_EQ(hub.directory->revoke_certificate(hub.owner, old, "again").error().code, Code::conflict);
  EXPECT_EQ(hub.directory->revoke_certificate(hub.owner, "beef", "x").error().code, Code::not_found);
}

TEST(Membership, AMunicipalityThatLeavesTakesItsNodeAlong) {
  Sim sim(1);
  log::Capture quiet;
  Hub hub(sim, "/hub");
  Machine own(sim, "/own"), shared(sim, "/shared");
  ASSERT_TRUE(own.enrol(hub.admit({{101}}).code));
  const auto both = hub.admit({{147}, {151}}, "shared", "Joint IT");
  ASSERT_TRUE(shared.enrol(both.code));
  ASSERT_TRUE(hub.directory->leave(hub.owner, {101}, "contract ended"));
  ASSERT_TRUE(hub.directory->leave(hub.owner, {147}, "contract ended"));
  EXPECT_TRUE(hub.directory->revoked(own.enrolment->identity()->serial));
  const auto scope = hub.directory->scope_of(shared.enrolment->identity()->serial).value();
  EXPECT_FALSE(scope.sees({147}));
  EXPECT_TRUE(scope.sees({151}));
  EXPECT_EQ(hub.directory->leave(hub.owner, {101}, "again").error().code, Code::not_found);
  ASSERT_TRUE(shared.renew());
  EXPECT_EQ(shared.enrolment->identity()->municipalities, std::vector<MunicipalityId>{{151}});
  // and it may come back
  Machine returned(sim, "/returned");
  EXPECT_TRUE(returned.enrol(hub.admit({{101}}).code));
}

TEST(Membership, ScopesSeeAndChangeOnlyTheirOwn) {
  Sim sim(1);
  Hub hub(sim, "/hub");
  const auto made = hub.admit({{101}});
  hub.admit({{147}});
  const Scope own("person:1", {{147}}, 0xFFFFFFFFU, event::Tlp::amber_strict);
  EXPECT_EQ(hub.directory->nodes(own)->size(), 1U);
  EXPECT_EQ(hub.directory->members(own)->size(), 1U);
  EXPECT_EQ(hub.directory->operators(own)->size(), 1U);
  EXPECT_EQ(hub.directory->node(own, made.node).error().code, Code::not_found);
  EXPECT_EQ(hub.directory->new_code(own, made.node, kHub).error().code, Code::not_found);
  EXPECT_EQ(hub.directory->revoke_node(own, made.node, "x").error().code, Code::not_found);
  EXPECT_EQ(hub.directory->leave(own, {101}, "x").error().code, Code::not_found);
  EXPECT_EQ(hub.directory->admit(own, {{{151}}, "", ""}, kHub).error().code, Code::not_found);
  const Scope reader("person:2", {{101}}, static_cast<std::uint32_t>(event::Right::tenants_read),
                     event::Tlp::amber_strict);
  EXPECT_EQ(hub.directory->revoke_node(reader, made.node, "x").error().code, Code::forbidden);
  const Scope nobody("nobody", {}, 0, event::Tlp::clear);
  EXPECT_EQ(hub.directory->nodes(nobody).error().code, Code::forbidden);
  EXPECT_EQ(hub.directory->node_named(hub.owner, "Kobenhavn").error().code, Code::not_found);
  EXPECT_EQ(hub.directory->node_named(hub.owner, "København").value(), made.node);
}

TEST(HubKey, ANewOneIsFollowedAndAnOldStatementIsRefused) {
  Sim sim(1);
  log::Capture quiet;
  auto hub = std::make_unique<Hub>(sim, "/hub");
  Machine machine(sim, "/node");
  ASSERT_TRUE(machine.enrol(hub->admit({{101}}).code));
  machine.enrolment->start();
  const std::string old = hub->trust->statements().back();
  ASSERT_TRUE(Trust::rotate_hub_key(sim, "/hub", "/hub/root.key"));
  *hub->trust = Trust::open(sim, "/hub").value();
  sim.advance(days{1} + 2h);
  EXPECT_EQ(machine.enrolment->identity()->statement.epoch, 2U);
  EXPECT_EQ(machine.enrolment->identity()->statement.hub_key, hub->trust->hub_key().public_key());
  EXPECT_EQ(machine.enrolment->accept_statement(old).error().code, Code::forbidden);
  ASSERT_TRUE(Trust::init(sim, "/foreign", {"hub.example.org"}));
  EXPECT_EQ(machine.enrolment->accept_statement(Trust::open(sim, "/foreign")->statements().back()).error().code,
            Code::forbidden);
  machine.reopen();
  EXPECT_EQ(machine.enrolment->identity()->statement.epoch, 2U);
}

TEST(Enrolment, ForgettingLeavesNoKeyBehind) {
  Sim sim(1);
  Hub hub(sim, "/hub");
  Machine machine(sim, "/node");
  ASSERT_TRUE(machine.enrol(hub.admit({{101}}).code));
  ASSERT_TRUE(machine.enrolment->forget());
  EXPECT_EQ(machine.enrolment->identity(), nullptr);
  EXPECT_TRUE(sim.files().list("/node")->empty());
}

TEST(Enrolment, ADamagedFileIsSaidAndNotOverwritten) {
  Sim sim(1);
  Hub hub(sim, "/hub");
  Machine machine(sim, "/node");
  ASSERT_TRUE(machine.enrol(hub.admit({{101}}).code));
  ASSERT_TRUE(replace_file(sim.files(), "/node/enrolment.json", "{\"hub\":"));
  const auto opened = Enrolment::open(sim, *machine.client, machine.queue, "/node");
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::corrupt);
}

TEST(Enrolment, NonsenseFromTheHubIsRefused) {
  Sim sim(1);
  const auto hub = std::make_unique<Hub>(sim, "/hub", "elsewhere.example.org:1");
  Machine machine(sim, "/node");
  const auto code = hub->admit({{101}}).code;
  net::Router nonsense;
  std::string answer = "<html>It works!</html>";
  nonsense.get("/beacon/v1/identity", net::Needs::anyone,
               [&](const net::Request&) { return net::text(answer, "text/html"); });
  const auto queue = sim.queue({.name = "nonsense"});
  const auto server = net::SimServer::start(sim, nonsense, kHub, queue).value();
  EXPECT_NE(machine.enrol(code).error().what.find("not understood"), std::string::npos);
  answer = R"({"root":"ed25519:","statement":"","time":"2024-10-01T08:00:00Z"})";
  EXPECT_EQ(machine.enrol(code).error().code, Code::forbidden);
  answer = std::string(400'000, '[');
  EXPECT_FALSE(machine.enrol(code));
}

}  // namespace
}  // namespace bavn::tenants
