#pragma once
// The routes that machines ask: GET /livez (the process answers), GET /readyz (it can do its work; 503 with the reason), GET /metrics
// (Prometheus text of every counter; needs the right to operate).
#include <functional>

#include "base/metrics.hpp"
#include "net/http.hpp"

namespace bavn::net {

/// ready: asked at each GET /readyz, quick. metrics lives as long as the router is served.
void add_health_routes(Router& router, const Metrics& metrics, std::function<Result<void>()> ready);

}  // namespace bavn::net
