#include "store/state.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "base/temp_folder.hpp"
#include "base/threads.hpp"
#include "store/schema.hpp"
#include "store/sql/engine.hpp"

namespace bavn::store {

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

std::unique_ptr<State> open(Runtime& runtime, const std::string& path) {
  auto opened = State::open(runtime, {.path = path, .schema = {"core"}});
  EXPECT_TRUE(opened) << to_string(opened.error());
  return std::move(*opened);
}

Result<void> insert(Tx& tx, std::int64_t n) {
  BAVN_CHECK(tx.exec("INSERT INTO t (n) VALUES (:n)", {{"n", n}}));
  return {};
}

Unit make_table() {
  return [](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("CREATE TABLE t (n INTEGER PRIMARY KEY) STRICT"));
    return {};
  };
}

std::int64_t count(const State& state) {
  const auto n = state.read([](Reader& r) { return r.number("SELECT count(*) FROM t"); });
  EXPECT_TRUE(n) << to_string(n.error());
  return n ? *n : -1;
}

TEST(State, AFailedUnitFailsAloneAndItsChangesAreUndone) {
  Sim sim(1);
  const auto state = open(sim, ":memory:");
  ASSERT_TRUE(state->write_now(make_table()));
  std::vector<std::string> answers;
  const auto note = [&](std::string name) {
    return [&answers, name](const Result<void>& r) { answers.push_back(name + (r ? " done" : " " + r.error().what)); };
  };
  state->write([](Tx& tx) { return insert(tx, 1); }, note("first"));
  state->write(
      [](Tx& tx) -> Result<void> {
        BAVN_CHECK(insert(tx, 2));
        return fail(Code::bad_input, "changed its mind");
      },
      note("second"));
  state->write([](Tx& tx) { return insert(tx, 3); }, note("third"));
  EXPECT_TRUE(answers.empty());
  sim.advance(1s);
  EXPECT_EQ(answers, (std::vector<std::string>{"first done", "second changed its mind", "third done"}));
  EXPECT_EQ(count(*state), 2);
  EXPECT_EQ(state->counts().failures, 1U);
}

TEST(State, UnitsThatWaitShareACommit) {
  Threads threads;
  TempFolder folder;
  const auto state = open(threads, folder.at("state.db"));
  ASSERT_TRUE(state->write_now(make_table()));
  const auto before = state->counts().commits;
  for (int i = 0; i < 500; ++i) state->write([i](Tx& tx) { return insert(tx, i); });
  ASSERT_TRUE(state->write_now([](Tx& tx) { return insert(tx, 500); }));
  EXPECT_EQ(count(*state), 501);
  EXPECT_LE(state->counts().commits - before, 100U);
  state->stop();
}

TEST(State, ManyThreadsWriteAndEachSeesItsOwnWhenAcknowledged) {
  Threads threads;
  TempFolder folder;
  const auto state = open(threads, folder.at("state.db"));
  ASSERT_TRUE(state->write_now(make_table()));
  std::vector<std::thread> writers;
  std::atomic<int> unseen = 0;
  for (int w = 0; w < 4; ++w)
    writers.emplace_back([&, w] {
      for (int i = 0; i < 50; ++i) {
        const int n = w * 1000 + i;
        EXPECT_TRUE(state->write_now([n](Tx& tx) { return insert(tx, n); }));
        const auto seen =
            state->read([&](Reader& r) { return r.number("SELECT count(*) FROM t WHERE n = :n", {{"n", n}}); });
        if (!seen || *seen != 1) ++unseen;
      }
    });
  for (auto& w : writers) w.join();
  EXPECT_EQ(unseen, 0);
  EXPECT_EQ(count(*state), 200);
  state->stop();
}

TEST(State, AReadSeesOneSnapshot) {
  Sim sim(1);
  TempFolder folder;
  const auto state = open(sim, folder.at("state.db"));
  ASSERT_TRUE(state->write_now(make_table()));
  state->read([&](Reader& r) {
    EXPECT_EQ(*r.number("SELECT count(*) FROM t"), 0);
    EXPECT_TRUE(state->write_now([](Tx& tx) { return insert(tx, 1); }));
    EXPECT_EQ(*r.number("SELECT count(*) FROM t"), 0);
    return 0;
  });
  EXPECT_EQ(count(*state), 1);
}

TEST(State, AReadOutsideItsTransactionIsRefusedInsideAUnitForItWouldSeeThePast) {
  Sim sim(1);
  const auto state = open(sim, ":memory:");
  ASSERT_TRUE(state->write_now(make_table()));
  ASSERT_TRUE(state->write_now([&](Tx& tx) -> Result<void> {
    BAVN_CHECK(insert(tx, 1));
    EXPECT_EQ(*tx.number("SELECT count(*) FROM t"), 1);
    EXPECT_FALSE(state->read([](Reader& r) { return r.number("SELECT count(*) FROM t"); }));
    return {};
  }));
  EXPECT_EQ(count(*state), 1);
}

TEST(State, AReadThatLastsTooLongIsStopped) {
  Threads threads;
  TempFolder folder;
  const auto state = open(threads, folder.at("state.db"));
  const auto n = state->read([](Reader& r) {
    return r.number("WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c");
  });
  ASSERT_FALSE(n);
  EXPECT_EQ(n.error().code, Code::unavailable);
  EXPECT_TRUE(state->read([](Reader& r) { return r.number("SELECT 1"); }));
  state->stop();
}

