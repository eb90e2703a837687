// The hub's MISP by its routes, without sockets: what comes in, what is shown to whom, what a feed looks like.
#include "exchange/misp/misp.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/files.hpp"
#include "base/log.hpp"
#include "base/sim.hpp"
#include "base/temp_folder.hpp"
#include "base/text.hpp"
#include "exchange/misp/book.hpp"
#include "exchange/misp/json_pieces.hpp"
#include "exchange/misp/model.hpp"
#include "exchange/misp/render.hpp"
#include "exchange/misp/search.hpp"
#include "exchange/peers/desk.hpp"
#include "net/json_value.hpp"
#include "net/sim.hpp"

namespace bavn::exchange::misp {
namespace {

using namespace std::chrono_literals;
using event::Tlp;
using net::JsonDocument;
using net::Method;
namespace mi = match::indicators;

constexpr std::string_view kUuid = "11111111-2222-4333-8444-555555555555";

std::string read(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::filesystem::path corpus() {
  const char* at = std::getenv("BAVN_CORPORA");
  return at == nullptr ? std::filesystem::path() : std::filesystem::path(at) / "threat_intel";
}

class MispTest : public ::testing::Test {
 protected:
  void SetUp() override {
    state = store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}}).value();
    auto opened = Misp::open(sim, *state, {.name = "Test CERT", .folder = folder.path()});
    ASSERT_TRUE(opened) << to_string(opened.error());
    misp = std::move(*opened);
    MispLinks links;
    links.publish = [this](std::vector<mi::Indicator> all, std::string_view) -> Result<void> {
      for (auto& i : all) published[i.value] = i;
      return {};
    };
    links.withdraw = [this](std::span<const mi::Removal> all) -> Result<void> {
      for (const auto& r : all) published.erase(r.value);
      return {};
    };
    links.library = &library;
    ASSERT_TRUE(misp->connect(std::move(links)));
    router.authenticate([this](const net::Request&) -> Result<event::Scope> { return who; });
    misp->add_routes(router);
    state->start();
  }
  void TearDown() override { state->stop(); }

  struct Said {
    int status = 0;
    std::string body, etag;
    JsonDocument json = JsonDocument::parse("null").value();
  };
  Said ask(Method method, std::string target, std::string body = {}, std::string if_none_match = {}) {
    net::Request q = net::request_for(method, target).value();
    q.body = std::move(body);
    if (!if_none_match.empty()) q.headers.set("If-None-Match", if_none_match);
    std::optional<net::Reply> reply;
    router.handle(std::move(q), [&](net::Reply r) { reply = std::move(r); });
    sim.run_until([&] { return reply.has_value(); }, 10s);
    Said said;
    if (!reply) return said;
    said.status = reply->status;
    said.body = reply->file ? read_file(sim.files(), reply->file->path, 1U << 30U).value_or("") : reply->body;
    if (const auto* tag = reply->headers.find("ETag")) said.etag = *tag;
    if (auto json = JsonDocument::parse(said.body)) said.json = std::move(*json);
    return said;
  }
  Said post(std::string target, std::string body = "{}") {
    return ask(Method::post, std::move(target), std::move(body));
  }
  Said get(std::string target) { return ask(Method::get, std::move(target)); }
  void jobs() { sim.advance(1s); }

  std::string event(std::string_view more, std::string_view uuid = kUuid) {
    return fmt::format(
        R"({{"info":"Phishing","uuid":"{}","date":"2026-05-01","threat_level_id":"2","analysis":"1"{}{}}})", uuid,
        more.empty() ? "" : ",", more);
  }

  log::Capture quiet;
  TempFolder folder;
  Sim sim{7};
  net::Router router;
  std::unique_ptr<store::State> state;
  std::unique_ptr<Misp> misp;
  std::map<std::string, mi::Indicator> published;
  std::vector<Known> known;  // in the order of (changed, id)
  std::vector<Gone> gone;
  Library library = {
      .read = [this](const LibraryAsk& q) -> Result<std::vector<Known>> {
        std::vector<Known> out;
        for (const Known& k : known)
          if (std::pair(k.changed, k.id) > std::pair(q.after, q.after_id) && k.indicator.tlp <= q.ceiling &&
              out.size() < q.limit)
            out.push_back(k);
        return out;
      },
      .gone = [this](std::int64_t after, std::size_t) -> Result<std::vector<Gone>> {
        std::vector<Gone> out;
        for (const Gone& g : gone)
          if (g.id > after) out.push_back(g);
        return out;
      },
  };
  event::Scope who = event::Scope::everywhere("key:anna",
                                              static_cast<std::uint32_t>(event::Right::indicator_read) |
                                                  static_cast<std::uint32_t>(event::Right::indicator_write) |
                                                  static_cast<std::uint32_t>(event::Right::publish),
                                              Tlp::amber_strict);
  void reader(Tlp ceiling) {
    who = event::Scope::everywhere("key:bo", static_cast<std::uint32_t>(event::Right::indicator_read), ceiling);
  }
};

TEST(JsonPieces, AreTheMembersAndElementsAsTheyStand) {
  std::string seen;
  const auto note = [&](std::string_view k, std::string_view v) -> Result<void> {
    seen += fmt::format("{}={};", k, v);
    return {};
  };
  ASSERT_TRUE(each_member(R"( {"a": [1, {"x":"]}"}], "b\u0041":"q\"," , "c":null} )", note));
  EXPECT_EQ(seen, R"(a=[1, {"x":"]}"}];bA="q\",";c=null;)");
  for (const char* bad : {"", "[]", "{", R"({"a")", R"({"a":})", R"({"a":1 "b":2})", R"({"a":1}x)", R"({"a":1,"a":2})",
                          R"({"a":"x)", R"({"a":[1})"})
    EXPECT_FALSE(each_member(bad, [](std::string_view, std::string_view v) -> Result<void> {
      if (!JsonDocument::parse(v)) return fail(Code::bad_input, "inside");
      return {};
    })) << bad;
  EXPECT_FALSE(each_member("{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}", note));
  std::size_t n = 0;
  ASSERT_TRUE(each_element(R"([1,"a,b",{"c":[2,3]},[]])", [&](std::string_view) -> Result<void> {
    ++n;
    return {};
  }));
  EXPECT_EQ(n, 4U);
}

TEST_F(MispTest, AnEventIsGivenBackWithWhatNobodyHereKnows) {
  const auto added = post("/events/add", event(R"("future_member":{"a":[1,2]},"Tag":[{"name":"tlp:green"}],
    "Attribute":[{"type":"domain","value":"Evil.example","comment":"c","new_thing":"kept","uuid":"aaaaaaaa-2222-4333-8444-555555555555"},
                 {"type":"ip-dst","value":"192.0.2.7","to_ids":"0"}],
    "Object":[{"name":"file","meta-category":"file","template_version":"24","odd":true,
               "Attribute":[{"type":"sha256","object_relation":"sha256","value":"00"}]}])"));
  ASSERT_EQ(added.status, 200) << added.body;
  const auto e = added.json.root()["Event"];
  EXPECT_EQ(e["id"].text_or({}), "1");
  EXPECT_EQ(e["uuid"].text_or({}), kUuid);
  EXPECT_EQ(e["future_member"]["a"].size(), 2U);
  EXPECT_EQ(e["attribute_count"].text_or({}), "3");
  EXPECT_EQ(e["Orgc"]["name"].text_or({}), "Test CERT");
  EXPECT_EQ(e["Tag"].at(0)["name"].text_or({}), "tlp:green");
  const auto a = e["Attribute"].at(0);
  EXPECT_EQ(a["value"].text_or({}), "Evil.example");
  EXPECT_EQ(a["category"].text_or({}), "Network activity");
  EXPECT_EQ(a["new_thing"].text_or({}), "kept");
  EXPECT_EQ(a["to_ids"].boolean(), true);
  EXPECT_EQ(e["Attribute"].at(1)["to_ids"].boolean(), false);
  EXPECT_EQ(e["Object"].at(0)["odd"].boolean(), true);
  EXPECT_EQ(e["Object"].at(0)["Attribute"].at(0)["object_relation"].text_or({}), "sha256");
  const auto again = post("/events/add", event(""));
  EXPECT_EQ(again.status, 404) << "as MISP says it of an event that is there";
  // By uuid, below /misp, and without what was deleted.
  EXPECT_EQ(get(fmt::format("/misp/events/view/{}", kUuid)).json.root()["Event"]["id"].text_or({}), "1");
  EXPECT_EQ(post("/attributes/delete/aaaaaaaa-2222-4333-8444-555555555555").status, 200);
  EXPECT_EQ(get("/events/view/1").json.root()["Event"]["Attribute"].size(), 1U);
  EXPECT_EQ(get("/events/view/1/deleted%5B%5D:0/deleted%5B%5D:1").json.root()["Event"]["Attribute"].size(), 2U);
}

TEST_F(MispTest, WhatIsAboveAReadersMarkingIsNotThereForThem) {
  ASSERT_EQ(
      post("/events/add", event(R"("Tag":[{"name":"tlp:red"}],"Attribute":[{"type":"domain","value":"red.example"}])"))
          .status,
      200);
  ASSERT_EQ(
      post("/events/add", event(R"("Tag":[{"name":"tlp:green"}],"Attribute":[{"type":"domain","value":"green.example"},
    {"type":"domain","value":"hidden.example","Tag":[{"name":"tlp:amber"}]}])",
                                "22222222-2222-4333-8444-555555555555"))
          .status,
      200);
  reader(Tlp::green);
  EXPECT_EQ(get(fmt::format("/events/view/{}", kUuid)).status, 404);
  const auto green = get("/events/view/22222222-2222-4333-8444-555555555555");
  EXPECT_EQ(green.status, 200);
  EXPECT_EQ(green.body.find("hidden"), std::string::npos);
  for (const char* target : {"/events/restSearch", "/attributes/restSearch", "/events/index"}) {
    const auto found = post(target);
    EXPECT_EQ(found.status, 200) << found.body;
    EXPECT_EQ(found.body.find("red.example"), std::string::npos) << target;
    EXPECT_EQ(found.body.find("hidden"), std::string::npos) << target;
    EXPECT_EQ(found.body.find(kUuid), std::string::npos) << target;
  }
  EXPECT_EQ(post("/events/edit/2", R"({"info":"mine"})").status, 403);
  EXPECT_EQ(post("/events/publish/2").status, 403);
}

