#include "base/runtime.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "base/sim.hpp"
#include "base/threads.hpp"

namespace bavn {

using namespace std::chrono_literals;

namespace {

// Three queues that post to each other, with timers: returns the order in which things happened.
std::string story(std::uint64_t seed) {
  Sim sim(seed);
  std::string told;
  std::vector<QueueId> queues;
  for (int i = 0; i < 3; ++i) queues.push_back(sim.queue({.name = "q"}));
  for (int i = 0; i < 3; ++i)
    for (int k = 0; k < 4; ++k)
      EXPECT_TRUE(sim.post(queues[static_cast<std::size_t>(i)], [&, i, k] {
        told += static_cast<char>('a' + i);
        told += static_cast<char>('0' + k);
        sim.after(Duration(static_cast<std::int64_t>(sim.random_below(5))),
                  queues[static_cast<std::size_t>((i + 1) % 3)], [&, i] { told += static_cast<char>('A' + i); });
      }));
  EXPECT_TRUE(sim.run_until_idle());
  return told;
}

}  // namespace

TEST(Sim, SameSeedSameOrderAndOtherSeedsOtherOrders) {
  EXPECT_EQ(story(7), story(7));
  std::set<std::string> stories;
  for (std::uint64_t seed = 0; seed < 20; ++seed) stories.insert(story(seed));
  EXPECT_GE(stories.size(), 19U);
}

TEST(Sim, AQueueOfOneThreadKeepsTheOrderOfPosting) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Sim sim(seed);
    std::string told;
    const QueueId a = sim.queue({.name = "a"}), b = sim.queue({.name = "b"});
    for (char c : std::string("12345")) {
      EXPECT_TRUE(sim.post(a, [&told, c] { told += c; }));
      EXPECT_TRUE(sim.post(b, [] {}));
    }
    sim.run_until_idle();
    EXPECT_EQ(told, "12345");
  }
}

TEST(Sim, AQueueOfManyThreadsDoesNot) {
  std::set<std::string> orders;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Sim sim(seed);
    std::string told;
    const QueueId a = sim.queue({.name = "a", .threads = 3});
    for (char c : std::string("12345")) EXPECT_TRUE(sim.post(a, [&told, c] { told += c; }));
    sim.run_until_idle();
    orders.insert(told);
  }
  EXPECT_GT(orders.size(), 5U);
}

TEST(Sim, SeventyOneHoursAndFiftyNineMinutesPassAtOnce) {
  Sim sim(1);
  const QueueId q = sim.queue({.name = "q"});
  const Instant start = sim.now();
  bool due = false;
  sim.after(72h, q, [&] { due = true; });
  sim.advance(71h + 59min);
  EXPECT_FALSE(due);
  sim.advance(2min);
  EXPECT_TRUE(due);
  EXPECT_EQ(sim.now() - start, 72h + 1min);
}

TEST(Sim, ACancelledTimerDoesNotRun) {
  Sim sim(1);
  const QueueId q = sim.queue({.name = "q"});
  bool ran = false;
  const TimerId t = sim.after(1s, q, [&] { ran = true; });
  EXPECT_TRUE(sim.cancel(t));
  EXPECT_FALSE(sim.cancel(t));
  EXPECT_TRUE(sim.run_until_idle());
  EXPECT_FALSE(ran);
}

TEST(Sim, AFullQueueRefuses) {
  Sim sim(1);
  const QueueId q = sim.queue({.name = "q", .limit = 2});
  int ran = 0;
  EXPECT_TRUE(sim.post(q, [&] { ++ran; }));
  EXPECT_TRUE(sim.post(q, [&] { ++ran; }));
  EXPECT_FALSE(sim.post(q, [&] { ++ran; }));
  sim.run_until_idle();
  EXPECT_EQ(ran, 2);
}

TEST(Sim, ATaskThatComesBackForEverIsNotIdle) {
  Sim sim(1);
  const QueueId q = sim.queue({.name = "q"});
  int ticks = 0;
  std::function<void()> tick = [&] {
    ++ticks;
    sim.after(1min, q, tick);
  };
  tick();
  EXPECT_FALSE(sim.run_until_idle(10min));
  EXPECT_EQ(ticks, 11);
}

TEST(Sim, ABadClockDoesNotMoveTimers) {
  Sim sim(1);
  const QueueId q = sim.queue({.name = "q"});
  bool ran = false;
  sim.after(1h, q, [&] { ran = true; });
  sim.jump_clock(-24h);
  sim.advance(1h);
  EXPECT_TRUE(ran);
}

