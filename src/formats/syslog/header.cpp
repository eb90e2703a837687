#include "formats/syslog/header.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace bavn::formats::syslog {

namespace {

constexpr std::array<std::string_view, 24> kFacilities = {"kern",   "user",   "mail",   "daemon", "auth",     "syslog",
                                                          "lpr",    "news",   "uucp",   "cron",   "authpriv", "ftp",
                                                          "ntp",    "audit",  "alert",  "clock",  "local0",   "local1",
                                                          "local2", "local3", "local4", "local5", "local6",   "local7"};
constexpr std::array<std::string_view, 8> kSeverities = {"emerg",   "alert",  "crit", "err",
                                                         "warning", "notice", "info", "debug"};

bool name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
         c == '_' || c == '/' || c == '@' || c == '%' || c == '(' || c == ')' || c == '\\' || c == '+' || c == '*';
}

/// Length of the structured data at the start of s (RFC 5424 section 6.3); 0 when it breaks the rules.
std::size_t structured_length(std::string_view s) {
  std::size_t i = 0;
  while (i < s.size() && s[i] == '[') {
    ++i;
    const std::size_t id = i;
    while (i < s.size() && s[i] != ' ' && s[i] != ']' && s[i] != '"' && s[i] != '=' && s[i] != ':') ++i;
    if (i == id || i >= s.size() || s[i] == '"' || s[i] == '=' || s[i] == ':') return 0;
    while (i < s.size() && s[i] == ' ') {
      while (i < s.size() && s[i] == ' ') ++i;
      if (i < s.size() && s[i] == ']') break;
      const std::size_t name = i;
      while (i < s.size() && s[i] != '=' && s[i] != ' ' && s[i] != ']' && s[i] != '"') ++i;
      if (i == name || i + 1 >= s.size() || s[i] != '=' || s[i + 1] != '"') return 0;
      i += 2;
      while (i < s.size() && s[i] != '"') i += s[i] == '\\' ? 2U : 1U;
      if (i >= s.size()) return 0;
      ++i;
    }
    if (i >= s.size() || s[i] != ']') return 0;
    ++i;
  }
  return i;
}

std::string_view nil(std::string_view s) {
  return s == "-" ? std::string_view{} : s;
}

/// "sshd[12]: text", "su(pam_unix)[3]: text", "proftpd[4] host: text", "%ASA-6-1: text".
void read_tag(Header& h, std::string_view s) {
  std::size_t n = 0;
  while (n < s.size() && name_char(s[n])) ++n;
  h.message = s;
  if (n == 0 || n > 128 || n == s.size()) return;
  if (s[n] == ':') {
    // "a:b" may be an address or a time: a tag has a blank (or nothing) behind its colon, or is %ASA-like
    if (n + 1 < s.size() && s[n + 1] != ' ' && s[n + 1] != '\t' && s[0] != '%') {
      if (all_digits(s.substr(0, n)) || s.substr(n).starts_with("://")) return;
      if (n < 2 || looks_like_ip(s.substr(0, s.find(' ')))) return;
      if (const auto k = s.substr(0, n); k == "CEF" || k == "LEEF" || k == "date") return;
    }
    if (all_digits(s.substr(0, n))) return;
    h.program = s.substr(0, n);
    h.message = s.substr(n + 1);
  } else if (s[n] == '[') {
    const std::size_t end = s.find(']', n);
    if (end == std::string_view::npos || end - n > 40) return;
    const std::string_view pid = s.substr(n + 1, end - n - 1);
    if (pid.find_first_of(" =\"") != std::string_view::npos) return;
    std::string_view rest = s.substr(end + 1);
    h.program = s.substr(0, n);
    h.pid = pid;
    if (rest.starts_with(':')) rest.remove_prefix(1);
    h.message = rest;
  } else {
    return;
  }
  while (h.message.starts_with(' ')) h.message.remove_prefix(1);
}

