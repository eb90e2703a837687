// Bulletins over a hub as it is: written, found in, confirmed by a person, at the nodes, withdrawn, in the feed.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "app/hub_exchange.hpp"
#include "app/testing.hpp"
#include "base/encoding.hpp"
#include "jail/small_pdf.hpp"
#include "jail/task.hpp"
#include "net/json_value.hpp"
#include "tenants/people.hpp"

namespace bavn::app {
namespace {

using namespace std::chrono_literals;
using net::Method;

class BulletinRoutes : public testing::HubRoutes {
 protected:
  void change(HubOptions& options) override {
    options.name = "Test <CERT>";
    options.parsers = &parsers;
  }
  std::string add(std::string_view tlp = "green") {
    const std::string english =
        R"x({"title":"Sign-in & pages","markdown":"Pages at `profil[.]example/orbes` and evil[.]example.\n\n)x"
        R"x(<script>x</script> [go](https://evil.example/a)"})x";
    const std::string danish = R"x({"title":"Falske sider","markdown":"Siden evil[.]example"})x";
    const std::string body = "{\"tlp\":\"" + std::string(tlp) +
                             "\",\"source\":\"Expert\",\"texts\":{\"en\":" + english + ",\"da\":" + danish + "}}";
    const auto v = json(ask(Method::post, "/api/bulletins", body), 201);
    return std::string(v.root()["id"].text_or(""));
  }
  std::string found(const std::string& id, std::string_view value) {
    for (const net::JsonValue f : get("/api/bulletins/" + id).root()["found"])
      if (f["value"].text_or("") == value) return std::string(f["id"].text_or(""));
    return {};
  }

  jail::Unjailed parsers;
};

TEST_F(BulletinRoutes, APersonConfirmsWhatIsPublishedAndItGoesWithTheBulletin) {
  const auto id = add();
  auto b = get("/api/bulletins/" + id);
  const auto r = b.root();
  EXPECT_EQ(r["state"].text_or(""), "draft");
  const std::string html(r["texts"]["en"]["html"].text_or(""));
  EXPECT_EQ(html.find("<script"), std::string::npos) << html;
  EXPECT_EQ(html.find("href"), std::string::npos) << "what it warns of is not clickable: " << html;
  const auto evil = found(id, "evil.example"), profil = found(id, "profil.example/orbes");
  ASSERT_FALSE(evil.empty() || profil.empty()) << r["found"].to_text();
  for (const net::JsonValue f : r["found"])
    for (const net::JsonValue p : f["places"]) {
      const std::string text(r["texts"][p["language"].text_or("")]["markdown"].text_or(""));
      const auto from = static_cast<std::size_t>(p["from"].integer().value_or(0)),
                 to = static_cast<std::size_t>(p["to"].integer().value_or(0));
      ASSERT_LE(to, text.size());
      EXPECT_EQ(event::canonical(f["kind"].text_or(""), event::refang(text.substr(from, to - from)))->value,
                f["value"].text_or(""));
    }
  EXPECT_EQ(json(ask(Method::post, "/api/bulletins/" + id + "/publish")).root()["published"].integer(), 0)
      << "nobody confirmed anything";
  EXPECT_EQ(get("/api/indicators").root()["items"].size(), 0U);
  json(ask(Method::post, "/api/bulletins/" + id + "/indicators",
           fmt::format(R"({{"confirm":["{}"],"refuse":["{}"],"action":"block","confidence":90}})", evil, profil)));
  EXPECT_EQ(ask(Method::post, "/api/bulletins/" + id + "/indicators", R"({"confirm":["99999"]})").status, 400);
  EXPECT_EQ(json(ask(Method::post, "/api/bulletins/" + id + "/publish")).root()["published"].integer(), 1);
  const auto book = get("/api/indicators");
  ASSERT_EQ(book.root()["items"].size(), 1U);
  const auto i = book.root()["items"].at(0);
  EXPECT_EQ(i["value"].text_or(""), "evil.example");
  EXPECT_EQ(i["source"].text_or(""), "bulletin:" + id);
  EXPECT_EQ(i["action"].text_or(""), "block");
  EXPECT_EQ(i["tlp"].text_or(""), "green");
  EXPECT_EQ(ask(Method::post, "/api/bulletins/" + id + "/withdraw", "{}").status, 400) << "why?";
  EXPECT_EQ(ask(Method::post, "/api/bulletins/" + id + "/withdraw", R"({"why":"not so"})").status, 204);
  EXPECT_EQ(get("/api/indicators").root()["items"].size(), 0U);
  EXPECT_EQ(ask(Method::post, "/api/bulletins/" + id + "/publish").status, 409);
}

