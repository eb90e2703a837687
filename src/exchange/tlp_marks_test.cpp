#include "exchange/tlp_marks.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace bavn::exchange {
namespace {

using event::Tlp;
constexpr std::array kAll{Tlp::clear, Tlp::green, Tlp::amber, Tlp::amber_strict, Tlp::red};

TEST(TlpMarks, EveryLevelIsReadAsItIsWritten) {
  for (const Tlp tlp : kAll) {
    EXPECT_EQ(tlp_of_stix_marking(stix_marking(tlp)), tlp);
    EXPECT_EQ(tlp_of_misp_tags(std::vector{misp_tag(tlp)}, Tlp::clear), tlp);
    EXPECT_GE(tlp_of_stix_marking(stix_marking_tlp1(tlp)), tlp) << "never wider";
    EXPECT_TRUE(is_tlp_marking(stix_marking(tlp)));
  }
}

TEST(TlpMarks, WhatIsNotKnownIsRed) {
  EXPECT_EQ(tlp_of_stix_marking("marking-definition--00000000-0000-4000-8000-000000000000"), Tlp::red);
  EXPECT_EQ(tlp_of_misp_tags(std::vector<std::string>{"tlp:purple"}, Tlp::clear), Tlp::red);
  EXPECT_EQ(tlp_of_misp_tags(std::vector<std::string>{"tlp:unclear"}, Tlp::clear), Tlp::red);
}

TEST(TlpMarks, TheNarrowestHoldsAndNoMarkingLeavesTheChoice) {
  EXPECT_EQ(tlp_of_misp_tags(std::vector<std::string>{"tlp:green", "TLP:AMBER", "type:OSINT"}, Tlp::clear), Tlp::amber);
  EXPECT_EQ(tlp_of_misp_tags(std::vector<std::string>{"type:OSINT"}, Tlp::green), Tlp::green);
  EXPECT_EQ(tlp_of_misp_tags(std::vector<std::string>{"tlp:white"}, Tlp::red), Tlp::clear);
  EXPECT_EQ(
      tlp_of_markings(std::vector{std::string(stix_marking(Tlp::green)), std::string(stix_marking_tlp1(Tlp::amber))},
                      Tlp::clear),
      Tlp::amber);
  EXPECT_EQ(tlp_of_markings({}, Tlp::amber_strict), Tlp::amber_strict);
}

}  // namespace
}  // namespace bavn::exchange
