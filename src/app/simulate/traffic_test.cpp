#include "app/simulate/traffic.hpp"

#include <gtest/gtest.h>

#include <set>

#include "base/content.hpp"

namespace bavn::app::simulate {
namespace {

using namespace std::chrono_literals;

Scenario scenario(const std::string& more, const std::string& benign = "benign: {everyday: false}\n") {
  const auto file = read_scenario("name: t\nstart: 2024-10-25T06:00:00Z\nlasts: 12h\nquiet_days: 3d\n" + benign + more);
  for (const auto& f : file.faults) ADD_FAILURE() << to_string(f, "t");
  return file.scenario;
}

const std::string kWave = R"(
sources: {everywhere: {message_trace: 5m..15m, audit_log: 30m..90m, defender: 5m..15m, mail_copy: 5s..50s, proxy: 10s..60s, sign_in: 2m..10m}}
attacks:
  - name: wave
    steps:
      - id: wave
        do: mail
        account: anne.holm@Gentofte
        rate_per_minute: 30
        to: [{towns: Lyngby-Taarbæk, mails: 300}, {towns: 20, mails: 100}, {outside: [firma.example], mails: 50}]
        mail: {subjects: [Faktura, Betaling], links: ["https://bio.link/orbes"], login_form: true}
        click_rate: 0.5
)";

struct Told {
  std::vector<std::pair<std::size_t, event::Fact>> facts;
  std::size_t clicks = 0;
};
Told all_of(Traffic& traffic) {
  Told out;
  Instant before{};
  while (const auto at = traffic.next()) {
    EXPECT_GE(*at, before);
    before = *at;
    auto due = traffic.take();
    for (auto& b : due.batches)
      for (auto& f : b.facts) {
        EXPECT_EQ(event::head_of(f).received, *at);
        out.facts.emplace_back(b.town, std::move(f));
      }
    for (const auto c : due.clicks) {
      traffic.copies()[c].clicked = *at;
      traffic.clicked(c);
      ++out.clicks;
    }
  }
  return out;
}

TEST(Traffic, AnAttackHasItsNumbersAndEachLogTellsInItsTime) {
  const Scenario s = scenario(kWave);
  const Towns towns(s, 1);
  Traffic traffic(s, towns, 1);
  EXPECT_EQ(traffic.copies().size(), 400U);
  EXPECT_EQ(traffic.truths()[0].outside, 50);
  const std::size_t gentofte = towns.account("anne.holm@Gentofte", "").first;
  const std::size_t lyngby = towns.of_domain("lyngby-taarbaek.example");
  ASSERT_NE(lyngby, Towns::kNone);
  std::map<event::FactSource, std::pair<Duration, Duration>> late;
  std::set<std::string> sent, received, reached;
  for (const auto& [town, f] : all_of(traffic).facts) {
    const auto& h = event::head_of(f);
    const Duration by = h.received - h.happened;
    auto [at, fresh] = late.try_emplace(h.source, by, by);
    at->second = {std::min(at->second.first, by), std::max(at->second.second, by)};
    if (const auto* m = std::get_if<event::MailFact>(&f)) {
      if (town == gentofte && h.source == event::FactSource::message_trace) sent.insert(m->message_id);
      if (town == lyngby && h.source == event::FactSource::message_trace) received.insert(m->message_id);
      if (town != gentofte) reached.insert(towns[town].name);
      EXPECT_EQ(m->knows_content, h.source == event::FactSource::defender || h.source == event::FactSource::mail_copy);
    }
  }
  EXPECT_EQ(sent.size(), 450U);
  EXPECT_EQ(received.size(), 300U);
  EXPECT_EQ(reached.size(), 21U);
  using S = event::FactSource;
  const auto within = [&](S source, Duration low, Duration high) {
    ASSERT_TRUE(late.contains(source));
    EXPECT_GE(late[source].first, low);
    EXPECT_LE(late[source].second, high);
  };
  within(S::message_trace, 5min, 15min);
  within(S::audit_log, 30min, 90min);
  within(S::mail_copy, 5s, 50s);
  within(S::proxy, 10s, 60s);
}

TEST(Traffic, TheSameSeedIsTheSameRunAndAnotherIsNot) {
  const Scenario s = scenario(kWave, "");
  const auto first_facts = [&](std::uint64_t seed) {
    const Towns towns(s, seed);
    Traffic traffic(s, towns, seed);
    std::string out;
    for (int i = 0; i < 3000; ++i) {
      const auto at = traffic.next();
      if (!at) break;
      for (const auto& b : traffic.take().batches)
        for (const auto& f : b.facts)
          if (const auto* m = std::get_if<event::MailFact>(&f))
            out += std::to_string(b.town) + m->message_id + m->sender + std::to_string(micros(*at));
    }
    return out;
  };
  const std::string one = first_facts(1);
  EXPECT_GT(one.size(), 10'000U);
  EXPECT_EQ(one, first_facts(1));
  EXPECT_NE(one, first_facts(2));
}

TEST(Traffic, PeopleClickAsTheCurveSays) {
  const Scenario s = scenario(kWave);
  const Towns towns(s, 3);
  Traffic traffic(s, towns, 3);
  std::size_t clickers = 0, within_hour = 0;
  for (const auto& c : traffic.copies()) {
    clickers += c.clicker;
    within_hour += c.would_click - c.sent <= 1h;
  }
  EXPECT_NEAR(static_cast<double>(clickers) / 400, 0.5, 0.1);
  EXPECT_NEAR(static_cast<double>(within_hour) / 400, 0.52, 0.1);
  for (const double share : {0.05, 0.11, 0.4, 0.52, 0.9, 0.99})
    EXPECT_NEAR(share_done(s.people.click_after, time_of(s.people.click_after, share)), share, 0.001);
  EXPECT_EQ(share_done(s.people.click_after, 0s), 0);
  EXPECT_EQ(share_done(s.people.click_after, 1000h), 1);
}

TEST(Traffic, QuietDaysAreQuietAndAsManyAsTheCatalogueSays) {
  const Scenario s = scenario("", "municipalities: 30\n");
  const Towns towns(s, 5);
  Traffic traffic(s, towns, 5);
  const Told told = all_of(traffic);
  EXPECT_TRUE(traffic.copies().empty());
  EXPECT_GT(told.facts.size(), 5000U);
  std::set<std::string> kinds;
  for (const auto& [kind, n] : traffic.counts().by_kind) kinds.insert(kind);
  EXPECT_TRUE(kinds.contains("association_newsletter") && kinds.contains("survey") &&
              kinds.contains("network_secretary"));
  // Tuesday noon to Friday: three working days and a piece.
  EXPECT_NEAR(static_cast<double>(traffic.counts().mail_outs), 3.5 * 330, 400);
}

TEST(Traffic, WhatIsTrueOfAnAttackIsFoundByAnyOfItsSigns) {
  const Scenario s = scenario(kWave);
  const Towns towns(s, 1);
  Traffic traffic(s, towns, 1);
  const std::vector<std::size_t> first{0}, none;
  EXPECT_EQ(traffic.attacks_of_sender("anne.holm@gentofte.example"), first);
  EXPECT_EQ(traffic.attacks_of_link("https://bio.link/orbes"), first);
  EXPECT_EQ(traffic.attacks_of_link("bio.link/orbes"), first);
  EXPECT_EQ(traffic.attacks_of_link("bio.link/another"), none);
  EXPECT_EQ(traffic.attacks_of_sender("bo.lund@gentofte.example"), none);
  EXPECT_EQ(traffic.attacks_of_link(""), none);
}

TEST(Towns, AreTheRealOnesWithMadeUpPeople) {
  const Scenario s = scenario("connected: [6, Gentofte]\n");
  const Towns towns(s, 9);
  EXPECT_EQ(towns.size(), 98U);
  std::size_t connected = 0;
  for (const auto& t : towns.list()) {
    connected += t.connected;
    EXPECT_TRUE(t.domain.ends_with(".example"));
  }
  EXPECT_EQ(connected, 6U);
  EXPECT_TRUE(towns[towns.of_domain("gentofte.example")].connected);
  std::set<std::string> people;
  for (int i = 0; i < 5000; ++i) people.insert(towns.person(3, i));
  EXPECT_EQ(people.size(), 5000U);
}

TEST(Traffic, AMaskedLinkIsTheOneThatItHides) {
  for (const auto& [pattern, link] :
       std::vector<std::pair<std::string, std::string>>{{"bio.link/orbes", "bio.link/orbes"},
                                                        {"bio.link/orbes", "bio.link/orbes/2"},
                                                        {"bio.link/faktura-#", "bio.link/faktura-2024"},
                                                        {"*.filer.example/d/*", "r17.filer.example/d/0af3"},
                                                        {"r#.filer.example/d/*", "r17.filer.example/d/0af3"},
                                                        {"filer.example", "r17.filer.example/d/0af3"},
                                                        {"https://filer.example/", "filer.example/d"}})
    EXPECT_TRUE(masked_match(pattern, link)) << pattern << " " << link;
  for (const auto& [pattern, link] :
       std::vector<std::pair<std::string, std::string>>{{"bio.link/orb", "bio.link/orbes"},
                                                        {"bio.link/orbes/2", "bio.link/orbes"},
                                                        {"r#.filer.example/d/*", "rx.filer.example/d/0af3"},
                                                        {"iler.example", "filer.example/d"},
                                                        {"bio.link/*/x", "bio.link/a/b/x"},
                                                        {"", "bio.link/orbes"}})
    EXPECT_FALSE(masked_match(pattern, link)) << pattern << " " << link;
}

TEST(Traffic, ThePastHoldsHarmlessMailAloneAndBeforeTheQuietDays) {
  const auto scenario =
      read_scenario("name: x\nstart: 2024-10-25T06:00:00Z\nlasts: 1h\nquiet_days: 1d\nmunicipalities: 8\n").scenario;
  const Towns towns(scenario, 3);
  Traffic traffic(scenario, towns, 3);
  const Instant day = std::chrono::floor<std::chrono::days>(traffic.from()) - std::chrono::days(30);
  const auto past = traffic.past_day(day);
  ASSERT_GT(past.size(), 50U);
  Instant last{};
  for (const auto& b : past) {
    ASSERT_EQ(b.facts.size(), 1U);
    const auto& head = event::head_of(b.facts.front());
    EXPECT_TRUE(std::holds_alternative<event::MailFact>(b.facts.front()));
    EXPECT_LT(head.happened, day + std::chrono::hours(36));
    EXPECT_LE(last, head.received);
    last = head.received;
  }
  EXPECT_EQ(traffic.counts().mail_outs, 0U) << "nothing of it counts";
}

}  // namespace
}  // namespace bavn::app::simulate
