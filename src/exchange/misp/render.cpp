#include "exchange/misp/render.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/text.hpp"

namespace bavn::exchange::misp {

namespace {

constexpr std::size_t kInMemory = std::size_t{4} << 20;
constexpr std::int64_t kRowsARead = 2000;
constexpr auto kKept = std::chrono::minutes(15);  // a reply that is still being sent is no older

struct TagRow {
  std::int64_t attribute = 0, id = 0;
  std::string name, colour;
  bool exportable = true, local = false, local_text = false;
  std::string relationship;
};
BOOST_DESCRIBE_STRUCT(TagRow, (), (attribute, id, name, colour, exportable, local, local_text, relationship))
constexpr std::string_view kTags =
    "SELECT t.attribute, g.id, g.name, g.colour, g.exportable, t.local, t.local_text, t.relationship FROM misp_tagged "
    "t JOIN "
    "misp_tag g ON "
    "g.id = t.tag WHERE t.event = :e AND t.attribute >= :from AND t.attribute <= :to ORDER BY t.attribute, t.place";

struct ReferenceRow {
  std::int64_t id = 0, event = 0, object = 0;
  std::string uuid, referenced;
  std::int64_t timestamp = 0;
  bool deleted = false;
  std::string body;
};
BOOST_DESCRIBE_STRUCT(ReferenceRow, (), (id, event, object, uuid, referenced, timestamp, deleted, body))

void write_tag(JsonWriter& w, const TagRow& t) {
  w.object().member("id", std::to_string(t.id)).member("name", t.name).member("colour", t.colour);
  w.member("exportable", t.exportable).member("user_id", "0").member("hide_tag", false);
  w.member("is_galaxy", t.name.starts_with("misp-galaxy:")).member("local", t.local ? 1 : 0);
  w.key("relationship_type");
  if (t.relationship.empty()) w.null();
  else w.value(t.relationship);
  w.end();
}

std::string_view deleted_clause(Deleted d) {
  switch (d) {
    case Deleted::no: return " AND deleted = 0";
    case Deleted::only: return " AND deleted = 1";
    case Deleted::with: return "";
  }
  return "";
}

bool python_plain(unsigned char c) {
  return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

void python_string(std::string& out, std::string_view s) {
  out += '"';
  for (std::size_t i = 0; i < s.size();) {
    const auto c = static_cast<unsigned char>(s[i]);
    if (python_plain(c)) {
      out += s[i++];
      continue;
    }
    if (c < 0x80) {
      switch (c) {
        case '"': out += "\\\""; break;
        case '\\': out += "\\\\"; break;
        case '\n': out += "\\n"; break;
        case '\r': out += "\\r"; break;
        case '\t': out += "\\t"; break;
        case '\b': out += "\\b"; break;
        case '\f': out += "\\f"; break;
        default:
          if (c == 0x7f) out += static_cast<char>(c);
          else out += fmt::format("\\u{:04x}", c);
      }
      ++i;
      continue;
    }
    std::uint32_t point = 0xFFFD;
    const std::size_t length = decode_utf8(s, i, point);
    if (length == 0) point = 0xFFFD;
    if (point >= 0x10000) {
      point -= 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (point >> 10U), 0xDC00 + (point & 0x3FFU));
    } else {
      out += fmt::format("\\u{:04x}", point);
    }
    i += std::max<std::size_t>(length, 1);
  }
  out += '"';
}

/// What REST adds and a feed does not have.
constexpr std::array kNotInFeed = {"distribution",    "sharing_group_id", "SharingGroup",        "event_creator_email",
                                   "Galaxy",          "GalaxyCluster",    "disable_correlation", "user_id",
                                   "sgReferenceOnly", "EventReport",      "CryptographicKey",    "RelatedAttribute"};

bool not_in_feed(std::string_view key) {
  return std::find(kNotInFeed.begin(), kNotInFeed.end(), key) != kNotInFeed.end();
}

void feed_value(JsonWriter& w, net::JsonValue v) {
  // As PyMISP: whole numbers are texts.
  if (v.kind() == net::JsonKind::integer || v.kind() == net::JsonKind::natural) w.value(v.to_text());
  else w.raw(v.to_text());
}

}  // namespace

std::string md5_hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> out{};
  unsigned size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_md5(), nullptr) != 1) return {};
  return to_hex(std::string_view(reinterpret_cast<const char*>(out.data()), size));
}

