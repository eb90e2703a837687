#include "base/sign.hpp"

#include <fmt/format.h>
#include <sodium.h>

#include <cstring>
#include <map>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/text.hpp"

namespace bavn {

namespace {

static_assert(PublicKey::kSize == crypto_sign_PUBLICKEYBYTES);

const unsigned char* in(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}
unsigned char* out(std::string& s) {
  return reinterpret_cast<unsigned char*>(s.data());
}

void ready() {
  BAVN_ASSERT(sodium_init() >= 0);  // cheap after the first time, safe from any thread
}

std::string marked(std::string_view purpose, std::string_view message) {
  std::string bytes;
  bytes.reserve(purpose.size() + 1 + message.size());
  bytes.append(purpose).push_back('\0');
  return bytes.append(message);
}

Result<std::array<char, 32>> key_bytes(std::string_view text, std::string_view prefix) {
  text = trim(text);
  if (!text.starts_with(prefix))
    return fail(Code::bad_input, fmt::format("a key starts with \"{}\"; this starts with \"{}\"", prefix,
                                             repair_utf8(text.substr(0, prefix.size()))));
  auto bytes = from_base64url(text.substr(prefix.size()));
  if (!bytes || bytes->size() != 32)
    return fail(Code::bad_input, fmt::format("a key is \"{}\" and 43 letters and digits; part of this one is missing "
                                             "or mistyped",
                                             prefix));
  std::array<char, 32> key;
  std::memcpy(key.data(), bytes->data(), key.size());
  return key;
}

// Key files: "name: value" lines, '#' starts a comment.
constexpr std::size_t kMaxKeyFile = 16384;

using Lines = std::map<std::string, std::string, std::less<>>;

Result<Lines> lines_of(std::string_view text, std::string_view path) {
  if (text.size() > kMaxKeyFile) return fail(Code::bad_input, "too large for a key file", std::string(path));
  Lines lines;
  for (const std::string_view whole : split(text, '\n')) {
    const auto line = trim(whole);
    if (line.empty() || line.starts_with('#')) continue;
    const auto colon = line.find(": ");
    if (colon == std::string_view::npos)
      return fail(Code::bad_input, "not a key file: a line is not \"name: value\"", std::string(path));
    lines.insert_or_assign(std::string(line.substr(0, colon)), std::string(trim(line.substr(colon + 2))));
  }
  return lines;
}

std::string one_line(std::string_view s) {
  std::string line(trim(s));
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20) c = ' ';
  return line;
}

Result<void> save_secret(Files& files, const std::string& path, std::string_view kind, std::string_view owner,
                         std::string_view public_text, std::string_view secret) {
  if (files.exists(path))
    return fail(Code::conflict, "a file of this name exists; a key is never overwritten: move it away first", path);
  const Secret<std::string> text(
      fmt::format("# Bavn private key. Who has this file acts as its owner: keep it where nobody else reads it.\n"
                  "kind: {}\nowner: {}\npublic: {}\nsecret: {}\n",
                  kind, one_line(owner), public_text, to_base64url(secret)));
  return text.reveal([&](const std::string& t) { return replace_file(files, path, t); });
}

Result<Secret<std::string>> load_secret(Files& files, const std::string& path, std::string_view kind) {
  BAVN_TRY(std::string bytes_read, read_file(files, path, kMaxKeyFile));
  const Secret<std::string> text(std::move(bytes_read));
  return text.reveal([&](const std::string& t) -> Result<Secret<std::string>> {
    BAVN_TRY(const auto lines, lines_of(t, path));
    const auto found_kind = lines.find("kind");
    const auto secret = lines.find("secret");
    if (found_kind == lines.end() || secret == lines.end())
      return fail(Code::bad_input, "not a Bavn private key file (\"kind\" and \"secret\" are missing)", path);
    if (found_kind->second != kind)
      return fail(Code::bad_input,
                  fmt::format("this key is of kind \"{}\"; needed is \"{}\"", found_kind->second, kind), path);
    auto bytes = from_base64url(secret->second);
    if (!bytes || bytes->size() != 32) return fail(Code::bad_input, "the secret in this key file is damaged", path);
    return Secret<std::string>(std::move(*bytes));
  });
}

}  // namespace

Result<PublicKey> PublicKey::parse(std::string_view text) {
  PublicKey key;
  BAVN_TRY(key.bytes_, key_bytes(text, "ed25519:"));
  return key;
}

Result<PublicKey> PublicKey::from_bytes(std::string_view bytes) {
  if (bytes.size() != kSize) return fail(Code::bad_input, "a public key has 32 bytes");
  PublicKey key;
  std::memcpy(key.bytes_.data(), bytes.data(), kSize);
  return key;
}

std::string PublicKey::text() const {
  return "ed25519:" + to_base64url(bytes());
}

std::string PublicKey::fingerprint() const {
  return to_base32(sha256(bytes()).substr(0, 20));
}

bool PublicKey::verify(std::string_view purpose, std::string_view message, std::string_view signature) const {
  ready();
  if (signature.size() != crypto_sign_BYTES) return false;
  const auto bytes = marked(purpose, message);
  return crypto_sign_verify_detached(in(signature), in(bytes), bytes.size(), in(this->bytes())) == 0;
}