TEST(Sim, AFileOfTheSimulatedDiskSurvivesAPowerCutWhenItWasReplacedWhole) {
  Sim sim(5);
  ASSERT_TRUE(sim.files().make_dirs("/data"));
  ASSERT_TRUE(replace_file(sim.files(), "/data/state", "old"));
  sim.files().cut_power();
  EXPECT_EQ(read_file(sim.files(), "/data/state", 100).value(), "old");
}

namespace {

struct Talk {
  std::vector<std::string> at_hub, at_node;
  int hub_cuts = 0, node_cuts = 0;
};

// A node sends 20 numbers; the hub answers each.
Talk talk(Sim& sim, const std::function<void(std::shared_ptr<Link>)>& more = {}) {
  auto t = std::make_shared<Talk>();
  const QueueId hub = sim.queue({.name = "hub"}), node = sim.queue({.name = "node"});
  EXPECT_TRUE(sim.links().listen("hub", hub, [t](std::shared_ptr<Link> link) -> LinkEvents {
    return {.on_message =
                [t, link](std::string m) {
                  t->at_hub.push_back(m);
                  link->send("ok " + m);
                },
            .on_cut = [t] { ++t->hub_cuts; }};
  }));
  auto link = sim.links().connect(
      "hub", node,
      {.on_message = [t](std::string m) { t->at_node.push_back(std::move(m)); }, .on_cut = [t] { ++t->node_cuts; }});
  EXPECT_TRUE(link);
  for (int i = 0; i < 20; ++i) (*link)->send(std::to_string(i));
  if (more) more(*link);
  EXPECT_TRUE(sim.run_until_idle());
  return *t;
}

}  // namespace

TEST(SimLinks, FairWeatherDeliversAllInOrder) {
  Sim sim(3);
  const Talk t = talk(sim);
  ASSERT_EQ(t.at_hub.size(), 20U);
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(t.at_hub[static_cast<std::size_t>(i)], std::to_string(i));
    EXPECT_EQ(t.at_node[static_cast<std::size_t>(i)], "ok " + std::to_string(i));
  }
}

TEST(SimLinks, DelaysKeepTheOrder) {
  Sim sim(3);
  sim.set_weather({.min_delay = 1ms, .max_delay = 5s});
  const Instant start = sim.now();
  const Talk t = talk(sim);
  ASSERT_EQ(t.at_node.size(), 20U);
  for (int i = 0; i < 20; ++i) EXPECT_EQ(t.at_hub[static_cast<std::size_t>(i)], std::to_string(i));
  EXPECT_GT(sim.now() - start, 1s);
}

TEST(SimLinks, DuplicatesArriveTwice) {
  Sim sim(3);
  sim.set_weather({.duplicate = 1});
  EXPECT_EQ(talk(sim).at_hub.size(), 40U);
}

TEST(SimLinks, ACutLosesTheRestAndBothSidesLearnOnce) {
  int cut_somewhere = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    Sim sim(seed);
    sim.set_weather({.max_delay = 1s, .cut = 0.05});
    const Talk t = talk(sim);
    for (std::size_t i = 0; i < t.at_hub.size(); ++i)
      EXPECT_EQ(t.at_hub[i], std::to_string(i)) << "no gaps before the cut";
    EXPECT_LE(t.node_cuts, 1);
    EXPECT_LE(t.hub_cuts, 1);
    if (t.at_hub.size() < 20) {
      EXPECT_EQ(t.node_cuts, 1);
    }
    cut_somewhere += t.node_cuts;
  }
  EXPECT_GT(cut_somewhere, 10);
}

TEST(SimLinks, ACutThatLetsEarlierMessagesArriveLosesOnlyTheRest) {
  std::size_t arrived = 0;
  int cuts = 0;
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    Sim sim(seed);
    sim.set_weather({.max_delay = 1s, .cut = 0.1, .earlier_arrive = true});
    const Talk t = talk(sim);
    for (std::size_t i = 0; i < t.at_hub.size(); ++i) EXPECT_EQ(t.at_hub[i], std::to_string(i));
    if (t.at_hub.size() < 20) {
      EXPECT_EQ(t.node_cuts, 1);
      EXPECT_EQ(t.hub_cuts, 1);
    }
    arrived += t.at_hub.size();
    cuts += t.node_cuts;
  }
  EXPECT_GT(cuts, 20);
  EXPECT_GT(arrived, 30U * 5U) << "all are sent at once: what went before the cut is there";
}

