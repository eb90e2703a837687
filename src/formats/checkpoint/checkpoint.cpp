// Check Point Log Exporter: syslog [key:"value"; key:"value"], structured data [Fields@... key="value"], and key=value|key=value.
#include "formats/syslog/header.hpp"

namespace bavn::formats::checkpoint {

namespace {

using syslog::Header;

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    const int sure = payload_likelihood(h);
    if (sure == 0) return not_mine(reason);
    std::optional<Instant> own;
    const std::string_view s = h.message;
    if (!h.structured.empty()) {
      own = any_time(between(h.structured, " time=\"", "\""), reference_);  // its fields were put with the header
    } else if (const std::size_t open = s.find('['); open != std::string_view::npos && open < 16) {
      if (bracketed(s.substr(open + 1), sink, own) == 0) {
        reason = "check point line without a field";
        return LineVerdict::refused;
      }
    } else {
      KeyValues values(s, s.find('|') != std::string_view::npos ? "|" : ";");
      for (KeyValue kv; values.next(kv);) {
        while (kv.key.starts_with(' ')) kv.key.remove_prefix(1);
        field(kv.key, kv, sink, own);
      }
    }
    happened(sink, h, own);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    const std::string_view s = h.message;
    if (h.structured.starts_with("[Fields@1.3.6.1.4.1.2620")) return 99;
    const bool named = h.program == "CheckPoint" || h.host == "CheckPoint";
    const bool uid = s.find("loguid") != std::string_view::npos;
    if (s.substr(0, 16).find('[') != std::string_view::npos && s.find(":\"") != std::string_view::npos)
      return named || uid || s.find("product:\"") != std::string_view::npos ? 95 : 0;
    if (uid && s.find("product=") != std::string_view::npos && s.find('|') != std::string_view::npos) return 90;
    return 0;
  }

 private:
  void field(std::string_view key, const KeyValue& kv, FieldSink& sink, std::optional<Instant>& own) {
    if (kv.value.empty() || key.empty()) return;
    put_unquoted(sink, key, kv);
    if (key == "time") own = any_time(kv.value, reference_);
    if (key == "sys_message" || key == "message_info") put_unquoted(sink, "message", kv);
  }

  /// action:"Accept"; flags:"1"; sys_message::"..."] ; a value ends at a quote that is not escaped, or at `"; name:"`.
  std::size_t bracketed(std::string_view s, FieldSink& sink, std::optional<Instant>& own) {
    std::size_t n = 0;
    Cursor at(s);
    for (;;) {
      while (at.skip(' ') || at.skip(';')) {
      }
      const std::size_t colon = at.rest().find(':');
      if (colon == std::string_view::npos || colon == 0 || colon > 128) return n;
      const std::string_view key = at.rest().substr(0, colon);
      if (key.find_first_of("\"]") != std::string_view::npos) return n;
      at.advance(colon);
      while (at.skip(':')) {
      }
      KeyValue kv{.key = key, .value = {}, .quote = '"'};
      const std::string_view rest = at.rest();
      if (!at.skip('"')) {
        const std::size_t end = rest.find_first_of(";]");
        kv.value = rest.substr(0, end);
        at.advance(end == std::string_view::npos ? rest.size() : end);
      } else {
        std::size_t end = 0;
        const std::string_view body = at.rest();
        while (end < body.size() && body[end] != '"') {
          if (body[end] == '\\' && end + 1 < body.size()) {
            kv.escaped = true;
            ++end;
          }
          ++end;
        }
        if (end > body.size()) end = body.size();
        kv.value = body.substr(0, end);
        at.advance(end + 1);
      }
      field(key, kv, sink, own);
      ++n;
    }
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::checkpoint
