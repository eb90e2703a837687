#pragma once
// zstd with and without a dictionary. Thread rules: every call from any thread; contexts are kept per thread.
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::history {

class Dictionary {
 public:
  /// level 0: for decompression only.
  Dictionary(std::string bytes, int level);
  ~Dictionary();
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;
  const std::string& bytes() const { return bytes_; }

 private:
  friend std::string compress(std::string_view plain, int level, const Dictionary* dictionary);
  friend Result<std::string> decompress(std::string_view packed, std::size_t plain_bytes, const Dictionary* dictionary);
  std::string bytes_;
  void* compress_;
  void* decompress_;
};

/// At most `size` bytes learned from samples; null when they are too few or too alike to learn from.
std::shared_ptr<const Dictionary> train(const std::vector<std::string_view>& samples, std::size_t size, int level);

std::string compress(std::string_view plain, int level, const Dictionary* dictionary);
/// plain_bytes: exactly so many must come out, else Code::corrupt.
Result<std::string> decompress(std::string_view packed, std::size_t plain_bytes, const Dictionary* dictionary);

}  // namespace bavn::history
