#pragma once
// A state file as a thing: read beside a running program, copied, checked, compared. For the command line and for backups.
// Thread rules: one thread.
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "store/sql/db.hpp"

namespace bavn::store {

struct TableDigest {
  std::string table;
  std::int64_t rows = 0;
  std::string hash;  // BLAKE2b-256 of its rows in a fixed order
  friend bool operator==(const TableDigest&, const TableDigest&) = default;
};

class StateFile {
 public:
  /// Reading alone, beside whoever writes. Errors: not_found, conflict (made by a newer bavn), corrupt.
  static Result<StateFile> open(const std::string& path);
  StateFile(StateFile&&) noexcept;
  ~StateFile();

  /// No limit in time: on a busy system prefer a copy.
  template <class F>
  auto read(F&& f) {
    Reader reader(*connection_);
    return std::forward<F>(f)(reader);
  }
  /// A consistent copy of what is committed now, while others write; whole and durable when it returns. `path` must not exist.
  Result<void> copy_to(const std::string& path);
  /// What is wrong inside: damaged pages, broken references.
  Result<std::vector<std::string>> check();
  /// Equal for equal content, whatever the pages look like. Sorted by table.
  Result<std::vector<TableDigest>> digest();

 private:
  explicit StateFile(std::unique_ptr<Connection> connection);
  std::unique_ptr<Connection> connection_;
};

}  // namespace bavn::store
