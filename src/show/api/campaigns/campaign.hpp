#pragma once
// The page of one campaign: who sent what to whom when, what was done about it. Life: values. Thread rules: as the Reader's.
#include "show/api/campaigns/rows.hpp"

namespace bavn::show::api {

struct CampaignSenderView {
  std::optional<std::string> address;
  std::string domain;
  std::optional<Town> municipality;
  std::int64_t mails = 0;
  std::string first_at;
  bool takeover = false;
};
BOOST_DESCRIBE_STRUCT(CampaignSenderView, (), (address, domain, municipality, mails, first_at, takeover))

struct CampaignSignView {
  std::string group, kind;
  std::optional<Town> municipality;
  std::string at;
  std::int64_t count = 0;
  std::string detail;
  bool decided = false;
};
BOOST_DESCRIBE_STRUCT(CampaignSignView, (), (group, kind, municipality, at, count, detail, decided))

struct TimelineStep {
  std::string at, kind;
  std::optional<Town> municipality;
  std::map<std::string, std::string> values;
};
BOOST_DESCRIBE_STRUCT(TimelineStep, (), (at, kind, municipality, values))

struct CampaignTown {
  std::string code;
  std::optional<std::string> name;
  When first_mail_at, last_mail_at;
  std::int64_t mails = 0;
  When noticed_at, warned_at, answered_at;
  std::optional<std::string> answer;
  std::optional<std::int64_t> hits, clicks, emptied, left;
  When emptied_at, ended_at;
  std::int64_t reminders = 0;
};
BOOST_DESCRIBE_STRUCT(CampaignTown, (),
                      (code, name, first_mail_at, last_mail_at, mails, noticed_at, warned_at, answered_at, answer, hits,
                       clicks, emptied, left, emptied_at, ended_at, reminders))

struct CampaignArrow {
  std::optional<Town> from, to;
  std::optional<bool> outside;
  std::int64_t mails = 0;
  std::string first_at, last_at;
};
BOOST_DESCRIBE_STRUCT(CampaignArrow, (), (from, to, outside, mails, first_at, last_at))

struct SpreadStep {
  std::string at;
  std::int64_t municipalities = 0, mails = 0;
};
BOOST_DESCRIBE_STRUCT(SpreadStep, (), (at, municipalities, mails))

struct OutsideSummary {
  std::int64_t domains = 0, told = 0;
  std::vector<KindCount> kinds;
};
BOOST_DESCRIBE_STRUCT(OutsideSummary, (), (domains, told, kinds))

struct CampaignPage : CampaignRow {
  std::int64_t impact = 0, spread = 0;
  double municipalities_per_hour = 0;
  std::vector<CampaignSenderView> senders;
  std::vector<CampaignSignView> signs;
  std::vector<TimelineStep> timeline;
  std::vector<CampaignTown> municipalities;
  std::vector<CampaignArrow> arrows;
  std::vector<SpreadStep> spread_steps;
  std::vector<ShownObservable> observables;
  OutsideSummary outside;
  std::vector<KindCount> victims;
  std::vector<CampaignWarning> warnings;
  std::vector<std::string> may;
};
BOOST_DESCRIBE_STRUCT(CampaignPage, (CampaignRow),
                      (impact, spread, municipalities_per_hour, senders, signs, timeline, municipalities, arrows,
                       spread_steps, observables, outside, victims, warnings, may))

/// What one municipality's part is made of, of those the scope sees: the map plays it again.
struct TownPart {
  std::int64_t first_us = 0, last_us = 0, mails = 0, noticed_us = 0, reminders = 0;
  std::int64_t answered_us = 0;
  std::optional<event::WarningAnswer> answer;
  std::int64_t ended_us = 0;
  bool sender = false;
};
std::map<std::int64_t, TownPart> town_parts(const correlate::CampaignFacts& facts,
                                            const std::vector<warn::WarningView>& warnings);

/// not_found also for what the scope may not see.
Result<CampaignPage> campaign_page(const Hub& hub, const event::Scope& scope, std::int64_t id);

}  // namespace bavn::show::api
