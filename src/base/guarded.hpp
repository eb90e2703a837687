#pragma once
// Data and its mutex in one place. Thread rules: any thread; `with` holds the lock while f runs, so f is short and calls
// nothing that takes another lock.
#include <mutex>
#include <utility>

namespace bavn {

template <class T>
class Guarded {
 public:
  Guarded() = default;
  explicit Guarded(T value) : value_(std::move(value)) {}

  /// Calls f(T&) under the lock; what f returns is returned by value (a reference would outlive the lock).
  template <class F>
  auto with(F&& f) {
    const std::lock_guard lock(mutex_);
    return std::forward<F>(f)(value_);
  }
  template <class F>
  auto with(F&& f) const {
    const std::lock_guard lock(mutex_);
    return std::forward<F>(f)(value_);
  }

 private:
  mutable std::mutex mutex_;
  T value_{};
};

}  // namespace bavn
