#include <fmt/format.h>

#include <set>

#include "base/json_writer.hpp"
#include "exchange/stix/names.hpp"
#include "exchange/taxii/client.hpp"
#include "exchange/taxii/testing.hpp"
#include "net/sim.hpp"

namespace bavn::exchange::taxii {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using net::Method;

/// Asks `where` as the peer would be asked, turn by turn.
class TaxiiClient : public ::testing::Test {
 protected:
  Result<Pulled> turn() {
    auto pull =
        std::make_shared<Pull>(Pull{peer, sim, *client, queue, hub.library(), "Basic eDp5", nullptr, 16U << 20U});
    std::optional<Result<Pulled>> got;
    taxii_puller (*hub.taxii)(pull, [&](Result<Pulled> r) { got = std::move(r); });
    sim.run_until([&] { return got.has_value(); }, 300s);
    if (!got) return fail(Code::unavailable, "it never ended");
    if (*got) peer.cursor = (*got)->cursor;
    return std::move(*got);
  }
  /// Until there is no more.
  Result<Pulled> all() {
    for (int i = 0; i < 50; ++i) {
      auto r = turn();
      if (!r || !r->more) return r;
    }
    return fail(Code::unavailable, "there is always more");
  }
  void settle() { sim.advance(1s); }
  std::set<std::string> values() const {
    std::set<std::string> out;
    for (const auto& [key, d] : hub.published) out.insert(key.second);
    return out;
  }

  log::Capture quiet_;
  Sim sim{11};
  Hub hub{sim};  // ours
  QueueId queue = sim.queue({.name = "pulls"});
  std::unique_ptr<net::Client> client = net::sim_client(sim, {.address = "192.0.2.1"});
  Peer peer = [] {
    Peer p;
    p.id = 2;
    p.name = "amber";
    p.kind = "taxii";
    p.direction = "in";
    p.url = "http://other.example/taxii2/";
    p.ceiling = event::Tlp::amber;
    return p;
  }();
};

/// A server whose habits a test chooses: objects with dates, answered in pages.
class Odd {
 public:
  struct Item {
    Instant added;
    std::string body;
  };
  Odd(Sim& sim, QueueId queue) {
    const auto reply = [](std::string body, int code = 200) { return net::text(std::move(body), kMedia, code); };
    router.get("/taxii2/", net::Needs::anyone, [this, reply](const net::Request& q) {
      authorization = q.headers.find("Authorization") ? *q.headers.find("Authorization") : "";
      return reply(R"({"title":"odd","api_roots":["/root/","http://elsewhere.example/root/"]})");
    });
    router.get("/root/collections/", net::Needs::anyone, [reply](const net::Request&) {
      return reply(
          R"({"collections":[{"id":"c1","title":"One","can_read":true,"can_write":true},{"id":"c2","title":"Two","can_read":false}]})");
    });
    router.get("/root/collections/c1/objects/", net::Needs::anyone, [this, reply](const net::Request& q) {
      ++asked;
      if (status != 200) return reply(R"({"title":"no"})", status);
      if (wrong_type) return net::json("{}");
      const Instant after = parse_time(q.asked("added_after").value_or("")).value_or(Instant{});
      std::size_t from = 0;
      if (const auto next = q.asked("next")) {
        if (forgetful) {
          forgetful = false;
          return reply(R"({"title":"unknown next"})", 400);
        }
        from = static_cast<std::size_t>(std::stoul(std::string(*next)));
      }
      std::string body = R"({"objects":[)";
      std::size_t n = 0, at = from;
      Instant last{};
      for (; at < items.size() && n < page; ++at) {
        if (items[at].added <= after) continue;
        if (n++ > 0) body += ",";
        body += items[at].body;
        last = items[at].added;
      }
      bool more = false;
      for (std::size_t i = at; i < items.size(); ++i) more |= items[i].added > after;
      body += fmt::format(R"(],"more":{}{}}})", more || always_more,
                          more && gives_next ? fmt::format(",\"next\":\"{}\"", at) : "");
      if (shift) shift();
      auto r = reply(std::move(body));
      if (n > 0) r.headers.set("X-TAXII-Date-Added-Last", stix::timestamp_us(last));
      return r;
    });
    router.post("/root/collections/c1/objects/", net::Needs::anyone, [this, reply](const net::Request& q) {
      received.push_back(q.body);
      return reply(R"({"id":")" + uuid(7) +
                       R"(","status":"pending","total_count":1,"success_count":0,"failure_count":0,"pending_count":1})",
                   202);
    });
    router.get("/root/status/" + uuid(7) + "/", net::Needs::anyone, [this, reply](const net::Request&) {
      const bool over = ++polled >= 3;
      return reply(R"({"id":")" + uuid(7) + R"(","status":")" + (over ? "complete" : "pending") + R"("})");
    });
    server = *net::SimServer::start(sim, router, "other.example:80", queue);
  }
  void add(int n, Instant at) { items.push_back({at, indicator(n, domain(n))}); }

  std::vector<Item> items;
  std::size_t page = 3;
  int status = 200, asked = 0, polled = 0;
  bool gives_next = true, forgetful = false, always_more = false, wrong_type = false;
  std::function<void()> shift;
  std::string authorization;
  std::vector<std::string> received;
  net::Router router;
  std::unique_ptr<net::SimServer> server;
};

