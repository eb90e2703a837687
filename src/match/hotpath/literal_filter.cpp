#include "match/hotpath/literal_filter.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace bavn::match::hotpath {

namespace {

constexpr std::uint8_t kCase = 0x20;

// How often bytes stand in logs, by nibbles, roughly: the order is what matters.
struct Frequency {
  double of[16][16] = {};  // [high][low]
  Frequency() {
    static constexpr std::string_view kOrder =
        "\"etsr:0ioan,dc12\\l.u-m43p_ 5876yg9SCAwTfhvEDI/b{}PNFRxMOLBWkUGZHKzV=jq[]+|#><Y@X)(QJ*%;$'?&~!";
    for (auto& row : of)
      for (double& f : row) f = 0.0001;
    for (std::size_t i = 0; i < kOrder.size(); ++i) {
      const auto c = static_cast<unsigned char>(kOrder[i]);
      of[c >> 4][c & 15U] = 0.065 * std::exp(-0.065 * static_cast<double>(i));
    }
  }
};

// What one place of a window lets through.
struct Place {
  std::uint16_t low = 0, high = 0;  // sets of nibbles
  void take(char byte) {
    const auto c = static_cast<unsigned char>(byte);  // bit 5 is set: letters also without it
    low = static_cast<std::uint16_t>(low | 1U << (c & 15U));
    high = static_cast<std::uint16_t>(high | 1U << (c >> 4) | 1U << ((c & ~kCase) >> 4));
  }
  double passes(const Frequency& f) const {
    double sum = 0;
    for (unsigned h = high; h != 0; h &= h - 1)
      for (unsigned l = low; l != 0; l &= l - 1) sum += f.of[std::countr_zero(h)][std::countr_zero(l)];
    return sum;
  }
};

}  // namespace

void LiteralFilter::add(std::string_view literal) {
  std::string l(literal);
  for (char& c : l) c = static_cast<char>(c | kCase);
  literals_.push_back(std::move(l));
}

void LiteralFilter::seal() {
#if defined(__x86_64__)
  usable_ = !literals_.empty() && __builtin_cpu_supports("avx2");
  wide_ = __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vbmi");
#endif
  std::sort(literals_.begin(), literals_.end());
  literals_.erase(std::unique(literals_.begin(), literals_.end()), literals_.end());
  for (const auto& l : literals_) usable_ = usable_ && l.size() >= 3;
  if (!usable_) return;
  // Each literal gets the window and the class that let the least more through; again, now that the others have theirs, until it
  // gets no better.
  static const Frequency frequency;
  std::vector<std::pair<int, Window>> chosen(literals_.size(), {-1, {}});
  const auto places_of = [&](int c, std::size_t without) {
    std::array<Place, kWindow> p{};
    for (std::size_t i = 0; i < chosen.size(); ++i)
      if (chosen[i].first == c && i != without)
        for (std::size_t k = 0; k < kWindow && chosen[i].second.at + k < literals_[i].size(); ++k)
          p[k].take(literals_[i][chosen[i].second.at + k]);
    // a short literal lets everything through behind its end
    for (std::size_t i = 0; i < chosen.size(); ++i)
      if (chosen[i].first == c && i != without && literals_[i].size() < kWindow) p[kWindow - 1] = {0xFFFF, 0xFFFF};
    return p;
  };
  const auto passes = [&](const std::array<Place, kWindow>& p) {
    double product = 1;
    for (const Place& x : p) product *= x.passes(frequency);
    return product;
  };
  for (int round = 0; round < 3; ++round)
    for (std::size_t i = 0; i < literals_.size(); ++i) {
      const std::string& l = literals_[i];
      double best = 1e9;
      std::pair<int, Window> choice;
      for (int c = 0; c < kClasses; ++c) {
        const auto without = places_of(c, i);
        const double before = without[0].low == 0 ? 0.0 : passes(without);
        const std::size_t windows = l.size() < kWindow ? 1 : std::min<std::size_t>(l.size() - kWindow + 1, 24);
        for (std::size_t at = 0; at < windows; ++at) {
          auto with = without;
          for (std::size_t k = 0; k < kWindow; ++k) {
            if (at + k < l.size()) with[k].take(l[at + k]);
            else with[k] = {0xFFFF, 0xFFFF};
          }
          const double more = passes(with) - before;
          if (more < best) {
            best = more;
            choice = {c, {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(at)}};
          }
        }
      }
      chosen[i] = choice;
    }
  for (int c = 0; c < kClasses; ++c) {
    const auto places = places_of(c, literals_.size());
    for (std::size_t k = 0; k < kWindow; ++k)
      for (unsigned n = 0; n < 32; ++n) {
        if ((places[k].low >> (n & 15U) & 1U) != 0) low_[k][n] = static_cast<std::uint8_t>(low_[k][n] | 1U << c);
        if ((places[k].high >> (n & 15U) & 1U) != 0) high_[k][n] = static_cast<std::uint8_t>(high_[k][n] | 1U << c);
      }
  }
  for (const auto& l : literals_)
    if (l.size() < kWindow) window_mask_ = 0x00FFFFFF;
  for (const auto& [c, window] : chosen) {
    classes_[static_cast<std::size_t>(c)].push_back(window);
    std::uint32_t w = 0;
    const std::string& l = literals_[window.literal];
    std::memcpy(&w, l.data() + window.at, std::min<std::size_t>(kWindow, l.size() - window.at));
    for (std::size_t k = 0; k < kWindow; ++k)
      for (unsigned byte = 0; byte < 256; ++byte)
        if (window.at + k >= l.size() || static_cast<char>(byte | kCase) == l[window.at + k])
          exact_[k][byte & 127U] = static_cast<std::uint8_t>(exact_[k][byte & 127U] | 1U << c);
    const std::uint32_t h = window_hash(w);
    windows_[h >> 6] |= std::uint64_t{1} << (h & 63U);
  }
}

