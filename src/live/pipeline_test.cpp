#include "live/pipeline.hpp"

#include <random>

#include "base/log.hpp"
#include "hunt/hunt.hpp"
#include "live/records.hpp"
#include "live/sources_reader.hpp"
#include "live/testing.hpp"
#include "match/sigma/correlation.hpp"
#include "net/json_value.hpp"

namespace bavn::live::testing {
namespace {

using namespace std::chrono_literals;

TEST(Pipeline, AnswersWhenRecordsAreStoredAndTheirFindingsBecomeAlerts) {
  SimNode node;
  node.open();
  std::string bytes;
  for (std::uint64_t n = 0; n < 10; ++n)
    bytes += record(node.now(), n == 3 || n == 7 ? "New-InboxRule" : "MailItemsAccessed", "kari", n) + "\n";
  bytes += "{\"CreationTime\": broken\n";
  const auto receipt = node.give(delivery(bytes));
  ASSERT_TRUE(receipt) << to_string(receipt.error());
  EXPECT_EQ(receipt->accepted, 10U);
  EXPECT_EQ(receipt->refused, 1U);
  ASSERT_EQ(receipt->reasons.size(), 1U);
  EXPECT_TRUE(receipt->reasons.begin()->second.first.starts_with("line 11: "))
      << receipt->reasons.begin()->second.first;
  EXPECT_EQ(node.pipeline->history().stats().records, 10U) << "stored when it was answered";
  node.settle();
  const Told all = told(*node.state);
  EXPECT_EQ(all.findings, 2);
  EXPECT_EQ(all.by_concern.at("Mailbox rule that forwards/kari@kommune.example.org"), 2);

  alerts::AlertReader reader(*node.state, {});
  const auto one = reader.find(owner(), 1);
  ASSERT_TRUE(one);
  ASSERT_EQ(one->second.size(), 1U) << "findings of one alert and frame share an example";
  const auto raw = open_record(node.pipeline->history(), owner(), one->first, one->second[0]);
  ASSERT_TRUE(raw) << to_string(raw.error());
  EXPECT_NE(raw->find("\"Id\":\"n3\""), std::string::npos);
}

TEST(Pipeline, SourcesAreCountedWithWhatTheyWereRefusedFor) {
  SimNode node;
  node.open();
  ASSERT_TRUE(node.give(delivery(record(node.now() - 5'000'000, "Send", "kari", 1) + "\n{nonsense\n")));
  ASSERT_TRUE(node.give(delivery(record(node.now(), "Send", "kari", 2), "batch-1")));
  const auto again = node.give(delivery(record(node.now(), "Send", "kari", 2), "batch-1"));
  ASSERT_TRUE(again);
  EXPECT_TRUE(again->duplicate);
  node.settle();
  const auto rows = SourcesReader(*node.state).list(owner(), node.sim.now());
  ASSERT_TRUE(rows) << to_string(rows.error());
  ASSERT_EQ(rows->size(), 1U);
  const SourceRow& row = rows->front();
  EXPECT_EQ(row.source, "test.audit");
  EXPECT_EQ(row.records, 2);
  EXPECT_EQ(row.records_today, 2);
  EXPECT_EQ(row.refused, 1);
  EXPECT_EQ(row.duplicates, 1);
  ASSERT_EQ(row.reasons.size(), 1U);
  EXPECT_TRUE(row.reasons[0].first.starts_with("line 2: "));
  EXPECT_GE(row.lag_us, 0);
  EXPECT_LE(row.lag_us, 1'000'000);
  EXPECT_EQ(node.pipeline->history().stats().records, 2U);
}

TEST(Pipeline, TheLagOfASourceIsThatOfItsNewestRecord) {
  constexpr std::int64_t kHour = 3'600'000'000;
  SimNode node;
  node.open();
  const auto row = [&] {
    node.settle();
    const auto rows = SourcesReader(*node.state).list(owner(), node.sim.now());
    return rows && rows->size() == 1 ? rows->front() : SourceRow{};
  };
  ASSERT_TRUE(node.give(delivery(record(node.now() - 2 * kHour, "Send", "kari", 1) + "\n")));
  EXPECT_NEAR(static_cast<double>(row().lag_us), static_cast<double>(2 * kHour), 2e6);
  ASSERT_TRUE(node.give(delivery(record(node.now() - 6 * 24 * kHour, "Send", "kari", 2) + "\n")));
  EXPECT_NEAR(static_cast<double>(row().lag_us), static_cast<double>(2 * kHour), 1e8)
      << "one record of last week does not set it back";
  ASSERT_TRUE(node.give(delivery(record(node.now() + 24 * 365 * kHour, "Send", "kari", 3) + "\n")));
  EXPECT_LE(row().newest_happened_us, node.now()) << "a wrong clock is not believed";
  node.sim.advance(3h);
  ASSERT_TRUE(node.give(delivery(record(node.now() - 8 * kHour, "Send", "kari", 4) + "\n")));
  EXPECT_NEAR(static_cast<double>(row().lag_us), static_cast<double>(3 * kHour), 1e8)
      << "and hides no lag that comes after it";
}

TEST(Pipeline, SaysUnavailableAtOnceWhenItIsFullAndKeepsNothingOfIt) {
  SimNode node;
  node.options.queue_bytes = 100'000;
  node.open();
  std::uint64_t offered = 0, accepted = 0, refused = 0, answers = 0;
  const std::string line = record(node.now(), "Send", "kari", 1) + "\n";
  std::string bytes;
  for (int n = 0; n < 50; ++n) bytes += line;
  for (int n = 0; n < 100; ++n) {
    offered += 50;
    node.pipeline->deliver(delivery(bytes), [&](Result<input::Receipt> r) {
      ++answers;
      if (r) accepted += r->accepted;
      else refused += 50;
      EXPECT_TRUE(r || r.error().code == Code::unavailable);
    });
    EXPECT_LE(node.pipeline->stats().waiting_bytes, 100'000U);
  }
  EXPECT_FALSE(node.pipeline->has_room(bytes.size()));
  node.settle();
  EXPECT_TRUE(node.pipeline->has_room(bytes.size()));
  EXPECT_EQ(answers, 100U);
  EXPECT_EQ(accepted + refused, offered);
  EXPECT_GT(refused, 0U);
  EXPECT_EQ(node.pipeline->history().stats().records, accepted);
}

TEST(Pipeline, CorrelationsSeeFramesInOrderAndSurviveARestart) {
  SimNode node;
  node.open();
  for (std::uint64_t n = 0; n < 3; ++n)
    ASSERT_TRUE(
        node.give(delivery(record(node.now() + static_cast<std::int64_t>(n) * 1'000'000, "FileDownloaded", "ola", n))));
  node.settle();
  EXPECT_EQ(told(*node.state).by_title.count("Many downloads"), 0U);
  node.open();  // stops in order: the state is saved
  node.settle();
  for (std::uint64_t n = 3; n < 5; ++n)
    ASSERT_TRUE(
        node.give(delivery(record(node.now() + static_cast<std::int64_t>(n) * 1'000'000, "FileDownloaded", "ola", n))));
  node.settle();
  EXPECT_EQ(told(*node.state).by_concern["Many downloads/ola@kommune.example.org"], 1);
  EXPECT_EQ(node.pipeline->stats().frames_matched_again, 0U);
  EXPECT_EQ(told(*node.state).by_title["Download"], 0) << "it only feeds the correlation";
}

TEST(Pipeline, CorrelationsAreRebuiltFromHistoryWhenTheirStateIsLost) {
  SimNode node;
  node.open();
  for (std::uint64_t n = 0; n < 4; ++n)
    ASSERT_TRUE(node.give(delivery(record(node.now(), "FileDownloaded", "ola", n))));
  node.settle();
  node.pipeline.reset();
  ASSERT_TRUE(node.sim.files().unlink("/data/correlations"));
  node.open();
  node.settle();
  EXPECT_EQ(node.pipeline->stats().frames_matched_again, 4U);
  ASSERT_TRUE(node.give(delivery(record(node.now(), "FileDownloaded", "ola", 4))));
  node.settle();
  EXPECT_EQ(told(*node.state).by_concern["Many downloads/ola@kommune.example.org"], 1);
  const auto rows = SourcesReader(*node.state).list(owner(), node.sim.now());
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->at(0).records, 5) << "frames that were counted are not counted again";
}

TEST(Pipeline, WhatTheStateCouldNotTakeIsMatchedAgainFromHistory) {
  SimNode node;
  node.options.waiting_findings = 20;
  node.open();
  std::uint64_t answers = 0;
  for (std::uint64_t n = 0; n < 200; ++n)
    node.pipeline->deliver(delivery(record(node.now(), "New-InboxRule", "user" + std::to_string(n % 40), n)),
                           [&](Result<input::Receipt> r) { answers += r ? 1 : 0; });
  node.settle();
  EXPECT_EQ(answers, 200U);
  EXPECT_GT(node.pipeline->stats().frames_matched_again, 0U);
  EXPECT_EQ(told(*node.state).findings, 200);
  EXPECT_FALSE(node.pipeline->stats().behind);
}

TEST(Pipeline, AFailingStateLosesNoFinding) {
  SimNode node;
  node.open();
  // The alerts cannot be written for a while.
  ASSERT_TRUE(node.state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("ALTER TABLE alert RENAME TO alert_away"));
    return {};
  }));
  log::Capture quiet;
  for (std::uint64_t n = 0; n < 5; ++n)
    ASSERT_TRUE(node.give(delivery(record(node.now(), "New-InboxRule", "kari", n))));
  node.sim.advance(10s);
  EXPECT_FALSE(node.pipeline->stats().failing.empty());
  ASSERT_TRUE(node.state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("ALTER TABLE alert_away RENAME TO alert"));
    return {};
  }));
  node.settle();
  EXPECT_EQ(told(*node.state).findings, 5);
  EXPECT_TRUE(node.pipeline->stats().failing.empty());
}

