// Codes of an app (totp.hpp): for roles that read, where nobody has a passkey yet.
#include <fmt/format.h>

#include "base/text.hpp"
#include "net/json_views.hpp"
#include "show/auth/inner.hpp"
#include "show/auth/totp.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::auth {

namespace {

struct TotpRow {
  store::Blob secret;
  std::optional<Instant> confirmed_at_us;
  std::int64_t last_step, misses;
};
BOOST_DESCRIBE_STRUCT(TotpRow, (), (secret, confirmed_at_us, last_step, misses))
struct CodeState {
  bool allowed = false, confirmed = false;
};
BOOST_DESCRIBE_STRUCT(CodeState, (), (allowed, confirmed))
struct CodeSecret {
  std::string secret, uri;
};
BOOST_DESCRIBE_STRUCT(CodeSecret, (), (secret, uri))
struct Code6 {
  std::string code;
};
BOOST_DESCRIBE_STRUCT(Code6, (), (code))

Result<std::optional<TotpRow>> row_of(store::Reader& db, PersonId person) {
  return db.one<TotpRow>("SELECT secret, confirmed_at_us, last_step, misses FROM totp WHERE person = :p",
                         {{"p", person}});
}

net::Reply refused(const Error& e) {
  if (e.where == "/tries") return web::problem(429, "too-many-tries", e.what);
  if (e.code == Code::forbidden) return web::problem(403, "code-refused", e.what);
  return net::problem(e);
}

}  // namespace

Result<Identity::Inner::CodeCheck> Identity::Inner::check_code(store::Tx& tx, PersonId person, std::string_view code,
                                                               bool confirming) const {
  // Whatever is wrong is written down in the same unit, so this answers with a value: an error would undo the note.
  const std::string bucket = fmt::format("code:{}", person.value);
  BAVN_TRY(const bool many, too_many(tx, bucket, limits.code_tries));
  if (many) return CodeCheck::too_many;
  BAVN_TRY(const auto row, row_of(tx, person));
  if (!row || row->confirmed_at_us.has_value() == confirming) return CodeCheck::wrong;
  if (row->misses >= limits.code_misses) return CodeCheck::closed;
  const auto step = totp_match(row->secret.bytes, trim(code), tx.now(), row->last_step);
  if (!step) {
    BAVN_CHECK(missed(tx, bucket));
    BAVN_CHECK(tx.exec("UPDATE totp SET misses = misses + 1 WHERE person = :p", {{"p", person}}));
    BAVN_CHECK(tx.audit({person_subject(person), "code.refused", person_subject(person), "{}"}));
    return CodeCheck::wrong;
  }
  BAVN_CHECK(tx.exec(
      "UPDATE totp SET last_step = :s, misses = 0, confirmed_at_us = coalesce(confirmed_at_us, :now) WHERE person = :p",
      {{"s", *step}, {"now", tx.now()}, {"p", person}}));
  return CodeCheck::good;
}

Result<void> Identity::Inner::use_code(PersonId person, std::string_view code, bool confirming) const {
  CodeCheck check = CodeCheck::wrong;
  BAVN_CHECK(state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(check, check_code(tx, person, code, confirming));
    return {};
  }));
  switch (check) {
    case CodeCheck::good: return {};
    case CodeCheck::too_many: return fail(Code::forbidden, "too many wrong codes: wait a quarter of an hour", "/tries");
    case CodeCheck::closed:
      return fail(Code::forbidden,
                  "too many wrong codes since the last right one: ask who administers here for a new way in",
                  "/closed");
    case CodeCheck::wrong: break;
  }
  return fail(Code::forbidden, "this code is not right, or was used before");
}

Result<std::string> Identity::Inner::new_code_secret(PersonId person) const {
  std::string secret(20, '\0');
  runtime.random(std::as_writable_bytes(std::span(secret)));
  BAVN_CHECK(state.write_now([&](store::Tx& tx) -> Result<void> {
    // One that signs in stays as it is until the new one is confirmed? No: two secrets would be two ways in. It is replaced.
    BAVN_CHECK(
        tx.exec("INSERT INTO totp (person, secret, confirmed_at_us, last_step, misses) VALUES (:p, :s, NULL, 0, 0) ON "
                "CONFLICT (person) DO UPDATE SET "
                "secret = excluded.secret, confirmed_at_us = NULL, last_step = 0, misses = 0",
                {{"p", person}, {"s", store::Blob{secret}}}));
    return tx.audit({person_subject(person), "code.begun", person_subject(person), "{}"});
  }));
  return secret;
}

Result<std::optional<std::string>> Identity::Inner::unconfirmed_code_secret(PersonId person) const {
  BAVN_TRY(const auto row, state.read([&](store::Reader& db) { return row_of(db, person); }));
  if (!row || row->confirmed_at_us) return std::optional<std::string>();
  return std::optional(row->secret.bytes);
}

void Identity::Inner::add_code_routes(net::Router& router) {
  router.get("/api/code", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& s = std::get<Here>(at).standing;
    return net::json(net::to_json(CodeState{!s.strong(), s.code}));
  });
  router.post("/api/code", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    if (h.standing.strong())
      return web::problem(403, "passkey-needed",
                          "codes are not for roles that publish, order or change: use a passkey");
    if (h.standing.can_return() && !proved(h.session, runtime.now())) return needs_proof();
    const auto secret = new_code_secret(h.session.person);
    if (!secret) return net::problem(secret.error());
    return web::shown_once(
        net::json(net::to_json(CodeSecret{totp_secret_text(*secret),
                                          totp_uri(*secret, "Bavn " + options.name, h.standing.person.name)}),
                  201));
  });
  router.put("/api/code", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    const auto body = net::from_json<Code6>(q.body, net::Unknown::refuse);
    if (!body) return net::problem(body.error());
    if (h.standing.strong())
      return web::problem(403, "passkey-needed",
                          "codes are not for roles that publish, order or change: use a passkey");
    if (const auto used = use_code(h.session.person, body->code, true); !used) return refused(used.error());
    std::string cookie;
    const auto kept = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(cookie, rotate(tx, h.session.id));
      return tx.audit({person_subject(h.session.person), "code.added", person_subject(h.session.person), "{}"});
    });
    return kept ? with_cookie(web::done({}), cookie) : net::problem(kept.error());
  });
  router.del("/api/code", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    if (!proved(h.session, runtime.now())) return needs_proof();
    if (h.standing.passkeys == 0 && !h.standing.provider)
      return net::problem({Code::conflict, "this is the last way to sign in: add a passkey first", {}});
    return web::done(state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(const auto n, tx.exec("DELETE FROM totp WHERE person = :p", {{"p", h.session.person}}));
      if (n == 0) return fail(Code::not_found, "no codes are used");
      return tx.audit({person_subject(h.session.person), "code.removed", person_subject(h.session.person), "{}"});
    }));
  });
}

}  // namespace bavn::show::auth
