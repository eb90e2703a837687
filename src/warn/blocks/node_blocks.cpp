#include "warn/blocks/node_blocks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "base/aead.hpp"
#include "base/digest.hpp"
#include "base/encoding.hpp"
#include "base/guarded.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "event/notices.hpp"
#include "net/json_views.hpp"
#include "warn/blocks/common.hpp"
#include "warn/exports/writing.hpp"

namespace bavn::warn::blocks {

namespace {

using event::Kind;

constexpr Setting kSettings[] = {
    {"blocks.can_dns",
     Unit::none,
     false,
     {},
     "Names can be blocked here: a resolver or the DNS server reads our list.",
     Restart::yes},
    {"blocks.can_proxy",
     Unit::none,
     false,
     {},
     "Addresses with their path can be blocked here: a proxy or firewall that opens TLS reads our list.",
     Restart::yes},
    {"blocks.can_firewall",
     Unit::none,
     false,
     {},
     "IP addresses and hosts can be blocked here: a firewall reads our list.",
     Restart::yes},
    {"blocks.can_mail",
     Unit::none,
     false,
     {},
     "Mail can be stopped here by sender and Message-ID: a mail filter reads our list.",
     Restart::yes},
    {"blocks.own_networks",
     Unit::none,
     std::string_view(""),
     {0, 4000},
     "Our own public networks, with commas between: nobody can block them here, whatever the hub sends.",
     Restart::yes},
    {"blocks.rpz_action",
     Unit::none,
     std::string_view("nxdomain"),
     {2, 200},
     "What a resolver answers for a blocked name: nxdomain, nodata, drop, tcp_only, or the name of a page of your own "
     "that says why.",
     Restart::yes},
    {"blocks.most_here",
     Unit::none,
     std::int64_t{50000},
     {100, 500000},
     "The most entries of the hub kept here: more than any device of a municipality reads.",
     Restart::yes},
    {"blocks.longest_days",
     Unit::days,
     std::int64_t{30},
     {1, 90},
     "No entry stays longer than this, whatever it says: what nobody renews is not looked after.",
     Restart::yes},
    {"blocks.let_through_days",
     Unit::days,
     std::int64_t{90},
     {1, 400},
     "The longest that a person here may let something through at a time: forgotten exceptions are what attackers "
     "find.",
     Restart::yes},
    {"blocks.look_minutes",
     Unit::minutes,
     std::int64_t{10},
     {1, 240},
     "When the hits of a young entry are counted and told for the first time; then after three and after twelve times "
     "as long.",
     Restart::yes},
};

constexpr std::string_view kTokenStart = "bavn_li_";
constexpr std::size_t kMostOverrides = 2000, kMostTokens = 500;
constexpr auto kRemembered = std::chrono::days(7);    // what ended
constexpr auto kUseNoted = std::chrono::minutes(10);  // the time of a token's last use is not written more often
constexpr std::int64_t kLooks[] = {1, 3, 12};

struct BlockRow {
  std::string id, kind, value, action, reason, campaign, by_people, state, why;
  std::int64_t from_us = 0, until_us = 0, came_us = 0, looks = 0;
};
BOOST_DESCRIBE_STRUCT(BlockRow, (),
                      (id, kind, value, action, reason, campaign, by_people, state, why, from_us, until_us, came_us,
                       looks))
constexpr std::string_view kColumns =
    "id, kind, value, action, reason, campaign, by_people, state, why, from_us, until_us, came_us, looks";

struct OverrideRow {
  std::string kind, value, what, reason, by_person;
  std::int64_t at_us = 0, until_us = 0;
};
BOOST_DESCRIBE_STRUCT(OverrideRow, (), (kind, value, what, reason, by_person, at_us, until_us))

struct ListRow {
  std::int64_t changes = 0, serial = 0;
  std::string content_hash;
  std::int64_t made_us = 0, gone_before_us = 0, killed_us = 0;
  std::string killed_by, killed_why;
};
BOOST_DESCRIBE_STRUCT(ListRow, (),
                      (changes, serial, content_hash, made_us, gone_before_us, killed_us, killed_by, killed_why))

struct KeptRow {
  store::Blob body;
  std::string content_type, etag;
  std::int64_t made_us = 0;
};
BOOST_DESCRIBE_STRUCT(KeptRow, (), (body, content_type, etag, made_us))

struct TokenRow {
  std::int64_t id = 0;
  std::string list;
  std::int64_t revoked_at_us = 0, used_at_us = 0;
};
BOOST_DESCRIBE_STRUCT(TokenRow, (), (id, list, revoked_at_us, used_at_us))

Result<ListRow> list_row(store::Reader& r) {
  BAVN_TRY(auto row,
           r.one<ListRow>("SELECT changes, serial, content_hash, made_us, gone_before_us, killed_us, killed_by, "
                          "killed_why FROM node_block_list WHERE one = 1"));
  if (!row) return fail(Code::corrupt, "the row of the block list is gone");
  return std::move(*row);
}

/// Campaigns whose entries came into force after a device fetched the list last.
Result<std::vector<std::string>> campaigns_since(store::Reader& r, std::int64_t fetched_us) {
  return r.all<std::string>(
      "SELECT DISTINCT campaign FROM node_block WHERE state = 'in_force' AND campaign <> '' AND came_us > :at",
      {{"at", fetched_us}});
}

Result<void> changed(store::Tx& tx) {
  BAVN_CHECK(tx.exec("UPDATE node_block_list SET changes = changes + 1 WHERE one = 1"));
  return {};
}

std::string detail_of(std::string_view kind, std::string_view value, std::string_view why) {
  std::string json;
  JsonWriter(json).object().member("kind", kind).member("value", value).member("why", why).end();
  return json;
}

std::string joined(const std::vector<std::string>& people) {
  std::string out;
  for (std::size_t i = 0; i < people.size() && i < 5; ++i) out += (i == 0 ? "" : ", ") + clean(people[i], 100);
  return out;
}

}  // namespace

std::span<const Setting> node_settings() {
  return kSettings;
}

std::vector<store::RetentionRule> node_retention() {
  return {
      store::retention_rule(
          "block_override", 400, "who let through what is asked about within the year; the audit log keeps it longer",
          "DELETE FROM node_block_override WHERE rowid IN (SELECT rowid FROM node_block_override WHERE "
          "until_us < :before LIMIT 10000)"),
      store::retention_rule(
          "list_token", 400, "a revoked token is looked for when a device still asks with it",
          "DELETE FROM node_list_token WHERE id IN (SELECT id FROM node_list_token WHERE revoked_at_us > 0 "
          "AND revoked_at_us < :before LIMIT 10000)")};
}

struct NodeBlocks::Inner : std::enable_shared_from_this<NodeBlocks::Inner> {
  Inner(Runtime& r, store::State& s, MunicipalityId m, Tell t, Look l)
      : runtime(r), state(s), municipality(m), tell(std::move(t)), look(std::move(l)) {}

