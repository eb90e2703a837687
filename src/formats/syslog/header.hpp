#pragma once
// The syslog header in front of a message, and the base of every reader whose lines may stand behind one.
#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "formats/line_reader.hpp"
#include "formats/line_tools.hpp"

namespace bavn::formats::syslog {

/// Views into the line. A line without any header is all message.
struct Header {
  bool present = false;  // there is at least a priority or a time
  int priority = -1;     // facility * 8 + severity
  bool rfc5424 = false;
  bool has_time = false;  // a time stands there, readable or not
  std::optional<Instant> time;
  std::string_view host, program, pid, msgid;
  std::string_view structured;  // "[id a="b"][id2 ...]", checked; empty for "-"
  std::string_view message;
};

/// RFC 3164 as it is found (with or without PRI, year, fraction, zone, host, tag; ISO time), RFC 5424 (also without PRI, with
/// structured data that breaks the rules left in the message), and an octet count in front of either (RFC 6587).
Header read_header(std::string_view line, std::optional<Instant> reference);

std::string_view facility_name(int priority);
std::string_view severity_name(int priority);

/// host, program, pid, msgid, syslog_facility, syslog_severity, and one field for each structured data parameter.
void put_header(const Header& h, FieldSink& sink, std::string& scratch);

/// A reader of lines that stand alone or behind a syslog header. The syslog reader hands payloads to these.
class PayloadReader : public LineReader {
 public:
  LineVerdict read(std::string_view line, FieldSink& sink, std::string& reason) override;
  int likelihood(std::string_view line) const override;
  void set_reference(Instant now) override { reference_ = now; }

  /// Reads h.message. Sets the time by happened() below, never the header's fields: read() or the syslog reader does that.
  virtual LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) = 0;
  virtual int payload_likelihood(const Header& h) const = 0;

 protected:
  /// The payload's own time, else the header's.
  static void happened(FieldSink& sink, const Header& h, std::optional<Instant> own = std::nullopt) {
    if (own) sink.happened(*own);
    else if (h.time) sink.happened(*h.time);
  }
  /// Puts a value whose backslashes before quotes are taken off.
  void put_unquoted(FieldSink& sink, std::string_view name, const KeyValue& kv);
  static LineVerdict not_mine(std::string& reason) {
    reason = "no line of this format";
    return LineVerdict::not_mine;
  }
  std::optional<Instant> reference_;
  std::string scratch_;
};

inline void put_if(FieldSink& sink, std::string_view name, std::string_view value) {
  if (!value.empty()) sink.put(name, value);
}

}  // namespace bavn::formats::syslog
