#pragma once
// Bodies of Splunk's HTTP event collector as lines. An event that is an object becomes that object, with what was said about it as its last
// member "splunk"; one that is text stands in _raw beside time, host, source, sourcetype, index and fields, as Splunk itself exports it.
// A body is taken whole or not at all. Thread rules: values.
#include <cstdint>
#include <expected>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace bavn::live {

/// JSON values as they stand in the request (a text with its quotes); empty: not given.
struct HecMeta {
  std::string time, host, source, sourcetype, index, fields;
};

struct HecFault {
  int code = 6;
  std::int64_t event = -1;  // its number in the body, from 0
};

struct HecLines {
  std::string lines;  // each with its line end
  std::uint64_t events = 0;
};

struct HecLimits {
  std::size_t meta_bytes = 64U << 10U;  // of one event, but for the event itself
  std::size_t bytes = 48U << 20U;       // of all lines: what the query says is repeated in each
};

/// Events one after the other, with or without spaces or line ends between them. otherwise: from the query, where an event does not say.
std::expected<HecLines, HecFault> read_hec_events(std::string_view body, const HecMeta& otherwise,
                                                  const HecLimits& limits = {});
/// Lines of a raw body. Without metadata they stay as they are.
std::expected<HecLines, HecFault> read_hec_raw(std::string_view body, const HecMeta& meta,
                                               const HecLimits& limits = {});

}  // namespace bavn::live
