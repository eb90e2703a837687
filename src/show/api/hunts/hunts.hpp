#pragma once
// Hunts as jobs: one runs at a time on a queue of its own, others wait; progress and hits are told as they come, a hunt can be cancelled, what
// was found is kept in memory for a while. Who hunts for persons says why; that, and what was looked for, is in the audit log before anything
// is read. Hunts of one's own municipalities only: the scope goes with the hunt.
// Life: after Runtime, State, History; stop() before they go. Thread rules: any thread.
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "history/history.hpp"
#include "hunt/engine.hpp"
#include "net/http.hpp"
#include "store/state.hpp"

namespace bavn::show::api {

std::span<const Setting> hunt_settings();

struct HuntLimits {
  std::size_t observables = 500;  // of one hunt
  std::size_t waiting = 8;        // hunts that wait, all people together
  std::size_t kept = 20;          // hunts that are over and whose hits are still shown
  std::size_t hits = 10'000;      // of one hunt
  std::size_t line_bytes = 1000;  // of a hit's record that is kept
  Duration longest = std::chrono::minutes(30);
  unsigned jobs = 1;
  static HuntLimits from(const Settings& settings);
};

enum class HuntKind : std::uint8_t { observables, text, rules, indicators };
enum class HuntState : std::uint8_t { waiting, running, done, cancelled, failed, limit };
std::string_view to_string(HuntKind k);
std::string_view to_string(HuntState s);

struct HuntWanted {
  HuntKind kind = HuntKind::observables;
  std::vector<event::Observable> observables;
  std::size_t left_out = 0;  // of a pasted text
  std::string text, source, format, reason;
  std::optional<Instant> from, until;
  std::size_t limit = 10'000;
};

/// What a pasted text holds, defanged or not, each once; those beyond `most` are counted.
struct ReadPaste {
  std::vector<event::Observable> observables;
  std::size_t left_out = 0;
};
ReadPaste read_paste(std::string_view text, std::size_t most);

struct HuntView {
  std::string id, by, trouble;
  HuntWanted wanted;
  HuntState state = HuntState::waiting;
  std::int64_t started_us = 0, ended_us = 0;
  std::uint64_t frames = 0, frames_done = 0, records = 0, hits = 0, kept = 0, unreadable = 0;
  std::vector<std::string> not_by_index;
  bool over() const { return state != HuntState::waiting && state != HuntState::running; }
};

struct HuntHitView {
  std::uint64_t n = 0;
  std::string record, source, format, line, rule_id, rule_title, rule_level;
  std::int64_t happened_us = 0, received_us = 0;
  std::optional<event::Observable> observable;
  bool cut = false;
};

std::string hunt_json(const HuntView& v);
std::string hit_json(const HuntHitView& v);

class Hunts {
 public:
  using EngineNow = std::function<std::shared_ptr<hunt::Engine>()>;
  Hunts(Runtime& runtime, store::State& state, const history::History& history, EngineNow engine, HuntLimits limits);
  ~Hunts();
  /// Cancels all and waits for the one that runs.
  void stop();

  const HuntLimits& limits() const { return limits_; }
  /// bad_input names the member; conflict: too many wait.
  Result<HuntView> start(const event::Scope& scope, HuntWanted wanted);
  /// Newest first, of those the scope may see: its own, or all when it sees all of their municipalities.
  std::vector<HuntView> list(const event::Scope& scope) const;
  Result<HuntView> find(const event::Scope& scope, std::string_view id) const;
  /// From the n-th on (1 is the first).
  Result<std::vector<HuntHitView>> hits(const event::Scope& scope, std::string_view id, std::uint64_t from,
                                        std::size_t most) const;
  /// Stops a hunt; forgets one that is over.
  Result<void> cancel(const event::Scope& scope, std::string_view id);
  /// Hits behind `after`, then new ones as they come, progress between them, and "over" at the end.
  Result<void> follow(const event::Scope& scope, std::string_view id, std::uint64_t after,
                      std::shared_ptr<net::EventStream> stream);

 private:
  struct Job;
  struct Inner;
  std::shared_ptr<Inner> inner_;
  HuntLimits limits_;
};

}  // namespace bavn::show::api
