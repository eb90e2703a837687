#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"
#include "tenants/people.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

struct NewContact {
  std::string name, kind, address;
  std::optional<std::string> language;
  std::optional<bool> outside;
  std::optional<std::int64_t> rank;
};
BOOST_DESCRIBE_STRUCT(NewContact, (), (name, kind, address, language, outside, rank))
struct CodeBody {
  std::string code;
};
BOOST_DESCRIBE_STRUCT(CodeBody, (), (code))

net::Reply list(const NodeParts& p, const net::Request& q) {
  const tenants::People people(p.runtime, p.state);
  const auto all = people.duty_contacts(q.scope, p.home());
  if (!all) return net::problem(all.error());
  const auto gaps = people.duty_gaps(q.scope, p.home());
  if (!gaps) return net::problem(gaps.error());
  std::string out;
  JsonWriter w(out);
  w.object().key("items").array();
  for (const auto& one : *all) {
    w.object().member("person", std::to_string(one.id.value)).member("name", one.name);
    w.member("language", one.language).key("ways").array();
    for (const auto& way : one.ways) {
      w.object().member("id", std::to_string(way.id)).member("kind", tenants::to_string(way.kind));
      w.member("address", way.address).member("outside", way.outside_tenant);
      w.member("rank", static_cast<std::int64_t>(way.rank));
      if (way.confirmed) w.member("confirmed_at", web::time_text(*way.confirmed));
      w.end();
    }
    w.end().end();
  }
  w.end().key("missing").array();
  for (const auto& gap : *gaps) w.value(gap);
  w.end().end();
  return net::json(out);
}

/// The person as named, made when not there; a duty contact from now on.
Result<PersonId> person_of(tenants::People& people, const event::Scope& scope, MunicipalityId municipality,
                           const NewContact& c) {
  BAVN_TRY(const auto all, people.of(scope, municipality));
  const auto at =
      std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.name == c.name && !one.left; });
  PersonId id;
  if (at != all.end()) {
    id = at->id;
    if (std::find(at->roles.begin(), at->roles.end(), tenants::Role::duty_contact) != at->roles.end()) return id;
  } else {
    BAVN_TRY(id, people.add(scope, {municipality, c.name, "duty contact", c.language.value_or("en")}));
  }
  BAVN_CHECK(people.give_role(scope, id, tenants::Role::duty_contact));
  return id;
}

net::Reply add(const NodeParts& p, const net::Request& q) {
  NewContact c;
  if (auto bad = read_body(q, c)) return *bad;
  c.name = trim(c.name);
  if (c.name.empty() || c.name.size() > 200) return web::refused({{"/name", "a name of 1 to 200 bytes is wanted"}});
  const auto kind = tenants::way_kind_of(c.kind);
  if (!kind) return web::refused({{"/kind", "webhook, mail, sms or phone"}});
  if (c.language && *c.language != "da" && *c.language != "nb" && *c.language != "en")
    return web::refused({{"/language", "da, nb or en"}});
  if (c.rank.value_or(1) < 1 || c.rank.value_or(1) > 99) return web::refused({{"/rank", "1 to 99"}});
  tenants::NewWay way{*kind, c.address, c.outside.value_or(false), static_cast<int>(c.rank.value_or(1)), {}};
  if (*kind == tenants::WayKind::webhook) {
    std::array<std::byte, 32> random{};
    p.runtime.random(random);
    way.webhook_secret = "whsec_" + to_base64({reinterpret_cast<const char*>(random.data()), random.size()});
  }
  tenants::People people(p.runtime, p.state);
  const auto id = person_of(people, q.scope, p.home(), c);
  if (!id) return trouble(id.error());
  const auto made = people.add_way(q.scope, *id, way);
  if (!made)
    return made.error().code == Code::bad_input ? web::refused({{"/address", made.error().what}})
                                                : trouble(made.error());
  std::string out;
  JsonWriter w(out);
  w.object().member("person", std::to_string(id->value)).member("way", std::to_string(*made));
  add_text(w, "secret", way.webhook_secret);
  w.end();
  net::Reply reply = net::json(out, 201);
  return way.webhook_secret.empty() ? reply : web::shown_once(std::move(reply));
}

}  // namespace

void add_contact_routes(net::Router& router, const Parts& parts) {
  router.get("/api/contacts", Needs::tenants_read, [parts](const net::Request& q) { return list(*parts, q); });
  router.post("/api/contacts", Needs::people_write, [parts](const net::Request& q) { return add(*parts, q); });
  router.post("/api/contacts/test", Needs::people_write, [parts](const net::Request&) -> net::Reply {
    if (!parts->test_contacts) return not_here("duty contact to be tested");
    const auto sent = parts->test_contacts();
    return sent ? net::json(fmt::format("{{\"sent\":{}}}", *sent), 202) : trouble(sent.error());
  });
  router.post("/api/contacts/confirm", Needs::alert_read, [parts](const net::Request& q) -> net::Reply {
    if (parts->notify == nullptr) return not_here("test to be confirmed");
    CodeBody body;
    if (auto bad = read_body(q, body)) return *bad;
    return done_or(parts->notify->confirm(body.code));
  });
  router.del("/api/contacts/{person}/ways/{way}", Needs::people_write, [parts](const net::Request& q) -> net::Reply {
    const auto person = web::id_of(q, "person");
    if (!person) return net::problem(person.error());
    const auto way = web::id_of(q, "way");
    if (!way) return net::problem(way.error());
    tenants::People people(parts->runtime, parts->state);
    return done_or(people.remove_way(q.scope, PersonId{static_cast<std::uint64_t>(*person)}, *way));
  });
}

}  // namespace bavn::show::api
