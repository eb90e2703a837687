#pragma once
// `bavn notices ...`: what was noticed here, asked of the running node (show/api/notices).

namespace CLI {
class App;
}

namespace bavn::app {

/// rc: set by the command that runs.
void add_notice_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