TEST_F(BulletinRoutes, AnEditKeepsWhatWasDecidedAndTwoWhoWriteAreTold) {
  const auto id = add();
  const auto evil = found(id, "evil.example");
  json(ask(Method::post, "/api/bulletins/" + id + "/indicators", fmt::format(R"({{"confirm":["{}"]}})", evil)));
  json(ask(Method::post, "/api/bulletins/" + id + "/publish"));
  const auto before = ask(Method::get, "/api/bulletins/" + id);
  const std::string etag = *before.headers.find("ETag");
  const std::string body =
      R"({"tlp":"green","source":"Expert","texts":{"en":{"title":"New","markdown":"Only other[.]example"}}})";
  const auto after = json(ask(Method::put, "/api/bulletins/" + id, body, etag));
  EXPECT_EQ(after.root()["found"].size(), 1U);
  EXPECT_EQ(ask(Method::put, "/api/bulletins/" + id, body, etag).status, 412);
  json(ask(Method::post, "/api/bulletins/" + id + "/publish"));
  EXPECT_EQ(get("/api/indicators").root()["items"].size(), 0U) << "what is no longer in it is no longer published";
  const auto now = ask(Method::get, "/api/bulletins/" + id);
  const auto back = json(ask(Method::put, "/api/bulletins/" + id,
                             R"({"source":"Expert","texts":{"en":{"title":"New","markdown":"evil[.]example again"}}})",
                             *now.headers.find("ETag")));
  EXPECT_EQ(back.root()["found"].at(0)["state"].text_or(""), "confirmed");
}

TEST_F(BulletinRoutes, WhatIsTooNarrowStaysHereAndIsNamed) {
  const auto id = add("red");
  json(ask(Method::post, "/api/bulletins/" + id + "/indicators",
           fmt::format(R"({{"confirm":["{}"]}})", found(id, "evil.example"))));
  const auto done = json(ask(Method::post, "/api/bulletins/" + id + "/publish"));
  EXPECT_EQ(done.root()["published"].integer(), 0);
  ASSERT_EQ(done.root()["dropped"].size(), 1U);
  EXPECT_EQ(done.root()["dropped"].at(0)["object"].text_or(""), "evil.example");
  EXPECT_EQ(get("/api/indicators").root()["items"].size(), 0U);
}

TEST_F(BulletinRoutes, AMunicipalitySeesWhatIsPublishedUpToItsTlpAndWritesNothing) {
  const auto draft = add(), red = add("red"), green = add();
  for (const auto& id : {red, green}) json(ask(Method::post, "/api/bulletins/" + id + "/publish"));
  asking = event::Scope(
      "person:9", {MunicipalityId{157}},
      static_cast<std::uint32_t>(event::Right::tenants_read) | static_cast<std::uint32_t>(event::Right::publish),
      event::Tlp::amber);
  const auto seen = get("/api/bulletins");
  ASSERT_EQ(seen.root()["items"].size(), 1U);
  EXPECT_EQ(seen.root()["items"].at(0)["id"].text_or(""), green);
  for (const auto& id : {draft, red}) {
    EXPECT_EQ(ask(Method::get, "/api/bulletins/" + id).status, 404);
    EXPECT_EQ(ask(Method::post, "/api/bulletins/" + id + "/publish").status, 403);
  }
}

