// # one per line, comments, defanged, hosts files, and what resolvers and ad blockers are given
// hxxps://evil[.]example/a   # seen in mail
// 0.0.0.0 evil.example
// 192.0.2.0/24 ; DROP
// ||evil.example^            ! adblock
// address=/evil.example/     # dnsmasq
// local-zone: "evil.example." always_nxdomain
#include <algorithm>
#include <vector>

#include "base/text.hpp"
#include "match/indicators/loader.hpp"

namespace bavn::match::indicators {

namespace {

constexpr std::size_t kLongestLine = 16 * 1024;

std::string_view without_comment(std::string_view line) {
  for (std::size_t i = 0; i < line.size(); ++i) {
    const bool after_blank = i == 0 || line[i - 1] == ' ' || line[i - 1] == '\t';
    if (!after_blank) continue;
    if (line[i] == '#' || line[i] == ';' || (line[i] == '/' && i + 1 < line.size() && line[i + 1] == '/' && i == 0))
      return line.substr(0, i);
  }
  return line;
}

std::string_view next_word(std::string_view& rest) {
  rest = trim(rest);
  std::size_t end = 0;
  while (end < rest.size() && rest[end] != ' ' && rest[end] != '\t' && rest[end] != ',') ++end;
  std::string_view word = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  if (word.size() >= 2 && word.front() == '"' && word.back() == '"') word = word.substr(1, word.size() - 2);
  return word;
}

// The names of a line made for a resolver or an ad blocker; nothing of it when it is none.
struct Blocked {
  std::vector<std::string_view> names;
  bool is = false, nothing = false;  // nothing: a comment
  bool exception = false;
};
Blocked blocked(std::string_view line) {
  Blocked b;
  if (line.starts_with("!") || (line.starts_with("[Adblock") && line.ends_with("]"))) {
    b.is = b.nothing = true;
  } else if (line.starts_with("@@")) {
    b.is = b.exception = true;
  } else if (line.starts_with("||")) {  // ||name^$options
    b.is = true;
    b.names.push_back(line.substr(2, line.find_first_of("^$", 2) - 2));
  } else if (line.starts_with("address=/") || line.starts_with("server=/") || line.starts_with("local=/")) {
    b.is = true;  // option=/name/name/address
    line.remove_prefix(line.find('/') + 1);
    for (auto end = line.find('/'); end != std::string_view::npos; end = line.find('/')) {
      if (end != 0) b.names.push_back(line.substr(0, end));
      line.remove_prefix(end + 1);
    }
  } else if (line.starts_with("local-zone:") || line.starts_with("local-data:")) {
    b.is = true;  // local-zone: "name." type, local-data: "name A 0.0.0.0"
    line = trim(line.substr(11));
    if (line.starts_with("\"")) line.remove_prefix(1);
    b.names.push_back(line.substr(0, line.find_first_of("\" \t")));
  }
  return b;
}

}  // namespace

void load_text(std::string_view text, ListTarget& to) {
  Indicator i = to.blank();
  std::uint64_t number = 0;
  const auto where = [&] { return "line " + std::to_string(number); };
  const auto add = [&](event::Observable o) {
    i.kind = o.kind;
    i.value = std::move(o.value);
    to.add(i, where());
  };
  while (!text.empty()) {
    ++number;
    const auto end = text.find('\n');
    const std::string_view whole = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (whole.size() > kLongestLine) {
      to.refuse("line longer than 16 KiB", where(), whole);
      continue;
    }
    std::string_view rest = trim(without_comment(trim(whole)));
    if (rest.empty()) continue;
    if (const Blocked b = blocked(rest); b.is) {
      if (b.exception) to.skip("exception of an ad blocker's list", where(), rest);
      else if (b.names.empty() && !b.nothing) to.refuse("no observable of any kind", where(), rest);
      for (const std::string_view name : b.names) {
        if (auto o = event::guess(name)) add(*std::move(o));
        else to.refuse("no observable of any kind", where(), name);
      }
      continue;
    }
    const std::string_view first = next_word(rest);
    const bool hosts = first == "0.0.0.0" || first == "127.0.0.1" || first == "::1" || first == "::";
    if (hosts && !trim(rest).empty()) {
      while (!trim(rest).empty()) {
        const std::string_view name = next_word(rest);
        if (name.empty()) continue;
        if (auto o = event::canonical(event::Kind::domain, name)) add(*std::move(o));
        else to.skip("name of the machine itself in a hosts file", where(), name);
      }
      continue;
    }
    auto o = event::guess(first);
    if (!o && first.starts_with("*.")) o = event::guess(first.substr(2));
    if (!o) {
      to.refuse("no observable of any kind", where(), first);
      continue;
    }
    if (o->kind == event::Kind::ipv4) {  // "192.0.2.0  192.0.2.255  24": first and last address, prefix length
      const std::string_view last = next_word(rest), prefix = next_word(rest);
      if (event::parse_ip(last) && !prefix.empty() && prefix.size() <= 2 &&
          prefix.find_first_not_of("0123456789") == std::string_view::npos)
        if (auto network = event::canonical(event::Kind::cidr, o->value + "/" + std::string(prefix)))
          o = std::move(network);
    }
    add(*std::move(o));
  }
}

}  // namespace bavn::match::indicators
