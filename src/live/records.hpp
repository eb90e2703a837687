#pragma once
// From an alert's example back to the raw record: by its place, or, when the cold pass has moved it, by source, time and hash.
#include <string>

#include "alerts/reader.hpp"
#include "history/history.hpp"

namespace bavn::live {

/// The record's line. not_found: it was erased, or is older than what is kept. The scope must read events and hunt.
Result<std::string> open_record(const history::History& history, const event::Scope& scope, const alerts::Alert& alert,
                                const alerts::Example& example);

}  // namespace bavn::live
