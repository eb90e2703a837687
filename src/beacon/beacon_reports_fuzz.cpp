#include <cstddef>
#include <cstdint>

#include "beacon/reports.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::beacon;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto batch = read_batch(text)) {
    std::vector<std::string> items;
    for (const auto& item : batch->items) items.push_back(write_item(item));
    BAVN_ASSERT(read_batch(write_batch(batch->id, items)).has_value());
  }
  (void)read_answer(text);
  if (const auto ping = read_ping(text)) BAVN_ASSERT(read_ping(write_ping(*ping)).has_value());
  if (const auto pong = read_pong(text)) BAVN_ASSERT(read_pong(write_pong(*pong)).has_value());
  return 0;
}
