#include "base/sign.hpp"

#include <gtest/gtest.h>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/sim_files.hpp"

namespace bavn {
namespace {

// RFC 4648 section 10
TEST(Encoding, WritesTheTextsOfTheStandard) {
  EXPECT_EQ(to_base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(to_base64("foob"), "Zm9vYg==");
  EXPECT_EQ(to_base64(""), "");
  EXPECT_EQ(to_base64url("\xfb\xff"), "-_8");
  EXPECT_EQ(to_base32("foobar"), "mzxw6ytboi");
  EXPECT_EQ(to_base32("fo"), "mzxq");
  EXPECT_EQ(to_hex(std::string("\x00\xA5", 2)), "00a5");
}

TEST(Encoding, ReadsWhatItWrote) {
  std::string bytes;
  for (int i = 0; i < 300; ++i) {
    EXPECT_EQ(from_base64(to_base64(bytes)).value(), bytes);
    EXPECT_EQ(from_base64url(to_base64url(bytes)).value(), bytes);
    EXPECT_EQ(from_base32(to_base32(bytes)).value(), bytes);
    EXPECT_EQ(from_hex(to_hex(bytes)).value(), bytes);
    bytes += static_cast<char>(i * 37);
  }
}

TEST(Encoding, TypedBase32MayBeUpperCaseWithDashes) {
  EXPECT_EQ(from_base32("MZXW-6YTB oi").value(), "foobar");
}

TEST(Encoding, OtherCharactersCutEndsAndSecondSpellingsAreRefused) {
  EXPECT_FALSE(from_base32("mzxw1"));
  EXPECT_FALSE(from_base32("m"));
  EXPECT_FALSE(from_base32("mzxr"));  // "mzxq" with a bit set that means nothing
  EXPECT_FALSE(from_base64("Zm9vYg="));
  EXPECT_FALSE(from_base64("Zm9=Yg=="));
  EXPECT_FALSE(from_base64url("Zm9vYg=="));
  EXPECT_FALSE(from_base64url("A"));
  EXPECT_FALSE(from_hex("0"));
  EXPECT_FALSE(from_hex("0G"));
}

TEST(Digest, AnswersOfTheStandards) {
  EXPECT_EQ(to_hex(sha256("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  // RFC 4231 case 2
  EXPECT_EQ(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_NE(blake2b256("abc"), blake2b256("abc", "key"));
  EXPECT_EQ(blake2b256("abc").size(), 32U);
  EXPECT_TRUE(same_secret("abc", "abc"));
  EXPECT_FALSE(same_secret("abc", "abd"));
  EXPECT_FALSE(same_secret("abc", "ab"));
}

std::array<char, 32> seed_of(std::string_view hex) {
  std::array<char, 32> seed{};
  const auto bytes = from_hex(hex).value();
  std::copy(bytes.begin(), bytes.end(), seed.begin());
  return seed;
}

TEST(Sign, ASeedGivesThePublicKeyOfTheStandard) {
  // RFC 8032 section 7.1, test 1
  const auto key = SigningKey::from_seed(seed_of("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"));
  EXPECT_EQ(to_hex(key.public_key().bytes()), "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a");
  EXPECT_EQ(key.public_key().fingerprint().size(), 32U);
}

TEST(Sign, OnlyTheSameKeyPurposeAndMessageVerify) {
  const auto key = SigningKey::random();
  const auto other = SigningKey::random();
  const auto signature = key.sign("order", "call");
  EXPECT_TRUE(key.public_key().verify("order", "call", signature));
  EXPECT_FALSE(key.public_key().verify("order", "calls", signature));
  EXPECT_FALSE(key.public_key().verify("mandate", "call", signature));
  EXPECT_FALSE(key.public_key().verify("orderc", "all", signature));
  EXPECT_FALSE(other.public_key().verify("order", "call", signature));
  for (std::size_t i = 0; i < signature.size(); ++i) {
    auto changed = signature;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(key.public_key().verify("order", "call", changed));
  }
  EXPECT_FALSE(key.public_key().verify("order", "call", signature.substr(1)));
  EXPECT_FALSE(key.public_key().verify("order", "call", ""));
}

TEST(Sign, AKeyFileIsReadableTextAndIsNeverOverwritten) {
  SimFiles files;
  ASSERT_TRUE(files.make_dirs("/keys"));
  const auto key = SigningKey::random();
  ASSERT_TRUE(key.save(files, "/keys/anna", "Anna Example\nsecret: mine"));
  EXPECT_EQ(SigningKey::load(files, "/keys/anna")->public_key(), key.public_key());
  const auto text = read_file(files, "/keys/anna", 10000).value();
  EXPECT_NE(text.find("owner: Anna Example secret: mine\n"), std::string::npos);
  EXPECT_EQ(SigningKey::random().save(files, "/keys/anna", "Other").error().code, Code::conflict);
  EXPECT_EQ(PublicKeyFile::parse(text)->key, key.public_key());  // whoever hands in the wrong file pins the right key
}

TEST(Sign, APublicKeyFileHoldsNoSecret) {
  const PublicKeyFile file{SigningKey::random().public_key(), "Anna Example"};
  EXPECT_EQ(file.text().find("secret"), std::string::npos);
  const auto read = PublicKeyFile::parse(file.text());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->key, file.key);
  EXPECT_EQ(read->owner, "Anna Example");
}

TEST(Sign, WrongFilesAndTextsSayWhatIsWrong) {
  SimFiles files;
  ASSERT_TRUE(files.make_dirs("/keys"));
  EXPECT_EQ(SigningKey::load(files, "/keys/none").error().code, Code::not_found);
  ASSERT_TRUE(SealKey::random().save(files, "/keys/seal", "node"));
  EXPECT_NE(SigningKey::load(files, "/keys/seal").error().what.find("x25519"), std::string::npos);
  ASSERT_TRUE(replace_file(files, "/keys/junk", "hello"));
  EXPECT_EQ(SigningKey::load(files, "/keys/junk").error().code, Code::bad_input);
  ASSERT_TRUE(replace_file(files, "/keys/cut", "kind: ed25519\nsecret: AAAA\n"));
  EXPECT_NE(SigningKey::load(files, "/keys/cut").error().what.find("damaged"), std::string::npos);
  EXPECT_FALSE(PublicKey::parse("ed25519:AAAA"));
  EXPECT_FALSE(PublicKey::parse("x25519:" + to_base64url(std::string(32, 'a'))));
  EXPECT_TRUE(PublicKey::parse("  ed25519:" + to_base64url(std::string(32, 'a')) + "\n"));
}

TEST(Seal, OnlyTheHolderReadsAndNothingMayChange) {
  SimFiles files;
  ASSERT_TRUE(files.make_dirs("/keys"));
  const auto key = SealKey::random();
  ASSERT_TRUE(key.save(files, "/keys/node", "node 7"));
  const auto sealed = SealAddress::parse(key.address().text())->seal("digest key");
  EXPECT_EQ(SealKey::load(files, "/keys/node")->open(sealed).value(), "digest key");
  EXPECT_EQ(SealKey::random().open(sealed).error().code, Code::corrupt);
  auto changed = sealed;
  changed.back() = static_cast<char>(changed.back() ^ 1);
  EXPECT_EQ(key.open(changed).error().code, Code::corrupt);
  EXPECT_EQ(key.open("short").error().code, Code::corrupt);
  EXPECT_EQ(key.open(key.address().seal("")).value(), "");
}

}  // namespace
}  // namespace bavn
