#pragma once
// The compiled form (IR) of Sigma rules: what load.hpp makes of YAML and what the matchers read. Everything that can be folded is
// folded here: encodings, windash, placeholders, escapes, case, lists, `1 of`, filters. A plain value: build once, then share as
// `shared_ptr<const RuleSet>`; reading from many threads is safe.
#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace bavn::match::sigma {

class Regex;  // regex.hpp

enum class Op : std::uint8_t {
  equals,         // value; "" is the empty string
  contains,       // value, never empty
  starts_with,    // value, never empty
  ends_with,      // value, never empty
  wildcard,       // value: pattern with kAnyRun and kAnyOne; whole value; only what the four above cannot say
  regex,          // regex; found anywhere in the value
  cidr,           // network, prefix_bits
  less,           // number
  less_equal,     // number
  greater,        // number
  greater_equal,  // number
  exists,         // the field is there, whatever its value, null too (`|exists`)
  has_value,      // the field has a value that is not null; "" counts (`field: '*'`, `field|contains: ''`)
  is_null,        // the field is missing or every value is null; evaluated on the field, not on a value
  field_ref,      // relation between two fields of one record; evaluated on the record, not on a value
  time_part,      // number: minute, hour, day, week, month or year of the value read as a timestamp, in UTC
};
std::string_view to_string(Op op);

enum class TimePart : std::uint8_t { minute, hour, day, week /* ISO 8601 */, month, year };
std::string_view to_string(TimePart part);

/// In the value of Op::wildcard: bytes that valid UTF-8 never holds.
constexpr char kAnyRun = '\xFF';  // * in the rule
constexpr char kAnyOne = '\xFE';  // ? in the rule: one character (code point)

/// One test of one field. Identical tests of all rules share one PredicateId.
/// A field with several values satisfies it when any of its values does (is_null: when none has a value).
struct Predicate {
  std::string
      field;  // as the rule writes it; empty: a keyword, tried on every value of the record and on the raw message
  Op op = Op::equals;
  bool cased = false;
  std::string value;        // folded with bavn::to_lower_utf8 unless cased; regex: the pattern; cidr: as written
  std::string other_field;  // field_ref
  Op relation =
      Op::equals;  // field_ref: equals, contains, starts_with, ends_with: `field` <relation> value of `other_field`
  TimePart part = TimePart::minute;        // time_part
  Op compare = Op::equals;                 // time_part: equals, less, less_equal, greater, greater_equal
  double number = 0;                       // less .. greater_equal, time_part
  std::array<std::uint8_t, 16> network{};  // cidr; IPv4 as ::ffff:a.b.c.d
  std::uint8_t prefix_bits = 0;            // cidr, counted in the 128 bits (IPv4 /8 is 104)
  std::uint8_t regex_flags = 0;            // kRegex*
  std::shared_ptr<const Regex> regex;      // regex; compiled once at load

  // Derived from the above by derive(): how `contains` searches.
  bool ascii = true;             // `value` has only ASCII bytes
  std::uint16_t rare_byte = 0;   // position in `value` of the byte that logs hold least often
  std::uint16_t rarer_pair = 0;  // and of the next one
  void derive();

  static constexpr std::uint8_t kRegexIgnoreCase = 1;
  static constexpr std::uint8_t kRegexMultiline = 2;
  static constexpr std::uint8_t kRegexDotAll = 4;
};

using PredicateId = std::uint32_t;

/// A condition tree: and/or with at least two children, no and below and (or below or), `negate` with one child that is no
/// `negate`, no equal siblings. Constants only at the root (a condition that folds to nothing is refused at load).
struct Node {
  enum class Kind : std::uint8_t { leaf, all_of, any_of, negate };
  Kind kind = Kind::leaf;
  PredicateId predicate = 0;   // leaf
  std::vector<Node> children;  // all_of, any_of, negate
  friend bool operator==(const Node&, const Node&) = default;
};

/// Category, product and service in lower case; empty: not said.
struct LogSource {
  std::string category, product, service;
  std::string definition;
};

enum class Level : std::uint8_t { unset, informational, low, medium, high, critical };
std::string_view to_string(Level level);

/// What rules, correlations and filters have in common.
struct Meta {
  std::string id, name, title, status, description, author, date, modified, taxonomy, license;
  std::vector<std::string> tags, references, false_positives, fields;
  Level level = Level::unset;
  std::string file;        // as given to load, or found below a folder that was
  std::uint32_t line = 0;  // 1-based line where the document begins
};

struct Rule {
  Meta meta;
  LogSource logsource;
  Node condition;  // filters included
  bool reports =
      true;  // false: only a correlation refers to it (without `generate`): its hits feed that, it gives no finding
  std::vector<std::uint32_t> correlations;  // RuleSet::correlations that refer to it directly
};

/// One rule or correlation that a correlation refers to.
struct RuleRef {
  bool is_correlation = false;
  std::uint32_t index = 0;  // into RuleSet::rules or RuleSet::correlations
  std::string written;      // id or name as written
};

enum class CorrelationType : std::uint8_t {
  event_count,
  value_count,
  temporal,
  temporal_ordered,
  value_sum,
  value_avg,
  value_percentile,
};
std::string_view to_string(CorrelationType type);

enum class Compare : std::uint8_t { greater, greater_equal, less, less_equal, equal, not_equal };
std::string_view to_string(Compare compare);  // "gt", ...

struct Bound {
  Compare compare = Compare::greater_equal;
  double value = 0;
  bool holds(double measured) const;
};

/// A group-by (or condition field) name that stands for another field in each rule.
struct Alias {
  std::string name;
  std::vector<std::string>
      field_of;  // same order as Correlation::rules; empty: the rule has no entry, `name` itself is used
};

/// Boolean expression over the referred rules (temporal types with a text condition): leaf predicate = index into rules.
struct Correlation {
  Meta meta;
  CorrelationType type = CorrelationType::event_count;
  std::vector<RuleRef> rules;  // at least one; no cycles
  std::vector<Alias> aliases;
  std::vector<std::string> group_by;  // may be empty: one group
  std::chrono::seconds timespan{};
  std::vector<Bound> bounds;        // all must hold; temporal types without bounds: every referred rule must have hit
  std::vector<std::string> fields;  // value_*: counted or added up; value_count with several counts distinct tuples
  double percentile = 50;           // value_percentile: which percentile of the values is compared with the bounds
  bool has_expression = false;
  Node expression;                          // when has_expression: instead of "every referred rule"
  bool generate = false;                    // the referred rules report too
  bool reports = true;                      // false: only another correlation refers to it (without its `generate`)
  std::vector<std::uint32_t> correlations;  // RuleSet::correlations that refer to this one directly

  /// The field that `name` means in events of rules[rule].
  std::string_view field_in(std::string_view name, std::size_t rule) const;
};

/// A filter document: ANDed as written to the rules it names (pySigma does the same); kept for display.
struct Filter {
  Meta meta;
  LogSource logsource;
  std::vector<std::uint32_t> applied_to;  // RuleSet::rules
};

/// A document that was not loaded. what: what happened and what to do.
struct Refused {
  std::string file;
  std::uint32_t line = 0;
  std::string id, title;
  std::string reason;
};

struct Warning {
  std::string file;
  std::uint32_t line = 0;
  std::string what;
};

struct RuleSet {
  std::vector<Rule> rules;
  std::vector<Correlation> correlations;
  std::vector<Filter> filters;
  std::vector<Predicate> predicates;
  std::vector<Refused> refused;
  std::vector<Warning> warnings;
  std::size_t files = 0;
  bool from_cache = false;
};

}  // namespace bavn::match::sigma
