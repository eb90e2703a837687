#pragma once
// History: every record that came in, durable when acknowledged, found at that moment by any observable in it, for months.
// The journal is the store: frames of compressed, encrypted lines in segment files; one index in RocksDB that can always be made
// again from them. Segments belong to the day they were received on; retention unlinks, erasure deletes keys or rewrites.
// Life: one History per folder and process; made after the Runtime, gone before it. Thread rules: every call from any thread.
// Errors: forbidden (the scope lacks a right), unavailable (disk full or failing: nothing was acknowledged, what was is safe),
// corrupt (never served, always said), bad_input (a batch out of limits).
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"
#include "event/observable.hpp"
#include "event/scope.hpp"
#include "history/frame.hpp"
#include "history/postings.hpp"

namespace bavn::history {

struct FrameInfo {
  std::uint32_t segment = 0, frame = 0;
  Source source;
  std::string format;
  std::uint32_t count = 0;
  std::uint32_t lines_bytes = 0;
  std::int64_t received_us = 0;  // of the first record
  std::int64_t min_happened_us = 0, max_happened_us = 0;
};

/// All observables of a frame's lines, one posting for each occurrence: the same as were given to append(). Used to make the
/// index again; called from any thread.
using Extract =
    std::function<void(const FrameInfo&, std::string_view context, std::string_view lines, std::vector<Posting>&)>;

struct Options {
  Extract extract;
  std::uint64_t segment_bytes = 128ULL << 20U;      // seal above
  Duration segment_age = std::chrono::minutes(60);  // or after
  std::size_t index_bytes = 48U << 20U;  // or above: RAM index of the open segment; while one is sealed, twice
  std::size_t group_bytes = 1U << 20U;   // of one commit
  std::size_t cache_bytes = 32U << 20U;  // of the index
  std::string index_path;                // default: path + "/index"
  std::string keys_path;                 // default: path + "/keys"; not for the backup
  /// For guests: 98 of them on one machine.
  static Options guest(Extract extract);
};

/// Lines of one source in one format. Views are used only until append() returns.
struct Batch {
  std::string_view source;
  MunicipalityId municipality{};
  TenantId tenant{};
  std::string_view format;
  std::string_view context;  // what a reader needs before the lines: header lines of a TSV log, for example
  BatchId id{};              // the sender's; the same (source, id) within 24 h is stored once. All zero: none
  std::string_view lines;    // records, '\n' between them and in none of them
  std::uint32_t count = 0;
  std::span<const std::int64_t> happened_us;  // one per record; 0: no readable time, counts as happened when received
  std::span<const Posting> postings;
};
constexpr std::size_t kMaxBatchBytes = 64U << 20U;

struct Ack {
  std::uint32_t segment = 0, frame = 0;
  bool duplicate = false;  // this batch was here before; where it is now
};

struct Pending;
/// A batch made ready on the caller's thread: checked, compressed, its postings counted; it needs nothing of the Batch any more.
class Prepared {
 public:
  explicit Prepared(std::unique_ptr<Pending> pending);
  Prepared(Prepared&&) noexcept;
  Prepared& operator=(Prepared&&) noexcept;
  ~Prepared();
  std::size_t packed_bytes() const;
  std::int64_t received_us() const;
  std::int64_t max_happened_us() const;

 private:
  friend class History;
  std::unique_ptr<Pending> pending_;
};

struct Filter {
  std::int64_t from_us = std::numeric_limits<std::int64_t>::min();  // happened
  std::int64_t until_us = std::numeric_limits<std::int64_t>::max();
  std::string source, format;  // empty: any
  std::optional<MunicipalityId> municipality;
  std::size_t limit = std::numeric_limits<std::size_t>::max();  // frames, newest segments first
};

class SegmentFile;  // inside
struct FrameRef {
  FrameInfo info;
  std::shared_ptr<const SegmentFile> file;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
};

struct Seen {
  std::int64_t first_us = 0, last_us = 0;  // rounded outward to the minute and to the bounds of the frames they are in
  std::uint64_t count = 0;
};

struct Sealed;
struct OpenSegment;
/// A segment as it was when asked for: stays readable while this lives, also when it is merged or sealed meanwhile.
struct SegmentInfo {
  std::uint32_t segment = 0;
  std::int32_t day = 0;
  std::uint64_t records = 0, lines_bytes = 0, file_bytes = 0;
  std::uint32_t frames = 0;
  bool packed = false;
  std::shared_ptr<const Sealed> sealed;  // one of the two
  std::shared_ptr<const OpenSegment> open;
};

struct Stats {
  std::uint64_t segments = 0, frames = 0, records = 0, lines_bytes = 0;
  std::uint64_t segment_bytes = 0, index_bytes = 0;  // on disk
  std::uint64_t open_index_bytes = 0;                // in RAM
  std::uint64_t keys = 0;
  std::uint64_t appended = 0, duplicates = 0, refused = 0,
                seals = 0;      // since the start: batches, batches, batches, segments
  std::uint64_t cut_bytes = 0;  // of torn tails at the start
  std::string failing;          // why appends or seals fail now; empty: they do not
};

struct CheckReport {
  std::uint64_t segments = 0, frames = 0, records = 0, erased_frames = 0, postings = 0;
  std::uint64_t problem_count = 0;
  std::vector<std::string> problems;  // the first 100
  bool ok() const { return problem_count == 0; }
};

/// What one erasure of a person changed in one frame. Hashes: BLAKE2b-256 of the lines, hex.
struct ErasedFrame {
  std::uint32_t segment = 0, frame = 0;          // before
  std::uint32_t new_segment = 0, new_frame = 0;  // after
  std::uint32_t records_before = 0, records_after = 0;
  std::string hash_before, hash_after;
};
struct ErasureReport {
  std::uint64_t records_erased = 0, segments_rewritten = 0, keys_deleted = 0;
  std::vector<ErasedFrame> frames;
};
struct PersonErasure {
  std::vector<Posting> observables;  // frames to look into, by the index
  std::vector<std::string> texts;    // and every frame whose lines hold one of these (ASCII case does not count)
  /// Whether a record goes. Empty: it goes when it holds one of `texts`.
  std::function<bool(const FrameInfo&, std::string_view context, std::string_view line)> concerns;
};

class History {
 public:
  static Result<std::unique_ptr<History>> open(Runtime& runtime, const std::string& path, Options options);
  ~History();

