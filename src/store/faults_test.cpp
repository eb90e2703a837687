// Promises P1 and P6: what was acknowledged is there exactly once, whatever the disk did and whenever the process was killed.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <set>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "base/temp_folder.hpp"
#include "base/threads.hpp"
#include "store/audit.hpp"
#include "store/sql/fault_vfs.hpp"
#include "store/state_file.hpp"

namespace bavn::store {

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

Unit make_table() {
  return [](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("CREATE TABLE IF NOT EXISTS entry (n INTEGER NOT NULL, filling TEXT NOT NULL) STRICT"));
    return {};
  };
}

/// Writes an entry, an audit note and an event; nothing keeps it from being there twice but ourselves.
Unit entry(std::int64_t n) {
  return [n](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("INSERT INTO entry (n, filling) VALUES (:n, :f)", {{"n", n}, {"f", std::string(700, 'x')}}));
    BAVN_CHECK(tx.emit("entry", std::to_string(n)));
    return tx.audit({"test", "entry", std::to_string(n), "{}"});
  };
}

/// Every acknowledged one there once, no other twice, and nothing half.
void expect_whole(const std::string& path, const std::set<std::int64_t>& acknowledged, const std::string& when) {
  auto file = StateFile::open(path);
  ASSERT_TRUE(file) << when << ": " << to_string(file.error());
  const auto problems = file->check();
  ASSERT_TRUE(problems) << when;
  EXPECT_TRUE(problems->empty()) << when << ": " << problems->front();
  const auto there = file->read([](Reader& r) { return r.all<std::int64_t>("SELECT n FROM entry"); });
  ASSERT_TRUE(there) << when << ": " << to_string(there.error());
  std::map<std::int64_t, int> times;
  for (const auto n : *there) ++times[n];
  for (const auto n : acknowledged) EXPECT_EQ(times[n], 1) << when << ": acknowledged " << n;
  for (const auto& [n, t] : times) EXPECT_LE(t, 1) << when << ": " << n;
  const auto events = file->read([](Reader& r) { return r.number("SELECT count(*) FROM domain_event"); });
  EXPECT_EQ(*events, static_cast<std::int64_t>(there->size())) << when;
  const auto audit = file->read([](Reader& r) { return audit::verify(r); });
  ASSERT_TRUE(audit) << when;
  EXPECT_TRUE(audit->ok()) << when << ": " << audit->findings.at(0).text;
  EXPECT_EQ(audit->entries, static_cast<std::int64_t>(there->size())) << when;
}

TEST(DiskFaults, AWriteThatFailsAtAnyCallAcknowledgesNothingThatIsNotThere) {
  const log::Capture quiet;
  FaultVfs disk("bavn-fault-every-n");
  for (const auto fault : {FaultVfs::Fault::io_error, FaultVfs::Fault::no_space}) {
    std::uint64_t n = 1;
    for (bool more = true; more; ++n) {
      TempFolder folder;
      std::set<std::int64_t> acknowledged;
      const std::string when = "fault " + std::to_string(static_cast<int>(fault)) + " at call " + std::to_string(n);
      {
        Sim sim(n);
        auto opened = State::open(sim, {.path = folder.at("state.db"), .schema = {"core"}, .vfs = disk.name()});
        ASSERT_TRUE(opened) << to_string(opened.error());
        auto& state = **opened;
        ASSERT_TRUE(state.write_now(make_table()));
        disk.fail_at(n, fault);
        int refused = 0;
        for (std::int64_t i = 0; i < 12; i += 3) {
          // two that share a commit, and one alone
          for (const std::int64_t k : {i, i + 1})
            state.write(entry(k), [&, k](const Result<void>& ok) {
              if (ok) acknowledged.insert(k);
              else ++refused;
            });
          sim.advance(10ms);
          const auto ok = state.write_now(entry(i + 2));
          if (ok) {
            acknowledged.insert(i + 2);
          } else {
            ++refused;
            EXPECT_EQ(ok.error().code, Code::unavailable) << when << ": " << to_string(ok.error());
            EXPECT_FALSE(state.failing().empty()) << when;
          }
          const auto reads = state.read([](Reader& r) { return r.number("SELECT count(*) FROM entry"); });
          EXPECT_TRUE(reads) << when << ": " << to_string(reads.error());
        }
        more = disk.faults_given() > 0;
        EXPECT_LE(refused, 3) << when;  // one commit's worth: it recovers by itself
        EXPECT_GE(acknowledged.size(), 9U) << when;
        disk.heal();
        EXPECT_TRUE(state.write_now(entry(100))) << when;
        acknowledged.insert(100);
        EXPECT_TRUE(state.failing().empty()) << when;
      }
      expect_whole(folder.at("state.db"), acknowledged, when);
      ASSERT_LT(n, 2000U);
    }
    EXPECT_GT(n, 20U);  // there were that many calls to fail
  }
}

