// Syslog streams: the header, then the payload's own format when one of the readers below knows it.
#include <vector>

#include "base/text.hpp"
#include "formats/syslog/header.hpp"

// One line per format whose lines come inside syslog. Their folders define make_payload_reader().
// clang-format off
#define BAVN_PAYLOADS(X)                                                                                      \
  X(cef) X(leef) X(fortigate) X(fortimail) X(sophos_xg) X(paloalto) X(checkpoint) X(cisco_asa) X(postfix) X(linux_auth) X(dovecot)      \
  X(dns_bind) X(dns_unbound) X(auditd) X(squid) X(iptables) X(pfsense) X(windows_syslog_snare) X(web_access)      \
  X(dns_windows) X(sysmon_syslog)
// clang-format on

#define BAVN_DECLARE(name)                                      \
  namespace name {                                              \
  std::unique_ptr<syslog::PayloadReader> make_payload_reader(); \
  }
namespace bavn::formats {
BAVN_PAYLOADS(BAVN_DECLARE)
}
#undef BAVN_DECLARE

namespace bavn::formats::syslog {

namespace {

class Reader final : public LineReader {
 public:
  Reader(){
#define BAVN_ADD(name) payloads_.push_back({#name, formats::name::make_payload_reader()});
      BAVN_PAYLOADS(BAVN_ADD)
#undef BAVN_ADD
  }

  LineVerdict read(std::string_view line, FieldSink& sink, std::string& reason) override {
    if (trim(line).empty()) return LineVerdict::meta;
    const Header h = read_header(line, reference_);
    if (!h.present) {
      reason = "no syslog header";
      return LineVerdict::not_mine;
    }
    if (const Payload* p = best(h)) {
      sink.format(p->name);
      put_header(h, sink, scratch_);
      // A payload that is broken inside is still a syslog line: nothing is lost, it is read as plain text below.
      Held held{sink};
      if (p->reader->payload(h, held, reason) == LineVerdict::event) return LineVerdict::event;
      reason.clear();
      if (!held.timed && h.time) sink.happened(*h.time);
      put_if(sink, "message", h.message);
      return LineVerdict::event;
    }
    put_header(h, sink, scratch_);
    put_if(sink, "structured_data", h.structured);  // its names are the sender's own: it is searched as text
    put_if(sink, "message", h.message);
    if (const std::string_view name = mnemonic(h); !name.empty()) {
      sink.put("vendor", "cisco");
      sink.put("mnemonic", name);
    }
    if (h.time) sink.happened(*h.time);
    return LineVerdict::event;
  }

  int likelihood(std::string_view line) const override {
    const Header h = read_header(line, std::nullopt);
    if (!h.present) return 0;
    if (h.rfc5424) return 70;
    if (h.priority >= 0 || !h.program.empty()) return 60;
    if (h.host.empty()) return 10;
    // A time and a word alone is little: the next line is asked of all again (IIS and others begin so too).
    return best(h) != nullptr ? 55 : 48;
  }

  void set_reference(Instant now) override {
    reference_ = now;
    for (const Payload& p : payloads_) p.reader->set_reference(now);
  }

 private:
  struct Payload {
    std::string_view name;
    std::unique_ptr<PayloadReader> reader;
  };
  /// Remembers whether the payload set a time.
  struct Held final : FieldSink {
    explicit Held(FieldSink& s) : to(s) {}
    void put(std::string_view name, std::string_view value) override { to.put(name, value); }
    void happened(Instant t) override {
      timed = true;
      to.happened(t);
    }
    FieldSink& to;
    bool timed = false;
  };

  /// IOS and NX-OS: "%SYS-5-CONFIG_I", as the tag or in the text.
  static std::string_view mnemonic(const Header& h) {
    std::string_view s = h.program.starts_with('%') ? h.program : h.message;
    const std::size_t at = s.find('%');
    if (at == std::string_view::npos || at > 80) return {};
    s = s.substr(at + 1);
    const std::size_t end = s.find_first_of(": ");
    s = s.substr(0, end);
    const std::size_t dash = s.find('-');
    if (dash == std::string_view::npos || dash == 0 || dash + 2 >= s.size() || s[dash + 1] < '0' || s[dash + 1] > '7' ||
        s[dash + 2] != '-')
      return {};
    return s.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == std::string_view::npos ? s
                                                                                                   : std::string_view{};
  }

  const Payload* best(const Header& h) const {
    const Payload* found = nullptr;
    int top = 49;
    for (const Payload& p : payloads_) {
      const int n = p.reader->payload_likelihood(h);
      if (n > top) {
        top = n;
        found = &p;
        if (n >= 95) break;
      }
    }
    return found;
  }

  std::vector<Payload> payloads_;
  std::optional<Instant> reference_;
  std::string scratch_;
};

}  // namespace

std::unique_ptr<LineReader> make_reader() {
  return std::make_unique<Reader>();
}

}  // namespace bavn::formats::syslog
