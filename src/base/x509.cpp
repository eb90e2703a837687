#include "base/x509.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/text.hpp"

namespace bavn::x509 {

namespace {

constexpr std::size_t kMaxPem = 64 * 1024;

template <auto Free>
struct Freed {
  template <class T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Bio = std::unique_ptr<BIO, Freed<BIO_free_all>>;
using Pkey = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Cert = std::unique_ptr<X509, Freed<X509_free>>;
using Csr = std::unique_ptr<X509_REQ, Freed<X509_REQ_free>>;
using Store = std::unique_ptr<X509_STORE, Freed<X509_STORE_free>>;
using StoreCtx = std::unique_ptr<X509_STORE_CTX, Freed<X509_STORE_CTX_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freed<GENERAL_NAMES_free>>;

/// The last reason OpenSSL gives, and an empty queue behind it.
std::string openssl_reason() {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  const char* text = code == 0 ? nullptr : ERR_reason_error_string(code);
  return text == nullptr ? "no reason given" : text;
}

std::unexpected<Error> trouble(std::string_view doing) {
  return fail(Code::bad_input, fmt::format("{}: {}", doing, openssl_reason()));
}

Result<Bio> open(std::string_view pem, std::string_view what) {
  if (pem.size() > kMaxPem) return fail(Code::bad_input, fmt::format("{} is larger than {} bytes", what, kMaxPem));
  Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  BAVN_ASSERT(bio != nullptr);
  return bio;
}

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

Result<Pkey> key_of(std::string_view pem) {
  BAVN_TRY(const Bio bio, open(pem, "the private key"));
  // A password callback that has none: an encrypted key is an error, never a prompt on the terminal.
  Pkey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr));
  if (key == nullptr) return trouble("the private key cannot be read (PEM, without a password)");
  return key;
}

Result<Cert> certificate_of(std::string_view pem, std::string_view what = "the certificate") {
  BAVN_TRY(const Bio bio, open(pem, what));
  Cert certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  if (certificate == nullptr) return trouble(fmt::format("{} cannot be read (PEM)", what));
  return certificate;
}

Result<std::string> pem_of(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509(bio.get(), certificate) != 1) return trouble("writing the certificate");
  return text_of(bio.get());
}

bool is_p256(EVP_PKEY* key) {
  char group[32] = {};
  std::size_t size = 0;
  return key != nullptr && EVP_PKEY_is_a(key, "EC") == 1 &&
         EVP_PKEY_get_group_name(key, group, sizeof group, &size) == 1 &&
         (std::string_view(group, size) == "prime256v1" || std::string_view(group, size) == "P-256");
}

std::string common_name_of(const X509_NAME* name) {
  const int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
  if (at < 0) return {};
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
  if (size < 0) return {};
  std::string text(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  return text;
}

Result<void> set_common_name(X509_NAME* name, std::string_view cn) {
  // 64 characters are the limit of X.520; longer names are cut at a character, they are for people only
  std::size_t size = 0, characters = 0;
  for (std::uint32_t ignored = 0; size < cn.size() && characters < 64; ++characters) {
    const auto step = decode_utf8(cn, size, ignored);
    if (step == 0) return fail(Code::bad_input, "the common name is not UTF-8");
    size += step;
  }
  if (size == 0) return fail(Code::bad_input, "the common name is empty");
  if (X509_NAME_add_entry_by_NID(name, NID_commonName, MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(cn.data()),
                                 static_cast<int>(size), -1, 0) != 1)
    return trouble("the common name");
  return {};
}

std::string public_key_digest(const X509_PUBKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_X509_PUBKEY(key, &der);
  if (size < 0) return {};
  std::string digest = to_hex(sha256({reinterpret_cast<char*>(der), static_cast<std::size_t>(size)}));
  OPENSSL_free(der);
  return digest;
}

Instant instant_of(const ASN1_TIME* time) {
  std::tm tm{};
  if (ASN1_TIME_to_tm(time, &tm) != 1) return {};
  const auto days =
      days_from_civil(tm.tm_year + 1900, static_cast<unsigned>(tm.tm_mon + 1), static_cast<unsigned>(tm.tm_mday));
  return from_micros((days * 86400 + tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec) * 1'000'000);
}

std::time_t seconds_of(Instant t) {
  return static_cast<std::time_t>(std::chrono::floor<std::chrono::seconds>(t).time_since_epoch().count());
}

std::vector<Name> names_of(X509* certificate) {
  std::vector<Name> names;
  const Names all(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; all != nullptr && i < sk_GENERAL_NAME_num(all.get()); ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(all.get(), i);
    const auto text = [](const ASN1_STRING* s) {
      return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
                         static_cast<std::size_t>(ASN1_STRING_length(s)));
    };
    if (name->type == GEN_DNS) {
      names.push_back({Name::Kind::dns, text(name->d.dNSName)});
    } else if (name->type == GEN_URI) {
      names.push_back({Name::Kind::uri, text(name->d.uniformResourceIdentifier)});
    } else if (name->type == GEN_IPADD) {
      const std::string raw = text(name->d.iPAddress);
      char readable[INET6_ADDRSTRLEN] = {};
      if (raw.size() == 4 || raw.size() == 16)
        inet_ntop(raw.size() == 4 ? AF_INET : AF_INET6, raw.data(), readable, sizeof readable);
      names.push_back({Name::Kind::ip, readable});
    }
  }
  return names;
}

