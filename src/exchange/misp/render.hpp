#pragma once
// Events as JSON again: as MISP's REST answers them, and as a MISP feed has them. Rows are read some thousand at a time, and what is written goes
// to a Sink that spills into a file: an event of 200,000 attributes needs no more memory than a small one.
// Thread rules: plain functions; a Sink belongs to one thread.
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/files.hpp"
#include "exchange/misp/book.hpp"
#include "net/http.hpp"

namespace bavn::exchange::misp {

/// Text that is answered: in memory while it is small, behind that in a file of `folder` that the server sends in pieces. Old files go when
/// new ones are made.
class Sink {
 public:
  Sink(Runtime& runtime, std::string folder) : runtime_(runtime), folder_(std::move(folder)) {}
  /// Written to directly; call settle() now and then.
  std::string& text() { return text_; }
  Result<void> settle();
  Result<net::Reply> reply(std::string_view content_type = "application/json");
  std::uint64_t size() const { return at_ + text_.size(); }

 private:
  Result<void> spill();
  void sweep();
  Runtime& runtime_;
  std::string folder_, text_, path_;
  std::unique_ptr<File> file_;
  std::uint64_t at_ = 0;
};

enum class Deleted : std::uint8_t { no, with, only };

struct RenderOptions {
  bool parts = true;        // attributes and objects
  bool attachments = true;  // the member `data`
  bool local_tags = true;
  bool sightings = false;
  bool galaxy = true;
  Deleted deleted = Deleted::no;
  /// Which attributes of an event are shown; empty: all.
  std::function<Result<bool>(const AttributeRow&, std::span<const std::string_view> tags)> keeps{};
};

class Render {
 public:
  Render(Book& book, const Viewer& viewer) : book_(book), viewer_(viewer) {}

  /// {"Event": {...}}
  /// tail: more members beside "Event", with a comma before them.
  Result<void> event(Sink& out, const EventRow& e, const RenderOptions& o, std::string_view tail = {});
  /// The members of an event without its parts: {"id", ..., "Orgc", "Tag"}. minimal: as /events/index gives them.
  Result<std::string> head(const EventRow& e, const RenderOptions& o);
  Result<std::string> index_row(const EventRow& e);
  /// {...} of one; with_event: a short "Event" in it, as searches give it.
  Result<std::string> attribute(const AttributeRow& a, const RenderOptions& o, const EventRow* with_event = nullptr,
                                bool event_tags = false);
  Result<std::string> object(const ObjectRow& row, const RenderOptions& o);
  Result<std::string> sighting(const SightingRow& s);
  Result<std::string> reference(std::int64_t id);
  Result<std::string> tags(std::int64_t event, std::int64_t attribute, bool local);

  // As a feed has it: the members that PyMISP and MISP write, in their order, and unknown ones; Python's spacing, ASCII.
  Result<void> feed_event(Sink& out, const EventRow& e);
  Result<std::string> feed_manifest_row(const EventRow& e);
  /// "md5,uuid" lines.
  Result<void> feed_hashes(Sink& out, const EventRow& e);

 private:
  struct Tagged;
  Result<std::string> references(std::int64_t object, const RenderOptions& o);
  template <class F>
  Result<void> each_attribute(const EventRow& e, std::int64_t object, Deleted deleted, F&& f);
  template <class F>
  Result<void> each_object(const EventRow& e, Deleted deleted, F&& f);
  Result<std::string> feed_tags(std::int64_t event, std::int64_t attribute);
  Result<std::string> feed_attribute(const AttributeRow& a);
  std::string attribute_text(const AttributeRow& a, std::string_view tags, const RenderOptions& o) const;
  Book& book_;
  const Viewer& viewer_;
};

/// JSON as Python's json.dumps writes it. indent < 0: in one line with ", " and ": ".
void python_json(std::string& out, net::JsonValue v, int indent, int depth = 0);
/// As hashes.csv of a feed has it.
std::string md5_hex(std::string_view bytes);

}  // namespace bavn::exchange::misp