TEST(State, StopCommitsWhatIsQueuedAndRefusesTheRest) {
  Threads threads;
  TempFolder folder;
  {
    const auto state = open(threads, folder.at("state.db"));
    ASSERT_TRUE(state->write_now(make_table()));
    std::atomic<int> done = 0;
    for (int i = 0; i < 120; ++i)
      state->write([i](Tx& tx) { return insert(tx, i); }, [&](const Result<void>& r) { done += r ? 1 : 0; });
    state->stop();
    EXPECT_EQ(done, 120);
    const auto late = state->write_now([](Tx& tx) { return insert(tx, 999); });
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, Code::unavailable);
    EXPECT_EQ(state->counts().refused, 1U);
  }
  EXPECT_EQ(count(*open(threads, folder.at("state.db"))), 120);
}

TEST(State, TheFileCanBeReadByItsOwnerAlone) {
  Sim sim(1);
  TempFolder folder;
  const auto state = open(sim, folder.at("state.db"));
  for (const auto& entry : fs::directory_iterator(folder.path()))
    EXPECT_EQ(fs::status(entry).permissions(), fs::perms::owner_read | fs::perms::owner_write) << entry;
}

TEST(Schema, ADatabaseOfANewerProgramIsRefusedWithTheWayOut) {
  Sim sim(1);
  TempFolder folder;
  ASSERT_TRUE(open(sim, folder.at("state.db"))->write_now([](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("INSERT INTO schema_migration VALUES (9000, 'core', '9000_of_next_year', x'00', 0)"));
    return {};
  }));
  const auto again = State::open(sim, {.path = folder.at("state.db"), .schema = {"core"}});
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::conflict);
  EXPECT_NE(again.error().what.find("newer bavn"), std::string::npos) << again.error().what;
  EXPECT_NE(again.error().what.find("9000_of_next_year"), std::string::npos);
}

TEST(Schema, AnOldFileIsBroughtForwardAndAChangedPastIsNoticed) {
  TempFolder folder;
  const Migration one{1, "core", "0001_one", "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (4);"};
  const Migration two{2, "core", "0002_two", "ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 7;"};
  const Migration broken{3, "core", "0003_broken", "CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1);"};
  const Migration other_two{2, "core", "0002_two", "ALTER TABLE a ADD COLUMN z INTEGER;"};
  const auto with = [&](const std::vector<Migration>& m) -> Result<std::int64_t> {
    BAVN_TRY(auto c, open_sqlite({.path = folder.at("state.db")}));
    BAVN_CHECK(migrate(*c, m, m, from_micros(0)));
    Reader r(*c);
    return r.number("SELECT y FROM a");
  };
  EXPECT_FALSE(with({one}));  // no y yet
  EXPECT_EQ(*with({one, two}), 7);
  EXPECT_EQ(*with({one, two}), 7);
  const auto failed = with({one, two, broken});
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().what.find("0003_broken"), std::string::npos) << failed.error().what;
  EXPECT_EQ(*with({one, two}), 7);  // nothing of it is left
  const auto changed = with({one, other_two});
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, Code::corrupt);
}

TEST(Schema, EveryEmbeddedChangeOfEveryAreaAppliesToAnEmptyFile) {
  TempFolder folder;
  const auto known = embedded_migrations({});
  ASSERT_TRUE(known) << to_string(known.error());
  ASSERT_FALSE(known->empty());
  auto c = open_sqlite({.path = folder.at("state.db")});
  ASSERT_TRUE(c);
  const auto ok = migrate(**c, *known, *known, from_micros(0));
  EXPECT_TRUE(ok) << to_string(ok.error());
}

TEST(Bench, UnitsPerSecond) {
#ifdef BAVN_SANITIZED
  GTEST_SKIP() << "a sanitized build measures the sanitizer";
#endif
  Threads threads;
  TempFolder folder;
  const auto state = open(threads, folder.at("state.db"));
  ASSERT_TRUE(state->write_now(make_table()));
  const auto second = [](auto took) { return std::chrono::duration<double>(took).count(); };
  constexpr int kQueued = 20'000, kWaiting = 300, kReads = 20'000;
  auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kQueued; ++i) {
    state->write([i](Tx& tx) { return insert(tx, i); });
    if (i % 5000 == 4999) {
      ASSERT_TRUE(state->write_now([](Tx&) -> Result<void> { return {}; }));
    }
  }
  const double queued = second(std::chrono::steady_clock::now() - start);
  start = std::chrono::steady_clock::now();
  for (int i = 0; i < kWaiting; ++i) ASSERT_TRUE(state->write_now([i](Tx& tx) { return insert(tx, kQueued + i); }));
  const double waited = second(std::chrono::steady_clock::now() - start);
  start = std::chrono::steady_clock::now();
  for (int i = 0; i < kReads; ++i)
    ASSERT_TRUE(state->read([&](Reader& r) { return r.number("SELECT n FROM t WHERE n = :n", {{"n", i}}); }));
  const double reads = second(std::chrono::steady_clock::now() - start);
  std::printf("queued units %.0f/s, units one waits for %.0f/s, reads of one row %.0f/s, commits %llu\n",
              kQueued / queued, kWaiting / waited, kReads / reads,
              static_cast<unsigned long long>(state->counts().commits));
  state->stop();
  EXPECT_EQ(count(*state), kQueued + kWaiting);
}

}  // namespace

}  // namespace bavn::store
