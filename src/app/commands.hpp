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
  std::vector<std::string> only;  // hotpath: these lanes; empty: all
  int rounds = 9;                 // hotpath: the median of these counts
  unsigned seconds = 0;           // of intake; 0: a sane default
  unsigned overload = 0;          // times what it can take
  bool facts = false;             // intake: with a watcher of facts
  std::string via;                // intake: bulk, bulk_ids, hec; empty: the plain way alone
  std::string directory;
  bool json = false;
};
int bench_hotpath(const BenchOptions& options);
int bench_history(const BenchOptions& options);
int bench_indicators(const BenchOptions& options);
int bench_intake(const BenchOptions& options);

struct IngestOptions {
  std::string data, source, format;
  std::vector<std::string> files;
  std::uint16_t municipality = 0;
  unsigned jobs = 0;
  bool json = false, quiet = false;
};
int ingest(const IngestOptions& options);

struct HuntOptions {
  std::string data, text, from, to, source, placeholders;
  std::vector<std::string> observables, kinds, indicators, allow, rules;
  bool builtin_rules = false, json = false, quiet = false;
  std::uint64_t limit = 0;  // 0: none
  unsigned jobs = 0, repeat = 1;
};
int hunt_command(const HuntOptions& options);

struct AlertsOptions {
  std::string action;  // list, show, ack, close, rules, rule
  std::string data, id, why, state, place;
  std::int64_t limit = 100;
  bool json = false;
};
int alerts_command(const AlertsOptions& options);

struct DoctorOptions {
  std::string data, erase_source, erase_day, erase_person;
  std::uint16_t municipality = 0;  // of erase_source
  std::optional<std::int32_t> retain_days;
  std::int32_t cold_days = 2;
  bool rebuild_index = false, cold_pass = false, json = false;
};
int doctor(const DoctorOptions& options);

struct IndicatorsOptions {
  std::string action;  // check, list, convert
  std::vector<std::string> files;
  std::string out;
  bool json = false;
};
int indicators_command(const IndicatorsOptions& options);

struct AuditOptions {
  std::string action;  // verify, list
  std::string data;
  std::string other_data, chain;  // another's data folder, and how our log is called there: its witnesses count too
  std::int64_t from = 1;
  std::uint64_t limit = 1000;
  bool json = false;
};
int audit_command(const AuditOptions& options);

struct BackupOptions {
  std::string data, to;
  bool with_keys = false, json = false;
};
int backup(const BackupOptions& options);

struct RestoreOptions {
  std::string from, data;
  bool verify = false, json = false;
};
int restore(const RestoreOptions& options);

struct HubCommand {
  std::string action =
      "run";  // run, init, status, link, municipality add, node list|code|revoke, guests ..., publish ..., test-beacon, settings
  std::string data, name = "joint CERT", address = "0.0.0.0", form = "package", by, why, source, indicator_action,
                    observable;
  std::vector<std::string> hosts, words;
  std::uint16_t port = 8443;
  unsigned seconds = 10;  // test-beacon waits so long
  bool with_guests = false, own_user = true, json = false;
  bool not_named = false;  // municipality domains
};
int hub_command(const HubCommand& command);

struct NodeCommand {
  std::string action = "run";  // run, enrol, status, left, inbox, token, link, settings
  std::string data, name, user, format, stdin_name;
  std::vector<std::string> words, shared_bases, rules;
  bool guest = false, again = false, json = false;
};
int node_command(const NodeCommand& command);

struct ServeCommand {
  std::string data, municipality;
  std::uint16_t port = 8443;
};
int serve(const ServeCommand& command);

struct BeaconBench {
  unsigned nodes = 98, reporters = 4, entries = 60, rate = 2;  // rate: entries a second
  std::uint64_t indicators = 1'000'000;
  std::string directory;
  bool json = false, keep = false;
};
int bench_beacon(const BeaconBench& options);

struct ConfigCommand {
  std::string action;  // explain, check
  std::string what;    // hub, node, sources
  std::string data;
};
int config_command(const ConfigCommand& command);

/// Files below the paths, sorted, folders walked; "-" stays. Missing ones are reported on stderr and counted.
std::vector<std::string> files_below(const std::vector<std::string>& paths, unsigned& missing);

}  // namespace bavn::app
