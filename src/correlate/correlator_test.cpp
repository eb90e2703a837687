#include "correlate/correlator.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>

#include "base/temp_folder.hpp"
#include "correlate/testing.hpp"

namespace bavn::correlate {
namespace {

using namespace std::chrono_literals;
using namespace testing;

// ---- sender notices on their way --------------------------------------------------------------------------------------------------------

TEST_F(Hub, EachReceiverGetsItsOwnMessageIdsAtOnceAndNothingOfOthers) {
  open(98, live());
  auto n = notice("a", 1, "jens", {{2, 3}, {3, 2}, {4, 1}});
  n.to.push_back({"school2.example", 1, {"<s@mail.example>"}});
  ASSERT_TRUE(report(1, "sender_notice", n));
  ASSERT_EQ(sent.size(), 3U);
  const auto two = ids_to(2);
  ASSERT_EQ(two.size(), 1U);
  EXPECT_EQ(two[0].message_ids.size(), 4U);
  EXPECT_EQ(two[0].mails, 4);
  EXPECT_EQ(two[0].domains, (std::vector<std::string>{"town2.example", "school2.example"}));
  EXPECT_EQ(two[0].notice, "1.a");
  EXPECT_TRUE(two[0].second_signs.empty());
  EXPECT_FALSE(two[0].takeover);
  const auto three = ids_to(3).at(0);
  for (const auto& id : three.message_ids) EXPECT_TRUE(id.contains("a.3.")) << id;
  const auto c = all();
  ASSERT_EQ(c.size(), 1U);
  EXPECT_EQ(c[0].state, "candidate");
  EXPECT_EQ(c[0].cause, "sender_notice");
  ASSERT_EQ(told("call.wanted").size(), 1U);
  EXPECT_EQ(told("call.wanted")[0].subject, "1");
}

TEST_F(Hub, ManyMessageIdsTravelInEntriesThatFitTheStream) {
  open(98, live());
  auto n = notice("a", 1, "jens", {{2, 1900}});
  for (auto& id : n.to[0].message_ids) id.insert(1, 100, 'x');
  ASSERT_TRUE(report(1, "sender_notice", n));
  std::size_t ids = 0;
  std::int64_t part = 0;
  ASSERT_GE(sent.size(), 3U);
  for (const auto& s : sent) {
    EXPECT_LE(s.json.size(), 64U << 10U);
    EXPECT_LE(s.ids().message_ids.size(), 900U);
    EXPECT_EQ(s.ids().part, ++part);
    ids += s.ids().message_ids.size();
  }
  EXPECT_EQ(ids, 1900U);
}

TEST_F(Hub, LaterPartsGoOnAndTheSamePartTwiceHasItsEffectOnce) {
  open(98, live());
  auto n = notice("a", 1, "jens", {{2, 3}, {3, 3}, {4, 3}});
  ASSERT_TRUE(report(1, "sender_notice", n));
  ASSERT_TRUE(report(1, "sender_notice", n));
  EXPECT_EQ(sent.size(), 3U);
  n.part = 2;
  n.mails = 12;
  n.to = {{Towns::domain(2), 6, {"<new1@x.example>", "<new2@x.example>", "<new3@x.example>"}}};
  ASSERT_TRUE(report(1, "sender_notice", n));
  ASSERT_EQ(ids_to(2).size(), 2U);
  EXPECT_EQ(ids_to(2)[1].mails, 6);
  EXPECT_EQ(ids_to(2)[1].part, 2);
  EXPECT_EQ(ids_to(3).size(), 1U);
  ASSERT_EQ(all().size(), 1U);
  EXPECT_EQ(all()[0].mails, 12);
  EXPECT_EQ(told("call.wanted").size(), 1U);
}

TEST_F(Hub, WhenTheStreamIsAwayNothingOfTheNoticeIsKept) {
  open(98, live());
  refuse_down = true;
  const auto refused_report = report(1, "sender_notice", notice("a", 1, "jens", {{2, 3}, {3, 3}, {4, 3}}));
  ASSERT_FALSE(refused_report);
  EXPECT_EQ(refused_report.error().code, Code::unavailable);
  EXPECT_TRUE(all().empty());
  EXPECT_TRUE(correlator->refusals().empty());
  refuse_down = false;
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 3}, {3, 3}, {4, 3}})));
  EXPECT_EQ(sent.size(), 3U);
}

// ---- second signs -------------------------------------------------------------------------------------------------------------------------

TEST_F(Hub, ATakeoverBeforeTheMailsIsASecondSignInTheFirstEntryAndLights) {
  open(98, live());
  ASSERT_TRUE(report(1, "takeover", takeover("t", 1, "jens", "likely")));
  EXPECT_TRUE(all().empty());
  sim.advance(20h);
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}})));
  const auto two = ids_to(2);
  ASSERT_FALSE(two.empty());
  EXPECT_TRUE(two[0].takeover);
  ASSERT_EQ(two[0].second_signs.size(), 1U);
  EXPECT_EQ(two[0].second_signs[0].kind, "takeover_likely");
  ASSERT_EQ(list({"lit"}).size(), 1U);
  EXPECT_EQ(list()[0].trigger, "sender_notice");
  EXPECT_EQ(told("campaign.lit").size(), 1U);
}

TEST_F(Hub, ATakeoverAfterTheMailsIsPushedToEveryReceiver) {
  open(98, live());
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}})));
  sim.advance(30h);
  sent.clear();
  ASSERT_TRUE(report(1, "takeover", takeover("t", 1, "jens", "sure")));
  ASSERT_EQ(sent.size(), 3U);
  for (const auto& s : sent) {
    EXPECT_TRUE(s.ids().takeover);
    EXPECT_TRUE(s.ids().message_ids.empty());
  }
  EXPECT_EQ(list({"lit"}).size(), 1U);
  // The same again changes nothing.
  ASSERT_TRUE(report(1, "takeover", takeover("t", 1, "jens", "sure")));
  EXPECT_EQ(sent.size(), 3U);
}

TEST_F(Hub, ATakeoverThreeDaysAwayOrOfAnotherAccountIsNone) {
  open(98, live());
  ASSERT_TRUE(report(1, "takeover", takeover("t", 1, "jens", "sure")));
  ASSERT_TRUE(report(1, "takeover", takeover("u", 1, "anna", "sure")));
  sim.advance(72h);
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}})));
  EXPECT_FALSE(ids_to(2).at(0).takeover);
  EXPECT_TRUE(list({"lit"}).empty());
}

TEST_F(Hub, PayloadOrHarmFromAReceiverIsASecondSignForAll) {
  open(98, live());
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}})));
  sent.clear();
  event::HarmNotice h{
      .id = "h1", .sign = sign("payload", "login_form"), .sender = {}, .digest = {}, .notice = "1.a", .count = 1};
  ASSERT_TRUE(report(3, "harm", h));
  EXPECT_EQ(sent.size(), 3U);
  EXPECT_EQ(ids_to(4).at(0).second_signs.at(0).kind, "login_form");
  EXPECT_EQ(list({"lit"}).size(), 1U);
  ASSERT_TRUE(report(3, "harm", h));
  EXPECT_EQ(sent.size(), 3U);
}