void python_json(std::string& out, net::JsonValue v, int indent, int depth) {
  const auto line = [&](int d) {
    if (indent < 0) return;
    out += '\n';
    out.append(static_cast<std::size_t>(indent) * static_cast<std::size_t>(d), ' ');
  };
  if (v.is_object() || v.is_array()) {
    const bool object = v.is_object();
    out += object ? '{' : '[';
    bool first = true;
    for (const net::JsonValue m : v) {
      if (!first) out += indent < 0 ? ", " : ",";
      first = false;
      line(depth + 1);
      if (object) {
        python_string(out, m.key());
        out += ": ";
      }
      python_json(out, m, indent, depth + 1);
    }
    if (!first) line(depth);
    out += object ? '}' : ']';
  } else if (const auto t = v.text()) {
    python_string(out, *t);
  } else {
    out += v.to_text();
  }
}

Result<void> Sink::settle() {
  return text_.size() < kInMemory ? Result<void>() : spill();
}

void Sink::sweep() {
  const auto names = runtime_.files().list(folder_);
  if (!names) return;
  for (const std::string& name : *names) {
    const std::string path = folder_ + "/" + name;
    const auto stat = runtime_.files().stat(path);
    if (stat && from_micros(stat->modified_us) + kKept < runtime_.now()) (void)runtime_.files().unlink(path);
  }
}

Result<void> Sink::spill() {
  if (!file_) {
    BAVN_CHECK(runtime_.files().make_dirs(folder_));
    sweep();
    std::array<std::byte, 12> name{};
    runtime_.random(name);
    path_ = fmt::format("{}/{}.json", folder_,
                        to_hex(std::string_view(reinterpret_cast<const char*>(name.data()), name.size())));
    BAVN_TRY(file_, runtime_.files().open(path_, OpenMode::create));
  }
  BAVN_CHECK(file_->pwrite(at_, text_));
  at_ += text_.size();
  text_.clear();
  return {};
}

Result<net::Reply> Sink::reply(std::string_view content_type) {
  if (!file_) return net::text(std::move(text_), content_type);
  BAVN_CHECK(spill());
  file_.reset();
  net::Reply reply;
  reply.headers.set("Content-Type", std::string(content_type));
  reply.file = net::FileBody{path_};
  return reply;
}

/// Calls f(row, tags of it as JSON). Pages by id; the tags of a page in one question.
template <class F>
Result<void> Render::each_attribute(const EventRow& e, std::int64_t object, Deleted deleted, F&& f) {
  const std::string q = fmt::format("{{\"v\":{}}}", viewer_json(viewer_));
  const std::string sql = fmt::format(
      "SELECT {} FROM misp_attribute a JOIN misp_event e ON e.id = a.event WHERE a.event = :e AND a.object = :o AND "
      "a.id > :after AND {}{} ORDER BY a.id LIMIT {}",
      kAttributeColumns, part_visible(viewer_, "a", true),
      deleted == Deleted::with   ? ""
      : deleted == Deleted::only ? " AND a.deleted = 1"
                                 : " AND a.deleted = 0",
      kRowsARead);
  for (std::int64_t after = 0;;) {
    std::vector<TagRow> tags;
    BAVN_TRY(const auto rows, book_.state().read([&](store::Reader& r) -> Result<std::vector<AttributeRow>> {
      BAVN_TRY(auto page, r.all<AttributeRow>(sql, {{"e", e.id}, {"o", object}, {"after", after}, {"q", q}}));
      if (!page.empty()) {
        BAVN_TRY(tags, r.all<TagRow>(kTags, {{"e", e.id}, {"from", page.front().id}, {"to", page.back().id}}));
      }
      return page;
    }));
    std::size_t at = 0;
    for (const AttributeRow& row : rows) {
      while (at < tags.size() && tags[at].attribute < row.id) ++at;
      const std::size_t from = at;
      while (at < tags.size() && tags[at].attribute == row.id) ++at;
      if (!viewer_.may_have_type(row.type)) continue;
      BAVN_CHECK(f(row, std::span<const TagRow>(tags.data() + from, at - from)));
    }
    if (rows.size() < static_cast<std::size_t>(kRowsARead)) return {};
    after = rows.back().id;
  }
}