  Runtime& runtime;
  store::State& state;
  MunicipalityId municipality;
  Tell tell;
  Look look;
  Guarded<std::shared_ptr<const NeverBlock>> never;
  bool dns = false, proxy = false, firewall = false, mail = false;
  std::string rpz_action;
  std::vector<std::string> own_networks;
  std::int64_t most = 0;
  std::chrono::seconds longest{}, allow_most{}, look_after{};

  // The list as it was made last, and its texts.
  std::mutex mutex;
  struct Made {
    exports::List list;
    std::int64_t changes = -1;
    const NeverBlock* never = nullptr;
    Instant next_end = Instant::max();
    std::map<std::string, Kept, std::less<>> files;
  } made;

  void read(const Settings& s) {
    dns = s.flag("blocks.can_dns");
    proxy = s.flag("blocks.can_proxy");
    firewall = s.flag("blocks.can_firewall");
    mail = s.flag("blocks.can_mail");
    rpz_action = s.text("blocks.rpz_action");
    for (const std::string_view network : split(s.text("blocks.own_networks"), ','))
      if (!trim(network).empty()) own_networks.emplace_back(trim(network));
    most = s.integer("blocks.most_here");
    longest = s.duration("blocks.longest_days");
    allow_most = s.duration("blocks.let_through_days");
    look_after = s.duration("blocks.look_minutes");
  }

  std::shared_ptr<const NeverBlock> lists() {
    return never.with([](const auto& n) { return n; });
  }
  /// Why it may not be blocked here; empty: it may.
  std::string refusal(const event::Observable& what) {
    const auto n = lists();
    if (!n) return "the lists of what is never blocked are not there";
    const auto r = n->check(what);
    return r ? r->reason : std::string();
  }

  Result<void> say(store::Tx& tx, std::string_view id, std::string_view state_now, std::string_view why,
                   const std::optional<Seen>& seen = {}, std::int64_t since_us = 0) {
    event::BlockState s;
    s.id = id;
    s.state = state_now;
    s.why = why;
    s.since_us = since_us;
    if (seen) {
      s.hits = seen->hits;
      s.people = seen->people;
      s.looked = true;
    }
    return tell(tx, "block_state", net::to_json(s), municipality, event::Tlp::amber);
  }

  Result<void> write_row(store::Tx& tx, const BlockRow& b) {
    BAVN_CHECK(tx.exec(fmt::format("INSERT INTO node_block ({}) VALUES (:id, :k, :v, :a, :r, :c, :by, :s, :w, :f, :u, "
                                   ":now, 0) ON CONFLICT (id) "
                                   "DO UPDATE SET kind = :k, value = :v, action = :a, reason = :r, campaign = :c, "
                                   "by_people = :by, state = :s, "
                                   "why = :w, from_us = :f, until_us = :u",
                                   kColumns),
                       {{"id", b.id},
                        {"k", b.kind},
                        {"v", b.value},
                        {"a", b.action},
                        {"r", b.reason},
                        {"c", b.campaign},
                        {"by", b.by_people},
                        {"s", b.state},
                        {"w", b.why},
                        {"f", b.from_us},
                        {"u", b.until_us},
                        {"now", tx.now()}}));
    BAVN_CHECK(tx.set_timer(std::max(from_micros(b.until_us), tx.now()) + kRemembered, "blocks.forget", b.id));
    return changed(tx);
  }

