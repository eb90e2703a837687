#include "exchange/misp/book.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "exchange/misp/json_pieces.hpp"
#include "exchange/tlp_marks.hpp"

namespace bavn::exchange::misp {

namespace {

constexpr std::size_t kPiece = 1000;  // attributes a transaction: some ten milliseconds, others' commits go between
constexpr std::size_t kMostNamed = 1000;

std::string formatted_uuid(std::string_view hex) {
  return fmt::format("{}-{}-{}-{}-{}", hex.substr(0, 8), hex.substr(8, 4), hex.substr(12, 4), hex.substr(16, 4),
                     hex.substr(20, 12));
}

std::int64_t seconds(Instant t) {
  return micros(t) / 1'000'000;
}

std::string day_of(Instant t) {
  return format_time(t).substr(0, 10);
}

bool is_id(std::string_view id) {
  return !id.empty() && id.size() <= 18 && std::all_of(id.begin(), id.end(), ascii_digit);
}

std::string clash(std::string_view what) {
  return fmt::format("{} with this uuid belongs to another event", what);
}

}  // namespace

std::string made_uuid(std::string_view of) {
  std::string bytes = sha256(of).substr(0, 16);
  bytes[6] = static_cast<char>((static_cast<unsigned char>(bytes[6]) & 0x0FU) | 0x80U);  // version 8: our own scheme
  bytes[8] = static_cast<char>((static_cast<unsigned char>(bytes[8]) & 0x3FU) | 0x80U);
  return formatted_uuid(to_hex(bytes));
}

std::string uuid_of_name(std::string_view name) {
  return made_uuid(fmt::format("bavn organisation {}", name));
}

namespace {
struct MakerRow {
  std::string uuid;
  std::int64_t peer = 0;
  std::string owner;
};
BOOST_DESCRIBE_STRUCT(MakerRow, (), (uuid, peer, owner))
}  // namespace

/// One event that is being written.
struct Book::Writing {
  const Viewer& by;
  std::int64_t event = 0;
  std::int64_t now = 0;
  Put put{};
  void drop(std::string_view what, std::string_view id, std::string_view reason) {
    ++put.dropped;
    if (put.list.size() < kMostNamed) put.list.push_back({std::string(what), std::string(id), std::string(reason)});
  }
};

Book::Book(Runtime& runtime, store::State& state, std::string own_name)
    : runtime_(runtime), state_(state), own_name_(std::move(own_name)) {}

std::string Book::new_uuid() {
  std::array<std::byte, 16> bytes{};
  runtime_.random(bytes);
  bytes[6] = (bytes[6] & std::byte{0x0F}) | std::byte{0x40};
  bytes[8] = (bytes[8] & std::byte{0x3F}) | std::byte{0x80};
  return formatted_uuid(to_hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size())));
}

Result<void> Book::open() {
  const std::string uuid = uuid_of_name(own_name_);
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE misp_org SET local = 0 WHERE local = 1 AND uuid <> :u", {{"u", uuid}}));
    BAVN_CHECK(tx.exec(
        "INSERT INTO misp_org (uuid, name, local) VALUES (:u, :n, 1) ON CONFLICT (uuid) DO UPDATE SET local = 1",
        {{"u", uuid}, {"n", own_name_}}));
    BAVN_TRY(auto rows, tx.all<Org>("SELECT id, uuid, name, local FROM misp_org WHERE uuid = :u", {{"u", uuid}}));
    own_ = std::move(rows.at(0));
    return {};
  }));
  BAVN_TRY(const auto half, state_.read([](store::Reader& r) {
    return r.all<std::int64_t>("SELECT id FROM misp_event WHERE whole = 0");
  }));
  for (const std::int64_t id : half) BAVN_CHECK(sweep(id));
  return {};
}

/// All rows of an event, some thousand a transaction.
Result<void> Book::sweep(std::int64_t event) {
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE misp_event SET whole = 0 WHERE id = :e", {{"e", event}}));
    return {};
  }));
  for (const std::string_view table : {"misp_attribute", "misp_object", "misp_reference", "misp_sighting"})
    for (bool more = true; more;)
      BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
        BAVN_TRY(
            const auto gone,
            tx.exec(fmt::format("DELETE FROM {0} WHERE id IN (SELECT id FROM {0} WHERE event = :e LIMIT 5000)", table),
                    {{"e", event}}));
        more = gone == 5000;
        return {};
      }));
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("DELETE FROM misp_tagged WHERE event = :e", {{"e", event}}));
    BAVN_CHECK(tx.exec("DELETE FROM misp_event WHERE id = :e", {{"e", event}}));
    return {};
  });
}

Result<std::int64_t> Book::org_id(store::Tx& tx, std::string_view uuid, std::string_view name) {
  const std::string known(uuid.empty() ? uuid_of_name(name) : std::string(uuid));
  BAVN_TRY(const auto row, tx.one<std::int64_t>("SELECT id FROM misp_org WHERE uuid = :u", {{"u", known}}));
  if (row) return *row;
  BAVN_CHECK(tx.exec("INSERT INTO misp_org (uuid, name) VALUES (:u, :n)", {{"u", known}, {"n", name}}));
  return tx.last_id();
}

