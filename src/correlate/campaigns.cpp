#include "correlate/campaigns.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "correlate/correlator_inner.hpp"

namespace bavn::correlate {

namespace {

#define BAVN_SHOWN_COLUMNS                                                                                        \
  "id, state, cause, trigger, severity, impact, spread, first_us, last_us, noticed_us, opened_us, suspicion_us, " \
  "would_light_us, lit_us, over_us, lit_by, judged, judged_by, judged_why, judged_us, municipalities, senders, "  \
  "mails, "                                                                                                       \
  "outside, clicks, reporters, merged_into, doubted"

struct TriggerRow {
  std::string name, mode, why, by_whom;
  std::int64_t since_us = 0;
};
BOOST_DESCRIBE_STRUCT(TriggerRow, (), (name, mode, why, by_whom, since_us))

struct SumRow {
  std::int64_t opened = 0, suspicions = 0, would_light = 0, lit = 0, real = 0, not_real = 0, not_judged = 0;
};
BOOST_DESCRIBE_STRUCT(SumRow, (), (opened, suspicions, would_light, lit, real, not_real, not_judged))

struct OutsideRow {
  std::string domain;
  std::int64_t first_us = 0;
  std::string told_by;
  std::int64_t told_us = 0;
};
BOOST_DESCRIBE_STRUCT(OutsideRow, (), (domain, first_us, told_by, told_us))

/// P(X <= k) for Poisson with mean m.
double poisson_at_most(std::int64_t k, double m) {
  double term = std::exp(-m), sum = term;
  for (std::int64_t i = 1; i <= k; ++i) sum += term *= m / static_cast<double>(i);
  return sum;
}
/// The mean at which `f` (falling) is p.
template <class F>
double mean_where(F&& f, double p, double upper) {
  double low = 0, high = upper;
  for (int i = 0; i < 200; ++i) {
    const double mid = (low + high) / 2;
    (f(mid) > p ? low : high) = mid;
  }
  return (low + high) / 2;
}

}  // namespace

std::string_view severity_name(std::int64_t severity) {
  return severity >= 4 ? "critical" : severity == 3 ? "high" : severity == 2 ? "medium" : "low";
}

FalseWarnings false_warnings_of(std::int64_t not_real, double days) {
  FalseWarnings f;
  f.not_real = not_real;
  f.days = days;
  if (days <= 0) return f;
  const double months = days / 30.0;
  f.a_month = static_cast<double>(not_real) / months;
  const double upper = 20.0 + 4.0 * static_cast<double>(not_real);
  // Exact (Garwood) limits: at 95 %, one-sided when there was none.
  if (not_real == 0) {
    f.at_most = mean_where([](double m) { return poisson_at_most(0, m); }, 0.05, upper) / months;
  } else {
    f.at_most = mean_where([&](double m) { return poisson_at_most(not_real, m); }, 0.025, upper) / months;
    f.at_least = mean_where([&](double m) { return poisson_at_most(not_real - 1, m); }, 0.975, upper) / months;
  }
  return f;
}

Result<std::vector<Campaign>> campaigns(store::Reader& db, const CampaignFilter& filter) {
  // States are few: one indexed read each, newest first.
  std::vector<std::string> states = filter.states;
  if (states.empty()) states = {"waiting", "suspicion", "lit", "over", "false"};
  const std::int64_t limit = std::clamp<std::int64_t>(filter.limit, 1, 1000);
  std::vector<Campaign> out;
  for (const auto& state : states) {
    BAVN_TRY(auto rows,
             db.all<Campaign>("SELECT " BAVN_SHOWN_COLUMNS
                              " FROM corr_campaign WHERE state = :s AND opened_us >= :o AND (:b = 0 OR id < :b) AND "
                              "(:all OR state <> 'over' OR suspicion_us > 0 OR lit_us > 0) AND (NOT :lit OR lit_us > "
                              "0) ORDER BY id DESC LIMIT :l",
                              {{"s", state},
                               {"o", filter.since_us},
                               {"b", filter.before_id},
                               {"all", !filter.states.empty()},
                               {"lit", filter.only_lit},
                               {"l", limit}}));
    out.insert(out.end(), std::make_move_iterator(rows.begin()), std::make_move_iterator(rows.end()));
  }
  std::sort(out.begin(), out.end(), [](const Campaign& a, const Campaign& b) { return a.id > b.id; });
  if (std::ssize(out) > limit) out.resize(static_cast<std::size_t>(limit));
  return out;
}

Result<std::vector<CampaignThing>> things_of(store::Reader& db, std::int64_t campaign) {
  return db.all<CampaignThing>(
      "SELECT kind, sender, about_kind, about, about_name, municipality, first_us, received_us FROM corr_thing WHERE "
      "campaign = :c ORDER BY received_us LIMIT 5000",
      {{"c", campaign}});
}

Result<CampaignFacts> facts_of(store::Reader& db, std::int64_t campaign) {
  CampaignFacts f;
  for (int hops = 0;; ++hops) {
    BAVN_TRY(auto row,
             db.one<Campaign>("SELECT " BAVN_SHOWN_COLUMNS " FROM corr_campaign WHERE id = :i", {{"i", campaign}}));
    if (!row || hops == 100) return fail(Code::not_found, fmt::format("there is no campaign {}", campaign));
    f.campaign = std::move(*row);
    if (f.campaign.state != "merged") break;
    campaign = f.campaign.merged_into;
  }
  BAVN_TRY(const Picture p, picture_of(db, campaign));

  std::map<std::string, CampaignSender> senders;
  std::map<std::pair<std::string, std::string>, CampaignObservable> observables;
  std::map<std::string, std::set<std::int64_t>> seen_by;  // thing -> municipalities
  for (const auto& r : p.reach) seen_by[r.thing].insert(r.municipality);
  std::map<std::int64_t, std::int64_t> noticed;
  for (const auto& t : p.things)
    if (t.municipality != 0 && t.noticed_us > 0) {
      const auto at = noticed.try_emplace(t.municipality, t.noticed_us).first;
      at->second = std::min(at->second, t.noticed_us);
    }
  for (const auto& [municipality, at] : noticed) f.noticed.push_back({municipality, at});
  std::set<std::string> taken;
  for (const auto& s : p.signs)
    if (event::takeover_sign(s.kind) ||
        std::find(std::begin(kTakeoverKinds), std::end(kTakeoverKinds), s.kind) != std::end(kTakeoverKinds))
      taken.insert(s.thing);
  const auto observe = [&](const std::string& kind, const std::string& value, const ThingRow& t) {
    if (value.empty()) return;
    auto [it, added] = observables.try_emplace({kind, value}, CampaignObservable{kind, value, 0, t.first_us});
    it->second.first_us = std::min(it->second.first_us, t.first_us);
    it->second.municipalities = std::max(it->second.municipalities, std::ssize(seen_by[t.key]));
  };
  for (const auto& t : p.things) {
    if (t.kind == "notice" && t.withdrawn == 0) f.notices.push_back(t.key.substr(7));
    if (!t.sender.empty()) {
      auto [it, added] =
          senders.try_emplace(t.sender, CampaignSender{t.sender, {}, t.from_municipality, 0, t.first_us, 0});
      CampaignSender& s = it->second;
      s.domain = t.sender.substr(t.sender.rfind('@') + 1);
      s.first_us = std::min(s.first_us, t.first_us);
      if (t.kind == "notice") s.mails += t.mails;
      if (taken.contains(t.key)) s.takeover = 1;
      observe("email", t.sender, t);
    }
    if (t.about_kind == "url") observe("url", t.about, t);
    if (t.about_kind == "attachment") {
      observe("sha256", t.about, t);
      observe("file_name", t.about_name, t);
    }
  }
  const auto edges = edges_of(p);
  std::map<std::int64_t, std::pair<std::int64_t, std::int64_t>> reached;  // municipality -> first, mails
  for (const auto& [key, e] : edges) {
    f.edges.push_back({key.first, key.second, e.mails, e.first_us, e.last_us});
    auto [it, added] = reached.try_emplace(key.second, e.first_us, 0);
    it->second.first = std::min(it->second.first, e.first_us);
    it->second.second += e.mails;
    if (auto s = std::find_if(senders.begin(), senders.end(),
                              [&](const auto& x) { return x.second.municipality == key.first; });
        s != senders.end() && s->second.mails == 0)
      s->second.mails += e.mails;  // no notice of its own: what receivers counted
  }
  for (const auto& t : p.things)
    if (t.kind == "notice" && t.outside > 0) {
      auto e = std::find_if(f.edges.begin(), f.edges.end(),
                            [&](const CampaignEdge& x) { return x.from == t.from_municipality && x.to == 0; });
      if (e == f.edges.end()) {
        f.edges.push_back({t.from_municipality, 0, 0, t.first_us, t.last_us});
        e = f.edges.end() - 1;
      }
      e->mails += t.outside;
      e->first_us = std::min(e->first_us, t.first_us);
      e->last_us = std::max(e->last_us, t.last_us);
    }
  std::sort(f.edges.begin(), f.edges.end(), [](const CampaignEdge& a, const CampaignEdge& b) {
    return std::tuple(a.first_us, a.from, a.to) < std::tuple(b.first_us, b.from, b.to);
  });
  for (auto& [address, s] : senders) f.senders.push_back(std::move(s));
  std::sort(f.senders.begin(), f.senders.end(), [](const CampaignSender& a, const CampaignSender& b) {
    return std::tie(a.first_us, a.address) < std::tie(b.first_us, b.address);
  });
  for (auto& [key, o] : observables) f.observables.push_back(std::move(o));
  for (const auto& s : facts_from(p.signs))
    f.signs.push_back({s.group, s.kind, s.municipality, s.at_us, s.count, s.detail});
  std::sort(f.signs.begin(), f.signs.end(),
            [](const CampaignSign& a, const CampaignSign& b) { return a.at_us < b.at_us; });

  BAVN_CHECK(db.each<OutsideRow>(
      "SELECT domain, first_us, told_by, told_us FROM corr_outside WHERE campaign = :c ORDER BY domain",
      {{"c", campaign}}, [&](OutsideRow o) -> Result<void> {
        std::string kind(kind_of_victim(o.domain));
        f.outside.push_back({std::move(o.domain), std::move(kind), o.first_us, std::move(o.told_by), o.told_us});
        return {};
      }));
  std::map<std::string, std::int64_t> victims;
  if (!reached.empty()) victims["member"] = std::ssize(reached);
  for (const auto& o : f.outside) ++victims[o.kind];
  for (const auto& [kind, n] : victims) f.victims.push_back({kind, n});
  std::stable_sort(f.victims.begin(), f.victims.end(),
                   [](const VictimKind& a, const VictimKind& b) { return a.count > b.count; });

  std::vector<std::pair<std::int64_t, std::int64_t>> steps;
  for (const auto& [municipality, r] : reached) steps.push_back(r);
  std::sort(steps.begin(), steps.end());
  for (const auto& [at, mails] : steps) {
    if (f.spread.empty() || f.spread.back().at_us != at)
      f.spread.push_back(f.spread.empty() ? SpreadStep{at, 0, 0}
                                          : SpreadStep{at, f.spread.back().municipalities, f.spread.back().mails});
    ++f.spread.back().municipalities;
    f.spread.back().mails += mails;
  }
  if (steps.size() >= 2) {
    // Over at least a minute: what came at once has no speed that could be told.
    const double hours = std::max(static_cast<double>(steps.back().first - steps.front().first), 6e7) / 3.6e9;
    f.municipalities_per_hour = static_cast<double>(steps.size()) / hours;
  }
  const auto after = [&](std::int64_t at) {
    return at > 0 ? std::max<std::int64_t>(0, (at - f.campaign.first_us) / 1'000'000) : -1;
  };
  f.seconds_to_notice = after(f.campaign.noticed_us);
  f.seconds_to_hub = after(f.campaign.opened_us);
  f.seconds_to_lit = after(f.campaign.lit_us);
  return f;
}

CampaignFacts for_municipality(CampaignFacts facts, MunicipalityId of) {
  return for_municipalities(std::move(facts), {of});
}

CampaignFacts for_municipalities(CampaignFacts facts, const std::vector<MunicipalityId>& own) {
  const auto mine = [&](std::int64_t id) {
    return std::any_of(own.begin(), own.end(), [&](MunicipalityId m) { return m.value == id; });
  };
  std::erase_if(facts.edges, [&](const CampaignEdge& e) { return !mine(e.to) && !mine(e.from); });
  for (auto& e : facts.edges)
    if (mine(e.from) && !mine(e.to)) e.to = 0;  // to somebody
  std::erase_if(facts.signs, [&](const CampaignSign& s) { return s.municipality != 0 && !mine(s.municipality); });
  std::erase_if(facts.noticed, [&](const CampaignNoticed& n) { return !mine(n.municipality); });
  std::erase_if(facts.senders, [&](const CampaignSender& s) {
    return !mine(s.municipality) && std::none_of(facts.edges.begin(), facts.edges.end(), [&](const CampaignEdge& e) {
      return e.from == s.municipality && mine(e.to);
    });
  });
  facts.outside.clear();
  facts.notices.clear();
  facts.campaign.judged_why.clear();
  facts.campaign.clicks = facts.campaign.reporters = 0;
  return facts;
}

Result<std::optional<CampaignSender>> first_sender(store::Reader& db, std::int64_t campaign) {
  BAVN_TRY(auto rows,
           db.all<CampaignSender>(
               "SELECT sender AS address, substr(sender, instr(sender, '@') + 1) AS domain, "
               "from_municipality AS municipality, 0 AS mails, first_us, 0 AS takeover FROM corr_thing WHERE "
               "campaign = :c AND sender <> '' ORDER BY first_us, key LIMIT 1",
               {{"c", campaign}}));
  if (rows.empty()) return std::optional<CampaignSender>();
  return std::optional(std::move(rows.front()));
}

Result<std::vector<CauseCount>> candidates_by_cause(store::Reader& db, Instant since) {
  return db.all<CauseCount>(
      "SELECT cause, count(*) AS opened, sum(state = 'candidate') AS open FROM corr_campaign WHERE opened_us >= "
      ":s GROUP BY cause ORDER BY opened DESC, cause",
      {{"s", since}});
}

Result<Suspicions> suspicions(store::Reader& db, Instant now, const Options& options) {
  Suspicions s;
  BAVN_TRY(s.open, db.all<Campaign>("SELECT " BAVN_SHOWN_COLUMNS
                                    " FROM corr_campaign WHERE state = 'suspicion' ORDER BY rank DESC, id LIMIT 200"));
  BAVN_TRY(s.waiting, db.number("SELECT count(*) FROM corr_campaign WHERE state = 'waiting'"));
  const std::int64_t shift = std::chrono::microseconds(options.shift).count();
  BAVN_TRY(s.this_shift, db.number("SELECT count(*) FROM corr_campaign WHERE suspicion_us >= :f AND suspicion_us > 0",
                                   {{"f", micros(now) / shift * shift}}));
  return s;
}

Result<std::vector<Trigger>> triggers(store::Reader& db, Instant since) {
  BAVN_TRY(auto rows,
           db.all<TriggerRow>("SELECT name, mode, why, by_whom, since_us FROM corr_trigger ORDER BY name DESC"));
  rows.push_back({"digest", "never", "digests light nothing without a person", "design", 0});
  std::vector<Trigger> out;
  for (auto& r : rows) {
    // What it opened, and what it lit: a campaign that a burst opened may be lit by the sender's notice.
    BAVN_TRY(
        const auto opened,
        db.one<SumRow>(
            "SELECT count(*) AS opened, ifnull(sum(suspicion_us > 0), 0) AS suspicions, 0 AS would_light, 0 AS lit, "
            "0 AS real, 0 AS not_real, 0 AS not_judged FROM corr_campaign WHERE opened_us >= :s AND state <> 'merged' "
            "AND (cause = :t OR (:t = 'digest' AND cause IN ('url', 'attachment')))",
            {{"s", since}, {"t", r.name}}));
    BAVN_TRY(
        const auto lit,
        db.one<SumRow>(
            "SELECT 0 AS opened, 0 AS suspicions, ifnull(sum(would_light_us > 0), 0) AS would_light, "
            "ifnull(sum(lit_us > 0), 0) AS lit, ifnull(sum(judged = 1), 0) AS real, ifnull(sum(judged = 0), 0) AS "
            "not_real, ifnull(sum(judged < 0), 0) AS not_judged FROM corr_campaign WHERE opened_us >= :s AND state <> "
            "'merged' AND trigger = :t",
            {{"s", since}, {"t", r.name}}));
    Trigger t{std::move(r.name), std::move(r.mode), std::move(r.why), std::move(r.by_whom), r.since_us};
    if (opened) {
      t.opened = opened->opened;
      t.suspicions = opened->suspicions;
    }
    if (lit) {
      t.would_light = lit->would_light;
      t.lit = lit->lit;
      t.real = lit->real;
      t.not_real = lit->not_real;
      t.not_judged = lit->not_judged;
    }
    out.push_back(std::move(t));
  }
  return out;
}

Result<FalseWarnings> false_warnings(store::Reader& db, Instant now, std::chrono::days over) {
  BAVN_TRY(const auto since,
           db.number("SELECT ifnull(min(since_us), 0) FROM (SELECT min(opened_us) AS since_us FROM corr_campaign "
                     "UNION ALL SELECT min(since_us) FROM corr_trigger)"));
  const std::int64_t from = std::max(since, micros(now - over));
  const double days = since == 0 ? 0 : static_cast<double>(micros(now) - from) / 86.4e9;
  BAVN_TRY(const auto not_real,
           db.number("SELECT count(*) FROM corr_campaign WHERE lit_us >= :f AND lit_us > 0 AND judged = 0 AND "
                     "lit_by LIKE 'trigger:%'",
                     {{"f", from}}));
  FalseWarnings f = false_warnings_of(not_real, days);
  BAVN_TRY(f.lit,
           db.number("SELECT count(*) FROM corr_campaign WHERE lit_us >= :f AND lit_us > 0 AND lit_by LIKE 'trigger:%'",
                     {{"f", from}}));
  BAVN_TRY(f.not_judged,
           db.number("SELECT count(*) FROM corr_campaign WHERE lit_us >= :f AND lit_us > 0 AND judged < 0 AND lit_by "
                     "LIKE 'trigger:%'",
                     {{"f", from}}));
  BAVN_TRY(
      f.would_lit,
      db.number("SELECT count(*) FROM corr_campaign WHERE would_light_us >= :f AND would_light_us > 0", {{"f", from}}));
  BAVN_TRY(f.would_not_real,
           db.number("SELECT count(*) FROM corr_campaign WHERE would_light_us >= :f AND would_light_us > 0 AND "
                     "judged = 0",
                     {{"f", from}}));
  return f;
}

Result<std::vector<Refusal>> refused(store::Reader& db) {
  return db.all<Refusal>(
      "SELECT municipality, kind, reason, count, first_us, last_us, example FROM corr_refused ORDER BY last_us DESC, "
      "municipality LIMIT 1000");
}

Result<std::vector<Standing>> standings(store::Reader& db) {
  return db.all<Standing>(
      "SELECT municipality, alone, not_real, real, since_us, why, by_whom FROM corr_member ORDER BY municipality");
}

Result<std::vector<Call>> calls(store::Reader& db) {
  return db.all<Call>(
      "SELECT municipality, at_us, night, made, about, reason FROM corr_call ORDER BY at_us DESC LIMIT 500");
}

Result<void> told_outside(store::Tx& tx, std::int64_t campaign, std::string_view domain, std::string_view who) {
  BAVN_TRY(const auto changed,
           tx.exec("UPDATE corr_outside SET told_by = :w, told_us = :t WHERE campaign = :c AND domain = :d",
                   {{"w", who}, {"t", tx.now()}, {"c", campaign}, {"d", domain}}));
  if (changed == 0) return fail(Code::not_found, fmt::format("campaign {} did not reach {}", campaign, domain));
  return tx.audit({std::string(who), "outside.told", fmt::format("campaign:{}", campaign),
                   fmt::format(R"({{"domain":"{}"}})", domain)});
}

std::vector<store::RetentionRule> retention() {
  std::vector<store::RetentionRule> rules;
  rules.push_back(
      {"campaigns", 400, "A year of campaigns is what its report and the next drill are made of.",
       [](store::Tx& tx, Instant before) -> Result<std::int64_t> {
         BAVN_TRY(const auto ids,
                  tx.all<std::int64_t>("SELECT id FROM corr_campaign WHERE opened_us < :b LIMIT 200", {{"b", before}}));
         for (const auto id : ids) {
           for (const std::string_view sql :
                {"DELETE FROM corr_reach WHERE thing IN (SELECT key FROM corr_thing WHERE campaign = :c)",
                 "DELETE FROM corr_sign WHERE thing IN (SELECT key FROM corr_thing WHERE campaign = :c)",
                 "DELETE FROM corr_part WHERE thing IN (SELECT key FROM corr_thing WHERE campaign = :c)",
                 "DELETE FROM corr_thing WHERE campaign = :c", "DELETE FROM corr_link WHERE campaign = :c",
                 "DELETE FROM corr_near WHERE campaign = :c", "DELETE FROM corr_outside WHERE campaign = :c",
                 "DELETE FROM corr_campaign WHERE id = :c"})
             BAVN_CHECK(change(tx, sql, {{"c", id}}));
         }
         return std::ssize(ids);
       }});
  rules.push_back(store::retention_rule(
      "candidates", 30, "Candidates that nothing came of are counted for a month: what thresholds are set by.",
      "DELETE FROM corr_campaign WHERE id IN (SELECT id FROM corr_campaign WHERE opened_us < :before AND state IN "
      "('over', 'merged', "
      "'false') AND suspicion_us = 0 AND lit_us = 0 AND would_light_us = 0 LIMIT 10000)"));
  rules.push_back(store::retention_rule(
      "lone_signs", 30, "Signs about senders of whom no mass mail was seen; none joins after 30 days.",
      "DELETE FROM corr_sign WHERE (thing, grp, kind, municipality, ref) IN (SELECT "
      "thing, grp, kind, municipality, ref FROM "
      "corr_sign WHERE at_us < :before AND (thing LIKE 'sender:%' OR thing LIKE 'digest:%') LIMIT 10000)"));
  rules.push_back(
      store::retention_rule("takeovers", 400, "As campaigns.",
                            "DELETE FROM corr_takeover WHERE (municipality, id) IN (SELECT municipality, id FROM "
                            "corr_takeover WHERE received_us < :before LIMIT 10000)"));
  rules.push_back(
      store::retention_rule("duty_calls", 400, "As campaigns.",
                            "DELETE FROM corr_call WHERE (municipality, about, reason) IN (SELECT municipality, about, "
                            "reason FROM corr_call WHERE at_us < :before LIMIT 10000)"));
  return rules;
}

}  // namespace bavn::correlate
