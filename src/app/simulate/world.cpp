#include "app/simulate/world.hpp"

#include <fmt/format.h>

#include <time.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <fstream>

#include "act/mandate.hpp"
#include "base/json_writer.hpp"
#include "base/local_time.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "correlate/campaigns.hpp"
#include "event/digest_key.hpp"
#include "event/observable.hpp"
#include "net/json_views.hpp"
#include "notice/digest_keyring.hpp"

namespace bavn::app::simulate {

namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
constexpr const char* kHubAddress = "hub.simulation.example:443";
constexpr const char* kHubUrl = "https://hub.simulation.example";

SigningKey key_of(std::uint64_t seed, std::string_view label) {
  Dice d(seed, label);
  std::array<char, 32> bytes{};
  for (char& c : bytes) c = static_cast<char>(d.next());
  return SigningKey::from_seed(bytes);
}

std::optional<unsigned> minute_of(std::string_view hh_mm) {
  if (hh_mm.size() != 5) return std::nullopt;
  return static_cast<unsigned>((hh_mm[0] - '0') * 10 + (hh_mm[1] - '0')) * 60 +
         static_cast<unsigned>((hh_mm[3] - '0') * 10 + (hh_mm[4] - '0'));
}

bool day_counts(std::string_view days, int weekday) {
  constexpr std::string_view kNames[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
  const auto number = [&](std::string_view name) {
    for (int i = 0; i < 7; ++i)
      if (iequals(name, kNames[i])) return i + 1;
    return 0;
  };
  for (const auto part : split(days, ',')) {
    const auto dash = part.find('-');
    const int from = number(trim(part.substr(0, dash)));
    const int to = dash == std::string_view::npos ? from : number(trim(part.substr(dash + 1)));
    if (from <= weekday && weekday <= to) return true;
  }
  return false;
}

double minutes_between(Instant from, Instant to) {
  return std::chrono::duration<double, std::ratio<60>>(to - from).count();
}

double cpu_seconds() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

double resident_megabytes() {
  std::ifstream in("/proc/self/statm");
  double pages = 0, resident = 0;
  in >> pages >> resident;
  return resident * 4096 / 1e6;
}

}  // namespace

/// What goes over a node's wire is counted here; a node that is away reaches nobody.
class World::Wire final : public net::Client {
 public:
  Wire(Runtime& runtime, std::unique_ptr<net::Client> inner) : runtime_(runtime), inner_(std::move(inner)) {}
  void send(net::ClientRequest request, QueueId queue,
            std::move_only_function<void(Result<net::ClientReply>)> then) override {
    count(request);
    if (away_) {
      runtime_.after(seconds{1}, queue,
                     [then = std::move(then)]() mutable { then(fail(Code::unavailable, "the network is gone")); });
      return;
    }
    inner_->send(std::move(request), queue, std::move(then));
  }
  std::shared_ptr<net::OpenStream> stream(net::ClientRequest request, QueueId queue,
                                          net::StreamEvents events) override {
    count(request);
    if (away_) {
      runtime_.after(seconds{1}, queue, [end = std::move(events.on_end)]() mutable {
        if (end) end(Error{Code::unavailable, "the network is gone", {}});
      });
      return std::make_shared<Nothing>();
    }
    auto opened = inner_->stream(std::move(request), queue, std::move(events));
    open_.push_back(opened);
    return opened;
  }
  void set_away(bool away) {
    away_ = away;
    if (!away) return;
    for (auto& weak : std::exchange(open_, {}))
      if (const auto s = weak.lock()) s->close();
  }
  bool away() const { return away_; }
  std::uint64_t bytes = 0;

