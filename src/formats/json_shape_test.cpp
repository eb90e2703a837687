// Records of known shapes are read exactly as a walk over their structurals reads them: on every public sample, in any order, and on
// what is left of them after bytes were changed, doubled, dropped or moved.
#include "formats/json_shape.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <set>
#include <tuple>

#include "formats/reader.hpp"
#include "formats/source.hpp"

namespace bavn::formats {
namespace {

namespace fs = std::filesystem;

struct Both {
  Both() {
    catalogue.add_names(plan);
    // names that samples have and formats do not ask for, so that rows of several kinds are there
    for (const char* name : {"a", "b", "a.b", "list", "Image", "CommandLine", "properties.message", "id.resp_p"})
      plan.add(name);
    ReaderOptions o;
    o.shapes = false;
    walker.emplace(catalogue, plan, routes, o);
    reader.emplace(catalogue, plan, routes, ReaderOptions{});
  }
  // Empty, or what differs.
  std::string difference(const std::string& text) {
    for (auto* b : {&walked, &known}) {
      b->clear();
      b->raw = text;
    }
    walker->read(walked, 0, text.size(), 1);
    reader->read(known, 0, text.size(), 1);
    if (walked.refusals.size() != known.refusals.size()) return "refusals";
    for (std::size_t i = 0; i < walked.refusals.size(); ++i)
      if (walked.refusals[i].line != known.refusals[i].line ||
          std::string(walked.refusals[i].reason) != known.refusals[i].reason)
        return "refusal " + std::to_string(i);
    if (walked.records.size() != known.records.size()) return "records";
    for (std::size_t i = 0; i < walked.records.size(); ++i) {
      const auto& a = walked.records[i];
      const auto& b = known.records[i];
      const auto head = [](const event::Record& r) {
        return std::tuple(r.offset, r.length, r.line, r.format, r.route, r.happened_us, r.repaired, r.field_count);
      };
      const auto row = [](const event::EventBatch& batch, const event::Field& f) {
        return std::tuple(batch.bytes(f), f.slot, f.flags, f.role);
      };
      if (head(a) != head(b)) return "record of line " + std::to_string(a.line);
      const auto fa = walked.fields_of(a), fb = known.fields_of(b);
      for (std::size_t k = 0; k < fa.size(); ++k)
        if (row(walked, fa[k]) != row(known, fb[k])) return "field of line " + std::to_string(a.line);
    }
    return {};
  }
  const Catalogue catalogue = *Catalogue::builtin();
  event::FieldPlan plan;
  event::RouteTable routes;
  std::optional<Reader> walker, reader;
  event::EventBatch walked, known;
};

std::string changed(std::string line, std::mt19937_64& random) {
  static constexpr std::string_view kMarks = "{}[],:\"\\ \t0tn-x";
  for (std::uint64_t n = random() % 3; n-- > 0 && !line.empty();) {
    const std::size_t at = random() % line.size(), length = std::min<std::size_t>(random() % 40, line.size() - at);
    const char mark = kMarks[random() % kMarks.size()];
    switch (random() % 8) {
      case 0: line[at] = mark; break;
      case 1: line.insert(at, 1, mark); break;
      case 2: line.erase(at, length); break;
      case 3: line.insert(at, std::string(line, random() % line.size(), length)); break;
      case 4:
        line.insert(line.find_first_of(":,", at) == std::string::npos ? at : line.find_first_of(":,", at), " ");
        break;
      case 5: line[at] = static_cast<char>(random()); break;
      case 6: {  // a value or a key becomes another one of the line
        const std::size_t a = line.find('"', at), b = line.find('"', random() % line.size());
        if (a != std::string::npos && b != std::string::npos) line.replace(a, 6, line, b, 6);
        break;
      }
      default: {  // a string becomes a scalar or an object
        const std::size_t a = line.find(":\"", at), b = a == std::string::npos ? a : line.find('"', a + 2);
        static constexpr const char* kNew[] = {"null", "12", "{}", "[]", "{\"a\":1}", "\"\"", "tru", "1e5x", "true"};
        if (b != std::string::npos) line.replace(a + 1, b - a, kNew[random() % 9]);
      }
    }
  }
  std::erase(line, '\n');
  return line;
}

// least: how many records are known by their shape.
void compare(const std::vector<std::string>& lines, std::uint64_t seed, std::size_t least) {
  Both both;
  std::mt19937_64 random(seed);
  std::vector<std::string> order = lines;
  for (int round = 0; round < 4; ++round) {
    std::shuffle(order.begin(), order.end(), random);
    std::string text;
    for (const std::string& l : order) {
      text += round < 2 ? l : changed(l, random);
      text += '\n';
      if (text.size() < 100'000) continue;
      ASSERT_EQ(both.difference(text), "") << "round " << round;
      text.clear();
    }
    ASSERT_EQ(both.difference(text), "") << "round " << round;
  }
  EXPECT_EQ(both.walker->stats().known_shapes, 0U);
  EXPECT_GT(both.reader->stats().known_shapes, least);
}

TEST(JsonShape, SamplesAreReadAsTheyAreWalked) {
  const char* env = std::getenv("BAVN_CORPORA");
  const fs::path corpora = env != nullptr ? fs::path(env) : fs::path(BAVN_SOURCE_DIR) / ".." / "shared" / "corpora";
  if (!fs::exists(corpora)) GTEST_SKIP() << "no corpora at " << corpora;
  std::vector<std::string> lines;
  for (const char* folder : {"detection", "logs"})
    for (const auto& e : fs::recursive_directory_iterator(corpora / folder)) {
      if (!e.is_regular_file()) continue;
      auto source = Source::open(e.path().string());
      if (!source) continue;
      event::EventBatch batch;
      std::size_t n = 0;
      while (!(*source)->done() && n < 500) {
        auto chunk = (*source)->next(batch);
        if (!chunk) break;
        for (std::size_t at = chunk->from; at < chunk->to && n < 500;) {
          const std::size_t end = std::min(batch.raw.find('\n', at), chunk->to);
          if (batch.raw[at] == '{' && end - at < 100'000) {
            lines.emplace_back(batch.raw.substr(at, end - at));
            ++n;
          }
          at = end + 1;
        }
      }
    }
  ASSERT_GT(lines.size(), 5000U);
  compare(lines, 1, lines.size());
}

TEST(JsonShape, OddRecordsAreReadAsTheyAreWalked) {
  std::vector<std::string> lines = {
      R"({"a":1,"b":"x","c":null})",
      R"({"a": 1, "b": "x", "c": null})",
      R"({"a":1,"a":2,"a":"3"})",
      R"({"a":{"b":[1,"2",{"b":3}]},"list":[{"a":1},{"a":2}]})",
      R"({"list":[],"a":{},"b":[[],[[]],{}]})",
      "{\"\\u0061\":\"\\u0062\",\"a\\\"b\":\"c\\\\\"}",
      R"({"@timestamp":"2026-02-11T08:00:00Z","event":{"original":"<34>1 2026-02-11T08:00:00Z h a - - - x"}})",
      R"({"EventID":4688,"Channel":"Security","CommandLine":"a \"b\" c","Image":"C:\\x.exe","UtcTime":"2026-02-11 08:00:00.1"})",
      R"({"Records":"no","a":{"value":"{\"a\":1}"}})",
      R"({"a":1.5e-7 ,"b":true	,"c":false})",
  };
  lines.push_back(R"({")" + std::string(300, 'k') + R"(":1,")" + std::string(33, 'l') + R"(":{")" +
                  std::string(31, 'm') + R"(":2}})");
  std::string deep = "1";
  for (int i = 0; i < 66; ++i) {
    deep = R"({"a":)" + deep + "}";
    if (i > 58) lines.push_back(deep);
  }
  std::vector<std::string> many;
  for (int i = 0; i < 3000; ++i) many.push_back(lines[static_cast<std::size_t>(i) % lines.size()]);
  for (std::uint64_t seed = 0; seed < 4; ++seed) compare(many, seed, many.size());
}

