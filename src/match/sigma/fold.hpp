#pragma once
// Comparing values with folded text (bavn::to_lower_utf8) without folding the value: folding keeps the length of every character,
// so positions stay. Nothing here allocates.
#include <cstddef>
#include <string_view>

namespace bavn::match::sigma {

/// fold(value) == folded, both of the same size.
bool equals_folded(std::string_view value, std::string_view folded);

/// Where fold(value) holds folded (not empty), or npos. probe, probe2: positions of two bytes in folded that are rare in logs
/// (Predicate::rare_byte, rarer_pair).
std::size_t find_folded(std::string_view value, std::string_view folded, std::size_t probe, std::size_t probe2);

/// The whole value is like the pattern (kAnyRun, kAnyOne); the pattern is folded unless cased.
bool like(std::string_view value, std::string_view pattern, bool cased);

}  // namespace bavn::match::sigma
