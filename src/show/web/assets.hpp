#pragma once
// The files of the site that are part of the binary, packed with gzip when it was built: the app, the style of the pages, the contract.
// Life: immutable, as long as the program. Thread rules: any thread.
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "net/http.hpp"

namespace bavn::show::web {

namespace detail {
struct Packed {
  const char *url, *type, *etag;
  std::size_t size;  // unpacked
  const char *begin, *end;
};
}  // namespace detail

/// Whether the app was built in.
bool has_app();
/// The file at this URL, packed or not as the caller can read it; 304 when the caller has it. Nothing: there is no such file.
std::optional<net::Reply> asset(const net::Request& request, std::string_view url);
/// What no route has: a file; or the app's first page for whoever navigates there, `home` at "/" without an app.
std::optional<net::Reply> otherwise(const net::Request& request,
                                    const std::function<net::Reply(const net::Request&)>& home);

}  // namespace bavn::show::web
