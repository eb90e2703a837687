#include "app/hub_core.hpp"

#include <fmt/format.h>
#include <boost/describe.hpp>

#include <algorithm>
#include <array>
#include <filesystem>
#include <future>
#include <map>
#include <mutex>

#include "app/audit_head.hpp"
#include "app/hub_exchange.hpp"
#include "app/hub_misp.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "net/json_value.hpp"
#include "net/json_views.hpp"
#include "show/web/site.hpp"
#include "tenants/routes.hpp"

namespace bavn::app {

BOOST_DESCRIBE_STRUCT(BeaconAnswer, (), (node, municipality, applied_at_us, received_at_us, hits))

namespace {

namespace mi = match::indicators;
using event::Right;
using net::Needs;

constexpr std::string_view kVersion = "0.1.0";
constexpr Duration kAwayAfter = std::chrono::minutes(3);

struct ContentRow {
  std::string kind, name, payload;
};
BOOST_DESCRIBE_STRUCT(ContentRow, (), (kind, name, payload))

struct ReportRow {
  std::string node;
  std::int64_t municipality = 0, received_at_us = 0;
  std::string body;
};
BOOST_DESCRIBE_STRUCT(ReportRow, (), (node, municipality, received_at_us, body))

// What a node tells in "health" (app/node_core.cpp writes it).
struct SourceHealth {
  std::string name, state;
  std::uint64_t records = 0, refused = 0;
  std::optional<std::int64_t> lag_seconds, newest_age_seconds;
};
BOOST_DESCRIBE_STRUCT(SourceHealth, (), (name, state, records, refused, lag_seconds, newest_age_seconds))
struct Health {
  std::string version;
  std::uint64_t open_alerts = 0, indicators = 0;
  std::vector<std::string> trouble;
  std::vector<SourceHealth> sources;
};
BOOST_DESCRIBE_STRUCT(Health, (), (version, open_alerts, indicators, trouble, sources))

struct TestAnswer {
  std::string test_beacon;
  std::int64_t applied_at_us = 0;
  std::optional<std::int64_t> hits;
};
BOOST_DESCRIBE_STRUCT(TestAnswer, (), (test_beacon, applied_at_us, hits))

std::vector<store::RetentionRule> hub_retention() {
  auto rules = store::core_retention();
  rules.push_back(store::retention_rule(
      "hub_shared", 400, "what municipalities shared is compared with the year before, and no longer",
      "DELETE FROM hub_shared WHERE id IN (SELECT id FROM hub_shared WHERE received_at_us < :before LIMIT 10000)"));
  rules.push_back(store::retention_rule("hub_answer", 400,
                                        "who answers test beacons, and how fast, is looked at over a year",
                                        "DELETE FROM hub_answer WHERE rowid IN (SELECT rowid FROM hub_answer WHERE "
                                        "received_at_us < :before LIMIT 10000)"));
  rules.push_back(store::retention_rule(
      "hub_node_report", 400, "the last word of a node that has been away for a year helps nobody",
      "DELETE FROM hub_node_report WHERE rowid IN (SELECT rowid FROM hub_node_report WHERE received_at_us < :before "
      "LIMIT 10000)"));
  for (auto& rule : show::web::retention()) rules.push_back(std::move(rule));
  rules.push_back(notify::letter_retention());
  return rules;
}

std::string random_id(Runtime& runtime) {
  std::array<std::byte, 12> bytes{};
  runtime.random(bytes);
  return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

beacon::Post post(std::string_view kind, std::string payload, std::string id = {}) {
  beacon::Post p;
  p.kind = kind;
  p.payload = std::move(payload);
  p.id = std::move(id);
  return p;
}

Result<void> need(const event::Scope& scope, Right right, std::string_view doing) {
  if (scope.may(right)) return {};
  return fail(Code::forbidden, fmt::format("{} may not {}", scope.who(), doing));
}

constexpr const char* kStopping = "the hub is stopping";

}  // namespace

/// The beacon asks the directory.
struct HubCore::Nodes final : beacon::NodesOf {
  explicit Nodes(tenants::Directory& d) : directory(d) {}
  Result<beacon::NodeFacts> by_certificate(const std::string& serial) override {
    BAVN_TRY(const tenants::NodeId id, directory.node_of(serial));
    BAVN_TRY(tenants::Node node, directory.node(event::Scope::local_owner(), id));
    beacon::NodeFacts facts;
    facts.node = std::move(node.name);
    facts.municipalities = std::move(node.municipalities);
    facts.revoked = directory.revoked(serial);
    facts.witness_key = node.sign_key.value_or("");
    return facts;
  }
  tenants::Directory& directory;
};

HubCore::HubCore(Runtime& runtime, Metrics& metrics, HubOptions options)
    : runtime_(runtime),
      metrics_(metrics),
      options_(std::move(options)),
      since_(runtime.now()),
      bases_(runtime.queue({.name = "bases"})) {}

HubCore::~HubCore() {
  stop();
}

Result<std::unique_ptr<HubCore>> HubCore::open(Runtime& runtime, Metrics& metrics, HubOptions options) {
  std::unique_ptr<HubCore> hub(new HubCore(runtime, metrics, std::move(options)));
  const HubOptions& o = hub->options_;
  store::StateOptions state;
  state.path = o.state_path.empty() ? o.folder + "/state.db" : o.state_path;
  state.schema = {"core", "hub"};
  state.metrics = &metrics;
  BAVN_TRY(hub->state_, store::State::open(runtime, state));
  auto retention = hub_retention();
  for (auto& rule : beacon_hub_retention()) retention.push_back(std::move(rule));
  BAVN_TRY(hub->retention_, store::Retention::open(*hub->state_, std::move(retention)));
  BAVN_TRY(auto trust, tenants::Trust::open(runtime, o.folder + "/trust"));
  hub->trust_ = std::make_unique<tenants::Trust>(std::move(trust));
  BAVN_TRY(hub->directory_, tenants::Directory::open(runtime, *hub->state_, *hub->trust_));
  BAVN_TRY(hub->domains_, tenants::MemberDomains::open(*hub->state_));
  hub->directory_->on_revoked([h = hub.get()](const std::string& serial) {
    h->beacon_->cut(serial);
    if (h->cut_) h->cut_(serial);
  });
  hub->nodes_of_ = std::make_unique<Nodes>(*hub->directory_);
  beacon::HubKey key;
  key.key = std::shared_ptr<const SigningKey>(std::shared_ptr<void>(), &hub->trust_->hub_key());
  key.epoch = hub->trust_->statement().epoch;
  key.statements = hub->trust_->statements();
  beacon::HubOptions b;
  b.folder = o.folder + "/beacon";
  BAVN_TRY(hub->beacon_, beacon::HubBeacon::open(runtime, *hub->state_, *hub->nodes_of_, metrics, std::move(key), b));
  hub->indicators_ = std::make_unique<HubIndicators>(*hub->state_, o.folder + "/bases");
  hub->members_ = std::make_unique<HubMembers>(*hub->directory_, *hub->domains_);
  BAVN_CHECK(hub->members_->refresh());
  hub->add_reports();
  if (o.client != nullptr) {
    BAVN_TRY(hub->notify_, HubNotify::open(runtime, *hub->state_, *o.client, hub->texts_, o.settings,
                                           o.name.empty() ? "CERT" : o.name, o.mail));
  }
  BAVN_TRY(hub->noticing_,
           BeaconHub::open(
               {.runtime = runtime,
                .state = *hub->state_,
                .metrics = metrics,
                .texts = hub->texts_,
                .beacon = *hub->beacon_,
                .members = *hub->members_,
                .client = o.client,
                .settings = o.settings,
                .options = o.noticing,
                .known = [h = hub.get()](store::Tx& tx, std::string_view kind,
                                         std::string_view value) { return h->indicators_->listed(tx, kind, value); },
                .remind = hub->notify_ ? hub->notify_->remind() : warn::Remind{}}));
  hub->use_block_guard(
      [h = hub.get()](const event::Observable& what) { return h->noticing_->blocks().never_block()->check(what); });
  BAVN_TRY(hub->misp_, open_misp(*hub, runtime, o));
  BAVN_TRY(hub->exchange_, HubExchange::open(*hub, runtime, o));
  BAVN_CHECK(connect_misp(*hub, *hub->misp_, hub->exchange_->peers.get()));
  hub->beacon_->witness(audit_head);
  hub->nodes_router_.authenticate(
      [h = hub.get()](const net::Request& q) { return tenants::authenticate_node(*h->directory_, q); });
  hub->beacon_->add_routes(hub->nodes_router_);
  tenants::add_enrolment_routes(hub->nodes_router_, runtime, *hub->trust_, *hub->directory_);
  hub->add_control_routes();
  BAVN_CHECK(hub->retention_->start(runtime.queue({.name = "retention"})));
  return hub;
}

void HubCore::add_reports() {
  const auto latest = [](store::Tx& tx, const beacon::Report& r) -> Result<void> {
    BAVN_CHECK(
        tx.exec("INSERT INTO hub_node_report (node, municipality, kind, at_us, received_at_us, body) VALUES (:n, :m, "
                ":k, :at, :now, :b) "
                "ON CONFLICT (node, municipality, kind) DO UPDATE SET at_us = excluded.at_us, received_at_us = "
                "excluded.received_at_us, "
                "body = excluded.body WHERE excluded.at_us >= hub_node_report.at_us",
                {{"n", r.node}, {"m", r.municipality}, {"k", r.kind}, {"at", r.at}, {"now", tx.now()}, {"b", r.body}}));
    return {};
  };
  beacon_->on_report("health", latest);
  beacon_->on_report("counts", latest);
  beacon_->on_report("clock", latest);
  const auto shared = [](store::Tx& tx, const beacon::Report& r) -> Result<void> {
    BAVN_CHECK(tx.exec(
        "INSERT OR IGNORE INTO hub_shared (node, item, kind, municipality, tlp, at_us, received_at_us, body) VALUES "
        "(:n, :i, :k, :m, :t, :at, :now, :b)",
        {{"n", r.node},
         {"i", r.id},
         {"k", r.kind},
         {"m", r.municipality},
         {"t", event::to_string(r.tlp)},
         {"at", r.at},
         {"now", tx.now()},
         {"b", r.body}}));
    return tx.emit(fmt::format("report.{}", r.kind), fmt::format("{}:{}", r.node, r.id), "{}", r.municipality);
  };
  beacon_->on_report("answer", [shared](store::Tx& tx, const beacon::Report& r) -> Result<void> {
    BAVN_TRY(const auto document, net::JsonDocument::parse(r.body));
    if (!document.root()["test_beacon"].text()) return shared(tx, r);  // to an order
    BAVN_TRY(const TestAnswer a, net::from_json<TestAnswer>(r.body, net::Unknown::ignore));
    BAVN_CHECK(tx.exec(
        "INSERT OR IGNORE INTO hub_answer (beacon, node, municipality, applied_at_us, received_at_us, hits) VALUES "
        "(:b, :n, :m, :at, :now, :h)",
        {{"b", a.test_beacon},
         {"n", r.node},
         {"m", r.municipality},
         {"at", a.applied_at_us},
         {"now", tx.now()},
         {"h", a.hits}}));
    return tx.emit("test_beacon.answered", a.test_beacon, "{}", r.municipality);
  });
  for (const char* kind : {"alert", "sighting", "notice"}) beacon_->on_report(kind, shared);
  beacon_->on_other_report(shared);
}

void HubCore::start() {
  state_->subscribe("community", runtime_.queue({.name = "community"}),
                    [this](const store::DomainEvent& e) -> Result<void> {
                      const bool who = e.kind == "node.enrolled" || e.kind == "certificate.revoked" ||
                                       e.kind == "member.left" || e.kind == "community.changed";
                      if (!who) return {};
                      BAVN_CHECK(domains_->reload());
                      BAVN_CHECK(members_->refresh());
                      BAVN_CHECK(noticing_->members_changed());
                      if (e.kind == "certificate.revoked") BAVN_CHECK(node_revoked(e.subject));
                      if (e.kind == "node.enrolled")
                        BAVN_CHECK(welcome(MunicipalityId{static_cast<std::uint16_t>(e.municipality)}));
                      return e.kind == "community.changed" ? publish_community() : Result<void>();
                    },
                    {"node.enrolled", "certificate.revoked", "member.left", "community.changed"});
  {
    const std::lock_guard lock(alive_->mutex);
    alive_->core = this;
  }
  state_->on_timer("hub.base", bases_, [this](const store::Timer&) -> Result<void> {
    const auto again_in = [this](std::chrono::hours delay) {
      return state_->write_now([&](store::Tx& tx) { return tx.set_timer(tx.now() + delay, "hub.base", "all"); });
    };
    BAVN_TRY(const auto size, indicators_->size());
    if (size.changes > 0)
      make_base({}, [again_in](Result<std::size_t> made) {
        if (made || made.error().what == kStopping) return;
        log::error("base_not_made", {{"reason", to_string(made.error())}});
        (void)again_in(std::chrono::hours(1));
      });
    return again_in(std::chrono::hours(24));
  });
  state_->start();
  const auto set = state_->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto n, tx.number("SELECT count(*) FROM timer WHERE kind = 'hub.base'"));
    return n != 0 ? Result<void>() : tx.set_timer(tx.now() + std::chrono::hours(24), "hub.base", "all");
  });
  if (!set) log::error("timer_not_set", {{"reason", to_string(set.error())}});
  if (const auto planned = exchange_->peers->start(); !planned)
    log::error("peers_not_planned", {{"reason", to_string(planned.error())}});
  if (const auto planned = exchange_->open_data->start(); !planned)
    log::error("open_data_not_planned", {{"reason", to_string(planned.error())}});
  if (const auto filled = fill_book(); !filled)
    log::error("indicators_not_listed", {{"reason", to_string(filled.error())}});
  beacon_->start();
}

