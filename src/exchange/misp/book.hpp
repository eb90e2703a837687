#pragma once
// The events of MISP communities in tables, and everything that changes them. An event is read from its text piece by piece and written some
// hundred attributes a transaction; nobody sees a new one before it is whole. What is not taken is named, object by object.
// A change takes the event's word that it is published back, as MISP does; indicators stay until it is published anew or withdrawn.
// Life: after State. Thread rules: any thread but the State's writer.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/runtime.hpp"
#include "exchange/misp/model.hpp"
#include "exchange/misp/viewer.hpp"
#include "exchange/peers/library.hpp"
#include "store/state.hpp"

namespace bavn::exchange::misp {

struct Org {
  std::int64_t id = 0;
  std::string uuid{}, name{};
  bool local = false;
};
BOOST_DESCRIBE_STRUCT(Org, (), (id, uuid, name, local))

/// Made of what it names: the same on every machine and every turn.
std::string made_uuid(std::string_view of);
/// Of an organisation whose uuid is not said.
std::string uuid_of_name(std::string_view name);

struct EventRow {
  std::int64_t id = 0;
  std::string uuid{}, info{}, date{};
  std::int64_t orgc = 0, timestamp = 0, publish_timestamp = 0;
  bool published = false;
  std::int64_t sighting_timestamp = 0, threat_level = 4, analysis = 0, tlp = 0;
  bool closed = false;
  std::string sectors{}, owner{};
  std::int64_t peer = 0;
  bool locked = false;
  std::string said_published{};
  std::int64_t attribute_count = 0, changed_us = 0;
  std::string body{};
};
BOOST_DESCRIBE_STRUCT(EventRow, (),
                      (id, uuid, info, date, orgc, timestamp, publish_timestamp, published, sighting_timestamp,
                       threat_level, analysis, tlp, closed, sectors, owner, peer, locked, said_published,
                       attribute_count, changed_us, body))
constexpr std::string_view kEventColumns =
    "e.id, e.uuid, e.info, e.date, e.orgc, e.timestamp, e.publish_timestamp, e.published, e.sighting_timestamp, "
    "e.threat_level, e.analysis, e.tlp, e.closed, e.sectors, e.owner, e.peer, e.locked, e.said_published, "
    "e.attribute_count, e.changed_us, e.body";

struct AttributeRow {
  std::int64_t id = 0, event = 0, object = 0;
  std::string uuid{}, type{};
  std::int64_t timestamp = 0;
  bool deleted = false;
  std::string body{};
};
BOOST_DESCRIBE_STRUCT(AttributeRow, (), (id, event, object, uuid, type, timestamp, deleted, body))
constexpr std::string_view kAttributeColumns =
    "a.id, a.event, a.object, a.uuid, a.type, a.timestamp, a.deleted, a.body";

struct ObjectRow {
  std::int64_t id = 0, event = 0;
  std::string uuid{};
  std::int64_t timestamp = 0;
  bool deleted = false;
  std::string body{};
};
BOOST_DESCRIBE_STRUCT(ObjectRow, (), (id, event, uuid, timestamp, deleted, body))
constexpr std::string_view kObjectColumns = "o.id, o.event, o.uuid, o.timestamp, o.deleted, o.body";

struct SightingRow {
  std::int64_t id = 0;
  std::string uuid{};
  std::int64_t event = 0, attribute = 0, type = 0;
  std::string source{};
  std::int64_t at = 0, org = 0;
};
BOOST_DESCRIBE_STRUCT(SightingRow, (), (id, uuid, event, attribute, type, source, at, org))
constexpr std::string_view kSightingColumns = "s.id, s.uuid, s.event, s.attribute, s.type, s.source, s.at, s.org";

enum class Putting : std::uint8_t {
  add,   // conflict: it is here
  edit,  // of `event`
  sync,  // from another machine: added, or changed when it is newer
};

struct PutWish {
  Putting how = Putting::add;
  std::int64_t event = 0;  // of edit
  bool only_head = false;  // no attributes, no objects
  bool from_feed = false;  // what a feed offers is published, whatever its author wrote
};

struct Put {
  std::int64_t event = 0;
  std::string uuid{};
  bool changed = false;  // false: what came is no newer than what is here
  std::uint64_t attributes = 0, objects = 0, dropped = 0;
  std::vector<Dropped> list{};  // of dropped, the first 1,000
};

class Book {
 public:
  /// own_name, own_uuid: of the organisation that this is.
  Book(Runtime& runtime, store::State& state, std::string own_name);
  /// Makes our own organisation, sweeps what a crash left half written. Before the first request.
  Result<void> open();
  const Org& own() const { return own_; }

