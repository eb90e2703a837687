#pragma once
// Counters with the names of the log events they count. Life: one Metrics a process, made in main and handed on by reference.
// Thread rules: add() from any thread without a lock; counter() takes one, so keep the reference it returns.
#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace bavn {

class Counter {
 public:
  void add(std::uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Metrics {
 public:
  /// name: "mail_refused". label: "source=relay-1", or empty. The reference lives as long as this.
  Counter& counter(std::string_view name, std::string_view label = {});

  /// Prometheus text: bavn_mail_refused_total{source="relay-1"} 3. Sorted by name.
  std::string text() const;

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, Counter, std::less<>> counters_;  // nodes never move
};

}  // namespace bavn
