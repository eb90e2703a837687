#include "base/settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/toml_reader.inc"

#include "base/text.hpp"
#include "base/toml_text.hpp"

namespace bavn {

namespace {

std::string where_of(std::string_view file, const toml::source_region& source) {
  return fmt::format("{}:{}", file, source.begin.line);
}

std::string_view type_of(const SettingDefault& v) {
  constexpr std::string_view names[] = {"a whole number", "a number", "true or false", "a text in quotes"};
  return names[v.index()];
}

std::string toml_text(std::string_view s) {
  std::string out = "\"";
  for (char c : s) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') out += "\\n";
    else out += c;
  }
  return out + '"';
}

std::string shown(double d) {
  return std::abs(d) < 1e15 && d == std::trunc(d) ? fmt::format("{:.0f}", d) : fmt::format("{}", d);
}

}  // namespace

std::string_view to_string(Unit u) {
  constexpr std::string_view names[] = {"", "bytes", "seconds", "minutes", "hours", "days", "percent"};
  return names[static_cast<std::size_t>(u)];
}

Settings Settings::defaults(std::span<const Setting> table) {
  Settings out;
  for (const Setting& s : table) {
    Value value = std::visit(
        [](const auto& v) -> Value {
          if constexpr (std::is_same_v<std::decay_t<decltype(v)>, std::string_view>) return std::string(v);
          else return v;
        },
        s.fallback);
    BAVN_ASSERT(std::count(s.name.begin(), s.name.end(), '.') == 1 && "a setting is called table.key");
    const bool added = out.entries_.emplace(s.name, Entry{&s, std::move(value)}).second;
    BAVN_ASSERT(added && "a setting is declared once");
  }
  return out;
}

Result<Settings> Settings::read(std::span<const Setting> table, std::string_view text, std::string_view file) {
  Settings out = defaults(table);
  BAVN_CHECK(plain_outside_quotes(text, file));
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed)
    return fail(Code::bad_input, fmt::format("not TOML: {}", parsed.error().description()),
                where_of(file, parsed.error().source()));

  std::vector<std::string_view> known;
  for (const auto& [name, unused] : out.entries_) known.push_back(name);
  const auto take = [&](const std::string& name, const toml::node& node) -> Result<void> {
    const std::string where = where_of(file, node.source());
    const auto it = out.entries_.find(name);
    if (it == out.entries_.end()) {
      const std::string_view near = nearest(name, known);
      return fail(Code::bad_input,
                  fmt::format("unknown setting {}{}; `bavn config explain` lists all", name,
                              near.empty() ? "" : fmt::format(", did you mean {}?", near)),
                  where);
    }
    Entry& e = it->second;
    const Setting& s = *e.setting;
    const auto wrong_type = [&] {
      return fail(Code::bad_input, fmt::format("{} must be {}", name, type_of(s.fallback)), where);
    };
    double size = 0;
    if (std::holds_alternative<std::int64_t>(s.fallback)) {
      const auto v = node.value_exact<std::int64_t>();
      if (!v) return wrong_type();
      size = static_cast<double>(*v);
      e.value = *v;
    } else if (std::holds_alternative<double>(s.fallback)) {
      const auto v = node.value<double>();
      if (!v || node.is_boolean()) return wrong_type();
      size = *v;
      e.value = *v;
    } else if (std::holds_alternative<bool>(s.fallback)) {
      const auto v = node.value_exact<bool>();
      if (!v) return wrong_type();
      e.value = *v;
    } else {
      const auto v = node.value_exact<std::string>();
      if (!v) return wrong_type();
      size = static_cast<double>(v->size());
      e.value = *v;
    }
    // !(a && b): a fraction may be nan, which no bound holds back otherwise
    if (!std::holds_alternative<bool>(s.fallback) && !(size >= s.bounds.min && size <= s.bounds.max))
      return fail(Code::bad_input,
                  fmt::format("{} must be {} to {} {}, not {}", name, shown(s.bounds.min), shown(s.bounds.max),
                              std::holds_alternative<std::string_view>(s.fallback) ? "characters" : to_string(s.unit),
                              shown(size)),
                  where);
    e.is_default = false;
    return {};
  };

  for (const auto& [key, node] : parsed.table()) {
    const toml::table* inner = node.as_table();
    if (inner == nullptr) {
      BAVN_CHECK(take(std::string(key.str()), node));  // says that it is unknown: every setting is in a table
      continue;
    }
    for (const auto& [inner_key, inner_node] : *inner)
      BAVN_CHECK(take(fmt::format("{}.{}", key.str(), inner_key.str()), inner_node));
  }
  return out;
}

const Settings::Entry& Settings::entry(std::string_view name) const {
  const auto it = entries_.find(name);
  BAVN_ASSERT(it != entries_.end() && "the setting is declared in a table");
  return it->second;
}

std::int64_t Settings::integer(std::string_view name) const {
  const auto* v = std::get_if<std::int64_t>(&entry(name).value);
  BAVN_ASSERT(v != nullptr);
  return *v;
}
double Settings::number(std::string_view name) const {
  const auto* v = std::get_if<double>(&entry(name).value);
  BAVN_ASSERT(v != nullptr);
  return *v;
}
bool Settings::flag(std::string_view name) const {
  const auto* v = std::get_if<bool>(&entry(name).value);
  BAVN_ASSERT(v != nullptr);
  return *v;
}
const std::string& Settings::text(std::string_view name) const {
  const auto* v = std::get_if<std::string>(&entry(name).value);
  BAVN_ASSERT(v != nullptr);
  return *v;
}

std::chrono::seconds Settings::duration(std::string_view name) const {
  const std::int64_t n = integer(name);
  switch (entry(name).setting->unit) {
    case Unit::seconds: return std::chrono::seconds(n);
    case Unit::minutes: return std::chrono::minutes(n);
    case Unit::hours: return std::chrono::hours(n);
    case Unit::days: return std::chrono::days(n);
    default: BAVN_ASSERT(false && "a setting with a unit of time"); return {};
  }
}

std::string Settings::explain() const {
  std::string out;
  std::string table;
  for (const auto& [name, e] : entries_) {
    const std::size_t dot = name.find('.');
    const std::string_view in = name.substr(0, dot);
    if (in != table) {
      table = in;
      out += fmt::format("{}[{}]\n", out.empty() ? "" : "\n", table);
    }
    const Setting& s = *e.setting;
    const bool is_text = std::holds_alternative<std::string_view>(s.fallback);
    out += fmt::format("# {}\n#", s.doc);
    if (s.unit != Unit::none) out += fmt::format(" In {}.", to_string(s.unit));
    if (!std::holds_alternative<bool>(s.fallback))
      out += fmt::format(" {} to {}{}.", shown(s.bounds.min), shown(s.bounds.max), is_text ? " characters" : "");
    out += fmt::format(" {}{}\n", e.is_default ? "This is the default." : "Set by you.",
                       s.restart == Restart::yes ? " A change needs a restart." : "");
    const std::string value = std::visit(
        [](const auto& v) -> std::string {
          using V = std::decay_t<decltype(v)>;
          if constexpr (std::is_same_v<V, std::string>) return toml_text(v);
          else if constexpr (std::is_same_v<V, bool>) return v ? "true" : "false";
          else if constexpr (std::is_same_v<V, double>) {
            std::string text = fmt::format("{}", v);
            return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
          } else return fmt::format("{}", v);
        },
        e.value);
    out += fmt::format("{} = {}\n", name.substr(dot + 1), value);
  }
  return out;
}

}  // namespace bavn
