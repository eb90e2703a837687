#include <cstdlib>

#include "event/extract.hpp"

// Every role on any bytes; what comes out is canonical: read again, it is itself.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::event;
  if (size == 0) return 0;
  const std::string_view value(reinterpret_cast<const char*>(data) + 1, size - 1);
  Extractor extractor;
  extractor.extract(static_cast<Role>(data[0] % 21), value, [](Kind kind, std::string_view v) {
    const auto again = canonical(kind, v);
    if (!again || again->kind != kind || again->value != v) std::abort();
  });
  if (const auto found = guess(value); found && canonical(found->kind, found->value) != found) std::abort();
  if (const auto found = canonical(static_cast<Kind>(data[0] % kKinds), value);
      found && canonical(found->kind, found->value) != found)
    std::abort();
  return 0;
}
