#pragma once
// Appends JSON to a buffer. For findings, exports and bench results; API types use the described visitor of net.
// Use: JsonWriter w(out); w.object(); w.key("a").value(1); w.end(); the caller keeps keys unique and nesting right.
#include <cstdint>
#include <string>
#include <string_view>

namespace bavn {

/// Appends `s` as a JSON string with quotes. Bytes that are not UTF-8 become U+FFFD.
void append_json_string(std::string& out, std::string_view s);

class JsonWriter {
 public:
  explicit JsonWriter(std::string& out) : out_(out) {}
  JsonWriter& object() { return open('{'); }
  JsonWriter& array() { return open('['); }
  JsonWriter& end();
  JsonWriter& key(std::string_view name);
  JsonWriter& value(std::string_view s);
  JsonWriter& value(const char* s) { return value(std::string_view(s)); }
  JsonWriter& value(const std::string& s) { return value(std::string_view(s)); }
  JsonWriter& value(bool b);
  JsonWriter& value(double d);  // NaN and infinities become null
  JsonWriter& value(std::int64_t n);
  JsonWriter& value(std::uint64_t n);
  JsonWriter& value(int n) { return value(static_cast<std::int64_t>(n)); }
  JsonWriter& value(unsigned n) { return value(static_cast<std::uint64_t>(n)); }
  JsonWriter& null();
  JsonWriter& raw(std::string_view json);  // already valid JSON
  template <class T>
  JsonWriter& member(std::string_view name, const T& v) {
    return key(name).value(v);
  }

 private:
  JsonWriter& open(char c);
  void comma();
  std::string& out_;
  std::string stack_;  // '{' or '['
  bool first_ = true;
  bool after_key_ = false;
};

}  // namespace bavn
