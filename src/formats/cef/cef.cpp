// ArcSight Common Event Format: CEF:version|vendor|product|version|class id|name|severity|key=value key=value ...
#include <array>

#include "formats/syslog/header.hpp"

namespace bavn::formats::cef {

namespace {

using syslog::Header;

bool key_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
         c == '-' || c == '[' || c == ']';
}

/// In the header \| and \\ are escapes, in the extension \= \\ \n \r (and \| by habit).
void append_unescaped(std::string& out, std::string_view s) {
  for (std::size_t i = 0; i < s.size(); ++i) {
    if (s[i] != '\\' || i + 1 == s.size()) {
      out += s[i];
      continue;
    }
    const char c = s[++i];
    if (c == 'n') out += '\n';
    else if (c == 'r') out += '\r';
    else if (c == '=' || c == '|' || c == '\\' || c == '"') out += c;
    else (out += '\\') += c;
  }
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    const std::size_t start = h.message.find("CEF:");
    if (start == std::string_view::npos || start > 64) return not_mine(reason);
    std::string_view s = h.message.substr(start + 4);
    static constexpr std::array<std::string_view, 7> names = {
        "cefVersion", "deviceVendor", "deviceProduct", "deviceVersion", "deviceEventClassId", "name", "severity"};
    for (std::size_t n = 0; n < names.size(); ++n) {
      std::size_t end = 0;
      while (end < s.size() && s[end] != '|') end += s[end] == '\\' ? 2U : 1U;
      if (end >= s.size() && n + 1 < names.size()) {
        reason = "cef header is cut";
        return LineVerdict::refused;
      }
      if (end > s.size()) end = s.size();
      put(sink, names[n], s.substr(0, end));
      s.remove_prefix(end < s.size() ? end + 1 : end);
    }
    extension(s, sink);
    happened(sink, h, rt_ ? rt_ : end_ ? end_ : start_);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    const std::size_t at = h.message.find("CEF:");
    return at == 0                                                                                         ? 100
           : at != std::string_view::npos && at <= 64 && h.message.find('|', at) != std::string_view::npos ? 90
                                                                                                           : 0;
  }

 private:
  struct Custom {  // cs1 and its label: "cs1=2097157.1 cs1Label=RuleID" also gives RuleID=2097157.1
    std::string_view key, value;
  };

  void put(FieldSink& sink, std::string_view name, std::string_view value) {
    if (value.find('\\') == std::string_view::npos) return syslog::put_if(sink, name, value);
    scratch_.clear();
    append_unescaped(scratch_, value);
    sink.put(name, scratch_);
  }

  /// A value runs up to the blank before the next "key="; it may hold blanks itself.
  void extension(std::string_view s, FieldSink& sink) {
    rt_ = start_ = end_ = std::nullopt;
    std::array<Custom, 32> customs;
    std::size_t custom_count = 0;
    std::array<Custom, 32> labels;
    std::size_t label_count = 0;
    std::size_t eq = next_assign(s, 0);
    while (eq != std::string_view::npos) {
      const std::string_view key = key_before(s, eq);
      const std::size_t next = next_assign(s, eq + 1);
      std::size_t end = next == std::string_view::npos ? s.size() : next - key_before(s, next).size();
      while (end > eq + 1 && (s[end - 1] == ' ' || s[end - 1] == '\t')) --end;
      const std::string_view value = s.substr(eq + 1, end - eq - 1);
      put(sink, key, value);
      if (key == "rt" || key == "deviceReceiptTime") rt_ = any_time(value, reference_);
      else if (key == "end") end_ = any_time(value, reference_);
      else if (key == "start") start_ = any_time(value, reference_);
      else if (key == "msg" || key == "message") {
        if (key == "msg") put(sink, "message", value);
      } else if (key.ends_with("Label")) {
        if (label_count < labels.size()) labels[label_count++] = {key.substr(0, key.size() - 5), value};
      } else if (key.size() <= 24 && (key.starts_with("c") || key.starts_with("device") || key.starts_with("flex"))) {
        if (custom_count < customs.size()) customs[custom_count++] = {key, value};
      }
      eq = next;
    }
    for (std::size_t l = 0; l < label_count; ++l)
      for (std::size_t c = 0; c < custom_count; ++c)
        if (labels[l].key == customs[c].key && !labels[l].value.empty() && labels[l].value.size() <= 64)
          put(sink, labels[l].value, customs[c].value);
  }

  static std::string_view key_before(std::string_view s, std::size_t eq) {
    std::size_t from = eq;
    while (from > 0 && key_char(s[from - 1])) --from;
    return s.substr(from, eq - from);
  }
  /// The next '=' that has a key with a blank (or the beginning) before it and is not escaped.
  static std::size_t next_assign(std::string_view s, std::size_t from) {
    for (std::size_t eq = s.find('=', from); eq != std::string_view::npos; eq = s.find('=', eq + 1)) {
      std::size_t key = eq;  // looks back at most to `from`: each byte is looked at a bounded number of times
      while (key > from && eq - key < 64 && key_char(s[key - 1])) --key;
      if (key == eq) continue;
      if (key == 0 || ((key > from || from == 0) && (s[key - 1] == ' ' || s[key - 1] == '\t'))) return eq;
    }
    return std::string_view::npos;
  }

  std::optional<Instant> rt_, start_, end_;
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::cef
