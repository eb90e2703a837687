#pragma once
// A finding on its way into an alert: what was found, where the record lies in history, whom or what it concerns.
// Life: plain values; strings are owned.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.hpp"
#include "event/finding.hpp"

namespace bavn::alerts {

/// Whom or what a finding is about: one alert for each.
struct Concern {
  std::string kind;  // account, host, address, source, group (of a correlation)
  std::string value;
  friend auto operator<=>(const Concern&, const Concern&) = default;
};

/// Where a record lies: line counts from 1 within the frame.
struct Place {
  std::uint32_t segment = 0, frame = 0, line = 0;
  friend auto operator<=>(const Place&, const Place&) = default;
};

/// One finding, or `count` of the same rule, concern and day out of one frame, of which it is the first.
struct Found {
  event::Finding finding;
  Place place;
  MunicipalityId municipality{};
  TenantId tenant{};
  std::string source;
  Concern concern;
  std::int64_t received_us = 0;
  std::uint64_t line_hash = 0;
  std::uint64_t count = 1;
  std::int64_t first_us = 0, last_us = 0;  // happened; received when there is no time
};

/// "sigma:<id>", "correlation:<id>", "indicators:<source>": what has a life, a rate and a budget.
std::string rule_of(const event::Finding& f);
/// What findings of one alert share besides municipality, tenant and concern: the rule, or the indicator itself.
std::string subject_of(const event::Finding& f);
/// BLAKE2b, 16 bytes as hex, of the subject and the place: the same finding has the same id in every life of the process.
std::string finding_id(const event::Finding& f, const Place& place);
std::string alert_key(const Found& f);
/// Larger comes first in the queue: an indicator with action block, then critical rules.
int rank_of(const event::Finding& f);

}  // namespace bavn::alerts
