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

/// The records' bytes: its own, or lent by one who keeps them where they are.
class RawBytes {
 public:
  /// Bytes that stay until the next change of this, and kPadding more behind them that may be read.
  static constexpr std::size_t kPadding = 96;
  void lend(std::string_view bytes) {
    own_.clear();
    lent_ = bytes;
  }
  bool is_lent() const { return lent_.data() != nullptr; }
  /// To be filled; what was lent is given back.
  std::string& own() {
    lent_ = {};
    return own_;
  }
  void clear() { own().clear(); }
  RawBytes& operator=(std::string_view bytes) {
    own() = bytes;
    return *this;
  }
  operator std::string_view() const { return is_lent() ? lent_ : std::string_view(own_); }
  const char* data() const { return is_lent() ? lent_.data() : own_.data(); }
  std::size_t size() const { return is_lent() ? lent_.size() : own_.size(); }
  bool empty() const { return size() == 0; }
  char operator[](std::size_t i) const { return data()[i]; }
  std::string_view substr(std::size_t at, std::size_t n = std::string_view::npos) const {
    return std::string_view(*this).substr(at, n);
  }
  std::size_t find(char c, std::size_t from = 0) const { return std::string_view(*this).find(c, from); }
  std::size_t find(std::string_view s, std::size_t from = 0) const { return std::string_view(*this).find(s, from); }
  std::size_t rfind(char c, std::size_t from = std::string_view::npos) const {
    return std::string_view(*this).rfind(c, from);
  }

 private:
  std::string own_;
  std::string_view lent_;  // null: none
};

class EventBatch {
 public:
  RawBytes raw;
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
  std::string_view line(const Record& r) const { return {raw.data() + r.offset, r.length}; }
  std::span<const Field> fields_of(const Record& r) const { return {fields.data() + r.first_field, r.field_count}; }
  /// The field's bytes as they stand; when f.escaped(), still with JSON escapes. Valid until the batch changes.
  std::string_view bytes(const Field& f) const {
    return {((f.flags & Field::kDerived) != 0 ? derived.data() : raw.data()) + f.offset, f.length};
  }
  /// The decoded value. Uses `scratch` only when the value has escapes.
  std::string_view text(const Field& f, std::string& scratch) const;
};

/// Decodes JSON string escapes (\uXXXX with surrogate pairs; lone surrogates become U+FFFD). Appends to out.
void append_unescaped(std::string& out, std::string_view body);

}  // namespace bavn::event
