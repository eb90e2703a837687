#pragma once
// `bavn peer`, `bavn import` and `bavn export`, over the control interface of a running hub.
namespace CLI {
class App;
}

namespace bavn::app {

void add_peer_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
