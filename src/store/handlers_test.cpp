// Outbox, timers and jobs: what is promised of them, in virtual time.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <future>
#include <optional>
#include <thread>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "base/threads.hpp"
#include "store/state.hpp"

namespace bavn::store {

namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

/// A State that can be closed and opened again, under Sim.
class Handlers : public testing::Test {
 protected:
  Handlers() {
    std::string name = fs::temp_directory_path() / "bavn-handlers-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    queue_ = sim_.queue({.name = "handlers"});
    open();
  }
  ~Handlers() override {
    state_.reset();
    fs::remove_all(folder_);
  }
  void open(const std::string& path = {}) {
    state_.reset();
    auto opened =
        State::open(sim_, {.path = path.empty() ? (folder_ / "state.db").string() : path, .schema = {"core"}});
    ASSERT_TRUE(opened) << to_string(opened.error());
    state_ = std::move(*opened);
  }
  void write(Unit unit) {
    const auto ok = state_->write_now(std::move(unit));
    ASSERT_TRUE(ok) << to_string(ok.error());
  }
  void emit(const std::string& subject) {
    write([&](Tx& tx) { return tx.emit("thing.made", subject); });
  }
  void set_timer(Duration from_now, const std::string& subject) {
    write([&](Tx& tx) { return tx.set_timer(tx.now() + from_now, "wake", subject); });
  }
  void add_job(const std::string& subject, Instant not_before = {}) {
    write([&](Tx& tx) { return tx.add_job("send", subject, "{}", not_before); });
  }
  std::int64_t number(std::string_view sql) {
    const auto n = state_->read([&](Reader& r) { return r.number(sql); });
    EXPECT_TRUE(n) << to_string(n.error());
    return n ? *n : -1;
  }
  std::function<Result<void>(const Timer&)> note_timer() {
    return [this](const Timer& t) -> Result<void> {
      seen_.push_back(t.subject);
      at_.push_back(sim_.now());
      return {};
    };
  }

  log::Capture quiet_;
  Sim sim_{7};
  fs::path folder_;
  QueueId queue_;
  std::unique_ptr<State> state_;
  std::vector<std::string> seen_;
  std::vector<Instant> at_;
};

using Names = std::vector<std::string>;

TEST(UnderLoad, AConsumerHearsOfThingsWhileTheWriterNeverRests) {
  const log::Capture quiet;
  std::string folder = fs::temp_directory_path() / "bavn-load-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  {
    Threads runtime;
    auto state = State::open(runtime, {.path = folder + "/state.db", .schema = {"core"}});
    ASSERT_TRUE(state) << to_string(state.error());
    std::atomic<int> heard{0}, waiting{0}, written{0};
    (*state)->subscribe("view", runtime.queue({.name = "view"}),
                        [&](const DomainEvent&) -> Result<void> {
                          ++heard;
                          return {};
                        },
                        {"wave.lit"});
    (*state)->start();
    // Units of the bulk lane wait at every moment, and one event after the other is to be heard of meanwhile.
    const auto feed = [&] {
      while (waiting < 20) {
        ++waiting;
        (*state)->write([](Tx& tx) { return tx.emit("report.alert", "x"); },
                        [&](const Result<void>&) {
                          --waiting;
                          ++written;
                        },
                        Lane::bulk);
      }
    };
    for (int n = 1; n <= 5; ++n) {
      const auto ok = (*state)->write_now([](Tx& tx) { return tx.emit("wave.lit", "x"); });
      ASSERT_TRUE(ok) << to_string(ok.error());
      const int before = written;
      while (heard < n && written < before + 500) {
        feed();
        std::this_thread::yield();
      }
      EXPECT_EQ(heard, n);
    }
    (*state)->stop();
  }
  fs::remove_all(folder);
}

