#include "net/server.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/eventually.hpp"
#include "base/log.hpp"
#include "base/threads.hpp"
#include "net/content_coding.hpp"
#include "net/testing.hpp"

namespace bavn::net {

using namespace std::chrono_literals;
using testing::RawSocket;

namespace {

std::string text_of_size(std::size_t n) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>('a' + i * 31 % 23);
  return s;
}

class ServerTest : public ::testing::Test {
 protected:
  ServerTest() {
    router.get("/hello", Needs::anyone, [](const Request&) { return text("hello"); });
    router.get("/who", Needs::anyone, [](const Request& q) {
      return text(q.peer.address + " " + q.peer.certificate_name + " " + q.peer.certificate_serial);
    });
    router.post("/echo", Needs::anyone, [](const Request& q) { return text(q.body); }, {.max_body = 4U << 20U});
    router.post("/small", Needs::anyone, [](const Request& q) { return text(std::to_string(q.body.size())); },
                {.max_body = 1000});
    router.post("/full", Needs::anyone, [](const Request&) { return text("taken"); },
                {.max_body = 64U << 20U, .has_room = [this](std::size_t n) {
                   asked_room = n;
                   return room.load();
                 }});
    router.async(Method::get, "/never", Needs::anyone,
                 [this](Request, Respond r) {
                   const std::lock_guard lock(mutex);
                   forgotten.push_back(std::make_shared<Respond>(std::move(r)));
                 },
                 {.deadline = 1s});
    router.get("/file", Needs::anyone, [this](const Request& q) {
      Reply r;
      r.headers.set("ETag", "\"v1\"");
      r.file = FileBody{q.asked("missing") ? "/nonexistent/file" : file_path};
      return r;
    });
    router.stream("/stream", Needs::anyone, [this](const Request& q, std::shared_ptr<EventStream> s) {
      const std::string* from = q.headers.find("Last-Event-ID");
      for (int i = from ? std::stoi(*from) + 1 : 1; i <= 3; ++i)
        s->send({std::to_string(i), "n", "data " + std::to_string(i)});
      s->on_close([this] { ++closed; });
      const std::lock_guard lock(mutex);
      streams.push_back(std::move(s));
    });
    router.stream("/ends", Needs::anyone, [](const Request&, std::shared_ptr<EventStream> s) {
      s->send({"1", "", "only"});
      s->close();
    });
    router.stream("/closed", Needs::follow, [](const Request&, std::shared_ptr<EventStream>) {});
  }
  ~ServerTest() override {
    client.reset();
    {
      const std::lock_guard lock(mutex);
      streams.clear();
    }
    server.reset();
    std::filesystem::remove(file_path);
  }

  ServerOptions options() {
    return {.handlers = handlers,
            .metrics = &metrics,
            .header_deadline = 400ms,
            .body_deadline = 500ms,
            .idle_deadline = 700ms,
            .heartbeat = 100ms};
  }
  void start(ServerOptions o) {
    auto started = Server::start(threads, router, std::move(o));
    ASSERT_TRUE(started) << to_string(started.error());
    server = std::move(*started);
    client = curl_client(threads, {.plain_http = true, .ports = {}, .inside = {"127.0.0.1", "localhost"}});
  }
  std::string url(std::string_view path, bool tls = false) const {
    return (tls ? "https://localhost:" : "http://127.0.0.1:") + std::to_string(server->port()) + std::string(path);
  }
  Result<ClientReply> ask(ClientRequest q) { return testing::ask(*client, app, std::move(q)); }
  std::string raw(std::string_view bytes) const {
    const RawSocket s(server->port());
    s.send(bytes);
    return s.read_all();
  }
  std::uint64_t refused(std::string_view reason) {
    return metrics.counter("http_refused", "reason=" + std::string(reason)).value();
  }

  Threads threads;
  Metrics metrics;
  QueueId handlers = threads.queue({.name = "handlers", .threads = 2}), app = threads.queue({.name = "app"});
  Router router;
  std::atomic<bool> room{true};
  std::atomic<std::size_t> asked_room{0};
  std::atomic<int> closed{0};
  std::vector<std::shared_ptr<Respond>> forgotten;
  std::mutex mutex;
  std::vector<std::shared_ptr<EventStream>> streams;
  std::string file_path = (std::filesystem::temp_directory_path() / ("bavn_net_" + std::to_string(getpid()))).string();
  std::unique_ptr<Server> server;
  std::unique_ptr<Client> client;
};

}  // namespace

