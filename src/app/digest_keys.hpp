#pragma once
// Keys of digest epochs between people and machines: `bavn digest-keys ...` for stewards (their own machine, no network), for the hub's owner
// (nodes, install, status) and for a node (pin); and at a node what the hub asked of it: `bavn digests ...`. docs/digests.md.
#include <vector>

#include "base/ids.hpp"
#include "correlate/digest_keys.hpp"
#include "net/http.hpp"
#include "notice/digest_desk.hpp"
#include "store/state.hpp"

namespace CLI {
class App;
}

namespace bavn::app {

/// At a node: /api/digests, /api/reveals. desk and state must outlive the router; with its first municipality when none is asked for.
void add_digest_routes(net::Router& control, Runtime& runtime, store::State& state, notice::DigestDesk& desk,
                       std::vector<MunicipalityId> municipalities);
/// rc: set by the command that runs.
void add_digest_commands(CLI::App& app, int& rc);

}  // namespace bavn::app