TEST(PowerCut, WhatWasAcknowledgedIsThereWhateverOfTheRestReachedTheDisk) {
  const log::Capture quiet;
  std::size_t lost_units = 0;
#ifdef BAVN_SANITIZED
  constexpr std::uint64_t seeds = 8;  // four seconds each there
#else
  constexpr std::uint64_t seeds = 40;
#endif
  for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
    FaultVfs disk("bavn-power-" + std::to_string(seed));
    disk.remember_durable();
    TempFolder folder;
    std::set<std::int64_t> acknowledged;
    std::mt19937_64 dice(seed);
    std::int64_t n = 0;
    for (int life = 0; life < 3; ++life) {
      {
        Sim sim(seed);
        auto opened = State::open(sim, {.path = folder.at("state.db"), .schema = {"core"}, .vfs = disk.name()});
        ASSERT_TRUE(opened) << "seed " << seed << ": " << to_string(opened.error());
        auto& state = **opened;
        ASSERT_TRUE(state.write_now(make_table()));
        // Anywhere among some hundred calls, checkpoints of the log included; from there on nothing reaches the disk.
        disk.fail_at(1 + dice() % 400, FaultVfs::Fault::io_error, UINT64_MAX / 2);
        for (int failures = 0; failures < 2 && n < 1'000'000; n += 3) {
          state.write(entry(n), [&, n](const Result<void>& ok) {
            if (ok) acknowledged.insert(n);
          });
          state.write(entry(n + 1), [&, n](const Result<void>& ok) {
            if (ok) acknowledged.insert(n + 1);
          });
          sim.advance(1ms);
          if (state.write_now(entry(n + 2))) acknowledged.insert(n + 2);
          else ++failures, ++lost_units;
        }
      }
      disk.cut_power(dice());
      disk.heal();
      expect_whole(folder.at("state.db"), acknowledged,
                   "seed " + std::to_string(seed) + " life " + std::to_string(life));
      if (testing::Test::HasFailure()) return;
    }
  }
  EXPECT_GT(lost_units, 0U);  // the power did go in the middle
}

TEST(DiskFaults, ADiskThatStaysFullRefusesWritesServesReadsAndRecoversByItself) {
  const log::Capture quiet;
  FaultVfs disk("bavn-fault-full");
  TempFolder folder;
  Sim sim(1);
  std::set<std::int64_t> acknowledged;
  {
    auto opened = State::open(sim, {.path = folder.at("state.db"), .schema = {"core"}, .vfs = disk.name()});
    ASSERT_TRUE(opened);
    auto& state = **opened;
    ASSERT_TRUE(state.write_now(make_table()));
    ASSERT_TRUE(state.write_now(entry(1)));
    acknowledged.insert(1);
    disk.fail_at(1, FaultVfs::Fault::no_space, UINT64_MAX / 2);
    for (int i = 2; i < 10; ++i) {
      const auto ok = state.write_now(entry(i));
      ASSERT_FALSE(ok);
      EXPECT_EQ(ok.error().code, Code::unavailable);
      EXPECT_NE(ok.error().what.find("the disk is full"), std::string::npos) << ok.error().what;
      EXPECT_EQ(*state.read([](Reader& r) { return r.number("SELECT count(*) FROM entry"); }), 1);
    }
    EXPECT_NE(state.failing().find("the disk is full"), std::string::npos);
    disk.heal();
    ASSERT_TRUE(state.write_now(entry(10)));
    acknowledged.insert(10);
    EXPECT_TRUE(state.failing().empty());
  }
  expect_whole(folder.at("state.db"), acknowledged, "after a full disk");
}

