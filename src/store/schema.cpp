#include "store/schema.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "base/content.hpp"
#include "base/digest.hpp"

namespace bavn::store {

namespace {

constexpr std::string_view kFolder = "src/store/schema/";

struct Applied {
  std::int64_t number;
  std::string name;
  Blob hash;
};
BOOST_DESCRIBE_STRUCT(Applied, (), (number, name, hash))

Result<std::map<std::int64_t, Applied>> applied(Connection& connection, const std::vector<Migration>& known) {
  Reader reader(connection);
  BAVN_TRY(auto rows, reader.all<Applied>("SELECT number, name, hash FROM schema_migration ORDER BY number"));
  std::map<std::int64_t, Applied> out;
  for (auto& row : rows) {
    const auto it = std::ranges::find(known, row.number, &Migration::number);
    if (it == known.end())
      return fail(Code::conflict,
                  fmt::format("the database was made by a newer bavn: its change {} is not known to this one. Install "
                              "that version again, or restore a backup made before it",
                              row.name));
    if (blake2b256(it->sql) != row.hash.bytes)
      return fail(Code::corrupt, fmt::format("the database change {} has another text in this program than when it was "
                                             "applied; this is not a released version",
                                             row.name));
    out.emplace(row.number, std::move(row));
  }
  return out;
}

Result<void> apply(Connection& connection, const Migration& m, Instant now) {
  BAVN_CHECK(connection.script("BEGIN IMMEDIATE"));
  const auto all = [&]() -> Result<void> {
    if (const auto ok = connection.script(m.sql); !ok)
      return fail(ok.error().code, fmt::format("database change {}: {}", m.name, ok.error().what), ok.error().where);
    BAVN_TRY(const auto problems, connection.check());
    if (!problems.empty()) return fail(Code::conflict, fmt::format("database change {}: {}", m.name, problems.front()));
    BAVN_TRY(auto insert, connection.take("INSERT INTO schema_migration (number, area, name, hash, at_us) "
                                          "VALUES (:number, :area, :name, :hash, :at)"));
    const Binds binds = {
        {"number", m.number}, {"area", m.area}, {"name", m.name}, {"hash", Blob{blake2b256(m.sql)}}, {"at", now}};
    BAVN_CHECK(insert->bind(binds));
    BAVN_CHECK(insert->step());
    insert.reset();
    return connection.script("COMMIT");
  };
  auto ok = all();
  if (!ok && connection.in_transaction()) static_cast<void>(connection.script("ROLLBACK"));
  return ok;
}

}  // namespace

Result<std::vector<Migration>> embedded_migrations(const std::vector<std::string>& areas) {
  std::vector<Migration> out;
  for (const std::string_view path : content::list(kFolder)) {
    const std::string_view rest = path.substr(kFolder.size());
    const auto slash = rest.find('/');
    if (slash == std::string_view::npos || !rest.ends_with(".sql"))
      return fail(Code::bad_input, "not <area>/NNNN_name.sql", std::string(path));
    Migration m;
    m.area = rest.substr(0, slash);
    m.name = rest.substr(slash + 1, rest.size() - slash - 5);
    const auto [end, error] = std::from_chars(m.name.data(), m.name.data() + m.name.size(), m.number);
    if (error != std::errc() || end != m.name.data() + 4 || m.name.size() < 6 || m.name[4] != '_')
      return fail(Code::bad_input, "not <area>/NNNN_name.sql", std::string(path));
    m.sql = *content::file(path);
    out.push_back(std::move(m));
  }
  std::ranges::sort(out, {}, &Migration::number);
  const auto twice = std::ranges::adjacent_find(out, {}, &Migration::number);
  if (twice != out.end())
    return fail(Code::conflict, fmt::format("{} and {} have one number", twice->name, std::next(twice)->name));
  if (!areas.empty()) {
    for (const auto& area : areas)
      if (std::ranges::find(out, area, &Migration::area) == out.end())
        return fail(Code::bad_input, fmt::format("no schema area is named '{}'", area));
    std::erase_if(out, [&](const Migration& m) { return std::ranges::find(areas, m.area) == areas.end(); });
  }
  return out;
}

Result<void> migrate(Connection& connection, const std::vector<Migration>& wanted, const std::vector<Migration>& known,
                     Instant now) {
  BAVN_CHECK(
      connection.script("CREATE TABLE IF NOT EXISTS schema_migration (number INTEGER PRIMARY KEY, "
                        "area TEXT NOT NULL, name TEXT NOT NULL, hash BLOB NOT NULL, at_us INTEGER NOT NULL) STRICT"));
  BAVN_TRY(const auto done, applied(connection, known));
  // Tables that are made anew break references for a moment; apply() checks them before each commit.
  BAVN_CHECK(connection.script("PRAGMA foreign_keys = OFF"));
  Result<void> ok;
  for (const Migration& m : wanted)
    if (ok && !done.contains(m.number)) ok = apply(connection, m, now);
  BAVN_CHECK(connection.script("PRAGMA foreign_keys = ON"));
  return ok;
}

Result<void> check_schema(Connection& connection, const std::vector<Migration>& known) {
  BAVN_CHECK(applied(connection, known));
  return {};
}

}  // namespace bavn::store
