// API keys: bavn_<id>_<secret>. What a key may do is never more than its person may do at that moment.
#include <fmt/format.h>

#include <algorithm>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/text.hpp"
#include "event/ip.hpp"
#include "net/json_views.hpp"
#include "show/auth/inner.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::auth {

namespace {

struct ApiKeyRow {
  std::string id, secret;
  PersonId person;
  std::string name;
  std::int64_t rights;
  std::optional<MunicipalityId> municipality;
  std::string addresses;
  Instant made_at_us, ends_at_us;
  std::optional<Instant> used_at_us;
  std::optional<std::string> used_from;
  std::optional<Instant> ended_at_us;
};
BOOST_DESCRIBE_STRUCT(ApiKeyRow, (),
                      (id, secret, person, name, rights, municipality, addresses, made_at_us, ends_at_us, used_at_us,
                       used_from, ended_at_us))
constexpr std::string_view kColumns =
    "id, secret, person, name, rights, municipality, addresses, made_at_us, ends_at_us, used_at_us, used_from, "
    "ended_at_us";

struct KeyView {
  std::string id, name, person;
  std::vector<std::string> rights;
  std::optional<std::string> municipality;
  std::vector<std::string> addresses;
  std::string made, expires;
  std::optional<std::string> used, used_from;
  std::string state;
};
BOOST_DESCRIBE_STRUCT(KeyView, (),
                      (id, name, person, rights, municipality, addresses, made, expires, used, used_from, state))
struct KeyViews {
  std::vector<KeyView> items;
};
BOOST_DESCRIBE_STRUCT(KeyViews, (), (items))
struct NewKey {
  std::string name;
  std::vector<std::string> rights;
  std::optional<std::string> municipality;
  std::optional<std::vector<std::string>> addresses;
  Instant expires{};
};
BOOST_DESCRIBE_STRUCT(NewKey, (), (name, rights, municipality, addresses, expires))
struct MadeKey {
  std::string id, key;
};
BOOST_DESCRIBE_STRUCT(MadeKey, (), (id, key))

constexpr std::chrono::minutes kUsedEvery{1};
constexpr std::size_t kIdLength = 10;
/// What a program has no business with: a key that makes keys or people outlives whoever stole it.
constexpr std::uint32_t kNeverInKeys = static_cast<std::uint32_t>(event::Right::people_write) |
                                       static_cast<std::uint32_t>(event::Right::follow) |
                                       static_cast<std::uint32_t>(event::Right::report);

std::string networks_text(const event::Cidr& c) {
  std::string out;
  event::append_ip(out, c.network);
  return fmt::format("{}/{}", out, c.prefix);
}
std::optional<event::Cidr> network_of(std::string_view text) {
  if (auto c = event::parse_cidr(text)) return c;
  const auto ip = event::parse_ip(text);
  if (!ip) return std::nullopt;
  return event::Cidr{*ip, static_cast<std::uint8_t>(ip->width())};
}

bool may_come_from(const std::string& addresses_json, std::string_view address) {
  const auto list = net::from_json<std::vector<std::string>>(addresses_json, net::Unknown::ignore);
  if (!list) return false;
  if (list->empty()) return true;
  const auto ip = event::parse_ip(address);
  if (!ip) return false;
  return std::any_of(list->begin(), list->end(), [&](const std::string& each) {
    const auto c = event::parse_cidr(each);
    return c && c->network.v6 == ip->v6 && event::masked(*ip, c->prefix) == c->network;
  });
}

}  // namespace