TEST(DiskFaults, ADatabaseThatMayNotGrowSaysSoAndGrowsAgainWhenItMay) {
  const log::Capture quiet;
  TempFolder folder;
  Sim sim(1);
  std::set<std::int64_t> acknowledged;
  bool refused = false;
  for (const std::int64_t pages : {90, 10'000}) {
    auto opened = State::open(sim, {.path = folder.at("state.db"), .schema = {"core"}, .max_page_count = pages});
    ASSERT_TRUE(opened) << to_string(opened.error());
    ASSERT_TRUE((*opened)->write_now(make_table()));
    for (std::int64_t i = 0; i < 300; ++i) {
      if (acknowledged.contains(i)) continue;
      if ((*opened)->write_now(entry(i))) acknowledged.insert(i);
      else refused = true;
    }
  }
  EXPECT_TRUE(refused);
  EXPECT_EQ(acknowledged.size(), 300U);
  expect_whole(folder.at("state.db"), acknowledged, "after growing");
}

TEST(DiskFaults, ADoneJobAndAFiredTimerAreNotDoneAgainBecauseTheDiskWasFull) {
  const log::Capture quiet;
  FaultVfs disk("bavn-fault-settle");
  TempFolder folder;
  Sim sim(1);
  auto opened = State::open(sim, {.path = folder.at("state.db"), .schema = {"core"}, .vfs = disk.name()});
  ASSERT_TRUE(opened);
  auto& state = **opened;
  const auto queue = sim.queue({.name = "handlers"});
  int jobs = 0, timers = 0;
  state.on_job("j", queue, [&](const Job&) -> Result<void> {
    ++jobs;
    disk.fail_at(1, FaultVfs::Fault::no_space, UINT64_MAX / 2);
    return {};
  });
  state.on_timer("t", queue, [&](const Timer&) -> Result<void> {
    ++timers;
    disk.fail_at(1, FaultVfs::Fault::no_space, UINT64_MAX / 2);
    return {};
  });
  state.start();
  ASSERT_TRUE(state.write_now([](Tx& tx) { return tx.add_job("j", "x", "{}"); }));
  sim.advance(10min);
  EXPECT_EQ(jobs, 1);
  disk.heal();
  sim.advance(10s);
  ASSERT_TRUE(state.write_now([](Tx& tx) { return tx.set_timer(tx.now(), "t", "x"); }));
  sim.advance(10min);
  EXPECT_EQ(timers, 1);
  disk.heal();
  sim.advance(10min);
  EXPECT_EQ(jobs, 1);
  EXPECT_EQ(timers, 1);
  const auto left = state.read(
      [](Reader& r) { return r.number("SELECT (SELECT count(*) FROM job) + (SELECT count(*) FROM timer)"); });
  EXPECT_EQ(*left, 0);
}

TEST(DiskFaults, ADamagedPageIsFoundAndNotServed) {
  const log::Capture quiet;
  TempFolder folder;
  Sim sim(1);
  {
    auto opened = State::open(sim, {.path = folder.at("state.db"), .schema = {"core"}});
    ASSERT_TRUE(opened);
    ASSERT_TRUE((*opened)->write_now(make_table()));
    for (std::int64_t i = 0; i < 200; ++i) ASSERT_TRUE((*opened)->write_now(entry(i)));
  }
  {
    auto file = StateFile::open(folder.at("state.db"));
    ASSERT_TRUE(file);
    const auto page =
        file->read([](Reader& r) { return r.number("SELECT rootpage FROM sqlite_schema WHERE name = 'entry'"); });
    DiskFiles files;
    auto raw = files.open(folder.at("state.db"), OpenMode::write);
    ASSERT_TRUE(raw);
    ASSERT_TRUE((*raw)->pwrite(static_cast<std::uint64_t>((*page - 1) * 4096), std::string(64, '\x5a')));
  }
  auto file = StateFile::open(folder.at("state.db"));
  ASSERT_TRUE(file);
  const auto rows = file->read([](Reader& r) { return r.all<std::int64_t>("SELECT n FROM entry"); });
  ASSERT_FALSE(rows);
  EXPECT_EQ(rows.error().code, Code::corrupt);
  const auto problems = file->check();
  EXPECT_TRUE(!problems || !problems->empty());
  EXPECT_FALSE(file->copy_to(folder.path() / "copy.db"));  // a damaged copy is no backup
  EXPECT_FALSE(fs::exists(folder.path() / "copy.db"));
}

unsigned kills() {
  const char* n = std::getenv("BAVN_CRASH_KILLS");
  return n == nullptr ? 5 : static_cast<unsigned>(std::strtoul(n, nullptr, 10));
}

/// The child: writes from `first` on and tells each acknowledged number through the pipe, until it is killed.
[[noreturn]] void write_until_killed(const std::string& path, std::int64_t first, int pipe) {
  Threads threads;
  auto opened = State::open(threads, {.path = path, .schema = {"core"}});
  if (!opened || !(*opened)->write_now(make_table())) _exit(3);
  auto& state = **opened;
  for (std::int64_t n = first;; n += 10) {
    for (std::int64_t k = n; k < n + 9; ++k)
      state.write(entry(k), [k, pipe](const Result<void>& ok) {
        if (ok && ::write(pipe, &k, sizeof k) != sizeof k) _exit(4);
      });
    const std::int64_t last = n + 9;
    if (!state.write_now(entry(last)) || ::write(pipe, &last, sizeof last) != sizeof last) _exit(5);
  }
}

TEST(Kill, WhatWasAcknowledgedBeforeAKillIsThereExactlyOnce) {
  TempFolder folder;
  std::set<std::int64_t> acknowledged;
  std::mt19937 random(std::random_device{}());
  std::int64_t first = 0;
  for (unsigned round = 0; round < kills(); ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const auto wait = std::chrono::milliseconds(20 + random() % 300);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::close(ends[0]);
      write_until_killed(folder.at("state.db"), first, ends[1]);
    }
    ::close(ends[1]);
    // The clock of the kill starts with the first acknowledged unit; what is read later was acknowledged all the same.
    bool armed = false;
    std::chrono::steady_clock::time_point end;
    std::int64_t k = 0;
    while (::read(ends[0], &k, sizeof k) == sizeof k) {
      acknowledged.insert(k);
      first = std::max(first, k + 1000);
      const auto now = std::chrono::steady_clock::now();
      if (!armed) end = now + wait;
      if (std::exchange(armed, true) && now >= end) {
        end += 1h;
        ::kill(child, SIGKILL);
      }
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << "exit " << WEXITSTATUS(status);
    ::close(ends[0]);
    expect_whole(folder.at("state.db"), acknowledged, "after kill " + std::to_string(round));
  }
  EXPECT_GT(acknowledged.size(), kills());
}

}  // namespace

}  // namespace bavn::store
