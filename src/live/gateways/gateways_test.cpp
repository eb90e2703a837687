#include "live/gateways/gateways.hpp"

#include "base/encoding.hpp"
#include "base/text.hpp"
#include "live/testing.hpp"
#include "net/json_value.hpp"

namespace bavn::live::testing {
namespace {

using namespace std::chrono_literals;

class GatewayTest : public ::testing::Test {
 protected:
  void SetUp() override {
    node.options.queue_bytes = 50'000;
    node.open();
    start();
    auto made = tokens->issue(owner(), "shipper", MunicipalityId{101}, TenantId{1}, "");
    ASSERT_TRUE(made) << to_string(made.error());
    token = *made;
  }
  /// What a process has beside its pipeline. After node.open(): another life.
  void start() {
    ids.reset();
    tokens.reset();
    auto opened = IntakeTokens::open(*node.state);
    ASSERT_TRUE(opened) << to_string(opened.error());
    tokens = std::move(*opened);
    auto known = RecordIds::open(node.sim, node.pipeline->history(), {.folder = "/data", .most = 1000});
    ASSERT_TRUE(known) << to_string(known.error());
    ids = std::move(*known);
    book = std::make_unique<GatewayBook>(node.sim, *node.state);
    router = std::make_unique<net::Router>();
    router->authenticate([&](const net::Request& q) { return tokens->authenticate(q); });
    const Gateways g{node.sim, *tokens, *node.pipeline, *ids, *book, options};
    add_intake_routes(*router, *tokens, *node.pipeline);
    add_elastic_routes(*router, g);
    add_hec_routes(*router, g);
  }
  net::Request request(net::Method method, std::string_view target, std::string body = {},
                       const std::string& scheme = "ApiKey") {
    auto q = net::request_for(method, target);
    EXPECT_TRUE(q) << target;
    const bool packed = scheme == "ApiKey" || scheme == "Basic";
    q->headers.set("Authorization", scheme + " " + (packed ? to_base64("some-name:" + token) : token));
    q->headers.set("User-Agent", "made-up/1.0");
    q->body = std::move(body);
    return std::move(*q);
  }
  net::Reply ask(net::Request q) {
    std::optional<net::Reply> got;
    router->handle(std::move(q), [&](net::Reply r) { got = std::move(r); });
    node.sim.run_until([&] { return got.has_value(); });
    EXPECT_TRUE(got.has_value());
    return got ? *got : net::Reply{};
  }
  net::Reply post(std::string_view target, std::string body, const std::string& scheme = "ApiKey") {
    return ask(request(net::Method::post, target, std::move(body), scheme));
  }
  std::string doc(std::uint64_t n) { return record(node.now(), "Send", "kari", n); }
  std::uint64_t stored() { return node.pipeline->history().stats().records; }
  std::vector<std::string> lines() {
    std::vector<std::string> out;
    EXPECT_TRUE(
        node.pipeline->history().for_each_frame(owner(), {}, {}, [&](const auto&, const history::FrameText& text) {
          for (const std::string_view l : split(text.lines(), '\n')) out.emplace_back(l);
          return true;
        }));
    return out;
  }
  SimNode node;
  GatewayOptions options;
  std::unique_ptr<IntakeTokens> tokens;
  std::unique_ptr<RecordIds> ids;
  std::unique_ptr<GatewayBook> book;
  std::unique_ptr<net::Router> router;
  std::string token;
};

std::vector<std::int64_t> statuses(const std::string& body) {
  const auto document = net::JsonDocument::parse(body);
  EXPECT_TRUE(document) << body;
  std::vector<std::int64_t> out;
  if (document)
    for (const auto item : document->root()["items"])
      for (const auto result : item) out.push_back(result["status"].integer().value_or(-1));
  return out;
}

TEST_F(GatewayTest, WhatIsRefusedBeforeAHandlerSeesItIsAnErrorThatElasticsClientsCanRead) {
  const auto said = [&](net::Request q, int status, std::string_view type) {
    const std::string path = q.path;
    const auto r = ask(std::move(q));
    EXPECT_EQ(r.status, status) << path;
    EXPECT_TRUE(r.headers.find("Content-Type")->starts_with("application/json"))
        << path << *r.headers.find("Content-Type");
    EXPECT_NE(r.headers.find("X-Elastic-Product"), nullptr) << path;
    const auto read = net::JsonDocument::parse(r.body);
    ASSERT_TRUE(read) << r.body;
    EXPECT_EQ(read->root()["error"]["type"].text_or(""), type) << r.body;
    EXPECT_FALSE(read->root()["error"]["reason"].text_or("").empty()) << r.body;
    EXPECT_EQ(read->root()["status"].integer().value_or(0), status);
  };
  auto stranger = request(net::Method::post, "/_bulk", "{}\n");
  stranger.headers.set("Authorization", "ApiKey nobody");
  said(std::move(stranger), 401, "security_exception");
  said(request(net::Method::get, "/some-index/_search"), 404, "resource_not_found_exception");
  said(request(net::Method::del, "/elastic/_bulk"), 405, "illegal_argument_exception");
  auto create = request(net::Method::put, "/some-index");
  create.headers.set("Accept", "application/vnd.elasticsearch+json; compatible-with=8");
  said(std::move(create), 404, "resource_not_found_exception");
  // A connection polishes what it refuses itself, as when there is no room, with the same guard.
  auto full = request(net::Method::post, "/_bulk");
  net::Reply busy = net::problem(503, "Unavailable", "the intake is full");
  router->polish(full, busy);
  EXPECT_TRUE(busy.body.contains("es_rejected_execution_exception")) << busy.body;
  EXPECT_NE(busy.headers.find("Retry-After"), nullptr);
  // Others read what they always did.
  EXPECT_TRUE(ask(request(net::Method::get, "/services/nothing"))
                  .headers.find("Content-Type")
                  ->starts_with("application/problem+json"));
}

TEST_F(GatewayTest, WhatIsRefusedBeforeAHandlerSeesItIsSaidInHecsWordsToThoseWhoSpeakIt) {
  const auto polished = [&](const char* path, int status) {
    net::Reply reply = net::problem(status, "Refused", "because");
    auto q = request(net::Method::post, path, {}, "Splunk");
    router->polish(q, reply);
    EXPECT_EQ(reply.status, status) << path;
    EXPECT_TRUE(reply.headers.find("Content-Type")->starts_with("application/json")) << path;
    return reply.body;
  };
  EXPECT_EQ(polished("/services/collector/event", 413), R"({"text":"Request entity too large","code":27})");
  EXPECT_EQ(polished("/services/collector", 400), R"({"text":"Invalid data format","code":6})");
  EXPECT_EQ(polished("/services/collector/raw", 415), R"({"text":"Invalid data format","code":6})");
  EXPECT_EQ(polished("/services/collector/raw", 503), R"({"text":"Server is busy","code":9})");
  EXPECT_EQ(polished("/services/collector/raw", 500), R"({"text":"Internal server error","code":8})");
  EXPECT_TRUE(polished("/_bulk", 413).contains("illegal_argument_exception"));
  const auto nowhere = ask(request(net::Method::post, "/services/collector/nothing", {}, "Splunk"));
  EXPECT_EQ(nowhere.status, 404);
  EXPECT_EQ(nowhere.body, R"({"text":"The requested URL was not found on this server.","code":404})");
  const auto method = ask(request(net::Method::get, "/services/collector/event", {}, "Splunk"));
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.body, R"({"text":"Method Not Allowed","code":405})");
}

TEST_F(GatewayTest, WhatShippersAskFirstIsAnsweredAsTheyWantIt) {
  for (const char* prefix : {"", "/elastic"}) {
    const auto hello = ask(request(net::Method::get, std::string(prefix) + "/"));
    EXPECT_EQ(hello.status, 200);
    ASSERT_NE(hello.headers.find("X-Elastic-Product"), nullptr);
    EXPECT_EQ(*hello.headers.find("X-Elastic-Product"), "Elasticsearch");
    const auto document = net::JsonDocument::parse(hello.body);
    ASSERT_TRUE(document);
    EXPECT_EQ(document->root()["version"]["number"].text_or(""), "8.11.0");
    EXPECT_EQ(document->root()["tagline"].text_or(""), "You Know, for Search");
    EXPECT_EQ(ask(request(net::Method::head, std::string(prefix) + "/")).status, 200);
    const auto license = ask(request(net::Method::get, std::string(prefix) + "/_license?human=false"));
    EXPECT_EQ(net::JsonDocument::parse(license.body)->root()["license"]["status"].text_or(""), "active")
        << license.body;
    for (const char* path : {"/_cluster/health", "/_nodes", "/_nodes/http", "/_ilm/policy/filebeat",
                             "/_index_template/filebeat-8.11.0", "/_ingest/pipeline/x", "/_xpack"})
      EXPECT_EQ(ask(request(net::Method::get, std::string(prefix) + path)).status, 200) << path;
    EXPECT_EQ(ask(request(net::Method::put, std::string(prefix) + "/_index_template/filebeat", "{}")).status, 200);
  }
}

TEST_F(GatewayTest, BulkAnswersInTheOrderAndSpellingThatShippersSearchFor) {
  const auto reply = post(
      "/_bulk", "{\"create\":{\"_index\":\"logs\"}}\n" + doc(1) + "\n{\"index\":{\"_id\":\"a\"}}\n" + doc(2) + "\n");
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.body.find("\"errors\":false,\"items\":["), std::string::npos) << reply.body;
  EXPECT_EQ(statuses(reply.body), (std::vector<std::int64_t>{201, 201}));
  EXPECT_NE(reply.headers.find("X-Elastic-Product"), nullptr);
  EXPECT_TRUE(reply.body.find("{\"create\":{\"_index\":\"logs\",") != std::string::npos) << reply.body;
  const auto kept = lines();
  ASSERT_EQ(kept.size(), 2U);
  EXPECT_TRUE(kept[0].ends_with(",\"_index\":\"logs\"}")) << kept[0];
  EXPECT_TRUE(kept[1].ends_with(",\"_id\":\"a\"}")) << kept[1];
  // What was answered is there when the power goes.
  node.sim.files().cut_power();
  node.open();
  EXPECT_EQ(stored(), 2U);
}

