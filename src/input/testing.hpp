#pragma once
// For tests of sources: a sink that remembers, a book that remembers. Both are told to make trouble.
#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/runtime.hpp"
#include "base/text.hpp"
#include "input/sink.hpp"

namespace bavn::input::testing {

/// Of a fake that posts tasks which touch it: on real threads they also come after its end, and do nothing then. Its last member.
class Lifetime {
 public:
  Lifetime() = default;
  ~Lifetime() {
    const std::lock_guard lock(state_->mutex);
    state_->over = true;
  }
  Lifetime(const Lifetime&) = delete;
  Lifetime& operator=(const Lifetime&) = delete;

  template <class F>
  auto during(F f) {
    return [state = state_, f = std::move(f)]() mutable {
      const std::lock_guard lock(state->mutex);
      if (!state->over) f();
    };
  }

 private:
  struct State {
    std::mutex mutex;
    bool over = false;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

/// Answers after a while, on a queue of its own; stores what has a known id once. Thread rules: any thread.
class FakeSink final : public Sink {
 public:
  explicit FakeSink(Runtime& runtime) : runtime_(runtime), queue_(runtime.queue({"fake-sink", 1, 100'000})) {}

  bool has_room(std::size_t) const override {
    const std::lock_guard lock(mutex_);
    return room_;
  }
  void deliver(Delivery d, std::move_only_function<void(Result<Receipt>)> done) override {
    const Duration wait{delay_us_ == 0 ? 0 : static_cast<std::int64_t>(runtime_.random_below(delay_us_))};
    runtime_.after(wait, queue_, life_.during([this, d = std::move(d), done = std::move(done)]() mutable {
      auto receipt = take(std::move(d));
      done(std::move(receipt));
    }));
  }

  /// Of 100 deliveries this many are answered "unavailable".
  void set_full(unsigned percent) {
    const std::lock_guard lock(mutex_);
    full_ = percent;
  }
  void set_room(bool room) {
    const std::lock_guard lock(mutex_);
    room_ = room;
  }
  void set_bad(std::string bad) {
    const std::lock_guard lock(mutex_);
    bad_ = std::move(bad);
  }
  void set_delay(std::uint64_t up_to_us) { delay_us_ = up_to_us; }

  std::vector<Delivery> stored() const {
    const std::lock_guard lock(mutex_);
    return stored_;
  }
  std::vector<std::string> lines() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::string> out;
    for (const Delivery& d : stored_)
      for (const std::string_view line : split(d.bytes, '\n'))
        if (!line.empty()) out.emplace_back(line);
    return out;
  }
  std::size_t count() const { return lines().size(); }
  std::size_t duplicates() const {
    const std::lock_guard lock(mutex_);
    return duplicates_;
  }

 private:
  Result<Receipt> take(Delivery d) {
    const std::lock_guard lock(mutex_);
    if (full_ != 0 && runtime_.random_below(100) < full_) return fail(Code::unavailable, "the history is full");
    if (!bad_.empty() && d.bytes.contains(bad_)) return fail(Code::bad_input, "nobody can read this");
    Receipt r;
    r.accepted = static_cast<std::uint64_t>(std::count(d.bytes.begin(), d.bytes.end(), '\n')) +
                 (d.bytes.ends_with('\n') ? 0 : 1);
    r.newest_happened = runtime_.now() - std::chrono::seconds(3);
    if (!d.id.empty() && !ids_.insert({d.source, d.id}).second) {
      r.duplicate = true;
      ++duplicates_;
      return r;
    }
    stored_.push_back(std::move(d));
    return r;
  }

  Runtime& runtime_;
  QueueId queue_;
  mutable std::mutex mutex_;
  bool room_ = true;
  unsigned full_ = 0;
  std::string bad_;
  std::uint64_t delay_us_ = 2000;
  std::vector<Delivery> stored_;
  std::set<std::pair<std::string, std::string>> ids_;
  std::size_t duplicates_ = 0;
  Lifetime life_;
};

class FakeBook final : public SourceBook {
 public:
  void say(SourceReport report) override {
    const std::lock_guard lock(mutex_);
    last_[report.source] = std::move(report);
    ++said_;
  }
  void refused(std::string_view, std::string_view reason, std::uint64_t count, std::string first) override {
    const std::lock_guard lock(mutex_);
    auto& r = refused_[std::string(reason)];
    if (r.count == 0) r.first = std::move(first);
    r.count += count;
  }
  SourceReport last(const std::string& source) const {
    const std::lock_guard lock(mutex_);
    const auto it = last_.find(source);
    return it == last_.end() ? SourceReport{} : it->second;
  }
  Refused refused_for(const std::string& reason) const {
    const std::lock_guard lock(mutex_);
    const auto it = refused_.find(reason);
    return it == refused_.end() ? Refused{} : it->second;
  }
  std::size_t said() const {
    const std::lock_guard lock(mutex_);
    return said_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, SourceReport> last_;
  std::map<std::string, Refused> refused_;
  std::size_t said_ = 0;
};

}  // namespace bavn::input::testing
