#pragma once
// Denmark's municipalities as tiles of equal size. Life: immutable. Thread rules: any thread.
#include <cstdint>
#include <vector>

#include "base/ids.hpp"

namespace bavn::show::api {

struct Tile {
  MunicipalityId municipality;
  std::int64_t row = 0, column = 0;  // from 1; the north and the west first
};
/// From content/municipalities/denmark_tiles.csv; a broken list is a broken build (BAVN_ASSERT).
const std::vector<Tile>& denmark_tiles();

}  // namespace bavn::show::api
