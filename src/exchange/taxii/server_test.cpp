#include <fmt/format.h>

#include <set>

#include "base/encoding.hpp"
#include "exchange/stix/names.hpp"
#include "exchange/taxii/testing.hpp"

namespace bavn::exchange::taxii {
namespace {

using namespace std::chrono_literals;
using namespace testing;
using net::Method;

class TaxiiServer : public ::testing::Test {
 protected:
  std::string header(const Answer& a, const char* name) {
    const std::string* v = a.headers.find(name);
    return v == nullptr ? "" : *v;
  }
  log::Capture quiet_;
  Sim sim{7};
  Hub hub{sim};
};

TEST_F(TaxiiServer, DiscoveryRootAndCollectionsHaveWhatClientsNeedWithAndWithoutASlash) {
  for (const std::string slash : {"", "/"}) {
    const auto discovery = hub.get("green", "/taxii2" + slash);
    EXPECT_EQ(discovery.status, 200);
    EXPECT_EQ(header(discovery, "Content-Type"), kMedia);
    EXPECT_EQ(discovery["title"].text_or(""), "Test CERT");
    EXPECT_EQ(discovery["api_roots"].at(0).text_or(""), "https://hub.example/taxii2/hub/");
    const auto root = hub.get("green", "/taxii2/hub" + slash);
    EXPECT_EQ(root["versions"].at(0).text_or(""), kMedia);
    EXPECT_EQ(root["max_content_length"].integer(), 10 << 20);
    ASSERT_EQ(hub.get("green", "/taxii2/hub/collections" + slash)["collections"].size(), 3U);
    const auto one = hub.get("green", "/taxii2/hub/collections/from-1" + slash);
    EXPECT_EQ(one["can_write"].boolean(), true);
    EXPECT_TRUE(stix::is_uuid(one["id"].text_or("")));
    EXPECT_EQ(one["media_types"].at(0).text_or(""), "application/stix+json;version=2.1");
    EXPECT_EQ(hub.get("green", "/taxii2/hub/collections/" + std::string(one["id"].text_or("")) + slash).body, one.body);
  }
}

TEST_F(TaxiiServer, MediaTypesAreAskedForAndErrorsAreOfTaxii) {
  const auto status = [&](const std::string& who, Method m, const std::string& path,
                          const std::vector<std::pair<std::string, std::string>>& headers,
                          const std::string& body = "{}") {
    const auto a = hub.ask(who, m, path, body, headers);
    if (a.status >= 400) {
      EXPECT_EQ(header(a, "Content-Type"), kMedia) << a.body;
      EXPECT_EQ(a["http_status"].text_or(""), std::to_string(a.status));
      EXPECT_FALSE(a["title"].text_or("").empty());
    }
    return a.status;
  };
  const std::string own = Hub::objects("from-1");
  EXPECT_EQ(status("", Method::get, "/taxii2/", {{"Accept", kMedia}}), 401);
  EXPECT_EQ(status("green", Method::get, "/taxii2/", {}), 406);
  EXPECT_EQ(status("green", Method::get, "/taxii2/", {{"Accept", "application/taxii+json;version=2.0"}}), 406);
  EXPECT_EQ(status("green", Method::get, "/taxii2/", {{"Accept", "text/html, */*"}}), 406);
  EXPECT_EQ(status("green", Method::get, "/taxii2/", {{"Accept", "application/taxii+json;q=0"}}), 406);
  EXPECT_EQ(
      status("green", Method::get, "/taxii2/", {{"Accept", "text/html, Application/TAXII+json; version=\"2.1\""}}),
      200);
  EXPECT_EQ(status("green", Method::get, "/taxii2/", {{"Accept", "application/taxii+json"}}), 200);
  EXPECT_EQ(status("green", Method::post, own, {{"Accept", kMedia}, {"Content-Type", "application/json"}}), 415);
  EXPECT_EQ(status("green", Method::post, own, {{"Accept", kMedia}}), 415);
  EXPECT_EQ(status("green", Method::post, own, {{"Content-Type", kMedia}}), 406);
  EXPECT_EQ(status("green", Method::get, "/taxii2/other/", {{"Accept", kMedia}}), 404);
  EXPECT_EQ(status("green", Method::get, "/taxii2/hub/collections/nothing/", {{"Accept", kMedia}}), 404);
  EXPECT_EQ(status("green", Method::get, "/taxii2/hub/collections/from-2/", {{"Accept", kMedia}}), 404)
      << "of another partner";
  EXPECT_EQ(status("green", Method::get, Hub::objects("known") + "indicator--" + uuid(1) + "/", {{"Accept", kMedia}}),
            404);
  EXPECT_EQ(status("green", Method::post, Hub::objects("known"), {{"Accept", kMedia}, {"Content-Type", kMedia}}), 403);
  EXPECT_EQ(status("green", Method::del, Hub::objects("known") + "identity--" + uuid(1) + "/", {{"Accept", kMedia}}),
            403);
  EXPECT_EQ(status("green", Method::get, "/taxii2/hub/status/" + uuid(1) + "/", {{"Accept", kMedia}}), 404);
  EXPECT_EQ(status("green", Method::post, own, {{"Accept", kMedia}, {"Content-Type", kMedia}},
                   std::string((10U << 20U) + 1, ' ')),
            413);
  // What the router and the web server say by themselves, at the door of the site.
  const auto refused = [&](const char* path, net::Reply reply) {
    auto q = net::request_for(Method::put, path).value();
    if (asked_of_taxii(q)) in_taxiis_words(reply);
    return reply;
  };
  net::Reply other = net::problem(405, "Method not allowed", "but GET is");
  other.headers.set("Allow", "GET, HEAD");
  const auto said = refused("/taxii2/hub/", other);
  EXPECT_EQ(*said.headers.find("Content-Type"), kMedia);
  EXPECT_EQ(*said.headers.find("Allow"), "GET, HEAD");
  EXPECT_EQ(said.status, 405);
  EXPECT_EQ(said.body, R"({"title":"Method not allowed","description":"but GET is","http_status":"405"})");
  EXPECT_EQ(refused("/taxii2x", other).body, other.body) << "not below it";
  EXPECT_EQ(refused("/taxii2/", net::text("mine")).body, "mine");
  hub.callers["green"].may_read = false;
  EXPECT_EQ(status("green", Method::get, "/taxii2/hub/collections/known/", {{"Accept", kMedia}}), 404);
}

TEST_F(TaxiiServer, WhatWeKnowIsThereUpToTheCeilingAndForTheSector) {
  hub.book("domain", "clear.example", "clear");
  hub.book("domain", "green.example", "green");
  hub.book("url", "amber.example/a'b", "amber");
  hub.book("domain", "red.example", "red");
  hub.book("domain", "odd.example", "violet");
  hub.sql("INSERT INTO exchange_sector (source, sector) VALUES ('clinics', 'health')", {});
  hub.book("domain", "clinic.example", "green", "clinics");
  hub.book("domain", "own.example", "green", "amber: their list");
  const auto seen = [&](const std::string& who, const std::string& collection) {
    std::string out;
    for (const net::JsonValue o :
         hub.get(who, Hub::objects(collection) + "?match[type]=indicator&limit=1000")["objects"])
      out += std::string(o["name"].text_or("")) + " ";
    return out;
  };
  EXPECT_EQ(seen("green", "known"), "domain clear.example domain green.example domain own.example ");
  EXPECT_EQ(seen("amber", "known"), "domain clear.example domain green.example url amber.example/a'b ")
      << "not what is its own";
  EXPECT_EQ(
      seen("health", "known"),
      "domain clear.example domain green.example url amber.example/a'b domain clinic.example domain own.example ");
  EXPECT_EQ(seen("health", "green"),
            "domain clear.example domain green.example domain clinic.example domain own.example ");
  EXPECT_EQ(seen("health", "sector-health"), "domain clinic.example ");
  EXPECT_EQ(seen("anna", "known"),
            "domain clear.example domain green.example url amber.example/a'b domain red.example domain odd.example "
            "domain clinic.example "
            "domain own.example ");
  hub.callers["green"].kinds = {"url"};
  EXPECT_EQ(seen("green", "known"), "");
  // Marked narrower after its object was made, and nobody noticed yet: not given.
  hub.callers["green"].kinds = {};
  hub.sql("DELETE FROM taxii_dirty", {});
  hub.sql("UPDATE hub_indicator SET tlp = 'amber' WHERE value = 'clear.example'", {});
  hub.sql("DELETE FROM taxii_dirty", {});
  EXPECT_EQ(seen("green", "known"), "domain green.example domain own.example ");
}

TEST_F(TaxiiServer, AnIndicatorOfTheBookChangesAndGoes) {
  hub.book("domain", "evil.example", "green", "list", "seen in mails");
  const auto first = hub.get("amber", Hub::objects("known") + "?match[type]=indicator");
  ASSERT_EQ(first["objects"].size(), 1U);
  const auto o = first["objects"].at(0);
  EXPECT_EQ(o["pattern"].text_or(""), "[domain-name:value = 'evil.example']");
  EXPECT_EQ(o["description"].text_or(""), "seen in mails");
  EXPECT_EQ(o["confidence"].integer(), 70);
  EXPECT_EQ(o["created_by_ref"].text_or(""), hub.taxii->author().identity());
  EXPECT_EQ(o["object_marking_refs"].size(), 2U);
  EXPECT_FALSE(first.body.contains("list")) << "the source is not told";
  // The same again is no change; another mark is.
  hub.book("domain", "evil.example", "green", "list", "seen in mails");
  EXPECT_EQ(hub.get("amber", Hub::objects("known") + "?match[type]=indicator").body, first.body);
  sim.advance(10s);
  hub.book("domain", "evil.example", "amber", "list", "seen in mails");
  const std::string after = net::percent_encoded(header(first, "X-TAXII-Date-Added-Last"));
  const auto second = hub.get("amber", Hub::objects("known") + "?added_after=" + after);
  ASSERT_EQ(second.ids(), first.ids());
  EXPECT_EQ(second["objects"].at(0)["created"].text_or("-"), o["created"].text_or(""));
  EXPECT_GT(second["objects"].at(0)["modified"].text_or(""), o["modified"].text_or(""));
  EXPECT_EQ(hub.get("green", Hub::objects("known") + "?match[type]=indicator")["objects"].size(), 0U);
  hub.sql("DELETE FROM hub_indicator", {});
  const auto gone = hub.get("amber", Hub::objects("known") + "?match[type]=indicator");
  ASSERT_EQ(gone.ids(), first.ids());
  EXPECT_EQ(gone["objects"].at(0)["revoked"].boolean(), true);
  EXPECT_FALSE(gone.body.contains("seen in mails"));
  // It comes back under the same id.
  hub.book("domain", "evil.example", "green");
  const auto back = hub.get("amber", Hub::objects("known") + "?match[type]=indicator");
  ASSERT_EQ(back.ids(), first.ids());
  EXPECT_FALSE(back["objects"].at(0)["revoked"]);
  EXPECT_GT(back["objects"].at(0)["modified"].text_or(""), gone["objects"].at(0)["modified"].text_or(""));
  // And is forgotten some time after it went.
  hub.sql("DELETE FROM hub_indicator", {});
  EXPECT_EQ(hub.get("amber", Hub::objects("known") + "?match[type]=indicator")["objects"].size(), 1U);
  sim.advance(std::chrono::hours(24 * 31));
  hub.book("domain", "other.example", "green");
  EXPECT_EQ(hub.get("amber", Hub::objects("known") + "?match[type]=indicator")["objects"].at(0)["name"].text_or(""),
            "domain other.example");
}

TEST_F(TaxiiServer, NeitherStyleOfPagingLosesOrRepeatsAnObjectWhileOthersAreAddedAtTheSameInstant) {
  int n = 0;
  const auto add = [&](int count) {
    for (int i = 0; i < count; ++i) hub.book("domain", fmt::format("d{}.example", n++));
  };
  add(25);  // all in one instant of the virtual clock
  for (const bool by_next : {true, false}) {
    std::vector<std::string> seen;
    std::string next, after;
    for (int pages = 0; pages < 100; ++pages) {
      std::string target = Hub::objects("known") + "?limit=4&match[type]=indicator";
      if (!next.empty()) target += "&next=" + next;
      if (!after.empty()) target += "&added_after=" + net::percent_encoded(after);
      const auto a = hub.get("green", target);
      ASSERT_EQ(a.status, 200) << a.body;
      for (auto& id : a.ids()) seen.push_back(id);
      EXPECT_LE(a.ids().size(), 4U);
      if (a["more"].boolean() == false) {
        EXPECT_TRUE(a.next().empty());
        break;
      }
      if (by_next) next = a.next();
      else after = header(a, "X-TAXII-Date-Added-Last");
      if (pages < 5) add(3);
    }
    EXPECT_EQ(seen.size(), static_cast<std::size_t>(n));
    EXPECT_EQ(std::set(seen.begin(), seen.end()).size(), seen.size());
  }
  // Nobody was told that there is more at the end: the next time begins there and finds what came since.
  const auto last = hub.get("green", Hub::objects("known") + "?limit=1000");
  add(2);
  const auto since = hub.get(
      "green", Hub::objects("known") + "?added_after=" + net::percent_encoded(header(last, "X-TAXII-Date-Added-Last")));
  EXPECT_EQ(since.ids().size(), 2U);
  // Dates in the manifest are all different and in order.
  std::string before;
  const auto manifest = hub.get("green", "/taxii2/hub/collections/known/manifest/?limit=1000");
  for (const net::JsonValue m : manifest["objects"]) {
    EXPECT_LT(before, m["date_added"].text_or(""));
    before = m["date_added"].text_or("");
  }
  EXPECT_EQ(before, header(manifest, "X-TAXII-Date-Added-Last"));
}

TEST_F(TaxiiServer, APositionIsBoundToItsFiltersItsCollectionAndItsOwner) {
  for (int i = 0; i < 9; ++i) hub.book("domain", fmt::format("d{}.example", i));
  const std::string path = Hub::objects("known");
  const auto next = hub.get("amber", path + "?limit=2&match[type]=indicator").next();
  ASSERT_FALSE(next.empty());
  EXPECT_EQ(hub.get("amber", path + "?limit=5&match[type]=indicator&next=" + next).ids().size(), 5U)
      << "another limit may be asked";
  for (const std::string& wrong :
       {path + "?limit=2&next=" + next, path + "?limit=2&match[type]=identity&next=" + next,
        path + "?limit=2&match[type]=indicator&added_after=2020-01-01T00:00:00Z&next=" + next,
        Hub::objects("green") + "?limit=2&match[type]=indicator&next=" + next, path + "?match[type]=indicator&next=abc",
        path + "?match[type]=indicator&next=" + to_base64url("1.0123456789abcdef"),
        path + "?match[type]=indicator&next=", path + "?match[type]=indicator&next=" + std::string(5000, 'A')})
    EXPECT_EQ(hub.get("amber", wrong).status, 400) << wrong;
  EXPECT_EQ(hub.get("health", path + "?limit=2&match[type]=indicator&next=" + next).status, 400);
  for (const char* wrong : {"?limit=0", "?limit=-1", "?limit=a", "?limit=1.5", "?limit=", "?added_after=yesterday",
                            "?added_after=2024-01-01", "?match[version]=newest", "?match[type]=,", "?match[id]="})
    EXPECT_EQ(hub.get("amber", path + wrong).status, 400) << wrong;
  EXPECT_EQ(hub.get("amber", path + "?limit=99999999999999999999").status, 200);
}

TEST_F(TaxiiServer, VersionsAreKeptFilteredListedAndDeleted) {
  const std::string ids[] = {"2024-09-01T00:00:00.000Z", "2024-09-02T00:00:00.000Z", "2024-09-03T00:00:00.000Z"};
  EXPECT_EQ(hub.post("green", envelope({indicator(1, domain(1), ids[1])})).status, 202);
  EXPECT_EQ(hub.post("green", envelope({indicator(1, domain(2), ids[2]), indicator(1, domain(3), ids[0])})).status,
            202);
  EXPECT_EQ(
      hub.post(
             "green",
             envelope(
                 {R"({"type":"domain-name","id":"domain-name--)" + uuid(9) +
                      R"(","value":"evil.example","x_other":[1, 2.50]})",
                  R"({"type":"tool","id":"tool--)" + uuid(5) +
                      R"(","created":"2017-01-01T00:00:00.000Z","modified":"2017-01-01T00:00:00.000Z","name":"x","labels":["x"]})"}))
          .status,
      202);
  const std::string path = Hub::objects("from-1");
  const auto versions = [&](const std::string& query) {
    std::string out;
    for (const net::JsonValue o : hub.get("green", path + query)["objects"])
      out += std::string(o["modified"].text_or("0000-00--").substr(8, 2)) + " ";
    return out;
  };
  EXPECT_EQ(versions("?match[type]=indicator"), "03 ");
  EXPECT_EQ(versions("?match[type]=indicator&match[version]=first"), "01 ");
  EXPECT_EQ(versions("?match[type]=indicator&match[version]=first,last"), "03 01 ") << "in the order they came";
  EXPECT_EQ(versions("?match[type]=indicator&match[version]=all"), "02 03 01 ");
  EXPECT_EQ(versions("?match[version]=2024-09-02T00:00:00Z"), "02 ");
  EXPECT_EQ(versions("?match[spec_version]=2.0"), "01 ");
  EXPECT_EQ(versions("?match[spec_version]=2.0,2.1&match[type]=tool,domain-name"), "- 01 ");
  EXPECT_EQ(versions("?match[id]=tool--" + uuid(5)), "01 ");
  EXPECT_EQ(versions("indicator--" + uuid(1) + "/?match[version]=all"), "02 03 01 ");
  EXPECT_EQ(versions("indicator--" + uuid(1)), "03 ");
  EXPECT_TRUE(hub.get("green", path + "?match[type]=domain-name")
                  .body.contains(R"("value":"evil.example","x_other":[1, 2.50]})"))
      << "byte for byte";
  const auto list = hub.get("green", path + "indicator--" + uuid(1) + "/versions/");
  ASSERT_EQ(list["versions"].size(), 3U);
  EXPECT_EQ(list["versions"].at(0).text_or(""), ids[1]);
  EXPECT_EQ(list["more"].boolean(), false);
  EXPECT_EQ(hub.get("green", path + "indicator--" + uuid(77) + "/versions/").status, 404);
  const auto manifest = hub.get("green", "/taxii2/hub/collections/from-1/manifest/?match[type]=domain-name");
  EXPECT_EQ(manifest["objects"].at(0)["version"].text_or("-"), manifest["objects"].at(0)["date_added"].text_or(""));
  EXPECT_EQ(manifest["objects"].at(0)["media_type"].text_or(""), "application/stix+json;version=2.1");
  const auto del = [&](const std::string& rest) { return hub.ask("green", Method::del, path + rest).status; };
  EXPECT_EQ(del("indicator--" + uuid(1) + "/?match[version]=2020-01-01T00:00:00Z"), 404);
  EXPECT_EQ(del("indicator--" + uuid(1) + "/?match[version]=first"), 200);
  EXPECT_EQ(versions("?match[type]=indicator&match[version]=all"), "02 03 ");
  EXPECT_EQ(del("indicator--" + uuid(1) + "?match[version]=all"), 200);
  EXPECT_EQ(del("indicator--" + uuid(1)), 404);
}

