#include <algorithm>

#include "show/api/members/nodes.hpp"
#include "tenants/people.hpp"

namespace bavn::show::api {

namespace {

struct DutyView {
  std::int64_t contacts = 0;
  std::vector<std::string> gaps;
  std::optional<std::string> at_node;  // none, untested, tested: what its node says, which tells no names
};
BOOST_DESCRIBE_STRUCT(DutyView, (), (contacts, gaps, at_node))

struct MunicipalityView {
  std::string code, name, region, country;
  bool member = false;
  std::optional<std::string> operator_;
  When since;
  std::vector<std::string> domains;
  bool may_be_named = true;
  std::vector<std::string> nodes;
  bool taken = false, word_alone = true;
  std::int64_t not_real = 0, real = 0;
  std::optional<DutyView> duty;
};
BOOST_DESCRIBE_STRUCT(MunicipalityView, (),
                      (code, name, region, country, member, operator_, since, domains, may_be_named, nodes, taken,
                       word_alone, not_real, real, duty))

struct DomainsAsk {
  std::vector<std::string> domains;
  bool may_be_named = true;
};
BOOST_DESCRIBE_STRUCT(DomainsAsk, (), (domains, may_be_named))
struct TakenAsk {
  bool taken = true;
};
BOOST_DESCRIBE_STRUCT(TakenAsk, (), (taken))
struct InviteAsk {
  std::vector<std::string> municipalities;
  std::optional<std::string> form, operator_;
};
BOOST_DESCRIBE_STRUCT(InviteAsk, (), (municipalities, form, operator_))
struct InvitationView {
  std::string node;
  std::vector<Town> municipalities;
  std::string code, expires_at;
};
BOOST_DESCRIBE_STRUCT(InvitationView, (), (node, municipalities, code, expires_at))
struct BeaconAsk {
  std::optional<std::string> municipality, observable;
};
BOOST_DESCRIBE_STRUCT(BeaconAsk, (), (municipality, observable))
struct MadeId {
  std::string id;
};
BOOST_DESCRIBE_STRUCT(MadeId, (), (id))
struct BeaconAnswer {
  std::string node;
  Town municipality;
  std::string applied_at, received_at;
  std::optional<std::int64_t> hits;
};
BOOST_DESCRIBE_STRUCT(BeaconAnswer, (), (node, municipality, applied_at, received_at, hits))
struct BeaconView {
  std::string id, sent_at;
  std::vector<BeaconAnswer> answers;
};
BOOST_DESCRIBE_STRUCT(BeaconView, (), (id, sent_at, answers))
struct AnswerRow {
  std::string node;
  std::int64_t municipality = 0, applied_at_us = 0, received_at_us = 0;
  std::optional<std::int64_t> hits;
};
BOOST_DESCRIBE_STRUCT(AnswerRow, (), (node, municipality, applied_at_us, received_at_us, hits))

Result<std::vector<MunicipalityView>> municipalities(const Hub& hub, const event::Scope& scope,
                                                     std::optional<MunicipalityId> only) {
  const event::Scope owner = event::Scope::local_owner();
  std::map<std::int64_t, tenants::Member> members;
  BAVN_TRY(const auto all, hub.directory.members(owner));
  for (const auto& m : all)
    if (!m.left) members[m.municipality.value] = m;
  BAVN_TRY(const auto operators, hub.directory.operators(owner));
  BAVN_TRY(const auto nodes, hub.directory.nodes(owner));
  std::map<std::int64_t, correlate::Standing> standings;
  std::vector<std::int64_t> taken;
  BAVN_CHECK(hub.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(const auto rows, correlate::standings(db));
    for (const auto& s : rows) standings[s.municipality] = s;
    for (const auto& [id, m] : members) {
      BAVN_TRY(const bool yes, hub.warnings.taken(db, m.municipality));
      if (yes) taken.push_back(id);
    }
    return {};
  }));
  const tenants::People people(hub.runtime, hub.state);
  std::map<std::int64_t, std::string> duty_said;
  if (only) {
    BAVN_TRY(duty_said, duty_at_nodes(hub));
  }
  std::vector<MunicipalityView> views;
  for (const auto& m : hub.directory.municipalities().list()) {
    if ((only && m.id != *only) || !scope.sees(m.id)) continue;
    MunicipalityView v{};
    v.code = m.code();
    v.name = m.name;
    v.region = m.region;
    v.country = m.country == tenants::Country::denmark ? "denmark" : "norway";
    const auto member = members.find(m.id.value);
    v.member = member != members.end();
    if (v.member) {
      const auto by = std::ranges::find(operators, member->second.by, &tenants::Operator::id);
      if (by != operators.end()) v.operator_ = by->name;
      v.since = web::time_text(member->second.since);
    }
    if (const auto facts = hub.domains.of(m.id)) {
      v.domains = facts->domains;
      v.may_be_named = facts->may_be_named;
    }
    for (const auto& n : nodes)
      if (std::ranges::find(n.municipalities, m.id) != n.municipalities.end()) v.nodes.push_back(n.name);
    v.taken = std::ranges::find(taken, m.id.value) != taken.end();
    if (const auto s = standings.find(m.id.value); s != standings.end()) {
      v.word_alone = s->second.alone != 0;
      v.not_real = s->second.not_real;
      v.real = s->second.real;
    }
    if (only && v.member) {
      BAVN_TRY(const auto contacts, people.duty_contacts(scope, m.id));
      BAVN_TRY(auto gaps, people.duty_gaps(scope, m.id));
      std::optional<std::string> at_node;
      if (const auto said = duty_said.find(m.id.value); said != duty_said.end()) at_node = said->second;
      // Whom the node calls by itself need not be written down here, too.
      if (contacts.empty() && at_node == "tested") gaps.clear();
      v.duty = DutyView{std::ssize(contacts), std::move(gaps), std::move(at_node)};
    }
    views.push_back(std::move(v));
  }
  return views;
}

