#include "show/auth/identity.hpp"

#include <gtest/gtest.h>

#include "base/sim.hpp"
#include "net/sim.hpp"
#include "show/auth/testing.hpp"
#include "show/auth/totp.hpp"

namespace bavn::show::auth {
namespace {

using namespace std::chrono_literals;
using event::Right;
using tenants::Role;
using testing::Browser;
using testing::SoftKey;

/// Answers nothing: tests of OpenID Connect have their own.
struct NoClient : net::Client {
  void send(net::ClientRequest, QueueId, std::move_only_function<void(Result<net::ClientReply>)> then) override {
    then(fail(Code::unavailable, "no network in this test"));
  }
  std::shared_ptr<net::OpenStream> stream(net::ClientRequest, QueueId, net::StreamEvents) override { return nullptr; }
};

std::string path_of(const std::string& link) {
  return link.substr(link.find("/sign-in"));
}
std::string secret_of(const std::string& link) {
  return link.substr(link.find("?c=") + 3);
}

struct Desk {
  explicit Desk(IdentityOptions options = {.name = "Test CERT", .origin = "https://desk.example.org"}) {
    identity = Identity::open(sim, *state, people, client, texts, std::move(options)).value();
    identity->add_routes(router);
    router.authenticate([this](const net::Request& q) { return identity->authenticate(q); });
    router.post("/api/danger", Right::publish, identity->proved([](const net::Request&) { return net::json("{}"); }));
    router.get("/api/look", Right::tenants_read, [](const net::Request&) { return net::json("{}"); });
    identity->on_ended([this](const std::string& who) { ended.push_back(who); });
    state->start();
  }
  PersonId person(const std::string& name, Role role, MunicipalityId m = {}) {
    const auto id = people.add(owner, {m, name, "", "en"}).value();
    EXPECT_TRUE(
        people.give_role(owner, id, role, tenants::must_expire(role) ? std::optional(sim.now() + 240h) : std::nullopt));
    return id;
  }
  /// Uses a link as a person does: looks, presses the button.
  net::Reply use_link(Browser& b, const std::string& link) {
    EXPECT_EQ(b.get(path_of(link)).status, 200);
    return b.post("/sign-in/link", "c=" + secret_of(link));
  }
  net::Reply register_key(Browser& b, SoftKey& key) {
    const auto options = b.post("/api/passkeys/registration/options");
    EXPECT_EQ(options.status, 200) << options.body;
    return b.post("/api/passkeys", key.make(options.body));
  }
  net::Reply sign_in(Browser& b, SoftKey& key) {
    const auto options = b.post("/api/passkeys/sign-in/options");
    EXPECT_EQ(options.status, 200) << options.body;
    return b.post("/api/passkeys/sign-in", key.use(options.body));
  }
  net::Reply prove(Browser& b, SoftKey& key) {
    const auto options = b.post("/api/session/proof/options");
    EXPECT_EQ(options.status, 200) << options.body;
    return b.post("/api/session/proof", "{\"credential\":" + key.use(options.body) + "}");
  }
  /// Somebody with a role who has signed in with a key of theirs.
  struct Member {
    PersonId id;
    SoftKey key;
    Browser browser;
  };
  Member member(const std::string& name, Role role, MunicipalityId m = {}) {
    Member who{person(name, role, m), SoftKey("key of " + name), Browser(router)};
    EXPECT_EQ(use_link(who.browser, identity->link_for(who.id).value()).status, 303);
    EXPECT_EQ(register_key(who.browser, who.key).status, 201);
    return who;
  }
  std::int64_t audited(std::string_view action) {
    return state
        ->read([&](store::Reader& db) {
          return db.number("SELECT count(*) FROM audit WHERE action = :a", {{"a", action}});
        })
        .value();
  }

