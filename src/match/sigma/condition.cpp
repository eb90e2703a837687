#include "match/sigma/condition.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <unordered_set>

#include "base/text.hpp"

namespace bavn::match::sigma {

namespace {

constexpr std::size_t kMaxTokens = 10'000;
constexpr std::size_t kMaxNesting = 64;
constexpr std::size_t kMaxCombinations = 256;  // `3 of x*`

std::vector<std::string_view> tokens_of(std::string_view s) {
  std::vector<std::string_view> out;
  for (std::size_t i = 0; i < s.size();) {
    const char c = s[i];
    if (c == ' ' || c == '\t' || c == '\n' || c == '\r') {
      ++i;
      continue;
    }
    if (c == '(' || c == ')') {
      out.push_back(s.substr(i++, 1));
      continue;
    }
    std::size_t end = i;
    while (end < s.size() && std::string_view(" \t\r\n()").find(s[end]) == std::string_view::npos) ++end;
    out.push_back(s.substr(i, end - i));
    i = end;
  }
  return out;
}

bool glob(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, mark = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

class Parser {
 public:
  Parser(std::string_view text, const std::vector<std::string>& names, const std::vector<Node>& nodes,
         std::vector<bool>* used)
      : tokens_(tokens_of(text)), names_(names), nodes_(nodes), used_(used) {
    for (const auto& n : nodes_) sizes_.push_back(node_count(n));
  }

  Result<Node> parse() {
    if (tokens_.empty()) return fail(Code::bad_input, "the condition is empty");
    if (tokens_.size() > kMaxTokens)
      return fail(Code::bad_input, fmt::format("a condition of more than {} words", kMaxTokens));
    BAVN_TRY(Node n, any(0));
    if (at_ < tokens_.size())
      return fail(
          Code::bad_input,
          fmt::format("the condition goes on with '{}' where 'and', 'or' or the end was expected", tokens_[at_]));
    return n;
  }

 private:
  bool is(std::string_view word) const { return at_ < tokens_.size() && iequals(tokens_[at_], word); }
  bool accept(std::string_view word) {
    if (!is(word)) return false;
    ++at_;
    return true;
  }

  Result<Node> any(std::size_t depth) {
    std::vector<Node> parts;
    do {
      BAVN_TRY(Node n, all(depth));
      parts.push_back(std::move(n));
    } while (accept("or"));
    return join(Node::Kind::any_of, std::move(parts));
  }
  Result<Node> all(std::size_t depth) {
    std::vector<Node> parts;
    do {
      BAVN_TRY(Node n, negation(depth));
      parts.push_back(std::move(n));
    } while (accept("and"));
    return join(Node::Kind::all_of, std::move(parts));
  }
  Result<Node> negation(std::size_t depth) {
    bool negate = false;
    while (accept("not")) negate = !negate;
    BAVN_TRY(Node n, primary(depth));
    return negate ? negated(std::move(n)) : std::move(n);
  }
  Result<Node> primary(std::size_t depth) {
    if (depth > kMaxNesting)
      return fail(Code::bad_input, fmt::format("parentheses nested deeper than {}", kMaxNesting));
    if (at_ >= tokens_.size()) return fail(Code::bad_input, "the condition ends where a selection was expected");
    if (accept("(")) {
      BAVN_TRY(Node n, any(depth + 1));
      if (!accept(")")) return fail(Code::bad_input, "a parenthesis is not closed in the condition");
      return n;
    }
    if (at_ + 1 < tokens_.size() && iequals(tokens_[at_ + 1], "of")) return quantified();
    const auto word = tokens_[at_++];
    if (word == ")" || iequals(word, "and") || iequals(word, "or") || iequals(word, "of"))
      return fail(Code::bad_input, fmt::format("the condition has '{}' where a selection was expected", word));
    for (std::size_t i = 0; i < names_.size(); ++i)
      if (names_[i] == word) return use(i);
    const auto near = nearest(word, std::vector<std::string_view>(names_.begin(), names_.end()));
    return fail(Code::bad_input,
                fmt::format("the condition names '{}', which is not defined{}", word,
                            near.empty() ? std::string() : fmt::format(" (did you mean '{}'?)", near)));
  }
  Result<Node> quantified() {
    const auto quantity = tokens_[at_];
    at_ += 2;
    if (at_ >= tokens_.size())
      return fail(Code::bad_input, fmt::format("'{} of' needs a name, a pattern or 'them'", quantity));
    const auto pattern = tokens_[at_++];
    const bool them = iequals(pattern, "them");
    std::vector<Node> chosen;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const bool hidden = names_[i].starts_with('_') && (them || !pattern.starts_with('_'));
      if (hidden || (!them && !glob(pattern, names_[i]))) continue;
      BAVN_TRY(Node n, use(i));
      chosen.push_back(std::move(n));
    }
    if (chosen.empty())
      return fail(Code::bad_input,
                  fmt::format("'{} of {}' fits no selection: name one that is defined", quantity, pattern));
    if (iequals(quantity, "all")) return join(Node::Kind::all_of, std::move(chosen));
    if (iequals(quantity, "any")) return join(Node::Kind::any_of, std::move(chosen));
    std::size_t n = 0;
    const auto [end, error] = std::from_chars(quantity.data(), quantity.data() + quantity.size(), n);
    if (error != std::errc() || end != quantity.data() + quantity.size() || n == 0)
      return fail(Code::bad_input, fmt::format("'{} of': expected 1, any, all or a number", quantity));
    return at_least(n, std::move(chosen));
  }
  // n of k as OR over the combinations: the specification knows only 1 and all, some rules use more.
  Result<Node> at_least(std::size_t n, std::vector<Node> chosen) {
    const std::size_t k = chosen.size();
    if (n > k) return fail(Code::bad_input, fmt::format("'{} of' can never hold: only {} selections fit", n, k));
    std::vector<bool> pick(k, false);
    std::fill(pick.begin(), pick.begin() + static_cast<std::ptrdiff_t>(n), true);
    std::vector<Node> ways;
    do {
      if (ways.size() == kMaxCombinations)
        return fail(Code::bad_input, fmt::format("'{} of' has more than {} combinations", n, kMaxCombinations));
      std::vector<Node> way;
      for (std::size_t i = 0; i < k; ++i)
        if (pick[i]) way.push_back(chosen[i]);
      ways.push_back(join(Node::Kind::all_of, std::move(way)));
      total_ += node_count(ways.back());
      if (total_ > kMaxNodes) return too_large();
    } while (std::prev_permutation(pick.begin(), pick.end()));
    return join(Node::Kind::any_of, std::move(ways));
  }
  Result<Node> use(std::size_t i) {
    if (used_ != nullptr) (*used_)[i] = true;
    total_ += sizes_[i];
    if (total_ > kMaxNodes) return too_large();
    return nodes_[i];
  }
  static std::unexpected<Error> too_large() {
    return fail(Code::bad_input, fmt::format("a rule with more than {} tests: split it", kMaxNodes));
  }

  std::vector<std::string_view> tokens_;
  const std::vector<std::string>& names_;
  const std::vector<Node>& nodes_;
  std::vector<bool>* used_;
  std::vector<std::size_t> sizes_;
  std::size_t at_ = 0, total_ = 0;
};

}  // namespace

Node join(Node::Kind kind, std::vector<Node> children) {
  if (children.size() == 1) return std::move(children.front());
  Node n;
  n.kind = kind;
  n.children = std::move(children);
  return n;
}

Node negated(Node child) {
  Node n;
  n.kind = Node::Kind::negate;
  n.children.push_back(std::move(child));
  return n;
}

std::size_t node_count(const Node& n) {
  std::size_t count = 1;
  for (const auto& c : n.children) count += node_count(c);
  return count;
}

Node normalised(Node n) {
  if (n.kind == Node::Kind::leaf) return n;
  if (n.kind == Node::Kind::negate) {
    Node child = normalised(std::move(n.children.front()));
    if (child.kind == Node::Kind::negate) return Node(std::move(child.children.front()));
    return negated(std::move(child));
  }
  std::vector<Node> flat;
  std::unordered_set<PredicateId> leaves;
  std::vector<std::size_t> groups;  // indexes in flat
  const auto add = [&](Node&& c) {
    if (c.kind == Node::Kind::leaf) {
      if (leaves.insert(c.predicate).second) flat.push_back(std::move(c));
      return;
    }
    if (groups.size() <= 256)
      for (const auto g : groups)
        if (flat[g] == c) return;
    groups.push_back(flat.size());
    flat.push_back(std::move(c));
  };
  for (auto& raw : n.children) {
    Node c = normalised(std::move(raw));
    if (c.kind == n.kind) {
      for (auto& grandchild : c.children) add(std::move(grandchild));
    } else {
      add(std::move(c));
    }
  }
  return join(n.kind, std::move(flat));
}

Result<Node> parse_condition(std::string_view text, const std::vector<std::string>& names,
                             const std::vector<Node>& nodes, std::vector<bool>* used) {
  if (text.find('|') != std::string_view::npos)
    return fail(Code::bad_input,
                "the condition uses the old aggregation behind '|' (count, near ...), which Sigma gave up: write a "
                "correlation rule instead");
  if (used != nullptr) used->assign(names.size(), false);
  return Parser(text, names, nodes, used).parse();
}

}  // namespace bavn::match::sigma
