#include "net/json_value.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/json_writer.hpp"

namespace bavn::net {

namespace {

constexpr std::size_t max_depth = 64;
constexpr std::size_t max_text = 512U << 20U;

using detail::JsonNode;
using detail::JsonTree;

// RFC 6901
void append_segment(std::string& pointer, std::string_view segment) {
  pointer += '/';
  for (const char c : segment) {
    if (c == '~') pointer += "~0";
    else if (c == '/') pointer += "~1";
    else pointer += c;
  }
}

// What Boost.JSON's parser calls. Its own value type forgets duplicate keys, this one does not.
struct Builder {
  static constexpr std::size_t max_object_size = std::numeric_limits<std::uint32_t>::max();
  static constexpr std::size_t max_array_size = max_object_size;
  static constexpr std::size_t max_key_size = max_text;
  static constexpr std::size_t max_string_size = max_text;
  using Ec = boost::json::error_code;

  JsonTree tree;
  std::vector<std::uint32_t> open;  // containers
  std::uint32_t key_start = 0, key_length = 0;
  std::uint32_t part_start = 0;
  bool in_part = false;
  std::string duplicate;  // pointer

  JsonNode& add(JsonKind kind) {
    JsonNode& n = tree.nodes.emplace_back();
    n.kind = kind;
    n.key = key_start;
    n.key_length = key_length;
    key_length = 0;
    n.end = static_cast<std::uint32_t>(tree.nodes.size());
    if (!open.empty()) ++tree.nodes[open.back()].count;
    return n;
  }
  void part(std::string_view s) {
    if (!in_part) part_start = static_cast<std::uint32_t>(tree.strings.size());
    in_part = true;
    tree.strings += s;
  }
  bool begin(JsonKind kind) {
    add(kind);
    open.push_back(static_cast<std::uint32_t>(tree.nodes.size() - 1));
    return true;
  }
  bool finish() {
    const std::uint32_t container = open.back();
    open.pop_back();
    tree.nodes[container].end = static_cast<std::uint32_t>(tree.nodes.size());
    return true;
  }
  std::string_view key_of(std::uint32_t node) const {
    return std::string_view(tree.strings).substr(tree.nodes[node].key, tree.nodes[node].key_length);
  }
  bool keys_differ(std::uint32_t object) {
    std::vector<std::string_view> keys;
    keys.reserve(tree.nodes[object].count);
    for (std::uint32_t i = object + 1; i < tree.nodes.size(); i = tree.nodes[i].end) keys.push_back(key_of(i));
    std::sort(keys.begin(), keys.end());
    const auto twice = std::adjacent_find(keys.begin(), keys.end());
    if (twice == keys.end()) return true;
    for (std::size_t depth = 1; depth < open.size(); ++depth) {
      const JsonNode& parent = tree.nodes[open[depth - 1]];
      append_segment(duplicate, parent.kind == JsonKind::array ? std::to_string(parent.count - 1)
                                                               : std::string(key_of(open[depth])));
    }
    append_segment(duplicate, *twice);
    return false;
  }

