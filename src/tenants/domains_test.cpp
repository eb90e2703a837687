#include "tenants/domains.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"

namespace bavn::tenants {
namespace {

const event::Scope kOwner = event::Scope::local_owner();
constexpr MunicipalityId kGentofte{157}, kLyngby{173};

struct MemberDomainsTest : testing::Test {
  Sim sim{1};
  std::unique_ptr<store::State> state =
      store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}}).value();
  std::unique_ptr<MemberDomains> domains = MemberDomains::open(*state).value();
};

TEST_F(MemberDomainsTest, ADomainHasOneOwnerAndStandsForWhatIsBelow) {
  ASSERT_TRUE(domains->set(kOwner, kGentofte, {"Gentofte.DK", "gentofte-skoler.dk", "gentofte.dk"}, true));
  ASSERT_TRUE(domains->set(kOwner, kLyngby, {"ltk.dk"}, false));
  EXPECT_EQ(domains->owner("mail.gentofte.dk"), kGentofte);
  EXPECT_FALSE(domains->owner("dk"));
  EXPECT_EQ(domains->of(kGentofte)->domains.size(), 2U);
  EXPECT_FALSE(domains->of(kLyngby)->may_be_named);
  EXPECT_EQ(domains->set(kOwner, kLyngby, {"gentofte.dk"}, true).error().code, Code::conflict);
  EXPECT_EQ(domains->owner("ltk.dk"), kLyngby) << "a refused change changes nothing";
}

TEST_F(MemberDomainsTest, NonsenseIsRefused) {
  for (const char* bad : {"", "dk", "co.uk", "no domain", "a@b.dk"})
    EXPECT_EQ(domains->set(kOwner, kGentofte, {bad}, true).error().code, Code::bad_input) << bad;
  EXPECT_FALSE(domains->set(event::Scope("reader", {}, 0, event::Tlp::red), kGentofte, {"gentofte.dk"}, true));
}

TEST_F(MemberDomainsTest, NodesReadWhatTheHubWrote) {
  ASSERT_TRUE(domains->set(kOwner, kGentofte, {"gentofte.dk"}, true));
  const auto again = read_community(domains->text(Municipalities::all()));
  ASSERT_TRUE(again);
  ASSERT_EQ(again->size(), 1U);
  EXPECT_EQ((*again)[0].name, "Gentofte");
  EXPECT_EQ((*again)[0].domains, std::vector<std::string>{"gentofte.dk"});
  EXPECT_FALSE(read_community("{\"members\":[{}]}"));
}

}  // namespace
}  // namespace bavn::tenants
