#pragma once
// What the parts of the site share. Not for other modules.
#include <string_view>

namespace bavn::show::web {

/// A header between handler and door; it never leaves.
constexpr std::string_view kShownOnce = "X-Bavn-Shown-Once";

/// Everything of ours comes from our own origin: no inline script or style, nothing framed, no plugin. The one policy of trusted types is the
/// one Svelte makes for its own templates.
constexpr std::string_view kPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types svelte-trusted-html";

}  // namespace bavn::show::web
