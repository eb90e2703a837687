#include "show/auth/oidc.hpp"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/ecdsa.h>

#include <algorithm>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "net/json_value.hpp"
#include "net/url.hpp"

namespace bavn::show::auth {

namespace {

constexpr std::size_t kLongestToken = 32U << 10U, kMostKeys = 100, kLongestSubject = 255;
constexpr std::chrono::seconds kClockSkew{60};
constexpr std::chrono::hours kKept{1};
constexpr std::chrono::minutes kAskAgain{1};

std::unexpected<Error> refused(std::string_view what) {
  return fail(Code::forbidden, fmt::format("the provider's token is not accepted: {}", what));
}

webauthn::Cbor integer(std::int64_t n) {
  return {webauthn::Cbor::Kind::integer, n};
}
webauthn::Cbor bytes(std::string_view b) {
  return {webauthn::Cbor::Kind::bytes, 0, b};
}

/// One JWK as a key of one algorithm, through the same checks as a passkey's.
std::shared_ptr<const webauthn::PublicKey> key_of(std::int64_t kty, std::int64_t alg,
                                                  std::vector<std::pair<std::int64_t, webauthn::Cbor>> more) {
  webauthn::Cbor map{webauthn::Cbor::Kind::map};
  for (auto& [name, value] :
       std::initializer_list<std::pair<std::int64_t, webauthn::Cbor>>{{1, integer(kty)}, {3, integer(alg)}}) {
    map.items.push_back(integer(name));
    map.items.push_back(value);
  }
  for (auto& [name, value] : more) {
    map.items.push_back(integer(name));
    map.items.push_back(std::move(value));
  }
  auto key = webauthn::PublicKey::from_cose(map);
  return key ? std::make_shared<const webauthn::PublicKey>(std::move(*key)) : nullptr;
}

/// RFC 7518 section 3.4: r and s side by side, as OpenSSL wants them.
std::string der_signature(std::string_view raw) {
  if (raw.size() != 64) return {};
  const auto* at = reinterpret_cast<const unsigned char*>(raw.data());
  ECDSA_SIG* signature = ECDSA_SIG_new();
  ECDSA_SIG_set0(signature, BN_bin2bn(at, 32, nullptr), BN_bin2bn(at + 32, 32, nullptr));
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature, &der);
  std::string out;
  if (size > 0) out.assign(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  ECDSA_SIG_free(signature);
  return out;
}

std::optional<Instant> seconds_at(net::JsonValue v) {
  const auto n = v.number();
  if (!n || *n < 0 || *n > 253402300799.0) return std::nullopt;
  return Instant(std::chrono::seconds(static_cast<std::int64_t>(*n)));
}

}  // namespace

std::string pkce_challenge(std::string_view verifier) {
  return to_base64url(sha256(verifier));
}

Result<ProviderEnds> read_discovery(std::string_view json, std::string_view issuer) {
  const auto document = net::JsonDocument::parse(json);
  if (!document) return fail(Code::bad_input, "what the provider publishes about itself is not JSON");
  const auto root = document->root();
  if (root["issuer"].text() != issuer)
    return refused(fmt::format("it is configured as {} and calls itself \"{}\"", issuer, root["issuer"].text_or("?")));
  ProviderEnds ends{std::string(root["authorization_endpoint"].text_or("")),
                    std::string(root["token_endpoint"].text_or("")), std::string(root["jwks_uri"].text_or("")), false};
  for (const auto* url : {&ends.authorization, &ends.token, &ends.keys}) {
    const auto parsed = net::parse_url(*url);
    if (!parsed)
      return fail(Code::bad_input, fmt::format("what the provider publishes about itself has no usable address: {}",
                                               parsed.error().what));
    // A provider that is inside may be plain http altogether; one that is https has nothing that is not.
    if (!parsed->tls && issuer.starts_with("https://")) return refused("an address of it is not https");
  }
  if (const auto methods = root["token_endpoint_auth_methods_supported"]; methods.is_array()) {
    bool basic = false, post = false;
    for (const auto m : methods) {
      basic = basic || m.text() == "client_secret_basic";
      post = post || m.text() == "client_secret_post";
    }
    ends.secret_in_body = post && !basic;
  }
  return ends;
}

Result<std::vector<ProviderKey>> read_jwks(std::string_view json) {
  const auto document = net::JsonDocument::parse(json);
  if (!document || !document->root()["keys"].is_array())
    return fail(Code::bad_input, "the provider's keys cannot be read");
  std::vector<ProviderKey> keys;
  for (const auto jwk : document->root()["keys"]) {
    if (keys.size() >= kMostKeys) break;
    if (jwk["use"] && jwk["use"].text() != "sig") continue;
    ProviderKey key{std::string(jwk["kid"].text_or("")), std::string(jwk["alg"].text_or("")), false, {}, {}, {}};
    const auto part = [&](const char* name) { return from_base64url(jwk[name].text_or("")).value_or(""); };
    if (jwk["kty"].text() == "RSA") {
      const std::string n = part("n"), e = part("e");
      key.rs256 = key_of(3, -257, {{-1, bytes(n)}, {-2, bytes(e)}});
      key.ps256 = key_of(3, -37, {{-1, bytes(n)}, {-2, bytes(e)}});
      if (!key.rs256) continue;
    } else if (jwk["kty"].text() == "EC" && jwk["crv"].text() == "P-256") {
      const std::string x = part("x"), y = part("y");
      key.ec = true;
      key.es256 = key_of(2, -7, {{-1, integer(1)}, {-2, bytes(x)}, {-3, bytes(y)}});
      if (!key.es256) continue;
    } else {
      continue;
    }
    keys.push_back(std::move(key));
  }
  if (keys.empty())
    return fail(Code::bad_input,
                "the provider publishes no key of a kind that is accepted (RSA from 2048 bits, P-256)");
  return keys;
}

Result<TokenSays> check_id_token(std::string_view token, const std::vector<ProviderKey>& keys,
                                 const TokenExpected& expected) {
  if (token.empty() || token.size() > kLongestToken) return refused("it is missing or too long");
  const auto first = token.find('.'), second = first == std::string_view::npos ? first : token.find('.', first + 1);
  if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos)
    return refused("it has not three parts");
  const auto header_bytes = from_base64url(token.substr(0, first)),
             body_bytes = from_base64url(token.substr(first + 1, second - first - 1)),
             signature = from_base64url(token.substr(second + 1));
  if (!header_bytes || !body_bytes || !signature) return refused("it is not base64url");
  const auto header_document = net::JsonDocument::parse(*header_bytes);
  if (!header_document || !header_document->root().is_object()) return refused("its header is not JSON");
  const auto header = header_document->root();
  const std::string alg(header["alg"].text_or("")), kid(header["kid"].text_or(""));
  if (alg != "RS256" && alg != "PS256" && alg != "ES256")
    return refused(fmt::format("it is signed with \"{}\"", alg.substr(0, 20)));
  if (header["crit"]) return refused("it demands something that is not known here (crit)");
  const std::string_view message = token.substr(0, second);
  const std::string by_ec = alg == "ES256" ? der_signature(*signature) : std::string();
  bool known = false, good = false;
  for (const ProviderKey& key : keys) {
    if (!kid.empty() && !key.id.empty() && key.id != kid) continue;
    if (!key.algorithm.empty() && key.algorithm != alg) continue;
    const auto& one = alg == "ES256" ? key.es256 : alg == "PS256" ? key.ps256 : key.rs256;
    if (!one) continue;
    known = true;
    good = good || one->verify(message, alg == "ES256" ? std::string_view(by_ec) : std::string_view(*signature));
  }
  if (!known) return fail(Code::not_found, "the provider's token is signed by a key that it does not publish");
  if (!good) return refused("the signature is not the provider's");

