#include "beacon/spool.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/describe/class.hpp>
#include <map>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "beacon/head.hpp"
#include "beacon/reports.hpp"
#include "net/json_value.hpp"

namespace bavn::beacon {

namespace {

struct SpoolRow {
  std::int64_t id = 0;
  std::string kind;
  std::int64_t municipality = 0;
  std::string tlp, body;
  std::int64_t bytes = 0, at_us = 0;
};
BOOST_DESCRIBE_STRUCT(SpoolRow, (), (id, kind, municipality, tlp, body, bytes, at_us))

struct SizeRow {
  std::int64_t id = 0, bytes = 0;
};
BOOST_DESCRIBE_STRUCT(SizeRow, (), (id, bytes))

struct BatchRow {
  std::int64_t id = 0;
  std::string name;
  std::int64_t worth = 0;
};
BOOST_DESCRIBE_STRUCT(BatchRow, (), (id, name, worth))

struct MarkRow {
  std::int64_t waiting = 0, waiting_bytes = 0, merged = 0, dropped_evidence = 0, dropped_counted = 0, refused = 0;
};
BOOST_DESCRIBE_STRUCT(MarkRow, (), (waiting, waiting_bytes, merged, dropped_evidence, dropped_counted, refused))

struct OldestRow {
  std::optional<std::int64_t> at_us;
};
BOOST_DESCRIBE_STRUCT(OldestRow, (), (at_us))

constexpr std::string_view kMark =
    "SELECT waiting, waiting_bytes, merged, dropped_evidence, dropped_counted, refused FROM spool_mark";
constexpr std::size_t kEnvelope = 200;  // bytes of an item beside its body, about

Result<void> moved(store::Tx& tx, std::int64_t rows, std::int64_t bytes) {
  BAVN_CHECK(tx.exec("UPDATE spool_mark SET waiting = waiting + :r, waiting_bytes = waiting_bytes + :b",
                     {{"r", rows}, {"b", bytes}}));
  return {};
}

/// Counts of two spans as those of one: {"from_us", "to_us", "counts": {name: whole number}}. nullopt: not of this shape.
std::optional<std::string> add_counts(std::string_view a, std::string_view b) {
  const auto one = net::JsonDocument::parse(a), two = net::JsonDocument::parse(b);
  if (!one || !two) return std::nullopt;
  std::optional<std::int64_t> from, to;
  std::map<std::string, std::int64_t, std::less<>> sum;
  for (const auto& root : {one->root(), two->root()}) {
    const auto f = root["from_us"].integer(), t = root["to_us"].integer();
    if (!f || !t || root.size() != 3 || !root["counts"].is_object()) return std::nullopt;
    from = std::min(from.value_or(*f), *f);
    to = std::max(to.value_or(*t), *t);
    for (const net::JsonValue v : root["counts"]) {
      const auto n = v.integer();
      if (!n || __builtin_add_overflow(sum[std::string(v.key())], *n, &sum[std::string(v.key())])) return std::nullopt;
    }
  }
  std::string out;
  JsonWriter w(out);
  w.object().member("from_us", *from).member("to_us", *to).key("counts").object();
  for (const auto& [name, n] : sum) w.member(name, n);
  w.end().end();
  return out;
}

}  // namespace

Worth worth_of(std::string_view kind) {
  if (kind == "counts" || kind == "health" || kind == "clock") return Worth::counted;
  if (kind == "sighting" || kind == "digest") return Worth::evidence;
  constexpr std::string_view kUrgent[] = {"sender_notice", "takeover",       "burst",
                                          "harm",          "revealed",       "answer",
                                          "notice_answer", "warning_answer", "block_preview"};
  if (std::ranges::find(kUrgent, kind) != std::end(kUrgent)) return Worth::urgent;
  return Worth::never_lost;
}

Spool::Spool(Runtime& runtime, store::State& state, SpoolOptions options)
    : runtime_(runtime), state_(state), options_(options) {}

SpoolState Spool::state() const {
  SpoolState out;
  (void)state_.read([&](store::Reader& r) -> Result<void> {
    BAVN_TRY(const auto mark, r.one<MarkRow>(kMark));
    if (mark) {
      out.waiting = mark->waiting;
      out.waiting_bytes = mark->waiting_bytes;
      out.merged = mark->merged;
      out.dropped_evidence = mark->dropped_evidence;
      out.dropped_counted = mark->dropped_counted;
      out.refused = mark->refused;
    }
    BAVN_TRY(const auto oldest, r.one<OldestRow>("SELECT min(at_us) AS at_us FROM spool"));
    if (oldest) out.oldest_us = oldest->at_us;
    return {};
  });
  return out;
}

Result<std::string> Spool::incarnation(store::Tx& tx) {
  BAVN_TRY(const auto known, tx.one<std::string>("SELECT incarnation FROM spool_mark"));
  if (known && !known->empty()) return *known;
  std::array<std::byte, 8> random{};
  runtime_.random(random);
  const std::string made = to_hex({reinterpret_cast<const char*>(random.data()), random.size()});
  BAVN_CHECK(tx.exec("UPDATE spool_mark SET incarnation = :i", {{"i", made}}));
  return made;
}

Result<void> Spool::report(store::Tx& tx, std::string_view kind, std::string_view json, MunicipalityId municipality,
                           event::Tlp tlp) {
  if (!is_name(kind, kMaxKind))
    return fail(Code::bad_input, "the kind of a report is made of a-z, 0-9, _ and -: " + std::string(kind));
  if (json.size() > kMaxBody)
    return fail(Code::bad_input,
                fmt::format("a report of kind {} has {} bytes, at most 256 KiB may leave at once", kind, json.size()));
  const auto document = net::JsonDocument::parse(json);
  if (!document || !document->root().is_object())
    return fail(Code::bad_input, fmt::format("a report of kind {} is not a JSON object{}", kind,
                                             document ? "" : ": " + document.error().what));
  const Worth worth = worth_of(kind);
  BAVN_TRY(const auto mark, tx.one<MarkRow>(kMark));
  if (!mark) return fail(Code::corrupt, "the spool's mark is missing");
  const auto waiting = static_cast<std::uint64_t>(mark->waiting_bytes);
  if (worth == Worth::counted && waiting > options_.limit_bytes / 2) {
    BAVN_TRY(
        const auto last,
        tx.all<SpoolRow>(
            "SELECT id, kind, municipality, tlp, body, bytes, at_us FROM spool WHERE kind = :k AND municipality = :m "
            "AND batch = 0 ORDER BY id DESC LIMIT 1",
            {{"k", kind}, {"m", municipality}}));
    if (!last.empty() && last[0].tlp == event::to_string(tlp)) {
      // Of health and clock the newest says it all; counts add up.
      const auto body = kind == "counts" ? add_counts(last[0].body, json) : std::optional<std::string>(json);
      if (body) {
        const auto bytes = static_cast<std::int64_t>(body->size() + kEnvelope);
        BAVN_CHECK(tx.exec("UPDATE spool SET body = :body, bytes = :bytes, at_us = :at WHERE id = :id",
                           {{"body", *body}, {"bytes", bytes}, {"at", tx.now()}, {"id", last[0].id}}));
        BAVN_CHECK(tx.exec("UPDATE spool_mark SET merged = merged + 1"));
        return moved(tx, 0, bytes - last[0].bytes);
      }
    }
  }
  const std::uint64_t bytes = json.size() + kEnvelope;
  if (waiting + bytes > options_.limit_bytes) {
    BAVN_TRY(const bool room, make_room(tx, bytes, worth));
    if (!room) return {};  // counted as dropped: everything that waits is worth more
  }
  BAVN_CHECK(tx.exec(
      "INSERT INTO spool (worth, kind, municipality, tlp, body, bytes, at_us) VALUES (:w, :k, :m, :t, :b, :n, :at)",
      {{"w", worth},
       {"k", kind},
       {"m", municipality},
       {"t", event::to_string(tlp)},
       {"b", json},
       {"n", bytes},
       {"at", tx.now()}}));
  return moved(tx, 1, static_cast<std::int64_t>(bytes));
}

/// Drops what is worth less, oldest first. False: the new one is dropped itself. What is in a batch may have left already and stays.
Result<bool> Spool::make_room(store::Tx& tx, std::uint64_t bytes, Worth of) {
  std::int64_t freed = 0;
  for (const Worth worth : {Worth::counted, Worth::evidence}) {
    while (freed < static_cast<std::int64_t>(bytes)) {
      if (worth < of) break;
      BAVN_TRY(const auto rows,
               tx.all<SizeRow>("SELECT id, bytes FROM spool WHERE batch = 0 AND worth = :w ORDER BY id LIMIT 16",
                               {{"w", worth}}));
      if (rows.empty()) break;
      for (const auto& row : rows) {
        if (freed >= static_cast<std::int64_t>(bytes)) break;
        BAVN_CHECK(tx.exec("DELETE FROM spool WHERE id = :id", {{"id", row.id}}));
        BAVN_CHECK(moved(tx, -1, -row.bytes));
        BAVN_CHECK(tx.exec(worth == Worth::counted ? "UPDATE spool_mark SET dropped_counted = dropped_counted + 1"
                                                   : "UPDATE spool_mark SET dropped_evidence = dropped_evidence + 1"));
        freed += row.bytes;
      }
    }
  }
  if (freed >= static_cast<std::int64_t>(bytes) || of <= Worth::never_lost) return true;
  BAVN_CHECK(tx.exec(of == Worth::counted ? "UPDATE spool_mark SET dropped_counted = dropped_counted + 1"
                                          : "UPDATE spool_mark SET dropped_evidence = dropped_evidence + 1"));
  return false;
}

Result<std::optional<Batch>> Spool::next(store::Tx& tx, std::string_view to) {
  BAVN_TRY(const auto made, tx.all<BatchRow>("SELECT id, name, worth FROM spool_batch ORDER BY worth, id LIMIT 1"));
  if (made.empty()) return form(tx, to, Worth::counted);
  // A batch that waits is sent again as it is, but for something more important that has come since.
  if (static_cast<Worth>(made[0].worth) > Worth::urgent) {
    BAVN_TRY(auto first, form(tx, to, static_cast<Worth>(made[0].worth - 1)));
    if (first) return first;
  }
  return load(tx, made[0].name);
}

Result<std::optional<Batch>> Spool::form(store::Tx& tx, std::string_view to, Worth at_most) {
  BAVN_TRY(const auto rows,
           tx.all<SpoolRow>(
               "SELECT id, kind, municipality, tlp, body, bytes, at_us FROM spool WHERE batch = 0 AND worth <= :w "
               "ORDER BY worth, id LIMIT :n",
               {{"w", at_most}, {"n", options_.batch_items}}));
  if (rows.empty()) return std::optional<Batch>{};
  BAVN_TRY(const std::string self, incarnation(tx));
  std::array<std::byte, 16> random{};
  runtime_.random(random);
  const std::string name = to_hex({reinterpret_cast<const char*>(random.data()), random.size()});
  BAVN_CHECK(tx.exec("INSERT INTO spool_batch (name, worth, at_us) VALUES (:n, :w, :at)",
                     {{"n", name}, {"w", worth_of(rows[0].kind)}, {"at", tx.now()}}));
  const std::int64_t batch = tx.last_id();
  std::size_t bytes = 0;
  std::vector<std::string> items;
  for (const auto& row : rows) {
    if (!items.empty() && bytes + static_cast<std::size_t>(row.bytes) > options_.batch_bytes) break;
    if (worth_of(row.kind) != worth_of(rows[0].kind)) break;
    bytes += static_cast<std::size_t>(row.bytes);
    ReportItem item{fmt::format("{}-{}", self, row.id),
                    row.kind,
                    {static_cast<std::uint16_t>(row.municipality)},
                    event::parse_tlp(row.tlp).value_or(event::Tlp::red),
                    from_micros(row.at_us),
                    row.body};
    std::string text = write_item(item);
    BAVN_CHECK(tx.exec("UPDATE spool SET batch = :b WHERE id = :id", {{"b", batch}, {"id", row.id}}));
    BAVN_CHECK(
        tx.exec("INSERT INTO left_item (item, kind, municipality, tlp, text, \"to\", at_us) VALUES (:i, :k, :m, :t, "
                ":x, :to, :at)",
                {{"i", item.id},
                 {"k", row.kind},
                 {"m", row.municipality},
                 {"t", row.tlp},
                 {"x", text},
                 {"to", to},
                 {"at", tx.now()}}));
    items.push_back(std::move(text));
  }
  return Batch{name, write_batch(name, items), static_cast<std::int64_t>(items.size())};
}

Result<std::optional<Batch>> Spool::load(store::Tx& tx, const std::string& batch) const {
  BAVN_TRY(const auto items,
           tx.all<std::string>(
               "SELECT l.text FROM spool s JOIN spool_batch b ON s.batch = b.id JOIN left_item l ON l.item = "
               "(SELECT incarnation FROM spool_mark) || '-' || s.id WHERE b.name = :b ORDER BY s.worth, s.id",
               {{"b", batch}}));
  if (items.empty()) {  // the list of what left was emptied under a batch that waits: its items go into a new one
    BAVN_CHECK(tx.exec("UPDATE spool SET batch = 0 WHERE batch = (SELECT id FROM spool_batch WHERE name = :b)",
                       {{"b", batch}}));
    BAVN_CHECK(tx.exec("DELETE FROM spool_batch WHERE name = :b", {{"b", batch}}));
    return std::optional<Batch>{};
  }
  return Batch{batch, write_batch(batch, items), static_cast<std::int64_t>(items.size())};
}

Result<void> Spool::acknowledged(store::Tx& tx, const std::string& batch, const std::vector<RefusedItem>& refused) {
  BAVN_TRY(const auto found,
           tx.one<BatchRow>("SELECT id, name, worth FROM spool_batch WHERE name = :b", {{"b", batch}}));
  if (!found) return {};  // said twice
  BAVN_TRY(const auto sizes, tx.all<SizeRow>("SELECT id, bytes FROM spool WHERE batch = :b", {{"b", found->id}}));
  BAVN_CHECK(
      tx.exec("UPDATE left_item SET acknowledged_us = :at WHERE item IN (SELECT (SELECT incarnation FROM spool_mark) "
              "|| '-' || id "
              "FROM spool WHERE batch = :b)",
              {{"at", tx.now()}, {"b", found->id}}));
  for (const auto& r : refused) {
    BAVN_TRY(const auto rows,
             tx.exec("UPDATE left_item SET refused = :why WHERE item = :i", {{"why", r.reason}, {"i", r.id}}));
    BAVN_CHECK(tx.exec("UPDATE spool_mark SET refused = refused + :n", {{"n", rows}}));
  }
  std::int64_t bytes = 0;
  for (const auto& s : sizes) bytes += s.bytes;
  BAVN_CHECK(tx.exec("DELETE FROM spool WHERE batch = :b", {{"b", found->id}}));
  BAVN_CHECK(tx.exec("DELETE FROM spool_batch WHERE id = :b", {{"b", found->id}}));
  return moved(tx, -static_cast<std::int64_t>(sizes.size()), -bytes);
}

Result<void> Spool::split(store::Tx& tx, const std::string& batch, std::string_view reason) {
  BAVN_TRY(const auto found,
           tx.one<BatchRow>("SELECT id, name, worth FROM spool_batch WHERE name = :b", {{"b", batch}}));
  if (!found) return {};
  BAVN_TRY(const auto rows,
           tx.all<SizeRow>("SELECT id, bytes FROM spool WHERE batch = :b ORDER BY worth, id", {{"b", found->id}}));
  if (rows.size() <= 1) {
    BAVN_TRY(const std::string self, incarnation(tx));
    std::vector<RefusedItem> refused;
    for (const auto& row : rows) refused.push_back({fmt::format("{}-{}", self, row.id), std::string(reason)});
    return acknowledged(tx, batch, refused);
  }
  const auto half = static_cast<std::ptrdiff_t>(rows.size() / 2);
  for (const auto& part :
       {std::vector(rows.begin(), rows.begin() + half), std::vector(rows.begin() + half, rows.end())}) {
    std::array<std::byte, 16> random{};
    runtime_.random(random);
    BAVN_CHECK(tx.exec("INSERT INTO spool_batch (name, worth, at_us) VALUES (:n, :w, :at)",
                       {{"n", to_hex({reinterpret_cast<const char*>(random.data()), random.size()})},
                        {"w", found->worth},
                        {"at", tx.now()}}));
    const std::int64_t id = tx.last_id();
    for (const auto& row : part)
      BAVN_CHECK(tx.exec("UPDATE spool SET batch = :b WHERE id = :id", {{"b", id}, {"id", row.id}}));
  }
  BAVN_CHECK(tx.exec("DELETE FROM spool_batch WHERE id = :b", {{"b", found->id}}));
  return {};
}

}  // namespace bavn::beacon
