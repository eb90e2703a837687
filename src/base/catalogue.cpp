#include "base/catalogue.hpp"

#include <fmt/format.h>

#include <boost/json.hpp>
#include <set>

#include "base/content.hpp"
#include "base/text.hpp"

namespace bavn {

namespace {

constexpr std::array kLanguages{Language::da, Language::nb, Language::en};

/// Calls text(piece) and placeholder(name) in order. False: a brace that is neither.
template <class Text, class Placeholder>
bool walk(std::string_view s, Text&& text, Placeholder&& placeholder) {
  while (!s.empty()) {
    const auto brace = s.find_first_of("{}");
    text(s.substr(0, brace));
    if (brace == std::string_view::npos) return true;
    if (s.substr(brace).starts_with("{{") || s.substr(brace).starts_with("}}")) {
      text(s.substr(brace, 1));
      s.remove_prefix(brace + 2);
      continue;
    }
    const auto end = s.find('}', brace);
    if (s[brace] == '}' || end == std::string_view::npos || end == brace + 1) return false;
    placeholder(s.substr(brace + 1, end - brace - 1));
    s.remove_prefix(end + 1);
  }
  return true;
}

std::optional<std::set<std::string_view>> placeholders_of(std::string_view s) {
  std::set<std::string_view> names;
  if (!walk(s, [](std::string_view) {}, [&](std::string_view name) { names.insert(name); })) return std::nullopt;
  return names;
}

/// number: of a counted text, the value of {n}; else empty.
std::string filled(std::string_view text, Catalogue::Values values, const std::string& number) {
  std::string out;
  const bool whole = walk(
      text, [&](std::string_view piece) { out += piece; },
      [&](std::string_view name) {
        if (name == "n" && !number.empty()) {
          out += number;
          return;
        }
        const auto* value = values.begin();
        while (value != values.end() && value->first != name) ++value;
        BAVN_ASSERT(value != values.end());
        out += value->second;
      });
  BAVN_ASSERT(whole);
  return out;
}

}  // namespace

std::string_view to_string(Language language) {
  switch (language) {
    case Language::da: return "da";
    case Language::nb: return "nb";
    case Language::en: return "en";
  }
  return "en";
}

std::optional<Language> language_of(std::string_view code) {
  const std::string lower = to_lower(code.substr(0, code.find_first_of("-_")));
  if (lower == "no" || lower == "nn") return Language::nb;
  for (const auto language : kLanguages)
    if (lower == to_string(language)) return language;
  return std::nullopt;
}

Result<Catalogue> Catalogue::read(const std::array<std::string_view, 3>& texts) {
  Catalogue catalogue;
  std::vector<std::string> faults;
  for (const auto language : kLanguages) {
    const auto i = static_cast<std::size_t>(language);
    boost::system::error_code error;
    const auto json = boost::json::parse(texts[i], error);
    if (error || !json.is_object())
      return fail(Code::bad_input, fmt::format("i18n/{}.json is not one JSON object", to_string(language)));
    for (const auto& member : json.get_object()) {
      if (!member.value().is_string()) {
        faults.push_back(fmt::format("{}: {} is not text", to_string(language), std::string_view(member.key())));
        continue;
      }
      catalogue.texts_[i].emplace(std::string(member.key()), std::string(member.value().get_string()));
    }
  }
  std::set<std::string_view> keys;
  for (const auto& all : catalogue.texts_)
    for (const auto& [key, text] : all) keys.insert(key);
  for (const auto key : keys) {
    std::optional<std::set<std::string_view>> first;
    for (const auto language : kLanguages) {
      const auto& all = catalogue.texts_[static_cast<std::size_t>(language)];
      const auto found = all.find(key);
      if (found == all.end() || trim(found->second).empty()) {
        faults.push_back(fmt::format("{}: {} is missing", to_string(language), key));
        continue;
      }
      auto names = placeholders_of(found->second);
      if (!names) {
        faults.push_back(fmt::format("{}: {} has a brace without its partner", to_string(language), key));
        continue;
      }
      // "One new alarm" may do without its number.
      if (key.ends_with(".one")) names->erase("n");
      if (!first) first = std::move(names);
      else if (*first != *names)
        faults.push_back(
            fmt::format("{}: {} has other placeholders than the language before it", to_string(language), key));
    }
    for (const auto& [half, other] :
         {std::pair<std::string_view, std::string_view>{".one", ".other"}, {".other", ".one"}})
      if (key.ends_with(half) && !keys.contains(std::string(key.substr(0, key.size() - half.size())).append(other)))
        faults.push_back(fmt::format("{} has no {}", key, other));
  }
  if (faults.empty()) return catalogue;
  std::string what;
  for (const auto& fault : faults) what += (what.empty() ? "" : "; ") + fault;
  return fail(Code::bad_input, what);
}

Catalogue Catalogue::embedded() {
  const auto da = content::file("i18n/da.json"), nb = content::file("i18n/nb.json"), en = content::file("i18n/en.json");
  BAVN_ASSERT(da && nb && en);
  auto read_back = read({*da, *nb, *en});
  BAVN_ASSERT(read_back.has_value());
  return std::move(*read_back);
}

std::string Catalogue::say(Language language, std::string_view key, Values values) const {
  const auto& all = texts_[static_cast<std::size_t>(language)];
  const auto found = all.find(key);
  BAVN_ASSERT(found != all.end());
  return filled(found->second, values, {});
}

std::string Catalogue::count(Language language, std::string_view key, std::int64_t n, Values values) const {
  // Danish, Norwegian and English agree: one, and everything else (Unicode CLDR, cardinal rules for whole numbers).
  const auto& all = texts_[static_cast<std::size_t>(language)];
  const auto found = all.find(std::string(key) + (n == 1 ? ".one" : ".other"));
  BAVN_ASSERT(found != all.end());
  return filled(found->second, values, std::to_string(n));
}

bool Catalogue::has(std::string_view key) const {
  return texts_[0].contains(key);
}

std::vector<std::string_view> Catalogue::keys() const {
  std::vector<std::string_view> keys;
  for (const auto& [key, text] : texts_[0]) keys.emplace_back(key);
  return keys;
}

}  // namespace bavn
