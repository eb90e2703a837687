// bavn bench history: what storing and looking back cost; bavn bench indicators: what a list of indicators costs.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "base/json_writer.hpp"
#include "history/bench.hpp"
#include "hunt/hunt.hpp"
#include "hunt/ingest.hpp"

namespace bavn::app {

namespace fs = std::filesystem;
namespace indicators = match::indicators;

namespace {

constexpr std::uint64_t kDefaultEvents = 2'000'000, kFileEvents = 250'000, kRareEvery = 100, kMostHunted = 2'000'000;
constexpr std::size_t kLookups = 10'000;

double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}

std::string rare_name(std::uint64_t n) {
  return "r" + std::to_string(n) + ".example.org";
}

/// Lines as a resolver's sensor writes them; every 100th has a name of its own.
Result<void> write_events(const std::string& path, std::uint64_t first, std::uint64_t n) {
  std::ofstream out(path, std::ios::binary);
  std::mt19937_64 random(first);
  for (std::uint64_t e = first; e < first + n; ++e) {
    const double u = static_cast<double>(random() >> 11U) * 0x1p-53;
    const auto popular = static_cast<std::uint64_t>(20'000.0 * u * u * u);
    const std::string name = e % kRareEvery == 0 ? rare_name(e) : "host" + std::to_string(popular) + ".example.net";
    out << fmt::format(
               R"({{"timestamp":"{}","flow_id":{},"in_iface":"eth0","event_type":"dns","src_ip":"192.0.2.{}","src_port":{},"dest_ip":"203.0.113.53","dest_port":53,)"
               R"("proto":"UDP","dns":{{"version":2,"type":"answer","id":{},"flags":"8180","qr":true,"rd":true,"ra":true,"rrname":"{}","rrtype":"A","rcode":"NOERROR",)"
               R"("answers":[{{"rrname":"{}","rrtype":"A","ttl":300,"rdata":"198.51.100.{}"}}]}}}})",
               format_time(from_micros(1'727'784'000'000'001 + static_cast<std::int64_t>(e) * 1000)), random(),
               random() % 250, 1024 + random() % 60000, random() % 65536, name, name, popular % 250)
        << '\n';
  }
  if (!out.flush()) return fail(Code::unavailable, "cannot write the events", path);
  return {};
}

struct HuntLane {
  std::uint64_t events = 0;
  double ingest_events_per_second = 0, size_ratio = 0, one_ms = 0, ten_thousand_s = 0, ten_thousand_again_s = 0;
};

/// The whole way: files are read, recognised and stored; 10,000 observables are looked up, their frames read and verified.
Result<HuntLane> hunt_lane(const std::string& folder, std::uint64_t events, unsigned jobs) {
  HuntLane lane;
  BAVN_TRY(auto data, open_data(folder, {}, true));
  const event::Scope owner = event::Scope::local_owner();
  hunt::IngestOptions io;
  io.source = "sensor";
  io.jobs = jobs;
  double took = 0;
  for (std::uint64_t first = 0; first < events; first += kFileEvents * jobs) {
    std::vector<std::string> files;
    for (std::uint64_t at = first; at < std::min(events, first + kFileEvents * jobs); at += kFileEvents) {
      files.push_back(fmt::format("{}/events-{}.json", folder, at));
      BAVN_CHECK(write_events(files.back(), at, std::min(kFileEvents, events - at)));
    }
    const Duration start = data->runtime.steady();
    BAVN_TRY(const auto report, hunt::ingest(*data->engine, data->runtime, *data->history, owner, files, io));
    took += seconds(data->runtime.steady() - start);
    lane.events += report.records;
    if (report.lines_refused != 0) return fail(Code::corrupt, "made-up events were refused");
    for (const std::string& f : files) fs::remove(f);
  }
  BAVN_CHECK(data->history->seal_now(owner));
  lane.ingest_events_per_second = static_cast<double>(lane.events) / took;
  const history::Stats s = data->history->stats();
  lane.size_ratio = static_cast<double>(s.segment_bytes + s.index_bytes) / static_cast<double>(s.lines_bytes);
  std::mt19937_64 random(9);
  const auto look = [&](std::size_t n) -> Result<double> {
    std::vector<event::Observable> wanted;
    for (std::size_t i = 0; i < n; ++i)
      wanted.push_back({event::Kind::domain, rare_name(random() % (events / kRareEvery) * kRareEvery)});
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    hunt::HuntOptions ho;
    ho.jobs = jobs;
    const Duration start = data->runtime.steady();
    BAVN_TRY(const auto report,
             hunt::hunt_observables(*data->engine, *data->history, owner, wanted, ho, [](const hunt::RecordHit&) {}));
    const double t = seconds(data->runtime.steady() - start);
    if (report.found != wanted.size() || report.hits != wanted.size())
      return fail(Code::corrupt, fmt::format("{} of {} stored observables were found", report.found, wanted.size()));
    return t;
  };
  BAVN_TRY(const double one, look(1));
  lane.one_ms = one * 1e3;
  BAVN_TRY(lane.ten_thousand_s, look(kLookups));
  BAVN_TRY(lane.ten_thousand_again_s, look(kLookups));
  return lane;
}

int history_lanes(const BenchOptions& options, const std::string& folder) {
  const std::uint64_t events =
      std::max<std::uint64_t>(options.count != 0 ? options.count : kDefaultEvents, 10 * kRareEvery);
  const unsigned jobs = threads_for(0);
  history::BenchOptions ho;
  ho.folder = folder + "/store";
  ho.events = events;
  ho.threads = jobs;
  const auto store = history::bench(ho);
  if (!store) return failed(store.error());
  const auto lane = hunt_lane(folder + "/hunt", std::min(events, kMostHunted), jobs);
  if (!lane) return failed(lane.error());
  if (options.json) {
    std::string out;
    JsonWriter w(out);
    w.object().member("bench", "history").member("lane", "hunt").member("events", lane->events).member("threads", jobs);
    w.member("events_per_second", lane->ingest_events_per_second).member("size_ratio", lane->size_ratio);
    w.member("one_lookup_ms", lane->one_ms).member("lookups_10000_seconds", lane->ten_thousand_s);
    w.member("lookups_10000_warm_seconds", lane->ten_thousand_again_s).end();
    fmt::print("{}\n{}\n", history::to_json(*store), out);
    return kDone;
  }
  fmt::print(
      "store  {} events: {:.0f} events/s, {:.1f} MB/s in; {:.1f} % of raw with the index ({:.1f} % after the cold "
      "pass)\n",
      store->events, store->ingest_events_per_second, store->ingest_mb_per_second, 100 * store->disk_ratio,
      100 * store->packed_ratio);
  fmt::print(
      "       one lookup {:.2f} ms; 10,000 in {:.2f} s on one core; a miss over 30 days {:.1f} us, over 400 days "
      "{:.1f} us\n",
      store->one_lookup_ms, store->lookups_10000_s, store->miss_us_30_days, store->miss_us_400_days);
  fmt::print(
      "       index {:.0f} postings/s; commits of 16 KiB by 8 writers: {:.0f}/s, p99 {:.1f} ms; restart {:.1f} ms\n",
      store->index_postings_per_second, store->commit_batches_per_second, store->commit_p99_ms, store->restart_ms);
  fmt::print(
      "hunt   {} events read, recognised and stored: {:.0f} events/s, {:.1f} % of raw; one observable {:.2f} ms; "
      "10,000 in {:.2f} s, again {:.2f} s\n",
      lane->events, lane->ingest_events_per_second, 100 * lane->size_ratio, lane->one_ms, lane->ten_thousand_s,
      lane->ten_thousand_again_s);
  return kDone;
}

}  // namespace

int bench_history(const BenchOptions& options) {
  const std::string folder = (options.directory.empty() ? fs::temp_directory_path().string() : options.directory) +
                             fmt::format("/bavn-bench-{:x}", std::random_device{}());
  std::error_code ec;
  fs::create_directories(folder, ec);
  if (ec) {
    fmt::print(stderr, "{}: {}\n", folder, ec.message());
    return kFailed;
  }
  const int rc = history_lanes(options, folder);
  fs::remove_all(folder, ec);
  return rc;
}

int bench_indicators(const BenchOptions& options) {
  const std::uint64_t count = options.count != 0 ? options.count : 1'000'000;
  constexpr std::size_t kProbes = 1'000'000;
  Threads clock;
  indicators::IndicatorBuilder builder;
  Duration start = clock.steady();
  indicators::add_random(builder, count, 1);
  const double make_s = seconds(clock.steady() - start);
  start = clock.steady();
  const auto base = builder.build();
  const double build_s = seconds(clock.steady() - start);
  // As in matching: the hashes of a batch are probed together, and what may be there is compared with its bytes.
  std::vector<event::Observable> there;
  std::size_t seen = 0;
  base->for_each([&](const indicators::Indicator& i) {
    if (!i.is_pattern() && seen++ % std::max<std::size_t>(1, count / kProbes) == 0 && there.size() < kProbes)
      there.push_back({i.kind, i.value});
  });
  std::shuffle(there.begin(), there.end(), std::mt19937_64(3));
  std::uint64_t found = 0;
  const auto probe = [&](const std::vector<event::Observable>& values) {
    constexpr std::size_t kBatch = 512;
    std::vector<std::uint64_t> keys(kBatch), bits(kBatch / 64);
    std::vector<std::uint64_t> hashes;
    for (const auto& v : values) {
      const auto cidr = v.kind == event::Kind::cidr ? event::parse_cidr(v.value) : std::nullopt;
      hashes.push_back(cidr ? indicators::IndicatorBase::network_hash(cidr->network, cidr->prefix)
                            : event::observable_hash(v.kind, v.value));
    }
    found = 0;
    const Duration begin = clock.steady();
    for (std::size_t at = 0; at < values.size(); at += kBatch) {
      const std::size_t n = std::min(kBatch, values.size() - at);
      std::fill(bits.begin(), bits.end(), 0);
      base->probe(std::span(hashes).subspan(at, n), std::span(bits).first((n + 63) / 64));
      for (std::size_t i = 0; i < n; ++i)
        if ((bits[i / 64] >> (i % 64) & 1) != 0)
          base->find(values[at + i].kind, values[at + i].value, hashes[at + i], [&](const auto&) { ++found; });
    }
    return seconds(clock.steady() - begin) * 1e9 / static_cast<double>(std::max<std::size_t>(values.size(), 1));
  };
  const double hit_ns = probe(there);
  const std::uint64_t hits = found;
  std::vector<event::Observable> absent;
  for (std::size_t i = 0; i < kProbes; ++i)
    absent.push_back({event::Kind::domain, "host" + std::to_string(i) + ".example.org"});
  const double miss_ns = probe(absent);
  const std::uint64_t false_hits = found;
  if (hits < there.size() || false_hits != 0) {
    fmt::print(stderr, "{} of {} stored indicators were found, {} that were never stored\n", hits, there.size(),
               false_hits);
    return kFailed;
  }
  // From add() until a reader that asks sees it.
  indicators::IndicatorSet set(base);
  std::vector<double> visible;
  for (int i = 0; i < 1000; ++i) {
    indicators::Indicator one;
    one.kind = event::Kind::domain;
    one.value = "new" + std::to_string(i) + ".example.org";
    one.source = "bench";
    start = clock.steady();
    if (const auto ok = set.add(one); !ok) return failed(ok.error());
    bool here = false;
    for (const auto& layer : set.snapshot()->layers)
      layer->find(one.kind, one.value, event::observable_hash(one.kind, one.value), [&](const auto&) { here = true; });
    visible.push_back(seconds(clock.steady() - start) * 1e3);
    if (!here) {
      fmt::print(stderr, "an indicator that was added is not there\n");
      return kFailed;
    }
  }
  std::sort(visible.begin(), visible.end());
  const double bytes = static_cast<double>(base->bytes()) / static_cast<double>(std::max<std::size_t>(base->size(), 1));
  if (options.json) {
    std::string out;
    JsonWriter w(out);
    w.object()
        .member("bench", "indicators")
        .member("count", static_cast<std::uint64_t>(base->size()))
        .member("bytes_per_indicator", bytes);
    w.member("probe_hit_ns", hit_ns)
        .member("probe_miss_ns", miss_ns)
        .member("make_seconds", make_s)
        .member("build_seconds", build_s);
    w.member("add_to_visible_ms", visible[visible.size() / 2])
        .member("add_to_visible_p99_ms", visible[visible.size() * 99 / 100])
        .end();
    fmt::print("{}\n", out);
  } else {
    fmt::print(
        "{} indicators: {:.1f} bytes each, built in {:.2f} s; hit {:.0f} ns, miss {:.0f} ns; added and visible in "
        "{:.3f} ms (p99 {:.3f})\n",
        base->size(), bytes, build_s, hit_ns, miss_ns, visible[visible.size() / 2], visible[visible.size() * 99 / 100]);
  }
  return kDone;
}

}  // namespace bavn::app
