#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/time.hpp"

namespace bavn::event {

enum class FindingKind : std::uint8_t { sigma, correlation, indicator };

/// What leaves the matcher. Strings are owned: a finding outlives its batch.
struct Finding {
  FindingKind kind = FindingKind::sigma;
  std::string rule_id, rule_title, rule_level;                    // sigma, correlation
  std::string indicator_kind, indicator_value, indicator_source;  // indicator
  std::string action;                                             // indicator: watch, warn, hold, block
  Instant found_at{};
  Instant happened_at{};
  std::string municipality;
  std::string format;
  std::string file;
  std::uint64_t line = 0;
  std::vector<std::pair<std::string, std::string>> fields;  // the values that made it match, by rule field name
};

/// One line of JSON without line end, in the shape of `bavn scan --json`.
void append_json(std::string& out, const Finding& f);

}  // namespace bavn::event