  Result<void> all_gone(store::Tx& tx, std::int64_t at_us, std::string_view why) {
    BAVN_CHECK(
        tx.exec("UPDATE node_block_list SET gone_before_us = max(gone_before_us, :at) WHERE one = 1", {{"at", at_us}}));
    BAVN_CHECK(tx.exec("UPDATE node_block SET state = 'gone', why = :w WHERE state <> 'gone' AND from_us <= :at",
                       {{"w", why}, {"at", at_us}}));
    BAVN_CHECK(changed(tx));
    return tx.audit({"hub", "block.all_withdrawn", "*", detail_of("", "", why)});
  }

  Result<void> take(store::Tx& tx, std::string_view payload) {
    BAVN_TRY(auto c, net::from_json<event::BlockChange>(payload, net::Unknown::ignore));
    const std::string why = clean(c.reason, 500);
    // A clock far ahead must not be able to shut out all that comes later.
    const std::int64_t at_us = std::clamp<std::int64_t>(c.from_us, 1, micros(tx.now() + std::chrono::hours(24)));
    if (c.id == "*") {
      if (c.action != "gone") return fail(Code::bad_input, "all entries can only be withdrawn", c.action.substr(0, 50));
      return all_gone(tx, at_us, why);
    }
    if (!exports::safe_id(c.id))
      return fail(Code::bad_input, "an entry's id is letters, digits and '-'", clean(c.id, 100));
    BAVN_TRY(const auto had,
             tx.one<BlockRow>(fmt::format("SELECT {} FROM node_block WHERE id = :id", kColumns), {{"id", c.id}}));
    if (had && (at_us < had->from_us || (at_us == had->from_us && had->state == "gone"))) return {};  // an older word
    BlockRow b;
    b.id = c.id;
    b.kind = clean(c.kind, 30);
    b.value = clean(c.value, 4096);
    b.action = clean(c.action, 10);
    b.reason = why;
    b.campaign = clean(c.campaign, 100);
    b.by_people = joined(c.by);
    b.from_us = at_us;
    b.until_us = std::clamp<std::int64_t>(c.until_us, at_us, micros(tx.now() + longest));
    if (c.action == "gone") {
      b.state = "gone";
      b.why = why;
      if (had) b.action = had->action;
      BAVN_CHECK(write_row(tx, b));
      BAVN_CHECK(tx.clear_timer("blocks.look", c.id));
      return had && had->state == "in_force" ? say(tx, c.id, "gone", "") : Result<void>();
    }
    BAVN_TRY(const ListRow list, list_row(tx));
    if (at_us <= list.gone_before_us || b.until_us <= micros(tx.now())) return {};  // withdrawn with the rest, or over
    const auto refuse = [&](std::string reason) -> Result<void> {
      b.state = "refused";
      b.why = std::move(reason);
      BAVN_CHECK(write_row(tx, b));
      BAVN_CHECK(tx.audit({"hub", "block.refused", b.id, detail_of(b.kind, b.value, b.why)}));
      BAVN_CHECK(tx.emit("block.refused", b.id, detail_of(b.kind, b.value, b.why), municipality));
      return say(tx, b.id, "refused", b.why);
    };
    if (!known_action(c.action)) return refuse("its action is not known here");
    const auto what = canonical_observable(c.kind, c.value);
    if (!what) return refuse(what.error().what);
    if (std::string no = refusal(*what); !no.empty()) return refuse(std::move(no));
    if (!had || had->state != "in_force") {
      BAVN_TRY(const auto n, tx.number("SELECT count(*) FROM node_block WHERE state = 'in_force' AND until_us > :now",
                                       {{"now", tx.now()}}));
      if (n >= most) return refuse(fmt::format("{} entries are in force, which is the most kept here", n));
    }
    b.state = "in_force";
    BAVN_CHECK(write_row(tx, b));
    BAVN_CHECK(
        tx.audit({"hub", "block.taken", b.id, detail_of(b.kind, b.value, fmt::format("{} ({})", why, b.by_people))}));
    BAVN_CHECK(tx.emit("block.taken", b.id, detail_of(b.kind, b.value, why), municipality));
    if (!exact(what->kind)) BAVN_CHECK(tx.set_timer(tx.now() + look_after, "blocks.look", b.id));
    std::string let = "in_force", let_why;
    if (list.killed_us != 0) {
      let = "killed";
      let_why = list.killed_why;
    } else {
      BAVN_TRY(const auto allow, allowed(tx, tx.now()));
      if (auto covers = exports::Allowed(allow).covers(*what); !covers.empty()) {
        let = "allowed";
        let_why = std::move(covers);
      }
    }
    return say(tx, b.id, let, let_why);
  }