template <class F>
Result<void> Render::each_object(const EventRow& e, Deleted deleted, F&& f) {
  const std::string q = fmt::format("{{\"v\":{}}}", viewer_json(viewer_));
  const std::string sql = fmt::format(
      "SELECT {} FROM misp_object o JOIN misp_event e ON e.id = o.event WHERE o.event = :e AND o.id > :after AND "
      "{}{} ORDER BY o.id LIMIT 500",
      kObjectColumns, part_visible(viewer_, "o", false), deleted == Deleted::no ? " AND o.deleted = 0" : "");
  for (std::int64_t after = 0;;) {
    BAVN_TRY(const auto rows, book_.state().read([&](store::Reader& r) {
      return r.all<ObjectRow>(sql, {{"e", e.id}, {"after", after}, {"q", q}});
    }));
    for (const ObjectRow& row : rows) BAVN_CHECK(f(row));
    if (rows.size() < 500) return {};
    after = rows.back().id;
  }
}

Result<std::string> Render::tags(std::int64_t event, std::int64_t attribute, bool local) {
  BAVN_TRY(const auto rows, book_.state().read([&](store::Reader& r) {
    return r.all<TagRow>(kTags, {{"e", event}, {"from", attribute}, {"to", attribute}});
  }));
  std::string out;
  JsonWriter w(out);
  w.array();
  for (const TagRow& t : rows)
    if (local || !t.local) write_tag(w, t);
  w.end();
  return out;
}

std::string Render::attribute_text(const AttributeRow& a, std::string_view tags, const RenderOptions& o) const {
  std::string body = a.body;
  if (!o.attachments && body.find("\"data\"") != std::string::npos)
    if (const auto document = net::JsonDocument::parse(body)) {
      std::string without;
      JsonWriter w(without);
      w.object();
      for (const net::JsonValue m : document->root())
        if (m.key() != "data") w.key(m.key()).raw(m.to_text());
      w.end();
      body = std::move(without);
    }
  std::string out = fmt::format("{{\"id\":\"{}\",\"event_id\":\"{}\",\"object_id\":\"{}\",", a.id, a.event, a.object);
  if (body.find("\"object_relation\"") == std::string::npos) out += "\"object_relation\":null,";
  out += inner(body);
  out += fmt::format(",\"uuid\":\"{}\",\"timestamp\":\"{}\",\"deleted\":{}", a.uuid, a.timestamp, a.deleted);
  if (o.galaxy && body.find("\"Galaxy\"") == std::string::npos) out += ",\"Galaxy\":[]";
  out += ",\"ShadowAttribute\":[]";
  if (tags != "[]") out += fmt::format(",\"Tag\":{}", tags);
  return out;
}

namespace {
std::vector<std::string_view> names_of(std::span<const TagRow> tags) {
  std::vector<std::string_view> out;
  for (const TagRow& t : tags) out.emplace_back(t.name);
  return out;
}

std::string tags_text(std::span<const TagRow> tags, bool local) {
  std::string out;
  JsonWriter w(out);
  w.array();
  for (const TagRow& t : tags)
    if (local || !t.local) write_tag(w, t);
  w.end();
  return out;
}
}  // namespace

