#include "app/audit_head.hpp"

#include "store/audit.hpp"

namespace bavn::app {

Result<beacon::AuditHead> audit_head(store::Reader& reader) {
  BAVN_TRY(const store::audit::ChainHead head, store::audit::head(reader));
  beacon::AuditHead out;
  if (head.seq == 0) return out;
  out.seq = static_cast<std::uint64_t>(head.seq);
  BAVN_TRY(out.hash, beacon::hash_from(head.hash.bytes));
  return out;
}

}  // namespace bavn::app
