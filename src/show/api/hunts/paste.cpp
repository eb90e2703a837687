// What somebody pastes: a mail, a report, a list. Words are cut at blanks and at signs that stand around addresses in texts; each is
// read as it stands and with its fangs back.
#include <set>

#include "base/text.hpp"
#include "event/extract.hpp"
#include "show/api/hunts/hunts.hpp"

namespace bavn::show::api {

namespace {

constexpr std::string_view kAround = " \t\r\n\"'`<>|;,";

/// Quotes and sentence signs at the ends; brackets only when the other one is missing, so that "[.]" and "(v2)" stay.
std::string_view bare(std::string_view w) {
  const auto count = [&](char c) { return std::count(w.begin(), w.end(), c); };
  for (bool again = true; again && !w.empty();) {
    again = true;
    const char first = w.front(), last = w.back();
    if (first == '*' || first == '=' || first == '-' || first == ':') w.remove_prefix(1);
    else if (last == '.' || last == ':' || last == '!' || last == '?' || last == '*' || last == '=') w.remove_suffix(1);
    else if ((last == ')' && count('(') < count(')')) || (last == ']' && count('[') < count(']')) ||
             (last == '}' && count('{') < count('}')))
      w.remove_suffix(1);
    else if ((first == '(' && count(')') < count('(')) || (first == '[' && count(']') < count('[')) ||
             (first == '{' && count('}') < count('{')))
      w.remove_prefix(1);
    else if (w.size() > 2 && ((first == '(' && last == ')') || (first == '[' && last == ']'))) {
      w.remove_prefix(1);
      w.remove_suffix(1);
    } else again = false;
  }
  return w;
}

}  // namespace

ReadPaste read_paste(std::string_view text, std::size_t most) {
  ReadPaste out;
  std::set<event::Observable> seen;
  const auto add = [&](event::Observable o) {
    if (!seen.insert(o).second) return;
    if (out.observables.size() < most) out.observables.push_back(std::move(o));
    else ++out.left_out;
  };
  event::Extractor extractor;
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t from = text.find_first_not_of(kAround, at);
    if (from == std::string_view::npos) break;
    at = std::min(text.find_first_of(kAround, from), text.size());
    const std::string_view word = bare(text.substr(from, at - from));
    if (word.size() < 4 || word.size() > 2048) continue;
    const std::string fangs = event::refang(word);
    if (fangs.find('/') != std::string::npos)
      if (auto network = event::guess(fangs); network && network->kind == event::Kind::cidr) {
        add(std::move(*network));
        continue;
      }
    // A URL stands for itself, not also for its host; a word without a scheme must be something that is known by its form.
    bool found = false;
    std::optional<event::Observable> first;
    extractor.extract(event::Role::text, fangs, [&](event::Kind kind, std::string_view value) {
      if (found) return;
      first = event::Observable{kind, std::string(value)};
      found = true;
    });
    if (first) {
      add(std::move(*first));
      continue;
    }
    // A network, a defanged name below a top-level domain that nobody knows: only what was clearly written as one.
    if (fangs != word || fangs.find('/') != std::string::npos)
      if (auto guessed = event::guess(word)) add(std::move(*guessed));
  }
  return out;
}

}  // namespace bavn::show::api
