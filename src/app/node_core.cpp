#include "app/node_core.hpp"

#include <fmt/format.h>
#include <boost/describe.hpp>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>

#include "app/audit_head.hpp"
#include "app/blocks_node.hpp"
#include "app/digest_keys.hpp"
#include "app/mail_out.hpp"
#include "app/purge_node.hpp"
#include "app/purge_routes.hpp"
#include "app/warnings.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "event/observable.hpp"
#include "hunt/observables.hpp"
#include "input/settings.hpp"
#include "net/json_views.hpp"
#include "show/auth/identity.hpp"
#include "show/web/site.hpp"
#include "tenants/municipalities.hpp"
#include "tenants/people.hpp"

namespace bavn::app {

namespace {

constexpr std::string_view kVersion = kNodeVersion;

constexpr Setting kSettings[] = {
    {"node.control_port",
     Unit::none,
     std::int64_t{0},
     {0, 65535},
     "Port of the control interface on this machine; 0: any free one.",
     Restart::yes},
    {"node.workers",
     Unit::none,
     std::int64_t{0},
     {0, 256},
     "Threads that read and match; 0: one per core.",
     Restart::yes},
    {"intake.address",
     Unit::none,
     std::string_view("127.0.0.1"),
     {0, 200},
     "Address on which shippers may deliver over HTTP.",
     Restart::yes},
    {"intake.port",
     Unit::none,
     std::int64_t{0},
     {0, 65535},
     "Port of the HTTP intake; 0: only through the control interface.",
     Restart::yes},
    {"node.inside",
     Unit::none,
     std::string_view(""),
     {0, 2000},
     "Hosts on the inside (names or addresses, commas between) that this node may ask: a proxy, a webhook, a test "
     "server.",
     Restart::yes},
    {"share.alerts",
     Unit::none,
     std::string_view("high"),
     {0, 20},
     "From which level on the hub is told that a rule fired (its name, how often, since when; nothing of the records): "
     "none, low, medium, "
     "high, critical.",
     Restart::no},
    {"share.sightings",
     Unit::none,
     true,
     {},
     "Tell the hub how often a shared indicator was seen (not by whom).",
     Restart::no},
};

struct ContentRow {
  std::string name, payload;
};
BOOST_DESCRIBE_STRUCT(ContentRow, (), (name, payload))

struct TestBeacon {
  std::string id;
  std::optional<std::string> kind, value;  // look for this
};
BOOST_DESCRIBE_STRUCT(TestBeacon, (), (id, kind, value))

struct Content {
  std::string name;
  std::optional<std::string> text;  // missing: it is withdrawn
};
BOOST_DESCRIBE_STRUCT(Content, (), (name, text))

struct InboxRow {
  std::int64_t id = 0, seq = 0, at_us = 0;
  std::string stream, kind, payload;
};
BOOST_DESCRIBE_STRUCT(InboxRow, (), (id, seq, at_us, stream, kind, payload))

int level_number(std::string_view level) {
  for (const auto& [name, n] : {std::pair("informational", 0), {"low", 1}, {"medium", 2}, {"high", 3}, {"critical", 4}})
    if (level == name) return n;
  return level == "none" ? 9 : 0;
}

/// A name that is a file's name and nothing more.
bool is_plain(std::string_view name) {
  return !name.empty() && name.size() <= 120 && name[0] != '.' && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || ascii_digit(c) || c == '-' || c == '_' || c == '.';
  });
}

}  // namespace

std::vector<Setting> node_settings() {
  std::vector<Setting> all(std::begin(kSettings), std::end(kSettings));
  const auto add = [&](std::span<const Setting> more) { all.insert(all.end(), more.begin(), more.end()); };
  add(live::settings());
  add(alerts::settings());
  add(input::settings());
  add(mail_settings());
  add(notify::sms_settings());
  add(beacon_node_settings());
  add(show::web::settings(show::web::Serves::node));
  add(show::auth::identity_settings());
  add(show::api::hunt_settings());
  return all;
}

