#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include <map>
#include <set>

#include "formats/description.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"
#include "show/api/sources/sources.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

struct NewToken {
  std::string source;
  std::optional<std::string> format;
};
BOOST_DESCRIBE_STRUCT(NewToken, (), (source, format))

void write_inlet(JsonWriter& w, const InletView& i) {
  w.object().member("kind", i.kind);
  add_text(w, "source", i.source);
  add_text(w, "transport", i.transport);
  add_text(w, "address", i.address);
  if (i.port != 0) w.member("port", i.port);
  if (!i.topics.empty()) {
    w.key("topics").array();
    for (const std::string& t : i.topics) w.value(t);
    w.end();
  }
  w.end();
}

net::Reply list(const NodeParts& p, const net::Request& q) {
  const auto found = p.sources.list(q.scope);
  if (!found) return net::problem(found.error());
  std::string out;
  JsonWriter w(out);
  w.object().key("items").array();
  for (const SourceView& s : *found) write_source(w, s);
  w.end().key("blind").array();
  for (const input::Sight& s : p.sources.blind()) write_blind(w, s, web::language_of(q));
  w.end().key("inlets").array();
  for (const InletView& i : p.sources.inlets()) write_inlet(w, i);
  w.end().end();
  return net::json(out);
}

net::Reply show(const NodeParts& p, const net::Request& q) {
  const auto found = p.sources.list(q.scope);
  if (!found) return net::problem(found.error());
  for (const SourceView& s : *found) {
    if (s.name != q.param("name")) continue;
    const auto changes = p.sources.changes(s.name);
    if (!changes) return net::problem(changes.error());
    std::string out;
    JsonWriter w(out);
    w.object().key("source");
    write_source(w, s);
    w.key("changes").array();
    for (const SourceChangeView& c : *changes) {
      w.object().member("at", web::time_text(from_micros(c.at_us))).member("state", c.state);
      w.member("says", c.says).end();
    }
    w.end().end();
    return net::json(out);
  }
  return net::problem(Error{Code::not_found, "there is no source of this name here", {}});
}

net::Reply tokens(const NodeParts& p, const net::Request& q) {
  const auto all = p.sources.tokens(q.scope);
  if (!all) return net::problem(all.error());
  std::string out;
  JsonWriter w(out);
  w.object().key("items").array();
  for (const IntakeTokenView& t : *all) {
    w.object().member("id", std::to_string(t.id)).member("source", t.source);
    add_text(w, "format", t.format);
    w.member("made_by", t.made_by).member("made_at", web::time_text(from_micros(t.made_at_us)));
    add_time(w, "revoked_at", t.revoked_at_us);
    w.end();
  }
  w.end().end();
  return net::json(out);
}

net::Reply issue(const NodeParts& p, const net::Request& q) {
  NewToken body;
  if (auto bad = read_body(q, body)) return *bad;
  if (body.source.empty() || body.source.size() > 100)
    return web::refused({{"/source", "a name of 1 to 100 bytes is wanted"}});
  const std::string format = body.format.value_or("");
  if (!format.empty() && !p.engine()->catalogue().find(format))
    return web::refused({{"/format", "there is no format of this name; /api/formats has them"}});
  const auto token = p.sources.issue(q.scope, body.source, format);
  if (!token) return trouble(token.error());
  std::string out;
  JsonWriter(out).object().member("source", body.source).member("token", *token).end();
  return web::shown_once(net::json(out, 201));
}

