#pragma once
// HTTP without sockets: routers listen under a host name, clients reach them over the Runtime's Links, with their weather (delays, cuts,
// duplicates) under Sim. A message is a whole request, reply or event. A client certificate is a name and serial given to the client.
// Used by simulations and tests; the bytes of HTTP and TLS have their own tests.
#include <memory>
#include <string>

#include "net/client.hpp"
#include "net/http.hpp"

namespace bavn::net {

/// Serves the router at "host:port" of URLs until destroyed.
class SimServer {
 public:
  static Result<std::unique_ptr<SimServer>> start(Runtime& runtime, const Router& router, std::string host_and_port,
                                                  QueueId queue);
  virtual ~SimServer() = default;
  virtual void cut(const std::string& certificate_serial) = 0;
};

/// as: what servers see in Request::peer.
std::unique_ptr<Client> sim_client(Runtime& runtime, Peer as);

}  // namespace bavn::net
