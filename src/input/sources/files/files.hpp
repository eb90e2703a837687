#pragma once
// Followed files: every path of a list with wildcards, through rotation (renamed, copied and truncated, packed), restarts and crashes.
// Polling is the truth, because network file systems tell nothing; a FolderWatch only makes it sooner.
// Exactly once as long as the sink keeps ids: what a delivery will hold is written to the cursor before it is offered, so after a crash
// the same bytes are offered under the same id. Lost are bytes that vanish before they were read (deleted, truncated without a copy).
// Life: start() to destructor, which waits for its running step. Thread rules: wake() from any thread.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/runtime.hpp"
#include "input/sink.hpp"
#include "input/sources/files/cursors.hpp"
#include "jail/task.hpp"

namespace bavn::input::sources::files {

class FolderWatch;

struct FileOptions {
  std::string name;                  // of the source
  std::vector<std::string> paths;    // absolute; * ? [..] in any part but never across '/'
  std::vector<std::string> exclude;  // the same, of whole paths or, without '/', of names
  MunicipalityId municipality{};
  TenantId tenant{};
  std::string format;     // empty: recognised
  bool from_end = false;  // what is there when the source is new is not read, only what comes
  Duration poll = std::chrono::seconds(1);
  Duration scan = std::chrono::seconds(10);
  Duration partial_wait =
      std::chrono::minutes(5);  // a last line without its end that does not grow is taken as it is then
  Duration rotated_wait = std::chrono::minutes(1);  // writers go on into a renamed file until they are told
  Duration forget = std::chrono::days(14);          // lives without a file
  std::size_t chunk = 1U << 20U;                    // bytes of one delivery
  std::size_t in_flight = 4U << 20U;                // bytes offered and not yet answered
  std::size_t max_record = 4U << 20U;               // bytes; a longer line is skipped, counted, said
  std::size_t max_structured = 16U << 20U;          // the same of a pretty-printed or XML record
  std::size_t max_files = 10'000;
  std::size_t max_open = 128;        // handles; a file beyond is opened when it has news
  jail::Parsers* parsers = nullptr;  // for Windows events as XML; null: they are refused
};

class FileSource {
 public:
  /// The queue has one thread and is used for reading the disk. cursors, sink, book and watch outlive the source.
  static std::unique_ptr<FileSource> start(Runtime& runtime, QueueId queue, Sink& sink, SourceBook& book,
                                           Cursors& cursors, FileOptions options, FolderWatch* watch = nullptr);
  ~FileSource();
  FileSource(const FileSource&) = delete;
  FileSource& operator=(const FileSource&) = delete;
  /// Something may have changed: look now.
  void wake();

 private:
  class Core;
  explicit FileSource(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

}  // namespace bavn::input::sources::files