Result<std::int64_t> Book::tag_id(store::Tx& tx, const TagIn& t) {
  BAVN_TRY(const auto row, tx.one<std::int64_t>("SELECT id FROM misp_tag WHERE name = :n", {{"n", t.name}}));
  if (row) return *row;
  std::string colour = t.colour;
  if (colour.empty())  // as many colours as names, always the same one
    colour = "#" + to_hex(sha256(to_lower(t.name)).substr(0, 3));
  BAVN_CHECK(tx.exec("INSERT INTO misp_tag (name, colour, exportable) VALUES (:n, :c, :e)",
                     {{"n", t.name}, {"c", colour}, {"e", t.exportable}}));
  return tx.last_id();
}

Result<std::int64_t> Book::make_tag(const TagIn& t) {
  std::int64_t id = 0;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(id, tag_id(tx, t));
    return {};
  }));
  return id;
}

Result<void> Book::set_tags(store::Tx& tx, std::int64_t event, std::int64_t attribute, const std::vector<TagIn>& tags) {
  for (const TagIn& t : tags) {
    BAVN_TRY(const auto id, tag_id(tx, t));
    if (t.removed) {
      BAVN_CHECK(tx.exec("DELETE FROM misp_tagged WHERE event = :e AND attribute = :a AND tag = :t",
                         {{"e", event}, {"a", attribute}, {"t", id}}));
    } else {
      BAVN_CHECK(tx.exec(
          "INSERT OR IGNORE INTO misp_tagged (event, attribute, tag, local, local_text, relationship, place) "
          "VALUES (:e, :a, :t, :l, :lt, :r, (SELECT COUNT(*) FROM misp_tagged WHERE event = :e AND attribute = :a))",
          {{"e", event}, {"a", attribute}, {"t", id}, {"l", t.local}, {"lt", t.local_text}, {"r", t.relationship}}));
    }
  }
  return tags.empty() ? Result<void>() : after_tags(tx, event, attribute);
}

Result<void> Book::after_tags(store::Tx& tx, std::int64_t event, std::int64_t attribute) {
  BAVN_TRY(const auto names,
           tx.all<std::string>("SELECT g.name FROM misp_tagged t JOIN misp_tag g ON g.id = t.tag WHERE "
                               "t.event = :e AND t.attribute = :a",
                               {{"e", event}, {"a", attribute}}));
  if (attribute != 0) {
    const auto tlp = tlp_of_misp_tags(names, event::Tlp::clear);
    BAVN_CHECK(tx.exec("UPDATE misp_attribute SET tlp = :t WHERE id = :a", {{"t", tlp}, {"a", attribute}}));
    return {};
  }
  std::string sectors;
  JsonWriter w(sectors);
  w.array();
  for (const auto& s : sectors_of_tags(names)) w.value(s);
  w.end();
  // An event without a marking is amber: for our own and those who are named.
  const auto tlp = tlp_of_misp_tags(names, event::Tlp::amber);
  BAVN_CHECK(tx.exec("UPDATE misp_event SET tlp = :t, sectors = :s WHERE id = :e",
                     {{"t", tlp}, {"s", sectors}, {"e", event}}));
  return {};
}

Result<std::int64_t> Book::put_sighting(store::Tx& tx, const Viewer& by, std::int64_t event, std::int64_t attribute,
                                        const SightingIn& s) {
  const std::string uuid = s.uuid.empty() ? new_uuid() : s.uuid;
  BAVN_TRY(const auto known, tx.one<std::int64_t>("SELECT id FROM misp_sighting WHERE uuid = :u", {{"u", uuid}}));
  if (known) return *known;
  const bool named = !by.partner() && !s.org_name.empty();
  BAVN_TRY(const auto org, org_id(tx,
                                  named          ? s.org_uuid
                                  : by.partner() ? std::string()
                                                 : own_.uuid,
                                  named ? s.org_name : by.name));
  const std::int64_t now = seconds(tx.now());
  const std::int64_t at = s.at == 0 ? now : believed(s.at, tx.now());
  // Whose word it is: a partner's MISP says in its own events whose sighting that is, as it says who made them.
  BAVN_TRY(const auto maker,
           tx.one<MakerRow>("SELECT o.uuid AS uuid, e.peer AS peer, e.owner AS owner FROM misp_event e JOIN misp_org o "
                            "ON o.id = e.orgc WHERE e.id = :e",
                            {{"e", event}}));
  std::int64_t voice = by.partner() || !by.publishes || named ? 0 : 2;
  if (maker && by.partner() && maker->peer == by.peer)
    voice = maker->uuid == (s.org_uuid.empty() ? uuid_of_name(by.name) : s.org_uuid) ? 1 : 0;
  BAVN_CHECK(
      tx.exec("INSERT INTO misp_sighting (uuid, event, attribute, type, source, at, org, owner, voice, tlp, inside, "
              "telling) VALUES (:u, :e, :a, :t, :s, :at, :o, :w, :voice, :tlp, :inside, :telling)",
              {{"u", uuid},
               {"e", event},
               {"a", attribute},
               {"t", s.type},
               {"s", s.source},
               {"at", at},
               {"o", org},
               {"w", by.who},
               {"voice", voice},
               {"tlp", s.tlp},
               {"inside", s.inside},
               {"telling", s.telling}}));
  const std::int64_t id = tx.last_id();
  // Of what is not for partners not even that there is something new.
  if (!s.inside)
    BAVN_CHECK(tx.exec("UPDATE misp_event SET sighting_timestamp = :now, changed_us = :us WHERE id = :e",
                       {{"now", now}, {"us", tx.now()}, {"e", event}}));
  BAVN_CHECK(
      tx.emit("misp.sighting", std::to_string(attribute), fmt::format("{{\"sighting\":{},\"type\":{}}}", id, s.type)));
  return id;
}

