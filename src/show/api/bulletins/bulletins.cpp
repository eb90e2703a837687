// /api/bulletins: the contract is api/exchange.yaml.
#include "exchange/bulletins/bulletins.hpp"

#include <algorithm>

#include "base/text.hpp"
#include "show/api/hub_inner.hpp"
#include "warn/case.hpp"

namespace bavn::show::api {

namespace {

namespace mi = match::indicators;
using exchange::Bulletin;

struct TextView {
  std::string title, markdown, html;
};
BOOST_DESCRIBE_STRUCT(TextView, (), (title, markdown, html))
struct NewTextView {
  std::string title, markdown;
};
BOOST_DESCRIBE_STRUCT(NewTextView, (), (title, markdown))
struct NewBulletinView {
  std::optional<std::string> tlp;
  std::string source;
  std::map<std::string, NewTextView> texts;
};
BOOST_DESCRIBE_STRUCT(NewBulletinView, (), (tlp, source, texts))
struct PlaceView {
  std::string language;
  std::int64_t from = 0, to = 0;
  std::string around;
  std::optional<std::string> section;
};
BOOST_DESCRIBE_STRUCT(PlaceView, (), (language, from, to, around, section))
struct FoundView {
  std::string id, kind, value, defanged, state;
  std::optional<std::string> action;
  std::optional<std::int64_t> confidence;
  std::optional<std::string> decided_by;
  std::vector<PlaceView> places;
};
BOOST_DESCRIBE_STRUCT(FoundView, (), (id, kind, value, defanged, state, action, confidence, decided_by, places))
struct CountsView {
  std::int64_t found = 0, confirmed = 0, refused = 0;
};
BOOST_DESCRIBE_STRUCT(CountsView, (), (found, confirmed, refused))
struct HeadView {
  std::string id, state, kind, tlp, source;
  std::map<std::string, std::string> titles;
  CountsView indicators;
  std::int64_t version = 0;
  std::string written_by, written_at;
  When published_at;
};
BOOST_DESCRIBE_STRUCT(HeadView, (),
                      (id, state, kind, tlp, source, titles, indicators, version, written_by, written_at, published_at))
struct BulletinView {
  std::string id, state, kind, tlp, source;
  std::optional<std::string> file;
  std::int64_t version = 0;
  std::string written_by, written_at;
  std::optional<std::string> published_by;
  When published_at;
  std::optional<std::string> withdrawn_why;
  std::map<std::string, TextView> texts;
  std::vector<FoundView> found;
};
BOOST_DESCRIBE_STRUCT(BulletinView, (),
                      (id, state, kind, tlp, source, file, version, written_by, written_at, published_by, published_at,
                       withdrawn_why, texts, found))
struct DecisionView {
  std::optional<std::vector<std::string>> confirm, refuse;
  std::optional<std::string> action;
  std::optional<std::int64_t> confidence;
};
BOOST_DESCRIBE_STRUCT(DecisionView, (), (confirm, refuse, action, confidence))
struct DroppedLine {
  std::string what, object, reason;
};
BOOST_DESCRIBE_STRUCT(DroppedLine, (), (what, object, reason))
struct PublishedView {
  std::uint64_t published = 0;
  std::vector<DroppedLine> dropped;
};
BOOST_DESCRIBE_STRUCT(PublishedView, (), (published, dropped))

HeadView head_of(const Bulletin& b) {
  HeadView v;
  v.id = std::to_string(b.id);
  v.state = b.state;
  v.kind = b.kind;
  v.tlp = event::to_string(b.tlp);
  v.source = b.source;
  for (const auto& [language, text] : b.texts) v.titles[language] = text.title;
  for (const auto& f : b.found) {
    ++v.indicators.found;
    v.indicators.confirmed += f.state == "confirmed" ? 1 : 0;
    v.indicators.refused += f.state == "refused" ? 1 : 0;
  }
  v.version = b.version;
  v.written_by = b.written_by;
  v.written_at = at_always(micros(b.written));
  v.published_at = at(micros(b.published));
  return v;
}

BulletinView view_of(const Bulletin& b) {
  BulletinView v;
  v.id = std::to_string(b.id);
  v.state = b.state;
  v.kind = b.kind;
  v.tlp = event::to_string(b.tlp);
  v.source = b.source;
  v.file = filled(b.file);
  v.version = b.version;
  v.written_by = b.written_by;
  v.written_at = at_always(micros(b.written));
  v.published_by = filled(b.published_by);
  v.published_at = at(micros(b.published));
  v.withdrawn_why = filled(b.withdrawn_why);
  for (const auto& [language, text] : b.texts)
    v.texts[language] = {text.title, text.markdown, exchange::html_of(b, text)};
  for (const auto& f : b.found) {
    FoundView one{
        std::to_string(f.id), f.kind, f.value, warn::defanged(f.value), f.state, filled(f.action), std::nullopt,
        filled(f.decided_by), {}};
    if (f.state == "confirmed") one.confidence = f.confidence;
    for (const auto& p : f.places) one.places.push_back({p.language, p.from, p.to, p.around, p.section});
    v.found.push_back(std::move(one));
  }
  return v;
}

std::string etag_of(const Bulletin& b) {
  return web::etag_of(static_cast<std::uint64_t>(b.version));
}

net::Reply shown(const Hub& hub, const event::Scope& scope, std::int64_t id) {
  const auto b = hub.bulletins->show(scope, id);
  if (!b) return net::problem(b.error());
  return web::tagged(net::json(net::to_json(view_of(*b))), etag_of(*b));
}

net::Reply made(const Hub& hub, const Result<std::int64_t>& id) {
  if (!id) return net::problem(id.error());
  const auto b = hub.bulletins->show(event::Scope::local_owner(), *id);
  if (!b) return net::problem(b.error());
  return web::created(net::to_json(view_of(*b)), fmt::format("/api/bulletins/{}", *id));
}

Result<event::Tlp> tlp_of(std::string_view text, std::string_view where) {
  const auto tlp = event::parse_tlp(text);
  if (!tlp) return fail(Code::bad_input, "TLP is clear, green, amber, amber+strict or red", std::string(where));
  return *tlp;
}

Result<exchange::NewBulletin> asked(const net::Request& q) {
  BAVN_TRY(auto v, body_of<NewBulletinView>(q));
  exchange::NewBulletin n;
  if (v.tlp) {
    BAVN_TRY(n.tlp, tlp_of(*v.tlp, "/tlp"));
  }
  n.source = std::move(v.source);
  for (auto& [language, text] : v.texts) n.texts[language] = {std::move(text.title), std::move(text.markdown)};
  return n;
}

net::Reply list(const Hub& hub, const net::Request& q) {
  const auto page = web::page_of(q, "bulletins");
  if (!page) return net::problem(page.error());
  const auto state = q.asked("state").value_or("");
  if (!state.empty() && state != "draft" && state != "published" && state != "withdrawn")
    return net::problem(Error{Code::bad_input, "state is draft, published or withdrawn", "?state"});
  auto all = hub.bulletins->page(q.scope, state, number_in(page->after).value_or(0), page->limit + 1);
  if (!all) return net::problem(all.error());
  std::optional<std::string> next;
  if (all->size() > page->limit) {
    all->resize(page->limit);
    next = web::cursor_of("bulletins", std::to_string(all->back().id));
  }
  std::vector<HeadView> views;
  for (const auto& b : *all) views.push_back(head_of(b));
  return list_of(views, next);
}

net::Reply add(const Hub& hub, const net::Request& q) {
  const auto n = asked(q);
  return n ? made(hub, hub.bulletins->add(q.scope, *n)) : net::problem(n.error());
}

net::Reply add_report(const Hub& hub, const net::Request& q) {
  event::Tlp tlp = event::Tlp::amber;
  if (const auto text = q.asked("tlp")) {
    const auto t = tlp_of(*text, "?tlp");
    if (!t) return net::problem(t.error());
    tlp = *t;
  }
  const auto id = hub.bulletins->add_report(q.scope, q.body, q.asked("name").value_or("report").substr(0, 200),
                                            q.asked("source").value_or(""), tlp, q.asked("language").value_or("en"));
  // Why a file is not read is worded in the reader's language: problem.report_REASON of the catalogue.
  constexpr std::string_view reason = "report:";
  if (!id && id.error().where.starts_with(reason))
    return web::problem(400, "report-" + id.error().where.substr(reason.size()), id.error().what);
  return made(hub, id);
}

net::Reply change(const Hub& hub, const net::Request& q, std::int64_t id) {
  const auto n = asked(q);
  if (!n) return net::problem(n.error());
  const auto before = hub.bulletins->show(q.scope, id);
  if (!before) return net::problem(before.error());
  if (auto stale = web::must_match(q, etag_of(*before))) return std::move(*stale);
  const auto done = hub.bulletins->change(q.scope, id, *n, before->version);
  if (!done && done.error().where == "/version") return web::problem(412, "stale-edit", done.error().what);
  return done ? shown(hub, q.scope, id) : net::problem(done.error());
}

net::Reply decide(const Hub& hub, const net::Request& q, std::int64_t id) {
  const auto v = body_of<DecisionView>(q);
  if (!v) return net::problem(v.error());
  exchange::Bulletins::Decision d;
  const auto numbers = [](const std::optional<std::vector<std::string>>& from, std::vector<std::int64_t>& to) {
    if (!from) return true;
    for (const auto& each : *from) {
      const auto n = number_in(each);
      if (!n) return false;
      to.push_back(*n);
    }
    return true;
  };
  if (!numbers(v->confirm, d.confirm)) return net::problem(Error{Code::bad_input, "these are no ids", "/confirm"});
  if (!numbers(v->refuse, d.refuse)) return net::problem(Error{Code::bad_input, "these are no ids", "/refuse"});
  if (v->action) {
    const auto action = mi::parse_action(*v->action);
    if (!action) return net::problem(Error{Code::bad_input, "action is watch, warn, hold or block", "/action"});
    d.action = *action;
  }
  d.confidence = v->confidence.value_or(80);
  const auto done = hub.bulletins->decide(q.scope, id, d);
  return done ? shown(hub, q.scope, id) : net::problem(done.error());
}

net::Reply publish(const Hub& hub, const net::Request& q, std::int64_t id) {
  const auto taken = hub.bulletins->publish(q.scope, id);
  if (!taken) return net::problem(taken.error());
  PublishedView v{taken->published, {}};
  for (const auto& each : taken->list) v.dropped.push_back({each.what, each.object, each.reason});
  return net::json(net::to_json(v));
}

net::Reply withdraw(const Hub& hub, const net::Request& q, std::int64_t id) {
  const auto because = body_of<Because>(q);
  if (!because) return net::problem(because.error());
  return web::done(hub.bulletins->withdraw(q.scope, id, because->why));
}

}  // namespace

void add_bulletin_routes(net::Router& router, const HubPtr& hub) {
  const auto one = [&hub](net::Reply (*f)(const Hub&, const net::Request&, std::int64_t)) -> net::Handler {
    return [hub, f](const net::Request& q) -> net::Reply {
      const auto id = web::id_of(q);
      return id ? f(*hub, q, *id) : net::problem(id.error());
    };
  };
  router.get("/api/bulletins", Needs::tenants_read, [hub](const net::Request& q) { return list(*hub, q); });
  router.post("/api/bulletins", Needs::publish, [hub](const net::Request& q) { return add(*hub, q); },
              {.max_body = 2U << 20U});
  router.post("/api/bulletins/reports", Needs::publish, [hub](const net::Request& q) { return add_report(*hub, q); },
              {.max_body = 33U << 20U, .deadline = std::chrono::seconds(60)});
  router.get("/api/bulletins/{id}", Needs::tenants_read,
             one([](const Hub& h, const net::Request& q, std::int64_t id) { return shown(h, q.scope, id); }));
  router.put("/api/bulletins/{id}", Needs::publish, one(change), {.max_body = 2U << 20U});
  router.post("/api/bulletins/{id}/indicators", Needs::publish, one(decide));
  router.post("/api/bulletins/{id}/publish", Needs::publish, one(publish));
  router.post("/api/bulletins/{id}/withdraw", Needs::publish, one(withdraw));
}

}  // namespace bavn::show::api