TEST_F(MispTest, APartnerSeesWhatIsPublishedForItAndNoNamesOfOthers) {
  ASSERT_EQ(post("/events/add", event(R"("published":true,"Tag":[{"name":"tlp:green"},{"name":"known"}],"Attribute":[
      {"type":"domain","value":"a.example","uuid":"aaaaaaaa-2222-4333-8444-555555555555"},{"type":"domain","value":"closed.example","distribution":"0"}])"))
                .status,
            200);
  ASSERT_EQ(post("/events/add", event(R"("published":true,"Tag":[{"name":"tlp:red"},{"name":"operation-secret"}])",
                                      "22222222-2222-4333-8444-555555555555"))
                .status,
            200);
  ASSERT_EQ(
      post("/events/add", event(R"("Tag":[{"name":"tlp:clear"}])", "33333333-2222-4333-8444-555555555555")).status,
      200);
  ASSERT_EQ(post("/events/add", event(R"("published":true,"distribution":"0","Tag":[{"name":"tlp:clear"}])",
                                      "44444444-2222-4333-8444-555555555555"))
                .status,
            200);
  ASSERT_EQ(post("/events/add",
                 event(R"("published":true,"Tag":[{"name":"tlp:clear"},{"name":"misp-galaxy:sector=\"Health\""}])",
                       "55555555-2222-4333-8444-555555555555"))
                .status,
            200);
  Book book(sim, *state, "Test CERT");
  ASSERT_TRUE(book.open());
  const auto partner = [](std::string name, std::int64_t id, bool reads, std::vector<std::string> sectors) {
    Partner p;
    p.peer = id;
    p.name = std::move(name);
    p.may_read = reads;
    p.may_write = true;
    p.ceiling = Tlp::green;
    p.sectors = std::move(sectors);
    return Viewer::of(p);
  };
  const auto seen = [&](const Viewer& v) {
    std::string out;
    const auto ids = found(book, v, Search{}).value();
    for (const std::int64_t id : ids) out += std::to_string(id);
    return out;
  };
  const Viewer town = partner("Town", 1, true, {}), health = partner("Hospital", 2, true, {"health"}),
               writer = partner("Writer", 3, false, {});
  EXPECT_EQ(seen(town), "1");
  EXPECT_EQ(seen(health), "15");
  EXPECT_EQ(seen(writer), "") << "a key that only writes sees what it wrote";
  ASSERT_TRUE(book.put(writer, event(R"("Orgc":{"name":"Test CERT"})", "66666666-2222-4333-8444-555555555555"), {}));
  EXPECT_EQ(seen(writer), "6");
  const auto own = book.event(writer, "6").value();
  EXPECT_EQ(book.org(own->orgc)->name, "Writer") << "nobody writes in another's name";
  EXPECT_FALSE(Book::may_edit(town, *book.event(town, "1").value()));
  Search attributes;
  attributes.scope = Scope::attributes;
  EXPECT_EQ(found(book, town, attributes)->size(), 1U) << "closed.example is for our own";
  // Who saw it is not told to others.
  const auto a = book.attribute(health, "aaaaaaaa-2222-4333-8444-555555555555").value();
  SightingIn s;
  s.source = "ward 7";
  ASSERT_TRUE(book.add_sightings(health, {*a}, s));
  const auto row = state
                       ->read([](store::Reader& r) {
                         return r.all<SightingRow>(fmt::format("SELECT {} FROM misp_sighting s", kSightingColumns));
                       })
                       .value();
  const std::string to_town = Render(book, town).sighting(row.at(0)).value(),
                    to_itself = Render(book, health).sighting(row.at(0)).value();
  EXPECT_EQ(to_town.find("Hospital"), std::string::npos);
  EXPECT_EQ(to_town.find("ward"), std::string::npos);
  EXPECT_NE(to_itself.find("Hospital"), std::string::npos);
  // A reader of ours below red does not learn the names of what is red.
  reader(Tlp::amber);
  const auto tags = get("/tags/index");
  EXPECT_NE(tags.body.find("known"), std::string::npos);
  EXPECT_EQ(tags.body.find("operation-secret"), std::string::npos);
}

TEST_F(MispTest, PublishedAttributesForDetectionBecomeIndicatorsAndAreWithdrawnWithThem) {
  ASSERT_EQ(
      post("/events/add",
           event(R"("Attribute":[{"type":"domain","value":"evil.example","uuid":"aaaaaaaa-2222-4333-8444-555555555555"},
    {"type":"domain","value":"benign.example","to_ids":false},{"type":"text","value":"words"},{"type":"ip-dst|port","value":"192.0.2.9|443"}])"))
          .status,
      200);
  jobs();
  EXPECT_TRUE(published.empty()) << "a draft gives nothing";
  ASSERT_EQ(post("/events/publish/1").status, 200);
  jobs();
  EXPECT_TRUE(published.contains("evil.example"));
  EXPECT_TRUE(published.contains("192.0.2.9"));
  EXPECT_FALSE(published.contains("benign.example"));
  EXPECT_EQ(published["evil.example"].source, "Test CERT");
  EXPECT_EQ(published["evil.example"].action, mi::Action::watch);
  ASSERT_EQ(post("/attributes/delete/aaaaaaaa-2222-4333-8444-555555555555").status, 200);
  jobs();
  EXPECT_FALSE(published.contains("evil.example")) << "deleted is withdrawn at once";
  EXPECT_TRUE(published.contains("192.0.2.9"));
  ASSERT_EQ(post("/events/unpublish/1").status, 200);
  jobs();
  EXPECT_TRUE(published.empty());
}

