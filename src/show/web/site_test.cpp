#include "show/web/site.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "base/sim.hpp"
#include "base/threads.hpp"
#include "net/content_coding.hpp"
#include "net/json_value.hpp"
#include "show/web/answers.hpp"
#include "show/web/feed.hpp"

namespace bavn::show::web {
namespace {

using namespace std::chrono_literals;
using event::Right;
using event::Scope;
using net::Method;
using net::Needs;
using net::Reply;
using net::Request;

/// What the server's end of a stream sent.
struct Heard final : net::EventStream {
  bool send(net::SseEvent e) override {
    if (closed) return false;
    events.push_back(std::move(e));
    return true;
  }
  void close() override {
    closed = true;
    if (gone) std::exchange(gone, nullptr)();
  }
  std::size_t waiting_bytes() const override { return 0; }
  void on_close(std::move_only_function<void()> f) override { gone = std::move(f); }
  std::vector<std::string> kinds() const {
    std::vector<std::string> out;
    for (const auto& e : events) out.push_back(e.event);
    return out;
  }
  std::vector<net::SseEvent> events;
  std::move_only_function<void()> gone;
  bool closed = false;
};

struct World {
  explicit World(Options options = {}, Serves serves = Serves::hub) {
    Parts parts{sim, metrics, *state, texts, serves};
    parts.home = [](const Request&) { return net::text("<h1>status</h1>", "text/html; charset=utf-8"); };
    site = Site::open(parts, std::move(options)).value();
    site->use_authenticator([this](const Request& q) -> Result<Scope> {
      const std::string* name = q.headers.find("X-Name");
      if (name == nullptr) return fail(Code::forbidden, "nobody is signed in");
      const auto at = people.find(*name);
      if (at == people.end()) return fail(Code::forbidden, "this session is over");
      return at->second;
    });
    net::Router& r = site->router();
    r.get("/api/things", Needs::alert_read, [](const Request&) { return net::json("[]"); });
    r.post("/api/things", Needs::alert_write, [this](const Request& q) {
      ++made;
      if (q.body == "bad") return refused({{"/name", "the name is missing"}});
      if (q.body == "secret") return shown_once(net::json(R"({"key":"only now"})", 201));
      if (q.body == "later") return net::problem({Code::unavailable, "no room", {}});
      return created(R"({"id":"1"})", "/api/things/1");
    });
    r.put("/api/things/{id}", Needs::alert_write, [](const Request& q) {
      if (auto no = must_match(q, etag_of(7))) return std::move(*no);
      return tagged(net::json("{}"), etag_of(8));
    });
    site->watch();
    state->start();
  }
  ~World() {
    site->stop();
    state->stop();
  }

  Reply ask(Method method, std::string_view target,
            std::initializer_list<std::pair<const char*, const char*>> headers = {}, std::string body = {}) {
    Request q = net::request_for(method, target).value();
    q.peer.address = "192.0.2.7";
    for (const auto& [name, value] : headers) q.headers.add(name, value);
    q.body = std::move(body);
    std::optional<Reply> reply;
    site->router().handle(std::move(q), [&](Reply r) { reply = std::move(r); });
    if (!reply) sim.run_until([&] { return reply.has_value(); }, 1min);
    EXPECT_TRUE(reply) << target;
    return reply.value_or(Reply{.status = 0});
  }
  std::shared_ptr<Heard> listen(const char* name, std::string_view target = "/api/events", const char* last = nullptr) {
    Request q = net::request_for(Method::get, target).value();
    q.headers.add("X-Name", name);
    if (last != nullptr) q.headers.add("Last-Event-ID", last);
    auto stream = std::make_shared<Heard>();
    last_refusal.reset();
    site->router().open_stream(std::move(q), stream, [&](Reply r) { last_refusal = std::move(r); });
    sim.advance(1s);
    return stream;
  }
  void emit(std::string_view kind, std::string_view subject, MunicipalityId of = {}) {
    ASSERT_TRUE(state->write_now([&](store::Tx& tx) { return tx.emit(kind, subject, "{}", of); }));
    sim.advance(1s);
  }
  static std::string text_of(const Reply& r, std::string_view member) {
    const auto document = net::JsonDocument::parse(r.body);
    return document ? std::string(document->root()[member].text_or("")) : "not JSON: " + r.body;
  }

