#pragma once
// What was noticed here, on a node's control interface: /api/notices..., and `bavn notices ...`.
#include "net/http.hpp"
#include "notice/desk.hpp"

namespace CLI {
class App;
}

namespace bavn::app {

/// notices must outlive the router.
void add_notice_routes(net::Router& control, notice::Desk& notices);
/// rc: set by the command that runs.
void add_notice_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
