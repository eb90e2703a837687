// Settings with their reasons and bounds. A change is written to the file that people may edit too; it holds from the next start.
#include <algorithm>

#include "base/files.hpp"
#include "base/settings_edit.hpp"
#include "show/api/hub_inner.hpp"

namespace bavn::show::api {

namespace {

constexpr std::uint64_t kMostFile = 1U << 20U;

struct SettingView {
  std::string name, type;
  net::RawJson value;
  std::optional<net::RawJson> pending;
  net::RawJson fallback;
  std::string unit;
  double least = 0, most = 0;
  std::string reason;
  bool restart = true, changed = false;
};
BOOST_DESCRIBE_STRUCT(SettingView, (),
                      (name, type, value, pending, fallback, unit, least, most, reason, restart, changed))
struct SettingsView {
  std::vector<SettingView> items;
  bool restart_needed = false;
};
BOOST_DESCRIBE_STRUCT(SettingsView, (), (items, restart_needed))
struct NewSetting {
  std::optional<net::RawJson> value;
  std::optional<std::string> why;
};
BOOST_DESCRIBE_STRUCT(NewSetting, (), (value, why))

net::RawJson json_of(const SettingValue& v) {
  return {std::visit([](const auto& x) { return net::to_json(x); }, v)};
}

Result<std::string> file_text(const Hub& hub) {
  DiskFiles files;
  if (hub.settings_file.empty())
    return fail(Code::unavailable, "this hub has no settings file: it was started without a data folder");
  if (!files.exists(hub.settings_file)) return std::string();
  return read_file(files, hub.settings_file, kMostFile);
}

Result<SettingsView> view_of(const Hub& hub, std::string_view toml) {
  BAVN_TRY(const auto next, Settings::read(hub.settings_table, toml, hub.settings_file));
  SettingsView v;
  for (const Setting& s : hub.settings_table) {
    const SettingValue fallback = fallback_of(s);
    const SettingValue now = hub.settings != nullptr ? value_of(*hub.settings, s) : fallback;
    const SettingValue then = value_of(next, s);
    constexpr std::string_view kTypes[] = {"integer", "number", "flag", "text"};
    SettingView row{};
    row.name = s.name;
    row.type = kTypes[s.fallback.index()];
    row.value = json_of(now);
    if (then != now) {
      row.pending = json_of(then);
      v.restart_needed = true;
    }
    row.fallback = json_of(fallback);
    row.unit = s.unit == Unit::none ? "none" : std::string(to_string(s.unit));
    row.least = s.bounds.min;
    row.most = s.bounds.max;
    row.reason = s.doc;
    row.restart = s.restart == Restart::yes;
    row.changed = then != fallback;
    v.items.push_back(std::move(row));
  }
  std::ranges::sort(v.items, {}, &SettingView::name);
  return v;
}

net::Reply show(const Hub& hub) {
  const auto text = file_text(hub);
  const auto v = text ? view_of(hub, *text) : std::unexpected(text.error());
  return v ? web::tagged(net::json(net::to_json(*v)), web::etag_of_text(*text)) : net::problem(v.error());
}

Result<std::optional<SettingValue>> value_asked(const NewSetting& asked) {
  if (!asked.value) return std::optional<SettingValue>();
  BAVN_TRY(const auto document, net::JsonDocument::parse(asked.value->text));
  const net::JsonValue v = document.root();
  if (const auto b = v.boolean()) return std::optional(SettingValue{*b});
  if (const auto n = v.integer()) return std::optional(SettingValue{*n});
  if (const auto d = v.number()) return std::optional(SettingValue{*d});
  if (const auto t = v.text()) return std::optional(SettingValue{std::string(*t)});
  return fail(Code::bad_input, "a setting is a number, true or false, or a text", "/value");
}

net::Reply change(const Hub& hub, const net::Request& q) {
  if (!q.scope.sees_all()) return net::problem(Error{Code::forbidden, "the hub's settings are the joint CERT's", ""});
  const auto before = file_text(hub);
  if (!before) return net::problem(before.error());
  if (auto stale = web::must_match(q, web::etag_of_text(*before))) return std::move(*stale);
  const auto asked = body_of<NewSetting>(q);
  if (!asked) return net::problem(asked.error());
  const auto value = value_asked(*asked);
  if (!value) return net::problem(value.error());
  const auto after = with_setting(hub.settings_table, *before, hub.settings_file, q.param("name"), *value);
  if (!after) return net::problem(after.error());
  // Noted first: a change that nobody can find in the log must not exist.
  std::string detail;
  JsonWriter(detail)
      .object()
      .member("value", asked->value ? asked->value->text : "")
      .member("why", asked->why.value_or("").substr(0, 500))
      .end();
  const auto done = hub.change([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.audit({person(q), "setting.changed", std::string(q.param("name")), detail}));
    DiskFiles files;
    return replace_file(files, hub.settings_file, *after);
  });
  return done ? show(hub) : net::problem(done.error());
}

}  // namespace

void add_setting_routes(net::Router& router, const HubPtr& hub) {
  router.get("/api/settings", Needs::tenants_read, [hub](const net::Request&) { return show(*hub); });
  router.put("/api/settings/{name}", Needs::settings_write,
             proved(hub, [hub](const net::Request& q) { return change(*hub, q); }));
}

}  // namespace bavn::show::api
