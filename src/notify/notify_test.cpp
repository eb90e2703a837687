#include "notify/notify.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <regex>
#include <set>

#include "base/log.hpp"
#include "base/sim.hpp"
#include "base/text.hpp"
#include "net/json_value.hpp"
#include "net/sim.hpp"
#include "net/webhook.hpp"

namespace bavn::notify {
namespace {

using namespace std::chrono_literals;
using event::Scope;
using tenants::Role;
using tenants::WayKind;

const std::string kSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

struct Catcher final : MailCarrier {
  explicit Catcher(Sim& s) : sim(s) {}
  void send(Mail mail, QueueId queue, std::move_only_function<void(Result<std::string>)> then) override {
    ++tries;
    const bool good = refuse == 0;
    if (good) mails.push_back(std::move(mail));
    else --refuse;
    (void)sim.after(200ms, queue, [good, then = std::move(then)]() mutable {
      if (good) then("250 2.0.0 Ok: queued as 1");
      else then(fail(Code::unavailable, "451 try again later"));
    });
  }
  Sim& sim;
  int tries = 0, refuse = 0;
  std::vector<Mail> mails;
};

struct World {
  explicit World(std::uint64_t seed = 1, NotifyOptions options = {}) : sim(seed) {
    notify = Notify::open(sim, *state, *client, &catcher, texts, std::move(options)).value();
    router.post("/hook", net::Needs::anyone, [this](const net::Request& r) {
      calls.push_back(r);
      return net::text("", "text/plain", status);
    });
    server = net::SimServer::start(sim, router, "pager.example.org:443", hub).value();
    state->subscribe("test", hub, [this](const store::DomainEvent& e) -> Result<void> {
      events.push_back(e.kind + " " + e.subject + " " + e.detail);
      return {};
    });
    state->start();
    anna = people.add(owner, {{101}, "Anna Example", "head of IT", "da"}).value();
    EXPECT_TRUE(people.give_role(owner, anna, Role::duty_contact));
    mail_way = people.add_way(owner, anna, {WayKind::mail, "anna@private.example.org", true, 1}).value();
    hook_way =
        people.add_way(owner, anna, {WayKind::webhook, "https://pager.example.org/hook", true, 2, kSecret}).value();
    EXPECT_TRUE(people.add_way(owner, anna, {WayKind::phone, "+45 12 34 56 78", true, 3}));
  }
  ~World() { state->stop(); }
  Result<std::size_t> test() {
    Result<std::size_t> sent = 0;
    const auto person = people.find(owner, anna).value();
    const auto done = state->write_now([&](store::Tx& tx) -> Result<void> {
      sent = notify->send_test(tx, person, "København", "Europe/Copenhagen", "mandate_test:1");
      if (!sent) return std::unexpected(sent.error());
      return {};
    });
    return sent;
  }
  Result<std::size_t> call(Duration valid = 2h) {
    Result<std::size_t> sent = 0;
    const auto done = state->write_now([&](store::Tx& tx) -> Result<void> {
      sent = notify->call(
          tx,
          {{101}, "København", {"Bo Example", "Cy Example"}, "mass mail from two mailboxes", "o-1", tx.now() + valid});
      if (!sent) return std::unexpected(sent.error());
      return {};
    });
    return sent;
  }
  std::string code_in(const std::string& text) {
    std::smatch found;
    EXPECT_TRUE(std::regex_search(text, found, std::regex("[A-Z2-7]{4}-[A-Z2-7]{4}"))) << text;
    return found.str();
  }
  std::optional<Instant> confirmed(std::int64_t way) {
    const auto person = people.find(owner, anna).value();
    for (const auto& w : person.ways)
      if (w.id == way) return w.confirmed;
    return std::nullopt;
  }

