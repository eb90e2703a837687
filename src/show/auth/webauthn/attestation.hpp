#pragma once
// Attestation statements: what a maker's certificate says about a new passkey (WebAuthn level 3 section 8).
#include <string>
#include <string_view>
#include <vector>

#include "show/auth/webauthn/key.hpp"
#include "show/auth/webauthn/webauthn.hpp"

namespace bavn::show::auth::webauthn {

struct Attested {
  std::string_view authenticator_data;
  std::string_view client_data_hash;  // SHA-256
  const AuthenticatorData& parsed;
  const PublicKey& key;
};
/// The chain it came with (DER), empty for none and self. forbidden: the statement does not hold; bad_input: not readable, unknown format.
Result<std::vector<std::string>> check_attestation(std::string_view format, const Cbor& statement, const Attested& of);

}  // namespace bavn::show::auth::webauthn
