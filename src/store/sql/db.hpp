#pragma once
// SQL as values: a statement, what is bound by name, rows as described structs. A thin layer of ours over sqlite3 (and libpq later):
// statement cache, checked binding and reading by type. A column that does not fit its member, a missing or an unknown name is an error,
// never a silent zero.
//   struct AlertRow { std::int64_t id; std::string tlp; std::optional<std::string> url; };
//   BOOST_DESCRIBE_STRUCT(AlertRow, (), (id, tlp, url))
//   BAVN_TRY(auto rows, db.all<AlertRow>("SELECT id, tlp, url FROM alert WHERE municipality = :m", {{"m", municipality}}));
// Members: integers (range-checked), double, bool (0 or 1), std::string, Blob, Instant (microseconds), Id<...>, std::optional of these.
// A row may also be one of these types itself: db.one<std::string>("SELECT name FROM ...").
// Columns are found by name: every member needs its column and every column its member, in any order.
// Errors: bad_input (the statement, a name, a type), conflict (a constraint), unavailable (disk full, I/O, busy, too slow), corrupt.
// Thread rules: a Reader belongs to one thread at a time.
#include <boost/describe.hpp>
#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/time.hpp"

namespace bavn::store {

struct Blob {
  std::string bytes;
  friend bool operator==(const Blob&, const Blob&) = default;
};

using Value = std::variant<std::nullptr_t, std::int64_t, double, std::string, Blob>;

namespace detail {
template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsId : std::false_type {};
template <class Tag, class Rep>
struct IsId<Id<Tag, Rep>> : std::true_type {};
}  // namespace detail

/// Converts what callers have: integers, enums, bool (0/1), double, text, Blob, Instant (microseconds), Id<...>, optional of these,
/// nullptr. An integer above 2^63-1 is refused when the statement runs.
struct Bind {
  template <class T>
  Bind(std::string_view n, const T& v) : name(n) {
    set(v);
  }
  std::string_view name;  // without the colon
  Value value;
  bool too_large = false;

 private:
  template <class T>
  void set(const T& v) {
    if constexpr (std::same_as<T, std::nullptr_t> || std::same_as<T, std::nullopt_t>) {
      value = nullptr;
    } else if constexpr (std::same_as<T, Value> || std::same_as<T, Blob>) {
      value = v;
    } else if constexpr (detail::IsOptional<T>::value) {
      if (v) set(*v);
      else value = nullptr;
    } else if constexpr (detail::IsId<T>::value) {
      set(v.value);
    } else if constexpr (std::same_as<T, Instant>) {
      value = micros(v);
    } else if constexpr (std::is_enum_v<T>) {
      set(static_cast<std::underlying_type_t<T>>(v));
    } else if constexpr (std::same_as<T, bool>) {
      value = std::int64_t{v};
    } else if constexpr (std::integral<T>) {
      too_large = std::cmp_greater(v, std::numeric_limits<std::int64_t>::max());
      value = static_cast<std::int64_t>(v);
    } else if constexpr (std::floating_point<T>) {
      value = static_cast<double>(v);
    } else {
      value = std::string(std::string_view(v));
    }
  }
};
using Binds = std::initializer_list<Bind>;

enum class ColumnType : std::uint8_t { null, integer, real, text, blob };

/// A prepared statement; the engine's file implements it. The values of a row are valid until the next step() or reset().
class Statement {
 public:
  virtual ~Statement() = default;
  /// What is bound must outlive the last step().
  virtual Result<void> bind(Binds binds) = 0;
  virtual Result<bool> step() = 0;  // true: there is a row
  virtual void reset() = 0;
  virtual int columns() const = 0;
  virtual std::string_view name(int column) const = 0;
  virtual ColumnType type(int column) const = 0;
  virtual std::int64_t integer(int column) const = 0;
  virtual double real(int column) const = 0;
  virtual std::string_view bytes(int column) const = 0;  // of text and blob
};

class Connection;  // sql/engine.hpp

/// A statement that runs; it goes back to the connection's cache when this dies.
class Cursor {
 public:
  Cursor(Connection& connection, std::string sql, std::unique_ptr<Statement> statement);
  Cursor(Cursor&&) = default;
  Cursor& operator=(Cursor&&) = delete;
  ~Cursor();
  Result<bool> step() { return statement_->step(); }
  Result<void> bind(Binds binds) { return statement_->bind(binds); }
  const Statement& row() const { return *statement_; }

