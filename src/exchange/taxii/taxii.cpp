#include "exchange/taxii/taxii.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/describe.hpp>

#include "base/encoding.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "exchange/peers/names.hpp"
#include "exchange/stix/names.hpp"

namespace bavn::exchange::taxii {

BOOST_DESCRIBE_STRUCT(Fate, (), (id, version, state, why))

namespace {

namespace mi = match::indicators;
using event::Tlp;
using What = Collection::What;

constexpr std::size_t kSyncAtOnce = 2'000;       // rows of the book in one unit: about 60 ms of the writer
constexpr std::size_t kKeptAtOnce = 2'000;       // objects of a partner in one unit
constexpr std::size_t kDeliveredAtOnce = 5'000;  // of a partner's indicators in one publication
constexpr std::chrono::hours kClockSlack{24};    // a partner's clock may be this much ahead
constexpr Tlp kPassedOn = Tlp::green;            // TLP 2.0: amber and narrower do not leave their recipients

constexpr Setting kSettings[] = {
    {"taxii.page",
     Unit::none,
     std::int64_t{100},
     {1, 10'000},
     "Objects of a page of TAXII when the client names no limit.",
     Restart::yes},
    {"taxii.most_page",
     Unit::none,
     std::int64_t{1000},
     {1, 10'000},
     "Objects of a page of TAXII at most: about a megabyte of indicators.",
     Restart::yes},
    {"taxii.page_size",
     Unit::bytes,
     std::int64_t{8U << 20U},
     {1024, 64U << 20U},
     "Bytes after which a page of TAXII ends although more objects were asked for.",
     Restart::yes},
    {"taxii.most_content",
     Unit::bytes,
     std::int64_t{10U << 20U},
     {1024, 100U << 20U},
     "Bytes of one request of a TAXII client (max_content_length).",
     Restart::yes},
    {"taxii.most_objects",
     Unit::none,
     std::int64_t{500'000},
     {1, 10'000'000},
     "Objects kept of one TAXII partner: about 500 MB; more are refused.",
     Restart::yes},
    {"taxii.keep_days",
     Unit::days,
     std::int64_t{30},
     {1, 3650},
     "How long status resources are kept, and that an indicator was withdrawn: clients that come less often miss it.",
     Restart::yes},
};

struct SelfRow {
  std::string uuid, secret;
  std::int64_t since_us = 0;
};
BOOST_DESCRIBE_STRUCT(SelfRow, (), (uuid, secret, since_us))

struct BookRow {
  std::int64_t id = 0;
  std::string kind, value, source, action;
  std::int64_t confidence = 0;
  std::string tlp;
  std::int64_t valid_from_us = 0, valid_until_us = 0;
  std::string comment;
};
BOOST_DESCRIBE_STRUCT(BookRow, (),
                      (id, kind, value, source, action, confidence, tlp, valid_from_us, valid_until_us, comment))
#define BAVN_BOOK "id, kind, value, source, action, confidence, tlp, valid_from_us, valid_until_us, comment"

struct DirtyRow {
  std::int64_t book = 0;
  bool gone = false;
};
BOOST_DESCRIBE_STRUCT(DirtyRow, (), (book, gone))

struct OwnRow {
  std::int64_t added_us = 0, created_us = 0, version_us = 0;
};
BOOST_DESCRIBE_STRUCT(OwnRow, (), (added_us, created_us, version_us))

struct PageRow {
  std::int64_t added_us = 0;
  std::string id, spec, version;
  std::int64_t version_us = 0, created_us = 0, tlp = 0;
  std::string sectors, body;
  std::int64_t book = 0;
};
BOOST_DESCRIBE_STRUCT(PageRow, (), (added_us, id, spec, version, version_us, created_us, tlp, sectors, body, book))

struct SentRow {
  std::int64_t added_us = 0, version_us = 0;
  std::string digest;
};
BOOST_DESCRIBE_STRUCT(SentRow, (), (added_us, version_us, digest))

struct NewRow {
  std::int64_t added_us = 0, version_us = 0, tlp = 0;
  std::string id, body;
};
BOOST_DESCRIBE_STRUCT(NewRow, (), (added_us, version_us, tlp, id, body))

mi::Indicator indicator_of(const BookRow& r) {
  mi::Indicator i;
  i.kind = event::parse_kind(r.kind).value_or(event::Kind{});
  i.value = r.value;
  i.source = r.source;
  i.confidence = static_cast<std::uint8_t>(std::clamp<std::int64_t>(r.confidence, 0, 100));
  i.tlp = event::parse_tlp(r.tlp).value_or(Tlp::red);
  i.valid_from = from_micros(r.valid_from_us);
  i.valid_until = from_micros(r.valid_until_us);
  i.action = mi::parse_action(r.action).value_or(mi::Action::watch);
  i.comment = r.comment;
  return i;
}

std::string numbers_json(const std::vector<std::int64_t>& all) {
  std::string out;
  JsonWriter w(out);
  w.array();
  for (const std::int64_t n : all) w.value(n);
  w.end();
  return out;
}

/// date_added of the next object: now, but after every one that was given before, whatever the clock says.
class Clock {
 public:
  static Result<Clock> open(store::Tx& tx) {
    BAVN_TRY(const auto last, tx.number("SELECT last_added_us FROM taxii_self"));
    return Clock(std::max(last, micros(tx.now()) - 1));
  }
  std::int64_t next() { return ++last_; }
  Result<void> close(store::Tx& tx) const {
    BAVN_CHECK(tx.exec("UPDATE taxii_self SET last_added_us = :l WHERE last_added_us < :l", {{"l", last_}}));
    return {};
  }

 private:
  explicit Clock(std::int64_t last) : last_(last) {}
  std::int64_t last_;
};

std::string fixed_time(std::int64_t us) {
  return stix::timestamp(from_micros(us));
}

/// Milliseconds, as `modified` is written: rows and objects must agree.
std::int64_t to_millis(std::int64_t us) {
  return us / 1000 * 1000;
}

Result<std::vector<std::string>> sectors_of(store::Reader& db, std::string_view source) {
  return db.all<std::string>("SELECT sector FROM exchange_sector WHERE source = :s ORDER BY sector", {{"s", source}});
}

std::string sectors_json(const std::vector<std::string>& sectors) {
  return sectors.empty() ? std::string() : names_json(sectors);
}

// Who may have which row of which collection, and which version of it. The same for pages, for "is it there" and for deletion.
constexpr std::string_view kVisible =
    " o.tlp <= :tlp AND (:kinds = '[]' OR o.kind = '' OR o.kind IN (SELECT value FROM json_each(:kinds))) "
    "AND (:free OR o.sectors = '' OR EXISTS (SELECT 1 FROM json_each(o.sectors) s WHERE s.value IN (SELECT value "
    "FROM json_each(:mine)))) "
    "AND (:sector = '' OR (o.sectors <> '' AND :sector IN (SELECT value FROM json_each(o.sectors)))) "
    "AND (:name = '' OR (o.source <> :name AND substr(o.source, 1, length(:name) + 2) <> :name || ': ')) ";
constexpr std::string_view kAsked =
    "AND o.added_us > :after AND (:ids = '[]' OR o.id IN (SELECT value FROM json_each(:ids))) "
    "AND (:types = '[]' OR o.type IN (SELECT value FROM json_each(:types))) "
    "AND ((:specs <> '[]' AND o.spec IN (SELECT value FROM json_each(:specs))) OR (:specs = '[]' AND NOT EXISTS "
    "(SELECT 1 FROM "
    "taxii_object s WHERE s.pool = o.pool AND s.id = o.id AND s.spec > o.spec))) "
    "AND (:all OR o.version_us IN (SELECT value FROM json_each(:at)) OR (:last AND NOT EXISTS (SELECT 1 FROM "
    "taxii_object n WHERE "
    "n.pool = o.pool AND n.id = o.id AND n.version_us > o.version_us AND (:specs = '[]' OR n.spec IN (SELECT value "
    "FROM "
    "json_each(:specs))))) OR (:first AND NOT EXISTS (SELECT 1 FROM taxii_object n WHERE n.pool = o.pool AND n.id = "
    "o.id AND "
    "n.version_us < o.version_us AND (:specs = '[]' OR n.spec IN (SELECT value FROM json_each(:specs)))))) ";

/// The rows of a collection: from which index, and which pool.
std::string rows_of(const Collection& c, bool by_id) {
  if (c.what == What::passed_on)
    return fmt::format(
        " FROM taxii_object o INDEXED BY {} WHERE o.pool > 0 AND o.tlp <= 1 AND o.pool <> :pool AND o.pool = (SELECT "
        "f.pool FROM "
        "taxii_object f INDEXED BY taxii_object_owner WHERE f.id = o.id AND f.pool > 0 ORDER BY f.added_us LIMIT 1) "
        "AND ",
        by_id ? "taxii_object_owner" : "taxii_object_passed_on");
  // Without a name the unique index (pool, id, version) is meant: it is the only other one that begins with the pool.
  return by_id ? std::string(" FROM taxii_object o WHERE o.pool = :pool AND ")
               : std::string(" FROM taxii_object o INDEXED BY taxii_object_pool WHERE o.pool = :pool AND ");
}

struct Seen {
  std::int64_t tlp, pool;
  bool free;  // of sectors
  std::string kinds, mine, name;
};
Seen seen_by(const Caller& caller, const Collection& c) {
  // In its own collection a partner sees whatever it sent.
  if (c.what == What::sent) return {static_cast<std::int64_t>(Tlp::red), c.pool, true, "[]", "[]", ""};
  const Tlp tlp = std::min(caller.ceiling, c.ceiling);
  return {static_cast<std::int64_t>(tlp),
          c.what == What::passed_on ? caller.peer : 0,
          caller.peer == 0,
          names_json(c.what == What::known ? caller.kinds : std::vector<std::string>()),
          names_json(caller.sectors),
          c.what == What::known ? caller.name : std::string()};
}

}  // namespace

std::span<const Setting> taxii_settings() {
  return kSettings;
}

Options Options::from(const Settings& s) {
  Options o;
  o.page = static_cast<std::size_t>(s.integer("taxii.page"));
  o.most_page = static_cast<std::size_t>(s.integer("taxii.most_page"));
  o.page_bytes = static_cast<std::size_t>(s.integer("taxii.page_size"));
  o.most_content = static_cast<std::size_t>(s.integer("taxii.most_content"));
  o.most_objects = static_cast<std::size_t>(s.integer("taxii.most_objects"));
  o.keep_days = s.integer("taxii.keep_days");
  return o;
}

Result<std::unique_ptr<Taxii>> Taxii::open(Runtime& runtime, store::State& state, Options options) {
  std::unique_ptr<Taxii> t(new Taxii(runtime, state, std::move(options)));
  BAVN_CHECK(t->make_self());
  const QueueId queue = runtime.queue({.name = "taxii"});
  state.subscribe("taxii.book", queue,
                  [p = t.get()](const store::DomainEvent&) -> Result<void> {
                    for (;;) {
                      BAVN_TRY(const std::size_t done, p->catch_up(kSyncAtOnce));
                      if (done < kSyncAtOnce) return {};
                    }
                  },
                  {"indicators.changed"});
  state.subscribe("taxii.warnings", queue,
                  [p = t.get()](const store::DomainEvent& e) { return p->tell_warning(e.subject); },
                  {"warning.sent", "warning.updated", "warning.over", "warning.withdrawn"});
  state.on_job("taxii.publish", queue, [p = t.get()](const store::Job& job) {
    const auto peer = std::strtoll(job.payload.c_str(), nullptr, 10);
    return p->publish(peer, job.subject);
  });
  return t;
}

void Taxii::use_library(std::shared_ptr<const Library> library) {
  library_ = std::move(library);
}

Result<void> Taxii::make_self() {
  std::array<std::byte, 32> bytes{};
  runtime_.random(bytes);
  const std::string secret = to_hex(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  const std::string uuid = stix::uuid4(runtime_);
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(
        const auto made,
        tx.exec(
            "INSERT OR IGNORE INTO taxii_self (one, uuid, secret, since_us, last_added_us) VALUES (1, :u, :s, :now, 0)",
            {{"u", uuid}, {"s", secret}, {"now", tx.now()}}));
    BAVN_TRY(const auto row, tx.one<SelfRow>("SELECT uuid, secret, since_us FROM taxii_self"));
    author_ = {row->uuid, options_.name, from_micros(row->since_us)};
    secret_ = row->secret;
    if (made == 0) return {};
    BAVN_TRY(Clock clock, Clock::open(tx));
    const auto keep = [&](std::string_view id, std::string_view type, Instant created, std::string_view body) {
      return tx.exec(
          "INSERT INTO taxii_object (added_us, pool, id, type, spec, version, version_us, created_us, tlp, kind, "
          "sectors, source, "
          "book, body, digest, batch, state, why) VALUES (:a, 0, :id, :type, '2.1', :v, :vus, :vus, 0, '', '', '', 0, "
          ":body, '', '', "
          "'', '')",
          {{"a", clock.next()},
           {"id", id},
           {"type", type},
           {"v", stix::timestamp(created)},
           {"vus", to_millis(micros(created))},
           {"body", body}});
    };
    std::string identity;
    stix::append_identity(identity, author_);
    BAVN_CHECK(keep(author_.identity(), "identity", author_.since, identity));
    for (const auto& m : stix::markings()) BAVN_CHECK(keep(m.id, "marking-definition", m.created, m.body));
    return clock.close(tx);
  }));
  return {};
}

Result<std::vector<Collection>> Taxii::collections(const Caller& caller) const {
  std::vector<Collection> out;
  const auto add = [&](What what, std::string alias, std::string title, std::string description) -> Collection& {
    Collection c;
    c.what = what;
    c.id = stix::uuid5(author_.uuid, "collection\n" + alias);
    c.alias = std::move(alias);
    c.title = std::move(title);
    c.description = std::move(description);
    c.can_read = caller.may_read;
    c.ceiling = caller.ceiling;
    out.push_back(std::move(c));
    return out.back();
  };
  if (caller.may_read || caller.peer == 0) {
    add(What::known, "known", "What we know",
        fmt::format("Indicators of {} up to TLP:{}, as far as they are yours to see", options_.name,
                    event::to_string(caller.ceiling)));
    if (caller.ceiling > kPassedOn)
      add(What::known, "green", "What may be passed on", "The same, TLP:CLEAR and TLP:GREEN only").ceiling = kPassedOn;
    std::vector<std::string> sectors = caller.sectors;
    if (caller.peer == 0) {
      BAVN_TRY(sectors, state_.read([](store::Reader& db) {
        return db.all<std::string>(
            "SELECT DISTINCT sector FROM exchange_sector WHERE sector NOT LIKE '!%' ORDER BY sector LIMIT 200");
      }));
    }
    for (const std::string& sector : sectors)
      add(What::known, "sector-" + sector, fmt::format("Sector {}", sector),
          fmt::format("What we know that is marked for the sector {} only", sector))
          .sector = sector;
    add(What::passed_on, "passed-on", "From partners", "Objects of partners, TLP:CLEAR and TLP:GREEN, unchanged")
        .ceiling = std::min(caller.ceiling, kPassedOn);
  }
  if (caller.peer != 0 && caller.may_write) {
    Collection& own =
        add(What::sent, fmt::format("from-{}", caller.peer), fmt::format("From {}", caller.name),
            "What you send us. Indicators in it are judged and looked for in the name of your organisation");
    own.pool = caller.peer;
    own.can_read = true;
    own.can_write = true;
  }
  return out;
}

Result<Collection> Taxii::collection(const Caller& caller, std::string_view id) const {
  BAVN_TRY(auto all, collections(caller));
  for (Collection& c : all)
    if (c.id == id || c.alias == id) return std::move(c);
  return fail(Code::not_found, "there is no such collection, or it is not yours to see");
}

Result<Page> Taxii::page(const Caller& caller, const Collection& c, const Ask& ask, bool bodies) {
  if (c.what == What::known) BAVN_CHECK(catch_up(kSyncAtOnce));
  const Seen seen = seen_by(caller, c);
  const std::string sql = fmt::format(
      "SELECT o.added_us AS added_us, o.id AS id, o.spec AS spec, o.version AS version, o.version_us AS version_us, "
      "o.created_us AS "
      "created_us, o.tlp AS tlp, o.sectors AS sectors, {} AS body, o.book AS book{}{}{} ORDER BY o.added_us LIMIT :n",
      bodies ? "o.body" : "''", rows_of(c, !ask.ids.empty()), kVisible, kAsked);
  Page page;
  page.reached = ask.after;
  std::size_t bytes = 0, considered = 0;
  BAVN_CHECK(state_.read([&](store::Reader& db) -> Result<void> {
    return db.each<PageRow>(
        sql,
        {{"tlp", seen.tlp},
         {"kinds", seen.kinds},
         {"free", seen.free},
         {"pool", seen.pool},
         {"mine", seen.mine},
         {"sector", c.sector},
         {"name", seen.name},
         {"after", ask.after},
         {"ids", names_json(ask.ids)},
         {"types", names_json(ask.types)},
         {"specs", names_json(ask.specs)},
         {"all", ask.all},
         {"at", numbers_json(ask.at)},
         {"last", ask.last},
         {"first", ask.first},
         {"n", ask.limit + 1}},
        [&](PageRow row) -> Result<void> {
          if (page.more || considered >= ask.limit || bytes > options_.page_bytes) {
            page.more = true;
            return {};
          }
          ++considered;
          page.reached = from_micros(row.added_us);
          Entry e{from_micros(row.added_us), std::move(row.id), std::move(row.version), std::move(row.spec), {}};
          if (e.version.empty()) e.version = row.book != 0 ? fixed_time(row.version_us) : stix::timestamp_us(e.added);
          if (bodies && row.book != 0 && row.body.empty()) {
            BAVN_TRY(const auto book,
                     db.one<BookRow>("SELECT " BAVN_BOOK " FROM hub_indicator WHERE id = :b", {{"b", row.book}}));
            if (!book) return {};  // withdrawn a moment ago: it comes again as such
            const mi::Indicator i = indicator_of(*book);
            // It may have been marked narrower since the row was made.
            if (static_cast<std::int64_t>(i.tlp) > seen.tlp) return {};
            stix::append_indicator(
                e.body, author_, i,
                {from_micros(row.created_us), from_micros(row.version_us), names_in(row.sectors), false});
          } else {
            e.body = std::move(row.body);
          }
          bytes += e.body.size();
          page.entries.push_back(std::move(e));
          return {};
        });
  }));
  return page;
}

Result<bool> Taxii::has(const Caller& caller, const Collection& c, std::string_view id) const {
  const Seen seen = seen_by(caller, c);
  return state_.read([&](store::Reader& db) -> Result<bool> {
    BAVN_TRY(const auto n,
             db.number(fmt::format("SELECT EXISTS (SELECT 1{}{} AND o.id = :id)", rows_of(c, true), kVisible),
                       {{"tlp", seen.tlp},
                        {"kinds", seen.kinds},
                        {"free", seen.free},
                        {"pool", seen.pool},
                        {"mine", seen.mine},
                        {"sector", c.sector},
                        {"name", seen.name},
                        {"id", id}}));
    return n != 0;
  });
}

// ---- what we know

Result<std::size_t> Taxii::catch_up(std::size_t most) {
  BAVN_TRY(const auto dirty,
           state_.read([](store::Reader& db) { return db.number("SELECT EXISTS (SELECT 1 FROM taxii_dirty)"); }));
  if (dirty == 0) return 0;
  std::size_t done = 0;
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(done, sync(tx, most));
    return {};
  }));
  return done;
}

