#pragma once
// For tests only: a node's pipeline under Sim or Threads, with rules of its own and made-up events.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "alerts/reader.hpp"
#include "base/sim.hpp"
#include "base/threads.hpp"
#include "live/pipeline.hpp"

namespace bavn::live::testing {

inline const event::Scope& owner() {
  static const event::Scope scope = event::Scope::local_owner();
  return scope;
}

constexpr std::string_view kRules = R"(title: Mailbox rule that forwards
id: 5b0e1f52-0000-4000-8000-000000000001
logsource:
  product: m365
  service: audit
detection:
  selection:
    Operation: New-InboxRule
  condition: selection
level: critical
---
title: Download
id: 5b0e1f52-0000-4000-8000-000000000002
name: download
logsource:
  product: m365
  service: audit
detection:
  selection:
    Operation: FileDownloaded
  condition: selection
level: low
---
title: Many downloads
id: 5b0e1f52-0000-4000-8000-000000000003
correlation:
  type: event_count
  rules:
    - download
  group-by:
    - UserId
  timespan: 10m
  condition:
    gte: 5
level: critical
)";

struct Folder {
  Folder() {
    path = "/tmp/bavn_live_XXXXXX";
    EXPECT_NE(::mkdtemp(path.data()), nullptr);
    write("rules.yml", kRules);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  void write(const std::string& name, std::string_view text) const { std::ofstream(path + "/" + name) << text; }
  std::string path;
};

inline std::string record(std::int64_t at_us, std::string_view operation, std::string_view user, std::uint64_t n) {
  std::string time = format_time(from_micros(at_us / 1'000'000 * 1'000'000));
  time.pop_back();  // Microsoft writes no Z
  return "{\"CreationTime\":\"" + time + "\",\"Id\":\"n" + std::to_string(n) + "\",\"Operation\":\"" +
         std::string(operation) +
         "\",\"RecordType\":1,\"UserType\":0,\"Workload\":\"Exchange\",\"ClientIP\":\"192.0.2." +
         std::to_string(n % 200) + "\",\"UserId\":\"" + std::string(user) +
         "@kommune.example.org\",\"ObjectId\":\"some words that fill a line\"}";
}

inline input::Delivery delivery(std::string bytes, std::string id = {}) {
  input::Delivery d;
  d.source = "test.audit";
  d.municipality = MunicipalityId{101};
  d.tenant = TenantId{1};
  d.id = std::move(id);
  d.bytes = std::move(bytes);
  return d;
}

/// Findings in the alerts, and where a few of them lie.
struct Told {
  std::int64_t findings = 0;
  std::map<std::string, std::int64_t> by_title;
  std::map<std::string, std::int64_t> by_concern;  // "title/concern"
};
inline Told told(store::State& state) {
  Told out;
  alerts::AlertReader reader(state, {});
  alerts::AlertFilter all;
  all.limit = 1000;
  const auto list = reader.list(owner(), all);
  EXPECT_TRUE(list) << to_string(list.error());
  for (const alerts::Alert& a : list->alerts) {
    out.findings += a.count;
    out.by_title[a.title] += a.count;
    out.by_concern[a.title + "/" + a.concern] += a.count;
  }
  return out;
}

/// Everything of a node but its sources, on a simulated disk (the index and the state are on the real one).
struct SimNode {
  explicit SimNode(std::uint64_t seed = 1) : sim(seed) {
    auto opened = store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}});
    EXPECT_TRUE(opened) << to_string(opened.error());
    state = std::move(*opened);
    options.folder = "/data";
    options.engine.rules = {folder.path + "/rules.yml"};
    options.tune_history = [this](history::Options& o) {
      o.index_path = folder.path + "/index";
      if (segment_bytes != 0) o.segment_bytes = segment_bytes;
    };
  }
  ~SimNode() { pipeline.reset(); }
  Result<void> try_open() {
    pipeline.reset();
    BAVN_TRY(pipeline, Pipeline::open(sim, *state, alerts::AlertBook({}), options));
    return {};
  }
  void open() {
    const auto ok = try_open();
    ASSERT_TRUE(ok) << to_string(ok.error());
  }
  /// Delivers and waits for the answer.
  Result<input::Receipt> give(input::Delivery d) {
    std::optional<Result<input::Receipt>> got;
    pipeline->deliver(std::move(d), [&](Result<input::Receipt> r) { got = std::move(r); });
    sim.run_until([&] { return got.has_value(); });
    return got ? std::move(*got) : fail(Code::unavailable, "no answer");
  }
  void settle() {
    const bool idle = sim.run_until([&] { return pipeline->idle(); }, std::chrono::hours(1));
    ASSERT_TRUE(idle) << pipeline->stats().failing;
  }
  std::int64_t now() const { return micros(sim.now()); }

  Folder folder;
  Sim sim;
  std::unique_ptr<store::State> state;
  Options options;
  std::uint64_t segment_bytes = 0;
  std::unique_ptr<Pipeline> pipeline;
};

}  // namespace bavn::live::testing