  Sim sim;
  Catalogue texts = Catalogue::embedded();
  Scope owner = Scope::local_owner();
  QueueId hub = sim.queue({.name = "hub"});
  std::unique_ptr<store::State> state = store::State::open(sim, {.path = ":memory:", .schema = {"core"}}).value();
  tenants::People people{sim, *state};
  std::unique_ptr<net::Client> client = net::sim_client(sim, {.address = "192.0.2.9"});
  Catcher catcher{sim};
  std::unique_ptr<Notify> notify;
  net::Router router;
  std::unique_ptr<net::SimServer> server;
  std::vector<net::Request> calls;
  std::vector<std::string> events;
  int status = 202;
  PersonId anna;
  std::int64_t mail_way = 0, hook_way = 0;
};

// The example of the Standard Webhooks specification's reference libraries.
TEST(Webhook, TheSignatureIsThatOfTheStandard) {
  const auto headers = net::webhook_headers(kSecret, "msg_p5jXN8AQM9LWM0D4loKWxJek", from_micros(1614265330'000000),
                                            R"({"test": 2432232314})");
  ASSERT_TRUE(headers);
  EXPECT_EQ(*headers->find("webhook-id"), "msg_p5jXN8AQM9LWM0D4loKWxJek");
  EXPECT_EQ(*headers->find("webhook-timestamp"), "1614265330");
  EXPECT_EQ(*headers->find("webhook-signature"), "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
  EXPECT_FALSE(net::webhook_headers("secret", "a", {}, ""));
}

TEST(Notify, ATestReachesThePersonByMailAndWebhookInTheirLanguage) {
  World w;
  EXPECT_EQ(w.test().value(), 2U) << "a phone is for people to dial";
  w.sim.advance(1min);
  ASSERT_EQ(w.catcher.mails.size(), 1U);
  EXPECT_EQ(w.catcher.mails[0].to, "anna@private.example.org");
  EXPECT_EQ(w.catcher.mails[0].subject, "Prøve: kan vi få fat i dig?");
  EXPECT_NE(w.catcher.mails[0].text.find("Du er vagtkontakt for København"), std::string::npos);
  ASSERT_EQ(w.calls.size(), 1U);
  const auto body = net::JsonDocument::parse(w.calls[0].body).value();
  EXPECT_EQ(body.root()["type"].text(), "bavn.test");
  const auto again = net::webhook_headers(
      kSecret, *w.calls[0].headers.find("webhook-id"),
      from_micros(std::stoll(*w.calls[0].headers.find("webhook-timestamp")) * 1'000'000), w.calls[0].body);
  EXPECT_EQ(*again->find("webhook-signature"), *w.calls[0].headers.find("webhook-signature"));
  const auto proofs = w.notify->proofs_about("mandate_test:1").value();
  ASSERT_EQ(proofs.size(), 2U);
  for (const auto& p : proofs) {
    EXPECT_EQ(p.state, "delivered");
    ASSERT_EQ(p.attempts.size(), 1U);
    EXPECT_TRUE(p.attempts[0].good);
  }
  EXPECT_EQ(proofs[0].attempts[0].answer, "250 2.0.0 Ok: queued as 1");
  EXPECT_EQ(proofs[1].attempts[0].answer, "202");
}

TEST(Notify, TheAnswerToATestConfirmsThatWayOnce) {
  World w;
  ASSERT_TRUE(w.test());
  w.sim.advance(1min);
  const auto mailed = w.code_in(w.catcher.mails[0].text);
  EXPECT_FALSE(w.confirmed(w.mail_way));
  std::string typed = " " + to_lower(mailed) + "\n";
  ASSERT_TRUE(w.notify->confirm(typed));
  EXPECT_EQ(w.confirmed(w.mail_way), w.sim.now());
  EXPECT_FALSE(w.confirmed(w.hook_way));
  EXPECT_EQ(w.notify->confirm(mailed).error().code, Code::forbidden) << "a code counts once";
  w.sim.advance(1s);
  EXPECT_EQ(w.events.back(), "way.confirmed way:1 {\"about\":\"mandate_test:1\"}");
}

TEST(Notify, NoCodeIsKeptInTheClear) {
  World w;
  ASSERT_TRUE(w.test());
  w.sim.advance(1min);
  const auto code = w.code_in(w.catcher.mails[0].text);
  for (const char* sql : {"SELECT count(*) FROM notify_message WHERE instr(body, :code) > 0",
                          "SELECT count(*) FROM audit WHERE instr(detail, :code) > 0",
                          "SELECT count(*) FROM notify_code WHERE instr(digest, :code) > 0"})
    EXPECT_EQ(w.state->read([&](store::Reader& db) { return db.number(sql, {{"code", code}}); }).value(), 0) << sql;
}

TEST(Notify, OldAndGuessedCodesAreRefused) {
  World w;
  ASSERT_TRUE(w.test());
  w.sim.advance(1min);
  const auto code = w.code_in(w.catcher.mails[0].text);
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(w.notify->confirm("AAAA-AAA" + std::string(1, static_cast<char>('B' + i))));
  EXPECT_NE(w.notify->confirm(code).error().what.find("too many"), std::string::npos);
  w.sim.advance(16min);
  EXPECT_TRUE(w.notify->confirm(code));
  ASSERT_TRUE(w.test());
  w.sim.advance(73h);
  EXPECT_FALSE(w.notify->confirm(w.code_in(w.catcher.mails[1].text)));
}

TEST(Notify, AMessageIsTriedUntilItIsDelivered) {
  World w;
  log::Capture quiet;
  w.catcher.refuse = 5;
  w.status = 500;
  ASSERT_TRUE(w.call());
  w.sim.advance(10min);
  ASSERT_EQ(w.catcher.mails.size(), 1U);
  EXPECT_GT(w.calls.size(), 3U);
  w.status = 204;
  w.sim.advance(1h);
  const auto proofs = w.notify->proofs_about("order:o-1").value();
  ASSERT_EQ(proofs.size(), 2U);
  EXPECT_EQ(proofs[0].attempts.size(), 6U);
  EXPECT_EQ(proofs[0].attempts[0].answer, "451 try again later");
  EXPECT_EQ(proofs[1].state, "delivered");
  EXPECT_EQ(proofs[1].attempts.back().answer, "204");
  std::set<std::string> ids;
  for (const auto& c : w.calls) ids.insert(*c.headers.find("webhook-id"));
  EXPECT_EQ(ids.size(), 1U) << "the receiver can tell that it is one message";
}

TEST(Notify, WhatComesTooLateIsGivenUpAndSaid) {
  World w;
  log::Capture quiet;
  w.catcher.refuse = 1'000'000;
  ASSERT_TRUE(w.call(30min));
  w.sim.advance(3h);
  const auto proofs = w.notify->proofs_about("order:o-1").value();
  EXPECT_EQ(proofs[0].state, "given_up");
  EXPECT_EQ(proofs[1].state, "delivered");
  EXPECT_TRUE(
      std::any_of(w.events.begin(), w.events.end(), [](const auto& e) { return e.starts_with("message.given_up"); }));
  const int tries = w.catcher.tries;
  w.sim.advance(48h);
  EXPECT_EQ(w.catcher.tries, tries);
}

TEST(Notify, ACallNamesWhoAsksAndWhyAndGoesToEveryDutyContact) {
  World w;
  const auto bob = w.people.add(w.owner, {{101}, "Bob Example", "", "en"}).value();
  ASSERT_TRUE(w.people.give_role(w.owner, bob, Role::duty_contact));
  ASSERT_TRUE(w.people.add_way(w.owner, bob, {WayKind::mail, "bob@private.example.org", true}));
  EXPECT_EQ(w.call().value(), 3U);
  w.sim.advance(1min);
  ASSERT_EQ(w.catcher.mails.size(), 2U);
  EXPECT_EQ(w.catcher.mails[0].subject, "RING NU: København");
  EXPECT_NE(w.catcher.mails[0].text.find("Bo Example og Cy Example beder dig ringe"), std::string::npos);
  EXPECT_NE(w.catcher.mails[1].text.find("Bo Example and Cy Example ask you to call"), std::string::npos);
  EXPECT_NE(w.catcher.mails[1].text.find("mass mail from two mailboxes"), std::string::npos);
}

TEST(Notify, WithoutAnyWayThereIsNoCall) {
  World w;
  ASSERT_TRUE(w.people.leave(w.owner, w.anna));
  EXPECT_EQ(w.call().error().code, Code::not_found);
}

TEST(Notify, AWayThatWasRemovedIsNotUsedAnyMore) {
  World w;
  log::Capture quiet;
  w.catcher.refuse = 1;
  ASSERT_TRUE(w.call());
  w.sim.advance(300ms);
  ASSERT_TRUE(w.people.remove_way(w.owner, w.anna, w.mail_way));
  w.sim.advance(1h);
  EXPECT_TRUE(w.catcher.mails.empty());
  EXPECT_EQ(w.notify->proofs_about("order:o-1")->at(0).state, "given_up");
}

News news(bool urgent, bool taken, Instant until) {
  News n{.municipality = {101},
         .kind = "warning",
         .about = "warning:w-1",
         .words = {},
         .urgent = urgent,
         .taken = taken,
         .until = until};
  n.words.push_back({Language::en, "Fraudulent mail", "bio[.]link/orbes", "short: bio", "Call the duty desk", "Call."});
  n.words.push_back({Language::da, "Falske mails", "bio[.]link/orbes", "kort: bio", "Ring til vagten", "Ring."});
  return n;
}

struct SmsWorld : World {
  SmsWorld() {
    router.post("/sms", net::Needs::anyone, [this](const net::Request& r) {
      texted.push_back(r);
      return net::text(sms_answer, "application/json", 200);
    });
    sms_server = net::SimServer::start(sim, router, "sms.example.org:443", hub).value();
    gateway = SmsGateway::open(*client,
                               {.url = "https://sms.example.org/sms?id={id}",
                                .body = R"({{"to":"{to}","from":"{from}","text":"{text}"}})",
                                .header = "Authorization: Bearer {secret}",
                                .from = "Bavn",
                                .answer = "accepted"},
                               Secret<std::string>("s3cret"))
                  .value();
  }
  std::vector<net::Request> texted;
  std::string sms_answer = R"({"status":"accepted"})";
  std::unique_ptr<net::SimServer> sms_server;
  std::unique_ptr<SmsGateway> gateway;
};

TEST(News, GoesToEveryWayInThePersonsLanguageAndIsToldWhenItArrived) {
  World w;
  std::size_t sent = 0;
  ASSERT_TRUE(w.state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(sent, w.notify->tell(tx, news(false, false, tx.now() + 1h)));
    return {};
  }));
  EXPECT_EQ(sent, 2U);
  w.sim.advance(1min);
  ASSERT_EQ(w.catcher.mails.size(), 1U);
  EXPECT_EQ(w.catcher.mails[0].subject, "Falske mails");
  EXPECT_NE(
      std::find(w.events.begin(), w.events.end(),
                "message.delivered message:1 {\"about\":\"warning:w-1\",\"way\":" + std::to_string(w.mail_way) + "}"),
      w.events.end());
}

TEST(News, OwnMailOfATakenMunicipalityOnlySaysToCall) {
  World w;
  ASSERT_TRUE(w.people.add_way(w.owner, w.anna, {WayKind::mail, "anna@municipality.example.org", false, 4}));
  ASSERT_TRUE(w.state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(w.notify->tell(tx, news(true, true, tx.now() + 1h)));
    return {};
  }));
  w.sim.advance(1min);
  ASSERT_EQ(w.catcher.mails.size(), 2U);
  for (const auto& m : w.catcher.mails) {
    const bool inside = m.to == "anna@municipality.example.org";
    EXPECT_EQ(m.text.find("bio") == std::string::npos, inside) << m.to;
    EXPECT_EQ(m.subject, inside ? "Ring til vagten" : "Falske mails");
  }
}