TEST_F(ServerTest, AnswersARequest) {
  start(options());
  const auto reply = ask({.url = url("/hello")});
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->status, 200);
  EXPECT_EQ(reply->body, "hello");
  EXPECT_TRUE(reply->headers.find("date"));
  EXPECT_EQ(ask({.url = url("/nothing")})->status, 404);
  EXPECT_EQ(ask({.method = Method::del, .url = url("/hello")})->status, 405);
  EXPECT_EQ(ask({.url = url("/who")})->body, "127.0.0.1  ");
  const auto head = ask({.method = Method::head, .url = url("/hello")});
  EXPECT_EQ(head->status, 200);
  EXPECT_EQ(head->body, "");
  EXPECT_EQ(*head->headers.find("content-length"), "5");
}

TEST_F(ServerTest, CarriesBodiesOfAnySizeUnchanged) {
  start(options());
  for (const std::size_t size : {0U, 1U, 4095U, 4096U, 65536U, 1'048'577U, 4'194'304U}) {
    const std::string body = text_of_size(size);
    const auto reply = ask({.method = Method::post, .url = url("/echo"), .body = body});
    ASSERT_TRUE(reply) << size << to_string(reply.error());
    EXPECT_TRUE(reply->body == body) << size;
  }
}

TEST_F(ServerTest, ABodyAboveTheLimitOfItsRouteIsRefusedBeforeItIsRead) {
  start(options());
  EXPECT_EQ(ask({.method = Method::post, .url = url("/small"), .body = text_of_size(1000)})->body, "1000");
  EXPECT_EQ(ask({.method = Method::post, .url = url("/small"), .body = text_of_size(1001)})->status, 413);
  const RawSocket s(server->port());
  s.send("POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n");
  EXPECT_NE(s.read_until("}").find("HTTP/1.1 413"), std::string::npos) << "not a byte of the body was sent";
  EXPECT_EQ(refused("too_large"), 2U);
}

TEST_F(ServerTest, WhenThereIsNoRoomNothingIsReadAndRetryAfterIsSaid) {
  start(options());
  room = false;
  const RawSocket s(server->port());
  s.send("POST /full HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5000000\r\n\r\n");
  const std::string answer = s.read_until("}");
  EXPECT_NE(answer.find("HTTP/1.1 503"), std::string::npos) << answer;
  EXPECT_NE(answer.find("Retry-After:"), std::string::npos);
  EXPECT_EQ(answer.find("100 Continue"), std::string::npos);
  EXPECT_EQ(asked_room, 5'000'000U);
  const auto reply = ask({.method = Method::post, .url = url("/full"), .body = text_of_size(3 << 20)});
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->status, 503) << "the answer arrives although the body was not read";
  room = true;
  EXPECT_EQ(ask({.method = Method::post, .url = url("/full"), .body = text_of_size(3 << 20)})->body, "taken");
}

