#include "input/blind_spots.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/content.hpp"

namespace bavn::input {
namespace {

bool has(const std::vector<Sight>& list, std::string_view id) {
  return std::any_of(list.begin(), list.end(), [&](const Sight& s) { return s.id == id; });
}

TEST(BlindSpots, WithoutAnySourceEverythingIsBlindAndSaidInThreeLanguages) {
  const auto sights = all_sights();
  ASSERT_TRUE(sights) << to_string(sights.error());
  EXPECT_EQ(blind_spots(*sights, {}).size(), sights->size());
  for (const Sight& s : *sights)
    for (const char* language : {"da", "nb", "en"}) {
      EXPECT_FALSE(s.blind.in(language).empty()) << s.id;
      EXPECT_FALSE(s.name.in(language).empty()) << s.id;
    }
  EXPECT_TRUE(has(*sights, "m365.signins"));
}

TEST(BlindSpots, AFormatThatArrivesOrASourceOfTheNameGivesSight) {
  const auto sights = all_sights().value();
  const auto blind = blind_spots(sights, {{"m365.signins@school", "fw"}, {"dns_unbound"}});
  EXPECT_FALSE(has(blind, "dns_resolver"));
  EXPECT_FALSE(has(blind, "m365.signins"));
  EXPECT_TRUE(has(blind, "m365.audits"));
  EXPECT_TRUE(has(blind, "firewall"));
  const auto sensor = blind_spots(sights, {{}, {"zeek"}});
  EXPECT_FALSE(has(sensor, "dns_resolver")) << "a sensor sees the queries";
  EXPECT_FALSE(has(sensor, "network_sensor"));
}

TEST(BlindSpots, EveryFormatThatIsNamedExists) {
  const auto sights = all_sights().value();
  std::set<std::string> known;
  for (const std::string_view prefix : {"content/formats/", "src/formats/"})
    for (const std::string_view path : content::list(prefix)) {
      const std::string_view rest = path.substr(prefix.size());
      known.emplace(rest.substr(0, rest.find('/')));
    }
  for (const Sight& s : sights)
    for (const std::string& f : s.formats) EXPECT_TRUE(known.contains(f)) << s.id << ": " << f;
}

TEST(BlindSpots, ABrokenFileNamesItsKey) {
  EXPECT_TRUE(read_sight("nam: x\n", "a.yml").error().what.contains("did you mean 'name'?"));
  EXPECT_TRUE(read_sight("name: { da: x, nb: y }\n", "a.yml").error().what.contains("'name' has no text in en"));
  EXPECT_FALSE(read_sight("- [", "a.yml"));
}

}  // namespace
}  // namespace bavn::input
