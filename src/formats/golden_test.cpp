// Every format folder's samples/*.in against samples/*.expected.json, hostile/*.in against hostile/*.expected.json: one JSON line a
// record or refusal. BAVN_UPDATE_GOLDEN=1 rewrites the expected files; review the diff like code.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "formats/render.hpp"

namespace bavn::formats {
namespace {

namespace fs = std::filesystem;

std::string slurp(const fs::path& p) {
  std::ifstream in(p, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

struct Case {
  std::string format;
  fs::path input;
};

std::vector<Case> cases() {
  std::vector<Case> out;
  for (const char* root : {"/content/formats", "/src/formats"})
    for (const auto& folder : fs::directory_iterator(std::string(BAVN_SOURCE_DIR) + root))
      for (const char* kind : {"samples", "hostile"})
        if (folder.is_directory() && fs::exists(folder.path() / kind))
          for (const auto& f : fs::directory_iterator(folder.path() / kind))
            if (f.path().extension() == ".in") out.push_back({folder.path().filename().string(), f.path()});
  std::sort(out.begin(), out.end(), [](const Case& a, const Case& b) { return a.input < b.input; });
  return out;
}

class Golden : public testing::TestWithParam<Case> {};

TEST_P(Golden, ReadsAsExpected) {
  static const auto catalogue = Catalogue::builtin();
  ASSERT_TRUE(catalogue) << to_string(catalogue.error());
  const Case& c = GetParam();
  const bool hostile = c.input.parent_path().filename() == "hostile";
  const std::string got =
      explain(*catalogue, slurp(c.input), hostile ? c.format : "", *parse_time("2026-03-01T00:00:00Z"));
  fs::path expected = c.input;
  expected.replace_extension(".expected.json");
  if (std::getenv("BAVN_UPDATE_GOLDEN") != nullptr) {
    std::ofstream(expected, std::ios::binary) << got;
    return;
  }
  ASSERT_TRUE(fs::exists(expected)) << "run with BAVN_UPDATE_GOLDEN=1 and review";
  EXPECT_EQ(got, slurp(expected)) << c.input;
}

INSTANTIATE_TEST_SUITE_P(Formats, Golden, testing::ValuesIn(cases()), [](const testing::TestParamInfo<Case>& c) {
  std::string name = c.param.format + "_" + c.param.input.parent_path().filename().string() + "_" +
                     c.param.input.stem().string() + "_" + std::to_string(c.index);
  for (char& ch : name)
    if (std::isalnum(static_cast<unsigned char>(ch)) == 0) ch = '_';
  return name;
});
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Golden);

TEST(Formats, EveryDescriptionIsRead) {
  const auto catalogue = Catalogue::builtin();
  ASSERT_TRUE(catalogue) << to_string(catalogue.error());
  EXPECT_GE(catalogue->all().size(), 2U);
}

}  // namespace
}  // namespace bavn::formats
