#include "warn/never_block.hpp"

#include <gtest/gtest.h>

namespace bavn::warn {
namespace {

TEST(NeverBlock, NobodyBlocksWhatEverybodyNeeds) {
  const auto n = NeverBlock::open({"gentofte.dk"});
  ASSERT_TRUE(n);
  for (const auto& [kind, value] : {std::pair("domain", "microsoft.com"),
                                    {"domain", "login.microsoft.com"},
                                    {"domain", "borger.dk"},
                                    {"domain", "bio.link"},
                                    {"domain", "dk"},
                                    {"domain", "co.uk"},
                                    {"domain", "gentofte.dk"},
                                    {"url", "https://www.gentofte.dk/x"},
                                    {"cidr", "10.0.0.0/8"},
                                    {"mail_domain", "gentofte.dk"}}) {
    const auto what = event::canonical(kind, value);
    if (what) {
      EXPECT_TRUE(n->check(*what)) << value;
    }
  }
  for (const auto& [kind, value] : {std::pair("url", "https://bio.link/orbes"),
                                    {"domain", "evil.example"},
                                    {"ipv4", "192.0.2.1"},
                                    {"cidr", "192.0.2.0/28"}}) {
    const auto what = event::canonical(kind, value);
    ASSERT_TRUE(what) << value;
    EXPECT_FALSE(n->check(*what)) << value;
  }
}

}  // namespace
}  // namespace bavn::warn
