// pfSense and OPNsense filterlog (CSV whose columns depend on IP version and protocol), and their web GUI's logins.
#include <array>

#include "formats/syslog/header.hpp"

namespace bavn::formats::pfsense {

namespace {

using syslog::Header;
using syslog::put_if;

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    if (h.program == "filterlog") return filter(h, sink, reason);
    if (gui(h)) {
      const std::string_view s = h.message;
      sink.put("message", s);
      sink.put("outcome", s.find("uccessful") != std::string_view::npos ? "success" : "failure");
      sink.put("action", "login");
      put_if(sink, "user",
             between(s, "for user '", "'").empty() ? between(s, "for '", "'") : between(s, "for user '", "'"));
      if (const std::size_t from = s.rfind("from"); from != std::string_view::npos) {
        Cursor at(s.substr(from + 4));
        at.skip(':');
        put_if(sink, "src_ip", at.word());
      }
      happened(sink, h);
      return LineVerdict::event;
    }
    return not_mine(reason);
  }

  int payload_likelihood(const Header& h) const override { return h.program == "filterlog" ? 100 : gui(h) ? 80 : 0; }

 private:
  static bool gui(const Header& h) {
    const std::string_view s = h.message;
    return s.find("webConfigurator authentication error") != std::string_view::npos ||
           s.find("Web GUI authentication error") != std::string_view::npos ||
           s.find("Successful login for user '") != std::string_view::npos;
  }

  LineVerdict filter(const Header& h, FieldSink& sink, std::string& reason) {
    static constexpr std::array<std::string_view, 9> common = {
        "rule", "subrule", "anchor", "tracker", "interface", "reason", "action", "direction", "ip_version"};
    static constexpr std::array<std::string_view, 11> v4 = {
        "tos", "ecn", "ttl", "id", "offset", "flags", "protocol_id", "protocol", "length", "src_ip", "dst_ip"};
    static constexpr std::array<std::string_view, 8> v6 = {"class",       "flow_label", "hop_limit", "protocol",
                                                           "protocol_id", "length",     "src_ip",    "dst_ip"};
    static constexpr std::array<std::string_view, 9> ports = {
        "src_port", "dst_port", "data_length", "tcp_flags", "sequence", "ack", "window", "urg", "options"};
    std::string_view value, version, protocol;
    std::size_t n = 0;
    bool addresses = false;
    for (CsvFields f(h.message); f.next(value, scratch_); ++n) {
      std::string_view name;
      if (n < common.size()) name = common[n];
      else if (version == "4" && n < common.size() + v4.size()) name = v4[n - common.size()];
      else if (version == "6" && n < common.size() + v6.size()) name = v6[n - common.size()];
      else if (version == "4" || version == "6") {
        const std::size_t at = n - common.size() - (version == "4" ? v4.size() : v6.size());
        const bool tcp = protocol == "tcp" || protocol == "TCP", udp = protocol == "udp" || protocol == "UDP";
        if ((tcp && at < ports.size()) || (udp && at < 3)) name = ports[at];
      }
      if (name.empty()) continue;
      put_if(sink, name, value);
      if (name == "ip_version") version = value;
      else if (name == "protocol") protocol = value;
      else if (name == "dst_ip") addresses = true;
    }
    if (!addresses) {
      reason = "filterlog line without addresses";
      return LineVerdict::refused;
    }
    put_if(sink, "message", h.message);
    happened(sink, h);
    return LineVerdict::event;
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::pfsense
