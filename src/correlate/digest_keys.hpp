#pragma once
// The hub's shelf of sealed epoch keys: it carries them to nodes and can neither open nor change them. Keys of periods go down when they are
// installed; a reserve stays on the shelf until a node is revoked, and then goes at once to every node but that one.
// Tables hub_digest_address, hub_sealed_key, hub_digest_epoch. Outbox: digest_keys.reserve_used, digest_keys.no_reserve (subject: node).
// Life: after State; before State::start(). Thread rules: inside a Tx; status on any Reader.
#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"
#include "correlate/report.hpp"
#include "event/digest_key.hpp"

namespace bavn::correlate {

/// A node's X25519 address, as it told it; what stewards seal to.
struct NodeAddress {
  std::string node;
  std::int64_t municipality = 0;
  std::string address;
  std::int64_t at_us = 0;
};
BOOST_DESCRIBE_STRUCT(NodeAddress, (), (node, municipality, address, at_us))

struct KeyStanding {
  std::int64_t epoch = 0, from_us = 0, until_us = 0;
  std::int64_t replaces = 0, released_us = 0;  // a reserve; 0: on the shelf
  std::int64_t nodes = 0, sent = 0;
  std::string check;
};
BOOST_DESCRIBE_STRUCT(KeyStanding, (), (epoch, from_us, until_us, replaces, released_us, nodes, sent, check))

class DigestKeyShelf {
 public:
  /// stewards: to refuse what nodes would refuse; empty: nodes alone judge.
  DigestKeyShelf(Down down, std::vector<event::Steward> stewards);

  /// Report "digest_address". A node that has a new address gets the keys that were sealed to it.
  Result<void> take_address(store::Tx& tx, const Report& report);
  /// From `bavn digest-keys install`. Again: nothing new. Returns how many were new. conflict: another key of the same epoch.
  Result<std::int64_t> install(store::Tx& tx, const std::vector<event::SealedKey>& keys, std::string_view who);
  /// A node was revoked: the lowest reserve above all epochs in use goes to all others. The epoch (0: the node never had a
  /// key); nullopt: no reserve is left, and the key
  /// that the revoked node holds stays in use until stewards make new ones.
  Result<std::optional<std::int64_t>> revoked(store::Tx& tx, std::string_view node, std::string_view who);

  static Result<std::vector<NodeAddress>> addresses(store::Reader& db);
  static Result<std::vector<KeyStanding>> standing(store::Reader& db);

 private:
  Result<void> send(store::Tx& tx, std::int64_t epoch, const std::string& address);
  Down down_;
  std::vector<event::Steward> stewards_;
};

}  // namespace bavn::correlate
