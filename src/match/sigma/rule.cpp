#include "match/sigma/rule.hpp"

#include "base/result.hpp"

namespace bavn::match::sigma {

std::string_view to_string(Op op) {
  switch (op) {
    case Op::equals: return "equals";
    case Op::contains: return "contains";
    case Op::starts_with: return "starts with";
    case Op::ends_with: return "ends with";
    case Op::wildcard: return "is like";
    case Op::regex: return "matches";
    case Op::cidr: return "is in";
    case Op::less: return "<";
    case Op::less_equal: return "<=";
    case Op::greater: return ">";
    case Op::greater_equal: return ">=";
    case Op::exists: return "exists";
    case Op::has_value: return "has a value";
    case Op::is_null: return "is null";
    case Op::field_ref: return "refers to";
    case Op::time_part: return "time part";
  }
  return "";
}

std::string_view to_string(TimePart part) {
  switch (part) {
    case TimePart::minute: return "minute";
    case TimePart::hour: return "hour";
    case TimePart::day: return "day";
    case TimePart::week: return "week";
    case TimePart::month: return "month";
    case TimePart::year: return "year";
  }
  return "";
}

std::string_view to_string(Level level) {
  switch (level) {
    case Level::unset: return "";
    case Level::informational: return "informational";
    case Level::low: return "low";
    case Level::medium: return "medium";
    case Level::high: return "high";
    case Level::critical: return "critical";
  }
  return "";
}

std::string_view to_string(CorrelationType type) {
  switch (type) {
    case CorrelationType::event_count: return "event_count";
    case CorrelationType::value_count: return "value_count";
    case CorrelationType::temporal: return "temporal";
    case CorrelationType::temporal_ordered: return "temporal_ordered";
    case CorrelationType::value_sum: return "value_sum";
    case CorrelationType::value_avg: return "value_avg";
    case CorrelationType::value_percentile: return "value_percentile";
  }
  return "";
}

std::string_view to_string(Compare compare) {
  switch (compare) {
    case Compare::greater: return "gt";
    case Compare::greater_equal: return "gte";
    case Compare::less: return "lt";
    case Compare::less_equal: return "lte";
    case Compare::equal: return "eq";
    case Compare::not_equal: return "neq";
  }
  return "";
}

namespace {

// How often a byte stands in log values, roughly: 0 rare .. 9 everywhere. Not ASCII: never a probe (10).
int commonness(unsigned char c) {
  if (c >= 0x80) return 10;
  if (c == ' ' || c == 'e' || c == '\\') return 9;
  if (std::string_view("tinosra.l0").find(static_cast<char>(c)) != std::string_view::npos) return 8;
  if (std::string_view("dcmupwx1/-").find(static_cast<char>(c)) != std::string_view::npos) return 7;
  if (std::string_view("bfghvy23456789:_\"").find(static_cast<char>(c)) != std::string_view::npos) return 6;
  if (std::string_view("kjqz=,;()").find(static_cast<char>(c)) != std::string_view::npos) return 4;
  return 2;
}

}  // namespace

void Predicate::derive() {
  ascii = true;
  rare_byte = rarer_pair = 0;
  int best = 11, second = 11;
  for (std::size_t i = 0; i < value.size(); ++i) {
    const auto c = static_cast<unsigned char>(value[i]);
    ascii = ascii && c < 0x80;
    if (i >= 1024) continue;
    const int n = commonness(c);
    if (n < best) {
      second = best;
      rarer_pair = rare_byte;
      best = n;
      rare_byte = static_cast<std::uint16_t>(i);
    } else if (n < second) {
      second = n;
      rarer_pair = static_cast<std::uint16_t>(i);
    }
  }
  if (second > 9) rarer_pair = rare_byte;
}

bool Bound::holds(double measured) const {
  switch (compare) {
    case Compare::greater: return measured > value;
    case Compare::greater_equal: return measured >= value;
    case Compare::less: return measured < value;
    case Compare::less_equal: return measured <= value;
    case Compare::equal: return measured == value;
    case Compare::not_equal: return measured != value;
  }
  return false;
}

std::string_view Correlation::field_in(std::string_view name, std::size_t rule) const {
  for (const auto& alias : aliases) {
    if (alias.name == name && rule < alias.field_of.size() && !alias.field_of[rule].empty())
      return alias.field_of[rule];
  }
  return name;
}

}  // namespace bavn::match::sigma
