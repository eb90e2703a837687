#include <cstddef>
#include <cstdint>
#include <string_view>

#include "jail/xml_events.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)bavn::jail::xml_events({reinterpret_cast<const char*>(data), size});
  return 0;
}
