// The whole way in virtual time: mail arrives in the stand-in's mailboxes, its message trace comes in minutes later and lies in the history,
// a notice names Message-IDs, and purge finds, moves, counts and puts back through Access, tokens, budgets and faults.
#include "app/purge_node.hpp"

#include <gtest/gtest.h>

#include "act/mandate.hpp"
#include "act/purge_graph.hpp"
#include "input/sources/microsoft365/apis.hpp"
#include "input/sources/microsoft365/microsoft365.hpp"
#include "input/sources/microsoft365/stand_in/stand_in.hpp"
#include "live/testing.hpp"
#include "net/json_views.hpp"
#include "net/sim.hpp"

namespace bavn::app {
namespace {

using namespace std::chrono_literals;
namespace m365 = input::microsoft365;
using m365::stand_in::StandIn;

SigningKey key(char c) {
  std::array<char, 32> seed;
  seed.fill(c);
  return SigningKey::from_seed(seed);
}

const RsaIdentity& identity() {
  static const RsaIdentity made =
      *make_rsa_identity("Bavn test node", *parse_time("2024-09-01T00:00:00Z"), std::chrono::days(3650));
  return made;
}

class NoBook : public input::SourceBook {
 public:
  void say(input::SourceReport) override {}
};

m365::stand_in::StandInOptions world(unsigned people) {
  m365::stand_in::StandInOptions o;
  o.world = {.seed = 3, .tenants = 2, .people = people, .busy = 0.05};
  return o;
}

struct Town {
  explicit Town(unsigned people, std::set<std::string> roles = {"ExchangeMessageTrace.Read.All", "Mail.ReadWrite"})
      : stand(node.sim, world(people)), queue(sim.queue({.name = "m365", .limit = 100'000})) {
    node.options.engine.facts = true;
    node.open();
    stand.serve_as("http://m365.example:80");
    stand.add_routes(router);
    server = *net::SimServer::start(sim, router, "m365.example:80", sim.queue({.name = "stand-in", .limit = 100'000}));
    client =
        net::sim_client(sim, {.address = "192.0.2.1", .tls = false, .certificate_serial = {}, .certificate_name = {}});
    stand.licences(0).trace_principal = true;
    m365::Account account{.tenant = tenant().id,
                          .client = stand.register_application(0, identity().certificate_pem, std::move(roles)),
                          .identity = identity(),
                          .endpoints = {.login = "http://m365.example:80/login",
                                        .graph = "http://m365.example:80/graph",
                                        .manage = "http://m365.example:80/manage"}};
    std::vector<std::string> off;
    for (const auto& api : m365::apis())
      if (api.name != "trace") off.emplace_back(api.name);
    source = std::make_unique<m365::Microsoft365>(
        sim, *client, queue, *node.pipeline, book, *node.state,
        m365::TenantOptions{.account = account, .municipality = {101}, .tenant = TenantId{1}, .off = off});
    mandate();
    act::PurgeOptions o;
    o.municipality = {101};
    o.mandate = files;
    o.domains = {tenant().domain};
    purge = *act::Purge::open(
        sim, *node.state, node_key, o,
        {graph_ask({{source->shared_access(), {tenant().domain}}}), trace_locate(sim, *node.pipeline), {}});
    node.state->start();
    source->start();
    purge->start();
  }
  ~Town() {
    purge.reset();
    source.reset();
  }
  void mandate() {
    EXPECT_TRUE(sim.files().make_dirs("/node"));
    EXPECT_TRUE(act::new_mandate(
        sim.files(), files,
        {{101},
         "Fjordby",
         "Europe/Copenhagen",
         "Leo Leader",
         "director",
         leader.public_key(),
         {{.name = "Bo Example", .of = "CERT", .key = key('b').public_key().text(), .second_only = false, .hours = {}},
          {.name = "Cy Example",
           .of = "CERT",
           .key = key('c').public_key().text(),
           .second_only = false,
           .hours = {}}}},
        sim.now()));
    auto text = read_file(sim.files(), files.mandate, 1 << 20).value();
    const auto at = text.find("mode = \"off\"", text.find("[action.purge]"));
    text.replace(at, 12, "mode = \"act\"");
    EXPECT_TRUE(replace_file(sim.files(), files.mandate, text));
    EXPECT_TRUE(act::sign_mandate(sim.files(), files, leader, sim.now()));
  }
  const m365::stand_in::Tenant& tenant() { return stand.world().tenants()[0]; }
  const std::string& sender() { return stand.world().tenants()[1].people[0].address; }
  /// n mails from the neighbour to people here, over two minutes; with what the hub says of them.
  event::SenderIds wave(unsigned n) {
    event::SenderIds out;
    out.notice = "sn-1";
    out.sender = sender();
    out.from_us = micros(sim.now());
    for (unsigned i = 0; i < n; ++i) {
      const auto& to = tenant().people[i % tenant().people.size()].address;
      out.message_ids.push_back(*stand.deliver({.from = sender(), .to = to, .at = sim.now() + 2min * i / n}));
    }
    // And a letter of the same person that has nothing to do with it.
    EXPECT_TRUE(stand.deliver({.from = sender(), .to = tenant().people[1].address, .subject = "Referat"}));
    sim.advance(2min);
    out.to_us = micros(sim.now());
    out.domains = {tenant().domain};
    out.mails = n;
    out.takeover = true;
    return out;
  }
  void take(const event::SenderIds& ids) {
    ASSERT_TRUE(node.state->write_now([&](store::Tx& tx) { return purge->take(tx, net::to_json(ids)); }));
  }
  act::PurgeCase view() {
    return node.state->read([](store::Reader& db) { return act::Purge::find(db, "sn-1"); }).value();
  }
  std::size_t recoverable() { return stand.mailboxes().count(tenant().domain, act::kRecoverable, sim.now()); }
  std::size_t there() { return stand.mailboxes().count(tenant().domain, "", sim.now()); }

  live::testing::SimNode node;
  Sim& sim = node.sim;
  StandIn stand;
  QueueId queue;
  net::Router router;
  std::unique_ptr<net::SimServer> server;
  std::unique_ptr<net::Client> client;
  NoBook book;
  std::unique_ptr<m365::Microsoft365> source;
  act::MandateFiles files = act::MandateFiles::in("/node");
  SigningKey leader = key('l'), node_key = key('n');
  std::unique_ptr<act::Purge> purge;
};

TEST(PurgeNode, October2024IsEmptiedUndoneAndRedoneThroughGraph) {
  Town t(400);
  t.take(t.wave(791));
  t.sim.advance(20min);
  auto c = t.view();
  EXPECT_EQ(c.message_ids, 791);
  EXPECT_EQ(c.located, 791);
  EXPECT_EQ(c.moved, 791) << c.why << c.paused;
  EXPECT_EQ(c.mailboxes, 400);
  EXPECT_EQ(c.state, "emptied");
  EXPECT_EQ(t.recoverable(), 791U);
  EXPECT_EQ(t.there(), 1U) << "the other letter";
  EXPECT_EQ(t.stand.counts().over_limit, 0U) << "never more than Microsoft allows";
  RecordProperty("minutes_to_emptied", std::to_string((c.emptied_us - c.opened_us) / 60'000'000));
  EXPECT_LE(c.emptied_us - c.opened_us, 15 * 60'000'000LL) << "the trace is minutes late";
  ASSERT_TRUE(t.node.state->write_now([&](store::Tx& tx) { return t.purge->undo(tx, "sn-1", "Anna Example"); }));
  t.sim.advance(20min);
  EXPECT_EQ(t.view().state, "undone") << t.view().why;
  EXPECT_EQ(t.view().back, 791);
  EXPECT_EQ(t.there(), 792U);
  t.sim.advance(1h);  // the mandate's limit of the hour
  ASSERT_TRUE(t.node.state->write_now([&](store::Tx& tx) { return t.purge->redo(tx, "sn-1", "Anna Example"); }));
  t.sim.advance(20min);
  EXPECT_EQ(t.view().moved, 791) << t.view().paused;
  EXPECT_EQ(t.recoverable(), 791U);
}

TEST(PurgeNode, WhateverMicrosoftAnswersEachMailEndsWhereItShould) {
  Town t(60);
  t.stand.faults() = {.throttle = 0.05,
                      .server_error = 0.05,
                      .html = 0.02,
                      .half_page = 0.02,
                      .expired_token = 0.02,
                      .late_error = 0.05,
                      .wrong_code = 0.05,
                      .user_moves = 0.03};
  t.take(t.wave(120));
  t.sim.advance(5h);
  EXPECT_EQ(t.view().moved, 120) << t.view().why;
  EXPECT_EQ(t.recoverable(), 120U);
  EXPECT_EQ(t.view().copies, 120);
  ASSERT_TRUE(t.node.state->write_now([&](store::Tx& tx) { return t.purge->undo(tx, "sn-1", "Anna Example"); }));
  t.sim.advance(5h);
  EXPECT_EQ(t.view().back, 120) << t.view().why;
  EXPECT_EQ(t.there(), 121U);
  EXPECT_EQ(t.recoverable(), 0U);
  EXPECT_GT(t.stand.counts().faults, 50U) << "or this test proves nothing";
}

TEST(PurgeNode, WithoutMailReadWriteDefenderDoesItOrItIsSaid) {
  Town t(30, {"ExchangeMessageTrace.Read.All", "SecurityAnalyzedMessage.ReadWrite.All"});
  t.take(t.wave(40));
  t.sim.advance(3h);
  EXPECT_EQ(t.view().moved, 40) << t.view().why;
  EXPECT_EQ(t.view().way, "defender");
  EXPECT_EQ(t.recoverable(), 40U);

  Town none(5, {"ExchangeMessageTrace.Read.All"});
  none.take(none.wave(5));
  none.sim.advance(8h);
  EXPECT_EQ(none.view().failed, 5);
  EXPECT_EQ(none.view().state, "done");
  EXPECT_EQ(none.recoverable(), 0U);
  const auto copies = none.node.state->read([](store::Reader& db) { return act::Purge::copies(db, "sn-1"); }).value();
  EXPECT_NE(copies[0].reason.find("permission SecurityAnalyzedMessage.ReadWrite.All is missing"), std::string::npos)
      << copies[0].reason;
}

TEST(PurgeNode, ForwardsToColleaguesAreFoundInTheTraceAndProvedInTheMailbox) {
  Town t(12);
  auto wave = t.wave(6);
  const auto& people = t.tenant().people;
  EXPECT_TRUE(t.stand.deliver(
      {.from = people[0].address, .to = people[9].address, .subject = "VS: Faktura", .answers = wave.message_ids[0]}));
  EXPECT_TRUE(t.stand.deliver(
      {.from = people[1].address, .to = people[10].address, .subject = "VS: Faktura", .answers = "<else@x.example>"}));
  EXPECT_TRUE(t.stand.deliver(
      {.from = people[8].address, .to = people[11].address, .subject = "VS: Faktura", .answers = wave.message_ids[0]}));
  t.sim.advance(1min);
  t.take(wave);
  t.sim.advance(1h);
  EXPECT_EQ(t.recoverable(), 7U) << "six, and the forward that names one of them";
  EXPECT_EQ(t.view().left_alone, 1);
}

TEST(PurgeNode, AHeldAFullAndAClosedMailbox) {
  Town t(8);
  t.stand.mailboxes().box(t.tenant().people[0].address).hold = true;
  t.stand.mailboxes().box(t.tenant().people[1].address).full = true;
  t.stand.mailboxes().box(t.tenant().people[2].address).closed = true;
  t.take(t.wave(8));
  t.sim.advance(1h);
  EXPECT_EQ(t.view().moved, 6) << "a hold keeps mail, it does not keep it in the inbox";
  EXPECT_EQ(t.view().failed, 2);
  t.stand.mailboxes().box(t.tenant().people[1].address).full = false;
  t.sim.advance(2h);
  EXPECT_EQ(t.view().moved, 7);
}

}  // namespace
}  // namespace bavn::app
