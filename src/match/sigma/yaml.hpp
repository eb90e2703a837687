#pragma once
// YAML as a plain tree, for rule files. Wraps yaml-cpp's event parser: never throws, never recurses deeper than kMaxDepth, expands
// aliases only within kMaxNodes. Every node knows its line.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::match::sigma {

struct Yaml {
  enum class Kind : std::uint8_t { null, scalar, list, map };
  Kind kind = Kind::null;
  bool quoted = false;              // scalar: 'x', "x", | or >: text, never a number or boolean
  std::uint32_t line = 0;           // 1-based, in the file
  std::string text{};               // scalar
  std::vector<Yaml> items{};        // list; map: the values
  std::vector<std::string> keys{};  // map: same order as items, no key twice

  bool is_null() const { return kind == Kind::null; }
  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_list() const { return kind == Kind::list; }
  bool is_map() const { return kind == Kind::map; }
  const Yaml* find(std::string_view key) const;  // nullptr when this is no map or has no such key
};

/// One document of a file. Error::where is its line ("12").
struct YamlDocument {
  std::uint32_t line = 1;
  Result<Yaml> root;
};

constexpr std::size_t kMaxYamlBytes = 8U << 20;  // a file
constexpr std::size_t kMaxYamlDepth = 32;
constexpr std::size_t kMaxYamlNodes = 400'000;  // a document, aliases expanded

/// Splits at lines that begin a document (`---`) and reads each alone, so that one broken document does not hide the next.
/// Documents without content are left out. Error: the text is too large or not UTF-8.
Result<std::vector<YamlDocument>> read_yaml(std::string_view text);

}  // namespace bavn::match::sigma