NodeCore::NodeCore(Runtime& runtime, net::Client& client, Metrics& metrics, NodeCoreOptions options)
    : runtime_(runtime),
      client_(client),
      metrics_(metrics),
      options_(std::move(options)),
      since_(runtime.now()),
      work_(runtime.queue({.name = "node"})) {
  if (options_.identity && !options_.identity->municipalities.empty())
    home_ = options_.identity->municipalities.front();
}

NodeCore::~NodeCore() {
  stop();
  // The pipeline saves the watcher's state as it goes, and the watcher is part of noticing_.
  look_back_.reset();
  hunt_back_.reset();
  locate_ = {};
  pipeline_.reset();
}

hunt::EngineOptions NodeCore::engine_options() const {
  hunt::EngineOptions engine;
  engine.builtin_rules = true;
  engine.rules = options_.rules;
  for (const char* name : {"/rules", "/hub-rules"})
    if (std::filesystem::is_directory(options_.folder + name)) engine.rules.push_back(options_.folder + name);
  engine.rule_cache = options_.folder + "/rules.cache";
  engine.facts = true;
  return engine;
}

Result<std::unique_ptr<NodeCore>> NodeCore::open(Runtime& runtime, net::Client& client, Metrics& metrics,
                                                 NodeCoreOptions options) {
  std::unique_ptr<NodeCore> node(new NodeCore(runtime, client, metrics, std::move(options)));
  NodeCoreOptions& o = node->options_;
  store::StateOptions state;
  state.path = o.state_path.empty() ? o.folder + "/state.db" : o.state_path;
  state.schema = {"core", "node"};
  state.metrics = &metrics;
  if (o.guest) state.readers = 1;
  BAVN_TRY(node->state_, store::State::open(runtime, state));
  BAVN_CHECK(node->write_hub_rules());

  const auto budget = o.settings != nullptr ? alerts::Budget::from(*o.settings) : alerts::Budget{};
  node->book_ = std::make_unique<alerts::AlertBook>(budget);
  live::Options live = o.guest                 ? live::Options::guest_profile(o.folder)
                       : o.settings != nullptr ? live::Options::from(*o.settings, o.folder)
                                               : live::Options{};
  live.folder = o.folder;
  live.guest = o.guest;
  live.engine = node->engine_options();
  BAVN_TRY(node->sights_, input::all_sights());
  if (o.identity) {
    BAVN_CHECK(node->open_beacon());
    BAVN_CHECK(node->open_night());
    BAVN_CHECK(node->open_noticing());
  }
  if (node->noticing_) live.watcher = node->noticing_->watcher();
  if (o.tune) o.tune(live);
  BAVN_TRY(node->pipeline_, live::Pipeline::open(runtime, *node->state_, *node->book_, live));
  node->indicators_ = std::make_unique<NodeIndicators>(node->pipeline_->engine()->indicators(), true);
  BAVN_CHECK(node->indicators_->load(*node->state_));
  BAVN_TRY(node->hunt_back_, live::HuntBack::open(runtime, *node->state_, *node->pipeline_, *node->book_));
  node->hunt_back_->subscribe();
  node->alerts_ = std::make_unique<alerts::AlertReader>(*node->state_, budget);
  node->sources_ = std::make_unique<live::SourcesReader>(*node->state_);
  BAVN_TRY(node->tokens_, live::IntakeTokens::open(*node->state_));
  node->gateway_book_ = std::make_unique<live::GatewayBook>(runtime, *node->state_);
  live::RecordIds::Options ids{.folder = o.folder};
  if (o.guest) ids.most = 100'000;
  else if (o.settings != nullptr) ids.most = static_cast<std::size_t>(o.settings->integer("intake.record_ids"));
  BAVN_TRY(node->record_ids_, live::RecordIds::open(runtime, node->pipeline_->history(), ids));
  if (node->noticing_)
    node->look_back_ = std::make_unique<LookBack>(runtime, *node->pipeline_, node->sights_,
                                                  [n = node.get()] { return n->seen_here(); });
  if (node->noticing_) node->locate_ = trace_locate(runtime, *node->pipeline_);
  BAVN_CHECK(node->open_retention());
  return node;
}

