#pragma once
// Rules that can never match, because no source has their log source or their fields. For `bavn rules lint` and the editor.
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "match/sigma/rule.hpp"

namespace bavn::match::sigma {

/// What the known formats can deliver; both are asked with the rule's own names.
struct Provided {
  /// Does any known format (or route of one) answer to this log source?
  std::function<bool(const LogSource&)> logsource;
  /// Does any format that answers to this log source have this field?
  std::function<bool(const LogSource&, std::string_view field)> field;
};

struct NeverMatches {
  std::uint32_t rule = 0;  // RuleSet::rules
  std::string why;         // "no known format delivers product=zeek", "no known format has the fields: A, B"
  std::vector<std::string> missing_fields;
};

/// Decides with three values: a test of a field that is never there is never satisfied (is_null: always); any other may go either
/// way. A rule is listed when its condition then cannot hold.
std::vector<NeverMatches> can_never_match(const RuleSet& set, const Provided& provided);

/// The fields that a condition names, sorted, each once (keywords have none).
std::vector<std::string_view> fields_of(const RuleSet& set, const Node& condition);

}  // namespace bavn::match::sigma
