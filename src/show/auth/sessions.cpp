// Sessions, the cookie, who is there, and how often one may try.
#include <fmt/format.h>

#include <algorithm>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "net/json_views.hpp"
#include "show/auth/inner.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::auth {

namespace {

constexpr std::string_view kSessionColumns =
    "id, person, method, passkey, demonstration, began_at_us, seen_at_us, ends_at_us, proved_at_us, address, browser";
/// The cookie's own life: the table decides, this only tidies browsers.
constexpr std::chrono::minutes kSeenEvery{1};

struct SessionView {
  std::string id, method, began, seen, ends, address, browser;
  bool this_ = false;
};
BOOST_DESCRIBE_STRUCT(SessionView, (), (id, method, began, seen, ends, address, browser, this_))

struct Items {
  std::vector<SessionView> items;
};
BOOST_DESCRIBE_STRUCT(Items, (), (items))

struct ProviderLabel {
  std::string id, label;
};
BOOST_DESCRIBE_STRUCT(ProviderLabel, (), (id, label))
struct Ways {
  bool passkey = true, code = false;
  std::vector<ProviderLabel> providers;
};
BOOST_DESCRIBE_STRUCT(Ways, (), (passkey, code, providers))
struct PersonBrief {
  std::string id, name;
  std::vector<std::string> roles;
};
BOOST_DESCRIBE_STRUCT(PersonBrief, (), (id, name, roles))
struct State {
  std::string serves, name;
  std::optional<std::string> municipality;
  std::string language;
  std::optional<PersonBrief> person;
  std::vector<std::string> rights;
  std::optional<std::string> method, began, ends, proved_until;
  std::int64_t passkeys = 0;
  std::vector<std::string> advice;
  bool demonstration = false;
  Ways ways;
};
BOOST_DESCRIBE_STRUCT(State, (),
                      (serves, name, municipality, language, person, rights, method, began, ends, proved_until,
                       passkeys, advice, demonstration, ways))

struct LanguageChoice {
  std::string language;
};
BOOST_DESCRIBE_STRUCT(LanguageChoice, (), (language))

struct ProviderIdLabel {
  std::int64_t id;
  std::string label;
};
BOOST_DESCRIBE_STRUCT(ProviderIdLabel, (), (id, label))

struct Counted {
  std::int64_t passkeys, code, provider;
};
BOOST_DESCRIBE_STRUCT(Counted, (), (passkeys, code, provider))

net::Reply nobody() {
  return web::problem(401, "unauthenticated", "nobody is signed in, or the session is over");
}

bool safe_method(net::Method m) {
  return m == net::Method::get || m == net::Method::head;
}

}  // namespace

std::string_view to_string(Method method) {
  switch (method) {
    case Method::passkey: return "passkey";
    case Method::provider: return "provider";
    case Method::code: return "code";
    case Method::link: return "link";
  }
  return "link";
}

bool Standing::strong() const {
  return (scope.rights() & kStrongRights) != 0;
}
bool Standing::wants_two_keys() const {
  return (scope.rights() & kTwoKeyRights) != 0;
}

std::string browser_name(std::string_view agent) {
  const auto has = [&](std::string_view word) { return agent.find(word) != std::string_view::npos; };
  const std::string_view browser = has("Edg/")       ? "Edge"
                                   : has("Firefox/") ? "Firefox"
                                   : has("Chrome/")  ? "Chrome"
                                   : has("Safari/")  ? "Safari"
                                                     : "";
  const std::string_view system = has("Windows")                 ? "Windows"
                                  : has("iPhone") || has("iPad") ? "iOS"
                                  : has("Mac OS X")              ? "macOS"
                                  : has("Android")               ? "Android"
                                  : has("Linux")                 ? "Linux"
                                                                 : "";
  if (browser.empty()) return "?";
  return system.empty() ? std::string(browser) : fmt::format("{} / {}", browser, system);
}

std::string fresh_secret(Runtime& runtime, std::size_t size) {
  std::string bytes(size, '\0');
  runtime.random(std::as_writable_bytes(std::span(bytes)));
  return to_base64url(bytes);
}

std::string hash_of(std::string_view secret) {
  return to_hex(sha256(secret));
}

std::optional<std::string> cookie_of(const net::Request& request, std::string_view name) {
  for (const auto& [header, value] : request.headers.all()) {
    if (!iequals(header, "Cookie")) continue;
    for (const std::string_view each : split(value, ';')) {
      const std::string_view cookie = trim(each);
      const auto is = cookie.find('=');
      if (is != std::string_view::npos && cookie.substr(0, is) == name) return std::string(cookie.substr(is + 1));
    }
  }
  return std::nullopt;
}