live::Gateways NodeCore::gateways() {
  live::GatewayOptions how =
      options_.settings != nullptr ? live::GatewayOptions::from(*options_.settings) : live::GatewayOptions{};
  how.reads_documents = [this](const std::string& format) {
    const auto engine = pipeline_->engine();
    const auto id = engine->catalogue().find(format);
    return id && engine->catalogue().at(*id).reader == "json";
  };
  return {runtime_, *tokens_, sink(), *record_ids_, *gateway_book_, std::move(how)};
}

/// Orders to this municipality. A node of several takes orders to the first only; the others are refused with that reason.
Result<void> NodeCore::open_night() {
  const NodeIdentity& who = *options_.identity;
  if (!who.witness || who.municipalities.empty()) return {};
  const auto all = tenants::Municipalities::all();
  const tenants::Municipality* facts = all.find(home_);
  noted_client_ = beacon_->left_us().recording(client_, "notify");
  if (options_.mail != nullptr)
    noted_mail_ = std::make_unique<NotedMail>(beacon_->left_us(), *options_.mail, options_.mail_server);
  if (options_.settings != nullptr) {
    BAVN_TRY(sms_, notify::sms_of(runtime_.files(), *noted_client_, *options_.settings));
  }
  NightCallOptions o;
  o.notify.sms = sms_.get();
  o.folder = options_.folder;
  o.municipality = home_;
  o.municipality_name = facts != nullptr ? facts->name : who.municipality;
  o.zone = facts != nullptr ? std::string(facts->zone()) : "Europe/Copenhagen";
  BAVN_TRY(night_, NightCall::open(runtime_, *state_, *noted_client_, noted_mail_.get(), texts_, *who.witness, o));
  beacon_->on_entry("order", [this](store::Tx& tx, const beacon::Received& r) { return answer_order(tx, r); });
  return {};
}

/// What is noticed here, and what the hub says of it. Opened before the pipeline, which feeds it.
Result<void> NodeCore::open_noticing() {
  const NodeIdentity& who = *options_.identity;
  if (!night_) return {};
  const auto all = tenants::Municipalities::all();
  const tenants::Municipality* facts = all.find(home_);
  DutyCallOptions call;
  call.municipality_name = facts != nullptr ? facts->name : who.municipality;
  call.zone = facts != nullptr ? std::string(facts->zone()) : "Europe/Copenhagen";
  call.language = facts != nullptr ? language_of(facts->language()).value_or(Language::da) : Language::da;
  duty_ = std::make_unique<DutyCall>(night_->notify(), texts_, std::move(call));
  BAVN_TRY(noticing_,
           BeaconNode::open(
               {.runtime = runtime_,
                .state = *state_,
                .metrics = metrics_,
                .texts = texts_,
                .beacon = *beacon_,
                .municipalities = who.municipalities,
                .folder = options_.folder,
                .node_key = *who.witness,
                .hunt = [this](warn::HuntAsk ask, auto then) { look_back_->hunt(std::move(ask), std::move(then)); },
                .look = [this](const event::Observable& what, Instant from, Instant to,
                               auto then) { look_back_->look(what, from, to, std::move(then)); },
                .deliver = warning_delivery(night_->notify()),
                .purge = purge_ways(),
                .call = [this](store::Tx& tx, const CallWanted& wanted) { return duty_->call(tx, wanted); },
                .community_key = who.community_key,
                .settings = options_.settings}));
  return {};
}

/// The pipeline and Microsoft 365 come later than what asks them.
act::PurgeWays NodeCore::purge_ways() {
  act::PurgeWays ways;
  ways.ask = [this](act::GraphCall call, std::move_only_function<void(act::GraphReply)> then) {
    const auto graph = graph_.with([](const auto& g) { return g; });
    if (graph) return (*graph)(std::move(call), std::move(then));
    act::GraphReply reply;
    reply.what = "no Microsoft 365 is connected to this node: bavn node setup connects it";
    then(std::move(reply));
  };
  ways.locate = [this](act::LocateAsk ask, std::move_only_function<void(Result<act::Located>)> then) {
    if (locate_) return locate_(std::move(ask), std::move(then));
    then(fail(Code::unavailable, "the history is not open yet"));
  };
  const auto all = tenants::Municipalities::all();
  const tenants::Municipality* facts = all.find(home_);
  ways.ask_duty =
      purge_question(night_->notify(), home_, facts != nullptr ? facts->name : options_.identity->municipality,
                     facts != nullptr ? std::string(facts->zone()) : "Europe/Copenhagen");
  return ways;
}

