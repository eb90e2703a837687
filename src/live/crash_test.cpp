// kill -9 at random moments of a node that takes deliveries on a real disk: what was answered is in history once, and its findings are in
// the alerts once. The process that dies is this test binary, started again with BAVN_LIVE_CHILD. BAVN_CRASH_KILLS sets how often.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <random>
#include <set>
#include <thread>

#include "base/eventually.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "live/sources_reader.hpp"
#include "live/testing.hpp"

extern char** environ;

namespace bavn::live::testing {
namespace {

constexpr std::int64_t kTime = 1'790'000'000'000'000;

struct Life {
  explicit Life(const std::string& folder) {
    auto opened = store::State::open(threads, {.path = folder + "/state.db", .schema = {"core", "node"}});
    EXPECT_TRUE(opened) << to_string(opened.error());
    state = std::move(*opened);
    Options o;
    o.folder = folder;
    o.workers = 2;
    o.waiting_findings = 200;  // so that the way back through history is taken, too
    o.save_every = std::chrono::milliseconds(50);
    o.engine.rules = {folder + "/rules.yml"};
    EXPECT_TRUE(CountingWatcher::make_table(*state));
    o.watcher = watcher;
    o.tune_history = [](history::Options& h) { h.segment_bytes = 100'000; };
    auto made = Pipeline::open(threads, *state, alerts::AlertBook({}), o);
    EXPECT_TRUE(made) << to_string(made.error());
    pipeline = std::move(*made);
  }
  Threads threads;
  std::unique_ptr<store::State> state;
  std::shared_ptr<CountingWatcher> watcher = std::make_shared<CountingWatcher>();
  std::unique_ptr<Pipeline> pipeline;
};

/// A delivery is made of its number alone.
std::string bytes_of(std::uint64_t n, std::uint64_t* findings = nullptr,
                     std::map<std::string, std::int64_t>* by_account = nullptr) {
  std::string bytes;
  std::uint64_t hits = 0;
  for (std::uint64_t i = 0; i < 1 + n % 7; ++i) {
    const bool hit = (n + i) % 3 == 0;
    hits += hit ? 1 : 0;
    if (hit && by_account != nullptr) ++(*by_account)["user" + std::to_string(n % 4) + "@kommune.example.org"];
    bytes += record(kTime + static_cast<std::int64_t>(n) * 1000, hit ? "New-InboxRule" : "Send",
                    "user" + std::to_string(n % 4), n * 10 + i) +
             "\n";
  }
  if (findings != nullptr) *findings = hits;
  return bytes;
}

// Not a test of its own: the life that is ended by the parent. Eight deliveries are always on their way; it begins a little before the
// last answered number, as a sender does that saw no answer.
TEST(LiveCrashChild, TakesDeliveriesUntilItIsKilled) {
  const char* folder = std::getenv("BAVN_LIVE_CHILD");
  if (folder == nullptr) GTEST_SKIP() << "started by LiveCrash.* only";
  const std::uint64_t first = std::strtoull(std::getenv("BAVN_LIVE_NEXT"), nullptr, 10);
  const int ledger = ::open((std::string(folder) + "/ledger").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  Life life(folder);
  std::mutex mutex;
  std::condition_variable room;
  int waiting = 0;
  for (std::uint64_t n = first;; ++n) {
    std::unique_lock lock(mutex);
    room.wait(lock, [&] { return waiting < 8; });
    ++waiting;
    lock.unlock();
    life.pipeline->deliver(delivery(bytes_of(n), "d" + std::to_string(n)), [&, n](Result<input::Receipt> r) {
      if (r) {
        const std::string line = std::to_string(n) + "\n";
        EXPECT_EQ(::write(ledger, line.data(), line.size()), static_cast<ssize_t>(line.size()));
      }
      {
        const std::lock_guard done(mutex);
        --waiting;
      }
      room.notify_one();
    });
  }
}

TEST(LiveCrash, WhatWasAnsweredIsInHistoryOnceAndItsFindingsInTheAlertsOnce) {
  const char* wanted = std::getenv("BAVN_CRASH_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 8;
  Folder folder;
  ::close(::open((folder.path + "/ledger").c_str(), O_CREAT | O_WRONLY, 0600));
  std::mt19937_64 random(std::random_device{}());
  std::set<std::uint64_t> answered;
  std::uint64_t again = 0;
  for (int life = 0; life < kills && !::testing::Test::HasFailure(); ++life) {
    std::uint64_t next = 0;
    while (answered.contains(next)) ++next;
    const std::string a = "BAVN_LIVE_CHILD=" + folder.path, b = "BAVN_LIVE_NEXT=" + std::to_string(next);
    std::vector<std::string> environment{a, b};
    for (char** e = environ; *e != nullptr; ++e) environment.emplace_back(*e);
    std::vector<char*> envp;
    for (auto& e : environment) envp.push_back(e.data());
    envp.push_back(nullptr);
    std::string exe = std::filesystem::read_symlink("/proc/self/exe").string(),
                filter = "--gtest_filter=LiveCrashChild.*";
    char* argv[] = {exe.data(), filter.data(), nullptr};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, (folder.path + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    pid_t child = 0;
    ASSERT_EQ(::posix_spawn(&child, exe.c_str(), &files, nullptr, argv, envp.data()), 0);
    posix_spawn_file_actions_destroy(&files);
    // The moment of death is the test's input, not something to wait for.
    std::this_thread::sleep_for(std::chrono::milliseconds(200 + random() % 700));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
    DiskFiles disk;
    const std::string ledger = read_file(disk, folder.path + "/ledger", 1U << 30U).value();
    for (const auto line : split(ledger, '\n'))
      if (!line.empty()) answered.insert(std::strtoull(line.data(), nullptr, 10));
    if (life % 4 != 3 && life + 1 != kills) continue;

    log::Capture quiet;
    Life now(folder.path);
    ASSERT_TRUE(eventually([&] { return now.pipeline->idle(); })) << now.pipeline->stats().failing;
    again += now.pipeline->stats().frames_matched_again;
    // Numbers of deliveries that are there, answered or not; each record once.
    std::map<std::uint64_t, std::uint64_t> there;
    std::set<std::string> ids;
    std::uint64_t records = 0;
    ASSERT_TRUE(now.pipeline->history().for_each_frame(
        owner(), {}, {}, [&](const history::FrameInfo&, const history::FrameText& t) {
          for (const auto line : split(t.lines(), '\n')) {
            const std::size_t at = line.find("\"Id\":\"n") + 7;
            const std::string id(line.substr(at, line.find('"', at) - at));
            EXPECT_TRUE(ids.insert(id).second) << "record " << id << " twice";
            ++there[std::strtoull(id.c_str(), nullptr, 10) / 10];
            ++records;
          }
          return true;
        }));
    std::uint64_t findings = 0;
    std::map<std::string, std::int64_t> rules_of;
    for (const auto& [n, count] : there) {
      std::uint64_t of_this = 0;
      (void)bytes_of(n, &of_this, &rules_of);
      EXPECT_EQ(count, 1 + n % 7) << "delivery " << n;
      findings += of_this;
    }
    for (const std::uint64_t n : answered) EXPECT_TRUE(there.contains(n)) << "answered delivery " << n;
    EXPECT_EQ(told(*now.state).findings, static_cast<std::int64_t>(findings)) << "life " << life;
    EXPECT_EQ(now.watcher->counts, rules_of) << "every fact once, life " << life;
    for (auto& [account, n] : rules_of) n /= 3;
    std::erase_if(rules_of, [](const auto& r) { return r.second == 0; });
    EXPECT_EQ(CountingWatcher::told(*now.state), rules_of) << "every notice once, life " << life;
    const std::uint64_t order = now.watcher->order;
    const auto rows = SourcesReader(*now.state).list(owner(), now.threads.now());
    ASSERT_TRUE(rows);
    ASSERT_EQ(rows->size(), 1U);
    EXPECT_EQ(rows->at(0).records, static_cast<std::int64_t>(records));
    // The state that lived through it is the state that history gives from its beginning.
    now.pipeline.reset();
    now.state.reset();
    ASSERT_TRUE(disk.unlink(folder.path + "/facts"));
    Life anew(folder.path);
    ASSERT_TRUE(eventually([&] { return anew.pipeline->idle(); })) << anew.pipeline->stats().failing;
    EXPECT_EQ(anew.watcher->order, order) << "life " << life;
    EXPECT_EQ(anew.watcher->fed, 0U);
  }
  std::printf("%d kills, %zu answered deliveries found once with their findings, %llu frames matched again\n", kills,
              answered.size(), static_cast<unsigned long long>(again));
}

}  // namespace
}  // namespace bavn::live::testing
