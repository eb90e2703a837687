#pragma once
// Random numbers of a simulation: each use has its own dice, made from the seed and a label, so that changing one part of a scenario
// leaves what happens in the others as it was. Not for keys. Life: a value. Thread rules: one thread each.
#include <cmath>
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/hash.hpp"

namespace bavn::app::simulate {

class Dice {
 public:
  Dice(std::uint64_t seed, std::string_view label) : state_(hash64(label, seed ^ 0x9e3779b97f4a7c15ULL)) {}

  std::uint64_t next() {  // splitmix64
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31U);
  }
  /// 0 .. below-1; 0 when there is nothing to choose from.
  std::uint64_t below(std::uint64_t below) { return below == 0 ? 0 : next() % below; }
  double share() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }  // 0 <= x < 1
  bool happens(double chance) { return share() < chance; }
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return high <= low ? low : low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  /// How many of many rare things happen. Large means are rounded from a normal distribution.
  std::int64_t poisson(double mean) {
    if (mean <= 0) return 0;
    if (mean > 50) {
      const double n = mean + std::sqrt(mean) * normal();
      return n < 0 ? 0 : std::llround(n);
    }
    const double limit = std::exp(-mean);
    std::int64_t n = 0;
    for (double p = share(); p > limit; p *= share()) ++n;
    return n;
  }
  double normal() { return std::sqrt(-2 * std::log(1 - share())) * std::cos(6.283185307179586 * share()); }
  template <class T>
  const T& one_of(const std::vector<T>& from) {
    return from[below(from.size())];
  }
  template <class T>
  void shuffle(std::vector<T>& v) {
    for (std::size_t i = v.size(); i > 1; --i) std::swap(v[i - 1], v[below(i)]);
  }

 private:
  std::uint64_t state_;
};

}  // namespace bavn::app::simulate
