#pragma once
// A settings file changed by a program, one line of it: comments, order and every other line stay as people wrote them.
// Thread rules: plain functions.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.hpp"
#include "base/settings.hpp"

namespace bavn {

using SettingValue = std::variant<std::int64_t, double, bool, std::string>;

/// The text with this setting as given; no value: as the table has it (its line is taken out). file: for messages.
/// not_found: there is no such setting; bad_input: the value is of another type or out of bounds, or the text cannot be read afterwards;
/// conflict: the line has a form that only a person can change.
Result<std::string> with_setting(std::span<const Setting> table, std::string_view toml, std::string_view file,
                                 std::string_view name, const std::optional<SettingValue>& value);
/// As read, whatever its type.
SettingValue value_of(const Settings& settings, const Setting& setting);
SettingValue fallback_of(const Setting& setting);

}  // namespace bavn
