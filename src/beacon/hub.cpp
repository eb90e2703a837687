#include "beacon/hub.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.hpp"
#include "base/log.hpp"
#include "beacon/hub_inner.hpp"

namespace bavn::beacon {

namespace {

constexpr std::chrono::days kLife{400};

struct WaitingRow {
  std::int64_t id = 0;
  std::string kind;
  store::Blob payload;
  std::int64_t not_after_us = 0;
};
BOOST_DESCRIBE_STRUCT(WaitingRow, (), (id, kind, payload, not_after_us))

struct PostedRow {
  std::string stream;
  std::int64_t seq = 0, position = 0;
};
BOOST_DESCRIBE_STRUCT(PostedRow, (), (stream, seq, position))

struct FileRow {
  std::string file, items;
};
BOOST_DESCRIBE_STRUCT(FileRow, (), (file, items))

struct SeenRow {
  std::string node;
  std::int64_t last_ping_us = 0, last_report_us = 0, offset_us = 0, round_trip_us = 0;
  std::string version, trouble;
};
BOOST_DESCRIBE_STRUCT(SeenRow, (), (node, last_ping_us, last_report_us, offset_us, round_trip_us, version, trouble))

}  // namespace

bool may_hear(const NodeFacts& facts, std::string_view audience) {
  return audience == "all" ||
         std::find(facts.audiences.begin(), facts.audiences.end(), audience) != facts.audiences.end();
}

// ---- the public face

HubBeacon::HubBeacon(std::shared_ptr<Inner> inner) : inner_(std::move(inner)) {}
HubBeacon::~HubBeacon() {
  inner_->stopped = true;
}

Result<std::unique_ptr<HubBeacon>> HubBeacon::open(Runtime& runtime, store::State& state, NodesOf& nodes,
                                                   Metrics& metrics, HubKey key, HubOptions options) {
  if (!key.key || key.epoch == 0) return fail(Code::bad_input, "the beacon needs the hub's key and an epoch from 1 on");
  BAVN_CHECK(runtime.files().make_dirs(options.folder));
  auto inner = std::make_shared<Inner>(runtime, state, nodes, metrics, std::move(key), std::move(options));
  inner->queue = runtime.queue({.name = "beacon", .limit = 100'000});
  inner->files = runtime.queue({.name = "beacon-files"});
  BAVN_CHECK(state.write_now([&](store::Tx& tx) { return inner->take_over(tx); }));
  state.subscribe("beacon", inner->queue,
                  [weak = std::weak_ptr(inner)](const store::DomainEvent& event) -> Result<void> {
                    if (const auto self = weak.lock()) return self->on_domain_event(event);
                    return {};
                  },
                  {"beacon.published", "beacon.waiting"});
  return std::unique_ptr<HubBeacon>(new HubBeacon(std::move(inner)));
}

Result<Published> HubBeacon::urgent(store::Tx& tx, std::optional<MunicipalityId> to, const Post& post) {
  return inner_->publish_urgent(tx, to, post);
}
Result<Published> HubBeacon::bulk(store::Tx& tx, std::string_view audience, const Post& post) {
  return inner_->publish_bulk(tx, audience, post);
}
void HubBeacon::base(std::string audience, std::string file, std::vector<Item> items, std::uint64_t covers_seq,
                     std::move_only_function<void(Result<Published>)> then) {
  inner_->post(inner_->files, [audience = std::move(audience), file = std::move(file), items = std::move(items),
                               covers_seq, then = std::move(then)](Inner& self) mutable {
    self.publish_base(std::move(audience), file, items, covers_seq, std::move(then));
  });
}
void HubBeacon::seal_now(std::string audience, std::move_only_function<void(Result<std::uint64_t>)> then) {
  inner_->post(inner_->files, [audience = std::move(audience), then = std::move(then)](Inner& self) mutable {
    self.seal(std::move(audience), std::move(then));
  });
}
Result<std::uint64_t> HubBeacon::tip(store::Reader& reader, std::string_view stream) const {
  BAVN_TRY(const auto tip,
           reader.one<TipRow>("SELECT epoch, seq, hash FROM beacon_stream WHERE name = :n", {{"n", stream}}));
  return tip ? static_cast<std::uint64_t>(tip->seq) : 0;
}
void HubBeacon::on_report(std::string kind, OnReport handler) {
  inner_->handlers.insert_or_assign(std::move(kind), std::move(handler));
}
void HubBeacon::on_other_report(OnReport handler) {
  inner_->other_handler = std::move(handler);
}
void HubBeacon::witness(ReadAuditHead own_audit) {
  inner_->audit_head = std::move(own_audit);
}
void HubBeacon::cut(const std::string& serial) {
  inner_->post(inner_->queue, [serial](Inner& self) { self.cut(serial); });
}
std::size_t HubBeacon::streams_open() const {
  return inner_->open;
}

void HubBeacon::start() {
  inner_->post(inner_->queue, [](Inner& self) {
    const auto waiting = self.state.read(
        [](store::Reader& r) { return r.all<std::string>("SELECT DISTINCT audience FROM beacon_waiting"); });
    for (const auto& audience : waiting.value_or(std::vector<std::string>{}))
      self.post(self.files, [audience](Inner& again) { again.seal(audience, [](auto&&) {}); });
    self.pump();
    self.tick();
  });
}

void HubBeacon::Inner::post(QueueId on, std::move_only_function<void(Inner&)> f) {
  // after(0) and not post(): what the beacon has to do must not fall to a full queue.
  later(Duration{0}, on, std::move(f));
}

void HubBeacon::Inner::later(Duration delay, QueueId on, std::move_only_function<void(Inner&)> f) {
  runtime.after(delay, on, [weak = weak_from_this(), f = std::move(f)]() mutable {
    if (const auto self = weak.lock(); self && !self->stopped) f(*self);
  });
}

// ---- publishing

Result<Published> HubBeacon::Inner::append(store::Tx& tx, std::string_view lane, const std::string& stream,
                                           std::string kind, std::string payload, Instant not_before, Instant not_after,
                                           const File& file) {
  BAVN_TRY(const auto tip,
           tx.one<TipRow>("SELECT epoch, seq, hash FROM beacon_stream WHERE name = :n", {{"n", stream}}));
  Head head{stream, key.epoch, 1, {}, {}, not_before, not_after};
  if (tip) {
    if (static_cast<std::uint64_t>(tip->epoch) > key.epoch)
      return fail(Code::conflict,
                  fmt::format("a hub of epoch {} has taken over stream {}; this one has epoch {} and may not write",
                              tip->epoch, stream, key.epoch));
    head.seq = static_cast<std::uint64_t>(tip->seq) + 1;
    BAVN_TRY(head.previous, hash_from(tip->hash.bytes));
  }
  const Entry entry = sign_entry(*key.key, std::move(head), std::move(kind), std::move(payload));
  BAVN_TRY(const auto last,
           tx.number("SELECT coalesce(max(position), 0) FROM beacon_entry WHERE lane = :lane", {{"lane", lane}}));
  BAVN_CHECK(
      tx.exec("INSERT INTO beacon_entry (lane, position, stream, seq, kind, entry, at_us, file, items) "
              "VALUES (:lane, :position, :stream, :seq, :kind, :entry, :at, :file, :items)",
              {{"lane", lane},
               {"position", last + 1},
               {"stream", stream},
               {"seq", entry.head.seq},
               {"kind", entry.kind},
               {"entry", store::Blob{encode(entry)}},
               {"at", tx.now()},
               {"file", file.name},
               {"items", file.items}}));
  BAVN_CHECK(
      tx.exec("INSERT INTO beacon_stream (name, epoch, seq, hash) VALUES (:n, :epoch, :seq, :hash) "
              "ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, seq = excluded.seq, hash = excluded.hash",
              {{"n", stream},
               {"epoch", key.epoch},
               {"seq", entry.head.seq},
               {"hash", store::Blob{std::string(view(hash_of(entry.head)))}}}));
  BAVN_CHECK(tx.emit("beacon.published", stream, fmt::format(R"({{"seq":{}}})", entry.head.seq)));
  return Published{stream, entry.head.seq, static_cast<std::uint64_t>(last + 1), false};
}

Result<std::optional<Published>> HubBeacon::Inner::posted(store::Tx& tx, const std::string& id) {
  if (id.empty()) return std::optional<Published>{};
  BAVN_TRY(const auto row,
           tx.one<PostedRow>("SELECT stream, seq, position FROM beacon_posted WHERE id = :id", {{"id", id}}));
  if (!row) return std::optional<Published>{};
  return Published{row->stream, static_cast<std::uint64_t>(row->seq), static_cast<std::uint64_t>(row->position), true};
}

namespace {
Result<void> note_posted(store::Tx& tx, const std::string& id, const Published& p) {
  if (id.empty()) return {};
  BAVN_CHECK(tx.exec(
      "INSERT INTO beacon_posted (id, stream, seq, position, at_us) VALUES (:id, :stream, :seq, :position, :at)",
      {{"id", id}, {"stream", p.stream}, {"seq", p.seq}, {"position", p.position}, {"at", tx.now()}}));
  return {};
}
}  // namespace

Result<Published> HubBeacon::Inner::publish_urgent(store::Tx& tx, std::optional<MunicipalityId> to, const Post& post) {
  if (!is_name(post.kind, kMaxKind))
    return fail(Code::bad_input, "the kind of a log entry is made of a-z, 0-9, _ and -: " + post.kind);
  if (post.payload.size() > kMaxPayload)
    return fail(
        Code::bad_input,
        fmt::format("an urgent entry holds at most 64 KiB, this one has {}: publish it as bulk", post.payload.size()));
  if (post.not_before > tx.now() + std::chrono::minutes{1})
    return fail(Code::bad_input,
                "an entry is published when it begins to be valid, not before: the stream would stop there");
  BAVN_TRY(auto before, posted(tx, post.id));
  if (before) return *before;
  const std::string stream = to ? fmt::format("urgent/{}", to->value) : "urgent/all";
  BAVN_TRY(const auto published, append(tx, "urgent", stream, post.kind, post.payload,
                                        post.not_before == Instant{} ? tx.now() : post.not_before,
                                        post.not_after == Instant{} ? tx.now() + kLife : post.not_after));
  BAVN_CHECK(note_posted(tx, post.id, published));
  return published;
}

Result<Published> HubBeacon::Inner::publish_bulk(store::Tx& tx, std::string_view audience, const Post& post) {
  if (!is_name(post.kind, kMaxKind))
    return fail(Code::bad_input, "the kind of a bulk item is made of a-z, 0-9, _ and -: " + post.kind);
  if (!is_name(audience, 32) || audience.contains('/'))
    return fail(Code::bad_input, "an audience is made of a-z, 0-9, _ and -: " + std::string(audience));
  if (post.payload.size() > kMaxItem)
    return fail(Code::bad_input,
                fmt::format("a bulk item holds at most 1 MiB, this one has {}: split it", post.payload.size()));
  BAVN_TRY(auto before, posted(tx, post.id));
  if (before) return *before;
  BAVN_CHECK(tx.exec(
      "INSERT INTO beacon_waiting (audience, kind, payload, at_us, not_after_us) VALUES (:a, :k, :p, :at, :until)",
      {{"a", audience},
       {"k", post.kind},
       {"p", store::Blob{post.payload}},
       {"at", tx.now()},
       {"until", post.not_after == Instant{} ? tx.now() + kLife : post.not_after}}));
  BAVN_CHECK(tx.emit("beacon.waiting", audience));
  const Published published{"bulk/" + std::string(audience), 0, 0, false};
  BAVN_CHECK(note_posted(tx, post.id, published));
  return published;
}

Result<void> HubBeacon::Inner::take_over(store::Tx& tx) {
  BAVN_TRY(const auto newer, tx.number("SELECT count(*) FROM beacon_stream WHERE epoch > :e", {{"e", key.epoch}}));
  if (newer > 0)
    return fail(Code::conflict,
                fmt::format("a hub of a later epoch has written this log; epoch {} may not write any more", key.epoch));
  BAVN_TRY(
      const auto fenced,
      tx.all<std::string>("SELECT name FROM beacon_stream WHERE epoch < :e AND name NOT LIKE 'base/%' ORDER BY name",
                          {{"e", key.epoch}}));
  for (const auto& stream : fenced)
    BAVN_CHECK(append(tx, stream.starts_with("bulk/") ? "bulk" : "urgent", stream, "epoch",
                      fmt::format("{}", key.epoch), tx.now(), tx.now() + kLife));
  return {};
}

Result<void> HubBeacon::Inner::on_domain_event(const store::DomainEvent& event) {
  if (event.kind == "beacon.published") {
    pump();
  } else if (event.kind == "beacon.waiting" && seal_soon.insert(event.subject).second) {
    later(options.segment_wait, queue, [audience = event.subject](Inner& self) {
      self.seal_soon.erase(audience);
      self.post(self.files, [audience](Inner& again) { again.seal(audience, [](auto&&) {}); });
    });
  }
  return {};
}

// ---- segments and bases

Result<FileRef> HubBeacon::Inner::write_file(std::string_view bytes, std::string_view suffix) {
  const FileRef ref{hash_of(bytes), bytes.size()};
  const std::string name = path(to_hex(view(ref.hash)) + std::string(suffix));
  if (!runtime.files().exists(name)) BAVN_CHECK(replace_file(runtime.files(), name, bytes));
  return ref;
}

void HubBeacon::Inner::seal(std::string audience, std::move_only_function<void(Result<std::uint64_t>)> then) {
  auto waiting = state.read([&](store::Reader& r) -> Result<std::vector<WaitingRow>> {
    std::vector<WaitingRow> rows;
    std::size_t bytes = 0;
    std::int64_t after = 0;
    while (bytes < kMaxSegment &&
           rows.size() < 100'000) {  // in steps, so that a large heap of them does not fill the memory
      BAVN_TRY(auto some,
               r.all<WaitingRow>(
                   "SELECT id, kind, payload, not_after_us FROM beacon_waiting WHERE audience = :a AND id > :id "
                   "ORDER BY id LIMIT 16",
                   {{"a", audience}, {"id", after}}));
      if (some.empty()) break;
      for (auto& row : some) {
        if (bytes >= kMaxSegment) break;
        bytes += row.payload.bytes.size() + row.kind.size() + 5;
        after = row.id;
        rows.push_back(std::move(row));
      }
    }
    return rows;
  });
  if (!waiting) return then(std::unexpected(waiting.error()));
  const std::string stream = "bulk/" + audience;
  if (waiting->empty()) {
    return then(state.read([&](store::Reader& r) -> Result<std::uint64_t> {
      BAVN_TRY(const auto tip,
               r.one<TipRow>("SELECT epoch, seq, hash FROM beacon_stream WHERE name = :n", {{"n", stream}}));
      return tip ? static_cast<std::uint64_t>(tip->seq) : 0;
    }));
  }
  std::vector<Item> items;
  std::int64_t not_after_us = 0;
  for (auto& row : *waiting) {
    items.push_back({std::move(row.kind), std::move(row.payload.bytes)});
    not_after_us = std::max(not_after_us, row.not_after_us);
  }
  const auto ref = write_file(encode_segment(items), ".seg");
  if (!ref) {
    log::counted(metrics, log::Level::error, "beacon_segment_failed",
                 {{"audience", audience}, {"reason", ref.error().what}});
    later(std::chrono::seconds{5}, files, [audience](Inner& self) { self.seal(audience, [](auto&&) {}); });
    return then(std::unexpected(ref.error()));
  }
  const std::int64_t first = waiting->front().id, last = waiting->back().id,
                     count = static_cast<std::int64_t>(waiting->size());
  state.write(
      [weak = weak_from_this(), audience, stream, ref = *ref, first, last, count,
       not_after_us](store::Tx& tx) -> Result<void> {
        const auto self = weak.lock();
        if (!self) return fail(Code::unavailable, "the hub is stopping");
        BAVN_TRY(const auto gone,
                 tx.exec("DELETE FROM beacon_waiting WHERE audience = :a AND id BETWEEN :first AND :last",
                         {{"a", audience}, {"first", first}, {"last", last}}));
        if (gone != count) return fail(Code::conflict, "another hand sealed this segment");
        BAVN_CHECK(self->append(tx, "bulk", stream, "segment", encode(ref), tx.now(), from_micros(not_after_us),
                                {to_hex(view(ref.hash)) + ".seg", ""}));
        return {};
      },
      [weak = weak_from_this(), audience, then = std::move(then)](Result<void> written) mutable {
        const auto self = weak.lock();
        if (!self) return then(fail(Code::unavailable, "the hub is stopping"));
        if (!written && written.error().code != Code::conflict) {
          log::counted(self->metrics, log::Level::error, "beacon_segment_failed",
                       {{"audience", audience}, {"reason", written.error().what}});
          self->later(std::chrono::seconds{5}, self->files,
                      [audience](Inner& again) { again.seal(audience, [](auto&&) {}); });
          return then(std::unexpected(written.error()));
        }
        self->post(self->files,
                   [audience, then = std::move(then)](Inner& again) mutable { again.seal(audience, std::move(then)); });
      });
}

void HubBeacon::Inner::publish_base(std::string audience, const std::string& file, const std::vector<Item>& items,
                                    std::uint64_t covers_seq, std::move_only_function<void(Result<Published>)> then) {
  if (!is_name(audience, 32) || audience.contains('/')) return then(fail(Code::bad_input, "no audience: " + audience));
  BaseRef ref;
  Inner::File names;
  const auto prepared = [&]() -> Result<void> {
    {
      BAVN_TRY(const auto content, runtime.files().map(file));
      BAVN_TRY(ref.file, write_file(content->bytes(), ".base"));
    }
    names.name = to_hex(view(ref.file.hash)) + ".base";
    if (!items.empty()) {
      std::size_t bytes = 0;
      for (const auto& item : items) {
        if (!is_name(item.kind, kMaxKind) || item.payload.size() > kMaxItem)
          return fail(Code::bad_input, "an item of a base cannot be sent: " + item.kind);
        bytes += item.payload.size() + item.kind.size() + 5;
      }
      if (bytes > kMaxSegment)
        return fail(Code::bad_input, fmt::format("the items of a base hold at most 4 MiB, these have {}", bytes));
      BAVN_TRY(ref.items, write_file(encode_segment(items), ".seg"));
      names.items = to_hex(view(ref.items.hash)) + ".seg";
    }
    return {};
  }();
  if (!prepared) return then(std::unexpected(prepared.error()));
  auto published = std::make_shared<Published>();
  state.write(
      [weak = weak_from_this(), audience, ref, names, covers_seq, published](store::Tx& tx) mutable -> Result<void> {
        const auto self = weak.lock();
        if (!self) return fail(Code::unavailable, "the hub is stopping");
        if (covers_seq > 0) {
          BAVN_TRY(
              const auto row,
              tx.one<EntryRow>("SELECT position, stream, seq, entry FROM beacon_entry WHERE stream = :s AND seq = :q",
                               {{"s", "bulk/" + audience}, {"q", covers_seq}}));
          if (!row)
            return fail(Code::not_found,
                        fmt::format("bulk/{} has no entry {} that a base could cover", audience, covers_seq));
          BAVN_TRY(const auto covered, decode_entry(row->entry.bytes));
          ref.covers_seq = covers_seq;
          ref.covers_epoch = covered.head.epoch;
          ref.covers_hash = hash_of(covered.head);
        }
        BAVN_TRY(*published,
                 self->append(tx, "base", "base/" + audience, "base", encode(ref), tx.now(), tx.now() + kLife, names));
        return {};
      },
      [published, then = std::move(then)](Result<void> written) mutable {
        if (!written) return then(std::unexpected(written.error()));
        then(*published);
      });
}

/// Entries above their age go, but for the newest of them in each stream: it tells who comes late where the stream goes on. Of the bases the
/// newest two stay.
void HubBeacon::Inner::trim() {
  auto gone = std::make_shared<std::vector<FileRow>>();
  state.write(
      [weak = weak_from_this(), gone](store::Tx& tx) -> Result<void> {
        const auto self = weak.lock();
        if (!self) return {};
        gone->clear();
        const HubOptions& o = self->options;
        const auto trim_lane = [&](std::string_view lane, Instant before) -> Result<void> {
          const std::string which =
              "FROM beacon_entry WHERE lane = :lane AND at_us < :before AND seq < (SELECT max(o.seq) FROM beacon_entry "
              "o WHERE "
              "o.stream = beacon_entry.stream AND o.at_us < :before)";
          BAVN_TRY(auto old, tx.all<FileRow>("SELECT file, items " + which, {{"lane", lane}, {"before", before}}));
          gone->insert(gone->end(), old.begin(), old.end());
          BAVN_CHECK(tx.exec("DELETE " + which, {{"lane", lane}, {"before", before}}));
          return {};
        };
        BAVN_CHECK(trim_lane("urgent", tx.now() - o.keep_urgent));
        BAVN_CHECK(trim_lane("bulk", tx.now() - o.keep_bulk));
        const std::string_view old_bases =
            "FROM beacon_entry WHERE lane = 'base' AND seq + 1 < (SELECT s.seq FROM beacon_stream s WHERE s.name = "
            "beacon_entry.stream)";
        BAVN_TRY(auto old, tx.all<FileRow>("SELECT file, items " + std::string(old_bases)));
        gone->insert(gone->end(), old.begin(), old.end());
        BAVN_CHECK(tx.exec("DELETE " + std::string(old_bases)));
        for (const auto* table : {"beacon_batch", "beacon_item", "beacon_posted"})
          BAVN_CHECK(tx.exec(fmt::format("DELETE FROM {} WHERE at_us < :before", table),
                             {{"before", tx.now() - o.keep_reports}}));
        BAVN_CHECK(
            tx.exec("DELETE FROM beacon_day WHERE day < :day", {{"day", micros(tx.now()) / 86'400'000'000 - 7}}));
        // A file of the same content may still be named by another entry.
        std::erase_if(*gone, [&](const FileRow& f) {
          const auto used = tx.number(
              "SELECT count(*) FROM beacon_entry WHERE file IN (:f, :i) AND file <> '' OR items IN (:f, :i) AND items "
              "<> ''",
              {{"f", f.file}, {"i", f.items}});
          return !used || *used > 0;
        });
        return {};
      },
      [weak = weak_from_this(), gone](Result<void> written) {
        const auto self = weak.lock();
        if (!self || !written) return;
        for (const auto& f : *gone)
          for (const auto& name : {f.file, f.items})
            if (!name.empty()) (void)self->runtime.files().unlink(self->path(name));
      });
}

Result<std::vector<NodeSeen>> HubBeacon::nodes(store::Reader& reader) const {
  BAVN_TRY(auto rows,
           reader.all<SeenRow>("SELECT node, last_ping_us, last_report_us, offset_us, round_trip_us, version, trouble "
                               "FROM beacon_node ORDER BY node"));
  std::vector<NodeSeen> out;
  for (auto& r : rows) {
    const bool connected = inner_->connected.with([&](const auto& all) { return all.contains(r.node); });
    out.push_back({std::move(r.node), r.last_ping_us, r.last_report_us, r.offset_us, r.round_trip_us,
                   clock_is_wrong(r.offset_us, r.round_trip_us), connected, std::move(r.version),
                   std::move(r.trouble)});
  }
  return out;
}

}  // namespace bavn::beacon
