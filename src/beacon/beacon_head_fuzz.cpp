#include <cstddef>
#include <cstdint>

#include "beacon/head.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::beacon;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto head = decode_head(bytes)) BAVN_ASSERT(encode(*head) == bytes);
  if (const auto entry = decode_entry(bytes)) BAVN_ASSERT(encode(*entry) == bytes);
  if (const auto ref = decode_file_ref(bytes)) BAVN_ASSERT(encode(*ref) == bytes);
  if (const auto ref = decode_base_ref(bytes)) BAVN_ASSERT(encode(*ref) == bytes);
  (void)decode_segment(bytes);
  return 0;
}
