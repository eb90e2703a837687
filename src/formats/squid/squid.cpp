// Squid access.log: the native format and "combined" (Apache's with result:hierarchy at the end). Names as Sigma's proxy rules.
#include <algorithm>
#include <array>

#include "formats/syslog/header.hpp"

namespace bavn::formats::squid {

namespace {

using syslog::Header;
using syslog::put_if;

std::string_view dash(std::string_view s) {
  return s == "-" ? std::string_view{} : s;
}

void put_url(FieldSink& sink, std::string_view url) {
  put_if(sink, "c-uri", url);
  const UrlParts u = url_parts(url);
  put_if(sink, "cs-host", u.host);
  put_if(sink, "r-dns", u.host);
  put_if(sink, "cs-uri-port", u.port);
  put_if(sink, "cs-uri-stem", u.path);
  put_if(sink, "c-uri-path", u.path);
  put_if(sink, "c-uri-query", u.query);
  put_if(sink, "cs-uri-query", u.query);
  put_if(sink, "c-uri-extension", u.extension);
}

class Reader final : public syslog::PayloadReader {
 public:
  LineVerdict payload(const Header& h, FieldSink& sink, std::string& reason) override {
    const std::string_view s = h.message;
    if (native(s)) return read_native(h, sink, reason);
    if (combined(s)) return read_combined(h, sink, reason);
    return not_mine(reason);
  }

  int payload_likelihood(const Header& h) const override {
    return native(h.message) ? 95 : combined(h.message) ? 80 : 0;
  }

 private:
  static bool result_code(std::string_view w) {
    return w.starts_with("TCP_") || w.starts_with("UDP_") || w.starts_with("NONE") || w.starts_with("ERR_") ||
           w.starts_with("TAG_");
  }
  static bool native(std::string_view s) {
    Cursor at(s);
    at.spaces();
    if (!at.number(12) || (at.skip('.') && !at.number(6)) || at.peek() != ' ') return false;
    const std::string_view elapsed = at.word();
    at.word();
    const std::string_view result = at.word();
    return !elapsed.empty() && result_code(result) && result.find('/') != std::string_view::npos;
  }
  static bool combined(std::string_view s) {
    const std::size_t last = s.find_last_of(' ');
    return last != std::string_view::npos && s.find(" [") != std::string_view::npos &&
           result_code(s.substr(last + 1)) && s.find(':', last) != std::string_view::npos;
  }

  /// "HIER_DIRECT/192.0.2.1", "DIRECT/-", "TIMEOUT_FIRSTUP_PARENT/proxy".
  static bool is_hierarchy(std::string_view w) {
    const std::size_t slash = w.find('/');
    if (slash == std::string_view::npos) return false;
    std::string_view code = w.substr(0, slash);
    if (code.starts_with("TIMEOUT_")) code.remove_prefix(8);
    if (code.starts_with("HIER_")) return true;
    static constexpr std::array<std::string_view, 22> codes = {"NONE",
                                                               "DIRECT",
                                                               "SIBLING_HIT",
                                                               "PARENT_HIT",
                                                               "DEFAULT_PARENT",
                                                               "SINGLE_PARENT",
                                                               "FIRSTUP_PARENT",
                                                               "NO_PARENT_DIRECT",
                                                               "FIRST_PARENT_MISS",
                                                               "CLOSEST_PARENT_MISS",
                                                               "CLOSEST_PARENT",
                                                               "CLOSEST_DIRECT",
                                                               "NO_DIRECT_FAIL",
                                                               "SOURCE_FASTEST",
                                                               "ROUNDROBIN_PARENT",
                                                               "CACHE_DIGEST_HIT",
                                                               "CD_PARENT_HIT",
                                                               "CD_SIBLING_HIT",
                                                               "CARP",
                                                               "ANY_OLD_PARENT",
                                                               "ORIGINAL_DST",
                                                               "PINNED"};
    return std::find(codes.begin(), codes.end(), code) != codes.end();
  }

