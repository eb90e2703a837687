#include "event/scope.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace bavn::event {

Scope Scope::local_owner() {
  Scope s("local owner", {}, 0xFFFFFFFFU, Tlp::red);
  s.all_ = true;
  return s;
}

Scope Scope::local_reader(std::uint32_t rights) {
  Scope s = local_owner();
  s.rights_ = rights;
  return s;
}

Scope Scope::everywhere(std::string who, std::uint32_t rights, Tlp ceiling) {
  Scope s(std::move(who), {}, rights, ceiling);
  s.all_ = true;
  return s;
}

bool Scope::sees(MunicipalityId m) const {
  return all_ || std::find(municipalities_.begin(), municipalities_.end(), m) != municipalities_.end();
}

std::string_view to_string(Tlp t) {
  switch (t) {
    case Tlp::clear: return "clear";
    case Tlp::green: return "green";
    case Tlp::amber: return "amber";
    case Tlp::amber_strict: return "amber+strict";
    case Tlp::red: return "red";
  }
  return "red";
}

std::optional<Tlp> parse_tlp(std::string_view s) {
  std::string t = to_lower(trim(s));
  if (t.starts_with("tlp:")) t.erase(0, 4);
  if (t == "clear" || t == "white") return Tlp::clear;
  if (t == "green") return Tlp::green;
  if (t == "amber") return Tlp::amber;
  if (t == "amber+strict" || t == "amber-strict" || t == "amber_strict") return Tlp::amber_strict;
  if (t == "red") return Tlp::red;
  return std::nullopt;
}

}  // namespace bavn::event
