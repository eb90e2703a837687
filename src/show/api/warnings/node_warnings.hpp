#pragma once
// A warning as it came to this node, as JSON: its page and the first screen show the same. Plain functions; any thread.
#include "base/catalogue.hpp"
#include "base/json_writer.hpp"
#include "warn/node_desk.hpp"

namespace bavn::show::api {

/// The text in that language, or in English, or the first there is; null when there is none.
const event::WarningText* warning_text(const event::WarningEntry& entry, Language language);
void write_warning(JsonWriter& w, const warn::WarningHere& v, Language language);

}  // namespace bavn::show::api