  Result<std::vector<event::Observable>> allowed(store::Reader& r, Instant now) {
    BAVN_TRY(const auto rows,
             r.all<OverrideRow>("SELECT kind, value, what, reason, by_person, at_us, until_us FROM "
                                "node_block_override WHERE what = 'allow' AND until_us > :now ORDER BY kind, value",
                                {{"now", now}}));
    std::vector<event::Observable> out;
    for (const OverrideRow& row : rows)
      if (auto what = canonical_observable(row.kind, row.value)) out.push_back(std::move(*what));
    return out;
  }

  Result<void> take_ask(store::Tx& tx, std::string_view payload) {
    BAVN_TRY(const auto ask, net::from_json<event::PreviewAsk>(payload, net::Unknown::ignore));
    if (!exports::safe_id(ask.preview)) return fail(Code::bad_input, "a preview's id is letters, digits and '-'");
    BAVN_CHECK(canonical_observable(ask.kind, ask.value));
    if (ask.days < 1 || ask.days > 400) return fail(Code::bad_input, "a preview looks 1 to 400 days back");
    return tx.add_job("blocks.preview", ask.preview, payload);
  }

  void answer(const store::Job& job, store::Done done) {
    const auto ask = net::from_json<event::PreviewAsk>(job.payload, net::Unknown::ignore);
    const auto what = ask ? canonical_observable(ask->kind, ask->value) : std::unexpected(ask.error());
    if (!what) return done({});  // take_ask let only good ones in
    const Instant now = runtime.now();
    auto finish = std::make_shared<store::Done>(std::move(done));
    look(*what, now - std::chrono::days(ask->days), now,
         [weak = weak_from_this(), finish, preview = ask->preview, kind = what->kind](Result<Seen> seen) {
           const auto self = weak.lock();
           if (!self) return;
           if (!seen) return (*finish)(std::unexpected(seen.error()));
           event::PreviewAnswer a{preview, seen->hits, seen->people, seen->days, std::string(self->can(kind))};
           self->state.write(
               [weak, json = net::to_json(a)](store::Tx& tx) -> Result<void> {
                 const auto me = weak.lock();
                 return me ? me->tell(tx, "block_preview", json, me->municipality, event::Tlp::amber) : Result<void>();
               },
               [finish](Result<void> r) { (*finish)(std::move(r)); });
         });
  }

  std::string_view can(Kind kind) const {
    switch (kind) {
      case Kind::message_id:
      case Kind::email:
      case Kind::mail_domain: return mail ? "path" : "nothing";
      case Kind::url: return proxy ? "path" : dns || firewall ? "host" : "nothing";
      case Kind::domain: return dns || proxy || firewall ? "host" : "nothing";
      case Kind::ipv4:
      case Kind::ipv6:
      case Kind::cidr: return firewall || dns || proxy ? "host" : "nothing";
      case Kind::md5:
      case Kind::sha1:
      case Kind::sha256: return firewall ? "path" : "nothing";
      default: return "nothing";
    }
  }

  /// Counts what a young entry hits, tells it, and looks again later.
  Result<void> on_look(const store::Timer& t) {
    BAVN_TRY(const auto b, state.read([&](store::Reader& r) {
      return r.one<BlockRow>(fmt::format("SELECT {} FROM node_block WHERE id = :id", kColumns), {{"id", t.subject}});
    }));
    const Instant now = runtime.now();
    if (!b || b->state != "in_force" || b->until_us <= micros(now)) return {};
    BAVN_TRY(const auto what, canonical_observable(b->kind, b->value));
    look(what, from_micros(b->came_us), now, [weak = weak_from_this(), row = *b](const Result<Seen>& seen) {
      const auto self = weak.lock();
      if (!self) return;
      self->state.write([weak, row, seen](store::Tx& tx) -> Result<void> {
        const auto me = weak.lock();
        if (!me) return {};
        if (seen) BAVN_CHECK(me->say(tx, row.id, "in_force", "", *seen, row.came_us));
        BAVN_CHECK(tx.exec("UPDATE node_block SET looks = looks + 1 WHERE id = :id", {{"id", row.id}}));
        const auto next = static_cast<std::size_t>(row.looks) + 1;
        if (next >= std::size(kLooks)) return {};
        return tx.set_timer(tx.now() + me->look_after * (kLooks[next] - kLooks[next - 1]), "blocks.look", row.id);
      });
    });
    return {};
  }

