#pragma once
// The wiring of src/exchange at a hub: what its parts stand on, and which languages there are.
// Life: after the block lists, before State::start(); gone after State::stop(). Thread rules: as its parts.
#include <memory>

#include "app/hub_core.hpp"
#include "base/guarded.hpp"
#include "exchange/bulletins/bulletins.hpp"
#include "exchange/open_data/open_data.hpp"
#include "exchange/peers/desk.hpp"
#include "exchange/peers/views.hpp"
#include "exchange/subscribers/subscribers.hpp"
#include "exchange/taxii/taxii.hpp"
#include "show/pages/subscribe.hpp"

namespace bavn::app {

struct HubExchange {
  std::unique_ptr<exchange::taxii::Taxii> taxii;  // before the desk, whose pulls use it
  std::unique_ptr<exchange::PeerDesk> peers;
  std::unique_ptr<exchange::Bulletins> bulletins;
  std::unique_ptr<exchange::Subscribers> subscribers;
  std::unique_ptr<show::pages::SubscribeDesk> subscribe_pages;
  std::unique_ptr<exchange::OpenData> open_data;
  std::string name{};           // of the CERT, for people
  exchange::ExportViews views;  // files for partners: one line a language

  static Result<std::unique_ptr<HubExchange>> open(HubCore& hub, Runtime& runtime, const HubOptions& options);
  /// "https://hub.example": where links in mails lead. Known when the web address is.
  void use_site(std::string url) {
    site_.with([&](std::string& s) { s = std::move(url); });
  }
  std::string site() const {
    return site_.with([](const std::string& s) { return s; });
  }
  /// What partners' own programs speak, beside the API.
  void add_web_routes(net::Router& router);

 private:
  void open_subscriptions(HubCore& hub, Runtime& runtime, const HubOptions& options);
  Guarded<std::string> site_;
};

/// How partners' machines are asked, by kind: one line a language.
exchange::Pullers pullers(exchange::taxii::Taxii& taxii, exchange::misp::Misp& misp);

}  // namespace bavn::app
