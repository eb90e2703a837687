#include "base/json_writer.hpp"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "base/result.hpp"

namespace bavn {

namespace {

// Length of the valid UTF-8 sequence at s[0], 0 when it is none.
std::size_t utf8_length(std::string_view s) {
  const auto b = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
  const auto tail = [&](std::size_t i) { return i < s.size() && (b(i) & 0xC0) == 0x80; };
  if (b(0) < 0x80) return 1;
  if (b(0) >= 0xC2 && b(0) <= 0xDF) return tail(1) ? 2 : 0;
  if (b(0) >= 0xE0 && b(0) <= 0xEF) {
    if (!tail(1) || !tail(2)) return 0;
    if (b(0) == 0xE0 && b(1) < 0xA0) return 0;
    if (b(0) == 0xED && b(1) > 0x9F) return 0;
    return 3;
  }
  if (b(0) >= 0xF0 && b(0) <= 0xF4) {
    if (!tail(1) || !tail(2) || !tail(3)) return 0;
    if (b(0) == 0xF0 && b(1) < 0x90) return 0;
    if (b(0) == 0xF4 && b(1) > 0x8F) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

void append_json_string(std::string& out, std::string_view s) {
  out += '"';
  std::size_t run = 0;
  for (std::size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
      ++i;
      continue;
    }
    if (c >= 0x80) {
      const std::size_t n = utf8_length(s.substr(i));
      if (n != 0) {
        i += n;
        continue;
      }
    }
    out.append(s, run, i - run);
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      default:
        if (c < 0x20) fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
        else out += "\xEF\xBF\xBD";
    }
    run = ++i;
  }
  out.append(s, run, s.size() - run);
  out += '"';
}

JsonWriter& JsonWriter::open(char c) {
  comma();
  out_ += c;
  stack_ += c;
  first_ = true;
  return *this;
}

JsonWriter& JsonWriter::end() {
  BAVN_ASSERT(!stack_.empty());
  out_ += stack_.back() == '{' ? '}' : ']';
  stack_.pop_back();
  first_ = false;
  return *this;
}

void JsonWriter::comma() {
  if (after_key_) {
    after_key_ = false;
    return;
  }
  if (!first_) out_ += ',';
  first_ = false;
}

JsonWriter& JsonWriter::key(std::string_view name) {
  comma();
  append_json_string(out_, name);
  out_ += ':';
  after_key_ = true;
  return *this;
}

JsonWriter& JsonWriter::value(std::string_view s) {
  comma();
  append_json_string(out_, s);
  return *this;
}
JsonWriter& JsonWriter::value(bool b) {
  return raw(b ? "true" : "false");
}
JsonWriter& JsonWriter::null() {
  return raw("null");
}
JsonWriter& JsonWriter::value(std::int64_t n) {
  return raw(fmt::format_int(n).c_str());
}
JsonWriter& JsonWriter::value(std::uint64_t n) {
  return raw(fmt::format_int(n).c_str());
}
JsonWriter& JsonWriter::value(double d) {
  if (!std::isfinite(d)) return null();
  return raw(fmt::format("{}", d));
}
JsonWriter& JsonWriter::raw(std::string_view json) {
  comma();
  out_ += json;
  return *this;
}

}  // namespace bavn
