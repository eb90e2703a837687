#include "formats/json_shape.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cstring>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace bavn::formats {

namespace {

constexpr std::uint32_t kMaxNumber = 1000;

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

JsonShapes::JsonShapes() {
#if defined(__x86_64__)
  usable_ = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
#endif
  clear();
}

void JsonShapes::clear() {
  steps_.assign(1, {});
  literals_.assign(32, '\0');
  shapes_ = 0;
  kept_ = 0;
}

bool JsonShapes::worth() {
  if (n_missed_++ % 16 == 0) return true;
  if (seen_ == 0) return false;
  seen_ -= 1;
  return true;
}

JsonShapes::Found JsonShapes::find(const char* buf, std::uint32_t at, std::uint32_t to) {
  if (!usable_) return {};
  const Found f = follow(buf, at, to);
  if (f.shape != kNone && seen_ < kPatience) ++seen_;
  return f;
}

std::uint32_t JsonShapes::add(const char* buf, std::uint32_t at, std::uint32_t end, std::span<const Place> places) {
  if (!usable_ || places.size() > kMostValues || end - at > 0x7FFFFFFF) return kNone;
  std::size_t length = 0, kept = 0;
  for (std::uint32_t i = 0, from = at; i <= places.size(); ++i) {
    const std::size_t n = (i < places.size() ? places[i].begin : end) - from;
    if (n > 0xFFFF) return kNone;
    length += n;
    if (i < places.size()) {
      from = places[i].end;
      kept += places[i].kept ? 1U : 0U;
    }
  }
  if (length > kLongest) return kNone;
  if (values_.size() <= kept) values_.resize(kept + 1);  // one more: what is not kept is written too
  std::uint32_t before = 0, from = at;
  for (std::size_t i = 0; i <= places.size(); ++i) {
    const bool last = i == places.size();
    const std::string_view literal(buf + from, (last ? end : places[i].begin) - from);
    std::uint32_t step = steps_[before].next, previous = 0, ways = 0;
    while (step != 0 && (steps_[step].last != last || literal.size() != steps_[step].length ||
                         std::memcmp(literals_.data() + steps_[step].literal, literal.data(), literal.size()) != 0)) {
      if (++ways == kWays) {  // the one not taken for longest makes place
        steps_[previous].other = 0;
        break;
      }
      previous = step;
      step = steps_[step].other;
    }
    if (step == 0 || ways == kWays) {
      step = static_cast<std::uint32_t>(steps_.size());
      Step s;
      literals_.resize(literals_.size() - 32);
      s.literal = static_cast<std::uint32_t>(literals_.size());
      literals_ += literal;
      literals_.append(32, '\0');  // so that any is readable for 32 bytes
      s.length = static_cast<std::uint16_t>(literal.size());
      s.last = last;
      s.kept = !last && places[i].kept;
      if (last) {
        s.next = shapes_++;
        kept_ += kept;
      }
      s.other = steps_[before].next;
      steps_[before].next = step;
      steps_.push_back(s);
    }
    if (last) return steps_[step].next;
    before = step;
    from = places[i].end;
  }
  return kNone;
}

#if defined(__x86_64__)
#define BAVN_AVX2 __attribute__((target("avx2,bmi,bmi2"), always_inline)) inline

namespace {

BAVN_AVX2 __m256i load(const char* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}

BAVN_AVX2 std::uint32_t bits(__m256i v) {
  return static_cast<std::uint32_t>(_mm256_movemask_epi8(v));
}

// n is at most 32; both are readable for 32 bytes.
BAVN_AVX2 bool same(const char* a, const char* b, std::uint32_t n) {
  return _bzhi_u32(~bits(_mm256_cmpeq_epi8(load(a), load(b))), n) == 0;
}

// The closing quote of the string whose first byte is at p, or null: a control character, or no end before limit. high: every byte
// that was looked at, for its top bit.
BAVN_AVX2 const char* string_end(const char* p, const char* limit, __m256i& high, bool& escaped) {
  const __m256i quote = _mm256_set1_epi8('"'), slash = _mm256_set1_epi8('\\'), control = _mm256_set1_epi8(0x1F);
  std::uint32_t open = 0;  // 1: the block before ended with a backslash that counts
  for (; p < limit; p += 32) {
    const __m256i v = load(p);
    high = _mm256_or_si256(high, v);
    std::uint32_t quotes = bits(_mm256_cmpeq_epi8(v, quote));
    const std::uint32_t slashes = bits(_mm256_cmpeq_epi8(v, slash));
    const std::uint32_t controls = bits(_mm256_cmpeq_epi8(_mm256_min_epu8(v, control), v));
    if ((slashes | open) != 0) {
      // Which bytes follow a backslash that is not itself escaped: odd places in runs of backslashes (as simdjson has it).
      constexpr std::uint32_t kOdd = 0xAAAAAAAA;
      const std::uint32_t starts = slashes & ~open;
      const std::uint32_t code = (((starts << 1) | kOdd) - starts) ^ kOdd;
      const std::uint32_t after = code ^ (slashes | open);
      open = (code & slashes) >> 31;
      quotes &= ~after;
    }
    if (quotes != 0) {
      const std::uint32_t before = _blsmsk_u32(quotes);
      escaped = escaped || (slashes & before) != 0;
      p += _tzcnt_u32(quotes);
      return (controls & before) == 0 && p < limit ? p : nullptr;
    }
    if (controls != 0) return nullptr;
    escaped = escaped || slashes != 0;
  }
  return nullptr;
}

// How many of the 32 bytes at p may stand in a number, from the first on.
BAVN_AVX2 std::uint32_t number_length(const char* p) {
  // by nibbles: 1 = digits, 2 = + - ., 4 = e E
  const __m256i low = _mm256_setr_epi8(1, 1, 1, 1, 1, 5, 1, 1, 1, 1, 0, 2, 0, 2, 2, 0,  //
                                       1, 1, 1, 1, 1, 5, 1, 1, 1, 1, 0, 2, 0, 2, 2, 0);
  const __m256i high = _mm256_setr_epi8(0, 0, 2, 1, 4, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0,  //
                                        0, 0, 2, 1, 4, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0);
  const __m256i v = load(p), nibble = _mm256_set1_epi8(15);
  const __m256i fits = _mm256_and_si256(_mm256_shuffle_epi8(low, _mm256_and_si256(v, nibble)),
                                        _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble)));
  return _tzcnt_u32(bits(_mm256_cmpeq_epi8(fits, _mm256_setzero_si256())));
}

}  // namespace

