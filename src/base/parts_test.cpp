// The small parts: queue, guarded, secret, log, metrics, settings, local time.
#include <gtest/gtest.h>

#include <atomic>
#include <concepts>
#include <thread>

#include "base/guarded.hpp"
#include "base/local_time.hpp"
#include "base/log.hpp"
#include "base/metrics.hpp"
#include "base/queue.hpp"
#include "base/secret.hpp"
#include "base/settings.hpp"

namespace bavn {

TEST(ByteQueue, BlockingPushWaitsForRoomAndLosesNothing) {
  ByteQueue<int> q(10, WhenFull::block);
  constexpr int n = 10000;
  std::int64_t sum = 0;
  std::size_t most = 0;
  std::thread taker([&] {
    while (auto x = q.pop()) {
      sum += *x;
      most = std::max(most, q.bytes());
    }
  });
  for (int i = 1; i <= n; ++i) ASSERT_TRUE(q.push(i, 3));
  q.close();
  taker.join();
  EXPECT_EQ(sum, std::int64_t{n} * (n + 1) / 2);
  EXPECT_LE(most, 10U);
  EXPECT_FALSE(q.push(1, 1)) << "closed";
}

TEST(ByteQueue, DropsTheOldestAndCountsThem) {
  ByteQueue<int> q(10, WhenFull::drop_oldest);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(q.push(i, 4));
  EXPECT_EQ(q.dropped(), 3U);
  EXPECT_EQ(q.try_pop(), 3);
  EXPECT_EQ(q.try_pop(), 4);
  EXPECT_EQ(q.try_pop(), std::nullopt);
}

TEST(ByteQueue, RefusesAndCounts) {
  ByteQueue<int> q(10, WhenFull::refuse);
  EXPECT_TRUE(q.push(1, 6));
  EXPECT_FALSE(q.push(2, 6));
  EXPECT_EQ(q.refused(), 1U);
  EXPECT_EQ(q.pop(), 1);
  EXPECT_TRUE(q.push(3, 1000)) << "an item larger than the budget is let into an empty queue";
  EXPECT_EQ(q.bytes(), 1000U);
}

TEST(Guarded, CountsRightFromManyThreads) {
  Guarded<int> n(0);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) n.with([](int& x) { ++x; });
    });
  for (auto& t : threads) t.join();
  EXPECT_EQ(n.with([](const int& x) { return x; }), 4000);
}

template <class T>
concept CanBeWritten = requires(std::string& out, const T& v) { out += v; };

TEST(Secret, HasNoWayOutButReveal) {
  static_assert(!std::copyable<Secret<std::string>>);
  static_assert(!std::equality_comparable<Secret<std::string>>);
  static_assert(!CanBeWritten<Secret<std::string>>);
  Secret<std::string> s(std::string("hunter2"));
  Secret<std::string> moved(std::move(s));
  EXPECT_EQ(moved.reveal([](const std::string& v) { return v.size(); }), 7U);
  EXPECT_TRUE(s.reveal([](const std::string& v) {
    return v.empty() && std::string_view(v.data(), 7).find("hunter2") == std::string_view::npos;
  })) << "nothing stays behind in a moved-from value";
}

TEST(Log, WritesOneJsonLineWithItsFields) {
  log::Capture capture;
  log::warn("mail_refused", {{"source", "relay \"1\"\n"}, {"bytes", 12}, {"again", true}});
  log::debug("too_small_to_tell");
  const std::string lines = capture.lines();
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 1);
  EXPECT_NE(lines.find(R"("level":"warn","event":"mail_refused","source":"relay \"1\"\n","bytes":12,"again":true})"),
            std::string::npos)
      << lines;
}

TEST(Metrics, CountsUnderTheNameOfTheLogEvent) {
  log::Capture capture;
  Metrics metrics;
  log::counted(metrics, log::Level::warn, "mail_refused", {{"reason", "too large"}});
  metrics.counter("lines_refused", "source=relay-1").add(3);
  EXPECT_EQ(metrics.counter("mail_refused").value(), 1U);
  EXPECT_EQ(metrics.text(),
            "# TYPE bavn_lines_refused_total counter\nbavn_lines_refused_total{source=\"relay-1\"} 3\n"
            "# TYPE bavn_mail_refused_total counter\nbavn_mail_refused_total 1\n");
  EXPECT_NE(capture.lines().find("too large"), std::string::npos);
}