TEST(Pipeline, FactsComeInTheOrderOfTheJournalAndTheirNoticesShareTheTransactionOfTheCursor) {
  SimNode node;
  node.watched = true;
  node.open();
  for (std::uint64_t n = 0; n < 4; ++n) {
    ASSERT_TRUE(node.give(delivery(record(node.now() - 1'000'000, "New-InboxRule", "kari", n))));
    node.sim.advance(1s);
  }
  ASSERT_TRUE(node.give(delivery("{\"message\":\"no fact\"}\n")));
  node.settle();
  EXPECT_EQ(node.watcher->fed, 4U);
  EXPECT_EQ(node.pipeline->stats().facts, 4U);
  EXPECT_EQ(CountingWatcher::told(*node.state)["kari@kommune.example.org"], 1);
  const std::uint64_t order = node.watcher->order;
  node.open();  // stops in order: the state is saved
  node.settle();
  EXPECT_EQ(node.watcher->loads, 1U);
  EXPECT_EQ(node.watcher->order, order);
  EXPECT_EQ(node.pipeline->stats().frames_matched_again, 0U);
  ASSERT_TRUE(node.give(delivery(record(node.now(), "New-InboxRule", "kari", 5) + "\n" +
                                 record(node.now(), "New-InboxRule", "kari", 6))));
  node.settle();
  EXPECT_EQ(CountingWatcher::told(*node.state)["kari@kommune.example.org"], 2);
}