TEST_F(TaxiiClient, AnotherHubIsReadWholeThenOnlyWhatIsNew) {
  Hub other(sim);
  net::Router router;
  add_taxii_routes(
      router, *other.taxii, [&](const net::Request&) -> Result<Caller> { return other.callers.at("green"); },
      [] { return std::string("http://other.example"); });
  const auto server = net::SimServer::start(sim, router, "other.example:80", queue);
  ASSERT_TRUE(server) << to_string(server.error());
  for (int i = 0; i < 1500; ++i) other.book("domain", fmt::format("d{}.example", i));
  const auto first = all();
  ASSERT_TRUE(first) << to_string(first.error());
  settle();
  EXPECT_EQ(hub.published.size(), 1500U);
  sim.advance(10s);
  other.book("domain", "new.example");
  other.sql("DELETE FROM hub_indicator WHERE value = 'd7.example'", {});
  ASSERT_TRUE(all());
  settle();
  EXPECT_TRUE(values().contains("new.example"));
  EXPECT_FALSE(values().contains("d7.example")) << "withdrawn there, withdrawn here";
  // Kept as they came.
  EXPECT_EQ(hub.get("amber", Hub::objects("from-2") + "?match[type]=marking-definition")["objects"].size(), 9U);
}

TEST_F(TaxiiClient, ServersWithAndWithoutNextAndForgetfulOnesLoseNothingWhilePagesShift) {
  for (const bool gives_next : {true, false})
    for (const bool forgetful : {false, true}) {
      Odd odd(sim, queue);
      odd.gives_next = gives_next;
      odd.forgetful = forgetful;
      peer.cursor.clear();
      hub.published.clear();
      int n = 1000 * (1 + (gives_next ? 1 : 0) + (forgetful ? 2 : 0));
      const int from = n;
      const Instant start = sim.now() - std::chrono::hours(1);
      for (int i = 0; i < 12; ++i) odd.add(n++, start + std::chrono::seconds(i / 2));  // two of each date
      int times = 0;
      odd.shift = [&] {
        if (++times < 6) odd.add(n++, start + std::chrono::seconds(60 + times));
      };
      const auto done = all();
      ASSERT_TRUE(done) << to_string(done.error());
      settle();
      // One more with the date of the last one, after we were told that there is no more.
      odd.shift = {};
      odd.add(n++, odd.items.back().added);
      ASSERT_TRUE(all());
      settle();
      std::set<std::string> expected;
      for (int i = from; i < n; ++i) expected.insert(fmt::format("evil{}.example", i));
      EXPECT_EQ(values(), expected) << gives_next << forgetful;
      EXPECT_LT(odd.asked, 60);
      EXPECT_EQ(odd.authorization, "Basic eDp5");
    }
  EXPECT_TRUE(std::ranges::any_of(
      hub.dropped, [](const Dropped& d) { return d.what == "api root" && d.reason.contains("not its own address"); }));
}

