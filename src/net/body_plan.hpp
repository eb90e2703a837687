#pragma once
// Which bytes of a reply are sent: conditional requests and ranges (RFC 9110 sections 13 and 14). Shared by Server and SimServer.
#include <cstdint>
#include <optional>

#include "net/http.hpp"

namespace bavn::net {

struct BodyPlan {
  std::uint64_t offset = 0, length = 0;  // of the body or file
};

/// Changes status and headers of the reply (200 -> 206, 304, 416) and says what to send. size: of the body or file.
/// One range is served, and only of files; several ranges in one request get the whole, as the RFC allows.
BodyPlan plan_body(const Request& request, Reply& reply, std::uint64_t size);

/// The part of a request that plan_body looks at.
Request asked_of(const Request& request);

}  // namespace bavn::net
