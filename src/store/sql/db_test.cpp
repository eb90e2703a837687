#include "store/sql/db.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"
#include "store/sql/engine.hpp"
#include "store/state.hpp"

namespace bavn::store {

namespace {

struct Thing {
  std::int64_t id = 0;
  std::string name;
  std::optional<std::string> note;
  Blob raw;
  double share = 0;
  bool open = false;
};
BOOST_DESCRIBE_STRUCT(Thing, (), (id, name, note, raw, share, open))

struct Small {
  std::uint8_t id = 0;
};
BOOST_DESCRIBE_STRUCT(Small, (), (id))

class Sql : public testing::Test {
 protected:
  Sql() {
    auto opened = State::open(sim_, {.path = ":memory:", .schema = {"core"}});
    EXPECT_TRUE(opened) << to_string(opened.error());
    state_ = std::move(*opened);
    EXPECT_TRUE(write([](Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("CREATE TABLE thing (id INTEGER PRIMARY KEY, name, note, raw, share, open)"));
      return {};
    }));
  }
  Result<void> write(Unit unit) { return state_->write_now(std::move(unit)); }
  Result<void> exec(std::string_view sql, Binds binds = {}) {
    return write([&](Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec(sql, binds));
      return {};
    });
  }
  template <class Row>
  Result<std::vector<Row>> all(std::string_view sql, Binds binds = {}) {
    return state_->read([&](Reader& r) { return r.all<Row>(sql, binds); });
  }
  Sim sim_{1};
  std::unique_ptr<State> state_;
};

TEST_F(Sql, WhatIsBoundIsReadBackWithEveryTypeAndSize) {
  const std::string binary("a\0b\xff", 4);
  ASSERT_TRUE(exec("INSERT INTO thing VALUES (:id, :name, :note, :raw, :share, :open)",
                   {{"id", 5'000'000'000'000'000'000},
                    {"name", std::string_view("æøå\0x", 8)},
                    {"note", std::optional<std::string>()},
                    {"raw", Blob{binary}},
                    {"share", 0.25},
                    {"open", true}}));
  const auto rows = all<Thing>("SELECT open, share, raw, note, name, id FROM thing");
  ASSERT_TRUE(rows) << to_string(rows.error());
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ((*rows)[0].id, 5'000'000'000'000'000'000);
  EXPECT_EQ((*rows)[0].name, std::string_view("æøå\0x", 8));
  EXPECT_EQ((*rows)[0].note, std::nullopt);
  EXPECT_EQ((*rows)[0].raw.bytes, binary);
  EXPECT_EQ((*rows)[0].share, 0.25);
  EXPECT_TRUE((*rows)[0].open);
}

TEST_F(Sql, EmptyBlobsAndTextsAreNotNull) {
  ASSERT_TRUE(exec("INSERT INTO thing VALUES (1, :name, :note, :raw, 1, 0)",
                   {{"name", ""}, {"note", std::optional<std::string>("")}, {"raw", Blob{}}}));
  const auto rows = all<Thing>("SELECT id, name, note, raw, share, open FROM thing");
  ASSERT_TRUE(rows) << to_string(rows.error());
  EXPECT_EQ((*rows)[0].note, "");
}

TEST_F(Sql, AMissingAnUnknownAndADoubleNameAreErrors) {
  const auto missing = all<std::int64_t>("SELECT id FROM thing WHERE id = :id AND name = :name", {{"id", 1}});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().what, ":name is not bound");
  const auto unknown = all<std::int64_t>("SELECT id FROM thing WHERE id = :id", {{"id", 1}, {"nmae", 2}});
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().what, "the statement has no :nmae");
  const auto twice = all<std::int64_t>("SELECT id FROM thing WHERE id = :id", {{"id", 1}, {"id", 2}});
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().what, ":id is bound twice");
  EXPECT_FALSE(all<std::int64_t>("SELECT id FROM thing WHERE id = ?"));
}