  LineVerdict read_native(const Header& h, FieldSink& sink, std::string& reason) {
    Cursor at(h.message);
    const std::string_view time = at.word(), elapsed = at.word(), client = at.word(), result = at.word(),
                           bytes = at.word(), method = at.word();
    // URL user hierarchy/peer type, and what a custom logformat adds. A URL may hold blanks: the hierarchy is found by its name.
    std::string_view rest = at.spaces().rest();
    while (rest.ends_with(' ')) rest.remove_suffix(1);
    std::size_t hierarchy = std::string_view::npos, hierarchy_end = 0;
    for (std::size_t blank = rest.find(' '); blank != std::string_view::npos && blank + 1 < rest.size();) {
      const std::size_t end = rest.find(' ', blank + 1);
      const std::string_view w = rest.substr(blank + 1, end == std::string_view::npos ? end : end - blank - 1);
      if (is_hierarchy(w)) {
        hierarchy = blank + 1;
        hierarchy_end = hierarchy + w.size();
        break;
      }
      blank = end;
    }
    if (hierarchy == std::string_view::npos || hierarchy < 3) {
      reason = "squid line is cut";
      return LineVerdict::refused;
    }
    std::string_view url_user = rest.substr(0, hierarchy - 1);
    const std::size_t blank = url_user.rfind(' ');
    if (blank == std::string_view::npos) {
      reason = "squid line is cut";
      return LineVerdict::refused;
    }
    const std::string_view user = url_user.substr(blank + 1);
    std::string_view url = url_user.substr(0, blank);
    while (url.ends_with(' ')) url.remove_suffix(1);
    Cursor peer(rest.substr(hierarchy, hierarchy_end - hierarchy));
    const auto how = peer.until('/');
    Cursor code(result);
    const auto action = code.until('/');
    put_if(sink, "time-taken", elapsed);
    put_if(sink, "c-ip", client);
    put_if(sink, "s-action", action.value_or(""));
    put_if(sink, "sc-status", code.rest());
    put_if(sink, "sc-bytes", bytes);
    put_if(sink, "cs-method", method);
    put_url(sink, url.starts_with("error:") ? std::string_view{} : dash(url));  // "error:invalid-request" is none
    put_if(sink, "cs-username", dash(user));
    put_if(sink, "s-hierarchy", how.value_or(""));
    put_if(sink, "r-ip", dash(peer.rest()));
    Cursor tail(rest.substr(hierarchy_end));
    put_if(sink, "rs-content-type", dash(tail.word()));
    // What people add most: the user agent and the referer, quoted. Other things are searched as text.
    while (tail.spaces().skip('"')) {
      const auto value = tail.until('"');
      if (!value) break;
      const bool referer = value->starts_with("http://") || value->starts_with("https://");
      put_if(sink, referer ? "cs-referer" : "c-useragent", dash(*value));
    }
    put_if(sink, "message", tail.rest());
    happened(sink, h, parse_epoch(time));
    return LineVerdict::event;
  }

  LineVerdict read_combined(const Header& h, FieldSink& sink, std::string& reason) {
    Cursor at(h.message);
    const std::string_view client = at.word();
    at.word();
    const std::string_view user = at.word();
    if (!at.spaces().skip('[')) {
      reason = "squid line without a time";
      return LineVerdict::refused;
    }
    const auto time = at.until(']');
    if (!time || !at.spaces().skip('"')) {
      reason = "squid line without a request";
      return LineVerdict::refused;
    }
    const auto request = at.until("\" ");
    if (!request) {
      reason = "squid line is cut";
      return LineVerdict::refused;
    }
    const std::string_view status = at.word(), bytes = at.word();
    put_if(sink, "c-ip", client);
    put_if(sink, "cs-username", dash(user));
    Cursor r(*request);
    put_if(sink, "cs-method", r.word());
    std::string_view url = r.rest();
    if (const std::size_t v = url.rfind(" HTTP/"); v != std::string_view::npos) {
      sink.put("cs-version", url.substr(v + 1));
      url = url.substr(0, v);
    }
    put_url(sink, dash(url));
    put_if(sink, "sc-status", status);
    put_if(sink, "sc-bytes", bytes);
    for (const std::string_view name : {std::string_view("cs-referer"), std::string_view("c-useragent")}) {
      if (!at.spaces().skip('"')) break;
      const auto value = at.until('"');
      if (!value) break;
      put_if(sink, name, dash(*value));
    }
    const std::string_view result = at.word();
    Cursor code(result);
    if (const auto action = code.until(':')) {
      sink.put("s-action", *action);
      put_if(sink, "s-hierarchy", code.rest());
    }
    happened(sink, h, clf_time(*time));
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

}  // namespace bavn::formats::squid
