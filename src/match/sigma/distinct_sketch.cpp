#include "match/sigma/distinct_sketch.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace bavn::match::sigma {

void DistinctSketch::add(std::int64_t time, std::uint64_t hash) {
  auto& seen = registers_[hash % kRegisters];
  const auto rank = static_cast<std::uint8_t>(std::countl_zero((hash & ~std::uint64_t{kRegisters - 1}) | 1) + 1);
  // One that is as new and as high says all that this one says.
  for (const Seen& s : seen)
    if (s.time >= time && s.rank >= rank) return;
  std::erase_if(seen, [&](const Seen& s) { return s.time <= time && s.rank <= rank; });
  const auto at = std::find_if(seen.begin(), seen.end(), [&](const Seen& s) { return s.time < time; });
  seen.insert(at, Seen{time, rank});
}

double DistinctSketch::estimate(std::int64_t from) const {
  double sum = 0;
  std::size_t empty = 0;
  for (const auto& seen : registers_) {
    std::uint8_t rank = 0;
    for (const Seen& s : seen) {
      if (s.time < from) break;
      rank = s.rank;  // ranks rise towards the past
    }
    if (rank == 0) ++empty;
    sum += std::ldexp(1.0, -rank);
  }
  constexpr double m = kRegisters;
  const double raw = (0.7213 / (1 + 1.079 / m)) * m * m / sum;
  if (raw <= 2.5 * m && empty > 0) return m * std::log(m / static_cast<double>(empty));  // linear counting
  return raw;
}

void DistinctSketch::forget_before(std::int64_t time) {
  for (auto& seen : registers_) std::erase_if(seen, [&](const Seen& s) { return s.time < time; });
}

std::size_t DistinctSketch::bytes() const {
  std::size_t n = sizeof *this + registers_.capacity() * sizeof(std::vector<Seen>);
  for (const auto& seen : registers_) n += seen.capacity() * sizeof(Seen);
  return n;
}

bool DistinctSketch::restore(std::size_t index, std::vector<Seen> seen) {
  for (std::size_t i = 1; i < seen.size(); ++i)
    if (seen[i].time >= seen[i - 1].time || seen[i].rank <= seen[i - 1].rank) return false;
  for (const Seen& s : seen)
    if (s.rank == 0 || s.rank > 64) return false;
  registers_[index] = std::move(seen);
  return true;
}

}  // namespace bavn::match::sigma
