// Sign-in by the directory of a municipality: the browser goes to the provider and comes back with a code, which is exchanged here.
// Who that is in Bavn was said once, by a person who came with an invitation or was signed in: (issuer, subject) -> person.
#include <fmt/format.h>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "net/json_views.hpp"
#include "net/url.hpp"
#include "show/auth/inner.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::auth {

namespace {

struct ProviderRow {
  std::int64_t id;
  MunicipalityId municipality;
  std::string label, issuer, client;
  std::optional<std::string> client_secret;
};
BOOST_DESCRIBE_STRUCT(ProviderRow, (), (id, municipality, label, issuer, client, client_secret))
constexpr std::string_view kColumns = "id, municipality, label, issuer, client, client_secret";

struct TripRow {
  std::int64_t provider;
  std::string browser, purpose;
  std::optional<std::int64_t> session;
  std::string nonce, verifier;
  Instant ends_at_us;
};
BOOST_DESCRIBE_STRUCT(TripRow, (), (provider, browser, purpose, session, nonce, verifier, ends_at_us))

struct ProviderView {
  std::string id, label, issuer, client_id;
  std::optional<std::string> municipality;
  std::string redirect;
};
BOOST_DESCRIBE_STRUCT(ProviderView, (), (id, label, issuer, client_id, municipality, redirect))
struct ProviderViews {
  std::vector<ProviderView> items;
};
BOOST_DESCRIBE_STRUCT(ProviderViews, (), (items))
struct NewProvider {
  std::string label, issuer, client_id;
  std::optional<std::string> client_secret, municipality;
};
BOOST_DESCRIBE_STRUCT(NewProvider, (), (label, issuer, client_id, client_secret, municipality))

constexpr std::size_t kLargestAnswer = 256U << 10U;
constexpr std::chrono::seconds kPatience{15};

net::Reply to_page(std::string_view site, std::string_view problem) {
  net::Reply reply;
  reply.status = 303;
  reply.headers.set("Location", fmt::format("{}/sign-in?trouble={}", site, problem));
  reply.headers.set("Cache-Control", "no-store");
  reply.headers.set("Referrer-Policy", "no-referrer");
  return reply;
}

/// A step that goes to the provider and on from there. Everything it needs is copied: the request is gone by then.
struct Trip {
  ProviderRow provider;
  TripRow row;
  std::string code;
  net::Request request;
  net::Respond respond;
  ProviderEnds ends{};
  bool asked_again = false;
};

}  // namespace

