#pragma once
// Big-endian numbers and counted text for what the beacon signs. The reader never reads beyond its end: it turns bad() and gives
// zeros, so a decoder checks once, at its end.
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace bavn::beacon {

class BytesOut {
 public:
  template <std::unsigned_integral T>
  BytesOut& number(T v) {
    for (unsigned shift = sizeof(T) * 8; shift > 0;) out_.push_back(static_cast<char>((v >> (shift -= 8)) & 0xFFU));
    return *this;
  }
  BytesOut& raw(std::string_view s) {
    out_.append(s);
    return *this;
  }
  template <std::unsigned_integral Length>
  BytesOut& counted(std::string_view s) {
    return number(static_cast<Length>(s.size())).raw(s);
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

class BytesIn {
 public:
  explicit BytesIn(std::string_view in) : in_(in) {}
  template <std::unsigned_integral T>
  T number() {
    std::uint64_t v = 0;
    for (const char c : raw(sizeof(T))) v = v << 8U | static_cast<unsigned char>(c);
    return static_cast<T>(v);
  }
  std::string_view raw(std::size_t n) {
    if (n > in_.size()) {
      bad_ = true;
      in_ = {};
      return {};
    }
    const auto out = in_.substr(0, n);
    in_.remove_prefix(n);
    return out;
  }
  template <std::unsigned_integral Length>
  std::string_view counted() {
    return raw(number<Length>());
  }
  bool bad() const { return bad_; }
  bool at_end() const { return in_.empty() && !bad_; }

 private:
  std::string_view in_;
  bool bad_ = false;
};

}  // namespace bavn::beacon
