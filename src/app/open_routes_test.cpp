// What a hub has for whoever is not signed in: open data of planted months, and bulletins by mail, over its own routes and its own way out.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "app/hub_core.hpp"
#include "app/hub_exchange.hpp"
#include "app/hub_process.hpp"
#include "base/log.hpp"
#include "base/sim.hpp"
#include "base/temp_folder.hpp"
#include "base/text.hpp"
#include "net/json_value.hpp"
#include "net/sim.hpp"
#include "notify/mail.hpp"
#include "tenants/people.hpp"

namespace bavn::app {
namespace {

using namespace std::chrono_literals;
using net::Method;

struct Catcher final : notify::MailCarrier {
  explicit Catcher(Sim& s) : sim(s) {}
  void send(notify::Mail mail, QueueId queue, std::move_only_function<void(Result<std::string>)> then) override {
    const std::string to = mail.to;
    mails.push_back(std::move(mail));
    (void)sim.after(10ms, queue, [this, to, then = std::move(then)]() mutable {
      if (refuse) then(fail(Code::unavailable, "550 5.1.1 <" + to + ">: user unknown"));
      else then("250 2.0.0 Ok: queued for <" + to + ">");
    });
  }
  Sim& sim;
  bool refuse = false;
  std::vector<notify::Mail> mails;
};

class OpenRoutes : public ::testing::Test {
 protected:
  void open(const std::string& toml, bool mail = true) {
    table = hub_settings();
    settings.emplace(Settings::read(table, toml, "test").value());
    HubOptions options;
    options.folder = folder.path();
    options.name = "Test CERT";
    options.address = "hub.example:443";
    options.state_path = ":memory:";
    options.settings = &*settings;
    options.client = client.get();
    options.mail = mail ? &catcher : nullptr;
    ASSERT_TRUE(sim.files().make_dirs(options.folder));
    ASSERT_TRUE(tenants::Trust::init(sim, options.folder + "/trust", {"hub.example"}));
    auto opened = HubCore::open(sim, metrics, options);
    ASSERT_TRUE(opened) << to_string(opened.error());
    hub = std::move(*opened);
    hub->exchange().use_site("https://hub.example");
    hub->add_web_routes(web);
    web.authenticate([this](const net::Request&) -> Result<event::Scope> { return asking; });
    hub->start();
    sim.advance(1s);
  }
  void TearDown() override {
    if (hub) hub->stop();
  }
  net::Reply ask(Method method, const std::string& path, std::string body = {}, std::string none_match = {}) {
    auto request = net::request_for(method, path).value();
    request.body = std::move(body);
    request.peer.address = "192.0.2.7";
    if (!none_match.empty()) request.headers.set("If-None-Match", none_match);
    std::optional<net::Reply> got;
    web.handle(std::move(request), [&](net::Reply r) { got = std::move(r); });
    return got ? std::move(*got) : net::Reply{.status = 0};
  }
  void plant(std::string_view sql) {
    const auto done = hub->state().write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec(sql));
      return {};
    });
    ASSERT_TRUE(done) << to_string(done.error());
  }
  void warned(int number, int day, int towns, int minutes) {
    const std::string id = fmt::format("w-{}", number);
    const std::int64_t first = micros(sim.now()) + day * 86'400'000'000LL, sent = first + minutes * 60'000'000LL;
    plant(fmt::format(
        "INSERT INTO warning (id, campaign, state, severity, tlp, version, about, own_words, first_seen_us, "
        "drafted_at_us, sent_at_us, changed_at_us) VALUES ('{}', '{}', 'over', 'high', 'amber', 1, '{{}}', "
        "'[]', {}, {}, {}, {})",
        id, number, first, sent, sent, sent));
    for (int t = 0; t < towns; ++t)
      plant(
          fmt::format("INSERT INTO warning_town (warning, municipality, name, asked_at_us) VALUES ('{}', {}, "
                      "'zqmarker town', {})",
                      id, 101 + t, sent));
  }
  std::string link_in(const notify::Mail& mail, std::string_view path) {
    const auto at = mail.text.find(path);
    EXPECT_NE(at, std::string::npos) << mail.text;
    return mail.text.substr(at, mail.text.find_first_of("?\n ", at) - at);
  }
  void publish(std::string_view tlp) {
    const auto made = ask(
        Method::post, "/api/bulletins",
        fmt::format(
            R"({{"tlp":"{}","source":"Expert","texts":{{"da":{{"title":"Falske sider","markdown":"evil.example"}}}}}})",
            tlp));
    ASSERT_EQ(made.status, 201) << made.body;
    const std::string id(net::JsonDocument::parse(made.body).value().root()["id"].text_or(""));
    ASSERT_EQ(ask(Method::post, "/api/bulletins/" + id + "/publish").status, 200);
    sim.advance(5s);
  }

  Sim sim{3};
  TempFolder folder;
  Metrics metrics;
  Catcher catcher{sim};
  std::unique_ptr<net::Client> client = net::sim_client(sim, {.address = "192.0.2.9"});
  std::vector<Setting> table;
  std::optional<Settings> settings;
  std::unique_ptr<HubCore> hub;
  net::Router web;
  event::Scope asking = event::Scope::local_owner();
};

