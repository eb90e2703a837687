// kill -9 at random moments of appending, sealing and packing: what was acknowledged is there exactly once, the store opens, the
// check passes. The process that dies is this test binary, started again with BAVN_CRASH_CHILD. BAVN_CRASH_KILLS sets how often.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "base/log.hpp"
#include "base/threads.hpp"
#include "history/testing.hpp"

extern char** environ;

namespace bavn::history::testing {
namespace {

Options crash_options() {
  Options o;
  o.extract = extract_words;
  o.segment_bytes = 60'000;
  o.cache_bytes = 4U << 20U;
  return o;
}

std::vector<std::string> lines_of(const std::string& word) {
  std::vector<std::string> lines;
  const std::size_t n = 1 + hash64(word) % 9;
  for (std::size_t i = 0; i < n; ++i)
    lines.push_back(word + " line=" + std::to_string(i) + " and words to compress, more words");
  return lines;
}

// Not a test of its own: the life that is ended by the parent. Two writers: one with batch ids that begins a little before the
// last acknowledged number (a sender that saw no answer sends again), one without.
TEST(CrashChild, AppendsUntilItIsKilled) {
  const char* folder = std::getenv("BAVN_CRASH_CHILD");
  if (folder == nullptr) GTEST_SKIP() << "started by Crash.* only";
  const std::uint64_t life = std::strtoull(std::getenv("BAVN_CRASH_LIFE"), nullptr, 10);
  const std::uint64_t next = std::strtoull(std::getenv("BAVN_CRASH_NEXT"), nullptr, 10);
  const int ledger = ::open((std::string(folder) + "/ledger").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  Threads threads;
  auto h = History::open(threads, std::string(folder) + "/history", crash_options());
  ASSERT_TRUE(h) << to_string(h.error());
  const auto acknowledge = [&](const std::string& word) {
    const std::string line = word + "\n";
    ASSERT_EQ(::write(ledger, line.data(), line.size()), static_cast<ssize_t>(line.size()));
  };
  std::vector<std::jthread> writers;
  writers.emplace_back([&] {
    for (std::uint64_t n = next;; ++n) {
      const std::string word = "a=" + std::to_string(n);
      if (append(**h, "with ids", lines_of(word), batch_id(n + 1))) acknowledge(word);
    }
  });
  writers.emplace_back([&] {
    for (std::uint64_t n = 0;; ++n) {
      const std::string word = "b=" + std::to_string(life) + "-" + std::to_string(n);
      if (append(**h, "without", lines_of(word))) acknowledge(word);
    }
  });
  for (;;) ASSERT_TRUE((*h)->pack(owner(), 0));
}

TEST(Crash, NothingAcknowledgedIsLostOrDoubledByKillsAtRandomMoments) {
  const char* wanted = std::getenv("BAVN_CRASH_KILLS");
  const int kills = wanted != nullptr ? std::atoi(wanted) : 20;
  const std::string folder = temporary_folder();
  ::close(::open((folder + "/ledger").c_str(), O_CREAT | O_WRONLY, 0600));
  std::mt19937_64 random(std::random_device{}());
  std::uint64_t next = 0, checked = 0, cut = 0;
  std::set<std::string> acked;
  for (int life = 0; life < kills && !HasFailure(); ++life) {
    const std::string a = "BAVN_CRASH_CHILD=" + folder, b = "BAVN_CRASH_LIFE=" + std::to_string(life),
                      c = "BAVN_CRASH_NEXT=" + std::to_string(next < 4 ? 0 : next - 4);
    std::vector<std::string> environment{a, b, c};
    for (char** e = environ; *e != nullptr; ++e) environment.emplace_back(*e);
    std::vector<char*> envp;
    for (auto& e : environment) envp.push_back(e.data());
    envp.push_back(nullptr);
    std::string exe = std::filesystem::read_symlink("/proc/self/exe").string(), filter = "--gtest_filter=CrashChild.*";
    char* argv[] = {exe.data(), filter.data(), nullptr};
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, (folder + "/log").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    pid_t child = 0;
    ASSERT_EQ(::posix_spawn(&child, exe.c_str(), &files, nullptr, argv, envp.data()), 0);
    posix_spawn_file_actions_destroy(&files);
    // The moment of death is the test's input, not something to wait for.
    std::this_thread::sleep_for(std::chrono::milliseconds(30 + random() % 220));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself; its log is " << folder << "/log";

    std::vector<std::string> fresh;
    DiskFiles disk;
    const std::string ledger = read_file(disk, folder + "/ledger", 1U << 30U).value();
    for (const auto word : split(ledger, '\n')) {
      if (word.empty() || !acked.emplace(word).second) continue;
      fresh.emplace_back(word);
      if (word.starts_with("a=")) next = std::max<std::uint64_t>(next, std::strtoull(word.data() + 2, nullptr, 10) + 1);
    }
    log::Capture quiet;
    Threads threads;
    auto h = History::open(threads, folder + "/history", crash_options());
    ASSERT_TRUE(h) << to_string(h.error());
    cut += (*h)->stats().cut_bytes;
    for (const auto& word : fresh) {
      const auto found = find(**h, word);
      ASSERT_TRUE(found) << to_string(found.error());
      ASSERT_EQ(found->size(), lines_of(word).size()) << word << " in life " << life;
      ++checked;
    }
    if (life % 5 == 4 || life + 1 == kills) {
      expect_sound(**h);
      std::map<std::string, std::size_t> counts;  // also what was not acknowledged is there at most once
      const auto all = everything(**h);
      for (const auto& line : all) ++counts[line.substr(0, line.find(' '))];
      for (const auto& [word, n] : counts) ASSERT_EQ(n, lines_of(word).size()) << word;
      for (const auto& word : acked) ASSERT_TRUE(counts.contains(word)) << word;
    }
  }
  RecordProperty("acknowledged", static_cast<int>(checked));
  std::printf("%d kills, %llu acknowledged batches found, %llu bytes of torn tails cut\n", kills,
              static_cast<unsigned long long>(checked), static_cast<unsigned long long>(cut));
  if (!HasFailure()) std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace bavn::history::testing