TEST_F(Handlers, WhoNamesKindsHearsOnlyThemAndIsNotHeldUpByTheRest) {
  const auto kind = [&](const char* k, const std::string& subject) {
    write([&](Tx& tx) { return tx.emit(k, subject); });
  };
  const auto consume = [&](const DomainEvent& e) -> Result<void> {
    seen_.push_back(e.subject);
    return {};
  };
  state_->subscribe("view", queue_, consume, {"wave.lit", "report."});
  state_->start();
  sim_.advance(1s);
  kind("wave.lit", "a");
  kind("wave.lit.again", "not this");
  kind("reports", "nor this");
  kind("report.alert", "b");
  kind("wave", "nor this");
  sim_.run_until_idle();
  EXPECT_EQ(seen_, (Names{"a", "b"}));
  // A crowd it does not hear of costs it no commit and no turn: what follows comes at once.
  const auto written = number("SELECT seq FROM consumer WHERE name = 'view'");
  write([](Tx& tx) -> Result<void> {
    for (int i = 0; i < 5000; ++i) BAVN_CHECK(tx.emit("other.made", "x"));
    return tx.emit("wave.lit", "c");
  });
  sim_.run_until_idle();
  EXPECT_EQ(seen_, (Names{"a", "b", "c"}));
  EXPECT_GT(number("SELECT seq FROM consumer WHERE name = 'view'"), written + 5000);
  // Nor is it given again after a restart; what it passed over is written down too, a little later, so that nobody sees a backlog.
  open();
  state_->subscribe("view", queue_, consume, {"wave.lit", "report."});
  state_->start();
  write([](Tx& tx) -> Result<void> {
    for (int i = 0; i < 7; ++i) BAVN_CHECK(tx.emit("other.made", "x"));
    return {};
  });
  sim_.run_until_idle();
  EXPECT_EQ(seen_, (Names{"a", "b", "c"}));
  EXPECT_EQ(number("SELECT seq FROM consumer WHERE name = 'view'"), number("SELECT max(seq) FROM domain_event"));
}

TEST_F(Handlers, EventsComeInOrderAndOnceAndAfterARestartFromTheCursorOn) {
  const auto consume = [&](const DomainEvent& e) -> Result<void> {
    seen_.push_back(e.subject);
    return {};
  };
  emit("before");
  state_->subscribe("view", queue_, consume);
  state_->start();
  sim_.advance(1s);
  emit("a");
  emit("b");
  sim_.advance(1s);
  EXPECT_EQ(seen_, (Names{"before", "a", "b"}));
  open();
  emit("c");
  state_->subscribe("view", queue_, consume);
  state_->start();
  sim_.advance(1s);
  EXPECT_EQ(seen_, (Names{"before", "a", "b", "c"}));
  EXPECT_EQ(state_->counts().events_delivered, 1U);
}

TEST_F(Handlers, AnEventThatIsNotTakenHoldsUpItsConsumerAloneAndIsTriedAgain) {
  int refuse = 3;
  Names other;
  state_->subscribe("picky", queue_, [&](const DomainEvent& e) -> Result<void> {
    if (e.subject == "b" && refuse-- > 0) return fail(Code::unavailable, "not now");
    seen_.push_back(e.subject);
    return {};
  });
  state_->subscribe("easy", queue_, [&](const DomainEvent& e) -> Result<void> {
    other.push_back(e.subject);
    return {};
  });
  state_->start();
  for (const auto* s : {"a", "b", "c"}) emit(s);
  sim_.advance(100ms);
  EXPECT_EQ(other, (Names{"a", "b", "c"}));
  EXPECT_EQ(seen_, (Names{"a"}));
  sim_.advance(1min);
  EXPECT_EQ(seen_, (Names{"a", "b", "c"}));
  EXPECT_EQ(state_->counts().events_failed, 3U);
}

TEST_F(Handlers, ThousandsOfEventsReachAConsumerInBatches) {
  write([](Tx& tx) -> Result<void> {
    for (int i = 0; i < 2500; ++i) BAVN_CHECK(tx.emit("n", std::to_string(i)));
    return {};
  });
  std::int64_t next = 0;
  state_->subscribe("count", queue_, [&](const DomainEvent& e) -> Result<void> {
    EXPECT_EQ(e.subject, std::to_string(next++));
    return {};
  });
  state_->start();
  sim_.advance(1s);
  EXPECT_EQ(next, 2500);
  EXPECT_EQ(number("SELECT seq FROM consumer WHERE name = 'count'"), 2500);
}

TEST_F(Handlers, ATimerFiresWhenItIsDueAndOnce) {
  state_->on_timer("wake", queue_, note_timer());
  state_->start();
  set_timer(72h, "report");
  sim_.advance(71h + 59min);
  EXPECT_TRUE(seen_.empty());
  sim_.advance(2min);
  EXPECT_EQ(seen_, (Names{"report"}));
  sim_.advance(24h * 30);
  EXPECT_EQ(seen_.size(), 1U);
  EXPECT_EQ(number("SELECT count(*) FROM timer"), 0);
}

