#include "match/sigma/lint.hpp"

#include <fmt/format.h>

#include <set>

namespace bavn::match::sigma {

namespace {

struct Possible {
  bool yes = false;
  bool no = false;
};

void collect(const RuleSet& set, const Node& n, std::set<std::string_view>& out) {
  if (n.kind == Node::Kind::leaf) {
    const Predicate& p = set.predicates[n.predicate];
    if (!p.field.empty()) out.insert(p.field);
    if (p.op == Op::field_ref) out.insert(p.other_field);
  }
  for (const auto& c : n.children) collect(set, c, out);
}

Possible decide(const RuleSet& set, const Node& n, const std::set<std::string_view>& missing) {
  if (n.kind == Node::Kind::leaf) {
    const Predicate& p = set.predicates[n.predicate];
    const bool absent = missing.contains(p.field) || (p.op == Op::field_ref && missing.contains(p.other_field));
    if (!absent) return {true, true};
    return p.op == Op::is_null ? Possible{true, false} : Possible{false, true};
  }
  if (n.kind == Node::Kind::negate) {
    const Possible c = decide(set, n.children.front(), missing);
    return {c.no, c.yes};
  }
  const bool all = n.kind == Node::Kind::all_of;
  Possible out{all, !all};
  for (const auto& child : n.children) {
    const Possible c = decide(set, child, missing);
    if (all) {
      out.yes = out.yes && c.yes;
      out.no = out.no || c.no;
    } else {
      out.yes = out.yes || c.yes;
      out.no = out.no && c.no;
    }
  }
  return out;
}

std::string described(const LogSource& l) {
  std::string out;
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty()) out += fmt::format("{}{}={}", out.empty() ? "" : " ", name, value);
  };
  add("category", l.category);
  add("product", l.product);
  add("service", l.service);
  return out;
}

}  // namespace

std::vector<std::string_view> fields_of(const RuleSet& set, const Node& condition) {
  std::set<std::string_view> fields;
  collect(set, condition, fields);
  return {fields.begin(), fields.end()};
}

std::vector<NeverMatches> can_never_match(const RuleSet& set, const Provided& provided) {
  std::vector<NeverMatches> out;
  for (std::uint32_t i = 0; i < set.rules.size(); ++i) {
    const Rule& r = set.rules[i];
    if (!provided.logsource(r.logsource)) {
      out.push_back({i, fmt::format("no known format delivers {}", described(r.logsource)), {}});
      continue;
    }
    std::set<std::string_view> missing;
    for (const auto field : fields_of(set, r.condition))
      if (!provided.field(r.logsource, field)) missing.insert(field);
    if (missing.empty() || decide(set, r.condition, missing).yes) continue;
    NeverMatches never{i, "no known format has the fields: ", {missing.begin(), missing.end()}};
    for (std::size_t k = 0; k < never.missing_fields.size(); ++k)
      never.why += (k != 0 ? ", " : "") + never.missing_fields[k];
    out.push_back(std::move(never));
  }
  return out;
}

}  // namespace bavn::match::sigma
