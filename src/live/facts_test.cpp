// What the formats declare as facts, on their own samples (samples/x.in -> samples/x.facts.json, one line a fact), on other people's
// records, and on the case of October 2024 as the stand-in of Microsoft 365 makes it. BAVN_UPDATE_GOLDEN=1 rewrites the expected files.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/sim.hpp"
#include "hunt/engine.hpp"
#include "input/sources/microsoft365/stand_in/world.hpp"
#include "notice/fact_reader.hpp"

namespace bavn::live {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;

std::string slurp(const fs::path& p) {
  std::ifstream in(p, std::ios::binary);
  std::stringstream s;
  s << in.rdbuf();
  return s.str();
}

Instant at(std::string_view text) {
  return *parse_time(text);
}

/// An engine without rules whose plan has what facts need.
struct Facts {
  explicit Facts(bool on = true) {
    hunt::EngineOptions options;
    options.facts = on;
    auto opened = hunt::Engine::open(options);
    EXPECT_TRUE(opened) << to_string(opened.error());
    engine = std::move(*opened);
    std::vector<const event::FactMaps*> maps;
    for (const auto& d : engine->catalogue().all()) maps.push_back(d.facts.empty() ? nullptr : &d.facts);
    plan = std::make_shared<notice::FactPlan>(engine->plan(), maps);
    reader = std::make_unique<notice::FactReader>(plan);
  }
  std::vector<event::Fact> of(std::string_view bytes, std::string_view format = {},
                              Instant received = at("2026-03-02T12:00:00Z")) {
    std::vector<event::Fact> out;
    formats::ReaderOptions ro;
    ro.reference = received;
    if (!format.empty()) ro.format = engine->catalogue().find(format);
    formats::Reader records(engine->catalogue(), engine->plan(), engine->routes(), ro);
    const auto source = formats::Source::of_bytes(bytes);
    event::EventBatch batch;
    while (!source->done()) {
      const auto chunk = source->next(batch);
      EXPECT_TRUE(chunk);
      if (!chunk) break;
      records.read(batch, chunk->from, chunk->to, chunk->first_line);
      notice::ReadFacts read;
      event::FactHead head;
      head.municipality = MunicipalityId{101};
      for (const event::Record& r : batch.records) reader->read(batch, r, head, read);
      joiner.feed(std::move(read), received, out);
    }
    return out;
  }
  std::string text_of(std::string_view bytes, std::string_view format = {}) {
    std::string out;
    for (const event::Fact& f : of(bytes, format)) {
      append_json(out, f);
      out += '\n';
    }
    return out;
  }

  std::unique_ptr<hunt::Engine> engine;
  std::shared_ptr<notice::FactPlan> plan;
  std::unique_ptr<notice::FactReader> reader;
  notice::FactJoiner joiner;
};

TEST(Facts, OfTheFormatsOwnSamplesAreAsExpected) {
  const bool update = std::getenv("BAVN_UPDATE_GOLDEN") != nullptr;
  std::size_t files = 0, lines = 0;
  for (const char* root : {"/content/formats", "/src/formats"})
    for (const auto& folder : fs::directory_iterator(std::string(BAVN_SOURCE_DIR) + root)) {
      if (!fs::exists(folder.path() / "samples")) continue;
      for (const auto& file : fs::directory_iterator(folder.path() / "samples")) {
        if (file.path().extension() != ".in") continue;
        Facts facts;
        const auto format = facts.engine->catalogue().find(folder.path().filename().string());
        if (!format) continue;
        const bool declares = facts.plan->reads(*format);
        const std::string got = facts.text_of(slurp(file.path()));
        if (!declares) {
          EXPECT_EQ(got, "") << file.path();
          continue;
        }
        fs::path expected = file.path();
        expected.replace_extension(".facts.json");
        if (update) std::ofstream(expected, std::ios::binary) << got;
        ASSERT_TRUE(fs::exists(expected)) << expected << ": run with BAVN_UPDATE_GOLDEN=1 and review";
        EXPECT_EQ(got, slurp(expected)) << file.path();
        ++files;
        lines += static_cast<std::size_t>(std::count(got.begin(), got.end(), '\n'));
      }
    }
  EXPECT_GE(files, 15U);
  EXPECT_GE(lines, 25U);
}

}  // namespace
}  // namespace bavn::live
