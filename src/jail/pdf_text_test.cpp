#include "jail/pdf_text.hpp"

#include <gtest/gtest.h>

#include "jail/pieces.hpp"
#include "jail/small_pdf.hpp"

namespace bavn::jail {
namespace {

std::string trouble(const std::string& pdf) {
  const auto flat = pdf_text(pdf);
  return flat ? "" : flat.error().what;
}

}  // namespace

TEST(PdfText, PagesAreReadInTheirOrderWithTheirNumbers) {
  const auto flat = pdf_text(small_pdf(
      {"Report of week 41", "", "hxxps://evil[.]example/orbes\n192.0.2[.]7 and (more)", "Bl\345b\346rgr\370d \200"}));
  ASSERT_TRUE(flat) << flat.error().what;
  const auto pieces = pieces_of(*flat).value();
  ASSERT_EQ(pieces.size(), 3U) << "a page without text is none";
  EXPECT_EQ(pieces[0].number, 1U);
  EXPECT_EQ(pieces[0].of, 4U);
  EXPECT_EQ(pieces[1].number, 3U);
  EXPECT_NE(pieces[0].text.find("Report of week 41"), std::string_view::npos) << pieces[0].text;
  EXPECT_NE(pieces[1].text.find("hxxps://evil[.]example/orbes\n192.0.2[.]7 and (more)"), std::string_view::npos)
      << pieces[1].text;
  EXPECT_NE(pieces[2].text.find("Blåbærgrød €"), std::string_view::npos) << pieces[2].text;
}

TEST(PdfText, WhatCannotBeReadSaysWhy) {
  EXPECT_NE(trouble("plain text").find("no %PDF"), std::string::npos);
  EXPECT_NE(trouble("").find("no %PDF"), std::string::npos);
  EXPECT_NE(trouble("%PDF-1.7 and then nothing").find("broken"), std::string::npos);
  EXPECT_NE(trouble(locked_pdf()).find("password"), std::string::npos) << trouble(locked_pdf());
  EXPECT_NE(trouble(small_pdf({"%only a picture\n0 0 m 9 9 l S", ""})).find("only pictures"), std::string::npos);
  EXPECT_NE(trouble(small_pdf(std::vector<std::string>(1001, "x"))).find("1001 pages"), std::string::npos);
  std::string full;
  for (int line = 0; line < 58; ++line) full += std::string(90, 'x') + "\n";
  const std::string long_one = small_pdf(std::vector<std::string>(900, full));
  const auto too_much = pdf_text(long_one, {}, std::chrono::hours(1));
  ASSERT_FALSE(too_much);
  EXPECT_NE(too_much.error().what.find("4 MiB"), std::string::npos) << too_much.error().what;
  const auto too_slow = pdf_text(long_one, {}, std::chrono::milliseconds(-1));
  ASSERT_FALSE(too_slow);
  EXPECT_NE(too_slow.error().what.find("0 of its 900 pages"), std::string::npos) << too_slow.error().what;
}

TEST(PdfText, ACutOrSpoiledOneNeverCrashes) {
  const std::string pdf = small_pdf({"one evil[.]example", "two"});
  for (std::size_t n = 0; n < pdf.size(); n += 7)
    if (const auto flat = pdf_text(pdf.substr(0, n))) {
      EXPECT_TRUE(pieces_of(*flat)) << n;
    }
  for (std::size_t n = 0; n < pdf.size(); n += 5) {
    std::string spoiled = pdf;
    spoiled[n] = static_cast<char>(spoiled[n] ^ 0x15);
    if (const auto flat = pdf_text(spoiled)) {
      EXPECT_TRUE(pieces_of(*flat)) << n;
    }
  }
}

TEST(Pieces, TheFlatFormChecksItsLengthsAndItsTexts) {
  std::string flat;
  put_piece(flat, {PieceKind::header, 0, 0, "Subject",
                   "a\x01\xC2\xAD"
                   "b\r\nc\xE2\x80\x8B.example"});
  put_piece(flat, {PieceKind::left_out, 77, 0, "x\ny.zip", "application/zip"});
  const auto pieces = pieces_of(flat).value();
  ASSERT_EQ(pieces.size(), 2U);
  EXPECT_EQ(pieces[0].text, "ab\nc.example");
  EXPECT_EQ(pieces[1].name, "x y.zip");
  EXPECT_EQ(pieces[1].number, 77U);
  for (std::size_t n = 1; n < flat.size(); ++n) (void)pieces_of(std::string_view(flat).substr(0, n));
  EXPECT_EQ(pieces_of(flat.substr(0, flat.size() - 1)).error().code, Code::corrupt);
  EXPECT_EQ(pieces_of(std::string(40, '\xFF')).error().code, Code::corrupt);
  std::string lies = flat;
  lies[lies.size() - 3] = '\x01';
  EXPECT_EQ(pieces_of(lies).error().code, Code::corrupt) << "a worker that does not clean is not believed";
}

}  // namespace bavn::jail
