#include "notice/digest_skeleton.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <functional>

#include "base/text.hpp"
#include "event/masked.hpp"
#include "event/observable.hpp"

namespace bavn::notice {

namespace {

HostLists lists() {
  return HostLists::parse(
      "bio.link\nlinktr.ee\nbit.ly\nsharepoint.com\ngithub.io # "
      "pages\ndocs.google.com\ndocs.google.com/forms\ndocs.google.com/forms/d\n"
      "docs.google.com/forms/d/e\nsites.google.com\nsites.google.com/view/\ncanva.com\ncanva.com/design\n",
      "teams.microsoft.com\n", "gmail.com\n");
}

Names names_in(std::string_view field) {
  std::vector<std::string> addresses;
  for (const auto a : split(field, ','))
    if (!a.empty()) addresses.emplace_back(a);
  return Names(addresses);
}

/// Runs each line of a golden file: f(fields of the input) -> the fields behind them.
void golden(const std::string& file, std::size_t inputs,
            const std::function<std::string(const std::vector<std::string_view>&)>& f) {
  const std::string path = std::string(BAVN_SOURCE_DIR) + "/src/notice/golden/" + file;
  std::ifstream in(path);
  ASSERT_TRUE(in) << path;
  std::string line, all;
  std::size_t cases = 0;
  const bool update = std::getenv("BAVN_GOLDEN_UPDATE") != nullptr;
  while (std::getline(in, line)) {
    if (line.starts_with("# ")) {
      all += line + "\n";
      continue;
    }
    const auto fields = split(line, '\t');
    ASSERT_GE(fields.size(), inputs) << line;
    std::string expected;
    for (std::size_t i = 0; i < inputs; ++i) expected += std::string(fields[i]) + "\t";
    expected += f(fields);
    if (!update) {
      EXPECT_EQ(expected, line);
    }
    all += expected + "\n";
    ++cases;
  }
  EXPECT_GT(cases, 5U);
  if (update) std::ofstream(path) << all;
}

TEST(Skeleton, LinksAreWhatTheGoldenFileSays) {
  const auto known = lists();
  golden("skeletons.tsv", 2, [&](const auto& fields) -> std::string {
    const auto url = event::canonical(event::Kind::url, fields[0]);
    const auto s = url ? skeleton_of(url->value, known, names_in(fields[1])) : std::nullopt;
    if (!s) return "-\t-\t-";
    // whatever the link, the hub would take what is shown
    EXPECT_TRUE(event::check_shown_host(s->host)) << s->host;
    EXPECT_TRUE(event::check_shown_path(s->path)) << s->path;
    return s->text + "\t" + s->host + "\t" + s->path;
  });
}

TEST(Skeleton, FileNamesAreWhatTheGoldenFileSays) {
  golden("names.tsv", 2, [&](const auto& fields) {
    const auto shown = shown_file_name(fields[0], names_in(fields[1]));
    EXPECT_TRUE(event::check_shown_file_name(shown)) << shown;
    return shown;
  });
}

TEST(Skeleton, SubjectsAreWhatTheGoldenFileSays) {
  golden("subjects.tsv", 2, [&](const auto& fields) { return subject_shape(fields[0], names_in(fields[1])); });
}

TEST(Skeleton, WhatStandsInAQueryOrFragmentNeverGetsOut) {
  const auto known = lists();
  for (const std::string host : {"evil.example", "bio.link", "docs.google.com", "192.0.2.1"})
    for (const std::string path : {"/", "/login", "/forms/d/e/abc", "/a;b"}) {
      const auto plain = event::canonical(event::Kind::url, "https://" + host + path);
      const auto with =
          event::canonical(event::Kind::url, "https://" + host + path + "?secret=Hemmelig&mail=jens@town.example#frag");
      ASSERT_TRUE(plain && with);
      const auto a = skeleton_of(plain->value, known), b = skeleton_of(with->value, known);
      ASSERT_TRUE(a && b);
      EXPECT_EQ(a->text, b->text);
      EXPECT_EQ(a->path, b->path);
      EXPECT_FALSE(b->text.contains("emmelig") || b->text.contains("jens") || b->text.contains("frag"));
    }
}

TEST(Skeleton, TheListsThatComeWithBavnKnowBioLink) {
  const auto known = HostLists::embedded();
  EXPECT_TRUE(known.shared("bio.link"));
  EXPECT_TRUE(known.shared("www.linktr.ee"));
  EXPECT_TRUE(known.shared("evil.github.io"));
  EXPECT_FALSE(known.shared("notbio.link"));
  EXPECT_FALSE(known.shared("town.example"));
  EXPECT_TRUE(known.meeting("eu01web.zoom.us"));
  EXPECT_FALSE(known.meeting("zoom.us.evil.example"));
}

TEST(Skeleton, ActiveNamesAreThoseThatRunOrHide) {
  for (const auto* n :
       {"a.html", "A.HTM", "x.SVG", "y.zip", "z.iso", "w.docm", "v.one", "u.lnk", "faktura.pdf.html", "t.library-ms"})
    EXPECT_TRUE(active_name(n)) << n;
  for (const auto* n : {"a.pdf", "b.docx", "c.png", "d", "e.txt", ".", ""}) EXPECT_FALSE(active_name(n)) << n;
}

}  // namespace

}  // namespace bavn::notice