Result<std::int64_t> Book::put_attribute(store::Tx& tx, Writing& w, std::int64_t object, AttributeIn a) {
  std::vector<AttributeRow> rows;
  if (a.uuid.empty()) {
    a.uuid = new_uuid();
  } else {
    BAVN_TRY(rows,
             tx.all<AttributeRow>(fmt::format("SELECT {} FROM misp_attribute a WHERE a.uuid = :u", kAttributeColumns),
                                  {{"u", a.uuid}}));
  }
  const std::int64_t at = a.timestamp == 0 ? w.now : believed(a.timestamp, tx.now());
  const auto [value1, value2] = parts_of(a.type, a.value);
  std::int64_t id = 0;
  if (!rows.empty()) {
    const AttributeRow& here = rows.front();
    if (here.event != w.event || here.object != object) {
      w.drop("attribute", a.uuid, clash("an attribute"));
      return 0;
    }
    id = here.id;
    if (a.timestamp != 0 && at <= here.timestamp) return id;
    BAVN_CHECK(
        tx.exec("UPDATE misp_attribute SET type = :type, category = :cat, value1 = :v1, value2 = :v2, to_ids = :ids, "
                "timestamp = :at, deleted = :del, closed = :closed, body = :body WHERE id = :id",
                {{"type", a.type},
                 {"cat", a.category},
                 {"v1", value1},
                 {"v2", value2},
                 {"ids", a.to_ids},
                 {"at", at},
                 {"del", a.deleted},
                 {"closed", a.closed},
                 {"body", a.body},
                 {"id", id}}));
  } else {
    BAVN_CHECK(
        tx.exec("INSERT INTO misp_attribute (event, object, uuid, type, category, value1, value2, to_ids, timestamp, "
                "deleted, tlp, closed, body) VALUES (:e, :o, :u, :type, :cat, :v1, :v2, :ids, :at, :del, 0, "
                ":closed, :body)",
                {{"e", w.event},
                 {"o", object},
                 {"u", a.uuid},
                 {"type", a.type},
                 {"cat", a.category},
                 {"v1", value1},
                 {"v2", value2},
                 {"ids", a.to_ids},
                 {"at", at},
                 {"del", a.deleted},
                 {"closed", a.closed},
                 {"body", a.body}}));
    id = tx.last_id();
  }
  BAVN_CHECK(set_tags(tx, w.event, id, a.tags));
  for (const SightingIn& s : a.sightings) BAVN_CHECK(put_sighting(tx, w.by, w.event, id, s));
  ++w.put.attributes;
  w.put.changed = true;
  return id;
}

Result<void> Book::put_references(store::Tx& tx, std::int64_t event, std::int64_t object,
                                  const std::vector<ReferenceIn>& references) {
  for (const ReferenceIn& r : references) {
    const std::string uuid = r.uuid.empty() ? new_uuid() : r.uuid;
    const std::int64_t at = r.timestamp == 0 ? seconds(tx.now()) : believed(r.timestamp, tx.now());
    BAVN_CHECK(tx.exec(
        "INSERT INTO misp_reference (event, object, uuid, referenced, timestamp, deleted, body) VALUES (:e, :o, "
        ":u, :r, :at, :d, :b) ON CONFLICT (uuid) DO UPDATE SET referenced = excluded.referenced, timestamp = "
        "excluded.timestamp, deleted = excluded.deleted, body = excluded.body WHERE event = excluded.event "
        "AND object = excluded.object AND excluded.timestamp > timestamp",
        {{"e", event}, {"o", object}, {"u", uuid}, {"r", r.referenced}, {"at", at}, {"d", r.deleted}, {"b", r.body}}));
  }
  return {};
}

Result<void> Book::put_object(store::Tx& tx, Writing& w, std::string_view text) {
  auto read = read_object(text);
  if (!read) {
    w.drop("object", {}, read.error().what);
    return {};
  }
  ObjectIn& o = *read;
  if (o.uuid.empty()) o.uuid = new_uuid();
  BAVN_TRY(const auto rows,
           tx.all<ObjectRow>(fmt::format("SELECT {} FROM misp_object o WHERE o.uuid = :u", kObjectColumns),
                             {{"u", o.uuid}}));
  const std::int64_t at = o.timestamp == 0 ? w.now : believed(o.timestamp, tx.now());
  std::int64_t id = 0;
  if (!rows.empty()) {
    if (rows.front().event != w.event) {
      w.drop("object", o.uuid, clash("an object"));
      return {};
    }
    id = rows.front().id;
    if (o.timestamp == 0 || at > rows.front().timestamp) {
      BAVN_CHECK(
          tx.exec("UPDATE misp_object SET name = :n, timestamp = :at, deleted = :d, closed = :c, body = :b WHERE id = "
                  ":id",
                  {{"n", o.name}, {"at", at}, {"d", o.deleted}, {"c", o.closed}, {"b", o.body}, {"id", id}}));
      w.put.changed = true;
    }
  } else {
    BAVN_CHECK(tx.exec(
        "INSERT INTO misp_object (event, uuid, name, timestamp, deleted, closed, body) VALUES (:e, :u, :n, :at, "
        ":d, :c, :b)",
        {{"e", w.event}, {"u", o.uuid}, {"n", o.name}, {"at", at}, {"d", o.deleted}, {"c", o.closed}, {"b", o.body}}));
    id = tx.last_id();
    w.put.changed = true;
  }
  ++w.put.objects;
  BAVN_CHECK(put_references(tx, w.event, id, o.references));
  if (o.attributes.empty()) return {};
  return each_element(o.attributes, [&](std::string_view element) -> Result<void> {
    BAVN_TRY(const auto document, net::JsonDocument::parse(element));
    auto a = read_attribute(document.root());
    if (!a) {
      w.drop("attribute", scalar(document.root()["uuid"]), a.error().what);
      return {};
    }
    BAVN_CHECK(put_attribute(tx, w, id, std::move(*a)));
    return {};
  });
}

