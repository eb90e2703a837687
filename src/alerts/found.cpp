#include "alerts/found.hpp"

#include "base/digest.hpp"
#include "base/encoding.hpp"

namespace bavn::alerts {

using event::FindingKind;

namespace {

/// Parts with their lengths: no two lists of parts give the same bytes.
void append_part(std::string& out, std::string_view part) {
  out += std::to_string(part.size());
  out += ':';
  out += part;
}

std::string short_digest(std::string_view bytes) {
  return to_hex(std::string_view(blake2b256(bytes)).substr(0, 16));
}

}  // namespace

std::string rule_of(const event::Finding& f) {
  if (f.kind == FindingKind::indicator) return "indicators:" + f.indicator_source;
  return (f.kind == FindingKind::sigma ? "sigma:" : "correlation:") + (f.rule_id.empty() ? f.rule_title : f.rule_id);
}

std::string subject_of(const event::Finding& f) {
  std::string out;
  append_part(out, rule_of(f));
  if (f.kind == FindingKind::indicator) {
    append_part(out, f.indicator_kind);
    append_part(out, f.indicator_value);
  }
  return out;
}

std::string finding_id(const event::Finding& f, const Place& place) {
  std::string bytes = subject_of(f);
  append_part(bytes, std::to_string(place.segment));
  append_part(bytes, std::to_string(place.frame));
  append_part(bytes, std::to_string(place.line));
  return short_digest(bytes);
}

std::string alert_key(const Found& f) {
  std::string bytes = subject_of(f.finding);
  append_part(bytes, std::to_string(f.municipality.value));
  append_part(bytes, std::to_string(f.tenant.value));
  append_part(bytes, f.concern.kind);
  append_part(bytes, f.concern.value);
  return short_digest(bytes);
}

int rank_of(const event::Finding& f) {
  if (f.kind == FindingKind::indicator) {
    if (f.action == "block") return 100;
    if (f.action == "hold") return 85;
    return f.action == "warn" ? 60 : 40;
  }
  int rank = 30;  // no level said
  if (f.rule_level == "critical") rank = 95;
  else if (f.rule_level == "high") rank = 80;
  else if (f.rule_level == "medium") rank = 50;
  else if (f.rule_level == "low") rank = 20;
  else if (f.rule_level == "informational") rank = 10;
  return f.kind == FindingKind::correlation ? rank + 2 : rank;  // several signs are worth more than one
}

}  // namespace bavn::alerts
