#include "correlate/digests.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

#include "base/content.hpp"
#include "base/guarded.hpp"
#include "base/json_writer.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "event/domain.hpp"
#include "event/masked.hpp"
#include "event/observable.hpp"
#include "net/json_views.hpp"

namespace bavn::correlate {

namespace {

constexpr std::int64_t kDay = 86'400'000'000;
constexpr std::string_view kRevealTimer = "digests.reveal", kHarmlessTimer = "digests.harmless";
constexpr std::size_t kItems = 500, kEpochs = 3, kSupport = 60, kSigns = 16, kSenderDomains = 8, kHarmless = 2'000;
constexpr std::int64_t kSupportOfGroup = 120, kSignsOfGroup = 64, kSeenOfGroup = 200;
constexpr std::int64_t kMostAsked = 10;   // municipalities that are asked about one thing
constexpr std::int64_t kJoinsADay = 500;  // groups that one node may make one in a day
constexpr std::int64_t kLate = 7 * kDay;  // an item cannot be from before
constexpr Duration kHarmlessWait = std::chrono::minutes(10);
constexpr std::int64_t kHarmlessAge = 13 * kDay;  // fourteen days, less what clocks and days cut off
constexpr std::int64_t kHarmlessKeeps = 90 * kDay;

constexpr Setting kSettings[] = {
    {"digests.hub_per_day",
     Unit::none,
     std::int64_t{25'000},
     {1'000, 1'000'000},
     "Digests that are taken from one node in a day; a node sends at most 20,000, so more is a flood.",
     Restart::yes},
    {"digests.reveal_from",
     Unit::none,
     std::int64_t{3},
     {1, 10},
     "Municipalities that are asked at once what a digest is: one may be asleep or wrong, three rarely are.",
     Restart::yes},
    {"digests.reveal_minutes",
     Unit::minutes,
     std::int64_t{15},
     {5, 120},
     "How long the hub waits for an answer before it asks others: nodes that ask a person count no answer as no after "
     "ten.",
     Restart::yes},
    {"digests.window_hours",
     Unit::hours,
     std::int64_t{6},
     {1, 48},
     "How far apart municipalities may see a thing to have seen it together.",
     Restart::yes},
    {"digests.harmless_municipalities",
     Unit::none,
     std::int64_t{5},
     {2, 98},
     "So many municipalities must have learnt a bulk sender as harmless before others take their word.",
     Restart::yes},
};

bool is_hex(std::string_view s, std::size_t size) {
  return s.size() == size &&
         std::all_of(s.begin(), s.end(), [](char c) { return ascii_digit(c) || (c >= 'a' && c <= 'f'); });
}
bool is_word(std::string_view s) {
  return !s.empty() && s.size() <= 40 &&
         std::all_of(s.begin(), s.end(), [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; });
}
bool is_sign_group(std::string_view s) {
  return s == "identity" || s == "payload" || s == "harm" || s == "intelligence";
}

struct GroupRow {
  std::int64_t id = 0, first_us = 0, last_us = 0;
  std::string kind, reveal, reason;
};
BOOST_DESCRIBE_STRUCT(GroupRow, (), (id, first_us, last_us, kind, reveal, reason))
constexpr std::string_view kGroup =
    "SELECT id, first_us, last_us, kind, reveal, reason FROM hub_digest_group WHERE id = :id";

struct SeenRow {
  std::int64_t municipality = 0, first_us = 0, mails = 0;
};
BOOST_DESCRIBE_STRUCT(SeenRow, (), (municipality, first_us, mails))
struct SignRow {
  std::int64_t municipality = 0, at_us = 0;
  std::string sign_group, kind;
};
BOOST_DESCRIBE_STRUCT(SignRow, (), (municipality, at_us, sign_group, kind))
struct ShownRow {
  std::string scheme, host, path, file_name, sha256;
  std::int64_t told = 0;
};
BOOST_DESCRIBE_STRUCT(ShownRow, (), (scheme, host, path, file_name, sha256, told))
struct AskRow {
  std::string request, digest, state;
  std::int64_t grp = 0, municipality = 0;
};
BOOST_DESCRIBE_STRUCT(AskRow, (), (request, digest, state, grp, municipality))
struct ToAskRow {
  std::int64_t municipality = 0, epoch = 0;
  std::string digest;
};
BOOST_DESCRIBE_STRUCT(ToAskRow, (), (municipality, epoch, digest))
struct DigestRow {
  std::string digest;
  std::int64_t grp = 0, epoch = 0;
};
BOOST_DESCRIBE_STRUCT(DigestRow, (), (digest, grp, epoch))
struct DayRow {
  std::int64_t items = 0, dropped = 0, joins = 0;
};
BOOST_DESCRIBE_STRUCT(DayRow, (), (items, dropped, joins))
struct HarmlessRow {
  std::string domain;
  std::int64_t since_us = 0, municipalities = 0;
};
BOOST_DESCRIBE_STRUCT(HarmlessRow, (), (domain, since_us, municipalities))
struct ListRow {
  std::int64_t version = 0, waiting = 0;
  std::string domains;
};
BOOST_DESCRIBE_STRUCT(ListRow, (), (version, waiting, domains))

/// Tables whose rows belong to a group.
constexpr std::array kOfGroup = {"hub_digest",         "hub_digest_seen", "hub_digest_sender", "hub_digest_sign",
                                 "hub_digest_support", "hub_digest_ask",  "hub_digest_shown",  "hub_digest_alias"};

std::optional<std::int64_t> number_of(std::string_view text) {
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n < 1) return std::nullopt;
  return n;
}

/// The group's id now: it may have become one with another since.
Result<std::optional<std::int64_t>> alive(store::Reader& db, std::string_view group) {
  const auto id = number_of(group);
  if (!id) return std::optional<std::int64_t>();
  BAVN_TRY(const auto alias, db.one<std::int64_t>("SELECT grp FROM hub_digest_alias WHERE id = :id", {{"id", *id}}));
  return alias ? alias : id;
}

/// What most municipalities say; empty when two things are said as often.
Result<std::optional<GroupRevealed>> agreed(store::Reader& db, std::int64_t id, bool& disputed) {
  BAVN_TRY(const auto rows,
           db.all<ShownRow>(
               "SELECT scheme, host, path, file_name, sha256, count(*) AS told FROM hub_digest_shown WHERE "
               "grp = :id GROUP BY scheme, host, path, file_name, sha256 ORDER BY told DESC, min(at_us) LIMIT 2",
               {{"id", id}}));
  disputed = rows.size() > 1;
  if (rows.empty() || (rows.size() > 1 && rows[0].told == rows[1].told)) return std::optional<GroupRevealed>();
  return std::optional(GroupRevealed{rows[0].scheme, rows[0].host, rows[0].path, rows[0].file_name, rows[0].sha256});
}

Result<void> check(const event::DigestBatch& b) {
  const auto bad = [](std::string_view what) {
    return fail(Code::bad_input, fmt::format("a batch of digests {}", what));
  };
  if (b.epochs.empty() || b.epochs.size() > kEpochs) return bad("has no epoch, or more than can overlap");
  for (std::size_t i = 0; i < b.epochs.size(); ++i)
    if (b.epochs[i] < 1 || (i > 0 && b.epochs[i] <= b.epochs[i - 1])) return bad("names epochs that are not in order");
  if (b.items.size() > kItems || b.left_out < 0) return bad("has more items than a batch may have");
  for (const auto& item : b.items) {
    if (item.digests.size() != b.epochs.size()) return bad("has an item without one digest for each epoch");
    std::set<std::string_view> different;
    for (const auto& d : item.digests)
      if (!is_hex(d, 32) || !different.insert(d).second)
        return bad("has a digest that is not 32 hex digits, or the same for two epochs");
    if (item.kind != "url" && item.kind != "attachment") return bad("has an item of an unknown kind");
    if (item.mails < 1 || item.mails > 1'000'000) return bad("has an item with a count of mails that cannot be");
    if (item.sender_domain.size() > 255 || item.support.size() > kSupport || item.signs.size() > kSigns)
      return bad("has an item with more of something than can be");
    for (const auto& s : item.support)
      if (!is_hex(s, 32)) return bad("has a supporting digest that is not 32 hex digits");
    for (const auto& s : item.signs)
      if (!is_sign_group(s.group) || !is_word(s.kind)) return bad("has a sign of an unknown group or kind");
  }
  return {};
}

}  // namespace

std::span<const Setting> digest_settings() {
  return kSettings;
}

DigestBookOptions DigestBookOptions::from(const Settings& s) {
  DigestBookOptions o;
  o.per_day = s.integer("digests.hub_per_day");
  o.reveal_from = s.integer("digests.reveal_from");
  o.reveal_wait = s.duration("digests.reveal_minutes");
  o.window = s.duration("digests.window_hours");
  o.harmless_municipalities = s.integer("digests.harmless_municipalities");
  return o;
}

struct DigestBook::Inner {
  Runtime& runtime;
  const Members& members;
  Down down;
  Spread spread;
  DigestBookOptions options;
  Metrics& metrics;
  std::set<std::string, std::less<>> never_harmless;  // free mail, hosts of many strangers
  mutable Guarded<std::map<std::string, std::uint64_t>> refused;

