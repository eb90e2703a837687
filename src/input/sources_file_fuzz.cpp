#include "base/sim_files.hpp"
#include "input/sources_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  bavn::SimFiles files;
  const bavn::MunicipalityId served[] = {bavn::MunicipalityId{461}};
  (void)bavn::input::read_sources({reinterpret_cast<const char*>(data), size}, "sources.toml", served, files, "/etc");
  return 0;
}
