#include "base/local_time.hpp"

#include <date/tz.h>
#include <fmt/format.h>

namespace bavn {

namespace {

Result<const date::time_zone*> zone_of(std::string_view name) {
  try {
    return date::locate_zone(std::string(name));
  } catch (const std::exception&) {
    return fail(Code::not_found,
                fmt::format("time zone {} is not known to this system; name it like Europe/Copenhagen", name));
  }
}

}  // namespace

Result<LocalTime> local_time(Instant t, std::string_view zone) {
  BAVN_TRY(const auto* where, zone_of(zone));
  const auto local = where->to_local(std::chrono::floor<std::chrono::seconds>(t));
  const auto day = date::floor<date::days>(local);
  const date::year_month_day ymd(day);
  const auto s = (local - day).count();
  return LocalTime{.year = static_cast<int>(ymd.year()),
                   .month = static_cast<unsigned>(ymd.month()),
                   .day = static_cast<unsigned>(ymd.day()),
                   .hour = static_cast<unsigned>(s / 3600),
                   .minute = static_cast<unsigned>(s / 60 % 60),
                   .second = static_cast<unsigned>(s % 60),
                   .weekday = static_cast<int>(date::weekday(day).iso_encoding())};
}

Result<std::string> format_local(Instant t, std::string_view zone) {
  BAVN_TRY(const auto* where, zone_of(zone));
  BAVN_TRY(const LocalTime l, local_time(t, zone));
  const auto info = where->get_info(std::chrono::floor<std::chrono::seconds>(t));
  return fmt::format("{:04}-{:02}-{:02} {:02}:{:02} {}", l.year, l.month, l.day, l.hour, l.minute, info.abbrev);
}

Result<Instant> from_local(const LocalTime& l, std::string_view zone) {
  BAVN_TRY(const auto* where, zone_of(zone));
  const date::year_month_day ymd{date::year(l.year), date::month(l.month), date::day(l.day)};
  if (!ymd.ok() || l.hour > 23 || l.minute > 59 || l.second > 59)
    return fail(Code::bad_input, fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02} is no date and time", l.year, l.month,
                                             l.day, l.hour, l.minute, l.second));
  const auto local = date::local_days(ymd) + std::chrono::hours(l.hour) + std::chrono::minutes(l.minute) +
                     std::chrono::seconds(l.second);
  return Instant(where->to_sys(local, date::choose::earliest));
}

}  // namespace bavn
