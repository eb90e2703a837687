#include "app/node_process.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "app/blocks_node.hpp"
#include "app/mail_out.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "net/json_value.hpp"
#include "tenants/code.hpp"
#include "tenants/municipalities.hpp"

namespace bavn::app {

namespace {

std::string host_of(std::string_view host_and_port) {
  const auto colon = host_and_port.rfind(':');
  std::string host(host_and_port.substr(0, colon));
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  return host;
}

std::string people_name(const tenants::NodeIdentity& who) {
  static const tenants::Municipalities known = tenants::Municipalities::all();
  std::string out;
  for (const MunicipalityId m : who.municipalities) {
    const auto* facts = known.find(m);
    out += (out.empty() ? "" : ", ") +
           (facts != nullptr ? facts->code() + " " + facts->name : fmt::format("{:04}", m.value));
  }
  return out;
}

Result<std::unique_ptr<tenants::Enrolment>> open_enrolment(Runtime& runtime, net::Client& client,
                                                           const std::string& folder) {
  const QueueId queue = runtime.queue({.name = "enrolment"});
  return tenants::Enrolment::open(runtime, client, queue, folder + "/keys");
}

net::EgressPolicy policy_for(std::vector<std::string> inside) {
  net::EgressPolicy policy;
  policy.ports = {};  // hubs and proxies of municipalities listen on ports of their choice
  policy.inside = std::move(inside);
  return policy;
}

}  // namespace

std::unique_ptr<net::Client> node_client(Runtime& runtime, const std::string& folder) {
  // The hub is where enrolment says it is, also when that is inside; whom else a node may ask inside stands in its settings.
  std::vector<std::string> inside;
  DiskFiles files;
  if (const auto text = read_file(files, folder + "/keys/enrolment.json", 1U << 20U))
    if (const auto document = net::JsonDocument::parse(*text))
      if (const auto hub = document->root()["hub"].text()) inside.push_back(host_of(*hub));
  if (const auto text = read_file(files, folder + "/settings.toml", 1U << 20U)) {
    const auto table = node_settings();
    if (const auto settings = Settings::read(table, *text, "settings.toml"))
      for (const auto each : split(settings->text("node.inside"), ','))
        if (!trim(each).empty()) inside.emplace_back(trim(each));
  }
  return net::curl_client(runtime, policy_for(std::move(inside)));
}

Result<std::string> enrol(Runtime& runtime, const std::string& folder, const std::string& code,
                          const std::string& machine) {
  BAVN_TRY(const auto parsed, tenants::EnrolmentCode::parse(code));
  const Folder place(folder);
  BAVN_TRY(const auto held, place.hold(true));
  std::filesystem::create_directories(place.at("keys"));
  std::filesystem::permissions(place.at("keys"), std::filesystem::perms::owner_all);
  const auto client = net::curl_client(runtime, policy_for({host_of(parsed.hub)}));
  BAVN_TRY(const auto enrolment, open_enrolment(runtime, *client, folder));
  struct Waiting {
    std::mutex mutex;
    std::condition_variable changed;
    std::optional<Result<void>> done;
  };
  auto waiting = std::make_shared<Waiting>();
  enrolment->enrol(code, machine, [waiting](Result<void> done) {
    const std::lock_guard lock(waiting->mutex);
    waiting->done = std::move(done);
    waiting->changed.notify_all();
  });
  std::unique_lock lock(waiting->mutex);
  waiting->changed.wait(lock, [&] { return waiting->done.has_value(); });
  BAVN_CHECK(*waiting->done);
  const auto who = enrolment->identity();
  return fmt::format("{} ({})", who->name, people_name(*who));
}

Result<void> forget_enrolment(const std::string& folder) {
  const Folder place(folder);
  BAVN_TRY(const auto held, place.hold(false));
  DiskFiles files;
  const std::string path = place.at("keys/enrolment.json");
  if (!files.exists(path)) return fail(Code::not_found, "this machine was no node before; leave out --again", folder);
  BAVN_CHECK(files.rename(path, path + ".before"));
  return files.sync_dir(place.at("keys"));
}

Result<std::unique_ptr<NodeProcess>> NodeProcess::open(Runtime& runtime, Metrics& metrics, const NodeRun& run) {
  std::unique_ptr<NodeProcess> node(new NodeProcess(runtime, run.folder));
  BAVN_TRY(node->held_, node->folder_.hold(true));
  node->table_ = node_settings();
  node->settings_ = std::make_unique<Settings>(Settings::defaults(node->table_));
  DiskFiles files;
  if (const std::string path = node->folder_.at("settings.toml"); files.exists(path)) {
    BAVN_TRY(const std::string text, read_file(files, path, 1U << 20U));
    BAVN_TRY(*node->settings_, Settings::read(node->table_, text, path));
  }
  node->control_ = std::make_unique<Control>(random_key(runtime));
  node->client_ = node_client(runtime, run.folder);
  BAVN_TRY(node->enrolment_, open_enrolment(runtime, *node->client_, run.folder));

  NodeCoreOptions o;
  o.folder = run.folder;
  o.guest = run.guest;
  o.shared_bases = run.shared_bases;
  o.rules = run.rules;
  o.settings = node->settings_.get();
  o.try_commands = run.try_commands;
  BAVN_TRY(node->mail_, mail_of(runtime, *node->settings_));
  o.mail = node->mail_.get();
  o.mail_server =
      fmt::format("{}:{}", node->settings_->text("notify.smtp_host"), node->settings_->integer("notify.smtp_port"));
  if (const auto who = node->enrolment_->identity()) {
    NodeIdentity id;
    id.name = who->name;
    id.municipality = people_name(*who);
    id.municipalities = who->municipalities;
    id.hub = who->hub.starts_with("https://") ? who->hub : "https://" + who->hub;
    id.check = [enrolment = node->enrolment_.get(),
                root = who->root](std::string_view text) -> Result<beacon::CertifiedKey> {
      BAVN_TRY(const tenants::HubStatement s, tenants::read_statement(text, root));  // the beacon looks at the dates
      if (auto kept = enrolment->accept_statement(text); !kept && kept.error().code != Code::conflict)
        log::warn("hub_statement_not_kept", {{"reason", to_string(kept.error())}});
      return beacon::CertifiedKey{s.hub_key, s.epoch, s.not_before, s.not_after};
    };
    id.tls = [enrolment = node->enrolment_.get()]() -> std::shared_ptr<const net::TlsIdentity> {
      const auto now = enrolment->identity();
      return now ? now->tls : nullptr;
    };
    id.witness = std::shared_ptr<const SigningKey>(std::shared_ptr<void>(), &node->enrolment_->sign_key());
    id.community_key = who->root.text();
    o.identity = std::move(id);
  }
  BAVN_TRY(node->core_, NodeCore::open(runtime, *node->client_, metrics, std::move(o)));
  BAVN_TRY(node->book_, input::Book::open(runtime, node->core_->state()));
  node->core_->use_source_states([book = node->book_.get()] {
    std::vector<input::SourceReport> out;
    for (const auto& status : book->all()) out.push_back(status.report);
    return out;
  });
  node->core_->use_source_book(node->book_.get());
  node->core_->use_settings_table(&node->table_);
  node->open_setup();
  BAVN_CHECK(node->open_site(metrics));  // adds to the control interface, which is served from listen() on
  BAVN_CHECK(node->listen());            // asks for what was set above
  node->core_->start();
  if (node->site_) {
    BAVN_CHECK(node->site_->listen());
    BAVN_TRY(node->first_link_, node->people_->listening(*node->site_));
  }
  BAVN_CHECK(node->folder_.write_web(node->site_ ? node->site_->url() : ""));  // the hub tells of its guests' pages
  node->enrolment_->start();
  node->parsers_ = std::make_unique<jail::Jail>(metrics);
  BAVN_CHECK(node->start_sources(run.guest));
  BAVN_TRY(node->microsoft365_, Microsoft365Node::open(runtime, *node->client_, node->core_->state(),
                                                       node->core_->sink(), *node->book_, run.folder));
  node->core_->use_graph(node->microsoft365_->graph());
  return node;
}

/// What sources.toml says. A node without one is fine: records may come over HTTP, or from Microsoft 365.
Result<void> NodeProcess::start_sources(bool guest) {
  DiskFiles files;
  const std::string path = folder_.at("sources.toml");
  if (!files.exists(path)) return {};
  BAVN_TRY(const std::string text, read_file(files, path, 1U << 20U));
  std::vector<MunicipalityId> served;
  if (const auto who = enrolment_->identity()) served = who->municipalities;
  else served.push_back(MunicipalityId{});
  BAVN_TRY(input::SourcesFile wanted, input::read_sources(text, path, served, files, folder_.path()));
  (guest ? input::Limits::guest() : input::Limits::from(*settings_)).apply(wanted);
  core_->use_inlets(wanted);
  sources_ =
      input::RunningSources::start(runtime_, core_->state(), core_->sink(), *book_, parsers_.get(), std::move(wanted));
  return {};
}

namespace {

/// A file descriptor that ends.
class Descriptor final : public formats::Bytes {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Result<std::size_t> read(char* p, std::size_t n) override {
    for (;;) {
      const ssize_t got = ::read(fd_, p, n);
      if (got >= 0) return static_cast<std::size_t>(got);
      if (errno != EINTR) return fail(Code::unavailable, std::strerror(errno), "standard input");
    }
  }

