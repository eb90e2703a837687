#include "exchange/upload/upload.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "base/sim.hpp"
#include "net/json_value.hpp"
#include "net/sim.hpp"

namespace bavn::exchange {
namespace {

namespace mi = match::indicators;
using namespace std::chrono_literals;

/// Stand-ins for the sign-in and both consoles, with their limits: what goes above them is a fault.
class UploadTest : public ::testing::Test {
 protected:
  void SetUp() override {
    router.post("/{tenant}/oauth2/v2.0/token", net::Needs::anyone, [this](const net::Request& q) {
      token_body = q.body;
      if (q.body.find("client_secret=s3%26cret") == std::string::npos)
        return net::json(R"({"error":"invalid_client"})", 400);
      return net::json(R"({"access_token":"the token","expires_in":3599})");
    });
    router.post("/api/indicators/import", net::Needs::anyone,
                [this](const net::Request& q) { return take(q, "Indicators", 500); }, {.max_body = 8U << 20U});
    router.post("/workspaces/{workspace}/threat-intelligence-stix-objects:upload", net::Needs::anyone,
                [this](const net::Request& q) {
                  EXPECT_EQ(q.asked("api-version").value_or(""), "2024-02-01-preview");
                  return take(q, "stixobjects", 100);
                },
                {.max_body = 8U << 20U});
    for (const char* host : {"login.example:443", "console.example:443"})
      servers.push_back(net::SimServer::start(sim, router, host, queue).value());
    library.read = [this](const LibraryAsk& ask) -> Result<std::vector<Known>> {
      std::vector<Known> page;
      for (const Known& k : book)
        if (k.indicator.tlp <= ask.ceiling && std::pair(k.changed, k.id) > std::pair(ask.after, ask.after_id) &&
            page.size() < ask.limit)
          page.push_back(k);
      return page;
    };
    library.dropped = [this](std::int64_t, std::span<const Dropped> all) -> Result<void> {
      dropped.insert(dropped.end(), all.begin(), all.end());
      return {};
    };
    peer.id = 1;
    peer.name = "console";
    peer.direction = "out";
    peer.url = "https://console.example/";
    peer.sign_in = "oauth";
    peer.user = "app id";
    peer.options = R"({"tenant":"the-tenant","workspace":"the-workspace","sign_in_url":"https://login.example"})";
    peer.ceiling = event::Tlp::amber;
  }
  net::Reply take(const net::Request& q, const char* list, std::size_t most) {
    const auto* auth = q.headers.find("Authorization");
    EXPECT_TRUE(auth != nullptr && *auth == "Bearer the token");
    if (status != 200) return net::json("{}", status);
    const auto document = net::JsonDocument::parse(q.body);
    EXPECT_TRUE(document) << q.body.substr(0, 200);
    if (!document) return net::json("{}", 400);
    EXPECT_LE(document->root()[list].size(), most);
    ++calls;
    for (const net::JsonValue v : document->root()[list]) taken.push_back(v.to_text());
    return net::json(answer);
  }
  void fill(int n) {
    for (int i = 0; i < n; ++i) {
      Known k;
      k.id = i + 1;
      k.indicator.kind = event::Kind::domain;
      k.indicator.value = fmt::format("d{}.example", i);
      k.indicator.source = "list";
      k.indicator.confidence = static_cast<std::uint8_t>(i % 100);
      k.indicator.tlp = event::Tlp::green;
      k.indicator.action = i % 10 == 0 ? mi::Action::block : mi::Action::watch;
      k.indicator.valid_until = sim.now() + 240h;
      k.changed = sim.now();  // all at once: positions hang on ids
      book.push_back(k);
    }
  }
  Result<Pulled> turn(const Puller& puller) {
    Result<Pulled> got = fail(Code::unavailable, "no answer");
    auto pull = std::make_shared<Pull>(Pull{
        .peer = peer, .runtime = sim, .client = *client, .queue = own, .library = library, .max_reply = 1U << 20U});
    pull->secret = std::make_shared<const Secret<std::string>>(Secret<std::string>(secret));
    bool done = false;
    puller(std::move(pull), [&](Result<Pulled> r) {
      got = std::move(r);
      done = true;
    });
    sim.run_until([&] { return done; });
    if (got) peer.cursor = got->cursor;
    return got;
  }
  Sim sim{5};
  QueueId queue = sim.queue({.name = "microsoft"}), own = sim.queue({.name = "peers"});
  net::Router router;
  std::vector<std::unique_ptr<net::SimServer>> servers;
  std::unique_ptr<net::Client> client = net::sim_client(sim, {.address = "192.0.2.1"});
  Library library;
  Peer peer;
  std::vector<Known> book;
  std::vector<Dropped> dropped;
  std::vector<std::string> taken;
  std::string token_body, secret = "s3&cret", answer = R"({"value":[]})";
  int calls = 0, status = 200;
};

TEST_F(UploadTest, DefenderGetsTheBestFifteenThousandInThirtyCallsAndNothingTwice) {
  fill(20'000);
  book[7].indicator.tlp = event::Tlp::red;
  const auto first = turn(defender_puller());
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_EQ(first->sent, 15'000U);
  EXPECT_EQ(calls, 30);
  std::set<std::string> values;
  int blocks = 0;
  for (const auto& t : taken) {
    const auto v = net::JsonDocument::parse(t).value();
    values.insert(std::string(v.root()["indicatorValue"].text_or("")));
    blocks += v.root()["action"].text_or("") == "Block" ? 1 : 0;
    EXPECT_TRUE(v.root()["expirationTime"].text()) << "everything ends";
  }
  EXPECT_EQ(values.size(), 15'000U);
  EXPECT_EQ(blocks, 2'000) << "what blocks comes first";
  EXPECT_FALSE(values.contains("d7.example")) << "above its ceiling";
  EXPECT_NE(token_body.find("client_id=app%20id"), std::string::npos) << token_body;
  const auto again = turn(defender_puller());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->sent, 0U);
  EXPECT_EQ(calls, 30) << "the same set is not sent again";
  book[0].changed += 1s;
  ASSERT_TRUE(turn(defender_puller()));
  EXPECT_EQ(calls, 60);
}

TEST_F(UploadTest, DefenderTakesNoNetworksAndNoPatterns) {
  Known k;
  k.indicator.kind = event::Kind::cidr;
  k.indicator.value = "192.0.2.0/24";
  EXPECT_EQ(defender_indicator(k, sim.now()), "");
  k.indicator.kind = {};
  k.indicator.value = "[domain-name:value = 'x.example']";
  EXPECT_EQ(defender_indicator(k, sim.now()), "");
  k.indicator.kind = event::Kind::sha256;
  k.indicator.action = mi::Action::warn;
  k.indicator.value = std::string(64, 'a');
  EXPECT_NE(defender_indicator(k, sim.now()).find("\"action\":\"Audit\""), std::string::npos)
      << "a file cannot be warned of there";
}

TEST_F(UploadTest, SentinelGetsAllOfItInHundredsAndGoesOnWhereItWas) {
  fill(9'250);
  const auto first = turn(sentinel_puller());
  ASSERT_TRUE(first) << to_string(first.error());
  EXPECT_TRUE(first->more);
  EXPECT_EQ(calls, 90);
  const auto second = turn(sentinel_puller());
  ASSERT_TRUE(second);
  EXPECT_FALSE(second->more);
  EXPECT_EQ(calls, 93);
  std::set<std::string> ids;
  for (const auto& t : taken) ids.insert(std::string(net::JsonDocument::parse(t).value().root()["id"].text_or("")));
  EXPECT_EQ(ids.size(), 9'250U) << "none twice, none lost, though all changed in the same instant";
  const auto third = turn(sentinel_puller());
  ASSERT_TRUE(third);
  EXPECT_EQ(third->sent, 0U);
  EXPECT_EQ(calls, 93);
}

TEST_F(UploadTest, AfterTooManyRequestsTheTurnEndsAndBeginsAgainWhereItWas) {
  fill(300);
  status = 429;
  const auto refused = turn(sentinel_puller());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::unavailable);
  EXPECT_EQ(peer.cursor, "");
  status = 200;
  EXPECT_EQ(turn(sentinel_puller())->sent, 300U);
}

TEST_F(UploadTest, WhatTheConsoleRefusesInsideOfAGoodAnswerIsListed) {
  fill(3);
  answer =
      R"({"value":[{"indicator":"d1.example","isFailed":true,"failureReason":"x"},{"indicator":"d0.example","isFailed":false}]})";
  const auto done = turn(defender_puller());
  ASSERT_TRUE(done);
  EXPECT_EQ(done->sent, 2U);
  ASSERT_EQ(dropped.size(), 1U);
  EXPECT_EQ(dropped[0].object, "d1.example");
  answer = R"({"errors":[{"recordIndex":2,"errorMessages":["x"]}]})";
  dropped.clear();
  ASSERT_TRUE(turn(sentinel_puller()));
  EXPECT_EQ(dropped.size(), 1U);
}

TEST_F(UploadTest, AWrongSecretIsForAPersonToLookAt) {
  fill(1);
  secret = "wrong";
  const auto done = turn(defender_puller());
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::forbidden);
  EXPECT_EQ(done.error().what.find("wrong"), std::string::npos) << "the secret is in no message";
  peer.options = "{}";
  EXPECT_EQ(turn(sentinel_puller()).error().code, Code::forbidden);
}

TEST(SentinelObject, IsTheSameForEverAndQuotesWhatItMust) {
  Known k;
  k.indicator.kind = event::Kind::url;
  k.indicator.value = "evil.example/it's";
  k.indicator.source = "a";
  k.changed = from_micros(1'700'000'000'000'000);
  const auto one = net::JsonDocument::parse(sentinel_object(k, k.changed)).value();
  EXPECT_EQ(one.root()["pattern"].text_or(""),
            "[url:value = 'https://evil.example/it\\'s' OR url:value = 'http://evil.example/it\\'s']");
  EXPECT_EQ(one.root()["object_marking_refs"].size(), 1U);
  const std::string id(one.root()["id"].text_or(""));
  EXPECT_EQ(id.size(), 47U);
  k.changed += 1h;
  EXPECT_EQ(net::JsonDocument::parse(sentinel_object(k, k.changed)).value().root()["id"].text_or(""), id);
  k.indicator.kind = event::Kind::phone;
  EXPECT_EQ(sentinel_object(k, k.changed), "");
}

}  // namespace
}  // namespace bavn::exchange
