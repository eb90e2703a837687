#pragma once
// Rules compiled for speed: per route, which rules apply, and per field of that route the witnesses: tests of which at least one
// must hold for a rule to hold. A record touches only the rules whose witness it carries; those are then evaluated exactly.
// Life: immutable once built and shared by all workers; route programs are built on first use under a lock and never move.
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "event/plan.hpp"
#include "event/route.hpp"
#include "match/hotpath/literal_filter.hpp"
#include "match/sigma/rule.hpp"

struct hs_database;
struct hs_scratch;

namespace bavn::match::hotpath {

using RuleIndex = std::uint32_t;
using sigma::PredicateId;

/// Adds every field name that the rules and correlations of `set` read.
void add_names(const sigma::RuleSet& set, event::FieldPlan& plan);

/// The witnesses of one field (or of keywords): value in, satisfied witnesses out.
class Witnesses {
 public:
  void add(PredicateId id, const sigma::Predicate& p);
  void seal();
  bool empty() const { return all_.empty(); }
  std::size_t size() const { return all_.size(); }
  /// Appends to `out` the witnesses that `value` satisfies, exactly; may repeat one. folded: scratch.
  void find(const sigma::RuleSet& set, std::string_view value, event::ValueKind kind, std::string& folded,
            std::vector<PredicateId>& out) const;

 private:
  struct Bucket {
    std::uint32_t from = 0, count = 0;
  };
  // Witnesses under a 64-bit key; keys are hashes, so everything found is confirmed.
  class Table {
   public:
    void add(std::uint64_t key, PredicateId id) { raw_.emplace_back(key, id); }
    void seal();
    bool empty() const { return ids_.empty(); }
    template <class F>
    void each(std::uint64_t key, F&& f) const {
      if (slots_.empty()) return;
      for (std::size_t i = key & mask_;; i = (i + 1) & mask_) {
        const Slot& s = slots_[i];
        if (s.count == 0) return;
        if (s.key == key) {
          for (std::uint32_t k = 0; k < s.count; ++k) f(ids_[s.from + k]);
          return;
        }
      }
    }

   private:
    struct Slot {
      std::uint64_t key = 0;
      std::uint32_t from = 0, count = 0;
    };
    std::vector<std::pair<std::uint64_t, PredicateId>> raw_;
    std::vector<Slot> slots_;
    std::vector<PredicateId> ids_;
    std::size_t mask_ = 0;
  };

  std::vector<PredicateId> all_;
  Table whole_;                           // equals
  Table base_name_;                       // ends_with "\name": the part after the last \ or /
  Table ends_[3], starts_[3];             // by their last, first 12, 8 and 4 bytes
  Table grams_;                           // contains, wildcard, regex: one rare run of 4 bytes
  std::vector<std::uint64_t> gram_bits_;  // which hashed runs exist
  std::vector<PredicateId> each_;         // short or odd ones: tried on every value
  bool use_ends_[3] = {false, false, false}, use_starts_[3] = {false, false, false};
};

/// Keywords of one route: runs of printable ASCII that must stand somewhere in a record, in any case, for some rule to hold; all found
/// in one pass over the raw bytes (Hyperscan), after a filter that most records do not pass. Quotes, slashes and backslashes are found with and without JSON's escapes, so raw JSON
/// and text are searched alike; letters written as \u00.. are noticed.
class KeywordWitnesses {
 public:
  /// Per thread memory of the search; grows to the largest route used with it.
  class Scratch {
   public:
    Scratch() = default;
    ~Scratch();
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

   private:
    friend class KeywordWitnesses;
    struct Use {
      const KeywordWitnesses* of;
      std::uint32_t asked = 0, passed = 0;
      bool unfiltered = false;  // where most records pass the filter, it is in the way
    };
    hs_scratch* raw_ = nullptr;
    std::vector<Use> ready_;
  };

  static constexpr PredicateId kEscapedLetters = 0xFFFFFFFF;
  ~KeywordWitnesses();
  KeywordWitnesses(const KeywordWitnesses&) = delete;
  KeywordWitnesses& operator=(const KeywordWitnesses&) = delete;

