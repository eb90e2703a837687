#pragma once
// For tests and the fuzzer: reads each list the way its reader would, by its own rules, and says what is wrong. Written apart from the
// exports: it knows what a line may look like and nothing of how it was made.
#include <string>
#include <string_view>

#include "warn/exports/export.hpp"

namespace bavn::warn::exports {

/// Empty: every line is what the format says, and names nothing that `list` does not hold.
std::string check_lines(std::string_view file, std::string_view body, const List& list);

}  // namespace bavn::warn::exports