TEST_F(Handlers, ATimerThatCameDueWhileNobodyRanFiresAtTheStart) {
  set_timer(1h, "missed");
  set_timer(10h, "later");
  open();
  sim_.advance(2h);
  state_->on_timer("wake", queue_, note_timer());
  state_->start();
  sim_.advance(1s);
  EXPECT_EQ(seen_, (Names{"missed"}));
  sim_.advance(8h);
  EXPECT_EQ(seen_, (Names{"missed", "later"}));
}

TEST_F(Handlers, SettingATimerAgainMovesItAndClearingTakesItAway) {
  state_->on_timer("wake", queue_, note_timer());
  state_->start();
  set_timer(1h, "moved");
  set_timer(1h, "cleared");
  sim_.advance(30min);
  set_timer(2h, "moved");
  write([](Tx& tx) { return tx.clear_timer("wake", "cleared"); });
  sim_.advance(119min);
  EXPECT_TRUE(seen_.empty());
  sim_.advance(2min);
  EXPECT_EQ(seen_, (Names{"moved"}));
}

TEST_F(Handlers, ATimerSetByItsOwnHandlerFiresAgain) {
  state_->on_timer("wake", queue_, [&](const Timer& t) -> Result<void> {
    seen_.push_back(t.subject);
    return state_->write_now([](Tx& tx) { return tx.set_timer(tx.now() + 1h, "wake", "beat"); });
  });
  state_->start();
  set_timer(1h, "beat");
  sim_.advance(10h + 30min);
  EXPECT_EQ(seen_.size(), 10U);
  EXPECT_EQ(number("SELECT count(*) FROM timer"), 1);
}

TEST_F(Handlers, AFailedTimerIsTriedAgainWithGrowingPauses) {
  int refuse = 5;
  state_->on_timer("wake", queue_, [&](const Timer&) -> Result<void> {
    at_.push_back(sim_.now());
    if (refuse-- > 0) return fail(Code::unavailable, "no line");
    return {};
  });
  state_->start();
  set_timer(1min, "call");
  sim_.advance(24h);
  ASSERT_EQ(at_.size(), 6U);
  for (std::size_t i = 2; i < at_.size(); ++i) EXPECT_GT(at_[i] - at_[i - 1], at_[i - 1] - at_[i - 2]);
  EXPECT_EQ(state_->counts().timers_failed, 5U);
  EXPECT_EQ(state_->counts().timers_fired, 1U);
}

TEST_F(Handlers, AClockSetForwardFiresWhatBecameDueWithinSecondsAndOnce) {
  state_->on_timer("wake", queue_, note_timer());
  state_->start();
  set_timer(5h, "x");
  sim_.advance(1min);
  sim_.jump_clock(6h);
  sim_.advance(20s);
  EXPECT_EQ(seen_, (Names{"x"}));
  sim_.jump_clock(-6h);
  sim_.advance(24h);
  EXPECT_EQ(seen_.size(), 1U);
}

TEST_F(Handlers, AClockSetBackDelaysNoTimer) {
  state_->on_timer("wake", queue_, note_timer());
  state_->start();
  set_timer(5h, "x");
  sim_.advance(1h);
  sim_.jump_clock(-24h * 365);
  sim_.advance(3h + 59min);
  EXPECT_TRUE(seen_.empty());
  sim_.advance(2min);
  EXPECT_EQ(seen_, (Names{"x"}));
  sim_.advance(24h * 366);
  EXPECT_EQ(seen_.size(), 1U);
}

TEST_F(Handlers, ATimerOfATransactionDoesItsWorkInTheSameCommit) {
  write([](Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("CREATE TABLE done (subject TEXT PRIMARY KEY) STRICT"));
    return {};
  });
  int refuse = 1;
  state_->on_timer_tx("wake", [&](Tx& tx, const Timer& t) -> Result<void> {
    BAVN_CHECK(tx.exec("INSERT INTO done (subject) VALUES (:s)", {{"s", t.subject}}));
    if (refuse-- > 0) return fail(Code::unavailable, "half way");
    return tx.set_timer(tx.now() + 1h, "wake", "next");
  });
  state_->start();
  set_timer(1s, "first");
  sim_.advance(2s);
  EXPECT_EQ(number("SELECT count(*) FROM done"), 0);  // undone with the failure
  sim_.advance(1min);
  EXPECT_EQ(number("SELECT count(*) FROM done"), 1);
  EXPECT_EQ(number("SELECT count(*) FROM timer WHERE subject = 'next'"), 1);
}