TEST_F(MispTest, AnIndicatorIsNoFreerThanItsEventAndItsDistribution) {
  const auto add = [&](std::string_view more, std::string_view uuid) {
    ASSERT_EQ(post("/events/add", event(more, uuid)).status, 200);
    jobs();
  };
  add(R"("published":true,"Tag":[{"name":"tlp:green"}],"Attribute":[{"type":"domain","value":"open.example"},
      {"type":"domain","value":"own.example","distribution":"0"}],
      "Object":[{"name":"url","distribution":"4","Attribute":[{"type":"domain","value":"group.example"}]}])",
      "11111111-2222-4333-8444-555555555555");
  add(R"("published":true,"distribution":"0","Tag":[{"name":"tlp:green"}],"Attribute":[{"type":"domain","value":"ours.example"}])",
      "22222222-2222-4333-8444-555555555555");
  add(R"("published":true,"Tag":[{"name":"tlp:amber"}],"Attribute":[{"type":"domain","value":"amber.example","Tag":[{"name":"tlp:clear"}]}])",
      "33333333-2222-4333-8444-555555555555");
  EXPECT_EQ(published["open.example"].tlp, Tlp::green);
  EXPECT_EQ(published["own.example"].tlp, Tlp::amber_strict);
  EXPECT_EQ(published["group.example"].tlp, Tlp::amber_strict);
  EXPECT_EQ(published["ours.example"].tlp, Tlp::amber_strict);
  EXPECT_EQ(published["amber.example"].tlp, Tlp::amber);
}

TEST_F(MispTest, WildcardsLookAtTheWholeOfALongValue) {
  const std::string long_text = "begin " + std::string(3000, 'x') + " Ærø needle.example end";
  ASSERT_EQ(post("/events/add", event(R"("Attribute":[{"type":"text","value":")" + long_text + R"("},
      {"type":"filename|md5","value":"needle.exe|d41d8cd98f00b204e9800998ecf8427e"},{"type":"text","value":"short"}])"))
                .status,
            200);
  const auto count = [&](const std::string& value) {
    return post("/attributes/restSearch", R"({"value":")" + value + R"("})")
        .json.root()["response"]["Attribute"]
        .size();
  };
  EXPECT_EQ(count("%needle%"), 2U);
  EXPECT_EQ(count("%NEEDLE.example%"), 1U);
  EXPECT_EQ(count("%Ærø needle%"), 1U);
  EXPECT_EQ(count("begin%"), 1U);
  EXPECT_EQ(count("%example end"), 1U);
  EXPECT_EQ(count("%haystack%"), 0U);
  EXPECT_EQ(count("%" + std::string(1500, 'x') + " Ærø%"), 1U) << "a pattern longer than what the column holds";
  EXPECT_EQ(
      post("/attributes/restSearch", R"({"value":{"NOT":["%needle%"]}})").json.root()["response"]["Attribute"].size(),
      1U);
}

TEST_F(MispTest, SearchesAreByEveryFilterOfMisp) {
  ASSERT_EQ(post("/events/add", event(R"("Tag":[{"name":"tlp:green"},{"name":"rsit:fraud=\"phishing\""}],"Attribute":[
      {"type":"domain","value":"a.example","timestamp":"1000000000"},{"type":"url","value":"http://a.example/x","category":"Payload delivery"},
      {"type":"filename|md5","value":"Evil.exe|d41d8cd98f00b204e9800998ecf8427e"},{"type":"ip-dst","value":"192.0.2.1","to_ids":false}])"))
                .status,
            200);
  ASSERT_EQ(
      post("/events/add", event(R"("Tag":[{"name":"tlp:amber"}],"Attribute":[{"type":"domain","value":"b.example"}])",
                                "22222222-2222-4333-8444-555555555555"))
          .status,
      200);
  const auto count = [&](const std::string& body) {
    const auto said = post("/attributes/restSearch", body);
    EXPECT_EQ(said.status, 200) << body << said.body;
    return said.json.root()["response"]["Attribute"].size();
  };
  EXPECT_EQ(count(R"({})"), 5U);
  EXPECT_EQ(count(R"({"value":"A.EXAMPLE"})"), 1U);
  EXPECT_EQ(count(R"({"value":["a.example","b.example"]})"), 2U);
  EXPECT_EQ(count(R"({"value":"%.example"})"), 2U);
  EXPECT_EQ(count(R"({"value":"%example%"})"), 3U);
  EXPECT_EQ(count(R"({"value":"d41d8cd98f00b204e9800998ecf8427e"})"), 1U) << "the second part of a pair";
  EXPECT_EQ(count(R"({"value":"evil.exe|d41d8cd98f00b204e9800998ecf8427e"})"), 1U);
  EXPECT_EQ(count(R"({"value":"evil.exe|d41d8cd98f00b204e9800998ecf84270"})"), 0U);
  EXPECT_EQ(count(R"({"type":"domain"})"), 2U);
  EXPECT_EQ(count(R"({"type":{"NOT":["domain"]}})"), 3U);
  EXPECT_EQ(count(R"({"type":"!domain"})"), 3U);
  EXPECT_EQ(count(R"({"type":["domain","url"]})"), 3U);
  EXPECT_EQ(count(R"({"category":"Payload delivery"})"), 2U);
  EXPECT_EQ(count(R"({"to_ids":1})"), 4U);
  EXPECT_EQ(count(R"({"to_ids":0})"), 1U);
  EXPECT_EQ(count(R"({"tags":"tlp:green"})"), 4U);
  EXPECT_EQ(count(R"({"tags":{"AND":["tlp:green","rsit:fraud=\"phishing\""]}})"), 4U);
  EXPECT_EQ(count(R"({"tags":{"AND":["tlp:green","tlp:amber"]}})"), 0U);
  EXPECT_EQ(count(R"({"tags":{"OR":["tlp:green","tlp:amber"],"NOT":["rsit:%"]}})"), 1U);
  EXPECT_EQ(count(R"({"eventid":2})"), 1U);
  EXPECT_EQ(count(R"({"eventid":[1,"22222222-2222-4333-8444-555555555555"]})"), 5U);
  EXPECT_EQ(count(R"({"uuid":"22222222-2222-4333-8444-555555555555"})"), 1U);
  EXPECT_EQ(count(R"({"org":"Test CERT"})"), 5U);
  EXPECT_EQ(count(R"({"org":"!Test CERT"})"), 0U);
  EXPECT_EQ(count(R"({"published":1})"), 0U);
  EXPECT_EQ(count(R"({"timestamp":["900000000","1100000000"]})"), 1U);
  EXPECT_EQ(count(R"({"timestamp":"5d"})"), 4U);
  EXPECT_EQ(count(R"({"from":"2026-04-01","to":"2026-06-01"})"), 5U);
  EXPECT_EQ(count(R"({"from":"2026-06-01"})"), 0U);
  EXPECT_EQ(count(R"({"limit":2,"page":2})"), 2U);
  EXPECT_EQ(count(R"({"limit":2,"page":3})"), 1U);
  EXPECT_EQ(count(R"({"eventinfo":"Phish%"})"), 5U);
  EXPECT_EQ(count(R"({"value":"192.0.2.1","enforceWarninglist":1})"), 0U) << "192.0.2.0/24 is for documentation";
  EXPECT_EQ(post("/attributes/restSearch", R"({"unheard_of":1})").status, 400);
  EXPECT_EQ(post("/attributes/restSearch", R"({"timestamp":"yesterday"})").status, 400);
  EXPECT_EQ(post("/attributes/restSearch", R"({"returnFormat":"xml"})").status, 400);
  EXPECT_EQ(post("/attributes/restSearch", R"({"returnFormat":"text","type":"domain"})").body,
            "a.example\nb.example\n");
  // As PyMISP sends a datetime and a date.
  EXPECT_EQ(count(R"({"timestamp":[900000000.25,1100000000.75]})"), 1U);
  EXPECT_EQ(count(R"({"timestamp":"999999999.999999"})"), 5U);
  EXPECT_EQ(count(R"({"from":1775087999.999999,"to":1780358399.999999})"), 5U);
  // A filter that cannot be read must not mean everything.
  EXPECT_EQ(count(R"({"tags":{}})"), 5U);
  for (const char* odd :
       {R"({"value":{"XOR":["a.example"]}})", R"({"value":{"OR":{"a":"b"}}})", R"({"timestamp":{"from":5}})",
        R"({"limit":"ten"})", R"({"page":"first"})", R"({"order":"Attribute.colour"})",
        R"({"order":"Attribute.timestamp, Attribute.id"})", R"({"order":["a","b"]})"})
    EXPECT_EQ(post("/attributes/restSearch", odd).status, 400) << odd;
  // The order decides what the first ones are.
  const auto first = [&](const std::string& order) {
    const auto said = post("/attributes/restSearch", R"({"limit":1,"returnFormat":"text","order":)" + order + "}");
    EXPECT_EQ(said.status, 200) << order << said.body;
    return said.body;
  };
  EXPECT_EQ(first(R"("Attribute.timestamp")"), "a.example\n");
  EXPECT_EQ(first(R"("Attribute.value1 desc")"), "http://a.example/x\n");
  EXPECT_EQ(first(R"(["Attribute.value1 asc"])"), "192.0.2.1\n");
  EXPECT_EQ(first(R"({"Event.id":"desc"})"), "b.example\n");
  // CSV as it is asked for.
  const auto csv = [&](const std::string& more) {
    return post("/attributes/restSearch", R"({"returnFormat":"csv","value":"b.example",)" + more + "}").body;
  };
  EXPECT_EQ(csv(R"("requested_attributes":["value","type"])"), "value,type\n\"b.example\",\"domain\"\n");
  EXPECT_EQ(csv(R"("requested_attributes":"type, value","headerless":1)"), "\"domain\",\"b.example\"\n");
  EXPECT_TRUE(csv(R"("includeContext":1)").contains("object_relation,event_uuid,event_info,event_source_org"));
  EXPECT_TRUE(csv(R"("requested_attributes":["colour"])").contains("there is no column"));
  const auto events = [&](const std::string& body) {
    const auto said = post("/events/restSearch", body);
    EXPECT_EQ(said.status, 200) << body << said.body;
    return said.json.root()["response"].size();
  };
  EXPECT_EQ(events(R"({})"), 2U);
  EXPECT_EQ(events(R"({"value":"b.example"})"), 1U);
  EXPECT_EQ(events(R"({"value":"%example"})"), 2U);
  EXPECT_EQ(events(R"({"type":"url"})"), 1U);
  EXPECT_EQ(events(R"({"tags":"!tlp:green"})"), 1U);
  EXPECT_EQ(events(R"({"searchall":"b.example"})"), 1U);
  EXPECT_EQ(events(R"({"threat_level_id":[1,2]})"), 2U);
  // Lines of events are lines of their attributes.
  EXPECT_EQ(post("/events/restSearch", R"({"returnFormat":"text","eventid":2})").body, "b.example\n");
  EXPECT_TRUE(post("/events/restSearch", R"({"returnFormat":"csv","eventid":2})").body.contains("\"b.example\""));
  // What is asked of attributes holds for those that are shown in events, too.
  ASSERT_EQ(post("/events/add", event(R"("Attribute":[{"type":"domain","value":"c.example","Tag":[{"name":"noise"}]},
      {"type":"text","value":"words","to_ids":false},{"type":"ip-dst","value":"192.0.2.5"}],
      "Object":[{"name":"url","Attribute":[{"type":"url","value":"http://c.example/x"},{"type":"text","value":"more","to_ids":false}]}])",
                                      "33333333-2222-4333-8444-555555555555"))
                .status,
            200);
  const auto shown = [&](const std::string& more) {
    const auto said = post("/events/restSearch", R"({"eventid":3,)" + more + "}");
    EXPECT_EQ(said.status, 200) << said.body;
    const net::JsonValue e = said.json.root()["response"].at(0)["Event"];
    std::size_t n = e["Attribute"].size();
    for (const net::JsonValue o : e["Object"]) n += o["Attribute"].size();
    return n;
  };
  EXPECT_EQ(shown(R"("metadata":0)"), 5U);
  EXPECT_EQ(shown(R"("to_ids":1)"), 3U);
  EXPECT_EQ(shown(R"("to_ids":"0")"), 2U);
  EXPECT_EQ(shown(R"("enforceWarninglist":1)"), 4U);
  EXPECT_EQ(shown(R"("tags":"!noi%")"), 4U);
  const auto with_uuid = post("/attributes/restSearch", R"({"value":"c.example","includeEventUuid":1})");
  EXPECT_EQ(with_uuid.json.root()["response"]["Attribute"].at(0)["event_uuid"].text_or(""),
            "33333333-2222-4333-8444-555555555555");
  EXPECT_TRUE(post("/attributes/add/3", R"({"type":"ip-dst","value":"192.0.2.6","enforceWarninglist":true})")
                  .body.contains("trips over a warninglist"));
}

