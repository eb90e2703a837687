#include "exchange/subscribers/subscribers.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "base/log.hpp"
#include "base/sim.hpp"

namespace bavn::exchange {
namespace {

using namespace std::chrono_literals;
using event::Scope;
using event::Tlp;

const auto kOwner = Scope::local_owner();

class SubscribersTest : public ::testing::Test {
 protected:
  void SetUp() override { open({}); }
  void TearDown() override {
    if (state) state->stop();
  }
  void open(SubscriptionLimits limits) {
    if (limits.most == 0) limits = SubscriptionLimits::from(nullptr);
    if (state) state->stop();
    state = store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}}).value();
    BulletinParts bulletin{.runtime = sim, .state = *state};
    bulletin.publish = [](const Scope&, std::vector<match::indicators::Indicator>, std::string_view) -> Result<void> {
      return {};
    };
    bulletin.withdraw = [](const Scope&, std::span<const match::indicators::Removal> all) -> Result<std::uint64_t> {
      return all.size();
    };
    bulletins = std::make_unique<Bulletins>(std::move(bulletin));
    SubscriberParts parts{.runtime = sim,
                          .state = *state,
                          .texts = texts,
                          .bulletins = *bulletins,
                          .name = "Test CERT",
                          .limits = limits};
    parts.post = [this](store::Tx&, const Letter& l) -> Result<void> {
      mails.push_back(l);
      return {};
    };
    parts.recall = [this](store::Tx&, std::string_view about) -> Result<void> {
      recalled.emplace_back(about);
      return {};
    };
    parts.site = [this] { return site; };
    parts.taken = [this](MunicipalityId m) { return taken && m == *taken; };
    subscribers = Subscribers::open(std::move(parts));
    people = std::make_unique<tenants::People>(sim, *state);
    state->start();
  }
  std::string write(Tlp tlp, std::string title = "Falske sider", std::string text = "Set: https://evil.example/a.b") {
    NewBulletin n;
    n.tlp = tlp;
    n.source = "Expert";
    n.texts["da"] = {std::move(title), std::move(text)};
    return std::to_string(bulletins->add(kOwner, n).value());
  }
  void publish(const std::string& id) {
    ASSERT_TRUE(bulletins->publish(kOwner, std::stoll(id)));
    sim.advance(1s);
  }
  std::string token_in(const Letter& mail, std::string_view path) {
    const std::string all = mail.text + "\n";
    const auto at = all.find(path);
    EXPECT_NE(at, std::string::npos) << mail.text;
    const auto from = at + path.size();
    return all.substr(from, all.find_first_of("?\n ", from) - from);
  }
  void subscribe(const std::string& address) {
    ASSERT_TRUE(subscribers->ask(address, Language::da));
    ASSERT_TRUE(subscribers->confirm(token_in(mails.back(), "/subscribe/confirm/")));
    mails.clear();
  }
  /// Somebody with a role, and their Scope.
  Scope person(const char* name, MunicipalityId of, tenants::Role role, const char* address, bool confirmed) {
    const auto id = people->add(kOwner, {of, name, "IT", "da"}).value();
    EXPECT_TRUE(people->give_role(kOwner, id, role));
    const auto way = people->add_way(kOwner, id, {tenants::WayKind::mail, address, false, 1}).value();
    if (confirmed) {
      EXPECT_TRUE(state->write_now([&](store::Tx& tx) { return tenants::People::confirm_way(tx, way); }));
    }
    return people->scope_of(kOwner, id).value();
  }
  std::int64_t rows(std::string_view table) {
    return state->read([&](store::Reader& r) { return r.number(fmt::format("SELECT count(*) FROM {}", table)); })
        .value();
  }

  Sim sim{5};
  Catalogue texts = Catalogue::embedded();
  std::unique_ptr<store::State> state;
  std::unique_ptr<Bulletins> bulletins;
  std::unique_ptr<Subscribers> subscribers;
  std::unique_ptr<tenants::People> people;
  std::vector<Letter> mails;
  std::vector<std::string> recalled;
  std::string site = "https://hub.example:8443";
  std::optional<MunicipalityId> taken;
};

