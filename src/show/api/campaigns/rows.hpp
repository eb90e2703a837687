#pragma once
// A campaign as lists and the first screen show it, and a suspicion with why it is one. Life: values. Thread rules: as the Reader's.
#include "show/api/hub_inner.hpp"

namespace bavn::show::api {

struct CampaignCounts {
  std::int64_t municipalities = 0, senders = 0, mails = 0, outside = 0;
  std::optional<std::int64_t> clicks{}, reporters{};
};
BOOST_DESCRIBE_STRUCT(CampaignCounts, (), (municipalities, senders, mails, outside, clicks, reporters))

struct CampaignFrom {
  std::string domain;
  std::optional<Town> municipality;
  bool may_be_named = false;
};
BOOST_DESCRIBE_STRUCT(CampaignFrom, (), (domain, municipality, may_be_named))

struct MinutesWon {
  double minutes = 0, baseline = 0;
  std::string against;
};
BOOST_DESCRIBE_STRUCT(MinutesWon, (), (minutes, baseline, against))

struct CampaignMinutes {
  std::optional<double> to_notice, to_hub, to_warning, first_warned, all_warned, to_emptied, to_ended;
  std::optional<MinutesWon> won;
};
BOOST_DESCRIBE_STRUCT(CampaignMinutes, (),
                      (to_notice, to_hub, to_warning, first_warned, all_warned, to_emptied, to_ended, won))

struct CampaignWarning {
  std::string id, state;
  std::int64_t version = 0, asked = 0, answered = 0, seen_here = 0;
};
BOOST_DESCRIBE_STRUCT(CampaignWarning, (), (id, state, version, asked, answered, seen_here))

struct NextStep {
  std::string kind, href;
};
BOOST_DESCRIBE_STRUCT(NextStep, (), (kind, href))

struct CampaignRow {
  std::string id, state, severity, cause;
  std::optional<std::string> trigger;
  std::string first_mail_at, last_mail_at;
  When noticed_at;
  std::string opened_at;
  When suspicion_at, would_light_at, lit_at, over_at;
  std::optional<std::string> lit_by;
  std::string judged;
  std::optional<std::string> judged_by, judged_why;
  When judged_at;
  std::optional<bool> doubted;
  std::optional<CampaignFrom> from;
  CampaignCounts counts;
  CampaignMinutes minutes;
  std::optional<CampaignWarning> warning;
  NextStep next_step;
};
BOOST_DESCRIBE_STRUCT(CampaignRow, (),
                      (id, state, severity, cause, trigger, first_mail_at, last_mail_at, noticed_at, opened_at,
                       suspicion_at, would_light_at, lit_at, over_at, lit_by, judged, judged_by, judged_why, judged_at,
                       doubted, from, counts, minutes, warning, next_step))

struct WhySign {
  std::string group, kind;
  std::int64_t count = 0, municipalities = 0;
  std::string first_at, detail;
};
BOOST_DESCRIBE_STRUCT(WhySign, (), (group, kind, count, municipalities, first_at, detail))

struct Suspicion : CampaignRow {
  std::vector<WhySign> why;
  std::vector<std::string> missing;
  std::vector<ShownObservable> observables;
};
BOOST_DESCRIBE_STRUCT(Suspicion, (CampaignRow), (why, missing, observables))

CampaignWarning warning_of(const warn::WarningSum& sum);
/// What this person may know of it. warnings: of this campaign, newest first.
CampaignRow row_of(const Hub& hub, const event::Scope& scope, const correlate::Campaign& c,
                   const std::optional<correlate::CampaignSender>& sender,
                   const std::vector<warn::WarningSum>& warnings);
/// The same, and reads what belongs to it.
Result<CampaignRow> read_row(const Hub& hub, store::Reader& db, const event::Scope& scope,
                             const correlate::Campaign& c);
Result<Suspicion> read_suspicion(const Hub& hub, store::Reader& db, const event::Scope& scope,
                                 const correlate::Campaign& c);
ShownObservable observable_of(const Hub& hub, const correlate::CampaignObservable& o);
/// One who sees only some municipalities sees what was lit, as each of them may.
bool may_see(const event::Scope& scope, const correlate::Campaign& c);

}  // namespace bavn::show::api
