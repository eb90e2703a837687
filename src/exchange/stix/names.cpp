#include "exchange/stix/names.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "base/text.hpp"

namespace bavn::exchange::stix {

namespace {

/// bytes: 16 or more.
std::string uuid_of(std::string bytes, unsigned version) {
  bytes.resize(16);
  bytes[6] = static_cast<char>((static_cast<unsigned char>(bytes[6]) & 0x0fU) | (version << 4U));
  bytes[8] = static_cast<char>((static_cast<unsigned char>(bytes[8]) & 0x3fU) | 0x80U);
  const std::string hex = to_hex(bytes);
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4),
                     hex.substr(20));
}

std::string cut(Instant t, std::size_t digits) {
  std::string s = format_time(t);
  s.pop_back();  // Z
  const auto dot = s.find('.');
  std::string fraction = dot == std::string::npos ? std::string() : s.substr(dot + 1);
  fraction.resize(digits, '0');
  return fmt::format("{}.{}Z", s.substr(0, dot), fraction);
}

}  // namespace

std::string uuid4(Runtime& runtime) {
  std::array<std::byte, 16> bytes{};
  runtime.random(bytes);
  return uuid_of(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), 4);
}

std::string uuid5(std::string_view name_space, std::string_view name) {
  std::string hex;
  for (const char c : name_space)
    if (c != '-') hex += ascii_lower(c);
  std::string input = from_hex(hex).value_or(std::string(name_space));
  input += name;
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  BAVN_ASSERT(EVP_Digest(input.data(), input.size(), digest.data(), &length, EVP_sha1(), nullptr) == 1);
  return uuid_of(std::string(reinterpret_cast<const char*>(digest.data()), length), 5);
}

bool is_uuid(std::string_view s) {
  if (s.size() != 36) return false;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const char c = ascii_lower(s[i]);
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen ? c != '-' : !(ascii_digit(c) || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

bool is_id(std::string_view id, std::string_view type) {
  if (type.size() < 3 || type.size() > 250 || id.size() != type.size() + 38) return false;
  const auto fits = [](char c) { return ascii_digit(c) || (c >= 'a' && c <= 'z') || c == '-'; };
  return std::ranges::all_of(type, fits) && id.starts_with(type) && id.substr(type.size(), 2) == "--" &&
         is_uuid(id.substr(type.size() + 2));
}

std::string timestamp(Instant t) {
  return cut(t, 3);
}
std::string timestamp_us(Instant t) {
  return cut(t, 6);
}

}  // namespace bavn::exchange::stix
