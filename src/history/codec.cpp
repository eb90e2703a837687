#include "history/codec.hpp"

#include <zdict.h>
#include <zstd.h>

namespace bavn::history {

namespace {

struct Contexts {
  ZSTD_CCtx* in = ZSTD_createCCtx();
  ZSTD_DCtx* out = ZSTD_createDCtx();
  Contexts() { BAVN_ASSERT(in != nullptr && out != nullptr); }
  ~Contexts() {
    ZSTD_freeCCtx(in);
    ZSTD_freeDCtx(out);
  }
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;
};

// A context holds about 1 MB of tables; making one per frame would cost more than a small frame.
Contexts& contexts() {
  thread_local Contexts c;
  return c;
}

}  // namespace

Dictionary::Dictionary(std::string bytes, int level)
    : bytes_(std::move(bytes)),
      compress_(level == 0 ? nullptr : ZSTD_createCDict(bytes_.data(), bytes_.size(), level)),
      decompress_(ZSTD_createDDict(bytes_.data(), bytes_.size())) {
  BAVN_ASSERT((level == 0 || compress_ != nullptr) && decompress_ != nullptr);
}

Dictionary::~Dictionary() {
  ZSTD_freeCDict(static_cast<ZSTD_CDict*>(compress_));
  ZSTD_freeDDict(static_cast<ZSTD_DDict*>(decompress_));
}

std::shared_ptr<const Dictionary> train(const std::vector<std::string_view>& samples, std::size_t size, int level) {
  std::string all;
  std::vector<std::size_t> sizes;
  for (const auto s : samples) {
    all += s;
    sizes.push_back(s.size());
  }
  std::string dictionary(size, '\0');
  const std::size_t n = ZDICT_trainFromBuffer(dictionary.data(), dictionary.size(), all.data(), sizes.data(),
                                              static_cast<unsigned>(sizes.size()));
  if (ZDICT_isError(n) != 0) return nullptr;
  dictionary.resize(n);
  return std::make_shared<const Dictionary>(std::move(dictionary), level);
}

std::string compress(std::string_view plain, int level, const Dictionary* dictionary) {
  std::string packed(ZSTD_compressBound(plain.size()), '\0');
  const std::size_t n =
      dictionary != nullptr
          ? ZSTD_compress_usingCDict(contexts().in, packed.data(), packed.size(), plain.data(), plain.size(),
                                     static_cast<const ZSTD_CDict*>(dictionary->compress_))
          : ZSTD_compressCCtx(contexts().in, packed.data(), packed.size(), plain.data(), plain.size(), level);
  BAVN_ASSERT(ZSTD_isError(n) == 0);
  packed.resize(n);
  return packed;
}

Result<std::string> decompress(std::string_view packed, std::size_t plain_bytes, const Dictionary* dictionary) {
  std::string plain(plain_bytes, '\0');
  const std::size_t n =
      dictionary != nullptr
          ? ZSTD_decompress_usingDDict(contexts().out, plain.data(), plain.size(), packed.data(), packed.size(),
                                       static_cast<const ZSTD_DDict*>(dictionary->decompress_))
          : ZSTD_decompressDCtx(contexts().out, plain.data(), plain.size(), packed.data(), packed.size());
  if (ZSTD_isError(n) != 0 || n != plain_bytes) return fail(Code::corrupt, "a frame does not decompress");
  return plain;
}

}  // namespace bavn::history
