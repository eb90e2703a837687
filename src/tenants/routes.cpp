#include "tenants/routes.hpp"

#include "base/encoding.hpp"
#include "net/json_views.hpp"
#include "tenants/wire.hpp"

namespace bavn::tenants {

namespace {

constexpr std::size_t kMaxAsk = 32 * 1024;

net::Reply answer(const Result<Enrolled>& enrolled, Instant now) {
  if (!enrolled) return net::problem(enrolled.error());
  return net::json(net::to_json(EnrolledView{enrolled->certificate_pem, enrolled->node.value, enrolled->name,
                                             enrolled->municipalities, enrolled->by, now}));
}

}  // namespace

void add_enrolment_routes(net::Router& router, Runtime& runtime, const Trust& trust, Directory& directory) {
  router.get("/beacon/v1/identity", net::Needs::anyone, [&](const net::Request& request) {
    IdentityView view{trust.root().text(), trust.statements().back(), runtime.now(), {}};
    if (const auto serial = request.asked("certificate")) {
      const auto scope = directory.scope_of(std::string(*serial));
      view.certificate = scope ? "holds" : scope.error().what;
    }
    return net::json(net::to_json(view));
  });
  router.post("/beacon/v1/enrol", net::Needs::anyone,
              [&](const net::Request& request) {
                const auto view = net::from_json<EnrolView>(request.body, net::Unknown::refuse);
                if (!view) return net::problem(view.error());
                const auto secret = from_base32(view->secret);
                if (!secret) return net::problem(secret.error());
                return answer(
                    directory.enrol({*secret, view->csr_pem, view->name, view->sign_key}, request.peer.address),
                    runtime.now());
              },
              {.max_body = kMaxAsk});
  router.post("/beacon/v1/renew", net::Needs::follow,
              [&](const net::Request& request) {
                const auto view = net::from_json<RenewView>(request.body, net::Unknown::refuse);
                if (!view) return net::problem(view.error());
                return answer(directory.renew(request.peer.certificate_serial, view->csr_pem), runtime.now());
              },
              {.max_body = kMaxAsk});
}

Result<event::Scope> authenticate_node(const Directory& directory, const net::Request& request) {
  if (request.peer.certificate_serial.empty() || request.path == "/beacon/v1/identity")
    return event::Scope("nobody", {}, 0, event::Tlp::clear);
  return directory.scope_of(request.peer.certificate_serial);
}

}  // namespace bavn::tenants
