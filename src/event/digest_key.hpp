#pragma once
// Keys of digest epochs on their way from stewards to nodes. A steward is a person outside the CERT with two keys: one signs, one opens what
// another steward sealed to them. An epoch's key is sealed to each node's X25519 address and signed for that node; nodes pin the stewards.
// The hub carries the sealed keys and can neither open nor change them.
// Life: values; secret keys wipe themselves. Thread rules: plain functions.
#include <string>
#include <string_view>
#include <vector>

#include "base/aead.hpp"
#include "base/ids.hpp"
#include "base/sign.hpp"
#include "base/time.hpp"
#include "event/notices.hpp"

namespace bavn::event {

/// The public half of a steward: what is handed out and pinned. A text file of "name: value" lines.
struct Steward {
  std::string name;
  PublicKey sign;
  SealAddress seal;
  std::string text() const;
  static Result<Steward> parse(std::string_view text);
};

/// One epoch before it is sealed: only stewards hold it.
struct EpochKey {
  std::int64_t epoch = 0;
  Instant from{}, until{};  // a reserve: from is zero, until - from is how long it lasts from its arrival
  bool replaces = false;
  Key key;
};

/// 16 hex digits: the same key has the same check.
std::string key_check(const Key& key);

SealedKey seal_to_node(const EpochKey& epoch, const SealAddress& node, const SigningKey& steward);
/// Whose signature it bears; forbidden when it is none of these stewards'.
Result<const Steward*> check_sealed(const SealedKey& sealed, const std::vector<Steward>& stewards);
/// At the node: checks the signature and the address, opens. Errors: bad_input, forbidden (not by a pinned steward, or sealed to another
/// node), corrupt.
Result<EpochKey> open_sealed(const SealedKey& sealed, const SealKey& node, const std::vector<Steward>& stewards);

/// A steward's file of epochs: each key sealed to every steward, so that any one of them can go on. Nothing in it is readable without a
/// steward's key. Text lines, in the order they were made.
struct StewardsKeys {
  struct One {
    std::int64_t epoch = 0, from_us = 0, until_us = 0;
    bool replaces = false;
    std::string check;
    std::vector<std::string> sealed;  // in the order of `stewards`, base64
  };
  std::vector<std::string> stewards;  // Steward::text()
  std::vector<One> epochs;
  std::string text() const;
  static Result<StewardsKeys> parse(std::string_view text);
};

struct MakeKeys {
  Instant from{};  // of the first period
  int periods = 3, reserves = 2;
  std::chrono::days length{30};
  std::chrono::hours overlap{48};
};
/// Adds `periods` epochs one after the other, then `reserves`, numbered above what is there. At least two stewards: bad_input else.
Result<void> make_epochs(StewardsKeys& keys, const std::vector<Steward>& stewards, const MakeKeys& make);
/// The epoch's key, opened by one of its stewards. not_found, forbidden, corrupt.
Result<EpochKey> open_epoch(const StewardsKeys& keys, std::int64_t epoch, const SealKey& steward);

}  // namespace bavn::event