TEST_F(SubscribersTest, AnAddressGetsNothingButItsLinkUntilTheLinkIsUsed) {
  ASSERT_TRUE(subscribers->ask(" Anna@Example.org ", Language::da));
  ASSERT_EQ(mails.size(), 1U);
  EXPECT_EQ(mails[0].to, "anna@example.org");
  const auto token = token_in(mails[0], "https://hub.example:8443/subscribe/confirm/");
  publish(write(Tlp::clear));
  EXPECT_EQ(mails.size(), 1U) << "not confirmed";
  EXPECT_EQ(subscribers->confirm("wrong").error().code, Code::forbidden);
  ASSERT_TRUE(subscribers->confirm(token));
  EXPECT_EQ(subscribers->confirm(token).error().code, Code::forbidden) << "once";
  mails.clear();
  publish(write(Tlp::green));
  EXPECT_TRUE(mails.empty()) << "from outside TLP:CLEAR alone";
  publish(write(Tlp::clear));
  ASSERT_EQ(mails.size(), 1U);
  const Letter& m = mails[0];
  EXPECT_EQ(m.subject, "Falske sider (TLP:CLEAR)");
  EXPECT_NE(m.text.find("hxxps://evil[.]example/a.b"), std::string::npos) << m.text;
  EXPECT_EQ(m.text.find("https://evil"), std::string::npos);
  const auto end = token_in(m, "/subscribe/end/");
  EXPECT_EQ(m.headers, "List-Id: <bulletins.hub.example>\nList-Unsubscribe: <https://hub.example:8443/subscribe/end/" +
                           end + ">\nList-Unsubscribe-Post: List-Unsubscribe=One-Click");
  ASSERT_TRUE(subscribers->end(end));
  EXPECT_TRUE(subscribers->end(end)) << "the answer is the same when there is none";
  EXPECT_EQ(rows("bulletin_subscriber") + rows("bulletin_ask") + rows("bulletin_mailed"), 0) << "nothing is kept";
  publish(write(Tlp::clear));
  EXPECT_EQ(mails.size(), 1U);
}

TEST_F(SubscribersTest, NothingTellsWhetherAnAddressSubscribes) {
  subscribe("anna@example.org");
  const auto known = subscribers->ask("anna@example.org", Language::en),
             unknown = subscribers->ask("bo@example.org", Language::en);
  EXPECT_TRUE(known && unknown);
  ASSERT_EQ(mails.size(), 2U) << "both get a link, and the same words";
  const auto words = [](std::string s) { return s.substr(0, s.find("https://")); };
  EXPECT_EQ(words(mails[0].text), words(mails[1].text));
  EXPECT_TRUE(subscribers->ask("anna@example.org", Language::en));
  EXPECT_EQ(mails.size(), 2U) << "nobody is flooded";
  ASSERT_TRUE(subscribers->confirm(token_in(mails[0], "/subscribe/confirm/")));
  EXPECT_EQ(rows("bulletin_subscriber"), 1);
  for (const char* bad : {"", "anna", "a@b@c", "a b@example.org", "<a@example.org>",
                          "a@example.org\r\nBcc: b@example.org", "\"a\"@example.org", "a@example.org,b@example.org"})
    EXPECT_EQ(subscribers->ask(bad, Language::en).error().code, Code::bad_input) << bad;
}

TEST_F(SubscribersTest, ASubscriberIsToldOnceOfWhatABulletinSaysAndThatItIsWithdrawn) {
  subscribe("anna@example.org");
  const auto id = write(Tlp::clear);
  publish(id);
  ASSERT_EQ(mails.size(), 1U);
  publish(id);
  EXPECT_EQ(mails.size(), 1U) << "it says what it said";
  NewBulletin changed;
  changed.tlp = Tlp::clear;
  changed.source = "Expert";
  changed.texts["da"] = {"Falske sider", "Også worse.example"};
  ASSERT_TRUE(bulletins->change(kOwner, std::stoll(id), changed, bulletins->show(kOwner, std::stoll(id))->version));
  sim.advance(1s);
  EXPECT_EQ(mails.size(), 1U) << "an edit is told when it is published";
  publish(id);
  ASSERT_EQ(mails.size(), 2U);
  EXPECT_EQ(mails[1].subject, "Opdateret: Falske sider (TLP:CLEAR)");
  subscribe("bo@example.org");  // later: was never told of it
  ASSERT_TRUE(bulletins->withdraw(kOwner, std::stoll(id), "adressen var en kollegas"));
  sim.advance(1s);
  ASSERT_EQ(mails.size(), 1U) << "who was told of it, and nobody else";
  EXPECT_EQ(mails[0].to, "anna@example.org");
  EXPECT_EQ(mails[0].subject, "Trukket tilbage: Falske sider");
  EXPECT_NE(mails[0].text.find("adressen var en kollegas"), std::string::npos);
}