TEST_F(GatewayTest, EachItemHasItsOwnFateAndTheOthersAreStored) {
  const auto reply = post(
      "/filebeat-8.11.0/_bulk",
      "{\"create\":{}}\n" + doc(1) + "\n{\"create\":{}}\n{\"broken\": tru}\n{\"delete\":{\"_id\":\"a\"}}\n" +
          "{\"update\":{\"_id\":\"a\"}}\n{\"doc\":{}}\n{\"create\":{}}\nno document\n{\"index\":{}}\n" + doc(2) + "\n");
  EXPECT_EQ(reply.status, 200);
  EXPECT_NE(reply.body.find("\"errors\":true"), std::string::npos);
  EXPECT_EQ(statuses(reply.body), (std::vector<std::int64_t>{201, 400, 400, 400, 400, 201})) << reply.body;
  EXPECT_NE(reply.body.find("document_parsing_exception"), std::string::npos);
  EXPECT_NE(reply.body.find("\"_index\":\"filebeat-8.11.0\""), std::string::npos);
  EXPECT_EQ(stored(), 2U);
  node.sim.advance(5s);
  const auto rows = book->list(owner());
  ASSERT_TRUE(rows);
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->at(0).records, 2);
  EXPECT_EQ(rows->at(0).refused, 4);
  EXPECT_EQ(rows->at(0).client, "made-up/1.0");
}

