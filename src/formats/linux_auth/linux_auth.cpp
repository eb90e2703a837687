// auth.log and secure: sshd, sudo, su, PAM, cron, account tools, login, logind, doas, dropbear.
#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "formats/syslog/header.hpp"

namespace bavn::formats::linux_auth {

namespace {

using syslog::Header;
using syslog::put_if;

constexpr std::array<std::string_view, 33> kPrograms = {
    "sshd",     "sshd-session", "sshd-auth",      "sudo",    "sudo-rs",  "su",       "su-l",     "cron",    "crond",
    "login",    "useradd",      "userdel",        "usermod", "groupadd", "groupdel", "groupmod", "passwd",  "chpasswd",
    "chage",    "gpasswd",      "systemd-logind", "doas",    "dropbear", "pam",      "polkitd",  "adduser", "addgroup",
    "newusers", "vipw",         "pkexec",         "vsftpd",  "chfn",     "chsh"};

std::string_view strip(std::string_view s, std::string_view ends) {
  while (!s.empty() && ends.find(s.front()) != std::string_view::npos) s.remove_prefix(1);
  while (!s.empty() && ends.find(s.back()) != std::string_view::npos) s.remove_suffix(1);
  return s;
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    if (payload_likelihood(h) == 0) return not_mine(reason);
    std::string_view s = h.message;
    sink.put("message", s);
    happened(sink, h);
    std::string_view program = h.program;
    if (vsftpd_file(h)) sink.put("program", "vsftpd");
    if (const std::size_t paren = program.find('('); paren != std::string_view::npos) {
      pam_text(s, sink);  // old style: su(pam_unix)[1]: authentication failure; ...
      return LineVerdict::event;
    }
    if (const std::size_t slash = program.rfind('/'); slash != std::string_view::npos) program.remove_prefix(slash + 1);
    if (s.starts_with("pam_") || s.starts_with("PAM ")) pam(s, sink);
    else if (program.starts_with("sshd")) sshd(s, sink);
    else if (program.starts_with("sudo")) sudo(s, sink);
    else if (program == "su" || program == "su-l") su(s, sink);
    else if (iequals(program, "cron") || program == "crond") cron(s, sink);
    else if (program == "doas") doas(s, sink);
    else if (program == "systemd-logind") logind(s, sink);
    else if (program == "dropbear") dropbear(s, sink);
    else account(s, sink);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    std::string_view program = h.program;
    if (program.find("(pam_") != std::string_view::npos) return 90;
    if (const std::size_t slash = program.rfind('/'); slash != std::string_view::npos) program.remove_prefix(slash + 1);
    for (const std::string_view p : kPrograms)
      if (iequals(p, program)) return 90;
    if (vsftpd_file(h)) return 80;
    return h.message.starts_with("pam_unix(") ? 80 : 0;
  }

 private:
  /// vsftpd.log: "Wed Jul 27 18:32:27 2016 [pid 2] [bob] FAIL LOGIN: Client "192.0.2.1""
  static bool vsftpd_file(const Header& h) {
    return h.program.empty() && h.message.starts_with("[pid ") && h.message.find("Client \"") != std::string_view::npos;
  }

  static void outcome(FieldSink& sink, bool success, std::string_view action) {
    sink.put("outcome", success ? "success" : "failure");
    sink.put("action", action);
  }

  /// "192.0.2.1 port 22 ..." or "host (192.0.2.1)": src_ip, src_host, src_port.
  static void source(std::string_view s, FieldSink& sink) {
    Cursor at(s);
    std::string_view who = strip(at.word(), ",;:");
    if (looks_like_ip(strip(who, "[]()"))) {
      sink.put("src_ip", strip(who, "[]()"));
    } else if (!who.empty()) {
      const HostPort hp = host_port(who);
      if (looks_like_ip(hp.host) && all_digits(hp.port)) {
        sink.put("src_ip", hp.host);
        sink.put("src_port", hp.port);
        return;
      }
      if (who != "UNKNOWN") sink.put("src_host", who);
      const std::string_view ip = strip(Cursor(at.rest()).word(), "()[],:");
      if (looks_like_ip(ip)) sink.put("src_ip", ip);
    }
    if (at.skip("port ")) {
      const std::string_view rest = at.rest();
      const std::string_view port = rest.substr(0, rest.find_first_not_of("0123456789"));
      put_if(sink, "src_port", port);
    }
  }

