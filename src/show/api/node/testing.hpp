#pragma once
// For tests of a node's API: real modules under Sim, a history with a few records, and somebody who asks.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "alerts/book.hpp"
#include "base/sim.hpp"
#include "hunt/ingest.hpp"
#include "hunt/observables.hpp"
#include "net/json_value.hpp"
#include "show/api/node/node.hpp"

namespace bavn::show::api::testing {

constexpr std::string_view kRules = R"(title: Mailbox rule that forwards
id: 5b0e1f52-0000-4000-8000-000000000001
logsource:
  product: m365
  service: audit
detection:
  selection:
    Operation: New-InboxRule
  condition: selection
level: critical
---
title: Nobody delivers this
id: 5b0e1f52-0000-4000-8000-000000000002
logsource:
  product: toaster
detection:
  selection:
    Toast: burnt
  condition: selection
level: low
)";

inline std::string mail_rule(std::string_view user, std::string_view time = "2026-10-14T07:55:12") {
  return "{\"CreationTime\":\"" + std::string(time) +
         "\",\"Id\":\"n1\",\"Operation\":\"New-InboxRule\",\"RecordType\":1,\"UserType\":0,\"Workload\":\"Exchange\","
         "\"ClientIP\":\"192.0.2.7\",\"UserId\":\"" +
         std::string(user) + "\",\"ObjectId\":\"https://login-nordby.example/orbes?x=1\"}";
}

class NodeTest : public ::testing::Test {
 protected:
  static constexpr MunicipalityId kHere{101};
  static constexpr std::uint32_t kAll = 0xFFFFFFFF;

