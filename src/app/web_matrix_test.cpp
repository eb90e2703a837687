// Every route of the web address x every role x things of another municipality: refused or not found, never data; and nothing of the other
// municipality is changed. The routes are those of the routers, the bodies the contract's own examples, so that a new route is in it by itself.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <array>
#include <condition_variable>
#include <future>
#include <set>

#include "app/node_core.hpp"
#include "app/testing.hpp"
#include "base/eventually.hpp"
#include "base/log.hpp"
#include "base/sim.hpp"
#include "base/temp_folder.hpp"
#include "base/threads.hpp"
#include "live/testing.hpp"
#include "net/json_value.hpp"
#include "show/web/assets.hpp"
#include "show/web/site.hpp"
#include "tenants/people.hpp"

namespace bavn::app {
namespace {

using namespace std::chrono_literals;
using net::Method;

constexpr MunicipalityId kOwn{173}, kForeign{157};
constexpr std::string_view kMark = "zqmarker";  // in everything that is the other municipality's

constexpr std::array kRoles{tenants::Role::analyst,          tenants::Role::duty_lead,      tenants::Role::municipal_it,
                            tenants::Role::municipal_leader, tenants::Role::duty_contact,   tenants::Role::programme,
                            tenants::Role::employee,         tenants::Role::supplier,       tenants::Role::partner,
                            tenants::Role::auditor,          tenants::Role::data_protection};

/// Each row that is of the other municipality, as text: what must be the same afterwards.
std::map<std::string, std::string> foreign_rows(store::State& state) {
  std::map<std::string, std::string> out;
  const auto read = state.read([&](store::Reader& r) -> Result<void> {
    BAVN_TRY(const auto tables,
             r.all<std::string>("SELECT m.name FROM sqlite_schema m JOIN pragma_table_info(m.name) c ON c.name = "
                                "'municipality' WHERE m.type = 'table' AND m.name NOT IN ('domain_event')"));
    for (const std::string& table : tables) {
      BAVN_TRY(const auto columns, r.all<std::string>("SELECT name FROM pragma_table_info(:t)", {{"t", table}}));
      std::string all;
      for (const std::string& c : columns) all += fmt::format("{}quote(\"{}\")", all.empty() ? "" : " || '|' || ", c);
      BAVN_TRY(const auto rows, r.all<std::string>(fmt::format(
                                    "SELECT {} FROM \"{}\" WHERE municipality = 157 ORDER BY 1", all, table)));
      std::string text;
      for (const std::string& row : rows) text += row + "\n";
      out[table] = text;
    }
    return {};
  });
  EXPECT_TRUE(read) << to_string(read.error());
  return out;
}

/// The example body of an operation: "" when it has none.
std::string example(const net::JsonDocument& contract, const net::Route& route) {
  std::string method(to_string(route.method));
  for (char& c : method) c = static_cast<char>(c - 'A' + 'a');
  const auto media = contract.root()["paths"][route.pattern][method]["requestBody"]["content"]["application/json"];
  return media["example"] ? media["example"].to_text() : "{}";
}

struct Seen {
  std::size_t asked = 0, answered = 0;
  std::vector<std::string> faults;
};

/// An answer that comes on any thread.
struct Answer {
  std::mutex mutex;
  std::condition_variable came;
  std::optional<net::Reply> reply;
};
/// Until the answer is there, or it is too late.
using Wait = std::function<void(Answer&)>;

Wait in_virtual_time(Sim& sim) {
  return [&sim](Answer& a) { sim.run_until([&a] { return a.reply.has_value(); }, 10s); };
}
void in_real_time(Answer& a) {
  std::unique_lock lock(a.mutex);
  a.came.wait_for(lock, 30s, [&a] { return a.reply.has_value(); });
}

std::optional<net::Reply> ask(net::Router& router, net::Request q, const Wait& wait) {
  const auto answer = std::make_shared<Answer>();
  router.handle(std::move(q), [answer](net::Reply r) {
    const std::scoped_lock lock(answer->mutex);
    answer->reply = std::move(r);
    answer->came.notify_all();
  });
  wait(*answer);
  const std::scoped_lock lock(answer->mutex);
  return std::move(answer->reply);
}

Seen walk(net::Router& router, event::Scope& asking, const std::vector<std::string>& ids, const Wait& wait) {
  Seen seen;
  const auto file = show::web::asset(net::request_for(Method::get, "/api/openapi.json").value(), "/api/openapi.json");
  const auto contract = net::JsonDocument::parse(file->body).value();
  for (const net::Route& route : router.routes()) {
    if (route.stream) continue;
    const std::string body = route.method == Method::get ? "" : example(contract, route);
    for (const tenants::Role role : kRoles) {
      asking = event::Scope("person:9", {kOwn}, tenants::rights_of(role), event::Tlp::amber_strict);
      for (const std::string& id : ids) {
        std::string path;
        for (std::size_t at = 0; at < route.pattern.size();) {
          if (route.pattern[at] != '{') {
            path += route.pattern[at++];
            continue;
          }
          path += net::percent_encoded(id);
          at = route.pattern.find('}', at) + 1;
        }
        net::Request q = net::request_for(route.method, path + "?municipality=0157").value();
        q.headers.set("If-Match", "*");
        q.headers.set("Content-Type", "application/json");
        q.body = body;
        const std::optional<net::Reply> reply = ask(router, std::move(q), wait);
        const std::string what = fmt::format("{} {} as {}: {} ", to_string(route.method), path,
                                             tenants::to_string(role), reply ? reply->status : 0);
        ++seen.asked;
        if (!reply) {
          seen.faults.push_back(what + "no answer");
        } else {
          seen.answered += reply->status < 300 ? 1 : 0;
          if (reply->status >= 500 && reply->status != 503) seen.faults.push_back(what + reply->body.substr(0, 200));
          if (const auto at = reply->body.find(kMark); at != std::string::npos)
            seen.faults.push_back(what + "..." + reply->body.substr(at < 60 ? 0 : at - 60, 140));
          if (route.needs != net::Needs::anyone && !asking.may(route.needs) && reply->status != 403)
            seen.faults.push_back(what + "without the right it needs");
        }
        if (route.pattern.find('{') == std::string::npos) break;  // nothing to put an id into
      }
    }
  }
  return seen;
}

TEST(WebMatrix, NoRoleOfOneMunicipalityReadsOrChangesWhatIsAnothersAtTheHub) {
  log::Capture quiet;
  TempFolder folder;
  Sim sim(5);
  Metrics metrics;
  auto hub = HubCore::open(sim, metrics, testing::hub_options(sim, folder.path())).value();
  event::Scope asking = event::Scope("nobody", {}, 0, event::Tlp::clear);
  auto site = show::web::Site::open(
                  {sim, metrics, hub->state(), hub->texts(), show::web::Serves::hub},
                  {.requests_per_minute = 1 << 30, .writes_per_minute = 1 << 30, .strangers_per_minute = 1 << 30})
                  .value();
  site->use_authenticator([&](const net::Request&) -> Result<event::Scope> { return asking; });
  hub->add_web_routes(site->router());
  hub->start();

  const auto owner = event::Scope::local_owner();
  tenants::People people(sim, hub->state());
  const auto anna = people.add(owner, {kForeign, "zqmarker Anna", "zqmarker head of IT", "da"}).value();
  ASSERT_TRUE(people.give_role(owner, anna, tenants::Role::duty_contact));
  ASSERT_TRUE(people.add_way(owner, anna, {tenants::WayKind::mail, "anna@zqmarker.example", true, 1}));
  ASSERT_TRUE(people.add_tenant(owner, kForeign, "microsoft365", "zqmarker tenant", "zqmarker-guid"));
  ASSERT_TRUE(people.add(owner, {kOwn, "Bo Example", "IT", "da"}));
  const auto node = hub->invite(owner, {"0157"}, "package", "").value();
  ASSERT_TRUE(hub->invite(owner, {"0173"}, "package", ""));
  ASSERT_TRUE(hub->domains().set(owner, kForeign, {"zqmarker.example"}, false));
  ASSERT_TRUE(hub->domains().set(owner, kOwn, {"lyngby.example"}, true));
  sim.advance(1s);

  const auto before = foreign_rows(hub->state());
  ASSERT_NE(before.at("person").find(kMark), std::string::npos) << "the test sees what it plants";
  const Seen seen =
      walk(site->router(), asking, {"1", "2", "0157", "157", node.node, "person:1"}, in_virtual_time(sim));
  sim.advance(1s);
  EXPECT_EQ(fmt::format("{}", fmt::join(seen.faults, "\n")), "");
  const auto after = foreign_rows(hub->state());
  for (const auto& [table, rows] : before) EXPECT_EQ(after.at(table), rows) << table;

  fmt::print("{} questions of {} roles to {} routes, {} answered\n", seen.asked, kRoles.size(),
             site->router().routes().size(), seen.answered);
  EXPECT_GT(seen.asked, 50U);
  site->stop();
  hub->stop();
}

/// No hub is reached.
class NoNetwork final : public net::Client {
 public:
  explicit NoNetwork(Runtime& runtime) : runtime_(runtime) {}
  void send(net::ClientRequest, QueueId queue, std::move_only_function<void(Result<net::ClientReply>)> then) override {
    const bool posted = runtime_.post(
        queue, [t = std::move(then)]() mutable { t(fail(Code::unavailable, "no network in this test")); });
    EXPECT_TRUE(posted);
  }
  std::shared_ptr<net::OpenStream> stream(net::ClientRequest, QueueId, net::StreamEvents) override { return nullptr; }

