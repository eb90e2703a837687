#include "exchange/misp/model.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/json_writer.hpp"
#include "base/text.hpp"
#include "exchange/misp/json_pieces.hpp"
#include "exchange/misp/types.hpp"

namespace bavn::exchange::misp {

namespace {

constexpr std::size_t kLongestInfo = 65'535, kLongestTag = 1'024, kLongestName = 1'024;
constexpr std::size_t kLargestHead = std::size_t{16} << 20;       // of an event, without attributes and objects
constexpr std::size_t kLargestAttribute = std::size_t{32} << 20;  // with its attachment

bool among(std::string_view key, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), key) != names.end();
}

std::unexpected<Error> wrong(std::string what) {
  return fail(Code::bad_input, std::move(what));
}

Result<std::vector<TagIn>> read_tags(net::JsonValue list) {
  std::vector<TagIn> out;
  if (!list || list.is_null()) return out;
  if (list.is_object()) {  // an old export writes one tag without the array
    if (auto t = read_tag(list)) out.push_back(std::move(*t));
    return out;
  }
  if (!list.is_array()) return wrong("Tag is no array");
  if (list.size() > kMostTags) return wrong(fmt::format("more than {} tags", kMostTags));
  for (const net::JsonValue v : list)
    if (auto t = read_tag(v)) out.push_back(std::move(*t));
  return out;
}

/// Distribution 0 is "your organisation only", 4 a sharing group.
bool closed_by(net::JsonValue distribution) {
  const auto n = number(distribution);
  return n && (*n == 0 || *n == 4);
}

void keep(JsonWriter& w, net::JsonValue from, std::initializer_list<std::string_view> not_these) {
  for (const net::JsonValue m : from)
    if (!among(m.key(), not_these)) w.key(m.key()).raw(m.to_text());
}

}  // namespace

std::string scalar(net::JsonValue v) {
  if (const auto t = v.text()) return std::string(*t);
  if (const auto b = v.boolean()) return *b ? "1" : "0";
  switch (v.kind()) {
    case net::JsonKind::integer:
    case net::JsonKind::natural:
    case net::JsonKind::number: return v.to_text();
    default: return {};
  }
}

std::optional<bool> truth(net::JsonValue v) {
  if (const auto b = v.boolean()) return b;
  const std::string s = scalar(v);
  if (s == "1" || iequals(s, "true")) return true;
  if (s == "0" || s.empty() || iequals(s, "false")) return v && !v.is_null() ? std::optional(false) : std::nullopt;
  return std::nullopt;
}

std::optional<std::int64_t> number(net::JsonValue v) {
  if (const auto n = v.integer()) return n;
  const auto t = v.text();
  if (!t || t->empty() || t->size() > 18) return std::nullopt;
  std::int64_t n = 0;
  const bool minus = t->front() == '-';
  for (const char c : t->substr(minus ? 1 : 0)) {
    if (!ascii_digit(c)) return std::nullopt;
    n = n * 10 + (c - '0');
  }
  return minus ? -n : n;
}

bool is_uuid(std::string_view s) {
  if (s.size() != 36) return false;
  for (std::size_t i = 0; i < s.size(); ++i) {
    const char c = ascii_lower(s[i]);
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? c != '-' : !(ascii_digit(c) || (c >= 'a' && c <= 'f'))) return false;
  }
  return true;
}

std::string uuid_in(std::string_view text) {
  return is_uuid(text) ? to_lower(text) : std::string();
}

std::string folded(std::string_view value) {
  std::string s = to_lower_utf8(trim(value));
  if (s.size() > kLongestFolded) {
    std::size_t end = kLongestFolded;
    while (end > 0 && (static_cast<unsigned char>(s[end]) & 0xC0U) == 0x80U) --end;
    s.resize(end);
  }
  return s;
}

std::pair<std::string, std::string> parts_of(std::string_view type, std::string_view value) {
  const bool composite = type.find('|') != std::string_view::npos || type == "malware-sample";
  const auto bar = composite ? value.find('|') : std::string_view::npos;
  if (bar == std::string_view::npos) return {folded(value), {}};
  return {folded(value.substr(0, bar)), folded(value.substr(bar + 1))};
}

std::int64_t believed(std::int64_t timestamp, Instant now) {
  const std::int64_t at = micros(now) / 1'000'000;
  return timestamp < 0 ? 0 : std::min(timestamp, at);
}

std::string_view inner(std::string_view object) {
  return object.size() < 2 ? std::string_view() : object.substr(1, object.size() - 2);
}

