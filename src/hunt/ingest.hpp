#pragma once
// Files into history: read, take the observables out, append; durable file by file. Refused lines are counted with their reasons.
// The same file again within 24 h is stored once: a chunk's id is made of its place and bytes.
#include <functional>
#include <map>
#include <stop_token>
#include <string>
#include <vector>

#include "history/history.hpp"
#include "hunt/engine.hpp"
#include "jail/task.hpp"

namespace bavn::hunt {

struct IngestProgress {
  std::uint64_t records = 0, bytes = 0, files_done = 0;
};

struct IngestOptions {
  std::string source;  // empty: the file's name without its folder
  MunicipalityId municipality{};
  TenantId tenant{};
  std::string format;  // empty: recognised
  unsigned jobs = 1;
  std::size_t chunk = 128U << 10U;   // bytes of lines in a frame: what one hit costs to read
  std::size_t append = 1U << 20U;    // bytes of lines in one append
  jail::Parsers* parsers = nullptr;  // reads XML and archives; null: XML is lines of text, an archive is refused
  std::stop_token stop;
  std::function<void(const IngestProgress&)> progress;  // from the workers, one at a time
};

struct IngestReport {
  std::uint64_t files = 0, files_failed = 0;
  std::uint64_t records = 0, bytes = 0;  // stored
  std::uint64_t duplicates = 0;          // records that were there already
  std::uint64_t lines_refused = 0, without_time = 0;
  struct Refused {
    std::uint64_t n = 0;
    std::string first;  // "file:line: detail"
  };
  std::map<std::string, Refused> refused;        // by reason
  std::map<std::string, std::uint64_t> formats;  // records
  std::vector<std::string> errors;               // files that could not be read
};

/// An error of the history (a full disk) ends it; what was stored before stays.
Result<IngestReport> ingest(Engine& engine, Runtime& runtime, history::History& history, const event::Scope& scope,
                            const std::vector<std::string>& files, const IngestOptions& options);

}  // namespace bavn::hunt
