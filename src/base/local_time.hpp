#pragma once
// Local time for people: reports, deadlines, opening hours. Everything else is UTC. Zones come from the system's tzdata.
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/time.hpp"

namespace bavn {

struct LocalTime {
  int year = 0;
  unsigned month = 0, day = 0, hour = 0, minute = 0, second = 0;
  int weekday = 0;  // 1 Monday .. 7 Sunday (ISO 8601)
  friend bool operator==(const LocalTime&, const LocalTime&) = default;
};

/// zone: "Europe/Copenhagen". not_found when the system does not know it.
Result<LocalTime> local_time(Instant t, std::string_view zone);

/// "2024-10-27 02:30 CEST".
Result<std::string> format_local(Instant t, std::string_view zone);

/// The instant of a local clock reading. A reading that exists twice (autumn) is the earlier one; one that never exists
/// (spring) is the moment the clock jumped: a deadline is then never later than a person could read it. weekday is ignored.
Result<Instant> from_local(const LocalTime& local, std::string_view zone);

}  // namespace bavn