/// Attributes and objects of the text, a piece a transaction.
Result<void> Book::write_parts(Writing& w, const EventIn& in) {
  std::vector<AttributeIn> piece;
  std::size_t bytes = 0;
  const auto write = [&]() -> Result<void> {
    if (piece.empty()) return {};
    const Put before = w.put;
    auto done = state_.write_now([&](store::Tx& tx) -> Result<void> {
      w.put = before;
      for (AttributeIn& a : piece) BAVN_CHECK(put_attribute(tx, w, 0, std::move(a)));
      return {};
    });
    piece.clear();
    bytes = 0;
    return done;
  };
  if (!in.attributes.empty())
    BAVN_CHECK(each_element(in.attributes, [&](std::string_view element) -> Result<void> {
      BAVN_TRY(const auto document, net::JsonDocument::parse(element));
      auto a = read_attribute(document.root());
      if (!a) {
        w.drop("attribute", scalar(document.root()["uuid"]), a.error().what);
        return {};
      }
      bytes += a->body.size();
      piece.push_back(std::move(*a));
      return piece.size() >= kPiece || bytes > (8U << 20U) ? write() : Result<void>();
    }));
  BAVN_CHECK(write());
  std::vector<std::string_view> objects;
  const auto write_objects = [&]() -> Result<void> {
    if (objects.empty()) return {};
    const Put before = w.put;
    auto done = state_.write_now([&](store::Tx& tx) -> Result<void> {
      w.put = before;
      for (const std::string_view o : objects) BAVN_CHECK(put_object(tx, w, o));
      return {};
    });
    objects.clear();
    bytes = 0;
    return done;
  };
  if (!in.objects.empty())
    BAVN_CHECK(each_element(in.objects, [&](std::string_view element) -> Result<void> {
      if (first_of(element) != '{') {
        w.drop("object", {}, "an object is none");
        return {};
      }
      bytes += element.size();
      objects.push_back(element);
      return objects.size() >= kPiece / 5 || bytes > (1U << 20U) ? write_objects() : Result<void>();
    }));
  return write_objects();
}

