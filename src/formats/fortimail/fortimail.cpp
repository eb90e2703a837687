// FortiMail: key=value with commas; mail history, spam, virus and system events under FortiMail's own names.
#include "formats/syslog/header.hpp"

namespace bavn::formats::fortimail {

namespace {

using syslog::Header;

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    if (payload_likelihood(h) == 0) return not_mine(reason);
    std::string_view date, time;
    KeyValues values(h.message, ",");
    for (KeyValue kv; values.next(kv);) {
      while (kv.key.starts_with(' ')) kv.key.remove_prefix(1);
      if (kv.key.empty()) continue;
      if (kv.key == "date") date = kv.value;
      else if (kv.key == "time") time = kv.value;
      if (kv.value.empty()) continue;
      put_unquoted(sink, kv.key, kv);
      if (kv.key == "ui")
        syslog::put_if(sink, "src_ip", between(kv.value, "(", ")"));  // "http(192.0.2.1)": where an admin came from
      if (kv.key == "msg") put_unquoted(sink, "message", kv);
    }
    if (date.empty() || time.empty()) {
      happened(sink, h);
      return LineVerdict::event;
    }
    scratch_.assign(date).append("T").append(time);
    happened(sink, h, parse_time(scratch_));
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    const std::string_view s = h.message;
    const auto has = [&](std::string_view key) { return s.find(key) != std::string_view::npos; };
    return has("device_id=") && has("log_id=") && has("type=") && has(",time=") && !has("log_type=") ? 95 : 0;
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::fortimail
