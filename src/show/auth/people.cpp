// People and their roles, invitations, recovery by two persons. tenants::People decides what may be changed; what is here is about access.
#include "tenants/people.hpp"

#include <fmt/format.h>

#include "base/text.hpp"
#include "net/json_views.hpp"
#include "show/auth/inner.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::auth {

namespace {

using event::Right;

struct GivenRole {
  std::string role;
  std::optional<Instant> until;
};
BOOST_DESCRIBE_STRUCT(GivenRole, (), (role, until))
struct GivenRoleView {
  std::string role;
  std::optional<std::string> until;
};
BOOST_DESCRIBE_STRUCT(GivenRoleView, (), (role, until))
struct PersonView {
  std::string id, name, title, language, municipality;
  std::vector<GivenRoleView> roles;
  std::int64_t passkeys = 0;
  bool code = false, provider = false, needs_second_passkey = false;
  std::optional<std::string> seen;
};
BOOST_DESCRIBE_STRUCT(PersonView, (),
                      (id, name, title, language, municipality, roles, passkeys, code, provider, needs_second_passkey,
                       seen))
struct PersonViews {
  std::vector<PersonView> items;
};
BOOST_DESCRIBE_STRUCT(PersonViews, (), (items))
struct NewPersonBody {
  std::string name;
  std::optional<std::string> title;
  std::string language;
  std::optional<std::string> municipality;
  std::vector<GivenRole> roles;
};
BOOST_DESCRIBE_STRUCT(NewPersonBody, (), (name, title, language, municipality, roles))
struct RoleTime {
  std::optional<Instant> until;
};
BOOST_DESCRIBE_STRUCT(RoleTime, (), (until))
struct Invited {
  std::string person, link, expires;
};
BOOST_DESCRIBE_STRUCT(Invited, (), (person, link, expires))
struct PersonRef {
  std::string person;
};
BOOST_DESCRIBE_STRUCT(PersonRef, (), (person))
struct InvitationRow {
  std::int64_t id;
  PersonId person;
  std::string name, made_by;
  Instant made_at_us, ends_at_us;
};
BOOST_DESCRIBE_STRUCT(InvitationRow, (), (id, person, name, made_by, made_at_us, ends_at_us))
struct InvitationView {
  std::string id, person, name, by, made, expires;
};
BOOST_DESCRIBE_STRUCT(InvitationView, (), (id, person, name, by, made, expires))
struct Invitations {
  std::vector<InvitationView> items;
};
BOOST_DESCRIBE_STRUCT(Invitations, (), (items))
struct NewRecovery {
  std::string person, reason;
};
BOOST_DESCRIBE_STRUCT(NewRecovery, (), (person, reason))
struct RecoveryRow {
  std::int64_t id;
  PersonId person;
  std::string name, asked_by;
  Instant asked_at_us, ends_at_us;
  std::string reason;
};
BOOST_DESCRIBE_STRUCT(RecoveryRow, (), (id, person, name, asked_by, asked_at_us, ends_at_us, reason))
struct RecoveryView {
  std::string id, person, name, asked_by, asked, expires, reason;
  bool mine = false;
};
BOOST_DESCRIBE_STRUCT(RecoveryView, (), (id, person, name, asked_by, asked, expires, reason, mine))
struct Recoveries {
  std::vector<RecoveryView> items;
};
BOOST_DESCRIBE_STRUCT(Recoveries, (), (items))
struct RoleRow {
  std::string role;
  std::optional<Instant> until_us;
};
BOOST_DESCRIBE_STRUCT(RoleRow, (), (role, until_us))

constexpr std::string_view kOpenRecoveries =
    "SELECT r.id, r.person, p.name, r.asked_by, r.asked_at_us, r.ends_at_us, r.reason FROM recovery r JOIN person p ON "
    "p.id = r.person WHERE r.agreed_at_us IS NULL "
    "AND r.ends_at_us > :now AND p.left_at_us IS NULL";

RecoveryView view_of(const RecoveryRow& r, const event::Scope& scope) {
  return {std::to_string(r.id),   std::to_string(r.person.value), r.name,   r.asked_by,
          ms_time(r.asked_at_us), ms_time(r.ends_at_us),          r.reason, r.asked_by == scope.who()};
}

Result<tenants::Role> role_named(std::string_view name, std::string pointer) {
  const auto role = tenants::role_of(name);
  if (!role) return fail(Code::bad_input, fmt::format("there is no role \"{}\"", name), std::move(pointer));
  return *role;
}

}  // namespace

