#pragma once
// The files under content/ and the format descriptions under src/formats/ are part of the binary (bavn_embed).
// Thread rules: immutable, valid for the life of the program.
#include <optional>
#include <string_view>
#include <vector>

namespace bavn::content {

namespace detail {
struct Entry {
  const char* path;
  const char* begin;
  const char* end;
};
}  // namespace detail

/// path: from the repository's root, e.g. "content/formats/m365_audit/format.yml".
std::optional<std::string_view> file(std::string_view path);

/// Every embedded path that starts with `prefix`, sorted.
std::vector<std::string_view> list(std::string_view prefix);

}  // namespace bavn::content
