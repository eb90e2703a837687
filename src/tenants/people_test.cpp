#include "tenants/people.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"

namespace bavn::tenants {
namespace {

using namespace std::chrono_literals;
using event::Right;
using event::Scope;

const std::string kSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct World {
  Sim sim{1};
  std::unique_ptr<store::State> state = store::State::open(sim, {.path = ":memory:", .schema = {"core"}}).value();
  People people{sim, *state};
  Scope owner = Scope::local_owner();

  PersonId person(MunicipalityId m, const std::string& name) {
    return people.add(owner, {m, name, "head of IT", "da"}).value();
  }
};

TEST(People, ARoleHoldsUntilItEndsOrIsTaken) {
  World w;
  const auto anna = w.person({101}, "Anna Example");
  ASSERT_TRUE(w.people.give_role(w.owner, anna, Role::municipal_it));
  ASSERT_TRUE(w.people.give_role(w.owner, anna, Role::duty_contact, w.sim.now() + 24h));
  EXPECT_EQ(w.people.find(w.owner, anna)->roles, (std::vector{Role::duty_contact, Role::municipal_it}));
  w.sim.advance(25h);
  EXPECT_EQ(w.people.find(w.owner, anna)->roles, std::vector{Role::municipal_it});
  ASSERT_TRUE(w.people.take_role(w.owner, anna, Role::municipal_it));
  EXPECT_EQ(w.people.take_role(w.owner, anna, Role::municipal_it).error().code, Code::not_found);
  EXPECT_EQ(w.people.scope_of(w.owner, anna)->rights(), 0U);
}

TEST(People, OutsidersGetRolesForATimeOnlyAndSeeLittle) {
  World w;
  const auto auditor = w.person({101}, "Otto Outsider");
  EXPECT_EQ(w.people.give_role(w.owner, auditor, Role::auditor).error().code, Code::bad_input);
  EXPECT_EQ(w.people.give_role(w.owner, auditor, Role::auditor, w.sim.now() - 1h).error().code, Code::bad_input);
  ASSERT_TRUE(w.people.give_role(w.owner, auditor, Role::auditor, w.sim.now() + 24h));
  const auto scope = w.people.scope_of(w.owner, auditor).value();
  EXPECT_EQ(scope.ceiling(), event::Tlp::green);
  EXPECT_TRUE(scope.may(Right::audit_read));
  EXPECT_FALSE(scope.may(Right::alert_read));
}

TEST(People, TheCertsPeopleSeeEveryMunicipalityAndOutsidersTheirOwn) {
  World w;
  const auto lead = w.person({}, "Lea Lead"), partner = w.person({}, "Pia Partner"), none = w.person({}, "Nik None");
  ASSERT_TRUE(w.people.give_role(w.owner, lead, Role::duty_lead));
  ASSERT_TRUE(w.people.give_role(w.owner, partner, Role::partner, w.sim.now() + 24h));
  EXPECT_TRUE(w.people.scope_of(w.owner, lead)->sees({147}));
  EXPECT_FALSE(w.people.scope_of(w.owner, partner)->sees({147}));
  EXPECT_FALSE(w.people.scope_of(w.owner, none)->sees({147}));
  const auto it = w.person({101}, "Ib It");
  ASSERT_TRUE(w.people.give_role(w.owner, it, Role::municipal_it));
  EXPECT_FALSE(w.people.scope_of(w.owner, it)->sees({147}));
}

TEST(People, APersonChoosesTheirLanguage) {
  World w;
  const auto anna = w.person({101}, "Anna Example");
  ASSERT_TRUE(w.people.set_language(anna, "nb", "person:1"));
  EXPECT_EQ(w.people.find(w.owner, anna)->language, "nb");
  EXPECT_EQ(w.people.set_language(anna, "fr", "person:1").error().code, Code::bad_input);
  EXPECT_EQ(w.people.set_language({99}, "da", "person:1").error().code, Code::not_found);
}

TEST(People, NobodySeesOrChangesAForeignMunicipalitysPeople) {
  World w;
  const auto anna = w.person({101}, "Anna Example");
  const Scope other("person:9", {{147}}, 0xFFFFFFFFU, event::Tlp::amber_strict);
  EXPECT_EQ(w.people.find(other, anna).error().code, Code::not_found);
  EXPECT_EQ(w.people.of(other, {101}).error().code, Code::not_found);
  EXPECT_EQ(w.people.add(other, {{101}, "Mallory", "", "da"}).error().code, Code::not_found);
  EXPECT_EQ(w.people.give_role(other, anna, Role::employee).error().code, Code::not_found);
  EXPECT_EQ(w.people.add_way(other, anna, {WayKind::mail, "m@example.org"}).error().code, Code::not_found);
  EXPECT_EQ(w.people.leave(other, anna).error().code, Code::not_found);
  EXPECT_EQ(w.people.tenants(other, {101}).error().code, Code::not_found);
  EXPECT_TRUE(w.people.of(other, {147})->empty());
}

TEST(People, WithoutTheRightNothingHappens) {
  World w;
  const auto anna = w.person({101}, "Anna Example");
  const Scope reader("person:9", {{101}}, static_cast<std::uint32_t>(Right::tenants_read), event::Tlp::amber_strict);
  EXPECT_TRUE(w.people.find(reader, anna));
  EXPECT_EQ(w.people.add(reader, {{101}, "B", "", "da"}).error().code, Code::forbidden);
  EXPECT_EQ(w.people.leave(reader, anna).error().code, Code::forbidden);
  const Scope nobody("nobody", {}, 0, event::Tlp::clear);
  EXPECT_EQ(w.people.find(nobody, anna).error().code, Code::forbidden);
}

TEST(People, NobodyGivesARoleThatCanDoMoreThanTheGiver) {
  World w;
  const auto anna = w.person({101}, "Anna Example");
  const Scope clerk("person:9", {{101}},
                    static_cast<std::uint32_t>(Right::tenants_read) | static_cast<std::uint32_t>(Right::people_write),
                    event::Tlp::amber_strict);
  EXPECT_EQ(w.people.give_role(clerk, anna, Role::duty_lead).error().code, Code::forbidden);
  EXPECT_TRUE(w.people.give_role(clerk, anna, Role::programme));
}

TEST(People, ADutyContactNeedsTwoWaysOutsideTheTenantAndATest) {
  World w;
  const auto gaps = [&] { return w.people.duty_gaps(w.owner, {101}).value(); };
  ASSERT_EQ(gaps().size(), 1U);
  EXPECT_NE(gaps()[0].find("nobody"), std::string::npos);
  const auto anna = w.person({101}, "Anna Example");
  ASSERT_TRUE(w.people.give_role(w.owner, anna, Role::duty_contact));
  EXPECT_NE(gaps()[0].find("0 of 2"), std::string::npos);
  ASSERT_TRUE(w.people.add_way(w.owner, anna, {WayKind::mail, "anna@municipality.example.org", false, 3}));
  ASSERT_TRUE(w.people.add_way(w.owner, anna, {WayKind::phone, "+45 12 34 56 78", true, 1}));
  const auto hook =
      w.people.add_way(w.owner, anna, {WayKind::webhook, "https://pager.example.org/x", true, 2, kSecret});
  ASSERT_TRUE(hook);
  ASSERT_EQ(gaps().size(), 1U);
  EXPECT_NE(gaps()[0].find("ever tested"), std::string::npos);
  ASSERT_TRUE(w.state->write_now([&](store::Tx& tx) { return People::confirm_way(tx, *hook); }));
  EXPECT_TRUE(gaps().empty());
  const auto contact = w.people.duty_contacts(w.owner, {101})->front();
  EXPECT_EQ(contact.ways[0].kind, WayKind::phone);
  EXPECT_EQ(contact.ways[1].confirmed, w.sim.now());
}

TEST(People, WaysThatCannotWorkAreRefused) {
  World w;
  const auto anna = w.person({101}, "Anna Example");
  const auto refused = [&](WayKind kind, const std::string& address, const std::string& secret = {}) {
    const auto made = w.people.add_way(w.owner, anna, {kind, address, true, 1, secret});
    return !made && made.error().code == Code::bad_input;
  };
  for (const auto* address : {"", "anna", "@example.org", "anna@", "a@b@c", "a b@example.org", "Anna <a@example.org>",
                              "a@example.org\r\nBcc: b"})
    EXPECT_TRUE(refused(WayKind::mail, address)) << address;
  for (const auto* address : {"12345678", "+45", "+4512345678901234567", "+45 CALL ME"})
    EXPECT_TRUE(refused(WayKind::phone, address)) << address;
  EXPECT_TRUE(refused(WayKind::webhook, "http://pager.example.org", kSecret));
  EXPECT_TRUE(refused(WayKind::webhook, "https://pager.example.org"));
  EXPECT_TRUE(refused(WayKind::webhook, "https://pager.example.org", "whsec_c2hvcnQ="));
  ASSERT_TRUE(w.people.add_way(w.owner, anna, {WayKind::mail, "anna@example.org"}));
  EXPECT_EQ(w.people.add_way(w.owner, anna, {WayKind::mail, "anna@example.org"}).error().code, Code::conflict);
}

TEST(People, WhoLeavesLeavesNoAddressBehind) {
  World w;
  const auto anna = w.person({101}, "Anna Example");
  ASSERT_TRUE(w.people.give_role(w.owner, anna, Role::duty_contact));
  ASSERT_TRUE(w.people.add_way(w.owner, anna, {WayKind::mail, "anna@example.org", true}));
  ASSERT_TRUE(w.people.leave(w.owner, anna));
  EXPECT_TRUE(w.people.of(w.owner, {101})->empty());
  const auto found = w.people.find(w.owner, anna).value();
  EXPECT_TRUE(found.left && found.roles.empty() && found.ways.empty());
  EXPECT_EQ(w.people.give_role(w.owner, anna, Role::employee).error().code, Code::conflict);
  EXPECT_EQ(w.state->read([](store::Reader& db) { return db.number("SELECT count(*) FROM contact_way"); }).value(), 0);
}

TEST(People, EveryChangeIsInTheAuditLogWithoutAddresses) {
  World w;
  const auto anna = w.person({101}, "Anna Example");
  ASSERT_TRUE(w.people.give_role(w.owner, anna, Role::duty_contact));
  ASSERT_TRUE(w.people.add_way(w.owner, anna, {WayKind::mail, "anna@example.org", true}));
  ASSERT_TRUE(w.people.leave(w.owner, anna));
  const auto actions =
      w.state->read([](store::Reader& db) { return db.all<std::string>("SELECT action FROM audit ORDER BY seq"); })
          .value();
  EXPECT_EQ(actions, (std::vector<std::string>{"person.added", "role.given", "way.added", "person.left"}));
  const auto leaks = w.state->read(
      [](store::Reader& db) { return db.number("SELECT count(*) FROM audit WHERE detail LIKE '%example%'"); });
  EXPECT_EQ(leaks.value(), 0);
}

TEST(People, TenantsBelongToTheirMunicipality) {
  World w;
  const auto school = w.people.add_tenant(w.owner, {101}, "microsoft365", "School", "0000-1111").value();
  ASSERT_TRUE(w.people.add_tenant(w.owner, {101}, "active_directory", "Town hall", std::nullopt));
  EXPECT_EQ(w.people.add_tenant(w.owner, {101}, "other", "School", std::nullopt).error().code, Code::conflict);
  EXPECT_EQ(w.people.add_tenant(w.owner, {101}, "cloud", "X", std::nullopt).error().code, Code::bad_input);
  const auto tenants = w.people.tenants(w.owner, {101}).value();
  ASSERT_EQ(tenants.size(), 2U);
  EXPECT_EQ(tenants[0].id, school);
  EXPECT_EQ(tenants[0].external_id, "0000-1111");
  EXPECT_TRUE(w.people.tenants(w.owner, {147})->empty());
}

TEST(People, EveryRoleHasANameAndNoRoleHasTheRightsOfANode) {
  for (std::uint8_t i = 0; i <= static_cast<std::uint8_t>(Role::data_protection); ++i) {
    const auto role = static_cast<Role>(i);
    EXPECT_EQ(role_of(to_string(role)), role);
    EXPECT_EQ(rights_of(role) & (static_cast<std::uint32_t>(Right::follow) | static_cast<std::uint32_t>(Right::report)),
              0U);
  }
  EXPECT_FALSE(role_of("god"));
}

}  // namespace
}  // namespace bavn::tenants
