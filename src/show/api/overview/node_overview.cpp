// The first screens of a municipality: one verdict, at most five things to do, and for the leader the figures behind it.
#include <fmt/format.h>
#include <boost/describe/class.hpp>

#include <algorithm>
#include <set>

#include "show/api/node/node.hpp"
#include "show/api/node/words.hpp"
#include "show/api/sources/sources.hpp"
#include "show/api/warnings/node_warnings.hpp"
#include "tenants/people.hpp"

namespace bavn::show::api {

namespace {

using net::Needs;

constexpr std::int64_t kSecond = 1'000'000, kMinute = 60 * kSecond, kHour = 60 * kMinute, kDay = 24 * kHour;
constexpr std::size_t kMostTasks = 5;             // half a person's day; the rest is counted
constexpr std::int64_t kFreshNotice = 7 * kDay;   // older ones that nobody judged are no task of today
constexpr std::int64_t kSilent = 24 * kHour;      // nothing came for so long: calm would be a guess
constexpr std::int64_t kHubAway = kHour;          // restarts and short cuts are no task
constexpr std::int64_t kWaitsTooLong = 7 * kDay;  // an alert of the queue that nobody looked at

struct Value {
  std::string name, text;
  std::int64_t number = 0;
  bool is_number = false;
};
struct Part {
  std::string key;
  std::vector<Value> values;
};
Value text_value(std::string name, std::string text) {
  return {std::move(name), std::move(text), 0, false};
}
Value number_value(std::string name, std::int64_t n) {
  return {std::move(name), {}, n, true};
}

struct Task {
  int worth = 0;  // larger comes first
  std::string id, kind;
  bool urgent = false;
  Part title, why;
  std::int64_t since_us = 0, until_us = 0;
  std::string button, page, path;  // path: one press does it (POST)
};

struct Picture {
  std::string state = "calm";
  std::vector<Part> parts;
  std::vector<Task> tasks;
  std::vector<SourceView> sources;
  std::vector<input::Sight> blind;
  std::optional<warn::WarningHere> warning;
  HubLink hub;
  NodeHealth health;
  alerts::AlertList alerts;
  std::int64_t failing = 0;
  std::vector<std::string> contact_gaps;
  bool has_contact = false;
  std::optional<act::MandateCheck> mandate;
  act::OrderDesk::Tests tests;
};

void write(JsonWriter& w, const Part& p) {
  w.object().member("key", p.key);
  if (!p.values.empty()) {
    w.key("values").object();
    for (const Value& v : p.values) {
      if (v.is_number) w.member(v.name, v.number);
      else w.member(v.name, v.text);
    }
    w.end();
  }
  w.end();
}

bool is_on(const warn::WarningHere& v) {
  return v.entry.state != "over" && v.entry.state != "withdrawn";
}

/// What was gathered for one caller. Each part adds its tasks and what it says of the verdict.
class Gather {
 public:
  Gather(const NodeParts& p, const net::Request& q) : p_(p), q_(q), now_(micros(p.runtime.now())) {}

  Result<Picture> all() {
    BAVN_CHECK(warnings());
    BAVN_CHECK(purges());
    BAVN_CHECK(notices());
    BAVN_CHECK(alerts_of());
    BAVN_CHECK(exposure());
    BAVN_CHECK(sources());
    hub();
    BAVN_CHECK(contacts());
    BAVN_CHECK(mandate());
    setup();
    pic_.health = p_.health();
    for (const auto& trouble : pic_.health.trouble)
      add({60,
           "disk",
           "disk",
           true,
           {"task.disk", {}},
           {"task.disk.why", {text_value("what", trouble)}},
           0,
           0,
           "action.repair",
           "/sources",
           {}});
    verdict();
    std::stable_sort(pic_.tasks.begin(), pic_.tasks.end(),
                     [](const Task& a, const Task& b) { return a.worth > b.worth; });
    return std::move(pic_);
  }

 private:
  void add(Task t) { pic_.tasks.push_back(std::move(t)); }
  void hit(Part part) { hits_.push_back(std::move(part)); }

