#include "base/runtime.hpp"

namespace bavn {

std::uint64_t Runtime::random_number() {
  std::uint64_t n = 0;
  random(std::as_writable_bytes(std::span(&n, 1)));
  return n;
}

std::uint64_t Runtime::random_below(std::uint64_t below) {
  BAVN_ASSERT(below > 0);
  const std::uint64_t usable = UINT64_MAX - UINT64_MAX % below;
  for (;;) {
    const std::uint64_t n = random_number();
    if (n < usable) return n % below;
  }
}

}  // namespace bavn