  const auto document = net::JsonDocument::parse(*body_bytes);
  if (!document || !document->root().is_object()) return refused("it is not JSON");
  const auto claims = document->root();
  if (claims["iss"].text() != expected.issuer) return refused("it is of another issuer");
  const auto aud = claims["aud"];
  std::size_t audiences = 1;
  bool ours = aud.text() == expected.client;
  if (aud.is_array()) {
    audiences = aud.size();
    for (const auto a : aud) ours = ours || a.text() == expected.client;
  }
  if (!ours) return refused("it is for somebody else");
  const auto azp = claims["azp"];
  if ((audiences > 1 && !azp) || (azp && azp.text() != expected.client))
    return refused("it was made for somebody else (azp)");
  if (expected.nonce.empty() || !same_secret(claims["nonce"].text_or(""), expected.nonce))
    return refused("it answers another question (nonce)");
  const auto ends = seconds_at(claims["exp"]), made = seconds_at(claims["iat"]);
  if (!ends || *ends + kClockSkew <= expected.now)
    return refused("it is over, or the clocks differ by more than a minute");
  if (!made || *made - kClockSkew > expected.now)
    return refused("it was made in the future: the clocks differ by more than a minute");
  if (const auto from = claims["nbf"]; from && (!seconds_at(from) || *seconds_at(from) - kClockSkew > expected.now))
    return refused("it is not valid yet");
  if (expected.proved_within) {
    const auto when = seconds_at(claims["auth_time"]);
    if (!when || *when + *expected.proved_within + kClockSkew < expected.now)
      return refused("the provider did not ask again who is there");
  }
  const auto subject = claims["sub"].text_or("");
  if (subject.empty() || subject.size() > kLongestSubject) return refused("it names nobody (sub)");
  return TokenSays{std::string(subject)};
}

std::optional<ProviderEnds> OidcCache::ends(const std::string& issuer, Instant now) const {
  return known_.with([&](const auto& all) -> std::optional<ProviderEnds> {
    const auto at = all.find(issuer);
    if (at == all.end() || at->second.ends.token.empty() || at->second.ends_read + kKept <= now) return std::nullopt;
    return at->second.ends;
  });
}
std::optional<std::vector<ProviderKey>> OidcCache::keys(const std::string& issuer, Instant now) const {
  return known_.with([&](const auto& all) -> std::optional<std::vector<ProviderKey>> {
    const auto at = all.find(issuer);
    if (at == all.end() || at->second.keys.empty() || at->second.keys_read + kKept <= now) return std::nullopt;
    return at->second.keys;
  });
}
bool OidcCache::may_ask_again(const std::string& issuer, Instant now) const {
  return known_.with([&](const auto& all) {
    const auto at = all.find(issuer);
    return at == all.end() || at->second.keys_read + kAskAgain <= now;
  });
}
void OidcCache::keep_ends(const std::string& issuer, ProviderEnds ends, Instant now) {
  known_.with([&](auto& all) {
    all[issuer].ends = std::move(ends);
    all[issuer].ends_read = now;
  });
}
void OidcCache::keep_keys(const std::string& issuer, std::vector<ProviderKey> keys, Instant now) {
  known_.with([&](auto& all) {
    all[issuer].keys = std::move(keys);
    all[issuer].keys_read = now;
  });
}
void OidcCache::forget(const std::string& issuer) {
  known_.with([&](auto& all) { all.erase(issuer); });
}

}  // namespace bavn::show::auth
