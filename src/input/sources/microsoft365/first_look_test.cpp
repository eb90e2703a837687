#include "input/sources/microsoft365/first_look.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"
#include "input/sources/microsoft365/stand_in/stand_in.hpp"
#include "net/sim.hpp"

namespace bavn::input::microsoft365 {
namespace {

using namespace std::chrono_literals;

struct Look {
  Look() : stand(sim, *stand_in::scenario("quiet", 1, 1)) {
    stand.serve_as("http://m365.example:80");
    stand.add_routes(router);
    server = *net::SimServer::start(sim, router, "m365.example:80", sim.queue({.name = "stand-in"}));
    client =
        net::sim_client(sim, {.address = "192.0.2.1", .tls = false, .certificate_serial = {}, .certificate_name = {}});
    stand.licences(0).trace_principal = true;
  }
  void open(std::set<std::string> roles) {
    const auto identity = *make_rsa_identity("node", sim.now(), std::chrono::days(1));
    const auto id = stand.register_application(0, identity.certificate_pem, std::move(roles));
    access = std::make_shared<Access>(sim, *client, sim.queue({.name = "m365"}),
                                      Account{.tenant = stand.world().tenants()[0].id,
                                              .client = id,
                                              .identity = identity,
                                              .endpoints = {.login = "http://m365.example:80/login",
                                                            .graph = "http://m365.example:80/graph",
                                                            .manage = "http://m365.example:80/manage"}});
    ask = [this](Call call) -> Answer {
      std::optional<Answer> out;
      access->send(std::move(call), [&](Answer answer) { out = std::move(answer); });
      sim.run_until([&] { return out.has_value(); });
      return std::move(*out);
    };
  }
  Sim sim{1};
  stand_in::StandIn stand;
  net::Router router;
  std::unique_ptr<net::SimServer> server;
  std::unique_ptr<net::Client> client;
  std::shared_ptr<Access> access;
  Ask ask;
};

std::set<std::string> all_roles() {
  std::set<std::string> out;
  for (const auto& p : permissions()) out.insert(std::string(p.name));
  return out;
}

TEST(FirstLook, ATableSaysWhatWorksAndWhatIsMissing) {
  Look look;
  look.open(all_roles());
  look.stand.licences(0).hunting = false;
  for (const auto& check : check_sources(look.ask, *look.access, look.sim.now())) {
    if (check.api->name == "mail") {
      EXPECT_EQ(check.light, Light::yellow);
      EXPECT_EQ(check.trouble, TroubleKind::licence);
      EXPECT_NE(check.says.find("Plan 2"), std::string::npos);
    } else {
      EXPECT_EQ(check.light, Light::green) << check.api->name << ": " << check.says;
    }
    if (check.api->name == "trace") {
      EXPECT_GT(check.lag_seconds, 0);
      EXPECT_LT(check.lag_seconds, 3600);
    }
  }
  Look other;
  other.open({"AuditLog.Read.All"});
  for (const auto& check : check_sources(other.ask, *other.access, other.sim.now()))
    if (check.api->name == "trace") {
      EXPECT_EQ(check.light, Light::red);
      EXPECT_NE(check.says.find("ExchangeMessageTrace.Read.All"), std::string::npos);
    }
}

TEST(FirstLook, ThePastShowsOldApplicationsForwardingAndLookalikes) {
  Look look;
  look.open(all_roles());
  (void)check_sources(look.ask, *look.access, look.sim.now());  // subscribes
  const auto domain = look.stand.world().tenants()[0].domain;
  const auto past = look_back(look.ask, *look.access, {domain}, look.sim.now(), 10);
  ASSERT_EQ(past.applications.size(), 3U);
  EXPECT_NE(past.applications[0].name.find("Fakturascanner"), std::string::npos);
  EXPECT_TRUE(past.users_may_register);
  EXPECT_TRUE(past.users_may_consent);
  EXPECT_EQ(past.access_policies, 1U);
  ASSERT_EQ(past.forwarding.size(), 1U);
  EXPECT_NE(past.forwarding[0].what.find("privatmail.example"), std::string::npos);
  ASSERT_EQ(past.lookalikes.size(), 1U);
  EXPECT_NE(past.lookalikes[0].domain.find("komrnune"), std::string::npos);
  EXPECT_GT(past.mails, 500U);
  EXPECT_TRUE(past.not_seen.empty()) << past.not_seen[0];
}

TEST(FirstLook, DmarcIsToldInWords) {
  const auto with = [](std::vector<std::string> records) {
    return [records](const std::string& name) -> Result<std::vector<std::string>> {
      EXPECT_EQ(name, "_dmarc.fjordby.example");
      if (records.empty()) return fail(Code::not_found, "none");
      return records;
    };
  };
  EXPECT_EQ(dmarc_of("fjordby.example", with({"v=DMARC1; p=reject; rua=mailto:dmarc@cert.example"})).light,
            Light::green);
  const auto none = dmarc_of("fjordby.example", with({"v=DMARC1;p=none"}));
  EXPECT_EQ(none.light, Light::yellow);
  EXPECT_NE(none.says.find("rua"), std::string::npos);
  EXPECT_EQ(dmarc_of("fjordby.example", with({"unrelated"})).light, Light::red);
  EXPECT_EQ(dmarc_of("fjordby.example", with({"v=DMARC1; p=reject", "v=DMARC1; p=none"})).light, Light::red);
  EXPECT_EQ(dmarc_of("fjordby.example", with({})).light, Light::red);
}

}  // namespace
}  // namespace bavn::input::microsoft365
