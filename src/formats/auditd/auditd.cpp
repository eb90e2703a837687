// Linux audit (audit.log, audispd, journald's "audit: TYPE ..."): type=, msg=audit(epoch:serial), key=value; hex values decoded.
#include <array>

#include "formats/syslog/header.hpp"

namespace bavn::formats::auditd {

namespace {

using syslog::Header;
using syslog::put_if;

/// Fields that the kernel writes quoted, or in hex when they hold blanks, quotes or control bytes ("untrusted strings").
constexpr std::array<std::string_view, 24> kUntrusted = {
    "exe",   "comm", "cmd",     "proctitle",      "name",        "cwd",   "path",  "acct", "data",
    "key",   "dir",  "grp",     "new-chardev",    "old-chardev", "vm",    "watch", "file", "invalid_context",
    "ocomm", "unit", "profile", "requested_mask", "cipher_name", "device"};

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

bool decode_hex(std::string_view s, std::string& out) {
  if (s.size() < 2 || s.size() % 2 != 0) return false;
  out.clear();
  for (std::size_t i = 0; i < s.size(); i += 2) {
    const int a = hex(s[i]), b = hex(s[i + 1]);
    if (a < 0 || b < 0) return false;
    out += static_cast<char>(a * 16 + b);
  }
  return true;
}

bool execve_argument(std::string_view key) {
  if (key.size() < 2 || key[0] != 'a') return false;
  return all_digits(
      key.substr(1, key.find('[') == std::string_view::npos ? std::string_view::npos : key.find('[') - 1));
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    std::string_view s = h.message;
    while (s.starts_with(' ')) s.remove_prefix(1);
    if (!mine(h)) return not_mine(reason);
    std::optional<Instant> own;
    std::string_view type;
    Cursor at(s);
    at.skip("audit: ");
    if (at.skip("node=")) put_if(sink, "node", at.word());
    if (at.skip("type=")) type = at.word();
    else if (h.program == "audit") type = at.word();  // journald: "audit[1]: USER_LOGIN pid=1 ..."
    const std::string_view rest = at.rest();
    if (const std::size_t mark = rest.find("audit("); mark != std::string_view::npos && mark < 16) {
      at.advance(mark + 6);
      const auto stamp = at.until(')');
      if (!stamp) {
        reason = "audit record is cut";
        return LineVerdict::refused;
      }
      const std::size_t colon = stamp->find(':');
      own = parse_epoch(stamp->substr(0, colon));
      if (colon != std::string_view::npos) put_if(sink, "audit_serial", stamp->substr(colon + 1));
      at.skip(':');
      at.spaces();
    }
    put_if(sink, "type", type);
    put_if(sink, "message", at.rest());
    argument_.clear();
    argument_name_ = {};
    pairs(at.rest(), type == "EXECVE" || type == "1309", sink, 0);
    flush(sink);
    happened(sink, h, own);
    return LineVerdict::event;
  }

  int payload_likelihood(const Header& h) const override { return mine(h) ? 95 : 0; }

 private:
  static bool mine(const Header& h) {
    const std::string_view s = h.message;
    if (s.find("audit(") < 160 && (s.find("type=") < 100)) return true;
    return h.program == "audit" && s.find('=') != std::string_view::npos;
  }

  void pairs(std::string_view s, bool execve, FieldSink& sink, int depth) {
    KeyValues values(s, " ,\x1d");
    for (KeyValue kv; values.next(kv);) {
      if (kv.key == "msg" && kv.quote == '\'' && depth == 0) {
        pairs(kv.value, execve, sink, 1);
        continue;
      }
      std::string_view value = kv.value;
      if (kv.quote == '\0') {
        if (value == "(null)" || value == "?" || value == "(none)") continue;
        if (value.ends_with('\'') && depth == 0) value.remove_suffix(1);
      }
      if (value.empty()) continue;
      const bool argument = execve && execve_argument(kv.key);
      if (kv.quote == '\0' && (argument || untrusted(kv.key)) && decode_hex(value, scratch_)) {
        while (!scratch_.empty() && scratch_.back() == '\0') scratch_.pop_back();
        for (char& c : scratch_)
          if (c == '\0') c = ' ';  // proctitle: NUL between the words
        value = scratch_;
      }
      if (argument && kv.key.ends_with(']')) {  // a2[0]=... a2[1]=...: one long argument in parts
        const std::string_view name = kv.key.substr(0, kv.key.find('['));
        if (name != argument_name_) flush(sink);
        argument_name_ = name;
        argument_.append(value);
        continue;
      }
      sink.put(kv.key, value);
    }
  }
  void flush(FieldSink& sink) {
    if (!argument_.empty()) sink.put(argument_name_, argument_);
    argument_.clear();
  }
  static bool untrusted(std::string_view key) {
    for (const std::string_view k : kUntrusted)
      if (k == key) return true;
    return false;
  }
  std::string argument_;
  std::string_view argument_name_;
};

}  // namespace

std::unique_ptr<syslog::PayloadReader> make_payload_reader() {
  return std::make_unique<Reader>();
}
std::unique_ptr<LineReader> make_reader() {
  return make_payload_reader();
}

}  // namespace bavn::formats::auditd
