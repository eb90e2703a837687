#include "exchange/open_data/open_data.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/sim.hpp"
#include "net/json_value.hpp"
#include "tenants/municipalities.hpp"

namespace bavn::exchange {
namespace {

using namespace std::chrono_literals;

std::optional<std::int64_t> value_of(const std::vector<OpenNumber>& all, std::string_view measure,
                                     std::string_view kind) {
  for (const auto& n : all)
    if (n.measure == measure && n.kind == kind) return n.value;
  ADD_FAILURE() << measure << " " << kind << " is not there";
  return std::nullopt;
}

TEST(Released, ANumberWithTooFewBehindItIsLeftOut) {
  const std::vector<MonthCount> counts{{"2024-10", "warnings_sent", "", 3, 4},
                                       {"2024-11", "warnings_sent", "", 3, 5},
                                       {"2024-12", "warnings_sent", "", 0, 0},
                                       {"2025-01", "warnings_sent", "", 40, 1}};
  const auto out = released(counts, 5, 5);
  ASSERT_EQ(out.size(), 4U);
  EXPECT_FALSE(out[0].value) << "four municipalities";
  EXPECT_EQ(out[1].value, 3) << "five";
  EXPECT_EQ(out[2].value, 0) << "nothing is nothing";
  EXPECT_FALSE(out[3].value) << "many things of one municipality are its own";
}

TEST(Released, NoSumFromWhichAHiddenPartCouldBeCalculated) {
  const std::vector<MonthCount> counts{{"2024-10", "campaigns", "burst", 1, 2},
                                       {"2024-10", "campaigns", "sender_notice", 7, 60},
                                       {"2024-10", "campaigns", "url", 0, 0},
                                       {"2024-11", "campaigns", "burst", 4, 20},
                                       {"2024-11", "campaigns", "sender_notice", 7, 60}};
  const auto out = released(counts, 5, 5);
  const std::vector<OpenNumber> october(out.begin(), out.begin() + 4), november(out.begin() + 4, out.end());
  EXPECT_FALSE(value_of(october, "campaigns", "burst"));
  EXPECT_EQ(value_of(october, "campaigns", "sender_notice"), 7);
  EXPECT_FALSE(value_of(october, "campaigns", "all")) << "8 - 7 - 0 = 1";
  EXPECT_EQ(value_of(november, "campaigns", "all"), 11);
}

TEST(Released, HowManyWereWarnedIsRounded) {
  for (const auto& [value, expected] :
       {std::pair<std::int64_t, std::int64_t>{5, 5}, {7, 5}, {8, 10}, {98, 100}, {0, 0}}) {
    const std::vector<MonthCount> one{{"2024-10", "municipalities_warned", "", value, value}};
    EXPECT_EQ(released(one, 5, 5)[0].value, expected) << value;
  }
}

/// Whoever has everything that is published, and every sum that can be made of it, gets no hidden number but "at least one".
TEST(Released, WhatIsHiddenCannotBeSolvedFromWhatIsNot) {
  std::mt19937 random(7);
  std::size_t hidden = 0, sums = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<MonthCount> counts;
    const int kinds = 1 + static_cast<int>(random() % 5);
    for (int k = 0; k < kinds; ++k) {
      const auto value = static_cast<std::int64_t>(random() % 9);
      counts.push_back({"2024-10", "campaigns", std::string(1, static_cast<char>('a' + k)), value,
                        value == 0 ? 0 : static_cast<std::int64_t>(1 + random() % 12)});
    }
    const auto out = released(counts, 5, 5);
    std::optional<std::int64_t> sum;
    std::size_t unknown = 0;
    for (const auto& n : out) {
      if (n.kind == "all") sum = n.value;
      else if (!n.value) ++unknown;
    }
    for (std::size_t k = 0; k < counts.size(); ++k) {
      const bool few = counts[k].value > 0 && counts[k].behind < 5;
      ASSERT_EQ(out[k].value.has_value(), !few);
      if (out[k].value) {
        ASSERT_EQ(*out[k].value, counts[k].value);
      }
    }
    ASSERT_TRUE(unknown == 0 || !sum) << "an equation with " << unknown << " unknown";
    hidden += unknown;
    sums += sum ? 1 : 0;
  }
  EXPECT_GT(hidden, 1000U);
  EXPECT_GT(sums, 100U);
}

class OpenDataTest : public ::testing::Test {
 protected:
  void SetUp() override {
    state = store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}}).value();
    OpenDataOptions options = OpenDataOptions::from(nullptr).value();
    options.publish = true;
    options.contact = "open@cert.example";
    CountSource source;
    source.first = [this](store::Reader&) -> Result<std::optional<Instant>> { return first; };
    source.month = [this](store::Reader&, Instant from, Instant until) -> Result<std::vector<MonthCount>> {
      asked.emplace_back(from, until);
      return counts;
    };
    data = OpenData::open({.runtime = sim,
                           .state = *state,
                           .texts = texts,
                           .name = "Test \"CERT\"",
                           .options = options,
                           .source = source});
    first = sim.now();
    state->start();
    ASSERT_TRUE(data->start());
  }
  void TearDown() override { state->stop(); }

  Sim sim{2};
  Catalogue texts = Catalogue::embedded();
  std::unique_ptr<store::State> state;
  std::optional<Instant> first;
  std::vector<MonthCount> counts{
      {"", "campaigns", "burst", 1, 2}, {"", "campaigns", "sender_notice", 7, 60}, {"", "warnings_sent", "", 7, 60}};
  std::vector<std::pair<Instant, Instant>> asked;
  std::unique_ptr<OpenData> data;
};

