#pragma once
// What must not leak (a person's number, a token, a mail body) has no way out: no <<, no formatter, no JSON, no compare.
// Only reveal(f) shows it, to f alone. The bytes are wiped when the value dies.
#include <cstddef>
#include <string>
#include <type_traits>
#include <utility>

namespace bavn {

/// Overwrites memory in a way the optimiser keeps.
void wipe(void* bytes, std::size_t size) noexcept;

template <class T>
class Secret {
  static_assert(std::is_same_v<T, std::string> || std::is_trivially_copyable_v<T>, "wiping is defined for these");

 public:
  explicit Secret(T value) : value_(std::move(value)) {}
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept : value_(std::move(other.value_)) { other.forget(); }
  Secret& operator=(Secret&& other) noexcept {
    if (this != &other) {
      forget();
      value_ = std::move(other.value_);
      other.forget();
    }
    return *this;
  }
  ~Secret() { forget(); }

  template <class F>
  auto reveal(F&& f) const {
    return std::forward<F>(f)(value_);
  }

 private:
  void forget() noexcept {
    if constexpr (std::is_same_v<T, std::string>) {
      wipe(value_.data(), value_.capacity());  // a short string lives inside the object and survives a move
      value_.clear();
    } else {
      wipe(&value_, sizeof value_);
    }
  }
  T value_;
};

}  // namespace bavn