  Result<Put> put(const Viewer& by, std::string_view json, const PutWish& wish);
  Result<void> publish(const Viewer& by, const EventRow& event, bool published);
  /// For good; a sync does not bring it back.
  Result<void> remove_event(const Viewer& by, const EventRow& event);

  struct Added {
    std::vector<std::int64_t> ids{};
    std::vector<std::pair<std::size_t, std::string>> errors{};  // index, reason
  };
  /// update_same: an attribute of the same type and value is changed instead of refused.
  Result<Added> add_attributes(const Viewer& by, const EventRow& event, std::int64_t object,
                               std::vector<AttributeIn> attributes, bool update_same);
  /// changes: JSON of the members that change.
  Result<void> edit_attribute(const Viewer& by, const EventRow& event, const AttributeRow& row,
                              std::string_view changes);
  Result<void> delete_attribute(const Viewer& by, const EventRow& event, const AttributeRow& row, bool hard,
                                bool restore);
  Result<std::int64_t> add_object(const Viewer& by, const EventRow& event, std::string_view json);
  Result<void> edit_object(const Viewer& by, const EventRow& event, const ObjectRow& row, std::string_view json);
  Result<void> delete_object(const Viewer& by, const EventRow& event, const ObjectRow& row, bool hard);
  Result<std::int64_t> add_reference(const Viewer& by, const EventRow& event, const ObjectRow& row,
                                     ReferenceIn reference);
  Result<void> delete_reference(const Viewer& by, const EventRow& event, std::int64_t id, bool hard);

  /// attribute 0: the event.
  Result<void> tag(const Viewer& by, const EventRow& event, std::int64_t attribute, const TagIn& tag);
  Result<bool> untag(const Viewer& by, const EventRow& event, std::int64_t attribute, std::string_view name);
  Result<std::int64_t> make_tag(const TagIn& tag);

  /// Each of these attributes.
  Result<std::vector<std::int64_t>> add_sightings(const Viewer& by, const std::vector<AttributeRow>& attributes,
                                                  SightingIn sighting);
  Result<bool> delete_sighting(const Viewer& by, std::int64_t id);

  // Looking, by id or uuid; nothing: it is not there or not for this viewer.
  Result<std::optional<EventRow>> event(const Viewer& v, std::string_view id);
  Result<std::optional<AttributeRow>> attribute(const Viewer& v, std::string_view id);
  Result<std::optional<ObjectRow>> object(const Viewer& v, std::string_view id);
  Result<Org> org(std::int64_t id);
  static bool may_edit(const Viewer& v, const EventRow& event);

  store::State& state() { return state_; }
  Runtime& runtime() { return runtime_; }
  std::string new_uuid();

 private:
  struct Writing;
  Result<std::int64_t> org_id(store::Tx& tx, std::string_view uuid, std::string_view name);
  Result<std::int64_t> tag_id(store::Tx& tx, const TagIn& tag);
  Result<void> set_tags(store::Tx& tx, std::int64_t event, std::int64_t attribute, const std::vector<TagIn>& tags);
  Result<void> after_tags(store::Tx& tx, std::int64_t event, std::int64_t attribute);
  Result<std::int64_t> put_attribute(store::Tx& tx, Writing& w, std::int64_t object, AttributeIn a);
  Result<void> put_object(store::Tx& tx, Writing& w, std::string_view text);
  Result<std::int64_t> put_sighting(store::Tx& tx, const Viewer& by, std::int64_t event, std::int64_t attribute,
                                    const SightingIn& s);
  Result<void> judge(store::Tx& tx, std::int64_t event);
  Result<void> put_references(store::Tx& tx, std::int64_t event, std::int64_t object,
                              const std::vector<ReferenceIn>& references);
  Result<void> write_parts(Writing& w, const EventIn& in);
  Result<void> touched(store::Tx& tx, const Viewer& by, std::int64_t event, std::string_view what);
  Result<void> sweep(std::int64_t event);
  Runtime& runtime_;
  store::State& state_;
  std::string own_name_;
  Org own_;
};

}  // namespace bavn::exchange::misp
