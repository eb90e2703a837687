#include <fmt/format.h>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/misp/inner.hpp"

namespace bavn::exchange::misp {

namespace {
constexpr std::size_t kMostSighted = 1000;  // attributes of one value; more is a list of something common
constexpr std::int64_t kMostShown = 100'000;

/// Sightings of what the viewer may see.
std::string visible_sightings(const Viewer& v) {
  return fmt::format(
      "FROM misp_sighting s JOIN misp_event e ON e.id = s.event JOIN misp_attribute a ON a.id = s.attribute WHERE {} "
      "AND {} AND {}",
      event_visible(v), part_visible(v, "a", true), sighting_visible(v, "s"));
}
}  // namespace

std::optional<net::Reply> Misp::Inner::sightings(Call& c) {
  Render render(book, c.viewer);
  const std::string q = fmt::format("{{\"v\":{}}}", viewer_json(c.viewer));
  if (c.action == "add" && c.posts()) {
    BAVN_MISP_TRY(const auto body, c, c.body());
    const net::JsonValue v = body.root()["Sighting"].is_object() ? body.root()["Sighting"] : body.root();
    if (!c.viewer.writes)
      return fault(c, 403, "Not permitted here", "this key may not write, and a sighting is a word of ours");
    BAVN_MISP_TRY(auto s, c, read_sighting(v));
    std::vector<AttributeRow> attributes;
    std::string id(c.word());
    // The uuid in a body is the attribute's for old clients, the sighting's own when the attribute is named otherwise.
    if (id.empty()) id = scalar(v["attribute_uuid"]);
    if (id.empty()) id = scalar(v["uuid"]);
    else s.uuid = uuid_in(v["uuid"].text_or({}));
    if (id == s.uuid) s.uuid.clear();
    if (id.empty()) id = scalar(v["id"]);
    if (id.empty()) id = scalar(v["attribute_id"]);
    if (!id.empty()) {
      BAVN_MISP_TRY(auto a, c, book.attribute(c.viewer, id));
      if (!a) return not_there(c, "Invalid attribute");
      attributes.push_back(std::move(*a));
    } else {
      Search search_for;
      search_for.scope = Scope::attributes;
      search_for.limit = kMostSighted;
      for (const std::string_view key : {"value", "values"}) {
        const Words w = words_of(v[key]);
        for (const auto& word : w.any) {
          // A value is what it is: no wildcard.
          if (word.find('%') == std::string::npos) search_for.value.any.push_back(word);
        }
      }
      if (search_for.value.any.empty())
        return fault(c, 400, "Bad Request", "a sighting names an attribute (id, uuid) or values");
      BAVN_MISP_TRY(const auto ids, c, found(book, c.viewer, search_for));
      for (const std::int64_t each : ids) {
        BAVN_MISP_TRY(auto a, c, book.attribute(c.viewer, std::to_string(each)));
        if (a) attributes.push_back(std::move(*a));
      }
      if (attributes.empty())
        return fault(c, 403, "Could not add Sighting. Reason: No valid attributes found that match the criteria.",
                     "Could not add Sighting. Reason: No valid attributes found that match the criteria.");
    }
    BAVN_MISP_TRY(const auto made, c, book.add_sightings(c.viewer, attributes, std::move(s)));
    BAVN_MISP_TRY(const auto row, c, state.read([&](store::Reader& r) {
      return r.all<SightingRow>(fmt::format("SELECT {} FROM misp_sighting s WHERE s.id = :i", kSightingColumns),
                                {{"i", made.front()}});
    }));
    BAVN_MISP_TRY(const auto text, c, render.sighting(row.at(0)));
    return net::json("{\"Sighting\":" + text + "}");
  }
  if (c.action == "listSightings" || c.action == "index") {
    BAVN_MISP_TRY(const auto body, c, c.body());
    const std::string context = scalar(body.root()["context"]);
    std::string id = scalar(body.root()["id"]);
    if (id.empty()) id = c.word();
    std::string where;
    std::int64_t subject = 0;
    if (c.action == "listSightings" || !id.empty()) {
      if (context == "event" || (context.empty() && c.action == "index")) {
        BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, id));
        if (!e) return not_there(c, "Invalid event");
        where = " AND s.event = :id";
        subject = e->id;
      } else {
        BAVN_MISP_TRY(const auto a, c, book.attribute(c.viewer, id));
        if (!a) return not_there(c, "Invalid attribute");
        where = " AND s.attribute = :id";
        subject = a->id;
      }
    } else {
      where = " AND s.id > :id";
    }
    BAVN_MISP_TRY(const auto rows, c, state.read([&](store::Reader& r) {
      return r.all<SightingRow>(fmt::format("SELECT {} {}{} ORDER BY s.id DESC LIMIT 10000", kSightingColumns,
                                            visible_sightings(c.viewer), where),
                                {{"q", q}, {"id", subject}});
    }));
    std::string out = "[";
    for (const SightingRow& row : rows) {
      BAVN_MISP_TRY(const auto text, c, render.sighting(row));
      out += fmt::format("{}{}", out.size() > 1 ? "," : "", text);
    }
    return net::json(out + "]");
  }
  if (c.action == "restSearch") {
    BAVN_MISP_TRY(const auto body, c, c.body());
    const net::JsonValue b = body.root();
    const std::string context(c.word());
    std::string where;
    std::vector<std::string> ids;
    for (const std::string_view key : {"id", "uuid", "eventid"}) {
      const Words w = words_of(b[key]);
      ids.insert(ids.end(), w.any.begin(), w.any.end());
    }
    std::string listed_ids;
    JsonWriter w(listed_ids);
    w.object().key("v").raw(viewer_json(c.viewer)).key("ids").array();
    for (const auto& id : ids) w.value(to_lower(id));
    w.end().key("source").value(scalar(b["source"])).end();
    if (!ids.empty()) {
      const bool of_attributes = context == "attribute";
      where += fmt::format(
          " AND s.{} IN (SELECT x.id FROM {} x WHERE x.uuid IN (SELECT value FROM json_each(:q, '$.ids')) OR x.id IN "
          "(SELECT CAST(value AS INTEGER) FROM json_each(:q, '$.ids') WHERE value NOT LIKE '%-%'))",
          of_attributes ? "attribute" : "event", of_attributes ? "misp_attribute" : "misp_event");
    }
    const auto type = number(b["type"]);
    if (type) where += fmt::format(" AND s.type = {}", *type);
    if (!scalar(b["source"]).empty()) where += " AND s.source = json_extract(:q, '$.source')";
    BAVN_MISP_TRY(const auto from, c, range_of(b["from"], runtime.now()));
    BAVN_MISP_TRY(const auto to, c, range_of(b["to"], runtime.now()));
    BAVN_MISP_TRY(const auto last, c, range_of(b["last"], runtime.now()));
    if (from.from) where += fmt::format(" AND s.at >= {}", *from.from);
    if (to.from) where += fmt::format(" AND s.at <= {}", *to.from);
    if (last.from) where += fmt::format(" AND s.at >= {}", *last.from);
    if (last.to) where += fmt::format(" AND s.at <= {}", *last.to);
    if (const auto org = number(b["org_id"])) where += fmt::format(" AND s.org = {}", *org);
    Sink out = sink();
    out.text() += "{\"response\":[";
    bool first = true;
    std::int64_t shown = 0;
    for (std::int64_t after = 0; shown < kMostShown;) {
      BAVN_MISP_TRY(const auto rows, c, state.read([&](store::Reader& r) {
        return r.all<SightingRow>(fmt::format("SELECT {} {}{} AND s.id > :after ORDER BY s.id LIMIT 1000",
                                              kSightingColumns, visible_sightings(c.viewer), where),
                                  {{"q", listed_ids}, {"after", after}});
      }));
      for (const SightingRow& row : rows) {
        BAVN_MISP_TRY(std::string text, c, render.sighting(row));
        text.pop_back();
        BAVN_MISP_TRY(const auto a, c, book.attribute(c.viewer, std::to_string(row.attribute)));
        BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, std::to_string(row.event)));
        if (!a || !e) continue;
        text += fmt::format(",\"attribute_uuid\":\"{}\",\"event_uuid\":\"{}\"", a->uuid, e->uuid);
        if (truth(b["includeAttribute"]).value_or(false)) {
          BAVN_MISP_TRY(const auto of, c, render.attribute(*a, {.attachments = false}));
          text += ",\"Attribute\":" + of;
        }
        if (truth(b["includeEvent"]).value_or(false)) {
          BAVN_MISP_TRY(const auto of, c, render.head(*e, {.parts = false}));
          text += ",\"Event\":" + of;
        }
        out.text() += fmt::format("{}{{\"Sighting\":{}}}}}", first ? "" : ",", text);
        first = false;
        ++shown;
      }
      BAVN_MISP_CHECK(c, out.settle());
      if (rows.size() < 1000) break;
      after = rows.back().id;
    }
    out.text() += "]}";
    BAVN_MISP_TRY(auto reply, c, out.reply());
    return reply;
  }
  if (c.action == "delete" && (c.posts() || c.q.method == net::Method::del)) {
    if (!c.viewer.writes) return fault(c, 403, "Not permitted here", "this key may not write");
    const std::string id = to_lower(c.word());
    BAVN_MISP_TRY(const auto rows, c, state.read([&](store::Reader& r) {
      return r.all<std::int64_t>(
          fmt::format("SELECT id FROM misp_sighting WHERE {}", is_uuid(id) ? "uuid = :i" : "id = CAST(:i AS INTEGER)"),
          {{"i", id}});
    }));
    if (rows.empty()) return not_there(c, "Invalid sighting");
    BAVN_MISP_TRY(const bool gone, c, book.delete_sighting(c.viewer, rows.front()));
    if (!gone) return fault(c, 403, "Not permitted here", "a sighting is taken back by who gave it");
    return done(c, "Sighting successfully deleted.");
  }
  if (c.action == "filterSightingUuidsForPush" || c.action == "bulkSaveSightings")
    return fault(c, 403, "Push is not taken here",
                 "perm_sync is false: give sightings one by one with a key that may write");
  return std::nullopt;
}

}  // namespace bavn::exchange::misp
