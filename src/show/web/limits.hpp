#pragma once
// How many requests somebody makes in a minute. Thread rules: any thread.
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/guarded.hpp"
#include "base/hash.hpp"
#include "base/runtime.hpp"

namespace bavn::show::web {

class Limits {
 public:
  struct Left {
    bool allowed = true;
    std::int64_t quota = 0, remaining = 0;
    std::int64_t seconds = 0;  // until the minute is over
  };
  explicit Limits(Runtime& runtime) : runtime_(runtime) {}

  /// Counts one for `who` in its minute, which begins with its first request. One that is not allowed is not counted.
  Left take(std::string_view who, std::int64_t quota);
  /// Looks only.
  Left look(std::string_view who, std::int64_t quota) const;

 private:
  struct Minute {
    Duration began{0};
    std::int64_t used = 0;
  };
  using Minutes = std::unordered_map<std::string, Minute, StringHash, std::equal_to<>>;
  static Left left(const Minute& m, Duration now, std::int64_t quota);
  Runtime& runtime_;
  Guarded<Minutes> minutes_;
};

}  // namespace bavn::show::web
