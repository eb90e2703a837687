#pragma once
// IP addresses as bytes and as canonical text. Values; no allocation.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bavn::event {

struct Ip {
  std::array<std::uint8_t, 16> bytes{};  // network order; IPv4 in the first four, the rest zero
  bool v6 = false;
  unsigned width() const { return v6 ? 128 : 32; }
  friend auto operator<=>(const Ip&, const Ip&) = default;
};

/// "192.0.2.1", "2001:db8::1", "[2001:db8::1]", "fe80::1%eth0" (zone dropped), "::ffff:192.0.2.1" (unwrapped to IPv4).
/// Strict: no port, no leading zeros in IPv4 (octal or decimal? ambiguous), no shortened IPv4.
std::optional<Ip> parse_ip(std::string_view s);
/// IPv4 as browsers read it in a URL: "0xC0.0.2.1", "3221225985", "192.0.513".
std::optional<Ip> parse_ip_like_browser(std::string_view s);
/// Appends the canonical text (RFC 5952 for IPv6, without brackets).
void append_ip(std::string& out, const Ip& ip);
/// Host bits beyond `prefix` set to zero.
Ip masked(Ip ip, unsigned prefix);

struct Cidr {
  Ip network;  // masked
  std::uint8_t prefix = 0;
};
/// "192.0.2.0/24"; host bits may be set. An IPv4-mapped network with prefix >= 96 becomes IPv4.
std::optional<Cidr> parse_cidr(std::string_view s);

}  // namespace bavn::event
