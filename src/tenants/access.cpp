#include "tenants/access.hpp"

#include <fmt/format.h>

namespace bavn::tenants {

Result<void> require(const event::Scope& scope, event::Right right, std::string_view doing) {
  if (scope.may(right)) return {};
  return fail(Code::forbidden, fmt::format("{} may not {}", scope.who(), doing));
}

Result<void> require(const event::Scope& scope, event::Right right, MunicipalityId of, std::string_view doing) {
  BAVN_CHECK(require(scope, right, doing));
  if (scope.sees(of)) return {};
  return fail(Code::not_found, "there is no such thing here");
}

}  // namespace bavn::tenants