TEST(Pipeline, FactsAreFedAgainFromHistoryWhenTheirStateIsLostAndOnlyFramesThatHoldSome) {
  SimNode node;
  node.watched = true;
  node.segment_bytes = 2'000;
  node.options.engine.rules = {};  // no correlations
  node.open();
  for (std::uint64_t n = 0; n < 30; ++n) {
    ASSERT_TRUE(node.give(delivery(record(node.now() - 1'000'000, "New-InboxRule", "kari", n))));
    ASSERT_TRUE(node.give(delivery("{\"message\":\"no fact " + std::to_string(n) + "\"}\n")));
    node.sim.advance(1min);
  }
  node.settle();
  const std::uint64_t order = node.watcher->order;
  node.pipeline.reset();
  ASSERT_TRUE(node.sim.files().unlink("/data/facts"));
  node.open();
  node.settle();
  EXPECT_EQ(node.pipeline->stats().frames_matched_again, 30U);
  EXPECT_EQ(node.watcher->fed_again, 30U);
  EXPECT_EQ(node.watcher->fed, 0U);
  EXPECT_EQ(node.watcher->order, order);
  EXPECT_EQ(CountingWatcher::told(*node.state)["kari@kommune.example.org"], 10) << "nothing is told again";
  // A small budget: only the newest.
  node.pipeline.reset();
  ASSERT_TRUE(node.sim.files().unlink("/data/facts"));
  node.options.rebuild_bytes = 3'000;
  node.open();
  node.settle();
  EXPECT_GT(node.watcher->fed_again, 3U);
  EXPECT_LT(node.watcher->fed_again, 15U);
}

