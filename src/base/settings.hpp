#pragma once
// One table declares every setting of a module; the parser, `bavn config explain` and the docs page come from it.
// Life: a Settings is read once and handed on as a value. Thread rules: immutable.
#include <chrono>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace bavn {

enum class Unit : std::uint8_t { none, bytes, seconds, minutes, hours, days, percent };
enum class Restart : std::uint8_t { no, yes };

/// The type of a setting is the type of its default: whole number, fraction, yes/no or text.
using SettingDefault = std::variant<std::int64_t, double, bool, std::string_view>;

struct Bounds {  // inclusive; without meaning for yes/no; of the length for text
  double min = 0;
  double max = 0;
};

struct Setting {
  std::string_view name;  // "history.segment_size": table and key of the TOML file
  Unit unit;
  SettingDefault fallback;
  Bounds bounds;
  std::string_view doc;  // one sentence
  Restart restart;
};

class Settings {
 public:
  /// toml: the file's text; file: its name for messages. The tables must outlive the result. An unknown key, a wrong type and
  /// a value out of bounds are errors that name the line, and the nearest known key.
  static Result<Settings> read(std::span<const Setting> table, std::string_view toml, std::string_view file);
  static Settings defaults(std::span<const Setting> table);

  // Asking for what no table declares, or as another type, is a broken promise (BAVN_ASSERT).
  std::int64_t integer(std::string_view name) const;
  double number(std::string_view name) const;
  bool flag(std::string_view name) const;
  const std::string& text(std::string_view name) const;
  std::chrono::seconds duration(std::string_view name) const;  // of settings with a unit of time

  /// Each setting with value, default, bounds and reason, as text for people (the output is itself a valid TOML file).
  std::string explain() const;

 private:
  using Value = std::variant<std::int64_t, double, bool, std::string>;
  struct Entry {
    const Setting* setting;
    Value value;
    bool is_default = true;
  };
  const Entry& entry(std::string_view name) const;
  std::map<std::string_view, Entry> entries_;
};

std::string_view to_string(Unit u);

}  // namespace bavn