Result<void> NodeCore::answer_order(store::Tx& tx, const beacon::Received& r) {
  BAVN_TRY(const act::Outcome outcome, night_->take(tx, r.payload));
  std::string body;
  JsonWriter w(body);
  w.object().member("order", outcome.order).member("outcome", outcome.done ? "done" : "refused");
  w.member("text", outcome.reason).member("proof", outcome.proof).end();
  return beacon_->report(tx, "answer", body, home_, event::Tlp::amber);
}

Result<void> NodeCore::open_retention() {
  auto rules = store::core_retention();
  rules.push_back(
      {"left_us", 400, "what left is shown for a year and a month, so that a year's audit finds all of it",
       [left = beacon::LeftUs(*state_)](store::Tx& tx, Instant before) { return left.forget(tx, before); }});
  rules.push_back(store::retention_rule(
      "node_told", 100, "an announced event is looked at again for 90 days at most",
      "DELETE FROM node_told WHERE event IN (SELECT event FROM node_told WHERE at_us < :before LIMIT 10000)"));
  rules.push_back(store::retention_rule(
      "node_inbox", 400, "warnings of the year before are compared with those of this year",
      "DELETE FROM node_inbox WHERE id IN (SELECT id FROM node_inbox WHERE at_us < :before LIMIT 10000)"));
  rules.push_back(DutyCall::retention());
  for (auto& rule : beacon_node_retention()) rules.push_back(std::move(rule));
  for (auto& rule : show::web::retention()) rules.push_back(std::move(rule));
  BAVN_TRY(retention_, store::Retention::open(*state_, std::move(rules)));
  return retention_->start(runtime_.queue({.name = "retention"}));
}

Result<void> NodeCore::open_beacon() {
  const NodeIdentity& who = *options_.identity;
  beacon::NodeOptions b;
  b.hub = who.hub;
  b.node = who.name;
  b.version = kVersion;
  b.check = who.check;
  b.municipalities = who.municipalities;
  b.folder = options_.folder + "/beacon";
  b.shared_bases = options_.shared_bases;
  b.tls = who.tls;
  b.witness = who.witness;
  b.audit_head = audit_head;
  BAVN_TRY(beacon_, beacon::NodeBeacon::open(runtime_, *state_, client_, metrics_, b));
  beacon_->on_entry("indicators", [this](store::Tx& tx, const beacon::Received& r) {
    const std::string_view audience = r.stream.substr(r.stream.find('/') + 1);
    return indicators_->on_change(tx, audience, r.stream.starts_with("bulk/") ? r.seq : UINT32_MAX, r.payload);
  });
  beacon_->on_base([this](store::Tx& tx, const beacon::NewBase& b2) -> Result<void> {
    BAVN_CHECK(indicators_->on_base(tx, b2.audience, b2.file, b2.covers_seq));
    return tx.emit("content.base", b2.audience);
  });
  const auto content = [](std::string kind, bool reload) {
    return [kind, reload](store::Tx& tx, const beacon::Received& r) -> Result<void> {
      BAVN_TRY(const Content c, net::from_json<Content>(r.payload, net::Unknown::ignore));
      if (!is_plain(c.name)) return fail(Code::bad_input, "a name is letters, digits, - _ and .", c.name);
      if (c.text) {
        BAVN_CHECK(
            tx.exec("INSERT INTO node_content (kind, name, payload, at_us) VALUES (:k, :n, :p, :at) ON CONFLICT (kind, "
                    "name) DO "
                    "UPDATE SET payload = excluded.payload, at_us = excluded.at_us",
                    {{"k", kind}, {"n", c.name}, {"p", *c.text}, {"at", tx.now()}}));
      } else {
        BAVN_CHECK(tx.exec("DELETE FROM node_content WHERE kind = :k AND name = :n", {{"k", kind}, {"n", c.name}}));
      }
      BAVN_CHECK(tx.emit(reload ? "content.rules" : "content.changed", c.name));
      return {};
    };
  };
  beacon_->on_entry("rules", content("rules", true));
  beacon_->on_entry("settings", content("settings", false));
  beacon_->on_entry("content", content("content", false));
  beacon_->on_entry("test_beacon", [this](store::Tx& tx, const beacon::Received& r) { return answer_test(tx, r); });
  const auto keep = [](store::Tx& tx, const beacon::Received& r) -> Result<void> {
    BAVN_CHECK(tx.exec(
        "INSERT OR IGNORE INTO node_inbox (stream, seq, kind, at_us, payload) VALUES (:s, :n, :k, :at, :p)",
        {{"s", r.stream}, {"n", static_cast<std::int64_t>(r.seq)}, {"k", r.kind}, {"at", tx.now()}, {"p", r.payload}}));
    return tx.emit(fmt::format("hub.{}", r.kind), fmt::format("{}:{}", r.stream, r.seq));
  };
  beacon_->on_entry("revocation", keep);

  state_->subscribe("rules", work_,
                    [this](const store::DomainEvent& e) -> Result<void> {
                      if (e.kind == "content.rules") reload_rules();
                      if (e.kind == "content.base") tell_now();
                      return {};
                    },
                    {"content.rules", "content.base"});
  state_->subscribe("share", work_, [this](const store::DomainEvent& e) { return share(e); },
                    {"alert.opened", "alert.updated"});
  return {};
}

