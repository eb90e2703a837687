#include "formats/line_tools.hpp"

#include "base/text.hpp"

namespace bavn::formats {

namespace {

bool digit(char c) {
  return c >= '0' && c <= '9';
}
bool alpha(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool blank(char c) {
  return c == ' ' || c == '\t';
}

/// " UTC", " GMT", "Z", "+0200", " -05:00" at the start of s: seconds east of UTC.
std::size_t zone(std::string_view s, std::int64_t& east) {
  const std::size_t at = !s.empty() && s[0] == ' ' ? 1 : 0;
  const std::string_view z = s.substr(at);
  const auto ends = [&](std::size_t n) { return z.size() == n || !(alpha(z[n]) || digit(z[n])); };
  if ((z.starts_with("UTC") || z.starts_with("GMT")) && ends(3)) return at + 3;
  if (at == 0 && z.starts_with('Z') && ends(1)) return 1;
  // Names of Europe's zones mean one thing; those that mean several (BST, IST, CST) are not guessed.
  struct Named {
    std::string_view name;
    std::int64_t hours;
  };
  for (const auto& [name, hours] : {Named{"CEST", 2}, Named{"CET", 1}, Named{"MEST", 2}, Named{"MET", 1},
                                    Named{"EEST", 3}, Named{"EET", 2}, Named{"WEST", 1}, Named{"WET", 0}})
    if (z.starts_with(name) && (z.size() == name.size() || z[name.size()] == ' ' || z[name.size()] == ':')) {
      east = hours * 3600;
      return at + name.size();
    }
  if (z.size() >= 5 && (z[0] == '+' || z[0] == '-') && digit(z[1]) && digit(z[2])) {
    const std::size_t m = z[3] == ':' ? 4 : 3;
    if (z.size() < m + 2 || !digit(z[m]) || !digit(z[m + 1]) || (z.size() > m + 2 && digit(z[m + 2]))) return 0;
    east = ((z[1] - '0') * 10 + (z[2] - '0')) * 3600 + ((z[m] - '0') * 10 + (z[m + 1] - '0')) * 60;
    if (z[0] == '-') east = -east;
    return at + m + 2;
  }
  return 0;
}

}  // namespace

bool Cursor::skip(char c) {
  if (rest_.empty() || rest_.front() != c) return false;
  rest_.remove_prefix(1);
  return true;
}

bool Cursor::skip(std::string_view text) {
  if (!rest_.starts_with(text)) return false;
  rest_.remove_prefix(text.size());
  return true;
}

Cursor& Cursor::spaces() {
  while (!rest_.empty() && blank(rest_.front())) rest_.remove_prefix(1);
  return *this;
}

std::optional<std::string_view> Cursor::until(char stop) {
  const std::size_t at = rest_.find(stop);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view out = rest_.substr(0, at);
  rest_.remove_prefix(at + 1);
  return out;
}

std::optional<std::string_view> Cursor::until(std::string_view stop) {
  const std::size_t at = rest_.find(stop);
  if (at == std::string_view::npos) return std::nullopt;
  const std::string_view out = rest_.substr(0, at);
  rest_.remove_prefix(at + stop.size());
  return out;
}

std::string_view Cursor::word() {
  spaces();
  std::size_t n = 0;
  while (n < rest_.size() && !blank(rest_[n])) ++n;
  const std::string_view out = rest_.substr(0, n);
  advance(n + 1);
  return out;
}

std::optional<std::int64_t> Cursor::number(std::size_t max_digits) {
  std::size_t n = 0;
  std::int64_t v = 0;
  while (n < rest_.size() && n < max_digits && n < 18 && digit(rest_[n])) v = v * 10 + (rest_[n++] - '0');
  if (n == 0) return std::nullopt;
  rest_.remove_prefix(n);
  return v;
}

bool all_digits(std::string_view s) {
  for (const char c : s)
    if (!digit(c)) return false;
  return !s.empty();
}

bool looks_like_ip(std::string_view s) {
  std::size_t dots = 0, colons = 0;
  bool hex = true;
  for (const char c : s) {
    if (c == '.') ++dots;
    else if (c == ':') ++colons;
    else if (!digit(c)) hex = hex && ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')), dots += 100;
  }
  if (s.size() < 2 || s.size() > 45) return false;
  if (colons >= 2) return hex;
  return colons == 0 && dots == 3 && digit(s.front()) && digit(s.back());
}

std::string_view between(std::string_view s, std::string_view open, std::string_view close) {
  const std::size_t a = s.find(open);
  if (a == std::string_view::npos) return {};
  s.remove_prefix(a + open.size());
  const std::size_t b = s.find(close);
  return b == std::string_view::npos ? std::string_view{} : s.substr(0, b);
}

std::optional<Instant> instant(const Civil& c) {
  if (c.year < 1900 || c.year > 9999 || c.month < 1 || c.month > 12 || c.day < 1 || c.day > 31 || c.hour > 23 ||
      c.minute > 59 || c.second > 60)
    return std::nullopt;
  using std::chrono::year_month_day;
  if (!year_month_day(std::chrono::year(static_cast<int>(c.year)), std::chrono::month(static_cast<unsigned>(c.month)),
                      std::chrono::day(static_cast<unsigned>(c.day)))
           .ok())
    return std::nullopt;
  const std::int64_t days = days_from_civil(c.year, static_cast<unsigned>(c.month), static_cast<unsigned>(c.day));
  return from_micros((days * 86400 + c.hour * 3600 + c.minute * 60 + c.second) * 1000000 + c.microsecond);
}

int month_of(std::string_view name) {
  static constexpr std::string_view months = "janfebmaraprmayjunjulaugsepoctnovdec";
  if (name.size() < 3) return 0;
  const char three[] = {ascii_lower(name[0]), ascii_lower(name[1]), ascii_lower(name[2])};
  for (std::size_t i = 0; i < 12; ++i)
    if (months.substr(i * 3, 3) == std::string_view(three, 3)) return static_cast<int>(i) + 1;
  return 0;
}

std::size_t clock_time(std::string_view s, Civil& c) {
  const auto two = [&](std::size_t at, int& out) {
    if (at + 1 >= s.size() || !digit(s[at]) || !digit(s[at + 1])) return false;
    out = (s[at] - '0') * 10 + (s[at + 1] - '0');
    return true;
  };
  std::size_t shift = 0;  // "7:52:03" has one digit for the hour
  if (s.size() > 1 && digit(s[0]) && s[1] == ':') {
    c.hour = s[0] - '0';
    shift = 1;
  } else if (!two(0, c.hour)) {
    return 0;
  }
  if (s.size() < 8 - shift || s[2 - shift] != ':' || s[5 - shift] != ':' || !two(3 - shift, c.minute) ||
      !two(6 - shift, c.second))
    return 0;
  std::size_t at = 8 - shift;
  if (at + 1 < s.size() && (s[at] == '.' || s[at] == ',') && digit(s[at + 1])) {
    std::int64_t scale = 100000;
    for (++at; at < s.size() && digit(s[at]); ++at, scale /= 10) c.microsecond += (s[at] - '0') * scale;
  }
  return at;
}

std::optional<TimePrefix> bsd_time(std::string_view s, std::optional<Instant> reference) {
  if (s.size() < 14 || !alpha(s[0]) || s[3] != ' ') return std::nullopt;
  Civil c;
  c.month = month_of(s);
  if (c.month == 0) return std::nullopt;
  Cursor at(s.substr(3));
  const auto day = at.spaces().number(2);
  if (!day || at.peek() != ' ') return std::nullopt;
  c.day = static_cast<int>(*day);
  at.spaces();
  bool has_year = false;
  if (at.rest().size() > 4 && all_digits(at.rest().substr(0, 4)) && at.rest()[4] == ' ') {
    c.year = *at.number(4);
    has_year = true;
    at.spaces();
  }
  std::size_t used = clock_time(at.rest(), c);
  if (used == 0) return std::nullopt;
  at.advance(used);
  if (!has_year && at.rest().size() >= 5 && at.peek() == ' ' && all_digits(at.rest().substr(1, 4)) &&
      (at.rest().size() == 5 || at.rest()[5] == ' ') && (at.rest()[1] == '1' || at.rest()[1] == '2')) {
    // "Oct 11 22:14:15 2024": only when it is a year of this age; host names of four digits are not seen.
    at.advance(1);
    c.year = *at.number(4);
    has_year = true;
  }
  std::int64_t east = 0;
  if (used = zone(at.rest(), east); used != 0) at.advance(used);
  TimePrefix out{std::nullopt, s.size() - at.rest().size()};
  const auto shifted = [&](std::int64_t year) -> std::optional<Instant> {
    c.year = year;
    auto t = instant(c);
    if (t) *t -= std::chrono::seconds{east};
    return t;
  };
  if (has_year) {
    out.t = shifted(c.year);
  } else if (reference) {
    const std::chrono::year_month_day now{std::chrono::floor<std::chrono::days>(*reference)};
    const std::int64_t year = static_cast<int>(now.year());
    const int back = c.month == 2 && c.day == 29 ? 8 : 1;  // the last leap year
    for (std::int64_t y = year + 1; y >= year - back; --y) {
      out.t = shifted(y);
      if (out.t && *out.t <= *reference + std::chrono::hours{24}) break;
    }
  }
  return out;
}

std::optional<TimePrefix> iso_time(std::string_view s) {
  if (s.size() < 19 || !digit(s[0]) || (s[4] != '-' && s[4] != '/') || (s[10] != 'T' && s[10] != ' '))
    return std::nullopt;
  std::size_t n = s.find(' ', 11);
  if (n == std::string_view::npos) n = s.size();
  std::size_t end = n;
  while (end > 19 && (s[end - 1] == ':' || s[end - 1] == ',' || s[end - 1] == ';')) --end;
  std::string_view text = s.substr(0, end);
  // Check Point writes "2023-01-13T10:10:16--5:00": zone by hand.
  if (text.size() > 20 && text[19] == '-' && text[20] == '-' && text.size() >= 22 && digit(text[21])) {
    auto t = parse_time(text.substr(0, 19));
    if (t) *t += std::chrono::hours{text[21] - '0'};
    return TimePrefix{t, n};
  }
  const auto t = parse_time(text);
  if (!t) return std::nullopt;
  return TimePrefix{t, n};
}

std::optional<Instant> clf_time(std::string_view s) {
  Cursor at(s);
  Civil c;
  const auto day = at.number(2);
  if (!day || !at.skip('/')) return std::nullopt;
  c.day = static_cast<int>(*day);
  const auto month = at.until('/');
  if (!month || month->size() != 3 || (c.month = month_of(*month)) == 0) return std::nullopt;
  const auto year = at.number(4);
  if (!year || !at.skip(':')) return std::nullopt;
  c.year = *year;
  const std::size_t used = clock_time(at.rest(), c);
  if (used == 0) return std::nullopt;
  at.advance(used);
  std::int64_t east = 0;
  zone(at.rest(), east);
  auto t = instant(c);
  if (t) *t -= std::chrono::seconds{east};
  return t;
}

std::optional<TimePrefix> bind_time(std::string_view s) {
  Cursor at(s);
  Civil c;
  const auto day = at.number(2);
  if (!day || !at.skip('-')) return std::nullopt;
  c.day = static_cast<int>(*day);
  const auto month = at.until('-');
  if (!month || month->size() != 3 || (c.month = month_of(*month)) == 0) return std::nullopt;
  const auto year = at.number(4);
  if (!year || !at.skip(' ')) return std::nullopt;
  c.year = *year;
  const std::size_t used = clock_time(at.rest(), c);
  if (used == 0) return std::nullopt;
  at.advance(used);
  return TimePrefix{instant(c), s.size() - at.rest().size()};
}

std::optional<Instant> any_time(std::string_view s, std::optional<Instant> reference) {
  s = trim(s);
  if (s.size() < 8) return std::nullopt;
  if (s.find_first_not_of("0123456789.") == std::string_view::npos) return parse_epoch(s);
  if (const auto t = bsd_time(s, reference)) return t->length == s.size() ? t->t : std::nullopt;
  if (const auto t = parse_time(s)) return t;
  return clf_time(s);
}

bool KeyValues::next(KeyValue& out) {
  const auto separator = [&](char c) { return separators_.find(c) != std::string_view::npos; };
  for (;;) {
    while (!rest_.empty() && separator(rest_.front())) rest_.remove_prefix(1);
    if (rest_.empty()) return false;
    std::size_t n = 0;
    while (n < rest_.size() && rest_[n] != assign_ && !separator(rest_[n])) ++n;
    if (n == rest_.size() || rest_[n] != assign_ || n == 0) {
      rest_.remove_prefix(n == 0 ? 1 : n);  // text without '='
      continue;
    }
    out = {.key = rest_.substr(0, n), .value = {}};
    rest_.remove_prefix(n + 1);
    if (!rest_.empty() && (rest_.front() == '"' || rest_.front() == '\'')) {
      const char quote = rest_.front();
      std::size_t end = 1;
      while (end < rest_.size() && rest_[end] != quote) {
        if (rest_[end] == '\\' && end + 1 < rest_.size() && (rest_[end + 1] == quote || rest_[end + 1] == '\\')) {
          out.escaped = true;
          ++end;
        }
        ++end;
      }
      if (end > rest_.size()) end = rest_.size();
      out.quote = quote;
      out.value = rest_.substr(1, end - 1);
      rest_.remove_prefix(end < rest_.size() ? end + 1 : end);
      return true;
    }
    n = 0;
    while (n < rest_.size() && !separator(rest_[n])) ++n;
    out.value = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return true;
  }
}

void append_unquoted(std::string& out, std::string_view body) {
  for (std::size_t i = 0; i < body.size(); ++i) {
    if (body[i] == '\\' && i + 1 < body.size() &&
        (body[i + 1] == '"' || body[i + 1] == '\'' || body[i + 1] == '\\' || body[i + 1] == ']'))
      ++i;
    out += body[i];
  }
}

bool CsvFields::next(std::string_view& value, std::string& scratch) {
  if (done_) return false;
  if (!rest_.empty() && rest_.front() == '"') {
    std::size_t i = 1;
    bool doubled = false;
    while (i < rest_.size()) {
      if (rest_[i] == '"') {
        if (i + 1 >= rest_.size() || rest_[i + 1] != '"') break;
        doubled = true;
        ++i;
      }
      ++i;
    }
    open_quote_ = i >= rest_.size();
    const std::string_view body = rest_.substr(1, (open_quote_ ? rest_.size() : i) - 1);
    rest_.remove_prefix(open_quote_ ? rest_.size() : i + 1);
    // Text between the closing quote and the separator is not CSV; it is dropped with the field's end.
    const std::size_t end = rest_.find(separator_);
    if (end == std::string_view::npos) done_ = true;
    else rest_.remove_prefix(end + 1);
    if (!doubled) {
      value = body;
      return true;
    }
    scratch.clear();
    for (std::size_t k = 0; k < body.size(); ++k) {
      scratch += body[k];
      if (body[k] == '"' && k + 1 < body.size() && body[k + 1] == '"') ++k;
    }
    value = scratch;
    return true;
  }
  const std::size_t end = rest_.find(separator_);
  value = rest_.substr(0, end);
  if (end == std::string_view::npos) done_ = true;
  else rest_.remove_prefix(end + 1);
  return true;
}

UrlParts url_parts(std::string_view url) {
  UrlParts out;
  std::string_view s = url;
  if (const auto at = s.find("://"); at != std::string_view::npos && at > 0 && at < 16) {
    out.scheme = s.substr(0, at);
    s.remove_prefix(at + 3);
  } else if (s.starts_with("//")) {
    s.remove_prefix(2);
  } else if (s.starts_with('/') || s.empty()) {
    out.path = s;
    s = {};
  }
  if (!s.empty()) {
    const std::size_t end = s.find_first_of("/?#");
    std::string_view authority = s.substr(0, end);
    out.path = end == std::string_view::npos ? std::string_view{} : s.substr(end);
    if (const auto user = authority.rfind('@'); user != std::string_view::npos) authority.remove_prefix(user + 1);
    const HostPort hp = host_port(authority);
    out.host = hp.host;
    out.port = hp.port;
  }
  if (const auto f = out.path.find('#'); f != std::string_view::npos) out.path = out.path.substr(0, f);
  if (const auto q = out.path.find('?'); q != std::string_view::npos) {
    out.query = out.path.substr(q + 1);
    out.path = out.path.substr(0, q);
  }
  const std::string_view last =
      out.path.substr(out.path.rfind('/') == std::string_view::npos ? 0 : out.path.rfind('/') + 1);
  if (const auto dot = last.rfind('.'); dot != std::string_view::npos && last.size() - dot <= 12)
    out.extension = last.substr(dot + 1);
  return out;
}

HostPort host_port(std::string_view s) {
  if (s.starts_with('[')) {
    const std::size_t end = s.find(']');
    if (end == std::string_view::npos) return {s.substr(1), {}};
    HostPort out{s.substr(1, end - 1), {}};
    if (end + 1 < s.size() && s[end + 1] == ':') out.port = s.substr(end + 2);
    return out;
  }
  if (const auto hash = s.rfind('#'); hash != std::string_view::npos) return {s.substr(0, hash), s.substr(hash + 1)};
  const std::size_t colon = s.rfind(':');
  if (colon == std::string_view::npos || s.find(':') != colon) return {s, {}};
  return {s.substr(0, colon), s.substr(colon + 1)};
}

}  // namespace bavn::formats