TEST(Sms, GoesThroughTheGatewayWhenItIsUrgent) {
  SmsWorld w;
  const auto state = store::State::open(w.sim, {.path = ":memory:", .schema = {"core"}}).value();
  const auto notify = Notify::open(w.sim, *state, *w.client, nullptr, w.texts, {.sms = w.gateway.get()}).value();
  state->start();
  tenants::People people(w.sim, *state);
  const auto bob = people.add(w.owner, {{101}, "Bob Example", "", "da"}).value();
  ASSERT_TRUE(people.give_role(w.owner, bob, Role::municipal_it));
  ASSERT_TRUE(people.add_way(w.owner, bob, {WayKind::sms, "+45 12 34 56 78", true}));
  EXPECT_FALSE(people.add_way(w.owner, bob, {WayKind::sms, "12345678", true}));
  const auto tell = [&](bool urgent) {
    std::size_t sent = 0;
    EXPECT_TRUE(state->write_now([&](store::Tx& tx) -> Result<void> {
      auto n = news(urgent, true, tx.now() + 1h);
      n.words[1].sms = "kort \"citat\" {to} \\ linje\n2 æøå";
      BAVN_TRY(sent, notify->tell(tx, n));
      return {};
    }));
    w.sim.advance(1min);
    return sent;
  };
  EXPECT_EQ(tell(false), 0U) << "nobody's phone rings for what can wait";
  EXPECT_EQ(tell(true), 1U);
  ASSERT_EQ(w.texted.size(), 1U);
  EXPECT_EQ(*w.texted[0].headers.find("Authorization"), "Bearer s3cret");
  const auto body = net::JsonDocument::parse(w.texted[0].body).value();
  EXPECT_EQ(body.root()["to"].text_or(""), "4512345678");
  EXPECT_EQ(body.root()["text"].text_or(""), "kort \"citat\" {to} \\ linje\n2 æøå")
      << "what is put in is not a template";
  EXPECT_EQ(notify->proofs_about("warning:w-1")->at(0).state, "delivered");
  log::Capture quiet;
  w.sms_answer = R"({"error":"no credit"})";
  EXPECT_EQ(tell(true), 1U);
  EXPECT_GT(w.texted.size(), 2U) << "a 200 that does not say accepted is none: tried again";
  EXPECT_EQ(notify->proofs_about("warning:w-1")->at(1).state, "waiting");
  state->stop();
}