Result<Put> Book::put(const Viewer& by, std::string_view json, const PutWish& wish) {
  BAVN_TRY(EventIn in, read_event(json));
  const Instant now = runtime_.now();
  Writing w{by, wish.event, seconds(now), {}};
  if (in.proposals > 0)
    w.drop("proposal", in.uuid,
           fmt::format("{} proposals (ShadowAttribute): proposals are not taken here", in.proposals));
  const bool edits = wish.how == Putting::edit;
  // A sync says what its author published; whoever may not publish writes drafts.
  const bool publishes = wish.from_feed || (in.published.value_or(false) && by.publishes);
  std::optional<EventRow> here;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    if (edits) {
      BAVN_TRY(here, tx.one<EventRow>(fmt::format("SELECT {} FROM misp_event e WHERE e.id = :e", kEventColumns),
                                      {{"e", wish.event}}));
      if (!here) return fail(Code::not_found, "Invalid event");
      if (!in.uuid.empty() && in.uuid != here->uuid) return fail(Code::bad_input, "the event has another uuid");
    } else {
      if (in.uuid.empty()) in.uuid = new_uuid();
      BAVN_TRY(here, tx.one<EventRow>(fmt::format("SELECT {} FROM misp_event e WHERE e.uuid = :u", kEventColumns),
                                      {{"u", in.uuid}}));
      if (here && wish.how == Putting::add) return fail(Code::conflict, "Event already exists", in.uuid);
      BAVN_TRY(const auto gone, tx.number("SELECT COUNT(*) FROM misp_gone WHERE uuid = :u", {{"u", in.uuid}}));
      if (gone > 0 && wish.how == Putting::sync)
        return fail(Code::forbidden, "the event was deleted here and is not taken again", in.uuid);
      if (gone > 0) BAVN_CHECK(tx.exec("DELETE FROM misp_gone WHERE uuid = :u", {{"u", in.uuid}}));
    }
    if (here) {
      w.event = here->id;
      w.put.event = here->id;
      w.put.uuid = here->uuid;
      if (in.timestamp && believed(*in.timestamp, now) <= here->timestamp) {
        if (wish.how == Putting::sync) return {};  // nothing new
        // As MISP says it; a client that edited what it got leaves the timestamp out.
        return fail(Code::forbidden, "Event could not be saved: Event in the request not newer than the local copy.");
      }
      if (wish.how == Putting::sync && here->peer != by.peer)
        return fail(Code::forbidden, "the event is here from somebody else", in.uuid);
      w.put.changed = true;
      BAVN_CHECK(
          tx.exec("UPDATE misp_event SET info = :info, date = :date, threat_level = :tl, analysis = :an, closed = "
                  ":closed, body = :body, said_published = :said WHERE id = :e",
                  {{"info", in.info.value_or(here->info)},
                   {"date", in.date.value_or(here->date)},
                   {"tl", in.threat_level.value_or(here->threat_level)},
                   {"an", in.analysis.value_or(here->analysis)},
                   {"closed", in.closed.value_or(here->closed)},
                   {"body", merged(here->body, in.body)},
                   {"said", wish.from_feed ? in.said_published : here->said_published},
                   {"e", here->id}}));
      return set_tags(tx, here->id, 0, in.tags);
    }
    if (!in.info) return fail(Code::bad_input, "info is missing");
    // Nobody writes in another's name; our own people carry in what they were given.
    const bool others = !in.orgc_name.empty() && (!by.partner() || wish.how == Putting::sync);
    BAVN_TRY(const auto orgc, org_id(tx,
                                     others         ? in.orgc_uuid
                                     : by.partner() ? std::string()
                                                    : own_.uuid,
                                     others ? in.orgc_name : by.name));
    const std::int64_t at = in.timestamp ? believed(*in.timestamp, now) : w.now;
    BAVN_CHECK(tx.exec(
        "INSERT INTO misp_event (uuid, whole, info, date, orgc, timestamp, publish_timestamp, published, threat_level, "
        "analysis, tlp, closed, owner, peer, locked, said_published, changed_us, body) VALUES (:uuid, 0, :info, :date, "
        ":orgc, :at, :pub, 0, :tl, :an, :tlp, :closed, :owner, :peer, :locked, :said, :now, :body)",
        {{"uuid", in.uuid},
         {"info", *in.info},
         {"date", in.date.value_or(day_of(now))},
         {"orgc", orgc},
         {"at", at},
         {"pub", believed(in.publish_timestamp.value_or(0), now)},
         {"tl", in.threat_level.value_or(4)},
         {"an", in.analysis.value_or(0)},
         {"tlp", event::Tlp::amber},
         {"closed", in.closed.value_or(false)},
         {"owner", by.who},
         {"peer", by.peer},
         {"locked", wish.how == Putting::sync},
         {"said", wish.from_feed ? in.said_published : std::string()},
         {"now", now},
         {"body", in.body}}));
    w.event = w.put.event = tx.last_id();
    w.put.uuid = in.uuid;
    w.put.changed = true;
    return set_tags(tx, w.event, 0, in.tags);
  }));
  if (!w.put.changed) return w.put;
  if (!wish.only_head)
    if (auto written = write_parts(w, in); !written) {
      if (!here)
        if (const auto swept = sweep(w.event); !swept)  // the next start tries again
          log::warn("misp_event_half_written", {{"event", w.put.uuid}, {"reason", to_string(swept.error())}});
      return std::unexpected(written.error());
    }
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto count,
             tx.number("SELECT COUNT(*) FROM misp_attribute WHERE event = :e AND deleted = 0", {{"e", w.event}}));
    const std::int64_t at = in.timestamp ? believed(*in.timestamp, now)
                            : here       ? std::max(w.now, here->timestamp + 1)
                                         : w.now;
    BAVN_CHECK(
        tx.exec("UPDATE misp_event SET whole = 1, attribute_count = :n, published = :p, publish_timestamp = CASE WHEN "
                ":p = 0 THEN publish_timestamp WHEN :pub > 0 OR :feed = 1 THEN :pub ELSE :now END, timestamp = :at, "
                "changed_us = :us "
                "WHERE id = :e",
                {{"n", count},
                 {"p", publishes},
                 {"pub", believed(in.publish_timestamp.value_or(0), now)},
                 {"feed", wish.from_feed},
                 {"now", w.now},
                 {"at", at},
                 {"us", tx.now()},
                 {"e", w.event}}));
    BAVN_CHECK(tx.emit("misp.event", w.put.uuid));
    BAVN_CHECK(tx.add_job("misp.indicators", std::to_string(w.event), publishes ? "all" : "less"));
    return tx.audit({by.who, here ? "misp.event.changed" : "misp.event.added", "misp_event:" + w.put.uuid,
                     fmt::format("{{\"attributes\":{},\"objects\":{},\"dropped\":{}}}", w.put.attributes, w.put.objects,
                                 w.put.dropped)});
  }));
  return w.put;
}

bool Book::may_edit(const Viewer& v, const EventRow& e) {
  if (!v.writes) return false;
  if (e.owner == v.who) return true;
  return !v.partner() && !e.locked;
}

