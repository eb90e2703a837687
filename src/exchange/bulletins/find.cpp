#include "exchange/bulletins/find.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace bavn::exchange {

namespace {

constexpr std::size_t kShortest = 4, kLongest = 4'000, kMostJoined = 30;

/// Ends a word whatever stands around it.
bool ends_word(char c) {
  return static_cast<unsigned char>(c) <= ' ' || std::string_view("<>\"'`|").find(c) != std::string_view::npos;
}

/// "(dot)", "[.]", "{at}": brackets that are part of a defanged value. Their length; 0: they are not.
std::size_t defanging(std::string_view word, std::size_t open) {
  constexpr std::string_view inside[] = {".", "dot", "at", "@", ":", "://", "/"};
  const char close = word[open] == '(' ? ')' : word[open] == '[' ? ']' : '}';
  const auto end = word.find(close, open);
  if (end == std::string_view::npos || end - open > 4) return 0;
  const std::string what = to_lower(word.substr(open + 1, end - open - 1));
  return std::ranges::find(inside, what) != std::end(inside) ? end - open + 1 : 0;
}
bool defangs(std::string_view word, std::size_t open) {
  return defanging(word, open) != 0;
}

/// What joins two words across blanks: "evil [dot] example", "kari (at) town (dot) example".
bool joins(std::string_view brackets) {
  const std::string what = to_lower(brackets.substr(1, brackets.size() - 2));
  return what == "." || what == "dot" || what == "@" || what == "at";
}
bool begins_joining(std::string_view word) {
  if (word.empty() || std::string_view("([{").find(word.front()) == std::string_view::npos) return false;
  const std::size_t length = defanging(word, 0);
  return length != 0 && joins(word.substr(0, length));
}
bool ends_joining(std::string_view word) {
  const auto open = word.find_last_of("([{");
  return open != std::string_view::npos && defanging(word, open) == word.size() - open && joins(word.substr(open));
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
  const auto end_of_word = [&](std::size_t at) {
    while (at < text.size() && !ends_word(text[at])) ++at;
    return at;
  };
  // "evil [dot] example" from its first word on: where it ends, or where that word does when it is none.
  const auto joined = [&](Span first) {
    std::string whole;  // without the blanks
    std::size_t to = first.to;
    for (std::size_t joints = 0; joints < kMostJoined; ++joints) {
      std::size_t next = to;
      while (next < text.size() && next - to < 4 && (text[next] == ' ' || text[next] == '\t')) ++next;
      const std::size_t end = end_of_word(next);
      const std::string_view word = text.substr(next, end - next);
      const std::string_view before = whole.empty() ? text.substr(first.from, first.to - first.from) : whole;
      if (next == to || word.empty() || before.size() + word.size() > kLongest ||
          !(begins_joining(word) || ends_joining(before)))
        break;
      if (whole.empty()) whole = before;
      whole += word;
      to = end;
    }
    if (whole.empty()) return first.to;
    const Span s = bare(whole, {0, whole.size()});
    auto what = s.to > s.from ? event::guess(std::string_view(whole).substr(s.from, s.to - s.from)) : std::nullopt;
    if (!what || s.from >= first.to - first.from) return first.to;
    // What clings to its ends clings to the ends of the words, too.
    found.push_back({std::move(*what), first.from + s.from, to - (whole.size() - s.to)});
    return to;
  };
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
    const Span word{at, end_of_word(at)};
    at = word.to;
    if (word.to - word.from > kLongest) continue;
    if (const std::size_t to = joined(word); to != word.to) {
      at = to;
      continue;
    }
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
