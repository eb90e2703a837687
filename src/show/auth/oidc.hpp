#pragma once
// OpenID Connect as a relying party: authorization code with PKCE (RFC 7636, S256), tokens checked here and never in the browser.
// Core 1.0 section 3.1.3.7, Discovery 1.0 section 4.3. Accepted: RS256, PS256, ES256, keys of the provider's JWKS.
// Thread rules: the checks are pure functions; OidcCache any thread.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.hpp"
#include "base/result.hpp"
#include "base/runtime.hpp"
#include "net/client.hpp"
#include "show/auth/webauthn/key.hpp"

namespace bavn::show::auth {

struct ProviderEnds {
  std::string authorization, token, keys;  // URLs
  bool secret_in_body = false;             // client_secret_post and not client_secret_basic
};
/// forbidden: it speaks of another issuer.
Result<ProviderEnds> read_discovery(std::string_view json, std::string_view issuer);

struct ProviderKey {
  std::string id;         // kid; may be empty
  std::string algorithm;  // the only one it is for; empty: any of its kind
  bool ec = false;
  std::shared_ptr<const webauthn::PublicKey> rs256, ps256, es256;
};
/// Keys of a kind that is not used here are left out.
Result<std::vector<ProviderKey>> read_jwks(std::string_view json);

struct TokenExpected {
  std::string issuer, client, nonce;
  Instant now{};
  std::optional<std::chrono::seconds> proved_within;  // auth_time must be there and not older
};
struct TokenSays {
  std::string subject;
};
/// forbidden with the reason; not_found: signed by a key that is not among these (they may have changed).
Result<TokenSays> check_id_token(std::string_view token, const std::vector<ProviderKey>& keys,
                                 const TokenExpected& expected);

/// S256 of RFC 7636 section 4.2.
std::string pkce_challenge(std::string_view verifier);

/// What providers publish, kept for an hour; keys are asked for anew when a token names an unknown one, at most once a minute.
class OidcCache {
 public:
  struct Known {
    ProviderEnds ends;
    Instant ends_read{};
    std::vector<ProviderKey> keys;
    Instant keys_read{};
  };
  std::optional<ProviderEnds> ends(const std::string& issuer, Instant now) const;
  std::optional<std::vector<ProviderKey>> keys(const std::string& issuer, Instant now) const;
  bool may_ask_again(const std::string& issuer, Instant now) const;
  void keep_ends(const std::string& issuer, ProviderEnds ends, Instant now);
  void keep_keys(const std::string& issuer, std::vector<ProviderKey> keys, Instant now);
  void forget(const std::string& issuer);

 private:
  Guarded<std::map<std::string, Known>> known_;
};

}  // namespace bavn::show::auth
