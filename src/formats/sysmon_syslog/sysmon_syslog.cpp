// Sysmon for Linux as it writes itself to syslog: the event as XML in one line. Forwarders cut long lines, so the values that are
// whole are read one after the other; there is no tree to build, and nothing nests.
#include <charconv>

#include "base/text.hpp"
#include "formats/syslog/header.hpp"

namespace bavn::formats::sysmon_syslog {

namespace {

using syslog::Header;
using syslog::put_if;

constexpr std::string_view kBegin = "<Event><System><Provider Name=\"Linux-Sysmon\"";
constexpr std::size_t kMaxValues = 256;

/// "65" or "x41" -> 65; 0 when it is none.
std::uint32_t number(std::string_view s) {
  const bool hex = s.starts_with('x');
  std::uint32_t value = 0;
  if (hex) s.remove_prefix(1);
  if (s.empty() || std::from_chars(s.data(), s.data() + s.size(), value, hex ? 16 : 10).ptr != s.data() + s.size())
    return 0;
  return value > 0x10FFFF || (value >= 0xD800 && value < 0xE000) ? 0 : value;
}

/// &amp; and its kin, &#10;, &#x41;. What is none of them stays as it is.
std::string_view decoded(std::string_view s, std::string& scratch) {
  if (s.find('&') == std::string_view::npos) return s;
  scratch.clear();
  while (!s.empty()) {
    const std::size_t at = s.find('&');
    scratch.append(s.substr(0, at));
    if (at == std::string_view::npos) break;
    s.remove_prefix(at + 1);
    const std::size_t end = s.find(';');
    const std::string_view name = s.substr(0, end == std::string_view::npos ? 0 : end);
    std::uint32_t code = 0;
    if (name == "amp") code = '&';
    else if (name == "lt") code = '<';
    else if (name == "gt") code = '>';
    else if (name == "quot") code = '"';
    else if (name == "apos") code = '\'';
    else if (name.starts_with('#') && name.size() <= 8) code = number(name.substr(1));
    if (code == 0) {
      scratch += '&';
      continue;
    }
    append_utf8(scratch, code);
    s.remove_prefix(end + 1);
  }
  return scratch;
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    if (!h.message.starts_with(kBegin)) return not_mine(reason);
    std::string_view rest = h.message;
    std::string text;
    for (const std::string_view name : {"EventID", "EventRecordID", "Channel", "Computer"}) {
      const std::string open = "<" + std::string(name) + ">";
      put_if(sink, name, decoded(between(rest, open, "</"), text));
    }
    sink.put("Provider_Name", "Linux-Sysmon");
    const std::string_view when = between(rest, "<TimeCreated SystemTime=\"", "\"");
    for (std::size_t n = 0; n < kMaxValues; ++n) {
      Cursor at(rest);
      if (!at.until("<Data Name=\"")) break;
      const auto name = at.until("\">");
      const auto value = name ? at.until("</Data>") : std::nullopt;
      if (!value) break;  // cut off: no half values
      rest = at.rest();
      if (!name->empty()) sink.put(*name, decoded(*value, text));
    }
    happened(sink, h, any_time(when, reference_));
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override { return h.message.starts_with(kBegin) ? 100 : 0; }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::sysmon_syslog
