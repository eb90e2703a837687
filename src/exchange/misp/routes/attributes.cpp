#include <fmt/format.h>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/misp/inner.hpp"
#include "exchange/misp/types.hpp"

namespace bavn::exchange::misp {

std::optional<net::Reply> Misp::Inner::attributes(Call& c) {
  Render render(book, c.viewer);
  RenderOptions o;
  o.local_tags = !c.viewer.partner();
  if (c.action == "describeTypes") return net::json(describe_types());
  if (c.action == "restSearch") return search(c, Scope::attributes);
  if (c.action == "index") {
    Search s;
    s.scope = Scope::attributes;
    s.limit = 60;
    if (const auto n = c.name("limit"); !n.empty() && n.size() < 6 && std::all_of(n.begin(), n.end(), ascii_digit))
      s.limit = std::clamp<std::int64_t>(std::stoll(std::string(n)), 1, 10'000);
    if (const auto n = c.name("page"); !n.empty() && n.size() < 7 && std::all_of(n.begin(), n.end(), ascii_digit))
      s.page = std::max<std::int64_t>(1, std::stoll(std::string(n)));
    BAVN_MISP_TRY(const auto ids, c, found(book, c.viewer, s));
    std::string out = "[";
    for (const std::int64_t id : ids) {
      BAVN_MISP_TRY(const auto a, c, book.attribute(c.viewer, std::to_string(id)));
      if (!a) continue;
      BAVN_MISP_TRY(const auto text, c, render.attribute(*a, {.attachments = false}));
      out += (out.size() > 1 ? "," : "") + text;
    }
    return net::json(out + "]");
  }
  const auto answer_with = [&](std::string_view id) -> net::Reply {
    BAVN_MISP_TRY(const auto a, c, book.attribute(c.viewer, id));
    if (!a) return done(c, "The attribute was saved; its marking is above what this key may read.", id);
    BAVN_MISP_TRY(const auto text, c, render.attribute(*a, o));
    return net::json("{\"Attribute\":" + text + "}");
  };
  if (c.action == "view") {
    BAVN_MISP_TRY(const auto a, c, book.attribute(c.viewer, c.word()));
    if (!a) return not_there(c, "Invalid attribute");
    return answer_with(c.word());
  }
  const bool deletes = c.action == "delete" && (c.posts() || c.q.method == net::Method::del);
  if (!c.posts() && !deletes) return std::nullopt;
  if (c.action == "add") {
    BAVN_MISP_TRY(const auto body, c, c.body());
    std::string id(c.word());
    if (id.empty()) id = scalar(body.root()["event_id"]);
    BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, id));
    if (!e) return not_there(c, "Invalid event");
    if (!Book::may_edit(c.viewer, *e)) return not_yours(c);
    const net::JsonValue root = body.root();
    // A list of values of one type is a list of attributes, too.
    const bool list = root.is_array();
    std::vector<AttributeIn> all;
    std::vector<std::pair<std::size_t, std::string>> errors;
    std::vector<std::size_t> place;
    std::size_t n = 0;
    BAVN_MISP_TRY(const auto on, c, switches("warninglist"));
    const auto one = [&](net::JsonValue v) {
      auto a = read_attribute(v);
      if (a && truth(v["enforceWarninglist"]).value_or(false) && !listed(a->value, a->type, on).empty())
        a = fail(Code::bad_input, "the value trips over a warninglist and enforceWarninglist is enforced");
      if (a) {
        all.push_back(std::move(*a));
        place.push_back(n);
      } else {
        errors.emplace_back(n, a.error().what);
      }
      ++n;
    };
    if (list && root.size() > 100'000)
      return fault(c, 400, "Bad Request", "more than 100,000 attributes in one request");
    if (list)
      for (const net::JsonValue v : root) one(v);
    else one(root);
    BAVN_MISP_TRY(const auto added, c,
                  book.add_attributes(c.viewer, *e, 0, std::move(all), c.name("breakOnDuplicate") == "0"));
    for (const auto& [at, reason] : added.errors) errors.emplace_back(place[at], reason);
    if (!list) {
      if (!errors.empty()) {
        std::string out;
        JsonWriter w(out);
        w.object()
            .member("saved", false)
            .member("name", "Could not add Attribute")
            .member("message", "Could not add Attribute");
        w.member("url", c.q.path)
            .key("errors")
            .object()
            .key("value")
            .array()
            .value(errors.front().second)
            .end()
            .end()
            .end();
        return net::json(std::move(out), 403);
      }
      return answer_with(std::to_string(added.ids.front()));
    }
    std::string out = "{";
    std::string rows;
    for (const std::int64_t added_id : added.ids) {
      BAVN_MISP_TRY(const auto a, c, book.attribute(c.viewer, std::to_string(added_id)));
      if (!a) continue;
      BAVN_MISP_TRY(const auto text, c, render.attribute(*a, o));
      rows += (rows.empty() ? "" : ",") + text;
    }
    if (!rows.empty()) out += n == 1 ? "\"Attribute\":" + rows : "\"Attribute\":[" + rows + "]";
    if (!errors.empty()) {
      JsonWriter w(out += rows.empty() ? "\"errors\":" : ",\"errors\":");
      w.object();
      for (const auto& [at, reason] : errors)
        w.key(fmt::format("attribute_{}", at)).object().key("value").array().value(reason).end().end();
      w.end();
    }
    return net::json(out + "}");
  }
  if (c.action == "edit" || deletes || c.action == "restore" || c.action == "addTag" || c.action == "removeTag") {
    if (c.action == "addTag" || c.action == "removeTag") {
      std::string tag(c.word(1));
      if (const auto body = c.body(); body && tag.empty()) {
        tag = scalar(body->root()["tag"]);
        if (tag.empty()) tag = scalar(body->root()["Attribute"]["tag"]);
      }
      return tag_of(c, c.word(), tag, false, {}, c.action == "addTag");
    }
    BAVN_MISP_TRY(const auto a, c, book.attribute(c.viewer, c.word()));
    if (!a) return not_there(c, "Invalid attribute");
    BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, std::to_string(a->event)));
    if (!e) return not_there(c, "Invalid attribute");
    if (!Book::may_edit(c.viewer, *e)) return not_yours(c);
    if (c.action == "edit") {
      BAVN_MISP_TRY(const auto body, c, c.body());
      const net::JsonValue given = body.root()["Attribute"].is_object() ? body.root()["Attribute"] : body.root();
      if (!given.is_object()) return fault(c, 400, "Bad Request", "an attribute is a JSON object");
      BAVN_MISP_CHECK(c, book.edit_attribute(c.viewer, *e, *a, given.to_text()));
      return answer_with(a->uuid);
    }
    bool hard = c.name("hard") == "1" || c.word(1) == "1";
    if (const auto body = c.body(); body && !hard) hard = truth(body->root()["hard"]).value_or(false);
    BAVN_MISP_CHECK(c, book.delete_attribute(c.viewer, *e, *a, hard, c.action == "restore"));
    if (c.action == "restore") return answer_with(a->uuid);
    return done(c, "Attribute deleted.", std::to_string(a->id));
  }
  return std::nullopt;
}

}  // namespace bavn::exchange::misp
