#pragma once
// The HTTP server: Boost.Beast and TLS behind plain values. One I/O thread; handlers run on the queue given, so the I/O never waits.
// Deadlines for header, body and idle; a body above its route's limit is refused before it is read; SSE is bounded per client.
// Life: start() returns when it listens. The destructor lets what is being handled be answered (two seconds), closes every connection
// and returns when no handler runs any more; so never inside one. The router lives longer. Thread rules: any thread.
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/metrics.hpp"
#include "base/runtime.hpp"
#include "net/http.hpp"

namespace bavn::net {

struct ServerTls {
  std::string certificate_pem{}, key_pem{};
  std::string client_ca_pem{};  // not empty: client certificates are asked for and verified against it
  /// Asked at each handshake and each request; true cuts the connection. Serial as in Peer.
  std::function<bool(const std::string& serial)> revoked{};
};

struct ServerOptions {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free one
  std::optional<ServerTls> tls{};
  QueueId handlers{};                                 // several threads are fine
  Metrics* metrics = nullptr;                         // names in README.md
  std::size_t max_connections = 1000;                 // one more is answered with 503
  std::size_t bodies = 32U << 20U;                    // bytes that come in or wait for a handler, of all together
  std::size_t stream_buffer = 1U << 20U;              // bytes waiting for one SSE client before it is cut off
  std::chrono::milliseconds header_deadline{10'000};  // from the first byte of a request; also of the TLS handshake
  std::chrono::milliseconds body_deadline{60'000};    // in each such time at least 64 KiB must come, or the rest
  std::chrono::milliseconds idle_deadline{75'000};    // between requests; of a reply: without progress
  std::chrono::milliseconds heartbeat{15'000};        // a comment in a stream that is silent
};

class Server {
 public:
  static Result<std::unique_ptr<Server>> start(Runtime& runtime, const Router& router, ServerOptions options);
  virtual ~Server() = default;
  virtual std::uint16_t port() const = 0;
  /// New connections use it from now on (a renewed certificate or authority); `revoked` stays the one given to start().
  virtual Result<void> replace_tls(ServerTls tls) = 0;
  /// Closes every connection of this client certificate now.
  virtual void cut(const std::string& certificate_serial) = 0;
};

}  // namespace bavn::net
