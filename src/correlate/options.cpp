#include "correlate/options.hpp"

namespace bavn::correlate {

namespace {

constexpr Setting kSettings[] = {
    {"correlate.candidate_municipalities",
     Unit::none,
     std::int64_t{3},
     {2, 20},
     "Municipalities that must see the same new thing before it is a candidate; with fast sources one more or less "
     "changes the clicks "
     "made by 3 to 4 points, and two see the same newsletter all day long.",
     Restart::yes},
    {"correlate.candidate_member_sender",
     Unit::none,
     std::int64_t{2},
     {1, 20},
     "The same when a member's own person mailbox sent it: colleagues send few new links to two municipalities at "
     "once.",
     Restart::yes},
    {"correlate.candidate_window",
     Unit::hours,
     std::int64_t{6},
     {1, 72},
     "How far apart they may see it; the audit log is 90 minutes late, a working day is 8 hours.",
     Restart::yes},
    {"correlate.pilot_below",
     Unit::none,
     std::int64_t{25},
     {0, 500},
     "Fewer connected municipalities than this are a pilot: of 6 among 98 a third one sees an attack in 14 % of runs "
     "only, of 25 in 94 %.",
     Restart::yes},
    {"correlate.pilot_municipalities",
     Unit::none,
     std::int64_t{2},
     {1, 20},
     "Municipalities that make a candidate in a pilot, where candidates are shown to the analyst, and to nobody else.",
     Restart::yes},
    {"correlate.takeover_window",
     Unit::hours,
     std::int64_t{48},
     {1, 336},
     "How far a takeover sign of the sender's account may lie from its mass mail, before or after: in October 2024 the "
     "click was a day "
     "before the mails.",
     Restart::yes},
    {"correlate.harm_window",
     Unit::hours,
     std::int64_t{48},
     {1, 336},
     "How long a sign of harm about a sender waits for its mass mail; 90 % of clicks are made in 10 hours, the rest by "
     "the next day.",
     Restart::yes},
    {"correlate.reporters",
     Unit::none,
     std::int64_t{2},
     {1, 100},
     "People who must report a mail before that is a sign of harm: one person reports every newsletter.",
     Restart::yes},
    {"correlate.reporters_permille",
     Unit::none,
     std::int64_t{5},
     {0, 1000},
     "And of 1,000 mails of it: some people report everything, so a mail to thousands is reported whatever it is.",
     Restart::yes},
    {"correlate.light_reporters",
     Unit::none,
     std::int64_t{3},
     {1, 1000},
     "People who must report it before that counts as one of the two weak signs which light a warning without a "
     "person: of 120 who get a "
     "colleague's invitation three report it by mistake in less than 1 % of cases, two in 5 %.",
     Restart::yes},
    {"correlate.light_reports_alone",
     Unit::none,
     std::int64_t{5},
     {1, 1000},
     "People (and twice correlate.reporters_permille) whose reports alone are enough.",
     Restart::yes},
    {"correlate.light_reporting_municipalities",
     Unit::none,
     std::int64_t{2},
     {1, 100},
     "And in how many municipalities: one office reports what its neighbour reported.",
     Restart::yes},
    {"correlate.light_verdicts",
     Unit::none,
     std::int64_t{2},
     {1, 100},
     "Municipalities whose vendor's filter must call it bad before that alone lights a warning: filters are wrong "
     "about a "
     "few mails in ten thousand, and 98 municipalities get thousands of wide mails in a quarter.",
     Restart::yes},
    {"correlate.light_takeover",
     Unit::none,
     std::string_view("likely"),
     {4, 9},
     "The least level of takeover that may light a warning by itself (suspected, likely, sure): a traveller's sign-in "
     "and a new inbox rule "
     "are suspected every week somewhere.",
     Restart::yes},
    {"correlate.light_of_one",
     Unit::none,
     std::int64_t{1},
     {0, 100},
     "Warnings in correlate.light_of_one_window that one municipality's word alone may light until a person judged "
     "them "
     "real; a real attack is soon seen by its receivers too, a spoiled node would light one after another.",
     Restart::yes},
    {"correlate.light_of_one_window",
     Unit::hours,
     std::int64_t{72},
     {1, 720},
     "The time those warnings are counted in: a weekend, so that a node that lies from Friday evening on lights one "
     "until "
     "somebody is at work again.",
     Restart::yes},
    {"correlate.suspicions_per_shift",
     Unit::none,
     std::int64_t{5},
     {1, 100},
     "Suspicions shown in a shift; what one analyst can follow to its end, a quarter of the 20 places of the whole "
     "queue.",
     Restart::yes},
    {"correlate.suspicions_of_one",
     Unit::none,
     std::int64_t{2},
     {1, 100},
     "Of these, how many may rest on one municipality's word alone, so that one spoiled node cannot take all places.",
     Restart::yes},
    {"correlate.shift",
     Unit::hours,
     std::int64_t{8},
     {1, 24},
     "Length of a shift, from midnight UTC on.",
     Restart::yes},
    {"correlate.first_mode",
     Unit::none,
     std::string_view("shadow"),
     {4, 7},
     "How a trigger begins that nobody has set (shadow, live, confirm): in shadow it only writes down what it would "
     "have lit, until a "
     "replay shows that it can be trusted.",
     Restart::yes},
    {"correlate.false_before_confirm",
     Unit::none,
     std::int64_t{2},
     {1, 10},
     "False warnings in correlate.false_window after which a person must confirm what a trigger wants to light: the "
     "promise is fewer than "
     "one a month.",
     Restart::yes},
    {"correlate.false_window", Unit::days, std::int64_t{30}, {1, 365}, "The month of that promise.", Restart::yes},
    {"correlate.replay_days",
     Unit::days,
     std::int64_t{90},
     {1, 400},
     "Length of the replay that makes a trigger live: no false warning in 90 days bounds the rate below one a month at "
     "95 %, none in 30 "
     "days only below three.",
     Restart::yes},
    {"correlate.replay_municipalities",
     Unit::none,
     std::int64_t{20},
     {1, 500},
     "And its width: what fewer municipalities write to each other is not what all write.",
     Restart::yes},
    {"correlate.near_subject",
     Unit::none,
     std::int64_t{6},
     {0, 7},
     "Bits of a subject's 64-bit simhash that may differ for near-same; more than 7 are not found by its bytes.",
     Restart::yes},
    {"correlate.near_body", Unit::none, std::int64_t{7}, {0, 7}, "The same of a body.", Restart::yes},
    {"correlate.campaign_window",
     Unit::hours,
     std::int64_t{72},
     {1, 720},
     "How long after its last mail something still joins a campaign: a weekend.",
     Restart::yes},
    {"correlate.quiet",
     Unit::hours,
     std::int64_t{24},
     {1, 720},
     "Without anything new for this long a campaign is over; 90 % of clicks are made in 10 hours.",
     Restart::yes},
    {"correlate.things_per_campaign",
     Unit::none,
     std::int64_t{500},
     {10, 5000},
     "Notices, bursts and groups that one campaign keeps apart; more are counted, so that a flood costs no more.",
     Restart::yes},
    {"correlate.night_calls_per_month",
     Unit::none,
     std::int64_t{1},
     {0, 31},
     "Calls at night a municipality and month; who is woken for nothing twice does not answer the third time.",
     Restart::yes},
    {"correlate.night_from", Unit::none, std::int64_t{22}, {0, 23}, "Local hour when the night begins.", Restart::yes},
    {"correlate.night_to", Unit::none, std::int64_t{6}, {0, 23}, "Local hour when the night ends.", Restart::yes},
    {"correlate.zone",
     Unit::none,
     std::string_view("Europe/Copenhagen"),
     {1, 64},
     "Zone of those hours.",
     Restart::yes},
    {"correlate.notices_per_hour",
     Unit::none,
     std::int64_t{60},
     {1, 100000},
     "Sender notices, takeovers and bursts of one municipality in an hour, each counted once; a real one has a handful "
     "in a bad week.",
     Restart::yes},
    {"correlate.parts_per_notice",
     Unit::none,
     std::int64_t{500},
     {1, 100000},
     "Parts of one notice: at a part a minute, as long as a working day.",
     Restart::yes},
    {"correlate.harms_per_hour",
     Unit::none,
     std::int64_t{600},
     {1, 1000000},
     "Signs of harm of one municipality in an hour; ten a minute is more than its people can report.",
     Restart::yes},
};

}  // namespace

std::span<const Setting> settings() {
  return kSettings;
}

Options Options::from(const Settings& s) {
  Options o;
  o.candidate_municipalities = s.integer("correlate.candidate_municipalities");
  o.candidate_member_sender = s.integer("correlate.candidate_member_sender");
  o.candidate_window = s.duration("correlate.candidate_window");
  o.pilot_below = s.integer("correlate.pilot_below");
  o.pilot_municipalities = s.integer("correlate.pilot_municipalities");
  o.takeover_window = s.duration("correlate.takeover_window");
  o.harm_window = s.duration("correlate.harm_window");
  o.reporters = s.integer("correlate.reporters");
  o.reporters_permille = s.integer("correlate.reporters_permille");
  o.light_reports_alone = s.integer("correlate.light_reports_alone");
  o.light_reporters = s.integer("correlate.light_reporters");
  o.light_verdicts = s.integer("correlate.light_verdicts");
  o.light_takeover = s.text("correlate.light_takeover");
  o.light_reporting_municipalities = s.integer("correlate.light_reporting_municipalities");
  o.light_of_one = s.integer("correlate.light_of_one");
  o.light_of_one_window = s.duration("correlate.light_of_one_window");
  o.suspicions_per_shift = s.integer("correlate.suspicions_per_shift");
  o.suspicions_of_one = s.integer("correlate.suspicions_of_one");
  o.suspicions_of_one = s.integer("correlate.suspicions_of_one");
  o.shift = s.duration("correlate.shift");
  o.first_mode = s.text("correlate.first_mode");
  o.false_before_confirm = s.integer("correlate.false_before_confirm");
  o.false_window = std::chrono::duration_cast<std::chrono::days>(s.duration("correlate.false_window"));
  o.replay_days = std::chrono::duration_cast<std::chrono::days>(s.duration("correlate.replay_days")).count();
  o.replay_municipalities = s.integer("correlate.replay_municipalities");
  o.near_subject = s.integer("correlate.near_subject");
  o.near_body = s.integer("correlate.near_body");
  o.campaign_window = s.duration("correlate.campaign_window");
  o.quiet = s.duration("correlate.quiet");
  o.things_per_campaign = s.integer("correlate.things_per_campaign");
  o.night_calls_per_month = s.integer("correlate.night_calls_per_month");
  o.night_from = s.integer("correlate.night_from");
  o.night_to = s.integer("correlate.night_to");
  o.zone = s.text("correlate.zone");
  o.notices_per_hour = s.integer("correlate.notices_per_hour");
  o.parts_per_notice = s.integer("correlate.parts_per_notice");
  o.harms_per_hour = s.integer("correlate.harms_per_hour");
  return o;
}

}  // namespace bavn::correlate
