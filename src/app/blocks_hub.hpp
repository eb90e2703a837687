#pragma once
// Block lists on the hub's control interface (/api/blocks...) and `bavn blocks ...`.
#include "net/http.hpp"
#include "warn/blocks/hub_blocks.hpp"

namespace CLI {
class App;
}

namespace bavn::app {

/// All that is given must outlive the router.
void add_block_routes_hub(net::Router& router, warn::blocks::HubBlocks& blocks);
/// rc: set by the command that runs. At a hub and at a node: --data says which.
void add_block_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
