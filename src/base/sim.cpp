#include "base/sim.hpp"

#include <algorithm>
#include <cstring>

namespace bavn {

Sim::Sim(std::uint64_t seed, Instant start) : state_(seed), now_(start), files_(seed) {}

QueueId Sim::queue(QueueOptions options) {
  BAVN_ASSERT(options.threads > 0);
  lines_.push_back({std::move(options), {}});
  return QueueId{static_cast<std::uint32_t>(lines_.size() - 1)};
}

bool Sim::post(QueueId queue, Task task) {
  BAVN_ASSERT(queue.value < lines_.size());
  const Line& line = lines_[queue.value];
  if (line.waiting.size() >= line.options.limit) return false;
  add(queue.value, std::move(task));
  return true;
}

void Sim::add(std::size_t line, Task task) {
  auto& waiting = lines_[line].waiting;
  if (waiting.empty()) ready_.insert(std::lower_bound(ready_.begin(), ready_.end(), line), line);
  waiting.push_back(std::move(task));
}

TimerId Sim::after(Duration delay, QueueId queue, Task task) {
  BAVN_ASSERT(queue.value < lines_.size());
  const Duration due = elapsed_ + std::max(delay, Duration(0));
  timers_.emplace(std::pair(due, ++last_timer_), Timer{queue, std::move(task)});
  due_.emplace(last_timer_, due);
  return TimerId{last_timer_};
}

bool Sim::cancel(TimerId timer) {
  const auto it = due_.find(timer.value);
  if (it == due_.end()) return false;
  const auto node = timers_.extract(std::pair(it->second, timer.value));
  due_.erase(it);
  return true;
}

// splitmix64: a counter and a mixer, so that the stream is the same on every machine.
void Sim::random(std::span<std::byte> out) {
  while (!out.empty()) {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
    z ^= z >> 31;
    const std::size_t n = std::min(out.size(), sizeof z);
    std::memcpy(out.data(), &z, n);
    out = out.subspan(n);
  }
}

void Sim::release_due() {
  while (!timers_.empty() && timers_.begin()->first.first <= elapsed_) {
    auto node = timers_.extract(timers_.begin());
    due_.erase(node.key().second);
    add(node.mapped().queue.value, std::move(node.mapped().task));
  }
}

bool Sim::run_one_ready() {
  release_due();
  if (ready_.empty()) return false;
  const auto chosen = ready_.begin() + static_cast<std::ptrdiff_t>(random_below(ready_.size()));
  Line& line = lines_[*chosen];
  std::deque<Task>& waiting = line.waiting;
  // A queue of n threads may finish its first n tasks in any order.
  const std::size_t threads = line.options.threads;
  const std::size_t choice = threads > 1 ? random_below(std::min(threads, waiting.size())) : 0;
  Task task = std::move(waiting[choice]);
  waiting.erase(waiting.begin() + static_cast<std::ptrdiff_t>(choice));
  if (waiting.empty()) ready_.erase(chosen);
  ++tasks_run_;
  task();
  return true;
}

void Sim::pass(Duration until) {
  now_ += until - elapsed_;
  elapsed_ = until;
}

bool Sim::fire_next_before(Duration last) {
  if (timers_.empty() || timers_.begin()->first.first > last) return false;
  pass(timers_.begin()->first.first);
  return true;
}

void Sim::advance(Duration by) {
  const Duration end = elapsed_ + by;
  while (run_one_ready() || fire_next_before(end)) {
  }
  pass(end);
}

bool Sim::run_until_idle(Duration at_most) {
  const Duration end = elapsed_ + at_most;
  while (run_one_ready() || fire_next_before(end)) {
  }
  return timers_.empty();
}

bool Sim::run_until(const std::function<bool()>& condition, Duration at_most) {
  const Duration end = elapsed_ + at_most;
  while (!condition())
    if (!run_one_ready() && !fire_next_before(end)) return false;
  return true;
}

}  // namespace bavn
