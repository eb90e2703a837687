#pragma once
// The commands of the `bavn` binary. Each takes its parsed options and returns the exit code:
// 0 done, 1 something failed (said on stderr), 2 wrong usage, 3 done, but some input could not be read.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace bavn::app {

constexpr int kDone = 0, kFailed = 1, kUsage = 2, kPartly = 3;

struct ScanOptions {
  std::vector<std::string> rules, indicators, allow, mappings, files;
  std::string format, min_level, placeholders, rule_cache, municipality;
  bool builtin_rules = false, json = false, quiet = false;
  unsigned jobs = 0;  // 0: one per core
};
int scan(const ScanOptions& options);

struct RulesOptions {
  std::string action;  // check, list, test, explain
  std::vector<std::string> paths;
  std::string id, placeholders, rule_cache;
  bool builtin_rules = false, json = false;
};
int rules(const RulesOptions& options);

struct FormatsOptions {
  std::string action;  // list, explain, test
  std::string name;
  std::vector<std::string> files;
  bool json = false;
};
int formats(const FormatsOptions& options);

struct BenchOptions {
  std::string lane;  // hotpath, history, indicators
  std::vector<std::string> rules;
  std::vector<std::string> events;
  std::uint64_t random_indicators = 0;
  std::uint64_t megabytes = 0;  // how much of a lane is read; 0: a sane default
  std::uint64_t count = 0;
  std::string directory;
  bool json = false;
};
int bench_hotpath(const BenchOptions& options);

/// Files below the paths, sorted, folders walked; "-" stays. Missing ones are reported on stderr and counted.
std::vector<std::string> files_below(const std::vector<std::string>& paths, unsigned& missing);

}  // namespace bavn::app