TEST_F(Sql, AColumnWithoutMemberAndAMemberWithoutColumnAreErrors) {
  EXPECT_FALSE(all<Small>("SELECT id, name FROM thing"));
  EXPECT_FALSE(all<Small>("SELECT name FROM thing"));
  EXPECT_FALSE(all<Small>("SELECT id, id FROM thing"));
  EXPECT_TRUE(all<Small>("SELECT id FROM thing"));
}

TEST_F(Sql, AValueOfAnotherTypeOrRangeIsAnErrorAndNeverAZero) {
  ASSERT_TRUE(exec("INSERT INTO thing VALUES (256, 'n', NULL, x'00', 0.5, 2)"));
  EXPECT_FALSE(all<Small>("SELECT id FROM thing"));            // 256 in 8 bits
  EXPECT_FALSE(all<std::int64_t>("SELECT name FROM thing"));   // text
  EXPECT_FALSE(all<std::int64_t>("SELECT share FROM thing"));  // a fraction
  EXPECT_FALSE(all<std::string>("SELECT id FROM thing"));      // a number
  EXPECT_FALSE(all<std::string>("SELECT raw FROM thing"));     // a blob
  EXPECT_FALSE(all<Blob>("SELECT name FROM thing"));           // text
  EXPECT_FALSE(all<bool>("SELECT open FROM thing"));           // 2
  EXPECT_FALSE(all<std::string>("SELECT note FROM thing"));    // null
  EXPECT_TRUE(all<std::optional<std::string>>("SELECT note FROM thing"));
  EXPECT_FALSE(exec("UPDATE thing SET id = :id", {{"id", std::uint64_t{1} << 63}}));
}

TEST_F(Sql, OneWantsNoneOrOneRowAndAScriptIsNotAStatement) {
  ASSERT_TRUE(exec("INSERT INTO thing (id) VALUES (1), (2)"));
  const auto two = state_->read([](Reader& r) { return r.one<std::int64_t>("SELECT id FROM thing"); });
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().code, Code::conflict);
  const auto none = state_->read([](Reader& r) { return r.one<std::int64_t>("SELECT id FROM thing WHERE id = 9"); });
  ASSERT_TRUE(none);
  EXPECT_EQ(*none, std::nullopt);
  EXPECT_FALSE(exec("DELETE FROM thing; DELETE FROM thing"));
  EXPECT_EQ(*state_->read([](Reader& r) { return r.number("SELECT count(*) FROM thing"); }), 2);
}

TEST_F(Sql, AReaderCannotWrite) {
  const auto r = all<std::int64_t>("INSERT INTO thing (id) VALUES (7) RETURNING id");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().code, Code::unavailable);
}

TEST_F(Sql, ABrokenConstraintIsAConflict) {
  ASSERT_TRUE(exec("INSERT INTO thing (id) VALUES (1)"));
  const auto again = exec("INSERT INTO thing (id) VALUES (1)");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::conflict);
}

TEST_F(Sql, ExecSaysHowManyRowsChanged) {
  ASSERT_TRUE(write([](Tx& tx) -> Result<void> {
    EXPECT_EQ(*tx.exec("INSERT INTO thing (id) VALUES (1), (2), (3)"), 3);
    EXPECT_EQ(tx.last_id(), 3);
    EXPECT_EQ(*tx.exec("DELETE FROM thing WHERE id > :n", {{"n", 1}}), 2);
    EXPECT_EQ(*tx.exec("DELETE FROM thing WHERE id > :n", {{"n", 1}}), 0);
    return {};
  }));
}

TEST_F(Sql, AStatementInsideTheRowsOfTheSameStatementWorks) {
  ASSERT_TRUE(exec("INSERT INTO thing (id) VALUES (1), (2)"));
  int inner = 0;
  const auto ok = state_->read([&](Reader& r) {
    return r.each<std::int64_t>("SELECT id FROM thing ORDER BY id", {}, [&](std::int64_t) -> Result<void> {
      BAVN_TRY(const auto rows, r.all<std::int64_t>("SELECT id FROM thing ORDER BY id"));
      inner += static_cast<int>(rows.size());
      return {};
    });
  });
  ASSERT_TRUE(ok);
  EXPECT_EQ(inner, 4);
}

}  // namespace

}  // namespace bavn::store
