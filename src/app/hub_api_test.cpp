// The hub's API over the hub as it is, in virtual time: October 2024 in small, told by three municipalities' nodes.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "app/testing.hpp"
#include "net/json_views.hpp"
#include "tenants/people.hpp"

namespace bavn::app {
namespace {

using namespace std::chrono_literals;
using event::Right;
using net::Method;

constexpr std::uint32_t bits(auto... rights) {
  return (0U | ... | static_cast<std::uint32_t>(rights));
}

class HubApi : public testing::HubRoutes {
 protected:
  HubApi() : HubRoutes(*parse_time("2024-10-25T06:00:00Z")) {}
  void change(HubOptions& options) override {
    correlate::Options noticing;
    noticing.first_mode = "live";
    options.noticing = noticing;
    options.client = client.get();
  }
  void SetUp() override {
    HubRoutes::SetUp();
    asking = cert();
    for (const auto& [code, name] : {std::pair(157, "gentofte"), {173, "lyngby"}, {159, "gladsaxe"}})
      member(code, name);
    sim.advance(1s);
  }
  /// A municipality with a node whose certificate holds, as enrolment leaves it.
  void member(int code, const std::string& name) {
    const auto owner = event::Scope::local_owner();
    const MunicipalityId id{static_cast<std::uint16_t>(code)};
    const auto invited = hub->invite(owner, {std::to_string(code)}, "package", "");
    ASSERT_TRUE(invited) << to_string(invited.error());
    ASSERT_TRUE(hub->domains().set(owner, id, {name + ".example"}, true));
    ASSERT_TRUE(hub->state().write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec(
          "INSERT INTO certificate (serial, node, public_key, fingerprint, pem, not_before_us, "
          "not_after_us, issued_at_us) SELECT :s, id, '', '', '', :now, :until, :now FROM node WHERE name "
          "= :n",
          {{"s", fmt::format("{:02x}", code)}, {"n", invited->node}, {"now", tx.now()}, {"until", tx.now() + 720h}}));
      BAVN_CHECK(
          tx.exec("UPDATE node SET enrolled_at_us = :now WHERE name = :n", {{"now", tx.now()}, {"n", invited->node}}));
      return tx.emit("node.enrolled", invited->node, "{}", id);
    }));
  }

  template <class T>
  void report(int of, std::string_view kind, const T& body) {
    const auto json = net::to_json(body);
    const auto took = hub->state().write_now([&](store::Tx& tx) {
      return hub->noticing().correlator().take(tx, {.node = fmt::format("node{}", of),
                                                    .id = fmt::format("r{}", ++reports),
                                                    .kind = std::string(kind),
                                                    .municipality = MunicipalityId{static_cast<std::uint16_t>(of)},
                                                    .at = sim.now(),
                                                    .received = sim.now(),
                                                    .body = json});
    });
    ASSERT_TRUE(took) << to_string(took.error());
  }
  /// Gentofte's taken mailbox writes to its neighbours and to a club; everything is noticed by Gentofte's own node.
  void october() {
    event::TakeoverNotice taken;
    taken.id = "t1";
    taken.account = "mette@gentofte.example";
    taken.first_us = micros(sim.now() - 20min);
    taken.noticed_us = micros(sim.now());
    taken.level = "likely";
    taken.source = "sign_in";
    report(157, "takeover", taken);
    event::SenderNotice n;
    n.id = "n1";
    n.sender = "mette@gentofte.example";
    n.from_us = micros(sim.now() - 1min);
    n.to_us = micros(sim.now());
    n.noticed_us = micros(sim.now());
    n.mails = 43;
    n.recipients = 43;
    n.outside = 3;
    n.usual = 2;
    n.source = "message_trace";
    n.to = {{"lyngby.example", 30, {"<a@mail.example>"}}, {"gladsaxe.example", 10, {"<b@mail.example>"}}};
    n.outside_domains = {"roklubben.example"};
    report(157, "sender_notice", n);
    sim.advance(5s);
  }
  void answer(const std::string& warning, int of, std::int64_t hits, std::int64_t clicks) {
    event::WarningAnswer a;
    a.warning = warning;
    a.state = hits > 0 ? "purged" : "not_seen";
    a.hits = a.recipients = a.purged = hits;
    a.clicks = clicks;
    a.first_hit_us = hits > 0 ? micros(sim.now() - 1min) : 0;
    a.warned_us = micros(sim.now());
    a.emptied_us = hits > 0 ? micros(sim.now()) : 0;
    a.by = "machine";
    const auto json = net::to_json(a);
    const auto took = hub->state().write_now([&](store::Tx& tx) {
      return hub->noticing().warnings().take_answer(tx, {.node = "n",
                                                         .id = "a",
                                                         .kind = "warning_answer",
                                                         .municipality = MunicipalityId{static_cast<std::uint16_t>(of)},
                                                         .at = sim.now(),
                                                         .received = sim.now(),
                                                         .body = json});
    });
    ASSERT_TRUE(took) << to_string(took.error());
  }
  event::Scope cert() { return event::Scope::everywhere("person:7", 0xFFFFFFFFU, event::Tlp::red); }
  event::Scope town(int code) {
    return {"person:9",
            {MunicipalityId{static_cast<std::uint16_t>(code)}},
            bits(Right::alert_read, Right::alert_write, Right::tenants_read, Right::indicator_read, Right::publish),
            event::Tlp::amber_strict};
  }

  int reports = 0;
};