TEST_F(Hub, AYesFromEitherSideIsASecondSignAndANoFromTheSenderHoldsTheTrigger) {
  open(98, live());
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}})));
  ASSERT_TRUE(report(5, "sender_notice", notice("b", 5, "else", {{6, 30}, {7, 5}, {8, 5}})));
  ASSERT_TRUE(tx(
      [&](store::Tx& t) { return correlator->answer(t, "1.a", MunicipalityId{2}, true, "duty contact of town 2"); }));
  ASSERT_EQ(list({"lit"}).size(), 1U);
  EXPECT_EQ(ids_to(3).back().second_signs.at(0).kind, "person_yes");
  ASSERT_TRUE(tx(
      [&](store::Tx& t) { return correlator->answer(t, "5.b", MunicipalityId{5}, false, "duty contact of town 5"); }));
  ASSERT_TRUE(report(
      6, "harm",
      event::HarmNotice{
          .id = "h", .sign = sign("harm", "vendor_verdict"), .sender = {}, .digest = {}, .notice = "5.b", .count = 1}));
  EXPECT_EQ(list({"lit"}).size(), 1U);
  EXPECT_EQ(list({"suspicion"}).size(), 1U);
  const auto strangers = tx([&](store::Tx& t) { return correlator->answer(t, "1.a", MunicipalityId{9}, true, "x"); });
  ASSERT_FALSE(strangers);
  EXPECT_EQ(strangers.error().code, Code::forbidden);
  const auto nothing = tx([&](store::Tx& t) { return correlator->answer(t, "1.zzz", MunicipalityId{9}, true, "x"); });
  ASSERT_FALSE(nothing);
  EXPECT_EQ(nothing.error().code, Code::bad_input);
}

TEST_F(Hub, HarmAboutASenderWaitsForItsMassMail) {
  open(98, live());
  event::HarmNotice h{.id = "h1",
                      .sign = sign("harm", "login_after_click"),
                      .sender = "jens@town1.example",
                      .digest = {},
                      .notice = {},
                      .count = 1};
  ASSERT_TRUE(report(2, "harm", h));
  EXPECT_TRUE(all().empty());
  sim.advance(10min);
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}})));
  EXPECT_EQ(list({"lit"}).size(), 1U);
}

TEST_F(Hub, OneReporterIsNothingTwoAreASuspicionManyInSeveralTownsLight) {
  open(98, live());
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 60}, {3, 30}, {4, 30}})));
  const auto reported = [&](int town, const std::string& id) {
    event::HarmNotice h{
        .id = id, .sign = sign("harm", "reported"), .sender = {}, .digest = {}, .notice = "1.a", .count = 1};
    return report(town, "harm", h);
  };
  ASSERT_TRUE(reported(2, "1"));
  EXPECT_EQ(all()[0].state, "candidate");
  ASSERT_TRUE(reported(2, "2"));
  EXPECT_EQ(all()[0].state, "suspicion");
  ASSERT_TRUE(reported(3, "3"));
  ASSERT_TRUE(reported(3, "4"));
  EXPECT_EQ(all()[0].state, "suspicion");
  ASSERT_TRUE(reported(3, "5"));
  EXPECT_EQ(all()[0].state, "lit");
  EXPECT_EQ(all()[0].reporters, 5);
}

TEST_F(Hub, WhoGotNothingOfANoticeCanSayNothingOfIt) {
  open(98, live());
  const auto harm = [&](int town, const std::string& id) {
    return report(town, "harm",
                  event::HarmNotice{.id = id,
                                    .sign = sign("payload", "login_form"),
                                    .sender = "jens@town1.example",
                                    .digest = {},
                                    .notice = {},
                                    .count = 1});
  };
  ASSERT_TRUE(harm(50, "before"));
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}})));
  ASSERT_TRUE(harm(51, "after"));
  EXPECT_TRUE(list({"lit"}).empty());
  EXPECT_TRUE(ids_to(2).back().second_signs.empty());
  // It reaches town 50 with a later part: then what that town said is of it.
  auto n = notice("a", 1, "jens", {{50, 4}});
  n.part = 2;
  ASSERT_TRUE(report(1, "sender_notice", n));
  EXPECT_EQ(list({"lit"}).size(), 1U);
  EXPECT_EQ(ids_to(2).back().second_signs.size(), 1U);
  EXPECT_EQ(ids_to(50).back().second_signs.size(), 1U);
}

TEST_F(Hub, ACampaignKeepsOnlySoManyThingsApart) {
  Options o = live();
  o.things_per_campaign = 10;
  open(98, o);
  for (int i = 2; i < 60; ++i) ASSERT_TRUE(report(i, "burst", burst("b", 1, "victim", 30)));
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "victim", {{2, 30}, {3, 5}, {4, 5}})));
  EXPECT_EQ(all().size(), 1U);
  EXPECT_EQ(sent.size(), 3U);
  const auto things = state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM corr_thing"); });
  EXPECT_EQ(things.value_or(0), 11);
  EXPECT_EQ(correlator->refusals().at("burst/campaign_full"), 48U);
}

TEST_F(Hub, OneFiltersVerdictIsTheAnalystsBusinessAndTwoLight) {
  open(98, live());
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}})));
  const auto verdict = [&](int town, const std::string& id) {
    return report(
        town, "harm",
        event::HarmNotice{
            .id = id, .sign = sign("harm", "vendor_verdict"), .sender = {}, .digest = {}, .notice = "1.a", .count = 1});
  };
  ASSERT_TRUE(verdict(2, "v"));
  EXPECT_EQ(list({"suspicion"}).size(), 1U);
  EXPECT_TRUE(list({"lit"}).empty());
  ASSERT_TRUE(verdict(2, "w"));
  EXPECT_TRUE(list({"lit"}).empty()) << "the same filter again";
  ASSERT_TRUE(verdict(3, "v"));
  EXPECT_EQ(list({"lit"}).size(), 1U);
}

TEST_F(Hub, AReportThatOvertakesItsDigestWaitsForIt) {
  open(98, live());
  const std::string digest(32, 'a');
  ASSERT_TRUE(report(4, "harm",
                     event::HarmNotice{.id = "h",
                                       .sign = sign("harm", "vendor_verdict"),
                                       .sender = {},
                                       .digest = digest,
                                       .notice = {},
                                       .count = 1}));
  EXPECT_TRUE(all().empty());
  digests.next = {group(digest, 1, 5)};
  digests.next[0].signs.push_back({sign("payload", "login_form"), MunicipalityId{3}});
  ASSERT_TRUE(report_json(1, "digest", "{}"));
  EXPECT_EQ(list({"suspicion"}).size(), 1U) << "payload and harm";
  const auto left = state->read(
      [](store::Reader& db) { return db.number("SELECT count(*) FROM corr_sign WHERE thing LIKE 'digest:%'"); });
  EXPECT_EQ(left.value_or(-1), 0);
  EXPECT_FALSE(report(4, "harm",
                      event::HarmNotice{.id = "i",
                                        .sign = sign("harm", "vendor_verdict"),
                                        .sender = {},
                                        .digest = "none",
                                        .notice = {},
                                        .count = 1}));
}

TEST_F(Hub, OneNodesWordLightsOneWarningOverAWeekend) {
  open(98, live());
  for (int i = 0; i < 60; ++i) {
    auto n = notice("w" + std::to_string(i), 1, "person" + std::to_string(i), {{2, 40}, {3, 40}, {4, 40}});
    n.signs = {sign("payload", "login_form"), sign("identity", "new_app")};
    n.subject_hash = n.body_simhash = fmt::format("{:016x}", 0x9E3779B97F4A7C15ULL * static_cast<unsigned>(i + 1));
    ASSERT_TRUE(report(1, "sender_notice", n));
    sim.advance(1h);
  }
  EXPECT_EQ(told("campaign.lit").size(), 1U);
}

