// `bavn bench beacon`: a real hub and real guest node processes on this machine, a base of indicators that they share, entries of the log
// published while other nodes report in bulk. A node answers each entry with the moment at which it applied it (one clock: one machine).
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "app/hub_process.hpp"
#include "app/node_process.hpp"
#include "app/process.hpp"
#include "base/json_writer.hpp"
#include "match/indicators/load.hpp"

namespace bavn::app {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::uint16_t free_port() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    if (fd >= 0) close(fd);
    return 0;
  }
  close(fd);
  return ntohs(address.sin_port);
}

double percentile(std::vector<double>& sorted, double p) {
  if (sorted.empty()) return 0;
  const auto at = static_cast<std::size_t>(p * static_cast<double>(sorted.size() - 1) + 0.5);
  return sorted[std::min(at, sorted.size() - 1)];
}

/// A node without engine: it only reports, as fast as the hub takes it.
class BulkReporter {
 public:
  static Result<std::unique_ptr<BulkReporter>> open(Runtime& runtime, Metrics& metrics, const std::string& folder) {
    auto r = std::make_unique<BulkReporter>();
    r->client = node_client(runtime, folder);
    BAVN_TRY(r->enrolment,
             tenants::Enrolment::open(runtime, *r->client, runtime.queue({.name = "bulk"}), folder + "/keys"));
    store::StateOptions s;
    s.path = folder + "/state.db";
    s.schema = {"core", "node"};
    BAVN_TRY(r->state, store::State::open(runtime, s));
    const auto who = r->enrolment->identity();
    beacon::NodeOptions o;
    o.hub = "https://" + who->hub;
    o.node = who->name;
    o.version = "bench";
    o.municipalities = who->municipalities;
    o.folder = folder + "/beacon";
    o.check = [root = who->root](std::string_view text) -> Result<beacon::CertifiedKey> {
      BAVN_TRY(const tenants::HubStatement h, tenants::read_statement(text, root));
      return beacon::CertifiedKey{h.hub_key, h.epoch, h.not_before, h.not_after};
    };
    o.tls = [e = r->enrolment.get()] { return e->identity()->tls; };
    r->home = who->municipalities.front();
    BAVN_TRY(r->node, beacon::NodeBeacon::open(runtime, *r->state, *r->client, metrics, std::move(o)));
    r->node->on_other_entry([](store::Tx&, const beacon::Received&) -> Result<void> { return {}; });
    r->state->start();
    r->node->start();
    return r;
  }
  void run(std::stop_token stop) {
    // As long as an alert's usual report.
    const std::string body = fmt::format("{{\"rule\":\"bench\",\"level\":\"medium\",\"count\":1,\"example\":\"{}\"}}",
                                         std::string(360, 'x'));
    while (!stop.stop_requested()) {
      if (node->status().up.waiting > 2000) {
        std::this_thread::sleep_for(5ms);
        continue;
      }
      const auto done = state->write_now([&](store::Tx& tx) -> Result<void> {
        for (unsigned n = 0; n < 200; ++n) BAVN_CHECK(node->report(tx, "alert", body, home, event::Tlp::amber));
        return {};
      });
      if (done) written += 200;
    }
  }
  ~BulkReporter() {
    if (node) node->stop();
    if (state) state->stop();
  }

  std::unique_ptr<net::Client> client;
  std::unique_ptr<tenants::Enrolment> enrolment;
  std::unique_ptr<store::State> state;
  std::unique_ptr<beacon::NodeBeacon> node;
  MunicipalityId home;
  std::atomic<std::uint64_t> written = 0;
};

struct Bench {
  const BeaconBench& options;
  std::string folder;
  std::uint16_t port = 0;
  std::unique_ptr<HubProcess> hub;
  std::vector<std::string> codes;

  Result<void> people(Runtime& runtime, Progress& progress) {
    const auto everyone = tenants::Municipalities::all();
    const event::Scope owner = event::Scope::local_owner();
    unsigned made = 0;
    for (const auto& m : everyone.list()) {
      if (made == options.nodes + options.reporters) break;
      const bool reporter = made >= options.nodes;
      BAVN_TRY(const auto invited, hub->core().invite(owner, {m.code()}, reporter ? "package" : "guest", ""));
      const std::string at = folder + (reporter ? "/reporters" : "/hub/guests");
      BAVN_TRY(const std::string path, Guests::add(at, m.code()));
      if (!reporter) BAVN_CHECK(Guests::set_stopped(at, m.code(), true));
      BAVN_CHECK(enrol(runtime, path, invited.code, "bench"));
      codes.push_back(m.code());
      ++made;
      progress.show([&] { return fmt::format("enrolled {} of {}", made, options.nodes + options.reporters); });
    }
    if (made < options.nodes + options.reporters) return fail(Code::bad_input, "there are not so many municipalities");
    return {};
  }

