#include "notice/settings.hpp"

namespace bavn::notice {

namespace {

constexpr Setting kSettings[] = {
    {"notice.recipients",
     Unit::none,
     std::int64_t{20},
     {5, 1000},
     "Recipients at other municipalities, within the window, of near-same mail from one person's mailbox before the "
     "hub is told; 20 is a "
     "minute of what a taken mailbox can send, and more than a person writes to.",
     Restart::yes},
    {"notice.domains",
     Unit::none,
     std::int64_t{3},
     {1, 98},
     "Other municipalities among those recipients; work between two neighbours is common, the same mail to three is "
     "not.",
     Restart::yes},
    {"notice.window",
     Unit::minutes,
     std::int64_t{10},
     {1, 60},
     "The time those mails are sent within; Exchange Online lets a mailbox send 30 a minute.",
     Restart::yes},
    {"notice.times_usual",
     Unit::none,
     std::int64_t{5},
     {1, 100},
     "How many times above the mailbox's most in a window of the last 30 days near-same mail must be.",
     Restart::yes},
    {"notice.times_usual_unlike",
     Unit::none,
     std::int64_t{10},
     {1, 1000},
     "The same for mails that are all different: wording can be varied by a machine, speed cannot be hidden.",
     Restart::yes},
    {"notice.times_habit",
     Unit::none,
     std::int64_t{2},
     {1, 100},
     "How many times above its most of the last 14 weeks it must be too: who mails forty towns each month or quarter "
     "does it again.",
     Restart::yes},
    {"notice.alike_least",
     Unit::none,
     std::int64_t{5},
     {2, 1000},
     "Recipients of one wording before it counts as repeated; the owner's own mails between those of a thief stay out.",
     Restart::yes},
    {"notice.quiet",
     Unit::minutes,
     std::int64_t{30},
     {1, 1440},
     "A pause after which mail no longer belongs to a burst.",
     Restart::yes},
    {"notice.part_after",
     Unit::seconds,
     std::int64_t{8},
     {1, 600},
     "How long Message-IDs wait to be told together; the first part never waits.",
     Restart::yes},
    {"notice.part_mails",
     Unit::none,
     std::int64_t{500},
     {10, 2000},
     "Message-IDs that do not wait any longer.",
     Restart::yes},
    {"notice.burst_recipients",
     Unit::none,
     std::int64_t{15},
     {5, 1000},
     "Own people reached within the window by near-same mail from one person's mailbox of another member before it is "
     "a burst; committees "
     "across towns have fewer.",
     Restart::yes},
    {"notice.chain",
     Unit::hours,
     std::int64_t{48},
     {1, 168},
     "How far apart steps of one takeover may be: the thief of October 2024 waited a day.",
     Restart::yes},
    {"notice.after_click",
     Unit::minutes,
     std::int64_t{60},
     {1, 1440},
     "How soon after a click a strange sign-in counts as its consequence; stolen sessions are used within minutes.",
     Restart::yes},
    {"notice.travel",
     Unit::hours,
     std::int64_t{3},
     {1, 24},
     "Sign-ins from two countries closer than this, one of them new to the account, are by two people.",
     Restart::yes},
    {"notice.known_sign_ins",
     Unit::none,
     std::int64_t{5},
     {1, 1000},
     "Sign-ins of an account before anything about it can be odd; a new employee has no habits.",
     Restart::yes},
    {"notice.known_days", Unit::days, std::int64_t{3}, {1, 30}, "Days those sign-ins must span.", Restart::yes},
    {"notice.habit_days",
     Unit::days,
     std::int64_t{2},
     {1, 30},
     "Earlier days of the last 30 on which an account made a kind of change before that is its work: administrators "
     "make apps.",
     Restart::yes},
    {"notice.mass_recipients",
     Unit::none,
     std::int64_t{20},
     {5, 1000},
     "Recipients within the window that are mass sending when the account already looks taken; towns do not matter "
     "then.",
     Restart::yes},
    {"notice.detail",
     Unit::hours,
     std::int64_t{6},
     {1, 48},
     "How long single mails are kept in memory after they were told, to find bursts among what comes late and in any "
     "order.",
     Restart::yes},
    {"notice.too_old",
     Unit::hours,
     std::int64_t{48},
     {1, 168},
     "Facts told later than this teach what is usual and notice nothing; also how long a notice takes in late mail.",
     Restart::yes},
    {"notice.baseline",
     Unit::days,
     std::int64_t{30},
     {1, 31},
     "How far back the most a mailbox sent is looked for.",
     Restart::yes},
    {"notice.senders",
     Unit::none,
     std::int64_t{60'000},
     {100, 2'000'000},
     "Mailboxes whose usual is remembered; the longest unused go first, and are counted.",
     Restart::yes},
    {"notice.accounts",
     Unit::none,
     std::int64_t{60'000},
     {100, 2'000'000},
     "Accounts whose sign-ins are remembered; the longest unused go first, and are counted.",
     Restart::yes},
    {"notice.mails_of_sender",
     Unit::none,
     std::int64_t{20'000},
     {1000, 1'000'000},
     "Recipients of one sender kept singly; beyond it they are only counted. Exchange Online allows 10,000 a day.",
     Restart::yes},
    {"notice.details",
     Unit::none,
     std::int64_t{150'000},
     {10'000, 10'000'000},
     "Recipients of all senders kept singly, about 350 bytes each; beyond it the oldest go, and are counted.",
     Restart::yes},
    {"notice.notices",
     Unit::none,
     std::int64_t{2'000},
     {10, 100'000},
     "Notices open at once; beyond it none is opened, and it is counted.",
     Restart::yes},
    {"notice.harm_places",
     Unit::none,
     std::int64_t{20'000},
     {1000, 1'000'000},
     "Mails and links of members remembered to say which one was clicked or reported; the oldest go first.",
     Restart::yes},
};

}  // namespace

std::span<const Setting> settings() {
  return kSettings;
}

WatchOptions WatchOptions::from(const Settings& s) {
  WatchOptions o;
  o.recipients = s.integer("notice.recipients");
  o.domains = s.integer("notice.domains");
  o.window = s.duration("notice.window");
  o.times_usual = s.integer("notice.times_usual");
  o.times_usual_unlike = s.integer("notice.times_usual_unlike");
  o.times_habit = s.integer("notice.times_habit");
  o.alike_least = s.integer("notice.alike_least");
  o.quiet = s.duration("notice.quiet");
  o.part_after = s.duration("notice.part_after");
  o.part_mails = s.integer("notice.part_mails");
  o.burst_recipients = s.integer("notice.burst_recipients");
  o.chain = s.duration("notice.chain");
  o.after_click = s.duration("notice.after_click");
  o.travel = s.duration("notice.travel");
  o.known_sign_ins = s.integer("notice.known_sign_ins");
  o.known_days = s.integer("notice.known_days");
  o.habit_days = s.integer("notice.habit_days");
  o.mass_recipients = s.integer("notice.mass_recipients");
  o.detail = s.duration("notice.detail");
  o.too_old = s.duration("notice.too_old");
  o.baseline = s.duration("notice.baseline");
  o.senders = s.integer("notice.senders");
  o.accounts = s.integer("notice.accounts");
  o.mails_of_sender = s.integer("notice.mails_of_sender");
  o.details = s.integer("notice.details");
  o.notices = s.integer("notice.notices");
  o.harm_places = s.integer("notice.harm_places");
  return o;
}

}  // namespace bavn::notice