std::string merged(std::string_view under, std::string_view over) {
  const auto a = net::JsonDocument::parse(under), b = net::JsonDocument::parse(over);
  if (!a || !b || !a->root().is_object()) return std::string(over);
  std::string out;
  JsonWriter w(out);
  w.object();
  for (const net::JsonValue m : a->root()) {
    const net::JsonValue now = b->root()[m.key()];
    w.key(m.key()).raw((now ? now : m).to_text());
  }
  for (const net::JsonValue m : b->root())
    if (!a->root()[m.key()]) w.key(m.key()).raw(m.to_text());
  w.end();
  return out;
}

std::optional<TagIn> read_tag(net::JsonValue v) {
  if (v["Tag"].is_object()) v = v["Tag"];
  TagIn t;
  t.name = std::string(trim(v.is_object() ? v["name"].text_or({}) : v.text_or({})));
  if (t.name.empty() || t.name.size() > kLongestTag) return std::nullopt;
  if (v.is_object()) {
    t.colour = std::string(v["colour"].text_or({}).substr(0, 20));
    t.relationship = std::string(v["relationship_type"].text_or({}).substr(0, 200));
    t.local = truth(v["local"]).value_or(false);
    t.local_text = v["local"].text().has_value();
    t.exportable = truth(v["exportable"]).value_or(true);
    t.removed = truth(v["deleted"]).value_or(false);
  }
  return t;
}

Result<SightingIn> read_sighting(net::JsonValue v) {
  if (v["Sighting"].is_object()) v = v["Sighting"];
  if (!v.is_object()) return wrong("a sighting is no object");
  SightingIn s;
  s.uuid = uuid_in(v["uuid"].text_or({}));
  s.source = std::string(v["source"].text_or({}).substr(0, 255));
  s.type = v["type"] && !v["type"].is_null() ? number(v["type"]).value_or(-1) : 0;
  if (s.type < 0 || s.type > 2) return wrong("type of a sighting is 0 (seen), 1 (false positive) or 2 (expired)");
  s.at = number(v["date_sighting"]).value_or(number(v["timestamp"]).value_or(0));
  s.org_name = std::string(v["Organisation"]["name"].text_or({}).substr(0, kLongestName));
  s.org_uuid = uuid_in(v["Organisation"]["uuid"].text_or({}));
  return s;
}

namespace {
/// Empty when it has none; what is there must be one.
Result<std::string> given_uuid(net::JsonValue v, std::string_view of) {
  if (!v["uuid"] || v["uuid"].is_null()) return std::string();
  std::string uuid = uuid_in(v["uuid"].text_or({}));
  if (uuid.empty()) return wrong(fmt::format("uuid of {} is none", of));
  return uuid;
}
}  // namespace