 private:
  struct Nothing final : net::OpenStream {
    void close() override {}
  };
  void count(const net::ClientRequest& r) {
    bytes += r.url.size() + r.body.size() + 200;
  }  // 200: request line and headers
  Runtime& runtime_;
  std::unique_ptr<net::Client> inner_;
  std::vector<std::weak_ptr<net::OpenStream>> open_;
  bool away_ = false;
};

struct World::Hub {
  struct Members final : correlate::Members {
    std::vector<correlate::Member> members;
    std::map<std::uint16_t, std::size_t> by_id;
    std::map<std::string, MunicipalityId, std::less<>> by_domain;
    std::vector<correlate::Member> all() const override { return members; }
    std::optional<correlate::Member> of(MunicipalityId id) const override {
      const auto found = by_id.find(id.value);
      return found == by_id.end() ? std::nullopt : std::optional(members[found->second]);
    }
    std::optional<MunicipalityId> of_domain(std::string_view domain) const override {
      for (;;) {
        if (const auto found = by_domain.find(domain); found != by_domain.end()) return found->second;
        const auto dot = domain.find('.');
        if (dot == std::string_view::npos) return std::nullopt;
        domain.remove_prefix(dot + 1);
      }
    }
  };
  struct NodesOf final : beacon::NodesOf {
    std::map<std::string, beacon::NodeFacts> facts;
    Result<beacon::NodeFacts> by_certificate(const std::string& serial) override {
      const auto found = facts.find(serial);
      if (found == facts.end()) return fail(Code::not_found, "nobody's certificate");
      return found->second;
    }
  };
  Metrics metrics;
  Members members;
  NodesOf nodes;
  std::unique_ptr<store::State> state;
  std::unique_ptr<beacon::HubBeacon> beacon;
  std::unique_ptr<BeaconHub> parts;
  net::Router router;
  std::unique_ptr<net::SimServer> server;
};

struct World::Node {
  MunicipalityId id{};
  std::size_t town = 0;
  Metrics metrics;
  std::shared_ptr<const SigningKey> key;
  std::unique_ptr<store::State> state;
  std::unique_ptr<Wire> wire;
  std::unique_ptr<beacon::NodeBeacon> beacon;
  std::unique_ptr<BeaconNode> parts;
  std::shared_ptr<notice::FactWatcher> watcher;
  std::map<std::string, std::int64_t, std::less<>> hosts;  // seen in mail or clicks, for previews of blocks
  std::uint64_t bytes_before = 0;                          // in the quiet days
};

World::World(const Scenario& scenario, std::uint64_t seed, bool purge_again)
    : scenario_(scenario),
      seed_(seed),
      purge_again_(purge_again),
      towns_(scenario, seed),
      traffic_(scenario_, towns_, seed),
      sim_(seed, traffic_.from() - hours{1}),
      mailboxes_(sim_, traffic_, towns_),
      dice_(seed, "people"),
      people_(sim_.queue({.name = "people", .limit = 10'000'000})),
      employees_told_(towns_.size()),
      told_of_(towns_.size()) {}

World::~World() {
  for (auto& n : nodes_)
    if (n) n->beacon->stop();
  for (auto& n : nodes_)
    if (n) n->state->stop();
  if (hub_ && hub_->state) {
    hub_->server.reset();
    hub_->state->stop();
  }
}

Result<void> World::open_settings() {
  hub_table_ = beacon_hub_settings();
  node_table_ = beacon_node_settings();
  auto wanted = scenario_.settings;
  // A replay judges what the triggers would do when they are live, unless the scenario says otherwise.
  wanted.try_emplace("correlate.first_mode", "live");
  if (scenario_.reveal == "ask") wanted.try_emplace("digests.reveal", "ask");
  BAVN_TRY(hub_settings_, Settings::read(hub_table_, settings_toml(wanted, hub_table_), "settings of the scenario"));
  BAVN_TRY(node_settings_, Settings::read(node_table_, settings_toml(wanted, node_table_), "settings of the scenario"));
  return {};
}

Result<void> World::open_hub() {
  hub_ = std::make_unique<Hub>();
  Hub& h = *hub_;
  for (const Town& t : towns_.list()) {
    h.members.by_id[t.id.value] = h.members.members.size();
    h.members.by_domain[t.domain] = t.id;
    h.members.members.push_back({.id = t.id,
                                 .code = t.code,
                                 .name = t.name,
                                 .domains = {t.domain},
                                 .connected = t.connected,
                                 .may_be_named = true});
    if (t.connected) h.nodes.facts["c-" + t.code] = {t.code, {t.id}, {}, false, ""};
  }
  BAVN_TRY(h.state, store::State::open(
                        sim_, {.path = ":memory:", .schema = {"core", "hub"}, .readers = 1, .metrics = &h.metrics}));
  beacon::HubOptions o;
  o.folder = "/hub/beacon";
  o.tick = hours{6};
  o.keep_reports = std::chrono::days{2};
  auto key = std::make_shared<SigningKey>(key_of(seed_, "hub"));
  BAVN_TRY(h.beacon, beacon::HubBeacon::open(sim_, *h.state, h.nodes, h.metrics, {key, 1, {"simulation"}}, o));
  BAVN_TRY(h.parts, BeaconHub::open({.runtime = sim_,
                                     .state = *h.state,
                                     .metrics = h.metrics,
                                     .texts = texts_,
                                     .beacon = *h.beacon,
                                     .members = h.members,
                                     .settings = &*hub_settings_,
                                     .options = {},
                                     .known = [this](store::Tx&, std::string_view kind, std::string_view value) {
                                       const auto found = listed_.find({std::string(kind), std::string(value)});
                                       return found == listed_.end() ? std::string() : found->second;
                                     }}));
  h.beacon->on_other_report([](store::Tx&, const beacon::Report&) -> Result<void> { return {}; });
  h.router.authenticate([&h](const net::Request& q) -> Result<event::Scope> {
    BAVN_TRY(const auto facts, h.nodes.by_certificate(q.peer.certificate_serial));
    return event::Scope(
        facts.node, facts.municipalities,
        static_cast<std::uint32_t>(event::Right::follow) | static_cast<std::uint32_t>(event::Right::report),
        event::Tlp::red);
  });
  h.beacon->add_routes(h.router);
  BAVN_TRY(h.server,
           net::SimServer::start(sim_, h.router, kHubAddress, sim_.queue({.name = "hub-http", .limit = 1'000'000})));
  // The analyst's queue, and calls.
  h.state->subscribe("simulated-people", people_, [this](const store::DomainEvent& e) -> Result<void> {
    if (e.kind == "suspicion.opened" || e.kind == "campaign.lit") {
      std::int64_t id = 0;
      (void)std::from_chars(e.subject.data(), e.subject.data() + e.subject.size(), id);
      analyst(id);
    }
    return {};
  });
  h.state->start();
  h.beacon->start();
  return {};
}

Result<void> World::write_mandate(std::size_t town) {
  const Town& t = towns_[town];
  const std::string folder = "/" + t.code;
  const auto at = act::MandateFiles::in(folder);
  const SigningKey leader = key_of(seed_, "leader " + t.code), bo = key_of(seed_, "bo"), cy = key_of(seed_, "cy");
  BAVN_CHECK(act::new_mandate(
      sim_.files(), at,
      {t.id,
       t.name,
       std::string(towns_.zone()),
       "Leo Leader",
       "director",
       leader.public_key(),
       {{.name = "Bo Example", .of = "CERT", .key = bo.public_key().text(), .second_only = false, .hours = {}},
        {.name = "Cy Example", .of = "CERT", .key = cy.public_key().text(), .second_only = false, .hours = {}}}},
      sim_.now()));
  BAVN_TRY(std::string text, read_file(sim_.files(), at.mandate, 1U << 20U));
  const auto section = text.find("[action.purge]");
  if (section == std::string::npos) return fail(Code::corrupt, "the mandate has no action purge");
  text.replace(text.find("mode = \"off\"", section), 12, "mode = \"act\"");
  const auto limit = text.find("per_hour = ", section);
  text.replace(limit, text.find_first_of(" \n", limit + 11) - limit,
               fmt::format("per_hour = {}", scenario_.purge.limit));
  BAVN_CHECK(replace_file(sim_.files(), at.mandate, text));
  return act::sign_mandate(sim_.files(), at, leader, sim_.now());
}

Result<std::unique_ptr<World::Node>> World::open_node(std::size_t town) {
  const Town& t = towns_[town];
  auto n = std::make_unique<Node>();
  n->id = t.id;
  n->town = town;
  const std::string folder = "/" + t.code;
  for (const char* sub : {"", "/beacon", "/keys", "/stewards"}) BAVN_CHECK(sim_.files().make_dirs(folder + sub));
  if (t.mandate) BAVN_CHECK(write_mandate(town));
  BAVN_TRY(n->state, store::State::open(
                         sim_, {.path = ":memory:", .schema = {"core", "node"}, .readers = 1, .metrics = &n->metrics}));
  n->key = std::make_shared<SigningKey>(key_of(seed_, "node " + t.code));
  n->wire = std::make_unique<Wire>(sim_, net::sim_client(sim_, {.address = "192.0.2.7",
                                                                .tls = true,
                                                                .certificate_serial = "c-" + t.code,
                                                                .certificate_name = t.code}));
  beacon::NodeOptions o;
  o.hub = kHubUrl;
  o.node = t.code;
  o.version = "simulation";
  o.check = [key = key_of(seed_, "hub").public_key()](std::string_view) -> Result<beacon::CertifiedKey> {
    return beacon::CertifiedKey{key, 1, Instant{}, from_micros(1LL << 60)};
  };
  o.municipalities = {t.id};
  o.folder = folder + "/beacon";
  o.ping_every = hours{6};
  o.stream_silent = hours{24};
  // What waits for its time matters where messages get lost; elsewhere every report starts the sending itself.
  const bool rough = scenario_.wire.cut > 0 || !scenario_.wire.away.empty();
  o.tick = rough ? Duration(seconds{15}) : Duration(hours{1});
  BAVN_TRY(n->beacon, beacon::NodeBeacon::open(sim_, *n->state, *n->wire, n->metrics, o));

  // Who takes part, as the hub would have told it.
  std::string community;
  JsonWriter w(community);
  w.object().key("members").array();
  for (const Town& m : towns_.list())
    w.object()
        .member("municipality", static_cast<std::int64_t>(m.id.value))
        .member("code", m.code)
        .member("name", m.name)
        .key("domains")
        .array()
        .value(m.domain)
        .end()
        .end();
  w.end().end();
  BAVN_CHECK(n->state->write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("INSERT INTO node_content (kind, name, payload, at_us) VALUES ('content', 'community', :p, :at)",
                       {{"p", community}, {"at", tx.now()}}));
    return {};
  }));

  Node* node = n.get();
  BeaconNodeParts parts{.runtime = sim_,
                        .state = *n->state,
                        .metrics = n->metrics,
                        .texts = texts_,
                        .beacon = *n->beacon,
                        .municipalities = {t.id},
                        .folder = folder,
                        .node_key = *n->key,
                        .hunt = {},
                        .look = {},
                        .deliver = {},
                        .purge = {},
                        .call = {},
                        .community_key = "simulation",
                        .settings = &*node_settings_};
  // The own history, as far as it could show these.
  parts.hunt = [this, town](warn::HuntAsk ask, std::move_only_function<void(Result<warn::HuntFound>)> then) {
    sim_.after(seconds{3}, people_, [this, town, ask = std::move(ask), then = std::move(then)]() mutable {
      const Town& here = towns_[town];
      const bool links = here.has("mail_copy") || here.has("defender") || here.has("proxy"),
                 mail = here.has("message_trace") || here.has("mail_copy");
      warn::HuntFound found;
      std::map<std::string, bool> people;
      for (const Copy& c : traffic_.copies()) {
        if (c.town != town || c.sent > sim_.now() || c.sent < ask.from || c.sent > ask.to) continue;
        bool hit = false;
        for (const auto& o2 : ask.look_for)
          hit =
              hit || (mail && o2.kind == "email" && o2.value == c.sender) ||
              (links && !c.url.empty() && (o2.kind == "url" || o2.kind == "domain") &&
               c.url.find(o2.value.substr(o2.value.find("://") == std::string::npos ? 0 : o2.value.find("://") + 3)) !=
                   std::string::npos);
        if (!hit) continue;
        ++found.hits;
        people[c.recipient] = true;
        if (c.clicked != Instant{} && (here.has("proxy") || here.has("defender"))) ++found.clicks;
        if (!found.first_hit || c.sent < *found.first_hit) found.first_hit = c.sent;
      }
      found.recipients = static_cast<std::int64_t>(people.size());
      for (const char* log : {"message_trace", "mail_copy", "defender", "proxy"})
        (here.has(log) ? found.looked_in : found.cannot_see).push_back(log);
      then(std::move(found));
    });
  };
  parts.look = [this, node](const event::Observable& what, Instant from, Instant to,
                            std::function<void(Result<warn::blocks::Seen>)> then) {
    warn::blocks::Seen seen;
    seen.days = std::chrono::duration_cast<std::chrono::days>(to - from).count();
    for (const auto& [host, n2] : node->hosts)
      if (host == what.value || host.ends_with("." + what.value)) seen.hits += n2;
    sim_.after(seconds{2}, people_, [seen, then = std::move(then)] { then(seen); });
  };
  parts.deliver = [this, town](store::Tx&, const warn::Delivery& d) -> Result<std::size_t> {
    if (d.about.starts_with("warning:"))
      sim_.after(Duration{0}, people_, [this, town, id = d.about.substr(8)] { warned(town, id); });
    return 1;
  };
  parts.call = [this, town](store::Tx&, const CallWanted& c) -> Result<std::size_t> {
    sim_.after(Duration{0}, people_, [this, town, account = c.account] { duty_called(town, account); });
    return 1;
  };
  parts.purge = mailboxes_.ways(town, [](store::Tx&, const act::PurgeQuestion&) -> Result<std::size_t> { return 1; });
  BAVN_TRY(n->parts, BeaconNode::open(std::move(parts)));
  n->watcher = n->parts->watcher();
  return n;
}

