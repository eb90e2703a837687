#include "tenants/municipalities.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/content.hpp"
#include "base/text.hpp"

namespace bavn::tenants {

namespace {

std::optional<std::uint16_t> number(std::string_view text) {
  std::uint16_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return n;
}

std::string comparable(std::string_view name) {
  std::string lower = to_lower_utf8(trim(name));
  if (lower.ends_with(" kommune")) lower.resize(lower.size() - std::string_view(" kommune").size());
  return lower;
}

}  // namespace

std::string Municipality::code() const {
  return fmt::format("{:04}", id.value);
}
std::string_view Municipality::language() const {
  return country == Country::denmark ? "da" : "nb";
}
std::string_view Municipality::zone() const {
  return country == Country::denmark ? "Europe/Copenhagen" : "Europe/Oslo";
}

Municipalities Municipalities::all() {
  Municipalities all;
  for (const auto& [file, country] : {std::pair{"content/municipalities/denmark.csv", Country::denmark},
                                      std::pair{"content/municipalities/norway.csv", Country::norway}}) {
    const auto text = content::file(file);
    BAVN_ASSERT(text && text->starts_with("code,name,region\n"));
    for (const auto line : split(text->substr(text->find('\n') + 1), '\n')) {
      if (line.empty()) continue;
      const auto cells = split(line, ',');
      BAVN_ASSERT(cells.size() == 3 && cells[0].size() == 4 && number(cells[0]));
      all.list_.push_back({{*number(cells[0])}, std::string(cells[1]), std::string(cells[2]), country});
    }
  }
  std::sort(all.list_.begin(), all.list_.end(), [](const auto& a, const auto& b) { return a.id < b.id; });
  return all;
}

const Municipality* Municipalities::find(MunicipalityId id) const {
  const auto at = std::lower_bound(list_.begin(), list_.end(), id, [](const auto& m, auto i) { return m.id < i; });
  return at != list_.end() && at->id == id ? &*at : nullptr;
}

Result<const Municipality*> Municipalities::named(std::string_view code_or_name) const {
  if (const auto code = number(trim(code_or_name))) {
    if (const auto* found = find({*code})) return found;
    return fail(Code::not_found, fmt::format("no municipality of Denmark or Norway has the code {}", *code));
  }
  const std::string wanted = comparable(code_or_name);
  std::vector<std::string> names;
  for (const auto& m : list_) {
    names.push_back(to_lower_utf8(m.name));
    if (names.back() == wanted) return &m;
  }
  const std::vector<std::string_view> known(names.begin(), names.end());
  const auto near = nearest(wanted, known);
  for (std::size_t i = 0; i < known.size() && !near.empty(); ++i)
    if (known[i] == near)
      return fail(Code::not_found, fmt::format("no municipality is called \"{}\"; did you mean {} ({})?",
                                               trim(code_or_name), list_[i].name, list_[i].code()));
  return fail(Code::not_found, fmt::format("no municipality of Denmark or Norway is called \"{}\"; its four-digit code "
                                           "works too",
                                           trim(code_or_name)));
}

}  // namespace bavn::tenants
