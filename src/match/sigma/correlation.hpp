#pragma once
// The runtime of Sigma correlations: rule hits in, correlation findings out. The choices the specification leaves open are
// written down in correlation.md. Life: one engine per RuleSet; the RuleSet must outlive it. Thread rules: capture() and
// needed_fields() may run on any thread; everything else belongs to one thread.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "event/finding.hpp"
#include "match/sigma/exact.hpp"
#include "match/sigma/rule.hpp"

namespace bavn::match::sigma {

/// Where a record is to be found again. Hits of different municipalities never meet in one correlation.
struct Origin {
  std::string municipality;
  std::string format;
  std::string file;
  std::uint64_t line = 0;
};

/// When a condition that stays or becomes true gives another finding.
enum class Rearm : std::uint8_t {
  after_quiet,  // once per episode: not again before it was false for `quiet` (default: the rule's timespan)
  when_false,   // each time it becomes true after it was false, however shortly
  every_event,  // at every event for which it is true: for tests and hunts, it storms
};

struct CorrelationOptions {
  /// How much older than the newest hit a hit may be and still count. Two hours: audit records reach us 60 to 90 minutes late.
  std::chrono::microseconds allowed_lateness = std::chrono::hours{2};
  /// Hits are kept back and played in the order of their times by finish(): for files in any order. No lateness then.
  bool replay = false;
  std::size_t max_memory = std::size_t{64}
                           << 20;   // bytes of all groups (and of held back hits); the longest unused group goes first
  std::size_t max_events = 10'000;  // kept one by one in a group; above, neighbours are merged and it says so
  std::size_t exact_values = 10'000;  // distinct values counted exactly in a group; above, estimated (HyperLogLog)
  std::size_t max_contributing = 20;  // events named in a finding
  Rearm rearm = Rearm::after_quiet;
  std::optional<std::chrono::microseconds> quiet = std::nullopt;
  std::uint64_t hash_seed = 0;  // keys the hashes that distinct values are counted by
};

/// One hit with every value its correlations need: owned, so it can cross threads.
struct Hit {
  std::uint32_t rule = 0;  // RuleSet::rules
  HappenedAt at;
  Origin where;
  std::vector<std::pair<std::uint16_t, std::string>>
      values;  // index into needed_fields(rule), ascending; a list has several
};

struct Contribution {
  std::uint32_t ref = 0;  // Correlation::rules: which of the referred rules hit
  HappenedAt at;
  Origin where;
};

struct CorrelationFinding {
  std::uint32_t correlation = 0;  // RuleSet::correlations
  std::string municipality;
  std::vector<std::pair<std::string, std::string>> group;  // group-by name, value as first seen
  double measured = 0;  // events, distinct values, sum, average, percentile or share, rules seen, length of the chain
  bool approximate = false;                // merged or estimated: see correlation.md
  HappenedAt first, last;                  // of the events in the window
  std::uint64_t events = 0;                // in the window
  std::vector<Contribution> contributing;  // at most max_contributing: the oldest and the newest
};

/// A finding as it leaves the matcher: kind correlation; fields: the group, "measured", "events", "first", "last", "approximate",
/// "event.1" ... (time, file:line, rule).
event::Finding to_finding(const RuleSet& set, const CorrelationFinding& found, Instant found_at);

struct CorrelationStats {
  struct PerCorrelation {
    std::uint64_t hits = 0;           // reached it
    std::uint64_t missing_group = 0;  // not counted: a group-by field has no value
    std::string missing_field;        // the first such field
    std::uint64_t missing_value = 0;  // not counted: the condition's field has no value
    std::uint64_t not_a_number = 0;   // not counted: value_sum, value_avg
    std::uint64_t cut_values = 0;     // lists so long that not all combinations were taken
    std::uint64_t findings = 0;
    std::uint64_t repeated = 0;  // true again within the same episode: no further finding
    std::uint64_t evicted = 0;   // groups forgotten for lack of memory: it may have missed something
    std::uint64_t merged = 0;    // groups in which events were merged or values estimated
    std::uint64_t groups = 0;    // now
  };
  std::uint64_t hits = 0;
  std::uint64_t too_late = 0;      // older than the allowed lateness: not counted
  std::uint64_t without_time = 0;  // not counted
  std::uint64_t from_future =
      0;  // later than the clock by more than ten minutes: counted, but they do not move the watermark
  std::uint64_t evicted = 0, expired = 0,
                unknown_state = 0;  // unknown_state: groups in loaded bytes whose rule is gone or changed
  std::uint64_t groups = 0, bytes = 0, held_back = 0;  // now
  std::vector<PerCorrelation> of;                      // same order as RuleSet::correlations
};

class CorrelationEngine {
 public:
  using Sink = std::function<void(const CorrelationFinding&)>;

  explicit CorrelationEngine(const RuleSet& set, CorrelationOptions options = {});
  ~CorrelationEngine();
  CorrelationEngine(CorrelationEngine&&) noexcept;
  CorrelationEngine& operator=(CorrelationEngine&&) = delete;

  /// Does any correlation refer to the rule? If not, its hits need not be handed over.
  bool wants(std::uint32_t rule) const;
  /// The fields that a hit of this rule must carry, by the names its records use.
  const std::vector<std::string>& needed_fields(std::uint32_t rule) const;
  Hit capture(std::uint32_t rule, HappenedAt at, const RecordView& record, Origin where) const;

  void on_hit(Hit hit, const Sink& sink);
  void on_hit(std::uint32_t rule, HappenedAt at, const RecordView& record, Origin where, const Sink& sink) {
    on_hit(capture(rule, at, record, std::move(where)), sink);
  }
  /// Event time has come this far (the newest record of any kind): closes windows and forgets groups.
  void advance(HappenedAt newest, const Sink& sink);
  /// The wall clock: a record from beyond it must not move event time. Never told: every record is believed.
  void clock(Instant now);
  /// No more records: plays what was held back and closes every window. For files; a node that stops saves instead.
  void finish(const Sink& sink);

  const CorrelationStats& stats() const;

  /// The whole state, with version and checksum. An error when hits are held back (replay).
  Result<void> save(std::string& out) const;
  /// Replaces the state. Bytes that are cut, changed or made up are refused (corrupt) and leave the engine as it was. Groups of
  /// correlations that are gone or changed are dropped and counted.
  Result<void> load(std::string_view bytes);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bavn::match::sigma