  Sim sim{7};
  std::unique_ptr<store::State> state = store::State::open(sim, {.path = ":memory:", .schema = {"core"}}).value();
  tenants::People people{sim, *state};
  NoClient client;
  Catalogue texts = Catalogue::embedded();
  event::Scope owner = event::Scope::local_owner();
  std::unique_ptr<Identity> identity;
  net::Router router;
  std::vector<std::string> ended;
};

TEST(Identity, TheFirstLinkMakesWhoAdministersAndThenThereIsNone) {
  Desk d;
  const std::string link = d.identity->first_link().value();
  Browser b(d.router);
  const auto form = b.get(path_of(link));
  EXPECT_EQ(form.status, 200);
  EXPECT_NE(form.body.find("name=\"name\""), std::string::npos);
  EXPECT_EQ(b.post("/sign-in/link", "c=" + secret_of(link) + "&name=+&language=da").status,
            422);  // a fault does not use it up
  const auto made = b.post("/sign-in/link", "c=" + secret_of(link) + "&name=Anna+Example&title=Lead&language=da");
  EXPECT_EQ(made.status, 303);
  EXPECT_EQ(*made.headers.find("Location"), "/sign-in/set-up");
  EXPECT_EQ(b.get("/api/look").status, 403);  // no rights before she can come back
  EXPECT_NE(b.get("/api/session").body.find("\"set_up\""), std::string::npos);
  EXPECT_FALSE(d.identity->first_link().value().empty());  // she never finished: another chance

  SoftKey key("first");
  const auto before = b.cookies.at("__Host-bavn");
  EXPECT_EQ(d.register_key(b, key).status, 201);
  EXPECT_NE(b.cookies.at("__Host-bavn"), before);
  EXPECT_EQ(b.get("/api/look").status, 200);
  EXPECT_NE(b.get("/api/session").body.find("\"second_passkey\""), std::string::npos);
  EXPECT_EQ(d.identity->first_link().value(), "");
  SoftKey second("second");
  EXPECT_EQ(d.register_key(b, second).status, 201);
  EXPECT_EQ(b.get("/api/session").body.find("\"second_passkey\""), std::string::npos);
}

TEST(Identity, ALinkWorksOnceAndLookingAtItDoesNotUseIt) {
  Desk d;
  const auto anna = d.person("Anna Example", Role::programme);
  const std::string link = d.identity->link_for(anna).value();
  Browser scanner(d.router), b(d.router), thief(d.router);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(scanner.get(path_of(link)).status, 200);
  EXPECT_EQ(d.use_link(b, link).status, 303);
  EXPECT_EQ(thief.post("/sign-in/link", "c=" + secret_of(link)).status, 410);
  EXPECT_EQ(thief.get(path_of(link)).status, 410);
  EXPECT_TRUE(thief.cookies.empty());
  EXPECT_EQ(thief.get("/sign-in/link?c=nonsense").status, 404);
  const std::string late = d.identity->link_for(anna).value(), newer = d.identity->link_for(anna).value();
  EXPECT_EQ(thief.get(path_of(late)).status, 404);  // a newer one was made
  d.sim.advance(25h);
  EXPECT_EQ(thief.post("/sign-in/link", "c=" + secret_of(newer)).status, 410);
}

TEST(Identity, APasskeySignsInAndEveryAnswerCountsOnce) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  Browser b(d.router);
  const auto options = b.post("/api/passkeys/sign-in/options");
  const std::string answer = anna.key.use(options.body);
  EXPECT_EQ(b.post("/api/passkeys/sign-in", answer).status, 200);
  EXPECT_EQ(b.get("/api/look").status, 200);
  EXPECT_EQ(Browser::problem(b.post("/api/passkeys/sign-in", answer)), "/problems/challenge-over");  // replayed
  const auto cookie = b.cookies.at("__Host-bavn");
  EXPECT_EQ(d.sign_in(b, anna.key).status, 200);
  EXPECT_NE(b.cookies.at("__Host-bavn"), cookie);  // rotated
  Browser old(d.router);
  old.cookies["__Host-bavn"] = cookie;
  EXPECT_EQ(old.get("/api/look").status, 401);  // and the old one is over
}

TEST(Identity, AnAnswerOfAnotherBrowserOrTooLateIsRefused) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  Browser asked(d.router), other(d.router);
  const auto options = asked.post("/api/passkeys/sign-in/options");
  other.post("/api/passkeys/sign-in/options");
  EXPECT_EQ(Browser::problem(other.post("/api/passkeys/sign-in", anna.key.use(options.body))),
            "/problems/challenge-over");
  const auto late = asked.post("/api/passkeys/sign-in/options");
  d.sim.advance(5min + 1s);
  EXPECT_EQ(Browser::problem(asked.post("/api/passkeys/sign-in", anna.key.use(late.body))), "/problems/challenge-over");
  EXPECT_EQ(asked.get("/api/look").status, 401);
}