TEST_F(Handlers, RandomTimersAndClockJumpsFireEachTimerOnce) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    seen_.clear();
    open(":memory:");
    state_->on_timer("wake", queue_, note_timer());
    state_->start();
    Sim dice(seed);
    int set = 0;
    for (int step = 0; step < 60; ++step) {
      switch (dice.random_below(4)) {
        case 0:
        case 1: set_timer(Duration(dice.random_below(36'000'000'000)), std::to_string(set++)); break;
        case 2: sim_.advance(Duration(dice.random_below(7'200'000'000))); break;
        case 3: {
          const auto by = static_cast<std::int64_t>(dice.random_below(80'000'000'000));
          sim_.jump_clock(Duration(by - 40'000'000'000));
          break;
        }
      }
    }
    sim_.advance(24h);
    auto sorted = seen_;
    std::ranges::sort(sorted);
    EXPECT_EQ(std::ranges::adjacent_find(sorted), sorted.end()) << "seed " << seed;
    EXPECT_EQ(sorted.size(), static_cast<std::size_t>(set)) << "seed " << seed;
    EXPECT_EQ(number("SELECT count(*) FROM timer"), 0);
  }
}

TEST_F(Handlers, AJobIsTriedUntilItIsDoneWithGrowingPausesUpToAnHour) {
  state_->on_job("send", queue_, [&](const Job& j) -> Result<void> {
    at_.push_back(sim_.now());
    EXPECT_EQ(j.tries + 1, static_cast<std::int64_t>(at_.size()));
    if (at_.size() < 20) return fail(Code::unavailable, "away");
    return {};
  });
  state_->start();
  add_job("mail");
  sim_.advance(24h);
  ASSERT_EQ(at_.size(), 20U);
  for (std::size_t i = 1; i < at_.size(); ++i) {
    EXPECT_GE(at_[i] - at_[i - 1], 800ms);
    EXPECT_LE(at_[i] - at_[i - 1], 1h + 1s);
  }
  EXPECT_GE(at_[19] - at_[18], 48min);
  EXPECT_EQ(number("SELECT count(*) FROM job"), 0);
  EXPECT_EQ(state_->counts().jobs_retried, 19U);
  EXPECT_EQ(state_->counts().jobs_done, 1U);
}

TEST_F(Handlers, AJobGivenUpIsKeptAndCountedAndNotTriedAgain) {
  int tries = 0;
  const auto refuse = [&](const Job&) -> Result<void> {
    ++tries;
    return fail(Code::forbidden, "the mailbox does not exist");
  };
  state_->on_job("send", queue_, refuse, 3);
  state_->start();
  add_job("mail");
  sim_.advance(24h);
  open();
  state_->on_job("send", queue_, refuse, 3);
  state_->start();
  sim_.advance(24h);
  EXPECT_EQ(tries, 3);
  EXPECT_EQ(number("SELECT count(*) FROM job WHERE failed = 1 AND last_error = 'the mailbox does not exist'"), 1);
}

TEST_F(Handlers, OneStubbornJobDoesNotHoldUpTheOthersAndTheyComeOldestFirst) {
  state_->on_job("send", queue_, [&](const Job& j) -> Result<void> {
    if (j.subject == "stubborn") return fail(Code::unavailable, "away");
    seen_.push_back(j.subject);
    return {};
  });
  state_->start();
  for (const auto* s : {"stubborn", "a", "b"}) add_job(s);
  add_job("later", sim_.now() + 1h);
  add_job("c");
  sim_.advance(1s);
  EXPECT_EQ(seen_, (Names{"a", "b", "c"}));
  sim_.advance(1h);
  EXPECT_EQ(seen_, (Names{"a", "b", "c", "later"}));
}

TEST_F(Handlers, JobsThatWaitForOthersRunSideBySideUpToTheirLimit) {
  std::vector<Done> waiting;
  state_->on_job_async("send", queue_, [&](const Job&, Done done) { waiting.push_back(std::move(done)); }, 10, 3);
  state_->start();
  for (int i = 0; i < 5; ++i) add_job(std::to_string(i));
  sim_.advance(1s);
  ASSERT_EQ(waiting.size(), 3U);
  waiting[0]({});
  sim_.advance(1s);
  ASSERT_EQ(waiting.size(), 4U);
  for (std::size_t i = 1; i < 4; ++i) waiting[i]({});
  sim_.advance(1s);
  ASSERT_EQ(waiting.size(), 5U);
  waiting[4](fail(Code::unavailable, "no"));
  sim_.advance(10s);
  ASSERT_EQ(waiting.size(), 6U);
  EXPECT_EQ(number("SELECT count(*) FROM job"), 1);
}

TEST_F(Handlers, AnAnswerThatComesAfterTheEndIsLostWithoutHarmAndTheJobIsTriedAgain) {
  std::optional<Done> late;
  const auto hold = [&](const Job&, Done done) { late = std::move(done); };
  state_->on_job_async("send", queue_, hold);
  state_->start();
  add_job("x");
  sim_.advance(1s);
  ASSERT_TRUE(late);
  state_.reset();
  (*late)({});
  late.reset();
  open();
  state_->on_job_async("send", queue_, hold);
  state_->start();
  sim_.advance(1s);
  EXPECT_TRUE(late);
}

TEST_F(Handlers, AClockSetBackByAYearDoesNotKeepAFailedJobWaitingForAYear) {
  int tries = 0;
  state_->on_job("send", queue_, [&](const Job&) -> Result<void> {
    if (++tries == 1) return fail(Code::unavailable, "away");
    return {};
  });
  state_->start();
  add_job("x");
  sim_.advance(100ms);
  EXPECT_EQ(tries, 1);
  sim_.jump_clock(-24h * 365);
  sim_.advance(1min);
  EXPECT_EQ(tries, 2);
}

TEST(HandlersOnThreads, EventsTimersAndJobsAllArriveAndStopWaitsForTheRunning) {
  log::Capture quiet;
  std::string name = fs::temp_directory_path() / "bavn-handlers-XXXXXX";
  const fs::path folder = ::mkdtemp(name.data());
  Threads threads;
  auto opened = State::open(threads, {.path = folder / "state.db", .schema = {"core"}});
  ASSERT_TRUE(opened);
  auto& state = **opened;
  const auto queue = threads.queue({.name = "handlers", .threads = 2});
  std::atomic<int> events = 0, timers = 0, jobs = 0, running = 0;
  struct Inside {
    explicit Inside(std::atomic<int>& c) : count(c) { ++count; }
    ~Inside() { --count; }
    std::atomic<int>& count;
  };
  state.subscribe("s", queue, [&](const DomainEvent&) -> Result<void> {
    const Inside in(running);
    ++events;
    return {};
  });
  state.on_timer("t", queue, [&](const Timer& t) -> Result<void> {
    const Inside in(running);
    ++timers;
    return state.write_now([&](Tx& tx) { return tx.emit("timer", t.subject); });
  });
  state.on_job("j", queue, [&](const Job& j) -> Result<void> {
    const Inside in(running);
    if (j.tries == 0 && j.id % 10 == 0) return fail(Code::unavailable, "once more");
    ++jobs;
    return {};
  });
  state.start();
  std::promise<void> all;
  for (int i = 0; i < 100; ++i)
    state.write([i](Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.emit("e", std::to_string(i)));
      BAVN_CHECK(tx.set_timer(tx.now() + 10ms, "t", std::to_string(i)));
      return tx.add_job("j", std::to_string(i), "{}");
    });
  const auto done = [&] { return events == 200 && timers == 100 && jobs == 100; };
  const auto check = threads.queue({.name = "check"});
  std::function<void()> look = [&] {
    if (done()) all.set_value();
    else threads.after(5ms, check, [&] { look(); });
  };
  look();
  EXPECT_EQ(all.get_future().wait_for(20s), std::future_status::ready) << events << ' ' << timers << ' ' << jobs;
  state.stop();
  EXPECT_EQ(running, 0);
  opened->reset();
  fs::remove_all(folder);
}

}  // namespace

}  // namespace bavn::store
