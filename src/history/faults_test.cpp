// Broken disks, torn tails, flipped bits, power cuts.
#include "base/log.hpp"
#include "history/testing.hpp"

namespace bavn::history::testing {
namespace {

using namespace std::chrono_literals;

TEST(Faults, ATornLastFrameIsCutAtAnyByteAndTheRestStays) {
  SimStore s;
  s.open();
  ASSERT_TRUE(append(*s.history, "a", {"w=first"}));
  const std::uint64_t before = s.history->stats().segment_bytes;
  ASSERT_TRUE(append(*s.history, "a", {"w=last and some more text"}));
  const std::uint64_t whole = s.history->stats().segment_bytes;
  s.history.reset();
  const std::string original = read_file(s.sim.files(), s.segment(1), 1 << 20).value();
  const std::string manifest = read_file(s.sim.files(), "/data/history/MANIFEST", 1 << 20).value();
  ASSERT_EQ(original.size(), whole);
  for (std::uint64_t cut = before; cut < whole; cut += 7) {
    for (const bool garbage : {false, true}) {
      std::filesystem::remove_all(s.options.index_path);
      for (const auto& path : {s.segment(1) + ".dir"}) (void)s.sim.files().unlink(path);
      ASSERT_TRUE(replace_file(s.sim.files(), "/data/history/MANIFEST", manifest));
      ASSERT_TRUE(
          replace_file(s.sim.files(), s.segment(1), original.substr(0, cut) + (garbage ? std::string(300, 'x') : "")));
      log::Capture log;
      s.open();
      EXPECT_EQ(find(*s.history, "w=first").value().size(), 1U) << cut;
      EXPECT_TRUE(find(*s.history, "w=last").value().empty()) << cut;
      EXPECT_EQ(log.lines().find("history_tail_cut") != std::string::npos, cut > before || garbage);
      expect_sound(*s.history);
      s.history.reset();
    }
  }
}

TEST(Faults, AFlippedBitIsNoticedAndNeverServed) {
  for (const bool sealed : {false, true}) {
    SimStore s;
    s.open();
    ASSERT_TRUE(append(*s.history, "a", {"w=1 the quick brown fox"}));
    ASSERT_TRUE(append(*s.history, "a", {"w=2 jumps over the lazy dog"}));
    if (sealed) {
      ASSERT_TRUE(s.history->seal_now(owner()));
    }
    const std::uint64_t size = s.history->stats().segment_bytes;
    for (std::uint64_t byte = kSegmentHeaderBytes; byte < size; byte += 3) {
      s.sim.files().flip_bit(s.segment(1), byte, byte % 8);
      int served = 0, refused = 0;
      for (const char* w : {"w=1", "w=2"}) {
        const auto found = find(*s.history, w);
        if (found && found->size() == 1) ++served;
        else if (!found && found.error().code == Code::corrupt) ++refused;
      }
      EXPECT_EQ(served, 1) << byte;
      EXPECT_EQ(refused, 1) << byte;
      EXPECT_EQ(s.history->check(owner())->problem_count, 1U);
      std::size_t given = 0;
      const auto walk =
          s.history->for_each_frame(owner(), {}, {}, [&](const FrameInfo&, const FrameText&) { return ++given > 0; });
      EXPECT_FALSE(walk);
      EXPECT_EQ(given, 1U);
      s.sim.files().flip_bit(s.segment(1), byte, byte % 8);
    }
    expect_sound(*s.history);
  }
}

TEST(Faults, DamageInTheMiddleOfTheOpenSegmentCostsThatFrameOnly) {
  SimStore s;
  s.open();
  ASSERT_TRUE(append(*s.history, "a", {"w=1"}));
  const std::uint64_t first = s.history->stats().segment_bytes;
  ASSERT_TRUE(append(*s.history, "a", {"w=2"}));
  ASSERT_TRUE(append(*s.history, "a", {"w=3"}));
  s.history.reset();
  s.sim.files().flip_bit(s.segment(1), first + 40, 2);
  log::Capture log;
  s.open();
  EXPECT_NE(log.lines().find("history_damaged"), std::string::npos);
  EXPECT_EQ(everything(*s.history), (std::multiset<std::string>{"w=1", "w=3"}));
  EXPECT_EQ(find(*s.history, "w=3").value().size(), 1U);
  // and it stays said, as long as the segment is there
  s.history.reset();
  s.open();
  const auto report = s.history->check(owner());
  ASSERT_TRUE(report);
  ASSERT_EQ(report->problem_count, 1U);
  EXPECT_NE(report->problems[0].find("damaged before a restart"), std::string::npos) << report->problems[0];
}

TEST(Faults, ADamagedOrMissingDirectoryIsMadeAgain) {
  SimStore s;
  s.open();
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(append(*s.history, "a", {"w=" + std::to_string(i)}));
  ASSERT_TRUE(s.history->seal_now(owner()));
  s.history.reset();
  s.sim.files().flip_bit(s.segment(1) + ".dir", 20, 1);
  s.open();
  EXPECT_EQ(find(*s.history, "w=7").value().size(), 1U);
  s.history.reset();
  ASSERT_TRUE(s.sim.files().unlink(s.segment(1) + ".dir"));
  s.open();
  EXPECT_EQ(find(*s.history, "w=7").value().size(), 1U);
  expect_sound(*s.history);
}

TEST(Faults, ADamagedManifestOrKeyringIsSaid) {
  SimStore s;
  s.open();
  ASSERT_TRUE(append(*s.history, "a", {"w=1"}));
  s.history.reset();
  s.sim.files().flip_bit("/data/history/MANIFEST", 8, 1);
  EXPECT_EQ(s.try_open().error().code, Code::corrupt);
  s.sim.files().flip_bit("/data/history/MANIFEST", 8, 1);
  s.sim.files().flip_bit("/data/history/keys/node.key", 8, 1);
  EXPECT_EQ(s.try_open().error().code, Code::corrupt);
  s.sim.files().flip_bit("/data/history/keys/node.key", 8, 1);
  s.open();
  EXPECT_EQ(find(*s.history, "w=1").value().size(), 1U);
  s.history.reset();
  ASSERT_TRUE(s.sim.files().unlink("/data/history/keys/node.key"));
  EXPECT_EQ(s.try_open().error().code, Code::corrupt);
}

/// Appends, seals and packs with a fault at the n-th writing call; then cuts the power. What was acknowledged must be there,
/// exactly once; what was refused may be there at most once.
void survive(std::uint64_t n, std::uint64_t times, SimFiles::Fault fault, std::uint64_t seed, bool* reached) {
  SCOPED_TRACE("fault at call " + std::to_string(n) + " for " + std::to_string(times) + ", seed " +
               std::to_string(seed));
  SimStore s(seed);
  s.options.segment_bytes = 1200;
  log::Capture quiet;
  s.open();
  const std::uint64_t calls_at_open = s.sim.files().writing_calls();
  s.sim.files().fail_at(n, fault, times);
  std::map<std::string, bool> lines;  // acknowledged?
  for (std::uint64_t i = 0; i < 16; ++i) {
    const std::string word = "w=" + std::to_string(i);
    const std::string line = word + " some text to fill the segment with " + std::to_string(i * 7919);
    const auto ack = append(*s.history, "s" + std::to_string(i % 2), {line}, batch_id(i + 1));
    bool acked = ack.has_value();
    if (!acked) {
      EXPECT_EQ(ack.error().code, Code::unavailable);
      EXPECT_FALSE(s.history->stats().failing.empty());
      acked = append(*s.history, "s" + std::to_string(i % 2), {line}, batch_id(i + 1))
                  .has_value();  // the sender tries again
    }
    lines[line] = acked;
    if (acked) {
      const auto found = find(*s.history, word);
      EXPECT_TRUE(found && found->size() == 1) << word;
    }
    s.sim.advance(1s);
    if (i == 12) {
      s.sim.advance(72h);
      (void)s.history->pack(owner());
      if (seed % 4 == 1) break;  // the power goes right after
    }
    if (i == 14) (void)s.history->retain(owner(), 400);
  }
  *reached = s.sim.files().writing_calls() - calls_at_open >= n;
  EXPECT_EQ(s.sim.files().faults_given() > 0, *reached);
  for (const auto& [line, acked] : lines) {
    const auto found = find(*s.history, line.substr(0, line.find(' ')));
    ASSERT_TRUE(found);
    EXPECT_EQ(found->size(), acked ? 1U : found->size());
    EXPECT_LE(found->size(), 1U);
  }
  expect_sound(*s.history);
  s.sim.files().fail_at(0, fault);
  s.sim.files().cut_power();
  s.open();
  for (const auto& [line, acked] : lines) {
    const auto found = find(*s.history, line.substr(0, line.find(' ')));
    ASSERT_TRUE(found);
    EXPECT_LE(found->size(), 1U) << line;
    EXPECT_TRUE(found->size() == 1 || !acked) << line;
  }
  expect_sound(*s.history);
}

TEST(Faults, AFileThatARewriteLeftBehindDoesNotComeBack) {
  SimStore s;
  s.open();
  ASSERT_TRUE(append(*s.history, "a", {"w=1"}));
  ASSERT_TRUE(s.history->seal_now(owner()));
  const std::string old = read_file(s.sim.files(), s.segment(1), 1 << 20).value();
  s.sim.advance(72h);
  ASSERT_EQ(s.history->pack(owner()).value(), 1U);
  ASSERT_TRUE(append(*s.history, "a", {"w=2"}));
  s.history.reset();
  ASSERT_TRUE(replace_file(s.sim.files(), s.segment(1), old));  // as if the crash came before the unlink
  s.open();
  EXPECT_EQ(everything(*s.history), (std::multiset<std::string>{"w=1", "w=2"}));
  expect_sound(*s.history);
}

TEST(Faults, AFullOrFailingDiskAtEveryCallIsSurvivedAndSaid) {
  bool reached = true;
  for (std::uint64_t n = 1; reached && !HasFatalFailure(); ++n)
    survive(n, n % 3 == 0 ? 5 : 1, n % 2 == 0 ? SimFiles::Fault::no_space : SimFiles::Fault::io_error, n, &reached);
  EXPECT_FALSE(reached) << "the loop ended for another reason";
}

TEST(Faults, ADiskThatStaysFullRefusesAndWorksAgainWhenThereIsRoom) {
  SimStore s;
  s.open();
  log::Capture log;
  ASSERT_TRUE(append(*s.history, "a", {"w=before"}));
  s.sim.files().fail_at(1, SimFiles::Fault::no_space, 1000);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(append(*s.history, "a", {"w=full"}).error().code, Code::unavailable);
  EXPECT_NE(s.history->stats().failing.find("No space left"), std::string::npos);
  EXPECT_EQ(find(*s.history, "w=before").value().size(), 1U);
  EXPECT_TRUE(find(*s.history, "w=full").value().empty());
  s.sim.files().fail_at(0, SimFiles::Fault::no_space);
  EXPECT_TRUE(append(*s.history, "a", {"w=after"}));
  EXPECT_TRUE(s.history->stats().failing.empty());
  EXPECT_NE(log.lines().find("history_append_failed"), std::string::npos);
  EXPECT_NE(log.lines().find("history_append_works_again"), std::string::npos);
}

TEST(Faults, PowerCutsAtRandomMomentsLoseNothingAcknowledged) {
  for (std::uint64_t seed = 1; seed <= 16; ++seed) {
    SCOPED_TRACE(seed);
    log::Capture quiet;
    SimStore s(seed);
    s.options.segment_bytes = 3000;
    std::mt19937_64 random(seed);
    std::multiset<std::string> acked;
    std::uint64_t number = 0;
    for (int life = 0; life < 3; ++life) {
      s.open();
      ASSERT_EQ(everything(*s.history), acked);
      for (std::uint64_t i = random() % 25; i > 0; --i) {
        const auto lines = some_lines(random, 1 + random() % 5, number);
        ASSERT_TRUE(append(*s.history, "s" + std::to_string(random() % 3), lines));
        acked.insert(lines.begin(), lines.end());
        if (random() % 10 == 0) s.sim.advance(1s);
      }
      s.sim.files().cut_power();
    }
    s.open();
    ASSERT_EQ(everything(*s.history), acked);
    expect_sound(*s.history);
  }
}

}  // namespace
}  // namespace bavn::history::testing