TEST_F(MispTest, AMispPullsWithTagsAndOnlyWhatIsPublished) {
  ASSERT_EQ(
      post("/events/add", event(R"("published":true,"Attribute":[{"type":"domain","value":"a.example"}])")).status,
      200);
  ASSERT_EQ(post("/events/add", event("", "22222222-2222-4333-8444-555555555555")).status, 200);
  const auto version = get("/servers/getVersion");
  EXPECT_EQ(version.json.root()["perm_sync"].boolean(), false);
  const auto test = post("/servers/postTest", R"({"testString":"abc"})");
  EXPECT_EQ(test.json.root()["body"]["testString"].text_or({}), "abc");
  const auto index = post("/events/index", R"({"minimal":1,"published":1})");
  ASSERT_EQ(index.json.root().size(), 1U) << index.body;
  EXPECT_EQ(index.json.root().at(0)["uuid"].text_or({}), kUuid);
  EXPECT_FALSE(index.etag.empty());
  EXPECT_EQ(ask(Method::post, "/events/index", R"({"minimal":1,"published":1})", index.etag).status, 304);
  ASSERT_EQ(post("/events/publish/2").status, 200);
  EXPECT_EQ(ask(Method::post, "/events/index", R"({"minimal":1,"published":1})", index.etag).status, 200);
  EXPECT_EQ(ask(Method::head, fmt::format("/events/view/{}", kUuid)).status, 200);
  EXPECT_EQ(ask(Method::head, "/events/view/33333333-2222-4333-8444-555555555555").status, 404);
  EXPECT_EQ(post("/events/filterEventIdsForPush", "[]").status, 403);
  EXPECT_NE(post("/shadow_attributes/add/1").body.find("Proposals are not taken here"), std::string::npos);
}

TEST_F(MispTest, SightingsCountForEveryAttributeOfTheValue) {
  ASSERT_EQ(
      post(
          "/events/add",
          event(R"("Attribute":[{"type":"domain","value":"a.example","uuid":"aaaaaaaa-2222-4333-8444-555555555555"}])"))
          .status,
      200);
  ASSERT_EQ(post("/events/add", event(R"("Attribute":[{"type":"hostname","value":"A.example"}])",
                                      "22222222-2222-4333-8444-555555555555"))
                .status,
            200);
  EXPECT_EQ(post("/sightings/add", R"({"value":"a.example","source":"node","type":"1"})").status, 200);
  const auto one = post("/sightings/add/aaaaaaaa-2222-4333-8444-555555555555", R"({"type":2})");
  EXPECT_EQ(one.json.root()["Sighting"]["type"].text_or({}), "2");
  EXPECT_EQ(post("/sightings/listSightings", R"({"context":"attribute","id":1})").json.root().size(), 2U);
  EXPECT_EQ(post("/sightings/listSightings", R"({"context":"event","id":2})").json.root().size(), 1U);
  const auto pulled =
      post("/sightings/restSearch/event",
           fmt::format(R"({{"returnFormat":"json","last":0,"includeUuid":true,"uuid":["{}"]}})", kUuid));
  ASSERT_EQ(pulled.json.root()["response"].size(), 2U) << pulled.body;
  EXPECT_EQ(pulled.json.root()["response"].at(0)["Sighting"]["attribute_uuid"].text_or({}),
            "aaaaaaaa-2222-4333-8444-555555555555");
  EXPECT_EQ(post("/sightings/add", R"({"value":"nobody.example"})").status, 403);
  EXPECT_EQ(post("/sightings/add", R"({"value":"a.example","type":7})").status, 400);
}

