#include "store/sql/db.hpp"

#include <fmt/format.h>

#include "store/sql/engine.hpp"

namespace bavn::store {

namespace {

constexpr std::size_t kCachedStatements = 256;

const char* name_of(ColumnType t) {
  switch (t) {
    case ColumnType::null: return "null";
    case ColumnType::integer: return "an integer";
    case ColumnType::real: return "a real number";
    case ColumnType::text: return "text";
    case ColumnType::blob: return "a blob";
  }
  return "?";
}

class Broken final : public Connection {
 public:
  explicit Broken(Error error) : error_(std::move(error)) {}
  Result<void> script(std::string_view) override { return why(); }
  bool in_transaction() const override { return false; }
  bool broken() const override { return true; }
  std::int64_t last_id() const override { return 0; }
  std::int64_t total_changes() const override { return 0; }
  void interrupt_when(std::function<bool()>) override {}
  Result<void> copy_to(const std::string&, int) override { return why(); }
  Result<std::vector<std::string>> check() override { return why(); }
  Result<std::vector<Table>> tables() override { return why(); }

 protected:
  Result<std::unique_ptr<Statement>> prepare(std::string_view) override { return why(); }

 private:
  std::unexpected<Error> why() const { return std::unexpected<Error>(error_); }
  Error error_;
};

}  // namespace

std::unique_ptr<Connection> broken_connection(Error error) {
  return std::make_unique<Broken>(std::move(error));
}

Result<std::unique_ptr<Statement>> Connection::take(std::string_view sql) {
  if (const auto it = cache_.find(sql); it != cache_.end() && !it->second.empty()) {
    auto statement = std::move(it->second.back());
    it->second.pop_back();
    --cached_;
    return statement;
  }
  return prepare(sql);
}

void Connection::give_back(std::string sql, std::unique_ptr<Statement> statement) {
  statement->reset();
  if (cached_ >= kCachedStatements) {  // statements are written in the source, so this is rare
    cache_.clear();
    cached_ = 0;
  }
  cache_[std::move(sql)].push_back(std::move(statement));
  ++cached_;
}

Cursor::Cursor(Connection& connection, std::string sql, std::unique_ptr<Statement> statement)
    : connection_(&connection), sql_(std::move(sql)), statement_(std::move(statement)) {}

Cursor::~Cursor() {
  if (statement_) connection_->give_back(std::move(sql_), std::move(statement_));
}

namespace detail {

std::unexpected<Error> wrong_column(const Statement& s, int column, std::string_view wanted) {
  return fail(Code::bad_input,
              fmt::format("column '{}' holds {}, wanted is {}", s.name(column), name_of(s.type(column)), wanted));
}

Result<std::vector<int>> columns_of(const Statement& s, std::span<const char* const> names) {
  std::vector<int> at;
  at.reserve(names.size());
  std::vector<bool> used(static_cast<std::size_t>(s.columns()));
  for (const std::string_view name : names) {
    int found = -1;
    for (int c = 0; c < s.columns(); ++c) {
      if (s.name(c) != name) continue;
      if (found >= 0) return fail(Code::bad_input, fmt::format("two columns are named '{}'", name));
      found = c;
    }
    if (found < 0) return fail(Code::bad_input, fmt::format("no column is named '{}'", name));
    used[static_cast<std::size_t>(found)] = true;
    at.push_back(found);
  }
  for (int c = 0; c < s.columns(); ++c)
    if (!used[static_cast<std::size_t>(c)])
      return fail(Code::bad_input, fmt::format("column '{}' has no member", s.name(c)));
  return at;
}

Result<void> only_one_column(const Statement& s) {
  if (s.columns() != 1) return fail(Code::bad_input, fmt::format("one column is wanted, there are {}", s.columns()));
  return {};
}

}  // namespace detail

Result<Cursor> Reader::run(std::string_view sql, Binds binds) {
  BAVN_TRY(auto statement, connection_.take(sql));
  Cursor cursor(connection_, std::string(sql), std::move(statement));
  BAVN_CHECK(cursor.bind(binds));
  return cursor;
}

Result<std::int64_t> Reader::number(std::string_view sql, Binds binds) {
  BAVN_TRY(const auto n, one<std::int64_t>(sql, binds));
  if (!n) return fail(Code::not_found, "no row", std::string(sql));
  return *n;
}

std::unexpected<Error> Reader::more_than_one(std::string_view sql) {
  return fail(Code::conflict, "more than one row", std::string(sql));
}

}  // namespace bavn::store
