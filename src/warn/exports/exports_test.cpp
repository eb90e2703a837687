// Golden files of every export (samples/NAME.in -> NAME.expected; BAVN_UPDATE_GOLDEN=1 writes them), and what no value may do to a list.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <regex>
#include <sstream>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "net/json_value.hpp"
#include "warn/exports/check_lines.hpp"
#include "warn/exports/export.hpp"
#include "warn/exports/writing.hpp"

namespace bavn::warn::exports {
namespace {

namespace fs = std::filesystem;

Entry entry_of(std::string id, event::Kind kind, std::string value) {
  Entry e;
  e.id = std::move(id);
  e.what = {kind, std::move(value)};
  return e;
}

std::string slurp(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  return all.str();
}

List list_of(const std::string& json) {
  const auto document = net::JsonDocument::parse(json);
  EXPECT_TRUE(document) << (document ? "" : to_string(document.error()));
  List list;
  if (!document) return list;
  const auto root = document->root();
  const auto kind = [](net::JsonValue v) {
    return event::parse_kind(v["kind"].text_or("")).value_or(event::Kind::domain);
  };
  list.municipality = root["municipality"].text_or("");
  list.serial = root["serial"].natural().value_or(1);
  list.made = parse_time(root["made"].text_or("")).value_or(Instant{});
  for (const auto v : root["allow"]) list.allow.push_back({kind(v), std::string(v["value"].text_or(""))});
  for (const auto v : root["never"]) list.never.emplace_back(v.text_or(""));
  for (const auto v : root["entries"]) {
    Entry e;
    e.id = v["id"].text_or("");
    e.what = {kind(v), std::string(v["value"].text_or(""))};
    e.action = v["action"].text_or("block");
    e.until = parse_time(v["until"].text_or("")).value_or(Instant{});
    list.entries.push_back(std::move(e));
  }
  return list;
}

TEST(Exports, WriteWhatTheirSamplesSay) {
  std::size_t cases = 0;
  for (const Known& known : all()) {
    const fs::path folder = fs::path(BAVN_SOURCE_DIR "/src/warn/exports") / known.name / "samples";
    EXPECT_TRUE(fs::exists(folder / "../README.md")) << known.name << " says nothing of itself";
    for (const auto& entry : fs::directory_iterator(folder)) {
      if (entry.path().extension() != ".in") continue;
      ++cases;
      const List list = list_of(slurp(entry.path()));
      std::string got;
      for (const File& file : known.make()->files()) {
        const auto written = write(file.name, list, {});
        ASSERT_TRUE(written) << to_string(written.error());
        got += fmt::format("=== {}: {} entries, {} left out\n{}", file.name, written->entries, written->left_out_count,
                           written->body);
        for (const LeftOut& l : written->left_out) got += fmt::format("--- {}\n", l.reason);
      }
      const fs::path expected = fs::path(entry.path()).replace_extension(".expected");
      if (std::getenv("BAVN_UPDATE_GOLDEN") != nullptr) std::ofstream(expected, std::ios::binary) << got;
      EXPECT_EQ(got, slurp(expected)) << expected;
    }
  }
  EXPECT_EQ(cases, 2 * all().size());
  EXPECT_GE(all().size(), 11U);
}

/// Values people and attackers may come up with, and what mutation makes of them.
class Hostile {
 public:
  explicit Hostile(unsigned seed) : random_(seed) {}

