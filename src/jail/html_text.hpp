#pragma once
// HTML of a mail as text, and where it leads. No browser: nothing is run, loaded or believed.
// Thread rules: plain functions; time and memory grow with the length.
#include <functional>
#include <string>
#include <string_view>

namespace bavn::jail {

/// The words in their order, blocks on lines of their own; scripts, styles and comments are left out. The targets of links, forms and
/// pictures stand behind their words as <https://...>, for they are what is looked for.
std::string html_text(std::string_view html);

/// Each target of a link, form or picture that is an absolute address, in order, with its entities resolved.
void html_targets(std::string_view html, const std::function<void(std::string_view url)>& each);

}  // namespace bavn::jail
