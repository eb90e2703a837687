#pragma once
// The hub's side of the beacon put together: what nodes report goes to correlation, what correlation lights becomes a warning, block lists
// go down, answers come back. The same object runs behind the real hub and in simulations.
// Life: after State and HubBeacon, opened before State::start() and HubBeacon::add_routes(); gone after State::stop(). Thread rules: any.
#include <memory>
#include <optional>

#include "base/catalogue.hpp"
#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "beacon/hub.hpp"
#include "correlate/campaigns.hpp"
#include "correlate/correlator.hpp"
#include "correlate/digest_keys.hpp"
#include "correlate/digests.hpp"
#include "net/client.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"
#include "warn/blocks/hub_blocks.hpp"
#include "warn/desk.hpp"

namespace bavn::app {

struct BeaconHubParts {
  Runtime& runtime;
  store::State& state;
  Metrics& metrics;
  const Catalogue& texts;
  beacon::HubBeacon& beacon;
  const correlate::Members& members;          // must outlive it
  net::Client* client = nullptr;              // for partners' webhooks; null: none
  const Settings* settings = nullptr;         // null: defaults
  std::optional<correlate::Options> options;  // simulations; empty: from settings
  correlate::Intelligence known = {};         // indicators that are trusted; null: none
  warn::Remind remind{};                      // empty: the outbox alone says that somebody does not answer
};

/// Every setting of correlation, warnings and block lists at the hub.
std::vector<Setting> beacon_hub_settings();
std::vector<store::RetentionRule> beacon_hub_retention();

/// What a warning says, from what correlation knows.
warn::Case case_of(const correlate::CampaignFacts& facts, const correlate::Members& members,
                   const std::vector<std::string>& notices);

class BeaconHub {
 public:
  static Result<std::unique_ptr<BeaconHub>> open(BeaconHubParts parts);
  ~BeaconHub();

  /// Members or their domains changed: what may never be blocked is read anew.
  Result<void> members_changed();
  /// A node's certificate was revoked: who keeps its digests' key must not use it. In the Tx that revokes.
  Result<void> node_revoked(store::Tx& tx, std::string_view node, std::string_view who);
  correlate::Correlator& correlator() { return *correlator_; }
  correlate::DigestBook& digests() { return *digests_; }
  correlate::DigestKeyShelf& digest_keys() { return *digest_keys_; }
  warn::Desk& warnings() { return *warnings_; }
  warn::blocks::HubBlocks& blocks() { return *blocks_; }
  const correlate::Options& options() const { return options_; }

 private:
  explicit BeaconHub(BeaconHubParts parts);
  void take_reports();
  Result<void> on_campaign(const store::DomainEvent& event);

  BeaconHubParts parts_;
  correlate::Options options_;
  std::unique_ptr<correlate::DigestBook> digests_;
  std::unique_ptr<correlate::DigestKeyShelf> digest_keys_;
  std::unique_ptr<correlate::Correlator> correlator_;
  std::unique_ptr<warn::Desk> warnings_;
  std::unique_ptr<warn::blocks::HubBlocks> blocks_;
};

}  // namespace bavn::app
