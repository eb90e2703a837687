// Partners over a hub as it is, in virtual time: from what a person writes to what nodes get and partners take.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "app/hub_exchange.hpp"
#include "app/testing.hpp"

namespace bavn::app {
namespace {

using namespace std::chrono_literals;
using net::Method;

class PeerRoutes : public testing::HubRoutes {
 protected:
  void change(HubOptions& options) override { options.peer_client = client.get(); }
  void SetUp() override {
    HubRoutes::SetUp();
    ASSERT_TRUE(hub->domains().set(event::Scope::local_owner(), MunicipalityId{157}, {"gentofte.example"}, true));
    sim.advance(1s);
  }
  std::string add(
      const std::string& body =
          R"({"name":"NorCERT","kind":"client","direction":"both","ceiling":"amber","takes":{"strongest":"block"}})") {
    const auto reply = ask(Method::post, "/api/peers", body);
    EXPECT_EQ(reply.status, 201) << reply.body;
    const auto made = net::JsonDocument::parse(reply.body);
    return made ? std::string(made->root()["id"].text_or("")) : std::string();
  }
};

TEST_F(PeerRoutes, WhatAPersonWritesIsShownWithoutItsSecret) {
  const auto id = add(
      R"({"name":"Feed","kind":"client","sign_in":"key","secret":"not to be seen","options":{"a":"b"},"sectors":["health"]})");
  const auto reply = ask(Method::get, "/api/peers/" + id);
  ASSERT_EQ(reply.status, 200);
  EXPECT_EQ(reply.body.find("not to be seen"), std::string::npos);
  const auto v = net::JsonDocument::parse(reply.body).value();
  EXPECT_TRUE(v.root()["has_secret"].boolean().value_or(false));
  EXPECT_EQ(v.root()["options"]["a"].text_or(""), "b");
  EXPECT_EQ(v.root()["state"].text_or(""), "new");
  ASSERT_NE(reply.headers.find("ETag"), nullptr);
  const std::string body = R"({"name":"Feed","kind":"client","ceiling":"amber","options":{"a":"b"}})";
  EXPECT_EQ(ask(Method::put, "/api/peers/" + id, body).status, 428);
  EXPECT_EQ(ask(Method::put, "/api/peers/" + id, body, "\"older\"").status, 412);
  const auto changed = ask(Method::put, "/api/peers/" + id, body, *reply.headers.find("ETag"));
  EXPECT_EQ(changed.status, 200) << changed.body;
  EXPECT_EQ(ask(Method::put, "/api/peers/" + id, body, *reply.headers.find("ETag")).status, 412);
  EXPECT_EQ(get("/api/peers/" + id).root()["ceiling"].text_or(""), "amber");
  EXPECT_EQ(ask(Method::get, "/api/peers/999").status, 404);
  EXPECT_EQ(ask(Method::post, "/api/peers", R"({"name":"x","kind":"irc"})").status, 400);
  EXPECT_EQ(
      ask(Method::post, "/api/peers", R"({"name":"x","kind":"defender","direction":"out","url":"https://10.0.0.1/"})")
          .status,
      403)
      << "an address inside";
}

TEST_F(PeerRoutes, AFileInAPartnersNameIsInTheBookAndWhatIsNotTakenIsListed) {
  const auto id = add();
  const std::string csv =
      "kind,value,tlp,action\ndomain,evil.example,green,block\ndomain,gentofte.example,green,block\ndomain,secret."
      "example,red,warn\n"
      "domain,no domain,green,warn\n";
  const auto reply = ask(Method::post, "/api/imports?peer=norcert&name=wave.csv", csv);
  ASSERT_EQ(reply.status, 200) << reply.body;
  const auto v = net::JsonDocument::parse(reply.body).value();
  EXPECT_EQ(v.root()["published"].integer(), 2);
  EXPECT_EQ(v.root()["demoted"].integer(), 1);
  EXPECT_EQ(v.root()["dropped"].integer(), 2);
  const auto book = get("/api/indicators?limit=10");
  ASSERT_EQ(book.root()["items"].size(), 2U);
  for (const net::JsonValue i : book.root()["items"]) {
    EXPECT_TRUE(i["source"].text_or("").starts_with("NorCERT")) << i.to_text();
    EXPECT_EQ(i["action"].text_or(""), i["value"].text_or("") == "evil.example" ? "block" : "watch") << i.to_text();
    EXPECT_TRUE(i["valid_until"].text()) << "everything of a partner ends";
  }
  const auto dropped = get("/api/peers/" + id + "/dropped");
  EXPECT_EQ(dropped.root()["items"].size(), 3U);
  EXPECT_EQ(dropped.root()["reasons"].size(), 3U);
  EXPECT_EQ(get("/api/peers/" + id).root()["counts"]["dropped"].integer(), 2);

  // Out again, for whom it may be.
  const auto file = ask(Method::get, "/api/exports/csv?tlp=green");
  ASSERT_EQ(file.status, 200) << file.body;
  EXPECT_NE(file.body.find("domain,evil.example,NorCERT"), std::string::npos) << file.body;
  EXPECT_EQ(ask(Method::get, "/api/exports/csv?tlp=clear").body.find("evil.example"), std::string::npos);
  EXPECT_EQ(ask(Method::get, "/api/exports/pdf").status, 404);
  const auto events = ask(Method::get, "/api/exports/misp?tlp=green");
  ASSERT_EQ(events.status, 200) << events.body;
  EXPECT_NE(events.body.find("\"value\":\"evil.example\""), std::string::npos) << events.body;
  EXPECT_EQ(ask(Method::get, "/api/exports/misp?tlp=clear").body, "{\"response\":[]}\n");

  // What is of a sector goes only to it.
  EXPECT_EQ(ask(Method::put, "/api/peer-sectors", R"({"source":"NorCERT","sectors":["health"]})").status, 204);
  EXPECT_EQ(ask(Method::get, "/api/exports/csv?tlp=green").body.find("evil.example"), std::string::npos);
  EXPECT_EQ(ask(Method::get, "/api/exports/misp?tlp=green").body.find("evil.example"), std::string::npos);
  const auto for_health = ask(Method::get, "/api/exports/misp?tlp=green&sector=health").body;
  EXPECT_NE(for_health.find("evil.example"), std::string::npos) << for_health;
  EXPECT_NE(for_health.find("misp-galaxy:sector=\\\"health\\\""), std::string::npos)
      << "whoever reads it learns for whom it is";
  EXPECT_NE(ask(Method::get, "/api/exports/csv?tlp=green&sector=energy,health").body.find("evil.example"),
            std::string::npos);

  // And gone with its partner.
  EXPECT_EQ(ask(Method::del, "/api/peers/" + id + "?indicators=true").status, 204);
  EXPECT_EQ(get("/api/indicators?limit=10").root()["items"].size(), 0U);
  const auto gone = hub->exchange().peers->library().gone(0, 10);
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->size(), 2U);
}

TEST_F(PeerRoutes, ADryRunSaysWhatWouldBecomeOfAFileAndDoesNothing) {
  const auto id = add();
  const std::string csv = "kind,value,tlp,action\ndomain,evil.example,green,block\ndomain,secret.example,red,warn\n";
  const auto dry = json(ask(Method::post, "/api/imports?peer=" + id + "&name=wave.csv&dry_run=true", csv));
  EXPECT_EQ(dry.root()["published"].integer(), 1);
  EXPECT_EQ(dry.root()["dropped"].integer(), 1);
  ASSERT_EQ(dry.root()["list"].size(), 1U);
  EXPECT_NE(dry.root()["list"].at(0)["reason"].text_or(""), "");
  EXPECT_EQ(get("/api/indicators").root()["items"].size(), 0U);
  EXPECT_EQ(get("/api/peers/" + id + "/dropped").root()["items"].size(), 0U);
  EXPECT_EQ(get("/api/peers/" + id).root()["counts"]["dropped"].integer(), 0);
  const auto taken = json(ask(Method::post, "/api/imports?peer=" + id + "&name=wave.csv", csv));
  EXPECT_EQ(taken.root()["list"].to_text(), dry.root()["list"].to_text()) << "as it was said";
  EXPECT_EQ(get("/api/indicators").root()["items"].size(), 1U);
}

TEST_F(PeerRoutes, AFileThatCannotBeReadOrIsTooLargeIsRefusedWithItsReason) {
  const auto id = add();
  const std::pair<const char*, const char*> broken[] = {
      {"bundle.json", R"({"type":"bundle","id":"bundle--x","objects":[{"type":"indicator")"},
      {"event.json", R"({"Event":{"info":"x","Attribute":[{)"},
      {"no.json", "{}"}};
  for (const auto& [name, body] : broken) {
    const auto reply = ask(Method::post, fmt::format("/api/imports?peer={}&name={}&dry_run=true", id, name), body);
    EXPECT_EQ(reply.status, 400) << name << ": " << reply.body;
  }
  EXPECT_EQ(ask(Method::post, "/api/imports?peer=" + id + "&dry_run=perhaps", "evil.example\n").status, 400);
  EXPECT_EQ(ask(Method::post, "/api/imports?peer=" + id + "&tlp=pink", "evil.example\n").status, 400);
  EXPECT_EQ(ask(Method::post, "/api/imports", "evil.example\n").status, 400) << "whose?";
  EXPECT_EQ(ask(Method::post, "/api/imports?peer=77", "evil.example\n").status, 404);
  const auto& all = web.routes();
  const auto route = std::ranges::find(all, "/api/imports", &net::Route::pattern);
  ASSERT_NE(route, all.end());
  EXPECT_EQ(route->options.max_body, exchange::kMostImported) << "what the server holds a body to";
  EXPECT_EQ(get("/api/indicators").root()["items"].size(), 0U);
}

TEST_F(PeerRoutes, AnExportForAPartnerIsWhatItsAgreementAllows) {
  const auto id = add(
      R"({"name":"Sund","kind":"client","direction":"both","ceiling":"green","sectors":["health"],"kinds":["domain"]})");
  ASSERT_EQ(ask(Method::post, "/api/imports?peer=Sund&name=a", "kind,value,tlp\ndomain,theirs.example,green\n").status,
            200);
  const auto own = [&](std::string_view source, std::string_view tlp, std::string_view kind, std::string_view value) {
    EXPECT_EQ(ask(Method::post, "/api/indicators",
                  fmt::format(R"({{"source":"{}","tlp":"{}","items":[{{"kind":"{}","value":"{}"}}]}})", source, tlp,
                              kind, value))
                  .status,
              200);
  };
  own("own", "green", "domain", "ours.example");
  own("own amber", "amber", "domain", "narrow.example");
  own("own url", "green", "url", "https://ours.example/a");
  own("energy", "green", "domain", "energy.example");
  own("hospitals", "green", "domain", "health.example");
  EXPECT_EQ(ask(Method::put, "/api/peer-sectors", R"({"source":"energy","sectors":["energy"]})").status, 204);
  EXPECT_EQ(ask(Method::put, "/api/peer-sectors", R"({"source":"hospitals","sectors":["health"]})").status, 204);
  for (const char* format : {"csv", "stix", "misp"}) {
    const auto file = ask(Method::get, fmt::format("/api/exports/{}?peer={}", format, id));
    ASSERT_EQ(file.status, 200) << file.body;
    for (const char* in : {"ours.example", "health.example"}) EXPECT_TRUE(file.body.contains(in)) << format << in;
    for (const char* out : {"theirs.example", "narrow.example", "https://ours.example/a", "energy.example"})
      EXPECT_FALSE(file.body.contains(out)) << format << ": " << out;
  }
  EXPECT_FALSE(ask(Method::get, "/api/exports/csv?tlp=clear&peer=Sund").body.contains("ours.example"));
  EXPECT_FALSE(ask(Method::get, "/api/exports/csv?tlp=red&peer=Sund").body.contains("narrow.example"))
      << "the agreement holds whatever is asked";
  EXPECT_EQ(ask(Method::get, "/api/exports/csv?peer=Sund&sector=energy").status, 400);
  EXPECT_EQ(ask(Method::get, "/api/exports/csv?peer=77").status, 404);
  // A person's own ceiling holds, too, and partners are the joint CERT's.
  asking = event::Scope::everywhere("person:7", 0xFFFFFFFFU, event::Tlp::clear);
  EXPECT_FALSE(ask(Method::get, "/api/exports/csv?peer=Sund").body.contains("ours.example"));
  asking = event::Scope("person:9", {MunicipalityId{157}},
                        static_cast<std::uint32_t>(event::Right::indicator_read) |
                            static_cast<std::uint32_t>(event::Right::tenants_read) |
                            static_cast<std::uint32_t>(event::Right::publish),
                        event::Tlp::red);
  EXPECT_EQ(ask(Method::get, "/api/exports/csv?peer=Sund").status, 403);
  EXPECT_EQ(ask(Method::post, "/api/imports?peer=Sund&dry_run=true", "evil.example\n").status, 403);
}

TEST_F(PeerRoutes, APartnersOwnIndicatorsAreNotGivenBackToIt) {
  add();
  ASSERT_EQ(
      ask(Method::post, "/api/imports?peer=NorCERT&name=a", "kind,value,source\ndomain,evil.example,ESET\n").status,
      200);
  ASSERT_EQ(ask(Method::post, "/api/indicators",
                R"({"source":"own","tlp":"green","items":[{"kind":"domain","value":"ours.example"}]})")
                .status,
            200);
  exchange::LibraryAsk ask;
  ask.ceiling = event::Tlp::red;
  exchange::Partner p;
  p.name = "NorCERT";
  p.ceiling = event::Tlp::amber;
  const auto theirs = hub->exchange().peers->for_partner(p, ask);
  ASSERT_TRUE(theirs) << to_string(theirs.error());
  ASSERT_EQ(theirs->size(), 1U);
  EXPECT_EQ(theirs->front().indicator.value, "ours.example");
  p.name = "Another";
  EXPECT_EQ(hub->exchange().peers->for_partner(p, ask)->size(), 2U);
  ask.value = "evil.example";
  EXPECT_EQ(hub->exchange().peers->for_partner(p, ask)->front().indicator.source, "NorCERT: ESET");
  ask.value.clear();
  ask.source = "own";
  EXPECT_EQ(hub->exchange().peers->for_partner(p, ask)->size(), 1U);
}

TEST_F(PeerRoutes, WhatAPartnerKeepsClosedIsInOurBookAndGoesToNoOtherPartner) {
  const auto id = std::stoll(add());
  const auto sund = add(R"({"name":"Sund","kind":"client","direction":"both","ceiling":"red","sectors":["health"]})");
  ASSERT_EQ(ask(Method::put, "/api/peer-sectors", R"({"source":"NorCERT","sectors":["health"]})").status, 204);
  const auto given = [](std::string value, bool closed) {
    exchange::Delivered d;
    d.indicator.kind = event::Kind::domain;
    d.indicator.value = std::move(value);
    d.indicator.tlp = event::Tlp::green;
    d.indicator.source = closed ? exchange::closed_source("ESET") : "ESET";
    d.closed = closed;
    return d;
  };
  const auto& library = hub->exchange().peers->library();
  ASSERT_TRUE(library.publish(id, {given("open.example", false), given("closed.example", true)}, "event"));
  EXPECT_TRUE(ask(Method::get, "/api/indicators?value=closed.example").body.contains("NorCERT: ESET (closed)"));
  const auto closed_sent = [&] {
    std::string all;
    for (const char* format : {"csv", "stix", "misp"}) {
      const auto file = ask(Method::get, fmt::format("/api/exports/{}?peer={}", format, sund));
      EXPECT_TRUE(file.body.contains("open.example")) << format << file.body;
      all += file.body;
    }
    return all.contains("closed.example");
  };
  EXPECT_FALSE(closed_sent());
  // A person who marks that source does not open it.
  EXPECT_EQ(ask(Method::put, "/api/peer-sectors", R"j({"source":"NorCERT: ESET (closed)","sectors":["health"]
})j")
                .status,
            204);
  EXPECT_FALSE(closed_sent());
  EXPECT_FALSE(ask(Method::get, "/api/peer-sectors").body.contains("!members"));
}

TEST_F(PeerRoutes, KeysAreShownOnceAndRevokedAtOnce) {
  const auto id = add();
  const auto made = ask(Method::post, "/api/peers/" + id + "/keys", R"({"label":"their MISP"})");
  ASSERT_EQ(made.status, 201) << made.body;
  const auto v = net::JsonDocument::parse(made.body).value();
  const std::string key(v.root()["key"].text_or("")), number(v.root()["id"].text_or(""));
  net::Request q;
  q.headers.set("Authorization", key);
  ASSERT_TRUE(hub->exchange().peers->keys().partner_of(q));
  EXPECT_EQ(ask(Method::get, "/api/peers/" + id + "/keys").body.find(key), std::string::npos);
  EXPECT_EQ(ask(Method::del, "/api/peers/" + id + "/keys/" + number).status, 204);
  EXPECT_FALSE(hub->exchange().peers->keys().partner_of(q));
  EXPECT_EQ(ask(Method::del, "/api/peers/" + id + "/keys/" + number).status, 404);
}

TEST_F(PeerRoutes, APartnersKeyOpensNothingOfOurs) {
  const auto id = add();
  const auto key = hub->exchange().peers->keys().issue(event::Scope::local_owner(), 1, "x", true, true);
  ASSERT_TRUE(key);
  net::Request q;
  q.headers.set("Authorization", key->key);
  asking = hub->exchange().peers->keys().authenticate(q).value();
  for (const char* path :
       {"/api/peers", "/api/indicators", "/api/exports/csv", "/api/overview", "/api/campaigns", "/api/audit"})
    EXPECT_EQ(ask(Method::get, path).status, 403) << path;
  EXPECT_EQ(ask(Method::post, "/api/imports?peer=" + id, "evil.example\n").status, 403);
}

TEST_F(PeerRoutes, APatternThatIsWithdrawnEndsAtTheNodes) {
  const auto id = add();
  ASSERT_EQ(ask(Method::post, "/api/imports?peer=NorCERT&name=p",
                "kind,value\npattern,\"[domain-name:value = 'x.example' AND url:value = 'y']\"\ndomain,evil.example\n")
                .status,
            200);
  ASSERT_EQ(get("/api/indicators").root()["items"].size(), 2U);
  EXPECT_EQ(ask(Method::del, "/api/peers/" + id + "?indicators=true").status, 204);
  EXPECT_EQ(get("/api/indicators").root()["items"].size(), 0U);
  const auto last = hub->state().read([](store::Reader& r) {
    return r.one<std::string>("SELECT payload FROM hub_indicator_delta ORDER BY id DESC LIMIT 1");
  });
  ASSERT_TRUE(last && *last);
  EXPECT_NE((*last)->find("\"valid_until\""), std::string::npos) << **last;
  EXPECT_NE((*last)->find("\"remove\":[{\"kind\":\"domain\""), std::string::npos) << **last;
}

}  // namespace
}  // namespace bavn::app