TEST(Sms, AGatewayThatCannotWorkIsRefusedWithTheReason) {
  World w;
  const auto refused = [&](SmsOptions o) {
    return !SmsGateway::open(*w.client, std::move(o), Secret<std::string>("x"));
  };
  EXPECT_TRUE(refused({.url = "https://g.example/?to={to}"})) << "no text";
  EXPECT_TRUE(refused({.url = "https://g.example/?to={to}&t={text}&k={secret}"}));
  EXPECT_TRUE(refused({.url = "https://g.example/?to={to}&t={txt}"}));
  EXPECT_TRUE(refused({.url = "https://g.example/?to={to}&t={text"}));
  EXPECT_TRUE(refused({.url = "ftp://g.example/?to={to}&t={text}"}));
  EXPECT_TRUE(refused({.url = "https://g.example/?to={to}&t={text}", .header = "Bearer"}));
  EXPECT_FALSE(refused({.url = "https://g.example/?to={to}&t={text}"}));
  const auto defaults = Settings::defaults(sms_settings());
  EXPECT_EQ(sms_of(w.sim.files(), *w.client, defaults).value(), nullptr);
}

TEST(Confirm, OpeningTheLinkConfirmsNothingPressingTheButtonDoes) {
  World w(1, {.confirm_url = "https://node.example.org/confirm/"});
  ASSERT_TRUE(w.test());
  w.sim.advance(1min);
  const auto text = w.catcher.mails[0].text;
  const auto code = w.code_in(text);
  EXPECT_NE(text.find("https://node.example.org/confirm/" + code), std::string::npos);
  net::Router pages;
  add_confirm_routes(pages, *w.notify, w.texts);
  const auto ask = [&](net::Method method, const std::string& path, const std::string& language) {
    auto request = net::request_for(method, path).value();
    request.headers.set("Accept-Language", language);
    std::optional<net::Reply> got;
    pages.handle(std::move(request), [&](net::Reply r) { got = std::move(r); });
    return *got;
  };
  const auto question = ask(net::Method::get, "/confirm/" + code, "nb-NO,en;q=0.5");
  EXPECT_EQ(question.status, 200);
  EXPECT_NE(question.body.find("Ja, jeg har sett den"), std::string::npos);
  EXPECT_EQ(question.body.find("<script"), std::string::npos);
  EXPECT_FALSE(w.confirmed(w.mail_way));
  EXPECT_EQ(ask(net::Method::post, "/confirm/XXXX-XXXX", "da").status, 403);
  const auto done = ask(net::Method::post, "/confirm/" + code, "da");
  EXPECT_EQ(done.status, 200);
  EXPECT_NE(done.body.find("Tak."), std::string::npos);
  EXPECT_TRUE(w.confirmed(w.mail_way));
  EXPECT_NE(ask(net::Method::post, "/confirm/" + code, "de").body.find("wrong, used or expired"), std::string::npos);
}