  /// The user is what stands before the LAST " from ": a user name may be "x from 192.0.2.9" to forge an address.
  static void user_from(std::string_view s, FieldSink& sink) {
    const std::size_t from = s.rfind(" from ");
    std::string_view user = s.substr(0, from);
    if (user.starts_with("invalid user ") || user.starts_with("illegal user ")) {
      user.remove_prefix(13);
      sink.put("user_exists", "false");
    }
    put_if(sink, "user", strip(user, "'\""));
    if (from != std::string_view::npos) source(s.substr(from + 6), sink);
  }

  void sshd(std::string_view s, FieldSink& sink) {
    for (const std::string_view level : {"error: ", "fatal: ", "warning: ", "debug1: "})
      if (s.starts_with(level)) s.remove_prefix(level.size());
    Cursor at(s);
    const bool accepted = at.skip("Accepted "), failed = !accepted && (at.skip("Failed ") || at.skip("Postponed "));
    if (accepted || failed) {
      sink.put("auth_method", at.word());
      at.skip("for ");
      outcome(sink, accepted, "ssh_login");
      std::string_view rest = at.rest();
      if (const std::size_t key = rest.find(" ssh2: "); key != std::string_view::npos) {
        sink.put("key_fingerprint", rest.substr(key + 7));
        rest = rest.substr(0, key);
      }
      return user_from(rest, sink);
    }
    if (at.skip("Invalid user ") || at.skip("Illegal user ") || at.skip("input_userauth_request: invalid user ")) {
      outcome(sink, false, "ssh_login");
      sink.put("user_exists", "false");
      return user_from(at.rest().ends_with(" [preauth]") ? at.rest().substr(0, at.rest().size() - 10) : at.rest(),
                       sink);
    }
    if (at.skip("maximum authentication attempts exceeded for ")) {
      outcome(sink, false, "ssh_login");
      return user_from(at.rest(), sink);
    }
    if (at.skip("User ")) {
      const std::size_t why = s.rfind(" not allowed because ");
      if (why != std::string_view::npos) {
        outcome(sink, false, "ssh_login");
        sink.put("reason", s.substr(why + 21));
        return user_from(s.substr(5, why - 5), sink);
      }
    }
    if (at.skip("subsystem request for ")) {
      const std::string_view subsystem = at.word();
      sink.put("subsystem", subsystem);
      if (at.skip("by user ")) put_if(sink, "user", at.word());
      return;
    }
    for (const std::string_view text :
         {"Connection closed by ", "Connection reset by ", "Disconnected from ", "Disconnecting ",
          "Received disconnect from ", "Close session: ", "Unable to negotiate with ", "Connection from ",
          "Did not receive identification string from ", "refused connect from ",
          "Bad protocol version identification "}) {
      if (!at.skip(text)) continue;
      sink.put("action", text.starts_with("Connection from") ? "connect" : "disconnect");
      if (text.starts_with("Bad")) break;
      const bool invalid = at.skip("invalid user ");
      if (invalid) sink.put("user_exists", "false");
      if (invalid || at.skip("authenticating user ") || at.skip("user ")) {
        // "user a b 192.0.2.1 port 22": the address is the last word before " port "
        std::string_view rest = at.rest();
        std::size_t port = rest.rfind(" port ");
        if (const std::size_t from = rest.rfind(" from "); from != std::string_view::npos) return user_from(rest, sink);
        if (port == std::string_view::npos) port = rest.size();
        const std::size_t blank = rest.rfind(' ', port == 0 ? 0 : port - 1);
        if (blank == std::string_view::npos) return;
        put_if(sink, "user", rest.substr(0, blank));
        return source(rest.substr(blank + 1), sink);
      }
      return source(at.rest(), sink);
    }
    // Any other line: the first address that is a word of its own.
    Cursor words(s);
    while (!words.empty()) {
      const std::string_view rest = words.rest();
      const std::string_view w = strip(words.word(), "()[],;:");
      if (looks_like_ip(w)) return source(strip(rest, " (["), sink);
    }
  }