std::map<std::string, std::string, std::less<>> form_of(const net::Request& request) {
  auto read = net::request_for(net::Method::post, "/?" + request.body);
  return read ? std::move(read->query) : std::map<std::string, std::string, std::less<>>{};
}

std::string person_subject(PersonId id) {
  return fmt::format("person:{}", id.value);
}

Result<PersonId> person_id(std::string_view text) {
  std::uint64_t n = 0;
  if (text.empty() || text.size() > 18) return fail(Code::not_found, "there is no such person");
  for (const char c : text) {
    if (!ascii_digit(c)) return fail(Code::not_found, "there is no such person");
    n = n * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return PersonId{n};
}

namespace {
constexpr std::pair<std::string_view, event::Right> kRightNames[] = {{"event_read", event::Right::event_read},
                                                                     {"event_write", event::Right::event_write},
                                                                     {"event_erase", event::Right::event_erase},
                                                                     {"finding_read", event::Right::finding_read},
                                                                     {"indicator_read", event::Right::indicator_read},
                                                                     {"indicator_write", event::Right::indicator_write},
                                                                     {"hunt", event::Right::hunt},
                                                                     {"operate", event::Right::operate},
                                                                     {"alert_read", event::Right::alert_read},
                                                                     {"alert_write", event::Right::alert_write},
                                                                     {"follow", event::Right::follow},
                                                                     {"report", event::Right::report},
                                                                     {"tenants_read", event::Right::tenants_read},
                                                                     {"tenants_write", event::Right::tenants_write},
                                                                     {"publish", event::Right::publish},
                                                                     {"order", event::Right::order},
                                                                     {"audit_read", event::Right::audit_read},
                                                                     {"left_us_read", event::Right::left_us_read},
                                                                     {"people_write", event::Right::people_write},
                                                                     {"settings_write", event::Right::settings_write}};
}  // namespace

std::vector<std::string> right_names(std::uint32_t rights) {
  std::vector<std::string> names;
  for (const auto& [name, right] : kRightNames)
    if ((rights & static_cast<std::uint32_t>(right)) != 0) names.emplace_back(name);
  return names;
}

std::optional<std::uint32_t> right_of(std::string_view name) {
  for (const auto& [n, right] : kRightNames)
    if (n == name) return static_cast<std::uint32_t>(right);
  return std::nullopt;
}

std::string ms_time(Instant t) {
  return web::time_text(t);
}

net::Reply with_cookie(net::Reply reply, const std::optional<std::string>& cookie) {
  if (cookie) reply.headers.add("Set-Cookie", *cookie);
  return reply;
}

std::string Identity::Inner::site() const {
  return origin.with([](const std::string& o) { return o; });
}

std::string Identity::Inner::rp_id() const {
  std::string host = site();
  host.erase(0, host.find("//") + 2);
  // Not an IPv6 address: those cannot have passkeys, and stay as they are.
  if (const auto colon = host.rfind(':'); colon != std::string::npos && !host.ends_with(']')) host.erase(colon);
  return host;
}

std::string Identity::Inner::cookie_name() const {
  // Browsers share cookies among the ports of a host: a hub and its guests on one machine would sign each other out. And on plain http
  // (this machine only) not every browser takes a cookie that is Secure, which the prefix demands.
  const std::string at = site();
  const auto colon = at.rfind(':');
  const std::string port = colon > at.find("//") && colon != std::string::npos ? "-" + at.substr(colon + 1) : "";
  return plain() ? "bavn" + port : "__Host-bavn" + port;
}

std::string Identity::Inner::session_cookie(std::string_view token) const {
  return fmt::format("{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age={}{}", cookie_name(), token,
                     limits.session.count(), plain() ? "" : "; Secure");
}

std::string Identity::Inner::no_cookie() const {
  return fmt::format("{}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{}", cookie_name(), plain() ? "" : "; Secure");
}

Identity::Inner::Browser Identity::Inner::browser_of(const net::Request& request) const {
  if (const auto cookie = cookie_of(request, browser_cookie_name()); cookie && cookie->size() == 43)
    return {hash_of(*cookie), {}};
  const std::string token = fresh_secret(runtime);
  return {hash_of(token), fmt::format("{}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age=1800{}", browser_cookie_name(),
                                      token, plain() ? "" : "; Secure")};
}

bool Identity::Inner::same_site(const net::Request& request) const {
  if (const auto* fetch = request.headers.find("Sec-Fetch-Site")) return *fetch == "same-origin" || *fetch == "none";
  // Older browsers: no page of another origin can send this header, or our Origin.
  if (const auto* ours = request.headers.find("X-Bavn"); ours != nullptr && *ours == "1") return true;
  const auto* from = request.headers.find("Origin");
  return from != nullptr && *from == site();
}

Result<std::optional<SessionRow>> Identity::Inner::session_of(const net::Request& request) const {
  const auto token = cookie_of(request, cookie_name());
  if (!token || token->size() != 43) return std::optional<SessionRow>();
  const Instant now = runtime.now();
  BAVN_TRY(auto row, state.read([&](store::Reader& db) {
    return db.one<SessionRow>(fmt::format("SELECT {} FROM web_session WHERE token = :t", kSessionColumns),
                              {{"t", hash_of(*token)}});
  }));
  if (!row || row->ends_at_us <= now || row->seen_at_us + limits.idle <= now) return std::optional<SessionRow>();
  return row;
}

Result<Standing> Identity::Inner::standing(PersonId id) const {
  BAVN_TRY(auto person, people.find(event::Scope::local_owner(), id));
  Standing s;
  s.scope = tenants::People::scope_for(person);
  s.person = std::move(person);
  if (s.person.left) s.scope = event::Scope(person_subject(id), {}, 0, event::Tlp::clear);
  BAVN_TRY(const auto counted, state.read([&](store::Reader& db) {
    return db.one<Counted>(
        "SELECT (SELECT count(*) FROM passkey WHERE person = :p AND copied_at_us IS NULL) AS passkeys, "
        "(SELECT count(*) FROM totp WHERE person = :p AND confirmed_at_us IS NOT NULL) AS code, "
        "(SELECT count(*) FROM provider_subject WHERE person = :p) AS provider",
        {{"p", id}});
  }));
  s.passkeys = counted->passkeys;
  s.code = counted->code > 0;
  s.provider = counted->provider > 0;
  return s;
}

namespace {
event::Scope narrowed(const event::Scope& scope, std::uint32_t rights) {
  if (scope.sees_all()) return event::Scope::everywhere(scope.who(), rights, scope.ceiling());
  return event::Scope(scope.who(), scope.municipalities(), rights, scope.ceiling());
}
}  // namespace

Result<event::Scope> Identity::Inner::scope_of(const SessionRow& session) const {
  BAVN_TRY(const auto s, standing(session.person));
  if (s.person.left) return fail(Code::forbidden, "this person has left");
  std::uint32_t rights = s.scope.rights();
  // A code can be talked out of people: what is dangerous is not reached with one.
  if (session.method == "code") rights &= ~kStrongRights;
  // Who came by a link and cannot come back yet does that first.
  if (session.method == "link" && !session.demonstration && !s.can_return()) rights = 0;
  return narrowed(s.scope, rights);
}

Instant Identity::Inner::proved_until(const SessionRow& session) const {
  if (session.demonstration) return session.ends_at_us;
  return session.proved_at_us ? *session.proved_at_us + limits.proof : Instant{};
}
bool Identity::Inner::proved(const SessionRow& session, Instant now) const {
  return proved_until(session) > now;
}

Result<Identity::Inner::Begun> Identity::Inner::begin(store::Tx& tx, const net::Request& request, PersonId person,
                                                      Method method, bool proof, bool demonstration,
                                                      std::optional<std::int64_t> passkey) {
  if (const auto old = cookie_of(request, cookie_name()))
    BAVN_CHECK(tx.exec("DELETE FROM web_session WHERE token = :t", {{"t", hash_of(*old)}}));
  const std::string token = fresh_secret(runtime);
  const auto* agent = request.headers.find("User-Agent");
  const Instant now = tx.now();
  BAVN_CHECK(
      tx.exec("INSERT INTO web_session (token, person, method, passkey, demonstration, began_at_us, seen_at_us, "
              "ends_at_us, proved_at_us, address, "
              "browser) VALUES (:token, :person, :method, :passkey, :demonstration, :now, :now, :ends, :proved, "
              ":address, :browser)",
              {{"token", hash_of(token)},
               {"person", person},
               {"method", to_string(method)},
               {"passkey", passkey},
               {"demonstration", demonstration},
               {"now", now},
               {"ends", now + limits.session},
               {"proved", proof ? std::optional(now) : std::nullopt},
               {"address", request.peer.address},
               {"browser", browser_name(agent == nullptr ? "" : *agent)}}));
  const std::int64_t id = tx.last_id();
  BAVN_CHECK(tx.audit(
      {person_subject(person), "session.began", fmt::format("session:{}", id),
       fmt::format("{{\"method\":\"{}\",\"address\":{}}}", to_string(method), net::to_json(request.peer.address))}));
  return Begun{session_cookie(token), id};
}

Result<std::string> Identity::Inner::rotate(store::Tx& tx, std::int64_t session) const {
  const std::string token = fresh_secret(runtime);
  BAVN_CHECK(tx.exec("UPDATE web_session SET token = :t, proved_at_us = :now WHERE id = :id",
                     {{"t", hash_of(token)}, {"now", tx.now()}, {"id", session}}));
  return session_cookie(token);
}

void Identity::Inner::tell_ended(const std::string& who) const {
  const auto all = ended.with([](const auto& v) { return v; });
  for (const auto& f : all) f(who);
}

Result<void> Identity::Inner::end_all(store::Tx& tx, PersonId person, std::string_view who, bool everything) const {
  const auto one = [&](std::string_view sql) { return tx.exec(sql, {{"p", person}}); };
  BAVN_TRY(const auto sessions, one("DELETE FROM web_session WHERE person = :p"));
  BAVN_TRY(const auto links, one("DELETE FROM one_time_link WHERE person = :p AND used_at_us IS NULL"));
  std::int64_t keys = 0, passkeys = 0;
  if (everything) {
    BAVN_TRY(keys, tx.exec("UPDATE api_key SET ended_at_us = :now WHERE person = :p AND ended_at_us IS NULL",
                           {{"now", tx.now()}, {"p", person}}));
    BAVN_TRY(passkeys, one("DELETE FROM passkey WHERE person = :p"));
    BAVN_CHECK(one("DELETE FROM totp WHERE person = :p"));
    BAVN_CHECK(one("DELETE FROM provider_subject WHERE person = :p"));
    BAVN_CHECK(one("DELETE FROM user_handle WHERE person = :p"));
    BAVN_CHECK(one("DELETE FROM recovery WHERE person = :p AND agreed_at_us IS NULL"));
  }
  return tx.audit(
      {std::string(who), "access.ended", person_subject(person),
       fmt::format("{{\"sessions\":{},\"links\":{},\"keys\":{},\"passkeys\":{}}}", sessions, links, keys, passkeys)});
}

Result<bool> Identity::Inner::too_many(store::Reader& db, std::string_view bucket, std::int64_t limit) const {
  BAVN_TRY(const auto n, db.number("SELECT count(*) FROM sign_in_try WHERE bucket = :b AND at_us > :since",
                                   {{"b", bucket}, {"since", runtime.now() - limits.window}}));
  return n >= limit;
}

Result<bool> Identity::Inner::too_many(std::string_view bucket, std::int64_t limit) const {
  return state.read([&](store::Reader& db) { return too_many(db, bucket, limit); });
}

Result<void> Identity::Inner::missed(store::Tx& tx, std::string_view bucket) const {
  BAVN_CHECK(tx.exec("INSERT INTO sign_in_try (bucket, at_us) VALUES (:b, :now)", {{"b", bucket}, {"now", tx.now()}}));
  return {};
}

void Identity::Inner::note_miss(std::string bucket, store::AuditNote note) const {
  state.write([this, bucket = std::move(bucket), note = std::move(note)](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(missed(tx, bucket));
    return tx.audit(note);
  });
}

std::variant<Identity::Inner::Here, net::Reply> Identity::Inner::here(const net::Request& request) const {
  const auto session = session_of(request);
  if (!session) return net::problem(session.error());
  if (!*session) return nobody();
  if (!safe_method(request.method) && !same_site(request))
    return web::problem(403, "other-origin", "a browser's write must come from our own pages");
  auto s = standing((*session)->person);
  if (!s) return net::problem(s.error());
  if (s->person.left) return nobody();
  return Here{std::move(**session), std::move(*s)};
}

Result<PersonId> Identity::Inner::whose(const net::Request& request, const Here& h, std::string_view what) const {
  const auto asked = request.asked("person");
  if (!asked) return h.session.person;
  BAVN_TRY(const PersonId id, person_id(*asked));
  if (id == h.session.person) return id;
  BAVN_TRY(const auto scope, scope_of(h.session));
  if (!scope.may(event::Right::people_write))
    return fail(Code::forbidden, fmt::format("only who administers people sees others' {}", what));
  BAVN_CHECK(people.find(scope, id));
  return id;
}

net::Reply Identity::Inner::needs_proof() const {
  return web::problem(403, "proof-needed",
                      "prove with the passkey who is there (POST /api/session/proof), then send it again");
}

Result<event::Scope> Identity::authenticate(const net::Request& request) const {
  Inner& in = *inner_;
  if (const auto* header = request.headers.find("Authorization"); header != nullptr) {
    constexpr std::string_view bearer = "Bearer ";
    // Clients of MISP send the bare key.
    if (header->starts_with("bavn_")) return in.key_scope(request, trim(std::string_view(*header)));
    if (!header->starts_with(bearer))
      return fail(Code::forbidden, "only \"Bearer\" and an API key are understood here");
    return in.key_scope(request, trim(std::string_view(*header).substr(bearer.size())));
  }
  BAVN_TRY(const auto session, in.session_of(request));
  if (!session) return fail(Code::forbidden, "nobody is signed in, or the session is over");
  if (!safe_method(request.method) && !in.same_site(request))
    return fail(Code::forbidden,
                "a browser's write must come from our own pages: Sec-Fetch-Site, Origin or X-Bavn is missing");
  if (session->seen_at_us + kSeenEvery <= in.runtime.now())
    in.state.write([id = session->id](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("UPDATE web_session SET seen_at_us = :now WHERE id = :id", {{"now", tx.now()}, {"id", id}}));
      return {};
    });
  return in.scope_of(*session);
}