Result<std::string> Render::attribute(const AttributeRow& a, const RenderOptions& o, const EventRow* with_event,
                                      bool event_tags) {
  BAVN_TRY(const auto own, tags(a.event, a.id, o.local_tags));
  std::string out = attribute_text(a, own, o);
  if (o.sightings) {
    BAVN_TRY(const auto rows, book_.state().read([&](store::Reader& r) {
      return r.all<SightingRow>(
          fmt::format("SELECT {} FROM misp_sighting s WHERE s.attribute = :a AND {} ORDER BY s.id LIMIT 1000",
                      kSightingColumns, sighting_visible(viewer_, "s")),
          {{"a", a.id}, {"q", fmt::format("{{\"v\":{}}}", viewer_json(viewer_))}});
    }));
    out += ",\"Sighting\":[";
    for (std::size_t i = 0; i < rows.size(); ++i) {
      BAVN_TRY(const auto s, sighting(rows[i]));
      out += (i > 0 ? "," : "") + s;
    }
    out += ']';
  }
  if (event_tags && with_event != nullptr) {
    BAVN_TRY(const auto of_event, tags(a.event, 0, o.local_tags));
    if (own == "[]") out += fmt::format(",\"Tag\":{}", of_event);
    else if (of_event != "[]")
      out.replace(out.rfind(",\"Tag\":[") + 8, 0, fmt::format("{},", of_event.substr(1, of_event.size() - 2)));
  }
  if (with_event != nullptr) {
    BAVN_TRY(const auto org, book_.org(with_event->orgc));
    JsonWriter w(out += ",\"Event\":");
    w.object().member("id", std::to_string(with_event->id)).member("info", with_event->info);
    w.member("org_id", std::to_string(book_.own().id)).member("orgc_id", std::to_string(org.id));
    w.member("uuid", with_event->uuid).member("date", with_event->date);
    w.member("threat_level_id", std::to_string(with_event->threat_level)).member("published", with_event->published);
    w.member("user_id", "0").end();
  }
  return out + '}';
}

Result<std::string> Render::references(std::int64_t object, const RenderOptions& o) {
  BAVN_TRY(const auto rows, book_.state().read([&](store::Reader& r) {
    return r.all<ReferenceRow>(
        fmt::format(
            "SELECT id, event, object, uuid, referenced, timestamp, deleted, body FROM misp_reference WHERE object = "
            ":o{} ORDER BY id LIMIT {}",
            deleted_clause(o.deleted == Deleted::only ? Deleted::with : o.deleted), kMostReferences),
        {{"o", object}});
  }));
  std::string out = "[";
  for (const ReferenceRow& r : rows) {
    if (out.size() > 1) out += ',';
    out += fmt::format(
        "{{\"id\":\"{}\",\"uuid\":\"{}\",\"timestamp\":\"{}\",\"object_id\":\"{}\",\"event_id\":\"{}\","
        "\"referenced_uuid\":\"{}\",\"deleted\":{},{}}}",
        r.id, r.uuid, r.timestamp, r.object, r.event, r.referenced, r.deleted, inner(r.body));
  }
  return out + "]";
}

Result<std::string> Render::reference(std::int64_t id) {
  BAVN_TRY(const auto r, book_.state().read([&](store::Reader& db) {
    return db.one<ReferenceRow>(
        "SELECT id, event, object, uuid, referenced, timestamp, deleted, body FROM misp_reference WHERE id = :i",
        {{"i", id}});
  }));
  if (!r) return fail(Code::not_found, "Invalid object reference");
  return fmt::format(
      "{{\"id\":\"{}\",\"uuid\":\"{}\",\"timestamp\":\"{}\",\"object_id\":\"{}\",\"event_id\":\"{}\","
      "\"referenced_uuid\":\"{}\",\"deleted\":{},{}}}",
      r->id, r->uuid, r->timestamp, r->object, r->event, r->referenced, r->deleted, inner(r->body));
}

