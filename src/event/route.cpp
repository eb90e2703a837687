#include "event/route.hpp"

namespace bavn::event {

RouteId RouteTable::intern(Route r) {
  std::lock_guard lock(mutex_);
  const std::size_t n = size_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < n; ++i)
    if (at(static_cast<RouteId>(i)) == r) return static_cast<RouteId>(i);
  if (n >= 60000) return kNoRoute;
  if (n / kChunk >= owned_.size()) {
    owned_.push_back(std::make_unique<Chunk>());
    chunks_[n / kChunk].store(owned_.back().get(), std::memory_order_release);
  }
  chunk(n / kChunk)[n % kChunk] = std::make_unique<Route>(std::move(r));
  size_.store(n + 1, std::memory_order_release);
  return static_cast<RouteId>(n);
}

}  // namespace bavn::event