net::Reply formats_list(const NodeParts& p) {
  const auto engine = p.engine();
  const auto delivers = [](const formats::Description& d, const match::sigma::LogSource& l) {
    for (const auto& s : d.logsource)
      if (s.unknown ||
          ((l.product.empty() || l.product == s.product) && (l.service.empty() || l.service == s.service) &&
           (l.category.empty() || l.category == s.category)))
        return true;
    return false;
  };
  std::string out;
  JsonWriter w(out);
  w.object().key("items").array();
  std::vector<const formats::Description*> all;
  for (const auto& d : engine->catalogue().all()) all.push_back(&d);
  std::sort(all.begin(), all.end(), [](const auto* a, const auto* b) { return a->name < b->name; });
  for (const formats::Description* d : all) {
    w.object().member("name", d->name).member("title", d->title).member("reader", d->reader);
    add_text(w, "ocsf_class", d->ocsf);
    w.key("logsources").array();
    for (const auto& l : d->logsource) {
      w.object();
      add_text(w, "product", l.product);
      add_text(w, "service", l.service);
      add_text(w, "category", l.category);
      w.end();
    }
    w.end().key("observables").array();
    std::set<std::string_view> roles;
    for (const auto& [name, role] : d->observables)
      if (role != event::Role::none) roles.insert(formats::to_string(role));
    for (const auto role : roles) w.value(role);
    w.end().member("facts", !d->facts.empty());
    std::int64_t n = 0;
    for (const auto& r : engine->rules().rules) n += delivers(*d, r.logsource) ? 1 : 0;
    w.member("rules", n).end();
  }
  w.end().end();
  return net::json(out);
}

}  // namespace

void write_source(JsonWriter& w, const SourceView& s) {
  w.object().member("name", s.name).member("state", s.state).member("says", s.says);
  add_time(w, "since", s.since_us);
  if (s.lag_seconds >= 0) w.member("lag_seconds", s.lag_seconds);
  add_time(w, "last_at", s.last_at_us);
  add_time(w, "newest_at", s.newest_us);
  if (s.municipality.value != 0) add_municipality(w, "municipality", s.municipality);
  w.key("total").object().member("records", s.records).member("bytes", s.bytes).member("refused", s.refused);
  w.member("duplicates", s.duplicates).end();
  w.key("today").object().member("records", s.records_today).member("bytes", s.bytes_today);
  w.member("refused", s.refused_today).end().key("refusals").array();
  for (const RefusedLines& r : s.refusals) {
    w.object().member("reason", r.reason).member("count", r.count).member("first", r.first);
    add_time(w, "first_at", r.first_at_us);
    add_time(w, "last_at", r.last_at_us);
    w.end();
  }
  w.end();
  if (!s.ways.empty()) {
    w.key("ways").array();
    for (const SourceWayView& v : s.ways) {
      w.object().member("way", v.way).member("client", v.client).member("requests", v.requests);
      w.member("records", v.records).member("refused", v.refused).member("duplicates", v.duplicates);
      w.member("turned_away", v.turned_away).member("faults", v.faults);
      add_text(w, "fault", v.fault);
      add_time(w, "fault_at", v.fault_at_us);
      add_time(w, "first_at", v.first_at_us);
      add_time(w, "last_at", v.last_at_us);
      w.end();
    }
    w.end();
  }
  w.end();
}

void write_blind(JsonWriter& w, const input::Sight& s, Language language) {
  const std::string_view l = to_string(language);
  w.object().member("id", s.id).member("name", s.name.in(l)).member("what", s.blind.in(l));
  add_text(w, "delay", s.delay.in(l));
  add_text(w, "permission", s.permission.in(l));
  w.end();
}

void add_source_routes(net::Router& router, const Parts& parts) {
  router.get("/api/sources", Needs::alert_read, [parts](const net::Request& q) { return list(*parts, q); });
  router.get("/api/sources/{name}", Needs::alert_read, [parts](const net::Request& q) { return show(*parts, q); });
  router.get("/api/intake-tokens", Needs::operate, [parts](const net::Request& q) { return tokens(*parts, q); });
  router.post("/api/intake-tokens", Needs::operate, [parts](const net::Request& q) { return issue(*parts, q); });
  router.del("/api/intake-tokens/{id}", Needs::operate, [parts](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    return done_or(parts->sources.revoke(q.scope, *id));
  });
  router.get("/api/formats", Needs::alert_read, [parts](const net::Request&) { return formats_list(*parts); });
}

}  // namespace bavn::show::api
