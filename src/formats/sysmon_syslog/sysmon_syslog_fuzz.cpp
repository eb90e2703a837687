#include "formats/text_fuzz.hpp"

namespace bavn::formats::sysmon_syslog {
std::unique_ptr<LineReader> make_reader();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto reader = bavn::formats::sysmon_syslog::make_reader();
  return bavn::formats::fuzz_lines(*reader, data, size);
}
