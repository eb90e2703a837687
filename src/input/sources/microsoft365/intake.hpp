#pragma once
// From records to the sink, each exactly once: what was seen is left out; what is about to be delivered is written down first with
// the id it is delivered under, and offered again under the same id after a crash (the sink stores an id once); what was taken is
// marked as seen in the same transaction that moves the cursor.
// Bounded: seen keys are 16 bytes each, kept for the depth of re-reading, at most 2 million a source.
// Life: shared. Thread rules: everything on the queue given.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/runtime.hpp"
#include "input/sink.hpp"
#include "input/sources/microsoft365/page.hpp"
#include "store/state.hpp"

namespace bavn::input::microsoft365 {

struct Origin {
  std::string source;  // "m365.signins", "m365.signins@school"
  MunicipalityId municipality{};
  TenantId tenant{};
};

struct Taken {
  std::uint64_t fresh = 0, seen = 0, refused = 0;
  Instant newest{};  // of the fresh ones
};

class Intake : public std::enable_shared_from_this<Intake> {
 public:
  Intake(Runtime& runtime, QueueId queue, Sink& sink, store::State& state, Origin origin, std::string format);

  using Also = std::function<Result<void>(store::Tx&)>;
  /// also: in the transaction that marks the last of them as seen (and when there is nothing new).
  void take(std::vector<Record> records, Also also, std::move_only_function<void(Result<Taken>)> then);
  /// What a crash left written down but not taken; first thing after a start.
  void take_left_over(std::move_only_function<void(Result<void>)> then);
  /// Of these keys, which were not marked.
  Result<std::vector<bool>> unseen(const std::vector<std::string>& keys) const;
  static Result<void> mark(store::Tx& tx, const std::string& source, const std::string& key);
  /// Forgets keys marked before; 0 keys above the bound are reported.
  Result<void> forget(store::Tx& tx, Instant before) const;
  void stop() { stopped_ = true; }
  const Origin& origin() const { return origin_; }

 private:
  struct Batch;
  void next(const std::shared_ptr<Batch>& batch);
  void offer(const std::shared_ptr<Batch>& batch, unsigned tries);
  void taken(const std::shared_ptr<Batch>& batch, std::uint64_t refused);
  template <class F>
  auto on_queue(F f);

  Runtime& runtime_;
  QueueId queue_;
  Sink& sink_;
  store::State& state_;
  Origin origin_;
  std::string format_;
  bool stopped_ = false;
};

}  // namespace bavn::input::microsoft365
