#include <fmt/format.h>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/misp/inner.hpp"

namespace bavn::exchange::misp {

namespace {

struct TagCount {
  std::int64_t id = 0;
  std::string name, colour;
  bool exportable = true;
};
BOOST_DESCRIBE_STRUCT(TagCount, (), (id, name, colour, exportable))

/// A name of a tag tells something of the event it is on. What is on none is a vocabulary of ours, or what our people made.
std::string tag_visible(const Viewer& v) {
  return fmt::format(
      "({}EXISTS (SELECT 1 FROM misp_tagged t JOIN misp_event e ON e.id = t.event LEFT JOIN misp_attribute a ON a.id = "
      "t.attribute "
      "WHERE t.tag = g.id AND {} AND (t.attribute = 0 OR {}){}))",
      v.partner() ? "" : "NOT EXISTS (SELECT 1 FROM misp_tagged t WHERE t.tag = g.id) OR ", event_visible(v),
      part_visible(v, "a", true), v.partner() ? " AND t.local = 0" : "");
}

void write(JsonWriter& w, const TagCount& t) {
  w.object()
      .member("id", std::to_string(t.id))
      .member("name", t.name)
      .member("colour", t.colour)
      .member("exportable", t.exportable);
  w.member("org_id", "0").member("user_id", "0").member("hide_tag", false).key("numerical_value").null();
  w.member("is_galaxy", t.name.starts_with("misp-galaxy:"))
      .member("is_custom_galaxy", false)
      .member("local_only", false)
      .end();
}

}  // namespace

net::Reply Misp::Inner::tag_of(Call& c, std::string_view id, std::string_view tag, bool local,
                               std::string_view relationship, bool attach) {
  // A name, or the number of a tag that is here.
  std::string name(trim(tag));
  if (!c.viewer.partner() && !name.empty() && name.size() <= 18 && std::all_of(name.begin(), name.end(), ascii_digit)) {
    BAVN_MISP_TRY(const auto named, c, state.read([&](store::Reader& r) {
      return r.all<std::string>("SELECT name FROM misp_tag WHERE id = CAST(:i AS INTEGER)", {{"i", name}});
    }));
    if (named.empty()) return not_there(c, "Invalid tag");
    name = named.front();
  }
  if (name.empty()) return fault(c, 400, "Bad Request", "which tag? give its name");
  BAVN_MISP_TRY(auto e, c, book.event(c.viewer, id));
  std::int64_t attribute = 0;
  std::string uuid = e ? e->uuid : std::string();
  // Numbers of events and attributes may be the same: only the controller says which is meant.
  if (c.controller == "attributes" || !e) {
    BAVN_MISP_TRY(const auto a, c, book.attribute(c.viewer, id));
    if (!a) return not_there(c, "Invalid Target.");
    attribute = a->id;
    uuid = a->uuid;
    BAVN_MISP_TRY(e, c, book.event(c.viewer, std::to_string(a->event)));
    if (!e) return not_there(c, "Invalid Target.");
  }
  if (!Book::may_edit(c.viewer, *e)) return not_yours(c);
  const std::string_view what = attribute != 0 ? "Attribute" : "Event";
  if (attach) {
    TagIn t;
    t.name = name;
    t.local = local;
    t.relationship = std::string(relationship.substr(0, 200));
    if (name.size() > 1024) return fault(c, 400, "Bad Request", "the name of a tag has at most 1,024 bytes");
    BAVN_MISP_CHECK(c, book.tag(c.viewer, *e, attribute, t));
    return done(c, fmt::format("{} tag {} successfully attached to {}({}).", local ? "Local" : "Global", name, what,
                               attribute != 0 ? attribute : e->id));
  }
  BAVN_MISP_TRY(const bool was, c, book.untag(c.viewer, *e, attribute, name));
  if (!was) return not_there(c, "Invalid tag or it is not attached");
  return done(c,
              fmt::format("Tag {} successfully removed from {}({}).", name, what, attribute != 0 ? attribute : e->id));
}

std::optional<net::Reply> Misp::Inner::tags(Call& c) {
  const std::string q = fmt::format("{{\"v\":{}}}", viewer_json(c.viewer));
  if (c.action == "index" || c.action == "search") {
    std::string pattern(c.action == "search" ? c.word() : c.name("searchall"));
    bool strict = false;
    if (const auto body = c.body(); body && c.action == "search") {
      if (const std::string s = scalar(body->root()["tagname"]); !s.empty()) pattern = s;
      else if (const std::string t = scalar(body->root()["tag"]); !t.empty()) pattern = t;
      strict = truth(body->root()["strict_tagname"]).value_or(false);
    }
    std::string like = "%";
    if (c.action == "search" || !pattern.empty()) {
      if (pattern.find('%') != std::string::npos || strict || c.action == "search") like = pattern;
      else like = "%" + pattern + "%";
    }
    BAVN_MISP_TRY(const auto rows, c, state.read([&](store::Reader& r) {
      return r.all<TagCount>(
          fmt::format("SELECT g.id, g.name, g.colour, g.exportable FROM misp_tag g WHERE g.name LIKE :p "
                      "AND {} ORDER BY g.name LIMIT 50000",
                      tag_visible(c.viewer)),
          {{"p", like}, {"q", q}});
    }));
    std::string out;
    JsonWriter w(out);
    if (c.action == "index") w.object().key("Tag");
    w.array();
    for (const TagCount& t : rows) {
      if (c.action == "search") {
        w.object().key("Tag");
        write(w, t);
        w.key("Taxonomy").array().end().end();
      } else {
        write(w, t);
      }
    }
    w.end();
    if (c.action == "index") w.end();
    return net::json(std::move(out));
  }
  if (c.action == "view") {
    BAVN_MISP_TRY(const auto rows, c, state.read([&](store::Reader& r) {
      return r.all<TagCount>(
          fmt::format("SELECT g.id, g.name, g.colour, g.exportable FROM misp_tag g WHERE g.id = CAST(:i AS "
                      "INTEGER) AND {}",
                      tag_visible(c.viewer)),
          {{"i", c.word()}, {"q", q}});
    }));
    if (rows.empty()) return not_there(c, "Invalid tag");
    std::string out;
    JsonWriter w(out);
    write(w, rows.front());
    return net::json(std::move(out));
  }
  if (!c.posts()) return std::nullopt;
  BAVN_MISP_TRY(const auto body, c, c.body());
  if (c.action == "attachTagToObject" || c.action == "removeTagFromObject") {
    std::string id = scalar(body.root()["uuid"]), tag = scalar(body.root()["tag"]);
    if (id.empty()) id = c.word(0);
    if (tag.empty()) tag = c.word(1);
    if (tag.empty() && body.root()["tags"].is_array()) tag = scalar(body.root()["tags"].at(0));
    if (!is_uuid(id)) return fault(c, 400, "Bad Request", "a tag is attached to a uuid");
    return tag_of(c, id, tag, truth(body.root()["local"]).value_or(false), body.root()["relationship_type"].text_or({}),
                  c.action == "attachTagToObject");
  }
  if (c.action == "add") {
    if (!c.viewer.writes) return fault(c, 403, "Not permitted here", "this key may not write");
    const auto t = read_tag(body.root());
    if (!t) return fault(c, 400, "Bad Request", "a tag has a name of 1 to 1,024 bytes");
    BAVN_MISP_TRY(const auto id, c, book.make_tag(*t));
    BAVN_MISP_TRY(const auto rows, c, state.read([&](store::Reader& r) {
      return r.all<TagCount>("SELECT id, name, colour, exportable FROM misp_tag WHERE id = :i", {{"i", id}});
    }));
    std::string out;
    JsonWriter w(out);
    w.object().key("Tag");
    write(w, rows.at(0));
    w.end();
    return net::json(std::move(out));
  }
  return std::nullopt;
}

}  // namespace bavn::exchange::misp
