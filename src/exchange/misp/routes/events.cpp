#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/misp/inner.hpp"
#include "exchange/misp/types.hpp"

namespace bavn::exchange::misp {

namespace {

/// /deleted[]:0/deleted[]:1, {"deleted": 1}
Deleted deleted_of(const Call& c) {
  std::set<std::string> said;
  for (const auto& [k, v] : c.named)
    if (k == "deleted[]" || k == "deleted") said.insert(v);
  if (said.empty() && c.posts() && c.action == "view")  // other bodies may be events of a hundred megabytes
    if (const auto body = c.body())
      if (const auto d = body->root()["deleted"]; d)
        return d.is_array() ? Deleted::with : truth(d).value_or(false) ? Deleted::with : Deleted::no;
  if (said.contains("only")) return Deleted::only;
  if (said.size() > 1) return Deleted::with;
  return said.contains("1") || said.contains("true") ? Deleted::with : Deleted::no;
}

RenderOptions shown(const Call& c) {
  RenderOptions o;
  o.deleted = deleted_of(c);
  o.galaxy = c.name("excludeGalaxy") != "1";
  o.local_tags = c.name("excludeLocalTags") != "1" && !c.viewer.partner();
  o.sightings = c.name("includeSightings") == "1";
  return o;
}

/// What was not taken stands beside the event; PyMISP would take "errors" for a refusal.
void add_dropped(std::string& head, const Put& put) {
  if (put.dropped == 0) return;
  std::string out;
  JsonWriter w(out);
  w.object().member("count", put.dropped).key("list").array();
  for (const Dropped& d : put.list)
    w.object().member("what", d.what).member("uuid", d.object).member("reason", d.reason).end();
  w.end().end();
  head += ",\"Dropped\":" + out;
}

/// As LIKE of the tables: % is anything.
bool is_like(std::string_view text, std::string_view pattern) {
  std::size_t t = 0, p = 0, star = std::string_view::npos, from = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '%') {
      star = p++;
      from = t;
    } else if (p < pattern.size() && ascii_lower(pattern[p]) == ascii_lower(text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++from;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '%') ++p;
  return p == pattern.size();
}

/// The columns of a CSV, as MISP names them; those of the event come with includeContext.
constexpr std::array<std::string_view, 9> kCsv = {"uuid",    "event_id", "category", "type",           "value",
                                                  "comment", "to_ids",   "date",     "object_relation"};
constexpr std::array<std::string_view, 7> kCsvOfEvent = {
    "event_uuid",     "event_info", "event_source_org", "event_threat_level_id",
    "event_analysis", "event_date", "event_timestamp"};

}  // namespace

net::Reply Misp::Inner::search(Call& c, Scope scope) {
  BAVN_MISP_TRY(const auto body, c, c.body());
  const auto read = [&](net::JsonValue asked) -> Result<Search> {
    BAVN_TRY(auto got, search_from(asked, scope, runtime.now()));
    if (scope != Scope::events || (got.format != "csv" && got.format != "text")) return got;
    // Lines of events are those of their attributes, and what is said of time is said of the events.
    scope = Scope::attributes;
    BAVN_TRY(got, search_from(asked, scope, runtime.now()));
    if (got.event_timestamp.empty()) std::swap(got.event_timestamp, got.timestamp);
    return got;
  };
  BAVN_MISP_TRY(auto s, c, read(body.root()));
  if (!c.named.empty()) {  // /limit:5/page:2, /value:evil.example
    std::string over;
    JsonWriter w(over);
    w.object();
    std::set<std::string> seen;
    for (const auto& [k, v] : c.named)
      if (seen.insert(k).second) w.member(k, v);
    w.end();
    BAVN_MISP_TRY(const auto all, c,
                  net::JsonDocument::parse(merged(body.root().is_object() ? body.root().to_text() : "{}", over)));
    BAVN_MISP_TRY(s, c, read(all.root()));
  }
  if (s.format != "json" &&
      !(scope == Scope::attributes && (s.format == "text" || s.format == "csv" || s.format == "count")))
    return fault(c, 400, "Invalid returnFormat",
                 "the formats here are json, csv and text, and count for attributes; STIX is served by TAXII");
  BAVN_MISP_TRY(const auto ids, c, found(book, c.viewer, s));
  Render render(book, c.viewer);
  RenderOptions o;
  o.attachments = s.attachments;
  o.deleted = s.deleted;
  o.sightings = s.sightings;
  o.local_tags = !c.viewer.partner();
  o.parts = !s.metadata;
  BAVN_MISP_TRY(const auto on, c, switches("warninglist"));
  if (scope == Scope::events && (s.to_ids || s.enforce_warninglist || !s.tags.none.empty()))
    o.keeps = [&](const AttributeRow& a, std::span<const std::string_view> tags) -> Result<bool> {
      for (const std::string_view t : tags)
        if (std::any_of(s.tags.none.begin(), s.tags.none.end(), [&](const std::string& n) { return is_like(t, n); }))
          return false;
      BAVN_TRY(const auto read_body, net::JsonDocument::parse(a.body));
      if (s.to_ids && truth(read_body.root()["to_ids"]).value_or(false) != *s.to_ids) return false;
      return !s.enforce_warninglist || listed(read_body.root()["value"].text_or({}), a.type, on).empty();
    };
  Sink out = sink();
  const auto each_id = [&](auto&& f) -> Result<void> {
    for (const std::int64_t id : ids) BAVN_CHECK(f(id));
    return {};
  };
  bool first = true;
  const auto comma = [&] {
    if (!first) out.text() += ',';
    first = false;
  };
  if (scope == Scope::events) {
    out.text() += "{\"response\":[";
    BAVN_MISP_CHECK(c, each_id([&](std::int64_t id) -> Result<void> {
                      BAVN_TRY(const auto e, book.event(c.viewer, std::to_string(id)));
                      if (!e) return {};  // gone meanwhile
                      comma();
                      return render.event(out, *e, o);
                    }));
    out.text() += "]}";
  } else if (scope == Scope::objects) {
    out.text() += "{\"response\":[";
    BAVN_MISP_CHECK(c, each_id([&](std::int64_t id) -> Result<void> {
                      BAVN_TRY(const auto row, book.object(c.viewer, std::to_string(id)));
                      if (!row) return {};
                      BAVN_TRY(const auto text, render.object(*row, o));
                      comma();
                      out.text() += "{\"Object\":" + text + "}";
                      return out.settle();
                    }));
    out.text() += "]}";
  } else {
    std::map<std::int64_t, EventRow> events_seen;  // some hundred at a time
    const auto event_of = [&](std::int64_t id) -> Result<const EventRow*> {
      auto it = events_seen.find(id);
      if (it == events_seen.end()) {
        if (events_seen.size() > 500) events_seen.clear();
        BAVN_TRY(auto e, book.event(c.viewer, std::to_string(id)));
        if (!e) return nullptr;
        it = events_seen.emplace(id, std::move(*e)).first;
      }
      return &it->second;
    };
    std::vector<std::string> columns = s.columns;
    if (columns.empty()) columns.assign(kCsv.begin(), kCsv.end());
    if (s.context && s.columns.empty()) columns.insert(columns.end(), kCsvOfEvent.begin(), kCsvOfEvent.end());
    for (const std::string& name : columns)
      if (std::find(kCsv.begin(), kCsv.end(), name) == kCsv.end() &&
          std::find(kCsvOfEvent.begin(), kCsvOfEvent.end(), name) == kCsvOfEvent.end() && name != "timestamp")
        return fault(c, 400, "Bad Request", fmt::format("there is no column \"{}\" here", name.substr(0, 60)));
    const auto cell_of = [&](std::string_view name, const AttributeRow& a, net::JsonValue body_of,
                             const EventRow& e) -> Result<std::string> {
      const auto cell = [](std::string_view text) {
        std::string q = "\"";
        for (const char ch : text) {
          if (ch == '"') q += '"';
          q += ch;
        }
        return q + "\"";
      };
      if (name == "uuid") return cell(a.uuid);
      if (name == "event_id") return std::to_string(a.event);
      if (name == "type") return cell(a.type);
      if (name == "to_ids") return std::string(truth(body_of["to_ids"]).value_or(false) ? "1" : "0");
      if (name == "date" || name == "timestamp") return std::to_string(a.timestamp);
      if (name == "event_uuid") return cell(e.uuid);
      if (name == "event_info") return cell(e.info);
      if (name == "event_threat_level_id") return std::to_string(e.threat_level);
      if (name == "event_analysis") return std::to_string(e.analysis);
      if (name == "event_date") return e.date;
      if (name == "event_timestamp") return std::to_string(e.timestamp);
      if (name == "event_source_org") {
        BAVN_TRY(const auto orgc, book.org(e.orgc));
        return cell(orgc.name);
      }
      return cell(body_of[name].text_or({}));
    };
    std::size_t count = 0;
    if (s.format == "json") out.text() += "{\"response\":{\"Attribute\":[";
    else if (s.format == "csv" && !s.headerless) out.text() += fmt::format("{}\n", fmt::join(columns, ","));
    BAVN_MISP_CHECK(c, each_id([&](std::int64_t id) -> Result<void> {
                      BAVN_TRY(const auto a, book.attribute(c.viewer, std::to_string(id)));
                      if (!a) return {};
                      BAVN_TRY(const auto parsed, net::JsonDocument::parse(a->body));
                      const std::string_view value = parsed.root()["value"].text_or({});
                      if (s.enforce_warninglist && !listed(value, a->type, on).empty()) return {};
                      ++count;
                      if (s.format == "text") {
                        out.text() += fmt::format("{}\n", value);
                      } else if (s.format == "csv") {
                        BAVN_TRY(const EventRow* e, event_of(a->event));
                        if (e == nullptr) return {};
                        for (const std::string& name : columns) {
                          if (&name != &columns.front()) out.text() += ',';
                          BAVN_TRY(const auto text, cell_of(name, *a, parsed.root(), *e));
                          out.text() += text;
                        }
                        out.text() += '\n';
                      } else if (s.format == "json") {
                        BAVN_TRY(const EventRow* e, event_of(a->event));
                        if (e == nullptr) return {};
                        BAVN_TRY(auto text, render.attribute(*a, o, e, s.event_tags_too || s.context));
                        if (s.event_uuid) text.insert(text.size() - 1, fmt::format(",\"event_uuid\":\"{}\"", e->uuid));
                        comma();
                        out.text() += text;
                      }
                      return out.settle();
                    }));
    if (s.format == "count") return net::text(std::to_string(count));
    if (s.format != "json") {
      BAVN_MISP_TRY(auto reply, c,
                    out.reply(s.format == "csv" ? "text/csv; charset=utf-8" : "text/plain; charset=utf-8"));
      return reply;
    }
    out.text() += "]}}";
  }
  BAVN_MISP_TRY(auto reply, c, out.reply());
  return reply;
}

std::optional<net::Reply> Misp::Inner::events(Call& c) {
  Render render(book, c.viewer);
  if (c.action == "restSearch") return search(c, Scope::events);
  if (c.action == "index") {
    BAVN_MISP_TRY(const auto body, c, c.body());
    std::string asked = body.root().is_object() ? body.root().to_text() : "{}";
    if (!c.named.empty()) {
      std::string over;
      JsonWriter w(over);
      w.object();
      std::set<std::string> seen;
      for (const auto& [k, v] : c.named) {
        const std::string key = k.starts_with("search") ? to_lower(std::string_view(k).substr(6)) : k;
        if (seen.insert(key).second) w.member(key, v);
      }
      w.end();
      asked = merged(asked, over);
    }
    BAVN_MISP_TRY(const auto all, c, net::JsonDocument::parse(asked));
    // Filters of the index that are of accounts and proposals, which are not here.
    std::string kept;
    JsonWriter w(kept);
    w.object();
    for (const net::JsonValue m : all.root())
      if (m.key() != "email" && m.key() != "hasproposal" && m.key() != "sharinggroup" && m.key() != "distribution")
        w.key(m.key()).raw(m.to_text());
    w.end();
    BAVN_MISP_TRY(const auto filters, c, net::JsonDocument::parse(kept));
    BAVN_MISP_TRY(const auto s, c, search_from(filters.root(), Scope::events, runtime.now()));
    BAVN_MISP_TRY(const auto ids, c, found(book, c.viewer, s));
    Sink out = sink();
    std::string marks;  // of what is shown: the tag of the answer
    out.text() += '[';
    bool first = true;
    for (const std::int64_t id : ids) {
      BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, std::to_string(id)));
      if (!e) continue;
      marks += fmt::format("{} {};", e->id, e->changed_us);
      if (marks.size() > 4096) marks = sha256(marks);
      if (!first) out.text() += ',';
      first = false;
      if (s.minimal) {
        BAVN_MISP_TRY(const auto orgc, c, book.org(e->orgc));
        JsonWriter row(out.text());
        row.object().member("id", std::to_string(e->id)).member("timestamp", std::to_string(e->timestamp));
        row.member("sighting_timestamp", std::to_string(e->sighting_timestamp)).member("published", e->published);
        row.member("uuid", e->uuid).member("protected", false).member("orgc_uuid", orgc.uuid).end();
      } else {
        BAVN_MISP_TRY(const auto row, c, render.index_row(*e));
        out.text() += row;
      }
      BAVN_MISP_CHECK(c, out.settle());
    }
    out.text() += ']';
    const std::string tag = fmt::format("\"{}\"", to_hex(sha256(marks + kept)).substr(0, 40));
    if (const auto* have = c.q.headers.find("If-None-Match"); have != nullptr && have->find(tag) != std::string::npos) {
      net::Reply same;
      same.status = 304;
      same.headers.set("ETag", tag);
      return same;
    }
    BAVN_MISP_TRY(auto reply, c, out.reply());
    reply.headers.set("ETag", tag);
    reply.headers.set("Cache-Control", "no-cache");
    return reply;
  }
  if (c.action == "view") {
    BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, c.word()));
    if (!e) return not_there(c, "Invalid event");
    if (c.q.method == net::Method::head) return net::json("{}");
    Sink out = sink();
    BAVN_MISP_CHECK(c, render.event(out, *e, shown(c)));
    BAVN_MISP_TRY(auto reply, c, out.reply());
    return reply;
  }
  if (c.action == "filterEventIdsForPush")
    return fault(c, 403, "Push is not taken here",
                 "perm_sync is false: a MISP pulls from here, and offers a feed or lets us pull");
  const bool adds = c.action == "add";
  if ((adds || c.action == "edit") && c.posts()) {
    if (!c.viewer.writes) return not_yours(c);
    PutWish wish;
    wish.only_head = c.name("metadata") == "1";
    if (!adds) {
      BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, c.word()));
      if (!e) return not_there(c, "Invalid event");
      if (!Book::may_edit(c.viewer, *e)) return not_yours(c);
      wish.how = Putting::edit;
      wish.event = e->id;
    }
    const auto put = book.put(c.viewer, c.q.body, wish);
    if (!put && put.error().code == Code::conflict) {
      // As MISP: whoever may see it is told where it is.
      BAVN_MISP_TRY(const auto here, c, book.event(c.viewer, put.error().where));
      auto reply = fault(c, here ? 404 : 403,
                         "Event already exists, if you would like to edit it, use the url in the location header.",
                         "Event already exists");
      if (here) reply.headers.set("Location", fmt::format("/events/edit/{}", here->id));
      return reply;
    }
    if (!put) return fault(c, put.error());
    BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, std::to_string(put->event)));
    if (!e)  // its marking is above what this key may see: written, and no longer shown
      return done(c, "The event was saved; its marking is above what this key may read.", std::to_string(put->event));
    Sink out = sink();
    RenderOptions o = shown(c);
    o.attachments = false;
    std::string dropped;
    add_dropped(dropped, *put);
    BAVN_MISP_CHECK(c, render.event(out, *e, o, dropped));
    BAVN_MISP_TRY(auto reply, c, out.reply());
    return reply;
  }
  const bool deletes = c.action == "delete" && (c.posts() || c.q.method == net::Method::del);
  const bool publishes = c.action == "publish" || c.action == "alert", unpublishes = c.action == "unpublish";
  if (deletes || (c.posts() && (publishes || unpublishes))) {
    std::string id(c.word());
    if (id.empty() && deletes)
      if (const auto body = c.body()) id = scalar(body->root()["id"]);
    BAVN_MISP_TRY(const auto e, c, book.event(c.viewer, id));
    if (!e) return not_there(c, "Invalid event");
    if (!Book::may_edit(c.viewer, *e)) return not_yours(c);
    if (deletes) {
      BAVN_MISP_CHECK(c, book.remove_event(c.viewer, *e));
      return done(c, "Event deleted.", std::to_string(e->id));
    }
    if (!c.viewer.publishes) return fault(c, 403, "Not permitted here", "this key may not publish");
    BAVN_MISP_CHECK(c, book.publish(c.viewer, *e, publishes));
    return done(c, publishes ? "Event published" : "Event unpublished", std::to_string(e->id));
  }
  if ((c.action == "addTag" || c.action == "removeTag") && c.posts()) {
    std::string tag(c.word(1));
    if (const auto body = c.body(); body && tag.empty()) {
      tag = scalar(body->root()["tag"]);
      if (tag.empty()) tag = scalar(body->root()["Event"]["tag"]);
    }
    return tag_of(c, c.word(), tag, false, {}, c.action == "addTag");
  }
  return std::nullopt;
}

}  // namespace bavn::exchange::misp
