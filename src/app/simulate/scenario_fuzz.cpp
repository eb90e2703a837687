#include <cstddef>
#include <cstdint>

#include "app/simulate/scenario.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::app::simulate;
  if (size > 65536) return 0;
  const auto file = read_scenario({reinterpret_cast<const char*>(data), size});
  for (const auto& f : file.faults) (void)to_string(f, "fuzz.yaml");
  return 0;
}
