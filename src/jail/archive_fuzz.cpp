#include <cstddef>
#include <cstdint>
#include <string_view>

#include "jail/archive.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)bavn::jail::members_of(bytes);
  if (auto flat = bavn::jail::archive_members(bytes, true); flat && !bavn::jail::members_of(*flat)) __builtin_trap();
  return 0;
}