Result<std::string> Render::object(const ObjectRow& row, const RenderOptions& o) {
  std::string out =
      fmt::format("{{\"id\":\"{}\",\"event_id\":\"{}\",\"uuid\":\"{}\",\"timestamp\":\"{}\",\"deleted\":{},{}", row.id,
                  row.event, row.uuid, row.timestamp, row.deleted, inner(row.body));
  BAVN_TRY(const auto refs, references(row.id, o));
  out += fmt::format(",\"ObjectReference\":{},\"Attribute\":[", refs);
  EventRow e;
  e.id = row.event;
  bool first = true;
  BAVN_CHECK(
      each_attribute(e, row.id, o.deleted, [&](const AttributeRow& a, std::span<const TagRow> t) -> Result<void> {
        if (o.keeps) {
          BAVN_TRY(const bool kept, o.keeps(a, names_of(t)));
          if (!kept) return {};
        }
        if (!first) out += ',';
        first = false;
        if (o.sightings) {
          BAVN_TRY(const auto text, attribute(a, o));
          out += text;
        } else {
          out += attribute_text(a, tags_text(t, o.local_tags), o) + '}';
        }
        return {};
      }));
  return out + "]}";
}

Result<std::string> Render::head(const EventRow& e, const RenderOptions& o) {
  BAVN_TRY(const auto orgc, book_.org(e.orgc));
  const Org& own = book_.own();
  const auto document = net::JsonDocument::parse(e.body);
  if (!document) return fail(Code::corrupt, fmt::format("the body of MISP event {} is no JSON", e.id));
  const net::JsonValue body = document->root();
  std::string out;
  JsonWriter w(out);
  w.object().member("id", std::to_string(e.id)).member("orgc_id", std::to_string(orgc.id));
  w.member("org_id", std::to_string(own.id)).member("date", e.date);
  w.member("threat_level_id", std::to_string(e.threat_level)).member("info", e.info).member("published", e.published);
  w.member("uuid", e.uuid).member("attribute_count", std::to_string(e.attribute_count));
  w.member("analysis", std::to_string(e.analysis)).member("timestamp", std::to_string(e.timestamp));
  const auto text_of = [&](std::string_view key, std::string_view otherwise) {
    const std::string s = scalar(body[key]);
    w.member(key, s.empty() ? std::string(otherwise) : s);
  };
  text_of("distribution", "1");
  w.member("proposal_email_lock", false).member("locked", e.locked);
  w.member("publish_timestamp", std::to_string(e.publish_timestamp));
  text_of("sharing_group_id", "0");
  w.member("disable_correlation", truth(body["disable_correlation"]).value_or(false));
  text_of("extends_uuid", "");
  w.key("protected");
  if (const auto p = truth(body["protected"])) w.value(*p);
  else w.null();
  w.member("sighting_timestamp", std::to_string(e.sighting_timestamp));
  for (const net::JsonValue m : body) {
    const auto k = m.key();
    if (k == "distribution" || k == "sharing_group_id" || k == "disable_correlation" || k == "extends_uuid" ||
        k == "protected" || k == "event_creator_email" || (k == "Galaxy" && !o.galaxy))
      continue;
    w.key(k).raw(m.to_text());
  }
  const auto write_org = [&](std::string_view key, const Org& org) {
    w.key(key).object().member("id", std::to_string(org.id)).member("name", org.name).member("uuid", org.uuid);
    w.member("local", org.local).end();
  };
  write_org("Org", own);
  write_org("Orgc", orgc);
  w.key("ShadowAttribute").array().end().key("RelatedEvent").array().end();
  if (o.galaxy && !body["Galaxy"]) w.key("Galaxy").array().end();
  if (!body["EventReport"]) w.key("EventReport").array().end();
  BAVN_TRY(const auto own_tags, tags(e.id, 0, o.local_tags));
  w.key("Tag").raw(own_tags);
  w.end();
  return out;
}

Result<std::string> Render::index_row(const EventRow& e) {
  BAVN_TRY(const auto row, head(e, {.parts = false}));
  // As MISP's index: tags stand in EventTag.
  BAVN_TRY(const auto document, net::JsonDocument::parse(row));
  std::string out;
  JsonWriter w(out);
  w.object();
  for (const net::JsonValue m : document.root())
    if (m.key() != "Tag" && m.key() != "ShadowAttribute" && m.key() != "RelatedEvent" && m.key() != "EventReport")
      w.key(m.key()).raw(m.to_text());
  w.key("EventTag").array();
  for (const net::JsonValue t : document.root()["Tag"]) {
    w.object().member("event_id", std::to_string(e.id)).member("tag_id", t["id"].text_or({}));
    w.member("local", t["local"].integer() == 1).key("Tag").raw(t.to_text()).end();
  }
  w.end().end();
  return out;
}

