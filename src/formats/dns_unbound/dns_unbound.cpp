// Unbound: log-queries, log-replies, log-local-actions and RPZ lines, from its file ("[epoch] unbound[1:0] info: ...") or syslog.
#include "formats/syslog/header.hpp"

namespace bavn::formats::dns_unbound {

namespace {

using syslog::Header;
using syslog::put_if;

std::string_view no_dot(std::string_view name) {
  return name.size() > 1 && name.ends_with('.') ? name.substr(0, name.size() - 1) : name;
}

/// "192.0.2.1@5321" or "192.0.2.1".
void client(std::string_view s, FieldSink& sink) {
  const std::size_t at = s.find('@');
  put_if(sink, "src_ip", s.substr(0, at));
  if (at != std::string_view::npos) put_if(sink, "src_port", s.substr(at + 1));
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    if (payload_likelihood(h) == 0) return not_mine(reason);
    std::string_view s = h.message;
    std::optional<Instant> own;
    Cursor at(s);
    if (at.skip('[')) {
      // "[1692112345] unbound[26931:0] info: ..." (file) or "[26931:0] info: ..." (syslog)
      const auto inner = at.until("] ");
      if (!inner) {
        reason = "unbound line is cut";
        return LineVerdict::refused;
      }
      if (all_digits(*inner)) own = parse_epoch(*inner);
      if (at.skip("unbound[")) {
        put_if(sink, "pid", at.until("] ").value_or(""));
      }
    }
    if (const std::size_t colon = at.rest().find(": "); colon != std::string_view::npos && colon < 10) {
      sink.put("level", at.rest().substr(0, colon));
      at.advance(colon + 2);
    }
    const std::string_view text = at.rest();
    sink.put("message", text);
    if (at.skip("query: ") || at.skip("reply: ")) {
    }
    if (at.skip("rpz: applied ")) rpz(at, sink);
    else entry(at, sink);
    happened(sink, h, own);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    if (h.program == "unbound" || h.program.ends_with("/unbound")) return 95;
    return h.message.starts_with('[') && h.message.find("] unbound[") < 20 ? 100 : 0;
  }

 private:
  /// ip name type class [rcode seconds cached size] ; or: zone kind ip@port name type class
  static void entry(Cursor at, FieldSink& sink) {
    const std::string_view first = at.word();
    if (looks_like_ip(first.substr(0, first.find('@')))) {
      client(first, sink);
      question(at, sink);
      if (at.empty()) return sink.put("action", "query");
      sink.put("action", "response");
      put_if(sink, "rcode", at.word());
      put_if(sink, "duration", at.word());
      put_if(sink, "cached", at.word());
      put_if(sink, "size", at.word());
      return;
    }
    const std::string_view kind = at.word(), who = at.word();
    if (first.ends_with('.') && looks_like_ip(who.substr(0, who.find('@'))) &&
        who.find('@') != std::string_view::npos) {
      put_if(sink, "local_zone", no_dot(first));
      put_if(sink, "local_action", kind);
      sink.put("action", "local");
      client(who, sink);
      question(at, sink);
    }
  }

  /// [zone.name] trigger action ip@port name type class
  static void rpz(Cursor at, FieldSink& sink) {
    sink.put("action", "rpz");
    if (at.skip('[')) {
      put_if(sink, "rpz_zone", at.until(']').value_or(""));
      at.spaces();
    }
    put_if(sink, "rpz_rule", no_dot(at.word()));
    put_if(sink, "rpz_policy", at.word());
    client(at.word(), sink);
    question(at, sink);
  }

  static void question(Cursor& at, FieldSink& sink) {
    put_if(sink, "query", no_dot(at.word()));
    put_if(sink, "record_type", at.word());
    put_if(sink, "record_class", at.word());
    at.spaces();
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::dns_unbound
