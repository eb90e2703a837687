#include "show/web/site.hpp"

#include <fmt/format.h>

#include <atomic>

#include "base/files.hpp"
#include "base/guarded.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "net/server.hpp"
#include "show/pages/pages.hpp"
#include "show/pages/reports.hpp"
#include "show/web/answers.hpp"
#include "show/web/assets.hpp"
#include "show/web/door.hpp"
#include "show/web/feed.hpp"

namespace bavn::show::web {

namespace {

constexpr Setting kSettings[] = {
    {"web.address",
     Unit::none,
     std::string_view("127.0.0.1"),
     {1, 64},
     "Address the web pages and the API listen on; another than this machine's own needs web.certificate.",
     Restart::yes},
    {"web.certificate",
     Unit::none,
     std::string_view(""),
     {0, 4096},
     "File with the certificate chain (PEM) of the web address; read again every hour. Empty: http, on this machine "
     "only.",
     Restart::yes},
    {"web.key",
     Unit::none,
     std::string_view(""),
     {0, 4096},
     "File with the key (PEM) of web.certificate.",
     Restart::yes},
    {"web.public_url",
     Unit::none,
     std::string_view(""),
     {0, 260},
     "What people type: https://bavn.example.org. Passkeys are bound to its name for ever. Empty: from address and "
     "port.",
     Restart::yes},
    {"web.proxies",
     Unit::none,
     std::string_view(""),
     {0, 1000},
     "Addresses of proxies in front, separated by commas, whose X-Forwarded-For is believed; limits count what stands "
     "there.",
     Restart::yes},
    {"web.requests_per_minute",
     Unit::none,
     std::int64_t{1200},
     {30, 1'000'000},
     "Reads of one person or key; a screen that is looked at all day asks some 60.",
     Restart::yes},
    {"web.writes_per_minute",
     Unit::none,
     std::int64_t{120},
     {5, 1'000'000},
     "Changes by one person or key; nobody clicks twice a second for a minute.",
     Restart::yes},
    {"web.strangers_per_minute",
     Unit::none,
     std::int64_t{300},
     {5, 1'000'000},
     "Requests of one address that is not signed in, and refusals after which it is not heard: an office behind one "
     "address signs in at "
     "eight o'clock, a guesser needs millions.",
     Restart::yes},
    {"web.streams_per_person",
     Unit::none,
     std::int64_t{10},
     {1, 1000},
     "Live streams of one person or key: each open window has one.",
     Restart::yes},
    {"web.streams",
     Unit::none,
     std::int64_t{1000},
     {1, 100'000},
     "Live streams in all; each may hold 1 MiB.",
     Restart::yes},
    {"web.connections",
     Unit::none,
     std::int64_t{2000},
     {10, 100'000},
     "Connections to the web address at one time; a browser opens six.",
     Restart::yes},
};
constexpr Setting kReports = {
    "web.reports", Unit::none, true, {}, "Whether employees can report a mail at /report, without signing in.",
    Restart::yes};
constexpr Setting kHubPort = {"web.port",
                              Unit::none,
                              std::int64_t{8430},
                              {-1, 65535},
                              "Port of the web pages and the API; 0: any free one, -1: none.",
                              Restart::yes};
constexpr Setting kNodePort = {"web.port",
                               Unit::none,
                               std::int64_t{-1},
                               {-1, 65535},
                               "Port of the web pages and the API; 0: any free one, -1: none.",
                               Restart::yes};

bool is_loopback(std::string_view address) {
  return address == "localhost" || address == "::1" || address.starts_with("127.");
}

class RealSite final : public Site {
 public:
  RealSite(const Parts& parts, Options options)
      : runtime_(parts.runtime),
        metrics_(parts.metrics),
        options_(std::move(options)),
        serves_(parts.serves),
        home_(parts.home),
        door_(parts, options_),
        feed_(parts, options_) {
    router_.guard(door_.door([this](const event::Scope& s) { return feed_.may_open(s); },
                             [this](const net::Request& q) { return otherwise(q, home_); }));
    door_.use_url(url());
    door_.use_error_page([&texts = parts.texts](Language l, int status, const std::string& title,
                                                const std::string& advice, const std::string& trace) {
      return pages::error_page(texts, l, status, title, advice, trace);
    });
    feed_.add_routes(router_);
    for (const std::string_view path : {"/api/openapi.json", "/api/docs"})
      router_.get(std::string(path), net::Needs::anyone, [path](const net::Request& q) {
        auto reply = asset(q, path);
        return reply ? std::move(*reply) : net::problem({Code::not_found, "this build has no contract", {}});
      });
    pages::add_routes(router_, parts.texts);
  }
  ~RealSite() override { stop(); }

  net::Router& router() override { return router_; }
  void use_authenticator(net::Router::Authenticator authenticator) override {
    router_.authenticate(authenticator);
    feed_.use_still_valid(
        [authenticator = std::move(authenticator)](const net::Request& q) { return authenticator(q).has_value(); });
  }
  void use_still_valid(std::function<bool(const net::Request&)> f) override { feed_.use_still_valid(std::move(f)); }
  void end_streams_of(std::string_view who) override { feed_.end_streams_of(who); }
  void watch() override { feed_.watch(); }

  Result<void> listen() override {
    net::ServerOptions o;
    o.address = options_.address;
    o.port = options_.port;
    o.handlers = runtime_.queue({.name = "web", .threads = 8});
    o.metrics = &metrics_;
    o.max_connections = options_.connections;
    if (!options_.certificate_file.empty()) {
      BAVN_TRY(o.tls, tls());
    }
    BAVN_TRY(server_, net::Server::start(runtime_, router_, std::move(o)));
    listens_at_ = server_->port();
    door_.use_url(url());
    if (!options_.certificate_file.empty()) {
      upkeep_ = runtime_.queue({.name = "web-upkeep"});
      look_at_certificate_later();
    }
    return {};
  }

  void stop() override {
    alive_->with([](bool& lives) { lives = false; });
    feed_.stop();
    listens_at_ = 0;
    server_.reset();
  }

  std::string url() const override {
    if (!options_.public_url.empty()) return options_.public_url;
    const bool tls = !options_.certificate_file.empty();
    // A browser gives passkeys to localhost, and to no address.
    const std::string host = is_loopback(options_.address) ? "localhost" : options_.address;
    const bool v6 = host.find(':') != std::string::npos;
    return fmt::format("{}://{}:{}", tls ? "https" : "http", v6 ? "[" + host + "]" : host, port());
  }
  std::uint16_t port() const override {
    const std::uint16_t listening = listens_at_;
    return listening != 0 ? listening : options_.port;
  }
  net::Reply described() const override {
    if (listens_at_ == 0) {
      auto wait = net::problem(Error{Code::unavailable, "the web address does not listen yet: ask again", {}});
      wait.headers.set("Retry-After", "1");
      return wait;
    }
    std::string out;
    JsonWriter w(out);
    w.object().member("url", url()).member("serves", serves_ == Serves::hub ? "hub" : "node").key("routes").array();
    for (const net::Route& r : router_.routes()) {
      w.object().member("method", to_string(r.method)).member("pattern", r.pattern);
      w.member("rights", static_cast<std::uint64_t>(r.needs)).member("stream", bool(r.stream)).end();
    }
    w.end().end();
    return net::json(std::move(out));
  }

 private:
  Result<net::ServerTls> tls() const {
    net::ServerTls t;
    BAVN_TRY(t.certificate_pem, read_file(runtime_.files(), options_.certificate_file, 1U << 20U));
    BAVN_TRY(t.key_pem, read_file(runtime_.files(), options_.key_file, 1U << 20U));
    return t;
  }
  // Whatever renews certificates (certbot and its like) only has to write the files.
  void look_at_certificate_later() {
    runtime_.after(std::chrono::hours(1), upkeep_, [this, alive = alive_] {
      alive->with([this](const bool& lives) {
        if (!lives) return;
        auto read = tls();
        const auto used = read ? server_->replace_tls(std::move(*read)) : Result<void>(std::unexpected(read.error()));
        if (!used) log::error("web_certificate_not_used", {{"reason", to_string(used.error())}});
        look_at_certificate_later();
      });
    });
  }

  Runtime& runtime_;
  Metrics& metrics_;
  Options options_;
  Serves serves_;
  std::function<net::Reply(const net::Request&)> home_;
  DoorKeeper door_;
  Feed feed_;
  net::Router router_;
  QueueId upkeep_{};
  std::shared_ptr<Guarded<bool>> alive_ = std::make_shared<Guarded<bool>>(true);
  std::unique_ptr<net::Server> server_;
  std::atomic<std::uint16_t> listens_at_ = 0;  // 0: not yet, or no more
};

}  // namespace

std::vector<Setting> settings(Serves serves) {
  std::vector<Setting> all(std::begin(kSettings), std::end(kSettings));
  all.push_back(serves == Serves::hub ? kHubPort : kNodePort);
  if (serves == Serves::node) all.push_back(kReports);
  return all;
}

std::vector<store::RetentionRule> retention() {
  std::vector<store::RetentionRule> rules;
  rules.push_back(store::retention_rule(
      "web_once", 1, "a request is sent again within minutes; the contract says 24 hours",
      "DELETE FROM web_once WHERE rowid IN (SELECT rowid FROM web_once WHERE at_us < :before LIMIT 10000)"));
  rules.push_back(pages::ReportDesk::retention());
  return rules;
}

Result<Options> Options::from(const Settings& s) {
  Options o;
  const std::int64_t port = s.integer("web.port");
  o.enabled = port >= 0;
  o.port = static_cast<std::uint16_t>(port < 0 ? 0 : port);
  o.address = s.text("web.address");
  o.certificate_file = s.text("web.certificate");
  o.key_file = s.text("web.key");
  o.public_url = s.text("web.public_url");
  while (o.public_url.ends_with('/')) o.public_url.pop_back();
  for (const std::string_view each : split(s.text("web.proxies"), ','))
    if (!trim(each).empty()) o.proxies.emplace_back(trim(each));
  o.requests_per_minute = s.integer("web.requests_per_minute");
  o.writes_per_minute = s.integer("web.writes_per_minute");
  o.strangers_per_minute = s.integer("web.strangers_per_minute");
  o.streams_per_person = static_cast<std::size_t>(s.integer("web.streams_per_person"));
  o.streams = static_cast<std::size_t>(s.integer("web.streams"));
  o.connections = static_cast<std::size_t>(s.integer("web.connections"));
  if (o.certificate_file.empty() != o.key_file.empty())
    return fail(Code::bad_input, "web.certificate and web.key go together: set both or none");
  if (o.enabled && o.certificate_file.empty() && !is_loopback(o.address))
    return fail(
        Code::bad_input,
        fmt::format(
            "web.address {} is beyond this machine, and without web.certificate passwords and sessions would travel "
            "unprotected; set web.certificate and web.key, or listen at 127.0.0.1 behind a proxy with TLS",
            o.address));
  if (!o.public_url.empty() && !o.public_url.starts_with("https://") && !o.public_url.starts_with("http://localhost"))
    return fail(Code::bad_input, "web.public_url begins with https:// (or http://localhost)", o.public_url);
  return o;
}

Result<std::unique_ptr<Site>> Site::open(const Parts& parts, Options options) {
  return std::make_unique<RealSite>(parts, std::move(options));
}

}  // namespace bavn::show::web