Result<void> Book::touched(store::Tx& tx, const Viewer& by, std::int64_t event, std::string_view what) {
  BAVN_CHECK(
      tx.exec("UPDATE misp_event SET timestamp = MAX(timestamp + 1, :now), published = 0, changed_us = :us, "
              "attribute_count = (SELECT COUNT(*) FROM misp_attribute WHERE event = :e AND deleted = 0) WHERE id = :e",
              {{"now", seconds(tx.now())}, {"us", tx.now()}, {"e", event}}));
  BAVN_CHECK(tx.add_job("misp.indicators", std::to_string(event), "less"));
  return tx.audit({by.who, std::string(what), fmt::format("misp_event:{}", event), "{}"});
}

Result<void> Book::publish(const Viewer& by, const EventRow& e, bool published) {
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(
        tx.exec("UPDATE misp_event SET published = :p, publish_timestamp = CASE WHEN :p = 1 THEN :now ELSE "
                "publish_timestamp END, changed_us = :us WHERE id = :e",
                {{"p", published}, {"now", seconds(tx.now())}, {"us", tx.now()}, {"e", e.id}}));
    BAVN_CHECK(tx.emit("misp.event", e.uuid));
    BAVN_CHECK(tx.add_job("misp.indicators", std::to_string(e.id), published ? "all" : "none"));
    return tx.audit(
        {by.who, published ? "misp.event.published" : "misp.event.unpublished", "misp_event:" + e.uuid, "{}"});
  });
}

Result<void> Book::remove_event(const Viewer& by, const EventRow& e) {
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("INSERT OR REPLACE INTO misp_gone (uuid, at_us, who) VALUES (:u, :at, :w)",
                       {{"u", e.uuid}, {"at", tx.now()}, {"w", by.who}}));
    BAVN_CHECK(tx.exec("UPDATE misp_event SET whole = 0 WHERE id = :e", {{"e", e.id}}));
    BAVN_CHECK(tx.add_job("misp.indicators", std::to_string(e.id), "none"));
    BAVN_CHECK(tx.emit("misp.event", e.uuid));
    return tx.audit({by.who, "misp.event.deleted", "misp_event:" + e.uuid, "{}"});
  }));
  return sweep(e.id);
}

Result<Book::Added> Book::add_attributes(const Viewer& by, const EventRow& event, std::int64_t object,
                                         std::vector<AttributeIn> attributes, bool update_same) {
  Added added;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    added = {};
    Writing w{by, event.id, seconds(tx.now()), {}};
    for (std::size_t i = 0; i < attributes.size(); ++i) {
      AttributeIn a = attributes[i];
      if (a.uuid.empty() || update_same) {
        const auto [value1, value2] = parts_of(a.type, a.value);
        BAVN_TRY(
            const auto same,
            tx.all<AttributeRow>(
                fmt::format("SELECT {} FROM misp_attribute a WHERE a.value1 = :v1 AND a.value2 = :v2 AND +a.event = :e "
                            "AND a.type = :t AND a.category = :c AND a.object = :o AND a.deleted = 0 LIMIT 1",
                            kAttributeColumns),
                {{"v1", value1}, {"v2", value2}, {"e", event.id}, {"t", a.type}, {"c", a.category}, {"o", object}}));
        if (!same.empty() && !update_same) {
          added.errors.emplace_back(i, "A similar attribute already exists for this event.");
          continue;
        }
        if (!same.empty()) a.uuid = same.front().uuid;
      }
      const std::uint64_t dropped = w.put.dropped;
      BAVN_TRY(const auto id, put_attribute(tx, w, object, std::move(a)));
      if (w.put.dropped > dropped) added.errors.emplace_back(i, w.put.list.back().reason);
      else added.ids.push_back(id);
    }
    return added.ids.empty() ? Result<void>() : touched(tx, by, event.id, "misp.attribute.added");
  }));
  return added;
}

Result<void> Book::edit_attribute(const Viewer& by, const EventRow& event, const AttributeRow& row,
                                  std::string_view changes) {
  BAVN_TRY(const auto document, net::JsonDocument::parse(merged(row.body, changes)));
  BAVN_TRY(AttributeIn a, read_attribute(document.root()));
  a.uuid = row.uuid;
  a.timestamp = 0;
  if (!document.root()["deleted"]) a.deleted = row.deleted;
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    Writing w{by, event.id, seconds(tx.now()), {}};
    BAVN_CHECK(put_attribute(tx, w, row.object, a));
    return touched(tx, by, event.id, "misp.attribute.changed");
  });
}

Result<void> Book::delete_attribute(const Viewer& by, const EventRow& event, const AttributeRow& row, bool hard,
                                    bool restore) {
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    if (hard) {
      BAVN_CHECK(tx.exec("DELETE FROM misp_sighting WHERE attribute = :a", {{"a", row.id}}));
      BAVN_CHECK(
          tx.exec("DELETE FROM misp_tagged WHERE event = :e AND attribute = :a", {{"e", event.id}, {"a", row.id}}));
      BAVN_CHECK(tx.exec("DELETE FROM misp_attribute WHERE id = :a", {{"a", row.id}}));
    } else {
      BAVN_CHECK(tx.exec("UPDATE misp_attribute SET deleted = :d, timestamp = MAX(timestamp + 1, :now) WHERE id = :a",
                         {{"d", !restore}, {"now", seconds(tx.now())}, {"a", row.id}}));
    }
    return touched(tx, by, event.id, restore ? "misp.attribute.restored" : "misp.attribute.deleted");
  });
}