TEST_F(SubscribersTest, WhatIsNarrowerThanGreenIsNotSentInFull) {
  const auto cert = person("Cy Example", {0}, tenants::Role::analyst, "cy@cert.example", true);
  SubscriptionWish wish;
  wish.ceiling = Tlp::red;
  ASSERT_EQ(subscribers->subscribe(cert, wish)->state, "subscribed");
  EXPECT_TRUE(mails.empty()) << "a confirmed way of the contact card needs no link";
  const auto sent = [&](Tlp tlp) {
    mails.clear();
    publish(write(tlp, "Hemmelig titel", "Hemmelig tekst"));
    EXPECT_EQ(mails.size(), 1U);
    return mails.at(0);
  };
  EXPECT_NE(sent(Tlp::green).text.find("Hemmelig tekst"), std::string::npos);
  const Letter amber = sent(Tlp::amber);
  EXPECT_EQ(amber.subject, "Hemmelig titel (TLP:AMBER)");
  EXPECT_EQ(amber.text.find("Hemmelig tekst"), std::string::npos) << amber.text;
  EXPECT_NE(amber.text.find("https://hub.example:8443/bulletins/2"), std::string::npos) << amber.text;
  for (const Tlp tlp : {Tlp::amber_strict, Tlp::red}) {
    const Letter narrow = sent(tlp);
    EXPECT_EQ((narrow.subject + narrow.text).find("Hemmelig"), std::string::npos) << narrow.subject << narrow.text;
  }
}

TEST_F(SubscribersTest, PeopleGetNoMoreThanTheyMayAndOnlyAtAnAddressOfTheirCard) {
  const auto it = person("Anna Example", {101}, tenants::Role::municipal_it, "anna@kommune.example", false);
  SubscriptionWish wish;
  wish.ceiling = Tlp::red;
  EXPECT_EQ(subscribers->subscribe(it, wish).error().where, "/ceiling");
  wish.ceiling = Tlp::amber;
  wish.address = "somebody@else.example";
  EXPECT_EQ(subscribers->subscribe(it, wish).error().where, "/address");
  wish.address.clear();
  EXPECT_EQ(subscribers->subscribe(it, wish)->state, "waits") << "nobody has answered from this address yet";
  ASSERT_EQ(mails.size(), 1U);
  ASSERT_TRUE(subscribers->confirm(token_in(mails[0], "/subscribe/confirm/")));
  EXPECT_EQ(subscribers->own(it)->state, "subscribed");
  EXPECT_EQ(subscribers->own(it)->ceiling, Tlp::amber);
  mails.clear();
  publish(write(Tlp::amber_strict));
  EXPECT_TRUE(mails.empty());
  taken = MunicipalityId{101};
  publish(write(Tlp::green, "Hemmelig titel"));
  ASSERT_EQ(mails.size(), 1U);
  EXPECT_EQ((mails[0].subject + mails[0].text).find("Hemmelig"), std::string::npos)
      << "others read the mail of a taken municipality";
  taken.reset();
  // Somebody outside who asks in the name of the address changes nothing but the language, and only by its link.
  mails.clear();
  ASSERT_TRUE(subscribers->ask("anna@kommune.example", Language::en));
  ASSERT_TRUE(subscribers->confirm(token_in(mails[0], "/subscribe/confirm/")));
  EXPECT_EQ(subscribers->own(it)->ceiling, Tlp::amber);
  EXPECT_EQ(subscribers->own(it)->language, "en");
  // A right that is taken away counts at once.
  mails.clear();
  const PersonId id{std::stoull(it.who().substr(7))};
  ASSERT_TRUE(people->take_role(kOwner, id, tenants::Role::municipal_it));
  publish(write(Tlp::green));
  EXPECT_TRUE(mails.empty());
  ASSERT_TRUE(people->leave(kOwner, id));
  sim.advance(1s);
  EXPECT_EQ(rows("bulletin_subscriber"), 0) << "whoever left is erased";
  EXPECT_EQ(subscribers->own(Scope("key:4", {}, 0, Tlp::red)).error().code, Code::forbidden);
}

