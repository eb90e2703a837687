#include "notice/likeness.hpp"

#include <array>

#include "base/hash.hpp"
#include "base/text.hpp"

namespace bavn::notice {

namespace {

constexpr std::size_t kMostRead = 256;
constexpr std::array kPrefixes = {
    "re:", "sv:", "vs:", "fw:", "fwd:", "vb:", "aw:", "wg:", "[ekstern]", "[extern]", "[external]"};

std::string_view without_prefixes(std::string_view s) {
  for (bool again = true; again;) {
    again = false;
    s = trim(s);
    for (const std::string_view p : kPrefixes)
      if (s.starts_with(p)) {
        s.remove_prefix(p.size());
        again = true;
      }
  }
  return s;
}

bool joins_digits(char c) {
  return c == '-' || c == '/' || c == '.' || c == ':' || c == '_' || c == '#';
}

/// "2024-1187" and "a8f3c2d901" are ids; "g7" and "4g" keep their letters around a '#'.
void append_masked(std::string& out, std::string_view word) {
  if (word.contains('@')) {
    out += '@';
    return;
  }
  std::size_t digits = 0, letters = 0;
  for (const char c : word) {
    digits += ascii_digit(c) ? 1U : 0U;
    letters += c >= 'a' && c <= 'z' ? 1U : 0U;
  }
  if (digits >= 2 && letters > 0 && word.size() >= 8 && digits + letters + 4 >= word.size()) {
    out += '#';
    return;
  }
  for (std::size_t i = 0; i < word.size();) {
    if (!ascii_digit(word[i])) {
      out += word[i++];
      continue;
    }
    if (out.empty() || out.back() != '#') out += '#';
    while (i < word.size() &&
           (ascii_digit(word[i]) || (joins_digits(word[i]) && i + 1 < word.size() && ascii_digit(word[i + 1]))))
      ++i;
  }
}

}  // namespace

std::string masked_subject(std::string_view subject) {
  const std::string lower = to_lower_utf8(subject.substr(0, kMostRead));
  std::string_view rest = without_prefixes(lower);
  std::string out;
  while (!rest.empty()) {
    const auto end = rest.find_first_of(" \t\r\n");
    const std::string_view word = rest.substr(0, end);
    if (!word.empty()) {
      if (!out.empty()) out += ' ';
      append_masked(out, word);
    }
    if (end == std::string_view::npos) break;
    rest.remove_prefix(end + 1);
  }
  return out;
}

std::uint64_t simhash(std::string_view text) {
  if (text.empty()) return 0;
  std::array<int, 64> weight{};
  const auto add = [&](std::string_view shingle) {
    std::uint64_t h = hash64(shingle, 0x736d6873);
    for (int& w : weight) {
      w += (h & 1U) != 0 ? 1 : -1;
      h >>= 1U;
    }
  };
  if (text.size() < 3) add(text);
  for (std::size_t i = 0; i + 3 <= text.size(); ++i) add(text.substr(i, 3));
  std::uint64_t out = 0;
  for (unsigned i = 0; i < 64; ++i)
    if (weight[i] > 0) out |= std::uint64_t{1} << i;
  return out != 0 ? out : 1;
}

std::optional<std::uint64_t> read_simhash(std::string_view hex) {
  if (hex.size() != 16) return std::nullopt;
  std::uint64_t v = 0;
  for (const char c : hex) {
    const char l = ascii_lower(c);
    if (ascii_digit(l)) v = v << 4U | static_cast<std::uint64_t>(l - '0');
    else if (l >= 'a' && l <= 'f') v = v << 4U | static_cast<std::uint64_t>(l - 'a' + 10);
    else return std::nullopt;
  }
  return v;
}

}  // namespace bavn::notice
