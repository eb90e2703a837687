// BIND named: query log, responses, refusals, RPZ rewrites, resolver errors, security; from files, stderr or syslog.
#include <array>

#include "formats/syslog/header.hpp"

namespace bavn::formats::dns_bind {

namespace {

using syslog::Header;
using syslog::put_if;

constexpr std::array<std::string_view, 6> kLevels = {"critical", "error", "warning", "notice", "info", "debug"};
constexpr std::array<std::string_view, 26> kCategories = {
    "queries",      "query-errors", "security",        "client",    "resolver", "rpz",      "general",
    "network",      "notify",       "config",          "default",   "dispatch", "dnssec",   "edns-disabled",
    "lame-servers", "update",       "update-security", "unmatched", "xfer-in",  "xfer-out", "zoneload",
    "rate-limit",   "responses",    "database",        "cname",     "spill"};

bool one_of(std::string_view w, const auto& list) {
  for (const std::string_view k : list)
    if (w == k) return true;
  return false;
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    if (payload_likelihood(h) == 0) return not_mine(reason);
    std::string_view s = h.message;
    std::optional<Instant> own;
    if (const auto t = bind_time(s)) {
      own = t->t;
      s.remove_prefix(t->length);
      while (s.starts_with(' ')) s.remove_prefix(1);
    }
    if (one_of(h.program, kCategories))
      sink.put("category", h.program);  // "<time> queries: info: ..." looks like a tag
    for (int n = 0; n < 2; ++n) {
      const std::size_t colon = s.find(": ");
      if (colon == std::string_view::npos) break;
      const std::string_view w = s.substr(0, colon);
      if (one_of(w, kLevels) || (w.starts_with("debug ") && all_digits(w.substr(6)))) sink.put("level", w);
      else if (n == 0 && one_of(w, kCategories)) sink.put("category", w);
      else break;
      s.remove_prefix(colon + 2);
    }
    sink.put("message", s);
    message(s, sink);
    happened(sink, h, own);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    if (h.program == "named" || h.program.ends_with("/named") || h.program == "named-pkcs11") return 95;
    const bool client = h.message.find("client ") < 64 && h.message.find('#') != std::string_view::npos;
    if (const auto t = bind_time(h.message)) {
      // Tomcat writes the same time, but its level in capitals and without a colon behind it.
      const std::string_view next = Cursor(h.message.substr(t->length)).word();
      return client                                                                                           ? 95
             : next.empty() || next.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") == std::string_view::npos ? 0
                                                                                                              : 55;
    }
    if (one_of(h.program, kCategories) && h.has_time) return client ? 90 : 50;
    if (client && (h.message.starts_with("client ") || h.message.find(": client ") != std::string_view::npos))
      return h.program.empty() ? 85 : 0;
    return 0;
  }

 private:
  /// "name/TYPE/CLASS", or "name/CLASS" of a transfer.
  static void name_type(std::string_view s, FieldSink& sink) {
    const std::size_t last = s.rfind('/');
    if (last == std::string_view::npos) return put_if(sink, "query", s);
    const std::size_t first = last == 0 ? std::string_view::npos : s.rfind('/', last - 1);
    put_if(sink, "record_class", s.substr(last + 1));
    if (first == std::string_view::npos) return put_if(sink, "query", s.substr(0, last));
    put_if(sink, "query", s.substr(0, first));
    put_if(sink, "record_type", s.substr(first + 1, last - first - 1));
  }

  static void message(std::string_view s, FieldSink& sink) {
    Cursor at(s);
    if (at.skip("client ")) {
      if (at.peek() == '@') at.word();
      const std::string_view who = at.word();
      const HostPort hp = host_port(who.ends_with(':') ? who.substr(0, who.size() - 1) : who);
      put_if(sink, "src_ip", hp.host);
      put_if(sink, "src_port", hp.port);
      if (at.skip("key ")) put_if(sink, "tsig_key", at.word());
      if (at.peek() == '(') {
        at.advance(1);
        // The name in brackets is what the client asked for; it may hold escaped brackets.
        if (const auto name = at.until("): ")) {
          if (at.rest().find('\'') == std::string_view::npos && at.rest().find("query: ") == std::string_view::npos &&
              at.rest().find("response: ") == std::string_view::npos &&
              at.rest().find("rpz ") == std::string_view::npos &&
              at.rest().find("query failed") == std::string_view::npos)
            put_if(sink, "query", *name);
        }
      }
      if (at.skip("view ")) put_if(sink, "view", at.until(": ").value_or(""));
      client(at.rest(), sink);
      return;
    }
    if (const std::size_t resolving = s.find("resolving '"); resolving != std::string_view::npos) {
      sink.put("action", "resolver_error");
      put_if(sink, "reason", between(s, "(", ")"));
      at.advance(resolving + 11);
      if (const auto what = at.until('\'')) name_type(*what, sink);
      if (const std::size_t colon = at.rest().rfind(": "); colon != std::string_view::npos) {
        const HostPort hp = host_port(at.rest().substr(colon + 2));
        if (looks_like_ip(hp.host)) sink.put("dst_ip", hp.host);
      }
    }
  }

  static void client(std::string_view s, FieldSink& sink) {
    Cursor at(s);
    const bool query = at.skip("query: "), response = !query && at.skip("response: ");
    if (query || response) {
      sink.put("action", query ? "query" : "response");
      put_if(sink, "query", at.word());
      put_if(sink, "record_class", at.word());
      put_if(sink, "record_type", at.word());
      if (response) put_if(sink, "rcode", at.word());
      if (!at.empty() && at.peek() != '(') put_if(sink, "dns_flags", at.word());
      put_if(sink, "dst_ip", between(at.rest(), "(", ")"));
      return;
    }
    if (at.skip("rpz ")) {
      // rpz QNAME NXDOMAIN rewrite bad.example/A/IN via bad.example.rpz.local
      sink.put("action", "rpz");
      put_if(sink, "rpz_trigger", at.word());
      put_if(sink, "rpz_policy", at.word());
      at.skip("rewrite ");
      name_type(at.word(), sink);
      if (at.skip("via ")) put_if(sink, "rpz_rule", at.word());
      return;
    }
    if (at.skip("query failed (")) {
      sink.put("action", "failed");
      put_if(sink, "rcode", at.until(')').value_or(""));
      at.spaces();
      if (at.skip("for ")) {
        // here the order is name/CLASS/TYPE
        const std::string_view what = at.word();
        const std::size_t last = what.rfind('/');
        const std::size_t first =
            last == std::string_view::npos || last == 0 ? std::string_view::npos : what.rfind('/', last - 1);
        if (first == std::string_view::npos) return put_if(sink, "query", what);
        put_if(sink, "query", what.substr(0, first));
        put_if(sink, "record_class", what.substr(first + 1, last - first - 1));
        put_if(sink, "record_type", what.substr(last + 1));
      }
      return;
    }
    if (const std::string_view what = between(s, "'", "'"); !what.empty()) name_type(what, sink);
    if (s.find(" denied") != std::string_view::npos) sink.put("action", "denied");
    else if (s.find("approved") != std::string_view::npos) sink.put("action", "approved");
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::dns_bind
