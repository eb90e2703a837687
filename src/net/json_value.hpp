#pragma once
// JSON text as a tree that can be walked. Strict: UTF-8, no duplicate keys, depth at most 64, nothing after the value.
// Numbers keep what they were: 64-bit integers are exact. Boost.JSON parses, inside the .cpp.
// Life: a JsonValue is a view of its JsonDocument and of nothing else (the text may go). Thread rules: immutable.
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace bavn::net {

enum class JsonKind : std::uint8_t { missing, null, boolean, integer, natural, number, text, array, object };

namespace detail {
struct JsonNode {
  JsonKind kind = JsonKind::missing;
  std::uint32_t end = 0;    // index behind the last descendant
  std::uint32_t count = 0;  // children
  std::uint32_t key = 0, key_length = 0;
  std::uint32_t text_length = 0;
  union {
    bool boolean;
    std::int64_t integer;   // negative ones, and all that fit
    std::uint64_t natural;  // only above 2^63-1
    double number;
    std::uint64_t text = 0;  // offset in JsonTree::strings
  };
};
struct JsonTree {
  std::vector<JsonNode> nodes;  // depth first
  std::string strings;
};
}  // namespace detail

/// A value, or nothing (kind missing): members and elements that are not there can be walked on without harm.
class JsonValue {
 public:
  JsonValue() = default;
  JsonKind kind() const { return tree_ ? node().kind : JsonKind::missing; }
  explicit operator bool() const { return tree_ != nullptr; }
  bool is_null() const { return kind() == JsonKind::null; }
  bool is_object() const { return kind() == JsonKind::object; }
  bool is_array() const { return kind() == JsonKind::array; }

  std::optional<bool> boolean() const;
  std::optional<std::int64_t> integer() const;   // also 3.0; never rounded
  std::optional<std::uint64_t> natural() const;  // 0 .. 2^64-1
  std::optional<double> number() const;
  std::optional<std::string_view> text() const;
  std::string_view text_or(std::string_view otherwise) const { return text().value_or(otherwise); }

  std::size_t size() const;  // of an array or object; else 0
  JsonValue operator[](std::string_view key) const;
  JsonValue operator[](const char* key) const { return (*this)[std::string_view(key)]; }
  JsonValue at(std::size_t index) const;  // array; in a loop use for (JsonValue v : value)
  std::string_view key() const;           // of a member reached by iteration or operator[]
  std::string to_text() const;            // JSON again, compact, in the order it came

  /// Over elements, or over members (with key()); over nothing for other kinds.
  class Iterator {
   public:
    Iterator(const detail::JsonTree* tree, std::uint32_t index) : tree_(tree), index_(index) {}
    JsonValue operator*() const { return {tree_, index_}; }
    Iterator& operator++() {
      index_ = tree_->nodes[index_].end;
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    const detail::JsonTree* tree_;
    std::uint32_t index_;
  };
  Iterator begin() const;
  Iterator end() const;

 private:
  friend class JsonDocument;
  JsonValue(const detail::JsonTree* tree, std::uint32_t index) : tree_(tree), index_(index) {}
  const detail::JsonNode& node() const { return tree_->nodes[index_]; }
  const detail::JsonTree* tree_ = nullptr;
  std::uint32_t index_ = 0;
};

class JsonDocument {
 public:
  /// bad_input says what is wrong and at which byte; a duplicate key is named by its pointer. Texts above 512 MiB are refused.
  static Result<JsonDocument> parse(std::string_view text);
  JsonValue root() const { return {tree_.get(), 0}; }

 private:
  explicit JsonDocument(std::shared_ptr<const detail::JsonTree> tree) : tree_(std::move(tree)) {}
  std::shared_ptr<const detail::JsonTree> tree_;
};

}  // namespace bavn::net
