#pragma once
// What all sources of a node share of its memory and handles. Of one source: sources_file.hpp.
#include <span>

#include "base/settings.hpp"
#include "input/sources_file.hpp"

namespace bavn::input {

std::span<const Setting> settings();

struct Limits {
  std::size_t in_flight = 4U << 20U;    // bytes of one source of files that the sink has not answered yet
  std::size_t open_files = 128;         // of one source
  std::chrono::days forget{14};         // cursors of files that are gone
  std::size_t syslog_hold = 8U << 20U;  // bytes of one listener that wait for the sink

  static Limits from(const Settings& settings);
  /// One of many nodes on a machine.
  static Limits guest();
  void apply(SourcesFile& file) const;
};

}  // namespace bavn::input
