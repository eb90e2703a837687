#include "base/time.hpp"

#include <fmt/format.h>

namespace bavn {

namespace {

bool digits(std::string_view s, std::size_t at, std::size_t n, int& out) {
  if (at + n > s.size()) return false;
  int v = 0;
  for (std::size_t i = at; i < at + n; ++i) {
    if (s[i] < '0' || s[i] > '9') return false;
    v = v * 10 + (s[i] - '0');
  }
  out = v;
  return true;
}

}  // namespace

std::int64_t days_from_civil(std::int64_t y, unsigned m, unsigned d) {
  y -= m <= 2;
  const std::int64_t era = (y >= 0 ? y : y - 399) / 400;
  const auto yoe = static_cast<unsigned>(y - era * 400);
  const unsigned doy = (153 * (m + (m > 2 ? -3U : 9U)) + 2) / 5 + d - 1;
  const unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
  return era * 146097 + static_cast<std::int64_t>(doe) - 719468;
}

std::optional<Instant> parse_time(std::string_view s) {
  while (!s.empty() && (s.back() == ' ' || s.back() == '\r')) s.remove_suffix(1);
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  int year, month, day, hour = 0, minute = 0, second = 0;
  if (!digits(s, 0, 4, year) || s.size() < 10 || (s[4] != '-' && s[4] != '/') || !digits(s, 5, 2, month) ||
      s[7] != s[4] || !digits(s, 8, 2, day))
    return std::nullopt;
  if (month < 1 || month > 12 || day < 1 || day > 31) return std::nullopt;
  std::size_t at = 10;
  std::int64_t fraction = 0;
  std::int64_t offset_s = 0;
  if (at < s.size()) {
    if (s[at] != 'T' && s[at] != 't' && s[at] != ' ') return std::nullopt;
    ++at;
    if (!digits(s, at, 2, hour) || at + 2 >= s.size() || s[at + 2] != ':' || !digits(s, at + 3, 2, minute))
      return std::nullopt;
    at += 5;
    if (at < s.size() && s[at] == ':') {
      if (!digits(s, at + 1, 2, second)) return std::nullopt;
      at += 3;
    }
    if (hour > 23 || minute > 59 || second > 60) return std::nullopt;
    if (at < s.size() && (s[at] == '.' || s[at] == ',')) {
      ++at;
      std::int64_t scale = 100000;
      std::size_t n = 0;
      while (at < s.size() && s[at] >= '0' && s[at] <= '9') {
        fraction += (s[at] - '0') * scale;
        scale /= 10;
        ++at;
        ++n;
      }
      if (n == 0) return std::nullopt;
    }
    if (at < s.size() && s[at] == ' ') ++at;
    if (at < s.size()) {
      if (s[at] == 'Z' || s[at] == 'z' || s.substr(at) == "UTC" || s.substr(at) == "GMT") {
        // UTC
      } else if (s[at] == '+' || s[at] == '-') {
        int oh = 0, om = 0;
        if (!digits(s, at + 1, 2, oh)) return std::nullopt;
        std::size_t m = at + 3;
        if (m < s.size() && s[m] == ':') ++m;
        if (m < s.size() && !digits(s, m, 2, om)) return std::nullopt;
        if (oh > 18 || om > 59) return std::nullopt;
        offset_s = (oh * 3600 + om * 60) * (s[at] == '-' ? -1 : 1);
      } else {
        return std::nullopt;
      }
    }
  }
  const std::int64_t days = days_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
  const std::int64_t seconds = days * 86400 + hour * 3600 + minute * 60 + second - offset_s;
  return from_micros(seconds * 1000000 + fraction);
}

std::optional<Instant> parse_epoch(std::string_view s) {
  if (s.empty() || s.size() > 32) return std::nullopt;
  bool negative = s[0] == '-';
  if (negative) s.remove_prefix(1);
  std::int64_t whole = 0;
  std::size_t i = 0;
  for (; i < s.size() && s[i] >= '0' && s[i] <= '9'; ++i) {
    if (i >= 19) return std::nullopt;
    if (whole > (INT64_MAX - 9) / 10) return std::nullopt;
    whole = whole * 10 + (s[i] - '0');
  }
  if (i == 0) return std::nullopt;
  std::int64_t fraction = 0;
  if (i < s.size()) {
    if (s[i] != '.') return std::nullopt;
    std::int64_t scale = 100000;
    for (++i; i < s.size(); ++i) {
      if (s[i] < '0' || s[i] > '9') return std::nullopt;
      fraction += (s[i] - '0') * scale;
      scale /= 10;
    }
  }
  std::int64_t us;
  if (whole < 100'000'000'000) us = whole * 1'000'000 + fraction;             // until the year 5138
  else if (whole < 100'000'000'000'000) us = whole * 1000 + fraction / 1000;  // milliseconds
  else if (whole < 100'000'000'000'000'000) us = whole;                       // microseconds
  else us = whole / 1000;                                                     // nanoseconds
  return from_micros(negative ? -us : us);
}

std::string format_time(Instant t) {
  const auto day = std::chrono::floor<std::chrono::days>(t);
  const std::chrono::year_month_day ymd{day};
  const std::int64_t us = (t - day).count();
  std::string out = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", static_cast<int>(ymd.year()),
                                static_cast<unsigned>(ymd.month()), static_cast<unsigned>(ymd.day()), us / 3600000000,
                                us / 60000000 % 60, us / 1000000 % 60);
  if (us % 1000000 != 0) out += fmt::format(".{:06}", us % 1000000);
  out += 'Z';
  return out;
}

Instant system_now() {
  return std::chrono::time_point_cast<std::chrono::microseconds>(std::chrono::system_clock::now());
}

}  // namespace bavn