TEST_F(TaxiiServer, AStatusCountsWhatItListsAndIsThereAgain) {
  const std::string good = indicator(1, domain(1));
  const auto check = [&](const Answer& a, std::int64_t successes, std::int64_t failures) {
    EXPECT_EQ(a.status, 202) << a.body;
    EXPECT_EQ(a["status"].text_or(""), "complete");
    EXPECT_EQ(a["success_count"].integer(), successes) << a.body;
    EXPECT_EQ(a["failure_count"].integer(), failures) << a.body;
    EXPECT_EQ(a["pending_count"].integer(), 0);
    EXPECT_EQ(a["total_count"].integer(), successes + failures);
    EXPECT_EQ(static_cast<std::int64_t>(a["successes"].size()), successes);
    EXPECT_EQ(static_cast<std::int64_t>(a["failures"].size()), failures);
    const std::string id(a["id"].text_or(""));
    EXPECT_EQ(hub.get("green", "/taxii2/hub/status/" + id).body, a.body);
    EXPECT_EQ(hub.get("green", "/taxii2/hub/status/" + id + "/").body, a.body);
    EXPECT_EQ(hub.get("amber", "/taxii2/hub/status/" + id + "/").status, 404) << "of another partner";
  };
  check(hub.post("green", envelope({good})), 1, 0);
  check(hub.post("green", envelope({good})), 1, 0);  // present already
  // The same in other words.
  std::string turned = R"({ "pattern_type" : "stix" , )" + good.substr(1);
  turned.erase(turned.rfind(R"("pattern_type":"stix",)"), std::string_view(R"("pattern_type":"stix",)").size());
  check(hub.post("green", envelope({turned})), 1, 0);
  check(hub.post("green", envelope({indicator(1, domain(2))})), 0, 1);  // clash
  check(hub.post("green", R"({"type":"bundle","id":"bundle--1","objects":[)" + indicator(2, domain(2)) + "]}"), 1, 0);
  check(hub.post("green", "{}"), 0, 0);
  ASSERT_FALSE(hub.dropped.empty());
  EXPECT_TRUE(hub.dropped[0].reason.contains("other content"));
}

