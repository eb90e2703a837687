// The first screen of the joint CERT: what burns, whose clock runs, what next.
#include <algorithm>

#include "correlate/digests.hpp"
#include "show/api/campaigns/rows.hpp"
#include "show/api/handover/handover.hpp"
#include "show/api/members/nodes.hpp"

namespace bavn::show::api {

namespace {

constexpr std::size_t kMostShown = 20, kMostSuspicions = 5;

struct OverviewQueue {
  std::vector<Suspicion> open;
  std::int64_t waiting = 0, this_shift = 0, most_per_shift = 0;
};
BOOST_DESCRIBE_STRUCT(OverviewQueue, (), (open, waiting, this_shift, most_per_shift))

struct Clock {
  std::string kind, at, subject;
  std::map<std::string, std::string> values;
  std::string href;
};
BOOST_DESCRIBE_STRUCT(Clock, (), (kind, at, subject, values, href))

struct NodeCounts {
  std::int64_t connected = 0, away = 0, never = 0, revoked = 0;
};
BOOST_DESCRIBE_STRUCT(NodeCounts, (), (connected, away, never, revoked))
struct DigestCounts {
  std::int64_t groups_day = 0, candidates_open = 0, revealed_day = 0;
};
BOOST_DESCRIBE_STRUCT(DigestCounts, (), (groups_day, candidates_open, revealed_day))
struct MailCounts {
  std::int64_t emptied = 0, left = 0;
};
BOOST_DESCRIBE_STRUCT(MailCounts, (), (emptied, left))

struct Figures {
  std::int64_t false_warnings_30 = 0;
  correlate::FalseWarnings false_warnings_90;
  NodeCounts nodes;
  std::int64_t indicators = 0;
  DigestCounts digests;
  MailCounts mails;
  std::uint64_t streams_open = 0, log_entries = 0;
};
BOOST_DESCRIBE_STRUCT(Figures, (),
                      (false_warnings_30, false_warnings_90, nodes, indicators, digests, mails, streams_open,
                       log_entries))

struct Trouble {
  std::string kind;
  std::optional<Town> municipality;
  std::map<std::string, std::string> values;
  std::string text;
};
BOOST_DESCRIBE_STRUCT(Trouble, (), (kind, municipality, values, text))

struct Overview {
  std::string now, name;
  std::vector<CampaignRow> burning;
  OverviewQueue suspicions;
  std::vector<Clock> clocks;
  Figures figures;
  std::vector<Trouble> trouble;
  std::optional<HandoverNote> handover;
};
BOOST_DESCRIBE_STRUCT(Overview, (), (now, name, burning, suspicions, clocks, figures, trouble, handover))

struct TimerRow {
  std::string kind, subject;
  std::int64_t due_us = 0;
};
BOOST_DESCRIBE_STRUCT(TimerRow, (), (kind, subject, due_us))

struct Due {
  std::int64_t us = 0;
  Clock clock;
};

Result<void> read_clocks(store::Reader& db, std::vector<Due>& due) {
  BAVN_TRY(
      const auto timers,
      db.all<TimerRow>("SELECT kind, subject, due_us FROM timer WHERE kind IN ('warn.remind', 'warn.update') ORDER "
                       "BY due_us LIMIT 50"));
  for (const auto& t : timers) {
    Clock c{t.kind == "warn.remind" ? "warning_reminder" : "warning_update",
            at_always(t.due_us),
            t.subject,
            {},
            "/warnings/" + t.subject};
    if (t.kind == "warn.remind") {
      BAVN_TRY(const auto silent,
               db.number("SELECT count(*) FROM warning_town WHERE warning = :w AND answer IS NULL AND given_up = 0",
                         {{"w", t.subject}}));
      if (silent == 0) continue;  // the timer will find nobody
      c.values["silent"] = std::to_string(silent);
    }
    due.push_back({t.due_us, std::move(c)});
  }
  return {};
}

Result<void> read_more_clocks(const Hub& hub, const event::Scope& scope, std::vector<Due>& due) {
  const std::int64_t now = micros(hub.runtime.now());
  const auto soon = now + std::chrono::microseconds(std::chrono::days(7)).count();
  BAVN_TRY(const auto blocks, hub.blocks.list(false, 200));
  for (const auto& b : blocks)
    if (b.until_us > now && b.until_us < soon)
      due.push_back({b.until_us, Clock{"block_ends",
                                       at_always(b.until_us),
                                       b.id,
                                       {{"value", hub.shown(b.kind, b.value).defanged}},
                                       "/blocks/" + b.id}});
  BAVN_TRY(const auto questions, hub.warnings.questions(scope));
  for (const auto& q : questions)
    if (!q.ask.withdrawn && q.ask.until_us > now)
      due.push_back({q.ask.until_us, Clock{"exposure_ends",
                                           at_always(q.ask.until_us),
                                           q.ask.id,
                                           {{"product", q.ask.product}},
                                           "/exposure/" + q.ask.id}});
  return {};
}

Result<void> read_nodes(const Hub& hub, const event::Scope& scope, Overview& v) {
  BAVN_TRY(const auto nodes, node_views(hub, scope, false));
  for (const auto& n : nodes) {
    const auto town = n.municipalities.empty() ? std::nullopt : std::optional(n.municipalities.front());
    const std::string who = town && town->name ? *town->name : n.id;
    auto& counts = v.figures.nodes;
    if (n.state == "connected") ++counts.connected;
    else if (n.state == "waiting") ++counts.never;
    else if (n.state == "revoked" || n.state == "retired") ++counts.revoked;
    else ++counts.away;
    if (n.state == "away" || n.state == "expired") {
      std::string since = n.last_seen_at.value_or("never");
      v.trouble.push_back({"node_away",
                           town,
                           {{"node", n.id}, {"since", since}},
                           fmt::format("The node of {} is not connected (last heard: {}).", who, since)});
    }
    if (n.clock_marked)
      v.trouble.push_back({"clock_off",
                           town,
                           {{"node", n.id}, {"ms", std::to_string(n.clock_offset_ms.value_or(0))}},
                           fmt::format("The clock of {} is off by {} ms; its times are not used.", who,
                                       n.clock_offset_ms.value_or(0))});
    if (n.state == "connected")
      for (const auto& t : n.trouble)
        v.trouble.push_back({"node", town, {{"node", n.id}}, fmt::format("{}: {}", who, t)});
  }
  return {};
}

net::Reply overview(const Hub& hub, const net::Request& q) {
  const bool all = q.scope.sees_all();
  const Instant now = hub.runtime.now();
  Overview v;
  v.now = web::time_text(now);
  v.name = hub.name;
  std::vector<Due> due;
  const auto read = hub.state.read([&](store::Reader& db) -> Result<void> {
    correlate::CampaignFilter lit;
    lit.states = {"lit"};
    lit.limit = 200;
    BAVN_TRY(auto burning, correlate::campaigns(db, lit));
    // The worst first; of two that are alike, the one nobody has looked at, then the newer.
    std::ranges::stable_sort(burning, [](const auto& a, const auto& b) {
      return std::tuple(-a.severity, a.judged >= 0, -a.lit_us) < std::tuple(-b.severity, b.judged >= 0, -b.lit_us);
    });
    for (const auto& c : burning) {
      BAVN_TRY(const auto sums, hub.warnings.sums_of(db, std::to_string(c.id)));
      for (const auto& s : sums)
        if (s.state == "sent" || s.state == "updated") {
          v.figures.mails.emptied += s.purged;
          v.figures.mails.left += s.purge_left;
        }
      if (v.burning.size() >= kMostShown) continue;
      BAVN_TRY(const auto sender, correlate::first_sender(db, c.id));
      v.burning.push_back(row_of(hub, q.scope, c, sender, sums));
    }
    BAVN_TRY(const auto queue, correlate::suspicions(db, now, hub.noticing));
    v.suspicions.waiting = queue.waiting;
    v.suspicions.this_shift = queue.this_shift;
    v.suspicions.most_per_shift = hub.noticing.suspicions_per_shift;
    if (all)
      for (const auto& c : queue.open) {
        if (v.suspicions.open.size() >= kMostSuspicions) break;
        BAVN_TRY(auto s, read_suspicion(hub, db, q.scope, c));
        v.suspicions.open.push_back(std::move(s));
      }
    if (all) BAVN_CHECK(read_clocks(db, due));
    BAVN_TRY(const auto month, correlate::false_warnings(db, now, std::chrono::days(30)));
    v.figures.false_warnings_30 = month.not_real;
    BAVN_TRY(v.figures.false_warnings_90, correlate::false_warnings(db, now, std::chrono::days(90)));
    BAVN_TRY(v.figures.indicators, db.number("SELECT ifnull(sum(count), 0) FROM hub_indicator_count"));
    BAVN_TRY(const auto digests, correlate::digest_figures(db, now - std::chrono::hours(24)));
    v.figures.digests.groups_day = digests.groups;
    v.figures.digests.revealed_day = digests.revealed;
    BAVN_TRY(v.figures.digests.candidates_open,
             db.number("SELECT count(*) FROM corr_campaign WHERE state = 'candidate'"));
    BAVN_TRY(const auto urgent, hub.beacon.tip(db, "urgent/all"));
    BAVN_TRY(const auto bulk, hub.beacon.tip(db, "bulk/all"));
    v.figures.log_entries = urgent + bulk;
    if (all) {
      BAVN_TRY(v.handover, newest_handover(db));
    }
    return {};
  });
  if (!read) return net::problem(read.error());
  v.figures.streams_open = hub.beacon.streams_open();
  if (const auto nodes = read_nodes(hub, q.scope, v); !nodes) return net::problem(nodes.error());
  if (all) {
    if (const auto more = read_more_clocks(hub, q.scope, due); !more) return net::problem(more.error());
    if (hub.root_key_is_here && hub.root_key_is_here())
      v.trouble.push_back({"root_key_here",
                           std::nullopt,
                           {},
                           "The root key lies beside the others: move trust/root.key to a safe place away from this "
                           "machine."});
    if (v.suspicions.waiting > 0)
      v.trouble.push_back({"suspicions_wait",
                           std::nullopt,
                           {{"n", std::to_string(v.suspicions.waiting)}},
                           fmt::format("{} suspicions wait for the next shift.", v.suspicions.waiting)});
  }
  std::ranges::stable_sort(due, {}, &Due::us);
  if (due.size() > kMostShown) due.resize(kMostShown);
  for (auto& d : due) v.clocks.push_back(std::move(d.clock));
  return net::json(net::to_json(v));
}

}  // namespace

void add_overview_routes(net::Router& router, const HubPtr& hub) {
  router.get("/api/overview", Needs::tenants_read, [hub](const net::Request& q) { return overview(*hub, q); });
}

}  // namespace bavn::show::api
