// bavn bench hotpath: reading + rules + indicators on one core against limits measured in the same run, all in CPU seconds.
// Lanes: mixed (all event files, shuffled), windows (records with Channel and EventID), cloud (the rest that is no Zeek), worst (the
// mixed lane with every string value made distinct, so that nothing repeats).
#include <fmt/format.h>
#include <simdjson.h>
#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <random>

#include "app/commands.hpp"
#include "base/json_writer.hpp"
#include "formats/source.hpp"
#include "hunt/engine.hpp"

namespace bavn::app {

namespace {

double cpu_seconds() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

struct Lane {
  std::string name;
  std::string bytes;  // whole lines
  std::uint64_t lines = 0, distinct = 0;
};

// Lines of a lane repeated in shuffled order up to `size` bytes.
Lane lane_of(std::string name, const std::vector<std::string_view>& lines, std::size_t size) {
  Lane lane;
  lane.name = std::move(name);
  lane.distinct = lines.size();
  std::mt19937_64 random(1);
  std::vector<std::string_view> order(lines);
  lane.bytes.reserve(size + (1U << 20));
  while (!order.empty() && lane.bytes.size() < size) {
    std::shuffle(order.begin(), order.end(), random);
    for (std::string_view l : order) {
      lane.bytes += l;
      lane.bytes += '\n';
      ++lane.lines;
      if (lane.bytes.size() >= size) break;
    }
  }
  return lane;
}

// Every string value of at least 4 bytes gets a running number in its middle, so that no value comes twice. Keys and times stay, and
// so do the few values that decide what a record is (channel, operation, category ...): without them no rule would apply at all.
std::string made_distinct(std::string_view line, std::uint64_t& n) {
  static constexpr std::string_view kKept[] = {"Channel",       "EventID",       "Operation",  "Workload",
                                               "category",      "operationName", "_path",      "event_type",
                                               "Provider_Name", "SourceName",    "RecordType", "event_simpleName"};
  std::string out;
  std::string_view key;
  for (std::size_t i = 0; i < line.size();) {
    if (line[i] != '"') {
      out += line[i++];
      continue;
    }
    std::size_t j = i + 1;
    bool plain = true;
    while (j < line.size() && line[j] != '"') {
      if (line[j] == '\\') {
        ++j;
        plain = false;
      }
      ++j;
    }
    const std::string_view body = line.substr(i + 1, std::min(j, line.size()) - i - 1);
    const bool is_key = j + 1 < line.size() && line[j + 1] == ':';
    const bool kept = std::find(std::begin(kKept), std::end(kKept), key) != std::end(kKept);
    out += '"';
    if (is_key || body.size() < 4 || kept || (body.size() > 10 && body[4] == '-' && body[7] == '-')) {
      out += body;
    } else {
      std::size_t middle = body.size() / 2;
      if (!plain) {
        // not inside an escape
        middle = body.find('\\');
        if (middle == std::string_view::npos) middle = body.size() / 2;
      }
      while (middle < body.size() && (static_cast<unsigned char>(body[middle]) & 0xC0) == 0x80) ++middle;
      out += body.substr(0, middle);
      out += fmt::format_int(n++).c_str();
      out += body.substr(middle);
    }
    out += '"';
    if (is_key) key = body;
    i = j + 1;
  }
  return out;
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

/// CPU seconds of finding every line's end, nothing else.
double memchr_seconds(const Lane& lane) {
  const double t = cpu_seconds();
  std::size_t n = 0;
  for (const char *p = lane.bytes.data(), *end = p + lane.bytes.size(); p < end; ++n) {
    const void* nl = std::memchr(p, '\n', static_cast<std::size_t>(end - p));
    if (nl == nullptr) break;
    p = static_cast<const char*>(nl) + 1;
  }
  BAVN_ASSERT(n == lane.lines);
  return cpu_seconds() - t;
}

/// CPU seconds of simdjson's DOM parser on the lines from `at` on, `bytes` of them or a little more; at is where it ended.
/// padded: the lane's bytes with simdjson's padding.
double dom_seconds(const Lane& lane, const std::string& padded, simdjson::dom::parser& parser, std::size_t& at,
                   std::size_t bytes) {
  const double t = cpu_seconds();
  std::uint64_t parsed = 0;
  const std::size_t stop = bytes < lane.bytes.size() - at ? at + bytes : lane.bytes.size();
  while (at < stop) {
    const std::size_t nl = lane.bytes.find('\n', at);
    const std::size_t end = nl == std::string::npos ? lane.bytes.size() : nl;
    simdjson::dom::element e;
    if (parser.parse(padded.data() + at, end - at, false).get(e) == simdjson::SUCCESS) ++parsed;
    at = end + 1;
  }
  BAVN_ASSERT(parsed != 0);
  return cpu_seconds() - t;
}

}  // namespace

int bench_hotpath(const BenchOptions& options) {
  hunt::EngineOptions eo;
  eo.rules = options.rules;
  eo.builtin_rules = options.rules.empty();
  eo.random_indicators = options.random_indicators;
  auto t0 = std::chrono::steady_clock::now();
  auto engine = hunt::Engine::open(eo);
  const double load = std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count();
  if (!engine) {
    fmt::print(stderr, "{}\n", to_string(engine.error()));
    return kFailed;
  }
  // Lines that are JSON objects, from all files.
  unsigned missing = 0;
  std::vector<std::string> texts;
  std::vector<std::string_view> mixed, windows, cloud;
  event::EventBatch batch;
  for (const auto& path : files_below(options.events, missing)) {
    if (path.ends_with(".md") || path.ends_with("manifest.ndjson") || path.find("expected") != std::string::npos)
      continue;
    auto source = formats::Source::open(path);
    if (!source) continue;
    while (!(*source)->done()) {
      auto chunk = (*source)->next(batch);
      if (!chunk) break;
      texts.emplace_back(batch.raw.substr(chunk->from, chunk->to - chunk->from));
    }
  }
  simdjson::dom::parser parser;
  for (const std::string& text : texts)
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t nl = text.find('\n', at);
      const std::string_view line = std::string_view(text).substr(at, nl == std::string::npos ? nl : nl - at);
      at += line.size() + 1;
      if (line.size() < 3 || line.front() != '{' || line.size() > (1U << 20)) continue;
      simdjson::dom::element e;
      if (parser.parse(line.data(), line.size(), true).get(e) != simdjson::SUCCESS) continue;
      mixed.push_back(line);
      const bool is_windows = (line.find("\"Channel\"") != line.npos && line.find("\"EventID\"") != line.npos) ||
                              line.starts_with("{\"Event\":");
      const bool is_zeek = line.find("\"id.orig_h\"") != line.npos || line.find("\"_path\"") != line.npos;
      if (is_windows) windows.push_back(line);
      else if (!is_zeek) cloud.push_back(line);
    }
  if (mixed.empty()) {
    fmt::print(stderr, "no JSON events found in the given files\n");
    return kFailed;
  }
  const std::size_t size = (options.megabytes != 0 ? options.megabytes : 200) << 20;
  std::vector<std::string> distinct_lines;
  static constexpr std::string_view kLanes[] = {"mixed", "windows", "cloud", "worst"};
  for (int which = 0; which < 4; ++which) {
    if (!options.only.empty() &&
        std::find(options.only.begin(), options.only.end(), kLanes[which]) == options.only.end())
      continue;
    Lane lane;
    if (which == 0) lane = lane_of("mixed", mixed, size);
    if (which == 1) lane = lane_of("windows", windows, size / 2);
    if (which == 2) lane = lane_of("cloud", cloud, size / 2);
    if (which == 3) {
      lane.name = "worst";
      std::uint64_t n = 100000;
      std::mt19937_64 random(2);
      while (lane.bytes.size() < size / 4) {
        lane.bytes += made_distinct(mixed[random() % mixed.size()], n);
        lane.bytes += '\n';
        ++lane.lines;
      }
      lane.distinct = lane.lines;
    }
    if (lane.lines == 0) continue;
    const int rounds = options.rounds;
    // Each round measures the limits and us. simdjson and we take turns, so that neighbours on the machine disturb both alike: the
    // turns are long enough that what one has at hand in the caches is a small part of them.
    constexpr std::size_t kTurn = 16U << 20;
    std::string padded(lane.bytes);
    padded.resize(padded.size() + simdjson::SIMDJSON_PADDING, ' ');
    std::vector<double> times, memchr_times, dom_times, ratios;
    std::uint64_t events = 0, hits = 0, values = 0, memo = 0, candidates = 0, refused = 0;
    hunt::Worker worker(**engine);
    for (int round = 0; round < rounds; ++round) {
      memchr_times.push_back(memchr_seconds(lane));
      events = hits = refused = 0;
      formats::SourceOptions so;
      so.lines_are_told = true;
      auto source = formats::Source::of_bytes(lane.bytes, so);
      double ours = 0, dom = 0;
      std::size_t dom_at = 0;
      while (!source->done()) {
        std::size_t turn = 0;
        const double start = cpu_seconds();
        while (turn < kTurn && !source->done()) {
          auto chunk = source->next(batch);
          if (!chunk) break;
          turn += chunk->to - chunk->from;
          source->read_lines(worker.process(batch, *chunk));
          events += batch.records.size();
          refused += batch.refusals.size();
          hits += worker.hits().size() + worker.indicator_hits().size();
        }
        ours += cpu_seconds() - start;
        if (turn == 0) break;
        dom += dom_seconds(lane, padded, parser, dom_at, turn);
      }
      if (dom_at < lane.bytes.size()) dom += dom_seconds(lane, padded, parser, dom_at, lane.bytes.size());
      times.push_back(ours);
      dom_times.push_back(dom);
      ratios.push_back(dom / ours);
    }
    values = worker.matcher().stats().values;
    memo = worker.matcher().stats().memo_hits;
    candidates = worker.matcher().stats().candidates;
    // The figures are those of one round, the one with the median ratio, so that they belong together.
    std::vector<std::size_t> order(ratios.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return ratios[a] < ratios[b]; });
    const std::size_t middle = order[order.size() / 2];
    const double seconds = times[middle], gb = static_cast<double>(lane.bytes.size()) / 1e9, gbs = gb / seconds;
    const double dom_gbs = gb / dom_times[middle], memchr_gbs = gb / median(memchr_times), ratio = ratios[middle];
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    std::string out;
    JsonWriter w(out);
    w.object().member("bench", "hotpath").member("lane", lane.name);
    w.member("ratio_to_simdjson_dom", ratio).member("events_per_second", static_cast<double>(events) / seconds);
    w.member("gb_per_second", gbs)
        .member("simdjson_dom_gb_per_second", dom_gbs)
        .member("memchr_gb_per_second", memchr_gbs);
    w.member("rules", static_cast<std::uint64_t>((*engine)->rules().rules.size())).member("rules_load_seconds", load);
    const auto snapshot = (*engine)->indicators().snapshot();
    const auto indicators = static_cast<std::uint64_t>(snapshot->size());
    w.member("indicators", indicators);
    w.member(
        "bytes_per_indicator",
        indicators == 0 ? 0.0 : static_cast<double>(snapshot->layers[0]->bytes()) / static_cast<double>(indicators));
    w.member("events", events)
        .member("distinct_lines", lane.distinct)
        .member("bytes", static_cast<std::uint64_t>(lane.bytes.size()));
    w.member("mean_event_bytes",
             static_cast<double>(lane.bytes.size()) / static_cast<double>(std::max<std::uint64_t>(events, 1)));
    w.member("findings", hits).member("refused", refused);
    w.member("values_per_event",
             static_cast<double>(values) / static_cast<double>(std::max<std::uint64_t>(events, 1) * rounds));
    w.member("memo_hit_rate", static_cast<double>(memo) / static_cast<double>(std::max<std::uint64_t>(values, 1)));
    w.member("record_memo_hit_rate", static_cast<double>(worker.matcher().stats().record_hits) /
                                         static_cast<double>(std::max<std::uint64_t>(events, 1) * rounds));
    w.member("candidates_per_event",
             static_cast<double>(candidates) / static_cast<double>(std::max<std::uint64_t>(events, 1) * rounds));
    std::vector<std::pair<std::uint64_t, std::size_t>> cost;
    for (std::size_t i = 0; i < worker.matcher().looked_at().size(); ++i)
      if (worker.matcher().looked_at()[i] != 0) cost.emplace_back(worker.matcher().looked_at()[i], i);
    std::sort(cost.rbegin(), cost.rend());
    w.key("most_looked_at").array();
    for (std::size_t i = 0; i < std::min<std::size_t>(cost.size(), 5); ++i) {
      w.object().member("title", (*engine)->rules().rules[cost[i].second].meta.title);
      w.member("per_event",
               static_cast<double>(cost[i].first) / static_cast<double>(std::max<std::uint64_t>(events, 1) * rounds))
          .end();
    }
    w.end();
    w.member("rss_mb", static_cast<double>(usage.ru_maxrss) / 1024).member("cores", 1).end();
    if (options.json) fmt::print("{}\n", out);
    else
      fmt::print(
          "{:<8} {:>9.0f} events/s  {:.3f} GB/s  {:.2f} x simdjson DOM per line ({:.2f} GB/s), {:.3f} x memchr; {} "
          "findings\n",
          lane.name, static_cast<double>(events) / seconds, gbs, ratio, dom_gbs, gbs / memchr_gbs, hits);
    std::fflush(stdout);
  }
  return missing != 0 ? kPartly : kDone;
}

}  // namespace bavn::app