TEST(Identity, AKeyOfAnotherSiteAnotherPersonOrWithoutAPersonIsRefused) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  Browser b(d.router);
  SoftKey phished("key of Anna Example", "https://desk.example.org.evil.example", "desk.example.org.evil.example");
  phished.user_handle = anna.key.user_handle;
  EXPECT_EQ(Browser::problem(d.sign_in(b, phished)), "/problems/passkey-refused");
  SoftKey unknown("unknown");
  EXPECT_EQ(Browser::problem(d.sign_in(b, unknown)), "/problems/passkey-refused");
  anna.key.verifies_user = false;
  EXPECT_EQ(Browser::problem(d.sign_in(b, anna.key)), "/problems/passkey-refused");
  anna.key.verifies_user = true;
  const auto handle = anna.key.user_handle;
  anna.key.user_handle = "AAAA";
  EXPECT_EQ(Browser::problem(d.sign_in(b, anna.key)), "/problems/passkey-refused");
  anna.key.user_handle = handle;
  EXPECT_EQ(d.sign_in(b, anna.key).status, 200);
  d.sim.advance(1s);
  EXPECT_EQ(d.audited("sign_in.refused"), 4);
}

TEST(Identity, AKeyThatTwoDevicesHoldSignsInNoMore) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  Browser b(d.router);
  EXPECT_EQ(d.sign_in(b, anna.key).status, 200);
  SoftKey copy = anna.key;
  EXPECT_EQ(d.sign_in(b, anna.key).status, 200);
  Browser thief(d.router);
  EXPECT_EQ(Browser::problem(d.sign_in(thief, copy)), "/problems/passkey-copied");
  EXPECT_EQ(Browser::problem(d.sign_in(b, anna.key)), "/problems/passkey-copied");
  EXPECT_EQ(d.audited("passkey.copied"), 1);
}

TEST(Identity, ASessionEndsIdleAndAtTheLatestAfterTwelveHours) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  d.sim.advance(29min);
  EXPECT_EQ(anna.browser.get("/api/look").status, 200);
  d.sim.advance(29min);
  EXPECT_EQ(anna.browser.get("/api/look").status, 200);
  d.sim.advance(31min);
  EXPECT_EQ(anna.browser.get("/api/look").status, 401);
  EXPECT_EQ(d.sign_in(anna.browser, anna.key).status, 200);
  for (int i = 0; i < 12 * 3 - 1; ++i) {
    d.sim.advance(20min);
    EXPECT_EQ(anna.browser.get("/api/look").status, 200) << i;
  }
  d.sim.advance(21min);
  EXPECT_EQ(anna.browser.get("/api/look").status, 401);
}

TEST(Identity, AskingWhetherAStreamIsStillValidKeepsNobodyAwake) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  const auto stream = anna.browser.request(net::Method::get, "/api/events");
  for (int i = 0; i < 31; ++i) {
    EXPECT_EQ(d.identity->still_valid(stream), i < 30) << i;
    d.sim.advance(1min);
  }
}

TEST(Identity, ADangerousActAsksForAProofOfTheLastMinutes) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  EXPECT_EQ(anna.browser.post("/api/danger").status, 200);  // she made a key a moment ago
  d.sim.advance(11min);
  EXPECT_EQ(Browser::problem(anna.browser.post("/api/danger")), "/problems/proof-needed");
  EXPECT_FALSE(d.identity->recently_proved(anna.browser.request(net::Method::post, "/api/danger")));
  auto bo = d.member("Bo Example", Role::duty_lead);
  EXPECT_EQ(Browser::problem(d.prove(anna.browser, bo.key)), "/problems/passkey-refused");  // somebody else's key
  EXPECT_EQ(d.prove(anna.browser, anna.key).status, 200);
  EXPECT_EQ(anna.browser.post("/api/danger").status, 200);
  const auto options = anna.browser.post("/api/session/proof/options");
  EXPECT_EQ(Browser::problem(bo.browser.post("/api/passkeys/sign-in", bo.key.use(options.body))),
            "/problems/challenge-over");  // asked for another purpose
}