TEST(Pipeline, ADamagedStateOfFactsIsMadeAgain) {
  SimNode node;
  node.watched = true;
  node.open();
  for (std::uint64_t n = 0; n < 5; ++n)
    ASSERT_TRUE(node.give(delivery(record(node.now() - 1'000'000, "New-InboxRule", "kari", n))));
  node.settle();
  const std::uint64_t order = node.watcher->order;
  node.pipeline.reset();
  std::string bytes = read_file(node.sim.files(), "/data/facts", 1U << 20U).value();
  bytes[bytes.size() / 2] ^= 1;
  ASSERT_TRUE(replace_file(node.sim.files(), "/data/facts", bytes));
  log::Capture quiet;
  node.open();
  node.settle();
  EXPECT_EQ(node.watcher->loads, 0U);
  EXPECT_EQ(node.watcher->fed_again, 5U);
  EXPECT_EQ(node.watcher->order, order);
}

TEST(Pipeline, FactsOfFramesThatFellBehindComeAgainInOrderAndOnce) {
  SimNode node;
  node.watched = true;
  node.options.waiting_findings = 20;
  node.open();
  std::map<std::string, std::int64_t> wanted;
  for (std::uint64_t n = 0; n < 200; ++n) {
    const std::string user = "user" + std::to_string(n % 7);
    ++wanted[user + "@kommune.example.org"];
    node.pipeline->deliver(delivery(record(node.now(), "New-InboxRule", user, n)), [](Result<input::Receipt>) {});
  }
  node.settle();
  EXPECT_GT(node.pipeline->stats().frames_matched_again, 0U);
  EXPECT_EQ(node.watcher->counts, wanted);
  for (const auto& [account, n] : CountingWatcher::told(*node.state)) EXPECT_EQ(n, wanted[account] / 3);
  const std::uint64_t order = node.watcher->order;
  node.pipeline.reset();
  ASSERT_TRUE(node.sim.files().unlink("/data/facts"));
  node.open();
  node.settle();
  EXPECT_EQ(node.watcher->order, order);
}

TEST(Pipeline, AFailingStateTellsWhatWasNoticedOnceItIsBack) {
  SimNode node;
  node.watched = true;
  node.open();
  ASSERT_TRUE(node.state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("ALTER TABLE noticed_in_test RENAME TO away"));
    return {};
  }));
  log::Capture quiet;
  for (std::uint64_t n = 0; n < 7; ++n)
    ASSERT_TRUE(node.give(delivery(record(node.now(), "New-InboxRule", "kari", n))));
  node.sim.advance(10s);
  EXPECT_FALSE(node.pipeline->stats().failing.empty());
  ASSERT_TRUE(node.state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("ALTER TABLE away RENAME TO noticed_in_test"));
    return {};
  }));
  node.settle();
  EXPECT_EQ(CountingWatcher::told(*node.state)["kari@kommune.example.org"], 2);
  EXPECT_EQ(told(*node.state).findings, 7);
}

TEST(Pipeline, OtherRulesTakeOverWithoutLosingOrDoublingFacts) {
  SimNode node;
  node.watched = true;
  node.open();
  for (std::uint64_t n = 0; n < 20; ++n) {
    node.pipeline->deliver(delivery(record(node.now(), "New-InboxRule", "kari", n)), [](Result<input::Receipt>) {});
    if (n != 9) continue;
    hunt::EngineOptions eo = node.options.engine;
    eo.facts = true;
    auto engine = hunt::Engine::open(eo);
    ASSERT_TRUE(engine) << to_string(engine.error());
    node.pipeline->swap(std::move(*engine));
  }
  node.settle();
  EXPECT_EQ(node.watcher->fed, 20U);
  EXPECT_EQ(CountingWatcher::told(*node.state)["kari@kommune.example.org"], 6);
}