Result<std::size_t> Taxii::sync(store::Tx& tx, std::size_t most) {
  BAVN_TRY(const auto dirty,
           tx.all<DirtyRow>("SELECT book, gone FROM taxii_dirty ORDER BY book LIMIT :n", {{"n", most}}));
  if (dirty.empty()) return 0;
  BAVN_TRY(Clock clock, Clock::open(tx));
  for (const DirtyRow& d : dirty) {
    BAVN_TRY(auto row,
             tx.one<BookRow>(d.gone ? "SELECT book AS id, kind, value, source, action, confidence, tlp, valid_from_us, "
                                      "valid_until_us, '' AS comment FROM taxii_dirty WHERE book = :b"
                                    : "SELECT " BAVN_BOOK " FROM hub_indicator WHERE id = :b",
                             {{"b", d.book}}));
    if (!row) continue;
    mi::Indicator i = indicator_of(*row);
    const std::string id = stix::indicator_id(author_, i.kind, i.value, i.source);
    BAVN_TRY(const auto known,
             tx.one<OwnRow>("SELECT added_us, created_us, version_us FROM taxii_object WHERE pool = 0 AND id = :id",
                            {{"id", id}}));
    if (d.gone && !known) continue;  // nobody ever saw it
    const std::int64_t added = clock.next();
    const std::int64_t version = std::max(to_millis(added), known ? known->version_us + 1000 : 0);
    const std::int64_t created = known ? known->created_us : version;
    BAVN_TRY(const auto sectors, sectors_of(tx, i.source));
    std::string body;
    if (d.gone) {
      stix::append_indicator(body, author_, i, {from_micros(created), from_micros(version), sectors, true});
    }
    BAVN_CHECK(tx.exec("DELETE FROM taxii_object WHERE pool = 0 AND id = :id", {{"id", id}}));
    BAVN_CHECK(
        tx.exec("INSERT INTO taxii_object (added_us, pool, id, type, spec, version, version_us, created_us, tlp, kind, "
                "sectors, source, book, "
                "body, digest, batch, state, why) VALUES (:a, 0, :id, 'indicator', '2.1', :v, :vus, :c, :tlp, :kind, "
                ":sectors, :source, :book, "
                ":body, '', '', :state, '')",
                {{"a", added},
                 {"id", id},
                 {"v", fixed_time(version)},
                 {"vus", version},
                 {"c", created},
                 {"tlp", i.tlp},
                 {"kind", i.is_pattern() ? std::string_view() : event::to_string(i.kind)},
                 {"sectors", sectors_json(sectors)},
                 {"source", i.source},
                 {"book", d.gone ? 0 : d.book},
                 {"body", body},
                 {"state", d.gone ? "revoked" : ""}}));
  }
  BAVN_CHECK(tx.exec("DELETE FROM taxii_dirty WHERE book <= :b", {{"b", dirty.back().book}}));
  BAVN_CHECK(tx.exec("DELETE FROM taxii_object WHERE pool = 0 AND state = 'revoked' AND added_us < :old",
                     {{"old", tx.now() - std::chrono::days(options_.keep_days)}}));
  BAVN_CHECK(clock.close(tx));
  return dirty.size();
}