TEST_F(MispTest, BadInputIsRefusedOrNamedAndChangesNothing) {
  for (const char* bad : {"", "{", "[]", "null", R"({"info":5,"Attribute":{}})", R"({"info":"x","uuid":"not"})",
                          R"({"info":"x","date":"tomorrow"})", R"({"info":"x","threat_level_id":9})",
                          R"({"info":"x","Attribute":[{"type":"domain","value":"a.example"},{"type":]})",
                          R"({"Attribute":[]})", R"({"info":"x","info":"y"})", "\xff\xfe"}) {
    const auto said = post("/events/add", bad);
    EXPECT_GE(said.status, 400) << bad;
    EXPECT_LT(said.status, 500) << bad;
    EXPECT_TRUE(said.json.root()["message"]) << bad;
  }
  EXPECT_EQ(post("/events/index").json.root().size(), 0U) << "nothing of them is there, half or whole";
  // Single parts that are wrong are named; the rest is taken.
  const auto some = post(
      "/events/add",
      event(
          R"("ShadowAttribute":[{"type":"domain"}],"Attribute":[{"type":"domain","value":"a.example"},{"type":"domain"},
    {"value":"x"},{"type":"domain","value":{"a":1}},17,{"type":"new-type-of-2031","value":"kept"}],"Object":[{"meta-category":"x"},"no"])"));
  ASSERT_EQ(some.status, 200) << some.body;
  EXPECT_EQ(some.json.root()["Event"]["Attribute"].size(), 2U);
  EXPECT_EQ(some.json.root()["Event"]["Dropped"]["count"].integer().value_or(
                some.json.root()["Dropped"]["count"].integer().value_or(0)),
            7);
  // A uuid of another event's attribute is not taken over.
  ASSERT_EQ(
      post("/events/add",
           event(
               R"("Attribute":[{"type":"domain","value":"own.example","uuid":"aaaaaaaa-2222-4333-8444-555555555555"}])",
               "22222222-2222-4333-8444-555555555555"))
          .status,
      200);
  const auto thief = post(
      "/events/add",
      event(R"("Attribute":[{"type":"domain","value":"stolen.example","uuid":"aaaaaaaa-2222-4333-8444-555555555555"}])",
            "33333333-2222-4333-8444-555555555555"));
  EXPECT_EQ(thief.json.root()["Event"]["Attribute"].size(), 0U);
  EXPECT_EQ(get("/attributes/view/aaaaaaaa-2222-4333-8444-555555555555").json.root()["Attribute"]["value"].text_or({}),
            "own.example");
  // A clock of the future does not freeze an event.
  ASSERT_EQ(post("/events/add", event(R"("timestamp":"99999999999")", "44444444-2222-4333-8444-555555555555")).status,
            200);
  sim.advance(10s);
  EXPECT_EQ(post("/events/edit/44444444-2222-4333-8444-555555555555", R"({"info":"again"})").status, 200);
  // References may go in circles: nobody walks along them.
  const auto circle = post("/events/add", event(R"("Object":[
      {"name":"file","uuid":"a1111111-2222-4333-8444-555555555555","ObjectReference":[{"referenced_uuid":"b1111111-2222-4333-8444-555555555555","relationship_type":"r"}]},
      {"name":"url","uuid":"b1111111-2222-4333-8444-555555555555","ObjectReference":[{"referenced_uuid":"a1111111-2222-4333-8444-555555555555","relationship_type":"r"}]}])",
                                                "55555555-2222-4333-8444-555555555555"));
  ASSERT_EQ(circle.status, 200) << circle.body;
  EXPECT_EQ(circle.json.root()["Event"]["Object"].at(1)["ObjectReference"].size(), 1U);
  for (const char* target : {"/events/view/0", "/events/view/1%27%20OR%201=1", "/events/nothing", "/galaxies/update",
                             "/users/index", "/events/view/99999999999999999999"})
    EXPECT_EQ(get(target).status, 404) << target;
}

TEST_F(MispTest, ALargeEventIsWrittenInPiecesAndAnsweredFromAFile) {
  std::string body = R"({"info":"large","uuid":"66666666-2222-4333-8444-555555555555","Attribute":[)";
  constexpr int n = 20'000;
  for (int i = 0; i < n; ++i)
    body += fmt::format(R"({}{{"type":"domain","value":"host{}.example","comment":"{}"}})", i == 0 ? "" : ",", i,
                        std::string(100, 'c'));
  body += "]}";
  const auto added = post("/events/add", body);
  ASSERT_EQ(added.status, 200) << added.body.substr(0, 300);
  EXPECT_EQ(added.json.root()["Event"]["Attribute"].size(), static_cast<std::size_t>(n));
  EXPECT_EQ(added.json.root()["Event"]["attribute_count"].text_or({}), std::to_string(n));
  EXPECT_FALSE(sim.files().list(folder.at("misp-answers")).value().empty());
  EXPECT_EQ(
      post("/attributes/restSearch", R"({"value":"host19999.example"})").json.root()["response"]["Attribute"].size(),
      1U);
}

TEST_F(MispTest, TheFeedIsTheGoldenOneByteForByte) {
  const auto golden = corpus() / "misp_feeds" / "derived_eset_feed";
  if (corpus().empty() || !std::filesystem::exists(golden)) GTEST_SKIP() << "the corpora are not here";
  Book book(sim, *state, "Test CERT");
  ASSERT_TRUE(book.open());
  Viewer all;
  all.who = "partner:ESET";
  all.peer = 1;
  all.name = "ESET";
  all.reads = all.writes = all.publishes = true;
  all.ceiling = Tlp::red;
  // In the order of the manifest.
  const std::string manifest = read(golden / "manifest.json");
  const auto listed = JsonDocument::parse(manifest).value();
  for (const net::JsonValue m : listed.root()) {
    const auto put =
        book.put(all, read(golden / fmt::format("{}.json", m.key())), {.how = Putting::sync, .from_feed = true});
    ASSERT_TRUE(put) << m.key() << to_string(put.error());
    EXPECT_EQ(put->dropped, 0U) << put->list.front().reason;
  }
  EXPECT_EQ(get("/misp/feed/manifest.json").body, manifest);
  EXPECT_EQ(get("/misp/feed/hashes.csv").body, read(golden / "hashes.csv"));
  for (const net::JsonValue m : listed.root()) {
    const auto one = get(fmt::format("/misp/feed/{}.json", m.key()));
    EXPECT_EQ(one.status, 200);
    EXPECT_TRUE(one.body == read(golden / fmt::format("{}.json", m.key()))) << m.key() << "\n"
                                                                            << one.body.substr(0, 1500);
  }
  const auto tag = get("/misp/feed/manifest.json").etag;
  EXPECT_EQ(ask(Method::get, "/misp/feed/manifest.json", {}, tag).status, 304);
}

