#include "exchange/peers/partner.hpp"

#include <gtest/gtest.h>

#include "base/encoding.hpp"
#include "base/sim.hpp"

namespace bavn::exchange {
namespace {

class PartnerKeysTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto opened = store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}});
    ASSERT_TRUE(opened) << to_string(opened.error());
    state = std::move(*opened);
    add(1, "NorCERT", "both", "amber", R"(["domain","url"])", R"(["health"])");
    add(2, "Reader", "out", "green", "[]", "[]");
    auto made = PartnerKeys::open(*state);
    ASSERT_TRUE(made) << to_string(made.error());
    keys = std::move(*made);
  }
  void add(int id, std::string_view name, std::string_view direction, std::string_view ceiling, std::string_view kinds,
           std::string_view sectors) {
    const auto done = state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec(
          "INSERT INTO exchange_peer VALUES (:id, :name, 'client', :direction, '', 'none', '', '', '{}', :ceiling, "
          ":kinds, :sectors, 50, 'warn', 'amber', 90, 3600, 'new', '', 0, 0, 0, '', 0, 0, 0, 0, 0, 'test', 0)",
          {{"id", id},
           {"name", name},
           {"direction", direction},
           {"ceiling", ceiling},
           {"kinds", kinds},
           {"sectors", sectors}}));
      return {};
    });
    ASSERT_TRUE(done) << to_string(done.error());
  }
  static net::Request with(std::string_view header, std::string value) {
    net::Request q;
    q.headers.set(header, std::move(value));
    return q;
  }
  std::string issue(std::int64_t peer, bool read = true, bool write = true) {
    const auto issued = keys->issue(owner, peer, "test", read, write);
    EXPECT_TRUE(issued) << to_string(issued.error());
    return issued ? issued->key : std::string();
  }
  Code refused(const net::Request& q) {
    const auto p = keys->partner_of(q);
    EXPECT_FALSE(p);
    return p ? Code::bad_input : p.error().code;
  }
  Sim sim{1};
  event::Scope owner = event::Scope::local_owner();
  std::unique_ptr<store::State> state;
  std::unique_ptr<PartnerKeys> keys;
};

TEST_F(PartnerKeysTest, AKeyIsWhatMispTakesAsOneAndKnownInAllFourPlaces) {
  const std::string key = issue(1);
  ASSERT_EQ(key.size(), 40U);
  for (const char c : key) EXPECT_TRUE(std::isalnum(static_cast<unsigned char>(c))) << key;
  for (const auto& q : {with("Authorization", key), with("X-MISP-AUTH", key), with("authorization", "bearer " + key),
                        with("Authorization", "Basic " + to_base64("anybody:" + key))}) {
    const auto p = keys->partner_of(q);
    ASSERT_TRUE(p) << to_string(p.error());
    EXPECT_EQ(p->name, "NorCERT");
    EXPECT_TRUE(p->may_read && p->may_write);
    EXPECT_EQ(p->ceiling, event::Tlp::amber);
    EXPECT_EQ(p->sectors, std::vector<std::string>{"health"});
  }
  const auto scope = keys->authenticate(with("Authorization", key));
  ASSERT_TRUE(scope);
  EXPECT_EQ(scope->who(), "partner:NorCERT");
  EXPECT_EQ(scope->rights(), 0U) << "a partner has no right to any page or operation of ours";
}

TEST_F(PartnerKeysTest, WhatIsNoKeyOfAPartnerIsSomebodyElsesToJudge) {
  EXPECT_EQ(refused({}), Code::not_found);
  EXPECT_EQ(refused(with("Authorization", "Bearer bavn_key_abc")), Code::not_found);
  EXPECT_EQ(refused(with("Authorization", "Basic !!!")), Code::not_found);
  EXPECT_EQ(refused(with("Authorization", "Basic " + to_base64("no colon"))), Code::not_found);
  EXPECT_EQ(refused(with("Authorization", std::string(5000, 'x'))), Code::not_found);
}

TEST_F(PartnerKeysTest, ARevokedAWrongAndAPausedOneAreRefused) {
  const std::string key = issue(1);
  std::string other = key;
  other.back() = other.back() == 'a' ? 'b' : 'a';
  EXPECT_EQ(refused(with("Authorization", other)), Code::forbidden);
  const auto all = keys->list(owner, 1);
  ASSERT_TRUE(all);
  ASSERT_EQ(all->size(), 1U);
  EXPECT_FALSE(keys->revoke(owner, 2, all->front().id)) << "not that peer's";
  ASSERT_TRUE(state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE exchange_peer SET state = 'paused' WHERE id = 1"));
    return {};
  }));
  ASSERT_TRUE(keys->reload());
  EXPECT_EQ(refused(with("Authorization", key)), Code::forbidden);
  ASSERT_TRUE(state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE exchange_peer SET state = 'ok' WHERE id = 1"));
    return {};
  }));
  ASSERT_TRUE(keys->reload());
  EXPECT_TRUE(keys->partner_of(with("Authorization", key)));
  ASSERT_TRUE(keys->revoke(owner, 1, all->front().id));
  EXPECT_EQ(refused(with("Authorization", key)), Code::forbidden);
  EXPECT_FALSE(keys->revoke(owner, 1, all->front().id));
}

TEST_F(PartnerKeysTest, TheDirectionOfAPeerIsStrongerThanItsKey) {
  const auto p = keys->partner_of(with("Authorization", issue(2)));
  ASSERT_TRUE(p);
  EXPECT_TRUE(p->may_read);
  EXPECT_FALSE(p->may_write);
}

TEST_F(PartnerKeysTest, OnlyWhoMayChangeSettingsIssuesKeysAndTheKeyIsKeptNowhere) {
  const event::Scope reader("person:9", {}, static_cast<std::uint32_t>(event::Right::tenants_read), event::Tlp::amber);
  EXPECT_FALSE(keys->issue(reader, 1, "test", true, false));
  EXPECT_FALSE(keys->issue(owner, 77, "test", true, false));
  EXPECT_FALSE(keys->issue(owner, 1, "", true, false));
  EXPECT_FALSE(keys->issue(owner, 1, "neither", false, false));
  const std::string key = issue(1);
  const auto found = state->read([&](store::Reader& db) {
    return db.number(
        "SELECT (SELECT count(*) FROM exchange_key WHERE hash = :k) + (SELECT count(*) FROM audit WHERE "
        "instr(detail, :k) > 0)",
        {{"k", key}});
  });
  ASSERT_TRUE(found) << to_string(found.error());
  EXPECT_EQ(*found, 0);
}

TEST(Partner, MayHaveWhatIsWithinItsCeilingItsKindsAndItsSectors) {
  Partner p;
  p.ceiling = event::Tlp::green;
  p.kinds = {"domain"};
  p.sectors = {"health"};
  EXPECT_TRUE(p.may_have(event::Tlp::green, {}, "domain"));
  EXPECT_FALSE(p.may_have(event::Tlp::amber, {}, "domain"));
  EXPECT_FALSE(p.may_have(event::Tlp::green, {}, "url"));
  EXPECT_TRUE(p.may_have(event::Tlp::green, {"energy", "health"}, "domain"));
  EXPECT_FALSE(p.may_have(event::Tlp::green, {"energy"}, "domain"));
  p.sectors.clear();
  EXPECT_FALSE(p.may_have(event::Tlp::green, {"health"}, "domain")) << "what is for a sector is not for everybody";
}

}  // namespace
}  // namespace bavn::exchange
