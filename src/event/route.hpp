#pragma once
// A route is what a record is, as far as Sigma log sources care: resolved once per (format, channel, event id, operation ...) and
// cached by number. Thread rules: RouteTable is shared by all workers; intern() locks, at() does not (entries never move).
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "event/batch.hpp"

namespace bavn::event {

/// Every product, service and category that the record answers to, lower case. `unknown`: a record of no known log source
/// (plain JSON); rules of every log source are tried on it by their fields.
struct Route {
  std::string format;  // "windows_event"
  std::vector<std::string> products, services, categories;
  bool unknown = false;
  std::string ocsf_class;  // "process_activity", "authentication", "email_activity" ...
  std::vector<std::pair<std::string, std::string>>
      aliases;  // rule field <- record field, only on this route (Image <- NewProcessName)
  std::vector<std::pair<std::string, std::string>> adds;  // constant fields that the route implies
  friend bool operator==(const Route&, const Route&) = default;
};

class RouteTable {
 public:
  /// Same route, same id. kNoRoute when 60,000 routes exist.
  RouteId intern(Route r);
  const Route& at(RouteId id) const { return *chunk(id / kChunk)[id % kChunk]; }
  std::size_t size() const { return size_.load(std::memory_order_acquire); }

 private:
  static constexpr std::size_t kChunk = 256;
  using Chunk = std::array<std::unique_ptr<Route>, kChunk>;
  Chunk& chunk(std::size_t i) const { return *chunks_[i].load(std::memory_order_acquire); }
  std::mutex mutex_;
  std::vector<std::unique_ptr<Chunk>> owned_;
  std::array<std::atomic<Chunk*>, 240> chunks_{};
  std::atomic<std::size_t> size_{0};
};

}  // namespace bavn::event
