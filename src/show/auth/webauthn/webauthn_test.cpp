#include "show/auth/webauthn/webauthn.hpp"

#include <gtest/gtest.h>
#include <openssl/x509.h>

#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "base/encoding.hpp"
#include "net/json_value.hpp"
#include "show/auth/webauthn/cbor.hpp"
#include "show/auth/webauthn/key.hpp"

namespace bavn::show::auth::webauthn {
namespace {

// The vectors of the specification (section "Test Vectors"), found by BAVN_CORPORA. A case is a registration and a sign-in.
struct Case {
  std::string name;
  Expected create, get;
  std::string create_json{}, attestation{}, get_json{}, data{}, signature{}, credential_id{}, aaguid{};
};

std::string bytes(net::JsonValue v, std::string_view name) {
  return from_hex(v[name].text_or("")).value();
}

struct Vectors {
  std::vector<Case> cases;
  std::string authority;  // DER

  static const Vectors& all() {
    static const Vectors vectors = [] {
      Vectors out;
      const char* corpora = std::getenv("BAVN_CORPORA");
      if (corpora == nullptr) return out;
      std::ifstream file(std::string(corpora) + "/webauthn/test_vectors.json");
      std::stringstream text;
      text << file.rdbuf();
      const auto document = net::JsonDocument::parse(text.str()).value();
      for (const auto section : document.root()) {
        const auto first = section["values"].at(0), second = section["values"].at(1);
        if (first["attestation_ca_cert"]) out.authority = bytes(first, "attestation_ca_cert");
        if (!second) continue;
        Case c{std::string(section.key()),
               {},
               {},
               bytes(first, "clientDataJSON"),
               bytes(first, "attestationObject"),
               bytes(second, "clientDataJSON"),
               bytes(second, "authenticatorData"),
               bytes(second, "signature"),
               bytes(first, "credential_id"),
               bytes(first, "aaguid")};
        const bool framed = c.create_json.find("\"crossOrigin\":true") != std::string::npos;
        c.create = {bytes(first, "challenge"), "https://example.org", "example.org", false, framed};
        c.get = {bytes(second, "challenge"), "https://example.org", "example.org", false, framed};
        out.cases.push_back(std::move(c));
      }
      return out;
    }();
    return vectors;
  }
};

#define WITH_VECTORS()                                                                \
  if (std::getenv("BAVN_CORPORA") == nullptr)                                         \
    GTEST_SKIP() << "set BAVN_CORPORA to the folder with webauthn/test_vectors.json"; \
  ASSERT_EQ(Vectors::all().cases.size(), 15U)

Known known(const Registered& r) {
  return {r.public_key, r.sign_count, r.backup_eligible};
}

TEST(WebauthnVectors, EveryRegistrationAndSignInOfTheSpecificationIsAccepted) {
  WITH_VECTORS();
  std::set<std::string> formats, algorithms;
  for (const Case& c : Vectors::all().cases) {
    const auto made = verify_registration(c.create, c.create_json, c.attestation);
    ASSERT_TRUE(made) << c.name << ": " << made.error().what;
    EXPECT_EQ(made->credential_id, c.credential_id) << c.name;
    EXPECT_EQ(made->aaguid, c.aaguid) << c.name;
    formats.insert(made->format);
    algorithms.insert(std::string(algorithm_name(made->algorithm)));
    const auto used = verify_assertion(c.get, known(*made), c.get_json, c.data, c.signature);
    EXPECT_TRUE(used) << c.name << ": " << used.error().what;
  }
  EXPECT_EQ(formats, (std::set<std::string>{"none", "packed", "tpm", "android-key", "apple", "fido-u2f"}));
  EXPECT_EQ(algorithms.size(), 6U);
}

TEST(WebauthnVectors, TheChainsLeadToTheAuthorityOfTheVectors) {
  WITH_VECTORS();
  const auto& der = Vectors::all().authority;
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  X509* authority = d2i_X509(nullptr, &at, static_cast<long>(der.size()));
  ASSERT_NE(authority, nullptr);
  int chains = 0;
  for (const Case& c : Vectors::all().cases) {
    const auto made = verify_registration(c.create, c.create_json, c.attestation).value();
    if (made.chain.empty()) continue;
    ++chains;
    const auto* first = reinterpret_cast<const unsigned char*>(made.chain.front().data());
    X509* certificate = d2i_X509(nullptr, &first, static_cast<long>(made.chain.front().size()));
    EXPECT_EQ(X509_verify(certificate, X509_get0_pubkey(authority)), 1) << c.name;
    X509_free(certificate);
  }
  X509_free(authority);
  EXPECT_EQ(chains, 10);
}

TEST(WebauthnVectors, WhoAsksForAVerifiedUserGetsOne) {
  WITH_VECTORS();
  int verified = 0, refused = 0;
  for (Case c : Vectors::all().cases) {
    const auto loose = verify_registration(c.create, c.create_json, c.attestation).value();
    c.create.user_verified = true;
    const auto strict = verify_registration(c.create, c.create_json, c.attestation);
    EXPECT_EQ(strict.has_value(), loose.user_verified) << c.name;
    if (strict) ++verified;
    else {
      ++refused;
      EXPECT_EQ(strict.error().where, "/userVerified") << c.name;
    }
  }
  EXPECT_GT(verified, 0);
  EXPECT_GT(refused, 0);
}

TEST(WebauthnVectors, WhatWasAskedForDiffersInOneThingAndIsRefused) {
  WITH_VECTORS();
  for (const Case& c : Vectors::all().cases) {
    const auto made = verify_registration(c.create, c.create_json, c.attestation).value();
    const auto refused = [&](auto change, std::string_view where) {
      Expected create = c.create, get = c.get;
      change(create);
      change(get);
      const auto first = verify_registration(create, c.create_json, c.attestation);
      const auto second = verify_assertion(get, known(made), c.get_json, c.data, c.signature);
      ASSERT_FALSE(first) << c.name;
      ASSERT_FALSE(second) << c.name;
      EXPECT_EQ(first.error().where, where) << c.name;
      EXPECT_EQ(second.error().where, where) << c.name;
    };
    refused([](Expected& e) { e.challenge.back() = static_cast<char>(e.challenge.back() ^ 1); }, "/challenge");
    refused([](Expected& e) { e.challenge.clear(); }, "/challenge");
    refused([](Expected& e) { e.origin = "https://example.org.evil.example"; }, "/origin");
    refused([](Expected& e) { e.origin = "http://example.org"; }, "/origin");
    refused([](Expected& e) { e.rp_id = "evil.example"; }, "/rpId");
    if (c.create.cross_origin) refused([](Expected& e) { e.cross_origin = false; }, "/crossOrigin");
  }
}

TEST(WebauthnVectors, ARegistrationIsNoSignInAndTheOtherWayRound) {
  WITH_VECTORS();
  for (const Case& c : Vectors::all().cases) {
    const auto made = verify_registration(c.create, c.create_json, c.attestation).value();
    Expected e = c.create;
    EXPECT_EQ(verify_assertion(e, known(made), c.create_json, c.data, c.signature).error().where, "/type");
    EXPECT_EQ(verify_registration(c.get, c.get_json, c.attestation).error().where, "/type");
  }
}

TEST(WebauthnVectors, OneChangedBitAnywhereInASignInIsRefused) {
  WITH_VECTORS();
  for (const Case& c : Vectors::all().cases) {
    const auto made = verify_registration(c.create, c.create_json, c.attestation).value();
    const auto spoiled = [&](std::string Case::* field) {
      for (std::size_t i = 0; i < (c.*field).size(); ++i) {
        Case bad = c;
        (bad.*field)[i] = static_cast<char>((c.*field)[i] ^ (1 << (i % 8)));
        EXPECT_FALSE(verify_assertion(bad.get, known(made), bad.get_json, bad.data, bad.signature))
            << c.name << " byte " << i;
      }
    };
    spoiled(&Case::get_json);
    spoiled(&Case::data);
    spoiled(&Case::signature);
  }
}

TEST(WebauthnVectors, OneChangedBitInASignedRegistrationIsRefused) {
  WITH_VECTORS();
  for (const Case& c : Vectors::all().cases) {
    const auto made = verify_registration(c.create, c.create_json, c.attestation).value();
    if (made.format == "none") continue;  // nobody signed it
    // fido-u2f signs the hash of the site, the client data, the id and the key, but neither flags nor counter nor model; apple signs the
    // certificate, not its chain's signature, which is the authority's.
    const std::size_t data_at = c.attestation.find(made.credential_id);
    ASSERT_NE(data_at, std::string::npos);
    for (std::size_t i = data_at; i < data_at + made.credential_id.size() + made.public_key.size(); ++i) {
      Case bad = c;
      bad.attestation[i] = static_cast<char>(c.attestation[i] ^ (1 << (i % 8)));
      EXPECT_FALSE(verify_registration(bad.create, bad.create_json, bad.attestation)) << c.name << " byte " << i;
    }
    for (std::size_t i = 0; i < c.create_json.size(); ++i) {
      Case bad = c;
      bad.create_json[i] = static_cast<char>(c.create_json[i] ^ (1 << (i % 8)));
      EXPECT_FALSE(verify_registration(bad.create, bad.create_json, bad.attestation)) << c.name << " byte " << i;
    }
  }
}

TEST(WebauthnVectors, CutAnywhereItIsRefusedInWords) {
  WITH_VECTORS();
  for (const Case& c : Vectors::all().cases)
    for (std::size_t i = 0; i < c.attestation.size(); ++i) {
      const auto made = verify_registration(c.create, c.create_json, c.attestation.substr(0, i));
      ASSERT_FALSE(made) << c.name << " " << i;
      EXPECT_FALSE(made.error().what.empty());
    }
}

TEST(WebauthnVectors, ACounterThatDoesNotGrowIsTwoDevicesWithOneKey) {
  WITH_VECTORS();
  // No vector counts; the signature is checked before, so the stored counter alone decides here.
  const Case& c = Vectors::all().cases.front();
  auto made = verify_registration(c.create, c.create_json, c.attestation).value();
  made.sign_count = 5;
  EXPECT_EQ(verify_assertion(c.get, known(made), c.get_json, c.data, c.signature).error().where, "/signCount");
}

TEST(WebauthnVectors, AKeyThatCouldNotBeBackedUpAndNowCanIsAnother) {
  WITH_VECTORS();
  for (const Case& c : Vectors::all().cases) {
    auto made = verify_registration(c.create, c.create_json, c.attestation).value();
    made.backup_eligible = !made.backup_eligible;
    EXPECT_EQ(verify_assertion(c.get, known(made), c.get_json, c.data, c.signature).error().where, "/backupEligible");
  }
}

std::string raw(std::string_view hex) {
  return from_hex(hex).value();
}

TEST(Cbor, WhatAuthenticatorsWriteIsRead) {
  const std::string text = raw("a301022003636b6579820141ff");
  const auto v = read_cbor(text);
  ASSERT_TRUE(v) << v.error().what;
  EXPECT_EQ(v->number(1), 2);
  EXPECT_EQ(v->number(-1), 3);
  const Cbor* list = v->find("key");
  ASSERT_NE(list, nullptr);
  ASSERT_EQ(list->items.size(), 2U);
  EXPECT_EQ(list->items[1].bytes, "\xff");
  EXPECT_EQ(v->find(7), nullptr);
}

TEST(Cbor, WhatTheyDoNotWriteIsRefused) {
  const char* hostile[] = {
      "",                          // nothing
      "a1",                        // a map without its item
      "a20101",                    // cut in the middle
      "bf0101ff",                  // indefinite map
      "5f4101ff",                  // indefinite bytes
      "9f01ff",                    // indefinite list
      "c101",                      // a tag
      "f93c00",                    // a float
      "f7",                        // undefined
      "ff",                        // a break without a beginning
      "a2010101 02",               // a key twice
      "1bffffffffffffffff",        // beyond 63 bits
      "9bffffffffffffffff",        // more items than there can be
      "bb00000000ffffffff",        // the same of a map
      "5bffffffffffffffff",        // longer than memory
      "61ff",                      // text that is not UTF-8
      "0101",                      // more behind the end
      "818181818181818181818101",  // too deep
  };
  for (const char* each : hostile) {
    std::string hex;
    for (const char ch : std::string_view(each))
      if (ch != ' ') hex += ch;
    EXPECT_FALSE(read_cbor(raw(hex))) << each;
  }
}

TEST(Key, OnlyTheCurveOfItsAlgorithmAndOnlyPointsOnIt) {
  const std::string x = "65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d",
                    y = "1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c";
  const auto key = [&](std::string_view alg, std::string_view curve, const std::string& py) {
    return PublicKey::from_cose(
        raw("a5010203" + std::string(alg) + "20" + std::string(curve) + "215820" + x + "225820" + py));
  };
  EXPECT_TRUE(key("26", "01", y));     // ES256 with P-256 (the point of RFC 9052's examples)
  EXPECT_FALSE(key("3822", "01", y));  // ES384 with P-256
  EXPECT_FALSE(key("26", "02", y));    // ES256 with P-384
  EXPECT_FALSE(key("26", "01", x));    // not on the curve
  EXPECT_FALSE(PublicKey::from_cose(raw("a401030339010020430100012143010001")));  // an RSA key of 17 bits
  EXPECT_FALSE(PublicKey::from_cose(raw("a10102")));                              // no algorithm
}

}  // namespace
}  // namespace bavn::show::auth::webauthn
