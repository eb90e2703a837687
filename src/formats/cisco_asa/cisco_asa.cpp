// Cisco ASA, FTD and PIX: "%ASA-6-302013: Built outbound TCP connection ...". Addresses, ports, interfaces and users are found by
// their shape in the text; there are some two thousand message kinds.
#include <array>

#include "base/text.hpp"
#include "formats/syslog/header.hpp"

namespace bavn::formats::cisco_asa {

namespace {

using syslog::Header;
using syslog::put_if;

struct End {
  std::string_view interface, ip, port;  // ip: also a host's name
};

std::string_view strip(std::string_view s) {
  while (!s.empty() &&
         (s.front() == '(' || s.front() == '[' || s.front() == '<' || s.front() == '"' || s.front() == '\''))
    s.remove_prefix(1);
  while (!s.empty() && (s.back() == ')' || s.back() == ']' || s.back() == '>' || s.back() == ',' || s.back() == '.' ||
                        s.back() == ':' || s.back() == ';' || s.back() == '"' || s.back() == '\''))
    s.remove_suffix(1);
  return s;
}

/// "outside:192.0.2.1/443(LOCAL\bob)", "inside/192.0.2.1(443)", "192.0.2.1/443", "192.0.2.1".
bool end_point(std::string_view w, End& out) {
  w = strip(w);
  std::string_view ip = w, port, interface;
  if (const std::size_t user = ip.find("(LOCAL"); user != std::string_view::npos) ip = ip.substr(0, user);
  if (const std::size_t open = ip.find('('); open != std::string_view::npos) {
    const std::string_view inner = ip.substr(open + 1);
    const std::string_view digits = inner.substr(0, inner.find_first_not_of("0123456789"));
    if (!digits.empty()) port = digits;
    ip = ip.substr(0, open);
  }
  const auto named = [](std::string_view a) {  // "outside:192.0.2.1"
    const std::size_t colon = a.find(':');
    return colon != std::string_view::npos && looks_like_ip(a.substr(colon + 1));
  };
  if (const std::size_t slash = ip.rfind('/'); slash != std::string_view::npos) {
    const std::string_view left = ip.substr(0, slash), right = ip.substr(slash + 1);
    if (all_digits(right) && (looks_like_ip(left) || named(left))) {
      port = right;
      ip = left;
    } else if (looks_like_ip(right)) {
      interface = left;
      ip = right;
    }
  }
  if (!looks_like_ip(ip)) {
    // "dmz:192.0.2.1"; with a port also "dmz:web-server/80" and "DMZ/web-server(80)": the device knows hosts by name
    const std::size_t colon = ip.find(':');
    if (colon == std::string_view::npos && !port.empty() && ip.find('/') != std::string_view::npos) {
      interface = ip.substr(0, ip.find('/'));
      ip = ip.substr(ip.find('/') + 1);
    } else {
      const std::size_t slash = ip.rfind('/');
      if (colon == std::string_view::npos || colon == 0) return false;
      if (!named(ip) && (slash == std::string_view::npos || slash < colon || !all_digits(ip.substr(slash + 1))))
        return false;
      interface = ip.substr(0, colon);
      if (!named(ip)) {
        port = ip.substr(slash + 1);
        ip = ip.substr(0, slash);
      }
      ip = ip.substr(colon + 1);
    }
    if (ip.empty() || ip.find('/') != std::string_view::npos) return false;
  }
  out = {interface, ip, port};
  return true;
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    std::string_view text;
    std::string_view id = tag(h, text);
    if (id.empty()) return not_mine(reason);
    // %ASA-session-6-302013
    const std::size_t dash = id.rfind('-');
    const std::size_t level =
        dash == std::string_view::npos || dash == 0 ? std::string_view::npos : id.rfind('-', dash - 1);
    if (dash == std::string_view::npos || level == std::string_view::npos) {
      reason = "cisco message id is cut";
      return LineVerdict::refused;
    }
    sink.put("message_id", id.substr(dash + 1));
    sink.put("severity", id.substr(level + 1, dash - level - 1));
    sink.put("device", id.substr(1, id.find('-') - 1));
    while (text.starts_with(' ')) text.remove_prefix(1);
    put_if(sink, "message", text);
    facts(text, sink);
    happened(sink, h);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    std::string_view text;
    return tag(h, text).empty() ? 0 : 95;
  }

 private:
  /// "%ASA-6-302013" from the tag or the text; text: what stands behind it.
  static std::string_view tag(const Header& h, std::string_view& text) {
    const auto known = [](std::string_view s) {
      return s.starts_with("%ASA-") || s.starts_with("%FTD-") || s.starts_with("%PIX-") || s.starts_with("%FWSM-");
    };
    if (known(h.program)) {
      text = h.message;
      return h.program;
    }
    const std::size_t at = h.message.find('%');
    if (at == std::string_view::npos || at > 80 || !known(h.message.substr(at))) return {};
    const std::string_view s = h.message.substr(at);
    const std::size_t end = s.find_first_of(": ");
    if (end == std::string_view::npos) {
      text = {};
      return s;
    }
    text = s.substr(end + 1);
    return s.substr(0, end);
  }

