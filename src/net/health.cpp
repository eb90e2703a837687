#include "net/health.hpp"

namespace bavn::net {

void add_health_routes(Router& router, const Metrics& metrics, std::function<Result<void>()> ready) {
  router.get("/livez", Needs::anyone, [](const Request&) { return text("alive\n"); });
  router.get("/readyz", Needs::anyone, [ready = std::move(ready)](const Request&) {
    const auto is = ready();
    if (is) return text("ready\n");
    // Whatever the trouble is called, to who asks it means: not now.
    return problem(Error{Code::unavailable, is.error().what, is.error().where});
  });
  router.get("/metrics", Needs::operate,
             [&metrics](const Request&) { return text(metrics.text(), "text/plain; version=0.0.4; charset=utf-8"); });
}

}  // namespace bavn::net
