#include "show/api/indicators/book.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <set>

#include "base/runtime.hpp"
#include "base/sim.hpp"
#include "base/temp_folder.hpp"
#include "base/threads.hpp"

namespace bavn::show::api {
namespace {

namespace mi = match::indicators;

mi::Indicator indicator(event::Kind kind, std::string value, std::string source = "list") {
  mi::Indicator i;
  i.kind = kind;
  i.value = std::move(value);
  i.source = std::move(source);
  return i;
}

class Book : public ::testing::Test {
 protected:
  void add(const std::vector<mi::Indicator>& all) {
    const auto done = state->write_now([&](store::Tx& tx) { return book_add(tx, all, "person:1"); });
    ASSERT_TRUE(done) << to_string(done.error());
  }
  std::vector<BookRow> page(const BookFilter& f) {
    auto rows = state->read([&](store::Reader& db) { return book_page(db, f, sim.now()); });
    EXPECT_TRUE(rows) << to_string(rows.error());
    return rows ? *rows : std::vector<BookRow>();
  }
  std::vector<std::string> values(const BookFilter& f) {
    std::vector<std::string> out;
    for (auto& r : page(f)) out.push_back(r.value);
    return out;
  }
  Sim sim{5, *parse_time("2024-10-25T06:00:00Z")};
  std::unique_ptr<store::State> state = *store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}});
};

TEST_F(Book, ShowsTheNewestFirstAndFiltersByKindSourceActionAndText) {
  auto warns = indicator(event::Kind::url, "profil.example/orbes", "campaign:1");
  warns.action = mi::Action::warn;
  add({indicator(event::Kind::domain, "bad.example"), indicator(event::Kind::domain, "badder.example", "other"),
       warns});
  EXPECT_EQ(values({}), (std::vector<std::string>{"profil.example/orbes", "badder.example", "bad.example"}));
  EXPECT_EQ(values({.kind = "domain"}), (std::vector<std::string>{"badder.example", "bad.example"}));
  EXPECT_EQ(values({.source = "other"}), (std::vector<std::string>{"badder.example"}));
  EXPECT_EQ(values({.kind = "domain", .source = "list"}), (std::vector<std::string>{"bad.example"}));
  EXPECT_EQ(values({.action = "warn"}), (std::vector<std::string>{"profil.example/orbes"}));
  EXPECT_EQ(values({.text = "hxxps://BAD"}), (std::vector<std::string>{"bad.example", "badder.example"}));
  EXPECT_EQ(values({.source = "list", .text = "bad[.]e"}), (std::vector<std::string>{"bad.example"}));
  EXPECT_TRUE(values({.kind = "url", .text = "bad"}).empty());
}

TEST_F(Book, PagesThroughEverythingOnceInBothOrders) {
  std::vector<mi::Indicator> all;
  for (int n = 0; n < 25; ++n) {
    all.push_back(indicator(event::Kind::domain, fmt::format("n{}.example", n), "a"));
    all.push_back(indicator(event::Kind::domain, fmt::format("n{}.example", n), "b"));  // the same value twice
  }
  add(all);
  for (const std::string text : {"", "n"}) {
    std::set<std::int64_t> seen;
    BookFilter f{.text = text, .limit = 7};
    for (int turn = 0; turn < 20; ++turn) {
      auto rows = page(f);
      const bool more = rows.size() > f.limit;
      if (more) rows.resize(f.limit);
      for (const auto& r : rows) EXPECT_TRUE(seen.insert(r.id).second) << r.value;
      if (!more) break;
      f.before_id = rows.back().id;
      f.after_id = rows.back().id;
      if (!text.empty()) f.after_value = rows.back().value;
    }
    EXPECT_EQ(seen.size(), 50U) << text;
  }
}

TEST_F(Book, TheLastWordCountsAndWhatIsOverIsNotShown) {
  auto i = indicator(event::Kind::domain, "bad.example");
  add({i});
  i.comment = "again";
  i.valid_until = sim.now() + std::chrono::hours(1);
  add({i});
  ASSERT_EQ(page({}).size(), 1U);
  EXPECT_EQ(page({})[0].comment, "again");
  const auto counts = *state->read([](store::Reader& db) { return book_counts(db); });
  ASSERT_EQ(counts.size(), 1U);
  EXPECT_EQ(counts[0].count, 1);
  sim.advance(std::chrono::hours(2));
  EXPECT_TRUE(page({}).empty());
  bool there = false;
  ASSERT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(there, book_remove(tx, {event::Kind::domain, "bad.example", ""}));
    return {};
  }));
  EXPECT_TRUE(there);
  EXPECT_TRUE(state->read([](store::Reader& db) { return book_counts(db); })->empty());
}

TEST_F(Book, HostileTextInAFilterIsOnlyText) {
  add({indicator(event::Kind::domain, "bad.example")});
  for (const char* text : {"'; DROP TABLE hub_indicator; --", "%", "_", "\xff\xfe", "bad.example\x01"})
    EXPECT_TRUE(values({.text = text}).empty()) << text;
  EXPECT_EQ(values({}).size(), 1U);
}

// Printed, not judged: machines differ. 350,000 indicators; each page must come well under 200 ms.
TEST(Bench, IndicatorsOfALargeListByPage) {
  Threads runtime;
  TempFolder folder;
  auto state = *store::State::open(runtime, {.path = folder.path() / "state.db", .schema = {"core", "hub"}});
  using Clock = std::chrono::steady_clock;
  const auto ms = [](Clock::time_point from) {
    return std::chrono::duration<double, std::milli>(Clock::now() - from).count();
  };
  constexpr int kAll = 350'000, kPart = 2'000;
  const auto filling = Clock::now();
  for (int from = 0; from < kAll; from += kPart) {
    std::vector<mi::Indicator> part;
    for (int n = from; n < from + kPart; ++n)
      part.push_back(n % 5 < 3 ? indicator(event::Kind::url,
                                           fmt::format("{:05x}.example/p/{}", std::int64_t{n} * 7919 % 1048576, n),
                                           n % 11 == 0 ? "small" : "urlhaus")
                               : indicator(event::Kind::domain, fmt::format("{:05x}.example", n), "urlhaus"));
    ASSERT_TRUE(state->write_now([&](store::Tx& tx) { return book_add(tx, part, "person:1"); }));
  }
  fmt::print("350,000 indicators written in {:.1f} s\n", ms(filling) / 1000);
  const auto time = [&](const char* what, const BookFilter& f) {
    double worst = 0;
    std::size_t rows = 0;
    for (int turn = 0; turn < 5; ++turn) {
      const auto at = Clock::now();
      rows = state->read([&](store::Reader& db) { return book_page(db, f, runtime.now()); })->size();
      worst = std::max(worst, ms(at));
    }
    fmt::print("{:<44} {:>3} rows, at most {:.2f} ms\n", what, rows, worst);
    EXPECT_GT(rows, 0U) << what;
  };
  time("first page", {});
  time("a page in the middle", {.before_id = 175'000});
  time("by kind", {.kind = "domain"});
  time("by source", {.source = "small"});
  time("by kind and source", {.kind = "url", .source = "small"});
  time("text", {.text = "abc"});
  time("text and kind", {.kind = "domain", .text = "5"});
  time("text and source", {.source = "small", .text = "0"});
  const auto at = Clock::now();
  EXPECT_EQ(state->read([](store::Reader& db) { return book_counts(db); })->size(), 3U);
  fmt::print("{:<44} at most {:.2f} ms\n", "sources with counts", ms(at));
}

}  // namespace
}  // namespace bavn::show::api
