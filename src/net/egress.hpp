#pragma once
// Where a request may go: the EgressPolicy applied to URLs and to the addresses that are really dialled.
#include <string>

#include "net/client.hpp"
#include "net/url.hpp"

struct sockaddr;

namespace bavn::net {

enum class Reach : std::uint8_t {
  outside,  // the internet
  inside,  // private, loopback, link-local, shared, documentation, multicast, unknown: not for a URL that somebody gave us
  metadata,  // what clouds tell their machines, keys included
};

/// IPv4 inside IPv6 (mapped, NAT64, 6to4) is judged as IPv4. Anything but IPv4 and IPv6 is inside.
Reach reach_of(const sockaddr& address);

/// Scheme and port. forbidden, with what to change.
Result<void> permitted(const EgressPolicy& policy, const Url& url);
bool may_be_inside(const EgressPolicy& policy, const Url& url);

}  // namespace bavn::net
