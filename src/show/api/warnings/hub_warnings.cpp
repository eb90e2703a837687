#include <algorithm>

#include "base/catalogue.hpp"
#include "show/api/campaigns/rows.hpp"
#include "show/api/hub_inner.hpp"
#include "warn/case.hpp"
#include "warn/never_block.hpp"

namespace bavn::show::api {

namespace {

struct WarningTextView {
  std::string language;
  bool own = false;
  std::string title, summary, for_employees;
  std::vector<std::string> do_now, reasons;
  std::string sms;
};
BOOST_DESCRIBE_STRUCT(WarningTextView, (), (language, own, title, summary, for_employees, do_now, reasons, sms))

struct Words {
  std::string title, summary, for_employees;
  std::vector<std::string> do_now, reasons;
  std::string sms;
};
BOOST_DESCRIBE_STRUCT(Words, (), (title, summary, for_employees, do_now, reasons, sms))

struct VersionView {
  std::int64_t version = 0;
  std::string at, state, by, why;
};
BOOST_DESCRIBE_STRUCT(VersionView, (), (version, at, state, by, why))

struct AnswerView {
  Town municipality;
  When received_at{};
  std::optional<std::string> state{};
  std::optional<std::int64_t> hits{}, recipients{}, clicks{};
  When first_hit_at{}, warned_at{};
  std::optional<std::int64_t> emptied{}, left{};
  When emptied_at{}, blocked_at{}, list_fetched_at{}, ended_at{};
  std::optional<std::vector<std::string>> looked_in{}, cannot_see{};
  std::optional<std::string> by{};
  std::int64_t reminders = 0;
  std::optional<double> minutes_to_warned{}, minutes_to_emptied{}, minutes_to_ended{};
};
BOOST_DESCRIBE_STRUCT(AnswerView, (),
                      (municipality, received_at, state, hits, recipients, clicks, first_hit_at, warned_at, emptied,
                       left, emptied_at, blocked_at, list_fetched_at, ended_at, looked_in, cannot_see, by, reminders,
                       minutes_to_warned, minutes_to_emptied, minutes_to_ended))

struct Counted {
  std::int64_t received = 0, seen_here = 0, not_seen = 0, cannot_know = 0, purged = 0, failed = 0, silent = 0;
};
BOOST_DESCRIBE_STRUCT(Counted, (), (received, seen_here, not_seen, cannot_know, purged, failed, silent))

struct ReminderView {
  Town municipality;
  std::string at;
  std::int64_t nth = 0, messages = 0;
};
BOOST_DESCRIBE_STRUCT(ReminderView, (), (municipality, at, nth, messages))

struct Deliveries {
  std::int64_t waiting = 0, delivered = 0, failed = 0;
};
BOOST_DESCRIBE_STRUCT(Deliveries, (), (waiting, delivered, failed))

struct RowView {
  std::string id, campaign, state, severity, tlp;
  std::int64_t version = 0;
  std::string title;
  When first_seen_at;
  std::string drafted_at;
  When sent_at;
  std::string changed_at;
  bool lit_by_itself = false;
  std::int64_t asked = 0, answered = 0, seen_here = 0;
};
BOOST_DESCRIBE_STRUCT(RowView, (),
                      (id, campaign, state, severity, tlp, version, title, first_seen_at, drafted_at, sent_at,
                       changed_at, lit_by_itself, asked, answered, seen_here))

struct WarningPage : RowView {
  std::optional<CampaignFrom> from;
  std::vector<Town> to;
  std::vector<ShownObservable> look_for;
  std::vector<std::string> advice;
  std::vector<WarningTextView> texts;
  warn::CaseMinutes minutes;
  std::vector<VersionView> versions;
  std::vector<AnswerView> answers;
  Counted counted;
  std::vector<ReminderView> reminders;
  Deliveries deliveries;
  When next_reminder_at;
  std::vector<std::string> may;
};
BOOST_DESCRIBE_STRUCT(WarningPage, (RowView),
                      (from, to, look_for, advice, texts, minutes, versions, answers, counted, reminders, deliveries,
                       next_reminder_at, may))

struct Preview {
  std::string language, subject, mail, sms;
  std::int64_t sms_parts = 1;
  std::string call_only_subject, call_only, for_employees;
  std::int64_t bytes = 0, reaches = 0;
};
BOOST_DESCRIBE_STRUCT(Preview, (),
                      (language, subject, mail, sms, sms_parts, call_only_subject, call_only, for_employees, bytes,
                       reaches))

struct Draft {
  std::optional<net::RawJson> case_;  // whole, as a file has it
  std::optional<std::string> campaign, severity, tlp, from_domain, from_address;
  std::optional<std::vector<event::NamedObservable>> look_for;
  std::optional<std::vector<std::string>> subjects, to;
  std::optional<Instant> first_seen_at;
  std::optional<std::int64_t> municipalities, mails;
};
BOOST_DESCRIBE_STRUCT(Draft, (),
                      (case_, campaign, severity, tlp, from_domain, from_address, look_for, subjects, to, first_seen_at,
                       municipalities, mails))

struct Ended {
  std::string municipality;
  std::optional<Instant> at;
};
BOOST_DESCRIBE_STRUCT(Ended, (), (municipality, at))

struct SummaryRow {
  Town municipality;
  std::int64_t warnings = 0, answered = 0, by_person = 0, concerned = 0, hits = 0, clicks = 0, emptied = 0, left = 0;
  std::optional<double> median_minutes_to_warned, median_minutes_to_emptied, median_minutes_to_ended;
};
BOOST_DESCRIBE_STRUCT(SummaryRow, (),
                      (municipality, warnings, answered, by_person, concerned, hits, clicks, emptied, left,
                       median_minutes_to_warned, median_minutes_to_emptied, median_minutes_to_ended))
struct Summary {
  std::string quarter;
  std::vector<SummaryRow> items;
};
BOOST_DESCRIBE_STRUCT(Summary, (), (quarter, items))

struct SubscriptionView {
  std::string id, name, url, tlp, by, made_at;
  When last_good_at;
  std::int64_t waiting = 0;
  std::optional<std::string> trouble;
  bool stopped = false;
};
BOOST_DESCRIBE_STRUCT(SubscriptionView, (), (id, name, url, tlp, by, made_at, last_good_at, waiting, trouble, stopped))
struct NewSubscription {
  std::string name, url;
  std::optional<std::string> tlp;
};
BOOST_DESCRIBE_STRUCT(NewSubscription, (), (name, url, tlp))
struct MadeSubscription {
  std::string id, secret;
};
BOOST_DESCRIBE_STRUCT(MadeSubscription, (), (id, secret))

constexpr std::string_view kNone = "none-";      // what a warning of no campaign is filed under
constexpr std::string_view kByHand = "by-hand";  // what a case file without a campaign is read as

std::string_view name_of(warn::Advice a) {
  switch (a) {
    case warn::Advice::purge: return "purge";
    case warn::Advice::look_for_clicks: return "look_for_clicks";
    case warn::Advice::end_sessions: return "end_sessions";
    case warn::Advice::apps: return "apps";
    case warn::Advice::rules: return "rules";
    case warn::Advice::device_code: return "device_code";
    case warn::Advice::block_path: return "block_path";
    case warn::Advice::block_host: return "block_host";
    case warn::Advice::block_name: return "block_name";
    case warn::Advice::block_file: return "block_file";
    case warn::Advice::keep_domain: return "keep_domain";
    case warn::Advice::call_known: return "call_known";
    case warn::Advice::phone_payment: return "phone_payment";
    case warn::Advice::qr_code: return "qr_code";
    case warn::Advice::report_not_delete: return "report_not_delete";
  }
  return "report_not_delete";
}

void fill(RowView& v, const warn::WarningRow& w) {
  v.id = w.id;
  if (!w.campaign.starts_with(kNone)) v.campaign = w.campaign;
  v.state = w.state;
  v.severity = w.severity;
  v.tlp = w.tlp;
  v.version = w.version;
  v.title = w.title;
  v.first_seen_at = at(w.first_seen_us);
  v.drafted_at = at_always(w.drafted_us);
  v.sent_at = at(w.sent_us);
  v.changed_at = at_always(w.changed_us);
  v.lit_by_itself = w.lit_by_itself;
  v.asked = w.asked;
  v.answered = w.answered;
  v.seen_here = w.seen_here;
}

AnswerView answer_of(const Hub& hub, const warn::AnswerView& a) {
  AnswerView v;
  v.municipality = hub.town(a.municipality);
  v.reminders = a.reminders;
  v.minutes_to_warned = a.minutes_to_warned;
  v.minutes_to_emptied = a.minutes_to_emptied;
  v.minutes_to_ended = a.minutes_to_ended;
  if (!a.answer) return v;
  v.received_at = at(a.received_us);
  v.state = a.answer->state;
  v.hits = a.answer->hits;
  v.recipients = a.answer->recipients;
  v.clicks = a.answer->clicks;
  v.first_hit_at = at(a.answer->first_hit_us);
  v.warned_at = at(a.answer->warned_us);
  v.emptied = a.answer->purged;
  v.left = a.answer->purge_left;
  if (a.answer->purged > 0 && a.answer->purge_left == 0) v.emptied_at = at(a.answer->emptied_us);
  v.blocked_at = at(a.answer->blocked_us);
  v.list_fetched_at = at(a.answer->list_fetched_us);
  v.ended_at = at(a.answer->ended_us);
  v.looked_in = a.answer->looked_in;
  v.cannot_see = a.answer->cannot_see;
  v.by = a.answer->by;
  return v;
}

struct StateCount {
  std::string state;
  std::int64_t n = 0;
};
BOOST_DESCRIBE_STRUCT(StateCount, (), (state, n))

Result<WarningPage> page_of(const Hub& hub, const event::Scope& scope, std::string_view id, Language language) {
  BAVN_TRY(const auto w, hub.warnings.show(scope, id, language));
  WarningPage v;
  fill(v, w.warning);
  const auto sender = w.about.from_domain.empty() ? std::nullopt : hub.members.of_domain(w.about.from_domain);
  if (!w.about.from_domain.empty() && (w.about.may_be_named || scope.sees_all() || (sender && scope.sees(*sender))))
    v.from = CampaignFrom{w.about.from_domain, sender ? std::optional(hub.town(*sender)) : std::nullopt,
                          w.about.may_be_named};
  for (const MunicipalityId m : w.about.to) v.to.push_back(hub.town(m));
  if (!scope.sees_all())
    std::erase_if(v.to, [&](const Town& t) {
      const auto code = number_in(t.code);
      return !code || !hub.sees(scope, *code);
    });
  const auto shared = [&](std::string_view kind, std::string_view value) {
    const std::string_view host = value.substr(0, value.find('/'));
    return kind == "url" && std::ranges::find(w.about.shared_hosts, host) != w.about.shared_hosts.end();
  };
  for (const auto& o : w.about.look_for) {
    // The taken mailbox is named under the same agreement as its domain.
    if (!v.from && o.kind == "email" && o.value == w.about.from_address) continue;
    auto shown = hub.shown(o.kind, o.value);
    shown.shared_host = shared(o.kind, o.value);
    v.look_for.push_back(std::move(shown));
  }
  for (const auto a : warn::advice_for(w.about)) v.advice.emplace_back(name_of(a));
  for (const auto& t : w.texts)
    v.texts.push_back({t.language, std::ranges::find(w.own_words, t.language) != w.own_words.end(), t.title, t.summary,
                       t.for_employees, t.do_now, t.reasons, t.sms});
  v.minutes = w.minutes;
  for (const auto& r : w.versions) v.versions.push_back({r.version, at_always(r.at_us), r.state, r.by, r.why});
  for (const auto& a : w.answers) v.answers.push_back(answer_of(hub, a));
  const auto counted = [&](std::string_view state) {
    const auto found = w.by_answer.find(std::string(state));
    return found == w.by_answer.end() ? std::int64_t{0} : found->second;
  };
  v.counted = {.received = counted("received"),
               .seen_here = w.warning.seen_here,
               .not_seen = counted("not_seen"),
               .cannot_know = counted("cannot_know"),
               .purged = counted("purged"),
               .failed = counted("failed"),
               .silent = counted("silent")};
  BAVN_TRY(const auto reminders, hub.warnings.reminders(scope, id));
  for (const auto& r : reminders)
    v.reminders.push_back({hub.town(r.municipality), at_always(r.at_us), r.nth, r.messages});
  BAVN_CHECK(hub.state.read([&](store::Reader& db) -> Result<void> {
    BAVN_TRY(const auto states, db.all<StateCount>("SELECT state, count(*) AS n FROM notify_message WHERE about = :a "
                                                   "GROUP BY state",
                                                   {{"a", fmt::format("warning:{}", w.warning.id)}}));
    for (const auto& s : states)
      (s.state == "delivered" ? v.deliveries.delivered
       : s.state == "waiting" ? v.deliveries.waiting
                              : v.deliveries.failed) = s.n;
    const bool out = w.warning.state == "sent" || w.warning.state == "updated";
    if (!out || v.counted.silent == 0) return {};
    BAVN_TRY(const auto due,
             db.one<std::int64_t>("SELECT due_us FROM timer WHERE kind = 'warn.remind' AND subject = :w",
                                  {{"w", w.warning.id}}));
    v.next_reminder_at = at(due);
    return {};
  }));
  if (scope.may(Needs::publish) && scope.sees_all()) {
    const std::string& s = w.warning.state;
    if (s == "draft") v.may = {"send", "update", "edit_texts", "withdraw"};
    else if (s == "sent" || s == "updated") v.may = {"update", "edit_texts", "over", "withdraw"};
  }
  return v;
}

net::Reply show(const Hub& hub, const net::Request& q, std::string_view id, int status = 200) {
  const auto page = page_of(hub, q.scope, id, web::language_of(q));
  if (!page) return net::problem(page.error());
  // What is edited is the warning itself; that answers come in must not refuse an edit.
  const std::string etag = web::etag_of_text(page->changed_at + page->state);
  return web::tagged(net::json(net::to_json(*page), status), etag);
}

Result<std::string> etag_of(const Hub& hub, const net::Request& q) {
  BAVN_TRY(const auto w, hub.warnings.show(q.scope, q.param("id")));
  return web::etag_of_text(at_always(w.warning.changed_us) + w.warning.state);
}

net::Reply list(const Hub& hub, const net::Request& q) {
  const auto page = web::page_of(q, "warnings");
  if (!page) return net::problem(page.error());
  warn::WarningFilter filter;
  filter.state = std::string(q.asked("state").value_or(""));
  constexpr std::string_view kStates[] = {"", "draft", "sent", "updated", "over", "withdrawn"};
  if (std::ranges::find(kStates, filter.state) == std::end(kStates))
    return net::problem(Error{Code::bad_input, "there is no such state of a warning", "?state"});
  if (const auto split = page->after.find('|'); split != std::string::npos) {
    filter.before_us = number_in(std::string_view(page->after).substr(0, split)).value_or(0);
    filter.after_id = page->after.substr(split + 1);
  }
  filter.limit = static_cast<std::int64_t>(page->limit) + 1;
  auto found = hub.warnings.list(q.scope, web::language_of(q), filter);
  if (!found) return net::problem(found.error());
  std::optional<std::string> next;
  if (found->size() > page->limit) {
    found->resize(page->limit);
    next = web::cursor_of("warnings", fmt::format("{}|{}", found->back().changed_us, found->back().id));
  }
  std::vector<RowView> rows(found->size());
  for (std::size_t i = 0; i < rows.size(); ++i) fill(rows[i], (*found)[i]);
  return list_of(rows, next);
}

/// What a person asks to be looked for is looked for, or refused: a slip of the hand is not left out in silence.
Result<void> can_be_looked_for(const Draft& d) {
  const auto no = [](std::string_view value, std::string_view kind, std::string where) {
    return fail(Code::bad_input, fmt::format("\"{}\" is no {}", warn::harmless(value, 60), warn::harmless(kind, 40)),
                std::move(where));
  };
  if (d.look_for)
    for (std::size_t i = 0; i < d.look_for->size(); ++i) {
      const auto& o = (*d.look_for)[i];
      if (!event::canonical(o.kind, o.value)) return no(o.value, o.kind, fmt::format("/look_for/{}", i));
    }
  if (d.from_domain && !d.from_domain->empty() && !event::canonical(event::Kind::mail_domain, *d.from_domain))
    return no(*d.from_domain, "mail domain", "/from_domain");
  if (d.from_address && !d.from_address->empty() && !event::canonical(event::Kind::email, *d.from_address))
    return no(*d.from_address, "mail address", "/from_address");
  return {};
}

/// The sender that a person names. A municipality's account is told of as a colleague's that was taken, and named only if that was
/// agreed; what comes from anybody else is looked for like a link. A domain of many harmless people is no sender.
Result<void> set_sender(const Hub& hub, warn::Case& c, const Draft& d) {
  if (d.from_domain) c.from_domain = *d.from_domain;
  if (d.from_address) c.from_address = *d.from_address;
  if (!d.from_domain && !d.from_address) return {};
  if (!d.from_domain) c.from_domain.clear();
  if (!d.from_address) c.from_address.clear();
  const auto address = event::canonical(event::Kind::email, c.from_address);
  const auto at = address ? address->value.rfind('@') + 1 : 0;
  const auto domain = event::canonical(event::Kind::mail_domain,
                                       c.from_domain.empty() && address ? address->value.substr(at) : c.from_domain);
  if (!domain) return {};  // nobody is named
  if (const auto owner = hub.members.of_domain(domain->value)) {
    const auto member = hub.members.of(*owner);
    c.may_be_named = member && member->may_be_named;
    c.from_domain = domain->value;
    return {};
  }
  const auto never = hub.blocks.never_block();
  if (!address && never && never->check({event::Kind::mail_domain, domain->value}))
    return fail(Code::bad_input,
                fmt::format("{} is the domain of many who do no harm: give the whole address",
                            warn::harmless(domain->value, 60)),
                "/from_domain");
  c.look_for.push_back(address ? event::NamedObservable{"email", address->value}
                               : event::NamedObservable{"mail_domain", domain->value});
  c.from_domain.clear();
  c.from_address.clear();
  c.may_be_named = false;
  return {};
}

/// What a person says over what is there.
Result<warn::Case> merged(const Hub& hub, warn::Case c, const Draft& d) {
  if (d.case_) {
    auto whole = warn::read_case(d.case_->text);
    if (!whole) return fail(whole.error().code, whole.error().what, "/case" + whole.error().where);
    c = std::move(*whole);
  }
  BAVN_CHECK(can_be_looked_for(d));
  if (d.severity) c.severity = *d.severity;
  if (d.tlp) c.tlp = *d.tlp;
  if (d.look_for) c.look_for = *d.look_for;
  BAVN_CHECK(set_sender(hub, c, d));
  if (d.subjects) c.subjects = *d.subjects;
  if (d.first_seen_at) c.first_seen_us = micros(*d.first_seen_at);
  if (d.municipalities) c.municipalities = *d.municipalities;
  if (d.mails) c.mails = *d.mails;
  if (d.to) {
    c.to.clear();
    for (const auto& each : *d.to) {
      BAVN_TRY(const auto m, hub.named(each));
      c.to.push_back(m);
    }
    std::ranges::sort(c.to);
  }
  if (const auto never = hub.blocks.never_block()) warn::find_shared_hosts(c, *never);
  if (d.look_for && !c.may_be_named && !c.from_domain.empty()) {
    warn::Case tried = c;
    if (tried.campaign.empty()) tried.campaign = "none";  // it gets its id when it is drafted
    BAVN_TRY(const auto what_goes, warn::checked(std::move(tried)));
    if (what_goes.left_out > 0)
      return fail(Code::bad_input,
                  fmt::format("{} of what to look for names the sender, who has not agreed to be named: leave it out",
                              what_goes.left_out),
                  "/look_for");
  }
  return c;
}

Result<warn::Case> case_asked(const Hub& hub, store::Reader& db, const Draft& d) {
  if (!d.campaign) {
    if (!d.case_ && (!d.severity || !d.look_for))
      return fail(Code::bad_input, "a warning of no campaign says its severity and what to look for", "/look_for");
    warn::Case c;
    c.trigger = "person";
    return merged(hub, std::move(c), d);
  }
  const auto id = number_in(*d.campaign);
  if (!id) return fail(Code::bad_input, "a campaign is named by its number", "/campaign");
  BAVN_TRY(auto c, hub.case_of(db, *id));
  return merged(hub, std::move(c), d);
}

Result<void> for_all(const net::Request& q) {
  if (q.scope.sees_all()) return {};
  return fail(Code::forbidden, "warnings to all are made by the joint CERT");
}

using Act = std::function<Result<void>(store::Tx&, const net::Request&)>;
net::Handler acting(const HubPtr& hub, Act act, bool matched = false) {
  return [hub, act = std::move(act), matched](const net::Request& q) -> net::Reply {
    if (const auto all = for_all(q); !all) return net::problem(all.error());
    if (matched) {
      const auto etag = etag_of(*hub, q);
      if (!etag) return net::problem(etag.error());
      if (auto stale = web::must_match(q, *etag)) return std::move(*stale);
    }
    const auto done = hub->change([&](store::Tx& tx) { return act(tx, q); });
    return done ? show(*hub, q, q.param("id")) : net::problem(done.error());
  };
}

net::Reply draft(const Hub& hub, const net::Request& q) {
  if (const auto all = for_all(q); !all) return net::problem(all.error());
  const auto asked = body_of<Draft>(q);
  if (!asked) return net::problem(asked.error());
  std::string id;
  const auto done = hub.change([&](store::Tx& tx) -> Result<void> {
    BAVN_TRY(auto c, case_asked(hub, tx, *asked));
    // Of no campaign: a name of its own, for there is one open warning a campaign.
    if (c.campaign.empty() || c.campaign == kByHand) c.campaign = fmt::format("{}{}", kNone, micros(tx.now()));
    BAVN_TRY(id, hub.warnings.draft(tx, c, person(q)));
    return {};
  });
  if (!done) return net::problem(done.error());
  net::Reply reply = show(hub, q, id, 201);
  reply.headers.set("Location", "/api/warnings/" + id);
  return reply;
}

net::Reply preview(const Hub& hub, const net::Request& q) {
  const auto next = hub.warnings.next(q.scope, q.param("id"));
  if (!next) return net::problem(next.error());
  const Language language = web::language_of(q);
  const auto text = std::ranges::find(next->entry.texts, to_string(language), &event::WarningText::language);
  if (text == next->entry.texts.end()) return net::problem(404, "no text", "this warning has no text in that language");
  const std::string severity = hub.texts.say(language, "warn.severity." + next->entry.severity);
  Preview v;
  v.language = to_string(language);
  v.subject = text->title;
  v.mail = warn::printed(hub.texts, *text);
  v.sms = text->sms;
  v.sms_parts = text->sms.size() <= 160 ? 1 : static_cast<std::int64_t>((text->sms.size() + 152) / 153);
  v.call_only_subject = hub.texts.say(language, "warn.call.subject", {{"severity", severity}});
  v.call_only = hub.texts.say(language, "warn.call.text");
  v.for_employees = text->for_employees;
  v.bytes = static_cast<std::int64_t>(next->bytes);
  v.reaches = static_cast<std::int64_t>(next->reaches);
  return net::json(net::to_json(v));
}

net::Reply summary(const Hub& hub, const net::Request& q) {
  const std::string quarter(q.asked("quarter").value_or(""));
  const auto dash = quarter.find('-');
  const auto year = number_in(std::string_view(quarter).substr(0, dash));
  const auto nth = dash == std::string::npos ? std::nullopt : number_in(std::string_view(quarter).substr(dash + 1));
  if (!year || !nth || *year > 9999 || *nth > 4)
    return net::problem(Error{Code::bad_input, "a quarter is a year and 1 to 4: 2024-4", "?quarter"});
  const auto rows = hub.warnings.summary(q.scope, static_cast<int>(*year), static_cast<int>(*nth));
  if (!rows) return net::problem(rows.error());
  Summary v{quarter, {}};
  for (const auto& r : *rows)
    v.items.push_back({hub.town(r.municipality), r.warnings, r.answered, r.by_person, r.concerned, r.hits, r.clicks,
                       r.purged, r.purge_left, r.median_minutes_to_warned, r.median_minutes_to_emptied,
                       r.median_minutes_to_ended});
  return net::json(net::to_json(v));
}

void add_subscriptions(net::Router& router, const HubPtr& hub) {
  router.get("/api/subscriptions", Needs::tenants_read, [hub](const net::Request& q) -> net::Reply {
    if (const auto all = for_all(q); !all) return net::problem(all.error());
    const auto found = hub->warnings.subscriptions();
    if (!found) return net::problem(found.error());
    std::vector<SubscriptionView> rows;
    for (const auto& s : *found)
      rows.push_back({std::to_string(s.id), s.name, s.url, s.tlp, s.by, at_always(s.made_us), at(s.last_good_us),
                      s.waiting, filled(s.trouble), s.stopped});
    return list_of(rows);
  });
  router.post("/api/subscriptions", Needs::tenants_write, [hub](const net::Request& q) -> net::Reply {
    if (const auto all = for_all(q); !all) return net::problem(all.error());
    const auto asked = body_of<NewSubscription>(q);
    if (!asked) return net::problem(asked.error());
    warn::Desk::NewSubscription made;
    const auto done = hub->change([&](store::Tx& tx) -> Result<void> {
      BAVN_TRY(made, hub->warnings.subscribe(tx, asked->name, asked->url, asked->tlp.value_or("green"), person(q)));
      return {};
    });
    if (!done) return net::problem(done.error());
    return web::shown_once(net::json(net::to_json(MadeSubscription{std::to_string(made.id), made.secret}), 201));
  });
  router.del("/api/subscriptions/{id}", Needs::tenants_write, [hub](const net::Request& q) -> net::Reply {
    if (const auto all = for_all(q); !all) return net::problem(all.error());
    const auto id = web::id_of(q);
    if (!id) return net::problem(id.error());
    return web::done(hub->change([&](store::Tx& tx) { return hub->warnings.unsubscribe(tx, *id, person(q)); }));
  });
}

}  // namespace

void add_warning_routes(net::Router& router, const HubPtr& hub) {
  router.get("/api/warnings", Needs::alert_read, [hub](const net::Request& q) { return list(*hub, q); });
  router.get("/api/warnings/{id}", Needs::alert_read,
             [hub](const net::Request& q) { return show(*hub, q, q.param("id")); });
  router.get("/api/warnings/{id}/preview", Needs::alert_read,
             [hub](const net::Request& q) { return preview(*hub, q); });
  router.get("/api/warnings-summary", Needs::alert_read, [hub](const net::Request& q) { return summary(*hub, q); });
  router.post("/api/warnings", Needs::publish, [hub](const net::Request& q) { return draft(*hub, q); });
  router.put("/api/warnings/{id}/texts/{language}", Needs::publish,
             acting(
                 hub,
                 [hub](store::Tx& tx, const net::Request& q) -> Result<void> {
                   BAVN_TRY(auto w, body_of<Words>(q));
                   const event::WarningText t{.language = std::string(q.param("language")),
                                              .title = w.title,
                                              .summary = w.summary,
                                              .for_employees = w.for_employees,
                                              .do_now = w.do_now,
                                              .reasons = w.reasons,
                                              .sms = w.sms};
                   return hub->warnings.set_text(tx, q.param("id"), t, person(q));
                 },
                 true));
  router.post("/api/warnings/{id}/send", Needs::publish,
              proved(hub, acting(
                              hub,
                              [hub](store::Tx& tx, const net::Request& q) {
                                return hub->warnings.send(tx, q.param("id"), person(q));
                              },
                              true)));
  router.post("/api/warnings/{id}/update", Needs::publish,
              acting(hub, [hub](store::Tx& tx, const net::Request& q) -> Result<void> {
                BAVN_TRY(const auto asked, body_of<Draft>(q));
                BAVN_TRY(const auto w, hub->warnings.about(tx, q.param("id")));
                // Of a campaign: what is known of it now, and what this person says over it.
                warn::Case base = w;
                if (const auto id = number_in(w.campaign)) {
                  BAVN_TRY(base, hub->case_of(tx, *id));
                  base.tlp = w.tlp;
                  base.to = w.to;
                  base.subjects = w.subjects;
                }
                BAVN_TRY(auto c, merged(*hub, std::move(base), asked));
                if (asked.case_ && (c.campaign.empty() || c.campaign == kByHand)) c.campaign = w.campaign;
                c.lit_by_itself = false;  // a person looked at it
                return hub->warnings.update(tx, q.param("id"), c, person(q));
              }));
  router.post("/api/warnings/{id}/over", Needs::publish,
              acting(hub, [hub](store::Tx& tx, const net::Request& q) -> Result<void> {
                BAVN_TRY(const auto asked, body_of<Because>(q));
                return hub->warnings.over(tx, q.param("id"), person(q), asked.why);
              }));
  router.post("/api/warnings/{id}/withdraw", Needs::publish,
              acting(hub, [hub](store::Tx& tx, const net::Request& q) -> Result<void> {
                BAVN_TRY(const auto asked, body_of<Because>(q));
                return hub->warnings.withdraw(tx, q.param("id"), person(q), asked.why);
              }));
  router.post("/api/warnings/{id}/ended", Needs::alert_write, [hub](const net::Request& q) -> net::Reply {
    const auto asked = body_of<Ended>(q);
    if (!asked) return net::problem(asked.error());
    const auto m = hub->named(asked->municipality);
    if (!m) return net::problem(m.error());
    if (!q.scope.sees(*m))
      return net::problem(Error{Code::not_found, "there is no such municipality", "/municipality"});
    const auto done = hub->change([&](store::Tx& tx) {
      return hub->warnings.note_ended(tx, q.param("id"), *m, asked->at.value_or(tx.now()), person(q));
    });
    return done ? show(*hub, q, q.param("id")) : net::problem(done.error());
  });
  add_subscriptions(router, hub);
}

}  // namespace bavn::show::api
