#pragma once
// Block lists on a node: /api/blocks... on its control interface, and GET /lists/{file} for the devices that read them.
#include "net/http.hpp"
#include "warn/blocks/node_blocks.hpp"

namespace bavn::app {

void add_block_routes_node(net::Router& control, warn::blocks::NodeBlocks& blocks);
/// Needs::anyone: each list has its own tokens (Authorization: Bearer, Basic with the token as password, or ?token=), checked here.
void add_list_routes(net::Router& router, warn::blocks::NodeBlocks& blocks);

}  // namespace bavn::app
