#include "formats/text_fuzz.hpp"

namespace bavn::formats::zeek_tsv {
std::unique_ptr<LineReader> make_reader();
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto reader = bavn::formats::zeek_tsv::make_reader();
  return bavn::formats::fuzz_lines(*reader, data, size);
}
