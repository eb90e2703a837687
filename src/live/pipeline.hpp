#pragma once
// The threads of a node: what sources deliver is split, read and matched by workers, journalled in one order, answered when it is on
// disk, and its findings become alerts in the transaction that moves `matched_to`. Whatever lies beyond that cursor (after a crash, or
// when findings came faster than the state could take them) is matched again from history: nothing is lost, nothing counted twice.
//
//   deliver -> [queue_bytes; full: unavailable at once] -> workers: read, match, compress -> journal x1: write, fdatasync -> done
//                                                       findings -> [waiting_findings; full: matched again later] -> correlate x1 -> state
//
// The rules of correlations and the watcher of facts see frames in journal order, always; their state is saved with its cursor and brought
// up to date from history.
// Memory: deliveries in flight count against queue_bytes from deliver() until they are answered; everything else has a limit of its own.
// Life: after Runtime and State, gone before them. Thread rules: any thread; nothing blocks its caller but open() and the destructor.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "alerts/book.hpp"
#include "history/history.hpp"
#include "hunt/engine.hpp"
#include "input/sink.hpp"
#include "notice/fact_watcher.hpp"
#include "store/state.hpp"

namespace bavn::live {

std::span<const Setting> settings();

struct Options {
  std::string folder;          // data folder: folder/history, folder/correlations, folder/facts
  hunt::EngineOptions engine;  // rules, formats, indicators
  std::size_t queue_bytes = 64U << 20U;
  unsigned workers = 1;
  std::size_t frame_bytes = 128U << 10U;  // of lines in a frame: what one hit costs to read
  std::size_t group_bytes = 4U << 20U;    // of lines in one commit
  std::size_t waiting_findings = 10'000;
  std::size_t correlation_bytes = 64U << 20U;  // of groups that correlations keep
  std::size_t rebuild_bytes = 256U << 20U;     // of history read again when the state of correlations or facts is lost
  Duration save_every = std::chrono::minutes(5);
  std::shared_ptr<notice::FactWatcher> watcher;         // null: no facts are read
  bool guest = false;                                   // small caches of the history
  std::function<void(history::Options&)> tune_history;  // tests: where its index lies, how large segments are

  static Options from(const Settings& settings, std::string folder);
  /// One of 98 on a machine: 16 MiB, one worker.
  static Options guest_profile(std::string folder);
};

struct Stats {
  std::size_t waiting_bytes = 0;  // delivered, not yet answered
  std::uint64_t deliveries = 0, refused_full = 0, failed = 0, duplicates = 0;
  std::uint64_t records = 0, refused_records = 0, bytes = 0;  // answered since the start
  std::uint64_t findings = 0, correlation_findings = 0;       // given to the alerts since the start
  std::uint64_t facts = 0;                                    // given to the watcher since the start
  std::uint64_t frames_matched_again = 0, frames_unreadable = 0;
  bool behind = false;  // findings are being made again from history
  std::string failing;  // why deliveries or alerts fail now; empty: they do not
};

class Pipeline final : public input::Sink {
 public:
  static Result<std::unique_ptr<Pipeline>> open(Runtime& runtime, store::State& state, const alerts::AlertBook& book,
                                                Options options);
  ~Pipeline() override;

  bool has_room(std::size_t bytes) const override;
  void deliver(input::Delivery delivery, std::move_only_function<void(Result<input::Receipt>)> done) override;

  history::History& history();
  const history::History& history() const;
  /// What matches now. Indicators added to engine()->indicators() are live with the next frame.
  std::shared_ptr<hunt::Engine> engine() const;
  /// Other rules or formats from now on; opened by the caller on a thread of its own, with engine()->shared_indicators() (with a watcher: and EngineOptions::facts). Frames that were
  /// on their way with the old ones are matched again with the new.
  void swap(std::shared_ptr<hunt::Engine> engine);

  Stats stats() const;
  /// Nothing waits: everything answered is in the alerts. For tests, benches and a stop in order.
  bool idle() const;

  struct Inner;

 private:
  explicit Pipeline(std::shared_ptr<Inner> inner);
  std::shared_ptr<Inner> inner_;
};

}  // namespace bavn::live
