#pragma once
// How many distinct values were seen since a moment: HyperLogLog whose registers remember when (a sliding window). 2,048 registers:
// standard error 2.3 %. A plain value; about 50-100 KiB when used.
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace bavn::match::sigma {

class DistinctSketch {
 public:
  static constexpr std::size_t kRegisters = 2048;
  struct Seen {
    std::int64_t time;
    std::uint8_t rank;
    friend bool operator==(const Seen&, const Seen&) = default;
  };

  DistinctSketch() : registers_(kRegisters) {}
  void add(std::int64_t time, std::uint64_t hash);
  /// Distinct values seen at `from` or later.
  double estimate(std::int64_t from) const;
  void forget_before(std::int64_t time);
  std::size_t bytes() const;

  /// Per register, newest first, ranks rising: for saving.
  const std::vector<std::vector<Seen>>& registers() const { return registers_; }
  /// false: not newest first or ranks not rising.
  bool restore(std::size_t index, std::vector<Seen> seen);

 private:
  std::vector<std::vector<Seen>> registers_;
};

}  // namespace bavn::match::sigma
