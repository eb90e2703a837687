#include "app/hub_process.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "app/beacon_hub.hpp"
#include "app/hub_exchange.hpp"
#include "app/process.hpp"
#include "base/log.hpp"
#include "exchange/taxii/taxii.hpp"

namespace bavn::app {

namespace {

constexpr Setting kSettings[] = {
    {"hub.name", Unit::none, std::string_view("joint CERT"), {0, 100}, "Whose hub it is, for people.", Restart::yes},
    {"hub.public",
     Unit::none,
     std::string_view(""),
     {0, 260},
     "host:port under which nodes reach it; goes into enrolment codes.",
     Restart::yes},
    {"hub.address", Unit::none, std::string_view("0.0.0.0"), {1, 64}, "Address it listens on for nodes.", Restart::yes},
    {"hub.port",
     Unit::none,
     std::int64_t{8443},
     {0, 65535},
     "Port it listens on for nodes; 0: any free one (tests).",
     Restart::yes},
    {"hub.control_port",
     Unit::none,
     std::int64_t{8420},
     {0, 65535},
     "Port of the control interface and status page on this machine; 0: any free one.",
     Restart::yes},
    {"hub.connections",
     Unit::none,
     std::int64_t{2000},
     {10, 100000},
     "Connections from nodes at one time.",
     Restart::yes},
};

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

/// table must outlive what is returned.
Result<Settings> read_settings(const Folder& folder, std::span<const Setting> table) {
  DiskFiles files;
  const std::string path = folder.at("settings.toml");
  if (!files.exists(path)) return Settings::defaults(table);
  BAVN_TRY(const std::string text, read_file(files, path, 1U << 20U));
  return Settings::read(table, text, path);
}

}  // namespace

std::vector<Setting> hub_settings() {
  std::vector<Setting> all(std::begin(kSettings), std::end(kSettings));
  for (Setting& s : beacon_hub_settings()) all.push_back(std::move(s));
  for (Setting& s : show::web::settings(show::web::Serves::hub)) all.push_back(std::move(s));
  for (Setting& s : show::auth::identity_settings()) all.push_back(std::move(s));
  for (Setting& s : HubNotify::settings_table()) all.push_back(std::move(s));
  const auto desk = show::api::hub_desk_settings();
  all.insert(all.end(), desk.begin(), desk.end());
  const auto taxii = exchange::taxii::taxii_settings();
  all.insert(all.end(), taxii.begin(), taxii.end());
  const auto exchange = exchange::exchange_settings();
  all.insert(all.end(), exchange.begin(), exchange.end());
  const auto subscriptions = exchange::subscription_settings(), open_data = exchange::open_data_settings();
  all.insert(all.end(), subscriptions.begin(), subscriptions.end());
  all.insert(all.end(), open_data.begin(), open_data.end());
  const auto misp = exchange::misp::misp_settings();
  all.insert(all.end(), misp.begin(), misp.end());
  return all;
}

Result<std::string> HubProcess::init(Runtime& runtime, const std::string& path, const HubBirth& birth) {
  if (birth.hosts.empty())
    return fail(Code::bad_input, "a hub needs a name or address under which nodes reach it (--host)");
  const Folder folder(path);
  BAVN_TRY(const auto held, folder.hold(true));
  BAVN_TRY(const auto trust, tenants::Trust::init(runtime, folder.at("trust"), birth.hosts));
  DiskFiles files;
  BAVN_CHECK(
      replace_file(files, folder.at("settings.toml"),
                   fmt::format("# `bavn hub settings` explains every line that can stand here.\n[hub]\nname = "
                               "{}\npublic = {}\naddress = {}\nport = {}\n",
                               in_quotes(birth.name), in_quotes(fmt::format("{}:{}", birth.hosts.front(), birth.port)),
                               in_quotes(birth.address), birth.port)));
  return trust.root_key_path;
}

Result<std::unique_ptr<HubProcess>> HubProcess::open(Runtime& runtime, Metrics& metrics, const std::string& path,
                                                     bool guests, std::vector<std::string> try_commands) {
  std::unique_ptr<HubProcess> hub(new HubProcess(runtime, path));
  BAVN_TRY(hub->held_, hub->folder_.hold(false));
  hub->table_ = hub_settings();
  BAVN_TRY(Settings read, read_settings(hub->folder_, hub->table_));
  hub->settings_ = std::make_unique<Settings>(std::move(read));
  const Settings& settings = *hub->settings_;
  hub->public_ = settings.text("hub.public");
  hub->control_ = std::make_unique<Control>(random_key(runtime));
  if (guests) {
    Guests::Options g;
    g.folder = hub->folder_.at("guests");
    g.program = program_path();
    hub->guests_ = std::make_unique<Guests>(runtime, g);
  }
  HubOptions o;
  o.folder = path;
  o.name = settings.text("hub.name");
  o.address = hub->public_;
  o.try_commands = std::move(try_commands);
  o.settings = &settings;
  o.settings_table = hub->table_;
  o.settings_file = hub->folder_.at("settings.toml");
  // Reading the memory of 98 processes takes longer than a page may: what is some seconds old is good enough for people.
  struct Seen {
    Duration at{};
    std::vector<show::api::HubGuest> guests;
  };
  o.guests = [&runtime, folder = hub->folder_.at("guests"), seen = std::make_shared<Guarded<Seen>>()] {
    const Duration now = runtime.steady();
    auto known = seen->with([&](const Seen& s) {
      return now - s.at < std::chrono::seconds(5) && s.at != Duration{} ? std::optional(s.guests) : std::nullopt;
    });
    if (known) return *std::move(known);
    std::vector<show::api::HubGuest> all;
    for (const Guest& g : Guests::look(folder)) {
      show::api::HubGuest guest;
      guest.code = g.code;
      guest.state = to_string(g.state);
      guest.user = g.user;
      guest.last_end = g.last_end;
      guest.address = g.web;
      guest.memory_mb = g.private_mb;
      guest.restarts = g.restarts;
      guest.started = g.started;
      all.push_back(std::move(guest));
    }
    seen->with([&](Seen& s) { s = {now, all}; });
    return all;
  };
  hub->client_ = net::curl_client(runtime, {});  // partners' webhooks
  o.client = hub->client_.get();
  BAVN_TRY(const auto limits, exchange::Limits::from(&settings));
  hub->peer_client_ = net::curl_client(runtime, exchange::exchange_egress(limits));
  o.peer_client = hub->peer_client_.get();
  hub->parsers_ = std::make_unique<jail::Jail>(metrics);
  o.parsers = hub->parsers_.get();
  o.guest_memory = [folder = hub->folder_.at("guests")](MunicipalityId m) {
    const auto pid = Folder(fmt::format("{}/{:04}", folder, m.value)).holder();
    const auto memory = pid ? memory_of(*pid) : std::nullopt;
    return memory ? memory->first : 0.0;
  };
  BAVN_TRY(hub->core_, HubCore::open(runtime, metrics, std::move(o)));
  BAVN_CHECK(hub->open_site(metrics, settings));  // adds to the control interface, which is served from listen() on
  BAVN_CHECK(hub->listen(settings));
  hub->core_->start();
  if (hub->site_) {
    BAVN_CHECK(hub->site_->listen());
    hub->core_->exchange().use_site(hub->site_->url());
    BAVN_TRY(hub->first_link_, hub->people_->listening(*hub->site_));
  }
  BAVN_CHECK(hub->folder_.write_web(hub->site_ ? hub->site_->url() : ""));
  hub->upkeep_ = runtime.queue({.name = "upkeep"});
  runtime.after(std::chrono::hours(1), hub->upkeep_, [h = hub.get(), alive = hub->alive_] {
    if (*alive) h->check_certificate();
  });
  if (hub->guests_) hub->guests_->start();
  return hub;
}

Result<void> HubProcess::listen(const Settings& settings) {
  HubCore& core = *core_;
  control_->add_pages(core.control_router(), [&core](const event::Scope& scope) { return core.status(scope); });
  core.control_router().authenticate([this](const net::Request& q) { return control_->authenticate(q); });
  net::ServerOptions inside;
  inside.port = static_cast<std::uint16_t>(settings.integer("hub.control_port"));
  inside.handlers = runtime_.queue({.name = "control", .threads = 2});
  BAVN_TRY(control_server_, net::Server::start(runtime_, core.control_router(), inside));
  net::ServerOptions outside;
  outside.address = settings.text("hub.address");
  outside.port = static_cast<std::uint16_t>(settings.integer("hub.port"));
  outside.handlers = runtime_.queue({.name = "nodes", .threads = 4});
  outside.max_connections = static_cast<std::size_t>(settings.integer("hub.connections"));
  net::ServerTls tls;
  tls.certificate_pem = core.trust().server_certificate_pem();
  tls.key_pem = core.trust().server_key_pem();
  tls.client_ca_pem = core.trust().authority().certificate_pem;
  tls.revoked = [&core](const std::string& serial) { return core.directory().revoked(serial); };
  outside.tls = tls;
  BAVN_TRY(nodes_server_, net::Server::start(runtime_, core.node_router(), outside));
  core.on_revoked([this](const std::string& serial) { nodes_server_->cut(serial); });
  return folder_.write_control({fmt::format("http://127.0.0.1:{}", control_server_->port()), control_->key()});
}

/// People come in here; what they may see is up to who they are.
Result<void> HubProcess::open_site(Metrics& metrics, const Settings& settings) {
  BAVN_TRY(auto options, show::web::Options::from(settings));
  if (!options.enabled) return {};
  HubCore& core = *core_;
  show::web::Parts parts{runtime_, metrics, core.state(), core.texts(), show::web::Serves::hub};
  BAVN_TRY(site_, show::web::Site::open(parts, std::move(options)));
  BAVN_TRY(people_, WebPeople::open(runtime_, core.state(), core.texts(), *control_, core.control_router(), *site_,
                                    {.name = settings.text("hub.name")}, settings,
                                    [&keys = core.exchange().peers->keys()](const net::Request& q) {
                                      return keys.authenticate(q);
                                    }));
  core.use_proof([identity = &people_->identity()](const net::Request& q) { return identity->proof_missing(q); });
  core.exchange().use_site(site_->url());
  core.add_web_routes(site_->router());
  // Whoever owns this machine asks where the web address is, and what it has.
  core.control_router().get("/web", net::Needs::operate, [this](const net::Request&) { return site_->described(); });
  site_->watch();
  return {};
}

void HubProcess::check_certificate() {
  HubCore& core = *core_;
  const auto renewed = core.trust().renew_server_certificate_if_due();
  if (!renewed) {
    log::error("server_certificate_not_renewed", {{"reason", to_string(renewed.error())}});
  } else if (*renewed) {
    net::ServerTls tls;
    tls.certificate_pem = core.trust().server_certificate_pem();
    tls.key_pem = core.trust().server_key_pem();
    tls.client_ca_pem = core.trust().authority().certificate_pem;
    tls.revoked = [&core](const std::string& serial) { return core.directory().revoked(serial); };
    if (const auto done = nodes_server_->replace_tls(std::move(tls)); !done)
      log::error("server_certificate_not_used", {{"reason", to_string(done.error())}});
  }
  runtime_.after(std::chrono::hours(1), upkeep_, [this, alive = alive_] {
    if (*alive) check_certificate();
  });
}

HubProcess::~HubProcess() {
  *alive_ = false;
  if (guests_) guests_->end_all(std::chrono::seconds(20));
  if (site_) site_->stop();
  nodes_server_.reset();
  control_server_.reset();
  if (core_) core_->stop();
  people_.reset();
  site_.reset();
}

std::string HubProcess::status_link() const {
  return fmt::format("http://127.0.0.1:{}/open?key={}", control_server_->port(), control_->key());
}

std::string HubProcess::nodes_address() const {
  return public_;
}

}  // namespace bavn::app
