#include "input/running.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/eventually.hpp"
#include "base/log.hpp"
#include "base/threads.hpp"
#include "input/testing.hpp"

namespace bavn::input {
namespace {

TEST(RunningSources, FollowWhatTheFileSaysRememberItAndShowWhatIsGoneAsOff) {
  using namespace std::chrono_literals;
  const log::Capture quiet;
  std::string folder = "/tmp/bavn-running-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string log = folder + "/a.log";
  DiskFiles disk;
  const auto write = [&](std::string_view text) {
    auto file = disk.open(log, OpenMode::create).value();
    ASSERT_TRUE(file->pwrite(file->size().value(), text));
  };
  write("one\n");
  Threads threads;
  testing::FakeSink sink(threads);
  const MunicipalityId served[] = {MunicipalityId{461}};
  auto state = store::State::open(threads, {.path = folder + "/state.sqlite", .schema = {"core", "node"}}).value();
  const auto run = [&](const std::string& toml, auto check) {
    auto book = Book::open(threads, *state).value();
    auto file = read_sources(toml, "sources.toml", served, disk, folder);
    ASSERT_TRUE(file) << file.error().what;
    const auto running = RunningSources::start(threads, *state, sink, *book, nullptr, *std::move(file));
    check(*book);
  };
  const std::string files = "[[source]]\nname = \"a\"\nkind = \"files\"\npaths = \"" + log + "\"\n";
  run(files, [&](Book& book) {
    EXPECT_TRUE(eventually([&] { return sink.count() == 1; }));
    EXPECT_TRUE(eventually([&] { return !book.all().empty() && book.all()[0].report.state == SourceState::working; }));
  });
  write("two\n");
  run(files, [&](Book&) { EXPECT_TRUE(eventually([&] { return sink.count() == 2; })); });
  // What was answered while the first run ended may be offered once more, under its id: stored it is once.
  EXPECT_EQ(sink.lines(), (std::vector<std::string>{"one", "two"}));
  run("", [&](Book& book) {
    ASSERT_EQ(book.all().size(), 1U);
    EXPECT_EQ(book.all()[0].report.state, SourceState::off);
  });
  // A port that somebody has: said, and the others run.
  Threads other;
  testing::FakeBook any;
  sources::syslog::SyslogOptions taken;
  taken.name = "x";
  taken.transport = sources::Transport::tcp;
  taken.address = "127.0.0.1";
  taken.port = 0;
  const auto holder = sources::syslog::start_listener(other, sink, any, taken).value();
  write("three\n");
  run(files + "[[source]]\nname = \"fw\"\nkind = \"syslog\"\ntransport = \"tcp\"\naddress = \"127.0.0.1\"\nport = " +
          std::to_string(holder->port()) + "\n",
      [&](Book& book) {
        EXPECT_TRUE(eventually([&] { return sink.count() == 3; }));
        const auto all = book.all();
        const auto fw = std::find_if(all.begin(), all.end(), [](const auto& s) { return s.report.source == "fw"; });
        ASSERT_NE(fw, all.end());
        EXPECT_EQ(fw->report.state, SourceState::failing);
        EXPECT_TRUE(fw->report.text.contains("Address already in use")) << fw->report.text;
      });
  state.reset();
  for (const char* name : {"/a.log", "/state.sqlite", "/state.sqlite-wal", "/state.sqlite-shm"})
    ::unlink((folder + name).c_str());
  ::rmdir(folder.c_str());
}

}  // namespace
}  // namespace bavn::input
