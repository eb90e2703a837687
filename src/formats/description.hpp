#pragma once
// What a format is, as written in its format.yml (content/formats/<name>/ for JSON, src/formats/<name>/ for text readers).
// Life: values, read once at start, immutable.
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "event/fact_map.hpp"
#include "event/field.hpp"

namespace bavn::formats {

/// One way to know a record by: every key is there, and every listed value is one of those named (ASCII case ignored).
struct Recognition {
  std::vector<std::string> keys;
  std::vector<std::pair<std::string, std::vector<std::string>>> values;
};

/// One line of the log source table.
struct LogsourceEntry {
  std::vector<std::pair<std::string, std::vector<std::string>>> when;  // field -> any of; empty: always
  std::string product, service, category, ocsf;
  bool unknown = false;
  std::vector<std::pair<std::string, std::string>> aliases;  // rule field <- record field, on this route only
  std::vector<std::pair<std::string, std::string>> adds;     // rule field = constant, on this route only
};

/// An array of {name, value} objects whose values become fields <path>.<name>, and <name> itself when `short_names`.
struct PairArray {
  std::string path, name, value;
  bool short_names = false;
};

struct Description {
  std::string name, title, reader = "json", ocsf;
  int priority = 50;
  std::vector<Recognition> recognise;
  std::vector<std::string> unwrap;  // members that hold the whole record as JSON text
  std::string text;                 // member that holds a line for the text readers
  std::vector<std::string> roots;   // names below these paths are also reachable by their short name
  std::vector<std::string> time;
  std::vector<std::pair<std::string, std::vector<std::string>>> fields;  // rule field <- paths
  std::vector<PairArray> pairs;
  std::vector<std::pair<std::string, event::Role>> observables;
  std::vector<LogsourceEntry> logsource;
  event::FactMaps facts;  // what of it is a fact, for `notice`
};

/// yaml: the text of a format.yml; where: its path, for messages. Unknown keys are refused with a suggestion.
Result<Description> parse_description(std::string_view yaml, std::string_view where);

std::string_view to_string(event::Role r);

}  // namespace bavn::formats
