#pragma once
// RELP (rsyslog's Reliable Event Logging Protocol, versions 0 and 1), the server's side of one connection. No I/O.
//
//   C: 1 open 86 relp_version=0\nrelp_software=librelp,1.11.0,http://librelp.adiscon.com\ncommands=syslog
//   S: 1 rsp 56 200 OK\nrelp_version=0\nrelp_software=bavn\ncommands=syslog
//   C: 2 syslog 47 <13>Jan 10 08:00:00 app1.example.org app: hello\n
//   S: 2 rsp 6 200 OK\n                      only when stored(): the record is on disk
//
// Answers leave in the order of the commands, each when its own is known and those before it have left. What is too long is read past,
// the rest goes on; what is no frame ends the session, as the specification wants (its sender comes back and sends again what was
// not answered). Source: librelp's doc/relp.md and what librelp 1.11 does.
// Life: one a connection. Memory: at most one message, and what is unanswered: the caller stops reading when that is too much.
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

namespace bavn::input::sources::relp {

using Ticket = std::uint64_t;  // of one command of this connection

struct SessionStats {
  std::uint64_t messages = 0;
  std::uint64_t too_long = 0;  // read past
  std::uint64_t unknown = 0;   // commands that are not known, refused
};

class Session {
 public:
  explicit Session(std::size_t max_message) : max_(max_message) {}

  /// on_message gets each syslog message; the view ends with the call. Whoever takes it owes it answered().
  void on_bytes(std::string_view bytes, const std::function<void(Ticket, std::string_view message)>& on_message);
  /// The record is on disk.
  void stored(Ticket ticket) { answered(ticket, "200 OK"); }
  /// It is no record, and counted: 200 with the reason behind it. With a 500 librelp 1.11 drops what else it had read (relpSessRcvData ends
  /// at the first error), so that the answers of good records would be lost with it and the sender stall.
  void passed_over(Ticket ticket, std::string_view why);
  /// Nothing of this sender can be taken as things are: 500, which its log shows. why: cut after 60 bytes.
  void refused(Ticket ticket, std::string_view why);
  /// No more is read; serverclose follows the last answer.
  void close();

  /// What is to be sent now. Empty: nothing.
  std::string take_output();
  std::size_t output_waiting() const { return out_.size(); }
  /// Nothing more is read or will be said: send what is left, and close the connection.
  bool over() const { return over_; }
  bool reading() const { return !over_ && !closing_; }
  /// Why the session ended; empty: it did not, or in order.
  const std::string& fault() const { return fault_; }
  bool open() const { return open_; }
  std::size_t unanswered() const { return asked_.size(); }
  std::size_t waiting() const { return data_.size(); }
  const SessionStats& stats() const { return stats_; }

 private:
  enum class State : std::uint8_t { number, command, length, data, skip, trailer };
  struct Asked {
    std::uint32_t number = 0;
    bool done = false;
    std::string answer;
  };
  void end_of_header();
  void frame(const std::function<void(Ticket, std::string_view)>& on_message);
  void offers();
  Ticket ask();
  void answered(Ticket ticket, std::string_view answer);
  void flush();
  void fail(std::string what);

  std::size_t max_;
  State state_ = State::number;
  std::uint32_t number_ = 0, due_ = 1;
  unsigned digits_ = 0;
  std::string command_, data_;
  std::size_t left_ = 0;  // bytes of data still to come
  std::size_t length_ = 0;
  bool too_long_ = false, open_ = false, closing_ = false, over_ = false;
  std::deque<Asked> asked_;
  Ticket first_ = 0;  // of asked_.front()
  std::string out_, fault_;
  SessionStats stats_;
};

}  // namespace bavn::input::sources::relp
