// Warninglists and taxonomies: what ships is read once, what is on or off is a row.
#include <fmt/format.h>

#include <set>

#include "base/content.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "event/observable.hpp"
#include "exchange/misp/inner.hpp"

namespace bavn::exchange::misp {

namespace {

struct Switch {
  std::string name;
  bool enabled = false;
};
BOOST_DESCRIBE_STRUCT(Switch, (), (name, enabled))

constexpr std::size_t kMostAsked = 10'000;

bool on(const std::map<std::string, bool>& switches, std::string_view name) {
  const auto it = switches.find(std::string(name));
  return it == switches.end() || it->second;
}

void write(JsonWriter& w, const WarningList& l, std::size_t i, bool enabled) {
  w.object()
      .key("Warninglist")
      .object()
      .member("id", std::to_string(i + 1))
      .member("name", l.name)
      .member("type", l.type);
  w.member("description", l.description).member("version", std::to_string(l.version)).member("enabled", enabled);
  w.member("default", true).member("category", l.category).member("warninglist_entry_count", std::to_string(l.entries));
  w.end().end();
}

}  // namespace

void Misp::Inner::load_lists() {
  for (const std::string_view path : content::list("content/warninglists/")) {
    if (!path.ends_with(".json")) continue;
    const auto text = content::file(path);
    const auto document = text ? net::JsonDocument::parse(*text) : fail(Code::not_found, "gone");
    if (!document) {
      log::error("misp_warninglist_unreadable", {{"file", path}});
      continue;
    }
    const net::JsonValue v = document->root();
    WarningList l;
    l.name = std::string(v["name"].text_or({}));
    l.type = std::string(v["type"].text_or({}));
    l.description = std::string(v["description"].text_or({}));
    l.category = std::string(v["category"].text_or("false_positive"));
    l.version = v["version"].integer().value_or(1);
    l.entries = v["list"].size();
    if (const auto read = l.lists.load_bytes(*text, path); !read) {
      log::error("misp_warninglist_unreadable", {{"file", path}, {"reason", to_string(read.error())}});
      continue;
    }
    warning_lists.push_back(std::move(l));
  }
  for (const std::string_view path : content::list("content/taxonomies/")) {
    if (!path.ends_with(".json")) continue;
    const auto text = content::file(path);
    const auto document = text ? net::JsonDocument::parse(*text) : fail(Code::not_found, "gone");
    if (!document) {
      log::error("misp_taxonomy_unreadable", {{"file", path}});
      continue;
    }
    const net::JsonValue v = document->root();
    Taxonomy t;
    t.json = *text;
    t.namespace_ = std::string(v["namespace"].text_or({}));
    t.description = std::string(v["description"].text_or({}));
    t.version = v["version"].integer().value_or(1);
    t.exclusive = truth(v["exclusive"]).value_or(false);
    for (const net::JsonValue p : v["predicates"]) {
      const std::string_view predicate = p["value"].text_or({});
      bool has_values = false;
      for (const net::JsonValue group : v["values"]) {
        if (group["predicate"].text_or({}) != predicate) continue;
        for (const net::JsonValue e : group["entry"]) {
          has_values = true;
          t.entries.push_back(
              {fmt::format("{}:{}=\"{}\"", t.namespace_, predicate, e["value"].text_or({})),
               fmt::format("{}: {}", p["expanded"].text_or(predicate), e["expanded"].text_or(e["value"].text_or({}))),
               std::string(e["colour"].text_or(p["colour"].text_or({})))});
        }
      }
      if (!has_values)
        t.entries.push_back({fmt::format("{}:{}", t.namespace_, predicate),
                             std::string(p["expanded"].text_or(predicate)), std::string(p["colour"].text_or({}))});
    }
    taxonomies.push_back(std::move(t));
  }
}

Result<std::map<std::string, bool>> Misp::Inner::switches(std::string_view kind) {
  BAVN_TRY(const auto rows, state.read([&](store::Reader& r) {
    return r.all<Switch>("SELECT name, enabled FROM misp_switch WHERE kind = :k", {{"k", kind}});
  }));
  std::map<std::string, bool> out;
  for (const Switch& s : rows) out[s.name] = s.enabled;
  return out;
}

Result<void> Misp::Inner::set_switch(std::string_view kind, std::string_view name, bool enabled, std::string_view who) {
  return state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec(
        "INSERT INTO misp_switch (kind, name, enabled) VALUES (:k, :n, :e) ON CONFLICT (kind, name) DO UPDATE SET "
        "enabled = excluded.enabled",
        {{"k", kind}, {"n", name}, {"e", enabled}}));
    return tx.audit({std::string(who), enabled ? "misp.list.enabled" : "misp.list.disabled",
                     fmt::format("{}:{}", kind, name), "{}"});
  });
}