bool Identity::still_valid(const net::Request& request) const {
  if (request.headers.find("Authorization") != nullptr) return authenticate(request).has_value();
  const auto session = inner_->session_of(request);
  if (!session || !*session) return false;
  const auto scope = inner_->scope_of(**session);
  return scope && (scope->rights() != 0 || (*session)->demonstration);
}

std::optional<net::Reply> Identity::proof_missing(const net::Request& request) const {
  if (request.scope.sees_all() && request.scope.who() == event::Scope::local_owner().who()) return std::nullopt;
  if (request.headers.find("Authorization") != nullptr)
    return web::problem(403, "person-needed",
                        "an API key cannot do this: somebody must sign in and prove who they are");
  const auto session = inner_->session_of(request);
  if (!session) return net::problem(session.error());
  if (!*session) return nobody();
  if (inner_->proved(**session, inner_->runtime.now())) return std::nullopt;
  return inner_->needs_proof();
}

Result<void> Identity::recently_proved(const net::Request& request) const {
  if (const auto no = proof_missing(request))
    return fail(Code::forbidden, no->status == 401 ? "nobody is signed in, or the session is over"
                                                   : "prove with the passkey who is there, then try again");
  return {};
}

net::Handler Identity::proved(net::Handler handler) const {
  return [this, handler = std::move(handler)](const net::Request& q) -> net::Reply {
    if (auto no = proof_missing(q)) return std::move(*no);
    return handler(q);
  };
}

