#pragma once
// Reading what correlation knows: for the analyst's pages, warnings, and simulations. Functions over a store::Reader, so they also work
// inside a Tx (State::read does not, there). Whoever shows this to a municipality shows it `for_municipality`: its own hits and the sender
// that may be named, counts of others, never others by name.
// Life: values. Thread rules: as the Reader's.
#include <boost/describe/class.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/catalogue.hpp"
#include "base/ids.hpp"
#include "base/time.hpp"
#include "correlate/options.hpp"
#include "store/retention.hpp"
#include "store/sql/db.hpp"
#include "store/state.hpp"

namespace bavn::correlate {

struct Campaign {
  std::int64_t id = 0;
  std::string state;          // candidate, waiting, suspicion, lit, over, false, merged
  std::string cause;          // what opened it: sender_notice, burst, url, attachment
  std::string trigger;        // what lit it, or would in shadow: sender_notice, burst, person; empty
  std::int64_t severity = 0;  // 0-4: max(own impact, spread)
  std::int64_t impact = 0, spread = 0;
  std::int64_t first_us = 0, last_us = 0;                                      // of its mails
  std::int64_t noticed_us = 0;                                                 // by the first node
  std::int64_t opened_us = 0;                                                  // known here since
  std::int64_t suspicion_us = 0, would_light_us = 0, lit_us = 0, over_us = 0;  // 0: not
  std::string lit_by;                                                          // "trigger:sender_notice" or a person
  std::int64_t judged = -1;                                                    // 1 real, 0 false, -1 nobody said
  std::string judged_by, judged_why;
  std::int64_t judged_us = 0;
  std::int64_t municipalities = 0, senders = 0, mails = 0, outside = 0, clicks = 0, reporters = 0;
  std::int64_t merged_into = 0;
  std::int64_t doubted = 0;  // the sender's municipality said no
};
BOOST_DESCRIBE_STRUCT(Campaign, (),
                      (id, state, cause, trigger, severity, impact, spread, first_us, last_us, noticed_us, opened_us,
                       suspicion_us, would_light_us, lit_us, over_us, lit_by, judged, judged_by, judged_why, judged_us,
                       municipalities, senders, mails, outside, clicks, reporters, merged_into, doubted))

/// low, low, medium, high, critical for 0-4.
std::string_view severity_name(std::int64_t severity);

struct CampaignSender {
  std::string address, domain;
  std::int64_t municipality = 0;
  std::int64_t mails = 0, first_us = 0;
  std::int64_t takeover = 0;  // its account shows a takeover sign
};
BOOST_DESCRIBE_STRUCT(CampaignSender, (), (address, domain, municipality, mails, first_us, takeover))

/// Who -> whom. to = 0: outside the community.
struct CampaignEdge {
  std::int64_t from = 0, to = 0;
  std::int64_t mails = 0, first_us = 0, last_us = 0;
};
BOOST_DESCRIBE_STRUCT(CampaignEdge, (), (from, to, mails, first_us, last_us))

struct CampaignSign {
  std::string group, kind;
  std::int64_t municipality = 0, at_us = 0, count = 0;
  std::string detail;
};
BOOST_DESCRIBE_STRUCT(CampaignSign, (), (group, kind, municipality, at_us, count, detail))

/// kind: email, url, domain, file_name, sha256.
struct CampaignObservable {
  std::string kind, value;
  std::int64_t municipalities = 0, first_us = 0;
};
BOOST_DESCRIBE_STRUCT(CampaignObservable, (), (kind, value, municipalities, first_us))

/// A domain outside the community that got it. told: how and by whom its letter went out; empty: not yet.
struct OutsideRecipient {
  std::string domain, kind;
  std::int64_t first_us = 0;
  std::string told_by;
  std::int64_t told_us = 0;
};
BOOST_DESCRIBE_STRUCT(OutsideRecipient, (), (domain, kind, first_us, told_by, told_us))

struct VictimKind {
  std::string kind;  // kind_of_victim, "member" for those of the community
  std::int64_t count = 0;
};
BOOST_DESCRIBE_STRUCT(VictimKind, (), (kind, count))

/// How many municipalities were reached by when: for the picture of its spread.
struct SpreadStep {
  std::int64_t at_us = 0, municipalities = 0, mails = 0;
};
BOOST_DESCRIBE_STRUCT(SpreadStep, (), (at_us, municipalities, mails))

/// When a municipality's own node noticed it, as sender or as receiver.
struct CampaignNoticed {
  std::int64_t municipality = 0, at_us = 0;
};
BOOST_DESCRIBE_STRUCT(CampaignNoticed, (), (municipality, at_us))

struct CampaignFacts {
  Campaign campaign;
  std::vector<CampaignSender> senders;
  std::vector<CampaignEdge> edges;
  std::vector<CampaignSign> signs;
  std::vector<CampaignObservable> observables;
  std::vector<OutsideRecipient> outside;
  std::vector<VictimKind> victims;
  std::vector<SpreadStep> spread;
  std::vector<CampaignNoticed> noticed;
  std::vector<std::string> notices;  // sender notices it is made of, as in SenderIds
  double municipalities_per_hour = 0;
  // From its first mail, in seconds; -1: not (yet).
  std::int64_t seconds_to_notice = -1, seconds_to_hub = -1, seconds_to_lit = -1;
};
BOOST_DESCRIBE_STRUCT(CampaignFacts, (),
                      (campaign, senders, edges, signs, observables, outside, victims, spread, noticed, notices,
                       municipalities_per_hour, seconds_to_notice, seconds_to_hub, seconds_to_lit))

/// One of the things it is made of: a sender notice, a burst, a group of digests.
struct CampaignThing {
  std::string kind;        // notice, burst, group
  std::string sender;      // of a notice or burst
  std::string about_kind;  // url, attachment; empty: nothing was revealed
  std::string about, about_name;
  std::int64_t municipality = 0, first_us = 0;
  std::int64_t received_us = 0;  // known here since
};
BOOST_DESCRIBE_STRUCT(CampaignThing, (),
                      (kind, sender, about_kind, about, about_name, municipality, first_us, received_us))

struct CampaignFilter {
  std::vector<std::string> states;  // empty: all but candidate and merged
  std::int64_t since_us = 0;        // opened since
  std::int64_t before_id = 0;       // paging, newest first; 0: from the newest
  bool only_lit = false;            // only what was lit once
  std::int64_t limit = 100;         // at most 1,000
};

struct CauseCount {
  std::string cause;
  std::int64_t opened = 0;  // since
  std::int64_t open = 0;    // still candidates now
};
BOOST_DESCRIBE_STRUCT(CauseCount, (), (cause, opened, open))

struct Trigger {
  std::string name, mode, why, by_whom;
  std::int64_t since_us = 0;
  std::int64_t opened = 0, suspicions = 0, would_light = 0, lit = 0, real = 0, not_real = 0, not_judged = 0;
};
BOOST_DESCRIBE_STRUCT(Trigger, (),
                      (name, mode, why, by_whom, since_us, opened, suspicions, would_light, lit, real, not_real,
                       not_judged))

/// False warnings, and what they allow us to say: exact Poisson limits at 95 %, one-sided when there was none (the rule of three).
struct FalseWarnings {
  std::int64_t not_real = 0, lit = 0, not_judged = 0;
  double days = 0;                                 // looked at
  double a_month = 0, at_least = 0, at_most = 0;   // of 30 days
  std::int64_t would_not_real = 0, would_lit = 0;  // the same of what ran in shadow
};
BOOST_DESCRIBE_STRUCT(FalseWarnings, (),
                      (not_real, lit, not_judged, days, a_month, at_least, at_most, would_not_real, would_lit))
/// The same from numbers.
FalseWarnings false_warnings_of(std::int64_t not_real, double days);

struct Refusal {
  std::int64_t municipality = 0;
  std::string kind, reason;
  std::int64_t count = 0, first_us = 0, last_us = 0;
  std::string example;
};
BOOST_DESCRIBE_STRUCT(Refusal, (), (municipality, kind, reason, count, first_us, last_us, example))

Result<std::vector<Campaign>> campaigns(store::Reader& db, const CampaignFilter& filter);
/// not_found: no such campaign. merged ones answer as what they were merged into.
Result<CampaignFacts> facts_of(store::Reader& db, std::int64_t campaign);
/// Earliest known first, at most 5,000. What was never suspected has none once it is over.
Result<std::vector<CampaignThing>> things_of(store::Reader& db, std::int64_t campaign);
/// Ids of its sender notices, as in SenderIds.
Result<std::vector<std::string>> notices_of(store::Reader& db, std::int64_t campaign);
/// What one municipality may see of it: its own edges and signs, counts of the rest.
CampaignFacts for_municipality(CampaignFacts facts, MunicipalityId of);
/// The same for somebody who works for several.
CampaignFacts for_municipalities(CampaignFacts facts, const std::vector<MunicipalityId>& own);
/// Who sent first; empty: nobody is known. mails is not counted.
Result<std::optional<CampaignSender>> first_sender(store::Reader& db, std::int64_t campaign);
Result<std::vector<CauseCount>> candidates_by_cause(store::Reader& db, Instant since);
/// Open ones by rank; those that wait for the next shift are in `waiting` only.
struct Suspicions {
  std::vector<Campaign> open;
  std::int64_t waiting = 0, this_shift = 0;
};
Result<Suspicions> suspicions(store::Reader& db, Instant now, const Options& options);
Result<std::vector<Trigger>> triggers(store::Reader& db, Instant since);
Result<FalseWarnings> false_warnings(store::Reader& db, Instant now, std::chrono::days over);
Result<std::vector<Refusal>> refused(store::Reader& db);

/// How much a municipality's word counts: after a false warning its signs alone light nothing (alone = 0) until somebody says so.
struct Standing {
  std::int64_t municipality = 0, alone = 1, not_real = 0, real = 0, since_us = 0;
  std::string why, by_whom;
};
BOOST_DESCRIBE_STRUCT(Standing, (), (municipality, alone, not_real, real, since_us, why, by_whom))
Result<std::vector<Standing>> standings(store::Reader& db);

/// Duty contacts that were to be called, and calls the month's budget withheld (made = 0). Newest first, at most 500.
struct Call {
  std::int64_t municipality = 0, at_us = 0, night = 0, made = 0;
  std::string about, reason;
};
BOOST_DESCRIBE_STRUCT(Call, (), (municipality, at_us, night, made, about, reason))
Result<std::vector<Call>> calls(store::Reader& db);

/// Campaigns and what belongs to them, and single signs that nothing came of, by age.
std::vector<store::RetentionRule> retention();
/// A person wrote to a recipient outside. Audited.
Result<void> told_outside(store::Tx& tx, std::int64_t campaign, std::string_view domain, std::string_view who);

/// Recipients outside the community as a list (CSV: domain,kind,first_seen), and the letter to one of them in its language.
std::string outside_csv(const CampaignFacts& facts);
struct Letter {
  std::string subject, body;
};
struct LetterFrom {
  std::string cert, phone, mail;  // who writes, how to reach them
  std::string zone = "Europe/Copenhagen";
};
Letter letter_to(const CampaignFacts& facts, const OutsideRecipient& to, const LetterFrom& from, Language language,
                 const Catalogue& texts, bool name_sender);

}  // namespace bavn::correlate
