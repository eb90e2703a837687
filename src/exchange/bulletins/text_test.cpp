#include <gtest/gtest.h>

#include <chrono>

#include "exchange/bulletins/find.hpp"
#include "exchange/bulletins/markdown.hpp"
#include "exchange/bulletins/report.hpp"
#include "jail/small_pdf.hpp"

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

TEST(FindObservables, DotsInBracketsMayHaveBlanksAroundThem) {
  EXPECT_EQ(found("It calls evil [dot] example, hxxps://bad (.) example/a and kari [at] town {dot} example."),
            (std::vector<std::string>{"domain evil.example <evil [dot] example>",
                                      "url bad.example/a <hxxps://bad (.) example/a>",
                                      "email kari@town.example <kari [at] town {dot} example>"}));
  EXPECT_EQ(
      found("(evil[.] example) and \"evil [DOT]example\", 192 [.] 0 [.] 2 [.] 7"),
      (std::vector<std::string>{"domain evil.example <evil[.] example>", "domain evil.example <evil [DOT]example>",
                                "ipv4 192.0.2.7 <192 [.] 0 [.] 2 [.] 7>"}));
  EXPECT_EQ(found("a.example [at] b"), (std::vector<std::string>{"domain a.example <a.example>"}));
  EXPECT_TRUE(found("Read the note [.] and wait\n[dot] example").empty());
  EXPECT_TRUE(found(std::string(200'000, '[') + " [dot] x").empty());
  std::string many;
  for (int i = 0; i < 20'000; ++i) many += "a [.] ";
  (void)found(many);
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
  EXPECT_EQ(html_of_text("\fPage <1>\none\n\fPage 2\n\f\nend"),
            "<h2>Page &lt;1&gt;</h2>\n<pre>one\n</pre>\n<h2>Page 2</h2>\n<pre>end</pre>\n");
}

TEST(ReportText, APlaceKnowsItsPage) {
  const std::string text = "first\n\fPage 3 of 4\nbad\n\f\nafter";
  EXPECT_EQ(section_of(text, 2), "");
  EXPECT_EQ(section_of(text, text.find("bad")), "Page 3 of 4");
  EXPECT_EQ(section_of(text, text.find("after")), "");
  EXPECT_TRUE(in_section_line(text, text.find("3 of")));
  EXPECT_FALSE(in_section_line(text, text.find("bad")));
  EXPECT_FALSE(in_section_line(text, 0));
}

TEST(ReportText, PdfMailAndTextAreToldApartByTheirBytes) {
  jail::Unjailed parsers;
  const auto texts = Catalogue::embedded();
  const auto read = [&](std::string_view bytes, std::string_view file = "r", std::string_view language = "da") {
    return report_text(bytes, file, language, &parsers, &texts);
  };
  const auto pdf = read(jail::small_pdf({"evil[.]example", "", "192.0.2[.]7"}), "no.txt");
  ASSERT_TRUE(pdf) << to_string(pdf.error());
  EXPECT_EQ(pdf->text, "\fSide 1 af 3\nevil[.]example\n\n\fSide 3 af 3\n192.0.2[.]7\n");
  EXPECT_EQ(pdf->title, "");
  const auto mail = read(
      "Message-ID: <a@b>\r\nSubject: Uge 41\r\nFrom: soc@soc.example\r\nContent-Type: multipart/mixed; "
      "boundary=b\r\n\r\n--b\r\n\r\nSe filen\r\n--b\r\nContent-Type: text/csv; name=iocs.csv\r\n\r\n"
      "evil.example\r\n--b\r\nContent-Type: application/zip; name=x.zip\r\n\r\nPK\r\n--b\r\nContent-Type: "
      "message/rfc822\r\n\r\nFrom: e@evil.example\r\nSubject: Betal\r\n\r\nnu\r\n--b--\r\n");
  ASSERT_TRUE(mail) << to_string(mail.error());
  EXPECT_EQ(mail->title, "Uge 41");
  EXPECT_EQ(mail->text,
            "Subject: Uge 41\nFrom: soc@soc.example\n\nSe filen\n\n\fiocs.csv\nevil.example\n\n\fIkke læst: x.zip "
            "(application/zip, 1 kB)\n\n\fVedhæftet mail\nSubject: Betal\nFrom: e@evil.example\n\nnu\n");
  EXPECT_EQ(read("Set: evil[.]example \xE5\f2")->text, "Set: evil[.]example å\n2");
  EXPECT_EQ(read("\xEF\xBB\xBFtekst")->text, "tekst");
}

TEST(ReportText, WhatIsNotReadHasAReasonThatCanBeWorded) {
  jail::Unjailed parsers;
  const auto texts = Catalogue::embedded();
  const auto why = [&](const std::string& bytes, jail::Parsers* by) {
    const auto got = report_text(bytes, "r", "en", by, &texts);
    return got ? std::string() : got.error().where;
  };
  EXPECT_EQ(why(jail::locked_pdf(), &parsers), "report:locked");
  EXPECT_EQ(why(jail::small_pdf({""}), &parsers), "report:pictures");
  EXPECT_EQ(why("%PDF-1.7 and nothing", &parsers), "report:broken");
  EXPECT_EQ(why(jail::small_pdf(std::vector<std::string>(1001, "x")), &parsers), "report:too-large");
  EXPECT_EQ(why(std::string(kLongestReport + 1, 'a'), &parsers), "report:too-large");
  EXPECT_EQ(why("PK\x03\x04xx", &parsers), "report:kind");
  EXPECT_EQ(why("\xD0\xCF\x11\xE0xx", &parsers), "report:kind");
  EXPECT_EQ(why(std::string("a\0b", 3), &parsers), "report:kind");
  EXPECT_EQ(why(" \n ", &parsers), "report:empty");
  EXPECT_EQ(why(jail::small_pdf({"x"}), nullptr), "report:kind");
  struct Dying final : jail::Parsers {
    Result<std::string> run(jail::Task, std::string_view) override { return fail(Code::corrupt, "poison"); }
  } dying;
  EXPECT_EQ(why(jail::small_pdf({"x"}), &dying), "report:trap");
  struct Lying final : jail::Parsers {
    Result<std::string> run(jail::Task, std::string_view) override { return std::string(40, '\x01'); }
  } lying;
  EXPECT_EQ(why(jail::small_pdf({"x"}), &lying), "report:trap");
  for (const char* reason : {"locked", "pictures", "broken", "too_large", "kind", "empty", "trap"})
    for (const char* part : {"title", "advice"})
      EXPECT_TRUE(texts.has(std::string("problem.report_") + reason + "." + part)) << reason;
}

}  // namespace
}  // namespace bavn::exchange
