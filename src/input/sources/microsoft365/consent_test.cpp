#include "input/sources/microsoft365/consent.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"
#include "input/sources/microsoft365/apis.hpp"
#include "input/sources/microsoft365/stand_in/stand_in.hpp"

namespace bavn::input::microsoft365 {
namespace {

TEST(Consent, TheScriptNamesEveryRightInPlainWordsAndOnlyReads) {
  const auto identity = *make_rsa_identity("node", *parse_time("2026-03-01T00:00:00Z"), std::chrono::days(1));
  const auto script =
      consent_script("11111111-2222-4333-8444-555555555555", identity.certificate_pem, "Fjordby\"; rm", "da");
  ASSERT_TRUE(script) << to_string(script.error());
  for (const auto& p : permissions()) {
    EXPECT_NE(script->find(std::string("Name = \"") + std::string(p.name) + "\""), std::string::npos);
    EXPECT_NE(script->find(p.why.da), std::string::npos);
    EXPECT_EQ(p.name.find("Write"), std::string_view::npos);
  }
  EXPECT_EQ(script->find("{{"), std::string::npos);
  EXPECT_EQ(script->find("Fjordby\""), std::string::npos) << "a name ends no quote";
  EXPECT_FALSE(consent_script("fjordby.example", identity.certificate_pem, "x", "da"));
}

TEST(Consent, TheStandInRunsTheScriptAndItsOpposite) {
  Sim sim(1);
  stand_in::StandIn stand(sim, *stand_in::scenario("quiet", 1, 1));
  const auto tenant = stand.world().tenants()[0].id;
  const auto identity = *make_rsa_identity("node", sim.now(), std::chrono::days(1));
  const auto said = stand.run_script(*consent_script(tenant, identity.certificate_pem, "Fjordby", "en"));
  ASSERT_TRUE(said) << to_string(said.error());
  for (const auto& p : permissions()) EXPECT_NE(said->find(p.name), std::string::npos);
  const auto client = client_id_in(*said);
  ASSERT_TRUE(client);
  EXPECT_TRUE(stand.licences(0).trace_principal);
  const auto removed = stand.run_script(*removal_script(tenant, *client, "Fjordby"));
  ASSERT_TRUE(removed);
  EXPECT_EQ(*removed, "Removed applications: 1\n");
}

TEST(Consent, MovingMailIsAStepOfItsOwnAndIsTakenBack) {
  Sim sim(1);
  stand_in::StandIn stand(sim, *stand_in::scenario("quiet", 1, 1));
  const auto tenant = stand.world().tenants()[0].id;
  const auto identity = *make_rsa_identity("node", sim.now(), std::chrono::days(1));
  const auto first = *consent_script(tenant, identity.certificate_pem, "Fjordby", "en");
  const auto client = *client_id_in(*stand.run_script(first));
  for (const auto& p : purge_permissions()) {
    EXPECT_EQ(first.find(p.name), std::string::npos) << "the first consent only reads";
    EXPECT_FALSE(stand.roles(client).contains(std::string(p.name)));
    const auto script = *purge_script(tenant, client, "Fjordby\"; rm", p.name, false, "da");
    EXPECT_NE(script.find(p.why.da), std::string::npos);
    EXPECT_EQ(script.find("{{"), std::string::npos);
    EXPECT_EQ(script.find("Fjordby\""), std::string::npos) << "a name ends no quote";
    ASSERT_TRUE(stand.run_script(script));
    EXPECT_TRUE(stand.roles(client).contains(std::string(p.name)));
    ASSERT_TRUE(stand.run_script(*purge_script(tenant, client, "Fjordby", p.name, true, "da")));
    EXPECT_FALSE(stand.roles(client).contains(std::string(p.name)));
    ASSERT_TRUE(stand.run_script(script));
  }
  ASSERT_TRUE(stand.run_script(*removal_script(tenant, client, "Fjordby")));
  EXPECT_TRUE(stand.roles(client).empty()) << "the removal takes everything back";
  EXPECT_FALSE(purge_script(tenant, client, "x", "Mail.Send", false, "en"));
}

TEST(Consent, AnOutputWithoutTheIdSaysSo) {
  EXPECT_FALSE(client_id_in("Connect-MgGraph: you may not"));
  EXPECT_FALSE(client_id_in("BAVN-CLIENT-ID: hello"));
  EXPECT_EQ(*client_id_in(" 11111111-2222-4333-8444-55555555555A \n"), "11111111-2222-4333-8444-55555555555a");
}

}  // namespace
}  // namespace bavn::input::microsoft365
