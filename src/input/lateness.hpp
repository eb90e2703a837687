#pragma once
// How late a source is, by the newest record that it ever gave: what comes late beside it (a mail that was held back for days, a file of
// last week) says nothing about the source. A record from the future counts as one of now, or a wrong clock would hide every lag after it.
// Life: values. Thread rules: none, as any value.
#include <algorithm>
#include <cstdint>

#include "base/time.hpp"

namespace bavn::input {

class Lateness {
 public:
  /// happened: of the newest record of what arrived just now; none (Instant{}) changes nothing.
  void saw(Instant happened, Instant now) {
    if (happened == Instant{}) return;
    newest_ = std::max(newest_, std::min(happened, now));
    seconds_ = (micros(now) - micros(newest_)) / 1'000'000;
  }
  /// When something arrived last: now - the newest record. -1: not known.
  std::int64_t seconds() const { return seconds_; }

 private:
  Instant newest_{};
  std::int64_t seconds_ = -1;
};

}  // namespace bavn::input
