#include "event/batch.hpp"

#include "base/text.hpp"

namespace bavn::event {

namespace {

int hex(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool hex4(std::string_view s, std::size_t at, std::uint32_t& out) {
  if (at + 4 > s.size()) return false;
  std::uint32_t v = 0;
  for (std::size_t i = at; i < at + 4; ++i) {
    const int h = hex(s[i]);
    if (h < 0) return false;
    v = v << 4 | static_cast<std::uint32_t>(h);
  }
  out = v;
  return true;
}

}  // namespace

void append_unescaped(std::string& out, std::string_view s) {
  std::size_t i = 0;
  while (i < s.size()) {
    const std::size_t slash = s.find('\\', i);
    if (slash == std::string_view::npos || slash + 1 >= s.size()) {
      out.append(s.substr(i));
      return;
    }
    out.append(s.substr(i, slash - i));
    const char c = s[slash + 1];
    i = slash + 2;
    switch (c) {
      case 'n': out += '\n'; break;
      case 't': out += '\t'; break;
      case 'r': out += '\r'; break;
      case 'b': out += '\b'; break;
      case 'f': out += '\f'; break;
      case 'u': {
        std::uint32_t cp = 0;
        if (!hex4(s, i, cp)) {
          out += "\\u";
          break;
        }
        i += 4;
        if (cp >= 0xD800 && cp <= 0xDBFF) {
          std::uint32_t low = 0;
          if (i + 6 <= s.size() && s[i] == '\\' && s[i + 1] == 'u' && hex4(s, i + 2, low) && low >= 0xDC00 &&
              low <= 0xDFFF) {
            cp = 0x10000 + ((cp - 0xD800) << 10) + (low - 0xDC00);
            i += 6;
          } else {
            cp = 0xFFFD;
          }
        } else if (cp >= 0xDC00 && cp <= 0xDFFF) {
          cp = 0xFFFD;
        }
        append_utf8(out, cp);
        break;
      }
      default: out += c;  // quote, backslash, slash; unknown escapes lose their backslash
    }
  }
}

std::string_view EventBatch::text(const Field& f, std::string& scratch) const {
  if (!f.escaped()) return bytes(f);
  scratch.clear();
  append_unescaped(scratch, bytes(f));
  return scratch;
}

}  // namespace bavn::event