namespace {

constexpr Setting kTable[] = {
    {"correlate.window",
     Unit::hours,
     std::int64_t{6},
     {1, 168},
     "How far apart sightings may be to count as one wave.",
     Restart::no},
    {"history.folder",
     Unit::none,
     std::string_view("/var/lib/bavn"),
     {1, 200},
     "Where the history is kept.",
     Restart::yes},
    {"history.sync", Unit::none, true, {}, "Whether input is acknowledged only when it is on disk.", Restart::yes},
    {"match.share", Unit::percent, 30.0, {0, 100}, "Below this hit rate the memo is bypassed.", Restart::no},
};

std::string trouble(std::string_view toml) {
  auto read = Settings::read(kTable, toml, "bavn.toml");
  return read ? "" : to_string(read.error());
}

}  // namespace

TEST(Settings, DefaultsAndWhatTheFileSays) {
  auto s = Settings::read(kTable, "[correlate]\nwindow = 12\n[match]\nshare = 5\n", "bavn.toml");
  ASSERT_TRUE(s) << to_string(s.error());
  EXPECT_EQ(s->duration("correlate.window"), std::chrono::hours(12));
  EXPECT_EQ(s->text("history.folder"), "/var/lib/bavn");
  EXPECT_TRUE(s->flag("history.sync"));
  EXPECT_EQ(s->number("match.share"), 5.0);
}

TEST(Settings, TroubleNamesTheLineAndTheFix) {
  EXPECT_EQ(
      trouble("[correlate]\nwindw = 12\n"),
      "bavn.toml:2: unknown setting correlate.windw, did you mean correlate.window?; `bavn config explain` lists all");
  EXPECT_EQ(trouble("[correlate]\nwindow = 1000\n"), "bavn.toml:2: correlate.window must be 1 to 168 hours, not 1000");
  EXPECT_EQ(trouble("[correlate]\nwindow = \"6\"\n"), "bavn.toml:2: correlate.window must be a whole number");
  EXPECT_EQ(trouble("[match]\nshare = nan\n"), "bavn.toml:2: match.share must be 0 to 100 percent, not nan");
  EXPECT_NE(trouble("[match\n").find("bavn.toml:1: not TOML"), std::string::npos);
  EXPECT_NE(trouble("window = 1\n").find("unknown setting window"), std::string::npos);
  EXPECT_NE(trouble("[a.b]\nc = 1\n").find("unknown setting a.b"), std::string::npos);
}

TEST(Settings, ExplainIsItselfAFileThatReadsBack) {
  auto changed = Settings::read(kTable, "[history]\nfolder = \"C:\\\\x \\\"y\\\"\"\n", "f");
  ASSERT_TRUE(changed);
  const std::string text = changed->explain();
  auto again = Settings::read(kTable, text, "f");
  ASSERT_TRUE(again) << to_string(again.error()) << text;
  EXPECT_EQ(again->text("history.folder"), "C:\\x \"y\"");
  EXPECT_NE(text.find("In hours. 1 to 168."), std::string::npos) << text;
}

TEST(LocalTime, KnowsSummerTime) {
  EXPECT_EQ(format_local(*parse_time("2024-10-27T00:30:00Z"), "Europe/Copenhagen").value(), "2024-10-27 02:30 CEST");
  EXPECT_EQ(format_local(*parse_time("2024-10-27T01:30:00Z"), "Europe/Copenhagen").value(), "2024-10-27 02:30 CET");
  EXPECT_EQ(local_time(*parse_time("2024-10-27T01:30:00Z"), "Europe/Copenhagen")->weekday, 7);
  EXPECT_EQ(local_time(*parse_time("2024-10-27T01:30:00Z"), "Europe/Atlantis").error().code, Code::not_found);
}

TEST(LocalTime, ReadsClocksThatShowAnHourTwiceOrNever) {
  const auto at = [](int y, unsigned mo, unsigned d, unsigned h, unsigned mi) {
    return from_local({.year = y, .month = mo, .day = d, .hour = h, .minute = mi, .second = 0, .weekday = 0},
                      "Europe/Copenhagen");
  };
  EXPECT_EQ(format_time(*at(2024, 7, 1, 12, 0)), "2024-07-01T10:00:00Z");
  EXPECT_EQ(format_time(*at(2024, 10, 27, 2, 30)), "2024-10-27T00:30:00Z") << "twice: the earlier";
  EXPECT_EQ(format_time(*at(2024, 3, 31, 2, 30)), "2024-03-31T01:00:00Z") << "never: when the clock jumped";
  EXPECT_FALSE(at(2024, 2, 30, 1, 0));
}

}  // namespace bavn