Result<std::int64_t> Book::add_object(const Viewer& by, const EventRow& event, std::string_view json) {
  BAVN_TRY(ObjectIn o, read_object(json));
  std::int64_t id = 0;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    const std::string uuid = o.uuid.empty() ? new_uuid() : o.uuid;
    BAVN_TRY(const auto known, tx.number("SELECT COUNT(*) FROM misp_object WHERE uuid = :u", {{"u", uuid}}));
    if (known > 0) return fail(Code::conflict, "an object with this uuid is here", uuid);
    Writing w{by, event.id, seconds(tx.now()), {}};
    // The text again, with the uuid that it has now.
    std::string text = merged(json, fmt::format("{{\"uuid\":\"{}\"}}", uuid));
    if (o.uuid.empty() && net::JsonDocument::parse(json)->root()["Object"].is_object())
      text =
          merged(net::JsonDocument::parse(json)->root()["Object"].to_text(), fmt::format("{{\"uuid\":\"{}\"}}", uuid));
    BAVN_CHECK(put_object(tx, w, text));
    if (w.put.objects == 0)
      return fail(Code::bad_input, w.put.list.empty() ? "the object was not taken" : w.put.list.front().reason);
    if (w.put.dropped > 0) return fail(Code::bad_input, w.put.list.front().reason, w.put.list.front().object);
    BAVN_TRY(id, tx.number("SELECT id FROM misp_object WHERE uuid = :u", {{"u", uuid}}));
    return touched(tx, by, event.id, "misp.object.added");
  }));
  return id;
}

Result<void> Book::edit_object(const Viewer& by, const EventRow& event, const ObjectRow& row, std::string_view json) {
  BAVN_TRY(const auto document, net::JsonDocument::parse(json));
  const net::JsonValue given = document.root()["Object"].is_object() ? document.root()["Object"] : document.root();
  std::string over;
  JsonWriter w(over);
  w.object().member("uuid", row.uuid);
  for (const net::JsonValue m : given)
    if (m.key() != "uuid" && m.key() != "timestamp") w.key(m.key()).raw(m.to_text());
  w.end();
  const std::string text = merged(row.body, over);
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    Writing writing{by, event.id, seconds(tx.now()), {}};
    BAVN_CHECK(put_object(tx, writing, text));
    if (writing.put.dropped > 0)
      return fail(Code::bad_input, writing.put.list.front().reason, writing.put.list.front().object);
    return touched(tx, by, event.id, "misp.object.changed");
  });
}

Result<void> Book::delete_object(const Viewer& by, const EventRow& event, const ObjectRow& row, bool hard) {
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    if (hard) {
      BAVN_CHECK(
          tx.exec("DELETE FROM misp_attribute WHERE event = :e AND object = :o", {{"e", event.id}, {"o", row.id}}));
      BAVN_CHECK(tx.exec("DELETE FROM misp_reference WHERE object = :o", {{"o", row.id}}));
      BAVN_CHECK(tx.exec("DELETE FROM misp_object WHERE id = :o", {{"o", row.id}}));
    } else {
      const std::int64_t now = seconds(tx.now());
      BAVN_CHECK(
          tx.exec("UPDATE misp_attribute SET deleted = 1, timestamp = MAX(timestamp + 1, :now) WHERE event = :e AND "
                  "object = :o AND deleted = 0",
                  {{"now", now}, {"e", event.id}, {"o", row.id}}));
      BAVN_CHECK(tx.exec("UPDATE misp_object SET deleted = 1, timestamp = MAX(timestamp + 1, :now) WHERE id = :o",
                         {{"now", now}, {"o", row.id}}));
    }
    return touched(tx, by, event.id, "misp.object.deleted");
  });
}

Result<std::int64_t> Book::add_reference(const Viewer& by, const EventRow& event, const ObjectRow& row, ReferenceIn r) {
  if (r.uuid.empty()) r.uuid = new_uuid();
  std::int64_t id = 0;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(put_references(tx, event.id, row.id, {r}));
    BAVN_TRY(const auto found, tx.one<std::int64_t>("SELECT id FROM misp_reference WHERE uuid = :u AND object = :o",
                                                    {{"u", r.uuid}, {"o", row.id}}));
    if (!found) return fail(Code::conflict, clash("an object reference"), r.uuid);
    id = *found;
    return touched(tx, by, event.id, "misp.reference.added");
  }));
  return id;
}

Result<void> Book::delete_reference(const Viewer& by, const EventRow& event, std::int64_t id, bool hard) {
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    if (hard) {
      BAVN_CHECK(tx.exec("DELETE FROM misp_reference WHERE id = :r", {{"r", id}}));
    } else {
      BAVN_CHECK(tx.exec("UPDATE misp_reference SET deleted = 1, timestamp = MAX(timestamp + 1, :now) WHERE id = :r",
                         {{"now", seconds(tx.now())}, {"r", id}}));
    }
    return touched(tx, by, event.id, "misp.reference.deleted");
  });
}

Result<void> Book::tag(const Viewer& by, const EventRow& event, std::int64_t attribute, const TagIn& t) {
  return state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(set_tags(tx, event.id, attribute, {t}));
    if (!t.local) return touched(tx, by, event.id, "misp.tag.attached");
    BAVN_CHECK(tx.exec("UPDATE misp_event SET changed_us = :us WHERE id = :e", {{"us", tx.now()}, {"e", event.id}}));
    return tx.audit({by.who, "misp.tag.attached", fmt::format("misp_event:{}", event.id), "{}"});
  });
}

