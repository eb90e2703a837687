#pragma once
// What a browser's answer proves: registration and sign-in with a passkey after W3C Web Authentication level 3, sections 7.1 and 7.2.
// Attestation is checked where one is given (none, packed, tpm, android-key, apple, fido-u2f: section 8) and does not decide who may
// register: which makers to trust is the community's choice, and none is asked for.
// Thread rules: pure functions. That a challenge counts once and for five minutes is the caller's.
#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::show::auth::webauthn {

/// What the page asked for.
struct Expected {
  std::string challenge{};  // raw bytes
  std::string origin{};     // "https://desk.example.org": exactly this
  std::string rp_id{};      // "desk.example.org"
  bool user_verified = true;
  bool cross_origin = false;  // a page of somebody else's around ours
};

struct AuthenticatorData {
  std::string_view rp_id_hash{};
  bool user_present = false, user_verified = false, backup_eligible = false, backed_up = false;
  std::uint32_t sign_count = 0;
  bool has_credential = false;  // the rest is there
  std::string_view aaguid{};    // 16 bytes: the model
  std::string_view credential_id{};
  std::string_view public_key{};  // COSE
};
/// Views of `bytes`. bad_input: cut, longer than said, reserved combinations of flags.
Result<AuthenticatorData> read_authenticator_data(std::string_view bytes);

struct Registered {
  std::string credential_id;
  std::string public_key;  // COSE
  std::int64_t algorithm = 0;
  std::uint32_t sign_count = 0;
  std::string aaguid;  // 16 bytes
  bool user_verified = false, backup_eligible = false, backed_up = false;
  std::string format;                // of the attestation: "none"
  std::vector<std::string> chain{};  // DER; the first certificate's signature was checked, whom it leads to was not
};
/// bad_input: not readable. forbidden: readable, and not what was asked for; `what` says which step.
Result<Registered> verify_registration(const Expected& expected, std::string_view client_data_json,
                                       std::string_view attestation_object);

struct Known {
  std::string_view public_key;  // COSE, as registered
  std::uint32_t sign_count = 0;
  bool backup_eligible = false;
};
struct Asserted {
  std::uint32_t sign_count = 0;
  bool user_verified = false, backed_up = false;
};
/// As above. A counter that does not grow is forbidden with `where` = "/signCount": two devices hold the same key.
Result<Asserted> verify_assertion(const Expected& expected, const Known& known, std::string_view client_data_json,
                                  std::string_view authenticator_data, std::string_view signature);

}  // namespace bavn::show::auth::webauthn