Result<void> World::open_nodes() {
  // Two stewards, as at a real community; every node pins both.
  const auto steward_of = [&](std::string_view name) -> Result<std::pair<event::Steward, SealKey>> {
    BAVN_TRY(SealKey seal, notice::node_seal_key(sim_.files(), fmt::format("/stewards/{}.key", name), name));
    event::Steward s{std::string(name), key_of(seed_, name).public_key(), seal.address()};
    return std::pair(std::move(s), std::move(seal));
  };
  BAVN_CHECK(sim_.files().make_dirs("/stewards"));
  BAVN_TRY(auto one, steward_of("steward-one"));
  BAVN_TRY(auto two, steward_of("steward-two"));
  nodes_.resize(towns_.size());
  for (std::size_t i = 0; i < towns_.size(); ++i) {
    if (!towns_[i].connected) continue;
    const std::string folder = "/" + towns_[i].code + "/stewards";
    BAVN_CHECK(sim_.files().make_dirs(folder));
    for (const auto* s : {&one.first, &two.first})
      BAVN_CHECK(replace_file(sim_.files(), fmt::format("{}/{}.steward", folder, s->name), s->text()));
    BAVN_TRY(nodes_[i], open_node(i));
    nodes_[i]->state->start();
    nodes_[i]->beacon->start();
    nodes_[i]->parts->start();
  }
  // Keys for all of the run, sealed to each node, carried by the hub.
  event::StewardsKeys keys;
  event::MakeKeys make;
  make.from = sim_.now() - hours{1};
  make.periods = static_cast<int>((traffic_.until() - sim_.now()) / hours{24 * 28}) + 2;
  make.reserves = 0;
  BAVN_CHECK(event::make_epochs(keys, {one.first, two.first}, make));
  const SigningKey signer = key_of(seed_, "steward-one");
  for (const auto& epoch : keys.epochs) {
    BAVN_TRY(const auto opened, event::open_epoch(keys, epoch.epoch, one.second));
    BAVN_CHECK(hub_->state->write_now([&](store::Tx& tx) -> Result<void> {
      for (const auto& n : nodes_) {
        if (!n) continue;
        BAVN_TRY(const SealKey own, notice::node_seal_key(sim_.files(), "/" + towns_[n->town].code + "/keys/digest.key",
                                                          towns_[n->town].code));
        beacon::Post post;
        post.kind = "digest_key";
        post.payload = net::to_json(event::seal_to_node(opened, own.address(), signer));
        BAVN_CHECK(hub_->beacon->urgent(tx, n->id, post));
      }
      return {};
    }));
  }
  return {};
}

Result<void> World::register_exercises() {
  for (std::size_t i = 0; i < scenario_.attacks.size(); ++i) {
    if (!scenario_.attacks[i].registered) continue;
    const Truth& truth = traffic_.truths()[i];
    for (const auto& sender : truth.senders) {
      notice::Exercise e;
      e.id = fmt::format("exercise-{}-{}", i, sender);
      e.sender = sender;
      e.from_us = micros(truth.first_mail - hours{1});
      e.until_us = micros(truth.last_mail + hours{72});
      BAVN_CHECK(hub_->state->write_now([&](store::Tx& tx) -> Result<void> {
        beacon::Post post;
        post.kind = "exercise";
        post.payload = net::to_json(e);
        BAVN_CHECK(hub_->beacon->urgent(tx, std::nullopt, post));
        return {};
      }));
    }
  }
  return {};
}

void World::plan_indicators() {
  for (const auto& i : scenario_.indicators)
    sim_.after(scenario_.start + i.at - sim_.now(), people_, [this, i] {
      warn::blocks::Proposal p;
      p.kind = i.kind;
      p.value = i.value;
      p.action = i.wish;
      p.reason = "called bad by " + i.source;
      const auto taken = hub_->parts->blocks().propose("analyst", p);
      if (taken) {
        ++blocks_taken_;
        if (const auto value = event::canonical(std::string_view(i.kind), i.value))
          listed_[{std::string(event::to_string(value->kind)), value->value}] = i.source;
      } else {
        ++blocks_refused_;
        ++block_reasons_[fmt::format("{}: {}", i.value, taken.error().what)];
      }
    });
}

