// Erasure of a source, a day, a person: nobody reads it any more, the index forgets it, the rest stays.
#include "base/log.hpp"
#include "history/testing.hpp"
#include "store/kv.hpp"

namespace bavn::history::testing {
namespace {

using namespace std::chrono_literals;

TEST(Erasure, OfASourceMakesItsFramesUnreadableAndLeavesTheOthers) {
  SimStore s;
  s.open();
  ASSERT_TRUE(append(*s.history, "keep", {"w=1 keep"}));
  ASSERT_TRUE(append(*s.history, "gone", {"w=1 gone", "w=2"}));
  auto refs = s.history->lookup(owner(), word_posting(hash64("w=2"))).value();
  const Source gone{"gone", MunicipalityId{1}, TenantId{1}};
  const auto report = s.history->erase_source(owner(), gone);
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_EQ(report->keys_deleted, 1U);
  EXPECT_EQ(report->records_erased, 2U);
  FrameText text;
  EXPECT_EQ(s.history->read(owner(), refs.at(0), text).error().code, Code::not_found)
      << "who held a reference reads nothing";
  refs.clear();
  EXPECT_EQ(find(*s.history, "w=1").value(), std::vector<std::string>{"w=1 keep"});
  EXPECT_TRUE(find(*s.history, "w=2").value().empty());
  EXPECT_FALSE(s.history->seen(owner(), word_posting(hash64("w=2"))).value());
  ASSERT_TRUE(append(*s.history, "gone", {"w=2 again"}));  // a new key; old frames stay erased
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(everything(*s.history), (std::multiset<std::string>{"w=1 keep", "w=2 again"}));
    expect_sound(*s.history);
    s.open();
  }
}

TEST(Erasure, OfASourceHoldsWhenTheRewriteFailsHalfway) {
  SimStore s;
  s.open();
  ASSERT_TRUE(append(*s.history, "keep", {"w=1 keep"}));
  ASSERT_TRUE(append(*s.history, "gone", {"w=1 gone"}));
  ASSERT_TRUE(s.history->seal_now(owner()));
  const Source gone{"gone", MunicipalityId{1}, TenantId{1}};
  // The keyring is replaced with 6 writing calls; the fault hits the rewrite behind it.
  s.sim.files().fail_at(9, SimFiles::Fault::no_space, 3);
  log::Capture quiet;
  EXPECT_FALSE(s.history->erase_source(owner(), gone));
  s.sim.files().fail_at(0, SimFiles::Fault::no_space);
  EXPECT_EQ(everything(*s.history), std::multiset<std::string>{"w=1 keep"});
  s.sim.files().cut_power();
  s.open();
  EXPECT_EQ(everything(*s.history), std::multiset<std::string>{"w=1 keep"});
  ASSERT_TRUE(append(*s.history, "gone", {"w=3"}));
  EXPECT_EQ(s.history->check(owner())->erased_frames, 1U);
  EXPECT_TRUE(s.history->erase_source(owner(), gone, 0, 1));  // other days: nothing
  EXPECT_EQ(find(*s.history, "w=3").value().size(), 1U);
  expect_sound(*s.history);
}

TEST(Erasure, OfADayTakesThatDayOnly) {
  SimStore s;
  s.open();
  for (int day = 0; day < 3; ++day) {
    ASSERT_TRUE(append(*s.history, "a", {"w=x day=" + std::to_string(day)}));
    s.sim.advance(24h);
  }
  const std::int32_t today = day_of(micros(s.sim.now()));
  const auto report = s.history->erase_day(owner(), today - 2);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->records_erased, 1U);
  EXPECT_EQ(everything(*s.history), (std::multiset<std::string>{"w=x day=0", "w=x day=2"}));
  s.open();
  EXPECT_EQ(find(*s.history, "w=x").value().size(), 2U);
  expect_sound(*s.history);
}

class ErasedPerson : public ::testing::TestWithParam<bool> {};

TEST_P(ErasedPerson, LeavesNoTraceInSegmentsIndexOrDictionariesAndThereIsProof) {
  const bool by_index = GetParam();
  SimStore s;
  s.options.segment_bytes = 30'000;
  s.open();
  std::mt19937_64 random(3);
  std::uint64_t number = 0;
  std::multiset<std::string> others;
  std::size_t theirs = 0;
  for (int i = 0; i < 900; ++i) {
    auto lines = some_lines(random, 5, number);
    others.insert(lines.begin(), lines.end());
    if (i % 20 == 0) {
      lines.insert(lines.begin() + 2,
                   "mail=Karla.Nielsen@example.org sent something n=" + std::to_string(1'000'000 + i));
      ++theirs;
    }
    ASSERT_TRUE(append(*s.history, "s" + std::to_string(i % 2), lines, batch_id(static_cast<std::uint64_t>(i) + 1)));
    if (i % 100 == 0) s.sim.advance(1s);
  }
  const std::string word = "mail=Karla.Nielsen@example.org";
  EXPECT_EQ(find(*s.history, word).value().size(), theirs);
  PersonErasure person;
  if (by_index) {
    person.observables = {word_posting(hash64(word))};
    person.concerns = [&](const FrameInfo&, std::string_view, std::string_view line) {
      return line.find(word) != std::string_view::npos;
    };
  } else {
    person.texts = {"karla.nielsen@"};
  }
  const auto report = s.history->erase_person(owner(), person);
  ASSERT_TRUE(report) << to_string(report.error());
  EXPECT_EQ(report->records_erased, theirs);
  EXPECT_EQ(report->frames.size(), theirs);
  for (const auto& f : report->frames) {
    EXPECT_EQ(f.records_before, 6U);
    EXPECT_EQ(f.records_after, 5U);
    EXPECT_EQ(f.hash_before.size(), 64U);
    EXPECT_NE(f.hash_before, f.hash_after);
  }
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(everything(*s.history), others);
    EXPECT_TRUE(s.history->lookup(owner(), word_posting(hash64(word)))->empty());
    EXPECT_FALSE(s.history->seen(owner(), word_posting(hash64(word))).value());
    expect_sound(*s.history);
    EXPECT_TRUE(append(*s.history, "s1", {"w=dup"}, batch_id(2)).value().duplicate) << "batch ids survive the rewrite";
    s.open();
  }
  s.history.reset();
  // By the bytes of the index itself: the key is gone, not just unreachable.
  const auto kv = open_index(s);
  std::size_t left = 0;
  ASSERT_TRUE(kv->scan(0, index_prefix(static_cast<std::uint8_t>(kWord), hash64(word)),
                       [&](auto, auto) { return ++left > 0; }));
  if (by_index) {
    EXPECT_EQ(left, 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(ByIndexAndByText, ErasedPerson, ::testing::Bool());

TEST(Erasure, RefusesWhatWouldEraseTooMuchOrNothing) {
  SimStore s;
  s.open();
  EXPECT_EQ(s.history->erase_person(owner(), {}).error().code, Code::bad_input);
  PersonErasure short_text;
  short_text.texts = {"a"};
  EXPECT_EQ(s.history->erase_person(owner(), short_text).error().code, Code::bad_input);
}

}  // namespace
}  // namespace bavn::history::testing