  Sim sim{1};
  Metrics metrics;
  Catalogue texts = Catalogue::embedded();
  std::unique_ptr<store::State> state =
      store::State::open(sim, {.path = ":memory:", .schema = {"core", "hub"}}).value();
  std::unique_ptr<Site> site;
  std::map<std::string, Scope> people{
      {"lead", Scope::everywhere("person:1", 0xFFFFFFFFU, event::Tlp::red)},
      {"odense", Scope("person:2", {{461}},
                       static_cast<std::uint32_t>(Right::alert_read) | static_cast<std::uint32_t>(Right::tenants_read),
                       event::Tlp::amber_strict)},
      {"partner", Scope("person:3", {}, static_cast<std::uint32_t>(Right::indicator_read), event::Tlp::green)}};
  int made = 0;
  std::optional<Reply> last_refusal;
};

TEST(Site, AProblemSaysWhatItIsInTheReadersLanguageAndCarriesATrace) {
  World w;
  const Reply danish = w.ask(Method::get, "/api/things", {{"Accept-Language", "da, en;q=0.5"}});
  EXPECT_EQ(danish.status, 401);
  EXPECT_EQ(World::text_of(danish, "type"), "/problems/unauthenticated");
  EXPECT_EQ(World::text_of(danish, "title"), "Du er ikke logget ind");
  EXPECT_EQ(World::text_of(danish, "detail"), "nobody is signed in");
  EXPECT_EQ(World::text_of(danish, "trace").size(), 32U);
  const Reply other = w.ask(Method::get, "/api/nothing",
                            {{"Accept-Language", "fr;q=1, nn;q=0.4"},
                             {"traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}});
  EXPECT_EQ(other.status, 404);
  EXPECT_EQ(World::text_of(other, "title"), "Det finnes ikke her");
  EXPECT_EQ(World::text_of(other, "trace"), "4bf92f3577b34da6a3ce929d0e0e4736");
}

TEST(Site, WhereAProblemPointsStaysWithIt) {
  World w;
  const Reply r = w.ask(Method::post, "/api/things", {{"X-Name", "lead"}}, "bad");
  EXPECT_EQ(r.status, 422);
  EXPECT_NE(r.body.find(R"("errors":[{"pointer":"/name","detail":"the name is missing"}])"), std::string::npos)
      << r.body;
}

TEST(Site, EveryReplyTellsBrowsersToKeepToThemselves) {
  World w;
  for (const char* path : {"/api/things", "/", "/nothing", "/accessibility-statement", "/pages/page.css"}) {
    const Reply r = w.ask(Method::get, path, {{"Accept", "text/html"}});
    ASSERT_NE(r.headers.find("Content-Security-Policy"), nullptr) << path;
    EXPECT_TRUE(r.headers.find("Content-Security-Policy")->starts_with("default-src 'none'")) << path;
    EXPECT_EQ(*r.headers.find("X-Content-Type-Options"), "nosniff") << path;
    EXPECT_EQ(r.headers.find("Strict-Transport-Security"), nullptr) << "http";
  }
  EXPECT_EQ(*w.ask(Method::get, "/api/things", {{"X-Name", "lead"}}).headers.find("Cache-Control"), "no-store");
}

TEST(Site, ABrowserGetsAnErrorAsAPageAndAProgramAsJson) {
  World w;
  const Reply page = w.ask(Method::get, "/confirm/x", {{"Accept", "text/html"}, {"Accept-Language", "da"}});
  EXPECT_EQ(page.status, 404);
  EXPECT_EQ(*page.headers.find("Content-Type"), "text/html; charset=utf-8");
  EXPECT_NE(page.body.find("<html lang=\"da\">"), std::string::npos);
  EXPECT_NE(page.body.find("Det findes ikke her"), std::string::npos);
  EXPECT_EQ(*w.ask(Method::get, "/confirm/x").headers.find("Content-Type"), "application/problem+json");
  EXPECT_EQ(*w.ask(Method::get, "/api/x", {{"Accept", "text/html"}}).headers.find("Content-Type"),
            "application/problem+json");
}

TEST(Site, AWriteOfAnotherOriginDoesNothing) {
  World w;
  for (const auto& [name, value] : {std::pair("Sec-Fetch-Site", "cross-site"),
                                    {"Sec-Fetch-Site", "same-site"},
                                    {"Origin", "https://evil.example"},
                                    {"Origin", "null"},
                                    {"Cookie", "__Host-bavn=1"}}) {
    const Reply r =
        w.ask(Method::post, "/api/things", {{"X-Name", "lead"}, {"Host", "bavn.example:1"}, {name, value}}, "{}");
    EXPECT_EQ(r.status, 403) << name << ": " << value;
    EXPECT_EQ(World::text_of(r, "type"), "/problems/other-origin");
  }
  EXPECT_EQ(w.made, 0);
  for (const auto& [name, value] :
       {std::pair("Sec-Fetch-Site", "same-origin"), {"Origin", "http://bavn.example:1"}, {"X-Bavn", "1"}})
    EXPECT_EQ(w.ask(Method::post, "/api/things", {{"X-Name", "lead"}, {"Host", "bavn.example:1"}, {name, value}}, "{}")
                  .status,
              201);
  EXPECT_EQ(w.ask(Method::get, "/api/things", {{"X-Name", "lead"}, {"Sec-Fetch-Site", "cross-site"}}).status, 200)
      << "reading is free";
}

TEST(Site, WhoAsksTooMuchIsToldWhenToComeBack) {
  World w({.requests_per_minute = 3, .writes_per_minute = 1, .strangers_per_minute = 2});
  for (int n = 0; n < 3; ++n) {
    const Reply r = w.ask(Method::get, "/api/things", {{"X-Name", "lead"}});
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(*r.headers.find("RateLimit-Policy"), "\"requests\";q=3;w=60");
    EXPECT_EQ(*r.headers.find("RateLimit"), "\"requests\";r=" + std::to_string(2 - n) + ";t=60");
  }
  const Reply no = w.ask(Method::get, "/api/things", {{"X-Name", "lead"}});
  EXPECT_EQ(no.status, 429);
  EXPECT_EQ(*no.headers.find("Retry-After"), "60");
  EXPECT_EQ(w.ask(Method::post, "/api/things", {{"X-Name", "lead"}}, "{}").status, 201)
      << "writes have a minute of their own";
  EXPECT_EQ(w.ask(Method::get, "/api/things", {{"X-Name", "odense"}}).status, 200) << "others are not held back";
  w.sim.advance(61s);
  EXPECT_EQ(w.ask(Method::get, "/api/things", {{"X-Name", "lead"}}).status, 200);
}

TEST(Site, AnAddressThatGuessesIsNotHeardForAMinute) {
  World w({.strangers_per_minute = 5});
  for (int n = 0; n < 5; ++n) EXPECT_EQ(w.ask(Method::get, "/api/things", {{"X-Name", "guess"}}).status, 401);
  EXPECT_EQ(w.ask(Method::get, "/api/things", {{"X-Name", "guess"}}).status, 429);
  w.sim.advance(61s);
  EXPECT_EQ(w.ask(Method::get, "/api/things", {{"X-Name", "lead"}}).status, 200);
}

TEST(Site, OnlyAProxyOfOursSaysWhereOthersComeFrom) {
  World w({.proxies = {"192.0.2.7"}, .strangers_per_minute = 1});
  const auto from = [&](const char* address) {
    return w.ask(Method::get, "/accessibility-statement", {{"X-Forwarded-For", address}}).status;
  };
  EXPECT_EQ(from("203.0.113.1"), 200);
  EXPECT_EQ(from("198.51.100.9, 203.0.113.1"), 429)
      << "what a stranger wrote before the proxy's word counts for nothing";
  EXPECT_EQ(from("203.0.113.2"), 200);
}

TEST(Site, TheSameKeyHasItsEffectOnceAndIsAnsweredAlike) {
  World w;
  const auto post = [&](const char* who, const char* key, std::string body) {
    return w.ask(Method::post, "/api/things", {{"X-Name", who}, {"Idempotency-Key", key}}, std::move(body));
  };
  const Reply first = post("lead", "a", "{}"), again = post("lead", "a", "{}");
  EXPECT_EQ(w.made, 1);
  EXPECT_EQ(again.status, 201);
  EXPECT_EQ(again.body, first.body);
  EXPECT_EQ(*again.headers.find("Location"), "/api/things/1");
  EXPECT_EQ(*again.headers.find("Idempotency-Replayed"), "true");
  EXPECT_EQ(World::text_of(post("lead", "a", "{ }"), "type"), "/problems/key-reused");
  EXPECT_EQ(post("lead", "b", "{}").status, 201);
  EXPECT_EQ(w.made, 2);
  w.sim.advance(25h);
  EXPECT_EQ(post("lead", "a", "{}").headers.find("Idempotency-Replayed"), nullptr);
  EXPECT_EQ(w.made, 3);
  EXPECT_EQ(post("lead", "", "{}").status, 400);
  EXPECT_EQ(post("lead", "æ", "{}").status, 400);
}

TEST(Site, WhatWasRefusedMayBeSentAgainWithTheSameKey) {
  World w;
  for (const char* body : {"bad", "later"}) {
    const int before = w.made;
    for (int n = 0; n < 2; ++n)
      EXPECT_GE(w.ask(Method::post, "/api/things", {{"X-Name", "lead"}, {"Idempotency-Key", body}}, body).status, 400);
    EXPECT_EQ(w.made, before + 2) << "nothing had happened";
  }
}

TEST(Site, ASecretThatIsShownOnceIsNotKept) {
  World w;
  const auto post = [&] {
    return w.ask(Method::post, "/api/things", {{"X-Name", "lead"}, {"Idempotency-Key", "k"}}, "secret");
  };
  const Reply first = post();
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(first.headers.find("X-Bavn-Shown-Once"), nullptr);
  const Reply again = post();
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(World::text_of(again, "type"), "/problems/shown-once");
  EXPECT_EQ(w.made, 1);
  const auto kept = w.state->read([](store::Reader& r) {
    return r.number("SELECT count(*) FROM web_once WHERE instr(CAST(body AS TEXT), 'only now') > 0");
  });
  EXPECT_EQ(*kept, 0);
}

TEST(Site, AfterACrashTheOutcomeIsNotGuessed) {
  World w;
  // As a process that died inside the handler left it.
  ASSERT_EQ(w.ask(Method::post, "/api/things", {{"X-Name", "lead"}, {"Idempotency-Key", "k"}}, "{}").status, 201);
  ASSERT_TRUE(w.state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE web_once SET status = NULL, run = 'the one before'"));
    return {};
  }));
  const Reply r = w.ask(Method::post, "/api/things", {{"X-Name", "lead"}, {"Idempotency-Key", "k"}}, "{}");
  EXPECT_EQ(World::text_of(r, "type"), "/problems/outcome-unknown");
  EXPECT_EQ(w.made, 1);
}

TEST(Site, AnEditNamesTheVersionItChanges) {
  World w;
  EXPECT_EQ(w.ask(Method::put, "/api/things/1", {{"X-Name", "lead"}}).status, 428);
  const Reply stale = w.ask(Method::put, "/api/things/1", {{"X-Name", "lead"}, {"If-Match", "\"6\""}});
  EXPECT_EQ(stale.status, 412);
  EXPECT_EQ(*stale.headers.find("ETag"), "\"7\"");
  EXPECT_EQ(w.ask(Method::put, "/api/things/1", {{"X-Name", "lead"}, {"If-Match", "W/\"7\""}}).status, 412)
      << "weak is not enough";
  EXPECT_EQ(w.ask(Method::put, "/api/things/1", {{"X-Name", "lead"}, {"If-Match", "\"1\", \"7\""}}).status, 200);
}

TEST(Site, AStreamTellsEachWhatItMaySee) {
  World w;
  const auto lead = w.listen("lead"), odense = w.listen("odense"), partner = w.listen("partner");
  w.emit("alert.opened", "1", {461});
  w.emit("alert.opened", "2", {101});
  w.emit("campaign.opened", "3");
  w.emit("candidate.opened", "4");
  w.emit("content.base", "5");
  EXPECT_EQ(lead->kinds(),
            (std::vector<std::string>{"ready", "alert.opened", "alert.opened", "campaign.opened", "content.base"}));
  EXPECT_EQ(odense->kinds(), (std::vector<std::string>{"ready", "alert.opened"}));
  EXPECT_EQ(partner->kinds(), (std::vector<std::string>{"ready"})) << "what is of no municipality is the CERT's";
  EXPECT_EQ(lead->events[1].data, R"({"kind":"alert.opened","subject":"1","seq":1})");
  EXPECT_EQ(lead->events[1].id, "1");
}

/// Announced to other modules, and shown by what these make of it.
constexpr std::array kNotTold{"candidate.", "report.", "hub."};

TEST(Site, EveryKindThatIsAnnouncedIsToldOrLeftOutOnPurpose) {
  const std::regex emits(R"(\bemit\(\s*(?:fmt::format\()?"([a-z_]+\.))");
  std::set<std::string> strange;
  std::size_t seen = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(std::string(BAVN_SOURCE_DIR) + "/src")) {
    const std::string name = file.path().filename().string();
    if (!name.ends_with(".cpp") || name.ends_with("_test.cpp")) continue;
    std::ifstream in(file.path());
    const std::string text((std::istreambuf_iterator<char>(in)), {});
    for (std::sregex_iterator at(text.begin(), text.end(), emits), end; at != end; ++at) {
      ++seen;
      const std::string kind = (*at)[1];
      if (!right_for(kind) && std::find(kNotTold.begin(), kNotTold.end(), kind) == kNotTold.end()) strange.insert(kind);
    }
  }
  EXPECT_GT(seen, 40U);
  EXPECT_EQ(strange, std::set<std::string>()) << "add them to kKinds in feed.cpp, or here to kNotTold";
}

TEST(Site, AStreamGoesOnWhereItWasCut) {
  World w;
  for (int n = 0; n < 1203; ++n)
    ASSERT_TRUE(w.state->write_now([&](store::Tx& tx) { return tx.emit("campaign.updated", std::to_string(n)); }));
  w.sim.advance(1s);
  const auto all = w.listen("lead", "/api/events?after=0");
  ASSERT_EQ(all->events.size(), 1203U);
  EXPECT_EQ(all->events.back().id, "1203");
  const auto some = w.listen("lead", "/api/events", "1201");
  EXPECT_EQ(some->kinds(), (std::vector<std::string>{"campaign.updated", "campaign.updated"}));
  w.emit("warning.drafted", "9");
  EXPECT_EQ(some->events.back().event, "warning.drafted");
  const auto only = w.listen("lead", "/api/events?kinds=warning.,block.&after=1200");
  EXPECT_EQ(only->kinds(), (std::vector<std::string>{"warning.drafted"}));
}

TEST(Site, WhatIsNoLongerKeptIsAGap) {
  World w;
  for (int n = 0; n < 5; ++n) w.emit("campaign.updated", "1");
  ASSERT_TRUE(w.state->write_now([](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("DELETE FROM domain_event WHERE seq <= 3"));
    return {};
  }));
  EXPECT_EQ(w.listen("lead", "/api/events", "1")->kinds(), (std::vector<std::string>{"gap"}));
  EXPECT_EQ(w.listen("lead", "/api/events", "3")->kinds(),
            (std::vector<std::string>{"campaign.updated", "campaign.updated"}));
  const auto restored = w.listen("lead", "/api/events", "700");
  EXPECT_EQ(restored->kinds(), (std::vector<std::string>{"gap"})) << "the tables are younger than what the reader saw";
  EXPECT_EQ(restored->events[0].id, "5");
  EXPECT_EQ(w.listen("lead", "/api/events", "nonsense")->kinds(), (std::vector<std::string>{"ready"}));
}

TEST(Site, AStreamEndsWithTheSessionAndHasALimit) {
  World w({.streams_per_person = 2});
  const auto first = w.listen("lead"), second = w.listen("lead");
  const auto third = w.listen("lead");
  ASSERT_TRUE(w.last_refusal);
  EXPECT_EQ(w.last_refusal->status, 429);
  EXPECT_EQ(World::text_of(*w.last_refusal, "type"), "/problems/too-many-streams");
  second->close();  // the window was closed
  w.sim.advance(1s);
  w.listen("lead")->kinds();
  EXPECT_FALSE(w.last_refusal);
  w.people.erase("lead");
  w.sim.advance(61s);
  EXPECT_TRUE(first->closed) << "the session is over";
  const auto odense = w.listen("odense");
  w.site->end_streams_of("person:2");
  w.sim.advance(1s);
  EXPECT_TRUE(odense->closed);
  w.listen("nobody");
  ASSERT_TRUE(w.last_refusal);
  EXPECT_EQ(w.last_refusal->status, 401);
}

TEST(Site, FilesArePackedAndKnownByTheirTag) {
  World w;
  const Reply plain = w.ask(Method::get, "/api/openapi.json");
  ASSERT_EQ(plain.status, 200);
  EXPECT_TRUE(plain.body.starts_with(R"({"openapi":"3.1.0")"));
  const Reply packed = w.ask(Method::get, "/api/openapi.json", {{"Accept-Encoding", "br, gzip;q=0.8"}});
  EXPECT_EQ(*packed.headers.find("Content-Encoding"), "gzip");
  EXPECT_EQ(*net::gunzip(packed.body, 10U << 20U), plain.body);
  EXPECT_EQ(w.ask(Method::get, "/api/openapi.json", {{"Accept-Encoding", "gzip;q=0"}}).headers.find("Content-Encoding"),
            nullptr);
  const std::string tag = *plain.headers.find("ETag");
  const Reply same = w.ask(Method::get, "/api/openapi.json", {{"If-None-Match", tag.c_str()}});
  EXPECT_EQ(same.status, 304);
  EXPECT_TRUE(same.body.empty());
  EXPECT_EQ(w.ask(Method::get, "/api/docs").status, 200);
}

TEST(Site, WithoutTheAppItsPlaceIsTheStatusPage) {
  World w;
  EXPECT_EQ(w.ask(Method::get, "/").body, "<h1>status</h1>");
  EXPECT_EQ(w.ask(Method::get, "/campaigns/3", {{"Accept", "text/html"}}).status, 404);
  EXPECT_EQ(w.ask(Method::post, "/").status, 404);
}

TEST(Site, EveryProblemHasItsPageInThreeLanguages) {
  World w;
  int pages = 0;
  for (const std::string_view key : w.texts.keys()) {
    if (!key.starts_with("problem.") || !key.ends_with(".title")) continue;
    ++pages;
    std::string name(key.substr(8, key.size() - 14));
    for (char& c : name)
      if (c == '_') c = '-';
    for (const char* language : {"da", "nb", "en"}) {
      const Reply r = w.ask(Method::get, "/problems/" + name, {{"Accept-Language", language}, {"X-Name", "lead"}});
      EXPECT_EQ(r.status, 200) << name;
      EXPECT_NE(r.body.find("<html lang=\"" + std::string(language) + "\">"), std::string::npos) << name;
    }
  }
  EXPECT_GT(pages, 20);
}

TEST(Site, HttpBeyondThisMachineIsRefusedWithTheReason) {
  const auto table = settings(Serves::hub);
  const auto options = [&](std::string_view toml) {
    return Options::from(Settings::read(table, toml, "settings.toml").value());
  };
  EXPECT_EQ(options("")->port, 8430);
  EXPECT_FALSE(Options::from(Settings::defaults(settings(Serves::node)))->enabled) << "a node has none until it is set";
  EXPECT_NE(options("[web]\naddress = \"0.0.0.0\"\n").error().what.find("web.certificate"), std::string::npos);
  EXPECT_FALSE(options("[web]\ncertificate = \"a.pem\"\n"));
  EXPECT_TRUE(options("[web]\naddress = \"0.0.0.0\"\ncertificate = \"a.pem\"\nkey = \"b.pem\"\n"));
  EXPECT_FALSE(options("[web]\npublic_url = \"http://bavn.example.org\"\n"));
  EXPECT_EQ(options("[web]\npublic_url = \"https://bavn.example.org/\"\n")->public_url, "https://bavn.example.org");
}

TEST(Site, WhereItIsIsSaidWhenItListensAndNotBefore) {
  Threads threads;
  Metrics metrics;
  const Catalogue texts = Catalogue::embedded();
  const auto state = store::State::open(threads, {.path = ":memory:", .schema = {"core", "hub"}}).value();
  auto site = Site::open({threads, metrics, *state, texts, Serves::hub}, {.port = 0}).value();
  site->watch();
  state->start();
  const Reply early = site->described();
  EXPECT_EQ(early.status, 503);
  ASSERT_NE(early.headers.find("Retry-After"), nullptr);
  ASSERT_TRUE(site->listen());
  ASSERT_NE(site->port(), 0);
  const Reply now = site->described();
  EXPECT_EQ(now.status, 200);
  EXPECT_TRUE(now.body.contains(fmt::format("localhost:{}", site->port()))) << now.body.substr(0, 100);
  site->stop();
  EXPECT_EQ(site->described().status, 503);
  state->stop();
}

TEST(Answers, ACursorBelongsToItsList) {
  Request q =
      net::request_for(Method::get, "/api/alerts?limit=20&cursor=" + cursor_of("alerts", "2024-10-01 17")).value();
  EXPECT_EQ(page_of(q, "alerts")->after, "2024-10-01 17");
  EXPECT_EQ(page_of(q, "alerts")->limit, 20U);
  EXPECT_EQ(page_of(q, "campaigns").error().where, "?cursor");
  for (const char* bad : {"0", "501", "-1", "1.5", "x", "99999999999999999999", ""})
    EXPECT_EQ(page_of(net::request_for(Method::get, std::string("/x?limit=") + bad).value(), "x").error().where,
              "?limit")
        << bad;
  EXPECT_FALSE(page_of(net::request_for(Method::get, "/x?cursor=%00").value(), "x"));
}

TEST(Answers, TimesHaveMilliseconds) {
  EXPECT_EQ(time_text(from_micros(1'727'784'000'123'999)), "2024-10-01T12:00:00.123Z");
  EXPECT_EQ(time_text(from_micros(1'727'784'000'000'000)), "2024-10-01T12:00:00.000Z");
  EXPECT_EQ(time_text(from_micros(-1)), "1969-12-31T23:59:59.999Z");
}

TEST(Answers, TheBestLanguageWeHaveIsTaken) {
  const auto language = [](const char* accept) {
    Request q = net::request_for(Method::get, "/").value();
    q.headers.set("Accept-Language", accept);
    return language_of(q);
  };
  EXPECT_EQ(language("da"), Language::da);
  EXPECT_EQ(language("de, no;q=0.3, da;q=0.2"), Language::nb);
  EXPECT_EQ(language("en-GB;q=0.9, nb-NO;q=1.0"), Language::nb);
  EXPECT_EQ(language("da;q=0, sv"), Language::en);
  EXPECT_EQ(language(";;q=,,,q=x"), Language::en);
}

}  // namespace
}  // namespace bavn::show::web
