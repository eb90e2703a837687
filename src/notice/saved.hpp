#pragma once
// One description of a value serves for saving and loading: `template <class A, class S> static void io(A& a, S& s) { a(s.x, s.y); }`.
// 64-bit hashes are fixed width, other numbers varints. A Loader refuses numbers out of range and counts beyond what the bytes left can hold.
#include <array>
#include <concepts>
#include <deque>
#include <limits>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace bavn::notice {

namespace detail {
template <class T>
concept Keyed = requires { typename T::mapped_type; };
template <class T>
concept Setlike = requires { typename T::key_type; } && !Keyed<T>;
template <class T>
inline constexpr bool is_vector = false;
template <class T>
inline constexpr bool is_vector<std::vector<T>> = true;
template <class T>
inline constexpr bool is_vector<std::deque<T>> = true;
template <class T>
inline constexpr bool is_array = false;
template <class T, std::size_t N>
inline constexpr bool is_array<std::array<T, N>> = true;
template <class T>
inline constexpr bool is_pair = false;
template <class A, class B>
inline constexpr bool is_pair<std::pair<A, B>> = true;
template <class T>
inline constexpr bool is_pointer = false;
template <class T>
inline constexpr bool is_pointer<std::unique_ptr<T>> = true;
}  // namespace detail

class Saver {
 public:
  explicit Saver(std::string& out) : w_(out) {}
  template <class... T>
  void operator()(const T&... v) {
    (put(v), ...);
  }

 private:
  template <class T>
  void put(const T& v) {
    if constexpr (std::same_as<T, bool>) w_.flag(v);
    else if constexpr (std::same_as<T, std::uint64_t>) w_.fixed(v);
    else if constexpr (std::is_enum_v<T>) w_.varint(static_cast<std::uint64_t>(v));
    else if constexpr (std::integral<T>) w_.zigzag(static_cast<std::int64_t>(v));
    else if constexpr (std::same_as<T, std::string>) w_.text(v);
    else if constexpr (detail::is_array<T>) {
      for (const auto& x : v) put(x);
    } else if constexpr (detail::is_vector<T> || detail::Setlike<T>) {
      w_.varint(v.size());
      for (const auto& x : v) put(x);
    } else if constexpr (detail::Keyed<T>) {
      w_.varint(v.size());
      for (const auto& [key, x] : v) (*this)(key, x);
    } else if constexpr (detail::is_pair<T>) {
      (*this)(v.first, v.second);
    } else if constexpr (detail::is_pointer<T>) {
      w_.flag(v != nullptr);
      if (v) put(*v);
    } else {
      T::io(*this, v);
    }
  }
  ByteWriter w_;
};

class Loader {
 public:
  explicit Loader(std::string_view in) : r_(in) {}
  template <class... T>
  void operator()(T&... v) {
    (get(v), ...);
  }
  bool bad() const { return r_.bad(); }
  bool whole() const { return !r_.bad() && r_.left() == 0; }

 private:
  static constexpr std::size_t kMost = 50'000'000;
  static constexpr std::int64_t kFar = std::int64_t{1}
                                       << 55;  // microseconds until the year 3111: sums of these never overflow
  template <class T>
  void get(T& v) {
    if (r_.bad()) return;
    if constexpr (std::same_as<T, bool>) v = r_.flag();
    else if constexpr (std::same_as<T, std::uint64_t>) v = r_.fixed<std::uint64_t>();
    else if constexpr (std::is_enum_v<T>) {
      const std::uint64_t n = r_.varint();
      if (n >= static_cast<std::uint64_t>(T::count_)) return r_.spoil();
      v = static_cast<T>(n);
    } else if constexpr (std::integral<T>) {
      const std::int64_t n = r_.zigzag();
      if (!std::in_range<T>(n) || n > kFar || n < -kFar) return r_.spoil();
      v = static_cast<T>(n);
    } else if constexpr (std::same_as<T, std::string>) v = r_.text();
    else if constexpr (detail::is_array<T>) {
      for (auto& x : v) get(x);
    } else if constexpr (detail::is_vector<T>) {
      const std::size_t n = r_.count(kMost);
      for (std::size_t i = 0; i < n && !r_.bad(); ++i) get(v.emplace_back());
    } else if constexpr (detail::Setlike<T>) {
      const std::size_t n = r_.count(kMost);
      for (std::size_t i = 0; i < n && !r_.bad(); ++i) {
        typename T::key_type key{};
        get(key);
        v.insert(std::move(key));
      }
    } else if constexpr (detail::Keyed<T>) {
      const std::size_t n = r_.count(kMost);
      for (std::size_t i = 0; i < n && !r_.bad(); ++i) {
        typename T::key_type key{};
        typename T::mapped_type x{};
        (*this)(key, x);
        if (!v.emplace(std::move(key), std::move(x)).second) return r_.spoil();
      }
    } else if constexpr (detail::is_pair<T>) {
      (*this)(v.first, v.second);
    } else if constexpr (detail::is_pointer<T>) {
      if (!r_.flag()) return;
      v = std::make_unique<typename T::element_type>();
      get(*v);
    } else {
      T::io(*this, v);
    }
  }
  ByteReader r_;
};

}  // namespace bavn::notice