TEST(Pipeline, ANewIndicatorIsLiveWithTheNextDelivery) {
  SimNode node;
  node.open();
  ASSERT_TRUE(node.give(delivery(record(node.now(), "Send", "kari", 77))));
  match::indicators::Indicator bad;
  bad.kind = event::Kind::ipv4;
  bad.value = "192.0.2.77";
  bad.source = "cert";
  bad.action = match::indicators::Action::block;
  ASSERT_TRUE(node.pipeline->engine()->indicators().add(bad));
  ASSERT_TRUE(node.give(delivery(record(node.now(), "Send", "kari", 77))));
  node.settle();
  EXPECT_EQ(told(*node.state).by_title["ipv4 192.0.2.77"], 1);
}

TEST(Pipeline, OtherRulesTakeOverWhileItRunsAndIndicatorsStay) {
  SimNode node;
  node.open();
  ASSERT_TRUE(node.give(delivery(record(node.now(), "Send", "kari", 1))));
  node.settle();
  node.folder.write(
      "more.yml",
      "title: Mail sent\nid: 5b0e1f52-0000-4000-8000-00000000000a\nlogsource:\n  product: m365\n  service: audit\n"
      "detection:\n  selection:\n    Operation: Send\n  condition: selection\nlevel: critical\n");
  hunt::EngineOptions eo;
  eo.rules = {node.folder.path + "/rules.yml", node.folder.path + "/more.yml"};
  eo.shared_indicators = node.pipeline->engine()->shared_indicators();
  auto engine = hunt::Engine::open(eo);
  ASSERT_TRUE(engine) << to_string(engine.error());
  node.pipeline->swap(std::move(*engine));
  ASSERT_TRUE(node.give(delivery(record(node.now(), "Send", "kari", 2))));
  node.settle();
  EXPECT_EQ(told(*node.state).by_title["Mail sent"], 1) << "from now on; the past is measured, not alerted";
  alerts::AlertReader reader(*node.state, {});
  const auto rules = reader.rules(owner());
  ASSERT_TRUE(rules);
  for (const alerts::RuleRow& r : *rules)
    EXPECT_TRUE(r.title != "Mail sent" || std::abs(r.findings_per_day - 2.0) < 0.01)
        << r.findings_per_day << ": one measured in history, one live";
}

