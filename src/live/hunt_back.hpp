#pragma once
// New signs, looked for in the past: whenever an indicator becomes known at a node, what history received before is asked for it, and the
// findings become alerts like those of live matching. Only frames that the index names are read, and all that are left out is said.
// What is to be looked for is a row, gone in the transaction that records what was found: a restart neither forgets nor counts twice.
// Life: after the Pipeline, gone before it. Thread rules: any thread; the work is done on a queue of its own.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "alerts/book.hpp"
#include "live/pipeline.hpp"
#include "match/indicators/indicator.hpp"
#include "store/state.hpp"

namespace bavn::live {

class HuntBack {
 public:
  struct Stats {
    std::uint64_t signs = 0, frames = 0, findings = 0;  // since the start
    std::uint64_t cut = 0;                              // signs for which more frames were named than are read
    std::uint64_t not_by_index = 0;  // networks wider than the index knows, patterns without a sign of their own
    std::uint64_t unreadable = 0;    // frames
  };

  static Result<std::unique_ptr<HuntBack>> open(Runtime& runtime, store::State& state, Pipeline& pipeline,
                                                const alerts::AlertBook& book);
  ~HuntBack();

  /// In the transaction in which they become known.
  static Result<void> wanted(store::Tx& tx, std::span<const match::indicators::Indicator> added);
  /// Every sign of a base file that `before` (a file, may be empty or gone) does not have.
  static Result<void> wanted_base(store::Tx& tx, const std::string& file, const std::string& before);

  /// Before State::start(): hears of what becomes known.
  void subscribe();
  /// What a stop left.
  void start();
  Stats stats() const;
  /// Nothing waits to be looked for.
  bool idle() const;

 private:
  struct Inner;
  explicit HuntBack(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}
  std::shared_ptr<Inner> inner_;
};

}  // namespace bavn::live