  void count(std::string_view why, std::uint64_t n = 1) const {
    metrics.counter("digests_refused", fmt::format("reason={}", why)).add(n);
    refused.with([&](auto& r) { r[std::string(why)] += n; });
  }

  Result<std::vector<Group>> take_batch(store::Tx& tx, const Report& report);
  Result<std::optional<std::int64_t>> take_item(store::Tx& tx, const Report& report, const event::DigestBatch& batch,
                                                const event::DigestItem& item, Instant received, DayRow& day);
  Result<std::optional<std::int64_t>> find_or_join(store::Tx& tx, const event::DigestBatch& batch,
                                                   const event::DigestItem& item, std::int64_t at, DayRow& day);
  Result<bool> join(store::Tx& tx, std::int64_t into, std::int64_t from);
  Result<std::vector<Group>> take_revealed(store::Tx& tx, const Report& report);
  Result<void> ask(store::Tx& tx, std::int64_t id, std::string_view reason, std::int64_t how_many);
  Result<std::optional<Group>> read(store::Reader& db, std::int64_t id) const;
  Result<void> publish_harmless(store::Tx& tx);
};

DigestBook::DigestBook(std::unique_ptr<Inner> inner) : inner_(std::move(inner)) {}
DigestBook::~DigestBook() = default;

Result<std::unique_ptr<DigestBook>> DigestBook::open(Runtime& runtime, store::State& state, const Members& members,
                                                     Down down, Spread spread, DigestBookOptions options,
                                                     Metrics& metrics) {
  auto inner =
      std::unique_ptr<Inner>(new Inner{runtime, members, std::move(down), std::move(spread), options, metrics, {}, {}});
  for (const std::string_view file : {"content/never_block/free_mail.txt", "content/never_block/shared_hosts.txt",
                                      "content/never_block/suffixes.txt"})
    for (const auto line : split(content::file(file).value_or(std::string_view()), '\n'))
      if (const auto name = trim(line.substr(0, line.find_first_of("#/"))); !name.empty())
        inner->never_harmless.insert(to_lower(name));
  Inner* in = inner.get();
  // nobody, or not enough of them, answered: others are asked
  state.on_timer_tx(std::string(kRevealTimer), [in](store::Tx& tx, const store::Timer& timer) -> Result<void> {
    BAVN_TRY(const auto id, alive(tx, timer.subject));
    if (!id) return {};
    BAVN_TRY(const auto row, tx.one<GroupRow>(kGroup, {{"id", *id}}));
    if (!row || (row->reveal != "asked" && row->reveal != "disputed")) return {};
    return in->ask(tx, *id, row->reason, in->options.reveal_from);
  });
  state.on_timer_tx(std::string(kHarmlessTimer),
                    [in](store::Tx& tx, const store::Timer&) { return in->publish_harmless(tx); });
  return std::unique_ptr<DigestBook>(new DigestBook(std::move(inner)));
}

std::map<std::string, std::uint64_t> DigestBook::refusals() const {
  return inner_->refused.with([](const auto& r) { return r; });
}

Result<std::vector<Group>> DigestBook::take(store::Tx& tx, const Report& report) {
  if (report.kind == "digest") return inner_->take_batch(tx, report);
  if (report.kind == "revealed") return inner_->take_revealed(tx, report);
  return fail(Code::bad_input, fmt::format("the book of digests does not take \"{}\"", report.kind));
}

// ---- batches ----------------------------------------------------------------------------------------------------------------------------

Result<std::vector<Group>> DigestBook::Inner::take_batch(store::Tx& tx, const Report& report) {
  auto batch = net::from_json<event::DigestBatch>(report.body, net::Unknown::ignore);
  auto good = batch ? check(*batch) : std::unexpected(batch.error());
  if (!good) {
    count("digest/form");
    return std::unexpected(std::move(good.error()));
  }
  const Instant received = report.received == Instant{} ? tx.now() : report.received;
  const std::int64_t today = micros(received) / kDay;
  BAVN_TRY(auto found,
           tx.one<DayRow>("SELECT items, dropped, joins FROM hub_digest_day WHERE node = :node AND day = :day",
                          {{"node", report.node}, {"day", today}}));
  DayRow day = found.value_or(DayRow{});
  const bool flooded = day.dropped > 0;
  std::set<std::int64_t> touched;
  for (const auto& item : batch->items) {
    if (day.items >= options.per_day) {
      ++day.dropped;
      continue;
    }
    ++day.items;
    BAVN_TRY(const auto group, take_item(tx, report, *batch, item, received, day));
    if (group) touched.insert(*group);
  }
  BAVN_CHECK(tx.exec(
      "INSERT INTO hub_digest_day (node, day, items, dropped, joins) VALUES (:node, :day, :items, :dropped, :joins) ON "
      "CONFLICT (node, day) DO UPDATE SET items = :items, dropped = :dropped, joins = :joins",
      {{"node", report.node}, {"day", today}, {"items", day.items}, {"dropped", day.dropped}, {"joins", day.joins}}));
  if (!found) BAVN_CHECK(tx.exec("DELETE FROM hub_digest_day WHERE day < :old", {{"old", today - 90}}));
  if (day.dropped > 0) {
    count("digest/flood", static_cast<std::uint64_t>(day.dropped - (found ? found->dropped : 0)));
    if (!flooded) BAVN_CHECK(tx.emit("digest.flood", report.node, "{}", report.municipality));
  }
  std::vector<Group> groups;
  for (const auto id : touched) {
    BAVN_TRY(auto group, read(tx, id));
    if (group && (group->seen.size() > 1 || !group->signs.empty() || group->revealed))
      groups.push_back(std::move(*group));
  }
  return groups;
}

Result<bool> DigestBook::Inner::join(store::Tx& tx, std::int64_t into, std::int64_t from) {
  // one thing has one digest in an epoch: two that both have one are two things, whatever a node says
  BAVN_TRY(const auto both,
           tx.number("SELECT count(*) FROM hub_digest a JOIN hub_digest b ON a.epoch = b.epoch WHERE a.grp = :into AND "
                     "b.grp = :from",
                     {{"into", into}, {"from", from}}));
  BAVN_TRY(const auto kinds, tx.number("SELECT count(DISTINCT kind) FROM hub_digest_group WHERE id IN (:into, :from)",
                                       {{"into", into}, {"from", from}}));
  if (both > 0 || kinds != 1) {
    count("digest/join");
    return false;
  }
  const auto run = [&](std::string_view sql) { return tx.exec(sql, {{"into", into}, {"from", from}}); };
  BAVN_CHECK(run("UPDATE hub_digest SET grp = :into WHERE grp = :from"));
  BAVN_CHECK(
      run("INSERT INTO hub_digest_seen (grp, municipality, node, first_us, last_us, mails, epoch) SELECT :into, "
          "municipality, node, "
          "first_us, last_us, mails, epoch FROM hub_digest_seen WHERE grp = :from ON CONFLICT (grp, municipality) DO "
          "UPDATE SET "
          "first_us = min(first_us, excluded.first_us), last_us = max(last_us, excluded.last_us), mails = max(mails, "
          "excluded.mails), epoch = max(epoch, excluded.epoch)"));
  BAVN_CHECK(
      run("INSERT OR IGNORE INTO hub_digest_sender SELECT :into, domain, municipality FROM hub_digest_sender WHERE grp "
          "= :from"));
  BAVN_CHECK(
      run("INSERT OR IGNORE INTO hub_digest_sign SELECT :into, municipality, sign_group, kind, at_us FROM "
          "hub_digest_sign WHERE grp "
          "= :from"));
  BAVN_CHECK(
      run("INSERT OR IGNORE INTO hub_digest_support SELECT :into, support FROM hub_digest_support WHERE grp = :from"));
  BAVN_CHECK(
      run("INSERT OR IGNORE INTO hub_digest_shown SELECT :into, municipality, scheme, host, path, file_name, sha256, "
          "at_us FROM "
          "hub_digest_shown WHERE grp = :from"));
  BAVN_CHECK(run("UPDATE OR IGNORE hub_digest_ask SET grp = :into WHERE grp = :from"));
  BAVN_CHECK(run("UPDATE hub_digest_alias SET grp = :into WHERE grp = :from"));
  BAVN_CHECK(run(
      "UPDATE hub_digest_group SET first_us = min(first_us, (SELECT first_us FROM hub_digest_group WHERE id = :from)), "
      "last_us "
      "= max(last_us, (SELECT last_us FROM hub_digest_group WHERE id = :from)), reason = CASE reveal WHEN '' THEN "
      "(SELECT reason "
      "FROM hub_digest_group WHERE id = :from) ELSE reason END, reveal = CASE reveal WHEN '' THEN (SELECT reveal FROM "
      "hub_digest_group WHERE id = :from) ELSE reveal END WHERE id = :into"));
  for (const std::string_view table : {"hub_digest_seen", "hub_digest_sender", "hub_digest_sign", "hub_digest_support",
                                       "hub_digest_shown", "hub_digest_ask"})
    BAVN_CHECK(tx.exec(fmt::format("DELETE FROM {} WHERE grp = :from", table), {{"from", from}}));
  BAVN_CHECK(tx.exec("DELETE FROM hub_digest_group WHERE id = :from", {{"from", from}}));
  BAVN_CHECK(run("INSERT INTO hub_digest_alias (id, grp) VALUES (:from, :into)"));
  return true;
}

Result<std::optional<std::int64_t>> DigestBook::Inner::find_or_join(store::Tx& tx, const event::DigestBatch& batch,
                                                                    const event::DigestItem& item, std::int64_t at,
                                                                    DayRow& day) {
  std::vector<std::int64_t> groups;
  std::vector<std::size_t> unknown;
  for (std::size_t i = 0; i < item.digests.size(); ++i) {
    BAVN_TRY(const auto row, tx.one<DigestRow>("SELECT digest, grp, epoch FROM hub_digest WHERE digest = :digest",
                                               {{"digest", item.digests[i]}}));
    if (!row) {
      unknown.push_back(i);
    } else if (row->epoch != batch.epochs[i]) {
      count("digest/epoch");
      return std::optional<std::int64_t>();
    } else if (std::find(groups.begin(), groups.end(), row->grp) == groups.end()) {
      groups.push_back(row->grp);
    }
  }
  std::sort(groups.begin(), groups.end());
  std::int64_t id = 0;
  if (groups.empty()) {
    BAVN_CHECK(tx.exec(
        "INSERT INTO hub_digest_group (kind, first_us, last_us, reveal, reason) VALUES (:kind, :at, :at, '', '')",
        {{"kind", item.kind}, {"at", at}}));
    id = tx.last_id();
  } else {
    id = groups.front();
    BAVN_TRY(const auto row, tx.one<GroupRow>(kGroup, {{"id", id}}));
    if (!row || row->kind != item.kind) {
      count("digest/kind");
      return std::optional<std::int64_t>();
    }
    for (std::size_t i = 1; i < groups.size(); ++i) {
      if (day.joins >= kJoinsADay) {
        count("digest/join");
        break;
      }
      BAVN_TRY(const bool joined, join(tx, id, groups[i]));
      day.joins += joined ? 1 : 0;
    }
  }
  for (const auto i : unknown) {
    BAVN_TRY(const auto rows,
             tx.exec("INSERT OR IGNORE INTO hub_digest (digest, grp, epoch) VALUES (:digest, :grp, :epoch)",
                     {{"digest", item.digests[i]}, {"grp", id}, {"epoch", batch.epochs[i]}}));
    if (rows == 0) count("digest/join");  // this group has another digest in that epoch
  }
  return std::optional(id);
}

Result<std::optional<std::int64_t>> DigestBook::Inner::take_item(store::Tx& tx, const Report& report,
                                                                 const event::DigestBatch& batch,
                                                                 const event::DigestItem& item, Instant received,
                                                                 DayRow& day) {
  const std::int64_t now = micros(received);
  const std::int64_t at = std::clamp(item.first_us, now - kLate, now);
  BAVN_TRY(const auto id, find_or_join(tx, batch, item, at, day));
  if (!id) return id;
  BAVN_TRY(const auto again, tx.number("SELECT count(*) FROM hub_digest_seen WHERE grp = :grp AND municipality = :m",
                                       {{"grp", *id}, {"m", report.municipality}}));
  const std::int64_t last = again > 0 ? now : at;
  BAVN_CHECK(tx.exec(
      "INSERT INTO hub_digest_seen (grp, municipality, node, first_us, last_us, mails, epoch) VALUES (:grp, :m, :node, "
      ":at, "
      ":last, :mails, :epoch) ON CONFLICT (grp, municipality) DO UPDATE SET last_us = max(last_us, :last), mails = "
      "max(mails, :mails), epoch = max(epoch, :epoch)",
      {{"grp", *id},
       {"m", report.municipality},
       {"node", report.node},
       {"at", at},
       {"last", last},
       {"mails", item.mails},
       {"epoch", batch.epochs.back()}}));
  BAVN_CHECK(tx.exec(
      "UPDATE hub_digest_group SET first_us = min(first_us, :at), last_us = max(last_us, :last) WHERE id = :grp",
      {{"grp", *id}, {"at", at}, {"last", last}}));
  if (!item.sender_domain.empty()) {
    const auto domain = event::canonical(event::Kind::mail_domain, item.sender_domain);
    if (domain && members.of_domain(domain->value)) {
      BAVN_CHECK(tx.exec(
          "INSERT OR IGNORE INTO hub_digest_sender (grp, domain, municipality) SELECT :grp, :domain, :m WHERE (SELECT "
          "count(*) FROM hub_digest_sender WHERE grp = :grp AND municipality = :m) < :most",
          {{"grp", *id},
           {"domain", domain->value},
           {"m", report.municipality},
           {"most", std::int64_t{kSenderDomains}}}));
    } else {
      count("digest/sender");
    }
  }
  for (const auto& s : item.signs)
    BAVN_CHECK(
        tx.exec("INSERT INTO hub_digest_sign (grp, municipality, sign_group, kind, at_us) VALUES (:grp, :m, :group, "
                ":kind, :at) ON "
                "CONFLICT (grp, municipality, sign_group, kind) DO NOTHING",
                {{"grp", *id},
                 {"m", report.municipality},
                 {"group", s.group},
                 {"kind", s.kind},
                 {"at", std::clamp(s.at_us, now - kLate, now)}}));
  for (const auto& s : item.support)
    BAVN_CHECK(tx.exec(
        "INSERT OR IGNORE INTO hub_digest_support (grp, support) SELECT :grp, :support WHERE (SELECT count(*) FROM "
        "hub_digest_support WHERE grp = :grp) < :most",
        {{"grp", *id}, {"support", s}, {"most", kSupportOfGroup}}));
  // who was asked before this municipality came could not tell: it is asked now
  if (again == 0) {
    BAVN_TRY(const auto row, tx.one<GroupRow>(kGroup, {{"id", *id}}));
    if (row && row->reveal == "unanswered") BAVN_CHECK(ask(tx, *id, row->reason, 1));
  }
  return id;
}

Result<std::optional<Group>> DigestBook::Inner::read(store::Reader& db, std::int64_t id) const {
  BAVN_TRY(auto row, db.one<GroupRow>(kGroup, {{"id", id}}));
  if (!row) return std::optional<Group>();
  Group g{.id = std::to_string(id),
          .kind = std::move(row->kind),
          .first_us = row->first_us,
          .last_us = row->last_us,
          .seen = {},
          .sender_domains = {},
          .signs = {},
          .revealed = {}};
  const std::int64_t since =
      row->last_us - std::chrono::duration_cast<std::chrono::microseconds>(options.window).count();
  BAVN_TRY(
      const auto seen,
      db.all<SeenRow>("SELECT municipality, first_us, mails FROM hub_digest_seen WHERE grp = :id AND last_us >= :since "
                      "ORDER BY first_us, municipality LIMIT :most",
                      {{"id", id}, {"since", since}, {"most", kSeenOfGroup}}));
  for (const auto& s : seen)
    g.seen.push_back({MunicipalityId{static_cast<std::uint16_t>(s.municipality)}, s.first_us, s.mails});
  BAVN_TRY(g.sender_domains,
           db.all<std::string>("SELECT domain FROM hub_digest_sender WHERE grp = :id GROUP BY domain ORDER BY count(*) "
                               "DESC, domain LIMIT 50",
                               {{"id", id}}));
  BAVN_TRY(const auto signs,
           db.all<SignRow>("SELECT municipality, at_us, sign_group, kind FROM hub_digest_sign WHERE grp = :id ORDER BY "
                           "at_us, municipality, kind LIMIT :most",
                           {{"id", id}, {"most", kSignsOfGroup}}));
  for (const auto& s : signs)
    g.signs.push_back(
        {{s.sign_group, s.kind, s.at_us, {}}, MunicipalityId{static_cast<std::uint16_t>(s.municipality)}});
  bool disputed = false;
  BAVN_TRY(g.revealed, agreed(db, id, disputed));
  return std::optional(std::move(g));
}

Result<std::optional<Group>> DigestBook::group(store::Reader& db, const std::string& id) const {
  BAVN_TRY(const auto now, alive(db, id));
  if (!now) return std::optional<Group>();
  return inner_->read(db, *now);
}

Result<std::optional<Group>> DigestBook::group_of(store::Tx& tx, const std::string& digest) {
  if (!is_hex(digest, 32)) return std::optional<Group>();
  BAVN_TRY(const auto id,
           tx.one<std::int64_t>("SELECT grp FROM hub_digest WHERE digest = :digest", {{"digest", digest}}));
  if (!id) return std::optional<Group>();
  return inner_->read(tx, *id);
}

Result<std::vector<std::string>> DigestBook::related(store::Reader& db, const std::string& group,
                                                     std::int64_t limit) const {
  std::vector<std::string> out;
  BAVN_TRY(const auto id, alive(db, group));
  if (!id) return out;
  BAVN_TRY(const auto ids,
           db.all<std::int64_t>(
               "SELECT b.grp FROM hub_digest_support a JOIN hub_digest_support b ON a.support = b.support "
               "AND b.grp <> a.grp WHERE a.grp = :id GROUP BY b.grp ORDER BY count(*) DESC, b.grp LIMIT :limit",
               {{"id", *id}, {"limit", limit}}));
  for (const auto i : ids) out.push_back(std::to_string(i));
  return out;
}

Result<std::optional<Instant>> DigestBook::host_first_seen(store::Reader& db, std::string_view host) const {
  return db.one<Instant>("SELECT first_us FROM hub_digest_host WHERE host = :host", {{"host", host}});
}

// ---- reveals ----------------------------------------------------------------------------------------------------------------------------

Result<void> DigestBook::want_reveal(store::Tx& tx, const std::string& group, std::string_view reason) {
  BAVN_TRY(const auto id, alive(tx, group));
  if (!id) return fail(Code::not_found, "there is no such group of digests", group);
  BAVN_TRY(const auto row, tx.one<GroupRow>(kGroup, {{"id", *id}}));
  if (!row) return fail(Code::not_found, "there is no such group of digests", group);
  if (!row->reveal.empty()) return {};
  return inner_->ask(tx, *id, is_word(reason) ? reason : "candidate", inner_->options.reveal_from);
}

Result<void> DigestBook::Inner::ask(store::Tx& tx, std::int64_t id, std::string_view reason, std::int64_t how_many) {
  BAVN_TRY(const auto asked, tx.number("SELECT count(*) FROM hub_digest_ask WHERE grp = :id", {{"id", id}}));
  BAVN_TRY(
      const auto next,
      tx.all<ToAskRow>("SELECT s.municipality, d.epoch, d.digest FROM hub_digest_seen s JOIN hub_digest d ON d.grp = "
                       "s.grp AND d.epoch = s.epoch WHERE s.grp = :id AND NOT EXISTS (SELECT 1 FROM hub_digest_ask a "
                       "WHERE a.grp = s.grp AND a.municipality = s.municipality) ORDER BY s.first_us, s.municipality "
                       "LIMIT :many",
                       {{"id", id}, {"many", std::clamp<std::int64_t>(kMostAsked - asked, 0, how_many)}}));
  BAVN_TRY(const auto row, tx.one<GroupRow>(kGroup, {{"id", id}}));
  if (!row) return {};
  const Instant until = tx.now() + options.reveal_wait;
  for (const auto& n : next) {
    const event::RevealRequest request{.request = fmt::format("{}-{}", id, n.municipality),
                                       .digest = n.digest,
                                       .reason = std::string(reason),
                                       .epoch = n.epoch,
                                       .until_us = micros(until)};
    BAVN_CHECK(
        tx.exec("INSERT INTO hub_digest_ask (request, grp, municipality, digest, asked_us, until_us, state, "
                "answered_us) VALUES "
                "(:request, :grp, :m, :digest, :now, :until, 'open', 0)",
                {{"request", request.request},
                 {"grp", id},
                 {"m", n.municipality},
                 {"digest", n.digest},
                 {"now", tx.now()},
                 {"until", until}}));
    BAVN_CHECK(down(tx, MunicipalityId{static_cast<std::uint16_t>(n.municipality)}, "reveal", net::to_json(request)));
  }
  const bool disputed = row->reveal == "disputed";
  const std::string_view state = disputed ? "disputed" : next.empty() ? "unanswered" : "asked";
  BAVN_CHECK(tx.exec("UPDATE hub_digest_group SET reveal = :state, reason = :reason WHERE id = :id",
                     {{"state", state}, {"reason", reason}, {"id", id}}));
  if (next.empty()) return {};
  return tx.set_timer(until, kRevealTimer, std::to_string(id));
}

Result<std::vector<Group>> DigestBook::Inner::take_revealed(store::Tx& tx, const Report& report) {
  const auto refuse = [&](std::string_view why, Error error) {
    count(why);
    return std::unexpected(std::move(error));
  };
  const auto r = net::from_json<event::Revealed>(report.body, net::Unknown::ignore);
  if (!r) return refuse("revealed/form", r.error());
  if (r->request.size() > 80 || !is_hex(r->digest, 32))
    return refuse("revealed/form", {Code::bad_input, "an answer names its request and digest", {}});
  BAVN_TRY(
      const auto ask_row,
      tx.one<AskRow>("SELECT request, digest, state, grp, municipality FROM hub_digest_ask WHERE request = :request",
                     {{"request", r->request}}));
  if (!ask_row || ask_row->municipality != report.municipality.value || ask_row->digest != r->digest)
    return refuse("revealed/unasked", {Code::forbidden, "this municipality was not asked that", {}});
  BAVN_TRY(const auto row, tx.one<GroupRow>(kGroup, {{"id", ask_row->grp}}));
  if (!row) return std::vector<Group>();
  if (ask_row->state == "revealed") return std::vector<Group>();  // said once

  const bool revealed = r->state == "revealed";
  if (!revealed) {
    if (r->state != "declined" && r->state != "asked" && r->state != "gone")
      return refuse("revealed/form", {Code::bad_input, "an answer is revealed, declined, asked or gone", {}});
    BAVN_CHECK(tx.exec("UPDATE hub_digest_ask SET state = :state, answered_us = :now WHERE request = :request",
                       {{"state", r->state}, {"now", tx.now()}, {"request", r->request}}));
    // a no does not make the others wait
    if (r->state != "asked" && row->reveal == "asked") BAVN_CHECK(ask(tx, ask_row->grp, row->reason, 1));
    return std::vector<Group>();
  }
  const auto rule = [&](Result<void> held) -> std::optional<Error> {
    if (held) return std::nullopt;
    return held.error();
  };
  std::optional<Error> broken;
  if (r->kind != row->kind) {
    broken = Error{Code::bad_input, "what is revealed is of another kind than its digest", {}};
  } else if (r->kind == "url") {
    broken = rule(event::check_shown_host(r->host));
    if (!broken) broken = rule(event::check_shown_path(r->path));
    if (!broken && r->scheme != "http" && r->scheme != "ftp" && r->scheme != "ftps" && r->scheme != "sftp")
      broken = Error{Code::bad_input, "a revealed link has a scheme that is not digested", {}};
    if (!broken && (!r->file_name.empty() || !r->sha256.empty()))
      broken = Error{Code::bad_input, "a revealed link has no file", {}};
  } else {
    broken = rule(event::check_shown_file_name(r->file_name));
    if (!broken && !is_hex(r->sha256, 64)) broken = Error{Code::bad_input, "a revealed attachment has a SHA-256", {}};
    if (!broken && (!r->scheme.empty() || !r->host.empty() || !r->path.empty()))
      broken = Error{Code::bad_input, "a revealed attachment has no link", {}};
  }
  if (!broken && r->sender_domains.size() > kSenderDomains)
    broken = Error{Code::bad_input, "more sender domains than can be", {}};
  if (broken) return refuse("revealed/rule", std::move(*broken));

  const std::int64_t id = ask_row->grp;
  BAVN_CHECK(tx.exec("UPDATE hub_digest_ask SET state = 'revealed', answered_us = :now WHERE request = :request",
                     {{"now", tx.now()}, {"request", r->request}}));
  BAVN_CHECK(
      tx.exec("INSERT OR IGNORE INTO hub_digest_shown (grp, municipality, scheme, host, path, file_name, sha256, "
              "at_us) VALUES (:grp, "
              ":m, :scheme, :host, :path, :file, :sha256, :now)",
              {{"grp", id},
               {"m", report.municipality},
               {"scheme", r->scheme},
               {"host", r->host},
               {"path", r->path},
               {"file", r->file_name},
               {"sha256", r->sha256},
               {"now", tx.now()}}));
  for (const auto& d : r->sender_domains) {
    const auto domain = event::canonical(event::Kind::mail_domain, d);
    if (domain && members.of_domain(domain->value)) {
      BAVN_CHECK(
          tx.exec("INSERT OR IGNORE INTO hub_digest_sender (grp, domain, municipality) VALUES (:grp, :domain, :m)",
                  {{"grp", id}, {"domain", domain->value}, {"m", report.municipality}}));
    } else {
      count("revealed/sender");
    }
  }
  bool disputed = false;
  BAVN_TRY(const auto value, agreed(tx, id, disputed));
  BAVN_CHECK(tx.exec("UPDATE hub_digest_group SET reveal = :state WHERE id = :id",
                     {{"state", disputed ? "disputed" : "revealed"}, {"id", id}}));
  if (value && !value->host.empty())
    BAVN_CHECK(
        tx.exec("INSERT INTO hub_digest_host (host, first_us) VALUES (:host, :first) ON CONFLICT (host) DO UPDATE SET "
                "first_us = "
                "min(first_us, :first)",
                {{"host", value->host}, {"first", row->first_us}}));
  BAVN_CHECK(tx.emit(disputed ? "digest.disputed" : "digest.revealed", std::to_string(id), "{}"));
  std::vector<Group> groups;
  BAVN_TRY(auto group, read(tx, id));
  if (group) groups.push_back(std::move(*group));
  return groups;
}

// ---- what is harmless -------------------------------------------------------------------------------------------------------------------

Result<void> DigestBook::take_harmless(store::Tx& tx, const Report& report) {
  const auto list = net::from_json<event::HarmlessList>(report.body, net::Unknown::ignore);
  if (!list || list->domains.size() > kHarmless) {
    inner_->count("harmless/form");
    return list ? fail(Code::bad_input, "more domains than a municipality can have learnt")
                : std::unexpected(list.error());
  }
  const Instant received = report.received == Instant{} ? tx.now() : report.received;
  BAVN_TRY(auto held,
           tx.number("SELECT count(*) FROM hub_harmless WHERE municipality = :m", {{"m", report.municipality}}));
  for (const auto& d : list->domains) {
    const auto domain = event::canonical(event::Kind::mail_domain, d.domain);
    // also of a member's domain or free mail nobody can say that it is harmless
    bool never = !domain || event::registrable_domain(domain->value) != domain->value ||
                 !event::has_known_tld(domain->value) || inner_->members.of_domain(domain->value).has_value() ||
                 d.since_us < 1 || d.since_us > micros(received) - kHarmlessAge;
    if (!never) never = inner_->never_harmless.contains(domain->value) || kind_of_victim(domain->value) == "free mail";
    if (never || held >= static_cast<std::int64_t>(kHarmless)) {
      inner_->count("harmless/domain");
      continue;
    }
    BAVN_TRY(const auto known,
             tx.number("SELECT count(*) FROM hub_harmless WHERE domain = :domain AND municipality = :m",
                       {{"domain", domain->value}, {"m", report.municipality}}));
    held += known == 0 ? 1 : 0;
    BAVN_CHECK(
        tx.exec("INSERT INTO hub_harmless (domain, municipality, since_us, told_us) VALUES (:domain, :m, :since, :now) "
                "ON CONFLICT "
                "(domain, municipality) DO UPDATE SET told_us = :now",
                {{"domain", domain->value}, {"m", report.municipality}, {"since", d.since_us}, {"now", received}}));
  }
  BAVN_CHECK(tx.exec("INSERT OR IGNORE INTO hub_harmless_list (id, version, domains, waiting) VALUES (1, 0, '[]', 0)"));
  BAVN_TRY(const auto first, tx.exec("UPDATE hub_harmless_list SET waiting = 1 WHERE waiting = 0"));
  if (first == 0) return {};
  return tx.set_timer(tx.now() + kHarmlessWait, kHarmlessTimer, "list");
}

Result<event::HarmlessList> DigestBook::harmless(store::Reader& db) const {
  event::HarmlessList list;
  BAVN_TRY(const auto row, db.one<ListRow>("SELECT version, waiting, domains FROM hub_harmless_list WHERE id = 1"));
  if (!row) return list;
  list.version = row->version;
  BAVN_TRY(list.domains, net::from_json<std::vector<event::HarmlessDomain>>(row->domains, net::Unknown::ignore));
  return list;
}

Result<void> DigestBook::Inner::publish_harmless(store::Tx& tx) {
  BAVN_TRY(const auto rows,
           tx.all<HarmlessRow>(
               "SELECT domain, min(since_us) AS since_us, count(*) AS municipalities FROM hub_harmless h WHERE "
               "told_us >= :kept AND NOT EXISTS (SELECT 1 FROM hub_harmless_struck s WHERE s.domain = "
               "h.domain) GROUP BY domain HAVING count(*) >= :enough ORDER BY municipalities DESC, domain "
               "LIMIT :most",
               {{"kept", micros(tx.now()) - kHarmlessKeeps},
                {"enough", options.harmless_municipalities},
                {"most", std::int64_t{kHarmless}}}));
  event::HarmlessList list;
  std::string names, names_before;
  for (const auto& r : rows) {
    list.domains.push_back({r.domain, r.since_us, r.municipalities});
    names += r.domain + " ";
  }
  BAVN_CHECK(tx.exec("INSERT OR IGNORE INTO hub_harmless_list (id, version, domains, waiting) VALUES (1, 0, '[]', 0)"));
  BAVN_TRY(const auto before, tx.one<ListRow>("SELECT version, waiting, domains FROM hub_harmless_list WHERE id = 1"));
  BAVN_TRY(const auto listed,
           net::from_json<std::vector<event::HarmlessDomain>>(before->domains, net::Unknown::ignore));
  std::set<std::string> a, b;
  for (const auto& d : listed) a.insert(d.domain);
  for (const auto& d : list.domains) b.insert(d.domain);
  if (a == b) {  // counts alone are no news
    BAVN_CHECK(tx.exec("UPDATE hub_harmless_list SET waiting = 0 WHERE id = 1"));
    return {};
  }
  list.version = before->version + 1;
  BAVN_CHECK(tx.exec("UPDATE hub_harmless_list SET version = :version, domains = :domains, waiting = 0 WHERE id = 1",
                     {{"version", list.version}, {"domains", net::to_json(list.domains)}}));
  BAVN_CHECK(tx.emit("harmless.changed", std::to_string(list.version)));
  return spread(tx, "all", "harmless", net::to_json(list));
}

Result<void> DigestBook::strike(store::Tx& tx, std::string_view domain, std::string_view who, std::string_view why) {
  const auto known = event::canonical(event::Kind::mail_domain, domain);
  if (!known) return fail(Code::bad_input, "this is no mail domain", std::string(domain));
  BAVN_CHECK(
      tx.exec("INSERT INTO hub_harmless_struck (domain, at_us, who, why) VALUES (:domain, :now, :who, :why) ON "
              "CONFLICT (domain) DO "
              "NOTHING",
              {{"domain", known->value}, {"now", tx.now()}, {"who", who}, {"why", why.substr(0, 500)}}));
  std::string detail;
  JsonWriter(detail).object().member("why", repair_utf8(why.substr(0, 500))).end();
  BAVN_CHECK(tx.audit({std::string(who), "harmless.strike", known->value, detail}));
  return inner_->publish_harmless(tx);
}

std::vector<store::RetentionRule> DigestBook::retention() {
  const auto forget = [](std::string which) {
    return [which = std::move(which)](store::Tx& tx, Instant before) -> Result<std::int64_t> {
      BAVN_TRY(const auto ids, tx.all<std::int64_t>(which, {{"before", before}}));
      for (const auto id : ids)
        for (const std::string_view table : kOfGroup)
          BAVN_CHECK(tx.exec(fmt::format("DELETE FROM {} WHERE grp = :id", table), {{"id", id}}));
      for (const auto id : ids) BAVN_CHECK(tx.exec("DELETE FROM hub_digest_group WHERE id = :id", {{"id", id}}));
      return static_cast<std::int64_t>(ids.size());
    };
  };
  return {{"lone_digests", 7,
           "What one municipality alone saw is nobody's campaign after a week; digests are personal data.",
           forget("SELECT id FROM hub_digest_group g WHERE last_us < :before AND reveal = '' AND (SELECT count(*) FROM "
                  "hub_digest_seen s "
                  "WHERE s.grp = g.id) < 2 ORDER BY last_us LIMIT 2000")},
          {"digest_groups", 90, "A quarter, so that a campaign that comes back is known, and no longer.",
           forget("SELECT id FROM hub_digest_group WHERE last_us < :before ORDER BY last_us LIMIT 2000")},
          store::retention_rule("digest_hosts", 400, "When a host was first seen by anybody in the community.",
                                "DELETE FROM hub_digest_host WHERE rowid IN (SELECT rowid FROM hub_digest_host WHERE "
                                "first_us < :before LIMIT "
                                "10000)"),
          store::retention_rule("harmless", 90,
                                "A bulk sender that nobody has heard from for a quarter is not known any more.",
                                "DELETE FROM hub_harmless WHERE rowid IN (SELECT rowid FROM hub_harmless WHERE told_us "
                                "< :before LIMIT 10000)")};
}

Result<DigestFigures> digest_figures(store::Reader& db, Instant since) {
  DigestFigures f;
  BAVN_TRY(f.groups,
           db.number("SELECT count(*) FROM hub_digest_group WHERE last_us >= :s AND first_us >= :s", {{"s", since}}));
  BAVN_TRY(f.revealed,
           db.number("SELECT count(DISTINCT s.grp) FROM hub_digest_group g JOIN hub_digest_shown s ON s.grp = g.id "
                     "WHERE g.last_us >= :s AND s.at_us >= :s",
                     {{"s", since}}));
  return f;
}

}  // namespace bavn::correlate
