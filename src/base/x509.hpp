#pragma once
// The few things of X.509 that mutual TLS between hub and nodes needs: P-256 keys, requests, one authority, client and server
// certificates, and reading them back (OpenSSL inside). Keys and certificates are PEM text.
// Thread rules: free functions without state. Errors: bad_input with what is wrong with which PEM.
#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"

namespace bavn::x509 {

enum class Use : std::uint8_t { client, server };

struct Name {
  enum class Kind : std::uint8_t { dns, ip, uri };
  Kind kind;
  std::string value;  // "hub.example.org", "192.0.2.7", "2001:db8::1", "bavn:node/7"
  friend bool operator==(const Name&, const Name&) = default;
};
/// An address when it reads as one, else a host name.
Name host(std::string_view name_or_address);

struct Certificate {
  std::string serial;  // lower-case hex; 32 digits when issued here. The same text everywhere (net::Peer, tables)
  std::string common_name, issuer;
  Instant not_before, not_after;  // whole seconds
  std::vector<Name> names;
  std::string fingerprint;  // hex of SHA-256 over the DER form
  std::string public_key;   // hex of SHA-256 over the SubjectPublicKeyInfo
  bool authority = false;
};

struct Authority {
  std::string certificate_pem, key_pem;
};

struct Wish {
  Use use = Use::client;
  std::string common_name;
  std::vector<Name> names;
  Instant not_before, not_after;
  std::array<std::byte, 16> serial{};  // random, from the caller's Runtime; the first two bits are set to 01
};

std::string make_key();                                                             // PKCS#8
Result<std::string> make_request(const std::string& key_pem, std::string_view cn);  // PKCS#10
struct Request {
  std::string common_name, public_key;  // as in Certificate
};
/// Only P-256, and only when the request is signed by its own key.
Result<Request> read_request(std::string_view pem);
Result<Authority> make_authority(std::string_view common_name, Instant not_before, Instant not_after,
                                 std::array<std::byte, 16> serial);
/// Of the request only the key is taken; name, use and dates are the wish's.
Result<std::string> issue(const Authority& authority, std::string_view request_pem, const Wish& wish);

Result<Certificate> read_certificate(std::string_view pem);
Result<Certificate> read_certificate_der(std::string_view der);
/// The chain up to `authority_pem`, dates at `at`, and the use. forbidden, with the reason in words.
Result<void> verify(std::string_view pem, std::string_view authority_pem, Instant at, Use use);
/// Whether the private key is the one the certificate speaks of.
bool fits(const std::string& key_pem, std::string_view certificate_pem);

}  // namespace bavn::x509
