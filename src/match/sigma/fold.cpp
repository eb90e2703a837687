#include "match/sigma/fold.hpp"

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "base/text.hpp"
#include "match/sigma/rule.hpp"

namespace bavn::match::sigma {

namespace {

constexpr std::uint64_t kOnes = 0x0101010101010101;
constexpr std::uint64_t kHigh = 0x8080808080808080;

// ASCII lower case of eight bytes below 0x80.
std::uint64_t lower8(std::uint64_t a) {
  const std::uint64_t above_z = a + kOnes * (0x7F - 'Z');
  const std::uint64_t from_a = a + kOnes * (0x80 - 'A');
  return a | (((above_z ^ from_a) & kHigh) >> 2);
}

// One character of the value against the pattern's bytes; the length they share, 0 when they differ.
std::size_t same_character(std::string_view value, std::size_t i, std::string_view folded, std::size_t j) {
  const auto c = static_cast<unsigned char>(value[i]);
  if (c < 0x80) return ascii_lower(value[i]) == folded[j] ? 1 : 0;
  std::uint32_t cp = 0;
  const std::size_t n = decode_utf8(value, i, cp);
  if (n == 0) return value[i] == folded[j] ? 1 : 0;
  if (j + n > folded.size()) return 0;
  const std::uint32_t lower = lower_code_point(cp);
  if (lower == cp) return std::memcmp(value.data() + i, folded.data() + j, n) == 0 ? n : 0;
  std::uint32_t other = 0;
  return decode_utf8(folded, j, other) == n && other == lower ? n : 0;
}

}  // namespace

bool equals_folded(std::string_view value, std::string_view folded) {
  if (value.size() != folded.size()) return false;
  std::size_t i = 0;
  const std::size_t n = value.size();
  while (i < n) {
    if (i + 8 <= n) {
      std::uint64_t a, b;
      std::memcpy(&a, value.data() + i, 8);
      std::memcpy(&b, folded.data() + i, 8);
      if ((a & kHigh) == 0) {
        if (lower8(a) != b) return false;
        i += 8;
        continue;
      }
    }
    const std::size_t same = same_character(value, i, folded, i);
    if (same == 0) return false;
    i += same;
  }
  return true;
}

std::size_t find_folded(std::string_view value, std::string_view folded, std::size_t probe, std::size_t probe2) {
  const std::size_t n = folded.size();
  if (n > value.size()) return std::string_view::npos;
  const std::size_t places = value.size() - n + 1;
  const char low = folded[probe], low2 = folded[probe2];
  if (static_cast<unsigned char>(low) >= 0x80) {  // no ASCII byte at all
    for (std::size_t i = 0; i < places; ++i)
      if ((static_cast<unsigned char>(value[i]) & 0xC0) != 0x80 && equals_folded(value.substr(i, n), folded)) return i;
    return std::string_view::npos;
  }
  const auto upper = [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; };
  const char up = upper(low), up2 = upper(low2);
  std::size_t i = 0;
#if defined(__SSE2__)
  const __m128i a = _mm_set1_epi8(low), b = _mm_set1_epi8(up), c = _mm_set1_epi8(low2), d = _mm_set1_epi8(up2);
  for (; i + 16 <= places; i += 16) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(value.data() + i + probe));
    const __m128i y = _mm_loadu_si128(reinterpret_cast<const __m128i*>(value.data() + i + probe2));
    const __m128i hit = _mm_and_si128(_mm_or_si128(_mm_cmpeq_epi8(x, a), _mm_cmpeq_epi8(x, b)),
                                      _mm_or_si128(_mm_cmpeq_epi8(y, c), _mm_cmpeq_epi8(y, d)));
    for (auto mask = static_cast<unsigned>(_mm_movemask_epi8(hit)); mask != 0; mask &= mask - 1) {
      const std::size_t at = i + static_cast<std::size_t>(__builtin_ctz(mask));
      if (equals_folded(value.substr(at, n), folded)) return at;
    }
  }
#endif
  for (; i < places; ++i) {
    const char x = value[i + probe], y = value[i + probe2];
    if ((x == low || x == up) && (y == low2 || y == up2) && equals_folded(value.substr(i, n), folded)) return i;
  }
  return std::string_view::npos;
}

bool like(std::string_view value, std::string_view pattern, bool cased) {
  const auto character = [&](std::size_t i) {  // bytes of one character of the value
    if (static_cast<unsigned char>(value[i]) < 0x80) return std::size_t{1};
    std::uint32_t cp = 0;
    return std::max<std::size_t>(decode_utf8(value, i, cp), 1);
  };
  std::size_t v = 0, p = 0, star = std::string_view::npos, mark = 0;
  while (v < value.size()) {
    if (p < pattern.size()) {
      if (pattern[p] == kAnyRun) {
        star = p++;
        mark = v;
        continue;
      }
      if (pattern[p] == kAnyOne) {
        v += character(v);
        ++p;
        continue;
      }
      const std::size_t same = cased ? (value[v] == pattern[p] ? 1 : 0) : same_character(value, v, pattern, p);
      if (same != 0) {
        v += same;
        p += same;
        continue;
      }
    }
    if (star == std::string_view::npos) return false;
    p = star + 1;
    mark += character(mark);
    v = mark;
  }
  while (p < pattern.size() && pattern[p] == kAnyRun) ++p;
  return p == pattern.size();
}

}  // namespace bavn::match::sigma
