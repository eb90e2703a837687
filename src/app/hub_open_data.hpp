#pragma once
// Where a hub's open data are counted from, and their addresses. Life: as HubExchange. Thread rules: any thread.
#include <functional>
#include <memory>
#include <string>

#include "app/hub_core.hpp"
#include "exchange/open_data/open_data.hpp"

namespace bavn::app {

/// The tables of warnings, campaigns, block lists and indicators, counted.
exchange::CountSource count_source();

Result<std::unique_ptr<exchange::OpenData>> open_data(HubCore& hub, Runtime& runtime, const HubOptions& options);

/// GET /open-data/catalog.jsonld, counts.csv, counts.csv-metadata.json, counts.json: for anybody, when they are published.
void add_open_data(net::Router& router, const exchange::OpenData& data, std::function<std::string()> site);

}  // namespace bavn::app