void HubCore::stop() {
  {
    const std::lock_guard lock(alive_->mutex);
    alive_->core = nullptr;
  }
  if (state_) state_->stop();
}

Result<HubCore::Invitation> HubCore::invite(const event::Scope& scope, const std::vector<std::string>& municipalities,
                                            std::string_view form, std::string_view by) {
  tenants::Admission admission;
  std::string names;
  for (const std::string& each : municipalities) {
    BAVN_TRY(const tenants::Municipality* m, directory_->municipalities().named(each));
    admission.municipalities.push_back(m->id);
    names += fmt::format("{}{} {}", names.empty() ? "" : ", ", m->code(), m->name);
  }
  const auto known = tenants::form_of(form);
  if (!known) return fail(Code::bad_input, "a node's form is guest, package or vm", std::string(form));
  admission.form = *known;
  admission.by = by;
  BAVN_TRY(const tenants::NewCode code, directory_->admit(scope, admission, options_.address));
  BAVN_TRY(const tenants::Node node, directory_->node(scope, code.node));
  return Invitation{names, node.name, code.code, code.expires};
}

Result<void> HubCore::publish_content(const event::Scope& scope, std::string_view kind, std::string_view name,
                                      std::string payload) {
  BAVN_CHECK(need(scope, Right::publish, "publish rules and content"));
  std::string item;
  JsonWriter w(item);
  w.object().member("name", name);
  if (!payload.empty()) w.member("text", payload);
  w.end();
  return state_->write_now([&](store::Tx& tx) -> Result<void> {
    if (payload.empty()) {
      BAVN_CHECK(tx.exec("DELETE FROM hub_content WHERE kind = :k AND name = :n", {{"k", kind}, {"n", name}}));
    } else {
      BAVN_CHECK(
          tx.exec("INSERT INTO hub_content (kind, name, payload, at_us) VALUES (:k, :n, :p, :at) ON CONFLICT (kind, "
                  "name) DO UPDATE SET "
                  "payload = excluded.payload, at_us = excluded.at_us",
                  {{"k", kind}, {"n", name}, {"p", item}, {"at", tx.now()}}));
    }
    BAVN_CHECK(beacon_->bulk(tx, "all", post(kind, item)));
    return tx.audit({scope.who(), fmt::format("{}.{}", kind, payload.empty() ? "withdrawn" : "published"),
                     std::string(name), "{}"});
  });
}

