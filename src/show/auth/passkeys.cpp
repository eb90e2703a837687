// Passkeys: registration, sign-in, the proof before a dangerous act. What an answer proves is decided in webauthn/.
#include <fmt/format.h>

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "net/json_views.hpp"
#include "show/auth/inner.hpp"
#include "show/auth/webauthn/key.hpp"
#include "show/auth/webauthn/webauthn.hpp"
#include "show/web/answers.hpp"

namespace bavn::show::auth {

namespace {

constexpr std::size_t kMostKeys = 20;

struct KeyRow {
  std::int64_t id;
  PersonId person;
  std::string name, credential;
  store::Blob public_key;
  std::int64_t algorithm, sign_count;
  bool backup_eligible, backed_up;
  std::string attestation, transports;
  Instant made_at_us;
  std::optional<Instant> used_at_us, copied_at_us;
};
BOOST_DESCRIBE_STRUCT(KeyRow, (),
                      (id, person, name, credential, public_key, algorithm, sign_count, backup_eligible, backed_up,
                       attestation, transports, made_at_us, used_at_us, copied_at_us))
constexpr std::string_view kKeyColumns =
    "id, person, name, credential, public_key, algorithm, sign_count, backup_eligible, backed_up, attestation, "
    "transports, made_at_us, "
    "used_at_us, copied_at_us";

struct ChallengeRow {
  std::string kind, browser;
  std::optional<std::int64_t> session;
  Instant ends_at_us;
};
BOOST_DESCRIBE_STRUCT(ChallengeRow, (), (kind, browser, session, ends_at_us))

struct CredentialRef {
  std::string type = "public-key", id;
  std::optional<std::vector<std::string>> transports;
};
BOOST_DESCRIBE_STRUCT(CredentialRef, (), (type, id, transports))
struct Request {
  std::string challenge, rpId;
  std::int64_t timeout = 0;
  std::string userVerification = "required";
  std::vector<CredentialRef> allowCredentials;
};
BOOST_DESCRIBE_STRUCT(Request, (), (challenge, rpId, timeout, userVerification, allowCredentials))
struct RequestOptions {
  Request publicKey;
};
BOOST_DESCRIBE_STRUCT(RequestOptions, (), (publicKey))

struct Rp {
  std::string id, name;
};
BOOST_DESCRIBE_STRUCT(Rp, (), (id, name))
struct User {
  std::string id, name, displayName;
};
BOOST_DESCRIBE_STRUCT(User, (), (id, name, displayName))
struct Parameter {
  std::string type = "public-key";
  std::int64_t alg = 0;
};
BOOST_DESCRIBE_STRUCT(Parameter, (), (type, alg))
struct Selection {
  std::string residentKey = "required";
  bool requireResidentKey = true;
  std::string userVerification = "required";
};
BOOST_DESCRIBE_STRUCT(Selection, (), (residentKey, requireResidentKey, userVerification))
struct Creation {
  Rp rp;
  User user;
  std::string challenge;
  std::vector<Parameter> pubKeyCredParams;
  std::int64_t timeout = 0;
  std::vector<CredentialRef> excludeCredentials;
  Selection authenticatorSelection;
  std::string attestation = "none";
};
BOOST_DESCRIBE_STRUCT(Creation, (),
                      (rp, user, challenge, pubKeyCredParams, timeout, excludeCredentials, authenticatorSelection,
                       attestation))
struct CreationOptions {
  Creation publicKey;
};
BOOST_DESCRIBE_STRUCT(CreationOptions, (), (publicKey))

struct PasskeyView {
  std::string id, name, made;
  std::optional<std::string> used;
  bool synced = false, copied = false;
  std::string algorithm, attestation;
};
BOOST_DESCRIBE_STRUCT(PasskeyView, (), (id, name, made, used, synced, copied, algorithm, attestation))
struct Keys {
  std::vector<PasskeyView> items;
};
BOOST_DESCRIBE_STRUCT(Keys, (), (items))
struct NameChange {
  std::string name;
};
BOOST_DESCRIBE_STRUCT(NameChange, (), (name))
struct Next {
  std::string next = "/";
};
BOOST_DESCRIBE_STRUCT(Next, (), (next))
struct Proved {
  std::string proved_until;
};
BOOST_DESCRIBE_STRUCT(Proved, (), (proved_until))

PasskeyView view_of(const KeyRow& r) {
  return {std::to_string(r.id),
          r.name,
          ms_time(r.made_at_us),
          r.used_at_us ? std::optional(ms_time(*r.used_at_us)) : std::nullopt,
          r.backed_up,
          r.copied_at_us.has_value(),
          std::string(webauthn::algorithm_name(r.algorithm)),
          r.attestation};
}

/// What the browser sends (RegistrationResponseJSON, AuthenticationResponseJSON): members beside these are the browser's business.
struct Answer {
  std::string id, client_data, attestation, authenticator_data, signature;
  std::optional<std::string> user_handle;
  std::vector<std::string> transports;
};
Result<Answer> answer_of(net::JsonValue credential, bool registration) {
  if (!credential.is_object()) return fail(Code::bad_input, "the passkey's answer is missing", "/credential");
  const auto bytes = [](net::JsonValue v, std::string_view pointer, std::size_t most) -> Result<std::string> {
    if (!v.text()) return fail(Code::bad_input, "this part of the passkey's answer is missing", std::string(pointer));
    if (v.text()->size() > most)
      return fail(Code::bad_input, "this part of the passkey's answer is too long", std::string(pointer));
    auto decoded = from_base64url(*v.text());
    if (!decoded)
      return fail(Code::bad_input, "this part of the passkey's answer is not base64url", std::string(pointer));
    return decoded;
  };
  if (credential["type"].text() != "public-key")
    return fail(Code::bad_input, "the passkey's answer has another type", "/type");
  Answer a;
  BAVN_TRY(const std::string id, bytes(credential["id"], "/id", 1400));
  a.id = to_base64url(id);
  const auto response = credential["response"];
  BAVN_TRY(a.client_data, bytes(response["clientDataJSON"], "/response/clientDataJSON", 8192));
  if (registration) {
    BAVN_TRY(a.attestation, bytes(response["attestationObject"], "/response/attestationObject", 65536));
    for (const auto t : response["transports"])
      if (const auto text = t.text(); text && text->size() <= 20 && a.transports.size() < 8)
        a.transports.emplace_back(*text);
    return a;
  }
  BAVN_TRY(a.authenticator_data, bytes(response["authenticatorData"], "/response/authenticatorData", 8192));
  BAVN_TRY(a.signature, bytes(response["signature"], "/response/signature", 4096));
  if (const auto handle = response["userHandle"]; handle && !handle.is_null()) {
    BAVN_TRY(const std::string h, bytes(handle, "/response/userHandle", 128));
    a.user_handle = to_base64url(h);
  }
  return a;
}

/// The challenge that an answer says it answers, to find which question it was. It proves nothing by itself.
std::string claimed_challenge(std::string_view client_data) {
  const auto document = net::JsonDocument::parse(client_data);
  if (!document) return {};
  return from_base64url(document->root()["challenge"].text_or("")).value_or("");
}

/// Takes the question away, whatever comes of it: it has one answer.
Result<void> take_challenge(store::Tx& tx, std::string_view challenge, std::string_view kind, std::string_view browser,
                            std::optional<std::int64_t> session) {
  const std::string hash = hash_of(challenge);
  BAVN_TRY(
      const auto row,
      tx.one<ChallengeRow>("SELECT kind, browser, session, ends_at_us FROM challenge WHERE hash = :h", {{"h", hash}}));
  if (!row) return fail(Code::forbidden, "the question was answered before, or is too old: begin again", "/challenge");
  BAVN_CHECK(tx.exec("DELETE FROM challenge WHERE hash = :h", {{"h", hash}}));
  if (row->ends_at_us <= tx.now() || row->kind != kind || row->browser != browser || row->session != session)
    return fail(Code::forbidden, "the question was for another browser or purpose, or is too old: begin again",
                "/challenge");
  return {};
}

/// Trouble of a sign-in: what is true, in a form that does not help who guesses.
net::Reply refused(const Error& e) {
  if (e.code == Code::unavailable || e.code == Code::corrupt) return net::problem(e);
  if (e.where == "/signCount") return web::problem(403, "passkey-copied", e.what);
  if (e.where == "/challenge") return web::problem(403, "challenge-over", e.what);
  return web::problem(e.code == Code::bad_input ? 400 : 403, "passkey-refused", e.what);
}

}  // namespace

void Identity::Inner::add_passkey_routes(net::Router& router) {
  // A question: remembered for five minutes and for this browser.
  const auto ask = [this](const net::Request& q, std::string_view kind, std::optional<std::int64_t> session,
                          std::string& challenge) -> std::variant<Browser, net::Reply> {
    const std::string bucket = "ask:" + q.peer.address;
    const auto many = too_many(bucket, limits.address_questions);
    if (!many) return net::problem(many.error());
    if (*many)
      return web::problem(429, "too-many-tries",
                          "too many sign-ins were begun from this address; wait a quarter of an hour");
    const Browser browser = browser_of(q);
    std::string bytes(32, '\0');
    runtime.random(std::as_writable_bytes(std::span(bytes)));
    const auto kept = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(missed(tx, bucket));
      BAVN_CHECK(
          tx.exec("INSERT INTO challenge (hash, kind, browser, session, ends_at_us) VALUES (:h, :kind, :b, :s, :ends)",
                  {{"h", hash_of(bytes)},
                   {"kind", kind},
                   {"b", browser.hash},
                   {"s", session},
                   {"ends", tx.now() + limits.challenge}}));
      return {};
    });
    if (!kept) return net::problem(kept.error());
    challenge = to_base64url(bytes);
    return browser;
  };
  const auto milliseconds = [this] { return std::chrono::milliseconds(limits.challenge).count(); };
  const auto keys_of = [this](PersonId person) {
    return state.read([&](store::Reader& db) {
      return db.all<KeyRow>(fmt::format("SELECT {} FROM passkey WHERE person = :p ORDER BY id", kKeyColumns),
                            {{"p", person}});
    });
  };
  const auto refs_of = [](const std::vector<KeyRow>& rows) {
    std::vector<CredentialRef> refs;
    for (const auto& r : rows) {
      const auto transports = net::from_json<std::vector<std::string>>(r.transports, net::Unknown::ignore);
      refs.push_back(
          {"public-key", r.credential, transports && !transports->empty() ? std::optional(*transports) : std::nullopt});
    }
    return refs;
  };
  /// Checks an answer against the key it names; the key as it was, with its new counter written. of: whose it must be.
  const auto use = [this](const Answer& a, std::string_view kind, const Browser& browser,
                          std::optional<std::int64_t> session, std::optional<PersonId> of) -> Result<KeyRow> {
    const std::string challenge = claimed_challenge(a.client_data);
    // In a unit of its own: the question is gone also when the answer is wrong.
    BAVN_CHECK(
        state.write_now([&](store::Tx& tx) { return take_challenge(tx, challenge, kind, browser.hash, session); }));
    BAVN_TRY(const auto row, state.read([&](store::Reader& db) {
      return db.one<KeyRow>(fmt::format("SELECT {} FROM passkey WHERE credential = :c", kKeyColumns), {{"c", a.id}});
    }));
    if (!row || (of && row->person != *of)) return fail(Code::forbidden, "this passkey is not known here");
    if (row->copied_at_us)
      return fail(Code::forbidden, "two devices hold this passkey; it signs in no more", "/signCount");
    if (a.user_handle) {
      BAVN_TRY(const auto handle, state.read([&](store::Reader& db) {
        return db.one<std::string>("SELECT handle FROM user_handle WHERE person = :p", {{"p", row->person}});
      }));
      if (handle != a.user_handle) return fail(Code::forbidden, "this passkey is not known here");
    }
    const webauthn::Expected expected{challenge, site(), rp_id(), true, false};
    const webauthn::Known known{row->public_key.bytes, static_cast<std::uint32_t>(row->sign_count),
                                row->backup_eligible};
    const auto asserted = webauthn::verify_assertion(expected, known, a.client_data, a.authenticator_data, a.signature);
    if (!asserted) {
      if (asserted.error().where == "/signCount")
        BAVN_CHECK(state.write_now([&](store::Tx& tx) -> Result<void> {
          BAVN_CHECK(
              tx.exec("UPDATE passkey SET copied_at_us = :now WHERE id = :id", {{"now", tx.now()}, {"id", row->id}}));
          return tx.audit({person_subject(row->person), "passkey.copied", fmt::format("passkey:{}", row->id), "{}"});
        }));
      return std::unexpected(asserted.error());
    }
    BAVN_CHECK(state.write_now([&](store::Tx& tx) -> Result<void> {
      // Two answers at once with the same counter: the second finds another one there.
      BAVN_TRY(const auto n, tx.exec("UPDATE passkey SET sign_count = :n, backed_up = :b, used_at_us = :now WHERE id = "
                                     ":id AND sign_count = :was",
                                     {{"n", asserted->sign_count},
                                      {"b", asserted->backed_up},
                                      {"now", tx.now()},
                                      {"id", row->id},
                                      {"was", row->sign_count}}));
      if (n == 0) return fail(Code::forbidden, "the passkey was used or removed at the same moment: try again");
      return {};
    }));
    return *row;
  };

  router.post("/api/passkeys/sign-in/options", net::Needs::anyone,
              [this, ask, milliseconds](const net::Request& q) -> net::Reply {
                if (!same_site(q)) return web::problem(403, "other-origin", "a sign-in must begin on our own page");
                std::string challenge;
                auto browser = ask(q, "sign_in", {}, challenge);
                if (auto* no = std::get_if<net::Reply>(&browser)) return std::move(*no);
                const RequestOptions o{{challenge, rp_id(), milliseconds(), "required", {}}};
                return with_cookie(net::json(net::to_json(o)), std::get<Browser>(browser).cookie);
              });

  router.post("/api/passkeys/sign-in", net::Needs::anyone, [this, use](const net::Request& q) -> net::Reply {
    if (!same_site(q)) return web::problem(403, "other-origin", "a sign-in must begin on our own page");
    const std::string bucket = address_bucket(q);
    const auto many = too_many(bucket, limits.address_tries);
    if (!many) return net::problem(many.error());
    if (*many)
      return web::problem(429, "too-many-tries",
                          "too many sign-ins failed from this address; wait a quarter of an hour");
    const auto document = net::JsonDocument::parse(q.body);
    if (!document) return net::problem(document.error());
    const auto a = answer_of(document->root(), false);
    if (!a) return net::problem(a.error());
    const Browser browser = browser_of(q);
    const auto used = use(*a, "sign_in", browser, {}, {});
    if (!used) {
      note_miss(bucket, {"nobody", "sign_in.refused", "passkey",
                         fmt::format("{{\"address\":{},\"reason\":{}}}", net::to_json(q.peer.address),
                                     net::to_json(used.error().what))});
      return refused(used.error());
    }
    const auto s = standing(used->person);
    if (!s) return net::problem(s.error());
    if (s->person.left) return web::problem(403, "passkey-refused", "this person has left");
    Begun begun;
    if (const auto ok = state.write_now([&](store::Tx& tx) -> Result<void> {
          BAVN_TRY(begun, begin(tx, q, used->person, Method::passkey, true, false, used->id));
          return {};
        });
        !ok)
      return net::problem(ok.error());
    return with_cookie(net::json(net::to_json(Next{})), begun.cookie);
  });

  router.post("/api/session/proof/options", net::Needs::anyone,
              [this, ask, milliseconds, keys_of, refs_of](const net::Request& q) -> net::Reply {
                auto at = here(q);
                if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
                const auto& h = std::get<Here>(at);
                const auto rows = keys_of(h.session.person);
                if (!rows) return net::problem(rows.error());
                std::string challenge;
                auto browser = ask(q, "proof", h.session.id, challenge);
                if (auto* no = std::get_if<net::Reply>(&browser)) return std::move(*no);
                const RequestOptions o{{challenge, rp_id(), milliseconds(), "required", refs_of(*rows)}};
                return with_cookie(net::json(net::to_json(o)), std::get<Browser>(browser).cookie);
              });

  router.post("/api/session/proof", net::Needs::anyone, [this, use](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    const auto document = net::JsonDocument::parse(q.body);
    if (!document) return net::problem(document.error());
    const auto root = document->root();
    if (root["code"]) {
      // The weaker way only for those who have no other, and never for what needs the stronger one.
      if (h.standing.passkeys > 0 || h.standing.strong())
        return web::problem(403, "passkey-needed", "a code is not enough here: use the passkey");
      const auto checked = use_code(h.session.person, root["code"].text_or(""), false);
      if (!checked)
        return checked.error().where == "/tries" ? web::problem(429, "too-many-tries", checked.error().what)
                                                 : web::problem(403, "code-refused", checked.error().what);
    } else {
      const auto a = answer_of(root["credential"], false);
      if (!a) return net::problem(a.error());
      const auto used = use(*a, "proof", browser_of(q), h.session.id, h.session.person);
      if (!used) {
        note_miss(address_bucket(q),
                  {person_subject(h.session.person), "proof.refused", fmt::format("session:{}", h.session.id),
                   fmt::format("{{\"reason\":{}}}", net::to_json(used.error().what))});
        return refused(used.error());
      }
    }
    const auto kept = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec("UPDATE web_session SET proved_at_us = :now WHERE id = :id",
                         {{"now", tx.now()}, {"id", h.session.id}}));
      return tx.audit(
          {person_subject(h.session.person), "session.proved", fmt::format("session:{}", h.session.id), "{}"});
    });
    if (!kept) return net::problem(kept.error());
    return net::json(net::to_json(Proved{ms_time(runtime.now() + limits.proof)}));
  });

  // The first way to sign in needs no proof: there is nothing to prove it with, and the link was used a moment ago.
  const auto may_add = [this](const Here& h) { return !h.standing.can_return() || proved(h.session, runtime.now()); };

  router.post("/api/passkeys/registration/options", net::Needs::anyone,
              [this, ask, milliseconds, keys_of, refs_of, may_add](const net::Request& q) -> net::Reply {
                auto at = here(q);
                if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
                const auto& h = std::get<Here>(at);
                if (!may_add(h)) return needs_proof();
                const auto rows = keys_of(h.session.person);
                if (!rows) return net::problem(rows.error());
                std::string handle;
                if (const auto made = state.write_now([&](store::Tx& tx) -> Result<void> {
                      BAVN_CHECK(tx.exec(
                          "INSERT INTO user_handle (person, handle) VALUES (:p, :h) ON CONFLICT (person) DO NOTHING",
                          {{"p", h.session.person}, {"h", fresh_secret(runtime)}}));
                      BAVN_TRY(const auto kept, tx.one<std::string>("SELECT handle FROM user_handle WHERE person = :p",
                                                                    {{"p", h.session.person}}));
                      handle = kept.value_or("");
                      return {};
                    });
                    !made)
                  return net::problem(made.error());
                std::string challenge;
                auto browser = ask(q, "registration", h.session.id, challenge);
                if (auto* no = std::get_if<net::Reply>(&browser)) return std::move(*no);
                CreationOptions o;
                o.publicKey.rp = {rp_id(), "Bavn " + options.name};
                o.publicKey.user = {handle, h.standing.person.name, h.standing.person.name};
                o.publicKey.challenge = challenge;
                for (const auto alg : webauthn::offered_algorithms())
                  o.publicKey.pubKeyCredParams.push_back({"public-key", alg});
                o.publicKey.timeout = milliseconds();
                o.publicKey.excludeCredentials = refs_of(*rows);
                return with_cookie(net::json(net::to_json(o)), std::get<Browser>(browser).cookie);
              });

  router.post("/api/passkeys", net::Needs::anyone, [this, may_add, keys_of](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    if (!may_add(h)) return needs_proof();
    const auto document = net::JsonDocument::parse(q.body);
    if (!document) return net::problem(document.error());
    const auto a = answer_of(document->root()["credential"], true);
    if (!a) return net::problem(a.error());
    const auto rows = keys_of(h.session.person);
    if (!rows) return net::problem(rows.error());
    if (rows->size() >= kMostKeys)
      return net::problem({Code::conflict, fmt::format("{} passkeys are enough: remove one", kMostKeys), {}});
    std::string name(trim(document->root()["name"].text_or("")));
    if (name.size() > 80 || !is_valid_utf8(name)) return web::refused({{"/name", "at most 80 bytes"}});
    if (name.empty()) {
      const auto* agent = q.headers.find("User-Agent");
      name = browser_name(agent == nullptr ? "" : *agent);
    }
    const std::string challenge = claimed_challenge(a->client_data);
    const Browser browser = browser_of(q);
    if (const auto taken = state.write_now(
            [&](store::Tx& tx) { return take_challenge(tx, challenge, "registration", browser.hash, h.session.id); });
        !taken)
      return refused(taken.error());
    const auto made =
        webauthn::verify_registration({challenge, site(), rp_id(), true, false}, a->client_data, a->attestation);
    if (!made) return refused(made.error());
    if (to_base64url(made->credential_id) != a->id)
      return web::problem(400, "passkey-refused", "the answer names two different keys");
    std::string cookie;
    KeyRow row{};
    const auto kept = state.write_now([&](store::Tx& tx) -> Result<void> {
      const auto inserted = tx.exec(
          "INSERT INTO passkey (person, name, credential, public_key, algorithm, sign_count, backup_eligible, "
          "backed_up, aaguid, attestation, "
          "transports, made_at_us) VALUES (:p, :name, :c, :key, :alg, :n, :be, :bs, :aaguid, :format, :transports, "
          ":now)",
          {{"p", h.session.person},
           {"name", name},
           {"c", a->id},
           {"key", store::Blob{made->public_key}},
           {"alg", made->algorithm},
           {"n", made->sign_count},
           {"be", made->backup_eligible},
           {"bs", made->backed_up},
           {"aaguid", to_hex(made->aaguid)},
           {"format", made->format},
           {"transports", net::to_json(a->transports)},
           {"now", tx.now()}});
      if (!inserted && inserted.error().code == Code::conflict)
        return fail(Code::conflict, "this passkey is registered already");
      BAVN_CHECK(inserted);
      row = KeyRow{tx.last_id(),
                   h.session.person,
                   name,
                   a->id,
                   {},
                   made->algorithm,
                   made->sign_count,
                   made->backup_eligible,
                   made->backed_up,
                   made->format,
                   {},
                   tx.now(),
                   {},
                   {}};
      // Making it proved who is there, and the session may now do more than before: it gets another token.
      BAVN_TRY(cookie, rotate(tx, h.session.id));
      return tx.audit({person_subject(h.session.person), "passkey.added", fmt::format("passkey:{}", row.id),
                       fmt::format("{{\"algorithm\":\"{}\",\"attestation\":\"{}\"}}",
                                   webauthn::algorithm_name(made->algorithm), made->format)});
    });
    if (!kept) return net::problem(kept.error());
    return with_cookie(web::created(net::to_json(view_of(row)), fmt::format("/api/passkeys/{}", row.id)), cookie);
  });

  router.get("/api/passkeys", net::Needs::anyone, [this, keys_of](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    const auto of = whose(q, h, "passkeys");
    if (!of) return net::problem(of.error());
    const auto rows = keys_of(*of);
    if (!rows) return net::problem(rows.error());
    Keys list;
    for (const auto& r : *rows) list.items.push_back(view_of(r));
    return net::json(net::to_json(list));
  });

  router.put("/api/passkeys/{id}", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    const auto change = net::from_json<NameChange>(q.body, net::Unknown::refuse);
    if (!change) return net::problem(change.error());
    const std::string name(trim(change->name));
    if (name.empty() || name.size() > 80) return web::refused({{"/name", "1 to 80 bytes"}});
    return web::done(state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(const auto n, tx.exec("UPDATE passkey SET name = :name WHERE id = :id AND person = :p",
                                     {{"name", name}, {"id", *id}, {"p", h.session.person}}));
      if (n == 0) return fail(Code::not_found, fmt::format("there is no passkey {}", *id));
      return tx.audit({person_subject(h.session.person), "passkey.renamed", fmt::format("passkey:{}", *id), "{}"});
    }));
  });

  router.del("/api/passkeys/{id}", net::Needs::anyone, [this](const net::Request& q) -> net::Reply {
    auto at = here(q);
    if (auto* no = std::get_if<net::Reply>(&at)) return std::move(*no);
    const auto& h = std::get<Here>(at);
    if (!proved(h.session, runtime.now())) return needs_proof();
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    bool this_session = false;
    const auto removed = state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(const auto n,
               tx.exec("DELETE FROM passkey WHERE id = :id AND person = :p", {{"id", *id}, {"p", h.session.person}}));
      if (n == 0) return fail(Code::not_found, fmt::format("there is no passkey {}", *id));
      BAVN_TRY(const auto left, tx.number("SELECT (SELECT count(*) FROM passkey WHERE person = :p AND copied_at_us IS "
                                          "NULL) + (SELECT count(*) FROM provider_subject "
                                          "WHERE person = :p)",
                                          {{"p", h.session.person}}));
      if (left == 0 && (h.standing.strong() || !h.standing.code))
        return fail(Code::conflict, "this is the last way to sign in: add another passkey first");
      this_session = h.session.passkey == *id;
      BAVN_CHECK(tx.exec("DELETE FROM web_session WHERE passkey = :id", {{"id", *id}}));
      return tx.audit({person_subject(h.session.person), "passkey.removed", fmt::format("passkey:{}", *id), "{}"});
    });
    if (removed) tell_ended(person_subject(h.session.person));
    net::Reply reply = web::done(removed);
    if (removed && this_session) reply.headers.add("Set-Cookie", no_cookie());
    return reply;
  });
}

}  // namespace bavn::show::auth