TEST_F(TaxiiServer, HostileEnvelopesAreRefusedAndBadObjectsAreNamed) {
  std::string deep = "{\"objects\":[";
  for (int i = 0; i < 100; ++i) deep += "[";
  for (const std::string& broken :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"), std::string("{\"objects\":{}}"),
        std::string("{\"objects\":[}"), std::string("{\"objects\":[],\"objects\":[]}"), indicator(1, domain(1)),
        std::string("{\"things\":[]}"), deep, std::string("{\"objects\":[\"\xff\"]}"),
        std::string("{\"type\":\"report\",\"objects\":[]}")}) {
    const auto a = hub.post("green", broken);
    EXPECT_EQ(a.status, 422) << broken.substr(0, 60) << a.body;
    EXPECT_EQ(a["http_status"].text_or(""), "422");
  }
  std::string many = "{\"objects\":[";
  for (int i = 0; i <= 10'000; ++i) many += i == 0 ? "1" : ",1";
  EXPECT_EQ(hub.post("green", many + "]}").status, 422);
  const auto base = [](const std::string& more) {
    return "{\"type\":\"x-thing\",\"id\":\"x-thing--" + uuid(1) + "\"" + more + "}";
  };
  const std::vector<std::pair<std::string, std::string>> bad{
      {"1", "no object"},
      {"{}", "its id is not"},
      {"{\"type\":\"indicator\"}", "its id is not"},
      {"{\"type\":\"indicator\",\"id\":7}", "its id is not"},
      {"{\"type\":\"indicator\",\"id\":\"malware--" + uuid(1) + "\"}", "its id is not"},
      {"{\"type\":\"indicator\",\"id\":\"indicator--1\"}", "its id is not"},
      {"{\"type\":\"../../x\",\"id\":\"../../x--" + uuid(1) + "\"}", "its id is not"},
      {"{\"type\":\"bundle\",\"id\":\"bundle--" + uuid(1) + "\",\"objects\":[]}", "a bundle inside"},
      {base(",\"spec_version\":\"3.0\""), "spec_version"},
      {base(",\"modified\":\"yesterday\""), "modified is no timestamp"},
      {base(",\"created\":12"), "created is no timestamp"},
      {base(",\"created\":\"2024-02-01T00:00:00Z\",\"modified\":\"2024-01-01T00:00:00Z\""), "before it was created"},
      {base(",\"modified\":\"2999-01-01T00:00:00Z\""), "future"},
      {base(",\"modified\":\"1950-01-01T00:00:00Z\""), "before 1970"},
      {base(",\"object_marking_refs\":\"x\""), "no list"},
      {base(",\"x\":\"" + std::string(1U << 20U, 'x') + "\""), "larger than"},
      {base(",\"created_by_ref\":\"" + hub.taxii->author().identity() + "\""), "in our name"},
      {"{\"type\":\"identity\",\"id\":\"" + hub.taxii->author().identity() + "\",\"name\":\"us\"}", "in our name"},
  };
  for (const auto& [object, reason] : bad) {
    const auto a = hub.post("green", envelope({object, R"({"type":"x-fine","id":"x-fine--)" + uuid(4) + "\"}"}));
    ASSERT_EQ(a.status, 202) << object.substr(0, 200) << a.body;
    EXPECT_EQ(a["failure_count"].integer(), 1) << object.substr(0, 200);
    EXPECT_TRUE(std::string(a["failures"].at(0)["message"].text_or("")).contains(reason)) << a.body.substr(0, 500);
    EXPECT_EQ(a["success_count"].integer(), 1) << "the others are taken";
  }
  EXPECT_EQ(hub.dropped.size(), bad.size()) << "each is listed";
  // References in a circle are as good as any.
  const auto circle = hub.post(
      "green",
      envelope(
          {R"({"type":"grouping","id":"grouping--)" + uuid(1) + R"(","object_refs":["grouping--)" + uuid(2) + "\"]}",
           R"({"type":"grouping","id":"grouping--)" + uuid(2) + R"(","object_refs":["grouping--)" + uuid(1) + "\"]}"}));
  EXPECT_EQ(circle["success_count"].integer(), 2);
}

