#include "input/book.hpp"

#include <gtest/gtest.h>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "input/sources/files/state_cursors.hpp"

namespace bavn::input {
namespace {

using namespace std::chrono_literals;

class SourceBookTest : public ::testing::Test {
 protected:
  SourceReport report(SourceState now, std::string text = "") {
    SourceReport r;
    r.source = "file.mail";
    r.state = now;
    r.text = std::move(text);
    r.at = sim.now();
    return r;
  }
  Sim sim{1};
  std::unique_ptr<store::State> state =
      store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}, .readers = 1}).value();
  std::unique_ptr<Book> book = Book::open(sim, *state).value();
  log::Capture quiet;
};

TEST_F(SourceBookTest, ChangesOfStateAreKeptAndProgressOnlyRefreshesTheLast) {
  book->say(report(SourceState::starting));
  sim.advance(1s);
  book->say(report(SourceState::working));
  const Instant since = sim.now();
  for (int i = 0; i < 100; ++i) {
    sim.advance(1s);
    auto r = report(SourceState::working);
    r.last_success = sim.now();
    r.lag_seconds = 7;
    book->say(r);
  }
  book->say(report(SourceState::failing, "cannot open: Permission denied"));
  sim.advance(1s);
  const auto changes = book->changes("file.mail").value();
  ASSERT_EQ(changes.size(), 3U);
  EXPECT_EQ(changes[0].state, SourceState::failing);
  EXPECT_EQ(changes[0].text, "cannot open: Permission denied");
  EXPECT_EQ(changes[1].at, since);
  ASSERT_EQ(book->all().size(), 1U);
  EXPECT_EQ(book->all()[0].report.lag_seconds, 7) << "what a report does not know stays as it was known";
}

TEST_F(SourceBookTest, AnotherRunGoesOnWithWhatWasKnown) {
  auto r = report(SourceState::working);
  r.cursor = "3 files";
  book->say(r);
  book->refused("file.mail", "record_too_long", 2, "/a at byte 7");
  book->refused("file.mail", "record_too_long", 3, "/b at byte 9");
  sim.advance(1s);
  book = Book::open(sim, *state).value();
  ASSERT_EQ(book->all().size(), 1U);
  EXPECT_EQ(book->all()[0].report.cursor, "3 files");
  const auto refusals = book->refusals("file.mail");
  ASSERT_EQ(refusals.size(), 1U);
  EXPECT_EQ(refusals[0].count, 5U);
  EXPECT_EQ(refusals[0].first, "/a at byte 7");
  book->retire("file.mail");
  EXPECT_EQ(book->all()[0].report.state, SourceState::off);
}

TEST_F(SourceBookTest, OfASourceThatFlapsTheLastThousandChangesAreKept) {
  for (int i = 0; i < 1100; ++i) book->say(report(i % 2 == 0 ? SourceState::working : SourceState::waiting));
  sim.advance(10s);
  EXPECT_EQ(book->changes("file.mail", 10'000)->size(), 1000U);
}

TEST_F(SourceBookTest, CursorsOfFilesComeBackAsTheyWereStored) {
  using sources::files::Cursor;
  sources::files::StateCursors cursors(*state);
  Cursor c;
  c.life = 0x7123456789abcdef;
  c.path = "/var/log/\xE5.log";  // file names are bytes
  c.device = 5;
  c.inode = -7;
  c.head_length = 1024;
  c.head_hash = -3;
  c.tail_length = 64;
  c.tail_hash = 4;
  c.at = 5;
  c.offered = 9;
  c.shape = 1;
  c.encoding = 2;
  c.skipping = c.over = c.complete = true;
  c.context = "#fields\ta";
  c.updated_us = 8;
  Cursor other = c;
  other.life = 2;
  bool saved = false;
  cursors.save("file.mail", {c, other}, {}, [&](Result<void> r) { saved = r.has_value(); });
  sim.advance(1s);
  EXPECT_TRUE(saved);
  c.at = 9;
  cursors.save("file.mail", {c}, {2}, [](Result<void> r) { EXPECT_TRUE(r); });
  sim.advance(1s);
  EXPECT_EQ(cursors.load("file.mail").value(), std::vector<Cursor>{c});
  EXPECT_TRUE(cursors.load("file.other")->empty());
}

}  // namespace
}  // namespace bavn::input
