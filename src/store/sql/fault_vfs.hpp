#pragma once
// For tests: a disk under SQLite that fails on demand, as SimFiles is for everything else. Files are real; StateOptions::vfs = name().
// Life: before every database opened through it, gone after them. Thread rules: any thread.
#include <cstdint>
#include <memory>
#include <string>

namespace bavn::store {

class FaultVfs {
 public:
  explicit FaultVfs(std::string name);
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  enum class Fault : std::uint8_t { no_space, io_error };
  /// The `n`-th writing call from now (1 = the next: write, sync, truncate, delete, open of a new file) fails, and with it the following
  /// `times - 1`. A failing write leaves half of its bytes behind.
  void fail_at(std::uint64_t n, Fault fault, std::uint64_t times = 1);
  /// From now on what each file held at its last sync is remembered (in memory: for small databases).
  void remember_durable();
  /// The power goes, after everything opened here was closed: of what was written to a file since its last sync any subset of 512-byte
  /// sectors survives, and its old or its new length. Shared memory is gone. Names survive.
  void cut_power(std::uint64_t seed);
  void heal() { fail_at(0, Fault::io_error, 0); }
  std::uint64_t writing_calls() const;
  std::uint64_t faults_given() const;
  const std::string& name() const;

  struct Inner;

 private:
  std::unique_ptr<Inner> inner_;
};

}  // namespace bavn::store
