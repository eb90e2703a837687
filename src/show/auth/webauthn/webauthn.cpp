#include "show/auth/webauthn/webauthn.hpp"

#include <fmt/format.h>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "net/json_value.hpp"
#include "show/auth/webauthn/attestation.hpp"
#include "show/auth/webauthn/key.hpp"

namespace bavn::show::auth::webauthn {

namespace {

constexpr std::size_t kMostClientData = 8192, kMostAttestation = 65536, kMostAuthenticatorData = 8192;
constexpr std::size_t kLongestCredentialId = 1023;  // section 7.1 step 25

std::unexpected<Error> not_ours(std::string_view what, std::string_view where = {}) {
  return fail(Code::forbidden, fmt::format("the passkey's answer is not accepted: {}", what), std::string(where));
}
std::unexpected<Error> unreadable(std::string_view what) {
  return fail(Code::bad_input, fmt::format("the passkey's answer cannot be read: {}", what));
}

/// Sections 7.1 steps 5 to 11 and 7.2 steps 9 to 14: what the browser says it did.
Result<void> check_client_data(const Expected& expected, std::string_view type, std::string_view json) {
  if (json.size() > kMostClientData) return unreadable("the client data is too large");
  const auto document = net::JsonDocument::parse(json);
  if (!document || !document->root().is_object()) return unreadable("the client data is not a JSON object");
  const auto root = document->root();
  if (root["type"].text() != type) return not_ours("it was made for another purpose", "/type");
  const auto challenge = from_base64url(root["challenge"].text_or(""));
  if (!challenge || expected.challenge.empty() || !same_secret(*challenge, expected.challenge))
    return not_ours("it answers another challenge", "/challenge");
  if (root["origin"].text() != expected.origin) return not_ours("it was made for another site", "/origin");
  const auto cross = root["crossOrigin"];
  if (cross && !cross.boolean()) return unreadable("crossOrigin is neither true nor false");
  if (!expected.cross_origin && (cross.boolean().value_or(false) || root["topOrigin"]))
    return not_ours("our page was inside somebody else's", "/crossOrigin");
  return {};
}

/// Sections 7.1 steps 14 to 18 and 7.2 steps 15 to 19: what the authenticator says.
Result<void> check_authenticator(const Expected& expected, const AuthenticatorData& data) {
  if (data.rp_id_hash != sha256(expected.rp_id)) return not_ours("it was made for another site", "/rpId");
  if (!data.user_present) return not_ours("nobody touched the key", "/userPresent");
  if (expected.user_verified && !data.user_verified)
    return not_ours("the key did not check who touched it (PIN, finger or face)", "/userVerified");
  if (data.backed_up && !data.backup_eligible) return not_ours("it says it is backed up and cannot be", "/backedUp");
  return {};
}

}  // namespace

Result<AuthenticatorData> read_authenticator_data(std::string_view bytes) {
  if (bytes.size() < 37 || bytes.size() > kMostAttestation)
    return unreadable("the authenticator data has a wrong length");
  AuthenticatorData d;
  d.rp_id_hash = bytes.substr(0, 32);
  const auto flags = static_cast<unsigned char>(bytes[32]);
  d.user_present = (flags & 0x01U) != 0;
  d.user_verified = (flags & 0x04U) != 0;
  d.backup_eligible = (flags & 0x08U) != 0;
  d.backed_up = (flags & 0x10U) != 0;
  d.has_credential = (flags & 0x40U) != 0;
  for (std::size_t i = 33; i < 37; ++i) d.sign_count = (d.sign_count << 8U) | static_cast<unsigned char>(bytes[i]);
  std::string_view rest = bytes.substr(37);
  if (d.has_credential) {
    if (rest.size() < 18) return unreadable("the authenticator data is cut");
    d.aaguid = rest.substr(0, 16);
    const std::size_t length = static_cast<std::size_t>(static_cast<unsigned char>(rest[16])) << 8U |
                               static_cast<std::size_t>(static_cast<unsigned char>(rest[17]));
    rest.remove_prefix(18);
    if (length == 0 || length > kLongestCredentialId || length > rest.size())
      return unreadable("the credential's id has a wrong length");
    d.credential_id = rest.substr(0, length);
    rest.remove_prefix(length);
    BAVN_TRY(const CborRead key, read_first_cbor(rest));
    d.public_key = rest.substr(0, key.size);
    rest.remove_prefix(key.size);
  }
  if ((flags & 0x80U) != 0) {
    BAVN_TRY(const CborRead extensions, read_first_cbor(rest));
    if (extensions.value.kind != Cbor::Kind::map) return unreadable("its extensions are not a map");
    rest.remove_prefix(extensions.size);
  }
  if (!rest.empty()) return unreadable("the authenticator data goes on behind its end");
  return d;
}

Result<Registered> verify_registration(const Expected& expected, std::string_view client_data_json,
                                       std::string_view attestation_object) {
  BAVN_CHECK(check_client_data(expected, "webauthn.create", client_data_json));
  if (attestation_object.size() > kMostAttestation) return unreadable("the attestation is too large");
  BAVN_TRY(const Cbor object, read_cbor(attestation_object));
  const Cbor* format = object.find("fmt");
  const Cbor* statement = object.find("attStmt");
  const auto bytes = object.bytes_at("authData");
  if (format == nullptr || format->kind != Cbor::Kind::text || statement == nullptr || !bytes)
    return unreadable("the attestation is not complete");
  BAVN_TRY(const AuthenticatorData data, read_authenticator_data(*bytes));
  BAVN_CHECK(check_authenticator(expected, data));
  if (!data.has_credential) return unreadable("there is no new key in it");
  BAVN_TRY(const PublicKey key, PublicKey::from_cose(data.public_key));
  const std::string hash = sha256(client_data_json);
  BAVN_TRY(auto chain, check_attestation(format->bytes, *statement, {*bytes, hash, data, key}));
  return Registered{std::string(data.credential_id),
                    std::string(data.public_key),
                    key.algorithm(),
                    data.sign_count,
                    std::string(data.aaguid),
                    data.user_verified,
                    data.backup_eligible,
                    data.backed_up,
                    std::string(format->bytes),
                    std::move(chain)};
}

Result<Asserted> verify_assertion(const Expected& expected, const Known& known, std::string_view client_data_json,
                                  std::string_view authenticator_data, std::string_view signature) {
  BAVN_CHECK(check_client_data(expected, "webauthn.get", client_data_json));
  if (authenticator_data.size() > kMostAuthenticatorData) return unreadable("the authenticator data is too large");
  BAVN_TRY(const AuthenticatorData data, read_authenticator_data(authenticator_data));
  BAVN_CHECK(check_authenticator(expected, data));
  if (data.backup_eligible != known.backup_eligible)
    return not_ours("whether it can be backed up has changed since it was registered", "/backupEligible");
  BAVN_TRY(const PublicKey key, PublicKey::from_cose(known.public_key));
  if (!key.verify(std::string(authenticator_data) + sha256(client_data_json), signature))
    return not_ours("the signature is not the key's", "/signature");
  if ((data.sign_count != 0 || known.sign_count != 0) && data.sign_count <= known.sign_count)
    return not_ours("its counter did not grow: two devices hold the same key", "/signCount");
  return Asserted{data.sign_count, data.user_verified, data.backed_up};
}

}  // namespace bavn::show::auth::webauthn
