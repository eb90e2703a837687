#pragma once
// Mutual witnessing: hub and node sign the heads of each other's audit logs, so that neither can rewrite its own unseen; and the
// word on their clocks.
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

struct Witness {
  AuditHead head;
  Instant at;
  std::string signature;
};
/// Into store's audit_witness. chain: whose log ("self": the one here); party: who signed ("hub", a node's name).
Result<void> keep_witness(store::Tx& tx, std::string_view chain, std::string_view party, const Witness& w);
/// True when this head cannot be of the log whose heads were witnessed before: another hash for one seq, or a log that got shorter.
Result<bool> contradicts(store::Tx& tx, std::string_view chain, const AuditHead& head);

/// More than 5 s apart, whatever the way there and back may hide: the node's minutes are not published.
bool clock_is_wrong(std::int64_t offset_us, std::int64_t round_trip_us);

}  // namespace bavn::beacon
