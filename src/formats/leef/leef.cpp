// IBM Log Event Extended Format 1.0 and 2.0: LEEF:v|vendor|product|version|event id|[delimiter|]key=value<delimiter>...
#include "formats/syslog/header.hpp"

namespace bavn::formats::leef {

namespace {

using syslog::Header;

std::optional<char> hex_delimiter(std::string_view s) {
  if (s.starts_with("0x") || s.starts_with("0X")) s.remove_prefix(2);
  else if (s.starts_with('x') || s.starts_with('X')) s.remove_prefix(1);
  else return std::nullopt;
  unsigned v = 0;
  if (s.empty() || s.size() > 4) return std::nullopt;
  for (const char c : s) {
    const auto lower = static_cast<char>(c | 0x20);
    if (c >= '0' && c <= '9') v = v * 16 + static_cast<unsigned>(c - '0');
    else if (lower >= 'a' && lower <= 'f') v = v * 16 + static_cast<unsigned>(lower - 'a') + 10;
    else return std::nullopt;
  }
  return v != 0 && v < 128 ? std::optional(static_cast<char>(v)) : std::nullopt;
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    const std::size_t start = h.message.find("LEEF:");
    if (start == std::string_view::npos || start > 64) return not_mine(reason);
    Cursor at(h.message.substr(start + 5));
    const auto version = at.until('|'), vendor = at.until('|'), product = at.until('|'),
               product_version = at.until('|');
    auto id = at.until('|');
    if (!product_version || (!id && at.empty())) {
      reason = "leef header is cut";
      return LineVerdict::refused;
    }
    if (!id) {
      id = at.rest();
      at.advance(at.rest().size());
    }
    sink.put("leefVersion", *version);
    sink.put("deviceVendor", *vendor);
    sink.put("deviceProduct", *product);
    sink.put("deviceVersion", *product_version);
    sink.put("eventId", *id);
    const Delimiter delimiter = find_delimiter(*version, at);
    std::optional<Instant> own;
    std::string_view rest = at.rest();
    while (!rest.empty()) {
      const std::size_t end = delimiter.blanks ? blank_before_key(rest) : rest.find(delimiter.text);
      std::string_view pair = rest.substr(0, end);
      rest.remove_prefix(end == std::string_view::npos ? rest.size()
                                                       : end + (delimiter.blanks ? 1 : delimiter.text.size()));
      while (pair.starts_with(' ')) pair.remove_prefix(1);
      const std::size_t eq = pair.find('=');
      if (eq == std::string_view::npos || eq == 0) continue;
      const std::string_view key = pair.substr(0, eq), value = pair.substr(eq + 1);
      syslog::put_if(sink, key, value);
      if (key == "devTime") own = any_time(value, reference_);
      else if (key == "msg") syslog::put_if(sink, "message", value);
    }
    happened(sink, h, own);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    const std::size_t at = h.message.find("LEEF:");
    return at == 0 ? 100 : at != std::string_view::npos && at <= 64 ? 90 : 0;
  }

 private:
  struct Delimiter {
    std::string text = "\t";
    bool blanks = false;  // a blank before the next "key=": a relay made blanks of the tabs
  };
  static std::size_t blank_before_key(std::string_view s) {
    for (std::size_t blank = s.find(' '); blank != std::string_view::npos; blank = s.find(' ', blank + 1)) {
      std::size_t end = blank + 1;
      while (end < s.size() && end - blank < 64 && key_char(s[end])) ++end;
      if (end > blank + 1 && end < s.size() && s[end] == '=') return blank;
    }
    return std::string_view::npos;
  }
  static bool key_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  }
  static Delimiter find_delimiter(std::string_view version, Cursor& at) {
    if (version.starts_with('2')) {
      const std::string_view rest = at.rest();
      const std::size_t bar = rest.find('|');
      if (bar == 0) {
        at.advance(1);  // "||": the default
        return usual(at.rest());
      }
      if (bar != std::string_view::npos && bar <= 6 && rest.substr(0, bar).find('=') == std::string_view::npos) {
        const std::string_view spec = rest.substr(0, bar);
        at.advance(bar + 1);
        if (spec == "\\t" || spec == "\t" || spec == kEscapedTab) return usual(at.rest());
        if (const auto hex = hex_delimiter(spec))
          return *hex == '\t' ? usual(at.rest()) : Delimiter{std::string(1, *hex)};
        return {std::string(1, spec.front())};
      }
    }
    return usual(at.rest());
  }
  // 1.0 says tab; devices also write | (PAN-OS) or ^, rsyslog makes #011 of a tab, others a blank.
  static Delimiter usual(std::string_view rest) {
    if (rest.find('\t') != std::string_view::npos) return {};
    for (const std::string_view d : {kEscapedTab, std::string_view("|"), std::string_view("^")})
      if (const std::size_t n = rest.find(d);
          n != std::string_view::npos && rest.find('=', n) != std::string_view::npos)
        return {std::string(d)};
    return {"\t", true};
  }
  static constexpr std::string_view kEscapedTab = "#011";
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::leef
