// FortiGate (FortiOS) key=value log, fields under their own names.
#include "formats/syslog/header.hpp"

namespace bavn::formats::fortigate {

namespace {

using syslog::Header;

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    if (payload_likelihood(h) == 0) return not_mine(reason);
    std::string_view date, time, tz, event_time;
    std::size_t pairs = 0;
    const bool commas = body(h).starts_with("date=") && body(h).size() > 16 && body(h)[15] == ',';  // "set format csv"
    KeyValues values(body(h), commas ? "," : " \t");
    for (KeyValue kv; values.next(kv);) {
      ++pairs;
      if (kv.key == "date") date = kv.value;
      else if (kv.key == "time") time = kv.value;
      else if (kv.key == "tz") tz = kv.value;
      else if (kv.key == "eventtime") event_time = kv.value;
      if (kv.value.empty()) continue;
      put_unquoted(sink, kv.key, kv);
      if (kv.key == "msg") put_unquoted(sink, "message", kv);
    }
    if (pairs < 4) {
      reason = "fortigate line is cut";
      return LineVerdict::refused;
    }
    happened(sink, h, own_time(date, time, tz, event_time));
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    const std::string_view s = body(h);
    // FortiOS 4 writes log_id=; so do FortiMail (commas) and Sophos (log_type=), which have readers of their own.
    const bool old = s.find("log_id=") != std::string_view::npos && s.find(",time=") == std::string_view::npos &&
                     s.find("log_type=") == std::string_view::npos;
    const bool ids = old || s.find("logid=") != std::string_view::npos || s.find("devid=") != std::string_view::npos;
    if (!ids || s.find("type=") == std::string_view::npos) return 0;
    return s.starts_with("date=") ? 95 : 60;
  }

 private:
  static std::string_view body(const Header& h) { return h.message; }

  /// date and time are the device's local time. tz tells the zone; without it eventtime (UTC) is used when it agrees within a day.
  std::optional<Instant> own_time(std::string_view date, std::string_view time, std::string_view tz,
                                  std::string_view event_time) {
    if (date.empty() || time.empty()) return parse_epoch(event_time);
    scratch_.assign(date).append("T").append(time);
    const auto local = parse_time(scratch_);
    if (!tz.empty()) {
      if (const auto t = parse_time(scratch_ + std::string(tz))) return t;
    }
    if (const auto exact = parse_epoch(event_time); exact && local) {
      const auto apart = *exact > *local ? *exact - *local : *local - *exact;
      if (apart <= std::chrono::hours{26}) return exact;
    }
    return local;
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::fortigate
