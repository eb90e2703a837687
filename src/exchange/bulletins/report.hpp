#pragma once
// A supplier's report as a file becomes the text of a bulletin: plain text as it is, PDF and mail by way of the jail. Where a page, an attached
// file or a mail in the mail begins, a line begins with a form feed and says so; that is how a place in the text knows its section.
// Thread rules: plain functions; report_text waits for the jail.
#include <cstddef>
#include <string>
#include <string_view>

#include "base/catalogue.hpp"
#include "base/result.hpp"
#include "jail/task.hpp"

namespace bavn::exchange {

constexpr std::size_t kLargestReport = 32U << 20U;  // bytes of the file: a PDF with pictures
constexpr std::size_t kLongestReport = 500'000;     // bytes of its text

struct ReportText {
  std::string title{}, text{};  // title: a mail's subject, else empty
};

/// file: its name, which decides nothing but whether a text ending in .eml is a mail. parsers, texts: null: only plain text is read.
/// Errors: bad_input with `where` "report:REASON": kind, locked, pictures, broken, trap, too-large, empty. unavailable: no worker.
Result<ReportText> report_text(std::string_view bytes, std::string_view file, std::string_view language,
                               jail::Parsers* parsers, const Catalogue* texts);

/// What stands in the line of the section around a place: "Page 3 of 12"; empty before the first.
std::string_view section_of(std::string_view text, std::size_t at);
/// Whether the place is in such a line, whose words are ours and not the report's.
bool in_section_line(std::string_view text, std::size_t at);

}  // namespace bavn::exchange
