#include "tenants/trust.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"

namespace bavn::tenants {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;

Trust made(Sim& sim) {
  const auto birth = Trust::init(sim, "/trust", {"hub.example.org", "192.0.2.1"});
  EXPECT_TRUE(birth) << to_string(birth.error());
  auto trust = Trust::open(sim, "/trust");
  EXPECT_TRUE(trust) << to_string(trust.error());
  return std::move(*trust);
}

TEST(Trust, TheRootCertifiesTheHubsKeyAndTheAuthority) {
  Sim sim(1);
  auto trust = made(sim);
  const auto read = check_statement(trust.statements().back(), trust.root(), sim.now());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->hub_key, trust.hub_key().public_key());
  EXPECT_EQ(read->epoch, 1U);
  EXPECT_EQ(read->authority_pem, trust.authority().certificate_pem);
  EXPECT_TRUE(x509::verify(trust.server_certificate_pem(), read->authority_pem, sim.now(), x509::Use::server));
  EXPECT_TRUE(x509::fits(trust.server_key_pem(), trust.server_certificate_pem()));
  EXPECT_EQ(x509::read_certificate(trust.server_certificate_pem())->names,
            (std::vector<x509::Name>{{x509::Name::Kind::dns, "hub.example.org"}, {x509::Name::Kind::ip, "192.0.2.1"}}));
  const auto foreign = read_statement(trust.statements().back(), SigningKey::random().public_key());
  EXPECT_EQ(foreign.error().code, Code::forbidden);
}

TEST(Trust, AChangedStatementIsNotTheRoots) {
  Sim sim(1);
  auto trust = made(sim);
  auto text = trust.statements().back();
  const auto at = text.find("epoch");
  ASSERT_NE(at, std::string::npos);
  for (char& c : text)
    if (c == '1') c = '2';
  EXPECT_FALSE(read_statement(text, trust.root()));
  EXPECT_FALSE(read_statement("{}", trust.root()));
  EXPECT_FALSE(read_statement("", trust.root()));
}

TEST(Trust, TheRootKeyMayBeTakenAwayAndIsNeededOnlyForANewHubKey) {
  Sim sim(1);
  auto first = made(sim);
  EXPECT_TRUE(first.root_key_is_here());
  ASSERT_TRUE(sim.files().rename("/trust/root.key", "/stick.key"));
  EXPECT_FALSE(first.root_key_is_here());
  ASSERT_TRUE(Trust::open(sim, "/trust"));

  sim.advance(days{100});
  EXPECT_EQ(Trust::rotate_hub_key(sim, "/trust", "/trust/root.key").error().code, Code::not_found);
  ASSERT_TRUE(SigningKey::random().save(sim.files(), "/other.key", "not the root"));
  EXPECT_EQ(Trust::rotate_hub_key(sim, "/trust", "/other.key").error().code, Code::forbidden);
  ASSERT_TRUE(Trust::rotate_hub_key(sim, "/trust", "/stick.key"));
  const auto second = Trust::open(sim, "/trust");
  ASSERT_TRUE(second) << to_string(second.error());
  EXPECT_EQ(second->statement().epoch, 2U);
  EXPECT_EQ(second->statements().size(), 2U);
  EXPECT_EQ(second->statements().front(), first.statements().front());
  EXPECT_NE(second->hub_key().public_key(), first.hub_key().public_key());
  EXPECT_EQ(second->root(), first.root());
  EXPECT_EQ(second->authority().certificate_pem, first.authority().certificate_pem);
}

TEST(Trust, ARotationThatBreaksOffAnywhereLeavesAWholeHub) {
  bool finished = false;
  for (std::uint64_t step = 1; !finished; ++step) {
    ASSERT_LT(step, 60U);
    Sim sim(step);
    const auto before = made(sim).hub_key().public_key();
    sim.files().fail_at(step, SimFiles::Fault::io_error, 1000);
    finished = Trust::rotate_hub_key(sim, "/trust", "/trust/root.key").has_value();
    sim.files().fail_at(1'000'000, SimFiles::Fault::io_error);
    sim.files().cut_power();
    const auto after = Trust::open(sim, "/trust");
    ASSERT_TRUE(after) << "step " << step << ": " << to_string(after.error());
    EXPECT_EQ(after->hub_key().public_key() == before, after->statement().epoch == 1);
    EXPECT_TRUE(!finished || after->statement().epoch == 2U);
  }
}

TEST(Trust, IsNeverMadeTwiceAndNeverMixed) {
  Sim sim(1);
  made(sim);
  EXPECT_EQ(Trust::init(sim, "/trust", {"hub.example.org"}).error().code, Code::conflict);
  EXPECT_EQ(Trust::open(sim, "/nothing").error().code, Code::not_found);
  ASSERT_TRUE(Trust::init(sim, "/other", {"hub.example.org"}));
  ASSERT_TRUE(sim.files().rename("/other/authority.key", "/trust/authority.key"));
  EXPECT_EQ(Trust::open(sim, "/trust").error().code, Code::corrupt);
  EXPECT_EQ(Trust::init(sim, "/third", {}).error().code, Code::bad_input);
}

TEST(Trust, TheServersCertificateIsRenewedInTime) {
  Sim sim(1);
  auto trust = made(sim);
  sim.advance(days{59});
  EXPECT_FALSE(trust.renew_server_certificate_if_due().value());
  sim.advance(days{2});
  const auto old = trust.server_certificate_pem();
  EXPECT_TRUE(trust.renew_server_certificate_if_due().value());
  EXPECT_FALSE(trust.renew_server_certificate_if_due().value());
  sim.advance(days{80});
  EXPECT_FALSE(x509::verify(old, trust.authority().certificate_pem, sim.now(), x509::Use::server));
  EXPECT_TRUE(x509::verify(Trust::open(sim, "/trust")->server_certificate_pem(), trust.authority().certificate_pem,
                           sim.now(), x509::Use::server));
}

TEST(Trust, AStatementOutsideItsDatesPointsAtTheClock) {
  Sim sim(1);
  auto trust = made(sim);
  const auto early = check_statement(trust.statements().back(), trust.root(), sim.now() - days{2});
  EXPECT_EQ(early.error().code, Code::unavailable);
  EXPECT_NE(early.error().what.find("clock"), std::string::npos);
  EXPECT_NE(
      check_statement(trust.statements().back(), trust.root(), sim.now() + days{4000}).error().what.find("root key"),
      std::string::npos);
}

}  // namespace
}  // namespace bavn::tenants
