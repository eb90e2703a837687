// Apache and nginx: common and combined access logs (with virtual host, forwarded addresses), Apache and nginx error logs.
#include <algorithm>

#include "base/text.hpp"
#include "formats/syslog/header.hpp"

namespace bavn::formats::web_access {

namespace {

using syslog::Header;
using syslog::put_if;

std::string_view dash(std::string_view s) {
  return s == "-" ? std::string_view{} : s;
}

/// A quoted string at the cursor; \" does not end it. nullopt when there is none or it has no end.
std::optional<std::string_view> quoted(Cursor& at) {
  at.spaces();
  const std::string_view s = at.rest();
  if (!s.starts_with('"')) return std::nullopt;
  std::size_t i = 1;
  while (i < s.size() && s[i] != '"') i += s[i] == '\\' ? 2U : 1U;
  if (i >= s.size()) return std::nullopt;
  at.advance(i + 1);
  return s.substr(1, i - 1);
}

void put_request(std::string_view request, FieldSink& sink) {
  const std::size_t blank = request.find(' ');
  if (blank == std::string_view::npos || blank > 20)
    return put_if(sink, "cs-uri-query", dash(request));  // no HTTP at all
  put_if(sink, "cs-method", request.substr(0, blank));
  std::string_view target = request.substr(blank + 1);
  if (const std::size_t v = target.rfind(" HTTP/"); v != std::string_view::npos) {
    sink.put("cs-version", target.substr(v + 1));
    target = target.substr(0, v);
  }
  // Sigma's webserver rules look for paths and queries in cs-uri-query: it is the whole target here.
  put_if(sink, "cs-uri", target);
  put_if(sink, "cs-uri-query", target);
  const UrlParts u = url_parts(target);
  put_if(sink, "cs-uri-stem", u.path);
  put_if(sink, "cs-uri-extension", u.extension);
  if (!u.scheme.empty()) put_if(sink, "cs-host", u.host);
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    const std::string_view s = h.message;
    if (const std::size_t open = access_time(s); open != std::string_view::npos) return access(h, open, sink, reason);
    if (apache_error(s)) return read_apache_error(h, sink);
    if (nginx_error(s) != std::string_view::npos) return read_nginx_error(h, sink);
    return not_mine(reason);
  }

  int payload_likelihood(const Header& h) const override {
    if (access_time(h.message) != std::string_view::npos) return 75;
    if (apache_error(h.message)) return 70;
    return nginx_error(h.message) != std::string_view::npos ? 80 : 0;
  }

 private:
  /// Where " [10/Oct/2000:..." begins, when a quote follows it.
  static std::size_t access_time(std::string_view s) {
    for (std::size_t at = s.find('['), n = 0; at != std::string_view::npos && n < 4; at = s.find('[', at + 1), ++n) {
      if (s.size() - at < 22 || !clf_time(s.substr(at + 1, 40))) continue;
      const std::size_t close = s.find(']', at);
      return close != std::string_view::npos && close - at < 40 && s.find('"', close) == close + 2
                 ? at
                 : std::string_view::npos;
    }
    return std::string_view::npos;
  }
  static bool apache_error(std::string_view s) {
    if (!s.starts_with('[')) return false;
    for (const std::string_view level :
         {"emerg]", "alert]", "crit]", "error]", "warn]", "notice]", "info]", "debug]"}) {
      const std::size_t at = s.find(level);
      if (at != std::string_view::npos && at < 70 && at > 0 && (s[at - 1] == '[' || s[at - 1] == ':'))
        return nginx_error(s) == std::string_view::npos;
    }
    const std::size_t trace = s.find(":trace");
    return trace != std::string_view::npos && trace < 70;
  }
  /// "2021/12/02 11:53:15 [error] 12#12: *1 text" (its time may have been read as a header): where "[error]" begins.
  static std::size_t nginx_error(std::string_view s) {
    const std::size_t open = s.size() > 21 && s[4] == '/' && s[7] == '/' && s[20] == '[' ? 20 : 0;
    if (open >= s.size() || s[open] != '[') return std::string_view::npos;
    const std::size_t close = s.find("] ", open);
    if (close == std::string_view::npos || close - open > 8) return std::string_view::npos;
    Cursor at(s.substr(close + 2));
    return at.number(10) && at.skip('#') && at.number(10) && at.skip(": ") ? open : std::string_view::npos;
  }