Result<AttributeIn> read_attribute(net::JsonValue v) {
  if (v["Attribute"].is_object()) v = v["Attribute"];
  if (!v.is_object()) return wrong("an attribute is no object");
  AttributeIn a;
  BAVN_TRY(a.uuid, given_uuid(v, "an attribute"));
  a.type = std::string(v["type"].text_or({}));
  if (!may_be_type(a.type)) return wrong("type is missing or is no type of MISP");
  a.value = scalar(v["value"]);
  if (trim(a.value).empty()) return wrong("value is empty");
  if (!is_valid_utf8(a.value)) return wrong("value is no UTF-8");
  const AttributeType* known = type_of(a.type);
  a.category = std::string(v["category"].text_or({}));
  if (a.category.empty()) a.category = known ? std::string(known->default_category) : "Other";
  if (a.category.size() > 100) return wrong("category has more than 100 bytes");
  a.to_ids = truth(v["to_ids"]).value_or(known != nullptr && known->to_ids);
  a.deleted = truth(v["deleted"]).value_or(false);
  a.timestamp = number(v["timestamp"]).value_or(0);
  a.closed = closed_by(v["distribution"]);
  BAVN_TRY(a.tags, read_tags(v["Tag"]));
  if (v["Sighting"].is_array()) {
    if (v["Sighting"].size() > 10'000) return wrong("more than 10,000 sightings");
    for (const net::JsonValue s : v["Sighting"])
      if (auto read = read_sighting(s)) a.sightings.push_back(std::move(*read));
  }
  JsonWriter w(a.body);
  w.object();
  if (v["object_relation"].text()) w.member("object_relation", v["object_relation"].text_or({}));
  w.member("category", a.category).member("type", a.type).member("value", a.value).member("to_ids", a.to_ids);
  w.member("comment", v["comment"].text_or({}));
  const auto distribution = number(v["distribution"]);
  w.member("distribution",
           std::to_string(distribution && *distribution >= 0 && *distribution <= 5 ? *distribution : 5));
  const auto group = number(v["sharing_group_id"]);
  w.member("sharing_group_id", std::to_string(group.value_or(0)));
  w.member("disable_correlation", truth(v["disable_correlation"]).value_or(false));
  for (const std::string_view key : {"first_seen", "last_seen"}) {
    w.key(key);
    if (const auto t = v[key].text(); t && t->size() <= 64) w.value(*t);
    else w.null();
  }
  keep(w, v,
       {"object_relation",
        "category",
        "type",
        "value",
        "to_ids",
        "comment",
        "distribution",
        "sharing_group_id",
        "disable_correlation",
        "first_seen",
        "last_seen",
        "uuid",
        "timestamp",
        "deleted",
        "id",
        "event_id",
        "object_id",
        "event_uuid",
        "Tag",
        "Sighting",
        "ShadowAttribute",
        "RelatedAttribute",
        "Event",
        "SharingGroup",
        "Object",
        "object_uuid",
        "value1",
        "value2",
        "Feed",
        "warnings",
        "enforceWarninglist",
        "sighting_timestamp"});
  w.end();
  if (a.body.size() > kLargestAttribute) return wrong("the attribute is larger than 32 MiB");
  return a;
}

Result<ReferenceIn> read_reference(net::JsonValue v) {
  if (v["ObjectReference"].is_object()) v = v["ObjectReference"];
  if (!v.is_object()) return wrong("an object reference is no object");
  ReferenceIn r;
  r.uuid = uuid_in(v["uuid"].text_or({}));
  r.referenced = uuid_in(v["referenced_uuid"].text_or({}));
  if (r.referenced.empty()) return wrong("referenced_uuid is missing or none");
  r.timestamp = number(v["timestamp"]).value_or(0);
  r.deleted = truth(v["deleted"]).value_or(false);
  JsonWriter w(r.body);
  w.object().member("relationship_type", v["relationship_type"].text_or({}).substr(0, kLongestName));
  w.member("comment", v["comment"].text_or({}));
  keep(w, v,
       {"relationship_type", "comment", "uuid", "referenced_uuid", "timestamp", "deleted", "id", "event_id",
        "object_id", "object_uuid", "source_uuid", "referenced_id", "Attribute", "Object"});
  w.end();
  return r;
}

Result<ObjectIn> read_object(std::string_view text) {
  ObjectIn o;
  std::string head;
  JsonWriter w(head);
  w.object();
  std::string_view nested;
  BAVN_CHECK(each_member(text, [&](std::string_view key, std::string_view value) -> Result<void> {
    if (key == "Object" && first_of(value) == '{') {
      nested = value;
    } else if (key == "Attribute") {
      if (first_of(value) == '[') o.attributes = value;
      else if (first_of(value) != 'n') return wrong("Attribute of an object is no array");
    } else {
      if (head.size() + value.size() > kLargestHead) return wrong("the object is larger than 16 MiB");
      w.key(key).raw(value);
    }
    return {};
  }));
  if (!nested.empty()) return read_object(nested);
  w.end();
  BAVN_TRY(const auto document, net::JsonDocument::parse(head));
  const net::JsonValue v = document.root();
  BAVN_TRY(o.uuid, given_uuid(v, "an object"));
  o.name = std::string(v["name"].text_or({}));
  if (o.name.empty() || o.name.size() > kLongestName) return wrong("name of an object is missing or too long");
  o.timestamp = number(v["timestamp"]).value_or(0);
  o.deleted = truth(v["deleted"]).value_or(false);
  o.closed = closed_by(v["distribution"]);
  if (v["ObjectReference"].is_array()) {
    if (v["ObjectReference"].size() > kMostReferences)
      return wrong(fmt::format("an object has more than {} references", kMostReferences));
    for (const net::JsonValue r : v["ObjectReference"]) {
      BAVN_TRY(auto read, read_reference(r));
      o.references.push_back(std::move(read));
    }
  }
  JsonWriter b(o.body);
  b.object().member("name", o.name).member("meta-category", v["meta-category"].text_or("misc"));
  b.member("description", v["description"].text_or({})).member("comment", v["comment"].text_or({}));
  const auto distribution = number(v["distribution"]);
  b.member("distribution",
           std::to_string(distribution && *distribution >= 0 && *distribution <= 5 ? *distribution : 5));
  b.member("sharing_group_id", std::to_string(number(v["sharing_group_id"]).value_or(0)));
  keep(b, v,
       {"name", "meta-category", "description", "comment", "distribution", "sharing_group_id", "uuid", "timestamp",
        "deleted", "id", "event_id", "ObjectReference", "SharingGroup", "Event"});
  b.end();
  return o;
}

Result<EventIn> read_event(std::string_view json) {
  EventIn e;
  std::string head;
  JsonWriter w(head);
  w.object();
  std::string_view nested;
  BAVN_CHECK(each_member(json, [&](std::string_view key, std::string_view value) -> Result<void> {
    const char first = first_of(value);
    if ((key == "Event" || key == "response") && first == '{') {
      nested = value;
    } else if (key == "response" && first == '[') {
      std::size_t n = 0;
      BAVN_CHECK(each_element(value, [&](std::string_view v) -> Result<void> {
        if (++n > 1) return wrong("the answer holds more than one event");
        nested = v;
        return {};
      }));
    } else if (key == "Attribute" || key == "Object") {
      if (first == '[') (key == "Object" ? e.objects : e.attributes) = value;
      else if (first != 'n') return wrong(fmt::format("{} is no array", key));
    } else {
      if (head.size() + value.size() > kLargestHead)
        return wrong("the event without its attributes is larger than 16 MiB");
      w.key(key).raw(value);
    }
    return {};
  }));
  if (!nested.empty()) return read_event(nested);
  w.end();
  BAVN_TRY(const auto document, net::JsonDocument::parse(head));
  const net::JsonValue v = document.root();
  if (!v["uuid"].text_or({}).empty()) {
    BAVN_TRY(e.uuid, given_uuid(v, "the event"));
  }
  if (const auto info = v["info"]; info && !info.is_null()) {
    e.info = scalar(info);
    if (trim(*e.info).empty()) return wrong("info is empty");
    if (e.info->size() > kLongestInfo) return wrong("info has more than 65,535 bytes");
  }
  if (const auto date = v["date"].text(); date && !date->empty()) {
    if (!parse_time(fmt::format("{}T00:00:00Z", *date))) return wrong("date is no YYYY-MM-DD");
    e.date = std::string(*date);
  }
  for (const std::string_view key : {"Orgc", "Org"})
    if (const auto o = v[key]; o.is_object() && e.orgc_name.empty()) {
      e.orgc_name = std::string(o["name"].text_or({}).substr(0, kLongestName));
      e.orgc_uuid = uuid_in(o["uuid"].text_or({}));
    }
  e.timestamp = number(v["timestamp"]);
  e.publish_timestamp = number(v["publish_timestamp"]);
  e.published = truth(v["published"]);
  if (v["published"]) e.said_published = v["published"].to_text();
  const auto among_numbers = [&](std::string_view key, std::int64_t from, std::int64_t to,
                                 std::optional<std::int64_t>& out) -> Result<void> {
    if (!v[key] || v[key].is_null()) return {};
    out = number(v[key]);
    if (!out || *out < from || *out > to) return wrong(fmt::format("{} is {} to {}", key, from, to));
    return {};
  };
  BAVN_CHECK(among_numbers("threat_level_id", 1, 4, e.threat_level));
  BAVN_CHECK(among_numbers("analysis", 0, 2, e.analysis));
  if (v["distribution"] && !v["distribution"].is_null()) {
    const auto d = number(v["distribution"]);
    if (!d || *d < 0 || *d > 4) return wrong("distribution is 0 to 4");
    e.closed = closed_by(v["distribution"]);
  }
  BAVN_TRY(e.tags, read_tags(v["Tag"]));
  e.proposals = v["ShadowAttribute"].is_array() ? v["ShadowAttribute"].size() : 0;
  JsonWriter b(e.body);
  b.object();
  keep(b, v,
       {"uuid",
        "info",
        "date",
        "Orgc",
        "Org",
        "timestamp",
        "publish_timestamp",
        "published",
        "threat_level_id",
        "analysis",
        "Tag",
        "EventTag",
        "ShadowAttribute",
        "RelatedEvent",
        "id",
        "org_id",
        "orgc_id",
        "attribute_count",
        "locked",
        "proposal_email_lock",
        "sighting_timestamp",
        "Feed",
        "Server"});
  b.end();
  return e;
}

}  // namespace bavn::exchange::misp