// ---- what is lit and what is not --------------------------------------------------------------------------------------------------------

TEST_F(Hub, BenignMassMailOfAllKindsIsAtMostACandidate) {
  open(98, live());
  // Newsletters, surveys, webinars: everybody sees a new link, a few in a thousand report it, its host is new.
  for (int i = 0; i < 10; ++i) {
    digests.next = {group("newsletter" + std::to_string(i), 1, 98)};
    for (auto& s : digests.next[0].seen) s.mails = 50;
    digests.next[0].signs.push_back({sign("payload", "new_host"), MunicipalityId{3}});
    digests.next[0].signs.push_back({sign("harm", "reported"), MunicipalityId{4}});
    ASSERT_TRUE(report_json(1, "digest", "{}"));
    for (int town = 10; town < 20; ++town)
      ASSERT_TRUE(report(town, "harm",
                         event::HarmNotice{.id = "n" + std::to_string(i),
                                           .sign = sign("harm", "reported"),
                                           .sender = {},
                                           .digest = digests.next[0].id,
                                           .notice = {},
                                           .count = 1}));
    sim.advance(1h);
  }
  // A consultation letter with an attachment that could do something.
  digests.next = {group("letter", 1, 60)};
  digests.next[0].kind = "attachment";
  digests.next[0].signs.push_back({sign("payload", "active_attachment"), MunicipalityId{3}});
  ASSERT_TRUE(report_json(1, "digest", "{}"));
  // A network's secretary writes to 40 towns, with a QR code to sign up, and one who got it reports it.
  std::map<int, int> forty;
  for (int i = 2; i <= 41; ++i) forty[i] = 3;
  ASSERT_TRUE(report(1, "sender_notice", notice("network", 1, "secretary", forty)));
  ASSERT_TRUE(report(
      5, "harm",
      event::HarmNotice{
          .id = "x", .sign = sign("harm", "reported"), .sender = {}, .digest = {}, .notice = "1.network", .count = 1}));
  ASSERT_TRUE(report(
      6, "harm",
      event::HarmNotice{
          .id = "y", .sign = sign("harm", "click"), .sender = {}, .digest = {}, .notice = "1.network", .count = 9}));
  // Two towns with one training vendor.
  digests.next = {group("training", 70, 2)};
  ASSERT_TRUE(report_json(70, "digest", "{}"));

  EXPECT_TRUE(list({"suspicion"}).empty());
  EXPECT_TRUE(list({"waiting"}).empty());
  EXPECT_TRUE(list({"lit"}).empty());
  EXPECT_TRUE(told("suspicion.opened").empty());
  const auto causes = *state->read([&](store::Reader& db) { return candidates_by_cause(db, Instant{}); });
  std::map<std::string, std::int64_t> opened;
  for (const auto& c : causes) opened[c.cause] = c.opened;
  EXPECT_EQ(opened, (std::map<std::string, std::int64_t>{{"url", 10}, {"attachment", 1}, {"sender_notice", 1}}));
  // The secretary's QR code makes it the analyst's business, and nobody else's.
  ASSERT_TRUE(report(7, "harm",
                     event::HarmNotice{.id = "z",
                                       .sign = sign("payload", "qr_code"),
                                       .sender = {},
                                       .digest = {},
                                       .notice = "1.network",
                                       .count = 1}));
  EXPECT_EQ(list({"suspicion"}).size(), 1U);
  EXPECT_TRUE(list({"lit"}).empty());
}

TEST_F(Hub, DigestsNeedThreeMunicipalitiesInSixHoursOrTwoWhenAMemberSentIt) {
  open(98, live());
  digests.next = {group("two", 1, 2)};
  ASSERT_TRUE(report_json(1, "digest", "{}"));
  EXPECT_TRUE(all().empty());
  digests.next[0].seen.push_back({MunicipalityId{9}, now() + 7 * kHour, 1});
  ASSERT_TRUE(report_json(1, "digest", "{}"));
  EXPECT_TRUE(all().empty());
  digests.next = {group("three", 1, 3)};
  ASSERT_TRUE(report_json(1, "digest", "{}"));
  EXPECT_EQ(all().size(), 1U);
  EXPECT_EQ(digests.asked, std::vector<std::string>{"three"});
  digests.next = {group("member", 1, 2)};
  digests.next[0].sender_domains = {"town50.example"};
  ASSERT_TRUE(report_json(1, "digest", "{}"));
  EXPECT_EQ(all().size(), 2U);
}

TEST_F(Hub, InAPilotTwoAreEnoughForACandidate) {
  open(98, live(), 6);
  digests.next = {group("two", 1, 2)};
  ASSERT_TRUE(report_json(1, "digest", "{}"));
  EXPECT_EQ(all().size(), 1U);
  // And one for a sender notice or a burst: with a sign, it is lit.
  auto b = burst("b", 40, "jens", 60);
  b.signs.push_back(sign("payload", "login_form"));
  ASSERT_TRUE(report(2, "burst", b));
  ASSERT_EQ(list({"lit"}).size(), 1U);
  EXPECT_EQ(list({"lit"})[0].trigger, "burst");
}

TEST_F(Hub, SignsFromTwoGroupsMakeASuspicionAndFiveAreShownAShift) {
  open(98, live());
  for (int i = 0; i < 8; ++i) {
    digests.next = {group("g" + std::to_string(i), 1, 3 + i)};
    digests.next[0].signs.push_back({sign("payload", "login_form"), MunicipalityId{3}});
    digests.next[0].signs.push_back({sign("identity", "failed_auth"), MunicipalityId{2}});
    ASSERT_TRUE(report_json(1, "digest", "{}"));
  }
  EXPECT_EQ(list({"suspicion"}).size(), 5U);
  EXPECT_EQ(list({"waiting"}).size(), 3U);
  EXPECT_TRUE(list({"lit"}).empty()) << "digests light nothing";
  const auto shown = *state->read([&](store::Reader& db) { return suspicions(db, sim.now(), options); });
  EXPECT_EQ(shown.this_shift, 5);
  EXPECT_EQ(shown.waiting, 3);
  sim.advance(8h);
  EXPECT_EQ(list({"suspicion"}).size(), 8U);
  EXPECT_TRUE(list({"waiting"}).empty());
  EXPECT_EQ(told("suspicion.opened").size(), 8U);
  EXPECT_EQ(told("suspicion.waits").size(), 3U);
}

TEST_F(Hub, ATrustedIndicatorThatARevealShowsIsASign) {
  open(98, live());
  indicators["evil.example/kit"] = "partner list";
  digests.next = {group("g", 1, 4)};
  digests.next[0].signs.push_back({sign("payload", "new_host"), MunicipalityId{3}});
  ASSERT_TRUE(report_json(1, "digest", "{}"));
  EXPECT_EQ(all()[0].state, "candidate");
  digests.next[0].revealed = GroupRevealed{"https", "evil.example", "/kit", "", ""};
  ASSERT_TRUE(report_json(1, "revealed", "{}"));
  EXPECT_EQ(all()[0].state, "suspicion");
  const auto f = facts(all()[0].id);
  ASSERT_EQ(f.observables.size(), 1U);
  EXPECT_EQ(f.observables[0].value, "evil.example/kit");
}

