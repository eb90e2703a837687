#include "app/simulate/towns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "app/simulate/dice.hpp"
#include "base/content.hpp"
#include "base/text.hpp"
#include "tenants/municipalities.hpp"

namespace bavn::app::simulate {

namespace {

constexpr std::string_view kFirst[] = {
    "anna",  "mette",  "lars",   "peter", "soeren",  "kirsten", "hanne",  "jens",   "bo",        "lene",
    "karen", "niels",  "henrik", "maria", "camilla", "thomas",  "martin", "louise", "christian", "pia",
    "ole",   "birgit", "rasmus", "emma",  "ida",     "freja",   "noah",   "oscar",  "william",   "alma",
    "jonas", "kasper", "signe",  "trine", "morten",  "dorthe",  "gitte",  "finn",   "kaj",       "ulla"};
constexpr std::string_view kLast[] = {
    "holm",     "lund",        "dahl",    "krogh",    "bruun",   "friis",     "kjaer",   "skov",     "winther",
    "bech",     "vestergaard", "toft",    "juhl",     "lassen",  "mikkelsen", "berg",    "ravn",     "bjerre",
    "thygesen", "overgaard",   "noerby",  "damgaard", "kruse",   "bang",      "munk",    "hald",     "steen",
    "riis",     "busk",        "dam",     "falk",     "gram",    "hoej",      "iversen", "jeppesen", "kofoed",
    "laursen",  "moelgaard",   "nygaard", "olesen",   "poulsen", "quist",     "rask",    "svane",    "tang",
    "ulrik",    "voss",        "wulff",   "ebbesen",  "aagaard"};
constexpr std::string_view kFunctions[] = {"post", "info",          "borgerservice", "oekonomi",
                                           "it",   "kommunikation", "loen",          "teknik"};

std::string domain_of_name(std::string_view name) {
  std::string out;
  for (std::size_t at = 0; at < name.size();) {
    std::uint32_t c = 0;
    const std::size_t n = decode_utf8(name, at, c);
    at += n == 0 ? 1 : n;
    switch (c) {
      case 0xE6:
      case 0xC6: out += "ae"; break;
      case 0xF8:
      case 0xD8: out += "oe"; break;
      case 0xE5:
      case 0xC5: out += "aa"; break;
      default:
        if (c < 128 && (ascii_digit(static_cast<char>(c)) ||
                        (ascii_lower(static_cast<char>(c)) >= 'a' && ascii_lower(static_cast<char>(c)) <= 'z')))
          out += ascii_lower(static_cast<char>(c));
        else if (!out.empty() && out.back() != '-') out += '-';
    }
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out + ".example";
}

std::map<std::string, std::string, std::less<>> sizes() {
  std::map<std::string, std::string, std::less<>> out;
  const auto text = content::file("content/scenarios/community/denmark.csv");
  BAVN_ASSERT(text);
  for (const auto line : split(*text, '\n')) {
    const auto cut = line.find(',');
    if (cut != std::string_view::npos) out.emplace(line.substr(0, cut), trim(line.substr(cut + 1)));
  }
  return out;
}

const tenants::Municipalities& every_municipality() {
  static const auto all = tenants::Municipalities::all();
  return all;
}

/// Those that exist: who is named anywhere in a scenario is among those that are drawn.
TownChoice there(const Scenario& s) {
  TownChoice out = s.municipalities;
  if (out.some == 0) return out;
  const auto add = [&](const TownChoice& t) { out.ids.insert(out.ids.end(), t.ids.begin(), t.ids.end()); };
  const auto add_name = [&](std::string_view name) {
    if (const auto m = every_municipality().named(name)) out.ids.push_back((*m)->id);
  };
  const auto add_account = [&](std::string_view account) {
    if (const auto at = account.find('@'); at != std::string_view::npos && account.substr(at + 1) != "any")
      add_name(account.substr(at + 1));
  };
  add(s.connected);
  add(s.purge.mandate);
  for (const auto& [name, own] : s.sources.by_town) add_name(name);
  for (const auto& a : s.attacks)
    for (const auto& step : a.steps) {
      add_account(step.account);
      for (const auto& to : step.to) {
        add(to.towns);
        add_account(to.account);
      }
    }
  for (const auto& r : s.rogues) add(r.town);
  for (const auto& w : s.wire.away) add(w.towns);
  return out;
}

}  // namespace

Towns::Towns(const Scenario& s, std::uint64_t seed) : seed_(seed) {
  const auto& all = every_municipality();
  static const auto size_of = sizes();
  const auto country = s.country == "norway" ? tenants::Country::norway : tenants::Country::denmark;
  for (const auto& m : all.list()) {
    if (m.country != country) continue;
    zone_ = m.zone();
    Town t;
    t.id = m.id;
    t.code = m.code();
    t.name = m.name;
    t.region = m.region;
    const auto size = size_of.find(t.code);
    t.size = size == size_of.end() ? "S" : size->second;
    t.domain = domain_of_name(m.name);
    list_.push_back(std::move(t));
  }
  // Chosen out of all of the country, then everything else out of those.
  auto here = chosen(there(s), "municipalities");
  std::sort(here.begin(), here.end());
  std::vector<Town> kept;
  for (const std::size_t i : here) kept.push_back(std::move(list_[i]));
  list_ = std::move(kept);
  for (std::size_t i = 0; i < list_.size(); ++i) {
    Town& t = list_[i];
    if (by_domain_.contains(t.domain)) t.domain = t.code + "-" + t.domain;  // two of one name
    by_id_[t.id.value] = i;
    by_domain_[t.domain] = i;
    Dice dice(seed, "town " + t.code);
    const auto boxes = s.people.mailboxes.find(t.size);
    t.mailboxes = std::max<std::int64_t>(
        10, std::llround((boxes == s.people.mailboxes.end() ? 1000 : boxes->second) * (0.8 + 0.4 * dice.share())));
    Sources plan = s.sources.everywhere;
    const auto put = [&](const Sources& more) {
      for (const auto& [name, spec] : more) plan[name] = spec;
    };
    if (const auto own = s.sources.by_size.find(t.size); own != s.sources.by_size.end()) put(own->second);
    for (const auto& [name, own] : s.sources.by_town)
      if (const auto found = all.named(name); found && (*found)->id == t.id) put(own);
    for (const auto& [name, spec] : plan) {
      const double drawn = Dice(seed, "source " + name + t.code).share();
      if (spec.there && drawn < spec.share) t.logs[name] = spec;
    }
  }
  for (const std::size_t i : chosen(s.connected, "connected")) list_[i].connected = true;
  for (const std::size_t i : chosen(s.purge.mandate, "mandate")) list_[i].mandate = true;
}

std::size_t Towns::of(MunicipalityId id) const {
  const auto found = by_id_.find(id.value);
  return found == by_id_.end() ? kNone : found->second;
}

std::size_t Towns::of_domain(std::string_view domain) const {
  const auto found = by_domain_.find(domain);
  return found == by_domain_.end() ? kNone : found->second;
}

std::pair<std::size_t, std::string> Towns::account(std::string_view name_at_town, std::string_view label) const {
  const auto cut = name_at_town.find('@');
  if (cut == std::string_view::npos) return {kNone, {}};
  std::size_t town = kNone;
  if (name_at_town.substr(cut + 1) == "any") {
    std::vector<std::size_t> with_node;
    for (std::size_t i = 0; i < list_.size(); ++i)
      if (list_[i].connected) with_node.push_back(i);
    if (!with_node.empty()) town = Dice(seed_, fmt::format("{} {}", label, name_at_town)).one_of(with_node);
  } else {
    const auto found = every_municipality().named(name_at_town.substr(cut + 1));
    if (found) town = of((*found)->id);
  }
  if (town == kNone) return {kNone, {}};
  return {town, fmt::format("{}@{}", name_at_town.substr(0, cut), list_[town].domain)};
}

std::string Towns::person(std::size_t town, std::int64_t n) const {
  constexpr std::size_t kNames = std::size(kFirst) * std::size(kLast);
  // Another order of names in each town; numbers where names run out.
  const std::uint64_t k = (static_cast<std::uint64_t>(n) * 769 + list_[town].id.value * 131ULL) % kNames;
  const auto round = static_cast<std::uint64_t>(n) / kNames;
  std::string name = fmt::format("{}.{}", kFirst[k % std::size(kFirst)], kLast[k / std::size(kFirst)]);
  if (round > 0) name += std::to_string(round + 1);
  return name + "@" + list_[town].domain;
}

std::string Towns::function(const Town& town, std::uint64_t n) {
  return fmt::format("{}@{}", kFunctions[n % std::size(kFunctions)], town.domain);
}

std::vector<std::size_t> Towns::chosen(const TownChoice& choice, std::string_view label,
                                       const std::vector<std::size_t>& but) const {
  std::vector<std::size_t> out, rest;
  std::vector<bool> taken(list_.size(), false);
  for (const std::size_t i : but) taken[i] = true;
  const auto take = [&](std::size_t i) {
    if (taken[i]) return;
    taken[i] = true;
    out.push_back(i);
  };
  for (std::size_t i = 0; i < list_.size(); ++i) {
    const Town& t = list_[i];
    bool wanted = choice.all || std::find(choice.ids.begin(), choice.ids.end(), t.id) != choice.ids.end();
    for (const auto& g : choice.groups) {
      const auto what = trim(std::string_view(g).substr(g.find(' ')));
      wanted = wanted || (to_lower(g).starts_with("size") ? iequals(t.size, what) : iequals(t.region, what));
    }
    if (wanted) take(i);
  }
  if (choice.some > 0) {
    for (std::size_t i = 0; i < list_.size(); ++i)
      if (!taken[i]) rest.push_back(i);
    Dice dice(seed_, label);
    dice.shuffle(rest);
    // Named ones count as some of the number, unless they were left out on purpose.
    const auto wanted = static_cast<std::size_t>(choice.some) + (but.empty() ? 0 : out.size());
    for (std::size_t i = 0; i < rest.size() && out.size() < wanted; ++i) out.push_back(rest[i]);
  }
  return out;
}

}  // namespace bavn::app::simulate
