#include "base/log.hpp"

#include <unistd.h>

#include <atomic>
#include <mutex>
#include <optional>

#include "base/json_writer.hpp"
#include "base/time.hpp"

namespace bavn::log {

namespace {

// stderr is one for the process, so are its level and its stand-in during a test.
std::atomic<Level> lowest{Level::info};
std::mutex capture_mutex;
std::optional<std::string> captured;

constexpr std::string_view kNames[] = {"debug", "info", "warn", "error"};

}  // namespace

void write(Level level, std::string_view event, Fields fields) {
  if (level < lowest.load(std::memory_order_relaxed)) return;
  std::string line;
  JsonWriter json(line);
  json.object().member("at", format_time(system_now())).member("level", kNames[static_cast<std::size_t>(level)]);
  json.member("event", event);
  for (const Field& f : fields) std::visit([&](const auto& v) { json.member(f.key, v); }, f.value);
  json.end();
  line += '\n';
  const std::lock_guard lock(capture_mutex);
  if (captured) {
    *captured += line;
    return;
  }
  for (std::size_t at = 0; at < line.size();) {
    const ssize_t n = ::write(STDERR_FILENO, line.data() + at, line.size() - at);
    if (n <= 0) return;  // nobody reads: a log line is not worth dying for
    at += static_cast<std::size_t>(n);
  }
}

void counted(Metrics& metrics, Level level, std::string_view event, Fields fields) {
  metrics.counter(event).add();
  write(level, event, fields);
}

void set_level(Level level) {
  lowest = level;
}

Capture::Capture() {
  const std::lock_guard lock(capture_mutex);
  captured.emplace();
}
Capture::~Capture() {
  const std::lock_guard lock(capture_mutex);
  captured.reset();
}
std::string Capture::lines() const {
  const std::lock_guard lock(capture_mutex);
  return captured.value_or("");
}

}  // namespace bavn::log
