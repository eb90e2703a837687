#pragma once
// The real Runtime: system clock, one pool of threads a queue, one thread for timers.
// Life: the destructor lets running tasks end, drops waiting ones and joins. Thread rules: any thread, but the destructor only
// from a thread that is none of its own.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "base/memory_links.hpp"
#include "base/runtime.hpp"

namespace bavn {

class Threads : public Runtime {
 public:
  Threads();
  ~Threads() override;

  Instant now() const override;
  Duration steady() const override;
  QueueId queue(QueueOptions options) override;
  bool post(QueueId queue, Task task) override;
  TimerId after(Duration delay, QueueId queue, Task task) override;
  bool cancel(TimerId timer) override;
  void random(std::span<std::byte> out) override;
  Files& files() override { return files_; }
  Links& links() override { return links_; }  // inside this process; net brings the ones between machines

 private:
  struct Pool {
    QueueOptions options;
    std::mutex mutex;
    std::condition_variable some;
    std::deque<Task> waiting;
    bool stopping = false;
    std::vector<std::thread> threads;
  };
  struct Timer {
    QueueId queue;
    Task task;
  };
  static void work(Pool& pool);
  bool enqueue(QueueId queue, Task task, bool within_limit);
  void run_timers();

  mutable std::mutex pools_mutex_;
  std::deque<std::unique_ptr<Pool>> pools_;

  std::mutex timers_mutex_;
  std::condition_variable timer_changed_;
  std::map<std::pair<Duration, std::uint64_t>, Timer>
      timers_;                             // by due time, then by number: equal times keep their order
  std::map<std::uint64_t, Duration> due_;  // number -> due time, to cancel
  std::uint64_t last_timer_ = 0;
  bool stopping_ = false;

  DiskFiles files_;
  MemoryLinks links_{*this};
  std::thread timer_thread_;
};

}  // namespace bavn