std::vector<std::size_t> Misp::Inner::listed(std::string_view value, std::string_view type,
                                             const std::map<std::string, bool>& switched) const {
  std::vector<event::Observable> asked;
  for (const std::string_view part :
       split(value, type.empty() || type.find('|') != std::string_view::npos ? '|' : '\0')) {
    auto o =
        type.empty() || type.find('|') != std::string_view::npos ? event::guess(part) : event::canonical(type, part);
    if (!o) o = event::guess(part);
    if (o) asked.push_back(std::move(*o));
  }
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < warning_lists.size(); ++i) {
    if (!on(switched, warning_lists[i].name)) continue;
    if (std::any_of(asked.begin(), asked.end(),
                    [&](const event::Observable& o) { return !warning_lists[i].lists.check(o.kind, o.value).empty(); }))
      out.push_back(i);
  }
  return out;
}

std::optional<net::Reply> Misp::Inner::lists(Call& c) {
  BAVN_MISP_TRY(const auto switched, c, switches("warninglist"));
  if (c.action == "index") {
    std::string out;
    JsonWriter w(out);
    w.object().key("Warninglists").array();
    for (std::size_t i = 0; i < warning_lists.size(); ++i)
      write(w, warning_lists[i], i, on(switched, warning_lists[i].name));
    w.end().end();
    return net::json(std::move(out));
  }
  if (c.action == "view") {
    for (std::size_t i = 0; i < warning_lists.size(); ++i)
      if (c.word() == std::to_string(i + 1)) {
        std::string out;
        JsonWriter w(out);
        write(w, warning_lists[i], i, on(switched, warning_lists[i].name));
        return net::json(std::move(out));
      }
    return not_there(c, "Invalid Warninglist");
  }
  if (c.action == "checkValue" && c.posts()) {
    BAVN_MISP_TRY(const auto body, c, c.body());
    const net::JsonValue asked = body.root()["value"] ? body.root()["value"] : body.root();
    if (asked.size() > kMostAsked) return fault(c, 400, "Bad Request", "at most 10,000 values in one request");
    std::string out;
    JsonWriter w(out);
    w.object();
    std::set<std::string> seen;
    const auto one = [&](const std::string& value) {
      if (value.empty() || !seen.insert(value).second) return;
      const auto hits = listed(value, {}, switched);
      if (hits.empty()) return;
      w.key(value).array();
      for (const std::size_t i : hits)
        w.object()
            .member("id", std::to_string(i + 1))
            .member("name", warning_lists[i].name)
            .member("matched", value)
            .end();
      w.end();
    };
    if (asked.is_array())
      for (const net::JsonValue v : asked) one(scalar(v));
    else one(scalar(asked));
    w.end();
    // None listed: MISP says it with an empty list.
    return net::json(out == "{}" ? "[]" : std::move(out));
  }
  if (c.action == "toggleEnable" && c.posts()) {
    if (!c.viewer.writes || c.viewer.partner())
      return fault(c, 403, "Not permitted here", "lists are switched by our own people");
    BAVN_MISP_TRY(const auto body, c, c.body());
    const Words ids = words_of(body.root()["id"]), names = words_of(body.root()["name"]);
    const auto wanted = truth(body.root()["enabled"]);
    std::size_t changed = 0;
    for (std::size_t i = 0; i < warning_lists.size(); ++i) {
      const std::string& name = warning_lists[i].name;
      const auto among = [&](const std::vector<std::string>& all, const std::string& s) {
        return std::any_of(all.begin(), all.end(), [&](const std::string& x) {
          if (x.find('%') == std::string::npos) return iequals(x, s);
          return icontains(
              s, std::string_view(x).substr(x.starts_with('%') ? 1 : 0,
                                            x.size() - (x.starts_with('%') ? 1U : 0U) - (x.ends_with('%') ? 1U : 0U)));
        });
      };
      if (!among(ids.any, std::to_string(i + 1)) && !among(names.any, name)) continue;
      BAVN_MISP_CHECK(c, set_switch("warninglist", name, wanted.value_or(!on(switched, name)), c.viewer.who));
      ++changed;
    }
    if (changed == 0) return not_there(c, "Warninglist(s) not found.");
    return done(c, fmt::format("{} warninglist(s) {}", changed,
                               !wanted   ? "toggled"
                               : *wanted ? "enabled"
                                         : "disabled"));
  }
  return std::nullopt;
}