  Result<void> warnings() {
    if (p_.warnings == nullptr) return {};
    BAVN_TRY(const auto all, p_.warnings->list(q_.scope));
    const Language language = web::language_of(q_);
    std::int64_t mails = 0, people = 0;
    for (const auto& v : all) {
      if (!pic_.warning) pic_.warning = v;
      if (!is_on(v)) continue;
      const bool found = v.answer.state == "seen_here" || (v.answer.state == "purged" && v.answer.purge_left > 0);
      if (found) {
        mails += v.answer.hits;
        people += v.answer.recipients;
      }
      const auto* text = warning_text(v.entry, language);
      if (v.seen_by.empty()) {
        ++unseen_warnings_;
        add({found ? 95 : 75,
             "warning:" + v.id,
             "warning",
             found,
             {"task.warning",
              {text_value("title", text != nullptr ? text->title : v.id), number_value("hits", v.answer.hits)}},
             {"task.warning.why", {}},
             v.taken_us,
             0,
             "action.read",
             "/warnings/" + v.id,
             {}});
      }
    }
    if (mails > 0) hit({"verdict.hit.warning", {number_value("mails", mails), number_value("people", people)}});
    return {};
  }

  Result<void> purges() {
    if (!q_.scope.sees(p_.home())) return {};
    BAVN_TRY(const auto all, p_.state.read([](store::Reader& db) { return act::Purge::cases(db, 50); }));
    std::int64_t asked = 0, running = 0;
    for (const auto& c : all) {
      running += c.state == "running" ? 1 : 0;
      if (c.state != "asked") continue;
      ++asked;
      add({100,
           "purge:" + c.notice,
           "purge",
           true,
           {"task.purge", {text_value("sender", c.sender), number_value("mailboxes", c.mailboxes)}},
           {"task.purge.why", {text_value("signs", c.signs)}},
           c.changed_us,
           c.ask_until_us,
           "action.empty",
           "/purges/" + c.notice,
           "/api/purges/" + net::percent_encoded(c.notice) + "/yes"});
    }
    if (asked > 0) hit({"verdict.hit.purge", {number_value("purges", asked)}});
    else if (running > 0) hit({"verdict.hit.purging", {}});
    return {};
  }

  Result<void> notices() {
    if (p_.notices == nullptr) return {};
    notice::NoticedFilter filter;
    filter.since_us = now_ - kFreshNotice;
    BAVN_TRY(const auto all, p_.notices->list(q_.scope, filter));
    std::int64_t attacks = 0;
    for (const auto& n : all) {
      if (!n.judged.empty()) continue;
      const bool ours = n.kind == "sender" || n.kind == "takeover";
      attacks += ours ? 1 : 0;
      const std::string text = n.kind == "takeover" ? "task.notice" : "task.notice_" + n.kind;
      add({n.kind == "takeover" ? 92
           : ours               ? 90
                                : 55,
           "notice:" + n.id,
           "notice",
           ours,
           {text, {text_value("concern", n.concern), number_value("mails", n.mails)}},
           {text + ".why", {}},
           n.noticed_us,
           0,
           "action.judge",
           "/notices/" + n.id,
           {}});
    }
    if (attacks > 0) hit({"verdict.hit.notice", {number_value("notices", attacks)}});
    return {};
  }

  Result<void> alerts_of() {
    alerts::AlertFilter filter;
    filter.state = "open";
    filter.place = "queue";
    filter.limit = kMostTasks;
    BAVN_TRY(pic_.alerts, p_.alerts.list(q_.scope, filter));
    std::int64_t worst = 0;
    for (const auto& a : pic_.alerts.alerts) {
      const bool bad = a.level == "critical" || a.action == "block";
      worst += bad ? 1 : 0;
      add({bad ? 85 : 50,
           fmt::format("alert:{}", a.id),
           "alert",
           bad,
           {"task.alert", {text_value("title", a.title), text_value("concern", a.concern)}},
           {"task.alert.why",
            {number_value("count", a.count), text_value("level", a.level.empty() ? a.action : a.level)}},
           a.opened_at_us,
           0,
           "action.look",
           fmt::format("/alerts/{}", a.id),
           {}});
    }
    rest_ += std::max<std::int64_t>(0, pic_.alerts.queue - static_cast<std::int64_t>(pic_.alerts.alerts.size()));
    if (worst > 0) hit({"verdict.hit.alerts", {number_value("alerts", worst)}});
    return {};
  }

