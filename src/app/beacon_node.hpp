#pragma once
// The node's side of the beacon put together: what is noticed here goes up, what the hub says of it is looked for, answered, told to people,
// emptied within the mandate. The same object runs behind the real node and in simulations.
// Life: after State and NodeBeacon; opened before State::start() and NodeBeacon::start(); gone after State::stop(). Thread rules: any.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "act/purge.hpp"
#include "base/catalogue.hpp"
#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "beacon/node.hpp"
#include "notice/desk.hpp"
#include "notice/digest_desk.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"
#include "warn/blocks/node_blocks.hpp"
#include "warn/node_desk.hpp"

namespace bavn::app {

/// Somebody here must be called now, without an order: an account of ours is taken, or sends to many.
struct CallWanted {
  MunicipalityId municipality;
  std::string account;  // whose
  bool taken = false;   // it shows signs of a takeover; else it only sends to many
  std::int64_t mails = 0;
};
/// How many messages are on their way. Inside the Tx.
using CallDuty = std::function<Result<std::size_t>(store::Tx&, const CallWanted&)>;

/// Up. In a real node the spool; in simulations the same.
using TellHub =
    std::function<Result<void>(store::Tx&, std::string_view kind, std::string_view json, MunicipalityId, event::Tlp)>;

struct BeaconNodeParts {
  Runtime& runtime;
  store::State& state;
  Metrics& metrics;
  const Catalogue& texts;
  beacon::NodeBeacon& beacon;
  std::vector<MunicipalityId> municipalities;  // the first is home
  std::string folder;                          // mandate, stewards, keys
  const SigningKey& node_key;
  warn::Hunt hunt;
  warn::blocks::Look look;
  warn::Deliver deliver;
  act::PurgeWays purge;
  CallDuty call;
  std::string community_key;           // for hashes of subjects; see notice::Watch
  const Settings* settings = nullptr;  // null: defaults
};

std::vector<Setting> beacon_node_settings();
std::vector<store::RetentionRule> beacon_node_retention();

class BeaconNode {
 public:
  static Result<std::unique_ptr<BeaconNode>> open(BeaconNodeParts parts);
  ~BeaconNode();
  /// After State::start(): goes on with what was under way.
  void start();

  /// The community as the hub told it last, and whenever it changed.
  Result<void> read_community();
  /// For live::Options::watcher, or fed directly.
  std::shared_ptr<notice::FactWatcher> watcher() { return notices_; }
  notice::Desk& notices() { return *notices_; }
  notice::DigestDesk& digests() { return *digests_; }
  warn::NodeDesk& warnings() { return *warnings_; }
  warn::blocks::NodeBlocks& blocks() { return *blocks_; }
  act::Purge& purge() { return *purge_; }

 private:
  explicit BeaconNode(BeaconNodeParts parts);
  void take_entries();
  Result<void> on_event(const store::DomainEvent& event);
  Result<void> answer(store::Tx& tx, std::string_view notice, bool yes, MunicipalityId of);

  BeaconNodeParts parts_;
  std::unique_ptr<notice::DigestDesk> digests_;
  std::shared_ptr<notice::Desk> notices_;
  std::unique_ptr<warn::NodeDesk> warnings_;
  std::unique_ptr<warn::blocks::NodeBlocks> blocks_;
  std::unique_ptr<act::Purge> purge_;
};

}  // namespace bavn::app
