#pragma once
// What `live` feeds with facts, in the order of the journal. After a crash, facts since the last save() come again (`again`), in the same
// order, up to the point whose outcome was committed; then new ones. Whoever implements it has the same state in both lives.
// Thread rules: one thread (the one that correlates), but settle() which runs on the State's writer while feed() waits.
#include <span>
#include <string>

#include "base/result.hpp"
#include "event/facts.hpp"
#include "store/state.hpp"

namespace bavn::notice {

class FactWatcher {
 public:
  virtual ~FactWatcher() = default;
  /// again: state moves on, nothing may come out that came out before.
  virtual void feed(std::span<const event::Fact> facts, Instant received, bool again) = 0;
  /// Takes what came out since the last call away, as a unit that stores it; runs in the Tx that moves `matched_to`. Null: nothing came out.
  /// A commit that fails is tried again with the same unit: it must not move away what it needs, and may run more than once.
  virtual store::Unit take() = 0;
  virtual Result<void> save(std::string& into) const = 0;
  virtual Result<void> load(std::string_view saved) = 0;
  /// How far back facts must be fed again when the saved state is lost.
  virtual Duration memory() const = 0;
};

}  // namespace bavn::notice
