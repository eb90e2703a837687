#include "base/x509.hpp"

#include <gtest/gtest.h>

namespace bavn::x509 {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;

const Instant kNow = *parse_time("2026-03-01T12:00:00Z");

std::array<std::byte, 16> serial_of(unsigned n) {
  std::array<std::byte, 16> serial{};
  serial[15] = static_cast<std::byte>(n);
  return serial;
}

Authority authority(std::string_view name = "Test CA") {
  return make_authority(name, kNow - 1h, kNow + days{3650}, serial_of(1)).value();
}

Wish client_wish() {
  return {.use = Use::client,
          .common_name = "Østby node",
          .names = {{Name::Kind::uri, "bavn:node/7"}},
          .not_before = kNow - 1h,
          .not_after = kNow + days{30},
          .serial = serial_of(7)};
}

TEST(X509, AClientCertificateSaysWhatWasWishedNotWhatWasAsked) {
  const auto ca = authority();
  const auto key = make_key();
  const auto request = make_request(key, "I am the hub").value();
  EXPECT_EQ(read_request(request)->common_name, "I am the hub");
  const auto pem = issue(ca, request, client_wish()).value();
  const auto read = read_certificate(pem).value();
  EXPECT_EQ(read.common_name, "Østby node");
  EXPECT_EQ(read.issuer, "Test CA");
  EXPECT_EQ(read.serial, "40000000000000000000000000000007");
  EXPECT_EQ(read.not_before, kNow - 1h);
  EXPECT_EQ(read.not_after, kNow + days{30});
  EXPECT_EQ(read.names, (std::vector<Name>{{Name::Kind::uri, "bavn:node/7"}}));
  EXPECT_EQ(read.fingerprint.size(), 64U);
  EXPECT_EQ(read.public_key, read_request(request)->public_key);
  EXPECT_FALSE(read.authority);
  EXPECT_TRUE(fits(key, pem));
  EXPECT_FALSE(fits(make_key(), pem));
  EXPECT_TRUE(verify(pem, ca.certificate_pem, kNow, Use::client));
}

TEST(X509, AServerCertificateHoldsNamesAndAddresses) {
  const auto ca = authority();
  Wish wish = client_wish();
  wish.use = Use::server;
  wish.names = {host("hub.example.org"), host("192.0.2.7"), host("2001:db8::1")};
  const auto pem = issue(ca, make_request(make_key(), "hub").value(), wish).value();
  EXPECT_EQ(read_certificate(pem)->names,
            (std::vector<Name>{
                {Name::Kind::dns, "hub.example.org"}, {Name::Kind::ip, "192.0.2.7"}, {Name::Kind::ip, "2001:db8::1"}}));
  EXPECT_TRUE(verify(pem, ca.certificate_pem, kNow, Use::server));
  EXPECT_EQ(verify(pem, ca.certificate_pem, kNow, Use::client).error().code, Code::forbidden);
}

TEST(X509, ForeignEarlyAndExpiredCertificatesAreRefusedWithTheReason) {
  const auto ca = authority();
  const auto pem = issue(ca, make_request(make_key(), "n").value(), client_wish()).value();
  const auto why = [&](std::string_view by, Instant at) { return verify(pem, by, at, Use::client).error().what; };
  EXPECT_NE(why(authority().certificate_pem, kNow).find("issuer"), std::string::npos);  // same name, another key
  EXPECT_NE(why(authority("Other").certificate_pem, kNow).find("issuer"), std::string::npos);
  EXPECT_NE(why(ca.certificate_pem, kNow + days{31}).find("expired"), std::string::npos);
  EXPECT_NE(why(ca.certificate_pem, kNow - days{1}).find("not yet valid"), std::string::npos);
}

TEST(X509, ANodeCannotIssueCertificatesWithItsOwn) {
  const auto ca = authority();
  EXPECT_TRUE(read_certificate(ca.certificate_pem)->authority);
  Authority node{"", make_key()};
  node.certificate_pem = issue(ca, make_request(node.key_pem, "node").value(), client_wish()).value();
  const auto forged = issue(node, make_request(make_key(), "forged").value(), client_wish()).value();
  EXPECT_FALSE(verify(forged, ca.certificate_pem, kNow, Use::client));
  EXPECT_FALSE(verify(forged, node.certificate_pem, kNow, Use::client));
}

TEST(X509, BrokenTextsAreErrors) {
  const auto ca = authority();
  EXPECT_EQ(read_certificate("hello").error().code, Code::bad_input);
  EXPECT_EQ(read_certificate_der("hello").error().code, Code::bad_input);
  EXPECT_EQ(read_request("").error().code, Code::bad_input);
  EXPECT_EQ(read_request(std::string(100'000, 'A')).error().code, Code::bad_input);
  auto changed = make_request(make_key(), "n").value();
  const auto middle = changed.size() / 2;
  changed[middle] = changed[middle] == 'A' ? 'B' : 'A';
  EXPECT_FALSE(read_request(changed));
  Wish wish = client_wish();
  wish.names = {{Name::Kind::dns, "a b"}};
  EXPECT_FALSE(issue(ca, make_request(make_key(), "n").value(), wish));
  wish.names = {{Name::Kind::ip, "300.1.1.1"}};
  EXPECT_FALSE(issue(ca, make_request(make_key(), "n").value(), wish));
  wish = client_wish();
  wish.not_after = wish.not_before;
  EXPECT_FALSE(issue(ca, make_request(make_key(), "n").value(), wish));
  EXPECT_FALSE(make_request("no key", "n"));
  EXPECT_FALSE(make_request(make_key(), ""));
}

// openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:1024 | openssl req -new -key /dev/stdin -subj /CN=weak
constexpr std::string_view kRsaRequest =
    "-----BEGIN CERTIFICATE REQUEST-----\n"
    "MIIBTjCBuAIBADAPMQ0wCwYDVQQDDAR3ZWFrMIGfMA0GCSqGSIb3DQEBAQUAA4GN\n"
    "ADCBiQKBgQDNKWJkjHVRHMVFXZNrj/HSsGOxoseFwlv7lhHWwE9iOkjydvTt3ru3\n"
    "WfSgji8Bpokh6GehVx0K2AK72aklXzDddB4LRj9bweeZvgZATew7DNLRyneCeYns\n"
    "L+1u53okQVnz/K9jYDz46xjG5dphF+UOMoGLUVqYI2VROyNBmxI8ywIDAQABoAAw\n"
    "DQYJKoZIhvcNAQELBQADgYEAR3vXyKtaoPiy4jRdR+n2rqYToBhGjGPIyiNTwDL7\n"
    "0ZEn2vCO4YINcf9taXF0pqSs3yA1PVSCZLP3MbYlEC57clEKT3AgDBHpmBkN796d\n"
    "xlKm4M1OREIqjYXWoeTC07l5wi45LpbAcYIt30Or+1jjed3s61zXgDMF4C/uBXVi\n"
    "b+c=\n"
    "-----END CERTIFICATE REQUEST-----\n";

TEST(X509, OnlyP256KeysGetCertificates) {
  const auto refused = read_request(kRsaRequest);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().what.find("P-256"), std::string::npos);
}

}  // namespace
}  // namespace bavn::x509
