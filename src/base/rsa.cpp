#include "base/rsa.hpp"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <sodium.h>

#include <memory>

#include "base/digest.hpp"
#include "base/encoding.hpp"

namespace bavn {
namespace {

template <auto F>
struct Free {
  template <class T>
  void operator()(T* p) const {
    F(p);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Digest = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;

std::unexpected<Error> openssl_error(std::string_view what) {
  char text[256] = "no reason given";
  if (const auto code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return fail(Code::bad_input, std::string(what) + ": " + text);
}

Bio reading(std::string_view text) {
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

Result<Certificate> read_certificate(std::string_view pem) {
  const auto bio = reading(pem);
  Certificate certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (!certificate) return openssl_error("not a certificate in PEM");
  return certificate;
}

Result<std::string> der_of(std::string_view certificate_pem) {
  BAVN_TRY(auto certificate, read_certificate(certificate_pem));
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate.get(), &der);
  if (size < 0) return openssl_error("certificate");
  std::string out(reinterpret_cast<const char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return out;
}

bool set_pss(EVP_PKEY_CTX* context) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) > 0;
}

const unsigned char* bytes(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

}  // namespace

Result<RsaIdentity> make_rsa_identity(std::string_view common_name, Instant now, std::chrono::days valid) {
  const Key key(EVP_RSA_gen(2048));
  if (!key) return openssl_error("cannot make an RSA key");
  const Certificate certificate(X509_new());
  X509_set_version(certificate.get(), 2);
  unsigned char serial[16];
  randombytes_buf(serial, sizeof serial);
  serial[0] &= 0x7f;
  const std::unique_ptr<BIGNUM, Free<BN_free>> number(BN_bin2bn(serial, sizeof serial, nullptr));
  BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get()));
  const auto seconds = static_cast<time_t>(micros(now) / 1'000'000);
  X509_time_adj_ex(X509_getm_notBefore(certificate.get()), 0, -3600, const_cast<time_t*>(&seconds));
  X509_time_adj_ex(X509_getm_notAfter(certificate.get()), static_cast<int>(valid.count()), 0,
                   const_cast<time_t*>(&seconds));
  X509_NAME* name = X509_get_subject_name(certificate.get());
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes(common_name), static_cast<int>(common_name.size()),
                                 -1, 0) != 1)
    return openssl_error("certificate name");
  X509_set_issuer_name(certificate.get(), name);
  X509_set_pubkey(certificate.get(), key.get());
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return openssl_error("cannot sign the certificate");

  const Bio key_text(BIO_new(BIO_s_secmem())), certificate_text(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_PKCS8PrivateKey(key_text.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1 ||
      PEM_write_bio_X509(certificate_text.get(), certificate.get()) != 1)
    return openssl_error("cannot write the key");
  return RsaIdentity{.key_pem = text_of(key_text.get()), .certificate_pem = text_of(certificate_text.get())};
}

Result<std::string> sign_ps256(std::string_view key_pem, std::string_view message) {
  const auto bio = reading(key_pem);
  const Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  if (!key) return openssl_error("not a private key in PEM");
  const Digest digest(EVP_MD_CTX_new());
  EVP_PKEY_CTX* context = nullptr;
  std::size_t size = 0;
  if (EVP_DigestSignInit(digest.get(), &context, EVP_sha256(), nullptr, key.get()) != 1 || !set_pss(context) ||
      EVP_DigestSign(digest.get(), nullptr, &size, bytes(message), message.size()) != 1)
    return openssl_error("cannot sign");
  std::string signature(size, '\0');
  if (EVP_DigestSign(digest.get(), reinterpret_cast<unsigned char*>(signature.data()), &size, bytes(message),
                     message.size()) != 1)
    return openssl_error("cannot sign");
  signature.resize(size);
  return signature;
}

Result<void> check_ps256(std::string_view certificate_pem, std::string_view message, std::string_view signature) {
  BAVN_TRY(auto certificate, read_certificate(certificate_pem));
  const Digest digest(EVP_MD_CTX_new());
  EVP_PKEY_CTX* context = nullptr;
  if (EVP_DigestVerifyInit(digest.get(), &context, EVP_sha256(), nullptr, X509_get0_pubkey(certificate.get())) != 1 ||
      !set_pss(context))
    return openssl_error("cannot check a signature with this certificate");
  const int verdict =
      EVP_DigestVerify(digest.get(), bytes(signature), signature.size(), bytes(message), message.size());
  ERR_clear_error();
  if (verdict != 1) return fail(Code::forbidden, "the signature is not of this certificate's key");
  return {};
}

Result<std::string> certificate_thumbprint(std::string_view certificate_pem) {
  BAVN_TRY(auto der, der_of(certificate_pem));
  return sha256(der);
}

Result<std::string> certificate_base64(std::string_view certificate_pem) {
  BAVN_TRY(auto der, der_of(certificate_pem));
  return to_base64(der);
}

}  // namespace bavn
