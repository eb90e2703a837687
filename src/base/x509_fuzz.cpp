#include <cstdint>

#include "base/x509.hpp"

// What the hub reads from whoever holds a code, and a node from whoever answers as the hub.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  (void)bavn::x509::read_certificate_der(bytes);
  (void)bavn::x509::read_certificate(bytes);
  (void)bavn::x509::read_request(bytes);
  return 0;
}
