#pragma once
// Mutual witnessing: hub and node sign the heads of each other's audit logs, so that neither can rewrite its own unseen.
// Thread rules: values and free functions.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "base/sign.hpp"
#include "beacon/head.hpp"
#include "store/state.hpp"

namespace bavn::beacon {

/// The last entry of an audit log (store/audit.hpp).
struct AuditHead {
  std::uint64_t seq = 0;  // 0: the log is empty
  Hash hash{};
  friend bool operator==(const AuditHead&, const AuditHead&) = default;
};
using ReadAuditHead = std::function<Result<AuditHead>(store::Reader&)>;

/// "The log of `whose` had this head when I looked." at: the clock of who signs.
struct Witnessed {
  std::string whose;  // "hub", or the node's name
  AuditHead head;
  Instant at;
};
std::string sign_witness(const SigningKey& key, const Witnessed& w);
bool is_witness(const PublicKey& key, const Witnessed& w, std::string_view signature);

}  // namespace bavn::beacon
