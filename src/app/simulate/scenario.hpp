#pragma once
// A scenario: a community, its people, its quiet days, what attacks it, and how it must end. Read from YAML; docs/scenarios.md documents
// every field and is written by the same descriptions that read them (scenario.cpp).
// Life: values. Thread rules: any thread.
#include <chrono>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ids.hpp"
#include "base/result.hpp"
#include "base/runtime.hpp"
#include "base/settings.hpp"

namespace bavn::app::simulate {

/// From .. to, drawn evenly.
struct Span {
  Duration low{0}, high{0};
};

/// Which municipalities: named ones, and so many others drawn by the seed.
struct TownChoice {
  bool all = false;
  std::int64_t some = 0;           // drawn; those named count as some of them
  std::vector<std::string> named;  // as written; checked when read
  std::vector<MunicipalityId> ids;
  std::vector<std::string> groups;  // "size S", "region Hovedstaden"
  std::uint32_t line = 0;
  bool wrong = false;  // something of it could not be read, and was said
  bool none() const { return !wrong && !all && some == 0 && ids.empty() && groups.empty(); }
};

/// share of those who do it at all have done it after so long; straight lines over the logarithm of time in between.
using Curve = std::vector<std::pair<Duration, double>>;

/// One log of a municipality. late: how long after it happened a record is here.
struct SourceSpec {
  bool there = true;
  Span late;
  double share = 1;  // of the municipalities this applies to that have it
};
using Sources =
    std::map<std::string, SourceSpec, std::less<>>;  // message_trace, audit_log, sign_in, directory_audit, ...

struct SourcesPlan {
  Sources everywhere;
  std::map<std::string, Sources, std::less<>> by_size, by_town;
};

struct People {
  std::map<std::string, double, std::less<>> mailboxes;  // per size class
  double click_rate = 0.03;
  Curve click_after;
  double login_rate = 0.35;  // of those who click
  double report_rate = 0.02;
  Curve report_after;
  double heed_rate = 0.7;  // of those who would click and have been warned
};

struct Staff {
  std::string from = "08:00", to = "16:00";
  std::string days = "mon-fri";
  Span analyst_decides{std::chrono::minutes{10}, std::chrono::minutes{30}};
  Span town_acts{std::chrono::minutes{60}, std::chrono::minutes{120}};  // people at a municipality, in office hours
  Span town_acts_at_night{std::chrono::hours{6}, std::chrono::hours{10}};
  Span tells_employees{std::chrono::minutes{5}, std::chrono::minutes{30}};
  double says_yes = 0.5;  // chance that a duty contact called about a true notice confirms it
  Span says_yes_after{std::chrono::minutes{10}, std::chrono::minutes{60}};
};

struct PurgePlan {
  TownChoice mandate;
  std::int64_t limit = 2000;  // mails an hour
  std::vector<std::string> protected_accounts;
};

struct Attachment {
  std::string name;
  bool active = false;
  bool fresh = true;  // another file for each mail-out; false: always the same
};

/// What mail of one kind looks like. {n} a number, {issue} new for each mail-out, {person} new for each recipient, {town} the receiver's name.
struct MailShape {
  std::vector<std::string> subjects;
  std::vector<std::string> links;
  std::vector<Attachment> attachments;
  bool qr_code = false, login_form = false, automatic = false, calendar = false, failed_auth = false;
  std::string list_id, signed_by;
  std::int64_t wordings = 1;  // variants of the text
};

/// Quiet mail of one kind.
struct BenignKind {
  std::string name, about;
  double per_day = 0;                // mail-outs on a working day, in the whole community; of a full community
  double usual = -1;                 // the same before the start; below zero: per_day
  bool from_start = false;           // nobody has seen it before
  double weekend = 0.05;             // of that on Saturdays and Sundays
  std::vector<std::string> senders;  // addresses; {i} 1 .. sender_count
  std::int64_t sender_count = 1;
  std::string from;  // outside, member_person, member_function
  double towns_low = 0.1, towns_high = 1;
  std::int64_t people_low = 1, people_high = 5;  // per municipality of size M; S half, L twice, XL four times
  Duration takes{std::chrono::minutes{20}};      // from the first mail to the last
  std::int64_t from_hour = 7, to_hour = 17;
  MailShape mail;
  double reported = 0;   // chance per recipient that somebody reports it though it is harmless
  double verdict = 0;    // chance per mail-out and municipality that a vendor's filter calls it bad
  double clicked = 0.1;  // of recipients; only links
  std::uint32_t line = 0;
};

/// What people do that looks odd and is not: per 1,000 mailboxes and working day.
struct BenignEvent {
  std::string name, about;
  std::string
      what;  // travel, new_phone, new_network, consent, new_app, inbox_rule, forwarding, device_code, new_mfa_method, vendor_risk, app_mail
  double per_thousand = 0;
};

struct Benign {
  bool everyday = true;  // the catalogue content/scenarios/benign/everyday.yaml
  double scale = 1;
  std::map<std::string, double, std::less<>> rates;  // per day, by name, instead of the catalogue's
  std::vector<BenignKind> kinds;                     // more of them
  std::vector<BenignEvent> events;
};

/// Where mails of a step go: one entry of `to`.
struct Target {
  TownChoice towns;
  std::vector<std::string> outside;  // domains
  std::string account;               // or one mailbox
  std::int64_t mails = 0;
  std::uint32_t line = 0;
};

struct Step {
  std::string id, kind;  // mail, takeover, sign_in, change, exercise
  std::string after;     // id of another step
  Duration wait{0};      // after that step's end, or after the attack's start
  std::uint32_t line = 0, after_line = 0, account_line = 0;
  std::string account;  // local@Municipality
  // mail
  std::string from;  // outside address, or empty: from account
  std::vector<Target> to;
  std::string people;  // anybody, colleagues (the same people in each step), functions
  double rate_per_minute = 30;
  Duration over{0};  // instead of the rate: spread evenly over so long
  MailShape mail;
  std::int64_t rotate_links = 1;  // so many different links, in turns
  std::string app;                // sent through this application
  double click_rate = -1;         // of this mail; below zero: the scenario's
  double verdict = 0;             // chance per municipality with Defender that the vendor says so
  Span verdict_after{std::chrono::minutes{30}, std::chrono::hours{4}};
  // takeover, sign_in
  std::string way;  // aitm, device_code, password
  bool risk = false;
  // change
  std::string change, detail;
};

struct Attack {
  std::string name, about;
  bool real = true;         // ground truth: a warning about it is right
  Duration at{0};           // after the scenario's start; may be before it, down to the quiet days
  Duration jitter{0};       // up to so much later, drawn by the seed
  double chance = 1;        // that it happens at all, drawn by the seed
  bool registered = false;  // an exercise told to the hub beforehand
  std::string outcome;      // what must have happened at the end: any, warned, noticed, suspected, silent, not_warned
  std::vector<Step> steps;
  std::uint32_t line = 0;
};

struct BadIndicator {
  std::string value, kind = "domain", source = "a partner", wish = "block";
  Duration at{0};
  std::uint32_t line = 0;
};

struct Rogue {
  TownChoice town;
  std::string does;  // foreign_notice, cry_wolf, digest_flood, harm_flood, nonsense
  Duration at{0}, every{std::chrono::minutes{10}};
  std::int64_t times = 1;
  std::uint32_t line = 0;
};

struct Away {
  TownChoice towns;
  std::uint32_t line = 0;
  Duration at{0}, lasts{std::chrono::hours{1}};
};

struct Wire {
  Span delay{std::chrono::milliseconds{10}, std::chrono::milliseconds{60}};
  double cut = 0, duplicate = 0;
  std::vector<Away> away;
};

/// One figure of the result and the limit it must keep: "<= 12".
struct Expectation {
  std::string figure, relation;
  double limit = 0;
  std::uint32_t line = 0;
};

/// What really happened, printed beside the result.
struct RealCase {
  std::string text;
  std::map<std::string, double, std::less<>> figures;  // by figure name
};

struct Scenario {
  std::string name, about;
  std::uint64_t seed = 1;
  Instant start{};
  Duration lasts{std::chrono::hours{24}};
  Duration quiet_days{std::chrono::hours{24 * 7}};  // lived before the start, so that nodes know what is usual
  Duration past_days{std::chrono::hours{24 * 90}};  // and learnt from logs before that
  std::string country = "denmark";
  TownChoice municipalities, connected;
  SourcesPlan sources;
  People people;
  Staff staff;
  PurgePlan purge;
  std::string reveal = "automatic";
  bool hub_staffed = true;
  Benign benign;
  std::vector<Attack> attacks;
  std::vector<BadIndicator> indicators;
  std::vector<Rogue> rogues;
  Wire wire;
  std::map<std::string, std::string, std::less<>> settings;  // of nodes and the hub, by name
  std::vector<Expectation> expect;
  std::optional<RealCase> real_case;
};

/// What is wrong with a file, and what to do.
struct Fault {
  std::uint32_t line = 0;
  std::string where;  // "attacks.1.steps.2.after"
  std::string what, fix;
};
std::string to_string(const Fault& f, std::string_view file);
/// "no municipality is called ...; did you mean ...?" in its two parts.
std::pair<std::string, std::string> what_and_fix(const Error& error);

struct ScenarioFile {
  Scenario scenario;
  std::vector<Fault> faults;  // none: it can be run
};

/// Those of them that this table knows, as a TOML text for Settings::read.
std::string settings_toml(const std::map<std::string, std::string, std::less<>>& wanted,
                          std::span<const Setting> table);

/// Everything that is wrong with it, not only the first.
ScenarioFile read_scenario(std::string_view text);
/// The catalogue of quiet mail and of odd things people do; a broken one is a broken build (BAVN_ASSERT).
Benign everyday();
/// Every field: type, range, default, meaning; Markdown (docs/scenarios.md).
std::string explain_scenario();
/// The figures that `expect` may name, with what they mean.
std::vector<std::pair<std::string_view, std::string_view>> figures();

/// "90s", "5m", "24h", "3d", also fractions and a sign.
std::optional<Duration> parse_duration(std::string_view text);
std::string format_duration(Duration d);

}  // namespace bavn::app::simulate
