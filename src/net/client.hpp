#pragma once
// The one way out: every request that leaves this program goes through a Client. The real one (CurlClient) is one thread with libcurl
// and refuses addresses inside the network unless they are allowed (SSRF); the simulated one (SimNet) carries the same values over
// Links in virtual time. Answers come on the queue that asked.
// Redirects are not followed: a 3xx is a reply.
// Thread rules: any thread. Life: after the Runtime, gone before it; what waits is answered with `unavailable` then.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/runtime.hpp"
#include "net/http.hpp"

namespace bavn::net {

/// Own certificate and whom to believe; PEM text. Empty ca: the system's.
struct TlsIdentity {
  std::string certificate_pem{}, key_pem{}, ca_pem{};
  /// Whoever answers is believed. Only for the first call of an enrolment, whose answer is checked by the code's fingerprint.
  bool unverified = false;
};

struct ClientRequest {
  Method method = Method::get;
  std::string url{};  // https://host:port/path?query
  Headers headers{};
  std::string body{};
  std::shared_ptr<const TlsIdentity> tls{};
  std::chrono::seconds timeout{30};    // of the whole exchange; of a stream: without a byte
  std::size_t max_reply = 16U << 20U;  // bytes; of a stream: of one event. More is an error, not a cut
};

struct ClientReply {
  int status = 0;
  Headers headers{};
  std::string body{};
};

struct StreamEvents {
  std::move_only_function<void()> on_open{};  // 2xx and headers are there
  std::move_only_function<void(SseEvent)> on_event{};
  /// Once: refused, cut, silent for `timeout`; unavailable when closed by close(). forbidden for 401 and 403, not_found for 404.
  std::move_only_function<void(Error)> on_end{};
};

/// Keeps the stream open while it lives. When it dies nothing is called any more, on_end neither: at once when it dies on its own queue.
class OpenStream {
 public:
  virtual ~OpenStream() = default;
  virtual void close() = 0;
};

class Client {
 public:
  virtual ~Client() = default;
  /// An Error is trouble of the network (unavailable), of TLS (forbidden) or a refused address (forbidden); an HTTP status is a reply.
  virtual void send(ClientRequest request, QueueId queue, std::move_only_function<void(Result<ClientReply>)> then) = 0;
  /// Events come one after the other when `queue` has one thread.
  virtual std::shared_ptr<OpenStream> stream(ClientRequest request, QueueId queue, StreamEvents events) = 0;
};

/// Where requests may go. Checked on the address that is really dialled, so a name that changes its address gains nothing.
struct EgressPolicy {
  bool plain_http = false;                // http:// at all
  std::vector<std::uint16_t> ports{443};  // empty: any
  /// Hosts (names or addresses as in the URL) that may be inside: private, loopback, link-local. Ports are free for them, and plain
  /// http too. Metadata services of clouds (169.254.169.254 and friends) are refused even then.
  std::vector<std::string> inside{};
  std::string
      proxy{};  // "http://proxy:3128"; empty: none. The environment's proxy settings are not used. A proxy resolves names,
                // so addresses are its business then
};

/// libcurl in one queue of the Runtime (which it keeps busy until it is destroyed).
std::unique_ptr<Client> curl_client(Runtime& runtime, EgressPolicy policy);

}  // namespace bavn::net