TEST_F(TaxiiServer, AFullCollectionSaysSo) {
  Hub small(sim, {.name = "small", .most_objects = 2});
  const auto a =
      small.post("green", envelope({indicator(1, domain(1)), indicator(2, domain(2)), indicator(3, domain(3))}));
  EXPECT_EQ(a["success_count"].integer(), 2);
  EXPECT_TRUE(std::string(a["failures"].at(0)["message"].text_or("")).contains("full"));
}

TEST_F(TaxiiServer, IndicatorsOfPartnersArePublishedChangedAndWithdrawn) {
  const auto wait = [&] { sim.advance(1s); };
  const auto posted =
      hub.post("amber", envelope({indicator(1, domain(1), "2024-09-01T00:00:00.000Z",
                                            R"(,"confidence":90,"valid_until":"2025-09-01T00:00:00Z","name":"n")"),
                                  indicator(2, "[domain-name:value = 'a.example' OR ipv4-addr:value = '192.0.2.7']"),
                                  indicator(3, "[file:name = 'a.exe'] FOLLOWEDBY [domain-name:value = 'b.example']"),
                                  indicator(4, "[domain-name:value ="),
                                  indicator(5, "alert tcp", "2024-09-01T00:00:00.000Z", R"(,"pattern_type_":1)"),
                                  indicator(6, domain(6), "2024-09-01T00:00:00.000Z",
                                            R"(,"object_marking_refs":["marking-definition--)" + uuid(99) + "\"]")}));
  EXPECT_EQ(posted["success_count"].integer(), 6) << posted.body;
  wait();
  ASSERT_EQ(hub.published.size(), 4U);
  const auto& one = hub.published.at({2, "evil1.example"});
  EXPECT_EQ(one.indicator.confidence, 90);
  EXPECT_EQ(one.indicator.tlp, event::Tlp::amber) << "unmarked: as the partner's defaults say";
  EXPECT_EQ(format_time(one.indicator.valid_until), "2025-09-01T00:00:00Z");
  EXPECT_EQ(one.object, "indicator--" + uuid(1));
  EXPECT_EQ(hub.published.at({2, "a.example"}).indicator.confidence, 33);
  EXPECT_EQ(hub.published.at({2, "evil6.example"}).indicator.tlp, event::Tlp::red) << "a marking that nobody knows";
  std::map<std::string, std::string> fate;
  const auto fates = hub.taxii->fates(2, posted["id"].text_or(""));
  ASSERT_TRUE(fates);
  for (const Fate& f : *fates) fate[f.id.substr(f.id.size() - 1)] = f.state;
  EXPECT_EQ(fate, (std::map<std::string, std::string>{{"1", "published"},
                                                      {"2", "published"},
                                                      {"3", "not_evaluated"},
                                                      {"4", "refused"},
                                                      {"5", "refused"},
                                                      {"6", "published"}}));
  EXPECT_EQ(hub.dropped.size(), 3U);
  // A later version names another value; an old one that comes late changes nothing; a revoked one takes it away.
  hub.post("amber", envelope({indicator(1, domain(11), "2024-09-20T00:00:00.000Z")}));
  wait();
  EXPECT_TRUE(hub.published.contains({2, "evil11.example"}));
  EXPECT_FALSE(hub.published.contains({2, "evil1.example"}));
  hub.post("amber", envelope({indicator(1, domain(12), "2024-09-10T00:00:00.000Z")}));
  wait();
  EXPECT_FALSE(hub.published.contains({2, "evil12.example"}));
  hub.post("amber", envelope({indicator(1, domain(11), "2024-09-25T00:00:00.000Z", R"(,"revoked":true)")}));
  wait();
  EXPECT_FALSE(hub.published.contains({2, "evil11.example"}));
  EXPECT_EQ(hub.ask("amber", Method::del, Hub::objects("from-2") + "indicator--" + uuid(2) + "/").status, 200);
  EXPECT_EQ(hub.published.size(), 1U);
}

