// What a campaign is now, from its things and signs; what follows: shown to the analyst, lit, over.
#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "correlate/correlator_inner.hpp"

namespace bavn::correlate {

namespace {

std::int64_t spread_of(std::int64_t municipalities) {
  return municipalities >= 10 ? 4 : municipalities >= 5 ? 3 : municipalities >= 2 ? 2 : municipalities;
}

std::int64_t impact_of(const Weight& w, std::int64_t mails, std::int64_t taken_senders) {
  if (taken_senders >= 2 || w.fell >= 2) return 4;
  if (w.fell >= 1 || w.takeover_level >= 1) return 3;
  if (w.takeover || w.clicks > 0) return 2;
  return mails >= 100 || w.reporters > 0 ? 1 : 0;
}

bool is_takeover(const std::string& kind) {
  return event::takeover_sign(kind) ||
         std::find(std::begin(kTakeoverKinds), std::end(kTakeoverKinds), kind) != std::end(kTakeoverKinds);
}

}  // namespace

Result<Picture> picture_of(store::Reader& db, std::int64_t campaign) {
  Picture p;
  BAVN_TRY(p.things, db.all<ThingRow>("SELECT " BAVN_THING_COLUMNS
                                      " FROM corr_thing WHERE campaign = :c ORDER BY first_us LIMIT 5000",
                                      {{"c", campaign}}));
  BAVN_TRY(p.reach,
           db.all<ReachRow>("SELECT r.thing, r.municipality, r.mails, r.first_us, r.last_us, r.parts, r.domains FROM "
                            "corr_thing t JOIN corr_reach r ON r.thing = t.key WHERE t.campaign = :c LIMIT 100000",
                            {{"c", campaign}}));
  BAVN_TRY(p.signs,
           db.all<SignRow>("SELECT s.thing, s.grp, s.kind, s.municipality, s.ref, s.at_us, s.count, s.detail FROM "
                           "corr_thing t JOIN corr_sign s ON s.thing = t.key WHERE t.campaign = :c LIMIT 20000",
                           {{"c", campaign}}));
  return p;
}

std::map<std::pair<std::int64_t, std::int64_t>, ReachRow> edges_of(const Picture& p) {
  using Key = std::pair<std::int64_t, std::int64_t>;
  std::map<std::string_view, const ThingRow*> things;
  for (const auto& t : p.things) things[t.key] = &t;
  std::map<Key, ReachRow> out;
  std::map<Key, std::array<std::int64_t, 3>> mails;  // told by notices, by bursts, by digests
  std::set<std::int64_t> told;                       // receivers of notices and bursts
  for (const auto& r : p.reach)
    if (const auto it = things.find(r.thing); it != things.end() && it->second->kind != "group")
      told.insert(r.municipality);
  for (const auto& r : p.reach) {
    const auto it = things.find(r.thing);
    if (it == things.end()) continue;
    const ThingRow& t = *it->second;
    // Digests of a sender nobody knows say nothing more of those whom a notice names.
    if (t.kind == "group" && t.from_municipality == 0 && told.contains(r.municipality)) continue;
    const Key key{t.from_municipality, r.municipality};
    auto& n = mails[key];
    if (t.kind == "notice") n[0] += r.mails;
    else if (t.kind == "burst") n[1] += r.mails;
    else n[2] = std::max(n[2], r.mails);
    auto [edge, added] = out.try_emplace(key, r);
    if (!added) {
      edge->second.first_us = std::min(edge->second.first_us, r.first_us);
      edge->second.last_us = std::max(edge->second.last_us, r.last_us);
    }
  }
  for (auto& [key, edge] : out) {
    const auto& n = mails[key];
    edge.mails = std::max({n[0], n[1], n[2]});
  }
  return out;
}

Result<void> Correlator::Inner::save(store::Tx& tx, const CampaignRow& c) {
  return change(
      tx,
      "UPDATE corr_campaign SET state = :state, trigger = :trigger, severity = :severity, impact = :impact, spread = "
      ":spread, rank = :rank, first_us = :first, last_us = :last, noticed_us = :noticed, opened_us = :opened, "
      "active_us = :active, suspicion_us = :suspicion, would_light_us = :would, lit_us = :lit, over_us = :over, "
      "lit_by = :lit_by, judged = :judged, judged_by = :judged_by, judged_why = :judged_why, judged_us = :judged_us, "
      "municipalities = :municipalities, senders = :senders, mails = :mails, outside = :outside, clicks = :clicks, "
      "reporters = :reporters, things = :things, told = :told, told_what = :told_what, doubted = :doubted, sole = "
      ":sole WHERE id = :id",
      {{"state", c.state},
       {"trigger", c.trigger},
       {"severity", c.severity},
       {"impact", c.impact},
       {"spread", c.spread},
       {"rank", c.rank},
       {"first", c.first_us},
       {"last", c.last_us},
       {"noticed", c.noticed_us},
       {"opened", c.opened_us},
       {"active", c.active_us},
       {"suspicion", c.suspicion_us},
       {"would", c.would_light_us},
       {"lit", c.lit_us},
       {"over", c.over_us},
       {"lit_by", c.lit_by},
       {"judged", c.judged},
       {"judged_by", c.judged_by},
       {"judged_why", c.judged_why},
       {"judged_us", c.judged_us},
       {"municipalities", c.municipalities},
       {"senders", c.senders},
       {"mails", c.mails},
       {"outside", c.outside},
       {"clicks", c.clicks},
       {"reporters", c.reporters},
       {"things", c.things},
       {"told", c.told},
       {"told_what", c.told_what},
       {"doubted", c.doubted},
       {"sole", c.sole},
       {"id", c.id}});
}

std::int64_t Correlator::Inner::shift_start(Instant now) const {
  const std::int64_t shift = std::chrono::microseconds(options.shift).count();
  return micros(now) / shift * shift;
}

Result<Correlator::Inner::Verdict> Correlator::Inner::verdict(store::Tx& tx, const CampaignRow& c, const Picture& p,
                                                              const std::vector<SignFact>& signs) {
  if (c.doubted != 0 || c.judged == 0) return Verdict{};
  // Old news of a node that was away is for people.
  if (c.last_us < micros(tx.now()) - std::chrono::microseconds(options.campaign_window).count()) return Verdict{};
  const ThingRow* notice = nullptr;
  std::vector<const ThingRow*> bursts;
  for (const auto& t : p.things) {
    if (t.withdrawn != 0) continue;
    if (t.kind == "notice") notice = &t;
    if (t.kind == "burst") bursts.push_back(&t);
  }
  if (notice == nullptr && bursts.empty()) return Verdict{};
  std::vector<SignFact> believed;
  std::map<std::int64_t, bool> is_believed;
  for (const auto& s : signs) {
    if (!is_believed.contains(s.municipality)) {
      BAVN_TRY(is_believed[s.municipality], alone(tx, s.municipality));
    }
    if (is_believed[s.municipality]) believed.push_back(s);
  }
  if (!weigh(believed, c.mails, options).lights) return Verdict{};
  if (notice != nullptr) return Verdict{"sender_notice"};
  // A burst speaks about somebody else. Where the sender's own node is there and silent, one municipality's word is not enough.
  for (const ThingRow* b : bursts) {
    const auto sender = members.of(MunicipalityId{static_cast<std::uint16_t>(b->from_municipality)});
    if (sender && !sender->connected) return Verdict{"burst"};
  }
  std::set<std::int64_t> witnesses;
  for (const ThingRow* b : bursts) witnesses.insert(b->municipality);
  for (const auto& s : believed)
    if ((s.group == "payload" || s.group == "harm") && s.municipality != 0) witnesses.insert(s.municipality);
  return witnesses.size() >= 2 ? Verdict{"burst"} : Verdict{};
}

Result<void> Correlator::Inner::light(store::Tx& tx, CampaignRow& c, const std::string& trigger,
                                      const std::string& by) {
  const bool shown = c.state == "suspicion" || c.state == "lit";
  c.state = "lit";
  c.trigger = trigger;
  c.lit_by = by;
  if (c.lit_us == 0) c.lit_us = micros(tx.now());
  c.over_us = 0;
  BAVN_CHECK(save(tx, c));
  const std::string id = std::to_string(c.id);
  if (!shown) BAVN_CHECK(tx.emit("campaign.opened", id));
  BAVN_CHECK(tx.emit(
      "campaign.lit", id,
      fmt::format(R"({{"trigger":"{}","severity":{},"by_itself":{}}})", trigger, c.severity, trigger != "person")));
  BAVN_CHECK(tx.set_timer(tx.now() + options.quiet, kQuietTimer, id));
  BAVN_TRY(const auto senders,
           tx.all<std::int64_t>(
               "SELECT DISTINCT from_municipality FROM corr_thing WHERE campaign = :c AND kind <> 'group' AND "
               "from_municipality > 0 LIMIT 50",
               {{"c", c.id}}));
  for (const auto m : senders) BAVN_CHECK(call(tx, m, "campaign:" + id, "correlate.call.lit", c.id));
  return {};
}

Result<void> Correlator::Inner::suspect(store::Tx& tx, CampaignRow& c, bool anyway) {
  const std::int64_t from = shift_start(tx.now());
  const std::string id = std::to_string(c.id);
  if (!anyway) {
    BAVN_TRY(
        const auto places,
        tx.number("SELECT count(*) FROM corr_campaign WHERE suspicion_us >= :f AND suspicion_us > 0", {{"f", from}}));
    bool full = places >= options.suspicions_per_shift;
    if (!full && c.sole != 0) {
      BAVN_TRY(const auto of_one,
               tx.number("SELECT count(*) FROM corr_campaign WHERE suspicion_us >= :f AND suspicion_us > 0 "
                         "AND sole = :m",
                         {{"f", from}, {"m", c.sole}}));
      full = of_one >= options.suspicions_of_one;
    }
    if (full) {
      if (c.state == "waiting") return {};
      c.state = "waiting";
      BAVN_CHECK(tx.emit("suspicion.waits", id));
      return tx.set_timer(from_micros(from) + options.shift, kShiftTimer, "next");
    }
  }
  c.state = "suspicion";
  c.suspicion_us = micros(tx.now());
  BAVN_CHECK(tx.emit("campaign.opened", id));
  return tx.emit("suspicion.opened", id,
                 fmt::format(R"({{"would_light":{},"severity":{}}})", c.would_light_us > 0, c.severity));
}

Result<void> Correlator::Inner::evaluate(store::Tx& tx, std::int64_t campaign_id) {
  auto now_is = need_campaign(tx, campaign_id);
  // Retention took it while something of it was on its way: no reason to refuse a whole batch for ever.
  if (!now_is && now_is.error().code == Code::not_found) return {};
  BAVN_TRY(auto c, std::move(now_is));
  BAVN_TRY(const Picture p, picture_of(tx, c.id));
  if (p.things.empty()) return {};
  const auto signs = facts_from(p.signs);
  const auto edges = edges_of(p);

  const std::int64_t last_before = c.last_us, mails_before = c.mails;
  // What it is.
  std::set<std::int64_t> municipalities, tellers;
  std::set<std::string_view> senders;
  std::int64_t of_notices = 0, of_edges = 0, observables = 0;
  c.outside = 0;
  c.first_us = INT64_MAX;
  c.noticed_us = INT64_MAX;
  for (const auto& t : p.things) {
    c.first_us = std::min(c.first_us, t.first_us);
    c.last_us = std::max(c.last_us, t.last_us);
    c.noticed_us = std::min(c.noticed_us, t.noticed_us);
    if (t.kind == "notice") {
      of_notices += t.mails;
      c.outside += t.outside;
    }
    if (t.kind != "group") tellers.insert(t.municipality);
    if (!t.sender.empty()) senders.insert(t.sender);
    if (t.from_municipality != 0) municipalities.insert(t.from_municipality);
    observables += t.about_kind.empty() ? 0 : 1;
  }
  for (const auto& [key, e] : edges) {
    municipalities.insert(key.second);
    of_edges += e.mails;
  }
  for (const auto& r : p.reach)
    if (r.thing.starts_with("group:")) tellers.insert(r.municipality);
  std::set<std::string> taken, kinds;
  for (const auto& s : p.signs) {
    if (s.municipality != 0) tellers.insert(s.municipality);
    if (is_takeover(s.kind))
      if (const auto t =
              std::find_if(p.things.begin(), p.things.end(), [&](const ThingRow& x) { return x.key == s.thing; });
          t != p.things.end() && !t->sender.empty())
        taken.insert(t->sender);
  }
  c.municipalities = static_cast<std::int64_t>(municipalities.size());
  c.senders = static_cast<std::int64_t>(senders.size());
  c.mails = std::max(of_notices, of_edges + c.outside);
  c.sole = tellers.size() == 1 ? *tellers.begin() : 0;
  Weight w = weigh(signs, c.mails, options);
  for (const auto& t : p.things)
    if (t.kind != "group" && t.withdrawn == 0) w.identity = true;  // fan-out beyond its own baseline
  for (const auto& s : w.second) kinds.insert(s.kind);
  c.clicks = w.clicks;
  c.reporters = w.reporters;
  c.spread = spread_of(c.municipalities);
  c.impact = impact_of(w, c.mails, static_cast<std::int64_t>(taken.size()));
  c.severity = std::max(c.spread, c.impact);
  c.rank = c.severity * 1'000'000 + w.groups() * 100'000 + std::min<std::int64_t>(c.municipalities, 999) * 100 +
           (c.would_light_us > 0 ? 10'000'000 : 0);
  c.active_us = micros(tx.now());

  if (c.state == "false") return save(tx, c);
  if (c.state == "over") {  // it goes on
    // A warning that ended is not sent again for a late click: only for more mails, and by what may light now.
    if (c.lit_us > 0 && c.last_us <= last_before && c.mails <= mails_before) return save(tx, c);
    c.state = c.lit_us > 0 || c.suspicion_us > 0 ? "suspicion" : "candidate";
    c.over_us = 0;
    BAVN_CHECK(tx.set_timer(tx.now() + options.quiet, kQuietTimer, std::to_string(c.id)));
    if (c.trigger == "person") return light(tx, c, "person", std::string(c.lit_by));
  }

  // What is told again when it changes.
  std::string what = fmt::format("{}|{}|{}|{}|", c.severity, c.senders, observables,
                                 std::bit_width(static_cast<std::uint64_t>(c.municipalities)));
  for (const auto& k : kinds) what += k + " ";

  // What follows.
  if (c.state != "lit") {
    BAVN_TRY(const Verdict v, verdict(tx, c, p, signs));
    if (!v.trigger.empty()) {
      BAVN_TRY(const auto mode, mode_of(tx, v.trigger));
      std::int64_t of_one = 0;
      if (c.sole != 0) {
        BAVN_TRY(of_one,
                 tx.number("SELECT count(*) FROM corr_campaign WHERE lit_us >= :f AND lit_us > 0 AND sole = :m AND "
                           "judged < 0 AND id <> :i",
                           {{"f", tx.now() - options.light_of_one_window}, {"m", c.sole}, {"i", c.id}}));
      }
      if (c.sole != 0 && of_one >= options.light_of_one) {
        // Who lights one after another on its own word is a person's business, within the places of the shift.
        if (c.state == "candidate" || c.state == "waiting") BAVN_CHECK(suspect(tx, c, false));
      } else if (mode == Mode::live) {
        c.told = c.mails;
        c.told_what = what;
        return light(tx, c, v.trigger, "trigger:" + v.trigger);
      } else if (c.would_light_us == 0) {
        c.would_light_us = micros(tx.now());
        c.trigger = v.trigger;
        c.rank += 10'000'000;
        // What a person must confirm waits for no shift.
        if (c.state != "suspicion") BAVN_CHECK(suspect(tx, c, true));
      }
    } else if ((c.state == "candidate" || c.state == "waiting") && w.groups() >= 2) {
      BAVN_CHECK(suspect(tx, c, false));
    }
  }
  if (c.state == "lit" || c.state == "suspicion") {
    const bool first = c.told_what.empty();
    if (what != c.told_what || c.mails >= 2 * std::max<std::int64_t>(c.told, 1)) {
      c.told_what = what;
      c.told = c.mails;
      if (!first)
        BAVN_CHECK(tx.emit(
            "campaign.updated", std::to_string(c.id),
            fmt::format(R"({{"severity":{},"municipalities":{},"mails":{}}})", c.severity, c.municipalities, c.mails)));
    }
  }
  return save(tx, c);
}

Result<void> Correlator::Inner::on_shift(store::Tx& tx) {
  BAVN_TRY(const auto waiting,
           tx.all<std::int64_t>("SELECT id FROM corr_campaign WHERE state = 'waiting' ORDER BY rank DESC, id "
                                "LIMIT 100"));
  for (const auto id : waiting) {
    BAVN_TRY(auto c, need_campaign(tx, id));
    if (c.state != "waiting") continue;
    BAVN_CHECK(suspect(tx, c, false));
    BAVN_CHECK(save(tx, c));
  }
  BAVN_TRY(const auto left, tx.number("SELECT count(*) FROM corr_campaign WHERE state = 'waiting'"));
  return left > 0 ? tx.set_timer(from_micros(shift_start(tx.now())) + options.shift, kShiftTimer, "next")
                  : Result<void>{};
}

Result<void> Correlator::Inner::on_quiet(store::Tx& tx, std::int64_t id) {
  BAVN_TRY(auto found, campaign(tx, id));
  if (!found) return {};
  CampaignRow& c = *found;
  if (c.state == "merged" || c.state == "over") return {};
  // Candidates are kept for as long as something may still be about them: a takeover may be noticed two days later.
  const bool shown = c.state == "lit" || c.state == "suspicion";
  const auto wait = shown ? options.quiet : std::max({options.quiet, options.takeover_window, options.campaign_window});
  const Instant due = from_micros(c.active_us) + wait;
  if (due > tx.now()) return tx.set_timer(due, kQuietTimer, std::to_string(id));
  if (c.state != "false") {
    c.state = "over";
    c.over_us = micros(tx.now());
    BAVN_CHECK(save(tx, c));
    if (shown) return tx.emit("campaign.over", std::to_string(id), R"({"by":"quiet"})");
  }
  if (c.suspicion_us > 0 || c.lit_us > 0 || c.would_light_us > 0) return {};
  // Who was never suspected is not remembered in detail; the counts stay.
  for (const std::string_view sql :
       {"DELETE FROM corr_reach WHERE thing IN (SELECT key FROM corr_thing WHERE campaign = :c)",
        "DELETE FROM corr_sign WHERE thing IN (SELECT key FROM corr_thing WHERE campaign = :c)",
        "DELETE FROM corr_part WHERE thing IN (SELECT key FROM corr_thing WHERE campaign = :c)",
        "DELETE FROM corr_thing WHERE campaign = :c", "DELETE FROM corr_link WHERE campaign = :c",
        "DELETE FROM corr_near WHERE campaign = :c", "DELETE FROM corr_outside WHERE campaign = :c"})
    BAVN_CHECK(change(tx, sql, {{"c", id}}));
  return {};
}

}  // namespace bavn::correlate
