#pragma once
// Windows events as XML (Event Viewer, wevtutil, Get-WinEvent, WEC) -> NDJSON in the shape of evtx_dump:
// {"Event":{"#attributes":{..},"System":{"Provider":{"#attributes":{"Name":..}},"EventID":1,..},"EventData":{"Image":..}}}
// Whole numbers below System become JSON numbers, everything in EventData stays text; <Data> without Name becomes
// "Data":{"#text":[..]}.
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn::jail {

/// in: one event, many in a row, or many in <Events>; UTF-8, or UTF-16 with its mark. Document types and entities of their own
/// are refused. A piece that cannot be read becomes a line {"#refused":{"offset":N,"reason":".."}} in its place (offset: bytes
/// of the text as UTF-8) and reading goes on at the next <Event; after 100 of them it ends.
/// Errors: bad_input when there is no event and nothing refused. Limits of an event: depth 32, 20,000 elements and attributes,
/// 4 MiB of text.
Result<std::string> xml_events(std::string_view xml);

}  // namespace bavn::jail