bool read_5424(Header& h, std::string_view s) {
  Cursor at(s);
  if (!at.skip('1') || !at.skip(' ')) return false;
  if (at.peek() == '-' && at.rest().starts_with("- ")) {
    at.advance(2);
  } else {
    const auto t = iso_time(at.rest());
    if (!t || (at.rest().size() > 10 && at.rest()[10] == ' ')) return false;
    at.advance(t->length);
    h.has_time = true;
    h.time = t->t;
    if (!at.empty() && !at.skip(' ')) return false;
  }
  h.present = h.rfc5424 = true;
  const std::string_view behind_time = at.rest();
  h.host = nil(at.word());
  const std::string_view body = at.rest();
  const auto bare = [&](std::string_view message) {
    h.program = h.pid = h.msgid = h.structured = {};
    h.message = message;
    return true;
  };
  // Devices that write a version but then their own text: "<134>1 time host CEF:0|...", "... host 1,2021/11/11 ...".
  if (body.starts_with("CEF:") || body.starts_with("LEEF:")) return bare(body);
  h.program = nil(at.word());
  if (h.program.ends_with(':')) {
    read_tag(h, body);
    return true;
  }
  if (h.program.find_first_of(",|=\"") != std::string_view::npos) return bare(body);
  h.pid = nil(at.word());
  h.msgid = nil(at.word());
  if (h.host.find_first_of(",|=\"[") != std::string_view::npos) {
    h.host = {};
    return bare(behind_time);
  }
  if (at.skip('-') && (at.empty() || at.peek() == ' ')) {
    at.skip(' ');
    h.message = at.rest();
  } else if (const std::size_t n = structured_length(at.rest()); n != 0) {
    h.structured = at.rest().substr(0, n);
    at.advance(n);
    at.spaces();
    h.message = at.rest();
  } else {
    h.message = at.rest();
    // One word short: "1 time host program pid [sd..." (no MSGID) or "... - text": the message then holds what is left.
    if (h.msgid.starts_with('[')) {
      const std::size_t from = static_cast<std::size_t>(h.msgid.data() - body.data());
      h.msgid = {};
      h.message = body.substr(from);
      if (const std::size_t m = structured_length(h.message); m != 0) {
        h.structured = h.message.substr(0, m);
        h.message.remove_prefix(m);
        while (h.message.starts_with(' ')) h.message.remove_prefix(1);
      }
    }
  }
  if (h.message.starts_with("\xEF\xBB\xBF")) h.message.remove_prefix(3);
  return true;
}

}  // namespace

Header read_header(std::string_view line, std::optional<Instant> reference) {
  Header h;
  while (line.ends_with('\r') || line.ends_with('\0')) line.remove_suffix(1);
  std::string_view s = line;
  if (s.starts_with("\xEF\xBB\xBF")) s.remove_prefix(3);
  h.message = s;
  {  // octet count (RFC 6587): digits, a blank, then the priority
    Cursor at(s);
    if (at.number(7) && at.skip(' ') && at.peek() == '<') s = at.rest();
  }
  if (s.starts_with('<')) {
    Cursor at(s.substr(1));
    const auto pri = at.number(3);
    if (pri && *pri <= 191 && at.skip('>')) {
      h.priority = static_cast<int>(*pri);
      h.present = true;
      s = at.rest();
      h.message = s;
    }
  }
  if (s.starts_with("1 ") && read_5424(h, s)) return h;
  Cursor at(s);
  at.spaces();
  at.skip('*');  // Cisco: the clock is not synchronised
  auto t = bsd_time(at.rest(), reference);
  if (!t) t = iso_time(at.rest());
  if (!t && at.rest().size() > 20 && at.rest()[3] == ' ' &&
      month_of(at.rest().substr(4)) != 0) {  // "Wed Jul 27 18:32:27 2016 "
    if ((t = bsd_time(at.rest().substr(4), reference))) t->length += 4;
  }
  if (!t) {
    if (h.present) read_tag(h, at.rest());
    return h;
  }
  h.present = true;
  h.has_time = true;
  h.time = t->t;
  at.advance(t->length);
  const bool colon = at.skip(':');  // "Jan 01 2020 00:00:00: %ASA-..."
  at.spaces();
  const std::string_view body = at.rest();
  if (colon) {
    read_tag(h, body);
    return h;
  }
  const std::string_view host = at.word();
  const bool is_tag = host.ends_with(':') || host.find_first_of("[,|=\"<{%") != std::string_view::npos;
  if (is_tag && !looks_like_ip(host) &&
      !(host.size() > 2 && host.ends_with(']') && looks_like_ip(host.substr(1, host.size() - 2)))) {
    read_tag(h, body);
    return h;
  }
  h.host = host;
  if (at.rest().starts_with(": ")) at.advance(2);  // "host : %ASA-..."
  at.spaces();
  // rsyslog's and Ubiquiti's "host facility.severity program: text"
  if (const std::string_view w = Cursor(at.rest()).word(); w.size() < 20 && h.priority < 0) {
    const std::size_t dot = w.find('.');
    if (dot != std::string_view::npos) {
      const auto f = std::find(kFacilities.begin(), kFacilities.end(), w.substr(0, dot));
      const auto v = std::find(kSeverities.begin(), kSeverities.end(), w.substr(dot + 1));
      if (f != kFacilities.end() && v != kSeverities.end()) {
        h.priority = static_cast<int>((f - kFacilities.begin()) * 8 + (v - kSeverities.begin()));
        at.word();
        at.spaces();
      }
    }
  }
  read_tag(h, at.rest());
  return h;
}

