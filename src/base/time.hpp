#pragma once
// Instants are UTC microseconds, always. Local time exists in base/local_time.cpp and in the browser, nowhere else.
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace bavn {

using Instant = std::chrono::sys_time<std::chrono::microseconds>;

struct HappenedAt {
  Instant t;  // the log's clock
  friend auto operator<=>(const HappenedAt&, const HappenedAt&) = default;
};
struct ReceivedAt {
  Instant t;  // our clock: evidence
  friend auto operator<=>(const ReceivedAt&, const ReceivedAt&) = default;
};

inline std::int64_t micros(Instant t) {
  return t.time_since_epoch().count();
}
inline Instant from_micros(std::int64_t us) {
  return Instant{std::chrono::microseconds{us}};
}

/// RFC 3339 and what logs make of it: "2024-10-01T12:00:00.123456Z", offset +02:00 or +0200, a space instead of T,
/// missing zone (taken as UTC), missing fraction, up to 9 fraction digits (cut to microseconds), date alone.
/// Also "8/22/2022 6:11:52 PM" (month first, AM or PM present) and ctime's "Fri Dec 31 07:07:07 2021", both taken as UTC.
std::optional<Instant> parse_time(std::string_view text);

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by size; fraction allowed.
std::optional<Instant> parse_epoch(std::string_view text);

/// "2024-10-01T12:00:00.123456Z"; the fraction is left out when it is zero.
std::string format_time(Instant t);

/// Days since 1970-01-01 for a civil date (proleptic Gregorian).
std::int64_t days_from_civil(std::int64_t year, unsigned month, unsigned day);

/// The wall clock. Only the Runtime and the command line ask it.
Instant system_now();

}  // namespace bavn
