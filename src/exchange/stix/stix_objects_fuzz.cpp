#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "exchange/stix/indicator.hpp"
#include "exchange/stix/object.hpp"

// Whatever is sent: each object kept is a piece of it, reads again as the same object, and its indicators can be written as STIX again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn;
  using namespace bavn::exchange::stix;
  const auto read = read_objects({reinterpret_cast<const char*>(data), size}, {});
  if (!read) return 0;
  for (const Object& o : read->objects) {
    const auto again = read_objects("{\"objects\":[" + o.body + "]}", {});
    if (!again || again->objects.size() != 1 || again->objects[0].id != o.id || again->objects[0].digest != o.digest)
      std::abort();
    if (o.type != "indicator") continue;
    const auto document = net::JsonDocument::parse(o.body);
    const auto found = indicators_of(document->root(), {}, o.tlp);
    if (!found) continue;
    for (const auto& i : found->indicators) {
      std::string text;
      append_indicator(text, {"7f2a6a5e-2f0e-4a6b-9d53-0f4c8f6a1b2c", "x", {}}, i, {});
      if (!net::JsonDocument::parse(text)) std::abort();
    }
  }
  return 0;
}
