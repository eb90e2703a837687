#include "show/api/map/tiles.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "tenants/municipalities.hpp"

namespace bavn::show::api {
namespace {

class Tiles : public ::testing::Test {
 protected:
  Tiles() {
    for (const Tile& t : denmark_tiles()) of[t.municipality.value] = t;
  }
  const Tile& named(std::string_view name) const { return of.at((*all.named(name))->id.value); }
  tenants::Municipalities all = tenants::Municipalities::all();
  std::map<std::uint16_t, Tile> of;
};

TEST_F(Tiles, EachOfTheNinetyEightHasACellOfItsOwn) {
  EXPECT_EQ(denmark_tiles().size(), 98U);
  std::set<std::pair<std::int64_t, std::int64_t>> cells;
  for (const Tile& t : denmark_tiles()) {
    EXPECT_GE(t.row, 1);
    EXPECT_LE(t.row, 20);
    EXPECT_GE(t.column, 1);
    EXPECT_LE(t.column, 20);
    EXPECT_TRUE(cells.insert({t.row, t.column}).second) << t.municipality.value;
  }
  for (const auto& m : all.list())
    if (m.country == tenants::Country::denmark) {
      EXPECT_TRUE(of.contains(m.id.value)) << m.name;
    }
}

TEST_F(Tiles, ADaneFindsWhatIsWhere) {
  for (const char* jutland : {"Aalborg", "Aarhus", "Esbjerg", "Kolding", "Thisted"})
    EXPECT_LT(named(jutland).column, named("København").column) << jutland;
  EXPECT_LT(named("Esbjerg").column, named("Odense").column);
  EXPECT_LT(named("Odense").column, named("Slagelse").column);
  EXPECT_LT(named("Slagelse").column, named("København").column);
  for (const Tile& t : denmark_tiles())
    if (t.municipality != named("Bornholm").municipality) {
      EXPECT_LT(t.column, named("Bornholm").column);
    }
  EXPECT_LT(named("Hjørring").row, named("Aalborg").row);
  EXPECT_LT(named("Aalborg").row, named("Aarhus").row);
  EXPECT_LT(named("Aarhus").row, named("Kolding").row);
  EXPECT_LT(named("Helsingør").row, named("København").row);
  EXPECT_LT(named("København").row, named("Lolland").row);
  EXPECT_LT(named("Lolland").column, named("Guldborgsund").column);
}

TEST_F(Tiles, NeighboursAreNear) {
  const std::pair<const char*, const char*> pairs[] = {
      {"Gentofte", "Lyngby-Taarbæk"}, {"København", "Frederiksberg"}, {"Aalborg", "Rebild"},      {"Esbjerg", "Fanø"},
      {"Odense", "Kerteminde"},       {"Kolding", "Vejle"},           {"Aarhus", "Skanderborg"},  {"Roskilde", "Lejre"},
      {"Herning", "Ikast-Brande"},    {"Svendborg", "Langeland"},     {"Hillerød", "Fredensborg"}};
  for (const auto& [a, b] : pairs) {
    const Tile &x = named(a), &y = named(b);
    EXPECT_LE(std::max(std::abs(x.row - y.row), std::abs(x.column - y.column)), 2) << a << " and " << b;
  }
}

}  // namespace
}  // namespace bavn::show::api
