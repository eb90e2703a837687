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

std::size_t character(std::string_view value, std::size_t i) {  // bytes of one character
  if (static_cast<unsigned char>(value[i]) < 0x80) return 1;
  std::uint32_t cp = 0;
  return std::max<std::size_t>(decode_utf8(value, i, cp), 1);
}

// How many bytes of the value's beginning the segment (no runs) takes; npos when it is not like it.
std::size_t prefix(std::string_view value, std::string_view segment, bool cased) {
  std::size_t v = 0;
  for (std::size_t p = 0; p < segment.size();) {
    if (v >= value.size()) return std::string_view::npos;
    if (segment[p] == kAnyOne) {
      v += character(value, v);
      ++p;
      continue;
    }
    const std::size_t same = cased ? (value[v] == segment[p] ? 1 : 0) : same_character(value, v, segment, p);
    if (same == 0) return std::string_view::npos;
    v += same;
    p += same;
  }
  return v;
}

// The end of the first place that is like the segment, or npos.
std::size_t find_segment(std::string_view value, std::string_view segment, bool cased) {
  if (segment.empty()) return 0;
  if (segment.find(kAnyOne) == std::string_view::npos) {
    const std::size_t last = segment.size() - 1;
    const bool ends_ascii = static_cast<unsigned char>(segment[last]) < 0x80;
    const std::size_t at = cased ? value.find(segment) : find_folded(value, segment, 0, ends_ascii ? last : 0);
    return at == std::string_view::npos ? at : at + segment.size();
  }
  for (std::size_t at = 0; at < value.size(); at += character(value, at)) {
    const std::size_t length = prefix(value.substr(at), segment, cased);
    if (length != std::string_view::npos) return at + length;
  }
  return std::string_view::npos;
}

// The segment at the very end. Its characters are counted back from there: ? takes one character, anything else its own bytes.
bool suffix(std::string_view value, std::string_view segment, bool cased) {
  std::size_t v = value.size();
  for (std::size_t p = segment.size(); p > 0;) {
    std::size_t step = 1;
    while (step < p && step < 4 && (static_cast<unsigned char>(segment[p - step]) & 0xC0) == 0x80) ++step;
    if (segment[p - 1] == kAnyOne) {
      if (v == 0) return false;
      std::size_t back = 1;
      while (back < v && back < 4 && (static_cast<unsigned char>(value[v - back]) & 0xC0) == 0x80) ++back;
      v -= character(value, v - back) == back ? back : 1;
      --p;
      continue;
    }
    if (step > v) return false;
    const std::string_view piece = segment.substr(p - step, step);
    if (cased ? value.substr(v - step, step) != piece : same_character(value, v - step, piece, 0) != step) return false;
    v -= step;
    p -= step;
  }
  return true;
}

}  // namespace

bool equals_folded(std::string_view value, std::string_view folded) {
  if (value.size() != folded.size()) return false;
  const std::size_t n = value.size();
  const auto eight = [&](std::size_t at, bool& ascii) {
    std::uint64_t a, b;
    std::memcpy(&a, value.data() + at, 8);
    std::memcpy(&b, folded.data() + at, 8);
    ascii = (a & kHigh) == 0;
    return lower8(a) == b;
  };
  std::size_t i = 0;
  while (i < n) {
    // The last eight bytes are read together with some that were compared before.
    const std::size_t at = i + 8 <= n ? i : n - 8;
    if (n >= 8) {
      bool ascii = false;
      const bool same = eight(at, ascii);
      if (ascii) {
        if (!same) return false;
        i = at + 8;
        continue;
      }
    }
    if (static_cast<unsigned char>(value[i]) < 0x80) {
      if (ascii_lower(value[i]) != folded[i]) return false;
      ++i;
      continue;
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
  while (places >= 16) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(value.data() + i + probe));
    const __m128i y = _mm_loadu_si128(reinterpret_cast<const __m128i*>(value.data() + i + probe2));
    const __m128i hit = _mm_and_si128(_mm_or_si128(_mm_cmpeq_epi8(x, a), _mm_cmpeq_epi8(x, b)),
                                      _mm_or_si128(_mm_cmpeq_epi8(y, c), _mm_cmpeq_epi8(y, d)));
    for (auto mask = static_cast<unsigned>(_mm_movemask_epi8(hit)); mask != 0; mask &= mask - 1) {
      const std::size_t at = i + static_cast<std::size_t>(__builtin_ctz(mask));
      if (equals_folded(value.substr(at, n), folded)) return at;
    }
    if (i + 16 == places) return std::string_view::npos;
    i = std::min(i + 16, places - 16);  // the last block looks at some places a second time
  }
#endif
  for (; i < places; ++i) {
    const char x = value[i + probe], y = value[i + probe2];
    if ((x == low || x == up) && (y == low2 || y == up2) && equals_folded(value.substr(i, n), folded)) return i;
  }
  return std::string_view::npos;
}

bool like(std::string_view value, std::string_view pattern, bool cased) {
  // Segments between runs: the first and the last are fixed to the ends, those between are found in order, each as early as it can.
  const std::size_t first_run = pattern.find(kAnyRun);
  if (first_run == std::string_view::npos) return prefix(value, pattern, cased) == value.size();
  const std::size_t head = prefix(value, pattern.substr(0, first_run), cased);
  if (head == std::string_view::npos) return false;
  value.remove_prefix(head);
  pattern.remove_prefix(first_run + 1);
  for (std::size_t run = 0; (run = pattern.find(kAnyRun)) != std::string_view::npos; pattern.remove_prefix(run + 1)) {
    const std::size_t end = find_segment(value, pattern.substr(0, run), cased);
    if (end == std::string_view::npos) return false;
    value.remove_prefix(end);
  }
  return suffix(value, pattern, cased);
}

}  // namespace bavn::match::sigma
