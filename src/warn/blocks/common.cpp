#include "warn/blocks/common.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"

namespace bavn::warn::blocks {

using event::Kind;

bool exact(Kind kind) {
  switch (kind) {
    case Kind::message_id:
    case Kind::url:
    case Kind::email:
    case Kind::md5:
    case Kind::sha1:
    case Kind::sha256: return true;
    default: return false;
  }
}

bool known_action(std::string_view action) {
  return action == "watch" || action == "warn" || action == "hold" || action == "block";
}

Result<event::Observable> observable_of(std::string_view kind, std::string_view value) {
  if (value.size() > 4096) return fail(Code::bad_input, "a value has at most 4,096 bytes");
  if (!event::parse_kind(kind) && kind != "hash")
    return fail(Code::bad_input, "a kind is url, domain, ip, cidr, email, mail_domain, message_id or a hash",
                clean(kind, 100));
  auto known = event::canonical(kind, event::refang(value));
  if (!known) return fail(Code::bad_input, fmt::format("this is no {}", kind), clean(value, 200));
  return *known;
}

Result<event::Observable> canonical_observable(std::string_view kind, std::string_view value) {
  const auto k = event::parse_kind(kind);
  if (!k || value.size() > 4096) return fail(Code::bad_input, "no kind that is known", clean(kind, 100));
  auto known = event::canonical(*k, value);
  if (!known || known->kind != *k || known->value != value)
    return fail(Code::bad_input, fmt::format("not the canonical form of a {}", kind), clean(value, 200));
  return *known;
}

std::string clean(std::string_view text, std::size_t most) {
  std::string out = repair_utf8(text.substr(0, most));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  return out;
}

Result<std::string> person(std::string_view name) {
  const std::string_view said = trim(name);
  if (said.size() < 2 || said.size() > 100 || !is_valid_utf8(said) || clean(said, 100) != said)
    return fail(Code::bad_input, "say who you are: a name of 2 to 100 characters");
  return std::string(said);
}

Result<std::string> reason_of(std::string_view why) {
  const std::string said = clean(trim(why), 500);
  if (said.size() < 4) return fail(Code::bad_input, "say why, in a few words: others will read it");
  return said;
}

bool same_person(std::string_view a, std::string_view b) {
  // Spelled another way is still the same name.
  const auto plain = [](std::string_view s) {
    std::string out;
    for (const char c : to_lower_utf8(s))
      if (c != ' ' && c != '.' && c != '-' && c != '\t') out += c;
    return out;
  };
  return plain(a) == plain(b);
}

}  // namespace bavn::warn::blocks