void Identity::Inner::add_provider_routes(net::Router& router) {
  const auto redirect = [this] { return site() + "/sign-in/provider/back"; };
  const auto view_of = [redirect](const ProviderRow& r) {
    return ProviderView{
        std::to_string(r.id),
        r.label,
        r.issuer,
        r.client,
        r.municipality.value == 0 ? std::nullopt : std::optional(fmt::format("{:04}", r.municipality.value)),
        redirect()};
  };
  const auto row_of = [this](std::int64_t id) {
    return state.read([&](store::Reader& db) {
      return db.one<ProviderRow>(fmt::format("SELECT {} FROM identity_provider WHERE id = :id", kColumns),
                                 {{"id", id}});
    });
  };
  const auto unproved = [this](const net::Request& q) -> std::optional<net::Reply> {
    if (q.scope.who() == event::Scope::local_owner().who()) return std::nullopt;
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    if (!proved(std::get<Here>(at).session, runtime.now())) return needs_proof();
    return std::nullopt;
  };

  router.get("/api/providers", net::Needs::settings_write, [this, view_of](const net::Request& q) -> net::Reply {
    const auto rows = state.read([&](store::Reader& db) {
      return db.all<ProviderRow>(fmt::format("SELECT {} FROM identity_provider ORDER BY label, id", kColumns));
    });
    if (!rows) return net::problem(rows.error());
    ProviderViews list;
    for (const auto& r : *rows)
      if (q.scope.sees(r.municipality)) list.items.push_back(view_of(r));
    return net::json(net::to_json(list));
  });
  router.post("/api/providers", net::Needs::settings_write,
              [this, unproved, view_of](const net::Request& q) -> net::Reply {
                const auto body = net::from_json<NewProvider>(q.body, net::Unknown::refuse);
                if (!body) return net::problem(body.error());
                ProviderRow row{0,
                                options.municipality,
                                std::string(trim(body->label)),
                                body->issuer,
                                body->client_id,
                                body->client_secret};
                if (row.label.empty() || row.label.size() > 80 || !is_valid_utf8(row.label))
                  return web::refused({{"/label", "1 to 80 bytes"}});
                const auto url = net::parse_url(row.issuer);
                if (!url || row.issuer.size() > 400 || url->target.find('?') != std::string::npos)
                  return web::refused({{"/issuer", "an address like https://login.example.org/town"}});
                if (row.client.empty() || row.client.size() > 200)
                  return web::refused({{"/client_id", "1 to 200 bytes"}});
                if (row.client_secret && row.client_secret->size() > 400)
                  return web::refused({{"/client_secret", "at most 400 bytes"}});
                if (body->municipality) {
                  const auto n = person_id(*body->municipality);
                  if (!n || !std::in_range<std::uint16_t>(n->value))
                    return web::refused({{"/municipality", "there is no such municipality"}});
                  row.municipality.value = static_cast<std::uint16_t>(n->value);
                }
                if (!q.scope.sees(row.municipality))
                  return web::refused({{"/municipality", "there is no such municipality"}});
                if (auto no = unproved(q)) return std::move(*no);
                const auto kept = state.write_now([&](store::Tx& tx) -> Result<void> {
                  const auto inserted = tx.exec(
                      "INSERT INTO identity_provider (municipality, label, issuer, client, client_secret, made_at_us) "
                      "VALUES (:m, :l, :i, :c, :s, :now)",
                      {{"m", row.municipality},
                       {"l", row.label},
                       {"i", row.issuer},
                       {"c", row.client},
                       {"s", row.client_secret},
                       {"now", tx.now()}});
                  if (!inserted && inserted.error().code == Code::conflict)
                    return fail(Code::conflict, "this provider is there already");
                  BAVN_CHECK(inserted);
                  row.id = tx.last_id();
                  return tx.audit({q.scope.who(), "provider.added", fmt::format("provider:{}", row.id),
                                   fmt::format("{{\"issuer\":{}}}", net::to_json(row.issuer))});
                });
                if (!kept) return net::problem(kept.error());
                return web::created(net::to_json(view_of(row)), fmt::format("/api/providers/{}", row.id));
              });
  router.del("/api/providers/{id}", net::Needs::settings_write,
             [this, unproved, row_of](const net::Request& q) -> net::Reply {
               const auto id = web::id_of(q);
               if (!id) return net::problem(id.error());
               const auto row = row_of(*id);
               if (!row) return net::problem(row.error());
               if (!*row || !q.scope.sees((*row)->municipality))
                 return net::problem({Code::not_found, fmt::format("there is no provider {}", *id), {}});
               if (auto no = unproved(q)) return std::move(*no);
               providers.forget((*row)->issuer);
               return web::done(state.write_now([&](store::Tx& tx) -> Result<void> {
                 BAVN_CHECK(tx.exec("DELETE FROM provider_trip WHERE provider = :id", {{"id", *id}}));
                 BAVN_CHECK(tx.exec("DELETE FROM provider_subject WHERE provider = :id", {{"id", *id}}));
                 BAVN_CHECK(tx.exec("DELETE FROM identity_provider WHERE id = :id", {{"id", *id}}));
                 return tx.audit({q.scope.who(), "provider.removed", fmt::format("provider:{}", *id), "{}"});
               }));
             });

  // What the provider publishes about itself, from memory or from there.
  const auto with_ends = [this](const std::string& issuer, std::move_only_function<void(Result<ProviderEnds>)> then) {
    if (auto known = providers.ends(issuer, runtime.now())) return then(std::move(*known));
    std::string url = issuer;
    while (url.ends_with('/')) url.pop_back();
    net::ClientRequest ask{
        .url = url + "/.well-known/openid-configuration", .timeout = kPatience, .max_reply = kLargestAnswer};
    client.send(std::move(ask), queue, [this, issuer, then = std::move(then)](Result<net::ClientReply> reply) mutable {
      if (!reply) return then(std::unexpected(reply.error()));
      if (reply->status != 200)
        return then(fail(Code::unavailable, fmt::format("the provider answered {}", reply->status)));
      auto ends = read_discovery(reply->body, issuer);
      if (ends) providers.keep_ends(issuer, *ends, runtime.now());
      then(std::move(ends));
    });
  };

  // purpose: sign_in for whoever comes; bind and proof for a session.
  const auto leave = [this, with_ends, redirect, row_of](const net::Request& q, net::Respond respond) {
    const auto id = web::id_of(q);
    const auto row = id ? row_of(*id) : Result<std::optional<ProviderRow>>(std::unexpected(id.error()));
    if (!row || !*row) return respond(to_page(site(), "provider"));
    const std::string purpose(q.asked("for").value_or("sign_in"));
    std::optional<std::int64_t> session;
    if (purpose == "bind" || purpose == "proof") {
      auto at = here(q);
      const auto* h = std::get_if<Here>(&at);
      // Bound by a page of somebody else, their account would become one of ours: the browser says where it came from.
      if (h == nullptr || !same_site(q)) return respond(to_page(site(), "over"));
      if (purpose == "bind" && h->standing.can_return() && !proved(h->session, runtime.now()))
        return respond(to_page(site(), "proof"));
      session = h->session.id;
    } else if (purpose != "sign_in") {
      return respond(to_page(site(), "provider"));
    }
    const std::string bucket = "ask:" + q.peer.address;
    const auto many = too_many(bucket, limits.address_questions);
    if (!many || *many) return respond(to_page(site(), "tries"));
    const Browser browser = browser_of(q);
    with_ends((*row)->issuer, [this, row = **row, purpose, session, browser, bucket, redirect,
                               respond = std::move(respond)](Result<ProviderEnds> ends) mutable {
      if (!ends) {
        log_provider(row.issuer, ends.error());
        return respond(to_page(site(), "provider"));
      }
      const std::string state_text = fresh_secret(runtime), nonce = fresh_secret(runtime),
                        verifier = fresh_secret(runtime);
      const auto kept = state.write_now([&](store::Tx& tx) -> Result<void> {
        BAVN_CHECK(missed(tx, bucket));
        BAVN_CHECK(
            tx.exec("INSERT INTO provider_trip (state, provider, browser, purpose, session, nonce, verifier, "
                    "ends_at_us) VALUES (:s, :p, :b, :purpose, :session, "
                    ":n, :v, :ends)",
                    {{"s", hash_of(state_text)},
                     {"p", row.id},
                     {"b", browser.hash},
                     {"purpose", purpose},
                     {"session", session},
                     {"n", nonce},
                     {"v", verifier},
                     {"ends", tx.now() + 2 * limits.challenge}}));
        return {};
      });
      if (!kept) return respond(to_page(site(), "provider"));
      const auto e = [](std::string_view s) { return net::percent_encoded(s); };
      std::string to = ends->authorization;
      to += to.find('?') == std::string::npos ? '?' : '&';
      to += fmt::format(
          "response_type=code&client_id={}&redirect_uri={}&scope=openid&state={}&nonce={}&code_challenge={}&code_"
          "challenge_method=S256",
          e(row.client), e(redirect()), e(state_text), e(nonce), e(pkce_challenge(verifier)));
      if (purpose == "proof") to += "&prompt=login&max_age=0";
      net::Reply reply;
      reply.status = 303;
      reply.headers.set("Location", to);
      reply.headers.set("Cache-Control", "no-store");
      reply.headers.set("Referrer-Policy", "no-referrer");
      respond(with_cookie(std::move(reply), browser.cookie));
    });
  };
  router.async(net::Method::get, "/sign-in/provider/{id}", net::Needs::anyone,
               [leave](net::Request q, net::Respond respond) { leave(q, std::move(respond)); });

  // The last step: who this is, and what comes of it.
  const auto arrive = [this](Trip& t, const TokenSays& says) -> net::Reply {
    const auto who = state.read([&](store::Reader& db) {
      return db.one<PersonId>("SELECT person FROM provider_subject WHERE provider = :p AND subject = :s",
                              {{"p", t.provider.id}, {"s", says.subject}});
    });
    if (!who) return to_page(site(), "provider");
    if (t.row.purpose == "sign_in") {
      if (!*who) {
        note_miss(address_bucket(t.request),
                  {"nobody", "sign_in.refused", "provider",
                   fmt::format("{{\"provider\":{},\"reason\":\"unknown subject\"}}", t.provider.id)});
        return to_page(site(), "unknown");
      }
      const auto s = standing(**who);
      if (!s || s->person.left) return to_page(site(), "unknown");
      Begun begun;
      if (const auto ok = state.write_now([&](store::Tx& tx) -> Result<void> {
            BAVN_TRY(begun, begin(tx, t.request, **who, Method::provider, false));
            return {};
          });
          !ok)
        return to_page(site(), "provider");
      net::Reply reply = to_page(site(), "");
      reply.headers.set("Location", site() + "/");
      return with_cookie(std::move(reply), begun.cookie);
    }
    // The session that left must be the one that comes back.
    const auto session = session_of(t.request);
    if (!session || !*session || (*session)->id != t.row.session) return to_page(site(), "over");
    const PersonId person = (*session)->person;
    if (t.row.purpose == "proof") {
      if (!*who || **who != person) return to_page(site(), "another");
      const auto kept = state.write_now([&](store::Tx& tx) -> Result<void> {
        BAVN_CHECK(tx.exec("UPDATE web_session SET proved_at_us = :now WHERE id = :id",
                           {{"now", tx.now()}, {"id", (*session)->id}}));
        return tx.audit({person_subject(person), "session.proved", fmt::format("session:{}", (*session)->id),
                         "{\"by\":\"provider\"}"});
      });
      net::Reply reply = to_page(site(), kept ? "" : "provider");
      if (kept) reply.headers.set("Location", site() + "/");
      return reply;
    }
    if (*who && **who != person) return to_page(site(), "another");
    std::string cookie;
    const auto bound = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(
          tx.exec("INSERT INTO provider_subject (provider, subject, person, made_at_us) VALUES (:p, :s, :person, :now) "
                  "ON CONFLICT DO NOTHING",
                  {{"p", t.provider.id}, {"s", says.subject}, {"person", person}, {"now", tx.now()}}));
      BAVN_TRY(cookie, rotate(tx, (*session)->id));
      return tx.audit({person_subject(person), "provider.bound", fmt::format("provider:{}", t.provider.id), "{}"});
    });
    if (!bound) return to_page(site(), "provider");
    net::Reply reply = to_page(site(), "");
    reply.headers.set("Location", site() + "/");
    return with_cookie(std::move(reply), cookie);
  };

  // Named, because it calls itself once when the keys have changed.
  const auto check = std::make_shared<std::function<void(std::shared_ptr<Trip>, std::string)>>();
  const auto finish = [this, arrive, weak = std::weak_ptr(check)](std::shared_ptr<Trip> t, const std::string& token,
                                                                  const std::vector<ProviderKey>& keys) {
    TokenExpected expected{t->provider.issuer, t->provider.client, t->row.nonce, runtime.now(), {}};
    if (t->row.purpose == "proof") expected.proved_within = limits.challenge;
    const auto says = check_id_token(token, keys, expected);
    if (says) return t->respond(arrive(*t, *says));
    if (says.error().code == Code::not_found && !t->asked_again &&
        providers.may_ask_again(t->provider.issuer, runtime.now())) {
      t->asked_again = true;
      providers.keep_keys(t->provider.issuer, {}, runtime.now());
      if (const auto again = weak.lock()) return (*again)(std::move(t), token);
    }
    log_provider(t->provider.issuer, says.error());
    note_miss(address_bucket(t->request),
              {"nobody", "sign_in.refused", "provider",
               fmt::format("{{\"provider\":{},\"reason\":{}}}", t->provider.id, net::to_json(says.error().what))});
    t->respond(to_page(site(), "provider"));
  };
  *check = [this, finish](std::shared_ptr<Trip> t, const std::string& token) {
    if (const auto keys = providers.keys(t->provider.issuer, runtime.now())) return finish(std::move(t), token, *keys);
    net::ClientRequest ask{.url = t->ends.keys, .timeout = kPatience, .max_reply = kLargestAnswer};
    client.send(std::move(ask), queue, [this, finish, t, token](Result<net::ClientReply> reply) {
      auto keys = !reply ? Result<std::vector<ProviderKey>>(std::unexpected(reply.error()))
                  : reply->status != 200
                      ? Result<std::vector<ProviderKey>>(
                            fail(Code::unavailable, fmt::format("the provider's keys: {}", reply->status)))
                      : read_jwks(reply->body);
      if (!keys) {
        log_provider(t->provider.issuer, keys.error());
        return t->respond(to_page(site(), "provider"));
      }
      providers.keep_keys(t->provider.issuer, *keys, runtime.now());
      finish(t, token, *keys);
    });
  };
  const auto exchange = [this, redirect, check](std::shared_ptr<Trip> t) {
    const auto e = [](std::string_view s) { return net::percent_encoded(s); };
    net::ClientRequest ask{
        .method = net::Method::post, .url = t->ends.token, .timeout = kPatience, .max_reply = kLargestAnswer};
    ask.headers.set("Content-Type", "application/x-www-form-urlencoded");
    ask.headers.set("Accept", "application/json");
    ask.body = fmt::format("grant_type=authorization_code&code={}&redirect_uri={}&code_verifier={}", e(t->code),
                           e(redirect()), e(t->row.verifier));
    if (t->provider.client_secret && !t->ends.secret_in_body)  // RFC 6749 section 2.3.1
      ask.headers.set("Authorization",
                      "Basic " + to_base64(e(t->provider.client) + ":" + e(*t->provider.client_secret)));
    else ask.body += "&client_id=" + e(t->provider.client);
    if (t->provider.client_secret && t->ends.secret_in_body)
      ask.body += "&client_secret=" + e(*t->provider.client_secret);
    client.send(std::move(ask), queue, [this, t, check](Result<net::ClientReply> reply) {
      const auto document =
          reply && reply->status == 200
              ? net::JsonDocument::parse(reply->body)
              : Result<net::JsonDocument>(
                    fail(Code::unavailable,
                         reply ? fmt::format("the token endpoint answered {}", reply->status) : reply.error().what));
      if (!document) {
        log_provider(t->provider.issuer, document.error());
        return t->respond(to_page(site(), "provider"));
      }
      (*check)(t, std::string(document->root()["id_token"].text_or("")));
    });
  };
  router.async(
      net::Method::get, "/sign-in/provider/back", net::Needs::anyone,
      [this, row_of, with_ends, exchange](net::Request q, net::Respond respond) {
        const auto many = too_many(address_bucket(q), limits.address_tries);
        if (!many || *many) return respond(to_page(site(), "tries"));
        const std::string state_text(q.asked("state").value_or(""));
        std::optional<TripRow> trip;
        // Taken away whatever comes of it: a state comes back once.
        const auto taken = state.write_now([&](store::Tx& tx) -> Result<void> {
          BAVN_TRY(trip, tx.one<TripRow>("SELECT provider, browser, purpose, session, nonce, verifier, ends_at_us FROM "
                                         "provider_trip WHERE state = :s",
                                         {{"s", hash_of(state_text)}}));
          BAVN_CHECK(tx.exec("DELETE FROM provider_trip WHERE state = :s", {{"s", hash_of(state_text)}}));
          return {};
        });
        const auto browser = cookie_of(q, browser_cookie_name());
        if (!taken || !trip || trip->ends_at_us <= runtime.now() || !browser || hash_of(*browser) != trip->browser)
          return respond(to_page(site(), "over"));
        const auto row = row_of(trip->provider);
        if (!row || !*row) return respond(to_page(site(), "provider"));
        // RFC 9207: when the provider says who answers, it must be the one that was asked.
        if (const auto iss = q.asked("iss"); iss && *iss != (*row)->issuer) return respond(to_page(site(), "provider"));
        if (q.asked("error"))
          return respond(to_page(site(), q.asked("error") == "access_denied" ? "denied" : "provider"));
        const std::string code(q.asked("code").value_or(""));
        if (code.empty() || code.size() > 4096) return respond(to_page(site(), "provider"));
        auto t = std::make_shared<Trip>(Trip{**row, *trip, code, std::move(q), std::move(respond)});
        with_ends(t->provider.issuer, [this, t, exchange](Result<ProviderEnds> ends) {
          if (!ends) {
            log_provider(t->provider.issuer, ends.error());
            return t->respond(to_page(site(), "provider"));
          }
          t->ends = std::move(*ends);
          exchange(t);
        });
      });
}

}  // namespace bavn::show::auth
