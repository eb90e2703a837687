#include "base/secret.hpp"

#include <sodium.h>

namespace bavn {

void wipe(void* bytes, std::size_t size) noexcept {
  sodium_memzero(bytes, size);
}

}  // namespace bavn
