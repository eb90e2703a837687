#pragma once
// What became of one list of indicators, as JSON: the same in `scan`, `hunt` and `indicators check`.
#include <string>

#include "base/json_writer.hpp"
#include "match/indicators/load.hpp"

namespace bavn::app {

/// One object: path, format, counts, and why things were refused, skipped or noted.
void append_json(JsonWriter& w, const std::string& path, const match::indicators::LoadReport& r);

}  // namespace bavn::app