Result<std::string> HubCore::test_beacon(const event::Scope& scope, std::optional<MunicipalityId> to,
                                         std::string_view observable) {
  BAVN_CHECK(need(scope, Right::publish, "light a test beacon"));
  const std::string id = random_id(runtime_);
  std::string payload;
  JsonWriter w(payload);
  w.object().member("id", id);
  if (!observable.empty()) {
    const auto wanted = event::guess(observable);
    if (!wanted) return fail(Code::bad_input, "this is no observable that can be looked for", std::string(observable));
    w.member("kind", event::to_string(wanted->kind)).member("value", wanted->value);
  }
  w.end();
  BAVN_CHECK(state_->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("INSERT INTO hub_test_beacon (id, sent_at_us, municipality, who) VALUES (:i, :at, :m, :w)",
                       {{"i", id}, {"at", runtime_.now()}, {"m", to.value_or(MunicipalityId{})}, {"w", scope.who()}}));
    BAVN_CHECK(beacon_->urgent(tx, to, post("test_beacon", payload, "test_beacon:" + id)));
    return tx.audit({scope.who(), "test_beacon.lit", id, "{}"});
  }));
  return id;
}

Result<HubCore::Answers> HubCore::answers(const event::Scope& scope, std::string_view id) {
  BAVN_CHECK(need(scope, Right::tenants_read, "see who answered"));
  return state_->read([&](store::Reader& r) -> Result<Answers> {
    Answers a;
    BAVN_TRY(a.sent_at_us, r.number("SELECT sent_at_us FROM hub_test_beacon WHERE id = :i", {{"i", id}}));
    BAVN_TRY(a.answers,
             r.all<BeaconAnswer>(
                 "SELECT node, municipality, applied_at_us, received_at_us, hits FROM hub_answer WHERE beacon = :i "
                 "ORDER BY applied_at_us",
                 {{"i", id}}));
    return a;
  });
}

