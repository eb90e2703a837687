#pragma once
// Alerts and sources over HTTP, until src/show has the whole API: GET /api/alerts, /api/alerts/{id}, /api/rules/states, /api/sources;
// POST /api/alerts/{id}/acknowledge, /close {"why"}, /api/rules/states/{rule} {"state","why"}.
#include "alerts/reader.hpp"
#include "live/pipeline.hpp"
#include "live/sources_reader.hpp"
#include "net/http.hpp"

namespace bavn::live {

void add_alert_routes(net::Router& router, alerts::AlertReader& alerts);
/// Also GET /api/alerts/{id}/records: the raw lines of its examples, out of history.
void add_record_routes(net::Router& router, alerts::AlertReader& alerts, const history::History& history);
void add_source_routes(net::Router& router, const SourcesReader& sources, Runtime& runtime);

}  // namespace bavn::live