  Result<void> exposure() {
    if (p_.warnings == nullptr) return {};
    BAVN_TRY(const auto all, p_.warnings->questions(q_.scope));
    for (const auto& v : all)
      if (v.state.empty() && !v.ask.withdrawn)
        add({70,
             "exposure:" + v.ask.id,
             "exposure",
             false,
             {"task.exposure", {text_value("product", v.ask.product)}},
             {"task.exposure.why", {}},
             v.ask.asked_us,
             v.ask.until_us,
             "action.answer",
             "/exposure",
             {}});
    return {};
  }

  Result<void> sources() {
    BAVN_TRY(pic_.sources, p_.sources.list(q_.scope));
    pic_.blind = p_.sources.blind();
    for (const auto& s : pic_.sources) {
      newest_ = std::max(newest_, s.last_at_us);
      if (s.state != "failing") continue;
      ++pic_.failing;
      add({65,
           "source:" + s.name,
           "source",
           false,
           {"task.source", {text_value("source", s.name)}},
           {"task.source.why", {text_value("says", s.says)}},
           s.since_us,
           0,
           "action.repair",
           "/sources/" + net::percent_encoded(s.name),
           {}});
    }
    return {};
  }

  void hub() {
    pic_.hub = p_.hub();
    const bool away =
        pic_.hub.state == "stopped" ||
        (pic_.hub.state == "away" && now_ - std::max(pic_.hub.last_heard_us, micros(p_.health().since)) > kHubAway);
    if (!away) return;
    hub_away_ = true;
    add({68,
         "hub",
         "hub",
         true,
         {"task.hub", {}},
         {"task.hub.why", {text_value("says", pic_.hub.says)}},
         pic_.hub.last_heard_us,
         0,
         "action.repair",
         "/setup",
         {}});
  }

  Result<void> contacts() {
    if (!p_.test_contacts || !q_.scope.may(event::Right::tenants_read) || !q_.scope.sees(p_.home())) return {};
    const tenants::People people(p_.runtime, p_.state);
    BAVN_TRY(const auto all, people.duty_contacts(q_.scope, p_.home()));
    BAVN_TRY(pic_.contact_gaps, people.duty_gaps(q_.scope, p_.home()));
    pic_.has_contact = !all.empty();
    if (all.empty())
      add({64,
           "contact",
           "contact",
           false,
           {"task.contact_missing", {}},
           {"task.contact_missing.why", {}},
           0,
           0,
           "action.add_contact",
           "/contacts",
           {}});
    else if (!pic_.contact_gaps.empty())
      add({45,
           "contact:test",
           "contact",
           false,
           {"task.contact_unconfirmed", {}},
           {"task.contact_unconfirmed.why", {text_value("what", pic_.contact_gaps.front())}},
           0,
           0,
           "action.test_contact",
           "/contacts",
           "/api/contacts/test"});
    return {};
  }

  Result<void> mandate() {
    if (!p_.mandate || !q_.scope.sees(p_.home())) return {};
    pic_.mandate = p_.mandate();
    BAVN_TRY(pic_.tests, p_.state.read([&](store::Reader& db) { return act::OrderDesk::tests(db, p_.runtime.now()); }));
    if (!pic_.mandate->mandate) return {};  // a municipality may do without one
    if (!pic_.mandate->holds()) {
      const auto at = std::find_if(pic_.mandate->findings.begin(), pic_.mandate->findings.end(),
                                   [](const auto& f) { return f.blocks; });
      add({58,
           "mandate",
           "mandate",
           false,
           {"task.mandate", {}},
           {"task.mandate.why", {text_value("what", at == pic_.mandate->findings.end() ? std::string() : at->what)}},
           0,
           0,
           "action.repair",
           "/mandate",
           {}});
    } else if (pic_.tests.overdue) {
      add({40,
           "mandate:test",
           "mandate",
           false,
           {"task.mandate_test", {}},
           {"task.mandate_test.why", {}},
           0,
           micros(pic_.tests.due),
           "action.test_contact",
           "/mandate",
           "/api/mandate/test"});
    }
    return {};
  }