/// Rules from the hub as files beside the node's own, so that a person can read what runs here.
Result<void> NodeCore::write_hub_rules() {
  BAVN_TRY(const auto rows, state_->read([](store::Reader& r) {
    return r.all<ContentRow>("SELECT name, payload FROM node_content WHERE kind = 'rules' ORDER BY name");
  }));
  const std::string folder = options_.folder + "/hub-rules";
  std::error_code ec;
  if (rows.empty() && !std::filesystem::exists(folder)) return {};
  std::filesystem::create_directories(folder, ec);
  std::vector<std::string> there;
  DiskFiles files;
  for (const auto& row : rows) {
    there.push_back(row.name + ".yml");
    BAVN_CHECK(replace_file(files, folder + "/" + there.back(), row.payload));
  }
  for (const auto& entry : std::filesystem::directory_iterator(folder, ec))
    if (std::find(there.begin(), there.end(), entry.path().filename().string()) == there.end())
      std::filesystem::remove(entry.path(), ec);
  return {};
}

void NodeCore::reload_rules() {
  if (auto written = write_hub_rules(); !written) {
    log::error("rules_not_written", {{"reason", to_string(written.error())}});
    return;
  }
  hunt::EngineOptions options = engine_options();
  options.shared_indicators = pipeline_->engine()->shared_indicators();
  auto engine = hunt::Engine::open(options);
  if (!engine) {
    log::error("rules_not_loaded", {{"reason", to_string(engine.error())}});
    return;
  }
  pipeline_->swap(std::move(*engine));
  log::info("rules_loaded", {});
}

Result<void> NodeCore::answer_test(store::Tx& tx, const beacon::Received& r) {
  BAVN_TRY(const TestBeacon test, net::from_json<TestBeacon>(r.payload, net::Unknown::ignore));
  std::optional<std::int64_t> hits;
  if (test.kind && test.value) {
    const auto kind = event::parse_kind(*test.kind);
    const auto wanted = kind ? event::canonical(*kind, *test.value) : std::nullopt;
    if (!wanted) return fail(Code::bad_input, "the test asks for something that is no observable", *test.kind);
    if (const auto range = hunt::index_range(*wanted)) {
      BAVN_TRY(const auto frames, pipeline_->history().lookup(event::Scope::local_owner(), *range));
      hits = static_cast<std::int64_t>(frames.size());
    }
  }
  for (const MunicipalityId m : options_.identity->municipalities) {
    std::string body;
    JsonWriter w(body);
    w.object().member("test_beacon", test.id).member("applied_at_us", micros(runtime_.now()));
    if (hits) w.member("hits", *hits);
    w.end();
    BAVN_CHECK(beacon_->report(tx, "answer", body, m, event::Tlp::amber));
  }
  return {};
}

