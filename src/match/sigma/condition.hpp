#pragma once
// Sigma's condition language: or < and < not < `1 of x*` < parentheses. Load time only.
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "match/sigma/rule.hpp"

namespace bavn::match::sigma {

constexpr std::size_t kMaxNodes = 200'000;  // of one condition, all selections put in

/// The tree of `text`, with the named nodes put in where their names stand. names and nodes: same order.
/// Unknown names, the old aggregations behind '|' and anything else that is not understood are errors that say what to do.
/// used (may be null): set to true for each name that the condition uses.
Result<Node> parse_condition(std::string_view text, const std::vector<std::string>& names,
                             const std::vector<Node>& nodes, std::vector<bool>* used = nullptr);

Node join(Node::Kind kind, std::vector<Node> children);
Node negated(Node child);
/// The shape that Node promises: flat, no doubles, no single-child groups, no double negation.
Node normalised(Node n);
std::size_t node_count(const Node& n);

}  // namespace bavn::match::sigma
