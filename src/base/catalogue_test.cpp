#include "base/catalogue.hpp"

#include <gtest/gtest.h>

#include "base/content.hpp"

namespace bavn {
namespace {

std::string faults(std::string_view da, std::string_view nb, std::string_view en) {
  const auto read = Catalogue::read({da, nb, en});
  return read ? "" : read.error().what;
}

TEST(Catalogue, TheEmbeddedOneHasEveryKeyInEveryLanguageWithTheSamePlaceholders) {
  EXPECT_EQ(faults(*content::file("i18n/da.json"), *content::file("i18n/nb.json"), *content::file("i18n/en.json")), "");
  EXPECT_GT(Catalogue::embedded().keys().size(), 10U);
}

TEST(Catalogue, SaysAndCounts) {
  const auto texts =
      Catalogue::read({R"({"hi":"Hej {name}{{}}","a.one":"En alarm i {town}","a.other":"{n} alarmer i {town}"})",
                       R"({"hi":"Hei {name}{{}}","a.one":"{n} alarm i {town}","a.other":"{n} alarmer i {town}"})",
                       R"({"hi":"{name}: hello{{}}","a.one":"One alarm in {town}","a.other":"{n} alarms in {town}"})"});
  ASSERT_TRUE(texts) << texts.error().what;
  EXPECT_EQ(texts->say(Language::da, "hi", {{"name", "Anna"}}), "Hej Anna{}");
  EXPECT_EQ(texts->say(Language::en, "hi", {{"name", "{x}"}}), "{x}: hello{}");
  EXPECT_EQ(texts->count(Language::da, "a", 1, {{"town", "Vejle"}}), "En alarm i Vejle");
  EXPECT_EQ(texts->count(Language::nb, "a", 0, {{"town", "Oslo"}}), "0 alarmer i Oslo");
  EXPECT_EQ(texts->count(Language::en, "a", 21, {{"town", "Oslo"}}), "21 alarms in Oslo");
  EXPECT_TRUE(texts->has("hi"));
  EXPECT_FALSE(texts->has("ho"));
}

TEST(Catalogue, EveryFaultIsListed) {
  const auto what = faults(R"({"a":"x {n}","b":"y","c.one":"1"})", R"({"a":"x","b":"y {","c.one":"1"})",
                           R"({"a":"x {n}","b":7,"c.one":" "})");
  EXPECT_NE(what.find("nb: a has other placeholders"), std::string::npos) << what;
  EXPECT_NE(what.find("nb: b has a brace"), std::string::npos);
  EXPECT_NE(what.find("en: b is not text"), std::string::npos);
  EXPECT_NE(what.find("en: b is missing"), std::string::npos);
  EXPECT_NE(what.find("en: c.one is missing"), std::string::npos);
  EXPECT_NE(what.find("c.one has no .other"), std::string::npos);
  EXPECT_NE(faults("[]", "{}", "{}").find("da.json"), std::string::npos);
}

TEST(Catalogue, LanguagesGoByTheNamesPeopleUse) {
  EXPECT_EQ(language_of("da"), Language::da);
  EXPECT_EQ(language_of("nb-NO"), Language::nb);
  EXPECT_EQ(language_of("no"), Language::nb);
  EXPECT_EQ(language_of("en_GB"), Language::en);
  EXPECT_FALSE(language_of("de"));
}

}  // namespace
}  // namespace bavn