TEST(Identity, WhatAForeignPageSendsIsRefused) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  for (const char* from : {"cross-site", "same-site"}) {
    anna.browser.headers = {{"Sec-Fetch-Site", from}};
    EXPECT_EQ(anna.browser.post("/api/danger").status, 401);
    EXPECT_EQ(Browser::problem(anna.browser.del("/api/session")), "/problems/other-origin");
    EXPECT_EQ(anna.browser.get("/api/look").status, 200);
  }
  anna.browser.headers = {};  // an old browser, or curl with a stolen cookie's jar
  EXPECT_EQ(anna.browser.post("/api/danger").status, 401);
  anna.browser.headers = {{"X-Bavn", "1"}};
  EXPECT_EQ(anna.browser.post("/api/danger").status, 200);
  anna.browser.headers = {{"Origin", "https://desk.example.org"}};
  EXPECT_EQ(anna.browser.post("/api/danger").status, 200);
  anna.browser.headers = {{"Origin", "https://evil.example"}};
  EXPECT_EQ(anna.browser.post("/api/danger").status, 401);
}

TEST(Identity, TheCookieCannotBeReadSentAlongOrSetByOthers) {
  Desk d;
  const auto anna = d.person("Anna Example", Role::programme);
  Browser b(d.router);
  const auto reply = d.use_link(b, d.identity->link_for(anna).value());
  const std::string& cookie = *reply.headers.find("Set-Cookie");
  EXPECT_TRUE(cookie.starts_with("__Host-bavn="));
  for (const char* part : {"; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"})
    EXPECT_NE(cookie.find(part), std::string::npos) << part;
  EXPECT_EQ(cookie.find("Domain"), std::string::npos);
  const auto token = b.cookies.at("__Host-bavn");
  EXPECT_EQ(d.state
                ->read([&](store::Reader& db) {
                  return db.number("SELECT count(*) FROM web_session WHERE token = :t", {{"t", token}});
                })
                .value(),
            0);  // hashed at rest
}

TEST(Identity, PeopleSeeAndEndTheirSessionsAndNobodyElses) {
  Desk d;
  auto anna = d.member("Anna Example", Role::programme);
  auto bo = d.member("Bo Example", Role::programme);
  Browser second(d.router);
  EXPECT_EQ(d.sign_in(second, anna.key).status, 200);
  const auto list = net::JsonDocument::parse(anna.browser.get("/api/sessions").body).value();
  ASSERT_EQ(list.root()["items"].size(), 2U);
  const std::string newest(list.root()["items"].at(0)["id"].text_or(""));
  EXPECT_FALSE(*list.root()["items"].at(0)["this"].boolean());
  EXPECT_EQ(bo.browser.del("/api/sessions/" + newest).status, 404);
  EXPECT_EQ(bo.browser.get("/api/sessions?person=" + std::to_string(anna.id.value)).status, 403);
  EXPECT_EQ(anna.browser.del("/api/sessions/" + newest).status, 204);
  EXPECT_EQ(second.get("/api/look").status, 401);
  EXPECT_EQ(anna.browser.get("/api/look").status, 200);
  EXPECT_EQ(anna.browser.del("/api/session").status, 204);
  EXPECT_TRUE(anna.browser.cookies.find("__Host-bavn") == anna.browser.cookies.end());
  EXPECT_EQ(anna.browser.del("/api/session").status, 204);
  EXPECT_EQ(d.ended.size(), 2U);
}

std::string new_key(std::string_view rights, const Desk& d, std::string_view more = "") {
  return "{\"name\":\"export\",\"rights\":[" + std::string(rights) + "],\"expires\":\"" +
         format_time(d.sim.now() + 24h) + "\"" + std::string(more) + "}";
}

TEST(Identity, AnApiKeyDoesWhatItMayFromWhereItMay) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  const auto made =
      anna.browser.post("/api/keys", new_key("\"tenants_read\"", d, ",\"addresses\":[\"198.51.100.0/24\"]"));
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string key = Browser::field(made, "key");
  Browser program(d.router, "198.51.100.9"), elsewhere(d.router, "203.0.113.1");
  program.headers = elsewhere.headers = {{"Authorization", "Bearer " + key}};
  EXPECT_EQ(program.get("/api/look").status, 200);
  EXPECT_EQ(elsewhere.get("/api/look").status, 401);
  EXPECT_EQ(program.post("/api/danger").status, 403);  // not among its rights
  EXPECT_EQ(program.get("/api/people").status, 200);
  EXPECT_EQ(program.post("/api/keys", new_key("\"tenants_read\"", d)).status, 401);  // a key makes no keys
  EXPECT_EQ(anna.browser.get("/api/keys").body.find(key.substr(20)), std::string::npos);
  d.sim.advance(1s);
  EXPECT_NE(anna.browser.get("/api/keys").body.find("198.51.100.9"), std::string::npos);  // last used
  ASSERT_TRUE(d.people.take_role(d.owner, anna.id, Role::duty_lead));
  EXPECT_EQ(program.get("/api/look").status, 403);  // never more than its person
  ASSERT_TRUE(d.people.give_role(d.owner, anna.id, Role::duty_lead));
  d.sim.advance(25h);
  EXPECT_EQ(program.get("/api/look").status, 401);
}

