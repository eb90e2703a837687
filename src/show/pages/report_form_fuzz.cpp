#include <cstdint>
#include <string_view>

#include "show/pages/reports.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto read = bavn::show::pages::read_report({reinterpret_cast<const char*>(data), size});
  if (read.report.sender.size() > 2000 || read.report.note.size() > 1000) __builtin_trap();
  return 0;
}
