#pragma once
// Syslog on a stream of bytes: messages by count ("82 <34>1 ...", RFC 6587 section 3.4.1, RFC 5425 section 4.3.1) and by line end
// (RFC 6587 section 3.4.2), told apart message by message, because senders mix them. No I/O.
// Life: one a connection. Memory: at most one message.
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace bavn::input::sources::syslog {

struct FramerStats {
  std::uint64_t messages = 0;
  std::uint64_t too_long = 0;  // skipped whole
};

class Framer {
 public:
  explicit Framer(std::size_t max_message) : max_(max_message) {}

  /// on_message gets each whole message, without its frame; the view ends with the call.
  void feed(std::string_view bytes, const std::function<void(std::string_view message)>& on_message);
  /// The connection is over: what stands without its line end is a message; what was counted and is not all there is not.
  /// False: something was cut off.
  bool finish(const std::function<void(std::string_view message)>& on_message);

  const FramerStats& stats() const { return stats_; }
  std::size_t waiting() const { return held_.size(); }

 private:
  enum class State : std::uint8_t { begin, count, counted, line, skip_counted, skip_line };
  void line_done(const std::function<void(std::string_view)>& on_message);

  std::size_t max_;
  State state_ = State::begin;
  std::size_t left_ = 0;  // bytes of a counted message that are still to come
  std::string held_;      // what is there of a message, or the digits of a count
  FramerStats stats_;
};

}  // namespace bavn::input::sources::syslog
