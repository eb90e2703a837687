#pragma once
// For tests on the real clock only: waits until other threads brought something about. Under Sim nothing waits: it has run_until().
#include <chrono>
#include <functional>
#include <thread>

namespace bavn {

/// True as soon as the condition holds; false when it does not within the time: the test then says what was missing.
inline bool eventually(const std::function<bool()>& condition, std::chrono::seconds within = std::chrono::seconds{30}) {
  const auto end = std::chrono::steady_clock::now() + within;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{5});
  }
  return true;
}

}  // namespace bavn
