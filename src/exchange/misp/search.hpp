#pragma once
// restSearch: MISP's filters as conditions on our tables. An exact value, uuid or event is found by its index; everything else walks the rows in
// pieces, so that the time is linear and no read is long.
// Thread rules: plain values; run() as Book.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "exchange/misp/book.hpp"
#include "exchange/misp/render.hpp"

namespace bavn::exchange::misp {

/// "a", ["a", "b"], {"AND": [..], "OR": [..], "NOT": [..]}, "!a", "a&&b"; % stands for anything.
struct Words {
  std::vector<std::string> any{}, all{}, none{};
  bool empty() const { return any.empty() && all.empty() && none.empty(); }
};
Words words_of(net::JsonValue v);

struct Range {
  std::optional<std::int64_t> from{}, to{};  // seconds
  bool empty() const { return !from && !to; }
};
/// 1700000000, "5d", "10h", "30m", "2026-05-01", [from, to].
Result<Range> range_of(net::JsonValue v, Instant now);

enum class Scope : std::uint8_t { events, attributes, objects };

struct Search {
  Scope scope = Scope::events;
  Words value{}, type{}, category{}, org{}, tags{}, event_tags{}, eventid{}, uuid{}, info{}, relation{}, object_name{},
      anywhere{}, threat_level{}, analysis{};
  std::optional<bool> to_ids{}, published{};
  Range timestamp{}, publish_timestamp{}, event_timestamp{};
  std::string date_from{}, date_to{};
  Deleted deleted = Deleted::no;
  bool enforce_warninglist = false, event_tags_too = false, context = false, attachments = false, metadata = false,
       sightings = false, minimal = false, headerless = false, event_uuid = false;
  std::string format = "json", sort{};
  std::vector<std::string> columns{};  // of a CSV; empty: the usual ones
  bool descending = false;
  std::int64_t limit = 0, page = 1;  // limit 0: all
};

/// What is not understood is an error that names it: a filter that is passed over would give more than was asked for.
Result<Search> search_from(net::JsonValue body, Scope scope, Instant now);

/// The ids (of events, attributes or objects) in order. bad_input: more than kMostFound match, ask by pages.
constexpr std::size_t kMostFound = 1'000'000;
Result<std::vector<std::int64_t>> found(Book& book, const Viewer& viewer, const Search& search);

}  // namespace bavn::exchange::misp