  void setup() {
    if (p_.setup == nullptr) return;
    const SetupView v = p_.setup->view();
    if (v.state == "done" || v.state == "attention" || v.steps.empty()) return;
    add({p_.municipalities.empty() ? 99 : 35,
         "setup",
         "setup",
         p_.municipalities.empty(),
         {"task.setup", {}},
         {"task.setup.why", {}},
         v.started_us,
         0,
         "action.set_up",
         "/setup",
         {}});
  }

  void verdict() {
    auto& parts = pic_.parts;
    std::vector<Part> blind;
    if (pic_.sources.empty() || newest_ == 0 || now_ - newest_ > kSilent)
      blind.push_back({"verdict.blind.nothing", {}});
    else if (pic_.failing > 0) blind.push_back({"verdict.blind.sources", {number_value("sources", pic_.failing)}});
    if (hub_away_) blind.push_back({"verdict.blind.hub", {}});
    const std::int64_t others = static_cast<std::int64_t>(std::count_if(
        pic_.tasks.begin(), pic_.tasks.end(), [](const Task& t) { return t.kind != "alert" && t.kind != "warning"; }));
    if (!hits_.empty()) {
      pic_.state = "hit";
      parts = hits_;
    } else if (pic_.alerts.queue > 0 || unseen_warnings_ > 0) {
      pic_.state = "look";
      if (unseen_warnings_ > 0) parts.push_back({"verdict.look.warning", {number_value("warnings", unseen_warnings_)}});
      if (pic_.alerts.queue > 0) parts.push_back({"verdict.look", {number_value("alerts", pic_.alerts.queue)}});
    } else if (!blind.empty()) {
      pic_.state = "blind";
    } else if (others > 0) {
      pic_.state = "look";
      parts.push_back({"verdict.look.other", {number_value("tasks", others)}});
    } else {
      parts.push_back({"verdict.calm", {}});
    }
    parts.insert(parts.end(), blind.begin(), blind.end());
    if (pic_.state != "hit" && blind.empty() && !pic_.blind.empty())
      parts.push_back({"verdict.blind.some", {number_value("kinds", static_cast<std::int64_t>(pic_.blind.size()))}});
    if (parts.size() > 5) parts.resize(5);
    if (rest_ > 0)
      add({30,
           "alerts",
           "alert",
           false,
           {"task.alerts_more", {number_value("alerts", rest_)}},
           {"task.alerts_more.why", {}},
           0,
           0,
           "action.look",
           "/alerts",
           {}});
  }

