#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

namespace bavn::event {

/// TLP 2.0 (FIRST). Ordered: larger = narrower. An unknown marking is read as red.
enum class Tlp : std::uint8_t { clear, green, amber, amber_strict, red };

std::string_view to_string(Tlp t);  // "clear", "green", "amber", "amber+strict", "red"
/// Accepts "tlp:amber", "TLP:WHITE", "amber+strict", "amber-strict"; empty optional when it is none of them.
std::optional<Tlp> parse_tlp(std::string_view s);

}  // namespace bavn::event
