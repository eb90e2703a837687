#include "show/api/campaigns/campaign.hpp"

#include <algorithm>

namespace bavn::show::api {

namespace {

using Values = std::map<std::string, std::string>;

struct Steps {
  const Hub& hub;
  std::vector<std::pair<std::int64_t, TimelineStep>> all{};
  void add(std::int64_t us, std::string kind, Values values = {}, std::int64_t municipality = 0) {
    if (us <= 0) return;
    all.emplace_back(
        us, TimelineStep{at_always(us), std::move(kind),
                         municipality > 0 ? std::optional(hub.town(municipality)) : std::nullopt, std::move(values)});
  }
  std::vector<TimelineStep> in_order() {
    std::ranges::stable_sort(all, {}, [](const auto& s) { return s.first; });
    std::vector<TimelineStep> out;
    out.reserve(all.size());
    for (auto& [us, step] : all) out.push_back(std::move(step));
    return out;
  }
};

std::vector<std::string> may_do(const event::Scope& scope, const correlate::Campaign& c, bool open_warning) {
  using event::Right;
  std::vector<std::string> may;
  const bool publish = scope.may(Right::publish), write = scope.may(Right::alert_write);
  if (!scope.sees_all()) return may;
  if (publish && c.judged != 0 && c.state != "lit") may.emplace_back("confirm");
  if (write && c.judged != 1) may.emplace_back("judge_real");
  if (write && c.judged != 0 && (publish || c.lit_us == 0)) may.emplace_back("judge_false");
  if (write && (c.state == "lit" || c.state == "suspicion" || c.state == "waiting")) may.emplace_back("close");
  if (write && c.judged != 0) may.emplace_back("merge");
  if (publish && !open_warning && c.judged != 0) may.emplace_back("draft_warning");
  return may;
}

}  // namespace

std::map<std::int64_t, TownPart> town_parts(const correlate::CampaignFacts& facts,
                                            const std::vector<warn::WarningView>& warnings) {
  std::map<std::int64_t, TownPart> parts;
  for (const auto& e : facts.edges) {
    if (e.from > 0) parts[e.from].sender = true;
    if (e.to <= 0) continue;
    TownPart& p = parts[e.to];
    p.first_us = p.first_us == 0 ? e.first_us : std::min(p.first_us, e.first_us);
    p.last_us = std::max(p.last_us, e.last_us);
    p.mails += e.mails;
  }
  for (const auto& s : facts.senders)
    if (s.municipality > 0) parts[s.municipality].sender = true;
  for (const auto& n : facts.noticed) parts[n.municipality].noticed_us = n.at_us;
  // The newest warning's answer counts; an older one only where the newest has none.
  for (const auto& w : warnings)
    for (const auto& a : w.answers) {
      const bool concerned = parts.contains(a.municipality.value);
      const bool hit = a.answer && (a.answer->hits > 0 || a.answer->purged > 0 || a.answer->purge_left > 0);
      if (!concerned && !hit) continue;
      TownPart& p = parts[a.municipality.value];
      p.reminders += a.reminders;
      if (p.answer || !a.answer) continue;
      p.answered_us = a.received_us;
      p.answer = a.answer;
      if (a.answer->ended_us) p.ended_us = *a.answer->ended_us;
      if (a.minutes_to_ended && p.ended_us == 0) {
        const std::int64_t from = a.answer->first_hit_us > 0 ? a.answer->first_hit_us : w.warning.first_seen_us;
        p.ended_us = from + static_cast<std::int64_t>(*a.minutes_to_ended * 60e6);
      }
    }
  return parts;
}

Result<CampaignPage> campaign_page(const Hub& hub, const event::Scope& scope, std::int64_t id) {
  CampaignPage v;
  correlate::CampaignFacts facts;
  std::vector<warn::WarningSum> sums;
  std::vector<correlate::Call> calls;
  BAVN_CHECK(hub.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(facts, correlate::facts_of(db, id));
    if (!may_see(scope, facts.campaign)) return fail(Code::not_found, fmt::format("there is no campaign {}", id));
    const std::string name = std::to_string(facts.campaign.id);
    BAVN_TRY(sums, hub.warnings.sums_of(db, name));
    BAVN_TRY(const auto sender, correlate::first_sender(db, facts.campaign.id));
    static_cast<CampaignRow&>(v) = row_of(hub, scope, facts.campaign, sender, sums);
    BAVN_TRY(calls, correlate::calls(db));
    std::erase_if(calls, [&](const correlate::Call& c) {
      return c.about != "campaign:" + name || !hub.sees(scope, c.municipality);
    });
    return {};
  }));
  v.outside = {.domains = std::ssize(facts.outside), .told = 0, .kinds = {}};
  for (const auto& o : facts.outside) {
    v.outside.told += o.told_us > 0 ? 1 : 0;
    const auto at = std::ranges::find(v.outside.kinds, o.kind, &KindCount::kind);
    if (at == v.outside.kinds.end()) v.outside.kinds.push_back({o.kind, 1});
    else ++at->count;
  }
  std::ranges::stable_sort(v.outside.kinds, std::greater{}, &KindCount::count);
  if (!scope.sees_all()) facts = correlate::for_municipalities(std::move(facts), scope.municipalities());
  const correlate::Campaign& c = facts.campaign;

  std::vector<warn::WarningView> warnings;
  for (const auto& sum : sums) {
    auto shown = hub.warnings.show(scope, sum.id);
    if (shown) warnings.push_back(std::move(*shown));
    else if (shown.error().code != Code::not_found) return std::unexpected(shown.error());
    else continue;  // marked for fewer eyes than this person's
    v.warnings.push_back(warning_of(sum));
  }
  const auto parts = town_parts(facts, warnings);

  v.impact = c.impact;
  v.spread = c.spread;
  v.municipalities_per_hour = facts.municipalities_per_hour;
  for (const auto& s : facts.senders)
    v.senders.push_back({filled(s.address), s.domain,
                         s.municipality > 0 ? std::optional(hub.town(s.municipality)) : std::nullopt, s.mails,
                         at_always(s.first_us), s.takeover != 0});
  const std::int64_t decided_us = c.lit_us > 0 ? c.lit_us : c.suspicion_us;
  for (const auto& s : facts.signs)
    v.signs.push_back({s.group, s.kind, s.municipality > 0 ? std::optional(hub.town(s.municipality)) : std::nullopt,
                       at_always(s.at_us), s.count, s.detail, decided_us > 0 && s.at_us <= decided_us});
  for (const auto& e : facts.edges) {
    CampaignArrow a;
    if (e.from > 0) a.from = hub.town(e.from);
    if (e.to > 0) a.to = hub.town(e.to);
    else if (scope.sees_all()) a.outside = true;
    a.mails = e.mails;
    a.first_at = at_always(e.first_us);
    a.last_at = at_always(e.last_us);
    v.arrows.push_back(std::move(a));
  }
  for (const auto& s : facts.spread) v.spread_steps.push_back({at_always(s.at_us), s.municipalities, s.mails});
  for (const auto& o : facts.observables) v.observables.push_back(observable_of(hub, o));
  for (const auto& o : facts.victims) v.victims.push_back({o.kind, o.count});

  std::vector<std::pair<std::int64_t, CampaignTown>> towns;
  for (const auto& [municipality, p] : parts) {
    if (!hub.sees(scope, municipality) || (p.mails == 0 && !p.answer)) continue;
    CampaignTown t;
    auto town = hub.town(municipality);
    t.code = std::move(town.code);
    t.name = std::move(town.name);
    t.first_mail_at = at(p.first_us);
    t.last_mail_at = at(p.last_us);
    t.mails = p.mails;
    t.noticed_at = at(p.noticed_us);
    t.answered_at = at(p.answered_us);
    if (p.answer) {
      t.warned_at = at(p.answer->warned_us);
      t.answer = p.answer->state;
      t.hits = p.answer->hits;
      t.clicks = p.answer->clicks;
      t.emptied = p.answer->purged;
      t.left = p.answer->purge_left;
      if (p.answer->purged > 0 && p.answer->purge_left == 0) t.emptied_at = at(p.answer->emptied_us);
    }
    t.ended_at = at(p.ended_us);
    t.reminders = p.reminders;
    towns.emplace_back(p.first_us == 0 ? INT64_MAX : p.first_us, std::move(t));
  }
  std::ranges::stable_sort(towns, {}, [](const auto& t) { return t.first; });
  for (auto& [us, town] : towns) v.municipalities.push_back(std::move(town));

  Steps steps{hub};
  const std::int64_t sender = facts.senders.empty() ? 0 : facts.senders.front().municipality;
  steps.add(c.first_us, "first_mail", {}, v.from && v.from->municipality ? sender : 0);
  steps.add(c.noticed_us, "noticed", {{"cause", c.cause}});
  steps.add(c.opened_us, "known_at_hub");
  for (const auto& s : facts.signs)
    steps.add(s.at_us, "sign", {{"group", s.group}, {"sign", s.kind}, {"count", std::to_string(s.count)}},
              s.municipality);
  steps.add(c.suspicion_us, "suspicion");
  steps.add(c.would_light_us, "would_light", {{"trigger", c.trigger}});
  steps.add(c.lit_us, "lit", {{"by", c.lit_by}});
  for (const auto& w : warnings)
    for (const auto& version : w.versions)
      steps.add(version.at_us, "warning",
                {{"id", w.warning.id},
                 {"version", std::to_string(version.version)},
                 {"state", version.state},
                 {"by", version.by}});
  for (const auto& call : calls)
    steps.add(
        call.at_us, "call",
        {{"made", call.made != 0 ? "yes" : "no"}, {"night", call.night != 0 ? "yes" : "no"}, {"reason", call.reason}},
        call.municipality);
  for (const auto& [municipality, p] : parts) {
    if (!hub.sees(scope, municipality)) continue;
    steps.add(p.first_us, "reached", {{"mails", std::to_string(p.mails)}}, municipality);
    if (!p.answer) continue;
    steps.add(p.answered_us, "answered", {{"state", p.answer->state}}, municipality);
    steps.add(p.answer->warned_us, "warned", {}, municipality);
    if (p.answer->purged > 0)
      steps.add(p.answer->emptied_us, "emptied",
                {{"mails", std::to_string(p.answer->purged)}, {"left", std::to_string(p.answer->purge_left)}},
                municipality);
    steps.add(p.ended_us, "ended", {}, municipality);
  }
  steps.add(c.judged_us, "judged", {{"real", c.judged == 1 ? "yes" : "no"}, {"by", c.judged_by}});
  if (c.over_us > 0) steps.add(c.last_us, "last_mail");
  steps.add(c.over_us, "over");
  v.timeline = steps.in_order();
  const bool open_warning =
      std::ranges::any_of(sums, [](const auto& s) { return s.state != "over" && s.state != "withdrawn"; });
  v.may = may_do(scope, c, open_warning);
  return v;
}

}  // namespace bavn::show::api
