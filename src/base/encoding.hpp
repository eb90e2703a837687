#pragma once
// Bytes as text and back. Decoders take what encoders write and nothing else (bad_input names the first wrong character).
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn {

std::string to_hex(std::string_view bytes);  // lower case
Result<std::string> from_hex(std::string_view text);

/// RFC 4648 section 6 in lower case, without padding. Reading takes both cases, and leaves out spaces and '-' (people type it).
std::string to_base32(std::string_view bytes);
Result<std::string> from_base32(std::string_view text);

/// RFC 4648 section 4 (with padding) and section 5 (URL and file names, without padding).
std::string to_base64(std::string_view bytes);
Result<std::string> from_base64(std::string_view text);
std::string to_base64url(std::string_view bytes);
Result<std::string> from_base64url(std::string_view text);

}  // namespace bavn
