#include "base/settings_edit.hpp"

#include <gtest/gtest.h>

namespace bavn {
namespace {

constexpr Setting kTable[] = {
    {"hub.name", Unit::none, std::string_view("joint CERT"), {0, 100}, "Whose.", Restart::yes},
    {"hub.port", Unit::none, std::int64_t{8443}, {0, 65535}, "Port.", Restart::yes},
    {"warn.remind_after", Unit::minutes, std::int64_t{15}, {1, 1440}, "Wait.", Restart::yes},
    {"warn.share", Unit::none, 0.5, {0, 1}, "Share.", Restart::yes},
    {"warn.loud", Unit::none, false, {0, 0}, "Loud.", Restart::yes},
};

constexpr std::string_view kFile = "# by hand\n[hub]\nname = \"A \\\"B\\\"\" # ours\nport = 1\n";

std::string changed(std::string_view toml, std::string_view name, const std::optional<SettingValue>& value) {
  const auto out = with_setting(kTable, toml, "settings.toml", name, value);
  return out ? *out : "error: " + out.error().what;
}

TEST(SettingsEdit, ChangesOneLineAndLeavesTheOthers) {
  EXPECT_EQ(changed(kFile, "hub.port", SettingValue{std::int64_t{9}}),
            "# by hand\n[hub]\nname = \"A \\\"B\\\"\" # ours\nport = 9\n");
}

TEST(SettingsEdit, AddsALineToItsTableOrATable) {
  EXPECT_EQ(changed("[hub]\nport = 1\n", "hub.name", SettingValue{std::string("x\"\\\ny")}),
            "[hub]\nname = \"x\\\"\\\\\\u000ay\"\nport = 1\n");
  EXPECT_EQ(changed(kFile, "warn.share", SettingValue{1.0}), std::string(kFile) + "[warn]\nshare = 1.0\n");
  EXPECT_EQ(changed("", "warn.share", SettingValue{std::int64_t{1}}), "[warn]\nshare = 1.0\n");
  EXPECT_EQ(changed("", "warn.loud", SettingValue{true}), "[warn]\nloud = true\n");
}

TEST(SettingsEdit, WithoutAValueTheLineGoes) {
  EXPECT_EQ(changed("[hub]\nport = 1\n", "hub.port", std::nullopt), "[hub]\n");
  EXPECT_EQ(changed("[hub]\n", "hub.port", std::nullopt), "[hub]\n");
}

TEST(SettingsEdit, RefusesWhatTheFileWouldRefuse) {
  EXPECT_EQ(with_setting(kTable, kFile, "f", "hub.porter", SettingValue{std::int64_t{1}}).error().code,
            Code::not_found);
  EXPECT_EQ(with_setting(kTable, kFile, "f", "hub.port", SettingValue{std::int64_t{70000}}).error().code,
            Code::bad_input);
  EXPECT_EQ(with_setting(kTable, kFile, "f", "hub.port", SettingValue{std::string("1")}).error().code, Code::bad_input);
  EXPECT_EQ(with_setting(kTable, "[hub\n", "f", "hub.port", SettingValue{std::int64_t{1}}).error().code,
            Code::bad_input);
}

TEST(SettingsEdit, ATextOverSeveralLinesIsAPersonsToChange) {
  const auto out =
      with_setting(kTable, "[hub]\nname = \"\"\"a\nport = 5\n\"\"\"\n", "f", "hub.port", SettingValue{std::int64_t{6}});
  EXPECT_FALSE(out);
}

}  // namespace
}  // namespace bavn
