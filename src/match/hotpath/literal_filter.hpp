#pragma once
// LiteralFilter: can one of some literals stand in these bytes, ASCII case aside? A few windows of four bytes, sorted into eight classes;
// the low and high nibbles of each byte say in two table look-ups which classes it fits (what Hyperscan's authors call Teddy), 32 bytes
// at a time with AVX2. With AVX-512 (VBMI) one look-up of the whole byte says it, 64 bytes at a time. What fits is compared with the
// literal. Answers "perhaps" too often, never "no" wrongly.
// Life: immutable once sealed; shared by threads.
#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace bavn::match::hotpath {

class LiteralFilter {
 public:
  /// Only before seal(). At least 3 bytes of ASCII.
  void add(std::string_view literal);
  void seal();
  /// Whether this machine and these literals allow for a filter; else may_contain() is not to be asked.
  bool usable() const { return usable_; }
  bool may_contain(std::string_view bytes) const { return wide_ ? avx512(bytes) : avx2(bytes); }
  /// For tests: as on a machine without AVX-512.
  void forget_avx512() { wide_ = false; }

 private:
  static constexpr int kWindow = 4, kClasses = 8;
  struct Window {
    std::uint32_t literal = 0;
    std::uint32_t at = 0;  // first byte of the window in the literal
  };
  bool known_window(const char* p) const {
    std::uint32_t w;
    std::memcpy(&w, p, 4);
    const std::uint32_t h = window_hash(w);
    return (windows_[h >> 6] >> (h & 63U) & 1U) != 0;
  }
  std::uint32_t window_hash(std::uint32_t w) const { return ((w | 0x20202020U) & window_mask_) * 0x9E3779B1U >> 18; }
  bool confirm(std::string_view bytes, std::size_t at, unsigned classes) const;
  bool avx2(std::string_view bytes) const;
  bool avx512(std::string_view bytes) const;

  std::vector<std::string> literals_;  // bit 5 of every byte set
  std::array<std::vector<Window>, kClasses> classes_;
  // [byte of the window][nibble] -> classes; both halves the same, as the shuffle of 32 bytes wants it
  alignas(32) std::array<std::array<std::uint8_t, 32>, kWindow> low_{}, high_{};
  alignas(
      64) std::array<std::array<std::uint8_t, 128>, kWindow> exact_{};  // [byte of the window][low 7 bits] -> classes
  std::array<std::uint64_t, 256> windows_{};                            // by hash: is there such a window?
  std::uint32_t window_mask_ = 0xFFFFFFFF;  // some literal has only three bytes: their fourth does not count
  bool usable_ = false, wide_ = false;
};

}  // namespace bavn::match::hotpath
