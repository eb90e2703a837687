#include "formats/json_shape.hpp"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>

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
  forks_.clear();
  children_.clear();
  ways_.clear();
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
  bool beyond_ascii = false;
  const Found f = follow(buf, at, to, beyond_ascii);
  if (f.shape == kNone || (beyond_ascii && !simdjson::validate_utf8(buf + at, f.end - at))) return {};
  if (seen_ < kPatience) ++seen_;
  return f;
}

inline std::size_t JsonShapes::way_of(const Fork& f, const char* p) {
  std::uint64_t bytes;
  std::memcpy(&bytes, p + f.offset, 8);
  return f.ways + ((bytes & f.mask) * f.multiplier >> f.shift);
}

bool JsonShapes::is(std::uint32_t step, std::string_view literal, bool last) const {
  const Step& s = steps_[step];
  return s.last == last && literal.size() == s.length &&
         std::memcmp(literals_.data() + s.literal, literal.data(), literal.size()) == 0;
}

// p: where the literal stands; kPadding bytes behind it are readable.
std::uint32_t JsonShapes::step_after(std::uint32_t before, const char* p, std::string_view literal, bool last) const {
  const auto in = [&](std::uint32_t step) {
    while (step != 0 && !is(step, literal, last)) step = steps_[step].chain;
    return step;
  };
  const std::uint32_t next = steps_[before].next;
  if ((next & kFork) == 0) return in(next);
  const Fork& f = forks_[next & ~kFork];
  const std::uint32_t step = in(ways_[way_of(f, p)]);
  return step != 0 ? step : in(f.too_short);
}

void JsonShapes::add_step(std::uint32_t before, std::uint32_t step) {
  std::uint32_t& next = steps_[before].next;
  if (next == 0) {
    next = step;
    return;
  }
  if ((next & kFork) == 0) {
    children_.push_back({next});
    next = kFork | static_cast<std::uint32_t>(forks_.size());
    forks_.emplace_back();
  }
  const std::uint32_t fork = next & ~kFork;
  children_[fork].push_back(step);
  if (std::has_single_bit(children_[fork].size())) build(forks_[fork], children_[fork]);
  else place(forks_[fork], step);
}

void JsonShapes::place(Fork& f, std::uint32_t step) {
  const char* const literal = literals_.data() + steps_[step].literal;
  const auto width = static_cast<std::uint32_t>(std::bit_width(f.mask)) / 8;
  std::uint32_t& head = steps_[step].length < f.offset + width ? f.too_short : ways_[way_of(f, literal)];
  steps_[step].chain = head;
  head = step;
  std::uint32_t at = step;
  for (std::uint32_t n = 1; n < kWays && at != 0; ++n) at = steps_[at].chain;
  if (at != 0) steps_[at].chain = 0;  // the one not taken for longest makes place
}