  /// What is in force now; serial and time as they were written last.
  Result<exports::List> compute(store::Reader& r, Instant now, Instant& next_end) {
    exports::List list;
    list.municipality = fmt::format("{:04}", municipality.value);
    BAVN_TRY(const ListRow row, list_row(r));
    list.serial = static_cast<std::uint64_t>(std::max<std::int64_t>(row.serial, 1));
    list.made = from_micros(row.made_us);
    BAVN_TRY(list.allow, allowed(r, now));
    const auto n = lists();
    if (n) list.never = n->names();
    BAVN_TRY(const auto overrides,
             r.all<OverrideRow>("SELECT kind, value, what, reason, by_person, at_us, until_us FROM "
                                "node_block_override WHERE until_us > :now ORDER BY at_us DESC, kind, value",
                                {{"now", now}}));
    for (const OverrideRow& o : overrides) next_end = std::min(next_end, from_micros(o.until_us));
    if (row.killed_us != 0 || !n) return list;  // without the lists of what is never blocked nothing is
    const auto add = [&](std::string id, std::string_view kind, std::string_view value, std::string_view action,
                         std::int64_t from_us, std::int64_t until_us, bool own) {
      next_end = std::min(next_end, from_micros(until_us));
      auto what = canonical_observable(kind, value);
      // Once more, whatever stands in the table: the lists may be newer than the entry, and a row may be made by hand.
      if (!what || n->check(*what)) return;
      const bool members = n->members_address(*what);
      if (members && until_us - from_us > 24LL * 3600 * 1'000'000) return;
      exports::Entry e;
      e.id = std::move(id);
      e.what = std::move(*what);
      e.action = action;
      e.from = from_micros(from_us);
      e.until = from_micros(until_us);
      e.wanted_here = own;
      list.entries.push_back(std::move(e));
    };
    for (const OverrideRow& o : overrides)
      if (o.what == "deny")
        add("own-" + to_hex(blake2b256(o.kind + " " + o.value)).substr(0, 12), o.kind, o.value, "block", o.at_us,
            o.until_us, true);
    BAVN_CHECK((r.each<BlockRow>(
        fmt::format(
            "SELECT {} FROM node_block WHERE state = 'in_force' AND until_us > :now AND action IN ('hold', 'block') "
            "ORDER BY from_us DESC, id LIMIT :most",
            kColumns),
        {{"now", now}, {"most", most}}, [&](BlockRow b) -> Result<void> {
          add(b.id, b.kind, b.value, b.action, b.from_us, b.until_us, false);
          return {};
        })));
    std::ranges::stable_sort(list.entries, std::ranges::greater(), &exports::Entry::from);
    return list;
  }

  static std::string content_hash(const exports::List& list) {
    std::string all;
    const auto put = [&](std::string_view s) {
      all += fmt::format("{}:", s.size());
      all += s;
    };
    for (const auto& e : list.entries) {
      put(e.id);
      put(e.what.value);
      put(event::to_string(e.what.kind));
      put(e.action);
      put(std::to_string(micros(e.until)));
    }
    put("allow");
    for (const auto& a : list.allow) put(a.value);
    put("never");
    for (const auto& name : list.never) put(name);
    return to_hex(blake2b256(all));
  }

  /// Under mutex. Makes the list anew when something changed or something is over.
  Result<void> refresh() {
    const Instant now = runtime.now();
    const auto n = lists();
    BAVN_TRY(const auto changes, state.read([](store::Reader& r) {
      return r.number("SELECT changes FROM node_block_list WHERE one = 1");
    }));
    if (changes == made.changes && now < made.next_end && n.get() == made.never) return {};
    Made fresh;
    BAVN_TRY(fresh.list, state.read([&](store::Reader& r) { return compute(r, now, fresh.next_end); }));
    fresh.changes = changes;
    fresh.never = n.get();
    const std::string hash = content_hash(fresh.list);
    BAVN_TRY(const ListRow row, state.read([](store::Reader& r) { return list_row(r); }));
    if (hash != row.content_hash) {
      fresh.list.serial = static_cast<std::uint64_t>(row.serial) + 1;
      fresh.list.made = now;
      BAVN_CHECK(state.write_now([&](store::Tx& tx) -> Result<void> {
        BAVN_CHECK(tx.exec("UPDATE node_block_list SET serial = :s, content_hash = :h, made_us = :now WHERE one = 1",
                           {{"s", fresh.list.serial}, {"h", hash}, {"now", now}}));
        return {};
      }));
    } else {
      fresh.files = std::move(made.files);
    }
    made = std::move(fresh);
    return {};
  }

