#include "history/bench.hpp"

#include <algorithm>
#include <filesystem>
#include <random>
#include <thread>

#include "base/hash.hpp"
#include "base/json_writer.hpp"
#include "base/sim.hpp"
#include "base/threads.hpp"
#include "history/history.hpp"

namespace bavn::history {

namespace {

const event::Scope& owner() {
  static const event::Scope scope = event::Scope::local_owner();
  return scope;
}

constexpr auto kDomain = event::Kind::domain;
constexpr auto kAddress = event::Kind::ipv4;
constexpr std::uint32_t kFrameEvents = 1000;
constexpr std::uint64_t kRareEvery = 100;  // every 100th event has a name of its own

double seconds(Duration d) {
  return std::chrono::duration<double>(d).count();
}

std::string rare_name(std::uint64_t n) {
  return "r" + std::to_string(n) + ".example.org";
}

struct Frame {
  std::string lines;
  std::vector<std::int64_t> times;
  std::vector<Posting> postings;
};

Posting posting_of(std::uint64_t hash) {
  return {hash, static_cast<std::uint8_t>(kDomain)};
}

std::uint64_t hash_of(event::Kind kind, std::string_view value) {
  return hash64(value, static_cast<std::uint64_t>(kind));
}
void post(Frame& f, event::Kind kind, std::string_view value) {
  f.postings.push_back({hash_of(kind, value), static_cast<std::uint8_t>(kind)});
}

/// Events shaped like a resolver's log in JSON: a skewed choice of names and clients, random ids and times.
void make(Frame& f, std::uint64_t first, std::uint32_t n, std::mt19937_64& random) {
  f.lines.clear();
  f.times.clear();
  f.postings.clear();
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint64_t e = first + i;
    const double u = static_cast<double>(random() >> 11U) * 0x1p-53;
    const auto popular = static_cast<std::uint64_t>(20'000.0 * u * u * u);
    const std::string name = e % kRareEvery == 0 ? rare_name(e) : "host" + std::to_string(popular) + ".example.net";
    const std::string client = "192.0.2." + std::to_string(random() % 250),
                      answer = "198.51.100." + std::to_string(popular % 250);
    const std::int64_t t = 1'727'784'000'000'000 + static_cast<std::int64_t>(e) * 1000;
    if (i > 0) f.lines += '\n';
    f.lines += R"({"timestamp":")" + format_time(from_micros(t + 1)) + R"(","flow_id":)" + std::to_string(random()) +
               R"(,"in_iface":"eth0","event_type":"dns","src_ip":")" + client + R"(","src_port":)" +
               std::to_string(1024 + random() % 60000) +
               R"(,"dest_ip":"203.0.113.53","dest_port":53,"proto":"UDP","dns":{"version":2,)" +
               R"("type":"answer","id":)" + std::to_string(random() % 65536) +
               R"(,"flags":"8180","qr":true,"rd":true,"ra":true,"rrname":")" + name +
               R"(","rrtype":"A","rcode":"NOERROR","answers":[{"rrname":")" + name +
               R"(","rrtype":"A","ttl":300,"rdata":")" + answer + R"("}]}})";
    f.times.push_back(t);
    post(f, kDomain, name);
    post(f, kDomain, "example.net");
    post(f, kAddress, client);
    post(f, kAddress, answer);
    post(f, kAddress, "203.0.113.53");
  }
}

Batch batch_of(const Frame& f, std::string_view source) {
  Batch b;
  b.source = source;
  b.format = "bench";
  b.lines = f.lines;
  b.count = static_cast<std::uint32_t>(f.times.size());
  b.happened_us = f.times;
  b.postings = f.postings;
  return b;
}

/// Postings from the lines again, for the cold pass.
void extract(const FrameInfo&, std::string_view, std::string_view lines, std::vector<Posting>& out) {
  const auto values = [&](std::string_view key, event::Kind kind) {
    for (std::size_t at = lines.find(key); at != std::string_view::npos; at = lines.find(key, at)) {
      at += key.size();
      out.push_back({hash_of(kind, lines.substr(at, lines.find('"', at) - at)), static_cast<std::uint8_t>(kind)});
    }
  };
  values(R"("qr":true,"rd":true,"ra":true,"rrname":")", kDomain);
  values(R"("src_ip":")", kAddress);
  values(R"("dest_ip":")", kAddress);
  values(R"("rdata":")", kAddress);
}

