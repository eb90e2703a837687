#pragma once
// One stream that ends: standard input, a pipe. Read to its end, every record with the sink before done() is called: the exit code of the
// program is the acknowledgement.
// Life: start() to destructor. Thread rules: done() on the queue, once. The destructor must not come from the queue; a read that blocks
// is not interrupted by it.
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/runtime.hpp"
#include "formats/bytes.hpp"
#include "input/sink.hpp"
#include "jail/task.hpp"

namespace bavn::input::sources::stdin_stream {

struct StreamOptions {
  std::string name;  // of the source
  MunicipalityId municipality{};
  TenantId tenant{};
  std::string format;  // empty: recognised
  /// Not empty: the same stream sent again under the same id within 24 h is stored once. Deliveries are then cut by size alone, so a
  /// stream that trickles is delivered late.
  std::string id;
  std::size_t chunk = 1U << 20U;
  std::size_t in_flight = 4U << 20U;
  std::size_t max_record = 4U << 20U;
  jail::Parsers* parsers = nullptr;
};

struct StreamTotals {
  std::uint64_t bytes = 0, accepted = 0, refused = 0, duplicates = 0;  // records but for bytes
  std::string first_refused;                                           // the reason of the first
};

class StreamSource {
 public:
  /// done(totals): all of it is with the sink. done(error): the stream could not be read on; what was read before is with the sink.
  /// in: gzip and zstd are unpacked. The queue has one thread, and this source alone: reading may block.
  static std::unique_ptr<StreamSource> start(Runtime& runtime, QueueId queue, Sink& sink, SourceBook& book,
                                             std::unique_ptr<formats::Bytes> in, StreamOptions options,
                                             std::move_only_function<void(Result<StreamTotals>)> done);
  ~StreamSource();
  StreamSource(const StreamSource&) = delete;
  StreamSource& operator=(const StreamSource&) = delete;

 private:
  class Core;
  explicit StreamSource(std::shared_ptr<Core> core);
  std::shared_ptr<Core> core_;
};

/// Of a descriptor; not closed.
std::unique_ptr<formats::Bytes> bytes_of(int descriptor);

}  // namespace bavn::input::sources::stdin_stream
