#pragma once
// Small scanners that the text log readers share. All views point into the line that was given; nothing allocates unless a
// std::string is passed in. None of them throws or reads past the end, whatever the bytes are.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.hpp"

namespace bavn::formats {

/// A place in one line. Every function either consumes what it names or leaves the place as it was.
class Cursor {
 public:
  explicit Cursor(std::string_view s) : rest_(s) {}
  std::string_view rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }
  char peek() const { return rest_.empty() ? '\0' : rest_.front(); }
  void advance(std::size_t n) { rest_.remove_prefix(n < rest_.size() ? n : rest_.size()); }
  bool skip(char c);
  bool skip(std::string_view text);
  Cursor& spaces();  // blanks and tabs
  /// The text before the next `stop`; the stop is consumed too.
  std::optional<std::string_view> until(char stop);
  std::optional<std::string_view> until(std::string_view stop);
  /// Up to the next blank or the end; leading blanks are skipped, the blank behind it is consumed.
  std::string_view word();
  std::optional<std::int64_t> number(std::size_t max_digits = 18);

 private:
  std::string_view rest_;
};

bool all_digits(std::string_view s);  // at least one
/// Cheap shape test, not a proof: "192.0.2.1", "2001:db8::1".
bool looks_like_ip(std::string_view s);
/// What lies between the first `open` and the `close` after it; empty when there is no such pair.
std::string_view between(std::string_view s, std::string_view open, std::string_view close);

// ---- times. Local times without a zone are taken as UTC.

struct Civil {
  std::int64_t year = 1970;
  int month = 1, day = 1, hour = 0, minute = 0, second = 0;
  std::int64_t microsecond = 0;
};
std::optional<Instant> instant(const Civil& c);  // nullopt when a part is out of range
int month_of(std::string_view name);             // "Jan", "january" -> 1; 0 when it is no month

struct TimePrefix {
  std::optional<Instant> t;  // nullopt: the shape is right, but the value is none, or the year is unknown
  std::size_t length = 0;    // bytes that belong to the time
};
/// "Oct 11 22:14:15", "Oct  1 22:14:15.123", "Oct 11 2024 22:14:15", each maybe with " UTC", " CET" or " +0200" behind it.
/// Without a year the latest year is taken that keeps the time at most one day after `reference`; without a reference t is empty.
std::optional<TimePrefix> bsd_time(std::string_view s, std::optional<Instant> reference);
/// RFC 3339 at the start of s, up to the next blank.
std::optional<TimePrefix> iso_time(std::string_view s);
/// "10/Oct/2000:13:55:36 -0700"
std::optional<Instant> clf_time(std::string_view s);
/// "19-Oct-2022 05:34:02.425" at the start of s.
std::optional<TimePrefix> bind_time(std::string_view s);
/// A whole value that is a time in whatever writing: epoch, RFC 3339, "Sep 17 2025 11:45:34 GMT", "10/Oct/2000:13:55:36 -0700".
/// nullopt when something behind the time is not understood (a zone by its name).
std::optional<Instant> any_time(std::string_view s, std::optional<Instant> reference);
/// "hh:mm:ss" with an optional fraction at the start of s; fills c and returns the bytes used, 0 when it is none.
std::size_t clock_time(std::string_view s, Civil& c);

// ---- key=value

struct KeyValue {
  std::string_view key;
  std::string_view value;  // without its quotes
  char quote = '\0';       // '"', '\'' or none
  bool escaped = false;    // has a backslash before a quote or a backslash
};
/// key=value pairs between blanks (and commas or semicolons when asked); values may be quoted. Text that is no pair is skipped.
class KeyValues {
 public:
  explicit KeyValues(std::string_view s, std::string_view separators = " \t", char assign = '=')
      : rest_(s), separators_(separators), assign_(assign) {}
  bool next(KeyValue& out);

 private:
  std::string_view rest_;
  std::string_view separators_;
  char assign_;
};
/// Takes the backslash off \" \' \\ \] ; other backslashes stay. Appends.
void append_unquoted(std::string& out, std::string_view body);

/// One CSV field after the other (RFC 4180 quotes). `scratch` holds a value with doubled quotes.
class CsvFields {
 public:
  explicit CsvFields(std::string_view s, char separator = ',') : rest_(s), separator_(separator) {}
  bool next(std::string_view& value, std::string& scratch);
  bool open_quote() const { return open_quote_; }  // the last quoted field had no end

 private:
  std::string_view rest_;
  char separator_;
  bool done_ = false;
  bool open_quote_ = false;
};

// ---- URLs and addresses

struct UrlParts {
  std::string_view scheme, host, port, path, query, extension;
};
/// "https://user@host:8080/a/b.exe?x=1#f", "host:443" (CONNECT), "/a/b?x". Host without brackets.
UrlParts url_parts(std::string_view url);

struct HostPort {
  std::string_view host, port;
};
/// "192.0.2.1:80", "[2001:db8::1]:80", "2001:db8::1", "name:80", "192.0.2.1#53" (BIND).
HostPort host_port(std::string_view s);

}  // namespace bavn::formats
