// The SQLite engine: everything that is SQLite's alone.
#include <fmt/format.h>
#include <sqlite3.h>

#include <algorithm>

#include "store/sql/engine.hpp"

namespace bavn::store {

namespace {

Code code_of(int rc) {
  switch (rc & 0xff) {
    case SQLITE_CONSTRAINT: return Code::conflict;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return Code::corrupt;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_NOMEM:
    case SQLITE_INTERRUPT:
    case SQLITE_PROTOCOL:
    case SQLITE_READONLY: return Code::unavailable;
    default: return Code::bad_input;
  }
}

std::unexpected<Error> failed(sqlite3* db, int rc, std::string_view where) {
  std::string what = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(rc);
  if ((rc & 0xff) == SQLITE_FULL) what = "the disk is full (" + what + ")";
  if ((rc & 0xff) == SQLITE_INTERRUPT) what = "the read took too long and was stopped";
  return fail(code_of(rc), std::move(what), std::string(where.substr(0, 120)));
}

class SqliteStatement final : public Statement {
 public:
  SqliteStatement(sqlite3* db, sqlite3_stmt* statement) : db_(db), statement_(statement) {}
  ~SqliteStatement() override { sqlite3_finalize(statement_); }
  SqliteStatement(const SqliteStatement&) = delete;
  SqliteStatement& operator=(const SqliteStatement&) = delete;

  Result<void> learn_names() {
    for (int i = 1; i <= sqlite3_bind_parameter_count(statement_); ++i) {
      const char* name = sqlite3_bind_parameter_name(statement_, i);
      if (name == nullptr || name[0] != ':') return fail(Code::bad_input, "values are bound by :name", sql());
      parameters_.emplace_back(name + 1);
    }
    for (int c = 0; c < sqlite3_column_count(statement_); ++c)
      columns_.emplace_back(sqlite3_column_name(statement_, c));
    return {};
  }

  Result<void> bind(Binds binds) override {
    std::size_t used = 0;
    for (std::size_t i = 0; i < parameters_.size(); ++i) {
      const Bind* found = nullptr;
      for (const Bind& b : binds) {
        if (b.name != parameters_[i]) continue;
        if (found != nullptr) return fail(Code::bad_input, fmt::format(":{} is bound twice", b.name), sql());
        found = &b;
      }
      if (found == nullptr) return fail(Code::bad_input, fmt::format(":{} is not bound", parameters_[i]), sql());
      BAVN_CHECK(bind_one(static_cast<int>(i) + 1, *found));
      ++used;
    }
    if (used != binds.size())
      for (const Bind& b : binds)
        if (std::find(parameters_.begin(), parameters_.end(), b.name) == parameters_.end())
          return fail(Code::bad_input, fmt::format("the statement has no :{}", b.name), sql());
    return {};
  }

  Result<bool> step() override {
    const int rc = sqlite3_step(statement_);
    if (rc == SQLITE_ROW) {
      // A table may have changed since the statement was prepared; "SELECT *" then has other columns.
      if (sqlite3_column_count(statement_) != static_cast<int>(columns_.size()))
        return fail(Code::bad_input, "the table was changed under the statement", sql());
      return true;
    }
    if (rc == SQLITE_DONE) return false;
    return failed(db_, rc, sql());
  }
  void reset() override {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }
  int columns() const override { return static_cast<int>(columns_.size()); }
  std::string_view name(int column) const override { return columns_[static_cast<std::size_t>(column)]; }
  ColumnType type(int column) const override {
    switch (sqlite3_column_type(statement_, column)) {
      case SQLITE_INTEGER: return ColumnType::integer;
      case SQLITE_FLOAT: return ColumnType::real;
      case SQLITE_TEXT: return ColumnType::text;
      case SQLITE_BLOB: return ColumnType::blob;
      default: return ColumnType::null;
    }
  }
  std::int64_t integer(int column) const override { return sqlite3_column_int64(statement_, column); }
  double real(int column) const override { return sqlite3_column_double(statement_, column); }
  std::string_view bytes(int column) const override {
    const auto* data = static_cast<const char*>(sqlite3_column_blob(statement_, column));
    return {data, data == nullptr ? 0 : static_cast<std::size_t>(sqlite3_column_bytes(statement_, column))};
  }