  using Runs = std::vector<std::pair<std::string, PredicateId>>;
  explicit KeywordWitnesses(Runs runs);
  /// Appends the ids whose run stands in `bytes`; kEscapedLetters when JSON escapes hide plain characters, so that the decoded text
  /// must be searched.
  void find(std::string_view bytes, Scratch& scratch, std::vector<PredicateId>& out) const;

 private:
  Runs runs_;
  hs_database* database_ = nullptr;
  LiteralFilter filter_;
};

struct RouteProgram {
  std::vector<RuleIndex> rules;        // all that apply
  std::vector<RuleIndex> always;       // no witness: evaluated on every record of the route
  std::vector<std::uint16_t> by_slot;  // slot -> index + 1 into fields, 0: no rule cares
  std::vector<Witnesses> fields;
  std::vector<char> reads;                           // by slot: some rule of the route looks at it
  std::shared_ptr<const KeywordWitnesses> keywords;  // on the raw record; null: none
  bool unknown = false;                              // a record of no known log source
  std::vector<std::vector<RuleIndex>>
      present;  // by field: rules without witness, on a route of no known log source: one of their
                // fields must be there
  std::vector<std::vector<RuleIndex>> targets;  // by witness number
  std::unordered_map<PredicateId, std::uint32_t> witness_number;
};

/// A node of a rule's condition; the children stand beside each other.
struct FlatNode {
  sigma::Node::Kind kind = sigma::Node::Kind::leaf;
  PredicateId predicate = 0;           // leaf
  std::uint32_t first = 0, count = 0;  // children, by number
};

struct WitnessReport {
  RuleIndex rule;
  std::vector<PredicateId> witnesses;  // empty: none
};

class Program {
 public:
  /// delivered: does any known format deliver this log source? A rule that is all keywords is not tried on records of no known log
  /// source when there are formats for its own: words like "show" or "select" stand everywhere.
  Program(std::shared_ptr<const sigma::RuleSet> set, const event::FieldPlan& plan,
          std::function<bool(const sigma::LogSource&)> delivered = {});
  const sigma::RuleSet& set() const { return *set_; }
  const event::FieldPlan& plan() const { return plan_; }
  /// Built on the first call for a route.
  const RouteProgram& route(event::RouteId id, const event::Route& r) const;
  /// The field slot of a predicate; kNoSlot for keywords.
  event::Slot slot_of(PredicateId p) const { return slots_[p]; }
  event::Slot other_slot_of(PredicateId p) const { return other_slots_[p]; }
  /// What must be seen for the rule to be looked at.
  const std::vector<PredicateId>& witnesses(RuleIndex r) const { return witnesses_[r]; }
  /// Keyword predicates: every literal part that must stand in the decoded, folded record; tried before the predicate itself.
  const std::vector<std::string>& keyword_parts(PredicateId p) const;
  bool has_witness(RuleIndex r) const { return has_witness_[r]; }
  /// Does it ask for keywords: for more than the values of named fields?
  bool asks_text(RuleIndex r) const { return asks_text_[r]; }
  static bool applies(const sigma::LogSource& l, const event::Route& r);
  /// The conditions of all rules, and where each begins.
  const std::vector<FlatNode>& nodes() const { return nodes_; }
  std::uint32_t condition(RuleIndex r) const { return conditions_[r]; }

 private:
  std::shared_ptr<const sigma::RuleSet> set_;
  const event::FieldPlan& plan_;
  std::vector<event::Slot> slots_, other_slots_;
  std::vector<std::vector<PredicateId>> witnesses_;
  std::vector<char> has_witness_, keyword_rule_, asks_text_;
  std::vector<FlatNode> nodes_;
  std::vector<std::uint32_t> conditions_;
  std::unordered_map<PredicateId, std::vector<std::string>> keyword_parts_;
  std::vector<std::string> no_parts_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<RouteProgram>> routes_;
  mutable std::map<KeywordWitnesses::Runs, std::shared_ptr<const KeywordWitnesses>> keywords_;  // routes share them
};

}  // namespace bavn::match::hotpath
