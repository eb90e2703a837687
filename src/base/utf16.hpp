#pragma once
// UTF-16, as Windows tools write it.
#include <cstddef>
#include <string>
#include <string_view>

namespace bavn {

/// UTF-16 without its byte order mark to UTF-8. A lone surrogate becomes U+FFFD; an odd byte at the end is left out.
std::string from_utf16(std::string_view raw, bool big_endian);
/// Bytes that this UTF-8 took as UTF-16.
std::size_t utf16_length(std::string_view utf8);

}  // namespace bavn
