#include "net/egress.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include <cstring>

#include "base/guarded.hpp"
#include "base/threads.hpp"
#include "net/testing.hpp"

namespace bavn::net {

namespace {

Reach reach(const char* text) {
  sockaddr_in6 six{};
  sockaddr_in four{};
  sockaddr_storage any{};
  if (inet_pton(AF_INET, text, &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    std::memcpy(&any, &four, sizeof four);
  } else {
    EXPECT_EQ(inet_pton(AF_INET6, text, &six.sin6_addr), 1) << text;
    six.sin6_family = AF_INET6;
    std::memcpy(&any, &six, sizeof six);
  }
  return reach_of(reinterpret_cast<const sockaddr&>(any));
}

}  // namespace

TEST(Egress, KnowsWhatIsInside) {
  for (const char* a : {"127.0.0.1",
                        "127.255.255.255",
                        "10.1.2.3",
                        "172.16.0.1",
                        "172.31.255.255",
                        "192.168.1.1",
                        "169.254.1.1",
                        "100.64.0.1",
                        "0.0.0.0",
                        "192.0.2.1",
                        "198.18.0.1",
                        "224.0.0.1",
                        "255.255.255.255",
                        "::",
                        "::1",
                        "::127.0.0.1",
                        "::ffff:127.0.0.1",
                        "::ffff:10.0.0.1",
                        "64:ff9b::10.0.0.1",
                        "2002:7f00:1::",
                        "fc00::1",
                        "fd12::1",
                        "fe80::1",
                        "ff02::1",
                        "2001:db8::1",
                        "2001::1",
                        "100::1"})
    EXPECT_EQ(reach(a), Reach::inside) << a;
  for (const char* a : {"8.8.8.8", "172.32.0.1", "172.15.255.255", "100.128.0.1", "192.169.0.1", "223.255.255.255",
                        "::ffff:8.8.8.8", "2a00:1450::1", "2620:fe::fe", "64:ff9b::8.8.8.8"})
    EXPECT_EQ(reach(a), Reach::outside) << a;
  for (const char* a :
       {"169.254.169.254", "::ffff:169.254.169.254", "fd00:ec2::254", "168.63.129.16", "100.100.100.200"})
    EXPECT_EQ(reach(a), Reach::metadata) << a;
}

TEST(Egress, SchemeAndPortMustBeAllowed) {
  const EgressPolicy strict;
  EXPECT_TRUE(permitted(strict, *parse_url("https://example.org/")));
  EXPECT_EQ(permitted(strict, *parse_url("http://example.org/")).error().code, Code::forbidden);
  EXPECT_EQ(permitted(strict, *parse_url("https://example.org:8443/")).error().code, Code::forbidden);
  EXPECT_TRUE(permitted({.plain_http = true, .ports = {443, 80}}, *parse_url("http://example.org/")));
  EXPECT_TRUE(permitted({.inside = {"hub.example.org"}}, *parse_url("http://HUB.example.org:8080/")));
}

TEST(Url, IsTakenApartInOneWayOnly) {
  const auto u = parse_url("HTTPS://Example.ORG:8443/a%20b?c=d#e");
  ASSERT_TRUE(u);
  EXPECT_TRUE(u->tls);
  EXPECT_EQ(u->host, "example.org");
  EXPECT_EQ(u->port, 8443);
  EXPECT_EQ(u->target, "/a%20b?c=d");
  EXPECT_EQ(parse_url("http://example.org")->target, "/");
  EXPECT_EQ(parse_url("http://example.org?x=1")->target, "/?x=1");
  EXPECT_EQ(parse_url("https://[2001:DB8::1]/x")->host_and_port(), "[2001:db8::1]:443");
  for (const char* bad :
       {"", "example.org", "ftp://example.org/", "https://", "https:///x", "https://a@b/", "https://a:b@c/",
        "https://a:0/", "https://a:99999/", "https://a:1x/", "https://[::1/", "https://[::1]x/", "https://a\\@b/",
        "https://a b/", "https://a/\r\nX: y", "file:///etc/passwd"})
    EXPECT_FALSE(parse_url(bad)) << bad;
}

TEST(CurlClient, ReachesNothingInsideHoweverItIsWritten) {
  Threads threads;
  const QueueId handlers = threads.queue({.name = "handlers"}), app = threads.queue({.name = "app"});
  Router router;
  int asked = 0;
  router.get("/", Needs::anyone, [&](const Request&) {
    ++asked;
    return text("secret");
  });
  const auto server = Server::start(threads, router, {.handlers = handlers});
  ASSERT_TRUE(server);
  const std::string port = std::to_string((*server)->port());
  const auto client = curl_client(threads, {.plain_http = true, .ports = {}, .inside = {"allowed.invalid"}});
  for (const char* host : {"127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433",
                           "0x7f000001", "0177.0.0.1", "127.1"}) {
    const auto r = testing::ask(*client, app, {.url = "http://" + std::string(host) + ":" + port + "/"});
    ASSERT_FALSE(r) << host;
    EXPECT_EQ(r.error().code, Code::forbidden) << host << ": " << r.error().what;
  }
  EXPECT_EQ(asked, 0);
  const auto policed = curl_client(threads, {});
  EXPECT_EQ(testing::ask(*policed, app, {.url = "http://example.org/"}).error().code, Code::forbidden);
  EXPECT_EQ(testing::ask(*policed, app, {.url = "gopher://example.org/"}).error().code, Code::bad_input);
}

TEST(CurlClient, LimitsTimeoutsAndBadHeadersAreErrors) {
  using namespace std::chrono_literals;
  Threads threads;
  const QueueId handlers = threads.queue({.name = "handlers"}), app = threads.queue({.name = "app"});
  Router router;
  Guarded<std::vector<std::shared_ptr<Respond>>> kept;  // the handler may still come when the client has gone
  router.get("/big", Needs::anyone, [](const Request&) { return text(std::string(2'000'000, 'x')); });
  router.get("/moved", Needs::anyone, [](const Request&) {
    Reply r = text("", "text/plain", 302);
    r.headers.set("Location", "/big");
    r.headers.set("X-Split", "a\r\nInjected: yes");
    return r;
  });
  router.async(Method::get, "/never", Needs::anyone, [&](Request, Respond r) {
    kept.with([&](auto& all) { all.push_back(std::make_shared<Respond>(std::move(r))); });
  });
  const auto server = Server::start(threads, router, {.handlers = handlers});
  ASSERT_TRUE(server);
  const std::string base = "http://127.0.0.1:" + std::to_string((*server)->port());
  auto client = curl_client(threads, {.inside = {"127.0.0.1"}});
  EXPECT_EQ(testing::ask(*client, app, {.url = base + "/big", .max_reply = 1'999'999}).error().code, Code::bad_input);
  EXPECT_EQ(testing::ask(*client, app, {.url = base + "/big", .max_reply = 2'000'000})->body.size(), 2'000'000U);
  EXPECT_EQ(testing::ask(*client, app, {.url = base + "/never", .timeout = 1s}).error().code, Code::unavailable);
  const auto moved = testing::ask(*client, app, {.url = base + "/moved"});
  EXPECT_EQ(moved->status, 302) << "a redirect is an answer, not an order";
  EXPECT_FALSE(moved->headers.find("Injected"));
  ClientRequest split{.url = base + "/big"};
  split.headers.set("X", "a\r\nHost: other");
  EXPECT_EQ(testing::ask(*client, app, split).error().code, Code::bad_input);
  EXPECT_EQ(testing::ask(*client, app, {.url = "http://127.0.0.1:1/"}).error().code, Code::unavailable);
  // What waits when the client goes is answered.
  std::promise<Code> ended;
  client->send({.url = base + "/never"}, app,
               [&](Result<ClientReply> r) { ended.set_value(r ? Code::corrupt : r.error().code); });
  client.reset();
  EXPECT_EQ(ended.get_future().get(), Code::unavailable);
  kept.with([](auto& all) { all.clear(); });
}

TEST(CurlClient, ASlowTakerOfEventsHoldsTheStreamBackAndLosesNothing) {
  using namespace std::chrono_literals;
  Threads threads;
  const QueueId handlers = threads.queue({.name = "handlers"}), app = threads.queue({.name = "app", .limit = 2});
  Router router;
  constexpr int events = 2000;  // of 10 kB each: five times what the client keeps
  router.stream("/stream", Needs::anyone, [](const Request&, std::shared_ptr<EventStream> s) {
    for (int i = 1; i <= events; ++i)
      if (!s->send({std::to_string(i), "", std::string(10'000, 'x')})) return;
  });
  const auto server = Server::start(threads, router, {.handlers = handlers, .stream_buffer = 64U << 20U});
  ASSERT_TRUE(server);
  const auto client = curl_client(threads, {.inside = {"127.0.0.1"}});
  std::promise<void> go, done;
  auto gate = go.get_future().share();
  ASSERT_TRUE(threads.post(app, [gate] { gate.wait(); }));
  int next = 1;
  const auto open = client->stream({.url = "http://127.0.0.1:" + std::to_string((*server)->port()) + "/stream"}, app,
                                   {.on_event = [&](SseEvent e) {
                                     EXPECT_EQ(e.id, std::to_string(next));
                                     if (next++ == events) done.set_value();
                                   }});
  std::promise<void> meanwhile;
  threads.after(300ms, handlers, [&] { meanwhile.set_value(); });
  meanwhile.get_future().wait();
  go.set_value();
  EXPECT_EQ(done.get_future().wait_for(20s), std::future_status::ready);
  EXPECT_EQ(next, events + 1);
}

}  // namespace bavn::net
