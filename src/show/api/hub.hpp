#pragma once
// The API of a hub (api/hub.yaml): what the desk of the joint CERT shows and does, over the public readers of the modules. The same routes
// stand on the web router, where people and keys come in, and on the control router, where the owner of this machine does.
// Who sees which municipality is the Scope's to say: others are counts. Every change is in the audit log, written by the module that makes it.
// Life: what HubParts names outlives the router. Thread rules: handlers run on any thread but the State's writer.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/catalogue.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "beacon/hub.hpp"
#include "correlate/correlator.hpp"
#include "correlate/digest_keys.hpp"
#include "match/indicators/load.hpp"
#include "match/indicators/set.hpp"
#include "net/http.hpp"
#include "store/state.hpp"
#include "tenants/directory.hpp"
#include "tenants/domains.hpp"
#include "tenants/people.hpp"
#include "warn/blocks/hub_blocks.hpp"
#include "warn/desk.hpp"

namespace bavn::exchange {
class PeerDesk;
class Bulletins;
class Subscribers;
struct ExportView;
}  // namespace bavn::exchange

namespace bavn::show::api {

struct HubGuest {
  std::string code, state, user, last_end;
  std::string address;  // of its own pages; empty: it has none
  double memory_mb = 0;
  std::uint64_t restarts = 0;
  Instant started{};
};

struct HubInvitation {
  std::string node;
  std::vector<MunicipalityId> municipalities;
  std::string code;
  Instant expires{};
};

struct SharedIndicators {
  std::size_t indicators = 0;  // taken
  std::size_t base = 0;        // in the new base; 0: none was made
  struct Refused {
    std::string reason;
    std::uint64_t count = 0;
    std::string first;
  };
  std::vector<Refused> refused, never_blocked;
};

/// The rows of campaigns.*: numbers that the desk's pages stand on.
std::span<const Setting> hub_desk_settings();

struct HubParts {
  Runtime& runtime;
  store::State& state;
  const Catalogue& texts;
  std::string name;  // of the CERT
  tenants::Directory& directory;
  tenants::MemberDomains& domains;
  const correlate::Members& members;
  beacon::HubBeacon& beacon;
  correlate::Correlator& correlator;
  correlate::DigestKeyShelf& digest_keys;
  correlate::Options noticing;
  warn::Desk& warnings;
  warn::blocks::HubBlocks& blocks;

  /// An answer when the act asks for a recent proof of who this is and there is none; empty: everybody has it.
  std::function<std::optional<net::Reply>(const net::Request&)> proof_missing{};

  // What lives in app.
  std::function<Result<warn::Case>(store::Reader&, std::int64_t campaign)> case_of{};
  std::function<Result<HubInvitation>(const event::Scope&, const std::vector<std::string>& municipalities,
                                      std::string_view form, std::string_view by)>
      invite{};
  std::function<Result<HubInvitation>(const event::Scope&, std::string_view node)> new_code{};
  std::function<Result<SharedIndicators>(const event::Scope&, std::vector<match::indicators::Indicator>,
                                         std::string_view name)>
      share{};
  std::function<Result<SharedIndicators>(const event::Scope&, std::string bytes, std::string_view name,
                                         const match::indicators::LoadOptions&)>
      share_list{};
  std::function<Result<void>(const event::Scope&, const match::indicators::Removal&)> unshare{};
  std::function<Result<std::size_t>()> make_base{};
  std::function<Result<void>(const event::Scope&, std::string_view kind, std::string_view name, std::string payload)>
      publish_content{};  // an empty payload withdraws it
  std::function<Result<std::string>(const event::Scope&, std::optional<MunicipalityId>, std::string_view observable)>
      test_beacon{};
  std::function<Result<std::string>(const event::Scope&, const std::string& text)> send_order{};  // its id
  std::function<std::vector<HubGuest>()> guests{};                                                // null: none are here
  /// wish: start, stop, restart.
  std::function<Result<void>(std::string_view code, std::string_view wish)> guest_wish{};
  std::function<bool()> root_key_is_here{};
  exchange::PeerDesk* peers = nullptr;  // null: no partners
  exchange::Bulletins* bulletins = nullptr;
  exchange::Subscribers* subscribers = nullptr;                                       // to bulletins; null: none
  const std::map<std::string, exchange::ExportView, std::less<>>* exports = nullptr;  // files for partners, by name

  /// In force; null: defaults. The table they are of, and the file that the next start reads; empty: there is none.
  const Settings* settings = nullptr;
  std::span<const Setting> settings_table{};
  std::string settings_file{};
};

void add_hub_routes(net::Router& router, const HubParts& parts);

}  // namespace bavn::show::api