// Which bytes tell the steps apart best, and a multiplier under which they meet least.
void JsonShapes::build(Fork& f, const std::vector<std::uint32_t>& all) {
  const auto literal = [&](std::uint32_t s) {
    return std::string_view(literals_.data() + steps_[s].literal, steps_[s].length);
  };
  const std::string_view first = literal(all[0]);
  std::size_t same = std::min<std::size_t>(first.size(), kMostOffset);
  for (const std::uint32_t s : all) {
    const std::string_view l = literal(s).substr(0, same);
    same = static_cast<std::size_t>(std::mismatch(l.begin(), l.end(), first.begin()).first - l.begin());
  }
  f.offset = static_cast<std::uint8_t>(same);
  std::size_t best = ~std::size_t{0};
  std::vector<std::uint64_t> keys;
  for (const unsigned width : {8U, 4U, 2U, 1U}) {
    const std::uint64_t mask = ~std::uint64_t{0} >> (64 - 8 * width);
    std::vector<std::uint64_t> of;
    for (const std::uint32_t s : all)
      if (literal(s).size() >= same + width) {
        std::uint64_t bytes;
        std::memcpy(&bytes, literal(s).data() + same, 8);  // literals_ has bytes behind its end
        of.push_back(bytes & mask);
      }
    const std::size_t n = of.size();
    std::sort(of.begin(), of.end());
    of.erase(std::unique(of.begin(), of.end()), of.end());
    const std::size_t cost = 2 * (all.size() - n) + (n - of.size());
    if (cost >= best) continue;
    best = cost;
    f.mask = mask;
    keys = std::move(of);
  }
  const auto bits = static_cast<unsigned>(std::bit_width(keys.size())) + 2;
  f.shift = static_cast<std::uint8_t>(64 - bits);
  std::size_t fewest = ~std::size_t{0};
  std::uint64_t multiplier = 0x9E3779B97F4A7C15ULL;
  std::vector<char> taken;
  for (int attempt = 0; attempt < 16 && fewest != 0; ++attempt, multiplier = multiplier * 0xD1342543DE82EF95ULL | 1) {
    taken.assign(std::size_t{1} << bits, 0);
    std::size_t met = 0;
    for (const std::uint64_t k : keys) met += std::exchange(taken[k * multiplier >> f.shift], 1) != 0 ? 1U : 0U;
    if (met >= fewest) continue;
    fewest = met;
    f.multiplier = multiplier;
  }
  f.ways = static_cast<std::uint32_t>(ways_.size());
  ways_.resize(ways_.size() + (std::size_t{1} << bits));
  f.too_short = 0;
  for (const std::uint32_t s : all) place(f, s);  // the latest is tried first
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
    std::uint32_t step = step_after(before, buf + from, literal, last);
    if (step == 0) {
      step = static_cast<std::uint32_t>(steps_.size());
      Step s;
      literals_.resize(literals_.size() - 32);
      s.literal = static_cast<std::uint32_t>(literals_.size());
      literals_ += literal;
      literals_.append(32, '\0');  // so that any is readable for 32 bytes
      s.length = static_cast<std::uint16_t>(literal.size());
      s.head = static_cast<std::uint8_t>(std::min<std::size_t>(literal.size(), 32));
      s.last = last;
      s.kept = !last && places[i].kept;
      if (last) {
        s.next = shapes_++;
        kept_ += kept;
      }
      steps_.push_back(s);
      add_step(before, step);
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

// Whether the first n bytes are the same, n more than 32; both are readable for 32 bytes more.
BAVN_AVX2 bool same_long(const char* a, const char* b, std::uint32_t n) {
  std::uint32_t i = 0;
  for (; n - i > 32; i += 32)
    if (!same(a + i, b + i, 32)) return false;
  return same(a + i, b + i, n - i);
}

struct Marks {
  __m256i quote, slash, control;
};

// The closing quote of the string whose first byte is at p, or null: a control character, or no end before limit. high: every byte
// that was looked at, for its top bit.
BAVN_AVX2 const char* string_end(const char* p, const char* limit, const Marks& marks, __m256i& high, bool& escaped) {
  const auto& [quote, slash, control] = marks;
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

// The length of the true, false, null or number at p, or 0. At most 31 bytes of a number.
BAVN_AVX2 std::uint32_t scalar_length(const char* p) {
  switch (*p) {
    case 't': return std::memcmp(p, "true", 4) == 0 ? 4 : 0;
    case 'f': return std::memcmp(p, "false", 5) == 0 ? 5 : 0;
    case 'n': return std::memcmp(p, "null", 4) == 0 ? 4 : 0;
    default: {
      if (*p != '-' && (*p < '0' || *p > '9')) return 0;
      const std::uint32_t n = number_length(p);
      return n == 32 ? 0 : n;
    }
  }
}

BAVN_AVX2 std::uint8_t scalar_kind(char first) {
  using event::ValueKind;
  return static_cast<std::uint8_t>(first == 't' || first == 'f' ? ValueKind::boolean
                                   : first == 'n'               ? ValueKind::null
                                                                : ValueKind::number);
}

}  // namespace

// beyond_ascii: the record has bytes that are to be checked for UTF-8 still. There are no calls in here: they would cost the registers.
__attribute__((target("avx2,bmi,bmi2"))) JsonShapes::Found JsonShapes::follow(const char* buf, std::uint32_t at,
                                                                              std::uint32_t to, bool& beyond_ascii) {
  using event::ValueKind;
  const char* const limit = buf + to;
  const char* const literals = literals_.data();
  const Step* const steps = steps_.data();
  Marks marks{_mm256_set1_epi8('"'), _mm256_set1_epi8('\\'), _mm256_set1_epi8(0x1F)};
  asm("" : "+x"(marks.quote), "+x"(marks.slash), "+x"(marks.control));  // else GCC makes them anew for each value
  Value* out = values_.data();
  const char* p = buf + at;
  __m256i high = _mm256_setzero_si256();
  std::uint32_t next = steps[0].next;
  while (next != 0) {
    std::uint32_t n = next;
    bool more = false;  // those of a fork that are too short for it are not yet tried
    if ((next & kFork) != 0) {
      const Fork& f = forks_[next & ~kFork];
      n = ways_[way_of(f, p)];
      more = n != 0;
      if (n == 0) n = f.too_short;
      if (n == 0) return {};
    }
    const Step* s = steps + n;
    for (;;) {
      const char* v = p + s->length;
      if (v <= limit && same(p, literals + s->literal, s->head) &&
          (s->length <= 32 || same_long(p, literals + s->literal, s->length))) [[likely]] {
        if (s->last) [[unlikely]] {
          Found f{s->next, static_cast<std::uint32_t>(v - buf), to};
          if (v < limit) {
            if (*v == '\r') ++v;
            if (v >= limit || *v != '\n') return {};
            f.next = static_cast<std::uint32_t>(v - buf) + 1;
          }
          beyond_ascii = bits(high) != 0;
          return f;
        }
        // Behind `limit` there is padding: a value there ends behind it, too, and the next literal with it.
        if (*v == '"') {
          ++v;
          bool escaped = false;
          const char* const end = string_end(v, limit, marks, high, escaped);
          if (end == nullptr) return {};
          static_assert(static_cast<int>(ValueKind::string) == 0 && event::Field::kEscaped == 8);
          *out = {static_cast<std::uint32_t>(v - buf), static_cast<std::uint32_t>(end - v),
                  static_cast<std::uint8_t>(escaped << 3U)};
          p = end + 1;
          break;
        }
        const std::uint32_t length = scalar_length(v);
        if (length != 0) {
          *out = {static_cast<std::uint32_t>(v - buf), length, scalar_kind(*v)};
          p = v + length;
          break;
        }
      }
      // Another step of the fork.
      std::uint32_t other = s->chain;
      if (other == 0 && more) {
        other = forks_[next & ~kFork].too_short;
        more = false;
      }
      if (other == 0) return {};
      s = steps + other;
    }
    out += s->kept;
    next = s->next;
  }
  return {};
}
#else
JsonShapes::Found JsonShapes::follow(const char*, std::uint32_t, std::uint32_t, bool&) {
  return {};
}
#endif

}  // namespace bavn::formats
