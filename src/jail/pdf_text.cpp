#include "jail/pdf_text.hpp"

#include <fmt/format.h>
#include <poppler-document.h>
#include <poppler-embedded-file.h>
#include <poppler-global.h>
#include <poppler-page.h>

#include <chrono>
#include <memory>
#include <vector>

#include "base/text.hpp"
#include "jail/pieces.hpp"

namespace bavn::jail {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostFiles = 100;

/// poppler's own way to UTF-8 asks iconv, and loses a text with one bad surrogate.
std::string utf8_of(const poppler::ustring& wide) {
  std::string out;
  out.reserve(wide.size() + wide.size() / 8);
  for (std::size_t i = 0; i < wide.size(); ++i) {
    std::uint32_t c = wide[i];
    if (c >= 0xD800 && c < 0xE000) {
      const std::uint32_t next = i + 1 < wide.size() ? wide[i + 1] : 0;
      if (c < 0xDC00 && next >= 0xDC00 && next < 0xE000) {
        c = 0x10000 + ((c - 0xD800) << 10U) + (next - 0xDC00);
        ++i;
      } else {
        c = 0xFFFD;
      }
    }
    append_utf8(out, c);
  }
  return out;
}

/// A text string of PDF is UTF-16 with its mark, or else bytes (32000-1, 7.9.2.2).
std::string name_of(const std::string& raw) {
  if (!raw.starts_with("\xFE\xFF")) return raw;
  poppler::ustring wide;
  for (std::size_t i = 2; i + 1 < raw.size(); i += 2)
    wide.push_back(static_cast<unsigned short>((static_cast<unsigned char>(raw[i]) << 8U) |
                                               static_cast<unsigned char>(raw[i + 1])));
  return utf8_of(wide);
}

}  // namespace

bool looks_like_pdf(std::string_view bytes) {
  return bytes.substr(0, 1024).find("%PDF-") != std::string_view::npos;
}

Result<std::string> pdf_text(std::string_view pdf, std::string_view name, std::chrono::milliseconds most) {
  poppler::set_debug_error_function([](const std::string&, void*) {}, nullptr);  // the sandbox has no stderr
  if (!looks_like_pdf(pdf)) return fail(Code::bad_input, "PDF: there is no %PDF at its beginning");
  const auto began = Clock::now();
  const std::unique_ptr<poppler::document> document(
      poppler::document::load_from_raw_data(pdf.data(), static_cast<int>(pdf.size())));
  if (!document) return fail(Code::bad_input, "PDF: broken, it cannot be opened");
  if (document->is_locked())
    return fail(Code::bad_input, "PDF: encrypted; it can only be read with its password: save it without one");
  const int pages = document->pages();
  if (pages <= 0) return fail(Code::bad_input, "PDF: broken, it has no pages");
  if (static_cast<std::uint64_t>(pages) > kMaxPages)
    return fail(Code::bad_input, fmt::format("PDF: it has {} pages; at most {} are read: split it", pages, kMaxPages));
  std::string flat;
  std::size_t some = 0;
  for (int n = 0; n < pages; ++n) {
    if (Clock::now() - began > most)
      return fail(Code::bad_input,
                  fmt::format("PDF: after {} ms only {} of its {} pages were read: split it", most.count(), n, pages));
    const std::unique_ptr<poppler::page> page(document->create_page(n));
    if (!page) continue;
    const std::string text = clean_text(utf8_of(page->text({}, poppler::page::non_raw_non_physical_layout)));
    if (trim(text).empty()) continue;
    ++some;
    put_piece(flat,
              {PieceKind::page, static_cast<std::uint64_t>(n) + 1, static_cast<std::uint64_t>(pages), name, text});
    if (flat.size() > kMaxDocumentText) return fail(Code::bad_input, "PDF: more than 4 MiB of text: split it");
  }
  if (some == 0)
    return fail(Code::bad_input,
                "PDF: no page has text, only pictures (a scan?): ask for the original, or paste its text");
  std::size_t files = 0;
  if (document->has_embedded_files())
    for (const poppler::embedded_file* file : document->embedded_files()) {
      if (file == nullptr || ++files > kMostFiles) continue;
      put_piece(flat, {PieceKind::left_out, file->size() < 0 ? 0 : static_cast<std::uint64_t>(file->size()), 0,
                       name_of(file->name()), file->mime_type()});
    }
  return flat;
}

void warm_up_pdf() {
  poppler::set_debug_error_function([](const std::string&, void*) {}, nullptr);
  // The tables that poppler reads from files live as long as a document is open: this one stays.
  static constexpr std::string_view empty =
      "%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj 2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj "
      "3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Resources<</Font<</F<</Type/Font/Subtype/Type1/BaseFont/"
      "Helvetica>>>>>>/Contents 4 0 R>>endobj 4 0 obj<</Length 29>>stream\nBT /F 9 Tf 1 1 Td (a) Tj ET \nendstream "
      "endobj trailer<</Root 1 0 R>>\n%%EOF\n";
  static const std::unique_ptr<poppler::document> kept(
      poppler::document::load_from_raw_data(empty.data(), static_cast<int>(empty.size())));
  if (!kept) return;
  if (const std::unique_ptr<poppler::page> page(kept->create_page(0)); page)
    (void)page->text({}, poppler::page::non_raw_non_physical_layout);
}

}  // namespace bavn::jail
