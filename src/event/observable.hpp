#pragma once
// Observable: {kind, canonical value, 64-bit keyed hash}. Two spellings of one thing have one canonical form; every canonical form is
// read back as itself.
//   domain, mail_domain  IDNA (punycode), lower case, trailing dot and leading "*." off; at least two labels: "evil.example"
//   url          host[:port]/path[?query] in ASCII: http and https are the same thing (no scheme kept; other schemes are), ports
//                80 and 443, user info, fragment, empty query and trailing slashes off, percent-decoded once where that changes
//                nothing ("%41" -> "A"; "%2F", "%25" stay), other bytes encoded, dot segments resolved. Path and query keep
//                their case. "HTTPS://Evil.example:443/a/%7Eb/?#x" -> "evil.example/a/~b"
//   ipv4, ipv6   RFC 5952; IPv4-mapped IPv6 is IPv4. cidr: host bits off; a network of one address is that address
//   md5, sha1, sha256, ja3   lower case hex
//   email        lower case, display name, <> and mailto: off, domain as above
//   message_id   <> off, case kept.  user_agent  trimmed, case kept
//   subject      lower case, runs of white space are one blank.  file_name  last part of the path, lower case
//   asn          "AS13335".  app_id, account  lower case (GUID without braces).  bank_account  letters and digits, upper case
//   phone        digits, "+" or "00" in front becomes "+"
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event/field.hpp"

namespace bavn::event {

enum class Kind : std::uint8_t {
  domain = 1,
  url,
  ipv4,
  ipv6,
  cidr,
  md5,
  sha1,
  sha256,
  email,
  mail_domain,
  message_id,
  subject,
  file_name,
  user_agent,
  asn,
  ja3,
  app_id,
  account,
  bank_account,
  phone,
};
constexpr unsigned kKinds = 21;  // one more than the largest

std::string_view to_string(Kind k);
/// The names above; also "ip" (ipv4; canonical() tells 4, 6 and networks apart), "hostname", "host", "fqdn" (domain), "email-src" ...
std::optional<Kind> parse_kind(std::string_view name);

struct Observable {
  Kind kind;
  std::string value;  // canonical
  friend auto operator<=>(const Observable&, const Observable&) = default;
};

/// Canonical form of a value of a known kind; empty optional when it is none. Strict: for indicators and user input.
/// The result's kind may differ from what was asked for among ipv4, ipv6 and cidr: it is what the value is.
std::optional<Observable> canonical(Kind kind, std::string_view value);
/// The same by name, as lists write it: also "hash" (told apart by length), and an address called a domain is an address.
std::optional<Observable> canonical(std::string_view kind_name, std::string_view value);
/// Without allocating when `out` has room: clears it and writes the canonical form; the kind, or empty.
std::optional<Kind> canonical_into(Kind kind, std::string_view value, std::string& out);

/// "hxxps://evil[.]com/x" -> "https://evil.com/x"; also (dot), [@], [:], {.}.
std::string refang(std::string_view s);
/// Kind told from the value itself, defanged or not (text lists); empty when it could be nothing.
std::optional<Observable> guess(std::string_view value);

/// 64-bit keyed hash of (kind, canonical value): the index key. The key is fixed per store so that it can be rebuilt.
std::uint64_t observable_hash(Kind kind, std::string_view canonical_value, std::uint64_t key = 0);

/// The host part of a canonical URL, without port; IPv6 without brackets.
std::string_view url_host(std::string_view canonical_url);

}  // namespace bavn::event