/// Lookup, read, verify. Returns the number of lines that hold the name.
Result<std::size_t> find(const History& h, std::string_view name, FrameText& text) {
  std::size_t n = 0;
  BAVN_TRY(const auto refs, h.lookup(owner(), posting_of(hash_of(kDomain, name))));
  const std::string needle = "\"ra\":true,\"rrname\":\"" + std::string(name) + "\"";
  for (const FrameRef& r : refs) {
    BAVN_CHECK(h.read(owner(), r, text));
    for (std::size_t at = text.lines().find(needle); at != std::string_view::npos;
         at = text.lines().find(needle, at + 1))
      ++n;
  }
  return n;
}

/// A history of so many days with a segment's worth of new observables each.
struct SimulatedDays {
  Sim sim{1};
  std::unique_ptr<History> history;
  std::mt19937_64 random{5};
  std::vector<std::uint64_t> known;
  std::vector<double> miss_us, hit_us;  // a round each
};

Result<void> simulate(const BenchOptions& o, int days, SimulatedDays& s) {
  Options options;
  options.extract = extract;
  options.index_path = o.folder + "/days" + std::to_string(days);
  BAVN_TRY(s.history, History::open(s.sim, "/days", options));
  const std::vector<std::int64_t> times(1, 0);
  for (int day = 0; day < days; ++day) {
    std::vector<Posting> postings;
    for (std::uint32_t i = 0; i < o.postings_a_day; ++i)
      postings.push_back({s.random(), static_cast<std::uint8_t>(kDomain)});
    // As many different ones whatever the days, else the caches of the processor would be measured.
    const std::size_t some = std::min<std::size_t>(postings.size(), static_cast<std::size_t>(400 / days) + 1);
    for (std::size_t i = 0; i < some; ++i) s.known.push_back(postings[i].hash);
    Batch b;
    b.source = "days";
    b.format = "bench";
    b.lines = "a line";
    b.count = 1;
    b.happened_us = times;
    b.postings = postings;
    BAVN_TRY(const Ack ack, s.history->append(owner(), b));
    (void)ack;
    s.sim.advance(std::chrono::hours(24));
  }
  BAVN_CHECK(s.history->seal_now(owner()));
  BAVN_CHECK(s.history->settle_index(owner()));  // days lie between the segments: the index has had its time
  std::shuffle(s.known.begin(), s.known.end(), s.random);
  s.known.resize(std::min<std::size_t>(s.known.size(), 400));
  return {};
}