/// An alert was opened or has grown: what of it may be told is told once for each doubling.
Result<void> NodeCore::share(const store::DomainEvent& e) {
  if (e.kind != "alert.opened" && e.kind != "alert.updated") return {};
  std::int64_t id = 0;
  for (const char c : e.subject) id = ascii_digit(c) ? id * 10 + (c - '0') : id;
  auto found = alerts_->find(event::Scope::local_owner(), id);
  if (!found)
    return found.error().code == Code::not_found ? Result<void>() : Result<void>(std::unexpected(found.error()));
  const alerts::Alert& a = found->first;
  if (a.place == "counted") return {};  // a rule that only counts alarms nobody, here or there
  const bool indicator = a.kind == "indicator";
  const auto& s = options_.settings;
  const std::string least = s != nullptr ? s->text("share.alerts") : "high";
  const bool wanted =
      indicator ? s == nullptr || s->flag("share.sightings") : level_number(a.level) >= level_number(least);
  if (!wanted) return {};
  std::string body;
  JsonWriter w(body);
  w.object().member("alert", a.id).member("title", a.title).member("level", a.level).member("rule", a.rule);
  w.member("count", a.count).member("first_seen_us", a.first_seen_us).member("last_seen_us", a.last_seen_us).end();
  return state_->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const std::int64_t fresh, tx.exec("INSERT OR IGNORE INTO node_told (event, at_us) VALUES (:e, :at)",
                                               {{"e", e.seq}, {"at", tx.now()}}));
    if (fresh == 0) return {};
    return beacon_->report(tx, indicator ? "sighting" : "alert", body,
                           MunicipalityId{static_cast<std::uint16_t>(a.municipality)}, event::Tlp::amber);
  });
}

/// Health and counts, each minute: the newest replaces what still waits.
void NodeCore::tell() {
  runtime_.after(options_.tell_every, work_, [this, alive = alive_] {
    if (*alive) tell();
  });
  tell_now();
}

void NodeCore::tell_now() {
  if (!beacon_) return;
  const auto view = status(event::Scope::local_owner());
  if (!view || view->municipalities.empty()) return;
  const tenants::People people(runtime_, *state_);
  std::map<std::string, std::string> reachable;  // that somebody can be called, not who: names and numbers stay here
  for (const auto& m : view->municipalities)
    if (const auto duty = people.duty_contacts(event::Scope::local_owner(),
                                               MunicipalityId{static_cast<std::uint16_t>(std::stoul(m.code))}))
      reachable[m.code] = tenants::how_reachable(*duty);
  auto told = state_->write_now([&](store::Tx& tx) -> Result<void> {
    for (const auto& m : view->municipalities) {
      std::string health;
      JsonWriter w(health);
      w.object().member("version", kVersion).member("open_alerts", m.open_alerts);
      w.member("indicators", static_cast<std::uint64_t>(pipeline_->engine()->indicators().snapshot()->size()));
      w.key("trouble").array();
      for (const std::string& t : view->trouble) w.value(t);
      w.end().key("sources").array();
      for (const auto& s : m.sources) {
        w.object()
            .member("name", s.name)
            .member("state", s.state)
            .member("records", s.records)
            .member("refused", s.refused);
        if (s.lag_seconds) w.member("lag_seconds", *s.lag_seconds);
        if (s.newest_age_seconds) w.member("newest_age_seconds", *s.newest_age_seconds);
        w.end();
      }
      w.end();
      if (const auto at = reachable.find(m.code); at != reachable.end()) w.member("duty_contact", at->second);
      w.end();
      BAVN_CHECK(beacon_->report(tx, "health", health, MunicipalityId{static_cast<std::uint16_t>(std::stoul(m.code))},
                                 event::Tlp::amber));
    }
    return {};
  });
  if (!told) log::warn("health_not_told", {{"reason", to_string(told.error())}});
}

