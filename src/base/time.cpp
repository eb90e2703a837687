#include "base/time.hpp"

#include <fmt/format.h>

#include <bit>
#include <cstring>

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

std::optional<Instant> civil(int year, int month, int day, int hour, int minute, int second, std::int64_t fraction_us) {
  if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60) return std::nullopt;
  const std::int64_t days = days_from_civil(year, static_cast<unsigned>(month), static_cast<unsigned>(day));
  return from_micros((days * 86400 + hour * 3600 + minute * 60 + second) * 1000000 + fraction_us);
}

/// One or two digits; at moves behind them.
bool short_number(std::string_view s, std::size_t& at, int& out) {
  if (digits(s, at, 2, out)) {
    at += 2;
    return true;
  }
  if (!digits(s, at, 1, out)) return false;
  ++at;
  return true;
}

bool fraction_of(std::string_view s, std::size_t& at, std::int64_t& us) {
  us = 0;
  if (at >= s.size() || s[at] != '.') return true;
  const std::size_t first = ++at;
  for (std::int64_t scale = 100000; at < s.size() && s[at] >= '0' && s[at] <= '9'; ++at, scale /= 10)
    us += (s[at] - '0') * scale;
  return at > first;
}

// "10/26/2020, 9:43:12.000 PM", "8/22/2022 6:11:52 PM": month first, as every Microsoft export in English has it. Without AM or PM
// it could be day first: refused.
std::optional<Instant> parse_us(std::string_view s) {
  std::size_t at = 0;
  int month, day, year, hour, minute, second;
  std::int64_t us;
  const auto eat = [&](char c) { return at < s.size() && s[at] == c ? (++at, true) : false; };
  if (!short_number(s, at, month) || !eat('/') || !short_number(s, at, day) || !eat('/') || !digits(s, at, 4, year))
    return std::nullopt;
  at += 4;
  eat(',');
  if (!eat(' ') || !short_number(s, at, hour) || !eat(':') || !digits(s, at, 2, minute)) return std::nullopt;
  at += 2;
  if (!eat(':') || !digits(s, at, 2, second)) return std::nullopt;
  at += 2;
  if (!fraction_of(s, at, us) || !eat(' ') || s.size() - at != 2 || (s[at + 1] | 0x20) != 'm' || hour < 1 || hour > 12)
    return std::nullopt;
  const char half = static_cast<char>(s[at] | 0x20);
  if (half != 'a' && half != 'p') return std::nullopt;
  return civil(year, month, day, hour % 12 + (half == 'p' ? 12 : 0), minute, second, us);
}

// "Fri Dec 31 07:07:07 2021", "Fri Dec  3 07:07:07 2021" (ctime).
std::optional<Instant> parse_ctime(std::string_view s) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  if (s.size() < 24 || s[3] != ' ' || s[7] != ' ') return std::nullopt;
  const std::size_t m = kMonths.find(s.substr(4, 3));
  if (m == std::string_view::npos || m % 3 != 0) return std::nullopt;
  std::size_t at = 8;
  while (at < s.size() && s[at] == ' ') ++at;
  int day, hour, minute, second, year;
  if (!short_number(s, at, day) || at + 14 != s.size() || s[at] != ' ' || s[at + 3] != ':' || s[at + 6] != ':' ||
      s[at + 9] != ' ' || !digits(s, at + 1, 2, hour) || !digits(s, at + 4, 2, minute) ||
      !digits(s, at + 7, 2, second) || !digits(s, at + 10, 4, year))
    return std::nullopt;
  return civil(year, static_cast<int>(m / 3) + 1, day, hour, minute, second, 0);
}

bool digit(char c) {
  return c >= '0' && c <= '9';
}

std::uint64_t load(const char* p) {
  std::uint64_t v;
  std::memcpy(&v, p, 8);
  if constexpr (std::endian::native == std::endian::big) v = __builtin_bswap64(v);
  return v;
}

