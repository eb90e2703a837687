#pragma once
// How commands print what the API answered. Thread rules: plain functions.
#include <cstdint>
#include <functional>
#include <string>

#include "base/result.hpp"
#include "net/json_value.hpp"

namespace bavn::app {

/// A list as the array alone; anything else as it came.
std::string plain(const std::string& answer);
/// The answer itself for --json, or what people see of it; returns the exit code.
int said(const Result<std::string>& answer, bool json, const std::function<void(net::JsonValue)>& tell);
/// To the second; a hub says times as text, a node in microseconds; "-" is never.
std::string when(net::JsonValue v);
/// A count; 0 when it is not there.
std::int64_t n(net::JsonValue v);

}  // namespace bavn::app
