#pragma once
// The duty contact of a node's municipality: who is called at night, by which ways, and whether they were ever tried. Commands `bavn contact`
// and the routes below /api/contacts that they use at the running node.
#include "app/night_call.hpp"
#include "net/http.hpp"

namespace CLI {
class App;
}

namespace bavn::app {

/// All that is given must outlive the router.
void add_contact_routes(net::Router& router, Runtime& runtime, store::State& state, MunicipalityId municipality,
                        NightCall& night);
/// rc: set by the command that runs.
void add_contact_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
