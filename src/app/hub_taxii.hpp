#pragma once
// The wiring of src/exchange/taxii at a hub: its part of the desk, who may come in, its routes.
#include <memory>

#include "app/hub_core.hpp"
#include "exchange/taxii/server.hpp"

namespace bavn::app {

/// Before the desk of partners (whose pullers need it) and State::start().
Result<std::unique_ptr<exchange::taxii::Taxii>> open_taxii(Runtime& runtime, store::State& state,
                                                           const HubOptions& options);
/// Partners by their keys; our own people by what they sign in with, or an API key as the password of HTTP Basic.
void add_taxii(net::Router& router, exchange::taxii::Taxii& taxii, const exchange::PartnerKeys& keys);

}  // namespace bavn::app
