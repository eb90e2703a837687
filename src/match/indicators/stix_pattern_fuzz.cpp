#include "match/indicators/stix_pattern.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::match::indicators;
  const auto pattern = StixPattern::parse({reinterpret_cast<const char*>(data), size});
  if (!pattern) return 0;
  const Seen record[] = {{bavn::event::Kind::domain, "evil.example"},
                         {bavn::event::Kind::ipv4, "192.0.2.1"},
                         {bavn::event::Kind::file_name, "x.exe"}};
  (void)pattern->matches(record);
  return 0;
}
