#include "show/auth/oidc.hpp"

#include <gtest/gtest.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include "base/encoding.hpp"
#include "base/sim.hpp"
#include "show/auth/identity.hpp"
#include "show/auth/testing.hpp"

namespace bavn::show::auth {
namespace {

using namespace std::chrono_literals;

/// A provider's key, and tokens by it.
struct Signer {
  Signer(std::string id, std::string a)
      : kid(std::move(id)),
        alg(std::move(a)),
        key(alg == "ES256" ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048), EVP_PKEY_free) {}
  std::string kid, alg;
  std::shared_ptr<EVP_PKEY> key;

  std::string number(const char* name) const {
    BIGNUM* n = nullptr;
    EXPECT_EQ(EVP_PKEY_get_bn_param(key.get(), name, &n), 1);
    std::string out(static_cast<std::size_t>(alg == "ES256" ? 32 : BN_num_bytes(n)), '\0');
    BN_bn2binpad(n, reinterpret_cast<unsigned char*>(out.data()), static_cast<int>(out.size()));
    BN_free(n);
    return to_base64url(out);
  }
  std::string jwk() const {
    if (alg == "ES256")
      return R"({"kty":"EC","crv":"P-256","kid":")" + kid + R"(","use":"sig","x":")" +
             number(OSSL_PKEY_PARAM_EC_PUB_X) + R"(","y":")" + number(OSSL_PKEY_PARAM_EC_PUB_Y) + "\"}";
    return R"({"kty":"RSA","kid":")" + kid + R"(","use":"sig","n":")" + number(OSSL_PKEY_PARAM_RSA_N) + R"(","e":")" +
           number(OSSL_PKEY_PARAM_RSA_E) + "\"}";
  }
  std::string token(const std::string& claims, std::string header = "") const {
    if (header.empty()) header = R"({"alg":")" + alg + R"(","kid":")" + kid + "\"}";
    const std::string message = to_base64url(header) + "." + to_base64url(claims);
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* padding = nullptr;
    EXPECT_EQ(EVP_DigestSignInit_ex(context, &padding, "SHA256", nullptr, nullptr, key.get(), nullptr), 1);
    if (alg == "PS256") {
      EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING);
      EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_DIGEST);
    }
    std::string signature(600, '\0');
    std::size_t size = signature.size();
    EXPECT_EQ(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                             reinterpret_cast<const unsigned char*>(message.data()), message.size()),
              1);
    EVP_MD_CTX_free(context);
    signature.resize(size);
    if (alg == "ES256") {
      const auto* at = reinterpret_cast<const unsigned char*>(signature.data());
      ECDSA_SIG* sig = d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(signature.size()));
      std::string raw(64, '\0');
      BN_bn2binpad(ECDSA_SIG_get0_r(sig), reinterpret_cast<unsigned char*>(raw.data()), 32);
      BN_bn2binpad(ECDSA_SIG_get0_s(sig), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32);
      ECDSA_SIG_free(sig);
      signature = raw;
    }
    return message + "." + to_base64url(signature);
  }
};

constexpr std::string_view kIssuer = "https://login.example.org/ager";

std::string claims(Instant now, std::string_view nonce, std::string_view change = "", std::string_view to = "") {
  const auto s = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  std::string out =
      R"({"iss":"https://login.example.org/ager","aud":"bavn","sub":"anna-17","email":"boss@ager.example","nonce":")" +
      std::string(nonce) + R"(","iat":)" + std::to_string(s) + R"(,"exp":)" + std::to_string(s + 300) + "}";
  if (!change.empty()) {
    const auto at = out.find(change);
    EXPECT_NE(at, std::string::npos) << change;
    out.replace(at, change.size(), to);
  }
  return out;
}

