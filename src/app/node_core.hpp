#pragma once
// A node without its sockets: history, live matching, alerts, streams from and to the hub, what it tells of itself, and the router of
// its control interface. The same code runs behind real servers and in simulations.
// Life: after Runtime, Client and the folder; gone before them. Thread rules: any thread.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "alerts/reader.hpp"
#include "app/beacon_node.hpp"
#include "app/duty_call.hpp"
#include "app/look_back.hpp"
#include "app/night_call.hpp"
#include "app/noted_mail.hpp"
#include "app/shared_indicators.hpp"
#include "app/status_page.hpp"
#include "base/catalogue.hpp"
#include "base/guarded.hpp"
#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "beacon/node.hpp"
#include "input/blind_spots.hpp"
#include "input/book.hpp"
#include "live/gateways/gateways.hpp"
#include "live/hunt_back.hpp"
#include "live/intake.hpp"
#include "live/pipeline.hpp"
#include "live/sources_reader.hpp"
#include "net/client.hpp"
#include "net/http.hpp"
#include "show/api/node/node.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"

namespace bavn::input {
struct SourcesFile;
}

namespace bavn::app {

inline constexpr std::string_view kNodeVersion = "0.1.0";

/// What enrolment left: who this node is and whom it believes.
struct NodeIdentity {
  std::string name;          // at the hub
  std::string municipality;  // of the first one, for people: "0157 Gentofte"
  std::vector<MunicipalityId> municipalities;
  std::string hub;  // https://host:port
  beacon::CheckStatement check;
  std::function<std::shared_ptr<const net::TlsIdentity>()> tls;
  std::shared_ptr<const SigningKey> witness;
  std::string community_key;  // the same at every node of this hub: what makes equal subjects equal hashes
};

struct NodeCoreOptions {
  std::string folder;
  std::string state_path;  // empty: folder/state.db
  bool guest = false;
  std::vector<std::string> rules;            // own rules beside those that come with Bavn and from the hub
  std::vector<std::string> shared_bases;     // folders with indicator bases of this machine
  std::optional<NodeIdentity> identity;      // empty: not enrolled; it works for itself
  std::function<void(live::Options&)> tune;  // tests
  Duration tell_every = std::chrono::minutes(1);
  const Settings* settings = nullptr;  // of node_settings()
  std::vector<std::string> try_commands;
  notify::MailCarrier* mail = nullptr;  // null: no mail server is set up; must outlive the node
  std::string mail_server;              // host:port, for What left us
};

/// Every setting of a node: this module's and those of the modules it is made of.
std::vector<Setting> node_settings();

class NodeCore {
 public:
  static Result<std::unique_ptr<NodeCore>> open(Runtime& runtime, net::Client& client, Metrics& metrics,
                                                NodeCoreOptions options);
  ~NodeCore();

  void start();
  void stop();
  input::Sink& sink() { return *pipeline_; }
  live::Pipeline& pipeline() { return *pipeline_; }
  store::State& state() { return *state_; }
  alerts::AlertReader& alerts() { return *alerts_; }
  NightCall* night() { return night_.get(); }         // null: not enrolled
  BeaconNode* noticing() { return noticing_.get(); }  // null: not enrolled
  /// How purge reaches mailboxes; until then it says that nothing is connected.
  void use_graph(act::Ask ask) {
    graph_.with([&](auto& g) { g = std::make_shared<act::Ask>(std::move(ask)); });
  }
  beacon::NodeBeacon* beacon() { return beacon_.get(); }  // null: not enrolled
  live::IntakeTokens& tokens() { return *tokens_; }
  /// What shippers speak at the intake's address.
  live::Gateways gateways();
  net::Router& control_router() { return control_; }
  /// The control interface: the API, and what the machine's owner asks and does besides.
  void add_routes();
  /// The API of the municipality's people (api/node.yaml), for the control interface and for the web. Once per router.
  void add_api(net::Router& router, const show::api::Proved& proved = {});
  /// What the web address has beside what show::web brings: the same, and the lists that devices fetch.
  void add_web_routes(net::Router& router, const show::api::Proved& proved = {});
  const Catalogue& texts() const { return texts_; }
  /// What the sources say of themselves, for the status page and the hub.
  using SourceStates = std::function<std::vector<input::SourceReport>()>;
  void use_source_states(SourceStates states) { source_states_ = std::move(states); }
  /// Since when, and what they said before. Before add_routes(); must outlive the node. Without it only the last word is known.
  void use_source_book(const input::Book* book) { source_book_ = book; }
  /// Where others may deliver by what sources.toml says; the HTTP intake is known from the settings. At any time.
  void use_inlets(const input::SourcesFile& file);
  /// What can be set, and as what it runs. Before add_routes().
  void use_settings_table(const std::vector<Setting>* table) { settings_table_ = table; }
  /// Before add_routes(); must outlive the routers.
  void use_setup(show::api::SetupDesk* setup) { setup_ = setup; }
  Result<StatusView> status(const event::Scope& scope);

