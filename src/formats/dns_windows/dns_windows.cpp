// Windows DNS server debug log (dns.log). Dates are written in the server's language; which one is told from the line, see date().
#include "base/text.hpp"
#include "formats/syslog/header.hpp"

namespace bavn::formats::dns_windows {

namespace {

using syslog::Header;
using syslog::put_if;

class Reader final : public syslog::PayloadReader {
 public:
  /// "2026-02-22 21:46:06 0E1C PACKET ..." would be taken for a syslog header: the bare line goes first.
  LineVerdict read(std::string_view line, FieldSink& sink, std::string& reason) override {
    Header bare;
    bare.message = line;
    if (payload_likelihood(bare) != 0) return payload(bare, sink, reason);
    return PayloadReader::read(line, sink, reason);
  }
  int likelihood(std::string_view line) const override {
    Header bare;
    bare.message = line;
    const int n = payload_likelihood(bare);
    return n != 0 ? n : PayloadReader::likelihood(line);
  }

  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    const std::string_view s = h.message;
    std::size_t used = 0;
    const auto t = date(s, used);
    if (used == 0) {
      if (heading(s)) return LineVerdict::meta;
      return not_mine(reason);
    }
    Cursor at(s.substr(used));
    put_if(sink, "thread", at.word());
    const std::string_view kind = at.word();
    sink.put("context", kind);
    if (kind != "PACKET") {
      put_if(sink, "message", trim(at.rest()));
      happened(sink, h, t);
      return LineVerdict::event;
    }
    std::string_view w = at.word();
    if (w != "UDP" && w != "TCP") {
      put_if(sink, "packet_id", w);
      w = at.word();
    }
    const std::string_view direction = at.word(), ip = at.word(), xid = at.word();
    put_if(sink, "protocol", to_lower(w));
    put_if(sink, "direction", direction);
    // Received: the other side sent it. What the server answers or asks goes to dst_ip.
    put_if(sink, direction == "Snd" ? "dst_ip" : "src_ip", ip);
    put_if(sink, "xid", xid);
    bool response = false;
    while (!at.spaces().empty() && at.peek() != '[') {
      const std::string_view flag = at.word();
      if (flag == "R") response = true;
      else if (flag.size() == 1) sink.put("opcode", flag);
      else break;
    }
    sink.put("action", response ? "response" : "query");
    if (!at.skip('[')) {
      reason = "dns debug line is cut";
      return LineVerdict::refused;
    }
    const auto flags = at.until(']');
    if (!flags) {
      reason = "dns debug line is cut";
      return LineVerdict::refused;
    }
    Cursor f(*flags);
    put_if(sink, "flags_hex", f.word());
    std::string_view letters, rcode;
    for (f.spaces(); !f.empty(); f.spaces()) {
      if (!rcode.empty()) letters = rcode;
      rcode = f.word();
    }
    put_if(sink, "dns_flags", letters);
    put_if(sink, "rcode", rcode);
    put_if(sink, "record_type", at.word());
    const std::string_view name = trim(at.rest());
    if (name.empty()) {
      reason = "dns debug line without a name";
      return LineVerdict::refused;
    }
    put_name(name, sink);
    happened(sink, h, t);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    std::size_t used = 0;
    date(h.message, used);
    if (used == 0)
      return h.message.starts_with("DNS Server log file creation at") || h.message.starts_with("Log file wrap at") ||
                     h.message.starts_with("Message logging key")
                 ? 90
                 : 0;
    Cursor at(h.message.substr(used));
    const std::string_view thread = at.word(), kind = at.word();
    if (thread.empty() || thread.size() > 8 ||
        thread.find_first_not_of("0123456789ABCDEFabcdef") != std::string_view::npos)
      return 0;
    return kind == "PACKET" ? 100 : kind == "EVENT" || kind == "Note:" ? 60 : 0;
  }

 private:
  static bool heading(std::string_view s) {
    for (const std::string_view text :
         {"DNS Server log", "Log file", "Message logging key", "\t", "  ", "Date", "File:"})
      if (s.starts_with(text)) return true;
    return false;
  }

  /// (7)example(3)com(0) -> example.com ; also ".example.com."
  void put_name(std::string_view s, FieldSink& sink) {
    if (!s.starts_with('(')) {
      while (s.starts_with('.') && s.size() > 1) s.remove_prefix(1);
      while (s.ends_with('.') && s.size() > 1) s.remove_suffix(1);
      return sink.put("query", s);
    }
    scratch_.clear();
    Cursor at(s);
    while (at.skip('(')) {
      const auto n = at.number(3);
      if (!n || !at.skip(')') || *n == 0) break;
      const auto length = static_cast<std::size_t>(*n);
      if (!scratch_.empty()) scratch_ += '.';
      // The count is in octets of the name; a label written otherwise (escaped) ends at the next "(".
      std::string_view label = at.rest().substr(0, length);
      if (at.rest().size() <= length || at.rest()[length] != '(') label = at.rest().substr(0, at.rest().find('('));
      scratch_ += label;
      at.advance(label.size());
    }
    sink.put("query", scratch_.empty() ? std::string_view(".") : std::string_view(scratch_));
  }

  /// "4/21/2017 7:52:03 AM" (month first: it has AM or PM), "22/12/2021 21:46:04" (day first), "22-12-2021 21:46:04" (Danish),
  /// "22.12.2021 21:46:04" (Norwegian), "2021-12-22 21:46:04", "20211222 21:46:04".
  static std::optional<Instant> date(std::string_view s, std::size_t& used) {
    used = 0;
    Cursor at(s);
    Civil c;
    const auto first = at.number(8);
    if (!first) return std::nullopt;
    const char mark = at.peek();
    bool day_first = true;
    if (mark == ' ' && *first > 19000000) {
      c.year = *first / 10000;
      c.month = static_cast<int>(*first / 100 % 100);
      c.day = static_cast<int>(*first % 100);
    } else {
      if (mark != '/' && mark != '.' && mark != '-') return std::nullopt;
      at.advance(1);
      const auto second = at.number(2);
      if (!second || !at.skip(mark)) return std::nullopt;
      const auto third = at.number(4);
      if (!third || at.peek() != ' ') return std::nullopt;
      if (*first > 31) {
        c.year = *first, c.month = static_cast<int>(*second), c.day = static_cast<int>(*third);
      } else {
        c.day = static_cast<int>(*first), c.month = static_cast<int>(*second), c.year = *third;
        if (c.year < 100) c.year += 2000;
      }
    }
    at.spaces();
    std::string clock(at.rest().substr(0, 8));  // "21.46.04" is "21:46:04"
    for (char& ch : clock)
      if (ch == '.') ch = ':';
    const std::size_t n = clock_time(clock, c);
    if (n == 0) return std::nullopt;
    at.advance(n);
    if (at.skip(" AM")) {
      if (c.hour == 12) c.hour = 0;
      day_first = false;
    } else if (at.skip(" PM")) {
      if (c.hour < 12) c.hour += 12;
      day_first = false;
    }
    if (at.peek() != ' ') return std::nullopt;
    if (*first <= 31 && (!day_first || c.month > 12)) std::swap(c.day, c.month);
    if (c.month > 12) std::swap(c.day, c.month);
    used = s.size() - at.rest().size();
    return instant(c);
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::dns_windows
