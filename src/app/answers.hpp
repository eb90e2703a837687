#pragma once
// What commands print of the API's answers with --json. Thread rules: plain functions.
#include <string>

#include "net/json_value.hpp"

namespace bavn::app {

/// A list as the array alone; anything else as it came.
inline std::string plain(const std::string& answer) {
  const auto document = net::JsonDocument::parse(answer);
  if (!document || !document->root().is_object() || !document->root()["items"].is_array()) return answer;
  return document->root()["items"].to_text();
}

}  // namespace bavn::app
