#include "event/masked.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/text.hpp"
#include "event/domain.hpp"
#include "event/ip.hpp"
#include "event/observable.hpp"

namespace bavn::event {

namespace {

constexpr std::size_t kLongestPath = 400, kLongestName = 120;

bool ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool digit_like(char c) {  // "#" stands where digits were
  return ascii_digit(c) || c == '#';
}
bool hex_letter(char c) {
  return (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
/// Letters of Latin scripts beyond ASCII; nothing that turns the direction, has no width or looks like another script.
bool latin(std::uint32_t c) {
  return c >= 0xC0 && c <= 0x24F && c != 0xD7 && c != 0xF7;
}
bool sign(char c) {
  return std::string_view("._~+-:, ").contains(c);
}
bool vowel(char c) {
  return std::string_view("aeiouy").contains(ascii_lower(c));
}

/// Lower, upper, digit: how often a word goes from one to another. "Login" goes once and counts as none: names begin with a capital.
std::size_t switches(std::string_view w) {
  const auto kind = [](char c) { return digit_like(c) ? 2 : c >= 'A' && c <= 'Z' ? 1 : 0; };
  std::size_t n = 0;
  for (std::size_t i = 1; i < w.size(); ++i)
    if (kind(w[i]) != kind(w[i - 1]) && !(i == 1 && kind(w[0]) == 1 && kind(w[1]) == 0)) ++n;
  return n;
}

double bits_per_character(std::string_view w) {
  std::array<unsigned, 256> times{};
  for (const char c : w) ++times[static_cast<unsigned char>(c)];
  double bits = 0;
  for (const unsigned t : times)
    if (t != 0) bits -= t * std::log2(static_cast<double>(t) / static_cast<double>(w.size()));
  return bits / static_cast<double>(w.size());
}

std::optional<std::string> decoded(std::string_view s) {
  std::string out;
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '%') {
      out.push_back(s[i]);
      continue;
    }
    const auto digit = [&](std::size_t at) {
      return at >= s.size()                 ? -1
             : ascii_digit(s[at])           ? s[at] - '0'
             : s[at] >= 'A' && s[at] <= 'F' ? s[at] - 'A' + 10
                                            : -1;
    };
    const int high = digit(i + 1), low = digit(i + 2);
    if (high < 0 || low < 0) return std::nullopt;
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  return out;
}

/// One that the node may have written: decoding and showing it again gives the same.
bool well_shown(std::string_view segment) {
  if (segment == "*") return true;
  const auto plain = decoded(segment);
  return plain && shown_segment(*plain) == segment;
}

bool private_ip(const Ip& ip) {
  const auto& b = ip.bytes;
  if (ip.v6) {
    const bool low = std::all_of(b.begin(), b.begin() + 15, [](auto x) { return x == 0; });  // ::, ::1
    return low || (b[0] & 0xFE) == 0xFC || (b[0] == 0xFE && b[1] >= 0x80) || b[0] == 0xFF;
  }
  return b[0] == 0 || b[0] == 10 || b[0] == 127 || b[0] >= 224 || (b[0] == 100 && (b[1] & 0xC0) == 64) ||
         (b[0] == 169 && b[1] == 254) || (b[0] == 172 && (b[1] & 0xF0) == 16) || (b[0] == 192 && b[1] == 168);
}

}  // namespace

bool looks_random(std::string_view w) {
  if (w.size() < 6) return false;
  std::size_t digits = 0, hex = 0, letters = 0, vowels = 0, run = 0, longest = 0;
  for (const char c : w) {
    digits += digit_like(c);
    hex += hex_letter(c) || digit_like(c);
    if (ascii_letter(c)) {
      ++letters;
      vowels += vowel(c);
    } else if (static_cast<unsigned char>(c) >= 0x80) {
      ++vowels;  // Latin letters beyond ASCII are mostly vowels: words in Danish and Norwegian are not random
    }
    run = ascii_letter(c) && !vowel(c) ? run + 1 : 0;
    longest = std::max(longest, run);
  }
  if (hex == w.size() && digits > 0 && digits < w.size() && w.size() >= 8) return true;
  if (2 * switches(w) >= w.size()) return true;
  if (letters >= 8 && (vowels == 0 || longest >= 7)) return true;
  return w.size() >= 12 && digits > 1 && letters > 1 && switches(w) >= 3 && bits_per_character(w) > 3.3;
}

bool may_be_shown(std::string_view segment) {
  if (segment.empty() || segment == "." || segment == ".." || !is_valid_utf8(segment)) return false;
  std::size_t characters = 0, digits = 0, longest = 0;
  std::string word, joined;
  bool has_digit = false;
  for (std::size_t i = 0; i < segment.size();) {
    std::uint32_t c = 0;
    const std::size_t n = decode_utf8(segment, i, c);
    if (n == 0 || ++characters > kShownSegment) return false;
    const char first = segment[i];
    const bool part = n > 1 ? latin(c) : ascii_letter(first) || digit_like(first);
    if (!part && (n > 1 || !sign(first))) return false;
    digits = n == 1 && ascii_digit(first) ? digits + 1 : 0;
    if (digits > 4) return false;
    if (part) {
      word.append(segment.substr(i, n));
      joined.append(segment.substr(i, n));
      longest = std::max(longest, word.size());
      has_digit = has_digit || digit_like(first);
    } else {
      if (looks_random(word)) return false;
      word.clear();
    }
    i += n;
  }
  return !looks_random(word) && !(has_digit && longest <= kTokenGroup && looks_random(joined));
}

std::string shown_segment(std::string_view segment) {
  if (!may_be_shown(segment)) return "*";
  std::string out;
  for (const char c : segment) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && c != ' ') {
      out.push_back(c);
      continue;
    }
    constexpr std::string_view kHex = "0123456789ABCDEF";
    out.push_back('%');
    out.push_back(kHex[byte >> 4U]);
    out.push_back(kHex[byte & 15U]);
  }
  return out;
}