TEST_F(GatewayTest, ADocumentThatLooksLikeAnEnvelopeIsOneRecord) {
  const auto reply = post(
      "/_bulk", "{\"create\":{}}\n{\"records\":[{\"a\":1},{\"a\":2}]}\n{\"create\":{}}\n{\"a\":\n{\"create\":{}}\n" +
                    doc(1) + "\n");
  EXPECT_EQ(statuses(reply.body), (std::vector<std::int64_t>{201, 400, 201})) << reply.body;
  EXPECT_EQ(stored(), 2U);
}

TEST_F(GatewayTest, ARecordWithAnIdIsStoredOnceInWhateverGroupItComesAgain) {
  const std::string one = doc(1), two = doc(2);
  EXPECT_EQ(
      statuses(
          post("/_bulk", "{\"index\":{\"_id\":\"1\"}}\n" + one + "\n{\"index\":{\"_id\":\"1\"}}\n" + one + "\n").body),
      (std::vector<std::int64_t>{201, 200}));
  EXPECT_EQ(
      statuses(
          post("/_bulk", "{\"create\":{\"_id\":\"2\"}}\n" + two + "\n{\"index\":{\"_id\":1}}\n" + one + "\n").body),
      (std::vector<std::int64_t>{201, 200}));
  const auto again = post("/_bulk", "{\"create\":{\"_id\":\"2\"}}\n" + two + "\n");
  EXPECT_EQ(statuses(again.body), (std::vector<std::int64_t>{409}));
  EXPECT_NE(again.body.find("version_conflict_engine_exception"), std::string::npos);
  EXPECT_EQ(stored(), 2U);
  // Another content under the id is another version: evidence is not written over, and nothing is lost.
  EXPECT_EQ(statuses(post("/_bulk", "{\"index\":{\"_id\":\"1\"}}\n" + two + "\n").body),
            (std::vector<std::int64_t>{201}));
  EXPECT_EQ(stored(), 3U);
  EXPECT_EQ(statuses(post("/other/_bulk", "{\"create\":{\"_id\":\"2\"}}\n" + two + "\n").body),
            (std::vector<std::int64_t>{201}))
      << "an id belongs to its index";
}

