#include "live/gateways/hec_body.hpp"

#include <simdjson.h>

#include <algorithm>

#include "base/json_writer.hpp"
#include "base/text.hpp"

namespace bavn::live {

namespace {

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/// Behind the string that begins at `at`.
std::size_t end_of_string(std::string_view s, std::size_t at) {
  for (std::size_t end = s.find('"', at + 1); end != std::string_view::npos; end = s.find('"', end + 1)) {
    std::size_t escapes = 0;
    while (s[end - 1 - escapes] == '\\') ++escapes;
    if (escapes % 2 == 0) return end + 1;
  }
  return s.size();
}

/// Where the value that begins at `at` ends. Not a check: simdjson makes that.
std::size_t end_of_value(std::string_view s, std::size_t at) {
  std::size_t depth = 0;
  for (std::size_t i = at; i < s.size(); ++i) {
    switch (s[i]) {
      case '"':
        i = end_of_string(s, i);
        if (depth == 0) return i;
        --i;
        break;
      case '{':
      case '[': ++depth; break;
      case '}':
      case ']':
        if (depth == 0) return i;
        if (--depth == 0) return i + 1;
        break;
      case ',':
      case ' ':
      case '\t':
      case '\n':
      case '\r':
        if (depth == 0) return i;
        break;
      default: break;
    }
  }
  return s.size();
}

/// A JSON value on one line: line ends can only stand between its parts.
void append_on_one_line(std::string& out, std::string_view value) {
  const std::size_t from = out.size();
  out += value;
  for (const char c : {'\n', '\r'})
    for (std::size_t i = out.find(c, from); i != std::string::npos; i = out.find(c, i + 1)) out[i] = ' ';
}

struct Members {
  std::string_view time, host, source, sourcetype, index, fields, event;
};

/// The members of an object that simdjson has found to be one. A name that stands twice: the last counts, as it does in Splunk.
Members members_of(std::string_view object) {
  Members m;
  std::size_t i = 1;
  for (;;) {
    while (i < object.size() && (is_space(object[i]) || object[i] == ',')) ++i;
    if (i >= object.size() || object[i] != '"') return m;
    const std::size_t key_end = end_of_value(object, i);
    const std::string_view key = object.substr(i + 1, key_end - i - 2);
    i = key_end;
    while (i < object.size() && (is_space(object[i]) || object[i] == ':')) ++i;
    const std::size_t end = end_of_value(object, i);
    const std::string_view value = object.substr(i, end - i);
    if (key == "event") m.event = value;
    else if (key == "time") m.time = value;
    else if (key == "host") m.host = value;
    else if (key == "source") m.source = value;
    else if (key == "sourcetype") m.sourcetype = value;
    else if (key == "index") m.index = value;
    else if (key == "fields") m.fields = value;
    i = std::max(end, i + 1);
  }
}

class Meta {
 public:
  Meta(const Members& m, const HecMeta& otherwise) {
    const auto pick = [](std::string_view own, const std::string& other) {
      return own.empty() || own == "null" ? std::string_view(other) : own;
    };
    time_ = pick(m.time, otherwise.time);
    host_ = pick(m.host, otherwise.host);
    source_ = pick(m.source, otherwise.source);
    sourcetype_ = pick(m.sourcetype, otherwise.sourcetype);
    index_ = pick(m.index, otherwise.index);
    fields_ = pick(m.fields, otherwise.fields);
  }
  bool empty() const { return size() == 0; }
  std::size_t size() const {
    return time_.size() + host_.size() + source_.size() + sourcetype_.size() + index_.size() + fields_.size();
  }
  /// `"time":1,"host":"h"`; exported: as Splunk names them in what it exports.
  void append(std::string& out, bool exported) const {
    bool more = false;
    const auto member = [&](std::string_view name, std::string_view value) {
      if (value.empty()) return;
      if (more) out += ',';
      more = true;
      out.append(1, '"').append(name).append("\":");
      append_on_one_line(out, value);
    };
    member(exported ? "_time" : "time", time_);
    member("host", host_);
    member("source", source_);
    member("sourcetype", sourcetype_.empty() && exported ? std::string_view("\"httpevent\"") : sourcetype_);
    member("index", index_);
    member("fields", fields_);
  }

 private:
  std::string_view time_, host_, source_, sourcetype_, index_, fields_;
};

void append_event(std::string& out, std::string_view event, const Meta& meta) {
  if (event.front() == '{') {
    if (meta.empty()) return append_on_one_line(out, event);
    std::size_t end = event.size() - 1;
    while (end > 0 && is_space(event[end - 1])) --end;
    append_on_one_line(out, event.substr(0, end));
    out += end == 1 ? "\"splunk\":{" : ",\"splunk\":{";
    meta.append(out, false);
    out += "}}";
    return;
  }
  out += '{';
  meta.append(out, true);
  out += ",\"_raw\":";
  if (event.front() == '"') out += event;
  else append_json_string(out, event);  // a number, a list: as text, as Splunk keeps it
  out += '}';
}

}  // namespace

std::expected<HecLines, HecFault> read_hec_events(std::string_view body, const HecMeta& otherwise,
                                                  const HecLimits& limits) {
  HecLines out;
  out.lines.reserve(body.size() + 64);
  simdjson::dom::parser parser;
  std::size_t at = 0;
  std::int64_t n = 0;
  for (;; ++n) {
    while (at < body.size() && is_space(body[at])) ++at;
    if (at == body.size()) break;
    const auto bad = [&](int code) { return std::unexpected(HecFault{code, n}); };
    if (body[at] != '{' || out.lines.size() > limits.bytes) return bad(6);
    const std::size_t end = end_of_value(body, at);
    const std::string_view object = body.substr(at, end - at);
    at = end;
    simdjson::dom::object checked;
    if (object.size() < 2 || parser.parse(object.data(), object.size()).get(checked) != simdjson::SUCCESS)
      return bad(6);
    const Members m = members_of(object);
    if (m.event.empty()) return bad(12);
    if (m.event == "null") return bad(12);
    if (m.event == "\"\"") return bad(13);
    if (!m.fields.empty() && m.fields != "null" && m.fields.front() != '{') return bad(15);
    const Meta meta(m, otherwise);
    if (meta.size() > limits.meta_bytes) return bad(6);
    append_event(out.lines, m.event, meta);
    out.lines += '\n';
  }
  if (n == 0) return std::unexpected(HecFault{5, -1});
  out.events = static_cast<std::uint64_t>(n);
  return out;
}

std::expected<HecLines, HecFault> read_hec_raw(std::string_view body, const HecMeta& given, const HecLimits& limits) {
  HecLines out;
  const Meta meta({}, given);
  const bool plain = meta.empty();
  if (meta.size() > limits.meta_bytes) return std::unexpected(HecFault{6, -1});
  while (!body.empty()) {
    const std::size_t end = body.find('\n');
    std::string_view line = body.substr(0, end);
    body.remove_prefix(end == std::string_view::npos ? body.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (trim(line).empty()) continue;
    ++out.events;
    if (out.lines.size() > limits.bytes) return std::unexpected(HecFault{6, static_cast<std::int64_t>(out.events)});
    if (plain) {
      out.lines += line;
    } else {
      out.lines += '{';
      meta.append(out.lines, true);
      out.lines += ",\"_raw\":";
      append_json_string(out.lines, repair_utf8(line));
      out.lines += '}';
    }
    out.lines += '\n';
  }
  if (out.events == 0) return std::unexpected(HecFault{5, -1});
  return out;
}

}  // namespace bavn::live
