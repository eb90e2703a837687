#include "base/aead.hpp"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cstring>
#include <memory>

namespace bavn {

namespace {

constexpr int kNonce = 12, kTag = 16;

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

const unsigned char* in(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}
unsigned char* at(std::string& s, std::size_t offset) {
  return reinterpret_cast<unsigned char*>(s.data()) + offset;
}

}  // namespace

Key::Key(std::span<const char, kSize> bytes) {
  std::memcpy(bytes_.data(), bytes.data(), kSize);
}
Key::~Key() {
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
}

Key Key::random() {
  Key k;
  random_bytes(k.bytes_);
  return k;
}

void random_bytes(std::span<char> into) {
  // Without randomness there is no safe way on.
  BAVN_ASSERT(RAND_bytes(reinterpret_cast<unsigned char*>(into.data()), static_cast<int>(into.size())) == 1);
}

void seal(std::string& out, const Key& key, std::string_view associated, std::string_view plain) {
  const std::size_t start = out.size();
  out.resize(start + kNonce + plain.size() + kTag);
  random_bytes({out.data() + start, kNonce});
  const Context c(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  int n = 0;
  unsigned char* body = at(out, start + kNonce);
  BAVN_ASSERT(c != nullptr &&
              EVP_EncryptInit_ex(c.get(), EVP_aes_256_gcm(), nullptr, in(key.reveal()), at(out, start)) == 1 &&
              EVP_EncryptUpdate(c.get(), nullptr, &n, in(associated), static_cast<int>(associated.size())) == 1 &&
              EVP_EncryptUpdate(c.get(), body, &n, in(plain), static_cast<int>(plain.size())) == 1 &&
              EVP_EncryptFinal_ex(c.get(), body + n, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_GCM_GET_TAG, kTag, body + plain.size()) == 1);
}

Result<std::string> unseal(const Key& key, std::string_view associated, std::string_view sealed) {
  if (sealed.size() < kSealOverhead) return fail(Code::corrupt, "sealed bytes are too short");
  std::string plain(sealed.size() - kSealOverhead, '\0');
  std::string tag(sealed.substr(sealed.size() - kTag));
  const Context c(EVP_CIPHER_CTX_new(), &EVP_CIPHER_CTX_free);
  int n = 0;
  unsigned char none[1];
  unsigned char* out = plain.empty() ? none : at(plain, 0);
  BAVN_ASSERT(c != nullptr &&
              EVP_DecryptInit_ex(c.get(), EVP_aes_256_gcm(), nullptr, in(key.reveal()), in(sealed)) == 1 &&
              EVP_DecryptUpdate(c.get(), nullptr, &n, in(associated), static_cast<int>(associated.size())) == 1 &&
              EVP_DecryptUpdate(c.get(), out, &n, in(sealed.substr(kNonce)), static_cast<int>(plain.size())) == 1 &&
              EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_GCM_SET_TAG, kTag, at(tag, 0)) == 1);
  if (EVP_DecryptFinal_ex(c.get(), out + n, &n) != 1)
    return fail(Code::corrupt, "the bytes are not those that were sealed with this key");
  return plain;
}

}  // namespace bavn
