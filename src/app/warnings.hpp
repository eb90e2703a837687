#pragma once
// Warnings and questions about exposure: the routes of a node, the commands that ask hub and node, and what puts notify behind a node's
// `Deliver` and a hub's `Remind`.
// Thread rules: handlers run on the server's queue; what is given must outlive the router.
#include <memory>

#include "base/catalogue.hpp"
#include "base/runtime.hpp"
#include "net/http.hpp"
#include "notify/notify.hpp"
#include "store/state.hpp"
#include "warn/desk.hpp"
#include "warn/never_block.hpp"
#include "warn/node_desk.hpp"

namespace CLI {
class App;
}

namespace bavn::app {

void add_warning_routes_node(net::Router& control, store::State& state, warn::NodeDesk& desk,
                             std::vector<MunicipalityId> municipalities);
/// `bavn warnings`, `bavn exposure`. rc: set by the command that runs.
void add_warning_commands(CLI::App& app, int& rc);

/// A node's people, by their contact cards. notify must outlive it.
warn::Deliver warning_delivery(notify::Notify& notify);
/// The hub's own ways to a municipality whose node does not answer.
warn::Remind warning_reminder(notify::Notify& notify);
/// For the outbox's "message.delivered": the first message about a warning that reached a person makes it warned.
Result<void> note_told(store::State& state, warn::NodeDesk& desk, const store::DomainEvent& event);

}  // namespace bavn::app