TEST_F(HubApi, ACampaignsPageTellsWhoSentWhatToWhomWhenAndWhatWasDone) {
  october();
  const auto list = get("/api/campaigns");
  ASSERT_EQ(list.root()["items"].size(), 1U);
  const net::JsonValue row = list.root()["items"].at(0);
  EXPECT_EQ(row["state"].text_or(""), "lit");
  EXPECT_EQ(row["from"]["municipality"]["name"].text_or(""), "Gentofte");
  EXPECT_EQ(row["next_step"]["kind"].text_or(""), "confirm_or_judge");
  const std::string warning(row["warning"]["id"].text_or(""));
  ASSERT_FALSE(warning.empty()) << "what is lit has a warning";
  sim.advance(30s);
  answer(warning, 173, 30, 2);
  answer(warning, 159, 0, 0);
  const auto page = get("/api/campaigns/" + std::string(row["id"].text_or("")));
  const net::JsonValue c = page.root();
  ASSERT_EQ(c["arrows"].size(), 3U);
  std::set<std::string> arrows;
  for (const net::JsonValue a : c["arrows"])
    arrows.insert(fmt::format("{}>{}:{}", a["from"]["code"].text_or(""),
                              a["outside"].boolean().value_or(false) ? "outside" : a["to"]["code"].text_or("?"),
                              a["mails"].integer().value_or(0)));
  EXPECT_EQ(arrows, (std::set<std::string>{"0157>0173:30", "0157>0159:10", "0157>outside:3"}));
  EXPECT_NEAR(c["minutes"]["to_notice"].number().value_or(-1), 1.0, 0.01);
  EXPECT_GT(c["minutes"]["won"]["minutes"].number().value_or(0), 900);
  ASSERT_EQ(c["municipalities"].size(), 2U);
  bool lyngby = false;
  for (const net::JsonValue m : c["municipalities"]) {
    if (m["code"].text_or("") != "0173") continue;
    lyngby = true;
    EXPECT_EQ(m["mails"].integer().value_or(0), 30);
    EXPECT_EQ(m["answer"].text_or(""), "purged");
    EXPECT_EQ(m["clicks"].integer().value_or(-1), 2);
    EXPECT_EQ(m["emptied"].integer().value_or(-1), 30);
  }
  EXPECT_TRUE(lyngby);
  std::string before;
  std::set<std::string> kinds;
  for (const net::JsonValue step : c["timeline"]) {
    EXPECT_LE(before, step["at"].text_or("")) << "in order of time";
    before = step["at"].text_or("");
    kinds.insert(std::string(step["kind"].text_or("")));
  }
  for (const char* kind : {"first_mail", "noticed", "lit", "warning", "sign", "emptied", "answered"})
    EXPECT_TRUE(kinds.contains(kind)) << kind;
  EXPECT_EQ(c["outside"]["domains"].integer().value_or(0), 1);

  const auto overview = get("/api/overview");
  ASSERT_EQ(overview.root()["burning"].size(), 1U);
  EXPECT_EQ(overview.root()["figures"]["mails"]["emptied"].integer().value_or(0), 30);
  const auto map = get("/api/map?campaign=1");
  EXPECT_EQ(map.root()["tiles"].size(), 98U);
  std::map<std::string, std::string> states;
  for (const net::JsonValue t : map.root()["tiles"])
    states[std::string(t["code"].text_or(""))] = t["state"].text_or("");
  EXPECT_EQ(states["0157"], "sender");
  EXPECT_EQ(states["0173"], "emptied");
  EXPECT_EQ(states["0159"], "reached");
  EXPECT_EQ(states["0400"], "outside");
}