Result<std::string> Render::sighting(const SightingRow& s) {
  BAVN_TRY(auto org, book_.org(s.org));
  // Partners do not learn of each other who saw what: it is our word to them.
  const bool hidden = viewer_.partner() && !org.local && org.name != viewer_.name;
  if (hidden) org = book_.own();
  std::string out;
  JsonWriter w(out);
  w.object().member("id", std::to_string(s.id)).member("attribute_id", std::to_string(s.attribute));
  w.member("event_id", std::to_string(s.event)).member("org_id", std::to_string(org.id));
  w.member("date_sighting", std::to_string(s.at)).member("uuid", s.uuid);
  w.member("source", hidden ? std::string_view() : std::string_view(s.source));
  w.member("type", std::to_string(s.type)).key("Organisation").object().member("id", std::to_string(org.id));
  w.member("uuid", org.uuid).member("name", org.name).end().end();
  return out;
}

Result<void> Render::event(Sink& out, const EventRow& e, const RenderOptions& o, std::string_view tail) {
  BAVN_TRY(std::string row, head(e, o));
  row.pop_back();
  out.text() += "{\"Event\":" + row;
  if (o.parts) {
    out.text() += ",\"Attribute\":[";
    bool first = true;
    BAVN_CHECK(each_attribute(e, 0, o.deleted, [&](const AttributeRow& a, std::span<const TagRow> t) -> Result<void> {
      if (o.keeps) {
        BAVN_TRY(const bool kept, o.keeps(a, names_of(t)));
        if (!kept) return {};
      }
      if (!first) out.text() += ',';
      first = false;
      if (o.sightings) {
        BAVN_TRY(const auto text, attribute(a, o));
        out.text() += text;
      } else {
        out.text() += attribute_text(a, tags_text(t, o.local_tags), o) + '}';
      }
      return out.settle();
    }));
    out.text() += "],\"Object\":[";
    first = true;
    BAVN_CHECK(each_object(e, o.deleted, [&](const ObjectRow& row_of) -> Result<void> {
      if (!first) out.text() += ',';
      first = false;
      BAVN_TRY(const auto text, object(row_of, o));
      out.text() += text;
      return out.settle();
    }));
    out.text() += ']';
  }
  out.text() += "}";
  out.text() += tail;
  out.text() += "}";
  return out.settle();
}

Result<std::string> Render::feed_tags(std::int64_t event, std::int64_t attribute) {
  BAVN_TRY(const auto rows, book_.state().read([&](store::Reader& r) {
    return r.all<TagRow>(kTags, {{"e", event}, {"from", attribute}, {"to", attribute}});
  }));
  std::string out;
  JsonWriter w(out);
  w.array();
  for (const TagRow& t : rows) {
    if (t.local || !t.exportable) continue;
    w.object().member("colour", t.colour).key("local");
    if (t.local_text) w.value("0");
    else w.value(false);
    w.member("name", t.name);
    w.member("relationship_type", t.relationship).end();
  }
  w.end();
  return out;
}

Result<std::string> Render::feed_attribute(const AttributeRow& a) {
  BAVN_TRY(const auto document, net::JsonDocument::parse(a.body));
  const net::JsonValue b = document.root();
  std::string out;
  JsonWriter w(out);
  w.object().member("category", b["category"].text_or({})).member("comment", b["comment"].text_or({}));
  if (b["data"].text()) w.member("data", b["data"].text_or({}));
  w.member("deleted", a.deleted).member("disable_correlation", truth(b["disable_correlation"]).value_or(false));
  for (const std::string_view key : {"first_seen", "last_seen", "object_relation"})
    if (const auto t = b[key].text()) w.member(key, *t);
  w.member("timestamp", std::to_string(a.timestamp)).member("to_ids", truth(b["to_ids"]).value_or(false));
  w.member("type", a.type).member("uuid", a.uuid).member("value", b["value"].text_or({}));
  for (const net::JsonValue m : b) {
    const auto k = m.key();
    if (not_in_feed(k) || k == "category" || k == "comment" || k == "data" || k == "first_seen" || k == "last_seen" ||
        k == "object_relation" || k == "to_ids" || k == "type" || k == "value")
      continue;
    feed_value(w.key(k), m);
  }
  BAVN_TRY(const auto own, feed_tags(a.event, a.id));
  if (own != "[]") w.key("Tag").raw(own);
  w.end();
  return out;
}