TEST(Identity, AKeyIsForLessThanItsPerson) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  EXPECT_EQ(anna.browser.post("/api/keys", new_key("\"event_erase\"", d)).status, 422);
  EXPECT_EQ(anna.browser.post("/api/keys", new_key("\"people_write\"", d)).status, 422);
  EXPECT_EQ(anna.browser.post("/api/keys", new_key("\"everything\"", d)).status, 422);
  EXPECT_EQ(anna.browser.post("/api/keys", new_key("\"alert_read\"", d, ",\"addresses\":[\"localhost\"]")).status, 422);
  EXPECT_EQ(anna.browser.post("/api/keys", new_key("\"alert_read\"", d, ",\"more\":1")).status, 400);
  const auto made =
      anna.browser.post("/api/keys", new_key("\"tenants_read\",\"publish\"", d, ",\"municipality\":\"0101\""));
  ASSERT_EQ(made.status, 201) << made.body;
  Browser program(d.router);
  program.headers = {{"Authorization", "Bearer " + Browser::field(made, "key")}};
  EXPECT_EQ(program.get("/api/people").status, 404);  // the CERT's own people are not of 0101
  EXPECT_EQ(Browser::problem(program.post("/api/danger")), "/problems/person-needed");
  EXPECT_EQ(anna.browser.del("/api/keys/" + Browser::field(made, "id")).status, 204);
  EXPECT_EQ(program.get("/api/look").status, 401);
}

TEST(Identity, GuessingKeysIsCountedByAddress) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  const auto made = anna.browser.post("/api/keys", new_key("\"tenants_read\"", d));
  std::string wrong = Browser::field(made, "key");
  wrong.back() = wrong.back() == 'a' ? 'b' : 'a';
  Browser program(d.router);
  for (int i = 0; i < 50; ++i) {
    program.headers = {{"Authorization", "Bearer " + wrong}};
    EXPECT_EQ(program.get("/api/look").status, 401);
    d.sim.advance(10ms);
  }
  EXPECT_EQ(d.audited("key.refused"), 30);  // and no more rows than that
}

TEST(Identity, CodesAreForRolesThatReadAndCountOnce) {
  Desk d;
  const auto leader = d.person("Åse Leader", Role::programme);
  Browser b(d.router);
  d.use_link(b, d.identity->link_for(leader).value());
  const auto begun = b.post("/api/code");
  ASSERT_EQ(begun.status, 201);
  const std::string secret = from_base32(Browser::field(begun, "secret")).value();
  EXPECT_EQ(Browser::problem(b.put("/api/code", "{\"code\":\"000000\"}")), "/problems/code-refused");
  EXPECT_EQ(b.put("/api/code", "{\"code\":\"" + totp_code(secret, totp_step(d.sim.now())) + "\"}").status, 204);
  EXPECT_EQ(b.get("/api/look").status, 200);
  Browser again(d.router);
  const auto sign_in = [&](const std::string& name, const std::string& code) {
    return *again.post("/sign-in/code", "name=" + name + "&code=" + code).headers.find("Location");
  };
  const auto now = [&] { return totp_code(secret, totp_step(d.sim.now())); };
  EXPECT_EQ(sign_in("%C3%85se+Leader", now()), "/sign-in?trouble=code");  // it confirmed a moment ago
  d.sim.advance(30s);
  const std::string code = now();
  EXPECT_EQ(sign_in("%C3%A5se+leader", code), "/");
  EXPECT_EQ(again.get("/api/look").status, 200);
  EXPECT_EQ(sign_in("%C3%85se+Leader", code), "/sign-in?trouble=code");
  d.sim.advance(30s);
  EXPECT_EQ(sign_in("Somebody+Else", now()), "/sign-in?trouble=code");
  for (int i = 0; i < 2; ++i) EXPECT_EQ(sign_in("%C3%85se+Leader", "000000"), "/sign-in?trouble=code");
  EXPECT_EQ(sign_in("%C3%85se+Leader", now()), "/sign-in?trouble=tries");  // the right one too
  d.sim.advance(16min);
  EXPECT_EQ(sign_in("%C3%85se+Leader", now()), "/");
}

