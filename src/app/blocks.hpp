#pragma once
// bavn blocks, at a hub and at a node: --data says which.
namespace CLI {
class App;
}

namespace bavn::app {

/// rc: set by the command that runs.
void add_block_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