  /// "user : reason ; TTY=pts/0 ; PWD=/home ; USER=root ; COMMAND=/bin/ls -l"
  static void sudo(std::string_view s, FieldSink& sink) {
    const std::size_t colon = s.find(" : ");
    if (colon == std::string_view::npos) return;
    put_if(sink, "user", trim(s.substr(0, colon)));
    std::string_view rest = s.substr(colon + 3);
    bool denied = false;
    while (!rest.empty()) {
      if (rest.starts_with("COMMAND=")) {
        sink.put("COMMAND", rest.substr(8));  // to the end: commands hold " ; " themselves
        break;
      }
      const std::size_t end = rest.find(" ; ");
      const std::string_view part = rest.substr(0, end);
      const std::size_t eq = part.find('=');
      if (eq != std::string_view::npos && eq > 0 &&
          part.substr(0, eq).find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == std::string_view::npos) {
        put_if(sink, part.substr(0, eq), part.substr(eq + 1));
      } else if (!part.empty()) {
        sink.put("reason", part);
        denied = true;
      }
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 3);
    }
    outcome(sink, !denied, "sudo");
  }

  static void su(std::string_view s, FieldSink& sink) {
    Cursor at(s);
    if (at.skip("Successful su for ") || at.skip("FAILED su for ")) {
      outcome(sink, s.starts_with('S'), "su");
      put_if(sink, "USER", at.word());
      if (at.skip("by ")) put_if(sink, "user", at.word());
    } else if (at.skip("(to ") || at.skip("FAILED SU (to ")) {
      outcome(sink, s.starts_with('('), "su");
      put_if(sink, "USER", at.until(')').value_or(""));
      put_if(sink, "user", at.word());
    } else if (at.skip("'su ")) {
      put_if(sink, "USER", at.until('\'').value_or(""));
      outcome(sink, !at.skip(" failed"), "su");
      at.spaces();
      if (at.skip("succeeded ")) {
      }
      if (at.skip("for ")) put_if(sink, "user", at.word());
    } else if (at.skip("+ ") || at.skip("- ")) {
      at.word();
      outcome(sink, s.starts_with('+'), "su");
      const std::string_view pair = at.word();
      const std::size_t colon = pair.find(':');
      if (colon == std::string_view::npos) return;
      put_if(sink, "user", pair.substr(0, colon));
      put_if(sink, "USER", pair.substr(colon + 1));
    } else if (at.skip("BAD SU ")) {
      outcome(sink, false, "su");
      put_if(sink, "user", at.word());
      if (at.skip("to ")) put_if(sink, "USER", at.word());
    }
  }

  static void cron(std::string_view s, FieldSink& sink) {
    Cursor at(s);
    if (!at.skip('(')) return;
    const auto user = at.until(')');
    if (!user) return;
    put_if(sink, "user", *user);
    at.spaces();
    const auto action = at.until('(');
    if (!action) return;
    put_if(sink, "action", to_lower(trim(*action)));
    std::string_view command = at.rest();
    if (command.ends_with(')')) command.remove_suffix(1);
    put_if(sink, "COMMAND", command);
  }

  static void doas(std::string_view s, FieldSink& sink) {
    Cursor at(s);
    if (at.skip("failed command for ")) {
      outcome(sink, false, "doas");
      put_if(sink, "user", at.until(':').value_or(""));
      put_if(sink, "COMMAND", trim(at.rest()));
      return;
    }
    const auto user = at.until(" ran command ");
    if (!user) return;
    outcome(sink, true, "doas");
    sink.put("user", *user);
    if (at.skip("as ")) {
      put_if(sink, "USER", at.until(':').value_or(""));
      put_if(sink, "COMMAND", trim(at.rest()));
    } else if (const auto command = at.until(" as ")) {
      put_if(sink, "COMMAND", *command);
      put_if(sink, "USER", at.word());
      if (at.skip("from ")) put_if(sink, "PWD", at.rest());
    }
  }

  static void logind(std::string_view s, FieldSink& sink) {
    if (const std::string_view user = between(s, "of user ", "."); !user.empty()) {
      sink.put("user", user);
      sink.put("action", "session_opened");
    }
    put_if(sink, "session", between(s, "ession ", s.starts_with("New") ? " " : "."));
  }

  static void dropbear(std::string_view s, FieldSink& sink) {
    if (const std::string_view user = between(s, "'", "'"); !user.empty()) sink.put("user", user);
    if (s.find("succeeded") != std::string_view::npos) outcome(sink, true, "ssh_login");
    else if (s.find("ttempt for") != std::string_view::npos) outcome(sink, false, "ssh_login");
    if (const std::size_t from = s.rfind(" from "); from != std::string_view::npos) source(s.substr(from + 6), sink);
  }

