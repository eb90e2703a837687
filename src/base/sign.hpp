#pragma once
// Who said this: Ed25519 keys and signatures; for whose eyes: X25519 sealed boxes (libsodium inside).
// A signature is over purpose + 0 byte + message: what was signed for one purpose never counts for another.
// Life: values. Secret keys wipe themselves and have no way out but their key file.
#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "base/files.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace bavn {

class PublicKey {
 public:
  static constexpr std::size_t kSize = 32;
  /// "ed25519:" and base64url of 32 bytes.
  static Result<PublicKey> parse(std::string_view text);
  static Result<PublicKey> from_bytes(std::string_view bytes);
  std::string text() const;
  std::string_view bytes() const { return {bytes_.data(), kSize}; }
  /// Base32 of the first 20 bytes of SHA-256(key): 32 characters that people can compare.
  std::string fingerprint() const;
  /// signature: 64 raw bytes. False for anything that is not this key's signature of exactly this.
  bool verify(std::string_view purpose, std::string_view message, std::string_view signature) const;
  friend bool operator==(const PublicKey&, const PublicKey&) = default;
  friend auto operator<=>(const PublicKey&, const PublicKey&) = default;

 private:
  std::array<char, kSize> bytes_{};
};

class SigningKey {
 public:
  static SigningKey random();
  static SigningKey from_seed(const std::array<char, 32>& seed);  // tests, simulations: the same seed, the same key
  PublicKey public_key() const;
  std::string sign(std::string_view purpose, std::string_view message) const;  // 64 raw bytes

  /// A text file of lines "name: value", mode 0600, that says what it is; `owner` is one line for people. Never overwrites: conflict.
  Result<void> save(Files& files, const std::string& path, std::string_view owner) const;
  static Result<SigningKey> load(Files& files, const std::string& path);

 private:
  explicit SigningKey(std::string secret) : secret_(std::move(secret)) {}
  Secret<std::string> secret_;  // libsodium's 64 bytes: seed, public key
};

/// The public half in a file of its own, to be handed out and pinned: same lines as a key file, without the secret.
struct PublicKeyFile {
  PublicKey key;
  std::string owner;
  std::string text() const;
  static Result<PublicKeyFile> parse(std::string_view text);
};

/// Seals bytes so that only the holder of the SealKey reads them; the sender stays unknown (crypto_box_seal).
class SealAddress {
 public:
  static Result<SealAddress> parse(std::string_view text);  // "x25519:" and base64url of 32 bytes
  std::string text() const;
  std::string seal(std::string_view plain) const;
  friend bool operator==(const SealAddress&, const SealAddress&) = default;

 private:
  friend class SealKey;
  std::array<char, 32> bytes_{};
};

class SealKey {
 public:
  static SealKey random();
  SealAddress address() const;
  Result<std::string> open(std::string_view sealed) const;  // corrupt: not sealed to this key, or changed
  Result<void> save(Files& files, const std::string& path, std::string_view owner) const;
  static Result<SealKey> load(Files& files, const std::string& path);

 private:
  explicit SealKey(std::string secret) : secret_(std::move(secret)) {}
  Secret<std::string> secret_;  // 32 bytes
};

}  // namespace bavn
