#pragma once
// What both ends of a block list share. Life: values. Thread rules: plain functions.
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "event/observable.hpp"

namespace bavn::warn::blocks {

/// A Message-ID, a page, an address, a file: it means one thing, and may go to all at once.
bool exact(event::Kind kind);
bool known_action(std::string_view action);  // watch, warn, hold, block

/// The one canonical form, for people's input. bad_input says what is wrong.
Result<event::Observable> observable_of(std::string_view kind, std::string_view value);
/// From a table or the wire: must be canonical already.
Result<event::Observable> canonical_observable(std::string_view kind, std::string_view value);

/// A person's name as said at the control interface: 2 to 100 characters, no control characters.
Result<std::string> person(std::string_view name);
/// 4 to 500 characters, valid UTF-8, no control characters but those become blanks.
Result<std::string> reason_of(std::string_view why);
bool same_person(std::string_view a, std::string_view b);
/// For names and texts that came over the wire: valid UTF-8, no control characters, at most `most` bytes.
std::string clean(std::string_view text, std::size_t most);

}  // namespace bavn::warn::blocks