/// Lookups in 30 and in 400 days, in turns: what else the machine does meets both. Medians of the rounds.
Result<void> simulated_days(const BenchOptions& o, BenchResult& r) {
  SimulatedDays few, many;
  BAVN_CHECK(simulate(o, 30, few));
  BAVN_CHECK(simulate(o, 400, many));
  Threads clock;
  const auto measure = [&](SimulatedDays& s, int lookups, auto&& hash) -> Result<double> {
    const Duration start = clock.steady();
    for (int i = 0; i < lookups; ++i) BAVN_CHECK(s.history->lookup(owner(), posting_of(hash(i))));
    return seconds(clock.steady() - start) * 1e6 / lookups;
  };
  constexpr int kRounds = 11;
  for (int round = 0; round <= kRounds; ++round) {
    for (SimulatedDays* s : {&few, &many}) {
      BAVN_TRY(const double miss, measure(*s, 2'000, [&](int) { return s->random(); }));
      BAVN_TRY(const double hit,
               measure(*s, 500, [&](int i) { return s->known[static_cast<std::size_t>(i) % s->known.size()]; }));
      if (round == 0) continue;  // warm
      s->miss_us.push_back(miss);
      s->hit_us.push_back(hit);
    }
  }
  const auto median = [](std::vector<double>& v) {
    std::ranges::nth_element(v, v.begin() + static_cast<std::ptrdiff_t>(v.size() / 2));
    return v[v.size() / 2];
  };
  r.miss_us_30_days = median(few.miss_us);
  r.hit_us_30_days = median(few.hit_us);
  r.miss_us_400_days = median(many.miss_us);
  r.hit_us_400_days = median(many.hit_us);
  return {};
}

Result<void> commits(const BenchOptions& o, Runtime& runtime, BenchResult& r) {
  Options options;
  options.extract = extract;
  BAVN_TRY(const auto h, History::open(runtime, o.folder + "/commits", options));
  constexpr unsigned kWriters = 8;
  constexpr int kBatches = 400;
  std::vector<std::vector<double>> took(kWriters);
  std::atomic<std::uint64_t> bytes{0};
  std::atomic<bool> failed{false};
  const Duration start = runtime.steady();
  {
    std::vector<std::jthread> writers;
    for (unsigned w = 0; w < kWriters; ++w)
      writers.emplace_back([&, w] {
        std::mt19937_64 random(w);
        Frame f;
        make(f, w * 1'000'000ULL, 38, random);
        const std::string source = "w" + std::to_string(w);
        for (int i = 0; i < kBatches; ++i) {
          const Duration begun = runtime.steady();
          if (!h->append(owner(), batch_of(f, source))) failed = true;
          took[w].push_back(seconds(runtime.steady() - begun) * 1e3);
          bytes += f.lines.size();
        }
      });
  }
  const double s = seconds(runtime.steady() - start);
  if (failed) return fail(Code::unavailable, "an append failed");
  std::vector<double> all;
  for (const auto& t : took) all.insert(all.end(), t.begin(), t.end());
  std::sort(all.begin(), all.end());
  r.commit_p99_ms = all[all.size() * 99 / 100];
  r.commit_batches_per_second = kWriters * kBatches / s;
  r.commit_mb_per_second = static_cast<double>(bytes) / 1e6 / s;
  std::mt19937_64 random(1);
  Frame f;
  make(f, 0, 3, random);
  constexpr int kOne = 500;
  const Duration one = runtime.steady();
  for (int i = 0; i < kOne; ++i) BAVN_CHECK(h->append(owner(), batch_of(f, "one")));
  r.commit_one_writer_us = seconds(runtime.steady() - one) * 1e6 / kOne;
  return {};
}

}  // namespace

Result<BenchResult> bench(const BenchOptions& o) {
  BenchResult r;
  std::error_code ignored;
  if (std::filesystem::exists(o.folder) && !std::filesystem::is_empty(o.folder, ignored))
    return fail(Code::conflict, "the folder for the bench is not empty", o.folder);
  std::filesystem::create_directories(o.folder, ignored);
  Threads runtime;
  Options options;
  options.extract = extract;
  BAVN_TRY(auto h, History::open(runtime, o.folder + "/history", options));
  const std::uint64_t frames = (o.events + kFrameEvents - 1) / kFrameEvents;
  std::atomic<std::uint64_t> next{0}, postings{0};
  std::atomic<bool> failed{false};
  const Duration start = runtime.steady();
  {
    std::vector<std::jthread> writers;
    for (unsigned w = 0; w < std::max(1U, o.threads); ++w)
      writers.emplace_back([&, w] {
        const std::string source = "resolver" + std::to_string(w);
        std::vector<Frame> made(4);
        for (std::uint64_t i = next.fetch_add(4); i < frames && !failed; i = next.fetch_add(4)) {
          std::vector<Batch> batches;
          for (std::uint64_t k = 0; k < 4 && i + k < frames; ++k) {
            std::mt19937_64 random(i + k);
            make(made[k], (i + k) * kFrameEvents, kFrameEvents, random);
            postings += made[k].postings.size();
            batches.push_back(batch_of(made[k], source));
          }
          if (!h->append(owner(), batches)) failed = true;
        }
      });
  }
  r.ingest_seconds = seconds(runtime.steady() - start);
  if (failed) return fail(Code::unavailable, h->stats().failing, o.folder);
  BAVN_CHECK(h->seal_now(owner()));
  Stats s = h->stats();
  r.events = s.records;
  r.raw_bytes = s.lines_bytes;
  r.postings = postings;
  r.segments = s.segments;
  r.ingest_events_per_second = static_cast<double>(r.events) / r.ingest_seconds;
  r.ingest_mb_per_second = static_cast<double>(r.raw_bytes) / 1e6 / r.ingest_seconds;
  const auto raw = static_cast<double>(r.raw_bytes);
  r.index_ratio = static_cast<double>(s.index_bytes) / raw;
  r.disk_ratio = static_cast<double>(s.index_bytes + s.segment_bytes) / raw;

  h.reset();
  const Duration reopening = runtime.steady();
  BAVN_TRY(h, History::open(runtime, o.folder + "/history", options));
  r.restart_ms = seconds(runtime.steady() - reopening) * 1e3;
  FrameText text;
  const Duration one = runtime.steady();
  BAVN_TRY(const std::size_t first, find(*h, rare_name(r.events / 2 / kRareEvery * kRareEvery), text));
  r.one_lookup_ms = seconds(runtime.steady() - one) * 1e3;
  if (first != 1)
    return fail(Code::corrupt, "a stored observable was found " + std::to_string(first) + " times instead of once");
  for (int round = 0; round < 2; ++round) {  // the second is warm
    std::mt19937_64 random(9);
    const Duration many = runtime.steady();
    for (std::uint32_t i = 0; i < o.lookups; ++i) {
      BAVN_TRY(const std::size_t n, find(*h, rare_name(random() % (r.events / kRareEvery) * kRareEvery), text));
      if (n != 1) return fail(Code::corrupt, "a stored observable was not found exactly once");
    }
    r.lookups_10000_s = seconds(runtime.steady() - many) * 10'000 / o.lookups;
  }
  const Duration misses = runtime.steady();
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    BAVN_TRY(const std::size_t n, find(*h, "absent" + std::to_string(i) + ".example.org", text));
    if (n != 0) return fail(Code::corrupt, "an observable that was never stored was found");
  }
  r.misses_10000_s = seconds(runtime.steady() - misses);

  {  // one segment full of postings, sealed alone
    Options alone = options;
    BAVN_TRY(const auto one_segment, History::open(runtime, o.folder + "/one", alone));
    std::uint64_t distinct = 0;
    std::mt19937_64 random(3);
    const std::vector<std::int64_t> times(1, 0);
    for (int i = 0; i < 150; ++i) {
      std::vector<Posting> some;
      for (int k = 0; k < 10'000; ++k) some.push_back({random(), static_cast<std::uint8_t>(kDomain)});
      Frame f{"x", times, some};
      BAVN_CHECK(one_segment->append(owner(), batch_of(f, "one")));
      distinct += some.size();
    }
    const Duration sealing = runtime.steady();
    BAVN_CHECK(one_segment->seal_now(owner()));
    r.index_postings_per_second = static_cast<double>(distinct) / seconds(runtime.steady() - sealing);
  }
  BAVN_CHECK(commits(o, runtime, r));
  BAVN_CHECK(simulated_days(o, r));

  const Duration packing = runtime.steady();
  BAVN_CHECK(h->pack(owner(), 0));
  r.pack_mb_per_second = raw / 1e6 / seconds(runtime.steady() - packing);
  BAVN_CHECK(h->compact_index(owner()));
  s = h->stats();
  if (s.records != r.events) return fail(Code::corrupt, "the cold pass changed the number of records");
  r.packed_ratio = static_cast<double>(s.index_bytes + s.segment_bytes) / raw;
  h.reset();
  std::filesystem::remove_all(o.folder, ignored);
  return r;
}

std::string to_json(const BenchResult& r) {
  std::string out;
  JsonWriter w(out);
  w.object()
      .member("lane", "history")
      .member("events", r.events)
      .member("raw_bytes", r.raw_bytes)
      .member("postings", r.postings);
  w.member("segments", r.segments).member("ingest_seconds", r.ingest_seconds);
  w.member("events_per_second", r.ingest_events_per_second).member("ingest_mb_per_second", r.ingest_mb_per_second);
  w.member("disk_ratio", r.disk_ratio).member("index_ratio", r.index_ratio).member("packed_disk_ratio", r.packed_ratio);
  w.member("pack_mb_per_second", r.pack_mb_per_second).member("index_postings_per_second", r.index_postings_per_second);
  w.member("one_lookup_ms", r.one_lookup_ms).member("lookups_10000_seconds", r.lookups_10000_s);
  w.member("misses_10000_seconds", r.misses_10000_s);
  w.member("miss_us_30_days", r.miss_us_30_days).member("miss_us_400_days", r.miss_us_400_days);
  w.member("hit_us_30_days", r.hit_us_30_days).member("hit_us_400_days", r.hit_us_400_days);
  w.member("commit_batches_per_second", r.commit_batches_per_second)
      .member("commit_mb_per_second", r.commit_mb_per_second);
  w.member("commit_p99_ms", r.commit_p99_ms).member("commit_one_writer_us", r.commit_one_writer_us);
  w.member("restart_ms", r.restart_ms).end();
  return out;
}

}  // namespace bavn::history