/// Built value by value, not through OpenSSL's configuration language: a name cannot add extensions of its own.
Result<void> add_names(X509* certificate, const std::vector<Name>& wanted) {
  if (wanted.empty()) return {};
  const Names all(sk_GENERAL_NAME_new_null());
  for (const Name& name : wanted) {
    for (const char c : name.value)
      if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7F)
        return fail(Code::bad_input, fmt::format("\"{}\" is not a name a certificate can hold", name.value));
    GENERAL_NAME* entry = GENERAL_NAME_new();
    BAVN_ASSERT(entry != nullptr && sk_GENERAL_NAME_push(all.get(), entry) > 0);
    if (name.kind == Name::Kind::ip) {
      ASN1_OCTET_STRING* address = a2i_IPADDRESS(name.value.c_str());
      if (address == nullptr) {
        ERR_clear_error();
        return fail(Code::bad_input, fmt::format("\"{}\" is not an address", name.value));
      }
      GENERAL_NAME_set0_value(entry, GEN_IPADD, address);
    } else {
      ASN1_IA5STRING* text = ASN1_IA5STRING_new();
      BAVN_ASSERT(text != nullptr &&
                  ASN1_STRING_set(text, name.value.data(), static_cast<int>(name.value.size())) == 1);
      GENERAL_NAME_set0_value(entry, name.kind == Name::Kind::dns ? GEN_DNS : GEN_URI, text);
    }
  }
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, all.get(), 0, 0) != 1) return trouble("the names");
  return {};
}

Result<void> add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  if (extension == nullptr || X509_add_ext(certificate, extension.get(), -1) != 1) return trouble(value);
  return {};
}

Result<Cert> unsigned_certificate(std::string_view cn, std::array<std::byte, 16> serial, Instant not_before,
                                  Instant not_after, EVP_PKEY* key) {
  if (not_after <= not_before) return fail(Code::bad_input, "a certificate must end after it begins");
  Cert certificate(X509_new());
  BAVN_ASSERT(certificate != nullptr);
  serial[0] = (serial[0] & std::byte{0x3F}) | std::byte{0x40};  // positive, and always 16 bytes
  const std::unique_ptr<BIGNUM, Freed<BN_free>> number(
      BN_bin2bn(reinterpret_cast<const unsigned char*>(serial.data()), static_cast<int>(serial.size()), nullptr));
  X509_set_version(certificate.get(), X509_VERSION_3);
  BAVN_ASSERT(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate.get())) != nullptr);
  BAVN_CHECK(set_common_name(X509_get_subject_name(certificate.get()), cn));
  if (ASN1_TIME_set(X509_getm_notBefore(certificate.get()), seconds_of(not_before)) == nullptr ||
      ASN1_TIME_set(X509_getm_notAfter(certificate.get()), seconds_of(not_after)) == nullptr)
    return trouble("the dates");
  if (X509_set_pubkey(certificate.get(), key) != 1) return trouble("the key");
  return certificate;
}

