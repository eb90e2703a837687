#include "show/auth/totp.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <array>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/result.hpp"
#include "net/http.hpp"

namespace bavn::show::auth {

std::int64_t totp_step(Instant at) {
  return micros(at) / std::chrono::microseconds(kTotpStep).count();
}

std::string totp_code(std::string_view secret, std::int64_t step, unsigned digits) {
  std::array<unsigned char, 8> counter{};
  auto rest = static_cast<std::uint64_t>(step);
  for (std::size_t i = counter.size(); i-- > 0; rest >>= 8U) counter[i] = static_cast<unsigned char>(rest & 0xFFU);
  std::array<unsigned char, EVP_MAX_MD_SIZE> mac{};
  unsigned size = 0;
  const auto* made = HMAC(EVP_sha1(), secret.data(), static_cast<int>(secret.size()), counter.data(), counter.size(),
                          mac.data(), &size);
  BAVN_ASSERT(made != nullptr && size == 20);
  // RFC 4226 section 5.3: the last four bits say where the 31 bits begin.
  const std::size_t at = mac[19] & 15U;
  const std::uint32_t number = ((mac[at] & 0x7FU) << 24U) | (static_cast<std::uint32_t>(mac[at + 1]) << 16U) |
                               (static_cast<std::uint32_t>(mac[at + 2]) << 8U) | mac[at + 3];
  std::uint32_t limit = 1;
  for (unsigned i = 0; i < digits; ++i) limit *= 10;
  return fmt::format("{:0{}}", number % limit, digits);
}

std::optional<std::int64_t> totp_match(std::string_view secret, std::string_view code, Instant at, std::int64_t last) {
  const std::int64_t now = totp_step(at);
  std::optional<std::int64_t> found;
  // All three are compared, whichever fits: the time it takes tells nothing.
  for (const std::int64_t step : {now - 1, now, now + 1})
    if (same_secret(totp_code(secret, step), code) && step > last && !found) found = step;
  return found;
}

std::string totp_secret_text(std::string_view secret) {
  std::string text = to_base32(secret);
  for (char& c : text)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 32);
  return text;
}

std::string totp_uri(std::string_view secret, std::string_view issuer, std::string_view account) {
  return fmt::format("otpauth://totp/{0}:{1}?secret={2}&issuer={0}", net::percent_encoded(issuer),
                     net::percent_encoded(account), totp_secret_text(secret));
}

}  // namespace bavn::show::auth
