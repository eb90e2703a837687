#pragma once
// What must hold before toml++ 3.3 may read a text: outside of quotes and comments only ASCII (its tables of letters reach what it calls
// unreachable for some others; found by a fuzzer). Names in our files are ASCII anyway.
#include <string_view>

#include "base/result.hpp"

namespace bavn {

/// bad_input with file and line.
Result<void> plain_outside_quotes(std::string_view toml, std::string_view file);

}  // namespace bavn
