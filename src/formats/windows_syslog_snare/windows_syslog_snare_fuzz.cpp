#include "formats/text_fuzz.hpp"

namespace bavn::formats::windows_syslog_snare {
std::unique_ptr<LineReader> make_reader();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto reader = bavn::formats::windows_syslog_snare::make_reader();
  return bavn::formats::fuzz_lines(*reader, data, size);
}
