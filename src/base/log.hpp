#pragma once
// log::warn("mail_refused", {{"source", source}, {"reason", e.what}}): an event name and fields, one line of JSON on stderr.
// Never a mail body, never a person's number. Anything dropped, delayed or refused also counts in Metrics under the same name.
// Thread rules: any thread; a line is one write, so lines do not mix. The level and the sink belong to the process.
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "base/metrics.hpp"

namespace bavn::log {

enum class Level : std::uint8_t { debug, info, warn, error };

struct Field {
  std::string_view key;
  std::variant<std::string_view, std::int64_t, double, bool> value;
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(std::string_view(v)) {}
  Field(std::string_view k, const std::string& v) : key(k), value(std::string_view(v)) {}
  Field(std::string_view k, double v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v) {}
  template <std::integral N>
  Field(std::string_view k, N v) : key(k), value(static_cast<std::int64_t>(v)) {}
};
using Fields = std::initializer_list<Field>;

void write(Level level, std::string_view event, Fields fields);
inline void debug(std::string_view event, Fields fields = {}) {
  write(Level::debug, event, fields);
}
inline void info(std::string_view event, Fields fields = {}) {
  write(Level::info, event, fields);
}
inline void warn(std::string_view event, Fields fields = {}) {
  write(Level::warn, event, fields);
}
inline void error(std::string_view event, Fields fields = {}) {
  write(Level::error, event, fields);
}

/// Logs and counts under the same name.
void counted(Metrics& metrics, Level level, std::string_view event, Fields fields = {});

/// Lines below this level are not written. Default: info.
void set_level(Level level);

/// For tests: what is logged while it lives goes to lines() instead of stderr. One at a time.
class Capture {
 public:
  Capture();
  ~Capture();
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;
  std::string lines() const;
};

}  // namespace bavn::log
