#include "input/sources/files/records.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::input::sources::files;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  for (const Shape shape : {Shape::lines, Shape::json, Shape::xml}) {
    const Cut cut = whole_records(shape, bytes);
    if (cut.from > cut.to || cut.to > cut.consumed || cut.consumed > size) std::abort();
  }
  std::string out;
  without_zeros(bytes, out);
  if (!header_block(bytes).empty() && !bytes.starts_with('#')) std::abort();
  if (const auto at = next_header(bytes); at != std::string_view::npos && (at == 0 || bytes[at] != '#')) std::abort();
  (void)shape_of(bytes);
  return 0;
}
