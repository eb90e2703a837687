#pragma once
// Numbers and short strings as bytes, little-endian, for what is written to disk. The reader never reads beyond its end: it turns bad() and gives zeros,
// so a decoder checks once, at its end; count() refuses numbers of things that the bytes left cannot hold.
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace bavn {

class ByteWriter {
 public:
  explicit ByteWriter(std::string& out) : out_(out) {}
  template <class T>
  void fixed(T v) {
    char b[sizeof v];
    std::memcpy(b, &v, sizeof v);
    out_.append(b, sizeof v);
  }
  void varint(std::uint64_t v) {
    for (; v >= 0x80; v >>= 7U) out_.push_back(static_cast<char>(v | 0x80U));
    out_.push_back(static_cast<char>(v));
  }
  void zigzag(std::int64_t v) { varint((static_cast<std::uint64_t>(v) << 1U) ^ static_cast<std::uint64_t>(v >> 63)); }
  void flag(bool v) { out_.push_back(v ? '\1' : '\0'); }
  void text(std::string_view s) {
    varint(s.size());
    out_.append(s);
  }

  void raw(std::string_view s) { out_.append(s); }

 private:
  std::string& out_;
};

class ByteReader {
 public:
  explicit ByteReader(std::string_view in) : in_(in) {}
  template <class T>
  T fixed() {
    T v{};
    const std::string_view b = raw(sizeof v);
    if (b.size() == sizeof v) std::memcpy(&v, b.data(), sizeof v);
    return v;
  }
  std::uint64_t varint() {
    std::uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const std::string_view b = raw(1);
      if (b.empty()) return 0;
      v |= static_cast<std::uint64_t>(static_cast<unsigned char>(b[0]) & 0x7FU) << shift;
      if ((static_cast<unsigned char>(b[0]) & 0x80U) == 0) return v;
    }
    bad_ = true;
    return 0;
  }
  std::int64_t zigzag() {
    const std::uint64_t v = varint();
    return static_cast<std::int64_t>(v >> 1U) ^ -static_cast<std::int64_t>(v & 1U);
  }
  bool flag() {
    const std::string_view b = raw(1);
    if (!b.empty() && b[0] != '\0' && b[0] != '\1') bad_ = true;
    return b == std::string_view("\1", 1);
  }
  /// How many things of at least `least` bytes each follow, at most `most`; 0 and bad() otherwise.
  std::size_t count(std::size_t most, std::size_t least = 1) {
    const std::uint64_t n = varint();
    if (n > most || n > in_.size() / least) bad_ = true;
    return bad_ ? 0 : static_cast<std::size_t>(n);
  }
  std::string_view text() { return raw(varint()); }
  std::string_view raw(std::uint64_t n) {
    if (bad_ || n > in_.size()) {
      bad_ = true;
      return {};
    }
    const std::string_view b = in_.substr(0, static_cast<std::size_t>(n));
    in_.remove_prefix(static_cast<std::size_t>(n));
    return b;
  }
  void spoil() { bad_ = true; }
  std::size_t left() const { return in_.size(); }
  bool bad() const { return bad_; }

 private:
  std::string_view in_;
  bool bad_ = false;
};

}  // namespace bavn
