#include <cstdint>
#include <cstdlib>

#include "event/digest_key.hpp"

// Files that people carry between machines. What is taken is written again as the same file.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::event;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto steward = Steward::parse(text)) {
    const auto again = Steward::parse(steward->text());
    if (!again || again->text() != steward->text()) std::abort();
  }
  if (const auto keys = StewardsKeys::parse(text)) {
    const auto again = StewardsKeys::parse(keys->text());
    if (!again || again->text() != keys->text()) std::abort();
  }
  return 0;
}