  Result<Kept> write(const exports::FoundFile& found) {
    BAVN_CHECK(refresh());
    if (const auto at = made.files.find(found.file.name); at != made.files.end()) return at->second;
    BAVN_TRY(auto written, exports::write(found.file.name, made.list, {{"rpz.action", rpz_action}}));
    Kept k;
    k.etag = "\"" + to_hex(blake2b256(written.body)).substr(0, 32) + "\"";
    k.body = std::move(written.body);
    k.content_type = found.file.content_type;
    k.made = made.list.made;
    BAVN_CHECK(state.write_now([&](store::Tx& tx) -> Result<void> {
      BAVN_CHECK(tx.exec(
          "INSERT INTO node_list_kept (file, body, content_type, etag, made_us) VALUES (:f, :b, :c, :e, :m) ON "
          "CONFLICT (file) DO UPDATE SET body = :b, content_type = :c, etag = :e, made_us = :m",
          {{"f", found.file.name}, {"b", store::Blob{k.body}}, {"c", k.content_type}, {"e", k.etag}, {"m", k.made}}));
      return {};
    }));
    made.files.emplace(found.file.name, k);
    return k;
  }
};

Result<std::unique_ptr<NodeBlocks>> NodeBlocks::open(Runtime& runtime, store::State& state, MunicipalityId municipality,
                                                     Tell tell, Look look, const Settings* settings) {
  auto inner = std::make_shared<Inner>(runtime, state, municipality, std::move(tell), std::move(look));
  inner->read(settings != nullptr ? *settings : Settings::defaults(kSettings));
  const std::weak_ptr<Inner> weak = inner;
  const QueueId queue = runtime.queue({.name = "blocks"});
  state.on_job_async(
      "blocks.preview", queue,
      [weak](const store::Job& job, store::Done done) {
        if (const auto self = weak.lock()) self->answer(job, std::move(done));
      },
      5, 2);
  state.on_timer("blocks.look", queue, [weak](const store::Timer& t) -> Result<void> {
    const auto self = weak.lock();
    return self ? self->on_look(t) : Result<void>();
  });
  state.on_timer_tx("blocks.forget", [](store::Tx& tx, const store::Timer& t) -> Result<void> {
    BAVN_CHECK(tx.exec("DELETE FROM node_block WHERE id = :id", {{"id", t.subject}}));
    return {};
  });
  return std::unique_ptr<NodeBlocks>(new NodeBlocks(std::move(inner)));
}

NodeBlocks::~NodeBlocks() = default;

void NodeBlocks::use_never_block(std::shared_ptr<const NeverBlock> never) {
  if (never && !inner_->own_networks.empty()) {
    auto with_own = std::make_shared<NeverBlock>(never->with_networks(inner_->own_networks));
    for (const std::string& wrong : with_own->left_out())
      log::warn("own_network_left_out", {{"network", wrong}, {"reason", "it is no network; see blocks.own_networks"}});
    never = std::move(with_own);
  }
  inner_->never.with([&](auto& n) { n = std::move(never); });
}

Result<void> NodeBlocks::take(store::Tx& tx, std::string_view payload) {
  return inner_->take(tx, payload);
}
Result<void> NodeBlocks::take_ask(store::Tx& tx, std::string_view payload) {
  return inner_->take_ask(tx, payload);
}
std::string_view NodeBlocks::can(event::Kind kind) const {
  return inner_->can(kind);
}

Result<void> NodeBlocks::add_override(std::string_view by, std::string_view what, std::string_view kind,
                                      std::string_view value, std::string_view reason, std::int64_t hours) {
  Inner& in = *inner_;
  BAVN_TRY(const std::string who, person(by));
  BAVN_TRY(const std::string why, reason_of(reason));
  const bool allow = what == "allow";
  if (!allow && what != "deny")
    return fail(Code::bad_input, "say allow (let through) or deny (block here)", clean(what, 50));
  BAVN_TRY(const auto thing, observable_of(kind, value));
  const auto n = in.lists();
  if (!allow)
    if (const std::string no = in.refusal(thing); !no.empty()) return fail(Code::forbidden, no, thing.value);
  auto most = std::chrono::duration_cast<std::chrono::hours>(allow ? in.allow_most : in.longest);
  if (!allow && n && n->members_address(thing)) most = std::chrono::hours(4);
  if (hours < 1 || hours > most.count())
    return fail(Code::bad_input, fmt::format("{} hours: this lasts 1 to {} hours at a time", hours, most.count()));
  return in.state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto count, tx.number("SELECT count(*) FROM node_block_override"));
    if (count >= static_cast<std::int64_t>(kMostOverrides))
      return fail(Code::conflict, fmt::format("there are {} already: drop some", count));
    BAVN_CHECK(tx.exec(
        "INSERT INTO node_block_override (kind, value, what, reason, by_person, at_us, until_us) VALUES (:k, :v, :x, "
        ":r, "
        ":by, :now, :u) ON CONFLICT (kind, value) DO UPDATE SET what = :x, reason = :r, by_person = :by, at_us = :now, "
        "until_us = :u",
        {{"k", event::to_string(thing.kind)},
         {"v", thing.value},
         {"x", what},
         {"r", why},
         {"by", who},
         {"now", tx.now()},
         {"u", tx.now() + std::chrono::hours(hours)}}));
    BAVN_CHECK(changed(tx));
    BAVN_CHECK(
        tx.audit({who, allow ? "block.let_through" : "block.added_here", std::string(event::to_string(thing.kind)),
                  detail_of(event::to_string(thing.kind), thing.value, why)}));
    if (!allow) return {};
    // The hub should know that its entry does nothing here.
    const exports::Allowed let({thing});
    BAVN_TRY(const auto rows,
             tx.all<BlockRow>(
                 fmt::format("SELECT {} FROM node_block WHERE state = 'in_force' AND until_us > :now", kColumns),
                 {{"now", tx.now()}}));
    for (const BlockRow& b : rows)
      if (const auto w = canonical_observable(b.kind, b.value))
        if (const std::string covers = let.covers(*w); !covers.empty()) BAVN_CHECK(in.say(tx, b.id, "allowed", covers));
    return {};
  });
}

