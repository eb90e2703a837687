#include "match/sigma/exact.hpp"

#include <algorithm>
#include <chrono>
#include <cstring>

#include "base/text.hpp"
#include "base/time.hpp"
#include "match/sigma/detection.hpp"
#include "match/sigma/fold.hpp"
#include "match/sigma/regex.hpp"

namespace bavn::match::sigma {

namespace {

bool in_network(const Predicate& p, std::string_view value) {
  std::array<std::uint8_t, 16> address;
  if (!parse_address(value, address)) return false;
  static constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF};
  const bool v4 = std::memcmp(address.data(), kMapped, 12) == 0;
  if (v4 && p.prefix_bits < 96) return false;  // an IPv6 network, even ::/0, holds no IPv4 address
  const std::size_t whole = p.prefix_bits / 8, rest = p.prefix_bits % 8;
  if (std::memcmp(address.data(), p.network.data(), whole) != 0) return false;
  return rest == 0 || ((address[whole] ^ p.network[whole]) >> (8 - rest)) == 0;
}

bool compare(Op op, double left, double right) {
  switch (op) {
    case Op::less: return left < right;
    case Op::less_equal: return left <= right;
    case Op::greater: return left > right;
    case Op::greater_equal: return left >= right;
    default: return left == right;
  }
}

int iso_week(std::chrono::sys_days day) {
  // The week of a day is the week of its Thursday (ISO 8601).
  const std::chrono::weekday weekday(day);
  const auto thursday = day + std::chrono::days(4 - static_cast<int>(weekday.iso_encoding()));
  const auto year = std::chrono::year_month_day(thursday).year();
  return static_cast<int>((thursday - std::chrono::sys_days(year / 1 / 1)).count() / 7) + 1;
}

bool time_part(const Predicate& p, std::string_view value, ValueKind kind) {
  auto at = kind == ValueKind::number ? std::nullopt : parse_time(value);
  if (!at) at = parse_epoch(trim(value));
  if (!at) return false;
  using namespace std::chrono;
  const auto day = floor<days>(*at);
  const year_month_day date(day);
  const auto minutes = duration_cast<std::chrono::minutes>(*at - day).count();
  double part = 0;
  switch (p.part) {
    case TimePart::minute: part = static_cast<double>(minutes % 60); break;
    case TimePart::hour: part = static_cast<double>(minutes / 60); break;
    case TimePart::day: part = static_cast<unsigned>(date.day()); break;
    case TimePart::week: part = iso_week(day); break;
    case TimePart::month: part = static_cast<unsigned>(date.month()); break;
    case TimePart::year: part = static_cast<int>(date.year()); break;
  }
  return compare(p.compare, part, p.number);
}

bool related(const Predicate& p, std::string_view left, std::string_view right) {
  if (right.size() > left.size()) return false;
  std::string a, b;
  if (!p.cased) {
    a = to_lower_utf8(left);
    b = to_lower_utf8(right);
    left = a;
    right = b;
  }
  switch (p.relation) {
    case Op::contains: return left.find(right) != std::string_view::npos;
    case Op::starts_with: return left.starts_with(right);
    case Op::ends_with: return left.ends_with(right);
    default: return left == right;
  }
}

bool has_null_only(const Predicate& p, const RecordView& record) {
  bool value = false;
  record.for_each(p.field, [&](std::string_view, ValueKind kind) {
    value = kind != ValueKind::null;
    return !value;
  });
  return !value;
}

bool fields_relate(const Predicate& p, const RecordView& record) {
  bool yes = false;
  record.for_each(p.field, [&](std::string_view left, ValueKind kind) {
    if (kind == ValueKind::null) return true;
    const std::string kept(left);  // a view may share its buffer with the next field
    record.for_each(p.other_field, [&](std::string_view right, ValueKind other) {
      yes = other != ValueKind::null && related(p, kept, right);
      return !yes;
    });
    return !yes;
  });
  return yes;
}

bool holds(const RuleSet& set, const Node& n, const RecordView& record) {
  switch (n.kind) {
    case Node::Kind::leaf: return satisfied(set.predicates[n.predicate], record);
    case Node::Kind::negate: return !holds(set, n.children.front(), record);
    case Node::Kind::all_of:
      return std::all_of(n.children.begin(), n.children.end(), [&](const Node& c) { return holds(set, c, record); });
    case Node::Kind::any_of:
      return std::any_of(n.children.begin(), n.children.end(), [&](const Node& c) { return holds(set, c, record); });
  }
  return false;
}

}  // namespace

bool satisfied(const Predicate& p, std::string_view value, ValueKind kind) {
  if (kind == ValueKind::null) return p.op == Op::exists;
  const std::size_t n = p.value.size();
  switch (p.op) {
    case Op::equals: return value.size() == n && (p.cased ? value == p.value : equals_folded(value, p.value));
    case Op::contains:
      if (n > value.size()) return false;
      if (p.cased) return value.find(p.value) != std::string_view::npos;
      return find_folded(value, p.value, p.rare_byte, p.rarer_pair) != std::string_view::npos;
    case Op::starts_with:
      if (n > value.size()) return false;
      return p.cased ? value.starts_with(p.value) : equals_folded(value.substr(0, n), p.value);
    case Op::ends_with:
      if (n > value.size()) return false;
      return p.cased ? value.ends_with(p.value) : equals_folded(value.substr(value.size() - n), p.value);
    case Op::wildcard: return like(value, p.value, p.cased);
    case Op::regex: return p.regex->found_in(value);
    case Op::cidr: return in_network(p, value);
    case Op::less:
    case Op::less_equal:
    case Op::greater:
    case Op::greater_equal: {
      const auto number = parse_number(value);
      return number && compare(p.op, *number, p.number);
    }
    case Op::exists:
    case Op::has_value: return true;
    case Op::is_null:
    case Op::field_ref: return false;
    case Op::time_part: return time_part(p, value, kind);
  }
  return false;
}

bool satisfied(const Predicate& p, const RecordView& record) {
  if (p.op == Op::is_null) return has_null_only(p, record);
  if (p.op == Op::field_ref) return fields_relate(p, record);
  bool yes = false;
  const RecordView::Visit visit = [&](std::string_view value, ValueKind kind) {
    yes = satisfied(p, value, kind);
    return !yes;
  };
  if (p.field.empty()) record.for_any(visit);
  else record.for_each(p.field, visit);
  return yes;
}

bool matches(const RuleSet& set, const Rule& rule, const RecordView& record) {
  return holds(set, rule.condition, record);
}

}  // namespace bavn::match::sigma
