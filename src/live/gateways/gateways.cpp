#include "live/gateways/gateways.hpp"

namespace bavn::live {

GatewayOptions GatewayOptions::from(const Settings& s) {
  GatewayOptions o;
  o.elastic_version = s.text("intake.elastic_version");
  o.hec_query_token = s.flag("intake.hec_query_token");
  return o;
}

input::Delivery delivery_of(const Gateways& gateways, const IntakeToken& token) {
  input::Delivery d;
  d.source = "http." + token.source;
  d.municipality = MunicipalityId{static_cast<std::uint16_t>(token.municipality)};
  d.tenant = TenantId{static_cast<std::uint16_t>(token.tenant)};
  if (!token.format.empty() && (!gateways.options.reads_documents || gateways.options.reads_documents(token.format)))
    d.format = token.format;
  d.line_is_record = true;
  return d;
}

}  // namespace bavn::live