 private:
  int fd_;
};

}  // namespace

void NodeProcess::read_stdin(const std::string& name, const std::string& format,
                             std::move_only_function<void(Result<input::sources::stdin_stream::StreamTotals>)> done) {
  input::sources::stdin_stream::StreamOptions o;
  o.name = name;
  o.format = format;
  if (const auto who = enrolment_->identity(); who && !who->municipalities.empty())
    o.municipality = who->municipalities.front();
  o.parsers = parsers_.get();
  stream_ = input::sources::stdin_stream::StreamSource::start(
      runtime_, runtime_.queue({.name = "stdin"}), core_->sink(), *book_, std::make_unique<Descriptor>(STDIN_FILENO), o,
      std::move(done));
}

Result<void> NodeProcess::listen() {
  NodeCore& core = *core_;
  core.add_routes();
  control_->add_pages(core.control_router(), [&core](const event::Scope& scope) { return core.status(scope); });
  core.control_router().authenticate([this](const net::Request& q) {
    return control_->authenticate(q, [this](const net::Request& inner) { return core_->tokens().authenticate(inner); });
  });
  net::ServerOptions inside;
  inside.port = static_cast<std::uint16_t>(settings_->integer("node.control_port"));
  inside.handlers = runtime_.queue({.name = "control", .threads = 2});
  BAVN_TRY(control_server_, net::Server::start(runtime_, core.control_router(), inside));
  if (const auto port = settings_->integer("intake.port"); port != 0) {
    live::add_intake_routes(intake_, core.tokens(), core.sink());
    live::add_elastic_routes(intake_, core.gateways());
    live::add_hec_routes(intake_, core.gateways());
    if (core.noticing() != nullptr) add_list_routes(intake_, core.noticing()->blocks());
    intake_.authenticate([&core](const net::Request& q) { return core.tokens().authenticate(q); });
    net::ServerOptions outside;
    outside.address = settings_->text("intake.address");
    outside.port = static_cast<std::uint16_t>(port);
    outside.handlers = runtime_.queue({.name = "intake", .threads = 2});
    BAVN_TRY(intake_server_, net::Server::start(runtime_, intake_, outside));
  }
  return folder_.write_control({fmt::format("http://127.0.0.1:{}", control_server_->port()), control_->key()});
}

/// The first ten minutes as a page walks them.
void NodeProcess::open_setup() {
  setup_client_ = beacon::LeftUs(core_->state()).recording(*client_, "setup");
  SetupDeskParts parts{.runtime = runtime_,
                       .state = core_->state(),
                       .client = *setup_client_,
                       .folder = folder_.path(),
                       .name = {},
                       .language = "da",
                       .municipality = {},
                       .night = core_->night(),
                       .beacon = core_->beacon()};
  if (const auto who = enrolment_->identity(); who && !who->municipalities.empty()) {
    parts.name = fmt::format("{} ({})", who->name, people_name(*who));
    parts.municipality = who->municipalities.front();
    if (const auto all = tenants::Municipalities::all(); const auto* facts = all.find(parts.municipality))
      parts.language = std::string(facts->language());
  }
  setup_ = std::make_unique<SetupDesk>(std::move(parts));
  core_->use_setup(setup_.get());
}

/// People of the municipality come in here.
Result<void> NodeProcess::open_site(Metrics& metrics) {
  BAVN_TRY(auto options, show::web::Options::from(*settings_));
  if (!options.enabled) return {};
  NodeCore& core = *core_;
  show::web::Parts parts{runtime_, metrics, core.state(), core.texts(), show::web::Serves::node};
  BAVN_TRY(site_, show::web::Site::open(parts, std::move(options)));
  show::auth::IdentityOptions who{.serves = show::auth::Serves::node, .name = "Bavn"};
  if (const auto enrolled = enrolment_->identity(); enrolled && !enrolled->municipalities.empty()) {
    who.name = people_name(*enrolled);
    who.municipality = enrolled->municipalities.front();
  }
  BAVN_TRY(people_, WebPeople::open(runtime_, core.state(), core.texts(), *control_, core.control_router(), *site_,
                                    std::move(who), *settings_));
  core.add_web_routes(site_->router(), [identity = &people_->identity()](net::Handler handler) {
    return identity->proved(std::move(handler));
  });
  if (settings_->flag("web.reports")) {
    MunicipalityId home;
    if (const auto enrolled = enrolment_->identity(); enrolled && !enrolled->municipalities.empty())
      home = enrolled->municipalities.front();
    reports_ = std::make_unique<show::pages::ReportDesk>(
        runtime_, core.state(), core.texts(),
        [&core, home](std::string lines, std::string id, std::move_only_function<void(Result<void>)> done) {
          input::Delivery d;
          d.source = "web.reports";
          d.municipality = home;
          d.format = "bavn_report";
          d.id = std::move(id);
          d.bytes = std::move(lines);
          core.sink().deliver(std::move(d), [done = std::move(done)](Result<input::Receipt> kept) mutable {
            if (!kept) return done(std::unexpected(kept.error()));
            if (kept->refused != 0) return done(fail(Code::corrupt, "a report was not read as one"));
            done({});
          });
        });
    reports_->add_routes(site_->router());
  }
  // Whoever owns this machine asks where the web address is, and what it has.
  core.control_router().get("/web", net::Needs::operate, [this](const net::Request&) { return site_->described(); });
  site_->watch();
  return {};
}

NodeProcess::~NodeProcess() {
  if (site_) site_->stop();
  if (setup_) setup_->stop();
  stream_.reset();
  microsoft365_.reset();
  sources_.reset();
  intake_server_.reset();
  control_server_.reset();
  if (core_) core_->stop();
  people_.reset();
  site_.reset();
  book_.reset();
  setup_.reset();
  setup_client_.reset();
  core_.reset();
  mail_.reset();
  enrolment_.reset();
  client_.reset();
}

std::string NodeProcess::status_link() const {
  return fmt::format("http://127.0.0.1:{}/open?key={}", control_server_->port(), control_->key());
}

}  // namespace bavn::app