TEST_F(OpenDataTest, AMonthIsCountedOnceSomeDaysAfterItsEnd) {
  // It begins on 2024-10-01.
  sim.advance(std::chrono::days(35) + 12h);
  EXPECT_TRUE(asked.empty()) << "it is not settled";
  EXPECT_EQ(data->csv().value(), "month,measure,kind,value\r\n");
  sim.advance(std::chrono::days(1));
  ASSERT_EQ(asked.size(), 1U);
  EXPECT_EQ(format_time(asked[0].first).substr(0, 10), "2024-10-01");
  EXPECT_EQ(format_time(asked[0].second).substr(0, 10), "2024-11-01");
  const std::string october = data->csv().value();
  EXPECT_EQ(october,
            "month,measure,kind,value\r\n2024-10,campaigns,burst,\r\n2024-10,campaigns,sender_notice,7\r\n"
            "2024-10,campaigns,all,\r\n2024-10,warnings_sent,,7\r\n");
  counts[0].behind = 50;  // an answer that came late
  sim.advance(std::chrono::days(40));
  EXPECT_EQ(asked.size(), 2U);
  EXPECT_TRUE(data->csv().value().starts_with(october)) << "what was published stays as it was";
  ASSERT_TRUE(data->start()) << "a restart";
  sim.advance(1h);
  EXPECT_EQ(asked.size(), 2U);
}

