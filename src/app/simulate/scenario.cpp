#include "app/simulate/scenario.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "app/beacon_hub.hpp"
#include "app/beacon_node.hpp"
#include "app/simulate/fields.hpp"
#include "app/simulate/towns.hpp"
#include "base/content.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "tenants/municipalities.hpp"

namespace bavn::app::simulate {

namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
constexpr Duration kZero{0}, kDay = hours{24}, kLongest = hours{24 * 400};

constexpr std::string_view kSizes[] = {"S", "M", "L", "XL"};
constexpr std::string_view kCountries[] = {"denmark", "norway"};
constexpr std::string_view kReveals[] = {"automatic", "ask"};
constexpr std::string_view kSteps[] = {"mail", "takeover", "sign_in", "change"};
constexpr std::string_view kWays[] = {"aitm", "device_code", "password"};
constexpr std::string_view kPeople[] = {"anybody", "colleagues", "functions"};
constexpr std::string_view kChanges[] = {
    "new_app",    "new_service_principal", "new_secret",     "consent",   "app_role", "inbox_rule",
    "forwarding", "mailbox_permission",    "new_mfa_method", "new_device"};
constexpr std::string_view kOutcomes[] = {"any", "warned", "noticed", "suspected", "not_warned", "silent"};
constexpr std::string_view kRogues[] = {"foreign_notice", "cry_wolf", "digest_flood", "harm_flood", "nonsense"};
constexpr std::string_view kWishes[] = {"block", "watch"};
constexpr std::string_view kFrom[] = {"outside", "member_person", "member_function"};
constexpr std::string_view kEvents[] = {"travel",      "new_phone",   "new_network",          "consent",
                                        "new_app",     "inbox_rule",  "forwarding",           "new_mfa_method",
                                        "device_code", "vendor_risk", "private_device_abroad"};
constexpr std::string_view kObservables[] = {"domain", "host", "url", "ip", "email", "sha256"};

/// overriding: only what is named there is kept.
void sources_of(Fields& f, Sources& s, bool overriding) {
  const auto one = [&](std::string_view name, std::string_view doc) {
    if (overriding && !f.has(name)) return;
    SourceSpec& spec =
        s.try_emplace(std::string(name), SourceSpec{.there = false, .late = {}, .share = 1}).first->second;
    f.source(name, spec, doc);
  };
  one("message_trace", "Sender, recipient, subject and Message-ID of each mail in and out; no links.");
  one("audit_log", "Who did what: sending with session and app, inbox rules, forwarding, consents.");
  one("sign_in", "Sign-ins with network, device, session.");
  one("directory_audit", "New applications, secrets, consents, devices and methods.");
  one("defender", "Links in mail, clicks, verdicts, what people report.");
  one("mail_copy", "The mail itself: a gateway, milter or copies by a mail-flow rule.");
  one("proxy", "Clicks as a web proxy or DNS sees them.");
}

void shape_of(Fields& f, MailShape& m) {
  f.texts(
      "subjects", m.subjects, 50,
      "Subjects, in turns. `{n}` a number, `{issue}` a word with a number, new for each mail-out, `{slug}` the same in "
      "words alone, `{person}` new for each recipient, `{town}` the receiving municipality.");
  f.texts("links", m.links, 50, "Links in the mail, https://host/path; the same placeholders.");
  f.parts(
      "attachments", 10,
      [&](Fields& a) {
        Attachment& x = m.attachments.emplace_back();
        a.text("name", x.name, 120, "File name; the same placeholders.");
        a.flag("active", x.active, "It can do something: HTML, SVG, archive, disk image, macros or links.");
        a.flag("fresh", x.fresh, "Another file for each mail-out; false: always the same bytes.");
        a.required("name");
      },
      "Attachments.");
  f.flag("qr_code", m.qr_code, "It shows a QR code.");
  f.flag("login_form", m.login_form, "Its link or attachment asks for a password.");
  f.flag("automatic", m.automatic, "Auto-Submitted: an automatic reply or a report.");
  f.flag("calendar", m.calendar, "It carries an invitation (text/calendar).");
  f.flag("failed_auth", m.failed_auth, "DMARC failed.");
  f.text("list_id", m.list_id, 120, "List-Id, when it has one.");
  f.text("signed_by", m.signed_by, 120,
         "Domain of an aligned DKIM signature; empty: the sender's own when it is a member or `list_id` is set, else "
         "none.");
  f.whole("wordings", m.wordings, 1, 50, "Variants of the text, in turns, a few words apart.");
}

void kind_of(Fields& f, BenignKind& k) {
  f.line_of("", k.line);
  f.text("name", k.name, 60, "What it is called; as in the catalogue: it replaces that one.");
  f.text("about", k.about, 500, "For people.");
  f.number(
      "per_day", k.per_day, 0, 5000,
      "Mail-outs on a working day, in a community of all municipalities; fewer municipalities, the same mail-outs.");
  f.flag("from_start", k.from_start, "It begins with the scenario: nobody has seen it in the quiet days or before.");
  f.number("weekend", k.weekend, 0, 1, "Share of that on Saturdays and Sundays.");
  f.choice("from", k.from, kFrom,
           "Who sends: an outside sender, a person of a member, or a member's function mailbox.");
  f.texts("senders", k.senders, 200, "Outside sender addresses, in turns; `{i}` counts to `sender_count`.");
  f.whole("sender_count", k.sender_count, 1, 1000000,
          "How many senders `{i}` stands for; for members how many persons do such things.");
  f.number("towns_low", k.towns_low, 0, 1, "Least share of the municipalities that get a mail-out; at least one does.");
  f.number("towns_high", k.towns_high, 0, 1, "Largest share.");
  f.whole("people_low", k.people_low, 1, 20000,
          "Fewest recipients in a municipality of size M (S half, L twice, XL four times).");
  f.whole("people_high", k.people_high, 1, 20000, "Most recipients.");
  f.length("takes", k.takes, kZero, kDay, "From the first mail of a mail-out to its last.");
  f.whole("from_hour", k.from_hour, 0, 23, "Local hour before which none begins.");
  f.whole("to_hour", k.to_hour, 1, 24, "Local hour after which none begins.");
  f.part("mail", [&](Fields& m) { shape_of(m, k.mail); }, "What it looks like.");
  f.number("reported", k.reported, 0, 1, "Chance per recipient that it is reported though harmless.");
  f.number("verdict", k.verdict, 0, 1,
           "Chance per mail-out and municipality with Defender that the vendor calls it bad.");
  f.number("clicked", k.clicked, 0, 1, "Share of recipients who click a link; seen by proxies and Defender.");
}

void event_of(Fields& f, BenignEvent& e) {
  f.text("name", e.name, 60, "What it is called.");
  f.text("about", e.about, 500, "For people.");
  f.choice("what", e.what, kEvents, "What happens to one mailbox's account.");
  f.number("per_thousand", e.per_thousand, 0, 100, "How often, per 1,000 mailboxes and working day.");
  f.required("what");
}

void step_of(Fields& f, Step& s) {
  f.line_of("", s.line);
  f.line_of("after", s.after_line);
  f.line_of("account", s.account_line);
  f.choice("do", s.kind, kSteps,
           "`mail`: mail goes out. `takeover`: somebody else signs in as `account` and goes on in that session. "
           "`sign_in`: an odd sign-in alone. "
           "`change`: something is changed as `account`.");
  f.text("id", s.id, 40, "A name for `after`.");
  f.text("after", s.after, 40, "It begins when that step has ended; without it, with the attack.");
  f.length("wait", s.wait, kZero, kLongest, "And so much later.");
  f.text("account", s.account, 120,
         "Whose mailbox: `name@Municipality` (a person), as the town is called in the list of municipalities, or "
         "`name@any`: one with a node is "
         "drawn, the same in all steps of the attack. Mail is sent from it when `from` is not given.");
  f.text("from", s.from, 200, "mail: an outside sender address.");
  f.parts(
      "to", 200,
      [&](Fields& t) {
        Target& x = s.to.emplace_back();
        t.towns("towns", x.towns,
                "Receiving municipalities; a number draws so many others than those named in this step.");
        t.line_of("", x.line);
        t.text("account", x.account, 120,
               "Or one mailbox, name@Municipality. A takeover of that account `after` this step then begins with a "
               "click on this mail.");
        t.texts("outside", x.outside, 200, "Or domains outside the community.");
        t.whole("mails", x.mails, 1, 200000, "How many mails, shared out over them.");
        t.required("mails");
      },
      "mail: where it goes, in a mixed order.");
  f.choice("people", s.people, kPeople,
           "mail: to whom: `anybody`, `colleagues` (a fixed circle of people who know the sender), `functions` (post@, "
           "info@ ...).");
  f.number("rate_per_minute", s.rate_per_minute, 0.01, 10000,
           "mail: how fast; Exchange Online lets 30 a minute through.");
  f.length("over", s.over, kZero, kLongest, "mail: spread over so long instead.");
  f.part("mail", [&](Fields& m) { shape_of(m, s.mail); }, "mail: what it looks like.");
  f.whole("rotate_links", s.rotate_links, 1, 100000,
          "mail: so many different links, in turns: `{n}` in the link is their number.");
  f.text("app", s.app, 80, "mail: sent by this application in the account's name.");
  f.number("click_rate", s.click_rate, 0, 1,
           "mail: share of recipients who click when nobody warns them; without it people.click_rate.");
  f.number("verdict", s.verdict, 0, 1, "mail: chance per municipality with Defender that the vendor calls it bad.");
  f.span("verdict_after", s.verdict_after, kZero, hours{72}, "mail: how long that takes.");
  f.choice("way", s.way, kWays,
           "takeover: how: a session stolen behind a false sign-in page, a device code, a password.");
  f.flag("risk", s.risk, "takeover, sign_in: Entra calls the sign-in risky.");
  f.choice("change", s.change, kChanges, "change: what.");
  f.text("detail", s.detail, 120, "change: permissions, forwarding address, name of the app.");
  f.required("do");
}

void attack_of(Fields& f, Attack& a) {
  f.line_of("", a.line);
  f.text("name", a.name, 60, "What it is called in the result.");
  f.text("about", a.about, 1000, "For people.");
  f.flag("real", a.real,
         "Ground truth: a warning about it is right. false: a harmless thing that looks like one; a warning about it "
         "is false.");
  f.length("at", a.at, -hours{24 * 60}, kLongest,
           "When it begins, after the scenario's start; before it with a minus (within quiet_days).");
  f.length("jitter", a.jitter, kZero, kLongest, "Up to so much later, drawn by the seed: for many runs.");
  f.number("chance", a.chance, 0, 1, "Chance that it happens at all, drawn by the seed: for many runs.");
  f.flag("registered", a.registered, "An exercise that was registered at the hub beforehand.");
  f.choice("outcome", a.outcome, kOutcomes,
           "What must be so at the end: `warned` (a warning went out), `suspected` (at least an analyst saw it), "
           "`noticed` (at least a node told the "
           "hub), `not_warned`, `silent` (nobody was shown anything), `any`.");
  f.parts("steps", 100, [&](Fields& s) { step_of(s, a.steps.emplace_back()); }, "What happens.");
  f.required("name");
  f.required("steps");
}

/// Lines of what is checked after reading.
struct Lines {
  std::uint32_t staff_from = 1, staff_to = 1, staff_days = 1, by_town = 1, rates = 1, settings = 1, real_case = 1,
                country = 1;
};

void scenario_of(Fields& f, Scenario& s, Lines& lines) {
  f.text("name", s.name, 60, "Stands in the result.");
  f.text("about", s.about, 4000, "What is shown, for people.");
  std::int64_t seed = static_cast<std::int64_t>(s.seed);
  f.whole("seed", seed, 0, 1'000'000'000'000'000, "Same file, same seed: same run. `--seed` overrides it.");
  s.seed = static_cast<std::uint64_t>(seed);
  f.moment("start", s.start, "When it begins.");
  f.length("lasts", s.lasts, minutes{10}, hours{24 * 370}, "How long is simulated from then on.");
  f.length("quiet_days", s.quiet_days, kZero, hours{24 * 60},
           "Ordinary life before the start, so that nodes know what is usual. Nothing of it counts in the result.");
  f.length(
      "past_days", s.past_days, kZero, hours{24 * 180},
      "How many days before that nodes have learnt from their logs what is new and what is not; 0: they begin with "
      "the quiet days, and learn for their first 72 hours.");
  f.line_of("country", lines.country);
  f.choice("country", s.country, kCountries,
           "Whose municipalities; sizes are known for Denmark, Norway's are taken as S.");
  f.towns("municipalities", s.municipalities,
          "Those that exist in this run. Where a number is drawn, those that the scenario names are among them.");
  f.towns("connected", s.connected,
          "Those of them that have a node at the hub. Mail reaches the others, too; nobody notices there.");
  f.part(
      "sources",
      [&](Fields& p) {
        p.part(
            "everywhere", [&](Fields& x) { sources_of(x, s.sources.everywhere, false); },
            "What every municipality has, unless said otherwise below.");
        p.named_parts(
            "by_size", kSizes,
            [&](const std::string& name, Fields& x) {
              Sources own;
              sources_of(x, own, true);
              if (!name.empty()) s.sources.by_size[name] = std::move(own);
            },
            "Other sources for a size class; the fields of `everywhere`. What is not named there stays.");
        p.line_of("by_town", lines.by_town);
        p.named_parts(
            "by_town", {},
            [&](const std::string& name, Fields& x) {
              Sources own;
              sources_of(x, own, true);
              if (!name.empty()) s.sources.by_town[name] = std::move(own);
            },
            "The same for one municipality, by name or code.");
      },
      "What each municipality sees, and how late.");
  f.part(
      "people",
      [&](Fields& p) {
        p.numbers("mailboxes", s.people.mailboxes, kSizes, 10, 60000,
                  "How many mailboxes a municipality of each size class has.");
        p.number("click_rate", s.people.click_rate, 0, 1,
                 "Share of those who get a bad mail who click, when nobody stops them.");
        p.curve("click_after", s.people.click_after, "When they click, from delivery on: shares of all clicks.");
        p.number("login_rate", s.people.login_rate, 0, 1,
                 "Share of those who click who go on to sign in: their account is taken.");
        p.number("report_rate", s.people.report_rate, 0, 1,
                 "Share of those who get a bad mail who report it; their node hears of it whatever logs it has.");
        p.curve("report_after", s.people.report_after, "When they report.");
        p.number("heed_rate", s.people.heed_rate, 0, 1,
                 "Share of those who would click who do not once they are warned.");
      },
      "How people behave.");
  f.part(
      "staff",
      [&](Fields& p) {
        p.flag("hub_staffed", s.hub_staffed, "An analyst works at the hub in these hours.");
        p.line_of("from", lines.staff_from);
        p.line_of("to", lines.staff_to);
        p.line_of("days", lines.staff_days);
        p.text("from", s.staff.from, 5, "Local time work begins, HH:MM; the same at municipalities.");
        p.text("to", s.staff.to, 5, "And ends.");
        p.text("days", s.staff.days, 20, "`mon-fri`, `mon-sun` or a list like `mon,wed`.");
        p.span("analyst_decides", s.staff.analyst_decides, kZero, hours{72},
               "From a suspicion in the queue to the analyst's decision, which is right.");
        p.span("town_acts", s.staff.town_acts, kZero, hours{72},
               "From the message to a municipality to emptied mailboxes where people do it by hand, in working hours.");
        p.span("town_acts_at_night", s.staff.town_acts_at_night, kZero, hours{72}, "The same outside working hours.");
        p.span("tells_employees", s.staff.tells_employees, kZero, hours{72},
               "From the warning at a municipality to the message to all employees.");
        p.number("says_yes", s.staff.says_yes, 0, 1,
                 "Chance that the sending municipality's duty contact, once called, confirms a true notice.");
        p.span("says_yes_after", s.staff.says_yes_after, kZero, hours{72}, "How long that takes.");
      },
      "Who works when, and how fast.");
  f.part(
      "purge",
      [&](Fields& p) {
        p.towns("mandate", s.purge.mandate,
                "Municipalities whose mandate lets the node empty mailboxes by itself (purge: act).");
        p.whole("limit", s.purge.limit, 1, 100000, "Mails an hour the mandate allows.");
      },
      "Where mailboxes are emptied by machine. Elsewhere people do it, see staff.");
  f.choice("reveal", s.reveal, kReveals,
           "Whether nodes reveal digests by themselves or a person is asked (nobody answers).");
  f.part(
      "benign",
      [&](Fields& p) {
        p.flag("everyday", s.benign.everyday,
               "The catalogue content/scenarios/benign/everyday.yaml: newsletters, surveys, invitations, notices ...");
        p.number("scale", s.benign.scale, 0, 100, "All rates times this.");
        p.line_of("rates", lines.rates);
        p.numbers("rates", s.benign.rates, {}, 0, 5000,
                  "Rates of kinds by name from the start on; before it they come as usual.");
        p.parts(
            "kinds", 100, [&](Fields& k) { kind_of(k, s.benign.kinds.emplace_back()); },
            "More kinds of harmless mail.");
        p.parts(
            "events", 100, [&](Fields& e) { event_of(e, s.benign.events.emplace_back()); },
            "More odd things people do.");
      },
      "Quiet life: every mail of the kinds that could matter. Other mail never reaches a threshold and is not made.");
  f.parts(
      "attacks", 50, [&](Fields& a) { attack_of(a, s.attacks.emplace_back()); },
      "What happens that is bad, or looks bad.");
  f.parts(
      "indicators", 100,
      [&](Fields& i) {
        BadIndicator& x = s.indicators.emplace_back();
        i.line_of("", x.line);
        i.text("value", x.value, 300, "What a partner calls bad.");
        i.choice("kind", x.kind, kObservables, "Of which kind.");
        i.text("source", x.source, 60, "Who says so.");
        i.choice("wish", x.wish, kWishes, "What is asked for: that it is blocked, or watched.");
        i.length("at", x.at, kZero, kLongest, "When.");
        i.required("value");
      },
      "Indicators that come in, true or poisoned.");
  f.parts(
      "rogues", 20,
      [&](Fields& r) {
        Rogue& x = s.rogues.emplace_back();
        r.line_of("", x.line);
        r.towns("town", x.town, "Whose node lies.");
        r.choice("does", x.does, kRogues,
                 "`foreign_notice`: sender notices about another municipality's mailbox. `cry_wolf`: notices of its "
                 "own with every sign there is, "
                 "about nothing. `digest_flood`: as many digests as it can. `harm_flood`: harm about others' mail. "
                 "`nonsense`: broken reports.");
        r.length("at", x.at, kZero, kLongest, "From when.");
        r.length("every", x.every, seconds{1}, kDay, "And again so often.");
        r.whole("times", x.times, 1, 100000, "So many times.");
        r.required("town");
        r.required("does");
      },
      "Nodes that lie.");
  f.part(
      "wire",
      [&](Fields& w) {
        w.span("delay", s.wire.delay, kZero, minutes{10}, "How long a message between node and hub travels.");
        w.number("cut", s.wire.cut, 0, 0.5, "Chance that a message is lost and its link cut.");
        w.number("duplicate", s.wire.duplicate, 0, 0.5, "Chance that a message arrives twice.");
        w.parts(
            "away", 100,
            [&](Fields& a) {
              Away& x = s.wire.away.emplace_back();
              a.line_of("", x.line);
              a.towns("towns", x.towns, "Whose nodes are not reachable.");
              a.length("at", x.at, kZero, kLongest, "From when.");
              a.length("lasts", x.lasts, seconds{1}, kLongest, "How long.");
              a.required("towns");
            },
            "Nodes that are cut off for a time; their own logs are still read.");
      },
      "The network between nodes and hub.");
  f.line_of("settings", lines.settings);
  f.words("settings", s.settings, {},
          "Settings of nodes and the hub by name, as `bavn config explain node` and `hub` list them; quote values.");
  f.expectations("expect", s.expect,
                 "Figures of the result and the limit each must keep: \"<= 12\", \">= 0.9\", \"== 0\". A figure that "
                 "does not exist in the run (no "
                 "warning, so no minutes to it) fails. The figures are listed below.");
  f.line_of("real_case", lines.real_case);
  f.part(
      "real_case",
      [&](Fields& r) {
        if (!s.real_case) s.real_case.emplace();
        r.text("text", s.real_case->text, 2000, "What happened, for people.");
        r.numbers("figures", s.real_case->figures, {}, 0, 1e9, "Its figures, by the names of `expect`.");
      },
      "A real case, printed beside the result.");
  f.required("name");
  f.required("start");
}

constexpr std::string_view kPlaceholders[] = {"n", "issue", "slug", "person", "town"};

struct Checker {
  const Scenario& s;
  std::vector<Fault>& faults;
  Towns community{s, s.seed};
  const tenants::Municipalities& municipalities = every_municipality();

  static const tenants::Municipalities& every_municipality() {
    static const auto all = tenants::Municipalities::all();
    return all;
  }

  void add(std::uint32_t line, std::string where, std::string what, std::string fix) {
    if (faults.size() < 200) faults.push_back({std::max(1U, line), std::move(where), std::move(what), std::move(fix)});
  }
  bool exists(MunicipalityId id) const { return community.of(id) != Towns::kNone; }
  void towns(const TownChoice& t, const std::string& where) {
    for (std::size_t i = 0; i < t.ids.size(); ++i)
      if (!exists(t.ids[i])) not_there(t.ids[i], t.named[i], t.line, where);
    // Of those that are there. A country too small for the number was said at `municipalities`.
    const auto all = static_cast<std::int64_t>(community.size());
    if (t.some > all && all > 0 && &t != &s.municipalities && t.some <= 500)
      add(t.line, where, fmt::format("{} municipalities are more than the {} of the scenario", t.some, all),
          fmt::format("write {} or fewer, or all", all));
    if (s.municipalities.some > 0) return;  // which are drawn differs from seed to seed
    for (const auto& g : t.groups) {
      TownChoice one;
      one.groups = {g};
      if (all > 0 && community.chosen(one, "").empty())
        add(t.line, where, fmt::format("none of the scenario's municipalities is of '{}'", g),
            "add one to municipalities, or take another");
    }
  }
  void not_there(MunicipalityId id, std::string_view name, std::uint32_t line, const std::string& where) {
    const auto list = municipalities.list();
    const auto m = std::find_if(list.begin(), list.end(), [&](const auto& x) { return x.id == id; });
    const bool norway = m != list.end() && m->country == tenants::Country::norway;
    if (m != list.end() && norway != (s.country == "norway"))
      return add(line, where,
                 fmt::format("{} is in {}, the scenario is in {}", name, norway ? "Norway" : "Denmark",
                             norway ? "Denmark" : "Norway"),
                 fmt::format("write country: {}, or take another", norway ? "norway" : "denmark"));
    add(line, where, fmt::format("{} is not one of the scenario's municipalities", name),
        "add it to municipalities, or take another");
  }
  void days(const std::string& text, std::uint32_t line) {
    constexpr std::string_view kNames[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
    const auto number = [&](std::string_view name) {
      return std::find_if(std::begin(kNames), std::end(kNames), [&](auto n) { return iequals(n, name); }) - kNames;
    };
    for (const auto part : split(text, ',')) {
      const auto dash = part.find('-');
      const auto from = number(trim(part.substr(0, dash)));
      const auto to = dash == std::string_view::npos ? from : number(trim(part.substr(dash + 1)));
      if (from < 7 && to < 7 && from <= to) continue;
      return add(line, "staff.days",
                 from < 7 && to < 7 ? fmt::format("'{}' ends before it begins", trim(part))
                                    : fmt::format("'{}' is no day of the week", trim(part)),
                 "write mon-fri, mon-sun, or a list like mon,wed");
    }
  }
  void in_time(Duration at, std::uint32_t line, const std::string& where) {
    if (at >= s.lasts)
      add(line, where, fmt::format("begins after the end of the run ({})", format_duration(s.lasts)),
          "make `lasts` longer, or let it begin earlier");
  }
  void placeholders(std::string_view text, std::uint32_t line, const std::string& where) {
    for (auto at = text.find('{'); at != std::string_view::npos; at = text.find('{', at + 1)) {
      const auto end = text.find('}', at);
      if (end == std::string_view::npos) return;
      const auto name = text.substr(at + 1, end - at - 1);
      const std::vector<std::string_view> known(std::begin(kPlaceholders), std::end(kPlaceholders));
      if (std::find(known.begin(), known.end(), name) != known.end()) continue;
      const auto guess = nearest(name, known);
      add(line, where, fmt::format("there is no placeholder {{{}}}", name.substr(0, 40)),
          guess.empty() ? "known: {n}, {issue}, {slug}, {person}, {town}" : fmt::format("did you mean {{{}}}?", guess));
    }
  }
  void shape(const MailShape& m, std::uint32_t line, const std::string& where) {
    for (const auto& t : m.subjects) placeholders(t, line, where + ".subjects");
    for (const auto& t : m.links) placeholders(t, line, where + ".links");
    for (const auto& t : m.attachments) placeholders(t.name, line, where + ".attachments");
    for (const auto& l : m.links)
      if (!l.starts_with("https://") && !l.starts_with("http://"))
        add(line, where + ".links", fmt::format("'{}' is no link", l.substr(0, 80)), "begin it with https://");
  }
  void kind(const BenignKind& k, std::size_t n) {
    const std::string where = fmt::format("benign.kinds.{}", n + 1);
    if (k.name.empty()) add(k.line, where + ".name", "it has no name", "add name: ...");
    if (k.from == "outside" ? k.senders.empty() : k.from.empty())
      add(k.line, where, "who sends it?", "write from: outside and senders: [...], or from: member_person");
    if (k.from != "outside" && !k.from.empty() && !k.senders.empty())
      add(k.line, where + ".senders", "members' senders are drawn, not named", "write from: outside, or leave it out");
    if (k.towns_high < k.towns_low)
      add(k.line, where + ".towns_high", "is below towns_low", "make it at least as large");
    if (k.people_high < k.people_low)
      add(k.line, where + ".people_high", "is below people_low", "make it at least as large");
    if (k.to_hour <= k.from_hour) add(k.line, where + ".to_hour", "is not after from_hour", "choose a later hour");
    if (k.mail.subjects.empty()) add(k.line, where + ".mail.subjects", "it has no subject", "add at least one");
    shape(k.mail, k.line, where + ".mail");
  }
  void settings(std::uint32_t line) {
    const auto hub = beacon_hub_settings(), node = beacon_node_settings();
    std::vector<std::string_view> known;
    for (const auto* table : {&hub, &node})
      for (const auto& x : *table) known.push_back(x.name);
    for (const auto& [name, value] : s.settings)
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        const auto guess = nearest(name, known);
        add(line, "settings." + name.substr(0, 80), "no setting of a hub or a node is called so",
            guess.empty() ? "`bavn config explain hub` and `bavn config explain node` list them"
                          : fmt::format("did you mean '{}'?", guess));
      }
    for (const auto* table : {&hub, &node})
      for (const auto& one : s.settings) {
        const std::string& name = one.first;
        if (std::none_of(table->begin(), table->end(), [&](const Setting& x) { return x.name == name; })) continue;
        const auto read = Settings::read(*table, settings_toml({{name, one.second}}, *table), "settings");
        if (!read)
          add(line, "settings." + name, read.error().what,
              table == &hub ? "see `bavn config explain hub`" : "see `bavn config explain node`");
      }
  }
  void clock(const std::string& text, const std::string& where, std::uint32_t line) {
    const auto ok = text.size() == 5 && text[2] == ':' && ascii_digit(text[0]) && ascii_digit(text[1]) &&
                    ascii_digit(text[3]) && ascii_digit(text[4]) && text < "24:00" && text.substr(3) < "60";
    if (!ok) add(line, where, fmt::format("'{}' is no time of day", text), "write it like 08:00");
  }
  void attack(const Attack& a, std::size_t n) {
    const std::string where = fmt::format("attacks.{}", n + 1);
    if (-a.at > s.quiet_days)
      add(a.line, where + ".at",
          fmt::format("begins {} before the start, but quiet_days is {}", format_duration(-a.at),
                      format_duration(s.quiet_days)),
          "make quiet_days longer, or let it begin later");
    in_time(a.at, a.line, where + ".at");
    if (a.at < s.lasts && a.at + a.jitter >= s.lasts)
      add(a.line, where + ".jitter",
          fmt::format("with it, it may begin after the end of the run ({})", format_duration(s.lasts)),
          "make `lasts` longer, or jitter smaller");
    if (a.steps.empty()) add(a.line, where + ".steps", "an attack without steps does nothing", "add a step");
    std::map<std::string, std::size_t> by_id;
    for (std::size_t i = 0; i < a.steps.size(); ++i)
      if (!a.steps[i].id.empty() && !by_id.emplace(a.steps[i].id, i).second)
        add(a.steps[i].line, fmt::format("{}.steps.{}.id", where, i + 1),
            fmt::format("'{}' is the id of another step, too", a.steps[i].id), "give each step its own id");
    for (std::size_t i = 0; i < a.steps.size(); ++i)
      step(a, a.steps[i], fmt::format("{}.steps.{}", where, i + 1), by_id);
    // When each step begins at the earliest.
    std::vector<std::optional<Duration>> begins(a.steps.size());
    for (std::size_t round = 0; round < a.steps.size(); ++round)
      for (std::size_t i = 0; i < a.steps.size(); ++i) {
        const Step& t = a.steps[i];
        const auto before = by_id.find(t.after);
        if (begins[i] || (!t.after.empty() && before == by_id.end())) continue;
        if (t.after.empty()) begins[i] = a.at + t.wait;
        else if (begins[before->second]) begins[i] = *begins[before->second] + t.wait;
        if (begins[i] && *begins[i] >= s.lasts && a.at < s.lasts)
          add(t.line, fmt::format("{}.steps.{}.wait", where, i + 1),
              fmt::format("the step would begin {} after the start, after the end of the run ({})",
                          format_duration(*begins[i]), format_duration(s.lasts)),
              "make `lasts` longer, or wait less");
      }
    // A step that waits for itself, over others.
    for (std::size_t i = 0; i < a.steps.size(); ++i) {
      std::set<std::size_t> seen;
      std::string way = a.steps[i].id;
      for (std::size_t at = i; !a.steps[at].after.empty();) {
        const auto next = by_id.find(a.steps[at].after);
        if (next == by_id.end()) break;
        way += " after " + next->first;
        if (next->second == i) {
          add(a.steps[i].after_line, fmt::format("{}.steps.{}.after", where, i + 1),
              fmt::format("the step waits for itself: {}", way), "let one of them begin without `after`");
          return;
        }
        if (!seen.insert(next->second).second) break;
        at = next->second;
      }
    }
  }
  void step(const Attack&, const Step& t, const std::string& where, const std::map<std::string, std::size_t>& by_id) {
    if (!t.after.empty() && !by_id.contains(t.after)) {
      std::vector<std::string_view> ids;
      for (const auto& [id, i] : by_id) ids.push_back(id);
      const auto guess = nearest(t.after, ids);
      add(t.after_line, where + ".after", fmt::format("no step of this attack is called '{}'", t.after),
          guess.empty() ? "give that step this id" : fmt::format("did you mean '{}'?", guess));
    }
    if (!t.account.empty()) account(t.account, t.account_line, where);
    if (t.kind != "change" && (!t.change.empty() || !t.detail.empty()))
      add(t.line, where + ".change", fmt::format("`{}` changes nothing", t.kind), "leave it out, or write do: change");
    if (t.kind != "takeover" && t.kind != "sign_in" && (!t.way.empty() || t.risk))
      add(t.line, where + (t.risk ? ".risk" : ".way"), fmt::format("`{}` is no sign-in", t.kind),
          "leave it out, or write do: takeover");
    if (t.kind == "mail") {
      if (t.from.empty() == t.account.empty())
        add(t.line, where, t.from.empty() ? "nobody sends this mail" : "two senders: `from` and `account`",
            "give `account` (a mailbox of a municipality) or `from` (an outside address), not both");
      if (!t.from.empty() &&
          (t.from.find('@') == std::string::npos || t.from.find('@') + 1 == t.from.size() || t.from.starts_with('@')))
        add(t.line, where + ".from", fmt::format("'{}' is no mail address", t.from), "write name@domain");
      if (t.to.empty()) add(t.line, where + ".to", "it goes to nobody", "add where it goes: - {towns: 20, mails: 254}");
      for (std::size_t i = 0; i < t.to.size(); ++i) {
        const std::string at = fmt::format("{}.to.{}", where, i + 1);
        const int named = int{!t.to[i].towns.none()} + int{!t.to[i].outside.empty()} + int{!t.to[i].account.empty()};
        if (named != 1)
          add(t.to[i].line, at, named == 0 ? "where does it go?" : "it goes to more than one kind of place",
              "give one of `towns`, `outside` and `account`");
        if (!t.to[i].account.empty()) account(t.to[i].account, t.to[i].line, at);
        towns(t.to[i].towns, at + ".towns");
      }
      shape(t.mail, t.line, where + ".mail");
      if (t.rotate_links > 1 && std::none_of(t.mail.links.begin(), t.mail.links.end(),
                                             [](const auto& l) { return l.find("{n}") != std::string::npos; }))
        add(t.line, where + ".rotate_links", "no link holds {n}, so all are the same", "write https://host/{n}");
      if (t.mail.subjects.empty()) add(t.line, where + ".mail.subjects", "it has no subject", "add at least one");
    } else if (!t.kind.empty()) {
      if (t.account.empty())
        add(t.line, where + ".account", fmt::format("whose account? `{}` needs one", t.kind),
            "write account: name@Municipality");
      const std::pair<std::string_view, bool> of_mail[] = {
          {"from", !t.from.empty()},
          {"to", !t.to.empty()},
          {"people", !t.people.empty()},
          {"mail", !t.mail.subjects.empty() || !t.mail.links.empty() || !t.mail.attachments.empty()},
          {"over", t.over > Duration::zero()},
          {"app", !t.app.empty()},
          {"verdict", t.verdict > 0},
          {"click_rate", t.click_rate >= 0},
          {"rotate_links", t.rotate_links > 1}};
      for (const auto& [field, there] : of_mail)
        if (there)
          add(t.line, fmt::format("{}.{}", where, field), fmt::format("`{}` sends no mail", t.kind),
              "leave it out, or write do: mail");
      if (t.kind == "change" && t.change.empty())
        add(t.line, where + ".change", "what is changed?", "write change: new_app (or inbox_rule, consent ...)");
    }
  }
  void account(const std::string& name, std::uint32_t line, const std::string& where) {
    const auto cut = name.find('@');
    if (cut == std::string::npos || cut == 0)
      return add(line, where + ".account", fmt::format("'{}' is no account", name), "write name@Municipality");
    for (const char c : name.substr(0, cut))
      if (!((c >= 'a' && c <= 'z') || ascii_digit(c) || c == '.' || c == '-' || c == '_'))
        return add(line, where + ".account",
                   fmt::format("'{}' is no account: small letters, digits, dots and dashes stand before the @", name),
                   "write it like anne.holm@Gentofte");
    if (name.substr(cut + 1) == "any") return;
    const auto found = municipalities.named(name.substr(cut + 1));
    if (!found) {
      auto [what, fix] = what_and_fix(found.error());
      return add(line, where + ".account", std::move(what), std::move(fix));
    }
    if (!exists((*found)->id)) not_there((*found)->id, (*found)->name, line, where + ".account");
  }
};

}  // namespace

std::vector<std::pair<std::string_view, std::string_view>> figures() {
  return {
      {"minutes_to_notice", "from the first mail of a real attack to the first notice about it at the hub"},
      {"minutes_to_message_ids", "from that mail to the first receiver's node having its own Message-IDs"},
      {"seconds_to_receivers",
       "from a sender notice at the hub to its Message-IDs at the last connected receiver that was reachable"},
      {"minutes_to_warning", "from that mail to the first warning about it sent by the hub"},
      {"mails_delivered", "mails of real attacks that landed in municipalities' mailboxes"},
      {"mails_delivered_before_warning", "those that landed before the warning; all when there was none"},
      {"mails_delivered_after_warning", "those that landed later"},
      {"clicks", "clicks on links of real attacks"},
      {"clicks_before_warning", "those before the warning; all when there was none"},
      {"clicks_after_warning", "those after it"},
      {"clicks_share",
       "clicks made, as a share of those that would have been made had nobody done anything; over all mails, whoever "
       "clicks"},
      {"accounts_taken", "people who signed in at an attacker's page"},
      {"false_warnings", "warnings sent about something harmless"},
      {"warnings", "all warnings sent"},
      {"suspicions", "things shown to an analyst"},
      {"suspicions_per_shift", "most of them in one shift of eight hours"},
      {"false_suspicions", "suspicions about something harmless"},
      {"candidates", "candidates opened at the hub, shown to nobody"},
      {"notices", "sender notices and bursts that nodes noticed; what a rogue node makes up is not among them"},
      {"false_notices", "those about something harmless"},
      {"max_bytes_out_per_node", "most bytes that left one node, for the whole run"},
      {"nodes", "nodes at the hub"},
      {"purged", "mails of real attacks that were moved out of mailboxes by machine"},
      {"purge_left", "mails of real attacks still in mailboxes of municipalities with a mandate at the end"},
      {"purged_wrongly", "harmless mails that were moved out of mailboxes"},
      {"blocks_refused", "wishes to block that were refused because of whom they would hit"},
      {"blocks_taken", "wishes to block that went on"},
      {"reports_refused", "reports of nodes that the hub refused"},
      {"attacks_warned", "real attacks that a warning was sent about"},
      {"attacks_noticed", "real attacks of which a node told the hub"},
      {"warnings_missed", "connected nodes that did not have a sent warning at the end"},
      {"warnings_doubled", "warnings a node got more than once"},
  };
}

std::string settings_toml(const std::map<std::string, std::string, std::less<>>& wanted,
                          std::span<const Setting> table) {
  std::string out;
  for (const auto& [name, value] : wanted)
    for (const auto& s : table) {
      if (s.name != name) continue;
      const bool text = std::holds_alternative<std::string_view>(s.fallback);
      std::string plain;
      for (const char c : value) {
        if (text && (c == '"' || c == '\\')) plain += '\\';
        plain += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
      }
      out += text ? fmt::format("{} = \"{}\"\n", name, plain) : fmt::format("{} = {}\n", name, plain);
    }
  return out;
}

ScenarioFile read_scenario(std::string_view text) {
  ScenarioFile out;
  Scenario& s = out.scenario;
  s = Scenario{};
  Lines lines;
  s.municipalities.all = true;
  s.connected.all = true;
  using D = Duration;
  s.sources.everywhere = {
      {"message_trace", {true, {minutes{5}, minutes{15}}, 1}},
      {"audit_log", {true, {minutes{30}, minutes{90}}, 1}},
      {"sign_in", {true, {minutes{2}, minutes{10}}, 1}},
      {"directory_audit", {true, {minutes{5}, minutes{20}}, 1}},
      {"defender", {true, {minutes{5}, minutes{15}}, 0.4}},
      {"mail_copy", {true, {seconds{5}, seconds{50}}, 0.2}},
      {"proxy", {true, {seconds{10}, seconds{120}}, 0.4}},
  };
  s.people.mailboxes = {{"S", 1200}, {"M", 3000}, {"L", 7000}, {"XL", 19000}};
  s.people.click_after = {{D(minutes{1}), 0.11}, {D(minutes{5}), 0.25}, {D(hours{1}), 0.52},
                          {D(hours{5}), 0.80},   {D(hours{10}), 0.90},  {D(hours{72}), 1.0}};
  s.people.report_after = {{D(minutes{1}), 0.05}, {D(minutes{10}), 0.30}, {D(hours{1}), 0.60}, {D(hours{24}), 1.0}};
  out.faults = read_fields(text, [&](Fields& f) { scenario_of(f, s, lines); });
  if (s.start == Instant{} && !out.faults.empty()) s.start = from_micros(1'727'769'600'000'000);
  Checker check{s, out.faults};
  if (s.name.find_first_of("\n\r\t") != std::string::npos)
    check.add(1, "name", "the name holds a line break", "write one line");
  check.clock(s.staff.from, "staff.from", lines.staff_from);
  check.clock(s.staff.to, "staff.to", lines.staff_to);
  if (s.staff.to <= s.staff.from && s.staff.from.size() == 5 && s.staff.to.size() == 5)
    check.add(lines.staff_to, "staff.to",
              fmt::format("{} is not after {}: nobody would ever work", s.staff.to, s.staff.from),
              "write a later time of the same day");
  check.days(s.staff.days, lines.staff_days);
  const auto how_many = [&](const TownChoice& t, const char* where) {
    const auto all = std::count_if(
        check.municipalities.list().begin(), check.municipalities.list().end(),
        [&](const auto& m) { return (m.country == tenants::Country::norway) == (s.country == "norway"); });
    if (t.some > all && t.some <= 500)
      check.add(t.line, where, fmt::format("{} municipalities are more than the {} there are", t.some, all),
                "write all");
  };
  how_many(s.municipalities, "municipalities");
  how_many(s.connected, "connected");
  if (check.community.size() == 0 && !s.municipalities.wrong && s.municipalities.ids.empty())
    check.add(s.municipalities.line, "municipalities", "nobody is there", "write all, or name some");
  check.towns(s.municipalities, "municipalities");
  if (!s.connected.all) check.towns(s.connected, "connected");
  check.towns(s.purge.mandate, "purge.mandate");
  for (const auto& [name, own] : s.sources.by_town)
    if (const auto found = check.municipalities.named(name); !found) {
      auto [what, fix] = what_and_fix(found.error());
      check.add(lines.by_town, "sources.by_town", std::move(what), std::move(fix));
    } else if (!check.exists((*found)->id))
      check.add(lines.by_town, "sources.by_town", fmt::format("{} is not one of the scenario's municipalities", name),
                "add it to municipalities, or take another");
  check.settings(lines.settings);
  for (std::size_t i = 0; i < s.benign.kinds.size(); ++i) check.kind(s.benign.kinds[i], i);
  for (std::size_t i = 0; i < s.indicators.size(); ++i)
    check.in_time(s.indicators[i].at, s.indicators[i].line, fmt::format("indicators.{}.at", i + 1));
  for (std::size_t i = 0; i < s.wire.away.size(); ++i) {
    check.towns(s.wire.away[i].towns, fmt::format("wire.away.{}.towns", i + 1));
    check.in_time(s.wire.away[i].at, s.wire.away[i].line, fmt::format("wire.away.{}.at", i + 1));
  }
  if (s.real_case) {
    std::vector<std::string_view> known;
    for (const auto& [name, doc] : figures()) known.push_back(name);
    for (const auto& [name, value] : s.real_case->figures)
      if (std::find(known.begin(), known.end(), name) == known.end()) {
        const auto guess = nearest(name, known);
        check.add(lines.real_case, "real_case.figures." + name.substr(0, 80), "no figure is called so",
                  guess.empty() ? "the figures are listed by `bavn simulate --explain`"
                                : fmt::format("did you mean '{}'?", guess));
      }
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < s.attacks.size(); ++i) {
    if (!names.insert(s.attacks[i].name).second)
      check.add(s.attacks[i].line, fmt::format("attacks.{}.name", i + 1),
                fmt::format("another attack is called '{}', too", s.attacks[i].name), "give each its own name");
    check.attack(s.attacks[i], i);
  }
  if (s.benign.everyday && !s.benign.rates.empty()) {
    const Benign known = everyday();
    std::vector<std::string_view> kinds;
    for (const auto& k : known.kinds) kinds.push_back(k.name);
    for (const auto& k : s.benign.kinds) kinds.push_back(k.name);
    for (const auto& [name, rate] : s.benign.rates)
      if (std::find(kinds.begin(), kinds.end(), name) == kinds.end()) {
        const auto guess = nearest(name, kinds);
        check.add(
            lines.rates, "benign.rates", fmt::format("no kind is called '{}'", name),
            guess.empty() ? "see content/scenarios/benign/everyday.yaml" : fmt::format("did you mean '{}'?", guess));
      }
  }
  for (std::size_t i = 0; i < s.rogues.size(); ++i) {
    check.towns(s.rogues[i].town, fmt::format("rogues.{}.town", i + 1));
    check.in_time(s.rogues[i].at, s.rogues[i].line, fmt::format("rogues.{}.at", i + 1));
    if (s.rogues[i].town.none())
      check.add(s.rogues[i].line, fmt::format("rogues.{}.town", i + 1), "nobody is named", "name a municipality");
  }
  std::stable_sort(out.faults.begin(), out.faults.end(),
                   [](const Fault& a, const Fault& b) { return a.line < b.line; });
  return out;
}

Benign everyday() {
  Benign out;
  const auto text = content::file("content/scenarios/benign/everyday.yaml");
  BAVN_ASSERT(text);
  const auto faults = read_fields(*text, [&](Fields& f) {
    f.parts("kinds", 200, [&](Fields& k) { kind_of(k, out.kinds.emplace_back()); }, "");
    f.parts("events", 100, [&](Fields& e) { event_of(e, out.events.emplace_back()); }, "");
  });
  for (const auto& f : faults) log::error("catalogue_broken", {{"fault", to_string(f, "everyday.yaml")}});
  BAVN_ASSERT(faults.empty());
  return out;
}

std::string explain_scenario() {
  Scenario s = read_scenario("name: x\nstart: 2024-10-25T06:00:00Z\n").scenario;
  s.name.clear();
  Lines lines;
  std::string out = explain_fields([&](Fields& f) { scenario_of(f, s, lines); });
  out += "\n| figure | meaning |\n|---|---|\n";
  for (const auto& [name, doc] : figures()) out += fmt::format("| `{}` | {} |\n", name, doc);
  return out;
}

}  // namespace bavn::app::simulate