Result<MunicipalityId> municipality_of(const Hub& hub, const net::Request& q) {
  BAVN_TRY(const auto id, hub.named(q.param("code")));
  if (!q.scope.sees(id)) return fail(Code::not_found, "there is no such municipality");
  return id;
}

/// Of what is edited: its domains and whether it may be named.
std::string etag_of(const MunicipalityView& v) {
  std::string text = v.code + (v.may_be_named ? "+" : "-");
  for (const auto& d : v.domains) text += "\n" + d;
  return web::etag_of_text(text);
}

Result<MunicipalityView> municipality(const Hub& hub, const event::Scope& scope, MunicipalityId id) {
  BAVN_TRY(auto found, municipalities(hub, scope, id));
  if (found.empty()) return fail(Code::not_found, "there is no such municipality");
  return std::move(found.front());
}

net::Reply show(const Hub& hub, const net::Request& q) {
  const auto id = municipality_of(hub, q);
  const auto v = id ? municipality(hub, q.scope, *id) : std::unexpected(id.error());
  return v ? web::tagged(net::json(net::to_json(*v)), etag_of(*v)) : net::problem(v.error());
}

/// The part of a list that a cursor names: they are in memory, in an order that stays.
template <class T, class Key>
net::Reply part_of(const net::Request& q, std::string_view name, const std::vector<T>& all, Key key) {
  const auto page = web::page_of(q, name);
  if (!page) return net::problem(page.error());
  std::vector<T> items;
  std::optional<std::string> next;
  for (const T& each : all) {
    if (!page->after.empty() && key(each) <= page->after) continue;
    if (items.size() == page->limit) {
      next = web::cursor_of(name, key(items.back()));
      break;
    }
    items.push_back(each);
  }
  return list_of(items, next);
}