/// Eight bytes, the first the lowest.
bool all_digits(std::uint64_t v) {
  return ((v & 0xF0F0F0F0F0F0F0F0) | (((v + 0x0606060606060606) & 0xF0F0F0F0F0F0F0F0) >> 4)) == 0x3333333333333333;
}

std::uint64_t eight_digits(std::uint64_t v) {
  v = (v & 0x0F0F0F0F0F0F0F0F) * 2561 >> 8;
  v = (v & 0x00FF00FF00FF00FF) * 6553601 >> 16;
  return (v & 0x0000FFFF0000FFFF) * 42949672960001 >> 32;
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
  // The common shape first, without the general reader's branches: 2024-10-01T12:00:00[.fraction]Z
  if (s.size() >= 20 && s[4] == '-' && s[7] == '-' && (s[10] == 'T' || s[10] == ' ') && s[13] == ':' && s[16] == ':' &&
      s.back() == 'Z') {
    const auto two = [&](std::size_t i) {
      return static_cast<unsigned>(s[i] - '0') * 10U + static_cast<unsigned>(s[i + 1] - '0');
    };
    // Two loads that cover the 19 bytes, separators taken for digits.
    bool good = all_digits((load(s.data()) & 0x00FFFF00FFFFFFFF) | 0x3000003000000000) &&
                all_digits((load(s.data() + 8) & 0xFFFF00FFFF00FFFF) | 0x0000300000300000) && digit(s[17]) &&
                digit(s[18]);
    std::int64_t us = 0;
    if (s.size() > 20) {
      good = good && s[19] == '.';
      const std::size_t n = s.size() - 21;  // digits of the fraction
      if (n == 0) {
        good = false;
      } else if (n <= 8) {
        // The eight bytes before the Z, without those before the fraction, filled up with zeros.
        std::uint64_t fraction = load(s.data() + s.size() - 9);
        if (n < 8) fraction = (fraction >> (8 * (8 - n))) | (0x3030303030303030ULL << (8 * n));
        good = good && all_digits(fraction);
        us = static_cast<std::int64_t>(eight_digits(fraction) / 100);
      } else {
        std::int64_t scale = 100000;
        for (std::size_t i = 20; i + 1 < s.size(); ++i) {
          good = good && digit(s[i]);
          us += (s[i] - '0') * scale;
          scale /= 10;
        }
      }
    }
    const unsigned month = two(5), day = two(8);
    if (good && month >= 1 && month <= 12 && day >= 1 && day <= 31 && two(11) <= 23 && two(14) <= 59 && two(17) <= 60) {
      const std::int64_t days = days_from_civil(static_cast<std::int64_t>(two(0)) * 100 + two(2), month, day);
      return from_micros((days * 86400 + two(11) * 3600 + two(14) * 60 + two(17)) * 1000000 + us);
    }
  }
  while (!s.empty() && (s.back() == ' ' || s.back() == '\r')) s.remove_suffix(1);
  while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
  int year, month, day, hour = 0, minute = 0, second = 0;
  // "02-03-2026 08:05:00", "02.03.2026 08.05.00": day first, as Danish and Norwegian Windows write it.
  if (s.size() >= 16 && (s[2] == '-' || s[2] == '.') && s[5] == s[2] && s[10] == ' ' && digits(s, 0, 2, day) &&
      digits(s, 3, 2, month) && digits(s, 6, 4, year)) {
    std::string turned = fmt::format("{:04}-{:02}-{:02}{}", year, month, day, s.substr(10));
    if (turned[13] == '.') turned[13] = ':';
    if (turned.size() > 16 && turned[16] == '.') turned[16] = ':';
    return parse_time(turned);
  }
  if (s.size() >= 18 && (s[1] == '/' || s[2] == '/')) return parse_us(s);
  if (s.size() >= 23 && s[3] == ' ') return parse_ctime(s);
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
