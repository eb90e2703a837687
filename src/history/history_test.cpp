#include "history/history.hpp"

#include <thread>

#include "base/threads.hpp"
#include "history/inner.hpp"
#include "history/testing.hpp"

namespace bavn::history::testing {
namespace {

using namespace std::chrono_literals;

TEST(Cache, HoldsUpToItsWeightAndOneAtLeast) {
  Cache<int, std::string> c(10);
  for (int i = 0; i < 4; ++i) c.keep(i, std::make_shared<std::string>(std::to_string(i)), 3);
  EXPECT_EQ(c.find(0), nullptr);  // the first in is the first out
  ASSERT_NE(c.find(1), nullptr);
  EXPECT_EQ(*c.find(3), "3");
  c.keep(1, std::make_shared<std::string>("another"), 3);  // there already
  EXPECT_EQ(*c.find(1), "1");
  c.keep(4, std::make_shared<std::string>("large"), 100);
  EXPECT_EQ(c.find(3), nullptr);
  EXPECT_EQ(*c.find(4), "large");
  c.keep(5, std::make_shared<std::string>("5"), 3);
  EXPECT_EQ(c.find(4), nullptr);
  c.clear();
  EXPECT_EQ(c.find(5), nullptr);
  for (int i = 6; i < 9; ++i) c.keep(i, std::make_shared<std::string>("x"), 3);
  EXPECT_NE(c.find(6), nullptr);
}

TEST(History, AnAcknowledgedRecordIsFoundAtOnce) {
  SimStore s;
  s.open();
  const auto ack = append(*s.history, "dns", {"host=a.example.org x", "host=b.example.org y"}, {}, 0, "header line");
  ASSERT_TRUE(ack) << to_string(ack.error());
  EXPECT_EQ(find(*s.history, "host=a.example.org").value(), std::vector<std::string>{"host=a.example.org x"});
  EXPECT_TRUE(find(*s.history, "host=c.example.org").value().empty());
  const auto refs = s.history->lookup(owner(), word_posting(hash64("host=b.example.org"))).value();
  ASSERT_EQ(refs.size(), 1U);
  FrameText text;
  ASSERT_TRUE(s.history->read(owner(), refs[0], text));
  EXPECT_EQ(text.context(), "header line");
  EXPECT_EQ(text.received_us(1), micros(s.sim.now()));
  EXPECT_EQ(refs[0].info.source.name, "dns");
  EXPECT_EQ(refs[0].info.format, "words");
  EXPECT_EQ(refs[0].info.count, 2U);
}

TEST(History, EverythingIsThereAfterSealsAndRestarts) {
  SimStore s;
  s.options.segment_bytes = 8000;
  std::multiset<std::string> model;
  std::mt19937_64 random(7);
  std::uint64_t number = 0;
  for (int life = 0; life < 4; ++life) {
    s.open();
    EXPECT_EQ(everything(*s.history), model);
    for (int i = 0; i < 60; ++i) {
      const auto lines = some_lines(random, 1 + random() % 40, number);
      ASSERT_TRUE(append(*s.history, "source" + std::to_string(random() % 5), lines));
      model.insert(lines.begin(), lines.end());
      s.sim.advance(1s);
    }
    EXPECT_EQ(everything(*s.history), model);
    expect_sound(*s.history);
  }
  EXPECT_GT(s.history->stats().seals, 1U);
  for (std::uint64_t n = 0; n < number; n += 97)
    EXPECT_EQ(find(*s.history, "n=" + std::to_string(n)).value().size(), 1U) << n;
  std::size_t expected = 0;
  for (const auto& l : model) expected += l.find("host=h7.example.org ") != std::string::npos ? 1U : 0U;
  EXPECT_EQ(find(*s.history, "host=h7.example.org").value().size(), expected);
  const auto seen = s.history->seen(owner(), word_posting(hash64("host=h7.example.org"))).value();
  ASSERT_TRUE(seen);
  EXPECT_EQ(seen->count, expected);
  EXPECT_FALSE(s.history->seen(owner(), word_posting(hash64("host=never"))).value());
}

TEST(History, ARangeOfHashesFindsTheFramesOfAllThatLieInIt) {
  SimStore s;
  s.options.segment_bytes = 30'000;
  s.open();
  std::mt19937_64 random(13);
  std::uint64_t number = 0;
  std::set<std::uint64_t> hashes{0, ~0ULL};
  const auto more = [&] {
    for (int i = 0; i < 40; ++i) {
      const std::uint64_t first = number;
      ASSERT_TRUE(append(*s.history, "a", some_lines(random, 1 + random() % 20, number)));
      for (std::uint64_t n = first; n < number; ++n) hashes.insert(hash64("n=" + std::to_string(n)));
    }
  };
  const auto agrees = [&](std::uint64_t first, std::uint64_t last) {
    std::set<std::pair<std::uint32_t, std::uint32_t>> one_by_one;
    for (auto it = hashes.lower_bound(first); it != hashes.end() && *it <= last; ++it) {
      const auto found = s.history->lookup(owner(), word_posting(*it)).value();
      for (const auto& r : found) one_by_one.emplace(r.info.segment, r.info.frame);
    }
    const auto refs = s.history->lookup(owner(), PostingRange{word_posting(0).kind, first, last}).value();
    std::vector<std::pair<std::uint32_t, std::uint32_t>> places;
    for (const auto& r : refs) places.emplace_back(r.info.segment, r.info.frame);
    // Newest first, each once. Hosts and users are no part of the range's truth: nothing but numbers is asked for one by one.
    EXPECT_TRUE(std::is_sorted(places.rbegin(), places.rend()));
    EXPECT_EQ(std::adjacent_find(places.begin(), places.end()), places.end());
    for (const auto& place : one_by_one) EXPECT_TRUE(std::find(places.begin(), places.end(), place) != places.end());
    if (one_by_one.size() > 3) {
      Filter three;
      three.limit = 3;
      const auto some = s.history->lookup(owner(), PostingRange{word_posting(0).kind, first, last}, three).value();
      EXPECT_EQ(some.size(), 3U);
      EXPECT_EQ(some.back().info.frame, refs[2].info.frame);
    }
    return places.size();
  };
  more();
  ASSERT_TRUE(s.history->seal_now(owner()));
  more();  // what is sealed, what is sealed next, what is open
  for (int life = 0; life < 2; ++life) {
    const std::vector<std::uint64_t> all(hashes.begin(), hashes.end());
    for (int i = 0; i < 200; ++i) {
      const std::size_t at = random() % (all.size() - 20);
      agrees(all[at], all[at + random() % 20]);
    }
    EXPECT_EQ(agrees(0, ~0ULL), s.history->stats().frames);
    EXPECT_EQ(s.history->lookup(owner(), PostingRange{99, 0, ~0ULL})->size(), 0U);
    ASSERT_TRUE(s.history->seal_now(owner()));
  }
}

TEST(History, AnIndexOfAnotherFormIsMadeAgain) {
  SimStore s;
  s.open();
  ASSERT_TRUE(append(*s.history, "a", {"w=1 n=1", "w=2 n=2"}));
  ASSERT_TRUE(s.history->seal_now(owner()));
  s.history.reset();
  {
    const auto kv = open_index(s);
    std::uint32_t segment = 0;
    std::string digest;
    ASSERT_TRUE(kv->scan(0, index_prefix(0, kIndexForm), [&](std::string_view key, std::string_view value) {
      segment = decode_index_key(key)->segment;
      digest = value;
      return true;
    }));
    ASSERT_NE(segment, 0U);
    ASSERT_TRUE(kv->clear(0));
    ASSERT_TRUE(kv->put(0, index_key(0, kIndexForm - 1, segment), digest));
    ASSERT_TRUE(kv->put(0, index_key(word_posting(0).kind, 17, segment), encode(IndexValue{1, {0}})));
    ASSERT_TRUE(kv->flush(0));
  }
  s.open();
  EXPECT_EQ(find(*s.history, "w=2").value().size(), 1U);
  EXPECT_TRUE(s.history->lookup(owner(), word_posting(17))->empty()) << "what the old form said is gone";
  expect_sound(*s.history);
}

TEST(History, ASegmentIsSealedByItsAgeAndAtMidnight) {
  SimStore s;
  s.options.segment_age = 60min;
  s.open();
  ASSERT_TRUE(append(*s.history, "a", {"w=1"}));
  s.sim.advance(59min);
  EXPECT_EQ(s.history->stats().seals, 0U);
  s.sim.advance(2min);
  EXPECT_EQ(s.history->stats().seals, 1U);
  s.options.segment_age = 48h;
  s.open();
  ASSERT_TRUE(append(*s.history, "a", {"w=2"}));
  s.sim.advance(24h);
  ASSERT_TRUE(append(*s.history, "a", {"w=3"}));
  s.sim.advance(1s);
  const auto segments = s.history->segments(owner());
  ASSERT_EQ(segments.size(), 3U);
  EXPECT_EQ(segments[0].day, segments[1].day + 1);
  EXPECT_EQ(find(*s.history, "w=2").value().size(), 1U);
}

TEST(History, TheSameBatchTwiceIsStoredOnceAlsoAfterARestart) {
  SimStore s;
  s.open();
  const Ack first = append(*s.history, "a", {"w=1", "w=2"}, batch_id(1)).value();
  EXPECT_FALSE(first.duplicate);
  const Ack again = append(*s.history, "a", {"w=1", "w=2"}, batch_id(1)).value();
  EXPECT_TRUE(again.duplicate);
  EXPECT_EQ(again.frame, first.frame);
  EXPECT_FALSE(append(*s.history, "b", {"w=1"}, batch_id(1)).value().duplicate) << "another source has ids of its own";
  s.open();
  EXPECT_TRUE(append(*s.history, "a", {"w=1", "w=2"}, batch_id(1)).value().duplicate);
  ASSERT_TRUE(s.history->seal_now(owner()));
  s.open();
  EXPECT_TRUE(append(*s.history, "a", {"w=1", "w=2"}, batch_id(1)).value().duplicate);
  EXPECT_EQ(find(*s.history, "w=2").value().size(), 1U);
  s.sim.advance(25h);
  EXPECT_FALSE(append(*s.history, "a", {"w=1", "w=2"}, batch_id(1)).value().duplicate) << "ids are remembered for 24 h";
}

TEST(History, BatchesOfOneCallAreAcknowledgedTogetherAndDuplicatesInItAreSeen) {
  SimStore s;
  s.open();
  const std::vector<std::int64_t> times(1, 0);
  std::vector<Batch> batches(3);
  for (std::size_t i = 0; i < 3; ++i) {
    batches[i].source = i == 1 ? "b" : "a";
    batches[i].format = "words";
    batches[i].lines = "w=1";
    batches[i].count = 1;
    batches[i].happened_us = times;
    batches[i].id = batch_id(9);
  }
  const auto acks = s.history->append(owner(), batches).value();
  EXPECT_FALSE(acks[0].duplicate);
  EXPECT_FALSE(acks[1].duplicate);
  EXPECT_TRUE(acks[2].duplicate);
  EXPECT_EQ(acks[2].frame, acks[0].frame);
}

TEST(History, FiltersByTimeSourceFormatAndLimit) {
  SimStore s;
  s.open();
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(
        append(*s.history, i % 2 == 0 ? "even" : "odd", {"w=x n=" + std::to_string(i)}, {}, 1'000'000LL * (i + 1)));
  for (int sealed = 0; sealed < 2; ++sealed) {
    EXPECT_EQ(find(*s.history, "w=x").value().size(), 20U);
    Filter even, span, other, three;
    even.source = "even";
    span.from_us = 5'000'000;
    span.until_us = 7'000'000;
    other.format = "other";
    three.limit = 3;
    EXPECT_EQ(find(*s.history, "w=x", even).value().size(), 10U);
    EXPECT_EQ(find(*s.history, "w=x", span).value().size(), 3U);
    EXPECT_EQ(find(*s.history, "w=x", other).value().size(), 0U);
    const auto newest = find(*s.history, "w=x", three).value();
    ASSERT_EQ(newest.size(), 3U);
    EXPECT_EQ(newest[0], "w=x n=19");
    ASSERT_TRUE(s.history->seal_now(owner()));
  }
}

TEST(History, ScopesAreEnforced) {
  SimStore s;
  s.open();
  ASSERT_TRUE(append(*s.history, "a", {"w=1"}));
  const auto bits = [](std::initializer_list<event::Right> rights) {
    std::uint32_t all = 0;
    for (const auto r : rights) all |= static_cast<std::uint32_t>(r);
    return all;
  };
  const event::Scope other("other", {MunicipalityId{2}},
                           bits({event::Right::hunt, event::Right::event_read, event::Right::event_write}),
                           event::Tlp::red);
  EXPECT_TRUE(s.history->lookup(other, word_posting(hash64("w=1")))->empty());
  EXPECT_FALSE(s.history->seen(other, word_posting(hash64("w=1"))).value());
  const auto refs = s.history->lookup(owner(), word_posting(hash64("w=1"))).value();
  FrameText text;
  EXPECT_EQ(s.history->read(other, refs.at(0), text).error().code, Code::forbidden);
  ASSERT_TRUE(s.history->seal_now(owner()));
  EXPECT_TRUE(s.history->lookup(other, word_posting(hash64("w=1")))->empty());
  EXPECT_FALSE(s.history->seen(other, word_posting(hash64("w=1"))).value());
  EXPECT_TRUE(s.history->segments(other).empty());
  EXPECT_EQ(s.history->retain(other, 1).error().code, Code::forbidden);
  EXPECT_EQ(s.history->erase_day(other, 1).error().code, Code::forbidden);
  EXPECT_EQ(s.history->check(other).error().code, Code::forbidden);
  const event::Scope nobody("nobody", {MunicipalityId{1}}, 0, event::Tlp::clear);
  EXPECT_EQ(s.history->lookup(nobody, word_posting(1)).error().code, Code::forbidden);
  const std::vector<std::int64_t> times(1, 0);
  Batch b;
  b.source = "a";
  b.format = "words";
  b.municipality = MunicipalityId{1};
  b.lines = "x";
  b.count = 1;
  b.happened_us = times;
  EXPECT_EQ(s.history->append(other, b).error().code, Code::forbidden);
}

TEST(History, RefusesBatchesThatContradictThemselves) {
  SimStore s;
  s.open();
  const std::vector<std::int64_t> times(2, 0);
  const auto refused = [&](auto change) {
    Batch b;
    b.source = "a";
    b.format = "words";
    b.lines = "x\ny";
    b.count = 2;
    b.happened_us = times;
    change(b);
    const auto r = s.history->append(owner(), b);
    return !r && r.error().code == Code::bad_input;
  };
  EXPECT_FALSE(refused([](Batch&) {}));
  EXPECT_TRUE(refused([](Batch& b) { b.lines = "x\ny\n"; }));
  EXPECT_TRUE(refused([](Batch& b) { b.count = 1; }));
  EXPECT_TRUE(refused([](Batch& b) { b.happened_us = b.happened_us.first(1); }));
  EXPECT_TRUE(refused([](Batch& b) { b.source = ""; }));
  EXPECT_TRUE(refused([](Batch& b) { b.format = ""; }));
  const Posting none{1, 0};
  EXPECT_TRUE(refused([&](Batch& b) { b.postings = std::span(&none, 1); }));
  EXPECT_EQ(s.history->stats().refused, 6U);
}

TEST(History, SmallFramesOfASourceShareADictionary) {
  SimStore s;
  s.open();
  std::mt19937_64 random(3);
  std::uint64_t number = 0;
  std::multiset<std::string> model;
  std::uint64_t before = 0, raw_before = 0, after = 0, raw_after = 0;
  for (int i = 0; i < 1200; ++i) {
    const auto lines = some_lines(random, 6, number);
    ASSERT_TRUE(append(*s.history, "small", lines));
    model.insert(lines.begin(), lines.end());
    if (i == 99) before = s.history->stats().segment_bytes, raw_before = s.history->stats().lines_bytes;
    if (i == 1099) after = s.history->stats().segment_bytes, raw_after = s.history->stats().lines_bytes;
  }
  const double without = static_cast<double>(before) / static_cast<double>(raw_before);
  const double with = static_cast<double>(s.history->stats().segment_bytes - after) /
                      static_cast<double>(s.history->stats().lines_bytes - raw_after);
  EXPECT_LT(with, without * 0.9);
  EXPECT_EQ(everything(*s.history), model);
  s.open();
  EXPECT_EQ(everything(*s.history), model);
  expect_sound(*s.history);
}

TEST(History, ColdPassKeepsEveryRecordWithItsTimeAndShrinks) {
  SimStore s;
  s.options.segment_bytes = 40'000;
  s.open();
  std::mt19937_64 random(5);
  std::uint64_t number = 0;
  std::multiset<std::string> model;
  std::map<std::string, std::int64_t> received;
  for (int i = 0; i < 500; ++i) {
    const auto lines = some_lines(random, 1 + random() % 30, number);
    for (const auto& l : lines) received[l] = micros(s.sim.now());
    ASSERT_TRUE(append(*s.history, "source" + std::to_string(i % 3), lines,
                       i % 7 == 0 ? batch_id(static_cast<std::uint64_t>(i) + 1) : BatchId{}));
    model.insert(lines.begin(), lines.end());
    s.sim.advance(1s);
  }
  EXPECT_EQ(s.history->pack(owner()).value(), 0U) << "nothing is two days old";
  const auto before = s.history->stats();
  s.sim.advance(72h);
  ASSERT_TRUE(s.history->seal_now(owner()));
  const auto packed = s.history->pack(owner());
  ASSERT_TRUE(packed) << to_string(packed.error());
  EXPECT_GT(*packed, 3U);
  const auto after = s.history->stats();
  EXPECT_EQ(after.records, before.records);
  EXPECT_LT(after.segment_bytes, before.segment_bytes);
  EXPECT_LT(after.frames, before.frames / 5);
  for (int life = 0; life < 2; ++life) {
    EXPECT_EQ(everything(*s.history), model);
    expect_sound(*s.history);
    for (std::uint64_t n = 0; n < number; n += 211)
      EXPECT_EQ(find(*s.history, "n=" + std::to_string(n)).value().size(), 1U);
    ASSERT_TRUE(s.history->for_each_frame(owner(), {}, {}, [&](const FrameInfo& info, const FrameText& t) {
      std::uint32_t i = 0;
      for (const auto line : split(t.lines(), '\n')) EXPECT_EQ(t.received_us(i++), received[std::string(line)]);
      EXPECT_EQ(i, info.count);
      return true;
    }));
    s.open();
  }
  EXPECT_EQ(s.history->pack(owner()).value(), 0U);
  // Nothing but live segments is on the disk (and recycled files).
  const auto names = s.sim.files().list("/data/history").value();
  for (const auto& name : names)
    if (name.starts_with("seg-") && !name.ends_with(".dir")) {
      EXPECT_EQ(name, "seg-" + std::to_string(s.history->segments(owner()).at(0).segment));
    }
}

TEST(History, ARecycledFileShowsNothingOfItsFormerLife) {
  SimStore s;
  s.options.segment_bytes = 30'000;
  s.open();
  std::mt19937_64 random(5);
  std::uint64_t number = 0;
  for (int i = 0; i < 60; ++i) ASSERT_TRUE(append(*s.history, "a", some_lines(random, 30, number)));
  s.sim.advance(72h);
  ASSERT_TRUE(s.history->seal_now(owner()));
  ASSERT_TRUE(s.history->pack(owner()));
  auto model = everything(*s.history);
  ASSERT_TRUE(append(*s.history, "a", {"w=fresh"}));
  model.insert("w=fresh");
  s.open();  // replays the open segment, which lies in a file full of old frames
  EXPECT_EQ(everything(*s.history), model);
  expect_sound(*s.history);
}

TEST(History, RetentionDropsOldDaysTheirKeysAndTheirIndex) {
  SimStore s;
  s.open();
  for (int day = 0; day < 10; ++day) {
    ASSERT_TRUE(append(*s.history, "a", {"w=always day=" + std::to_string(day)}));
    s.sim.advance(24h);
  }
  ASSERT_TRUE(s.history->seal_now(owner()));
  EXPECT_EQ(s.history->stats().keys, 10U);
  EXPECT_EQ(s.history->retain(owner(), 4).value(), 6U);
  EXPECT_EQ(find(*s.history, "w=always").value().size(), 4U);
  EXPECT_TRUE(find(*s.history, "day=5").value().empty());
  EXPECT_EQ(s.history->stats().keys, 4U);
  const auto before = s.history->stats().index_bytes;
  ASSERT_TRUE(s.history->compact_index(owner()));
  EXPECT_LT(s.history->stats().index_bytes, before);
  s.open();
  EXPECT_EQ(find(*s.history, "w=always").value().size(), 4U);
  expect_sound(*s.history);
}

TEST(History, ARebuiltIndexAnswersLikeTheOriginal) {
  SimStore s;
  s.options.segment_bytes = 30'000;
  s.open();
  std::mt19937_64 random(11);
  std::uint64_t number = 0;
  for (int i = 0; i < 150; ++i)
    ASSERT_TRUE(append(*s.history, "s" + std::to_string(i % 4), some_lines(random, 1 + random() % 20, number)));
  ASSERT_TRUE(s.history->seal_now(owner()));
  const auto answers = [&] {
    std::string all;
    const auto ask = [&](std::uint64_t hash) {
      const auto refs = s.history->lookup(owner(), word_posting(hash)).value();
      for (const auto& r : refs) all += std::to_string(r.info.segment) + "/" + std::to_string(r.info.frame) + " ";
    };
    for (std::uint64_t n = 0; n < number; n += 7) ask(hash64("n=" + std::to_string(n)));
    for (int n = 0; n < 50; ++n) {
      const auto hash = hash64("host=h" + std::to_string(n) + ".example.org");
      ask(hash);
      const auto seen = s.history->seen(owner(), word_posting(hash)).value();
      all += std::to_string(seen->first_us) + " " + std::to_string(seen->last_us) + " " + std::to_string(seen->count) +
             "\n";
    }
    return all;
  };
  const std::string original = answers();
  ASSERT_TRUE(s.history->rebuild_index(owner()));
  EXPECT_EQ(answers(), original);
  expect_sound(*s.history);
  s.history.reset();
  std::filesystem::remove_all(s.options.index_path);  // somebody deletes the index: the next start makes it again
  s.open();
  EXPECT_EQ(answers(), original);
  expect_sound(*s.history);
}

TEST(History, CheckSeesAnIndexThatLies) {
  SimStore s;
  bool lie = false;
  s.options.extract = [&lie](const FrameInfo& i, std::string_view c, std::string_view l, std::vector<Posting>& out) {
    extract_words(i, c, l, out);
    if (lie) out.push_back({42, 1});
  };
  s.open();
  ASSERT_TRUE(append(*s.history, "a", {"w=1"}));
  ASSERT_TRUE(s.history->seal_now(owner()));
  expect_sound(*s.history);
  lie = true;
  EXPECT_FALSE(s.history->check(owner())->ok());
  ASSERT_TRUE(s.history->rebuild_index(owner()));
  EXPECT_TRUE(s.history->check(owner())->ok());
}

TEST(History, ManyThreadsAppendLookUpAndPackAtOnceOnARealDisk) {
  const std::string folder = temporary_folder();
  Threads threads;
  Options o;
  o.extract = extract_words;
  o.segment_bytes = 60'000;
  o.index_bytes = 300'000;
  auto h = History::open(threads, folder + "/history", o).value();
  constexpr int kWriters = 4, kBatches = 120;
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> all;
    for (int w = 0; w < kWriters; ++w)
      all.emplace_back([&, w] {
        std::mt19937_64 random(static_cast<std::uint64_t>(w));
        for (int i = 0; i < kBatches; ++i) {
          const std::string word = "own=" + std::to_string(w) + "-" + std::to_string(i);
          std::vector<std::string> lines;
          for (std::uint64_t k = 0; k < 1 + random() % 30; ++k)
            lines.push_back(word + " k=" + std::to_string(random() % 1000) + " filler words for size");
          if (!append(*h, "w" + std::to_string(w), lines)) ++wrong;
          const auto found = find(*h, word);
          if (!found || found->size() != lines.size()) ++wrong;
          const std::string earlier =
              "own=" + std::to_string(w) + "-" + std::to_string(random() % static_cast<std::uint64_t>(i + 1));
          const auto again = find(*h, earlier);
          if (!again || again->empty()) ++wrong;
        }
      });
    all.emplace_back([&] {
      for (int i = 0; i < 6; ++i) {
        if (!h->pack(owner(), 0)) ++wrong;
        if (const auto r = h->check(owner()); !r || !r->ok()) ++wrong;
      }
    });
    all.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        std::size_t n = 0;
        const auto ok = h->for_each_frame(owner(), {}, {}, [&](const FrameInfo& f, const FrameText&) {
          n += f.count;
          return true;
        });
        if (!ok) ++wrong;
        (void)h->stats();
      }
    });
  }
  EXPECT_EQ(wrong, 0);
  expect_sound(*h);
  const auto records = h->stats().records;
  h.reset();
  h = History::open(threads, folder + "/history", o).value();
  EXPECT_EQ(h->stats().records, records);
  expect_sound(*h);
  h.reset();
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace bavn::history::testing
