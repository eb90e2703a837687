#pragma once
// Matcher: one EventBatch against all rules. Each distinct (route, field, value) is looked at once and remembered by a seeded 64-bit
// hash; the memo only proposes, every hit is the rule evaluated exactly on the record's own values.
// Life: one per worker over a shared Program; not thread safe.
#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/huge.hpp"
#include "event/batch.hpp"
#include "event/route.hpp"
#include "match/hotpath/program.hpp"
#include "match/sigma/exact.hpp"

namespace bavn::match::hotpath {

struct Hit {
  std::uint32_t record = 0;  // index into EventBatch::records
  RuleIndex rule = 0;
};

/// One record of a batch as rules see it; valid while the batch is.
class BatchRecordView final : public sigma::RecordView {
 public:
  BatchRecordView(const event::FieldPlan& plan, const event::EventBatch& batch, const event::Record& record)
      : plan_(plan), batch_(batch), record_(record) {}
  void for_each(std::string_view field, const Visit& visit) const override;
  void for_any(const Visit& visit) const override;

 private:
  const event::FieldPlan& plan_;
  const event::EventBatch& batch_;
  const event::Record& record_;
};

/// Calls visit for every value (not key) of a JSON text, decoded; stops when it returns false.
void each_json_value(std::string_view json, const sigma::RecordView::Visit& visit);

class Matcher {
 public:
  /// secret: random, so that nobody can make a bad value meet a harmless one in what is remembered.
  Matcher(const Program& program, const event::RouteTable& routes, std::uint64_t secret);
  ~Matcher();

  /// Appends the hits of every record, in record order.
  void match(const event::EventBatch& batch, std::vector<Hit>& hits);

  struct Stats {
    std::uint64_t values = 0, memo_hits = 0, record_hits = 0, candidates = 0, hits = 0;
  };
  const Stats& stats() const { return stats_; }
  /// How often each rule was looked at and held, by rule index.
  const std::vector<std::uint64_t>& looked_at() const { return looked_at_; }

 private:
  struct Entry {
    std::uint64_t key = 0;
    std::uint32_t from = 0, count = 0;  // witness numbers in pool_
  };
  struct FieldUse {
    std::uint32_t probes = 0, found = 0;
    bool bypass = false;
  };
  struct RouteState {
    const RouteProgram* program = nullptr;
    std::vector<FieldUse> use;
    FieldUse records;  // of the record memo
  };
  struct KnownRecord {
    std::uint64_t key = 0;
    std::uint32_t from = 0, count = 0;  // rules to evaluate again, in record_pool_
  };

  RouteState& state(event::RouteId id);
  void hash_records(const event::EventBatch& batch, std::size_t from, std::size_t to);
  void look_at_values(const event::Record& record, const RouteProgram& p, RouteState& st);
  void propose(const RouteProgram& p, std::uint32_t witness_number);
  bool holds(std::uint32_t node);
  bool predicate(PredicateId id);
  void index_fields();
  std::string_view decoded(std::uint32_t field);
  bool keyword(PredicateId id);

  const Program& program_;
  const event::RouteTable& routes_;
  std::uint64_t secret_;
  std::vector<RouteState> states_;
  // Records whose values (of all fields that rules look at) came before: the rules that held then, and those that ask for keywords,
  // are evaluated again, no others.
  HugeVector<KnownRecord> records_;
  std::vector<RuleIndex> remembered_;
  std::vector<RuleIndex> record_pool_;
  // Records are hashed some ahead of being looked at, so that what is known of them has come into the cache by then.
  static constexpr std::size_t kAhead = 16;
  std::array<std::uint64_t, kAhead> keys_{};
  std::vector<std::uint64_t> hashes_;  // of the fields of those records, from hashes_from_ on
  std::uint32_t hashes_from_ = 0;
  HugeVector<Entry> memo_;
  std::vector<std::uint32_t> pool_;
  std::vector<std::uint64_t> seen_once_;  // doorkeeper: a value is remembered at second sight
  std::uint32_t seen_count_ = 0;

  std::uint32_t epoch_ = 0;
  std::vector<std::uint32_t> rule_epoch_, predicate_epoch_, slot_epoch_;
  std::vector<std::uint32_t> keyword_epoch_;  // by predicate: the record in which its run was seen
  std::vector<char> predicate_value_;
  std::vector<std::uint32_t> decisive_;  // by node of a condition: the child that decided it last, tried first
  std::vector<std::uint16_t> slot_first_;
  std::vector<std::uint16_t> next_;  // by field of the record
  std::vector<std::string> text_;    // decoded values of escaped fields
  std::vector<std::uint32_t> text_epoch_;
  bool indexed_ = false;
  std::vector<RuleIndex> candidates_;
  std::vector<PredicateId> found_;
  std::vector<std::uint32_t> numbers_;
  std::string folded_, scratch_, line_;
  // Every value of the record, for keywords; filled on demand.
  std::vector<std::pair<std::string_view, sigma::ValueKind>> all_values_;
  std::deque<std::string> all_text_;
  std::string folded_line_;
  bool values_listed_ = false, line_folded_ = false;
  KeywordWitnesses::Scratch keyword_scratch_;
  const event::EventBatch* batch_ = nullptr;
  const event::Record* record_ = nullptr;
  const RouteProgram* route_ = nullptr;
  Stats stats_;
  std::vector<std::uint64_t> looked_at_;
};

}  // namespace bavn::match::hotpath
