#pragma once
// String values of Sigma rules while modifiers work on them: bytes and wildcards, told apart. Load time only.
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::match::sigma {

/// Units below 256 are bytes, the others stand for something.
using Pattern = std::u16string;
constexpr char16_t kRun = 0x100;  // *
constexpr char16_t kOne = 0x101;  // ?
constexpr char16_t kBom = 0x102;  // byte order mark put in front by `utf16`

/// name -> values, in the order of the file.
using Placeholders = std::map<std::string, std::vector<std::string>, std::less<>>;
/// Lines `name = value`; a name may come again; '#' starts a comment line. Error::where: the line.
Result<Placeholders> parse_placeholders(std::string_view text);

/// Sigma's escapes: \* \? and \\ before a wildcard are plain; any other backslash is itself.
Pattern parse_pattern(std::string_view text);
Pattern plain_pattern(std::string_view text);
bool has_wildcards(const Pattern& p);
/// The bytes when nothing but bytes (and a byte order mark, as UTF-16LE) is in it.
std::optional<std::string> bytes_of(const Pattern& p);

/// Each dash or slash that begins a word becomes each of - / and the three long dashes, in all combinations.
Result<std::vector<Pattern>> windash(const Pattern& p);
enum class Utf16 { little, big, little_with_bom };
Result<Pattern> to_utf16(const Pattern& p, Utf16 how);
Result<Pattern> to_base64(const Pattern& p);
/// The three forms that the bytes take inside a larger base64 text, without the characters that depend on their neighbours.
Result<std::vector<Pattern>> to_base64_offsets(const Pattern& p);
/// %name% -> each of its values (which may hold wildcards); \% is a plain percent sign.
Result<std::vector<Pattern>> expand(const Pattern& p, const Placeholders& placeholders);

}  // namespace bavn::match::sigma