TEST(Letters, TheAddressIsKeptAsLongAsTheLetterIsTriedAndNoLonger) {
  log::Capture said;
  World w;
  w.catcher.refuse = 1;
  const auto post = [&](const char* about) {
    return w.state->write_now([&](store::Tx& tx) {
      return w.notify->post(tx, {.to = "zqmarker@example.org",
                                 .kind = "bulletin",
                                 .about = about,
                                 .subject = "Falske sider",
                                 .body = "Tekst",
                                 .headers = "List-Id: <bulletins.hub.example>",
                                 .until = tx.now() + 3h});
    });
  };
  const auto kept = [&] {
    return *w.state->read([](store::Reader& r) {
      return r.number("SELECT count(*) FROM notify_message WHERE address || headers || subject || body <> ''");
    });
  };
  ASSERT_TRUE(post("subscriber:1"));
  EXPECT_EQ(kept(), 1);
  w.sim.advance(10min);
  ASSERT_EQ(w.catcher.mails.size(), 1U) << "tried again";
  EXPECT_EQ(w.catcher.mails[0].to, "zqmarker@example.org");
  EXPECT_EQ(w.catcher.mails[0].headers, "List-Id: <bulletins.hub.example>");
  EXPECT_EQ(kept(), 0);
  EXPECT_EQ(w.notify->proofs_about("subscriber:1")->at(0).state, "delivered");
  w.catcher.refuse = 1000;
  ASSERT_TRUE(post("subscriber:2"));
  w.sim.advance(1min);
  EXPECT_EQ(kept(), 1);
  ASSERT_TRUE(w.state->write_now([](store::Tx& tx) { return Notify::recall(tx, "subscriber:2"); }));
  EXPECT_EQ(kept(), 0) << "recalled";
  const int tries = w.catcher.tries;
  w.sim.advance(2h);
  EXPECT_EQ(w.catcher.tries, tries);
  ASSERT_TRUE(post("subscriber:3"));
  w.sim.advance(6h);
  EXPECT_EQ(kept(), 0) << "too late";
  EXPECT_EQ(w.notify->proofs_about("subscriber:3")->at(0).state, "given_up");
  for (const auto& e : w.events) EXPECT_EQ(e.find("message."), std::string::npos) << e;
  EXPECT_EQ(said.lines().find("zqmarker"), std::string::npos);
}

TEST(Letters, HeadersOfALetterEndWhereTheirLineEnds) {
  const Mail mail{"a@example.org", "s", "t", "msg_1", "List-Id: <x>\r\nno header\nX-Other: \x01\xff\tb"};
  const std::string text = message_text(mail, "bavn@cert.example", {});
  EXPECT_NE(text.find("\r\nList-Id: <x>\r\nX-Other: b\r\nMIME-Version"), std::string::npos) << text;
}

}  // namespace
}  // namespace bavn::notify