TEST(Identity, WhoMayPublishOrAdministerHasNoCodes) {
  Desk d;
  for (const Role role : {Role::analyst, Role::duty_lead}) {
    const auto person = d.person(std::string(to_string(role)), role);
    Browser b(d.router);
    d.use_link(b, d.identity->link_for(person).value());
    EXPECT_EQ(Browser::problem(b.post("/api/code")), "/problems/passkey-needed");
  }
  // A role that grows afterwards does not bring the code along.
  const auto leader = d.person("Lis Leader", Role::programme);
  Browser b(d.router);
  d.use_link(b, d.identity->link_for(leader).value());
  const std::string secret = from_base32(Browser::field(b.post("/api/code"), "secret")).value();
  EXPECT_EQ(b.put("/api/code", "{\"code\":\"" + totp_code(secret, totp_step(d.sim.now())) + "\"}").status, 204);
  ASSERT_TRUE(d.people.give_role(d.owner, leader, Role::duty_lead));
  d.sim.advance(30s);
  EXPECT_EQ(*b.post("/sign-in/code", "name=Lis+Leader&code=" + totp_code(secret, totp_step(d.sim.now())))
                 .headers.find("Location"),
            "/sign-in?trouble=code");
}

TEST(Identity, AnInvitationLetsSomebodyInWithTheRolesThatWereGiven) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  const auto invited =
      anna.browser.post("/api/people", R"({"name":"Bo Example","language":"nb","roles":[{"role":"analyst"}]})");
  ASSERT_EQ(invited.status, 201) << invited.body;
  EXPECT_NE(anna.browser.get("/api/invitations").body.find("Bo Example"), std::string::npos);
  Browser b(d.router);
  const auto page = b.get(path_of(Browser::field(invited, "link")));
  EXPECT_NE(page.body.find("lang=\"nb\""), std::string::npos);  // in the person's language
  EXPECT_EQ(*d.use_link(b, Browser::field(invited, "link")).headers.find("Location"), "/sign-in/set-up");
  SoftKey key("bo");
  EXPECT_EQ(d.register_key(b, key).status, 201);
  EXPECT_EQ(b.get("/api/look").status, 200);
  EXPECT_EQ(b.post("/api/people", R"({"name":"C","language":"en","roles":[{"role":"programme"}]})").status, 403);
  EXPECT_EQ(anna.browser.get("/api/invitations").body, "{\"items\":[]}");
  EXPECT_EQ(anna.browser.post("/api/invitations", "{\"person\":\"" + Browser::field(invited, "person") + "\"}").status,
            409);  // lost keys take two
}

TEST(Identity, NobodyInvitesOrRecoversSomebodyStronger) {
  Desk d({.serves = Serves::node, .name = "Ager", .municipality = {101}, .origin = "https://desk.example.org"});
  auto it = d.member("Ib It", Role::municipal_it, {101});
  EXPECT_EQ(it.browser.post("/api/people", R"({"name":"X","language":"da","roles":[{"role":"duty_lead"}]})").status,
            403);
  const auto strong = d.person("Stærk Example", Role::duty_lead, {101});
  EXPECT_EQ(it.browser.post("/api/invitations", "{\"person\":\"" + std::to_string(strong.value) + "\"}").status, 403);
  EXPECT_EQ(it.browser.post("/api/recoveries", "{\"person\":\"" + std::to_string(strong.value) + "\",\"reason\":\"x\"}")
                .status,
            403);
  const auto foreign = d.person("Fremmed Example", Role::programme, {147});
  EXPECT_EQ(it.browser.post("/api/invitations", "{\"person\":\"" + std::to_string(foreign.value) + "\"}").status, 404);
  EXPECT_EQ(it.browser.get("/api/people/" + std::to_string(foreign.value)).status, 404);
  EXPECT_EQ(it.browser.post("/api/people/" + std::to_string(foreign.value) + "/leave").status, 404);
}

