#pragma once
// The parts of an http(s) URL that a client needs.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn::net {

struct Url {
  bool tls = false;
  std::string host;  // lower case, no brackets around IPv6
  std::uint16_t port = 0;
  std::string target;  // "/path?query"
  std::string host_and_port() const;
};

/// bad_input: another scheme, user data in it, no host, a wrong port, spaces or control characters.
Result<Url> parse_url(std::string_view url);

}  // namespace bavn::net
