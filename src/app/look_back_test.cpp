#include "app/look_back.hpp"

#include <gtest/gtest.h>

#include "base/catalogue.hpp"
#include "input/blind_spots.hpp"

namespace bavn::app {
namespace {

TEST(LookBack, EachPlaceThatIsLookedInHasWordsForTheAnswer) {
  const auto texts = Catalogue::embedded();
  const auto sights = input::all_sights();
  ASSERT_TRUE(sights);
  for (const auto& s : *sights) EXPECT_TRUE(texts.has("warn.log." + s.id)) << s.id << " would be said by its id";
}

}  // namespace
}  // namespace bavn::app