  static void facts(std::string_view s, FieldSink& sink) {
    struct Verb {
      std::string_view text, action;
    };
    static constexpr std::array<Verb, 12> verbs = {{{"Built ", "built"},
                                                    {"Teardown ", "teardown"},
                                                    {"Deny ", "deny"},
                                                    {"denied", "deny"},
                                                    {"Denied", "deny"},
                                                    {"permitted", "permit"},
                                                    {"Dropped", "deny"},
                                                    {"rejected", "deny"},
                                                    {"failed", "failed"},
                                                    {"Failed", "failed"},
                                                    {"succeeded", "success"},
                                                    {"Successful", "success"}}};
    for (const Verb& v : verbs)
      if (s.find(v.text) != std::string_view::npos) {
        sink.put("action", v.action);
        break;
      }
    const bool outbound = s.starts_with("Built outbound") || s.starts_with("Built local-host");
    std::array<End, 2> ends;
    std::size_t n = 0;
    Cursor at(s);
    for (std::size_t words = 0; !at.spaces().empty() && words < 200 && n < 2; ++words) {
      const std::string_view w = at.word();
      if (w.starts_with('(') && n == 1) continue;  // the translated address of the one before
      const std::string_view plain = strip(w);
      if (iequals(plain, "tcp") || iequals(plain, "udp") || iequals(plain, "icmp"))
        sink.put("protocol", to_lower(plain));
      if (end_point(w, ends[n])) ++n;
    }
    // ICMP: faddr (outside) gaddr laddr (inside); the inside is the source, whoever began
    if (s.find("faddr ") != std::string_view::npos && s.find("laddr ") != std::string_view::npos) {
      End inside, outside;
      if (end_point(Cursor(s.substr(s.find("faddr ") + 6)).word(), outside) &&
          end_point(Cursor(s.substr(s.find("laddr ") + 6)).word(), inside)) {
        ends = {inside, outside};
        n = 2;
      }
    } else if (n == 2 && outbound) std::swap(ends[0], ends[1]);
    if (const std::size_t who = s.find("user IP = "); who != std::string_view::npos) {
      // AAA: "server = 192.0.2.5 : user = bob : user IP = 203.0.113.1"
      if (End user; end_point(Cursor(s.substr(who + 10)).word(), user)) ends = {user, ends[0]}, n = 1;
    }
    if (n > 0) put(ends[0], "src_ip", "src_port", "src_interface", sink);
    if (n > 1) put(ends[1], "dst_ip", "dst_port", "dst_interface", sink);
    put_if(sink, "access_group", between(s, "access-group \"", "\""));
    if (const std::string_view list = between(s, "access-list ", " "); !list.empty()) sink.put("access_group", list);
    for (const auto& [open, close] : {std::pair<std::string_view, std::string_view>{"Username = ", ","},
                                      {"User <", ">"},
                                      {"user = ", " "},
                                      {"user '", "'"},
                                      {"Uname: ", " "},
                                      {"uname: ", " "},
                                      {"Username: ", ","},
                                      {"User '", "'"}})
      if (const std::string_view user = between(s, open, close); !user.empty() && user.size() < 200) {
        sink.put("user", strip(user));
        break;
      }
    put_if(sink, "CmdSet", between(s, "executed the '", "'"));
    if (const std::size_t cmd = s.find("executed '"); cmd != std::string_view::npos)
      put_if(sink, "CmdSet", strip(s.substr(cmd + 10)));
    if (const std::size_t url = s.find("Accessed URL "); url != std::string_view::npos) {
      const std::string_view rest = s.substr(url + 13);
      const std::size_t colon = rest.find(':');
      if (n == 1 && colon != std::string_view::npos && looks_like_ip(rest.substr(0, colon)))
        sink.put("dst_ip", rest.substr(0, colon));
      put_if(sink, "url",
             colon != std::string_view::npos && looks_like_ip(rest.substr(0, colon)) ? rest.substr(colon + 1) : rest);
    }
  }
  static void put(const End& e, std::string_view ip, std::string_view port, std::string_view interface,
                  FieldSink& sink) {
    if (looks_like_ip(e.ip)) {
      sink.put(ip, e.ip);
    } else {
      sink.put(ip == "src_ip" ? "src_host" : "dst_host", e.ip);
    }
    put_if(sink, port, e.port);
    put_if(sink, interface, e.interface);
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::cisco_asa
