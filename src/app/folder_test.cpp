#include "app/folder.hpp"

#include <gtest/gtest.h>

#include "app/guests.hpp"
#include "base/temp_folder.hpp"

namespace bavn::app {
namespace {

TEST(Folder, TellsWhereThePagesOfWhatRunsHereAre) {
  const TempFolder temp;
  const Folder folder(temp.at("node"));
  auto held = folder.hold(true);
  ASSERT_TRUE(held) << to_string(held.error());
  EXPECT_EQ(folder.web(), "") << "nothing was written";
  ASSERT_TRUE(folder.write_web("https://node.example.org:8443"));
  EXPECT_EQ(folder.web(), "https://node.example.org:8443");
  for (const char* bad : {"javascript:alert(1)", "https://a.example\" onclick=\"x", "", "file:///etc/passwd"}) {
    ASSERT_TRUE(folder.write_web(bad));
    EXPECT_EQ(folder.web(), "") << bad;
  }
  ASSERT_TRUE(folder.write_web("https://node.example.org:8443"));
  held->reset();
  EXPECT_EQ(folder.web(), "") << "nothing runs here any more";
}

TEST(Folder, AGuestIsSeenWithTheAddressOfItsPages) {
  const TempFolder temp;
  const Folder folder(temp.at("0157"));
  const auto held = folder.hold(true);
  ASSERT_TRUE(held) << to_string(held.error());
  ASSERT_TRUE(folder.write_web("http://localhost:8470"));
  const auto guests = Guests::look(temp.path());
  ASSERT_EQ(guests.size(), 1U);
  EXPECT_EQ(guests[0].code, "0157");
  EXPECT_EQ(guests[0].web, "http://localhost:8470");
}

}  // namespace
}  // namespace bavn::app
