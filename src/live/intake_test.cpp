#include "live/intake.hpp"

#include "live/testing.hpp"
#include "net/json_value.hpp"

namespace bavn::live::testing {
namespace {

using namespace std::chrono_literals;

class IntakeTest : public ::testing::Test {
 protected:
  void SetUp() override {
    node.options.queue_bytes = 50'000;
    node.open();
    auto opened = IntakeTokens::open(*node.state);
    ASSERT_TRUE(opened) << to_string(opened.error());
    tokens = std::move(*opened);
    auto made = tokens->issue(owner(), "firewall", MunicipalityId{101}, TenantId{1}, "");
    ASSERT_TRUE(made) << to_string(made.error());
    token = *made;
    router.authenticate([&](const net::Request& q) { return tokens->authenticate(q); });
    add_intake_routes(router, *tokens, *node.pipeline);
  }
  net::Request request(std::string body, const std::string& source = "firewall") {
    net::Request q;
    q.method = net::Method::post;
    q.path = "/intake/v1/" + source;
    q.headers.set("Authorization", "Bearer " + token);
    q.body = std::move(body);
    return q;
  }
  net::Reply ask(net::Request q) {
    std::optional<net::Reply> got;
    router.handle(std::move(q), [&](net::Reply r) { got = std::move(r); });
    node.sim.run_until([&] { return got.has_value(); });
    EXPECT_TRUE(got.has_value());
    return got ? *got : net::Reply{};
  }
  SimNode node;
  std::unique_ptr<IntakeTokens> tokens;
  std::string token;
  net::Router router;
};

TEST_F(IntakeTest, AnswersWithAReceiptWhenItIsOnDisk) {
  const auto reply = ask(request(record(node.now(), "Send", "kari", 1) + "\n{broken\n"));
  EXPECT_EQ(reply.status, 200) << reply.body;
  const auto document = net::JsonDocument::parse(reply.body);
  ASSERT_TRUE(document) << reply.body;
  EXPECT_EQ(document->root()["accepted"].integer(), 1);
  EXPECT_EQ(document->root()["refused"].integer(), 1);
  EXPECT_TRUE(document->root()["reasons"].at(0)["first"].text_or("").starts_with("line 2: "));
  // The power goes now: what was answered is there.
  node.sim.files().cut_power();
  node.open();
  EXPECT_EQ(node.pipeline->history().stats().records, 1U);
}

TEST_F(IntakeTest, TheSameBatchIdIsStoredOnce) {
  for (int n = 0; n < 2; ++n) {
    auto q = request(record(node.now(), "Send", "kari", 1));
    q.headers.set("X-Batch-Id", "b-1");
    const auto reply = ask(std::move(q));
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body.find("\"duplicate\":true") != std::string::npos, n == 1) << reply.body;
  }
  EXPECT_EQ(node.pipeline->history().stats().records, 1U);
}

TEST_F(IntakeTest, WrongRevokedAndForeignTokensAreRefused) {
  auto q = request("x");
  q.headers.set("Authorization", "Bearer bavn_in_made-up");
  EXPECT_EQ(ask(std::move(q)).status, 401);
  EXPECT_EQ(ask(request("x", "other")).status, 403);
  auto none = request("x");
  none.headers = {};
  EXPECT_EQ(ask(std::move(none)).status, 401);
  const auto all = tokens->list(owner());
  ASSERT_TRUE(all);
  EXPECT_TRUE(all->at(0).hash.empty()) << "a hash has no business outside";
  ASSERT_TRUE(tokens->revoke(owner(), all->at(0).id));
  EXPECT_EQ(ask(request("x")).status, 401);
  EXPECT_EQ(node.pipeline->history().stats().records, 0U);
  const auto kept = node.state->read([&](store::Reader& db) {
    return db.number("SELECT count(*) FROM intake_token WHERE hash LIKE '%' || :t || '%'", {{"t", token}});
  });
  EXPECT_EQ(*kept, 0) << "the token itself is nowhere";
}

TEST_F(IntakeTest, NothingReadableIs422AndNothingAtAllIs400) {
  EXPECT_EQ(ask(request("{broken\n{worse\n")).status, 422);
  EXPECT_EQ(ask(request("")).status, 400);
  auto q = request(record(node.now(), "Send", "kari", 1));
  q.query["format"] = "no_such_format";
  EXPECT_EQ(ask(std::move(q)).status, 400);
}

TEST_F(IntakeTest, FullIs503WithRetryAfterAndTheBodyNeedNotBeRead) {
  std::string body;
  while (body.size() < 30'000) body += record(node.now(), "Send", "kari", body.size()) + "\n";
  const auto lines = static_cast<std::uint64_t>(std::count(body.begin(), body.end(), '\n'));
  std::map<int, int> statuses;
  for (int n = 0; n < 5; ++n)
    router.handle(request(body), [&](net::Reply r) {
      ++statuses[r.status];
      EXPECT_EQ(r.status == 503, r.headers.find("Retry-After") != nullptr);
    });
  std::map<std::string, std::string, std::less<>> params;
  const auto route = router.match(net::Method::post, "/intake/v1/firewall", params);
  ASSERT_TRUE(route);
  node.sim.advance(1ms);
  node.settle();
  EXPECT_TRUE((*route)->options.has_room(body.size()));
  EXPECT_EQ(statuses[200] + statuses[503], 5);
  EXPECT_GT(statuses[503], 0);
  EXPECT_EQ(node.pipeline->history().stats().records, lines * static_cast<std::uint64_t>(statuses[200]));
}

}  // namespace
}  // namespace bavn::live::testing