Result<void> check_shown_path(std::string_view path) {
  if (path.size() > kLongestPath) return fail(Code::bad_input, "the path is too long to be one that may be shown");
  if (!path.starts_with('/')) return fail(Code::bad_input, "a path begins with \"/\"");
  if (path == "/") return {};
  const auto segments = split(path.substr(1), '/');
  if (segments.size() > kShownSegments) return fail(Code::bad_input, "the path has more segments than may be shown");
  for (const auto s : segments)
    if (!well_shown(s))
      return fail(Code::bad_input,
                  "a segment of the path is not masked: too long, random, or with signs that may not be shown");
  return {};
}

Result<void> check_shown_file_name(std::string_view name) {
  if (name.empty() || name.size() > kLongestName)
    return fail(Code::bad_input, "the file name is empty or too long to be one that may be shown");
  const auto dot = name.rfind('.');
  const auto stem = name.substr(0, dot);
  const auto ending = dot == std::string_view::npos ? std::string_view() : name.substr(dot + 1);
  if (!well_shown(stem) ||
      (dot != std::string_view::npos && (ending == "*" || ending.size() > 10 || !well_shown(ending))))
    return fail(Code::bad_input, "the file name is not masked: too long, random, or with signs that may not be shown");
  return {};
}

bool public_host(std::string_view host) {
  if (const auto ip = parse_ip(host)) return !private_ip(*ip);
  constexpr std::array<std::string_view, 13> kInside = {"local", "lan",     "localhost", "internal", "intern",
                                                        "corp",  "home",    "intranet",  "private",  "localdomain",
                                                        "arpa",  "invalid", "onion"};
  const auto dot = host.rfind('.');
  if (dot == std::string_view::npos || !has_known_tld(host)) return false;
  return std::find(kInside.begin(), kInside.end(), host.substr(dot + 1)) == kInside.end();
}

Result<void> check_shown_host(std::string_view host) {
  const auto bad = [] { return fail(Code::bad_input, "this is no public host, or not in its canonical form"); };
  if (host.size() > 260) return bad();
  std::string_view name = host;
  const auto colon = host.starts_with('[') ? host.find("]:") : host.rfind(':');
  if (colon != std::string_view::npos) {
    const auto port = host.substr(host.rfind(':') + 1);
    unsigned number = 0;
    for (const char c : port)
      number = ascii_digit(c) && number < 100'000 ? number * 10 + static_cast<unsigned>(c - '0') : 100'000;
    if (port.empty() || port.size() > 5 || port[0] == '0' || number == 0 || number > 65535) return bad();
    name = host.substr(0, host.starts_with('[') ? colon + 1 : colon);
  }
  if (const auto ip = parse_ip(name)) {
    std::string text;
    append_ip(text, *ip);
    if (ip->v6) text = "[" + text + "]";
    return text == name && !private_ip(*ip) ? Result<void>() : bad();
  }
  std::string_view rest = name;
  while (rest.starts_with("*.")) rest.remove_prefix(2);
  const auto known = canonical(Kind::domain, rest);
  if (!known || known->value != rest || !public_host(rest)) return bad();
  if (rest.size() < name.size() && registrable_domain(rest).empty())
    return fail(Code::bad_input, "a host is masked down to its registrable domain and no further");
  return {};
}

}  // namespace bavn::event
