#include "net/url.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/text.hpp"

namespace bavn::net {

std::string Url::host_and_port() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port) : fmt::format("[{}]:{}", host, port);
}

Result<Url> parse_url(std::string_view url) {
  Url out;
  std::string_view rest = url;
  const std::string lower = to_lower(url.substr(0, 8));
  if (lower.starts_with("https://")) {
    out.tls = true;
    rest.remove_prefix(8);
  } else if (lower.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return fail(Code::bad_input, "the URL does not begin with https:// or http://");
  }
  // A backslash is a slash to some programs and part of the host to others: refused.
  if (std::any_of(url.begin(), url.end(), [](char c) {
        return static_cast<unsigned char>(c) <= ' ' || static_cast<unsigned char>(c) >= 0x7F || c == '\\';
      }))
    return fail(Code::bad_input, "the URL contains characters that must be percent-encoded");
  const std::size_t end = std::min(rest.find_first_of("/?#"), rest.size());
  std::string_view authority = rest.substr(0, end);
  if (authority.find('@') != std::string_view::npos) return fail(Code::bad_input, "the URL contains a user name");
  out.target = rest.substr(end, rest.find('#', end) - end);
  if (!out.target.starts_with('/')) out.target.insert(0, "/");
  std::string_view port;
  if (authority.starts_with('[')) {
    const std::size_t close = authority.find(']');
    if (close == std::string_view::npos) return fail(Code::bad_input, "the URL's host is broken");
    out.host = to_lower(authority.substr(1, close - 1));
    authority.remove_prefix(close + 1);
    if (!authority.empty() && authority[0] != ':') return fail(Code::bad_input, "the URL's host is broken");
    port = authority.empty() ? authority : authority.substr(1);
  } else {
    const std::size_t colon = authority.find(':');
    out.host = to_lower(authority.substr(0, colon));
    if (colon != std::string_view::npos) port = authority.substr(colon + 1);
  }
  if (out.host.empty()) return fail(Code::bad_input, "the URL has no host");
  out.port = out.tls ? 443 : 80;
  if (!port.empty()) {
    const auto [stop, ec] = std::from_chars(port.data(), port.data() + port.size(), out.port);
    if (ec != std::errc() || stop != port.data() + port.size() || out.port == 0)
      return fail(Code::bad_input, "the URL's port is not a number from 1 to 65535");
  }
  return out;
}

}  // namespace bavn::net
