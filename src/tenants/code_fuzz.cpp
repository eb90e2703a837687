#include <cstdint>
#include <cstdlib>

#include "tenants/code.hpp"

// What people paste. What is taken is written again as the same code.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using bavn::tenants::EnrolmentCode;
  const auto code = EnrolmentCode::parse({reinterpret_cast<const char*>(data), size});
  if (!code) return 0;
  const auto again = EnrolmentCode::parse(code->text());
  if (!again || again->hub != code->hub || again->root != code->root || again->secret != code->secret) std::abort();
  return 0;
}
