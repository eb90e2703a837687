#pragma once
// Inside of History; nobody else includes this.
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>

#include "history/codec.hpp"
#include "history/history.hpp"
#include "history/keyring.hpp"
#include "history/manifest.hpp"
#include "store/kv.hpp"

namespace bavn::history {

constexpr std::size_t kObs = 0;  // family
constexpr std::size_t kState = 1;
constexpr std::int64_t kRememberBatches = 24LL * 3600 * 1'000'000;  // microseconds
constexpr std::size_t kMaxRemembered = 1'000'000;
constexpr std::size_t kPackedFrame = 256U << 10U;

/// First in, first out; holds values up to `limit` in weight, and one at least.
template <class K, class V>
class Cache {
 public:
  explicit Cache(std::size_t limit) : limit_(limit) {}
  std::shared_ptr<const V> find(const K& key) {
    const std::lock_guard lock(mutex_);
    const auto it = values_.find(key);
    return it == values_.end() ? nullptr : it->second;
  }
  void keep(const K& key, std::shared_ptr<const V> value, std::size_t weight = 1) {
    const std::lock_guard lock(mutex_);
    if (!values_.emplace(key, std::move(value)).second) return;
    order_.emplace_back(key, weight);
    weight_ += weight;
    while (weight_ > limit_ && order_.size() > 1) {
      values_.erase(order_.front().first);
      weight_ -= order_.front().second;
      order_.pop_front();
    }
  }
  void clear() {
    const std::lock_guard lock(mutex_);
    values_.clear();
    order_.clear();
    weight_ = 0;
  }

 private:
  std::size_t limit_, weight_ = 0;
  std::mutex mutex_;
  std::map<K, std::shared_ptr<const V>> values_;
  std::deque<std::pair<K, std::size_t>> order_;
};

/// A segment's file as long as somebody needs it. Leaves the disk with its last user once leave() was called.
class SegmentFile {
 public:
  SegmentFile(Files& files, std::string path, std::uint32_t segment, std::int32_t day)
      : files_(files), path_(std::move(path)), segment_(segment), day_(day) {}
  ~SegmentFile();
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;

  enum class Fate : std::uint8_t { stay, unlink, wipe, recycle };
  void leave(Fate fate, std::string spare = {}) {
    spare_ = std::move(spare);
    fate_ = fate;
  }
  std::uint32_t segment() const { return segment_; }
  std::int32_t day() const { return day_; }
  const std::string& path() const { return path_; }
  std::string directory_path() const { return path_ + ".dir"; }
  /// Shared by all who read at the same time.
  Result<std::shared_ptr<File>> file() const;
  Result<std::string> bytes(std::uint64_t offset, std::uint32_t length) const;

 private:
  Files& files_;
  std::string path_;
  std::uint32_t segment_;
  std::int32_t day_;
  std::atomic<Fate> fate_{Fate::stay};
  std::string spare_;
  mutable std::mutex mutex_;
  mutable std::weak_ptr<File> open_;
};

/// The segment that is written, or the one that is being sealed: its directory and index are in RAM.
struct OpenSegment {
  std::shared_ptr<SegmentFile> file;
  std::unique_ptr<File> out;
  std::uint64_t end = 0;  // bytes acknowledged; written by the leader only
  bool broken = false;    // a sync failed: nothing more is written to this file
  std::map<const Dictionary*, std::pair<std::uint32_t, std::shared_ptr<const Dictionary>>> dictionaries;

  mutable std::shared_mutex mutex;  // of what follows
  Directory directory;
  std::map<Source, std::uint32_t> source_ids;
  std::map<std::string, std::uint32_t, std::less<>> format_ids;
  struct Node {
    IndexEntry entry;
    std::uint32_t next;
  };
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;
  std::vector<Node> nodes;
  std::vector<std::uint32_t> heads;  // by hash; empty once `nodes` is sorted
  bool sorted = false;

  void add(std::uint32_t frame, const std::vector<CountedPosting>& postings);
  /// Frames ascending, each once.
  void find(const PostingRange& range, std::vector<std::uint32_t>& frames, std::uint64_t* count) const;
  void sort();
  std::size_t index_bytes() const;

 private:
  void link(std::uint32_t node);
  std::size_t slot(std::uint8_t kind, std::uint64_t hash) const;
};

struct Sealed {
  SegmentMeta meta;
  std::shared_ptr<SegmentFile> file;
};

std::uint32_t local_id(std::map<Source, std::uint32_t>& ids, std::vector<Source>& table, const Source& s);
std::uint32_t local_id(std::map<std::string, std::uint32_t, std::less<>>& ids, std::vector<std::string>& table,
                       std::string_view s);
FrameInfo info_of(std::uint32_t segment, std::uint32_t frame, const Directory& d);
SegmentMeta meta_of(std::uint32_t segment, std::int32_t day, const Directory& d, std::uint64_t file_bytes);

struct Pending {
  Source source;
  std::string format;
  BatchId id{};
  std::uint32_t count = 0, lines_bytes = 0, plain_bytes = 0;
  std::int64_t received_us = 0, min_us = 0, max_us = 0;
  std::shared_ptr<const Dictionary> dictionary;
  std::int32_t dictionary_day = 0;
  std::string packed;
  std::vector<CountedPosting> postings;
  Ack ack;
  bool written = false;
  std::uint64_t offset = 0;
  std::uint32_t length = 0;
};

/// One append() call.
struct Entry {
  std::vector<Pending> batches;
  std::size_t bytes = 0;
  std::optional<Error> error;
  bool done = false;
};

struct History::Inner {
  Inner(Runtime& r, std::string p, Options o)
      : runtime(r), files(r.files()), path(std::move(p)), options(std::move(o)) {}

