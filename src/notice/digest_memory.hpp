#pragma once
// What this node has seen in the last 90 days: 64-bit keyed hashes with the days of the first and last sight and a count, in one table of
// 16 bytes a slot. It grows with what it holds up to a limit; full, it forgets what was seen longest ago, and counts that.
// Life: a value. Thread rules: one thread.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace bavn::notice {

class NoveltyMemory {
 public:
  struct Seen {
    bool known = false;           // within the days remembered
    std::uint16_t first_day = 0;  // of this stretch; today when it is new
    std::uint32_t before = 0;     // times it was noted before (stops at 65,535)
  };
  explicit NoveltyMemory(std::size_t most = 1'000'000, unsigned days = 90);

  /// Notes a sight; tells what was known before it. Days never go back: an earlier one counts as the latest.
  Seen see(std::uint64_t thing, std::uint16_t day);
  /// The same without noting it.
  Seen look(std::uint64_t thing, std::uint16_t day) const;

  std::size_t size() const { return used_; }
  std::size_t bytes() const { return slots_.capacity() * sizeof(Slot); }
  std::uint64_t forgotten() const { return forgotten_; }  // before their 90 days were over, for lack of room
  std::uint16_t since_day() const { return since_day_; }  // when it began to learn; 0: nothing yet

  void save(ByteWriter& into) const;
  /// Instead of what it holds. corrupt: nothing was changed.
  Result<void> load(ByteReader& saved);

 private:
  struct Slot {
    std::uint64_t thing = 0;  // 0: free
    std::uint16_t first = 0, last = 0, count = 0;
  };
  static_assert(sizeof(Slot) == 16);
  std::size_t find(std::uint64_t thing) const;  // its slot, or the free one where it would be
  void make_room();
  void rebuild(std::size_t slots, std::uint16_t oldest);
  std::vector<Slot> slots_;
  std::size_t used_ = 0, most_;
  unsigned days_;
  std::uint16_t since_day_ = 0, latest_ = 0;
  std::uint64_t forgotten_ = 0;
};

}  // namespace bavn::notice
