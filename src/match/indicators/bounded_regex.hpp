#pragma once
// A regular expression from outside (STIX MATCHES, allow lists): PCRE2 without JIT and with a match limit, so that no expression and no
// value can make it run long. Thread rules: immutable; search() may be called by many threads at once.
#include <atomic>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn::match::indicators {

class BoundedRegex {
 public:
  static constexpr std::size_t kLongest = 4096;
  static Result<std::shared_ptr<const BoundedRegex>> compile(std::string_view expression, bool caseless = false);
  ~BoundedRegex();
  BoundedRegex(const BoundedRegex&) = delete;
  BoundedRegex& operator=(const BoundedRegex&) = delete;
  /// False also when the limit was hit (counted).
  bool search(std::string_view value) const;
  unsigned limit_hits() const { return limit_hits_.load(std::memory_order_relaxed); }

 private:
  BoundedRegex() = default;
  struct State;
  std::unique_ptr<State> state_;
  mutable std::atomic<unsigned> limit_hits_ = 0;
};

}  // namespace bavn::match::indicators