TEST_F(OpenDataTest, TheCatalogHasWhatDcatApAsksFor) {
  sim.advance(std::chrono::days(70));
  const auto text = data->catalog("https://hub.example").value();
  const auto document = net::JsonDocument::parse(text);
  ASSERT_TRUE(document) << text;
  const auto catalog = document->root();
  const auto id = [](net::JsonValue v) { return std::string(v["@id"].text_or("")); };
  const auto three = [](net::JsonValue v) {
    std::set<std::string> tags;
    for (const net::JsonValue each : v) {
      EXPECT_FALSE(each["@value"].text_or("").empty());
      tags.emplace(each["@language"].text_or(""));
    }
    return tags == std::set<std::string>{"da", "nb", "en"};
  };
  for (const auto& [prefix, iri] : {std::pair("dcat", "http://www.w3.org/ns/dcat#"),
                                    {"dct", "http://purl.org/dc/terms/"},
                                    {"foaf", "http://xmlns.com/foaf/0.1/"},
                                    {"spdx", "http://spdx.org/rdf/terms#"},
                                    {"xsd", "http://www.w3.org/2001/XMLSchema#"}})
    EXPECT_EQ(catalog["@context"][prefix].text_or(""), iri);
  // Mandatory of Catalog: title, description, publisher; of Dataset: title, description; of Distribution: accessURL.
  EXPECT_EQ(catalog["@type"].text_or(""), "dcat:Catalog");
  EXPECT_TRUE(three(catalog["dct:title"]) && three(catalog["dct:description"]));
  EXPECT_EQ(catalog["dct:publisher"]["@type"].text_or(""), "foaf:Agent");
  EXPECT_EQ(catalog["dct:publisher"]["foaf:name"].text_or(""), "Test \"CERT\"");
  EXPECT_TRUE(id(catalog["dct:license"]).ends_with("/licence/CC0"));
  EXPECT_EQ(catalog["dct:language"].size(), 3U);
  const auto set = catalog["dcat:dataset"];
  EXPECT_EQ(set["@type"].text_or(""), "dcat:Dataset");
  EXPECT_TRUE(three(set["dct:title"]) && three(set["dct:description"]));
  EXPECT_EQ(set["dct:publisher"]["@id"].text_or(""), catalog["dct:publisher"]["@id"].text_or("?"));
  EXPECT_TRUE(id(set["dct:accrualPeriodicity"]).ends_with("/frequency/MONTHLY"));
  EXPECT_TRUE(id(set["dct:accessRights"]).ends_with("/access-right/PUBLIC"));
  EXPECT_EQ(set["dct:temporal"]["dcat:startDate"]["@value"].text_or(""), "2024-10-01");
  EXPECT_EQ(set["dct:temporal"]["dcat:endDate"]["@value"].text_or(""), "2024-11-30");
  EXPECT_EQ(id(set["dcat:contactPoint"]["vcard:hasEmail"]), "mailto:open@cert.example");
  const std::map<std::string, std::string> files{{"counts.csv", data->csv().value()},
                                                 {"counts.json", data->json().value()}};
  ASSERT_EQ(set["dcat:distribution"].size(), files.size());
  for (const net::JsonValue d : set["dcat:distribution"]) {
    EXPECT_EQ(d["@type"].text_or(""), "dcat:Distribution");
    const std::string url = id(d["dcat:accessURL"]);
    EXPECT_EQ(url, id(d["dcat:downloadURL"]));
    ASSERT_TRUE(url.starts_with("https://hub.example/open-data/")) << url;
    const std::string& body = files.at(url.substr(url.rfind('/') + 1));
    EXPECT_EQ(d["dcat:byteSize"]["@value"].text_or(""), std::to_string(body.size()));
    EXPECT_EQ(d["dcat:byteSize"]["@type"].text_or(""), "xsd:nonNegativeInteger");
    EXPECT_EQ(d["spdx:checksum"]["spdx:checksumValue"]["@value"].text_or(""), to_hex(sha256(body)));
    EXPECT_EQ(id(d["dct:license"]), id(catalog["dct:license"]));
    EXPECT_NE(id(d["dct:format"]).find("/file-type/"), std::string::npos);
    EXPECT_TRUE(id(d["dcat:mediaType"]).starts_with("https://www.iana.org/assignments/media-types/"));
  }
}

TEST_F(OpenDataTest, EveryColumnOfTheCsvIsDescribed) {
  const auto metadata = net::JsonDocument::parse(data->csv_metadata()).value();
  std::string header;
  for (const net::JsonValue c : metadata.root()["tableSchema"]["columns"]) {
    header += (header.empty() ? "" : ",") + std::string(c["name"].text_or(""));
    EXPECT_GT(c["dc:description"].text_or("").size(), 10U);
  }
  EXPECT_TRUE(data->csv().value().starts_with(header + "\r\n")) << header;
  EXPECT_EQ(metadata.root()["url"].text_or(""), "counts.csv");
}

TEST_F(OpenDataTest, NoMunicipalityIsNamedAnywhere) {
  sim.advance(std::chrono::days(70));
  const std::string all = data->csv().value() + data->json().value() + data->catalog("https://hub.example").value();
  const auto letter = [&](std::size_t at) {
    const auto c = at < all.size() ? static_cast<unsigned char>(all[at]) : 0U;
    return c >= 0x80 || (c | 0x20U) - 'a' < 26U;
  };
  const auto towns = tenants::Municipalities::all();
  for (const auto& m : towns.list())  // as a word: "Os" is one
    for (auto at = all.find(m.name); at != std::string::npos; at = all.find(m.name, at + 1))
      EXPECT_TRUE((at > 0 && letter(at - 1)) || letter(at + m.name.size())) << m.name << ": " << all.substr(at, 40);
}

TEST(OpenDataOptions, ALicenceThatIsNoneIsRefused) {
  const auto table = open_data_settings();
  const auto read = Settings::read(table, "[open_data]\nlicence = \"gpl\"\n", "test").value();
  EXPECT_FALSE(OpenDataOptions::from(&read));
  EXPECT_FALSE(OpenDataOptions::from(nullptr)->publish) << "publishing is a decision";
}

}  // namespace
}  // namespace bavn::exchange