TEST_F(GatewayTest, IdsAreKnownAfterAnyDeath) {
  std::string all;
  for (std::uint64_t n = 0; n < 20; ++n)
    all += "{\"create\":{\"_index\":\"i\",\"_id\":\"ae\\\"" + std::to_string(n) + "\"}}\n" + doc(n) + "\n";
  EXPECT_EQ(post("/_bulk", all).status, 200);
  EXPECT_EQ(stored(), 20U);
  node.sim.files().cut_power();  // nothing of the file of ids was synced
  node.open();
  start();
  EXPECT_EQ(ids->read_again(), 20U);
  const auto reply = post("/_bulk", all);
  EXPECT_EQ(statuses(reply.body), std::vector<std::int64_t>(20, 409));
  EXPECT_EQ(stored(), 20U);
  start();  // stopped in order: the file has them
  EXPECT_EQ(post("/_bulk", all).body.find("201"), std::string::npos);
  EXPECT_EQ(stored(), 20U);
}

TEST_F(GatewayTest, ADamagedFileOfIdsCostsNothingThatWasStoredSince) {
  const std::string body = "{\"index\":{\"_id\":\"x\"}}\n" + doc(1) + "\n";
  EXPECT_EQ(post("/_bulk", body).status, 200);
  ASSERT_TRUE(ids->flush());
  ids.reset();
  for (const char* name : {"/data/record_ids.0", "/data/record_ids.1"})
    if (node.sim.files().exists(name)) {
      auto file = node.sim.files().open(name, OpenMode::write);
      ASSERT_TRUE(file);
      ASSERT_TRUE((*file)->pwrite(40, "damage"));
    }
  start();
  EXPECT_EQ(statuses(post("/_bulk", body).body), (std::vector<std::int64_t>{200}));
  EXPECT_EQ(stored(), 1U);
}

TEST_F(GatewayTest, OldIdsGoWhenThereAreMoreThanTheLimit) {
  for (std::uint64_t batch = 0; batch < 12; ++batch) {
    std::string all;
    for (std::uint64_t n = 0; n < 100; ++n)
      all += "{\"create\":{\"_id\":\"" + std::to_string(batch * 100 + n) + "\"}}\n" + doc(n) + "\n";
    EXPECT_EQ(post("/_bulk", all).status, 200);
  }
  EXPECT_LE(ids->size(), 1000U);
  EXPECT_GE(ids->size(), 500U);
  EXPECT_EQ(statuses(post("/_bulk", "{\"create\":{\"_id\":\"1199\"}}\n" + doc(99) + "\n").body),
            (std::vector<std::int64_t>{409}));
  start();
  EXPECT_EQ(statuses(post("/_bulk", "{\"create\":{\"_id\":\"1199\"}}\n" + doc(99) + "\n").body),
            (std::vector<std::int64_t>{409}));
}