bool LiteralFilter::confirm(std::string_view bytes, std::size_t at, unsigned classes) const {
  for (; classes != 0; classes &= classes - 1)
    for (const Window& w : classes_[static_cast<std::size_t>(std::countr_zero(classes))]) {
      const std::string& l = literals_[w.literal];
      if (w.at > at || bytes.size() - (at - w.at) < l.size()) continue;
      const char* p = bytes.data() + (at - w.at);
      std::size_t i = 0;
      while (i < l.size() && static_cast<char>(p[i] | kCase) == l[i]) ++i;
      if (i == l.size()) return true;
    }
  return false;
}

#if defined(__x86_64__)
#define BAVN_AVX2 __attribute__((target("avx2"), always_inline)) inline

namespace {

BAVN_AVX2 __m256i load(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}

// Which classes the bytes at p fit at one place of the window, for 32 windows.
BAVN_AVX2 __m256i place(const char* p, __m256i low, __m256i high) {
  const __m256i v = load(p), nibble = _mm256_set1_epi8(15);
  return _mm256_and_si256(_mm256_shuffle_epi8(low, _mm256_and_si256(v, nibble)),
                          _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi16(v, 4), nibble)));
}

struct Tables {
  __m256i low[4], high[4];
};

// For the 32 windows that begin at p, which must be readable for 35 bytes.
BAVN_AVX2 __m256i fits(const char* p, const Tables& t) {
  return _mm256_and_si256(_mm256_and_si256(place(p, t.low[0], t.high[0]), place(p + 1, t.low[1], t.high[1])),
                          _mm256_and_si256(place(p + 2, t.low[2], t.high[2]), place(p + 3, t.low[3], t.high[3])));
}

// Calls f(place, classes) for the windows that fit until it returns true.
template <class F>
BAVN_AVX2 bool any_of(__m256i found, F&& f) {
  alignas(32) std::uint8_t classes[32];
  _mm256_store_si256(reinterpret_cast<__m256i*>(classes), found);
  auto places = ~static_cast<std::uint32_t>(_mm256_movemask_epi8(_mm256_cmpeq_epi8(found, _mm256_setzero_si256())));
  for (; places != 0; places &= places - 1) {
    const auto i = static_cast<std::size_t>(std::countr_zero(places));
    if (f(i, classes[i])) return true;
  }
  return false;
}

}  // namespace

