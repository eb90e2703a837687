#include "exchange/peers/pull.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"
#include "net/sim.hpp"

namespace bavn::exchange {
namespace {

struct PullTest : testing::Test {
  Sim sim{1};
  std::unique_ptr<net::Client> client = net::sim_client(sim, {});
  Library library;
  Pull pull{.peer = {.url = "https://misp.example:8443/base?x=1"},
            .runtime = sim,
            .client = *client,
            .queue = sim.queue({.name = "pulls"}),
            .library = library,
            .authorization = "the key",
            .max_reply = 1000};
  std::string url(std::string_view target) {
    const auto r = pull.request(net::Method::get, target);
    if (!r) return to_string(r.error().code == Code::forbidden ? Error{Code::forbidden, "forbidden", ""} : r.error());
    const std::string* key = r->headers.find("Authorization");
    EXPECT_TRUE(key != nullptr && *key == "the key");
    EXPECT_EQ(r->max_reply, 1000U);
    return r->url;
  }
};

TEST_F(PullTest, ARequestIsBelowThePartnersUrlAndSignedIn) {
  EXPECT_EQ(url("events/index"), "https://misp.example:8443/base/events/index");
  EXPECT_EQ(url("/servers/getVersion"), "https://misp.example:8443/servers/getVersion");
  EXPECT_EQ(url("https://MISP.example:8443/next?page=2"), "https://MISP.example:8443/next?page=2");
}

TEST_F(PullTest, APartnerDoesNotSendUsAndItsKeyToAnotherHost) {
  for (const char* elsewhere : {"https://evil.example:8443/", "http://misp.example:8443/", "https://misp.example/",
                                "//evil.example/x", "http://169.254.169.254/latest"})
    EXPECT_EQ(url(elsewhere), "forbidden") << elsewhere;
  EXPECT_FALSE(pull.request(net::Method::get, "file:///etc/passwd"));
  EXPECT_FALSE(pull.request(net::Method::get, "https://user@misp.example:8443/"));
}

TEST(PullErrors, SayWhatThePartnerSaidAndWhetherItIsWorthTryingAgain) {
  EXPECT_EQ(error_of({.status = 503, .headers = {}, .body = "busy\nnow"}, "x").code, Code::unavailable);
  EXPECT_EQ(error_of({.status = 429, .headers = {}, .body = ""}, "x").code, Code::unavailable);
  EXPECT_EQ(error_of({.status = 401, .headers = {}, .body = ""}, "x").code, Code::forbidden);
  const Error e =
      error_of({.status = 406, .headers = {}, .body = std::string("a\n\xff") + std::string(5000, 'b')}, "objects");
  EXPECT_EQ(e.code, Code::bad_input);
  EXPECT_TRUE(e.what.starts_with("the partner answered 406 to objects: a ")) << e.what;
  EXPECT_LT(e.what.size(), 400U);
}

}  // namespace
}  // namespace bavn::exchange
