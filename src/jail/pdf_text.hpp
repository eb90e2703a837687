#pragma once
// The text of a PDF, page by page, in reading order (poppler). What a page only shows as a picture is not read.
// Thread rules: plain functions.
#include <chrono>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn::jail {

/// Pieces (pieces.hpp): a `page` for each that has text, a `left_out` for each file that is embedded. name: of the attachment that it is.
/// Errors: bad_input: no PDF, broken, encrypted, without any text, or beyond a limit: 1,000 pages, 4 MiB of text, `most`
/// (a page cannot be stopped half-way; the deadline of the worker stands behind it).
Result<std::string> pdf_text(std::string_view pdf, std::string_view name = {},
                             std::chrono::milliseconds most = std::chrono::seconds(5));

/// "%PDF-" among the first 1,024 bytes, where readers look for it.
bool looks_like_pdf(std::string_view bytes);

/// Makes poppler load what it loads late, and keeps it, before the sandbox closes.
void warm_up_pdf();

}  // namespace bavn::jail
