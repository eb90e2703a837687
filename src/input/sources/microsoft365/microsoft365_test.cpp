// The pullers against the stand-in, in virtual time: whatever goes wrong, each record reaches the sink once.
#include "input/sources/microsoft365/microsoft365.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "base/sim.hpp"
#include "input/sources/microsoft365/stand_in/stand_in.hpp"
#include "net/sim.hpp"

namespace bavn::input::microsoft365 {
namespace {

using namespace std::chrono_literals;
using stand_in::StandIn;
using stand_in::Stream;

/// Keeps what a live node keeps: each delivery id once. Sometimes full, sometimes the answer is lost after it was stored.
class HonestSink : public Sink {
 public:
  explicit HonestSink(Sim& sim) : sim_(sim), queue_(sim.queue({.name = "sink"})) {}
  bool has_room(std::size_t) const override { return true; }
  void deliver(Delivery d, std::move_only_function<void(Result<Receipt>)> done) override {
    const bool full = sim_.random_below(100) < trouble_percent, lost = sim_.random_below(100) < trouble_percent;
    Receipt receipt;
    if (!full) {
      receipt.duplicate = !ids.insert(d.source + "/" + d.id).second;
      for (std::size_t at = 0; at < d.bytes.size();) {
        const auto end = d.bytes.find('\n', at);
        if (!receipt.duplicate) ++lines[d.source][d.bytes.substr(at, end - at)];
        ++receipt.accepted;
        at = end + 1;
      }
      formats[d.source] = d.format;
    }
    sim_.after(Duration(sim_.random_below(50'000)), queue_,
               [done = std::move(done), bad = full || lost, receipt]() mutable {
                 if (bad) done(fail(Code::unavailable, "full"));
                 else done(receipt);
               });
  }
  std::uint64_t trouble_percent = 0;
  std::set<std::string> ids;
  std::map<std::string, std::map<std::string, int>> lines;
  std::map<std::string, std::string> formats;

 private:
  Sim& sim_;
  QueueId queue_;
};

class Book : public SourceBook {
 public:
  void say(SourceReport report) override {
    if (report.state != SourceState::starting) said[report.source].push_back(report);
  }
  const SourceReport* last(const std::string& source) { return said[source].empty() ? nullptr : &said[source].back(); }
  std::map<std::string, std::vector<SourceReport>> said;
};

const std::set<std::string> kAllRoles = {
    "AuditLog.Read.All",      "Directory.Read.All",         "Policy.Read.All",        "ExchangeMessageTrace.Read.All",
    "SecurityAlert.Read.All", "IdentityRiskEvent.Read.All", "ThreatHunting.Read.All", "ActivityFeed.Read"};

const RsaIdentity& identity() {  // made once: a key takes a fifth of a second
  static const RsaIdentity made =
      *make_rsa_identity("Bavn test node", *parse_time("2024-09-01T00:00:00Z"), std::chrono::days(3650));
  return made;
}

struct Bench {
  explicit Bench(std::uint64_t seed, stand_in::StandInOptions options, std::set<std::string> roles = kAllRoles)
      : sim(seed),
        queue(sim.queue({.name = "m365", .limit = 100'000})),
        served(sim.queue({.name = "stand-in", .limit = 100'000})),
        stand(sim, std::move(options)),
        sink(sim) {
    stand.serve_as("http://m365.example:80");
    stand.add_routes(router);
    server = *net::SimServer::start(sim, router, "m365.example:80", served);
    client =
        net::sim_client(sim, {.address = "192.0.2.1", .tls = false, .certificate_serial = {}, .certificate_name = {}});
    state = *store::State::open(sim, {.path = ":memory:", .schema = {"core", "node"}});
    const auto& tenant = stand.world().tenants()[0];
    account = {.tenant = tenant.id,
               .client = {},
               .identity = identity(),
               .endpoints = {.login = "http://m365.example:80/login",
                             .graph = "http://m365.example:80/graph",
                             .manage = "http://m365.example:80/manage"}};
    stand.licences(0).trace_principal = true;
    account.client = stand.register_application(0, identity().certificate_pem, std::move(roles));
  }
  void start(std::vector<std::string> off = {}) {
    source = std::make_unique<Microsoft365>(
        sim, *client, queue, sink, book, *state,
        TenantOptions{
            .account = account, .municipality = MunicipalityId{173}, .tenant = TenantId{1}, .off = std::move(off)});
    source->start();
  }
  /// All that happened in [from, to] and is visible now must be in the sink once; nothing twice.
  void expect_each_once(const std::string& name, const std::vector<Stream>& streams, Instant from, Instant to,
                        std::string_view adds = {}) {
    const auto& got = sink.lines[name];
    std::size_t expected = 0;
    for (const auto stream : streams)
      for (const auto* e : stand.world().between(0, stream, from, to, sim.now())) {
        ++expected;
        const std::string line = adds.empty() ? e->json : "{" + std::string(adds) + e->json.substr(1);
        EXPECT_TRUE(got.contains(line)) << name << " misses " << line.substr(0, 200) << " visible "
                                        << format_time(e->visible);
        if (!got.contains(line)) return;
      }
    for (const auto& [line, times] : got) ASSERT_EQ(times, 1) << name << " has twice: " << line.substr(0, 200);
    EXPECT_GT(expected, 0U) << name << ": the world is empty, so this test proves nothing";
  }

  Sim sim;
  QueueId queue, served;
  StandIn stand;
  net::Router router;
  std::unique_ptr<net::SimServer> server;
  std::unique_ptr<net::Client> client;
  std::unique_ptr<store::State> state;
  HonestSink sink;
  Book book;
  Account account;
  std::unique_ptr<Microsoft365> source;
};

TEST(Microsoft365, AQuietTenantIsReadWhollyAndOnceAndTheLagIsMeasured) {
  auto options = *stand_in::scenario("quiet", 1, 1);
  options.page_size = 50;
  Bench b(1, options);
  const auto start = b.sim.now();
  b.start();
  b.sim.advance(6h);
  const auto to = b.sim.now() - 30min;
  b.expect_each_once("m365.signins", {Stream::interactive}, start - 24h * 6, to);
  b.expect_each_once("m365.signins.background", {Stream::background}, start - 24h * 6, to);
  b.expect_each_once("m365.audits", {Stream::audits}, start - 24h * 6, to);
  b.expect_each_once("m365.trace", {Stream::trace}, start - 24h * 9, to);
  b.expect_each_once(
      "m365.activity",
      {Stream::activity_directory, Stream::activity_exchange, Stream::activity_sharepoint, Stream::activity_general},
      start - 24h * 4, b.sim.now() - 3h);
  EXPECT_EQ(b.sink.formats["m365.trace"], "message_trace");
  EXPECT_EQ(b.sink.formats["m365.mail"], "defender_xdr");
  std::size_t mails = 0;
  for (const auto& [line, times] : b.sink.lines["m365.mail"]) {
    ASSERT_EQ(times, 1);
    mails += line.starts_with("{\"Type\":\"EmailEvents\",");
  }
  EXPECT_GT(mails, 100U);
  for (const auto& api : apis()) {
    const auto* last = b.book.last("m365." + std::string(api.name));
    ASSERT_NE(last, nullptr) << api.name;
    EXPECT_EQ(last->state, SourceState::working) << api.name << ": " << last->text;
  }
  const auto lag = b.book.last("m365.trace")->lag_seconds;
  EXPECT_GE(lag, 30);
  EXPECT_LE(lag, 600);
  EXPECT_EQ(b.stand.counts().over_limit, 0U) << "the budgets are kept";
}

class HostileSeeds : public testing::TestWithParam<std::uint64_t> {};

TEST_P(HostileSeeds, EachRecordComesOnceInSpiteOfEverything) {
  auto options = *stand_in::scenario("hostile", GetParam(), 1);
  options.world.people = 10;
  Bench b(GetParam(), options);
  b.sink.trouble_percent = 10;
  b.sim.set_weather({.min_delay = 5ms, .max_delay = 800ms, .cut = 0.02, .duplicate = 0.02});
  const auto start = b.sim.now();
  b.start();
  for (int crash = 0; crash < 12; ++crash) {  // the process dies; what is in the store stays
    b.sim.advance(Duration(b.sim.random_below(static_cast<std::uint64_t>(Duration(5h).count()))));
    b.source.reset();
    b.start();
  }
  b.stand.faults() = {};  // the weather clears; then nothing may be missing
  b.sim.set_weather({});
  b.sink.trouble_percent = 0;
  b.sim.advance(60h);
  const auto to = b.sim.now() - 22h;  // the latest stragglers come 19 hours late
  b.expect_each_once("m365.signins", {Stream::interactive}, start - 24h * 5, to);
  b.expect_each_once("m365.signins.background", {Stream::background}, start - 24h * 5, to);
  b.expect_each_once("m365.signins.apps", {Stream::apps}, start - 24h * 5, to);
  b.expect_each_once("m365.audits", {Stream::audits}, start - 24h * 5, to);
  b.expect_each_once("m365.trace", {Stream::trace}, start - 24h * 8, to);
  b.expect_each_once(
      "m365.activity",
      {Stream::activity_directory, Stream::activity_exchange, Stream::activity_sharepoint, Stream::activity_general},
      start - 20h, to);
  for (const auto& [name, lines] : b.sink.lines)
    for (const auto& [line, times] : lines) ASSERT_EQ(times, 1) << name << ": " << line.substr(0, 200);
  EXPECT_GT(b.stand.counts().faults, 100U);
}
#ifdef BAVN_SANITIZED  // a minute each there
INSTANTIATE_TEST_SUITE_P(Seeds, HostileSeeds, testing::Values(1, 4));
#else
INSTANTIATE_TEST_SUITE_P(Seeds, HostileSeeds, testing::Values(1, 2, 3, 4, 5));
#endif

TEST(Microsoft365, ALicenceThatIsMissingAndAPermissionThatIsMissingAreToldApart) {
  Bench b(1, *stand_in::scenario("quiet", 1, 1),
          {"AuditLog.Read.All", "Directory.Read.All", "ExchangeMessageTrace.Read.All", "SecurityAlert.Read.All"});
  b.stand.licences(0).p1 = false;
  b.stand.licences(0).trace_principal = false;
  b.start();
  b.sim.advance(10min);
  const auto* sign_ins = b.book.last("m365.signins");
  ASSERT_NE(sign_ins, nullptr);
  EXPECT_EQ(sign_ins->state, SourceState::off);
  EXPECT_NE(sign_ins->text.find("Entra ID P1"), std::string::npos) << sign_ins->text;
  const auto* activity = b.book.last("m365.activity");
  EXPECT_EQ(activity->state, SourceState::failing);
  EXPECT_NE(activity->text.find("ActivityFeed.Read is missing"), std::string::npos) << activity->text;
  const auto* risks = b.book.last("m365.risks");
  EXPECT_NE(risks->text.find("IdentityRiskEvent.Read.All is missing"), std::string::npos) << risks->text;
  const auto* trace = b.book.last("m365.trace");
  EXPECT_EQ(trace->state, SourceState::waiting);
  EXPECT_NE(trace->text.find("service principal"), std::string::npos) << trace->text;
  EXPECT_EQ(b.book.last("m365.alerts")->state, SourceState::working);
}

TEST(Microsoft365, AfterDaysWithoutTheServiceNothingIsMissing) {
  Bench b(3, *stand_in::scenario("quiet", 3, 1));
  const auto start = b.sim.now();
  b.start();
  b.sim.advance(2h);
  b.sim.set_reachable("m365.example:80", false);
  b.sim.advance(5 * 24h);
  EXPECT_EQ(b.book.last("m365.trace")->state, SourceState::failing);
  b.sim.set_reachable("m365.example:80", true);
  b.sim.advance(6h);
  b.expect_each_once("m365.trace", {Stream::trace}, start - 24h * 8, b.sim.now() - 30min);
  b.expect_each_once("m365.signins", {Stream::interactive}, start, b.sim.now() - 30min);
  EXPECT_EQ(b.book.last("m365.trace")->state, SourceState::working);
}

TEST(Microsoft365, FirstBlobsMayTakeTwelveHoursAndThatIsSaid) {
  auto options = *stand_in::scenario("quiet", 4, 1);
  options.first_blobs = 12h;
  Bench b(4, options);
  b.start();
  b.sim.advance(3h);
  const auto* activity = b.book.last("m365.activity");
  EXPECT_EQ(activity->state, SourceState::working);
  EXPECT_NE(activity->text.find("12 hours"), std::string::npos) << activity->text;
  EXPECT_TRUE(b.sink.lines["m365.activity"].empty());
  b.sim.advance(10h);
  EXPECT_FALSE(b.sink.lines["m365.activity"].empty());
}

TEST(Microsoft365, ANewApplicationInTheTenantLeavesAsAChange) {
  Bench b(5, *stand_in::scenario("quiet", 5, 1));
  b.start();
  b.sim.advance(90min);
  EXPECT_TRUE(b.sink.lines["m365.settings"].empty()) << "the first picture is only kept";
  b.stand.world().take_over(0, b.sim.now(), 30);
  b.sim.advance(3h);
  std::string all;
  for (const auto& [line, times] : b.sink.lines["m365.settings"]) all += line + "\n";
  EXPECT_NE(all.find("\"activityDisplayName\":\"Setting appeared: application\""), std::string::npos) << all;
  EXPECT_NE(all.find("\"displayName\":\"PDF Viewer\""), std::string::npos);
  EXPECT_NE(all.find("Setting appeared: application right"), std::string::npos);
}

TEST(Microsoft365, AWrongKeyIsSaidWithItsFix) {
  Bench b(6, *stand_in::scenario("quiet", 6, 1));
  b.account.identity = *make_rsa_identity("another", b.sim.now(), std::chrono::days(10));
  b.start();
  b.sim.advance(10min);
  EXPECT_NE(b.book.last("m365.signins")->text.find("consent script"), std::string::npos)
      << b.book.last("m365.signins")->text;
  EXPECT_TRUE(b.sink.lines.empty());
}

}  // namespace
}  // namespace bavn::input::microsoft365