  void SetUp() override {  // limits() is a test's own
    folder = "/tmp/bavn_show_XXXXXX";
    EXPECT_NE(::mkdtemp(folder.data()), nullptr);
    write("rules.yml", kRules);
    write("rules.tests.ndjson",
          "{\"test\":\"a rule\",\"expect\":true,\"rule\":\"5b0e1f52-0000-4000-8000-000000000001\",\"events\":[" +
              mail_rule("a@nordby.example") +
              "]}\n{\"test\":\"wrong on purpose\",\"expect\":false,\"rule\":\"5b0e1f52-0000-4000-8000-000000000001\","
              "\"events\":[" +
              mail_rule("a@nordby.example") + "]}\n");
    hunt::EngineOptions o;
    o.rules = {folder + "/rules.yml"};
    engine = std::shared_ptr<hunt::Engine>(hunt::Engine::open(o).value());
    history::Options h;
    h.extract = hunt::extract_with(*engine);
    past = history::History::open(sim, folder + "/history", h).value();
    state = store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}}).value();
    alerts_reader = std::make_unique<alerts::AlertReader>(*state, alerts::Budget{});
    left = std::make_unique<beacon::LeftUs>(*state);
    hunts = std::make_unique<Hunts>(sim, *state, *past, [this] { return engine; }, limits());
    table.assign(hunt_settings().begin(), hunt_settings().end());
    settings = std::make_unique<Settings>(Settings::defaults(table));
    parts = std::make_shared<NodeParts>(NodeParts{.runtime = sim,
                                                  .state = *state,
                                                  .texts = texts,
                                                  .alerts = *alerts_reader,
                                                  .history = *past,
                                                  .engine = [this] { return engine; },
                                                  .municipalities = {kHere},
                                                  .folder = folder,
                                                  .settings_table = &table,
                                                  .settings = settings.get(),
                                                  .hub = [] { return HubLink{}; },
                                                  .health =
                                                      [this] {
                                                        NodeHealth well;
                                                        well.since = sim.now();
                                                        return well;
                                                      },
                                                  .hunts = *hunts});
    parts->left = left.get();
    parts->sources.list = [this](const event::Scope&) -> Result<std::vector<SourceView>> { return sources; };
    parts->sources.changes = [](const std::string&) -> Result<std::vector<SourceChangeView>> {
      return std::vector<SourceChangeView>{};
    };
    parts->sources.blind = [] { return std::vector<input::Sight>{}; };
    parts->sources.inlets = [] {
      return std::vector<InletView>{
          {.kind = "http", .source = {}, .transport = {}, .address = "0.0.0.0", .port = 9200, .topics = {}},
          {.kind = "syslog", .source = "dns", .transport = "tls", .address = "0.0.0.0", .port = 6514, .topics = {}},
          {.kind = "kafka",
           .source = "bus",
           .transport = {},
           .address = "k1.example:9093",
           .port = 0,
           .topics = {"windows"}}};
    };
    parts->sources.tokens = [](const event::Scope&) -> Result<std::vector<IntakeTokenView>> {
      return std::vector<IntakeTokenView>{};
    };
    parts->sources.issue = [](const event::Scope&, const std::string&, const std::string&) -> Result<std::string> {
      return "bavn_in_made";
    };
    parts->sources.revoke = [](const event::Scope&, std::int64_t) -> Result<void> { return {}; };
    router.authenticate([this](const net::Request&) -> Result<event::Scope> { return scope; });
    add_node_routes(router, parts);
  }
  ~NodeTest() override {
    hunts->stop();
    std::error_code ignored;
    past.reset();
    std::filesystem::remove_all(folder, ignored);
  }
  virtual HuntLimits limits() { return {}; }

  void write(const std::string& name, std::string_view text) const {
    std::ofstream(folder + "/" + name, std::ios::binary) << text;
  }
  void take(const std::string& lines, MunicipalityId of = kHere) {
    const std::string name = "in" + std::to_string(++taken) + ".log";
    write(name, lines);
    hunt::IngestOptions o;
    o.source = "m365.audit";
    o.municipality = of;
    const auto done = hunt::ingest(*engine, sim, *past, event::Scope::local_owner(), {folder + "/" + name}, o);
    ASSERT_TRUE(done) << to_string(done.error());
  }
  net::Reply ask(net::Method method, std::string_view target, std::string body = {},
                 std::vector<std::pair<std::string, std::string>> headers = {}) {
    auto q = net::request_for(method, target);
    EXPECT_TRUE(q) << target;
    q->body = std::move(body);
    for (const auto& [name, value] : headers) q->headers.set(name, value);
    net::Reply got;
    router.handle(std::move(*q), [&](net::Reply r) { got = std::move(r); });
    return got;
  }
  net::JsonDocument get(std::string_view target, int status = 200) {
    const auto got = ask(net::Method::get, target);
    EXPECT_EQ(got.status, status) << target << ": " << got.body;
    auto document = net::JsonDocument::parse(got.body.empty() ? "{}" : got.body);
    EXPECT_TRUE(document) << got.body;
    return std::move(*document);
  }
  std::int64_t audited(std::string_view action) {
    return state
        ->read([&](store::Reader& db) {
          return db.number("SELECT count(*) FROM audit WHERE action = :a", {{"a", action}});
        })
        .value();
  }
  void alert(const std::string& rule, const std::string& who, const std::string& level, MunicipalityId of = kHere) {
    alerts::Found f;
    f.finding.rule_id = rule;
    f.finding.rule_title = "rule " + rule;
    f.finding.rule_level = level;
    f.finding.format = "json";
    f.finding.happened_at = sim.now();
    f.place = {1, 0, 1};
    f.municipality = of;
    f.tenant = TenantId{1};
    f.source = "test";
    f.concern = {"account", who};
    f.first_us = f.last_us = f.received_us = micros(sim.now());
    ASSERT_TRUE(state->write_now(
        [&](store::Tx& tx) { return alerts::AlertBook(alerts::Budget{}).record(tx, std::vector<alerts::Found>{f}); }));
  }

  Sim sim{1};
  std::string folder;
  Catalogue texts = Catalogue::embedded();
  std::shared_ptr<hunt::Engine> engine;
  std::unique_ptr<history::History> past;
  std::unique_ptr<store::State> state;
  std::unique_ptr<alerts::AlertReader> alerts_reader;
  std::unique_ptr<beacon::LeftUs> left;
  std::unique_ptr<Hunts> hunts;
  std::vector<Setting> table;
  std::unique_ptr<Settings> settings;
  std::shared_ptr<NodeParts> parts;
  std::vector<SourceView> sources;
  net::Router router;
  event::Scope scope{"person:3", {kHere}, kAll, event::Tlp::amber_strict};
  int taken = 0;
};

}  // namespace bavn::show::api::testing
