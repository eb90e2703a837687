#include "notice/community.hpp"

#include <gtest/gtest.h>

namespace bavn::notice {
namespace {

Community two_towns() {
  Community c;
  EXPECT_TRUE(c.add("Gentofte.dk", MunicipalityId{157}));
  EXPECT_TRUE(c.add("ltk.dk", MunicipalityId{173}));
  c.add_own(MunicipalityId{157});
  return c;
}

TEST(Community, ADomainStandsForItsSubdomains) {
  const Community c = two_towns();
  EXPECT_EQ(c.member("a@gentofte.dk"), MunicipalityId{157});
  EXPECT_EQ(c.member("a@skole.gentofte.dk"), MunicipalityId{157});
  EXPECT_FALSE(c.member("a@notgentofte.dk"));
  EXPECT_FALSE(c.member("no address"));
  EXPECT_TRUE(c.own("a@gentofte.dk"));
  EXPECT_FALSE(c.own("a@ltk.dk"));
}

TEST(Community, AFunctionIsNoPerson) {
  Community c = two_towns();
  EXPECT_TRUE(c.person_mailbox("anne.jensen@gentofte.dk"));
  EXPECT_TRUE(c.person_mailbox("ita@gentofte.dk"));
  for (const char* f : {"info@gentofte.dk", "noreply@ltk.dk", "nyhedsbrev-kultur@ltk.dk", "kommunikation@gentofte.dk"})
    EXPECT_FALSE(c.person_mailbox(f)) << f;
  EXPECT_FALSE(c.person_mailbox("anne@elsewhere.example"));
  c.say_person("anne.jensen@gentofte.dk", false);
  EXPECT_FALSE(c.person_mailbox("anne.jensen@gentofte.dk"));
}

TEST(Community, ADomainHasOneOwner) {
  Community c = two_towns();
  EXPECT_EQ(c.add("ltk.dk", MunicipalityId{157}).error().code, Code::conflict);
  EXPECT_EQ(c.add("not a domain", MunicipalityId{157}).error().code, Code::bad_input);
}

}  // namespace
}  // namespace bavn::notice