TEST(JsonShape, WhereShapesPartTheRightWayIsTaken) {
  // Hundreds of ways on from one place: keys that share their beginnings or all that a fork looks at, one key the beginning of another,
  // keys shorter than what it looks at, the end of the record among them, a list or an object where another has a value.
  std::vector<std::string> lines;
  const std::string same(80, 's');
  for (int i = 0; i < 300; ++i) {
    const std::string n = std::to_string(i);
    lines.push_back(R"({"a":1,"key)" + n + R"(":"x","b":2})");
    lines.push_back(R"({"a":1,")" + same + n + R"(":"x"})");
    lines.push_back(R"({"a":1,")" + n + R"(":[1,2],"b":{"a":")" + n + R"("}})");
  }
  for (const char* rest : {"}", ",\"b\":1}", ",\"b\":[]}", ",\"b\":{}}", ",\"b\":[1]}", ",\"b\":{\"a\":1}}",
                           ",\"bb\":1}", ",\"\":1}", ", \"b\":1}", "} ", ",\"b\": 1}", ",\"b\":\"}\"}"})
    for (int i = 0; i < 20; ++i) lines.push_back(std::string(R"({"a":1)") + rest);
  for (std::uint64_t seed = 20; seed < 23; ++seed) compare(lines, seed, lines.size() / 8);
}

