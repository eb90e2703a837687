#pragma once
// A credential's public key: COSE_Key (RFC 9052 section 7, RFC 9053, RFC 8230) and what it signs (OpenSSL inside).
// Only the algorithms of the table in key.cpp, each with its one curve or padding: a key never chooses how it is checked.
// Life: a value. Thread rules: verify() from any thread.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "show/auth/webauthn/cbor.hpp"

struct evp_pkey_st;

namespace bavn::show::auth::webauthn {

class PublicKey {
 public:
  /// bad_input: another algorithm, another curve than its, a point that is not on it, an RSA key outside 2048 to 8192 bits.
  static Result<PublicKey> from_cose(std::string_view cose);
  static Result<PublicKey> from_cose(const Cbor& cose);
  std::int64_t algorithm() const { return algorithm_; }
  bool verify(std::string_view message, std::string_view signature) const;
  bool same_as(const evp_pkey_st* other) const;
  const evp_pkey_st* openssl() const { return key_.get(); }

 private:
  PublicKey(std::int64_t algorithm, std::shared_ptr<evp_pkey_st> key) : algorithm_(algorithm), key_(std::move(key)) {}
  std::int64_t algorithm_;
  std::shared_ptr<evp_pkey_st> key_;
};

/// Offered to authenticators, best first: what every maker can do, and nothing that is not needed.
std::vector<std::int64_t> offered_algorithms();
/// "ES256"; "?" for one that is not known.
std::string_view algorithm_name(std::int64_t cose_algorithm);
/// A signature of this COSE algorithm by a key that came in a certificate or elsewhere.
bool verify_with(evp_pkey_st* key, std::int64_t algorithm, std::string_view message, std::string_view signature);

}  // namespace bavn::show::auth::webauthn
