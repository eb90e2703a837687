#pragma once
// For tests only: a node's pipeline under Sim or Threads, with rules of its own and made-up events.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/describe/class.hpp>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "alerts/reader.hpp"
#include "base/hash.hpp"
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

/// A watcher that notices every third mailbox rule of an account. What it told is in rows without a key, so that what is told twice shows;
/// its state depends on every fact, their order and when they were received.
class CountingWatcher final : public notice::FactWatcher {
 public:
  struct Row {
    std::string account;
    std::int64_t n = 0;
  };
  static Result<void> make_table(store::State& state) {
    return state.write_now([](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("CREATE TABLE IF NOT EXISTS noticed_in_test (account TEXT NOT NULL, n INTEGER NOT NULL)"));
      return {};
    });
  }
  static std::map<std::string, std::int64_t> told(store::State& state) {
    std::map<std::string, std::int64_t> out;
    auto rows = state.read(
        [](store::Reader& db) { return db.all<Row>("SELECT account, n FROM noticed_in_test ORDER BY account, n"); });
    EXPECT_TRUE(rows) << to_string(rows.error());
    for (const Row& r : *rows) EXPECT_EQ(r.n, 3 * ++out[r.account]) << r.account << ": each once, none left out";
    return out;
  }

  void feed(std::span<const event::Fact> facts, Instant received, bool again) override {
    EXPECT_FALSE(facts.empty());
    EXPECT_FALSE(again && fed != 0) << "what comes again comes before what is new";
    for (const event::Fact& f : facts) {
      fed += again ? 0 : 1;
      fed_again += again ? 1 : 0;
      EXPECT_EQ(event::head_of(f).received, received);
      std::string text;
      event::append_json(text, f);
      order = hash64(text, order ^ static_cast<std::uint64_t>(micros(received)));
      const auto* c = std::get_if<event::ChangeFact>(&f);
      if (c == nullptr || c->change != event::Change::inbox_rule) continue;
      const std::int64_t n = ++counts[c->account];
      if (n % 3 == 0 && !again) out.push_back({c->account, n});
    }
  }
  store::Unit take() override {
    if (out.empty()) return nullptr;
    return [rows = std::exchange(out, {})](store::Tx& tx) -> Result<void> {
      for (const Row& r : rows)
        BAVN_CHECK(tx.exec("INSERT INTO noticed_in_test (account, n) VALUES (:account, :n)",
                           {{"account", r.account}, {"n", r.n}}));
      return {};
    };
  }
  Result<void> save(std::string& into) const override {
    into += std::to_string(order) + "\n";
    for (const auto& [account, n] : counts) into += account + " " + std::to_string(n) + "\n";
    return {};
  }
  Result<void> load(std::string_view saved) override {
    std::istringstream in{std::string(saved)};
    in >> order;
    std::string account;
    for (std::int64_t n = 0; in >> account >> n;) counts[account] = n;
    ++loads;
    return {};
  }
  Duration memory() const override { return std::chrono::hours(24 * 365 * 10); }

  std::map<std::string, std::int64_t> counts;
  std::uint64_t order = 0, fed = 0, fed_again = 0, loads = 0;
  std::vector<Row> out;
};
BOOST_DESCRIBE_STRUCT(CountingWatcher::Row, (), (account, n))

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
    if (watched) {
      EXPECT_TRUE(CountingWatcher::make_table(*state));
      watcher = std::make_shared<CountingWatcher>();
      options.watcher = watcher;
    }
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
  bool watched = false;  // with a CountingWatcher, another one in each life
  std::shared_ptr<CountingWatcher> watcher;
  std::unique_ptr<Pipeline> pipeline;
};

}  // namespace bavn::live::testing
