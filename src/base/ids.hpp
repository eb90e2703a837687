#pragma once
// Small typed integers inside, UUIDv7 at the edges.
#include <compare>
#include <cstdint>

namespace bavn {

template <class Tag, class Rep = std::uint64_t>
struct Id {
  Rep value{};
  friend auto operator<=>(const Id&, const Id&) = default;
};

using MunicipalityId = Id<struct MunicipalityTag, std::uint16_t>;
using TenantId = Id<struct TenantTag, std::uint16_t>;
using SourceId = Id<struct SourceTag, std::uint32_t>;
using PersonId = Id<struct PersonTag>;

}  // namespace bavn