TEST_F(GatewayTest, AnIdThatIsBeingStoredTurnsTheOtherRequestAway) {
  const std::string body = "{\"create\":{\"_id\":\"1\"}}\n" + doc(1) + "\n";
  std::vector<int> got;
  for (int n = 0; n < 2; ++n)
    router->handle(request(net::Method::post, "/_bulk", body), [&](net::Reply r) {
      got.push_back(r.status);
      EXPECT_EQ(r.status == 503, r.headers.find("Retry-After") != nullptr);
    });
  node.sim.run_until([&] { return got.size() == 2; });
  std::sort(got.begin(), got.end());
  EXPECT_EQ(got, (std::vector<int>{200, 503}));
  EXPECT_EQ(statuses(post("/_bulk", body).body), (std::vector<std::int64_t>{409}));
  EXPECT_EQ(stored(), 1U);
}

TEST_F(GatewayTest, WhatFailedMayBeSentAgainUnderItsId) {
  const std::string body = "{\"create\":{\"_id\":\"1\"}}\n" + doc(1) + "\n";
  node.sim.files().fail_at(1, SimFiles::Fault::no_space, 2);
  EXPECT_EQ(post("/_bulk", body).status, 503);
  node.sim.advance(5s);
  EXPECT_EQ(statuses(post("/_bulk", body).body), (std::vector<std::int64_t>{201}));
  EXPECT_EQ(stored(), 1U);
}

TEST_F(GatewayTest, FullTurnsTheWholeRequestAwayBeforeAnythingIsKept) {
  std::string body, events;
  std::uint64_t n = 0;
  while (body.size() < 30'000) {
    body += "{\"create\":{}}\n" + doc(++n) + "\n";
    events += "{\"event\":" + doc(n) + "}";
  }
  std::map<int, int> seen;
  for (int i = 0; i < 6; ++i)
    router->handle(
        request(net::Method::post, i % 2 == 0 ? "/_bulk" : "/services/collector", i % 2 == 0 ? body : events, "Bearer"),
        [&](net::Reply r) {
          ++seen[r.status];
          EXPECT_EQ(r.status == 503, r.headers.find("Retry-After") != nullptr);
        });
  node.sim.advance(1ms);
  node.settle();
  EXPECT_EQ(seen[200] + seen[503], 6);
  EXPECT_GT(seen[503], 0);
  EXPECT_EQ(stored(), n * static_cast<std::uint64_t>(seen[200]));
  EXPECT_EQ(ask(request(net::Method::get, "/_cluster/health")).status, 200);
}

TEST_F(GatewayTest, WholeBulkRequestsThatCannotBeReadAreRefusedWithTheReason) {
  for (const auto& [body, reason] :
       std::map<std::string, std::string>{{"", "request body is required"},
                                          {"\n\n", "request body is required"},
                                          {"{\"create\":{}}\n{}", "must be terminated by a newline"},
                                          {"{\"create\":{}}\n", "has no document"},
                                          {"[]\n{}\n", "Malformed action/metadata line [1]"},
                                          {"{\"create\":{}}\n{}\n{\"upsert\":{}}\n{}\n", "line [3]"},
                                          {"{\"create\":[]}\n{}\n", "expected START_OBJECT"},
                                          {"{\"create\":{\"_id\":{}}}\n{}\n", "is no text"}}) {
    const auto reply = post("/_bulk", body);
    EXPECT_EQ(reply.status, 400) << body;
    EXPECT_NE(reply.body.find(reason), std::string::npos) << reply.body;
    EXPECT_NE(reply.body.find("\"status\":400"), std::string::npos);
  }
  EXPECT_EQ(stored(), 0U);
  node.sim.advance(5s);
  const auto rows = book->list(owner());
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->at(0).faults, 8);
  EXPECT_FALSE(rows->at(0).fault.empty());
}