  const NodeParts& p_;
  const net::Request& q_;
  std::int64_t now_;
  Picture pic_;
  std::vector<Part> hits_;
  std::int64_t unseen_warnings_ = 0, rest_ = 0, newest_ = 0;
  bool hub_away_ = false;
};

void write_verdict(JsonWriter& w, const Picture& pic) {
  w.key("verdict").object().member("state", pic.state).key("parts").array();
  for (const Part& part : pic.parts) write(w, part);
  w.end().end();
}

void write(JsonWriter& w, const Task& t) {
  w.object().member("id", t.id).member("kind", t.kind).member("urgent", t.urgent).key("title");
  write(w, t.title);
  w.key("why");
  write(w, t.why);
  add_time(w, "since", t.since_us);
  add_time(w, "until", t.until_us);
  w.key("action").object().member("key", t.button).member("page", t.page);
  if (!t.path.empty()) w.member("method", "POST").member("path", t.path);
  w.end().end();
}

net::Reply overview(const NodeParts& p, const net::Request& q) {
  const auto pic = Gather(p, q).all();
  if (!pic) return net::problem(pic.error());
  const Language language = web::language_of(q);
  std::string out;
  JsonWriter w(out);
  w.object().member("at", web::time_text(p.runtime.now()));
  add_municipality(w, "municipality", p.home());
  write_verdict(w, *pic);
  w.key("tasks").array();
  for (std::size_t i = 0; i < std::min(pic->tasks.size(), kMostTasks); ++i) write(w, pic->tasks[i]);
  w.end();
  w.member("more_tasks", static_cast<std::uint64_t>(pic->tasks.size() - std::min(pic->tasks.size(), kMostTasks)));
  if (pic->warning) write_warning(w.key("warning"), *pic->warning, language);
  w.key("hub").object().member("state", pic->hub.state).member("says", pic->hub.says);
  add_time(w, "last_heard", pic->hub.last_heard_us);
  w.member("waiting", pic->hub.waiting).end();
  const NodeHealth& h = pic->health;
  w.key("health").object().member("version", h.version).member("since", web::time_text(h.since));
  w.member("records", h.records).member("indicators", h.indicators).member("rules", h.rules);
  w.member("behind", h.behind).key("trouble").array();
  for (const auto& t : h.trouble) w.value(t);
  w.end().end().key("sources").object();
  for (const char* state : {"working", "waiting", "failing", "off"})
    w.member(state,
             static_cast<std::int64_t>(std::count_if(pic->sources.begin(), pic->sources.end(), [&](const auto& s) {
               return s.state == state || (s.state == "starting" && std::string_view(state) == "waiting");
             })));
  w.key("items").array();
  for (const auto& s : pic->sources) write_source(w, s);
  w.end().end().key("blind").array();
  for (const auto& s : pic->blind) write_blind(w, s, language);
  w.end().end();
  return net::json(out);
}

// ---- the leader's figures

struct Count {
  std::int64_t n = 0;
};
BOOST_DESCRIBE_STRUCT(Count, (), (n))

struct Span {
  std::int64_t from = 0, to = 0;
  bool has(std::int64_t us) const { return us >= from && us < to; }
};

std::optional<double> median(std::vector<double> all) {
  if (all.empty()) return std::nullopt;
  std::sort(all.begin(), all.end());
  const std::size_t half = all.size() / 2;
  return all.size() % 2 != 0 ? all[half] : (all[half - 1] + all[half]) / 2;
}

struct AlertFigures {
  std::int64_t opened = 0, closed = 0, wrong = 0, records = 0;
  std::optional<double> hours_to_look;
};

Result<AlertFigures> alert_figures(const NodeParts& p, const event::Scope& scope, Span span) {
  AlertFigures f;
  std::vector<double> hours;
  for (const MunicipalityId m :
       p.municipalities.empty() ? std::vector<MunicipalityId>{MunicipalityId{}} : p.municipalities) {
    if (!scope.sees(m)) continue;
    const std::int64_t of = m.value;
    BAVN_CHECK(p.state.read([&](store::Reader& db) -> Result<void> {
      BAVN_TRY(const auto opened, db.number("SELECT count(*) FROM alert WHERE municipality = :m AND place <> 'counted' "
                                            "AND opened_at_us >= :from AND opened_at_us < :to",
                                            {{"m", of}, {"from", span.from}, {"to", span.to}}));
      BAVN_TRY(const auto closed, db.number("SELECT count(*) FROM alert WHERE municipality = :m AND state = 'closed' "
                                            "AND state_at_us >= :from AND state_at_us < :to",
                                            {{"m", of}, {"from", span.from}, {"to", span.to}}));
      BAVN_TRY(const auto wrong, db.number("SELECT count(*) FROM alert WHERE municipality = :m AND state = 'closed' "
                                           "AND was = 'false' AND state_at_us >= :from AND state_at_us < :to",
                                           {{"m", of}, {"from", span.from}, {"to", span.to}}));
      BAVN_TRY(const auto waits,
               db.all<Count>("SELECT min(n.at_us) - a.opened_at_us AS n FROM alert a JOIN alert_note n ON n.alert = "
                             "a.id AND n.kind <> 'note' WHERE a.municipality = :m AND a.place <> 'counted' AND "
                             "a.opened_at_us >= :from AND a.opened_at_us < :to GROUP BY a.id LIMIT 10000",
                             {{"m", of}, {"from", span.from}, {"to", span.to}}));
      f.opened += opened;
      f.closed += closed;
      f.wrong += wrong;
      for (const Count& c : waits) hours.push_back(static_cast<double>(c.n) / static_cast<double>(kHour));
      return {};
    }));
  }
  f.hours_to_look = median(std::move(hours));
  BAVN_TRY(f.records, p.state.read([&](store::Reader& db) {
    return db.number("SELECT coalesce(sum(records), 0) FROM alert_day WHERE day >= :from AND day < :to",
                     {{"from", span.from / kDay}, {"to", span.to / kDay}});
  }));
  return f;
}

class Figures {
 public:
  explicit Figures(JsonWriter& w) : w_(w) {}
  void add(const char* key, const char* unit, const char* better, std::optional<double> now,
           std::optional<double> before) {
    const auto number = [&](const char* name, double v) {
      if (std::string_view(unit) == "count") w_.member(name, static_cast<std::int64_t>(v));
      else w_.member(name, v);
    };
    w_.object().member("key", key);
    if (now) number("now", *now);
    if (before) number("before", *before);
    w_.member("unit", unit).member("better", better).end();
  }

