#pragma once
// Lists of indicators from files, told apart by content: CSV, plain text, MISP events and feed folders, STIX 2.1 bundles, our own
// binary base. What is not taken is counted with reason, first place and first value; nothing is dropped silently.
// Thread rules: none shared; plain functions.
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "match/indicators/base.hpp"
#include "match/indicators/indicator.hpp"

namespace bavn::match::indicators {

/// What holds where the list itself says nothing.
struct LoadOptions {
  std::string source;  // empty: the list's own name for its author, else the file's name
  std::uint8_t confidence = 50;
  event::Tlp tlp = event::Tlp::amber;
  Action action = Action::watch;
  bool only_to_ids = true;  // MISP: attributes marked as not for detection are skipped
  /// Hears of each entry that is skipped or refused; the report has only the first of each reason.
  std::function<void(std::string_view reason, std::string_view where, std::string_view value)> dropped{};
};

struct LoadReport {
  struct Reason {
    std::uint64_t count = 0;
    std::string first_where;  // "line 7", "/Event/Attribute/3"
    std::string first_value;  // at most 120 bytes
  };
  std::string format;                     // "csv", "text", "misp", "misp_feed", "stix", "base", "json", "folder"
  std::uint64_t loaded = 0;               // indicators
  std::uint64_t not_evaluated = 0;        // of these: STIX patterns that are stored but not matched
  std::map<std::string, Reason> skipped;  // right, but not meant for detection or not for us
  std::map<std::string, Reason> refused;  // wrong or unreadable
  std::map<std::string, Reason> notes;    // why patterns are not evaluated
  std::uint64_t skipped_count() const;
  std::uint64_t refused_count() const;
  void merge(const LoadReport& o, const std::string& from);
};

using IndicatorSink = std::function<Result<void>(const Indicator&)>;

constexpr std::uint64_t kLargestList = std::uint64_t{1} << 30;        // bytes; text and CSV
constexpr std::uint64_t kLargestJsonList = std::uint64_t{512} << 20;  // bytes; memory is about twice that

/// A file or a folder. Error: it cannot be read or has no known shape (the message says what was expected); bad lines are no error.
Result<LoadReport> load_file(const std::string& path, const IndicatorSink& sink, LoadOptions options = {});
Result<LoadReport> load_file(const std::string& path, IndicatorBuilder& builder, LoadOptions options = {});
/// The same for bytes that are already here. name: for messages and as the source of last resort.
Result<LoadReport> load_bytes(std::string_view bytes, std::string_view name, const IndicatorSink& sink,
                              LoadOptions options = {});

/// n indicators that match nothing real (.invalid names, addresses of 240.0.0.0/4, random hashes): 40 % domains, 20 % URLs, 15 % IPv4,
/// 20 % SHA-256, 5 % mail addresses, of five sources. The same seed gives the same ones.
void add_random(IndicatorBuilder& builder, std::size_t n, std::uint64_t seed);

}  // namespace bavn::match::indicators
