#pragma once
// What stands in a MISP event, read from JSON into values: what searches and rights need as members, everything else, known or not, in `body`, a
// JSON object that is passed on as it came. Wrong shapes are errors with a sentence; nothing is guessed but what MISP itself guesses.
// Thread rules: plain values and functions.
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "base/time.hpp"
#include "event/tlp.hpp"
#include "net/json_value.hpp"

namespace bavn::exchange::misp {

struct TagIn {
  std::string name{}, colour{}, relationship{};
  bool local = false, exportable = true, removed = false;
  bool local_text = false;  // was written as a text; kept, for a feed is given back byte for byte
};

struct SightingIn {
  std::string uuid{}, source{}, org_name{}, org_uuid{};
  std::int64_t type = 0, at = 0;
  // Of what our own nodes saw.
  event::Tlp tlp = event::Tlp::clear;
  bool inside = false, telling = false;  // partners do not learn of it; it is told to the partner whose event it is
};

struct AttributeIn {
  std::string uuid{}, type{}, category{}, value{};
  bool to_ids = false, deleted = false, closed = false;
  std::int64_t timestamp = 0;  // 0: not said
  std::vector<TagIn> tags{};
  std::vector<SightingIn> sightings{};
  std::string body{};
};

struct ReferenceIn {
  std::string uuid{}, referenced{};
  std::int64_t timestamp = 0;
  bool deleted = false;
  std::string body{};
};

struct ObjectIn {
  std::string uuid{}, name{};
  bool deleted = false, closed = false;
  std::int64_t timestamp = 0;
  std::vector<ReferenceIn> references{};
  std::string body{};
  std::string_view attributes{};  // slice of the text it was read from; empty: none
};

struct EventIn {
  std::string uuid{};
  std::optional<std::string> info{}, date{};
  std::string orgc_name{}, orgc_uuid{};
  std::optional<std::int64_t> timestamp{}, publish_timestamp{}, threat_level{}, analysis{};
  std::optional<bool> published{}, closed{};
  std::string said_published{};  // the member's JSON
  std::vector<TagIn> tags{};
  std::size_t proposals = 0;  // ShadowAttribute: not taken
  std::string body{};
  std::string_view attributes{}, objects{};  // slices of the text; empty: none
};

constexpr std::size_t kMostTags = 500;
constexpr std::size_t kMostReferences = 10'000;

/// An event with or without {"Event": ...} or {"response": ...} around it.
Result<EventIn> read_event(std::string_view json);
Result<AttributeIn> read_attribute(net::JsonValue v);
/// text: of the object itself (its attributes become a slice of it).
Result<ObjectIn> read_object(std::string_view text);
Result<ReferenceIn> read_reference(net::JsonValue v);
Result<SightingIn> read_sighting(net::JsonValue v);
std::optional<TagIn> read_tag(net::JsonValue v);

/// The members of both; those of `over` win.
std::string merged(std::string_view under, std::string_view over);
/// "3", 3, true, "1": as MISP mixes them. Empty: it is no scalar.
std::string scalar(net::JsonValue v);
std::optional<bool> truth(net::JsonValue v);
std::optional<std::int64_t> number(net::JsonValue v);
/// Lower case 8-4-4-4-12; empty when it is none.
std::string uuid_in(std::string_view text);
bool is_uuid(std::string_view text);
constexpr std::size_t kLongestFolded = 1000;
/// As values are searched: lower case, trimmed, at most kLongestFolded bytes.
std::string folded(std::string_view value);
/// The two parts of a composite value as they are searched.
std::pair<std::string, std::string> parts_of(std::string_view type, std::string_view value);
/// A clock that runs ahead is not believed: at most now.
std::int64_t believed(std::int64_t timestamp, Instant now);
/// {"a": 1} without its braces, for joining; empty for {}.
std::string_view inner(std::string_view object);

}  // namespace bavn::exchange::misp