TEST_F(Hub, ABurstNeedsASecondWitnessWhereTheSendersNodeIsThereAndSilent) {
  open(98, live());
  auto b = burst("b", 1, "jens", 60);
  b.signs.push_back(sign("payload", "login_form"));
  ASSERT_TRUE(report(2, "burst", b));
  EXPECT_TRUE(list({"lit"}).empty());
  EXPECT_EQ(list({"suspicion"}).size(), 1U);
  auto c = burst("c", 1, "jens", 30);
  ASSERT_TRUE(report(3, "burst", c));
  ASSERT_EQ(list({"lit"}).size(), 1U);
  EXPECT_EQ(list({"lit"})[0].municipalities, 3);
}

TEST_F(Hub, NewsOfAWeekAgoLightsNothingWithoutAPerson) {
  open(98, live());
  auto n = notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}});
  n.from_us -= 7 * kDay;
  n.to_us -= 7 * kDay;
  n.signs.push_back(sign("payload", "login_form"));
  ASSERT_TRUE(report(1, "sender_notice", n));
  EXPECT_EQ(sent.size(), 3U);
  EXPECT_EQ(list({"suspicion"}).size(), 1U);
}

// ---- October 2024 ---------------------------------------------------------------------------------------------------------------------------

TEST_F(Hub, OctoberIsOneCampaignWithTwoSendersThoughItsWordsVary) {
  open(98, live());
  // A click the day before, then 1,426 mails: 791 to the neighbour, others to 20 towns, the rest outside; three subjects.
  ASSERT_TRUE(report(1, "takeover", takeover("t1", 1, "victim", "likely")));
  sim.advance(23h);
  const char* const subjects[] = {"00000000000000ff", "f0f0f0f0f0f0f0f0", "123456789abcdef0"};
  std::map<int, int> to{{2, 791}};
  for (int i = 10; i < 30; ++i) to[i] = 12;
  auto n = notice("g", 1, "victim", to);
  n.subject_hash = subjects[0];
  n.outside = 395;
  n.mails = 1426;
  n.outside_domains = {"kl.dk", "uvm.min.dk", "klub.example", "gmail.com"};
  ASSERT_TRUE(report(1, "sender_notice", n));
  ASSERT_EQ(list({"lit"}).size(), 1U);
  for (int i = 1; i < 3; ++i) {
    auto other = notice("g" + std::to_string(i), 1, "victim", {{2, 5}, {10, 5}, {11, 5}});
    other.subject_hash = subjects[i];
    ASSERT_TRUE(report(1, "sender_notice", other));
  }
  for (int i = 10; i < 15; ++i) ASSERT_TRUE(report(i, "burst", burst("b", 1, "victim", 12)));
  EXPECT_EQ(all().size(), 1U);
  // Two click, one logs in; a service sends 750 more from there, with a word of its own but nearly the same.
  ASSERT_TRUE(report(2, "harm",
                     event::HarmNotice{.id = "h",
                                       .sign = sign("harm", "login_after_click"),
                                       .sender = {},
                                       .digest = {},
                                       .notice = "1.g",
                                       .count = 1}));
  sim.advance(2h);
  auto second = notice("l", 2, "second", {{1, 40}, {30, 60}, {31, 50}, {32, 50}});
  second.mails = 750;
  second.outside = 550;
  second.subject_hash = "123456789abcdef3";
  second.outside_domains = {"kl.dk", "firma.example"};
  ASSERT_TRUE(report(2, "sender_notice", second));
  ASSERT_TRUE(report(2, "takeover", takeover("t2", 2, "second", "sure")));

  ASSERT_EQ(all().size(), 1U);
  const auto f = facts(all()[0].id);
  EXPECT_EQ(f.campaign.state, "lit");
  ASSERT_EQ(f.senders.size(), 2U);
  EXPECT_EQ(f.senders[0].address, "victim@town1.example");
  EXPECT_EQ(f.senders[1].address, "second@town2.example");
  EXPECT_TRUE(f.senders[0].takeover && f.senders[1].takeover);
  EXPECT_EQ(f.campaign.mails, 1426 + 15 + 15 + 750);
  EXPECT_EQ(f.campaign.severity, 4);
  EXPECT_EQ(f.campaign.municipalities, 25);
  const auto edge =
      std::find_if(f.edges.begin(), f.edges.end(), [](const auto& e) { return e.from == 1 && e.to == 2; });
  ASSERT_NE(edge, f.edges.end());
  EXPECT_EQ(edge->mails, 791 + 5 + 5);
  EXPECT_TRUE(std::any_of(f.edges.begin(), f.edges.end(), [](const auto& e) { return e.from == 2 && e.to == 1; }));
  EXPECT_TRUE(std::any_of(f.edges.begin(), f.edges.end(),
                          [](const auto& e) { return e.from == 2 && e.to == 0 && e.mails == 550; }));
  // A burst at a receiver of a notice tells of the same mails.
  const auto ten =
      std::find_if(f.edges.begin(), f.edges.end(), [](const auto& e) { return e.from == 1 && e.to == 10; });
  EXPECT_EQ(ten->mails, 12 + 5 + 5);
  ASSERT_EQ(f.outside.size(), 5U);
  std::map<std::string, std::int64_t> victims;
  for (const auto& v : f.victims) victims[v.kind] = v.count;
  EXPECT_EQ(victims["member"], 25);
  EXPECT_EQ(victims["union"], 1);
  EXPECT_EQ(victims["ministry"], 1);
  EXPECT_EQ(f.seconds_to_hub, 300);
  EXPECT_EQ(f.seconds_to_lit, 300);
  EXPECT_FALSE(f.spread.empty());
  EXPECT_EQ(told("campaign.lit").size(), 1U);
  // What a town sees of it: itself.
  const auto mine = for_municipality(f, MunicipalityId{10});
  EXPECT_EQ(mine.edges.size(), 1U);
  EXPECT_EQ(mine.senders.size(), 1U);
  EXPECT_TRUE(mine.outside.empty());
}

TEST_F(Hub, AChainOfTwoTakenAccountsIsOneCampaignWithoutACommonWord) {
  open(98, live());
  ASSERT_TRUE(report(1, "takeover", takeover("t1", 1, "victim", "likely")));
  ASSERT_TRUE(report(1, "sender_notice", notice("g", 1, "victim", {{2, 79}, {3, 10}, {4, 10}})));
  sim.advance(3h);
  ASSERT_TRUE(report(2, "sender_notice", notice("l", 2, "second", {{5, 40}, {6, 60}, {7, 50}})));
  EXPECT_EQ(all().size(), 2U);
  ASSERT_TRUE(report(2, "takeover", takeover("t2", 2, "second", "likely")));
  ASSERT_EQ(all().size(), 1U);
  EXPECT_EQ(all()[0].senders, 2);
  const auto merged = list({"merged"});
  ASSERT_EQ(merged.size(), 1U);
  EXPECT_EQ(facts(merged[0].id).campaign.id, all()[0].id);
  EXPECT_EQ(told("campaign.merged").size(), 1U);
}

