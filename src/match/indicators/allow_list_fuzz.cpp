#include "match/indicators/allow_list.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn;
  match::indicators::AllowLists lists;
  if (!lists.load_bytes({reinterpret_cast<const char*>(data), size}, "fuzz")) return 0;
  (void)lists.check(event::Kind::domain, "www.evil.example");
  (void)lists.check(event::Kind::ipv4, "192.0.2.1");
  (void)lists.check(event::Kind::url, "evil.example/a?b");
  return 0;
}