 private:
  Connection* connection_;
  std::string sql_;
  std::unique_ptr<Statement> statement_;
};

namespace detail {

std::unexpected<Error> wrong_column(const Statement& s, int column, std::string_view wanted);
/// The column of each name; an error when one is missing, double or left over.
Result<std::vector<int>> columns_of(const Statement& s, std::span<const char* const> names);
Result<void> only_one_column(const Statement& s);

template <class T>
Result<void> read_column(const Statement& s, int column, T& out) {
  if constexpr (IsOptional<T>::value) {
    if (s.type(column) == ColumnType::null) {
      out.reset();
      return {};
    }
    return read_column(s, column, out.emplace());
  } else if constexpr (IsId<T>::value) {
    return read_column(s, column, out.value);
  } else if constexpr (std::same_as<T, Instant>) {
    if (s.type(column) != ColumnType::integer) return wrong_column(s, column, "a time in microseconds");
    out = from_micros(s.integer(column));
    return {};
  } else if constexpr (std::same_as<T, bool>) {
    if (s.type(column) != ColumnType::integer || s.integer(column) < 0 || s.integer(column) > 1)
      return wrong_column(s, column, "0 or 1");
    out = s.integer(column) == 1;
    return {};
  } else if constexpr (std::integral<T>) {
    if (s.type(column) != ColumnType::integer) return wrong_column(s, column, "an integer");
    if (!std::in_range<T>(s.integer(column))) return wrong_column(s, column, "an integer that fits its member");
    out = static_cast<T>(s.integer(column));
    return {};
  } else if constexpr (std::floating_point<T>) {
    if (s.type(column) == ColumnType::real) out = static_cast<T>(s.real(column));
    else if (s.type(column) == ColumnType::integer) out = static_cast<T>(s.integer(column));
    else return wrong_column(s, column, "a number");
    return {};
  } else if constexpr (std::same_as<T, std::string>) {
    if (s.type(column) != ColumnType::text) return wrong_column(s, column, "text");
    out.assign(s.bytes(column));
    return {};
  } else {
    static_assert(std::same_as<T, Blob>, "no such column type; see the top of this file");
    if (s.type(column) != ColumnType::blob) return wrong_column(s, column, "a blob");
    out.bytes.assign(s.bytes(column));
    return {};
  }
}

template <class Row, template <class...> class List, class... Member>
Result<void> read_members(const Statement& s, const std::vector<int>& at, Row& row, List<Member...>) {
  Result<void> ok;
  std::size_t i = 0;
  const auto one = [&](auto pointer) {
    if (ok) ok = read_column(s, at[i++], row.*pointer);
  };
  (one(Member::pointer), ...);
  return ok;
}
template <template <class...> class List, class... Member>
Result<std::vector<int>> member_columns(const Statement& s, List<Member...>) {
  const char* const names[] = {Member::name...};
  return columns_of(s, names);
}

/// Reads the rows of one running statement.
template <class Row>
class RowReader {
 public:
  static constexpr bool kDescribed = boost::describe::has_describe_members<Row>::value;

  Result<void> start(const Statement& s) {
    if constexpr (kDescribed) {
      BAVN_TRY(at_, member_columns(s, Members{}));
      return {};
    } else {
      return only_one_column(s);
    }
  }
  Result<Row> read(const Statement& s) const {
    Row row{};
    if constexpr (kDescribed) {
      BAVN_CHECK(read_members(s, at_, row, Members{}));
    } else {
      BAVN_CHECK(read_column(s, 0, row));
    }
    return row;
  }

 private:
  template <class R, bool>
  struct MembersOf {
    using type = void;
  };
  template <class R>
  struct MembersOf<R, true> {
    using type = boost::describe::describe_members<R, boost::describe::mod_public | boost::describe::mod_inherited>;
  };
  using Members = typename MembersOf<Row, kDescribed>::type;
  std::vector<int> at_;
};

}  // namespace detail

class Reader {
 public:
  explicit Reader(Connection& connection) : connection_(connection) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  virtual ~Reader() = default;

  template <class Row>
  Result<std::vector<Row>> all(std::string_view sql, Binds binds = {}) {
    std::vector<Row> rows;
    BAVN_CHECK((each<Row>(sql, binds, [&](Row row) -> Result<void> {
      rows.push_back(std::move(row));
      return {};
    })));
    return rows;
  }
  /// conflict when there is more than one row.
  template <class Row>
  Result<std::optional<Row>> one(std::string_view sql, Binds binds = {}) {
    std::optional<Row> found;
    BAVN_CHECK((each<Row>(sql, binds, [&](Row row) -> Result<void> {
      if (found) return more_than_one(sql);
      found = std::move(row);
      return {};
    })));
    return found;
  }
  /// Calls f(Row) -> Result<void> for each row as it is read: for what does not fit into memory. An error of f ends it.
  template <class Row, class F>
  Result<void> each(std::string_view sql, Binds binds, F&& f) {
    BAVN_TRY(Cursor cursor, run(sql, binds));
    detail::RowReader<Row> reader;
    BAVN_CHECK(reader.start(cursor.row()));
    for (;;) {
      BAVN_TRY(const bool more, cursor.step());
      if (!more) return {};
      BAVN_TRY(Row row, reader.read(cursor.row()));
      BAVN_CHECK(f(std::move(row)));
    }
  }
  /// A single number, for counts: not_found without a row.
  Result<std::int64_t> number(std::string_view sql, Binds binds = {});

 protected:
  Result<Cursor> run(std::string_view sql, Binds binds);
  static std::unexpected<Error> more_than_one(std::string_view sql);
  Connection& connection_;
};

}  // namespace bavn::store