TEST_F(GatewayTest, ATokenIsCarriedAsEachProductCarriesItsOwn) {
  const std::string body = "{\"create\":{}}\n" + doc(1) + "\n";
  for (const char* scheme : {"ApiKey", "Basic", "Bearer", "Splunk"})
    EXPECT_EQ(post("/_bulk", body, scheme).status, 200) << scheme;
  auto pasted = request(net::Method::post, "/_bulk", body);
  pasted.headers.set("Authorization", "ApiKey " + token);
  EXPECT_EQ(ask(std::move(pasted)).status, 200);
  for (const std::string& header : std::vector<std::string>{"ApiKey !!!", "Basic " + to_base64("elastic:changeme"),
                                                            "Bearer bavn_in_made-up", "Splunk", ""}) {
    auto q = request(net::Method::post, "/_bulk", body);
    q.headers.set("Authorization", header);
    EXPECT_EQ(ask(std::move(q)).status, 401) << header;
  }
  EXPECT_EQ(stored(), 5U);
}

// ---- Splunk's collector

std::pair<int, std::int64_t> said(const net::Reply& r) {
  const auto document = net::JsonDocument::parse(r.body);
  EXPECT_TRUE(document) << r.body;
  return {r.status, document ? document->root()["code"].integer().value_or(-1) : -1};
}
using Said = std::pair<int, std::int64_t>;

TEST_F(GatewayTest, EventsComeOneAfterTheOtherWithAllThatIsSaidOfThem) {
  const auto reply = post(
      "/services/collector/event?host=from-query",
      R"({"time":1768032000.5,"host":"fw1","sourcetype":"cisco:asa","index":"net","fields":{"zone":"a"},"event":"Jan 10 08:00:00 fw1 %ASA-6-302013: Built"})"
      "{\"event\":{\"a\":1,\n \"b\":\"x\"}}\r\n {\"event\":{}} {\"event\":17}",
      "Splunk");
  EXPECT_EQ(reply.body, R"({"text":"Success","code":0})");
  const auto kept = lines();
  ASSERT_EQ(kept.size(), 4U);
  const std::set<std::string> all(kept.begin(), kept.end());
  EXPECT_TRUE(all.contains(
      R"({"_time":1768032000.5,"host":"fw1","sourcetype":"cisco:asa","index":"net","fields":{"zone":"a"},"_raw":"Jan 10 08:00:00 fw1 %ASA-6-302013: Built"})"))
      << kept[0];
  EXPECT_TRUE(all.contains(R"({"a":1,  "b":"x","splunk":{"host":"from-query"}})"));
  EXPECT_TRUE(all.contains(R"({"splunk":{"host":"from-query"}})"));
  EXPECT_TRUE(all.contains(R"({"host":"from-query","sourcetype":"httpevent","_raw":"17"})"));
  node.sim.advance(5s);
  EXPECT_EQ(book->list(owner())->at(0).way, "hec");
  EXPECT_EQ(book->list(owner())->at(0).records, 4);
}

TEST_F(GatewayTest, ABrokenEventRefusesTheWholeRequestAndIsNamed) {
  const auto broken = post("/services/collector", R"({"event":"a"}{"event":"b"}{"event":)", "Splunk");
  EXPECT_EQ(broken.status, 400);
  EXPECT_EQ(broken.body, R"({"text":"Invalid data format","code":6,"invalid-event-number":2})");
  EXPECT_EQ(said(post("/services/collector", "", "Splunk")), (Said{400, 5}));
  EXPECT_EQ(said(post("/services/collector", "{\"time\":1}", "Splunk")), (Said{400, 12}));
  EXPECT_EQ(said(post("/services/collector", "{\"event\":\"\"}", "Splunk")), (Said{400, 13}));
  EXPECT_EQ(said(post("/services/collector", "{\"event\":\"a\",\"fields\":[1]}", "Splunk")), (Said{400, 15}));
  EXPECT_EQ(stored(), 0U);
}

TEST_F(GatewayTest, EventsThatAreNotUtf8AreReadAsWindows1252) {
  EXPECT_EQ(said(post("/services/collector",
                      "{\"event\":\"r\xf8"
                      "d\"}",
                      "Splunk")),
            (Said{200, 0}));
  EXPECT_EQ(lines(), (std::vector<std::string>{R"({"sourcetype":"httpevent","_raw":"rød"})"}));
}