TEST_F(Hub, TwoAttacksAreTwoCampaigns) {
  open(98, live());
  for (const auto& [of, body] : {std::pair(1, "00000000000000ff"), std::pair(50, "ffffffff00000000")}) {
    ASSERT_TRUE(report(of, "takeover", takeover("t", of, "victim", "likely")));
    auto n = notice("n", of, "victim", {{of + 1, 79}, {of + 2, 10}, {of + 3, 10}});
    n.body_simhash = body;
    n.subject_hash = "aaaaaaaaaaaaaaaa";  // both say "faktura"
    ASSERT_TRUE(report(of, "sender_notice", n));
  }
  EXPECT_EQ(list({"lit"}).size(), 2U);
  // Also when the second's town was reached by the first, as long as what they say is known to differ.
  auto third = notice("n", 2, "other", {{60, 79}, {61, 10}, {62, 10}});
  third.body_simhash = "0f0f0f0f0f0f0f0f";
  ASSERT_TRUE(report(2, "sender_notice", third));
  ASSERT_TRUE(report(2, "takeover", takeover("t", 2, "other", "likely")));
  EXPECT_EQ(list({"lit"}).size(), 3U);
}

TEST_F(Hub, NearSameBodiesOfTwoSendersAreOneCampaign) {
  open(98, live());
  auto a = notice("a", 1, "x", {{10, 20}, {11, 2}, {12, 2}});
  a.body_simhash = "0123456789abcdef";
  auto b = notice("b", 2, "y", {{20, 20}, {21, 2}, {22, 2}});
  b.body_simhash = "0123456789abcd90";  // six bits apart
  auto c = notice("c", 3, "z", {{30, 20}, {31, 2}, {32, 2}});
  c.body_simhash = "fedcba9876543210";
  ASSERT_TRUE(report(1, "sender_notice", a));
  ASSERT_TRUE(report(2, "sender_notice", b));
  ASSERT_TRUE(report(3, "sender_notice", c));
  EXPECT_EQ(all().size(), 2U);
}

TEST_F(Hub, WhatDigestsRevealJoinsTheNoticeWhoseReceiversSawIt) {
  open(98, live());
  ASSERT_TRUE(report(1, "takeover", takeover("t", 1, "victim", "likely")));
  ASSERT_TRUE(report(1, "sender_notice", notice("g", 1, "victim", {{2, 79}, {3, 10}, {4, 10}, {5, 5}})));
  digests.next = {group("link", 2, 3)};
  digests.next[0].sender_domains = {"town1.example"};
  digests.next[0].revealed = GroupRevealed{"https", "bio.link", "/orbes", "", ""};
  ASSERT_TRUE(report_json(2, "digest", "{}"));
  ASSERT_EQ(all().size(), 1U);
  const auto f = facts(all()[0].id);
  EXPECT_TRUE(std::any_of(f.observables.begin(), f.observables.end(),
                          [](const auto& o) { return o.kind == "url" && o.value == "bio.link/orbes"; }));
  // Somebody else's new link on that day does not.
  digests.next = {group("agenda", 40, 3)};
  digests.next[0].sender_domains = {"town1.example"};
  ASSERT_TRUE(report_json(40, "digest", "{}"));
  EXPECT_EQ(all().size(), 2U);
  // The same link elsewhere, by nobody known, does.
  digests.next = {group("link2", 60, 3)};
  ASSERT_TRUE(report_json(60, "digest", "{}"));
  EXPECT_EQ(all().size(), 3U);
  digests.next[0].revealed = GroupRevealed{"http", "bio.link", "/orbes/", "", ""};
  ASSERT_TRUE(report_json(60, "revealed", "{}"));
  EXPECT_EQ(all().size(), 2U);
}

TEST_F(Hub, ACampaignIsOverWhenItIsQuietAndGoesOnWhenMoreComes) {
  open(98, live());
  ASSERT_TRUE(report(1, "takeover", takeover("t", 1, "victim", "likely")));
  ASSERT_TRUE(report(1, "sender_notice", notice("g", 1, "victim", {{2, 79}, {3, 10}, {4, 10}})));
  sim.advance(25h);
  EXPECT_EQ(all()[0].state, "over");
  EXPECT_EQ(told("campaign.over").size(), 1U);
  // A late click is counted, and warns nobody again.
  ASSERT_TRUE(report(
      2, "harm",
      event::HarmNotice{
          .id = "late", .sign = sign("harm", "click"), .sender = {}, .digest = {}, .notice = "1.g", .count = 1}));
  EXPECT_EQ(all()[0].state, "over");
  EXPECT_EQ(all()[0].clicks, 1);
  ASSERT_TRUE(report(1, "sender_notice", notice("g2", 1, "victim", {{5, 79}, {6, 10}, {7, 10}})));
  ASSERT_EQ(all().size(), 1U);
  EXPECT_EQ(all()[0].state, "lit");
  EXPECT_EQ(told("campaign.lit").size(), 2U) << "a new warning: the first is over";
}

TEST_F(Hub, ACandidateOfWhichNothingCameIsForgottenInDetail) {
  open(98, live());
  for (int i = 0; i < 20; ++i) {
    digests.next = {group("g" + std::to_string(i), 1, 50)};
    ASSERT_TRUE(report_json(1, "digest", "{}"));
  }
  sim.advance(24h * 5);
  for (const char* table : {"corr_thing", "corr_reach", "corr_sign", "corr_link", "corr_near"}) {
    const auto rows =
        state->read([&](store::Reader& db) { return db.number(std::string("SELECT count(*) FROM ") + table); });
    EXPECT_EQ(rows.value_or(-1), 0) << table;
  }
  EXPECT_EQ(list({"over"}).size(), 20U);
  const auto timers = state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM timer"); });
  EXPECT_EQ(timers.value_or(-1), 0);
}

// ---- brakes ---------------------------------------------------------------------------------------------------------------------------------

TEST_F(Hub, InShadowATriggerOnlyWritesDownWhatItWouldHaveLit) {
  open(98, Options{});
  auto n = notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}});
  n.signs.push_back(sign("payload", "login_form"));
  ASSERT_TRUE(report(1, "sender_notice", n));
  ASSERT_EQ(list({"suspicion"}).size(), 1U);
  EXPECT_GT(list()[0].would_light_us, 0);
  EXPECT_EQ(list()[0].lit_us, 0);
  EXPECT_TRUE(told("campaign.lit").empty());
  const std::int64_t id = list()[0].id;
  ASSERT_TRUE(tx([&](store::Tx& t) { return correlator->confirm(t, id, "analyst"); }));
  ASSERT_EQ(list({"lit"}).size(), 1U);
  EXPECT_EQ(list()[0].lit_by, "analyst");
  EXPECT_EQ(told("campaign.lit").size(), 1U);
}

TEST_F(Hub, AReplayLongAndWideAndWithoutFalseOnesMakesATriggerLive) {
  open(98, Options{});
  const auto replay = [&](std::int64_t days, std::int64_t towns, std::int64_t false_ones) {
    return tx(
        [&](store::Tx& t) { return correlator->replayed(t, "sender_notice", days, towns, false_ones, "analyst"); });
  };
  EXPECT_FALSE(replay(30, 98, 0));
  EXPECT_FALSE(replay(90, 6, 0));
  EXPECT_FALSE(replay(90, 98, 1));
  ASSERT_TRUE(replay(90, 98, 0));
  auto n = notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}});
  n.signs.push_back(sign("payload", "login_form"));
  ASSERT_TRUE(report(1, "sender_notice", n));
  EXPECT_EQ(list({"lit"}).size(), 1U);
}

