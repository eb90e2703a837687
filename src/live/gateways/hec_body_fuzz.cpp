// Any bytes as events and as raw lines of the collector: no crash, and what is taken is as many lines as events, each without line ends.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "live/gateways/hec_body.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::live;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  HecMeta some;
  some.host = "\"h\"";
  for (const HecMeta& meta : {HecMeta{}, some}) {
    for (const auto& lines : {read_hec_events(bytes, meta), read_hec_raw(bytes, meta)}) {
      if (!lines) continue;
      if (static_cast<std::uint64_t>(std::count(lines->lines.begin(), lines->lines.end(), '\n')) != lines->events)
        std::abort();
    }
  }
  return 0;
}