void NodeCore::start() {
  state_->start();
  hunt_back_->start();
  if (noticing_) noticing_->start();
  if (beacon_) beacon_->start();
  const bool posted = runtime_.post(work_, [this, alive = alive_] {
    if (*alive) tell();
  });
  BAVN_ASSERT(posted);
}

void NodeCore::stop() {
  if (!*alive_) return;
  *alive_ = false;
  if (hunts_) hunts_->stop();
  if (beacon_) beacon_->stop();
  if (gateway_book_) (void)gateway_book_->flush();
  if (state_) state_->stop();
}

Result<StatusView> NodeCore::status(const event::Scope& scope) {
  StatusView v;
  const auto& who = options_.identity;
  v.title = who ? "Node of " + who->municipality : "Node, not enrolled";
  v.version = kVersion;
  v.now = runtime_.now();
  v.since = since_;
  v.commands = options_.try_commands;
  const live::Stats stats = pipeline_->stats();
  const history::Stats kept = pipeline_->history().stats();
  v.figures = {{"Records kept", with_commas(kept.records)},
               {"Findings", with_commas(stats.findings + stats.correlation_findings)},
               {"Indicators", with_commas(pipeline_->engine()->indicators().snapshot()->size())},
               {"Rules", with_commas(pipeline_->engine()->rules().rules.size())}};
  if (!stats.failing.empty()) v.trouble.push_back(stats.failing);
  if (stats.behind) v.trouble.push_back("Findings are behind: they are made again from history.");
  StatusView::Municipality m;
  m.code = fmt::format("{:04}", home_.value);
  m.name = who ? who->municipality : "this machine";
  m.state = "connected";
  if (beacon_) {
    const beacon::NodeStatus b = beacon_->status();
    m.last_seen = b.down.last_heard;
    if (b.down.state != beacon::Following::live && b.down.state != beacon::Following::catching_up) m.state = "away";
    if (!b.down.text.empty()) v.trouble.push_back(b.down.text);
    if (!b.up_trouble.empty()) v.trouble.push_back(b.up_trouble);
    v.figures.push_back({"Waiting for the hub", with_commas(static_cast<std::uint64_t>(b.up.waiting))});
  }
  alerts::AlertFilter burning;
  burning.state = "open";
  burning.place = "queue";
  burning.limit = 8;
  BAVN_TRY(const auto list, alerts_->list(scope, burning));
  m.open_alerts = static_cast<std::uint64_t>(list.queue);
  for (const auto& a : list.alerts)
    m.alerts.push_back({a.title, a.level, a.concern, static_cast<std::uint64_t>(a.count), from_micros(a.last_seen_us)});
  BAVN_TRY(const auto rows, sources_->list(scope, v.now));
  const auto said = source_states_ ? source_states_() : std::vector<input::SourceReport>{};
  const auto state_of = [](input::SourceState s) -> std::string {
    switch (s) {
      case input::SourceState::starting: return "starting";
      case input::SourceState::working: return "working";
      case input::SourceState::waiting: return "waiting";
      case input::SourceState::failing: return "failing";
      case input::SourceState::off: return "off";
    }
    return "?";
  };
  for (const auto& s : said) {
    StatusView::Source one;
    one.name = s.source;
    one.state = state_of(s.state);
    one.text = s.text;
    if (s.lag_seconds >= 0) one.lag_seconds = s.lag_seconds;
    m.sources.push_back(std::move(one));
  }
  for (const auto& row : rows) {
    auto at = std::find_if(m.sources.begin(), m.sources.end(), [&](const auto& s) { return s.name == row.source; });
    if (at == m.sources.end()) {
      m.sources.push_back({});
      at = m.sources.end() - 1;
      at->name = row.source;
      at->state = "working";
    }
    at->records = static_cast<std::uint64_t>(row.records);
    at->refused = static_cast<std::uint64_t>(row.refused);
    if (row.lag_us >= 0) {
      const std::int64_t lag = row.lag_us / 1'000'000;  // what a source says began with its last start
      at->lag_seconds = std::min(at->lag_seconds.value_or(lag), lag);
    }
    if (row.newest_happened_us > 0) at->newest_age_seconds = (micros(v.now) - row.newest_happened_us) / 1'000'000;
  }
  v.blind = blind(m.sources);
  v.municipalities.push_back(std::move(m));
  return v;
}

