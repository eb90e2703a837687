// Warnings over the wire in virtual time: hub and nodes with their real streams and spools, cut, killed and away.
#include "app/warnings.hpp"

#include <gtest/gtest.h>

#include <map>

#include "base/log.hpp"
#include "base/temp_folder.hpp"
#include "beacon/testing.hpp"
#include "net/json_views.hpp"

namespace bavn::app {
namespace {

using namespace std::chrono_literals;
namespace bt = beacon::testing;

struct Hub {
  explicit Hub(Sim& s) : sim(s) {
    state = store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}}).value();
    const auto key = std::make_shared<SigningKey>(bt::key_of('b'));
    beacon::HubOptions options;
    options.folder = "/hub/beacon";
    beacon = beacon::HubBeacon::open(sim, *state, members, metrics,
                                     {key, 1, {bt::statement(root, key->public_key(), 1)}}, options)
                 .value();
    warn::DeskParts parts{.runtime = sim,
                          .state = *state,
                          .texts = texts,
                          .down = [this](store::Tx& tx, std::optional<MunicipalityId> to, std::string_view kind,
                                         const std::string& json) -> Result<void> {
                            beacon::Post post;
                            post.kind = kind;
                            post.payload = json;
                            BAVN_CHECK(beacon->urgent(tx, to, post));
                            return {};
                          },
                          .roster = [this](store::Reader&) -> Result<std::vector<warn::Listener>> {
                            std::vector<warn::Listener> all;
                            for (const auto& [serial, facts] : members.facts)
                              for (const auto m : facts.municipalities) all.push_back({m, facts.node});
                            return all;
                          }};
    desk = warn::Desk::open(std::move(parts)).value();
    beacon->on_report("warning_answer", [this](store::Tx& tx, const beacon::Report& r) {
      ++answers;
      return desk->take_answer(tx, {r.node, r.id, r.kind, r.municipality, r.at, sim.now(), r.body});
    });
    beacon->on_other_report([](store::Tx&, const beacon::Report&) -> Result<void> { return {}; });
    beacon->witness(bt::audit_head);
    router.authenticate([this](const net::Request& q) -> Result<event::Scope> {
      BAVN_TRY(const auto facts, members.by_certificate(q.peer.certificate_serial));
      return event::Scope(
          facts.node, facts.municipalities,
          static_cast<std::uint32_t>(event::Right::follow) | static_cast<std::uint32_t>(event::Right::report),
          event::Tlp::red);
    });
    beacon->add_routes(router);
    listen();
    state->start();
    beacon->start();
  }
  ~Hub() {
    server.reset();
    state->stop();
  }
  void listen() { server = net::SimServer::start(sim, router, "hub.example.org:443", queue).value(); }

  Sim& sim;
  QueueId queue = sim.queue({.name = "hub", .limit = 100'000});
  SigningKey root = bt::key_of('r');
  Catalogue texts = Catalogue::embedded();
  Metrics metrics;
  bt::Members members;
  int answers = 0;
  std::unique_ptr<store::State> state;
  std::unique_ptr<beacon::HubBeacon> beacon;
  std::unique_ptr<warn::Desk> desk;
  net::Router router;
  std::unique_ptr<net::SimServer> server;
};

/// What outlives a node's process.
struct Town {
  std::string name, path;
  MunicipalityId id;
  int hunts = 0;
};

struct Node {
  Node(Sim& s, Hub& hub, Town& t) : sim(s), town(t) {
    hub.members.facts["c-" + town.name] = {town.name, {town.id}, {}, false, ""};
    state = store::State::open(sim, {.path = town.path, .schema = {"core", "node"}}).value();
    client = net::sim_client(
        sim,
        {.address = "192.0.2.7", .tls = true, .certificate_serial = "c-" + town.name, .certificate_name = town.name});
    beacon::NodeOptions o;
    o.hub = "https://hub.example.org";
    o.node = town.name;
    o.version = "test";
    o.check = bt::check_statement(hub.root.public_key());
    o.municipalities = {town.id};
    o.folder = "/" + town.name + "/beacon";
    o.witness = std::make_shared<SigningKey>(bt::key_of(town.name.back()));
    o.audit_head = bt::audit_head;
    beacon = beacon::NodeBeacon::open(sim, *state, *client, metrics, o).value();
    warn::NodeDeskParts parts{.runtime = sim,
                              .state = *state,
                              .texts = texts,
                              .municipalities = {town.id},
                              .hunt = {},
                              .deliver = {},
                              .tell = {}};
    parts.hunt = [this](warn::HuntAsk, std::move_only_function<void(Result<warn::HuntFound>)> then) {
      ++town.hunts;
      warn::HuntFound f;
      f.hits = town.id.value;
      f.looked_in = {"message_trace"};
      then(f);
    };
    parts.deliver = [](store::Tx&, const warn::Delivery&) -> Result<std::size_t> { return 1; };
    parts.tell = [this](store::Tx& tx, std::string_view kind, std::string_view json, MunicipalityId m, event::Tlp tlp) {
      return beacon->report(tx, kind, json, m, tlp);
    };
    desk = warn::NodeDesk::open(std::move(parts)).value();
    beacon->on_entry("warning", [this](store::Tx& tx, const beacon::Received& r) {
      return desk->take(tx, r.payload, std::nullopt);
    });
    beacon->on_other_entry([](store::Tx&, const beacon::Received&) -> Result<void> { return {}; });
    state->start();
    beacon->start();
  }
  ~Node() {
    beacon->stop();
    state->stop();
  }
  std::int64_t number(std::string_view sql) {
    return state->read([&](store::Reader& db) { return db.number(sql); }).value_or(-1);
  }

  Sim& sim;
  Town& town;
  Catalogue texts = Catalogue::embedded();
  Metrics metrics;
  std::unique_ptr<store::State> state;
  std::unique_ptr<net::Client> client;
  std::unique_ptr<beacon::NodeBeacon> beacon;
  std::unique_ptr<warn::NodeDesk> desk;
};

warn::Case a_case() {
  auto c = warn::read_case(R"({"campaign": "c-1", "severity": "high", "first_seen": "2024-10-25T06:00:00Z",
    "look_for": [{"kind": "url", "value": "https://bio.link/orbes"}]})")
               .value();
  return c;
}