TEST_F(BulletinRoutes, TheFeedGivesEverybodyClearOnesAndAPartnerWhatItMayHave) {
  const auto clear = add("clear"), green = add("green"), draft = add("clear");
  for (const auto& id : {clear, green}) json(ask(Method::post, "/api/bulletins/" + id + "/publish"));
  asking = event::Scope("nobody", {}, 0, event::Tlp::clear);
  const auto feed = ask(Method::get, "/bulletins.atom?language=da");
  ASSERT_EQ(feed.status, 200);
  const auto entries = [](const std::string& text) {
    std::size_t n = 0;
    for (std::size_t at = text.find("<entry"); at != std::string::npos; at = text.find("<entry", at + 1)) ++n;
    return n;
  };
  EXPECT_EQ(entries(feed.body), 1U) << feed.body;
  EXPECT_NE(feed.body.find("Falske sider"), std::string::npos);
  EXPECT_NE(feed.body.find("Test &lt;CERT&gt;"), std::string::npos);
  EXPECT_NE(feed.body.find("term=\"TLP:clear\""), std::string::npos);
  const std::string key = [&] {
    const auto owner = event::Scope::local_owner();
    exchange::NewPeer p;
    p.name = "Reader";
    p.kind = "client";
    p.direction = "out";
    p.ceiling = event::Tlp::green;
    const auto id = hub->exchange().peers->add(owner, p);
    return id ? hub->exchange().peers->keys().issue(owner, *id, "feed", true, false)->key : std::string();
  }();
  EXPECT_EQ(entries(ask(Method::get, "/bulletins.atom", {}, {}, key).body), 2U);
  EXPECT_EQ(ask(Method::get, "/bulletins.atom", {}, {}, "bavnpeer00000000000000000000000000000000").status, 401);
  auto again = net::request_for(Method::get, "/bulletins.atom?language=da").value();
  again.headers.set("If-None-Match", *feed.headers.find("ETag"));
  std::optional<net::Reply> got;
  web.handle(std::move(again), [&](net::Reply r) { got = std::move(r); });
  ASSERT_TRUE(got);
  EXPECT_EQ(got->status, 304);
}

