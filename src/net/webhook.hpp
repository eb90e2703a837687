#pragma once
// Standard Webhooks: who calls another program proves with a shared secret that it is us, and that the body is ours.
// Thread rules: plain functions.
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/runtime.hpp"
#include "net/http.hpp"

namespace bavn::net {

/// The headers for this body: Content-Type application/json, webhook-id, webhook-timestamp, webhook-signature (HMAC-SHA256).
/// secret: "whsec_" and base64.
Result<Headers> webhook_headers(std::string_view secret, std::string_view id, Instant now, std::string_view body);
/// A new one of 32 random bytes.
std::string new_webhook_secret(Runtime& runtime);

}  // namespace bavn::net