  Runtime& runtime;
  Files& files;
  std::string path;
  Options options;
  std::unique_ptr<Keyring> keys;
  std::unique_ptr<store::Kv> kv;

  // What counts. Lookups hold it shared, so that index and segments fit each other.
  mutable std::shared_mutex live_mutex;
  std::map<std::uint32_t, std::shared_ptr<Sealed>> sealed;
  std::shared_ptr<OpenSegment> open, sealing;

  std::mutex manifest_mutex;  // replacing the manifest
  std::mutex rewrite_mutex;   // one pack, retention or erasure at a time
  std::mutex seal_mutex;      // one seal at a time
  std::atomic<std::uint32_t> next_segment{1};
  std::uint32_t sealed_until = 0;  // as in the manifest; under manifest_mutex

  mutable std::shared_mutex keep_mutex;
  std::vector<bool> forget;  // by segment: compaction drops its postings

  // Group commit: whoever comes first leads and writes for all who wait.
  std::mutex queue_mutex;
  std::condition_variable queue_changed;
  std::deque<Entry*> queue;
  bool led = false;

  // The sender's batch ids of the last 24 h; the leader's alone (and open()'s).
  struct Remembered {
    std::int64_t received_us;
    Ack ack;
  };
  std::map<std::pair<Source, BatchId>, Remembered> remembered;
  std::deque<std::pair<std::int64_t, std::pair<Source, BatchId>>> remembered_order;

  // Samples for dictionaries, and the dictionaries of today.
  struct Learning {
    std::int32_t day = 0;
    std::vector<std::string> samples;
    std::size_t bytes = 0;
    bool tried = false;
    std::shared_ptr<const Dictionary> dictionary;
  };
  std::mutex learning_mutex;
  std::map<Source, Learning> learning;

  mutable Cache<std::uint32_t, Directory> directories{16U << 20U};  // in bytes: those of a year of a small town
  mutable Cache<std::pair<std::uint32_t, std::uint32_t>, Dictionary> dictionaries{128};

  // Background seals hold the gate while they run; closing it is how the destructor waits for them.
  struct Gate {
    std::mutex mutex;
    Inner* inner = nullptr;
  };
  std::shared_ptr<Gate> gate = std::make_shared<Gate>();
  QueueId seal_queue{};

  std::atomic<std::uint64_t> appended{0}, duplicates{0}, refused{0}, seals{0}, cut_bytes{0};
  mutable std::mutex failing_mutex;
  std::string append_failing, seal_failing;

  // history.cpp
  Result<void> start();
  std::string segment_path(std::uint32_t n) const { return path + "/seg-" + std::to_string(n); }
  std::int64_t now_us() const { return micros(runtime.now()); }
  Result<void> prepare(const event::Scope& scope, const Batch& b, Pending& p);
  std::shared_ptr<const Dictionary> dictionary_for(const Pending& p, std::string_view lines);
  Result<std::vector<Ack>> append(Entry& entry);
  void commit(std::vector<Entry*>& group);
  Result<void> write_group(std::vector<Entry*>& group);
  Result<void> need_open_segment();
  Result<void> roll();
  bool is_current(const Source& s, const std::shared_ptr<const Dictionary>& dictionary);
  Result<void> lead(const std::function<Result<void>()>& f);  // runs f while nobody commits
  Result<void> seal_all(
      const std::function<Result<void>()>& then);  // everything sealed, then `then` before the next commit
  void remember(const Source& s, const BatchId& id, std::int64_t received_us, const Ack& ack);
  void remember_from(std::uint32_t segment, const Directory& d);

  // seal.cpp
  Result<void> seal_pending();  // whoever calls: does it or waits for who does
  void seal_in_background(std::uint32_t only_segment = 0);
  Result<Digest> write_index(std::uint32_t segment, std::size_t n,
                             const std::function<const IndexEntry&(std::size_t)>& at);
  Result<void> index_segment(std::uint32_t segment, const std::shared_ptr<SegmentFile>& file, const Directory& d);
  Result<void> replace_manifest(const std::vector<SegmentMeta>& add, const std::set<std::uint32_t>& remove);
  Result<Directory> scan_segment(const SegmentFile& file, std::uint64_t* valid_until, std::uint64_t* size) const;
  Result<void> recover(std::uint32_t segment);
  void forget_segment(std::uint32_t segment, bool dead);

  // read.cpp
  Result<std::shared_ptr<const Directory>> directory(const SegmentFile& file) const;
  Result<void> read_frame(const SegmentFile& file, const Directory& d, std::uint32_t frame, FrameText& into) const;
  Result<void> read_at(const SegmentFile& file, const Directory* d, std::uint64_t offset, std::uint32_t length,
                       std::uint32_t frame, FrameText& into) const;
  std::vector<std::shared_ptr<Sealed>> sealed_newest_first() const;

  // rewrite.cpp
  struct Rewrite;
  struct Output;
  Result<void> rewrite(const std::vector<std::shared_ptr<Sealed>>& inputs, Rewrite& how, const std::stop_token& stop);
  Result<void> learn(const std::vector<std::shared_ptr<Sealed>>& inputs, Rewrite& how);
  Result<void> drop(const std::vector<std::shared_ptr<Sealed>>& which, SegmentFile::Fate fate);
};

Result<void> need(const event::Scope& scope, event::Right right, const char* doing);
bool passes(const event::Scope& scope, const Filter& f, const FrameInfo& i);

}  // namespace bavn::history
