#include "base/rsa.hpp"

#include <gtest/gtest.h>

#include "base/digest.hpp"
#include "base/encoding.hpp"

namespace bavn {
namespace {

const Instant kNow = *parse_time("2026-03-01T08:00:00Z");

TEST(Rsa, ASignatureHoldsForItsMessageAndItsCertificateOnly) {
  const auto mine = make_rsa_identity("Bavn node", kNow, std::chrono::days(365));
  const auto other = make_rsa_identity("somebody else", kNow, std::chrono::days(365));
  ASSERT_TRUE(mine && other);
  const auto signature = sign_ps256(mine->key_pem, "header.claims");
  ASSERT_TRUE(signature) << to_string(signature.error());
  EXPECT_EQ(signature->size(), 256U);
  EXPECT_TRUE(check_ps256(mine->certificate_pem, "header.claims", *signature));
  EXPECT_EQ(check_ps256(mine->certificate_pem, "header.claimz", *signature).error().code, Code::forbidden);
  EXPECT_EQ(check_ps256(other->certificate_pem, "header.claims", *signature).error().code, Code::forbidden);
  EXPECT_EQ(check_ps256(mine->certificate_pem, "header.claims", "").error().code, Code::forbidden);
}

TEST(Rsa, TheThumbprintIsTheHashOfTheCertificatesBytes) {
  const auto identity = make_rsa_identity("Bavn node", kNow, std::chrono::days(365));
  ASSERT_TRUE(identity);
  const auto text = certificate_base64(identity->certificate_pem);
  ASSERT_TRUE(text);
  const auto der = from_base64(*text);
  ASSERT_TRUE(der);
  EXPECT_EQ(*certificate_thumbprint(identity->certificate_pem), sha256(*der));
}

TEST(Rsa, WhatIsNoKeyAndNoCertificateIsSaid) {
  EXPECT_FALSE(sign_ps256("-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n", "x"));
  EXPECT_FALSE(certificate_thumbprint("hello"));
}

}  // namespace
}  // namespace bavn