/// Guests of this machine map one file: it lies where all of them can read it, under its hash. Where that cannot be, they download it.
void HubCore::share_with_guests(const std::string& file) {
  const std::string folder = options_.folder + "/guests/shared";
  std::error_code ec;
  if (!std::filesystem::exists(options_.folder + "/guests", ec)) return;
  std::filesystem::create_directories(folder, ec);
  std::filesystem::permissions(folder, std::filesystem::perms(0755), ec);
  const auto content = runtime_.files().map(file);
  if (!content) return;
  const auto hash = beacon::hash_of((*content)->bytes());
  const std::string shared = folder + "/" + to_hex(beacon::view(hash)) + ".base";
  // The newest and the one before stay: a node may still be on its way from the one to the other. What is mapped lives on when unlinked.
  std::vector<std::filesystem::directory_entry> old(std::filesystem::directory_iterator(folder, ec), {});
  std::sort(old.begin(), old.end(),
            [](const auto& a, const auto& b) { return a.last_write_time() > b.last_write_time(); });
  for (std::size_t n = 1; n < old.size(); ++n) std::filesystem::remove(old[n].path(), ec);
  std::filesystem::copy_file(file, shared + ".part", std::filesystem::copy_options::overwrite_existing, ec);
  std::filesystem::permissions(shared + ".part", std::filesystem::perms(0644), ec);
  std::filesystem::rename(shared + ".part", shared, ec);
  if (ec) log::warn("base_not_shared", {{"reason", ec.message()}});
}

