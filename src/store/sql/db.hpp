#pragma once
// SQL as values: a statement, what is bound by name, rows as described structs. A thin layer of ours over sqlite3 (and libpq later):
// statement cache, checked binding and reading by type. A column that does not fit its member, a missing or an unknown name is an error,
// never a silent zero.
//   struct AlertRow { std::int64_t id; std::string tlp; std::optional<std::string> url; };
//   BOOST_DESCRIBE_STRUCT(AlertRow, (), (id, tlp, url))
//   BAVN_TRY(auto rows, db.all<AlertRow>("SELECT id, tlp, url FROM alert WHERE municipality = :m", {{"m", municipality.value}}));
// Members: std::int64_t (and smaller integers, range-checked), double, bool, std::string, Blob, std::optional of these.
// Thread rules: a Reader belongs to one thread at a time.
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
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

/// Converts what callers have: integers, bool (0/1), double, text, Blob, Instant (microseconds), Id<...>, optional of these.
struct Bind {
  template <class T>
  Bind(std::string_view n, T&& v);
  std::string_view name;  // without the colon
  Value value;
};
using Binds = std::initializer_list<Bind>;

struct Connection;  // inside

class Reader {
 public:
  explicit Reader(Connection& connection) : connection_(connection) {}
  virtual ~Reader() = default;
  template <class Row>
  Result<std::vector<Row>> all(std::string_view sql, Binds binds = {});
  /// conflict when there is more than one row.
  template <class Row>
  Result<std::optional<Row>> one(std::string_view sql, Binds binds = {});
  /// A single number, for counts: not_found without a row.
  Result<std::int64_t> number(std::string_view sql, Binds binds = {});

 protected:
  Connection& connection_;
};

}  // namespace bavn::store
