#include "app/shared_indicators.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/temp_folder.hpp"
#include "base/threads.hpp"

namespace bavn::app {
namespace {

namespace mi = match::indicators;

mi::Indicator indicator(std::string value, std::string source = "cert", std::string comment = {}) {
  mi::Indicator i;
  i.kind = event::Kind::domain;
  i.value = std::move(value);
  i.source = std::move(source);
  i.comment = std::move(comment);
  i.action = mi::Action::block;
  i.confidence = 80;
  i.valid_until = from_micros(1'900'000'000'000'000);
  return i;
}

std::vector<std::string> names(const mi::IndicatorSet& set) {
  std::vector<std::string> out;
  const auto s = set.snapshot();
  for (std::size_t layer = 0; layer < s->layers.size(); ++layer)
    s->layers[layer]->for_each([&](const mi::Indicator& i) {
      if (!(layer == 0 && s->removed->contains({i.kind, i.value, i.source})) &&
          !(layer == 0 && s->removed->contains({i.kind, i.value, ""})))
        out.push_back(i.value + " " + i.source);
    });
  std::sort(out.begin(), out.end());
  return out;
}
using Names = std::vector<std::string>;

TEST(SharedIndicators, ComeBackAsTheyWere) {
  IndicatorChange change;
  change.add = {indicator("evil.example", "cert", "quotes \" and æøå\n"), indicator("other.example")};
  change.remove = {{event::Kind::domain, "gone.example", "cert"}, {event::Kind::domain, "all.example", ""}};
  const auto back = change_from_json(to_json(change));
  ASSERT_TRUE(back) << to_string(back.error());
  EXPECT_EQ(back->add, change.add);
  EXPECT_EQ(back->remove, change.remove);
}

TEST(SharedIndicators, WhatIsWrongIsNamed) {
  for (
      const auto& [json, where] :
      {std::pair(
           R"({"add":[{"kind":"domain","value":"a.example","source":"x"},{"kind":"colour","value":"red","source":""}]})",
           "/add/1/kind"),
       {R"({"add":[{"kind":"ipv4","value":"999.1.1.1","source":""}]})", "/add/0/value"},
       {R"({"add":[{"kind":"domain","value":"a.example","source":"","confidence":101}]})", "/add/0/confidence"},
       {R"({"remove":[{"kind":"domain","value":" "}]})", "/remove/0/value"},
       {R"({"add":{}})", "/add"}}) {
    const auto change = change_from_json(json);
    ASSERT_FALSE(change) << json;
    EXPECT_EQ(change.error().where, where) << json;
  }
}

TEST(SharedIndicators, PiecesFitAndLoseNothing) {
  IndicatorChange change;
  for (int n = 0; n < 2000; ++n)
    change.add.push_back(
        indicator(std::to_string(n) + ".example", "cert", std::string(static_cast<std::size_t>(n % 300), '"')));
  change.remove.push_back({event::Kind::domain, "gone.example", ""});
  const auto parts = pieces(change, 20'000);
  EXPECT_GT(parts.size(), 10U);
  IndicatorChange all;
  for (const std::string& part : parts) {
    EXPECT_LE(part.size(), 20'000U);
    const auto back = change_from_json(part);
    ASSERT_TRUE(back);
    all.add.insert(all.add.end(), back->add.begin(), back->add.end());
    all.remove.insert(all.remove.end(), back->remove.begin(), back->remove.end());
  }
  EXPECT_EQ(all.add, change.add);
  EXPECT_EQ(all.remove, change.remove);
}

TEST(SharedIndicators, TheLastWordOnEachStands) {
  Standing s;
  s.take({{indicator("a.example"), indicator("b.example"), indicator("b.example", "other")}, {}});
  s.take({{}, {{event::Kind::domain, "b.example", ""}, {event::Kind::domain, "c.example", "cert"}}});
  s.take({{indicator("b.example", "later")}, {}});
  Names added;
  for (const auto& i : s.additions()) added.push_back(i.value + " " + i.source);
  EXPECT_EQ(added, (Names{"a.example cert", "b.example later"}));
  EXPECT_EQ(s.removals().size(), 2U);
}

class Both : public ::testing::Test {
 protected:
  void SetUp() override {
    hub = open("hub");
    node = open("node");
  }
  void TearDown() override {
    hub.reset();
    node.reset();
  }
  std::unique_ptr<store::State> open(const std::string& area) {
    store::StateOptions o;
    o.path = folder.at(area + ".db");
    o.schema = {"core", area};
    auto state = store::State::open(runtime, o);
    EXPECT_TRUE(state) << to_string(state.error());
    return std::move(*state);
  }
  std::string base_of_hub(HubIndicators& indicators) {
    const auto built = indicators.build("all");
    EXPECT_TRUE(built) << to_string(built.error());
    EXPECT_TRUE(hub->write_now([&](store::Tx& tx) { return HubIndicators::keep(tx, "all", *built); }));
    return built->file;
  }
  void say(const IndicatorChange& change) {
    EXPECT_TRUE(hub->write_now([&](store::Tx& tx) { return HubIndicators::note(tx, "test", to_json(change)); }));
  }

  TempFolder folder;
  Threads runtime;
  std::unique_ptr<store::State> hub, node;
};

TEST_F(Both, ABaseTakesInWhatWasSaidAndANodeEndsWithTheSame) {
  HubIndicators indicators(*hub, folder.at("bases"));
  say({{indicator("a.example"), indicator("b.example")}, {}});
  const std::string first = base_of_hub(indicators);
  say({{indicator("c.example")}, {{event::Kind::domain, "a.example", ""}}});
  EXPECT_EQ(indicators.size()->in_base, 2);
  EXPECT_EQ(indicators.size()->changes, 1);

  mi::IndicatorSet set;
  NodeIndicators mine(set);
  const IndicatorChange later{{indicator("c.example")}, {{event::Kind::domain, "a.example", ""}}};
  ASSERT_TRUE(node->write_now([&](store::Tx& tx) { return mine.on_base(tx, "all", first, 4); }));
  EXPECT_EQ(names(set), (Names{"a.example cert", "b.example cert"}));
  ASSERT_TRUE(node->write_now([&](store::Tx& tx) { return mine.on_change(tx, "all", 5, to_json(later)); }));
  EXPECT_EQ(names(set), (Names{"b.example cert", "c.example cert"}));

  mi::IndicatorSet again;  // after a restart
  NodeIndicators restarted(again);
  ASSERT_TRUE(restarted.load(*node));
  EXPECT_EQ(names(again), names(set));

  const std::string second = base_of_hub(indicators);
  ASSERT_TRUE(node->write_now([&](store::Tx& tx) { return restarted.on_base(tx, "all", second, 5); }));
  EXPECT_EQ(names(again), (Names{"b.example cert", "c.example cert"}));
  EXPECT_EQ(*node->read([](store::Reader& r) { return r.number("SELECT count(*) FROM node_indicator_delta"); }), 0);
  EXPECT_EQ(again.pending(), 0U);  // all of it is in the file that is shared
}

TEST_F(Both, ABaseThatCannotBeReadForgetsNothing) {
  mi::IndicatorSet set;
  NodeIndicators mine(set);
  ASSERT_TRUE(node->write_now(
      [&](store::Tx& tx) { return mine.on_change(tx, "all", 1, to_json({{indicator("a.example")}, {}})); }));
  EXPECT_FALSE(node->write_now([&](store::Tx& tx) { return mine.on_base(tx, "all", folder.at("none.base"), 9); }));
  mi::IndicatorSet again;
  ASSERT_TRUE(NodeIndicators(again).load(*node));
  EXPECT_EQ(names(again), (Names{"a.example cert"}));
}

}  // namespace
}  // namespace bavn::app
