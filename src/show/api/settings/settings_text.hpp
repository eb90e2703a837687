#pragma once
// Changes single settings in the text of a settings file and leaves everything else as people wrote it, comments too.
// Plain functions; any thread.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.hpp"
#include "base/settings.hpp"

namespace bavn::show::api {

using SettingValue = std::variant<std::int64_t, double, bool, std::string>;

/// name: "share.alerts". No value: the line goes, the default counts again.
std::string with_setting(std::string_view toml, std::string_view name, const std::optional<SettingValue>& value);
SettingValue value_of(const Settings& settings, const Setting& setting);
SettingValue fallback_of(const Setting& setting);

}  // namespace bavn::show::api
