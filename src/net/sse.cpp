#include "net/sse.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace bavn::net {

std::string sse_bytes(const SseEvent& event) {
  const auto append = [](std::string& out, std::string_view name, std::string_view value) {
    out += name;
    for (const char c : value)
      if (c != '\r' && c != '\n' && c != '\0') out += c;
    out += '\n';
  };
  std::string out;
  out.reserve(event.id.size() + event.event.size() + event.data.size() + 32);
  if (!event.id.empty()) append(out, "id: ", event.id);
  if (!event.event.empty()) append(out, "event: ", event.event);
  std::string_view data = event.data;
  for (;;) {
    const std::size_t end = data.find_first_of("\r\n");
    out += "data: ";
    out += data.substr(0, end);
    out += '\n';
    if (end == std::string_view::npos) break;
    data.remove_prefix(end + (data.substr(end).starts_with("\r\n") ? 2 : 1));
  }
  out += '\n';
  return out;
}

Result<void> SseParser::feed(std::string_view bytes, const std::function<void(SseEvent)>& on_event) {
  const auto too_long = [&](std::size_t more) { return rest_.size() + data_.size() + more > limit_; };
  while (!failed_ && !bytes.empty()) {
    if (after_cr_ && bytes.front() == '\n') bytes.remove_prefix(1);
    after_cr_ = false;
    if (bytes.empty()) break;
    const std::size_t end = bytes.find_first_of("\r\n");
    const std::string_view piece = bytes.substr(0, end);
    if (too_long(piece.size())) {
      failed_ = true;
      break;
    }
    if (end == std::string_view::npos) {
      rest_ += piece;
      break;
    }
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    if (rest_.empty()) {
      line(piece, on_event);
    } else {
      rest_ += piece;
      const std::string whole = std::move(rest_);
      rest_.clear();
      line(whole, on_event);
    }
  }
  if (failed_) return fail(Code::bad_input, "an event of the stream is larger than its limit");
  return {};
}

void SseParser::line(std::string_view line, const std::function<void(SseEvent)>& on_event) {
  if (std::exchange(first_line_, false) && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
  if (line.empty()) {
    if (has_data_) on_event({last_id_, std::move(event_), std::move(data_)});
    event_.clear();
    data_.clear();
    has_data_ = false;
    return;
  }
  const std::size_t colon = line.find(':');
  if (colon == 0) return;  // a comment: the heartbeat
  const std::string_view name = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (name == "data") {
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  } else if (name == "event") {
    event_ = value;
  } else if (name == "id" && value.find('\0') == std::string_view::npos) {
    last_id_ = value;
  }
}

}  // namespace bavn::net
