#include "event/ip.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>

#include "base/text.hpp"

namespace bavn::event {

namespace {

bool parse_v4(std::string_view s, std::uint8_t* out) {
  if (s.size() < 7 || s.size() > 15) return false;
  std::size_t i = 0;
  for (int part = 0; part < 4; ++part) {
    if (part != 0) {
      if (i >= s.size() || s[i] != '.') return false;
      ++i;
    }
    const std::size_t from = i;
    unsigned n = 0;
    while (i < s.size() && ascii_digit(s[i]) && i - from < 3) n = n * 10 + static_cast<unsigned>(s[i++] - '0');
    if (i == from || n > 255 || (i - from > 1 && s[from] == '0')) return false;
    out[part] = static_cast<std::uint8_t>(n);
  }
  return i == s.size();
}

bool is_mapped(const std::array<std::uint8_t, 16>& b) {
  return std::all_of(b.begin(), b.begin() + 10, [](std::uint8_t x) { return x == 0; }) && b[10] == 0xFF &&
         b[11] == 0xFF;
}

Ip unwrapped(const Ip& ip) {
  Ip v4;
  std::copy_n(ip.bytes.begin() + 12, 4, v4.bytes.begin());
  return v4;
}

std::optional<Ip> parse_v6(std::string_view s) {
  if (s.size() >= 2 && s.front() == '[' && s.back() == ']') s = s.substr(1, s.size() - 2);
  if (const auto zone = s.find('%'); zone != std::string_view::npos) s = s.substr(0, zone);
  if (s.size() < 2 || s.size() > 45 || s.find(':') == std::string_view::npos) return std::nullopt;
  char buffer[48];
  std::memcpy(buffer, s.data(), s.size());
  buffer[s.size()] = 0;
  Ip ip;
  ip.v6 = true;
  if (std::strlen(buffer) != s.size() || inet_pton(AF_INET6, buffer, ip.bytes.data()) != 1) return std::nullopt;
  return ip;
}

}  // namespace

std::optional<Ip> parse_ip(std::string_view s) {
  if (s.empty()) return std::nullopt;
  if (ascii_digit(s[0])) {
    Ip ip;
    if (parse_v4(s, ip.bytes.data())) return ip;
  }
  auto v6 = parse_v6(s);
  if (v6 && is_mapped(v6->bytes)) return unwrapped(*v6);
  return v6;
}

std::optional<Ip> parse_ip_like_browser(std::string_view s) {
  // WHATWG URL, IPv4 parser: up to four parts, each decimal, 0x hexadecimal or 0 octal; the last fills what is left.
  std::uint64_t parts[4];
  unsigned n = 0;
  while (!s.empty()) {
    if (n == 4) return std::nullopt;
    const auto dot = s.find('.');
    std::string_view part = s.substr(0, dot);
    s = dot == std::string_view::npos ? std::string_view{} : s.substr(dot + 1);
    unsigned base = 10;
    if (part.size() > 1 && part[0] == '0' && (part[1] == 'x' || part[1] == 'X')) {
      base = 16;
      part.remove_prefix(2);
    } else if (part.size() > 1 && part[0] == '0') {
      base = 8;
      part.remove_prefix(1);
    } else if (part.empty()) {
      return std::nullopt;
    }
    std::uint64_t value = 0;
    for (char c : part) {
      unsigned d = 99;
      if (ascii_digit(c)) d = static_cast<unsigned>(c - '0');
      else if (c >= 'a' && c <= 'f') d = static_cast<unsigned>(c - 'a' + 10);
      else if (c >= 'A' && c <= 'F') d = static_cast<unsigned>(c - 'A' + 10);
      if (d >= base) return std::nullopt;
      value = value * base + d;
      if (value > 0xFFFFFFFFU) return std::nullopt;
    }
    parts[n++] = value;
  }
  if (n == 0) return std::nullopt;
  std::uint64_t address = parts[n - 1];
  if (address >= std::uint64_t{1} << (8 * (5 - n))) return std::nullopt;
  for (unsigned i = 0; i + 1 < n; ++i) {
    if (parts[i] > 255) return std::nullopt;
    address += parts[i] << (8 * (3 - i));
  }
  Ip ip;
  for (unsigned i = 0; i < 4; ++i) ip.bytes[i] = static_cast<std::uint8_t>(address >> (8 * (3 - i)));
  return ip;
}

void append_ip(std::string& out, const Ip& ip) {
  char buffer[INET6_ADDRSTRLEN];
  if (ip.v6) {
    inet_ntop(AF_INET6, ip.bytes.data(), buffer, sizeof buffer);
    out += buffer;
    return;
  }
  char* p = buffer;
  for (unsigned i = 0; i < 4; ++i) {
    if (i != 0) *p++ = '.';
    const unsigned b = ip.bytes[i];
    if (b >= 100) *p++ = static_cast<char>('0' + b / 100);
    if (b >= 10) *p++ = static_cast<char>('0' + b / 10 % 10);
    *p++ = static_cast<char>('0' + b % 10);
  }
  out.append(buffer, p);
}

Ip masked(Ip ip, unsigned prefix) {
  for (unsigned i = 0; i < 16; ++i) {
    const unsigned from = i * 8;
    if (from >= prefix) ip.bytes[i] = 0;
    else if (from + 8 > prefix) ip.bytes[i] = static_cast<std::uint8_t>(ip.bytes[i] & (0xFF00U >> (prefix - from)));
  }
  return ip;
}

std::optional<Cidr> parse_cidr(std::string_view s) {
  const auto slash = s.find('/');
  if (slash == std::string_view::npos || s.size() - slash < 2 || s.size() - slash > 4) return std::nullopt;
  unsigned prefix = 0;
  for (char c : s.substr(slash + 1)) {
    if (!ascii_digit(c)) return std::nullopt;
    prefix = prefix * 10 + static_cast<unsigned>(c - '0');
  }
  const std::string_view address = s.substr(0, slash);
  Ip ip;
  if (address.find(':') == std::string_view::npos) {
    if (!parse_v4(address, ip.bytes.data())) return std::nullopt;
  } else {
    const auto v6 = parse_v6(address);
    if (!v6) return std::nullopt;
    ip = *v6;
    if (is_mapped(ip.bytes) && prefix >= 96 && prefix <= 128) {
      ip = unwrapped(ip);
      prefix -= 96;
    }
  }
  if (prefix > ip.width()) return std::nullopt;
  return Cidr{masked(ip, prefix), static_cast<std::uint8_t>(prefix)};
}

}  // namespace bavn::event
