#include "show/api/campaigns/rows.hpp"

#include <algorithm>
#include <array>

namespace bavn::show::api {

namespace {

NextStep next_step(const correlate::Campaign& c, const std::vector<warn::WarningSum>& warnings) {
  const std::string id = std::to_string(c.id);
  const warn::WarningSum* newest = warnings.empty() ? nullptr : &warnings.front();
  if (c.state == "suspicion" || c.state == "waiting") return {"judge", "/suspicions?id=" + id};
  if (newest != nullptr && newest->state == "draft") return {"send_draft", "/warnings/" + newest->id};
  if (c.state == "lit" && c.judged < 0) return {"confirm_or_judge", "/campaigns/" + id};
  if (c.state == "lit" && newest != nullptr && newest->answered < newest->asked)
    return {"call_silent", "/warnings/" + newest->id};
  if (c.state == "lit") return {"close", "/campaigns/" + id};
  if (c.state == "over" && c.lit_us > 0 && c.judged < 0) return {"judge_late", "/campaigns/" + id};
  return {"nothing", "/campaigns/" + id};
}

CampaignMinutes minutes_of(const Hub& hub, const correlate::Campaign& c,
                           const std::vector<warn::WarningSum>& warnings) {
  CampaignMinutes m;
  m.to_notice = minutes_between(c.first_us, c.noticed_us);
  m.to_hub = minutes_between(c.first_us, c.opened_us);
  m.to_warning = minutes_between(c.first_us, c.lit_us);
  if (!warnings.empty()) {
    const warn::WarningSum& w = warnings.front();
    m.first_warned = minutes_between(c.first_us, w.first_warned_us);
    m.all_warned = minutes_between(c.first_us, w.all_warned_us);
    m.to_emptied = minutes_between(c.first_us, w.emptied_us);
    m.to_ended = minutes_between(c.first_us, w.ended_us);
  }
  const auto baseline = static_cast<double>(hub.setting("campaigns.baseline_minutes"));
  if (m.to_warning && baseline > 0 && c.judged != 0)
    m.won = MinutesWon{std::max(0.0, baseline - *m.to_warning), baseline,
                       hub.settings != nullptr ? hub.settings->text("campaigns.baseline_case") : "2024-10"};
  return m;
}

}  // namespace

bool may_see(const event::Scope& scope, const correlate::Campaign& c) {
  return scope.sees_all() || c.lit_us > 0;
}

CampaignWarning warning_of(const warn::WarningSum& s) {
  return {s.id, s.state, s.version, s.asked, s.answered, s.seen_here};
}

CampaignRow row_of(const Hub& hub, const event::Scope& scope, const correlate::Campaign& c,
                   const std::optional<correlate::CampaignSender>& sender,
                   const std::vector<warn::WarningSum>& warnings) {
  const bool all = scope.sees_all();
  CampaignRow v;
  v.id = std::to_string(c.id);
  v.state = c.state;
  v.severity = correlate::severity_name(c.severity);
  v.cause = c.cause;
  v.trigger = filled(c.trigger);
  v.first_mail_at = at_always(c.first_us);
  v.last_mail_at = at_always(c.last_us);
  v.noticed_at = at(c.noticed_us);
  v.opened_at = at_always(c.opened_us);
  v.suspicion_at = at(c.suspicion_us);
  v.would_light_at = at(c.would_light_us);
  v.lit_at = at(c.lit_us);
  v.over_at = at(c.over_us);
  v.lit_by = filled(c.lit_by);
  v.judged = c.judged == 1 ? "real" : c.judged == 0 ? "not_real" : "open";
  v.judged_by = filled(c.judged_by);
  if (all) v.judged_why = filled(c.judged_why);
  v.judged_at = at(c.judged_us);
  if (c.doubted != 0) v.doubted = true;
  if (sender && sender->municipality > 0) {
    const auto of = MunicipalityId{static_cast<std::uint16_t>(sender->municipality)};
    const auto member = hub.members.of(of);
    const bool named = member && member->may_be_named;
    if (all || named || scope.sees(of)) v.from = CampaignFrom{sender->domain, hub.town(of), named};
  } else if (sender && all) {
    v.from = CampaignFrom{sender->domain, std::nullopt, false};
  }
  v.counts = {.municipalities = c.municipalities, .senders = c.senders, .mails = c.mails, .outside = c.outside};
  if (all) {
    // The signs came up with the first mails, the answers when each had looked: the larger knows more.
    v.counts.clicks = c.clicks;
    for (const auto& w : warnings) v.counts.clicks = std::max(*v.counts.clicks, w.clicks);
    v.counts.reporters = c.reporters;
  }
  v.minutes = minutes_of(hub, c, warnings);
  if (!warnings.empty()) v.warning = warning_of(warnings.front());
  v.next_step = next_step(c, warnings);
  return v;
}

Result<CampaignRow> read_row(const Hub& hub, store::Reader& db, const event::Scope& scope,
                             const correlate::Campaign& c) {
  BAVN_TRY(const auto sender, correlate::first_sender(db, c.id));
  BAVN_TRY(const auto warnings, hub.warnings.sums_of(db, std::to_string(c.id)));
  return row_of(hub, scope, c, sender, warnings);
}

ShownObservable observable_of(const Hub& hub, const correlate::CampaignObservable& o) {
  auto v = hub.shown(o.kind, o.value);
  v.municipalities = o.municipalities;
  v.first_at = at(o.first_us);
  return v;
}

Result<Suspicion> read_suspicion(const Hub& hub, store::Reader& db, const event::Scope& scope,
                                 const correlate::Campaign& c) {
  constexpr std::array<std::string_view, 4> kGroups{"identity", "payload", "harm", "intelligence"};
  Suspicion v;
  BAVN_TRY(static_cast<CampaignRow&>(v), read_row(hub, db, scope, c));
  BAVN_TRY(const auto facts, correlate::facts_of(db, c.id));
  std::map<std::pair<std::string, std::string>, std::pair<WhySign, std::vector<std::int64_t>>> signs;
  for (const auto& s : facts.signs) {
    auto& [sign, towns] = signs[{s.group, s.kind}];
    if (sign.kind.empty()) sign = {s.group, s.kind, 0, 0, at_always(s.at_us), s.detail};  // signs are in order of time
    sign.count += s.count;
    if (s.municipality != 0 && std::ranges::find(towns, s.municipality) == towns.end()) towns.push_back(s.municipality);
  }
  for (auto& [key, sign] : signs) {
    sign.first.municipalities = std::ssize(sign.second);
    v.why.push_back(std::move(sign.first));
  }
  std::ranges::stable_sort(v.why, {}, [&](const WhySign& s) { return std::ranges::find(kGroups, s.group); });
  for (const auto group : kGroups)
    if (std::ranges::none_of(v.why, [&](const WhySign& s) { return s.group == group; })) v.missing.emplace_back(group);
  for (const auto& o : facts.observables) v.observables.push_back(observable_of(hub, o));
  return v;
}

}  // namespace bavn::show::api
