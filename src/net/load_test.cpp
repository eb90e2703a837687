// What a hub and an intake need of this folder: events to many streams beside reports, and large bodies. Prints what it measures;
// fails only when it is far from the promise, since test machines are busy.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>

#include "base/eventually.hpp"
#include "base/threads.hpp"
#include "net/testing.hpp"

namespace bavn::net {

using namespace std::chrono_literals;

namespace {

#ifdef BAVN_SANITIZED
constexpr int slower = 10;
#else
constexpr int slower = 1;
#endif

// Seconds of CPU that threads of this name have used.
double cpu_seconds_of(const std::string& name) {
  double seconds = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::string comm, stat;
    std::getline(std::ifstream(task.path() / "comm"), comm);
    if (comm != name) continue;
    std::getline(std::ifstream(task.path() / "stat"), stat);
    std::istringstream fields(stat.substr(stat.rfind(')') + 2));
    std::string field;
    for (int i = 3; i <= 15; ++i) {
      fields >> field;
      if (i >= 14) seconds += std::stod(field) / static_cast<double>(sysconf(_SC_CLK_TCK));
    }
  }
  return seconds;
}

}  // namespace

TEST(Load, NinetyEightStreamsAndNinetyEightReportersOnOneHub) {
  constexpr int nodes = 98, events = 100, reports = 10;
  Threads threads;
  const QueueId handlers = threads.queue({.name = "handlers", .threads = 2}), app = threads.queue({.name = "app"});
  const testing::Certificates ca(threads);
  Router router;
  std::mutex mutex;
  std::vector<std::shared_ptr<EventStream>> streams;
  std::atomic<int> reported{0}, answered{0};
  router.stream("/stream", Needs::anyone, [&](const Request&, std::shared_ptr<EventStream> s) {
    const std::lock_guard lock(mutex);
    streams.push_back(std::move(s));
  });
  router.post("/reports", Needs::anyone, [&](const Request& q) {
    ++reported;
    return text(std::to_string(q.body.size()));
  });
  auto server = Server::start(threads, router, {.tls = ca.server(), .handlers = handlers});
  ASSERT_TRUE(server);
  auto client = curl_client(threads, {.inside = {"localhost"}});
  const std::string base = "https://localhost:" + std::to_string((*server)->port());
  const auto identity = std::make_shared<TlsIdentity>(ca.client("node"));

  std::vector<std::int64_t> delays;  // microseconds; only on `app`
  std::atomic<int> got{0};
  std::vector<std::shared_ptr<OpenStream>> open;
  for (int i = 0; i < nodes; ++i)
    open.push_back(client->stream({.url = base + "/stream", .tls = identity}, app, {.on_event = [&](SseEvent e) {
                                    delays.push_back(threads.steady().count() - std::stoll(e.id));
                                    ++got;
                                  }}));
  ASSERT_TRUE(eventually([&] {
    const std::lock_guard lock(mutex);
    return streams.size() == nodes;
  }));

  // Every node sends its next report when the last one was answered.
  const std::string report(100'000, 'r');
  std::function<void(int)> send_report = [&](int left) {
    if (left > 0)
      client->send({.method = Method::post, .url = base + "/reports", .body = report, .tls = identity}, app,
                   [&, left](Result<ClientReply> r) {
                     EXPECT_TRUE(r) << to_string(r.error());
                     ++answered;
                     send_report(left - 1);
                   });
  };
  for (int i = 0; i < nodes; ++i) send_report(reports);
  const std::string data(500, 'd');
  std::function<void(int)> publish = [&](int left) {
    if (left == 0) return;
    {
      const std::lock_guard lock(mutex);
      for (const auto& s : streams) s->send({std::to_string(threads.steady().count()), "urgent", data});
    }
    threads.after(20ms, handlers, [&, left] { publish(left - 1); });
  };
  publish(events);
  ASSERT_TRUE(eventually([&] { return got == nodes * events && answered == nodes * reports; }, 60s))
      << got << " events, " << reported << " reports";
  client.reset();
  (*server).reset();
  std::sort(delays.begin(), delays.end());
  const auto at = [&](double q) {
    return static_cast<double>(delays[static_cast<std::size_t>(q * static_cast<double>(delays.size() - 1))]) / 1000;
  };
  printf("%d streams x %d events beside %d reports of 100 kB, TLS: p50 %.1f ms, p99 %.1f ms, worst %.1f ms\n", nodes,
         events, nodes * reports, at(0.5), at(0.99), at(1));
  EXPECT_LT(at(0.99), 1000.0 * slower);
}

TEST(Load, LargeBodiesOverPlainHttp) {
  constexpr std::size_t size = 1U << 20U;
  constexpr int senders = 2, each = 200;
  Threads threads;
  const QueueId handlers = threads.queue({.name = "handlers"});
  Router router;
  std::atomic<std::size_t> taken{0};
  router.post("/in", Needs::anyone,
              [&](const Request& q) {
                taken += q.body.size();
                return text("ok");
              },
              {.max_body = size});
  const auto server = Server::start(threads, router, {.handlers = handlers});
  ASSERT_TRUE(server);
  const std::string request =
      "POST /in HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" + std::string(size, 'b');
  const auto start = std::chrono::steady_clock::now();
  const double cpu_before = cpu_seconds_of("net-io");
  std::vector<std::thread> all;
  for (int i = 0; i < senders; ++i)
    all.emplace_back([&] {
      const testing::RawSocket s((*server)->port());
      for (int k = 0; k < each / slower; ++k) {
        ASSERT_TRUE(s.send(request));
        ASSERT_TRUE(s.read_until("\r\n\r\nok").starts_with("HTTP/1.1 200"));
      }
    });
  for (std::thread& t : all) t.join();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double cpu = cpu_seconds_of("net-io") - cpu_before;
  const double megabytes = static_cast<double>(taken) / 1e6;
  printf("%.0f MB in bodies of 1 MiB: %.0f MB/s, %.0f MB per CPU second of the I/O thread\n", megabytes,
         megabytes / seconds, megabytes / std::max(cpu, 0.01));
  EXPECT_EQ(taken, size * senders * (each / slower));
  EXPECT_GT(megabytes / seconds, 50.0 / slower);
}

}  // namespace bavn::net
