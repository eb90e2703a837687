#pragma once
// Result<T>: expected trouble as a value (STYLE: errors). Broken promises inside the program are BAVN_ASSERT.
#include <cstdint>
#include <expected>
#include <string>
#include <utility>

namespace bavn {

enum class Code : std::uint8_t { bad_input, not_found, conflict, forbidden, unavailable, corrupt };

/// what: what happened, to which thing, and what to do. where: file, line or JSON pointer; may be empty.
struct Error {
  Code code = Code::bad_input;
  std::string what;
  std::string where;
};

template <class T>
using Result = std::expected<T, Error>;

inline std::unexpected<Error> fail(Code code, std::string what, std::string where = {}) {
  return std::unexpected<Error>(Error{code, std::move(what), std::move(where)});
}

/// "where: what", or just what.
std::string to_string(const Error& e);

[[noreturn]] void assertion_failed(const char* expression, const char* file, int line) noexcept;

}  // namespace bavn

#define BAVN_CONCAT_(a, b) a##b
#define BAVN_CONCAT(a, b) BAVN_CONCAT_(a, b)

/// BAVN_TRY(auto x, expression): declares x from the Result or returns its error. A statement, never an expression:
/// GCC 12.2 dies on ({ ... }) with co_await inside.
#define BAVN_TRY(decl, expr)                                                                    \
  auto BAVN_CONCAT(bavn_try_, __LINE__) = (expr);                                               \
  if (!BAVN_CONCAT(bavn_try_, __LINE__))                                                        \
    return std::unexpected<::bavn::Error>(std::move(BAVN_CONCAT(bavn_try_, __LINE__)).error()); \
  decl = std::move(*BAVN_CONCAT(bavn_try_, __LINE__))

/// The same for Result<void>.
#define BAVN_CHECK(expr)                                                                 \
  if (auto BAVN_CONCAT(bavn_try_, __LINE__) = (expr); !BAVN_CONCAT(bavn_try_, __LINE__)) \
  return std::unexpected<::bavn::Error>(std::move(BAVN_CONCAT(bavn_try_, __LINE__)).error())

/// On in every build.
#define BAVN_ASSERT(expr) \
  (__builtin_expect(static_cast<bool>(expr), 1) ? void() : ::bavn::assertion_failed(#expr, __FILE__, __LINE__))
