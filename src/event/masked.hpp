#pragma once
// What of a URL or a file's name may leave a municipality when a digest is revealed, as functions that the node masks with and the hub
// checks with: a node that breaks the rules cannot make the hub keep or show a query, a token, a person or hostile text.
// A masked path is "/" or "/segment/segment": each segment "*" or at most 20 characters of letters (ASCII, Latin as UTF-8 percent-encoded),
// digits in runs of at most four, "#" where digits were, and . _ ~ + - : , and blanks (%20). A name is the same without "/".
// Thread rules: plain functions.
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn::event {

constexpr std::size_t kShownSegment = 20;  // characters of a segment that are shown; longer ones are "*"
constexpr std::size_t kShownSegments = 16;
constexpr std::size_t kTokenGroup = 4;  // words up to this long may be groups of one token: 3f-9c-a1-7b

/// A word (letters and digits) that no person chose: a token, an identifier, a hash.
bool looks_random(std::string_view word);
/// May this (decoded, UTF-8) segment be shown as it is?
bool may_be_shown(std::string_view segment);
/// The segment as it is shown: percent-encoded, or "*".
std::string shown_segment(std::string_view segment);

// The hub's checks: bad_input with the reason, which never repeats the value.
Result<void> check_shown_path(std::string_view path);
Result<void> check_shown_file_name(std::string_view name);
/// A public host, canonical, with port or without; labels on its left may be "*" down to the registrable domain. No private addresses.
Result<void> check_shown_host(std::string_view host);
/// Neither a private or local address nor a name that only an inside knows.
bool public_host(std::string_view host);

}  // namespace bavn::event
