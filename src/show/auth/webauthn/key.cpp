#include "show/auth/webauthn/key.hpp"

#include <fmt/format.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>

namespace bavn::show::auth::webauthn {

namespace {

enum class Family : std::uint8_t { ec, rsa_pkcs1, rsa_pss, ed };

/// RFC 9053 section 2, RFC 8812 section 2, RFC 9864 (fully specified algorithms: one curve each).
struct Algorithm {
  std::int64_t id;
  std::string_view name;
  Family family;
  std::int64_t curve;  // COSE; 0: none, -1: Ed25519 or Ed448, as the key says
  const char* group;   // OpenSSL's name
  std::size_t size;    // of a coordinate
  const char* digest;
};
constexpr std::array kAlgorithms{
    Algorithm{-7, "ES256", Family::ec, 1, "P-256", 32, "SHA256"},
    Algorithm{-9, "ESP256", Family::ec, 1, "P-256", 32, "SHA256"},
    Algorithm{-35, "ES384", Family::ec, 2, "P-384", 48, "SHA384"},
    Algorithm{-51, "ESP384", Family::ec, 2, "P-384", 48, "SHA384"},
    Algorithm{-36, "ES512", Family::ec, 3, "P-521", 66, "SHA512"},
    Algorithm{-52, "ESP512", Family::ec, 3, "P-521", 66, "SHA512"},
    Algorithm{-8, "EdDSA", Family::ed, -1, nullptr, 0, nullptr},
    Algorithm{-19, "Ed25519", Family::ed, 6, nullptr, 32, nullptr},
    Algorithm{-53, "Ed448", Family::ed, 7, nullptr, 57, nullptr},
    Algorithm{-257, "RS256", Family::rsa_pkcs1, 0, nullptr, 0, "SHA256"},
    Algorithm{-258, "RS384", Family::rsa_pkcs1, 0, nullptr, 0, "SHA384"},
    Algorithm{-259, "RS512", Family::rsa_pkcs1, 0, nullptr, 0, "SHA512"},
    Algorithm{-37, "PS256", Family::rsa_pss, 0, nullptr, 0, "SHA256"},
    Algorithm{-38, "PS384", Family::rsa_pss, 0, nullptr, 0, "SHA384"},
    Algorithm{-39, "PS512", Family::rsa_pss, 0, nullptr, 0, "SHA512"},
};

const Algorithm* algorithm_of(std::int64_t id) {
  const auto at = std::find_if(kAlgorithms.begin(), kAlgorithms.end(), [&](const auto& a) { return a.id == id; });
  return at == kAlgorithms.end() ? nullptr : &*at;
}

template <auto F>
struct Free {
  template <class T>
  void operator()(T* p) const {
    F(p);
  }
};
using Context = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX_free>>;
using Digest = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX_free>>;
using Builder = std::unique_ptr<OSSL_PARAM_BLD, Free<OSSL_PARAM_BLD_free>>;
using Params = std::unique_ptr<OSSL_PARAM, Free<OSSL_PARAM_free>>;
using Number = std::unique_ptr<BIGNUM, Free<BN_free>>;

const unsigned char* bytes_of(std::string_view s) {
  return reinterpret_cast<const unsigned char*>(s.data());
}

std::unexpected<Error> wrong(std::string_view what) {
  ERR_clear_error();
  return fail(Code::bad_input, fmt::format("the passkey's public key: {}", what));
}

std::shared_ptr<EVP_PKEY> shared(EVP_PKEY* key) {
  return {key, EVP_PKEY_free};
}

std::shared_ptr<EVP_PKEY> key_from(const char* type, OSSL_PARAM* params) {
  EVP_PKEY* made = nullptr;
  const Context context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  if (!context || EVP_PKEY_fromdata_init(context.get()) <= 0 ||
      EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params) <= 0)
    return nullptr;
  return shared(made);
}

Result<std::shared_ptr<EVP_PKEY>> ec_key(const Algorithm& a, const Cbor& cose) {
  const auto x = cose.bytes_at(-2), y = cose.bytes_at(-3);
  if (cose.number(1) != 2 || cose.number(-1) != a.curve || !x || !y || x->size() != a.size || y->size() != a.size)
    return wrong(fmt::format("{} needs a point of curve {}", a.name, a.group));
  const std::string point = "\x04" + std::string(*x) + std::string(*y);
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, a.group, 0) == 0 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) == 0)
    return wrong("cannot be built");
  const Params params(OSSL_PARAM_BLD_to_param(builder.get()));
  auto key = params ? key_from("EC", params.get()) : nullptr;  // refuses a point that is not on the curve
  if (!key) return wrong("the point is not on its curve");
  return key;
}