TEST_F(HubApi, APersonOfOneMunicipalitySeesItsOwnAndCountsOfTheOthers) {
  october();
  const std::string warning(get("/api/campaigns").root()["items"].at(0)["warning"]["id"].text_or(""));
  answer(warning, 173, 30, 2);
  answer(warning, 159, 10, 5);
  asking = town(173);
  for (const std::string path :
       {"/api/campaigns", "/api/campaigns/1", "/api/suspicions", "/api/map", "/api/map?campaign=1", "/api/overview",
        "/api/nodes", "/api/municipalities", "/api/brakes"}) {
    auto reply = ask(Method::get, path);
    ASSERT_EQ(reply.status, 200) << path << reply.body;
    if (path.find("map") == std::string::npos) {
      EXPECT_EQ(reply.body.find("0159"), std::string::npos) << path;
    }
    EXPECT_EQ(reply.body.find("gladsaxe"), std::string::npos) << path;
  }
  const auto page = get("/api/campaigns/1");
  EXPECT_FALSE(page.root()["counts"]["clicks"]) << "clicks of all are the CERT's to know";
  EXPECT_EQ(page.root()["from"]["domain"].text_or(""), "gentofte.example") << "agreed at enrolment";
  ASSERT_EQ(page.root()["municipalities"].size(), 1U);
  EXPECT_EQ(page.root()["municipalities"].at(0)["code"].text_or(""), "0173");
  EXPECT_EQ(page.root()["may"].size(), 0U);
  const auto shown = get("/api/warnings/" + warning);
  ASSERT_EQ(shown.root()["answers"].size(), 1U);
  EXPECT_EQ(shown.root()["counted"]["purged"].integer().value_or(0), 2) << "counts of all";
  for (const net::JsonValue t : get("/api/map").root()["tiles"])
    EXPECT_EQ(t["state"].text_or("") == "hidden", t["code"].text_or("") != "0173");
  EXPECT_EQ(ask(Method::post, "/api/campaigns/1/judge", R"({"real":false,"why":"x"})").status, 403);
  EXPECT_EQ(ask(Method::post, "/api/warnings", R"({"campaign":"1"})").status, 403);
  EXPECT_EQ(ask(Method::get, "/api/municipalities/0159").status, 404);
  EXPECT_EQ(ask(Method::get, "/api/audit").status, 403);
}

TEST_F(HubApi, ASuspicionIsForTheCertAloneUntilItIsLit) {
  event::SenderNotice n;
  n.id = "n1";
  n.sender = "ole@gladsaxe.example";
  n.from_us = micros(sim.now() - 1min);
  n.to_us = n.noticed_us = micros(sim.now());
  n.mails = n.recipients = 30;
  n.usual = 2;
  n.source = "message_trace";
  n.to = {{"lyngby.example", 20, {"<a@mail.example>"}}, {"gentofte.example", 10, {"<b@mail.example>"}}};
  report(159, "sender_notice", n);
  sim.advance(1s);
  asking = town(173);
  EXPECT_EQ(get("/api/campaigns?state=candidate,waiting,suspicion").root()["items"].size(), 0U);
  EXPECT_EQ(ask(Method::get, "/api/campaigns/1").status, 404);
  EXPECT_EQ(ask(Method::get, "/api/map?campaign=1").status, 404);
  asking = cert();
  EXPECT_EQ(ask(Method::get, "/api/campaigns/1").status, 200);
  EXPECT_EQ(ask(Method::post, "/api/campaigns/1/confirm").status, 200);
  sim.advance(1s);
  asking = town(173);
  EXPECT_EQ(ask(Method::get, "/api/campaigns/1").status, 200);
}

