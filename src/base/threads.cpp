#include "base/threads.hpp"

#include <pthread.h>
#include <sodium.h>

namespace bavn {

Threads::Threads() {
  BAVN_ASSERT(sodium_init() >= 0);
  timer_thread_ = std::thread([this] { run_timers(); });
}

Threads::~Threads() {
  {
    const std::lock_guard lock(timers_mutex_);
    stopping_ = true;
  }
  timer_changed_.notify_all();
  timer_thread_.join();
  const std::lock_guard lock(pools_mutex_);
  for (auto& pool : pools_) {
    {
      const std::lock_guard pool_lock(pool->mutex);
      pool->stopping = true;
    }
    pool->some.notify_all();
  }
  for (auto& pool : pools_)
    for (std::thread& t : pool->threads) t.join();
}

Instant Threads::now() const {
  return system_now();
}

Duration Threads::steady() const {
  return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now().time_since_epoch());
}

QueueId Threads::queue(QueueOptions options) {
  BAVN_ASSERT(options.threads > 0);
  const std::lock_guard lock(pools_mutex_);
  Pool& pool = *pools_.emplace_back(std::make_unique<Pool>());
  pool.options = std::move(options);
  for (unsigned i = 0; i < pool.options.threads; ++i)
    pool.threads.emplace_back([&pool] {
      pthread_setname_np(pthread_self(), pool.options.name.substr(0, 15).c_str());  // the kernel keeps 15
      work(pool);
    });
  return QueueId{static_cast<std::uint32_t>(pools_.size() - 1)};
}

void Threads::work(Pool& pool) {
  for (;;) {
    std::unique_lock lock(pool.mutex);
    pool.some.wait(lock, [&] { return pool.stopping || !pool.waiting.empty(); });
    if (pool.stopping) return;
    Task task = std::move(pool.waiting.front());
    pool.waiting.pop_front();
    lock.unlock();
    task();
  }
}

bool Threads::enqueue(QueueId queue, Task task, bool within_limit) {
  Pool* pool = nullptr;
  {
    const std::lock_guard lock(pools_mutex_);
    BAVN_ASSERT(queue.value < pools_.size());
    pool = pools_[queue.value].get();
  }
  {
    const std::lock_guard lock(pool->mutex);
    if (pool->stopping || (within_limit && pool->waiting.size() >= pool->options.limit)) return false;
    pool->waiting.push_back(std::move(task));
  }
  pool->some.notify_one();
  return true;
}

bool Threads::post(QueueId queue, Task task) {
  return enqueue(queue, std::move(task), true);
}

TimerId Threads::after(Duration delay, QueueId queue, Task task) {
  const Duration due = steady() + std::max(delay, Duration(0));
  std::uint64_t number = 0;
  {
    const std::lock_guard lock(timers_mutex_);
    number = ++last_timer_;
    timers_.emplace(std::pair(due, number), Timer{queue, std::move(task)});
    due_.emplace(number, due);
  }
  timer_changed_.notify_one();
  return TimerId{number};
}

bool Threads::cancel(TimerId timer) {
  Timer dead;  // its task dies outside the lock: what it captured may call us
  const std::lock_guard lock(timers_mutex_);
  const auto it = due_.find(timer.value);
  if (it == due_.end()) return false;
  auto node = timers_.extract(std::pair(it->second, timer.value));
  dead = std::move(node.mapped());
  due_.erase(it);
  return true;
}

void Threads::run_timers() {
  pthread_setname_np(pthread_self(), "timers");
  std::unique_lock lock(timers_mutex_);
  while (!stopping_) {
    if (timers_.empty()) {
      timer_changed_.wait(lock);
      continue;
    }
    const Duration due = timers_.begin()->first.first;
    const Duration wait = due - steady();
    if (wait > Duration(0)) {
      timer_changed_.wait_for(lock, wait);
      continue;
    }
    auto node = timers_.extract(timers_.begin());
    due_.erase(node.key().second);
    lock.unlock();
    enqueue(node.mapped().queue, std::move(node.mapped().task), false);
    lock.lock();
  }
}

void Threads::random(std::span<std::byte> out) {
  randombytes_buf(out.data(), out.size());
}

}  // namespace bavn
