#include <cstddef>
#include <cstdint>

#include "exchange/misp/json_pieces.hpp"
#include "exchange/misp/model.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn;
  using namespace bavn::exchange::misp;
  const auto event = read_event(std::string_view(reinterpret_cast<const char*>(data), size));
  if (!event) return 0;
  // What is kept is JSON, and is read again as itself.
  BAVN_ASSERT(net::JsonDocument::parse(event->body).has_value());
  const auto attribute = [](std::string_view text) -> Result<void> {
    BAVN_TRY(const auto document, net::JsonDocument::parse(text));
    BAVN_TRY(const auto a, read_attribute(document.root()));
    const auto again = read_attribute(net::JsonDocument::parse(a.body)->root());
    BAVN_ASSERT(again.has_value() && again->value == a.value && again->to_ids == a.to_ids);
    (void)parts_of(a.type, a.value);
    return {};
  };
  if (!event->attributes.empty()) (void)each_element(event->attributes, attribute);
  if (!event->objects.empty())
    (void)each_element(event->objects, [&](std::string_view text) -> Result<void> {
      BAVN_TRY(const auto object, read_object(text));
      return object.attributes.empty() ? Result<void>() : each_element(object.attributes, attribute);
    });
  return 0;
}
