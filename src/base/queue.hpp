#pragma once
// A queue between threads with a budget in bytes. What happens when it is full is said where it is made.
// Thread rules: any number of threads push and pop. Life: close() before the threads that wait in pop() are joined.
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

namespace bavn {

enum class WhenFull : std::uint8_t {
  block,        // push waits: back-pressure
  drop_oldest,  // the oldest go, counted in dropped()
  refuse,       // push returns false, counted in refused()
};

template <class T>
class ByteQueue {
 public:
  ByteQueue(std::size_t budget, WhenFull when_full) : budget_(budget), when_full_(when_full) {}

  /// bytes: what the item costs of the budget. An item larger than the whole budget is let into an empty queue, so that
  /// nobody waits for ever. False: refused, or the queue is closed; the item is gone in both cases.
  bool push(T item, std::size_t bytes) {
    std::unique_lock lock(mutex_);
    const auto fits = [&] { return items_.empty() || bytes_ + bytes <= budget_; };
    if (!fits()) {
      switch (when_full_) {
        case WhenFull::block: room_.wait(lock, [&] { return closed_ || fits(); }); break;
        case WhenFull::drop_oldest:
          while (!fits()) {
            take();
            ++dropped_;
          }
          break;
        case WhenFull::refuse: ++refused_; return false;
      }
    }
    if (closed_) return false;
    items_.emplace_back(std::move(item), bytes);
    bytes_ += bytes;
    lock.unlock();
    some_.notify_one();
    return true;
  }

  /// Waits for an item; nothing when the queue is closed and drained.
  std::optional<T> pop() {
    std::unique_lock lock(mutex_);
    some_.wait(lock, [&] { return closed_ || !items_.empty(); });
    return take_and_tell(lock);
  }
  std::optional<T> try_pop() {
    std::unique_lock lock(mutex_);
    return take_and_tell(lock);
  }

  /// No more items come in; what is in can still be taken.
  void close() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    some_.notify_all();
    room_.notify_all();
  }

  std::size_t bytes() const { return locked(bytes_); }
  std::uint64_t dropped() const { return locked(dropped_); }
  std::uint64_t refused() const { return locked(refused_); }

 private:
  template <class N>
  N locked(const N& n) const {
    const std::lock_guard lock(mutex_);
    return n;
  }
  T take() {
    T item = std::move(items_.front().first);
    bytes_ -= items_.front().second;
    items_.pop_front();
    return item;
  }
  std::optional<T> take_and_tell(std::unique_lock<std::mutex>& lock) {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item = take();
    lock.unlock();
    room_.notify_all();
    return item;
  }

  const std::size_t budget_;
  const WhenFull when_full_;
  mutable std::mutex mutex_;
  std::condition_variable some_, room_;
  std::deque<std::pair<T, std::size_t>> items_;
  std::size_t bytes_ = 0;
  std::uint64_t dropped_ = 0, refused_ = 0;
  bool closed_ = false;
};

}  // namespace bavn
