#include <gtest/gtest.h>

#include <chrono>

#include "exchange/bulletins/find.hpp"
#include "exchange/bulletins/markdown.hpp"

namespace bavn::exchange {
namespace {

std::vector<std::string> found(std::string_view text) {
  std::vector<std::string> out;
  for (const auto& f : find_observables(text)) {
    EXPECT_LE(f.to, text.size());
    out.push_back(std::string(event::to_string(f.what.kind)) + " " + f.what.value + " <" +
                  std::string(text.substr(f.from, f.to - f.from)) + ">");
  }
  return out;
}

TEST(FindObservables, WithTheirPlaceInSentencesAndMarkdown) {
  EXPECT_EQ(
      found("Pages at `profil[.]example/orbes` ask, so does **evil.example**, and (hxxps://bad[.]example/a_(b)/c)."),
      (std::vector<std::string>{"url profil.example/orbes <profil[.]example/orbes>",
                                "domain evil.example <evil.example>",
                                "url bad.example/a_(b)/c <hxxps://bad[.]example/a_(b)/c>"}));
  EXPECT_EQ(found("see [the page](https://news.example/x) from 192.0.2[.]7;198.51.100.4"),
            (std::vector<std::string>{"url news.example/x <https://news.example/x>", "ipv4 192.0.2.7 <192.0.2[.]7>",
                                      "ipv4 198.51.100.4 <198.51.100.4>"}));
  EXPECT_EQ(
      found("sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, mail to kari[@]town[.]example!"),
      (std::vector<std::string>{"sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 "
                                "<e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855>",
                                "email kari@town.example <kari[@]town[.]example>"}));
}

TEST(FindObservables, OrdinaryWordsAreNone) {
  EXPECT_TRUE(found("The municipality, e.g. its mayor (see above), wrote 3.5 pages on 24.10.2024 at 12:30. **Ærø** og "
                    "Blåbærgrød.")
                  .empty());
  EXPECT_TRUE(found("").empty());
  EXPECT_TRUE(found(std::string(100'000, '(')).empty());
  EXPECT_TRUE(found(std::string(1'000'000, 'a')).empty());
}

TEST(FindObservables, TheWordsAroundAPlaceAreWholeCharacters) {
  const std::string text = "ærø\nærø evil.example ærø";
  const auto f = find_observables(text);
  ASSERT_EQ(f.size(), 1U);
  for (std::size_t each = 0; each < 12; ++each) {
    const std::string a = around(text, f[0].from, f[0].to, each);
    EXPECT_NE(a.find("evil.example"), std::string::npos);
    EXPECT_EQ(a.find("\xef\xbf\xbd"), std::string::npos) << a;
    EXPECT_EQ(a.find('\n'), std::string::npos);
  }
}

TEST(Markdown, IsAPageWithTables) {
  const std::string html =
      html_of_markdown("# Sign-in pages\n\nAsk **nobody**.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n", {});
  EXPECT_NE(html.find("<h1>Sign-in pages</h1>"), std::string::npos) << html;
  EXPECT_NE(html.find("<strong>nobody</strong>"), std::string::npos);
  EXPECT_NE(html.find("<table>"), std::string::npos);
}

TEST(Markdown, NothingOfItRunsOrLoads) {
  for (const char* text :
       {"<script>alert(1)</script>", "x <img src=x onerror=alert(1)> y", "[a](javascript:alert(1))",
        "[a](JaVaScRiPt:alert(1))", "![p](https://evil.example/pixel.png)", "[a](data:text/html;base64,PHN2Zz4=)",
        "<javascript:alert(1)>", "[a][r]\n\n[r]: vbscript:x", "<a href=\"https://evil.example\" onclick=\"x()\">a</a>",
        "[a](&#106;avascript:alert(1))", "<style>*{display:none}</style>",
        "<iframe src='https://evil.example'></iframe>", "[![p](https://e.example/1.png)](http://e.example)",
        "[a](//evil.example)", "[a](/api/peers)"}) {
    const std::string html = html_of_markdown(text, {});
    for (const char* bad : {"<script", "<img", "<iframe", "<style", "<a ", "href", "src="})
      if (std::string_view(html).find(bad) != std::string_view::npos &&
          std::string_view(html).find("<code>") == std::string_view::npos)
        ADD_FAILURE() << text << " -> " << html;
    for (const char* bad : {"<script", "<img", "<iframe", "<style", "<a "})
      EXPECT_EQ(html.find(bad), std::string::npos) << text << " -> " << html;
  }
  EXPECT_NE(html_of_markdown("x <b>y</b>", {}).find("&lt;b&gt;"), std::string::npos) << "raw HTML is shown, not lost";
  EXPECT_NE(html_of_markdown("[read](https://cert.example/1)", {}).find("<a href=\"https://cert.example/1\">read</a>"),
            std::string::npos);
}

TEST(Markdown, WhatItWarnsOfCannotBeClicked) {
  const auto bad = [](std::string_view url) { return url.find("evil.example") != std::string_view::npos; };
  const std::string html = html_of_markdown("[here](https://evil.example/x) and [there](https://cert.example/)", bad);
  EXPECT_EQ(html, "<p>here and <a href=\"https://cert.example/\">there</a></p>\n");
}

TEST(Markdown, NastyTextsTakeNoLongerThanTheirLength) {
  const auto began = std::chrono::steady_clock::now();
  for (const char* piece : {"[", "![", "*a_ ", "`", "> ", "- ", "<", "|", "[a](", "~~", "&", "\\[", "**x* "}) {
    std::string text;
    while (text.size() < 200'000) text += piece;
    (void)html_of_markdown(text, {});
    (void)find_observables(text);
  }
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  EXPECT_LT(took, 60) << "thirteen texts of the largest size";
  std::printf("13 nasty texts of 200 kB: %.2f s\n", took);
}

TEST(PlainText, IsShownAsItIs) {
  EXPECT_EQ(html_of_text("a <b> & \"c\"\n\x01"), "<pre>a &lt;b&gt; &amp; &quot;c&quot;\n</pre>\n");
}

}  // namespace
}  // namespace bavn::exchange
