#include "store/state_file.hpp"

#include <fmt/format.h>

#include "base/digest.hpp"
#include "base/files.hpp"
#include "store/audit_row.hpp"
#include "store/copy.hpp"
#include "store/schema.hpp"
#include "store/sql/engine.hpp"

namespace bavn::store {

namespace {

// A value's type and bytes; NULL, '', 0 and x'' stay apart.
void append_value(std::string& out, const Statement& row, int column) {
  const ColumnType type = row.type(column);
  out += static_cast<char>('0' + static_cast<int>(type));
  switch (type) {
    case ColumnType::null: break;
    case ColumnType::integer: append_number(out, row.integer(column)); break;
    case ColumnType::real: append_text(out, fmt::format("{:.17g}", row.real(column))); break;
    case ColumnType::text:
    case ColumnType::blob: append_text(out, row.bytes(column)); break;
  }
}

}  // namespace

Result<void> copy_database(Connection& from, const std::string& path) {
  DiskFiles files;
  if (files.exists(path)) return fail(Code::conflict, "the file is already there; a backup overwrites nothing", path);
  const std::string part = path + ".part";
  if (files.exists(part)) BAVN_CHECK(files.unlink(part));
  const auto copy = [&]() -> Result<void> {
    BAVN_CHECK(files.open(part, OpenMode::create));  // mode 0600
    BAVN_CHECK(from.copy_to(part, 256));
    BAVN_TRY(auto copied, open_sqlite({.path = part, .use = SqliteOptions::Use::lonely}));
    BAVN_TRY(const auto problems, copied->check());
    if (!problems.empty()) return fail(Code::corrupt, "the copy is damaged: " + problems.front(), path);
    copied.reset();
    BAVN_CHECK(files.rename(part, path));
    return files.sync_dir(parent_of(path));
  };
  auto ok = copy();
  if (!ok && files.exists(part)) static_cast<void>(files.unlink(part));
  return ok;
}

StateFile::StateFile(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}
StateFile::StateFile(StateFile&&) noexcept = default;
StateFile::~StateFile() = default;

Result<StateFile> StateFile::open(const std::string& path) {
  if (!DiskFiles().exists(path)) return fail(Code::not_found, "there is no state file", path);
  BAVN_TRY(auto connection, open_sqlite({.path = path, .use = SqliteOptions::Use::read}));
  BAVN_TRY(const auto known, embedded_migrations({}));
  BAVN_CHECK(check_schema(*connection, known));
  return StateFile(std::move(connection));
}

Result<void> StateFile::copy_to(const std::string& path) {
  return copy_database(*connection_, path);
}

Result<std::vector<std::string>> StateFile::check() {
  return connection_->check();
}

Result<std::vector<TableDigest>> StateFile::digest() {
  BAVN_CHECK(connection_->script("BEGIN"));  // one snapshot
  const auto all = [&]() -> Result<std::vector<TableDigest>> {
    BAVN_TRY(const auto tables, connection_->tables());
    std::vector<TableDigest> out;
    for (const auto& t : tables) {
      std::string columns;
      for (const auto& c : t.quoted_columns) columns += (columns.empty() ? "" : ", ") + c;
      // The one place where SQL is put together: the names come from the database itself, quoted by its engine.
      const std::string sql = "SELECT " + columns + " FROM " + t.quoted + " ORDER BY " + columns;
      BAVN_TRY(auto statement, connection_->take(sql));
      TableDigest d{.table = t.name, .hash = blake2b256(columns)};
      for (std::string row;; ++d.rows) {
        BAVN_TRY(const bool more, statement->step());
        if (!more) break;
        row = d.hash;
        for (int c = 0; c < statement->columns(); ++c) append_value(row, *statement, c);
        d.hash = blake2b256(row);
      }
      out.push_back(std::move(d));
    }
    return out;
  };
  auto result = all();
  BAVN_CHECK(connection_->script("ROLLBACK"));
  return result;
}

}  // namespace bavn::store