TEST_F(MispTest, EveryEventOfTheCorpusComesBackEqual) {
  if (corpus().empty()) GTEST_SKIP() << "the corpora are not here";
  std::size_t events = 0, attributes = 0;
  for (const char* where : {"misp_events/eset", "misp_events/misp_core", "misp_api/pymisp"})
    for (const auto& file : std::filesystem::recursive_directory_iterator(corpus() / where)) {
      if (file.path().extension() != ".json") continue;
      const std::string text = read(file.path());
      const auto document = JsonDocument::parse(text);
      if (!document) continue;
      net::JsonValue given = document->root();
      if (given["response"].is_array()) given = given["response"].at(0);
      if (given["Event"].is_object()) given = given["Event"];
      const auto said = post("/events/add", text);
      EXPECT_LT(said.status, 500) << file.path();
      if (said.status != 200) continue;
      ++events;
      const auto back = get(
          fmt::format("/events/view/{}/deleted%5B%5D:0/deleted%5B%5D:1", said.json.root()["Event"]["id"].text_or("0")));
      const net::JsonValue e = back.json.root()["Event"];
      EXPECT_EQ(scalar(e["info"]), scalar(given["info"]));
      if (given["uuid"]) {
        EXPECT_EQ(scalar(e["uuid"]), to_lower(scalar(given["uuid"])));
      }
      const std::int64_t dropped = said.json.root()["Dropped"]["count"].integer().value_or(0);
      if (dropped != 0) continue;  // of clashes between files of the corpus
      ASSERT_EQ(e["Attribute"].size(), given["Attribute"].size()) << file.path();
      for (std::size_t i = 0; i < given["Attribute"].size(); ++i) {
        const auto a = given["Attribute"].at(i), b = e["Attribute"].at(i);
        ++attributes;
        for (const net::JsonValue m : a) {
          const auto k = m.key();
          if (k == "id" || k == "event_id" || k == "object_id" || k == "Tag" || k == "ShadowAttribute" ||
              k == "Sighting" || k == "timestamp" || k == "sharing_group_id" || k == "SharingGroup" || m.is_null() ||
              k == "RelatedAttribute" || k == "distribution")
            continue;
          EXPECT_EQ(scalar(m).empty() ? m.to_text() : scalar(m), scalar(b[k]).empty() ? b[k].to_text() : scalar(b[k]))
              << file.path() << " " << k;
        }
      }
      EXPECT_EQ(e["Object"].size(), given["Object"].size()) << file.path();
    }
  fmt::print("{} events, {} attributes\n", events, attributes);
  EXPECT_GT(events, 30U);
}

TEST_F(MispTest, OurOwnIndicatorsAreEventsADayThatNobodyChanges) {
  const Instant day = sim.now();
  const auto know = [&](std::int64_t id, std::string_view value, event::Kind kind, Tlp tlp, Instant changed) {
    Known k;
    k.id = id;
    k.indicator.kind = kind;
    k.indicator.value = value;
    k.indicator.source = "Test CERT";
    k.indicator.tlp = tlp;
    k.changed = changed;
    known.push_back(k);
  };
  know(1, "one.example", event::Kind::domain, Tlp::green, day);
  know(2, "evil.example/x", event::Kind::url, Tlp::green, day + 1s);
  know(3, "two.example", event::Kind::domain, Tlp::amber, day + 2s);
  know(4, "red.example", event::Kind::domain, Tlp::red, day + 3s);
  sim.advance(2min);
  const auto index = post("/events/index", R"({"org":"Test CERT","published":1})");
  ASSERT_EQ(index.json.root().size(), 2U) << index.body;
  const auto found = post("/attributes/restSearch",
                          R"({"value":["one.example","http://evil.example/x","two.example","red.example"]})");
  EXPECT_EQ(found.json.root()["response"]["Attribute"].size(), 3U) << found.body;
  EXPECT_EQ(post("/events/edit/1", R"({"info":"mine"})").status, 403);
  EXPECT_EQ(post("/events/delete/1").status, 403);
  EXPECT_TRUE(published.empty()) << "they are not published a second time";
  gone.push_back({1, "domain", "one.example", "Test CERT", Tlp::green});
  know(5, "three.example", event::Kind::domain, Tlp::green, day + 4s);
  sim.advance(6min);
  EXPECT_EQ(post("/attributes/restSearch", R"({"value":"one.example"})").json.root()["response"]["Attribute"].size(),
            0U);
  EXPECT_EQ(post("/attributes/restSearch", R"({"value":"three.example"})").json.root()["response"]["Attribute"].size(),
            1U);
  EXPECT_EQ(post("/events/index", R"({"published":1})").json.root().size(), 2U) << "the same day, the same event";
}

/// Another hub, that reads this one.
struct Puller2 {
  explicit Puller2(Sim& sim, bool tells = false) {
    state = store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}}).value();
    if (tells) settings = Settings::read(misp_settings(), "[misp]\ntell_sightings = true\n", "test").value();
    misp = Misp::open(sim, *state, {.name = "Other CERT", .folder = "/other", .settings = &settings}).value();
    library.publish = [this](std::int64_t, std::vector<Delivered> all, std::string_view) -> Result<Taken> {
      for (auto& d : all) {
        taken[d.indicator.value] = d.indicator;
        if (d.closed) closed.insert(d.indicator.value);
        else closed.erase(d.indicator.value);
      }
      return Taken{};
    };
    library.withdraw = [this](std::int64_t, std::vector<mi::Removal> all) -> Result<std::uint64_t> {
      for (const auto& r : all) taken.erase(r.value);
      return all.size();
    };
    library.dropped = [this](std::int64_t, std::span<const Dropped> all) -> Result<void> {
      dropped.insert(dropped.end(), all.begin(), all.end());
      return {};
    };
    library.defaults_of = [](std::int64_t) -> Result<mi::Indicator> { return mi::Indicator{}; };
    MispLinks links;
    links.library = &library;
    EXPECT_TRUE(misp->connect(std::move(links)));
    state->start();
  }
  ~Puller2() { state->stop(); }
  Result<Pulled> pull(Sim& sim, net::Client& client, std::string kind, std::string url, std::string cursor = {}) {
    auto turn = std::make_shared<Pull>(Pull{.peer = {.id = 7,
                                                     .name = "First CERT",
                                                     .kind = kind,
                                                     .direction = "both",
                                                     .url = std::move(url),
                                                     .ceiling = ceiling,
                                                     .cursor = std::move(cursor)},
                                            .runtime = sim,
                                            .client = client,
                                            .queue = queue(sim),
                                            .library = library,
                                            .authorization = "key",
                                            .max_reply = 1U << 24U});
    std::optional<Result<Pulled>> result;
    misp->pullers()[kind](turn, [&](Result<Pulled> r) { result = std::move(r); });
    sim.run_until([&] { return result.has_value(); }, 5min);
    return result ? std::move(*result) : fail(Code::unavailable, "no end");
  }
  QueueId queue(Sim& sim) {
    if (!queue_) queue_ = sim.queue({.name = "pulls"});
    return *queue_;
  }
  /// The row that the desk would keep of it.
  void keep_peer(std::string_view direction, std::string_view narrowest) {
    ceiling = *event::parse_tlp(narrowest);
    const auto kept = state->write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec(
          "INSERT OR REPLACE INTO exchange_peer (id, name, kind, direction, url, sign_in, user, secret, options, "
          "ceiling, kinds, sectors, confidence, strongest, tlp, valid_days, every_s, state, cursor, tried_us, ok_us, "
          "newest_us, error, failures, taken, demoted, dropped, sent, made_by, made_us) VALUES (7, 'First CERT', "
          "'misp', :d, '', '', '', '', '{}', :c, '[]', '[]', 50, 'warn', 'amber', 90, 3600, 'ok', '', 0, 0, 0, '', 0, "
          "0, 0, 0, 0, '', 0)",
          {{"d", direction}, {"c", narrowest}}));
      return {};
    });
    ASSERT_TRUE(kept) << to_string(kept.error());
  }
  std::optional<QueueId> queue_;
  event::Tlp ceiling = event::Tlp::green;
  Settings settings = Settings::defaults(misp_settings());
  std::unique_ptr<store::State> state;
  Library library;
  std::unique_ptr<Misp> misp;
  std::map<std::string, mi::Indicator> taken;
  std::set<std::string> closed;
  std::vector<Dropped> dropped;
};

