#include <cstddef>
#include <cstdint>

#include "history/frame.hpp"
#include "history/manifest.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::history;
  std::string bytes(reinterpret_cast<const char*>(data), size);
  (void)decode_segment_header(bytes);
  repair_checksums(bytes);  // so that the bytes behind the checksums are reached, too
  if (auto f = decode_frame(bytes)) {
    FrameText text;
    if (text.take(std::string(f->sealed), f->header)) (void)text.received_us(f->header.count / 2);
  }
  (void)decode_directory(bytes);
  (void)decode_manifest(bytes);
  return 0;
}