  /// All durable and findable when it returns a value; none acknowledged when it returns an error.
  Result<std::vector<Ack>> append(const event::Scope& scope, std::span<const Batch> batches);
  Result<Ack> append(const event::Scope& scope, const Batch& batch);
  /// The same in two steps, so that many threads prepare and one commits in an order it knows: the frames of one append() follow each
  /// other, and those of the next come after them.
  Result<Prepared> prepare(const event::Scope& scope, const Batch& batch) const;
  Result<std::vector<Ack>> append(std::vector<Prepared>& prepared);

  /// Frames that hold the observable (or another of the same hash: the caller verifies in the decoded lines).
  Result<std::vector<FrameRef>> lookup(const event::Scope& scope, const Posting& observable,
                                       const Filter& filter = {}) const;
  /// Frames that hold any of the range, each once. Costs a step for each of them in each segment.
  Result<std::vector<FrameRef>> lookup(const event::Scope& scope, const PostingRange& range,
                                       const Filter& filter = {}) const;
  /// The frame's text. not_found: it was erased. corrupt: it is damaged.
  Result<void> read(const event::Scope& scope, const FrameRef& frame, FrameText& into) const;
  Result<std::optional<Seen>> seen(const event::Scope& scope, const Posting& observable) const;

  /// Newest first. With frames(), the way to read everything in parallel.
  std::vector<SegmentInfo> segments(const event::Scope& scope) const;
  /// Frames of one segment that pass the filter, in order.
  Result<std::vector<FrameRef>> frames(const event::Scope& scope, const SegmentInfo& segment,
                                       const Filter& filter) const;
  /// Every frame that passes, newest segment first, until `each` returns false or a stop is asked for (no error then).
  /// Erased frames are skipped, damaged ones are an error at the end, after all others were given.
  Result<void> for_each_frame(const event::Scope& scope, const Filter& filter, std::stop_token stop,
                              const std::function<bool(const FrameInfo&, const FrameText&)>& each) const;

  Stats stats() const;

  /// Seals the open segment and waits for it.
  Result<void> seal_now(const event::Scope& scope);
  /// Cold pass: merges, compresses harder, reindexes what was received at least `days` ago. Returns segments packed.
  Result<std::uint64_t> pack(const event::Scope& scope, std::int32_t days = 2, std::stop_token stop = {});
  /// Unlinks what was received more than `days` days ago and deletes its keys. Returns segments dropped.
  Result<std::uint64_t> retain(const event::Scope& scope, std::int32_t days);

  /// Deletes the keys of a source for these received days (nobody reads its frames from that moment), then drops the frames.
  Result<ErasureReport> erase_source(const event::Scope& scope, const Source& source,
                                     std::int32_t from_day = std::numeric_limits<std::int32_t>::min(),
                                     std::int32_t until_day = std::numeric_limits<std::int32_t>::max());
  Result<ErasureReport> erase_day(const event::Scope& scope, std::int32_t day);
  Result<ErasureReport> erase_person(const event::Scope& scope, const PersonErasure& person);

  /// Every frame: checksum, decryption, decompression, content; then the index against what the lines say.
  Result<CheckReport> check(const event::Scope& scope, std::stop_token stop = {}) const;
  Result<void> rebuild_index(const event::Scope& scope);
  /// Lets the index forget what is dead now, instead of at its next compactions.
  Result<void> compact_index(const event::Scope& scope);
  /// Waits until the index has no compaction of its own to do: for benches and before a backup.
  Result<void> settle_index(const event::Scope& scope);

  struct Inner;

 private:
  explicit History(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

/// Days since 1970 of an instant, UTC.
std::int32_t day_of(std::int64_t us);

}  // namespace bavn::history