/// A base on its way. Whoever waits is told even when a step never runs, because the runtime stopped.
struct HubCore::BaseInTheMaking {
  Runtime& runtime;
  QueueId queue;
  std::shared_ptr<Alive> alive;
  More more;
  std::move_only_function<void(Result<std::size_t>)> done;
  HubIndicators::Built built;
  void end(Result<std::size_t> made) {
    if (auto tell = std::exchange(done, nullptr)) tell(std::move(made));
  }
  ~BaseInTheMaking() { end(fail(Code::unavailable, kStopping)); }
};

void HubCore::next_step(std::shared_ptr<BaseInTheMaking> base,
                        std::move_only_function<void(HubCore&, BaseInTheMaking&)> step) {
  Runtime& runtime = base->runtime;
  const QueueId queue = base->queue;
  runtime.after(Duration{0}, queue, [base = std::move(base), step = std::move(step)]() mutable {
    const std::lock_guard lock(base->alive->mutex);
    if (base->alive->core != nullptr) step(*base->alive->core, *base);
  });
}

void HubCore::make_base(More more, std::move_only_function<void(Result<std::size_t>)> done) {
  auto base = std::make_shared<BaseInTheMaking>(runtime_, bases_, alive_, std::move(more), std::move(done),
                                                HubIndicators::Built{});
  // Seal first, then build: the base holds at least what the stream has said by the tip it claims to cover.
  beacon_->seal_now("all", [base](Result<std::uint64_t> tip) {
    next_step(base, [base, tip = std::move(tip)](HubCore& self, BaseInTheMaking& b) {
      auto offered = tip ? self.offer_base(base, *tip) : Result<void>(std::unexpected(tip.error()));
      if (!offered) b.end(std::unexpected(offered.error()));
    });
  });
}

