#pragma once
// Markdown as HTML for pages and feeds: CommonMark with tables and strikethrough (cmark-gfm). Nothing of the text can run or load: raw HTML
// is shown as text, pictures are their words, links go to https and mailto only, and never to what the text warns of.
// Thread rules: plain functions.
#include <functional>
#include <string>
#include <string_view>

namespace bavn::exchange {

/// no_link: addresses that must not be clickable; may be empty.
std::string html_of_markdown(std::string_view markdown, const std::function<bool(std::string_view url)>& no_link);
/// Plain text as it is, in lines. A line that begins with a form feed is a heading (report.hpp).
std::string html_of_text(std::string_view text);

}  // namespace bavn::exchange