Result<event::Scope> Identity::Inner::key_scope(const net::Request& request, std::string_view key) const {
  const auto wrong = [] {
    return fail(Code::forbidden, "this API key is not valid here: it is wrong, over, or not for this address");
  };
  const std::string bucket = address_bucket(request);
  BAVN_TRY(const bool many, too_many(bucket, limits.address_tries));
  const auto refuse = [&](std::string_view why, std::string_view id) {
    if (!many)
      note_miss(bucket, {"nobody", "key.refused", fmt::format("key:{}", id),
                         fmt::format("{{\"address\":{},\"reason\":\"{}\"}}", net::to_json(request.peer.address), why)});
    return wrong();
  };
  // bavn_ + id + _ + secret.
  if (!key.starts_with("bavn_") || key.size() > 120) return refuse("form", "?");
  const auto rest = key.substr(5);
  const auto bar = rest.find('_');
  if (bar != kIdLength) return refuse("form", "?");
  const std::string id(rest.substr(0, bar));
  for (const char c : id)
    if (!((c >= 'a' && c <= 'z') || ascii_digit(c))) return refuse("form", "?");
  const Instant now = runtime.now();
  BAVN_TRY(const auto row, state.read([&](store::Reader& db) {
    return db.one<ApiKeyRow>(fmt::format("SELECT {} FROM api_key WHERE id = :id", kColumns), {{"id", id}});
  }));
  if (!row || !same_secret(row->secret, hash_of(rest.substr(bar + 1)))) return refuse("secret", id);
  if (row->ended_at_us || row->ends_at_us <= now) return refuse("over", id);
  if (!may_come_from(row->addresses, request.peer.address)) return refuse("address", id);
  BAVN_TRY(const auto s, standing(row->person));
  if (s.person.left) return refuse("left", id);
  const std::uint32_t rights = static_cast<std::uint32_t>(row->rights) & s.scope.rights() & ~kNeverInKeys;
  if (!row->used_at_us || *row->used_at_us + kUsedEvery <= now || row->used_from != request.peer.address)
    state.write([id, from = request.peer.address](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("UPDATE api_key SET used_at_us = :now, used_from = :from WHERE id = :id",
                         {{"now", tx.now()}, {"from", from}, {"id", id}}));
      return {};
    });
  const std::string who = "key:" + id;
  if (row->municipality) {
    if (!s.scope.sees(*row->municipality)) return refuse("municipality", id);
    return event::Scope(who, {*row->municipality}, rights, s.scope.ceiling());
  }
  if (s.scope.sees_all()) return event::Scope::everywhere(who, rights, s.scope.ceiling());
  return event::Scope(who, s.scope.municipalities(), rights, s.scope.ceiling());
}