Result<std::shared_ptr<EVP_PKEY>> rsa_key(const Cbor& cose) {
  const auto n = cose.bytes_at(-1), e = cose.bytes_at(-2);
  if (cose.number(1) != 3 || !n || !e || n->empty() || n->size() > 1024 || e->empty() || e->size() > 8)
    return wrong("RSA needs a modulus of 2048 to 8192 bits and an exponent");
  const Number modulus(BN_bin2bn(bytes_of(*n), static_cast<int>(n->size()), nullptr));
  const Number exponent(BN_bin2bn(bytes_of(*e), static_cast<int>(e->size()), nullptr));
  if (!modulus || !exponent || BN_num_bits(modulus.get()) < 2048 || BN_num_bits(modulus.get()) > 8192 ||
      BN_is_odd(modulus.get()) == 0 || BN_is_odd(exponent.get()) == 0 || BN_is_one(exponent.get()) == 1)
    return wrong("RSA needs a modulus of 2048 to 8192 bits and an odd exponent above 1");
  const Builder builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, modulus.get()) == 0 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, exponent.get()) == 0)
    return wrong("cannot be built");
  const Params params(OSSL_PARAM_BLD_to_param(builder.get()));
  auto key = params ? key_from("RSA", params.get()) : nullptr;
  if (!key) return wrong("not an RSA key");
  return key;
}

Result<std::shared_ptr<EVP_PKEY>> ed_key(const Algorithm& a, const Cbor& cose) {
  const auto curve = cose.number(-1);
  const auto x = cose.bytes_at(-2);
  const bool ed448 = curve == 7;
  if (cose.number(1) != 1 || !curve || (*curve != 6 && *curve != 7) || (a.curve > 0 && *curve != a.curve) || !x ||
      x->size() != (ed448 ? 57U : 32U))
    return wrong(fmt::format("{} needs a key of Ed25519 or Ed448", a.name));
  auto key =
      shared(EVP_PKEY_new_raw_public_key(ed448 ? EVP_PKEY_ED448 : EVP_PKEY_ED25519, nullptr, bytes_of(*x), x->size()));
  if (!key) return wrong("not a key of its curve");
  return key;
}

}  // namespace

Result<PublicKey> PublicKey::from_cose(std::string_view cose) {
  BAVN_TRY(const Cbor read, read_cbor(cose));
  return from_cose(read);
}

Result<PublicKey> PublicKey::from_cose(const Cbor& cose) {
  const auto id = cose.number(3);
  const Algorithm* a = id ? algorithm_of(*id) : nullptr;
  if (a == nullptr) return wrong(id ? fmt::format("algorithm {} is not accepted", *id) : "it names no algorithm");
  auto key = a->family == Family::ec ? ec_key(*a, cose) : a->family == Family::ed ? ed_key(*a, cose) : rsa_key(cose);
  if (!key) return std::unexpected(key.error());
  return PublicKey(a->id, std::move(*key));
}

bool verify_with(evp_pkey_st* key, std::int64_t id, std::string_view message, std::string_view signature) {
  const Algorithm* a = algorithm_of(id);
  if (a == nullptr || key == nullptr) return false;
  const int type = EVP_PKEY_get_base_id(key);
  const bool fits = a->family == Family::ec   ? type == EVP_PKEY_EC
                    : a->family == Family::ed ? type == EVP_PKEY_ED25519 || type == EVP_PKEY_ED448
                                              : type == EVP_PKEY_RSA;
  if (!fits) return false;
  const Digest context(EVP_MD_CTX_new());
  EVP_PKEY_CTX* padding = nullptr;
  bool good =
      context && EVP_DigestVerifyInit_ex(context.get(), &padding, a->digest, nullptr, nullptr, key, nullptr) == 1;
  if (good && a->family == Family::rsa_pss)
    good = EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_DIGEST) > 0;
  good = good &&
         EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(message), message.size()) == 1;
  ERR_clear_error();
  return good;
}

bool PublicKey::verify(std::string_view message, std::string_view signature) const {
  return verify_with(key_.get(), algorithm_, message, signature);
}

bool PublicKey::same_as(const evp_pkey_st* other) const {
  return other != nullptr && EVP_PKEY_eq(key_.get(), other) == 1;
}

std::vector<std::int64_t> offered_algorithms() {
  return {-8, -7, -257};
}

std::string_view algorithm_name(std::int64_t id) {
  const Algorithm* a = algorithm_of(id);
  return a == nullptr ? std::string_view("?") : a->name;
}

}  // namespace bavn::show::auth::webauthn