 private:
  JsonWriter& w_;
};

struct WarningFigures {
  std::int64_t received = 0, found = 0, moved = 0, notices = 0, notices_false = 0, unanswered = 0;
  std::optional<double> minutes;
};

Result<WarningFigures> warning_figures(const NodeParts& p, const event::Scope& scope, Span span) {
  WarningFigures f;
  std::vector<double> minutes;
  if (p.warnings != nullptr) {
    BAVN_TRY(const auto all, p.warnings->list(scope, 1000));
    for (const auto& v : all) {
      if (!span.has(v.taken_us)) continue;
      ++f.received;
      f.found += v.answer.hits > 0 ? 1 : 0;
      f.unanswered += v.seen_us == 0 && is_on(v) ? 1 : 0;
      if (v.seen_us != 0) minutes.push_back(static_cast<double>(v.seen_us - v.taken_us) / static_cast<double>(kMinute));
    }
  }
  f.minutes = median(std::move(minutes));
  if (scope.sees(p.home())) {
    BAVN_TRY(const auto cases, p.state.read([](store::Reader& db) { return act::Purge::cases(db, 1000); }));
    for (const auto& c : cases)
      if (span.has(c.first_moved_us)) f.moved += c.moved;
  }
  if (p.notices != nullptr) {
    notice::NoticedFilter filter;
    filter.since_us = span.from;
    filter.limit = 1000;
    BAVN_TRY(const auto all, p.notices->list(scope, filter));
    for (const auto& n : all) {
      if (!span.has(n.noticed_us)) continue;
      ++f.notices;
      f.notices_false += n.judged == "false" ? 1 : 0;
    }
  }
  return f;
}

void write_duties(JsonWriter& w, const NodeParts& p, const Picture& pic, const WarningFigures& now,
                  const event::Scope& scope) {
  const auto duty = [&](const char* key, const char* state, std::int64_t at = 0, std::int64_t due = 0) -> JsonWriter& {
    w.object().member("key", key).member("state", state);
    add_time(w, "at", at);
    add_time(w, "due", due);
    return w;
  };
  if (p.test_contacts && scope.may(event::Right::tenants_read)) {
    const std::int64_t passed = pic.tests.passed ? micros(*pic.tests.passed) : 0;
    duty("contact_reachable",
         !pic.has_contact                                 ? "missed"
         : pic.contact_gaps.empty() && !pic.tests.overdue ? "met"
                                                          : "due",
         passed, micros(pic.tests.due))
        .end();
  }
  if (pic.mandate && pic.mandate->mandate)
    duty("mandate_signed", pic.mandate->holds() ? "met" : "missed", 0, micros(pic.mandate->mandate->valid_until)).end();
  if (p.warnings != nullptr) {
    duty("warnings_answered", now.unanswered == 0 ? "met" : "due").key("values").object();
    w.member("warnings", now.unanswered).end().end();
  }
  const std::int64_t at = micros(p.runtime.now());
  std::int64_t oldest = 0;
  for (const auto& a : pic.alerts.alerts) oldest = oldest == 0 ? a.opened_at_us : std::min(oldest, a.opened_at_us);
  duty("no_alert_waits", pic.alerts.queue == 0 ? "met" : at - oldest > kWaitsTooLong ? "missed" : "due").key("values");
  w.object().member("alerts", pic.alerts.queue).member("days", oldest == 0 ? 0 : (at - oldest) / kDay).end().end();
  duty("sources_delivering", pic.sources.empty() || pic.failing > 0 ? "missed" : "met").key("values").object();
  w.member("sources", pic.failing).end().end();
  if (pic.hub.state != "alone")
    duty("hub_connected", pic.hub.state == "live" || pic.hub.state == "catching_up" ? "met" : "missed",
         pic.hub.last_heard_us)
        .end();
}

net::Reply leader(const NodeParts& p, const net::Request& q) {
  const auto asked = web::number_asked(q, "days", 1, 365);
  if (!asked) return net::problem(asked.error());
  const std::int64_t days = asked->value_or(30);
  if (days != 30 && days != 90) return net::problem(Error{Code::bad_input, "30 or 90", "?days"});
  const auto pic = Gather(p, q).all();
  if (!pic) return net::problem(pic.error());
  const std::int64_t at = micros(p.runtime.now());
  const Span spans[2] = {{at - days * kDay, at + 1}, {at - 2 * days * kDay, at - days * kDay}};
  std::vector<AlertFigures> alerts;
  std::vector<WarningFigures> warnings;
  for (const Span& span : spans) {
    const auto a = alert_figures(p, q.scope, span);
    if (!a) return net::problem(a.error());
    const auto b = warning_figures(p, q.scope, span);
    if (!b) return net::problem(b.error());
    alerts.push_back(*a);
    warnings.push_back(*b);
  }
  std::string out;
  JsonWriter w(out);
  w.object().member("at", web::time_text(p.runtime.now())).member("days", days);
  add_municipality(w, "municipality", p.home());
  write_verdict(w, *pic);
  w.key("figures").array();
  Figures f(w);
  // Before this node was there, nothing is known, which is not the same as nothing.
  const bool had = alerts[1].records > 0 || warnings[1].received > 0;
  const auto pair = [&](const char* key, const char* better, std::int64_t now, std::int64_t before) {
    f.add(key, "count", better, static_cast<double>(now),
          had ? std::optional(static_cast<double>(before)) : std::nullopt);
  };
  pair("warnings_received", "none", warnings[0].received, warnings[1].received);
  pair("warnings_found_here", "lower", warnings[0].found, warnings[1].found);
  f.add("minutes_to_answer", "minutes", "lower", warnings[0].minutes, warnings[1].minutes);
  pair("mails_moved", "none", warnings[0].moved, warnings[1].moved);
  pair("notices", "lower", warnings[0].notices, warnings[1].notices);
  pair("notices_false", "lower", warnings[0].notices_false, warnings[1].notices_false);
  pair("alerts_opened", "lower", alerts[0].opened, alerts[1].opened);
  pair("alerts_closed", "none", alerts[0].closed, alerts[1].closed);
  pair("alerts_false", "lower", alerts[0].wrong, alerts[1].wrong);
  f.add("hours_to_first_look", "hours", "lower", alerts[0].hours_to_look, alerts[1].hours_to_look);
  pair("records", "none", alerts[0].records, alerts[1].records);
  f.add("blind_kinds", "count", "lower", static_cast<double>(pic->blind.size()), std::nullopt);
  w.end().key("duties").array();
  write_duties(w, p, *pic, warnings[0], q.scope);
  w.end().end();
  return net::json(out);
}

}  // namespace

void add_overview_routes(net::Router& router, const Parts& parts) {
  router.get("/api/node/overview", Needs::alert_read, [parts](const net::Request& q) { return overview(*parts, q); });
  router.get("/api/node/leader", Needs::alert_read, [parts](const net::Request& q) { return leader(*parts, q); });
}

}  // namespace bavn::show::api
