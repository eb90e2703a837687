#include <fmt/format.h>
#include <fmt/ranges.h>
#include <boost/describe/class.hpp>

#include <algorithm>

#include "base/text.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"
#include "show/api/settings/settings_text.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

constexpr std::size_t kMostText = 1U << 20U;

struct Changes {
  net::RawJson changes;
  std::string why;
};
BOOST_DESCRIBE_STRUCT(Changes, (), (changes, why))

void add_value(JsonWriter& w, std::string_view name, const SettingValue& value) {
  w.key(name);
  std::visit([&](const auto& v) { w.value(v); }, value);
}

Result<std::string> text_of(const NodeParts& p) {
  DiskFiles files;
  const std::string path = p.folder + "/settings.toml";
  if (!files.exists(path)) return std::string();
  return read_file(files, path, kMostText);
}

net::Reply show(const NodeParts& p, const std::string& text) {
  const auto file = Settings::read(*p.settings_table, text, "settings.toml");
  if (!file) return net::problem(file.error());
  std::string out;
  JsonWriter w(out);
  bool restart = false;
  w.object().key("items").array();
  std::vector<const Setting*> all;
  for (const Setting& s : *p.settings_table) all.push_back(&s);
  std::sort(all.begin(), all.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  constexpr const char* kTypes[] = {"integer", "number", "boolean", "text"};
  for (const Setting* s : all) {
    const SettingValue now = value_of(*p.settings, *s), next = value_of(*file, *s), fallback = fallback_of(*s);
    w.object().member("name", s->name);
    add_value(w, "value", now);
    add_value(w, "default", fallback);
    if (next != now) {
      add_value(w, "pending", next);
      restart = true;
    }
    w.member("is_default", next == fallback).member("type", kTypes[s->fallback.index()]);
    w.member("unit", to_string(s->unit)).member("min", s->bounds.min).member("max", s->bounds.max);
    w.member("restart", s->restart == Restart::yes).member("doc", s->doc).end();
  }
  w.end().member("restart_needed", restart).end();
  return web::tagged(net::json(out), web::etag_of_text(text));
}

/// The value of a change as this setting wants it.
Result<std::optional<SettingValue>> wanted(const Setting& s, net::JsonValue v) {
  const std::string at = fmt::format("/changes/{}", s.name);
  if (v.is_null()) return std::optional<SettingValue>();
  switch (s.fallback.index()) {
    case 0:
      if (const auto n = v.integer()) return std::optional<SettingValue>(*n);
      return fail(Code::bad_input, "a whole number is wanted", at);
    case 1:
      if (const auto d = v.number()) return std::optional<SettingValue>(*d);
      return fail(Code::bad_input, "a number is wanted", at);
    case 2:
      if (const auto b = v.boolean()) return std::optional<SettingValue>(*b);
      return fail(Code::bad_input, "true or false is wanted", at);
    default: break;
  }
  if (const auto t = v.text()) return std::optional<SettingValue>(std::string(*t));
  return fail(Code::bad_input, "a text is wanted", at);
}

net::Reply change(const NodeParts& p, const net::Request& q) {
  Changes body;
  if (auto bad = read_body(q, body)) return *bad;
  if (trim(body.why).empty() || body.why.size() > 2000)
    return web::refused({{"/why", "a reason of 1 to 2000 bytes is wanted"}});
  const auto text = text_of(p);
  if (!text) return net::problem(text.error());
  if (auto stale = web::must_match(q, web::etag_of_text(*text))) return *stale;
  const auto document = net::JsonDocument::parse(body.changes.text);
  if (!document || !document->root().is_object() || document->root().size() == 0)
    return web::refused({{"/changes", "an object of settings and their values is wanted"}});
  std::string fresh = *text;
  std::vector<std::string> names;
  for (const net::JsonValue v : document->root()) {
    const auto at = std::find_if(p.settings_table->begin(), p.settings_table->end(),
                                 [&](const Setting& s) { return s.name == v.key(); });
    if (at == p.settings_table->end())
      return web::refused({{fmt::format("/changes/{}", shown(v.key(), 100)), "there is no setting of this name"}});
    const auto value = wanted(*at, v);
    if (!value) return trouble(value.error());
    fresh = with_setting(fresh, at->name, *value);
    // Bounds are the parser's to judge; with one change after the other the one that is wrong is named.
    if (const auto read = Settings::read(*p.settings_table, fresh, "settings.toml"); !read)
      return web::refused({{fmt::format("/changes/{}", at->name), read.error().what}});
    names.emplace_back(at->name);
  }
  // First the audit log: a change that nobody can read of afterwards is not made.
  std::string detail;
  JsonWriter w(detail);
  w.object().member("why", body.why).key("changes").raw(document->root().to_text()).end();
  if (const auto noted = p.state.write_now([&](store::Tx& tx) -> Result<void> {
        BAVN_CHECK(tx.audit({q.scope.who(), "settings.changed", fmt::format("{}", fmt::join(names, ",")), detail}));
        return tx.emit("settings.changed", "node");
      });
      !noted)
    return net::problem(noted.error());
  DiskFiles files;
  if (const auto written = replace_file(files, p.folder + "/settings.toml", fresh); !written)
    return net::problem(written.error());
  return show(p, fresh);
}

}  // namespace

void add_settings_routes(net::Router& router, const Parts& parts, const Proved& proved) {
  router.get("/api/node/settings", Needs::operate, [parts](const net::Request&) -> net::Reply {
    if (parts->settings_table == nullptr || parts->settings == nullptr)
      return net::problem(Error{Code::not_found, "this node has no settings file", {}});
    const auto text = text_of(*parts);
    return text ? show(*parts, *text) : net::problem(text.error());
  });
  router.put("/api/node/settings", Needs::settings_write, proved([parts](const net::Request& q) -> net::Reply {
               if (parts->settings_table == nullptr || parts->settings == nullptr)
                 return net::problem(Error{Code::not_found, "this node has no settings file", {}});
               return change(*parts, q);
             }));
}

}  // namespace bavn::show::api
