#pragma once
// Reader: whole lines in, EventBatch out. Recognises the format of each line (or takes a named one), walks JSON over simdjson's
// structural index, hands text to the LineReaders, resolves the route. One per worker, not thread safe.
//
// A run of JSON lines is indexed in one go; when anything in it is broken the run is read again line by line, so a bad byte
// costs its own line at most. Limits: max_record bytes a record, 64 levels deep; what exceeds them is refused with its reason.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "event/batch.hpp"
#include "event/plan.hpp"
#include "event/route.hpp"
#include "formats/catalogue.hpp"

namespace bavn::formats {

struct ReaderOptions {
  std::optional<event::FormatId> format;  // named format; else recognised line by line
  std::size_t max_record = 4U << 20;      // bytes
  std::optional<Instant> reference;       // "about now" for times without a year
  /// For explaining a format: every value of every record is read, and its names are added here (the Reader's own plan).
  event::FieldPlan* learn = nullptr;
  bool shapes = true;  // false: every record is walked, none is known by its shape (the same answer, slower; for tests)
};

class Reader {
 public:
  Reader(const Catalogue&, const event::FieldPlan&, event::RouteTable&, ReaderOptions = {});
  ~Reader();
  Reader(Reader&&) noexcept;

  /// Reads batch.raw[from, to): whole lines, the last one may lack its line end. Appends records, fields and refusals.
  /// first_line: number of the first line. Returns the number of lines seen.
  std::uint64_t read(event::EventBatch& batch, std::size_t from, std::size_t to, std::uint64_t first_line);
  /// A new file or stream begins: stateful text readers forget their headers.
  void new_source(std::optional<event::FormatId> format = std::nullopt,
                  std::optional<Instant> reference = std::nullopt);
  /// What comes now is no file: a line in it cannot make the rest the rows of a table (csv_rows.hpp). Until new_source().
  void no_table();
  /// Header lines that history must keep with each frame of this source (zeek_tsv, iis, tables); empty otherwise.
  std::string context() const;

  struct Stats {
    std::uint64_t repaired = 0;        // lines that were not UTF-8
    std::uint64_t reindexed_runs = 0;  // runs of JSON lines read again line by line
    std::uint64_t meta = 0;            // header and comment lines
    std::uint64_t shape_resets = 0;    // the path cache was full and began anew
    std::uint64_t known_shapes = 0;    // records read by their shape
  };
  const Stats& stats() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bavn::formats