TEST_F(TaxiiServer, WhatPartnersMarkForTheCommunityIsPassedOnUnchanged) {
  const std::string report =
      R"({"type":"x-report", "id":"x-report--)" + uuid(1) +
      R"(", "x_unknown":{"a":[1.0, 1e3]},"extensions":{"extension-definition--)" + uuid(3) +
      R"(":{"extension_type":"toplevel-property-extension"}}, "modified":"2024-09-01T00:00:00.000Z")";
  hub.post("green", envelope({report + kGreenMark + "}", indicator(2, domain(2)),
                              indicator(3, domain(3), "2024-09-01T00:00:00.000Z", kGreenMark),
                              indicator(4, domain(4), "2024-09-01T00:00:00.000Z",
                                        std::string(kGreenMark) + R"(,"labels":["sector:Health"])")}));
  const auto seen = hub.get("amber", Hub::objects("passed-on"));
  EXPECT_EQ(seen.ids(), (std::vector<std::string>{"x-report--" + uuid(1), "indicator--" + uuid(3)}))
      << "amber stays, health is for health";
  EXPECT_TRUE(seen.body.contains(report + kGreenMark + "}"));
  EXPECT_EQ(hub.get("health", Hub::objects("passed-on")).ids().size(), 3U);
  EXPECT_EQ(hub.get("green", Hub::objects("passed-on")).ids().size(), 0U) << "not back to whom it came from";
  EXPECT_EQ(hub.get("green", Hub::objects("from-1")).ids().size(), 4U);
  // Another partner cannot rewrite it, not even with a later version.
  hub.post("amber", envelope({indicator(3, domain(33), "2024-09-20T00:00:00.000Z", kGreenMark)}));
  const auto still = hub.get("health", Hub::objects("passed-on") + "?match[id]=indicator--" + uuid(3));
  ASSERT_EQ(still["objects"].size(), 1U);
  EXPECT_TRUE(still.body.contains("evil3.example"));
  // Narrowed by a later version: the earlier one is not given any more either.
  hub.post("green", envelope({indicator(3, domain(3), "2024-09-25T00:00:00.000Z", kRedMark)}));
  EXPECT_EQ(
      hub.get("health", Hub::objects("passed-on") + "?match[version]=all&match[id]=indicator--" + uuid(3)).ids().size(),
      0U);
}

