#include <cstddef>
#include <cstdint>

#include "input/sources/microsoft365/page.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::input::microsoft365;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  (void)read_page(body, PageShape{.time = "createdDateTime", .key = {"id", "status"}});
  (void)read_page(body, PageShape{.list = "", .time = "CreationTime", .key = {"Id"}, .adds = "\"Type\":\"x\","});
  (void)read_error(body);
  return 0;
}
