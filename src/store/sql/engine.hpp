#pragma once
// What a database engine does for us, one file each: sqlite.cpp. Everything an engine has of its own (pragmas, backup, its codes) stays there.
// Thread rules: a Connection belongs to one thread at a time. Life: before everything that was prepared on it, cursors included.
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/hash.hpp"
#include "store/sql/db.hpp"

namespace bavn::store {

class Connection {
 public:
  virtual ~Connection() = default;

  /// From the cache, or prepared: one statement, nothing behind it.
  Result<std::unique_ptr<Statement>> take(std::string_view sql);
  void give_back(std::string sql, std::unique_ptr<Statement> statement);

  /// Several statements, without values: migrations, BEGIN, COMMIT.
  virtual Result<void> script(std::string_view sql) = 0;
  virtual bool in_transaction() const = 0;
  virtual bool broken() const { return false; }  // not worth keeping
  virtual std::int64_t last_id() const = 0;
  virtual std::int64_t total_changes() const = 0;  // rows, since the connection was made
  /// Asked now and then while a statement runs; true ends it with `unavailable`.
  virtual void interrupt_when(std::function<bool()> over) = 0;
  /// A copy of what is committed now, in steps of `pages`, while others write; `path` must not exist. It is one file, whole or an error.
  virtual Result<void> copy_to(const std::string& path, int pages) = 0;
  /// What is wrong inside: damaged pages, broken references. Empty: nothing.
  virtual Result<std::vector<std::string>> check() = 0;
  /// The tables and, of each, its columns in a fixed order, names quoted for use in SQL.
  struct Table {
    std::string name, quoted;
    std::vector<std::string> quoted_columns;
  };
  virtual Result<std::vector<Table>> tables() = 0;

 protected:
  virtual Result<std::unique_ptr<Statement>> prepare(std::string_view sql) = 0;
  void forget_statements() { cache_.clear(); }  // an engine's destructor calls it first

 private:
  std::unordered_map<std::string, std::vector<std::unique_ptr<Statement>>, StringHash, std::equal_to<>> cache_;
  std::size_t cached_ = 0;
};

struct SqliteOptions {
  std::string path{};
  enum class Use : std::uint8_t {
    write,   // made when missing
    read,    // beside a writer; cannot change anything
    lonely,  // an existing file nobody else uses: a backup
  } use = Use::write;
  std::string vfs{};                // empty: the system's. For tests that break disks
  bool memory = false;              // `path` is the name of a database in memory, shared inside the process
  std::int64_t max_page_count = 0;  // > 0: for tests that fill disks
};

Result<std::unique_ptr<Connection>> open_sqlite(const SqliteOptions& options);
/// One on which everything fails with `error`: for who cannot return an error.
std::unique_ptr<Connection> broken_connection(Error error);

}  // namespace bavn::store
