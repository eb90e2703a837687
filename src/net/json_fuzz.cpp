#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "net/json_views.hpp"

namespace {
struct Tree {
  std::string name;
  std::optional<std::int64_t> number;
  std::vector<Tree> children;
  std::map<std::string, std::uint8_t> counts;
  std::optional<bavn::Instant> at;
};
BOOST_DESCRIBE_STRUCT(Tree, (), (name, number, children, counts, at))
}  // namespace

// What is read can be written, and is then read the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto document = bavn::net::JsonDocument::parse(text)) {
    const std::string once = document->root().to_text();
    const auto again = bavn::net::JsonDocument::parse(once);
    if (!again || again->root().to_text() != once) std::abort();
  }
  if (const auto tree = bavn::net::from_json<Tree>(text, bavn::net::Unknown::ignore)) {
    const std::string once = bavn::net::to_json(*tree);
    const auto again = bavn::net::from_json<Tree>(once, bavn::net::Unknown::refuse);
    if (!again || bavn::net::to_json(*again) != once) std::abort();
  }
  return 0;
}
