#include "net/sim.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"
#include "net/content_coding.hpp"

namespace bavn::net {

using namespace std::chrono_literals;

namespace {

// A hub with a counter, an echo and a numbered stream, and a client of it.
struct World {
  explicit World(std::uint64_t seed) : sim(seed) {
    router.post("/count", Needs::anyone, [this](const Request& q) {
      ++counted;
      last = q;
      return text(std::to_string(counted));
    });
    router.get("/file", Needs::anyone, [](const Request&) {
      Reply r;
      r.headers.set("ETag", "\"v1\"");
      r.file = FileBody{"/data/base"};
      return r;
    });
    router.async(Method::get, "/never", Needs::anyone, [](Request, Respond) {});
    router.async(Method::get, "/later", Needs::anyone, [this](Request, Respond respond) {
      sim.after(5min, hub, [r = std::make_shared<Respond>(std::move(respond))] { (*r)(text("at last")); });
    });
    router.stream("/stream", Needs::anyone, [this](const Request& q, std::shared_ptr<EventStream> s) {
      const std::string* from = q.headers.find("Last-Event-ID");
      for (int i = from ? std::stoi(*from) + 1 : 1; i <= 50; ++i)
        if (!s->send({std::to_string(i), "number", "n" + std::to_string(i)})) return;
      s->on_close([this] { ++closed; });
      streams.push_back(std::move(s));
    });
    router.stream("/closed", Needs::follow, [](const Request&, std::shared_ptr<EventStream>) {});
    server = SimServer::start(sim, router, "hub.example.org:443", hub).value();
  }
  ~World() { streams.clear(); }

  Result<ClientReply> ask(ClientRequest request) {
    std::optional<Result<ClientReply>> got;
    client->send(std::move(request), node, [&](Result<ClientReply> r) { got = std::move(r); });
    EXPECT_TRUE(sim.run_until([&] { return got.has_value(); }));
    return got ? std::move(*got) : fail(Code::corrupt, "no answer at all");
  }

  Sim sim;
  QueueId hub = sim.queue({.name = "hub"}), node = sim.queue({.name = "node"});
  Router router;
  int counted = 0, closed = 0;
  Request last;
  std::vector<std::shared_ptr<EventStream>> streams;
  std::unique_ptr<SimServer> server;
  std::unique_ptr<Client> client = sim_client(
      sim, {.address = "192.0.2.7", .tls = false, .certificate_serial = "ab12", .certificate_name = "node-1"});
};

constexpr auto base = "https://hub.example.org";

}  // namespace

TEST(SimNet, CarriesAWholeRequestAndItsAnswer) {
  World w(1);
  ClientRequest q{.method = Method::post, .url = std::string(base) + "/count?x=a%20b", .body = zstd("hello")};
  q.headers.set("Content-Encoding", "zstd");
  const auto reply = w.ask(q);
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->body, "1");
  EXPECT_EQ(w.last.body, "hello");
  EXPECT_EQ(w.last.asked("x"), "a b");
  EXPECT_EQ(w.last.peer.certificate_serial, "ab12");
  EXPECT_TRUE(w.last.peer.tls);
  EXPECT_EQ(w.ask({.url = std::string(base) + "/nothing"})->status, 404);
}

TEST(SimNet, ServesRangesAndTagsOfFiles) {
  World w(1);
  ASSERT_TRUE(w.sim.files().make_dirs("/data"));
  ASSERT_TRUE(replace_file(w.sim.files(), "/data/base", "0123456789"));
  ClientRequest q{.url = std::string(base) + "/file"};
  EXPECT_EQ(w.ask(q)->body, "0123456789");
  q.headers.set("Range", "bytes=3-5");
  EXPECT_EQ(w.ask(q)->body, "345");
  EXPECT_EQ(w.ask(q)->status, 206);
  q.headers.set("If-None-Match", "\"v1\"");
  EXPECT_EQ(w.ask(q)->status, 304);
}

TEST(SimNet, NobodyThereACutAndSilenceAreUnavailable) {
  World w(1);
  EXPECT_EQ(w.ask({.url = "https://other.example.org/"}).error().code, Code::unavailable);
  const Duration start = w.sim.steady();
  EXPECT_EQ(w.ask({.url = std::string(base) + "/later", .timeout = 30s}).error().code, Code::unavailable);
  EXPECT_EQ(w.sim.steady() - start, 30s);
  EXPECT_EQ(w.ask({.url = std::string(base) + "/later", .timeout = 600s})->body, "at last");
  EXPECT_EQ(w.ask({.url = std::string(base) + "/never"})->status, 500) << "a forgotten answer is an answer";
  w.sim.set_weather({.cut = 1});
  EXPECT_EQ(w.ask({.url = std::string(base) + "/count"}).error().code, Code::unavailable);
}