TEST_F(GatewayTest, RawLinesStayAsTheyAreUnlessSomethingIsSaidOfThem) {
  const std::string line = "Jan 10 08:00:00 fw1 sshd[17]: Failed password for root from 192.0.2.7 port 22 ssh2";
  EXPECT_EQ(said(post("/services/collector/raw", line + "\r\n\n" + line + "\n", "Splunk")), (Said{200, 0}));
  EXPECT_EQ(lines(), (std::vector<std::string>{line, line}));
  EXPECT_EQ(said(post("/services/collector/raw/1.0?sourcetype=linux_secure&host=fw%221", line, "Splunk")),
            (Said{200, 0}));
  EXPECT_EQ(stored(), 3U);
  const auto kept = lines();
  EXPECT_EQ(
      std::count(kept.begin(), kept.end(), R"({"host":"fw\"1","sourcetype":"linux_secure","_raw":")" + line + "\"}"),
      1);
}

TEST_F(GatewayTest, TokensAndChannelsAreSpokenOfAsTheCollectorDoes) {
  auto none = request(net::Method::post, "/services/collector", "{\"event\":\"a\"}");
  none.headers = {};
  EXPECT_EQ(said(ask(none)), (Said{401, 2}));
  none.query["token"] = token;
  EXPECT_EQ(said(ask(none)), (Said{400, 16}));
  options.hec_query_token = true;
  start();
  EXPECT_EQ(said(ask(none)), (Said{200, 0}));
  none.headers.set("Authorization", "Splunk bavn_in_made-up");
  EXPECT_EQ(said(ask(none)), (Said{403, 4}));
  none.headers.set("Authorization", "nonsense");
  EXPECT_EQ(said(ask(none)), (Said{401, 3}));
  EXPECT_EQ(said(post("/services/collector?channel=1", "{\"event\":\"a\"}", "Splunk")), (Said{400, 11}));
  EXPECT_EQ(said(ask(request(net::Method::get, "/services/collector/health/1.0", "", "Splunk"))), (Said{200, 17}));
  auto health = request(net::Method::get, "/services/collector/health", "", "Splunk");
  health.headers.set("Authorization", "Splunk made-up");
  EXPECT_EQ(said(ask(health)), (Said{400, 4}));
  EXPECT_EQ(stored(), 1U);
}

TEST_F(GatewayTest, AnAckIdIsGivenWhenTheEventsAreOnDiskAndHoldsInTheNextLife) {
  const std::string channel = "?channel=FE0ECFAD-13D5-401B-847D-77833BD77131";
  const auto reply = post("/services/collector/event" + channel, "{\"event\":\"a\"}", "Splunk");
  const auto id = net::JsonDocument::parse(reply.body)->root()["ackId"].integer();
  ASSERT_TRUE(id) << reply.body;
  const auto asked = [&](std::int64_t n) {
    return post("/services/collector/ack" + channel, "{\"acks\":[" + std::to_string(n) + "]}", "Splunk").body;
  };
  EXPECT_EQ(asked(*id), "{\"acks\":{\"" + std::to_string(*id) + "\":true}}");
  EXPECT_EQ(asked(*id + 1), "{\"acks\":{\"" + std::to_string(*id + 1) + "\":false}}");
  node.sim.files().cut_power();
  node.sim.advance(1s);
  node.open();
  start();
  EXPECT_EQ(stored(), 1U);
  EXPECT_EQ(asked(*id), "{\"acks\":{\"" + std::to_string(*id) + "\":true}}");
  EXPECT_EQ(said(post("/services/collector/ack", "{\"acks\":[1]}", "Splunk")), (Said{400, 10}));
  EXPECT_EQ(said(post("/services/collector/ack" + channel, "{\"acks\":1}", "Splunk")), (Said{400, 6}));
}

TEST_F(GatewayTest, AFormatOfTheTokenIsForDocumentsOnlyWhereItReadsThem) {
  options.reads_documents = [](const std::string& format) { return format == "m365_audit"; };
  start();
  auto made = tokens->issue(owner(), "asa", MunicipalityId{101}, TenantId{1}, "cisco_asa");
  ASSERT_TRUE(made);
  token = *made;
  EXPECT_EQ(statuses(post("/_bulk",
                          "{\"create\":{}}\n{\"@timestamp\":\"2026-01-10T08:00:00Z\",\"ecs\":{\"version\":\"8\"},"
                          "\"message\":\"x\"}\n")
                         .body),
            (std::vector<std::int64_t>{201}));
}

}  // namespace
}  // namespace bavn::live::testing
