#pragma once
// The API of a node (api/node.yaml): what its handlers stand on, and all of its routes. The same handlers serve the control interface of
// the machine's owner and the web address of the municipality's people; `proved` is what the web puts around dangerous acts.
// Life: everything given must outlive the router. Thread rules: handlers run on the server's queues, any of them at the same time.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "act/order.hpp"
#include "act/purge.hpp"
#include "alerts/reader.hpp"
#include "base/catalogue.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "beacon/left_us.hpp"
#include "history/history.hpp"
#include "hunt/engine.hpp"
#include "input/blind_spots.hpp"
#include "net/http.hpp"
#include "notice/desk.hpp"
#include "notify/notify.hpp"
#include "show/api/hunts/hunts.hpp"
#include "show/api/setup/setup.hpp"
#include "store/state.hpp"
#include "warn/blocks/node_blocks.hpp"
#include "warn/node_desk.hpp"

namespace bavn::show::api {

struct RefusedLines {
  std::string reason, first;
  std::int64_t count = 0, first_at_us = 0, last_at_us = 0;
};
/// A source as people see it: what it says of itself and what came of it.
/// A way into a source that other products speak: who sends, and what came of it.
struct SourceWayView {
  std::string way, client;  // way: elastic, hec
  std::int64_t requests = 0, records = 0, refused = 0, duplicates = 0, turned_away = 0, faults = 0;
  std::int64_t first_at_us = 0, last_at_us = 0, fault_at_us = 0;
  std::string fault;
};
struct SourceView {
  std::string name, state = "working", says;  // state: starting, working, waiting, failing, off
  std::int64_t since_us = 0, lag_seconds = -1, last_at_us = 0, newest_us = 0;
  MunicipalityId municipality;
  std::int64_t records = 0, bytes = 0, refused = 0, duplicates = 0;
  std::int64_t records_today = 0, bytes_today = 0, refused_today = 0;
  std::vector<RefusedLines> refusals;
  std::vector<SourceWayView> ways;
};
struct SourceChangeView {
  std::int64_t at_us = 0;
  std::string state, says;
};
struct IntakeTokenView {
  std::int64_t id = 0, made_at_us = 0, revoked_at_us = 0;
  std::string source, format, made_by;
};
/// A place where others may deliver to this node.
struct InletView {
  std::string kind;       // http: Elastic's _bulk, Splunk's collector, NDJSON; syslog; relp; kafka: this node fetches
  std::string source;     // of all but http, which has one for each token
  std::string transport;  // of syslog: udp, tcp, tls; of relp: tcp, tls
  std::string address;    // it listens on; of kafka: the brokers
  std::int64_t port = 0;
  std::vector<std::string> topics;
};
/// What lives above this module: sources and their intake.
struct NodeSources {
  std::function<std::vector<InletView>()> inlets;
  std::function<Result<std::vector<SourceView>>(const event::Scope&)> list;
  std::function<Result<std::vector<SourceChangeView>>(const std::string& source)> changes;
  std::function<std::vector<input::Sight>()> blind;
  std::function<Result<std::vector<IntakeTokenView>>(const event::Scope&)> tokens;
  std::function<Result<std::string>(const event::Scope&, const std::string& source, const std::string& format)> issue;
  std::function<Result<void>(const event::Scope&, std::int64_t)> revoke;
};

struct HubLink {
  std::string state = "alone", says;  // live, catching_up, away, stopped, alone
  std::int64_t last_heard_us = 0, waiting = 0;
};
struct NodeHealth {
  std::string version;
  Instant since{};
  std::uint64_t records = 0, indicators = 0, rules = 0;
  bool behind = false;
  std::vector<std::string> trouble;
};

struct NodeParts {
  Runtime& runtime;
  store::State& state;
  const Catalogue& texts;
  alerts::AlertReader& alerts;
  const history::History& history;
  std::function<std::shared_ptr<hunt::Engine>()> engine;
  std::vector<MunicipalityId> municipalities;  // the first is home; empty: not enrolled
  std::string folder;
  const std::vector<Setting>* settings_table = nullptr;  // null: there is no settings file (simulations)
  const Settings* settings = nullptr;
  NodeSources sources{};
  std::function<HubLink()> hub{};
  std::function<NodeHealth()> health{};
  Hunts& hunts;
  SetupDesk* setup = nullptr;  // null: this node is not set up by people
  // Null where this node follows no hub.
  const beacon::LeftUs* left = nullptr;
  warn::NodeDesk* warnings = nullptr;
  warn::blocks::NodeBlocks* blocks = nullptr;
  notice::Desk* notices = nullptr;
  act::Purge* purge = nullptr;
  notify::Notify* notify = nullptr;
  std::function<act::MandateCheck()> mandate{};          // empty: there is none
  std::function<Result<std::size_t>()> test_contacts{};  // empty: nobody can be called

  MunicipalityId home() const { return municipalities.empty() ? MunicipalityId{} : municipalities.front(); }
};

/// Around the handlers of dangerous acts: they are reached with a recent proof only. The owner at the machine has it always.
using Proved = std::function<net::Handler(net::Handler)>;

void add_node_routes(net::Router& router, std::shared_ptr<const NodeParts> parts, const Proved& proved = {});

// One function a thing; add_node_routes calls all.
using Parts = std::shared_ptr<const NodeParts>;
void add_overview_routes(net::Router& router, const Parts& parts);
void add_alert_routes(net::Router& router, const Parts& parts);
void add_record_routes(net::Router& router, const Parts& parts);
void add_hunt_routes(net::Router& router, const Parts& parts);
void add_source_routes(net::Router& router, const Parts& parts);
void add_rule_routes(net::Router& router, const Parts& parts);
void add_indicator_routes(net::Router& router, const Parts& parts);
void add_left_us_routes(net::Router& router, const Parts& parts);
void add_audit_routes(net::Router& router, const Parts& parts);
void add_mandate_routes(net::Router& router, const Parts& parts);
void add_warning_routes(net::Router& router, const Parts& parts);
void add_notice_routes(net::Router& router, const Parts& parts);
void add_purge_routes(net::Router& router, const Parts& parts, const Proved& proved);
void add_block_routes(net::Router& router, const Parts& parts, const Proved& proved);
void add_contact_routes(net::Router& router, const Parts& parts);
void add_settings_routes(net::Router& router, const Parts& parts, const Proved& proved);
void add_setup_routes(net::Router& router, const Parts& parts, const Proved& proved);

}  // namespace bavn::show::api
