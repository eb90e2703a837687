#include "match/sigma/explain.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace bavn::match::sigma {

namespace {

// Wildcards as the rule wrote them; control characters as \xNN.
std::string shown(std::string_view value, bool wildcards) {
  std::string out = "'";
  for (const char c : value) {
    if (wildcards && c == kAnyRun) out += '*';
    else if (wildcards && c == kAnyOne) out += '?';
    else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    else out += c;
  }
  return out + "'";
}

std::string_view symbol(Op op) {
  return op == Op::equals ? "=" : to_string(op);
}

void write(std::string& out, const RuleSet& set, const Node& n, std::size_t indent, std::size_t most, bool negated) {
  const std::string margin(indent * 2, ' ');
  const std::string_view no = negated ? "not " : "";
  switch (n.kind) {
    case Node::Kind::leaf: out += fmt::format("{}{}{}\n", margin, no, explain(set.predicates[n.predicate])); return;
    case Node::Kind::negate: return write(out, set, n.children.front(), indent, most, !negated);
    case Node::Kind::all_of:
    case Node::Kind::any_of:
      out += fmt::format("{}{}{} of\n", margin, no, n.kind == Node::Kind::all_of ? "all" : "any");
      for (std::size_t i = 0; i < std::min(most, n.children.size()); ++i)
        write(out, set, n.children[i], indent + 1, most, false);
      if (n.children.size() > most) out += fmt::format("{}  and {} more\n", margin, n.children.size() - most);
  }
}

std::string head(const Meta& m) {
  std::string out = m.title + "\n";
  if (!m.id.empty()) out += fmt::format("  id: {}\n", m.id);
  if (m.level != Level::unset) out += fmt::format("  level: {}\n", to_string(m.level));
  if (!m.file.empty()) out += fmt::format("  file: {}:{}\n", m.file, m.line);
  return out;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string out;
  for (const auto& p : parts) out += (out.empty() ? "" : ", ") + p;
  return out;
}

}  // namespace

std::string explain(const Predicate& p) {
  const std::string field = p.field.empty() ? "the record" : p.field;
  const std::string_view cased = p.cased ? " (case counts)" : "";
  switch (p.op) {
    case Op::exists:
    case Op::has_value:
    case Op::is_null: return fmt::format("{} {}", field, to_string(p.op));
    case Op::less:
    case Op::less_equal:
    case Op::greater:
    case Op::greater_equal: return fmt::format("{} {} {}", field, symbol(p.op), p.number);
    case Op::time_part:
      return fmt::format("{} of {} (UTC) {} {}", to_string(p.part), field, symbol(p.compare), p.number);
    case Op::field_ref: return fmt::format("{} {} the field {}{}", field, symbol(p.relation), p.other_field, cased);
    case Op::cidr: return fmt::format("{} is in {}", field, p.value);
    case Op::regex:
      return fmt::format("{} matches /{}/{}{}{}", field, p.value,
                         (p.regex_flags & Predicate::kRegexIgnoreCase) != 0 ? "i" : "",
                         (p.regex_flags & Predicate::kRegexMultiline) != 0 ? "m" : "",
                         (p.regex_flags & Predicate::kRegexDotAll) != 0 ? "s" : "");
    default: return fmt::format("{} {} {}{}", field, symbol(p.op), shown(p.value, p.op == Op::wildcard), cased);
  }
}

std::string explain(const RuleSet& set, const Node& condition, std::size_t most) {
  std::string out;
  write(out, set, condition, 0, most, false);
  return out;
}

std::string explain(const RuleSet& set, const Rule& rule, std::size_t most) {
  std::string out = head(rule.meta);
  out += "  log source:";
  for (const auto& [name, value] :
       {std::pair<std::string_view, const std::string&>("category", rule.logsource.category),
        {"product", rule.logsource.product},
        {"service", rule.logsource.service}})
    if (!value.empty()) out += fmt::format(" {}={}", name, value);
  out += '\n';
  for (const auto c : rule.correlations)
    out += fmt::format("  feeds the correlation: {}\n", set.correlations[c].meta.title);
  if (!rule.reports) out += "  gives no finding of its own\n";
  write(out, set, rule.condition, 1, most, false);
  return out;
}

std::string explain(const RuleSet& set, const Correlation& c) {
  std::string out = head(c.meta);
  out += fmt::format("  {} within {} s", to_string(c.type), c.timespan.count());
  if (!c.fields.empty()) out += " over " + joined(c.fields);
  if (c.type == CorrelationType::value_percentile) out += fmt::format(", percentile {}", c.percentile);
  for (const auto& b : c.bounds) out += fmt::format(", {} {}", to_string(b.compare), b.value);
  out += '\n';
  if (!c.group_by.empty()) out += fmt::format("  for each {}\n", joined(c.group_by));
  for (const auto& r : c.rules)
    out += fmt::format("  of: {}\n",
                       r.is_correlation ? set.correlations[r.index].meta.title : set.rules[r.index].meta.title);
  for (const auto& a : c.aliases)
    for (std::size_t i = 0; i < a.field_of.size(); ++i)
      if (!a.field_of[i].empty()) out += fmt::format("  {} is {} in {}\n", a.name, a.field_of[i], c.rules[i].written);
  if (!c.reports) out += "  gives no finding of its own\n";
  return out;
}

}  // namespace bavn::match::sigma
