#include "notice/digester.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/digest.hpp"

namespace bavn::notice {

namespace {

using namespace std::chrono_literals;
using std::chrono::days;

const Instant kStart = from_micros(1'727'769'600'000'000);  // 2024-10-01T08:00:00Z
constexpr MunicipalityId kTown{101}, kOther{147};
const std::string kHash = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

Key key_of(std::string_view word) {
  const auto bytes = blake2b256(word);
  return Key(std::span<const char, Key::kSize>(bytes.data(), Key::kSize));
}
event::EpochKey epoch(std::int64_t n, Instant from, Instant until, bool replaces = false) {
  return {n, from, until, replaces, key_of("epoch " + std::to_string(n))};
}

std::shared_ptr<const Community> community() {
  auto c = std::make_shared<Community>();
  EXPECT_TRUE(c->add("town.example", kTown));
  EXPECT_TRUE(c->add("other.example", kOther));
  c->add_own(kTown);
  return c;
}
std::shared_ptr<const HostLists> lists() {
  return std::make_shared<const HostLists>(HostLists::parse("bio.link\n", "teams.microsoft.com\n", "gmail.com\n"));
}

struct Node {
  std::shared_ptr<const EpochKeys> keys =
      std::make_shared<const EpochKeys>(std::vector{epoch(1, kStart - days(1), kStart + days(400))});
  DigestOptions options{.learn_hours = 0};
  Digester digester;
  Instant now = kStart;
  int mails = 0;

  explicit Node(DigestOptions o = {.learn_hours = 0}, std::string_view own = "node")
      : options(o), digester(community(), lists(), [this] { return keys; }, o, key_of(own)) {}

  event::MailFact mail(std::string url, std::string sender = "a@supplier.example",
                       std::string recipient = "jens.hansen@town.example") {
    event::MailFact m;
    m.head.municipality = kTown;
    m.head.source = event::FactSource::mail_copy;
    m.head.happened = m.head.received = now;
    m.sender = std::move(sender);
    m.recipients = {std::move(recipient)};
    m.message_id = fmt::format("{}@x", ++mails);
    m.subject = "Faktura 17";
    if (!url.empty()) m.urls = {std::move(url)};
    m.knows_content = true;
    return m;
  }
  void feed(const event::MailFact& m) { digester.feed(m, now); }
  std::vector<event::DigestItem> take() {
    std::vector<event::DigestItem> items;
    for (auto& t : digester.take(now).tell) items.insert(items.end(), t.batch.items.begin(), t.batch.items.end());
    return items;
  }
  std::vector<event::DigestItem> told(const event::MailFact& m) {
    feed(m);
    return take();
  }
};

TEST(Digester, ANewLinkIsToldOnceAndThenByBuckets) {
  Node n;
  const auto first = n.told(n.mail("evil.example/login/17"));
  ASSERT_EQ(first.size(), 1U);
  EXPECT_EQ(first[0].kind, "url");
  EXPECT_EQ(first[0].mails, 1);
  EXPECT_EQ(first[0].digests.size(), 1U);
  EXPECT_EQ(first[0].digests[0].size(), 32U);
  EXPECT_EQ(first[0].support.size(), 3U);
  std::vector<std::int64_t> buckets;
  for (int i = 0; i < 30; ++i)
    for (const auto& item : n.told(n.mail("evil.example/login/" + std::to_string(i)))) {
      EXPECT_EQ(item.digests, first[0].digests);
      buckets.push_back(item.mails);
    }
  EXPECT_EQ(buckets, (std::vector<std::int64_t>{2, 5, 10, 20}));
}

TEST(Digester, NothingOfALinkStandsInWhatIsTold) {
  Node n;
  n.feed(n.mail("evil.example/hemmelig/sti?mail=jens", "bo@other.example"));
  const auto out = n.digester.take(n.now);
  ASSERT_EQ(out.tell.size(), 1U);
  const auto& item = out.tell[0].batch.items.at(0);
  for (const auto* list : {&item.digests, &item.support})
    for (const auto& d : *list) EXPECT_EQ(d.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(item.sender_domain, "other.example");
  ASSERT_EQ(out.things.size(), 1U);
  EXPECT_EQ(out.things[0].shown.path, "/hemmelig/sti");
  EXPECT_EQ(out.things[0].digests.at(0).second, item.digests.at(0));
}

TEST(Digester, WhatWasSeenInNinetyDaysIsNotNew) {
  Node n;
  EXPECT_EQ(n.told(n.mail("news.example/brev")).size(), 1U);
  for (int week = 0; week < 12; ++week) {
    n.now += days(7);
    EXPECT_TRUE(n.told(n.mail("news.example/brev")).empty()) << week;
  }
  n.now += days(92);
  EXPECT_EQ(n.told(n.mail("news.example/brev")).size(), 1U);
}

TEST(Digester, NodesWithTheSameKeyMakeTheSameDigest) {
  Node a({.learn_hours = 0}, "a"), b({.learn_hours = 0}, "b");
  auto theirs = b.mail("evil.example/login/2?x", "x@y.example", "info@other.example");
  theirs.head.municipality = kOther;
  const auto ours = a.told(a.mail("evil.example/login/1"));
  const auto other = b.told(theirs);
  ASSERT_TRUE(ours.size() == 1 && other.size() == 1);
  EXPECT_EQ(ours[0].digests, other[0].digests);
}

TEST(Digester, ActiveAttachmentsAreToldByTheirHash) {
  Node n;
  auto m = n.mail("");
  m.attachments = {
      {"faktura 17.html", kHash, false}, {"brev.pdf", std::string(64, 'a'), false}, {"uden hash.zip", "", true}};
  const auto items = n.told(m);
  ASSERT_EQ(items.size(), 1U);
  EXPECT_EQ(items[0].kind, "attachment");
  ASSERT_EQ(items[0].signs.size(), 1U);
  EXPECT_EQ(items[0].signs[0].kind, "active_attachment");
}

TEST(Digester, AKnownBulkSenderIsLeftOut) {
  Node n;
  const auto bulk = [&](std::string url, std::string list_id) {
    auto m = n.mail(std::move(url), "brev@nyhed.example");
    m.signed_by = "nyhed.example";
    m.list_id = std::move(list_id);
    return m;
  };
  EXPECT_EQ(n.told(bulk("nyhed.example/uge/a", "liste")).size(), 1U);  // not known yet
  n.now += days(15);
  EXPECT_TRUE(n.told(bulk("nyhed.example/uge/b", "liste")).empty());
  EXPECT_EQ(n.digester.counts().bulk, 1U);
  EXPECT_EQ(n.told(bulk("nyhed.example/uge/c", "")).size(), 1U);  // no List-Id, few mails
  for (int i = 0; i < 60; ++i) n.feed(bulk("", ""));
  n.take();
  EXPECT_TRUE(n.told(bulk("nyhed.example/uge/d", "")).empty());
  auto forged = bulk("nyhed.example/uge/e", "liste");
  forged.signed_by.clear();
  EXPECT_EQ(n.told(forged).size(), 1U);
  auto failed = bulk("nyhed.example/uge/f", "liste");
  failed.failed_auth = true;
  EXPECT_EQ(n.told(failed).size(), 1U);
}

TEST(Digester, FreeMailIsNeverABulkSender) {
  Node n;
  for (int i = 0; i < 200; ++i) {
    auto m = n.mail("", "borger@gmail.com");
    m.signed_by = "gmail.com";
    n.feed(m);
    if (i == 100) n.now += days(20);
  }
  auto m = n.mail("evil.example/x", "borger@gmail.com");
  m.signed_by = "gmail.com";
  m.list_id = "liste";
  EXPECT_EQ(n.told(m).size(), 1U);
}

TEST(Digester, AMembersPersonMailboxIsNeverLeftOut) {
  Node n;
  for (int i = 0; i < 100; ++i) {
    auto m = n.mail("", "bo@other.example");
    m.signed_by = "other.example";
    n.feed(m);
    if (i == 50) n.now += days(20);
  }
  auto m = n.mail("evil.example/login", "bo@other.example");
  m.signed_by = "other.example";
  m.list_id = "liste";
  m.automatic = true;
  m.calendar = true;
  m.urls.push_back("teams.microsoft.com/l/meetup-join/x");
  const auto items = n.told(m);
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0].sender_domain, "other.example");
  auto function = m;
  function.sender = "noreply@other.example";
  function.urls = {"evil.example/andet"};
  EXPECT_TRUE(n.told(function).empty());  // automatic, and of no person
}

TEST(Digester, MeetingsAndAutomaticMailAndUndeliveredMailAreLeftOut) {
  Node n;
  auto meeting = n.mail("teams.microsoft.com/l/meetup-join/abc");
  meeting.calendar = true;
  meeting.urls.push_back("evil.example/login");
  const auto items = n.told(meeting);
  ASSERT_EQ(items.size(), 1U);  // only the meeting's own link is left out
  EXPECT_EQ(n.digester.counts().calendar, 1U);
  auto automatic = n.mail("evil.example/auto");
  automatic.automatic = true;
  EXPECT_TRUE(n.told(automatic).empty());
  auto junk = n.mail("evil.example/junk");
  junk.delivery = event::Delivery::quarantined;
  EXPECT_TRUE(n.told(junk).empty());
  EXPECT_EQ(n.told(n.mail("evil.example/junk")).size(), 1U);  // and was not learnt either
  EXPECT_TRUE(n.told(n.mail("intranet/side")).empty());
  EXPECT_EQ(n.digester.counts().not_public, 1U);
}

TEST(Digester, WhatSomebodyReportedIsToldThoughItWasLeftOut) {
  Node n;
  const auto bulk = [&](std::string url) {
    auto m = n.mail(std::move(url), "brev@nyhed.example");
    m.signed_by = "nyhed.example";
    m.list_id = "liste";
    return m;
  };
  n.told(bulk("nyhed.example/a"));
  n.now += days(15);
  const auto m = bulk("evil.example/login/7");
  EXPECT_TRUE(n.told(m).empty());
  event::HarmFact report;
  report.head.municipality = kTown;
  report.harm = event::Harm::reported;
  report.account = "jens.hansen@town.example";
  report.message_id = m.message_id;
  EXPECT_EQ(n.digester.digest_of(report), "");
  n.digester.harm(report, n.now);
  const auto items = n.take();
  ASSERT_EQ(items.size(), 1U);
  EXPECT_EQ(n.digester.digest_of(report), items[0].digests[0]);
  event::HarmFact click = report;
  click.harm = event::Harm::click;
  click.message_id.clear();
  click.url = "evil.example/login/99?q";
  EXPECT_EQ(n.digester.digest_of(click), items[0].digests[0]);
  report.message_id.clear();
  report.url = "evil.example/never/seen";
  n.digester.harm(report, n.now);
  EXPECT_EQ(n.take().size(), 1U);  // no log showed it, the report did
  report.url = "nyhed.example/a";
  n.digester.harm(report, n.now);
  EXPECT_TRUE(n.take().empty());  // reported, but nothing new
}

TEST(Digester, ANodeLearnsBeforeItTells) {
  Node n({.learn_hours = 72});
  EXPECT_TRUE(n.told(n.mail("news.example/a")).empty());
  EXPECT_EQ(n.told(n.mail("evil.example/x", "bo@other.example")).size(), 1U);  // a member's person is told at once
  n.now += 71h;
  EXPECT_TRUE(n.told(n.mail("news.example/b")).empty());
  n.now += 2h;
  EXPECT_TRUE(n.told(n.mail("news.example/b")).empty());  // known since
  EXPECT_EQ(n.told(n.mail("news.example/c")).size(), 1U);
}

TEST(Digester, DuringOverlapBothEpochsStandInOneRecord) {
  Node n;
  n.keys = std::make_shared<const EpochKeys>(
      std::vector{epoch(1, kStart - days(20), kStart + days(2)), epoch(2, kStart, kStart + days(32))});
  n.feed(n.mail("evil.example/a"));
  auto out = n.digester.take(n.now);
  ASSERT_EQ(out.tell.size(), 1U);
  EXPECT_EQ(out.tell[0].batch.epochs, (std::vector<std::int64_t>{1, 2}));
  const auto& item = out.tell[0].batch.items.at(0);
  ASSERT_EQ(item.digests.size(), 2U);
  EXPECT_NE(item.digests[0], item.digests[1]);
  EXPECT_EQ(item.support.size(), 6U);
  EXPECT_EQ(out.things.at(0).digests.size(), 2U);
  n.now += days(2);
  n.feed(n.mail("evil.example/b"));
  EXPECT_EQ(n.digester.take(n.now).tell.at(0).batch.epochs, (std::vector<std::int64_t>{2}));
}

TEST(Digester, AReserveEndsTheOldKeyAtOnceAndWhatGoesOnIsToldAgain) {
  Node n;
  const auto before = n.told(n.mail("evil.example/a"));
  ASSERT_EQ(before.size(), 1U);
  n.now += 1h;
  n.keys = std::make_shared<const EpochKeys>(
      std::vector{epoch(1, kStart - days(1), kStart + days(30)), epoch(9, n.now, n.now + days(32), true)});
  n.feed(n.mail("evil.example/b"));
  const auto out = n.digester.take(n.now);
  ASSERT_EQ(out.tell.size(), 2U);
  EXPECT_EQ(out.tell[0].batch.epochs, (std::vector<std::int64_t>{9}));  // new things never under the old key
  EXPECT_EQ(out.tell[1].batch.epochs, (std::vector<std::int64_t>{1, 9}));
  EXPECT_EQ(out.tell[1].batch.items.at(0).digests.at(0), before[0].digests[0]);
  EXPECT_TRUE(n.take().empty());
}

TEST(Digester, WithoutAKeyThingsWait) {
  Node n;
  const auto keys = n.keys;
  n.keys = std::make_shared<const EpochKeys>();
  EXPECT_TRUE(n.told(n.mail("evil.example/a")).empty());
  EXPECT_EQ(n.digester.counts().without_key, 1U);
  n.now += 5h;
  n.keys = keys;
  EXPECT_EQ(n.take().size(), 1U);
}

TEST(Digester, TheDaysLimitHoldsAndWhatIsLeftOutIsSaid) {
  Node n({.learn_hours = 0, .per_day = 100});
  std::size_t told = 0;
  for (int i = 0; i < 300; ++i) told += n.told(n.mail(fmt::format("host{}.example/", i))).size();
  EXPECT_EQ(told, 100U);
  EXPECT_EQ(n.digester.counts().left_out_limit, 200U);
  n.now += days(1);
  n.feed(n.mail("new.example/day"));
  const auto out = n.digester.take(n.now);
  ASSERT_EQ(out.tell.size(), 1U);
  EXPECT_EQ(out.tell[0].batch.left_out, 200);
  EXPECT_EQ(out.tell[0].batch.items.size(), 1U);
}

TEST(Digester, BatchesFitIntoAReport) {
  Node n;
  for (std::size_t i = 0; i < 1'000; ++i)
    n.feed(n.mail(fmt::format("{}e.example/{}/{}", std::string(1 + i % 10, 'a'), std::string(i / 100, 'a'),
                              std::string(1 + i / 10 % 10, 'u'))));
  std::size_t items = 0;
  for (const auto& t : n.digester.take(n.now).tell) {
    EXPECT_LE(t.batch.items.size(), 200U);
    items += t.batch.items.size();
  }
  EXPECT_EQ(items, 1'000U);
}

TEST(Digester, AYoungHostIsASignOnceTheMemoryIsOlder) {
  Node n;
  EXPECT_TRUE(n.told(n.mail("first.example/a")).at(0).signs.empty());
  n.now += days(20);
  const auto items = n.told(n.mail("second.example/a"));
  ASSERT_EQ(items.size(), 1U);
  ASSERT_EQ(items[0].signs.size(), 1U);
  EXPECT_EQ(items[0].signs[0].kind, "new_host");
  EXPECT_TRUE(n.told(n.mail("first.example/b")).at(0).signs.empty());
  auto phish = n.mail("first.example/c", "bo@other.example");
  phish.login_form = phish.failed_auth = true;
  EXPECT_EQ(n.told(phish).at(0).signs.size(), 2U);
}

TEST(Digester, TwoLogsThatTellOfOneMailCountOnce) {
  Node n;
  auto m = n.mail("evil.example/a");
  n.feed(m);
  m.head.source = event::FactSource::defender;
  n.feed(m);
  const auto out = n.digester.take(n.now);
  EXPECT_EQ(out.tell.at(0).batch.items.at(0).mails, 1);
}

TEST(Digester, HarmlessDomainsAreToldOnceAndTakenFromTheHub) {
  Node n;
  const auto bulk = [&](std::string url, std::string domain) {
    auto m = n.mail(std::move(url), "brev@" + domain);
    m.signed_by = domain;
    m.list_id = "liste";
    return m;
  };
  n.feed(bulk("", "nyhed.example"));
  n.now += days(15);
  n.take();
  n.feed(bulk("", "nyhed.example"));
  n.feed(bulk("", "nyhed.example"));
  const auto out = n.digester.take(n.now);
  ASSERT_EQ(out.harmless.size(), 1U);
  ASSERT_EQ(out.harmless[0].list.domains.size(), 1U);
  EXPECT_EQ(out.harmless[0].list.domains[0].domain, "nyhed.example");
  EXPECT_EQ(n.told(bulk("fagblad.example/a", "fagblad.example")).size(), 1U);
  ASSERT_TRUE(n.digester.use_harmless(
      R"({"version":3,"domains":[{"domain":"fagblad.example","since_us":1,"municipalities":7},{"domain":"gmail.com","since_us":1,"municipalities":9},{"domain":"other.example","since_us":1,"municipalities":9}]})"));
  EXPECT_TRUE(n.told(bulk("fagblad.example/b", "fagblad.example")).empty());
  EXPECT_EQ(n.told(bulk("evil.example/c", "gmail.com")).size(), 1U);  // nobody can put free mail on the list
  EXPECT_FALSE(n.digester.use_harmless("nonsense"));
}

TEST(Digester, SavedAndLoadedItGoesOnAsIfNothingHappened) {
  Node a, b;
  for (int i = 0; i < 200; ++i) {
    const auto m = a.mail(fmt::format("evil{}.example/a/{}", std::string(static_cast<std::size_t>(i % 17), 'x'), i),
                          i % 3 == 0 ? "bo@other.example" : "a@supplier.example");
    a.feed(m);
    if (i % 50 == 0) a.take();
    a.now += 7min;
  }
  std::string bytes;
  a.digester.save(bytes);
  ASSERT_TRUE(b.digester.load(bytes));
  b.now = a.now;
  std::string again;
  b.digester.save(again);
  EXPECT_EQ(bytes.size(), again.size());
  const auto from_a = a.take(), from_b = b.take();
  ASSERT_EQ(from_a.size(), from_b.size());
  for (std::size_t i = 0; i < from_a.size(); ++i) EXPECT_EQ(from_a[i].digests, from_b[i].digests);
  for (std::size_t cut = 0; cut < bytes.size(); cut += 97)
    EXPECT_FALSE(b.digester.load(std::string_view(bytes).substr(0, cut)));
  EXPECT_FALSE(b.digester.load(bytes + "x"));
}

TEST(Digester, AQuarterOfASmallTownFitsIntoAFewMegabytes) {
  Node n;
  for (int day = 0; day < 90; ++day) {
    for (int i = 0; i < 300; ++i) {
      n.feed(n.mail(fmt::format("host{}.example/{}/side", i % 120, (day * 300 + i) % 5'000),
                    fmt::format("s{}@firm{}.example", i, day % 60)));
      n.now += 4min;
    }
    n.digester.take(n.now);
  }
  EXPECT_LT(n.digester.bytes(), 4U << 20U);
}

}  // namespace

}  // namespace bavn::notice