Result<void> HubCore::offer_base(const std::shared_ptr<BaseInTheMaking>& base, std::uint64_t tip) {
  BAVN_TRY(base->built, indicators_->build("all", base->more));
  BAVN_TRY(const auto rows, state_->read([](store::Reader& r) {
    return r.all<ContentRow>("SELECT kind, name, payload FROM hub_content ORDER BY kind, name");
  }));
  std::vector<beacon::Item> items;
  for (const auto& row : rows) items.push_back({row.kind, row.payload});
  const std::string& file = base->built.file;
  if (!runtime_.files().exists(file)) {  // a simulated disk: bases are mapped from the real one
    DiskFiles disk;
    BAVN_TRY(const std::string bytes, read_file(disk, file, 4ULL << 30U));
    BAVN_CHECK(runtime_.files().make_dirs(std::filesystem::path(file).parent_path().string()));
    BAVN_CHECK(replace_file(runtime_.files(), file, bytes));
  }
  share_with_guests(file);  // before it is offered: guests look there first
  beacon_->base("all", file, std::move(items), tip, [base](Result<beacon::Published> offered) {
    next_step(base, [offered = std::move(offered)](HubCore& self, BaseInTheMaking& b) {
      const auto keep = [&b](store::Tx& tx) { return HubIndicators::keep(tx, "all", b.built); };
      const auto kept = offered ? self.state_->write_now(keep) : Result<void>(std::unexpected(offered.error()));
      b.end(kept ? Result<std::size_t>(b.built.size) : std::unexpected(kept.error()));
    });
  });
  return {};
}

Result<std::size_t> HubCore::make_base_now(const More& more) {
  if (runtime_.single_threaded())
    return fail(Code::unavailable,
                "a simulated hub cannot wait for a base: it is asked for one and told when it is made");
  auto made = std::make_shared<std::promise<Result<std::size_t>>>();
  auto waiting = made->get_future();
  make_base(more, [made](Result<std::size_t> size) { made->set_value(std::move(size)); });
  return waiting.get();
}

