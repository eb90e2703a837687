#include <algorithm>

#include "show/api/hub_inner.hpp"
#include "warn/blocks/common.hpp"

namespace bavn::show::api {

namespace {

struct PreviewCounts {
  std::int64_t asked = 0, answered = 0, hits = 0, people = 0, municipalities = 0;
};
BOOST_DESCRIBE_STRUCT(PreviewCounts, (), (asked, answered, hits, people, municipalities))
struct CanCounts {
  std::int64_t path = 0, host = 0, nothing = 0;
};
BOOST_DESCRIBE_STRUCT(CanCounts, (), (path, host, nothing))
struct SinceCounts {
  std::int64_t hits = 0, people = 0;
};
BOOST_DESCRIBE_STRUCT(SinceCounts, (), (hits, people))

struct BlockView {
  std::string id, kind, value, defanged, action, reason, campaign, state, created_at;
  When from, until, ended_at;
  std::string proposed_by;
  std::optional<std::string> approved_by, ended_by, ended_why;
  bool exact = false, needs_two = false;
  std::optional<std::string> needs_two_why;
  PreviewCounts preview;
  CanCounts can;
  std::int64_t sent_to = 0;
  SinceCounts since;
  std::int64_t renewals = 0;
  std::vector<std::string> may;
};
BOOST_DESCRIBE_STRUCT(BlockView, (),
                      (id, kind, value, defanged, action, reason, campaign, state, created_at, from, until, ended_at,
                       proposed_by, approved_by, ended_by, ended_why, exact, needs_two, needs_two_why, preview, can,
                       sent_to, since, renewals, may))

struct PartView {
  Town municipality;
  When asked_at, answered_at;
  std::int64_t hits = 0, people = 0, days = 0;
  std::string can;
  std::int64_t stage = 0;
  std::string state, why;
  std::int64_t hits_since = 0, people_since = 0;
};
BOOST_DESCRIBE_STRUCT(PartView, (),
                      (municipality, asked_at, answered_at, hits, people, days, can, stage, state, why, hits_since,
                       people_since))
struct Detail {
  BlockView entry;
  std::vector<PartView> parts;
};
BOOST_DESCRIBE_STRUCT(Detail, (), (entry, parts))

struct NewBlock {
  std::string kind, value;
  std::optional<std::string> action;
  std::string reason;
  std::optional<std::int64_t> hours;
  std::optional<std::string> campaign;
};
BOOST_DESCRIBE_STRUCT(NewBlock, (), (kind, value, action, reason, hours, campaign))
struct Question {
  std::string kind, value;
};
BOOST_DESCRIBE_STRUCT(Question, (), (kind, value))
struct Renewal {
  std::int64_t hours = 0;
};
BOOST_DESCRIBE_STRUCT(Renewal, (), (hours))
struct KillAsk {
  std::optional<std::string> municipality;
  std::string why;
};
BOOST_DESCRIBE_STRUCT(KillAsk, (), (municipality, why))
struct KillView {
  std::optional<Town> municipality;
  std::string by, why, at;
};
BOOST_DESCRIBE_STRUCT(KillView, (), (municipality, by, why, at))

BlockView view_of(const Hub& hub, const net::Request& q, const warn::blocks::Entry& e) {
  BlockView v{};
  const auto shown = hub.shown(e.kind, e.value);
  v.id = e.id;
  v.kind = e.kind;
  v.value = e.value;
  v.defanged = shown.defanged;
  v.action = e.action;
  v.reason = e.reason;
  v.campaign = e.campaign;
  v.state = e.state;
  v.created_at = at_always(e.created_us);
  v.from = at(e.from_us);
  v.until = at(e.until_us);
  v.ended_at = at(e.ended_us);
  v.proposed_by = e.proposed_by;
  v.approved_by = filled(e.approved_by);
  v.ended_by = filled(e.ended_by);
  v.ended_why = filled(e.ended_why);
  v.exact = e.exact;
  v.needs_two = e.needs_two;
  v.needs_two_why = filled(e.needs_two_why);
  v.preview = {e.asked, e.answered, e.hits, e.people, e.municipalities};
  v.can = {e.can_path, e.can_host, e.can_nothing};
  v.sent_to = e.sent_to;
  v.since = {e.hits_since, e.people_since};
  v.renewals = e.renewals;
  if (!q.scope.may(Needs::publish) || !q.scope.sees_all() || e.ended_us > 0 || e.state == "asked") return v;
  const bool waits = e.state == "waits" || e.state.starts_with("stage_");
  if (waits && !warn::blocks::same_person(e.proposed_by, person(q))) v.may.emplace_back("approve");
  v.may.emplace_back("stop");
  if (e.state == "in_force") v.may.emplace_back("renew");
  return v;
}

net::Reply reply(const Hub& hub, const net::Request& q, const Result<warn::blocks::Entry>& e, int status = 200) {
  if (!e) return net::problem(e.error());
  net::Reply r = net::json(net::to_json(view_of(hub, q, *e)), status);
  if (status == 201) r.headers.set("Location", "/api/blocks/" + e->id);
  return r;
}

Result<void> for_all(const net::Request& q) {
  if (!q.scope.sees_all()) return fail(Code::forbidden, "what all block is decided by the joint CERT");
  // Two people must be two: the owner of this machine says which one acts.
  if (q.scope.who() == event::Scope::local_owner().who() && person(q) == q.scope.who())
    return fail(Code::bad_input, "say who you are: ?as=NAME", "?as");
  return {};
}

net::Reply list(const Hub& hub, const net::Request& q) {
  const auto page = web::page_of(q, "blocks");
  if (!page) return net::problem(page.error());
  std::int64_t before = 0;
  std::string after;
  if (const auto split = page->after.find('|'); split != std::string::npos) {
    before = number_in(std::string_view(page->after).substr(0, split)).value_or(0);
    after = page->after.substr(split + 1);
  }
  const auto all = q.asked("all").value_or("");
  auto found = hub.blocks.page(all == "true" || all == "1", before, after, page->limit + 1);
  if (!found) return net::problem(found.error());
  std::optional<std::string> next;
  if (found->size() > page->limit) {
    found->resize(page->limit);
    next = web::cursor_of("blocks", fmt::format("{}|{}", found->back().created_us, found->back().id));
  }
  std::vector<BlockView> views;
  for (const auto& e : *found) views.push_back(view_of(hub, q, e));
  return list_of(views, next);
}

net::Reply show(const Hub& hub, const net::Request& q) {
  const auto s = hub.blocks.show(q.param("id"));
  if (!s) return net::problem(s.error());
  Detail v{view_of(hub, q, s->entry), {}};
  for (const auto& p : s->parts)
    if (hub.sees(q.scope, p.municipality))
      v.parts.push_back({hub.town(p.municipality), at(p.asked_us), at(p.answered_us), p.hits, p.people, p.days, p.can,
                         p.stage, p.state, p.why, p.hits_since, p.people_since});
  return net::json(net::to_json(v));
}

/// Each of these: a body of its own, then an entry.
template <class Body, class F>
net::Handler acting(const HubPtr& hub, F f, int status = 200) {
  return [hub, f, status](const net::Request& q) -> net::Reply {
    if (const auto all = for_all(q); !all) return net::problem(all.error());
    const auto asked = body_of<Body>(q);
    if (!asked) return net::problem(asked.error());
    return reply(*hub, q, f(*hub, q, *asked), status);
  };
}

}  // namespace

void add_block_routes(net::Router& router, const HubPtr& hub) {
  router.get("/api/blocks", Needs::tenants_read, [hub](const net::Request& q) { return list(*hub, q); });
  router.get("/api/blocks/{id}", Needs::tenants_read, [hub](const net::Request& q) { return show(*hub, q); });
  router.post("/api/blocks", Needs::publish,
              acting<NewBlock>(
                  hub,
                  [](const Hub& h, const net::Request& q, const NewBlock& b) {
                    return h.blocks.propose(
                        person(q), {b.kind, b.value, b.action.value_or("block"), b.reason, b.hours, b.campaign});
                  },
                  201));
  router.post("/api/block-questions", Needs::publish,
              acting<Question>(
                  hub,
                  [](const Hub& h, const net::Request& q, const Question& b) {
                    return h.blocks.ask(person(q), b.kind, b.value);
                  },
                  201));
  router.post("/api/blocks/{id}/approve", Needs::publish, proved(hub, [hub](const net::Request& q) -> net::Reply {
                if (const auto all = for_all(q); !all) return net::problem(all.error());
                return reply(*hub, q, hub->blocks.approve(person(q), q.param("id")));
              }));
  router.post("/api/blocks/{id}/stop", Needs::publish,
              acting<Because>(hub, [](const Hub& h, const net::Request& q, const Because& b) {
                return h.blocks.stop(person(q), q.param("id"), b.why);
              }));
  router.post("/api/blocks/{id}/renew", Needs::publish,
              acting<Renewal>(hub, [](const Hub& h, const net::Request& q, const Renewal& b) {
                return h.blocks.renew(person(q), q.param("id"), b.hours);
              }));
  router.get("/api/block-switch", Needs::tenants_read, [hub](const net::Request& q) -> net::Reply {
    const auto kills = hub->blocks.kills();
    if (!kills) return net::problem(kills.error());
    std::vector<KillView> views;
    for (const auto& k : *kills)
      if (k.municipality == 0 || hub->sees(q.scope, k.municipality))
        views.push_back({k.municipality == 0 ? std::nullopt : std::optional(hub->town(k.municipality)), k.by, k.why,
                         at_always(k.at_us)});
    return list_of(views);
  });
  for (const bool kill : {true, false})
    router.post(kill ? "/api/block-switch/kill" : "/api/block-switch/revive", Needs::publish,
                proved(hub, [hub, kill](const net::Request& q) -> net::Reply {
                  const auto asked = body_of<KillAsk>(q);
                  if (!asked) return net::problem(asked.error());
                  std::optional<MunicipalityId> of;
                  if (asked->municipality) {
                    const auto m = hub->named(*asked->municipality);
                    if (!m) return net::problem(m.error());
                    of = *m;
                  }
                  if (const auto all = for_all(q);
                      !all && (all.error().code == Code::bad_input || !of || !q.scope.sees(*of)))
                    return net::problem(all.error());
                  return web::done(kill ? hub->blocks.kill(person(q), of, asked->why)
                                        : hub->blocks.revive(person(q), of, asked->why));
                }));
}

}  // namespace bavn::show::api