constexpr const char* kFiles[] = {"/open-data/catalog.jsonld", "/open-data/counts.csv", "/open-data/counts.json",
                                  "/open-data/counts.csv-metadata.json"};

TEST_F(OpenRoutes, NothingIsPublishedUntilSomebodyDecidesTo) {
  open("");
  for (const char* path : kFiles) {
    const auto r = ask(Method::get, path);
    EXPECT_EQ(r.status, 404) << path;
    EXPECT_NE(r.body.find("open_data.publish"), std::string::npos) << r.body;
  }
}

TEST_F(OpenRoutes, OpenDataAreCountsOfClosedMonthsInWhichNobodyIsRecognised) {
  asking = event::Scope("nobody", {}, 0, event::Tlp::clear);
  open("[open_data]\npublish = true\nlicence = \"cc-by\"\n");
  warned(1, 2, 40, 30);
  warned(2, 3, 7, 10);
  warned(3, 9, 12, 50);
  warned(4, 33, 3, 5);  // November: three towns
  const std::int64_t in_october = micros(sim.now()) + 86'400'000'000LL;
  const auto campaign = [&](int id, const char* cause, const char* state, int judged, int towns) {
    plant(fmt::format(
        "INSERT INTO corr_campaign VALUES ({0}, '{1}', '{2}', '', 2, 2, 2, 0, {3}, {3}, {3}, {3}, {3}, {3}, 0, "
        "0, 0, '', {4}, '', '', 0, {5}, 1, 40, 0, 0, 0, 1, 0, '', 0, 0, 0)",
        id, state, cause, in_october, judged, towns));
    plant(
        fmt::format("INSERT INTO corr_thing VALUES ('notice:101.zqmarker{0}', 'notice', {0}, 101, 101, "
                    "'anna@zqmarker.example', {1}, {1}, {1}, {1}, 40, 40, 0, 1, '', 0, 0, '', '', '', '', '', '', 0)",
                    id, in_october));
    for (int t = 0; t < towns; ++t)
      plant(fmt::format("INSERT INTO corr_reach VALUES ('notice:101.zqmarker{}', {}, 1, {}, {}, 1, 'zqmarker.example')",
                        id, 101 + t, in_october, in_october));
  };
  campaign(1, "sender_notice", "over", 1, 30);
  campaign(2, "sender_notice", "lit", -1, 9);
  campaign(3, "burst", "over", 1, 4);  // four towns
  campaign(4, "url", "over", 0, 30);   // was no attack
  campaign(5, "attachment", "merged", -1, 30);
  for (int i = 0; i < 6; ++i)
    plant(fmt::format(
        "INSERT INTO hub_indicator (kind, value, source, action, confidence, tlp, valid_from_us, "
        "valid_until_us, comment, added_us, added_by) VALUES ('domain', 'zqmarker{}.example', 's', 'warn', 80, "
        "'amber', 0, 0, '', {}, 'person:7')",
        i, in_october));
  plant(
      fmt::format("INSERT INTO hub_indicator (kind, value, source, action, confidence, tlp, valid_from_us, "
                  "valid_until_us, comment, added_us, added_by) VALUES ('url', 'zqmarker.example/x', 's', 'warn', 80, "
                  "'amber', 0, 0, '', {}, 'person:7')",
                  in_october));
  for (int i = 0; i < 5; ++i)
    plant(fmt::format(
        "INSERT INTO block_entry VALUES ('b{0}', 'domain', 'zqmarker{0}.example', 'block', '', '', 'over', 1, "
        "0, '', 'person:7', '', {1}, 60, {1}, {1}, {1}, '', '', 0, 0, 0, '', 0)",
        i, in_october));
  sim.advance(std::chrono::days(70));

  const auto csv = ask(Method::get, "/open-data/counts.csv");
  ASSERT_EQ(csv.status, 200) << csv.body;
  std::map<std::string, std::string> seen;
  static const std::set<std::string, std::less<>> measures{
      "warnings_sent", "municipalities_warned", "median_minutes_to_warning",
      "campaigns",     "indicators_shared",     "block_entries"};
  static const std::set<std::string, std::less<>> kinds{"",    "all",        "sender_notice", "burst",
                                                        "url", "attachment", "domain"};
  for (const std::string_view line : split(csv.body, '\n')) {
    if (line.size() < 2 || line.starts_with("month,")) continue;
    const auto cells = split(line.substr(0, line.size() - 1), ',');
    ASSERT_EQ(cells.size(), 4U) << line;
    EXPECT_TRUE(measures.contains(cells[1]) && kinds.contains(cells[2])) << line << ": nothing but our own words";
    seen[fmt::format("{} {} {}", cells[0], cells[1], cells[2])] = cells[3];
  }
  const std::map<std::string, std::string> october{{"warnings_sent ", "3"},
                                                   {"municipalities_warned ", "40"},
                                                   {"median_minutes_to_warning ", "30"},
                                                   {"campaigns sender_notice", "2"},
                                                   {"campaigns burst", ""},
                                                   {"campaigns url", "0"},
                                                   {"campaigns attachment", "0"},
                                                   {"campaigns all", ""},
                                                   {"indicators_shared domain", "6"},
                                                   {"indicators_shared url", ""},
                                                   {"indicators_shared all", ""},
                                                   {"block_entries ", "5"}};
  for (const auto& [what, value] : october) {
    ASSERT_TRUE(seen.contains("2024-10 " + what)) << what << "\n" << csv.body;
    EXPECT_EQ(seen.at("2024-10 " + what), value) << what;
  }
  for (const char* what : {"warnings_sent ", "municipalities_warned ", "median_minutes_to_warning "})
    EXPECT_EQ(seen.at(std::string("2024-11 ") + what), "") << what << ": three towns";
  EXPECT_EQ(seen.at("2024-11 campaigns all"), "0");

  for (const char* path : kFiles) {
    const auto r = ask(Method::get, path);
    ASSERT_EQ(r.status, 200) << path;
    EXPECT_EQ(r.body.find("zqmarker"), std::string::npos) << path;
    const std::string* etag = r.headers.find("ETag");
    ASSERT_NE(etag, nullptr) << path;
    EXPECT_EQ(ask(Method::get, path, "", *etag).status, 304) << path;
    EXPECT_EQ(*r.headers.find("Cache-Control"), "public, max-age=3600");
    EXPECT_TRUE(std::string_view(path).ends_with(".csv") || net::JsonDocument::parse(r.body)) << r.body;
  }
  EXPECT_NE(ask(Method::get, kFiles[0]).body.find("/licence/CC_BY_4_0"), std::string::npos);
}

