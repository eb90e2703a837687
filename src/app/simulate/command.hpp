#pragma once
// `bavn simulate`: a community on one machine and a virtual clock, with the hub's and nodes' own code.
#include <cstdint>
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace bavn::app {

struct SimulateCommand {
  std::string scenario;  // a file, or the name of one that comes with Bavn
  std::optional<std::uint64_t> seed;
  unsigned runs = 1, jobs = 1;
  bool json = false, check = false, explain = false, list = false, what_if = false, purge_again = false;
};
/// 0: it ended as expected (--check: the file is right), 1: it did not, 2: the file cannot be used.
int simulate_command(const SimulateCommand& command);
void add_simulate_command(CLI::App& app, int& rc);

}  // namespace bavn::app
