#pragma once
// RSA as clouds want it: a key with a self-signed certificate to register, and signatures for tokens made with it.
// Ed25519 and the community's own certificates are elsewhere; this is only for services that accept nothing else.
// Thread rules: free functions, any thread. The private key's text is a secret: keep it in files of mode 0600.
#include <chrono>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"

namespace bavn {

struct RsaIdentity {
  std::string key_pem;          // PKCS #8
  std::string certificate_pem;  // X.509, self-signed, SHA-256
};

/// A new key of 2048 bits. The certificate starts an hour before `now`, for clocks that differ.
Result<RsaIdentity> make_rsa_identity(std::string_view common_name, Instant now, std::chrono::days valid);

/// RSASSA-PSS with SHA-256 and a salt of 32 bytes: "PS256" of RFC 7518 section 3.5. Raw bytes.
Result<std::string> sign_ps256(std::string_view key_pem, std::string_view message);
/// Error forbidden: the signature is not this certificate's.
Result<void> check_ps256(std::string_view certificate_pem, std::string_view message, std::string_view signature);

/// SHA-256 over the certificate's DER bytes, raw: "x5t#S256" before its base64url.
Result<std::string> certificate_thumbprint(std::string_view certificate_pem);
/// The DER bytes in base64 without line breaks.
Result<std::string> certificate_base64(std::string_view certificate_pem);

}  // namespace bavn
