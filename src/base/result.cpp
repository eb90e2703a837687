#include "base/result.hpp"

#include <cstdio>
#include <cstdlib>

namespace bavn {

std::string to_string(const Error& e) {
  return e.where.empty() ? e.what : e.where + ": " + e.what;
}

void assertion_failed(const char* expression, const char* file, int line) noexcept {
  std::fprintf(stderr, "bavn: broken promise: %s (%s:%d). Please report this line.\n", expression, file, line);
  std::abort();
}

}  // namespace bavn
