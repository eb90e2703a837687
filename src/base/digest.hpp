#pragma once
// Digests fit for evidence and secrets, as raw bytes (to_hex and to_base32 of base/encoding.hpp make text of them).
#include <string>
#include <string_view>

namespace bavn {

std::string sha256(std::string_view bytes);                                 // 32 bytes
std::string hmac_sha256(std::string_view key, std::string_view bytes);      // RFC 2104, 32 bytes
std::string blake2b256(std::string_view bytes, std::string_view key = {});  // 32 bytes; key up to 64 bytes
/// Takes as long whatever differs: for comparing secrets.
bool same_secret(std::string_view a, std::string_view b);

}  // namespace bavn