Result<void> NodeBlocks::drop_override(std::string_view by, std::string_view kind, std::string_view value) {
  BAVN_TRY(const std::string who, person(by));
  BAVN_TRY(const auto thing, observable_of(kind, value));
  return inner_->state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto gone, tx.exec("DELETE FROM node_block_override WHERE kind = :k AND value = :v",
                                      {{"k", event::to_string(thing.kind)}, {"v", thing.value}}));
    if (gone == 0) return fail(Code::not_found, "nobody here let it through or added it", thing.value);
    BAVN_CHECK(changed(tx));
    return tx.audit({who, "block.override_dropped", std::string(event::to_string(thing.kind)),
                     detail_of(event::to_string(thing.kind), thing.value, "")});
  });
}

Result<void> NodeBlocks::kill(std::string_view by, std::string_view why) {
  BAVN_TRY(const std::string who, person(by));
  BAVN_TRY(const std::string reason, reason_of(why));
  return inner_->state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_CHECK(tx.exec("UPDATE node_block_list SET killed_us = :now, killed_by = :w, killed_why = :r WHERE one = 1",
                       {{"now", tx.now()}, {"w", who}, {"r", reason}}));
    BAVN_CHECK(changed(tx));
    BAVN_TRY(const auto ids,
             tx.all<std::string>("SELECT id FROM node_block WHERE state = 'in_force' AND until_us > :now LIMIT 1000",
                                 {{"now", tx.now()}}));
    for (const std::string& id : ids) BAVN_CHECK(inner_->say(tx, id, "killed", reason));
    return tx.audit({who, "block.killed_here", "*", detail_of("", "", reason)});
  });
}

Result<void> NodeBlocks::revive(std::string_view by, std::string_view why) {
  BAVN_TRY(const std::string who, person(by));
  BAVN_TRY(const std::string reason, reason_of(why));
  return inner_->state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto n, tx.exec("UPDATE node_block_list SET killed_us = 0, killed_by = '', killed_why = '' WHERE "
                                   "one = 1 AND killed_us > 0"));
    if (n == 0) return fail(Code::not_found, "nothing is stopped here");
    BAVN_CHECK(changed(tx));
    return tx.audit({who, "block.revived_here", "*", detail_of("", "", reason)});
  });
}

Result<std::string> NodeBlocks::killed() const {
  return inner_->state.read([](store::Reader& r) -> Result<std::string> {
    BAVN_TRY(const ListRow row, list_row(r));
    return row.killed_us == 0 ? std::string() : fmt::format("{} ({})", row.killed_why, row.killed_by);
  });
}

