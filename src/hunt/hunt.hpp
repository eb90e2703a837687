#pragma once
// Looking into the past: observables by the index, rules and text by reading what the filter leaves, all on several threads, with
// progress and cancel. Every answer is verified in the decoded lines; an index hit alone is none.
#include <functional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "event/finding.hpp"
#include "history/history.hpp"
#include "hunt/engine.hpp"

namespace bavn::hunt {

struct HuntProgress {
  std::uint64_t frames_done = 0, frames = 0, records = 0, hits = 0;
};

struct HuntOptions {
  history::Filter filter;       // its limit bounds frames by the index
  std::uint64_t limit = ~0ULL;  // hits that are given out
  unsigned jobs = 1;
  std::stop_token stop;
  std::function<void(const HuntProgress&)> progress;  // from the workers, one at a time
};

/// One record. Views live until the callback returns.
struct RecordHit {
  const history::FrameInfo& frame;
  std::uint32_t record = 0;  // index in the frame
  std::string_view line;
  std::int64_t happened_us = 0, received_us = 0;
  const event::Observable* observable = nullptr;  // the wanted one; null in a text hunt
  const event::EventBatch* batch = nullptr;  // with `parsed`: the record as its format read it; null in a text hunt
  const event::Record* parsed = nullptr;
};

struct HuntReport {
  std::uint64_t frames = 0, records = 0;  // read
  std::uint64_t hits = 0;
  std::uint64_t found = 0;       // wanted observables with a hit
  std::uint64_t unreadable = 0;  // damaged frames: said, not served
  bool stopped = false;
  std::vector<event::Observable> not_by_index;  // networks too wide for the index: asked by reading everything
};

/// each: one call at a time, from any worker.
Result<HuntReport> hunt_observables(Engine& engine, const history::History& history, const event::Scope& scope,
                                    std::span<const event::Observable> wanted, const HuntOptions& options,
                                    const std::function<void(const RecordHit&)>& each);

/// Records that hold the text, ASCII case ignored.
Result<HuntReport> hunt_text(Engine& engine, const history::History& history, const event::Scope& scope,
                             std::string_view text, const HuntOptions& options,
                             const std::function<void(const RecordHit&)>& each);

/// The engine's rules, correlations and indicators (with allow lists) over what is stored: the findings that live matching gives on the same records.
/// Finding::file is "segment/frame", its line the record's index in the frame + 1.
Result<HuntReport> hunt_rules(Engine& engine, Runtime& runtime, const history::History& history,
                              const event::Scope& scope, const HuntOptions& options,
                              const std::function<void(const event::Finding&)>& each);

/// The indicator findings of hunt_rules alone: only the frames are read in which the index knows a value (or a pattern's witness).
/// Everything is read when an indicator cannot be asked by the index (not_by_index; patterns are in it with their text).
Result<HuntReport> hunt_indicators(Engine& engine, Runtime& runtime, const history::History& history,
                                   const event::Scope& scope, const HuntOptions& options,
                                   const std::function<void(const event::Finding&)>& each);

}  // namespace bavn::hunt
