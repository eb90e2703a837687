#include "exchange/misp/json_pieces.hpp"

#include <fmt/format.h>

#include <set>
#include <string>

#include "net/json_value.hpp"

namespace bavn::exchange::misp {

namespace {

constexpr int kDeepest = 64;  // as JsonDocument
constexpr std::size_t kMostMembers = 1000;

bool is_space(char c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

class Walk {
 public:
  explicit Walk(std::string_view text) : text_(text) {}

  void spaces() {
    while (at_ < text_.size() && is_space(text_[at_])) ++at_;
  }
  bool take(char c) {
    spaces();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool at_end() {
    spaces();
    return at_ >= text_.size();
  }
  std::unexpected<Error> wrong(std::string_view what) const {
    return fail(Code::bad_input, fmt::format("no valid JSON: {} at byte {}", what, at_));
  }

  /// With its quotes.
  Result<std::string_view> string() {
    spaces();
    const std::size_t from = at_;
    if (at_ >= text_.size() || text_[at_] != '"') return wrong("a string is expected");
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '\\') ++at_;
      else if (text_[at_] == '"') return text_.substr(from, ++at_ - from);
    }
    return wrong("a string does not end");
  }

  Result<std::string_view> value() {
    spaces();
    const std::size_t from = at_;
    int depth = 0;
    for (; at_ < text_.size();) {
      const char c = text_[at_];
      if (c == '"') {
        if (const auto s = string(); !s) return std::unexpected(s.error());
        if (depth == 0) return text_.substr(from, at_ - from);
        continue;
      }
      if (c == '{' || c == '[') {
        if (++depth > kDeepest) return wrong("it is nested too deeply");
      } else if (c == '}' || c == ']') {
        if (depth == 0) break;  // of the holder: a bare word ends here
        if (--depth == 0) return text_.substr(from, ++at_ - from);
      } else if (depth == 0 && (c == ',' || is_space(c))) {
        break;
      }
      ++at_;
    }
    if (depth > 0) return wrong("it ends too early");
    if (at_ == from) return wrong("a value is expected");
    return text_.substr(from, at_ - from);
  }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

Result<std::string> decoded(std::string_view quoted) {
  if (quoted.find('\\') == std::string_view::npos) return std::string(quoted.substr(1, quoted.size() - 2));
  BAVN_TRY(const auto document, net::JsonDocument::parse(quoted));
  return std::string(document.root().text_or({}));
}

}  // namespace

char first_of(std::string_view json) {
  for (const char c : json)
    if (!is_space(c)) return c;
  return '\0';
}

Result<void> each_member(std::string_view object, const EachMember& f) {
  Walk walk(object);
  if (!walk.take('{')) return walk.wrong("an object is expected");
  std::set<std::string, std::less<>> seen;
  if (!walk.take('}'))
    for (;;) {
      BAVN_TRY(const auto quoted, walk.string());
      BAVN_TRY(const auto key, decoded(quoted));
      if (!walk.take(':')) return walk.wrong("':' is expected");
      BAVN_TRY(const auto value, walk.value());
      if (seen.size() >= kMostMembers) return walk.wrong("the object has more than 1,000 members");
      if (!seen.insert(key).second) return walk.wrong(fmt::format("the member \"{}\" comes twice", key.substr(0, 100)));
      BAVN_CHECK(f(key, value));
      if (walk.take('}')) break;
      if (!walk.take(',')) return walk.wrong("',' or '}' is expected");
    }
  if (!walk.at_end()) return walk.wrong("there is more behind the value");
  return {};
}

Result<void> each_element(std::string_view array, const EachElement& f) {
  Walk walk(array);
  if (!walk.take('[')) return walk.wrong("an array is expected");
  if (!walk.take(']'))
    for (;;) {
      BAVN_TRY(const auto value, walk.value());
      BAVN_CHECK(f(value));
      if (walk.take(']')) break;
      if (!walk.take(',')) return walk.wrong("',' or ']' is expected");
    }
  if (!walk.at_end()) return walk.wrong("there is more behind the value");
  return {};
}

}  // namespace bavn::exchange::misp