__attribute__((target("avx2,bmi,bmi2"))) JsonShapes::Found JsonShapes::follow(const char* buf, std::uint32_t at,
                                                                              std::uint32_t to) {
  using event::ValueKind;
  const char* const limit = buf + to;
  const char* const literals = literals_.data();
  Step* const steps = steps_.data();
  Value* out = values_.data();
  const char* p = buf + at;
  __m256i high = _mm256_setzero_si256();
  std::uint32_t before = 0;
  for (;;) {
    std::uint32_t n = steps[before].next, previous = 0;
    const char* v;
    for (;;) {
      if (n == 0) return {};
      const Step& s = steps[n];
      v = p + s.length;
      if (v <= limit && same(p, literals + s.literal, std::min<std::uint32_t>(s.length, 32)) &&
          (s.length <= 32 || std::memcmp(p + 32, literals + s.literal + 32, s.length - 32U) == 0)) {
        if (s.last) break;
        // A list or an object, also an empty one, where this shape has a value: another may have it.
        const char c = *v;
        if (c != '{' && c != '[' && c != ']') break;
      }
      previous = n;
      n = s.other;
    }
    if (previous != 0) {  // what was taken last is tried first
      steps[previous].other = steps[n].other;
      steps[n].other = steps[before].next;
      steps[before].next = n;
    }
    const Step& s = steps[n];
    if (s.last) {
      Found f{s.next, static_cast<std::uint32_t>(v - buf), to};
      if (v < limit) {
        if (*v == '\r') ++v;
        if (v >= limit || *v != '\n') return {};
        f.next = static_cast<std::uint32_t>(v - buf) + 1;
      }
      if (bits(high) != 0 && !simdjson::validate_utf8(buf + at, f.end - at)) return {};
      return f;
    }
    if (v >= limit) return {};
    if (*v == '"') {
      ++v;
      bool escaped = false;
      const char* const end = string_end(v, limit, high, escaped);
      if (end == nullptr) return {};
      static_assert(static_cast<int>(ValueKind::string) == 0);
      *out = {static_cast<std::uint32_t>(v - buf), static_cast<std::uint32_t>(end - v),
              escaped ? event::Field::kEscaped : std::uint8_t{0}};
      p = end + 1;
    } else {
      ValueKind kind = ValueKind::number;
      std::uint32_t length;
      switch (*v) {
        case 't':
          kind = ValueKind::boolean;
          length = std::memcmp(v, "true", 4) == 0 ? 4 : 0;
          break;
        case 'f':
          kind = ValueKind::boolean;
          length = std::memcmp(v, "false", 5) == 0 ? 5 : 0;
          break;
        case 'n':
          kind = ValueKind::null;
          length = std::memcmp(v, "null", 4) == 0 ? 4 : 0;
          break;
        default:
          length = number_length(v);
          if (length == 32 || !(*v == '-' || (*v >= '0' && *v <= '9'))) return {};
      }
      if (length == 0) return {};
      *out = {static_cast<std::uint32_t>(v - buf), length, static_cast<std::uint8_t>(kind)};
      p = v + length;
    }
    out += s.kept ? 1 : 0;
    before = n;
  }
}
#else
JsonShapes::Found JsonShapes::follow(const char*, std::uint32_t, std::uint32_t) {
  return {};
}
#endif

}  // namespace bavn::formats