// Any seed, powers cut and the disk full at any call: what was answered is there once, its findings are in the alerts once.
TEST(Pipeline, PowerCutsFullDisksAndClockJumpsLoseAndDoubleNothing) {
  log::Capture quiet;
  const char* wanted = std::getenv("BAVN_LIVE_SEEDS");
  const std::uint64_t seeds = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : 4;
  std::uint64_t cut = 0, failed = 0;
  for (std::uint64_t seed = 1; seed <= seeds && !::testing::Test::HasFailure(); ++seed) {
    SimNode node(seed);
    node.segment_bytes = 20'000;
    node.watched = true;
    std::mt19937_64 random(seed);
    node.open();
    std::map<std::string, std::string> asked;  // id -> bytes, not yet answered with a value
    std::set<std::string> answered;
    std::uint64_t number = 0, findings_of_answered = 0;
    std::map<std::string, std::uint64_t> findings_of;
    for (int step = 0; step < 60; ++step) {
      if (random() % 3 != 0 || asked.empty()) {
        std::string id = "d" + std::to_string(number), bytes;
        std::uint64_t hits = 0;
        for (std::uint64_t n = 1 + random() % 8; n > 0; --n) {
          const bool hit = random() % 3 == 0;
          hits += hit ? 1 : 0;
          bytes += record(node.now(), hit ? "New-InboxRule" : "Send", "user" + std::to_string(random() % 3), number++) +
                   "\n";
        }
        findings_of[id] = hits;
        asked[id] = bytes;
      }
      if (random() % 5 == 0) {
        node.sim.files().fail_at(
            1 + random() % 20, random() % 2 ? SimFiles::Fault::no_space : SimFiles::Fault::io_error, 1 + random() % 4);
        ++failed;
      }
      if (random() % 10 == 0) node.sim.jump_clock(random() % 2 ? 7h : -5h);
      const auto give = asked;
      for (const auto& [id, bytes] : give)
        node.pipeline->deliver(delivery(bytes, id), [&, given = id](Result<input::Receipt> r) {
          if (!r) return;
          asked.erase(given);
          if (answered.insert(given).second) findings_of_answered += findings_of[given];
        });
      if (random() % 6 == 0) {
        // The power goes at some moment of it.
        const Duration by{static_cast<std::int64_t>(random() % 20'000)};
        node.sim.advance(by);
        node.sim.files().cut_power();
        node.pipeline.reset();
        ++cut;
        auto ok = node.try_open();
        for (int tries = 0; !ok && tries < 20; ++tries) ok = node.try_open();  // faults that were ordered before
        ASSERT_TRUE(ok) << "seed " << seed << ": " << to_string(ok.error());
      } else if (random() % 2 == 0) {
        node.sim.advance(3s);
      }
    }
    for (int tries = 0; tries < 50 && !asked.empty(); ++tries) {
      const auto give = asked;
      for (const auto& [id, bytes] : give)
        node.pipeline->deliver(delivery(bytes, id), [&, given = id](Result<input::Receipt> r) {
          if (!r) return;
          asked.erase(given);
          if (answered.insert(given).second) findings_of_answered += findings_of[given];
        });
      node.sim.advance(5s);
    }
    ASSERT_TRUE(asked.empty()) << "seed " << seed << ": " << node.pipeline->stats().failing;
    node.settle();
    std::map<std::string, int> lines;
    ASSERT_TRUE(node.pipeline->history().for_each_frame(
        owner(), {}, {}, [&](const history::FrameInfo&, const history::FrameText& t) {
          std::size_t at = 0;
          const std::string all(t.lines());
          while ((at = all.find("\"Id\":\"", at)) != std::string::npos)
            ++lines[all.substr(at + 6, all.find('"', at + 6) - at - 6)], ++at;
          return true;
        }));
    EXPECT_EQ(lines.size(), number) << "seed " << seed;
    for (const auto& [id, n] : lines) ASSERT_EQ(n, 1) << id << ", seed " << seed;
    EXPECT_EQ(told(*node.state).by_title["Mailbox rule that forwards"], static_cast<std::int64_t>(findings_of_answered))
        << "seed " << seed << ", " << node.pipeline->stats().frames_matched_again << " frames matched again";
    const auto rows = SourcesReader(*node.state).list(owner(), node.sim.now());
    ASSERT_TRUE(rows);
    EXPECT_EQ(rows->at(0).records, static_cast<std::int64_t>(number)) << "seed " << seed;
    std::int64_t rules = 0, noticed = 0;
    for (const auto& [account, n] : node.watcher->counts) rules += n;
    EXPECT_EQ(rules, static_cast<std::int64_t>(findings_of_answered)) << "seed " << seed;
    for (const auto& [account, n] : CountingWatcher::told(*node.state)) {
      EXPECT_EQ(n, node.watcher->counts[account] / 3) << "seed " << seed;
      noticed += n;
    }
    EXPECT_GT(noticed, 0) << "seed " << seed;
    const std::uint64_t order = node.watcher->order;
    node.pipeline.reset();
    bool gone = !node.sim.files().exists("/data/facts");  // faults that were ordered before may still come
    for (int tries = 0; !gone && tries < 20; ++tries) gone = node.sim.files().unlink("/data/facts").has_value();
    auto ok = node.try_open();
    for (int tries = 0; !ok && tries < 20; ++tries) ok = node.try_open();
    ASSERT_TRUE(gone && ok) << "seed " << seed;
    node.settle();
    EXPECT_EQ(node.watcher->order, order) << "seed " << seed << ": the state that history gives from its beginning";
    EXPECT_EQ(node.watcher->fed, 0U);
  }
  std::printf("%llu seeds, %llu power cuts, %llu times a failing disk\n", static_cast<unsigned long long>(seeds),
              static_cast<unsigned long long>(cut), static_cast<unsigned long long>(failed));
}

/// Findings by rule, with the record's own number: what live, hunt and scan must agree on.
std::multiset<std::string> live_findings(store::State& state) {
  std::multiset<std::string> out;
  const Told all = told(state);
  for (const auto& [title, n] : all.by_title)
    for (std::int64_t i = 0; i < n; ++i) out.insert(title);
  return out;
}

TEST(Pipeline, LiveFindingsAreThoseOfAHuntOverTheHistoryAndOfAScanOfTheFile) {
  SimNode node;
  node.options.engine.rules.clear();
  node.options.engine.builtin_rules = true;
  node.open();
  node.sim.jump_clock(24h * 800);
  // The events of the built-in rules' own tests, in the order they happened, and one long after them.
  auto reading = hunt::Engine::open(node.options.engine);
  ASSERT_TRUE(reading);
  formats::Reader reader((*reading)->catalogue(), (*reading)->plan(), (*reading)->routes());
  std::vector<std::pair<std::int64_t, std::string>> events;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(BAVN_SOURCE_DIR "/content/rules")) {
    if (!entry.path().string().ends_with(".tests.ndjson")) continue;
    std::ifstream in(entry.path());
    for (std::string line; std::getline(in, line);) {
      const auto document = net::JsonDocument::parse(line);
      ASSERT_TRUE(document) << entry.path();
      for (const net::JsonValue e : document->root()["events"]) {
        if (!e.is_object()) continue;
        event::EventBatch one;
        one.raw = e.to_text() + "\n";
        const std::size_t to = one.raw.size();
        one.raw.own().append(64, '\0');
        reader.read(one, 0, to, 1);
        if (one.records.size() == 1 && one.records[0].happened_us != 0)
          events.emplace_back(one.records[0].happened_us, e.to_text());
      }
    }
  }
  std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  events.emplace_back(0, record(events.back().first + 72 * 3600LL * 1'000'000, "Send", "kari", 1));
  std::mt19937_64 random(5);
  std::string file;
  for (const auto& [at, text] : events) file += text + "\n";
  // As they would come: what lies an hour apart is not in one delivery (frames of one are by format, not by time).
  std::string bytes;
  for (std::size_t n = 0; n < events.size(); ++n) {
    bytes += events[n].second + "\n";
    const bool gap = n + 1 == events.size() || events[n + 1].first - events[n].first > 3600LL * 1'000'000 ||
                     events[n + 1].first == 0;
    if (!gap && random() % 10 != 0) continue;
    ASSERT_TRUE(node.give(delivery(std::exchange(bytes, {}))));
  }
  node.settle();
  std::multiset<std::string> hunted, scanned;
  auto engine = node.pipeline->engine();
  const auto report = hunt::hunt_rules(*engine, node.sim, node.pipeline->history(), owner(), {},
                                       [&](const event::Finding& f) { hunted.insert(f.rule_title); });
  ASSERT_TRUE(report) << to_string(report.error());
  hunt::Worker worker(*engine);
  match::sigma::CorrelationOptions replay;
  replay.replay = true;
  match::sigma::CorrelationEngine correlations(engine->rules(), replay);
  const auto source = formats::Source::of_bytes(file);
  event::EventBatch batch;
  while (!source->done()) {
    const auto chunk = source->next(batch);
    ASSERT_TRUE(chunk);
    worker.process(batch, *chunk);
    for (const auto& hit : worker.hits()) {
      const auto& r = batch.records[hit.record];
      if (correlations.wants(hit.rule)) {
        const match::hotpath::BatchRecordView view(engine->plan(), batch, r);
        correlations.on_hit(
            correlations.capture(hit.rule, HappenedAt{from_micros(r.happened_us)}, view, {"101", "x", "f", r.line}),
            [](const auto&) {});
      }
      if (engine->rules().rules[hit.rule].reports) scanned.insert(engine->rules().rules[hit.rule].meta.title);
    }
  }
  correlations.finish([&](const match::sigma::CorrelationFinding& f) {
    const auto& c = engine->rules().correlations[f.correlation];
    if (c.reports) scanned.insert(c.meta.title);
  });
  EXPECT_GT(scanned.size(), 100U);
  EXPECT_EQ(hunted, scanned);
  std::vector<std::string> missing, extra;
  const std::multiset<std::string> live = live_findings(*node.state);
  std::set_difference(scanned.begin(), scanned.end(), live.begin(), live.end(), std::back_inserter(missing));
  std::set_difference(live.begin(), live.end(), scanned.begin(), scanned.end(), std::back_inserter(extra));
  EXPECT_TRUE(missing.empty()) << missing.size() << " of " << scanned.size() << ", first " << missing.front();
  EXPECT_TRUE(extra.empty()) << extra.size() << ", first " << extra.front();
}

}  // namespace
}  // namespace bavn::live::testing