TEST_F(ServerTest, BodiesThatComeTogetherHaveOneLimitAndASingleOneMayBeOfAnySize) {
  ServerOptions o = options();
  o.bodies = 2U << 20U;
  o.body_deadline = 20s;
  start(std::move(o));
  const auto post = [&](std::size_t n) {
    const auto reply = ask({.method = Method::post, .url = url("/echo"), .body = text_of_size(n)});
    return reply ? reply->status : 0;
  };
  EXPECT_EQ(post(3U << 20U), 200) << "larger than the limit, but alone";
  const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
  {
    const RawSocket first(server->port());
    first.send(head + "Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
    first.read_until("Continue");
    EXPECT_EQ(post(900'000), 200) << "there is room for both";
    const RawSocket second(server->port());
    second.send(head + "Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
    second.read_until("Continue");
    EXPECT_EQ(post(900'000), 503);
    const RawSocket third(server->port());
    third.send(head + "Expect: 100-continue\r\nContent-Length: 900000\r\n\r\n");
    EXPECT_EQ(third.read_until("}").find("100 Continue"), std::string::npos) << "no body is asked for in vain";
    const RawSocket chunks(server->port());
    chunks.send(head + "Transfer-Encoding: chunked\r\n\r\nDBBA0\r\n" + text_of_size(900'000) + "\r\n0\r\n\r\n");
    EXPECT_NE(chunks.read_until("}").find("HTTP/1.1 503"), std::string::npos);
    EXPECT_EQ(refused("no_room"), 3U);
    first.send(text_of_size(1'000'000));
    EXPECT_NE(first.read_all().find("HTTP/1.1 200"), std::string::npos);
    EXPECT_EQ(post(900'000), 200) << "what was handled holds nothing";
  }
  // The second was dropped in the middle of its body.
  int status = 0;
  for (int i = 0; i < 1000 && status != 200; ++i) status = post(1'900'000);
  EXPECT_EQ(status, 200);
}

TEST_F(ServerTest, DecodesGzipAndZstdAndSurvivesBombs) {
  start(options());
  const std::string body = text_of_size(300'000);
  const auto post = [&](std::string_view path, std::string bytes, std::string coding) {
    ClientRequest q{.method = Method::post, .url = url(path), .body = std::move(bytes)};
    q.headers.set("Content-Encoding", std::move(coding));
    return ask(std::move(q));
  };
  EXPECT_TRUE(post("/echo", gzip(body), "gzip")->body == body);
  EXPECT_TRUE(post("/echo", gzip(body) + gzip("more"), "GZIP")->body == body + "more");
  EXPECT_TRUE(post("/echo", zstd(body), "zstd")->body == body);
  EXPECT_EQ(post("/echo", zstd(body).substr(0, 20), "zstd")->status, 400);
  EXPECT_EQ(post("/echo", gzip(body).substr(0, 200), "gzip")->status, 400);
  EXPECT_EQ(post("/echo", "nonsense", "gzip")->status, 400);
  EXPECT_EQ(post("/echo", body, "br")->status, 415);
  const std::string zeros(100U << 20U, '\0');
  const std::string gzip_bomb = gzip(zeros), zstd_bomb = zstd(zeros);
  EXPECT_LT(zstd_bomb.size(), 20'000U);
  EXPECT_EQ(post("/echo", gzip_bomb, "gzip")->status, 413);
  EXPECT_EQ(post("/echo", zstd_bomb, "zstd")->status, 413);
  EXPECT_EQ(post("/small", zstd(std::string(1001, 'x')), "zstd")->status, 413);
  EXPECT_EQ(post("/small", zstd(std::string(1000, 'x')), "zstd")->body, "1000");
}

TEST_F(ServerTest, TheDoorHasTheLastWordOnWhatTheServerRefusesItself) {
  router.guard({.arrive = [](Request&) -> std::function<void(Reply&)> {
    return [](Reply& reply) { reply.headers.set("X-Door", std::to_string(reply.status)); };
  }});
  start(options());
  const auto post = [&](std::string_view path, std::string bytes, std::string coding) {
    ClientRequest q{.method = Method::post, .url = url(path), .body = std::move(bytes)};
    if (!coding.empty()) q.headers.set("Content-Encoding", std::move(coding));
    const auto reply = ask(std::move(q));
    const std::string* said = reply->headers.find("X-Door");
    return said == nullptr ? std::string("nothing") : *said;
  };
  EXPECT_EQ(post("/small", "nonsense", "gzip"), "400");
  EXPECT_EQ(post("/small", "nonsense", "br"), "415");
  EXPECT_EQ(post("/small", gzip(text_of_size(2000)), "gzip"), "413");
  EXPECT_EQ(post("/small", text_of_size(2000), ""), "413");
  EXPECT_EQ(post("/small", "ok", ""), "200");
}

TEST_F(ServerTest, ReadsChunkedBodiesWithTheSameLimits) {
  start(options());
  const auto chunked = [&](std::string_view path, std::string_view chunks) {
    return raw("POST " + std::string(path) +
               " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" + std::string(chunks));
  };
  EXPECT_TRUE(
      chunked("/echo", "5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\nTrailer: x\r\n\r\n").ends_with("hello, world"));
  EXPECT_NE(chunked("/small", "3e9\r\n" + std::string(1001, 'x') + "\r\n0\r\n\r\n").find("HTTP/1.1 413"),
            std::string::npos);
  EXPECT_NE(chunked("/echo", "zz\r\n").find("HTTP/1.1 400"), std::string::npos);
  EXPECT_NE(chunked("/echo", "fffffffffffffffff\r\n").find("HTTP/1.1 4"), std::string::npos);
  EXPECT_TRUE(chunked("/echo", "1" + std::string(100'000, '0') + "\r\n").starts_with("HTTP/1.1 4"));
}

TEST_F(ServerTest, AMethodThatNoRouteHasIsRefusedWithThoseThatAre) {
  start(options());
  const std::string trace = raw("TRACE /echo HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(trace.starts_with("HTTP/1.1 405")) << trace;
  EXPECT_NE(trace.find("Allow: POST\r\n"), std::string::npos) << trace;
  EXPECT_TRUE(raw("OPTIONS /nothing HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 404"));
  EXPECT_TRUE(raw("BREW /echo HTTP/1.1\r\nHost: x\r\n\r\n").starts_with("HTTP/1.1 405"));
}

TEST_F(ServerTest, TwoWaysToSayTheLengthAreRefused) {
  start(options());
  EXPECT_NE(raw("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
                .find("HTTP/1.1 400"),
            std::string::npos);
  EXPECT_NE(
      raw("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd").find("HTTP/1.1 400"),
      std::string::npos);
  EXPECT_NE(
      raw("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n").find("HTTP/1.1 501"),
      std::string::npos);
}

TEST_F(ServerTest, AnswersPipelinedRequestsInOrder) {
  start(options());
  std::string many;
  for (int i = 0; i < 100; ++i)
    many += "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n" + std::to_string(1000 + i);
  many += "GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
  const std::string got = raw(many);
  std::size_t at = 0;
  for (int i = 0; i < 100; ++i) {
    at = got.find("\r\n\r\n" + std::to_string(1000 + i), at);
    ASSERT_NE(at, std::string::npos) << i;
  }
  EXPECT_TRUE(got.ends_with("hello"));
}

TEST_F(ServerTest, GarbageIsAnsweredOnceAndEndsTheConnection) {
  start(options());
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  for (const std::string& bytes :
       {std::string("\r\n\r\nnonsense\r\n\r\n"), all + "\r\n\r\n", std::string("GET /hello\r\n\r\n"),
        std::string("GET /hello HTTP/9.9\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS client\r\n\r\n"),
        std::string("GET /hello HTTP/1.1\r\nno colon\r\n\r\n"), std::string("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n"),
        std::string("GET /hello HTTP/1.1\r\n\r\n"), std::string("BREW /hello HTTP/1.1\r\nHost: x\r\n\r\n"),
        "GET /hello HTTP/1.1\r\nHost: x\r\nX: " + std::string(70'000, 'x') + "\r\n\r\n", std::string(100'000, 'x')}) {
    const std::string answer = raw(bytes);
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.1 5")) << answer.substr(0, 100);
  }
  EXPECT_EQ(ask({.url = url("/hello")})->body, "hello") << "others are not disturbed";
  EXPECT_GT(refused("not_http"), 3U);
}

TEST_F(ServerTest, HeadersUpTo64KibAreFine) {
  start(options());
  ClientRequest q{.url = url("/hello")};
  q.headers.set("X-Long", std::string(60'000, 'x'));
  EXPECT_EQ(ask(q)->body, "hello");
}

TEST_F(ServerTest, SlowSendersAreCutAtTheirDeadlines) {
  start(options());
  const RawSocket header(server->port()), body(server->port()), idle(server->port());
  header.send("GET /hello HT");
  body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_TRUE(header.read_all().starts_with("HTTP/1.1 408"));
  EXPECT_TRUE(body.read_all().starts_with("HTTP/1.1 408"));
  EXPECT_EQ(idle.read_all(), "");
  EXPECT_EQ(refused("slow"), 2U);
}

TEST_F(ServerTest, ALongBodyThatKeepsComingIsHeard) {
  start(options());
  constexpr std::size_t piece = 80'000, pieces = 4;
  const RawSocket s(server->port());
  s.send("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " + std::to_string(piece * pieces) +
         "\r\n\r\n");
  std::promise<void> all;
  std::size_t sent = 0;
  std::function<void()> more = [&] {
    s.send(std::string(piece, 'x'));
    if (++sent == pieces) all.set_value();
    else threads.after(350ms, app, more);
  };
  more();
  all.get_future().wait();  // longer than twice the body's deadline
  const std::string answer = s.read_all();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer.substr(0, 200);
}

TEST_F(ServerTest, AnAnswerThatNeverComesIs500AfterTheDeadlineAndALateOneIsDropped) {
  start(options());
  const auto begin = std::chrono::steady_clock::now();
  const RawSocket s(server->port());
  s.send("GET /never HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(s.read_until("}").starts_with("HTTP/1.1 500"));
  EXPECT_GT(std::chrono::steady_clock::now() - begin, 900ms);
  s.send("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  {
    const std::lock_guard lock(mutex);
    ASSERT_EQ(forgotten.size(), 1U);
    (*forgotten[0])(text("late"));
  }
  const std::string rest = s.read_all();
  EXPECT_TRUE(rest.ends_with("hello")) << rest;
  EXPECT_EQ(rest.find("late"), std::string::npos);
}

TEST_F(ServerTest, ServesFilesWholeAndInParts) {
  start(options());
  const std::string content = text_of_size(3'000'000);
  std::ofstream(file_path, std::ios::binary) << content;
  EXPECT_TRUE(ask({.url = url("/file")})->body == content);
  const auto part = [&](std::string range) {
    ClientRequest q{.url = url("/file")};
    q.headers.set("Range", std::move(range));
    return *ask(std::move(q));
  };
  EXPECT_EQ(part("bytes=10-19").body, content.substr(10, 10));
  EXPECT_EQ(part("bytes=10-19").status, 206);
  EXPECT_EQ(*part("bytes=10-19").headers.find("content-range"), "bytes 10-19/3000000");
  EXPECT_TRUE(part("bytes=1000000-").body == content.substr(1'000'000));
  EXPECT_EQ(part("bytes=-5").body, content.substr(content.size() - 5));
  EXPECT_EQ(part("bytes=2999999-99999999").body, content.substr(2'999'999));
  EXPECT_EQ(part("bytes=3000000-").status, 416);
  EXPECT_EQ(*part("bytes=3000000-").headers.find("content-range"), "bytes */3000000");
  EXPECT_EQ(part("bytes=5-1").status, 200) << "not a range: the whole";
  EXPECT_EQ(part("lines=1-2").status, 200);
  ClientRequest q{.url = url("/file")};
  q.headers.set("If-None-Match", "W/\"v0\", \"v1\"");
  EXPECT_EQ(ask(q)->status, 304);
  EXPECT_EQ(ask(q)->body, "");
  ClientRequest resumed{.url = url("/file")};
  resumed.headers.set("Range", "bytes=10-19");
  resumed.headers.set("If-Range", "\"v0\"");
  EXPECT_EQ(ask(resumed)->status, 200) << "the rest of another version would be nonsense";
  EXPECT_EQ(ask({.url = url("/file?missing=1")})->status, 404);
}

// Streams

namespace {

struct Followed {
  std::mutex mutex;
  std::vector<SseEvent> events;
  std::optional<Error> end;
  bool open = false;
  StreamEvents into() {
    return {.on_open =
                [this] {
                  const std::lock_guard lock(mutex);
                  open = true;
                },
            .on_event =
                [this](SseEvent e) {
                  const std::lock_guard lock(mutex);
                  events.push_back(std::move(e));
                },
            .on_end =
                [this](Error e) {
                  const std::lock_guard lock(mutex);
                  end = std::move(e);
                }};
  }
  std::size_t count() {
    const std::lock_guard lock(mutex);
    return events.size();
  }
  bool ended() {
    const std::lock_guard lock(mutex);
    return end.has_value();
  }
};

}  // namespace

TEST_F(ServerTest, AStreamCarriesEventsAndResumesFromTheLastId) {
  start(options());
  Followed f, g;
  auto open = client->stream({.url = url("/stream"), .timeout = 2s}, app, f.into());
  ASSERT_TRUE(eventually([&] { return f.count() == 3; }));
  EXPECT_TRUE(f.open);
  EXPECT_EQ(f.events[2].id, "3");
  EXPECT_EQ(f.events[2].event, "n");
  EXPECT_EQ(f.events[2].data, "data 3");
  {
    const std::lock_guard lock(mutex);
    EXPECT_TRUE(streams[0]->send({"4", "", "two\nlines"}));
  }
  ASSERT_TRUE(eventually([&] { return f.count() == 4; }));
  EXPECT_EQ(f.events[3].data, "two\nlines");
  EXPECT_EQ(f.events[3].event, "");
  ClientRequest q{.url = url("/stream")};
  q.headers.set("Last-Event-ID", "2");
  auto again = client->stream(q, app, g.into());
  ASSERT_TRUE(eventually([&] { return g.count() == 1; }));
  EXPECT_EQ(g.events[0].id, "3");
  open->close();
  ASSERT_TRUE(eventually([&] { return f.ended(); }));
  EXPECT_EQ(f.end->code, Code::unavailable);
  ASSERT_TRUE(eventually([&] { return closed == 1; })) << "the server learns that the client has gone";
  again.reset();
  ASSERT_TRUE(eventually([&] { return closed == 2; }));
  EXPECT_FALSE(g.ended()) << "who lets go is not called";
}

TEST_F(ServerTest, HeartbeatsKeepASilentStreamOpen) {
  start(options());
  Followed f;
  auto open = client->stream({.url = url("/stream"), .timeout = 1s}, app, f.into());
  ASSERT_TRUE(eventually([&] { return f.count() == 3; }));
  const RawSocket s(server->port());
  s.send("GET /stream HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 3\r\n\r\n");
  EXPECT_NE(s.read_until("3\r\n:\n\n\r\n3\r\n:\n\n\r\n").find("text/event-stream"), std::string::npos);
  // 2.5 times its timeout of one second, on the clock that both of them use
  std::promise<void> later;
  threads.after(2500ms, app, [&] { later.set_value(); });
  later.get_future().wait();
  EXPECT_FALSE(f.ended());
}

TEST_F(ServerTest, AStreamThatIsSilentForItsTimeoutEnds) {
  ServerOptions o = options();
  o.heartbeat = 60s;
  start(o);
  Followed f;
  const Duration begin = threads.steady();
  auto open = client->stream({.url = url("/stream"), .timeout = 1s}, app, f.into());
  ASSERT_TRUE(eventually([&] { return f.ended(); }));
  EXPECT_EQ(f.count(), 3U);
  EXPECT_EQ(f.end->code, Code::unavailable);
  EXPECT_GE(threads.steady() - begin, 1s);
  EXPECT_LT(threads.steady() - begin, 8s);
}

TEST_F(ServerTest, AStreamThatTheServerEndsOrRefusesSaysSo) {
  start(options());
  Followed ends, refused_one, missing;
  auto a = client->stream({.url = url("/ends")}, app, ends.into());
  auto b = client->stream({.url = url("/closed")}, app, refused_one.into());
  auto c = client->stream({.url = url("/nothing")}, app, missing.into());
  ASSERT_TRUE(eventually([&] { return ends.ended() && refused_one.ended() && missing.ended(); }));
  EXPECT_EQ(ends.events.size(), 1U);
  EXPECT_EQ(ends.end->code, Code::unavailable);
  EXPECT_FALSE(refused_one.open);
  EXPECT_EQ(refused_one.end->code, Code::forbidden);
  EXPECT_EQ(missing.end->code, Code::not_found);
}

TEST_F(ServerTest, AClientThatDoesNotReadIsCutWhenItsBufferIsFull) {
  ServerOptions o = options();
  o.stream_buffer = 200'000;
  o.idle_deadline = 60s;
  start(o);
  const RawSocket s(server->port(), 4096);
  s.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return streams.size() == 1;
  }));
  const std::string data(10'000, 'x');
  std::size_t sent = 0, most = 0;
  while (streams[0]->send({"9", "", data})) {
    ++sent;
    most = std::max(most, streams[0]->waiting_bytes());
    ASSERT_LT(sent, 10'000U) << "100 MB in nobody's buffer";
  }
  EXPECT_LE(most, 200'000U);
  EXPECT_TRUE(eventually([&] { return closed == 1; }));
  EXPECT_EQ(refused("stream_slow"), 1U);
}

TEST_F(ServerTest, AReaderWithoutProgressIsCut) {
  start(options());
  std::ofstream(file_path, std::ios::binary) << std::string(30'000'000, 'x');
  const RawSocket s(server->port(), 4096);
  s.send("GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(eventually([&] { return refused("slow_reader") == 1; }));
}

// TLS

TEST_F(ServerTest, TlsWithAClientCertificateSaysWhoItIs) {
  const testing::Certificates ca(threads);
  ServerOptions o = options();
  o.tls = ca.server();
  start(o);
  auto identity = std::make_shared<TlsIdentity>(ca.client("node-7"));
  const auto own = x509::read_certificate(identity->certificate_pem).value();
  const auto reply = ask({.url = url("/who", true), .tls = identity});
  ASSERT_TRUE(reply) << to_string(reply.error());
  EXPECT_EQ(reply->body, "127.0.0.1 node-7 " + own.serial);
  auto nobody = std::make_shared<TlsIdentity>();
  nobody->ca_pem = ca.authority();
  EXPECT_EQ(ask({.url = url("/who", true), .tls = nobody})->body, "127.0.0.1  ") << "without one a client is nobody";
  const std::string body = text_of_size(2'000'000);
  EXPECT_TRUE(ask({.method = Method::post, .url = url("/echo", true), .body = body, .tls = identity})->body == body);
}

TEST_F(ServerTest, StrangersAreRefusedOnBothSides) {
  const testing::Certificates ca(threads), other(threads);
  ServerOptions o = options();
  o.tls = ca.server();
  start(o);
  // The client does not know the server's authority; system's and another's.
  EXPECT_EQ(ask({.url = url("/who", true)}).error().code, Code::forbidden);
  auto wrong_ca = std::make_shared<TlsIdentity>();
  wrong_ca->ca_pem = other.authority();
  EXPECT_EQ(ask({.url = url("/who", true), .tls = wrong_ca}).error().code, Code::forbidden);
  // Unverified believes it.
  auto blind = std::make_shared<TlsIdentity>();
  blind->unverified = true;
  EXPECT_EQ(ask({.url = url("/who", true), .tls = blind})->status, 200);
  // The server does not know the client's authority, or its certificate is over.
  auto foreign = std::make_shared<TlsIdentity>(other.client("node-7"));
  foreign->ca_pem = ca.authority();
  EXPECT_EQ(ask({.url = url("/who", true), .tls = foreign}).error().code, Code::forbidden);
  auto over = std::make_shared<TlsIdentity>(ca.client("node-7", -1h));
  EXPECT_EQ(ask({.url = url("/who", true), .tls = over}).error().code, Code::forbidden);
  EXPECT_TRUE(eventually([&] { return refused("tls") == 4; })) << "counted when the server has heard the refusal";
  // Plain HTTP to a TLS port.
  EXPECT_EQ(ask({.url = "http://127.0.0.1:" + std::to_string(server->port()) + "/who"}).error().code,
            Code::unavailable);
}

TEST_F(ServerTest, ARevokedCertificateIsCutAtOnceAndStaysOut) {
  const testing::Certificates ca(threads);
  std::atomic<bool> revoked{false};
  const auto identity = std::make_shared<TlsIdentity>(ca.client("node-7"));
  const std::string serial = x509::read_certificate(identity->certificate_pem)->serial;
  ServerOptions o = options();
  o.tls = ca.server();
  o.tls->revoked = [&](const std::string& s) { return revoked && s == serial; };
  start(o);
  Followed f;
  auto open = client->stream({.url = url("/stream", true), .tls = identity}, app, f.into());
  ASSERT_TRUE(eventually([&] { return f.count() == 3; }));
  EXPECT_EQ(ask({.url = url("/who", true), .tls = identity})->status, 200);
  revoked = true;
  server->cut(serial);
  EXPECT_TRUE(eventually([&] { return f.ended() && closed == 1; }));
  EXPECT_EQ(ask({.url = url("/who", true), .tls = identity}).error().code, Code::unavailable);
  EXPECT_EQ(ask({.url = url("/who", true), .tls = std::make_shared<TlsIdentity>(ca.client("node-8"))})->status, 200);
}

TEST_F(ServerTest, ARenewedServerCertificateIsUsedForNewConnections) {
  const testing::Certificates before(threads), after(threads);
  ServerOptions o = options();
  o.tls = before.server(false);
  start(o);
  auto old_ca = std::make_shared<TlsIdentity>(), new_ca = std::make_shared<TlsIdentity>();
  old_ca->ca_pem = before.authority();
  new_ca->ca_pem = after.authority();
  EXPECT_EQ(ask({.url = url("/hello", true), .tls = old_ca})->body, "hello");
  EXPECT_EQ(server->replace_tls({.certificate_pem = "nonsense", .key_pem = ""}).error().code, Code::bad_input);
  ASSERT_TRUE(server->replace_tls(after.server(false)));
  EXPECT_EQ(ask({.url = url("/hello", true), .tls = new_ca})->body, "hello");
}

// Many, and the end

TEST_F(ServerTest, AThousandConnectionsAreServedAndOneMoreIsTold) {
  ServerOptions o = options();
  o.idle_deadline = 60s;
  o.header_deadline = 60s;
  start(o);
  client.reset();
  std::vector<std::unique_ptr<RawSocket>> all;
  for (int i = 0; i < 1000; ++i) all.push_back(std::make_unique<RawSocket>(server->port()));
  for (const auto& s : all) ASSERT_TRUE(s->send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"));
  for (const auto& s : all) ASSERT_TRUE(s->read_until("hello").ends_with("hello"));
  EXPECT_TRUE(RawSocket(server->port()).read_all().starts_with("HTTP/1.1 503"));
  EXPECT_EQ(refused("connections"), 1U);
  all.pop_back();
  EXPECT_TRUE(eventually([&] {
    const RawSocket s(server->port());
    s.send("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    return s.read_until("\r\n\r\n").starts_with("HTTP/1.1 200");
  }));
}

TEST_F(ServerTest, StoppingAnswersWhatIsBeingHandledAndEndsStreams) {
  std::promise<void> entered, go;
  auto gate = go.get_future().share();
  router.get("/slow", Needs::anyone, [&entered, gate](const Request&) {
    entered.set_value();
    gate.wait();
    return text("done");
  });
  start(options());
  const RawSocket s(server->port()), idle(server->port()), stream(server->port());
  s.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
  stream.send("GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_NE(stream.read_until("data 3").find("data 3"), std::string::npos);
  entered.get_future().wait();
  std::thread opener([&] {
    idle.read_all();  // closed: the server is stopping
    go.set_value();
  });
  server.reset();
  opener.join();
  const std::string answer = s.read_all();
  EXPECT_TRUE(answer.ends_with("done")) << answer;
  EXPECT_NE(answer.find("Connection: close"), std::string::npos);
  EXPECT_EQ(closed, 1);
}

TEST_F(ServerTest, AnAddressInUseIsAConflict) {
  start(options());
  ServerOptions o = options();
  o.port = server->port();
  EXPECT_EQ(Server::start(threads, router, o).error().code, Code::conflict);
  o.address = "not an address";
  EXPECT_EQ(Server::start(threads, router, o).error().code, Code::bad_input);
}

TEST_F(ServerTest, AFullQueueOfHandlersIs503) {
  const QueueId narrow = threads.queue({.name = "narrow", .limit = 1});
  std::promise<void> go;
  auto gate = go.get_future().share();
  router.get("/wait", Needs::anyone, [gate](const Request&) {
    gate.wait();
    return text("done");
  });
  ServerOptions o = options();
  o.handlers = narrow;
  start(o);
  std::vector<std::unique_ptr<RawSocket>> all;
  for (int i = 0; i < 5; ++i) {
    all.push_back(std::make_unique<RawSocket>(server->port()));
    all.back()->send("GET /wait HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  }
  EXPECT_TRUE(eventually([&] { return refused("busy") >= 3; }));
  go.set_value();
  int served = 0, busy = 0;
  for (const auto& s : all) {
    const std::string answer = s->read_all();
    served += answer.ends_with("done") ? 1 : 0;
    busy += answer.starts_with("HTTP/1.1 503") ? 1 : 0;
  }
  EXPECT_EQ(served + busy, 5);
  EXPECT_GE(served, 1);
}

}  // namespace bavn::net
