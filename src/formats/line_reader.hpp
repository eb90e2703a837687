#pragma once
// LineReader: reads one line of a text log into named fields. One folder per format (src/formats/<name>/), one
// `make_reader()` each. Thread rules: a reader belongs to one stream of one worker; stateful readers (zeek_tsv, iis) keep
// the header lines they have seen.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/time.hpp"

namespace bavn::formats {

class FieldSink {
 public:
  virtual ~FieldSink() = default;
  /// A value that points into the line is not copied by the sink; any other value is copied before put() returns.
  virtual void put(std::string_view name, std::string_view value) = 0;
  /// When it happened by the log's own clock. Called at most once for a line that is an event.
  virtual void happened(Instant t) = 0;
  /// The line is of another format than its stream (a syslog stream carries sshd, FortiGate, CEF ...): the folder's name.
  /// That format's description (roles, aliases, log sources) then holds for the record. At most once, before any put().
  virtual void format(std::string_view /*name*/) {}
};

enum class LineVerdict : std::uint8_t {
  event,     // fields were put
  meta,      // header, comment or empty line: consumed, no event
  not_mine,  // the line has nothing of this format
  refused,   // the format's, but broken: `reason` says how
};

class LineReader {
 public:
  virtual ~LineReader() = default;
  /// One line without its end, valid UTF-8 (the caller repairs it). Limits: the caller refuses lines above 1 MiB.
  /// reason: set for `refused` and `not_mine`, static wording plus at most a few bytes of detail. What was put before a
  /// refusal is dropped by the caller.
  virtual LineVerdict read(std::string_view line, FieldSink& sink, std::string& reason) = 0;
  /// Cheap test used to recognise the format: 0 = surely not, 100 = surely: then it is no other reader's line, and none may be asked.
  virtual int likelihood(std::string_view line) const = 0;
  /// A new file or stream begins: forget header lines.
  virtual void reset() {}
  /// The header lines, '\n' between them, that history must keep with each frame so that its lines can be read alone.
  virtual std::string_view context() const { return {}; }
  /// "About now" for times that lack the year: the year is chosen so that the time is at most a day after it. Set it before
  /// the first line (live: now; a file: its last change). Without it such lines are read but have no time.
  virtual void set_reference(Instant /*now*/) {}
};

}  // namespace bavn::formats
