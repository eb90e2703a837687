#include "base/digest.hpp"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>
#include <sodium.h>

#include "base/result.hpp"

namespace bavn {

namespace {

const unsigned char* in(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}
unsigned char* out(std::string& s) {
  return reinterpret_cast<unsigned char*>(s.data());
}

}  // namespace

std::string sha256(std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  SHA256(in(bytes), bytes.size(), out(digest));
  return digest;
}

std::string hmac_sha256(std::string_view key, std::string_view bytes) {
  std::string digest(SHA256_DIGEST_LENGTH, '\0');
  BAVN_ASSERT(HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), in(bytes), bytes.size(), out(digest),
                   nullptr) != nullptr);
  return digest;
}

std::string blake2b256(std::string_view bytes, std::string_view key) {
  std::string digest(32, '\0');
  BAVN_ASSERT(crypto_generichash(out(digest), digest.size(), in(bytes), bytes.size(), key.empty() ? nullptr : in(key),
                                 key.size()) == 0);
  return digest;
}

bool same_secret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace bavn
