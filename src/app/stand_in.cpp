#include "app/stand_in.hpp"

#include <fmt/format.h>

#include <condition_variable>
#include <cstdio>
#include <mutex>

#include "app/commands.hpp"
#include "app/data.hpp"
#include "base/threads.hpp"
#include "input/sources/microsoft365/stand_in/stand_in.hpp"
#include "net/server.hpp"

namespace bavn::app {

int stand_in(const StandInCommand& c) {
  namespace si = input::microsoft365::stand_in;
  auto options = si::scenario(c.scenario, c.seed, c.tenants);
  if (!options) {
    fmt::print(stderr, "bavn: no scenario \"{}\"; there are quiet, october and hostile\n", c.scenario);
    return kUsage;
  }
  options->world.people = c.people;
  options->world.busy *= c.busy;
  options->world.delay_scale = c.delay_scale;
  options->consent_takes = std::chrono::seconds(c.consent_seconds);
  StopOnSignal stop;
  Threads runtime;
  si::StandIn stand(runtime, std::move(*options));
  net::Router router;
  stand.add_routes(router);
  auto server = net::Server::start(
      runtime, router, {.address = c.address, .port = c.port, .handlers = runtime.queue({.name = "stand-in"})});
  if (!server) return failed(server.error());
  const auto base = fmt::format("http://{}:{}", c.address, (*server)->port());
  if (c.json) {
    fmt::print("{{\"url\":\"{}\",\"port\":{}}}\n", base, (*server)->port());
  } else {
    fmt::print("A made-up Microsoft 365 ({}): {}/stand-in\n", c.scenario, base);
    for (const auto& t : stand.world().tenants()) fmt::print("  {}  {}  {}\n", t.id, t.town, t.domain);
  }
  std::fflush(stdout);
  std::mutex mutex;
  std::condition_variable_any stopped;
  std::unique_lock lock(mutex);
  stopped.wait(lock, stop.token(), [] { return false; });
  return kDone;
}

}  // namespace bavn::app