TEST_F(Hub, TwoFalseWarningsInAMonthAndAPersonMustConfirm) {
  open(98, live());
  for (int i = 1; i <= 3; ++i) {
    auto n = notice("a", i, "jens", {{10 + i, 30}, {20 + i, 5}, {30 + i, 5}});
    n.signs.push_back(sign("payload", "login_form"));
    ASSERT_TRUE(report(i, "sender_notice", n));
    if (i == 3) break;
    ASSERT_EQ(list({"lit"}).size(), 1U) << i;
    const std::int64_t id = list({"lit"})[0].id;
    sent.clear();
    ASSERT_TRUE(judge(id, false));
    ASSERT_EQ(sent.size(), 3U);
    for (const auto& s : sent) EXPECT_TRUE(s.ids().withdrawn);
    sim.advance(24h);
  }
  EXPECT_TRUE(list({"lit"}).empty());
  EXPECT_EQ(list({"suspicion"}).size(), 1U);
  const auto rows = *state->read([&](store::Reader& db) { return triggers(db, Instant{}); });
  const auto t = std::find_if(rows.begin(), rows.end(), [](const Trigger& x) { return x.name == "sender_notice"; });
  ASSERT_NE(t, rows.end());
  EXPECT_EQ(t->mode, "confirm");
  EXPECT_EQ(t->by_whom, "brake");
  EXPECT_EQ(t->not_real, 2);
  EXPECT_EQ(told("trigger.changed").size(), 1U);
  const auto f = *state->read([&](store::Reader& db) { return false_warnings(db, sim.now(), std::chrono::days(90)); });
  EXPECT_EQ(f.not_real, 2);
  EXPECT_NEAR(f.days, 2, 0.1);
}

TEST_F(Hub, TwoFalseOnesSixWeeksApartDoNotBrake) {
  open(98, live());
  for (int i = 1; i <= 2; ++i) {
    auto n = notice("a", i, "jens", {{10 + i, 30}, {20 + i, 5}, {30 + i, 5}});
    n.signs.push_back(sign("payload", "login_form"));
    ASSERT_TRUE(report(i, "sender_notice", n));
    ASSERT_TRUE(judge(list({"lit"}).at(0).id, false));
    sim.advance(24h * 42);
  }
  const auto rows = *state->read([&](store::Reader& db) { return triggers(db, Instant{}); });
  EXPECT_TRUE(std::any_of(rows.begin(), rows.end(),
                          [](const Trigger& t) { return t.name == "sender_notice" && t.mode == "live"; }));
}

TEST_F(Hub, WhatWasJudgedFalseStaysSoForTheSameMailOnly) {
  open(98, live());
  auto n = notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}});
  n.subject_hash = "00000000000000ff";
  ASSERT_TRUE(report(1, "sender_notice", n));
  ASSERT_TRUE(judge(all().at(0).id, false));
  auto again = notice("b", 1, "jens", {{5, 30}, {6, 5}, {7, 5}});
  again.subject_hash = n.subject_hash;
  again.signs.push_back(sign("payload", "new_host"));
  ASSERT_TRUE(report(1, "sender_notice", again));
  EXPECT_EQ(all().size(), 1U);
  EXPECT_TRUE(ids_to(5).at(0).withdrawn);
  auto other = notice("c", 1, "jens", {{5, 30}, {6, 5}, {7, 5}});
  other.subject_hash = "ffffffffffffff00";
  ASSERT_TRUE(report(1, "sender_notice", other));
  EXPECT_EQ(all().size(), 2U);
  // Judged the other way round, its receivers hear of it again.
  sent.clear();
  ASSERT_TRUE(judge(1, true));
  ASSERT_FALSE(ids_to(2).empty());
  EXPECT_FALSE(ids_to(2).back().withdrawn);
}

// ---- hostile reports --------------------------------------------------------------------------------------------------------------------

TEST_F(Hub, WhoCriedWolfLightsNothingAloneUntilSomebodySaysSo) {
  open(98, live());
  auto n = notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}});
  n.signs.push_back(sign("payload", "login_form"));
  ASSERT_TRUE(report(1, "sender_notice", n));
  ASSERT_TRUE(judge(list({"lit"}).at(0).id, false));
  auto m = notice("b", 1, "anna", {{2, 30}, {3, 5}, {4, 5}});
  m.signs.push_back(sign("payload", "login_form"));
  ASSERT_TRUE(report(1, "sender_notice", m));
  EXPECT_TRUE(list({"lit"}).empty());
  EXPECT_TRUE(ids_to(2).back().second_signs.empty());
  // Another's word helps it.
  ASSERT_TRUE(report(2, "harm",
                     event::HarmNotice{.id = "h",
                                       .sign = sign("harm", "login_after_click"),
                                       .sender = {},
                                       .digest = {},
                                       .notice = "1.b",
                                       .count = 1}));
  EXPECT_EQ(list({"lit"}).size(), 1U);
  const auto standing = *state->read([&](store::Reader& db) { return standings(db); });
  ASSERT_FALSE(standing.empty());
  EXPECT_EQ(standing[0].alone, 0);
  ASSERT_TRUE(
      tx([&](store::Tx& t) { return correlator->trust(t, MunicipalityId{1}, "analyst", "node was repaired"); }));
  auto o = notice("c", 1, "bo", {{20, 30}, {21, 5}, {22, 5}});
  o.signs.push_back(sign("payload", "login_form"));
  ASSERT_TRUE(report(1, "sender_notice", o));
  EXPECT_EQ(list({"lit"}).size(), 2U);
}

TEST_F(Hub, OneMunicipalitysWordAloneLightsOneWarningADay) {
  open(98, live());
  for (int i = 0; i < 20; ++i) {
    const std::string who = "u" + std::to_string(i);
    auto n = notice("n" + std::to_string(i), 1, who, {{2 + i, 30}, {30 + i, 5}, {60 + i, 5}});
    n.signs.push_back(sign("payload", "login_form"));
    ASSERT_TRUE(report(1, "sender_notice", n));
    ASSERT_TRUE(report(1, "takeover", takeover("t" + who, 1, who, "sure")));
  }
  EXPECT_EQ(list({"lit"}).size(), 1U);
  EXPECT_LE(list({"suspicion"}).size(), 2U);
  // What another one sees as well is lit.
  const auto waits = list({"waiting", "suspicion"});
  ASSERT_FALSE(waits.empty());
  ASSERT_TRUE(report(2 + 19, "burst", burst("b", 1, "u19", 30)));
  EXPECT_EQ(list({"lit"}).size(), 2U);
  // And when the first was judged real, the next one may.
  ASSERT_TRUE(judge(1, true));
  auto n = notice("again", 1, "anna", {{50, 30}, {51, 5}, {52, 5}});
  n.signs.push_back(sign("payload", "login_form"));
  ASSERT_TRUE(report(1, "sender_notice", n));
  EXPECT_EQ(list({"lit"}).size(), 3U);
}

