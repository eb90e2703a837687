#include "base/encoding.hpp"

#include <fmt/format.h>

#include <cstdint>

namespace bavn {

namespace {

constexpr std::string_view kHex = "0123456789abcdef";
constexpr std::string_view kBase32 = "abcdefghijklmnopqrstuvwxyz234567";
constexpr std::string_view kBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view kBase64Url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode(std::string_view bytes, std::string_view alphabet, unsigned bits) {
  std::string out;
  out.reserve(bytes.size() * 8 / bits + 1);
  std::uint32_t held = 0;
  unsigned have = 0;
  const std::uint32_t mask = (1U << bits) - 1;
  for (const char c : bytes) {
    held = (held << 8) | static_cast<unsigned char>(c);
    have += 8;
    while (have >= bits) {
      have -= bits;
      out += alphabet[(held >> have) & mask];
    }
  }
  if (have > 0) out += alphabet[(held << (bits - have)) & mask];
  return out;
}

/// Bits left over must be fewer than one digit and zero: two texts never mean the same bytes.
Result<std::string> decode(std::string_view text, std::string_view alphabet, unsigned bits, std::string_view what) {
  std::string out;
  out.reserve(text.size() * bits / 8);
  std::uint32_t held = 0;
  unsigned have = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto digit = alphabet.find(text[i]);
    if (digit == std::string_view::npos)
      return fail(Code::bad_input, fmt::format("not {}: character {} of {}", what, i + 1, text.size()));
    held = (held << bits) | static_cast<std::uint32_t>(digit);
    have += bits;
    if (have >= 8) {
      have -= 8;
      out += static_cast<char>((held >> have) & 0xFF);
    }
  }
  if (have >= bits || (held & ((1U << have) - 1)) != 0)
    return fail(Code::bad_input, fmt::format("not {}: it ends in the middle of a byte", what));
  return out;
}

}  // namespace

std::string to_hex(std::string_view bytes) {
  return encode(bytes, kHex, 4);
}
Result<std::string> from_hex(std::string_view text) {
  return decode(text, kHex, 4, "hex digits in lower case");
}

std::string to_base32(std::string_view bytes) {
  return encode(bytes, kBase32, 5);
}
Result<std::string> from_base32(std::string_view text) {
  std::string clean;
  for (const char c : text)
    if (c != ' ' && c != '-') clean += c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
  return decode(clean, kBase32, 5, "base32");
}

std::string to_base64(std::string_view bytes) {
  std::string out = encode(bytes, kBase64, 6);
  out.append((4 - out.size() % 4) % 4, '=');
  return out;
}
Result<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return fail(Code::bad_input, "not base64: its length is not a multiple of four");
  for (int i = 0; i < 2 && text.ends_with('='); ++i) text.remove_suffix(1);
  return decode(text, kBase64, 6, "base64");
}
std::string to_base64url(std::string_view bytes) {
  return encode(bytes, kBase64Url, 6);
}
Result<std::string> from_base64url(std::string_view text) {
  return decode(text, kBase64Url, 6, "base64url");
}

}  // namespace bavn