std::string_view facility_name(int priority) {
  return priority < 0 || priority > 191 ? std::string_view{} : kFacilities[static_cast<std::size_t>(priority / 8)];
}

std::string_view severity_name(int priority) {
  return priority < 0 || priority > 191 ? std::string_view{} : kSeverities[static_cast<std::size_t>(priority % 8)];
}

void put_header(const Header& h, FieldSink& sink, std::string& scratch) {
  put_if(sink, "host", h.host);
  put_if(sink, "program", h.program);
  put_if(sink, "pid", h.pid);
  put_if(sink, "msgid", h.msgid);
  put_if(sink, "syslog_facility", facility_name(h.priority));
  put_if(sink, "syslog_severity", severity_name(h.priority));
  std::string_view sd = h.structured;
  while (sd.starts_with('[')) {
    std::size_t i = 1;
    while (i < sd.size() && sd[i] != ' ' && sd[i] != ']') ++i;
    sink.put("sd_id", sd.substr(1, i - 1));
    while (i < sd.size() && sd[i] != ']') {
      while (i < sd.size() && sd[i] == ' ') ++i;
      const std::size_t eq = sd.find('=', i);
      if (eq == std::string_view::npos || sd[i] == ']') break;
      std::size_t end = eq + 2;
      bool escaped = false;
      while (end < sd.size() && sd[end] != '"') {
        escaped = escaped || sd[end] == '\\';
        end += sd[end] == '\\' ? 2U : 1U;
      }
      if (end >= sd.size()) return;
      const std::string_view value = sd.substr(eq + 2, end - eq - 2);
      if (escaped) {
        scratch.clear();
        append_unquoted(scratch, value);
        sink.put(sd.substr(i, eq - i), scratch);
      } else if (!value.empty()) {
        sink.put(sd.substr(i, eq - i), value);
      }
      i = end + 1;
    }
    if (i >= sd.size()) return;
    sd.remove_prefix(i + 1);
  }
}

LineVerdict PayloadReader::read(std::string_view line, FieldSink& sink, std::string& reason) {
  if (trim(line).empty()) return LineVerdict::meta;
  const Header h = read_header(line, reference_);
  put_header(h, sink, scratch_);
  return payload(h, sink, reason);
}

int PayloadReader::likelihood(std::string_view line) const {
  const Header h = read_header(line, std::nullopt);
  const int n = payload_likelihood(h);
  // Behind a header the syslog reader goes first: its stream may hold other payloads too, and it names this format itself.
  const bool stream = h.priority >= 0 || !h.host.empty() || !h.program.empty();
  return h.present && stream && n > 45 ? 45 : n;
}

void PayloadReader::put_unquoted(FieldSink& sink, std::string_view name, const KeyValue& kv) {
  if (!kv.escaped) {
    sink.put(name, kv.value);
    return;
  }
  scratch_.clear();
  append_unquoted(scratch_, kv.value);
  sink.put(name, scratch_);
}

}  // namespace bavn::formats::syslog