  /// Answers to one test beacon, at most `wait`; by municipality.
  Result<std::vector<BeaconAnswer>> ask(std::size_t wanted, Duration wait) {
    const event::Scope owner = event::Scope::local_owner();
    BAVN_TRY(const std::string id, hub->core().test_beacon(owner, std::nullopt, ""));
    const auto until = Clock::now() + wait;
    for (;;) {
      BAVN_TRY(const auto a, hub->core().answers(owner, id));
      if (a.answers.size() >= wanted || Clock::now() > until) return a.answers;
      std::this_thread::sleep_for(50ms);
    }
  }
};

}  // namespace

int bench_beacon(const BeaconBench& options) {
  const StopOnSignal stop;
  Progress progress(options.json);
  rlimit files{};
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  Bench bench{options, {}, free_port(), {}, {}};
  const std::string parent =
      options.directory.empty() ? std::filesystem::temp_directory_path().string() : options.directory;
  bench.folder = fmt::format("{}/bavn-bench-beacon-{}", parent, getpid());
  std::filesystem::create_directories(bench.folder);
  const auto clean = [&] {
    std::error_code ec;
    if (!options.keep) std::filesystem::remove_all(bench.folder, ec);
  };
  int code = kDone;
  {
    Threads runtime;
    Metrics metrics;
    const auto run = [&]() -> Result<void> {
      const std::string hub_folder = bench.folder + "/hub";
      BAVN_CHECK(HubProcess::init(runtime, hub_folder, {"bench", {"127.0.0.1"}, "127.0.0.1", bench.port}));
      DiskFiles disk;
      BAVN_TRY(std::string settings, read_file(disk, hub_folder + "/settings.toml", 1U << 20U));
      BAVN_CHECK(replace_file(disk, hub_folder + "/settings.toml", settings + "control_port = 0\n[web]\nport = -1\n"));
      BAVN_TRY(bench.hub, HubProcess::open(runtime, metrics, hub_folder, true, {}));
      BAVN_CHECK(bench.people(runtime, progress));
      auto start = Clock::now();
      std::size_t in_base = 0;  // a few of the made-up ones are alike
      if (options.indicators != 0) {
        BAVN_TRY(in_base, bench.hub->core().make_base_now([&](match::indicators::IndicatorBuilder& b) -> Result<void> {
          match::indicators::add_random(b, options.indicators, 1);
          return {};
        }));
      }
      const double base_seconds = seconds_since(start);
      start = Clock::now();
      for (unsigned n = 0; n < options.nodes; ++n)
        BAVN_CHECK(Guests::set_stopped(hub_folder + "/guests", bench.codes[n], false));
      // All are there when all answered, and hold the base when all say so.
      const Duration most = std::chrono::minutes(5);
      std::size_t with_base = 0;
      while (seconds_since(start) * 1e6 < static_cast<double>(most.count()) && !stop.token().stop_requested()) {
        BAVN_TRY(with_base, bench.hub->core().nodes_with_indicators(in_base));
        progress.show([&] { return fmt::format("{} of {} nodes hold the indicators", with_base, options.nodes); });
        if (with_base >= options.nodes) break;
        std::this_thread::sleep_for(100ms);
      }
      BAVN_TRY(const auto first, bench.ask(options.nodes, 60s));
      const double start_seconds = seconds_since(start);
      std::vector<std::unique_ptr<BulkReporter>> reporters;
      std::vector<std::jthread> threads;
      for (unsigned n = 0; n < options.reporters; ++n) {
        BAVN_TRY(auto r,
                 BulkReporter::open(runtime, metrics, bench.folder + "/reporters/" + bench.codes[options.nodes + n]));
        reporters.push_back(std::move(r));
      }
      std::this_thread::sleep_for(5s);  // idle, for the memory
      std::vector<double> mine, shared;
      for (const Guest& g : bench.hub->guests()->list())
        if (g.pid != 0) {
          mine.push_back(g.private_mb);
          shared.push_back(g.shared_mb);
        }
      std::sort(mine.begin(), mine.end());
      std::sort(shared.begin(), shared.end());
      for (auto& r : reporters) threads.emplace_back([&r](std::stop_token token) { r->run(token); });
      const auto bulk_start = Clock::now();
      // The entries, at the given pace.
      const event::Scope owner = event::Scope::local_owner();
      std::vector<std::string> ids;
      for (unsigned n = 0; n < options.entries && !stop.token().stop_requested(); ++n) {
        BAVN_TRY(const std::string id, bench.hub->core().test_beacon(owner, std::nullopt, ""));
        ids.push_back(id);
        std::this_thread::sleep_until(bulk_start +
                                      std::chrono::milliseconds(1000 * (n + 1) / std::max(1U, options.rate)));
        progress.show([&] { return fmt::format("published {} of {}", n + 1, options.entries); });
      }
      const double bulk_seconds = seconds_since(bulk_start);
      std::uint64_t written = 0;
      for (auto& r : reporters)
        written += r->written - static_cast<std::uint64_t>(std::max<std::int64_t>(0, r->node->status().up.waiting));
      const auto wait_start = Clock::now();
      std::vector<double> applied, round;
      std::size_t missing = 0;
      for (const std::string& id : ids) {
        for (;;) {
          BAVN_TRY(const auto a, bench.hub->core().answers(owner, id));
          std::size_t nodes = 0;
          for (const auto& answer : a.answers) nodes += answer.municipality != 0 ? 1 : 0;
          if (nodes < options.nodes && seconds_since(wait_start) < 60 && !stop.token().stop_requested()) {
            std::this_thread::sleep_for(50ms);
            continue;
          }
          missing += options.nodes - std::min<std::size_t>(options.nodes, nodes);
          for (const auto& answer : a.answers) {
            applied.push_back(static_cast<double>(answer.applied_at_us - a.sent_at_us) / 1000);
            round.push_back(static_cast<double>(answer.received_at_us - a.sent_at_us) / 1000);
          }
          break;
        }
      }
      threads.clear();
      std::sort(applied.begin(), applied.end());
      std::sort(round.begin(), round.end());
      double total = 0;
      for (const double m : mine) total += m;
      std::string out;
      JsonWriter w(out);
      w.object()
          .member("bench", "beacon")
          .member("nodes", static_cast<std::uint64_t>(mine.size()))
          .member("indicators", static_cast<std::uint64_t>(in_base));
      w.member("nodes_with_indicators", static_cast<std::uint64_t>(with_base));
      w.member("answered_first", static_cast<std::uint64_t>(first.size()));
      w.member("entries", static_cast<std::uint64_t>(ids.size()))
          .member("entries_missing", static_cast<std::uint64_t>(missing));
      w.member("p50_ms", percentile(applied, 0.5))
          .member("p99_ms", percentile(applied, 0.99))
          .member("max_ms", percentile(applied, 1));
      w.member("answer_durable_at_hub_p99_ms", percentile(round, 0.99));
      w.member("private_mb_per_node", percentile(mine, 1))
          .member("private_mb_mean", mine.empty() ? 0 : total / static_cast<double>(mine.size()));
      w.member("shared_mb", percentile(shared, 0.5));
      w.member("bulk_reporters", static_cast<std::uint64_t>(reporters.size()));
      w.member("bulk_reports_per_second", bulk_seconds > 0 ? static_cast<double>(written) / bulk_seconds : 0);
      w.member("base_seconds", base_seconds).member("start_all_seconds", start_seconds).end();
      if (options.json) {
        fmt::print("{}\n", out);
      } else {
        fmt::print(
            "{} guest nodes, {} indicators in one base shared by all (built in {:.1f} s; all up and answering after "
            "{:.1f} s)\n"
            "memory of a node's own: {:.0f} MB mean, {:.0f} MB most; shared {:.0f} MB\n"
            "{} entries published while {} nodes delivered {:.0f} reports/s: applied at every node p50 {:.0f} ms, p99 "
            "{:.0f} ms, "
            "worst {:.0f} ms; {} missing\n",
            mine.size(), options.indicators, base_seconds, start_seconds,
            mine.empty() ? 0 : total / static_cast<double>(mine.size()), percentile(mine, 1), percentile(shared, 0.5),
            ids.size(), reporters.size(), bulk_seconds > 0 ? static_cast<double>(written) / bulk_seconds : 0,
            percentile(applied, 0.5), percentile(applied, 0.99), percentile(applied, 1), missing);
      }
      if (missing != 0 || mine.size() < options.nodes)
        return fail(Code::unavailable, fmt::format("{} answers are missing", missing));
      return {};
    };
    const auto done = run();
    if (!done) code = failed(done.error());
    bench.hub.reset();
  }
  clean();
  return code;
}

}  // namespace bavn::app