// ---- what partners send

struct Taxii::Batch {
  struct Detail {
    std::string id, version, message;
  };
  std::string id;
  std::vector<Detail> good{}, bad{};
  std::string status(Instant at) const {
    std::string out;
    JsonWriter w(out);
    w.object().member("id", id).member("status", "complete").member("request_timestamp", stix::timestamp_us(at));
    w.member("total_count", static_cast<std::uint64_t>(good.size() + bad.size()));
    const auto list = [&w](std::string_view count, std::string_view name, const std::vector<Detail>& all) {
      w.member(count, static_cast<std::uint64_t>(all.size()));
      if (all.empty()) return;
      w.key(name).array();
      for (const Detail& d : all) {
        w.object().member("id", d.id).member("version", d.version);
        if (!d.message.empty()) w.member("message", d.message);
        w.end();
      }
      w.end();
    };
    list("success_count", "successes", good);
    list("failure_count", "failures", bad);
    w.member("pending_count", 0).end();
    return out;
  }
};

Collection Taxii::kept_of(std::int64_t peer, std::string_view name) {
  Collection c;
  c.what = What::sent;
  c.title = fmt::format("From {}", name);
  c.pool = peer;
  c.can_read = c.can_write = true;
  return c;
}

Result<void> Taxii::keep(store::Tx& tx, const Caller& caller, std::int64_t pool, std::span<const stix::Object> objects,
                         Batch& batch) {
  BAVN_TRY(auto count,
           tx.number("SELECT count(*) FROM taxii_object INDEXED BY taxii_object_pool WHERE pool = :p", {{"p", pool}}));
  BAVN_TRY(Clock clock, Clock::open(tx));
  bool indicators = false;
  for (const stix::Object& o : objects) {
    const auto refuse = [&](std::string_view why) { batch.bad.push_back({o.id, o.version, std::string(why)}); };
    BAVN_TRY(const auto ours,
             tx.number("SELECT EXISTS (SELECT 1 FROM taxii_object WHERE pool = 0 AND id = :id)", {{"id", o.id}}));
    if (o.created_by == author_.identity() || (ours != 0 && o.type != "marking-definition")) {
      refuse("it speaks in our name");
      continue;
    }
    const std::int64_t version = micros(o.version_at);
    BAVN_TRY(const auto same, tx.all<SentRow>("SELECT added_us, version_us, digest FROM taxii_object WHERE pool = :p "
                                              "AND id = :id AND (:any OR version_us "
                                              "= :v) LIMIT 1",
                                              {{"p", pool}, {"id", o.id}, {"any", o.version.empty()}, {"v", version}}));
    if (!same.empty()) {
      if (same.front().digest == o.digest)
        batch.good.push_back(
            {o.id, o.version.empty() ? stix::timestamp_us(from_micros(same.front().added_us)) : o.version, ""});
      else refuse("this id and version is here with other content; a change needs a later `modified`");
      continue;
    }
    if (count >= static_cast<std::int64_t>(options_.most_objects)) {
      refuse("this collection is full; delete what is no longer needed");
      continue;
    }
    ++count;
    const std::int64_t added = clock.next();
    const bool indicator = o.type == "indicator";
    indicators |= indicator;
    BAVN_CHECK(
        tx.exec("INSERT INTO taxii_object (added_us, pool, id, type, spec, version, version_us, created_us, tlp, kind, "
                "sectors, source, book, "
                "body, digest, batch, state, why) VALUES (:a, :p, :id, :type, :spec, :v, :vus, 0, :tlp, '', :sectors, "
                "'', 0, :body, :digest, "
                ":batch, :state, '')",
                {{"a", added},
                 {"p", pool},
                 {"id", o.id},
                 {"type", o.type},
                 {"spec", o.spec_version},
                 {"v", o.version},
                 {"vus", o.version.empty() ? added : version},
                 {"tlp", o.tlp},
                 {"sectors", sectors_json(o.sectors)},
                 {"body", o.body},
                 {"digest", o.digest},
                 {"batch", batch.id},
                 {"state", indicator ? "new" : ""}}));
    // What is narrowed is narrow in all its versions.
    BAVN_CHECK(
        tx.exec("UPDATE taxii_object SET tlp = :tlp WHERE pool = :p AND id = :id AND version_us < :vus AND tlp < :tlp",
                {{"tlp", o.tlp}, {"p", pool}, {"id", o.id}, {"vus", version}}));
    batch.good.push_back({o.id, o.version.empty() ? stix::timestamp_us(from_micros(added)) : o.version, ""});
  }
  BAVN_CHECK(clock.close(tx));
  if (indicators) BAVN_CHECK(tx.add_job("taxii.publish", batch.id, std::to_string(caller.peer)));
  return {};
}