TEST_F(OpenRoutes, AnybodySubscribesByALinkAndUnsubscribesByOneClick) {
  log::Capture said;
  open("");
  const auto form = ask(Method::get, "/subscribe?language=da");
  EXPECT_EQ(form.status, 200);
  EXPECT_NE(form.body.find("<html lang=\"da\">"), std::string::npos);
  EXPECT_EQ(form.body.find("<script"), std::string::npos);
  const auto bad = ask(Method::post, "/subscribe?language=da", "address=%3Cscript%3E&wanted=da");
  EXPECT_EQ(bad.status, 422);
  EXPECT_EQ(bad.body.find("<script"), std::string::npos);
  EXPECT_NE(bad.body.find("href=\"#address\""), std::string::npos);
  const auto sent = ask(Method::post, "/subscribe?language=da", "address=zqmarker%40example.org&wanted=da");
  ASSERT_EQ(sent.status, 303) << sent.body;
  EXPECT_EQ(*sent.headers.find("Location"), "/subscribe/sent?language=da");
  EXPECT_EQ(ask(Method::get, "/subscribe/sent?language=da").body.find("zqmarker"), std::string::npos);
  sim.advance(5s);
  ASSERT_EQ(catcher.mails.size(), 1U);
  const std::string confirm = link_in(catcher.mails[0], "/subscribe/confirm/");
  EXPECT_EQ(ask(Method::get, confirm).status, 200);
  publish("clear");
  EXPECT_EQ(catcher.mails.size(), 1U) << "a mail filter that opens links confirms nothing";
  EXPECT_EQ(ask(Method::post, confirm).status, 200);
  EXPECT_EQ(ask(Method::post, confirm).status, 403);
  publish("clear");
  ASSERT_EQ(catcher.mails.size(), 2U);
  const notify::Mail mail = catcher.mails[1];
  EXPECT_EQ(mail.to, "zqmarker@example.org");
  const std::string text = notify::message_text(mail, "bavn@cert.example", sim.now());
  const std::string end = link_in(mail, "/subscribe/end/");
  for (const std::string& header : {std::string("\r\nList-Id: <bulletins.hub.example>\r\n"),
                                    "\r\nList-Unsubscribe: <https://hub.example" + end + ">\r\n",
                                    std::string("\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")})
    EXPECT_NE(text.substr(0, text.find("\r\n\r\n") + 2).find(header), std::string::npos) << text;
  const auto kept = hub->state().read([](store::Reader& r) {
    return r.number(
        "SELECT count(*) FROM notify_message WHERE address || headers || subject || body <> '' OR answer LIKE "
        "'%zqmarker%'");
  });
  EXPECT_EQ(*kept, 0) << "what was delivered keeps neither address nor text";
  EXPECT_EQ(ask(Method::get, end).status, 200);
  EXPECT_EQ(ask(Method::post, end, "List-Unsubscribe=One-Click").status, 200);
  EXPECT_EQ(ask(Method::post, "/subscribe/end/none", "List-Unsubscribe=One-Click").status, 200);
  publish("clear");
  EXPECT_EQ(catcher.mails.size(), 2U);
  // A mail server that repeats whom it does not know.
  catcher.refuse = true;
  ASSERT_EQ(ask(Method::post, "/subscribe", "address=zqmarker%40example.org").status, 303);
  sim.advance(5s);
  EXPECT_GT(catcher.mails.size(), 2U);
  EXPECT_NE(said.lines().find("message_not_delivered"), std::string::npos);
  EXPECT_EQ(said.lines().find("zqmarker"), std::string::npos) << said.lines();
}

