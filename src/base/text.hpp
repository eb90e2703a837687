#pragma once
// Small text functions on bytes. ASCII only unless the name says UTF-8.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bavn {

constexpr char ascii_lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
constexpr bool ascii_digit(char c) {
  return c >= '0' && c <= '9';
}
std::string to_lower(std::string_view s);       // ASCII letters only
std::string to_lower_utf8(std::string_view s);  // simple case folding of all of Unicode; bad bytes kept
/// What to_lower_utf8 makes of one character. Its UTF-8 form is as long as before, and ASCII comes only from ASCII: matchers rely
/// on both (match/sigma).
std::uint32_t lower_code_point(std::uint32_t c);
/// Reads one code point at s[at]; returns its length or 0 when the bytes are not UTF-8.
std::size_t decode_utf8(std::string_view s, std::size_t at, std::uint32_t& code_point);
bool iequals(std::string_view a, std::string_view b);           // ASCII case
bool icontains(std::string_view text, std::string_view piece);  // ASCII case
std::string_view trim(std::string_view s);                      // spaces, tabs, CR, LF
std::vector<std::string_view> split(std::string_view s, char separator);
bool is_valid_utf8(std::string_view s);
/// Bytes that are not UTF-8 are read as Windows-1252 (the five holes as U+FFFD); valid sequences stay.
std::string repair_utf8(std::string_view s);
void append_utf8(std::string& out, std::uint32_t code_point);

/// Nearest of `known` to `word` by edit distance, empty when nothing is near (for "did you mean").
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& known);

}  // namespace bavn
