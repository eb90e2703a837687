#pragma once
// What the parts of the site share. Not for other modules.
#include <string_view>

namespace bavn::show::web {

/// A header between handler and door; it never leaves.
constexpr std::string_view kShownOnce = "X-Bavn-Shown-Once";

}  // namespace bavn::show::web