Result<Posted> Taxii::add(const Caller& caller, const Collection& c, std::string_view envelope, std::size_t at_once) {
  if (!c.can_write || c.what != What::sent) return fail(Code::forbidden, "this collection is not yours to write");
  stix::ReadLimits limits;
  limits.objects = at_once;
  limits.latest = runtime_.now() + kClockSlack;
  if (library_ && library_->defaults_of) {
    BAVN_TRY(const mi::Indicator defaults, library_->defaults_of(caller.peer));
    limits.unmarked = defaults.tlp;
  }
  limits.marking = [&](std::string_view id) -> std::optional<std::string> {
    const auto body = state_.read([&](store::Reader& db) {
      return db.one<std::string>(
          "SELECT body FROM taxii_object WHERE pool = :p AND id = :id ORDER BY version_us DESC LIMIT 1",
          {{"p", c.pool}, {"id", id}});
    });
    return body && *body ? **body : std::optional<std::string>();
  };
  BAVN_TRY(const stix::ReadObjects read, stix::read_objects(envelope, limits));

  Batch batch{stix::uuid4(runtime_)};
  for (const auto& r : read.refused) batch.bad.push_back({r.id, r.version, r.reason});
  const std::span<const stix::Object> all(read.objects);
  Posted posted;
  std::size_t from = 0;
  do {  // in units of a size that lets others in between
    const auto part = all.subspan(from, std::min(kKeptAtOnce, all.size() - from));
    const bool last = from + part.size() == all.size();
    Batch after;
    BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
      after = batch;
      BAVN_CHECK(keep(tx, caller, c.pool, part, after));
      if (!last) return {};
      posted.status = after.status(tx.now());
      BAVN_CHECK(tx.exec("DELETE FROM taxii_status WHERE at_us < :old",
                         {{"old", tx.now() - std::chrono::days(options_.keep_days)}}));
      BAVN_CHECK(tx.exec("INSERT INTO taxii_status (id, peer, at_us, body) VALUES (:id, :p, :now, :body)",
                         {{"id", batch.id}, {"p", caller.peer}, {"now", tx.now()}, {"body", posted.status}}));
      return tx.audit({caller.who, "taxii.received", c.title,
                       fmt::format(R"({{"taken":{},"refused":{}}})", after.good.size(), after.bad.size())});
    }));
    batch = std::move(after);
    from += part.size();
  } while (from < all.size());
  posted.failed = batch.bad.size();
  std::vector<Dropped> dropped;
  for (const auto& d : batch.bad) dropped.push_back({"object", d.id, d.message});
  if (library_ && library_->dropped && !dropped.empty())
    if (const auto listed = library_->dropped(caller.peer, dropped); !listed)
      log::warn("taxii_dropped_not_listed", {{"peer", caller.name}, {"reason", to_string(listed.error())}});
  return posted;
}

