#pragma once
// A disk in memory for tests: fails at the n-th call, forgets what was not synced, tears writes at sector borders.
// Thread rules: everything under one mutex. Files opened before cut_power() fail afterwards, like those of a dead process.
#include <map>
#include <mutex>
#include <random>
#include <set>

#include "base/files.hpp"

namespace bavn {

class SimFiles final : public Files {
 public:
  explicit SimFiles(std::uint64_t seed = 1);
  ~SimFiles() override;

  enum class Fault : std::uint8_t { no_space, io_error };
  /// The `n`-th writing call from now (1 = the next: pwrite, sync, truncate, rename, unlink, sync_dir, creating open) fails,
  /// and with it the following `times - 1`. A failing pwrite leaves part of its bytes behind.
  void fail_at(std::uint64_t n, Fault fault, std::uint64_t times = 1);
  std::uint64_t writing_calls() const;
  std::uint64_t faults_given() const;
  /// The power goes: of every write since its file's last sync any subset of its 512-byte sectors survives; of every name
  /// change since the folder's last sync_dir a prefix survives.
  void cut_power();
  /// Turns one bit of a file around, behind everybody's back.
  void flip_bit(const std::string& path, std::uint64_t byte, unsigned bit);

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> unlink(const std::string& path) override;
  Result<void> sync_dir(const std::string& path) override;
  Result<void> make_dirs(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Result<std::shared_ptr<const Mapping>> map(const std::string& path) override;
  bool exists(const std::string& path) override;
  Result<FileStat> stat(const std::string& path) override;
  /// What stat() says was the last change, from now on, of what is written; a test sets it from its clock.
  void set_now(std::int64_t us);
  /// Opening and looking at it fails with "Permission denied", or no longer.
  void deny(const std::string& path, bool denied);

 private:
  friend class SimFile;
  struct Node;
  struct NameChange {
    std::string folder, path;
    std::shared_ptr<Node> node;  // null: the name goes away
    std::string gone;            // rename: the old name, which goes in the same step
  };
  Result<void> step(const char* doing, const std::string& path);

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Node>> names_, durable_names_;
  std::vector<NameChange> pending_;
  std::mt19937_64 random_;
  std::set<std::string> denied_;
  std::int64_t now_us_ = 0;
  std::uint64_t last_inode_ = 0;
  std::uint64_t calls_ = 0, fail_from_ = 0, fail_times_ = 0, given_ = 0, life_ = 0;
  Fault fault_ = Fault::no_space;
};

}  // namespace bavn
