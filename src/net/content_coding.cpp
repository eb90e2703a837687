#include "net/content_coding.hpp"

#include <fmt/format.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <memory>

#include "base/text.hpp"

namespace bavn::net {

namespace {

constexpr std::size_t first_guess = 64U << 10U;
constexpr unsigned max_window_log = 23;  // 8 MiB: a frame cannot make us take more memory than that

Error too_long(std::size_t limit) {
  return {Code::bad_input, fmt::format("the decoded body is larger than the {} bytes allowed here", limit), "413"};
}

}  // namespace

Result<std::string> gunzip(std::string_view bytes, std::size_t limit) {
  z_stream z{};
  if (inflateInit2(&z, 15 + 16) != Z_OK) return fail(Code::unavailable, "no memory for gzip");
  const std::unique_ptr<z_stream, decltype(&inflateEnd)> end(&z, inflateEnd);
  // zlib does not write through next_in
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(std::min<std::size_t>(bytes.size(), UINT32_MAX));
  std::string out;
  std::size_t filled = 0;
  for (;;) {
    if (filled == out.size()) {
      if (filled > limit) return std::unexpected(too_long(limit));
      // one byte above the limit, to see that there is more
      out.resize(std::min(limit + 1, std::max({first_guess, bytes.size() * 4, filled * 2})));
    }
    z.next_out = reinterpret_cast<Bytef*>(out.data() + filled);
    z.avail_out = static_cast<uInt>(std::min<std::size_t>(out.size() - filled, UINT32_MAX));
    const uInt room = z.avail_out;
    const int result = inflate(&z, Z_NO_FLUSH);
    filled += room - z.avail_out;
    if (result == Z_STREAM_END) {
      if (z.avail_in == 0) break;
      if (inflateReset(&z) != Z_OK)
        return fail(Code::bad_input, "the gzip body is broken");  // members one after the other
      continue;
    }
    if (result != Z_OK && !(result == Z_BUF_ERROR && z.avail_out == 0))
      return fail(Code::bad_input, "the gzip body is broken or cut");
    if (z.avail_in == 0 && z.avail_out > 0) return fail(Code::bad_input, "the gzip body is cut");
  }
  if (filled > limit) return std::unexpected(too_long(limit));
  out.resize(filled);
  return out;
}

Result<std::string> unzstd(std::string_view bytes, std::size_t limit) {
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> z(ZSTD_createDCtx(), ZSTD_freeDCtx);
  if (!z) return fail(Code::unavailable, "no memory for zstd");
  ZSTD_DCtx_setParameter(z.get(), ZSTD_d_windowLogMax, max_window_log);
  ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
  std::string out;
  std::size_t filled = 0;
  std::size_t more = 1;
  while (more != 0 || in.pos < in.size) {
    if (filled == out.size()) {
      if (filled > limit) return std::unexpected(too_long(limit));
      out.resize(std::min(limit + 1, std::max({first_guess, bytes.size() * 4, filled * 2})));
    }
    ZSTD_outBuffer to{out.data(), out.size(), filled};
    more = ZSTD_decompressStream(z.get(), &to, &in);
    if (ZSTD_isError(more))
      return fail(Code::bad_input, fmt::format("the zstd body is broken: {}", ZSTD_getErrorName(more)));
    if (more != 0 && in.pos == in.size && to.pos < to.size) return fail(Code::bad_input, "the zstd body is cut");
    filled = to.pos;
  }
  if (filled > limit) return std::unexpected(too_long(limit));
  out.resize(filled);
  return out;
}

Result<void> decode_body(Request& request, std::size_t limit) {
  const std::string* coding = request.headers.find("Content-Encoding");
  if (!coding || iequals(*coding, "identity")) return {};
  if (iequals(*coding, "gzip") || iequals(*coding, "x-gzip")) {
    BAVN_TRY(request.body, gunzip(request.body, limit));
  } else if (iequals(*coding, "zstd")) {
    BAVN_TRY(request.body, unzstd(request.body, limit));
  } else {
    return fail(Code::bad_input, "Content-Encoding is not one of gzip, zstd", "415");
  }
  return {};
}

std::string gzip(std::string_view bytes) {
  z_stream z{};
  BAVN_ASSERT(deflateInit2(&z, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK);
  std::string out(deflateBound(&z, bytes.size()), '\0');
  z.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  z.avail_in = static_cast<uInt>(bytes.size());
  z.next_out = reinterpret_cast<Bytef*>(out.data());
  z.avail_out = static_cast<uInt>(out.size());
  BAVN_ASSERT(deflate(&z, Z_FINISH) == Z_STREAM_END);
  out.resize(z.total_out);
  deflateEnd(&z);
  return out;
}

std::string zstd(std::string_view bytes, int level) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  const std::size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), level);
  BAVN_ASSERT(!ZSTD_isError(size));
  out.resize(size);
  return out;
}

}  // namespace bavn::net