TEST(WarningsOverTheWire, WhoWasAwayGetsEachOnceWhenItReturns) {
  TempFolder folder;
  Sim sim(7, *parse_time("2024-10-25T06:08:00Z"));
  log::Capture quiet;
  Hub hub(sim);
  std::vector<Town> towns;
  for (const int id : {101, 157, 173})
    towns.push_back({"node-" + std::to_string(id),
                     (folder.path() / (std::to_string(id) + ".db")).string(),
                     {static_cast<std::uint16_t>(id)}});
  std::map<int, std::unique_ptr<Node>> nodes;
  for (auto& t : towns) nodes[t.id.value] = std::make_unique<Node>(sim, hub, t);
  sim.advance(1min);
  nodes.erase(157);  // its machine is off

  std::string id;
  const auto change = [&](auto&& f) { return hub.state->write_now(f); };
  ASSERT_TRUE(change([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(id, hub.desk->light(tx, a_case(), "bavn"));
    return {};
  }));
  sim.advance(30s);
  const auto seen = [&] { return hub.desk->show(event::Scope::local_owner(), id).value(); };
  EXPECT_EQ(seen().warning.answered, 2);
  EXPECT_EQ(seen().warning.asked, 3);

  hub.server.reset();  // the hub is away too, while a second version is made
  auto more = a_case();
  more.look_for.push_back({"url", "bio.link/two"});
  sim.advance(5min);
  ASSERT_TRUE(change([&](store::Tx& tx) { return hub.desk->update(tx, id, more, "Bo Example"); }));
  sim.advance(10min);
  hub.listen();
  nodes[157] = std::make_unique<Node>(sim, hub, towns[1]);
  sim.advance(10min);
  EXPECT_EQ(seen().warning.answered, 3);
  for (auto& [m, node] : nodes) {
    EXPECT_EQ(node->number("SELECT count(*) FROM warning_here"), 1) << m;
    EXPECT_EQ(node->number("SELECT version FROM warning_here"), 2) << m;
    EXPECT_EQ(node->number("SELECT count(*) FROM audit WHERE action = 'warning.taken'"), 2)
        << m << ": each version once";
  }
  for (const auto& a : seen().answers) {
    ASSERT_TRUE(a.answer) << a.name;
    EXPECT_EQ(a.answer->hits, a.municipality.value);
    EXPECT_EQ(a.answer->version, 2);
  }

  // Killed and started again a few times, the hub away in between: nothing is taken or answered anew.
  const int answers = hub.answers;
  for (int i = 0; i < 5; ++i) {
    nodes.clear();
    if (i == 2) hub.server.reset();
    for (auto& t : towns) nodes[t.id.value] = std::make_unique<Node>(sim, hub, t);
    sim.advance(i * 3s + 1s);
    if (i == 2) hub.listen();
  }
  sim.advance(5min);
  for (auto& [m, node] : nodes)
    EXPECT_EQ(node->number("SELECT count(*) FROM audit WHERE action = 'warning.taken'"), 2) << m;
  EXPECT_EQ(hub.answers, answers);
}