TEST_F(Hub, ForeignAndBrokenReportsAreRefusedWithTheirReasonAndCounted) {
  open(98, live());
  const auto refused_as = [&](Result<void> r, Code code, std::string_view reason) {
    ASSERT_FALSE(r) << reason;
    EXPECT_EQ(r.error().code, code) << reason;
    EXPECT_EQ(r.error().where, reason) << r.error().what;
  };
  const auto good = notice("a", 1, "jens", {{2, 3}, {3, 3}, {4, 3}});
  refused_as(report(2, "sender_notice", good), Code::forbidden, "foreign_sender");
  auto n = good;
  n.sender = "ceo@microsoft.com";
  refused_as(report(1, "sender_notice", n), Code::forbidden, "foreign_sender");
  n = good;
  n.sender = "no address";
  refused_as(report(1, "sender_notice", n), Code::bad_input, "bad_address");
  n = good;
  n.id = std::string(97, 'x');
  refused_as(report(1, "sender_notice", n), Code::bad_input, "bad_id");
  n = good;
  n.id = "a/../b";
  refused_as(report(1, "sender_notice", n), Code::bad_input, "bad_id");
  n = good;
  n.to = {{"stranger.com", 3, {"<a@b.example>"}}};
  refused_as(report(1, "sender_notice", n), Code::bad_input, "no_member_domain");
  n = good;
  n.to[0].message_ids[0] = std::string(501, 'x');
  refused_as(report(1, "sender_notice", n), Code::bad_input, "bad_message_id");
  n = good;
  n.to[0].message_ids[0] = "<a b\n@x>";
  refused_as(report(1, "sender_notice", n), Code::bad_input, "bad_message_id");
  n = good;
  n.to[0].message_ids.assign(2001, "<a@b.example>");
  refused_as(report(1, "sender_notice", n), Code::bad_input, "too_many");
  n = good;
  n.mails = -1;
  refused_as(report(1, "sender_notice", n), Code::bad_input, "bad_number");
  n = good;
  n.to_us = now() + 2 * kHour;
  refused_as(report(1, "sender_notice", n), Code::bad_input, "bad_time");
  n = good;
  n.subject_hash = "../../etc/passwd";
  refused_as(report(1, "sender_notice", n), Code::bad_input, "bad_hash");
  n = good;
  n.signs.push_back(sign("intelligence", "indicator"));
  refused_as(report(1, "sender_notice", n), Code::bad_input, "bad_sign");
  n = good;
  n.signs.push_back(sign("harm", "takeover_sure"));
  refused_as(report(1, "sender_notice", n), Code::bad_input, "bad_sign");
  n = good;
  n.signs.assign(51, sign("harm", "click"));
  refused_as(report(1, "sender_notice", n), Code::bad_input, "too_many");
  refused_as(report_json(1, "sender_notice", R"({"id":"x"})"), Code::bad_input, "bad_json");
  refused_as(report_json(1, "weather", "{}"), Code::bad_input, "unknown_kind");
  refused_as(report(2, "takeover", takeover("t", 1, "jens", "sure")), Code::forbidden, "foreign_account");
  refused_as(report(1, "takeover", takeover("t", 1, "jens", "certain")), Code::bad_input, "bad_level");
  refused_as(report(1, "burst", burst("b", 1, "jens", 50)), Code::forbidden, "own_sender");
  auto b = burst("b", 1, "jens", 50);
  b.sender = "x@newsletter.example";
  refused_as(report(2, "burst", b), Code::bad_input, "no_member_domain");
  ASSERT_TRUE(report(1, "sender_notice", good));
  refused_as(report(9, "harm",
                    event::HarmNotice{.id = "h",
                                      .sign = sign("harm", "vendor_verdict"),
                                      .sender = {},
                                      .digest = {},
                                      .notice = "1.a",
                                      .count = 1}),
             Code::forbidden, "not_theirs");
  refused_as(report(2, "harm",
                    event::HarmNotice{.id = "h",
                                      .sign = sign("harm", "vendor_verdict"),
                                      .sender = {},
                                      .digest = {},
                                      .notice = "1.zzz",
                                      .count = 1}),
             Code::bad_input, "no_such_notice");
  refused_as(
      report(2, "harm",
             event::HarmNotice{
                 .id = "h", .sign = sign("harm", "reported"), .sender = {}, .digest = {}, .notice = {}, .count = 1}),
      Code::bad_input, "about_nothing");
  n = good;
  n.part = 2;
  n.sender = "anna@town1.example";
  refused_as(report(1, "sender_notice", n), Code::bad_input, "changed_sender");

  EXPECT_EQ(all().size(), 1U);
  EXPECT_EQ(sent.size(), 3U);
  sim.advance(1s);
  const auto rows = *state->read([](store::Reader& db) { return correlate::refused(db); });
  std::int64_t counted = 0;
  for (const auto& r : rows) counted += r.count;
  EXPECT_EQ(counted, 25);
  EXPECT_EQ(correlator->refusals().at("sender_notice/foreign_sender"), 2U);
}

TEST_F(Hub, MessageIdsForStrangersGoToNobodyAndTheRestGoesOn) {
  open(98, live());
  auto n = notice("a", 1, "jens", {{2, 3}, {3, 3}});
  n.to.push_back({"stranger.com", 1, {"<secret@x.example>"}});
  ASSERT_TRUE(report(1, "sender_notice", n));
  EXPECT_EQ(sent.size(), 2U);
  for (const auto& s : sent) EXPECT_FALSE(s.json.contains("secret"));
  EXPECT_EQ(correlator->refusals().at("sender_notice/no_member_domain"), 1U);
}

TEST_F(Hub, AFloodFromOneNodeIsCutAndTheOthersGoOn) {
  open(98, live());
  int taken = 0;
  for (int i = 0; i < 500; ++i)
    taken += report(1, "sender_notice",
                    notice("n" + std::to_string(i), 1, "u" + std::to_string(i), {{2, 3}, {3, 3}, {4, 3}}))
                 ? 1
                 : 0;
  EXPECT_EQ(taken, 60);
  EXPECT_EQ(correlator->refusals().at("sender_notice/flood"), 440U);
  auto n = notice("a", 9, "jens", {{2, 30}, {3, 5}, {4, 5}});
  n.signs.push_back(sign("payload", "login_form"));
  ASSERT_TRUE(report(9, "sender_notice", n));
  EXPECT_EQ(list({"lit"}).size(), 1U);
  sim.advance(1h);
  EXPECT_TRUE(report(1, "sender_notice", notice("later", 1, "u", {{2, 3}, {3, 3}, {4, 3}})));
}

TEST_F(Hub, OneNodeCannotTakeAllPlacesOfAShift) {
  open(98, live());
  for (int i = 0; i < 10; ++i) {
    auto n = notice("n" + std::to_string(i), 1, "u" + std::to_string(i), {{2 + i, 3}, {30 + i, 3}, {60 + i, 3}});
    n.signs.push_back(sign("payload", "qr_code"));
    ASSERT_TRUE(report(1, "sender_notice", n));
  }
  EXPECT_EQ(list({"suspicion"}).size(), 2U);
  EXPECT_EQ(list({"waiting"}).size(), 8U);
}

TEST_F(Hub, SignsOfOneMunicipalityAboutOneThingAreBounded) {
  open(98, live());
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}})));
  for (int i = 0; i < 200; ++i)
    ASSERT_TRUE(report(2, "harm",
                       event::HarmNotice{.id = "h" + std::to_string(i),
                                         .sign = sign("harm", "click"),
                                         .sender = {},
                                         .digest = {},
                                         .notice = "1.a",
                                         .count = 1}));
  const auto rows = state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM corr_sign"); });
  EXPECT_EQ(rows.value_or(0), 64);
  EXPECT_EQ(correlator->refusals().at("harm/too_many_signs"), 136U);
}

// ---- calls ------------------------------------------------------------------------------------------------------------------------------------