Result<StatusView> HubCore::status(const event::Scope& scope) {
  BAVN_CHECK(need(scope, Right::tenants_read, "see the municipalities"));
  StatusView v;
  v.title = options_.name.empty() ? "Hub" : "Hub of " + options_.name;
  v.version = kVersion;
  v.now = runtime_.now();
  v.since = since_;
  v.commands = options_.try_commands;
  BAVN_TRY(const auto nodes, directory_->nodes(scope));
  std::map<std::string, beacon::NodeSeen> seen;
  std::map<std::pair<std::string, std::int64_t>, ReportRow> health;
  std::uint64_t urgent = 0, bulk = 0;
  BAVN_CHECK(state_->read([&](store::Reader& r) -> Result<void> {
    BAVN_TRY(const auto all, beacon_->nodes(r));
    for (const auto& n : all) seen[n.node] = n;
    BAVN_TRY(
        const auto rows,
        r.all<ReportRow>("SELECT node, municipality, received_at_us, body FROM hub_node_report WHERE kind = 'health'"));
    for (const auto& row : rows) health[{row.node, row.municipality}] = row;
    BAVN_TRY(urgent, beacon_->tip(r, "urgent/all"));
    BAVN_TRY(bulk, beacon_->tip(r, "bulk/all"));
    return {};
  }));
  BAVN_TRY(const auto indicators, indicators_->size());
  v.figures = {{"Log entries", with_commas(urgent + bulk)},
               {"Indicators", with_commas(static_cast<std::uint64_t>(indicators.in_base + indicators.changes))},
               {"Streams open", with_commas(beacon_->streams_open())}};
  show_waves(v);
  for (const auto& node : nodes) {
    for (const MunicipalityId id : node.municipalities) {
      StatusView::Municipality m;
      const tenants::Municipality* facts = directory_->municipalities().find(id);
      m.code = facts != nullptr ? facts->code() : fmt::format("{:04}", id.value);
      m.name = facts != nullptr ? facts->name : m.code;
      const bool gone = node.state == tenants::NodeState::revoked || node.state == tenants::NodeState::retired;
      m.state = gone ? "revoked" : "never";
      if (const auto at = seen.find(node.name); at != seen.end() && !gone) {
        m.last_seen = from_micros(std::max(at->second.last_ping_us, at->second.last_report_us));
        m.state = at->second.connected || v.now - m.last_seen < kAwayAfter ? "connected" : "away";
        if (at->second.clock_marked)
          v.trouble.push_back(fmt::format("The clock of {} is {:.1f} s off; its times are not used.", m.name,
                                          static_cast<double>(at->second.offset_us) / 1e6));
        if (!at->second.trouble.empty()) v.trouble.push_back(fmt::format("{}: {}", m.name, at->second.trouble));
      }
      if (const auto at = health.find({node.name, id.value}); at != health.end())
        if (const auto h = net::from_json<Health>(at->second.body, net::Unknown::ignore)) {
          m.open_alerts = h->open_alerts;
          for (const auto& s : h->sources)
            m.sources.push_back({s.name, s.state, "", s.lag_seconds, s.newest_age_seconds, s.records, s.refused});
        }
      if (options_.guest_memory) m.private_mb = options_.guest_memory(id);
      v.municipalities.push_back(std::move(m));
    }
  }
  if (trust_->root_key_is_here())
    v.trouble.push_back(
        "The root key lies beside the others: move trust/root.key to a safe place away from this machine.");
  return v;
}

Result<std::size_t> HubCore::nodes_with_indicators(std::uint64_t at_least) {
  BAVN_TRY(const auto rows, state_->read([&](store::Reader& r) {
    return r.all<ReportRow>(
        "SELECT node, municipality, received_at_us, body FROM hub_node_report WHERE kind = 'health'");
  }));
  std::size_t n = 0;
  for (const auto& row : rows)
    if (const auto h = net::from_json<Health>(row.body, net::Unknown::ignore)) n += h->indicators >= at_least ? 1 : 0;
  return n;
}

/// A node that is new, or made anew, gets the block list that is in force.
Result<void> HubCore::welcome(MunicipalityId of) {
  return state_->write_now([&](store::Tx& tx) { return noticing_->blocks().welcome(tx, of); });
}

/// Whoever had its key of digests has it still: the others get a new one.
Result<void> HubCore::node_revoked(const std::string& serial) {
  BAVN_TRY(const tenants::NodeId id, directory_->node_of(serial));
  BAVN_TRY(const tenants::Node node, directory_->node(event::Scope::local_owner(), id));
  return state_->write_now(
      [&](store::Tx& tx) { return noticing_->node_revoked(tx, node.name, "certificate revoked"); });
}

