#include "input/sources/stdin/stdin.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "base/sim.hpp"
#include "input/testing.hpp"

namespace bavn::input::sources::stdin_stream {
namespace {

using namespace std::chrono_literals;
using input::testing::FakeBook;
using input::testing::FakeSink;

/// Gives its bytes in pieces of a random size.
class Trickle final : public formats::Bytes {
 public:
  Trickle(Runtime& runtime, std::string bytes, bool breaks)
      : runtime_(runtime), bytes_(std::move(bytes)), breaks_(breaks) {}
  Result<std::size_t> read(char* p, std::size_t n) override {
    n = std::min({n, bytes_.size() - at_, 1 + static_cast<std::size_t>(runtime_.random_below(5000))});
    if (n == 0 && breaks_) return fail(Code::unavailable, "cannot read on: Input/output error");
    bytes_.copy(p, n, at_);
    at_ += n;
    return n;
  }

 private:
  Runtime& runtime_;
  std::string bytes_;
  bool breaks_;
  std::size_t at_ = 0;
};

class StdinTest : public ::testing::Test {
 protected:
  StdinTest() { options.name = "stdin.test"; }
  Result<StreamTotals> run(std::string bytes, bool breaks = false) {
    std::optional<Result<StreamTotals>> result;
    const auto source = StreamSource::start(sim, sim.queue({"stdin", 1, 100}), sink, book,
                                            std::make_unique<Trickle>(sim, std::move(bytes), breaks), options,
                                            [&](Result<StreamTotals> r) { result = std::move(r); });
    EXPECT_TRUE(sim.run_until([&] { return result.has_value(); })) << "it never ended";
    return result ? *result : fail(Code::unavailable, "it never ended");
  }
  static std::string lines(int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += fmt::format("line {}\n", i);
    return out;
  }
  Sim sim{7};
  FakeSink sink{sim};
  FakeBook book;
  StreamOptions options;
};

TEST_F(StdinTest, EverythingIsWithTheSinkWhenItIsDone) {
  const auto totals = run(lines(5000) + "without end");
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->accepted, 5001U);
  EXPECT_EQ(sink.count(), 5001U);
  const auto got = sink.lines();
  EXPECT_EQ(std::set<std::string>(got.begin(), got.end()).size(), 5001U);
  EXPECT_NE(std::find(got.begin(), got.end(), "without end"), got.end());
  EXPECT_EQ(book.last("stdin.test").state, SourceState::off);
}

TEST_F(StdinTest, AFullSinkIsWaitedFor) {
  sink.set_full(60);
  EXPECT_EQ(run(lines(5000))->accepted, 5000U);
  EXPECT_EQ(sink.count(), 5000U);
}

TEST_F(StdinTest, TheSameStreamAgainUnderItsIdIsStoredOnce) {
  options.id = "export-7";
  options.chunk = 4096;
  ASSERT_TRUE(run(lines(5000)));
  const auto again = run(lines(5000));
  EXPECT_EQ(sink.count(), 5000U);
  EXPECT_EQ(again->duplicates, 5000U);
}

TEST_F(StdinTest, AStreamThatBreaksIsAnErrorAfterWhatWasReadIsStored) {
  const auto result = run(lines(100), true);
  ASSERT_FALSE(result);
  EXPECT_TRUE(result.error().what.contains("Input/output error"));
  EXPECT_EQ(sink.count(), 100U);
}

TEST_F(StdinTest, NothingAtAllIsFine) {
  const auto totals = run("");
  ASSERT_TRUE(totals);
  EXPECT_EQ(totals->accepted, 0U);
}

TEST_F(StdinTest, LinesBeyondTheLimitAreCountedAndStructuredRecordsFlattened) {
  options.max_record = 20'000;
  options.chunk = 1000;
  const auto totals = run("a\n" + std::string(100'000, 'x') + "\nb\n");
  EXPECT_EQ(totals->accepted, 2U);
  EXPECT_EQ(totals->refused, 1U);
  EXPECT_TRUE(totals->first_refused.starts_with("record_too_long")) << totals->first_refused;
  run("[\n {\n  \"a\": 1\n },\n {\n  \"a\": 2\n }\n]\n");
  EXPECT_EQ(sink.lines().back(), "{\"a\":2}");
}

TEST_F(StdinTest, WhatTheSinkNeverTakesIsCounted) {
  sink.set_bad("line 0\n");
  const auto totals = run(lines(10));
  EXPECT_EQ(totals->accepted + totals->refused, 10U);
  EXPECT_GE(totals->refused, 1U);
}

}  // namespace
}  // namespace bavn::input::sources::stdin_stream