  List list(std::size_t n) {
    List out;
    out.municipality = value();
    out.made = from_micros(1'763'800'000'000'000);
    for (std::size_t i = 0; i < n; ++i) {
      Entry e;
      e.id = pick(10) == 0 ? value() : fmt::format("e{}", i);
      e.what = observable();
      e.action = pick(8) == 0 ? value() : "block";
      e.until = from_micros(1'763'900'000'000'000);
      out.entries.push_back(std::move(e));
    }
    for (int i = 0; i < 3; ++i) out.allow.push_back(observable());
    for (int i = 0; i < 5; ++i) out.never.push_back(value());
    return out;
  }

 private:
  std::size_t pick(std::size_t below) { return std::uniform_int_distribution<std::size_t>(0, below - 1)(random_); }

  event::Observable observable() {
    const auto kind = static_cast<event::Kind>(1 + pick(event::kKinds - 1));
    std::string raw = value();
    // Half of them as they would come in by the usual ways, half by hand.
    if (pick(2) == 0)
      if (auto known = event::canonical(kind, raw)) return *known;
    return {kind, std::move(raw)};
  }

  std::string value() {
    static const std::vector<std::string> kBases = {"evil.example",
                                                    "https://evil.example/a/b?c=d",
                                                    "203.0.113.7",
                                                    "2001:db8::1",
                                                    "198.51.100.0/28",
                                                    "ceo@mail.example",
                                                    "CAF=abc$def#g@mail.example",
                                                    "0123456789abcdef0123456789abcdef",
                                                    "xn--mller-kva.example",
                                                    "micros\xd0\xbe"
                                                    "ft.com",
                                                    "bio.link/orbes",
                                                    std::string(300, 'a') + ".example",
                                                    std::string(70, 'a') + ".example",
                                                    "a.b.c.d.e.f.g.h.example",
                                                    "evil.example:8080/x",
                                                    "ftp://evil.example/x"};
    static const std::vector<std::string> kPieces = {"\n",
                                                     "\r\n",
                                                     "\r",
                                                     "\t",
                                                     " ",
                                                     "\"",
                                                     "'",
                                                     "`id`",
                                                     "$(id)",
                                                     "${x}",
                                                     ";",
                                                     "#",
                                                     "//",
                                                     "\\",
                                                     "*",
                                                     "^",
                                                     "$",
                                                     "(a+)+",
                                                     "[",
                                                     "]",
                                                     "{",
                                                     "}",
                                                     "|",
                                                     "&",
                                                     "<",
                                                     ">",
                                                     "%0a",
                                                     "%",
                                                     ",",
                                                     "=cmd",
                                                     "+",
                                                     "-",
                                                     "@",
                                                     "\0x",
                                                     "\x1b[31m",
                                                     "\xff\xfe",
                                                     "\xe2\x80\xae",
                                                     "\xe2\x80\xa8",
                                                     "$INCLUDE /etc/passwd",
                                                     "borger.dk",
                                                     "microsoft.com CNAME rpz-passthru.",
                                                     "..",
                                                     "http_access allow all",
                                                     "-i",
                                                     "/x/i",
                                                     "\n* CNAME .\n",
                                                     "'; Remove-Item -Recurse C:\\ #",
                                                     "=HYPERLINK(\"x\")"};
    std::string out = kBases[pick(kBases.size())];
    for (std::size_t n = pick(4); n > 0; --n) out.insert(pick(out.size() + 1), kPieces[pick(kPieces.size())]);
    return out;
  }

  std::mt19937 random_;
};

TEST(Exports, NoValueBreaksAnyList) {
  std::size_t lines = 0;
  for (unsigned seed = 1; seed <= 600; ++seed) {
    const List list = Hostile(seed).list(60);
    for (const FoundFile& found : files()) {
      const auto written = write(found.file.name, list, {});
      ASSERT_TRUE(written) << found.file.name << ": " << to_string(written.error());
      const std::string wrong = check_lines(found.file.name, written->body, list);
      ASSERT_EQ(wrong, "") << "seed " << seed << " " << found.file.name;
      lines += static_cast<std::size_t>(std::ranges::count_if(written->body, [](char c) { return c == '\n'; }));
    }
  }
  EXPECT_GT(lines, 50'000U);
}

TEST(Exports, AUrlsPatternMeetsThatPageAndNoOther) {
  const auto meets = [](const char* canonical, const std::string& url) {
    // The escaped slash is for Rspamd's pattern between slashes.
    return std::regex_search(url, std::regex(url_pattern(canonical), std::regex::ECMAScript));
  };
  EXPECT_TRUE(meets("bio.link/orbes", "https://bio.link/orbes"));
  EXPECT_TRUE(meets("bio.link/orbes", "http://bio.link:80/orbes?x=1"));
  EXPECT_TRUE(meets("bio.link/orbes", "https://bio.link:443/orbes/more"));
  EXPECT_FALSE(meets("bio.link/orbes", "https://bio.link/orbesity"));
  EXPECT_FALSE(meets("bio.link/orbes", "https://bio.link/"));
  EXPECT_FALSE(meets("bio.link/orbes", "https://bioxlink/orbes"));
  EXPECT_FALSE(meets("bio.link/orbes", "https://www.borger.dk/?to=https://bio.link/orbes"));
  EXPECT_TRUE(meets("google.com/url?q=http://evil.example", "https://google.com/url?q=http://evil.example"));
  EXPECT_FALSE(meets("google.com/url?q=http://evil.example", "https://google.com/url?q=http://evil.example.org"));
  EXPECT_TRUE(meets("evil.example:8080/x", "http://evil.example:8080/x"));
  EXPECT_FALSE(meets("evil.example:8080/x", "http://evil.example/x"));
}

TEST(Exports, WhatIsLetThroughHereStandsInNoListThatKnowsNoExceptions) {
  List list;
  list.allow = {{event::Kind::domain, "good.evil.example"}, {event::Kind::ipv4, "198.51.100.3"}};
  const auto entry = [&](event::Kind kind, const char* value) {
    list.entries.push_back(entry_of("e" + std::to_string(list.entries.size()), kind, value));
  };
  entry(event::Kind::domain, "evil.example");
  entry(event::Kind::domain, "good.evil.example");
  entry(event::Kind::domain, "a.good.evil.example");
  entry(event::Kind::url, "good.evil.example/x");
  entry(event::Kind::url, "evil.example/x");
  entry(event::Kind::cidr, "198.51.100.0/28");
  entry(event::Kind::ipv4, "198.51.100.4");
  EXPECT_EQ(write("plain.domains", list, {})->entries, 0U);
  EXPECT_EQ(write("plain.urls", list, {})->entries, 1U);
  EXPECT_EQ(write("plain.addresses", list, {})->entries, 1U);
  const auto rpz = write("rpz.zone", list, {});
  EXPECT_TRUE(rpz->body.contains("\nevil.example CNAME . ;")) << rpz->body;
  EXPECT_TRUE(rpz->body.contains("\n*.good.evil.example CNAME rpz-passthru.\n"));
  EXPECT_FALSE(rpz->body.contains("198.51.100.0"));
}

TEST(Exports, AListWithALimitKeepsTheNewest) {
  List list;
  for (int i = 0; i < 2'100; ++i)
    list.entries.push_back(entry_of("e", event::Kind::domain, fmt::format("n{}.example", i)));
  const auto written = write("windows_dns.ps1", list, {});
  EXPECT_EQ(written->entries, 2'000U);
  EXPECT_EQ(written->left_out_count, 100U);
  EXPECT_TRUE(written->body.contains("'n0.example "));
  EXPECT_FALSE(written->body.contains("'n2050.example "));
}

TEST(Exports, AnActionThatIsNoneIsRefused) {
  EXPECT_TRUE(write("rpz.zone", {}, {{"rpz.action", "stop.example"}}));
  for (const char* action : {"no", "x\ny.example", "* CNAME .", "rpz-passthru"})
    EXPECT_FALSE(write("rpz.zone", {}, {{"rpz.action", action}})) << action;
  const auto missing = write("rpz.zones", {}, {});
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::not_found);
  EXPECT_TRUE(missing.error().what.contains("rpz.zone"));
}

}  // namespace
}  // namespace bavn::warn::exports