Result<void> Taxii::publish(std::int64_t peer, std::string_view batch) {
  if (!library_ || !library_->publish) return {};  // they wait: their state says so
  mi::Indicator defaults;
  if (library_->defaults_of) {
    BAVN_TRY(defaults, library_->defaults_of(peer));
    defaults.source.clear();
  }
  for (;;) {
    BAVN_TRY(const auto rows, state_.read([&](store::Reader& db) {
      return db.all<NewRow>(
          "SELECT added_us, version_us, tlp, id, body FROM taxii_object INDEXED BY taxii_object_new WHERE batch = :b "
          "AND state = 'new' "
          "ORDER BY added_us LIMIT :n",
          {{"b", batch}, {"n", kDeliveredAtOnce}});
    }));
    if (rows.empty()) return {};
    std::vector<Delivered> delivered;
    std::vector<mi::Removal> removals;
    std::vector<Dropped> dropped;
    std::vector<std::pair<std::string, std::string>> fates;  // state, why
    const auto values_of = [&](std::string_view body, Tlp tlp) -> Result<stix::IndicatorsRead> {
      BAVN_TRY(const auto document, net::JsonDocument::parse(body));
      return stix::indicators_of(document.root(), defaults, tlp);
    };
    for (const NewRow& row : rows) {
      BAVN_TRY(const auto later, state_.read([&](store::Reader& db) {
        return db.number("SELECT EXISTS (SELECT 1 FROM taxii_object WHERE pool = :p AND id = :id AND version_us > :v)",
                         {{"p", peer}, {"id", row.id}, {"v", row.version_us}});
      }));
      if (later != 0) {
        fates.emplace_back("older", "a later version is here");
        continue;
      }
      BAVN_TRY(const auto document, net::JsonDocument::parse(row.body));
      const bool revoked = document.root()["revoked"].boolean().value_or(false);
      auto read = stix::indicators_of(document.root(), defaults, static_cast<Tlp>(row.tlp));
      std::vector<mi::Indicator> now = read && !revoked ? read->indicators : std::vector<mi::Indicator>();
      // What an earlier version named and this one does not is withdrawn.
      BAVN_TRY(const auto before, state_.read([&](store::Reader& db) {
        return db.all<std::string>(
            "SELECT body FROM taxii_object WHERE pool = :p AND id = :id AND version_us < :v AND state = 'published' "
            "ORDER BY version_us DESC LIMIT 20",
            {{"p", peer}, {"id", row.id}, {"v", row.version_us}});
      }));
      for (const std::string& body : before)
        if (const auto old = values_of(body, Tlp::red))
          for (const mi::Indicator& i : old->indicators)
            if (std::ranges::none_of(now,
                                     [&](const mi::Indicator& n) { return n.kind == i.kind && n.value == i.value; }))
              removals.push_back({i.kind, i.value, i.source});
      if (!read) {
        fates.emplace_back("refused", read.error().what);
        dropped.push_back({"indicator", row.id, read.error().what});
      } else if (revoked) {
        fates.emplace_back("revoked", "");
      } else if (!read->not_evaluated.empty()) {
        fates.emplace_back("not_evaluated", read->not_evaluated);
        dropped.push_back({"indicator", row.id, "its pattern is kept and not looked for: " + read->not_evaluated});
      } else {
        fates.emplace_back("published", "");
        for (mi::Indicator& i : now) delivered.push_back({std::move(i), row.id});
      }
    }
    if (!removals.empty() && library_->withdraw) BAVN_CHECK(library_->withdraw(peer, std::move(removals)));
    if (!delivered.empty()) BAVN_CHECK(library_->publish(peer, std::move(delivered), fmt::format("taxii {}", batch)));
    if (!dropped.empty() && library_->dropped) BAVN_CHECK(library_->dropped(peer, dropped));
    BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
      for (std::size_t n = 0; n < rows.size(); ++n)
        BAVN_CHECK(tx.exec("UPDATE taxii_object SET state = :s, why = :w WHERE added_us = :a",
                           {{"s", fates[n].first}, {"w", fates[n].second}, {"a", rows[n].added_us}}));
      return {};
    }));
  }
}