Result<void> Render::feed_event(Sink& out, const EventRow& e) {
  BAVN_TRY(const auto orgc, book_.org(e.orgc));
  BAVN_TRY(const auto body_of, net::JsonDocument::parse(e.body));
  const net::JsonValue b = body_of.root();
  std::string head_text;
  JsonWriter w(head_text);
  w.object().member("analysis", std::to_string(e.analysis)).member("date", e.date);
  w.member("extends_uuid", b["extends_uuid"].text_or({})).member("info", e.info);
  w.member("protected", truth(b["protected"]).value_or(false));
  w.member("publish_timestamp", std::to_string(e.publish_timestamp)).key("published");
  if (e.said_published.empty()) w.value(e.published);
  else w.raw(e.said_published);
  w.member("threat_level_id", std::to_string(e.threat_level)).member("timestamp", std::to_string(e.timestamp));
  w.member("uuid", e.uuid);
  w.key("Orgc").object().member("name", orgc.name).member("uuid", orgc.uuid).end();
  BAVN_TRY(const auto own, feed_tags(e.id, 0));
  w.key("Tag").raw(own);
  // What is written piece by piece stands behind; the members that nobody here knows and the reports come last.
  std::string last;
  JsonWriter l(last);
  l.object();
  for (const std::string_view key : {"EventReport", "CryptographicKey"})
    if (b[key].is_array() && b[key].size() > 0) l.key(key).raw(b[key].to_text());
  for (const net::JsonValue m : b)
    if (const auto k = m.key(); !not_in_feed(k) && k != "extends_uuid" && k != "protected") feed_value(l.key(k), m);
  l.end();
  w.end();
  const auto put = [&](std::string_view json, int depth) -> Result<void> {
    BAVN_TRY(const auto document, net::JsonDocument::parse(json));
    python_json(out.text(), document.root(), 2, depth);
    return out.settle();
  };
  out.text() += "{\n  \"Event\": ";
  BAVN_CHECK(put(head_text, 1));
  out.text().resize(out.text().rfind("\n  }"));
  const auto list = [&](std::string_view key, auto&& each) -> Result<void> {
    bool first = true;
    BAVN_CHECK(each([&](std::string_view json) -> Result<void> {
      out.text() += first ? fmt::format(",\n    \"{}\": [\n      ", key) : ",\n      ";
      first = false;
      return put(json, 3);
    }));
    if (!first) out.text() += "\n    ]";
    return {};
  };
  BAVN_CHECK(list("Attribute", [&](auto&& emit) {
    return each_attribute(e, 0, Deleted::no, [&](const AttributeRow& a, std::span<const TagRow>) -> Result<void> {
      BAVN_TRY(const auto text, feed_attribute(a));
      return emit(text);
    });
  }));
  BAVN_CHECK(list("Object", [&](auto&& emit) {
    return each_object(e, Deleted::no, [&](const ObjectRow& o) -> Result<void> {
      BAVN_TRY(const auto object_body, net::JsonDocument::parse(o.body));
      const net::JsonValue ob = object_body.root();
      std::string text;
      JsonWriter t(text);
      t.object().member("comment", ob["comment"].text_or({})).member("deleted", o.deleted);
      t.member("description", ob["description"].text_or({}));
      for (const std::string_view key : {"first_seen", "last_seen"})
        if (const auto seen = ob[key].text()) t.member(key, *seen);
      t.member("meta-category", ob["meta-category"].text_or("misc")).member("name", ob["name"].text_or({}));
      for (const std::string_view key : {"template_uuid", "template_version"})
        if (const std::string v = scalar(ob[key]); !v.empty()) t.member(key, v);
      t.member("timestamp", std::to_string(o.timestamp)).member("uuid", o.uuid);
      for (const net::JsonValue m : ob) {
        const auto k = m.key();
        if (not_in_feed(k) || k == "comment" || k == "description" || k == "first_seen" || k == "last_seen" ||
            k == "meta-category" || k == "name" || k == "template_uuid" || k == "template_version")
          continue;
        feed_value(t.key(k), m);
      }
      BAVN_TRY(const auto rows, book_.state().read([&](store::Reader& r) {
        return r.all<ReferenceRow>(
            "SELECT id, event, object, uuid, referenced, timestamp, deleted, body FROM misp_reference "
            "WHERE object = :o AND deleted = 0 ORDER BY id LIMIT 10000",
            {{"o", o.id}});
      }));
      if (!rows.empty()) {
        t.key("ObjectReference").array();
        for (const ReferenceRow& r : rows) {
          const auto rb = net::JsonDocument::parse(r.body);
          t.object().member("comment", rb ? rb->root()["comment"].text_or({}) : "").member("object_uuid", o.uuid);
          t.member("referenced_uuid", r.referenced);
          t.member("relationship_type", rb ? rb->root()["relationship_type"].text_or({}) : "");
          t.member("timestamp", std::to_string(r.timestamp)).member("uuid", r.uuid).end();
        }
        t.end();
      }
      t.key("Attribute").array();
      BAVN_CHECK(
          each_attribute(e, o.id, Deleted::no, [&](const AttributeRow& a, std::span<const TagRow>) -> Result<void> {
            BAVN_TRY(const auto one, feed_attribute(a));
            t.raw(one);
            return {};
          }));
      t.end().end();
      return emit(text);
    });
  }));
  if (last != "{}") {
    out.text() += ",\n    ";
    BAVN_TRY(const auto document, net::JsonDocument::parse(last));
    std::string text;
    python_json(text, document.root(), 2, 1);
    out.text() += text.substr(text.find('"'), text.rfind("\n  }") - text.find('"'));
  }
  out.text() += "\n  }\n}";
  return out.settle();
}

