#include "tenants/municipalities.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "base/text.hpp"

namespace bavn::tenants {
namespace {

TEST(Municipalities, AllOfDenmarkAndNorwayAreThereOnce) {
  const auto all = Municipalities::all();
  std::size_t danish = 0, norwegian = 0;
  std::set<MunicipalityId> ids;
  std::set<std::string> danish_regions, norwegian_regions;
  for (const auto& m : all.list()) {
    (m.country == Country::denmark ? danish : norwegian) += 1;
    (m.country == Country::denmark ? danish_regions : norwegian_regions).insert(m.region);
    ids.insert(m.id);
  }
  EXPECT_EQ(danish, 98U);
  EXPECT_EQ(norwegian, 357U);
  EXPECT_EQ(ids.size(), 455U);
  EXPECT_EQ(danish_regions.size(), 5U);
  EXPECT_EQ(norwegian_regions.size(), 15U);
}

TEST(Municipalities, AreFoundByCodeAndByTheNamesPeopleWrite) {
  const auto all = Municipalities::all();
  EXPECT_EQ(all.find({101})->name, "København");
  EXPECT_EQ(all.find({101})->code(), "0101");
  EXPECT_EQ(all.find({301})->name, "Oslo");
  EXPECT_EQ(all.find({301})->language(), "nb");
  EXPECT_EQ(all.find({101})->zone(), "Europe/Copenhagen");
  EXPECT_EQ(all.find({102}), nullptr);
  EXPECT_EQ((*all.named("0751"))->name, "Aarhus");
  EXPECT_EQ((*all.named("751"))->name, "Aarhus");
  EXPECT_EQ((*all.named(" AARHUS kommune "))->name, "Aarhus");
  EXPECT_EQ((*all.named("københavn"))->name, "København");
  EXPECT_EQ((*all.named("Vesthimmerlands Kommune"))->code(), "0820");
}

TEST(Municipalities, AWrongNameIsAnsweredWithTheNearest) {
  const auto all = Municipalities::all();
  EXPECT_NE(all.named("Arhus").error().what.find("Aarhus (0751)"), std::string::npos);
  EXPECT_EQ(all.named("9999").error().code, Code::not_found);
  EXPECT_EQ(all.named("").error().code, Code::not_found);
}

// The list of another maker agrees: codes and names.
TEST(Municipalities, AgreeWithTheCorpus) {
  const char* env = std::getenv("BAVN_CORPORA");
  const std::string folder = (env ? std::string(env) : BAVN_SOURCE_DIR "/../shared/corpora") + "/municipalities";
  std::ifstream denmark(folder + "/denmark.csv"), norway(folder + "/norway.csv");
  if (!denmark || !norway) GTEST_SKIP() << "no corpus at " << folder << "; set BAVN_CORPORA";
  const auto all = Municipalities::all();
  std::size_t rows = 0;
  for (auto* file : {&denmark, &norway}) {
    std::string line;
    std::getline(*file, line);
    while (std::getline(*file, line)) {
      const auto cells = split(line, ',');
      ASSERT_GE(cells.size(), 4U);
      const auto* m = all.find({static_cast<std::uint16_t>(std::stoi(std::string(cells[0])))});
      ASSERT_NE(m, nullptr) << line;
      EXPECT_EQ(m->name, cells[1]);
      EXPECT_EQ(m->code(), cells[0]);
      ++rows;
    }
  }
  EXPECT_EQ(rows, 455U);
}

}  // namespace
}  // namespace bavn::tenants
