#pragma once
// The simulated Runtime: one thread, virtual time, and an order of everything that could happen at once that depends on the seed
// alone: same seed, same run. A quarter of a year passes as fast as its events can be computed.
// Thread rules: one thread, the one that made it. Life: as Runtime.
#include <deque>
#include <map>
#include <vector>

#include "base/memory_links.hpp"
#include "base/runtime.hpp"
#include "base/sim_files.hpp"

namespace bavn {

class Sim : public Runtime {
 public:
  explicit Sim(std::uint64_t seed, Instant start = from_micros(1'727'769'600'000'000));  // 2024-10-01T08:00:00Z

  Instant now() const override { return now_; }
  Duration steady() const override { return elapsed_; }
  QueueId queue(QueueOptions options) override;
  bool post(QueueId queue, Task task) override;
  TimerId after(Duration delay, QueueId queue, Task task) override;
  bool cancel(TimerId timer) override;
  void random(std::span<std::byte> out) override;
  SimFiles& files() override { return files_; }
  Links& links() override { return links_; }
  bool single_threaded() const override { return true; }

  /// Runs everything that is due in the next `by` of virtual time; the clock stands `by` later afterwards.
  void advance(Duration by);
  /// Runs until nothing waits and no timer is set: true. False when `at_most` of virtual time went by first.
  bool run_until_idle(Duration at_most = std::chrono::hours(24 * 365));
  /// Runs until condition() holds: true. False when it is idle or `at_most` went by first.
  bool run_until(const std::function<bool()>& condition, Duration at_most = std::chrono::hours(24));

  void set_weather(Weather weather) { links_.set_weather(weather); }
  void set_reachable(const std::string& address, bool reachable) { links_.set_reachable(address, reachable); }
  /// The wall clock jumps, as after a wrong NTP server; steady() and timers do not notice.
  void jump_clock(Duration by) { now_ += by; }
  std::uint64_t tasks_run() const { return tasks_run_; }

 private:
  struct Line {
    QueueOptions options;
    std::deque<Task> waiting;
  };
  struct Timer {
    QueueId queue;
    Task task;
  };
  void add(std::size_t line, Task task);
  void release_due();               // timers whose moment has come join their queues
  bool run_one_ready();             // one task that is due now, chosen by the seed
  bool fire_next_before(Duration);  // moves the clock to the next timer, when it is not after this moment
  void pass(Duration until);

  std::uint64_t state_;  // of the generator
  Instant now_;
  Duration elapsed_{0};
  std::deque<Line> lines_;
  std::vector<std::size_t> ready_;  // lines in which something waits, in order; a community has thousands
  std::map<std::pair<Duration, std::uint64_t>, Timer> timers_;
  std::map<std::uint64_t, Duration> due_;
  std::uint64_t last_timer_ = 0;
  std::uint64_t tasks_run_ = 0;
  SimFiles files_;
  MemoryLinks links_{*this};
};

}  // namespace bavn