net::Reply invitation(const Hub& hub, const Result<HubInvitation>& made) {
  if (!made) return net::problem(made.error());
  InvitationView v{made->node, {}, made->code, web::time_text(made->expires)};
  for (const MunicipalityId m : made->municipalities) v.municipalities.push_back(hub.town(m));
  return web::shown_once(net::json(net::to_json(v), 201));
}

net::Reply test_beacon(const Hub& hub, const net::Request& q) {
  const auto asked = body_of<BeaconAsk>(q);
  if (!asked) return net::problem(asked.error());
  std::optional<MunicipalityId> to;
  if (asked->municipality) {
    const auto m = hub.named(*asked->municipality);
    if (!m) return net::problem(m.error());
    to = *m;
  }
  if (!q.scope.sees_all() && (!to || !q.scope.sees(*to)))
    return net::problem(Error{Code::forbidden, "a test beacon goes to municipalities of one's own", ""});
  const auto id = hub.test_beacon(q.scope, to, asked->observable.value_or(""));
  return id ? web::created(net::to_json(MadeId{*id}), "/api/test-beacons/" + *id) : net::problem(id.error());
}

net::Reply answers(const Hub& hub, const net::Request& q) {
  BeaconView v;
  v.id = q.param("id");
  const auto read = hub.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(const auto sent,
             db.one<std::int64_t>("SELECT sent_at_us FROM hub_test_beacon WHERE id = :i", {{"i", v.id}}));
    if (!sent) return fail(Code::not_found, "there is no such test beacon");
    v.sent_at = at_always(*sent);
    BAVN_TRY(const auto rows, db.all<AnswerRow>("SELECT node, municipality, applied_at_us, received_at_us, hits FROM "
                                                "hub_answer WHERE beacon = :i ORDER BY applied_at_us",
                                                {{"i", v.id}}));
    for (const auto& r : rows)
      if (hub.sees(q.scope, r.municipality))
        v.answers.push_back(
            {r.node, hub.town(r.municipality), at_always(r.applied_at_us), at_always(r.received_at_us), r.hits});
    return {};
  });
  return read ? net::json(net::to_json(v)) : net::problem(read.error());
}

void add_nodes(net::Router& router, const HubPtr& hub) {
  router.get("/api/nodes", Needs::tenants_read, [hub](const net::Request& q) -> net::Reply {
    auto nodes = node_views(*hub, q.scope);
    if (!nodes) return net::problem(nodes.error());
    if (const auto state = q.asked("state"))
      std::erase_if(*nodes, [&](const NodeView& n) { return n.state != *state; });
    return part_of(q, "nodes", *nodes, [](const NodeView& n) { return n.id; });
  });
  router.post("/api/nodes/invitations", Needs::tenants_write, [hub](const net::Request& q) -> net::Reply {
    const auto asked = body_of<InviteAsk>(q);
    if (!asked) return net::problem(asked.error());
    if (asked->municipalities.empty())
      return net::problem(Error{Code::bad_input, "a node is of at least one municipality", "/municipalities"});
    return invitation(*hub, hub->invite(q.scope, asked->municipalities, asked->form.value_or("package"),
                                        asked->operator_.value_or("")));
  });
  router.get("/api/nodes/{id}", Needs::tenants_read, [hub](const net::Request& q) -> net::Reply {
    const auto nodes = node_views(*hub, q.scope);
    if (!nodes) return net::problem(nodes.error());
    const auto at = std::ranges::find(*nodes, q.param("id"), &NodeView::id);
    if (at == nodes->end()) return net::problem(Error{Code::not_found, "there is no such node", ""});
    return net::json(net::to_json(*at));
  });
  router.post("/api/nodes/{id}/code", Needs::tenants_write,
              [hub](const net::Request& q) { return invitation(*hub, hub->new_code(q.scope, q.param("id"))); });
  router.post("/api/nodes/{id}/revoke", Needs::tenants_write, proved(hub, [hub](const net::Request& q) -> net::Reply {
                const auto asked = body_of<Because>(q);
                if (!asked) return net::problem(asked.error());
                const auto id = hub->directory.node_named(q.scope, q.param("id"));
                if (!id) return net::problem(id.error());
                return web::done(hub->directory.revoke_node(q.scope, *id, asked->why));
              }));
  for (const std::string wish : {"start", "stop", "restart"})
    router.post("/api/guests/{code}/" + wish, Needs::tenants_write, [hub, wish](const net::Request& q) -> net::Reply {
      const auto id = municipality_of(*hub, q);
      if (!id) return net::problem(id.error());
      if (!hub->guest_wish) return net::problem(Error{Code::unavailable, "this hub runs no guest nodes", ""});
      const auto done = hub->guest_wish(hub->town(*id).code, wish);
      if (!done) return net::problem(done.error());
      return web::done(hub->change([&](store::Tx& tx) {
        return tx.audit({person(q), "guest." + wish, "municipality:" + std::to_string(id->value), "{}"});
      }));
    });
}

}  // namespace

