// Dovecot: logins of IMAP, POP3, ManageSieve and submission, auth workers, LMTP deliveries.
#include "base/text.hpp"
#include "formats/syslog/header.hpp"

namespace bavn::formats::dovecot {

namespace {

using syslog::Header;
using syslog::put_if;

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    if (payload_likelihood(h) == 0) return not_mine(reason);
    std::string_view s = h.message;
    sink.put("message", s);
    Cursor at(s);
    if (const std::size_t colon = s.find(": "); colon != std::string_view::npos && colon < 200) {
      // "imap-login: ", "auth-worker(24544): ", "lmtp(bob@example.org)<12><x>: "
      std::string_view service = s.substr(0, colon);
      const std::size_t open = service.find('(');
      put_if(sink, "service", service.substr(0, open));
      if (open != std::string_view::npos) {
        const std::string_view inner = between(service, "(", ")");
        if (!all_digits(inner) && inner != "default") put_if(sink, "user", inner);
      }
      at.advance(colon + 2);
      if (at.skip("Info: ") || at.skip("Error: ") || at.skip("Warning: ") || at.skip("Fatal: ")) {
      }
    }
    facts(at.rest(), sink);
    happened(sink, h);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    return h.program == "dovecot" || h.program.ends_with("/dovecot") || h.program.starts_with("dovecot-") || file(h)
               ? 95
               : 0;
  }

 private:
  /// dovecot.log has no program: "Jun 23 15:04:05 Info: imap-login: Login: ..." (or "imap-login: Info: Login" since 2.0).
  static bool file(const Header& h) {
    const bool level = h.program == "Info" || h.program == "Error" || h.program == "Warning";
    for (const std::string_view service :
         {"imap-login", "pop3-login", "managesieve-login", "submission-login", "auth", "lmtp"}) {
      if (level && h.message.starts_with(service)) return true;
      if (h.program == service &&
          (h.message.starts_with("Info: ") || h.message.starts_with("Error: ") || h.message.starts_with("Warning: ")))
        return true;
    }
    return false;
  }

  static void facts(std::string_view s, FieldSink& sink) {
    if (s.starts_with("Login: ")) {
      sink.put("action", "login");
      sink.put("outcome", "success");
    } else if (icontains(s, "auth failed") || icontains(s, "unknown user") || icontains(s, "password mismatch") ||
               icontains(s, "authentication failure") || icontains(s, "Aborted login") ||
               icontains(s, "auth attempts")) {
      sink.put("action", "login");
      // "Aborted login (no auth attempts)" is a scan, no failure
      if (!icontains(s, "no auth attempts")) sink.put("outcome", "failure");
    } else if (icontains(s, "saved mail to")) {
      sink.put("action", "saved");
      put_if(sink, "mailbox",
             between(s, "saved mail to ", "\n").empty() ? s.substr(s.find("saved mail to ") + 14) : std::string_view{});
    }
    // "pam(toto,192.0.2.1,<session>): unknown user", "sql(user,ip): ..."
    const std::size_t open = s.find('('), close = s.find("): ");
    if (open != std::string_view::npos && close != std::string_view::npos && open < 20 && open < close &&
        s.substr(0, open).find(' ') == std::string_view::npos) {
      CsvFields parts(s.substr(open + 1, close - open - 1));
      std::string_view v;
      std::string scratch;
      if (parts.next(v, scratch)) put_if(sink, "user", v);
      if (parts.next(v, scratch) && looks_like_ip(v)) sink.put("rip", v);
    }
    // key=value, key=<value>
    KeyValues values(s, ", ");
    for (KeyValue kv; values.next(kv);) {
      std::string_view v = kv.value;
      while (v.starts_with('<')) v.remove_prefix(1);
      while (v.ends_with('>') || v.ends_with(':')) v.remove_suffix(1);
      if (kv.key == "user" || kv.key == "method" || kv.key == "rip" || kv.key == "lip" || kv.key == "session" ||
          kv.key == "mpid" || kv.key == "rport" || kv.key == "lport")
        put_if(sink, kv.key, v);
      else if (kv.key == "msgid") put_if(sink, "message-id", v);
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

}  // namespace bavn::formats::dovecot
