#include "show/auth/webauthn/attestation.hpp"

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <optional>

#include "base/digest.hpp"

namespace bavn::show::auth::webauthn {

namespace {

template <auto F>
struct Free {
  template <class T>
  void operator()(T* p) const {
    F(p);
  }
};
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using Object = std::unique_ptr<ASN1_OBJECT, Free<ASN1_OBJECT_free>>;

constexpr std::size_t kMostCertificates = 8;
constexpr std::int64_t kEs256 = -7;

std::unexpected<Error> wrong(std::string_view format, std::string_view what) {
  ERR_clear_error();
  return fail(Code::forbidden, fmt::format("the passkey's attestation ({}): {}", format, what));
}

const unsigned char* bytes_of(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

std::string digest(const char* name, std::string_view message) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  std::size_t size = 0;
  if (EVP_Q_digest(nullptr, name, nullptr, message.data(), message.size(), out.data(), &size) != 1) return {};
  return {reinterpret_cast<const char*>(out.data()), size};
}

struct Chain {
  std::vector<std::string> der;
  Certificate first;
};
Result<Chain> read_chain(std::string_view format, const Cbor& statement) {
  const Cbor* x5c = statement.find("x5c");
  if (x5c == nullptr || x5c->kind != Cbor::Kind::array || x5c->items.empty() || x5c->items.size() > kMostCertificates)
    return wrong(format, "it has no certificates, or too many");
  Chain chain;
  for (const Cbor& each : x5c->items) {
    if (each.kind != Cbor::Kind::bytes) return wrong(format, "a certificate is not bytes");
    const unsigned char* at = bytes_of(each.bytes);
    Certificate certificate(d2i_X509(nullptr, &at, static_cast<long>(each.bytes.size())));
    if (!certificate || at != bytes_of(each.bytes) + each.bytes.size())
      return wrong(format, "a certificate cannot be read");
    chain.der.emplace_back(each.bytes);
    if (!chain.first) chain.first = std::move(certificate);
  }
  return chain;
}

/// The value of an extension, its OCTET STRING opened.
struct Extension {
  std::string_view value;
  bool critical = false;
};
std::optional<Extension> extension(X509* certificate, const char* oid) {
  const Object object(OBJ_txt2obj(oid, 1));
  const int at = X509_get_ext_by_OBJ(certificate, object.get(), -1);
  if (at < 0) return std::nullopt;
  X509_EXTENSION* e = X509_get_ext(certificate, at);
  const ASN1_OCTET_STRING* data = X509_EXTENSION_get_data(e);
  return Extension{
      {reinterpret_cast<const char*>(ASN1_STRING_get0_data(data)), static_cast<std::size_t>(ASN1_STRING_length(data))},
      X509_EXTENSION_get_critical(e) == 1};
}

/// One DER element: enough to walk the few structures that makers put into extensions.
struct Der {
  unsigned tag = 0;  // the first byte without its class of long tags: number of a context tag in `number`
  bool context = false;
  unsigned number = 0;
  std::string_view content;
};
std::optional<Der> next_der(std::string_view& rest) {
  std::size_t at = 0;
  const auto byte = [&]() -> std::optional<unsigned> {
    if (at >= rest.size()) return std::nullopt;
    return static_cast<unsigned char>(rest[at++]);
  };
  const auto first = byte();
  if (!first) return std::nullopt;
  Der d{*first, (*first & 0xC0U) == 0x80U, *first & 0x1FU, {}};
  if (d.number == 0x1F) {
    d.number = 0;
    for (int i = 0; i < 3; ++i) {
      const auto more = byte();
      if (!more) return std::nullopt;
      d.number = (d.number << 7U) | (*more & 0x7FU);
      if ((*more & 0x80U) == 0) break;
      if (i == 2) return std::nullopt;
    }
  }
  const auto short_length = byte();
  if (!short_length) return std::nullopt;
  std::size_t length = *short_length;
  if (length > 0x7F) {
    const std::size_t count = length & 0x7FU;
    if (count == 0 || count > 3) return std::nullopt;
    length = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const auto more = byte();
      if (!more) return std::nullopt;
      length = (length << 8U) | *more;
    }
  }
  if (length > rest.size() - at) return std::nullopt;
  d.content = rest.substr(at, length);
  rest.remove_prefix(at + length);
  return d;
}
constexpr unsigned kSequence = 0x30, kOctets = 0x04, kInteger = 0x02, kSet = 0x31;

std::optional<std::string> name_part(X509_NAME* name, int nid) {
  const int at = X509_NAME_get_index_by_NID(name, nid, -1);
  if (at < 0) return std::nullopt;
  const ASN1_STRING* s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
  return std::string(reinterpret_cast<const char*>(ASN1_STRING_get0_data(s)),
                     static_cast<std::size_t>(ASN1_STRING_length(s)));
}

/// id-fido-gen-ce-aaguid: when it is there, it names the model that the authenticator data names.
Result<void> check_model(std::string_view format, X509* certificate, std::string_view aaguid) {
  const auto e = extension(certificate, "1.3.6.1.4.1.45724.1.1.4");
  if (!e) return {};
  std::string_view rest = e->value;
  const auto octets = next_der(rest);
  if (e->critical || !octets || octets->tag != kOctets || octets->content != aaguid)
    return wrong(format, "the certificate is of another model");
  return {};
}

bool is_authority(X509* certificate) {
  return X509_check_ca(certificate) != 0;
}

// Section 8.2.
Result<std::vector<std::string>> packed(const Cbor& statement, const Attested& of) {
  const Cbor* alg = statement.find("alg");
  const auto signature = statement.bytes_at("sig");
  if (alg == nullptr || alg->kind != Cbor::Kind::integer || !signature) return wrong("packed", "it has no signature");
  const std::string message = std::string(of.authenticator_data) + std::string(of.client_data_hash);
  if (statement.find("x5c") == nullptr) {
    if (alg->integer != of.key.algorithm()) return wrong("packed", "signed with another algorithm than the key's");
    if (!of.key.verify(message, *signature)) return wrong("packed", "the signature is not the key's");
    return std::vector<std::string>{};
  }
  BAVN_TRY(Chain chain, read_chain("packed", statement));
  X509* certificate = chain.first.get();
  if (!verify_with(X509_get0_pubkey(certificate), alg->integer, message, *signature))
    return wrong("packed", "the signature is not the certificate's");
  // Section 8.2.1.
  X509_NAME* subject = X509_get_subject_name(certificate);
  if (X509_get_version(certificate) != X509_VERSION_3 || !name_part(subject, NID_countryName) ||
      !name_part(subject, NID_organizationName) || !name_part(subject, NID_commonName) ||
      name_part(subject, NID_organizationalUnitName) != "Authenticator Attestation" || is_authority(certificate))
    return wrong("packed", "the certificate is not one for attestation");
  BAVN_CHECK(check_model("packed", certificate, of.parsed.aaguid));
  return std::move(chain.der);
}

/// Reads big-endian numbers and sized pieces of what a TPM writes (TPM 2.0 part 2).
class TpmReader {
 public:
  explicit TpmReader(std::string_view bytes) : rest_(bytes) {}
  std::optional<std::string_view> take(std::size_t size) {
    if (size > rest_.size()) return std::nullopt;
    const auto out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  std::optional<std::uint32_t> number(std::size_t size) {
    const auto bytes = take(size);
    if (!bytes) return std::nullopt;
    std::uint32_t n = 0;
    for (const char c : *bytes) n = (n << 8U) | static_cast<unsigned char>(c);
    return n;
  }
  std::optional<std::string_view> sized() {
    const auto size = number(2);
    return size ? take(*size) : std::nullopt;
  }
  bool done() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

constexpr std::uint32_t kTpmRsa = 0x0001, kTpmEcc = 0x0023, kTpmNull = 0x0010;

const char* tpm_digest(std::uint32_t algorithm) {
  switch (algorithm) {
    case 0x000B: return "SHA256";
    case 0x000C: return "SHA384";
    case 0x000D: return "SHA512";
    default: return nullptr;
  }
}

/// TPMT_PUBLIC: its name algorithm, when it is the credential's key.
std::optional<std::uint32_t> tpm_public(std::string_view bytes, const PublicKey& key) {
  TpmReader r(bytes);
  const auto type = r.number(2), name_algorithm = r.number(2);
  if (!type || !name_algorithm || !r.number(4) || !r.sized()) return std::nullopt;  // attributes, authPolicy
  const auto symmetric = r.number(2);
  if (symmetric != kTpmNull) return std::nullopt;
  const auto scheme = r.number(2);
  if (!scheme || (*scheme != kTpmNull && !r.number(2))) return std::nullopt;
  const auto parameter = [&](const char* name) -> std::string {
    BIGNUM* n = nullptr;
    if (EVP_PKEY_get_bn_param(key.openssl(), name, &n) != 1) return {};
    std::string out(static_cast<std::size_t>(BN_num_bytes(n)), '\0');
    BN_bn2bin(n, reinterpret_cast<unsigned char*>(out.data()));
    BN_free(n);
    return out;
  };
  const auto without_zeros = [](std::string_view s) {
    while (!s.empty() && s.front() == '\0') s.remove_prefix(1);
    return s;
  };
  if (*type == kTpmRsa) {
    const auto bits = r.number(2), exponent = r.number(4);
    const auto modulus = r.sized();
    if (!bits || !exponent || !modulus || !r.done()) return std::nullopt;
    const std::uint32_t e = *exponent == 0 ? 65537 : *exponent;
    std::string e_bytes;
    for (unsigned shift = 32; shift > 0; shift -= 8) e_bytes += static_cast<char>((e >> (shift - 8)) & 0xFFU);
    if (parameter("n") != without_zeros(*modulus) || parameter("e") != without_zeros(e_bytes)) return std::nullopt;
    return name_algorithm;
  }
  if (*type != kTpmEcc) return std::nullopt;
  const auto curve = r.number(2), kdf = r.number(2);
  if (!curve || !kdf || (*kdf != kTpmNull && !r.number(2))) return std::nullopt;
  const auto x = r.sized(), y = r.sized();
  const std::uint32_t wanted = key.algorithm() == -7 || key.algorithm() == -9     ? 0x0003
                               : key.algorithm() == -35 || key.algorithm() == -51 ? 0x0004
                                                                                  : 0x0005;
  if (!x || !y || !r.done() || *curve != wanted || parameter("qx") != without_zeros(*x) ||
      parameter("qy") != without_zeros(*y))
    return std::nullopt;
  return name_algorithm;
}

// Section 8.3.
Result<std::vector<std::string>> tpm(const Cbor& statement, const Attested& of) {
  const Cbor* version = statement.find("ver");
  const Cbor* alg = statement.find("alg");
  const auto signature = statement.bytes_at("sig"), certified = statement.bytes_at("certInfo"),
             area = statement.bytes_at("pubArea");
  if (version == nullptr || version->kind != Cbor::Kind::text || version->bytes != "2.0" || alg == nullptr ||
      alg->kind != Cbor::Kind::integer || !signature || !certified || !area)
    return wrong("tpm", "it is not complete, or not of TPM 2.0");
  const auto name_algorithm = tpm_public(*area, of.key);
  if (!name_algorithm) return wrong("tpm", "the TPM speaks of another key");
  const char* signed_digest = alg->integer == -7 || alg->integer == -257 || alg->integer == -37    ? "SHA256"
                              : alg->integer == -35 || alg->integer == -258 || alg->integer == -38 ? "SHA384"
                              : alg->integer == -36 || alg->integer == -259 || alg->integer == -39 ? "SHA512"
                                                                                                   : nullptr;
  if (signed_digest == nullptr) return wrong("tpm", "its algorithm is not accepted");
  const std::string to_attest = std::string(of.authenticator_data) + std::string(of.client_data_hash);
  // TPMS_ATTEST of type TPM_ST_ATTEST_CERTIFY.
  TpmReader r(*certified);
  const auto magic = r.number(4), type = r.number(2);
  const auto signer = r.sized();
  const auto extra = r.sized();
  const auto clock = r.take(17);
  const auto firmware = r.take(8);
  const auto name = r.sized();
  const auto qualified = r.sized();
  if (magic != 0xFF544347U || type != 0x8017U || !signer || !extra || !clock || !firmware || !name || !qualified ||
      !r.done())
    return wrong("tpm", "it certifies nothing");
  if (*extra != digest(signed_digest, to_attest)) return wrong("tpm", "it certifies another registration");
  const char* of_name = tpm_digest(*name_algorithm);
  if (of_name == nullptr || name->size() < 2 || TpmReader(*name).number(2) != name_algorithm ||
      name->substr(2) != digest(of_name, *area))
    return wrong("tpm", "it certifies another key");
  BAVN_TRY(Chain chain, read_chain("tpm", statement));
  X509* certificate = chain.first.get();
  if (!verify_with(X509_get0_pubkey(certificate), alg->integer, *certified, *signature))
    return wrong("tpm", "the signature is not the certificate's");
  // Section 8.3.1.
  const auto usage = extension(certificate, "2.5.29.37");
  const Object tcg(OBJ_txt2obj("2.23.133.8.3", 1));
  bool for_attestation = false;
  if (usage) {
    if (auto* list =
            static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(certificate, NID_ext_key_usage, nullptr, nullptr))) {
      for (int i = 0; i < sk_ASN1_OBJECT_num(list); ++i)
        for_attestation = for_attestation || OBJ_cmp(sk_ASN1_OBJECT_value(list, i), tcg.get()) == 0;
      EXTENDED_KEY_USAGE_free(list);
    }
  }
  if (X509_get_version(certificate) != X509_VERSION_3 ||
      X509_NAME_entry_count(X509_get_subject_name(certificate)) != 0 || !for_attestation || is_authority(certificate) ||
      !extension(certificate, "2.5.29.17"))
    return wrong("tpm", "the certificate is not one for attestation");
  BAVN_CHECK(check_model("tpm", certificate, of.parsed.aaguid));
  return std::move(chain.der);
}

/// Of an AuthorizationList: what Android's section 8.4 asks for. Tags are contextual and explicit.
struct Authorizations {
  bool all_applications = false;
  bool generated = false, origin = false;
  bool signs = false, purpose = false;
};
bool read_authorizations(std::string_view list, Authorizations& out) {
  while (!list.empty()) {
    const auto entry = next_der(list);
    if (!entry) return false;
    if (!entry->context) continue;
    std::string_view inner = entry->content;
    if (entry->number == 600) out.all_applications = true;
    if (entry->number == 702) {  // origin; KM_ORIGIN_GENERATED is 0
      const auto n = next_der(inner);
      out.origin = true;
      out.generated = n && n->tag == kInteger && n->content == std::string_view("\0", 1);
    }
    if (entry->number == 1) {  // purpose; KM_PURPOSE_SIGN is 2
      auto set = next_der(inner);
      out.purpose = true;
      if (!set || set->tag != kSet) return false;
      while (!set->content.empty()) {
        const auto n = next_der(set->content);
        if (!n) return false;
        out.signs = out.signs || (n->tag == kInteger && n->content == std::string_view("\x02", 1));
      }
    }
  }
  return true;
}

// Section 8.4.
Result<std::vector<std::string>> android_key(const Cbor& statement, const Attested& of) {
  const Cbor* alg = statement.find("alg");
  const auto signature = statement.bytes_at("sig");
  if (alg == nullptr || alg->kind != Cbor::Kind::integer || !signature)
    return wrong("android-key", "it has no signature");
  BAVN_TRY(Chain chain, read_chain("android-key", statement));
  X509* certificate = chain.first.get();
  if (!verify_with(X509_get0_pubkey(certificate), alg->integer,
                   std::string(of.authenticator_data) + std::string(of.client_data_hash), *signature))
    return wrong("android-key", "the signature is not the certificate's");
  if (!of.key.same_as(X509_get0_pubkey(certificate))) return wrong("android-key", "the certificate is of another key");
  const auto e = extension(certificate, "1.3.6.1.4.1.11129.2.1.17");
  std::string_view rest = e ? e->value : std::string_view();
  const auto description = next_der(rest);
  if (!description || description->tag != kSequence)
    return wrong("android-key", "the certificate does not describe the key");
  std::string_view fields = description->content;
  for (int i = 0; i < 4; ++i)
    if (!next_der(fields)) return wrong("android-key", "the description of the key is cut");
  const auto challenge = next_der(fields), unique = next_der(fields), software = next_der(fields),
             tee = next_der(fields);
  if (!challenge || !unique || !software || !tee || challenge->content != of.client_data_hash)
    return wrong("android-key", "it was made for another registration");
  Authorizations a;
  if (!read_authorizations(software->content, a) || !read_authorizations(tee->content, a) || a.all_applications ||
      (a.origin && !a.generated) || (a.purpose && !a.signs))
    return wrong("android-key", "the key is shared, imported or not for signing");
  return std::move(chain.der);
}

// Section 8.8.
Result<std::vector<std::string>> apple(const Cbor& statement, const Attested& of) {
  BAVN_TRY(Chain chain, read_chain("apple", statement));
  X509* certificate = chain.first.get();
  const std::string nonce = sha256(std::string(of.authenticator_data) + std::string(of.client_data_hash));
  const auto e = extension(certificate, "1.2.840.113635.100.8.2");
  std::string_view rest = e ? e->value : std::string_view();
  const auto sequence = next_der(rest);
  std::string_view inner = sequence ? sequence->content : std::string_view();
  const auto tagged = next_der(inner);
  std::string_view value = tagged && tagged->context && tagged->number == 1 ? tagged->content : std::string_view();
  const auto octets = next_der(value);
  if (!octets || octets->tag != kOctets || octets->content != nonce)
    return wrong("apple", "it was made for another registration");
  if (!of.key.same_as(X509_get0_pubkey(certificate))) return wrong("apple", "the certificate is of another key");
  return std::move(chain.der);
}

// Section 8.6.
Result<std::vector<std::string>> fido_u2f(const Cbor& statement, const Attested& of) {
  const auto signature = statement.bytes_at("sig");
  if (!signature) return wrong("fido-u2f", "it has no signature");
  BAVN_TRY(Chain chain, read_chain("fido-u2f", statement));
  if (chain.der.size() != 1) return wrong("fido-u2f", "it has more than one certificate");
  std::array<char, 80> group{};
  std::size_t size = 0;
  EVP_PKEY* key = X509_get0_pubkey(chain.first.get());
  if (EVP_PKEY_get_base_id(key) != EVP_PKEY_EC ||
      EVP_PKEY_get_group_name(key, group.data(), group.size(), &size) != 1 ||
      std::string_view(group.data(), size) != "prime256v1" || of.key.algorithm() != kEs256)
    return wrong("fido-u2f", "not a key of P-256");
  BAVN_TRY(const Cbor cose, read_cbor(of.parsed.public_key));
  const auto x = cose.bytes_at(-2), y = cose.bytes_at(-3);
  if (!x || !y) return wrong("fido-u2f", "the key has no point");
  std::string message("\0", 1);
  message.append(of.parsed.rp_id_hash).append(of.client_data_hash).append(of.parsed.credential_id);
  message.append("\x04").append(*x).append(*y);
  if (!verify_with(key, kEs256, message, *signature))
    return wrong("fido-u2f", "the signature is not the certificate's");
  return std::move(chain.der);
}

}  // namespace

Result<std::vector<std::string>> check_attestation(std::string_view format, const Cbor& statement, const Attested& of) {
  if (statement.kind != Cbor::Kind::map) return fail(Code::bad_input, "the attestation statement is not a map");
  if (format == "none") {
    if (!statement.items.empty()) return wrong("none", "it says something all the same");
    return std::vector<std::string>{};
  }
  if (format == "packed") return packed(statement, of);
  if (format == "tpm") return tpm(statement, of);
  if (format == "android-key") return android_key(statement, of);
  if (format == "apple") return apple(statement, of);
  if (format == "fido-u2f") return fido_u2f(statement, of);
  return fail(Code::bad_input, "the attestation has a format that is not known here");
}

}  // namespace bavn::show::auth::webauthn
