#pragma once
// STIX objects as strangers send them: an envelope (TAXII) or a bundle (a file) read into single objects, each kept byte for byte, of
// whatever type and with whatever extensions. What cannot be kept is named with its reason; one bad object does not spoil the others.
// Nothing follows references: a cycle of them is as good as any other.
// Thread rules: plain functions.
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "event/tlp.hpp"
#include "net/json_value.hpp"

namespace bavn::exchange::stix {

struct Object {
  std::string id{}, type{};
  std::string spec_version{};  // "2.1" or "2.0"
  std::string version{};       // its `modified`, else `created`, as written; empty: it has none and never changes
  Instant version_at{};
  event::Tlp tlp = event::Tlp::red;
  std::vector<std::string> sectors{};  // of labels "sector:NAME", lower case; empty: for everybody
  std::string created_by{};            // created_by_ref
  bool revoked = false;
  std::string body{};    // JSON as it came
  std::string digest{};  // of what it says: the same for another order of members and other white space
};

/// An object that is not taken.
struct Refused {
  std::string id{}, version{};  // as far as they could be read
  std::string reason{};         // without values of the object
};

struct ReadLimits {
  std::size_t objects = 10'000;
  std::size_t object_bytes = 1U << 20U;
  /// Versions later than this are refused: such an object would stay the newest whatever is said about it. 1970: none are.
  Instant latest{};
  event::Tlp unmarked = event::Tlp::amber;  // of what has no marking at all
  /// The text of a marking-definition that was sent earlier.
  std::function<std::optional<std::string>(std::string_view id)> marking{};
};

struct ReadObjects {
  std::vector<Object> objects{};
  std::vector<Refused> refused{};
  bool more = false;  // of an envelope
  std::string next{};
};

/// bad_input: no JSON, or neither an envelope nor a bundle.
Result<ReadObjects> read_objects(std::string_view text, const ReadLimits& limits);

/// The narrowest of the markings of the object and of its parts, of both generations. Only beside TLP 2.0's amber+strict red of TLP 1
/// says nothing (it knows no amber+strict); what is neither TLP nor a statement known here is red.
event::Tlp tlp_of(net::JsonValue object, const std::map<std::string, std::optional<event::Tlp>, std::less<>>& markings,
                  event::Tlp unmarked);
/// What a marking-definition says: a level, nothing (a statement), or red when it cannot be told.
std::optional<event::Tlp> tlp_of_definition(net::JsonValue marking);

/// JSON with sorted members and no white space.
std::string canonical_json(net::JsonValue v);

}  // namespace bavn::exchange::stix
