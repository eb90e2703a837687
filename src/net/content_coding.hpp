#pragma once
// Content-Encoding gzip and zstd. Decoding is bounded by what comes out, so a bomb costs its limit and no more.
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "net/http.hpp"

namespace bavn::net {

/// Decodes request.body as its Content-Encoding says and drops that header. bad_input: unknown coding (where = "415"), broken bytes,
/// more than `limit` bytes come out (where = "413").
Result<void> decode_body(Request& request, std::size_t limit);

Result<std::string> gunzip(std::string_view bytes, std::size_t limit);
Result<std::string> unzstd(std::string_view bytes, std::size_t limit);
std::string gzip(std::string_view bytes);
std::string zstd(std::string_view bytes, int level = 3);

}  // namespace bavn::net
