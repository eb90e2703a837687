#pragma once
// AES-256-GCM and random bytes (OpenSSL inside). Keys wipe themselves.
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn {

class Key {
 public:
  static constexpr std::size_t kSize = 32;
  Key() = default;
  explicit Key(std::span<const char, kSize> bytes);
  static Key random();
  Key(const Key&) = default;
  Key& operator=(const Key&) = default;
  ~Key();
  std::string_view reveal() const { return {bytes_.data(), kSize}; }

 private:
  std::array<char, kSize> bytes_{};
};

void random_bytes(std::span<char> into);

/// nonce (12 random bytes: safe for 2^32 messages a key) + ciphertext + tag (16): plain.size() + kSealOverhead bytes, appended.
constexpr std::size_t kSealOverhead = 28;
void seal(std::string& out, const Key& key, std::string_view associated, std::string_view plain);
/// Code::corrupt when key, associated data or bytes are not those of seal().
Result<std::string> unseal(const Key& key, std::string_view associated, std::string_view sealed);

}  // namespace bavn
