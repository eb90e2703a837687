#include "show/api/node/testing.hpp"

#include <set>

#include "show/api/records/records.hpp"
#include "show/api/rules/rule_tests.hpp"
#include "show/api/settings/settings_text.hpp"

namespace bavn::show::api::testing {
namespace {

using net::Method;

TEST_F(NodeTest, EveryRouteStandsInTheContractAndEveryOperationOfTheContractHasARoute) {
  std::set<std::string> written, there;
  std::ifstream in(std::string(BAVN_SOURCE_DIR) + "/api/node.yaml");
  bool in_paths = false;
  std::string path;
  for (std::string line; std::getline(in, line);) {
    if (line == "paths:") in_paths = true;
    if (!in_paths) continue;
    if (line.starts_with("  /")) path = line.substr(2, line.find(':') - 2);
    for (const char* method : {"get", "post", "put", "delete"})
      if (line == "    " + std::string(method) + ":") written.insert(method + (" " + path));
  }
  for (const net::Route& r : router.routes()) {
    std::string method(net::to_string(r.method));
    for (char& c : method) c = static_cast<char>(c | 32);
    there.insert(method + " " + r.pattern);
    EXPECT_NE(r.needs, net::Needs::anyone) << r.pattern << " is open to everybody";
  }
  EXPECT_GT(written.size(), 70U);
  EXPECT_EQ(written, there);
}

TEST_F(NodeTest, AlertsComeInPagesByRankAndEachIsThereOnce) {
  for (int i = 0; i < 23; ++i) alert("r" + std::to_string(i), "kari@nordby.example", i % 2 == 0 ? "high" : "low");
  alert("elsewhere", "ola@sydby.example", "critical", MunicipalityId{301});
  std::set<std::string> seen;
  std::string target = "/api/alerts?limit=5";
  std::int64_t last = 1000;
  for (int page = 0; page < 10 && !target.empty(); ++page) {
    const auto got = get(target);
    for (const net::JsonValue a : got.root()["items"]) {
      EXPECT_TRUE(seen.insert(std::string(a["id"].text_or(""))).second) << "twice";
      EXPECT_EQ(a["municipality"]["code"].text_or(""), "0101");
      EXPECT_LE(*a["rank"].integer(), last);
      last = *a["rank"].integer();
    }
    const auto next = got.root()["next"].text();
    target = next ? "/api/alerts?limit=5&cursor=" + net::percent_encoded(*next) : std::string();
  }
  EXPECT_EQ(seen.size(), 23U) << "and none of another municipality";
  EXPECT_EQ(get("/api/alerts?level=medium").root()["items"].size(), 12U);
  EXPECT_EQ(get("/api/alerts?q=R22").root()["items"].size(), 1U) << "case does not count";
  EXPECT_EQ(get("/api/alert-groups?level=high").root()["items"].size(), 12U);
  EXPECT_EQ(ask(Method::get, "/api/alerts?level=huge").status, 400);
  EXPECT_EQ(ask(Method::get, "/api/alerts?state=gone").status, 400);
  EXPECT_EQ(ask(Method::get, "/api/alerts?cursor=nonsense").status, 400);
}

TEST_F(NodeTest, AnAlertIsLookedAtNotedAndClosedAndSaysByWhomAndWhatItWas) {
  alert("a", "kari@nordby.example", "critical");
  EXPECT_EQ(ask(Method::post, "/api/alerts/1/acknowledge", R"({"why":"calling her"})").status, 200);
  EXPECT_EQ(ask(Method::post, "/api/alerts/1/notes", R"({"text":"  "})").status, 422);
  EXPECT_EQ(ask(Method::post, "/api/alerts/1/notes", R"({"text":"she did not make it"})").status, 201);
  EXPECT_EQ(ask(Method::post, "/api/alerts/1/close", R"({"why":""})").status, 422);
  EXPECT_EQ(ask(Method::post, "/api/alerts/1/close", R"({"why":"x","was":"magic"})").status, 422);
  EXPECT_EQ(ask(Method::post, "/api/alerts/1/close", R"({"reason":"typo"})").status / 100, 4);
  EXPECT_EQ(ask(Method::post, "/api/alerts/1/close", R"({"why":"reset","was":"attack"})").status, 200);
  EXPECT_EQ(ask(Method::post, "/api/alerts/1/close", R"({"why":"again"})").status, 409);
  const auto more = get("/api/alerts/1");
  EXPECT_EQ(more.root()["alert"]["was"].text_or(""), "attack");
  EXPECT_EQ(more.root()["alert"]["state_by"].text_or(""), "person:3");
  ASSERT_EQ(more.root()["notes"].size(), 3U);
  EXPECT_EQ(more.root()["notes"].at(1)["text"].text_or(""), "she did not make it");
  EXPECT_EQ(audited("alert.closed"), 1);
  const auto many = ask(Method::post, "/api/alerts/acknowledge", R"({"ids":["1","x","99"]})");
  EXPECT_EQ(many.status, 200);
  EXPECT_EQ(net::JsonDocument::parse(many.body)->root()["refused"].size(), 3U);
  scope = event::Scope("person:9", {MunicipalityId{301}}, kAll, event::Tlp::red);
  EXPECT_EQ(ask(Method::get, "/api/alerts/1").status, 404);
  EXPECT_EQ(ask(Method::post, "/api/alerts/1/notes", R"({"text":"mine"})").status, 404);
  EXPECT_EQ(ask(Method::get, "/api/alerts/1/records").status, 404);
}

TEST_F(NodeTest, AHuntForAPastedTextFindsTheRecordAndTheViewerShowsItDownToItsBytes) {
  const std::string line = mail_rule("anna.holm@nordby.example");
  take(line + "\n" + mail_rule("ola@nordby.example", "2026-10-14T08:00:00") + "\n");
  const auto begun = ask(Method::post, "/api/hunts", R"({"paste":"see hxxps://login-nordby[.]example/orbes?x=1 !"})");
  ASSERT_EQ(begun.status, 202) << begun.body;
  ASSERT_NE(begun.headers.find("Location"), nullptr);
  const std::string at = *begun.headers.find("Location");
  EXPECT_EQ(get(at).root()["state"].text_or(""), "waiting");
  sim.run_until_idle();
  const auto over = get(at);
  EXPECT_EQ(over.root()["state"].text_or(""), "done");
  EXPECT_EQ(over.root()["hits"].integer(), 2);
  EXPECT_EQ(audited("hunt.started"), 1);
  EXPECT_EQ(audited("hunt.ended"), 1);
  const auto first = get(at + "/hits?limit=1");
  ASSERT_EQ(first.root()["items"].size(), 1U);
  const auto second = get(at + "/hits?limit=1&cursor=" + net::percent_encoded(first.root()["next"].text_or("")));
  EXPECT_EQ(second.root()["items"].at(0)["n"].integer(), 2);
  EXPECT_FALSE(second.root()["next"]);
  const net::JsonValue hit = first.root()["items"].at(0);
  EXPECT_EQ(hit["observable"]["defanged"].text_or(""), "login-nordby[.]example/orbes?x=1");
  const std::string ref(hit["record"].text_or(""));
  const auto record = get("/api/records/" + ref);
  EXPECT_EQ(record.root()["raw"]["encoding"].text_or(""), "utf-8");
  EXPECT_EQ(record.root()["raw"]["text"].text_or(""), hit["line"].text_or("?"));
  std::map<std::string, std::string> fields, ocsf;
  for (const net::JsonValue f : record.root()["fields"]) {
    fields[std::string(f["path"].text_or(""))] = f["value"].text_or("");
    ocsf[std::string(f["path"].text_or(""))] = f["ocsf"].text_or("");
  }
  EXPECT_EQ(fields["Operation"], "New-InboxRule");
  EXPECT_TRUE(fields["UserId"].ends_with("@nordby.example"));
  EXPECT_EQ(ocsf["UserId"], "actor.user.name");
  EXPECT_EQ(ocsf["ClientIP"], "src_endpoint.ip");
  std::set<std::string> observables;
  for (const net::JsonValue o : record.root()["observables"])
    observables.insert(std::string(o["defanged"].text_or("")));
  EXPECT_TRUE(observables.contains("192[.]0[.]2[.]7"));
  EXPECT_EQ(audited("record.opened"), 1);
  const auto raw = ask(Method::get, "/api/records/" + ref + "/raw");
  EXPECT_EQ(raw.body, record.root()["raw"]["text"].text_or(""));
  EXPECT_TRUE(raw.headers.find("Content-Disposition")->starts_with("attachment"));
  for (const char* wrong : {"1-2-3", "x", "0-0-0-0-0-0", "9-9-9-ffff-1-1"})
    EXPECT_EQ(ask(Method::get, "/api/records/" + std::string(wrong)).status, 404) << wrong;
  scope = event::Scope("person:9", {MunicipalityId{301}}, kAll, event::Tlp::red);
  EXPECT_EQ(ask(Method::get, "/api/records/" + ref).status, 404) << "of another municipality";
  EXPECT_EQ(ask(Method::get, at).status, 404);
  EXPECT_EQ(ask(Method::del, at).status, 404);
}

TEST_F(NodeTest, BytesThatAreNoTextAreGivenAsTheyAre) {
  const std::string line =
      "{\"CreationTime\":\"2026-10-14T07:55:12\",\"Operation\":\"K\xE6r\",\"UserId\":\"b@nordby.example\"}";
  take(line + "\n");
  ASSERT_EQ(ask(Method::post, "/api/hunts", R"({"text":"UserId","reason":"test"})").status, 202);
  sim.run_until_idle();
  const auto all = get("/api/hunts");
  const std::string id(all.root()["items"].at(0)["id"].text_or(""));
  const auto hits = get("/api/hunts/" + id + "/hits");
  ASSERT_EQ(hits.root()["items"].size(), 1U);
  const std::string ref(hits.root()["items"].at(0)["record"].text_or(""));
  const auto record = get("/api/records/" + ref);
  EXPECT_EQ(record.root()["raw"]["encoding"].text_or(""), "base64");
  EXPECT_EQ(ask(Method::get, "/api/records/" + ref + "/raw").body, line);
}

TEST_F(NodeTest, WhoLooksForPersonsSaysWhyAndWhatCannotBeLookedForIsRefusedWithItsPlace) {
  const auto pointer = [&](const std::string& body) {
    const auto got = ask(Method::post, "/api/hunts", body);
    EXPECT_EQ(got.status, 422) << got.body;
    const auto document = net::JsonDocument::parse(got.body);
    return std::string(document->root()["errors"].at(0)["pointer"].text_or(""));
  };
  EXPECT_EQ(pointer(R"({"paste":"anna.holm@nordby.example"})"), "/reason");
  EXPECT_EQ(pointer(R"({"text":"anything"})"), "/reason");
  EXPECT_EQ(pointer(R"({"paste":"nothing of the kind"})"), "/paste");
  EXPECT_EQ(pointer(R"({"observables":[{"kind":"ipv4","value":"nonsense"}]})"), "/observables/0/value");
  EXPECT_EQ(pointer(R"({})"), "/");
  EXPECT_EQ(pointer(R"({"text":"abc","rules":true})"), "/");
  EXPECT_EQ(pointer(R"({"rules":true,"from":"2026-10-02T00:00:00Z","until":"2026-10-01T00:00:00Z"})"), "/from");
  EXPECT_EQ(audited("hunt.started"), 0) << "nothing was looked for";
  EXPECT_EQ(
      ask(Method::post, "/api/hunts", R"({"paste":"anna.holm@nordby.example","reason":"her account is taken"})").status,
      202);
  const auto noted = state->read([](store::Reader& db) {
    return db.number(
        "SELECT count(*) FROM audit WHERE action = 'hunt.started' AND who = 'person:3' AND detail LIKE "
        "'%her account is taken%'");
  });
  EXPECT_EQ(noted.value(), 1);
}

class FewHuntsTest : public NodeTest {
 protected:
  HuntLimits limits() override {
    HuntLimits l;
    l.waiting = 2;
    l.hits = 3;
    l.kept = 2;
    return l;
  }
};

TEST_F(FewHuntsTest, LimitsHoldAHuntIsCancelledAndOldOnesGo) {
  std::string lines;
  for (int i = 0; i < 9; ++i) lines += mail_rule("u" + std::to_string(i) + "@nordby.example") + "\n";
  take(lines);
  const std::string body = R"({"paste":"192.0.2.7"})";
  std::vector<std::string> at;
  for (int i = 0; i < 3; ++i) {
    const auto got = ask(Method::post, "/api/hunts", body);
    ASSERT_EQ(got.status, 202) << got.body;
    at.push_back(*got.headers.find("Location"));
  }
  EXPECT_EQ(ask(Method::post, "/api/hunts", body).status, 409) << "as many wait as may";
  EXPECT_EQ(ask(Method::del, at[2]).status, 204);
  EXPECT_EQ(get(at[2]).root()["state"].text_or(""), "cancelled");
  sim.run_until_idle();
  EXPECT_EQ(get(at[1]).root()["state"].text_or(""), "limit");
  EXPECT_EQ(get(at[1]).root()["kept"].integer(), 3);
  EXPECT_EQ(get("/api/hunts").root()["items"].size(), 2U) << "the newest two are kept";
  EXPECT_EQ(ask(Method::del, at[1]).status, 204);
  EXPECT_EQ(ask(Method::get, at[1]).status, 404);
}

struct Heard final : net::EventStream {
  bool send(net::SseEvent e) override {
    events.push_back(std::move(e));
    return !closed;
  }
  void close() override { closed = true; }
  std::size_t waiting_bytes() const override { return 0; }
  void on_close(std::move_only_function<void()>) override {}
  std::vector<net::SseEvent> events;
  bool closed = false;
};

TEST_F(NodeTest, HitsAreTheStreamsEventsAndAStreamThatComesBackGetsWhatItMissed) {
  take(mail_rule("a@nordby.example") + "\n" + mail_rule("b@nordby.example") + "\n");
  const auto begun = ask(Method::post, "/api/hunts", R"({"observables":[{"value":"192.0.2[.]7"}]})");
  const std::string at = *begun.headers.find("Location");
  const auto follow = [&](const std::string& last) {
    auto stream = std::make_shared<Heard>();
    auto q = net::request_for(Method::get, at + "/stream").value();
    if (!last.empty()) q.headers.set("Last-Event-ID", last);
    router.open_stream(std::move(q), stream, [](net::Reply r) { ADD_FAILURE() << r.body; });
    return stream;
  };
  const auto stream = follow("");
  sim.run_until_idle();
  ASSERT_GE(stream->events.size(), 4U);
  std::vector<std::string> hits;
  for (const auto& e : stream->events)
    if (e.event == "hit") hits.push_back(e.id);
  EXPECT_EQ(hits, (std::vector<std::string>{"1", "2"}));
  EXPECT_EQ(stream->events.back().event, "over");
  EXPECT_TRUE(stream->closed);
  const auto again = follow("1");
  ASSERT_EQ(again->events.size(), 2U);
  EXPECT_EQ(again->events[0].id, "2");
  EXPECT_EQ(again->events[1].event, "over");
}

TEST(Paste, ObservablesAreFoundInMailsReportsAndListsAndNothingElseIs) {
  struct Case {
    std::string_view text;
    std::vector<std::string> values;
  };
  for (const Case& c : std::vector<Case>{
           {"Seen: hxxps://evil[.]example/x, from 192[.]0[.]2[.]7.", {"evil.example/x", "192.0.2.7"}},
           {"(https://a.example/b)", {"a.example/b"}},
           {"Write to <anna@nordby.example>; not to me", {"anna@nordby.example"}},
           {"d41d8cd98f00b204e9800998ecf8427e\nd41d8cd98f00b204e9800998ecf8427e", {"d41d8cd98f00b204e9800998ecf8427e"}},
           {"198.51.100.0/24", {"198.51.100.0/24"}},
           {"Version 1.2.3 of it, e.g. at 10:30. Yes! 50%.", {}},
           {"", {}},
           {"\xFF\xFE\x01 [.] ((((( ]]]]", {}},
       }) {
    const auto read = read_paste(c.text, 500);
    std::vector<std::string> values;
    for (const auto& o : read.observables) values.push_back(o.value);
    EXPECT_EQ(values, c.values) << c.text;
  }
  std::string many;
  for (int i = 0; i < 30; ++i) many += "host" + std::to_string(i) + ".example ";
  const auto cut = read_paste("http://a.com http://b.com http://c.com " + many, 2);
  EXPECT_EQ(cut.observables.size(), 2U);
  EXPECT_GE(cut.left_out, 1U);
}

TEST_F(NodeTest, RulesSayWhyTheyCannotMatchAndTheirTestsRunHere) {
  ASSERT_TRUE(state->write_now([](store::Tx& tx) {
    return alerts::AlertBook(alerts::Budget{})
        .rules_loaded(tx, std::vector<alerts::RuleInfo>{{"sigma:5b0e1f52-0000-4000-8000-000000000001",
                                                         "Mailbox rule that forwards", "critical"}});
  }));
  const auto all = get("/api/rules");
  EXPECT_EQ(all.root()["counts"]["total"].integer(), 2);
  EXPECT_EQ(all.root()["counts"]["never"].integer(), 1);
  const auto never = get("/api/rules?can=never");
  ASSERT_EQ(never.root()["items"].size(), 1U);
  EXPECT_TRUE(never.root()["items"].at(0)["why_never"].text_or("").find("toaster") != std::string_view::npos);
  const std::string id = "sigma:5b0e1f52-0000-4000-8000-000000000001";
  const auto one = get("/api/rules/" + id);
  EXPECT_EQ(one.root()["tests"].size(), 2U);
  EXPECT_TRUE(one.root()["text"].text_or("").starts_with("title: Mailbox rule"));
  EXPECT_GE(one.root()["condition"].size(), 1U);
  const auto tested = ask(Method::post, "/api/rules/" + id + "/test");
  const auto results = net::JsonDocument::parse(tested.body);
  EXPECT_EQ(results->root()["failed"].integer(), 1) << tested.body;
  EXPECT_EQ(results->root()["items"].at(0)["got"].text_or(""), "match");
  EXPECT_EQ(ask(Method::post, "/api/rules/" + id + "/state", R"({"state":"count_only","why":""})").status, 422);
  EXPECT_EQ(ask(Method::post, "/api/rules/" + id + "/state", R"({"state":"count_only","why":"our backup"})").status,
            200);
  EXPECT_EQ(get("/api/rules?state=count_only").root()["items"].size(), 1U);
  EXPECT_EQ(audited("rule.count_only"), 1);
  EXPECT_EQ(ask(Method::get, "/api/rules/sigma:none").status, 404);
}

TEST(RulesOfBavn, TheirTestsArePartOfTheBinaryAndHold) {
  hunt::EngineOptions o;
  o.builtin_rules = true;
  const auto engine = hunt::Engine::open(o).value();
  std::size_t tests = 0, files = 0;
  std::set<std::string> seen;
  for (const auto& r : engine->rules().rules) {
    if (!seen.insert(r.meta.file).second) continue;
    EXPECT_TRUE(rule_file(r.meta.file, 1U << 20U)) << r.meta.file;
    ++files;
    if (files > 6) continue;  // all of them: bavn rules test
    for (const RuleTest& t : rule_tests_of(r.meta.file, "", "")) {
      const auto result = run_rule_test(*engine, r.meta.file, t, *parse_time("2026-10-14T00:00:00Z"));
      EXPECT_TRUE(result.ok) << r.meta.file << ": " << t.name << " " << result.refused;
      ++tests;
    }
  }
  EXPECT_GT(tests, 5U);
}

TEST_F(NodeTest, IndicatorsArePagedOnceEachAndFoundByTheirBeginningDefangedOrNot) {
  std::vector<match::indicators::Indicator> all;
  for (int i = 0; i < 5000; ++i) {
    match::indicators::Indicator one;
    one.kind = event::Kind::domain;
    one.value = "host" + std::to_string(i) + ".example";
    one.source = i % 2 == 0 ? "cert" : "own";
    one.tlp = event::Tlp::amber;
    all.push_back(std::move(one));
  }
  all[7].tlp = event::Tlp::red;
  ASSERT_TRUE(engine->indicators().add(all));
  ASSERT_TRUE(engine->indicators().remove(event::Kind::domain, "host8.example"));
  std::set<std::string> seen;
  std::string target = "/api/node/indicators?limit=500";
  for (int page = 0; page < 20 && !target.empty(); ++page) {
    const auto got = get(target);
    for (const net::JsonValue i : got.root()["items"])
      EXPECT_TRUE(seen.insert(std::string(i["value"].text_or(""))).second) << "twice";
    const auto next = got.root()["next"].text();
    target = next ? "/api/node/indicators?limit=500&cursor=" + net::percent_encoded(*next) : std::string();
  }
  EXPECT_EQ(seen.size(), 4998U) << "all but the removed one and the one above this reader's TLP";
  EXPECT_EQ(get("/api/node/indicators?q=HOST4999%5B.%5D").root()["items"].size(), 1U);
  EXPECT_EQ(get("/api/node/indicators?q=host1&source=own&kind=domain&limit=500").root()["items"].size() > 100, true);
  EXPECT_EQ(ask(Method::get, "/api/node/indicators?kind=smell").status, 400);
}

TEST_F(NodeTest, SettingsAreChangedWithAReasonByWhoReadThemAndCommentsStay) {
  write("settings.toml", "# ours\n[hunts]\nkept = 30  # more\n");
  const auto read = ask(Method::get, "/api/node/settings");
  ASSERT_EQ(read.status, 200) << read.body;
  const std::string etag = *read.headers.find("ETag");
  const std::string body = R"({"changes":{"hunts.hits":500},"why":"memory"})";
  EXPECT_EQ(ask(Method::put, "/api/node/settings", body).status, 428);
  EXPECT_EQ(ask(Method::put, "/api/node/settings", body, {{"If-Match", "\"other\""}}).status, 412);
  EXPECT_EQ(
      ask(Method::put, "/api/node/settings", R"({"changes":{"hunts.hits":1},"why":"x"})", {{"If-Match", etag}}).status,
      422);
  EXPECT_EQ(
      ask(Method::put, "/api/node/settings", R"({"changes":{"no.such":1},"why":"x"})", {{"If-Match", etag}}).status,
      422);
  EXPECT_EQ(
      ask(Method::put, "/api/node/settings", R"({"changes":{"hunts.hits":"many"},"why":"x"})", {{"If-Match", etag}})
          .status,
      422);
  EXPECT_EQ(audited("settings.changed"), 0);
  const auto done = ask(Method::put, "/api/node/settings", body, {{"If-Match", etag}});
  ASSERT_EQ(done.status, 200) << done.body;
  EXPECT_NE(done.headers.find("ETag"), nullptr);
  const auto now = net::JsonDocument::parse(done.body);
  EXPECT_EQ(now->root()["restart_needed"].boolean(), true);
  EXPECT_EQ(audited("settings.changed"), 1);
  std::ifstream in(folder + "/settings.toml");
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  EXPECT_EQ(text, "# ours\n[hunts]\nkept = 30  # more\nhits = 500\n");
}

TEST(SettingsText, OneSettingIsChangedAndTheRestStays) {
  EXPECT_EQ(with_setting("", "a.b", SettingValue(std::int64_t{1})), "[a]\nb = 1\n");
  EXPECT_EQ(with_setting("[a]\nb = 1\n[c]\nd = 2\n", "a.b", SettingValue(true)), "[a]\nb = true\n[c]\nd = 2\n");
  EXPECT_EQ(with_setting("[a]\nb = 1\n\n[c]\nd = 2\n", "a.e", SettingValue(std::string("x\"y\\"))),
            "[a]\nb = 1\ne = \"x\\\"y\\\\\"\n\n[c]\nd = 2\n");
  EXPECT_EQ(with_setting("[a]\nb = 1\nc = 2\n", "a.b", std::nullopt), "[a]\nc = 2\n");
  EXPECT_EQ(with_setting("[a]\n# b = 1\n", "a.b", SettingValue(2.5)), "[a]\n# b = 1\nb = 2.5\n");
  EXPECT_EQ(with_setting("[b]\nb = 1\n", "a.b", std::nullopt), "[b]\nb = 1\n");
}

TEST_F(NodeTest, TheFirstScreenSaysBlindThenCalmThenLookThenHitAndNeverMoreThanFiveTasks) {
  const auto state_now = [&] { return std::string(get("/api/node/overview").root()["verdict"]["state"].text_or("")); };
  EXPECT_EQ(state_now(), "blind") << "nothing ever came";
  SourceView audit;
  audit.name = "m365.audit";
  audit.municipality = kHere;
  audit.last_at_us = micros(sim.now());
  sources = {audit};
  EXPECT_EQ(state_now(), "calm");
  sources[0].state = "failing";
  sources[0].says = "no answer";
  EXPECT_EQ(state_now(), "blind") << "a source that fails is no reason to be calm";
  sources[0].state = "working";
  alert("m", "kari@nordby.example", "medium");
  EXPECT_EQ(state_now(), "look");
  for (int i = 0; i < 9; ++i) alert("c" + std::to_string(i), "kari@nordby.example", "critical");
  const auto hit = get("/api/node/overview");
  EXPECT_EQ(hit.root()["verdict"]["state"].text_or(""), "hit");
  EXPECT_EQ(hit.root()["tasks"].size(), 5U);
  EXPECT_GE(*hit.root()["more_tasks"].integer(), 1);
  for (const net::JsonValue t : hit.root()["tasks"]) {
    EXPECT_FALSE(t["action"]["page"].text_or("").empty());
    EXPECT_FALSE(t["title"]["key"].text_or("").empty());
  }
  sim.advance(std::chrono::hours(25));
  alert("late", "kari@nordby.example", "low");
  EXPECT_EQ(get("/api/node/overview").root()["verdict"]["parts"].at(1)["key"].text_or(""), "verdict.blind.nothing");
  const auto leader = get("/api/node/leader?days=90");
  EXPECT_EQ(leader.root()["verdict"]["state"].text_or(""), "hit") << "both see the same";
  EXPECT_EQ(leader.root()["figures"].at(6)["key"].text_or(""), "alerts_opened");
  EXPECT_EQ(leader.root()["figures"].at(6)["now"].integer(), 11);
  EXPECT_FALSE(leader.root()["figures"].at(6)["before"]) << "before the node was there nothing is known";
  EXPECT_EQ(ask(Method::get, "/api/node/leader?days=31").status, 400);
}

TEST_F(NodeTest, TheAuditLogIsReadInPagesAndVerified) {
  for (int i = 0; i < 7; ++i)
    ASSERT_TRUE(
        state->write_now([&](store::Tx& tx) { return tx.audit({"person:3", "test.done", std::to_string(i), "{}"}); }));
  const auto first = get("/api/node/audit?limit=5");
  ASSERT_EQ(first.root()["items"].size(), 5U);
  EXPECT_EQ(first.root()["items"].at(0)["subject"].text_or(""), "6") << "newest first";
  const auto rest = get("/api/node/audit?limit=5&cursor=" + net::percent_encoded(first.root()["next"].text_or("")));
  EXPECT_EQ(rest.root()["items"].size(), 2U);
  EXPECT_EQ(get("/api/node/audit?action=nothing").root()["items"].size(), 0U);
  const auto whole = net::JsonDocument::parse(ask(Method::post, "/api/node/audit/verify").body);
  EXPECT_EQ(whole->root()["whole"].boolean(), true);
  EXPECT_EQ(whole->root()["entries"].integer(), 7);
  ASSERT_TRUE(state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE audit SET subject = 'x' WHERE seq = 3"));
    return {};
  }));
  const auto broken = net::JsonDocument::parse(ask(Method::post, "/api/node/audit/verify").body);
  EXPECT_EQ(broken->root()["whole"].boolean(), false);
}

TEST_F(NodeTest, SourcesSayWhereOthersMayDeliver) {
  const auto page = net::JsonDocument::parse(ask(Method::get, "/api/sources").body).value();
  const auto inlets = page.root()["inlets"];
  ASSERT_EQ(inlets.size(), 3U);
  EXPECT_EQ(inlets.at(0).to_text(), R"({"kind":"http","address":"0.0.0.0","port":9200})");
  EXPECT_EQ(inlets.at(1)["transport"].text_or(""), "tls");
  EXPECT_EQ(inlets.at(2)["topics"].at(0).text_or(""), "windows");
  EXPECT_FALSE(inlets.at(2)["port"]) << "this node fetches there";
}

TEST_F(NodeTest, ANodeWithoutAHubSaysSoInsteadOfFailing) {
  for (const char* path :
       {"/api/node/warnings", "/api/notices", "/api/node/exposure", "/api/node/blocks", "/api/left-us",
        "/api/left-us/requests", "/api/left-us/days", "/api/purges", "/api/node/orders", "/api/formats", "/api/sources",
        "/api/node/lists", "/api/intake-tokens", "/api/contacts", "/api/mandate"})
    get(path);
  for (const char* path : {"/api/node/warnings/w/seen", "/api/node/blocks/stop", "/api/purges/n/yes",
                           "/api/mandate/test", "/api/contacts/confirm", "/api/setup/steps/enrol", "/api/node/taken"})
    EXPECT_EQ(ask(Method::post, path, R"({"why":"x"})").status, 404) << path;
  EXPECT_EQ(ask(Method::get, "/api/setup").status, 404);
}

TEST_F(NodeTest, WithoutARightNothingIsReadOrDone) {
  scope = event::Scope("nobody", {kHere}, 0, event::Tlp::red);
  for (const net::Route& r : router.routes()) {
    if (r.stream) continue;
    std::string path = r.pattern;
    for (auto open = path.find('{'); open != std::string::npos; open = path.find('{'))
      path.replace(open, path.find('}') - open + 1, "1");
    EXPECT_EQ(ask(r.method, path).status, 403) << r.pattern;
  }
}

}  // namespace
}  // namespace bavn::show::api::testing
