#include "input/sources/files/files.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/eventually.hpp"
#include "base/log.hpp"
#include "base/sim.hpp"
#include "base/threads.hpp"
#include "base/utf16.hpp"
#include "input/sources/files/content.hpp"
#include "input/sources/files/watch.hpp"
#include "input/testing.hpp"

namespace bavn::input::sources::files {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;
using input::testing::FakeBook;
using input::testing::FakeSink;

/// Keeps what a State would, and answers when a commit would.
class MemoryCursors final : public Cursors {
 public:
  explicit MemoryCursors(Runtime& runtime) : runtime_(runtime), queue_(runtime.queue({"cursors", 1, 100'000})) {}
  Result<std::vector<Cursor>> load(const std::string&) override {
    std::vector<Cursor> out;
    for (const auto& [life, row] : rows_) out.push_back(row);
    return out;
  }
  void save(const std::string&, std::vector<Cursor> rows, std::vector<std::int64_t> forget,
            std::move_only_function<void(Result<void>)> then) override {
    auto task = [this, rows = std::move(rows), forget = std::move(forget), then = std::move(then)]() mutable {
      if (broken_) return then(fail(Code::unavailable, "No space left on device"));
      for (const Cursor& row : rows) rows_[row.life] = row;
      for (const std::int64_t life : forget) rows_.erase(life);
      then({});
    };
    runtime_.after(1ms, queue_, life_.during(std::move(task)));
  }
  void set_broken(bool broken) { broken_ = broken; }
  std::size_t size() const { return rows_.size(); }

 private:
  Runtime& runtime_;
  QueueId queue_;
  std::map<std::int64_t, Cursor> rows_;
  bool broken_ = false;
  input::testing::Lifetime life_;
};

std::string gzip(std::string_view text) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(compressBound(text.size()) + 100, '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  z.avail_in = static_cast<uInt>(text.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  deflate(&z, Z_FINISH);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

class FollowedFiles : public ::testing::Test {
 protected:
  explicit FollowedFiles(std::uint64_t seed = 1) : sim(seed) {
    options.name = "file.app";
    options.paths = {"/log/app.log*"};
  }

  void append(const std::string& path, std::string_view text) {
    sim.files().set_now(micros(sim.now()));
    auto file = sim.files().open(path, OpenMode::create).value();
    ASSERT_TRUE(file->pwrite(file->size().value(), text));
  }
  void truncate(const std::string& path, std::uint64_t to = 0) {
    sim.files().set_now(micros(sim.now()));
    ASSERT_TRUE(sim.files().open(path, OpenMode::write).value()->truncate(to));
  }
  void copy(const std::string& from, const std::string& to) {
    append(to, read_file(sim.files(), from, 1U << 30U).value());
  }
  void start() { source = FileSource::start(sim, sim.queue({"files", 1, 10'000}), sink, book, cursors, options); }
  void restart() {
    source.reset();
    sim.advance(10ms);
    start();
  }
  /// As a crash: nothing that was on its way comes back to the source.
  void crash() { source.reset(); }
  static std::string lines(int from, int to) {
    std::string out;
    for (int i = from; i < to; ++i)
      out +=
          fmt::format("2026-01-01T00:00:{:02} line {} of the application, long enough to be known again\n", i % 60, i);
    return out;
  }
  void expect_all(int n) {
    const std::string text = lines(0, n);
    std::vector<std::string> want;
    for (const std::string_view l : split(text, '\n'))
      if (!l.empty()) want.emplace_back(l);
    auto got = sink.lines();
    std::sort(got.begin(), got.end());
    std::sort(want.begin(), want.end());
    EXPECT_EQ(got.size(), want.size());
    std::vector<std::string> missing, extra;
    std::set_difference(want.begin(), want.end(), got.begin(), got.end(), std::back_inserter(missing));
    std::set_difference(got.begin(), got.end(), want.begin(), want.end(), std::back_inserter(extra));
    EXPECT_TRUE(missing.empty()) << missing.size() << " missing, the first: " << missing.front();
    EXPECT_TRUE(extra.empty()) << extra.size() << " too many, the first: " << extra.front();
  }

  Sim sim;
  FakeSink sink{sim};
  FakeBook book;
  MemoryCursors cursors{sim};
  FileOptions options;
  std::unique_ptr<FileSource> source;
};

TEST_F(FollowedFiles, LinesThatAreThereAndLinesThatComeAreDeliveredOnce) {
  append("/log/app.log", lines(0, 10));
  start();
  sim.advance(3s);
  append("/log/app.log", lines(10, 20));
  sim.advance(3s);
  expect_all(20);
  EXPECT_EQ(book.last("file.app").state, SourceState::working);
  EXPECT_EQ(book.last("file.app").lag_seconds, 3);
  EXPECT_EQ(sink.stored()[0].source, "file.app");
}

TEST_F(FollowedFiles, AfterARestartItGoesOnWhereItWas) {
  append("/log/app.log", lines(0, 10));
  start();
  sim.advance(3s);
  source.reset();
  append("/log/app.log", lines(10, 20));
  start();
  sim.advance(3s);
  expect_all(20);
  EXPECT_EQ(sink.duplicates(), 0U);
}

TEST_F(FollowedFiles, ARenamedFileIsReadToItsEndAndTheNewOneFromItsBeginning) {
  append("/log/app.log", lines(0, 10));
  start();
  sim.advance(3s);
  append("/log/app.log", lines(10, 15));
  ASSERT_TRUE(sim.files().rename("/log/app.log", "/log/app.log.1"));
  append("/log/app.log", lines(15, 20));
  append("/log/app.log.1", lines(20, 25));  // the writer was not told yet
  sim.advance(20s);
  append("/log/app.log.1", lines(25, 30));
  sim.advance(5s);
  expect_all(30);
}

TEST_F(FollowedFiles, AFileRenamedToWhereNoPatternLooksIsStillReadToItsEnd) {
  options.paths = {"/log/app.log"};
  append("/log/app.log", lines(0, 10));
  start();
  sim.advance(3s);
  append("/log/app.log", lines(10, 15));
  ASSERT_TRUE(sim.files().rename("/log/app.log", "/log/old-app"));
  append("/log/app.log", lines(15, 20));
  sim.advance(5s);
  append("/log/old-app", lines(20, 22));
  sim.advance(5s);
  expect_all(22);
  sim.advance(5min);
  append("/log/old-app", "too late\n");
  sim.advance(5min);
  expect_all(22);
}

TEST_F(FollowedFiles, ALastPartWithoutHandleIsFoundUnderItsNewName) {
  options.paths = {"/log/app.log", "/log/b.log"};
  options.max_open = 1;
  append("/log/app.log", lines(0, 10));
  append("/log/b.log", "other\n");
  start();
  sim.advance(15s);
  append("/log/b.log", "more\n");  // takes the only handle
  sim.advance(2s);
  sink.set_room(false);
  append("/log/app.log", lines(10, 15));
  sim.advance(2s);
  ASSERT_TRUE(sim.files().rename("/log/app.log", "/log/somewhere"));
  sim.advance(30s);
  sink.set_room(true);
  sim.advance(60s);
  EXPECT_EQ(sink.count(), 17U);
}

TEST_F(FollowedFiles, TruncatedInPlaceItIsReadFromItsBeginning) {
  append("/log/app.log", lines(0, 10));
  start();
  sim.advance(3s);
  truncate("/log/app.log");
  append("/log/app.log", lines(10, 13));
  sim.advance(3s);
  expect_all(13);
}

TEST_F(FollowedFiles, TruncatedAndGrownBeyondWhereItWasReadIsNoticedByItsBeginning) {
  append("/log/app.log", lines(0, 10));
  start();
  sim.advance(3s);
  truncate("/log/app.log");
  append("/log/app.log", lines(10, 40));
  sim.advance(3s);
  expect_all(40);
}

TEST_F(FollowedFiles, CopyTruncateLosesNothingThatTheCopyHasAndReadsNothingTwice) {
  append("/log/app.log", lines(0, 30));
  start();
  sim.advance(3s);
  append("/log/app.log", lines(30, 40));  // not read yet when it is copied
  copy("/log/app.log", "/log/app.log.1");
  truncate("/log/app.log");
  append("/log/app.log", lines(40, 45));
  sim.advance(30s);
  expect_all(45);
}

TEST_F(FollowedFiles, ACopyBesideItsOriginalIsNotReadAndTheOriginalGoesOn) {
  append("/log/app.log", lines(0, 30));
  start();
  sim.advance(3s);
  copy("/log/app.log", "/log/app.log.copy");
  sim.advance(30s);
  append("/log/app.log", lines(30, 40));
  sim.advance(30s);
  expect_all(40);
}

TEST_F(FollowedFiles, TwoFilesThatOnlyBeginAlikeAreBothRead) {
  const std::string banner(1500, '-');
  append("/log/app.log.a", banner + "\nfrom a\n");
  append("/log/app.log.b", banner + "\nfrom b\n");
  start();
  sim.advance(30s);
  EXPECT_EQ(sink.count(), 4U);
}

TEST_F(FollowedFiles, ASparseFileAfterATruncationUnderItsWriterHasNoZerosInItsLines) {
  append("/log/app.log", lines(0, 30));
  start();
  sim.advance(3s);
  const std::uint64_t size = sim.files().stat("/log/app.log")->size;
  truncate("/log/app.log");
  auto writer = sim.files().open("/log/app.log", OpenMode::write).value();
  ASSERT_TRUE(writer->pwrite(size + (3U << 20U), lines(30, 33)));  // it goes on at its own place
  sim.advance(10s);
  expect_all(33);
}

TEST_F(FollowedFiles, APackedFileIsReadOnceAndNotAgainWhenItIsAnOldOneThatWasRead) {
  append("/log/app.log.3.gz", gzip(lines(0, 50)));
  append("/log/app.log", lines(50, 90));
  start();
  sim.advance(2min);
  expect_all(90);
  ASSERT_TRUE(sim.files().rename("/log/app.log", "/log/app.log.1"));
  append("/log/app.log", lines(90, 95));
  sim.advance(15s);
  const std::string packed = gzip(read_file(sim.files(), "/log/app.log.1", 1U << 20U).value());
  append("/log/app.log.2.gz", packed.substr(0, packed.size() / 2));  // gzip writes while the original is still there
  sim.advance(12s);
  append("/log/app.log.2.gz", packed.substr(packed.size() / 2));
  ASSERT_TRUE(sim.files().unlink("/log/app.log.1"));
  sim.advance(3min);
  expect_all(95);
  restart();
  sim.advance(3min);
  expect_all(95);
}

TEST_F(FollowedFiles, APackedFileHasWhatWasMissedOfItsOriginal) {
  append("/log/app.log", lines(0, 40));
  start();
  sim.advance(15s);
  source.reset();
  append("/log/app.log", lines(40, 60));
  append("/log/app.log.1.gz", gzip(read_file(sim.files(), "/log/app.log", 1U << 20U).value()));
  ASSERT_TRUE(sim.files().unlink("/log/app.log"));
  start();
  sim.advance(3min);
  expect_all(60);
}

TEST_F(FollowedFiles, ADamagedPackedFileGivesWhatItHasAndIsSaid) {
  std::string packed = gzip(lines(0, 2000));
  append("/log/app.log.1.gz", packed.substr(0, packed.size() / 2));
  start();
  sim.advance(10min);
  EXPECT_GT(sink.count(), 100U);
  EXPECT_EQ(book.refused_for("file_damaged").count, 1U);
}

TEST_F(FollowedFiles, ALineWithoutItsEndWaitsAndIsTakenAsItIsAfterALongWhile) {
  append("/log/app.log", "first\nseco");
  start();
  sim.advance(10s);
  EXPECT_EQ(sink.lines(), std::vector<std::string>{"first"});
  append("/log/app.log", "nd\nthi");
  sim.advance(10s);
  EXPECT_EQ(sink.lines(), (std::vector<std::string>{"first", "second"}));
  sim.advance(6min);
  EXPECT_EQ(sink.lines(), (std::vector<std::string>{"first", "second", "thi"}));
}

TEST_F(FollowedFiles, ALineBeyondTheLimitIsSkippedCountedAndTheNextIsRead) {
  options.max_record = 8U << 10U;
  options.chunk = 4U << 10U;
  append("/log/app.log", "first\n" + std::string(100'000, 'x') + "\nlast\n");
  start();
  sim.advance(20s);
  EXPECT_EQ(sink.lines(), (std::vector<std::string>{"first", "last"}));
  EXPECT_EQ(book.refused_for("record_too_long").count, 1U);
  EXPECT_TRUE(book.refused_for("record_too_long").first.starts_with("/log/app.log at byte 6"))
      << book.refused_for("record_too_long").first;
}

TEST_F(FollowedFiles, HeaderLinesGoWithEveryDeliveryAlsoAfterARestart) {
  append("/log/app.log", "#separator \\x09\n#fields\tts\tuid\n#types\ttime\tstring\n");
  start();
  sim.advance(3s);
  EXPECT_EQ(sink.count(), 0U) << "a header without lines may not be whole";
  append("/log/app.log", "1\tA\n");
  sim.advance(3s);
  restart();
  append("/log/app.log", "2\tB\n#close\tx\n#separator \\x09\n#fields\tts\n3\n");
  sim.advance(3s);
  const auto stored = sink.stored();
  ASSERT_EQ(stored.size(), 3U);
  EXPECT_EQ(stored[0].context, "#separator \\x09\n#fields\tts\tuid\n#types\ttime\tstring");
  EXPECT_EQ(stored[1].context, stored[0].context);
  EXPECT_EQ(stored[1].bytes, "2\tB\n#close\tx\n");
  EXPECT_EQ(stored[2].context, "#separator \\x09\n#fields\tts");
}

TEST_F(FollowedFiles, PrettyPrintedRecordsBecomeOneALine) {
  append("/log/app.log", "[\n  {\n    \"a\": 1\n  },\n  {\n    \"a\": 2\n");
  start();
  sim.advance(3s);
  EXPECT_EQ(sink.lines(), std::vector<std::string>{"{\"a\":1}"});
  append("/log/app.log", "  }\n]\n");
  sim.advance(3s);
  EXPECT_EQ(sink.lines(), (std::vector<std::string>{"{\"a\":1}", "{\"a\":2}"}));
}

TEST_F(FollowedFiles, WindowsEventsAsXmlBecomeJsonThroughTheParsers) {
  jail::Unjailed parsers;
  options.parsers = &parsers;
  const std::string event =
      "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System><Provider Name='P'/>"
      "<EventID>4624</EventID><TimeCreated "
      "SystemTime='2026-01-01T00:00:00Z'/><Computer>pc.example.org</Computer></System>"
      "<EventData><Data Name='TargetUserName'>anna</Data></EventData></Event>";
  append("/log/app.log", event + event.substr(0, 100));
  start();
  sim.advance(3s);
  ASSERT_EQ(sink.count(), 1U);
  EXPECT_TRUE(sink.lines()[0].contains("4624")) << sink.lines()[0];
  append("/log/app.log", event.substr(100));
  sim.advance(3s);
  EXPECT_EQ(sink.count(), 2U);
}

TEST_F(FollowedFiles, Utf16IsDeliveredAsUtf8) {
  const auto wide = [](std::string_view s) {
    std::string out;
    for (const char c : s) out += {c, '\0'};
    return out;
  };
  append("/log/app.log", "\xFF\xFE" + wide("one\r\ntw"));
  start();
  sim.advance(3s);
  append("/log/app.log", wide("o \xE5"s.substr(0, 2)) + "\xE5\x00"s + wide("\nthr"));
  sim.advance(3s);
  EXPECT_EQ(sink.lines(), (std::vector<std::string>{"one\r", "two \xC3\xA5"}));
  restart();
  append("/log/app.log", wide("ee\n"));
  sim.advance(3s);
  EXPECT_EQ(sink.lines().back(), "three");
}

TEST_F(FollowedFiles, AFullHistoryIsWaitedForWithoutABusyLoop) {
  append("/log/app.log", lines(0, 100));
  sink.set_full(100);
  start();
  sim.advance(10min);
  EXPECT_EQ(sink.count(), 0U);
  EXPECT_EQ(book.last("file.app").state, SourceState::waiting);
  EXPECT_EQ(book.last("file.app").text, "the history is full");
  const std::uint64_t before = sim.tasks_run();
  sim.advance(1min);
  EXPECT_LT(sim.tasks_run() - before, 500U);
  sink.set_full(0);
  sim.advance(1min);
  expect_all(100);
  EXPECT_EQ(book.last("file.app").state, SourceState::working);
}

TEST_F(FollowedFiles, CursorsThatCannotBeStoredStopTheReadingUntilTheyCan) {
  append("/log/app.log", lines(0, 10));
  cursors.set_broken(true);
  start();
  sim.advance(1min);
  EXPECT_EQ(sink.count(), 0U) << "delivered without a trace: a crash now would store it twice";
  EXPECT_EQ(book.last("file.app").state, SourceState::waiting);
  cursors.set_broken(false);
  sim.advance(1min);
  expect_all(10);
}

TEST_F(FollowedFiles, WhatTheSinkCanNeverTakeIsCountedAndTheRestGoesOn) {
  append("/log/app.log", "poison\n");
  sink.set_bad("poison");
  start();
  sim.advance(3s);
  append("/log/app.log", "well\n");
  sim.advance(3s);
  EXPECT_EQ(sink.lines(), std::vector<std::string>{"well"});
  EXPECT_EQ(book.refused_for("delivery_refused").count, 1U);
}

TEST_F(FollowedFiles, DeniedAccessIsSaidWithItsFixAndGoesAway) {
  append("/log/app.log", lines(0, 5));
  sim.files().deny("/log/app.log", true);
  start();
  sim.advance(30s);
  EXPECT_EQ(book.last("file.app").state, SourceState::failing);
  EXPECT_TRUE(book.last("file.app")
                  .text.contains("/log/app.log: cannot open: Permission denied; let the service's user read it"))
      << book.last("file.app").text;
  sim.files().deny("/log/app.log", false);
  sim.advance(30s);
  expect_all(5);
  EXPECT_EQ(book.last("file.app").state, SourceState::working);
}

TEST_F(FollowedFiles, NoFileYetIsWaitingNotFailing) {
  start();
  sim.advance(30s);
  EXPECT_EQ(book.last("file.app").state, SourceState::waiting);
  EXPECT_EQ(book.last("file.app").text, "no file matches /log/app.log*");
}

TEST_F(FollowedFiles, FromTheEndOnlyWhatComesIsRead) {
  options.from_end = true;
  append("/log/app.log", "old\nold without e");
  append("/log/app.log.1.gz", gzip(lines(0, 50)));
  start();
  sim.advance(15s);
  append("/log/app.log", "nd\nnew\n");
  append("/log/app.log.b", "a new file is read whole\n");
  sim.advance(15s);
  EXPECT_EQ(sink.lines(), (std::vector<std::string>{"new", "a new file is read whole"}));
}

TEST_F(FollowedFiles, ManyFilesShareFewHandlesAndNobodyStarves) {
  options.max_open = 4;
  options.chunk = 4096;
  options.in_flight = 8192;
  std::string big;
  for (int i = 0; i < 20'000; ++i) big += fmt::format("big {}\n", i);
  append("/log/app.log", big);
  for (int i = 0; i < 50; ++i) append(fmt::format("/log/app.log.{:02}", i), fmt::format("small {}\n", i));
  start();
  ASSERT_TRUE(sim.run_until([&] {
    const auto got = sink.lines();
    return std::count_if(got.begin(), got.end(), [](const auto& l) { return l.starts_with("small"); }) == 50;
  }));
  EXPECT_LT(sink.count(), 20'000U) << "the small ones waited until the big one was done";
  sim.advance(1min);
  EXPECT_EQ(sink.count(), 20'050U);
}

TEST_F(FollowedFiles, UnreadBytesOfAFileThatIsGoneAreCounted) {
  options.paths = {"/log/app.log"};
  options.max_open = 1;
  sink.set_room(false);
  append("/log/app.log", lines(0, 5));
  start();
  sim.advance(2s);
  restart();
  sim.advance(2s);
  sim.files().deny("/log/app.log", true);
  ASSERT_TRUE(sim.files().unlink("/log/app.log"));
  sim.advance(30s);
  // It was open: it is read from its handle although its name is gone.
  sink.set_room(true);
  sim.advance(60s);
  expect_all(5);
}

/// Kills at random moments, with a sink that is now and then full, rotations of both kinds and a writer that never stops.
class RandomLife : public FollowedFiles, public ::testing::WithParamInterface<int> {
 protected:
  RandomLife() : FollowedFiles(static_cast<std::uint64_t>(GetParam()) + 100) {}
};

TEST_P(RandomLife, EveryLineIsThereExactlyOnce) {
  const log::Capture quiet;
  options.chunk = 512;
  options.in_flight = 2048;
  sink.set_delay(30'000);
  int written = 0, generation = 0;
  start();
  for (int round = 0; round < 120; ++round) {
    const int n = static_cast<int>(sim.random_below(40));
    append("/log/app.log", lines(written, written + n));
    written += n;
    sink.set_full(sim.random_below(4) == 0 ? 50 : 0);
    sim.advance(Duration{static_cast<std::int64_t>(sim.random_below(3'000'000))});
    switch (sim.random_below(8)) {
      case 0:
        if (!sim.files().exists("/log/app.log")) break;
        ASSERT_TRUE(sim.files().rename("/log/app.log", fmt::format("/log/app.log.{}", ++generation)));
        break;
      case 1: {
        // The copy is there before the truncation; both may happen between two looks.
        if (sim.files().stat("/log/app.log").value_or(FileStat{}).size < 2000) break;
        copy("/log/app.log", fmt::format("/log/app.log.{}", ++generation));
        if (sim.random_below(2) == 0) sim.advance(2s);
        truncate("/log/app.log");
        break;
      }
      case 2:
      case 3:
        crash();
        sim.advance(Duration{static_cast<std::int64_t>(sim.random_below(200'000))});
        start();
        break;
      default: break;
    }
  }
  sink.set_full(0);
  sim.advance(5min);
  expect_all(written);
  EXPECT_EQ(book.refused_for("file_gone_unread").count, 0U);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomLife, ::testing::Range(0, 40));

TEST(FollowedFilesOnDisk, AreReadSoonAfterTheyAreWrittenAlsoInNewFolders) {
  std::string folder = "/tmp/bavn-follow-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  ASSERT_EQ(::mkdir((folder + "/a").c_str(), 0700), 0);
  Threads threads;
  {
    FakeSink sink(threads);
    FakeBook book;
    MemoryCursors cursors(threads);
    FolderWatch watch(threads);
    FileOptions options;
    options.name = "file.disk";
    options.paths = {folder + "/*/x.log"};
    options.poll = 50ms;
    options.scan = 100ms;
    const auto source =
        FileSource::start(threads, threads.queue({"files", 1, 1000}), sink, book, cursors, options, &watch);
    const auto come = [&](std::size_t n) { return eventually([&] { return sink.count() >= n; }) && sink.count() == n; };
    DiskFiles disk;
    const auto write = [&](const std::string& path, std::string_view text) {
      auto file = disk.open(path, OpenMode::create).value();
      ASSERT_TRUE(file->pwrite(file->size().value(), text));
    };
    write(folder + "/a/x.log", "one\n");
    EXPECT_TRUE(come(1)) << sink.count();
    ASSERT_EQ(::mkdir((folder + "/b").c_str(), 0700), 0);
    write(folder + "/b/x.log", "two\n");
    EXPECT_TRUE(come(2)) << sink.count();
    ASSERT_TRUE(disk.rename(folder + "/a/x.log", folder + "/a/y.log"));
    write(folder + "/a/x.log", "three\n");
    EXPECT_TRUE(come(3)) << sink.count();
  }
  for (const char* name : {"/a/x.log", "/a/y.log", "/b/x.log"}) ::unlink((folder + name).c_str());
  for (const char* name : {"/a", "/b", ""}) ::rmdir((folder + name).c_str());
}

TEST(Patterns, NamesAreComparedPartByPart) {
  EXPECT_TRUE(matches("*.gz", "/log/a.gz"));
  EXPECT_FALSE(matches("/log/*", "/log/a/b"));
  EXPECT_TRUE(matches("/log/a?.log", "/log/a1.log"));
  SimFiles files;
  std::vector<Error> trouble;
  EXPECT_TRUE(expand(files, "relative", 10, trouble).empty());
  EXPECT_EQ(trouble.size(), 1U);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(files.open(fmt::format("/d/{}", i), OpenMode::create));
  trouble.clear();
  EXPECT_EQ(expand(files, "/d/*", 3, trouble).size(), 3U);
  EXPECT_EQ(trouble.size(), 1U);
}

TEST(Utf16, IsReadWithSurrogatesAndItsLengthIsKnown) {
  const std::string raw(
      "\x3D\xD8\x00\xDE"
      "a\0\xE5\0\x00\xD8"s);
  const std::string text = from_utf16(raw, false);
  EXPECT_EQ(text,
            "\xF0\x9F\x98\x80"
            "a\xC3\xA5\xEF\xBF\xBD");
  EXPECT_EQ(utf16_length(text), raw.size());
}

}  // namespace
}  // namespace bavn::input::sources::files
