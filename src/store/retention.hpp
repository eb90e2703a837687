#pragma once
// How long each kind of data is kept, and why; what is older goes. A class is a name in the table retention_class; its days are the operator's
// to change. Code registers, for each class, what to delete: a module brings the rules of its own tables.
// Life: made once with all rules; start() keeps it going by a timer, once a day. Thread rules: any thread after it was made.
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "store/state.hpp"

namespace bavn::store {

struct RetentionRule {
  std::string name;       // of the class: "audit"
  std::int64_t days = 0;  // at first; the table's number counts
  std::string reason;     // a sentence: why so long and no longer
  /// Deletes what is older than `before`; returns how many rows. At most about 10,000 a call: it is called until it returns 0.
  std::function<Result<std::int64_t>(Tx&, Instant before)> forget;
};

/// A rule that is one statement with :before (microseconds) and nothing else bound:
///   "DELETE FROM kept_reply WHERE rowid IN (SELECT rowid FROM kept_reply WHERE at_us < :before LIMIT 10000)"
RetentionRule retention_rule(std::string name, std::int64_t days, std::string reason, std::string sql);

/// Of the tables of area core: announced events every consumer has seen (7 days; 90 whoever has not), given-up jobs (90), kept replies (1),
/// the audit log (5 years).
std::vector<RetentionRule> core_retention();

struct RetentionClass {
  std::string name;
  std::int64_t days = 0;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(RetentionClass, (), (name, days, reason))

class Retention {
 public:
  /// Writes the classes that are new; those that are there keep their days. Errors: conflict for a class registered twice.
  static Result<std::unique_ptr<Retention>> open(State& state, std::vector<RetentionRule> rules);

  /// Deletes what is too old now, class by class, each in transactions of its own; notes in the audit log what went. Blocks: not on the
  /// writer's queue. Returns class and rows of each that lost some.
  Result<std::vector<std::pair<std::string, std::int64_t>>> retain(Instant now);
  /// Once a day from now on, on `queue`; before State::start().
  Result<void> start(QueueId queue);

  Result<std::vector<RetentionClass>> classes() const;
  /// Audited. Errors: not_found, bad_input for less than a day or more than 100 years.
  Result<void> set_days(std::string_view who, std::string_view name, std::int64_t days);

 private:
  Retention(State& state, std::vector<RetentionRule> rules) : state_(state), rules_(std::move(rules)) {}
  State& state_;
  std::vector<RetentionRule> rules_;
};

}  // namespace bavn::store