TEST_F(SubscribersTest, AnAddressThatIsTakenOffTheCardGetsNothingMore) {
  const auto it = person("Anna Example", {101}, tenants::Role::municipal_it, "anna@kommune.example", true);
  ASSERT_TRUE(subscribers->subscribe(it, {}));
  const PersonId id{std::stoull(it.who().substr(7))};
  const auto card = people->find(kOwner, id).value();
  ASSERT_TRUE(people->remove_way(kOwner, id, card.ways.at(0).id));
  publish(write(Tlp::green));
  EXPECT_TRUE(mails.empty());
  EXPECT_EQ(rows("bulletin_subscriber"), 0);
}

TEST_F(SubscribersTest, WhatIsNotConfirmedIsErasedAfterTwoDays) {
  ASSERT_TRUE(subscribers->ask("anna@example.org", Language::da));
  const auto token = token_in(mails[0], "/subscribe/confirm/");
  sim.advance(47h + 59min);
  EXPECT_EQ(rows("bulletin_ask"), 1);
  sim.advance(2min);
  EXPECT_EQ(rows("bulletin_ask"), 0);
  EXPECT_EQ(recalled, std::vector<std::string>{"subscription_ask:1"});
  EXPECT_EQ(subscribers->confirm(token).error().code, Code::forbidden);
}

TEST_F(SubscribersTest, TheFormIsNoWayToSendMailThroughTheHub) {
  SubscriptionLimits limits = SubscriptionLimits::from(nullptr);
  limits.asks_per_hour = 10;
  open(limits);
  int sent = 0;
  for (int i = 0; i < 30; ++i)
    sent += subscribers->ask(fmt::format("a{}@example.org", i), Language::en).has_value() ? 1 : 0;
  EXPECT_EQ(sent, 10);
  EXPECT_EQ(mails.size(), 10U);
  sim.advance(61min);
  EXPECT_TRUE(subscribers->ask("b@example.org", Language::en));
  limits.most = 1;
  open(limits);
  mails.clear();
  subscribe("anna@example.org");
  ASSERT_TRUE(subscribers->ask("bo@example.org", Language::en));
  EXPECT_EQ(subscribers->confirm(token_in(mails[0], "/subscribe/confirm/")).error().code, Code::unavailable);
  limits.outsiders = false;
  open(limits);
  EXPECT_FALSE(subscribers->ask("anna@example.org", Language::en));
}

TEST_F(SubscribersTest, AddressesAreInNoLogNoRecordAndNoAnnouncement) {
  log::Capture said;
  subscribe("zqmarker@example.org");
  publish(write(Tlp::clear));
  ASSERT_TRUE(subscribers->end(token_in(mails.at(0), "/subscribe/end/")));
  ASSERT_TRUE(subscribers->ask("zqmarker@example.org", Language::da));
  for (const char* table : {"audit", "domain_event"}) {
    const auto seen = state->read([&](store::Reader& r) {
      return r.number(fmt::format("SELECT count(*) FROM {} WHERE subject || detail LIKE '%zqmarker%'", table));
    });
    EXPECT_EQ(*seen, 0) << table;
  }
  EXPECT_EQ(*state->read([](store::Reader& r) {
    return r.number(
        "SELECT count(*) FROM audit WHERE action IN ('subscription.asked', 'subscription.begun', "
        "'subscription.ended')");
  }),
            4);
  EXPECT_EQ(said.lines().find("zqmarker"), std::string::npos) << said.lines();
}

TEST_F(SubscribersTest, WhoeverManagesSeesAndEndsSubscriptions) {
  subscribe("anna@example.org");
  const auto all = subscribers->page(kOwner, 0, 10).value();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].address, "anna@example.org");
  const auto it = person("Bo Example", {101}, tenants::Role::municipal_it, "bo@kommune.example", true);
  EXPECT_EQ(subscribers->page(it, 0, 10).error().code, Code::forbidden);
  EXPECT_EQ(subscribers->remove(it, all[0].id).error().code, Code::forbidden);
  ASSERT_TRUE(subscribers->remove(kOwner, all[0].id));
  EXPECT_EQ(subscribers->remove(kOwner, all[0].id).error().code, Code::not_found);
}

