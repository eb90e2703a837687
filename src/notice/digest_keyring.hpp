#pragma once
// The node's keys of digest epochs: sealed by stewards, carried by the hub, opened here. What is kept is the sealed form: the database alone
// opens nothing. Table node_digest_key.
// Life: after Runtime and State. Thread rules: take() inside a Tx; keys() from any thread.
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/guarded.hpp"
#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "event/digest_key.hpp"
#include "store/state.hpp"

namespace bavn::notice {

/// Immutable snapshot.
class EpochKeys {
 public:
  EpochKeys() = default;
  explicit EpochKeys(std::vector<event::EpochKey> keys);
  /// Oldest first, at most two: during overlap both. Epochs that a reserve replaced are not in force.
  std::vector<const event::EpochKey*> in_force(Instant now) const;
  const event::EpochKey* find(std::int64_t epoch) const;
  std::int64_t floor() const { return floor_; }  // epochs below are replaced
  /// When the last key ends; zero: there is none. Stewards are asked two weeks before.
  Instant lasts_until() const;
  bool empty() const { return keys_.empty(); }
  const std::vector<event::EpochKey>& all() const { return keys_; }

 private:
  std::vector<event::EpochKey> keys_;  // by epoch
  std::int64_t floor_ = 0;
};

/// Hex of the first 16 bytes of BLAKE2b-256 keyed with the epoch's key, over purpose, kind and text.
std::string keyed_digest(const event::EpochKey& key, std::string_view kind, std::string_view text);

class DigestKeyring {
 public:
  static Result<std::unique_ptr<DigestKeyring>> open(Runtime& runtime, store::State& state, SealKey own,
                                                     std::vector<event::Steward> stewards, Metrics& metrics);
  /// Entry "digest_key". bad_input, forbidden: refused for good with the reason. The same key again is nothing new; another key of an epoch
  /// that is there is refused.
  Result<void> take(store::Tx& tx, std::string_view payload);
  std::shared_ptr<const EpochKeys> keys() const;
  /// To be told to the hub ("digest_address").
  std::string address() const;
  const std::vector<event::Steward>& stewards() const { return stewards_; }

 private:
  DigestKeyring(Runtime& runtime, SealKey own, std::vector<event::Steward> stewards, Metrics& metrics);
  Runtime& runtime_;
  SealKey own_;
  std::vector<event::Steward> stewards_;
  Metrics& metrics_;
  Guarded<std::shared_ptr<const EpochKeys>> keys_;
};

/// Pinned stewards of a node: every file *.steward of the folder. A folder that is not there has none.
Result<std::vector<event::Steward>> read_stewards(Files& files, const std::string& folder);
/// The node's X25519 key, made at the first call.
Result<SealKey> node_seal_key(Files& files, const std::string& path, std::string_view owner);

}  // namespace bavn::notice