  bool on_document_begin(Ec&) { return true; }
  bool on_document_end(Ec&) { return true; }
  bool on_object_begin(Ec&) { return begin(JsonKind::object); }
  bool on_object_end(std::size_t, Ec& ec) {
    if (!keys_differ(open.back())) {
      ec = boost::json::error::exception;
      return false;
    }
    return finish();
  }
  bool on_array_begin(Ec&) { return begin(JsonKind::array); }
  bool on_array_end(std::size_t, Ec&) { return finish(); }
  bool on_key_part(boost::json::string_view s, std::size_t, Ec&) {
    part({s.data(), s.size()});
    return true;
  }
  bool on_key(boost::json::string_view s, std::size_t, Ec&) {
    part({s.data(), s.size()});
    in_part = false;
    key_start = part_start;
    key_length = static_cast<std::uint32_t>(tree.strings.size()) - part_start;
    return true;
  }
  bool on_string_part(boost::json::string_view s, std::size_t, Ec&) {
    part({s.data(), s.size()});
    return true;
  }
  bool on_string(boost::json::string_view s, std::size_t, Ec&) {
    part({s.data(), s.size()});
    in_part = false;
    JsonNode& n = add(JsonKind::text);
    n.text = part_start;
    n.text_length = static_cast<std::uint32_t>(tree.strings.size()) - part_start;
    return true;
  }
  bool on_number_part(boost::json::string_view, Ec&) { return true; }
  bool on_int64(std::int64_t v, boost::json::string_view, Ec&) {
    add(JsonKind::integer).integer = v;
    return true;
  }
  bool on_uint64(std::uint64_t v, boost::json::string_view, Ec&) {
    add(JsonKind::natural).natural = v;
    return true;
  }
  // Boost.JSON 1.81 may be off by a digit in the last place; text and value are here whole, so it is read again, exactly.
  bool on_double(double v, boost::json::string_view s, Ec& ec) {
    const auto [end, trouble] = std::from_chars(s.data(), s.data() + s.size(), v);
    if (trouble == std::errc::result_out_of_range) v = std::abs(v) < 1 ? 0 : HUGE_VAL;
    if (!std::isfinite(v)) {
      ec = boost::json::error::exponent_overflow;
      return false;
    }
    add(JsonKind::number).number =
        v + 0.0;  // minus zero becomes zero: written as "-0" it would come back as an integer
    return true;
  }
  bool on_bool(bool v, Ec&) {
    add(JsonKind::boolean).boolean = v;
    return true;
  }
  bool on_null(Ec&) {
    add(JsonKind::null);
    return true;
  }
  bool on_comment_part(boost::json::string_view, Ec&) { return true; }
  bool on_comment(boost::json::string_view, Ec&) { return true; }
};

void write(JsonWriter& w, JsonValue v) {
  switch (v.kind()) {
    case JsonKind::missing:
    case JsonKind::null: w.null(); break;
    case JsonKind::boolean: w.value(*v.boolean()); break;
    case JsonKind::integer: w.value(*v.integer()); break;
    case JsonKind::natural: w.value(*v.natural()); break;
    case JsonKind::number: w.value(*v.number()); break;
    case JsonKind::text: w.value(*v.text()); break;
    case JsonKind::array:
      w.array();
      for (const JsonValue e : v) write(w, e);
      w.end();
      break;
    case JsonKind::object:
      w.object();
      for (const JsonValue m : v) {
        w.key(m.key());
        write(w, m);
      }
      w.end();
      break;
  }
}

}  // namespace

Result<JsonDocument> JsonDocument::parse(std::string_view text) {
  if (text.size() > max_text) return fail(Code::bad_input, "the JSON text is longer than 512 MiB");
  boost::json::parse_options options;
  options.max_depth = max_depth;
  boost::json::basic_parser<Builder> parser(options);
  Builder& builder = parser.handler();
  builder.tree.strings.reserve(text.size());
  boost::json::error_code ec;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), ec);
  if (!builder.duplicate.empty()) return fail(Code::bad_input, "a key is there twice", std::move(builder.duplicate));
  if (!ec && used < text.size() && text.find_first_not_of(" \t\r\n", used) != std::string_view::npos)
    ec = boost::json::error::extra_data;
  if (ec) return fail(Code::bad_input, fmt::format("not valid JSON at byte {}: {}", used, ec.message()));
  return JsonDocument(std::make_shared<const JsonTree>(std::move(builder.tree)));
}

std::optional<bool> JsonValue::boolean() const {
  if (kind() != JsonKind::boolean) return std::nullopt;
  return node().boolean;
}

std::optional<std::int64_t> JsonValue::integer() const {
  if (kind() == JsonKind::integer) return node().integer;
  // 2^53: up to there every whole double is one integer
  if (kind() == JsonKind::number && std::abs(node().number) <= 9007199254740992.0 &&
      std::floor(node().number) == node().number)
    return static_cast<std::int64_t>(node().number);
  return std::nullopt;
}

std::optional<std::uint64_t> JsonValue::natural() const {
  if (kind() == JsonKind::natural) return node().natural;
  const auto n = integer();
  if (!n || *n < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*n);
}

std::optional<double> JsonValue::number() const {
  switch (kind()) {
    case JsonKind::number: return node().number;
    case JsonKind::integer: return static_cast<double>(node().integer);
    case JsonKind::natural: return static_cast<double>(node().natural);
    default: return std::nullopt;
  }
}

std::optional<std::string_view> JsonValue::text() const {
  if (kind() != JsonKind::text) return std::nullopt;
  return std::string_view(tree_->strings).substr(node().text, node().text_length);
}

std::size_t JsonValue::size() const {
  return tree_ ? node().count : 0;
}

JsonValue JsonValue::operator[](std::string_view key) const {
  if (!is_object()) return {};
  for (const JsonValue member : *this)
    if (member.key() == key) return member;
  return {};
}

JsonValue JsonValue::at(std::size_t index) const {
  if (!is_array() || index >= size()) return {};
  Iterator it = begin();
  for (; index > 0; --index) ++it;
  return *it;
}

std::string_view JsonValue::key() const {
  if (!tree_) return {};
  return std::string_view(tree_->strings).substr(node().key, node().key_length);
}

JsonValue::Iterator JsonValue::begin() const {
  return {tree_, tree_ ? (size() > 0 ? index_ + 1 : node().end) : 0};
}

JsonValue::Iterator JsonValue::end() const {
  return {tree_, tree_ ? node().end : 0};
}

std::string JsonValue::to_text() const {
  std::string out;
  JsonWriter w(out);
  write(w, *this);
  return out;
}

}  // namespace bavn::net
