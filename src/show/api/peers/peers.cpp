// /api/peers, /api/peer-sectors, /api/imports, /api/exports: the contract is api/exchange.yaml.
#include <algorithm>

#include "base/text.hpp"
#include "exchange/peers/desk.hpp"
#include "exchange/peers/views.hpp"
#include "show/api/hub_inner.hpp"

namespace bavn::show::api {

namespace {

namespace mi = match::indicators;
using exchange::PeerDesk;

struct TakesView {
  std::optional<std::int64_t> confidence;
  std::optional<std::string> strongest, tlp;
  std::optional<std::int64_t> valid_days;
};
BOOST_DESCRIBE_STRUCT(TakesView, (), (confidence, strongest, tlp, valid_days))

struct NewPeerView {
  std::string name, kind;
  std::optional<std::string> direction, url, sign_in, user, secret;
  std::optional<std::map<std::string, std::string>> options;
  std::optional<std::string> ceiling;
  std::optional<std::vector<std::string>> kinds, sectors;
  std::optional<TakesView> takes;
  std::optional<std::int64_t> every_minutes;
};
BOOST_DESCRIBE_STRUCT(NewPeerView, (),
                      (name, kind, direction, url, sign_in, user, secret, options, ceiling, kinds, sectors, takes,
                       every_minutes))

struct PeerCountsView {
  std::int64_t taken = 0, demoted = 0, dropped = 0, sent = 0;
};
BOOST_DESCRIBE_STRUCT(PeerCountsView, (), (taken, demoted, dropped, sent))

struct PeerView {
  std::string id, name, kind, direction, url, sign_in;
  std::optional<std::string> user;
  bool has_secret = false;
  net::RawJson options;
  std::string ceiling;
  std::vector<std::string> kinds, sectors;
  TakesView takes;
  std::int64_t every_minutes = 0;
  std::string state;
  When tried_at, ok_at, newest_at, next_at;
  std::optional<std::int64_t> lag_seconds;
  std::optional<std::string> error;
  std::int64_t failures = 0;
  PeerCountsView counts;
  std::int64_t keys = 0;
  std::string made_by, made_at;
};
BOOST_DESCRIBE_STRUCT(PeerView, (),
                      (id, name, kind, direction, url, sign_in, user, has_secret, options, ceiling, kinds, sectors,
                       takes, every_minutes, state, tried_at, ok_at, newest_at, next_at, lag_seconds, error, failures,
                       counts, keys, made_by, made_at))

struct KeyView {
  std::string id, label;
  bool read = false, write = false;
  std::string made_by, made_at;
  When revoked_at;
};
BOOST_DESCRIBE_STRUCT(KeyView, (), (id, label, read, write, made_by, made_at, revoked_at))
struct NewKeyView {
  std::string label;
  std::optional<bool> read, write;
};
BOOST_DESCRIBE_STRUCT(NewKeyView, (), (label, read, write))
struct MadeKeyView {
  std::string id, key;
};
BOOST_DESCRIBE_STRUCT(MadeKeyView, (), (id, key))

struct DroppedView {
  std::string at, what, object, reason;
};
BOOST_DESCRIBE_STRUCT(DroppedView, (), (at, what, object, reason))
struct ReasonView {
  std::string reason;
  std::int64_t count = 0;
  std::string first_at, newest_at;
};
BOOST_DESCRIBE_STRUCT(ReasonView, (), (reason, count, first_at, newest_at))
struct DroppedPageView {
  std::vector<DroppedView> items;
  std::vector<ReasonView> reasons;
  std::optional<std::string> next;
};
BOOST_DESCRIBE_STRUCT(DroppedPageView, (), (items, reasons, next))

struct SectorsView {
  std::string source;
  std::vector<std::string> sectors;
};
BOOST_DESCRIBE_STRUCT(SectorsView, (), (source, sectors))

struct LineView {
  std::string what, object, reason;
};
BOOST_DESCRIBE_STRUCT(LineView, (), (what, object, reason))
struct ImportView {
  std::string format;
  std::uint64_t read = 0, published = 0, demoted = 0, dropped = 0;
  std::vector<LineView> list;
};
BOOST_DESCRIBE_STRUCT(ImportView, (), (format, read, published, demoted, dropped, list))

constexpr std::size_t kMostFile = 512U << 20U;

Result<event::Tlp> tlp_of(std::string_view text, std::string_view where) {
  const auto tlp = event::parse_tlp(text);
  if (!tlp) return fail(Code::bad_input, "TLP is clear, green, amber, amber+strict or red", std::string(where));
  return *tlp;
}

PeerView view_of(const Hub& hub, const exchange::ShownPeer& s) {
  const exchange::Peer& p = s.peer;
  PeerView v;
  v.id = std::to_string(p.id);
  v.name = p.name;
  v.kind = p.kind;
  v.direction = p.direction;
  v.url = p.url;
  v.sign_in = p.sign_in;
  v.user = filled(p.user);
  v.has_secret = s.has_secret;
  v.options.text = p.options;
  v.ceiling = event::to_string(p.ceiling);
  v.kinds = p.kinds;
  v.sectors = p.sectors;
  v.takes = {p.confidence, std::string(mi::to_string(p.strongest)), std::string(event::to_string(p.tlp)), p.valid_days};
  v.every_minutes = p.every_s / 60;
  v.state = p.state;
  v.tried_at = at(micros(p.tried));
  v.ok_at = at(micros(p.ok));
  v.newest_at = at(micros(p.newest));
  v.next_at = at(micros(s.next));
  if (s.next != Instant{} && p.ok != Instant{})
    v.lag_seconds = std::max<std::int64_t>(0, (micros(hub.runtime.now()) - micros(p.ok)) / 1'000'000);
  v.error = filled(p.error);
  v.failures = p.failures;
  v.counts = {p.taken, p.demoted, p.dropped, p.sent};
  v.keys = s.keys;
  v.made_by = p.made_by;
  v.made_at = at_always(micros(p.made));
  return v;
}

Result<exchange::NewPeer> asked(const net::Request& q) {
  BAVN_TRY(auto v, body_of<NewPeerView>(q));
  exchange::NewPeer p;
  p.name = std::move(v.name);
  p.kind = std::move(v.kind);
  if (v.direction) p.direction = *v.direction;
  if (v.url) p.url = *v.url;
  if (v.sign_in) p.sign_in = *v.sign_in;
  if (v.user) p.user = *v.user;
  p.secret = std::move(v.secret);
  if (v.options) {
    for (const auto& [name, value] : *v.options)
      if (name.size() > 100 || value.size() > 500)
        return fail(Code::bad_input, "an option has a name of at most 100 and a value of at most 500 bytes",
                    "/options");
    p.options = net::to_json(*v.options);
  }
  if (v.ceiling) {
    BAVN_TRY(p.ceiling, tlp_of(*v.ceiling, "/ceiling"));
  }
  if (v.kinds) p.kinds = std::move(*v.kinds);
  if (v.sectors) p.sectors = std::move(*v.sectors);
  if (v.takes) {
    if (v.takes->confidence) p.confidence = *v.takes->confidence;
    if (v.takes->valid_days) p.valid_days = *v.takes->valid_days;
    if (v.takes->strongest) {
      const auto action = mi::parse_action(*v.takes->strongest);
      if (!action) return fail(Code::bad_input, "strongest is watch, warn, hold or block", "/takes/strongest");
      p.strongest = *action;
    }
    if (v.takes->tlp) {
      BAVN_TRY(p.tlp, tlp_of(*v.takes->tlp, "/takes/tlp"));
    }
  }
  if (v.every_minutes) p.every_minutes = *v.every_minutes;
  return p;
}

std::string etag_of(const exchange::ShownPeer& s) {
  return web::etag_of_text(s.version);
}

net::Reply shown(const Hub& hub, const Result<exchange::ShownPeer>& s) {
  if (!s) return net::problem(s.error());
  return web::tagged(net::json(net::to_json(view_of(hub, *s))), etag_of(*s));
}

net::Reply list(const Hub& hub, const net::Request& q) {
  const auto all = hub.peers->list(q.scope);
  if (!all) return net::problem(all.error());
  std::vector<PeerView> views;
  for (const auto& s : *all) views.push_back(view_of(hub, s));
  return list_of(views);
}

net::Reply add(const Hub& hub, const net::Request& q) {
  const auto p = asked(q);
  if (!p) return net::problem(p.error());
  const auto id = hub.peers->add(q.scope, *p);
  if (!id) return net::problem(id.error());
  const auto s = hub.peers->show(event::Scope::local_owner(), *id);
  if (!s) return net::problem(s.error());
  return web::created(net::to_json(view_of(hub, *s)), fmt::format("/api/peers/{}", *id));
}

net::Reply change(const Hub& hub, const net::Request& q) {
  const auto id = web::id_of(q);
  if (!id) return net::problem(id.error());
  const auto p = asked(q);
  if (!p) return net::problem(p.error());
  const auto before = hub.peers->show(event::Scope::local_owner(), *id);
  if (!before) return net::problem(before.error());
  if (auto stale = web::must_match(q, etag_of(*before))) return std::move(*stale);
  const auto done = hub.peers->change(q.scope, *id, *p, before->version);
  if (!done && done.error().where == "/version") return web::problem(412, "stale-edit", done.error().what);
  if (!done) return net::problem(done.error());
  return shown(hub, hub.peers->show(event::Scope::local_owner(), *id));
}

net::Reply keys(const Hub& hub, const net::Request& q) {
  const auto id = web::id_of(q);
  if (!id) return net::problem(id.error());
  if (const auto s = hub.peers->show(q.scope, *id); !s) return net::problem(s.error());
  const auto all = hub.peers->keys().list(q.scope, *id);
  if (!all) return net::problem(all.error());
  std::vector<KeyView> views;
  for (const auto& k : *all)
    views.push_back(
        {std::to_string(k.id), k.label, k.may_read, k.may_write, k.made_by, at_always(k.made_us), at(k.revoked_us)});
  return list_of(views);
}

net::Reply add_key(const Hub& hub, const net::Request& q) {
  const auto id = web::id_of(q);
  if (!id) return net::problem(id.error());
  const auto v = body_of<NewKeyView>(q);
  if (!v) return net::problem(v.error());
  const auto made = hub.peers->keys().issue(q.scope, *id, v->label, v->read.value_or(true), v->write.value_or(false));
  if (!made) return net::problem(made.error());
  return web::shown_once(net::json(net::to_json(MadeKeyView{std::to_string(made->id), made->key}), 201));
}

net::Reply revoke_key(const Hub& hub, const net::Request& q) {
  const auto id = web::id_of(q), key = web::id_of(q, "key");
  if (!id) return net::problem(id.error());
  if (!key) return net::problem(key.error());
  return web::done(hub.peers->keys().revoke(q.scope, *id, *key));
}

net::Reply dropped(const Hub& hub, const net::Request& q) {
  const auto id = web::id_of(q);
  if (!id) return net::problem(id.error());
  const auto page = web::page_of(q, "dropped");
  if (!page) return net::problem(page.error());
  const auto reason = q.asked("reason").value_or("");
  auto rows = hub.peers->dropped(q.scope, *id, reason, number_in(page->after).value_or(0), page->limit + 1);
  if (!rows) return net::problem(rows.error());
  const auto counts = hub.peers->drop_counts(q.scope, *id);
  if (!counts) return net::problem(counts.error());
  DroppedPageView v;
  if (rows->size() > page->limit) {
    rows->resize(page->limit);
    v.next = web::cursor_of("dropped", std::to_string(rows->back().id));
  }
  for (auto& r : *rows)
    v.items.push_back({at_always(r.at_us), std::move(r.what), std::move(r.object), std::move(r.reason)});
  for (const auto& c : *counts) v.reasons.push_back({c.reason, c.count, at_always(c.first_us), at_always(c.newest_us)});
  return net::json(net::to_json(v));
}

net::Reply import(const Hub& hub, const net::Request& q) {
  const auto peer = q.asked("peer").value_or("");
  if (peer.empty()) return net::problem(Error{Code::bad_input, "which partner? ?peer= is its id or name", "?peer"});
  const auto id = hub.peers->named(peer);
  if (!id) return net::problem(id.error());
  std::optional<event::Tlp> tlp;
  if (const auto text = q.asked("tlp")) {
    const auto t = tlp_of(*text, "?tlp");
    if (!t) return net::problem(t.error());
    tlp = *t;
  }
  const auto dry = q.asked("dry_run").value_or("false");
  if (dry != "true" && dry != "false")
    return net::problem(Error{Code::bad_input, "dry_run is true or false", "?dry_run"});
  const std::string name = repair_utf8(q.asked("name").value_or("file").substr(0, 200));
  const auto done = hub.peers->import(q.scope, *id, q.body, name, tlp, dry == "true");
  if (!done) return net::problem(done.error());
  ImportView v{done->format, done->read, done->taken.published, done->taken.demoted, done->taken.dropped, {}};
  for (const auto& each : done->taken.list) v.list.push_back({each.what, each.object, each.reason});
  return net::json(net::to_json(v));
}

net::Reply export_(const Hub& hub, const net::Request& q) {
  const exchange::ExportViews none;
  const auto& views = hub.exports != nullptr ? *hub.exports : none;
  const auto view = views.find(q.param("format"));
  if (view == views.end())
    return net::problem(Error{Code::not_found, "this hub writes no such files", std::string(q.param("format"))});
  exchange::LibraryAsk ask;
  ask.ceiling = q.scope.ceiling();
  if (const auto text = q.asked("tlp")) {
    const auto t = tlp_of(*text, "?tlp");
    if (!t) return net::problem(t.error());
    ask.ceiling = std::min(ask.ceiling, *t);
  }
  ask.source = std::string(q.asked("source").value_or("").substr(0, 200));
  ask.kind = std::string(q.asked("kind").value_or("").substr(0, 40));
  ask.limit = 10'000;
  exchange::Partner whose;  // what is for a sector is in it only when that is asked for
  whose.ceiling = ask.ceiling;
  for (const auto s : split(q.asked("sector").value_or(""), ','))
    if (!trim(s).empty()) whose.sectors.emplace_back(trim(s));
  std::vector<exchange::Known> all;
  while (view->second.of_indicators) {
    auto page = hub.peers->library().read(ask);
    if (!page) return net::problem(page.error());
    const bool end = page->size() < ask.limit;
    if (!page->empty()) {
      ask.after = page->back().changed;
      ask.after_id = page->back().id;
    }
    for (auto& k : *page)
      if (whose.may_have(k.indicator.tlp, k.sectors)) all.push_back(std::move(k));
    if (all.size() > exchange::kMostExported)
      return net::problem(Error{
          Code::bad_input, fmt::format("more than {} indicators: narrow it by source or kind", exchange::kMostExported),
          "?source"});
    if (end) break;
  }
  exchange::ExportAsk file;
  file.ceiling = ask.ceiling;
  file.of = hub.name;
  file.now = hub.runtime.now();
  auto text = view->second.write(all, file);
  if (!text) return net::problem(text.error());
  const auto noted = hub.change([&](store::Tx& tx) {
    std::string detail;
    JsonWriter(detail)
        .object()
        .member("tlp", event::to_string(ask.ceiling))
        .member("count", std::uint64_t{all.size()})
        .end();
    return tx.audit({person(q), view->second.of_indicators ? "indicators.exported" : "warnings.exported",
                     std::string(q.param("format")), detail});
  });
  if (!noted) return net::problem(noted.error());
  auto reply = net::text(std::move(*text), view->second.content_type);
  reply.headers.set("Content-Disposition",
                    fmt::format("attachment; filename=\"{}.{}\"",
                                view->second.of_indicators ? "indicators" : "warnings", view->second.extension));
  reply.headers.set("Cache-Control", "no-store");
  return reply;
}

using Act = Result<void> (*)(PeerDesk&, const event::Scope&, std::int64_t);
net::Handler acting(const HubPtr& hub, Act act) {
  return [hub, act](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    return id ? web::done(act(*hub->peers, q.scope, *id)) : net::problem(id.error());
  };
}

}  // namespace

void add_peer_routes(net::Router& router, const HubPtr& hub) {
  const auto on = [&hub](net::Reply (*f)(const Hub&, const net::Request&)) -> net::Handler {
    return [hub, f](const net::Request& q) { return f(*hub, q); };
  };
  router.get("/api/peers", Needs::tenants_read, on(list));
  router.post("/api/peers", Needs::settings_write, proved(hub, on(add)));
  router.get("/api/peers/{id}", Needs::tenants_read, [hub](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    return id ? shown(*hub, hub->peers->show(q.scope, *id)) : net::problem(id.error());
  });
  router.put("/api/peers/{id}", Needs::settings_write, proved(hub, on(change)));
  router.del("/api/peers/{id}", Needs::settings_write, proved(hub, [hub](const net::Request& q) -> net::Reply {
               const auto id = web::id_of(q);
               if (!id) return net::problem(id.error());
               return web::done(hub->peers->remove(q.scope, *id, q.asked("indicators").value_or("") == "true"));
             }));
  router.get("/api/peers/{id}/keys", Needs::tenants_read, on(keys));
  router.post("/api/peers/{id}/keys", Needs::settings_write, proved(hub, on(add_key)));
  router.del("/api/peers/{id}/keys/{key}", Needs::settings_write, proved(hub, on(revoke_key)));
  router.post("/api/peers/{id}/pull", Needs::publish,
              acting(hub, [](PeerDesk& d, const event::Scope& s, std::int64_t id) { return d.pull_now(s, id); }));
  router.post("/api/peers/{id}/pause", Needs::publish,
              acting(hub, [](PeerDesk& d, const event::Scope& s, std::int64_t id) { return d.pause(s, id, true); }));
  router.post("/api/peers/{id}/resume", Needs::publish,
              acting(hub, [](PeerDesk& d, const event::Scope& s, std::int64_t id) { return d.pause(s, id, false); }));
  router.get("/api/peers/{id}/dropped", Needs::tenants_read, on(dropped));
  router.get("/api/peer-sectors", Needs::tenants_read, [hub](const net::Request& q) -> net::Reply {
    const auto all = hub->peers->sectors(q.scope);
    if (!all) return net::problem(all.error());
    std::vector<SectorsView> views;
    for (const auto& s : *all) views.push_back({s.source, s.sectors});
    return list_of(views);
  });
  router.put("/api/peer-sectors", Needs::settings_write, [hub](const net::Request& q) -> net::Reply {
    const auto v = body_of<SectorsView>(q);
    if (!v) return net::problem(v.error());
    return web::done(hub->peers->set_sectors(q.scope, {v->source, v->sectors}));
  });
  router.post("/api/imports", Needs::publish, on(import),
              {.max_body = kMostFile, .deadline = std::chrono::seconds(600)});
  router.get("/api/exports/{format}", Needs::indicator_read, on(export_), {.deadline = std::chrono::seconds(300)});
}

}  // namespace bavn::show::api
