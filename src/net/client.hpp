#pragma once
// The one way out: every request that leaves this program goes through a Client. The real one (CurlClient) is one thread with libcurl
// and refuses addresses inside the network unless they are allowed (SSRF); the simulated one (SimNet) carries the same values over
// Links in virtual time. Answers come on the queue that asked.
// Thread rules: any thread. Life: after the Runtime, gone before it; what waits is answered with `unavailable` then.
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "base/runtime.hpp"
#include "net/http.hpp"

namespace bavn::net {

/// Own certificate and whom to believe; PEM text. Empty ca: the system's.
struct TlsIdentity {
  std::string certificate_pem, key_pem, ca_pem;
};

struct ClientRequest {
  Method method = Method::get;
  std::string url;  // https://host:port/path?query
  Headers headers;
  std::string body;
  std::shared_ptr<const TlsIdentity> tls;
  std::chrono::seconds timeout{30};    // of the whole exchange; of a stream: without a byte
  std::size_t max_reply = 16U << 20U;  // bytes; more is an error, not a cut
};

struct ClientReply {
  int status = 0;
  Headers headers;
  std::string body;
};

struct StreamEvents {
  std::move_only_function<void()> on_open;  // 2xx and headers are there
  std::move_only_function<void(SseEvent)> on_event;
  std::move_only_function<void(Error)>
      on_end;  // once: refused, cut, silent for `timeout`; unavailable when closed by close()
};

/// Keeps the stream open while it lives.
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
  virtual std::shared_ptr<OpenStream> stream(ClientRequest request, QueueId queue, StreamEvents events) = 0;
};

}  // namespace bavn::net
