#pragma once
// The wiring of src/exchange at a hub: what its parts stand on, and which languages there are.
// Life: after the block lists, before State::start(); gone after State::stop(). Thread rules: as its parts.
#include <memory>

#include "app/hub_core.hpp"
#include "exchange/bulletins/bulletins.hpp"
#include "exchange/peers/desk.hpp"
#include "exchange/peers/views.hpp"
#include "exchange/taxii/taxii.hpp"

namespace bavn::app {

struct HubExchange {
  std::unique_ptr<exchange::taxii::Taxii> taxii;  // before the desk, whose pulls use it
  std::unique_ptr<exchange::PeerDesk> peers;
  std::unique_ptr<exchange::Bulletins> bulletins;
  std::string name{};           // of the CERT, for people
  exchange::ExportViews views;  // files for partners: one line a language

  static Result<std::unique_ptr<HubExchange>> open(HubCore& hub, Runtime& runtime, const HubOptions& options);
  /// What partners' own programs speak, beside the API.
  void add_web_routes(net::Router& router);
};

/// How partners' machines are asked, by kind: one line a language.
exchange::Pullers pullers(exchange::taxii::Taxii& taxii);

}  // namespace bavn::app
