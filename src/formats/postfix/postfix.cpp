// Postfix: every daemon's lines. Names as Postfix writes them (from, to, message-id, relay, status ...).
#include <algorithm>

#include "base/text.hpp"
#include "formats/syslog/header.hpp"

namespace bavn::formats::postfix {

namespace {

using syslog::Header;
using syslog::put_if;

bool queue_char(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// Short ids are hex in capitals, long ones (enable_long_queue_ids) letters and digits with no vowel.
bool queue_id(std::string_view s) {
  if (s == "NOQUEUE") return true;
  if (s.size() < 5 || s.size() > 24) return false;
  bool digit = false;
  for (const char c : s) {
    if (!queue_char(c)) return false;
    digit = digit || (c >= '0' && c <= '9');
  }
  return digit || s.find_first_not_of("ABCDEF") == std::string_view::npos;
}

bool key_char(char c) {
  return (c >= 'a' && c <= 'z') || c == '_' || c == '-' || (c >= '0' && c <= '9');
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    if (payload_likelihood(h) == 0) return not_mine(reason);
    const std::size_t slash = h.program.rfind('/');
    const std::string_view daemon = slash == std::string_view::npos ? h.program : h.program.substr(slash + 1);
    sink.put("daemon", daemon);
    client_ = daemon != "smtp" && daemon != "lmtp" && daemon != "tlsproxy";
    sink.put("message", h.message);
    body(h.message, sink, 0);
    happened(sink, h);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    return h.program.starts_with("postfix") && !h.message.empty() ? 95 : 0;
  }

 private:
  bool client_ = true;  // addresses without a name of their role: of clients, or of the servers we deliver to

  void body(std::string_view s, FieldSink& sink, int depth) {
    for (const std::string_view level : {"warning", "fatal", "error", "panic", "info"}) {
      if (s.starts_with(level) && s.substr(level.size()).starts_with(": ")) {
        sink.put("level", level);
        s.remove_prefix(level.size() + 2);
        break;
      }
    }
    if (const std::size_t colon = s.find(": "); colon != std::string_view::npos && queue_id(s.substr(0, colon))) {
      sink.put("queue_id", s.substr(0, colon));
      s.remove_prefix(colon + 2);
    } else if (s.starts_with("queue id ")) {
      s.remove_prefix(9);
    }
    if (const std::size_t id = s.find("message-id="); id == 0 || s.starts_with("resent-message-id=")) {
      std::string_view value = s.substr(s.find('=') + 1);  // to the end: broken ids hold blanks and commas
      if (value.starts_with('<') && value.ends_with('>')) value = value.substr(1, value.size() - 2);
      sink.put("message-id", value);
      return;
    }
    if (depth == 0 && verdict(s, sink)) return;
    if (s.starts_with("removed")) return sink.put("action", "removed");
    peers(s, sink);
    std::size_t from = 0;
    if (const std::size_t sasl = s.find(": SASL "); sasl != std::string_view::npos) {
      Cursor at(s.substr(sasl + 7));
      sink.put("sasl_method", at.word());
      if (at.skip("authentication failed")) {
        sink.put("action", "sasl_failed");
        sink.put("outcome", "failure");
        if (at.skip(": ")) {
          const std::size_t end = at.rest().find(", sasl_username=");
          put_if(sink, "reason", at.rest().substr(0, end));
        }
      }
      from = sasl;
    }
    pairs(s.substr(from), sink);
  }

  /// "reject: RCPT from host[ip]: 550 5.1.1 <data>: text; from=<> to=<> proto=ESMTP helo=<x>" and its like.
  bool verdict(std::string_view s, FieldSink& sink) {
    const std::size_t colon = s.find(": ");
    if (colon == std::string_view::npos || colon > 32) return false;
    const std::string_view action = s.substr(0, colon);
    bool known = action.starts_with("milter-") || action.starts_with("proxy-") || action == "reject_warning";
    for (const std::string_view a :
         {"reject", "discard", "hold", "redirect", "filter", "prepend", "warn", "replace", "bcc", "drop"})
      known = known || action == a;
    if (!known) return false;
    sink.put("action", action);
    std::string_view rest = s.substr(colon + 2);
    // The pairs stand behind the last "; " that a key follows: reply texts hold semicolons too.
    std::size_t cut = std::string_view::npos;
    for (std::size_t at = rest.find("; "); at != std::string_view::npos; at = rest.find("; ", at + 1))
      if (const std::string_view k = rest.substr(at + 2);
          k.starts_with("from=") || k.starts_with("to=") || k.starts_with("proto=")) {
        cut = at;
        break;
      }
    const std::string_view head = rest.substr(0, cut);
    Cursor at(head);
    const std::size_t from = head.find(" from ");
    std::string_view text = head;
    if (from != std::string_view::npos && from < 40 && head.find(':') > from) {
      sink.put("stage", head.substr(0, from));
      std::string_view who = head.substr(from + 6);
      const std::size_t end = who.find("]: ");
      const std::size_t port = who.find("]:");
      if (end != std::string_view::npos) {
        peer(who.substr(0, end + 1), sink, "client");
        text = who.substr(end + 3);
      } else if (port != std::string_view::npos) {
        const std::size_t stop = who.find(": ", port);
        peer(who.substr(0, stop), sink, "client");
        text = stop == std::string_view::npos ? std::string_view{} : who.substr(stop + 2);
      }
      if (port != std::string_view::npos && port < end && end != std::string_view::npos) {
        const std::size_t stop = who.find(": ", port);
        peer(who.substr(0, stop), sink, "client");
        text = stop == std::string_view::npos ? std::string_view{} : who.substr(stop + 2);
      }
    } else if (const std::size_t stage = head.find(": "); stage != std::string_view::npos && stage < 24) {
      sink.put("stage", head.substr(0, stage));
      text = head.substr(stage + 2);
    }
    reply(text, sink);
    if (cut != std::string_view::npos) pairs(rest.substr(cut + 2), sink);
    return true;
  }

  /// "550 5.1.1 <data>: text"
  static void reply(std::string_view text, FieldSink& sink) {
    Cursor at(text);
    if (text.size() > 4 && all_digits(text.substr(0, 3)) && text[3] == ' ') {
      sink.put("status_code", text.substr(0, 3));
      at.advance(4);
    }
    if (const std::string_view r = at.rest(); r.size() > 5 && r[1] == '.' && all_digits(r.substr(0, 1))) {
      const std::string_view dsn = r.substr(0, r.find(' '));
      if (dsn.find_first_not_of("0123456789.") == std::string_view::npos) {
        sink.put("dsn", dsn);
        at.advance(dsn.size() + 1);
      }
    }
    if (at.skip("Service unavailable; ")) at.word();
    if (at.peek() == '<') {
      const std::string_view r = at.rest();
      if (const std::size_t end = r.find(">: "); end != std::string_view::npos) {
        sink.put("status_data", r.substr(1, end - 1));
        at.advance(end + 3);
      }
    }
    put_if(sink, "reason", at.rest());
  }

  /// "host[ip]:port", "[ip]:port": <role>, <role>_host, <role>_ip, <role>_port.
  void peer(std::string_view s, FieldSink& sink, std::string_view role) {
    const std::size_t open = s.find('[');
    const std::size_t close = s.find(']', open == std::string_view::npos ? 0 : open);
    if (open == std::string_view::npos || close == std::string_view::npos) return;
    const auto put = [&](std::string_view tail, std::string_view value) {
      if (value.empty() || value == "unknown") return;
      scratch_.assign(role).append(tail);
      sink.put(scratch_, value);
    };
    put("_host", s.substr(0, open));
    std::string_view ip = s.substr(open + 1, close - open - 1);
    if (ip.starts_with("IPv6:")) ip.remove_prefix(5);
    if (looks_like_ip(ip)) put("_ip", ip);
    if (s.substr(close + 1).starts_with(':')) {
      const std::string_view port = s.substr(close + 2);
      put("_port", port.substr(0, port.find_first_not_of("0123456789")));
    }
  }

  /// Addresses in lines of smtpd, smtp and postscreen that are no pairs.
  void peers(std::string_view s, FieldSink& sink) {
    struct Shape {
      std::string_view before, role, action;
    };
    static constexpr Shape shapes[] = {{"connect from ", "client", "connect"},
                                       {"disconnect from ", "client", "disconnect"},
                                       {"COMMAND ", "client", "command_error"},
                                       {"NON-SMTP COMMAND from ", "client", "command_error"},
                                       {"BARE NEWLINE from ", "client", "command_error"},
                                       {"SSL_accept error from ", "client", "tls_failed"},
                                       {"CONNECT from ", "client", "connect"},
                                       {"PASS NEW ", "client", "pass_new"},
                                       {"PASS OLD ", "client", "pass_old"},
                                       {"ALLOWLISTED ", "client", "allowlisted"},
                                       {"WHITELISTED ", "client", "allowlisted"},
                                       {"BLACKLISTED ", "client", "denylisted"},
                                       {"DENYLISTED ", "client", "denylisted"},
                                       {"DISCONNECT ", "client", "disconnect"},
                                       {"HANGUP after ", "client", "hangup"},
                                       {"PREGREET ", "client", "pregreet"},
                                       {"DNSBL rank ", "client", "dnsbl"},
                                       {"lost connection after ", "client", "lost_connection"},
                                       {"timeout after ", "client", "timeout"},
                                       {"too many errors after ", "client", "too_many_errors"},
                                       {"host ", "relay", ""},
                                       {"connect to ", "relay", "connect_failed"},
                                       {"lost connection with ", "relay", "lost_connection"},
                                       {"conversation with ", "relay", ""}};
    for (const Shape& shape : shapes)
      if (s.starts_with(shape.before)) {
        put_if(sink, "action", shape.action);
        if (const std::size_t after = s.find("after ");
            after != std::string_view::npos && after < 100 && !s.starts_with("PREGREET")) {
          const std::string_view stage = s.substr(after + 6);
          if (stage.find(" from ") < 40)
            put_if(sink, "stage", stage.substr(0, std::min(stage.find(" ("), stage.find(" from "))));
          else if (shape.before == "COMMAND ") put_if(sink, "stage", stage);
        }
        for (const std::string_view text : {" said: ", " refused to talk to me: "})
          if (const std::size_t at = s.find(text); at != std::string_view::npos) {
            std::string_view response = s.substr(at + text.size());
            if (const std::size_t in = response.rfind(" (in reply to "); in != std::string_view::npos) {
              put_if(sink, "stage", between(response.substr(in), "to ", " command)"));
              response = response.substr(0, in);
            }
            put_if(sink, "response", response);
          }
        if (shape.before == "DNSBL rank ") {
          Cursor at(s.substr(11));
          put_if(sink, "dnsbl_rank", at.word());
        }
        return around_bracket(s.substr(shape.before == "host " ? 5 : 0), sink, shape.role);
      }
    if (const std::size_t tls = s.find("TLS connection established "); tls != std::string_view::npos && tls < 24) {
      put_if(sink, "tls_trust", s.substr(0, tls == 0 ? 0 : tls - 1));
      const std::string_view rest = s.substr(tls + 27);
      around_bracket(rest, sink, rest.starts_with("from ") ? "client" : "relay");
      if (const std::size_t version = rest.find(": TLS"); version != std::string_view::npos) {
        Cursor at(rest.substr(version + 2));
        sink.put("tls_version", at.word());
        if (at.skip("with cipher ")) sink.put("tls_cipher", at.word());
      }
      return;
    }
    if (s.find("client=") != std::string_view::npos || s.find("relay=") != std::string_view::npos) return;
    around_bracket(s, sink, client_ ? "client" : "relay");
    if (s.starts_with("addr ") && s.find(" listed by domain ") != std::string_view::npos) {  // dnsblog
      put_if(sink, "client_ip", between(s, "addr ", " "));
      put_if(sink, "dnsbl", between(s, "by domain ", " "));
    } else if (s.starts_with("statistics: ")) {  // anvil: "for (smtpd:192.0.2.1)"
      const std::string_view who = between(s, "for (", ")");
      for (std::size_t colon = who.find(':'); colon != std::string_view::npos; colon = who.find(':', colon + 1))
        if (looks_like_ip(who.substr(colon + 1))) {
          sink.put("client_ip", who.substr(colon + 1));
          break;
        }
    }
  }

  /// The first word with [address] in it.
  void around_bracket(std::string_view s, FieldSink& sink, std::string_view role) {
    for (std::size_t open = s.find('['); open != std::string_view::npos; open = s.find('[', open + 1)) {
      const std::size_t close = s.find(']', open);
      if (close == std::string_view::npos || close - open > 60) return;
      std::string_view ip = s.substr(open + 1, close - open - 1);
      if (ip.starts_with("IPv6:")) ip.remove_prefix(5);
      if (!looks_like_ip(ip)) continue;
      std::size_t start = open;
      while (start > 0 && s[start - 1] != ' ' && s[start - 1] != '=' && s[start - 1] != ',') --start;
      std::size_t end = close + 1;
      if (end + 1 < s.size() && s[end] == ':')
        for (++end; end < s.size() && s[end] >= '0' && s[end] <= '9';) ++end;
      return peer(s.substr(start, end - start), sink, role);
    }
  }

  /// key=value and key=<value>, separated by blanks or commas; "status=sent (250 ...)".
  void pairs(std::string_view s, FieldSink& sink) {
    std::size_t i = 0;
    while (i < s.size()) {
      const std::size_t eq = s.find('=', i);
      if (eq == std::string_view::npos) return;
      std::size_t key = eq;
      while (key > i && key_char(s[key - 1])) --key;
      const bool bounded = key == 0 || s[key - 1] == ' ' || s[key - 1] == ',';
      if (key == eq || !bounded) {
        i = eq + 1;
        continue;
      }
      const std::string_view name = s.substr(key, eq - key);
      std::string_view value;
      std::size_t end;
      if (eq + 1 < s.size() && s[eq + 1] == '<') {
        end = eq + 2;  // a '>' inside an address is followed by neither blank, comma, colon nor the end
        while (end < s.size() && !(s[end] == '>' && (end + 1 == s.size() || s[end + 1] == ' ' || s[end + 1] == ',' ||
                                                     s[end + 1] == ':' || s[end + 1] == ';')))
          ++end;
        value = s.substr(eq + 2, end - eq - 2);
        if (end < s.size()) ++end;
      } else {
        end = s.find_first_of(", ", eq + 1);
        if (end == std::string_view::npos) end = s.size();
        value = s.substr(eq + 1, end - eq - 1);
      }
      put_if(sink, name, value);
      if (name == "relay" || name == "client" || name == "orig_client") {
        // "relay=local", "relay=none", "relay=host[ip]:25"; client=unknown[ip]
        if (value.find('[') != std::string_view::npos) peer(value, sink, name);
      } else if (name == "status") {
        std::string_view rest = s.substr(end);
        while (rest.starts_with(' ') || rest.starts_with(',')) rest.remove_prefix(1);
        if (rest.starts_with('(')) {
          if (rest.ends_with(')')) rest = rest.substr(1, rest.size() - 2);
          else rest.remove_prefix(1);
        }
        put_if(sink, "response", rest);
        if (const std::size_t queued = rest.find("queued as "); queued != std::string_view::npos) {
          const std::string_view id = rest.substr(queued + 10);
          put_if(sink, "remote_queue_id",
                 id.substr(0, id.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")));
        }
        return;
      }
      i = end > eq ? end : eq + 1;
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

}  // namespace bavn::formats::postfix
