#include <gtest/gtest.h>

#include "correlate/members.hpp"

namespace bavn::correlate {
namespace {

TEST(KindOfVictim, IsToldByTheName) {
  for (const auto& [domain, kind] : {std::pair("uvm.dk", "ministry"),
                                     {"sum.stm.dk", "ministry"},
                                     {"skm.min.dk", "ministry"},
                                     {"kl.dk", "union"},
                                     {"mail.kl.dk", "union"},
                                     {"xkl.dk", "company"},
                                     {"oslo.kommune.no", "municipality"},
                                     {"hr.gladsaxe.kommune.dk", "municipality"},
                                     {"xuvm.dk", "company"},
                                     {"socialstyrelsen.dk", "ministry"},
                                     {"mail.domstol.dk", "court"},
                                     {"nordby-idraetsforening.dk", "club"},
                                     {"soeby-skole.dk", "school"},
                                     {"ous-hf.no", "health"},
                                     {"nordsparebank.no", "bank"},
                                     {"kmd.dk", "supplier"},
                                     {"tomrer-hansen.dk", "company"},
                                     {"gmail.com", "free mail"},
                                     {"gmail.com.evil.example", "company"},
                                     {"", "company"}})
    EXPECT_EQ(kind_of_victim(domain), kind) << domain;
}

}  // namespace
}  // namespace bavn::correlate