const Instant kNow = from_micros(1'727'769'600'000'000);

TEST(Oidc, ATokenOfEachAcceptedAlgorithmNamesItsSubject) {
  for (const char* alg : {"RS256", "PS256", "ES256"}) {
    const Signer signer("k1", alg);
    const auto keys = read_jwks("{\"keys\":[" + signer.jwk() + "]}");
    ASSERT_TRUE(keys) << keys.error().what;
    const auto says =
        check_id_token(signer.token(claims(kNow, "n1")), *keys, {std::string(kIssuer), "bavn", "n1", kNow, {}});
    ASSERT_TRUE(says) << alg << ": " << says.error().what;
    EXPECT_EQ(says->subject, "anna-17");
  }
}

TEST(Oidc, OneThingThatIsOffIsRefused) {
  const Signer signer("k1", "ES256"), other("k1", "ES256");
  const auto keys = read_jwks("{\"keys\":[" + signer.jwk() + "]}").value();
  const TokenExpected expected{std::string(kIssuer), "bavn", "n1", kNow, {}};
  const auto refused = [&](const std::string& token) { return !check_id_token(token, keys, expected).has_value(); };
  const auto changed = [&](std::string_view what, std::string_view to) {
    return refused(signer.token(claims(kNow, "n1", what, to)));
  };
  EXPECT_TRUE(changed("example.org/ager", "example.org/ager/"));
  EXPECT_TRUE(changed("example.org/ager", "example.com/ager"));
  EXPECT_TRUE(changed("\"aud\":\"bavn\"", "\"aud\":\"bavn2\""));
  EXPECT_TRUE(changed("\"aud\":\"bavn\"", "\"aud\":[\"x\",\"y\"]"));
  EXPECT_TRUE(changed("\"aud\":\"bavn\"", "\"aud\":[\"bavn\",\"y\"]"));  // two, and no azp
  EXPECT_TRUE(changed("\"aud\":\"bavn\"", "\"aud\":[\"bavn\",\"y\"],\"azp\":\"y\""));
  EXPECT_FALSE(changed("\"aud\":\"bavn\"", "\"aud\":[\"bavn\",\"y\"],\"azp\":\"bavn\""));
  EXPECT_TRUE(changed("\"aud\":\"bavn\"", "\"aud\":\"bavn\",\"azp\":\"y\""));
  EXPECT_TRUE(changed("\"nonce\":\"n1\"", "\"nonce\":\"n2\""));
  EXPECT_TRUE(changed("\"nonce\":\"n1\",", ""));
  EXPECT_TRUE(changed("\"sub\":\"anna-17\"", "\"sub\":\"\""));
  EXPECT_TRUE(changed("\"sub\":\"anna-17\"", "\"sub\":17"));
  EXPECT_TRUE(refused(signer.token(claims(kNow - 361s, "n1"))));   // over since 61 s
  EXPECT_FALSE(refused(signer.token(claims(kNow - 359s, "n1"))));  // clocks may differ by a minute
  EXPECT_TRUE(refused(signer.token(claims(kNow + 61s, "n1"))));
  EXPECT_FALSE(refused(signer.token(claims(kNow + 59s, "n1"))));
  EXPECT_TRUE(refused(other.token(claims(kNow, "n1"))));
  const std::string good = signer.token(claims(kNow, "n1"));
  EXPECT_TRUE(refused(good.substr(0, good.rfind('.') + 1)));
  EXPECT_TRUE(refused(good + "."));
  EXPECT_TRUE(refused(signer.token(claims(kNow, "n1"), R"({"alg":"none"})")));
  EXPECT_TRUE(refused(signer.token(claims(kNow, "n1"), R"({"alg":"HS256","kid":"k1"})")));
  EXPECT_TRUE(refused(signer.token(claims(kNow, "n1"), R"({"alg":"RS256","kid":"k1"})")));
  EXPECT_TRUE(refused(signer.token(claims(kNow, "n1"), R"({"alg":"ES256","kid":"k1","crit":["b64"],"b64":false})")));
  EXPECT_EQ(
      check_id_token(signer.token(claims(kNow, "n1"), R"({"alg":"ES256","kid":"k2"})"), keys, expected).error().code,
      Code::not_found);
}

TEST(Oidc, AProofIsOneThatWasAskedForAnew) {
  const Signer signer("k1", "ES256");
  const auto keys = read_jwks("{\"keys\":[" + signer.jwk() + "]}").value();
  const TokenExpected expected{std::string(kIssuer), "bavn", "n1", kNow, 5min};
  const auto s = std::chrono::duration_cast<std::chrono::seconds>(kNow.time_since_epoch()).count();
  const auto with = [&](std::int64_t when) {
    return check_id_token(
        signer.token(claims(kNow, "n1", "{\"iss\"", "{\"auth_time\":" + std::to_string(when) + ",\"iss\"")), keys,
        expected);
  };
  EXPECT_TRUE(with(s - 10));
  EXPECT_FALSE(with(s - 3600));
  EXPECT_FALSE(check_id_token(signer.token(claims(kNow, "n1")), keys, expected));
}

TEST(Oidc, AProviderIsWhoItIsConfiguredAs) {
  const std::string good =
      R"({"issuer":"https://login.example.org/ager","authorization_endpoint":"https://login.example.org/a","token_endpoint":"https://login.example.org/t","jwks_uri":"https://login.example.org/k"})";
  EXPECT_TRUE(read_discovery(good, kIssuer));
  EXPECT_FALSE(read_discovery(good, "https://login.example.org/"));
  std::string plain = good;
  plain.replace(plain.find("https://login.example.org/t"), 27, "http://169.254.169.254/late");
  EXPECT_FALSE(read_discovery(plain, kIssuer));
  EXPECT_FALSE(read_discovery("{}", kIssuer));
  EXPECT_FALSE(read_discovery("<html>", kIssuer));
  EXPECT_FALSE(read_jwks(R"({"keys":[{"kty":"oct","k":"AA"}]})"));
}

TEST(Oidc, PkceIsTheExampleOfTheRfc) {  // RFC 7636 appendix B
  EXPECT_EQ(pkce_challenge("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
}

/// The provider at the other end of the Client.
struct FakeProvider : net::Client {
  explicit FakeProvider(Sim& s) : sim(s) {}
  Sim& sim;
  Signer signer{"k1", "ES256"};
  std::string nonce, subject = "anna-17", last_body, last_authorization;
  int keys_asked = 0;
  bool old_keys = false;
  Signer stale{"k0", "ES256"};

  void send(net::ClientRequest q, QueueId, std::move_only_function<void(Result<net::ClientReply>)> then) override {
    const std::string issuer(kIssuer);
    if (q.url == issuer + "/.well-known/openid-configuration")
      return then(net::ClientReply{
          200,
          {},
          R"({"issuer":"https://login.example.org/ager","authorization_endpoint":"https://login.example.org/ager/auth","token_endpoint":"https://login.example.org/ager/token","jwks_uri":"https://login.example.org/ager/jwks"})"});
    if (q.url == issuer + "/jwks") {
      ++keys_asked;
      return then(
          net::ClientReply{200, {}, "{\"keys\":[" + (old_keys && keys_asked == 1 ? stale.jwk() : signer.jwk()) + "]}"});
    }
    if (q.url == issuer + "/token") {
      last_body = q.body;
      last_authorization = q.headers.find("Authorization") == nullptr ? "" : *q.headers.find("Authorization");
      return then(net::ClientReply{
          200, {}, "{\"id_token\":\"" + signer.token(claims(sim.now(), nonce, "anna-17", subject)) + "\"}"});
    }
    then(fail(Code::unavailable, "nothing there: " + q.url));
  }
  std::shared_ptr<net::OpenStream> stream(net::ClientRequest, QueueId, net::StreamEvents) override { return nullptr; }
};

struct World {
  World() {
    identity =
        Identity::open(sim, *state, people, provider, texts, {.name = "Ager", .origin = "https://desk.example.org"})
            .value();
    identity->add_routes(router);
    router.authenticate([this](const net::Request& q) { return identity->authenticate(q); });
    router.get("/api/look", event::Right::tenants_read, [](const net::Request&) { return net::json("{}"); });
    state->start();
    anna = people.add(owner, {{}, "Anna Example", "", "da"}).value();
    EXPECT_TRUE(people.give_role(owner, anna, tenants::Role::analyst));
    EXPECT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(
          tx.exec("INSERT INTO identity_provider (municipality, label, issuer, client, client_secret, made_at_us) "
                  "VALUES (0, 'Ager', :i, 'bavn', 'se:cret', 0)",
                  {{"i", kIssuer}}));
      return {};
    }));
  }
  /// To the provider and back, as a browser goes. Where it ends.
  std::string travel(testing::Browser& b, const std::string& query = "") {
    const auto away = b.get("/sign-in/provider/1" + query);
    const std::string to = *away.headers.find("Location");
    const auto at = net::request_for(net::Method::get, to.substr(to.find("/ager"))).value();
    EXPECT_EQ(at.asked("code_challenge_method"), "S256");
    EXPECT_EQ(at.asked("redirect_uri"), "https://desk.example.org/sign-in/provider/back");
    provider.nonce = std::string(at.asked("nonce").value_or(""));
    state_text = std::string(at.asked("state").value_or(""));
    challenge = std::string(at.asked("code_challenge").value_or(""));
    return back(b);
  }
  std::string back(testing::Browser& b) {
    b.headers["Sec-Fetch-Site"] = "cross-site";
    const auto reply = b.get("/sign-in/provider/back?code=abc&state=" + state_text);
    b.headers["Sec-Fetch-Site"] = "same-origin";
    return *reply.headers.find("Location");
  }
  Sim sim{3};
  std::unique_ptr<store::State> state = store::State::open(sim, {.path = ":memory:", .schema = {"core"}}).value();
  tenants::People people{sim, *state};
  FakeProvider provider{sim};
  Catalogue texts = Catalogue::embedded();
  event::Scope owner = event::Scope::local_owner();
  std::unique_ptr<Identity> identity;
  net::Router router;
  PersonId anna;
  std::string state_text, challenge;
};

TEST(OidcFlow, AnAccountIsBoundByItsInvitationAndThenSignsIn) {
  World w;
  testing::Browser b(w.router);
  EXPECT_EQ(w.travel(b), "https://desk.example.org/sign-in?trouble=unknown");  // whatever its mail address says
  const std::string link = w.identity->link_for(w.anna).value();
  b.post("/sign-in/link", "c=" + link.substr(link.find("?c=") + 3));
  EXPECT_EQ(b.get("/api/look").status, 403);
  EXPECT_EQ(w.travel(b, "?for=bind"), "https://desk.example.org/");
  EXPECT_EQ(b.get("/api/look").status, 200);
  testing::Browser again(w.router);
  EXPECT_EQ(w.travel(again), "https://desk.example.org/");
  EXPECT_EQ(again.get("/api/look").status, 200);
  const auto verifier =
      net::request_for(net::Method::get, "/?" + w.provider.last_body)->asked("code_verifier").value_or("");
  EXPECT_EQ(w.provider.last_authorization, "Basic " + to_base64("bavn:se%3Acret"));
  EXPECT_FALSE(verifier.empty());
  w.provider.subject = "mallory";
  testing::Browser mallory(w.router);
  EXPECT_EQ(w.travel(mallory), "https://desk.example.org/sign-in?trouble=unknown");
}

TEST(OidcFlow, AnotherBrowserASecondTimeOrTooLateIsRefused) {
  World w;
  testing::Browser b(w.router), other(w.router);
  const std::string link = w.identity->link_for(w.anna).value();
  b.post("/sign-in/link", "c=" + link.substr(link.find("?c=") + 3));
  EXPECT_EQ(w.travel(b, "?for=bind"), "https://desk.example.org/");
  const std::string over = "https://desk.example.org/sign-in?trouble=over";
  EXPECT_EQ(w.back(b), over);  // replayed
  testing::Browser fresh(w.router);
  const auto away = fresh.get("/sign-in/provider/1");
  const std::string to = *away.headers.find("Location");
  w.state_text =
      std::string(net::request_for(net::Method::get, to.substr(to.find("/ager")))->asked("state").value_or(""));
  EXPECT_EQ(w.back(other), over);  // somebody else's browser: a code that was slipped in
  EXPECT_EQ(w.back(fresh), over);  // and it was used up by that
}

TEST(OidcFlow, NewKeysOfTheProviderAreAskedForOnce) {
  World w;
  w.provider.old_keys = true;
  testing::Browser b(w.router);
  const std::string link = w.identity->link_for(w.anna).value();
  b.post("/sign-in/link", "c=" + link.substr(link.find("?c=") + 3));
  EXPECT_EQ(w.travel(b, "?for=bind"),
            "https://desk.example.org/sign-in?trouble=provider");  // asked for this very minute
  w.sim.advance(61s);
  EXPECT_EQ(w.travel(b, "?for=bind"), "https://desk.example.org/");
  EXPECT_EQ(w.provider.keys_asked, 2);
}

}  // namespace
}  // namespace bavn::show::auth