Result<bool> Book::untag(const Viewer& by, const EventRow& event, std::int64_t attribute, std::string_view name) {
  bool was = false;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto gone,
             tx.exec("DELETE FROM misp_tagged WHERE event = :e AND attribute = :a AND tag = (SELECT id FROM "
                     "misp_tag WHERE name = :n)",
                     {{"e", event.id}, {"a", attribute}, {"n", name}}));
    was = gone > 0;
    if (!was) return {};
    BAVN_CHECK(after_tags(tx, event.id, attribute));
    return touched(tx, by, event.id, "misp.tag.removed");
  }));
  return was;
}

Result<std::vector<std::int64_t>> Book::add_sightings(const Viewer& by, const std::vector<AttributeRow>& attributes,
                                                      SightingIn s) {
  std::vector<std::int64_t> ids;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    ids.clear();
    std::set<std::int64_t> judged;
    SightingIn each = s;
    for (const AttributeRow& a : attributes) {
      BAVN_TRY(const auto id, put_sighting(tx, by, a.event, a.id, each));
      ids.push_back(id);
      each.uuid.clear();
      if (s.type != 0) judged.insert(a.event);
    }
    for (const std::int64_t event : judged) BAVN_CHECK(judge(tx, event));
    return {};
  }));
  return ids;
}

Result<bool> Book::delete_sighting(const Viewer& by, std::int64_t id) {
  bool was = false;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto of, tx.one<std::int64_t>("SELECT event FROM misp_sighting WHERE id = :i", {{"i", id}}));
    BAVN_TRY(const auto gone, tx.exec("DELETE FROM misp_sighting WHERE id = :i AND (:all = 1 OR owner = :w)",
                                      {{"i", id}, {"all", !by.partner()}, {"w", by.who}}));
    was = gone > 0;
    if (!was || !of) return {};
    return judge(tx, *of);
  }));
  return was;
}

/// Sightings move what an event gave to the indicators.
Result<void> Book::judge(store::Tx& tx, std::int64_t event) {
  BAVN_TRY(const auto published,
           tx.number("SELECT COUNT(*) FROM misp_event WHERE id = :e AND published = 1", {{"e", event}}));
  return tx.add_job("misp.indicators", std::to_string(event), published > 0 ? "all" : "less");
}

Result<std::optional<EventRow>> Book::event(const Viewer& v, std::string_view id) {
  if (!is_uuid(id) && !is_id(id)) return std::nullopt;
  const std::string q = fmt::format("{{\"v\":{}}}", viewer_json(v));
  return state_.read([&](store::Reader& r) {
    return r.one<EventRow>(fmt::format("SELECT {} FROM misp_event e WHERE {} AND {}", kEventColumns,
                                       is_uuid(id) ? "e.uuid = :id" : "e.id = CAST(:id AS INTEGER)", event_visible(v)),
                           {{"id", is_uuid(id) ? to_lower(id) : std::string(id)}, {"q", q}});
  });
}

Result<std::optional<AttributeRow>> Book::attribute(const Viewer& v, std::string_view id) {
  const std::string q = fmt::format("{{\"v\":{}}}", viewer_json(v));
  const bool uuid = is_uuid(id);
  if (!uuid && !is_id(id)) return std::nullopt;
  BAVN_TRY(auto row, state_.read([&](store::Reader& r) {
    return r.one<AttributeRow>(
        fmt::format("SELECT {} FROM misp_attribute a JOIN misp_event e ON e.id = a.event WHERE {} AND {} AND {}",
                    kAttributeColumns, uuid ? "a.uuid = :id" : "a.id = CAST(:id AS INTEGER)", event_visible(v),
                    part_visible(v, "a", true)),
        {{"id", uuid ? to_lower(id) : std::string(id)}, {"q", q}});
  }));
  if (row && !v.may_have_type(row->type)) row.reset();
  return row;
}

Result<std::optional<ObjectRow>> Book::object(const Viewer& v, std::string_view id) {
  if (!is_uuid(id) && !is_id(id)) return std::nullopt;
  const std::string q = fmt::format("{{\"v\":{}}}", viewer_json(v));
  const bool uuid = is_uuid(id);
  return state_.read([&](store::Reader& r) {
    return r.one<ObjectRow>(
        fmt::format("SELECT {} FROM misp_object o JOIN misp_event e ON e.id = o.event WHERE {} AND {} AND {}",
                    kObjectColumns, uuid ? "o.uuid = :id" : "o.id = CAST(:id AS INTEGER)", event_visible(v),
                    part_visible(v, "o", false)),
        {{"id", uuid ? to_lower(id) : std::string(id)}, {"q", q}});
  });
}

Result<Org> Book::org(std::int64_t id) {
  BAVN_TRY(auto rows, state_.read([&](store::Reader& r) {
    return r.all<Org>("SELECT id, uuid, name, local FROM misp_org WHERE id = :i", {{"i", id}});
  }));
  return rows.empty() ? Org{id, {}, "unknown", false} : std::move(rows.front());
}

}  // namespace bavn::exchange::misp
