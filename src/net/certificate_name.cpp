#include "net/certificate_name.hpp"

#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

#include "base/text.hpp"

namespace bavn::net {

CertificateName certificate_name(const x509_st& certificate) {
  CertificateName out;
  const std::unique_ptr<BIGNUM, decltype(&BN_free)> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr), BN_free);
  if (number)
    if (char* hex = BN_bn2hex(number.get())) {
      out.serial = to_lower(hex);
      OPENSSL_free(hex);
    }
  out.serial.erase(0, std::min(out.serial.find_first_not_of('0'), out.serial.size()));
  const X509_NAME* subject = X509_get_subject_name(&certificate);
  const int at = subject ? X509_NAME_get_index_by_NID(subject, NID_commonName, -1) : -1;
  if (at >= 0) {
    unsigned char* utf8 = nullptr;
    const int length = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (length >= 0) {
      out.name.assign(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(length));
      OPENSSL_free(utf8);
    }
  }
  return out;
}

Result<CertificateName> certificate_name(std::string_view pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())),
                                                      BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      bio ? PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr) : nullptr, X509_free);
  if (!certificate) return fail(Code::bad_input, "this is not a certificate in PEM form");
  return certificate_name(*certificate);
}

}  // namespace bavn::net
