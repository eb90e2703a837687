#pragma once
// One compiled PCRE2 pattern. Immutable; matching from many threads is safe (each thread has its own match data).
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn::match::sigma {

class Regex {
 public:
  /// flags: Predicate::kRegex*. No JIT; at most kMatchLimit steps a value, twice. Error: the compiler's message with the position.
  static Result<std::shared_ptr<const Regex>> compile(std::string_view pattern, std::uint8_t flags);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  /// True when the pattern is found anywhere in the value. A value that costs more than the limit does not match and is counted.
  bool found_in(std::string_view value) const;
  /// How often the limit was hit: a rule that does so often is to be paused by whoever runs it.
  std::uint64_t limit_hits() const { return limit_hits_.load(std::memory_order_relaxed); }

  static constexpr std::uint32_t kMatchLimit = 10'000;
  static constexpr std::size_t kMaxPattern = 32'768;

 private:
  Regex() = default;
  void* code_ = nullptr;  // pcre2_code
  void* other_ =
      nullptr;  // the same with greedy and lazy exchanged, for values on which code_ hits the limit; may be null
  void* context_ = nullptr;  // pcre2_match_context with the limits
  mutable std::atomic<std::uint64_t> limit_hits_{0};
};

}  // namespace bavn::match::sigma
