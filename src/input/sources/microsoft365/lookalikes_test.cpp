#include "input/sources/microsoft365/lookalikes.hpp"

#include <gtest/gtest.h>

namespace bavn::input::microsoft365 {
namespace {

TEST(Lookalikes, WhatIsDrawnAlikeOrALetterAwayIsFound) {
  const Lookalikes ours({"fjordby-kommune.dk"});
  for (const char* bad :
       {"fjordby-komrnune.dk", "fjordby-kommune.com", "fj0rdby-kommune.dk", "fjordbykommune.dk", "fjordby-komune.dk",
        "fjrodby-kommune.dk", "fjordby-faktura.com", "mail.fjordby-kommune.net", "fjоrdby-kommune.dk"})
    EXPECT_TRUE(ours.judge(bad)) << bad;
  for (const char* good :
       {"fjordby-kommune.dk", "post.fjordby-kommune.dk", "lyngholt-kommune.dk", "fjordbyavis.dk", "example.org"})
    EXPECT_FALSE(ours.judge(good)) << good << ": " << ours.judge(good).value_or("");
}

TEST(Lookalikes, DanishLettersInBothSpellings) {
  const Lookalikes ours({"ærøsund-kommune.dk"});
  EXPECT_TRUE(ours.judge("aeroesund-kommune.dk"));
  EXPECT_TRUE(ours.judge("aerosund-kommune.dk"));
}

TEST(Lookalikes, EditsCountASwapAsOne) {
  EXPECT_EQ(edits("aarhus", "aarhsu", 2), 1U);
  EXPECT_EQ(edits("aarhus", "arhus", 2), 1U);
  EXPECT_EQ(edits("aarhus", "odense", 2), 3U);
  EXPECT_EQ(edits("", "", 2), 0U);
}

}  // namespace
}  // namespace bavn::input::microsoft365
