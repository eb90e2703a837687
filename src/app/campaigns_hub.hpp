#pragma once
// What correlation knows, on the hub's control interface: /api/campaigns..., /api/suspicions, /api/noticing. And `bavn campaigns ...`.
// Thread rules: handlers run on the server's queue; what is given must outlive the router.
#include "base/catalogue.hpp"
#include "base/runtime.hpp"
#include "correlate/correlator.hpp"
#include "net/http.hpp"
#include "store/state.hpp"

namespace CLI {
class App;
}

namespace bavn::app {

void add_campaign_routes(net::Router& control, Runtime& runtime, store::State& state, correlate::Correlator& correlator,
                         const correlate::Options& options, const Catalogue& texts);
/// rc: set by the command that runs.
void add_campaign_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