Result<std::string> Render::feed_manifest_row(const EventRow& e) {
  BAVN_TRY(const auto orgc, book_.org(e.orgc));
  BAVN_TRY(const auto own, feed_tags(e.id, 0));
  std::string json;
  JsonWriter w(json);
  w.object().key("Orgc").object().member("name", orgc.name).member("uuid", orgc.uuid).end().key("Tag").raw(own);
  w.member("info", e.info).member("date", e.date).member("analysis", e.analysis);
  w.member("threat_level_id", e.threat_level).member("timestamp", e.timestamp).end();
  BAVN_TRY(const auto document, net::JsonDocument::parse(json));
  std::string out = fmt::format("\"{}\": ", e.uuid);
  python_json(out, document.root(), -1);
  return out;
}

Result<void> Render::feed_hashes(Sink& out, const EventRow& e) {
  const auto one = [&](const AttributeRow& a, std::span<const TagRow>) -> Result<void> {
    BAVN_TRY(const auto document, net::JsonDocument::parse(a.body));
    const std::string_view value = document.root()["value"].text_or({});
    const bool composite = a.type.find('|') != std::string::npos || a.type == "malware-sample";
    if (composite)
      for (const std::string_view part : split(value, '|')) out.text() += fmt::format("{},{}\n", md5_hex(part), e.uuid);
    else out.text() += fmt::format("{},{}\n", md5_hex(value), e.uuid);
    return out.settle();
  };
  BAVN_CHECK(each_attribute(e, 0, Deleted::no, one));
  return each_object(e, Deleted::no, [&](const ObjectRow& o) { return each_attribute(e, o.id, Deleted::no, one); });
}

}  // namespace bavn::exchange::misp
