#pragma once
// Partners who come to us: a MISP that pulls, a TAXII client, a script. Each has keys; only their hashes are kept. A key is 40 letters and
// digits, as MISP wants the key of a server to be.
// Understood: `Authorization: KEY` (MISP), `X-MISP-AUTH: KEY`, `Authorization: Bearer KEY`, and HTTP Basic with the key as the password.
// Life: after State. Thread rules: any thread.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.hpp"
#include "event/observable.hpp"
#include "event/scope.hpp"
#include "net/http.hpp"
#include "store/state.hpp"

namespace bavn::exchange {

/// A sector that no partner can be of: indicators of a source that has it go to no partner.
inline constexpr std::string_view kMembersOnly = "!members";

struct Partner {
  std::int64_t peer = 0, key = 0;
  std::string name{}, kind{};
  bool may_read = false, may_write = false;
  event::Tlp ceiling = event::Tlp::clear;
  std::vector<std::string> kinds{};    // of observables; empty: all
  std::vector<std::string> sectors{};  // lower case

  /// May it have something so marked? kind: of an observable; empty: something else (a report, a sighting).
  /// sectors: of the thing; empty: for everybody.
  bool may_have(event::Tlp marked, const std::vector<std::string>& of_sectors = {},
                std::string_view of_kind = {}) const;
};

struct PartnerKey {
  std::int64_t id = 0, peer = 0;
  std::string label{};
  bool may_read = false, may_write = false;
  std::string made_by{};
  std::int64_t made_us = 0, revoked_us = 0;
};

class PartnerKeys {
 public:
  static Result<std::unique_ptr<PartnerKeys>> open(store::State& state);
  struct Issued {
    std::int64_t id = 0;
    std::string key;  // shown once
  };
  /// Needs settings_write. Audited.
  Result<Issued> issue(const event::Scope& scope, std::int64_t peer, std::string_view label, bool may_read,
                       bool may_write);
  Result<void> revoke(const event::Scope& scope, std::int64_t peer, std::int64_t key);
  Result<std::vector<PartnerKey>> list(const event::Scope& scope, std::int64_t peer) const;
  /// Peers changed: read them again.
  Result<void> reload();

  /// not_found: the request carries no key of this kind (somebody else may know who it is); forbidden: it does, and the key is wrong or was
  /// revoked, or the partner is paused.
  Result<Partner> partner_of(const net::Request& request) const;
  /// For the site's authenticator: "partner:NAME" without rights of ours. Routes for partners need Right::anyone and ask partner_of().
  Result<event::Scope> authenticate(const net::Request& request) const;

 private:
  explicit PartnerKeys(store::State& state) : state_(state) {}
  struct Known;
  store::State& state_;
  Guarded<std::shared_ptr<const std::vector<Known>>> known_;
};

/// The key as the request carries it; empty: none of ours.
std::string partner_key_in(const net::Request& request);

}  // namespace bavn::exchange
