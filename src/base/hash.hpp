#pragma once
#include <cstdint>
#include <string_view>

namespace bavn {

/// XXH3-64 with a seed. Not for secrets; a hash alone never decides a match.
std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0);

/// Heterogeneous lookup in unordered containers of std::string.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view s) const { return hash64(s); }
};

}  // namespace bavn
