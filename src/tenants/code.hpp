#pragma once
// The one string that makes a machine a municipality's node: where the hub is, which root it must prove, and a secret that counts once.
//   bavn1.hub.example.org:8443.<fingerprint of the root key>.<16 random bytes>.<checksum>      (base32, lower case)
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn::tenants {

struct EnrolmentCode {
  std::string hub;     // "hub.example.org:8443"
  std::string root;    // PublicKey::fingerprint()
  std::string secret;  // 16 bytes

  std::string text() const;
  /// Spaces, line breaks and capitals do not matter. bad_input tells a slip of the hand from something else.
  static Result<EnrolmentCode> parse(std::string_view text);
  /// What the hub keeps of it.
  static std::string digest(std::string_view secret);
};

}  // namespace bavn::tenants
