// Sophos Firewall (XG, SFOS): key=value, names as Sophos writes them.
#include "formats/syslog/header.hpp"

namespace bavn::formats::sophos_xg {

namespace {

using syslog::Header;

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    if (payload_likelihood(h) == 0) return not_mine(reason);
    std::string_view date, time;
    KeyValues values(h.message, " \t");
    for (KeyValue kv; values.next(kv);) {
      if (kv.key == "date") date = kv.value;
      else if (kv.key == "time") time = kv.value;
      if (kv.value.empty()) continue;
      put_unquoted(sink, kv.key, kv);
    }
    if (date.empty() || time.empty()) {
      happened(sink, h);
      return LineVerdict::event;
    }
    // The zone is only named ("CEST"): local time, read as UTC.
    scratch_.assign(date).append("T").append(time);
    happened(sink, h, parse_time(scratch_));
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    const std::string_view s = h.message;
    const auto has = [&](std::string_view key) { return s.find(key) != std::string_view::npos; };
    return has("log_id=") && has("log_type=") && has("log_component=") ? 95 : 0;
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::sophos_xg
