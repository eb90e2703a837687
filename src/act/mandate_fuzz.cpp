#include <cstdint>

#include "act/mandate.hpp"
#include "act/order.hpp"

// A mandate people edit, and an order from outside.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)bavn::act::Mandate::parse(text, "mandate.toml");
  if (const auto order = bavn::act::SignedOrder::parse(text)) (void)order->content();
  return 0;
}
