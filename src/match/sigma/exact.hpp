#pragma once
// The reference evaluator: slow, obvious, exact. The hot path proposes, this decides. `satisfied` is fast and shared with it.
// Thread rules: everything here may run on many threads over one RuleSet.
#include <functional>
#include <string_view>

#include "event/field.hpp"
#include "match/sigma/rule.hpp"

namespace bavn::match::sigma {

using event::ValueKind;

/// One record as rules see it.
class RecordView {
 public:
  virtual ~RecordView() = default;
  using Visit = std::function<bool(std::string_view text, ValueKind kind)>;  // false: enough, stop

  /// Every value of the field (decoded text; a list gives each element). Calls nothing when the field is missing.
  virtual void for_each(std::string_view field, const Visit& visit) const = 0;
  /// Every value of the record and the raw message, for keywords.
  virtual void for_any(const Visit& visit) const = 0;
};

/// Does one value satisfy the predicate? For every op but is_null and field_ref (those look at more than one value: false here).
/// Never throws, never fails: a value that is no number, address or time does not satisfy a test for one.
/// null satisfies only Op::exists. Does not allocate for ASCII values.
bool satisfied(const Predicate& predicate, std::string_view value, ValueKind kind);

/// One predicate on a whole record, all ops.
bool satisfied(const Predicate& predicate, const RecordView& record);

/// The rule's condition. The log source is not looked at: that is routing.
bool matches(const RuleSet& set, const Rule& rule, const RecordView& record);

}  // namespace bavn::match::sigma