TEST_F(SubscribersTest, WhoeverManagesInvitesAndOnlyTheLinkDecides) {
  const auto it = person("Bo Example", {101}, tenants::Role::municipal_it, "bo@kommune.example", true);
  EXPECT_EQ(subscribers->invite(it, "anna@example.org", Language::da).error().code, Code::forbidden);
  EXPECT_EQ(subscribers->invited(it).error().code, Code::forbidden);
  EXPECT_EQ(subscribers->invite(kOwner, "nobody", Language::da).error().where, "/address");
  const auto id = subscribers->invite(kOwner, " Anna@Example.org", Language::nb).value();
  ASSERT_EQ(mails.size(), 1U);
  EXPECT_EQ(mails[0].subject, "Bulletiner fra Test CERT: bekreft hvis du vil ha dem");
  EXPECT_TRUE(subscribers->page(kOwner, 0, 10).value().empty()) << "not before the link was used";
  auto waits = subscribers->invited(kOwner).value();
  ASSERT_EQ(waits.size(), 1U);
  EXPECT_EQ(waits[0].address, "anna@example.org");
  EXPECT_EQ(waits[0].ends - waits[0].asked, 48h);
  EXPECT_EQ(subscribers->invite(kOwner, "anna@example.org", Language::nb).error().code, Code::conflict) << "flooded";
  EXPECT_EQ(subscribers->take_back(it, id).error().code, Code::forbidden);
  ASSERT_TRUE(subscribers->take_back(kOwner, id));
  EXPECT_EQ(subscribers->take_back(kOwner, id).error().code, Code::not_found);
  EXPECT_EQ(recalled, std::vector<std::string>{fmt::format("subscription_ask:{}", id)});
  const auto link = [&] { return token_in(mails.back(), "/subscribe/confirm/"); };
  EXPECT_EQ(subscribers->confirm(link()).error().code, Code::forbidden) << "taken back";
  EXPECT_EQ(rows("bulletin_ask"), 0);
  ASSERT_TRUE(subscribers->invite(kOwner, "anna@example.org", Language::nb));
  ASSERT_TRUE(subscribers->confirm(link()));
  EXPECT_TRUE(subscribers->invited(kOwner).value().empty());
  const auto all = subscribers->page(kOwner, 0, 10).value();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].ceiling, Tlp::clear);
  EXPECT_EQ(all[0].language, "nb");
  EXPECT_EQ(subscribers->invite(kOwner, "anna@example.org", Language::nb).error().code, Code::conflict);
  EXPECT_EQ(*state->read([](store::Reader& r) {
    return r.number(
        "SELECT count(*) FROM audit WHERE action IN ('subscription.invited', 'subscription.taken_back') AND who = "
        "'local owner'");
  }),
            3);
}

TEST_F(SubscribersTest, ManySubscribersAreToldInPiecesAndEachOnce) {
  ASSERT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
    for (int i = 0; i < 450; ++i)
      BAVN_CHECK(
          tx.exec("INSERT INTO bulletin_subscriber (address, person, language, ceiling, token, since_us) VALUES "
                  "(:a, NULL, 'nb', 'clear', :t, 0)",
                  {{"a", fmt::format("a{}@example.org", i)}, {"t", fmt::format("t{}", i)}}));
    return {};
  }));
  publish(write(Tlp::clear));
  std::set<std::string> to;
  for (const auto& m : mails) to.insert(m.to);
  EXPECT_EQ(mails.size(), 450U);
  EXPECT_EQ(to.size(), 450U);
}

TEST(MailText, WhatIsWarnedOfIsInBracketsAndWhatIsNotIsNot) {
  Bulletin b;
  BulletinFound own;
  own.value = "cert.example/advice";
  own.state = "refused";
  b.found.push_back(own);
  bool cut = true;
  const std::string text = mail_text(
      b, {"t", "Se https://cert.example/advice. Bloker evil.example, 192.0.2.7 og a@evil.example; alt[.]example."},
      10'000, cut);
  EXPECT_FALSE(cut);
  EXPECT_NE(text.find("https://cert.example/advice"), std::string::npos) << text;
  EXPECT_NE(text.find("evil[.]example"), std::string::npos) << text;
  EXPECT_NE(text.find("192[.]0[.]2[.]7"), std::string::npos) << text;
  EXPECT_NE(text.find("a[@]evil[.]example"), std::string::npos) << text;
  EXPECT_NE(text.find("alt[.]example"), std::string::npos) << text;
  EXPECT_EQ(text.find("[[.]]"), std::string::npos) << text;
  std::string long_text;
  for (int i = 0; i < 2000; ++i) long_text += "æøå æøå\n";
  const std::string part = mail_text(b, {"t", long_text}, 1'001, cut);
  EXPECT_TRUE(cut);
  EXPECT_LE(part.size(), 1'001U);
  EXPECT_EQ(part.back(), '\xa5') << "whole lines";
}

}  // namespace
}  // namespace bavn::exchange