__attribute__((target("avx2"))) bool LiteralFilter::avx2(std::string_view bytes) const {
  const Tables t{{load(low_[0].data()), load(low_[1].data()), load(low_[2].data()), load(low_[3].data())},
                 {load(high_[0].data()), load(high_[1].data()), load(high_[2].data()), load(high_[3].data())}};
  const std::size_t n = bytes.size();
  std::size_t at = 0;
  const char* from = bytes.data();
  const auto check = [&](std::size_t i, unsigned classes) {
    return known_window(from + i) && confirm(bytes, at + i, classes);
  };
  constexpr std::size_t kBlock = 64, kReads = kBlock + kWindow - 1;
  if (n >= kReads) {
    for (;;) {
      from = bytes.data() + at;
      const __m256i a = fits(from, t), b = fits(from + 32, t);
      const __m256i any = _mm256_or_si256(a, b);
      if (_mm256_testz_si256(any, any) == 0) [[unlikely]] {
        if (any_of(a, check)) return true;
        if (any_of(b, [&](std::size_t i, unsigned classes) { return check(i + 32, classes); })) return true;
      }
      if (at == n - kReads) break;
      at = std::min(at + kBlock, n - kReads);  // the last block meets the one before
    }
    at = n - kWindow + 1;  // only a literal of three bytes can begin here
    if (window_mask_ == 0xFFFFFFFF) return false;
  }
  char tail[128] = {};  // at most 66 bytes
  from = tail;
  std::memcpy(tail, bytes.data() + at, n - at);
  for (std::size_t i = 0; i < n - at; i += 32) {
    const __m256i a = fits(tail + i, t);
    if (_mm256_testz_si256(a, a) == 0 &&
        any_of(a, [&](std::size_t k, unsigned classes) { return check(i + k, classes); }))
      return true;
  }
  return false;
}

__attribute__((target("avx512f,avx512bw,avx512vbmi"))) bool LiteralFilter::avx512(std::string_view bytes) const {
  __m512i low[kWindow], high[kWindow];
  for (std::size_t k = 0; k < kWindow; ++k) {
    low[k] = _mm512_load_si512(exact_[k].data());
    high[k] = _mm512_load_si512(exact_[k].data() + 64);
  }
  const std::size_t n = bytes.size();
  for (std::size_t at = 0; at < n; at += 64) {
    const char* const p = bytes.data() + at;
    __m512i found;
    if (at + 64 + kWindow - 1 <= n) [[likely]] {
      found = _mm512_permutex2var_epi8(low[0], _mm512_loadu_si512(p), high[0]);
      for (std::size_t k = 1; k < kWindow; ++k)
        found = _mm512_and_si512(found, _mm512_permutex2var_epi8(low[k], _mm512_loadu_si512(p + k), high[k]));
    } else {  // what would lie behind the end is zero
      found = _mm512_set1_epi8(-1);
      for (std::size_t k = 0; k < kWindow; ++k) {
        const std::size_t rest = n - at > k ? std::min<std::size_t>(n - at - k, 64) : 0;
        const __mmask64 there = rest == 64 ? ~__mmask64{0} : (__mmask64{1} << rest) - 1;
        found = _mm512_and_si512(
            found, _mm512_permutex2var_epi8(low[k], _mm512_maskz_loadu_epi8(there, rest == 0 ? p : p + k), high[k]));
      }
    }
    __mmask64 places = _mm512_test_epi8_mask(found, found);
    if (places == 0) [[likely]]
      continue;
    alignas(64) std::uint8_t classes[64];
    _mm512_store_si512(classes, found);
    for (; places != 0; places &= places - 1) {
      const auto i = static_cast<std::size_t>(std::countr_zero(static_cast<std::uint64_t>(places)));
      if (at + i >= n) break;
      if ((at + i + kWindow > n || known_window(p + i)) && confirm(bytes, at + i, classes[i])) return true;
    }
  }
  return false;
}
#else
bool LiteralFilter::avx2(std::string_view) const {
  return true;
}
bool LiteralFilter::avx512(std::string_view) const {
  return true;
}
#endif

}  // namespace bavn::match::hotpath
