#pragma once
// What this node has to tell the hub, on disk until the hub has it. Written inside the Tx of what it tells of; sent in batches whose ids
// and contents stay the same however often they are sent; noted in "What left us" in the Tx that makes the batch, before it leaves.
// Tables spool, spool_batch, spool_mark (schema folder "node"). Thread rules: inside a Tx, or any thread.
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.hpp"
#include "base/runtime.hpp"
#include "event/tlp.hpp"
#include "store/state.hpp"

namespace bavn::beacon {

/// What happens to a kind when the hub is away for long. Lower goes first over the wire.
/// A batch holds one worth only, so that what seconds hang on never waits behind what can wait.
enum class Worth : std::int8_t {
  urgent = -1,     // what is noticed, and answers to the hub: the beacon itself. Never lost either
  never_lost = 0,  // alert, fork and every kind not named below: kept beyond the limit
  evidence = 1,    // sighting, digest: dropped oldest first when nothing of `counted` is left
  counted = 2,     // counts, health, clock: above half of the limit merged, at the limit dropped oldest first
};
Worth worth_of(std::string_view kind);

struct SpoolOptions {
  std::uint64_t limit_bytes = 1ULL << 30U;
  std::size_t batch_bytes = 1U << 20U;
  unsigned batch_items = 500;
};

struct SpoolState {
  std::int64_t waiting = 0, waiting_bytes = 0;
  std::int64_t merged = 0;  // since the beginning
  std::int64_t dropped_evidence = 0, dropped_counted = 0;
  std::int64_t refused = 0;  // items the hub did not take
  std::optional<std::int64_t> oldest_us;
};

struct Batch {
  std::string id;
  std::string body;  // JSON as posted
  std::int64_t items = 0;
};

struct RefusedItem {
  std::string id, reason;
};

class Spool {
 public:
  Spool(Runtime& runtime, store::State& state, SpoolOptions options = {});

  /// json: one JSON object, at most 256 KiB (bad_input else). After the commit it will reach the hub, or be counted (Worth).
  Result<void> report(store::Tx& tx, std::string_view kind, std::string_view json, MunicipalityId municipality,
                      event::Tlp tlp);
  SpoolState state() const;

  // For the sender (node.cpp).
  /// The next batch to send: one made before and not acknowledged, or a new one when something more important waits. nullopt: nothing.
  Result<std::optional<Batch>> next(store::Tx& tx, std::string_view to);
  /// The hub has it.
  Result<void> acknowledged(store::Tx& tx, const std::string& batch, const std::vector<RefusedItem>& refused);
  /// The hub will never take it as it is: two halves, or, when it is one item, refused with the reason.
  Result<void> split(store::Tx& tx, const std::string& batch, std::string_view reason);

 private:
  Result<bool> make_room(store::Tx& tx, std::uint64_t bytes, Worth of);
  Result<std::optional<Batch>> load(store::Tx& tx, const std::string& batch) const;
  Result<std::optional<Batch>> form(store::Tx& tx, std::string_view to, Worth at_most);
  Result<std::string> incarnation(store::Tx& tx);

  Runtime& runtime_;
  store::State& state_;
  SpoolOptions options_;
};

}  // namespace bavn::beacon