void World::plan_rogues() {
  for (std::size_t r = 0; r < scenario_.rogues.size(); ++r) {
    const Rogue& rogue = scenario_.rogues[r];
    for (const std::size_t town : towns_.chosen(rogue.town, fmt::format("rogue {}", r))) {
      if (!nodes_[town]) continue;
      for (std::int64_t k = 0; k < rogue.times; ++k)
        sim_.after(
            scenario_.start + rogue.at + k * rogue.every - sim_.now(), people_, [this, town, k, does = rogue.does] {
              Node& n = *nodes_[town];
              Dice d(seed_, fmt::format("rogue {} {} {}", does, town, k));
              const std::size_t other = (town + 1 + d.below(towns_.size() - 1)) % towns_.size();
              const std::int64_t now = micros(sim_.now());
              std::string kind, body;
              if (does == "foreign_notice" || does == "cry_wolf") {
                event::SenderNotice s;
                s.id = fmt::format("{:016x}", d.next());
                s.sender = towns_.person(does == "cry_wolf" ? town : other, static_cast<std::int64_t>(d.below(50)));
                s.from_us = now - 600'000'000;
                s.to_us = s.noticed_us = now;
                s.mails = s.recipients = 500;
                s.source = "message_trace";
                for (int i = 0; i < 5; ++i) {
                  const Town& to = towns_[(other + static_cast<std::size_t>(i) * 7) % towns_.size()];
                  s.to.push_back({to.domain, 100, {fmt::format("{:x}@x.example", d.next())}});
                }
                s.signs = {{"payload", "login_form", now, "a form that asks for a password"},
                           {"identity", "new_app", now, "Mail.Send"}};
                s.subject_hash = s.body_simhash = fmt::format("{:016x}", d.next());
                kind = "sender_notice";
                body = net::to_json(s);
              } else if (does == "digest_flood") {
                event::DigestBatch b;
                b.epochs = {1};
                for (int i = 0; i < 500; ++i)
                  b.items.push_back({.digests = {fmt::format("{:016x}{:016x}", d.next(), d.next())},
                                     .kind = "url",
                                     .first_us = now,
                                     .mails = 1,
                                     .sender_domain = {},
                                     .support = {},
                                     .signs = {}});
                kind = "digest";
                body = net::to_json(b);
              } else if (does == "harm_flood") {
                event::HarmNotice h;
                h.id = fmt::format("{:016x}", d.next());
                h.sign = {"harm", "reported", now, "somebody said so"};
                h.sender = towns_.person(other, static_cast<std::int64_t>(d.below(50)));
                h.count = 50;
                kind = "harm";
                body = net::to_json(h);
              } else {
                constexpr std::string_view kBroken[] = {
                    R"({"id":12})", R"({})", R"({"id":"x","sender":"<script>","to":"all"})", R"({"sign":[]})"};
                constexpr std::string_view kKinds[] = {"sender_notice", "takeover", "burst",
                                                       "harm",          "digest",   "revealed"};
                kind = kKinds[d.below(std::size(kKinds))];
                body = kBroken[d.below(std::size(kBroken))];
              }
              (void)n.state->write_now(
                  [&](store::Tx& tx) { return n.beacon->report(tx, kind, body, n.id, event::Tlp::amber); });
            });
    }
  }
}

void World::plan_away() {
  for (std::size_t i = 0; i < scenario_.wire.away.size(); ++i) {
    const Away& a = scenario_.wire.away[i];
    for (const std::size_t town : towns_.chosen(a.towns, fmt::format("away {}", i))) {
      if (!nodes_[town]) continue;
      sim_.after(scenario_.start + a.at - sim_.now(), people_, [this, town] { nodes_[town]->wire->set_away(true); });
      sim_.after(scenario_.start + a.at + a.lasts - sim_.now(), people_,
                 [this, town] { nodes_[town]->wire->set_away(false); });
    }
  }
}

// ---- people ---------------------------------------------------------------------------------------------------------------------------

bool World::at_work(Instant t) const {
  const auto local = local_time(t, towns_.zone());
  const auto from = minute_of(scenario_.staff.from), to = minute_of(scenario_.staff.to);
  if (!local || !from || !to) return true;
  const unsigned minute = local->hour * 60 + local->minute;
  return day_counts(scenario_.staff.days, local->weekday) && minute >= *from && minute < *to;
}

Instant World::next_work(Instant t) const {
  for (int i = 0; i < 24 * 14 * 4 && !at_work(t); ++i) t += minutes{15};
  return t;
}

Duration World::draw(const Span& span) {
  return Duration{dice_.between(span.low.count(), span.high.count())};
}

/// An analyst sees a suspicion, or that something was lit; looks at it in working hours, and is right.
void World::analyst(std::int64_t campaign) {
  if (!scenario_.hub_staffed) return;
  const Instant sees = next_work(sim_.now());
  sim_.after(sees + draw(scenario_.staff.analyst_decides) - sim_.now(), people_, [this, campaign] {
    const bool real = any_real(attacks_of_campaign(campaign));
    if (looked_at_[campaign] == real && looked_at_.at(campaign)) return;
    looked_at_[campaign] = real;
    const auto done = hub_->state->write_now([&](store::Tx& tx) -> Result<void> {
      return real ? hub_->parts->correlator().confirm(tx, campaign, "analyst")
                  : hub_->parts->correlator().judge(tx, campaign, false, "analyst", "harmless");
    });
    if (!done && done.error().code != Code::conflict)
      log::debug("analyst", {{"campaign", campaign}, {"reason", to_string(done.error())}});
  });
}

/// The duty contact was called about an account of the own municipality: with some luck somebody answers, and knows.
void World::duty_called(std::size_t town, const std::string& account) {
  if (!called_.try_emplace(account, true).second) return;
  if (!dice_.happens(scenario_.staff.says_yes)) return;
  const bool yes = any_real(traffic_.attacks_of_sender(account));
  sim_.after(draw(scenario_.staff.says_yes_after), people_, [this, town, account, yes] {
    Node& n = *nodes_[town];
    const auto rows =
        n.parts->notices().list(event::Scope::local_owner(),
                                {.kind = "sender", .municipality = n.id, .since_us = 0, .before = {}, .limit = 100});
    if (!rows) return;
    for (const auto& row : *rows) {
      if (row.concern != account) continue;
      std::string body;
      // As the hub names it: ids of nodes are their own only.
      JsonWriter(body).object().member("notice", fmt::format("{}.{}", n.id.value, row.id)).member("yes", yes).end();
      (void)n.state->write_now(
          [&](store::Tx& tx) { return n.beacon->report(tx, "notice_answer", body, n.id, event::Tlp::amber); });
    }
  });
}

