#include "history/bench.hpp"

#include "history/testing.hpp"

namespace bavn::history::testing {
namespace {

TEST(Bench, FindsWhatItStoredOnASmallRunAndStaysWithinTheDiskBudget) {
  BenchOptions o;
  const char* events = std::getenv("BAVN_BENCH_EVENTS");  // a real run: 20000000
  o.events = events != nullptr ? std::strtoull(events, nullptr, 10) : 60'000;
  o.lookups = events != nullptr ? 10'000 : 500;
  o.postings_a_day = events != nullptr ? 20'000 : 200;
  o.folder = temporary_folder();
  const auto r = bench(o);
  ASSERT_TRUE(r) << to_string(r.error());
  EXPECT_EQ(r->events, o.events);
  EXPECT_LT(r->disk_ratio, 0.22);
  std::printf("%s\n", to_json(*r).c_str());
}

}  // namespace
}  // namespace bavn::history::testing
