#include <fmt/format.h>

#include "base/text.hpp"
#include "exchange/misp/inner.hpp"

namespace bavn::exchange::misp {

std::optional<net::Reply> Misp::Inner::objects(Call& c) {
  Render render(book, c.viewer);
  RenderOptions o;
  o.local_tags = !c.viewer.partner();
  if (c.action == "restSearch") return search(c, Scope::objects);
  const auto answer_with = [&](std::string_view id) -> net::Reply {
    BAVN_MISP_TRY(const auto row, c, book.object(c.viewer, id));
    if (!row) return not_there(c, "Invalid object");
    BAVN_MISP_TRY(const auto text, c, render.object(*row, o));
    return net::json("{\"Object\":" + text + "}");
  };
  if (c.action == "view") return answer_with(c.word());
  const bool deletes = c.action == "delete" && (c.posts() || c.q.method == net::Method::del);
  if (!c.posts() && !deletes) return std::nullopt;
  if (c.action == "add") {
    BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, c.word()));
    if (!e) return not_there(c, "Invalid event");
    if (!Book::may_edit(c.viewer, *e)) return not_yours(c);
    const auto id = book.add_object(c.viewer, *e, c.q.body);
    if (!id && id.error().code == Code::bad_input) return fault(c, 403, "Could not add object", id.error().what);
    if (!id) return fault(c, id.error());
    return answer_with(std::to_string(*id));
  }
  if (c.action != "edit" && !deletes) return std::nullopt;
  BAVN_MISP_TRY(const auto row, c, book.object(c.viewer, c.word()));
  if (!row) return not_there(c, "Invalid object");
  BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, std::to_string(row->event)));
  if (!e) return not_there(c, "Invalid object");
  if (!Book::may_edit(c.viewer, *e)) return not_yours(c);
  if (deletes) {
    bool hard = c.name("hard") == "1" || c.word(1) == "1";
    if (const auto body = c.body(); body && !hard) hard = truth(body->root()["hard"]).value_or(false);
    BAVN_MISP_CHECK(c, book.delete_object(c.viewer, *e, *row, hard));
    return done(c, "Object deleted.", std::to_string(row->id));
  }
  BAVN_MISP_CHECK(c, book.edit_object(c.viewer, *e, *row, c.q.body));
  return answer_with(row->uuid);
}

std::optional<net::Reply> Misp::Inner::references(Call& c) {
  Render render(book, c.viewer);
  const bool deletes = c.action == "delete" && (c.posts() || c.q.method == net::Method::del);
  if (c.action == "add" && c.posts()) {
    BAVN_MISP_TRY(const auto body, c, c.body());
    const net::JsonValue v = body.root()["ObjectReference"].is_object() ? body.root()["ObjectReference"] : body.root();
    std::string object(c.word());
    for (const std::string_view key : {"object_uuid", "object_id"})
      if (object.empty()) object = scalar(v[key]);
    BAVN_MISP_TRY(const auto row, c, book.object(c.viewer, object));
    if (!row) return not_there(c, "Invalid object");
    BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, std::to_string(row->event)));
    if (!e) return not_there(c, "Invalid object");
    if (!Book::may_edit(c.viewer, *e)) return not_yours(c);
    BAVN_MISP_TRY(auto r, c, read_reference(v));
    BAVN_MISP_TRY(const auto id, c, book.add_reference(c.viewer, *e, *row, std::move(r)));
    BAVN_MISP_TRY(const auto text, c, render.reference(id));
    return net::json("{\"ObjectReference\":" + text + "}");
  }
  if (deletes || c.action == "view") {
    BAVN_MISP_TRY(const auto found_row, c, state.read([&](store::Reader& r) {
      return r.all<std::int64_t>(fmt::format("SELECT id FROM misp_reference WHERE {}",
                                             is_uuid(c.word()) ? "uuid = :i" : "id = CAST(:i AS INTEGER)"),
                                 {{"i", to_lower(c.word())}});
    }));
    if (found_row.empty()) return not_there(c, "Invalid object reference");
    BAVN_MISP_TRY(const auto event_id, c, state.read([&](store::Reader& r) {
      return r.number("SELECT event FROM misp_reference WHERE id = :i", {{"i", found_row.front()}});
    }));
    BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, std::to_string(event_id)));
    if (!e) return not_there(c, "Invalid object reference");
    if (c.action == "view") {
      BAVN_MISP_TRY(const auto text, c, render.reference(found_row.front()));
      return net::json("{\"ObjectReference\":" + text + "}");
    }
    if (!Book::may_edit(c.viewer, *e)) return not_yours(c);
    bool hard = c.name("hard") == "1" || c.word(1) == "1" || c.word(1) == "true";
    BAVN_MISP_CHECK(c, book.delete_reference(c.viewer, *e, found_row.front(), hard));
    return done(c, "ObjectReference deleted", std::to_string(found_row.front()));
  }
  return std::nullopt;
}

}  // namespace bavn::exchange::misp
