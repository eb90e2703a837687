#pragma once
// The words of answers about exposure. Thread rules: plain functions.
#include <string_view>

namespace bavn::warn {

/// have, have_mended, do_not_have, do_not_know
bool exposure_state(std::string_view state);

}  // namespace bavn::warn
