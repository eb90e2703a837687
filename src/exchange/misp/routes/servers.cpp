#include <fmt/format.h>

#include "base/json_writer.hpp"
#include "exchange/misp/inner.hpp"

namespace bavn::exchange::misp {

/// servers/ and users/: who we are, and who asks.
std::optional<net::Reply> Misp::Inner::servers(Call& c) {
  std::string out;
  JsonWriter w(out);
  if (c.controller == "users") {
    // A key knows of itself alone.
    if (c.action != "view") return std::nullopt;
    const Org& org = book.own();
    const auto right = [&](std::string_view name, bool has) { w.member(name, has); };
    w.object()
        .key("User")
        .object()
        .member("id", "1")
        .member("org_id", std::to_string(org.id))
        .member("email", c.viewer.who);
    w.member("autoalert", false)
        .member("invited_by", "0")
        .member("nids_sid", "0")
        .member("termsaccepted", true)
        .member("newsread", "0");
    w.member("role_id", "1").member("change_pw", false).member("contactalert", false).member("disabled", false).end();
    w.key("Role").object().member("id", "1").member("name", c.viewer.partner() ? "Partner" : "User");
    right("perm_add", c.viewer.writes);
    right("perm_modify", c.viewer.writes);
    right("perm_modify_org", c.viewer.writes && !c.viewer.partner());
    right("perm_publish", c.viewer.publishes);
    right("perm_sighting", c.viewer.writes);
    right("perm_tagger", c.viewer.writes);
    right("perm_tag_editor", c.viewer.writes);
    right("perm_auth", true);
    for (const std::string_view none :
         {"perm_delegate", "perm_sync", "perm_admin", "perm_audit", "perm_site_admin", "perm_template",
          "perm_sharing_group", "perm_galaxy_editor", "perm_analyst_data", "perm_warninglist"})
      right(none, false);
    w.end().key("UserSetting").object().end().key("Organisation").object().member("id", std::to_string(org.id));
    w.member("name", c.viewer.partner() ? c.viewer.name : org.name).member("uuid", org.uuid).end().end();
    return net::json(std::move(out));
  }
  if (c.action == "getVersion") {
    // Only what is served is said to be: a MISP skips the rest by itself.
    w.object().member("version", version).member("pymisp_recommended_version", version).member("perm_sync", false);
    w.member("perm_sighting", c.viewer.writes).member("perm_galaxy_editor", false).member("perm_analyst_data", false);
    w.member("uuid", book.own().uuid)
        .key("request_encoding")
        .array()
        .value("gzip")
        .end()
        .member("filter_sightings", true)
        .end();
    return net::json(std::move(out));
  }
  if (c.action == "getPyMISPVersion") {
    w.object().member("version", version).end();
    return net::json(std::move(out));
  }
  if (c.action == "postTest" && c.posts()) {
    BAVN_MISP_TRY(const auto body, c, c.body());
    const auto said = [&](std::string_view name) -> std::string {
      const auto* value = c.q.headers.find(name);
      return value == nullptr ? std::string() : value->substr(0, 200);
    };
    w.object().key("body").object().member("testString", body.root()["testString"].text_or({}).substr(0, 1000)).end();
    w.key("headers").object().member("Content-type", said("Content-Type")).member("Accept", said("Accept"));
    w.member("Authorization", "OK").end().end();
    return net::json(std::move(out));
  }
  if (c.action == "index") return net::json("[]");
  return std::nullopt;
}

std::optional<net::Reply> Misp::Inner::others(Call& c) {
  const bool reads =
      c.q.method == net::Method::get || c.q.method == net::Method::head || (c.action == "index" && c.posts());
  if (c.controller == "shadowAttributes" || c.controller == "shadow_attributes") {
    if (c.action == "index" && reads) return net::json("[]");
    return fault(c, 403, "Proposals are not taken here",
                 "Proposals are not taken here: write an event of your own that extends the other (extends_uuid), or "
                 "give a sighting of "
                 "type 1 (false positive).");
  }
  if (c.controller == "organisations" && reads) {
    BAVN_MISP_TRY(const auto orgs, c, state.read([&](store::Reader& r) {
      // A partner sees who we are; who else writes here is said by the events it may see.
      return r.all<Org>(
          "SELECT id, uuid, name, local FROM misp_org WHERE (:all = 1 OR local = 1) ORDER BY id LIMIT 10000",
          {{"all", !c.viewer.partner()}});
    }));
    std::string out;
    JsonWriter w(out);
    const auto one = [&](const Org& o) {
      w.object()
          .key("Organisation")
          .object()
          .member("id", std::to_string(o.id))
          .member("name", o.name)
          .member("uuid", o.uuid);
      w.member("local", o.local).end().end();
    };
    if (c.action == "view") {
      for (const Org& o : orgs)
        if (c.word() == std::to_string(o.id) || c.word() == o.uuid || c.word() == o.name) {
          one(o);
          return net::json(std::move(out));
        }
      return not_there(c, "Invalid organisation");
    }
    if (c.action != "index") return std::nullopt;
    w.array();
    for (const Org& o : orgs) one(o);
    w.end();
    return net::json(std::move(out));
  }
  if (c.action == "index" && reads) {
    if (c.controller == "sharing_groups" || c.controller == "sharingGroups") return net::json("{\"response\":[]}");
    for (const std::string_view none : {"galaxies", "noticelists", "objectTemplates", "eventReports", "roles"})
      if (c.controller == none) return net::json("[]");
  }
  return std::nullopt;
}

}  // namespace bavn::exchange::misp