SigningKey SigningKey::random() {
  ready();
  std::array<char, 32> seed;
  randombytes_buf(seed.data(), seed.size());
  SigningKey key = from_seed(seed);
  wipe(seed.data(), seed.size());
  return key;
}

SigningKey SigningKey::from_seed(const std::array<char, 32>& seed) {
  ready();
  std::string secret(crypto_sign_SECRETKEYBYTES, '\0');
  unsigned char unused[crypto_sign_PUBLICKEYBYTES];
  BAVN_ASSERT(crypto_sign_seed_keypair(unused, out(secret), in({seed.data(), seed.size()})) == 0);
  return SigningKey(std::move(secret));
}

PublicKey SigningKey::public_key() const {
  return secret_.reveal([](const std::string& s) { return *PublicKey::from_bytes(std::string_view(s).substr(32)); });
}

std::string SigningKey::sign(std::string_view purpose, std::string_view message) const {
  ready();
  const auto bytes = marked(purpose, message);
  std::string signature(crypto_sign_BYTES, '\0');
  secret_.reveal([&](const std::string& s) {
    BAVN_ASSERT(crypto_sign_detached(out(signature), nullptr, in(bytes), bytes.size(), in(s)) == 0);
  });
  return signature;
}

Result<void> SigningKey::save(Files& files, const std::string& path, std::string_view owner) const {
  return secret_.reveal([&](const std::string& s) {
    return save_secret(files, path, "ed25519", owner, public_key().text(), std::string_view(s).substr(0, 32));
  });
}

Result<SigningKey> SigningKey::load(Files& files, const std::string& path) {
  BAVN_TRY(const Secret<std::string> secret, load_secret(files, path, "ed25519"));
  return secret.reveal([](const std::string& s) {
    std::array<char, 32> seed;
    std::memcpy(seed.data(), s.data(), seed.size());
    SigningKey key = from_seed(seed);
    wipe(seed.data(), seed.size());
    return key;
  });
}

std::string PublicKeyFile::text() const {
  return fmt::format("# Bavn public key. It may be shown to anybody.\nkind: ed25519\nowner: {}\npublic: {}\n",
                     one_line(owner), key.text());
}

Result<PublicKeyFile> PublicKeyFile::parse(std::string_view text) {
  BAVN_TRY(const auto lines, lines_of(text, ""));
  const auto key = lines.find("public");
  if (key == lines.end()) return fail(Code::bad_input, "not a Bavn key file: the line \"public\" is missing");
  PublicKeyFile file;
  BAVN_TRY(file.key, PublicKey::parse(key->second));
  if (const auto owner = lines.find("owner"); owner != lines.end()) file.owner = owner->second;
  return file;
}

Result<SealAddress> SealAddress::parse(std::string_view text) {
  SealAddress address;
  BAVN_TRY(address.bytes_, key_bytes(text, "x25519:"));
  return address;
}

std::string SealAddress::text() const {
  return "x25519:" + to_base64url({bytes_.data(), bytes_.size()});
}

std::string SealAddress::seal(std::string_view plain) const {
  ready();
  std::string sealed(plain.size() + crypto_box_SEALBYTES, '\0');
  BAVN_ASSERT(crypto_box_seal(out(sealed), in(plain), plain.size(), in({bytes_.data(), bytes_.size()})) == 0);
  return sealed;
}

SealKey SealKey::random() {
  ready();
  std::string secret(crypto_box_SECRETKEYBYTES, '\0');
  randombytes_buf(secret.data(), secret.size());
  return SealKey(std::move(secret));
}

SealAddress SealKey::address() const {
  SealAddress address;
  secret_.reveal([&](const std::string& s) {
    crypto_scalarmult_base(reinterpret_cast<unsigned char*>(address.bytes_.data()), in(s));
  });
  return address;
}

Result<std::string> SealKey::open(std::string_view sealed) const {
  ready();
  if (sealed.size() < crypto_box_SEALBYTES) return fail(Code::corrupt, "sealed bytes are too short");
  std::string plain(sealed.size() - crypto_box_SEALBYTES, '\0');
  const SealAddress own = address();
  const int opened = secret_.reveal([&](const std::string& s) {
    return crypto_box_seal_open(out(plain), in(sealed), sealed.size(), in({own.bytes_.data(), own.bytes_.size()}),
                                in(s));
  });
  if (opened != 0) return fail(Code::corrupt, "these bytes were not sealed to this key, or were changed");
  return plain;
}

Result<void> SealKey::save(Files& files, const std::string& path, std::string_view owner) const {
  return secret_.reveal(
      [&](const std::string& s) { return save_secret(files, path, "x25519", owner, address().text(), s); });
}

Result<SealKey> SealKey::load(Files& files, const std::string& path) {
  BAVN_TRY(Secret<std::string> secret, load_secret(files, path, "x25519"));
  return secret.reveal([](const std::string& s) { return SealKey(s); });
}

}  // namespace bavn