/// A warning has reached the people of a municipality.
void World::warned(std::size_t town, const std::string& warning) {
  const auto here = nodes_[town]->parts->warnings().show(event::Scope::local_owner(), warning, towns_[town].id);
  if (!here || (here->entry.state != "sent" && here->entry.state != "updated")) return;
  std::int64_t campaign = 0;
  (void)std::from_chars(here->entry.campaign.data(), here->entry.campaign.data() + here->entry.campaign.size(),
                        campaign);
  const Instant now = sim_.now();
  const Instant told = now + draw(scenario_.staff.tells_employees);
  const Span span = at_work(now) ? scenario_.staff.town_acts : scenario_.staff.town_acts_at_night;
  for (const auto attack : with_kin(attacks_of_campaign(campaign))) {
    told_of_[town].try_emplace(attack, at_work(now) ? told : next_work(now));
    if (!acting_.try_emplace({town, attack}, true).second) continue;
    sim_.after(draw(span), people_, [this, town, attack, now] { town_acts(town, attack, now); });
  }
}

/// People take the mails out by hand: what is there now, and again while more comes.
void World::town_acts(std::size_t town, std::size_t attack, Instant told) {
  if (!traffic_.truths()[attack].real) return;
  for (Copy& c : traffic_.copies())
    if (c.attack == attack && c.town == town && c.sent <= sim_.now() && c.removed == Instant{}) c.removed = sim_.now();
  if (traffic_.truths()[attack].last_mail > sim_.now())
    sim_.after(draw(scenario_.staff.town_acts), people_, [this, town, attack, told] { town_acts(town, attack, told); });
}

void World::person(std::size_t copy, bool click) {
  Copy& c = traffic_.copies()[copy];
  if (c.removed != Instant{} && c.removed <= sim_.now()) return;
  if (!click) {
    c.reported = sim_.now();
    traffic_.reported(copy);
    return;
  }
  const auto told = told_of_[c.town].find(c.attack);
  if (told != told_of_[c.town].end() && told->second <= sim_.now() && c.heeds < scenario_.people.heed_rate) return;
  c.clicked = sim_.now();
  traffic_.clicked(copy);
}

// ---- the run --------------------------------------------------------------------------------------------------------------------------

