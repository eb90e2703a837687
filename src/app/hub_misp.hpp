#pragma once
// The wiring of exchange/misp at a hub: what its events give to the indicators, and whose name they stand in.
#include <memory>

#include "app/hub_core.hpp"
#include "exchange/misp/misp.hpp"

namespace bavn::app {

/// Before the desk of partners, which is given its pullers.
Result<std::unique_ptr<exchange::misp::Misp>> open_misp(HubCore& hub, Runtime& runtime, const HubOptions& options);
/// Behind the desk and before State::start(). desk: null, there are no partners.
Result<void> connect_misp(HubCore& hub, exchange::misp::Misp& misp, exchange::PeerDesk* desk);

}  // namespace bavn::app