 private:
  std::string sql() const { return std::string(std::string_view(sqlite3_sql(statement_)).substr(0, 120)); }

  Result<void> bind_one(int at, const Bind& b) {
    if (b.too_large) return fail(Code::bad_input, fmt::format(":{} is above 2^63-1", b.name), sql());
    int rc = SQLITE_OK;
    if (const auto* n = std::get_if<std::int64_t>(&b.value)) rc = sqlite3_bind_int64(statement_, at, *n);
    else if (const auto* d = std::get_if<double>(&b.value)) rc = sqlite3_bind_double(statement_, at, *d);
    else if (const auto* s = std::get_if<std::string>(&b.value))
      rc = sqlite3_bind_text64(statement_, at, s->data(), s->size(), SQLITE_STATIC, SQLITE_UTF8);
    else if (const auto* x = std::get_if<Blob>(&b.value))
      // without bytes the pointer may be null, which SQLite would take for NULL
      rc = sqlite3_bind_blob64(statement_, at, x->bytes.empty() ? "" : x->bytes.data(), x->bytes.size(), SQLITE_STATIC);
    else rc = sqlite3_bind_null(statement_, at);
    if (rc != SQLITE_OK) return failed(db_, rc, sql());
    return {};
  }

  sqlite3* db_;
  sqlite3_stmt* statement_;
  std::vector<std::string> parameters_, columns_;
};

std::string quoted(std::string_view identifier) {
  std::string out = "\"";
  for (const char c : identifier) out.append(c == '"' ? 2 : 1, c);
  return out + '"';
}

class SqliteConnection final : public Connection {
 public:
  explicit SqliteConnection(sqlite3* db) : db_(db) {}
  SqliteConnection(const SqliteConnection&) = delete;
  SqliteConnection& operator=(const SqliteConnection&) = delete;
  ~SqliteConnection() override {
    forget_statements();
    const int rc = sqlite3_close(db_);
    BAVN_ASSERT(rc == SQLITE_OK);  // a cursor outlived its connection
  }

  Result<void> script(std::string_view sql) override {
    const std::string text(sql);
    const int rc = sqlite3_exec(db_, text.c_str(), nullptr, nullptr, nullptr);
    if (rc != SQLITE_OK) return failed(db_, rc, sql);
    return {};
  }
  bool in_transaction() const override { return sqlite3_get_autocommit(db_) == 0; }
  std::int64_t last_id() const override { return sqlite3_last_insert_rowid(db_); }
  std::int64_t total_changes() const override { return sqlite3_total_changes64(db_); }
  void interrupt_when(std::function<bool()> over) override {
    over_ = std::move(over);
    sqlite3_progress_handler(
        db_, over_ ? 10000 : 0, [](void* self) { return static_cast<SqliteConnection*>(self)->over_() ? 1 : 0; }, this);
  }

  Result<void> copy_to(const std::string& path, int pages) override {
    BAVN_TRY(auto target, open_sqlite({.path = path, .use = SqliteOptions::Use::write}));
    sqlite3* to = static_cast<SqliteConnection&>(*target).db_;
    // A read transaction held over all steps: one snapshot, and a writer beside us does not start the copy anew.
    BAVN_CHECK(script("BEGIN"));
    Result<void> ok = script("SELECT count(*) FROM sqlite_schema");
    if (ok) {
      sqlite3_backup* backup = sqlite3_backup_init(to, "main", db_, "main");
      int rc = backup == nullptr ? sqlite3_errcode(to) : SQLITE_OK;
      while (rc == SQLITE_OK || rc == SQLITE_BUSY || rc == SQLITE_LOCKED) {
        rc = sqlite3_backup_step(backup, pages);
        if (rc == SQLITE_BUSY || rc == SQLITE_LOCKED) sqlite3_sleep(5);
      }
      if (backup != nullptr) {
        const int end = sqlite3_backup_finish(backup);
        if (rc == SQLITE_DONE) rc = end;
      }
      if (rc != SQLITE_OK) ok = failed(to, rc, path);
    }
    static_cast<void>(script("ROLLBACK"));
    BAVN_CHECK(ok);
    return target->script("PRAGMA journal_mode = DELETE");  // one file, nothing beside it
  }

