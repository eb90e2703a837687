#include "correlate/campaigns.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "correlate/testing.hpp"

namespace bavn::correlate {
namespace {

using namespace std::chrono_literals;
using namespace testing;

class WithTheBook : public Hub {
 protected:
  WithTheBook() { real_book = true; }
  Result<void> sees(int town, std::string_view what, const std::string& sender_domain = {},
                    std::vector<event::Sign> signs = {}) {
    event::DigestItem item;
    item.digests = {to_hex(blake2b256(what).substr(0, 16))};
    item.kind = "url";
    item.first_us = now();
    item.mails = 5;
    item.sender_domain = sender_domain;
    item.signs = std::move(signs);
    event::DigestBatch batch;
    batch.epochs = {1};
    batch.items = {item};
    return report(town, "digest", batch);
  }
};

TEST_F(WithTheBook, ThreeTownsThatSeeTheSameNewLinkAreACandidateAndAreAskedWhatItIs) {
  open(98, live());
  ASSERT_TRUE(sees(1, "bio.link/orbes"));
  ASSERT_TRUE(sees(2, "bio.link/orbes"));
  EXPECT_TRUE(all().empty());
  ASSERT_TRUE(sees(3, "bio.link/orbes"));
  ASSERT_EQ(all().size(), 1U);
  EXPECT_EQ(all()[0].state, "candidate");
  EXPECT_EQ(all()[0].municipalities, 3);
  const auto request = std::find_if(sent.begin(), sent.end(), [](const Sent& s) { return s.kind == "reveal"; });
  ASSERT_NE(request, sent.end());
  const auto asked = *net::from_json<event::RevealRequest>(request->json, net::Unknown::refuse);
  event::Revealed r;
  r.request = asked.request;
  r.digest = asked.digest;
  r.state = "revealed";
  r.kind = "url";
  r.scheme = "http";  // as digested: http and https are one
  r.host = "bio.link";
  r.path = "/orbes";
  const auto took = report(request->to, "revealed", r);
  ASSERT_TRUE(took) << to_string(took.error());
  const auto f = facts(all()[0].id);
  ASSERT_EQ(f.observables.size(), 1U);
  EXPECT_EQ(f.observables[0].value, "bio.link/orbes");
  EXPECT_EQ(f.observables[0].municipalities, 3);
}

TEST_F(WithTheBook, ALinkThatTheTakenMailboxSentJoinsItsNoticeWhicheverComesFirst) {
  open(98, live());
  ASSERT_TRUE(sees(2, "bio.link/orbes", "town1.example"));
  ASSERT_TRUE(sees(3, "bio.link/orbes", "town1.example"));
  ASSERT_EQ(all().size(), 1U);
  auto n = notice("g", 1, "victim", {{2, 79}, {3, 10}, {4, 10}});
  n.to_us = now();
  ASSERT_TRUE(report(1, "sender_notice", n));
  ASSERT_EQ(all().size(), 1U);
  EXPECT_EQ(all()[0].state, "candidate");
  // And what a node sees in it is a sign for the notice.
  ASSERT_TRUE(sees(4, "bio.link/orbes", "town1.example", {sign("payload", "login_form")}));
  ASSERT_EQ(list({"lit"}).size(), 1U);
  EXPECT_FALSE(ids_to(2).back().second_signs.empty());
  EXPECT_EQ(facts(1).edges.size(), 3U);
}

TEST_F(WithTheBook, HarmAboutADigestIsASignOfItsGroup) {
  open(98, live());
  for (int i = 1; i <= 3; ++i) ASSERT_TRUE(sees(i, "evil.example/x", "", {sign("payload", "new_host")}));
  EXPECT_EQ(all()[0].state, "candidate");
  event::HarmNotice h{.id = "h",
                      .sign = sign("harm", "login_after_click"),
                      .sender = {},
                      .digest = to_hex(blake2b256("evil.example/x").substr(0, 16)),
                      .notice = {},
                      .count = 1};
  const auto took = report(2, "harm", h);
  ASSERT_TRUE(took) << to_string(took.error());
  EXPECT_EQ(all()[0].state, "suspicion");
  EXPECT_TRUE(list({"lit"}).empty());
}

// ---- those outside --------------------------------------------------------------------------------------------------------------------------

TEST_F(Hub, WhoGotItOutsideIsAListAndALetterInEachLanguage) {
  open(98, live());
  auto n = notice("g", 1, "victim", {{2, 79}, {3, 10}, {4, 10}});
  n.outside = 300;
  n.mails += 300;
  n.outside_domains = {"kl.dk", "klubben.example", "not a domain", "=cmd.example"};
  ASSERT_TRUE(report(1, "sender_notice", n));
  digests.next = {group("link", 2, 3)};
  digests.next[0].sender_domains = {"town1.example"};
  digests.next[0].revealed = GroupRevealed{"https", "bio.link", "/orbes", "", ""};
  ASSERT_TRUE(report_json(2, "digest", "{}"));
  const auto f = facts(1);
  ASSERT_EQ(f.outside.size(), 2U);
  EXPECT_EQ(outside_csv(f).substr(0, 60).substr(0, 41), "domain,kind,first_seen,told_by,told_at\nkl");
  const Catalogue texts = Catalogue::embedded();
  const LetterFrom from{"Prøve-CERT", "+45 00 00 00 00", "cert@cert.example"};
  for (const Language language : {Language::da, Language::nb, Language::en}) {
    const auto named = letter_to(f, f.outside[0], from, language, texts, true);
    EXPECT_TRUE(named.subject.contains("B-1"));
    EXPECT_TRUE(named.body.contains("town1.example"));
    EXPECT_TRUE(named.body.contains("@kl.dk"));
    EXPECT_TRUE(named.body.contains("bio[.]link/orbes"));
    EXPECT_FALSE(named.body.contains("https://"));
    EXPECT_TRUE(named.body.contains("victim[@]town1[.]example"));
    const auto unnamed = letter_to(f, f.outside[0], from, language, texts, false);
    EXPECT_FALSE(unnamed.body.contains("town1"));
  }
  EXPECT_TRUE(letter_to(f, f.outside[0], from, Language::da, texts, true).body.contains("Mange sletter en falsk mail"));
  ASSERT_TRUE(tx([&](store::Tx& t) { return told_outside(t, 1, "kl.dk", "anna"); }));
  EXPECT_FALSE(tx([&](store::Tx& t) { return told_outside(t, 1, "nobody.example", "anna"); }));
  EXPECT_EQ(facts(1).outside[0].told_by, "anna");
}

// ---- a quarter of a year ----------------------------------------------------------------------------------------------------------------

TEST_F(Hub, AMonthOfBenignDaysLeavesNothingButCounts) {
  open(98, live());
  // 20 groups a day (a reduced quarter's worth is the simulation's business): newsletters, surveys with a link each, two networks' mails a week.
  std::uint64_t harm = 0;
  for (int day = 0; day < 30; ++day) {
    for (int i = 0; i < 20; ++i) {
      digests.next = {group(fmt::format("{}-{}", day, i), 1 + i, 5 + 3 * i)};
      for (auto& s : digests.next[0].seen) s.mails = 20;
      if (i % 3 == 0) digests.next[0].signs.push_back({sign("payload", "new_host"), MunicipalityId{2}});
      ASSERT_TRUE(report_json(1, "digest", "{}"));
      if (i % 5 == 0) {
        ASSERT_TRUE(report(1 + i, "harm",
                           event::HarmNotice{.id = fmt::format("h{}", ++harm),
                                             .sign = sign("harm", "reported"),
                                             .sender = {},
                                             .digest = digests.next[0].id,
                                             .notice = {},
                                             .count = 1}));
      }
    }
    if (day % 3 == 0) {
      std::map<int, int> to;
      for (int i = 0; i < 40; ++i) to[1 + (day + i) % 98] = 2;
      const int of = 50 + day;
      ASSERT_TRUE(report(of, "sender_notice", notice(fmt::format("n{}", day), of, "secretary", to)));
    }
    sim.advance(24h);
  }
  EXPECT_TRUE(list().empty()) << "nothing is shown to anybody";
  const auto f = *state->read([&](store::Reader& db) { return false_warnings(db, sim.now(), std::chrono::days(90)); });
  EXPECT_EQ(f.lit, 0);
  EXPECT_NEAR(f.days, 30, 0.1);
  EXPECT_NEAR(f.at_most, 3, 0.02);
  const auto things = state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM corr_thing"); });
  EXPECT_LT(things.value_or(999), 100) << "three days of them";
}

TEST_F(Hub, RetentionForgetsCampaignsWithAllThatBelongsToThem) {
  open(98, live());
  ASSERT_TRUE(report(1, "takeover", takeover("t", 1, "victim", "likely")));
  ASSERT_TRUE(report(1, "sender_notice", notice("g", 1, "victim", {{2, 79}, {3, 10}, {4, 10}})));
  sim.advance(24h * 401);
  auto kept = store::Retention::open(*state, retention());
  ASSERT_TRUE(kept) << to_string(kept.error());
  const auto went = (*kept)->retain(sim.now());
  ASSERT_TRUE(went) << to_string(went.error());
  for (const char* table : {"corr_campaign", "corr_thing", "corr_reach", "corr_sign", "corr_link", "corr_takeover",
                            "corr_part", "corr_call"}) {
    const auto rows =
        state->read([&](store::Reader& db) { return db.number(std::string("SELECT count(*) FROM ") + table); });
    EXPECT_EQ(rows.value_or(-1), 0) << table;
  }
}

}  // namespace
}  // namespace bavn::correlate
