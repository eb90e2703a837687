#include <cstddef>
#include <cstdint>

#include "formats/description.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > 100'000) return 0;
  (void)bavn::formats::parse_description({reinterpret_cast<const char*>(data), size}, "fuzz");
  return 0;
}