std::optional<PersonId> person_in(const event::Scope& scope) {
  const std::string_view who = scope.who();
  if (!who.starts_with("person:")) return std::nullopt;
  const auto id = person_id(who.substr(7));
  return id ? std::optional(*id) : std::nullopt;
}

void Identity::Inner::add_session_routes(net::Router& router) {
  router.get("/api/session", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    State v;
    v.serves = options.serves == Serves::hub ? "hub" : "node";
    v.name = options.name;
    if (options.serves == Serves::node) v.municipality = fmt::format("{:04}", options.municipality.value);
    v.language = to_string(web::language_of(q));
    const auto providers_here = state.read([&](store::Reader& db) {
      return db.all<ProviderIdLabel>("SELECT id, label FROM identity_provider ORDER BY label, id");
    });
    if (!providers_here) return net::problem(providers_here.error());
    for (const auto& p : *providers_here) v.ways.providers.push_back({std::to_string(p.id), p.label});
    const auto codes = state.read(
        [&](store::Reader& db) { return db.number("SELECT count(*) FROM totp WHERE confirmed_at_us IS NOT NULL"); });
    v.ways.code = codes && *codes > 0;
    auto at = here(q);
    if (auto* h = std::get_if<Here>(&at)) {
      const auto scope = scope_of(h->session);
      if (!scope) return net::problem(scope.error());
      v.language = h->standing.person.language;
      v.person = PersonBrief{std::to_string(h->session.person.value), h->standing.person.name, {}};
      for (const auto role : h->standing.person.roles) v.person->roles.emplace_back(tenants::to_string(role));
      v.rights = right_names(scope->rights());
      v.method = h->session.method;
      v.began = ms_time(h->session.began_at_us);
      v.ends = ms_time(h->session.ends_at_us);
      if (proved(h->session, runtime.now())) v.proved_until = ms_time(proved_until(h->session));
      v.passkeys = h->standing.passkeys;
      v.demonstration = h->session.demonstration;
      if (!h->session.demonstration && !h->standing.can_return()) v.advice.emplace_back("set_up");
      else if (!h->session.demonstration && h->standing.wants_two_keys() && h->standing.passkeys < 2)
        v.advice.emplace_back("second_passkey");
    }
    net::Reply reply = net::json(net::to_json(v));
    reply.headers.set("Cache-Control", "no-store");
    return reply;
  });
  router.put("/api/session", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto choice = net::from_json<LanguageChoice>(q.body, net::Unknown::refuse);
    if (!choice) return net::problem(choice.error());
    const auto& h = std::get<Here>(at);
    return web::done(people.set_language(h.session.person, choice->language, person_subject(h.session.person)));
  });
  router.del("/api/session", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    const auto session = session_of(q);
    if (!session) return net::problem(session.error());
    net::Reply reply;
    reply.status = 204;
    if (*session) {
      if (!same_site(q)) return web::problem(403, "other-origin", "a browser's write must come from our own pages");
      if (const auto done = state.write_now([&](store::Tx& tx) -> Result<void> {
            BAVN_CHECK(tx.exec("DELETE FROM web_session WHERE id = :id", {{"id", (*session)->id}}));
            return tx.audit(
                {person_subject((*session)->person), "session.ended", fmt::format("session:{}", (*session)->id), "{}"});
          });
          !done)
        return net::problem(done.error());
      tell_ended(person_subject((*session)->person));
    }
    reply.headers.add("Set-Cookie", no_cookie());
    return reply;
  });
  router.get("/api/sessions", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    const auto of = whose(q, h, "sessions");
    if (!of) return net::problem(of.error());
    const Instant now = runtime.now();
    const auto rows = state.read([&](store::Reader& db) {
      return db.all<SessionRow>(
          fmt::format("SELECT {} FROM web_session WHERE person = :p AND ends_at_us > :now AND seen_at_us > :idle "
                      "ORDER BY began_at_us DESC, id DESC LIMIT 200",
                      kSessionColumns),
          {{"p", *of}, {"now", now}, {"idle", now - limits.idle}});
    });
    if (!rows) return net::problem(rows.error());
    Items list;
    for (const auto& r : *rows)
      list.items.push_back({std::to_string(r.id), r.method, ms_time(r.began_at_us), ms_time(r.seen_at_us),
                            ms_time(r.ends_at_us), r.address, r.browser, r.id == h.session.id});
    return net::json(net::to_json(list));
  });
  router.del("/api/sessions/{id}", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    const auto row = state.read([&](store::Reader& db) {
      return db.one<SessionRow>(fmt::format("SELECT {} FROM web_session WHERE id = :id", kSessionColumns),
                                {{"id", *id}});
    });
    if (!row) return net::problem(row.error());
    const net::Reply none = net::problem({Code::not_found, fmt::format("there is no session {}", *id), {}});
    if (!*row) return none;
    if ((*row)->person != h.session.person) {
      const auto scope = scope_of(h.session);
      if (!scope || !scope->may(event::Right::people_write) || !people.find(*scope, (*row)->person)) return none;
      if (const auto weaker = no_stronger_than(*scope, (*row)->person); !weaker) return net::problem(weaker.error());
    }
    const auto done = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("DELETE FROM web_session WHERE id = :id", {{"id", *id}}));
      return tx.audit({person_subject(h.session.person), "session.ended", fmt::format("session:{}", *id), "{}"});
    });
    if (done) tell_ended(person_subject((*row)->person));
    net::Reply reply = web::done(done);
    if (done && *id == h.session.id) reply.headers.add("Set-Cookie", no_cookie());
    return reply;
  });
}

}  // namespace bavn::show::auth
