#include "exchange/bulletins/report.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"
#include "jail/mail_text.hpp"
#include "jail/pdf_text.hpp"
#include "jail/pieces.hpp"

namespace bavn::exchange {

namespace {

std::unexpected<Error> refused(std::string_view reason, std::string what) {
  return fail(Code::bad_input, std::move(what), fmt::format("report:{}", reason));
}

/// What the jail said, as a reason that a page can word.
std::unexpected<Error> refused_by(const Error& error) {
  if (error.code == Code::unavailable) return std::unexpected(error);
  if (error.code == Code::corrupt)
    return refused("trap",
                   fmt::format("reading it was stopped ({}); if it is trusted, its text can be pasted", error.what));
  const auto says = [&](std::string_view words) { return error.what.find(words) != std::string::npos; };
  return refused(says(jail::kSaysLocked)     ? "locked"
                 : says(jail::kSaysPictures) ? "pictures"
                 : says(jail::kSaysSplit)    ? "too-large"
                                             : "broken",
                 error.what);
}

/// Only what no text begins with; a kind that is told apart gets a word of advice.
std::string_view foreign(std::string_view bytes) {
  if (bytes.starts_with("\xD0\xCF\x11\xE0"))
    return "an Outlook message (.msg) or an old Office file; save it as .eml, PDF or text";
  if (bytes.starts_with("PK\x03\x04")) return "an archive or an Office file; unpack it, or save it as PDF or text";
  if (bytes.substr(0, 8192).find('\0') != std::string_view::npos) return "no text; save it as PDF or text";
  return {};
}

std::string told(const std::vector<jail::Piece>& pieces, Language language, const Catalogue& texts,
                 std::string& title) {
  std::string out;
  bool in_file = false, in_headers = false;
  const auto section = [&](std::string_view label) {
    while (out.ends_with('\n')) out.pop_back();
    out += fmt::format("{}\f{}\n", out.empty() ? "" : "\n\n", label);
  };
  for (const jail::Piece& p : pieces) {
    if (p.kind != jail::PieceKind::header && in_headers) {
      out += '\n';
      in_headers = false;
    }
    switch (p.kind) {
      case jail::PieceKind::header:
        if (title.empty() && p.name == "Subject") title = p.text;
        out += fmt::format("{}: {}\n", p.name, p.text);
        in_headers = true;
        break;
      case jail::PieceKind::text:
        if (!p.name.empty()) section(p.name);
        else if (in_file) section({});
        in_file = !p.name.empty();
        out += p.text;
        if (!out.ends_with('\n')) out += '\n';
        break;
      case jail::PieceKind::page: {
        const std::string n = std::to_string(p.number), of = std::to_string(p.of);
        section(p.name.empty() ? texts.say(language, "bulletin.page", {{"n", n}, {"of", of}})
                               : texts.say(language, "bulletin.page_in", {{"file", p.name}, {"n", n}, {"of", of}}));
        in_file = !p.name.empty();
        out += p.text;
        if (!out.ends_with('\n')) out += '\n';
        break;
      }
      case jail::PieceKind::left_out:
        section(texts.say(language, "bulletin.left_out",
                          {{"file", p.name.empty() ? p.text : p.name},
                           {"why", p.text},
                           {"size", std::to_string((p.number + 1023) / 1024)}}));
        in_file = true;
        break;
      case jail::PieceKind::mail:
        section(p.name.empty() ? texts.say(language, "bulletin.mail_in")
                               : texts.say(language, "bulletin.mail_named", {{"file", p.name}}));
        in_file = false;
        break;
    }
  }
  while (out.ends_with("\n\n")) out.pop_back();
  return out;
}

}  // namespace

Result<ReportText> report_text(std::string_view bytes, std::string_view file, std::string_view language,
                               jail::Parsers* parsers, const Catalogue* texts) {
  if (bytes.size() > kLargestReport) return refused("too-large", "a report has at most 32 MB");
  const bool pdf = jail::looks_like_pdf(bytes);
  const bool mail = !pdf && (jail::looks_like_mail(bytes) || to_lower(file).ends_with(".eml"));
  ReportText out;
  if (pdf || mail) {
    if (parsers == nullptr || texts == nullptr)
      return refused("kind", "PDF and mail are not read here: save it as text, or copy its text");
    const auto flat = parsers->run(pdf ? jail::Task::pdf_text : jail::Task::mail_text, bytes);
    if (!flat) return refused_by(flat.error());
    const auto pieces = jail::pieces_of(*flat);
    if (!pieces) return refused_by(pieces.error());
    out.text = told(*pieces, language_of(language).value_or(Language::en), *texts, out.title);
  } else {
    if (const auto what = foreign(bytes); !what.empty()) return refused("kind", fmt::format("this is {}", what));
    if (bytes.starts_with("\xef\xbb\xbf")) bytes.remove_prefix(3);
    if (bytes.find('\0') != std::string_view::npos) return refused("kind", "this is no text; save it as PDF or text");
    out.text = is_valid_utf8(bytes) ? std::string(bytes) : repair_utf8(bytes);
    std::ranges::replace(out.text, '\f', '\n');
  }
  if (out.text.size() > kLongestReport)
    return refused("too-large", fmt::format("its text has {} bytes; at most {} are taken: split it", out.text.size(),
                                            kLongestReport));
  if (trim(out.text).empty()) return refused("empty", "there is no text in it");
  return out;
}

std::string_view section_of(std::string_view text, std::size_t at) {
  const auto mark = text.substr(0, std::min(at, text.size())).rfind('\f');
  if (mark == std::string_view::npos) return {};
  const std::string_view rest = text.substr(mark + 1);
  return rest.substr(0, rest.find('\n'));
}

bool in_section_line(std::string_view text, std::size_t at) {
  const std::string_view before = text.substr(0, std::min(at, text.size()));
  const auto mark = before.rfind('\f');
  return mark != std::string_view::npos && before.find('\n', mark) == std::string_view::npos;
}

}  // namespace bavn::exchange
