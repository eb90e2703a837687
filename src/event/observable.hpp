#pragma once
// Observable: {kind, canonical value, 64-bit keyed hash}. Canonical: IDNA, lower case, default port off, percent-decoding once,
// trailing dot off, IPv4-mapped v6 unwrapped, defanged input refanged.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/field.hpp"

namespace bavn::event {

enum class Kind : std::uint8_t {
  domain = 1, url, ipv4, ipv6, cidr, md5, sha1, sha256, email, mail_domain, message_id, subject, file_name, user_agent,
  asn, ja3, app_id, account, bank_account, phone,
};
constexpr unsigned kKinds = 21;  // one more than the largest

std::string_view to_string(Kind k);
std::optional<Kind> parse_kind(std::string_view name);

struct Observable {
  Kind kind;
  std::string value;  // canonical
  friend auto operator<=>(const Observable&, const Observable&) = default;
};

/// Canonical form of a value of a known kind; empty optional when it is none. Strict: for indicators and user input.
std::optional<Observable> canonical(Kind kind, std::string_view value);

/// "hxxps://evil[.]com/x" -> "https://evil.com/x"; also (dot), [@], [:], {.}.
std::string refang(std::string_view s);
/// Kind told from the value itself (text lists); empty when it could be nothing.
std::optional<Observable> guess(std::string_view value);

/// 64-bit keyed hash of (kind, canonical value): the index key. The key is fixed per store so that it can be rebuilt.
std::uint64_t observable_hash(Kind kind, std::string_view canonical_value, std::uint64_t key = 0);

}  // namespace bavn::event
