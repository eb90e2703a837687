#include <cstdint>
#include <cstdlib>

#include "event/masked.hpp"

// What a node shows, the hub takes; what the hub takes as a segment is what a node would show.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::event;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto shown = shown_segment(text);
  if (!check_shown_path("/" + shown)) std::abort();
  (void)check_shown_path(text);
  (void)check_shown_host(text);
  (void)check_shown_file_name(text);
  return 0;
}
