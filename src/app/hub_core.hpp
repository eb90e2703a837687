#pragma once
// The hub without its sockets: tables, trust, directory, streams, what nodes report, and two routers: `nodes` for nodes (mutual TLS), and
// `control` for its owner on this machine. The same code runs behind real servers and in simulations.
// Life: after Runtime and the folder; gone before them. Thread rules: any thread.
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "app/beacon_hub.hpp"
#include "app/hub_members.hpp"
#include "app/hub_notify.hpp"
#include "app/shared_indicators.hpp"
#include "app/status_page.hpp"
#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "beacon/hub.hpp"
#include "exchange/misp/misp.hpp"
#include "match/indicators/load.hpp"
#include "net/http.hpp"
#include "show/api/hub.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"
#include "tenants/directory.hpp"
#include "tenants/domains.hpp"
#include "tenants/trust.hpp"
#include "warn/never_block.hpp"

namespace bavn::app {

struct HubExchange;  // app/hub_exchange.hpp

struct HubOptions {
  std::string folder;      // data folder
  std::string name;        // of the CERT, for people
  std::string address;     // host:port under which nodes reach it: goes into enrolment codes
  std::string state_path;  // empty: folder/state.db
  std::function<double(MunicipalityId)> guest_memory;  // megabytes of a guest on this machine; empty: none are
  std::vector<std::string> try_commands;
  const Settings* settings = nullptr;          // of hub_settings(); null: defaults
  net::Client* client = nullptr;               // to people's machines (webhooks); null: none
  notify::MailCarrier* mail = nullptr;         // instead of the mail server of the settings; must outlive the core
  net::Client* peer_client = nullptr;          // to partners' machines (exchange.inside); null: nobody is asked
  std::optional<correlate::Options> noticing;  // simulations
  std::span<const Setting> settings_table{};   // what settings is of, for those who look at it; must outlive the core
  std::string settings_file{};                 // what the next start reads; empty: there is none
  std::function<std::vector<show::api::HubGuest>()> guests{};  // of this machine; empty: none are
};

/// What a handful of indicators may cost on the urgent way to nodes; larger lists become a base.
constexpr std::size_t kMostChanges = 50'000;

struct BeaconAnswer {
  std::string node;
  std::int64_t municipality = 0, applied_at_us = 0, received_at_us = 0;
  std::optional<std::int64_t> hits;
};

class HubCore {
 public:
  static Result<std::unique_ptr<HubCore>> open(Runtime& runtime, Metrics& metrics, HubOptions options);
  ~HubCore();

  void start();
  void stop();
  net::Router& node_router() { return nodes_router_; }
  net::Router& control_router() { return control_; }
  /// What the web address has beside what show::web brings: the operations of api/hub.yaml.
  void add_web_routes(net::Router& router);
  const Catalogue& texts() const { return texts_; }
  /// Who asks for dangerous acts on the web must have proved who they are lately. Before add_web_routes().
  void use_proof(std::function<std::optional<net::Reply>(const net::Request&)> proof_missing) {
    proof_missing_ = std::move(proof_missing);
  }
  store::State& state() { return *state_; }
  tenants::Trust& trust() { return *trust_; }
  tenants::Directory& directory() { return *directory_; }
  tenants::MemberDomains& domains() { return *domains_; }
  beacon::HubBeacon& beacon() { return *beacon_; }
  BeaconHub& noticing() { return *noticing_; }
  HubExchange& exchange() { return *exchange_; }
  HubNotify* notify() { return notify_.get(); }  // null: there is no way out
  exchange::misp::Misp& misp() { return *misp_; }
  /// Called with the serial of a certificate that was revoked: servers cut its connections.
  void on_revoked(std::function<void(const std::string& serial)> cut) { cut_ = std::move(cut); }

  /// Indicators that hold or block are asked for; what it refuses is not published, and named in the report.
  void use_block_guard(warn::BlockGuard guard) { block_guard_ = std::move(guard); }