  LineVerdict access(const Header& h, std::size_t open, FieldSink& sink, std::string& reason) {
    const std::string_view s = h.message;
    // Before the time: [virtual host] address[, address ...] identity user. The user may hold blanks; the address decides.
    Cursor head(s.substr(0, open));
    bool address = false;
    std::size_t words = 0;
    std::string_view first;
    while (!head.spaces().empty() && !address && words < 8) {
      std::string_view w = head.word();
      while (!w.empty() && (w.front() == '"' || w.front() == ',')) w.remove_prefix(1);
      while (!w.empty() && (w.back() == '"' || w.back() == ',')) w.remove_suffix(1);
      if (words++ == 0) first = w;
      if (!looks_like_ip(w)) continue;
      sink.put("c-ip", w);
      address = true;
    }
    // More addresses of proxies behind the first: "192.0.2.1, 198.51.100.2 - - ["
    for (Cursor next = head; address; head = next) {
      std::string_view w = next.word();
      while (!w.empty() && (w.back() == '"' || w.back() == ',')) w.remove_suffix(1);
      if (!looks_like_ip(w)) break;
    }
    if (address && words > 1) put_if(sink, "cs-host", dash(host_port(first).host));
    if (!address) {
      put_if(sink, "c-dns", dash(first));
      head = Cursor(s.substr(first.size(), open - std::min(open, first.size())));
    }
    std::string_view tail = trim(head.rest());
    const std::size_t blank = tail.find(' ');
    if (blank != std::string_view::npos && tail.find(',') == std::string_view::npos)
      put_if(sink, "cs-username", dash(trim(tail.substr(blank + 1))));
    Cursor at(s.substr(open + 1));
    const auto time = at.until(']');
    const auto request = quoted(at);
    if (!time || !request) {
      reason = "access line without the end of its request";
      return LineVerdict::refused;
    }
    put_request(*request, sink);
    put_if(sink, "sc-status", dash(at.word()));
    put_if(sink, "sc-bytes", dash(at.word()));
    if (const auto referer = quoted(at)) {
      put_if(sink, "cs-referer", dash(*referer));
      if (const auto agent = quoted(at)) put_if(sink, "cs-user-agent", dash(*agent));
    }
    happened(sink, h, clf_time(*time));
    return LineVerdict::event;
  }

  static LineVerdict read_apache_error(const Header& h, FieldSink& sink) {
    Cursor at(h.message);
    std::optional<Instant> own;
    while (at.skip('[')) {
      const auto part = at.until(']');
      if (!part) break;
      at.spaces();
      if (part->size() > 20 && (*part)[3] == ' ') {  // "Fri Oct 08 17:08:41.203277 2021"
        if (const auto t = bsd_time(part->substr(4), std::nullopt)) {
          own = t->t;
          continue;
        }
      }
      if (part->starts_with("pid ")) {
        put_if(
            sink, "pid",
            part->substr(4, part->find(':') == std::string_view::npos ? std::string_view::npos : part->find(':') - 4));
      } else if (part->starts_with("client ")) {
        const HostPort hp = host_port(part->substr(7));
        // "client 2001:db8::1:4711" has the port behind the last colon
        std::string_view ip = hp.host, port = hp.port;
        if (port.empty() && std::count(ip.begin(), ip.end(), ':') > 7) {
          port = ip.substr(ip.rfind(':') + 1);
          ip = ip.substr(0, ip.rfind(':'));
        }
        put_if(sink, "c-ip", ip);
        put_if(sink, "c-port", port);
      } else {
        const std::size_t colon = part->rfind(':');
        if (colon != std::string_view::npos) put_if(sink, "module", part->substr(0, colon));
        put_if(sink, "level", colon == std::string_view::npos ? *part : part->substr(colon + 1));
        if (at.rest().starts_with('[') && !at.rest().starts_with("[pid ") && !at.rest().starts_with("[client ") && own)
          break;
      }
    }
    std::string_view text = at.rest();
    if (const std::size_t client = text.find("[client "); client < 60) {  // "mod_rewrite.c(470): [client ...]"
      const HostPort hp = host_port(between(text, "[client ", "]"));
      put_if(sink, "c-ip", hp.host);
      put_if(sink, "c-port", hp.port);
    }
    put_if(sink, "message", text);
    put_if(sink, "cs-uri", between(text, "[uri \"", "\"]"));
    put_if(sink, "cs-host", between(text, "[hostname \"", "\"]"));
    put_if(sink, "rule_id", between(text, "[id \"", "\"]"));
    put_if(sink, "cs-referer",
           text.rfind(", referer: ") == std::string_view::npos ? std::string_view{}
                                                               : text.substr(text.rfind(", referer: ") + 11));
    happened(sink, h, own);
    return LineVerdict::event;
  }

  static LineVerdict read_nginx_error(const Header& h, FieldSink& sink) {
    const std::size_t open = nginx_error(h.message);
    std::optional<Instant> own;
    if (open == 20) own = parse_time(h.message.substr(0, 19));
    Cursor at(h.message.substr(open + 1));
    put_if(sink, "level", at.until(']').value_or(""));
    at.spaces();
    const auto process = at.until(": ");
    put_if(sink, "pid", process ? process->substr(0, process->find('#')) : std::string_view{});
    if (at.skip('*')) put_if(sink, "connection", at.word());
    const std::string_view text = at.rest();
    put_if(sink, "message", text);
    const auto pair = [&](std::string_view key) {
      const std::size_t where = text.rfind(key);
      if (where == std::string_view::npos) return std::string_view{};
      Cursor v(text.substr(where + key.size()));
      if (v.peek() == '"') return quoted(v).value_or("");
      return v.rest().substr(0, v.rest().find(", "));
    };
    const HostPort client = host_port(pair(", client: "));
    put_if(sink, "c-ip", client.host);
    put_if(sink, "s-computername", dash(pair(", server: ")));
    if (const std::string_view request = pair(", request: "); !request.empty()) put_request(request, sink);
    put_if(sink, "cs-host", pair(", host: "));
    put_if(sink, "cs-referer", pair(", referrer: "));
    put_if(sink, "upstream", pair(", upstream: "));
    put_if(sink, "cs-username", pair(", login: "));
    if (text.starts_with("user \"")) put_if(sink, "cs-username", between(text, "user \"", "\""));
    happened(sink, h, own);
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

}  // namespace bavn::formats::web_access