void add_member_routes(net::Router& router, const HubPtr& hub) {
  add_nodes(router, hub);
  router.get("/api/municipalities", Needs::tenants_read, [hub](const net::Request& q) -> net::Reply {
    auto found = municipalities(*hub, q.scope, std::nullopt);
    if (!found) return net::problem(found.error());
    if (const auto members = q.asked("members"))
      std::erase_if(*found, [&](const auto& m) { return m.member != (*members == "true"); });
    if (const auto country = q.asked("country"))
      std::erase_if(*found, [&](const auto& m) { return m.country != *country; });
    return part_of(q, "municipalities", *found, [](const MunicipalityView& m) { return m.code; });
  });
  router.get("/api/municipalities/{code}", Needs::tenants_read, [hub](const net::Request& q) { return show(*hub, q); });
  router.put("/api/municipalities/{code}/domains", Needs::tenants_write, [hub](const net::Request& q) -> net::Reply {
    const auto id = municipality_of(*hub, q);
    if (!id) return net::problem(id.error());
    const auto now = municipality(*hub, q.scope, *id);
    if (!now) return net::problem(now.error());
    if (auto stale = web::must_match(q, etag_of(*now))) return std::move(*stale);
    const auto asked = body_of<DomainsAsk>(q);
    if (!asked) return net::problem(asked.error());
    const auto done = hub->domains.set(q.scope, *id, asked->domains, asked->may_be_named);
    return done ? show(*hub, q) : net::problem(done.error());
  });
  router.post("/api/municipalities/{code}/taken", Needs::alert_write, [hub](const net::Request& q) -> net::Reply {
    const auto id = municipality_of(*hub, q);
    if (!id) return net::problem(id.error());
    const auto asked = body_of<TakenAsk>(q);
    if (!asked) return net::problem(asked.error());
    const auto done =
        hub->change([&](store::Tx& tx) { return hub->warnings.mark_taken(tx, *id, asked->taken, person(q)); });
    return done ? show(*hub, q) : net::problem(done.error());
  });
  router.post("/api/municipalities/{code}/trust", Needs::publish, [hub](const net::Request& q) -> net::Reply {
    const auto id = municipality_of(*hub, q);
    if (!id) return net::problem(id.error());
    const auto asked = body_of<Because>(q);
    if (!asked) return net::problem(asked.error());
    const auto done = hub->change([&](store::Tx& tx) { return hub->correlator.trust(tx, *id, person(q), asked->why); });
    return done ? show(*hub, q) : net::problem(done.error());
  });
  router.post("/api/test-beacons", Needs::publish, [hub](const net::Request& q) { return test_beacon(*hub, q); });
  router.get("/api/test-beacons/{id}", Needs::tenants_read, [hub](const net::Request& q) { return answers(*hub, q); });
}

}  // namespace bavn::show::api
