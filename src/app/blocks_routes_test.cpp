#include <fmt/format.h>
#include <gtest/gtest.h>

#include "app/blocks_node.hpp"
#include "base/encoding.hpp"
#include "base/sim.hpp"
#include "net/json_value.hpp"

namespace bavn::app {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const warn::NeverBlock> never() {
  auto n = warn::NeverBlock::open({"gentofte.dk"});
  EXPECT_TRUE(n);
  return std::make_shared<warn::NeverBlock>(std::move(*n));
}

net::Reply ask(const net::Router& router, net::Method method, std::string target, std::string body = {},
               const std::vector<std::pair<std::string, std::string>>& headers = {}) {
  auto request = net::request_for(method, target);
  EXPECT_TRUE(request) << target;
  request->body = std::move(body);
  for (const auto& [name, value] : headers) request->headers.set(name, value);
  net::Reply got;
  router.handle(std::move(*request), [&](net::Reply r) { got = std::move(r); });
  return got;
}

class NodeRoutes : public ::testing::Test {
 protected:
  NodeRoutes() {
    state_ = *store::State::open(sim_, {.path = ":memory:", .schema = {"core", "node"}});
    blocks_ = *warn::blocks::NodeBlocks::open(
        sim_, *state_, MunicipalityId{157}, [](auto&&...) -> Result<void> { return {}; }, [](auto&&...) {}, nullptr);
    blocks_->use_never_block(never());
    router_.authenticate([this](const net::Request&) -> Result<event::Scope> {
      if (!owner_) return fail(Code::not_found, "nobody");
      return event::Scope::local_owner();
    });
    add_block_routes_node(router_, *blocks_);
    add_list_routes(router_, *blocks_);
    EXPECT_EQ(ask(router_, net::Method::post, "/api/blocks/overrides?as=Ida%20Lund",
                  R"({"what":"deny","kind":"domain","value":"evil.example","reason":"seen here","hours":10})")
                  .status,
              204);
  }
  std::string token(const std::string& list) {
    const auto made = ask(router_, net::Method::post, "/api/blocks/tokens?as=Ida%20Lund&device=ns1&list=" + list);
    EXPECT_EQ(made.status, 201) << made.body;
    return std::string(net::JsonDocument::parse(made.body)->root()["token"].text_or(""));
  }
  Sim sim_{3};
  bool owner_ = true;
  std::unique_ptr<store::State> state_;
  std::unique_ptr<warn::blocks::NodeBlocks> blocks_;
  net::Router router_;
};

TEST_F(NodeRoutes, AListIsReadWithItsTokenInAnyOfThreeWays) {
  const std::string t = token("plain.domains"), other = token("rpz.zone");
  owner_ = false;  // a device is nobody's person
  EXPECT_EQ(ask(router_, net::Method::get, "/lists/plain.domains").status, 401);
  EXPECT_EQ(ask(router_, net::Method::get, "/lists/plain.domains?token=" + other).status, 401);
  EXPECT_EQ(ask(router_, net::Method::get, "/lists/nothing?token=" + t).status, 401);
  EXPECT_EQ(ask(router_, net::Method::get, "/api/blocks").status, 401);
  const auto got = ask(router_, net::Method::get, "/lists/plain.domains", "", {{"Authorization", "Bearer " + t}});
  EXPECT_EQ(got.status, 200);
  EXPECT_TRUE(got.body.ends_with("\nevil.example\n"));
  EXPECT_TRUE(got.body.contains("expires: the next 2024-10-01T18:00:00Z"));
  EXPECT_EQ(ask(router_, net::Method::get, "/lists/plain.domains", "",
                {{"Authorization", "Basic " + to_base64("anybody:" + t)}})
                .body,
            got.body);
  EXPECT_EQ(ask(router_, net::Method::get, "/lists/plain.domains?token=" + t).body, got.body);
}

TEST_F(NodeRoutes, AListThatDidNotChangeCostsNoBody) {
  const std::string path = "/lists/rpz.zone?token=" + token("rpz.zone");
  const auto first = ask(router_, net::Method::get, path);
  ASSERT_EQ(first.status, 200);
  const std::string etag = *first.headers.find("ETag"), modified = *first.headers.find("Last-Modified");
  EXPECT_EQ(modified, "Tue, 01 Oct 2024 08:00:00 GMT");
  const auto status = [&](const char* name, const std::string& value) {
    const auto r = ask(router_, net::Method::get, path, "", {{name, value}});
    EXPECT_EQ(r.body.empty(), r.status == 304);
    return r.status;
  };
  EXPECT_EQ(status("If-None-Match", etag), 304);
  EXPECT_EQ(status("If-None-Match", "\"x\", W/" + etag), 304);
  EXPECT_EQ(status("If-None-Match", "\"x\""), 200);
  EXPECT_EQ(status("If-Modified-Since", modified), 304);
  EXPECT_EQ(status("If-Modified-Since", "Tue, 01 Oct 2024 07:59:59 GMT"), 200);
  EXPECT_EQ(status("If-Modified-Since", "yesterday"), 200);
  sim_.advance(10h);
  EXPECT_EQ(status("If-None-Match", etag), 200);  // it is over
  EXPECT_EQ(status("If-Modified-Since", modified), 200);
}

TEST_F(NodeRoutes, WhatPeopleAskIsAnswered) {
  EXPECT_TRUE(ask(router_, net::Method::get, "/api/blocks/lists").body.contains("windows_dns.ps1"));
  EXPECT_TRUE(ask(router_, net::Method::get, "/api/blocks/lists/rpz.zone").body.contains("evil.example CNAME ."));
  const auto missing = ask(router_, net::Method::get, "/api/blocks/lists/rpz.zon");
  EXPECT_EQ(missing.status, 404);
  EXPECT_TRUE(missing.body.contains("rpz.zone"));
  EXPECT_EQ(ask(router_, net::Method::post, "/api/blocks/kill?why=trouble").status, 400);  // nobody's name
  EXPECT_EQ(ask(router_, net::Method::post, "/api/blocks/kill?as=Ida%20Lund&why=trouble").status, 204);
  EXPECT_TRUE(ask(router_, net::Method::get, "/api/blocks").body.contains("trouble (Ida Lund)"));
  EXPECT_FALSE(ask(router_, net::Method::get, "/api/blocks/lists/rpz.zone").body.contains("evil.example"));
  EXPECT_EQ(ask(router_, net::Method::post, "/api/blocks/revive?as=Ida%20Lund&why=mended").status, 204);
  EXPECT_EQ(ask(router_, net::Method::post, "/api/blocks/overrides?as=Ida%20Lund",
                R"({"what":"deny","kind":"domain","value":"borger.dk","reason":"seen here","hours":10})")
                .status,
            403);
  EXPECT_EQ(ask(router_, net::Method::post, "/api/blocks/tokens/x/revoke?as=Ida%20Lund").status, 400);
}

}  // namespace
}  // namespace bavn::app
