#pragma once
// bavn keys, bavn mandate, bavn order: the commands around what a municipality lets others do in its name.
namespace CLI {
class App;
}

namespace bavn::app {

/// rc: set by the command that runs.
void add_mandate_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
