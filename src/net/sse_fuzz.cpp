#include "net/sse.hpp"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

namespace {
std::string told(std::string_view bytes, std::size_t piece) {
  bavn::net::SseParser parser(4096);
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += piece)
    if (!parser.feed(bytes.substr(at, piece), [&](const bavn::net::SseEvent& e) { out += bavn::net::sse_bytes(e); }))
      break;
  return out;
}
}  // namespace

// However the bytes are cut, the events are the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (size > 0 && told(bytes, size) != told(bytes, 1 + size % 7)) std::abort();
  return 0;
}