void Identity::Inner::add_key_routes(net::Router& router) {
  router.get("/api/keys", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    const bool all = q.asked("all") == "true";
    const auto scope = scope_of(h.session);
    if (!scope) return net::problem(scope.error());
    if (all && !scope->may(event::Right::people_write))
      return net::problem({Code::forbidden, "only who administers people sees others' keys", {}});
    const Instant now = runtime.now();
    const auto rows = state.read([&](store::Reader& db) {
      return db.all<ApiKeyRow>(
          fmt::format("SELECT {} FROM api_key WHERE (:all = 1 OR person = :p) ORDER BY made_at_us DESC, id LIMIT 1000",
                      kColumns),
          {{"all", all}, {"p", h.session.person}});
    });
    if (!rows) return net::problem(rows.error());
    KeyViews list;
    for (const auto& r : *rows) {
      if (r.person != h.session.person && !people.find(*scope, r.person)) continue;
      KeyView v{r.id,
                r.name,
                std::to_string(r.person.value),
                right_names(static_cast<std::uint32_t>(r.rights)),
                r.municipality ? std::optional(fmt::format("{:04}", r.municipality->value)) : std::nullopt,
                net::from_json<std::vector<std::string>>(r.addresses, net::Unknown::ignore)
                    .value_or(std::vector<std::string>{}),
                ms_time(r.made_at_us),
                ms_time(r.ends_at_us),
                {},
                r.used_from,
                r.ended_at_us         ? "ended"
                : r.ends_at_us <= now ? "expired"
                                      : "valid"};
      if (r.used_at_us) v.used = ms_time(*r.used_at_us);
      list.items.push_back(std::move(v));
    }
    return net::json(net::to_json(list));
  });
  router.post("/api/keys", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    const auto wish = net::from_json<NewKey>(q.body, net::Unknown::refuse);
    if (!wish) return net::problem(wish.error());
    const auto scope = scope_of(h.session);
    if (!scope) return net::problem(scope.error());
    const std::string name(trim(wish->name));
    if (name.empty() || name.size() > 80 || !is_valid_utf8(name)) return web::refused({{"/name", "1 to 80 bytes"}});
    std::uint32_t rights = 0;
    for (std::size_t i = 0; i < wish->rights.size(); ++i) {
      const auto right = right_of(wish->rights[i]);
      if (!right) return web::refused({{fmt::format("/rights/{}", i), "there is no such right"}});
      if ((*right & ~scope->rights()) != 0 || (*right & kNeverInKeys) != 0)
        return web::refused(
            {{fmt::format("/rights/{}", i), "a key has rights among its person's own, and never those over people"}});
      rights |= *right;
    }
    if (rights == 0) return web::refused({{"/rights", "a key needs a right"}});
    std::optional<MunicipalityId> municipality;
    if (wish->municipality) {
      const auto m = person_id(*wish->municipality);
      if (!m || !std::in_range<std::uint16_t>(m->value) || !scope->sees({static_cast<std::uint16_t>(m->value)}))
        return web::refused({{"/municipality", "there is no such municipality"}});
      municipality = MunicipalityId{static_cast<std::uint16_t>(m->value)};
    }
    std::vector<std::string> addresses;
    for (const auto& each : wish->addresses.value_or(std::vector<std::string>{})) {
      const auto network = network_of(each);
      if (!network || addresses.size() >= 20)
        return web::refused(
            {{fmt::format("/addresses/{}", addresses.size()), "at most 20 addresses or networks like 192.0.2.0/24"}});
      addresses.push_back(networks_text(*network));
    }
    const Instant now = runtime.now();
    if (wish->expires <= now || wish->expires > now + limits.longest_key)
      return web::refused(
          {{"/expires", fmt::format("in the future, at most {} days from now",
                                    std::chrono::duration_cast<std::chrono::days>(limits.longest_key).count())}});
    if (!proved(h.session, now)) return needs_proof();
    std::string bytes(39, '\0');
    runtime.random(std::as_writable_bytes(std::span(bytes)));
    const std::string id = to_base32(std::string_view(bytes).substr(0, 7)).substr(0, kIdLength),
                      secret = to_base32(std::string_view(bytes).substr(7));
    const auto made = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(
          tx.exec("INSERT INTO api_key (id, secret, person, name, rights, municipality, addresses, made_at_us, "
                  "ends_at_us) VALUES (:id, :s, :p, :name, "
                  ":rights, :m, :addresses, :now, :ends)",
                  {{"id", id},
                   {"s", hash_of(secret)},
                   {"p", h.session.person},
                   {"name", name},
                   {"rights", rights},
                   {"m", municipality},
                   {"addresses", net::to_json(addresses)},
                   {"now", tx.now()},
                   {"ends", wish->expires}}));
      return tx.audit(
          {person_subject(h.session.person), "key.made", "key:" + id,
           fmt::format("{{\"rights\":{},\"addresses\":{}}}", net::to_json(wish->rights), net::to_json(addresses))});
    });
    if (!made) return net::problem(made.error());
    return web::shown_once(
        web::created(net::to_json(MadeKey{id, fmt::format("bavn_{}_{}", id, secret)}), "/api/keys/" + id));
  });
  router.del("/api/keys/{id}", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    const std::string id(q.param("id"));
    const auto row = state.read([&](store::Reader& db) {
      return db.one<ApiKeyRow>(fmt::format("SELECT {} FROM api_key WHERE id = :id", kColumns), {{"id", id}});
    });
    if (!row) return net::problem(row.error());
    const net::Reply none = net::problem({Code::not_found, "there is no such key", {}});
    if (!*row) return none;
    if ((*row)->person != h.session.person) {
      const auto scope = scope_of(h.session);
      if (!scope || !scope->may(event::Right::people_write) || !people.find(*scope, (*row)->person)) return none;
    }
    const auto done = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(const auto n, tx.exec("UPDATE api_key SET ended_at_us = :now WHERE id = :id AND ended_at_us IS NULL",
                                     {{"now", tx.now()}, {"id", id}}));
      if (n == 0) return {};  // it had ended: the same in the end
      return tx.audit({person_subject(h.session.person), "key.ended", "key:" + id, "{}"});
    });
    if (done) tell_ended("key:" + id);
    return web::done(done);
  });
}

}  // namespace bavn::show::auth
