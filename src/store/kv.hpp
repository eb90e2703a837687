#pragma once
// RocksDB behind plain values: sorted families of byte keys, sorted files ingested whole, a filter that compaction asks.
// Nothing here is written to a log of RocksDB's own: what put() wrote is durable after flush(); what ingest() took is durable
// when it returns. A store may therefore hold only what can be made again.
// Thread rules: every call from any thread. Keys and values given to callbacks live until the callback returns.
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::store {

struct Family {
  std::string name;
  unsigned prefix_bytes = 0;  // > 0: bloom filter on so many first bytes; scans must give at least these
  /// Asked by compaction for every key, from its own threads; false lets the pair go. Empty: everything stays.
  std::function<bool(std::string_view key)> keep;
};

struct KvOptions {
  std::vector<Family> families;
  std::size_t cache_bytes = 32U << 20U;    // blocks, index and filters
  std::size_t memtable_bytes = 4U << 20U;  // per family
  int open_files = 256;
};

/// Writes one file for Kv::ingest. Keys must come in strictly ascending order.
class SortedFile {
 public:
  ~SortedFile();
  Result<void> add(std::string_view key, std::string_view value);
  /// Durable afterwards. Returns the size in bytes.
  Result<std::uint64_t> finish();

 private:
  friend class Kv;
  struct Inner;
  explicit SortedFile(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

class Kv {
 public:
  /// Code::corrupt when the folder holds something that RocksDB refuses; the caller may remove it and start anew.
  static Result<std::unique_ptr<Kv>> open(const std::string& path, KvOptions options);
  ~Kv();

  Result<void> put(std::size_t family, std::string_view key, std::string_view value);
  Result<void> erase(std::size_t family, std::string_view key);
  Result<std::optional<std::string>> get(std::size_t family, std::string_view key) const;
  /// Pairs whose key starts with `prefix`, ascending, until `each` returns false.
  Result<void> scan(std::size_t family, std::string_view prefix,
                    const std::function<bool(std::string_view key, std::string_view value)>& each) const;
  /// Pairs with from <= key < to, ascending; the bloom filter does not help here.
  Result<void> scan_range(std::size_t family, std::string_view from, std::string_view to,
                          const std::function<bool(std::string_view key, std::string_view value)>& each) const;
  Result<void> scan_all(std::size_t family,
                        const std::function<bool(std::string_view key, std::string_view value)>& each) const;

  /// `path` must be on the same file system; the file belongs to the store afterwards.
  Result<std::unique_ptr<SortedFile>> sorted_file(std::size_t family, const std::string& path) const;
  Result<void> ingest(std::size_t family, const std::string& path);

  /// Rewrites all pairs with from <= key < to and asks `keep` for each. Empty from and to: the whole family.
  Result<void> compact(std::size_t family, std::string_view from, std::string_view to);
  /// Waits until no compaction is wanted any more.
  Result<void> settle();
  Result<void> clear(std::size_t family);
  Result<void> flush(std::size_t family);
  std::uint64_t bytes_on_disk(std::size_t family) const;

 private:
  struct Inner;
  explicit Kv(std::unique_ptr<Inner> inner);
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::store
