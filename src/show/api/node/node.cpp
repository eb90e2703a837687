#include "show/api/node/node.hpp"

namespace bavn::show::api {

void add_node_routes(net::Router& router, std::shared_ptr<const NodeParts> parts, const Proved& proved) {
  const Proved around = proved ? proved : [](net::Handler h) { return h; };
  add_overview_routes(router, parts);
  add_alert_routes(router, parts);
  add_record_routes(router, parts);
  add_hunt_routes(router, parts);
  add_source_routes(router, parts);
  add_rule_routes(router, parts);
  add_indicator_routes(router, parts);
  add_left_us_routes(router, parts);
  add_audit_routes(router, parts);
  add_mandate_routes(router, parts);
  add_warning_routes(router, parts);
  add_notice_routes(router, parts);
  add_purge_routes(router, parts, around);
  add_block_routes(router, parts, around);
  add_contact_routes(router, parts);
  add_settings_routes(router, parts, around);
  add_setup_routes(router, parts, around);
}

}  // namespace bavn::show::api