TEST(WarningsOverTheWire, OverReachesEverybodyAndAnswersStay) {
  TempFolder folder;
  Sim sim(8, *parse_time("2024-10-25T06:08:00Z"));
  log::Capture quiet;
  Hub hub(sim);
  Town town{"node-173", (folder.path() / "173.db").string(), {173}};
  Node node(sim, hub, town);
  sim.advance(1min);
  std::string id;
  ASSERT_TRUE(hub.state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(id, hub.desk->draft(tx, a_case(), "Bo Example"));
    return hub.desk->send(tx, id, "Bo Example");
  }));
  const auto sent = sim.now();
  sim.advance(1s);
  EXPECT_EQ(node.number("SELECT version FROM warning_here"), 1) << "within a second";
  EXPECT_LE(node.number("SELECT taken_at_us FROM warning_here") - micros(sent), 1'000'000);
  ASSERT_TRUE(hub.state->write_now([&](store::Tx& tx) { return hub.desk->over(tx, id, "Bo Example", "quiet since"); }));
  sim.advance(1min);
  EXPECT_EQ(node.desk->show(event::Scope::local_owner(), id, {173})->entry.state, "over");
  const auto view = hub.desk->show(event::Scope::local_owner(), id).value();
  EXPECT_EQ(view.answers[0].answer->version, 2);
  EXPECT_EQ(view.answers[0].answer->hits, 173);
}

/// One request to a control interface, as the owner or as somebody with these rights.
net::Reply ask(net::Router& router, net::Method method, const std::string& path, std::string body = {},
               event::Scope scope = event::Scope::local_owner()) {
  router.authenticate([scope](const net::Request&) -> Result<event::Scope> { return scope; });
  auto request = net::request_for(method, path).value();
  request.body = std::move(body);
  std::optional<net::Reply> got;
  router.handle(std::move(request), [&](net::Reply r) { got = std::move(r); });
  return *got;
}

TEST(WarningRoutes, ANodeAnswersAWarningOnItsControlInterface) {
  TempFolder folder;
  Sim sim(9, *parse_time("2024-10-25T06:08:00Z"));
  log::Capture quiet;
  Hub hub(sim);
  Town town{"node-173", (folder.path() / "173.db").string(), {173}};
  Node node(sim, hub, town);
  sim.advance(1min);
  net::Router at_node;
  add_warning_routes_node(at_node, *node.state, *node.desk, {{173}});
  using net::Method;
  const auto post = [&](net::Router& r, const std::string& path, std::string body = "{}") {
    return ask(r, Method::post, path, std::move(body)).status;
  };
  auto about =
      warn::read_case(R"({"severity": "high", "look_for": [{"kind": "url", "value": "https://bio.link/orbes"}]})");
  ASSERT_TRUE(about);
  std::string id;
  ASSERT_TRUE(hub.state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(id, hub.desk->draft(tx, *about, "analyst"));
    return hub.desk->send(tx, id, "analyst");
  }));
  sim.advance(1min);
  const auto here = ask(at_node, Method::get, "/api/warnings/" + id);
  ASSERT_EQ(here.status, 200) << here.body;
  EXPECT_EQ(net::JsonDocument::parse(here.body)->root()["answer"]["hits"].integer().value_or(0), 173);
  EXPECT_NE(ask(at_node, Method::get, "/api/warnings/" + id + "/text?language=en").body.find("173 mails seen in"),
            std::string::npos);
  EXPECT_EQ(post(at_node, "/api/warnings/" + id + "/seen", R"({"by": "Anna Example"})"), 204);
  EXPECT_EQ(post(at_node, "/api/taken", R"({"taken": true, "why": "sign-ins from afar"})"), 204);
  sim.advance(1min);
  const auto shown = hub.desk->show(event::Scope::local_owner(), id);
  ASSERT_TRUE(shown);
  ASSERT_TRUE(shown->answers.at(0).answer);
  EXPECT_EQ(shown->answers.at(0).answer->by, "person");
}

}  // namespace
}  // namespace bavn::app