/// Which kinds of logs arrive here: sources by name, and what the newest records are of.
input::Seen NodeCore::seen_here() const {
  constexpr std::size_t kSegments = 2;  // about an hour or 256 MiB
  const event::Scope owner = event::Scope::local_owner();
  input::Seen seen;
  if (source_states_)
    for (const auto& s : source_states_())
      if (s.state != input::SourceState::off) seen.sources.push_back(s.source);
  const history::History& history = pipeline_->history();
  std::set<std::string> formats;
  std::size_t n = 0;
  for (const auto& segment : history.segments(owner)) {
    if (n++ == kSegments) break;
    if (const auto frames = history.frames(owner, segment, {}))
      for (const auto& frame : *frames) formats.insert(frame.info.format);
  }
  seen.formats.assign(formats.begin(), formats.end());
  return seen;
}

/// Kinds of sources of which nothing arrives: neither a source of their name nor, in the newest records, one of their formats.
std::vector<StatusView::Blind> NodeCore::blind(const std::vector<StatusView::Source>& sources) {
  input::Seen seen = seen_here();
  for (const auto& s : sources)
    if (s.state != "off") seen.sources.push_back(s.name);
  std::vector<StatusView::Blind> out;
  for (const input::Sight& s : input::blind_spots(sights_, seen)) out.push_back({s.name.in("en"), s.blind.in("en")});
  return out;
}

void NodeCore::add_routes() {
  add_api(control_);
  live::add_intake_routes(control_, *tokens_, *pipeline_);
  control_.async(net::Method::post, "/api/fork/settle", net::Needs::operate,
                 [this](net::Request q, net::Respond respond) {
                   if (!beacon_) return respond(net::problem(Error{Code::not_found, "this node follows no hub", ""}));
                   beacon_->settle_fork(q.scope.who(), [respond = std::move(respond)](Result<void> done) mutable {
                     respond(done ? net::text("", "text/plain", 204) : net::problem(done.error()));
                   });
                 });
  control_.get("/api/left", net::Needs::left_us_read, [this](const net::Request& q) -> net::Reply {
    if (!beacon_) return net::text("", "application/x-ndjson");
    std::string out;
    const auto done = beacon_->left_us().export_ndjson(
        q.scope, Instant{}, runtime_.now() + std::chrono::hours(1), [&](std::string_view line) -> Result<void> {
          out += line;
          if (out.size() > (64U << 20U))
            return fail(Code::unavailable, "the list is longer than 64 MiB; ask for a part of it");
          return {};
        });
    return done ? net::text(std::move(out), "application/x-ndjson") : net::problem(done.error());
  });
  control_.get("/api/inbox", net::Needs::alert_read, [this](const net::Request&) -> net::Reply {
    const auto rows = state_->read([](store::Reader& r) {
      return r.all<InboxRow>("SELECT id, seq, at_us, stream, kind, payload FROM node_inbox ORDER BY id DESC LIMIT 200");
    });
    return rows ? net::json(net::to_json(*rows)) : net::problem(rows.error());
  });
  if (noticing_) {
    const auto& own = options_.identity->municipalities;
    add_warning_routes_node(control_, *state_, noticing_->warnings(), own);
    add_block_routes_node(control_, noticing_->blocks());
    add_list_routes(control_, noticing_->blocks());
    add_purge_routes(control_, *state_, noticing_->purge());
    add_digest_routes(control_, runtime_, *state_, noticing_->digests(), own);
  }
  control_.get("/metrics", net::Needs::operate, [this](const net::Request&) { return net::text(metrics_.text()); });
}

}  // namespace bavn::app
