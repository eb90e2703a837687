#include "formats/json_shape.hpp"

#include <algorithm>
#include <cstring>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace bavn::formats {

namespace {

constexpr std::uint32_t kFirst = 32;  // bytes of a literal that are compared in the first go
constexpr std::uint32_t kMaxNumber = 1000;

#if defined(__SSE2__)
alignas(64) constexpr unsigned char kMask[64] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                                 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF,
                                                 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};

__m128i load(const void* p) {
  return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
#endif

// The first min(n, 32) bytes; both sides are readable for 32.
bool same_head(const char* a, const char* b, std::uint32_t n) {
  n = std::min(n, kFirst);
#if defined(__SSE2__)
  const unsigned char* mask = kMask + (kFirst - n);
  const __m128i low = _mm_and_si128(_mm_xor_si128(load(a), load(b)), load(mask));
  const __m128i high = _mm_and_si128(_mm_xor_si128(load(a + 16), load(b + 16)), load(mask + 16));
  return _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_or_si128(low, high), _mm_setzero_si128())) == 0xFFFF;
#else
  return std::memcmp(a, b, n) == 0;
#endif
}

}  // namespace

const char* scalar_fault(const char* p, std::uint32_t n, event::ValueKind& kind) {
  const std::string_view v(p, n);
  switch (v.empty() ? '\0' : v[0]) {
    case 't':
    case 'f':
      if (v != "true" && v != "false") return "json_value_malformed";
      kind = event::ValueKind::boolean;
      break;
    case 'n':
      if (v != "null") return "json_value_malformed";
      kind = event::ValueKind::null;
      break;
    default:
      if (n > kMaxNumber) return "json_number_too_long";
      if (v.empty() || !(v[0] == '-' || (v[0] >= '0' && v[0] <= '9'))) return "json_value_malformed";
      for (char c : v)
        if (!((c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E'))
          return "json_value_malformed";
      kind = event::ValueKind::number;
  }
  return nullptr;
}

static_assert(JsonShapeBuilder::kStructurals < 0xFFFF && JsonShapeBuilder::kLiterals < 0xFFFF);

bool JsonShape::matches(const char* buf, const std::uint32_t* s) const {
  const char* literal = literals.data();
  std::uint32_t from = 0;
  const Step* step = steps.data();
  for (;; ++step) {
    if (!same_head(buf + s[from], literal, step->length)) return false;
    literal += step->length;
    const std::uint32_t value = step->value;
    if (value == structurals) break;
    from = value + 1;
    const std::uint32_t start = s[value];
    if (buf[start] != '"') {
      std::uint32_t stop = s[from];
      while (stop > start &&
             (buf[stop - 1] == ' ' || buf[stop - 1] == '\t' || buf[stop - 1] == '\r' || buf[stop - 1] == '\n'))
        --stop;
      event::ValueKind kind;
      if (scalar_fault(buf + start, stop - start, kind) != nullptr) return false;
    }
  }
  const std::uint32_t end = s[structurals - 1] + 1;
  for (const Rest& r : rests)
    if (s[r.from] + r.skip + r.length > end ||
        std::memcmp(buf + s[r.from] + r.skip, literals.data() + r.at, r.length) != 0)
      return false;
  return true;
}

JsonShapeBuilder::JsonShapeBuilder(JsonShape& shape, const char* buf, const std::uint32_t* s, std::uint32_t n)
    : shape_(shape), buf_(buf), s_(s), n_(n) {
  shape_.structurals = n;
}

void JsonShapeBuilder::literal(std::uint32_t to_structural, std::uint32_t to) {
  const std::uint32_t start = s_[from_], length = to - start;
  if (length > kFirst)
    shape_.rests.push_back(
        {from_, kFirst, static_cast<std::uint32_t>(shape_.literals.size()) + kFirst, length - kFirst});
  shape_.literals.append(buf_ + start, length);
  shape_.steps.push_back({static_cast<std::uint16_t>(to_structural), static_cast<std::uint16_t>(length)});
}

void JsonShapeBuilder::value(std::uint32_t structural) {
  literal(structural, s_[structural]);
  from_ = structural + 1;
}

bool JsonShapeBuilder::end() {
  literal(n_, s_[n_ - 1] + 1);
  const bool fits = shape_.literals.size() <= kLiterals;
  shape_.literals.append(kFirst, '\0');
  shape_.steps.shrink_to_fit();
  shape_.literals.shrink_to_fit();
  return fits;
}

}  // namespace bavn::formats
