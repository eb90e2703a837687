#pragma once
// The numbered files of src/store/schema/<area>/NNNN_name.sql, embedded in the binary, applied forward only, each in its own transaction.
// The table schema_migration says which were applied, when, and the hash of their text.
#include <string>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "store/sql/engine.hpp"

namespace bavn::store {

struct Migration {
  std::int64_t number = 0;
  std::string area, name;  // "core", "0001_core"
  std::string_view sql;
};

/// The embedded ones of these areas in the order of their numbers; all areas when none is named.
/// Errors: bad_input for a file name that is not NNNN_name.sql, conflict for a number used twice.
Result<std::vector<Migration>> embedded_migrations(const std::vector<std::string>& areas);

/// Applies what is missing of `wanted`. known: every migration this program has.
/// Errors: conflict when the database has one that is not known (a newer program made it), corrupt when an applied one has another text now.
Result<void> migrate(Connection& connection, const std::vector<Migration>& wanted, const std::vector<Migration>& known,
                     Instant now);

/// The checks of migrate alone: for those who only read.
Result<void> check_schema(Connection& connection, const std::vector<Migration>& known);

}  // namespace bavn::store
