#include "input/sources/relp/session.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/result.hpp"
#include "base/text.hpp"

namespace bavn::input::sources::relp {

namespace {

constexpr unsigned kDigits = 9;              // of a number
constexpr std::size_t kCommand = 32;         // of a command's letters
constexpr std::size_t kOffers = 16U << 10U;  // bytes of an open; librelp's are under 100
constexpr std::uint32_t kLastNumber = 999'999'999;
constexpr int kVersion = 1;

bool letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

void append_frame(std::string& out, std::uint32_t number, std::string_view command, std::string_view data) {
  fmt::format_to(std::back_inserter(out), "{} {} {}", number, command, data.size());
  if (!data.empty()) out.append(" ").append(data);
  out += '\n';
}

}  // namespace

void Session::on_bytes(std::string_view bytes, const std::function<void(Ticket, std::string_view)>& on_message) {
  while (!bytes.empty() && reading()) {
    const char c = bytes.front();
    switch (state_) {
      case State::number:
        bytes.remove_prefix(1);
        if (ascii_digit(c) && digits_ < kDigits) {
          number_ = number_ * 10 + static_cast<std::uint32_t>(c - '0');
          ++digits_;
        } else if (c == ' ' && digits_ != 0) {
          state_ = State::command;
        } else {
          return fail("a frame begins with a number of at most nine digits and a space");
        }
        break;
      case State::command:
        bytes.remove_prefix(1);
        if (letter(c) && command_.size() < kCommand) {
          command_ += c;
        } else if (c == ' ' && !command_.empty()) {
          state_ = State::length;
          digits_ = 0;
        } else {
          return fail("a command is one to 32 letters");
        }
        break;
      case State::length:
        if (ascii_digit(c) && digits_ < kDigits) {
          bytes.remove_prefix(1);
          length_ = length_ * 10 + static_cast<std::size_t>(c - '0');
          ++digits_;
        } else if (digits_ != 0 && (length_ == 0 || c == ' ')) {
          if (c == ' ') bytes.remove_prefix(1);  // without data it may be left out
          end_of_header();
        } else {
          return fail("the length of the data is a number of at most nine digits");
        }
        break;
      case State::data: {
        const std::size_t n = std::min(left_, bytes.size());
        data_.append(bytes.substr(0, n));
        bytes.remove_prefix(n);
        left_ -= n;
        if (left_ == 0) state_ = State::trailer;
        break;
      }
      case State::skip: {
        const std::size_t n = std::min(left_, bytes.size());
        bytes.remove_prefix(n);
        left_ -= n;
        if (left_ == 0) state_ = State::trailer;
        break;
      }
      case State::trailer:
        if (c != '\n') return fail("a frame ends with a line end");
        bytes.remove_prefix(1);
        frame(on_message);
        state_ = State::number;
        number_ = 0;
        digits_ = 0;
        length_ = 0;
        command_.clear();
        data_.clear();
        if (data_.capacity() > 4096) data_.shrink_to_fit();
        break;
    }
  }
}

void Session::end_of_header() {
  left_ = length_;
  const bool syslog = command_ == "syslog";
  too_long_ = length_ > (syslog ? max_ : kOffers);
  // Of what is not read there is nothing to keep.
  const bool keep = !too_long_ && (syslog || command_ == "open");
  state_ = left_ == 0 ? State::trailer : keep ? State::data : State::skip;
}

void Session::frame(const std::function<void(Ticket, std::string_view)>& on_message) {
  if (number_ == 0) {  // a hint: never answered
    if (command_ == "abort") fail("the sender ended it: abort");
    return;
  }
  if (number_ != due_) return fail(fmt::format("command {} where {} is due", number_, due_));
  due_ = due_ == kLastNumber ? 1 : due_ + 1;
  if (command_ == "open") {
    if (open_) return fail("open, and it is open");
    return offers();
  }
  if (!open_) return fail(fmt::format("'{}' before open", command_));
  if (command_ == "syslog") {
    const Ticket ticket = ask();
    if (too_long_) {
      ++stats_.too_long;
      return passed_over(ticket, fmt::format("more than {} bytes", max_));
    }
    ++stats_.messages;
    return on_message(ticket, data_);
  }
  if (command_ == "close") {
    closing_ = true;
    return answered(ask(), "200 OK");
  }
  ++stats_.unknown;
  answered(ask(), "500 unknown command");
}

void Session::offers() {
  if (too_long_) return fail("offers of an unlikely length");
  int version = -1;
  bool syslog = false;
  for (const std::string_view line : split(data_, '\n')) {
    const std::size_t equals = line.find('=');
    if (equals == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, equals);
    for (const std::string_view value : split(line.substr(equals + 1), ',')) {
      if (name == "commands") syslog = syslog || value == "syslog";
      if (name != "relp_version") continue;
      int v = -1;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), v);
      // What is newer than ours is answered with ours; the sender decides.
      if (error == std::errc() && end == value.data() + value.size() && v >= 0)
        version = std::max(version, std::min(v, kVersion));
    }
  }
  const Ticket ticket = ask();
  if (version < 0 || !syslog) {
    const std::string why = version < 0 ? "no relp_version is offered" : "the command syslog is not offered";
    answered(ticket, "500 " + why);
    return fail(why);
  }
  open_ = true;
  answered(ticket, fmt::format("200 OK\nrelp_version={}\nrelp_software=bavn\ncommands=syslog", version));
}

Ticket Session::ask() {
  asked_.push_back({number_, false, {}});
  return first_ + asked_.size() - 1;
}

namespace {
/// The human text of an answer: one line of at most 80 bytes (RELP, "rsp").
std::string in_words(std::string_view begin, std::string_view why) {
  std::string text = std::string(begin) + std::string(why.substr(0, 60));
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}
}  // namespace

void Session::passed_over(Ticket ticket, std::string_view why) {
  answered(ticket, in_words("200 OK, not kept: ", why));
}
void Session::refused(Ticket ticket, std::string_view why) {
  answered(ticket, in_words("500 ", why));
}

void Session::answered(Ticket ticket, std::string_view answer) {
  BAVN_ASSERT(ticket >= first_ && ticket - first_ < asked_.size());
  Asked& asked = asked_[ticket - first_];
  BAVN_ASSERT(!asked.done);
  asked.done = true;
  asked.answer = answer;
  flush();
}

void Session::close() {
  closing_ = true;
  flush();
}

void Session::flush() {
  if (over_) return;
  for (; !asked_.empty() && asked_.front().done; asked_.pop_front(), ++first_)
    append_frame(out_, asked_.front().number, "rsp", asked_.front().answer);
  if (!closing_ || !asked_.empty()) return;
  append_frame(out_, 0, "serverclose", "");
  over_ = true;
}

/// What was taken before is answered still: the sender then sends only the rest again.
void Session::fail(std::string what) {
  fault_ = std::move(what);
  close();
}

std::string Session::take_output() {
  return std::exchange(out_, {});
}

}  // namespace bavn::input::sources::relp
