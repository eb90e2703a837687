#pragma once
// Codes of an app that change every 30 seconds: TOTP of RFC 6238 with HMAC-SHA-1 and six digits, which is what all apps can do.
// Thread rules: pure functions. That a step counts once, and how often one may try, is the caller's.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/time.hpp"

namespace bavn::show::auth {

constexpr std::chrono::seconds kTotpStep{30};

std::int64_t totp_step(Instant at);
/// digits: 6 to 8.
std::string totp_code(std::string_view secret, std::int64_t step, unsigned digits = 6);
/// The step whose code it is, among the one of `at`, the one before and the one after, later than `last`. Empty: none.
std::optional<std::int64_t> totp_match(std::string_view secret, std::string_view code, Instant at, std::int64_t last);
/// For the app: otpauth://totp/...; secret in base32.
std::string totp_uri(std::string_view secret, std::string_view issuer, std::string_view account);
std::string totp_secret_text(std::string_view secret);

}  // namespace bavn::show::auth