TEST_F(TaxiiClient, AServerThatAlwaysHasMoreEndsAndIsSaidSo) {
  Odd odd(sim, queue);
  odd.always_more = true;
  odd.gives_next = false;
  for (int i = 0; i < 9; ++i) odd.add(i, sim.now() - std::chrono::hours(1));  // more of one date than fit a page
  ASSERT_TRUE(all());
  EXPECT_LT(odd.asked, 30);
  EXPECT_TRUE(std::ranges::any_of(hub.dropped, [](const Dropped& d) { return d.what == "page"; }));
}

TEST_F(TaxiiClient, ALongReadingIsDoneInTurnsAndGoesOnAfterAnError) {
  Odd odd(sim, queue);
  odd.page = 1;
  for (int i = 0; i < 50; ++i) odd.add(i, sim.now() - std::chrono::hours(1) + std::chrono::seconds(i));
  auto one = turn();
  ASSERT_TRUE(one);
  EXPECT_TRUE(one->more);
  EXPECT_EQ(odd.asked, 20);
  odd.status = 503;
  const auto cut = turn();
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Code::unavailable);
  odd.status = 200;
  const auto done = all();
  ASSERT_TRUE(done);
  settle();
  EXPECT_EQ(hub.published.size(), 50U);
  EXPECT_GT(done->newest, Instant{});
  EXPECT_LT(odd.asked, 60) << "it goes on where it was";
}

TEST_F(TaxiiClient, WhatIsNoTaxiiSaysWhatItIs) {
  const auto reason = [&] {
    const auto r = turn();
    return r ? std::string("none") : r.error().what;
  };
  EXPECT_NE(reason(), "none") << "nobody is there";
  Odd odd(sim, queue);
  odd.add(1, sim.now());
  odd.wrong_type = true;
  EXPECT_TRUE(reason().contains("not of TAXII 2.1"));
  odd.wrong_type = false;
  odd.status = 401;
  const auto refused = turn();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::forbidden);
  odd.status = 200;
  peer.options = R"({"collection":"nothing"})";
  EXPECT_TRUE(reason().contains("no collection"));
  peer.options = R"({"collection":"One"})";
  EXPECT_EQ(reason(), "none");
}

TEST_F(TaxiiClient, WhatAPartnerMayHaveIsWrittenToItAndFollowedToItsEnd) {
  Odd odd(sim, queue);
  peer.direction = "both";
  hub.book("domain", "a.example", "green");
  hub.book("domain", "b.example", "red");
  hub.book("domain", "theirs.example", "green", "amber: list");
  const auto done = all();
  ASSERT_TRUE(done) << to_string(done.error());
  ASSERT_EQ(odd.received.size(), 1U);
  EXPECT_TRUE(odd.received[0].contains("a.example"));
  EXPECT_FALSE(odd.received[0].contains("b.example"));
  EXPECT_FALSE(odd.received[0].contains("theirs.example"));
  EXPECT_EQ(odd.polled, 3);
  EXPECT_EQ(done->sent, 11U);  // with our identity and the markings
  ASSERT_TRUE(all());
  EXPECT_EQ(odd.received.size(), 1U) << "once";
  hub.book("domain", "c.example", "green");
  ASSERT_TRUE(all());
  ASSERT_EQ(odd.received.size(), 2U);
  EXPECT_FALSE(odd.received[1].contains("a.example"));
}

}  // namespace
}  // namespace bavn::exchange::taxii