  /// "pam_unix(sshd:auth): authentication failure; logname= uid=0 ... rhost=192.0.2.1 user=root"
  static void pam(std::string_view s, FieldSink& sink) {
    Cursor at(s);
    if (const auto head = at.until("): "); head && head->size() < 80) {
      const std::size_t open = head->find('(');
      if (open != std::string_view::npos) {
        sink.put("pam_module", head->substr(0, open));
        const std::string_view inner = head->substr(open + 1);
        const std::size_t colon = inner.rfind(':');
        sink.put("pam_service", inner.substr(0, colon));
        if (colon != std::string_view::npos) sink.put("pam_type", inner.substr(colon + 1));
      }
    }
    pam_text(at.rest(), sink);
  }

  static void pam_text(std::string_view s, FieldSink& sink) {
    const std::size_t end = s.find(';');
    sink.put("pam_message", s.substr(0, end));
    if (s.find("authentication failure") != std::string_view::npos) outcome(sink, false, "authentication");
    for (const std::string_view text :
         {"session opened for user ", "session closed for user ", "password changed for "}) {
      const std::size_t found = s.find(text);
      if (found == std::string_view::npos) continue;
      outcome(sink, true,
              text.starts_with("session o")   ? "session_opened"
              : text.starts_with("session c") ? "session_closed"
                                              : "password_changed");
      Cursor at(s.substr(found + text.size()));
      std::string_view user = at.word();
      put_if(sink, "user", user.substr(0, user.find('(')));
      if (at.skip("by ")) {
        const std::string_view by = at.word();
        put_if(sink, "by_user", by.substr(0, by.find('(')));
      }
      return;
    }
    if (s.find("not met by user ") != std::string_view::npos)
      put_if(sink, "user", between(s, "not met by user \"", "\""));
    if (end == std::string_view::npos) return;
    KeyValues values(s.substr(end + 1));
    for (KeyValue kv; values.next(kv);) {
      if (kv.value.empty()) continue;
      sink.put(kv.key, kv.value);
      if (kv.key == "rhost") {
        sink.put("pam_rhost", kv.value);
        sink.put(looks_like_ip(kv.value) ? "src_ip" : "src_host", kv.value);
      } else if (kv.key == "user") {
        sink.put("pam_user", kv.value);
      }
    }
  }

  /// useradd, userdel, usermod, groupadd, passwd, login.
  static void account(std::string_view s, FieldSink& sink) {
    const bool failed = istarts(s, "failed");
    if (s.starts_with("new user: ") || s.starts_with("new group: ") || s.find("name=") != std::string_view::npos) {
      outcome(sink, !failed, s.starts_with("new group") ? "new_group" : "new_user");
      KeyValues values(s.substr(s.find(": ") == std::string_view::npos ? 0 : s.find(": ") + 2), " ,");
      for (KeyValue kv; values.next(kv);) {
        put_if(sink, kv.key, kv.value);
        if (kv.key == "name") put_if(sink, s.starts_with("new group") ? "group" : "user", kv.value);
      }
      return;
    }
    if (const std::string_view name = between(s, "'", "'"); !name.empty()) {
      outcome(sink, !failed, s.substr(0, s.find(" '")));
      sink.put(s.find("group '") < s.find('\'') ? "group" : "user", name);
    }
    if (const std::size_t from = s.rfind(" from "); from != std::string_view::npos) {
      const std::string_view where = s.substr(from + 6);
      if (looks_like_ip(strip(where.substr(0, where.find(' ')), "[](),:"))) source(where, sink);
    }
    if (s.find("Client \"") != std::string_view::npos) {
      const std::string_view client = between(s, "Client \"", "\"");
      if (looks_like_ip(client)) sink.put("src_ip", client);
      std::string_view who = s;
      if (who.starts_with("[pid ")) who.remove_prefix(std::min(who.size(), who.find(']') + 1));
      put_if(sink, "user", between(who, "[", "]"));
      if (s.find("OK LOGIN") != std::string_view::npos) outcome(sink, true, "ftp_login");
      else if (s.find("FAIL LOGIN") != std::string_view::npos) outcome(sink, false, "ftp_login");
    }
  }
  static bool istarts(std::string_view s, std::string_view what) { return iequals(s.substr(0, what.size()), what); }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::linux_auth