std::optional<net::Reply> Misp::Inner::vocabularies(Call& c) {
  BAVN_MISP_TRY(const auto switched, c, switches("taxonomy"));
  const auto write_head = [&](JsonWriter& w, std::size_t i) {
    const Taxonomy& t = taxonomies[i];
    w.key("Taxonomy")
        .object()
        .member("id", std::to_string(i + 1))
        .member("namespace", t.namespace_)
        .member("description", t.description);
    w.member("version", std::to_string(t.version))
        .member("enabled", on(switched, t.namespace_))
        .member("exclusive", t.exclusive);
    w.member("required", false).member("highlighted", false).end();
  };
  std::string out;
  JsonWriter w(out);
  if (c.action == "index") {
    w.array();
    for (std::size_t i = 0; i < taxonomies.size(); ++i) {
      w.object();
      write_head(w, i);
      w.member("total_count", static_cast<std::uint64_t>(taxonomies[i].entries.size()));
      w.member("current_count",
               static_cast<std::uint64_t>(on(switched, taxonomies[i].namespace_) ? taxonomies[i].entries.size() : 0))
          .end();
    }
    w.end();
    return net::json(std::move(out));
  }
  std::size_t which = taxonomies.size();
  for (std::size_t i = 0; i < taxonomies.size(); ++i)
    if (c.word() == std::to_string(i + 1) || iequals(c.word(), taxonomies[i].namespace_)) which = i;
  const bool acts = c.action == "enable" || c.action == "disable" || c.action == "addTag" || c.action == "disableTag";
  if (c.action != "view" && !acts) return std::nullopt;
  if (which == taxonomies.size()) return not_there(c, "Invalid taxonomy");
  const Taxonomy& t = taxonomies[which];
  if (c.action == "view") {
    w.object();
    write_head(w, which);
    w.key("entries").array();
    for (const auto& e : t.entries)
      w.object()
          .member("tag", e.tag)
          .member("expanded", e.expanded)
          .member("colour", e.colour)
          .member("exclusive_predicate", false)
          .end();
    w.end().end();
    return net::json(std::move(out));
  }
  if (!c.posts()) return std::nullopt;
  if (!c.viewer.writes || c.viewer.partner())
    return fault(c, 403, "Not permitted here", "taxonomies are switched by our own people");
  if (c.action == "addTag") {
    for (const auto& e : t.entries) BAVN_MISP_CHECK(c, book.make_tag({.name = e.tag, .colour = e.colour}));
    return done(c, "The tag(s) has been saved.");
  }
  if (c.action != "disableTag")
    BAVN_MISP_CHECK(c, set_switch("taxonomy", t.namespace_, c.action == "enable", c.viewer.who));
  return done(c, c.action == "enable"    ? "Taxonomy enabled"
                 : c.action == "disable" ? "Taxonomy disabled"
                                         : "The tag(s) has been hidden.");
}

}  // namespace bavn::exchange::misp