TEST_F(Hub, OneCallAtNightAMonthTheOthersAreWithheldAndWrittenDown) {
  open(98, live());
  sim.advance(17h);  // from 10 in the morning in Copenhagen to 3 at night
  ASSERT_TRUE(report(1, "sender_notice", notice("a", 1, "jens", {{2, 30}, {3, 5}, {4, 5}})));
  ASSERT_TRUE(report(1, "sender_notice", notice("b", 1, "anna", {{5, 30}, {6, 5}, {7, 5}})));
  EXPECT_EQ(told("call.wanted").size(), 1U);
  EXPECT_EQ(told("call.withheld").size(), 1U);
  sim.advance(8h);
  ASSERT_TRUE(report(1, "sender_notice", notice("c", 1, "bo", {{8, 30}, {9, 5}, {10, 5}})));
  EXPECT_EQ(told("call.wanted").size(), 2U);
  const auto made = *state->read([](store::Reader& db) { return correlate::calls(db); });
  ASSERT_EQ(made.size(), 3U);
  EXPECT_EQ(std::count_if(made.begin(), made.end(), [](const Call& c) { return c.made == 0 && c.night == 1; }), 1);
}

// ---- lives --------------------------------------------------------------------------------------------------------------------------------------

TEST_F(Hub, ARestartInTheMiddleChangesNothing) {
  const TempFolder folder;
  path = folder.at("state.db");
  open(98, live());
  ASSERT_TRUE(report(1, "takeover", takeover("t", 1, "victim", "suspected")));
  restart();
  auto n = notice("g", 1, "victim", {{2, 79}, {3, 10}, {4, 10}});
  ASSERT_TRUE(report(1, "sender_notice", n));
  restart();
  ASSERT_TRUE(report(1, "sender_notice", n));  // the node was not answered
  EXPECT_EQ(sent.size(), 3U);
  n.part = 2;
  n.to = {{Towns::domain(5), 4, {"<late@x.example>"}}};
  ASSERT_TRUE(report(1, "sender_notice", n));
  EXPECT_EQ(ids_to(5).size(), 1U);
  restart();
  ASSERT_TRUE(report(2, "harm",
                     event::HarmNotice{.id = "h",
                                       .sign = sign("harm", "login_after_click"),
                                       .sender = {},
                                       .digest = {},
                                       .notice = "1.g",
                                       .count = 1}));
  ASSERT_EQ(list({"lit"}).size(), 1U);
  restart();
  sim.advance(26h);
  EXPECT_EQ(all().at(0).state, "over");
  EXPECT_EQ(told("campaign.lit").size(), 1U);
}

TEST_F(Hub, TakesTwoThousandReportsASecondOnOneCore) {
  open(98, live());
  // A quarter of each: notices of five receivers, harm, growing groups of digests, parts.
  std::vector<std::tuple<int, std::string, std::string>> reports;
  constexpr int kRounds = 500;
  for (int i = 0; i < kRounds; ++i) {
    const int of = 1 + i % 98;
    std::map<int, int> to;
    for (int k = 1; k <= 5; ++k) to[1 + (of + 13 * k) % 98] = 10;
    auto n = notice("n" + std::to_string(i), of, "u" + std::to_string(i), to);
    n.subject_hash = fmt::format("{:016x}", sim.random_number());
    n.body_simhash = fmt::format("{:016x}", sim.random_number());
    reports.emplace_back(of, "sender_notice", net::to_json(n));
    n.part = 2;
    reports.emplace_back(of, "sender_notice", net::to_json(n));
    reports.emplace_back(of, "harm",
                         net::to_json(event::HarmNotice{.id = "h" + std::to_string(i),
                                                        .sign = sign("harm", "click"),
                                                        .sender = {},
                                                        .digest = {},
                                                        .notice = fmt::format("{}.n{}", of, i),
                                                        .count = 1}));
    reports.emplace_back(of, "digest", "{}");
  }
  const auto begin = std::chrono::steady_clock::now();
  int i = 0;
  for (std::size_t at = 0; at < reports.size();) {
    // As a node sends them: batches of 50 in one transaction.
    ASSERT_TRUE(tx([&](store::Tx& t) -> Result<void> {
      for (int k = 0; k < 50 && at < reports.size(); ++k, ++at) {
        const auto& [of, kind, body] = reports[at];
        if (kind == "digest") {
          digests.next = {group("g" + std::to_string(i / 40), 1, 3 + i % 40)};
          ++i;
        }
        BAVN_CHECK(correlator->take(t, {.node = "n",
                                        .id = "r",
                                        .kind = kind,
                                        .municipality = MunicipalityId{static_cast<std::uint16_t>(of)},
                                        .at = sim.now(),
                                        .received = sim.now(),
                                        .body = body}));
      }
      return {};
    }));
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  const double rate = static_cast<double>(reports.size()) / took.count();
  RecordProperty("reports_per_second", static_cast<int>(rate));
  printf("%d reports/s\n", static_cast<int>(rate));
  EXPECT_EQ(all().size(), 500U + 13U);
#ifndef BAVN_SANITIZED  // a sanitized build measures the sanitizer
  EXPECT_GT(rate, 1000) << "on a busy machine; 2,000 and more on an idle one";
#endif
}

// ---- figures ----------------------------------------------------------------------------------------------------------------------------------

TEST(FalseWarnings, NoneInNinetyDaysBoundsTheRateBelowOneAMonth) {
  const auto none = false_warnings_of(0, 90);
  EXPECT_DOUBLE_EQ(none.a_month, 0);
  EXPECT_DOUBLE_EQ(none.at_least, 0);
  EXPECT_NEAR(none.at_most, 2.9957 / 3, 1e-3);  // the rule of three
  EXPECT_NEAR(false_warnings_of(0, 30).at_most, 2.9957, 1e-3);
}

TEST(FalseWarnings, LimitsAreExactPoisson) {
  const auto two = false_warnings_of(2, 30);  // tables of Garwood's limits: 0.2422 and 7.2247
  EXPECT_NEAR(two.at_least, 0.2422, 1e-4);
  EXPECT_NEAR(two.at_most, 7.2247, 1e-4);
  const auto ten = false_warnings_of(10, 300);
  EXPECT_NEAR(ten.a_month, 1, 1e-9);
  EXPECT_NEAR(ten.at_least, 0.47954, 1e-4);
  EXPECT_NEAR(ten.at_most, 1.83904, 1e-4);
  EXPECT_EQ(false_warnings_of(3, 0).at_most, 0);
}

TEST(Options, AreTheDefaultsOfTheirSettings) {
  const Options made = Options::from(Settings::defaults(settings())), plain;
  EXPECT_EQ(made.candidate_municipalities, plain.candidate_municipalities);
  EXPECT_EQ(made.candidate_window, plain.candidate_window);
  EXPECT_EQ(made.takeover_window, plain.takeover_window);
  EXPECT_EQ(made.reporters_permille, plain.reporters_permille);
  EXPECT_EQ(made.light_reports_alone, plain.light_reports_alone);
  EXPECT_EQ(made.light_reporters, plain.light_reporters);
  EXPECT_EQ(made.light_takeover, plain.light_takeover);
  EXPECT_EQ(made.suspicions_per_shift, plain.suspicions_per_shift);
  EXPECT_EQ(made.suspicions_of_one, plain.suspicions_of_one);
  EXPECT_EQ(made.shift, plain.shift);
  EXPECT_EQ(made.first_mode, "shadow");
  EXPECT_EQ(made.false_window, plain.false_window);
  EXPECT_EQ(made.replay_days, plain.replay_days);
  EXPECT_EQ(made.near_body, plain.near_body);
  EXPECT_EQ(made.quiet, plain.quiet);
  EXPECT_EQ(made.zone, plain.zone);
  EXPECT_EQ(made.harms_per_hour, plain.harms_per_hour);
}

}  // namespace
}  // namespace bavn::correlate