TEST_F(MispTest, WhatAPartnerKeepsToItsOwnOrAGroupIsClosedAndHasASourceOfItsOwn) {
  ASSERT_EQ(post("/events/add", event(R"("published":true,"Tag":[{"name":"tlp:amber"}],"Attribute":[
      {"type":"domain","value":"open.example"},{"type":"domain","value":"own.example","distribution":"0"}],
      "Object":[{"name":"url","distribution":"4","Attribute":[{"type":"domain","value":"group.example"}]}])"))
                .status,
            200);
  ASSERT_EQ(post("/events/add", event(R"("published":true,"distribution":"0","Tag":[{"name":"tlp:green"}],"Attribute":[
      {"type":"domain","value":"whole.example"}])",
                                      "22222222-2222-4333-8444-555555555555"))
                .status,
            200);
  const auto server = net::SimServer::start(sim, router, "first.example:443", sim.queue({.name = "first"})).value();
  const auto client = net::sim_client(sim, {});
  Puller2 other(sim);
  const auto first = other.pull(sim, *client, "misp", "https://first.example/");
  ASSERT_TRUE(first) << to_string(first.error());
  sim.advance(2s);
  EXPECT_EQ(other.closed, (std::set<std::string>{"own.example", "group.example", "whole.example"}));
  EXPECT_EQ(other.taken["open.example"].source, "Test CERT");
  EXPECT_EQ(other.taken["own.example"].source, "Test CERT (closed)");
  EXPECT_EQ(other.taken["own.example"].tlp, Tlp::amber) << "our nodes get it by its TLP";
  EXPECT_EQ(other.taken["whole.example"].source, "Test CERT (closed)");
  // Opened at the partner: the same indicator, now under the open name, and the closed one is withdrawn.
  ASSERT_EQ(post("/events/edit/2", R"({"distribution":"1"})").status, 200);
  ASSERT_EQ(post("/events/publish/2").status, 200);
  sim.advance(2s);
  const auto again = other.pull(sim, *client, "misp", "https://first.example/", first->cursor);
  ASSERT_TRUE(again) << to_string(again.error());
  sim.advance(2s);
  EXPECT_FALSE(other.closed.contains("whole.example"));
}

TEST_F(MispTest, ReadsAMispAndAFeedAndWhatChangesThere) {
  ASSERT_EQ(post("/events/add", event(R"("published":true,"strange":1,"Tag":[{"name":"tlp:green"}],"Attribute":[
      {"type":"domain","value":"pulled.example","uuid":"aaaaaaaa-2222-4333-8444-555555555555"}])"))
                .status,
            200);
  ASSERT_EQ(post("/events/add", event(R"("Attribute":[{"type":"domain","value":"draft.example"}])",
                                      "22222222-2222-4333-8444-555555555555"))
                .status,
            200);
  ASSERT_EQ(post("/sightings/add", R"({"value":"pulled.example","type":1})").status, 200);
  const auto server = net::SimServer::start(sim, router, "first.example:443", sim.queue({.name = "first"})).value();
  const auto client = net::sim_client(sim, {});
  for (const std::string kind : {"misp", "misp_feed"}) {
    Puller2 other(sim);
    const std::string url = kind == "misp" ? "https://first.example/" : "https://first.example/misp/feed/";
    auto first = other.pull(sim, *client, kind, url);
    ASSERT_TRUE(first) << kind << to_string(first.error());
    EXPECT_FALSE(first->more);
    sim.advance(2s);
    EXPECT_TRUE(other.dropped.empty()) << other.dropped.front().reason;
    ASSERT_EQ(other.taken.size(), 1U) << kind;
    EXPECT_EQ(other.taken.begin()->first, "pulled.example");
    EXPECT_EQ(other.taken.begin()->second.source, "Test CERT");
    EXPECT_EQ(other.taken.begin()->second.tlp, Tlp::green);
    const auto rows =
        other.state->read([](store::Reader& r) { return r.all<std::string>("SELECT body FROM misp_event"); }).value();
    ASSERT_EQ(rows.size(), 1U);
    EXPECT_NE(rows.front().find("strange"), std::string::npos);
    const auto sightings =
        other.state->read([](store::Reader& r) { return r.number("SELECT COUNT(*) FROM misp_sighting"); }).value();
    EXPECT_EQ(sightings, kind == "misp" ? 1 : 0);
    // Nothing new: nothing is asked for but the list.
    const auto again = other.pull(sim, *client, kind, url, first->cursor);
    ASSERT_TRUE(again);
    EXPECT_EQ(again->cursor, first->cursor);
    sim.advance(2s);
    ASSERT_EQ(post("/attributes/delete/aaaaaaaa-2222-4333-8444-555555555555").status, 200);
    ASSERT_EQ(post("/attributes/add/1", R"({"type":"domain","value":"later.example"})").status, 200);
    ASSERT_EQ(post("/events/publish/1").status, 200);
    sim.advance(2s);
    const auto changed = other.pull(sim, *client, kind, url, first->cursor);
    ASSERT_TRUE(changed) << to_string(changed.error());
    sim.advance(2s);
    EXPECT_TRUE(other.taken.contains("later.example")) << kind;
    if (kind == "misp") {
      EXPECT_FALSE(other.taken.contains("pulled.example")) << "a MISP says what was deleted, a feed does not";
    }
    // Back as it was, for the other kind.
    ASSERT_EQ(post("/attributes/restore/aaaaaaaa-2222-4333-8444-555555555555").status, 200);
    const auto later = post("/attributes/restSearch", R"({"value":"later.example"})");
    ASSERT_EQ(post(fmt::format("/attributes/delete/{}/hard:1",
                               later.json.root()["response"]["Attribute"].at(0)["uuid"].text_or({})))
                  .status,
              200);
    ASSERT_EQ(post("/events/publish/1").status, 200);
    sim.advance(2s);
  }
  Puller2 other(sim);
  who = event::Scope("nobody", {}, 0, Tlp::clear);
  const auto refused = other.pull(sim, *client, "misp", "https://first.example/");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::forbidden);
  const auto away = other.pull(sim, *client, "misp", "https://nowhere.example/");
  ASSERT_FALSE(away);
  EXPECT_EQ(away.error().code, Code::unavailable);
}

/// As the hub keeps what a node told.
void node_tells(store::State& state, std::string_view item, std::string_view title, std::int64_t at_us) {
  const auto told = state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(
        tx.exec("INSERT INTO hub_shared (node, item, kind, municipality, tlp, at_us, received_at_us, body) "
                "VALUES ('n-gentofte', :i, 'sighting', 157, 'amber', :at, :at, :b)",
                {{"i", item},
                 {"at", at_us},
                 {"b", fmt::format(R"({{"alert":1,"title":"{}","count":3,"last_seen_us":{}}})", title, at_us)}}));
    return tx.emit("report.sighting", fmt::format("n-gentofte:{}", item), "{}", MunicipalityId{157});
  });
  ASSERT_TRUE(told) << to_string(told.error());
}

TEST_F(MispTest, WhatNodesSeeIsASightingOfOursThatNamesNobody) {
  ASSERT_EQ(post("/events/add", event(R"("published":true,"Tag":[{"name":"tlp:green"}],"Attribute":[
      {"type":"domain","value":"seen.example","uuid":"aaaaaaaa-2222-4333-8444-555555555555"},
      {"type":"url","value":"https://seen.example/Path"},{"type":"domain","value":"words.example","to_ids":false}])"))
                .status,
            200);
  jobs();
  const std::int64_t at = micros(sim.now()) - 3'600'000'000;
  node_tells(*state, "1", "domain seen.example", at);
  node_tells(*state, "2", "url seen.example/Path", at);
  node_tells(*state, "3", "domain words.example", at);
  node_tells(*state, "4", "domain nobody-knows.example", at);
  node_tells(*state, "5", "pattern [domain-name:value = 'seen.example']", at);
  node_tells(*state, "6", "nonsense", at);
  sim.advance(1s);
  const auto all = post("/sightings/restSearch/event", fmt::format(R"({{"uuid":["{}"]}})", kUuid));
  ASSERT_EQ(all.json.root()["response"].size(), 2U) << all.body;
  const auto one = all.json.root()["response"].at(0)["Sighting"];
  EXPECT_EQ(one["Organisation"]["name"].text_or({}), "Test CERT");
  EXPECT_EQ(one["type"].text_or({}), "0");
  EXPECT_EQ(one["date_sighting"].text_or({}), std::to_string(at / 1'000'000));
  EXPECT_EQ(all.body.find("gentofte"), std::string::npos) << all.body;
  EXPECT_EQ(all.body.find("157"), std::string::npos) << all.body;
  // No partner learns of it, not even that there is something new.
  Book book(sim, *state, "Test CERT");
  ASSERT_TRUE(book.open());
  Partner p;
  p.peer = 9;
  p.name = "Town";
  p.may_read = true;
  p.ceiling = Tlp::amber;
  const Viewer town = Viewer::of(p);
  const auto a = book.attribute(town, "aaaaaaaa-2222-4333-8444-555555555555").value();
  ASSERT_TRUE(a);
  EXPECT_NE(Render(book, town).attribute(*a, {.sightings = true})->find("\"Sighting\":[]"), std::string::npos);
  EXPECT_EQ(book.event(town, kUuid).value()->sighting_timestamp, 0);
  // Ours below amber do not, either: it is marked as the node marked it.
  reader(Tlp::green);
  EXPECT_EQ(
      post("/sightings/restSearch/event", fmt::format(R"({{"uuid":["{}"]}})", kUuid)).json.root()["response"].size(),
      0U);
}