TEST_F(HubApi, ASenderThatIsNoMunicipalityIsLookedForWithTheRestAndAMunicipalityIsNamedAsAgreed) {
  const auto draft = [&](const std::string& more) {
    sim.advance(1s);
    const auto reply =
        ask(Method::post, "/api/warnings",
            R"({"severity":"high","look_for":[{"kind":"url","value":"https://course.example/sign-up"}],)" + more + "}");
    return std::pair(reply.status, net::JsonDocument::parse(reply.body).value());
  };
  const auto looked_for = [](const net::JsonDocument& page) {
    std::set<std::string> all;
    for (const net::JsonValue o : page.root()["look_for"]) all.insert(std::string(o["value"].text_or("")));
    return all;
  };
  const auto stranger = draft(R"("from_address":"Course@course.example")");
  ASSERT_EQ(stranger.first, 201);
  EXPECT_EQ(looked_for(stranger.second), (std::set<std::string>{"course@course.example", "course.example/sign-up"}));
  EXPECT_EQ(stranger.second.root()["texts"].at(0)["title"].text_or(""), "Falske mails til kommunerne");
  const auto domain = draft(R"("from_domain":"course.example")");
  ASSERT_EQ(domain.first, 201);
  EXPECT_EQ(looked_for(domain.second).count("course.example"), 1U);
  EXPECT_EQ(draft(R"("from_domain":"gmail.com")").first, 400) << "everybody's";
  const auto everybodys = draft(R"("from_address":"course@gmail.com")");
  ASSERT_EQ(everybodys.first, 201);
  EXPECT_EQ(looked_for(everybodys.second).count("course@gmail.com"), 1U);
  const auto agreed = draft(R"("from_address":"dan@gentofte.example")");
  ASSERT_EQ(agreed.first, 201);
  EXPECT_EQ(agreed.second.root()["from"]["domain"].text_or(""), "gentofte.example");
  EXPECT_EQ(looked_for(agreed.second).count("dan@gentofte.example"), 1U);
  ASSERT_TRUE(hub->domains().set(event::Scope::local_owner(), MunicipalityId{159}, {"gladsaxe.example"}, false));
  sim.advance(1s);
  const auto silent = draft(R"("from_address":"ole@gladsaxe.example")");
  ASSERT_EQ(silent.first, 201) << "who has not agreed is warned of without a name";
  EXPECT_FALSE(silent.second.root()["from"]["may_be_named"].boolean().value_or(true));
  EXPECT_EQ(silent.second.root()["texts"].at(0)["title"].text_or(""), "Falske mails fra en anden kommunes mailkonto");
  EXPECT_EQ(looked_for(silent.second), (std::set<std::string>{"course.example/sign-up"}));
  sim.advance(1s);
  const auto own = ask(Method::post, "/api/warnings",
                       R"({"severity":"high","from_address":"ole@gladsaxe.example",)"
                       R"("look_for":[{"kind":"url","value":"https://www.gladsaxe.example/x"}]})");
  EXPECT_EQ(own.status, 400) << "what would name the sender is not left out in silence";
}

TEST_F(HubApi, WordsAreEditedByWhoReadTheNewestAndAFalseCampaignIsTakenBack) {
  october();
  const std::string warning(get("/api/campaigns").root()["items"].at(0)["warning"]["id"].text_or(""));
  const std::string path = "/api/warnings/" + warning;
  const std::string words =
      R"({"title":"Falske mails","summary":"S.","for_employees":"Åbn ikke linket.","do_now":["Tøm."],"reasons":["Nu."],"sms":"x"})";
  EXPECT_EQ(ask(Method::put, path + "/texts/da", words).status, 428);
  const auto read = ask(Method::get, path);
  const std::string etag = *read.headers.find("ETag");
  sim.advance(1s);
  const auto edited = ask(Method::put, path + "/texts/da", words, etag);
  ASSERT_EQ(edited.status, 200) << edited.body;
  EXPECT_NE(*edited.headers.find("ETag"), etag);
  EXPECT_EQ(ask(Method::put, path + "/texts/da", words, etag).status, 412) << "somebody else was faster";
  const auto preview = get(path + "/preview?language=da");
  EXPECT_EQ(preview.root()["subject"].text_or(""), "Falske mails");
  EXPECT_GT(preview.root()["bytes"].integer().value_or(0), 100);
  EXPECT_EQ(preview.root()["reaches"].integer().value_or(0), 3);
  EXPECT_EQ(ask(Method::post, "/api/campaigns/1/judge", R"({"real":false})").status, 400) << "without a reason";
  const auto judged = ask(Method::post, "/api/campaigns/1/judge", R"({"real":false,"why":"a drill"})");
  ASSERT_EQ(judged.status, 200) << judged.body;
  sim.advance(1s);
  EXPECT_EQ(get(path).root()["state"].text_or(""), "withdrawn");
  EXPECT_EQ(ask(Method::post, "/api/campaigns/1/confirm").status, 409);
  const auto audit = get("/api/audit?action=campaign.");
  ASSERT_GE(audit.root()["items"].size(), 1U);
  EXPECT_EQ(audit.root()["items"].at(0)["who"].text_or(""), "person:7");
  EXPECT_TRUE(get("/api/audit/verification").root()["ok"].boolean().value_or(false));
}

TEST_F(HubApi, WhoDoesNotAnswerIsRemindedByTheHubsOwnWaysAndTheSendersDutyContactIsCalled) {
  tenants::People people(sim, hub->state());
  const auto owner = event::Scope::local_owner();
  for (const int code : {157, 173}) {
    const auto id =
        people.add(owner, {MunicipalityId{static_cast<std::uint16_t>(code)}, fmt::format("Vagt {}", code), ""});
    ASSERT_TRUE(id) << to_string(id.error());
    ASSERT_TRUE(people.give_role(owner, *id, tenants::Role::duty_contact));
    ASSERT_TRUE(people.add_way(owner, *id, {.kind = tenants::WayKind::mail, .address = "vagt@post.example"}));
  }
  october();
  const auto messages = [&](std::string_view kind, int of) {
    return hub->state()
        .read([&](store::Reader& r) {
          return r.number("SELECT count(*) FROM notify_message WHERE kind = :k AND municipality = :m",
                          {{"k", kind}, {"m", of}});
        })
        .value();
  };
  EXPECT_GE(messages("call_me", 157), 1) << "its mailbox sends: it is called";
  const std::string warning(get("/api/campaigns").root()["items"].at(0)["warning"]["id"].text_or(""));
  answer(warning, 157, 0, 0);
  answer(warning, 159, 10, 0);
  ASSERT_TRUE(get("/api/warnings/" + warning).root()["next_reminder_at"]);
  bool clock = false;
  for (const net::JsonValue c : get("/api/overview").root()["clocks"])
    clock = clock || (c["kind"].text_or("") == "warning_reminder" && c["values"]["silent"].text_or("") == "1");
  EXPECT_TRUE(clock);
  sim.advance(16min);
  EXPECT_EQ(messages("warning", 173), 1) << "its node is silent";
  EXPECT_EQ(messages("warning", 159), 0) << "it answered";
  const auto shown = get("/api/warnings/" + warning);
  ASSERT_EQ(shown.root()["reminders"].size(), 1U);
  EXPECT_EQ(shown.root()["reminders"].at(0)["municipality"]["code"].text_or(""), "0173");
  EXPECT_EQ(shown.root()["reminders"].at(0)["messages"].integer().value_or(0), 1);
}

TEST_F(HubApi, WhomANodeCanCallIsKnownAtTheHubWithoutAName) {
  const auto health = [&](std::string_view body) {
    const auto took = hub->state().write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec(
          "INSERT INTO hub_node_report (node, municipality, kind, at_us, received_at_us, body) VALUES ('n', 157, "
          "'health', :now, :now, :body) ON CONFLICT (node, municipality, kind) DO UPDATE SET body = excluded.body",
          {{"now", sim.now()}, {"body", body}}));
      return {};
    });
    ASSERT_TRUE(took) << to_string(took.error());
  };
  const auto duty = [&] {
    const auto all = get("/api/municipalities/0157");
    return std::pair(std::string(all.root()["duty"]["at_node"].text_or("-")), all.root()["duty"]["gaps"].size());
  };
  EXPECT_EQ(duty().first, "-") << "no node says anything";
  EXPECT_EQ(duty().second, 1U) << "nobody is written down here";
  health(R"({"version":"1","open_alerts":0,"indicators":0,"trouble":[],"sources":[]})");
  EXPECT_EQ(duty().first, "-") << "an older node does not say it";
  health(R"({"version":"1","open_alerts":0,"indicators":0,"trouble":[],"sources":[],"duty_contact":"untested"})");
  EXPECT_EQ(duty(), std::pair(std::string("untested"), std::size_t{1}));
  health(R"({"version":"1","open_alerts":0,"indicators":0,"trouble":[],"sources":[],"duty_contact":"tested"})");
  EXPECT_EQ(duty(), std::pair(std::string("tested"), std::size_t{0})) << "its node calls it by itself";
  health(R"({"version":"1","open_alerts":0,"indicators":0,"trouble":[],"sources":[],"duty_contact":"<b>"})");
  EXPECT_EQ(duty().first, "-") << "a word that is none is not shown";
}

