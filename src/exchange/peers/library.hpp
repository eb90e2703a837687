#pragma once
// What we know and what partners tell us, for the languages above: each reads and writes indicators through a Library and knows no table of
// them. app fills it. What comes in is judged before it is published (peers/judge.hpp): too narrow a TLP, an end in the past, a clock that
// lies; what may never be blocked is watched for instead. Whatever is not taken is listed, object by object.
// Thread rules: any thread but the State's writer; publish and withdraw wait for it (not inside a unit).
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "event/tlp.hpp"
#include "exchange/peers/partner.hpp"
#include "match/indicators/indicator.hpp"
#include "match/indicators/set.hpp"

namespace bavn::exchange {

/// An indicator as a partner gave it. Its source is set by the Library: "PEER", or "PEER: SOURCE" when `indicator.source` names the author
/// behind it (orgc, created_by): nobody publishes in another's name. confidence, action and TLP as the partner says; where it says nothing,
/// begin with defaults_of().
struct Delivered {
  match::indicators::Indicator indicator{};
  std::string object{};  // the partner's id of it: an attribute's uuid, indicator--...
  /// For us and our own nodes, no other partner may have it, whatever its TLP: what a MISP shares with its own organisation or a sharing
  /// group. `indicator.source` must be one that has such indicators only (closed_source()).
  bool closed = false;
};

/// An object that was not taken, or not as it was given.
struct Dropped {
  std::string what{};    // event, attribute, indicator, bundle, page
  std::string object{};  // the partner's id, as far as it has one
  std::string reason{};  // a sentence of ours without values: it is counted by
};

/// The author of what is closed, apart from what the same author lets go on: "ORG (closed)".
std::string closed_source(std::string_view source);

struct Taken {
  std::uint64_t published = 0;
  std::uint64_t demoted = 0;                       // of these: to be watched for only
  std::uint64_t dropped = 0;                       // exact
  std::vector<Dropped> list{};                     // of dropped and demoted, the first kMostListed
  std::map<std::string, std::uint64_t> reasons{};  // of all of these, exact
};
constexpr std::size_t kMostListed = 10'000;

/// A row of what we know.
struct Known {
  std::int64_t id = 0;
  match::indicators::Indicator indicator{};
  Instant changed{};
  std::vector<std::string> sectors{};  // only for partners of these; empty: for all
};

struct LibraryAsk {
  event::Tlp ceiling = event::Tlp::clear;  // nothing narrower
  std::string source{};                    // empty: all
  std::string except_peer{};               // not what came from this peer
  std::string kind{};                      // empty: all
  std::string value{};                     // canonical; empty: all
  // In the order of (changed, id), after this one. until: only what changed before it; 1970: no end.
  Instant after{};
  std::int64_t after_id = 0;
  Instant until{};
  bool ended_too = false;    // also what is no longer valid
  Instant now{};             // set by the Library
  std::size_t limit = 1000;  // at most 10,000
};

struct Gone {
  std::int64_t id = 0;
  std::string kind{}, value{}, source{};
  event::Tlp tlp = event::Tlp::red;
};

struct Library {
  /// peer: of table exchange_peer. name: of the delivery, for the audit log ("event 5f...", "collection x"). Repeating it changes nothing.
  std::function<Result<Taken>(std::int64_t peer, std::vector<Delivered>, std::string_view name)> publish{};
  /// Only of what came from that peer; `source` of a removal as in Delivered. How many were there.
  std::function<Result<std::uint64_t>(std::int64_t peer, std::vector<match::indicators::Removal>)> withdraw{};
  /// What a language dropped by itself before it had an indicator.
  std::function<Result<void>(std::int64_t peer, std::span<const Dropped>)> dropped{};
  std::function<Result<std::vector<Known>>(const LibraryAsk&)> read{};
  /// Withdrawn since; the last 100,000 are known. Ask with the highest id seen.
  std::function<Result<std::vector<Gone>>(std::int64_t after_id, std::size_t limit)> gone{};
  /// What holds for a peer's indicators where it says nothing: confidence, TLP, end.
  std::function<Result<match::indicators::Indicator>(std::int64_t peer)> defaults_of{};
};

}  // namespace bavn::exchange