TEST(SimLinks, AnAddressThatIsAwayCutsItsLinksAndRefusesNewOnes) {
  Sim sim(3);
  const Talk t = talk(sim, [&](const std::shared_ptr<Link>& link) {
    sim.set_reachable("hub", false);
    EXPECT_FALSE(link->send("late"));
    EXPECT_EQ(sim.links().connect("hub", QueueId{0}, {}).error().code, Code::unavailable);
    sim.set_reachable("hub", true);
    EXPECT_TRUE(sim.links().connect("hub", QueueId{0}, {}));
  });
  EXPECT_EQ(t.at_hub.size(), 0U);
  EXPECT_EQ(t.node_cuts, 1);
  EXPECT_FALSE(sim.links().listen("hub", QueueId{0}, {})) << "an address has one listener";
}

TEST(Threads, RunsPostedTasksInOrder) {
  Threads threads;
  const QueueId q = threads.queue({.name = "q"});
  std::string told;
  std::promise<void> done;
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(threads.post(q, [&told, i] { told += static_cast<char>('0' + i % 10); }));
  ASSERT_TRUE(threads.post(q, [&] { done.set_value(); }));
  ASSERT_EQ(done.get_future().wait_for(10s), std::future_status::ready);
  ASSERT_EQ(told.size(), 100U);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(told[static_cast<std::size_t>(i)], static_cast<char>('0' + i % 10));
}

TEST(Threads, TimersRunInTheOrderOfTheirTimeAndCancelledOnesNot) {
  Threads threads;
  const QueueId q = threads.queue({.name = "q"});
  std::string told;
  std::promise<void> done;
  threads.after(20ms, q, [&] {
    told += 'c';
    done.set_value();
  });
  threads.after(10ms, q, [&] { told += 'b'; });
  threads.after(0ms, q, [&] { told += 'a'; });
  EXPECT_TRUE(threads.cancel(threads.after(1ms, q, [&] { told += 'x'; })) || told.find('x') != std::string::npos);
  ASSERT_EQ(done.get_future().wait_for(10s), std::future_status::ready);
  std::erase(told, 'x');
  EXPECT_EQ(told, "abc");
}

TEST(Threads, AFullQueueRefusesAndTheDestructorDropsWhatWaits) {
  std::atomic<int> ran{0};
  std::promise<void> go;
  auto gate = go.get_future().share();
  {
    Threads threads;
    const QueueId q = threads.queue({.name = "q", .limit = 1});
    std::promise<void> started;
    ASSERT_TRUE(threads.post(q, [&started, gate, &ran] {
      started.set_value();
      gate.wait();
      ++ran;
    }));
    started.get_future().wait();
    ASSERT_TRUE(threads.post(q, [&ran] { ran += 100; }));
    EXPECT_FALSE(threads.post(q, [&ran] { ran += 100; }));
    threads.after(100h, q, [&ran] { ran += 1000; });
    std::thread opener([&go] { go.set_value(); });
    opener.join();
  }
  EXPECT_TRUE(ran == 1 || ran == 101) << ran;  // the waiting task may have been taken before the end
}

TEST(Threads, LinksTalkBetweenQueues) {
  Threads threads;
  const QueueId hub = threads.queue({.name = "hub"}), node = threads.queue({.name = "node"});
  ASSERT_TRUE(threads.links().listen("hub", hub, [](std::shared_ptr<Link> link) -> LinkEvents {
    return {.on_message = [link](std::string m) { link->send(m + "!"); }, .on_cut = {}};
  }));
  std::promise<std::string> answer;
  auto link = threads.links().connect(
      "hub", node, {.on_message = [&](std::string m) { answer.set_value(std::move(m)); }, .on_cut = {}});
  ASSERT_TRUE(link);
  EXPECT_TRUE((*link)->send("hello"));
  auto got = answer.get_future();
  ASSERT_EQ(got.wait_for(10s), std::future_status::ready);
  EXPECT_EQ(got.get(), "hello!");
  (*link)->close();
}

TEST(Runtime, RandomNumbersBelowABoundAreFairAndBelowIt) {
  Sim sim(11);
  std::array<int, 6> seen{};
  for (int i = 0; i < 6000; ++i) ++seen[sim.random_below(6)];
  for (int n : seen) EXPECT_NEAR(n, 1000, 150);
}

}  // namespace bavn
