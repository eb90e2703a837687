#include "base/utf16.hpp"

#include <cstdint>

#include "base/text.hpp"

namespace bavn {

std::string from_utf16(std::string_view raw, bool big_endian) {
  std::string out;
  out.reserve(raw.size());
  const auto unit = [&](std::size_t i) {
    const auto a = static_cast<unsigned char>(raw[i]), b = static_cast<unsigned char>(raw[i + 1]);
    return static_cast<std::uint32_t>(big_endian ? a << 8U | b : b << 8U | a);
  };
  for (std::size_t i = 0; i + 1 < raw.size(); i += 2) {
    const std::uint32_t u = unit(i);
    if (u >= 0xD800 && u < 0xDC00 && i + 3 < raw.size()) {
      const std::uint32_t low = unit(i + 2);
      if (low >= 0xDC00 && low < 0xE000) {
        append_utf8(out, 0x10000 + ((u - 0xD800) << 10U) + (low - 0xDC00));
        i += 2;
        continue;
      }
    }
    append_utf8(out, u >= 0xD800 && u < 0xE000 ? 0xFFFD : u);
  }
  return out;
}

std::size_t utf16_length(std::string_view utf8) {
  std::size_t units = 0;
  for (const char c : utf8) {
    const auto b = static_cast<unsigned char>(c);
    if ((b & 0xC0U) != 0x80) units += b >= 0xF0 ? 2 : 1;
  }
  return units * 2;
}

}  // namespace bavn
