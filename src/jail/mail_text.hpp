#pragma once
// A mail (RFC 5322, MIME) as text: its headers decoded, its words, what is attached (GMime). Thread rules: plain functions.
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn::jail {

/// Pieces (pieces.hpp): Subject, From and Date as `header`, words as `text` (plain text rather than HTML; the links of HTML all the same),
/// attached text as `text` with its name, pages of an attached PDF as `page`, mails in the mail after a `mail`, everything else as `left_out`.
/// A charset that is not known is read as UTF-8 or else Windows-1252.
/// Errors: bad_input: no mail, or beyond a limit: 30 levels, 1,000 parts, 4 MiB of text.
Result<std::string> mail_text(std::string_view mail);

/// Begins as mails do: header lines, and among them at least two that only mails have.
bool looks_like_mail(std::string_view bytes);

/// Makes GMime, GLib and iconv load what they load late, before the sandbox closes.
void warm_up_mail();

}  // namespace bavn::jail