 private:
  Runtime& runtime_;
};

/// A node of an operator that runs two municipalities: nobody of the one sees or changes what is the other's.
TEST(WebMatrix, NoRoleOfOneMunicipalityReadsOrChangesWhatIsAnothersAtANodeOfTwo) {
  log::Capture quiet;
  live::testing::Folder folder;
  Threads threads;
  Metrics metrics;
  NoNetwork client(threads);
  const SigningKey witness = SigningKey::from_seed({7});
  NodeCoreOptions options;
  options.folder = folder.path;
  options.rules = {folder.path + "/rules.yml"};
  NodeIdentity who;
  who.name = "node-1";
  who.municipality = "0173 Lyngby-Taarb\xC3\xA6k";
  who.municipalities = {kOwn, kForeign};
  who.hub = "https://hub.example";
  who.check = [](std::string_view) -> Result<beacon::CertifiedKey> { return fail(Code::forbidden, "no hub here"); };
  who.tls = [] { return nullptr; };
  who.witness = std::shared_ptr<const SigningKey>(std::shared_ptr<void>(), &witness);
  who.community_key = "test";
  options.identity = who;
  ASSERT_TRUE(threads.files().make_dirs(folder.path + "/keys"));  // as enrolment leaves it
  auto opened = NodeCore::open(threads, client, metrics, options);
  ASSERT_TRUE(opened) << to_string(opened.error());
  const auto node = std::move(*opened);
  event::Scope asking("nobody", {}, 0, event::Tlp::clear);
  auto site = show::web::Site::open(
                  {threads, metrics, node->state(), node->texts(), show::web::Serves::node},
                  {.requests_per_minute = 1 << 30, .writes_per_minute = 1 << 30, .strangers_per_minute = 1 << 30})
                  .value();
  site->use_authenticator([&](const net::Request&) -> Result<event::Scope> { return asking; });
  node->add_web_routes(site->router());
  node->start();

  // Both have records, a source, an alert, a token; the other's bear the mark.
  for (const MunicipalityId of : {kOwn, kForeign}) {
    input::Delivery d = live::testing::delivery(
        live::testing::record(micros(threads.now()), "New-InboxRule", of == kOwn ? "anna" : kMark, of.value));
    d.source = of == kOwn ? "own.audit" : "zqmarker.audit";
    d.municipality = of;
    std::promise<Result<input::Receipt>> done;
    node->sink().deliver(std::move(d), [&](Result<input::Receipt> r) { done.set_value(std::move(r)); });
    const auto receipt = done.get_future().get();
    ASSERT_TRUE(receipt) << to_string(receipt.error());
    ASSERT_EQ(receipt->accepted, 1U);
    ASSERT_TRUE(node->tokens().issue(event::Scope::local_owner(), of == kOwn ? "own.in" : "zqmarker.in", of, {}, ""));
  }
  const auto get = [&](const std::string& path) {
    asking = event::Scope::local_owner();
    const auto reply = ask(site->router(), net::request_for(Method::get, path).value(), in_real_time);
    return reply ? reply->body : std::string();
  };
  std::string alerts;
  ASSERT_TRUE(eventually([&] { return (alerts = get("/api/alerts?limit=100")).contains(kMark); }))
      << "the test sees what it plants: " << alerts.substr(0, 500);
  std::vector<std::string> ids{"1", "2", "0157", "157", "own.audit", "person:1"};
  const auto list = net::JsonDocument::parse(alerts).value();
  for (const net::JsonValue alert : list.root()["items"]) {
    const std::string id(alert["id"].text().value());
    if (alert.to_text().find(kMark) == std::string::npos) continue;
    ids.push_back(id);
    const auto refs = net::JsonDocument::parse(get("/api/alerts/" + id + "/records")).value();
    for (const net::JsonValue record : refs.root()["items"]) ids.emplace_back(record["record"].text().value());
  }
  ASSERT_GT(ids.size(), 7U) << "an alert of the other and its record";

  // What is told to the hub follows in its own time.
  ASSERT_TRUE(eventually([&] { return foreign_rows(node->state()).at("spool").contains("'alert'"); }));
  const auto before = foreign_rows(node->state());
  const Seen seen = walk(site->router(), asking, ids, in_real_time);
  EXPECT_EQ(fmt::format("{}", fmt::join(seen.faults, "\n")), "");
  const auto after = foreign_rows(node->state());
  for (const auto& [table, rows] : before) EXPECT_EQ(after.at(table), rows) << table;
  fmt::print("{} questions of {} roles to {} routes of a node, {} answered\n", seen.asked, kRoles.size(),
             site->router().routes().size(), seen.answered);
  EXPECT_GT(seen.asked, 500U);
  site->stop();
  node->stop();
}

}  // namespace
}  // namespace bavn::app