Result<Certificate> facts_of(X509* certificate) {
  Certificate facts;
  const ASN1_INTEGER* serial = X509_get0_serialNumber(certificate);
  facts.serial = to_hex({reinterpret_cast<const char*>(ASN1_STRING_get0_data(serial)),
                         static_cast<std::size_t>(ASN1_STRING_length(serial))});
  facts.common_name = common_name_of(X509_get_subject_name(certificate));
  facts.issuer = common_name_of(X509_get_issuer_name(certificate));
  facts.not_before = instant_of(X509_get0_notBefore(certificate));
  facts.not_after = instant_of(X509_get0_notAfter(certificate));
  facts.names = names_of(certificate);
  facts.public_key = public_key_digest(X509_get_X509_PUBKEY(certificate));
  facts.authority = X509_check_ca(certificate) == 1;
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size < 0) return trouble("the certificate");
  facts.fingerprint = to_hex(sha256({reinterpret_cast<char*>(der), static_cast<std::size_t>(size)}));
  OPENSSL_free(der);
  ERR_clear_error();
  return facts;
}

}  // namespace

Name host(std::string_view name_or_address) {
  const std::string text(name_or_address);
  unsigned char ignored[16];
  const bool address =
      inet_pton(AF_INET, text.c_str(), ignored) == 1 || inet_pton(AF_INET6, text.c_str(), ignored) == 1;
  return {address ? Name::Kind::ip : Name::Kind::dns, text};
}

