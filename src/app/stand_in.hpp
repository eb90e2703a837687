#pragma once
// `bavn stand-in microsoft365`: the made-up Microsoft 365 on a port of this machine, for demonstrations, rehearsals and tests.
#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace bavn::app {

struct StandInCommand {
  std::uint16_t port = 8365;
  unsigned tenants = 1, people = 30;
  std::uint64_t seed = 1;
  std::string scenario = "quiet";
  double delay_scale = 1;
  double busy = 1;
  unsigned consent_seconds = 0;
  std::string address = "127.0.0.1";
  bool json = false;
};
/// Runs until SIGINT or SIGTERM.
int stand_in(const StandInCommand& command);

/// `bavn stand-in ...`; `bavn node setup` and `bavn node leave` are added below `node` when it is there (after add_server_commands).
void add_microsoft365_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
