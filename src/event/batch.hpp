#pragma once
// How events travel: raw bytes, one Record per event, one run of Fields per record (only wanted fields; rows, not columns: a
// record has 5-30 of more than a thousand slots). `formats` fills it, `match` and `history` read it, neither knows the other.
// Life: reused; clear() keeps the memory. Owned by one worker, never shared.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "event/field.hpp"

namespace bavn::event {

using FormatId = std::uint16_t;
using RouteId = std::uint16_t;  // index into RouteTable
constexpr RouteId kNoRoute = 0xFFFF;

struct Record {
  std::uint32_t offset = 0;  // of the raw record in EventBatch::raw
  std::uint32_t length = 0;  // without the line end
  std::uint32_t first_field = 0;
  std::uint32_t field_count = 0;
  std::int64_t happened_us = 0;  // 0: the record has no readable time
  std::uint64_t line = 0;        // 1-based line (or record) number in its source
  FormatId format = 0;
  RouteId route = kNoRoute;
  bool repaired = false;  // bytes that were not UTF-8 were read as Windows-1252; the raw bytes are kept by the source
};

/// A line that is no event: counted, kept with reason and place, never silent.
struct Refusal {
  std::uint64_t line = 0;
  const char* reason = "";  // static text, lower case, stable: it is a counter's name
  std::string detail;       // what exactly, at most 200 bytes
};

class EventBatch {
 public:
  std::string raw;      // the records' bytes; readers append at least 64 bytes of padding after them
  std::string derived;  // values that are no part of raw (decoded, joined, computed)
  std::vector<Record> records;
  std::vector<Field> fields;
  std::vector<Refusal> refusals;

  void clear() {
    raw.clear();
    derived.clear();
    records.clear();
    fields.clear();
    refusals.clear();
  }
  std::string_view line(const Record& r) const { return std::string_view(raw).substr(r.offset, r.length); }
  std::span<const Field> fields_of(const Record& r) const { return {fields.data() + r.first_field, r.field_count}; }
  /// The field's bytes as they stand; when f.escaped(), still with JSON escapes. Valid until the batch changes.
  std::string_view bytes(const Field& f) const {
    const std::string& from = (f.flags & Field::kDerived) != 0 ? derived : raw;
    return {from.data() + f.offset, f.length};
  }
  /// The decoded value. Uses `scratch` only when the value has escapes.
  std::string_view text(const Field& f, std::string& scratch) const;
};

/// Decodes JSON string escapes (\uXXXX with surrogate pairs; lone surrogates become U+FFFD). Appends to out.
void append_unescaped(std::string& out, std::string_view body);

}  // namespace bavn::event
