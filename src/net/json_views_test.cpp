#include "net/json_views.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace bavn::net {

namespace {

enum class Colour : std::uint8_t { red, green, default_ };
BOOST_DESCRIBE_ENUM(Colour, red, green, default_)

struct Part {
  std::string name;
  std::optional<std::int64_t> weight;
  friend bool operator==(const Part&, const Part&) = default;
};
BOOST_DESCRIBE_STRUCT(Part, (), (name, weight))

struct Base {
  MunicipalityId municipality;
  friend bool operator==(const Base&, const Base&) = default;
};
BOOST_DESCRIBE_STRUCT(Base, (), (municipality))

struct Whole : Base {
  std::int64_t number = 0;
  std::uint64_t natural = 0;
  std::uint8_t small = 0;
  double real = 0;
  bool yes = false;
  Colour colour = Colour::red;
  event::Tlp tlp = event::Tlp::red;
  Instant at{};
  ReceivedAt received{};
  std::vector<Part> parts;
  std::map<std::string, int> counts;
  std::optional<std::string> default_;
  RawJson raw;
  friend bool operator==(const Whole&, const Whole&) = default;
};
BOOST_DESCRIBE_STRUCT(Whole, (Base),
                      (number, natural, small, real, yes, colour, tlp, at, received, parts, counts, default_, raw))

Whole example() {
  Whole w;
  w.municipality = {101};
  w.number = std::numeric_limits<std::int64_t>::min();
  w.natural = std::numeric_limits<std::uint64_t>::max();
  w.small = 255;
  w.real = 0.1;
  w.yes = true;
  w.colour = Colour::default_;
  w.tlp = event::Tlp::amber_strict;
  w.at = from_micros(1'727'784'000'123'456);
  w.received = {from_micros(1'727'784'000'000'000)};
  w.parts = {{"a\"\n\xC3\xA6", 5'000'000'000}, {"b", {}}};
  w.counts = {{"x/y", -1}, {"~", 2}};
  w.raw = {R"({"any":[1,null]})"};
  return w;
}

}  // namespace

TEST(JsonViews, WritesTheDeclaredOrder) {
  EXPECT_EQ(
      to_json(example()),
      R"({"municipality":101,"number":-9223372036854775808,"natural":18446744073709551615,"small":255,"real":0.1,)"
      R"("yes":true,"colour":"default","tlp":"amber+strict","at":"2024-10-01T12:00:00.123456Z",)"
      R"("received":"2024-10-01T12:00:00Z","parts":[{"name":"a\"\n)"
      "\xC3\xA6"
      R"(","weight":5000000000},{"name":"b"}],"counts":{"x/y":-1,"~":2},"raw":{"any":[1,null]}})");
}

TEST(JsonViews, ReadsBackWhatItWrote) {
  const auto again = from_json<Whole>(to_json(example()), Unknown::refuse);
  ASSERT_TRUE(again) << to_string(again.error());
  EXPECT_EQ(*again, example());
  EXPECT_EQ(from_json<std::vector<int>>("[1,2,3.0]", Unknown::refuse).value(), (std::vector<int>{1, 2, 3}));
}

TEST(JsonViews, AnEmptyOptionalMayBeMissingOrNull) {
  EXPECT_EQ(from_json<Part>(R"({"name":"x","weight":null})", Unknown::refuse).value(), (Part{"x", {}}));
  EXPECT_EQ(from_json<Part>(R"({"name":"x"})", Unknown::refuse).value(), (Part{"x", {}}));
  EXPECT_FALSE(from_json<Part>(R"({"weight":1})", Unknown::refuse));
}

TEST(JsonViews, UnknownMembersAreIgnoredOrRefusedAsAsked) {
  constexpr std::string_view more = R"([{"name":"x","weihgt":1}])";
  EXPECT_TRUE(from_json<std::vector<Part>>(more, Unknown::ignore));
  const auto refused = from_json<std::vector<Part>>(more, Unknown::refuse);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().where, "/0/weihgt");
}

TEST(JsonViews, ErrorsCarryThePointerAndNotTheValue) {
  const auto where = [](std::string_view text) {
    const auto r = from_json<std::map<std::string, std::vector<Part>>>(text, Unknown::refuse);
    EXPECT_FALSE(r) << text;
    if (r) return std::string("no error");
    EXPECT_EQ(r.error().what.find("secret"), std::string::npos);
    return r.error().where;
  };
  EXPECT_EQ(where(R"({"a/b~":[{"name":"x"},{"name":7}]})"), "/a~1b~0/1/name");
  EXPECT_EQ(where(R"({"":[{"name":"x","weight":"secret"}]})"), "//0/weight");
  EXPECT_EQ(where(R"({"a":[{}]})"), "/a/0/name");
  EXPECT_EQ(where(R"([])"), "");
  EXPECT_EQ(where(R"({"a":[{"name":"x","weight":9223372036854775808}]})"), "/a/0/weight");
  EXPECT_EQ(where(R"({"a":[{"name":"x","weight":1.5}]})"), "/a/0/weight");
}

TEST(JsonViews, NumbersOutOfRangeAreRefusedAndNeverCut) {
  EXPECT_FALSE(from_json<std::vector<std::uint8_t>>("[256]", Unknown::refuse));
  EXPECT_FALSE(from_json<std::vector<std::uint8_t>>("[-1]", Unknown::refuse));
  EXPECT_FALSE(from_json<std::vector<std::int64_t>>("[1e19]", Unknown::refuse));
  EXPECT_FALSE(from_json<std::vector<bool>>("[1]", Unknown::refuse));
  EXPECT_EQ(from_json<std::int64_t>("9007199254740993", Unknown::refuse).value(), 9007199254740993);
  EXPECT_FALSE(from_json<Colour>(R"("blue")", Unknown::refuse));
  EXPECT_FALSE(from_json<Instant>(R"("yesterday")", Unknown::refuse));
}

TEST(JsonValue, RefusesWhatIsNotJsonAndWhatIsTooDeep) {
  for (const char* bad : {"", " ", "{", "[1,]", "{\"a\":1,}", "'a'", "01", "+1", "nan", "[1] x", "\"\x01\"", "\"\xFF\"",
                          "{\"a\" 1}", "\"\\x\"", "\"\\ud800\"", "tru", "// c\n1", "1.", "[\"a\nb\"]"})
    EXPECT_FALSE(JsonDocument::parse(bad)) << bad;
  EXPECT_TRUE(JsonDocument::parse(std::string(63, '[') + std::string(63, ']')));
  EXPECT_FALSE(JsonDocument::parse(std::string(65, '[') + std::string(65, ']')));
  EXPECT_FALSE(JsonDocument::parse(std::string(1'000'000, '[')));
}

TEST(JsonValue, RefusesAKeyThatIsThereTwiceAndSaysWhere) {
  const auto r = JsonDocument::parse(R"({"a":[0,{"b":{"c~":1,"d":2,"c~":3}}]})");
  ASSERT_FALSE(r);
  EXPECT_EQ(r.error().where, "/a/1/b/c~0");
  EXPECT_FALSE(JsonDocument::parse(R"({"a":1,"\u0061":2})")) << "the same key in other letters";
  EXPECT_TRUE(JsonDocument::parse(R"([{"a":1},{"a":2}])"));
}

TEST(JsonValue, CanBeWalkedWithoutKnowingWhatIsThere) {
  const auto document = JsonDocument::parse(
      R"({"value":[{"id":"x","n":3},{"id":"y","deep":{"list":[1,2,3]}}],"@odata.nextLink":"https://example.org/n","none":null})");
  ASSERT_TRUE(document);
  const JsonValue root = document->root();
  std::string ids;
  for (const JsonValue v : root["value"]) ids += v["id"].text_or("?");
  EXPECT_EQ(ids, "xy");
  EXPECT_EQ(root["value"].at(1)["deep"]["list"].at(2).integer(), 3);
  EXPECT_EQ(root["value"].size(), 2U);
  EXPECT_FALSE(root["value"].at(2));
  EXPECT_FALSE(root["no"]["such"].at(7)["thing"]);
  EXPECT_TRUE(root["none"].is_null());
  EXPECT_TRUE(root["none"]);
  std::string keys;
  for (const JsonValue member : root) keys += std::string(member.key()) + " ";
  EXPECT_EQ(keys, "value @odata.nextLink none ");
  EXPECT_EQ(root["value"].at(0).to_text(), R"({"id":"x","n":3})");
  EXPECT_EQ(JsonValue().begin(), JsonValue().end());
  EXPECT_EQ(root["none"].begin(), root["none"].end());
  const auto empty = JsonDocument::parse(R"([{},[],[[]]])");
  EXPECT_EQ(empty->root().to_text(), "[{},[],[[]]]");
}

TEST(JsonValue, KeepsNumbersAndTextsAsTheyWere) {
  const auto d =
      JsonDocument::parse(R"([18446744073709551615,-9223372036854775808,1e3,0.5,"\u00e6\u0000\ud83d\ude00",-0])");
  ASSERT_TRUE(d);
  const JsonValue r = d->root();
  EXPECT_EQ(r.at(0).natural(), 18446744073709551615U);
  EXPECT_FALSE(r.at(0).integer());
  EXPECT_EQ(r.at(1).integer(), std::numeric_limits<std::int64_t>::min());
  EXPECT_FALSE(r.at(1).natural());
  EXPECT_EQ(r.at(2).integer(), 1000);
  EXPECT_FALSE(r.at(3).integer());
  EXPECT_EQ(r.at(3).number(), 0.5);
  for (const double number :
       {21e300, 0.1, 1.7976931348623157e308, 5e-324, 2.2250738585072011e-308, 123456789.123456789, -0.0})
    EXPECT_EQ(JsonDocument::parse(to_json(number))->root().number(), number) << to_json(number);
  EXPECT_FALSE(JsonDocument::parse("1e400"));
  EXPECT_FALSE(JsonDocument::parse("[-1e99999]"));
  EXPECT_EQ(JsonDocument::parse("1e-400")->root().number(), 0.0);
  EXPECT_EQ(r.at(4).text(), std::string_view("\xC3\xA6\0\xF0\x9F\x98\x80", 7));
}

}  // namespace bavn::net
