#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "exchange/stix/bundle.hpp"
#include "exchange/stix/indicator.hpp"
#include "exchange/stix/names.hpp"
#include "exchange/stix/object.hpp"
#include "exchange/tlp_marks.hpp"
#include "match/indicators/stix_pattern.hpp"

namespace bavn::exchange::stix {
namespace {

namespace fs = std::filesystem;
namespace mi = match::indicators;
using event::Kind;
using event::Tlp;

const Author kAuthor{"7f2a6a5e-2f0e-4a6b-9d53-0f4c8f6a1b2c", "Test CERT", from_micros(1'700'000'000'000'000)};

fs::path corpus(const char* folder) {
  const char* root = std::getenv("BAVN_CORPORA");
  return fs::path(root == nullptr ? "/nowhere" : root) / "threat_intel" / folder;
}
std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

TEST(StixNames, Version5IsThatOfTheRfcAndIdsAreJudged) {
  EXPECT_EQ(uuid5("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "www.example.com"),
            "2ed6657d-e927-568b-95e1-2665a8aea6a2");  // RFC 9562, A.4
  EXPECT_TRUE(is_id("x-a--2ed6657d-e927-568b-95e1-2665a8aea6a2", "x-a"));
  EXPECT_FALSE(is_id("x-a--2ed6657d-e927-568b-95e1-2665a8aea6a", "x-a"));
  EXPECT_FALSE(is_id("x-b--2ed6657d-e927-568b-95e1-2665a8aea6a2", "x-a"));
  EXPECT_FALSE(is_id("X_A--2ed6657d-e927-568b-95e1-2665a8aea6a2", "X_A"));
  EXPECT_EQ(timestamp(from_micros(1'700'000'000'123'456)), "2023-11-14T22:13:20.123Z");
  EXPECT_EQ(timestamp(from_micros(1'700'000'000'000'000)), "2023-11-14T22:13:20.000Z");
  EXPECT_EQ(timestamp_us(from_micros(1'700'000'000'000'001)), "2023-11-14T22:13:20.000001Z");
}

TEST(StixIndicators, EveryKindIsWrittenAsAPatternThatIsReadBack) {
  const std::vector<std::pair<Kind, std::string>> all{
      {Kind::domain, "evil.example"},
      {Kind::url, "evil.example/a'b\\c?x=[1]"},
      {Kind::url, "ftp://evil.example/x"},
      {Kind::ipv4, "192.0.2.7"},
      {Kind::ipv6, "2001:db8::7"},
      {Kind::cidr, "192.0.2.0/24"},
      {Kind::cidr, "2001:db8::/32"},
      {Kind::md5, "d41d8cd98f00b204e9800998ecf8427e"},
      {Kind::sha1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
      {Kind::sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {Kind::email, "o'brien@evil.example"},
      {Kind::mail_domain, "evil.example"},
      {Kind::message_id, "1$a@evil.example"},
      {Kind::subject, "faktura 'haster' \\ 12"},
      {Kind::file_name, "it's.exe"},
      {Kind::user_agent, "Mozilla/5.0 (x; 'y')"},
      {Kind::asn, "AS13335"},
      {Kind::ja3, "d41d8cd98f00b204e9800998ecf8427e"},
      {Kind::app_id, "com.evil.app"},
      {Kind::account, "evil.user"},
      {Kind::bank_account, "DK5000400440116243"},
      {Kind::phone, "+4512345678"}};
  std::set<Kind> seen;
  for (const auto& [kind, value] : all) {
    seen.insert(kind);
    const auto canonical = event::canonical(kind, value);
    ASSERT_TRUE(canonical) << event::to_string(kind) << value;
    const std::string text = pattern_of(canonical->kind, canonical->value);
    const auto pattern = mi::StixPattern::parse(text);
    ASSERT_TRUE(pattern) << text << ": " << to_string(pattern.error());
    EXPECT_EQ(pattern->not_evaluated(), "") << text;
    if (kind == Kind::mail_domain) {
      const std::vector<mi::Seen> hit{{Kind::email, "anna@evil.example"}}, miss{{Kind::email, "anna@evilxexample"}};
      EXPECT_TRUE(pattern->matches(hit)) << text;
      EXPECT_FALSE(pattern->matches(miss)) << text;
      continue;
    }
    ASSERT_FALSE(pattern->plain().empty()) << text;
    for (const event::Observable& o : pattern->plain()) EXPECT_EQ(o, *canonical) << text;
  }
  EXPECT_EQ(seen.size(), event::kKinds - 1);
}

TEST(StixIndicators, WhatIsWrittenIsReadBackAndSaysTheSame) {
  mi::Indicator i;
  i.kind = Kind::domain;
  i.value = "evil.example";
  i.source = "list";
  i.confidence = 71;
  i.action = mi::Action::block;
  i.valid_from = from_micros(1'700'000'000'000'000);
  i.valid_until = from_micros(1'800'000'000'000'000);
  i.comment = "line \"one\"\n";
  for (const Tlp tlp : {Tlp::clear, Tlp::green, Tlp::amber, Tlp::amber_strict, Tlp::red}) {
    i.tlp = tlp;
    std::string body;
    append_indicator(body, kAuthor, i, {kAuthor.since, kAuthor.since, {"health"}, false});
    const auto read = read_objects("{\"objects\":[" + body + "]}", {});
    ASSERT_TRUE(read);
    ASSERT_EQ(read->objects.size(), 1U) << read->refused[0].reason;
    EXPECT_EQ(read->objects[0].tlp, tlp);
    EXPECT_EQ(read->objects[0].sectors, std::vector<std::string>{"health"});
    EXPECT_EQ(read->objects[0].body, body);
    mi::Indicator defaults;
    defaults.source = "list";
    defaults.action = mi::Action::block;
    const auto document = net::JsonDocument::parse(body);
    const auto back = indicators_of(document->root(), defaults, read->objects[0].tlp);
    ASSERT_TRUE(back) << to_string(back.error());
    ASSERT_EQ(back->indicators.size(), 1U);
    EXPECT_EQ(back->indicators[0], i);
  }
  {
    mi::Indicator watched = i, defaults;
    watched.action = mi::Action::watch;
    defaults.action = mi::Action::warn;
    std::string text;
    append_indicator(text, kAuthor, watched, {kAuthor.since, kAuthor.since, {}, false});
    const auto document = net::JsonDocument::parse(text);
    const auto back = indicators_of(document->root(), defaults, Tlp::green);
    ASSERT_TRUE(back && back->indicators.size() == 1);
    EXPECT_EQ(back->indicators[0].action, mi::Action::watch) << "what is only watched for is not made more of";
  }
  i.valid_until = i.valid_from;
  std::string body;
  append_indicator(body, kAuthor, i, {kAuthor.since, kAuthor.since, {}, true});
  EXPECT_FALSE(body.contains("valid_until"));
  EXPECT_TRUE(body.contains(R"("revoked":true)"));
}

TEST(StixMarkings, EachGenerationAndWhatNobodyKnows) {
  std::map<std::string, std::optional<Tlp>, std::less<>> known;
  for (const Marking& m : markings()) {
    const auto document = net::JsonDocument::parse(m.body);
    ASSERT_TRUE(document) << m.body;
    EXPECT_EQ(tlp_of_definition(document->root()), tlp_of_stix_marking(m.id));
    EXPECT_TRUE(is_id(m.id, "marking-definition"));
  }
  const auto tlp = [&](const std::string& members) {
    const std::string text =
        R"({"objects":[{"type":"x-a","id":"x-a--00000000-0000-4000-8000-000000000001")" + members + "}" +
        R"(,{"type":"marking-definition","id":"marking-definition--00000000-0000-4000-8000-0000000000aa","definition_type":"statement","definition":{"statement":"of ours"}})" +
        R"(,{"type":"marking-definition","id":"marking-definition--00000000-0000-4000-8000-0000000000bb","extensions":{"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d":{"tlp_2_0":"amber+strict"}}})" +
        "]}";
    const auto read = read_objects(text, {});
    EXPECT_TRUE(read && read->objects.size() == 3);
    return read->objects.at(0).tlp;
  };
  const auto refs = [](std::string_view a, std::string_view b = "") {
    return fmt::format(R"(,"object_marking_refs":["{}"{}])", a, b.empty() ? "" : fmt::format(",\"{}\"", b));
  };
  EXPECT_EQ(tlp(""), Tlp::amber);
  EXPECT_EQ(tlp(refs(stix_marking(Tlp::green))), Tlp::green);
  EXPECT_EQ(tlp(refs(stix_marking_tlp1(Tlp::amber), stix_marking_tlp1(Tlp::green))), Tlp::amber);
  EXPECT_EQ(tlp(refs(stix_marking(Tlp::amber_strict), stix_marking_tlp1(Tlp::red))), Tlp::amber_strict)
      << "TLP 1 knows no better";
  EXPECT_EQ(tlp(refs(stix_marking(Tlp::green), stix_marking_tlp1(Tlp::red))), Tlp::red)
      << "the narrower one, whoever says it";
  EXPECT_EQ(tlp(refs(stix_marking_tlp1(Tlp::amber), stix_marking(Tlp::clear))), Tlp::amber);
  EXPECT_EQ(
      tlp(fmt::format(R"(,"object_marking_refs":["{}"],"granular_markings":[{{"marking_ref":"{}","selectors":["x"]}}])",
                      stix_marking(Tlp::green), stix_marking_tlp1(Tlp::red))),
      Tlp::red);
  EXPECT_EQ(tlp(refs("marking-definition--00000000-0000-4000-8000-0000000000aa")), Tlp::amber)
      << "a statement says no level";
  EXPECT_EQ(tlp(refs("marking-definition--00000000-0000-4000-8000-0000000000bb")), Tlp::amber_strict);
  EXPECT_EQ(tlp(refs("marking-definition--00000000-0000-4000-8000-0000000000cc", stix_marking(Tlp::clear))), Tlp::red)
      << "nobody knows it";
  EXPECT_EQ(tlp(R"(,"object_marking_refs":[7])"), Tlp::red);
  EXPECT_EQ(
      tlp(fmt::format(R"(,"granular_markings":[{{"marking_ref":"{}","selectors":["x"]}}])", stix_marking(Tlp::red))),
      Tlp::red);
  EXPECT_EQ(tlp(R"(,"granular_markings":[{"lang":"da","selectors":["x"]}])"), Tlp::amber);
}

TEST(StixMarkings, ADefinitionUnderAnIdOfTlpMeansThatLevelOrIsRefused) {
  const auto read = [](std::string_view more) {
    return read_objects(fmt::format(R"({{"objects":[{{"type":"marking-definition","spec_version":"2.1","id":"{}",)"
                                    R"("created":"2022-10-01T00:00:00.000Z",{}}}]}})",
                                    stix_marking(Tlp::green), more),
                        {});
  };
  for (const char* other :
       {R"("name":"TLP:CLEAR","definition_type":"statement","definition":{"statement":"free for all"})",
        R"("definition_type":"tlp","definition":{"tlp":"white"})", R"("name":"TLP:RED")"}) {
    const auto r = read(other);
    ASSERT_TRUE(r);
    ASSERT_EQ(r->refused.size(), 1U) << other;
    EXPECT_EQ(r->refused[0].reason, "its id is that of a marking of TLP, and it says something else");
  }
  const auto r =
      read(R"("name":"TLP:GREEN","extensions":{"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d":)"
           R"({"extension_type":"property-extension","tlp_2_0":"green"}})");
  ASSERT_TRUE(r);
  EXPECT_EQ(r->objects.size(), 1U);
}

TEST(StixBundle, IsReadBackWithIdentityMarkingsAndEachIndicatorOnce) {
  std::string text;
  BundleWriter bundle(kAuthor, [&](std::string_view piece) -> Result<void> {
    text += piece;
    return {};
  });
  mi::Indicator i;
  i.kind = Kind::domain;
  for (const char* value : {"a.example", "b.example", "a.example"}) {
    i.value = value;
    ASSERT_TRUE(bundle.add(i, {kAuthor.since, kAuthor.since, {}, false}));
  }
  ASSERT_TRUE(bundle.finish());
  const auto read = read_objects(text, {});
  ASSERT_TRUE(read) << to_string(read.error()) << text;
  EXPECT_EQ(read->objects.size(), 5U);
  EXPECT_TRUE(read->refused.empty());
}

TEST(StixCorpus, EveryBundleReadsKeepsEveryByteAndNamesWhatItRefuses) {
  const fs::path root = corpus("stix21");
  if (!fs::exists(root)) GTEST_SKIP() << "there is no corpus (BAVN_CORPORA)";
  std::size_t files = 0, objects = 0, refused = 0, indicators = 0, kept_patterns = 0, bad_patterns = 0, others = 0;
  std::map<std::string, std::size_t> reasons;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (!entry.is_regular_file() || entry.path().extension() != ".json") continue;
    std::string text = text_of(entry.path());
    const auto document = net::JsonDocument::parse(text);
    if (!document) {
      ++reasons["no JSON: " + document.error().what.substr(0, 60)];
      continue;
    }
    // Single objects and lists of bundles are how some of these files come.
    const net::JsonValue v = document->root();
    if (v.is_object() && !v["objects"].is_array() && v["id"] && v["type"]) text = "{\"objects\":[" + text + "]}";
    else if (!v.is_object() || v["type"].text_or("") != "bundle") {
      ++others;
      (void)read_objects(text, {});
      continue;
    }
    ++files;
    const auto read = read_objects(text, {});
    ASSERT_TRUE(read) << entry.path() << to_string(read.error());
    for (const Refused& r : read->refused) ++reasons[r.reason];
    refused += read->refused.size();
    const auto again = net::JsonDocument::parse(text);
    EXPECT_EQ(read->objects.size() + read->refused.size(), again->root()["objects"].size());
    for (const Object& o : read->objects) {
      ++objects;
      ASSERT_TRUE(text.contains(o.body)) << entry.path() << o.id;
      const auto one = net::JsonDocument::parse(o.body);
      ASSERT_TRUE(one) << o.id;
      ASSERT_EQ(one->root()["id"].text_or(""), o.id);
      if (o.type != "indicator") continue;
      ++indicators;
      if (const auto found = indicators_of(one->root(), {}, o.tlp); !found) {
        ++bad_patterns;
        ++reasons["indicator: " + found.error().what];
      } else if (!found->not_evaluated.empty()) {
        ++kept_patterns;
      }
    }
  }
  std::printf(
      "%zu files, %zu objects, %zu refused; %zu indicators, %zu kept and not looked for, %zu refused; %zu other "
      "files\n",
      files, objects, refused, indicators, kept_patterns, bad_patterns, others);
  for (const auto& [reason, n] : reasons) std::printf("  %zu %s\n", n, reason.c_str());
  EXPECT_GT(files, 50U);
  EXPECT_GT(objects, 2000U);
  EXPECT_GT(indicators, 800U);
  EXPECT_LT(bad_patterns * 50, indicators);
}

TEST(StixCorpus, EveryExampleOfTheSpecificationIsAPattern) {
  const fs::path file = corpus("stix21") / "patterns" / "spec_examples.txt";
  if (!fs::exists(file)) GTEST_SKIP() << "there is no corpus (BAVN_CORPORA)";
  std::ifstream in(file);
  std::size_t n = 0;
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line[0] == '#') continue;
    ++n;
    const auto pattern = mi::StixPattern::parse(line);
    EXPECT_TRUE(pattern) << line << ": " << (pattern ? "" : to_string(pattern.error()));
  }
  EXPECT_GT(n, 20U);
}

}  // namespace
}  // namespace bavn::exchange::stix
