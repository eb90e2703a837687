#pragma once
// Inside of CorrelationEngine, shared by correlation.cpp (flow), correlation_window.cpp (what a window measures) and
// correlation_state.cpp (save, load). Not for other modules.
#include <limits>
#include <list>
#include <set>
#include <span>
#include <unordered_map>

#include "base/hash.hpp"
#include "match/sigma/correlation.hpp"
#include "match/sigma/distinct_sketch.hpp"

namespace bavn::match::sigma {

using Micros = std::int64_t;  // event time since 1970

constexpr std::uint32_t kNoPlace = 0xFFFFFFFF;

/// One hit in a group. 56 bytes.
struct Entry {
  Micros time = 0;
  std::uint64_t event = 0;  // identity of the record: one record is one event, however many rules it hits
  std::uint64_t line = 0;
  std::uint64_t value = 0;   // value_count, percentile of texts: hash; else the bits of a double
  std::uint32_t place = 0;   // Impl::places
  std::uint32_t weight = 1;  // events merged into this one
  std::uint16_t ref = 0;     // Correlation::rules
  bool text = false;         // value_percentile: value is a hash
  bool held = false;  // the window that ends here was found to hold; not saved: what is judged again does no harm
  std::unique_ptr<std::vector<std::string>> carried;  // for the correlations that refer to this one, as Plan::carried
};

/// A sliding window's content, as measured.
struct Measured {
  double value = 0;
  bool holds = false;
  bool approximate = false;
  std::vector<std::size_t> chosen;  // entries that made it true, when not all: chain of temporal_ordered, rare texts
};

struct Group {
  std::string key;
  std::uint32_t municipality = 0;  // Impl::municipalities
  std::vector<std::string> shown;  // group values as first seen
  std::vector<Entry> entries;      // by time
  std::uint64_t serial = 0, touched = 0;
  bool had_episode = false;
  Micros episode_begin = 0, episode_end = 0;
  bool approximate = false;
  std::size_t thin_at = 64;
  std::size_t carried_bytes = 0;
  std::size_t bytes = 0;                                 // as last added to Impl::bytes
  Micros close_at = std::numeric_limits<Micros>::max();  // settled: key in Impl::closing
  std::unique_ptr<DistinctSketch> sketch;
  // value_count: distinct values of the window that ends at the newest entry; made anew when `counted` is false.
  bool counted = false;
  std::size_t window_begin = 0, counted_to = 0;
  std::unordered_map<std::uint64_t, std::uint32_t> counts;
};

/// A correlation, resolved.
struct Plan {
  const Correlation* rule = nullptr;
  std::uint32_t index = 0;
  Micros timespan = 0, quiet = 0;
  Micros delay = 0;      // how long after its time a referred correlation's result may come
  bool settled = false;  // judged when its window is over (an upper bound, an average, a percentile, a negation)
  std::size_t max_events = 0;
  struct Source {                                      // one referred rule
    std::vector<std::uint16_t> group, value, carried;  // index into the source's fields
  };
  std::vector<Source> sources;
  std::vector<std::string> carried;                             // fields of its last event that results take along
  std::vector<std::string> result_fields;                       // what results offer: group-by names, then `carried`
  std::vector<std::pair<std::uint32_t, std::uint16_t>> outers;  // (correlation, ref) fed by its results
  std::uint64_t fingerprint = 0;  // of the definition: state of another definition is not taken over
};

struct PlaceKey {
  std::string municipality, format, file;
};

struct CorrelationEngine::Impl {
  struct Of {
    std::list<Group> groups;  // longest untouched first
    std::unordered_map<std::string, std::list<Group>::iterator, StringHash, std::equal_to<>> by_key;
  };
  /// What a rule or a correlation hands to a correlation.
  struct Source {
    Micros time = 0;
    std::uint64_t event = 0, line = 0;
    std::uint32_t place = 0, municipality = 0;
    std::vector<std::pair<std::uint16_t, std::string_view>> values;  // by field index, ascending
  };

  Impl(const RuleSet& set, CorrelationOptions o);

  // correlation.cpp
  void prepare();
  Hit capture(std::uint32_t rule, HappenedAt at, const RecordView& record, Origin where) const;
  void apply(const Hit& hit, const Sink& sink);
  void feed(const Plan& plan, std::uint16_t ref, const Source& source, const Sink& sink);
  void add(const Plan& plan, std::uint16_t ref, const Source& source, std::span<const std::string_view> values,
           std::span<const std::uint64_t> measured, bool text, const Sink& sink);
  void evaluate(const Plan& plan, Group& group, Micros from, bool in_order, const Sink& sink);
  void moment(const Plan& plan, Group& group, Micros at, Micros begin, bool fresh, const Measured& m, std::size_t lo,
              std::size_t hi, const Sink& sink);
  void schedule(const Plan& plan, Group& group);
  void close(Micros watermark, const Sink& sink);
  void judge(const Plan& plan, Group& group, const Sink& sink);
  void make_room(const Plan& plan, Group& group);
  void prune(const Plan& plan, Group& group);
  void expire(std::uint32_t correlation, std::size_t at_most);
  void account(Group& group);
  void drop(std::uint32_t correlation, std::list<Group>::iterator group);
  void keep_within_memory();
  void play(std::size_t count, const Sink& sink);
  Micros lateness() const { return draining ? 0 : options.allowed_lateness.count(); }
  Micros watermark() const;
  std::uint32_t place_of(const Origin& where);
  void forget_unused_places();
  static std::size_t size_of(const Hit& hit);
  std::uint32_t municipality_of(std::string_view name);
  void clear_state();

  const RuleSet* set;
  CorrelationOptions options;
  std::vector<Plan> plans;
  std::vector<std::vector<std::string>> needed;                               // by rule
  std::vector<std::vector<std::pair<std::uint32_t, std::uint16_t>>> targets;  // by rule: (correlation, ref)

  // state
  std::vector<Of> of;
  std::set<std::pair<std::pair<Micros, std::uint64_t>, std::pair<std::uint32_t, Group*>>>
      closing;  // (when, serial), whose
  Micros newest = std::numeric_limits<Micros>::min();
  std::optional<Micros> now;
  std::uint64_t serial = 0, touch = 0;
  std::size_t place_bytes = 0;
  std::vector<PlaceKey> places;
  std::unordered_map<std::string, std::uint32_t, StringHash, std::equal_to<>> place_ids;
  std::vector<std::string> municipalities;
  std::vector<Hit> held;
  std::size_t held_bytes = 0;
  bool draining = false;
  std::size_t bytes = 0;
  CorrelationStats stats;
};

/// Entries [lo, hi) of a group as one window. Exact but for groups that were merged.
Measured measure(const Plan& plan, const Group& group, std::size_t lo, std::size_t hi);
/// Whether every rule of a chain (or set) that needs all of them has an event in a window that moves forward: so it is told in a few steps
/// that nothing holds, as at nearly every hit of a wave.
class AllPresent {
 public:
  AllPresent(const Plan& plan, const Group& group);
  bool in(std::size_t lo, std::size_t hi);  // neither goes back

 private:
  const Group& group_;
  std::vector<std::uint32_t> seen_;  // by rule; empty: not asked of this correlation
  std::size_t missing_ = 0, lo_ = 0, hi_ = 0;
  bool begun_ = false;
};
/// As measure() for a number already known (event_count, value_count).
Measured judged(const Plan& plan, double value);

/// First entry at or after `time`.
std::size_t first_at(const Group& group, Micros time);

std::uint64_t fingerprint(const Plan& plan);

}  // namespace bavn::match::sigma
