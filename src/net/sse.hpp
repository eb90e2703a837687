#pragma once
// text/event-stream both ways (WHATWG HTML section 9.2): bytes in any pieces -> events, and an event -> bytes.
// Life: a parser belongs to one stream. Thread rules: one thread at a time.
#include <functional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "net/http.hpp"

namespace bavn::net {

/// The bytes of one event. Line ends in id and event are dropped; data may have several lines.
std::string sse_bytes(const SseEvent& event);

class SseParser {
 public:
  /// limit: bytes of one event; more is an error, and then nothing more is read.
  explicit SseParser(std::size_t limit) : limit_(limit) {}
  /// Calls for each event that is complete now. `id` of an event is the last id seen, as the standard says. Comments are silent.
  Result<void> feed(std::string_view bytes, const std::function<void(SseEvent)>& on_event);

 private:
  void line(std::string_view line, const std::function<void(SseEvent)>& on_event);
  std::size_t limit_;
  std::string rest_;  // of a line
  bool after_cr_ = false, first_line_ = true, failed_ = false, has_data_ = false;
  std::string last_id_, event_, data_;
};

}  // namespace bavn::net
