#pragma once
// Shapes of JSON records: all bytes of a record but its values. Logs repeat them, so a record is read by following what came before:
// the bytes up to the next value must be those of a known shape, then the value is read to its end, and so on. Nothing is indexed, no
// key is looked up; shapes share their beginnings (a trie). Where they part, a few bytes of the record say by a small table which way
// it goes (a fork), so that the processor need not guess. What agrees is what a walk would read: same keys, same nesting, every value
// a string or a scalar, UTF-8, no control characters. What does not agree is not refused here, but walked.
// Life: owned by one Reader, not thread safe. Bounded: kBytes in all, kWays ways on that the bytes of a fork do not tell apart.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "event/batch.hpp"

namespace bavn::formats {

/// null when [p, p + n) is no JSON scalar that is accepted; else kind is set. The same test for every way of reading.
const char* scalar_fault(const char* p, std::uint32_t n, event::ValueKind& kind);

class JsonShapes {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  static constexpr std::size_t kPadding = event::RawBytes::kPadding;  // readable bytes behind the end

  JsonShapes();
  /// Whether this machine can (AVX2); else find() finds nothing.
  bool usable() const { return usable_; }

  struct Value {
    std::uint32_t start, length;  // without quotes
    std::uint8_t flags;           // as in event::Field: its kind, and kEscaped when there is a backslash in it
    event::ValueKind kind() const { return static_cast<event::ValueKind>(flags & event::Field::kKindMask); }
  };
  struct Found {
    std::uint32_t shape = kNone;
    std::uint32_t end = 0;   // of the record
    std::uint32_t next = 0;  // where the next line begins
  };
  /// Reads the line that begins at buf[at]; lines end at `to`, kPadding bytes more are readable. kNone: of no known shape.
  Found find(const char* buf, std::uint32_t at, std::uint32_t to);
  /// The values of the record that was found last that add() was told to keep, in order. Valid until the next call.
  const Value* values() const { return values_.data(); }

  /// A value of a record to be added, quotes included.
  struct Place {
    std::uint32_t begin, end;
    bool kept;
  };
  /// The record buf[at, end) that a walk accepted, with all its values in order. Returns its shape's number: those count from 0 since
  /// clear(); kNone: not kept.
  std::uint32_t add(const char* buf, std::uint32_t at, std::uint32_t end, std::span<const Place> places);
  /// Is a record that was not found worth being added? Where nothing repeats, only a few are.
  bool worth();
  void clear();
  /// More than it should be: time to clear().
  bool full() const {
    return steps_.size() * sizeof(Step) + forks_.size() * (sizeof(Fork) + sizeof(children_[0])) +
               ways_.size() * sizeof(ways_[0]) + literals_.size() + shapes_ * 384UL + kept_ * 32 >
           kBytes;
  }
  std::size_t size() const { return shapes_; }

 private:
  static constexpr std::size_t kBytes = 24U << 20, kWays = 64, kMostValues = 2048, kLongest = 16U << 10;
  static constexpr std::uint32_t kPatience = 4096;
  /// A literal, then a value; or the last literal of a record.
  struct Step {
    std::uint32_t literal = 0;  // in literals_
    std::uint16_t length = 0;
    std::uint8_t head = 0;  // how many of its first 32 bytes there are
    bool last = false;
    std::uint32_t kept = 0;  // 1: its value is kept
    std::uint32_t next =
        0;  // the step after the value, or kFork and, in forks_, which of several; of a last one: its shape
    std::uint32_t chain = 0;  // another step at the same place that its fork does not tell from this one
  };
  static constexpr std::uint32_t kFork = 1U << 31;
  /// Steps at one place by some of their bytes: those of `mask` from `offset` on.
  struct Fork {
    std::uint64_t mask = 0, multiplier = 1;
    std::uint32_t ways = 0;       // in ways_: heads of chains
    std::uint32_t children = 0;   // all of them
    std::uint32_t too_short = 0;  // the chain of those that end before the bytes asked for
    std::uint8_t offset = 0, shift = 63;
  };
  static constexpr std::uint32_t kMostOffset = 64;
  static std::size_t way_of(const Fork& f, const char* p);
  bool is(std::uint32_t step, std::string_view literal, bool last) const;
  std::uint32_t step_after(std::uint32_t before, const char* p, std::string_view literal, bool last) const;
  void add_step(std::uint32_t before, std::uint32_t step);
  void place(Fork& f, std::uint32_t step);
  void build(Fork& f, const std::vector<std::uint32_t>& steps);
  Found follow(const char* buf, std::uint32_t at, std::uint32_t to, bool& beyond_ascii);

  std::vector<Step> steps_;                           // [0]: before the first
  std::vector<Fork> forks_;                           // [0]: none
  std::vector<std::vector<std::uint32_t>> children_;  // of each fork: all its steps
  std::vector<std::uint32_t> ways_;
  std::string literals_;
  std::vector<Value> values_;
  std::size_t kept_ = 0;  // values of all shapes: their owner keeps something for each
  std::uint32_t shapes_ = 0, seen_ = kPatience, n_missed_ = 0;
  bool usable_ = false;
};

}  // namespace bavn::formats
