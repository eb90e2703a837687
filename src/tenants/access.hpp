#pragma once
// The questions every store call of this module asks first.
#include "base/result.hpp"
#include "event/scope.hpp"

namespace bavn::tenants {

/// forbidden: what right is missing, for whom.
Result<void> require(const event::Scope& scope, event::Right right, std::string_view doing);
/// The right, and that the scope sees the municipality: otherwise not_found, so that asking tells nothing.
Result<void> require(const event::Scope& scope, event::Right right, MunicipalityId of, std::string_view doing);

}  // namespace bavn::tenants
