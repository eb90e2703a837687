#pragma once
// Purge on the node's control interface: /api/purge... and `bavn purge ...`, which asks it.
// Thread rules: handlers run on the server's queue; what is given must outlive the router.
#include "act/purge.hpp"
#include "net/http.hpp"
#include "store/state.hpp"

namespace CLI {
class App;
}

namespace bavn::app {

void add_purge_routes(net::Router& control, store::State& state, act::Purge& purge);
/// rc: set by the command that runs.
void add_purge_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
