// Netfilter lines of the kernel (iptables, nftables, UFW, Ubiquiti): [prefix]IN=eth0 OUT= SRC=... DST=...
#include "base/text.hpp"
#include "formats/syslog/header.hpp"

namespace bavn::formats::iptables {

namespace {

using syslog::Header;
using syslog::put_if;

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    if (payload_likelihood(h) == 0) return not_mine(reason);
    const std::string_view s = h.message;
    std::size_t start = s.find("IN=");
    for (const std::string_view key : {"SRC=", "TTL=", "ID=", "PROTO="})
      if (start == std::string_view::npos) start = s.find(key);
    std::string_view prefix = trim(s.substr(0, start));
    if (prefix.starts_with('[')) {  // "[19955416.516358] UFW BLOCK": the kernel's clock
      const std::size_t close = prefix.find(']');
      if (close != std::string_view::npos &&
          prefix.substr(1, close - 1).find_first_not_of("0123456789. ") == std::string_view::npos)
        prefix = trim(prefix.substr(close + 1));
    }
    put_if(sink, "prefix", prefix);
    action(prefix, sink);
    put_if(sink, "message", s);
    if (start == std::string_view::npos) start = 0;
    KeyValues values(s.substr(start));
    for (KeyValue kv; values.next(kv);) {
      if (kv.key.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != std::string_view::npos) continue;
      put_if(sink, kv.key, kv.value);
    }
    happened(sink, h);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override {
    const std::string_view s = h.message;
    const bool both = s.find("SRC=") != std::string_view::npos && s.find("DST=") != std::string_view::npos;
    // The sender may have cut the line's beginning off.
    if (!both)
      return h.program == "kernel" && s.find("PROTO=") != std::string_view::npos &&
                     s.find("DPT=") != std::string_view::npos
                 ? 60
                 : 0;
    return s.find("PROTO=") != std::string_view::npos ? 92 : 40;
  }

 private:
  static void action(std::string_view prefix, FieldSink& sink) {
    for (const std::string_view w : {"block", "drop", "deny", "denied", "reject", "-d]"})
      if (icontains(prefix, w)) return sink.put("action", "block");
    for (const std::string_view w : {"accept", "allow", "pass", "-a]"})
      if (icontains(prefix, w)) return sink.put("action", "allow");
  }
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::iptables
