#pragma once
// What we know into other people's consoles, as turns of a partner (peers/pull.hpp): Microsoft Defender for Endpoint (import of indicators) and
// Microsoft Sentinel (upload of STIX objects). Both sign in by OAuth client credentials (RFC 6749 section 4.4).
//   peer.sign_in = "oauth", user = the application's id, options: tenant (its id); sentinel also: workspace.
//   option sign_in_url: where the token comes from, for national clouds and stand-ins: "https://login.microsoftonline.com" when not given.
// Defender holds 15,000 active indicators of a tenant and takes 500 a call, 30 calls a minute: a turn sends the best 15,000 that this partner
// may have (the strongest action, then confidence, then the newest), and only when that set changed. Each has an end, so that what is no
// longer among the best goes by itself.
// Sentinel takes 100 objects a call, 100 calls a minute: a turn sends what changed since, and comes back until it is through.
// Thread rules: as a Puller.
#include "exchange/peers/pull.hpp"

namespace bavn::exchange {

struct UploadLimits {
  std::size_t a_call = 0, calls = 0;  // calls of one turn
  std::size_t most = 0;               // active; 0: no limit
};
constexpr UploadLimits kDefenderLimits{500, 30, 15'000};
constexpr UploadLimits kSentinelLimits{100, 90, 0};

Puller defender_puller();
Puller sentinel_puller();

/// As the import of Defender takes it; empty: a kind that it does not know (it takes no networks, no patterns).
std::string defender_indicator(const Known& known, Instant now);
/// As Sentinel takes it: a STIX 2.1 indicator; empty: nothing that it can match.
std::string sentinel_object(const Known& known, Instant now);
/// The best first, cut to what fits.
void rank(std::vector<Known>& all, std::size_t most);

}  // namespace bavn::exchange
