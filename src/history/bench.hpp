#pragma once
// What `bavn bench history` measures: made-up DNS-like events in, then what the promises are about. Everything on the real disk,
// except the simulated days, whose segments are in memory and whose index is on disk.
#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace bavn::history {

struct BenchOptions {
  std::string folder;  // must not exist or be empty; removed afterwards
  std::uint64_t events = 20'000'000;
  unsigned threads = 2;
  std::uint32_t lookups = 10'000;         // made; the figure is scaled to 10,000
  std::uint32_t postings_a_day = 20'000;  // of the simulated days
};

struct BenchResult {
  std::uint64_t events = 0, raw_bytes = 0, postings = 0;
  double ingest_seconds = 0, ingest_events_per_second = 0, ingest_mb_per_second = 0;
  double disk_ratio = 0, index_ratio = 0;           // of raw bytes, index included; index alone. Before the cold pass
  double packed_ratio = 0, pack_mb_per_second = 0;  // of what was packed, index included; raw
  double index_postings_per_second = 0;             // one sealed segment: sort, file, ingest
  double one_lookup_ms = 0;    // lookup and reading and verifying the lines, a rare observable, cold cache
  double lookups_10000_s = 0;  // 10,000 rare observables, each hit read and verified, warm
  double misses_10000_s = 0;
  double miss_us_30_days = 0, miss_us_400_days = 0, hit_us_30_days = 0, hit_us_400_days = 0;
  double commit_batches_per_second = 0, commit_mb_per_second = 0, commit_p99_ms = 0;  // 8 writers, 16 KiB batches
  double commit_one_writer_us = 0;  // mean of an acknowledged 1 KiB batch
  double restart_ms = 0;
  std::uint64_t segments = 0;
};

Result<BenchResult> bench(const BenchOptions& options);
std::string to_json(const BenchResult& r);

}  // namespace bavn::history
