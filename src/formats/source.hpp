#pragma once
// Source: a file (plain, gzip, zstd, or standard input for "-") as whole lines for the Reader. Pretty-printed JSON, arrays and the
// envelopes of APIs ({"value":[...]}, {"records":[...]}, {"events":[...]}) become one record a line.
// With parsers (SourceOptions) it also reads Windows events as XML, UTF-8 or UTF-16, and archives: they are taken apart in the jail.
// Limits: one record max_record bytes; a longer line is skipped and reported, the rest goes on. Memory: two chunks.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "event/batch.hpp"
#include "jail/task.hpp"

namespace bavn::formats {

struct SourceOptions {
  std::size_t chunk = 256U << 10;
  std::size_t max_record = 4U << 20;
  bool only_lines = false;  // each line is a record: nothing is taken for an array, an envelope or pretty-printed JSON
  bool lines_are_told = false;  // who reads the chunks calls read_lines() after each: they need not be counted here too
  jail::Parsers* parsers = nullptr;  // null: XML is lines of text, an archive is refused; else it outlives the source
};

class Source {
 public:
  static Result<std::unique_ptr<Source>> open(const std::string& path, SourceOptions = {});
  struct Opened {
    std::string name;  // the path, or path!member
    std::unique_ptr<Source> source;
  };
  /// The file, or each member of the archive (zip, 7z, tar packed or not; at most 64 MiB packed) that it is.
  static Result<std::vector<Opened>> open_all(const std::string& path, SourceOptions = {});
  /// A source over bytes in memory (history frames, tests). They outlive the source and the batches it fills, which may point to them.
  static std::unique_ptr<Source> of_bytes(std::string_view bytes, SourceOptions = {});
  /// The same, but packed, UTF-16 and XML bytes are read as those of a file are; `bytes` must outlive the source.
  static Result<std::unique_ptr<Source>> of_decoded(std::string_view bytes, SourceOptions = {});
  virtual ~Source() = default;

  struct Chunk {
    std::size_t from = 0, to = 0;  // in batch.raw
    std::uint64_t first_line = 1;
  };
  /// Clears the batch and fills batch.raw with whole lines, or lends it those of bytes in memory; refusals (too long, unfinished) are
  /// added to it.
  /// An empty chunk (from == to) with done() is the end; read errors end it with an Error.
  virtual Result<Chunk> next(event::EventBatch& batch) = 0;
  virtual bool done() const = 0;
  /// With lines_are_told: how many lines the last chunk had, as Reader::read() says. Else nothing.
  virtual void read_lines(std::uint64_t n) = 0;
  virtual std::uint64_t bytes_read() const = 0;           // decompressed
  virtual std::int64_t modified_us() const { return 0; }  // the file's last change; 0 when unknown
};

}  // namespace bavn::formats