Result<void> Identity::Inner::no_stronger_than(const event::Scope& scope, PersonId person) const {
  BAVN_TRY(const auto found, people.find(scope, person));  // foreign people are not there
  if ((tenants::People::scope_for(found).rights() & ~scope.rights()) != 0)
    return fail(Code::forbidden,
                fmt::format("{} can do more than you: somebody with the same rights must do this", found.name));
  return {};
}

void Identity::Inner::add_people_routes(net::Router& router) {
  const auto view = [this](const tenants::Person& p) -> Result<PersonView> {
    BAVN_TRY(const auto s, standing(p.id));
    PersonView v{std::to_string(p.id.value),
                 p.name,
                 p.title,
                 p.language,
                 fmt::format("{:04}", p.municipality.value),
                 {},
                 s.passkeys,
                 s.code,
                 s.provider,
                 s.wants_two_keys() && s.passkeys < 2,
                 {}};
    return state.read([&](store::Reader& db) -> Result<PersonView> {
      BAVN_TRY(const auto roles, db.all<RoleRow>("SELECT role, until_us FROM person_role WHERE person = :p AND "
                                                 "(until_us IS NULL OR until_us > :now) ORDER BY role",
                                                 {{"p", p.id}, {"now", runtime.now()}}));
      for (const auto& r : roles)
        v.roles.push_back({r.role, r.until_us ? std::optional(ms_time(*r.until_us)) : std::nullopt});
      BAVN_TRY(const auto seen, db.one<std::optional<Instant>>(
                                    "SELECT max(seen_at_us) FROM web_session WHERE person = :p", {{"p", p.id}}));
      if (seen && *seen) v.seen = ms_time(**seen);
      return std::move(v);
    });
  };
  // Dangerous: asks for a proof. local owner's requests (command line) have a scope and no session.
  const auto unproved = [this](const net::Request& q) -> std::optional<net::Reply> {
    if (q.scope.who() == event::Scope::local_owner().who()) return std::nullopt;
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    if (!proved(std::get<Here>(at).session, runtime.now())) return needs_proof();
    return std::nullopt;
  };
  const auto link_reply = [this](std::string_view kind, PersonId person, const event::Scope& scope,
                                 std::chrono::seconds valid) -> net::Reply {
    Link link;
    const auto made = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(link, make_link(tx, kind, person, scope.who(), valid));
      return {};
    });
    if (!made) return net::problem(made.error());
    return web::shown_once(
        net::json(net::to_json(Invited{std::to_string(person.value), link.url, ms_time(link.ends)}), 201));
  };

  router.get("/api/people", net::Needs::tenants_read, [this, view](const net::Request& q) -> net::Reply {
    MunicipalityId of = options.municipality;
    if (const auto asked = q.asked("municipality")) {
      const auto n = person_id(*asked);
      if (!n || !std::in_range<std::uint16_t>(n->value))
        return net::problem({Code::not_found, "there is no such municipality", {}});
      of.value = static_cast<std::uint16_t>(n->value);
    }
    const auto found = people.of(q.scope, of);
    if (!found) return net::problem(found.error());
    PersonViews list;
    for (const auto& p : *found) {
      auto v = view(p);
      if (!v) return net::problem(v.error());
      list.items.push_back(std::move(*v));
    }
    return net::json(net::to_json(list));
  });
  router.get("/api/people/{id}", net::Needs::tenants_read, [this, view](const net::Request& q) -> net::Reply {
    const auto id = person_id(q.param("id"));
    if (!id) return net::problem(id.error());
    const auto found = people.find(q.scope, *id);
    if (!found) return net::problem(found.error());
    const auto v = view(*found);
    return v ? net::json(net::to_json(*v)) : net::problem(v.error());
  });
  router.post(
      "/api/people", net::Needs::people_write, [this, unproved, link_reply](const net::Request& q) -> net::Reply {
        const auto body = net::from_json<NewPersonBody>(q.body, net::Unknown::refuse);
        if (!body) return net::problem(body.error());
        if (body->roles.empty()) return web::refused({{"/roles", "a person needs a role"}});
        MunicipalityId of = options.municipality;
        if (body->municipality) {
          const auto n = person_id(*body->municipality);
          if (!n || !std::in_range<std::uint16_t>(n->value))
            return web::refused({{"/municipality", "there is no such municipality"}});
          of.value = static_cast<std::uint16_t>(n->value);
        }
        // All that could be refused is asked before the person is there.
        for (std::size_t i = 0; i < body->roles.size(); ++i) {
          const auto role = role_named(body->roles[i].role, fmt::format("/roles/{}/role", i));
          if (!role) return net::problem(role.error());
          if ((tenants::rights_of(*role) & ~q.scope.rights()) != 0)
            return net::problem(
                {Code::forbidden, fmt::format("the role {} can do more than you can", body->roles[i].role), {}});
          if (tenants::must_expire(*role) && !body->roles[i].until)
            return web::refused(
                {{fmt::format("/roles/{}/until", i), "this role is given for a time only: say until when"}});
          if (body->roles[i].until && *body->roles[i].until <= runtime.now())
            return web::refused({{fmt::format("/roles/{}/until", i), "this is past"}});
        }
        if (auto no = unproved(q)) return std::move(*no);
        const auto id = people.add(q.scope, {of, body->name, body->title.value_or(""), body->language});
        if (!id) return net::problem(id.error());
        for (const auto& r : body->roles)
          if (const auto given = people.give_role(q.scope, *id, *tenants::role_of(r.role), r.until); !given)
            return net::problem(given.error());
        net::Reply reply = link_reply("invitation", *id, q.scope, limits.invitation);
        if (reply.status == 201) reply.headers.set("Location", fmt::format("/api/people/{}", id->value));
        return reply;
      });
  router.post(
      "/api/people/{id}/leave", net::Needs::people_write, [this, unproved](const net::Request& q) -> net::Reply {
        const auto id = person_id(q.param("id"));
        if (!id) return net::problem(id.error());
        if (const auto weaker = no_stronger_than(q.scope, *id); !weaker) return net::problem(weaker.error());
        if (auto no = unproved(q)) return std::move(*no);
        const auto others = state.read([&](store::Reader& db) { return somebody_administers(db, *id); });
        if (!others) return net::problem(others.error());
        if (!*others)
          return net::problem(
              {Code::conflict,
               "nobody else could administer people here: give somebody the role, with a passkey, first",
               {}});
        if (const auto left = people.leave(q.scope, *id); !left) return net::problem(left.error());
        const auto ended_now = state.write_now([&](store::Tx& tx) { return end_all(tx, *id, q.scope.who(), true); });
        if (ended_now) tell_ended(person_subject(*id));
        return web::done(ended_now);
      });
  router.put("/api/people/{id}/roles/{role}", net::Needs::people_write,
             [this, unproved](const net::Request& q) -> net::Reply {
               const auto id = person_id(q.param("id"));
               if (!id) return net::problem(id.error());
               const auto role = tenants::role_of(q.param("role"));
               if (!role) return net::problem({Code::not_found, "there is no such role", {}});
               const auto time = net::from_json<RoleTime>(q.body.empty() ? "{}" : q.body, net::Unknown::refuse);
               if (!time) return net::problem(time.error());
               if (auto no = unproved(q)) return std::move(*no);
               return web::done(people.give_role(q.scope, *id, *role, time->until));
             });
  router.del("/api/people/{id}/roles/{role}", net::Needs::people_write,
             [this, unproved](const net::Request& q) -> net::Reply {
               const auto id = person_id(q.param("id"));
               if (!id) return net::problem(id.error());
               const auto role = tenants::role_of(q.param("role"));
               if (!role) return net::problem({Code::not_found, "there is no such role", {}});
               if (const auto weaker = no_stronger_than(q.scope, *id); !weaker) return net::problem(weaker.error());
               if (auto no = unproved(q)) return std::move(*no);
               if ((tenants::rights_of(*role) & static_cast<std::uint32_t>(Right::people_write)) != 0) {
                 const auto others = state.read([&](store::Reader& db) { return somebody_administers(db, *id); });
                 if (!others) return net::problem(others.error());
                 if (!*others)
                   return net::problem(
                       {Code::conflict,
                        "nobody else could administer people here: give somebody the role, with a passkey, first",
                        {}});
               }
               return web::done(people.take_role(q.scope, *id, *role));
             });

  router.get("/api/invitations", net::Needs::people_write, [this](const net::Request& q) -> net::Reply {
    const auto rows = state.read([&](store::Reader& db) {
      return db.all<InvitationRow>(
          "SELECT l.id, l.person, p.name, l.made_by, l.made_at_us, l.ends_at_us FROM one_time_link l JOIN person p ON "
          "p.id = l.person WHERE "
          "l.kind = 'invitation' AND l.used_at_us IS NULL AND l.ends_at_us > :now AND p.left_at_us IS NULL ORDER BY "
          "l.id DESC LIMIT 500",
          {{"now", runtime.now()}});
    });
    if (!rows) return net::problem(rows.error());
    Invitations list;
    for (const auto& r : *rows)
      if (people.find(q.scope, r.person))
        list.items.push_back({std::to_string(r.id), std::to_string(r.person.value), r.name, r.made_by,
                              ms_time(r.made_at_us), ms_time(r.ends_at_us)});
    return net::json(net::to_json(list));
  });
  router.post("/api/invitations", net::Needs::people_write,
              [this, unproved, link_reply](const net::Request& q) -> net::Reply {
                const auto body = net::from_json<PersonRef>(q.body, net::Unknown::refuse);
                if (!body) return net::problem(body.error());
                const auto id = person_id(body->person);
                if (!id) return net::problem(id.error());
                if (const auto weaker = no_stronger_than(q.scope, *id); !weaker) return net::problem(weaker.error());
                if (auto no = unproved(q)) return std::move(*no);
                const auto s = standing(*id);
                if (!s) return net::problem(s.error());
                if (s->person.left)
                  return net::problem({Code::conflict, fmt::format("{} has left", s->person.name), {}});
                if (s->can_return())
                  return net::problem(
                      {Code::conflict,
                       fmt::format("{} can sign in already; lost keys are recovered by two people", s->person.name),
                       {}});
                return link_reply("invitation", *id, q.scope, limits.invitation);
              });
  router.del("/api/invitations/{id}", net::Needs::people_write, [this](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    const auto person = state.read([&](store::Reader& db) {
      return db.one<PersonId>(
          "SELECT person FROM one_time_link WHERE id = :id AND kind = 'invitation' AND used_at_us IS NULL",
          {{"id", *id}});
    });
    if (!person) return net::problem(person.error());
    if (!*person || !people.find(q.scope, **person))
      return net::problem({Code::not_found, fmt::format("there is no open invitation {}", *id), {}});
    return web::done(state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("DELETE FROM one_time_link WHERE id = :id AND used_at_us IS NULL", {{"id", *id}}));
      return tx.audit({q.scope.who(), "link.withdrawn", person_subject(**person), fmt::format("{{\"link\":{}}}", *id)});
    }));
  });

  router.get("/api/recoveries", net::Needs::people_write, [this](const net::Request& q) -> net::Reply {
    const auto rows = state.read([&](store::Reader& db) {
      return db.all<RecoveryRow>(fmt::format("{} ORDER BY r.id DESC LIMIT 500", kOpenRecoveries),
                                 {{"now", runtime.now()}});
    });
    if (!rows) return net::problem(rows.error());
    Recoveries list;
    for (const auto& r : *rows)
      if (people.find(q.scope, r.person)) list.items.push_back(view_of(r, q.scope));
    return net::json(net::to_json(list));
  });
  router.post("/api/recoveries", net::Needs::people_write, [this, unproved](const net::Request& q) -> net::Reply {
    const auto body = net::from_json<NewRecovery>(q.body, net::Unknown::refuse);
    if (!body) return net::problem(body.error());
    const auto id = person_id(body->person);
    if (!id) return net::problem(id.error());
    const std::string reason(trim(body->reason));
    if (reason.empty() || reason.size() > 500 || !is_valid_utf8(reason))
      return web::refused({{"/reason", "1 to 500 bytes"}});
    if (person_subject(*id) == q.scope.who())
      return net::problem({Code::conflict, "nobody recovers themselves: ask somebody else who administers", {}});
    if (const auto weaker = no_stronger_than(q.scope, *id); !weaker) return net::problem(weaker.error());
    if (auto no = unproved(q)) return std::move(*no);
    std::optional<RecoveryRow> row;
    const auto asked = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("DELETE FROM recovery WHERE person = :p AND agreed_at_us IS NULL", {{"p", *id}}));
      BAVN_CHECK(tx.exec(
          "INSERT INTO recovery (person, reason, asked_by, asked_at_us, ends_at_us) VALUES (:p, :r, :who, :now, :ends)",
          {{"p", *id},
           {"r", reason},
           {"who", q.scope.who()},
           {"now", tx.now()},
           {"ends", tx.now() + limits.recovery}}));
      BAVN_TRY(row, tx.one<RecoveryRow>(fmt::format("{} AND r.id = :id", kOpenRecoveries),
                                        {{"now", tx.now()}, {"id", tx.last_id()}}));
      BAVN_CHECK(tx.emit("recovery.asked", person_subject(*id)));
      return tx.audit({q.scope.who(), "recovery.asked", person_subject(*id),
                       fmt::format("{{\"reason\":{}}}", net::to_json(reason))});
    });
    if (!asked) return net::problem(asked.error());
    if (!row) return net::problem({Code::conflict, "this person has left", {}});
    return net::json(net::to_json(view_of(*row, q.scope)), 201);
  });
  router.post(
      "/api/recoveries/{id}/agree", net::Needs::people_write,
      [this, unproved, link_reply](const net::Request& q) -> net::Reply {
        const auto id = web::id_of(q);
        if (!id) return net::problem(id.error());
        const auto row = state.read([&](store::Reader& db) {
          return db.one<RecoveryRow>(fmt::format("{} AND r.id = :id", kOpenRecoveries),
                                     {{"now", runtime.now()}, {"id", *id}});
        });
        if (!row) return net::problem(row.error());
        if (!*row || !people.find(q.scope, (*row)->person))
          return net::problem({Code::not_found, fmt::format("there is no open recovery {}", *id), {}});
        if ((*row)->asked_by == q.scope.who())
          return net::problem({Code::conflict, "you asked for it: another person must agree", {}});
        if (person_subject((*row)->person) == q.scope.who())
          return net::problem({Code::conflict, "it is your own recovery: another person must agree", {}});
        if (const auto weaker = no_stronger_than(q.scope, (*row)->person); !weaker) return net::problem(weaker.error());
        if (auto no = unproved(q)) return std::move(*no);
        const PersonId person = (*row)->person;
        const auto agreed = state.write_now([&](store::Tx& tx) -> Result<void> {
          BAVN_TRY(
              const auto n,
              tx.exec(
                  "UPDATE recovery SET agreed_by = :who, agreed_at_us = :now WHERE id = :id AND agreed_at_us IS NULL",
                  {{"who", q.scope.who()}, {"now", tx.now()}, {"id", *id}}));
          if (n == 0) return fail(Code::conflict, "somebody agreed at the same moment");
          BAVN_CHECK(tx.audit(
              {q.scope.who(), "recovery.agreed", person_subject(person), fmt::format("{{\"recovery\":{}}}", *id)}));
          return end_all(tx, person, q.scope.who(), true);
        });
        if (!agreed) return net::problem(agreed.error());
        tell_ended(person_subject(person));
        return link_reply("recovery", person, q.scope, limits.recovery);
      });
  router.del("/api/recoveries/{id}", net::Needs::people_write, [this](const net::Request& q) -> net::Reply {
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    const auto row = state.read([&](store::Reader& db) {
      return db.one<RecoveryRow>(fmt::format("{} AND r.id = :id", kOpenRecoveries),
                                 {{"now", runtime.now()}, {"id", *id}});
    });
    if (!row) return net::problem(row.error());
    if (!*row || !people.find(q.scope, (*row)->person))
      return net::problem({Code::not_found, fmt::format("there is no open recovery {}", *id), {}});
    return web::done(state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("DELETE FROM recovery WHERE id = :id", {{"id", *id}}));
      return tx.audit({q.scope.who(), "recovery.ended", person_subject((*row)->person), "{}"});
    }));
  });
}

}  // namespace bavn::show::auth
