#pragma once
// The head of a state's audit log, as hub and nodes show it to each other.
#include "beacon/witness.hpp"
#include "store/state.hpp"

namespace bavn::app {

Result<beacon::AuditHead> audit_head(store::Reader& reader);

}  // namespace bavn::app