  Result<std::vector<std::string>> check() override {
    Reader reader(*this);
    BAVN_TRY(auto found, reader.all<std::string>("PRAGMA integrity_check"));
    if (found == std::vector<std::string>{"ok"}) found.clear();
    BAVN_CHECK(
        (reader.each<std::string>("SELECT \"table\" || ' row ' || coalesce(rowid, '?') || ' refers to a row of ' || "
                                  "parent || ' that is not there' "
                                  "FROM pragma_foreign_key_check",
                                  {}, [&](std::string row) -> Result<void> {
                                    found.push_back(std::move(row));
                                    return {};
                                  })));
    return found;
  }

  Result<std::vector<Table>> tables() override {
    Reader reader(*this);
    BAVN_TRY(auto names, reader.all<std::string>("SELECT name FROM sqlite_schema WHERE type = 'table' "
                                                 "AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"));
    std::vector<Table> out;
    for (const auto& name : names) {
      Table t{name, quoted(name), {}};
      BAVN_TRY(const auto columns,
               reader.all<std::string>("SELECT name FROM pragma_table_info(:t) ORDER BY name", {{"t", name}}));
      for (const auto& c : columns) t.quoted_columns.push_back(quoted(c));
      out.push_back(std::move(t));
    }
    return out;
  }

 protected:
  Result<std::unique_ptr<Statement>> prepare(std::string_view sql) override {
    sqlite3_stmt* raw = nullptr;
    const char* tail = nullptr;
    if (sql.size() > 1'000'000) return fail(Code::bad_input, "a statement of more than 1 MB");
    const int rc =
        sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &raw, &tail);
    if (rc != SQLITE_OK) return failed(db_, rc, sql);
    if (raw == nullptr) return fail(Code::bad_input, "an empty statement");
    auto statement = std::make_unique<SqliteStatement>(db_, raw);
    const std::string_view rest(tail, static_cast<std::size_t>(sql.data() + sql.size() - tail));
    if (rest.find_first_not_of(" \t\r\n;") != std::string_view::npos)
      return fail(Code::bad_input, "more than one statement", std::string(sql.substr(0, 120)));
    BAVN_CHECK(statement->learn_names());
    return std::unique_ptr<Statement>(std::move(statement));
  }

 private:
  sqlite3* db_;
  std::function<bool()> over_;
};

}  // namespace

Result<std::unique_ptr<Connection>> open_sqlite(const SqliteOptions& options) {
  sqlite3* db = nullptr;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  std::string name = options.path;
  if (options.memory) {
    name = "file:/" + options.path + "?vfs=memdb";
    flags |= SQLITE_OPEN_URI;
  }
  if (options.use == SqliteOptions::Use::write || options.memory) flags |= SQLITE_OPEN_CREATE;
  const int rc = sqlite3_open_v2(name.c_str(), &db, flags, options.vfs.empty() ? nullptr : options.vfs.c_str());
  if (rc != SQLITE_OK) {
    auto error = failed(db, rc, options.path);
    sqlite3_close(db);
    return error;
  }
  auto connection = std::make_unique<SqliteConnection>(db);
  sqlite3_busy_timeout(db, 5000);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  std::string setup = "PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA foreign_keys = ON;";
  if (options.use == SqliteOptions::Use::write) {
    if (!options.memory) setup += "PRAGMA journal_mode = WAL;";
    // FULL: a commit is on the disk when it is acknowledged. secure_delete: what retention deletes is not left in free pages.
    setup += "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA journal_size_limit = 67108864;";
  } else {
    setup += "PRAGMA query_only = ON;";
  }
  if (options.max_page_count > 0) setup += fmt::format("PRAGMA max_page_count = {};", options.max_page_count);
  BAVN_CHECK(connection->script(setup));
  return std::unique_ptr<Connection>(std::move(connection));
}

}  // namespace bavn::store
