#include "match/sigma/yaml.hpp"

#include <gtest/gtest.h>

namespace bavn::match::sigma {
namespace {

std::string reason(const std::string& text) {
  const auto documents = read_yaml(text);
  if (!documents) return documents.error().what;
  for (const auto& d : *documents)
    if (!d.root) return d.root.error().what;
  return "";
}

TEST(Yaml, KnowsLinesQuotesAndNulls) {
  const auto d = read_yaml("# comment\n\na: 1\nb: '1'\nc:\nd: ~\ne: |\n  x\n  y\nf: [1, {g: h}]\n");
  ASSERT_TRUE(d && d->size() == 1);
  const Yaml& y = *d->front().root;
  EXPECT_EQ(d->front().line, 3U);
  EXPECT_FALSE(y.find("a")->quoted);
  EXPECT_TRUE(y.find("b")->quoted);
  EXPECT_EQ(y.find("b")->line, 4U);
  EXPECT_TRUE(y.find("c")->is_null());
  EXPECT_TRUE(y.find("d")->is_null());
  EXPECT_EQ(y.find("e")->text, "x\ny\n");
  EXPECT_EQ(y.find("f")->items[1].find("g")->text, "h");
  EXPECT_EQ(y.find("z"), nullptr);
}

TEST(Yaml, DocumentsAreReadEachAlone) {
  const auto d = read_yaml("---\na: 1\n---\n# nothing\n---\nb: [\n--- # note\nc: 3\n...\n");
  ASSERT_TRUE(d);
  ASSERT_EQ(d->size(), 3U);
  EXPECT_TRUE((*d)[0].root);
  EXPECT_FALSE((*d)[1].root);
  ASSERT_TRUE((*d)[2].root);
  EXPECT_EQ((*d)[2].root->find("c")->line, 8U);
}

TEST(Yaml, AByteOrderMarkAndWindowsLineEndsAreFine) {
  const auto d = read_yaml("\xEF\xBB\xBFtitle: x\r\nlist:\r\n  - a\r\n---\r\ntitle: y\r\n");
  ASSERT_TRUE(d && d->size() == 2);
  EXPECT_EQ(d->front().root->find("list")->items[0].text, "a");
  EXPECT_EQ((*d)[1].root->find("title")->text, "y");
}

TEST(Yaml, DeepNestingIsRefused) {
  EXPECT_NE(reason("a: " + std::string(100, '[') + std::string(100, ']')).find("too deeply"), std::string::npos);
  EXPECT_FALSE(reason("a: " + std::string(200'000, '[')).empty());
  EXPECT_FALSE(reason("a: " + std::string(200'000, '{')).empty());
  std::string dashes;
  for (int i = 0; i < 100'000; ++i) dashes += "- ";
  EXPECT_FALSE(reason(dashes).empty());
  std::string indents;
  for (int i = 0; i < 1'000; ++i) indents += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  EXPECT_NE(reason(indents).find("too deeply"), std::string::npos);
}

TEST(Yaml, AliasBombsAreRefused) {
  std::string bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; ++k) bomb += (k != 0 ? ", *a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_FALSE(reason(bomb).empty());
  EXPECT_FALSE(reason("a: &a [*a]").empty());
}

TEST(Yaml, MergeKeysBringWhatTheMapDoesNotHaveItself) {
  const auto docs = read_yaml(
      "base: &b {Image: a, User: x}\nmore: &m {Image: c, Host: h}\none:\n  <<: *b\n  User: y\nboth:\n  <<: [*b, "
      "*m]\nnone:\n"
      "  <<: text\n");
  ASSERT_TRUE(docs && docs->size() == 1 && docs->front().root);
  const Yaml& root = *docs->front().root;
  const auto text = [&](const char* map, const char* key) {
    const Yaml* v = root.find(map)->find(key);
    return v == nullptr ? std::string("-") : v->text;
  };
  EXPECT_EQ(text("one", "Image") + text("one", "User") + text("one", "<<"), "ay-");
  EXPECT_EQ(text("both", "Image") + text("both", "User") + text("both", "Host"), "axh");
  EXPECT_EQ(text("none", "<<"), "text");
}

TEST(Yaml, WhatIsNoTextIsRefused) {
  EXPECT_NE(reason("a: \xFF").find("UTF-8"), std::string::npos);
  EXPECT_NE(reason(std::string("a: x\0y", 6)).find("NUL"), std::string::npos);
  EXPECT_NE(reason(std::string(kMaxYamlBytes + 1, ' ')).find("larger"), std::string::npos);
  EXPECT_NE(reason("a: 1\na: 2").find("twice"), std::string::npos);
  EXPECT_NE(reason("? [a]\n: 1").find("cannot be a key"), std::string::npos);
  EXPECT_NE(reason("a: !!binary x").find("tag"), std::string::npos);
}

}  // namespace
}  // namespace bavn::match::sigma