TEST_F(HubApi, TheHandOverTellsTheSecondWriterThatThereIsANewerOne) {
  const auto first = ask(Method::get, "/api/handover");
  ASSERT_EQ(first.status, 200);
  const std::string etag = *first.headers.find("ETag");
  EXPECT_EQ(ask(Method::put, "/api/handover", R"({"text":"Quiet."})").status, 428);
  EXPECT_EQ(ask(Method::put, "/api/handover", R"({"text":"Quiet."})", etag).status, 200);
  EXPECT_EQ(ask(Method::put, "/api/handover", R"({"text":"Not quiet."})", etag).status, 412);
  EXPECT_EQ(get("/api/handover").root()["text"].text_or(""), "Quiet.");
  EXPECT_EQ(get("/api/overview").root()["handover"]["text"].text_or(""), "Quiet.");
}

TEST_F(HubApi, IndicatorsArePublishedFromPastedTextShownAndWithdrawn) {
  const auto added =
      ask(Method::post, "/api/indicators",
          R"({"text":"see hxxps://profil[.]example/orbes, and evil.example.","source":"campaign:1","action":"warn"})");
  ASSERT_EQ(added.status, 200) << added.body;
  const auto list = get("/api/indicators?text=hxxps://profil");
  ASSERT_EQ(list.root()["items"].size(), 1U) << added.body;
  const net::JsonValue i = list.root()["items"].at(0);
  EXPECT_EQ(i["value"].text_or(""), "profil.example/orbes");
  EXPECT_EQ(i["defanged"].text_or(""), "profil[.]example/orbes");
  EXPECT_EQ(i["added_by"].text_or(""), "person:7");
  const auto wrong =
      ask(Method::post, "/api/indicators", R"({"items":[{"kind":"domain","value":"not a domain"}],"source":"x"})");
  EXPECT_EQ(wrong.status, 422);
  EXPECT_NE(wrong.body.find("/items/0/value"), std::string::npos);
  EXPECT_EQ(ask(Method::del, "/api/indicators/" + std::string(i["id"].text_or(""))).status, 204);
  EXPECT_EQ(get("/api/indicators?text=profil").root()["items"].size(), 0U);
  const auto refused = ask(Method::post, "/api/indicators",
                           R"({"items":[{"kind":"domain","value":"microsoft.com"}],"source":"x","action":"block"})");
  EXPECT_EQ(refused.status, 403) << "what is never blocked";
}

TEST_F(HubApi, ABlockNeedsTwoPeopleWhenItIsWide) {
  const std::string body = R"({"kind":"url","value":"evil.example/x","action":"block","reason":"a phish"})";
  const auto made = ask(Method::post, "/api/blocks", body);
  ASSERT_EQ(made.status, 201) << made.body;
  const std::string id(net::JsonDocument::parse(made.body)->root()["id"].text_or(""));
  asking = event::Scope::local_owner();
  EXPECT_EQ(ask(Method::post, "/api/blocks/" + id + "/stop", R"({"why":"wrong one"})").status, 400) << "nobody's name";
  EXPECT_EQ(ask(Method::post, "/api/blocks/" + id + "/stop?as=Jens", R"({"why":"wrong one"})").status, 200);
  EXPECT_EQ(get("/api/blocks").root()["items"].size(), 0U);
  EXPECT_EQ(get("/api/blocks?all=true").root()["items"].size(), 1U);
  asking = cert();
  const auto question = ask(Method::post, "/api/block-questions", R"({"kind":"domain","value":"borger.dk"})");
  EXPECT_EQ(question.status, 201);
  EXPECT_NE(question.body.find("service of the state"), std::string::npos);
  EXPECT_EQ(ask(Method::post, "/api/block-switch/kill", R"({"why":"all of it"})").status, 204);
  EXPECT_EQ(get("/api/block-switch").root()["items"].size(), 1U);
  EXPECT_EQ(ask(Method::post, "/api/blocks", body).status, 403);
}

TEST_F(HubApi, ADangerousActAsksForAProofWhenThereIsADoorThatKnows) {
  october();
  net::Router guarded;
  guarded.authenticate([this](const net::Request&) -> Result<event::Scope> { return asking; });
  hub->use_proof([](const net::Request&) -> std::optional<net::Reply> {
    net::Reply r;
    r.status = 403;
    r.body = "proof-needed";
    return r;
  });
  hub->add_web_routes(guarded);
  for (const std::string path : {"/api/campaigns/1/confirm", "/api/brakes/burst", "/api/block-switch/kill",
                                 "/api/orders", "/api/nodes/gentofte/revoke", "/api/warnings/w-1/send"}) {
    std::optional<net::Reply> got;
    guarded.handle(net::request_for(Method::post, path).value(), [&](net::Reply r) { got = std::move(r); });
    ASSERT_TRUE(got);
    EXPECT_EQ(got->body, "proof-needed") << path;
  }
}

TEST_F(HubApi, NoRouteAnswersWhoMayNothingAndHostileInputIsAnswered) {
  october();
  // Below /misp, and the same at the root: MISP's controllers take the rest of the path themselves.
  const auto of_misp = [](const std::string& pattern) { return pattern.ends_with("/{rest...}"); };
  asking = event::Scope("nobody", {}, 0, event::Tlp::clear);
  for (const auto& route : web.routes()) {
    std::string path = route.pattern;
    for (const char* name : {"{id}", "{code}", "{domain}", "{language}", "{kind}", "{name}", "{trigger}"})
      if (const auto at = path.find(name); at != std::string::npos)
        path.replace(at, std::string_view(name).size(), "1");
    // TLP:CLEAR is for everybody, and so are the forms and counts that stand beside it (their tests: open_routes_test.cpp).
    if (route.pattern == "/bulletins.atom" || route.pattern.starts_with("/subscribe") ||
        route.pattern.starts_with("/abonner") || route.pattern.starts_with("/open-data/"))
      continue;
    // Partners' programs have keys of their own, which the routes of their languages ask for.
    const bool of_partners = route.pattern.starts_with("/taxii2") || of_misp(route.pattern);
    EXPECT_EQ(route.needs == net::Needs::anyone, of_partners) << route.pattern;
    const int status = ask(route.method, path, "{}").status;
    EXPECT_TRUE(status == 401 || status == 403) << route.pattern << " " << status;
  }
  asking = cert();
  for (const auto& route : web.routes()) {
    if (route.pattern == "/api/bases") continue;  // waits for a base, which a simulation cannot
    for (const std::string hostile : {"%27--", "9999999999999999999", "%C3%A6%00"}) {
      std::string path = route.pattern;
      for (const char* name : {"{id}", "{code}", "{domain}", "{language}", "{kind}", "{name}", "{trigger}"})
        if (const auto at = path.find(name); at != std::string::npos)
          path.replace(at, std::string_view(name).size(), hostile);
      auto request = net::request_for(route.method, path + "?limit=0&cursor=%FF&text=%27&state=x");
      if (!request) continue;
      request->body = "{\"a\":[";
      std::optional<net::Reply> got;
      web.handle(std::move(*request), [&](net::Reply r) { got = std::move(r); });
      ASSERT_TRUE(got) << route.pattern;
      EXPECT_NE(got->status, 500) << route.pattern << got->body;
    }
  }
}

}  // namespace
}  // namespace bavn::app
