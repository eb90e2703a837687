#pragma once
// The web address of one hub or node: its server and what stands around every handler. People and their programs come in here; the
// control interface of the command line is another one (app/control.hpp) with the same handlers.
//   open() with what it stands on -> add routes to router() -> use_authenticator() -> before State::start(): watch() -> listen()
// Life: after Runtime, State and whatever routes use; gone before them. A Site that does not listen serves simulations and tests through
// router(). Thread rules: set up by one thread; then any.
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/catalogue.hpp"
#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"
#include "net/http.hpp"
#include "store/retention.hpp"
#include "store/state.hpp"

namespace bavn::show::web {

enum class Serves : std::uint8_t { hub, node };

/// web.*: addresses, TLS files, limits. A hub has a port, a node none until it is set.
std::vector<Setting> settings(Serves serves);
/// Of the table web_once, for store::Retention.
std::vector<store::RetentionRule> retention();

struct Options {
  bool enabled = true;  // false: no port is set
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;
  std::string certificate_file{}, key_file{};  // both or none; none: only on loopback
  std::string public_url{};            // "https://bavn.example.org", no slash at the end; empty: from address and port
  std::vector<std::string> proxies{};  // whose X-Forwarded-For is believed
  std::int64_t requests_per_minute = 1200, writes_per_minute = 120;  // of one person or key
  std::int64_t strangers_per_minute = 300;                           // of one address that is nobody yet
  std::size_t streams_per_person = 10, streams = 1000;
  std::size_t connections = 1000;
  static Result<Options> from(const Settings& settings);
};

struct Parts {
  Runtime& runtime;
  Metrics& metrics;
  store::State& state;
  const Catalogue& texts;
  Serves serves = Serves::hub;
  /// GET / when the app was not built in (BAVN_UI=OFF).
  std::function<net::Reply(const net::Request&)> home{};
};

class Site {
 public:
  static Result<std::unique_ptr<Site>> open(const Parts& parts, Options options);
  virtual ~Site() = default;

  virtual net::Router& router() = 0;
  /// Who asks: a session's cookie, an API key. Called for each request, also of routes for anyone.
  virtual void use_authenticator(net::Router::Authenticator authenticator) = 0;
  /// Asked every minute for each open stream, with the request that opened it; false closes the stream. Without one, the authenticator
  /// is asked. It must not count as use of the session.
  virtual void use_still_valid(std::function<bool(const net::Request&)> still_valid) = 0;
  /// Closes this person's streams now (signed out, left).
  virtual void end_streams_of(std::string_view who) = 0;
  /// Subscribes /api/events to the outbox; before State::start().
  virtual void watch() = 0;
  /// Starts the server. Errors: conflict (the port is taken), bad_input (TLS files, http beyond loopback).
  virtual Result<void> listen() = 0;
  /// Streams and connections end; the router stays.
  virtual void stop() = 0;
  /// "https://bavn.example.org" or "http://localhost:8430": the origin people see.
  virtual std::string url() const = 0;
  virtual std::uint16_t port() const = 0;
  /// {"url", "serves", "routes": [{"method", "pattern", "rights", "stream"}]}: for the owner and for tests that hold routes and contract together.
  /// 503 with Retry-After until it listens: before that there is no port to name. Any thread.
  virtual net::Reply described() const = 0;
};

}  // namespace bavn::show::web
