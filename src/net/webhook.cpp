#include "net/webhook.hpp"

#include <fmt/format.h>

#include <array>

#include "base/digest.hpp"
#include "base/encoding.hpp"

namespace bavn::net {

Result<Headers> webhook_headers(std::string_view secret, std::string_view id, Instant now, std::string_view body) {
  if (!secret.starts_with("whsec_")) return fail(Code::bad_input, "a webhook's secret starts with whsec_");
  BAVN_TRY(const auto key, from_base64(secret.substr(6)));
  const std::string seconds = std::to_string(std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count());
  Headers headers;
  headers.set("Content-Type", "application/json");
  headers.set("webhook-id", std::string(id));
  headers.set("webhook-timestamp", seconds);
  headers.set("webhook-signature", "v1," + to_base64(hmac_sha256(key, fmt::format("{}.{}.{}", id, seconds, body))));
  return headers;
}

std::string new_webhook_secret(Runtime& runtime) {
  std::array<std::byte, 32> random{};
  runtime.random(random);
  return "whsec_" + to_base64({reinterpret_cast<const char*>(random.data()), random.size()});
}

}  // namespace bavn::net
