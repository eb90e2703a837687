#include <cstdlib>

#include "match/indicators/load.hpp"

// Any bytes as any list; the first byte picks a beginning, so that each reader is reached.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace bavn::match::indicators;
  if (size == 0) return 0;
  static const char* const kBegin[] = {"",     "kind,value\n", "{\"Event\":", "{\"type\":\"bundle\",\"objects\":",
                                       "# \n", "BAVNIND1",     "md5,sha1\n",  "value;kind\n"};
  std::string bytes = kBegin[data[0] % 8];
  bytes.append(reinterpret_cast<const char*>(data) + 1, size - 1);
  IndicatorBuilder builder;
  (void)load_bytes(bytes, "fuzz", [&](const Indicator& i) { return builder.add(i); });
  const auto n = builder.build()->size();
  return n > size ? (std::abort(), 0) : 0;  // never more indicators than bytes
}