std::string make_key() {
  const Pkey key(EVP_EC_gen("P-256"));
  const Bio bio(BIO_new(BIO_s_mem()));
  BAVN_ASSERT(key != nullptr &&
              PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return text_of(bio.get());
}

Result<std::string> make_request(const std::string& key_pem, std::string_view cn) {
  BAVN_TRY(const Pkey key, key_of(key_pem));
  const Csr request(X509_REQ_new());
  BAVN_ASSERT(request != nullptr);
  BAVN_CHECK(set_common_name(X509_REQ_get_subject_name(request.get()), cn));
  if (X509_REQ_set_pubkey(request.get(), key.get()) != 1 || X509_REQ_sign(request.get(), key.get(), EVP_sha256()) == 0)
    return trouble("signing the certificate request");
  const Bio bio(BIO_new(BIO_s_mem()));
  if (PEM_write_bio_X509_REQ(bio.get(), request.get()) != 1) return trouble("writing the certificate request");
  return text_of(bio.get());
}

namespace {
Result<Csr> checked_request(std::string_view pem) {
  BAVN_TRY(const Bio bio, open(pem, "the certificate request"));
  Csr request(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (request == nullptr) return trouble("the certificate request cannot be read (PEM)");
  EVP_PKEY* key = X509_REQ_get0_pubkey(request.get());
  if (!is_p256(key)) {
    ERR_clear_error();
    return fail(Code::bad_input, "the certificate request must be for a P-256 key");
  }
  if (X509_REQ_verify(request.get(), key) != 1) {
    ERR_clear_error();
    return fail(Code::bad_input, "the certificate request is not signed by its own key");
  }
  return request;
}
}  // namespace

Result<Request> read_request(std::string_view pem) {
  BAVN_TRY(const Csr request, checked_request(pem));
  return Request{common_name_of(X509_REQ_get_subject_name(request.get())),
                 public_key_digest(X509_REQ_get_X509_PUBKEY(request.get()))};
}

Result<Authority> make_authority(std::string_view common_name, Instant not_before, Instant not_after,
                                 std::array<std::byte, 16> serial) {
  Authority authority;
  authority.key_pem = make_key();
  BAVN_TRY(const Pkey key, key_of(authority.key_pem));
  BAVN_TRY(const Cert certificate, unsigned_certificate(common_name, serial, not_before, not_after, key.get()));
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(certificate.get()));
  BAVN_CHECK(add_extension(certificate.get(), certificate.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0"));
  BAVN_CHECK(add_extension(certificate.get(), certificate.get(), NID_key_usage, "critical,keyCertSign,cRLSign"));
  BAVN_CHECK(add_extension(certificate.get(), certificate.get(), NID_subject_key_identifier, "hash"));
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return trouble("signing the authority's certificate");
  BAVN_TRY(authority.certificate_pem, pem_of(certificate.get()));
  return authority;
}

Result<std::string> issue(const Authority& authority, std::string_view request_pem, const Wish& wish) {
  BAVN_TRY(const Csr request, checked_request(request_pem));
  BAVN_TRY(const Cert issuer, certificate_of(authority.certificate_pem, "the authority's certificate"));
  BAVN_TRY(const Pkey key, key_of(authority.key_pem));
  BAVN_TRY(const Cert certificate, unsigned_certificate(wish.common_name, wish.serial, wish.not_before, wish.not_after,
                                                        X509_REQ_get0_pubkey(request.get())));
  X509_set_issuer_name(certificate.get(), X509_get_subject_name(issuer.get()));
  BAVN_CHECK(add_extension(certificate.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE"));
  BAVN_CHECK(add_extension(certificate.get(), issuer.get(), NID_key_usage, "critical,digitalSignature"));
  BAVN_CHECK(add_extension(certificate.get(), issuer.get(), NID_ext_key_usage,
                           wish.use == Use::client ? "clientAuth" : "serverAuth"));
  BAVN_CHECK(add_extension(certificate.get(), issuer.get(), NID_subject_key_identifier, "hash"));
  BAVN_CHECK(add_extension(certificate.get(), issuer.get(), NID_authority_key_identifier, "keyid"));
  BAVN_CHECK(add_names(certificate.get(), wish.names));
  if (X509_sign(certificate.get(), key.get(), EVP_sha256()) == 0) return trouble("signing the certificate");
  return pem_of(certificate.get());
}

Result<Certificate> read_certificate(std::string_view pem) {
  BAVN_TRY(const Cert certificate, certificate_of(pem));
  return facts_of(certificate.get());
}

Result<Certificate> read_certificate_der(std::string_view der) {
  const auto* at = reinterpret_cast<const unsigned char*>(der.data());
  const Cert certificate(der.size() > kMaxPem ? nullptr : d2i_X509(nullptr, &at, static_cast<long>(der.size())));
  if (certificate == nullptr) return trouble("the certificate cannot be read (DER)");
  return facts_of(certificate.get());
}

Result<void> verify(std::string_view pem, std::string_view authority_pem, Instant at, Use use) {
  BAVN_TRY(const Cert certificate, certificate_of(pem));
  BAVN_TRY(const Cert authority, certificate_of(authority_pem, "the authority's certificate"));
  const Store store(X509_STORE_new());
  const StoreCtx context(X509_STORE_CTX_new());
  BAVN_ASSERT(store != nullptr && context != nullptr && X509_STORE_add_cert(store.get(), authority.get()) == 1 &&
              X509_STORE_CTX_init(context.get(), store.get(), certificate.get(), nullptr) == 1);
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
  X509_VERIFY_PARAM_set_time(rules, seconds_of(at));
  X509_VERIFY_PARAM_set_purpose(rules, use == Use::client ? X509_PURPOSE_SSL_CLIENT : X509_PURPOSE_SSL_SERVER);
  const bool good = X509_verify_cert(context.get()) == 1;
  ERR_clear_error();
  if (good) return {};
  return fail(Code::forbidden, fmt::format("the certificate is not accepted: {}",
                                           X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()))));
}

bool fits(const std::string& key_pem, std::string_view certificate_pem) {
  const auto key = key_of(key_pem);
  const auto certificate = certificate_of(certificate_pem);
  const bool same = key && certificate && X509_check_private_key(certificate->get(), key->get()) == 1;
  ERR_clear_error();
  return same;
}

}  // namespace bavn::x509