TEST(Identity, LostKeysAreRecoveredByTwoPeople) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  auto bo = d.member("Bo Example", Role::duty_lead);
  auto cay = d.member("Cay Example", Role::analyst);
  const std::string ask = "{\"person\":\"" + std::to_string(cay.id.value) + "\",\"reason\":\"lost on the train\"}";
  EXPECT_EQ(cay.browser.post("/api/recoveries", ask).status, 403);
  const auto asked = anna.browser.post("/api/recoveries", ask);
  ASSERT_EQ(asked.status, 201) << asked.body;
  const std::string agree = "/api/recoveries/" + Browser::field(asked, "id") + "/agree";
  EXPECT_EQ(anna.browser.post(agree).status, 409);  // not alone
  EXPECT_EQ(cay.browser.get("/api/look").status, 200);
  const auto agreed = bo.browser.post(agree);
  ASSERT_EQ(agreed.status, 201) << agreed.body;
  EXPECT_EQ(bo.browser.post(agree).status, 404);
  EXPECT_EQ(cay.browser.get("/api/look").status, 401);  // what was, is over
  Browser again(d.router);
  EXPECT_EQ(Browser::problem(d.sign_in(again, cay.key)), "/problems/passkey-refused");
  EXPECT_EQ(d.use_link(again, Browser::field(agreed, "link")).status, 303);
  SoftKey fresh("fresh");
  EXPECT_EQ(d.register_key(again, fresh).status, 201);
  EXPECT_EQ(again.get("/api/look").status, 200);
  EXPECT_EQ(
      bo.browser.post("/api/recoveries", "{\"person\":\"" + std::to_string(bo.id.value) + "\",\"reason\":\"mine\"}")
          .status,
      409);
}

TEST(Identity, LeavingEndsSessionsKeysAndLinksAtOnce) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  auto bo = d.member("Bo Example", Role::duty_lead);
  const auto made = bo.browser.post("/api/keys", new_key("\"tenants_read\"", d));
  Browser program(d.router);
  program.headers = {{"Authorization", "Bearer " + Browser::field(made, "key")}};
  EXPECT_EQ(program.get("/api/look").status, 200);
  const std::string link = d.identity->link_for(bo.id).value();
  EXPECT_EQ(anna.browser.post("/api/people/" + std::to_string(bo.id.value) + "/leave").status, 204);
  EXPECT_EQ(bo.browser.get("/api/look").status, 401);
  EXPECT_EQ(program.get("/api/look").status, 401);
  Browser b(d.router);
  EXPECT_EQ(b.get(path_of(link)).status, 404);
  EXPECT_EQ(Browser::problem(d.sign_in(b, bo.key)), "/problems/passkey-refused");
  EXPECT_NE(std::find(d.ended.begin(), d.ended.end(), "person:" + std::to_string(bo.id.value)), d.ended.end());
  // The last one who administers stays.
  EXPECT_EQ(anna.browser.post("/api/people/" + std::to_string(anna.id.value) + "/leave").status, 409);
  EXPECT_EQ(anna.browser.del("/api/people/" + std::to_string(anna.id.value) + "/roles/duty_lead").status, 409);
}

TEST(Identity, WhoLeavesByTheCommandLineIsOutTheSameMoment) {
  Desk d;
  auto bo = d.member("Bo Example", Role::analyst);
  ASSERT_TRUE(d.people.leave(d.owner, bo.id));
  EXPECT_EQ(bo.browser.get("/api/look").status, 401);
  d.sim.advance(1min);  // the outbox tells it
  EXPECT_EQ(d.audited("access.ended"), 1);
}

TEST(Identity, ARoleThatIsTakenIsGoneAtTheNextRequest) {
  Desk d;
  auto bo = d.member("Bo Example", Role::analyst);
  EXPECT_EQ(bo.browser.get("/api/look").status, 200);
  ASSERT_TRUE(d.people.take_role(d.owner, bo.id, Role::analyst));
  EXPECT_EQ(bo.browser.get("/api/look").status, 403);
}

TEST(Identity, TheLastWayInIsNotRemoved) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  EXPECT_EQ(anna.browser.del("/api/passkeys/1").status, 409);
  SoftKey second("second");
  EXPECT_EQ(d.register_key(anna.browser, second).status, 201);
  EXPECT_EQ(anna.browser.del("/api/passkeys/1").status, 204);
  EXPECT_EQ(anna.browser.del("/api/passkeys/2").status, 409);
  EXPECT_EQ(anna.browser.put("/api/passkeys/2", R"({"name":"the one in the safe"})").status, 204);
  EXPECT_NE(anna.browser.get("/api/passkeys").body.find("the one in the safe"), std::string::npos);
}

