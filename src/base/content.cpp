#include "base/content.hpp"

namespace bavn::content {

namespace detail {
extern const Entry entries[];
extern const unsigned entry_count;
}  // namespace detail

std::optional<std::string_view> file(std::string_view path) {
  for (unsigned i = 0; i < detail::entry_count; ++i) {
    const auto& e = detail::entries[i];
    if (path == e.path) return std::string_view(e.begin, static_cast<std::size_t>(e.end - e.begin));
  }
  return std::nullopt;
}

std::vector<std::string_view> list(std::string_view prefix) {
  std::vector<std::string_view> out;
  for (unsigned i = 0; i < detail::entry_count; ++i) {
    std::string_view path = detail::entries[i].path;
    if (path.starts_with(prefix)) out.push_back(path);
  }
  return out;
}

}  // namespace bavn::content
