#pragma once
// How far each followed file has been read, durable. A row is a life: one content from its first byte on, whatever the file is called,
// also after it was renamed, copied away or packed. The row moves after the sink's receipt, never before.
// Thread rules: as the implementation says; FileSource calls from its queue and takes answers on any thread.
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"

namespace bavn::input::sources::files {

struct Cursor {
  std::int64_t life = 0;  // random, part of every delivery's id
  std::string path;       // the last name it had
  std::int64_t device = 0, inode = 0;
  std::int64_t head_length = 0, head_hash = 0;  // of its first bytes (unpacked), to know it again
  std::int64_t tail_length = 0, tail_hash = 0;  // of the bytes before `at`
  std::int64_t at = 0;                          // bytes (unpacked): all before are with the sink or refused
  std::int64_t offered = 0;   // > at: [at, offered) was on its way; after a crash exactly this is offered again
  std::int64_t shape = 0;     // Shape
  std::int64_t encoding = 0;  // Encoding
  bool skipping = false;      // inside a line that is longer than any limit
  bool over = false;          // no file is this life any more: truncated, or gone
  bool complete = false;      // a packed file: read to its end
  std::string context;        // header lines
  std::int64_t updated_us = 0;

  friend bool operator==(const Cursor&, const Cursor&) = default;
};

class Cursors {
 public:
  virtual ~Cursors() = default;
  virtual Result<std::vector<Cursor>> load(const std::string& source) = 0;
  /// All or nothing; then(): durable, or nothing changed.
  virtual void save(const std::string& source, std::vector<Cursor> rows, std::vector<std::int64_t> forget,
                    std::move_only_function<void(Result<void>)> then) = 0;
};

}  // namespace bavn::input::sources::files
