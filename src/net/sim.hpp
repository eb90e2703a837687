#pragma once
// HTTP without sockets: routers listen under a host name, clients reach them over the Runtime's Links, with their weather (delays, cuts,
// duplicates) under Sim. A message is a whole request, reply or event; a link carries one request or one stream.
// A duplicated request may be handled twice, as when a proxy or an impatient sender repeats it; events come once and in order, as over TCP.
// There are no heartbeats: a link says by itself that it is cut, and a simulation must be able to come to rest.
// Used by simulations and tests; the bytes of HTTP and TLS have their own tests.
// Thread rules: any thread. Life: after the Runtime, gone before it.
#include <memory>
#include <string>

#include "net/client.hpp"
#include "net/http.hpp"

namespace bavn::net {

/// Serves the router at "host:port" of URLs until destroyed; then its links are cut and the address is free. Handlers run on `queue`,
/// which has one thread.
class SimServer {
 public:
  static Result<std::unique_ptr<SimServer>> start(Runtime& runtime, const Router& router, std::string host_and_port,
                                                  QueueId queue);
  virtual ~SimServer() = default;
  virtual void cut(const std::string& certificate_serial) = 0;
};

/// as: what servers see in Request::peer. A certificate in ClientRequest::tls comes before the one in `as`; it is believed as it is.
std::unique_ptr<Client> sim_client(Runtime& runtime, Peer as);

}  // namespace bavn::net
