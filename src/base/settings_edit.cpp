#include "base/settings_edit.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "base/text.hpp"

namespace bavn {

namespace {

std::string literal(const SettingValue& value) {
  if (const auto* n = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *n);
  if (const auto* d = std::get_if<double>(&value)) {
    std::string s = fmt::format("{}", *d);
    return s.find_first_of(".en") == std::string::npos ? s + ".0" : s;
  }
  if (const auto* b = std::get_if<bool>(&value)) return *b ? "true" : "false";
  std::string out = "\"";
  for (const char c : std::get<std::string>(value)) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else out += c;
  }
  return out + '"';
}

/// "[hub]" with or without blanks and a comment; empty: the line is no head of a table.
std::string_view table_of(std::string_view line) {
  line = trim(line);
  if (!line.starts_with('[') || line.starts_with("[[")) return {};
  const auto end = line.find(']');
  return end == std::string_view::npos ? std::string_view() : trim(line.substr(1, end - 1));
}

std::string_view key_of(std::string_view line) {
  const auto equals = line.find('=');
  return equals == std::string_view::npos ? std::string_view() : trim(line.substr(0, equals));
}

}  // namespace

SettingValue value_of(const Settings& settings, const Setting& s) {
  switch (s.fallback.index()) {
    case 0: return settings.integer(s.name);
    case 1: return settings.number(s.name);
    case 2: return settings.flag(s.name);
    default: return settings.text(s.name);
  }
}

SettingValue fallback_of(const Setting& s) {
  return std::visit(
      [](const auto& v) -> SettingValue {
        if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string_view>) return std::string(v);
        else return v;
      },
      s.fallback);
}

Result<std::string> with_setting(std::span<const Setting> table, std::string_view toml, std::string_view file,
                                 std::string_view name, const std::optional<SettingValue>& value) {
  const auto setting = std::ranges::find(table, name, &Setting::name);
  if (setting == table.end()) return fail(Code::not_found, fmt::format("there is no setting {}", name));
  SettingValue wanted = value ? *value : fallback_of(*setting);
  // A whole number where a fraction may stand is that number.
  if (const auto* n = std::get_if<std::int64_t>(&wanted); n != nullptr && setting->fallback.index() == 1)
    wanted = static_cast<double>(*n);
  if (wanted.index() != setting->fallback.index())
    return fail(Code::bad_input,
                fmt::format("{} is {}", name,
                            setting->fallback.index() == 0   ? "a whole number"
                            : setting->fallback.index() == 1 ? "a number"
                            : setting->fallback.index() == 2 ? "true or false"
                                                             : "a text"),
                std::string(name));
  const auto dot = name.find('.');
  const std::string_view of = name.substr(0, dot), key = name.substr(dot + 1);
  std::vector<std::string> lines;
  for (const auto line : split(toml, '\n')) lines.emplace_back(line);
  if (!lines.empty() && lines.back().empty()) lines.pop_back();
  std::string_view here;
  std::optional<std::size_t> at, head;
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (const auto t = table_of(lines[i]); !t.empty()) {
      here = t;
      if (t == of) head = i;
      continue;
    }
    const auto k = key_of(lines[i]);
    if ((here == of && k == key) || (here.empty() && k == name)) at = i;
  }
  if (at && !value) {
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(*at));
  } else if (at) {
    lines[*at] = fmt::format("{} = {}", key_of(lines[*at]), literal(wanted));
  } else if (value) {
    const std::string line = fmt::format("{} = {}", key, literal(wanted));
    if (head) {
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(*head) + 1, line);
    } else {
      lines.push_back(fmt::format("[{}]", of));
      lines.push_back(line);
    }
  }
  std::string out;
  for (const auto& line : lines) out += line + "\n";
  // What was written must be what is read: a form that this does not know (a text over several lines) is a person's to change.
  BAVN_TRY(const auto read, Settings::read(table, out, file));
  if (value_of(read, *setting) != wanted)
    return fail(Code::conflict, fmt::format("{} stands in {} in a form that only a person can change", name, file));
  return out;
}

}  // namespace bavn
