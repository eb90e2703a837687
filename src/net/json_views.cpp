#include "net/json_views.hpp"

#include <fmt/format.h>

namespace bavn::net::detail {

namespace {

// The value itself is not repeated: it may be a secret, and errors are logged.
std::string_view kind_name(JsonKind kind) {
  switch (kind) {
    case JsonKind::missing: return "missing";
    case JsonKind::null: return "null";
    case JsonKind::boolean: return "a boolean";
    case JsonKind::integer:
    case JsonKind::natural: return "this integer";
    case JsonKind::number: return "this number";
    case JsonKind::text: return "this string";
    case JsonKind::array: return "an array";
    case JsonKind::object: return "an object";
  }
  return "that";
}

}  // namespace

std::string pointer(const At* at) {
  if (!at) return {};
  std::string out = pointer(at->up);
  out += '/';
  if (!at->key.data()) return out + std::to_string(at->index);
  for (const char c : at->key) {
    if (c == '~') out += "~0";
    else if (c == '/') out += "~1";
    else out += c;
  }
  return out;
}

Error wrong(const At* at, std::string_view what) {
  return {Code::bad_input, std::string(what), pointer(at)};
}

Error not_a(const At* at, std::string_view wanted, JsonValue got) {
  return wrong(at, fmt::format("this must be {}, not {}", wanted, kind_name(got.kind())));
}

std::string_view json_name(const char* member) {
  std::string_view name = member;
  if (name.size() > 1 && name.ends_with('_')) name.remove_suffix(1);
  return name;
}

}  // namespace bavn::net::detail