TEST(SimNet, ADuplicatedRequestMayBeHandledTwiceAndIsAnsweredOnce) {
  int twice = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    World w(seed);
    w.sim.set_weather({.max_delay = 1s, .duplicate = 1});
    int answers = 0;
    w.client->send({.method = Method::post, .url = std::string(base) + "/count"}, w.node,
                   [&](Result<ClientReply> r) { answers += r ? 1 : 0; });
    w.sim.run_until_idle();
    EXPECT_EQ(answers, 1);
    twice += w.counted == 2 ? 1 : 0;
  }
  EXPECT_GT(twice, 5);
}

TEST(SimNet, AStreamResumesAfterCutsWithoutGapsOrRepeats) {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    World w(seed);
    w.sim.set_weather({.min_delay = 1ms, .max_delay = 2s, .cut = 0.03, .duplicate = 0.1});
    std::string last_id;
    int next = 1, ends = 0;
    std::shared_ptr<OpenStream> open;
    std::function<void()> follow = [&] {
      ClientRequest q{.url = std::string(base) + "/stream"};
      if (!last_id.empty()) q.headers.set("Last-Event-ID", last_id);
      open = w.client->stream(q, w.node,
                              {.on_open = {},
                               .on_event =
                                   [&](SseEvent e) {
                                     ASSERT_EQ(e.id, std::to_string(next++));
                                     ASSERT_EQ(e.data, "n" + e.id);
                                     last_id = e.id;
                                   },
                               .on_end =
                                   [&](Error e) {
                                     EXPECT_EQ(e.code, Code::unavailable);
                                     ++ends;
                                     w.sim.after(1s, w.node, follow);
                                   }});
    };
    follow();
    ASSERT_TRUE(w.sim.run_until([&] { return next == 51; })) << seed;
    EXPECT_LT(ends, 60);
  }
}

TEST(SimNet, TheServerLearnsThatAClientHasGone) {
  World w(1);
  bool opened = false;
  auto open = w.client->stream({.url = std::string(base) + "/stream"}, w.node,
                               {.on_open = [&] { opened = true; }, .on_event = {}, .on_end = {}});
  w.sim.run_until_idle();
  EXPECT_TRUE(opened);
  ASSERT_EQ(w.streams.size(), 1U);
  EXPECT_EQ(w.closed, 0);
  open.reset();
  w.sim.run_until_idle();
  EXPECT_EQ(w.closed, 1);
  EXPECT_FALSE(w.streams[0]->send({"51", "", ""}));
  bool at_once = false;
  w.streams[0]->on_close([&] { at_once = true; });
  EXPECT_TRUE(at_once);
}

TEST(SimNet, ARefusedStreamEndsWithTheReasonAndIsNeverOpen) {
  World w(1);
  std::optional<Error> end;
  auto open = w.client->stream({.url = std::string(base) + "/closed"}, w.node,
                               {.on_open = [] { FAIL(); }, .on_event = {}, .on_end = [&](Error e) { end = e; }});
  w.sim.run_until_idle();
  ASSERT_TRUE(end);
  EXPECT_EQ(end->code, Code::forbidden);
}

TEST(SimNet, ARevokedCertificateIsCutAndAServerThatIsGoneFreesItsAddress) {
  World w(1);
  int ends = 0;
  auto open = w.client->stream({.url = std::string(base) + "/stream"}, w.node,
                               {.on_open = {}, .on_event = {}, .on_end = [&](Error) { ++ends; }});
  w.sim.run_until_idle();
  w.server->cut("other");
  w.sim.run_until_idle();
  EXPECT_EQ(ends, 0);
  w.server->cut("ab12");
  w.sim.run_until_idle();
  EXPECT_EQ(ends, 1);
  EXPECT_EQ(w.closed, 1);
  w.server.reset();
  EXPECT_EQ(w.ask({.url = std::string(base) + "/nothing"}).error().code, Code::unavailable);
  w.server = SimServer::start(w.sim, w.router, "hub.example.org:443", w.hub).value();
  EXPECT_EQ(w.ask({.url = std::string(base) + "/nothing"})->status, 404);
  EXPECT_EQ(SimServer::start(w.sim, w.router, "hub.example.org:443", w.hub).error().code, Code::conflict);
}

TEST(SimNet, AClientThatGoesAnswersWhatWaits) {
  World w(1);
  std::optional<Result<ClientReply>> got;
  w.client->send({.url = std::string(base) + "/later"}, w.node, [&](Result<ClientReply> r) { got = std::move(r); });
  w.client.reset();
  w.sim.run_until_idle();
  ASSERT_TRUE(got);
  EXPECT_EQ(got->error().code, Code::unavailable);
}

}  // namespace bavn::net