  // What the owner can do. Each is audited as `who`.
  struct Invitation {
    std::string municipality, node, code;
    Instant expires;
  };
  /// municipalities: codes or names. by: the operator; empty: the first municipality itself.
  Result<Invitation> invite(const event::Scope& scope, const std::vector<std::string>& municipalities,
                            std::string_view form, std::string_view by);
  /// Any list that `bavn indicators` reads. forbidden: all of it may only be watched for; bad_input: nothing in it can be used.
  Result<show::api::SharedIndicators> publish_indicators(const event::Scope& scope, std::string bytes,
                                                         std::string_view name,
                                                         const match::indicators::LoadOptions& defaults);
  Result<show::api::SharedIndicators> publish_indicators(const event::Scope& scope,
                                                         std::vector<match::indicators::Indicator> indicators,
                                                         std::string_view name);
  Result<void> withdraw_indicator(const event::Scope& scope, const match::indicators::Removal& removal);
  /// Many, of those that are there: how many that were. name: for the audit log.
  Result<std::uint64_t> withdraw_indicators(const event::Scope& scope,
                                            std::span<const match::indicators::Removal> removals,
                                            std::string_view name);
  Result<void> publish_content(const event::Scope& scope, std::string_view kind, std::string_view name,
                               std::string payload);
  /// The id; answers() tells who applied it when.
  Result<std::string> test_beacon(const event::Scope& scope, std::optional<MunicipalityId> to,
                                  std::string_view observable);
  struct Answers {
    std::int64_t sent_at_us = 0;
    std::vector<BeaconAnswer> answers;
  };
  Result<Answers> answers(const event::Scope& scope, std::string_view id);
  /// A signed order's text as `bavn order sign` makes it, to the node of its municipality, which alone judges it. Its id; the table
  /// hub_order says it went out, GET /api/orders/{id} what came back.
  Result<std::string> publish_order(const event::Scope& scope, const std::string& text);
  using More = std::function<Result<void>(match::indicators::IndicatorBuilder&)>;
  /// Builds a new base of what is published (with `more`: a list too long to send one by one) and offers it to all. done: how many
  /// indicators it holds; called once, on a queue of this.
  void make_base(More more, std::move_only_function<void(Result<std::size_t>)> done);
  /// The same, and waits for it: not under Sim, where nobody else could make it meanwhile.
  Result<std::size_t> make_base_now(const More& more = {});
  Result<StatusView> status(const event::Scope& scope);
  /// How many nodes say that they match at least so many indicators.
  Result<std::size_t> nodes_with_indicators(std::uint64_t at_least);

 private:
  HubCore(Runtime& runtime, Metrics& metrics, HubOptions options);
  void add_reports();
  void share_with_guests(const std::string& file);
  struct BaseInTheMaking;
  /// The next step of a base, on the queue of bases, unless the core is gone by then.
  static void next_step(std::shared_ptr<BaseInTheMaking> base,
                        std::move_only_function<void(HubCore&, BaseInTheMaking&)> step);
  Result<void> offer_base(const std::shared_ptr<BaseInTheMaking>& base, std::uint64_t tip);
  void add_control_routes();
  show::api::HubParts api_parts();
  Result<void> fill_book();
  /// What nodes must know of the community; again whenever it changes.
  Result<void> publish_community();
  Result<void> welcome(MunicipalityId of);
  Result<void> node_revoked(const std::string& serial);
  void show_waves(StatusView& view);

  struct Nodes;
  Runtime& runtime_;
  Metrics& metrics_;
  HubOptions options_;
  Instant since_;
  std::unique_ptr<store::State> state_;
  std::unique_ptr<store::Retention> retention_;
  std::unique_ptr<tenants::Trust> trust_;
  std::unique_ptr<tenants::Directory> directory_;
  std::unique_ptr<tenants::MemberDomains> domains_;
  std::unique_ptr<Nodes> nodes_of_;
  std::unique_ptr<beacon::HubBeacon> beacon_;
  std::unique_ptr<HubIndicators> indicators_;
  QueueId bases_{};
  /// Steps of bases that are on their way hold it while they run (and nobody else: the State's writer must not wait for it, for they wait
  /// for the writer); null inside: this is stopping.
  struct Alive {
    std::mutex mutex;
    HubCore* core = nullptr;
  };
  std::shared_ptr<Alive> alive_ = std::make_shared<Alive>();
  Catalogue texts_ = Catalogue::embedded();
  std::unique_ptr<HubMembers> members_;
  std::unique_ptr<HubNotify> notify_;  // null: there is no way out
  std::unique_ptr<BeaconHub> noticing_;
  std::unique_ptr<HubExchange> exchange_;
  std::unique_ptr<exchange::misp::Misp> misp_;
  net::Router nodes_router_, control_;
  std::function<void(const std::string&)> cut_;
  warn::BlockGuard block_guard_;
  std::function<std::optional<net::Reply>(const net::Request&)> proof_missing_;
};

}  // namespace bavn::app