TEST(Identity, ADemonstrationsLinkLetsInWithoutAKey) {
  Desk d({.name = "Demo CERT", .origin = "http://localhost:8471", .demonstration = true});
  const auto lead = d.person("Dea Demo", Role::duty_lead);
  Browser b(d.router);
  const auto reply = d.use_link(b, d.identity->link_for(lead).value());
  EXPECT_EQ(*reply.headers.find("Location"), "/");
  EXPECT_TRUE(b.cookies.contains("bavn-8471"));  // a cookie for this port alone
  d.sim.advance(25min);
  EXPECT_EQ(b.post("/api/danger").status, 200);
  EXPECT_NE(b.get("/api/session").body.find("\"demonstration\":true"), std::string::npos);
}

TEST(Identity, ASessionSaysWhatThePageNeedsAndTheLanguageIsOnesOwn) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  const auto said = net::JsonDocument::parse(anna.browser.get("/api/session").body).value();
  EXPECT_EQ(said.root()["serves"].text(), "hub");
  EXPECT_EQ(said.root()["person"]["name"].text(), "Anna Example");
  EXPECT_EQ(said.root()["method"].text(), "link");
  EXPECT_EQ(said.root()["passkeys"].integer(), 1);
  EXPECT_EQ(anna.browser.put("/api/session", R"({"language":"da"})").status, 204);
  EXPECT_EQ(Browser::field(anna.browser.get("/api/session"), "language"), "da");
  EXPECT_EQ(anna.browser.put("/api/session", R"({"language":"fr"})").status, 400);
  Browser nobody(d.router);
  EXPECT_EQ(nobody.get("/api/session").status, 200);
  EXPECT_EQ(nobody.get("/api/session").body.find("\"person\""), std::string::npos);
  EXPECT_EQ(nobody.get("/api/sessions").status, 401);
}

TEST(Identity, HostileTextIsShownAsText) {
  Desk d;
  const auto anna = d.person("<img src=x onerror=alert(1)>", Role::programme);
  Browser b(d.router);
  const auto page = b.get(path_of(d.identity->link_for(anna).value()));
  EXPECT_EQ(page.body.find("<img src=x"), std::string::npos);
  EXPECT_NE(page.body.find("&lt;img src=x"), std::string::npos);
  EXPECT_EQ(b.get("/sign-in?trouble=<script>").body.find("<script>"), std::string::npos);
  EXPECT_EQ(b.get("/sign-in?next=//evil.example").body.find("evil"), std::string::npos);
  EXPECT_EQ(b.get("/sign-in?next=/%5Cevil.example").body.find("evil"), std::string::npos);
  EXPECT_NE(b.get("/sign-in?next=/campaigns/7").body.find("data-next=\"/campaigns/7\""), std::string::npos);
}

TEST(Identity, RubbishIsRefusedInWords) {
  Desk d;
  auto anna = d.member("Anna Example", Role::duty_lead);
  for (const char* body : {"", "null", "[]", "{}", "{\"id\":1}", "{\"id\":\"!!\",\"type\":\"public-key\"}",
                           "{\"type\":\"public-key\",\"id\":\"AA\",\"response\":{}}", "\xff"}) {
    EXPECT_EQ(anna.browser.post("/api/passkeys/sign-in", body).status, 400) << body;
    EXPECT_EQ(anna.browser.post("/api/passkeys", body).status, 400) << body;
    EXPECT_EQ(anna.browser.post("/api/session/proof", body).status, 400) << body;
    EXPECT_EQ(anna.browser.post("/api/keys", body).status, 400) << body;
    EXPECT_EQ(anna.browser.post("/api/people", body).status, 400) << body;
    EXPECT_EQ(anna.browser.post("/api/recoveries", body).status, 400) << body;
  }
  for (const char* id : {"0", "-1", "99999999999999999999", "x", "1%20OR%201"}) {
    EXPECT_EQ(anna.browser.get(std::string("/api/people/") + id).status, 404) << id;
    EXPECT_EQ(anna.browser.del(std::string("/api/sessions/") + id).status, 404) << id;
    EXPECT_EQ(anna.browser.del(std::string("/api/passkeys/") + id).status, 404) << id;
    EXPECT_EQ(anna.browser.del(std::string("/api/keys/") + id).status, 404) << id;
  }
}

}  // namespace
}  // namespace bavn::show::auth
