// Which reports are one attack. Each thing two share has points, and enough points make them one:
//   the same sender, the same revealed URL or attachment: enough alone
//   a near-same body: enough alone. A near-same subject ("faktura"), the same host: half, with something else
//   chain: the sender's municipality itself got the other's mails in the days before: half; both accounts taken: the rest; bodies that are
//   known and differ speak against it
//   digests of what a member sent, at the receivers and in the hours of that member's notice: enough
// Everything is found by indexes over the last days; no campaign is looked at that shares nothing.
#include <fmt/format.h>

#include <algorithm>

#include "base/encoding.hpp"
#include "correlate/correlator_inner.hpp"

namespace bavn::correlate {

namespace {

constexpr std::int64_t kEnough = 70, kSame = 100, kBody = 70, kHalf = 40, kBothTaken = 30, kOtherBody = 30,
                       kDigest = 80;
constexpr std::int64_t kMinuteUs = 60'000'000;
constexpr std::int64_t kNearRows = 512;  // of one campaign: 64 hashes

/// 16 hex digits are a simhash; anything else is compared whole.
std::optional<std::uint64_t> simhash_of(std::string_view hex) {
  if (hex.size() != 16) return std::nullopt;
  std::uint64_t v = 0;
  for (const char c : hex) {
    const unsigned digit = c >= 'a' ? static_cast<unsigned>(c - 'a') + 10U : static_cast<unsigned>(c - '0');
    v = v << 4U | digit;
  }
  return v;
}
std::int64_t band_of(std::uint64_t hash, unsigned byte) {
  return static_cast<std::int64_t>(byte * 256 + (hash >> (8 * byte) & 0xffU));
}

struct NearRow {
  std::int64_t campaign = 0, hash = 0;
};
BOOST_DESCRIBE_STRUCT(NearRow, (), (campaign, hash))

struct OtherRow {
  std::string key, kind;
  std::int64_t campaign = 0, first_us = 0, last_us = 0;
};
BOOST_DESCRIBE_STRUCT(OtherRow, (), (key, kind, campaign, first_us, last_us))

std::string host_of(std::string_view url) {
  return std::string(url.substr(0, url.find('/')));
}

}  // namespace

Result<void> change(store::Tx& tx, std::string_view sql, store::Binds binds) {
  auto done = tx.exec(sql, binds);
  if (!done) return std::unexpected(std::move(done.error()));
  return {};
}

Result<std::optional<ThingRow>> Correlator::Inner::thing(store::Tx& tx, std::string_view key) {
  return tx.one<ThingRow>("SELECT " BAVN_THING_COLUMNS " FROM corr_thing WHERE key = :k", {{"k", key}});
}

Result<void> Correlator::Inner::insert_thing(store::Tx& tx, const ThingRow& t) {
  return change(tx,
                "INSERT INTO corr_thing (" BAVN_THING_COLUMNS
                ") VALUES (:key, :kind, :campaign, :municipality, :from, :sender, :first, :last, :noticed, :received, "
                ":mails, :recipients, :outside, :usual, :source, :late, :part, :subject, :body, :about_kind, :about, "
                ":about_name, :second, :withdrawn)",
                {{"key", t.key},
                 {"kind", t.kind},
                 {"campaign", t.campaign},
                 {"municipality", t.municipality},
                 {"from", t.from_municipality},
                 {"sender", t.sender},
                 {"first", t.first_us},
                 {"last", t.last_us},
                 {"noticed", t.noticed_us},
                 {"received", t.received_us},
                 {"mails", t.mails},
                 {"recipients", t.recipients},
                 {"outside", t.outside},
                 {"usual", t.usual},
                 {"source", t.source},
                 {"late", t.late_s},
                 {"part", t.part},
                 {"subject", t.subject_hash},
                 {"body", t.body_hash},
                 {"about_kind", t.about_kind},
                 {"about", t.about},
                 {"about_name", t.about_name},
                 {"second", t.second},
                 {"withdrawn", t.withdrawn}});
}

Result<std::optional<CampaignRow>> Correlator::Inner::campaign(store::Tx& tx, std::int64_t id) {
  return tx.one<CampaignRow>("SELECT " BAVN_CAMPAIGN_COLUMNS " FROM corr_campaign WHERE id = :i", {{"i", id}});
}

Result<CampaignRow> Correlator::Inner::need_campaign(store::Tx& tx, std::int64_t id) {
  for (int hops = 0; hops < 100; ++hops) {
    BAVN_TRY(auto row, campaign(tx, id));
    if (!row) return fail(Code::not_found, fmt::format("there is no campaign {}", id));
    if (row->state != "merged") return std::move(*row);
    id = row->merged_into;
  }
  return fail(Code::corrupt, fmt::format("campaign {} was merged in a circle", id));
}

Result<bool> Correlator::Inner::taken_over(store::Tx& tx, const ThingRow& t, std::int64_t of_campaign) {
  BAVN_TRY(
      const auto kinds,
      of_campaign == 0
          ? tx.all<std::string>("SELECT kind FROM corr_sign WHERE thing = :t AND grp = 'harm' LIMIT 100",
                                {{"t", t.key}})
          : tx.all<std::string>("SELECT DISTINCT s.kind FROM corr_thing t JOIN corr_sign s ON s.thing = t.key WHERE "
                                "t.campaign = :c AND t.kind <> 'group' AND s.grp = 'harm' LIMIT 100",
                                {{"c", of_campaign}}));
  return std::any_of(kinds.begin(), kinds.end(), [](const std::string& k) {
    return event::takeover_sign(k) ||
           std::find(std::begin(kTakeoverKinds), std::end(kTakeoverKinds), k) != std::end(kTakeoverKinds);
  });
}

Result<bool> Correlator::Inner::content_known(store::Tx& tx, std::int64_t id, std::string_view kind) {
  BAVN_TRY(const auto near_rows,
           tx.number("SELECT count(*) FROM (SELECT 1 FROM corr_near WHERE campaign = :c AND kind = "
                     ":k LIMIT 1)",
                     {{"c", id}, {"k", kind}}));
  return near_rows > 0;
}

Result<void> Correlator::Inner::near(store::Tx& tx, const ThingRow& t, std::string_view kind, std::string_view hex,
                                     std::int64_t at_most, std::map<std::int64_t, Found>& found) {
  const std::int64_t since = t.first_us - std::chrono::microseconds(options.campaign_window).count();
  const auto hash = simhash_of(hex);
  const auto note = [&](std::int64_t campaign) {
    Found& f = found[campaign];
    bool& seen = kind == "body" ? f.near_body : f.near_subject;
    if (!std::exchange(seen, true)) f.score += kind == "body" ? kBody : kHalf;
  };
  if (!hash) {
    if (hex.empty()) return {};
    BAVN_TRY(const auto same, tx.all<std::int64_t>("SELECT campaign FROM corr_link WHERE kind = :k AND value = :v AND "
                                                   "at_us >= :s ORDER BY at_us DESC LIMIT 50",
                                                   {{"k", kind}, {"v", hex}, {"s", since}}));
    for (const auto c : same) note(c);
    return {};
  }
  BAVN_TRY(const auto rows,
           tx.all<NearRow>("SELECT campaign, hash FROM corr_near WHERE kind = :k AND band IN (:b0, :b1, :b2, :b3, :b4, "
                           ":b5, :b6, :b7) AND at_us >= :s LIMIT 1000",
                           {{"k", kind},
                            {"b0", band_of(*hash, 0)},
                            {"b1", band_of(*hash, 1)},
                            {"b2", band_of(*hash, 2)},
                            {"b3", band_of(*hash, 3)},
                            {"b4", band_of(*hash, 4)},
                            {"b5", band_of(*hash, 5)},
                            {"b6", band_of(*hash, 6)},
                            {"b7", band_of(*hash, 7)},
                            {"s", since}}));
  for (const auto& row : rows)
    if (__builtin_popcountll(static_cast<std::uint64_t>(row.hash) ^ *hash) <= at_most) note(row.campaign);
  return {};
}

Result<std::map<std::int64_t, Correlator::Inner::Found>> Correlator::Inner::look_alike(
    store::Tx& tx, const ThingRow& t, const std::vector<std::int64_t>& senders) {
  std::map<std::int64_t, Found> found;
  const std::int64_t window = std::chrono::microseconds(options.campaign_window).count();
  const std::int64_t since = t.first_us - window;
  const auto linked = [&](std::string_view kind, std::string_view value, std::int64_t points) -> Result<void> {
    if (value.empty()) return {};
    BAVN_TRY(const auto same, tx.all<std::int64_t>("SELECT campaign FROM corr_link WHERE kind = :k AND value = :v AND "
                                                   "at_us >= :s ORDER BY at_us DESC LIMIT 50",
                                                   {{"k", kind}, {"v", value}, {"s", since}}));
    for (const auto c : same) {
      found[c].score += points;
      if (kind == "sender") found[c].sender = true;
    }
    return {};
  };
  BAVN_CHECK(linked("sender", t.sender, kSame));
  if (!t.about_kind.empty()) {
    BAVN_CHECK(linked(t.about_kind, t.about, kSame));
    if (t.about_kind == "url") BAVN_CHECK(linked("host", host_of(t.about), kHalf));
  }
  BAVN_CHECK(near(tx, t, "subject", t.subject_hash, options.near_subject, found));
  BAVN_CHECK(near(tx, t, "body", t.body_hash, options.near_body, found));

  if (t.kind != "group") {
    BAVN_TRY(
        const auto chain,
        tx.all<std::int64_t>("SELECT DISTINCT t.campaign FROM corr_reach r JOIN corr_thing t ON t.key = r.thing WHERE "
                             "r.municipality = :m AND r.last_us >= :s AND r.first_us <= :f AND t.kind <> 'group' AND "
                             "t.from_municipality <> :m AND t.campaign > 0 LIMIT 50",
                             {{"m", t.from_municipality}, {"s", since}, {"f", t.first_us}}));
    if (!chain.empty()) {
      BAVN_TRY(const bool taken, taken_over(tx, t, 0));
      for (const auto c : chain) {
        Found& f = found[c];
        if (c == t.campaign || std::exchange(f.chain, true) || f.score >= kEnough) continue;
        f.score += kHalf;
        if (taken) {
          BAVN_TRY(const bool both, taken_over(tx, t, c));
          if (both) f.score += kBothTaken;
        }
        if (!t.body_hash.empty() && !f.near_body) {
          BAVN_TRY(const bool known_body, content_known(tx, c, "body"));
          if (known_body) f.score -= kOtherBody;
        }
      }
    }
  }

  // What a member's mailbox sent and what digests say was sent by a member's mailbox, at the same receivers and hours.
  std::vector<std::int64_t> of = senders;
  if (t.kind != "group" && t.from_municipality > 0) of = {t.from_municipality};
  for (const auto m : of) {
    BAVN_TRY(const auto others,
             tx.all<OtherRow>(
                 "SELECT key, kind, campaign, first_us, last_us FROM corr_thing WHERE from_municipality = :m AND "
                 "from_municipality > 0 AND last_us >= :f AND first_us <= :l AND campaign > 0 "
                 "ORDER BY last_us DESC LIMIT 20",
                 {{"m", m}, {"f", t.first_us - 120 * kMinuteUs}, {"l", t.last_us + 120 * kMinuteUs}}));
    for (const auto& other : others) {
      if ((other.kind == "group") == (t.kind == "group") || other.campaign == t.campaign) continue;
      const bool t_is_group = t.kind == "group";
      const std::string& group = t_is_group ? t.key : other.key;
      const std::int64_t group_first = t_is_group ? t.first_us : other.first_us;
      const std::int64_t from = t_is_group ? other.first_us : t.first_us, to = t_is_group ? other.last_us : t.last_us;
      if (group_first < from - 5 * kMinuteUs || group_first > to + 60 * kMinuteUs) continue;
      BAVN_TRY(const auto seen, tx.number("SELECT count(*) FROM corr_reach WHERE thing = :g", {{"g", group}}));
      BAVN_TRY(
          const auto both,
          tx.number(
              "SELECT count(*) FROM corr_reach g WHERE g.thing = :g AND EXISTS (SELECT 1 FROM corr_reach r JOIN "
              "corr_thing t ON t.key = r.thing WHERE r.municipality = g.municipality AND r.thing <> g.thing AND "
              "((:c > 0 AND t.campaign = :c) OR t.key = :k) AND t.kind <> 'group')",
              {{"g", group}, {"c", t_is_group ? other.campaign : t.campaign}, {"k", t_is_group ? other.key : t.key}}));
      if (seen > 0 && 3 * both >= 2 * seen) found[other.campaign].score += kDigest;
    }
  }
  return found;
}

Result<void> Correlator::Inner::add_links(store::Tx& tx, const ThingRow& t) {
  const auto add = [&](std::string_view kind, std::string_view value) -> Result<void> {
    if (value.empty()) return {};
    return change(tx,
                  "INSERT INTO corr_link (kind, value, campaign, at_us) VALUES (:k, :v, :c, :a) "
                  "ON CONFLICT DO UPDATE SET at_us = max(at_us, excluded.at_us)",
                  {{"k", kind}, {"v", value}, {"c", t.campaign}, {"a", t.last_us}});
  };
  BAVN_CHECK(add("sender", t.sender));
  if (!t.about_kind.empty()) {
    BAVN_CHECK(add(t.about_kind, t.about));
    if (t.about_kind == "url") BAVN_CHECK(add("host", host_of(t.about)));
  }
  for (const auto& [kind, hex] : {std::pair<std::string_view, const std::string&>("subject", t.subject_hash),
                                  std::pair<std::string_view, const std::string&>("body", t.body_hash)}) {
    const auto hash = simhash_of(hex);
    if (!hash) {
      BAVN_CHECK(add(kind, hex));
      continue;
    }
    BAVN_TRY(const auto kept, tx.number("SELECT count(*) FROM corr_near WHERE campaign = :c", {{"c", t.campaign}}));
    if (kept >= kNearRows) continue;
    for (unsigned byte = 0; byte < 8; ++byte)
      BAVN_CHECK(change(tx,
                        "INSERT INTO corr_near (kind, band, campaign, hash, at_us) VALUES (:k, :b, :c, :h, :a) "
                        "ON CONFLICT DO UPDATE SET at_us = max(at_us, excluded.at_us)",
                        {{"k", kind},
                         {"b", band_of(*hash, byte)},
                         {"c", t.campaign},
                         {"h", static_cast<std::int64_t>(*hash)},
                         {"a", t.last_us}}));
  }
  return {};
}

Result<std::int64_t> Correlator::Inner::open_campaign(store::Tx& tx, const ThingRow& t, std::string_view cause) {
  BAVN_CHECK(
      change(tx,
             "INSERT INTO corr_campaign (state, cause, trigger, severity, impact, spread, rank, first_us, last_us, "
             "noticed_us, opened_us, active_us, suspicion_us, would_light_us, lit_us, over_us, lit_by, judged, "
             "judged_by, judged_why, judged_us, municipalities, senders, mails, outside, clicks, reporters, things, "
             "told, told_what, merged_into, doubted, sole) VALUES ('candidate', :cause, '', 0, 0, 0, 0, :f, :l, :n, "
             ":o, :o, 0, 0, 0, 0, '', -1, '', '', 0, 0, 0, 0, 0, 0, 0, 0, 0, '', 0, 0, 0)",
             {{"cause", cause}, {"f", t.first_us}, {"l", t.last_us}, {"n", t.noticed_us}, {"o", tx.now()}}));
  const std::int64_t id = tx.last_id();
  BAVN_CHECK(tx.emit("candidate.opened", std::to_string(id), fmt::format(R"({{"cause":"{}"}})", cause)));
  BAVN_CHECK(tx.set_timer(tx.now() + options.quiet, kQuietTimer, std::to_string(id)));
  return id;
}

Result<std::int64_t> Correlator::Inner::assign(store::Tx& tx, ThingRow& t, std::string_view cause,
                                               const std::vector<std::int64_t>& senders) {
  const std::int64_t window = std::chrono::microseconds(options.campaign_window).count();
  const bool is_new = t.campaign == 0;
  BAVN_TRY(const auto found, look_alike(tx, t, senders));
  std::vector<std::int64_t> join;
  std::int64_t harmless = 0;
  for (const auto& [id, f] : found) {
    if (id == t.campaign || f.score < kEnough) continue;
    BAVN_TRY(const auto c, campaign(tx, id));
    if (!c || c->state == "merged" || c->last_us < t.first_us - window) continue;
    if (c->state != "false") join.push_back(id);
    // What was judged harmless stays so only while it is the same mail: the account may be taken tomorrow.
    else if (is_new && f.sender && (f.near_subject || f.near_body)) harmless = id;
  }
  if (!is_new) {
    BAVN_TRY(const auto own, campaign(tx, t.campaign));
    if (own && own->state == "false") join.clear();
  }
  if (is_new && join.empty() && harmless != 0) {
    t.campaign = harmless;
    t.withdrawn = 1;
  } else if (is_new && join.empty()) {
    BAVN_TRY(t.campaign, open_campaign(tx, t, cause));
  } else {
    std::int64_t into = t.campaign;
    for (const auto id : join) {
      if (into == 0) {
        into = id;
        continue;
      }
      BAVN_TRY(into, merge(tx, into, id));
    }
    t.campaign = into;
    if (is_new && t.kind != "notice") {
      BAVN_TRY(const auto full, campaign(tx, into));
      if (full && full->things >= options.things_per_campaign) {
        note_refused(MunicipalityId{static_cast<std::uint16_t>(t.municipality)}, t.kind, "campaign_full",
                     "the campaign holds as many things as are kept apart");
        for (const std::string_view sql :
             {"DELETE FROM corr_thing WHERE key = :k", "DELETE FROM corr_reach WHERE thing = :k",
              "DELETE FROM corr_sign WHERE thing = :k"})
          BAVN_CHECK(change(tx, sql, {{"k", t.key}}));
        return std::int64_t{0};
      }
    }
  }
  if (is_new || !join.empty())
    BAVN_CHECK(change(tx, "UPDATE corr_thing SET campaign = :c, withdrawn = :w WHERE key = :k",
                      {{"c", t.campaign}, {"w", t.withdrawn}, {"k", t.key}}));
  if (is_new || !t.about_kind.empty()) BAVN_CHECK(add_links(tx, t));
  if (is_new) BAVN_CHECK(change(tx, "UPDATE corr_campaign SET things = things + 1 WHERE id = :c", {{"c", t.campaign}}));
  return t.campaign;
}

/// The one that was lit stays, else the older one.
Result<std::int64_t> Correlator::Inner::merge(store::Tx& tx, std::int64_t a, std::int64_t b) {
  if (a == b) return a;
  BAVN_TRY(auto keep, need_campaign(tx, a));
  BAVN_TRY(auto gone, need_campaign(tx, b));
  if (keep.id == gone.id) return keep.id;
  const auto lit_at = [](const CampaignRow& c) { return c.lit_us > 0 ? c.lit_us : INT64_MAX; };
  if (std::tuple(lit_at(gone), gone.id) < std::tuple(lit_at(keep), keep.id)) std::swap(keep, gone);
  for (const std::string_view sql : {"UPDATE corr_thing SET campaign = :to WHERE campaign = :from",
                                     "UPDATE OR IGNORE corr_link SET campaign = :to WHERE campaign = :from",
                                     "UPDATE OR IGNORE corr_near SET campaign = :to WHERE campaign = :from",
                                     "UPDATE OR IGNORE corr_outside SET campaign = :to WHERE campaign = :from"})
    BAVN_CHECK(change(tx, sql, {{"to", keep.id}, {"from", gone.id}}));
  for (const std::string_view sql :
       {"DELETE FROM corr_link WHERE campaign = :from", "DELETE FROM corr_near WHERE campaign = :from",
        "DELETE FROM corr_outside WHERE campaign = :from"})
    BAVN_CHECK(change(tx, sql, {{"from", gone.id}}));
  const auto earlier = [](std::int64_t x, std::int64_t y) { return x == 0 ? y : y == 0 ? x : std::min(x, y); };
  keep.suspicion_us = earlier(keep.suspicion_us, gone.suspicion_us);
  keep.would_light_us = earlier(keep.would_light_us, gone.would_light_us);
  keep.opened_us = std::min(keep.opened_us, gone.opened_us);
  keep.doubted = std::max(keep.doubted, gone.doubted);
  keep.things += gone.things;
  if (keep.trigger.empty()) keep.trigger = gone.trigger;
  if (keep.judged < 0 && gone.judged == 1) {
    keep.judged = gone.judged;
    keep.judged_by = gone.judged_by;
    keep.judged_why = gone.judged_why;
    keep.judged_us = gone.judged_us;
  }
  if (keep.state == "candidate" || keep.state == "waiting" || keep.state == "over") {
    if (gone.state == "suspicion" || (gone.state == "waiting" && keep.state == "candidate")) keep.state = gone.state;
  }
  BAVN_CHECK(save(tx, keep));
  BAVN_CHECK(change(tx, "UPDATE corr_campaign SET state = 'merged', merged_into = :to WHERE id = :from",
                    {{"to", keep.id}, {"from", gone.id}}));
  BAVN_CHECK(tx.clear_timer(kQuietTimer, std::to_string(gone.id)));
  BAVN_CHECK(tx.emit("campaign.merged", std::to_string(gone.id), fmt::format(R"({{"into":{}}})", keep.id)));
  return keep.id;
}

}  // namespace bavn::correlate
