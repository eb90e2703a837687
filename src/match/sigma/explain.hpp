#pragma once
// A rule as people read it: its compiled condition, with everything folded, and what it needs.
#include <string>

#include "match/sigma/rule.hpp"

namespace bavn::match::sigma {

/// One test on one line: "Image ends with '\rar.exe'".
std::string explain(const Predicate& predicate);
/// The whole condition, indented; long lists are cut after `most` entries with a count of the rest.
std::string explain(const RuleSet& set, const Node& condition, std::size_t most = 50);
/// Head (title, id, level, log source, file) and condition.
std::string explain(const RuleSet& set, const Rule& rule, std::size_t most = 50);
std::string explain(const RuleSet& set, const Correlation& correlation);

}  // namespace bavn::match::sigma
