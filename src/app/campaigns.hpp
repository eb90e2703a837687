#pragma once
// bavn campaigns: what the hub sees together.
namespace CLI {
class App;
}

namespace bavn::app {

/// rc: set by the command that runs.
void add_campaign_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