 private:
  NodeCore(Runtime& runtime, net::Client& client, Metrics& metrics, NodeCoreOptions options);
  Result<void> open_beacon();
  Result<void> open_night();
  Result<void> open_noticing();
  act::PurgeWays purge_ways();
  Result<void> open_retention();
  Result<void> answer_order(store::Tx& tx, const beacon::Received& r);
  Result<void> write_hub_rules();
  hunt::EngineOptions engine_options() const;
  void reload_rules();
  void tell();  // now, and again each minute
  void tell_now();
  std::vector<StatusView::Blind> blind(const std::vector<StatusView::Source>& sources);
  Result<void> share(const store::DomainEvent& event);
  Result<void> answer_test(store::Tx& tx, const beacon::Received& r);

  Runtime& runtime_;
  net::Client& client_;
  Metrics& metrics_;
  NodeCoreOptions options_;
  Instant since_;
  MunicipalityId home_;
  QueueId work_;  // reloading, telling: one thread, never the writer's
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  Catalogue texts_ = Catalogue::embedded();
  std::unique_ptr<store::State> state_;
  std::unique_ptr<alerts::AlertBook> book_;
  std::unique_ptr<live::GatewayBook> gateway_book_;  // answers of the pipeline may still use these two
  std::unique_ptr<live::RecordIds> record_ids_;
  std::unique_ptr<live::Pipeline> pipeline_;
  std::unique_ptr<NodeIndicators> indicators_;
  std::unique_ptr<live::HuntBack> hunt_back_;
  std::unique_ptr<alerts::AlertReader> alerts_;
  std::unique_ptr<live::SourcesReader> sources_;
  std::unique_ptr<live::IntakeTokens> tokens_;
  std::unique_ptr<beacon::NodeBeacon> beacon_;
  std::unique_ptr<net::Client> noted_client_;  // webhooks leave through it
  std::unique_ptr<NotedMail> noted_mail_;
  std::unique_ptr<notify::SmsGateway> sms_;  // null: none is set up
  std::unique_ptr<NightCall> night_;
  std::unique_ptr<DutyCall> duty_;
  std::unique_ptr<LookBack> look_back_;
  Guarded<std::shared_ptr<act::Ask>> graph_;
  act::Locate locate_;
  std::unique_ptr<BeaconNode> noticing_;
  std::unique_ptr<store::Retention> retention_;
  net::Router control_;
  SourceStates source_states_;
  Guarded<std::vector<show::api::InletView>> inlets_;
  const input::Book* source_book_ = nullptr;
  const std::vector<Setting>* settings_table_ = nullptr;
  show::api::SetupDesk* setup_ = nullptr;
  std::unique_ptr<show::api::Hunts> hunts_;
  show::api::Parts api_;
  const show::api::Parts& api();
  show::api::NodeSources api_sources();
  show::api::HubLink hub_link() const;
  show::api::NodeHealth health() const;
  Result<std::vector<show::api::SourceView>> source_views(const event::Scope& scope) const;
  std::vector<input::Sight> sights_;
  input::Seen seen_here() const;
};

}  // namespace bavn::app
