// The hot path against the reference evaluator: same records, same rules, same answer; twice, so that what is remembered is tried.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "hunt/engine.hpp"
#include "match/sigma/exact.hpp"

namespace bavn::hunt {
namespace {

namespace fs = std::filesystem;
namespace sigma = match::sigma;

std::string corpora() {
  if (const char* set = std::getenv("BAVN_CORPORA")) return set;
  return BAVN_SOURCE_DIR "/../shared/corpora";
}

using Pairs = std::set<std::pair<std::uint32_t, std::uint32_t>>;

// (record, rule) by the slow way. On a route of no known source the reference sees the rules that the program tries there.
Pairs by_reference(const Engine& engine, const event::EventBatch& batch) {
  Pairs out;
  for (std::uint32_t r = 0; r < batch.records.size(); ++r) {
    const event::Record& record = batch.records[r];
    const auto& program = engine.program().route(record.route, engine.routes().at(record.route));
    const match::hotpath::BatchRecordView view(engine.plan(), batch, record);
    for (const std::uint32_t rule : program.rules)
      if (sigma::matches(engine.rules(), engine.rules().rules[rule], view)) out.insert({r, rule});
  }
  return out;
}

Pairs by_hot_path(const Worker& worker) {
  Pairs out;
  for (const auto& h : worker.hits()) out.insert({h.record, h.rule});
  return out;
}

void compare(const std::vector<std::string>& rules, const std::vector<std::string>& files, std::size_t most_records) {
  EngineOptions options;
  options.rules = rules;
  options.builtin_rules = rules.empty();
  auto engine = Engine::open(options);
  ASSERT_TRUE(engine) << to_string(engine.error());
  Worker worker(**engine);
  event::EventBatch batch;
  std::size_t records = 0, pairs = 0;
  for (const auto& file : files) {
    auto source = formats::Source::open(file);
    if (!source) continue;
    worker.reader().new_source();
    std::size_t of_file = 0;
    while (!(*source)->done() && of_file < most_records) {
      auto chunk = (*source)->next(batch);
      ASSERT_TRUE(chunk);
      worker.process(batch, *chunk);
      if (batch.records.size() > most_records) batch.records.resize(most_records);
      worker.match(batch);
      const Pairs first = by_hot_path(worker);
      worker.match(batch);
      EXPECT_EQ(by_hot_path(worker), first) << file << ": the second look differs";
      Pairs reference = by_reference(**engine, batch);
      std::erase_if(reference, [&](const auto& p) {
        // needs nothing to be there and finds none of its fields on a record of no known source: not tried, by decision
        return (*engine)->routes().at(batch.records[p.first].route).unknown &&
               !(*engine)->program().has_witness(p.second) && !first.contains(p);
      });
      EXPECT_EQ(first, reference) << file;
      records += batch.records.size();
      of_file += batch.records.size();
      pairs += first.size();
    }
  }
  EXPECT_GT(records, 20U);
  EXPECT_GT(pairs, 0U);
  std::printf("[          ] %zu records, %zu pairs\n", records, pairs);
}

TEST(HotPath, FindsWhatTheReferenceFindsOnRealEvents) {
  const std::string root = corpora();
  if (!fs::exists(root + "/detection/sigmahq-rules")) GTEST_SKIP() << "corpora not found; set BAVN_CORPORA";
  std::vector<std::string> files;
  for (const char* folder : {"/detection/otrf-security-datasets", "/detection/sigmahq-regression",
                             "/detection/zeek-json", "/detection/panther-tests", "/logs/windows_winlogbeat",
                             "/logs/m365_audit", "/logs/linux_auth", "/logs/web_nginx"})
    for (const auto& e : fs::recursive_directory_iterator(root + folder))
      if (e.is_regular_file() && e.path().extension() != ".md" && e.path().filename() != "LICENSE")
        files.push_back(e.path().string());
  std::sort(files.begin(), files.end());
  compare({root + "/detection/sigmahq-rules"}, files, 200);
}

TEST(HotPath, RunsWhatHasNoWitnessAndWhatIsRemembered) {
  const auto dir = fs::temp_directory_path() / ("bavn_hotpath_" + std::to_string(::getpid()));
  fs::create_directories(dir);
  const auto write = [&](const char* name, const std::string& text) {
    const auto path = (dir / name).string();
    std::FILE* f = std::fopen(path.c_str(), "wb");
    std::fwrite(text.data(), 1, text.size(), f);
    std::fclose(f);
    return path;
  };
  const std::string rules = write("rules.yml", R"(title: short contains
id: 11111111-0000-4000-8000-000000000001
logsource: {category: test}
detection: {s: {a|contains: 'xy'}, condition: s}
---
title: only a negation
id: 11111111-0000-4000-8000-000000000002
logsource: {category: test}
detection: {s: {a: 'no'}, condition: not s}
---
title: keyword with quotes
id: 11111111-0000-4000-8000-000000000003
logsource: {category: test}
detection: {k: ['say "hello" now'], condition: k}
---
title: keyword any case
id: 11111111-0000-4000-8000-000000000004
logsource: {category: test}
detection: {k: ['sekurlsa::logonpasswords'], condition: k}
---
title: null
id: 11111111-0000-4000-8000-000000000005
logsource: {category: test}
detection: {s: {b: null, a|exists: true}, condition: s}
---
title: regex behind a literal
id: 11111111-0000-4000-8000-000000000006
logsource: {category: test}
detection: {s: {a|re: 'ab+c-[0-9]+-tail'}, condition: s}
---
title: wildcard
id: 11111111-0000-4000-8000-000000000007
logsource: {category: test}
detection: {s: {a: 'one*two?three'}, condition: s}
---
title: base name
id: 11111111-0000-4000-8000-000000000008
logsource: {category: test}
detection: {s: {a|endswith: '\evil.exe'}, condition: s}
---
title: keyword with slashes
id: 11111111-0000-4000-8000-000000000010
logsource: {category: test}
detection: {k: ['cat /etc/shadow'], condition: k}
---
title: keyword with backslashes
id: 11111111-0000-4000-8000-000000000011
logsource: {category: test}
detection: {k: ['\\tools\mimilib.dll'], condition: k}
---
title: short keyword
id: 11111111-0000-4000-8000-000000000012
logsource: {category: test}
detection: {k: ['#!'], condition: k}
---
title: not ascii
id: 11111111-0000-4000-8000-000000000009
logsource: {category: test}
detection: {s: {a|contains: 'ÅRHUS'}, condition: s}
)");
  std::string events;
  for (const char* a :
       {"xy", "wxyz", "no", "say \\\"hello\\\" now", "SEKURLSA::LogonPasswords", "\\u0073ekurlsa::logonpasswords",
        "abbbc-42-tail", "abc-x-tail", "oneTWOtwoXthree", "one two three", "C:\\\\x\\\\EVIL.exe", "evil.exe",
        "i \\u00e5rhus by", "I århus", "Cat /etc/shadow", "cat \\/etc\\/shadow x", "C:\\\\tools\\\\mimilib.dll",
        "x #! y", "cat etc shadow"})
    for (const char* b : {"", ",\"b\":null", ",\"b\":1"}) events += std::string("{\"a\":\"") + a + "\"" + b + "}\n";
  const std::string file = write("events.ndjson", events);
  compare({rules}, {file}, 1000);
  fs::remove_all(dir);
}

}  // namespace
}  // namespace bavn::hunt