TEST_F(MispTest, APartnersMispHearsWhatWasSeenOfItsEventsWhenThatIsWanted) {
  ASSERT_EQ(post("/events/add", event(R"("published":true,"Tag":[{"name":"tlp:green"}],"Attribute":[
      {"type":"domain","value":"seen.example","uuid":"aaaaaaaa-2222-4333-8444-555555555555"}])"))
                .status,
            200);
  const auto server = net::SimServer::start(sim, router, "first.example:443", sim.queue({.name = "first"})).value();
  const auto client = net::sim_client(sim, {});
  const auto heard = [&] {
    return state->read([](store::Reader& r) { return r.number("SELECT COUNT(*) FROM misp_sighting"); }).value();
  };
  struct Case {
    bool tells;
    const char *direction, *ceiling;
    std::int64_t expected;
  };
  for (const Case& c : {Case{false, "both", "amber", 0}, Case{true, "in", "amber", 0}, Case{true, "both", "green", 0},
                        Case{true, "both", "amber", 1}}) {
    Puller2 other(sim, c.tells);
    other.keep_peer(c.direction, c.ceiling);
    const auto first = other.pull(sim, *client, "misp", "https://first.example/");
    ASSERT_TRUE(first) << to_string(first.error());
    node_tells(*other.state, "1", "domain seen.example", micros(sim.now()));
    sim.advance(2s);
    const auto second = other.pull(sim, *client, "misp", "https://first.example/", first->cursor);
    ASSERT_TRUE(second) << to_string(second.error());
    EXPECT_EQ(heard(), c.expected) << c.tells << c.direction << c.ceiling;
    EXPECT_EQ(second->sent, static_cast<std::uint64_t>(c.expected));
    // Once, and our own word does not come back to us as somebody's.
    const auto third = other.pull(sim, *client, "misp", "https://first.example/", second->cursor);
    ASSERT_TRUE(third) << to_string(third.error());
    EXPECT_EQ(heard(), c.expected);
    EXPECT_EQ(
        other.state->read([](store::Reader& r) { return r.number("SELECT COUNT(*) FROM misp_sighting"); }).value(), 1);
  }
  const auto all = post("/sightings/restSearch/event", fmt::format(R"({{"uuid":["{}"]}})", kUuid));
  EXPECT_EQ(all.json.root()["response"].at(0)["Sighting"]["source"].text_or({}), "Other CERT");
  EXPECT_EQ(all.body.find("gentofte"), std::string::npos);
}

TEST_F(MispTest, FalsePositivesLowerAndExpiryByTheMakerEnds) {
  ASSERT_EQ(post("/events/add", event(R"("published":true,"Tag":[{"name":"tlp:green"}],"Attribute":[
      {"type":"domain","value":"doubted.example","uuid":"aaaaaaaa-2222-4333-8444-555555555555"},
      {"type":"domain","value":"ended.example","uuid":"bbbbbbbb-2222-4333-8444-555555555555"}])"))
                .status,
            200);
  jobs();
  ASSERT_TRUE(published.contains("doubted.example"));
  const auto before = published["doubted.example"].confidence;
  const auto server = net::SimServer::start(sim, router, "first.example:443", sim.queue({.name = "first"})).value();
  const auto client = net::sim_client(sim, {});
  Puller2 other(sim);
  auto pulled = other.pull(sim, *client, "misp", "https://first.example/");
  ASSERT_TRUE(pulled);
  sim.advance(2s);
  ASSERT_EQ(other.taken.size(), 2U);

  // Somebody else's word is heard and does not decide.
  Book book(sim, *state, "Test CERT");
  ASSERT_TRUE(book.open());
  Partner p;
  p.peer = 9;
  p.name = "Town";
  p.may_read = p.may_write = true;
  p.ceiling = Tlp::green;
  const Viewer town = Viewer::of(p);
  for (const auto& [uuid, type] :
       {std::pair("aaaaaaaa-2222-4333-8444-555555555555", 1), std::pair("bbbbbbbb-2222-4333-8444-555555555555", 2)}) {
    SightingIn s;
    s.type = type;
    ASSERT_TRUE(book.add_sightings(town, {*book.attribute(town, uuid).value()}, s));
  }
  sim.advance(2s);
  EXPECT_EQ(published["doubted.example"].confidence, before - 10);
  EXPECT_NE(published["doubted.example"].comment.find("called a false positive by 1"), std::string::npos);
  EXPECT_TRUE(published.contains("ended.example")) << "only who made it may end it";

  // The maker's does, here and at whoever reads us.
  ASSERT_EQ(post("/sightings/add/aaaaaaaa-2222-4333-8444-555555555555", R"({"type":1})").status, 200);
  ASSERT_EQ(post("/sightings/add/bbbbbbbb-2222-4333-8444-555555555555", R"({"type":2})").status, 200);
  sim.advance(2s);
  EXPECT_EQ(published["doubted.example"].confidence, before / 2);
  EXPECT_EQ(published["doubted.example"].action, mi::Action::watch);
  EXPECT_FALSE(published.contains("ended.example"));
  pulled = other.pull(sim, *client, "misp", "https://first.example/", pulled->cursor);
  ASSERT_TRUE(pulled) << to_string(pulled.error());
  sim.advance(2s);
  EXPECT_FALSE(other.taken.contains("ended.example"));
  EXPECT_NE(other.taken["doubted.example"].comment.find("called a false positive"), std::string::npos);
  // A change after it is the newer word.
  sim.advance(5s);
  ASSERT_EQ(post("/attributes/edit/bbbbbbbb-2222-4333-8444-555555555555", R"({"comment":"back"})").status, 200);
  ASSERT_EQ(post("/events/publish/1").status, 200);
  sim.advance(2s);
  EXPECT_TRUE(published.contains("ended.example"));
}

TEST_F(MispTest, WarninglistsAndTaxonomiesShip) {
  const auto lists = get("/warninglists/index").json;
  EXPECT_GT(lists.root()["Warninglists"].size(), 20U);
  const auto hit = post("/warninglists/checkValue", R"(["10.1.2.3","unlisted-name.dk"])");
  ASSERT_EQ(hit.json.root().size(), 1U) << hit.body;
  const auto found = hit.json.root()["10.1.2.3"].at(0);
  EXPECT_EQ(found["matched"].text_or({}), "10.1.2.3");
  EXPECT_EQ(
      post("/warninglists/toggleEnable", fmt::format(R"({{"id":["{}"],"enabled":false}})", found["id"].text_or({})))
          .status,
      200);
  EXPECT_EQ(post("/warninglists/checkValue", R"(["10.1.2.3"])").body.find("RFC 1918"), std::string::npos);
  const auto taxonomies = get("/taxonomies/index").json;
  EXPECT_EQ(taxonomies.root().size(), 12U);
  const auto tlp = get("/taxonomies/view/tlp").json;
  EXPECT_GT(tlp.root()["entries"].size(), 4U);
  EXPECT_EQ(post("/taxonomies/disable/tlp").status, 200);
  EXPECT_EQ(get("/taxonomies/view/tlp").json.root()["Taxonomy"]["enabled"].boolean(), false);
  const auto types = get("/attributes/describeTypes.json").json;
  EXPECT_GT(types.root()["result"]["types"].size(), 180U);
  EXPECT_EQ(types.root()["result"]["categories"].size(), 16U);
}

}  // namespace
}  // namespace bavn::exchange::misp
