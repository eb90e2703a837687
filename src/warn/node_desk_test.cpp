#include "warn/node_desk.hpp"

#include <gtest/gtest.h>

#include "base/log.hpp"
#include "base/temp_folder.hpp"
#include "warn/testing.hpp"

namespace bavn::warn {
namespace {

using namespace std::chrono_literals;

const MunicipalityId kLyngby{173};

event::WarningEntry october_entry(std::int64_t version = 1, const std::string& state = "sent") {
  const Case c = checked(october()).value().c;
  event::WarningEntry e;
  e.id = "w-1";
  e.campaign = c.campaign;
  e.version = version;
  e.state = state;
  e.severity = c.severity;
  e.tlp = c.tlp;
  e.first_seen_us = c.first_seen_us;
  e.sent_us = c.first_seen_us + 480'000'000;
  e.from_domain = c.from_domain;
  e.look_for = c.look_for;
  e.notices = c.notices;
  e.texts = texts_of(Catalogue::embedded(), c,
                     state == "over"        ? Phase::over
                     : state == "withdrawn" ? Phase::withdrawn
                                            : Phase::sent);
  return e;
}
std::string json(const event::WarningEntry& e) {
  return net::to_json(e);
}
HuntFound found_791() {
  HuntFound f;
  f.hits = 791;
  f.recipients = 640;
  f.clicks = 2;
  f.first_hit = *parse_time("2024-10-25T06:02:00Z");
  f.looked_in = {"message_trace"};
  f.cannot_see = {"proxy"};
  return f;
}
struct World {
  World() : sim(1, *parse_time("2024-10-25T06:08:00Z")), node(sim, kLyngby) {}
  Sim sim;
  NodeSide node;
};

TEST(NodeDesk, AWarningIsTakenOnceLookedForAndAnswered) {
  World w;
  auto& n = w.node;
  n.found = found_791();
  const auto taken = n.take(json(october_entry()));
  ASSERT_TRUE(taken) << to_string(taken.error());
  ASSERT_EQ(n.up.size(), 1U);
  EXPECT_EQ(n.last().state, "received") << "the hub knows at once that it came";
  ASSERT_EQ(n.told.size(), 1U) << "critical: people do not wait for the search";
  EXPECT_TRUE(n.told[0].urgent);
  w.sim.advance(5s);
  ASSERT_EQ(n.asks.size(), 1U);
  EXPECT_EQ(n.asks[0].look_for.size(), 1U);
  EXPECT_EQ(n.asks[0].from, *parse_time("2024-10-11T06:00:00Z"));
  auto a = n.last();
  EXPECT_EQ(a.state, "seen_here");
  EXPECT_EQ(a.hits, 791);
  EXPECT_EQ(a.clicks, 2);
  EXPECT_EQ(a.cannot_see, std::vector<std::string>{"proxy"});
  EXPECT_EQ(a.by, "machine");
  ASSERT_EQ(n.told.size(), 2U) << "it is here: told again, once";
  EXPECT_EQ(n.told[1].words[0].subject, "Den er også hos jer. Falske mails fra en konto hos gentofte.dk");
  EXPECT_NE(n.told[1].words[2].body.find("791 mails seen in Microsoft's message trace"), std::string::npos);

  for (int i = 0; i < 5; ++i) ASSERT_TRUE(n.take(json(october_entry())));
  w.sim.advance(5s);
  EXPECT_EQ(n.asks.size(), 1U) << "the same again changes nothing";
  EXPECT_EQ(n.up.size(), 2U);
  EXPECT_EQ(n.told.size(), 2U);
}

TEST(NodeDesk, HistoryIsSearchedAgainWhenLateLogsHaveComeIn) {
  World w;
  auto& n = w.node;
  n.found->looked_in = {"message_trace"};
  ASSERT_TRUE(n.take(json(october_entry())));
  w.sim.advance(10min);
  EXPECT_EQ(n.last().state, "not_seen");
  EXPECT_EQ(n.asks.size(), 1U);
  n.found = found_791();
  w.sim.advance(55min);
  EXPECT_EQ(n.asks.size(), 2U);
  EXPECT_EQ(n.last().state, "seen_here") << "the answer is brought up to date";
  w.sim.advance(std::chrono::days{5});
  EXPECT_EQ(n.asks.size(), 5U) << "now, and after 1, 6, 24 and 72 hours";
  EXPECT_EQ(n.up.size(), 3U) << "the same finding is not answered again";
}

TEST(NodeDesk, TheStateSaysOnlyWhatCanBeKnown) {
  Known k;
  EXPECT_EQ(state_of(k), "received");
  k.failed = true;
  EXPECT_EQ(state_of(k), "failed");
  k.looked = true;
  EXPECT_EQ(state_of(k), "cannot_know") << "no log that could show it was searched";
  k.found.looked_in = {"dns"};
  EXPECT_EQ(state_of(k), "not_seen");
  k.found.hits = 3;
  EXPECT_EQ(state_of(k), "seen_here");
  k.purged = 3;
  EXPECT_EQ(state_of(k), "purged");
  k.purge_left = 1;
  EXPECT_EQ(state_of(k), "seen_here");
}

TEST(NodeDesk, PurgedIsOnlySaidWhenNothingIsLeft) {
  World w;
  auto& n = w.node;
  const auto purged = [&](std::int64_t done, std::int64_t left, std::optional<Instant> at) {
    return n.change([&](store::Tx& tx) { return n.desk->purged(tx, "n-1", kLyngby, done, left, at); });
  };
  ASSERT_TRUE(purged(100, 691, std::nullopt)) << "the purge may be faster than the warning";
  n.found = found_791();
  ASSERT_TRUE(n.take(json(october_entry())));
  w.sim.advance(5s);
  EXPECT_EQ(n.last().state, "seen_here");
  EXPECT_EQ(n.last().purge_left, 691);
  EXPECT_EQ(n.last().emptied_us, 0);
  ASSERT_TRUE(purged(791, 0, w.sim.now()));
  EXPECT_EQ(n.last().state, "purged");
  EXPECT_EQ(n.last().purged, 791);
  EXPECT_EQ(n.last().emptied_us, micros(w.sim.now()));
  ASSERT_TRUE(purged(791, 1, w.sim.now()));
  EXPECT_EQ(n.last().state, "seen_here") << "one came back";
  ASSERT_TRUE(n.change([&](store::Tx& tx) { return n.desk->purged(tx, "n-2", kLyngby, 5, 0, w.sim.now()); }));
  EXPECT_EQ(n.last().purged, 791) << "another case's";
}

TEST(NodeDesk, VersionsOutOfOrderEndWithTheNewest) {
  World w;
  auto& n = w.node;
  auto third = october_entry(3);
  third.look_for.push_back({"url", "bio.link/three"});
  ASSERT_TRUE(n.take(json(third)));
  ASSERT_TRUE(n.take(json(october_entry(1))));
  auto second = october_entry(2);
  second.look_for.push_back({"url", "bio.link/two"});
  ASSERT_TRUE(n.take(json(second)));
  w.sim.advance(5s);
  EXPECT_EQ(n.last().version, 3);
  ASSERT_EQ(n.asks.size(), 1U);
  EXPECT_EQ(n.asks[0].look_for[1].value, "bio.link/three");
}

TEST(NodeDesk, SomethingNewToLookForStartsTheSearchAnew) {
  World w;
  auto& n = w.node;
  n.found = found_791();
  ASSERT_TRUE(n.take(json(october_entry())));
  auto second = october_entry(2, "updated");
  second.look_for.push_back({"url", "bio.link/two"});
  ASSERT_TRUE(n.take(json(second))) << "while the first search is still on its way";
  w.sim.advance(10s);
  EXPECT_EQ(n.asks.back().look_for.size(), 2U);
  EXPECT_EQ(n.last().version, 2);
  EXPECT_EQ(n.last().state, "seen_here");
  const auto so_far = n.asks.size();
  EXPECT_LE(so_far, 2U);
  auto same = october_entry(3, "updated");
  same.look_for = second.look_for;
  ASSERT_TRUE(n.take(json(same)));
  w.sim.advance(10s);
  EXPECT_EQ(n.asks.size(), so_far) << "nothing new to look for";
  EXPECT_EQ(n.last().version, 3);
}

TEST(NodeDesk, WithoutAnythingThatALogCouldShowItSaysSoAtOnce) {
  World w;
  auto e = october_entry();
  e.look_for.clear();
  ASSERT_TRUE(w.node.take(json(e)));
  w.sim.advance(1h);
  EXPECT_TRUE(w.node.asks.empty());
  EXPECT_EQ(w.node.last().state, "cannot_know");
}

TEST(NodeDesk, AFailedSearchIsTriedAgainAndSaidMeanwhile) {
  World w;
  log::Capture quiet;
  auto& n = w.node;
  n.found = std::unexpected(Error{Code::unavailable, "the history is being rebuilt", ""});
  ASSERT_TRUE(n.take(json(october_entry())));
  w.sim.advance(5s);
  EXPECT_EQ(n.last().state, "failed");
  EXPECT_EQ(n.desk->show(event::Scope::local_owner(), "w-1", kLyngby)->trouble, "the history is being rebuilt");
  n.found = found_791();
  w.sim.advance(5min);
  EXPECT_EQ(n.last().state, "seen_here");
}

TEST(NodeDesk, ATakenMunicipalityIsToldOutsideItsMail) {
  World w;
  auto& n = w.node;
  ASSERT_TRUE(n.change([&](store::Tx& tx) { return n.desk->mark_taken(tx, kLyngby, true, "bavn", "takeover chain"); }));
  ASSERT_TRUE(n.take(json(october_entry())));
  ASSERT_EQ(n.told.size(), 1U);
  EXPECT_TRUE(n.told[0].taken);
  for (const auto& words : n.told[0].words)
    for (const char* detail : {"gentofte", "bio", "Faktura", "mail account"}) {
      EXPECT_EQ(words.call_only.find(detail), std::string::npos);
      EXPECT_EQ(words.call_only_subject.find(detail), std::string::npos);
    }
  EXPECT_EQ(n.told[0].words[0].call_only_subject, "Ring til vagten: kritisk varsel");
  EXPECT_FALSE(n.change([&](store::Tx& tx) { return n.desk->mark_taken(tx, {101}, true, "x", "not ours"); }));
}

TEST(NodeDesk, PeopleAreRemindedUntilSomebodySaysSeen) {
  World w;
  auto& n = w.node;
  n.found = found_791();
  ASSERT_TRUE(n.take(json(october_entry())));
  w.sim.advance(1min);
  ASSERT_EQ(n.told.size(), 2U);
  w.sim.advance(31min);
  ASSERT_EQ(n.told.size(), 3U);
  EXPECT_EQ(n.told[2].words[2].subject.substr(0, 10), "Reminder: ");
  ASSERT_TRUE(n.change([&](store::Tx& tx) { return n.desk->acknowledge(tx, "w-1", kLyngby, "Anna Example"); }));
  EXPECT_EQ(n.last().by, "person");
  EXPECT_GT(n.last().warned_us, 0);
  w.sim.advance(std::chrono::days{2});
  EXPECT_EQ(n.told.size(), 3U);

  World other;
  other.node.found = found_791();
  ASSERT_TRUE(other.node.take(json(october_entry())));
  other.sim.advance(std::chrono::days{5});
  EXPECT_EQ(other.node.told.size(), 5U) << "two, and three reminders";
  World none;
  none.node.found->looked_in = {"message_trace"};
  ASSERT_TRUE(none.node.take(json(october_entry())));
  none.sim.advance(std::chrono::days{5});
  EXPECT_EQ(none.node.told.size(), 1U) << "what does not concern us is not asked about again";
}

TEST(NodeDesk, QuietOnesWaitOnThePageAndTheEndIsTold) {
  World w;
  auto& n = w.node;
  auto low = october_entry();
  low.severity = "low";
  n.found->looked_in = {"dns"};
  ASSERT_TRUE(n.take(json(low)));
  w.sim.advance(1min);
  EXPECT_TRUE(n.told.empty());
  low.version = 2;
  low.state = "updated";
  low.severity = "medium";
  ASSERT_TRUE(n.take(json(low)));
  ASSERT_EQ(n.told.size(), 1U) << "it got worse";
  EXPECT_FALSE(n.told[0].urgent);
  low.version = 3;
  ASSERT_TRUE(n.take(json(low)));
  EXPECT_EQ(n.told.size(), 1U);
  auto end = october_entry(4, "withdrawn");
  end.severity = "medium";
  ASSERT_TRUE(n.take(json(end)));
  ASSERT_EQ(n.told.size(), 2U);
  EXPECT_NE(n.told[1].words[2].subject.find("Withdrawn"), std::string::npos);
  const auto asks = n.asks.size();
  w.sim.advance(std::chrono::days{5});
  EXPECT_EQ(n.asks.size(), asks) << "nobody looks for what was none";
}

TEST(NodeDesk, ARestartInTheMiddleLosesNothingAndDoublesNothing) {
  for (int cut = 0; cut < 8; ++cut) {
    TempFolder folder;
    Sim sim(static_cast<std::uint64_t>(cut) + 1, *parse_time("2024-10-25T06:08:00Z"));
    const std::string db = (folder.path() / "state.db").string();
    std::size_t before = 0;
    {
      NodeSide n(sim, kLyngby, db);
      n.found = found_791();
      ASSERT_TRUE(n.take(json(october_entry())));
      sim.advance(cut * 700ms);
      before = n.told.size();
    }
    NodeSide n(sim, kLyngby, db);
    n.found = found_791();
    ASSERT_TRUE(n.take(json(october_entry()))) << "the stream repeats what it is not sure of";
    sim.advance(20min);
    const auto here = n.desk->show(event::Scope::local_owner(), "w-1", kLyngby).value();
    EXPECT_EQ(here.answer.state, "seen_here");
    EXPECT_EQ(here.answer.hits, 791);
    EXPECT_EQ(before + n.told.size(), 2U) << "cut after " << cut;
  }
}

TEST(NodeDesk, ABrokenOrHostileEntryIsRefusedOrHarmless) {
  World w;
  auto& n = w.node;
  EXPECT_FALSE(n.take("{"));
  EXPECT_FALSE(n.take(std::string(1U << 20U, ' ')));
  for (std::string event::WarningEntry::* field :
       {&event::WarningEntry::state, &event::WarningEntry::severity, &event::WarningEntry::id}) {
    auto e = october_entry();
    e.*field = "";
    EXPECT_FALSE(n.take(json(e)));
  }
  auto e = october_entry();
  e.texts[0].reasons.clear();
  EXPECT_FALSE(n.take(json(e)));
  e = october_entry();
  for (auto& t : e.texts) {
    t.title = "<b>x</b>\r\nBcc: all@example.org {from}";
    t.sms = "\u202Ehttp://evil.example";
  }
  ASSERT_TRUE(n.take(json(e)));
  ASSERT_EQ(n.told.size(), 1U);
  for (const auto& words : n.told[0].words) {
    EXPECT_EQ(words.subject, "‹b›x‹/b› Bcc: all@example.org {from}");
    EXPECT_EQ(words.sms, "hxxp://evil.example");
  }
}

TEST(NodeDesk, ListFetchedBlockConfirmedAndSessionsEndedStandInTheAnswer) {
  World w;
  auto& n = w.node;
  n.found = found_791();
  ASSERT_TRUE(n.take(json(october_entry())));
  w.sim.advance(5s);
  const auto t = w.sim.now();
  ASSERT_TRUE(n.change([&](store::Tx& tx) { return n.desk->list_fetched(tx, "october-2024", t); }));
  ASSERT_TRUE(n.change([&](store::Tx& tx) { return n.desk->list_fetched(tx, "october-2024", t + 1h); }));
  EXPECT_EQ(n.last().list_fetched_us, micros(t)) << "the first time counts";
  ASSERT_TRUE(n.change([&](store::Tx& tx) { return n.desk->block_confirmed(tx, "october-2024", kLyngby, t + 1min); }));
  ASSERT_TRUE(n.change([&](store::Tx& tx) { return n.desk->sessions_ended(tx, "w-1", kLyngby, t + 2min); }));
  ASSERT_TRUE(n.change([&](store::Tx& tx) { return n.desk->told(tx, "w-1", kLyngby, t + 3s); }));
  const auto a = n.last();
  EXPECT_EQ(a.blocked_us, micros(t + 1min));
  EXPECT_EQ(a.ended_us, micros(t + 2min));
  EXPECT_EQ(a.warned_us, micros(t + 3s));
}

TEST(NodeDesk, WhatIsOldGoes) {
  World w;
  ASSERT_TRUE(w.node.take(json(october_entry())));
  std::int64_t gone = 0;
  ASSERT_TRUE(w.node.change([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(gone, node_desk_retention()[0].forget(tx, tx.now() + 1s));
    return {};
  }));
  EXPECT_EQ(gone, 1);
  w.sim.advance(std::chrono::days{5});
  EXPECT_TRUE(w.node.desk->list(event::Scope::local_owner()).value().empty());
}

TEST(NodeDesk, QuestionsAreAnsweredByPeopleOrByWhatTheySaidBefore) {
  World w;
  auto& n = w.node;
  event::ExposureAsk ask;
  ask.id = "q-1";
  ask.product = "Citrix NetScaler ADC";
  ask.asked_us = micros(w.sim.now());
  ask.until_us = micros(w.sim.now() + std::chrono::days{7});
  const auto take = [&](const event::ExposureAsk& q) {
    return n.change([&](store::Tx& tx) { return n.desk->take_question(tx, net::to_json(q), std::nullopt); });
  };
  const auto exposed = [&] {
    return net::from_json<event::ExposedAnswer>(n.up.back().json, net::Unknown::refuse).value();
  };
  ASSERT_TRUE(take(ask));
  ASSERT_TRUE(take(ask));
  ASSERT_EQ(n.told.size(), 1U);
  EXPECT_EQ(n.told[0].words[0].subject, "Har I Citrix NetScaler ADC?");
  w.sim.advance(25h);
  EXPECT_EQ(n.told.size(), 2U);
  EXPECT_TRUE(n.up.empty());
  EXPECT_FALSE(
      n.change([&](store::Tx& tx) { return n.desk->answer_question(tx, "q-1", kLyngby, "maybe", 1, "Anna Example"); }));
  ASSERT_TRUE(
      n.change([&](store::Tx& tx) { return n.desk->answer_question(tx, "q-1", kLyngby, "have", 2, "Anna Example"); }));
  EXPECT_EQ(exposed().state, "have");
  EXPECT_EQ(exposed().systems, 2);
  w.sim.advance(std::chrono::days{6});
  EXPECT_EQ(n.told.size(), 2U) << "answered: nobody asks again";

  ExposureRule rule;
  rule.municipality = kLyngby;
  rule.product = "citrix netscaler";
  rule.state = "have_mended";
  rule.systems = 2;
  ASSERT_TRUE(n.change([&](store::Tx& tx) { return n.desk->add_rule(tx, rule, "Anna Example"); }));
  ask.id = "q-2";
  ASSERT_TRUE(take(ask));
  EXPECT_EQ(exposed().state, "have_mended");
  EXPECT_EQ(n.told.size(), 2U);
  EXPECT_EQ(n.desk->questions(event::Scope::local_owner()).value()[0].by, "rule: citrix netscaler");
  w.sim.advance(std::chrono::days{200});
  ask.id = "q-3";
  ask.until_us = micros(w.sim.now() + std::chrono::days{7});
  ASSERT_TRUE(take(ask));
  EXPECT_EQ(n.told.size(), 3U) << "a standing answer of half a year ago is asked anew";
  ask.id = "q-4";
  ask.product = "Netscaler";
  ASSERT_TRUE(take(ask));
  EXPECT_EQ(n.told.size(), 4U) << "not every word of the rule stands in the question";
}

}  // namespace
}  // namespace bavn::warn