TEST_F(OpenRoutes, OnePlaceCannotFloodTheForm) {
  open("");
  int taken = 0;
  for (int i = 0; i < 20; ++i)
    taken += ask(Method::post, "/subscribe", fmt::format("address=a{}%40example.org", i)).status == 303 ? 1 : 0;
  EXPECT_EQ(taken, 5);
  EXPECT_EQ(ask(Method::post, "/subscribe", "address=b%40example.org").status, 429);
}

TEST_F(OpenRoutes, WithoutAMailServerThePageSaysWhereTheFeedIs) {
  open("", false);
  const auto form = ask(Method::get, "/subscribe");
  EXPECT_EQ(form.status, 404);
  EXPECT_NE(form.body.find("/bulletins.atom"), std::string::npos);
  EXPECT_EQ(ask(Method::post, "/subscribe", "address=a%40example.org").status, 404);
}

TEST_F(OpenRoutes, WhoIsSignedInSubscribesWithTheirOwnAddressAndManagersSeeWhoDoes) {
  open("");
  tenants::People people(sim, hub->state());
  const auto owner = event::Scope::local_owner();
  const auto anna = people.add(owner, {{101}, "Anna Example", "IT", "nb"}).value();
  ASSERT_TRUE(people.give_role(owner, anna, tenants::Role::municipal_it));
  ASSERT_TRUE(people.add_way(owner, anna, {tenants::WayKind::mail, "anna@kommune.example", true, 1}));
  asking = people.scope_of(owner, anna).value();
  const auto own = [&] {
    return net::JsonDocument::parse(ask(Method::get, "/api/bulletins/subscription").body).value();
  };
  EXPECT_EQ(own().root()["state"].text_or(""), "none");
  EXPECT_EQ(own().root()["narrowest"].text_or(""), "amber+strict");
  EXPECT_EQ(ask(Method::put, "/api/bulletins/subscription", R"({"ceiling":"red"})").status, 400);
  EXPECT_EQ(ask(Method::put, "/api/bulletins/subscription", R"({"address":"x@else.example"})").status, 400);
  ASSERT_EQ(ask(Method::put, "/api/bulletins/subscription", R"({"ceiling":"amber","language":"da"})").status, 200);
  EXPECT_EQ(own().root()["state"].text_or(""), "waits");
  sim.advance(5s);
  ASSERT_EQ(catcher.mails.size(), 1U);
  ASSERT_EQ(ask(Method::post, link_in(catcher.mails[0], "/subscribe/confirm/")).status, 200);
  EXPECT_EQ(own().root()["state"].text_or(""), "subscribed");
  EXPECT_EQ(ask(Method::get, "/api/bulletins/subscribers").status, 403);
  EXPECT_EQ(ask(Method::get, "/api/bulletins/invitations").status, 403);
  EXPECT_EQ(ask(Method::post, "/api/bulletins/invitations", R"({"address":"bo@else.example"})").status, 403);
  asking = owner;
  EXPECT_EQ(ask(Method::get, "/api/bulletins/subscription").status, 403) << "the owner's key is no person";
  publish("green");
  ASSERT_EQ(catcher.mails.size(), 2U);
  EXPECT_EQ(catcher.mails[1].to, "anna@kommune.example");
  const auto all = net::JsonDocument::parse(ask(Method::get, "/api/bulletins/subscribers").body).value();
  ASSERT_EQ(all.root()["items"].size(), 1U);
  EXPECT_EQ(all.root()["items"].at(0)["person"].text_or(""), fmt::format("person:{}", anna.value));
  const std::string id(all.root()["items"].at(0)["id"].text_or(""));
  EXPECT_EQ(all.root()["items"].at(0)["mails"]["delivered"].integer().value_or(0), 1);
  EXPECT_EQ(all.root()["items"].at(0)["last_mail"]["state"].text_or(""), "delivered");
  const auto sent =
      net::JsonDocument::parse(ask(Method::get, "/api/bulletins/subscribers/" + id + "/mails").body).value();
  ASSERT_EQ(sent.root()["items"].size(), 1U);
  EXPECT_EQ(sent.root()["items"].at(0)["title"].text_or(""), "Falske sider") << "what it was about";
  EXPECT_EQ(ask(Method::get, "/api/bulletins/subscribers/999/mails").status, 404);
  const auto invited =
      ask(Method::post, "/api/bulletins/invitations", R"({"address":"bo@else.example","language":"da"})");
  ASSERT_EQ(invited.status, 201) << invited.body;
  sim.advance(5s);
  const auto waits = net::JsonDocument::parse(ask(Method::get, "/api/bulletins/invitations").body).value();
  ASSERT_EQ(waits.root()["items"].size(), 1U);
  EXPECT_EQ(waits.root()["items"].at(0)["mail"]["state"].text_or(""), "delivered");
  const std::string invitation(waits.root()["items"].at(0)["id"].text_or(""));
  EXPECT_EQ(ask(Method::post, "/api/bulletins/invitations", R"({"address":"bo@else.example"})").status, 409);
  EXPECT_EQ(ask(Method::del, "/api/bulletins/invitations/" + invitation).status, 204);
  EXPECT_EQ(ask(Method::del, "/api/bulletins/invitations/" + invitation).status, 404);
  EXPECT_EQ(ask(Method::del, "/api/bulletins/subscribers/" + id).status, 204);
  EXPECT_EQ(ask(Method::del, "/api/bulletins/subscribers/" + id).status, 404);
  asking = people.scope_of(owner, anna).value();
  ASSERT_EQ(ask(Method::put, "/api/bulletins/subscription", "{}").status, 200);
  EXPECT_EQ(ask(Method::del, "/api/bulletins/subscription").status, 204);
  EXPECT_EQ(own().root()["state"].text_or(""), "none");
}

}  // namespace
}  // namespace bavn::app
