#include "input/sources/syslog/framing.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace bavn::input::sources::syslog {

namespace {
constexpr std::size_t kMaxDigits = 9;
}

void Framer::feed(std::string_view bytes, const std::function<void(std::string_view)>& on_message) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::begin: {
        // Line ends and zero bytes between messages are nobody's.
        const std::size_t at = bytes.find_first_not_of(std::string_view("\n\r\0", 3));
        if (at == std::string_view::npos) return;
        bytes.remove_prefix(at);
        state_ = bytes[0] >= '1' && bytes[0] <= '9' ? State::count : State::line;
        break;
      }
      case State::count: {
        const char c = bytes[0];
        if (ascii_digit(c) && held_.size() < kMaxDigits) {
          held_ += c;
          bytes.remove_prefix(1);
        } else if (c == ' ' && !held_.empty()) {
          left_ = 0;
          for (const char d : held_) left_ = left_ * 10 + static_cast<std::size_t>(d - '0');
          held_.clear();
          bytes.remove_prefix(1);
          state_ = left_ > max_ ? State::skip_counted : State::counted;
          if (left_ > max_) ++stats_.too_long;
        } else {
          state_ = State::line;  // a line that begins with digits
        }
        break;
      }
      case State::counted: {
        const std::size_t n = std::min(left_, bytes.size());
        left_ -= n;
        if (left_ == 0 && held_.empty()) {
          ++stats_.messages;
          on_message(bytes.substr(0, n));
          state_ = State::begin;
        } else {
          held_.append(bytes.substr(0, n));
          if (left_ == 0) line_done(on_message);
        }
        bytes.remove_prefix(n);
        break;
      }
      case State::skip_counted: {
        const std::size_t n = std::min(left_, bytes.size());
        left_ -= n;
        bytes.remove_prefix(n);
        if (left_ == 0) state_ = State::begin;
        break;
      }
      case State::line: {
        const std::size_t end = bytes.find('\n');
        const std::string_view part = bytes.substr(0, end);
        if (held_.size() + part.size() > max_) {
          ++stats_.too_long;
          held_.clear();
          state_ = State::skip_line;
          break;
        }
        bytes.remove_prefix(part.size() + (end == std::string_view::npos ? 0 : 1));
        if (end != std::string_view::npos && held_.empty()) {
          ++stats_.messages;
          on_message(part);
          state_ = State::begin;
          break;
        }
        held_.append(part);
        if (end != std::string_view::npos) line_done(on_message);
        break;
      }
      case State::skip_line: {
        const std::size_t end = bytes.find('\n');
        if (end == std::string_view::npos) return;
        bytes.remove_prefix(end + 1);
        state_ = State::begin;
        break;
      }
    }
  }
}

void Framer::line_done(const std::function<void(std::string_view)>& on_message) {
  ++stats_.messages;
  on_message(held_);
  held_.clear();
  state_ = State::begin;
}

bool Framer::finish(const std::function<void(std::string_view)>& on_message) {
  const bool whole = state_ == State::begin || state_ == State::line;
  if (state_ == State::line && !held_.empty()) line_done(on_message);
  held_.clear();
  state_ = State::begin;
  return whole;
}

}  // namespace bavn::input::sources::syslog