Result<std::vector<NodeEntry>> NodeBlocks::list(bool also_ended, std::size_t most) const {
  Inner& in = *inner_;
  const Instant now = in.runtime.now();
  const auto n = in.lists();
  return in.state.read([&](store::Reader& r) -> Result<std::vector<NodeEntry>> {
    BAVN_TRY(
        const auto rows,
        r.all<BlockRow>(fmt::format("SELECT {} FROM node_block WHERE :all = 1 OR (state <> 'gone' AND until_us > :now) "
                                    "ORDER BY from_us DESC, id LIMIT :n",
                                    kColumns),
                        {{"all", also_ended}, {"now", now}, {"n", std::min<std::size_t>(most, 10'000)}}));
    BAVN_TRY(const auto allow, in.allowed(r, now));
    const exports::Allowed let(allow);
    std::vector<NodeEntry> out;
    for (const BlockRow& b : rows) {
      NodeEntry e{b.id,        b.kind,  b.value, b.action,  b.reason,  b.campaign,
                  b.by_people, b.state, b.why,   b.from_us, b.until_us};
      if (e.state == "in_force" && b.until_us <= micros(now)) e.state = "over";
      const auto what = canonical_observable(b.kind, b.value);
      if (e.state == "in_force" && what) {
        if (const auto refusal = n ? n->check(*what) : std::nullopt) {
          e.state = "refused";
          e.why = refusal->reason;
        } else if (auto covers = let.covers(*what); !covers.empty()) {
          e.state = "allowed";
          e.why = std::move(covers);
        }
      }
      out.push_back(std::move(e));
    }
    return out;
  });
}

Result<std::vector<Override>> NodeBlocks::overrides() const {
  return inner_->state.read([&](store::Reader& r) -> Result<std::vector<Override>> {
    BAVN_TRY(const auto rows,
             r.all<OverrideRow>("SELECT kind, value, what, reason, by_person, at_us, until_us FROM node_block_override "
                                "WHERE until_us > :now ORDER BY at_us DESC",
                                {{"now", inner_->runtime.now()}}));
    std::vector<Override> out;
    for (const OverrideRow& o : rows)
      out.push_back({o.kind, o.value, o.what, o.reason, o.by_person, o.at_us, o.until_us});
    return out;
  });
}

Result<exports::List> NodeBlocks::in_force() const {
  Inner& in = *inner_;
  const std::lock_guard lock(in.mutex);
  BAVN_CHECK(in.refresh());
  return in.made.list;
}

Result<Kept> NodeBlocks::file(std::string_view file) {
  Inner& in = *inner_;
  const auto known = exports::files();
  const auto found = std::ranges::find(known, file, [](const exports::FoundFile& f) { return f.file.name; });
  if (found == known.end()) {
    // The refusal with the nearest name.
    const auto none = exports::write(file, {}, {});
    return std::unexpected(none ? Error{Code::not_found, "there is no such list", ""} : none.error());
  }
  const std::lock_guard lock(in.mutex);
  auto made = in.write(*found);
  if (made) return made;
  log::error("list_not_written", {{"list", file}, {"reason", to_string(made.error())}});
  BAVN_TRY(auto kept, in.state.read([&](store::Reader& r) {
    return r.one<KeptRow>("SELECT body, content_type, etag, made_us FROM node_list_kept WHERE file = :f",
                          {{"f", file}});
  }));
  if (!kept) return made;
  Kept old;
  old.body = std::move(kept->body.bytes);
  old.content_type = std::move(kept->content_type);
  old.etag = std::move(kept->etag);
  old.made = from_micros(kept->made_us);
  old.stale = true;
  old.trouble = to_string(made.error());
  return old;
}

Result<std::string> NodeBlocks::issue_token(std::string_view by, std::string_view file, std::string_view device) {
  BAVN_TRY(const std::string who, person(by));
  const auto known = exports::files();
  if (std::ranges::find(known, file, [](const exports::FoundFile& f) { return f.file.name; }) == known.end()) {
    const auto none = exports::write(file, {}, {});
    return std::unexpected(none ? Error{Code::not_found, "there is no such list", ""} : none.error());
  }
  std::string secret(32, '\0');
  random_bytes(secret);
  const std::string token = std::string(kTokenStart) + to_base64url(secret);
  BAVN_CHECK(inner_->state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto n, tx.number("SELECT count(*) FROM node_list_token WHERE revoked_at_us = 0"));
    if (n >= static_cast<std::int64_t>(kMostTokens))
      return fail(Code::conflict, fmt::format("there are {} tokens: revoke some", n));
    BAVN_CHECK(tx.exec(
        "INSERT INTO node_list_token (list, hash, name, made_by, made_at_us, revoked_at_us, used_at_us) VALUES (:l, "
        ":h, :n, "
        ":w, :now, 0, 0)",
        {{"l", file}, {"h", to_hex(blake2b256(token))}, {"n", clean(device, 100)}, {"w", who}, {"now", tx.now()}}));
    std::string detail;
    JsonWriter(detail).object().member("list", file).member("device", clean(device, 100)).end();
    return tx.audit({who, "list_token.issued", std::to_string(tx.last_id()), detail});
  }));
  return token;
}

Result<void> NodeBlocks::revoke_token(std::string_view by, std::int64_t id) {
  BAVN_TRY(const std::string who, person(by));
  return inner_->state.write_now([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(const auto n,
             tx.exec("UPDATE node_list_token SET revoked_at_us = :now WHERE id = :id AND revoked_at_us = 0",
                     {{"now", tx.now()}, {"id", id}}));
    if (n == 0) return fail(Code::not_found, fmt::format("there is no valid token {}", id));
    return tx.audit({who, "list_token.revoked", std::to_string(id), "{}"});
  });
}

Result<std::vector<ListToken>> NodeBlocks::tokens() const {
  return inner_->state.read([](store::Reader& r) {
    return r.all<ListToken>(
        "SELECT id, list, '' AS hash, name, made_by, made_at_us, revoked_at_us, used_at_us FROM node_list_token ORDER "
        "BY id");
  });
}

Result<void> NodeBlocks::may_fetch(std::string_view token, std::string_view file) {
  if (!token.starts_with(kTokenStart) || token.size() > 100)
    return fail(Code::not_found, "a token of this list is wanted");
  Inner& in = *inner_;
  // Found by its hash: how long that takes says nothing about a token.
  const std::string hash = to_hex(blake2b256(token));
  BAVN_TRY(const auto row, in.state.read([&](store::Reader& r) {
    return r.one<TokenRow>("SELECT id, list, revoked_at_us, used_at_us FROM node_list_token WHERE hash = :h",
                           {{"h", hash}});
  }));
  if (!row || row->revoked_at_us != 0) return fail(Code::forbidden, "the token is unknown or was revoked");
  if (row->list != file) return fail(Code::forbidden, "this token is of another list");
  BAVN_TRY(const auto fresh, in.state.read([&](store::Reader& r) { return campaigns_since(r, row->used_at_us); }));
  if (const Instant now = in.runtime.now(); !fresh.empty() || now - from_micros(row->used_at_us) > kUseNoted)
    in.state.write([id = row->id, used = row->used_at_us](store::Tx& tx) -> Result<void> {
      BAVN_TRY(const auto campaigns, campaigns_since(tx, used));  // those whose entries the device has only now
      BAVN_CHECK(
          tx.exec("UPDATE node_list_token SET used_at_us = :now WHERE id = :id", {{"now", tx.now()}, {"id", id}}));
      for (const std::string& campaign : campaigns) BAVN_CHECK(tx.emit("block.fetched", campaign));
      return {};
    });
  return {};
}

}  // namespace bavn::warn::blocks