TEST(JsonShape, WhatARecordIsIsAskedWhenAValueThatDecidesChanges) {
  // One shape, and values by which format and route are known that change now and then, become longer or of another kind; then the
  // format is told, and another one.
  Both both;
  std::mt19937_64 random(5);
  const auto text = [&] {
    std::string t;
    for (int i = 0; i < 400; ++i) {
      static constexpr const char* kChannels[] = {"Security", "Microsoft-Windows-Sysmon/Operational", "System",
                                                  "Securitz", ""};
      static constexpr const char* kIds[] = {"4688", "1", "\"1\"", "4624", "null"};
      static constexpr const char* kTimes[] = {"2026-02-11 08:00:00.1", "2026-02-11T08:00:00Z", "none", ""};
      const auto of = [&](auto& a) { return a[random() % 4 == 0 ? random() % std::size(a) : 0]; };
      t += std::string(R"({"EventID":)") + of(kIds) + R"(,"Channel":")" + of(kChannels) + R"(","Image":"C:\\)" +
           std::to_string(random() % 100) + R"(.exe","UtcTime":")" + of(kTimes) + "\"}\n";
    }
    return t;
  };
  const auto formats = [&] {
    std::set<event::FormatId> f;
    for (const auto& r : both.known.records) f.insert(r.format);
    return f;
  };
  ASSERT_EQ(both.difference(text()), "");
  ASSERT_GT(both.reader->stats().known_shapes, 200U);
  const auto recognised = formats();
  for (const char* name : {"json", "windows_event", "okta"}) {
    const auto format = both.catalogue.find(name);
    ASSERT_TRUE(format) << name;
    both.walker->new_source(format);
    both.reader->new_source(format);
    ASSERT_EQ(both.difference(text()), "") << name;
    EXPECT_EQ(formats(), std::set{*format});
  }
  EXPECT_NE(formats(), recognised);
}

TEST(JsonShape, StringsEndWhereTheyEnd) {
  // Runs of backslashes, quotes, control characters, letters beyond ASCII and broken ones at every place of a block of 32 bytes.
  std::vector<std::string> lines;
  for (std::size_t pad = 0; pad < 70; ++pad)
    for (const char* inside : {"", "\\\\", "\\\"", "\\\\\"x", "\\\\\\\\", "\\\\\\\"y", "\\", "\x01", "\t", "\\\t",
                               "\xC3\xA5", "\xC3", "\xED\xA0\x80", "\\u00e5"}) {
      const std::string value = std::string(pad, 'p') + inside;
      lines.push_back(R"({"a":")" + value + R"(","b":1,"Image":")" + value + R"("})");
    }
  for (const char* end : {"\r", " ", "\r\r", " \r", "x", "\t"})
    lines.push_back(R"({"a":"x","b":1,"Image":"y"})" + std::string(end));
  for (const char* number :
       {"0",  "-",   "-1",  "1e",    "1.",    "+1",   ".5",     "00", "1-2", "e5", "12345678901234567890123456789012",
        "1a", "1\"", "tru", "truex", "nulll", "null", "false ", "[]", "{}",  "[1]"})
    lines.push_back(R"({"a":)" + std::string(number) + R"(,"b":1,"Image":"y"})");
  compare(lines, 7, lines.size() / 2);
}

}  // namespace
}  // namespace bavn::formats