TEST_F(TaxiiServer, APageEndsWhenItIsLargeAndGoesOnWhereItEnded) {
  Hub tight(sim, {.name = "tight", .page_bytes = 3000});
  for (int i = 0; i < 20; ++i) tight.book("domain", fmt::format("d{}.example", i));
  std::set<std::string> seen;
  std::string next;
  int pages = 0;
  do {
    const auto a =
        tight.get("green", Hub::objects("known") + "?match[type]=indicator" + (next.empty() ? "" : "&next=" + next));
    for (auto& id : a.ids()) EXPECT_TRUE(seen.insert(id).second);
    next = a.next();
    ++pages;
  } while (!next.empty());
  EXPECT_EQ(seen.size(), 20U);
  EXPECT_GT(pages, 3);
}

TEST(TaxiiClock, DatesGoOnlyForwardWhenObjectsAreDeletedAndTheClockStands) {
  log::Capture quiet;
  Sim sim(3);
  Hub hub(sim);
  std::string before;
  for (int i = 0; i < 5; ++i) {
    hub.post("green", envelope({indicator(i, domain(i))}));
    const auto a = hub.get("green", Hub::objects("from-1"));
    const std::string* last = a.headers.find("X-TAXII-Date-Added-Last");
    ASSERT_NE(last, nullptr);
    EXPECT_LT(before, *last);
    before = *last;
    hub.ask("green", Method::del, Hub::objects("from-1") + "indicator--" + uuid(i));
  }
}

}  // namespace
}  // namespace bavn::exchange::taxii
