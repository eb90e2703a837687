#include "jail/mail_text.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/encoding.hpp"
#include "jail/html_text.hpp"
#include "jail/pieces.hpp"
#include "jail/small_pdf.hpp"

namespace bavn::jail {
namespace {

/// Pieces as lines, to be compared at a glance.
std::string told(std::string_view mail) {
  const auto flat = mail_text(mail);
  if (!flat) return "refused: " + flat.error().what;
  const auto pieces = pieces_of(*flat);
  if (!pieces) return "corrupt: " + pieces.error().what;
  std::string out;
  for (const Piece& p : *pieces) {
    constexpr std::string_view kinds[] = {"", "header", "text", "page", "left_out", "mail"};
    out += std::string(kinds[static_cast<int>(p.kind)]) + "|" + std::string(p.name) + "|" + std::to_string(p.number) +
           "|" + std::string(p.text) + "\n";
  }
  return out;
}

bool has(std::string_view text, std::string_view piece) {
  return text.find(piece) != std::string_view::npos;
}

constexpr std::string_view kHead =
    "From: =?iso-8859-1?Q?S=F8ren?= <soren@soc.example>\r\nSubject: =?utf-8?B?UmFwcG9ydCDDpg==?= "
    "=?utf-8?Q?_41?=\r\nDate: Mon, 12 Oct 2026 10:00:00 +0200\r\nMIME-Version: 1.0\r\n";

}  // namespace

TEST(MailText, HeadersAndWordsAreDecoded) {
  const auto text =
      told(std::string(kHead) +
           "Content-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
           "Bl=E5b=E6r: hxxps://evil[.]exa=\r\nmple/x\r\n");
  EXPECT_TRUE(has(text, "header|Subject|0|Rapport æ 41\n")) << text;
  EXPECT_TRUE(has(text, "header|From|0|Søren <soren@soc.example>\n")) << text;
  EXPECT_TRUE(has(text, "text||0|Blåbær: hxxps://evil[.]example/x")) << text;
}

TEST(MailText, CharsetsThatMailIsWrittenInAreReadAndOthersAreNoTrouble) {
  const auto of = [](std::string_view charset, std::string_view bytes) {
    return told(std::string(kHead) + "Content-Type: text/plain; charset=" + std::string(charset) + "\r\n\r\n" +
                std::string(bytes));
  };
  EXPECT_TRUE(has(of("windows-1252", "\x80 \xE5"), "€ å"));
  EXPECT_TRUE(has(of("koi8-r", "\xF0\xD2\xC9"), "При"));
  EXPECT_TRUE(has(of("iso-8859-15", "\xA4"), "€"));
  EXPECT_TRUE(has(of("iso-2022-jp", "\x1B$B$3\x1B(B ok"), "こ ok")) << of("iso-2022-jp", "\x1B$B$3\x1B(B ok");
  EXPECT_TRUE(has(of("utf-8", "\xC3\xA5 and \xE5"), "å and å"));
  EXPECT_TRUE(has(of("x-nobody-knows", "evil.example \xE5"), "evil.example å"));
  EXPECT_TRUE(has(of("gb2312", "\xB0"), "�")) << "half a character";
}

TEST(MailText, PlainTextIsPreferredAndWhereTheHtmlLeadsIsKept) {
  const auto text = told(
      std::string(kHead) +
      "Content-Type: multipart/alternative; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
      "Sign in at https://good.example/a today\r\n--b\r\nContent-Type: text/html\r\n\r\n"
      "<p>Sign in <a href=\"https://good.example/a\">here</a> or <a href='https://evil.example/b?x=1&amp;y=2'>there</a>"
      "<form action=//evil.example/post><style>.a{}</style>\r\n--b--\r\n");
  EXPECT_TRUE(has(text, "Sign in at https://good.example/a today")) << text;
  EXPECT_TRUE(has(text, "<https://evil.example/b?x=1&y=2>\n<https://evil.example/post>")) << text;
  EXPECT_FALSE(has(text, "there")) << text;
  EXPECT_FALSE(has(text, "<https://good.example/a>")) << "it stands in the words: " << text;
}

TEST(MailText, WhatIsAttachedIsReadOrNamed) {
  const std::string pdf = small_pdf({"first", "see evil[.]example"});
  const auto text = told(
      std::string(kHead) +
      "Content-Type: multipart/mixed; boundary=\"b\"\r\n\r\n--b\r\n\r\nSee the files.\r\n--b\r\nContent-Type: "
      "application/pdf\r\n"
      "Content-Disposition: attachment; filename*=utf-8''r%C3%A6v.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
      to_base64(pdf) +
      "\r\n--b\r\nContent-Type: application/octet-stream; "
      "name=iocs.csv\r\n\r\nevil.example,domain\r\n--b\r\nContent-Type: "
      "application/zip; name=\"=?utf-8?Q?pr=C3=B8ve.zip?=\"\r\nContent-Transfer-Encoding: "
      "base64\r\n\r\nUEsDBAAAAAA=\r\n--b\r\n"
      "Content-Type: application/pdf; name=locked.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
      to_base64(locked_pdf()) + "\r\n--b--\r\n");
  EXPECT_TRUE(has(text, "text||0|See the files.")) << text;
  EXPECT_TRUE(has(text, "page|ræv.pdf|2|see evil[.]example")) << text;
  EXPECT_TRUE(has(text, "text|iocs.csv|0|evil.example,domain")) << text;
  EXPECT_TRUE(has(text, "left_out|prøve.zip|8|application/zip")) << text;
  EXPECT_TRUE(has(text, "left_out|locked.pdf|")) << text;
  EXPECT_TRUE(has(text, "password")) << text;
}

TEST(MailText, AMailInTheMailIsReadToo) {
  const auto text =
      told(std::string(kHead) +
           "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: message/rfc822\r\n\r\n"
           "From: boss@evil.example\r\nReply-To: other@evil.example\r\nSubject: =?iso-8859-1?Q?Betal_n=E5?=\r\n\r\n"
           "Pay hxxp://pay.evil[.]example\r\n--b--\r\n");
  EXPECT_TRUE(has(
      text,
      "mail||0|\nheader|Subject|0|Betal nå\nheader|From|0|boss@evil.example\nheader|Reply-To|0|other@evil.example\n"))
      << text;
  EXPECT_TRUE(has(text, "Pay hxxp://pay.evil[.]example")) << text;
}

TEST(MailText, BeyondALimitTheWholeMailIsRefused) {
  std::string deep = std::string(kHead);
  for (int i = 0; i < 60; ++i)
    deep +=
        "Content-Type: multipart/mixed; boundary=b" + std::to_string(i) + "\r\n\r\n--b" + std::to_string(i) + "\r\n";
  EXPECT_TRUE(has(told(deep + "\r\nx"), "30 levels")) << told(deep + "\r\nx");
  std::string nested;
  for (int i = 0; i < 60; ++i) nested += "Subject: x\r\nContent-Type: message/rfc822\r\n\r\n";
  EXPECT_TRUE(has(told(nested + "Subject: y\r\n\r\nx"), "30 levels")) << told(nested);
  std::string wide = std::string(kHead) + "Content-Type: multipart/mixed; boundary=b\r\n\r\n";
  for (int i = 0; i < 1100; ++i) wide += "--b\r\n\r\nx\r\n";
  EXPECT_TRUE(has(told(wide), "1,000 parts"));
  EXPECT_TRUE(has(told(std::string(kHead) + "\r\n" + std::string(5U << 20U, 'x')), "4 MiB"));
  EXPECT_TRUE(has(told("just words\r\n"), "refused"));
  EXPECT_TRUE(has(told("\r\n\r\n"), "refused"));
}

TEST(MailText, KnowsAMailFromATextThatBeginsLikeOne) {
  EXPECT_TRUE(looks_like_mail(std::string(kHead) + "\r\nx"));
  EXPECT_TRUE(looks_like_mail("Received: from a\r\n\tby b\r\nMessage-ID: <a@b>\r\n\r\nx"));
  EXPECT_FALSE(looks_like_mail("Subject: report\nDate: today\n\nSeen: evil.example"));
  EXPECT_FALSE(looks_like_mail("Seen: hxxps://evil[.]example\n"));
  EXPECT_FALSE(looks_like_mail(""));
  EXPECT_FALSE(looks_like_mail("From here on it is text"));
}

TEST(HtmlText, IsItsWordsInLinesAndWhereItLeads) {
  EXPECT_EQ(
      html_text(
          "<html><head><title>T</title><style>a{b:c}</style></head><body><p>One&nbsp;two<br>three</p><script>x('</p>')"
          "</script><div>r&oslash;d &#230; &#x20AC; &unknown; a&amp;b</div></body>"),
      "T\n\nOne\xC2\xA0two\nthree\n\nrød æ € &unknown; a&b\n");
  EXPECT_EQ(html_text("<a href='https://evil.example/x'>https://evil.example/x</a>"), "https://evil.example/x");
  EXPECT_EQ(html_text("<A HREF=https://evil.example/x>bank.example</A> x"), "bank.example <https://evil.example/x> x");
  EXPECT_EQ(html_text("a<b and c>d"), "ad") << "that is a tag to every browser";
  EXPECT_EQ(html_text("1 < 2 &lt;b&gt;<!-- <a href='https://x.example'> -->"), "1 < 2 <b>");
  EXPECT_EQ(html_text("<a href=\"javascript:x\">y</a><img src='cid:1'>"), "y");
  EXPECT_EQ(html_text("<a href=\"ht\ntps://evil.\texample/\">y</a>"), "y <https://evil.example/>");
  EXPECT_EQ(html_text("<table><tr><td>a</td><td>b</td></tr></table>"), "a b\n\n");
}

TEST(HtmlText, NastyOnesTakeNoLongerThanTheirLength) {
  const auto began = std::chrono::steady_clock::now();
  for (const char* piece : {"<", "<a", "<a ", "<a href=", "<a href=\"", "<!--", "<script>", "</script", "&", "&#",
                            "<p>", "<a href='x'>", "<a =\"> <a ='> ", "<style></", "<b x='"}) {
    std::string text;
    while (text.size() < 1'000'000) text += piece;
    (void)html_text(text);
  }
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  EXPECT_LT(took, 60) << "fifteen texts of a megabyte";
  std::printf("15 nasty texts of 1 MB: %.2f s\n", took);
}

TEST(MailText, TheHostileMailsOfTheCorpusAreReadOrRefused) {
  const char* corpora = std::getenv("BAVN_CORPORA");
  if (corpora == nullptr) GTEST_SKIP() << "BAVN_CORPORA is not set";
  std::size_t read = 0, refused = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(std::filesystem::path(corpora) / "mail")) {
    if (!entry.is_regular_file() || entry.file_size() > (8U << 20U)) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    const auto flat = mail_text(bytes);
    ++(flat ? read : refused);
    if (flat) {
      EXPECT_TRUE(pieces_of(*flat)) << entry.path();
    }
  }
  std::printf("corpus: %zu read, %zu refused\n", read, refused);
  EXPECT_GT(read, 300U);
}

}  // namespace bavn::jail