Result<void> HubCore::publish_community() {
  return publish_content(event::Scope::local_owner(), "content", "community",
                         domains_->text(directory_->municipalities()));
}

/// What burns: lit campaigns and open suspicions, the newest few.
void HubCore::show_waves(StatusView& view) {
  constexpr std::size_t kShown = 5;
  correlate::CampaignFilter filter;
  filter.states = {"lit", "suspicion"};
  filter.limit = static_cast<std::int64_t>(kShown);
  const auto found = state_->read([&](store::Reader& r) -> Result<std::vector<correlate::CampaignFacts>> {
    BAVN_TRY(const auto list, correlate::campaigns(r, filter));
    std::vector<correlate::CampaignFacts> all;
    for (const auto& c : list) {
      BAVN_TRY(auto facts, correlate::facts_of(r, c.id));
      all.push_back(std::move(facts));
    }
    return all;
  });
  if (!found) {
    view.trouble.push_back("The waves cannot be read: " + found.error().what);
    return;
  }
  const auto clock = [](std::int64_t us) {
    return format_time(std::chrono::floor<std::chrono::seconds>(from_micros(us))).substr(11, 8);
  };
  const auto after = [](std::int64_t seconds) {
    if (seconds < 0) return std::string("-");
    return seconds < 120 ? fmt::format("{} s", seconds) : fmt::format("{:.0f} min", static_cast<double>(seconds) / 60);
  };
  for (const auto& f : *found) {
    const auto& c = f.campaign;
    StatusView::Wave wave;
    const std::string from = f.senders.empty() ? std::string() : " from " + f.senders.front().domain;
    wave.title = fmt::format("Mail{} to {} {}", from, c.municipalities,
                             c.municipalities == 1 ? "municipality" : "municipalities");
    wave.state = c.state == "lit" ? "warned" : "suspected";
    wave.severity = correlate::severity_name(c.severity);
    wave.first = from_micros(c.first_us);
    wave.figures = {{"Municipalities", with_commas(static_cast<std::uint64_t>(c.municipalities))},
                    {"Mails", with_commas(static_cast<std::uint64_t>(c.mails + c.outside))},
                    {"Noticed after", after(f.seconds_to_notice)},
                    {"Warned after", after(f.seconds_to_lit)}};
    std::vector<std::pair<std::int64_t, std::string>> steps = {{c.first_us, "its first mail was sent"}};
    if (c.noticed_us != 0) steps.emplace_back(c.noticed_us, fmt::format("noticed by a node ({})", c.cause));
    for (const auto& s : f.signs)
      if (steps.size() < 8) steps.emplace_back(s.at_us, fmt::format("{}: {}", s.group, s.kind));
    if (c.lit_us != 0)
      steps.emplace_back(c.lit_us,
                         "warned, " + (c.lit_by.starts_with("trigger:") ? "without a person" : "by " + c.lit_by));
    std::ranges::stable_sort(steps, {}, [](const auto& step) { return step.first; });  // an account is taken before
    for (const auto& [at, what] : steps) wave.steps.push_back(clock(at) + " " + what);
    const auto warning =
        state_->read([&](store::Reader& r) { return noticing_->warnings().of_campaign(r, std::to_string(c.id)); });
    if (warning && *warning)
      if (const auto shown = noticing_->warnings().show(event::Scope::local_owner(), **warning)) {
        wave.figures.push_back({"Answers", fmt::format("{} of {}", shown->warning.answered, shown->warning.asked)});
        std::int64_t purged = 0, left = 0;
        for (const auto& a : shown->answers)
          if (a.answer) purged += a.answer->purged, left += a.answer->purge_left;
        if (purged + left > 0)
          wave.figures.push_back({"Mails emptied", fmt::format("{} of {}", purged, purged + left)});
      }
    view.waves.push_back(std::move(wave));
  }
  const auto quality =
      state_->read([&](store::Reader& r) { return correlate::false_warnings(r, view.now, std::chrono::days(90)); });
  if (quality) view.figures.push_back({"False warnings, 90 days", std::to_string(quality->not_real)});
}

}  // namespace bavn::app
