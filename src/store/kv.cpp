#include "store/kv.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/compaction_filter.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/table.h>

namespace bavn::store {

namespace {

std::unexpected<Error> trouble(const rocksdb::Status& s, const std::string& where) {
  return fail(s.IsCorruption() ? Code::corrupt : Code::unavailable, "index store: " + s.ToString(), where);
}

rocksdb::Slice slice(std::string_view s) {
  return {s.data(), s.size()};
}
std::string_view view(const rocksdb::Slice& s) {
  return {s.data(), s.size()};
}

class Keep final : public rocksdb::CompactionFilter {
 public:
  explicit Keep(std::function<bool(std::string_view)> keep) : keep_(std::move(keep)) {}
  bool Filter(int, const rocksdb::Slice& key, const rocksdb::Slice&, std::string*, bool*) const override {
    return !keep_(view(key));
  }
  const char* Name() const override { return "bavn.keep"; }

 private:
  std::function<bool(std::string_view)> keep_;
};

}  // namespace

struct SortedFile::Inner {
  rocksdb::SstFileWriter writer;
  std::string path;
  Inner(const rocksdb::Options& options, rocksdb::ColumnFamilyHandle* family, std::string p)
      : writer(rocksdb::EnvOptions(), options, family, true), path(std::move(p)) {}
};

SortedFile::SortedFile(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
SortedFile::~SortedFile() = default;

Result<void> SortedFile::add(std::string_view key, std::string_view value) {
  if (auto s = inner_->writer.Put(slice(key), slice(value)); !s.ok()) return trouble(s, inner_->path);
  return {};
}

Result<std::uint64_t> SortedFile::finish() {
  rocksdb::ExternalSstFileInfo info;
  if (auto s = inner_->writer.Finish(&info); !s.ok()) return trouble(s, inner_->path);
  return info.file_size;
}

struct Kv::Inner {
  std::string path;
  KvOptions options;
  std::vector<std::unique_ptr<Keep>> filters;
  std::vector<rocksdb::ColumnFamilyOptions> family_options;
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;  // in the order of options.families

  ~Inner() {
    if (db == nullptr) return;
    for (auto* f : families) db->DestroyColumnFamilyHandle(f);
    db->Close();
  }
};

Kv::Kv(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
Kv::~Kv() = default;

Result<std::unique_ptr<Kv>> Kv::open(const std::string& path, KvOptions options) {
  auto inner = std::make_unique<Inner>();
  inner->path = path;
  inner->options = std::move(options);
  const auto cache = rocksdb::NewLRUCache(inner->options.cache_bytes);

  rocksdb::DBOptions db_options;
  db_options.create_if_missing = true;
  db_options.create_missing_column_families = true;
  db_options.max_open_files = inner->options.open_files;
  db_options.max_background_jobs = 2;
  db_options.keep_log_file_num = 2;
  db_options.max_log_file_size = 1U << 20U;
  db_options.info_log_level = rocksdb::WARN_LEVEL;
  db_options.max_manifest_file_size = 16U << 20U;

  std::vector<rocksdb::ColumnFamilyDescriptor> wanted;
  wanted.emplace_back(rocksdb::kDefaultColumnFamilyName, rocksdb::ColumnFamilyOptions());
  for (const Family& f : inner->options.families) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = cache;
    table.block_size = 16U << 10U;
    table.cache_index_and_filter_blocks = true;  // so that cache_bytes bounds them, too
    table.pin_l0_filter_and_index_blocks_in_cache = true;
    table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
    table.partition_filters = true;
    table.format_version = 5;
    table.block_restart_interval = 64;  // short keys: every restart costs a whole one
    table.filter_policy.reset(rocksdb::NewRibbonFilterPolicy(10));
    table.whole_key_filtering = f.prefix_bytes == 0;
    rocksdb::ColumnFamilyOptions o;
    if (f.prefix_bytes > 0) o.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(f.prefix_bytes));
    o.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    o.compression = rocksdb::kZSTD;
    o.write_buffer_size = inner->options.memtable_bytes;
    o.level0_file_num_compaction_trigger = 8;
    o.target_file_size_base = 64U << 20U;
    o.max_bytes_for_level_base = 512U << 20U;
    if (f.keep) {
      inner->filters.push_back(std::make_unique<Keep>(f.keep));
      o.compaction_filter = inner->filters.back().get();
    }
    inner->family_options.push_back(o);
    wanted.emplace_back(f.name, o);
  }
  rocksdb::DB* db = nullptr;
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  if (auto s = rocksdb::DB::Open(db_options, path, wanted, &handles, &db); !s.ok()) return trouble(s, path);
  inner->db.reset(db);
  inner->db->DestroyColumnFamilyHandle(handles.front());
  inner->families.assign(handles.begin() + 1, handles.end());
  return std::unique_ptr<Kv>(new Kv(std::move(inner)));
}

Result<void> Kv::put(std::size_t family, std::string_view key, std::string_view value) {
  rocksdb::WriteOptions w;
  w.disableWAL = true;
  if (auto s = inner_->db->Put(w, inner_->families[family], slice(key), slice(value)); !s.ok())
    return trouble(s, inner_->path);
  return {};
}

Result<void> Kv::erase(std::size_t family, std::string_view key) {
  rocksdb::WriteOptions w;
  w.disableWAL = true;
  if (auto s = inner_->db->Delete(w, inner_->families[family], slice(key)); !s.ok()) return trouble(s, inner_->path);
  return {};
}

Result<std::optional<std::string>> Kv::get(std::size_t family, std::string_view key) const {
  std::string value;
  const auto s = inner_->db->Get(rocksdb::ReadOptions(), inner_->families[family], slice(key), &value);
  if (s.IsNotFound()) return std::optional<std::string>();
  if (!s.ok()) return trouble(s, inner_->path);
  return std::optional<std::string>(std::move(value));
}

Result<void> Kv::scan(std::size_t family, std::string_view prefix,
                      const std::function<bool(std::string_view, std::string_view)>& each) const {
  rocksdb::ReadOptions r;
  r.prefix_same_as_start = inner_->options.families[family].prefix_bytes > 0;
  const std::unique_ptr<rocksdb::Iterator> it(inner_->db->NewIterator(r, inner_->families[family]));
  for (it->Seek(slice(prefix)); it->Valid() && it->key().starts_with(slice(prefix)); it->Next())
    if (!each(view(it->key()), view(it->value()))) break;
  if (!it->status().ok()) return trouble(it->status(), inner_->path);
  return {};
}

Result<void> Kv::scan_range(std::size_t family, std::string_view from, std::string_view to,
                            const std::function<bool(std::string_view, std::string_view)>& each) const {
  rocksdb::ReadOptions r;
  r.total_order_seek = true;
  const rocksdb::Slice end = slice(to);
  r.iterate_upper_bound = &end;
  const std::unique_ptr<rocksdb::Iterator> it(inner_->db->NewIterator(r, inner_->families[family]));
  for (it->Seek(slice(from)); it->Valid(); it->Next())
    if (!each(view(it->key()), view(it->value()))) break;
  if (!it->status().ok()) return trouble(it->status(), inner_->path);
  return {};
}

Result<void> Kv::scan_all(std::size_t family,
                          const std::function<bool(std::string_view, std::string_view)>& each) const {
  rocksdb::ReadOptions r;
  r.total_order_seek = true;
  r.fill_cache = false;
  r.readahead_size = 2U << 20U;
  const std::unique_ptr<rocksdb::Iterator> it(inner_->db->NewIterator(r, inner_->families[family]));
  for (it->SeekToFirst(); it->Valid(); it->Next())
    if (!each(view(it->key()), view(it->value()))) break;
  if (!it->status().ok()) return trouble(it->status(), inner_->path);
  return {};
}

Result<std::unique_ptr<SortedFile>> Kv::sorted_file(std::size_t family, const std::string& path) const {
  const rocksdb::Options options(rocksdb::DBOptions(), inner_->family_options[family]);
  auto inner = std::make_unique<SortedFile::Inner>(options, inner_->families[family], path);
  if (auto s = inner->writer.Open(path); !s.ok()) return trouble(s, path);
  return std::unique_ptr<SortedFile>(new SortedFile(std::move(inner)));
}

Result<void> Kv::ingest(std::size_t family, const std::string& path) {
  rocksdb::IngestExternalFileOptions o;
  o.move_files = true;
  o.snapshot_consistency = false;
  o.write_global_seqno = false;
  if (auto s = inner_->db->IngestExternalFile(inner_->families[family], {path}, o); !s.ok()) return trouble(s, path);
  return {};
}

Result<void> Kv::compact(std::size_t family, std::string_view from, std::string_view to) {
  rocksdb::CompactRangeOptions o;
  o.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  const rocksdb::Slice a = slice(from), b = slice(to);
  if (auto s =
          inner_->db->CompactRange(o, inner_->families[family], from.empty() ? nullptr : &a, to.empty() ? nullptr : &b);
      !s.ok())
    return trouble(s, inner_->path);
  return {};
}

Result<void> Kv::settle() {
  // 7.8 has WaitForCompact only inside; an empty manual compaction behind the automatic ones does not wait for them.
  for (auto* family : inner_->families) {
    std::uint64_t busy = 1;
    while (busy != 0) {
      std::uint64_t pending = 0, running = 0;
      inner_->db->GetIntProperty(family, rocksdb::DB::Properties::kCompactionPending, &pending);
      inner_->db->GetIntProperty(family, rocksdb::DB::Properties::kNumRunningCompactions, &running);
      busy = pending + running;
      if (busy != 0) inner_->db->GetEnv()->SleepForMicroseconds(10'000);
    }
  }
  return {};
}

Result<void> Kv::clear(std::size_t family) {
  if (auto s = inner_->db->DropColumnFamily(inner_->families[family]); !s.ok()) return trouble(s, inner_->path);
  inner_->db->DestroyColumnFamilyHandle(inner_->families[family]);
  inner_->families[family] = nullptr;
  rocksdb::ColumnFamilyHandle* fresh = nullptr;
  if (auto s =
          inner_->db->CreateColumnFamily(inner_->family_options[family], inner_->options.families[family].name, &fresh);
      !s.ok())
    return trouble(s, inner_->path);
  inner_->families[family] = fresh;
  return {};
}

Result<void> Kv::flush(std::size_t family) {
  if (auto s = inner_->db->Flush(rocksdb::FlushOptions(), inner_->families[family]); !s.ok())
    return trouble(s, inner_->path);
  return {};
}

std::uint64_t Kv::bytes_on_disk(std::size_t family) const {
  std::uint64_t n = 0;
  inner_->db->GetIntProperty(inner_->families[family], rocksdb::DB::Properties::kTotalSstFilesSize, &n);
  return n;
}

}  // namespace bavn::store