void World::feed(const Batch& batch) {
  Node* n = nodes_[batch.town].get();
  if (n == nullptr) return;
  for (const auto& f : batch.facts) {
    if (const auto* m = std::get_if<event::MailFact>(&f)) {
      mailboxes_.traced(batch.town, *m);
      for (const auto& u : m->urls) {
        if (n->hosts.size() > 20'000) break;
        n->hosts[std::string(event::url_host(u))] += static_cast<std::int64_t>(m->recipients.size());
      }
    }
  }
  n->watcher->feed(batch.facts, sim_.now(), false);
  if (store::Unit unit = n->watcher->take()) {
    const auto kept = n->state->write_now(std::move(unit));
    if (!kept)
      log::error("simulated_node_failed", {{"node", towns_[batch.town].code}, {"reason", to_string(kept.error())}});
  }
}

/// What nodes know before the quiet days begin: mail of the days before, as a node learns from what its logs keep, and how accounts usually
/// sign in. Old enough that nothing of it is told.
void World::learn_past() {
  const auto feed_all = [&](const std::vector<Batch>& batches) {
    for (const auto& b : batches)
      if (Node* n = nodes_[b.town].get()) n->watcher->feed(b.facts, event::head_of(b.facts.front()).received, false);
  };
  const Instant end = std::chrono::floor<std::chrono::days>(traffic_.from()) - std::chrono::days(5);
  for (Instant day = std::chrono::floor<std::chrono::days>(traffic_.from() - scenario_.past_days); day < end;
       day += std::chrono::days(1))
    feed_all(traffic_.past_day(day));
  feed_all(traffic_.take_early());
}

Result<Outcome> World::run() {
  const auto began = std::chrono::steady_clock::now();
  const double cpu_before = cpu_seconds();
  sim_.set_weather({.min_delay = scenario_.wire.delay.low,
                    .max_delay = scenario_.wire.delay.high,
                    .cut = 0,
                    .duplicate = 0,
                    .earlier_arrive = true});
  BAVN_CHECK(open_settings());
  BAVN_CHECK(open_hub());
  BAVN_CHECK(open_nodes());
  sim_.advance(minutes{5});
  sim_.set_weather({.min_delay = scenario_.wire.delay.low,
                    .max_delay = scenario_.wire.delay.high,
                    .cut = scenario_.wire.cut,
                    .duplicate = scenario_.wire.duplicate,
                    .earlier_arrive = true});
  BAVN_CHECK(register_exercises());
  plan_indicators();
  plan_rogues();
  plan_away();
  learn_past();
  bool begun = false;
  const auto begin = [&] {
    if (std::exchange(begun, true)) return;
    for (auto& n : nodes_)
      if (n) n->bytes_before = n->wire->bytes;
  };
  while (const auto at = traffic_.next()) {
    if (*at >= traffic_.start()) begin();
    if (*at > sim_.now()) sim_.advance(*at - sim_.now());
    const auto due = traffic_.take();
    for (const auto& b : due.batches) feed(b);
    for (const auto c : due.clicks) person(c, true);
    for (const auto c : due.reports) person(c, false);
  }
  begin();
  if (traffic_.until() > sim_.now()) sim_.advance(traffic_.until() - sim_.now());
  Outcome out;
  measure(out);
  out.wall_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  out.cpu_seconds = cpu_seconds() - cpu_before;
  out.megabytes = resident_megabytes();
  judge(out, scenario_);
  measure_purges(out);
  if (purge_again_) purge_again(out);
  return out;
}

// ---- measuring ------------------------------------------------------------------------------------------------------------------------

World::Attacks World::attacks_of(const correlate::CampaignFacts& facts) const {
  std::set<std::size_t> out;
  const auto add = [&](const Attacks& more) { out.insert(more.begin(), more.end()); };
  for (const auto& s : facts.senders) add(traffic_.attacks_of_sender(s.address));
  for (const auto& o : facts.observables) {
    if (o.kind == "email") add(traffic_.attacks_of_sender(o.value));
    if (o.kind == "url" || o.kind == "domain") add(traffic_.attacks_of_link(o.value));
    if (o.kind == "file_name" || o.kind == "sha256") add(traffic_.attacks_of_file(o.value));
  }
  return {out.begin(), out.end()};
}

World::Attacks World::attacks_of_campaign(std::int64_t campaign) {
  const auto facts = hub_->state->read([&](store::Reader& r) { return correlate::facts_of(r, campaign); });
  return facts ? attacks_of(*facts) : Attacks{};
}

bool World::any_real(const Attacks& attacks) const {
  return std::any_of(attacks.begin(), attacks.end(), [&](std::size_t a) { return traffic_.truths()[a].real; });
}

World::Attacks World::with_kin(Attacks attacks) const {
  const auto& truths = traffic_.truths();
  const auto shares = [](const std::set<std::string>& a, const std::set<std::string>& b) {
    return std::any_of(a.begin(), a.end(), [&](const std::string& x) { return b.contains(x); });
  };
  std::set<std::size_t> out(attacks.begin(), attacks.end());
  for (const auto a : attacks)
    for (std::size_t b = 0; b < truths.size(); ++b)
      if (truths[b].happens &&
          (shares(truths[a].link_starts, truths[b].link_starts) || shares(truths[a].files, truths[b].files) ||
           shares(truths[a].senders, truths[b].senders)))
        out.insert(b);
  return {out.begin(), out.end()};
}

/// What the curve alone says of these times of delivery, removal and warning, had everybody been a clicker.
double World::spread_model(std::size_t attack, const std::vector<Copy>& copies) const {
  const Curve& curve = scenario_.people.click_after;
  if (curve.empty()) return 1;
  const auto done = [&](Instant sent, Instant until) { return share_done(curve, until - sent) / curve.back().second; };
  double sum = 0, all = 0;
  for (const Copy& c : copies) {
    if (c.attack != attack) continue;
    all += 1;
    const double until_gone = c.removed == Instant{} ? 1 : done(c.sent, c.removed);
    const auto told = told_of_[c.town].find(attack);
    const double until_told =
        told == told_of_[c.town].end() ? until_gone : std::min(until_gone, done(c.sent, told->second));
    sum += until_told + (1 - scenario_.people.heed_rate) * (until_gone - until_told);
  }
  return all > 0 ? sum / all : 1;
}

void World::measure(Outcome& out) {
  out.scenario = scenario_.name;
  out.about = std::string(trim(scenario_.about));
  out.seed = seed_;
  out.municipalities = static_cast<std::int64_t>(towns_.size());
  out.simulated_hours = std::chrono::duration<double, std::ratio<3600>>(scenario_.lasts).count();
  out.quiet_hours = std::chrono::duration<double, std::ratio<3600>>(scenario_.quiet_days).count();
  out.real_case = scenario_.real_case;
  out.facts = traffic_.counts().facts;
  out.benign_mails = traffic_.counts().benign_mails;
  out.odd_events = traffic_.counts().odd_events;
  out.mail_outs.insert(traffic_.counts().by_kind.begin(), traffic_.counts().by_kind.end());
  const auto& truths = traffic_.truths();
  const auto& copies = traffic_.copies();
  const std::int64_t start_us = micros(traffic_.start());

  struct Seen {
    std::optional<Instant> notice, ids, suspicion, warning;
    bool before = false;  // noticed, but only before its first mail
    std::string trigger;
  };
  std::vector<Seen> seen(truths.size());
  const auto earlier = [](std::optional<Instant>& at, Instant t) {
    if (!at || t < *at) at = t;
  };
  // What was known of one attack before the first mail of another that belongs to it is no negative time.
  const auto since_first = [&](std::size_t attack, Instant t) {
    return std::max(0.0, minutes_between(truths[attack].zero(), t));
  };
  std::map<std::string, std::map<std::size_t, Instant>, std::less<>> found_by;  // trigger -> attack -> when
  std::map<std::string, std::vector<double>, std::less<>> late_by;
  const auto count = [&](const std::string& trigger, const Attacks& attacks, Instant at) {
    TriggerOutcome& t = out.by_trigger[trigger];
    (any_real(attacks) ? t.about_real : t.about_harmless) += 1;
    for (const auto a : attacks) {
      if (!truths[a].real) continue;
      auto [found, fresh] = found_by[trigger].try_emplace(a, at);
      found->second = std::min(found->second, at);
    }
  };
  // All triggers stand in the table, also those that did nothing.
  for (const char* name : {"takeover", "sender_notice", "burst", "digest", "suspicion", "warning"})
    (void)out.by_trigger[name];

  // Nodes: what was noticed, what came down, what left.
  std::int64_t notices = 0, false_notices = 0;
  std::map<std::string, Instant> noticed_at;  // sender notices by id
  std::uint64_t most_out = 0;
  std::int64_t connected = 0;
  for (const auto& n : nodes_) {
    if (!n) continue;
    ++connected;
    most_out = std::max(most_out, n->wire->bytes - n->bytes_before);
    notice::NoticedFilter filter;
    filter.limit = 1000;
    for (;;) {
      const auto rows = n->parts->notices().list(event::Scope::local_owner(), filter);
      if (!rows || rows->empty()) break;
      for (const auto& row : *rows) {
        if (row.kind == "harm" || row.noticed_us < start_us - 60LL * 86'400'000'000) continue;
        const auto attacks = traffic_.attacks_of_sender(row.concern);
        const bool real = any_real(attacks);
        if (row.noticed_us < start_us && !real) continue;  // of the quiet days
        const Instant at = from_micros(row.noticed_us);
        const std::string trigger = row.kind == "sender" ? "sender_notice" : row.kind;
        if (trigger == "takeover" && row.level == "suspected") continue;
        count(trigger, attacks, at);
        if (trigger != "takeover") (real ? notices : false_notices) += 1;
        if (real) {
          SourceOutcome& s = out.by_source[row.source];
          ++s.notices;
          late_by[row.source].push_back(static_cast<double>(row.late_s) / 60);
          for (const auto a : attacks) {
            if (!truths[a].real) continue;
            if (at < truths[a].zero()) {
              seen[a].before = true;
              continue;
            }
            const double after = since_first(a, at);
            if (!s.first_minutes || after < *s.first_minutes) s.first_minutes = after;
            earlier(seen[a].notice, at);
          }
        }
        if (row.kind == "sender") noticed_at[fmt::format("{}.{}", n->id.value, row.id)] = at;
      }
      if (rows->size() < 1000) break;
      filter.before = rows->back().id;
    }
  }
  for (const auto& [name, spec] : scenario_.sources.everywhere) {
    SourceOutcome& s = out.by_source[name];
    for (const Town& t : towns_.list()) s.towns += t.connected && t.has(name);
    s.late =
        spec.there ? fmt::format("{}..{}", format_duration(spec.late.low), format_duration(spec.late.high)) : "none";
    auto& late = late_by[name];
    std::sort(late.begin(), late.end());
    if (!late.empty()) s.late_minutes = late[late.size() / 2];
  }
  std::optional<double> slowest_receiver;
  std::int64_t purged = 0, purge_left = 0;
  for (const auto& n : nodes_) {
    if (!n) continue;
    const auto cases = n->state->read([](store::Reader& r) { return act::Purge::cases(r, 10'000); });
    if (!cases) continue;
    for (const auto& c : *cases) {
      if (!noticed_at.contains(c.notice)) continue;
      for (const auto a : traffic_.attacks_of_sender(c.sender))
        if (truths[a].real) earlier(seen[a].ids, from_micros(c.opened_us));
    }
  }
  // From the hub's first word on a notice to its Message-IDs at each receiver: kept by the nodes' purge cases, which open in that transaction.
  for (const auto& n : nodes_) {
    if (!n || !scenario_.wire.away.empty()) continue;
    const auto cases = n->state->read([](store::Reader& r) { return act::Purge::cases(r, 10'000); });
    for (const auto& c : cases.value_or(std::vector<act::PurgeCase>{})) {
      const auto at = noticed_at.find(c.notice);
      if (at == noticed_at.end() || c.opened_us < start_us) continue;
      // A town whose mail came only in a later part hears of it with that part.
      const double after = std::chrono::duration<double>(from_micros(c.opened_us) - at->second).count();
      if (after >= 0 && after < 5 && (!slowest_receiver || after > *slowest_receiver)) slowest_receiver = after;
    }
  }

  // The hub: campaigns, suspicions, warnings.
  std::int64_t suspicions = 0, false_suspicions = 0, warnings = 0, false_warnings = 0;
  std::map<std::int64_t, std::int64_t> per_shift;
  const auto list = hub_->state->read([](store::Reader& r) {
    std::vector<correlate::Campaign> all;
    correlate::CampaignFilter filter;
    filter.states = {"candidate", "waiting", "suspicion", "lit", "over", "false"};
    filter.limit = 1000;
    for (;;) {
      const auto some = correlate::campaigns(r, filter);
      if (!some || some->empty()) break;
      all.insert(all.end(), some->begin(), some->end());
      if (some->size() < 1000) break;
      filter.before_id = all.back().id;
    }
    return all;
  });
  std::int64_t candidates = 0;
  for (const auto& c : list) {
    // When the hub knew of each attack that this campaign is of.
    std::map<std::size_t, Instant> known;
    std::optional<Instant> by_digest;
    Attacks of_digests;
    if (!truths.empty()) {
      const auto things = hub_->state->read([&](store::Reader& r) { return correlate::things_of(r, c.id); });
      for (const auto& t : things.value_or(std::vector<correlate::CampaignThing>{})) {
        Attacks of = t.sender.empty() ? Attacks{} : traffic_.attacks_of_sender(t.sender);
        if (t.about_kind == "url") of = traffic_.attacks_of_link(t.about);
        if (t.about_kind == "attachment") {
          of = traffic_.attacks_of_file(t.about);
          if (of.empty()) of = traffic_.attacks_of_file(t.about_name);
        }
        const Instant at = from_micros(t.received_us);
        for (const auto a : of) {
          auto [it, fresh] = known.try_emplace(a, at);
          it->second = std::min(it->second, at);
          if (t.kind != "group") continue;
          earlier(by_digest, at);
          of_digests.push_back(a);
        }
      }
    }
    Attacks attacks;
    for (const auto& [a, at] : known) attacks.push_back(a);
    const bool real = any_real(attacks);
    if (c.opened_us < start_us && !real) continue;
    ++candidates;
    ++out.candidates_by_cause[c.cause];
    // Shown to no one: what is harmless counts when it was shown.
    if (any_real(of_digests)) {
      count("digest", of_digests, *by_digest);
      for (const auto a : of_digests)
        if (truths[a].real && *by_digest >= truths[a].zero()) earlier(seen[a].notice, *by_digest);
    } else if ((c.cause == "url" || c.cause == "attachment") && (c.suspicion_us != 0 || c.lit_us != 0)) {
      count("digest", of_digests, from_micros(c.opened_us));
    }
    if (c.suspicion_us != 0) {
      ++suspicions;
      ++per_shift[c.suspicion_us / (8LL * 3'600'000'000)];
      false_suspicions += real ? 0 : 1;
      count("suspicion", attacks, from_micros(c.suspicion_us));
      for (const auto& [a, at] : known)
        if (truths[a].real) earlier(seen[a].suspicion, std::max(at, from_micros(c.suspicion_us)));
    }
    if (c.lit_us == 0) continue;
    ++warnings;
    count("warning", attacks, from_micros(c.lit_us));
    if (real) {
      for (const auto& [a, known_at] : known) {
        if (!truths[a].real) continue;
        // It is warned of once the warning is out and the hub knows that it is this one.
        const Instant at = std::max(known_at, from_micros(c.lit_us));
        if (!seen[a].warning || at < *seen[a].warning) seen[a].trigger = c.lit_by;
        earlier(seen[a].warning, at);
        earlier(seen[a].suspicion, at);
      }
    } else {
      ++false_warnings;
      std::string about =
          fmt::format("campaign {} lit by {} at {}", c.id, c.lit_by, format_time(from_micros(c.lit_us)));
      const auto facts = hub_->state->read([&](store::Reader& r) { return correlate::facts_of(r, c.id); });
      if (facts) {
        for (const auto& s : facts->senders) about += ", from " + s.address;
        for (const auto& o : facts->observables) about += fmt::format(", {} {}", o.kind, o.value);
        std::map<std::string, int> signs;
        for (const auto& s : facts->signs) ++signs[fmt::format("{}/{}", s.group, s.kind)];
        for (const auto& [sign, times] : signs)
          about += fmt::format(", sign {}{}", sign, times > 1 ? fmt::format(" ({} times)", times) : "");
      }
      out.false_warnings.push_back(about);
    }
  }
  const auto refused = hub_->state->read([](store::Reader& r) { return correlate::refused(r); });
  std::int64_t reports_refused = 0;
  if (refused)
    for (const auto& r : *refused) {
      out.refused[fmt::format("{}/{}", r.kind, r.reason)] += r.count;
      reports_refused += r.count;
    }
  for (const auto& [why, n] : block_reasons_) out.refused["block " + why] += n;

  // Warnings: at each node once.
  std::int64_t missed = 0, doubled = 0;
  if (const auto sent = hub_->parts->warnings().list(event::Scope::local_owner(), Language::da, 1000))
    for (const auto& w : *sent) {
      if (w.sent_us == 0) continue;
      for (const auto& n : nodes_) {
        if (!n) continue;
        const auto here = n->parts->warnings().list(event::Scope::local_owner(), 1000);
        const auto times =
            here ? std::count_if(here->begin(), here->end(), [&](const auto& x) { return x.id == w.id; }) : 0;
        missed += times == 0;
        doubled += times > 1;
      }
    }

  // Attacks and mail.
  std::int64_t delivered = 0, before = 0, clicks = 0, clicks_before = 0, taken = 0, attacks_warned = 0,
               attacks_noticed = 0;
  double share_sum = 0, share_all = 0;
  struct First {
    std::pair<Instant, Instant> when{};
    std::optional<double> minutes{};
  };
  First to_notice, to_ids, to_warning;
  for (std::size_t a = 0; a < truths.size(); ++a) {
    const Truth& truth = truths[a];
    if (!truth.happens) continue;
    AttackOutcome o;
    o.name = truth.name;
    o.real = truth.real;
    o.wanted = scenario_.attacks[a].outcome;
    o.mails = truth.mails;
    o.outside = truth.outside;
    out.real_attacks += truth.real;
    const Seen& s = seen[a];
    // A real attack's times; of a harmless one only whether something was said of it.
    bool warned_of = s.warning.has_value(), suspected = s.suspicion.has_value(),
         noticed = s.notice.has_value() || s.before;
    if (!truth.real)
      for (const auto& c : list)
        if (const auto of = attacks_of_campaign(c.id); std::find(of.begin(), of.end(), a) != of.end()) {
          warned_of = warned_of || c.lit_us != 0;
          suspected = suspected || c.suspicion_us != 0;
          noticed = noticed || c.cause == "sender_notice" || c.cause == "burst";
        }
    o.got = warned_of ? "warned" : suspected ? "suspected" : noticed ? "noticed" : "silent";
    if (s.notice) o.minutes_to_notice = since_first(a, *s.notice);
    else if (s.before) o.minutes_to_notice = 0;
    if (s.ids) o.minutes_to_message_ids = since_first(a, *s.ids);
    if (s.suspicion) o.minutes_to_suspicion = since_first(a, *s.suspicion);
    if (s.warning) o.minutes_to_warning = since_first(a, *s.warning);
    o.trigger = s.trigger;
    double made = 0;
    for (const Copy& c : copies) {
      if (c.attack != a) continue;
      ++o.delivered;
      const bool early = !s.warning || c.sent < *s.warning;
      o.delivered_before_warning += early;
      o.would_click += c.clicker;
      if (c.clicked != Instant{}) {
        ++o.clicks;
        o.clicks_before_warning += !s.warning || c.clicked < *s.warning;
        o.accounts_taken += c.logs_in;
      }
      o.reports += c.reported != Instant{};
      (c.removed == Instant{} ? o.left : c.by_machine ? o.removed_by_machine : o.removed_by_people) += 1;
      if (truth.real && towns_[c.town].connected && towns_[c.town].mandate && c.removed == Instant{}) ++purge_left;
      const auto told = told_of_[c.town].find(a);
      const bool heeded =
          told != told_of_[c.town].end() && told->second <= c.would_click && c.heeds < scenario_.people.heed_rate;
      made += (c.removed == Instant{} || c.would_click < c.removed) && !heeded;
    }
    if (o.delivered > 0) o.clicks_share = made / static_cast<double>(o.delivered);
    o.share_model = spread_model(a, copies);
    if (truth.real) {
      delivered += o.delivered;
      before += o.delivered_before_warning;
      clicks += o.clicks;
      clicks_before += o.clicks_before_warning;
      taken += o.accounts_taken;
      purged += o.removed_by_machine;
      share_sum += made;
      share_all += static_cast<double>(o.delivered);
      attacks_warned += o.got == "warned";
      attacks_noticed += o.got != "silent";
      // Of all attacks the one that it was said of first.
      const auto first = [&](First& of, const std::optional<Instant>& at, const std::optional<double>& minutes) {
        const std::pair when{at.value_or(truth.zero()), truth.zero()};
        if (minutes && (!of.minutes || when < of.when)) of = {when, minutes};
      };
      first(to_notice, s.notice, o.minutes_to_notice);
      first(to_ids, s.ids, o.minutes_to_message_ids);
      first(to_warning, s.warning, o.minutes_to_warning);
    }
    out.attacks.push_back(std::move(o));
  }
  for (auto& [name, t] : out.by_trigger) {
    const auto found = found_by.find(name);
    if (found == found_by.end()) continue;
    t.attacks_found = static_cast<std::int64_t>(found->second.size());
    for (const auto& [attack, at] : found->second) {
      const double after = since_first(attack, at);
      if (!t.first_minutes || after < *t.first_minutes) t.first_minutes = after;
    }
  }
  const auto put = [&](std::string_view name, const std::optional<double>& v) {
    if (v) out.set(name, *v);
  };
  const auto number = [&](std::string_view name, std::int64_t v) { out.set(name, static_cast<double>(v)); };
  put("minutes_to_notice", to_notice.minutes);
  put("minutes_to_message_ids", to_ids.minutes);
  put("seconds_to_receivers", slowest_receiver);
  put("minutes_to_warning", to_warning.minutes);
  number("mails_delivered", delivered);
  number("mails_delivered_before_warning", before);
  number("mails_delivered_after_warning", delivered - before);
  number("clicks", clicks);
  number("clicks_before_warning", clicks_before);
  number("clicks_after_warning", clicks - clicks_before);
  if (share_all > 0) out.set("clicks_share", share_sum / share_all);
  number("accounts_taken", taken);
  number("false_warnings", false_warnings);
  number("warnings", warnings);
  number("suspicions", suspicions);
  std::int64_t most = 0;
  for (const auto& [shift, n] : per_shift) most = std::max(most, n);
  number("suspicions_per_shift", most);
  number("false_suspicions", false_suspicions);
  number("candidates", candidates);
  number("notices", notices + false_notices);
  number("false_notices", false_notices);
  number("max_bytes_out_per_node", static_cast<std::int64_t>(most_out));
  number("nodes", connected);
  number("purged", purged);
  number("purge_left", purge_left);
  number("purged_wrongly", mailboxes_.moved_wrongly());
  number("blocks_refused", blocks_refused_);
  number("blocks_taken", blocks_taken_);
  number("reports_refused", reports_refused);
  number("attacks_warned", attacks_warned);
  number("attacks_noticed", attacks_noticed);
  number("warnings_missed", missed);
  number("warnings_doubled", doubled);
}

// ---- purges ---------------------------------------------------------------------------------------------------------------------------

/// all: those that were ever delivered; else those that lie there now.
std::int64_t World::in_mailboxes(std::size_t town, std::string_view sender, bool all) const {
  const auto& copies = traffic_.copies();
  return std::count_if(copies.begin(), copies.end(), [&](const Copy& c) {
    return c.town == town && c.sender == sender && c.sent <= sim_.now() && (all || c.removed == Instant{});
  });
}

void World::measure_purges(Outcome& out) {
  for (const auto& n : nodes_) {
    if (!n) continue;
    const auto cases = n->state->read([](store::Reader& r) { return act::Purge::cases(r, 10'000); });
    for (const auto& c : cases.value_or(std::vector<act::PurgeCase>{})) {
      PurgeOutcome p;
      p.town = towns_[n->town].name;
      p.code = towns_[n->town].code;
      p.notice = c.notice;
      p.sender = c.sender;
      p.state = c.state;
      p.why = c.paused.empty() ? c.why : c.paused;
      p.delivered = in_mailboxes(n->town, c.sender, true);
      p.found = c.located;
      p.removed = c.moved;
      p.gone = c.gone;
      p.left = in_mailboxes(n->town, c.sender, false);
      if (c.moved > 0 || p.delivered > 0) out.purges.push_back(std::move(p));
    }
  }
}

/// One notice after the other, so that what a count says is of that one.
void World::purge_again(Outcome& out) {
  constexpr Duration kStep = minutes{5}, kLongest = hours{24};
  for (auto& p : out.purges) {
    if (p.removed == 0) continue;
    const auto at =
        std::find_if(nodes_.begin(), nodes_.end(), [&](const auto& n) { return n && towns_[n->town].code == p.code; });
    Node& n = **at;
    auto& again = p.again.emplace();
    const auto now = [&] {
      return n.state->read([&](store::Reader& r) { return act::Purge::find(r, p.notice); }).value_or(act::PurgeCase{});
    };
    const auto until = [&](const std::function<bool(const act::PurgeCase&)>& done) {
      const Instant end = sim_.now() + kLongest;
      while (!done(now()) && sim_.now() < end) sim_.advance(kStep);
    };
    const auto undone =
        n.state->write_now([&](store::Tx& tx) { return n.parts->purge().undo(tx, p.notice, "simulation"); });
    if (!undone) {
      again.trouble = undone.error().what;
      continue;
    }
    until([](const act::PurgeCase& c) { return c.state == "undone"; });
    again.undone = now().back;
    again.there = in_mailboxes(n.town, p.sender, false);
    const auto redone =
        n.state->write_now([&](store::Tx& tx) { return n.parts->purge().redo(tx, p.notice, "simulation"); });
    if (!redone) {
      again.trouble = redone.error().what;
      continue;
    }
    until([](const act::PurgeCase& c) { return c.state == "emptied" || c.state == "done"; });
    again.redone = now().moved;
    again.left = in_mailboxes(n.town, p.sender, false);
    if (again.undone != p.removed || again.redone != p.removed) {
      const auto c = now();
      again.trouble = fmt::format("it is {}{}{}", c.state, c.paused.empty() ? "" : ": ", c.paused);
      out.as_expected = false;
    }
  }
}

}  // namespace bavn::app::simulate
