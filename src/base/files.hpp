#pragma once
// Files as Bavn uses them, behind one interface so that tests can fill the disk, break it and cut the power.
// DiskFiles is the real one; SimFiles (sim_files.hpp) keeps everything in memory and fails on demand.
// Thread rules: Files is safe to share; one File may be read by many threads, written by one.
// Errors: Code::unavailable with the system's reason ("No space left on device"), not_found when the file is missing,
// forbidden when the system denies it.
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn {

/// Which file it is and how it looks now. Two names with the same device and inode are one file; an inode is used again after its
/// file is gone.
struct FileStat {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_us = 0;
  bool folder = false, regular = false;
};

class File {
 public:
  virtual ~File() = default;
  /// Writes all of it or fails; after a failure the bytes at `offset` are unknown.
  virtual Result<void> pwrite(std::uint64_t offset, std::string_view bytes) = 0;
  /// Fills `into` from `offset`; returns how many bytes there were (less at the end of the file).
  virtual Result<std::size_t> pread(std::uint64_t offset, std::span<char> into) const = 0;
  /// fdatasync: when it returns without error, all bytes written before are durable. After an error nothing is known
  /// about bytes written since the last success, and a second call proves nothing.
  virtual Result<void> sync() = 0;
  virtual Result<void> truncate(std::uint64_t size) = 0;
  virtual Result<std::uint64_t> size() const = 0;
  virtual Result<FileStat> stat() const = 0;  // of the file that was opened, whatever its name became
};

/// A read-only view of a whole file; keeps itself alive.
class Mapping {
 public:
  Mapping(const char* data, std::size_t size, std::function<void()> release)
      : data_(data), size_(size), release_(std::move(release)) {}
  ~Mapping() { release_(); }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  std::string_view bytes() const { return {data_, size_}; }

 private:
  const char* data_;
  std::size_t size_;
  std::function<void()> release_;
};

enum class OpenMode : std::uint8_t {
  read,    // must exist
  write,   // must exist; read and write
  create,  // read and write; made when missing, kept when present. Mode 0600
};

class Files {
 public:
  virtual ~Files() = default;
  virtual Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> unlink(const std::string& path) = 0;
  /// Makes names (created, renamed, unlinked) in this folder durable.
  virtual Result<void> sync_dir(const std::string& path) = 0;
  /// Makes the folder and its parents, mode 0700. Fine when it exists.
  virtual Result<void> make_dirs(const std::string& path) = 0;
  /// Names (not paths) in a folder, sorted.
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
  virtual Result<std::shared_ptr<const Mapping>> map(const std::string& path) = 0;
  virtual bool exists(const std::string& path) = 0;
  virtual Result<FileStat> stat(const std::string& path) = 0;  // follows links
};

/// The whole file; Code::bad_input above `limit` bytes.
Result<std::string> read_file(Files& files, const std::string& path, std::uint64_t limit);
/// Writes `path` so that after a power cut it holds the old or the new content, never a mixture: new file, sync, rename,
/// sync of the folder.
Result<void> replace_file(Files& files, const std::string& path, std::string_view content);
/// "/a/b/c" -> "/a/b"; "c" -> ".".
std::string parent_of(const std::string& path);

class DiskFiles final : public Files {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> unlink(const std::string& path) override;
  Result<void> sync_dir(const std::string& path) override;
  Result<void> make_dirs(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Result<std::shared_ptr<const Mapping>> map(const std::string& path) override;
  bool exists(const std::string& path) override;
  Result<FileStat> stat(const std::string& path) override;
};

}  // namespace bavn
