#include <cstddef>
#include <cstdint>
#include <string_view>

#include "jail/pdf_text.hpp"
#include "jail/pieces.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)bavn::jail::pieces_of(bytes);
  if (auto flat = bavn::jail::pdf_text(bytes); flat && !bavn::jail::pieces_of(*flat)) __builtin_trap();
  return 0;
}
