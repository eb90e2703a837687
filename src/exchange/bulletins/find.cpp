#include "exchange/bulletins/find.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace bavn::exchange {

namespace {

constexpr std::size_t kShortest = 4, kLongest = 4'000;

/// Ends a word whatever stands around it.
bool ends_word(char c) {
  return static_cast<unsigned char>(c) <= ' ' || std::string_view("<>\"'`|").find(c) != std::string_view::npos;
}

/// "(dot)", "[.]", "{at}": brackets that are part of a defanged value.
bool defangs(std::string_view word, std::size_t open) {
  constexpr std::string_view inside[] = {".", "dot", "at", "@", ":", "://", "/"};
  const char close = word[open] == '(' ? ')' : word[open] == '[' ? ']' : '}';
  const auto end = word.find(close, open);
  if (end == std::string_view::npos || end - open > 4) return false;
  const std::string what = to_lower(word.substr(open + 1, end - open - 1));
  return std::ranges::find(inside, what) != std::end(inside);
}

struct Span {
  std::size_t from, to;
};

/// Without what clings to a word in a sentence or in Markdown: "**evil.example**," is evil.example.
Span bare(std::string_view text, Span s) {
  for (bool again = true; again && s.from < s.to;) {
    again = false;
    const std::string_view word = text.substr(s.from, s.to - s.from);
    const char first = word.front(), last = word.back();
    if (std::string_view("*_~,;!?:").find(first) != std::string_view::npos ||
        (std::string_view("([{").find(first) != std::string_view::npos && !defangs(word, 0))) {
      ++s.from;
      again = true;
    } else if (std::string_view("*~,;!?:.").find(last) != std::string_view::npos) {
      --s.to;
      again = true;
    } else if (last == ')' || last == ']' || last == '}') {
      const char open = last == ')' ? '(' : last == ']' ? '[' : '{';
      // Brackets that were opened inside belong to a path or defang; one that was not closes the sentence's.
      if (std::ranges::count(word, last) > std::ranges::count(word, open)) {
        --s.to;
        again = true;
      }
    }
  }
  return s;
}

}  // namespace

std::vector<FoundAt> find_observables(std::string_view text) {
  std::vector<FoundAt> found;
  const auto look = [&](Span s) {
    s = bare(text, s);
    if (s.to <= s.from || s.to - s.from < kShortest || s.to - s.from > kLongest) return false;
    auto what = event::guess(text.substr(s.from, s.to - s.from));
    if (!what) return false;
    found.push_back({std::move(*what), s.from, s.to});
    return true;
  };
  std::size_t at = 0;
  while (at < text.size() && found.size() < kMostFound) {
    while (at < text.size() && ends_word(text[at])) ++at;
    std::size_t to = at;
    while (to < text.size() && !ends_word(text[to])) ++to;
    const Span word{at, to};
    at = to;
    if (word.to - word.from > kLongest) continue;
    // "[words](https://x)", "name=value", "a,b;c": the whole first, then its parts.
    const std::string_view all = text.substr(word.from, word.to - word.from);
    const auto link = all.find("](");
    if (link == std::string_view::npos && look(word)) continue;
    std::size_t from = 0;
    const auto part = [&](std::size_t end, std::size_t next) {
      if (end > from && !(from == 0 && end == all.size())) look({word.from + from, word.from + end});
      from = next;
    };
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all.substr(i, 2) == "](") part(i, i + 2);
      else if (all[i] == ',' || all[i] == ';' || all[i] == '=') part(i, i + 1);
    }
    part(all.size(), all.size());
  }
  return found;
}

std::string around(std::string_view text, std::size_t from, std::size_t to, std::size_t each) {
  std::size_t begin = from > each ? from - each : 0, end = std::min(text.size(), to + each);
  const auto inside = [&](std::size_t i) {
    return i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U;
  };
  while (begin < from && inside(begin)) ++begin;
  while (end > to && inside(end)) --end;
  std::string out = repair_utf8(text.substr(begin, end - begin));
  std::ranges::replace_if(out, [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return out;
}

}  // namespace bavn::exchange
