#pragma once
// What a hub answers to machines that want to be nodes, and to nodes about their certificates:
//   GET  /beacon/v1/identity[?certificate=SERIAL]  -> root key, newest statement, the hub's time; and what became of a certificate
//   POST /beacon/v1/enrol {secret, csr_pem, name, sign_key}  -> {certificate_pem, node, name, municipalities, operator, time}
//   POST /beacon/v1/renew {csr_pem} (with the certificate to be renewed) -> the same
#include "net/http.hpp"
#include "tenants/directory.hpp"

namespace bavn::tenants {

/// trust and directory must outlive the router.
void add_enrolment_routes(net::Router& router, Runtime& runtime, const Trust& trust, Directory& directory);

/// For Router::authenticate: the scope of the peer's certificate; without one, nobody's. A certificate that no longer holds may still ask
/// for the identity, to learn why.
Result<event::Scope> authenticate_node(const Directory& directory, const net::Request& request);

}  // namespace bavn::tenants
