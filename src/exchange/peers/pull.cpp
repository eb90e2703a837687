#include "exchange/peers/pull.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "net/url.hpp"

namespace bavn::exchange {

namespace {

/// Without control characters, cut where a character ends.
std::string words_of(std::string_view text, std::size_t most) {
  std::string out = repair_utf8(text.substr(0, most));
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, ' ');
  return std::string(trim(out));
}

}  // namespace

Partner Peer::as_partner() const {
  Partner p;
  p.peer = id;
  p.name = name;
  p.kind = kind;
  p.may_read = direction != "in";
  p.may_write = direction != "out";
  p.ceiling = ceiling;
  p.kinds = kinds;
  p.sectors = sectors;
  return p;
}

Result<net::ClientRequest> Pull::request(net::Method method, std::string_view target) const {
  BAVN_TRY(const net::Url own, net::parse_url(peer.url));
  const std::string root = fmt::format("{}://{}", own.tls ? "https" : "http", own.host_and_port());
  std::string url;
  if (target.find("://") != std::string_view::npos) {
    url = target;
  } else if (target.starts_with("//")) {
    return fail(Code::forbidden, "the partner sent us to another host", words_of(target, 200));
  } else if (target.starts_with('/')) {
    url = root + std::string(target);
  } else {
    std::string path = own.target.substr(0, own.target.find('?'));
    if (!path.ends_with('/')) path += '/';
    url = root + path + std::string(target);
  }
  BAVN_TRY(const net::Url asked, net::parse_url(url));
  if (asked.host != own.host || asked.port != own.port || asked.tls != own.tls)
    return fail(Code::forbidden,
                fmt::format("the partner sent us to {}, which is not its own address", asked.host_and_port()),
                words_of(target, 200));
  net::ClientRequest r;
  r.method = method;
  r.url = std::move(url);
  r.max_reply = max_reply;
  r.timeout = std::chrono::seconds(120);
  if (!authorization.empty()) r.headers.set("Authorization", authorization);
  return r;
}

Error error_of(const net::ClientReply& reply, std::string_view asked) {
  const bool refused = reply.status == 401 || reply.status == 403;
  std::string what = fmt::format("the partner answered {} to {}", reply.status, words_of(asked, 200));
  if (const std::string says = words_of(reply.body, 200); !says.empty()) what += ": " + says;
  const bool passing = reply.status == 429 || reply.status >= 500;
  return {refused               ? Code::forbidden
          : passing             ? Code::unavailable
          : reply.status == 404 ? Code::not_found
                                : Code::bad_input,
          std::move(what), ""};
}

}  // namespace bavn::exchange