Result<void> Taxii::remove(const Caller& caller, const Collection& c, std::string_view id, const Ask& ask) {
  if (!c.can_write || c.what != What::sent) return fail(Code::forbidden, "this collection is not yours to write");
  Ask all = ask;
  all.ids = {std::string(id)};
  all.limit = 10'000;
  std::vector<mi::Removal> removals;
  BAVN_TRY(const Page page, this->page(caller, c, all, true));
  if (page.entries.empty()) return fail(Code::not_found, "there is no such object, or no such version of it");
  for (const Entry& e : page.entries) {
    const auto document = net::JsonDocument::parse(e.body);
    if (!document || document->root()["type"].text_or("") != "indicator") continue;
    if (const auto read = stix::indicators_of(document->root(), {}, Tlp::red))
      for (const mi::Indicator& i : read->indicators) removals.push_back({i.kind, i.value, ""});
  }
  BAVN_CHECK(state_.write_now([&](store::Tx& tx) -> Result<void> {
    for (const Entry& e : page.entries)
      BAVN_CHECK(
          tx.exec("DELETE FROM taxii_object WHERE added_us = :a AND pool = :p", {{"a", e.added}, {"p", c.pool}}));
    return tx.audit(
        {caller.who, "taxii.deleted", std::string(id), fmt::format(R"({{"versions":{}}})", page.entries.size())});
  }));
  if (!removals.empty() && library_ && library_->withdraw)
    BAVN_CHECK(library_->withdraw(caller.peer, std::move(removals)));
  return {};
}

Result<std::string> Taxii::status(const Caller& caller, std::string_view id) const {
  BAVN_TRY(auto body, state_.read([&](store::Reader& db) {
    return db.one<std::string>("SELECT body FROM taxii_status WHERE id = :id AND (peer = :p OR :p = 0)",
                               {{"id", id}, {"p", caller.peer}});
  }));
  if (!body) return fail(Code::not_found, "there is no such status, or it was forgotten");
  return std::move(*body);
}

Result<std::vector<Fate>> Taxii::fates(std::int64_t peer, std::string_view batch) const {
  return state_.read([&](store::Reader& db) {
    return db.all<Fate>(
        "SELECT id, version, state, why FROM taxii_object WHERE pool = :p AND batch = :b ORDER BY added_us LIMIT 10000",
        {{"p", peer}, {"b", batch}});
  });
}

}  // namespace bavn::exchange::taxii
