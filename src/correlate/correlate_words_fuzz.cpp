#include <cstddef>
#include <cstdint>

#include "correlate/words.hpp"
#include "net/json_views.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn;
  using namespace bavn::correlate;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Instant now = from_micros(1'727'769'600'000'000);
  // What was read is read again as itself.
  if (const auto n = read_sender_notice(text, now)) BAVN_ASSERT(read_sender_notice(net::to_json(*n), now).has_value());
  if (const auto n = read_burst(text, now)) BAVN_ASSERT(read_burst(net::to_json(*n), now).has_value());
  if (const auto n = read_takeover(text, now)) BAVN_ASSERT(read_takeover(net::to_json(*n), now).has_value());
  if (const auto n = read_harm(text, now)) BAVN_ASSERT(read_harm(net::to_json(*n), now).has_value());
  return 0;
}