TEST_F(BulletinRoutes, AReportIsReadAsTheTextThatItIs) {
  const auto v = json(ask(Method::post, "/api/bulletins/reports?name=r.txt&source=Supplier&language=nb",
                          "Sett: hxxps://bad[.]example/x\r\nfra 192.0.2[.]9 <b>\xe6\xf8\xe5</b>"),
                      201);
  EXPECT_EQ(v.root()["kind"].text_or(""), "report");
  EXPECT_NE(v.root()["texts"]["nb"]["html"].text_or("").find("&lt;b&gt;æøå"), std::string_view::npos)
      << v.root().to_text();
  EXPECT_EQ(v.root()["found"].size(), 2U) << v.root()["found"].to_text();
  EXPECT_EQ(ask(Method::post, "/api/bulletins/reports?source=S&name=a.pdf", "%PDF-1.7 ...").status, 400);
  EXPECT_EQ(ask(Method::post, "/api/bulletins/reports?source=S&name=a.doc", std::string("a\0b", 3)).status, 400);
  EXPECT_EQ(ask(Method::post, "/api/bulletins/reports?source=S", "  \n ").status, 400);
  EXPECT_EQ(ask(Method::post, "/api/bulletins/reports?source=S", std::string(600'000, 'a')).status, 400);
  EXPECT_EQ(ask(Method::post, "/api/bulletins/reports", "text").status, 400) << "whose?";
}

TEST_F(BulletinRoutes, APdfIsReadPageByPageAndItsFindsAreConfirmedLikeOthers) {
  const auto v =
      json(ask(Method::post, "/api/bulletins/reports?name=week41.pdf&source=Supplier&language=en&tlp=green",
               jail::small_pdf({"Week 41", "Seen: hxxps://evil[.]example/x", "again https://evil.example/x"})),
           201);
  const auto r = v.root();
  EXPECT_EQ(r["texts"]["en"]["title"].text_or(""), "week41.pdf");
  EXPECT_EQ(r["file"].text_or(""), "week41.pdf");
  EXPECT_NE(r["texts"]["en"]["html"].text_or("").find("<h2>Page 2 of 3</h2>"), std::string_view::npos);
  ASSERT_EQ(r["found"].size(), 1U) << r["found"].to_text();
  const auto f = r["found"].at(0);
  ASSERT_EQ(f["places"].size(), 2U);
  EXPECT_EQ(f["places"].at(0)["section"].text_or(""), "Page 2 of 3");
  EXPECT_EQ(f["places"].at(1)["section"].text_or(""), "Page 3 of 3");
  const std::string text(r["texts"]["en"]["markdown"].text_or(""));
  EXPECT_EQ(text.substr(static_cast<std::size_t>(f["places"].at(0)["from"].integer().value_or(0)), 24),
            "hxxps://evil[.]example/x");
  const std::string id(r["id"].text_or(""));
  json(ask(Method::post, "/api/bulletins/" + id + "/indicators",
           fmt::format(R"({{"confirm":["{}"],"action":"block"}})", f["id"].text_or(""))));
  EXPECT_EQ(json(ask(Method::post, "/api/bulletins/" + id + "/publish")).root()["published"].integer(), 1);
  EXPECT_EQ(get("/api/indicators").root()["items"].at(0)["value"].text_or(""), "evil.example/x");
  // Written anew: the pages stay.
  const auto now = ask(Method::get, "/api/bulletins/" + id);
  std::string body = R"({"tlp":"green","source":"Supplier","texts":{"en":{"title":"T","markdown":)";
  net::JsonDocument again = json(now);
  body += again.root()["texts"]["en"]["markdown"].to_text() + "}}}";
  const auto changed = json(ask(Method::put, "/api/bulletins/" + id, body, *now.headers.find("ETag")));
  EXPECT_EQ(changed.root()["found"].at(0)["places"].at(1)["section"].text_or(""), "Page 3 of 3");
  EXPECT_EQ(changed.root()["found"].at(0)["state"].text_or(""), "confirmed");
}

TEST_F(BulletinRoutes, AMailIsReadWithItsSubjectAndWhatIsAttached) {
  const std::string mail =
      "Received: from soc.example by hub.example\r\nSubject: =?iso-8859-1?Q?Rapport_=E6?=\r\nFrom: "
      "soc@soc.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: "
      "text/html\r\n\r\n<a href=\"https://evil.example/a\">bank.example</a>\r\n--b\r\nContent-Type: application/pdf; "
      "name=liste.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
      to_base64(jail::small_pdf({"one", "192.0.2[.]66"})) + "\r\n--b--\r\n";
  const auto v = json(ask(Method::post, "/api/bulletins/reports?name=r.eml&source=Supplier&language=nb", mail), 201);
  const auto r = v.root();
  EXPECT_EQ(r["texts"]["nb"]["title"].text_or(""), "Rapport æ");
  std::string sections;
  for (const net::JsonValue f : r["found"])
    sections += fmt::format("{} {}\n", f["value"].text_or(""), f["places"].at(0)["section"].text_or("-"));
  EXPECT_NE(sections.find("evil.example/a -\n"), std::string::npos) << sections;
  EXPECT_NE(sections.find("192.0.2.66 liste.pdf, side 2 av 2\n"), std::string::npos) << sections;
}

TEST_F(BulletinRoutes, AFileThatIsNotReadSaysWhyInWordsOfItsOwn) {
  for (const auto& [bytes, type] : {std::pair{jail::locked_pdf(), "/problems/report-locked"},
                                    std::pair{jail::small_pdf({""}), "/problems/report-pictures"},
                                    std::pair{std::string("%PDF-1.4 x"), "/problems/report-broken"},
                                    std::pair{std::string("PK\x03\x04"), "/problems/report-kind"}}) {
    const auto v = json(ask(Method::post, "/api/bulletins/reports?source=S&name=a.pdf", bytes), 400);
    EXPECT_EQ(v.root()["type"].text_or(""), type) << v.root().to_text();
  }
  EXPECT_EQ(get("/api/bulletins").root()["items"].size(), 0U);
}

TEST_F(BulletinRoutes, NonsenseIsRefusedWithItsPlace) {
  for (const char* body :
       {R"({"source":"","texts":{"en":{"title":"a","markdown":""}}})", R"({"source":"x","texts":{}})",
        R"({"source":"x","texts":{"de":{"title":"a","markdown":""}}})",
        R"({"source":"x","texts":{"en":{"title":"","markdown":""}}})",
        R"({"source":"x","tlp":"mauve","texts":{"en":{"title":"a","markdown":""}}})", "nonsense"})
    EXPECT_EQ(ask(Method::post, "/api/bulletins", body).status, 400) << body;
}

}  // namespace
}  // namespace bavn::app
