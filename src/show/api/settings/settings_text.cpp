#include "show/api/settings/settings_text.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "base/text.hpp"

namespace bavn::show::api {

namespace {

std::string toml_of(const SettingValue& value) {
  struct Write {
    std::string operator()(std::int64_t n) const { return fmt::format("{}", n); }
    std::string operator()(double d) const {
      const std::string s = fmt::format("{}", d);
      return s.find_first_of(".en") == std::string::npos ? s + ".0" : s;
    }
    std::string operator()(bool b) const { return b ? "true" : "false"; }
    std::string operator()(const std::string& s) const {
      std::string out = "\"";
      for (const char c : s) {
        if (c == '"' || c == '\\') out += '\\';
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F)
          out += fmt::format("\\u{:04X}", static_cast<unsigned>(c));
        else out += c;
      }
      return out + "\"";
    }
  };
  return std::visit(Write{}, value);
}

/// The table that a line opens; nothing when it opens none.
std::optional<std::string_view> table_of(std::string_view line) {
  line = trim(line);
  if (!line.starts_with('[') || line.starts_with("[[")) return std::nullopt;
  const auto end = line.find(']');
  if (end == std::string_view::npos) return std::nullopt;
  return trim(line.substr(1, end - 1));
}

/// Does the line set this key? Bare and quoted keys.
bool sets(std::string_view line, std::string_view key) {
  line = trim(line);
  const auto is = line.find('=');
  if (is == std::string_view::npos || line.starts_with('#')) return false;
  std::string_view name = trim(line.substr(0, is));
  if (name.size() > 1 && (name.front() == '"' || name.front() == '\'') && name.back() == name.front())
    name = name.substr(1, name.size() - 2);
  return name == key;
}

}  // namespace

std::string with_setting(std::string_view toml, std::string_view name, const std::optional<SettingValue>& value) {
  const auto dot = name.rfind('.');
  const std::string_view table = dot == std::string_view::npos ? std::string_view() : name.substr(0, dot);
  const std::string_view key = dot == std::string_view::npos ? name : name.substr(dot + 1);
  std::vector<std::string> lines;
  for (const auto line : split(toml, '\n')) lines.emplace_back(line);
  while (!lines.empty() && trim(lines.back()).empty()) lines.pop_back();
  const std::string wanted = value ? fmt::format("{} = {}", key, toml_of(*value)) : std::string();
  std::string in;
  std::optional<std::size_t> after;  // the last line of the table that is not empty
  if (table.empty()) after = std::size_t{0};
  for (std::size_t i = 0; i < lines.size(); ++i) {
    if (const auto opened = table_of(lines[i])) in = *opened;
    const bool here = in == table;
    if (here && sets(lines[i], key)) {
      if (value) lines[i] = wanted;
      else lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(i));
      return fmt::format("{}\n", fmt::join(lines, "\n"));
    }
    // "share.alerts = ..." above all tables says the same.
    if (in.empty() && sets(lines[i], name)) {
      if (value) lines[i] = fmt::format("{} = {}", name, toml_of(*value));
      else lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(i));
      return fmt::format("{}\n", fmt::join(lines, "\n"));
    }
    if (here && !trim(lines[i]).empty()) after = i + 1;
  }
  if (value) {
    if (after) {
      lines.insert(lines.begin() + static_cast<std::ptrdiff_t>(*after), wanted);
    } else {
      if (!lines.empty()) lines.emplace_back();
      lines.push_back(fmt::format("[{}]", table));
      lines.push_back(wanted);
    }
  }
  return lines.empty() ? std::string() : fmt::format("{}\n", fmt::join(lines, "\n"));
}

SettingValue fallback_of(const Setting& s) {
  struct Copy {
    SettingValue operator()(std::int64_t n) const { return n; }
    SettingValue operator()(double d) const { return d; }
    SettingValue operator()(bool b) const { return b; }
    SettingValue operator()(std::string_view t) const { return std::string(t); }
  };
  return std::visit(Copy{}, s.fallback);
}

SettingValue value_of(const Settings& settings, const Setting& s) {
  struct Read {
    const Settings& from;
    std::string_view name;
    SettingValue operator()(std::int64_t) const { return from.integer(name); }
    SettingValue operator()(double) const { return from.number(name); }
    SettingValue operator()(bool) const { return from.flag(name); }
    SettingValue operator()(std::string_view) const { return from.text(name); }
  };
  return std::visit(Read{settings, s.name}, s.fallback);
}

}  // namespace bavn::show::api
