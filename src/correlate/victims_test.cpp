#include <gtest/gtest.h>

#include "correlate/members.hpp"

namespace bavn::correlate {
namespace {

TEST(KindOfVictim, IsToldByTheName) {
  for (const auto& [domain, kind] : {std::pair("uvm.dk", "company"),
                                     {"sum.stm.dk", "ministry"},
                                     {"skm.min.dk", "ministry"},
                                     {"kl.dk", "union"},
                                     {"mail.kl.dk", "union"},
                                     {"xkl.dk", "company"},
                                     {"oslo.kommune.no", "municipality"},
                                     {"gmail.com", "free mail"},
                                     {"", "company"}})
    EXPECT_EQ(kind_of_victim(domain), kind) << domain;
}

}  // namespace
}  // namespace bavn::correlate
