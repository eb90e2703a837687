#pragma once
// What we know as a file for a partner. Each language adds its own: views["stix"] = {...}. Thread rules: plain functions; immutable tables.
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "exchange/peers/library.hpp"

namespace bavn::exchange {

struct ExportAsk {
  event::Tlp ceiling = event::Tlp::clear;  // of the file: nothing narrower is in it
  std::string of{};                        // the CERT's name
  Instant now{};
};
struct ExportView {
  std::string content_type{}, extension{};
  std::function<Result<std::string>(std::span<const Known>, const ExportAsk&)> write{};
  bool of_indicators = true;  // false: it is of something else, and is given none
};
using ExportViews = std::map<std::string, ExportView, std::less<>>;
constexpr std::size_t kMostExported = 200'000;  // indicators of one file: they are in memory

/// A header and lines that our own reader takes back as they were.
ExportView csv_view();

}  // namespace bavn::exchange
